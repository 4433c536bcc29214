"""The ceiling: how well any model that knows the question could predict these annotators' answers."""

from __future__ import annotations

import numpy as np

from annosim.diagnosis.case import Case, percent, plural
from annosim.diagnosis.finding import Finding, not_asked
from annosim.diagnosis.implied import Floats, Implied, Ints

__all__ = ["ceiling", "ceiling_bounds"]

#: what a ceiling rests on at least
FEW_PAIRS, FEW_PEOPLE = 30, 8


def ceiling(case: Case) -> Finding:
    r"""Bounds of the best accuracy, and the best correlation, against single answers.

    With ``p_qk`` the probability of answer k to question q, two answers to q agree with probability ``A_q = sum_k p_qk^2``,
    and the best prediction is right with ``max_k p_qk``. So the best accuracy lies between ``E A_q`` and
    ``(1 + sqrt((m - 1) (m E A_q - 1))) / m`` with m possible answers (Jensen's inequality), and the best correlation
    with an answer of -1, 0 or 1 is the root of the correlation of two answers.
    """
    name = "ceiling"
    pairs = case.pairs
    found = None if not len(pairs) else _agreement(pairs)
    if found is None:
        return not_asked(
            name,
            f"Fewer than {FEW_PAIRS} pairs of answers by two annotators to one question, or fewer than {FEW_PEOPLE} people: "
            "the best accuracy that any model could reach cannot be told.",
            "Ask at least a hundred questions twice, of different annotators.",
        )
    agree, error, product, product_error, count, people = found
    m = 3 if (pairs.won == 0.5).any() else 2
    low, high = ceiling_bounds(agree, m)
    ends = agree - 1.96 * error, agree + 1.96 * error
    if agree > 1.0 - 1e-12:  # nobody disagreed: the interval of Clopper and Pearson (1934) for people
        ends = 0.025 ** (1.0 / people), 1.0
    bottom, top = ceiling_bounds(ends[0], m)[0], ceiling_bounds(ends[1], m)[1]
    products = product, product - 1.96 * product_error, product + 1.96 * product_error
    if product > 1.0 - 1e-12:
        products = product, 2.0 * ends[0] - 1.0, 1.0
    best, best_low, best_high = (float(np.sqrt(np.clip(v, 0.0, 1.0))) for v in products)
    known = np.isfinite(product)
    with_answer = (
        f"its correlation with an answer is at most {best:.2f} ({best_low:.2f} to {best_high:.2f})"
        if known
        else "answers that are all one have no correlation"
    )
    sentence = (
        f"A model that sees only the question, not its sides, predicts at most {percent(high)} of the comparisons, and the best "
        f"one at least {percent(low)} (95 % interval of both ends {percent(bottom)} to {percent(top)}); "
        f"{with_answer}."
    )
    change = "More annotators per question narrow the interval; a model that knows the annotator may pass it."
    test = f"agreement of two annotators on one question ({plural(count, 'pair')} of answers), jackknife over annotators and questions"
    rows: tuple[tuple[object, ...], ...] = (("best accuracy", low, high, bottom, top),)
    if known:
        rows += (("best correlation", best, best, best_low, best_high),)
    return Finding(
        name,
        sentence,
        high,
        bottom,
        top,
        test,
        change=change,
        status="notice",
        head=("what", "at least", "at most", "low", "high"),
        rows=rows,
    )


def ceiling_bounds(agreement: float, answers: int) -> tuple[float, float]:
    """Bounds of the best accuracy, from the probability that two answers agree.

    Example:
        >>> ceiling_bounds(1.0, 2), ceiling_bounds(0.5, 2), tuple(round(v, 3) for v in ceiling_bounds(0.68, 2))
        ((1.0, 1.0), (0.5, 0.5), (0.68, 0.8))
    """
    a = float(np.clip(agreement, 1.0 / answers, 1.0))
    return a, (1.0 + float(np.sqrt((answers - 1) * (answers * a - 1.0)))) / answers


def _agreement(pairs: Implied) -> tuple[float, float, float, float, int, float] | None:
    """Share of agreeing pairs of answers by two people, the correlation of two answers, their errors, and the counts.

    An annotator of weight w is w people who answer alike. The errors hold the part of second order, ``v / count`` with v
    the variance of a pair, which is all that there is where every answer is a coin's.
    """
    sign = 2.0 * pairs.low_won - 1.0
    cell, first = pairs.crossed
    owner = np.unique(pairs.who[first], return_inverse=True)[1]
    people = np.zeros(int(owner.max()) + 1)
    people[owner] = pairs.weight[first]
    where = cell, pairs.question[first], owner, people
    total = _pair_sums(*where, np.ones(len(sign)))
    count = float(total[0].sum())
    if count < FEW_PAIRS or float(people.sum()) < FEW_PEOPLE:
        return None
    same = [_pair_sums(*where, (sign == v).astype(float)) for v in (-1.0, 0.0, 1.0) if (sign == v).any()]
    agree = np.sum([part[0] for part in same], axis=0), np.sum([part[1] for part in same], axis=0)
    value, error = _ratio(agree, total, people)
    square = float((pairs.weight * sign**2).sum() / pairs.weight.sum())
    product, product_error = _ratio(_pair_sums(*where, sign), total, people)
    error = float(np.hypot(error, np.sqrt(max(value * (1.0 - value), 0.0) / count)))
    product_error = float(np.hypot(product_error, np.sqrt(max(square**2 - product**2, 0.0) / count)))
    if square < 1e-12:
        return value, error, np.nan, np.nan, round(count), float(people.sum())
    return value, error, product / square, product_error / square, round(count), float(people.sum())


def _pair_sums(cell: Ints, asked: Ints, owner: Ints, people: Floats, value: Floats) -> tuple[Floats, Floats]:
    """Sums over pairs of answers by two people to one question of ``value value'``: by question, and for each person."""
    own, many = np.bincount(cell, value), people[owner]
    total = np.bincount(asked, many * own)
    by_question = (total**2 - np.bincount(asked, many * own**2)) / 2.0
    return by_question, np.asarray(np.bincount(owner, own * (total[asked] - own)), dtype=np.float64)


def _ratio(top: tuple[Floats, Floats], bottom: tuple[Floats, Floats], people: Floats) -> tuple[float, float]:
    """A ratio of sums and its error: influence of questions and of people, added (at least the two-way variance)."""
    denominator = float(bottom[0].sum())
    value = float(top[0].sum()) / denominator
    questions = float(((top[0] - value * bottom[0]) ** 2).sum()) if len(top[0]) > 1 else 0.0
    spread = questions + float((people * (top[1] - value * bottom[1]) ** 2).sum())
    return value, float(np.sqrt(spread)) / denominator
