"""Charts: each takes the axes first and returns them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from annosim.errors import ArgumentError
from annosim.plotting.figures import colour, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

__all__ = ["band", "bars", "density", "heatmap", "intervals", "line"]

_LINES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def line(
    axes: Axes,
    x: ArrayLike,
    y: ArrayLike,
    name: str = "",
    index: int = 0,
    low: ArrayLike | None = None,
    high: ArrayLike | None = None,
    markers: bool = False,
    **options: object,
) -> Axes:
    """A line, with a band between ``low`` and ``high`` if they are given.

    Args:
        x, y, low, high: shape (points,).
        name: for the legend.
        index: which colour and line style.
        markers: mark the points, for lines through few of them.

    Example:
        >>> from annosim import plotting
        >>> fig, axes = plotting.figure()
        >>> len(plotting.line(axes[0, 0], [0, 1], [0, 1], "mean", low=[0, .9], high=[.1, 1.1]).lines)
        1
    """
    drawn = {"color": colour(index), "linestyle": _LINES[index % len(_LINES)]}
    drawn |= {"marker": _MARKERS[index % len(_MARKERS)]} if markers else {}
    with style():
        axes.plot(x, y, label=name or None, **{**drawn, **options})  # type: ignore[arg-type]  # matplotlib checks its own options
        if low is not None and high is not None:
            band(axes, x, low, high, index)
    return axes


def band(axes: Axes, x: ArrayLike, low: ArrayLike, high: ArrayLike, index: int = 0) -> Axes:
    """A pale band between two curves, each of shape (points,).

    Example:
        >>> from annosim import plotting
        >>> fig, axes = plotting.figure()
        >>> len(plotting.band(axes[0, 0], [0, 1], [0, 0], [1, 1]).collections)
        1
    """
    axes.fill_between(np.asarray(x), np.asarray(low), np.asarray(high), color=colour(index), alpha=0.2, linewidth=0)
    return axes


def density(
    axes: Axes, x: ArrayLike, values: ArrayLike, name: str = "", index: int = 0, fill: bool = False, **options: object
) -> Axes:
    """A probability density over a line, shape (points,), on an axis that starts at zero; filled for the truth.

    Example:
        >>> from annosim import plotting
        >>> fig, axes = plotting.figure()
        >>> float(plotting.density(axes[0, 0], [0, 1, 2], [0, 1, 0], "p*", fill=True).get_ylim()[0])
        0.0
    """
    line(axes, x, values, name, index, **({"linestyle": "-"} if fill else {}) | options)  # type: ignore[arg-type]  # matplotlib checks its own options
    if fill:
        band(axes, x, np.zeros_like(np.asarray(values, dtype=float)), values, index)
    axes.set_ylim(bottom=0.0)
    return axes


def heatmap(
    axes: Axes,
    values: ArrayLike,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    extent: tuple[float, float, float, float] | None = None,
    bar: str = "",
    low: float | None = None,
    high: float | None = None,
    centre: float | None = None,
    annotate: str = "",
) -> Axes:
    """A heat map with a colour bar.

    Args:
        values: shape (rows, columns); the first row is drawn at the top, or at the bottom when ``extent`` is given.
        rows, columns: names of cells, for a table; or ``extent`` = (left, right, bottom, top) for a continuous map.
        bar: what the colour means, with its unit.
        low, high: ends of the colour scale; those of the data by default.
        centre: a value drawn white, with two hues around it (a probability of one half, a difference of zero).
        annotate: a format such as ``".2f"`` that prints each value in its cell.

    Example:
        >>> from annosim import plotting
        >>> fig, axes = plotting.figure()
        >>> table = [[0.1, 0.9], [0.5, 0.4]]
        >>> drawn = plotting.heatmap(axes[0, 0], table, ["a", "b"], ["c", "d"], "P(row > column)", annotate=".1f")
        >>> [text.get_text() for text in drawn.texts]
        ['0.1', '0.9', '0.5', '0.4']
    """
    table = np.ma.masked_invalid(np.asarray(values, dtype=float))
    low, high = _scale(table, low, high, centre)
    with style():
        image = axes.imshow(
            table,
            cmap="PuOr_r" if centre is not None else "cividis",
            vmin=low,
            vmax=high,
            extent=extent,
            origin="upper" if extent is None else "lower",
            aspect="auto" if extent is None else "equal",
            interpolation="nearest",
        )
        axes.grid(False)
        axes.figure.colorbar(image, ax=axes, label=bar, shrink=0.9)
        if columns is not None:
            slanted = max((len(str(c)) for c in columns), default=0) > 6
            axes.set_xticks(
                range(len(columns)), columns, rotation=40 if slanted else 0, ha="right" if slanted else "center"
            )
        if rows is not None:
            axes.set_yticks(range(len(rows)), rows)
        if annotate:
            _print_values(axes, table, annotate, image)
    return axes


def intervals(
    axes: Axes,
    names: Sequence[str],
    values: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    index: int = 0,
    truth: ArrayLike | None = None,
    zero: float | None = None,
    offset: float = 0.0,
    label: str = "",
) -> Axes:
    """A forest plot: one row per name with its point and interval, first name on top.

    Args:
        names: row labels; values, low, high, truth: shape (rows,).
        index: colour of the points; ``offset`` (in rows) sets several estimates side by side.
        truth: marked by a short black bar; zero: a vertical line of reference.
        label: for the legend.

    Example:
        >>> from annosim import plotting
        >>> fig, axes = plotting.figure()
        >>> [t.get_text() for t in plotting.intervals(axes[0, 0], ["a", "b"], [0, 1], [-1, 0], [1, 2], zero=0).get_yticklabels()]
        ['a', 'b']
    """
    centre, at = np.asarray(values, dtype=float), np.arange(len(names)) + offset
    arms = np.abs(np.stack([centre - np.asarray(low, dtype=float), np.asarray(high, dtype=float) - centre]))
    with style():
        axes.errorbar(
            centre,
            at,
            xerr=np.where(np.isfinite(arms), arms, 0.0),
            fmt=_MARKERS[index % len(_MARKERS)],
            color=colour(index),
            capsize=3,
            elinewidth=2,
            label=label or None,
        )
        if truth is not None:
            axes.plot(np.asarray(truth), at, "|", color="black", markersize=14, markeredgewidth=2.2, linestyle="none")
        if zero is not None:
            axes.axvline(zero, color="#555555", linewidth=1.2)
        axes.set_yticks(np.arange(len(names)), list(names))
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
    return axes


def bars(
    axes: Axes,
    names: Sequence[str],
    values: ArrayLike,
    low: ArrayLike | None = None,
    high: ArrayLike | None = None,
    series: Sequence[str] = (),
) -> Axes:
    """Bars with intervals, in groups when there are several series.

    Args:
        names: of the groups on the x axis.
        values, low, high: shape (names,), or (series, names).
        series: names of the series, for the legend.

    Raises:
        ArgumentError: shapes that do not fit the names.

    Example:
        >>> from annosim import plotting
        >>> fig, axes = plotting.figure()
        >>> len(plotting.bars(axes[0, 0], ["pairs", "triples"], [[1, 2], [3, 4]], series=["DPO", "EM-DPO"]).patches)
        4
    """
    heights = np.atleast_2d(np.asarray(values, dtype=float))
    if heights.shape[1] != len(names) or (series and len(series) != len(heights)):
        raise ArgumentError(
            f"bars: values of shape {heights.shape} for {len(series) or 1} series and {len(names)} names"
        )
    wide = 0.8 / len(heights)
    lows, highs = (None if end is None else np.atleast_2d(np.asarray(end, dtype=float)) for end in (low, high))
    with style():
        for s, height in enumerate(heights):
            at = np.arange(len(names)) + (s - (len(heights) - 1) / 2) * wide
            arms = None if lows is None or highs is None else np.abs(np.stack([height - lows[s], highs[s] - height]))
            axes.bar(
                at,
                height,
                wide * 0.92,
                color=colour(s),
                label=series[s] if series else None,
                yerr=arms,
                error_kw={"elinewidth": 1.8, "capsize": 3},
                hatch=("", "//", "..", "xx")[s % 4],
                edgecolor="white",
            )
        slanted = sum(len(str(n)) for n in names) > 45
        axes.set_xticks(range(len(names)), names, rotation=30 if slanted else 0, ha="right" if slanted else "center")
        axes.grid(axis="x", visible=False)
    return axes


def _scale(
    table: np.ma.MaskedArray, low: float | None, high: float | None, centre: float | None
) -> tuple[float, float]:
    if table.count() == 0:
        return (0.0, 1.0)
    low = float(table.min()) if low is None else low
    high = float(table.max()) if high is None else high
    if centre is not None:
        reach = max(abs(high - centre), abs(low - centre)) or 1.0
        low, high = centre - reach, centre + reach
    return low, high


def _print_values(axes: Axes, table: np.ma.MaskedArray, form: str, image: AxesImage) -> None:
    """Each value in its cell, black or white, whichever is read better on the cell's colour."""
    for (r, c), value in np.ndenumerate(table.filled(np.nan)):
        if np.isfinite(value):
            red, green, blue, _ = image.cmap(image.norm(value))
            bright = 0.299 * red + 0.587 * green + 0.114 * blue
            axes.text(c, r, format(value, form), ha="center", va="center", color="black" if bright > 0.5 else "white")
