"""Statements about many items that hold together: ranks, groups of ties, contrasts.

Under the normal approximation of the estimates, the law of the largest standardised difference of all pairs gives one
critical value for all of them; hypotheses already rejected leave the maximum (Romano and Wolf 2005). Counting the items
that are surely better and surely worse bounds every rank at once (Mogstad, Romano, Shaikh and Wilhelm 2024, Review of
Economic Studies 91, 476-518).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import gammaincinv, ndtri

from annosim.random import child_seed, uniform53

__all__ = ["Separation", "quasi_variances", "separate", "tie_groups"]

Floats = NDArray[np.float64]
#: numbers drawn at once, and in all: with many pairs there are fewer draws, at least a thousand
CHUNK, MOST = 2_000_000, 20_000_000


@dataclass(frozen=True, eq=False)
class Separation:
    """Which of n items are surely better than which, at one family-wise level.

    Attributes:
        better: ``(n, n)`` bool, entry (i, j): i is surely better than j.
        error: ``(n, n)`` standard errors of the differences.
        critical: of the largest ``|difference| / error`` of all pairs: ``difference +- critical * error`` hold together.
        p_value: ``(n, n)`` adjusted p-values of the differences, two-sided, stepping down.
        rank_low, rank_high: ``(n,)`` ends of the simultaneous rank intervals, 1 is the best.
    """

    better: NDArray[np.bool_]
    error: Floats
    critical: float
    p_value: Floats
    rank_low: NDArray[np.int64]
    rank_high: NDArray[np.int64]


def separate(
    estimate: Floats,
    covariance: Floats,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
    clusters: float = np.inf,
) -> Separation:
    """All pairwise differences at once.

    Pairs of no known error (infinite, or no comparison connects them) are never separated.

    Args:
        estimate: ``(n,)``.
        covariance: ``(n, n)``.
        level: probability that all statements hold.
        draws: of the normal law of the estimates, fewer with many pairs (the critical value has an error of about
            ``1 / sqrt(draws)`` of its spread).
        seed: of these.
        clusters: how many independent units the covariance rests on. Of G the law is a multivariate t with G - 1 degrees
            of freedom, errors larger by ``sqrt(G / (G - 1))``.

    Example:
        >>> found = separate(np.array([2.0, 0.1, 0.0]), np.eye(3) * 0.01)
        >>> found.rank_low.tolist(), found.rank_high.tolist()
        ([1, 2, 2], [1, 3, 3])
    """
    n = len(estimate)
    variance = np.where(np.isfinite(covariance), covariance, 0.0)
    spread = variance.diagonal()
    error = np.sqrt(np.maximum(spread[:, None] + spread[None, :] - 2.0 * variance, 0.0))
    known = np.isfinite(covariance.diagonal())
    usable = known[:, None] & known[None, :] & (error > 1e-12)
    error = np.where(usable, error, np.inf)
    a, b = np.nonzero(np.triu(usable, 1))
    z = np.zeros(0) if not len(a) else np.abs(estimate[a] - estimate[b]) / error[a, b]
    adjusted, critical = _step_down(z, variance, error, a, b, draws, seed, level, clusters)
    p_value = np.ones((n, n))
    p_value[a, b] = p_value[b, a] = adjusted
    better = (p_value <= 1.0 - level) & (estimate[:, None] > estimate[None, :])
    return Separation(better, error, critical, p_value, 1 + better.sum(0), n - better.sum(1))


def _step_down(
    z: Floats,
    covariance: Floats,
    error: Floats,
    a: np.ndarray,
    b: np.ndarray,
    draws: int,
    seed: int,
    level: float,
    clusters: float,
) -> tuple[Floats, float]:
    """Adjusted p-values, and the critical value of all pairs.

    The k-th largest statistic is held against the largest of the simulated statistics of the pairs from the k-th on.
    """
    if not len(z):
        return np.zeros(0), float(ndtri(0.5 + level / 2.0))
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    order = np.argsort(-z, kind="stable")
    scale = 1.0 / error[a[order], b[order]]
    draws = min(draws, max(1000, MOST // len(z)))
    above, largest = np.zeros(len(z)), np.empty(draws)
    step = max(1, CHUNK // max(len(z), 1))
    for start in range(0, draws, step):
        count = min(step, draws - start)
        u = uniform53(child_seed(seed, f"ranks/{start}"), "bootstrap", np.arange(count * len(root)), 0)
        drawn = ndtri(np.clip(u, 1e-16, 1.0)).reshape(count, len(root)) @ root.T
        if np.isfinite(clusters):
            df = max(clusters - 1.0, 1.0)
            v = uniform53(child_seed(seed, f"ranks/t/{start}"), "bootstrap", np.arange(count), 0)
            drawn *= np.sqrt((df + 1.0) / (2.0 * gammaincinv(df / 2.0, np.clip(v, 1e-12, 1.0))))[:, None]
        t = np.abs(drawn[:, a[order]] - drawn[:, b[order]]) * scale
        t = np.maximum.accumulate(t[:, ::-1], axis=1)[:, ::-1]
        above += (t >= z[order]).sum(0)
        largest[start : start + count] = t[:, 0]
    p = np.maximum.accumulate((1.0 + above) / (1.0 + draws))
    out = np.empty(len(z))
    out[order] = p
    return out, float(np.quantile(largest, level, method="higher"))


def tie_groups(estimate: Floats, better: NDArray[np.bool_]) -> list[list[int]]:
    """Maximal runs of items, in order of the estimates, of which no two are separated.

    An item may belong to several groups, as in a compact letter display: that two items are not separated does not make
    them equal.

    Example:
        >>> tie_groups(np.array([2.0, 0.1, 0.0]), separate(np.array([2.0, 0.1, 0.0]), np.eye(3) * 0.01).better)
        [[0], [1, 2]]
    """
    order = np.argsort(-np.asarray(estimate), kind="stable")
    apart = better | better.T
    groups: list[list[int]] = []
    last = -1
    for start in range(len(order)):
        end = start
        while end + 1 < len(order) and not apart[order[start : end + 1], order[end + 1]].any():
            end += 1
        if end > last:
            groups.append(order[start : end + 1].tolist())
            last = end
    return groups


def quasi_variances(covariance: Floats) -> tuple[Floats, float]:
    """Variances q whose sums ``q_i + q_j`` stand for those of the differences, and the worst relative error of a standard error.

    Minimises ``sum (log(q_i + q_j) - log Var(i - j))^2`` over pairs (Firth and de Menezes 2004, Biometrika 91, 65-80), so
    that intervals drawn at the items compare any two of them, whatever the normalisation. Two items have no unique ones.

    Example:
        >>> q, worst = quasi_variances(np.diag([1.0, 2.0, 3.0]))
        >>> q.round(6).tolist(), round(worst, 6)
        ([1.0, 2.0, 3.0], 0.0)
    """
    spread = np.asarray(covariance.diagonal(), dtype=float)
    difference = spread[:, None] + spread[None, :] - 2.0 * covariance
    a, b = np.nonzero(np.triu(np.isfinite(difference) & (difference > 0), 1))
    target = np.log(difference[a, b])
    start = np.array([float(np.median(difference[i][np.isfinite(difference[i])])) / 2.0 for i in range(len(spread))])
    start = np.log(np.where((start > 0) & np.isfinite(start), start, 1.0))
    if len(spread) < 3 or not len(a):
        return np.where(np.isfinite(spread), np.exp(start), np.inf), 0.0

    def residual(log_q: Floats) -> Floats:
        return np.logaddexp(log_q[a], log_q[b]) - target

    def jacobian(log_q: Floats) -> Floats:
        share = np.exp(log_q[a] - np.logaddexp(log_q[a], log_q[b]))
        out = np.zeros((len(a), len(log_q)))
        out[np.arange(len(a)), a], out[np.arange(len(a)), b] = share, 1.0 - share
        return out

    found = least_squares(residual, start, jacobian, method="trf", xtol=1e-12, ftol=1e-12, gtol=1e-12)
    worst = float(np.abs(np.exp(0.5 * residual(found.x)) - 1.0).max())
    return np.where(np.isfinite(spread), np.exp(found.x), np.inf), worst
