"""The list of checks, and what decides whether one applies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from annosim.checks.estimator import KINDS, Estimator

__all__ = ["CHECKS", "Check", "Finding", "NotApplicable", "check"]


class NotApplicable(Exception):  # noqa: N818 - a verdict, not an error: it never leaves the runner
    """Raised by a check that finds that it cannot be asked here, with the reason."""


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        holds: the law held.
        evidence: the numbers, and for a failure data that show it.
        p_value: for a statistical check; it holds when this is at least the level that the run allots to it.
    """

    holds: bool
    evidence: str
    p_value: float | None = None


@dataclass(frozen=True)
class Check:
    """A law as code.

    Attributes:
        name: ``check_<law>``.
        run: ``run(estimator, seed) -> Finding``.
        kinds: kinds of estimator to which it applies.
        without: tags of an estimator that switch it off, each with the reason.
        needs: tags without which it does not apply.
        statistical: returns a p-value.
    """

    name: str
    run: Callable[[Estimator, int], Finding]
    kinds: frozenset[str]
    without: tuple[tuple[str, str], ...]
    needs: tuple[str, ...]
    statistical: bool

    @property
    def law(self) -> str:
        """First sentence of the docstring."""
        return (self.run.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")

    def applies(self, estimator: Estimator) -> tuple[bool, str]:
        """Whether the law applies, and if not, why."""
        if estimator.kind not in self.kinds:
            return False, f"not a law of {estimator.kind} estimators"
        for tag in self.needs:
            if tag not in estimator.tags:
                return False, f"needs the tag {tag!r}"
        for tag, reason in self.without:
            if tag in estimator.tags:
                return False, reason
        return True, ""


#: A check: an estimator and a seed give a finding.
Law: TypeAlias = Callable[[Estimator, int], Finding]

CHECKS: dict[str, Check] = {}


def check(
    *,
    kinds: Iterable[str] = KINDS,
    without: dict[str, str] | None = None,
    needs: Iterable[str] = (),
    statistical: bool = False,
) -> Callable[[Law], Law]:
    """Register ``check_<law>(estimator, seed) -> Finding``."""

    def register(function: Law) -> Law:
        CHECKS[function.__name__] = Check(
            function.__name__, function, frozenset(kinds), tuple((without or {}).items()), tuple(needs), statistical
        )
        return function

    return register
