"""What to collect next: how many more votes, of whom, on which pairs."""

from __future__ import annotations

import math

import numpy as np

from annosim.diagnosis.case import Case, number, percent, plural
from annosim.diagnosis.finding import Finding, not_asked
from annosim.diagnosis.implied import Floats
from annosim.diagnosis.strengths import Strengths, units
from annosim.learning.inference.uncertainty import FEW_ANNOTATORS, default_kind
from annosim.learning.result import Fit
from annosim.planning.precision import needed, votes_to_detect

__all__ = ["detection", "more_votes"]

SHOWN = 6
#: error rate of intervals of strengths
NOMINAL = "an interval of this width leaves out a strength in 5 % of data sets (nominal)"


def more_votes(case: Case) -> Finding:
    """How precisely the strengths are known, and how many more votes of the same kind make them so."""
    name = "collect"
    found = case.strengths
    covariance = None if found is None else found.covariance()
    if isinstance(case.coefficients, Fit) and (found is None or case.by_features):
        return _of_coefficients(case, case.coefficients)
    if found is None or covariance is None:
        if found is not None:
            why = f"{plural(len(found.members), 'item')}: too many for a table of errors."
            return not_asked(name, why, "Use an.plan with a design.")
        why = "Every comparison is a tie: no item is better." if case.all_tied else "No items have strengths yet."
        return not_asked(name, why, "First ask the pairs under 'existence'.")
    errors = 1.96 * np.sqrt(np.maximum(covariance.diagonal(), 0.0))
    worst, typical = float(errors.max()), float(np.median(errors))
    total = float(found.core.weight.sum())
    effect = _design_effect(found, covariance)
    goal = case.precision if case.precision is not None else _round(worst / 2.0)
    more = max(0.0, needed(worst, total, goal) - total)
    pairs = _best_pairs(case, found, covariance)
    who = _whom(found, effect)
    graded = case.data.feedback.kind == "rating"
    whole = graded or (len(found.members) == case.data.items.n and case.connectivity.exists)
    sentence = (
        f"Strengths{_of(case, found)} are known to within {worst:.2g} logits at worst and {typical:.2g} typically (half-width of a 95 % interval); "
        f"{worst_words(goal)} takes {number(more)} more comparisons asked as these were, {who}."
    )
    if not whole:
        sentence += " No number of them is known to give the other items a strength, or to join the groups: first ask the pairs under 'existence'."
    asked = "; ".join(f"{a!r} against {b!r}" for a, b, _ in pairs[:3])
    change = f"Comparisons that reduce the errors most: {asked}." if asked else "More answers of the same kind."
    by = f"sandwich errors of {units(found.core).words}" if found.sandwich else "inverse information: units are too few"
    test = f"{by}; design effect {effect:.2f}"
    return Finding(
        name,
        sentence,
        worst,
        None,
        None,
        test,
        change=change,
        status="notice",
        errs=NOMINAL,
        head=("ask", "against", "share of the squared errors that one answer removes"),
        rows=tuple(pairs),
    )


def _of_coefficients(case: Case, fitted: Fit) -> Finding:
    """The same of a conditional logit's coefficients."""
    kind = default_kind(fitted)
    errors = 1.96 * np.sqrt(np.maximum(np.diagonal(fitted.covariance(kind)), 0.0))
    worst, total = float(errors.max()), float(case.data.row_weight.sum())
    goal = case.precision if case.precision is not None else _round(worst / 2.0)
    more = max(0.0, needed(worst, total, goal) - total)
    sentence = (
        f"Coefficients are known to within {worst:.2g} at worst (half-width of a 95 % interval); {worst_words(goal)} takes "
        f"{number(more)} more answers asked as these were."
    )
    change = (
        "Alternatives whose features differ more, and that are nearly as good, tell more: an.plan compares designs."
    )
    by = {"hessian": "inverse information", "cluster": "sandwich errors of whole annotators"}.get(
        kind, f"{kind} errors"
    )
    return Finding("collect", sentence, worst, test=by, change=change, status="notice", errs=NOMINAL)


def _of(case: Case, found: Strengths) -> str:
    """Which items are meant, where some have no strength."""
    n, known = case.data.items.n, len(found.members)
    graded = case.data.feedback.kind == "rating" and case.data.menu_size == 1
    how = ", from two grades of one annotator at a time," if graded else ""
    if known < n:
        return f"{how} of the {known:,} items (of {n:,}) that have one"
    return how if graded or case.connectivity.exists else f"{how} within each connected group"


def worst_words(goal: float) -> str:
    """The goal in words.

    Example:
        >>> worst_words(0.1)
        'to know all to within 0.1'
    """
    return f"to know all to within {goal:.2g}"


def _round(value: float) -> float:
    """One digit."""
    scale = 10.0 ** math.floor(math.log10(max(value, 1e-9)))
    return max(1.0, round(value / scale)) * scale


def _design_effect(found: Strengths, covariance: Floats) -> float:
    """Sandwich over binomial variance, on average over the strengths."""
    inverse = found.inverse()
    return 1.0 if inverse is None else float(np.trace(covariance) / np.trace(inverse))


def _whom(found: Strengths, effect: float) -> str:
    c = found.core
    if not c.named:
        return "with an annotator's id"
    people = c.people_by_weight
    each = float(c.weight.sum()) / max(people, 1.0)
    if people < FEW_ANNOTATORS and each >= 1.5:
        return f"of new annotators: how much the answers of one are alike is not known from {plural(round(people), 'annotator')}"
    if each < 1.5:
        return "of new annotators"
    share = (
        f"{number(each)} answers of one annotator tell as much as {number(each / max(effect, 1.0))} independent ones"
    )
    return f"of new annotators: {share}"


def _best_pairs(case: Case, found: Strengths, covariance: Floats) -> list[tuple[str, str, float]]:
    """Pairs whose next answer reduces the sum of variances most (one step of A-optimality)."""
    inverse = found.inverse()
    members = found.members
    if inverse is None or len(members) > 1000:
        return []
    score, component = found.score[members], found.component[members]
    gap = score[:, None] - score[None, :]
    v = 1.0 / (2.0 + 2.0 * np.cosh(np.clip(gap, -50, 50)))
    square = inverse @ inverse
    moved = square.diagonal()[:, None] + square.diagonal()[None, :] - 2.0 * square
    known = inverse.diagonal()[:, None] + inverse.diagonal()[None, :] - 2.0 * inverse
    gain = np.where(component[:, None] == component[None, :], v * moved / (1.0 + v * known), 0.0)
    gain = np.triu(gain, 1) / np.trace(inverse)
    order = np.argsort(-gain, axis=None, kind="stable")[:SHOWN]
    out = []
    for at in order:
        a, b = np.unravel_index(int(at), gain.shape)
        if gain[a, b] > 0:
            out.append((case.item(members[a]), case.item(members[b]), float(gain[a, b])))
    return out


def detection(case: Case) -> Finding:
    """How many votes a pair needs, so that a small margin is seen."""
    name = "margin"
    pairs = case.pairs
    if not len(pairs):
        return not_asked(name, "No two items are compared in any answer.", "Ask about two items at a time.")
    if case.by_features:
        return not_asked(
            name,
            "Alternatives as a question described them hardly come again, so that no pair of them is voted on.",
            "Ask about the coefficients: see 'collect'.",
        )
    margin = case.detect if case.detect is not None else 0.05
    found = case.strengths
    covariance = None if found is None else found.covariance()
    effect = 1.0 if found is None or covariance is None else max(1.0, _design_effect(found, covariance))
    need = math.ceil(votes_to_detect(margin, case.power) * effect)
    count = np.bincount(pairs.question, pairs.weight)
    enough = int((count >= need).sum())
    sentence = (
        f"To see that one of two items wins {percent(0.5 + margin)} (and not half) with probability {case.power:g}, a pair needs "
        f"{plural(need, 'vote')}; {enough:,} of {len(count):,} questions have so many (median {number(float(np.median(count)))})."
    )
    missing = float(np.maximum(need - count, 0.0).sum())
    change = (
        f"{number(missing)} more votes bring all questions there; strengths, which pool pairs, need fewer."
        if missing
        else "Nothing: all questions have so many. Smaller margins take more, by the square."
    )
    test = f"two-sided test of one half at 5 %, times the design effect {effect:.2f}"
    return Finding(
        name,
        sentence,
        float(need),
        None,
        None,
        test,
        change=change,
        status="notice",
        errs=f"the test rejects a half in 5 % of data sets, and misses the margin in {percent(1.0 - case.power)}",
    )
