"""Fits of answers that lie in shards: reduced to counts where these are few, else by passes over the shards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from annosim.annotators import PerAnnotator
from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, NotIdentifiedError, TooLargeError
from annosim.io.shards import Shards
from annosim.learning.dispatch import finish, solve
from annosim.learning.estimation import estimate
from annosim.learning.likelihoods.summed import summed_likelihood
from annosim.learning.problem import Problem, is_nll
from annosim.learning.result import Fit
from annosim.learning.solvers.settings import Newton, Solver, solver_named
from annosim.populations.annotator import single_answers_say_all
from annosim.populations.base import Population

__all__ = ["reduced", "solve_shards"]

#: distinct answers that are held in memory, some 400 MB of pairs with what a fit makes of them
MOST_ANSWERS = 4_000_000


def reduced(model: Population, shards: Shards, limit: int | None = None) -> PreferenceData:
    """The shards' distinct answers with their weights, which hold all that the likelihood of the model reads.

    Where single answers say all, they are counted one by one; elsewhere whole annotators are.

    Raises:
        TooLargeError: there are more than ``limit``, :data:`MOST_ANSWERS` by default.
    """
    ordered = any(component.rule.memory or component.rule.sequential for component in model.components())
    by = "row" if single_answers_say_all(model) else "annotator"
    return shards.counts(by, ordered, shards.columns, limit=MOST_ANSWERS if limit is None else limit)


def solve_shards(problem: Problem, shards: Shards, solver: Solver | str) -> Fit:
    """The fit of a problem without data, on shards.

    Raises:
        ArgumentError: the model has numbers for each annotator, or there are too many distinct answers for it.
    """
    if any(isinstance(module, PerAnnotator) for module in problem.model.modules()):
        raise ArgumentError(
            "fit: the model has numbers for each annotator, which counts of shards do not; fit shards.load()"
        )
    try:
        data = reduced(problem.model, shards)
    except TooLargeError:
        return _passes(replace(problem, shards=shards), solver)
    found = solve(replace(problem, _data=data), solver)
    said = f"reduced from {shards.rows} rows in {len(shards)} shards to {data.rows} distinct answers"
    return replace(found, notes=(*found.notes, said))


def _passes(problem: Problem, solver: Solver | str) -> Fit:
    settings = solver_named("fit", solver) or Newton()
    if not isinstance(settings, Newton) or not is_nll(problem.objective) or problem.regulariser is not None:
        raise ArgumentError(
            "fit: more distinct answers than fit in memory; passes over shards maximise the likelihood by an.Newton() "
            "alone: leave the other settings out, or fit a sample of the rows, shards.take(rows)"
        )
    problem = replace(problem, solver=settings)
    likelihood = summed_likelihood(problem)
    types = len(problem.model.components())
    if likelihood.people < types and problem.prior is None:
        raise NotIdentifiedError(f"{types} types but only {likelihood.people:g} annotator(s) answered; pass prior=")
    found = estimate(likelihood)
    solution = found.solution()
    if not np.isfinite(solution.log_likelihood or 0.0):
        raise NotIdentifiedError("fit: the answers have probability zero wherever the search began; start elsewhere")
    return finish(problem, likelihood.name, solution)
