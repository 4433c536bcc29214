"""The comparisons of two items that answers of any kind imply.

A choice says that the chosen item beats each other one shown, a ranking orders every two items; under Luce's rule each
of these comparisons is a Bradley-Terry one (Azari Soufiani et al. 2013, full breaking is consistent). Comparisons of one
answer are not independent: whatever is computed from them is summed within the answer, or the annotator, first.
Grades of single items are compared two by two within an annotator, each grade once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annosim.data.counts import combine
from annosim.data.preferences import PreferenceData
from annosim.items import Items
from annosim.learning.existence.connectivity import preference_levels
from annosim.random import child_seed, uniform53

__all__ = ["Implied", "crossed", "first_of", "implied"]

#: comparisons above which a seeded part of the answers stands for all
MOST = 12_000_000

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Implied:
    """Comparisons, one entry each.

    Attributes:
        items: what is compared.
        first, second: ``(C,)`` items, the one displayed earlier first.
        won: ``(C,)`` 1 where the first was preferred, 0 where the second was, .5 for a tie.
        weight: ``(C,)`` of the annotator.
        who: ``(C,)`` annotator.
        answer: ``(C,)`` row of the data.
        context: ``(C,)`` prompt of the question, or ``None``.
        named: whether the data have annotator ids.
        share: of the answers that were read.
    """

    items: Items
    first: Ints
    second: Ints
    won: Floats
    weight: Floats
    who: Ints
    answer: Ints
    context: Ints | None
    named: bool
    share: float = 1.0

    def __len__(self) -> int:
        return len(self.first)

    def take(self, mask: NDArray[Any]) -> Implied:
        """Some of the comparisons."""
        names = ("first", "second", "won", "weight", "who", "answer")
        context = None if self.context is None else self.context[mask]
        return replace(self, context=context, **{name: getattr(self, name)[mask] for name in names})

    @cached_property
    def one_each(self) -> Implied:
        """One comparison of each answer, so that entries are independent given who answered."""
        if self.single:
            return self
        order = np.argsort(self.answer, kind="stable")
        start = np.r_[0, np.flatnonzero(np.diff(self.answer[order])) + 1]
        size = np.diff(np.r_[start, len(order)])
        return self.take(np.sort(order[start + self.answer[order[start]] % size]))

    @cached_property
    def crossed(self) -> tuple[Ints, Ints]:
        """Number of each entry's (question, annotator), and the first entry of each; answers are apart without ids."""
        return crossed(self.question, self.who, len(self) if not self.named and self.single else 0)

    @cached_property
    def single(self) -> bool:
        """Whether each answer is one comparison."""
        return len(self) == 0 or bool((np.diff(self.answer) > 0).all())

    @cached_property
    def question(self) -> Ints:
        """``(C,)`` number of the question: the two items, and the context."""
        if not len(self):
            return np.zeros(0, dtype=np.int64)
        low, high = np.minimum(self.first, self.second), np.maximum(self.first, self.second)
        return combine([low, high] if self.context is None else [low, high, self.context])

    @cached_property
    def low_won(self) -> Floats:
        """``(C,)`` the answer without the display order: 1 where the item of the smaller number was preferred."""
        return np.where(self.first < self.second, self.won, 1.0 - self.won)

    @cached_property
    def people(self) -> tuple[Ints, Ints]:
        """Ids of the annotators who answered, ascending, and the place of each entry's among them, ``(C,)``."""
        code = combine([self.who]) if len(self) else np.zeros(0, dtype=np.int64)
        return self.who[first_of(code)], code

    @cached_property
    def answers(self) -> Ints:
        """``(C,)`` number of each entry's answer, from 0 without gaps."""
        return np.arange(len(self)) if self.single else combine([self.answer])

    @cached_property
    def annotators(self) -> int:
        """How many annotators answered."""
        return len(self.people[0])

    @cached_property
    def people_by_weight(self) -> float:
        """How many annotators answered, one of weight w counted as w who answer alike."""
        return float(self.weight[first_of(self.people[1])].sum()) if len(self) else 0.0


def first_of(group: Ints) -> Ints:
    """The first entry of each group, groups numbered from 0 without gaps."""
    out = np.empty(int(group.max()) + 1 if len(group) else 0, dtype=np.int64)
    out[group[::-1]] = np.arange(len(group))[::-1]
    return out


def crossed(one: Ints, other: Ints, distinct: int = 0) -> tuple[Ints, Ints]:
    """Number of each entry's pair of groups, and the first entry of each; ``distinct`` where all are known to differ."""
    if distinct == len(one):
        same = np.arange(len(one))
        return same, same
    cell = combine([one, other])
    return cell, first_of(cell)


def implied(data: PreferenceData, seed: int = 0) -> Implied:
    """The comparisons of data without replicates.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=3), [[2, 0, 1]], answer=[1])
        >>> found = implied(data)
        >>> list(zip(found.first.tolist(), found.second.tolist(), found.won.tolist()))
        [(2, 0, 0.0), (0, 1, 1.0)]
    """
    if data.feedback.kind == "rating" and data.menu_size == 1:
        return _grades(data)
    menu, k = np.asarray(data.menu), data.menu_size
    rows, share = np.arange(data.rows), min(1.0, MOST / max(1, data.rows * k * (k - 1) // 2))
    if share < 1.0:
        rows = np.flatnonzero(uniform53(child_seed(seed, "diagnosis"), "bootstrap", rows, 0) < share)
        data, menu = data.take(rows), menu[rows]
    level = preference_levels(data)
    live = (np.asarray(data.row_weight) > 0) & ~np.asarray(data.skipped)
    parts: list[tuple[Ints, Ints, Floats, Ints]] = []
    for a in range(k):
        for b in range(a + 1, k):
            tie = (level[:, a] == level[:, b]) & (level[:, a] > -k - 1)
            use = live & (menu[:, a] >= 0) & (menu[:, b] >= 0) & (menu[:, a] != menu[:, b])
            use &= tie | (level[:, a] != level[:, b])
            won = np.where(tie, 0.5, (level[:, a] > level[:, b]).astype(float))
            at: Ints = np.flatnonzero(use)
            parts.append((menu[at, a], menu[at, b], won[at], at))
    first, second, won, at = parts[0] if len(parts) == 1 else _joined(parts)
    return _implied(data, first, second, won, at, at if data.annotator is None else rows[at], share)


def _joined(parts: list[tuple[Ints, Ints, Floats, Ints]]) -> tuple[Ints, Ints, Floats, Ints]:
    """All comparisons, those of one answer together."""
    first, second, won, at = (np.concatenate([part[i] for part in parts]) for i in range(4))
    order = np.argsort(at, kind="stable")
    return first[order], second[order], won[order], at[order]


def _implied(
    data: PreferenceData, first: Ints, second: Ints, won: Floats, at: Ints, answer: Ints, share: float = 1.0
) -> Implied:
    return Implied(
        items=data.items,
        first=first.astype(np.int64),
        second=second.astype(np.int64),
        won=won,
        weight=np.asarray(data.row_weight)[at],
        who=np.asarray(data.annotator_ids)[at],
        answer=answer,
        context=None if data.prompt is None else np.asarray(data.prompt)[at],
        named=data.annotator is not None,
        share=share,
    )


def _grades(data: PreferenceData) -> Implied:
    """Two grades of one annotator after the other, each used once, within a prompt."""
    grade, item = np.asarray(data.answer).reshape(data.rows), np.asarray(data.menu)[:, 0]
    live = np.flatnonzero((grade >= 0) & (np.asarray(data.row_weight) > 0) & (data.annotator is not None))
    prompt = data.items.prompts.numpy()[item]
    order = live[np.lexsort((live, prompt[live], np.asarray(data.annotator_ids)[live]))]
    block = combine([np.asarray(data.annotator_ids)[order], prompt[order]]) if len(order) else np.zeros(0, int)
    place = np.arange(len(order)) - np.searchsorted(block, block, side="left")
    left = np.flatnonzero((place[:-1] % 2 == 0) & (block[:-1] == block[1:])) if len(order) else np.zeros(0, int)
    a, b = order[left], order[left + 1]
    distinct = item[a] != item[b]
    a, b = a[distinct], b[distinct]
    won = np.where(grade[a] == grade[b], 0.5, (grade[a] > grade[b]).astype(float))
    return _implied(data, item[a], item[b], won, a, a)
