"""How well recovered types match the true ones: naming by assignment, accuracy, adjusted Rand index."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment

from annosim.arrays import Numbers, as_numpy
from annosim.errors import ArgumentError

__all__ = ["adjusted_rand", "assign", "clustering_accuracy", "contingency"]


def assign(cost: Numbers) -> np.ndarray:
    """The naming of types that minimises the total cost (Hungarian method; Kuhn 1955).

    Args:
        cost: ``(K, L)`` cost of calling fitted type ``l`` true type ``k``.

    Returns:
        ``(K,)`` ints: the fitted type of each true type, -1 for true types left over when ``K > L``.

    Raises:
        ArgumentError: the costs are not a finite table.

    Example:
        >>> assign([[1.0, 0.0], [0.0, 1.0]]).tolist()
        [1, 0]
    """
    table = np.asarray(as_numpy(cost), dtype=np.float64)
    if table.ndim != 2 or not np.isfinite(table).all():
        raise ArgumentError(f"assign(cost=): shape {table.shape}; give a finite (true types, fitted types) table")
    rows, columns = linear_sum_assignment(table)
    out = np.full(len(table), -1)
    out[rows] = columns
    return out


def contingency(truth: ArrayLike, found: ArrayLike) -> np.ndarray:
    """Counts of annotators by true and found type, ``(K, L)``; labels are sorted.

    Raises:
        ArgumentError: labels of different length, or none.

    Example:
        >>> contingency([0, 0, 1], [1, 1, 0]).tolist()
        [[0, 2], [1, 0]]
    """
    a, b = np.asarray(truth).ravel(), np.asarray(found).ravel()
    if len(a) != len(b) or not len(a):
        raise ArgumentError(f"labels: {len(a)} true and {len(b)} found; give one of each per annotator")
    _, i = np.unique(a, return_inverse=True)
    _, j = np.unique(b, return_inverse=True)
    table = np.zeros((int(i.max()) + 1, int(j.max()) + 1), dtype=np.int64)
    np.add.at(table, (i, j), 1)
    return table


def adjusted_rand(truth: ArrayLike, found: ArrayLike) -> float:
    """Adjusted Rand index of two labellings (Hubert and Arabie 1985): 1 for equal partitions, 0 on average by chance.

    Two partitions that are both trivial in the same way (one cluster, or all singletons) are equal: 1.

    Args:
        truth, found: ``(annotators,)`` labels; their names do not matter.

    Raises:
        ArgumentError: labels of different length, or none.

    Example:
        >>> adjusted_rand([0, 0, 1, 1], [5, 5, 3, 3])
        1.0
    """
    table = contingency(truth, found)
    pairs = lambda x: float((x * (x - 1) / 2).sum())  # noqa: E731
    together, rows, columns = pairs(table), pairs(table.sum(1)), pairs(table.sum(0))
    everything = pairs(np.array([table.sum()]))
    expected = rows * columns / everything if everything else 0.0
    top = (rows + columns) / 2
    return 1.0 if top == expected else (together - expected) / (top - expected)


def clustering_accuracy(truth: ArrayLike, found: ArrayLike) -> float:
    """Share of annotators put in the right type, under the naming of types that makes it largest.

    Raises:
        ArgumentError: labels of different length, or none.

    Example:
        >>> clustering_accuracy([0, 0, 1, 1], [1, 1, 0, 1])
        0.75
    """
    table = contingency(truth, found)
    match = assign(-table)
    kept = match >= 0
    return float(table[np.flatnonzero(kept), match[kept]].sum() / table.sum())
