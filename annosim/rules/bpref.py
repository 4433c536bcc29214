"""B-Pref's irrational teachers, under B-Pref's own parameter names (Lee, Smith, Dragan, Abbeel 2021, 2111.03026)."""

from __future__ import annotations

import torch
from torch.nn.functional import logsigmoid

from annosim.errors import AnswerKindError
from annosim.items import Items
from annosim.parameters import ParameterLike, check_number
from annosim.rules.answers import log_mix
from annosim.rules.base import Answer, Rule, View
from annosim.rules.sequence import discounted_change

__all__ = ["BPref"]


class BPref(Rule):
    r"""A simulated teacher of pairs of episodes: rational, myopic, mistaken, skipping, or calling equal what is close.

    In B-Pref's order, with ``R`` the return (the utility) and ``R_gamma`` the discounted one:

    1. *skip* when neither return exceeds ``margin * teacher_eps_skip``;
    2. *equal* (a tie) when the returns differ by less than ``margin * teacher_eps_equal``;
    3. otherwise prefer the first with probability ``sigmoid(beta (R_gamma(1) - R_gamma(2)))``, or the larger one
       without noise when ``teacher_beta <= 0`` (equal returns: the first), and
    4. flip that with probability ``teacher_eps_mistake``.

    Args:
        teacher_beta: rationality; -1 (B-Pref's default) is perfectly rational.
        teacher_gamma: discount within an episode; below 1 it needs the items' column ``steps`` ``(n, T)``.
        teacher_eps_mistake: probability of a flip.
        teacher_eps_skip: threshold of skipping, in units of ``margin``; 0 never skips.
        teacher_eps_equal: threshold of equality, in units of ``margin``; 0 has no ties.
        margin: scale of both thresholds (in B-Pref the average return of a segment).

    Raises:
        AnswerKindError: anything but choices from pairs.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 1.0]), BPref(teacher_eps_mistake=0.1))
        >>> an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.round(decimals=6).tolist()
        [0.1, 0.9]
    """

    kinds = frozenset({"choice"})

    def __init__(
        self,
        teacher_beta: ParameterLike = -1.0,
        teacher_gamma: ParameterLike = 1.0,
        teacher_eps_mistake: ParameterLike = 0.0,
        teacher_eps_skip: float = 0.0,
        teacher_eps_equal: float = 0.0,
        margin: float = 1.0,
    ):
        super().__init__()
        self.declare("teacher_beta", teacher_beta, ndim=0)
        self.declare("teacher_gamma", teacher_gamma, "unit", ndim=0)
        self.declare("teacher_eps_mistake", teacher_eps_mistake, "unit", ndim=0)
        self.declare("teacher_eps_skip", teacher_eps_skip, "nonnegative", ndim=0)
        self.declare("teacher_eps_equal", teacher_eps_equal, "nonnegative", ndim=0)
        self.margin = check_number("BPref(margin=)", margin, "positive")
        self.ties = float(self.teacher_eps_equal) > 0
        self.skips = float(self.teacher_eps_skip) > 0

    def _returns(self, scores: torch.Tensor, view: View) -> tuple[torch.Tensor, torch.Tensor]:
        self.check_kind(view.feedback)
        if scores.shape[-1] != 2:
            raise AnswerKindError(f"BPref's teachers compare pairs, the menu has {scores.shape[-1]}; set menu_size=2")
        return scores, scores + self._change(view.items, scores)[view.menu.clamp_min(0)]

    def _change(self, items: Items, like: torch.Tensor) -> torch.Tensor:
        if "teacher_gamma" in self._buffers and float(self.teacher_gamma) == 1.0:
            return torch.zeros(items.n, dtype=like.dtype, device=like.device)
        return discounted_change(items, "steps", self.teacher_gamma, "BPref(teacher_gamma=)").to(like)

    def log_prob(self, scores: torch.Tensor, answer: Answer, view: View) -> torch.Tensor:
        """Log-probability of a side, a tie or a skip, ``(..., rows)``."""
        plain, discounted = self._returns(scores, view)
        gap = discounted[..., 0] - discounted[..., 1]
        first = answer.position[..., 0] == 0
        beta = self.teacher_beta.to(scores)
        noisy = logsigmoid(beta * torch.where(first, gap, -gap))
        sure = torch.where((gap >= 0) == first, 0.0, -torch.inf).to(scores.dtype)
        side = torch.where(beta > 0, noisy, sure)
        other = torch.where(
            beta > 0, logsigmoid(beta * torch.where(first, -gap, gap)), torch.where(sure == 0, -torch.inf, 0.0)
        )
        side = log_mix(side, other, self.teacher_eps_mistake.to(scores))
        never = torch.full_like(side, -torch.inf)
        if self.ties:
            close = (plain[..., 0] - plain[..., 1]).abs() < self.margin * self.teacher_eps_equal.to(scores)
            is_tie = torch.zeros_like(first) if answer.tied is None else answer.tied[..., 0]
            side = torch.where(is_tie == close, torch.where(is_tie, 0.0, side), never)
        if self.skips:
            poor = plain.amax(-1) <= self.margin * self.teacher_eps_skip.to(scores)
            side = torch.where(answer.skipped == poor, torch.where(answer.skipped, 0.0, side), never)
        return side
