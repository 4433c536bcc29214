"""Claims and their verdicts.

A claim says that a quantity lies in a region (a number within a tolerance, at least, at most, in this order). Its
verdict compares the region with the estimate's interval and with nothing else:

``supported``      every point of the interval lies in the region;
``contradicted``   no point of the interval lies in the region;
``inconclusive``   some do and some do not, or the estimate is not known (a cell failed, a value is not a number);
``not judged``     the same at a preset that is too small to decide, or that leaves the claim's cells out (see
                   :class:`annosim.study.Preset`): a larger preset judges it. Or the claim rests on a condition that is
                   not fulfilled (:func:`provided`).

So a wider interval can only turn a decided claim into an inconclusive one, and never the other way round.

A claim about several quantities (:func:`every`, :func:`increasing`) errs no more often than a claim about one. It is
*supported* when every part is, at 95 %: to support a false claim its false part must be supported, so no correction is
due (intersection-union test; Berger 1982, Technometrics 24, 295). It is *contradicted* when some part is, and with m
parts there are m occasions to be wrong: each must be contradicted by an interval of 1 - .05/m (Bonferroni). Parts
without sampling error do not count among the m.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from annosim.errors import AbsentCellError, ArgumentError, StudyError
from annosim.reporting.numbers import format_interval, format_number
from annosim.study.attribution import Attribution
from annosim.study.estimates import LEVEL, Estimate, Measured, exact
from annosim.study.messages import FAILURES, one_line

if TYPE_CHECKING:
    from annosim.study.outcome import Outcome

__all__ = [
    "Claim",
    "Judgement",
    "Statement",
    "at_least",
    "at_most",
    "equal",
    "every",
    "increasing",
    "inside",
    "provided",
    "true",
    "worded",
]

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
    #: what was found, in words, where one number does not say it: all numbers of several, or a fact
    found: str = field(default="", repr=False)
    #: how many comparisons in it have sampling error, and so can be wrong
    risks: int = field(default=0, repr=False, compare=False)
    #: the same judged with intervals of another level
    again: Callable[[float], Judgement] | None = field(default=None, repr=False, compare=False)

    @property
    def known(self) -> bool:
        """Whether value and interval are numbers."""
        return not any(math.isnan(x) for x in (self.value, self.low, self.high))

    def at(self, level: float) -> Judgement:
        """The same, judged with intervals of this level (never narrower than they are)."""
        return self if self.again is None else self.again(level)

    def __str__(self) -> str:
        return self.found or format_interval(self.value, self.low, self.high)


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
        found: what was found as a page prints it: the estimate with its interval, or all numbers of a claim that
            compares several.

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
    found: str = ""
    whose: Attribution = field(kw_only=True)

    def __post_init__(self) -> None:
        if not self.found:
            object.__setattr__(self, "found", format_interval(self.value, self.low, self.high))

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
            str(found),
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
    again = None if found.certain else lambda level: inside(found.at(level), low, high, expected)
    risks = int(not found.certain)
    return Judgement(expected, found.value, found.low, found.high, verdict, _how(found), risks=risks, again=again)


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
    expected = f"{target:g} within {within:g}" if within else f"exactly {target:g}"
    return inside(estimate, target - within, target + within, expected)


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
    end of the next, with intervals of 1 - .05/m for m steps. The value is the smallest step, with ``next.low -
    this.high`` as the lower end of its interval and ``next.high - this.low`` as the upper end; ``found`` has all
    quantities.

    Raises:
        ArgumentError: fewer than two estimates, or another number of labels.

    Example:
        >>> found = increasing([1.0, 2.0, 4.0], ["DPO", "IPO", "SLiC"])
        >>> found.expected, found.found
        ('DPO < IPO < SLiC', 'DPO 1, IPO 2, SLiC 4')
        >>> increasing([Estimate(1, 0, 2), Estimate(1.5, 1, 3)]).verdict
        'inconclusive'
    """
    found = [e if isinstance(e, Estimate) else exact(e) for e in estimates]
    if len(found) < 2:
        raise ArgumentError(f"increasing: {len(found)} estimate(s); an order needs at least two")
    if labels and len(labels) != len(found):
        raise ArgumentError(f"increasing: {len(labels)} labels for {len(found)} estimates; pass one for each")
    steps = sum(not (a.certain and b.certain) for a, b in zip(found, found[1:], strict=False))
    told = _in_order(found, labels)
    if told.verdict != "contradicted" or steps <= 1:
        return replace(told, risks=steps, again=lambda level: _in_order([e.at(level) for e in found], labels))
    return replace(
        _in_order([e.at(_shared(steps)) for e in found], labels),
        risks=steps,
        again=lambda level: _in_order([e.at(level) for e in found], labels),
    )


def _in_order(found: Sequence[Estimate], labels: Sequence[str]) -> Judgement:
    """The order judged with the intervals as they are."""
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
    names = [f"{label} " for label in labels] or [""] * len(found)
    numbers = [f"{n}{e}" for n, e in zip(names, found, strict=True)]
    return Judgement(expected, value, low, high, verdict, f"smallest step; {_how(found[0])}", found=", ".join(numbers))


def true(condition: bool, expected: str) -> Judgement:
    """Judge a fact that is decided without error (a theorem's condition, the number of modes of an exact density).

    Example:
        >>> true(1 + 1 == 2, "one and one make two").verdict
        'supported'
    """
    value = float(bool(condition))
    verdict: Verdict = "supported" if condition else "contradicted"
    return Judgement(expected, value, value, value, verdict, "exact", found="yes" if condition else "no")


def every(judgements: Sequence[Judgement], expected: str = "", labels: Sequence[str] = ()) -> Judgement:
    """Judge several at once: supported if all are, contradicted if any is, inconclusive otherwise.

    A part contradicts the whole only if it does with an interval of 1 - .05/m, where m parts have sampling error (see
    the head of this module). The numbers are those of the first part that decides (of the first, if all are supported);
    ``found`` has all of them, or where there are more than six alike how many and from where to where.

    Args:
        judgements: one for each part.
        expected: the expectation in words; by default those of the parts.
        labels: what each part is about; they stand before the numbers.

    Raises:
        ArgumentError: no judgements, or another number of labels.

    Example:
        >>> both = every([at_most(1, 2), at_most(3, 2)], labels=["early", "late"])
        >>> both.verdict, both.found
        ('contradicted', 'early: 1; late: 3')
        >>> one = Estimate(0.5, 0.1, 0.9)  # below 1 at 95 %, but not with an interval for two
        >>> at_least(one, 1).verdict, every([at_least(one, 1), at_least(Estimate(2.0, 1.5, 2.5), 1)]).verdict
        ('contradicted', 'contradicted')
        >>> every([at_least(Estimate(0.5, 0.1, 0.95), 1), at_least(Estimate(2.0, 1.5, 2.5), 1)]).verdict
        'inconclusive'
    """
    if not judgements:
        raise ArgumentError("every: no judgements; a claim about nothing cannot be judged")
    if labels and len(labels) != len(judgements):
        raise ArgumentError(f"every: {len(labels)} labels for {len(judgements)} judgements; pass one for each")
    risks = sum(j.risks for j in judgements)
    parts = judgements
    if risks > 1:
        parts = [j.at(_shared(risks)) if j.verdict == "contradicted" else j for j in judgements]
    return replace(
        _all_of(parts, expected, labels),
        risks=risks,
        again=lambda level: _all_of([j.at(level) for j in judgements], expected, labels),
    )


def _shared(risks: int) -> float:
    """The level of each of several intervals that are to be right together."""
    return 1 - (1 - LEVEL) / risks


def _all_of(judgements: Sequence[Judgement], expected: str, labels: Sequence[str]) -> Judgement:
    """All of them, as they are judged."""
    verdicts = [j.verdict for j in judgements]
    graver: tuple[Verdict, ...] = ("contradicted", "inconclusive", "not judged")
    verdict: Verdict = next((v for v in graver if v in verdicts), "supported")
    shown = judgements[verdicts.index(verdict)]
    expected = expected or "; ".join(dict.fromkeys(j.expected for j in judgements))
    part = f"{labels[verdicts.index(verdict)]}: {shown.expected}" if labels else shown.expected
    reason = f"{verdicts.count('supported')} of {len(verdicts)} parts supported; shown: {part}; {shown.reason}"
    return Judgement(expected, shown.value, shown.low, shown.high, verdict, reason, found=_told(judgements, labels))


#: From how many numbers of one kind on they are told by their range.
_MANY = 7


def _told(judgements: Sequence[Judgement], labels: Sequence[str]) -> str:
    """All numbers: with their labels; or by what is expected of them, where this differs; facts are counted."""
    if labels:
        return "; ".join(f"{label}: {j}" for label, j in zip(labels, judgements, strict=True))
    facts = [j for j in judgements if j.found in ("yes", "no")]
    groups: dict[str, list[Judgement]] = {}
    for j in judgements:
        if j.found not in ("yes", "no"):
            groups.setdefault(j.expected, []).append(j)
    words = []
    if facts:
        true_ones = sum(j.found == "yes" for j in facts)
        one = f"{facts[0].found} ({facts[0].expected})" if len(judgements) > 1 else facts[0].found
        words.append(one if len(facts) == 1 else f"{true_ones} of {len(facts)} hold")
    for about, group in groups.items():
        several = f" ({about})" if len(groups) > 1 else ""
        words.append(_range(group) + several)
    return "; ".join(words)


def _range(group: Sequence[Judgement]) -> str:
    """Each of a few; of many how many, and from where to where."""
    values = [j.value for j in group]
    if len(group) < _MANY or any(j.found for j in group):
        return ", ".join(dict.fromkeys(map(str, group))) if len(set(values)) == 1 else ", ".join(map(str, group))
    return f"{len(group)} numbers from {format_number(min(values))} to {format_number(max(values))}"


def provided(condition: Judgement, judged: Judgement, name: str) -> Judgement:
    """Judge a claim only where a condition that it rests on is supported; else it is not judged, and says why.

    For example a claim about what a method gains with a reward model, where the reward model has learned something.

    Args:
        condition: the judgement of a control, or of what the claim takes for granted.
        judged: the judgement of the claim itself; its numbers are kept.
        name: the condition in words.

    Example:
        >>> found = provided(at_least(0.68, 0.7), at_least(-0.1, 0), "calibrated rewards (slope at least .7)")
        >>> found.verdict, found.reason
        ('not judged', 'not judged: it rests on calibrated rewards (slope at least .7), contradicted: 0.68')
    """
    if condition.verdict == "supported":
        return judged
    reason = f"not judged: it rests on {name}, {condition.verdict}: {condition}"
    return replace(judged, verdict="not judged", reason=reason, risks=0, again=None)


def worded(
    claims: Sequence[Claim], ids: str | Sequence[str], supported: str, contradicted: str, open_: str = ""
) -> str:
    """The words that the verdicts allow, for a finding that cannot say anything else than its claims.

    Args:
        claims: those of the run, as a study's ``finding`` gets them.
        ids: one claim or several; they count as supported when all are, and as contradicted when any is.
        supported, contradicted: what to say then.
        open_: what to say when neither; by default that it is not decided.

    Raises:
        StudyError: no such claim.

    Example:
        >>> from annosim.study import CONTROL
        >>> here = Claim("C1", "it converges", "theorem 2", "at most 3", 2.0, 1.0, 2.5, "supported", whose=CONTROL)
        >>> worded([here], "C1", "It converges.", "It does not converge.")
        'It converges.'
    """
    wanted = [ids] if isinstance(ids, str) else list(ids)
    verdicts = {claim.id: claim.verdict for claim in claims}
    lacking = [name for name in wanted if name not in verdicts]
    if lacking or not wanted:
        raise StudyError(f"worded: no claim {', '.join(lacking) or 'is named'}; there are: {', '.join(verdicts)}")
    found = {verdicts[name] for name in wanted}
    if found == {"supported"}:
        return supported
    if "contradicted" in found:
        return contradicted
    undecided = ", ".join(f"{name} {verdicts[name]}" for name in wanted if verdicts[name] != "supported")
    return open_ or f"({undecided})"


def _how(found: Estimate) -> str:
    return f"{found.method}, n={found.n}" if found.n else found.method


def _finite_or_none(value: str | float) -> str | float | None:
    return None if isinstance(value, float) and not math.isfinite(value) else value
