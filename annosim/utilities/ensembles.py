"""The mean of several utilities."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.utilities.base import Utility

__all__ = ["Ensemble"]


class Ensemble(Utility):
    """The mean of several utilities, and their spread.

    Args:
        members: utilities.

    Example:
        >>> import annosim as an
        >>> both = Ensemble([an.Tabular([0.0, 2.0]), an.Tabular([1.0, 1.0])])
        >>> both(Items(n=2)).tolist(), both.spread(Items(n=2)).round(decimals=4).tolist()
        ([0.5, 1.5], [0.7071, 0.7071])
    """

    def __init__(self, members: Sequence[Utility]):
        super().__init__()
        if not members or not all(isinstance(member, Utility) for member in members):
            raise ArgumentError("Ensemble(members): a list of at least one utility")
        self.members = nn.ModuleList(members)
        self.local = all(m.local for m in members)

    def forward(self, items: Items) -> torch.Tensor:
        """Mean over members, ``(n,)``."""
        return torch.stack([member(items) for member in self.members]).mean(0)

    def spread(self, items: Items) -> torch.Tensor:
        """Standard deviation over members after centring each (its level says nothing), ``(n,)``."""
        with torch.no_grad():
            values = torch.stack([member(items) for member in self.members])
        return (values - values.mean(-1, keepdim=True)).std(0)
