"""The climb of a latent-class likelihood: EM, then safeguarded Newton, on a prepared panel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from annosim.compiled import threads
from annosim.learning.likelihoods.kernels import choice as learning_choice
from annosim.learning.likelihoods.kernels import mixture as kernels

if TYPE_CHECKING:
    from annosim.learning.likelihoods.latent_classes import Panel

__all__ = ["Choices", "Evaluator", "Point", "climb_from"]

#: iterations of EM before Newton is tried
WARM = 6


def climb_from(
    panel: Panel, theta: np.ndarray, tolerance: float, max_iterations: int, newton: bool = True, warm: int = WARM
):
    """EM, then safeguarded Newton, from one point.

    The first ``warm`` iterations are EM (each M-step one Newton step on each type's weighted likelihood); then Newton
    on the whole likelihood wherever its information is positive definite and the likelihood rises, EM elsewhere.

    Returns:
        theta, value, gradient, information, status (1 gradient, 0 iterations, 2 rounding), iterations, Newton steps,
        trace.
    """
    evaluate = Evaluator(panel, theta)
    now = evaluate(theta)
    trace, steps, iteration, polished, status = [now.value], 0, 0, False, 0
    while True:
        done = now.worst <= tolerance
        if (done and (polished or not newton)) or now.worst == 0.0 or iteration >= max_iterations:
            status = int(done)
            break
        polished = done
        iteration += 1
        move = _newton_step(now, panel.free) if newton and iteration > warm else None
        taken = None if move is None else _try(evaluate, now, move, tries=6, shrink=0.25)
        if taken is not None:
            steps += 1
        elif move is not None and now.worst < 100 * tolerance:
            status = 1 if done else 2
            break
        else:
            taken = _try(evaluate, now, _em_step(now, panel), tries=30, shrink=0.5)
        if taken is None:
            status = 1 if done else 2
            break
        now = taken
        trace.append(now.value)
    return now.theta, now.value, now.gradient, now.information, status, iteration, steps, np.array(trace)


@dataclass(eq=False)
class Point:
    """The likelihood at one point; ``blocks (K, d, d)`` is the information of the M-steps."""

    theta: np.ndarray
    value: float
    gradient: np.ndarray
    blocks: np.ndarray
    information: np.ndarray
    mass: np.ndarray
    worst: float = 0.0


class Evaluator:
    """The mixture's log-likelihood, with the panel's penalty, as a function of its coordinates."""

    def __init__(self, panel: Panel, theta: np.ndarray):
        self.panel = panel
        ratio = np.r_[theta[panel.types * panel.d :], 0.0]
        self.fixed = None if panel.weights_free else ratio - np.logaddexp.reduce(ratio)

    def __call__(self, theta: np.ndarray) -> Point:
        panel, base = self.panel, self.panel.types * self.panel.d
        ratio = np.r_[theta[base:], 0.0]
        share = ratio - np.logaddexp.reduce(ratio) if self.fixed is None else self.fixed
        sums = panel.choices(theta, share) if panel.choices is not None else None
        if sums is None:
            sums = kernels.evaluate(theta, panel.types, panel.d, *panel.arguments, share, True)
        point = Point(theta, *sums)
        if panel.penalty is not None:
            value, gradient, information = panel.penalty(theta)
            point.value += value
            point.gradient += gradient
            point.information += information
            for t in range(panel.types):
                at = slice(t * panel.d, (t + 1) * panel.d)
                point.blocks[t] += information[at, at]
            point.mass += panel.penalty.counts  # pseudo-annotators: the M-step of the shares counts them
        point.worst = float(np.max(np.abs(point.gradient[panel.free]) / panel.scale[panel.free], initial=0.0))
        return point


def _newton_step(now: Point, free: np.ndarray) -> np.ndarray | None:
    """Newton's move, or ``None`` where the information is not safely positive definite."""
    step = np.zeros(len(now.theta))
    solved = _positive_solve(now.information[np.ix_(free, free)], now.gradient[free])
    if solved is None:
        return None
    step[free] = solved
    return step


def _positive_solve(information: np.ndarray, gradient: np.ndarray) -> np.ndarray | None:
    diagonal = information.diagonal()
    if not (diagonal > 0).all():
        return None
    d = 1.0 / np.sqrt(diagonal)
    try:
        factor = cho_factor(information * d[:, None] * d, lower=True, check_finite=False)
    except LinAlgError:
        return None
    return d * cho_solve(factor, d * gradient, check_finite=False) if factor[0].diagonal().min() > 1e-6 else None


def _em_step(now: Point, panel: Panel) -> np.ndarray:
    """EM's move: one Newton step on each type's weighted likelihood, and the shares to the mean responsibilities."""
    step, d = np.zeros(len(now.theta)), panel.d
    for t in range(panel.types):
        if panel.leaves[t].kind == "known":
            continue
        at = slice(t * d, (t + 1) * d)
        move = _positive_solve(now.blocks[t], now.gradient[at])
        lift = 1e-8 * max(np.trace(now.blocks[t]) / d, 1e-12)
        while move is None:
            move = _positive_solve(now.blocks[t] + lift * np.eye(d), now.gradient[at])
            lift *= 100.0
        step[at] = move
    if panel.weights_free:
        log_mass = np.log(np.maximum(now.mass, 1e-300))
        step[panel.types * d :] = log_mass[:-1] - log_mass[-1] - now.theta[panel.types * d :]
    keep = np.zeros(len(step))
    keep[panel.free] = step[panel.free]
    return keep


def _try(evaluate: Evaluator, now: Point, move: np.ndarray, tries: int, shrink: float) -> Point | None:
    """The first of ever shorter moves at which the likelihood rises (or, within rounding, the gradient falls)."""
    length = min(1.0, 6.0 / max(float(np.abs(move).max()), 1e-300))
    rise, slack = float(now.gradient @ move), 1e-12 * (1.0 + abs(now.value))
    for _ in range(tries):
        trial = evaluate(now.theta + length * move)
        if trial.value >= now.value + 1e-4 * length * rise - slack:
            if trial.value > now.value + slack or trial.worst < now.worst:
                return trial
        length *= shrink
    return None


class Choices:
    """A panel of single choices, every menu its own: differences to the chosen, summed in chunks that stay in cache."""

    def __init__(self, panel: Panel):
        features, which, offset, order, _, length, _, start, weight = panel.arguments
        self.types, self.d, self.others = panel.types, panel.d, order.shape[1] - 1
        safe = np.maximum(order, 0)
        self.real = (np.arange(1, order.shape[1]) < length[:, None]).reshape(-1)
        self.full = bool(self.real.all())  # nothing is padded
        self.which, self.offset = which, None
        self.difference = [(f[safe[:, 1:]] - f[safe[:, :1]]).reshape(-1, panel.d) for f in features]
        if not self.full:
            self.difference = [np.where(self.real[:, None], one, 0.0) for one in self.difference]
        if (offset != offset[:, :1]).any():
            self.offset = np.stack([(g[safe[:, 1:]] - g[safe[:, :1]]).reshape(-1) for g in offset], 1)
        self.start, self.weight = start, weight
        rows = max(int(start[-1]), 1)
        self.step = max(1, int(len(weight) * 4096 / (rows * self.others)))

    def __call__(self, theta: np.ndarray, log_share: np.ndarray):
        """The same sums as the general kernel, or ``None`` where an odds would overflow."""
        types, d = self.types, self.d
        w = theta[: types * d].reshape(types, d)
        parts = list(range(0, len(self.weight), self.step))
        workers = threads.count(None) if len(self.real) > 50_000 else 1
        found: list = [None] * workers

        def part(i: int) -> None:
            found[i] = self._sums(w, log_share, parts[i::workers])

        threads.run(part, range(workers), workers)
        if any(one is None for one in found):
            return None
        value, gradient, blocks, outer, mass = (sum(one[j] for one in found) for j in range(5))
        return self._assemble(value, gradient, blocks, outer, mass, np.exp(log_share))

    def _sums(self, w: np.ndarray, log_share: np.ndarray, parts: list[int]):
        types, d = self.types, self.d
        size = types * d + types
        value, gradient, blocks = 0.0, np.zeros(size), np.zeros((types, d, d))
        outer, mass = np.zeros((size, size)), np.zeros(types)
        for first in parts:
            last = min(first + self.step, len(self.weight))
            rows = slice(int(self.start[first]) * self.others, int(self.start[last]) * self.others)
            odds = self.difference[0][rows] @ w.T
            if self.offset is not None:
                odds += self.offset[rows]
            if odds.max(initial=0.0) > 200.0:
                return None
            np.exp(odds, out=odds)
            if not self.full:
                odds *= self.real[rows, None]
            value += learning_choice.panel_sums(
                odds,
                self.difference[0],
                self.others,
                self.start,
                first,
                last,
                self.weight,
                log_share,
                gradient,
                blocks,
                outer,
                mass,
            )
        return value, gradient, blocks, outer, mass

    def _assemble(self, value, gradient, blocks, outer, mass, share):
        types, d = self.types, self.d
        base, total = types * d, float(mass.sum())
        lower = np.tril(blocks, -1)
        blocks = blocks + lower.transpose(0, 2, 1)
        outer = outer + np.tril(outer, -1).T
        information = -outer
        for t in range(types):
            information[t * d : (t + 1) * d, t * d : (t + 1) * d] += blocks[t]
        gradient[base:] -= total * share
        information[base:, base:] += total * (np.diag(share) - np.outer(share, share))
        return value, gradient[:-1].copy(), blocks, information[:-1, :-1].copy(), mass
