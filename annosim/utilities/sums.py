"""Utilities put together: sums of parts, and parts that look at some of the features.

A part that several types are given is one module: its numbers are shared. A part with ``fixed`` numbers is known.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from annosim.constraints import check_whole_numbers
from annosim.errors import ArgumentError, told
from annosim.items import Items
from annosim.utilities.base import Utility, as_vector

__all__ = ["OnFeatures", "Sum"]


class Sum(Utility):
    """``u(x) = sum_p u_p(x)``: types that are given the same part share its coefficients, and differ in the others.

    Args:
        parts: utilities.

    Raises:
        ArgumentError: no parts, or one that is no utility.

    Example:
        Two types who agree on the price and differ in taste:

        >>> import annosim as an
        >>> price = an.utilities.OnFeatures(an.Linear([-1.0]), [0])
        >>> tastes = [an.utilities.OnFeatures(an.Linear([w]), [1]) for w in (1.0, -1.0)]
        >>> two = an.Mixture([an.Annotator(an.utilities.Sum([price, own]), an.Luce()) for own in tastes])
        >>> two.num_free(), [one.utility(an.Items(features=[[1.0, 2.0]])).item() for one in two.components()]
        (5, [1.0, -3.0])
    """

    def __init__(self, parts: Sequence[Utility]):
        super().__init__()
        if not isinstance(parts, Sequence) or not parts or not all(isinstance(part, Utility) for part in parts):
            raise ArgumentError("Sum(parts): a list of at least one utility")
        self.parts = nn.ModuleList(parts)
        self.local = all(part.local for part in parts)

    def forward(self, items: Items) -> torch.Tensor:
        """The sum, ``(n,)``."""
        return torch.stack([as_vector(part, part(items), items.n).double() for part in self.parts]).sum(0)


class OnFeatures(Utility):
    """A utility that looks at some of the items' features only.

    Args:
        utility: such as ``an.Linear(2)`` or a network.
        features: their numbers, in the order in which the utility reads them.

    Raises:
        ArgumentError: no whole numbers, or items without one of these features.

    Example:
        >>> import annosim as an
        >>> OnFeatures(an.Linear([2.0]), [1])(an.Items(features=[[5.0, 1.0], [0.0, 3.0]])).tolist()
        [2.0, 6.0]
    """

    def __init__(self, utility: Utility, features: Sequence[int]):
        super().__init__()
        if not isinstance(utility, Utility):
            raise ArgumentError(f"OnFeatures(utility={told(utility)}): a utility such as an.Linear(2)")
        self.features = tuple(check_whole_numbers("OnFeatures(features=)", features).reshape(-1).tolist())
        if not self.features or min(self.features) < 0:
            raise ArgumentError("OnFeatures(features=): numbers of features, 0 for the first")
        self.utility = utility
        self.local = utility.local

    def forward(self, items: Items) -> torch.Tensor:
        """Of the items with these features alone, ``(n,)``."""
        some: torch.Tensor = self.utility(items.on_features(self.features))
        return some
