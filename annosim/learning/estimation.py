"""From a likelihood to a solution: existence, one optimum from every start, the best of them, and what to say of it."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from annosim.errors import NotIdentifiedError
from annosim.execution.current import engine
from annosim.execution.executor import ThisProcess
from annosim.execution.tasks import run_tasks
from annosim.learning.existence.checks import empty_classes, require_annotators, require_magnitudes
from annosim.learning.likelihoods.base import Likelihood
from annosim.learning.likelihoods.divergence import divergence_from
from annosim.learning.likelihoods.latent_classes import LatentClasses
from annosim.learning.likelihoods.reference import check_answers
from annosim.learning.likelihoods.registry import LIKELIHOODS
from annosim.learning.problem import Problem, Solution, is_nll, register
from annosim.learning.solvers.maximise import Optimum
from annosim.learning.solvers.settings import EM
from annosim.learning.starts import redraws, starting_points
from annosim.populations.base import Population

#: further starts where the likelihood is level at the first
STARTS_IF_LEVEL = 3

__all__ = ["Estimate", "check_problem", "estimate", "solve"]


@dataclass(eq=False)
class Estimate:
    """What maximising a likelihood found.

    Attributes:
        likelihood: the likelihood to whose coordinates the optimum belongs.
        best: the highest optimum.
        starts: log-likelihoods reached from all starting points.
        notes: of the check for existence.
    """

    likelihood: Likelihood
    best: Optimum
    starts: list[float]
    notes: list[str]

    @cached_property
    def population(self) -> Population:
        """The model at the optimum; a study of replicates reads vectors, and this of the few that it looks at."""
        return self.likelihood.population(self.best.point)

    def vector(self) -> np.ndarray:
        """The free parameters, types in order of falling weight, ``(P,)``."""
        return self.likelihood.reported(self.best.point)

    @property
    def log_likelihood(self) -> float:
        """At the optimum, without the prior."""
        return self.best.value - self.likelihood.log_prior(self.best.point)

    def solution(self) -> Solution:
        """What ``fit`` and ``project`` report."""
        likelihood, best, problem = self.likelihood, self.best, self.likelihood.problem
        population, log_likelihood = self.population, self.log_likelihood
        people = 1.0 if problem.is_projection else likelihood.people
        total = max(likelihood.total, 1e-300)
        steps = f" ({best.newton_steps} Newton steps)" if likelihood.has_em_step else ""
        return Solution(
            population=population,
            log_likelihood=log_likelihood,
            objective=-best.value / total,
            converged=best.converged,
            iterations=best.iterations,
            stopped_by=best.stopped_by,
            gradient_norm=float(np.abs(best.gradient).max(initial=0.0)) / total,
            condition=best.condition,
            why=likelihood.why + steps,
            notes=[*self.notes, *likelihood.notes(best, population), *empty_classes(population, people)],
            starts=self.starts,
            trace=np.array(best.trace),
            divergence=(
                divergence_from(problem.law, problem.truth, log_likelihood)
                if problem.law is not None and problem.truth is not None
                else None
            ),
            problem=problem,
        )


def check_problem(problem: Problem) -> None:
    """Refuse answers that the rule cannot give, and more types than annotators.

    Raises:
        AnswerKindError, TiesError, DataError, NotIdentifiedError: see ``fit``.
    """
    if is_nll(problem.objective):
        check_answers(problem.model, problem.data)
        require_annotators(problem.model, problem.data, problem.prior)
        require_magnitudes(problem.model, problem.data)


def estimate(likelihood: Likelihood, newton: bool = True) -> Estimate:
    """Check that the estimate exists, and maximise from every start."""
    problem, notes = likelihood.problem, likelihood.check()
    models = [problem.model] if likelihood.concave else starting_points(problem)
    apart = len(models) > 1 and problem.shards is None  # passes over shards are themselves shared
    with engine(ThisProcess) if apart else nullcontext(ThisProcess()) as executor:
        found = list(run_tasks(_Starts.optimum, _Starts(likelihood, newton), models, executor))
    if len(models) == 1 and not likelihood.concave and _is_level(found[0]):
        found += map(_Starts(likelihood, newton).optimum, redraws(problem, 1 + STARTS_IF_LEVEL))
    at = max(range(len(found)), key=lambda i: found[i].value)
    likelihood, found[at] = likelihood.refined(found[at])
    best = found[at]
    values = [one.value - likelihood.log_prior(one.point) for one in found]
    if not np.isfinite(best.value):
        raise NotIdentifiedError(
            "fit: the answers have probability zero wherever the search began: a number has no finite estimate (an answer "
            "that is possible never occurs, or one that occurs is impossible); give it as a number, or start elsewhere"
        )
    likelihood, best = likelihood.sign_normalised(best)
    judged = likelihood.judge(best)
    if not judged.is_finite:
        best = replace(best, stopped_by="infinity")
        likelihood = copy.copy(likelihood)
        likelihood.problem = replace(likelihood.problem, infinite=judged.infinite)
    return Estimate(likelihood, best, values, [*notes, *judged.notes])


def _is_level(found: Optimum) -> bool:
    """Whether the likelihood is exactly level where the search began, which then proves no maximum: so it is under a
    threshold where nobody prefers anything."""
    return found.iterations == 0 and not found.evaluation.gradient.any()


class _Starts:
    """One likelihood that is maximised from several starts; on a cluster each worker makes it from its problem."""

    def __init__(self, likelihood: Likelihood, newton: bool):
        self.likelihood, self.newton = likelihood, newton

    def __reduce__(self) -> tuple[Any, ...]:
        return _starts, (type(self.likelihood), self.likelihood.problem, self.newton)

    def optimum(self, model: Population) -> Optimum:
        """From one start."""
        problem = self.likelihood.problem
        return self.likelihood.optimum(model, problem.tolerance, problem.max_iterations, self.newton)


def _starts(kind: type[Likelihood], problem: Problem, newton: bool) -> _Starts:
    return _Starts(kind(problem), newton)


def solve(kind: type[Likelihood], problem: Problem, newton: bool = True) -> Solution:
    """Maximise one kind of likelihood of a problem; ``newton=False`` for EM alone."""
    return estimate(kind(problem), newton).solution()


for _kind in LIKELIHOODS:
    register(
        _kind.name,
        _kind.settings,
        _kind.applies,
        partial(solve, _kind),
        order=_kind.order,
        automatic=_kind.is_automatic,
        hessians=_kind.hessians,
    )
register(
    "em", EM, LatentClasses.applies, partial(solve, LatentClasses, newton=False), order=90, automatic=lambda _: False
)
