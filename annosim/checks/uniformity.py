"""Are numbers uniform? The empirical distribution function against simultaneous bands, exactly."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

__all__ = ["band", "uniformity_p_value"]

Vector = NDArray[np.float64]
#: at how many points the distribution function is looked at
POINTS = 40


def _points(count: int) -> Vector:
    return np.arange(1, min(POINTS, count) + 1) / (min(POINTS, count) + 1)


@lru_cache(maxsize=8)
def _pointwise(count: int) -> Vector:
    """Two-sided p-value of every number of values below each point, ``(points, count + 1)``."""
    c = np.arange(count + 1)
    z = _points(count)[:, None]
    return np.minimum(1.0, 2 * np.minimum(binom.cdf(c, count, z), binom.sf(c - 1, count, z)))


@lru_cache(maxsize=8)
def _steps(count: int) -> list[Vector]:
    """Transition matrices ``(count + 1, count + 1)`` of the number of values below one point, to the next."""
    z, c = _points(count), np.arange(count + 1)
    more = c[None, :] - c[:, None]
    left = count - c[:, None]
    return [
        np.where(more >= 0, binom.pmf(more, left, (z[i] - z[i - 1]) / (1 - z[i - 1])), 0.0) for i in range(1, len(z))
    ]


def _coverage(allowed: NDArray[np.bool_], count: int) -> float:
    """Probability that the numbers of uniform values below the points stay in the allowed sets ``(points, count + 1)``.

    The recursion of Säilynoja, Bürkner and Vehtari 2022 (Statistics and Computing 32:32), section 3: a Markov chain with
    binomial steps.
    """
    z, c = _points(count), np.arange(count + 1)
    state = np.where(allowed[0], binom.pmf(c, count, z[0]), 0.0)
    for inside, step in zip(allowed[1:], _steps(count), strict=True):
        state = np.where(inside, state @ step, 0.0)
    return float(state.sum())


def uniformity_p_value(values: Vector) -> float:
    """Exact p-value of the largest pointwise deviation of the distribution function of ``values`` from uniform.

    Example:
        >>> uniformity_p_value(np.arange(1, 51) / 51) > 0.99, uniformity_p_value(np.full(50, 0.3)) < 1e-20
        (True, True)
    """
    count = len(values)
    pointwise = _pointwise(count)
    below = (np.asarray(values)[None] <= _points(count)[:, None]).sum(1)
    worst = pointwise[np.arange(len(below)), below].min()
    return float(np.clip(1.0 - _coverage(pointwise > worst * (1 + 1e-9), count), worst * (worst < 1e-12), 1.0))


def band(count: int, alpha: float) -> tuple[Vector, Vector, Vector]:
    """Points, and the lowest and highest distribution function there of ``count`` uniform values, together with probability
    ``1 - alpha`` at least.

    Example:
        >>> z, low, high = band(100, 0.05)
        >>> bool((low <= z).all() and (high >= z).all())
        True
    """
    pointwise = _pointwise(count)
    low, high = 0.0, alpha
    for _ in range(40):  # the pointwise level that gives the simultaneous one
        middle = 0.5 * (low + high)
        low, high = (middle, high) if 1.0 - _coverage(pointwise > middle, count) <= alpha else (low, middle)
    inside = pointwise > low
    counts = np.arange(count + 1)
    least = np.array([counts[row].min() for row in inside]) / count
    most = np.array([counts[row].max() for row in inside]) / count
    return _points(count), least, most
