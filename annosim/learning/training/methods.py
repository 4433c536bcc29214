"""Adam and EM over networks as rows of the table of methods, for one data set or for all replicates at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from annosim.coordinates import by_weight
from annosim.data.preferences import PreferenceData
from annosim.errors import AnnosimError, TrainingError, warn
from annosim.learning.estimation import check_problem
from annosim.learning.likelihoods.reference import total_weight
from annosim.learning.problem import Problem, Solution, is_nll, register
from annosim.learning.solvers.settings import EM, Adam, TrainingSolver
from annosim.learning.structure import answers_repeat, has_network
from annosim.learning.training.em_trace import EMSummary
from annosim.learning.training.network_em import train_em
from annosim.learning.training.result import Training
from annosim.learning.training.run import train
from annosim.learning.training.starts import has_duplicate_components
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.populations.gated import Gated
from annosim.populations.mixture import Mixture

__all__ = ["solve_at_once"]


def _adam_applies(problem: Problem) -> bool:
    if problem.prior is not None or any(component.rule.memory for component in problem.model.components()):
        return False
    if problem.is_projection and problem.model.annotator_weights([0]) is not None:
        return False  # the blocks of a law have no annotators
    return has_network(problem.model) or not is_nll(problem.objective)


def _em_applies(problem: Problem) -> bool:
    """Whether the model is a flat (or gated) mixture of annotators with networks, without priors or memory."""
    model = problem.model
    if not isinstance(model, Mixture | Gated) or not is_nll(problem.objective) or problem.prior is not None:
        return False
    if isinstance(model, Gated) and problem.is_projection:  # the blocks of a law have no annotators
        return False
    return all(isinstance(one, Annotator) and not one.rule.memory for one in model.types) and has_network(model)


def _em_is_automatic(problem: Problem) -> bool:
    """Where somebody answers more than once: networks that begin alike are a saddle of the plain likelihood."""
    return not problem.is_projection and answers_repeat(problem.data)


def _solve(problem: Problem) -> Solution:
    done = _train(problem, problem.data)
    _warn_if_unfinished(done)
    return _solution(done, range(done.loss.numel()), problem)


def solve_at_once(problem: Problem, models: Sequence[Population], data: PreferenceData) -> list[Solution] | None:
    """A solution for every replicate, all replicates and starts trained as one array program.

    Returns:
        ``None`` where they must be fitted one by one: replicates of unequal size, or one that cannot be trained.
    """
    parts = [data[r] for r in range(len(data.menu))]
    if len({len(np.unique(part.annotator_ids)) for part in parts}) > 1 or not _answerable(problem, parts):
        return None
    try:
        done = _train(problem, data, models)
    except TrainingError:
        return None
    _warn_if_unfinished(done)
    starts = problem.starts
    return [
        _solution(done, range(r * starts, (r + 1) * starts), problem.with_data(part)) for r, part in enumerate(parts)
    ]


def _answerable(problem: Problem, parts: Sequence[PreferenceData]) -> bool:
    """Whether a single fit would take every replicate."""
    try:
        for part in parts:
            check_problem(problem.with_data(part))
    except AnnosimError:
        return False
    return True


def _train(problem: Problem, data: PreferenceData, models: Sequence[Population] = ()) -> Training:
    """Train a problem's model, or one for each replicate."""
    model = problem.model if len(models) < 2 else models
    solver, starts, seed, device = problem.solver, problem.starts, problem.seed, problem.device
    if isinstance(solver, EM):
        return train_em(model, data, solver, problem.regulariser, starts=starts, seed=seed, device=device)
    assert isinstance(solver, TrainingSolver)  # what these methods are registered for
    return train(model, data, problem.objective, problem.regulariser, solver, starts=starts, seed=seed, device=device)


def _solution(done: Training, copies: range, problem: Problem) -> Solution:
    """The best of some copies of a training run (the starts of one replicate), types in order of falling weight."""
    score = done.loss if done.held_out_loss is None else done.held_out_loss
    best = min(copies, key=lambda copy: float(score[copy]))
    likelihood = is_nll(problem.objective) and problem.regulariser is None
    total = total_weight(problem.data)
    unit = total if likelihood else 1.0
    solution = Solution(
        population=by_weight(done.populations[best]),
        log_likelihood=-float(done.loss[best]) * total if likelihood and done.held_out_loss is None else None,
        objective=float(done.loss[best]),
        converged=bool(done.converged[best]),
        iterations=done.steps,
        stopped_by=done.stopped_by,
        gradient_norm=float(done.gradient_norm[best]),
        why=_why(problem),
        notes=_notes(done, best, problem),
        starts=[-float(done.loss[copy]) * unit for copy in copies],
        trace=-done.log.losses()[:, best].numpy() * unit,
        training=done,
        last_change=float(done.last_change[best]),
    )
    if done.em is not None:
        solution.trace = done.em.log_likelihood[:, best].numpy() * total
        solution.em = EMSummary(done.em, done.em.n_decreases(best), done.em.largest_decrease(best) * total)
    return solution


def _notes(done: Training, best: int, problem: Problem) -> list[str]:
    notes = ["existence of the optimum is not decided for networks"] if has_network(problem.model) else []
    if done.em is None and has_duplicate_components(problem.model):
        notes.append("two types began alike, a saddle of the likelihood: noise of a tenth was put on their networks")
    if done.held_out_loss is not None:
        notes.append(f"held-out loss per annotator: {float(done.held_out_loss[best]):.6g}")
    if done.unfinished:
        notes.append("the loss still moved when the schedule ended; raise steps= or lr=")
    if done.em is not None:
        notes += done.em.notes(best, total_weight(problem.data))
        if not answers_repeat(problem.data):
            notes.append("nobody answers twice: single answers tell the types apart, if anything does")
    return notes


def _warn_if_unfinished(done: Training) -> None:
    """Warn once of a schedule that ended too early for some copy."""
    if done.unfinished:
        warn(
            f"Adam's schedule ended after {done.steps} steps while the loss still moved (by "
            f"{float(done.last_change.abs().max()):.2g} in its last fiftieth); raise steps= or lr="
        )


def _why(problem: Problem) -> str:
    """One line: why this method."""
    solver, count = problem.solver, len(problem.model.components())
    if isinstance(solver, EM):
        step = "Adam" if solver.m_step == "adam" else "a line search"
        every = f"an E-step every {solver.e_step_every} steps of {step}"
        return f"mixture of {count} networks, annotators with ids: EM, {every}"
    if not has_network(problem.model):
        return "Adam: no exact solver for this objective"
    if count == 1:
        return "Adam: a utility is a network"
    once = not answers_repeat(problem.data)
    reason = ": nobody answers twice, so that EM would have no blocks to tell types by" if once else ""
    return f"Adam on the likelihood of a mixture of {count} networks{reason}"


register("adam", Adam, _adam_applies, _solve, solve_at_once=solve_at_once)
register("em", EM, _em_applies, _solve, order=45, automatic=_em_is_automatic, solve_at_once=solve_at_once)
