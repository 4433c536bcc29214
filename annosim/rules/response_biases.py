"""Response biases wrap any rule: lapses, position bias, attribute bias, skips, and what all of them share.

A response bias is a rule with the same three methods. Its randomness comes from the stream ``habit``, so that adding
one leaves menus, types and the wrapped rule's own draws unchanged. Biases nest: the innermost has level 0 and reads the
raw uint32 of its row from number ``4096 * level`` on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

import numpy as np
import torch

from annosim.arrays import Numbers, as_numpy
from annosim.errors import ArgumentError, told
from annosim.feedback import Feedback
from annosim.items import Items
from annosim.parameters import Constraint, ParameterLike
from annosim.random import CounterRNG
from annosim.rules.answers import (
    answered,
    canonical,
    choose,
    first_answer,
    log_first,
    log_mix,
    log_response_prob,
    log_uniform,
    reverse,
    sample_uniform,
)
from annosim.rules.base import Answer, Rule, View

__all__ = ["AttributeBias", "ResponseBias", "Lapse", "LengthBias", "PositionBias", "Skip"]

#: A column of the items by its name, a feature by its number, or one value for each item.
Attribute: TypeAlias = str | int | Numbers

DRAWS_PER_LEVEL = 4096


class ResponseBias(Rule):
    """Base of every response bias: a rule inside, whose kinds, ties, skips, memory and index it takes over.

    Args:
        rule: the rule that is wrapped; it may be a response bias itself.

    Example:
        A bias of one's own may distort the scores that the wrapped rule sees.

        >>> import annosim as an
        >>> class Timid(ResponseBias):
        ...     def distort(self, scores, view):
        ...         return scores / 2
        >>> people = an.Annotator(an.Tabular([0.0, 2.0]), Timid(an.Luce()))
        >>> an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.round(decimals=4).tolist()
        [0.2689, 0.7311]
    """

    def __init__(self, rule: Rule):
        super().__init__()
        if not isinstance(rule, Rule):
            raise ArgumentError(f"{type(self).__name__}(rule={told(rule)}): give a rule such as an.Luce()")
        self.rule = rule
        self.kinds = rule.kinds
        self.ties, self.skips = rule.ties, rule.skips
        self.memory, self.sequential, self.ordinal = rule.memory, rule.sequential, rule.ordinal
        self.absolute = rule.absolute
        self.level = rule.level + 1

    def index(self, u: torch.Tensor, items: Items) -> torch.Tensor:
        """The wrapped rule's index, ``(..., n)``."""
        return self.rule.index(u, items)

    @property
    def covariates(self) -> tuple[str, ...]:
        """As the wrapped rule."""
        return self.rule.covariates

    def layers(self) -> Iterator[Rule]:
        """The bias, and then what it wraps, from the outside in."""
        yield self
        yield from self.rule.layers()

    def check_kind(self, feedback: Feedback) -> None:
        """A response bias defines what its rule defines, unless it narrows ``kinds``."""
        self.rule.check_kind(feedback)
        super().check_kind(feedback)

    def distort(self, scores: torch.Tensor, view: View) -> torch.Tensor:
        """The scores as this bias distorts them, ``(..., rows, k)``; unchanged by default."""
        return scores

    def log_prob(self, scores: torch.Tensor, answer: Answer, view: View) -> torch.Tensor:
        """The wrapped rule's log-probability at the distorted scores, ``(..., rows)``."""
        return self.rule.log_prob(self.distort(scores, view), answer, view)

    def sample(self, scores: torch.Tensor, view: View, rng: CounterRNG) -> Answer:
        """The wrapped rule's draw at the distorted scores."""
        return self.rule.sample(self.distort(scores, view), view, rng)

    def draws(self, rng: CounterRNG, start: int = 0) -> ResponseBiasRNG:
        """This bias's own draws of stream ``habit``, from ``start`` on, under the interface of a counter RNG."""
        return ResponseBiasRNG(rng, DRAWS_PER_LEVEL * self.level + start)


class ResponseBiasRNG(CounterRNG):
    """A counter RNG whose every stream reads ``habit``, from number ``base`` on."""

    def __init__(self, rng: CounterRNG, base: int):
        self.inner, self.base = rng, base
        self.seed, self.entity, self.replicate = rng.seed, rng.entity, rng.replicate

    def raw_uint32(self, stream: str, count: int, start: int = 0) -> np.ndarray:
        """Raw uint32 ``base + start ...`` of stream ``habit``, ``(rows, count)``."""
        return self.inner.raw_uint32("habit", count, self.base + start)


class PositionBias(ResponseBias):
    r"""Adds a logit to the scores by display position: ``s_j + shift_j``.

    For a pair under Luce, ``P(first) = sigmoid(s_1 - s_2 + shift)``: ``shift`` is the log odds of the first side
    between equals.

    Args:
        rule: the wrapped rule.
        shift: one number for the first position, or ``(k,)`` numbers, one per position; ``free(start)`` to estimate
            (several are reported with sum zero: more than their differences no answer tells).

    Raises:
        ArgumentError: a shift is not finite, or their number is not the menu's size.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 0.0]), an.PositionBias(an.Luce(), shift=1.0))
        >>> an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.round(decimals=4).tolist()
        [0.7311, 0.2689]
    """

    def __init__(self, rule: Rule, shift: ParameterLike = 0.0):
        super().__init__(rule)
        self.declare("shift", shift)
        if self.shift.ndim > 1:
            raise ArgumentError(f"PositionBias(shift=): shape {tuple(self.shift.shape)}, expected a number or (k,)")
        if self.shift.ndim and not rule.absolute:  # one number added to all of them changes no answer
            self.declared["shift"] = Constraint.CENTRED

    @property
    def unbounded(self) -> bool:  # type: ignore[override]
        """As the wrapped rule."""
        return self.rule.unbounded

    def distort(self, scores: torch.Tensor, view: View) -> torch.Tensor:
        """Scores with the shift of each position, ``(..., rows, k)``."""
        k = scores.shape[-1]
        shift = self.shift.to(device=scores.device, dtype=scores.dtype)
        if shift.ndim == 0:
            return scores + shift * torch.eye(1, k, dtype=scores.dtype, device=scores.device)[0]
        if shift.shape[-1] != k:
            raise ArgumentError(
                f"PositionBias(shift=): {shift.shape[-1]} shifts for menus of {k}; give one number or {k}"
            )
        return scores + shift


class AttributeBias(ResponseBias):
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
        >>> AttributeBias(an.Luce(), 0.5, "length").index(torch.zeros(2), items).tolist()
        [0.5, 1.5]
    """

    def __init__(self, rule: Rule, coefficient: ParameterLike, attribute: Attribute = "length"):
        super().__init__(rule)
        self.declare("coefficient", coefficient, ndim=0)
        self.attribute = as_attribute(attribute)

    @property
    def unbounded(self) -> bool:  # type: ignore[override]
        """As the wrapped rule."""
        return self.rule.unbounded

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
        >>> LengthBias(an.Luce(), 0.1).index(torch.zeros(2), items).tolist()
        [1.0, 2.0]
    """

    def __init__(self, rule: Rule, coefficient: ParameterLike):
        super().__init__(rule, coefficient, "length")


def as_attribute(attribute: Attribute) -> str | int | torch.Tensor:
    """An attribute with its values, if it has any, as a float64 tensor."""
    return attribute if isinstance(attribute, str | int) else torch.as_tensor(as_numpy(attribute), dtype=torch.float64)


def attribute_of(items: Items, attribute: str | int | torch.Tensor, who: str) -> torch.Tensor:
    """Values ``(n,)`` float64 of a column (by name), a feature (by number), or the values themselves."""
    if isinstance(attribute, str):
        if attribute not in items.columns:
            raise ArgumentError(
                f"{who}: the items have no column {attribute!r}; give Items(columns={{{attribute!r}: ...}})"
            )
        values = torch.as_tensor(np.asarray(items.columns[attribute]), dtype=torch.float64)
    elif isinstance(attribute, int):
        if not 0 <= attribute < items.dim:
            raise ArgumentError(f"{who}: feature {attribute} of items with {items.dim} features")
        values = items.feature_matrix[:, attribute]
    else:
        values = attribute
    if values.shape != (items.n,):
        raise ArgumentError(f"{who}: attribute of shape {tuple(values.shape)}, expected ({items.n},)")
    return values


class Lapse(ResponseBias):
    r"""With probability ``rate`` the answer is not the rule's: ``(1 - rate) P_rule + rate P_lapse``.

    ``how="uniform"``: any answer the rule could give (ties included, skips not), all alike. ``how="flip"``: the rule's
    answer reversed, as in B-Pref's mistakes: the other side of a pair, the reversed ranking, best and worst exchanged,
    mirrored grades; a choice among more than two, or ``top``, has no reverse. ``how="first"``: the first position (or
    the display order).

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

    def __init__(self, rule: Rule, rate: ParameterLike = 0.05, how: Literal["uniform", "flip", "first"] = "uniform"):
        super().__init__(rule)
        if how not in ("uniform", "flip", "first"):
            raise ArgumentError(f"Lapse(how={told(how)}): one of uniform, flip, first")
        self.declare("rate", rate, "unit", ndim=0)
        self.how = how
        if how == "flip":
            self.kinds = rule.kinds & {"choice", "ranking", "best-worst", "rating"}
        if how == "first":
            self.kinds = rule.kinds - {"rating"}

    @property
    def unbounded(self) -> bool:  # type: ignore[override]
        """As the wrapped rule; a flip speaks against the rule's own answer, which bounds the likelihood."""
        return self.how != "flip" and float(self.rate) < 1.0 and self.rule.unbounded

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
            lapsed = lapsed + log_response_prob(self.rule, scores, answer, view)
        rate = self.rate.to(device=attended.device, dtype=attended.dtype)
        mixed = log_mix(attended, lapsed, rate)
        # a skip of the wrapped rule is not an answer that a lapse would give
        return torch.where(answer.skipped, attended, mixed) if self.skips else mixed

    def sample(self, scores: torch.Tensor, view: View, rng: CounterRNG) -> Answer:
        """The rule's draw, replaced where the bias's uniform falls below the rate."""
        self.check_kind(view.feedback)
        given = self.rule.sample(scores, view, rng)
        draws = self.draws(rng)
        lapse = torch.as_tensor(draws.uniform53("habit", 1), device=scores.device)[:, 0] < self.rate.to(scores.device)
        if self.skips:
            lapse = lapse & ~given.skipped
        if self.how == "flip":
            other = canonical(reverse(given, view))
        elif self.how == "first":
            other = first_answer(view, given)
        else:
            other = sample_uniform(view, self.ties, self.draws(rng, start=2), scores)
        return choose(lapse, other, given)


class Skip(ResponseBias):
    """With probability ``rate`` the annotator declines to answer: a skip, -1 throughout, kept and counted in the data.

    Args:
        rule: the wrapped rule.
        rate: from 0 to 1; ``free(start)`` to estimate.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 0.0]), an.rules.Skip(an.Luce(), rate=0.5))
        >>> an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.tolist()
        [0.25, 0.25, 0.5]
    """

    def __init__(self, rule: Rule, rate: ParameterLike = 0.1):
        super().__init__(rule)
        self.declare("rate", rate, "unit", ndim=0)
        self.skips = True

    @property
    def unbounded(self) -> bool:  # type: ignore[override]
        """As the wrapped rule."""
        return self.rule.unbounded

    def log_prob(self, scores: torch.Tensor, answer: Answer, view: View) -> torch.Tensor:
        """``log(rate)`` of a skip, else ``log(1 - rate)`` plus the rule's, ``(..., rows)``."""
        skipped = answer.skipped
        inner = self.rule.log_prob(scores, answer if self.rule.skips else answered(answer, view), view)
        rate = self.rate.to(device=inner.device, dtype=inner.dtype)
        kept = torch.log1p(-rate) + inner
        if self.rule.skips:
            return torch.where(skipped, torch.logaddexp(rate.log().expand_as(kept), kept), kept)
        return torch.where(skipped, rate.log(), kept)

    def sample(self, scores: torch.Tensor, view: View, rng: CounterRNG) -> Answer:
        """The rule's draw, or -1 throughout."""
        given = self.rule.sample(scores, view, rng)
        draw = torch.as_tensor(self.draws(rng).uniform53("habit", 1), device=scores.device)[:, 0]
        away = (draw < self.rate.to(scores.device))[:, None]
        tied = None if given.tied is None else given.tied & ~away
        return Answer(torch.where(away, -1, given.position), tied)
