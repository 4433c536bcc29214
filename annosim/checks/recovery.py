"""Laws of truth: what the estimate must be when the answer is known, with and without chance."""

from __future__ import annotations

import numpy as np

from annosim.checks.datasets import (
    exact_dataset,
    exact_ties_dataset,
    has_estimate,
    random_dataset,
    repeat,
    ring_dataset,
    truth_of,
)
from annosim.checks.estimator import Estimator
from annosim.checks.registry import Finding, check
from annosim.checks.shrinking import as_code
from annosim.checks.statistics import at_least, between
from annosim.data.preferences import PreferenceData
from annosim.designs.design import Design
from annosim.items import Items
from annosim.laws import law
from annosim.learning.projection import project
from annosim.populations.annotator import Annotator
from annosim.random import child_seed
from annosim.rules.luce import Luce
from annosim.rules.response_biases import Lapse
from annosim.simulation.draws import simulate
from annosim.utilities.tabular import Tabular

__all__ = [
    "check_agrees_with_project",
    "check_consistency",
    "check_coverage",
    "check_davidson_recovery",
    "check_exact_recovery",
    "check_many_items",
    "check_many_rows",
    "check_order_recovery",
    "check_rao_kupper_recovery",
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
    worst = 0.0
    smallest = [(1, 3)] if estimator.kind == "pairwise" else []
    for worths in (*smallest, (1, 1, 5), (1, 2, 3, 4), (7, 2, 3, 1, 1)):
        data, truth = exact_dataset(estimator.kind, worths)
        finding = _recovers(estimator, data, truth, estimator.tolerance, f"worths {worths}")
        if not finding.holds:
            return finding
        worst = max(worst, float(np.max(np.abs(estimator(data) - truth))))
    return Finding(True, f"largest error {worst:.2g} (tolerance {estimator.tolerance:g})")


def _recovers(
    estimator: Estimator, data: PreferenceData, truth: np.ndarray, limit: float, what: str, recipe: str = ""
) -> Finding:
    """Whether the estimate is the truth; a failure shows both, and the data (or the recipe that makes them)."""
    estimate = estimator(data)
    gap = float(np.max(np.abs(estimate - truth))) if np.isfinite(estimate).all() else float("inf")
    if gap <= limit:
        return Finding(True, f"{what}: largest error {gap:.2g} (tolerance {limit:g})")
    both = f"; estimate {np.round(estimate, 4).tolist()}, truth {np.round(truth, 4).tolist()}"
    shown = both if len(truth) < 9 else ""
    data_text = f"data: {recipe}" if recipe else as_code(data)
    return Finding(False, f"{what}: largest error {gap:.2g} (tolerance {limit:g}){shown}; {data_text}")


@check(kinds=("ties",), needs=("davidson",), without=_ML)
def check_davidson_recovery(estimator: Estimator, seed: int) -> Finding:
    """On the noiseless law of Davidson's model of ties the true utilities come out.

    Worths are squares, so that wins and ties stand in whole-number proportions. Deterministic; needs the tag
    ``davidson``.
    """
    data, truth = exact_ties_dataset("davidson")
    return _recovers(estimator, data, truth, estimator.tolerance, "worths (1, 4, 9), nu = 1")


@check(kinds=("ties",), needs=("rao_kupper",), without=_ML)
def check_rao_kupper_recovery(estimator: Estimator, seed: int) -> Finding:
    """On the noiseless law of Rao and Kupper's model of ties the true utilities come out.

    Deterministic; needs the tag ``rao_kupper``.
    """
    data, truth = exact_ties_dataset("rao_kupper")
    recipe = "datasets.exact_ties_dataset('rao_kupper')"
    return _recovers(estimator, data, truth, estimator.tolerance, "worths (1, 4, 9), theta = 2", recipe)


@check(kinds=("pairwise", "choice", "ranking", "ties"), without={"sequential": "the last row counts most by design"})
def check_order_recovery(estimator: Estimator, seed: int) -> Finding:
    """On the noiseless law of well separated items, the items come out in their true order.

    Holds for scores as well as for utilities, with or without a penalty. Deterministic.
    """
    worths = (1, 3, 9)
    data, truth = exact_dataset(estimator.kind, worths)
    if estimator.kind == "ties":
        pad = np.full_like(data.answer, -1)
        data = data.with_(answer=np.stack([data.answer, pad], -1), tied=np.zeros((data.rows, 1), bool))
    estimate = estimator(data)
    good = bool(np.isfinite(estimate).all()) and bool(np.array_equal(np.argsort(estimate), np.argsort(truth)))
    text = f"true order {np.argsort(truth).tolist()}, estimate {np.round(estimate, 4).tolist()}"
    return Finding(good, text if good else f"{text}; {as_code(data)}")


@check(kinds=("pairwise", "choice", "ranking"), without=_ML)
def check_many_items(estimator: Estimator, seed: int) -> Finding:
    """With forty items in a sparse ring of comparisons the noiseless truth still comes out.

    A ring is the slowest graph to mix: methods that stop at an iteration limit are caught here. Deterministic; the
    tolerance is one hundred times the usual one, because the ring's condition number is of the order n squared.
    """
    data, truth = ring_dataset(estimator.kind)
    recipe = f"datasets.ring_dataset({estimator.kind!r})"
    return _recovers(estimator, data, truth, 100 * estimator.tolerance, f"ring of {len(truth)} items", recipe)


@check(kinds=("pairwise", "choice", "ranking", "reward"), without=_ML)
def check_many_rows(estimator: Estimator, seed: int) -> Finding:
    """With a hundred times the expected counts the same truth comes out.

    Catches steps and tolerances that do not scale with the number of rows, and sums that overflow or lose digits.
    Deterministic.
    """
    data, truth = exact_dataset(estimator.kind, (1, 2, 3))
    recipe = f"datasets.repeat(datasets.exact_dataset({estimator.kind!r}, (1, 2, 3))[0], 100)"
    what = f"{100 * data.rows} rows"
    return _recovers(estimator, repeat(data, 100), truth, estimator.tolerance, what, recipe)


@check(kinds=("pairwise",), needs=("weights",), without=_ML | {"spectral": "a law of the likelihood"})
def check_agrees_with_project(estimator: Estimator, seed: int) -> Finding:
    """Under misspecification the estimate from infinite data is the pseudo-true parameter that ``project`` computes.

    The truth answers at random a fifth of the time, so no Luce utilities fit. Deterministic; needs weights.
    """
    items = Items(n=5)
    truth = Annotator(Tabular([0.0, 0.5, 1.0, 1.5, 3.0]), Lapse(Luce(), rate=0.2))
    design = Design(items, menu_size=2)
    best = project(Annotator(Tabular(items.n), Luce()), truth, design)
    u = best.population.utility.values.detach().numpy()
    return _recovers(estimator, law(truth, design).as_data(), u - u.mean(), estimator.tolerance, "against project")


def _size_and_feedback(kind: str) -> tuple[int, str]:
    return (2 if kind == "pairwise" else 3), ("ranking" if kind == "ranking" else "choice")


#: Rows of the small and the large data of :func:`check_consistency`: the root of their ratio is eight.
_ROWS = (60, 3840)


@check(kinds=("pairwise", "choice", "ranking"), without=_ML, statistical=True)
def check_consistency(estimator: Estimator, seed: int, replicates: int = 48) -> Finding:
    """The error falls as n^(-1/2): with sixty-four times the rows it is an eighth, give or take chance.

    In every replicate the errors on n and on 64 n independent rows are compared. Null: their ratio is below 1/4 with
    probability at least 0.7. Under root-n normality the squared ratio times 64 is a ratio F of two independent
    quadratic forms of the same law, and P(F < 4) is 0.90 for four equal directions and 2/pi arctan 2 = 0.705 even for
    a single one; an error that falls as n^(-1/4) stays below 1/4 with probability P(F < 1/2) = 0.26, a biased one
    hardly ever. p-value: exact lower binomial tail (:func:`~annosim.checks.statistics.at_least`). Replicates whose
    small data have no maximum-likelihood estimate are left out, by a rule that looks at the data alone.
    """
    population, items = truth_of(estimator.kind, 5, seed)
    truth = estimator.read(population, random_dataset(estimator.kind, rows=10, seed=seed))
    size, feedback = _size_and_feedback(estimator.kind)
    small, large = (
        simulate(
            population,
            Design(items, menu_size=size, feedback=feedback, annotators=rows),
            seed=child_seed(seed, f"consistency/{rows}"),
            replicates=replicates,
        )
        for rows in _ROWS
    )
    ratios = []
    for r in range(replicates):
        if not has_estimate(small[r]):
            continue
        few, many = (float(np.linalg.norm(estimator(data[r]) - truth)) for data in (small, large))
        ratios.append(many / few if np.isfinite(many) and few > 0 else np.inf)
    better = sum(ratio < 0.25 for ratio in ratios)
    evidence = (
        f"with 64 times the rows the error falls below a quarter in {better} of {len(ratios)} replicates, "
        f"median ratio {np.median(ratios):.3g} (1/8 expected)"
    )
    return Finding(True, evidence, at_least(better, len(ratios), 0.7))


@check(kinds=("pairwise", "choice", "ranking"), needs=("intervals",), without=_ML, statistical=True)
def check_coverage(estimator: Estimator, seed: int, replicates: int = 160) -> Finding:
    """Claimed standard errors are right: 95 % intervals cover the truth, and so do half of the 50 % intervals.

    One item's intervals per independent replicate. Null: for every item the 95 % interval covers with probability
    between 0.90 and 0.99 and the 50 % interval between 0.42 and 0.58 (at 1500 rows the normal approximation is off by
    far less). The first catches intervals that are too narrow, the second those that are too wide. p-value: of each,
    twice the smaller exact binomial tail at its own edge (:func:`~annosim.checks.statistics.between`); of both, twice
    the smaller (union bound). Utilities lie within one of zero, so that data without an estimate have probability
    below 1e-30.
    """
    population, items = truth_of(estimator.kind, 4, seed)
    truth = estimator.read(population, random_dataset(estimator.kind, n=4, rows=10, seed=seed))
    size, feedback = _size_and_feedback(estimator.kind)
    design = Design(items, menu_size=size, feedback=feedback, annotators=1500)
    drawn = simulate(population, design, seed=child_seed(seed, "coverage"), replicates=replicates)
    wide = narrow = 0
    for r in range(replicates):
        data = drawn[r]
        result = estimator.raw(data)
        u, se = estimator.read(result, data), estimator.standard_errors(result)
        item = r % items.n
        error = abs(u[item] - truth[item])
        wide += bool(error <= 1.959963984540054 * se[item])
        narrow += bool(error <= 0.6744897501960817 * se[item])
    p = coverage_p_value(wide, narrow, replicates)
    return Finding(True, f"95 % intervals: {wide} of {replicates} cover; 50 % intervals: {narrow}", p)


def coverage_p_value(wide: int, narrow: int, replicates: int) -> float:
    """p-value of :func:`check_coverage` from the numbers of 95 % and of 50 % intervals that cover.

    Example:
        >>> coverage_p_value(152, 80, 160)
        1.0
    """
    both = between(wide, replicates, 0.90, 0.99), between(narrow, replicates, 0.42, 0.58)
    return min(1.0, 2 * min(both))


@check(kinds=("mixture",), without={"regularised": "a penalty biases the estimate"}, statistical=True)
def check_types_recovered(estimator: Estimator, seed: int, replicates: int = 30) -> Finding:
    """Two well separated types with ten answers each are recovered: utilities within 0.6 of the truth.

    Null: each replicate succeeds with probability at least 0.8 (for maximum likelihood it is near one: 0.6 is more than
    four standard errors). p-value: exact lower binomial tail (:func:`~annosim.checks.statistics.at_least`).
    """
    population, items = truth_of("mixture", 5, seed)
    truth = estimator.read(population, random_dataset("mixture", rows=10, seed=seed))
    design = Design(items, menu_size=2, annotators=400, questions=10)
    drawn = simulate(population, design, seed=child_seed(seed, "types"), replicates=replicates)
    near, worst = 0, 0.0
    for r in range(replicates):
        estimate = estimator(drawn[r])
        gap = float(np.max(np.abs(estimate - truth))) if estimate.shape == truth.shape else float("inf")
        near, worst = near + (gap < 0.6), max(worst, gap)
    evidence = f"both types within 0.6 in {near} of {replicates} replicates, worst {worst:.2g}"
    return Finding(True, evidence, at_least(near, replicates, 0.8))
