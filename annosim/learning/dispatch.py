"""From a problem to a frozen result: the method is chosen by structure, or by the settings that are given."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import lru_cache
from typing import Any

from annosim.data.preferences import PreferenceData
from annosim.errors import warn
from annosim.learning import estimation
from annosim.learning.existence.checks import held_ties, nearly_collinear_features, single_answers
from annosim.learning.problem import Problem, Solution, choose, is_nll
from annosim.learning.result import Fit
from annosim.learning.solvers import convex, logit_loss, slic
from annosim.learning.solvers.settings import Solver
from annosim.learning.training import methods
from annosim.results import versions

__all__ = ["finish", "solve"]

#: the modules that fill the table of methods when they are imported
METHOD_MODULES = (estimation, methods, convex, logit_loss, slic)


def solve(problem: Problem, solver: Solver | str) -> Fit:
    """The fit of one problem whose arguments have been checked; no solver sees the hidden truth."""
    truth = dict(problem.data.truth)
    problem = replace(problem, _data=_without_truth(problem.data))
    estimation.check_problem(problem)
    method, problem = choose(problem, solver)
    solution = method.solve(problem)
    if is_nll(problem.objective):
        solution.notes += held_ties(problem.model, problem.data)
    if is_nll(problem.objective) and problem.prior is None:
        solution.notes += single_answers(problem.model, problem.data)
        solution.notes += nearly_collinear_features(problem.model, problem.data)
    result = finish(problem, method.name, solution)
    return replace(result, truth=truth) if truth else result


def finish(problem: Problem, name: str, solution: Solution) -> Fit:
    """A frozen result from a solver's solution, with its settings; warns when it did not converge."""
    result = Fit.from_solution(problem, name, solution, settings=_settings(problem, name))
    if result.stopped_by == "infinity":
        warn("fit: the likelihood rises for ever and has no maximum; see the result's notes")
    elif not result.converged and result.stopped_by not in ("schedule", "held out"):  # ends that were planned
        warn(
            f"fit did not converge: {name} stopped by {result.stopped_by} after {result.iterations} iterations at "
            f"gradient norm {result.gradient_norm:.2g}; raise its limit of iterations, try another solver=, or add a prior"
        )
    return result


def _without_truth(data: PreferenceData) -> PreferenceData:
    """``data.for_learner()`` without checking every row once more."""
    if not data.truth:
        return data
    other = copy.copy(data)
    object.__setattr__(other, "truth", {})
    return other


@lru_cache(maxsize=1)
def _versions() -> tuple[tuple[str, str], ...]:
    return tuple(versions().items())


def _settings(problem: Problem, name: str) -> dict[str, Any]:
    return {
        "method": name,
        "solver": problem.solver,
        "objective": "NLL" if is_nll(problem.objective) else repr(problem.objective),
        "regulariser": None if problem.regulariser is None else repr(problem.regulariser),
        "prior": None if problem.prior is None else repr(problem.prior),
        "starts": problem.starts,
        "seed": problem.seed,
        "versions": dict(_versions()),
    }
