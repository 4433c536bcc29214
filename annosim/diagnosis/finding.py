"""One answer to one question about data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, pearson3

__all__ = ["Finding", "Status", "holm", "not_asked", "tail"]

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
        test: what the number or the p-value rests on.
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
    head: tuple[str, ...] = ()
    rows: tuple[tuple[object, ...], ...] = field(default=(), repr=False)

    def with_adjusted(self, adjusted: float, level: float) -> Finding:
        """The same with its adjusted p-value; a test that rejects becomes an alarm."""
        if adjusted <= level:
            return replace(self, adjusted=adjusted, status="alarm", otherwise="")
        return replace(self, adjusted=adjusted, sentence=self.otherwise or self.sentence, otherwise="")

    def to_dict(self) -> dict[str, object]:
        """Plain values, as JSON writes them; numbers that are not finite become ``None``."""
        out = {
            name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("head", "rows", "otherwise")
        }
        table = [dict(zip(self.head, map(plain, row), strict=True)) for row in self.rows]
        return {name: plain(value) for name, value in out.items()} | {"evidence": table}


def plain(value: object) -> object:
    """A value that JSON can write."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def not_asked(question: str, why: str, change: str = "") -> Finding:
    """A question that these data cannot answer, and what would make it possible.

    Example:
        >>> not_asked("position", "nobody knows which side was shown").status
        'not asked'
    """
    return Finding(question, why, change=change, status="not asked")


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
