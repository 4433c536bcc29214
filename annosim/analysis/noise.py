"""How noisy an annotator is on a design: error rate and entropy of the answers, and annotators with given ones."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from scipy.optimize import brentq

from annosim.designs.design import Design
from annosim.errors import ArgumentError
from annosim.feedback import AnswerSpace
from annosim.populations.annotator import Annotator
from annosim.populations.base import gather
from annosim.rules.base import Rule
from annosim.rules.scale import Scaled

__all__ = ["error_rate", "mean_entropy", "with_entropy", "with_error_rate"]


def error_rate(annotator: Annotator, design: Design) -> float:
    """Probability that the first place of an answer is not an alternative of highest utility, on the design's menus.

    Menus on which all utilities are equal are left out; ties and skips are errors.

    Raises:
        ArgumentError: ratings have no first place, or no menu has unequal utilities.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
        >>> round(error_rate(one, an.Design(an.Items(n=2))), 4)
        0.2689
    """
    if design.feedback.kind == "rating":
        raise ArgumentError("error_rate: a rating has no best alternative; use with_entropy, or choices and rankings")
    menus, share, table, space = _tables(annotator, design)
    with torch.no_grad():
        u = gather(annotator.utility(design.items).double(), menus)
    best = u == u.amax(-1, keepdim=True)
    matters = ~(best | (menus < 0)).all(-1)
    if not bool(matters.any()):
        raise ArgumentError("error_rate: all utilities are equal on every menu, so that no answer is an error")
    answer = torch.as_tensor(space.answer.copy(), dtype=torch.long)[:, 0]
    tied = torch.zeros(len(answer), dtype=torch.bool)
    if space.tied is not None:
        tied = torch.as_tensor(space.tied.copy())[:, 0]
    right = best[:, answer.clamp_min(0)] & (answer >= 0) & ~tied
    wrong = torch.where(right, 0.0, table.exp()).sum(-1)
    weight = share[matters] / share[matters].sum()
    return float((weight * wrong[matters]).sum())


def mean_entropy(annotator: Annotator, design: Design) -> float:
    """Mean entropy of an answer given its menu, in nats, on the design's menus.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular([0.0, 0.0]), an.Luce())
        >>> round(mean_entropy(one, an.Design(an.Items(n=2))), 4)
        0.6931
    """
    _, share, table, _ = _tables(annotator, design)
    terms = torch.where(torch.isfinite(table), table.exp() * torch.where(torch.isfinite(table), table, 0.0), 0.0)
    return float(-(share * terms.sum(-1)).sum())


def _tables(annotator: Annotator, design: Design) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, AnswerSpace]:
    if annotator.rule.memory:
        raise ArgumentError(
            f"{type(annotator.rule).__name__} remembers earlier answers; scale the rule inside it instead"
        )
    menus, share, shown = design.enumerate()
    with torch.no_grad():
        view = annotator.rule.view(design.items, menus, design.feedback, covariates=shown)
        annotator.rule.check_kind(design.feedback)
        space = annotator.rule.space(view)
        table = annotator.rule.table(gather(annotator.index(design.items).double(), menus), view, space)
    return menus, share, table, space


def with_error_rate(annotator: Annotator, design: Design, rate: float) -> Annotator:
    """The same annotator at the temperature at which :func:`error_rate` on the design is ``rate``.

    The rule's own ``temperature`` (``sd`` under probit) is set where there is one, inside response biases too; any other rule is
    wrapped in :class:`Scaled`.

    Raises:
        ArgumentError: no temperature gives that rate; the message says which are possible.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
        >>> calm = with_error_rate(one, an.Design(an.Items(n=2)), 0.1)
        >>> round(float(calm.rule.temperature), 4)  # 1 / log(9)
        0.4551
    """
    return _solve(annotator, design, error_rate, rate, "rate")


def with_entropy(annotator: Annotator, design: Design, nats: float) -> Annotator:
    """The same annotator at the temperature at which :func:`mean_entropy` on the design is ``nats``.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
        >>> round(mean_entropy(with_entropy(one, an.Design(an.Items(n=2)), 0.5), an.Design(an.Items(n=2))), 6)
        0.5
    """
    return _solve(annotator, design, mean_entropy, nats, "nats")


def _solve(
    annotator: Annotator, design: Design, measure: Callable[[Annotator, Design], float], goal: float, name: str
) -> Annotator:
    if not isinstance(annotator, Annotator):
        raise ArgumentError(
            f"{type(annotator).__name__} has no one scale; set it for each of its annotators, an.Annotator(...)"
        )

    def at(log_temperature: float) -> Annotator:
        return rescaled(annotator, math.exp(log_temperature))

    low, high = -9.0, 9.0
    ends = measure(at(low), design), measure(at(high), design)
    if not min(ends) < goal < max(ends):
        raise ArgumentError(
            f"{name}={goal!r} cannot be reached on this design: temperatures give {min(ends):.4g} to {max(ends):.4g}"
        )
    root = brentq(lambda t: measure(at(t), design) - goal, low, high, xtol=1e-12, rtol=1e-12)
    return at(root)


def rescaled(annotator: Annotator, temperature: float) -> Annotator:
    """A copy with its temperature set: absolutely for rules that have one, by :class:`Scaled` for others."""
    other = copy.deepcopy(annotator)
    for rule in other.rule.modules():
        if isinstance(rule, Rule) and rule.divisor is not None:
            with torch.no_grad():
                getattr(rule, rule.divisor).fill_(temperature)
            return other
    other.rule = Scaled(other.rule, 1 / temperature)
    return other
