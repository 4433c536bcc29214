"""Rules that answer in stages: who is chosen first, then among those left, and so on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from annosim.errors import AnswerKindError, ArgumentError, told
from annosim.feedback import Feedback
from annosim.items import Items
from annosim.random import CounterRNG
from annosim.rules.base import Answer, Rule, View

__all__ = ["RepeatedSelection", "Stagewise"]


class Stagewise(Rule):
    """Base of rules given by one choice among those left: subclasses define :meth:`stage`.

    A choice is the first stage, ``top`` the first ``depth`` stages, a ranking all of them.
    """

    kinds = frozenset({"choice", "ranking", "top"})

    def stage(self, scores: torch.Tensor, left: torch.Tensor, view: View) -> torch.Tensor:
        """Log-probability that each place is chosen next.

        Args:
            scores: ``(..., rows, k)``.
            left: ``(..., rows, k)`` bool, who can still be chosen (at least one).
            view: the rows' view.

        Returns:
            ``(..., rows, k)``; anything where ``left`` is false.
        """
        raise TypeError(f"{type(self).__name__} must define stage(scores, left, view)")

    def log_prob(self, scores: torch.Tensor, answer: Answer, view: View) -> torch.Tensor:
        """Sum of the stages' log-probabilities, ``(..., rows)``."""
        self.check_kind(view.feedback)
        position, k = answer.position, scores.shape[-1]
        batch = torch.broadcast_shapes(scores.shape[:-1], position.shape[:-1], view.menu.shape[:-1])
        position = position.expand(*batch, position.shape[-1])
        filled = (view.menu >= 0).expand(*batch, k)
        left = filled
        total = torch.zeros(batch, dtype=scores.dtype, device=scores.device)
        for j in range(position.shape[-1]):
            at = position[..., j : j + 1]
            live = at >= 0
            at = at.clamp_min(0)
            # who is left alone comes next for certain; the others are not even asked (their gradients could be nan)
            open_ = live & (left.sum(-1, keepdim=True) > 1)
            if bool(open_.any()):
                chance = self.stage(scores, torch.where(open_, left, filled), view).expand(*batch, k).gather(-1, at)
                total = total + torch.where(open_, chance, 0.0).squeeze(-1)
            left = left.scatter(-1, at, left.gather(-1, at) & ~live)
        return total

    def sample(self, scores: torch.Tensor, view: View, rng: CounterRNG) -> Answer:
        """Stage by stage, one uniform each, ``(rows, 1 or k)``."""
        self.check_kind(view.feedback)
        rows, k = scores.shape
        depth = 1 if view.feedback.kind == "choice" else min(view.feedback.depth or k, k)
        draws = torch.as_tensor(rng.uniform53("answer", depth), device=scores.device)
        left = view.menu >= 0
        filled = left
        picks = []
        for j in range(depth):
            over = ~left.any(-1, keepdim=True)
            chance = self.stage(scores.double(), torch.where(over, filled, left), view)
            cdf = torch.where(left, chance.exp(), 0.0).cumsum(-1)
            pick = torch.searchsorted(cdf, draws[:, j : j + 1] * cdf[:, -1:]).clamp_max(k - 1)
            picks.append(torch.where(over, -1, pick))
            left = left.scatter(-1, pick, False)
        position = torch.cat(picks, -1)
        if view.feedback.kind == "choice":
            return Answer(position)
        return Answer(torch.nn.functional.pad(position, (0, k - depth), value=-1))


class RepeatedSelection(Stagewise):
    """Any rule of choice, applied again and again to those left: a ranking from choices.

    Under Luce this is Plackett-Luce; under probit, lapses or position bias it is a different law than ranking by one
    draw of the utilities.

    Args:
        rule: a rule that defines choices without ties and skips.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 1.0, 2.0]), RepeatedSelection(an.Luce()))
        >>> design = an.Design(an.Items(n=3), feedback="ranking", menus=[[0, 1, 2]])
        >>> plain = an.Annotator(an.Tabular([0.0, 1.0, 2.0]), an.Luce())
        >>> bool(abs(an.law(people, design).probabilities - an.law(plain, design).probabilities).max() < 1e-12)
        True
    """

    def __init__(self, rule: Rule):
        super().__init__()
        if not isinstance(rule, Rule) or "choice" not in rule.kinds:
            raise ArgumentError(f"RepeatedSelection(rule={told(rule)}): give a rule that defines choices")
        if rule.ties or rule.skips or rule.memory:
            raise AnswerKindError(
                "RepeatedSelection: the rule must choose one alternative, without ties, skips or memory"
            )
        self.rule: Any = rule
        self.sequential = rule.sequential

    def index(self, u: torch.Tensor, items: Items) -> torch.Tensor:
        """The wrapped rule's index, ``(..., n)``."""
        return self.rule.index(u, items)

    def layers(self) -> Iterator[Rule]:
        """The rule, and then what it wraps, from the outside in."""
        yield self
        yield from self.rule.layers()

    def stage(self, scores: torch.Tensor, left: torch.Tensor, view: View) -> torch.Tensor:
        """The wrapped rule's law of choice from those left, ``(..., rows, k)``."""
        k = scores.shape[-1]
        menu = torch.where(left, view.menu, -1)
        asked = replace(view, menu=menu, feedback=Feedback("choice")).expanded()
        each = Answer(torch.arange(k, device=scores.device)[:, None])
        return self.rule.log_prob(torch.where(left, scores, -torch.inf).unsqueeze(-2), each, asked)
