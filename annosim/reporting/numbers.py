"""Numbers as a page or a terminal shows them."""

from __future__ import annotations

import math

__all__ = ["format_interval", "format_number"]


def format_number(value: object) -> str:
    """A number with four significant digits, infinity as a sign, and a dash where there is no value.

    Example:
        >>> format_number(0.644412), format_number(float("nan")), format_number(float("-inf")), format_number(5)
        ('0.6444', '–', '−∞', '5')
    """
    if not isinstance(value, float):
        return "–" if value is None else str(value)
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.4g}"


def format_interval(value: float, low: float, high: float) -> str:
    """An estimate with its interval; the number alone where it is exact, a dash where it is not known.

    Example:
        >>> format_interval(0.5, 0.4, 0.6), format_interval(2.0, 2.0, 2.0), format_interval(math.nan, 0.0, 1.0)
        ('0.5 [0.4, 0.6]', '2', '–')
    """
    if low == high or math.isnan(value):
        return format_number(value)
    return f"{format_number(value)} [{format_number(low)}, {format_number(high)}]"
