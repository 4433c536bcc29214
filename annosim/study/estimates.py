"""Estimates with intervals: what a claim is judged from.

Every helper returns an :class:`Estimate`, a value with a two-sided interval and the name of the method that made it.
A number that has no sampling error (a closed form, an exact projection) is an estimate whose interval is a point.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from annosim.errors import ArgumentError
from annosim.reporting.numbers import format_interval
from annosim.study.values import Value

#: Coverage of an interval unless something else is asked for.
LEVEL = 0.95

__all__ = ["Estimate", "binomial_interval", "bootstrap_interval", "difference", "exact", "t_interval"]


@dataclass(frozen=True)
class Estimate:
    """A value and the interval that is claimed to hold the truth.

    Attributes:
        value: the point estimate.
        low, high: ends of the interval; infinite where nothing is known on that side.
        method: how the interval was made, in words.
        n: number of replicates (or trials) behind it; 0 for an exact value.
        again: makes the same estimate at another level, for intervals that are read together (:meth:`at`).

    Example:
        >>> Estimate(0.5, 0.4, 0.6, "by hand")
        Estimate(value=0.5, low=0.4, high=0.6, method='by hand', n=0)
        >>> print(Estimate(0.5, 0.4, 0.6))
        0.5 [0.4, 0.6]
    """

    value: float
    low: float
    high: float
    method: str = "given"
    n: int = 0
    again: Callable[[float], Estimate] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ArgumentError(f"Estimate: low={self.low} is above high={self.high}; swap the ends of the interval")

    @property
    def known(self) -> bool:
        """False when the value or an end of the interval is not a number."""
        return not any(math.isnan(x) for x in (self.value, self.low, self.high))

    @property
    def certain(self) -> bool:
        """Whether the interval is a point: a number without sampling error."""
        return self.low == self.high

    def at(self, level: float) -> Estimate:
        """The same estimate with an interval of this coverage, and never narrower than it is.

        It is made anew by the method that made it. An interval that was given by hand is taken for a normal one of 95 %
        and stretched about its value, each side by itself.

        Raises:
            ArgumentError: a level outside (0, 1).

        Example:
            >>> wide = t_interval([1.0, 2.0, 3.0]).at(0.99)
            >>> round(wide.low, 3), wide.method
            (-3.73, 't, 99 %')
            >>> round(Estimate(0.0, -1.96, 0.98).at(0.99).low, 3)
            -2.576
        """
        _check_level(level)
        if self.certain or not self.known:
            return self
        if self.again is not None:
            wide = self.again(level)
            return wide if wide.low <= self.low and self.high <= wide.high else self
        from scipy.stats import norm

        factor = float(norm.ppf(0.5 + level / 2) / norm.ppf(0.5 + LEVEL / 2))
        if factor <= 1:
            return self
        low, high = (
            end if math.isinf(end) else self.value + factor * (end - self.value) for end in (self.low, self.high)
        )
        return Estimate(self.value, low, high, f"{self.method}, at {100 * level:.6g} %", self.n)

    def __str__(self) -> str:
        return format_interval(self.value, self.low, self.high)

    def __neg__(self) -> Estimate:
        return Estimate(-self.value, -self.high, -self.low, self.method, self.n, lambda level: -self.at(level))


#: What can be judged: an estimate, or a number that a cell returned.
Measured: TypeAlias = "Estimate | Value"


def exact(value: object) -> Estimate:
    """A number without sampling error: its interval is the number itself.

    Raises:
        ArgumentError: what is no number, for example a list.

    Example:
        >>> exact(2).low, exact(2).high
        (2.0, 2.0)
    """
    try:
        number = float(value)  # type: ignore[arg-type]  # a number of any library, or refused here
    except (TypeError, ValueError):
        raise ArgumentError(f"a {type(value).__name__} is not a number; judge a number or an Estimate") from None
    return Estimate(number, number, number, "exact", 0)


def t_interval(values: ArrayLike, level: float = LEVEL) -> Estimate:
    """Mean of replicates with Student's interval ``mean -+ t(n-1) s / sqrt(n)``.

    Args:
        values: shape (replicates,). One replicate has an infinite interval: it says nothing of its own error.
        level: coverage of the two-sided interval, between 0 and 1.

    Raises:
        ArgumentError: no values, or a level outside (0, 1).

    Example:
        >>> e = t_interval([1.0, 2.0, 3.0])
        >>> round(e.value, 3), round(e.low, 3), round(e.high, 3)
        (2.0, -0.484, 4.484)
    """
    from scipy.stats import t

    x = _sample(values, level)
    mean = float(x.mean())
    if len(x) == 1:
        return Estimate(mean, -math.inf, math.inf, "one replicate: no interval", 1)
    half = float(t.ppf(0.5 + level / 2, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x)))
    made = f"t, {100 * level:.6g} %"
    return Estimate(mean, mean - half, mean + half, made, len(x), lambda other: t_interval(x, other))


def bootstrap_interval(
    values: ArrayLike,
    statistic: Callable[..., ArrayLike] = np.mean,
    level: float = LEVEL,
    draws: int = 4000,
    seed: int = 0,
) -> Estimate:
    """A statistic of replicates with the bias-corrected accelerated bootstrap interval (Efron 1987).

    Args:
        values: shape (replicates,).
        statistic: called as ``statistic(sample, axis=-1)``, vectorised over leading axes (``np.mean``, ``np.median``).
        level: coverage of the two-sided interval, between 0 and 1.
        draws: number of bootstrap samples.
        seed: of the resampling; the same seed gives the same interval.

    Raises:
        ArgumentError: no values, or a level outside (0, 1).

    Example:
        >>> e = bootstrap_interval([1.0, 2.0, 2.5, 3.0, 4.0], statistic=np.median, seed=0)
        >>> e.low <= e.value <= e.high
        True
    """
    from scipy.stats import bootstrap

    x = _sample(values, level)
    value = float(np.asarray(statistic(x, axis=-1)))
    if len(x) == 1:
        return Estimate(value, -math.inf, math.inf, "one replicate: no interval", 1)
    if np.ptp(x) == 0:  # every resample is the sample itself
        return Estimate(value, value, value, f"bootstrap, {100 * level:.6g} %, constant sample", len(x))
    for method in ("BCa", "percentile"):
        with np.errstate(all="ignore"):
            found = bootstrap(
                (x,),
                statistic,
                confidence_level=level,
                n_resamples=draws,
                method=method,
                vectorized=True,
                rng=np.random.Generator(np.random.Philox(seed)),
            ).confidence_interval
        # The acceleration is undefined when all leave-one-out values agree; the percentile interval never is.
        if math.isfinite(found.low) and math.isfinite(found.high):
            break
    low, high = min(float(found.low), value), max(float(found.high), value)
    made = f"bootstrap {method}, {100 * level:.6g} %"
    again = lambda other: bootstrap_interval(x, statistic, other, draws, seed)  # noqa: E731
    return Estimate(value, low, high, made, len(x), again)


def binomial_interval(successes: int, trials: int, level: float = LEVEL) -> Estimate:
    """A share with the exact Clopper-Pearson interval: its coverage is never below ``level``.

    Raises:
        ArgumentError: not ``0 <= successes <= trials`` with ``trials >= 1``, or a level outside (0, 1).

    Example:
        >>> e = binomial_interval(10, 10)
        >>> round(e.value, 3), round(e.low, 3), round(e.high, 3)
        (1.0, 0.692, 1.0)
    """
    from scipy.stats import beta

    _check_level(level)
    if not 0 <= successes <= trials or trials < 1:
        raise ArgumentError(
            f"binomial_interval: {successes} successes in {trials} trials; use 0 <= successes <= trials"
        )
    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else float(beta.ppf(tail, successes, trials - successes + 1))
    high = 1.0 if successes == trials else float(beta.isf(tail, successes + 1, trials - successes))
    made = f"exact binomial, {100 * level:.6g} %"
    again = lambda other: binomial_interval(successes, trials, other)  # noqa: E731
    return Estimate(successes / trials, low, high, made, int(trials), again)


def difference(first: ArrayLike, second: ArrayLike, paired: bool = True, level: float = LEVEL) -> Estimate:
    """Mean of ``first - second`` with a t interval: paired (same replicates), or Welch's for two independent samples.

    Args:
        first, second: shape (replicates,); of equal length when paired.
        paired: whether entry r of both comes from the same replicate (then the common noise cancels).

    Raises:
        ArgumentError: no values, unequal lengths of paired samples, or a level outside (0, 1).

    Example:
        >>> difference([2.0, 3.0, 4.5], [1.0, 2.0, 3.0]).value.__round__(4)
        1.1667
    """
    from scipy.stats import t

    a, b = _sample(first, level), _sample(second, level)
    if paired:
        if len(a) != len(b):
            raise ArgumentError(
                f"difference: paired samples of {len(a)} and {len(b)}; pass paired=False or equal lengths"
            )
        return t_interval(a - b, level)
    value = float(a.mean() - b.mean())
    if min(len(a), len(b)) == 1:
        return Estimate(value, -math.inf, math.inf, "one replicate: no interval", 1)
    va, vb = float(a.var(ddof=1)) / len(a), float(b.var(ddof=1)) / len(b)
    if va + vb == 0:
        return Estimate(value, value, value, "Welch t, constant samples", len(a) + len(b))
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    half = float(t.ppf(0.5 + level / 2, freedom)) * math.sqrt(va + vb)
    made = f"Welch t, {100 * level:.6g} %"
    again = lambda other: difference(a, b, False, other)  # noqa: E731
    return Estimate(value, value - half, value + half, made, len(a) + len(b), again)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ArgumentError(f"level={level}: the coverage of an interval lies between 0 and 1; pass for example 0.95")


def _sample(values: ArrayLike | Sequence[float], level: float) -> np.ndarray:
    _check_level(level)
    x = np.asarray(values, dtype=np.float64).ravel()
    if len(x) == 0:
        raise ArgumentError("an interval needs at least one value; the sample is empty")
    return x
