"""Claims and their verdicts.

A claim says that a quantity lies in a region (a number within a tolerance, at least, at most, in this order). Its
verdict compares the region with the estimate's interval and with nothing else:

``supported``      every point of the interval lies in the region;
``contradicted``   no point of the interval lies in the region;
``inconclusive``   some do and some do not, or the estimate is not known (a cell failed, a value is not a number);
``not judged``     the same at a preset that is too small to decide, or that leaves the claim's cells out (see
                   :class:`annosim.study.Preset`): a larger preset judges it.

So a wider interval can only turn a decided claim into an inconclusive one, and never the other way round.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from annosim.errors import AbsentCellError, ArgumentError, StudyError
from annosim.study.attribution import Attribution
from annosim.study.estimates import Estimate, Measured, exact
from annosim.study.messages import FAILURES, one_line

if TYPE_CHECKING:
    from annosim.study.outcome import Outcome

__all__ = ["Claim", "Judgement", "Statement", "at_least", "at_most", "equal", "every", "increasing", "inside", "true"]

Verdict = Literal["supported", "contradicted", "inconclusive", "not judged"]
#: All verdicts, in the order in which they are counted.
VERDICTS: tuple[Verdict, ...] = ("supported", "contradicted", "inconclusive", "not judged")


@dataclass(frozen=True)
class Judgement:
    """What a helper such as :func:`equal` says of an estimate: the expectation in words, the estimate, the verdict.

    Example:
        >>> at_most(2.0, 3.0)
        Judgement(expected='at most 3', value=2.0, low=2.0, high=2.0, verdict='supported', reason='exact')
    """

    expected: str
    value: float
    low: float
    high: float
    verdict: Verdict
    reason: str = ""
    #: whether the preset has no cell that the judge asked for
    absent: bool = field(default=False, repr=False)

    @property
    def known(self) -> bool:
        """Whether value and interval are numbers."""
        return not any(math.isnan(x) for x in (self.value, self.low, self.high))


@dataclass(frozen=True)
class Claim:
    """A statement of a source, what was found, and the verdict.

    Attributes:
        id: short name, unique in its study.
        statement: the claim in one sentence.
        source: where it is stated (paper, section, figure, theorem).
        expected: what the source says, in words and numbers.
        value, low, high: the estimate and its interval.
        verdict: ``supported | contradicted | inconclusive | not judged``.
        reason: why it is inconclusive, or how the interval was made.
        whose: the paper's, the study's own, a control or a baseline.
        figure: name of the figure that shows it, if any.

    Example:
        >>> from annosim.study import CONTROL
        >>> where = ("C1", "it converges", "theorem 2", "at most 3")
        >>> claim = Claim(*where, 2.0, 1.0, float("inf"), "inconclusive", whose=CONTROL)
        >>> claim.as_json()["high"], claim.as_json()["whose"]
        (None, 'control')
    """

    id: str
    statement: str
    source: str
    expected: str
    value: float
    low: float
    high: float
    verdict: Verdict
    reason: str = ""
    figure: str = ""
    whose: Attribution = field(kw_only=True)

    def as_json(self) -> dict[str, str | float | None]:
        """A dict for ``claims.json``: numbers that are not finite become null (JSON has no infinity)."""
        flat = asdict(self) | {"whose": self.whose.group, "read": self.whose.read}
        return {k: _finite_or_none(v) for k, v in flat.items()}


@dataclass(frozen=True)
class Statement:
    """A claim before it is judged.

    The judge is called by itself when all cells are done. If it asks for a cell that failed or was skipped, this claim
    (and no other) becomes ``inconclusive`` with that reason; a claim never vanishes from the report.

    Attributes:
        id: short name, unique in its study.
        text: the claim in one sentence.
        source: where it is stated.
        judge: ``judge(outcome) -> Judgement``, usually one of :func:`equal`, :func:`at_least`, :func:`at_most`,
            :func:`increasing`, :func:`every` on an estimate taken from the outcome.
        expected: the expectation in words; needed only to say it when the claim cannot be judged.
        whose: the paper's (:func:`paper_says`), the study's own (:data:`STUDY_ADDS`), a :data:`CONTROL`, or a
            :data:`BASELINE`. There is no default: whoever writes a claim down says whose it is.
        figure: name of the figure that shows it; the report prints the claim below that figure.

    Example:
        >>> from annosim.study import CONTROL
        >>> two = Statement("C1", "two is at most three", "arithmetic", lambda outcome: at_most(2, 3), whose=CONTROL)
        >>> claim = two.decide(None)
        >>> claim.verdict, claim.expected
        ('supported', 'at most 3')
    """

    id: str
    text: str
    source: str
    judge: Callable[[Outcome], Judgement]
    expected: str = ""
    figure: str = ""
    whose: Attribution = field(kw_only=True)

    def decide(self, outcome: Outcome, decisive: bool = True) -> Claim:
        """The claim with its verdict; a judge that fails makes it inconclusive and says why.

        Args:
            outcome: what the run found.
            decisive: whether the preset is meant to decide every claim. Where it is not, a claim that the interval
                leaves open, or whose cells the preset leaves out, is not judged instead of inconclusive.
        """
        found = self._judged(outcome)
        if not decisive and found.verdict == "inconclusive" and (found.known or found.absent):
            found = replace(found, verdict="not judged", reason=f"not judged at this preset: {found.reason}")
        return Claim(
            self.id,
            self.text,
            self.source,
            self.expected or found.expected,
            found.value,
            found.low,
            found.high,
            found.verdict,
            found.reason,
            self.figure,
            whose=self.whose,
        )

    def _judged(self, outcome: Outcome) -> Judgement:
        try:
            found = self.judge(outcome)
            if not isinstance(found, Judgement):
                raise StudyError(
                    f"its judge returned {type(found).__name__}; return equal(...), at_least(...) or alike"
                )
        except FAILURES as error:  # a judge is the study's code: whatever it raises is this claim's reason
            absent = isinstance(error, AbsentCellError)
            return Judgement(self.expected, math.nan, math.nan, math.nan, "inconclusive", one_line(error), absent)
        return found


def inside(estimate: Measured, low: float, high: float, expected: str = "") -> Judgement:
    """Judge that a quantity lies in the closed region ``[low, high]``; either end may be infinite.

    Raises:
        ArgumentError: ``low`` above ``high``, or not a number.

    Example:
        >>> inside(Estimate(0.5, 0.4, 0.6), 0.45, 1.0).verdict
        'inconclusive'
    """
    if not low <= high:
        raise ArgumentError(f"inside: the region [{low}, {high}] is empty; pass low <= high")
    found = estimate if isinstance(estimate, Estimate) else exact(estimate)
    expected = expected or f"between {low:g} and {high:g}"
    if not found.known:
        return Judgement(expected, found.value, found.low, found.high, "inconclusive", "the estimate is not a number")
    verdict: Verdict = "inconclusive"
    if low <= found.low and found.high <= high:
        verdict = "supported"
    elif found.high < low or high < found.low:
        verdict = "contradicted"
    return Judgement(expected, found.value, found.low, found.high, verdict, _how(found))


def equal(estimate: Measured, target: float, within: float) -> Judgement:
    """Judge that a quantity equals ``target`` within a tolerance: an equivalence test by interval inclusion.

    Args:
        estimate: an :class:`Estimate`, or a number without sampling error.
        target: the expected value.
        within: the tolerance, in the quantity's own unit, at least 0.

    Raises:
        ArgumentError: a negative tolerance.

    Example:
        >>> equal(0.6441, 0.6444, within=1e-3).verdict
        'supported'
        >>> equal(Estimate(0.6, 0.5, 0.7), 0.6444, within=1e-3).verdict
        'inconclusive'
    """
    if not within >= 0:
        raise ArgumentError(f"equal: within={within}; a tolerance is zero or positive")
    return inside(estimate, target - within, target + within, f"{target:g} within {within:g}")


def at_least(estimate: Measured, bound: float) -> Judgement:
    """Judge that a quantity is at least ``bound``.

    Example:
        >>> at_least(Estimate(0.5, 0.4, 0.6), 0.7).verdict
        'contradicted'
    """
    return inside(estimate, bound, math.inf, f"at least {bound:g}")


def at_most(estimate: Measured, bound: float) -> Judgement:
    """Judge that a quantity is at most ``bound``.

    Example:
        >>> at_most(Estimate(0.5, 0.4, 0.6), 0.7).verdict
        'supported'
    """
    return inside(estimate, -math.inf, bound, f"at most {bound:g}")


def increasing(estimates: Sequence[Measured], labels: Sequence[str] = ()) -> Judgement:
    """Judge that quantities stand in strictly increasing order, each interval against the next one.

    Supported when every interval ends before the next begins; contradicted when some interval begins at or after the
    end of the next. The value reported is the smallest step, with ``next.low - this.high`` as the lower end of its
    interval and ``next.high - this.low`` as the upper end.

    Raises:
        ArgumentError: fewer than two estimates.

    Example:
        >>> increasing([1.0, 2.0, 4.0], ["DPO", "IPO", "SLiC"]).expected
        'DPO < IPO < SLiC'
        >>> increasing([Estimate(1, 0, 2), Estimate(1.5, 1, 3)]).verdict
        'inconclusive'
    """
    found = [e if isinstance(e, Estimate) else exact(e) for e in estimates]
    if len(found) < 2:
        raise ArgumentError(f"increasing: {len(found)} estimate(s); an order needs at least two")
    expected = " < ".join(labels) if labels else "strictly increasing"
    if not all(e.known for e in found):
        return Judgement(expected, math.nan, math.nan, math.nan, "inconclusive", "an estimate is not a number")
    steps = [(b.value - a.value, b.low - a.high, b.high - a.low) for a, b in zip(found, found[1:], strict=False)]
    verdict: Verdict = "inconclusive"
    if all(low > 0 for _, low, _ in steps):
        verdict = "supported"
    elif any(high <= 0 for _, _, high in steps):
        verdict = "contradicted"
    value, low, high = min(steps)
    return Judgement(expected, value, low, high, verdict, f"smallest step; {_how(found[0])}")


def true(condition: bool, expected: str) -> Judgement:
    """Judge a fact that is decided without error (a theorem's condition, the number of modes of an exact density).

    Example:
        >>> true(1 + 1 == 2, "one and one make two").verdict
        'supported'
    """
    value = float(bool(condition))
    return Judgement(expected, value, value, value, "supported" if condition else "contradicted", "exact")


def every(judgements: Sequence[Judgement], expected: str = "") -> Judgement:
    """Judge several at once: supported if all are, contradicted if any is, inconclusive otherwise.

    The numbers are those of the first that is not supported (of the first, if all are).

    Raises:
        ArgumentError: no judgements.

    Example:
        >>> every([at_most(1, 2), at_most(3, 2)]).verdict
        'contradicted'
    """
    if not judgements:
        raise ArgumentError("every: no judgements; a claim about nothing cannot be judged")
    verdicts = [j.verdict for j in judgements]
    verdict: Verdict = "supported"
    if "contradicted" in verdicts:
        verdict = "contradicted"
    elif "inconclusive" in verdicts:
        verdict = "inconclusive"
    shown = judgements[verdicts.index(verdict)]
    expected = expected or "; ".join(dict.fromkeys(j.expected for j in judgements))
    reason = (
        f"{verdicts.count('supported')} of {len(verdicts)} parts supported; shown: {shown.expected}; {shown.reason}"
    )
    return Judgement(expected, shown.value, shown.low, shown.high, verdict, reason)


def _how(found: Estimate) -> str:
    return f"{found.method}, n={found.n}" if found.n else found.method


def _finite_or_none(value: str | float) -> str | float | None:
    return None if isinstance(value, float) and not math.isfinite(value) else value
