"""Tables from files and from memory: columns of cells, the line of each row, and every malformed row at once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import ArrayLike, NDArray

from annosim.errors import ArgumentError, FileReadError
from annosim.files import decode, read_bytes, read_text
from annosim.io.arrow import open_parquet, read_rows
from annosim.io.delimited import line_numbers, read_delimited
from annosim.io.row_errors import RowErrors

__all__ = ["Coded", "Source", "Table", "factorize", "read_table", "source_name"]


@runtime_checkable
class RecordSource(Protocol):
    """What gives its rows as records, such as a ``datasets.Dataset``."""

    def to_list(self) -> list[dict[str, object]]: ...


#: What a table is read from: a file, a pandas frame, an Arrow table, a ``datasets.Dataset``, or a list of records.
Source: TypeAlias = str | os.PathLike[str] | pd.DataFrame | pa.Table | RecordSource | Sequence[Mapping[str, object]]


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
    """

    def __init__(
        self,
        name: str,
        columns: Mapping[str, pa.ChunkedArray | NDArray[np.object_]],
        lines: Callable[[], Sequence[int]],
    ):
        self.name, self._columns, self._lines_of = name, columns, lines
        self._lines: Sequence[int] | None = None
        self.errors = RowErrors(name, self.line)

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self._columns)

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

    def coded(self, column: str, option: str, blank: bool = False) -> Coded:
        """A column as text; an empty cell, or one that is no text, is a malformed row (``blank`` allows the former)."""
        cells = self._column(column, option)
        if isinstance(cells, np.ndarray):
            coded = factorize(np.array([cell_text(cell) for cell in cells], dtype=object))
        else:
            encoded = pc.dictionary_encode(cells).combine_chunks()
            coded = Coded(
                encoded.indices.to_numpy().astype(np.int64), np.asarray(encoded.dictionary.to_pylist(), dtype=object)
            )
        odd = np.array([not isinstance(name, str) or (name == "" and not blank) for name in coded.names], dtype=bool)
        if odd.any():
            self.errors.add_where(
                odd[coded.codes],
                lambda r: f"{column} is {'empty' if coded.names[coded.codes[r]] == '' else 'not text'}",
            )
            coded = Coded(coded.codes, np.array([n if isinstance(n, str) else "" for n in coded.names], dtype=object))
        return coded

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
            name: _typed_values(cells) if isinstance(cells, np.ndarray) else _typed_text(self.coded(name, name, True))
            for name, cells in self._columns.items()
            if name not in used
        }


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
        try:
            return pc.cast(cells, pa.float64()).to_numpy()
        except pa.ArrowException:
            cells = np.asarray(cells.to_pylist(), dtype=object)
    plain = [v if isinstance(v, str | int | float | np.number) else None for v in cells]
    values = pd.to_numeric(pd.Series(plain, dtype=object), errors="coerce")
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


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


# ---- sources -------------------------------------------------------------------------------------------------------


def read_table(source: Source, sep: str | None = None) -> Table:
    """A table from a file (delimited text, JSON, JSON lines or parquet) or from memory.

    Args:
        source: a path, a pandas frame, an Arrow table, a ``datasets.Dataset``, or a list of records.
        sep: the separator of a delimited file; by default a tab in ``.tsv`` files and what the header uses elsewhere.

    Raises:
        FileReadError: missing, unreadable, empty, without rows, or with a header that repeats a name.
        RowsError: malformed lines, all of them with their numbers.
        ArgumentError: a source of another type, or a separator of more than one character.
    """
    if isinstance(source, str | os.PathLike):
        return _read_file(source, _separator(sep))
    if isinstance(source, pd.DataFrame):
        return _table_of_frame(source)
    if isinstance(source, pa.Table):
        return _table_of_records("table (rows counted from 1)", source.to_pylist())
    records = source.to_list() if isinstance(source, RecordSource) else source
    if not isinstance(records, Sequence):
        raise ArgumentError(
            f"read: a path, a pandas frame, an Arrow table or a list of records, not {type(source).__name__}"
        )
    return _table_of_records("records (counted from 1)", list(records))


def source_name(source: Source) -> str:
    """What the settings of the data call their source."""
    return str(source) if isinstance(source, str | os.PathLike) else type(source).__name__


def _separator(sep: str | None) -> str | None:
    sep = "\t" if sep == "\\t" else sep
    if sep is not None and len(sep) != 1:
        raise ArgumentError(f"sep={sep!r}: one character, for example ',' or a tab")
    return sep


def _read_file(path: str | os.PathLike[str], sep: str | None) -> Table:
    suffix = Path(str(path).removesuffix(".gz")).suffix.lower()
    if suffix == ".parquet":
        with open_parquet(path) as file:
            rows = read_rows(path, file)
        return _table_of_records(str(path), rows.to_pylist())
    if suffix in (".jsonl", ".ndjson"):
        return _read_json_lines(path, read_text(path))
    if suffix == ".json":
        return _read_json(path, read_text(path))
    raw = read_bytes(path)
    cells, used = read_delimited(path, raw, "\t" if sep is None and suffix == ".tsv" else sep)
    columns = dict(zip(cells.column_names, cells.columns, strict=True))
    return Table(str(path), columns, lambda: line_numbers(decode(path, raw), used, cells.num_rows))


def _table_of_frame(frame: pd.DataFrame) -> Table:
    if not len(frame):
        raise FileReadError("frame: it has no rows; check the filter that was applied")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise FileReadError(f"frame: two columns are called {str(twice)[:60]!r}; give every column its own name")
    columns = {str(name): _plain_cells(frame[name]) for name in frame.columns}
    return Table("frame (rows counted from 1)", columns, lambda: range(1, len(frame) + 1))


def _plain_cells(column: pd.Series) -> NDArray[np.object_]:
    """Cells as Python values, arrays as lists."""
    out = np.empty(len(column), dtype=object)
    out[:] = [v.tolist() if isinstance(v, np.ndarray) else v for v in column.astype(object)]
    return out


def _table_of_records(
    name: str, records: Sequence[object], lines: Sequence[int] | None = None, what: str = "counting records from 1"
) -> Table:
    if not records:
        raise FileReadError(f"{name}: no records; check how the file was made")
    lines = range(1, len(records) + 1) if lines is None else lines
    errors = RowErrors(name, lambda row: lines[row])
    for i, record in enumerate(records):
        if not isinstance(record, Mapping):
            errors.add(i, f"not an object ({what})")
    errors.raise_if_any("make every record an object with the same fields")
    plain: list[Mapping[str, object]] = [r for r in records if isinstance(r, Mapping)]
    fields = list(dict.fromkeys(str(field) for record in plain for field in record))
    columns = {}
    for field in fields:
        values = np.empty(len(plain), dtype=object)
        values[:] = [record.get(field) for record in plain]
        columns[field] = values
    if not columns:
        raise FileReadError(f"{name}: the records have no fields; check how the file was made")
    return Table(name, columns, lambda: lines)


def _read_json(path: str | os.PathLike[str], text: str) -> Table:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        if text.lstrip()[:1] == "{" and "\n" in text.strip():
            return _read_json_lines(path, text)
        raise FileReadError(f"{path}: line {error.lineno}: not JSON ({error.msg})") from None
    except (RecursionError, ValueError):
        raise FileReadError(f"{path}: not JSON that holds records (nested too deeply, or numbers too long)") from None
    found = [found] if isinstance(found, dict) else found
    if not isinstance(found, list) or not found:
        raise FileReadError(f"{path}: expected a list of records, one object per answer, at least one")
    return _table_of_records(str(path), found)


def _read_json_lines(path: str | os.PathLike[str], text: str) -> Table:
    records, lines = [], []
    errors = RowErrors(path, lambda line: line)
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            errors.add(number, f"not JSON ({error.msg})")
        except (RecursionError, ValueError):
            errors.add(number, "not JSON that holds a record (nested too deeply, or numbers too long)")
        else:
            records.append(record)
            lines.append(number)
    errors.raise_if_any("write one JSON object per line")
    return _table_of_records(str(path), records, lines, "one per line")
