"""How the answers were given: ties, the side on which an item is shown, and its length."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from annosim.data.counts import combine
from annosim.diagnosis.case import Case, percent, plural
from annosim.diagnosis.finding import COUNTED, Finding, not_asked
from annosim.diagnosis.implied import Floats
from annosim.diagnosis.strengths import units
from annosim.random import child_seed, uniform53

__all__ = ["length", "position", "ties"]


def ties(case: Case) -> Finding:
    """Share of ties, with an interval over annotators."""
    pairs = case.pairs
    if case.data.tied is None and case.data.feedback.kind != "rating":
        return Finding(
            "ties",
            "No answer is a tie.",
            value=0.0,
            test="count",
            change="Allow ties, if people may be indifferent.",
            errs=COUNTED,
        )
    if not len(pairs):
        return not_asked("ties", "No two items are compared in any answer.", "Ask about two items at a time.")
    tied = (pairs.won == 0.5).astype(float)
    value, error = _mean(case, tied)
    low, high = max(0.0, value - 1.96 * error), min(1.0, value + 1.96 * error)
    if error == 0.0:  # all of them, or none: the interval of Clopper and Pearson (1934)
        edge = 0.025 ** (1.0 / max(units(pairs).many, 1.0))
        low, high = (edge, 1.0) if value > 0.5 else (0.0, 1.0 - edge)
    sentence = f"{percent(value)} of the comparisons are ties (95 % interval {percent(low)} to {percent(high)})"
    if value == 1.0:
        sentence += ": nothing is better than anything"
    rule = "an.Davidson(delta=an.free(1.0)) models them; data.ties('half') counts each as half a win for either side"
    fine = value > 0.0
    return Finding(
        "ties",
        sentence + ".",
        value,
        low,
        high,
        test=f"mean over {units(pairs).words}",
        change=rule + "." if fine else "Nothing: ties were allowed, and nobody needed them.",
        status="notice" if fine else "fine",
    )


def _mean(case: Case, values: Floats) -> tuple[float, float]:
    """Weighted mean of the comparisons, and its standard error over annotators."""
    pairs = case.pairs
    unit = units(pairs)
    mean = float((pairs.weight * values).sum() / pairs.weight.sum())
    return mean, float(np.sqrt((unit.weight * unit.sums(values - mean) ** 2).sum()) / pairs.weight.sum())


def position(case: Case) -> Finding:
    """Does the item that is shown first win more often than its strength explains?"""
    if case.displayed:
        return not_asked("position", case.displayed, "Keep the order of display in the file, and draw it at random.")
    found = case.strengths
    effect = None if found is None else found.effect(np.ones(len(found.core)))
    if effect is None:
        return _plain_position(case)
    value, low, high = (1.0 / (1.0 + np.exp(-v)) for v in (effect.value, effect.low, effect.high))
    sentence = (
        f"Of two equally strong items, the one shown first wins {percent(value)} of the time "
        f"(95 % interval {percent(low)} to {percent(high)})."
    )
    test = f"score test of a position effect beside Bradley-Terry strengths, units {effect.units}"
    change = "Show every pair in both orders; fit an.PositionBias(an.Luce(), shift=an.free(0.0)) where it matters."
    return Finding("position", sentence, value, low, high, test, effect.p_value, change=change)


def _plain_position(case: Case) -> Finding:
    """Share of answers for the first place, where no strengths exist: right if sides were drawn at random."""
    pairs = case.pairs
    if not len(pairs):
        return not_asked("position", "No two items are compared in any answer.", "Ask about two items at a time.")
    value, error = _mean(case, pairs.won)
    if len(pairs) < 2 or value in (0.0, 1.0):
        why = "One answer shows no effect of the position." if len(pairs) < 2 else "The same side wins every time."
        return not_asked("position", why, "Show every pair in both orders, several times.")
    by = units(pairs).words
    if error <= 0.0:  # every annotator has the same share: answers are the units
        error, by = np.sqrt(value * (1.0 - value) / len(pairs)), f"{len(pairs):,} answers"
    sentence = f"The item shown first wins {percent(value)} of its comparisons (half, if sides were drawn at random)."
    p = 2.0 * float(norm.sf(abs(value - 0.5) / error))
    return Finding(
        "position",
        sentence,
        value,
        max(0.0, value - 1.96 * error),
        min(1.0, value + 1.96 * error),
        f"sign test, units {by}",
        p,
        change="Draw the sides at random; then this is an effect of the position.",
    )


def length(case: Case) -> Finding:
    """Do longer texts win, within a prompt?"""
    texts, pairs = case.data.items.texts, case.pairs
    if texts is not None and not len(pairs):
        return not_asked("length", "No two texts are compared in any answer.", "Answers that compare texts.")
    if texts is None:
        return not_asked(
            "length", "The items have no texts.", "Give Items(texts=...), or a file whose items are texts."
        )
    size = np.log1p(np.array([len(text) for text in texts], dtype=float))
    gap = size[pairs.first] - size[pairs.second]
    differ = gap != 0.0
    if not differ.any():
        return not_asked(
            "length", "All texts that are compared are equally long.", "Answers that compare texts of different length."
        )
    longer = np.where(gap > 0, pairs.won, 1.0 - pairs.won)[differ]
    value = float((pairs.weight[differ] * longer).sum() / pairs.weight[differ].sum())
    p, groups = _permuted(case, size)
    if p is None:
        return not_asked("length", "Too few texts to shuffle their lengths.", "Collect answers about more texts.")
    error = _item_error(case, differ, longer, value)
    sentence = f"The longer text wins {percent(value)} of the comparisons of texts that differ in length."
    change = "Match lengths, or give Items(features=) with the length and fit an.Linear beside the rest."
    test = f"permutation of lengths within {plural(groups, 'prompt')}"
    low, high = max(0.0, value - 1.96 * error), min(1.0, value + 1.96 * error)
    return Finding("length", sentence, value, low, high, test, p, change=change)


def _item_error(case: Case, differ: np.ndarray, longer: Floats, value: float) -> float:
    """Standard error with prompts as units, or items where there are few prompts."""
    pairs, prompts = case.pairs, case.data.items.prompts.numpy()
    by = prompts[pairs.first[differ]] if case.data.items.num_prompts > 8 else pairs.question[differ]
    unit = combine([by])
    total = np.bincount(unit, pairs.weight[differ] * (longer - value))
    return float(np.sqrt((total**2).sum()) / pairs.weight[differ].sum())


def _permuted(case: Case, size: Floats, draws: int = 1999) -> tuple[float | None, int]:
    """Two-sided p-value of the covariance of length and net wins within prompts, and the number of prompts."""
    pairs, n = case.pairs, case.data.items.n
    sign = pairs.weight * (2.0 * pairs.won - 1.0)
    net = np.bincount(pairs.first, sign, n) - np.bincount(pairs.second, sign, n)
    seen = np.bincount(np.r_[pairs.first, pairs.second], minlength=n) > 0
    group = combine([case.data.items.prompts.numpy()[seen]])
    x, y, many = size[seen], net[seen], np.bincount(group)
    x = x - (np.bincount(group, x) / many)[group]
    y = y - (np.bincount(group, y) / many)[group]
    observed = abs(float((x * y).sum()))
    live = many > 1
    spread = np.bincount(group, x**2)[live] * np.bincount(group, y**2)[live] / (many[live] - 1)
    if float(spread.sum()) <= 0.0 or seen.sum() < 4:
        return None, int(live.sum())
    if seen.sum() > 500:
        return 2.0 * float(norm.sf(observed / np.sqrt(spread.sum()))), int(live.sum())
    order = np.argsort(group, kind="stable")
    x, y, group = x[order], y[order], group[order]
    u = uniform53(child_seed(case.seed, "diagnosis/length"), "bootstrap", np.arange(draws * len(x)), 0)
    shuffled = x[np.argsort(group + 0.999 * u.reshape(draws, len(x)), axis=1)]
    above = int((np.abs(shuffled @ y) >= observed - 1e-9).sum())
    return (1 + above) / (1 + draws), int(live.sum())
