"""What a page holds besides text: figures and tables, or the reason why one is missing."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from annosim.reporting.numbers import format_number
from annosim.reporting.series import HEAD, drawn_points

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["FigureEntry", "HtmlTable", "TableEntry"]


@dataclass(frozen=True)
class FigureEntry:
    """A figure as PNG bytes, or the reason why it could not be drawn.

    Attributes:
        name: its anchor in the page.
        caption: shown below it, and its alternative text.
        png: the image.
        problem: why there is none, or ``""``.
        numbers: what is drawn, as a table; ``None`` where nothing could be read.
    """

    name: str
    caption: str
    png: bytes
    problem: str = ""
    numbers: HtmlTable | None = None

    @classmethod
    def draw(cls, figure: Figure, name: str = "figure", caption: str = "") -> FigureEntry:
        """The entry of a matplotlib figure, with the table behind it."""
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=150, bbox_inches="tight")
        return cls(name, caption, buffer.getvalue(), numbers=HtmlTable.from_figure(figure))

    @property
    def source(self) -> str:
        """The image inside the page.

        Example:
            >>> FigureEntry("f", "", b"png").source
            'data:image/png;base64,cG5n'
        """
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


@dataclass(frozen=True)
class HtmlTable:
    """Text cells of a table, and which of them are numbers.

    Attributes:
        head: names of the columns.
        rows: ``(text, is_number)`` of each cell.

    Example:
        >>> HtmlTable.from_rows(["item", "estimate"], [["a", 0.123456]]).rows
        ((('a', False), ('0.1235', True)),)
    """

    head: tuple[str, ...]
    rows: tuple[tuple[tuple[str, bool], ...], ...]

    @classmethod
    def from_rows(cls, head: Sequence[object], rows: Iterable[Iterable[object]]) -> HtmlTable:
        """A table of values; numbers are shortened."""
        return cls(tuple(map(str, head)), tuple(tuple(map(_cell, row)) for row in rows))

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> HtmlTable:
        """The columns of a frame, without its index."""
        return cls.from_rows(list(frame.columns), frame.itertuples(index=False))

    @classmethod
    def from_figure(cls, figure: Figure) -> HtmlTable | None:
        """The points that a matplotlib figure draws, or ``None`` where none can be read."""
        points = drawn_points(figure)
        return cls.from_rows(HEAD, points) if points else None


@dataclass(frozen=True)
class TableEntry:
    """A table with a caption, or the reason why it could not be made.

    Attributes:
        name: of the function that makes it.
        caption: shown above it.
        table: the cells, or ``None``.
        problem: why there is none, or ``""``.

    Example:
        >>> TableEntry("errors", "Errors by design", None, "no cell has finished").problem
        'no cell has finished'
    """

    name: str
    caption: str
    table: HtmlTable | None
    problem: str = ""


def _cell(value: object) -> tuple[str, bool]:
    plain = value.item() if isinstance(value, np.generic) else value
    return format_number(plain), isinstance(plain, int | float) and not isinstance(plain, bool)
