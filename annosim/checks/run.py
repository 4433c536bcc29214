"""``check_estimator`` and the pytest parametrisation."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from annosim.checks import api_contract, invalid_input, recovery, symmetries
from annosim.checks.adapt import line_of
from annosim.checks.estimator import Estimator, as_estimator
from annosim.checks.registry import CHECKS, Check, Finding, NotApplicable
from annosim.checks.result import CheckReport, CheckResult
from annosim.errors import ArgumentError
from annosim.execution.current import engine
from annosim.execution.executor import ThisProcess
from annosim.execution.tasks import run_tasks
from annosim.results import versions

__all__ = ["CHECKS", "MODULES", "check_estimator", "checks_for", "parametrize_with_checks", "run_check"]

Test = TypeVar("Test", bound=Callable[..., object])
#: What registers the checks: a module here has been imported.
MODULES = (api_contract, invalid_input, recovery, symmetries)
#: False alarms of one whole run: the level is split evenly over the statistical checks (union bound).
LEVEL = 1e-6


def check_estimator(
    estimator: Callable[..., object] | Estimator,
    *,
    kind: str | None = None,
    tags: Iterable[str] = (),
    returns: str | None = None,
    tolerance: float | None = None,
    expected_failed_checks: Mapping[str, str] | None = None,
    only: Iterable[str] | None = None,
    statistical: bool = True,
    seed: int = 0,
    name: str | None = None,
    raise_on_failure: bool = True,
) -> CheckReport:
    """Ask whether an estimator obeys the laws of the data that it is meant for.

    Args:
        estimator: ``f(data) -> utilities (n_items,)``; see :class:`~annosim.checks.estimator.Estimator`.
        kind: ``pairwise | choice | ranking | ties | mixture | reward``; ``pairwise`` by default (an estimator that was
            wrapped already, by an adapter or :func:`as_estimator`, keeps its own).
        tags: what it declares (:data:`~annosim.checks.estimator.TAGS`); they decide which laws apply.
        returns: ``utilities`` (default), ``population`` or ``probabilities``.
        tolerance: how far two utilities may differ that a law says are equal; 1e-4 by default.
        expected_failed_checks: ``{check name: reason}``; such a failure is reported as ``expected_failure``.
        only: names of the checks to run; all by default.
        statistical: also run the checks with p-values (they cost many calls).
        seed: of all data that are drawn.
        name: for the report.
        raise_on_failure: raise when a check fails, so that the call is a test by itself; ``False`` returns the
            evidence whatever it says.

    Returns:
        A :class:`CheckReport`, one result per check, with evidence.

    Raises:
        CheckFailedError: a check failed that was not expected to; its ``report`` has all results.
        ArgumentError: an unknown kind, tag or check name.

    Example:
        >>> from annosim.checks import check_estimator
        >>> import numpy as np
        >>> def left_wins(data):  # counts what stands on the left, whoever won
        ...     return np.bincount(data.menu[:, 0], minlength=data.items.n).astype(float)
        >>> report = check_estimator(left_wins, tags={"score"}, statistical=False, raise_on_failure=False)
        >>> report["check_swapping_sides"].status
        'failed'
    """
    wrapped = as_estimator(estimator, kind, tags, returns, tolerance, name)
    expected = dict(expected_failed_checks or {})
    wanted = list(CHECKS) if only is None else list(only)
    for unknown in [c for c in [*wanted, *expected] if c not in CHECKS]:
        raise ArgumentError(f"check {unknown!r} is unknown; the checks are {', '.join(CHECKS)}")
    names = [c for c in wanted if statistical or not CHECKS[c].statistical]
    with engine(ThisProcess) as executor:
        results = run_tasks(_run_named, (wrapped, seed, expected), names, executor)
    used = {"kind": wrapped.kind, "tags": sorted(wrapped.tags), "version": wrapped.version}
    settings = {**used, "seed": seed, "tolerance": wrapped.tolerance, **versions()}
    return CheckReport(estimator=wrapped.name, results=results, settings=settings).concluded(raise_on_failure)


def _run_named(common: tuple[Estimator, int, dict[str, str]], name: str) -> CheckResult:
    """One check by its name, on whatever worker."""
    estimator, seed, expected = common
    return run_check(CHECKS[name], estimator, seed, expected.get(name))


def run_check(check: Check, estimator: Estimator, seed: int = 0, expected: str | None = None) -> CheckResult:
    """Run one check and judge it; an exception of the estimator is a failure with its message as evidence."""
    applies, reason = check.applies(estimator)
    if not applies:
        return CheckResult(check.name, "not_applicable", None, reason, check.law)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            finding = check.run(estimator, seed)
    except NotApplicable as error:
        return CheckResult(check.name, "not_applicable", None, str(error), check.law)
    except Exception as error:  # the estimator is foreign code: whatever it raises on lawful data is the finding
        text = str(error).splitlines()[0] if str(error) else ""
        finding = Finding(False, f"raised {type(error).__name__} on lawful data: {line_of(error)}{text}")
    holds = finding.holds
    if finding.p_value is not None:
        count = sum(c.statistical for c in CHECKS.values())
        holds = holds and finding.p_value >= LEVEL / count
    status = "passed" if holds else ("failed" if expected is None else "expected_failure")
    word = "expected to fail, but holds" if holds else "expected"
    evidence = finding.evidence if expected is None else f"{word} ({expected}): {finding.evidence}"
    return CheckResult(check.name, status, finding.p_value, evidence, check.law)


def checks_for(estimator: Estimator) -> list[Check]:
    """The checks that apply to an estimator.

    Example:
        >>> from annosim.checks import as_estimator
        >>> mine = as_estimator(lambda data: data.items.n * [0.0], kind="mixture")
        >>> [c.name for c in checks_for(mine) if "type" in c.name]
        ['check_dtypes', 'check_types_recovered', 'check_type_relabelling']
    """
    return [c for c in CHECKS.values() if c.applies(estimator)[0]]


def parametrize_with_checks(
    estimators: Iterable[Estimator | Callable[..., object]],
    *,
    expected_failed_checks: Mapping[str, Mapping[str, str]] | None = None,
) -> Callable[[Test], Test]:
    """A pytest decorator: one test per estimator and applicable check, generated lazily.

    The test calls ``check(estimator)``, which raises where the law does not hold, as in scikit-learn.

    Args:
        estimators: wrapped by :func:`as_estimator` where they are plain functions.
        expected_failed_checks: ``{estimator name: {check name: reason}}``; these become strict expected failures.

    Example:
        >>> from annosim.checks import as_estimator, parametrize_with_checks
        >>> mine = as_estimator(lambda data: data.menu[:, 0].astype(float), name="mine")
        >>> @parametrize_with_checks([mine])
        ... def test_my_estimator(estimator, check):
        ...     check(estimator)
    """
    import pytest

    reasons = expected_failed_checks or {}
    cases = []
    for one in map(as_estimator, estimators):
        for check in checks_for(one):
            reason = reasons.get(one.name, {}).get(check.name)
            marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
            cases.append(pytest.param(one, _Bound(check), id=f"{one.name}-{check.name}", marks=marks))
    return pytest.mark.parametrize(("estimator", "check"), cases)


class _Bound:
    """``check(estimator) -> CheckResult``, for use inside a test: a law that does not hold raises
    :class:`~annosim.errors.CheckFailedError`, and what cannot be asked on this machine is skipped."""

    def __init__(self, check: Check):
        self.check = check

    def __call__(self, estimator: Estimator, seed: int = 0) -> CheckResult:
        result = run_check(self.check, estimator, seed)
        if result.status == "not_applicable":
            import pytest

            pytest.skip(result.evidence)
        CheckReport(estimator=estimator.name, results=[result]).concluded()
        return result
