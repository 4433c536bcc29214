"""Choices with normal coefficients as arrays: what each number of the model moves, and differences of features."""

from __future__ import annotations

import numpy as np

from annosim.learning.likelihoods.statistics import PartialRankings
from annosim.populations.random_coefficients import RandomCoefficients

__all__ = ["coordinates", "free_coordinates", "moving_normals", "stages_of"]


def stages_of(orders: PartialRankings, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each choice from what is left: how many were not chosen ``(choices,)``, and their features less the chosen one's.

    A ranking is a run of choices, the first place first (Luce 1959); differences are ``(choices, others, d)``.
    """
    depth, k = orders.depth.astype(np.int64), orders.order.shape[1]
    row = np.repeat(np.arange(len(depth)), depth)
    place = np.arange(len(row)) - np.repeat(np.cumsum(depth) - depth, depth)
    size = orders.length[row] - 1 - place
    others = place[:, None] + np.arange(1, k)
    real = others < orders.length[row, None]
    listed = np.where(real, orders.order[row[:, None], np.minimum(others, k - 1)], orders.order[row, place][:, None])
    return size.astype(np.int64), features[listed] - features[orders.order[row, place]][:, None]


def coordinates(model: RandomCoefficients) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For mean, scale and lower: the coefficient each number moves, the normal it multiplies (-1: none), its value."""
    d, varying = model.dim, np.array(model.varying)
    component, column = [np.arange(d), varying], [np.full(d, -1), varying]
    parts = [model.mean, model.scale]
    if model.lower is not None:
        rows, columns = np.tril_indices(len(varying), -1)
        component, column = [*component, varying[rows]], [*column, varying[columns]]
        parts.append(model.lower)
    full = np.concatenate([part.detach().double().numpy().reshape(-1) for part in parts])
    return np.concatenate(component), np.concatenate(column), full


def moving_normals(column: np.ndarray, full: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The normals that move something: those of the others are never drawn."""
    moves = column >= 0
    moves[np.setdiff1d(np.flatnonzero(full == 0), free)] = False
    return np.unique(column[moves])


def free_coordinates(model: RandomCoefficients) -> np.ndarray:
    parts = [model.mean, model.scale] + ([] if model.lower is None else [model.lower])
    return np.flatnonzero(np.concatenate([np.full(part.numel(), part.requires_grad) for part in parts]))
