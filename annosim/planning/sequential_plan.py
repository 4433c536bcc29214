"""A plan of interviews: how many questions each annotator is asked until their target is decided."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from annosim.coordinates.identifiable import in_float64
from annosim.errors import ArgumentError, told
from annosim.learning.result import Fit
from annosim.planning.cost import Cost
from annosim.planning.result import Plan
from annosim.planning.row import PlanRow
from annosim.planning.sequential import Sequential
from annosim.planning.targets import target_function
from annosim.populations.base import Population
from annosim.results import versions

__all__ = ["plan_interviews"]

#: annotators who are interviewed in simulation
SIMULATED = 400
#: share of the annotators for whom the target must be decided before one gives up
MOST_UNDECIDED = 0.05


def plan_interviews(population: Population | Fit, designs: Mapping[str, Sequential], cost: Cost, seed: int) -> Plan:
    """One row per sequential design, from simulated interviews.

    Raises:
        ArgumentError: designs with other targets or errors.
    """
    if not isinstance(population, Population | Fit):
        raise ArgumentError(f"plan(population={told(population)}): a population, or a Fit of pilot data")
    people = in_float64(population.population if isinstance(population, Fit) else population)
    first, *others = designs.values()
    if any((other.target, other.alpha) != (first.target, first.alpha) for other in others):
        raise ArgumentError("plan(designs=): sequential designs of one plan have one target and one alpha")
    rows = tuple(_row(name, people, design, cost, seed) for name, design in designs.items())
    name = first.target if isinstance(first.target, str) else getattr(first.target, "__name__", "the target")
    _, function = target_function("weights")
    settings = {"seed": seed, "simulated": SIMULATED, "among": "interviews", **versions()}
    return Plan(rows, name, np.zeros(0), first.alpha, cost, function, settings=settings)


def _row(name: str, people: Population, design: Sequential, cost: Cost, seed: int) -> PlanRow:
    done = design.simulate(people, SIMULATED, seed=seed)
    share, each = float(done.decided.mean()), float(done.questions.mean())
    able = share >= 1 - MOST_UNDECIDED
    annotators = float(design.design.annotators) if able else math.inf
    return PlanRow(
        name=name,
        design=design.design,
        population=people,
        identifies=able,
        verdict="decided" if able else "undecided",
        reason="" if able else f"{1 - share:.0%} of the annotators are undecided after {design.most} questions",
        annotators=annotators,
        answers=annotators * each,
        cost=cost.total(annotators, each),
        half_width=np.array([done.error_rate]),
        share_identified=share,
        interviews=done,
    )
