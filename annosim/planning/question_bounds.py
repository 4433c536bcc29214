"""What one annotator's answers to a design tell of a target: the Cramer-Rao bound, or why there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from annosim.autodiff import forward_jacobian
from annosim.coordinates import Coordinates, identifiable_coordinates
from annosim.coordinates.identifiable import in_float64
from annosim.designs.design import Design
from annosim.errors import ArgumentError
from annosim.identifiability.functionals import as_vector, evaluate
from annosim.identifiability.local import LocalRank, local_rank
from annosim.identifiability.search import subsample
from annosim.identifiability.twins import all_twins, follow_null, reflection_twins
from annosim.information.fisher import fisher_information
from annosim.information.support import DesignSupport, prepare
from annosim.information.threads import few_threads
from annosim.items import Items
from annosim.planning.targets import Target
from annosim.populations.base import Population

__all__ = ["Bound", "Z", "local_bound", "variance_per_annotator"]

Z = 1.959963984540054
#: least starts of a search where the rank is deficient: a whole set of populations may have the law, in several pieces,
#: and the target must agree on all of them
DEFICIENT_STARTS = 24


@dataclass(frozen=True, eq=False)
class Bound:
    """What one annotator's answers to a design tell of a target: how well it can be known.

    Attributes:
        value: ``(m,)`` the target.
        variance: ``(m,)`` Cramer-Rao bound times the number of annotators; ``inf`` where the design does not identify
            it.
        reason: why not, or ``""``.
        verdict: of the local analysis and, with starts, of a search for twins.
        condition: of the information on the identifiable coordinates that are identified.
        exact: the information was enumerated; otherwise it is an unbiased estimate.
        low, high: ``(m,)`` bounds of the target over the family, where they were computed.
        at_least: the bound is a lower bound of what is needed: the family is singular here.
    """

    value: torch.Tensor
    variance: torch.Tensor
    reason: str
    verdict: str
    condition: float
    exact: bool
    low: torch.Tensor | None = None
    high: torch.Tensor | None = None
    at_least: bool = False


def variance_per_annotator(
    population: Population,
    design: Design,
    function: Target,
    *,
    starts: int | None = None,
    seed: int = 0,
    draws: int = 20_000,
    jobs: int | None = None,
) -> Bound:
    """Cramer-Rao bound of a target's components from one annotator's block, in the population's own family.

    Args:
        population: who answers.
        design: what they are asked.
        function: target, ``(population, items) -> (m,)``.
        starts: starts of the search for a twin with another value of the target; ``None`` looks at the neighbourhood
            alone.
        seed, draws: of simulated information, where it is not enumerated.
        jobs: processes of the search, as in :func:`annosim.identify`.

    Raises:
        ArgumentError: the target has no derivative.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular([0., 0.]), an.Luce())
        >>> bound = variance_per_annotator(one, an.Design(an.Items(n=2)), an.identifiability.mean_gap(0, 1))
        >>> [round(v, 4) for v in bound.variance.tolist()]
        [4.0]
    """
    population = in_float64(population)
    frame = prepare(population, design, seed=seed)
    with few_threads(len(frame.menu) * design.menu_size * population.num_free() * len(population.components())):
        know = identifiable_coordinates(population, design.items)
        local = local_rank(population, frame, know)
        bound = _bound(population, frame, know, local, function, seed, draws)
        verdict, reason, lost = _verdict(
            population, design, frame, know, local, function, bound.value, starts, seed, jobs
        )
    hidden = torch.isinf(bound.variance)
    if bool(hidden.any()):
        reason = reason or bound.reason
    else:
        bound = replace(bound, variance=torch.where(lost, torch.inf, bound.variance))
        reason = reason if bool(lost.any()) else ""
    return replace(bound, verdict=verdict, reason=reason, at_least=verdict == "singular")


def local_bound(
    population: Population, design: Design, frame: DesignSupport, function: Target, *, seed: int, draws: int
) -> Bound:
    """The first-order bound alone; ``inf`` where the target moves along a direction that the law does not show."""
    know = identifiable_coordinates(population, design.items)
    return _bound(population, frame, know, local_rank(population, frame, know), function, seed, draws)


def _bound(
    population: Population,
    frame: DesignSupport,
    know: Coordinates,
    local: LocalRank,
    function: Target,
    seed: int,
    draws: int,
) -> Bound:
    items = frame.design.items
    value = evaluate(function, population, items)
    gradient = _gradient(population, function, items)
    if len(gradient) != len(value):
        raise ArgumentError(
            f"plan(target=): {len(value)} components, but {len(gradient)} when the parameters move; read the utilities "
            "and numbers of the population by name, not its vector()"
        )
    gradient = gradient @ know.basis
    info = fisher_information(population, frame, seed=seed, draws=draws)
    seen = local.right[:, : local.rank]
    inner = seen.T @ (know.basis.T @ info.matrix @ know.basis) @ seen
    inverse = torch.linalg.pinv(inner, hermitian=True)
    variance = ((gradient @ seen) @ inverse * (gradient @ seen)).sum(-1)
    hidden = (gradient @ local.null).norm(dim=-1) > 1e-7 * gradient.norm(dim=-1).clamp_min(1e-12)
    values = torch.linalg.eigvalsh(inner)
    condition = float(values[-1] / values[0]) if len(values) and float(values[0]) > 0 else math.inf
    reason = "the target moves along a direction in which the law does not" if bool(hidden.any()) else ""
    verdict = "locally_identified" if local.full else "singular"
    return Bound(value, torch.where(hidden, torch.inf, variance), reason, verdict, condition, info.exact)


def _gradient(population: Population, function: Target, items: Items) -> torch.Tensor:
    """``(m, P)``."""
    v = population.vector()
    try:
        return forward_jacobian(
            lambda x: population.functional_call(x, lambda p: as_vector(function, p, items)), v
        ).detach()
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise ArgumentError(
            f"plan(target={getattr(function, '__name__', 'function')!r}): it has no derivative in the parameters "
            f"({reason}); write it with torch, or ask among=an.any_tastes(grid) for a mean over annotators"
        ) from error


def _verdict(
    population: Population,
    design: Design,
    frame: DesignSupport,
    know: Coordinates,
    local: LocalRank,
    function: Target,
    value: torch.Tensor,
    starts: int | None,
    seed: int,
    jobs: int | None,
) -> tuple[str, str, torch.Tensor]:
    """Verdict, a reason when another population with the same law has another value, and which components differ.

    ``starts=None``: nothing but the neighbourhood is looked at.
    """
    none = torch.zeros(len(value), dtype=torch.bool)
    verdict = "locally_identified" if local.full else "singular"
    if starts is None:
        return verdict, "", none
    small = subsample(frame, len(population.components()), population.num_free(), seed)
    found: list[Population] = []
    reason = "a twin with another value of the target has the same law"
    reflected = reflection_twins(population, design, frame) if frame.blocks is None else None
    if reflected is not None and reflected.twin is not None:
        found.append(reflected.twin)
    if not local.full:
        reason = f"rank {local.rank} of {local.num_parameters}: the law moves at higher order only; " + reason
        curve = follow_null(population, small, frame, know, local.null, seed)
        if curve.found:
            verdict, reason = "not_identified", reason.split(":")[0] + ": a curve of populations has this law"
            found.append(curve.end)
            if starts == 0:  # one end of a curve is no evidence that the target is the same all over it
                return verdict, reason + ", and no search (starts=0) was made for other values", ~none
        starts = max(starts, DEFICIENT_STARTS) if starts else 0
    others = all_twins(population, small, frame, design, starts, seed, jobs)[0]
    found += [other.twin for other in others if other.twin is not None]
    lost = none
    for twin in found:
        lost = lost | _differs(function, twin, design, value)
    if found and local.full:
        verdict = "not_identified"
    return verdict, reason if bool(lost.any()) else "", lost


def _differs(function: Target, twin: Population, design: Design, value: torch.Tensor) -> torch.Tensor:
    """Components of the target that have another value at the twin, ``(m,)``."""
    there = evaluate(function, in_float64(twin), design.items)
    if there.shape != value.shape:
        return torch.ones(len(value), dtype=torch.bool)
    return (there - value).abs() > 1e-6
