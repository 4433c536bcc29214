"""Separation in linear models: a direction along which the likelihood never falls has no finite maximum.

The estimate of ``s = A w`` exists, uniquely up to the normalisation, when no ``w`` has ``(a_chosen - a_other) w >= 0`` for
every answer with at least one strict inequality (Albert and Anderson 1984). Positive weights under which the differences
sum to zero prove that there is none (Stiemke 1915), and a few steps of a logistic fit mostly find some. Otherwise it is a
linear program; it is solved on a growing subset of the answers, which ends early when the subset already overlaps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import linprog

from annosim.errors import NotIdentifiedError
from annosim.items import Items
from annosim.learning.existence.connectivity import LIKELIHOOD

__all__ = ["differences", "feature_null_space", "nearly_collinear", "check_linear", "separating_direction"]

#: singular values of centred features in their own units, relative to the largest, below which a direction is hardly seen
NEARLY = 1e-5
#: steps of the logistic fit that looks for weights under which differences sum to zero, and the least weight that counts
STEPS, LEAST = 12, 1e-5
PRIORS = "pass prior=an.priors.Ridge(1) or an.priors.Gaussian(sd)"


def differences(orders: Any, matrix: np.ndarray) -> np.ndarray:
    """``a_chosen - a_other`` of every stage with positive weight, distinct rows, ``(D, d)``."""
    parts = []
    for t in range(int(orders.depth.max(initial=0))):
        for a in range(t + 1, orders.order.shape[1]):
            use = (orders.weight > 0) & (orders.depth > t) & (orders.length > a)
            code = np.unique(orders.order[use, t].astype(np.int64) * orders.n + orders.order[use, a])
            parts.append(code)
    code = np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.int64)
    return matrix[code // orders.n] - matrix[code % orders.n]


def separating_direction(d: np.ndarray) -> np.ndarray | None:
    """A ``w`` with ``d @ w >= 0`` and not all zero, or ``None`` when the answers overlap.

    Args:
        d: ``(D, dim)`` differences, chosen minus other.

    Example:
        >>> separating_direction(np.array([[1.0], [2.0]]))
        array([1.])
        >>> separating_direction(np.array([[1.0], [-1.0]])) is None
        True
    """
    size = np.abs(d).max(1, initial=0.0)
    d = d[size > 0] / size[size > 0, None]
    if not len(d):
        return None
    dim, rank = d.shape[1], _rank(d)
    take = np.unique(np.linspace(0, len(d) - 1, min(len(d), 50 * dim + 50)).astype(int))
    while True:
        part = d[take]
        if _overlap(part) and _rank(part) == rank:
            return None
        solved = linprog(-part.sum(0), A_ub=-part, b_ub=np.zeros(len(part)), bounds=[(-1, 1)] * dim, method="highs")
        w = solved.x if solved.x is not None else np.zeros(dim)
        gains = d @ w
        found = float((part @ w).sum()) > 1e-9 * len(part)
        if found and gains.min() >= -1e-9:
            return w
        if not found and _rank(part) == rank:
            return None
        worst = np.argsort(gains)[: 50 * dim + 50] if found else np.arange(len(d))
        fresh = np.union1d(take, worst)
        if len(fresh) == len(take):
            return None
        take = fresh


def _overlap(x: np.ndarray) -> bool:
    """Positive weights were found under which the rows sum to zero; without them nothing is known.

    They are those of a logistic fit, moved to where the sum vanishes. The steps end where the rows have hardly any weight
    left, as they do where a direction separates them.
    """
    w = np.zeros(x.shape[1])
    for _ in range(STEPS):
        gain = x @ w
        q = 0.5 - 0.5 * np.tanh(0.5 * gain)
        pull = x.T @ q
        weights = q * (1.0 - x @ np.linalg.lstsq((x * q[:, None]).T @ x, pull, rcond=None)[0])
        least = float(weights.min())
        if least > LEAST and np.abs(x.T @ weights).max() <= 1e-8 * least:
            return True
        if q.min() < LEAST:
            return False
        w = w + np.linalg.lstsq((x * (q * (1.0 - q))[:, None]).T @ x, pull, rcond=None)[0]
    return False


def check_linear(
    d: np.ndarray, matrix: np.ndarray, items: Items, penalty: Any, estimate: str = LIKELIHOOD, remedy: str = PRIORS
) -> tuple[list[str], np.ndarray | None]:
    """Existence of a linear model's estimate: notes and null directions ``(dim, G)``, or :class:`NotIdentifiedError`.

    ``d (D, dim)`` has the :func:`differences` of the answers. Directions that leave every item's centred index alone
    are conventions; directions that the menus never varied, and directions that separate the answers, are errors (or what
    the prior decided).
    """
    centred, unit = _centred_units(matrix, items)
    d = d / unit
    null_space, unvaried = _null(centred), _null(d)
    problems = []
    if unvaried.shape[1] > null_space.shape[1]:
        only = unvaried - null_space @ (null_space.T @ unvaried)
        worst = only[:, int(np.argmax(np.linalg.norm(only, axis=0)))]
        problems.append(f"no menu varied the direction {_direction(worst / unit)} of the features")
    separating = separating_direction(d)
    if separating is not None:
        problems.append(
            f"the answers are separated along {_direction(separating / unit)} (the likelihood rises for ever)"
        )
    null = feature_null_space(matrix, items)
    if penalty is not None:
        told = (
            f"{penalty} decided what the data do not: {'; '.join(problems)}"
            if problems
            else f"{penalty}: it only shrinks"
        )
        return [told], None
    if problems:
        raise NotIdentifiedError(
            f"fit: {estimate} does not exist: {'; '.join(problems)}. Remedies: {remedy}, drop the feature, or ask menus "
            "that vary it."
        )
    return (
        [f"{null_space.shape[1]} direction(s) of the features never change a choice: minimum-norm weights"]
        if null is not None
        else []
    ), null


def nearly_collinear(matrix: np.ndarray, items: Items) -> list[str]:
    """A note on a direction of the features that varies next to nothing beside the others.

    Example:
        >>> nearly_collinear(np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0000001]]), Items(n=3))[0][:58]
        'the features are nearly collinear: along [1, -1] the items'
    """
    centred, unit = _centred_units(matrix, items)
    _, values, rows = np.linalg.svd(centred, full_matrices=False)
    low = np.flatnonzero((values > 1e-10 * values.max(initial=0.0)) & (values < NEARLY * values.max(initial=0.0)))
    return [
        f"the features are nearly collinear: along {_direction(_forward(rows[j] / unit))} the items differ by "
        f"{values[j] / values.max():.1g} of what they do elsewhere, so that next to nothing is known of the weights along it; "
        "drop or combine features"
        for j in low[-1:]
    ]


def _forward(w: np.ndarray) -> np.ndarray:
    """One of two opposite directions: the first entry that is not small is positive."""
    return w * np.sign(w[np.flatnonzero(np.abs(w) > 0.1 * np.abs(w).max())[0]])


def feature_null_space(matrix: np.ndarray, items: Items) -> np.ndarray | None:
    """Orthonormal directions of the weights ``(dim, G)`` that change no choice: collinear or constant features.

    Example:
        >>> feature_null_space(np.array([[1.0, 3.0], [2.0, 3.0]]), Items(n=2)).round(6).tolist()
        [[0.0], [1.0]]
    """
    centred, unit = _centred_units(matrix, items)
    null_space = _null(centred) / unit[:, None]
    if not null_space.shape[1]:
        return None
    basis = np.linalg.qr(null_space)[0]
    return basis * np.where(basis.sum(0) < 0, -1.0, 1.0) + 0.0


def _centred_units(matrix: np.ndarray, items: Items) -> tuple[np.ndarray, np.ndarray]:
    """Features centred in each prompt and divided by their largest values ``(dim,)``: units say nothing."""
    code = np.unique(items.prompts.numpy(), return_inverse=True)[1].reshape(-1)
    means = np.stack([matrix[code == p].mean(0) for p in range(code.max() + 1)])
    centred = matrix - means[code]
    unit = np.abs(centred).max(0, initial=0.0)
    live = unit > 1e-12 * np.abs(matrix).max(0, initial=0.0)
    return np.where(live, centred, 0.0) / np.where(live, unit, 1.0), np.where(live, unit, 1.0)


def _null(a: np.ndarray) -> np.ndarray:
    if not len(a):
        return np.eye(a.shape[1])
    if len(a) > a.shape[1]:
        # the same singular values and right vectors, in a fraction of the time
        a = np.linalg.qr(a, mode="r")  # type: ignore[assignment]  # numpy's hints know the other mode
    _, values, rows = np.linalg.svd(a)
    rank = int((values > 1e-10 * max(values.max(initial=0.0), 1e-300)).sum())
    return rows[rank:].T


def _rank(a: np.ndarray) -> int:
    return a.shape[1] - _null(a).shape[1]


def _direction(w: np.ndarray) -> str:
    w = w / np.abs(w).max()
    return "[" + ", ".join(f"{v:.3g}" for v in w[:6]) + (", ..." if len(w) > 6 else "") + "]"
