"""One answer to one question about data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, pearson3

__all__ = ["COUNTED", "Finding", "Status", "holm", "not_asked", "p_words", "tail"]

#: error rate of what is counted, and of a fact about the answers that are there
COUNTED = "none: it is a fact about these answers, and not about other ones"
#: what each question rests on where it can be asked
TESTS = {
    "overlap": "counts",
    "ties": "mean over annotators",
    "position": "score test of a position effect beside strengths",
    "length": "permutation of the lengths within prompts",
    "consistency": "shuffling who gave which answer, within questions",
    "paraphrase": "shuffling which wording got which answer, within annotator and question",
    "one side": "binomial bound for each annotator, Holm over annotators",
    "spammers": "Chernoff bound for each annotator, Holm over annotators",
    "adversaries": "Chernoff bound for each annotator, Holm over annotators",
    "copies": "agreement of two annotators against that of all, Holm over pairs",
    "agreement": "Krippendorff's alpha, bootstrap over annotators",
    "one type": "score test against random tastes",
    "types": "Bayesian information criterion of 1, 2 and 3 types",
    "fit": "Pearson's statistic over pairs of items",
    "cycles": "the weakest of three sign tests, Bonferroni over cycles",
    "ceiling": "agreement of two annotators on one question",
    "ranking": "all differences of strengths at once",
    "collect": "standard errors of the strengths",
    "margin": "two-sided test of one half",
}

#: what a tail fitted to draws can claim at most
SMALLEST = 1e-6
#: ``alarm``: a test rejects, or what was asked does not exist; ``notice``: a number worth reading; ``not asked``: the
#: data cannot answer, and the sentence says why.
Status: TypeAlias = Literal["fine", "notice", "alarm", "not asked"]


@dataclass(frozen=True)
class Finding:
    """What a question found.

    Attributes:
        question: its name, a word.
        sentence: the finding in words, with its number.
        otherwise: the sentence where the test does not reject among all tests of the page; ``""``: the same.
        value, low, high: the number and the ends of its 95 % interval; ``None`` where there is none.
        test: what the number or the p-value rests on; of a question that is not asked, what would be done.
        errs: how often the statement is wrong by chance, where :attr:`error_rate` does not follow from the rest.
        p_value: of the test alone; ``None`` where nothing was tested.
        adjusted: p-value after Holm's adjustment for all tests of the page.
        change: what would change the finding, or make the question possible.
        status: see :data:`Status`.
        head, rows: a small table of evidence.

    Example:
        >>> import annosim as an
        >>> votes = an.PreferenceData(an.Items(n=2), [[0, 1]] * 4, answer=[0, 0, 0, 1])
        >>> found = {one.question: one for one in an.diagnose(votes).findings}
        >>> found["existence"].status
        'fine'
    """

    question: str
    sentence: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    test: str = ""
    p_value: float | None = None
    adjusted: float | None = None
    change: str = ""
    status: Status = "fine"
    otherwise: str = field(default="", repr=False)
    errs: str = field(default="", repr=False)
    head: tuple[str, ...] = ()
    rows: tuple[tuple[object, ...], ...] = field(default=(), repr=False)

    def with_adjusted(self, adjusted: float, level: float) -> Finding:
        """The same with its adjusted p-value; a test that rejects becomes an alarm."""
        if adjusted <= level:
            return replace(self, adjusted=adjusted, status="alarm", otherwise="")
        return replace(self, adjusted=adjusted, sentence=self.otherwise or self.sentence, otherwise="")

    @property
    def error_rate(self) -> str:
        """How often the statement is wrong by chance, in words."""
        if self.status == "not asked":
            return "none: nothing is claimed"
        if self.errs:
            return self.errs
        if self.p_value is not None:
            return "where nothing is wrong, some test of the page says so on 5 % of pages at most (Holm over all its tests)"
        ends = [end for end in (self.low, self.high) if end is not None and math.isfinite(end)]
        return "the interval leaves out the truth in 5 % of data sets (nominal)" if ends else ""

    def to_dict(self) -> dict[str, object]:
        """Plain values, as JSON writes them; numbers that are not finite become ``None``."""
        out = {
            name: getattr(self, name)
            for name in self.__dataclass_fields__
            if name not in ("head", "rows", "otherwise", "errs")
        } | {"error_rate": self.error_rate}
        table = [dict(zip(self.head, map(plain, row), strict=True)) for row in self.rows]
        return {name: plain(value) for name, value in out.items()} | {"evidence": table}


def plain(value: object) -> object:
    """A value that JSON can write."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def not_asked(question: str, why: str, change: str) -> Finding:
    """A question that these data cannot answer, and what would make it possible.

    Example:
        >>> not_asked("position", "Nobody knows which side was shown.", "Keep the order of display.").test
        'not run: score test of a position effect beside strengths'
    """
    test = f"not run: {TESTS[question]}" if question in TESTS else ""
    return Finding(question, why, test=test, change=change, status="not asked")


def p_words(p: float) -> str:
    """A p-value of two digits; what lies below all that tests of a page can tell is said to lie there.

    Example:
        >>> p_words(0.0234), p_words(1e-30)
        ('0.023', '< 1e-06')
    """
    return f"< {SMALLEST:.0e}" if p < SMALLEST else f"{p:.2g}"


def holm(p_values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm's (1979) adjusted p-values: rejecting those below a level errs at most that often, however they depend.

    Example:
        >>> holm([0.01, 0.04, 0.5]).round(3).tolist()
        [0.03, 0.08, 0.5]
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    out = np.empty(len(p))
    out[order] = np.minimum(raised, 1.0)
    return out


def tail(observed: float, simulated: NDArray[np.float64]) -> float:
    """Upper tail of a simulated null distribution: the count where it is large enough to say, else a gamma tail.

    The tail of a Pearson III law with the mean, variance and skewness of the draws (Winkler et al. 2016) is read below
    10 exceedances, where the count alone would end at one over the number of draws.

    Example:
        >>> round(tail(0.0, np.array([-1.0, 1.0] * 50)), 4)
        0.505
    """
    draws = np.asarray(simulated, dtype=float)
    above = int((draws >= observed).sum())
    sd = float(draws.std(ddof=1)) if len(draws) > 1 else 0.0
    if above >= 10 or sd <= 0.0:
        return (1 + above) / (1 + len(draws))
    z = (observed - float(draws.mean())) / sd
    skew = float((((draws - draws.mean()) / sd) ** 3).mean()) if len(draws) >= 100 else 0.0
    p = float(pearson3.sf(z, skew)) if abs(skew) > 0.05 else float(norm.sf(z))
    return max(p, SMALLEST) if math.isfinite(p) else (1 + above) / (1 + len(draws))
