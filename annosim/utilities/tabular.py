"""Utilities without features: a number per item, or zero for all."""

from __future__ import annotations

import numpy as np
import torch

from annosim.constraints import check_size
from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.parameters import ParameterLike
from annosim.utilities.base import Utility

__all__ = ["Tabular", "ZeroUtility"]


class Tabular(Utility):
    """One free number per item.

    Args:
        values: their number ``n`` (values start at 0), or the ``n`` values; ``fixed(values)`` when known.

    Raises:
        ArgumentError: a value is NaN or infinite, or the item set has another size.

    Example:
        >>> Tabular([0.0, 1.0])(Items(n=2)).tolist()
        [0.0, 1.0]
    """

    def __init__(self, values: ParameterLike):
        super().__init__()
        if isinstance(values, int | np.integer) and not isinstance(values, bool):
            if values < 1:
                raise ArgumentError(f"Tabular({values}): needs at least one item")
            check_size(f"Tabular({values})", int(values))
            values = np.zeros(int(values))
        self.declare("values", values, free_by_default=True)
        if self.values.ndim != 1:
            raise ArgumentError(f"Tabular(values=): shape {tuple(self.values.shape)}, expected (n,)")

    def forward(self, items: Items) -> torch.Tensor:
        """The values, ``(n,)``."""
        if items.n != self.values.shape[-1]:
            raise ArgumentError(f"Tabular has {self.values.shape[-1]} values but there are {items.n} items")
        return self.values


class ZeroUtility(Utility):
    """Wants nothing: zero for every item, no parameters. The utility of spammers.

    Example:
        >>> ZeroUtility()(Items(n=2)).tolist()
        [0.0, 0.0]
    """

    def forward(self, items: Items) -> torch.Tensor:
        """Zeros, ``(n,)``."""
        return torch.zeros(items.n, dtype=torch.float64, device=items.weights.device)
