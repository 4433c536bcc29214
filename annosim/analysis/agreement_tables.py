"""Answers to shared questions as tables for statistics of agreement: who said what of which alternatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from annosim.data.preferences import PreferenceData
from annosim.errors import AnswerKindError, ArgumentError, TooLargeError

__all__ = ["Answers", "answer_labels", "graded_items", "labelled", "ordered"]

Ints = NDArray[np.int64]
#: how categories compare
Level: TypeAlias = Literal["nominal", "ordinal", "ranking"]
#: comparisons within answers beyond which a table is refused
LARGEST = 5e7


@dataclass(frozen=True, eq=False)
class Answers:
    """The first answer of each annotator to each question.

    An answer is one category, or one for each part of it (a ranking: for each pair of its alternatives whether the
    first is behind, tied or ahead). Entries are sorted by question and part.

    Attributes:
        annotator, question, part, category: ``(entries,)``.
        offered: ``(questions,)`` the set of alternatives that a question offers: questions of one set share their names.
        size: ``(questions,)`` how many alternatives it has; categories from ``size`` on are no alternatives (a tie).
        parts: ``(questions,)`` how many parts an answer has.
        categories: how many there are.
        kind: ``"nominal"``, ``"ordinal"`` or ``"ranking"``.
    """

    annotator: Ints
    question: Ints
    part: Ints
    category: Ints
    offered: Ints
    size: Ints
    parts: Ints
    categories: int
    kind: Level


class Kind(NamedTuple):
    """What the categories of some answers are."""

    categories: int
    level: Level


def answer_labels(data: PreferenceData) -> tuple[np.ndarray, np.ndarray]:
    """Question number and answer label of each row, both ``(rows,)`` ints, independent of the display order.

    A question is a set of items (with its prompt); a choice's label is the chosen item, -2 a tie of several, -1 a skip;
    other kinds are labelled by their whole answer in item ids.

    Raises:
        AnswerKindError: ratings, which have no nominal answer.

    Example:
        >>> from annosim.items import Items
        >>> data = PreferenceData(Items(n=2), menu=[[0, 1], [1, 0]], answer=[0, 1])
        >>> [part.tolist() for part in answer_labels(data)]
        [[0, 0], [0, 0]]
    """
    if data.feedback.kind == "rating":
        raise AnswerKindError("answer_labels: ratings have no nominal answers; compare their rankings instead")
    if data.replicates is not None:
        raise ArgumentError("agreement: the data have replicates; pass one of them, data[r]")
    question = _numbered(_with_prompt(data, np.sort(data.menu, axis=1)))
    answer = data.answer[:, None] if data.answer.ndim == 1 else data.answer
    shown = np.take_along_axis(data.menu, np.maximum(answer, 0).astype(np.int64), 1)
    shown = np.where(answer >= 0, shown, -1)
    if data.feedback.kind == "choice":
        label = shown[:, 0].astype(np.int64)
        if data.tied is not None:
            label[data.tied.any(1)] = -2
        return question, label
    if data.tied is not None:
        shown = np.concatenate([shown, data.tied.astype(shown.dtype)], 1)
    return question, _numbered(shown)


def labelled(data: PreferenceData) -> Answers:
    """Choices: the place of the chosen item among the question's alternatives by their ids; one more for a tie."""
    question, label = answer_labels(data)
    menu = np.sort(data.menu, axis=1)
    place = (menu == label[:, None]).argmax(1) - (menu < 0).sum(1)
    place = np.where(label == -2, data.menu_size, place)
    offered, size = _numbered(menu), (menu >= 0).sum(1)
    return _first(
        np.asarray(data.annotator_ids, dtype=np.int64),
        question,
        place[:, None],
        offered,
        size,
        Kind(data.menu_size + 1, "nominal"),
    )


def graded_items(data: PreferenceData) -> Answers:
    """Ratings: the grade of each item shown, which means the same for every item; a question is an item (at a prompt)."""
    rows, k = data.menu.shape
    item, grade = np.asarray(data.menu).reshape(-1), np.asarray(data.answer).reshape(-1).astype(np.int64)
    question = _numbered(_with_prompt(data, item.reshape(rows, k), flat=True))
    real = (item >= 0) & (grade >= 0)
    annotator = np.repeat(np.asarray(data.annotator_ids, dtype=np.int64), k)[real]
    grades = max(int(grade.max(initial=0)) + 1, data.feedback.grades or 0)
    one = np.zeros(int(real.sum()), np.int64)
    kind = Kind(grades, "ordinal")
    return _first(annotator, question[real], grade[real][:, None], one, one + grades, kind)


def ordered(data: PreferenceData) -> tuple[Answers, NDArray[np.float64], tuple[Ints, Ints]]:
    """Each pair of a question's alternatives, by their ids: behind (0), tied (1) or ahead (2); and centred ranks.

    What is not listed (beyond the depth, neither best nor worst) is tied. Ranks are ``(orders, k)``, of alternatives by
    their ids, zero at pads, high is good; after them the annotator and the question of each order.

    Raises:
        TooLargeError: more than 5e7 comparisons.
    """
    rank, menu = _ranks(data), np.sort(data.menu, axis=1)
    first, second = np.triu_indices(menu.shape[1], 1)
    if len(menu) * len(first) > LARGEST:
        raise TooLargeError(
            f"agreement: {len(menu)} orders of {menu.shape[1]} are {len(menu) * len(first):.3g} comparisons; "
            "take fewer rows, or questions with fewer items"
        )
    sign = 1 + np.sign(rank[:, second] - rank[:, first]).astype(np.int64)
    sign[(menu[:, first] < 0) | (menu[:, second] < 0)] = -1
    offered, size = _numbered(menu), (menu >= 0).sum(1)
    kind = Kind(3, "ranking")
    annotator, question = np.asarray(data.annotator_ids, dtype=np.int64), _numbered(_with_prompt(data, menu))
    kept, number = _kept(annotator, question)
    ahead = np.where(menu < 0, np.nan, rank)
    beaten = (ahead[:, :, None] < ahead[:, None, :]).sum(2) - (ahead[:, :, None] > ahead[:, None, :]).sum(2)
    table = _first(annotator, question, sign, offered, size, kind)
    return table, beaten[kept] / 2.0, (annotator[kept].astype(np.int64), number)


def _ranks(data: PreferenceData) -> NDArray[np.float64]:
    """Places ``(rows, k)`` of the alternatives by their ids, small is good, equal is tied."""
    menu, answer = np.asarray(data.menu), np.asarray(data.answer)
    rows, k = menu.shape
    place = np.full((rows, k), float(k))
    if data.feedback.kind == "rating":
        place = -answer.astype(np.float64)
    elif data.feedback.kind == "best-worst":
        np.put_along_axis(place, answer[:, :1].astype(np.int64), 0.0, 1)
        np.put_along_axis(place, answer[:, 1:].astype(np.int64), k + 1.0, 1)
    else:
        group = np.zeros(answer.shape)
        if data.tied is not None:
            group[:, 1:] = np.cumsum(~np.asarray(data.tied), axis=1)
        else:
            group += np.arange(answer.shape[1])
        row, at = np.nonzero(answer >= 0)
        place[row, answer[row, at]] = group[row, at]
    return np.take_along_axis(place, np.argsort(menu, axis=1, kind="stable"), 1)


def _first(annotator: Ints, question: Ints, category: Ints, offered: Ints, size: Ints, kind: Kind) -> Answers:
    """One row for each annotator and question, the first; its categories become entries (-1 is none)."""
    kept, number = _kept(annotator, question)
    leads = np.unique(number, return_index=True)[1]
    there = category[kept] >= 0
    row, part = np.nonzero(there)
    place = np.cumsum(there, axis=1) - 1  # parts of a question are numbered without the gaps that shorter menus leave
    order = np.lexsort((part, number[row]))
    row, part = row[order], part[order]
    return Answers(
        annotator=annotator[kept][row],
        question=number[row],
        part=place[row, part],
        category=category[kept][row, part],
        offered=offered[kept][leads],
        size=size[kept][leads],
        parts=(category[kept][leads] >= 0).sum(1),
        categories=kind.categories,
        kind=kind.level,
    )


def _kept(annotator: Ints, question: Ints) -> tuple[Ints, Ints]:
    """Rows that are the first of their annotator and question, by question, and the question's number."""
    _, kept = np.unique(np.stack([question, annotator]), axis=1, return_index=True)
    return kept, np.unique(question[kept], return_inverse=True)[1].reshape(-1)


def _with_prompt(data: PreferenceData, key: np.ndarray, flat: bool = False) -> np.ndarray:
    """Keys ``(rows, k)`` with the rows' prompts before them; ``flat``: ``(rows * k, 1 or 2)``."""
    if flat:
        cells = key.reshape(-1, 1)
        return cells if data.prompt is None else np.c_[np.repeat(data.prompt, key.shape[1]), cells]
    return key if data.prompt is None else np.c_[data.prompt, key]


def _numbered(key: np.ndarray) -> Ints:
    """The number of each row among the distinct ones."""
    return np.unique(key, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
