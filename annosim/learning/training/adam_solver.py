"""Adam as a row of the table of solvers: utilities that are networks, and objectives without a solver of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from annosim.data.preferences import PreferenceData
from annosim.errors import warn
from annosim.learning.likelihoods.reference import total_weight
from annosim.learning.problem import Problem, Solution, is_nll, register
from annosim.learning.solvers.settings import Adam
from annosim.learning.structure import answers_repeat, has_network
from annosim.learning.training.perturb import begin_alike
from annosim.learning.training.result import Training
from annosim.learning.training.sgd import train
from annosim.populations.base import Population
from annosim.populations.mixture import Mixture

__all__ = ["best_of_starts", "solution_of", "train_problem", "warn_if_unfinished"]


def _applies(problem: Problem) -> bool:
    if problem.prior is not None or any(leaf.rule.memory for leaf in problem.model.components()):
        return False
    if problem.is_projection and problem.model.annotator_weights([0]) is not None:
        return False  # the blocks of a law are nobody's
    return has_network(problem.model) or not is_nll(problem.objective)


def _solve(problem: Problem) -> Solution:
    done = train_problem(problem, problem.data)
    warn_if_unfinished(done)
    return solution_of(done, slice(None), problem)


def train_problem(problem: Problem, data: PreferenceData, models: Sequence[Population] = ()) -> Training:
    """Train a problem's model, or one for each replicate, on data with or without replicates."""
    return train(
        problem.model if len(models) < 2 else models,
        data,
        problem.objective,
        problem.regulariser,
        problem.solver,  # type: ignore[arg-type]  # what this method is registered for
        starts=problem.starts,
        seed=problem.seed,
        device=problem.device,
    )


def best_of_starts(done: Training, starts: int) -> np.ndarray:
    """Number of the best copy of each replicate: the lowest held-out loss, or loss, among its starts, ``(R,)``."""
    score = (done.loss if done.held_out_loss is None else done.held_out_loss).reshape(-1, starts)
    return score.argmin(-1).numpy() + starts * np.arange(len(score))


def solution_of(done: Training, copies: slice, problem: Problem) -> Solution:
    """The best of some copies of a training run (the starts of one replicate) as a solver's solution."""
    score = done.loss if done.held_out_loss is None else done.held_out_loss
    numbers = range(done.loss.numel())[copies]
    best = min(numbers, key=lambda r: float(score[r]))
    nll = is_nll(problem.objective) and problem.regulariser is None
    total = total_weight(problem.data)
    notes = ["existence of the optimum is not decided for networks"] if has_network(problem.model) else []
    if isinstance(problem.solver, Adam) and begin_alike(problem.model):
        notes.append("two types began alike, a saddle of the likelihood: noise of a tenth was put on their networks")
    if done.held_out_loss is not None:
        notes.append(f"held-out loss per annotator: {float(done.held_out_loss[best]):.6g}")
    if done.unfinished:
        notes.append("the loss still moved when the schedule ended; raise steps= or lr=")
    return Solution(
        population=_by_weight(done.populations[best]),
        log_likelihood=-float(done.loss[best]) * total if nll and not problem.solver.held_out else None,
        objective=float(done.loss[best]),
        converged=bool(done.converged[best]),
        iterations=done.steps,
        stopped_by=done.stopped_by,
        gradient_norm=float(done.gradient_norm[best]),
        why=_why(problem),
        notes=notes,
        starts=[-float(done.loss[r]) * (total if nll else 1.0) for r in numbers],
        trace=-done.log.losses()[:, best].numpy() * (total if nll else 1.0),
        training=done,
        last_change=float(done.last_change[best]),
    )


def warn_if_unfinished(done: Training) -> None:
    """Warn once of a schedule that ended too early for some copy."""
    if done.unfinished:
        warn(
            f"Adam's schedule ended after {done.steps} steps while the loss still moved (by "
            f"{float(done.last_change.abs().max()):.2g} in its last fiftieth); raise steps= or lr="
        )


def _by_weight(population: Any) -> Population:
    """Types in order of falling weight, where they are of one kind: only breaks the symmetry of names. Under a gate the
    last type is the one that its coefficients compare with, and the order stays."""
    if not isinstance(population, Mixture):
        return population
    kinds = {(type(one.utility), repr(one.rule)) for one in population.types}
    order = (-population.weights.detach()).argsort(stable=True).tolist()
    plain = len(kinds) > 1 or not population.weights.requires_grad or order == sorted(order)
    return population if plain else population.relabelled(order)


def _why(problem: Problem) -> str:
    """One line: why Adam."""
    if not has_network(problem.model):
        return "Adam: no exact solver for this objective"
    count = len(problem.model.components())
    if count == 1:
        return "Adam: a utility is a network"
    once = not answers_repeat(problem.data)
    told = ": nobody answers twice, so that EM would have no blocks to tell types by" if once else ""
    return f"Adam on the likelihood of a mixture of {count} networks{told}"


register("adam", Adam, _applies, _solve)
