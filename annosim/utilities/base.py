"""Utilities: what one wants. A utility is a torch module that maps the whole item set to ``n`` numbers.

``u(items) -> (n,)``; it is then indexed by menu, so a network makes one pass over the items, never one per pair. A
**density** is a utility whose numbers are log densities: it has ``log_prob(items)`` and ``sample`` too
(:mod:`annosim.utilities.densities`).
"""

from __future__ import annotations

import torch
from torch import nn

from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.parameters import Model

__all__ = ["Utility"]


class Utility(Model):
    """Base of every utility: ``forward(items) -> (n,)``.

    Example:
        A utility of one's own declares its numbers and maps the whole item set:

        >>> class Threshold(Utility):
        ...     def __init__(self, at):
        ...         super().__init__()
        ...         self.declare("at", at, free_by_default=True)
        ...     def forward(self, items):
        ...         return (items.features[:, 0] > self.at).double()
        >>> Threshold(0.5)(Items(features=[[0.0], [1.0]])).tolist()
        [0.0, 1.0]
    """

    #: True when the utility also needs the context of the question (``data.prompt``).
    takes_context: bool = False

    def forward(self, items: Items) -> torch.Tensor:  # pragma: no cover - interface
        """Utilities of all items, ``(n,)``."""
        raise TypeError(f"{type(self).__name__} must define forward(items) -> (n,)")


def numbers_of(utility: nn.Module, u: torch.Tensor, n: int) -> torch.Tensor:
    """The values of a utility, ``(n,)``; a column ``(n, 1)`` counts as that.

    Raises:
        ArgumentError: it gave anything else (several outputs, too many numbers): read row by row that would be garbage.

    Example:
        >>> numbers_of(nn.Linear(1, 1), torch.zeros(3, 1), 3).shape
        torch.Size([3])
    """
    if not isinstance(u, torch.Tensor):
        raise ArgumentError(
            f"{type(utility).__name__} gave {type(u).__name__}; a utility is a tensor, a number an item"
        )
    if u.shape == (n,):
        return u
    if u.shape == (n, 1):
        return u[:, 0]
    several = "; pick one of its outputs, utility.column(0)" if u.ndim == 2 and u.shape[0] == n else ""
    raise ArgumentError(
        f"{type(utility).__name__} gave numbers of shape {tuple(u.shape)} for {n} items; a utility is one number an "
        f"item, ({n},){several}"
    )


def features_of(utility: Utility, items: Items, dim: int) -> torch.Tensor:
    name = type(utility).__name__
    if items.features is None:
        raise ArgumentError(f"{name}: the items have no features; give Items(features=...) or use Tabular")
    if items.dim != dim:
        raise ArgumentError(f"{name} has {dim} weights but the items have {items.dim} features; make them equally many")
    return items.features
