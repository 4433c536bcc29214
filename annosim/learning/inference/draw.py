"""Drawing a fit: estimates with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from annosim.learning.inference.leaderboard import Leaderboard
    from annosim.learning.result import Fit

__all__ = ["draw_board", "intervals"]


def intervals(fit: Fit, kind: str | None = None, level: float = 0.95, axes: Axes | None = None) -> Axes:
    """Estimates with Wald intervals, one row each, the largest first; see :meth:`Fit.plot`."""
    from importlib import import_module

    plotting = import_module("annosim.plotting")
    table = fit.summary(kind, level)
    if axes is None:
        _, grid = plotting.figure(width=6.4, height=1.2 + 0.24 * len(table))
        axes = grid[0, 0]
    names = [item or parameter for item, parameter in zip(table["item"], table["parameter"], strict=True)]
    plotting.intervals(axes, names, table["estimate"], table["low"], table["high"])
    return plotting.label(axes, f"estimate with {level:.0%} interval ({table.attrs['kind']})", "")


def draw_board(board: Leaderboard, axes: Axes | None = None) -> Axes:
    """Strengths with quasi-intervals and bars that join what is not separated; see :meth:`Leaderboard.plot`."""
    from importlib import import_module

    plotting = import_module("annosim.plotting")
    n = len(board.names)
    if axes is None:
        _, grid = plotting.figure(width=7.6, height=1.4 + 0.26 * n)
        axes = grid[0, 0]
    reach = float(ndtri(0.5 + board.level / 2.0)) * np.sqrt(board.quasi_variance)
    names = [name if len(name) <= 34 else name[:33] + "…" for name in board.names]
    plotting.intervals(axes, names, board.estimate, board.estimate - reach, board.estimate + reach)
    place = {name: i for i, name in enumerate(board.names)}
    finite = np.where(np.isfinite(reach), reach, 0.0)
    right, span = float((board.estimate + finite).max()), float(np.ptp(board.estimate) + 2.0 * finite.max())
    tied = [group for group in board.groups if len(group) > 1]
    lanes: list[int] = []
    for group in tied:
        ends = place[group[0]], place[group[-1]]
        lane = next((k for k, last in enumerate(lanes) if last < ends[0]), len(lanes))
        lanes[lane : lane + 1] = [ends[1]]
        x = right + span * (0.05 + 0.025 * lane)
        axes.plot([x, x], [ends[0] - 0.25, ends[1] + 0.25], color="#444444", linewidth=2.4, solid_capstyle="butt")
    return plotting.label(axes, f"strength (logits), {board.level:.0%} quasi-intervals ({board.kind})", "")
