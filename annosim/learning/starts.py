"""Where a fit begins: at the model's own values, and at redraws of its free numbers."""

from __future__ import annotations

import torch

from annosim.learning.problem import Problem
from annosim.populations.base import Population
from annosim.populations.mixture import Mixture
from annosim.random import child_seed

__all__ = ["redraws", "starting_points"]


def starting_points(problem: Problem) -> list[Population]:
    """The model's own values, then redraws; identical types are redrawn, since they are a saddle."""
    first = problem.model
    if isinstance(first, Mixture) and _identical_types(first):
        first = first.like(child_seed(problem.seed, "start/0"))
    return [first, *redraws(problem, problem.starts)]


def redraws(problem: Problem, starts: int) -> list[Population]:
    """The model with other free numbers, for every start but the first."""
    return [problem.model.like(child_seed(problem.seed, f"start/{i}")) for i in range(1, starts)]


def _identical_types(model: Mixture) -> bool:
    vectors = [one.vector() for one in model.types]  # type: ignore[operator]
    same_kind = len({type(one) for one in model.types}) == 1 and len({v.shape for v in vectors}) == 1
    return (
        len(vectors) > 1 and same_kind and vectors[0].numel() > 0 and all(torch.equal(v, vectors[0]) for v in vectors)
    )
