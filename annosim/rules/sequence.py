"""Response biases of a sequence: fatigue, drift, carry-over from the previous answer; and discounting within an episode."""

from __future__ import annotations

import numpy as np
import torch

from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.parameters import ParameterLike
from annosim.rules.base import Rule, View
from annosim.rules.response_biases import Attribute, ResponseBias, as_attribute, attribute_of

__all__ = ["Carryover", "Drift", "Fatigue", "MyopicDiscount"]


def _order(view: View, who: str, like: torch.Tensor) -> torch.Tensor:
    if view.order is None:
        raise ArgumentError(f"{who}: the place in the annotator's sequence is not known; give the data an order column")
    return view.order.to(device=like.device, dtype=like.dtype)


class Fatigue(ResponseBias):
    r"""Attention wears off: scores shrink by ``exp(-rate * t)`` at the annotator's ``t``-th question (``t = 0`` first).

    Args:
        rule: the wrapped rule.
        rate: nonnegative; ``log(2) / rate`` questions halve the scores; ``free(start)`` to estimate.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 2.0]), Fatigue(an.Luce(), rate=10.0))
        >>> design = an.Design(an.Items(n=2), menus=[[0, 1], [0, 1]], questions="all")
        >>> an.law(people, design).question(1)[0, 1].exp().round(decimals=3).tolist()
        [0.5, 0.5]
    """

    def __init__(self, rule: Rule, rate: ParameterLike = 0.01):
        super().__init__(rule)
        self.declare("rate", rate, "nonnegative", ndim=0)
        self.sequential = True

    def distort(self, scores: torch.Tensor, view: View) -> torch.Tensor:
        """Shrunk scores, ``(..., rows, k)``."""
        shrink = (-self.rate.to(scores.device) * _order(view, "Fatigue", scores)).exp().unsqueeze(-1)
        real = torch.isfinite(scores)
        return torch.where(real, torch.where(real, scores, 0.0) * shrink.to(scores.dtype), scores)


class Drift(ResponseBias):
    r"""Tastes move: at the ``t``-th question ``rate * t * attribute(item)`` is added to the scores.

    Args:
        rule: the wrapped rule.
        rate: logits per question and unit of the attribute; ``free(start)`` to estimate.
        attribute: name of an items' column, number of a feature, or ``(n,)`` values.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 0.0]), Drift(an.Luce(), 1.0, [0.0, 1.0]))
        >>> design = an.Design(an.Items(n=2), menus=[[0, 1], [0, 1]], questions="all")
        >>> an.law(people, design).question(1)[0, 1].exp().round(decimals=4).tolist()
        [0.2689, 0.7311]
    """

    def __init__(self, rule: Rule, rate: ParameterLike, attribute: Attribute):
        super().__init__(rule)
        self.declare("rate", rate, ndim=0)
        self.attribute = as_attribute(attribute)
        self.sequential = True

    def distort(self, scores: torch.Tensor, view: View) -> torch.Tensor:
        """Drifted scores, ``(..., rows, k)``."""
        value = attribute_of(view.items, self.attribute, "Drift").to(device=scores.device, dtype=scores.dtype)
        moved = (
            self.rate.to(scores.device) * _order(view, "Drift", scores).unsqueeze(-1) * value[view.menu.clamp_min(0)]
        )
        return scores + moved.to(scores.dtype)


class Carryover(ResponseBias):
    r"""Answers the same side again: adds ``shift`` to the place that came out best in the annotator's previous answer.

    A response bias with memory: an annotator's answers are not independent given the type.

    Args:
        rule: the wrapped rule (not of ratings).
        shift: logits; ``free(start)`` to estimate.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 0.0]), Carryover(an.Luce(), shift=100.0))
        >>> design = an.Design(an.Items(n=2), menus=[[0, 1], [0, 1]], questions="all")
        >>> an.law(people, design).probabilities.round(decimals=4).tolist()
        [0.5, 0.0, 0.0, 0.5]
    """

    def __init__(self, rule: Rule, shift: ParameterLike = 0.5):
        super().__init__(rule)
        self.declare("shift", shift, ndim=0)
        self.kinds = rule.kinds - {"rating"}
        self.memory = True

    def distort(self, scores: torch.Tensor, view: View) -> torch.Tensor:
        """Scores with the shift at the previous best place, ``(..., rows, k)``."""
        if view.previous is None:
            raise ArgumentError("Carryover: the annotator's previous answers are not known to this view")
        last = view.previous[..., :1].to(scores.device)
        same = (torch.arange(scores.shape[-1], device=scores.device) == last) & (last >= 0)
        return scores + self.shift.to(device=scores.device, dtype=scores.dtype) * same


class MyopicDiscount(ResponseBias):
    r"""Late steps of an episode count more: the rater sees ``sum_t discount^(T-1-t) r_t`` for ``sum_t r_t`` (B-Pref).

    The items' column ``steps`` ``(n, T)`` holds the rewards of their steps; the utility is taken to contain their
    sum, and the difference between the discounted and the plain sum is added to it.

    Args:
        rule: the wrapped rule.
        discount: from 0 to 1; 1 changes nothing.
        steps: name of the column.

    Raises:
        ArgumentError: the items have no such column of shape ``(n, T)``.

    Example:
        >>> import annosim as an
        >>> items = an.Items(n=2, columns={"steps": [[1.0, 0.0], [0.0, 1.0]]})
        >>> MyopicDiscount(an.Luce(), 0.5).index(torch.tensor([1.0, 1.0]), items).tolist()
        [0.5, 1.0]
    """

    def __init__(self, rule: Rule, discount: ParameterLike = 0.9, steps: str = "steps"):
        super().__init__(rule)
        self.declare("discount", discount, "unit", ndim=0)
        self.steps = steps

    def index(self, u: torch.Tensor, items: Items) -> torch.Tensor:
        """The wrapped index of the discounted utility, ``(..., n)``."""
        change = discounted_change(items, self.steps, self.discount, "MyopicDiscount")
        return self.rule.index(u + change.to(device=u.device, dtype=u.dtype), items)


def discounted_change(items: Items, steps: str, discount: torch.Tensor, who: str) -> torch.Tensor:
    """``sum_t (discount^(T-1-t) - 1) r_t`` of every item, ``(n,)``."""
    if steps not in items.columns or np.ndim(items.columns[steps]) != 2:
        raise ArgumentError(
            f"{who}: the items have no column {steps!r} of shape (n, T); give Items(columns={{{steps!r}: ...}})"
        )
    r = torch.as_tensor(np.asarray(items.columns[steps]), dtype=torch.float64).to(discount.device)
    age = torch.arange(r.shape[1] - 1, -1, -1, device=r.device)
    return r @ (discount**age - 1)
