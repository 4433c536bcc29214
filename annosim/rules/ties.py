"""Rules that can answer with a tie: Rao-Kupper, Davidson (any menu, ties of any order), just-noticeable differences.

A tie is an answer, not half a win: see :mod:`annosim.feedback` for how tied groups are written.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import Literal

import torch
from torch.nn.functional import logsigmoid

from annosim.errors import AnswerKindError, ArgumentError, TooLargeError, told
from annosim.parameters import ParameterLike, check_value, marked_like, unmarked
from annosim.random import CounterRNG
from annosim.rules.base import Answer, Rule, Tempered, View
from annosim.rules.response_biases import ResponseBias

__all__ = ["Davidson", "JustNoticeable", "RaoKupper"]


class RaoKupper(Tempered):
    r"""Pairs with ties by a threshold (Rao and Kupper 1967): a difference below ``log theta`` is not told apart.

    ``P(a > b) = p_a / (p_a + theta p_b) = sigmoid(s_a - s_b - log theta)``, and what is left is a tie,
    ``(theta^2 - 1) p_a p_b / ((p_a + theta p_b)(p_b + theta p_a))``, with ``p = exp(s)``. With logistic noise on the
    difference this is a just-noticeable difference of ``log theta``. ``theta = 1`` is Bradley-Terry.

    Args:
        theta: at least 1. A number is held fixed, also by ``fit``; ``free(start)`` is estimated.
        temperature: positive.

    Raises:
        ArgumentError: theta below 1.
        AnswerKindError: a menu of more than two.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 0.0]), an.rules.RaoKupper(theta=3.0))
        >>> an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.round(decimals=4).tolist()
        [0.25, 0.25, 0.5]
    """

    kinds = frozenset({"choice", "ranking"})
    ties = True
    unbounded = True
    tie_parameter = "theta"

    def __init__(self, theta: ParameterLike = 2.0, temperature: ParameterLike = 1.0):
        super().__init__(temperature)
        self.declare("theta", theta, "at_least_one", ndim=0)

    def log_prob(self, scores: torch.Tensor, answer: Answer, view: View) -> torch.Tensor:
        """Log-probability of a win or a tie, ``(..., rows)``."""
        self.check_kind(view.feedback)
        if scores.shape[-1] != 2:
            raise AnswerKindError(
                f"RaoKupper is a law of pairs, the menu has {scores.shape[-1]}; use Davidson for menus"
            )
        log_theta = self.theta.to(device=scores.device, dtype=scores.dtype).log()
        gap = scores[..., 0] - scores[..., 1]
        signed = torch.where(answer.position[..., 0] == 0, gap, -gap)
        win = logsigmoid(signed - log_theta)
        if answer.tied is None:
            return win
        # theta^2 - 1 = expm1(2 log theta), without cancellation near one
        tie = logsigmoid(gap - log_theta) + logsigmoid(-gap - log_theta) + torch.expm1(2 * log_theta).log()
        return torch.where(answer.tied[..., 0], tie, win)


class Davidson(Tempered):
    r"""Ties of any order on menus of any size (Davidson 1970; Firth, Kosmidis and Turner 2019).

    A set ``T`` of ``t`` alternatives wins together from the menu ``S`` with weight
    ``f(T) = delta_t (prod_{i in T} p_i)^(1/t)``, ``delta_1 = 1``, over all ``T`` of up to ``D`` members. A pair has
    ``P(tie) = nu sqrt(p_a p_b) / (p_a + p_b + nu sqrt(p_a p_b))`` with ``nu = delta_2``; a ranking is a sequence of
    such choices (as in R's PlackettLuce). ``delta = 0`` is Luce.

    Args:
        delta: one number (ties of two), or ``[delta_2, ..., delta_D]``, nonnegative. Numbers are held fixed, also by
            ``fit``; ``free(start)`` is estimated.
        temperature: positive.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 0.0]), an.Davidson(delta=2.0))
        >>> an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.round(decimals=4).tolist()
        [0.25, 0.25, 0.5]
    """

    kinds = frozenset({"choice", "ranking", "top"})
    ties = True
    unbounded = True
    tie_parameter = "delta"

    def __init__(self, delta: ParameterLike = 1.0, temperature: ParameterLike = 1.0):
        super().__init__(temperature)
        inner = unmarked(delta)
        flat = torch.atleast_1d(check_value("Davidson(delta=)", inner, "nonnegative"))
        self.declare("delta", marked_like(delta, flat), "nonnegative", ndim=1)

    @property
    def largest_tie(self) -> int:
        """How many alternatives can be tied: one more than there are numbers in ``delta``."""
        return 1 + len(self.delta)

    def log_prob(self, scores: torch.Tensor, answer: Answer, view: View) -> torch.Tensor:
        """Sum over the tied groups, best first, of ``log f(group) - log sum f`` over what was left, ``(..., rows)``."""
        self.check_kind(view.feedback)
        position, tied = answer.position, answer.tied
        k, width = scores.shape[-1], position.shape[-1]
        live = position >= 0
        starts = live.clone()
        if tied is not None:
            before = torch.cat([torch.zeros_like(tied[..., :1]), tied], -1)[..., :width]
            starts = starts & ~before
        group = starts.long().cumsum(-1)
        together = (group.unsqueeze(-1) == group.unsqueeze(-2)) & live.unsqueeze(-1) & live.unsqueeze(-2)
        size = together.sum(-1)
        batch = torch.broadcast_shapes(scores.shape[:-1], position.shape[:-1])
        scores = scores.expand(*batch, k)
        at = position.clamp_min(0).expand(*batch, width)
        chosen = torch.where(live, scores.gather(-1, at), 0.0) / size.clamp_min(1)
        weight = torch.where(starts, self._log_delta(scores)[size.clamp_max(len(self.delta) + 2)], 0.0)
        left = torch.isfinite(scores)
        total = torch.zeros(batch, dtype=scores.dtype, device=scores.device)
        for j in range(width):
            if bool(starts[..., j].any()):
                here = torch.where(starts[..., j : j + 1], left, True)
                total = total + torch.where(starts[..., j], self._log_total(scores, here), 0.0)
            gone = at[..., j : j + 1]
            left = left.scatter(-1, gone, left.gather(-1, gone) & ~live[..., j : j + 1])
        return (chosen + weight).sum(-1) - total

    def _log_delta(self, like: torch.Tensor) -> torch.Tensor:
        """``log delta_t`` at index ``t``: 0 at 0 and 1, -inf beyond the largest order."""
        delta = self.delta.to(device=like.device, dtype=like.dtype)
        positive = torch.where(delta > 0, torch.where(delta > 0, delta, 1.0).log(), -torch.inf)
        zero = torch.zeros(2, dtype=like.dtype, device=like.device)
        return torch.cat([zero, positive, torch.full_like(zero[:1], -torch.inf)])

    def _log_total(self, scores: torch.Tensor, left: torch.Tensor) -> torch.Tensor:
        """``log sum_T f(T)`` over subsets of the alternatives in ``left``, ``(...)``.

        Elementary symmetric polynomials of ``exp((s - max) / t)``: sums of positive numbers, no cancellation.
        """
        finite = torch.isfinite(scores) & left
        safe = torch.where(finite, scores, 0.0)
        top = torch.where(finite, scores, -torch.inf).amax(-1, keepdim=True).detach()
        top = torch.where(torch.isfinite(top), top, torch.zeros_like(top))
        gap = torch.where(finite, safe - top, 0.0)
        delta = self.delta.to(device=scores.device, dtype=scores.dtype)
        total = torch.where(finite, gap.exp(), 0.0).sum(-1)
        for order in range(2, min(len(delta) + 1, scores.shape[-1]) + 1):
            x = torch.where(finite, (gap / order).exp(), 0.0)
            total = total + delta[order - 2] * elementary(x, order)
        return torch.where(finite.any(-1), total, 1.0).log() + top.squeeze(-1)

    def sample(self, scores: torch.Tensor, view: View, rng: CounterRNG) -> Answer:
        """Draw stage by stage: at each, one of the subsets of up to ``D`` members of what is left."""
        self.check_kind(view.feedback)
        rows, k = scores.shape
        kind = view.feedback.kind
        depth = 1 if kind == "choice" else min(view.feedback.depth or k, k)
        subsets, size = _subsets(k, min(len(self.delta) + 1, k))
        subsets, size = subsets.to(scores.device), size.to(scores.device)
        scores = scores.double()
        finite = torch.isfinite(scores)
        base = torch.where(finite, scores, 0.0) @ (subsets / size[:, None]).T.double() + self._log_delta(scores)[size]
        left = finite.clone()
        draws = torch.as_tensor(rng.uniform53("answer", depth), device=scores.device)
        stage_of = torch.full((rows, k), k + 1, dtype=torch.long, device=scores.device)
        for j in range(depth):
            placed = (stage_of <= k).sum(-1)
            open_row = left.any(-1) & (placed < depth)
            within = (~left).double() @ subsets.T.double() == 0
            f = torch.softmax(torch.where(within, base, torch.where(open_row[:, None], -torch.inf, 0.0)), -1)
            cdf = f.cumsum(-1)
            pick = torch.searchsorted(cdf, draws[:, j : j + 1] * cdf[:, -1:]).squeeze(-1).clamp_max(len(size) - 1)
            won = subsets[pick].bool() & left & open_row[:, None]
            stage_of = torch.where(won, j, stage_of)
            left = left & ~won
        order = stage_of.argsort(dim=-1, stable=True)
        stage = stage_of.gather(-1, order)
        position = torch.where(stage <= k, order, -1)
        tied = (stage[:, 1:] == stage[:, :-1]) & (stage[:, 1:] <= k)
        return Answer(position, tied)


def elementary(x: torch.Tensor, order: int) -> torch.Tensor:
    """Elementary symmetric polynomial ``e_order`` of ``x (..., k)``, ``(...)``.

    Example:
        >>> float(elementary(torch.tensor([1.0, 2.0, 3.0]), 2))
        11.0
    """
    e = [torch.ones_like(x[..., 0])] + [torch.zeros_like(x[..., 0])] * order
    for i in range(x.shape[-1]):
        e = [e[0]] + [e[j] + x[..., i] * e[j - 1] for j in range(1, order + 1)]
    return e[order]


@lru_cache(maxsize=32)
def _subsets(k: int, largest: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Membership ``(S, k)`` of all subsets of up to ``largest`` members, and their sizes ``(S,)``."""
    count = sum(math.comb(k, t) for t in range(1, largest + 1))
    if count > 200_000:
        raise TooLargeError(
            f"Davidson: a menu of {k} with ties of up to {largest} has {count:.3g} possible winning sets; allow ties "
            "of lower order, or use smaller menus"
        )
    rows = [group for t in range(1, largest + 1) for group in itertools.combinations(range(k), t)]
    member = torch.zeros(len(rows), k, dtype=torch.float64)
    for r, group in enumerate(rows):
        member[r, list(group)] = 1
    return member, torch.tensor([len(group) for group in rows])


class JustNoticeable(ResponseBias):
    r"""Differences below ``jnd`` cannot be seen (a semiorder, Luce 1956): what is so near the best looks equal to it.

    The wrapped rule sees every score within ``jnd`` of the best raised to the best. For a pair: a guess when the two
    are within ``jnd``, the rule's own law otherwise. With ``respond="tie"`` a pair within ``jnd`` is a tie.
    ``jnd`` is in units of the wrapped rule's index; ``jnd = 0`` is the wrapped rule.

    Args:
        rule: the wrapped rule.
        jnd: the just-noticeable difference, nonnegative.
        respond: ``"guess"`` or ``"tie"`` (pairs only).

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 0.3]), JustNoticeable(an.Luce(0.01), jnd=31.0))
        >>> an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.round(decimals=4).tolist()
        [0.5, 0.5]
    """

    def __init__(self, rule: Rule, jnd: ParameterLike = 1.0, respond: Literal["guess", "tie"] = "guess"):
        super().__init__(rule)
        if respond not in ("guess", "tie"):
            raise ArgumentError(f"JustNoticeable(respond={told(respond)}): one of guess, tie")
        if respond == "tie" and rule.ties:
            raise ArgumentError(
                "JustNoticeable(respond='tie'): the wrapped rule has ties of its own; use respond='guess'"
            )
        self.declare("jnd", jnd, "nonnegative", ndim=0)
        self.respond = respond
        self.kinds = rule.kinds & {"choice", "ranking"}
        self.ties = rule.ties or respond == "tie"

    def _check_menu(self, view: View) -> None:
        if view.k > 2 and (view.feedback.kind == "ranking" or self.respond == "tie"):
            raise AnswerKindError(
                f"JustNoticeable: {view.feedback.kind} from menus of {view.k}: a semiorder has no single ranking, and "
                "ties are answered on pairs only; ask pairs, or choices with respond='guess'"
            )

    def distort(self, scores: torch.Tensor, view: View) -> torch.Tensor:
        """Scores near the best raised to the best, ``(..., rows, k)``."""
        self._check_menu(view)
        top = scores.amax(-1, keepdim=True)
        near = top - scores < self.jnd.to(scores.device)
        return torch.where(near, top.expand_as(scores), scores)

    def _near(self, scores: torch.Tensor) -> torch.Tensor:
        return (scores[..., 0] - scores[..., 1]).abs() < self.jnd.to(scores.device)

    def log_prob(self, scores: torch.Tensor, answer: Answer, view: View) -> torch.Tensor:
        """The wrapped law at what is seen; a certain tie within ``jnd`` when ties are answered, ``(..., rows)``."""
        if self.respond == "guess":
            return super().log_prob(scores, answer, view)
        self._check_menu(view)
        is_tie = torch.zeros_like(answer.skipped) if answer.tied is None else answer.tied[..., 0]
        plain = Answer(torch.where(is_tie[..., None], answered_pair(answer, view).position, answer.position))
        inner = self.rule.log_prob(scores, plain, view)
        near = self._near(scores)
        return torch.where(is_tie, torch.where(near, 0.0, -torch.inf), torch.where(near, -torch.inf, inner))

    def sample(self, scores: torch.Tensor, view: View, rng: CounterRNG) -> Answer:
        """The wrapped rule's draw at what is seen, or a tie."""
        if self.respond == "guess":
            return super().sample(scores, view, rng)
        self._check_menu(view)
        given = self.rule.sample(scores, view, rng)
        first = given.position[:, :1]
        second = 1 - first if view.feedback.kind == "ranking" else torch.full_like(first, -1)
        plain = torch.cat([first, second], -1)
        near = self._near(scores)
        both = torch.tensor([[0, 1]], device=scores.device).expand_as(plain)
        return Answer(torch.where(near[:, None], both, plain), near[:, None])


def answered_pair(answer: Answer, view: View) -> Answer:
    """The untied answer "first side" in the width of ``answer``."""
    width = answer.position.shape[-1]
    second = 1 if view.feedback.kind == "ranking" else -1
    fill = torch.tensor([0, second][:width], device=answer.position.device)
    return Answer(fill.expand(answer.position.shape))
