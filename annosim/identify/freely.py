"""Reports for families that are not the population's own: K types, any tastes."""

from __future__ import annotations

import math
from typing import Any

import torch

from annosim.designs import Design
from annosim.errors import ArgumentError
from annosim.identify.families import AnyTastes, TasteProgram, Types, as_types, taste_distance
from annosim.identify.functionals import FunctionalResult, mean_gap, named_functionals, share_preferring
from annosim.identify.report import IdentifiabilityReport
from annosim.identify.search import Equations, Unconstrained, gauss_newton, thin
from annosim.identify.twins import DIFFERENT, SAME_LAW, population_at, random_starts
from annosim.information import few_threads, law_distance, merge_settings, prepare
from annosim.populations import Population
from annosim.results import versions

__all__ = ["among_tastes", "among_types"]


def among_tastes(
    population: Population, design: Design, family: AnyTastes, functional: Any, seed: int
) -> IdentifiabilityReport:
    """Bounds of functionals over all distributions of tastes on the grid that have the population's law."""
    functions = named_functionals(functional)
    if not functions:
        first, second = _two_items(design)
        functions = {f.__name__: f for f in (share_preferring(first, second), mean_gap(first, second))}
    program = TasteProgram(population, design, family, seed)
    results, widest, twin = {}, 0.0, None
    for name, function in functions.items():
        found = program.bounds(function)
        width = found.high - found.low
        known = torch.tensor([width < 1e-6 * max(1.0, abs(found.value))])
        results[name] = FunctionalResult(known, torch.tensor([found.value]), None, found.low, found.high)
        if width > widest:
            widest = width
            twin = max(found.lowest, found.highest, key=lambda p: taste_distance(population, p, design.items))
    verdict = "not_identified" if widest > 1e-6 else "inconclusive"
    distance = None if twin is None else law_distance(population, twin, program.frame)
    if verdict == "not_identified" and (distance is None or distance > 1e-8):
        verdict = "inconclusive"
    if verdict == "inconclusive":
        twin = distance = None
    reason = (
        f"distributions on {program.tastes} tastes with the same law differ in the functional"
        if verdict == "not_identified"
        else "the functionals are pinned down on this grid, which is no proof for all distributions"
    )
    return IdentifiabilityReport(
        verdict, 0, 0, (), twin, distance, torch.empty(0), (0.0, 0.0),
        (reason,),
        functionals=results, population=population, design=design,
        settings=merge_settings(program.frame, among=f"any tastes on {program.tastes} points", **versions()),
    )  # fmt: skip


def _two_items(design: Design) -> tuple[int, int]:
    ids = design.items.members(int(design.prompt_ids[0])).tolist()
    if len(ids) < 2:
        raise ArgumentError("identify(among=any_tastes): give functional=; the first prompt has a single item")
    return ids[0], ids[1]


def among_types(
    population: Population, design: Design, family: Types, functional: Any, starts: int, seed: int
) -> IdentifiabilityReport:
    """Search a K-type family that contains the population for another distribution of tastes with the same law."""
    model = as_types(population, family)
    with few_threads():
        return _among_types(population, design, family, model, functional, starts, seed)


def _among_types(population, design, family, model, functional, starts, seed) -> IdentifiabilityReport:
    frame = prepare(model, design, seed=seed)
    small = thin(frame, family.count, model.num_free(), seed)
    equations, free = Equations(model, small, seed, target=population), Unconstrained(model)
    twin, distance = None, math.nan
    if starts > 0:
        solved = gauss_newton(
            lambda x: equations.residual(free.inside(x)), random_starts(model, free, starts, seed), 120
        )
        for number in solved.norm.argsort().tolist():
            if not float(solved.norm[number]) < 3 * SAME_LAW:
                break
            other = population_at(equations.population, free.inside(solved.at[number]))
            if taste_distance(population, other, design.items) < 10 * DIFFERENT:
                continue
            distance = law_distance(population, other, frame)
            if distance < SAME_LAW:
                twin = other
                break
    reason = (
        f"another population of {family.count} types has the same law"
        if twin is not None
        else f"no twin found among {family.count} types in {starts} starts, which proves nothing"
    )
    results = {}
    for name, function in named_functionals(functional).items():
        with torch.no_grad():
            value = torch.as_tensor(function(population, design.items)).reshape(-1)
            there = None if twin is None else torch.as_tensor(function(twin, design.items)).reshape(-1)
        same = there is not None and there.shape == value.shape and bool(torch.allclose(there, value, atol=1e-7))
        results[name] = FunctionalResult(torch.full((len(value),), twin is None or same), value, there)
    return IdentifiabilityReport(
        "not_identified" if twin is not None else "inconclusive", 0, 0, (), twin, distance if twin is not None else
        None,
        torch.empty(0), (0.0, 0.0), (reason,), functionals=results, population=population, design=design,
        settings=merge_settings(frame, among=f"{family.count} types", starts=starts, seed=seed, **versions()),
    )  # fmt: skip
