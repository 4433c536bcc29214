r"""Exact tests of counts against probabilities, with a proved false-alarm rate.

A table of counts ``X_c`` of ``n`` independent draws is held against probabilities ``p_c`` cell by cell: under the null
``X_c`` is binomial, so ``p_c-value = min(1, 2 min(P(X <= x), P(X >= x)))`` is super-uniform (each tail is, and the
factor two is the union bound), whatever the count is. Bonferroni over the ``C`` cells keeps the probability of any
false alarm below the level, without independence between cells and without a large-sample approximation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from annosim.errors import ArgumentError

__all__ = ["CellTest", "at_least", "between", "binomial_p_values", "compare_counts"]


@dataclass(frozen=True)
class CellTest:
    """Outcome of :func:`compare_counts`.

    Attributes:
        p_value: Bonferroni-adjusted p-value of the worst cell (super-uniform under the null).
        cell: index of the worst cell.
        observed: its count.
        expected: ``n * p`` there.
        draws: ``n``.
    """

    p_value: float
    cell: tuple[int, ...]
    observed: int
    expected: float
    draws: int

    def __repr__(self) -> str:
        return (
            f"p = {self.p_value:.3g} (Bonferroni); worst cell {self.cell}: {self.observed} observed, "
            f"{self.expected:.6g} expected of {self.draws}"
        )


def at_least(successes: int, trials: int, probability: float) -> float:
    """p-value of "each trial succeeds with probability at least ``probability``": the exact lower binomial tail.

    Super-uniform under the whole null, not only at its edge: the number of successes of independent trials grows
    stochastically with their probabilities, so at probabilities above the edge it is larger and the tail ``F(X)`` too;
    and at the edge ``P(F(X) <= a) <= a`` for the distribution function ``F`` of any ``X``.

    Example:
        >>> round(at_least(0, 10, 0.5), 6)
        0.000977
    """
    return float(binom.cdf(successes, trials, probability))


def between(successes: int, trials: int, low: float, high: float) -> float:
    """p-value of "each trial succeeds with a probability between ``low`` and ``high``".

    Twice the smaller of the two exact tails, each at its own edge: each is super-uniform by the argument of
    :func:`at_least`, and the factor two is the union bound.

    Example:
        >>> between(95, 100, 0.90, 0.99)
        1.0
    """
    upper = float(binom.sf(successes - 1, trials, high))
    return min(1.0, 2 * min(at_least(successes, trials, low), upper))


def binomial_p_values(counts: np.ndarray, probabilities: np.ndarray, draws: np.ndarray | int) -> np.ndarray:
    """Two-sided exact binomial p-value of each cell, all arrays broadcast together.

    Example:
        >>> binomial_p_values(np.array([5, 0]), np.array([0.5, 0.5]), 10).round(4).tolist()
        [1.0, 0.002]
    """
    low = binom.cdf(counts, draws, probabilities)
    high = binom.sf(np.asarray(counts) - 1, draws, probabilities)
    return np.minimum(1.0, 2 * np.minimum(low, high))


def compare_counts(counts: np.ndarray, probabilities: np.ndarray) -> CellTest:
    """Hold counts against probabilities, ``(..., cells)`` both; each row of cells is its own multinomial.

    Args:
        counts: whole numbers; a row's sum is its number of draws.
        probabilities: nonnegative; each row sums to one.

    Raises:
        ArgumentError: shapes differ, or a row of probabilities does not sum to one within 1e-9.

    Example:
        >>> compare_counts(np.array([90, 10]), np.array([0.5, 0.5])).p_value < 1e-9
        True
    """
    counts, probabilities = np.asarray(counts), np.asarray(probabilities, dtype=np.float64)
    if counts.shape != probabilities.shape:
        raise ArgumentError(f"compare_counts: counts {counts.shape} and probabilities {probabilities.shape} differ")
    if np.abs(probabilities.sum(-1) - 1).max() > 1e-9:
        raise ArgumentError("compare_counts: a row of probabilities does not sum to one")
    draws = counts.sum(-1, keepdims=True)
    p = binomial_p_values(counts, np.minimum(probabilities, 1.0), draws)
    at = np.unravel_index(int(p.argmin()), p.shape)
    worst = min(1.0, float(p[at]) * p.size)
    row = np.broadcast_to(draws, counts.shape)[at]
    return CellTest(worst, tuple(int(i) for i in at), int(counts[at]), float(row * probabilities[at]), int(row))
