"""Tables: columns of cells, the line of each row, and every malformed row at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from annosim.errors import FileReadError
from annosim.io.row_errors import RowErrors

__all__ = ["Coded", "Table", "factorize"]


class Coded(NamedTuple):
    """A column as codes into its distinct names, which stand in order of first appearance."""

    codes: NDArray[np.int64]
    names: NDArray[np.object_]

    def text(self) -> NDArray[np.object_]:
        """The name of every row."""
        return self.names[self.codes]


class Table:
    """Columns of one source.

    Attributes:
        name: what messages call the source.
        errors: gathers malformed rows.
        notes: what was unusual about the file, in words.
    """

    def __init__(
        self,
        name: str,
        columns: Mapping[str, pa.ChunkedArray | NDArray[np.object_]],
        lines: Callable[[], Sequence[int]],
        notes: Sequence[str] = (),
    ):
        self.name, self._columns, self._lines_of, self.notes = name, columns, lines, tuple(notes)
        self._lines: Sequence[int] | None = None
        self._texts: dict[str, Coded] = {}
        self.errors = RowErrors(name, self.line)

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self._columns)

    def with_column(self, column: str, values: NDArray[np.object_]) -> Table:
        """The same rows with one more column."""
        return Table(self.name, {**self._columns, column: values}, self._lines_of, self.notes)

    def where(self, kept: NDArray[np.bool_]) -> Table:
        """Some of the rows, which keep their lines."""
        rows = np.flatnonzero(kept)
        columns = {
            name: cells[kept] if isinstance(cells, np.ndarray) else cells.filter(pa.array(kept))
            for name, cells in self._columns.items()
        }
        return Table(self.name, columns, lambda: [self.line(int(row)) for row in rows], self.notes)

    def say(self, rows: NDArray[np.bool_], one: str, several: str) -> None:
        """Warn of some rows: how many, what about them, and the line of the first."""
        count = int(rows.sum())
        first = self.line(int(rows.argmax()))
        what = f"1 row {one} (line {first})" if count == 1 else f"{count} rows {several} (the first is line {first})"
        warnings.warn(f"{self.name}: {what}", stacklevel=4)

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))

    def __contains__(self, column: object) -> bool:
        return column in self._columns

    def line(self, row: int) -> int:
        """Line of a row in the file (the header is line 1; quoted cells may run over lines)."""
        if self._lines is None:
            self._lines = self._lines_of()
        return self._lines[row]

    def _column(self, column: str, option: str) -> pa.ChunkedArray | NDArray[np.object_]:
        if column not in self._columns:
            have = ", ".join(name if name.isprintable() else repr(name) for name in self.columns)
            shown = have if len(have) <= 120 else have[:120] + ", ..."
            raise FileReadError(f"{self.name}: no column {column[:60]!r} (option {option}=); the columns are {shown}")
        return self._columns[column]

    def values(self, column: str, option: str) -> NDArray[np.object_]:
        """The cells of a column that an option names; an unknown name lists those that exist."""
        cells = self._column(column, option)
        return cells if isinstance(cells, np.ndarray) else np.asarray(cells.to_pylist(), dtype=object)

    def head(self, column: str, rows: int) -> list[object]:
        """The first cells of a column, as they are."""
        cells = self._column(column, column)[:rows]
        return list(cells) if isinstance(cells, np.ndarray) else list(cells.to_pylist())

    def texts(self, column: str, option: str) -> Coded:
        """A column as text, ``None`` for a cell that is no text; kept, since a layout is recognised by it and then read."""
        if column not in self._texts:
            found = _as_texts(self._column(column, option))
            names = np.array([name if isinstance(name, str) else None for name in found.names], dtype=object)
            self._texts[column] = Coded(found.codes, names)  # pandas writes nothing as NaN
        return self._texts[column]

    def coded(self, column: str, option: str, blank: bool = False) -> Coded:
        """A column as text; an empty cell, or one that is no text, is a malformed row (``blank`` allows the former)."""
        coded = self.texts(column, option)
        odd = np.array([not isinstance(name, str) or (name == "" and not blank) for name in coded.names], dtype=bool)
        if odd.any():
            self.errors.add_where(
                odd[coded.codes],
                lambda r: f"{column} is {'empty' if coded.names[coded.codes[r]] == '' else 'not text'}",
            )
            coded = Coded(coded.codes, np.array([n if isinstance(n, str) else "" for n in coded.names], dtype=object))
        return coded

    def people(self, column: str, of: NDArray[np.int64] | None = None) -> Coded:
        """The column of annotators; where nobody is named the row is an annotator of its own, and that is said.

        Args:
            column: the column that the option ``annotator`` names.
            of: what each row belongs to, where several rows are one answer: they have one annotator.
        """
        coded = self.texts(column, "annotator")
        unnamed = np.array([isinstance(name, str) and not name.strip() for name in coded.names], dtype=bool)[
            coded.codes
        ]
        if not unnamed.any():
            return self.coded(column, "annotator")
        odd = np.array([not isinstance(name, str) for name in coded.names], dtype=bool)[coded.codes]
        self.errors.add_where(odd, lambda r: f"{column} is not text")
        self.say(
            unnamed, f"has no {column}: an annotator of its own", f"have no {column}: each is an annotator of its own"
        )
        names = coded.text()
        names[odd] = ""
        first: dict[int, int] = {}
        for row in np.flatnonzero(unnamed).tolist():
            one = row if of is None else first.setdefault(int(of[row]), row)
            names[row] = f"unnamed, line {self.line(int(one))}"
        return factorize(names)

    def numbers(self, column: str, option: str, whole: bool = False) -> NDArray[np.float64]:
        """A column of finite numbers; anything else is a malformed row."""
        cells = self._column(column, option)
        values = _numbers(cells)
        bad = ~np.isfinite(values)
        if whole:
            bad |= ~bad & ((values != np.round(values)) | (np.abs(values) >= 2.0**53))
        kind = "a whole number" if whole else "a finite number"
        self.errors.add_where(bad, lambda r: f"{column} {_shown(cells[r])} is not {kind}")
        return np.where(bad, 0.0, values)

    def others(self, used: Sequence[str | None]) -> dict[str, np.ndarray]:
        """Every further column, so that nothing is lost: whole numbers and floats where the text says exactly that."""
        return {
            name: _typed_values(cells) if isinstance(cells, np.ndarray) else _typed_arrow(cells)
            for name, cells in self._columns.items()
            if name not in used
        }


def _as_texts(cells: pa.ChunkedArray | NDArray[np.object_]) -> Coded:
    if isinstance(cells, np.ndarray):
        return factorize(np.array([cell_text(cell) for cell in cells], dtype=object))
    if pa.types.is_nested(cells.type):
        return factorize(np.array([cell_text(cell) for cell in cells.to_pylist()], dtype=object))
    if pa.types.is_dictionary(cells.type) and cells.null_count:
        cells = cells.cast(cells.type.value_type)
    if pa.types.is_dictionary(cells.type):
        encoded = cells.unify_dictionaries().combine_chunks()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.chunk(0)
        codes, names = _by_appearance(encoded)
    else:
        encoded = pc.dictionary_encode(cells, null_encoding="encode").combine_chunks()
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        names = encoded.dictionary.to_pylist()
    text = pa.types.is_string(cells.type) or pa.types.is_dictionary(cells.type)
    if text and None not in names:
        return Coded(codes, np.asarray(names, dtype=object))
    again = factorize(np.array([cell_text(name) for name in names], dtype=object))  # 3 and 3.0, nothing and NaN
    return Coded(again.codes[codes], again.names)


def _by_appearance(cells: pa.DictionaryArray) -> tuple[NDArray[np.int64], list[object]]:
    """Codes and names of a dictionary's values in order of first appearance, without those that do not occur."""
    first = pc.unique(cells.indices).to_numpy(zero_copy_only=False)
    place = np.zeros(len(cells.dictionary), dtype=np.int64)
    place[first] = np.arange(len(first))
    return place[cells.indices.to_numpy(zero_copy_only=False)], cells.dictionary.take(pa.array(first)).to_pylist()


def factorize(values: ArrayLike) -> Coded:
    """Codes in order of first appearance, and the names."""
    codes, names = pd.factorize(np.asarray(values, dtype=object), use_na_sentinel=False)
    return Coded(codes.astype(np.int64), np.asarray(names, dtype=object))


def cell_text(cell: object) -> str | None:
    """A cell as text: whole numbers without a fraction, a list of texts joined, nothing as ``""``; else ``None``."""
    if isinstance(cell, str):
        return cell
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return ""
    if isinstance(cell, bool | np.bool_ | int | np.integer):
        return str(cell)
    if isinstance(cell, float | np.floating):
        number = float(cell)
        whole = number.is_integer() and abs(number) < 2.0**53
        return "" if number != number else str(int(number)) if whole else str(cell)
    if isinstance(cell, list | tuple) and cell and all(isinstance(part, str) for part in cell):
        return ", ".join(map(str, cell))
    return None


def _shown(cell: object) -> str:
    text = repr(cell.as_py() if isinstance(cell, pa.Scalar) else cell)
    return text if len(text) <= 60 else text[:57] + "..."


def _numbers(cells: pa.ChunkedArray | NDArray[np.object_]) -> NDArray[np.float64]:
    """Cells as floats, NaN where there is no number."""
    if not isinstance(cells, np.ndarray):
        if pa.types.is_dictionary(cells.type):
            cells = cells.cast(pa.string())
        try:
            return pc.cast(cells, pa.float64()).to_numpy()
        except pa.ArrowException:
            cells = np.asarray(cells.to_pylist(), dtype=object)
    plain = [v if isinstance(v, str | int | float | np.number) else None for v in cells]
    values = pd.to_numeric(pd.Series(plain, dtype=object), errors="coerce")
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def _typed_arrow(cells: pa.ChunkedArray) -> np.ndarray:
    """A column of Arrow as numpy: text as numbers where it says exactly that, everything else as it is."""
    if pa.types.is_dictionary(cells.type):
        return _typed_text(_as_texts(cells))
    if pa.types.is_string(cells.type) and not cells.null_count:
        numbers = _exact_numbers(cells)
        return _as_texts(cells).text() if numbers is None else numbers
    flat = pa.types.is_integer(cells.type) or pa.types.is_floating(cells.type) or pa.types.is_boolean(cells.type)
    if flat and not (cells.null_count and not pa.types.is_floating(cells.type)):
        values = cells.to_numpy()
        kind = {"i": np.int64, "u": np.int64, "f": np.float64}.get(values.dtype.kind)
        return values if kind is None or values.dtype == np.uint64 else values.astype(kind)
    return _typed_values(np.asarray([*cells.to_pylist(), None], dtype=object)[:-1])


def _exact_numbers(cells: pa.ChunkedArray) -> np.ndarray | None:
    """Text as int64 or float64 where Python writes each number as the same text, else ``None``."""
    for kind in (pa.int64(), pa.float64()):
        parts: list[np.ndarray] = []
        for chunk in cells.chunks:  # one after the other: what is made on the way is small
            numbers = _exact_chunk(chunk, kind)
            if numbers is None:
                break
            parts.append(numbers)
        else:
            return np.concatenate(parts)
    return None


def _exact_chunk(cells: pa.StringArray, kind: pa.DataType) -> np.ndarray | None:
    if not pc.all(pc.match_substring_regex(cells, r"^-?(\d|nan$|inf$)")).as_py():
        return None
    try:
        numbers = pc.cast(cells, kind)
    except pa.ArrowException:
        return None
    written = pc.cast(numbers, pa.string())
    values: np.ndarray = numbers.to_numpy()
    if kind == pa.float64():  # Arrow writes 3.0 as 3, Python as 3.0
        whole = pa.array((values == np.round(values)) & (np.abs(values) < 1e16))
        written = pc.if_else(whole, pc.binary_join_element_wise(written, ".0", ""), written)
    unlike = pc.filter(cells, pc.not_equal(written, cells)).to_pylist()
    exact = not unlike or (kind == pa.float64() and all(repr(float(text)) == text for text in unlike))
    return values if exact else None


def _typed_text(column: Coded) -> np.ndarray:
    """Text as int64 or float64 where that loses nothing."""
    texts = column.names.tolist()
    for dtype in (np.int64, np.float64):
        try:
            numbers = column.names.astype(dtype)
        except (ValueError, OverflowError):
            continue
        if [repr(v) for v in numbers.tolist()] == texts:
            return numbers[column.codes]
    return column.text()


def _typed_values(values: NDArray[np.object_]) -> np.ndarray:
    """Values of one type as an array of that type; text is read as in a file."""
    kinds = {type(v) for v in values}
    if kinds == {str}:
        return _typed_text(factorize(values))
    one = kinds.pop() if len(kinds) == 1 else object
    if one is int and any(abs(int(v)) >= 2**63 for v in values):
        return values
    return values.astype(one) if one in (int, float, bool) else values
