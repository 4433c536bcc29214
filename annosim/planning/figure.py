"""The figure of a plan: what precision costs, design by design."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from annosim import plotting
from annosim.planning.cost import Cost
from annosim.planning.row import PlanRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_interviews", "draw_plan"]


def draw_plan(rows: Sequence[PlanRow], target: str, precision: float, cost: Cost) -> Figure:
    """Half-width of the worst component against cost; a point where the precision asked for is reached.

    Args:
        rows: one per design.
        target, precision, cost: the plan's own.
    """
    fig, grid = plotting.figure(width=9.2, height=4.4)
    axes = grid[0, 0]
    for number, row in enumerate(rows):
        if math.isfinite(row.annotators):
            _curve(axes, row, number)
        else:  # a name in the legend: nothing to draw is what it says
            name = f"{row.name}: not identified" if not row.interval() else f"{row.name}: only bounded"
            axes.plot([], [], label=name, color="0.6", linestyle=":")
    axes.axhline(precision, color="0.25", linewidth=1.0, linestyle=(0, (4, 3)))
    axes.set(xscale="log", yscale="log")
    _plain_numbers(axes)
    axes.annotate(
        f"asked for: ±{precision:g}",
        (0.01, precision),
        xycoords=("axes fraction", "data"),
        xytext=(0, -4),
        textcoords="offset points",
        va="top",
        fontsize=11,
        color="0.25",
    )
    plotting.label(axes, _price(cost), f"half-width of a 95 % interval\n({target})")
    plotting.legend(axes, outside=True)
    return fig


def draw_interviews(rows: Sequence[PlanRow]) -> Figure:
    """Questions that an annotator is asked until their target is decided: the mean, and the middle 90 %."""
    fig, grid = plotting.figure(width=7.2, height=1.6 + 0.5 * len(rows))
    asked = [row.interviews.questions for row in rows if row.interviews is not None]
    low, mean, high = np.array([(np.quantile(q, 0.05), q.mean(), np.quantile(q, 0.95)) for q in asked]).T
    plotting.intervals(grid[0, 0], [row.name for row in rows], mean, low, high)
    plotting.label(grid[0, 0], "questions until decided (mean, 90 % of the annotators)", "")
    return fig


def _curve(axes: Axes, row: PlanRow, number: int) -> None:
    people = row.annotators * np.logspace(-1.2, 0.8, 40)
    widest = float(row.half_width.max())
    price = row.cost * people / row.annotators
    least = "at least " if row.at_least else ""
    name = f"{row.name}:\n{least}{row.annotators:,.0f} annotators, cost {row.cost:,.0f}"
    plotting.line(axes, price, widest * np.sqrt(row.annotators / people), name, number)
    axes.plot(row.cost, widest, "o", color=plotting.colour(number), markersize=8)
    if row.range is not None and all(math.isfinite(n) for n in row.range):
        ends = [row.cost * n / row.annotators for n in row.range]
        low = widest * 0.96 ** (number + 1)  # below the points, one under the other
        axes.plot(ends, [low, low], color=plotting.colour(number), linewidth=6, alpha=0.3, solid_capstyle="round")


def _price(cost: Cost) -> str:
    return f"cost ({cost.annotator:g} per annotator, {cost.answer:g} per answer)"


def _plain_numbers(axes: Axes) -> None:
    """0.05 and 2,000 instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}" if x >= 1 else f"{x:g}"))
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())
