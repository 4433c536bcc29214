"""Luce's choice rule: Bradley-Terry, multinomial logit and Plackett-Luce in one; and the PBDE family on top of it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

from annosim.arrays import Numbers
from annosim.errors import ArgumentError
from annosim.feedback import AnswerSpace
from annosim.items import Items
from annosim.parameters import ParameterLike, behaves_as, check_number, check_value
from annosim.random import CounterRNG
from annosim.rules.base import Answer, Tempered, View, remaining_logsumexp
from annosim.utilities.adapters import frozen_copy
from annosim.utilities.base import Density, Utility

__all__ = ["PBDE", "Luce"]

#: f or g of a PBDE: numbers, or what gives one for each item.
Coefficient: TypeAlias = ParameterLike | Callable[[Items], Numbers]


class Luce(Tempered):
    r"""``P(a | menu) = exp(s_a) / sum_b exp(s_b)`` with ``s = u / temperature`` (Luce 1959; Plackett 1975).

    A pair is Bradley-Terry, a larger menu the multinomial logit; a ranking is a sequence of choices without
    replacement (Plackett-Luce), ``top`` its first ``depth`` stages; ``best-worst`` is the maxdiff model, exp(s_b - s_w)
    normalised over ordered pairs (Marley and Louviere 2005).

    Args:
        temperature: positive; ``free(start)`` to estimate it.

    Raises:
        ArgumentError: the temperature is not positive.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 0.0, 0.0]), an.Luce())
        >>> design = an.Design(an.Items(n=3), menu_size=3, feedback="ranking", menus=[[0, 1, 2]])
        >>> an.law(people, design).probabilities.round(decimals=4).tolist()
        [0.1667, 0.1667, 0.1667, 0.1667, 0.1667, 0.1667]
    """

    kinds = frozenset({"choice", "ranking", "top", "best-worst"})
    unbounded = True

    @property
    def follows_luce(self) -> bool:
        """True unless a subclass answers in another way."""
        return behaves_as(self, Luce, "sample", "log_prob", "table", "space", "check_kind")

    def log_prob(self, scores: torch.Tensor, answer: Answer, view: View) -> torch.Tensor:
        """Log-probability of the answers, ``(..., rows)``; a skip is not an answer of this rule."""
        kind = view.feedback.kind
        self.check_kind(view.feedback)
        if kind == "choice" and scores.shape[-1] == 2 and answer.position.shape[-1] == 1:
            won = answer.position[..., 0]
            gap = scores[..., 0] - scores[..., 1]
            return torch.nn.functional.logsigmoid(torch.where(won == 0, gap, -gap))
        if kind == "best-worst":
            return self._best_worst(scores, answer.position)
        chosen, total = remaining_logsumexp(scores, answer.position)
        return (chosen - total).sum(-1)

    def table(self, scores: torch.Tensor, view: View, space: AnswerSpace | None = None) -> torch.Tensor:
        """As :meth:`Rule.table`; all choices from a full menu share one logsumexp."""
        space = self.space(view) if space is None else space
        listed = np.asarray(space.answer).reshape(len(space), -1)
        every = space.tied is None and np.array_equal(listed, np.arange(view.k)[:, None])
        own = type(self).log_prob is Luce.log_prob and view.feedback.kind == "choice" and view.k > 2
        if not (own and every) or view.padded:
            return super().table(scores, view, space)
        return scores - torch.logsumexp(scores, -1, keepdim=True)

    @staticmethod
    def _best_worst(scores: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        batch = torch.broadcast_shapes(scores.shape[:-1], position.shape[:-1])
        s = scores.expand(*batch, scores.shape[-1])
        pairs = s.unsqueeze(-1) - s.unsqueeze(-2)
        real = torch.isfinite(s)
        valid = real.unsqueeze(-1) & real.unsqueeze(-2) & ~torch.eye(s.shape[-1], dtype=torch.bool, device=s.device)
        pairs = torch.where(valid, pairs, -torch.inf)
        total = torch.logsumexp(pairs.flatten(-2), -1)
        at = position.expand(*batch, 2)
        best, worst = s.gather(-1, at[..., :1]).squeeze(-1), s.gather(-1, at[..., 1:]).squeeze(-1)
        return best - worst - total

    def sample(self, scores: torch.Tensor, view: View, rng: CounterRNG) -> Answer:
        """Draw answers: a choice by one uniform against cumulative sums, a ranking by a race of exponentials."""
        kind = view.feedback.kind
        if kind == "best-worst":
            return super().sample(scores, view, rng)
        self.check_kind(view.feedback)
        k = scores.shape[-1]
        scores = scores.double()
        if kind == "choice":
            cdf = torch.softmax(scores, -1).cumsum(-1)
            u = torch.as_tensor(rng.uniform53("answer", 1), device=scores.device)
            return Answer(torch.searchsorted(cdf, u * cdf[:, -1:]))
        # argmin of Exponential / weight, in logs: the first to arrive is chosen, and so on (Yellott 1977)
        u = torch.as_tensor(rng.uniform("answer", k), device=scores.device)
        arrival = torch.log(-torch.log(u)) - scores
        order = arrival.argsort(-1)
        pad = ~torch.isfinite(scores).gather(-1, order)
        depth = min(view.feedback.depth or k, k)
        beyond = torch.arange(k, device=scores.device) >= depth
        return Answer(torch.where(pad | beyond, -1, order))


class PBDE(Luce):
    r"""Preference behaviour defined by a density: Luce on ``Omega = f log p + g`` (Dumoulin et al. 2311.14115).

    For a density ``p`` (the annotator's utility is its log), ``P(A > B) = sigmoid(Omega(A) - Omega(B))``; on larger
    menus and rankings the same index enters Luce's rule, so that a PBDE answers every kind that Luce does.

    Args:
        f: positive number, ``(n,)`` array, or callable on Items.
        g: number, ``(n,)`` array, or callable on Items.

    Raises:
        ArgumentError: f is not positive, or f or g is not finite.

    Example:
        >>> import annosim as an
        >>> rule = an.PBDE.geometric(0.5, an.LogDensity(lambda x: -x[:, 0] ** 2))
        >>> rule.index(torch.zeros(3), an.Items.grid(-1.0, 1.0, 3)).shape
        torch.Size([3])
    """

    divisor = None  # the temperature that it inherits is not read

    def __init__(self, f: Coefficient = 1.0, g: Coefficient = 0.0):
        super().__init__()
        self._set("f", f, "positive")
        self._set("g", g, "real")

    def _set(self, name: str, value: Coefficient, constraint: str) -> None:
        if isinstance(value, nn.Module):
            setattr(self, name, value)
        elif callable(value):
            object.__setattr__(self, name, value)
        else:
            self.declare(name, value, constraint)

    def coefficients(self, items: Items) -> tuple[torch.Tensor, torch.Tensor]:
        """``f`` and ``g`` evaluated on the items: each a scalar or ``(n,)`` float64 tensor."""
        return self._evaluate("f", "positive", items), self._evaluate("g", "real", items)

    def _evaluate(self, name: str, constraint: str, items: Items) -> torch.Tensor:
        value = getattr(self, name)
        if callable(value):
            moves = isinstance(value, nn.Module) and any(True for _ in (*value.parameters(), *value.buffers()))
            value = value(items if moves else items.host)  # a function's own tensors stay where they are
            # inside a torch.func transform there are no numbers to look at; they were checked outside
            if not (isinstance(value, torch.Tensor) and torch._C._functorch.is_functorch_wrapped_tensor(value)):
                checked = check_value(f"PBDE({name}=) on the items", value, constraint)
                learned = isinstance(value, torch.Tensor) and value.requires_grad  # a network: its gradient stays
                value = value.double() if learned else checked
        if value.ndim and value.shape[-1] != items.n:
            raise ArgumentError(f"PBDE({name}=): {value.shape[-1]} entries but there are {items.n} items")
        return value

    def index(self, u: torch.Tensor, items: Items) -> torch.Tensor:
        """``f u + g``, ``(..., n)``."""
        f, g = self.coefficients(items)
        return f.to(u.device) * u + g.to(u.device)

    @classmethod
    def dpo(cls, beta: float, reference: Density) -> PBDE:
        """DPO's rule: ``Omega = beta (log p - log reference)`` (Rafailov et al. 2305.18290).

        Args:
            beta: positive.
            reference: a density; copied and frozen.
        """
        check_number("PBDE.dpo(beta=)", beta, "positive")
        return cls(f=beta, g=_Reference(reference, -float(beta)))

    @classmethod
    def geometric(cls, alpha: float, reference: Density) -> PBDE:
        """Geometric average: ``f = 1/alpha, g = (1 - 1/alpha) log reference``; the optimum is ``ref^(1-a) p*^a``."""
        check_number("PBDE.geometric(alpha=)", alpha, "positive")
        return cls(f=1.0 / float(alpha), g=_Reference(reference, 1.0 - 1.0 / float(alpha)))

    @classmethod
    def length_normalised(cls, length: float, lengths: Numbers | Callable[[Items], Numbers] | None = None) -> PBDE:
        """``f = length / len(x)``: per-token log-probability, scaled by ``length``.

        Args:
            length: positive scale L.
            lengths: ``(n,)`` lengths, or a callable on Items; the items' column ``"length"`` by default.
        """
        check_number("PBDE.length_normalised(length=)", length, "positive")
        return cls(f=_PerLength(float(length), lengths))


class _Reference(nn.Module):
    """``scale * log reference(items)``, with a frozen copy of the reference."""

    def __init__(self, reference: Density, scale: float):
        super().__init__()
        if not callable(getattr(reference, "log_prob", None)):
            raise ArgumentError(_no_density(reference))
        self.reference: Any = frozen_copy(reference) if isinstance(reference, nn.Module) else copy.deepcopy(reference)
        self.scale = scale

    def forward(self, items: Items) -> torch.Tensor:
        with torch.no_grad():
            return self.scale * self.reference.log_prob(items)


def _no_density(reference: object) -> str:
    """What to write instead of a reference that has no probabilities."""
    if isinstance(reference, Utility):
        return (
            f"PBDE(reference=): {type(reference).__name__}(...) is a utility and no density; write "
            f"an.LogDensity({type(reference).__name__}(...)), its softmax within a prompt, or "
            "an.policies.ItemDensity([0.6, 0.4]) with a probability for each item"
        )
    return (
        f"PBDE(reference=): {reference!r} is no density; give an.LogDensity(utility), an.LogPolicy(language_model), or "
        "an.policies.ItemDensity([0.6, 0.4]) with a probability for each item"
    )


class _PerLength:
    def __init__(self, scale: float, lengths: Numbers | Callable[[Items], Numbers] | None):
        self.scale, self.lengths = scale, lengths

    def __call__(self, items: Items) -> torch.Tensor:
        lengths: Any = self.lengths
        if lengths is None:
            if "length" not in items.columns:
                raise ArgumentError("length_normalised: the items have no column 'length'; pass lengths=")
            lengths = items.columns["length"]
        elif callable(lengths):
            lengths = lengths(items)
        return self.scale / torch.as_tensor(np.asarray(lengths), dtype=torch.float64)
