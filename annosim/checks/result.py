"""Results of checks: a name, a status, a p-value where the law is about chance, and the evidence."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from annosim.errors import ArgumentError, CheckFailedError
from annosim.results import Result

__all__ = ["STATUSES", "CheckReport", "CheckResult"]

STATUSES = ("passed", "failed", "not_applicable", "expected_failure")


@dataclass(frozen=True)
class CheckResult:
    """Outcome of one check.

    Attributes:
        name: of the check, ``check_<law>``.
        status: ``passed``, ``failed``, ``not_applicable`` or ``expected_failure``.
        p_value: of a statistical check (its null: the estimator obeys the law), else ``None``.
        evidence: one paragraph: what was found, with the numbers; for a failure, data that show it.
        law: the first sentence of the check's docstring.

    Example:
        >>> CheckResult("check_normalisation", "passed", evidence="largest difference 1e-15")
        CheckResult(check_normalisation: passed; largest difference 1e-15)
    """

    name: str
    status: str
    p_value: float | None = None
    evidence: str = ""
    law: str = ""

    def __repr__(self) -> str:
        p = "" if self.p_value is None else f", p={self.p_value:.2g}"
        return f"CheckResult({self.name}: {self.status}{p}; {self.evidence})"


@dataclass(frozen=True, eq=False, repr=False)
class CheckReport(Result):
    """All results of one estimator, in the order in which they ran; a sequence of :class:`CheckResult`.

    Attributes:
        estimator: its name.
        results: one per check; ``report["check_normalisation"]`` finds one by name.

    Example:
        >>> report = CheckReport("mine", [CheckResult("check_normalisation", "passed"), CheckResult("check_dtypes", "failed")])
        >>> report.passed, [r.name for r in report.failed], report["check_normalisation"].status
        (False, ['check_dtypes'], 'passed')
    """

    estimator: str
    results: list[CheckResult] = field(default_factory=list)

    def __iter__(self) -> Iterator[CheckResult]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, name: str | int) -> CheckResult:
        """A result by the check's name, or by position.

        Raises:
            ArgumentError: no check of that name ran.
        """
        if isinstance(name, int):
            return self.results[name]
        found = next((r for r in self.results if r.name == name), None)
        if found is None:
            raise ArgumentError(f"no check {name!r} in this report; it has {', '.join(r.name for r in self.results)}")
        return found

    @property
    def failed(self) -> list[CheckResult]:
        """The results that failed unexpectedly."""
        return [r for r in self.results if r.status == "failed"]

    @property
    def passed(self) -> bool:
        """No check failed unexpectedly."""
        return not self.failed

    def concluded(self, raise_on_failure: bool = True) -> CheckReport:
        """The report itself, if nothing failed or nobody asked to raise.

        Raises:
            CheckFailedError: a check failed unexpectedly, and ``raise_on_failure``.
        """
        if raise_on_failure and self.failed:
            raise CheckFailedError(self.failures(), self)
        return self

    def failures(self) -> str:
        """What failed, and the evidence, in one line."""
        said = "; ".join(f"{r.name} ({_short(r.evidence)})" for r in self.failed)
        return f"{self.estimator}: {len(self.failed)} of {len(self.results)} checks failed: {said}"

    def table(self) -> pd.DataFrame:
        """One row a check: name, status, p-value, evidence."""
        return pd.DataFrame(
            [(r.name, r.status, r.p_value, r.evidence, r.law) for r in self.results],
            columns=["check", "status", "p_value", "evidence", "law"],
        )

    def _title(self) -> str:
        counts = {s: sum(r.status == s for r in self.results) for s in STATUSES}
        return f"{self.estimator}: " + ", ".join(f"{n} {s.replace('_', ' ')}" for s, n in counts.items() if n)

    def _lines(self) -> list[tuple[str, Any]]:
        return [(r.name, _line(r)) for r in self.results]

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(r.name)}</td><td>{r.status.replace('_', ' ')}</td>"
            f"<td>{'' if r.p_value is None else f'{r.p_value:.2g}'}</td>"
            f"<td><pre style='white-space:pre-wrap;margin:0'>{html.escape(r.evidence)}</pre></td></tr>"
            for r in self.results
        )
        head = "".join(f"<th>{name}</th>" for name in ("check", "status", "p", "evidence"))
        title = html.escape(self._title())
        return f"<table><caption>{title}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _short(text: str, most: int = 160) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3] + "..."


def _line(r: CheckResult) -> str:
    p = "" if r.p_value is None else f" (p={r.p_value:.2g})"
    return f"{r.status}{p}" + (f": {r.evidence}" if r.evidence and r.status != "passed" else "")
