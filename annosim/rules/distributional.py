"""Distributional rewards: an item's reward is a distribution over people or contexts, and a pair compares two draws.

After Siththaranjan, Laidlaw and Hadfield-Menell (2024, "Distributional preference learning"), whose mean-and-variance
and categorical models these are, with numbers per item or a network's heads.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.special import log_ndtr

from annosim.arrays import Numbers
from annosim.errors import AnswerKindError, ArgumentError
from annosim.items import Items
from annosim.parameters import ParameterLike
from annosim.rules.base import Answer, Rule, View

__all__ = ["CategoricalReward", "MeanVariance"]


class MeanVariance(Rule):
    r"""Each item's reward is normal with its own variance: ``P(a > b) = Phi((u_a - u_b) / sqrt(s_a^2 + s_b^2))``.

    ``u`` is the utility; an item on which people disagree has a large ``s``. Normalisation: adding a number to all ``u``,
    or multiplying ``u`` and ``s`` by one, changes no answer. In a table the geometric mean of the ``s`` is one (the
    mean of ``log_sd`` is taken off) and utilities sum to zero: ``2 n - 2`` numbers remain, which pairs can only tell
    from four items on, and loosely: an estimated ``s`` often runs to zero without a prior. A network's outputs are read
    as they are.

    Args:
        log_sd: ``(n,)`` logs of the standard deviations up to a common number, ``free(start)`` to estimate; or a
            utility that gives them, most often the second column of the network whose first is the mean
            (:class:`annosim.utilities.Heads`).

    Raises:
        ArgumentError: another number of items.
        AnswerKindError: a menu of more than two.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([1.0, 0.0]), MeanVariance([0.0, 0.0]))
        >>> an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.round(decimals=4).tolist()
        [0.7602, 0.2398]
    """

    kinds = frozenset({"choice"})
    unbounded = True
    log_sd: Any  # a tensor, or a network that gives one

    def __init__(self, log_sd: ParameterLike | nn.Module):
        super().__init__()
        if isinstance(log_sd, nn.Module):
            self.log_sd = log_sd
            return
        self.declare("log_sd", log_sd, "centred")
        if self.log_sd.ndim != 1:
            raise ArgumentError(f"MeanVariance(log_sd=): shape {tuple(self.log_sd.shape)}, expected (n,)")

    def sd(self, items: Items | None = None) -> torch.Tensor:
        """Standard deviations ``(n,)``: of geometric mean one in a table, the network's own of some items."""
        if isinstance(self.log_sd, nn.Module):
            if items is None:
                raise ArgumentError("MeanVariance.sd(items=): the spread is a network's; say of which items")
            return self.log_sd(items).exp()
        return (self.log_sd - self.log_sd.mean()).exp()

    def relabelled(self, order: Numbers) -> MeanVariance:
        """The same rule after items are renamed: new item ``j`` is old item ``order[j]``; a network reads features."""
        if isinstance(self.log_sd, nn.Module):
            return self
        return MeanVariance(self.log_sd.detach()[torch.as_tensor(order)])

    def log_prob(self, scores: torch.Tensor, answer: Answer, view: View) -> torch.Tensor:
        """Log-probability of each answer, ``(..., rows)``."""
        self.check_kind(view.feedback)
        _pairs_of(self, view, self.log_sd)
        if isinstance(self.log_sd, nn.Module):
            sd = _on_menus(self.log_sd, view).to(scores.dtype).exp()
        else:
            sd = self.sd().to(scores)[view.menu]
        z = (scores[..., 0] - scores[..., 1]) / torch.hypot(sd[..., 0], sd[..., 1])
        return log_ndtr(torch.where(answer.position[..., 0] == 0, z, -z))


class CategoricalReward(Rule):
    r"""Each item's reward is one of ``B`` ordered levels, and ties of levels are broken by a coin.

    ``P(a > b) = sum_{i > j} p_a(i) p_b(j) + sum_i p_a(i) p_b(i) / 2`` with ``p = softmax(logits)``: independent draws,
    so that intransitive cycles can come out, as with dice. The utility plays no part (``an.utilities.ZeroUtility()``). Normalisation:
    each item's logits sum to zero. More than that is unknowable: pairs see ``p`` only through ``p_a' S p_b`` with ``S``
    the signs of ``i - j``, and many distributions share all of these, so that without a prior only the pair
    probabilities should be read. The best distribution often has zeros, whose logits run off without
    ``prior=an.priors.Gaussian(sd)``, which pulls every item towards the uniform distribution.

    Args:
        logits: ``(n, B)``, levels in rising order, ``free(start)`` to estimate; or a network that gives them
            (:class:`annosim.utilities.Heads`).

    Raises:
        ArgumentError: another number of items, or fewer than two levels.
        AnswerKindError: a menu of more than two.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.utilities.ZeroUtility(), CategoricalReward([[0.0, 0.0], [-9.0, 9.0]]))
        >>> an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.round(decimals=4).tolist()
        [0.25, 0.75]
    """

    kinds = frozenset({"choice"})
    ordinal = True  # of the utility nothing is seen: fit refuses a free one
    logits: Any  # a tensor, or a network that gives one

    def __init__(self, logits: ParameterLike | nn.Module):
        super().__init__()
        if isinstance(logits, nn.Module):
            if getattr(logits, "outputs", 2) < 2:
                raise ArgumentError(f"CategoricalReward(logits={type(logits).__name__}): one output, expected B >= 2")
            self.logits = logits
            return
        self.declare("logits", logits, "centred")
        if self.logits.ndim != 2 or self.logits.shape[1] < 2:
            raise ArgumentError(
                f"CategoricalReward(logits=): shape {tuple(self.logits.shape)}, expected (n, B), B >= 2"
            )

    def index(self, u: torch.Tensor, items: Items) -> torch.Tensor:
        """Zeros: the utility plays no part, ``(..., n)``."""
        return torch.zeros_like(u)

    def shares(self, items: Items | None = None) -> torch.Tensor:
        """Probability of each level for each item, ``(n, B)``; of a network, for some items."""
        if isinstance(self.logits, nn.Module):
            if items is None:
                raise ArgumentError("CategoricalReward.shares(items=): the levels are a network's; say of which items")
            return torch.softmax(self.logits(items), -1)
        return torch.softmax(self.logits, -1)

    def relabelled(self, order: Numbers) -> CategoricalReward:
        """The same rule after items are renamed: new item ``j`` is old item ``order[j]``; a network reads features."""
        if isinstance(self.logits, nn.Module):
            return self
        return CategoricalReward(self.logits.detach()[torch.as_tensor(order)])

    def log_prob(self, scores: torch.Tensor, answer: Answer, view: View) -> torch.Tensor:
        """Log-probability of each answer, ``(..., rows)``; sums of positive terms in logs, so that no tail is lost."""
        self.check_kind(view.feedback)
        _pairs_of(self, view, self.logits)
        if isinstance(self.logits, nn.Module):
            log_p = torch.log_softmax(_on_menus(self.logits, view).to(scores.dtype), -1)  # (..., rows, 2, B)
        else:
            log_p = torch.log_softmax(self.logits.to(scores), -1)[view.menu]
        levels = torch.arange(log_p.shape[-1], device=scores.device)
        gap = levels[:, None] - levels
        half = torch.eye(len(levels), dtype=log_p.dtype, device=log_p.device) * math.log(2.0)
        joint = log_p[..., 0, :, None] + log_p[..., 1, None, :] - half
        first = torch.logsumexp(torch.where(gap >= 0, joint, -torch.inf).flatten(-2), -1)
        second = torch.logsumexp(torch.where(gap <= 0, joint, -torch.inf).flatten(-2), -1)
        out = torch.where(answer.position[..., 0] == 0, first, second)
        return out.expand(torch.broadcast_shapes(out.shape, scores.shape[:-1]))


def _on_menus(network: nn.Module, view: View) -> torch.Tensor:
    """A network's outputs for the items on the menus, ``(..., rows, k)`` or ``(..., rows, k, outputs)``: one pass."""
    if not getattr(network, "local", False):
        return network(view.items)[view.menu]
    ids, place = view.shown
    return network(view.items.subset(ids))[place]


def _pairs_of(rule: Rule, view: View, numbers: torch.Tensor | nn.Module) -> None:
    name = type(rule).__name__
    if view.k != 2 or view.padded:
        raise AnswerKindError(f"{name} is a law of pairs, the menu has {view.k} places; ask choices from pairs")
    if isinstance(numbers, torch.Tensor) and view.items.n != len(numbers):
        raise ArgumentError(f"{name}: numbers for {len(numbers)} items but there are {view.items.n}")
