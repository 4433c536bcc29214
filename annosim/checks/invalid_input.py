"""Checks of invalid input: data without an estimate must be refused, or answered with a warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from annosim.checks.datasets import components, disconnected_dataset, random_dataset, undefeated_dataset
from annosim.checks.estimator import Estimator
from annosim.checks.registry import Finding, check
from annosim.checks.shrinking import as_code, smallest
from annosim.data.preferences import PreferenceData
from annosim.errors import AnnosimError
from annosim.populations.annotator import Annotator
from annosim.rules.luce import Luce
from annosim.utilities.linear import Linear

__all__ = [
    "check_refuses_disconnected",
    "check_refuses_nan",
    "check_refuses_separable",
    "check_refuses_undefeated",
    "check_single_annotator",
]

_FINITE = {
    "regularised": "a penalty makes the estimate exist",
    "score": "a score exists on any data",
    "sequential": "a running score exists on any data",
}


#: Errors of a program, not of its data: whoever raises one has not refused anything.
_CRASHES = (
    AttributeError,
    ImportError,
    IndexError,
    KeyError,
    NameError,
    NotImplementedError,
    RecursionError,
    TypeError,
)


def outcome(call: Callable[[], object]) -> tuple[str, object]:
    """``("crashed" | "raised" | "warned" | "flagged" | "returned", detail)`` of a call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = call()
        except AnnosimError as error:
            return "raised", _named(error)
        except _CRASHES as error:
            return "crashed", _named(error)
        except Exception as error:  # any other error counts, whatever class the estimator's package uses
            return "raised", _named(error)
    warned = [w for w in caught if not issubclass(w.category, DeprecationWarning | PendingDeprecationWarning)]
    if warned:
        return "warned", f"{warned[0].category.__name__}: {str(warned[0].message).splitlines()[0]}"
    if getattr(result, "converged", True) is False:
        return "flagged", "converged=False"
    return "returned", result


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def _crash(estimator: Estimator, what: str, kind: str, detail: object) -> Finding | None:
    """The finding where a refusal is none: the estimator crashes, here or on lawful data, too."""
    if kind == "crashed":
        return Finding(False, f"{what}: crashed with {detail}; a refusal says what is wrong with the data")
    if kind == "raised":
        lawful, said = outcome(lambda: estimator.raw(random_dataset(estimator.kind, rows=400, seed=0)))
        if lawful in ("raised", "crashed"):
            return Finding(False, f"{what}: {detail}; but lawful data end in {said}, too")
    return None


def _refuses(estimator: Estimator, data: PreferenceData, what: str) -> Finding:
    kind, detail = outcome(lambda: estimator.raw(data))
    if crash := _crash(estimator, what, kind, detail):
        return crash
    if kind != "returned":
        return Finding(True, f"{what}: {kind} ({detail})")
    u = estimator.read(detail, data)
    if not np.isfinite(u).all():
        return Finding(True, f"{what}: returned non-finite utilities {np.round(u, 3).tolist()}")

    shape = components(data)

    def silent(d: PreferenceData) -> bool:
        """A finite answer without a warning, on data that lack an estimate for the same reason as before."""
        if estimator.kind != "reward" and components(d) != shape:
            return False
        kind, result = outcome(lambda: estimator.raw(d))
        return kind == "returned" and bool(np.isfinite(estimator.read(result, d)).all())

    small = smallest(data, silent, budget=120)
    u = estimator(small)
    return Finding(False, f"{what}: returned {np.round(u, 3).tolist()} without a warning; {as_code(small)}")


@check(kinds=("pairwise", "choice", "ranking", "ties"), without=_FINITE)
def check_refuses_undefeated(estimator: Estimator, seed: int) -> Finding:
    """An item that is never beaten has no finite maximum-likelihood utility: raise, warn, flag, or return infinity.

    Ford (1957): the estimate exists if and only if the graph of wins is strongly connected. Deterministic.
    """
    return _refuses(estimator, undefeated_dataset(estimator.kind), "item 0 is undefeated")


@check(kinds=("pairwise", "choice", "ranking", "ties"), without=_FINITE)
def check_refuses_disconnected(estimator: Estimator, seed: int) -> Finding:
    """Two groups of items that are never compared with one another cannot be put on one scale: say so.

    Deterministic.
    """
    return _refuses(estimator, disconnected_dataset(estimator.kind), "items {0,1,2} never meet {3,4,5}")


@check(kinds=("reward",), without=_FINITE)
def check_refuses_separable(estimator: Estimator, seed: int) -> Finding:
    """When a linear reward explains every answer, the maximum-likelihood weights are infinite: say so.

    Albert and Anderson (1984). Deterministic.
    """
    data = random_dataset("reward", rows=80, seed=seed)
    truth = Annotator(Linear([1.0, -0.5]), Luce())
    u = truth.index(data.items).detach().numpy()
    answer = (u[data.menu[:, 1]] > u[data.menu[:, 0]]).astype(np.int8)
    return _refuses(estimator, data.with_(answer=answer), "every answer follows one linear reward")


@check(kinds=("mixture",), without={"regularised": "a prior makes the estimate exist"})
def check_single_annotator(estimator: Estimator, seed: int) -> Finding:
    """One annotator says nothing of the shares of several types: say so.

    Deterministic.
    """
    data = random_dataset("mixture", rows=400, seed=seed)
    one = data.with_(annotator=np.zeros(data.rows, np.int32), order=None)
    kind, detail = outcome(lambda: estimator.raw(one))
    if crash := _crash(estimator, "all rows from one annotator", kind, detail):
        return crash
    if kind != "returned":
        return Finding(True, f"all rows from one annotator: {kind} ({detail})")
    small = smallest(one, lambda d: outcome(lambda: estimator.raw(d))[0] == "returned", budget=12)
    return Finding(False, f"all rows from one annotator: returned in silence; {as_code(small)}")


@check()
def check_refuses_nan(estimator: Estimator, seed: int) -> Finding:
    """NaN weights, and data without rows, are refused; they are never averaged into the answer.

    :class:`PreferenceData` refuses both itself, so the estimator's adapter is handed an object that bypassed the
    constructor. Deterministic.
    """
    data = random_dataset(estimator.kind, rows=60, seed=seed)
    kind = "not asked (a prior, or a score, answers without data)"
    if not estimator.tags & {"regularised", "score"}:
        none = lambda v: None if v is None else v[:0]  # noqa: E731
        empty = _unchecked(
            data,
            menu=data.menu[:0],
            answer=data.answer[:0],
            tied=none(data.tied),
            annotator=none(data.annotator),
            order=None,
            truth={},
        )
        kind, detail = outcome(lambda: estimator.raw(empty))
        if crash := _crash(estimator, "data without rows", kind, detail):
            return crash
        if kind == "returned" and np.isfinite(np.asarray(_safe_read(estimator, detail, empty))).all():
            return Finding(False, f"data without rows: returned {detail!r}")
    if "weights" not in estimator.tags:
        return Finding(True, f"data without rows: {kind}")
    weight = np.ones(data.rows)
    weight[0] = np.nan
    bad = _unchecked(data, weight=weight)
    kind, detail = outcome(lambda: estimator.raw(bad))
    if crash := _crash(estimator, "a weight of NaN", kind, detail):
        return crash
    silent = kind == "returned" and np.isfinite(_safe_read(estimator, detail, bad)).all()
    return Finding(not silent, f"a weight of NaN: {kind}")


def _safe_read(estimator: Estimator, result: object, data: PreferenceData) -> np.ndarray:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(estimator.read(result, data))


def _unchecked(data: PreferenceData, **changes: object) -> PreferenceData:
    other = object.__new__(PreferenceData)
    other.__dict__.update(data.__dict__ | changes)
    return other
