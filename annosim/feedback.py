"""Kinds of feedback, and the set of answers that each of them allows on a menu of ``k`` alternatives.

An answer is always written in **display positions** (0 .. k-1), never in item ids:

===========  ===========================  ==================================================================
kind         ``answer``                   meaning
===========  ===========================  ==================================================================
choice       ``(rows,)``                  position of the best
ranking      ``(rows, k)``                positions, best first
top          ``(rows, k)``                positions, best first, -1 beyond the depth
best-worst   ``(rows, 2)``                position of the best, position of the worst
rating       ``(rows, k)``                grade 0 .. grades-1 of each position
===========  ===========================  ==================================================================

Ties stand beside it: ``tied[r, j]`` says that the j-th and the (j+1)-th of the order are tied; inside a tied group
positions ascend. A choice with ties lists the tied winners first, as ``top`` does. A skip is -1 throughout.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from annosim.errors import ArgumentError

__all__ = ["KINDS", "AnswerSpace", "Feedback", "filled_places"]

KINDS = ("choice", "ranking", "top", "best-worst", "rating")


@dataclass(frozen=True, eq=False)
class AnswerSpace:
    """Every possible answer to one menu of ``k`` alternatives, in a fixed order.

    Attributes:
        answer: ``(A, width)`` int8, one answer a row; -1 pads; a skip is a row of -1.
        tied: ``(A, k - 1)`` bool, or ``None`` when ties are not allowed.
    """

    answer: NDArray[np.int8]
    tied: NDArray[np.bool_] | None

    def __len__(self) -> int:
        return int(self.answer.shape[0])


@dataclass(frozen=True)
class Feedback:
    """A kind of feedback with its settings.

    Args:
        kind: one of :data:`KINDS`.
        depth: how many places a ``top`` answer ranks.
        grades: how many grades a ``rating`` uses.

    Raises:
        ArgumentError: an unknown kind, or a depth or number of grades that is missing or out of place.

    Example:
        >>> len(Feedback("ranking").answers(3)), len(Feedback("ranking").answers(3, ties=True))
        (6, 13)
    """

    kind: str = "choice"
    depth: int | None = None
    grades: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ArgumentError(f"feedback={self.kind!r}: the kinds are {', '.join(KINDS)}")
        if (self.kind == "top") != (self.depth is not None):
            raise ArgumentError(f"depth={self.depth}: feedback 'top' needs depth=l, and no other kind takes it")
        if self.depth is not None and self.depth < 1:
            raise ArgumentError(f"depth={self.depth}: at least one place must be ranked")
        if self.kind == "rating" and self.grades is None:
            object.__setattr__(self, "grades", 5)
        if self.kind != "rating" and self.grades is not None:
            raise ArgumentError(f"grades={self.grades}: only feedback 'rating' takes grades")
        if self.grades is not None and not 2 <= self.grades <= 127:
            raise ArgumentError(f"grades={self.grades}: between 2 and 127")

    def width(self, k: int, ties: bool = False) -> int:
        """Number of columns of ``answer`` for menus of ``k`` (1 for a plain choice)."""
        if self.kind == "choice":
            return k if ties else 1
        return 2 if self.kind == "best-worst" else k

    def count(self, k: int, ties: bool = False) -> int:
        """Number of possible answers to a menu of ``k`` (skips not counted)."""
        if self.kind == "choice":
            return 2**k - 1 if ties else k
        if self.kind == "best-worst":
            return k * (k - 1)
        if self.kind == "rating":
            return int((self.grades or 0) ** k)
        depth = min(self.depth or k, k)
        if ties:
            return len(self.answers(k, ties=True)) if k <= 8 else 10**12
        return math.perm(k, depth)

    def answers(
        self, k: int, ties: bool = False, skips: bool = False, filled: tuple[tuple[int, ...], ...] = ()
    ) -> AnswerSpace:
        """All answers to a menu of ``k``, in lexicographic order; a skip comes last.

        Args:
            filled: from :func:`filled_places`: where menus with empty places are filled. The shorter rankings and
                ratings that they allow stand behind those of a full menu.
        """
        return _answers(self, int(k), bool(ties), bool(skips), filled)

    def in_words(self, answer: np.ndarray, names: Sequence[str], tied: np.ndarray | None = None) -> str:
        """One answer with the names of the alternatives shown, in display order.

        Example:
            >>> Feedback("ranking").in_words(np.array([1, 0, 2]), ["a", "b", "c"], np.array([True, False]))
            'b = a > c'
        """
        if (np.asarray(answer) < 0).all():
            return "skip"
        if self.kind == "rating":
            return ", ".join(f"{name}: {grade}" for name, grade in zip(names, answer, strict=True) if grade >= 0)
        if self.kind == "best-worst":
            return f"best {names[answer[0]]}, worst {names[answer[1]]}"
        places = [int(place) for place in answer if place >= 0]
        signs = [" = " if tied is not None and tied[j] else " > " for j in range(len(places) - 1)]
        return "".join(names[place] + sign for place, sign in zip(places, [*signs, ""], strict=True))


def filled_places(menu: np.ndarray) -> tuple[tuple[int, ...], ...]:
    """Which places are filled, once for each pattern among the menus ``(rows, k)`` that have empty places (-1).

    Example:
        >>> filled_places(np.array([[0, 1, 2], [4, 2, -1], [1, 0, -1]]))
        ((0, 1),)
    """
    full = np.asarray(menu) >= 0
    some = full[~full.all(-1)]
    return tuple(tuple(np.flatnonzero(row).tolist()) for row in np.unique(some, axis=0))


@lru_cache(maxsize=256)
def _answers(feedback: Feedback, k: int, ties: bool, skips: bool, filled: tuple[tuple[int, ...], ...]) -> AnswerSpace:
    rows, tied = _full_answers(feedback, k, ties)
    if feedback.kind in ("ranking", "top", "rating"):
        _add_shorter(feedback, k, filled, rows, tied)
    width = feedback.width(k, ties)
    if skips:
        rows = [*rows, [-1] * width]
        tied = None if tied is None else [*tied, [False] * (k - 1)]
    answer = np.array(rows, dtype=np.int8).reshape(len(rows), width)
    answer.setflags(write=False)
    return AnswerSpace(answer, None if tied is None else np.array(tied, dtype=bool).reshape(len(rows), k - 1))


def _full_answers(feedback: Feedback, k: int, ties: bool) -> tuple[list[list[int]], list[list[bool]] | None]:
    """Answers to a full menu, and where their ties are (``None`` without ties)."""
    if feedback.kind == "best-worst":
        return [list(p) for p in itertools.permutations(range(k), 2)], None
    if feedback.kind == "rating":
        return [list(g) for g in itertools.product(range(feedback.grades or 0), repeat=k)], None
    if feedback.kind == "choice":
        if not ties:
            return [[i] for i in range(k)], None
        groups = [group for size in range(1, k + 1) for group in itertools.combinations(range(k), size)]
        winners = [[*group, *[-1] * (k - len(group))] for group in groups]
        return winners, [[j < len(group) - 1 for j in range(k - 1)] for group in groups]
    depth = min(feedback.depth or k, k)
    if not ties:
        return [[*p, *[-1] * (k - depth)] for p in itertools.permutations(range(k), depth)], None
    rows: list[list[int]] = []
    tied: list[list[bool]] = []
    for order in _weak_orders(tuple(range(k)), depth):
        flat = [place for group in order for place in group]
        marks = [j < len(group) - 1 for group in order for j in range(len(group))]
        rows.append(flat + [-1] * (k - len(flat)))
        tied.append((marks + [False] * k)[: k - 1])
    return rows, tied


def _add_shorter(
    feedback: Feedback,
    k: int,
    filled: tuple[tuple[int, ...], ...],
    rows: list[list[int]],
    tied: list[list[bool]] | None,
) -> None:
    """Append the answers to menus with empty places that no full menu allows."""
    known = {(*row, *mark) for row, mark in zip(rows, tied or [[]] * len(rows), strict=True)}
    for places in filled:
        short = feedback.answers(len(places), tied is not None)
        marks: list[list[bool]] = [[]] * len(short) if short.tied is None else short.tied.tolist()
        for row, mark in zip(short.answer.tolist(), marks, strict=True):
            if feedback.kind == "rating":
                wide = [row[places.index(j)] if j in places else -1 for j in range(k)]
            else:
                wide = [places[p] if p >= 0 else -1 for p in row] + [-1] * (k - len(places))
            wide_mark = [] if tied is None else [*mark, *[False] * (k - 1 - len(mark))]
            if (*wide, *wide_mark) not in known:
                known.add((*wide, *wide_mark))
                rows.append(wide)
                if tied is not None:
                    tied.append(wide_mark)


def _weak_orders(rest: tuple[int, ...], depth: int) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Ordered groups that fill at least ``depth`` places (the last group may run over)."""
    if depth <= 0 or not rest:
        yield ()
        return
    for size in range(1, len(rest) + 1):
        for group in itertools.combinations(rest, size):
            left = tuple(p for p in rest if p not in group)
            for tail in _weak_orders(left, depth - size):
                yield (group, *tail)
