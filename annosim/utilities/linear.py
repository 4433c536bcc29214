"""Linear utilities of features, and distances to an ideal."""

from __future__ import annotations

import numpy as np
import torch

from annosim.constraints import check_size
from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.parameters import ParameterLike
from annosim.utilities.base import Utility, features_of

__all__ = ["IdealPoint", "Linear"]


class Linear(Utility):
    """``u(x) = x' w``.

    Args:
        weights: ``(dim,)`` values, or their number (then zeros).

    Example:
        >>> Linear([1.0, 2.0])(Items(features=[[1.0, 1.0], [0.0, 3.0]])).tolist()
        [3.0, 6.0]
    """

    def __init__(self, weights: ParameterLike):
        super().__init__()
        if isinstance(weights, int | np.integer) and not isinstance(weights, bool):
            if weights < 1:
                raise ArgumentError(f"Linear({weights}): needs at least one weight")
            check_size(f"Linear({weights})", int(weights))
            weights = np.zeros(int(weights))
        self.declare("weights", weights, free_by_default=True, ndim=1)

    def forward(self, items: Items) -> torch.Tensor:
        """Inner products with the features, ``(n,)``."""
        return features_of(self, items, self.weights.shape[-1]) @ self.weights


class IdealPoint(Utility):
    """``u(x) = -scale * ||x - point||^2``: one likes best what is nearest to one's ideal (Coombs unfolding).

    Args:
        point: ``(dim,)``.
        scale: positive number, fixed unless written ``free(start)``.

    Example:
        >>> IdealPoint([0.0])(Items(features=[[0.0], [2.0]])).tolist()
        [0.0, -4.0]
    """

    def __init__(self, point: ParameterLike, scale: ParameterLike = 1.0):
        super().__init__()
        self.declare("point", point, free_by_default=True, ndim=1)
        self.declare("scale", scale, "positive", ndim=0)

    def forward(self, items: Items) -> torch.Tensor:
        """Negative scaled squared distances, ``(n,)``."""
        x = features_of(self, items, self.point.shape[-1])
        return 0.0 - self.scale * ((x - self.point) ** 2).sum(-1)
