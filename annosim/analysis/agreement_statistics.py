"""Agreement beyond chance, for many weightings of the annotators at once.

Chance is what two answers drawn from all questions agree on. Alternatives of different questions have no names in
common: there the expectation is over names given at random, once for each set of alternatives. So people who toss coins
agree by chance only, whatever they are asked, and where all questions offer the same alternatives it is the usual
definition.
"""

from __future__ import annotations

from dataclasses import dataclass

import krippendorff
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from annosim.analysis.agreement_tables import Answers

__all__ = ["People", "equal_pairs", "gwet_ac1", "krippendorff_alpha", "rank_agreement", "published_alpha"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class People:
    """How often each annotator counts, in B weightings.

    Two copies of one annotator, drawn twice by a bootstrap, do not agree with each other: their pairs are left out.

    Attributes:
        times: ``(annotators, B)``.
        own: ``(annotators, B)`` how many pairs of copies (each with itself among them) are one and the same person.
    """

    times: Floats
    own: Floats

    @classmethod
    def drawn(cls, times: Floats, people: Floats) -> People:
        """``people`` (annotators,) are that many persons who answer alike; ``times`` of them were drawn."""
        return cls(times, times + times * (times - 1) / people[:, None])

    @classmethod
    def all_of(cls, people: Floats) -> People:
        """Everybody once."""
        return cls(people[:, None], people[:, None])

    def columns(self, at: slice) -> People:
        """Some of the weightings."""
        return People(self.times[:, at], self.own[:, at])


def _sums(
    number: np.ndarray, annotator: np.ndarray, people: Floats, size: int, value: np.ndarray | None = None
) -> Floats:
    """Sums over entries of (value times) the annotators' numbers, by ``number``: ``(size, B)``."""
    value = np.ones(len(number)) if value is None else value
    matrix = sparse.csr_array((value, (number, annotator)), shape=(size, len(people)))
    return np.asarray(matrix @ people)


class Counts:
    """Counts ``(cells, C, B)``: a cell is a part of a question; and how many answered each question."""

    def __init__(self, answers: Answers, people: People):
        self.answers = answers
        questions, c, b = len(answers.size), answers.categories, people.times.shape[1]
        begins = np.r_[0, np.cumsum(answers.parts)]
        cell = begins[answers.question] + answers.part
        self.question = np.repeat(np.arange(questions), answers.parts)
        self.part = np.arange(begins[-1]) - begins[self.question]
        self.share = 1.0 / answers.parts[self.question]
        count = _sums(cell * c + answers.category, answers.annotator, people.times, int(begins[-1]) * c)
        self.count = count.reshape(-1, c, b)
        once = answers.part == 0
        who = answers.question[once], answers.annotator[once]
        self.size = _sums(*who, people.times, questions)
        self.pairs = self.size**2 - _sums(*who, people.own, questions)
        self.own = self.size**2 - self.pairs
        self.shared = self.pairs > 1e-9

    def by_question(self, value: Floats) -> Floats:
        """Sums over the parts of each question, in shares: ``(questions, B)``."""
        out = np.zeros((len(self.size), value.shape[-1]))
        np.add.at(out, self.question, value * self.share[:, None])
        return out

    def unnamed(self, value: Floats) -> Floats:
        """Averages ``(questions, C, B)`` over parts and over the names of the alternatives."""
        out = np.zeros((len(self.size), *value.shape[1:]))
        np.add.at(out, self.question, value * self.share[:, None, None])
        if self.answers.kind == "ranking":
            out[:, [0, 2]] = out[:, [0, 2]].mean(1, keepdims=True)
        elif self.answers.kind == "nominal":
            named = np.arange(out.shape[1]) < self.answers.size[:, None]
            mean = (out * named[..., None]).sum(1) / self.answers.size[:, None]
            out = np.where(named[..., None], mean[:, None], out)
        return out

    def by_set(self, value: Floats) -> tuple[Floats, Floats]:
        """Sums over the questions of each set, part by part ``(cells of sets, C, B)``; and the cells' shares."""
        key = self.answers.offered[self.question] * (int(self.part.max(initial=0)) + 1) + self.part
        _, lead, number = np.unique(key, return_index=True, return_inverse=True)
        out = np.zeros((len(lead), *value.shape[1:]))
        np.add.at(out, number.reshape(-1), value)
        return out, self.share[lead]


def _quadratic(value: Floats, distance: Floats) -> Floats:
    """``value' distance value`` for each cell and weighting: ``(cells, B)``."""
    return np.einsum("icb,cdb,idb->ib", value, distance, value)


def _distance(kind: str, total: Floats) -> Floats:
    """Distances ``(C, C, B)`` of categories; ordinal ones depend on how often each occurs, ``total (C, B)``."""
    c, b = total.shape
    if kind == "nominal":
        return np.repeat(1.0 - np.eye(c)[..., None], b, 2)
    if kind == "ranking":
        place = np.arange(c)
        return np.repeat(np.abs(place[:, None] - place)[..., None] / 2.0, b, 2)
    middle = np.cumsum(total, 0) - total / 2
    return (middle[:, None] - middle[None]) ** 2


def krippendorff_alpha(answers: Answers, people: People) -> Floats:
    r"""One less the observed over the expected disagreement, ``(B,)``; NaN where nothing could disagree.

    Distances of answers: 0 or 1 for choices; of grades the ordinal one; of orders Kendall's, the share of pairs of
    alternatives that stand the other way round, a tie against an order being half of one. (Krippendorff 2011,
    Computing Krippendorff's alpha-reliability.)
    """
    counts = Counts(answers, people)
    used = np.where(counts.shared, 1.0, 0.0)
    value = counts.count * used[counts.question][:, None]
    totals, share = counts.by_set(value)
    unnamed = counts.unnamed(value)
    distance = _distance(answers.kind, unnamed.sum(0))
    pairs = np.where(counts.shared, counts.pairs, 1.0)
    observed = (counts.by_question(_quadratic(value, distance)) * used * counts.size / pairs).sum(0)
    inside = (_quadratic(totals, distance) * share[:, None]).sum(0)
    sets = np.zeros((int(answers.offered.max(initial=0)) + 1, *unnamed.shape[1:]))
    np.add.at(sets, answers.offered, unnamed)
    across = _quadratic(unnamed.sum(0)[None], distance)[0] - _quadratic(sets, distance).sum(0)
    number = (counts.size * used).sum(0)
    expected = inside + (across if len(sets) > 1 else 0.0)
    chance = number**2 - (counts.own * used).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        alpha = 1.0 - (observed / number) / (expected / chance)
    return np.where(expected > 1e-9 * np.maximum(number, 1.0), alpha, np.nan)


def published_alpha(answers: Answers, people: People) -> float | None:
    """The same by the package ``krippendorff``, where categories mean the same in every question; else ``None``."""
    if answers.kind == "ranking" or (answers.kind == "nominal" and len(np.unique(answers.offered)) > 1):
        return None
    table = Counts(answers, people).count[..., 0]
    kept = table[table.sum(1) >= 2]
    if (kept.sum(0) > 0).sum() < 2:
        return float("nan")
    return float(krippendorff.alpha(value_counts=kept, level_of_measurement=answers.kind))


def gwet_ac1(answers: Answers, people: People) -> Floats:
    r"""``(p_a - p_e) / (1 - p_e)`` with ``p_e = \sum_c \pi_c (1 - \pi_c) / (q - 1)`` of q categories, ``(B,)``.

    The share of category c, ``\pi_c``, is the mean over questions (Gwet 2008, British Journal of Mathematical and
    Statistical Psychology 61); alternatives that have no names in common have equal shares, so that of choices without
    ties it is Bennett's S. A tie is a category where one occurs.
    """
    counts = Counts(answers, people)
    size, answered = np.maximum(counts.size, 1e-300), counts.size > 0
    value = counts.count / size[counts.question][:, None] * answered[counts.question][:, None]
    c, b = value.shape[1:]
    same = np.repeat(np.eye(c)[..., None], b, 2)
    own = counts.size**2 - counts.pairs
    agree = np.where(counts.shared, counts.by_question(_quadratic(counts.count, same)) - own, 0.0)
    observed = (agree / np.where(counts.shared, counts.pairs, 1.0)).sum(0) / np.maximum(counts.shared.sum(0), 1)
    named = counts.unnamed(value) if answers.offered.max(initial=0) > 0 else value
    square = ((named.sum(0) / np.maximum(answered.sum(0), 1)) ** 2).sum(0)
    q = int(answers.size.max(initial=2)) + (answers.kind == "nominal" and bool((counts.count[:, -1] > 0).any()))
    if answers.kind == "ordinal":
        q = c
    chance = (1.0 - square) / (q - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(counts.shared.any(0), (observed - chance) / (1.0 - chance), np.nan)


def rank_agreement(answers: Answers, ranks: Floats, rows: tuple[np.ndarray, np.ndarray], people: People) -> Floats:
    """Kendall's W and the mean Spearman correlation of two annotators, means over questions: ``(2, B)``.

    With m annotators of a question ``W = (1 + (m - 1) r) / m``; both count ties (Kendall and Gibbons 1990, chapter 6).

    Args:
        answers: for the questions.
        ranks: ``(orders, k)`` centred.
        rows: annotator and question of each order.
        people: the weightings.
    """
    annotator, question = rows
    questions, k = len(answers.size), ranks.shape[1]
    cell = (question[:, None] * k + np.arange(k)).reshape(-1)
    total = _sums(cell, np.repeat(annotator, k), people.times, questions * k, ranks.reshape(-1))
    length = (ranks**2).sum(1)
    spread = _sums(question, annotator, people.times, questions, length)
    own = _sums(question, annotator, people.own, questions, length)
    size = _sums(question, annotator, people.times, questions)
    pairs = size**2 - _sums(question, annotator, people.own, questions)
    use = (pairs > 1e-9) & (spread > 1e-9)
    with np.errstate(invalid="ignore", divide="ignore"):
        alike = ((total.reshape(questions, k, -1) ** 2).sum(1) - own) / pairs / (spread / size)
        both = np.stack([(1.0 + (size - 1.0) * alike) / size, alike])
        return np.where(use, both, 0.0).sum(1) / np.where(use.any(0), use.sum(0), np.nan)


def equal_pairs(question: np.ndarray, label: np.ndarray, annotator: np.ndarray, people: People) -> Floats:
    """Pairs of answers to one question: equal and all, by two annotators and by one: ``(4, B)``."""
    out = []
    for keys in ([question, label], [question]):
        _, cell = np.unique(np.stack(keys), axis=1, return_inverse=True)
        cell = cell.reshape(-1)
        everything = (_sums(cell, annotator, people.times, int(cell.max()) + 1) ** 2).sum(0)
        mine, count = np.unique(np.stack([cell, annotator]), axis=1, return_counts=True)
        square = np.bincount(mine[1], count.astype(float) ** 2, len(people.times))
        own = square @ people.own
        rows = np.bincount(mine[1], count.astype(float), len(people.times))
        out.append([(everything - own) / 2, (square - rows) @ people.times / 2])
    (equal_between, equal_within), (between, within) = out
    return np.stack([equal_between, between, equal_within, within])
