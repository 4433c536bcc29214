"""Annotators who answer by side, at random, against everybody else, or like another one: with evidence and error rates.

The p-values of single annotators are bounds that hold at every number of answers (Chernoff 1952; of answers in [0, 1],
ties included, by Hoeffding 1963), and Holm's adjustment covers all annotators of a question.
"""

from __future__ import annotations

from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import norm

from annosim.data.counts import combine
from annosim.diagnosis.case import Case, listed, percent, plural
from annosim.diagnosis.finding import Finding, Status, holm, not_asked
from annosim.diagnosis.implied import Floats, Ints, first_of

__all__ = ["against_others", "copies", "one_sided", "unreliable"]

#: of each annotator: id, answers, slope on the strengths' differences, its error, and bounds of two tails; and of each
#: tail, by question, who could be noticed by it and how many answers that takes
Slopes: TypeAlias = tuple[Ints, Ints, Floats, Floats, Floats, Floats, dict[str, tuple[NDArray[np.bool_], int]]]

LEVEL = 0.05
#: largest slope of an annotator on the strengths' differences
STEEPEST = 8.0
#: flagged annotators that the table lists
SHOWN = 12
#: annotators of a question above which it is left out of the search for copies, and pairs of them in all
CROWD, PAIRS = 400, 20_000_000
#: questions that two annotators must share, and the share of them on which copies agree at least
SHARED, COPIED = 10, 0.9


def one_sided(case: Case) -> Finding:
    """Who answers by the place of display?"""
    name = "one side"
    if not case.named:
        return _nameless(case, name)
    if case.displayed:
        return not_asked(name, case.displayed, "Keep the order of display, and draw it at random.")
    first, share, who, expected = _first_places(case)
    ids, who = np.unique(who, return_inverse=True)
    many = np.bincount(who)
    left = np.bincount(who, first)
    mean = np.bincount(who, expected) / many
    able = many >= 5
    centre = float(np.median((left / many - mean)[able])) if able.any() else 0.0
    mean = np.clip(mean + centre, 0.01, 0.99)
    p = np.minimum(1.0, 2.0 * np.exp(-many * _divergence(left / many, mean)))
    adjusted = holm(p)
    flagged = np.flatnonzero(adjusted <= LEVEL)
    flagged = flagged[np.argsort(p[flagged], kind="stable")]
    rows = tuple(
        (case.who(ids[a]), int(many[a]), float(left[a] / many[a]), float(mean[a]), float(adjusted[a]))
        for a in flagged[:SHOWN]
    )
    need = int(np.ceil(np.log(2.0 * len(many) / LEVEL) / np.log(1.0 / (0.5 + abs(centre)))))
    noticed = many * np.log(1.0 / np.minimum(mean, 1.0 - mean)) >= np.log(2.0 * len(many) / LEVEL)
    if not noticed.any():
        return _too_few(name, many, need, "Somebody who always takes one side")
    head = ("annotator", "answers", "share for the first place", "expected", "p (Holm)")
    test = "binomial bound on the answers for the first place, Holm over annotators"
    sentence = (
        f"{len(flagged)} of {len(ids)} annotators {'answers' if len(flagged) == 1 else 'answer'} by the side: "
        + listed((f"{row[0]} ({percent(row[2])} first of {row[1]})" for row in rows), 3)
        + "."
        if len(flagged)
        else f"Nobody of {len(ids)} annotators answers by the side (the most extreme chooses the first place "
        f"{percent(float((left / many)[np.argmin(p)]))} of {plural(int(many[np.argmin(p)]), 'time')})."
    )
    change = (
        f"Somebody who always takes one side is noticed from {plural(need, 'answer')} on; {int(noticed.sum())} of "
        f"{len(many)} annotators gave enough."
        if not len(flagged)
        else "Leave them out and diagnose again, or fit an.PositionBias per annotator."
    )
    return _counted(name, sentence, rows, len(flagged), test, float(adjusted.min()), change, head)


def _counted(
    name: str,
    sentence: str,
    rows: tuple[tuple[object, ...], ...],
    count: int,
    test: str,
    p_value: float,
    change: str,
    head: tuple[str, ...],
) -> Finding:
    """How many annotators, or pairs of them, a question flags, with the evidence on those that are shown."""
    status: Status = "notice" if count else "fine"
    return Finding(
        name, sentence, float(count), None, None, test, p_value, change=change, status=status, head=head, rows=rows
    )


def _too_few(name: str, many: Ints, need: int, who: str) -> Finding:
    """Nobody answered so often that the test could reject, whatever they answered."""
    need, most = max(need, int(many.max()) + 1), int(many.max())
    return not_asked(
        name,
        f"{who} would be noticed from about {plural(need, 'answer')} on; none of {len(many)} annotators gave more than {most}.",
        f"Ask each annotator about {plural(need, 'question')}.",
    )


def _first_places(case: Case) -> tuple[Floats, float, Ints, Floats]:
    """Of each answer: is the first place preferred (1, 0, .5), the share of all, who, and the probability by strengths."""
    data = case.data
    live = np.flatnonzero(~np.asarray(data.skipped))
    answer = np.asarray(data.answer).reshape(data.rows, -1)[live, 0]
    first = (answer == 0).astype(float)
    expected = 1.0 / (np.asarray(data.menu)[live] >= 0).sum(1)
    if data.tied is not None:
        first = np.where(np.asarray(data.tied)[live, 0], 0.5, first)
    found = case.strengths
    if data.menu_size == 2 and found is not None and len(found.core) > 0.5 * len(live):
        by_row = np.full(data.rows, np.nan)
        by_row[found.core.answer] = found.p
        expected = np.where(np.isfinite(by_row[live]), by_row[live], expected)
    return first, float(first.mean()), np.asarray(data.annotator_ids)[live], expected


def _divergence(share: Floats, mean: Floats) -> Floats:
    """Kullback-Leibler divergence of two coins, in nats."""
    with np.errstate(divide="ignore", invalid="ignore"):
        one = np.where(share > 0, share * np.log(share / mean), 0.0)
        other = np.where(share < 1, (1 - share) * np.log((1 - share) / (1 - mean)), 0.0)
    return np.maximum(one + other, 0.0)


def unreliable(case: Case) -> Finding:
    """Whose answers depend less on the items than everybody's do: spammers are the extreme. Who goes against is no spammer."""
    name = "spammers"
    table = _slopes(case)
    if isinstance(table, Finding):
        return _named(table, name)
    slope, error = table[2:4]
    against = (holm(table[5]) <= LEVEL) | (slope + 1.96 * error < 0)
    return _report(case, name, table, table[4], np.flatnonzero((holm(table[4]) <= LEVEL) & (slope < 0.5) & ~against))


def against_others(case: Case) -> Finding:
    """Whose answers go against everybody's: an adversary, a swapped column, or a taste of a minority."""
    name = "adversaries"
    table = _slopes(case)
    if isinstance(table, Finding):
        return _named(table, name)
    return _report(case, name, table, table[5], np.flatnonzero(holm(table[5]) <= LEVEL))


#: of each question about slopes: who is sought, what one and several annotators do, what nobody does, the remedy and the test
WORDS = {
    "spammers": (
        "Somebody who answers at random",
        ("answers much more at random than the others", "answer much more at random than the others"),
        "Nobody answers at random where the others do not",
        "Look at their answers first: where 'types' finds several tastes, a minority looks like this, too. Then leave them "
        "out and diagnose again, or fit an.rules.Reliability(an.Luce(), skill=an.free(...)).",
        "Chernoff bound on the answers' dependence on the strengths, slope 1 against less, Holm over annotators",
    ),
    "adversaries": (
        "Somebody who always answers against the others",
        ("prefers what the others do not", "prefer what the others do not"),
        "Nobody answers against the others",
        "Look at their answers: a swapped column and an adversary look alike, and so does a minority's taste, which "
        "agrees with itself when asked again. an.choose_types tells how many tastes there are.",
        "Chernoff bound on the answers' dependence on the strengths, slope 0 against negative, Holm over annotators",
    ),
}


def _report(case: Case, name: str, table: Slopes, p: Floats, flagged: Ints) -> Finding:
    """The annotators that a question about slopes flags, the surest first."""
    ids, many, slope, error = table[:4]
    sought, found, none, remedy, test = WORDS[name]
    noticed, need = table[6][name]
    adjusted = holm(p)
    flagged = flagged[np.argsort(p[flagged], kind="stable")]
    rows = tuple(
        (
            case.who(ids[a]),
            int(many[a]),
            float(slope[a]),
            float(slope[a] - 1.96 * error[a]),
            float(slope[a] + 1.96 * error[a]),
            float(adjusted[a]),
        )
        for a in flagged[:SHOWN]
    )
    head = ("annotator", "answers", "slope (1: as the others, 0: a coin)", "low", "high", "p (Holm)")
    if len(flagged):
        shown = listed((f"{row[0]} (slope {round(row[2], 2) + 0.0:g} over {row[1]} answers)" for row in rows), 3)
        sentence = f"{len(flagged)} of {len(ids)} annotators {found[len(flagged) > 1]}: {shown}."
        return _counted(name, sentence, rows, len(flagged), test, float(adjusted[flagged].min()), remedy, head)
    enough = int(noticed.sum())
    if not enough:
        return _too_few(name, many, need, sought)
    change = (
        f"{sought} is noticed from about {plural(need, 'answer')} on; {enough} of {len(ids)} annotators gave enough."
    )
    p_value = max(float(adjusted.min()), LEVEL * 1.0001)
    said = f"{none} ({len(ids)} annotators, of whom {enough} answered enough to tell)."
    return _counted(name, said, (), 0, test, p_value, change, head)


def _slopes(case: Case) -> Slopes | Finding:
    """Computed once for both questions that read them."""
    if "slopes" not in case.memo:
        case.memo["slopes"] = _computed_slopes(case)
    return cast("Slopes | Finding", case.memo["slopes"])


def _computed_slopes(case: Case) -> Slopes | Finding:
    """Of each annotator: id, answers, slope on the strengths' differences and its error, and bounds of two tails."""
    if not case.named:
        return _nameless(case, "")
    found = case.strengths
    if found is None or len(found.core.one_each) < 10:
        return not_asked(
            "",
            "Too few items have strengths that annotators could be held against.",
            "Collect answers that connect the items.",
        )
    c = found.core.one_each
    gap = found.score[c.first] - found.score[c.second]
    ids, who = c.people
    many = np.bincount(who)
    if not float((gap**2).sum()) > 1e-12:
        return not_asked(
            "",
            "All items are equally strong, so that nobody's answers could depend on their strengths.",
            "Ask about items that differ.",
        )
    if len(ids) < 4:
        return not_asked(
            "", f"{plural(len(ids), 'annotator')}: too few to hold one against the others.", "Ask more people."
        )
    p = 1.0 / (1.0 + np.exp(-gap))
    slope, error = _maximum_slopes(who, gap, c.won)
    pair = combine([c.first, c.second])
    at = first_of(pair)
    half = np.full(len(at), 0.5)
    low = _log_tail(who, pair, gap[at], p[at], _summed(who, gap * (c.won - p)))
    against = _log_tail(who, pair, gap[at], half, _summed(who, gap * (c.won - 0.5)))
    limit = np.log(LEVEL / len(ids))
    able: dict[str, tuple[NDArray[np.bool_], int]] = {}
    extremes = {"spammers": (p, gap * (0.5 - p)), "adversaries": (np.full(len(gap), 0.5), -0.5 * np.abs(gap))}
    for name, (mean, extreme) in extremes.items():
        bound = _log_tail(who, pair, gap[at], mean[at], _summed(who, extreme))
        whole = float(_log_tail(np.zeros_like(who), pair, gap[at], mean[at], extreme.sum(keepdims=True))[0])
        able[name] = bound <= limit, int(np.ceil(len(gap) * limit / min(whole, -1e-9)))
    return ids, many, slope, error, np.exp(low), np.exp(against), able


def _maximum_slopes(who: Ints, gap: Floats, won: Floats) -> tuple[Floats, Floats]:
    """Of each annotator: b that maximises the likelihood of ``P(first) = 1 / (1 + exp(-b gap))``, and its standard error.

    By Newton's method, at most :data:`STEEPEST` either way: who never answers against the strengths, or never with them,
    has no maximum.
    """
    slope = np.zeros(int(who.max()) + 1)
    for _ in range(30):
        q = 1.0 / (1.0 + np.exp(-slope[who] * gap))
        information = np.maximum(_summed(who, q * (1.0 - q) * gap**2), 1e-12)
        step = np.clip(_summed(who, gap * (won - q)) / information, -1.0, 1.0)
        before, slope = slope, np.clip(slope + step, -STEEPEST, STEEPEST)
        if float(np.abs(slope - before).max()) < 1e-4:
            break
    return slope, 1.0 / np.sqrt(information)


def _summed(who: Ints, values: Floats) -> Floats:
    """Sums by annotator."""
    return np.asarray(np.bincount(who, values), dtype=np.float64)


def _log_tail(who: Ints, pair: Ints, gap: Floats, p: Floats, observed: Floats) -> Floats:
    r"""Logarithm of Chernoff's bound of P(sum gap (Y - p) <= observed) of each annotator, Y in [0, 1] with means p.

    ``min_t exp(sum log((1 - p) e^{t p g} + p e^{-t (1 - p) g}) + t x)`` over a grid of t: every t is a bound. ``gap``
    and ``p`` are those of the distinct pairs, of which there are far fewer than answers.
    """
    best = np.zeros(len(observed))
    for t in np.geomspace(0.05, 8.0, 18):
        a = t * gap
        step = np.logaddexp(np.log1p(-p) + p * a, np.log(p) - (1.0 - p) * a)
        best = np.minimum(best, np.bincount(who, step[pair]) + t * observed)
    return best


def copies(case: Case) -> Finding:
    """Which two annotators agree more than two people of one taste would?"""
    name = "copies"
    if not case.named:
        return _nameless(case, name)
    pairs = case.pairs.one_each
    shared, agree, expected, variance, left, right = _agreements(case)
    if not len(left):
        return not_asked(
            name,
            f"No two annotators share {SHARED} questions or more, so that copies cannot be seen.",
            f"Ask several annotators the same {SHARED} to 30 questions.",
        )
    sd = np.sqrt(variance)
    z = (agree - expected) / sd
    centre, scale = float(np.median(z)), max(1.0, 1.4826 * float(np.median(np.abs(z - np.median(z)))))
    p = norm.sf((z - max(centre, 0.0)) / scale)
    alike = agree >= COPIED * shared
    p = np.where(alike, p, 1.0)  # two careful people agree more than others, too, but not always
    needed = max(centre, 0.0) + scale * float(norm.isf(LEVEL / len(p)))
    always = (shared - expected) / sd
    if not (always >= needed).any():
        need = int(np.ceil(float(np.median(shared * (needed / always) ** 2))))
        return not_asked(
            name,
            f"Two annotators who always agree would be noticed from about {max(need, int(shared.max()) + 1)} shared questions "
            f"on; none of {len(left):,} pairs share more than {int(shared.max())}.",
            f"Ask several annotators the same {max(need, int(shared.max()) + 1)} questions.",
        )
    adjusted = holm(p)
    flagged = np.flatnonzero(adjusted <= LEVEL)
    flagged = flagged[np.argsort(p[flagged], kind="stable")]
    ids = pairs.people[0]
    rows = tuple(
        (
            case.who(ids[left[i]]),
            case.who(ids[right[i]]),
            int(shared[i]),
            float(agree[i] / shared[i]),
            float(expected[i] / shared[i]),
            float(adjusted[i]),
        )
        for i in flagged[:SHOWN]
    )
    head = ("annotator", "and", "questions shared", "agree", "expected", "p (Holm)")
    test = (
        f"agreement of two annotators (at least {percent(COPIED)}) against that of all who answered the same questions, "
        "scaled by the spread over pairs, Holm over pairs"
    )
    if len(flagged):
        shown = listed((f"{r[0]} and {r[1]} ({percent(r[3])} of {r[2]} shared questions)" for r in rows), 2)
        sentence = f"{len(flagged)} of {len(left):,} pairs of annotators {'agrees' if len(flagged) == 1 else 'agree'} like copies: {shown}."
        change = "Compare their time stamps and texts; keep one of each pair of copies."
        return _counted(name, sentence, rows, len(flagged), test, float(adjusted.min()), change, head)
    sentence = f"No two annotators agree like copies ({len(left):,} pairs share {SHARED} questions or more)."
    return _counted(
        name, sentence, (), 0, test, float(adjusted.min()), "More shared questions show rarer copies.", head
    )


def _agreements(case: Case) -> tuple[np.ndarray, ...]:
    """Of pairs of annotators: questions shared, agreements, their mean and variance if answers are independent."""
    pairs = case.pairs.one_each
    none = (np.zeros(0),) * 6
    who = pairs.people[1]
    decided = np.flatnonzero(pairs.low_won != 0.5)
    who, question, low = who[decided], pairs.question[decided], pairs.low_won[decided]
    if not len(who):
        return none
    question = combine([question, _occurrence(combine([who, question]))])
    many = np.bincount(who, minlength=int(who.max(initial=0)) + 1)
    crowd = np.bincount(question)
    keep = (many[who] >= SHARED) & (crowd[question] > 1) & (crowd[question] <= CROWD)
    who, question, low = who[keep], question[keep], low[keep]
    if not len(who) or float((np.bincount(question).astype(float) ** 2).sum()) > PAIRS:
        return none
    p = _question_probability(case, question, low)
    shape = (len(many), int(question.max()) + 1)

    def made(value: Floats) -> sparse.csr_matrix:
        return sparse.csr_matrix((value, (who, question)), shape=shape)

    ones, sign = made(np.ones(len(who))), made(2.0 * low - 1.0)
    same = p**2 + (1.0 - p) ** 2
    shared = sparse.triu(ones @ ones.T, 1).tocoo()
    use = shared.data >= SHARED
    left, right, count = shared.row[use], shared.col[use], shared.data[use]
    if not len(left):
        return none

    def at(matrix: sparse.csr_matrix) -> Floats:
        return np.asarray(matrix.tocsr()[left, right]).ravel()

    agree = (count + at(sign @ sign.T)) / 2.0
    expected = at(made(same) @ ones.T)
    variance = at(made(same * (1.0 - same)) @ ones.T)
    live = variance > 1e-9
    return count[live], agree[live], expected[live], variance[live], left[live], right[live]


def _occurrence(cell: Ints) -> Ints:
    """How often each entry's cell occurred before it."""
    order = np.argsort(cell, kind="stable")
    start = np.r_[0, np.flatnonzero(np.diff(cell[order])) + 1]
    out = np.empty(len(cell), dtype=np.int64)
    out[order] = np.arange(len(cell)) - np.repeat(start, np.diff(np.r_[start, len(cell)]))
    return out


def _question_probability(case: Case, question: Ints, low: Floats) -> Floats:
    """P(the item of smaller number wins) of each answer's question: by its own answers, shrunk to a half by two."""
    wins, count = np.bincount(question, low), np.bincount(question)
    return ((wins + 1.0) / (count + 2.0))[question]


def _nameless(case: Case, name: str) -> Finding:
    why, change = case.alone
    return not_asked(name, f"{why}, so that no annotator can be held against the others.", change)


def _named(found: Finding, name: str) -> Finding:
    return not_asked(name, found.sentence, found.change)
