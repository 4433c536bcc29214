"""Rules for ratings: ordered logit (Likert), thumbs up or down, and graded pairs ("slightly", "much better")."""

from __future__ import annotations

import torch
from torch.nn.functional import logsigmoid

from annosim.errors import AnswerKindError, ArgumentError
from annosim.parameters import ParameterLike
from annosim.random import CounterRNG
from annosim.rules.base import Answer, Tempered, View

__all__ = ["GradedPairs", "OrderedLogit", "Thumbs"]


class OrderedLogit(Tempered):
    r"""Grades of each alternative on its own: ``P(grade <= g) = sigmoid(cut_g - s)`` (McCullagh 1980; Likert scales).

    The grade counts the cuts below ``s`` plus logistic noise. The cuts stand on the scale of the index, so that
    ratings fix the location that comparisons leave open.

    Args:
        cuts: ``G - 1`` increasing numbers; ``free(start)`` to estimate.
        temperature: positive.

    Raises:
        ArgumentError: cuts that do not increase.
        AnswerKindError: the question's number of grades is not the number of cuts plus one.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0]), OrderedLogit([-1.0, 1.0]))
        >>> design = an.Design(an.Items(n=1), menu_size=1, feedback="rating", grades=3)
        >>> an.law(people, design).probabilities.round(decimals=4).tolist()
        [0.2689, 0.4621, 0.2689]
    """

    kinds = frozenset({"rating"})
    absolute = True

    def __init__(self, cuts: ParameterLike = (-1.5, -0.5, 0.5, 1.5), temperature: ParameterLike = 1.0):
        super().__init__(temperature)
        self.declare("cuts", cuts, "increasing", ndim=1)

    def _cuts(self, like: torch.Tensor, view: View) -> torch.Tensor:
        self.check_kind(view.feedback)
        if view.feedback.grades != len(self.cuts) + 1:
            raise AnswerKindError(
                f"{type(self).__name__} has {len(self.cuts)} cuts for {len(self.cuts) + 1} grades but the question has "
                f"{view.feedback.grades}; set Design(grades={len(self.cuts) + 1})"
            )
        return self.cuts.to(device=like.device, dtype=like.dtype)

    def log_prob(self, scores: torch.Tensor, answer: Answer, view: View) -> torch.Tensor:
        """Sum over the alternatives of the log-probabilities of their grades, ``(..., rows)``."""
        # an empty place has score -inf and so grade 0 for certain: it adds nothing
        return log_grade(scores, answer.position.clamp_min(0), self._cuts(scores, view)).sum(-1)

    def sample(self, scores: torch.Tensor, view: View, rng: CounterRNG) -> Answer:
        """The number of cuts below the score plus logistic noise, for each place, ``(rows, k)``."""
        cuts = self._cuts(scores.double(), view)
        u = torch.as_tensor(rng.uniform53("answer", scores.shape[-1]), device=scores.device)
        grade = (cuts < (scores.double() + torch.logit(u)).unsqueeze(-1)).sum(-1)
        return Answer(torch.where(view.menu.to(grade.device) >= 0, grade, -1))


def log_grade(s: torch.Tensor, grade: torch.Tensor, cuts: torch.Tensor) -> torch.Tensor:
    """``log(sigmoid(c_g - s) - sigmoid(c_(g-1) - s))`` without cancellation, shape of ``s`` and ``grade`` broadcast.

    ``sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - e^(a - b))``.
    """
    last = len(cuts)
    above, below = cuts[grade.clamp(0, last - 1)], cuts[(grade - 1).clamp_min(0)]
    low, high = logsigmoid(above - s), logsigmoid(s - below)
    width = torch.where(above > below, above - below, 1.0)
    inner = low + high + torch.log(-torch.expm1(-width))
    return torch.where(grade == 0, low, torch.where(grade == last, high, inner))


class Thumbs(OrderedLogit):
    """Thumbs up (grade 1) with probability ``sigmoid(s - threshold)``, down (grade 0) otherwise.

    Args:
        threshold: a number; ``free(start)`` to estimate.
        temperature: positive.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([1.0]), Thumbs(threshold=1.0))
        >>> design = an.Design(an.Items(n=1), menu_size=1, feedback="rating", grades=2)
        >>> an.law(people, design).probabilities.tolist()
        [0.5, 0.5]
    """

    def __init__(self, threshold: ParameterLike = 0.0, temperature: ParameterLike = 1.0):
        Tempered.__init__(self, temperature)
        self.declare("threshold", threshold, ndim=0)

    @property
    def cuts(self) -> torch.Tensor:
        """The one cut, ``(1,)``."""
        return self.threshold.reshape(1)


class GradedPairs(Tempered):
    r"""How much better: ordered logit on the difference ``s_1 - s_2`` with cuts symmetric about zero.

    Asked as a ``rating`` of a pair, each side's grade the mirror of the other's: with four grades, 3 and 0 say "the
    first is much better", 2 and 1 "slightly better". An odd number of grades has "about the same" in the middle.

    Args:
        cuts: increasing positive cuts of the difference; ``free(start)`` to estimate.
        same: whether "about the same" is an answer (then there are ``2 len(cuts) + 1`` grades, else
            ``2 len(cuts) + 2``).
        temperature: positive.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 0.0]), GradedPairs([1.0]))
        >>> design = an.Design(an.Items(n=2), menus=[[0, 1]], feedback="rating", grades=4)
        >>> an.law(people, design).as_data().answer.tolist()
        [[0, 3], [1, 2], [2, 1], [3, 0]]
    """

    kinds = frozenset({"rating"})

    def __init__(self, cuts: ParameterLike = (1.0,), same: bool = False, temperature: ParameterLike = 1.0):
        super().__init__(temperature)
        self.declare("cuts", cuts, "increasing", ndim=1)
        if not bool((self.cuts > 0).all()):
            raise ArgumentError(
                f"GradedPairs(cuts={self.cuts.tolist()}): positive and increasing; the negative ones mirror"
            )
        self.same = bool(same)

    @property
    def grades(self) -> int:
        """Number of grades."""
        return 2 * len(self.cuts) + (1 if self.same else 2)

    def _cuts(self, like: torch.Tensor, view: View) -> torch.Tensor:
        self.check_kind(view.feedback)
        if view.feedback.grades != self.grades or view.k != 2:
            raise AnswerKindError(
                f"GradedPairs has {self.grades} grades of pairs, the question has {view.feedback.grades} grades and "
                f"menus of {view.k}; set Design(menu_size=2, grades={self.grades})"
            )
        if view.padded:
            raise AnswerKindError("GradedPairs compares two alternatives and a menu has an empty place; ask pairs")
        cuts = self.cuts.to(device=like.device, dtype=like.dtype)
        middle = [] if self.same else [torch.zeros_like(cuts[:1])]
        return torch.cat([-cuts.flip(-1), *middle, cuts])

    def log_prob(self, scores: torch.Tensor, answer: Answer, view: View) -> torch.Tensor:
        """Log-probability of the first side's grade; -inf where the two grades are not mirrors, ``(..., rows)``."""
        cuts = self._cuts(scores, view)
        first, second = answer.position[..., 0], answer.position[..., 1]
        out = log_grade(scores[..., 0] - scores[..., 1], first, cuts)
        return torch.where(first + second == self.grades - 1, out, -torch.inf)

    def sample(self, scores: torch.Tensor, view: View, rng: CounterRNG) -> Answer:
        """The number of cuts below the difference plus logistic noise, and its mirror, ``(rows, 2)``."""
        cuts = self._cuts(scores.double(), view)
        u = torch.as_tensor(rng.uniform53("answer", 1), device=scores.device)
        gap = (scores[:, :1] - scores[:, 1:]).double() + torch.logit(u)
        grade = (cuts < gap).sum(-1, keepdim=True)
        return Answer(torch.cat([grade, self.grades - 1 - grade], -1))
