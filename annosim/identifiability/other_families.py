"""Reports for families that are not the population's own: K types, any tastes."""

from __future__ import annotations

from typing import Any

import torch

from annosim.designs.design import Design
from annosim.errors import ArgumentError
from annosim.identifiability.families import AnyTastes, Types, as_types, taste_distance
from annosim.identifiability.functionals import (
    FunctionalResult,
    evaluate,
    mean_gap,
    named_functionals,
    share_preferring,
)
from annosim.identifiability.report import IdentifiabilityReport
from annosim.identifiability.search import Equations, subsample
from annosim.identifiability.tastes import Bounds, MixingDistributionProgram
from annosim.identifiability.twins import DIFFERENT, SAME_LAW, population_at, random_starts, solve_all
from annosim.information.jacobian import law_distance
from annosim.information.support import DesignSupport, merge_settings, prepare
from annosim.information.threads import few_threads
from annosim.parameters import Unconstrained
from annosim.populations.base import Population
from annosim.populations.mixture import Mixture
from annosim.results import versions

__all__ = ["among_tastes", "among_types", "twins_among_types"]


def among_tastes(
    population: Population, design: Design, family: AnyTastes, functional: Any, seed: int
) -> IdentifiabilityReport:
    """Bounds of functionals over all distributions of tastes on the grid that have the population's law."""
    functions = named_functionals(functional)
    if not functions:
        first, second = _two_items(design)
        functions = {f.__name__: f for f in (share_preferring(first, second), mean_gap(first, second))}
    program = MixingDistributionProgram(population, design, family, seed)
    results: dict[str, FunctionalResult] = {}
    open_: list[Bounds] = []
    for name, function in functions.items():
        found = program.bounds_each(function)
        for number, one in enumerate(found):
            label = name if len(found) == 1 else f"{name}[{number}]"
            known, value = torch.tensor([one.pinned]), torch.tensor([one.value], dtype=torch.float64)
            results[label] = FunctionalResult(known, value, None, one.low, one.high)
        open_ += [one for one in found if not one.pinned]
    twin, distance = _widest(population, design, program, open_)
    verdict = "not_identified" if twin is not None else "inconclusive"
    reason = (
        f"distributions on {program.tastes} tastes with the same law differ in the functional"
        if twin is not None
        else "the functionals are pinned down on this grid, which is no proof for all distributions"
        if not open_
        else "the linear program left the bounds apart, but its ends do not have the law to within 1e-8"
    )
    return IdentifiabilityReport(
        verdict,
        0,
        0,
        (),
        twin,
        distance,
        torch.empty(0),
        (0.0, 0.0),
        (reason,),
        functionals=results,
        population=population,
        design=design,
        settings=merge_settings(program.frame, among=str(family), **versions()),
    )


def _widest(population: Population, design: Design, program: MixingDistributionProgram, open_: list[Bounds]):
    """An end of the widest bounds that has the population's law, and its law's distance."""
    if not open_:
        return None, None
    widest = max(open_, key=lambda b: b.high - b.low)
    twin = max(widest.lowest, widest.highest, key=lambda p: taste_distance(population, p, design.items))
    distance = law_distance(population, twin, program.frame)
    return (twin, distance) if distance <= 1e-8 else (None, None)


def _two_items(design: Design) -> tuple[int, int]:
    ids = design.items.members(int(design.prompt_ids[0])).tolist()
    if len(ids) < 2:
        raise ArgumentError("identify(among=any_tastes): give functional=; the first prompt has a single item")
    return ids[0], ids[1]


def twins_among_types(
    population: Population,
    model: Mixture,
    design: Design,
    frame: DesignSupport,
    starts: int,
    seed: int,
    jobs: int | None = None,
) -> list[tuple[Mixture, float]]:
    """Members of ``model``'s family with the population's law and another distribution of tastes, and the distances of
    their laws.
    """
    if starts < 1:
        return []
    small = subsample(frame, len(model.components()), model.num_free(), seed)
    equations, free = Equations(model, small, seed, target=population), Unconstrained(model, margin=1e-6)
    ends, norms = solve_all(equations, free, random_starts(model, free, starts, seed), steps=120, jobs=jobs)
    out = []
    for number in norms.argsort().tolist():
        if not float(norms[number]) < 3 * SAME_LAW:
            break
        other: Any = population_at(equations.population, free.inside(ends[number]))
        if taste_distance(population, other, design.items) < 10 * DIFFERENT:
            continue
        distance = law_distance(population, other, frame)
        if distance < SAME_LAW:
            out.append((other, distance))
    return out


def among_types(
    population: Population,
    design: Design,
    family: Types,
    functional: Any,
    starts: int,
    seed: int,
    jobs: int | None = None,
) -> IdentifiabilityReport:
    """Search a K-type family that contains the population for another distribution of tastes with the same law."""
    model = as_types(population, family)
    frame = prepare(model, design, seed=seed)
    with few_threads():
        twins = twins_among_types(population, model, design, frame, starts, seed, jobs)
    twin, distance = twins[0] if twins else (None, None)
    reason = (
        f"another population of {family.count} types has the same law"
        if twin is not None
        else f"no twin found among {family.count} types in {starts} starts, which proves nothing"
    )
    results = {}
    for name, function in named_functionals(functional).items():
        value = evaluate(function, population, design.items)
        there = None if twin is None else evaluate(function, twin, design.items)
        same = there is not None and there.shape == value.shape and bool(torch.allclose(there, value, atol=1e-7))
        results[name] = FunctionalResult(torch.full((len(value),), twin is None or same), value, there)
    return IdentifiabilityReport(
        "not_identified" if twin is not None else "inconclusive",
        0,
        0,
        (),
        twin,
        distance,
        torch.empty(0),
        (0.0, 0.0),
        (reason,),
        functionals=results,
        population=population,
        design=design,
        settings=merge_settings(frame, among=str(family), starts=starts, seed=seed, **versions()),
    )
