"""The numbers behind a figure, read from what it draws: for readers who cannot see it, and for those who want the values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import BarContainer
    from matplotlib.figure import Figure

__all__ = ["HEAD", "MOST_POINTS", "drawn_points"]

#: Columns of :func:`drawn_points`.
HEAD = ("panel", "series", "x", "y")
#: Points of one series that are listed; of longer ones every k-th is.
MOST_POINTS = 60

Point = tuple[str, str, object, object]


def drawn_points(figure: Figure) -> list[Point]:
    """Panel, series, x and y of the lines, bars and points of a figure.

    Places on an axis whose ticks have names are given by these names; a series without a label is numbered.

    Example:
        >>> from annosim import plotting
        >>> figure, axes = plotting.figure()
        >>> _ = axes[0, 0].plot([0.0, 1.0], [2.0, 3.0], label="a")
        >>> drawn_points(figure)
        [('1', 'a', 0.0, 2.0), ('1', 'a', 1.0, 3.0)]
    """
    found: list[Point] = []
    for number, axes in enumerate(figure.axes, 1):
        panel = _one_line(axes.get_title()) or str(number)
        across, up = _named_places(axes, "x"), _named_places(axes, "y")
        for series, x, y in _series(axes):
            step = max(1, -(-len(x) // MOST_POINTS))
            for p, q in zip(x[::step], y[::step], strict=True):
                if np.isfinite(p) and np.isfinite(q):
                    found.append((panel, series, _place(p, across), _place(q, up)))
    return found


def _series(axes: Axes) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, x and y of everything drawn in data coordinates."""
    from matplotlib.collections import PathCollection
    from matplotlib.container import BarContainer

    for i, line in enumerate(axes.lines, 1):
        x, y = (np.asarray(v, dtype=float).ravel() for v in line.get_data(orig=False))
        if len(x) and line.get_transform() == axes.transData:  # guides across a panel have another
            yield _name(line.get_label(), f"line {i}"), x, y
    for i, bars in enumerate(axes.containers, 1):
        if isinstance(bars, BarContainer) and len(bars):
            yield _name(bars.get_label(), f"bars {i}"), *_ends(bars)
    for i, points in enumerate(axes.collections, 1):
        if isinstance(points, PathCollection) and len(places := np.ma.filled(points.get_offsets(), np.nan)):
            yield _name(points.get_label(), f"points {i}"), places[:, 0].astype(float), places[:, 1].astype(float)


def _ends(bars: BarContainer) -> tuple[np.ndarray, np.ndarray]:
    """Where the bars stand, and where they end."""
    x, y, wide, high = np.array([(p.get_x(), p.get_y(), p.get_width(), p.get_height()) for p in bars]).T
    return (x + wide, y + high / 2) if bars.orientation == "horizontal" else (x + wide / 2, y + high)


def _name(label: object, otherwise: str) -> str:
    text = _one_line(str(label))
    return otherwise if not text or text.startswith("_") else text


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _named_places(axes: Axes, which: str) -> dict[float, str]:
    """Where ticks carry words instead of numbers."""
    from matplotlib.ticker import FixedFormatter

    axis = axes.xaxis if which == "x" else axes.yaxis
    formatter = axis.get_major_formatter()
    names = list(formatter.seq) if isinstance(formatter, FixedFormatter) else []
    words = getattr(axis, "units", None)
    if words is not None and hasattr(words, "_mapping"):
        return {float(place): str(word) for word, place in words._mapping.items()}
    return {round(float(p), 6): _one_line(str(n)) for p, n in zip(axis.get_majorticklocs(), names, strict=False) if n}


def _place(value: float, names: dict[float, str]) -> object:
    return names.get(round(float(value), 6), float(value))
