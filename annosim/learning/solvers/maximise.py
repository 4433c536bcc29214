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

__all__ = ["Curvature", "Optimum", "conjugate_gradients", "newton"]

#: no coordinate moves further than this in one step (a utility of 6 is odds of 400)
LONGEST_STEP = 6.0


Solve = Callable[[np.ndarray], np.ndarray]


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
    value_gradient: Callable[[np.ndarray], tuple[float, np.ndarray]],
    information: Callable[[np.ndarray], Any],
    start: np.ndarray,
    scale: np.ndarray,
    null: np.ndarray | None = None,
    tolerance: float = 1e-10,
    max_iterations: int = 200,
    factorise: Callable[..., tuple[Solve, float, str]] | None = None,
    reuse: bool = True,
    longest: float | np.ndarray = LONGEST_STEP,
) -> Optimum:
    """Maximise a concave function.

    The information is formed anew only while steps do not shrink the gradient by a factor of fifty; once the tolerance
    is met, one more step with the last factor is nearly free of error and costs a gradient.

    Args:
        value_gradient: point -> (value, gradient).
        information: point -> minus the Hessian.
        start: ``(P,)``.
        scale: ``(P,)`` by which the gradient is divided before it is compared with ``tolerance``.
        null: ``(P, G)`` directions that change nothing (gauges), each of disjoint support or orthogonal.
        tolerance: on ``max |gradient / scale|``.
        max_iterations: steps.
        reuse: keep a factor while it serves; False where the information comes with the gradient at no cost.
        longest: no coordinate moves further than this in one step, one number or ``(P,)``.
        factorise: (information, null) -> (gradient -> direction, condition, note); dense Cholesky by default.

    Example:
        >>> import numpy as np
        >>> bowl = lambda x: (-0.5 * float((x - 1) @ (x - 1)), 1 - x)
        >>> newton(bowl, lambda x: np.eye(2), np.zeros(2), np.ones(2)).point
        array([1., 1.])
    """
    point, notes, trace = np.array(start, dtype=np.float64), [], []
    scale = np.where(scale > 0, scale, 1.0)
    current, gradient = value_gradient(point)
    best = _measure(gradient, scale)
    stopped, condition, iteration, polished = "iterations", float("nan"), 0, False
    solve: Solve | None = None
    enough = 0.0 if reuse else 1e-4 * tolerance
    while True:
        trace.append(current)
        # an exact Newton step that lands far below the tolerance was the polish
        if best <= tolerance and (polished or best <= enough or iteration >= max_iterations):
            stopped = "gradient"
            break
        if iteration >= max_iterations:
            break
        polished = best <= tolerance
        fresh = solve is None
        if solve is None:
            solve, condition, note = (factorise or _factorise)(information(point), null)
            if note and note not in notes:
                notes.append(note)
        taken = _step(value_gradient, point, solve(gradient), current, gradient, scale, best, longest)
        if taken is None:
            if fresh or polished:
                stopped = "gradient" if best <= tolerance else "rounding"
                break
            solve = None  # the old factor no longer serves
            continue
        before, (point, current, gradient, best) = best, taken
        if not reuse or (best > 0.02 * before and not best <= tolerance):
            solve = None
        iteration += 1
    return Optimum(point, current, gradient, best, iteration, stopped, condition, trace, notes)


def _measure(gradient: np.ndarray, scale: np.ndarray) -> float:
    return float(np.max(np.abs(gradient) / scale, initial=0.0))


def _step(value_gradient, point, direction, current, gradient, scale, best, longest) -> Any:
    """The first of step, step/2, step/4 ... at which the likelihood rises (or, within rounding, the gradient falls)."""
    length = 1.0 / max(float((np.abs(direction) / longest).max()), 1.0)
    slack = 1e-12 * (1.0 + abs(current))
    expected = float(gradient @ direction)
    for _ in range(40 if expected > slack else 2):  # within rounding a shorter step is no better
        trial = point + length * direction
        reached, slope = value_gradient(trial)
        if np.isfinite(reached) and reached >= current + 1e-4 * length * expected - slack:
            measured = _measure(slope, scale)
            if reached > current + slack or measured < best:
                return trial, reached, slope, measured
        length *= 0.5
    return None


def _factorise(information: np.ndarray, null: np.ndarray | None) -> tuple[Solve, float, str]:
    """Newton's direction in coordinates scaled by the diagonal, gauges deflated; by Cholesky, else by eigenvalues."""
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
        if condition < 1e15:
            return (lambda gradient: d * cho_solve(factor, d * gradient)), condition, ""
    except LinAlgError:
        pass  # not positive definite here: by eigenvalues
    values, vectors = np.linalg.eigh(system)
    top = max(float(np.abs(values).max(initial=0.0)), 1e-300)
    safe = np.maximum(np.abs(values), 1e-12 * top)
    note = "the information was not positive definite at some step; its small eigenvalues were raised"
    condition = top / max(float(np.abs(values).min()), 1e-300)
    return (lambda gradient: d * (vectors @ ((vectors.T @ (d * gradient)) / safe))), condition, note


@dataclass(frozen=True)
class Curvature:
    """An information that is never formed: its product with a vector, and its diagonal ``(P,)``."""

    product: Callable[[np.ndarray], np.ndarray]
    diagonal: np.ndarray


def conjugate_gradients(information: Curvature, null: np.ndarray | None) -> tuple[Solve, float, str]:
    """Newton's direction by conjugate gradients, preconditioned by the diagonal."""
    from scipy.sparse import diags
    from scipy.sparse.linalg import LinearOperator, cg

    size = len(information.diagonal)
    inverse = diags(1.0 / np.maximum(information.diagonal, 1e-300))
    operator = LinearOperator((size, size), matvec=information.product, dtype=np.float64)

    def solve(gradient: np.ndarray) -> np.ndarray:
        return cg(operator, gradient, rtol=1e-6, M=inverse, maxiter=2000)[0]

    return solve, float("nan"), ""
