"""Agreement of annotators: with each other on the same question, and with themselves when asked again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from annosim.data.preferences import PreferenceData
from annosim.errors import AnswerKindError, ArgumentError
from annosim.results import Result

__all__ = ["Agreement", "agreement", "answer_labels"]


@dataclass(frozen=True, eq=False, repr=False)
class Agreement(Result):
    """Agreement between and within annotators.

    Attributes:
        between: share of pairs of answers to one question, from two different annotators, that are equal; NaN if none.
        within: the same for pairs of answers from one annotator; NaN when nobody was asked twice.
        alpha: Krippendorff's alpha (nominal) of first answers: 1 - observed / expected disagreement; NaN when all
            answers are one.
        pairs_between, pairs_within: how many pairs of answers these are.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 4, [0, 0, 1, 1], annotator=[0, 1, 2, 3])
        >>> an.analysis.agreement(data).pairs_between
        6
    """

    between: float
    within: float
    alpha: float
    pairs_between: int
    pairs_within: int

    def _lines(self):
        return [
            ("between annotators", f"{self.between:.4g} ({self.pairs_between} pairs of answers)"),
            ("within annotators", f"{self.within:.4g} ({self.pairs_within} pairs of answers)"),
            ("Krippendorff's alpha", self.alpha),
        ]


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
        raise AnswerKindError("agreement: ratings have no nominal answers; compare their rankings instead")
    if data.replicates is not None:
        raise ArgumentError("agreement: the data have replicates; pass one of them, data[r]")
    key = np.sort(data.menu, axis=1)
    if data.prompt is not None:
        key = np.concatenate([data.prompt[:, None], key], 1)
    _, question = np.unique(key, axis=0, return_inverse=True)
    answer = data.answer[:, None] if data.answer.ndim == 1 else data.answer
    shown = np.take_along_axis(data.menu, np.maximum(answer, 0).astype(np.int64), 1)
    shown = np.where(answer >= 0, shown, -1)
    if data.feedback.kind == "choice":
        label = shown[:, 0].astype(np.int64)
        if data.tied is not None:
            label[data.tied.any(1)] = -2
        return question.ravel(), label
    if data.tied is not None:
        shown = np.concatenate([shown, data.tied.astype(shown.dtype)], 1)
    _, label = np.unique(shown, axis=0, return_inverse=True)
    return question.ravel(), label.ravel()


def agreement(data: PreferenceData) -> Agreement:
    """How often answers to the same question agree, between annotators and within them.

    High within and low between: people want different things. Low within: they cannot tell the items apart (or a habit,
    such as a position bias, answers for them: swap the sides of repeated questions).

    Args:
        data: answers with annotators and repeated questions.

    Raises:
        AnswerKindError: ratings.

    Example:
        >>> from annosim.items import Items
        >>> data = PreferenceData(Items(n=2), menu=[[0, 1]] * 4, answer=[0, 0, 1, 1], annotator=[0, 0, 1, 1])
        >>> found = agreement(data)
        >>> found.between, found.within
        (0.0, 1.0)
    """
    question, label = answer_labels(data)
    annotator = np.asarray(data.annotator_ids)
    everything = _agreeing_pairs([question], label)
    own = _agreeing_pairs([question, annotator], label)
    between = (everything[0] - own[0], everything[1] - own[1])
    share = lambda pair: pair[0] / pair[1] if pair[1] else float("nan")  # noqa: E731
    return Agreement(share(between), share(own), _alpha(question, annotator, label), between[1], own[1])


def _agreeing_pairs(by: list[np.ndarray], label: np.ndarray) -> tuple[int, int]:
    """Pairs of rows with equal keys: those with equal labels, and all of them."""
    count = lambda *keys: np.unique(np.stack(keys), axis=1, return_counts=True)[1]  # noqa: E731
    pairs = lambda sizes: int((sizes * (sizes - 1) // 2).sum())  # noqa: E731
    return pairs(count(*by, label)), pairs(count(*by))


def _alpha(question: np.ndarray, annotator: np.ndarray, label: np.ndarray) -> float:
    _, first = np.unique(np.stack([question, annotator]), axis=1, return_index=True)
    question, label = question[first], label[first]
    _, code = np.unique(label, return_inverse=True)
    table = np.zeros((int(question.max()) + 1, int(code.max()) + 1))
    np.add.at(table, (question, code), 1)
    table = table[table.sum(1) >= 2]
    if not len(table):
        return float("nan")
    size = table.sum(1)
    same = ((table * (table - 1)).sum(1) / (size - 1)).sum()
    total = table.sum(0)
    n = total.sum()
    expected = (total * (total - 1)).sum() / (n - 1)
    return float("nan") if expected == n else float(1 - (n - same) / (n - expected))
