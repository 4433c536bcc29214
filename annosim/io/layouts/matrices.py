"""Win matrices: row i, column j holds how often item i beat item j."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError
from annosim.io.format import EXPORTER, Reading
from annosim.io.pairs import pair_data, warn_similar
from annosim.io.seen import Seen, blank
from annosim.io.sources import Source, read_table, source_name
from annosim.items import Items

__all__ = ["read_matrix", "recognise_matrix"]


def read_matrix(source: Source, names: str | None = None, winner: Literal["row", "column"] = "row") -> PreferenceData:
    """Read a square table of wins whose columns are the items.

    Args:
        source: a file or a table in memory.
        names: column with the names of the rows; by default the first, or none where the rows stand in the order of the
            columns.
        winner: who won the votes in a cell: the item of the ``"row"`` (as in choix and BradleyTerry2) or the
            ``"column"``.

    Returns:
        A row for each cell above zero, the winner displayed first; the cell is its weight. The diagonal is not read.

    Raises:
        FileReadError: the rows are not the columns.
        RowsError: cells that are not numbers, or are negative.

    Example:
        >>> data = read_matrix([{"": "tea", "tea": 0, "milk": 3}, {"": "milk", "tea": 1, "milk": 0}])
        >>> data.menu.tolist(), data.weight.tolist()
        ([[0, 1], [1, 0]], [3.0, 1.0])
    """
    if winner not in ("row", "column"):
        raise ArgumentError(f"winner={winner!r}: 'row' or 'column'")
    table = read_table(source)
    label = names if names is not None else _label(table.columns, len(table))
    items = [name for name in table.columns if name != label]
    rows = items if label is None else [str(name) for name in table.coded(label, "names").text()]
    place = {name: i for i, name in enumerate(items)}
    for i, name in enumerate(rows):
        if name not in place or len(rows) != len(items):
            table.errors.add(i, f"row {name[:40]!r} is no column; the matrix must be square")
    table.errors.raise_if_any("give every item a row and a column of the same name")
    wins = np.stack([_cells(table.texts(name, name).text()) for name in items], 1)
    order = np.array([place[name] for name in rows])
    square = np.zeros_like(wins)
    square[order] = wins
    np.fill_diagonal(square, 0.0)
    bad = ~np.isfinite(square) | (square < 0)
    table.errors.add_where(bad[order].any(1), lambda r: "a cell is not a number of wins")
    table.errors.raise_if_any("write how often the row beat the column")
    square = square if winner == "row" else square.T
    first, second = np.nonzero(square)
    if not len(first):
        table.errors.add(0, "no wins in any cell")
        table.errors.raise_if_any("write how often the row beat the column")
    settings = {"source": source_name(source), "format": "matrix"}
    warn_similar(table.name, items, has_merge=False)
    menu = np.stack([first, second], 1)
    outcome = np.zeros(len(first), dtype=np.int64)
    return pair_data(menu, outcome, Items(names=items), weight=square[first, second], settings=settings)


def _label(columns: list[str], rows: int) -> str | None:
    """The column with the names of the rows: the first where there is one more than rows."""
    return columns[0] if len(columns) == rows + 1 else None


def _cells(texts: NDArray[np.object_]) -> NDArray[np.float64]:
    """Numbers; an empty cell is none."""
    return np.array([0.0 if text is None or blank(text) else _float(text) for text in texts])


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def recognise_matrix(seen: Seen) -> Reading | None:
    """The names of the rows are the names of the columns, and the cells are numbers."""
    rows = len(seen.table)
    if rows < 2 or len(seen.columns) not in (rows, rows + 1):
        return None
    label = seen.columns[0] if len(seen.columns) == rows + 1 else None
    items = [name for name in seen.columns if name != label]
    if any(seen.kind(name) not in ("number", "empty") for name in items):
        return None
    if label is None:
        return _unlabelled(seen, items)
    if set(seen.words(label)) != set(items):
        return None
    why = f"the rows of {label.strip() or 'the first column'} are the columns: how often the row beat the column"
    return Reading(why, {"names": label}, EXPORTER)


def _unlabelled(seen: Seen, items: list[str]) -> Reading | None:
    """As many rows as columns, numbers only, and nothing on the diagonal."""
    if rows_of_zeros := [seen.table.texts(name, name).text()[i] for i, name in enumerate(items)]:
        empty = all(cell is None or blank(cell) or _float(cell) == 0 for cell in rows_of_zeros)
        if empty and len(items) > 2:
            return Reading(
                "a square of numbers with an empty diagonal: how often the row beat the column", strength=EXPORTER
            )
    return None
