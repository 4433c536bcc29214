"""People who do not look, or who answer the opposite: spammers and adversaries."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import torch

from annosim.errors import ArgumentError, told
from annosim.items import Items
from annosim.random import CounterRNG
from annosim.rules.answers import choose, first_answer, log_first, log_uniform, sample_uniform
from annosim.rules.base import Answer, Rule, View
from annosim.rules.response_biases import ResponseBias

#: What a spammer answers.
Looks: TypeAlias = Literal["random", "first", "last", "alternating"]

__all__ = ["Adversary", "Spammer"]


class Spammer(Rule):
    """Answers without looking at the alternatives: at random, always the same side, or alternating sides.

    ``"random"``: any answer, all alike. ``"first"``: the first position (a ranking: the display order). ``"last"``:
    the last (the display order backwards). ``"alternating"``: first and last alternately along the annotator's own
    sequence.

    Args:
        how: ``"random"``, ``"first"``, ``"last"`` or ``"alternating"``.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.utilities.ZeroUtility(), Spammer("first"))
        >>> an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.tolist()
        [1.0, 0.0]
    """

    ordinal = True

    def __init__(self, how: Looks = "random"):
        super().__init__()
        if how not in get_args(Looks):
            raise ArgumentError(f"Spammer(how={told(how)}): one of random, first, last, alternating")
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

    def sample(self, scores: torch.Tensor, view: View, rng: CounterRNG) -> Answer:
        """Draws for ``"random"`` (stream ``answer``); no randomness otherwise."""
        self.check_kind(view.feedback)
        if self.how == "random":
            return sample_uniform(view, False, rng, scores)
        width = view.feedback.width(view.k)
        like = Answer(torch.zeros((len(view.menu), width), dtype=torch.long, device=scores.device))
        forward, back = first_answer(view, like), first_answer(view, like, last=True)
        if self.how == "alternating":
            if view.order is None:
                raise ArgumentError("Spammer('alternating'): the place in the sequence (order) is not known")
            return choose((view.order % 2 == 0).to(scores.device), forward, back)
        return forward if self.how == "first" else back


class Adversary(ResponseBias):
    """Answers what the rule would say if all utilities had the opposite sign.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 1.0]), Adversary(an.Luce()))
        >>> an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.round(decimals=4).tolist()
        [0.7311, 0.2689]
    """

    def index(self, u: torch.Tensor, items: Items) -> torch.Tensor:
        """The wrapped rule's index of ``-u``, ``(..., n)``."""
        return self.rule.index(-u, items)
