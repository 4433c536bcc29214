"""Utilities: what one wants. A utility is a torch module that maps the whole item set to ``n`` numbers.

``u(items) -> (n,)``; it is then indexed by menu, so a network makes one pass over the items, never one per pair. A
**density** is a utility whose numbers are log densities: it has ``log_prob(items)`` and ``sample`` too
(:mod:`annosim.utilities.densities`).
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import nn

from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.parameters import Model, describe

__all__ = ["Density", "Utility"]


@runtime_checkable
class Density(Protocol):
    """Anything with a log density over items: :class:`annosim.LogDensity`, :class:`annosim.LogPolicy`, or one's own."""

    def log_prob(self, items: Items) -> torch.Tensor:
        """Log density of each item with respect to ``items.weights``, ``(n,)``."""


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
        >>> Threshold(0.5)
        Threshold(at=0.5)
    """

    #: True when an item's number depends on that item alone, so that a minibatch needs only the items it shows.
    local: bool = False
    #: True when the utility also needs the context of the question (``data.prompt``).
    takes_context: bool = False

    def forward(self, items: Items) -> torch.Tensor:  # pragma: no cover - interface
        """Utilities of all items, ``(n,)``."""
        raise TypeError(f"{type(self).__name__} must define forward(items) -> (n,)")

    def __repr__(self) -> str:
        return describe(self) if self.declared else super().__repr__()  # of a network torch names the layers


def as_vector(utility: nn.Module, u: torch.Tensor, n: int) -> torch.Tensor:
    """The values of a utility, ``(n,)``; a column ``(n, 1)`` counts as that.

    Raises:
        ArgumentError: it gave anything else (several outputs, too many numbers): read row by row that would be garbage.

    Example:
        >>> as_vector(nn.Linear(1, 1), torch.zeros(3, 1), 3).shape
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
    """The items' features, ``(n, dim)``.

    Raises:
        ArgumentError: there are none, or of another number.
    """
    name = type(utility).__name__
    if items.features is None:
        raise ArgumentError(f"{name}: the items have no features; give Items(features=...) or use Tabular")
    if items.dim != dim:
        raise ArgumentError(f"{name} has {dim} weights but the items have {items.dim} features; make them equally many")
    return items.features
