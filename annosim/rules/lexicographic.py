"""Lexicographic raters: one attribute after the other, and no trade-offs."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from annosim.arrays import Numbers
from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.parameters import check_value
from annosim.rules.base import View
from annosim.rules.response_biases import Attribute, as_attribute, attribute_of
from annosim.rules.stages import Stagewise

__all__ = ["Lexicographic"]


class Lexicographic(Stagewise):
    r"""Keep those best on the first attribute (within its tolerance), among them on the second, ...; equals by a coin.

    With positive tolerances this is Tversky's lexicographic semiorder (1969), whose pair choices can be intransitive.
    The utility is not looked at; wrap in :class:`~annosim.Lapse` for noise.

    Args:
        attributes: in order of importance: names of items' columns, numbers of features, or ``(n,)`` values.
        tolerance: one nonnegative number, or one per attribute: smaller differences do not decide.
        signs: +1 (more is better) or -1, one per attribute.

    Example:
        >>> import annosim as an
        >>> items = an.Items(features=[[1.0, 0.0], [1.0, 1.0], [0.0, 9.0]])
        >>> people = an.Annotator(an.utilities.ZeroUtility(), Lexicographic([0, 1]))
        >>> an.law(people, an.Design(items, menus=[[0, 1, 2]])).probabilities.tolist()
        [0.0, 1.0, 0.0]
    """

    ordinal = True

    def __init__(self, attributes: Sequence[Attribute], tolerance: Numbers = 0.0, signs: Numbers | None = None):
        super().__init__()
        if isinstance(attributes, str | int) or len(attributes) < 1:
            raise ArgumentError("Lexicographic(attributes=): a list, in order of importance")
        self.attributes = [as_attribute(a) for a in attributes]
        count = len(self.attributes)
        widths = check_value("Lexicographic(tolerance=)", tolerance, "nonnegative")
        if widths.ndim > 1 or widths.numel() not in (1, count):
            raise ArgumentError(f"Lexicographic(tolerance=): one number, or {count}, one for each attribute")
        self.declare("tolerance", widths.expand(count), "nonnegative")
        sign = check_value("Lexicographic(signs=)", [1.0] * count if signs is None else signs, "real", ndim=1)
        if len(sign) != count or not bool((sign.abs() == 1).all()):
            raise ArgumentError(f"Lexicographic(signs=): {count} numbers, each +1 or -1")
        self.signs = sign.tolist()

    def index(self, u: torch.Tensor, items: Items) -> torch.Tensor:
        """Zeros: the utility is not looked at, ``(..., n)``."""
        return torch.zeros_like(u)

    def relabelled(self, order: Numbers) -> Lexicographic:
        """The same rule after items are renamed: new item ``j`` is old item ``order[j]``."""
        at = torch.as_tensor(order)
        moved = [a if isinstance(a, str | int) else a[at] for a in self.attributes]
        return Lexicographic(moved, self.tolerance.numpy(), self.signs)

    def stage(self, scores: torch.Tensor, left: torch.Tensor, view: View) -> torch.Tensor:
        """Uniform over those that all attributes leave, ``(..., rows, k)``."""
        kept = left
        for attribute, sign, width in zip(self.attributes, self.signs, self.tolerance, strict=True):
            every = sign * attribute_of(view.items, attribute, "Lexicographic").to(view.menu.device)
            value = every[view.menu.clamp_min(0)]
            best = torch.where(kept, value, -torch.inf).amax(-1, keepdim=True)
            kept = kept & (value >= best - width.to(value.device))
        return torch.where(kept, -kept.sum(-1, keepdim=True).to(scores.dtype).log(), -torch.inf)
