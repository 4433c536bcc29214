"""Laws of truth: what the estimate must be when the answer is known, with and without chance."""

from __future__ import annotations

import numpy as np
from scipy import stats

from annosim.checks.estimator import Estimator
from annosim.checks.registry import Finding, check
from annosim.checks.worlds import exact_world, random_world, truth_of
from annosim.data.preferences import PreferenceData
from annosim.designs import Design
from annosim.items import Items
from annosim.populations import Annotator
from annosim.random import child_seed
from annosim.rules.luce import Luce
from annosim.simulate import simulate
from annosim.utilities import Tabular

__all__ = [
    "check_agrees_with_project",
    "check_consistency",
    "check_coverage",
    "check_exact_recovery",
    "check_many_items",
    "check_order_recovery",
    "check_types_recovered",
]

_ML = {
    "score": "does not claim to estimate Luce utilities",
    "sequential": "a running score does not converge on one pass",
    "regularised": "a penalty biases the estimate",
}


@check(kinds=("pairwise", "choice", "ranking", "reward"), without=_ML)
def check_exact_recovery(estimator: Estimator, seed: int) -> Finding:
    """On the noiseless law (expected counts in) the truth comes out.

    Whole-number worths give whole-number expected counts, so no weights are needed. Deterministic. Catches signs,
    missing factors, shrinkage that leaks in, and solvers that stop early.
    """
    gaps = []
    for worths in ((1, 2, 3, 4), (1, 1, 5), (7, 2, 3, 1, 1)):
        data, truth = exact_world(estimator.kind, worths)
        gaps.append(float(np.max(np.abs(estimator(data) - truth))))
    worst = max(gaps) if np.isfinite(gaps).all() else float("inf")
    return Finding(worst <= estimator.tolerance, f"largest error {worst:.2g} (tolerance {estimator.tolerance:g})")


@check(kinds=("pairwise", "choice", "ranking", "ties"), without={"sequential": "the last row counts most by design"})
def check_order_recovery(estimator: Estimator, seed: int) -> Finding:
    """On the noiseless law of well separated items, the items come out in their true order.

    Holds for scores as well as for utilities, with or without a penalty. Deterministic.
    """
    data, truth = exact_world(estimator.kind, (1, 2, 4, 8))
    if estimator.kind == "ties":
        pad = np.full_like(data.answer, -1)
        data = data.with_(answer=np.stack([data.answer, pad], -1), tied=np.zeros((data.rows, 1), bool))
    estimate = estimator(data)
    good = bool(np.isfinite(estimate).all()) and bool(np.array_equal(np.argsort(estimate), np.argsort(truth)))
    return Finding(good, f"true order {np.argsort(truth).tolist()}, estimate {np.round(estimate, 4).tolist()}")


@check(kinds=("pairwise", "choice", "ranking"), without=_ML)
def check_many_items(estimator: Estimator, seed: int) -> Finding:
    """With forty items in a sparse ring of comparisons the noiseless truth still comes out.

    A ring is the slowest graph to mix: methods that stop at an iteration limit are caught here. Deterministic; the
    tolerance is one hundred times the usual one, because the ring's condition number is of the order n squared.
    """
    n = 40
    u = np.log(1.0 + np.arange(n) % 3)
    k = 3 if estimator.kind in ("choice", "ranking") else 2
    menus, answers = [], []
    w = 1 + np.arange(n) % 3
    for i in range(n):
        menu = [(i + j) % n for j in range(k)]
        part, _ = exact_world(estimator.kind, [int(w[j]) for j in menu])
        # exact_world lists one menu of k items here: its positions are ours
        menus += [menu] * part.rows
        answers.append(part.answer)
    data = PreferenceData(Items(n=n), menus, np.concatenate(answers), feedback=part.feedback)
    gap = float(np.max(np.abs(estimator(data) - (u - u.mean()))))
    limit = 100 * estimator.tolerance
    return Finding(bool(gap <= limit), f"ring of {n} items: largest error {gap:.2g} (tolerance {limit:g})")


@check(kinds=("pairwise",), needs=("weights",), without=_ML)
def check_agrees_with_project(estimator: Estimator, seed: int) -> Finding:
    """Under misspecification the estimate from infinite data is the pseudo-true parameter that ``project`` computes.

    The truth answers at random a fifth of the time, so no Luce utilities fit. Deterministic; needs weights.
    """
    from annosim.law import law
    from annosim.learning.project import project
    from annosim.rules.habits import Lapse

    items = Items(n=5)
    truth = Annotator(Tabular([0.0, 0.5, 1.0, 1.5, 3.0]), Lapse(Luce(), rate=0.2))
    design = Design(items, menu_size=2)
    best = project(Annotator(Tabular(items.n), Luce()), truth, design)
    u = best.population.utility.values.detach().numpy()
    weighted = law(truth, design).as_data()
    gap = float(np.max(np.abs(estimator(weighted) - (u - u.mean()))))
    return Finding(bool(gap <= estimator.tolerance), f"largest difference from project {gap:.2g}")


@check(kinds=("pairwise", "choice", "ranking"), without=_ML, statistical=True)
def check_consistency(estimator: Estimator, seed: int, replicates: int = 40) -> Finding:
    """The error falls as n^(-1/2): with sixteen times the rows it is a quarter, on average.

    Null: in a replicate the error ratio (16 n against n, independent data) is below 0.6 with probability at least
    one half; under root-n consistency it is near 0.95 (two independent chi variables of four degrees, scaled by 4).
    The p-value is the exact binomial tail of the number of replicates with ratio below 0.6.
    """
    population, items = truth_of(estimator.kind, 5, seed)
    truth = estimator.read(population, random_world(estimator.kind, rows=10, seed=seed))
    size = 2 if estimator.kind == "pairwise" else 3
    feedback = "ranking" if estimator.kind == "ranking" else "choice"
    better, ratios = 0, []
    for r in range(replicates):
        error = []
        for rows in (150, 2400):
            design = Design(items, menu_size=size, feedback=feedback, annotators=rows)
            data = simulate(population, design, seed=child_seed(seed, f"consistency/{rows}"), replicate=r)
            error.append(float(np.linalg.norm(estimator(data) - truth)))
        ratios.append(error[1] / error[0] if np.isfinite(error[1]) else np.inf)
        better += ratios[-1] < 0.6
    p = float(stats.binom.cdf(better, replicates, 0.5))
    evidence = f"error ratio below 0.6 in {better} of {replicates} replicates, median {np.median(ratios):.3g} (1/4)"
    return Finding(p > 0, evidence, p)


@check(kinds=("pairwise", "choice", "ranking"), needs=("intervals",), without=_ML, statistical=True)
def check_coverage(estimator: Estimator, seed: int, replicates: int = 120) -> Finding:
    """Claimed 95 % intervals cover the truth: one item's interval per independent replicate.

    Null: coverage is between 0.90 and 0.99. The p-value is twice the smaller exact binomial tail at the nearer end.
    """
    population, items = truth_of(estimator.kind, 4, seed)
    truth = estimator.read(population, random_world(estimator.kind, n=4, rows=10, seed=seed))
    size = 2 if estimator.kind == "pairwise" else 3
    feedback = "ranking" if estimator.kind == "ranking" else "choice"
    design = Design(items, menu_size=size, feedback=feedback, annotators=1500)
    covered = 0
    for r in range(replicates):
        data = simulate(population, design, seed=child_seed(seed, "coverage"), replicate=r)
        result = estimator.raw(data)
        u, se = estimator.read(result, data), estimator.standard_errors(result)
        item = r % items.n
        covered += abs(u[item] - truth[item]) <= 1.959963984540054 * se[item]
    low = float(stats.binom.cdf(covered, replicates, 0.90))
    high = float(stats.binom.sf(covered - 1, replicates, 0.99))
    p = min(1.0, 2 * min(low, high))
    return Finding(p > 0, f"{covered} of {replicates} intervals cover (claimed 95 %)", p)


@check(kinds=("mixture",), without={"regularised": "a penalty biases the estimate"}, statistical=True)
def check_types_recovered(estimator: Estimator, seed: int, replicates: int = 30) -> Finding:
    """Two well separated types with ten answers each are recovered: utilities within 0.6 of the truth.

    Null: each replicate succeeds with probability at least one half (it is near one for maximum likelihood). The
    p-value is an exact binomial tail.
    """
    population, items = truth_of("mixture", 5, seed)
    truth = estimator.read(population, random_world("mixture", rows=10, seed=seed))
    design = Design(items, menu_size=2, annotators=400, questions=10)
    near, worst = 0, 0.0
    for r in range(replicates):
        data = simulate(population, design, seed=child_seed(seed, "types"), replicate=r)
        estimate = estimator(data)
        gap = float(np.max(np.abs(estimate - truth))) if estimate.shape == truth.shape else float("inf")
        near, worst = near + (gap < 0.6), max(worst, gap)
    p = float(stats.binom.cdf(near, replicates, 0.5))
    return Finding(p > 0, f"both types within 0.6 in {near} of {replicates} replicates, worst {worst:.2g}", p)
