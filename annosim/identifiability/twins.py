"""Observational twins: other populations, different after relabelling, with the same law."""

from __future__ import annotations

import math
import multiprocessing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.special import ndtri

from annosim.compiled import threads
from annosim.coordinates import Coordinates, best_naming, mean_indices, population_distance
from annosim.coordinates.identifiable import in_float64
from annosim.coordinates.wording import sparse_basis, sum_preserving
from annosim.designs.design import Design
from annosim.identifiability.search import Equations, gauss_newton, refine
from annosim.information.jacobian import law_distance
from annosim.information.support import DesignSupport
from annosim.information.threads import few_threads
from annosim.items import Items
from annosim.parameters import Unconstrained
from annosim.populations.base import Population
from annosim.populations.mixture import Mixture
from annosim.random import child_seed, uniform53
from annosim.workers import pool

__all__ = ["SAME_LAW", "Curve", "Search", "follow_null", "reflection_twins", "search_twin"]

#: laws closer than this are the same
SAME_LAW = 1e-10
#: populations farther apart than this (in identifiable coordinates, after relabelling) are different
DIFFERENT = 1e-3
#: radii, in units of identifiable coordinates, at which null curves are sought
RADII = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5)
#: numbers in the Jacobians of all starts from which on they are solved on every core (starting workers takes seconds,
#: about as long as one core needs for this many)
MANY_NUMBERS = 4e6
#: numbers in the Jacobians of the starts that are solved together
TOGETHER = 4e5
#: a null curve is believed when it was followed this far
LENGTH = 0.1


@dataclass(frozen=True, eq=False)
class Curve:
    """What following the null directions found.

    Attributes:
        found: a curve of populations with the same law was followed to ``length``.
        length: how far, in identifiable coordinates.
        end: the population at its end.
        law_distance: of that end.
        order: growth of the smallest law distance with the radius (2: the law moves at second order); nan if unknown.
        radii, distances: radii and smallest law distances on these spheres.
    """

    found: bool
    length: float
    end: Population | None
    law_distance: float
    order: float
    radii: tuple[float, ...]
    distances: tuple[float, ...]


def follow_null(
    population: Population,
    small: DesignSupport,
    full: DesignSupport,
    know: Coordinates,
    null: torch.Tensor,
    seed: int = 0,
):
    """Look for populations with the same law on growing spheres around ``population``, starting in its null directions.

    Returns:
        :class:`Curve`.
    """
    equations = Equations(population, small, seed)
    v0, basis = equations.population.vector(), know.basis
    constraint = Unconstrained(population, margin=1e-6)
    start = _directions(population, know, null, seed)
    path = start
    alive = torch.ones(len(start), dtype=torch.bool)
    radii, best, reached, end = [], [], 0.0, None
    for radius in RADII:
        guess = path / path.norm(dim=-1, keepdim=True) * radius

        def residual(y, radius=radius):
            sphere = ((y * y).sum() - radius**2) / (2 * radius)
            return torch.cat([equations.residual(v0 + basis @ y), sphere[None]])

        solved = gauss_newton(residual, guess, 40, 1e-14, lambda y: constraint.feasible(v0 + basis @ y))
        if not bool((solved.norm < 0.3 * SAME_LAW).any()):
            solved = refine(residual, guess, solved)
        path = solved.at
        feasible = torch.tensor([constraint.feasible(v0 + basis @ y) for y in path])
        # weights and other bounded numbers: beyond the boundary there is no population
        alive &= feasible & torch.isfinite(solved.norm)
        if not bool(alive.any()):
            break
        number = int(torch.where(alive, solved.norm, torch.inf).argmin())
        radii.append(radius)
        best.append(float(solved.norm[number]))
        if best[-1] < 0.3 * SAME_LAW:
            candidate = population_at(equations.population, v0 + basis @ path[number])
            if law_distance(population, candidate, full) < SAME_LAW:
                reached, end = radius, candidate
                keep = torch.nonzero(alive & (solved.norm < 0.3 * SAME_LAW)).flatten()  # only curves count from here on
                path, alive = path[keep], alive[keep]
                continue
        if reached:
            break
        keep = torch.where(alive, solved.norm, torch.inf).argsort()[:8]
        path, alive = path[keep], alive[keep]
    distance = law_distance(population, end, full) if end is not None else math.nan
    return Curve(reached >= LENGTH, reached, end, distance, _order(radii, best), tuple(radii), tuple(best))


def population_at(population: Population, v: torch.Tensor) -> Population:
    """A copy at ``v``, with every group of weights nonnegative and summing to one."""
    v, start = v.detach().clone(), 0
    for name, p in population.named_parameters():
        if p.requires_grad:
            if population.constraint_of(name) == "simplex":
                part = v[start : start + p.numel()].clamp_min(0)
                v[start : start + p.numel()] = part / part.sum()
            start += p.numel()
    return population.with_parameters(v)


def _directions(
    population: Population, know: Coordinates, null: torch.Tensor, seed: int, most: int = 12
) -> torch.Tensor:
    """Unit vectors of the null space: readable ones (a weight alone, a type alone), and seeded combinations."""
    n = null.shape[1]
    readable = sparse_basis(sum_preserving(population, (know.basis @ null).T))
    single = readable @ torch.linalg.pinv(know.basis).T @ null @ null.T
    if not bool(torch.isfinite(single).all()):
        single = null.T
    single = single[: most // 2]
    single = torch.cat([single, -single])
    mix = ndtri(uniform53(child_seed(seed, "identify/null"), "analysis", np.arange(most)[:, None], np.arange(n)))
    rows = torch.cat([single, torch.as_tensor(mix) @ null.T]) if n > 1 else single
    return rows / rows.norm(dim=-1, keepdim=True)


def _order(radii: list[float], best: list[float]) -> float:
    if len(radii) < 2 or min(best) <= 1e-13:
        return math.nan
    return float(np.polyfit(np.log(radii[:3]), np.log(best[:3]), 1)[0])


@dataclass(frozen=True, eq=False)
class Search:
    """What the search from many starts found.

    Attributes:
        twin: another population with the same law, or ``None``.
        law_distance: its law's distance on the whole design.
        distance: its distance in identifiable coordinates.
        starts: how many starts there were.
        n_returned: how many came back to the population itself (or to a relabelling of it).
        source: ``"search"`` or the name of the construction.
    """

    twin: Population | None
    law_distance: float
    distance: float
    starts: int
    n_returned: int
    source: str


def search_twin(
    population: Population,
    small: DesignSupport,
    full: DesignSupport,
    design: Design,
    starts: int,
    seed: int,
    jobs: int | None = None,
) -> Search:
    """Gauss-Newton on the law from ``starts`` random populations; ``jobs`` as in :func:`solve_all`."""
    twins, n_returned = all_twins(population, small, full, design, starts, seed, jobs)
    if not twins:
        return Search(None, math.nan, math.nan, max(starts, 0), n_returned, "search")
    return replace(min(twins, key=lambda t: t.law_distance), n_returned=n_returned)


def all_twins(
    population: Population,
    small: DesignSupport,
    full: DesignSupport,
    design: Design,
    starts: int,
    seed: int,
    jobs: int | None = None,
) -> tuple[list[Search], int]:
    """Every end point of the search that is another population with the same law, and how many starts came back."""
    if starts < 1:
        return [], 0
    equations = Equations(population, small, seed)
    free = Unconstrained(population, margin=1e-6)
    z = random_starts(population, free, starts, seed)
    ends, norms = solve_all(equations, free, z, jobs=jobs)
    n_returned, out = 0, []
    for number in norms.argsort().tolist():
        if not float(norms[number]) < 3 * SAME_LAW:
            break
        other = population_at(equations.population, free.inside(ends[number]))
        apart = population_distance(population, other, design.items)
        if apart < DIFFERENT:
            n_returned += 1
            continue
        distance = law_distance(population, other, full)
        if distance < SAME_LAW:
            out.append(Search(named_like(population, other, design), distance, apart, starts, 0, "search"))
    return out, n_returned


def solve_all(
    equations: Equations, free: Unconstrained, z: torch.Tensor, *, steps: int = 80, jobs: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """End points and residual norms of all starts ``z (S, n)``.

    They are solved in batches whose size depends on the equations alone, so that the answer is the same, bit by bit,
    for any number of processes.

    Args:
        equations, free: what is solved, and in which coordinates.
        z: starts.
        steps: most iterations.
        jobs: processes; by default every core when the search is long enough to repay starting them, else one.
    """
    numbers = len(equations.target) * z.shape[1]
    size = len(z) if len(z) * numbers <= 2 * TOGETHER else max(2, int(TOGETHER / numbers))
    parts = z.split(size)
    jobs = _processes(len(z) * numbers) if jobs is None else jobs
    if min(jobs, len(parts)) < 2:
        found = [_solve(equations, free, part, steps) for part in parts]
    else:
        # not threads: torch numbers the levels of forward differentiation once per process
        workers = pool(min(jobs, len(parts)))
        found = list(workers.map(partial(_solve, equations, free, steps=steps), parts))
    return torch.cat([p[0] for p in found]), torch.cat([p[1] for p in found])


def _processes(numbers: float) -> int:
    """Every core for a long search, one for a short one and inside a worker (its master has given out the cores)."""
    inside = multiprocessing.parent_process() is not None
    return 1 if inside or numbers < MANY_NUMBERS else threads.count()


def _solve(equations: Equations, free: Unconstrained, z: torch.Tensor, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    with few_threads():
        solved = gauss_newton(lambda x: equations.residual(free.inside(x)), z, steps=steps)
    return solved.at, solved.norm


def random_starts(population: Population, free: Unconstrained, count: int, seed: int) -> torch.Tensor:
    """Half of the starts are drawn afresh, half are large moves away from the population (its scale is the
    right one).
    """
    here = free.outside(in_float64(population).vector())
    out = []
    for number in range(count):
        address = child_seed(seed, f"identify/start/{number}")
        z = torch.as_tensor(ndtri(uniform53(address, "start", np.arange(len(here)), 0)))
        if number % 2:
            out.append(here + (0.5 + here.abs()) * z)
        else:
            drawn = in_float64(population.like(seed=address & 0x7FFFFFFFFFFFFFFF)).vector()
            out.append(free.outside(drawn))
    return torch.stack(out)


def named_like(population: Population, other: Population, design: Design) -> Population:
    """``other`` with its types renamed so that they stand beside the population's nearest ones."""
    if not isinstance(other, Mixture) or len(other.types) != len(other.components()):
        return other
    kinds = {tuple(sorted((n, p.shape) for n, p in t.named_parameters())) for t in other.types}
    return other.relabelled(best_naming(other, population, design.items)) if len(kinds) == 1 else other


# ---- constructions -----------------------------------------------------------------------------------------------


def reflection_twins(population: Population, design: Design, full: DesignSupport) -> Search | None:
    """Twins by reflection: one pair per annotator shows only the odd part of the distribution of tastes.

    For a symmetric rule, a type of zero utility with weight w may be split into ``+-b`` with w/2 each; antipodal types
    ``+-b`` may be replaced by b and 0, and, when their weights are equal, by any other antipodal pair. Each candidate
    is
    verified on the law; ``None`` when none holds.
    """
    if not isinstance(population, Mixture) or design.menu_size != 2 or design.num_questions != 1:
        return None
    mixture: Any = in_float64(population)
    for candidate in _reflected(mixture, design.items):
        apart = population_distance(population, candidate, design.items)
        distance = law_distance(population, candidate, full)
        if distance < SAME_LAW and apart > DIFFERENT:
            return Search(candidate, distance, apart, 0, 0, "reflection")
    return None


def _reflected(population: Mixture, items: Items):
    """Candidates: type j becomes minus type i with its weight moved; antipodal types i, j become b and 0, or -+c."""
    weights = population.weights.detach()
    k = len(weights)
    index = mean_indices(population, items)
    if len(index) != k:  # a type that is itself a mixture
        return
    for i in range(k):
        for j in range(k):
            if i == j:
                continue
            one, two = dict(population.types[i].named_parameters()), dict(population.types[j].named_parameters())
            names = [n for n in one if n.startswith("utility.") and one[n].requires_grad]
            if not names or any(n not in two or one[n].shape != two[n].shape for n in names):
                continue
            zero = float(index[j].abs().max()) < 1e-12
            anti = torch.allclose(index[i], -index[j], atol=1e-12)
            if zero:  # {b: w, 0: v} -> {b: w + v/2, -b: v/2}
                yield _moved(population, i, j, names, -1.0, weights[j] / 2, weights[j] / 2)
            if anti and float(weights[i]) > float(weights[j]):  # {b: w, -b: v} -> {b: w - v, 0: 2v}
                yield _moved(population, i, j, names, 0.0, -weights[j], weights[j])
            if anti and abs(float(weights[i] - weights[j])) < 1e-12 and float(weights[i]) > 0:
                half = _moved(population, i, j, names, -0.5, 0.0, 0.0)
                yield _scaled(half, i, names, 0.5)


def _moved(population: Mixture, i: int, j: int, names, factor: float, to_i, from_j) -> Mixture:
    """Type j's utility becomes ``factor`` times type i's; weight moves from j to i."""
    values = {f"types.{j}.{n}": factor * dict(population.types[i].named_parameters())[n].detach() for n in names}
    weights = population.weights.detach().clone()
    weights[i] = weights[i] + to_i
    weights[j] = weights[j] + from_j if factor == 0.0 else weights[j] - from_j
    return population.with_parameters({**values, "weights": weights})


def _scaled(population: Mixture, i: int, names, factor: float) -> Mixture:
    own = dict(population.types[i].named_parameters())
    return population.with_parameters({f"types.{i}.{n}": factor * own[n].detach() for n in names})
