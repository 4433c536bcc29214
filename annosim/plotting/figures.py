"""Figures in the house style, their colours, and how they are saved."""

from __future__ import annotations

import io
import os
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from annosim.errors import ArgumentError
from annosim.files import atomic_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "DPI", "colour", "figure", "label", "legend", "save", "style"]

#: Okabe and Ito's palette, ordered so that the first ones are the easiest to tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
#: Resolution of saved figures, dots per inch.
DPI = 150
_STYLE: dict[str, object] = {
    "font.size": 13,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "axes.titlesize": 14,
    "axes.labelsize": 13,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.8,
    "lines.linewidth": 2.4,
    "lines.markersize": 7,
    "legend.frameon": True,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "legend.handlelength": 2.4,
    "legend.fontsize": 12,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "image.cmap": "cividis",
    "svg.hashsalt": "annosim",
}


def style() -> AbstractContextManager[None]:
    """The style as a context, for drawing of one's own: ``with style(): ...``. Global settings come back afterwards.

    Example:
        >>> import matplotlib
        >>> before = matplotlib.rcParams["font.size"]
        >>> with style():
        ...     inside = matplotlib.rcParams["font.size"]
        >>> inside, matplotlib.rcParams["font.size"] == before
        (13.0, True)
    """
    import matplotlib

    return matplotlib.rc_context(_STYLE)  # type: ignore[arg-type]  # its keys are literals in the stubs


def colour(index: int) -> str:
    """Colour number ``index`` of the palette; they repeat after eight.

    Example:
        >>> colour(0), colour(8)
        ('#0072B2', '#0072B2')
    """
    return COLOURS[index % len(COLOURS)]


def figure(
    rows: int = 1,
    columns: int = 1,
    width: float | None = None,
    height: float | None = None,
    title: str = "",
    **subplots: object,
) -> tuple[Figure, np.ndarray]:
    """A figure in the house style with a grid of axes.

    Args:
        rows, columns: of the grid.
        width, height: inches; 6.4 x 4.2 for one panel, 4.6 x 3.6 for each of several by default.
        title: above everything; panels have their own titles.
        **subplots: passed to ``Figure.subplots`` (``sharex``, ``sharey``, ``width_ratios`` ...).

    Returns:
        The figure, and the axes with shape (rows, columns).

    Example:
        >>> from annosim import plotting
        >>> fig, axes = plotting.figure(1, 2, sharey=True)
        >>> axes.shape
        (1, 2)
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    single = rows == columns == 1
    size = (width or (6.4 if single else 4.6 * columns), height or (4.2 if single else 3.6 * rows))
    with style():
        made = _shown()(figsize=size, layout="constrained", dpi=DPI)
        FigureCanvasAgg(made)
        axes = made.subplots(rows, columns, squeeze=False, **subplots)  # type: ignore[call-overload]  # matplotlib checks its own options
        if title:
            made.suptitle(title, fontsize=15)
    return made, axes


@cache
def _shown() -> type[Figure]:
    """A figure that notebooks show; made late, so that importing this module loads no matplotlib."""
    from matplotlib.figure import Figure

    class Shown(Figure):
        def _repr_png_(self) -> bytes:
            return _png(self, DPI)

    Shown.__qualname__ = "Shown"  # where pickle looks for it, below
    return Shown


def __getattr__(name: str) -> type[Figure]:
    if name == "Shown":
        return _shown()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _png(fig: Figure, dpi: int) -> bytes:
    drawn = io.BytesIO()
    with style():
        fig.savefig(drawn, dpi=dpi, format="png", metadata={"Software": None})
    return drawn.getvalue()


def save(fig: Figure, path: str | os.PathLike[str], dpi: int = DPI) -> Path:
    """Write a PNG at a fixed resolution, whole or not at all; the same figure gives the same bytes.

    Raises:
        ArgumentError: the name does not end in ``.png``.

    Example:
        >>> import tempfile
        >>> from annosim import plotting
        >>> fig, axes = plotting.figure()
        >>> plotting.save(fig, Path(tempfile.mkdtemp()) / "empty.png").name
        'empty.png'
    """
    target = Path(path)
    if target.suffix != ".png":
        raise ArgumentError(f"save: {target.name} does not end in .png; figures are written as PNG")
    atomic_bytes(target, _png(fig, dpi))
    return target


def label(axes: Axes, x: str, y: str, title: str = "") -> Axes:
    """Name both axes, with their units, and the panel.

    Example:
        >>> from annosim import plotting
        >>> fig, axes = plotting.figure()
        >>> plotting.label(axes[0, 0], "utility difference (nats)", "P(A > B)").get_xlabel()
        'utility difference (nats)'
    """
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if title:
        axes.set_title(title)
    return axes


def legend(axes: Axes, outside: bool = False, **options: object) -> Axes:
    """A legend inside the panel, or to its right where it covers nothing.

    Example:
        >>> from annosim import plotting
        >>> fig, axes = plotting.figure()
        >>> plotting.legend(plotting.line(axes[0, 0], [0, 1], [0, 1], "identity"), outside=True).get_legend() is not None
        True
    """
    with style():
        if outside:
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), **options)
        else:
            axes.legend(**options)
    return axes
