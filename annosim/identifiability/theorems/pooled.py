"""What one model learns from many people: existence, Borda order, clones, correlations."""

from __future__ import annotations

import math

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from annosim.errors import ArgumentError

__all__ = ["borda_order", "probit_best_of_three", "voronoi_weights", "win_graph"]


def win_graph(wins: np.ndarray) -> bool:
    """Ford 1957: the Bradley-Terry maximum-likelihood estimate exists and is unique iff the win graph is strongly
    connected (Plackett-Luce likewise, Hunter 2004).

    Args:
        wins: ``(n, n)`` counts, ``wins[i, j]`` times that i beat j.

    Example:
        >>> win_graph(np.array([[0, 1], [1, 0]])), win_graph(np.array([[0, 1], [0, 0]]))
        (True, False)
    """
    return int(connected_components(csr_matrix(np.asarray(wins) > 0), connection="strong")[0]) == 1


def probit_best_of_three(correlation: float) -> float:
    r"""Correlated probit with zero means: ``P(1 is best of 3) = 1/4 + arcsin(rho) / (2 pi)``, rho = corr(u1-u2, u1-u3).

    Pairs say nothing of the correlations (each is 1/2); best-of-three does (Cherapanamjeri et al. 2025, 2510.15839).

    Example:
        >>> round(probit_best_of_three(0.5), 6)
        0.333333
    """
    return 0.25 + math.asin(correlation) / (2 * math.pi)


def borda_order(share: np.ndarray) -> np.ndarray:
    """Hidden context: a Bradley-Terry fit to uniform pairs orders items by Borda score, not by expected utility
    (Siththaranjan, Laidlaw, Hadfield-Menell 2023).

    Args:
        share: ``(n, n)`` probabilities that the row beats the column.

    Returns:
        items, best first.

    Example:
        >>> borda_order(np.array([[.5, .9], [.1, .5]])).tolist()
        [0, 1]
    """
    return np.argsort(-np.asarray(share).sum(1), kind="stable")


def voronoi_weights(positions: np.ndarray, sample: np.ndarray) -> np.ndarray:
    r"""Share of a reference sample whose nearest item is each item (ties shared), ``(n,)``: it sums to one.

    The regularised one-reward maximum-likelihood estimate is not robust to approximate clones: when an item is copied,
    the order of the others can change. Weighting each item by its Voronoi cell makes it robust: clones share the weight
    of one (Procaccia, Schiffer, Zhang 2025, 2501.09254).

    Args:
        positions: ``(n, d)`` where the items are.
        sample: ``(m, d)`` points that stand for the space of items.

    Raises:
        ArgumentError: other shapes.

    Example:
        >>> voronoi_weights(np.array([[0.0], [1.0], [1.0]]), np.array([[0.1], [0.9]])).tolist()  # two clones
        [0.5, 0.25, 0.25]
    """
    positions, sample = np.asarray(positions, dtype=float), np.asarray(sample, dtype=float)
    if positions.ndim != 2 or sample.ndim != 2 or positions.shape[1] != sample.shape[1] or not len(sample):
        raise ArgumentError("voronoi_weights(positions (n, d), sample (m, d)): two arrays of the same d")
    far = np.square(sample[:, None] - positions[None]).sum(-1)
    nearest = far <= far.min(1, keepdims=True) * (1 + 1e-12) + 1e-300
    return (nearest / nearest.sum(1, keepdims=True)).mean(0)
