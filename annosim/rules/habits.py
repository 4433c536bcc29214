"""Habits that wrap any rule: lapses, position bias, attribute bias, skips, and what all of them share.

A habit is a rule with the same three faces. Its randomness comes from the stream ``habit``, so that adding one leaves
menus, types and the wrapped rule's own draws unchanged. Habits nest: the innermost has level 0 and reads words
``4096 * level`` and on of its row.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from annosim.errors import AnswerKindError, ArgumentError
from annosim.feedback import Feedback
from annosim.items import Items
from annosim.random import Address
from annosim.rules.base import Answer, Rule, View
from annosim.rules.luce import Luce

__all__ = ["AttributeBias", "Habit", "Lapse", "LengthBias", "PositionBias", "Skip", "Spammer"]

_LEVEL_WORDS = 4096


class Habit(Rule):
    """Base of every habit: a rule inside, whose kinds, ties, skips, memory and index it takes over.

    Args:
        rule: the rule that is wrapped; it may be a habit itself.
    """

    def __init__(self, rule: Rule):
        super().__init__()
        if not isinstance(rule, Rule):
            raise ArgumentError(f"{type(self).__name__}(rule={rule!r}): give a rule such as an.Luce()")
        self.rule = rule
        self.kinds = rule.kinds
        self.ties, self.skips = rule.ties, rule.skips
        self.memory, self.sequential = rule.memory, rule.sequential
        self.level = getattr(rule, "level", -1) + 1

    def index(self, u: torch.Tensor, items: Items) -> torch.Tensor:
        """The wrapped rule's index, ``(..., n)``."""
        return self.rule.index(u, items)

    def check_kind(self, feedback: Feedback) -> None:
        """A habit defines what its rule defines, unless it narrows ``kinds``."""
        self.rule.check_kind(feedback)
        super().check_kind(feedback)

    def seen(self, scores: torch.Tensor, view: View) -> torch.Tensor:
        """The scores as this habit distorts them, ``(..., rows, k)``; unchanged by default."""
        return scores

    def log_prob(self, scores: torch.Tensor, answer: Answer, view: View) -> torch.Tensor:
        """The wrapped rule's log-probability at the distorted scores, ``(..., rows)``."""
        return self.rule.log_prob(self.seen(scores, view), answer, view)

    def sample(self, scores: torch.Tensor, view: View, address: Address) -> Answer:
        """The wrapped rule's draw at the distorted scores."""
        return self.rule.sample(self.seen(scores, view), view, address)

    def draws(self, address: Address, start: int = 0) -> HabitAddress:
        """This habit's own words of stream ``habit``, from ``start`` on, under the interface of an address."""
        return HabitAddress(address, _LEVEL_WORDS * self.level + start)


class HabitAddress(Address):
    """An address whose every stream reads ``habit``, from word ``base`` on."""

    def __init__(self, address: Address, base: int):
        self.inner, self.base = address, base
        self.seed, self.entity, self.replicate = address.seed, address.entity, address.replicate

    def words(self, stream: str, count: int, start: int = 0) -> np.ndarray:
        """Words ``base + start ...`` of stream ``habit``, ``(rows, count)``."""
        return self.inner.words("habit", count, self.base + start)


class PositionBias(Habit):
    r"""Adds a logit to the scores by display position: ``s_j + shift_j``.

    For a pair under Luce, ``P(first) = sigmoid(s_1 - s_2 + shift)``: ``shift`` is the log odds of the first side
    between equals.

    Args:
        rule: the wrapped rule.
        shift: one number for the first position, or ``(k,)`` numbers, one per position; ``free(start)`` to estimate.

    Raises:
        ArgumentError: a shift is not finite, or their number is not the menu's size.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 0.0]), an.PositionBias(an.Luce(), shift=1.0))
        >>> an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.round(decimals=4).tolist()
        [0.7311, 0.2689]
    """

    def __init__(self, rule: Rule, shift: Any = 0.0):
        super().__init__(rule)
        self.declare("shift", shift)
        if self.shift.ndim > 1:
            raise ArgumentError(f"PositionBias(shift=): shape {tuple(self.shift.shape)}, expected a number or (k,)")

    def seen(self, scores: torch.Tensor, view: View) -> torch.Tensor:
        """Scores with the shift of each position, ``(..., rows, k)``."""
        k = scores.shape[-1]
        shift = self.shift.to(device=scores.device, dtype=scores.dtype)
        if shift.ndim == 0:
            return scores + shift * torch.eye(1, k, dtype=scores.dtype, device=scores.device)[0]
        if shift.shape[-1] != k:
            raise ArgumentError(f"PositionBias(shift=): {shift.shape[-1]} shifts for menus of {k}; give one number or {k}")
        return scores + shift


class AttributeBias(Habit):
    r"""Adds ``coefficient * attribute(item)`` to the index: a taste for length, for style, for a familiar name.

    Args:
        rule: the wrapped rule.
        coefficient: a number (logits per unit of the attribute); ``free(start)`` to estimate.
        attribute: name of an items' column, number of a feature, or ``(n,)`` values.

    Raises:
        ArgumentError: the items have no such column or feature, or the values do not fit.

    Example:
        >>> import annosim as an
        >>> items = an.Items(n=2, columns={"length": [1.0, 3.0]})
        >>> AttributeBias(Luce(), 0.5, "length").index(torch.zeros(2), items).tolist()
        [0.5, 1.5]
    """

    def __init__(self, rule: Rule, coefficient: Any, attribute: Any = "length"):
        super().__init__(rule)
        self.declare("coefficient", coefficient)
        if not isinstance(attribute, str | int):
            attribute = torch.as_tensor(np.asarray(attribute), dtype=torch.float64)
        self.attribute = attribute

    def index(self, u: torch.Tensor, items: Items) -> torch.Tensor:
        """The wrapped index plus the bias, ``(..., n)``."""
        inner = self.rule.index(u, items)
        value = attribute_of(items, self.attribute, type(self).__name__).to(inner.device)
        return inner + self.coefficient.to(inner.device) * value


class LengthBias(AttributeBias):
    """:class:`AttributeBias` on the items' column ``length``.

    Example:
        >>> import annosim as an
        >>> items = an.Items(n=2, columns={"length": [10, 20]})
        >>> LengthBias(Luce(), 0.1).index(torch.zeros(2), items).tolist()
        [1.0, 2.0]
    """

    def __init__(self, rule: Rule, coefficient: Any):
        super().__init__(rule, coefficient, "length")


def attribute_of(items: Items, attribute: Any, who: str) -> torch.Tensor:
    """Values ``(n,)`` float64 of a column (by name), a feature (by number), or the values themselves."""
    if isinstance(attribute, str):
        if attribute not in items.columns:
            raise ArgumentError(
                f"{who}: the items have no column {attribute!r}; give Items(columns={{{attribute!r}: ...}})"
            )
        attribute = torch.as_tensor(np.asarray(items.columns[attribute]), dtype=torch.float64)
    elif isinstance(attribute, int):
        if not 0 <= attribute < items.dim:
            raise ArgumentError(f"{who}: feature {attribute} of items with {items.dim} features")
        attribute = items.features[:, attribute]
    if attribute.shape != (items.n,):
        raise ArgumentError(f"{who}: attribute of shape {tuple(attribute.shape)}, expected ({items.n},)")
    return attribute


class Lapse(Habit):
    r"""With probability ``rate`` the answer is not the rule's: ``(1 - rate) P_rule + rate P_lapse``.

    ``how="uniform"``: any answer the rule could give (ties included, skips not), all alike. ``how="flip"``: the rule's
    answer reversed, as in B-Pref's mistakes: the other side of a pair, the reversed ranking, best and worst exchanged,
    mirrored grades; a choice among more than two, or ``top``, has no reverse. ``how="first"``: the first position (or the
    display order).

    Args:
        rule: the wrapped rule.
        rate: from 0 to 1; ``free(start)`` to estimate.
        how: ``"uniform"``, ``"flip"`` or ``"first"``.

    Raises:
        ArgumentError: the rate is not a probability, or ``how`` is unknown.
        AnswerKindError: a flip is asked of a kind of feedback whose answers have no reverse.

    Example:
        >>> import annosim as an
        >>> sure = an.Luce(temperature=1e-3)
        >>> people = an.Annotator(an.Tabular([0.0, 1.0]), an.Lapse(sure, rate=0.1))
        >>> an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.round(decimals=4).tolist()
        [0.05, 0.95]
    """

    def __init__(self, rule: Rule, rate: Any = 0.05, how: str = "uniform"):
        super().__init__(rule)
        if how not in ("uniform", "flip", "first"):
            raise ArgumentError(f"Lapse(how={how!r}): one of uniform, flip, first")
        self.declare("rate", rate, "unit")
        self.how = how
        if how == "flip":
            self.kinds = rule.kinds & {"choice", "ranking", "best-worst", "rating"}
        if how == "first":
            self.kinds = rule.kinds - {"rating"}

    def log_prob(self, scores: torch.Tensor, answer: Answer, view: View) -> torch.Tensor:
        """Log of the mixture of attended and lapsed answers, ``(..., rows)``."""
        attended = self.rule.log_prob(scores, answer, view)
        if self.how == "flip":
            lapsed = self.rule.log_prob(scores, reverse(answer, view), view)
        elif self.how == "first":
            lapsed = log_first(answer, view).to(attended.dtype)
        else:
            lapsed = log_uniform(answer, view, self.ties).to(attended.dtype)
        if self.skips and self.how != "flip":  # who skips does not lapse
            lapsed = lapsed + log_answered(self.rule, scores, answer, view)
        rate = self.rate.to(device=attended.device, dtype=attended.dtype)
        mixed = log_mix(attended, lapsed, rate)
        # a skip of the wrapped rule is not an answer that a lapse would give
        return torch.where(answer.skipped, attended, mixed) if self.skips else mixed

    def sample(self, scores: torch.Tensor, view: View, address: Address) -> Answer:
        """The rule's draw, replaced where the habit's uniform falls below the rate."""
        self.check_kind(view.feedback)
        given = self.rule.sample(scores, view, address)
        draws = self.draws(address)
        lapse = torch.as_tensor(draws.uniform53("habit", 1), device=scores.device)[:, 0] < self.rate.to(scores.device)
        if self.skips:
            lapse = lapse & ~given.skipped
        if self.how == "flip":
            other = canonical(reverse(given, view))
        elif self.how == "first":
            other = first_answer(view, given)
        else:
            other = sample_uniform(view, self.ties, self.draws(address, start=2), scores)
        return choose(lapse, other, given)


class Skip(Habit):
    """With probability ``rate`` the annotator declines to answer: a skip, -1 throughout, kept and counted in the data.

    Args:
        rule: the wrapped rule.
        rate: from 0 to 1; ``free(start)`` to estimate.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 0.0]), an.Skip(an.Luce(), rate=0.5))
        >>> an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.tolist()
        [0.25, 0.25, 0.5]
    """

    def __init__(self, rule: Rule, rate: Any = 0.1):
        super().__init__(rule)
        self.declare("rate", rate, "unit")
        self.skips = True

    def log_prob(self, scores: torch.Tensor, answer: Answer, view: View) -> torch.Tensor:
        """``log(rate)`` of a skip, else ``log(1 - rate)`` plus the rule's, ``(..., rows)``."""
        skipped = answer.skipped
        inner = self.rule.log_prob(scores, answer if self.rule.skips else answered(answer, view), view)
        rate = self.rate.to(device=inner.device, dtype=inner.dtype)
        kept = torch.log1p(-rate) + inner
        if self.rule.skips:
            return torch.where(skipped, torch.logaddexp(rate.log().expand_as(kept), kept), kept)
        return torch.where(skipped, rate.log(), kept)

    def sample(self, scores: torch.Tensor, view: View, address: Address) -> Answer:
        """The rule's draw, or -1 throughout."""
        given = self.rule.sample(scores, view, address)
        draw = torch.as_tensor(self.draws(address).uniform53("habit", 1), device=scores.device)[:, 0]
        away = (draw < self.rate.to(scores.device))[:, None]
        tied = None if given.tied is None else given.tied & ~away
        return Answer(torch.where(away, -1, given.position), tied)


class Spammer(Rule):
    """Answers without looking at the alternatives: at random, always the same side, or alternating sides.

    ``"random"``: any answer, all alike. ``"first"``: the first position (a ranking: the display order). ``"last"``: the last
    (the display order backwards). ``"alternating"``: first and last by turns along the annotator's own sequence.

    Args:
        how: ``"random"``, ``"first"``, ``"last"`` or ``"alternating"``.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Indifferent(), Spammer("first"))
        >>> an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.tolist()
        [1.0, 0.0]
    """

    def __init__(self, how: str = "random"):
        super().__init__()
        if how not in ("random", "first", "last", "alternating"):
            raise ArgumentError(f"Spammer(how={how!r}): one of random, first, last, alternating")
        self.how = how
        kinds = {"choice", "ranking", "top", "best-worst"}
        self.kinds = frozenset(kinds | {"rating"} if how == "random" else kinds)
        self.sequential = how == "alternating"

    def index(self, u: torch.Tensor, items: Items) -> torch.Tensor:
        """Zeros: nothing can be learned from these answers, ``(..., n)``."""
        return torch.zeros_like(u)

    def log_prob(self, scores: torch.Tensor, answer: Answer, view: View) -> torch.Tensor:
        """Log-probabilities, ``(..., rows)``."""
        self.check_kind(view.feedback)
        if self.how == "random":
            out = log_uniform(answer, view)
        else:
            forward, back = log_first(answer, view), log_first(answer, view, last=True)
            if self.how == "alternating":
                if view.order is None:
                    raise ArgumentError("Spammer('alternating'): the place in the sequence (order) is not known")
                out = torch.where(view.order % 2 == 0, forward, back)
            else:
                out = forward if self.how == "first" else back
        return out.to(scores.dtype).expand(torch.broadcast_shapes(out.shape, scores.shape[:-1]))

    def sample(self, scores: torch.Tensor, view: View, address: Address) -> Answer:
        """Draws for ``"random"`` (stream ``answer``); no randomness otherwise."""
        self.check_kind(view.feedback)
        if self.how == "random":
            return sample_uniform(view, False, address, scores)
        width = view.feedback.width(view.k)
        like = Answer(torch.zeros((len(view.menu), width), dtype=torch.long, device=scores.device))
        forward, back = first_answer(view, like), first_answer(view, like, last=True)
        if self.how == "alternating":
            return choose((view.order % 2 == 0).to(scores.device), forward, back)
        return forward if self.how == "first" else back


def log_answered(rule: Rule, scores: torch.Tensor, answer: Answer, view: View) -> torch.Tensor:
    """``log(1 - P(skip))`` of a rule that can skip, ``(..., rows)``."""
    tied = None if answer.tied is None else torch.zeros_like(answer.tied)
    skip = rule.log_prob(scores, Answer(torch.full_like(answer.position, -1), tied), view)
    return torch.log1p(-skip.exp())


# ---- answers that do not look at the scores ----------------------------------------------------------------------------


def log_mix(first: torch.Tensor, second: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """``log((1 - share) e^first + share e^second)``, with gradients where a term is zero (log of -inf)."""
    top = torch.maximum(first, second).detach()
    top = torch.where(torch.isfinite(top), top, torch.zeros_like(top))
    mixed = (1 - share) * (first - top).exp() + share * (second - top).exp()
    return torch.where(mixed > 0, torch.where(mixed > 0, mixed, 1.0).log() + top, -torch.inf)


def log_uniform(answer: Answer, view: View, ties: bool = False) -> torch.Tensor:
    """Log-probability of each answer when all answers to its menu are alike, ``(..., rows)`` float64."""
    filled = (view.menu >= 0).sum(-1)
    kind, k = view.feedback.kind, view.menu.shape[-1]
    if kind in ("choice", "ranking", "top") and not ties:
        stage = torch.arange(answer.position.shape[-1], device=filled.device)
        left = (filled[..., None] - stage).clamp_min(1).double().log()
        return -torch.where(answer.position >= 0, left, 0.0).sum(-1)
    counts = torch.tensor([log_count(view.feedback, m, ties) for m in range(k + 1)], dtype=torch.float64)
    out = -counts.to(filled.device)[filled]
    return out.expand(torch.broadcast_shapes(out.shape, answer.position.shape[:-1]))


def log_count(feedback: Feedback, m: int, ties: bool) -> float:
    """Log of the number of answers to a menu of ``m`` (skips not counted; zero menus count one)."""
    if m == 0:
        return 0.0
    if feedback.kind == "best-worst":
        return math.log(max(m * (m - 1), 1))
    if feedback.kind == "rating":
        return m * math.log(int(feedback.grades or 2))
    if feedback.kind == "choice":
        return math.log(2**m - 1) if ties else math.log(m)
    depth = min(feedback.depth or m, m)
    return math.log(_weak_orders(m, depth)) if ties else math.log(math.perm(m, depth))


def _weak_orders(m: int, depth: int) -> int:
    """Ordered groups out of ``m`` that fill at least ``depth`` places (Fubini numbers when depth = m)."""
    if depth <= 0 or m == 0:
        return 1
    return sum(math.comb(m, size) * _weak_orders(m - size, depth - size) for size in range(1, m + 1))


def log_first(answer: Answer, view: View, last: bool = False) -> torch.Tensor:
    """0 for the answer that follows the display order (backwards), -inf otherwise, ``(..., rows)`` float64."""
    target = first_answer(view, answer, last)
    same = (answer.position == target.position).all(-1)
    if answer.tied is not None:
        same = same & ~answer.tied.any(-1)
    return torch.where(same, 0.0, -torch.inf).double()


def first_answer(view: View, like: Answer, last: bool = False) -> Answer:
    """The display order (backwards) as an answer: the first filled place is best (and the last is worst)."""
    filled = view.menu >= 0
    k = view.menu.shape[-1]
    order = torch.where(filled, torch.arange(k, device=filled.device), -1 if last else k)
    order = order.sort(dim=-1, descending=last).values
    order = torch.where((order < k) & (order >= 0), order, -1)
    count = filled.sum(-1, keepdim=True)
    kind, width = view.feedback.kind, like.position.shape[-1]
    if kind == "best-worst":
        position = torch.cat([order[..., :1], order.gather(-1, (count - 1).clamp_min(0))], -1)
    elif kind == "choice":
        position = torch.cat([order[..., :1], torch.full_like(order[..., : width - 1], -1)], -1)
    else:
        beyond = torch.arange(k, device=filled.device) >= min(view.feedback.depth or k, k)
        position = torch.where(beyond, -1, order)
    tied = None if like.tied is None else torch.zeros_like(like.tied)
    return Answer(position, tied)


def answered(answer: Answer, view: View) -> Answer:
    """Skips replaced by the display order, so that a rule without skips can be evaluated (and masked) there."""
    if view.feedback.kind == "rating":
        return Answer(answer.position.clamp_min(0), answer.tied)
    other = first_answer(view, answer).position
    return Answer(torch.where(answer.skipped[..., None], other, answer.position), answer.tied)


def reverse(answer: Answer, view: View) -> Answer:
    """The opposite answer: other side, reversed ranking, best and worst exchanged, mirrored grades.

    Raises:
        AnswerKindError: answers of this kind have no reverse (a choice among more than two, or ``top``).
    """
    kind, position = view.feedback.kind, answer.position
    if kind == "rating":
        return Answer(torch.where(position >= 0, int(view.feedback.grades or 2) - 1 - position, position), answer.tied)
    if kind == "best-worst":
        return Answer(position.flip(-1), answer.tied)
    if kind == "choice" and view.k == 2:
        tie = torch.zeros_like(answer.skipped) if answer.tied is None else answer.tied[..., 0]
        first = position[..., :1]
        other = torch.where((first >= 0) & ~tie[..., None], 1 - first, first)
        return Answer(torch.cat([other, position[..., 1:]], -1), answer.tied)
    if kind == "ranking":
        length = (position >= 0).sum(-1, keepdim=True)
        place = torch.arange(position.shape[-1], device=position.device)
        back = torch.where(place < length, length - 1 - place, place)
        tied = answer.tied
        if tied is not None:
            mark = torch.where(place[:-1] < length - 1, length - 2 - place[:-1], place[:-1])
            tied = tied.gather(-1, mark.expand(*tied.shape[:-1], -1))
        return Answer(position.gather(-1, back.expand_as(position)), tied)
    raise AnswerKindError(
        f"a flipped {kind} among {view.k} has no meaning; use Lapse(how='uniform'), or pairs, rankings, best-worst"
    )


def canonical(answer: Answer) -> Answer:
    """Positions ascending inside every tied group, as the encoding wants them."""
    if answer.tied is None:
        return answer
    width = answer.position.shape[-1]
    starts = torch.cat([torch.zeros_like(answer.tied[..., :1]), ~answer.tied], -1)[..., :width]
    group = starts.cumsum(-1)
    live = answer.position >= 0
    key = torch.where(live, group * (width + 1) + answer.position, 10**6)
    order = key.argsort(dim=-1, stable=True)
    return Answer(answer.position.gather(-1, order), answer.tied)


def sample_uniform(view: View, ties: bool, address: Address, scores: torch.Tensor) -> Answer:
    """An answer to each row's menu, all alike; ``scores`` gives only the device."""
    device = scores.device
    flat = torch.where(view.menu >= 0, 0.0, -torch.inf).double().to(device)
    if view.feedback.kind == "rating":
        u = torch.as_tensor(address.uniform("habit", view.k), device=device)
        return Answer((u * int(view.feedback.grades or 2)).long())
    if not ties:
        return Luce().sample(flat, view, address)
    space = view.feedback.answers(view.k, ties=True)
    position = torch.as_tensor(np.array(space.answer), dtype=torch.long, device=device)
    tied = torch.as_tensor(np.array(space.tied), device=device)
    padded = torch.cat([view.menu >= 0, torch.ones_like(view.menu[:, :1], dtype=torch.bool)], -1).to(device)
    cdf = padded[:, position].all(-1).double().cumsum(-1)
    draw = torch.as_tensor(address.uniform53("habit", 1), device=device) * cdf[:, -1:]
    pick = torch.searchsorted(cdf, draw, right=True).squeeze(-1).clamp_max(len(space) - 1)
    return Answer(position[pick], tied[pick])


def choose(mask: torch.Tensor, yes: Answer, no: Answer) -> Answer:
    """Row by row one of two answers."""
    tied = no.tied
    if tied is not None:
        other = torch.zeros_like(tied) if yes.tied is None else yes.tied
        tied = torch.where(mask[:, None], other, tied)
    return Answer(torch.where(mask[:, None], yes.position, no.position), tied)
