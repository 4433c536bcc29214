"""Panels of judges whose errors are correlated."""

from __future__ import annotations

from typing import Unpack

import numpy as np
import torch

from annosim.arrays import Numbers
from annosim.constraints import check_whole_number, check_whole_numbers
from annosim.errors import ArgumentError, told
from annosim.feedback import Feedback
from annosim.items import Items
from annosim.parameters import ParameterLike, check_value, marked_like, unmarked
from annosim.populations.base import gather
from annosim.populations.random_tastes import RandomTastes, TasteSettings
from annosim.rules.base import Rule

__all__ = ["JudgePanels", "effective_votes"]


class JudgePanels(RandomTastes):
    r"""Panels of judges who err together: a panel sees item ``i`` as ``mean_i + spread_i z_i``, and each of its judges
    answers by ``rule``.

    An annotator of this population is a *panel*, and its answers to one question are those of its judges: ``z`` is drawn
    once per panel, so that judges of one panel (language models of one family, say) agree with each other more than they
    agree with people. With one answer per question the spread hides in the temperature; repeated questions show it (see
    :func:`annosim.identify`). What ``count`` judges are worth is Kish's effective number of independent votes
    (Kish 1965, Survey Sampling, 5.4).

    Args:
        mean: ``(n,)`` mean utilities, or their number (zeros); estimated unless ``fixed(...)``.
        spread: nonnegative standard deviations of what a panel's judges share, in logits: one number or ``(n,)``;
            ``free(start)`` to estimate.
        rule: how each judge answers.
        settings: ``points``, ``quadrature`` and ``quadrature_seed``, as of :class:`~annosim.RandomCoefficients`.

    Raises:
        ArgumentError: sizes that do not fit, or a negative spread.

    Example:
        >>> import annosim as an
        >>> panels = JudgePanels([0.0, 1.0], 2.0, an.Luce())
        >>> design = an.Design(an.Items(n=2), menus=[[0, 1], [0, 1]], questions="all")
        >>> an.law(panels, design).probabilities.round(decimals=3).tolist()
        [0.267, 0.115, 0.115, 0.504]
        >>> round(panels.effective_votes(an.Items(n=2), [0, 1], 10), 2)
        1.78
    """

    def __init__(self, mean: ParameterLike, spread: ParameterLike, rule: Rule, **settings: Unpack[TasteSettings]):
        plain = unmarked(mean)
        if isinstance(plain, int) and not isinstance(plain, bool):
            mean = marked_like(mean, np.zeros(check_whole_number("JudgePanels(mean=)", plain)))
        count = check_value("JudgePanels(mean=)", unmarked(mean), "real").numel()
        super().__init__(rule, count, **settings)
        self.declare("mean", mean, ndim=1, free_by_default=True)
        self.declare("spread", spread, "nonnegative")
        if tuple(self.spread.shape) not in ((), (1,), (count,)):
            raise ArgumentError(
                f"JudgePanels(spread=): shape {tuple(self.spread.shape)}, expected one number or ({count},)"
            )

    def tastes(self, z: torch.Tensor) -> torch.Tensor:
        """What a panel adds to each item, ``(..., n)``."""
        return self.spread * z

    def utilities(self, tastes: torch.Tensor, items: Items) -> torch.Tensor:
        """Utilities in the eyes of a panel, ``(..., n)``."""
        if items.n != self.mean.shape[-1]:
            raise ArgumentError(f"JudgePanels has {self.mean.shape[-1]} items but there are {items.n}")
        return self.mean + tastes

    def correlation(self, items: Items, menu: Numbers) -> float:
        r"""Correlation of two judges of one panel who answer the same question.

        ``sum_c Var P(c | panel) / sum_c P(c) (1 - P(c))`` over the alternatives ``c`` that may come first (the
        intraclass correlation of categories; of pairs, that of the two indicators).

        Args:
            menu: ``(k,)`` numbers of the items shown.

        Example:
            >>> import annosim as an
            >>> round(JudgePanels([0.0, 1.0], 1.0, an.Luce()).correlation(an.Items(n=2), [0, 1]), 3)
            0.259
        """
        shown = torch.as_tensor(check_whole_numbers("JudgePanels.correlation(menu=)", menu)).reshape(1, -1)
        if shown.shape[1] < 2 or bool((shown < 0).any()) or bool((shown >= items.n).any()):
            raise ArgumentError(
                f"JudgePanels.correlation(menu={told(menu)}): two or more items from 0 to {items.n - 1}"
            )
        with torch.no_grad():
            index, weight = self.nodes(items)
            view = self.rule.view(items, shown, Feedback("choice"))
            p = self.rule.table(gather(index.double(), shown), view).exp()[:, 0]
            centre = weight @ p
            shared = (weight @ (p - centre) ** 2).sum()
            whole = (centre * (1 - centre)).sum()
        return float(shared / whole) if float(whole) > 0 else 0.0

    def effective_votes(self, items: Items, menu: Numbers, count: int) -> float:
        """How many independent votes ``count`` judges of one panel are worth: ``count / (1 + (count - 1) r)``.

        Args:
            menu: ``(k,)`` numbers of the items shown.
            count: judges of the panel.

        Example:
            >>> import annosim as an
            >>> JudgePanels([0.0, 1.0], 0.0, an.Luce()).effective_votes(an.Items(n=2), [0, 1], 10)
            10.0
        """
        return effective_votes(count, self.correlation(items, menu))


def effective_votes(count: int, correlation: float) -> float:
    """How many independent votes ``count`` equally correlated ones are worth (Kish's design effect).

    Raises:
        ArgumentError: no vote, or no correlation of so many votes.

    Example:
        >>> round(effective_votes(10, 0.5), 2)
        1.82
    """
    count = check_whole_number("effective_votes(count=)", count)
    if not -1 / max(count - 1, 1) < correlation <= 1:
        raise ArgumentError(f"effective_votes(correlation={correlation}): above -1/(count - 1), at most 1")
    return count / (1 + (count - 1) * correlation)
