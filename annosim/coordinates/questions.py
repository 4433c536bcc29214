"""How a rule answers standard questions at standard scores: what answers tell of a rule beside its index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy.special import ndtri

from annosim.errors import AnnosimError
from annosim.feedback import AnswerSpace, Feedback
from annosim.items import Items
from annosim.populations.base import gather
from annosim.random import uniform53
from annosim.rules.base import Rule, View
from annosim.rules.covariates import standard_covariates
from annosim.rules.reliability import Reliability
from annosim.rules.scale import Scaled

__all__ = ["Question", "behaviour", "behaviour_gap", "depends_on_level", "questions_for", "same_rule", "same_structure"]

#: the standard scores come at these scales, so that thresholds of any size lie among them; in larger menus at the first
SCALES = (1.0, 4.0, 16.0, 64.0)
#: pairs of items that are asked about unless a rule has more numbers than these could tell
PAIRS = 60
#: differences of probabilities below this are rounding
ROUNDING = 1e-11


@dataclass(frozen=True, eq=False)
class Question:
    """Questions of one kind that every rule is asked.

    Attributes:
        view: the menus, the kind of answer, the place in the sequence, who answers.
        space: the answers whose probabilities are looked at; those that a rule cannot give have probability zero.
        scores: ``(rows, k)`` standard scores of the menus' items.
    """

    view: View
    space: AnswerSpace
    scores: torch.Tensor

    def ask(self, rule: Rule, level: torch.Tensor | float = 0.0) -> torch.Tensor:
        """Probabilities of the answers ``(rows, answers)`` with all scores raised by ``level``; differentiable."""
        return rule.table(self.scores + level, self.view, self.space).double().exp()

    def is_defined(self, rule: Rule) -> bool:
        """Whether the rule answers such questions."""
        kind = self.view.feedback.kind
        if kind not in rule.kinds or (kind in ("best-worst", "top") and rule.kinds & {"choice", "ranking"}):
            return False  # who chooses, or ranks, is asked nothing else
        try:
            with torch.no_grad():
                return bool(torch.isfinite(self.ask(rule)).all())
        except (AnnosimError, IndexError):
            return False


def questions_for(rule: Rule, items: Items) -> tuple[Question, ...]:
    """The standard questions that a rule defines.

    Example:
        >>> import annosim as an
        >>> kinds = {question.view.feedback.kind for question in questions_for(an.rules.Thumbs(), an.Items(n=3))}
        >>> kinds
        {'rating'}
    """
    return tuple(q for q in _all_questions(items, *_size(rule), rule.covariates) if q.is_defined(rule))


def behaviour(rule: Rule, questions: Sequence[Question], level: torch.Tensor | float = 0.0) -> torch.Tensor:
    """Probabilities of all answers to the questions, one vector, differentiable in the rule's numbers and the level."""
    parts = [question.ask(rule, level).reshape(-1) for question in questions]
    return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)


def depends_on_level(rule: Rule, items: Items, questions: Sequence[Question] | None = None) -> bool:
    """Whether raising all scores alike changes the answers (ratings, an outside option).

    Example:
        >>> import annosim as an
        >>> depends_on_level(an.rules.Thumbs(), an.Items(n=2)), depends_on_level(an.Luce(), an.Items(n=2))
        (True, False)
    """
    if rule.follows_luce:
        return False
    asked = questions_for(rule, items) if questions is None else questions
    with torch.no_grad():
        return any(bool(((q.ask(rule) - q.ask(rule, 0.37)).abs() > ROUNDING).any()) for q in asked)


def behaviour_gap(first: Rule, second: Rule, items: Items, levels: tuple[float, float] = (0.0, 0.0)) -> float:
    """Mean over the questions that both rules define of the squared distance of their laws of answers; 1 if there are
    none.

    Example:
        >>> import annosim as an
        >>> lapsing = an.Lapse(an.Luce(), 0.1)
        >>> behaviour_gap(lapsing, an.Luce(), an.Items(n=2)) > 0, behaviour_gap(an.Luce(), an.Luce(), an.Items(n=2))
        (True, 0.0)
    """
    if first.follows_luce and second.follows_luce:
        return 0.0
    size = tuple(max(pair) for pair in zip(_size(first), _size(second), strict=True))
    total, rows = 0.0, 0
    with torch.no_grad():
        for question in _all_questions(items, *size, tuple(sorted({*first.covariates, *second.covariates}))):
            if question.is_defined(first) and question.is_defined(second):
                apart = question.ask(first, levels[0]) - question.ask(second, levels[1])
                total, rows = total + float(apart.square().sum()), rows + len(apart)
    return total / rows if rows else 1.0


def same_rule(first: Rule, second: Rule) -> bool:
    """Whether two rules are of one class with the same settings and the same numbers, parts included.

    Example:
        >>> import annosim as an
        >>> same_rule(an.Lapse(an.Luce(), 0.1), an.Lapse(an.Luce(), 0.1)), same_rule(an.Luce(), an.Luce(2.0))
        (True, False)
    """
    if not same_structure(first, second):
        return False
    numbers = [dict([*rule.named_parameters(), *rule.named_buffers()]) for rule in (first, second)]
    return numbers[0].keys() == numbers[1].keys() and all(
        torch.equal(value, numbers[1][name]) for name, value in numbers[0].items()
    )


def same_structure(first: Rule, second: Rule) -> bool:
    """Whether two rules are of one class with the same settings, parts included, whatever their numbers."""
    one, two = list(first.named_modules()), list(second.named_modules())
    if [(name, type(part)) for name, part in one] != [(name, type(part)) for name, part in two]:
        return False
    return all(_settings(a) == _settings(b) for (_, a), (_, b) in zip(one, two, strict=True))


def _settings(module: torch.nn.Module) -> dict[str, object]:
    """What a module holds beside its parameters and parts; arrays by identity, which errs on the side of different."""
    plain = (bool, int, float, str, frozenset, tuple, type(None))
    return {
        name: value if isinstance(value, plain) else id(value)
        for name, value in vars(module).items()
        if not (name.startswith("_") or isinstance(value, torch.nn.Module))
    }


# ---- the questions -----------------------------------------------------------------------------------------------


def _size(rule: Rule) -> tuple[int, int, int]:
    """Pairs of items, different people, and places of a sequence that the rule's numbers need."""
    people = [part.factor.numel() for part in rule.modules() if isinstance(part, Scaled)]
    people += [part.skill.numel() for part in rule.modules() if isinstance(part, Reliability)]
    people += [b.numel() for part in rule.modules() if isinstance(part, Reliability) for b in part.biases()]
    return max(PAIRS, rule.num_free()), max(people, default=1), 3 if rule.memory or rule.sequential else 1


@lru_cache(maxsize=16)
def _all_questions(
    items: Items, pairs: int, people: int, places: int, covariates: tuple[str, ...] = ()
) -> tuple[Question, ...]:
    """Every standard question on an item set."""
    menus = {k: _menus(items, k, {2: pairs, 3: 12}.get(k, 3)) for k in range(1, 7)}
    asked: list[tuple[Feedback, int]] = [(Feedback("choice"), k) for k in range(2, 7)]
    asked += [(Feedback("ranking"), 2), (Feedback("ranking"), 3), (Feedback("best-worst"), 3), (Feedback("top", 2), 3)]
    asked += [(Feedback("rating", grades=grades), min(2, items.n)) for grades in range(2, 12)]
    return tuple(
        _question(items, feedback, menus[k], place, people if k < 3 else 1, covariates)
        for place in range(places)
        for feedback, k in asked
        if len(menus[k])
    )


def _question(
    items: Items, feedback: Feedback, menu: torch.Tensor, place: int, people: int, covariates: tuple[str, ...]
) -> Question:
    """The menus at every scale, at one place of the sequence; from the second on, the first was best before.

    Covariates are standard normal numbers of each place of each question.
    """
    scales = SCALES if menu.shape[1] < 3 else SCALES[:1]
    menu = menu.repeat(-(-people // (len(menu) * len(scales))), 1)
    rows, k = len(menu) * len(scales), menu.shape[1]
    ranked = feedback.kind != "rating"
    space = feedback.answers(k, ties=ranked and feedback.kind != "best-worst", skips=True)
    standard = torch.as_tensor(ndtri(uniform53(0, "analysis", np.arange(items.n), 0)))
    view = View(
        items=items,
        menu=menu.repeat(len(scales), 1),
        feedback=feedback,
        order=torch.full((rows,), place),
        previous=torch.arange(feedback.width(k)).expand(rows, -1)
        if place
        else torch.full((rows, feedback.width(k)), -1),
        annotator=torch.arange(rows) % people,
        prompt=torch.zeros(rows, dtype=torch.long),
        covariates=standard_covariates(covariates, rows, k),
    )
    scores = torch.cat([scale * gather(standard, menu) for scale in scales])
    return Question(view, space, scores)


def _menus(items: Items, k: int, most: int) -> torch.Tensor:
    """Menus of ``k`` items of one prompt, ``(M, k)``: all of them where these are few, else a spread-out choice."""
    rows = []
    prompts = items.prompts.unique().tolist()
    share = -(-most // len(prompts))
    for prompt in prompts[:most]:
        ids = items.members(prompt).tolist()
        rows += _spread(ids, k, share)
    turned = [row[::-1] if number % 2 else row for number, row in enumerate(rows)]
    return torch.tensor(turned, dtype=torch.long).reshape(-1, k)


def _spread(ids: list[int], k: int, most: int) -> list[list[int]]:
    """Up to ``most`` menus from one prompt: neighbours first, then items farther and farther apart."""
    n, seen, out = len(ids), set(), []
    if n < k:
        return []
    for step in range(1, n):
        for start in range(n):
            row = [ids[(start + j * step) % n] for j in range(k)]
            key = frozenset(row)
            if len(key) == k and key not in seen:
                seen.add(key)
                out.append(row)
                if len(out) >= most:
                    return out
    return out
