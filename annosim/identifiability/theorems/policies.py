"""Known bounds on what is done with a reward: lotteries, ensembles, best-of-n, the worst-off group."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import linprog

from annosim.errors import ArgumentError

__all__ = [
    "best_of_n_kl",
    "max_min_policy",
    "maximal_lottery_distortion",
    "over_optimisation",
    "pairwise_calibration_error",
]


def maximal_lottery_distortion(b: float) -> float:
    """Distortion of maximal lotteries under Bradley-Terry noise of scale b: at most ``(b/2)(1 + e^-b)/(1 - e^-b)``
    (Goelz, Haghtalab, Yang 2025, 2505.23749).

    Example:
        >>> [round(maximal_lottery_distortion(b), 4) for b in (1, 2, 5)]
        [1.082, 1.313, 2.5339]
    """
    if not b > 0:
        raise ArgumentError(f"maximal_lottery_distortion(b={b}): must be above 0")
    return b / 2 / math.tanh(b / 2)


def pairwise_calibration_error(rewards: int) -> float:
    """k i.i.d. rewards of annotators have squared calibration error at most ``1/(4k)`` on every pair (2506.06298).

    Example:
        >>> pairwise_calibration_error(25)
        0.01
    """
    return 1 / (4 * rewards)


def best_of_n_kl(n: int) -> float:
    """Upper bound ``log n - (n - 1)/n`` of the KL divergence of best-of-n from its base (Beirami et al. 2401.01879).

    Example:
        >>> round(best_of_n_kl(2), 6)
        0.193147
    """
    return math.log(n) - (n - 1) / n


def over_optimisation(distance: np.ndarray, alpha: float, beta: float, kind: str = "best-of-n") -> np.ndarray:
    """True reward against ``d = sqrt(KL)``: ``d (alpha - beta d)`` for best-of-n, ``d (alpha - beta log d)`` for RL
    (Gao, Schulman, Hilton 2022, 2210.10760).

    Example:
        >>> over_optimisation(np.array([1.0, 2.0]), 1.0, 0.25).tolist()
        [0.75, 1.0]
    """
    d = np.asarray(distance, dtype=float)
    return d * (alpha - beta * (d if kind == "best-of-n" else np.log(d)))


def max_min_policy(utilities: np.ndarray) -> tuple[float, np.ndarray]:
    r"""``max_pi min_k E_pi u_k``: the value of the worst-off group, and the policy over items that attains it.

    A single reward cannot serve groups that disagree; maximising the worst group's utility is a matrix game, solved by
    a linear program (MaxMin-RLHF, Chakraborty et al. 2402.08925, without the KL term).

    Args:
        utilities: ``(K, n)``.

    Example:
        >>> value, policy = max_min_policy(np.array([[1.0, 0.0, 0.4], [0.0, 1.0, 0.4]]))
        >>> value, policy.round(6).tolist()
        (0.5, [0.5, 0.5, 0.0])
    """
    u = np.atleast_2d(np.asarray(utilities, dtype=float))
    if u.ndim != 2 or not np.isfinite(u).all():
        raise ArgumentError("max_min_policy(utilities): a finite array of shape (K, n)")
    k, n = u.shape
    found = linprog(
        np.r_[np.zeros(n), -1.0],
        A_ub=np.c_[-u, np.ones(k)],
        b_ub=np.zeros(k),
        A_eq=np.r_[np.ones(n), 0.0][None],
        b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)],
        method="highs",
    )
    return float(found.x[-1]), found.x[:n]
