"""How many answers a precision or a margin takes: what plans and diagnoses share."""

from __future__ import annotations

import math

from scipy.special import ndtri

__all__ = ["needed", "votes_to_detect"]


def needed(half_width: float, count: float, goal: float) -> float:
    """Units until an interval whose half-width is ``half_width`` after ``count`` of them has ``goal``; errors fall as 1/sqrt.

    At least one; ``inf`` where the half-width is.

    Example:
        >>> needed(0.2, 100, 0.1)
        400.0
    """
    worst = count * half_width**2
    return float(max(1, math.ceil(worst / goal**2))) if math.isfinite(worst) else math.inf


def votes_to_detect(margin: float, power: float, level: float = 0.05) -> int:
    """Votes on one pair that show a share of ``1/2 + margin`` against one half (two-sided normal test).

    Example:
        >>> votes_to_detect(0.05, 0.8)
        783
    """
    p = 0.5 + margin
    root = float(ndtri(1.0 - level / 2.0)) * 0.5 + float(ndtri(power)) * math.sqrt(p * (1.0 - p))
    return math.ceil((root / margin) ** 2)
