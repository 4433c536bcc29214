"""Laws of symmetry: what an estimate may not depend on, and how it must move when the data move."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from annosim.checks.datasets import exact_dataset, has_estimate, random_dataset, relabel, repeat, swap_sides
from annosim.checks.estimator import Estimator
from annosim.checks.registry import Finding, check
from annosim.checks.shrinking import shrink
from annosim.data.preferences import PreferenceData
from annosim.random import child_seed, uniform53

__all__ = [
    "check_annotator_relabelling",
    "check_duplicates",
    "check_normalisation",
    "check_merging_weights",
    "check_monotonicity",
    "check_relabelling",
    "check_reversal",
    "check_row_order",
    "check_subset_consistency",
    "check_swapping_sides",
    "check_type_relabelling",
]

_RANKED = ("pairwise", "choice", "ranking", "ties", "reward")
_SHUFFLES = 3


def _permutation(n: int, seed: int, name: str) -> np.ndarray:
    return np.argsort(uniform53(child_seed(seed, name), "analysis", np.arange(n), 0), kind="stable")


def _same(estimator: Estimator, a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference of two estimates, infinite when either is not finite."""
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    if "score" in estimator.tags:  # a score has no unit: compare its share of its own spread
        a, b = (u / max(float(np.abs(u).max(initial=0.0)), 1e-300) for u in (a, b))
    return float(np.abs(a - b).max(initial=0.0))


def _equal(estimator: Estimator, data: PreferenceData, moved, back=lambda u: u, what: str = "") -> Finding:
    """The law ``back(f(moved(data))) == f(data)``, with a small counterexample when it fails."""

    def gap(d: PreferenceData) -> float:
        return _same(estimator, estimator(d), back(estimator(moved(d))))

    distance = gap(data)
    if distance <= estimator.tolerance:
        return Finding(True, f"{what}: largest difference {distance:.2g}")
    budget = 40 if estimator.kind == "mixture" else 200  # a mixture costs a multiple of the rest per call
    small = shrink(data, _genuine(estimator, data, gap), budget)
    return Finding(False, f"{what}: utilities differ by {distance:.3g} (tolerance {estimator.tolerance:g}); {small}")


def _genuine(
    estimator: Estimator, data: PreferenceData, gap: Callable[[PreferenceData], float]
) -> Callable[[PreferenceData], bool]:
    """Whether smaller data still break a law for the reason for which ``data`` did.

    A likelihood that has its maximum on ``data`` must have it on the smaller data as well: what an estimator returns
    where no estimate exists proves nothing about symmetries. And a finite difference stays finite.
    """
    luce = estimator.kind in ("pairwise", "choice", "ranking", "ties")
    free = not luce or estimator.has("score") or estimator.has("sequential") or estimator.has("regularised")
    needs_estimate = not free and has_estimate(data)
    may_be_infinite = not np.isfinite(gap(data))

    def fails(d: PreferenceData) -> bool:
        if needs_estimate and not has_estimate(d):
            return False
        distance = gap(d)
        return distance > estimator.tolerance and (may_be_infinite or bool(np.isfinite(distance)))

    return fails


@check()
def check_relabelling(estimator: Estimator, seed: int) -> Finding:
    """Renaming the items permutes the estimate in the same way.

    ``f(P data) = P f(data)`` for permutations P. Deterministic: no false alarm beyond the tolerance.
    """
    data = random_dataset(estimator.kind, seed=seed)
    for shuffle in range(_SHUFFLES):
        order = _permutation(data.items.n, seed, f"relabel/{shuffle}")
        back = lambda u, o=order: u[..., np.argsort(o)]  # noqa: E731
        finding = _equal(estimator, data, lambda d, o=order: relabel(d, o), back, f"items renamed to {order.tolist()}")
        if not finding.holds:
            return finding
    return finding


@check()
def check_swapping_sides(estimator: Estimator, seed: int) -> Finding:
    """Showing every menu in reverse display order, with the same item preferred, changes nothing.

    Deterministic. A position-bias model that estimates the bias on the data obeys it as well.
    """
    return _equal(estimator, random_dataset(estimator.kind, seed=seed), swap_sides, what="display order reversed")


@check(without={"sequential": "reads rows in order by design"})
def check_row_order(estimator: Estimator, seed: int) -> Finding:
    """The order of the rows changes nothing.

    Deterministic.
    """
    data = random_dataset(estimator.kind, seed=seed)
    order = _permutation(data.rows, seed, "rows")
    if data.annotator is not None:  # rows of one annotator stay together; annotators trade places
        people = _permutation(data.num_annotators, seed, "rows")
        order = np.concatenate([np.flatnonzero(data.annotator == a)[::-1] for a in people])
    shuffled = _equal(estimator, data, lambda d: d.take(order[order < d.rows]), what="rows shuffled")
    if not shuffled.holds:
        return shuffled
    return _equal(estimator, data, lambda d: d.take(np.arange(d.rows)[::-1]), what="rows reversed")


@check(kinds=("mixture",))
def check_annotator_relabelling(estimator: Estimator, seed: int) -> Finding:
    """Renaming the annotators changes nothing.

    Deterministic. Catches annotator indices that are off by one.
    """
    data = random_dataset("mixture", seed=seed)
    people = _permutation(data.num_annotators, seed, "people")
    return _equal(estimator, data, lambda d: d.with_(annotator=people[d.annotator]), what="annotators renamed")


@check(kinds=("mixture",))
def check_type_relabelling(estimator: Estimator, seed: int) -> Finding:
    """What the types are called changes nothing: they come out in order of falling weight.

    Exchanging the winner and the loser of every pair turns each type's utilities u into -u and leaves its weight alone,
    so the estimates, listed by weight, change sign row by row. Deterministic. An estimator that lists its types by
    anything else (the first item's utility, the order of its starts) is caught.
    """
    data = random_dataset("mixture", seed=seed)
    return _equal(
        estimator, data, lambda d: d.with_(answer=(1 - d.answer).astype(np.int8)), lambda u: -u, "winners exchanged"
    )


@check(kinds=_RANKED, needs=("weights",), without={"sequential": "a weight is no sequence"})
def check_merging_weights(estimator: Estimator, seed: int) -> Finding:
    """A row of weight three is three rows.

    Splitting or merging duplicates leaves the estimate alone. Deterministic; needs the tag ``weights``.
    """
    data = random_dataset(estimator.kind, rows=60, seed=seed)
    times = 1 + (uniform53(child_seed(seed, "times"), "analysis", np.arange(data.rows), 0) * 3).astype(int)
    split = data.take(np.repeat(np.arange(data.rows), times))
    merged = data.with_(weight=times.astype(float))
    distance = _same(estimator, estimator(split), estimator(merged))
    text = f"rows repeated against weighted: largest difference {distance:.2g}"
    if distance <= estimator.tolerance:
        return Finding(True, text)

    def differs(d: PreferenceData) -> float:
        copies = d.with_(weight=None).take(np.repeat(np.arange(d.rows), d.row_weight.astype(int)))
        return _same(estimator, estimator(copies), estimator(d))

    return Finding(False, f"{text}; {shrink(merged, _genuine(estimator, merged, differs))}")


@check(without={"sequential": "more rows move a running score", "regularised": "a penalty weighs less on more data"})
def check_duplicates(estimator: Estimator, seed: int) -> Finding:
    """Doubling the data leaves the estimate alone (and halves the variance, with the tag ``intervals``).

    Deterministic. The variance is held to a factor of two within five per cent.
    """
    data = random_dataset(estimator.kind, seed=seed)
    finding = _equal(estimator, data, lambda d: repeat(d, 2), what="every row twice")
    if not finding.holds or "intervals" not in estimator.tags:
        return finding
    one = estimator.standard_errors(estimator.raw(data)) ** 2
    two = estimator.standard_errors(estimator.raw(repeat(data, 2))) ** 2
    keep = one > 0
    ratio = one[keep] / two[keep]
    good = bool(np.all(np.abs(ratio - 2) < 0.1))
    return Finding(good, f"{finding.evidence}; variance ratios {np.round(ratio, 3).tolist()} (expected 2)")


@check(kinds=("pairwise", "choice", "ranking", "reward"), without={"sequential": "reads rows in order by design"})
def check_normalisation(estimator: Estimator, seed: int) -> Finding:
    """Adding a constant to all true utilities changes nothing, whatever whole-number counts express it.

    Deterministic: worths w and 5 w have the same choice probabilities, so the same expected counts up to a factor.
    """
    a, _ = exact_dataset(estimator.kind, (1, 2, 3, 4))
    b, _ = exact_dataset(estimator.kind, (1, 2, 3, 4), shift=5)
    b = b.with_(items=a.items)
    distance = _same(estimator, estimator(a), estimator(b))
    data = f"; data: datasets.exact_dataset({estimator.kind!r}, (1, 2, 3, 4)), and with shift=5"
    good = distance <= estimator.tolerance
    return Finding(good, f"worths times five: largest difference {distance:.2g}{'' if good else data}")


@check(
    kinds=("pairwise", "ties"),
    without={
        "score": "a score counts how often an item was asked about as well as how it fared",
        "spectral": "a law of the likelihood",
        "annotators": "another answer of somebody also changes what that person is taken for",
    },
)
def check_reversal(estimator: Estimator, seed: int) -> Finding:
    """Exchanging the winner and the loser of every pair turns the estimate u into -u.

    Deterministic; a law of the likelihood of pairs under a symmetric rule (not of rankings, whose reversal is another
    model, nor of spectral methods, which reach the same truth by another road on finite data).
    """

    def reverse(data: PreferenceData) -> PreferenceData:
        if data.answer.ndim == 1:
            return data.with_(answer=(1 - data.answer).astype(np.int8))
        tied = np.zeros((data.rows, 1), dtype=bool) if data.tied is None else data.tied
        answer = np.where(tied, data.answer, np.stack([1 - data.answer[:, 0], data.answer[:, 1]], -1))
        return data.with_(answer=answer.astype(np.int8))

    return _equal(estimator, random_dataset(estimator.kind, seed=seed), reverse, lambda u: -u, "winners exchanged")


@check(
    kinds=("pairwise", "choice"),
    without={
        "sequential": "the last row counts most by design",
        "spectral": "a theorem of the likelihood",
        "annotators": "another answer of somebody also changes what that person is taken for",
    },
)
def check_monotonicity(estimator: Estimator, seed: int) -> Finding:
    """One more win never lowers an item against any other.

    Deterministic. For the maximum-likelihood estimate of Luce's model on pairs and choices it is a theorem: the extra
    win is a current that enters at the winner alone, and the information matrix is a graph Laplacian, so the winner's
    potential rises most. (Not for rankings, whose extra row also holds wins of the others.) A score has no unit, so of
    it only the order is asked: whoever stood below the winner does not stand above it afterwards.
    """
    data = random_dataset(estimator.kind, rows=60, seed=seed)
    before = estimator(data)
    for item in range(data.items.n):
        rows = np.flatnonzero(data.menu[:, 0] == item)[:1]
        if not len(rows):
            continue
        extra = data.take(rows)

        def fall(d: PreferenceData, extra: PreferenceData = extra, item: int = item) -> float:
            """How far one more win of ``item`` on the menu of ``extra`` lowers it."""
            more = d.with_(
                menu=np.concatenate([d.menu, extra.menu]),
                answer=np.concatenate([d.answer, np.zeros(1, np.int8)]),
                annotator=None,
                annotator_names=None,
                order=None,
                weight=None,
            )
            return _fall(estimator, before if d is data else estimator(d), estimator(more), item)

        worst = fall(data)
        if not worst <= estimator.tolerance:
            small = shrink(data, _genuine(estimator, data, fall))
            return Finding(
                False, f"one more win of item {item} over {extra.menu[0].tolist()} lowers it by {worst:.2g}; {small}"
            )
    return Finding(True, f"one more win of each of {data.items.n} items lowers none")


def _fall(estimator: Estimator, before: np.ndarray, after: np.ndarray, item: int) -> float:
    """How far ``item`` falls against the one that overtakes it most; of a score, only where the order turns."""
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        return float("inf")
    was, now = before[item] - before, after[item] - after
    if "score" in estimator.tags:
        scale = max(float(np.abs(after).max()), 1e-300)
        return float(np.where(was >= 0, -now / scale, 0.0).max())
    return float((was - now).max())


@check(
    kinds=("pairwise", "choice", "ranking"),
    without={
        "score": "a score depends on who else was compared",
        "sequential": "reads rows in order by design",
        "regularised": "a penalty pulls differently with fewer items",
    },
)
def check_subset_consistency(estimator: Estimator, seed: int) -> Finding:
    """On noiseless Luce data, leaving items out does not change the differences among the rest.

    Independence of irrelevant alternatives (Luce 1959). Deterministic.
    """
    worths = (1, 2, 3, 4, 2)
    whole, _ = exact_dataset(estimator.kind, worths)
    part, _ = exact_dataset(estimator.kind, worths[:4])
    a, b = estimator(whole)[:4], estimator(part)
    distance = _same(estimator, a - a.mean(), b)
    data = f"; data: datasets.exact_dataset({estimator.kind!r}, {worths}) and {worths[:4]}"
    good = distance <= estimator.tolerance
    return Finding(good, f"item 4 left out: largest difference {distance:.2g}{'' if good else data}")
