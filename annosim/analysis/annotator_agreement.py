"""Agreement of annotators: with each other on the same question, and with themselves when asked again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annosim.analysis import agreement_statistics as statistics
from annosim.analysis.agreement_statistics import People
from annosim.analysis.agreement_tables import Answers, answer_labels, graded_items, labelled, ordered
from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, DataError, told
from annosim.learning.inference.resample import multinomial_weights
from annosim.results import Result

__all__ = ["Agreement", "agreement"]

Floats = NDArray[np.float64]
#: counts in memory at once
LARGEST = 2e7


@dataclass(frozen=True, eq=False, repr=False)
class Agreement(Result):
    """Agreement between and within annotators.

    Attributes:
        between: share of pairs of answers to one question, from two different annotators, that are equal; NaN if none.
        within: the same for pairs of answers from one annotator; NaN when nobody was asked twice.
        alpha: Krippendorff's alpha of first answers, 1 - observed / expected disagreement: nominal for choices, ordinal
            for ratings, by Kendall's distance for orders; 0 is chance; NaN when all answers are one.
        gwet_ac1: Gwet's AC1, which stays near ``between`` when nearly all answers are one; NaN for orders.
        kendall_w: Kendall's coefficient of concordance, mean over questions; 1 / m is chance among m annotators; NaN for
            choices.
        spearman: mean rank correlation of two annotators of a question; 0 is chance; NaN for choices.
        pairs_between, pairs_within: how many pairs of answers these are.
        intervals: low and high end of the 95 % interval of each number, by its name.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 4, [0, 0, 1, 1], annotator=[0, 1, 2, 3])
        >>> an.analysis.agreement(data).pairs_between
        6
    """

    between: float
    within: float
    alpha: float
    gwet_ac1: float
    kendall_w: float
    spearman: float
    pairs_between: int
    pairs_within: int
    intervals: dict[str, tuple[float, float]]

    def _lines(self) -> list[tuple[str, object]]:
        pairs = {"between": self.pairs_between, "within": self.pairs_within}
        labels = {
            "between": "between annotators",
            "within": "within annotators",
            "alpha": "Krippendorff's alpha",
            "gwet_ac1": "Gwet's AC1",
            "kendall_w": "Kendall's W",
            "spearman": "Spearman's correlation",
        }
        out: list[tuple[str, object]] = []
        for name, label in labels.items():
            value, (low, high) = getattr(self, name), self.intervals.get(name, (np.nan, np.nan))
            span = f", 95 % {low:.4g} to {high:.4g}" if np.isfinite(low) else ""
            counted = f" ({pairs[name]} pairs of answers{span})" if name in pairs else span
            if np.isfinite(value) or name in pairs:
                out.append((label, f"{value:.4g}{counted}"))
        return out


def agreement(data: PreferenceData, *, replicates: int = 400, seed: int = 0) -> Agreement:
    """How often answers to the same question agree, between annotators and within them, and how far beyond chance.

    High within and low between: people want different things. Low within: they cannot tell the items apart (or a habit,
    such as a position bias, answers for them: swap the sides of repeated questions).

    Chance is what two answers drawn from all questions agree on. Questions with the same alternatives (the same items
    at several prompts; grades) share their names, and alpha is that of the package ``krippendorff``; alternatives of
    different questions have none in common, so names are there given at random and the expectation taken over them. Of
    people who toss coins alpha, AC1 and the correlation are 0, whatever they are asked.

    Args:
        data: answers with annotators and shared questions. Skips, and menus that show an item twice, are left out;
            annotators of weight w count as w people.
        replicates: of the bootstrap over annotators that gives the intervals; 0 for none.
        seed: of the bootstrap.

    Raises:
        ArgumentError: replicates of data, or weights that are not whole numbers.
        DataError: no answers are left.
        TooLargeError: orders of so many items that their pairs do not fit into memory.

    Example:
        >>> from annosim.items import Items
        >>> data = PreferenceData(Items(n=2), menu=[[0, 1]] * 4, answer=[0, 0, 1, 1], annotator=[0, 0, 1, 1])
        >>> found = agreement(data, replicates=0)
        >>> found.between, found.within
        (0.0, 1.0)
    """
    data, people = _people(data, replicates)
    numbers = _statistics(data)
    once = numbers(People.all_of(people))[:, 0]
    value = dict(zip(NAMES, once.tolist(), strict=False))
    draws = np.empty((len(NAMES), 0))
    if replicates and people.sum() > 1:
        drawn = People.drawn(multinomial_weights(people, replicates, seed).T, people)
        width = max(int(LARGEST // max(data.menu.size * data.menu_size, 1)), 1)
        parts = [slice(at, at + width) for at in range(0, replicates, width)]
        draws = np.concatenate([numbers(drawn.columns(part)) for part in parts], 1)[: len(NAMES)]
    return Agreement(
        **value,
        pairs_between=round(once[-2]),
        pairs_within=round(once[-1]),
        intervals={name: _interval(row) for name, row in zip(NAMES, draws, strict=True)} if draws.size else {},
        settings={"replicates": replicates, "seed": seed},
    )


NAMES = ("between", "within", "alpha", "gwet_ac1", "kendall_w", "spearman")


def _interval(draws: Floats) -> tuple[float, float]:
    """The middle 95 % of the draws that have the number, if nine of ten have it."""
    draws = draws[np.isfinite(draws)] if np.isfinite(draws).mean() >= 0.9 else np.array([np.nan])
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def _people(data: PreferenceData, replicates: int) -> tuple[PreferenceData, Floats]:
    """Answers to questions with several alternatives, annotators without gaps; and how many people each one is."""
    if data.replicates is not None:
        raise ArgumentError("agreement: the data have replicates; pass one of them, data[r]")
    if isinstance(replicates, bool) or not isinstance(replicates, int | np.integer) or replicates < 0:
        raise ArgumentError(f"agreement(replicates={told(replicates)}): a whole number, 0 for no intervals")
    menu = np.sort(data.menu, axis=1)
    twice = ((menu[:, 1:] == menu[:, :-1]) & (menu[:, 1:] >= 0)).any(1)
    keep = ~np.asarray(data.skipped) & ~twice & (np.asarray(data.row_weight) > 0)
    if not keep.any():
        raise DataError(
            "agreement: every row is a skip, shows an item twice, or has weight 0; nothing is left to compare"
        )
    data = (data if keep.all() else data.take(keep)).compact()
    people = np.asarray(data.annotator_weight, dtype=np.float64)
    if (people != np.round(people)).any():
        raise ArgumentError(
            "agreement: weights that are not whole numbers; a weight w counts as w people (ask before ties('half'))"
        )
    return data, people


def _statistics(data: PreferenceData) -> Callable[[People], Floats]:
    """The function from people to all numbers, in the order of ``NAMES``, and to the two numbers of pairs: ``(8, B)``."""
    orders = data.feedback.kind not in ("choice", "rating")
    rated = data.feedback.kind == "rating"
    labels: tuple[np.ndarray, np.ndarray, np.ndarray]
    labels = _grade_labels(data) if rated else (*answer_labels(data), np.asarray(data.annotator_ids))
    main = graded_items(data) if rated else labelled(data) if not orders else None
    ranked = ordered(data) if (orders or rated) and data.menu_size > 1 else None
    table = main if main is not None else ranked[0] if ranked is not None else None

    def numbers(people: People) -> Floats:
        equal_between, between, equal_within, within = statistics.equal_pairs(*labels, people)
        nothing = np.full(people.times.shape[1], np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = [equal_between / between, equal_within / within]
        alpha = _alpha(table, people) if table is not None else nothing
        ac1 = statistics.gwet_ac1(main, people) if main is not None else nothing
        ranks = statistics.rank_agreement(*ranked, people) if ranked is not None else [nothing, nothing]
        return np.stack([*shares, alpha, ac1, *ranks, between, within])

    return numbers


def _alpha(table: Answers, people: People) -> Floats:
    whole = people.times.shape[1] == 1 and (people.times == people.own).all()
    found = statistics.published_alpha(table, people) if whole else None
    return statistics.krippendorff_alpha(table, people) if found is None else np.array([found])


def _grade_labels(data: PreferenceData) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Question (an item at a prompt), grade and annotator of every grade given."""
    rows, k = data.menu.shape
    item, grade = np.asarray(data.menu).reshape(-1), np.asarray(data.answer).reshape(-1).astype(np.int64)
    prompt = np.zeros(rows * k) if data.prompt is None else np.repeat(data.prompt, k)
    _, question = np.unique(np.stack([prompt, item]), axis=1, return_inverse=True)
    real = (item >= 0) & (grade >= 0)
    return question.reshape(-1)[real], grade[real], np.repeat(np.asarray(data.annotator_ids), k)[real]
