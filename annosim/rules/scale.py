"""Scale: an inverse temperature for any rule."""

from __future__ import annotations

import torch

from annosim.items import Items
from annosim.parameters import ParameterLike
from annosim.rules.base import Rule
from annosim.rules.response_biases import ResponseBias

__all__ = ["Scaled"]


class Scaled(ResponseBias):
    """Multiplies the wrapped rule's index by ``factor``: an inverse temperature for any rule.

    Args:
        rule: the wrapped rule.
        factor: positive; ``free(start)`` to estimate.

    Example:
        >>> import annosim as an
        >>> Scaled(an.Luce(), 2.0).index(torch.tensor([1.0]), an.Items(n=1)).tolist()
        [2.0]
    """

    def __init__(self, rule: Rule, factor: ParameterLike):
        super().__init__(rule)
        self.declare("factor", factor, "positive", ndim=0)

    def index(self, u: torch.Tensor, items: Items) -> torch.Tensor:
        """``factor`` times the wrapped index, ``(..., n)``."""
        index = self.rule.index(u, items)
        return index * self.factor.to(index.device)
