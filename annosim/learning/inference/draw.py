"""Drawing a fit: estimates with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from annosim.learning.result import Fit

__all__ = ["intervals"]


def intervals(fit: Fit, kind: str = "hessian", level: float = 0.95, axes: Axes | None = None) -> Axes:
    """Estimates with Wald intervals, one row each, the largest first; see :meth:`Fit.plot`."""
    from importlib import import_module

    plotting = import_module("annosim.plotting")
    table = fit.summary(kind, level)
    if axes is None:
        _, grid = plotting.figure(width=6.4, height=1.2 + 0.24 * len(table))
        axes = grid[0, 0]
    names = [item or parameter for item, parameter in zip(table["item"], table["parameter"], strict=True)]
    plotting.intervals(axes, names, table["estimate"], table["low"], table["high"])
    return plotting.label(axes, f"estimate with {level:.0%} interval ({kind})", "")
