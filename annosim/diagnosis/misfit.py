"""Does one strength per item describe the answers: goodness of fit over pairs, and cycles."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.stats import pearson3

from annosim.data.counts import combine
from annosim.diagnosis.case import Case, number, percent, plural
from annosim.diagnosis.finding import Finding, not_asked, tail
from annosim.diagnosis.implied import Floats, Implied, Ints, crossed, first_of
from annosim.diagnosis.strengths import Strengths, units
from annosim.random import child_seed

__all__ = ["cycles", "goodness"]

#: pairs above which the null distribution is a gamma law of the right moments
MANY = 20_000
DRAWS = 399
#: items whose triples are searched
TRIPLES = 150
#: why alternatives as a question described them have no strengths to judge, and what would give them some
ONCE = (
    "Alternatives as a question described them hardly come again: their features describe the answers, not strengths.",
    "Alternatives that come again with the same features.",
)


def goodness(case: Case) -> Finding:
    """Pearson's statistic over pairs of items, with the dispersion of whole annotators.

    Ties are left out: given a winner, the shares are Bradley-Terry ones under Davidson's rule, too, and those of half
    wins are not.
    """
    name = "fit"
    found = case.decided
    if case.by_features:
        return not_asked(name, *ONCE)
    if found is None:
        return not_asked(
            name, "No items have strengths whose fit could be judged.", "Collect answers that connect the items."
        )
    pair, e, n, v, low, high = _cells(found)
    components = len(np.unique(found.component[found.members]))
    free = len(e) - (len(found.members) - components)
    if free < 1:
        return not_asked(
            name,
            "As many strengths as pairs of items: every such table fits.",
            "Ask about more pairs of the same items.",
        )
    live = v > 0
    dispersion = _dispersion(found, pair, v, len(found.members) - components)
    observed = float((e[live] ** 2 / v[live]).sum() / dispersion)
    p = (
        _gamma_tail(observed, free, n, v)
        if len(e) > MANY
        else tail(observed, _simulated(found, n, v, low, high, case.seed))
    )
    ratio = observed / free
    worst = np.argsort(-(e**2 / np.maximum(v, 1e-12)), kind="stable")[:6]
    probability = found.score[low] - found.score[high]
    probability = 1.0 / (1.0 + np.exp(-probability))
    rows = tuple(
        (case.item(low[i]), case.item(high[i]), float(n[i]), float(probability[i] + e[i] / n[i]), float(probability[i]))
        for i in worst
    )
    error = (
        f"the shares won in {plural(len(e), 'pair')}: their squared errors are {number(ratio)} times what chance gives."
    )
    test = f"Pearson's statistic {observed:.4g} on {plural(free, 'degree')} of freedom, dispersion {dispersion:.2f} of {units(found.core).words}"
    change = "Look at the pairs below; features of the items, types of annotators or an.rules.Cyclic may explain them."
    head = ("item", "against", "answers", "share won", "expected")
    return Finding(
        name,
        f"One strength per item does not describe {error}",
        ratio,
        test=test,
        p_value=p,
        change=change,
        head=head,
        rows=rows,
        otherwise=f"One strength per item is not rejected by {error}",
    )


def _cells(found: Strengths) -> tuple[Ints, Floats, Floats, Floats, Ints, Ints]:
    """By pair of items: number of each comparison's pair, residual sum of the smaller, answers, variance, the items."""
    c = found.core
    low, high = np.minimum(c.first, c.second), np.maximum(c.first, c.second)
    pair = combine([low, high])
    at = first_of(pair)
    residual = np.where(c.first < c.second, found.residual, -found.residual)
    return (
        pair,
        np.asarray(np.bincount(pair, c.weight * residual), dtype=np.float64),
        np.asarray(np.bincount(pair, c.weight), dtype=np.float64),
        np.asarray(np.bincount(pair, c.weight * found.variance), dtype=np.float64),
        low[at],
        high[at],
    )


def _dispersion(found: Strengths, pair: Ints, v: Floats, fitted: int) -> float:
    """Variance of whole annotators' residual sums within pairs, over the binomial one."""
    c = found.core
    unit = units(c)
    residual = np.where(c.first < c.second, found.residual, -found.residual)
    cell, first = crossed(unit.of, pair, len(unit))
    total = np.bincount(cell, residual)
    within = c.weight[first] * (total**2)
    freedom = max(1.0 - fitted / max(float(c.weight[first].sum()), 1.0), 0.1)
    return max(float(within.sum()) / float(v.sum()) / freedom, 1e-3)


def _simulated(found: Strengths, n: Floats, v: Floats, low: Ints, high: Ints, seed: int) -> Floats:
    """Pearson's statistic of normal counts (binomial where few), after the strengths are fitted to them by one step."""
    inverse = found.inverse()
    rows, members = np.arange(len(n)), found.members
    if inverse is None or len(members) > 1000:
        return np.zeros(0)
    a, b = np.searchsorted(members, low), np.searchsorted(members, high)
    design = sparse.csr_matrix(
        (np.r_[np.ones(len(n)), -np.ones(len(n))], (np.r_[rows, rows], np.r_[a, b])), shape=(len(n), len(members))
    )
    p = v / np.maximum(n, 1e-12)
    p = 0.5 + np.sign(found.score[low] - found.score[high]) * np.sqrt(np.maximum(0.25 - p, 0.0))
    draws = np.empty(DRAWS)
    whole = np.maximum(np.round(n), 1).astype(np.int64)
    generator = np.random.Generator(np.random.Philox(child_seed(seed, "diagnosis/fit")))
    for k in range(DRAWS):
        e = (generator.binomial(whole, np.clip(p, 0.0, 1.0)) - whole * p) * np.sqrt(n / whole)
        e = e - v * (design @ (inverse @ (design.T @ e)))
        draws[k] = float((e**2 / np.maximum(v, 1e-12)).sum())
    return draws


def _gamma_tail(observed: float, free: int, n: Floats, v: Floats) -> float:
    """Upper tail of a gamma law with the mean and variance of Pearson's statistic."""
    share = v / n
    variance = max(2.0 * free + float(((1.0 - 6.0 * share) / v).sum()), 1.0)
    skew = 2.0 * np.sqrt(variance) / free
    return float(pearson3.sf((observed - free) / np.sqrt(variance), skew))


def cycles(case: Case) -> Finding:
    """Is there a cycle, A over B over C over A, that chance does not explain?"""
    name = "cycles"
    pairs = case.pairs
    table = None if not len(pairs) else _signs(pairs)
    if case.by_features:
        return not_asked(name, *ONCE)
    if case.all_tied:
        return not_asked(name, "Every comparison is a tie.", "Answers that prefer one of two items.")
    if table is None:
        return not_asked(
            name, "No three items were all compared with each other.", "Ask about all pairs of some three items."
        )
    z, share, members = table
    count, strength, triple = _strongest(z)
    if not count:
        return not_asked(
            name, "No three items were all compared with each other.", "Ask about all pairs of some three items."
        )
    p = min(1.0, count * float(np.exp(-(max(strength, 0.0) ** 2) / 2.0)))
    a, b, c = triple
    loop = f"{case.item(members[a])!r} over {case.item(members[b])!r} ({percent(share[a, b])}), over {case.item(members[c])!r} ({percent(share[b, c])}), over the first ({percent(share[c, a])})"
    none = f"No cycle among {plural(count // 2, 'triple')} of items that chance would not explain"
    none += f"; the strongest is {loop}." if strength > 0 else "."
    test = f"the weakest of three sign tests, bound exp(-z^2/2) for whole annotators, Bonferroni over {plural(count, 'cycle')}"
    change = (
        "More answers to these pairs; no strengths give a cycle: ask what the items differ in, or fit an.rules.Cyclic."
    )
    value = float(max(strength, 0.0))
    return Finding(name, f"A cycle: {loop}.", value, test=test, p_value=p, change=change, otherwise=none)


def _signs(pairs: Implied) -> tuple[Floats, Floats, Ints] | None:
    """``(n, n)`` self-normalised sums of wins over losses of the most compared items, the shares won, and these items."""
    seen = np.bincount(np.r_[pairs.first, pairs.second], minlength=pairs.items.n)
    members = np.sort(np.argsort(-seen, kind="stable")[:TRIPLES])
    members = members[seen[members] > 0]
    inside = np.zeros(pairs.items.n, bool)
    inside[members] = True
    c = pairs.take(inside[pairs.first] & inside[pairs.second])
    if not len(c):
        return None
    low, high = np.minimum(c.first, c.second), np.maximum(c.first, c.second)
    place = np.searchsorted(members, low) * len(members) + np.searchsorted(members, high)
    unit = units(c)
    cell, first = crossed(unit.of, place, len(unit))
    total = np.bincount(cell, c.low_won - 0.5)
    size = len(members)
    sums = np.bincount(place[first], c.weight[first] * total, size * size)
    spread = np.bincount(place[first], c.weight[first] * total**2, size * size)
    count = np.bincount(place, c.weight, size * size)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(count > 0, np.where(spread > 0, sums / np.sqrt(spread), 0.0), np.nan).reshape(size, size)
        share = (0.5 + sums / count).reshape(size, size)
    z = np.where(np.isnan(z), -np.nan_to_num(z.T, nan=np.nan), z)
    share = np.where(np.isnan(share), 1.0 - share.T, share)
    return z, share, members


def _strongest(z: Floats) -> tuple[int, float, tuple[int, int, int]]:
    """Number of oriented triples with all three comparisons, the largest of their weakest sides, and the triple."""
    known = np.isfinite(z)
    value = np.where(known, z, -np.inf)
    best, at, count = -np.inf, (0, 0, 0), 0
    for a in range(len(z)):
        side = np.minimum(np.minimum(value[a][:, None], value), value[:, a][None, :])  # a > b, b > c, c > a
        side = side[a + 1 :, a + 1 :]  # each cycle once, by its smallest item
        count += int(np.isfinite(side).sum())
        if side.size and side.max() > best:
            b, c = np.unravel_index(int(side.argmax()), side.shape)
            best, at = float(side.max()), (a, a + 1 + int(b), a + 1 + int(c))
    return count, best, at
