"""Free parameters of a rule (a lapse rate, variances, the heads of a distributional reward) in a training run.

The scores of all copies are made in one pass; what a rule does to the scores with parameters of its own is done copy by
copy, so that they are trained like any other parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from annosim.learning.objectives import Objective
from annosim.rules.base import Rule

if TYPE_CHECKING:
    from annosim.learning.training.batches import Rows

__all__ = ["StackedRule", "has_own_parameters", "row_losses"]


def has_own_parameters(rule: Rule) -> bool:
    """Whether a rule has free parameters beyond those that act through its index alone (Luce's temperature).

    Example:
        >>> import annosim as an
        >>> has_own_parameters(an.Luce(an.free(1.0))), has_own_parameters(an.Lapse(an.Luce(), an.free(0.1)))
        (False, True)
    """
    return not rule.follows_luce and any(p.requires_grad for p in rule.parameters())


class StackedRule:
    """A rule of which every copy has parameters of its own.

    Args:
        rule: the rule.
        values: its free parameters by name, each ``(copies, *shape)``.
    """

    def __init__(self, rule: Rule, values: dict[str, torch.Tensor]):
        self.rule, self.values = rule, values

    def at(self, copy: int, function: Callable[[Rule], torch.Tensor]) -> torch.Tensor:
        """``function(rule)`` at the parameters of one copy, differentiable in them."""
        values = {f"rule.{name}": value[copy] for name, value in self.values.items()}
        return torch.func.functional_call(_Holder(self.rule), values, (function,))


class _Holder(nn.Module):
    def __init__(self, rule: Rule):
        super().__init__()
        self.rule = rule

    def forward(self, function: Callable[[Rule], torch.Tensor]) -> torch.Tensor:
        return function(self.rule)


def row_losses(rule: Rule | StackedRule, scores: torch.Tensor, rows: Rows, objective: Objective) -> torch.Tensor:
    """Loss of each row, ``(rows,)``, under a rule or under each copy's own."""
    if isinstance(rule, Rule):
        return objective.row_losses(rule, scores, rows.answer, rows.view, rows.columns)
    out, start = [], 0
    for copy, (answer, view, columns) in enumerate(rows.parts):
        part = scores[start : start + len(view.menu)]
        loss = partial(objective.row_losses, scores=part, answer=answer, view=view, columns=columns)
        out.append(rule.at(copy, loss))
        start += len(view.menu)
    return torch.cat(out)
