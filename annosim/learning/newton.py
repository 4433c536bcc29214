"""Newton's method for log-likelihoods: gauges projected out, steps capped, accepted only when the likelihood rises.

The tolerance is on the scaled gradient: each entry divided by the weight of the answers in which its parameter has a
part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, lapack

__all__ = ["Optimum", "conjugate_gradients", "newton"]

#: no coordinate moves further than this in one step (a utility of 6 is odds of 400)
LONGEST_STEP = 6.0


@dataclass
class Optimum:
    """Where an optimiser ended."""

    point: np.ndarray
    value: float
    gradient: np.ndarray
    scaled_gradient: float
    iterations: int
    stopped_by: str
    condition: float = float("nan")
    trace: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def converged(self) -> bool:
        """The scaled gradient is below the tolerance."""
        return self.stopped_by == "gradient"


def newton(
    everything: Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray]],
    value: Callable[[np.ndarray], float],
    start: np.ndarray,
    scale: np.ndarray,
    null: np.ndarray | None = None,
    tolerance: float = 1e-10,
    max_iterations: int = 200,
    solve: Callable[..., tuple[np.ndarray, float, str]] | None = None,
) -> Optimum:
    """Maximise a concave function.

    Args:
        everything: point -> (value, gradient, information).
        value: point -> value, for judging steps.
        start: ``(P,)``.
        scale: ``(P,)`` by which the gradient is divided before it is compared with ``tolerance``.
        null: ``(P, G)`` directions that change nothing (gauges), each of disjoint support or orthogonal.
        tolerance: on ``max |gradient / scale|``.
        max_iterations: Newton steps.
        solve: (gradient, information, null) -> (direction, condition, note); dense Cholesky by default.

    Example:
        >>> import numpy as np
        >>> bowl = lambda x: (-0.5 * float((x - 1) @ (x - 1)), 1 - x, np.eye(2))
        >>> newton(bowl, lambda x: bowl(x)[0], np.zeros(2), np.ones(2)).point.tolist()
        [1.0, 1.0]
    """
    point, notes, trace = np.array(start, dtype=np.float64), [], []
    scale = np.where(scale > 0, scale, 1.0)
    current, gradient, information = everything(point)
    best = _measure(gradient, scale)
    stopped, condition, iteration, polished = "iterations", float("nan"), 0, False
    while True:
        trace.append(current)
        if best <= tolerance and (polished or best == 0.0):
            stopped = "gradient"
            break
        if iteration >= max_iterations:
            stopped = "gradient" if best <= tolerance else "iterations"
            break
        polished = best <= tolerance  # one more step, which is nearly free of error, once the tolerance is met
        direction, condition, note = (solve or _direction)(gradient, information, null)
        if note and note not in notes:
            notes.append(note)
        taken = _step(value, everything, point, direction, current, gradient, scale, best)
        if taken is None:
            stopped = "gradient" if best <= tolerance else "rounding"
            break
        point, current, gradient, information, best = taken
        iteration += 1
    return Optimum(point, current, gradient, best, iteration, stopped, condition, trace, notes)


def _measure(gradient: np.ndarray, scale: np.ndarray) -> float:
    return float(np.max(np.abs(gradient) / scale, initial=0.0))


def _step(value, everything, point, direction, current, gradient, scale, best) -> Any:
    """The first of step, step/2, step/4 ... at which the likelihood rises (or, within rounding, the gradient falls)."""
    length = min(1.0, LONGEST_STEP / max(float(np.abs(direction).max()), 1e-300))
    slack = 1e-12 * (1.0 + abs(current))
    expected = float(gradient @ direction)
    for _ in range(40):
        trial = point + length * direction
        reached = value(trial) if expected * length > slack else current
        if np.isfinite(reached) and reached >= current - slack:
            if reached > current + 1e-4 * length * expected - slack:
                full = everything(trial)
                measured = _measure(full[1], scale)
                if reached > current + slack or measured < best:
                    return trial, full[0], full[1], full[2], measured
        length *= 0.5
    return None


def _direction(gradient: np.ndarray, information: np.ndarray, null: np.ndarray | None):
    """Newton direction in coordinates scaled by the diagonal, with the gauges deflated; Cholesky, else eigenvalues."""
    diagonal = information.diagonal()
    floor = diagonal.max(initial=0.0) * 1e-300 + 1e-300
    d = 1.0 / np.sqrt(np.maximum(diagonal, floor))
    system = information * d[:, None] * d[None, :]
    if null is not None and null.shape[1]:
        flat = null / d[:, None]
        flat /= np.linalg.norm(flat, axis=0)
        system = system + flat @ flat.T
    try:
        norm = np.abs(system).sum(0).max(initial=0.0)
        factor = cho_factor(system, lower=True)
        condition = 1.0 / max(lapack.dpocon(factor[0], norm, uplo="L")[0], 1e-300)
        direction = d * cho_solve(factor, d * gradient)
        if np.isfinite(direction).all() and condition < 1e15:
            return direction, condition, ""
    except LinAlgError:
        condition = float("inf")
    return _by_eigenvalues(gradient, system, d) + (
        "the information was not positive definite at some step; its small eigenvalues were raised",
    )


def conjugate_gradients(gradient: np.ndarray, information: Any, null: np.ndarray | None):
    """Newton direction of a sparse information by conjugate gradients, preconditioned by its diagonal."""
    from scipy.sparse import diags
    from scipy.sparse.linalg import cg

    inverse = 1.0 / np.maximum(information.diagonal(), 1e-300)
    accuracy = min(0.1, float(np.sqrt(np.abs(gradient).max(initial=0.0))), 1.0) * 1e-2
    direction, failed = cg(information, gradient, rtol=max(accuracy, 1e-12), M=diags(inverse), maxiter=2000)
    return direction, float("nan"), "conjugate gradients stopped at their limit" if failed else ""


def _by_eigenvalues(gradient: np.ndarray, system: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, float]:
    values, vectors = np.linalg.eigh(system)
    top = max(float(np.abs(values).max(initial=0.0)), 1e-300)
    safe = np.maximum(np.abs(values), 1e-12 * top)
    return d * (vectors @ ((vectors.T @ (d * gradient)) / safe)), top / max(float(np.abs(values).min()), 1e-300)
