"""What one annotator's answers tell of a target when more is possible than the population's own family."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from annosim.coordinates.identifiable import in_float64
from annosim.designs.design import Design
from annosim.identifiability.families import AnyTastes, Types, as_types
from annosim.identifiability.functionals import evaluate
from annosim.identifiability.other_families import twins_among_types
from annosim.identifiability.tastes import MixingDistributionProgram
from annosim.information.support import prepare
from annosim.information.threads import few_threads
from annosim.planning.question_bounds import Bound, Z, local_bound
from annosim.planning.targets import Target
from annosim.populations.base import Population

__all__ = ["among_tastes", "among_types"]


def among_tastes(
    population: Population, design: Design, function: Target, family: AnyTastes, *, precision: float, seed: int
) -> Bound:
    """Bounds over all distributions of tastes on the grid; where they meet, a number of annotators that suffices.

    A component whose bounds do not meet has variance ``inf`` and its interval. Where they meet, two intervals are valid
    whatever the tastes are: that of the best unbiased function of one annotator's answers
    (:meth:`~annosim.identifiability.tastes.MixingDistributionProgram.estimator_variance`), which often does not exist, and that of all
    distributions which the answers do not reject (:meth:`~annosim.identifiability.tastes.MixingDistributionProgram.enough`). The variance
    returned is that of the shorter one at the precision asked for.
    """
    program = MixingDistributionProgram(population, design, family, seed)
    found = program.bounds_each(function)
    pinned = torch.tensor([one.pinned for one in found])
    low, high, value = (
        torch.tensor([getattr(one, name) for one in found], dtype=torch.float64) for name in ("low", "high", "value")
    )
    if not bool(pinned.all()):
        variance = torch.where(pinned, 0.0, torch.full_like(value, math.inf))
        return Bound(value, variance, "the law only bounds it", "not_identified", math.nan, program.exact, low, high)
    variance = program.estimator_variance(function)
    if not bool(torch.isfinite(variance).all()):
        enough = torch.tensor(program.enough(function, precision), dtype=torch.float64) * (precision / Z) ** 2
        variance = torch.minimum(variance, enough)
    reason = "" if bool(torch.isfinite(variance).all()) else "known in the limit only: 1e10 annotators are too few"
    return Bound(value, variance, reason, "identified", math.nan, program.exact, low, high)


def among_types(
    population: Population,
    design: Design,
    function: Target,
    family: Types,
    *,
    starts: int,
    seed: int,
    draws: int,
    jobs: int | None = None,
) -> Bound:
    """The population as a member of a larger family of K types, and a search there for another value of the target.

    With more types than the population has, some of them coincide. The family is then singular at the population, and
    the Cramer-Rao bound of its first-order directions is a *lower* bound of what is needed; shares and utilities of
    coinciding types are not known at all.
    """
    model = as_types(in_float64(population), family).double()
    frame = prepare(model, design, seed=seed)
    with few_threads():
        bound = local_bound(model, design, frame, function, seed=seed, draws=draws)
        if bool(torch.isinf(bound.variance).any()):
            return replace(
                bound,
                verdict="not_identified",
                reason=f"{family.count} types are more than there are: the target tells coinciding ones apart",
            )
        for twin, _ in twins_among_types(population, model, design, frame, starts, seed, jobs):
            there = evaluate(function, twin, design.items)
            if there.shape != bound.value.shape or float((there - bound.value).abs().max()) > 1e-6:
                return _known_elsewhere(bound, there, family)
    return replace(bound, verdict="singular", at_least=True)


def _known_elsewhere(bound: Bound, there: torch.Tensor, family: Types) -> Bound:
    """The target has another value at a twin: components that agree keep their bound."""
    infinite = torch.full_like(bound.variance, math.inf)
    if there.shape == bound.value.shape:
        infinite = torch.where((there - bound.value).abs() > 1e-6, math.inf, bound.variance)
    reason = f"another population of {family.count} types has the same law and another value"
    return replace(bound, variance=infinite, verdict="not_identified", reason=reason, at_least=True)
