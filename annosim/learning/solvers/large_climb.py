"""Mixtures of large tables: EM first, then Newton by conjugate gradients, from several starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from annosim.coordinates import by_weight
from annosim.learning import memory
from annosim.learning.existence.tables import vanished
from annosim.learning.likelihoods.autodiff import starting_points
from annosim.learning.likelihoods.latent_classes import judge_tables
from annosim.learning.likelihoods.luce import STAGED, block_divergence
from annosim.learning.likelihoods.matrix_free import LargePanel, State
from annosim.learning.likelihoods.single_choices import WARM
from annosim.learning.problem import Problem, Solution, is_nll, register
from annosim.learning.solvers.settings import Newton
from annosim.learning.structure import luce_mixture
from annosim.populations.mixture import Mixture

__all__ = ["climb", "conjugate", "solve_large_mixture"]


def conjugate(
    product: Callable[[np.ndarray], np.ndarray], gradient: np.ndarray, diagonal: np.ndarray, accuracy: float, limit: int
) -> np.ndarray | None:
    """Truncated conjugate gradients: solves ``H x = gradient`` until curvature is not positive (``None`` if at once).

    Example:
        >>> conjugate(lambda v: 2 * v, np.array([2.0, 4.0]), np.ones(2), 1e-12, 9).tolist()
        [1.0, 2.0]
    """
    x, left = np.zeros(len(gradient)), gradient.copy()
    z = left / diagonal
    direction, size = z.copy(), float(left @ z)
    stop = accuracy**2 * size
    for i in range(limit):
        if size <= stop or size == 0.0:
            break
        curved = product(direction)
        curvature = float(direction @ curved)
        if not curvature > 1e-14 * float(direction @ (diagonal * direction)):
            return None if i == 0 else x
        length = size / curvature
        x += length * direction
        left -= length * curved
        z = left / diagonal
        before, size = size, float(left @ z)
        direction = z + (size / before) * direction
    return x


def _em_move(now: State) -> np.ndarray:
    """EM's move: each table to the maximum of its weighted likelihood's parabola, the shares to the mean loads."""
    panel, parts = now.panel, []
    for number in range(len(panel.free)):
        at = slice(number * panel.n, (number + 1) * panel.n)
        move = conjugate(partial(now.complete, number), now.gradient[at], now.diagonal[number], 1e-3, 100)
        parts.append(now.gradient[at] / now.diagonal[number] if move is None else move)
    if panel.weights_free:
        log_mass = np.log(np.maximum(now.mass + panel.counts, 1e-300))
        parts.append(log_mass[:-1] - log_mass[-1] - now.x[panel.base :])
    return np.concatenate(parts)


def _newton_move(now: State) -> np.ndarray | None:
    panel = now.panel
    share = np.exp(now.log_share)[:-1] if panel.weights_free else np.zeros(0)
    diagonal = np.r_[now.diagonal.ravel(), panel.total * share * (1 - share) + 1e-300]
    accuracy = min(0.1, max(np.sqrt(now.worst), 1e-6))
    return conjugate(now.product, now.gradient, diagonal, accuracy, 250)


def _try(now: State, move: np.ndarray, tries: int) -> State | None:
    """The first of ever shorter moves at which the likelihood rises (or, within rounding, the gradient falls)."""
    length = min(1.0, 6.0 / max(float(np.abs(move).max()), 1e-300))
    rise, slack = float(now.gradient @ move), 1e-12 * (1.0 + abs(now.value))
    for _ in range(tries):
        trial = now.panel.at(now.x + length * move)
        if trial.value >= now.value + 1e-4 * length * rise - slack:
            if trial.value > now.value + slack or trial.worst < now.worst:
                return trial
        length *= 0.25
    return None


@dataclass(eq=False)
class Climb:
    """Where a climb ended."""

    state: State
    status: str
    iterations: int
    steps: int
    trace: list[float]


def climb(panel: LargePanel, x: np.ndarray, tolerance: float, max_iterations: int, warm: int = WARM) -> Climb:
    """EM first, then Newton by conjugate gradients wherever the curvature along its direction is positive."""
    now, steps, iteration, polished = panel.at(x), 0, 0, False
    trace, status = [now.value], "iterations"
    while True:
        done = now.worst <= tolerance
        if (done and polished) or now.worst == 0.0 or iteration >= max_iterations:
            status = "gradient" if done else "iterations"
            break
        polished = done
        iteration += 1
        move = _newton_move(now) if iteration > warm or done else None
        taken = None if move is None else _try(now, move, 6)
        if taken is not None:
            steps += 1
        elif not done:
            taken = _try(now, _em_move(now), 15)
        if taken is None:
            status = "gradient" if done else "rounding"
            break
        now = taken
        trace.append(now.value)
    return Climb(now, status, iteration, steps, trace)


def solve_large_mixture(problem: Problem) -> Solution:
    """From every start; the best is kept."""
    model: Any = problem.model
    panel = LargePanel(model, problem.data, problem.prior)
    notes = judge_tables(problem, panel.orders)
    found = [
        climb(panel, panel.start(one), problem.tolerance, problem.max_iterations)  # type: ignore[arg-type]
        for one in starting_points(problem)
    ]
    best = max(found, key=lambda one: one.state.value)
    state = best.state
    log_likelihood = state.value - state.log_prior
    extra: dict[str, Any] = {"newton_steps": best.steps, "memory": memory.of_large_panel(panel)}
    if problem.is_projection:
        extra["divergence"] = block_divergence(problem, log_likelihood)
    population = by_weight(model.with_parameters(panel.values(state.x)))
    return Solution(
        population=population,
        log_likelihood=log_likelihood,
        objective=-state.value / panel.total,
        converged=best.status == "gradient",
        iterations=best.iterations,
        stopped_by=best.status,
        gradient_norm=float(np.abs(state.gradient).max(initial=0.0)) / panel.total,
        why=f"mixture of {panel.types} tables of {panel.n} items: EM, then Newton by conjugate gradients "
        f"({best.steps} Newton steps)",
        notes=[*notes, *vanished(population, panel.total)],
        starts=[one.state.value for one in found],
        trace=np.array(best.trace),
        extra=extra,
    )


def _applies(problem: Problem) -> bool:
    if not is_nll(problem.objective) or problem.regulariser is not None or not isinstance(problem.model, Mixture):
        return False
    feedback = problem.design.feedback if problem.design is not None else problem.data.feedback
    if feedback.kind not in STAGED:
        return False
    kinds = {leaf.kind for leaf in luce_mixture(problem.model, problem.items) or []}
    return "tabular" in kinds and kinds <= {"tabular", "known"}


register("em-newton-cg", Newton, _applies, solve_large_mixture, order=25, hessians=("matrix-free",))
