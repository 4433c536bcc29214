"""How many answers a precision or a margin takes: what plans and diagnoses share."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri
from scipy.stats import binom

from annosim.errors import ArgumentError

__all__ = ["needed", "votes_to_detect"]

#: below so many votes the normal approximation is not trusted
FEW = 50


def needed(half_width: float, count: float, goal: float) -> float:
    """Units until an interval whose half-width is ``half_width`` after ``count`` of them has ``goal``; errors fall as 1/sqrt.

    At least one; ``inf`` where the half-width is.

    Example:
        >>> needed(0.2, 100, 0.1)
        400.0
    """
    if not math.isfinite(half_width):
        return math.inf
    try:
        return float(max(1, math.ceil(count * (half_width / goal) ** 2)))
    except (OverflowError, ZeroDivisionError):  # a goal that is no number of answers away
        return math.inf


def votes_to_detect(margin: float, power: float, level: float = 0.05) -> int:
    """Votes on one pair that show a share of ``1/2 + margin`` against one half (two-sided test).

    By the normal approximation; where that is below :data:`FEW` votes, the least number from which on the exact binomial test
    of this level has the power.

    Raises:
        ArgumentError: a margin for which there is no number of votes.

    Example:
        >>> votes_to_detect(0.05, 0.8)
        783
    """
    p = 0.5 + margin
    root = float(ndtri(1.0 - level / 2.0)) * 0.5 + float(ndtri(power)) * math.sqrt(p * (1.0 - p))
    try:
        votes = math.ceil((root / margin) ** 2)
    except (OverflowError, ZeroDivisionError):
        raise ArgumentError(
            f"a margin of {margin:g} takes more votes than can be counted; ask for a larger one"
        ) from None
    if votes >= FEW:
        return votes
    n = np.arange(1, 2 * FEW)
    low = binom.ppf(level / 2, n, 0.5) - 1  # the most votes against that still reject
    low = np.where(binom.cdf(low + 1, n, 0.5) <= level / 2, low + 1, low)
    reach = binom.cdf(low, n, p) + binom.sf(n - low - 1, n, p)
    short = np.flatnonzero(reach < power)
    return int(n[short.max() + 1]) if len(short) else int(n[0])
