"""Any distribution of tastes under a rich linear design: the statements T1 to T4 of docs/theorems.md."""

from __future__ import annotations

import math

import numpy as np

from annosim.errors import ArgumentError, told
from annosim.identifiability.theorems.statement import Conclusion

__all__ = ["duplicated_slate", "odd_part_twin", "same_annotator_pairs", "tastes_from_pairs", "tie_share"]


def tastes_from_pairs(tastes: np.ndarray, weights: np.ndarray, tol: float = 1e-9) -> Conclusion:
    r"""One pair per annotator, linear utility, pairs in an open ball around 0 (T1).

    ``sigmoid - 1/2`` is odd: only ``J = F - reflect(F)`` is identified, and F is point-identified, among all
    distributions, iff F and its reflection are mutually singular: no atom at zero and no two antipodal atoms.

    Args:
        tastes: ``(K, d)`` atoms; weights: ``(K,)``.

    Example:
        >>> tastes_from_pairs(np.array([[1., 0.], [0., 1.]]), np.array([.5, .5])).kind
        'identified'
        >>> tastes_from_pairs(np.array([[1., 0.], [0., 0.]]), np.array([.5, .5])).kind
        'not identified'
    """
    source = "docs/theorems.md, T1; Chidambaram et al. (2405.15065)"
    tastes = np.atleast_2d(np.asarray(tastes, dtype=float))[np.asarray(weights) > tol]
    apart = np.abs(tastes[:, None] + tastes[None]).max(-1)  # distance of each taste from each reflected one
    if (apart < tol).any():
        which = "a type without preferences" if (np.diag(apart) < tol).any() else "antipodal types"
        return Conclusion("not identified", f"{which}: one pair per annotator shows only the odd part of F", source)
    return Conclusion("identified", "F and its reflection are mutually singular (rich linear design of pairs)", source)


def odd_part_twin(taste: np.ndarray, weight: float) -> tuple[np.ndarray, np.ndarray]:
    """The one twin of ``{b: w, 0: 1 - w}`` inside the two-type family: ``{b: (1 + w)/2, -b: (1 - w)/2}``.

    Example:
        >>> odd_part_twin(np.array([1.0]), 0.5)[1].tolist()
        [0.75, 0.25]
    """
    taste = np.asarray(taste, dtype=float)
    return np.stack([taste, -taste]), np.array([(1 + weight) / 2, (1 - weight) / 2])


def duplicated_slate(scale: float, x: float = 1.0) -> float:
    r"""``P(a)`` on the slate {a, b, b} for tastes ``+-scale`` at one half each: ``E sigmoid(t - log 2)`` (T2).

    Example:
        >>> round(duplicated_slate(1.0), 6), round(duplicated_slate(2.0), 6)
        (0.36574, 0.425182)
    """
    t = np.array([scale * x, -scale * x]) - math.log(2)
    return float((1 / (1 + np.exp(-t))).mean())


def same_annotator_pairs(tastes: np.ndarray, weights: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    r"""``E sigmoid(x1'beta) sigmoid(x2'beta)``: probability that an annotator takes the first item of both pairs (T3).

    Two answers by the same annotator show even moments of F: ``E h(x1'beta) h(x2'beta)`` with the odd ``h = sigmoid -
    1/2`` is even in beta, so antipodal and indifferent tastes, alike in every single pair, come apart.

    Args:
        tastes: ``(K, d)`` atoms; weights: ``(K,)``; first, second: ``(d,)`` feature differences of the two pairs.

    Example:
        >>> split, nobody = np.array([[1.0], [-1.0]]), np.zeros((1, 1))
        >>> x = np.ones(1)
        >>> round(same_annotator_pairs(split, np.array([.5, .5]), x, x), 4)
        0.3034
        >>> same_annotator_pairs(nobody, np.ones(1), x, x)
        0.25
    """
    p = 1 / (1 + np.exp(-np.atleast_2d(tastes) @ np.stack([first, second], 1)))
    return float(np.asarray(weights) @ p.prod(-1))


def tie_share(tastes: np.ndarray, weights: np.ndarray, difference: np.ndarray, threshold: float) -> float:
    r"""Share of ties of Rao and Kupper's rule on a pair with feature difference x (T4).

    ``1 - sigmoid(t - log theta) - sigmoid(-t - log theta)`` with ``t = x'beta`` is even in t, so one answer A, B or tie
    by each annotator shows the even part of F, too (for all but countably many known thresholds theta above 1).

    Raises:
        ArgumentError: a threshold of 1 or less (there are no ties).

    Example:
        >>> split, nobody = np.array([[2.0], [-2.0]]), np.zeros((1, 1))
        >>> x = np.ones(1)
        >>> [round(tie_share(b, np.full(len(b), 1 / len(b)), x, 2.0), 4) for b in (split, nobody)]
        [0.1496, 0.3333]
    """
    if not threshold > 1:
        raise ArgumentError(f"tie_share(threshold={told(threshold)}): above 1, else nobody says equal")
    t = np.atleast_2d(tastes) @ np.asarray(difference)
    cut = math.log(threshold)
    win = 1 / (1 + np.exp(-(t - cut))) + 1 / (1 + np.exp(-(-t - cut)))
    return float(np.asarray(weights) @ (1 - win))
