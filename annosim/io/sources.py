"""Tables from files, from URLs and from memory."""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import pandas as pd
import pyarrow as pa

from annosim.errors import ArgumentError, FileReadError
from annosim.io.arrow import open_parquet, read_rows
from annosim.io.delimited import read_delimited
from annosim.io.row_errors import RowErrors
from annosim.io.tables import Table
from annosim.places import read_bytes, read_text

__all__ = ["RecordSource", "Source", "flattened", "read_table", "source_name", "suffix_of", "table_of_records"]


@runtime_checkable
class RecordSource(Protocol):
    """What gives its rows as records, such as a ``datasets.Dataset``."""

    def to_list(self) -> list[dict[str, object]]: ...


#: What a table is read from: a file or URL, a pandas frame, an Arrow table, a ``datasets.Dataset``, a list of records,
#: or a table that was read already.
Source: TypeAlias = (
    str | os.PathLike[str] | pd.DataFrame | pa.Table | RecordSource | Sequence[Mapping[str, object]] | Table
)


def read_table(source: Source, sep: str | None = None) -> Table:
    """A table from a file (delimited text, JSON, JSON lines or parquet) or from memory.

    Args:
        source: a path or URL, a pandas frame, an Arrow table, a ``datasets.Dataset``, a list of records, or a table.
        sep: the separator of a delimited file; by default a tab in ``.tsv`` files and what the header uses elsewhere.

    Raises:
        FileReadError: missing, unreadable, empty, without rows, or with a header that repeats a name.
        RowsError: malformed lines, all of them with their numbers.
        ArgumentError: a source of another type, or a separator of more than one character.
    """
    if isinstance(source, Table):
        return source
    if isinstance(source, str | os.PathLike):
        return _read_file(source, _separator(sep))
    if isinstance(source, pd.DataFrame):
        return _table_of_frame(source)
    if isinstance(source, pa.Table):
        return _table_of_arrow("table (rows counted from 1)", source)
    records = source.to_list() if isinstance(source, RecordSource) else source
    if not isinstance(records, Sequence):
        raise ArgumentError(
            f"read: a path, a pandas frame, an Arrow table or a list of records, not {type(source).__name__}"
        )
    return table_of_records("records (counted from 1)", list(records))


def source_name(source: Source) -> str:
    """What the settings of the data call their source."""
    if isinstance(source, Table):
        return source.name
    return str(source) if isinstance(source, str | os.PathLike) else type(source).__name__


def suffix_of(path: str | os.PathLike[str]) -> str:
    """The ending of a file's name, before ``.gz``."""
    return Path(str(path).removesuffix(".gz")).suffix.lower()


def _separator(sep: str | None) -> str | None:
    sep = "\t" if sep == "\\t" else sep
    if sep is not None and len(sep) != 1:
        raise ArgumentError(f"sep={sep!r}: one character, for example ',' or a tab")
    return sep


def _read_file(path: str | os.PathLike[str], sep: str | None) -> Table:
    suffix = suffix_of(path)
    if suffix == ".parquet":
        with open_parquet(path, codes=True) as file:
            rows = read_rows(path, file)
        return _table_of_arrow(str(path), rows)
    if suffix in (".jsonl", ".ndjson"):
        return _read_json_lines(path, read_text(path))
    if suffix == ".eval":
        return _read_inspect(path)
    if suffix == ".json":
        return _read_json(path, read_text(path))
    found = read_delimited(path, "\t" if sep is None and suffix == ".tsv" else sep)
    columns = dict(zip(found.cells.column_names, found.cells.columns, strict=True))
    return Table(str(path), columns, found.lines, found.notes)


def _read_inspect(path: str | os.PathLike[str]) -> Table:
    """An Inspect log as an archive: a JSON file for every sample."""
    records: list[object] = []
    try:
        with zipfile.ZipFile(io.BytesIO(read_bytes(path))) as archive:
            names = sorted(name for name in archive.namelist() if name.startswith("samples/"))
            records = [json.loads(archive.read(name)) for name in names]
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, RecursionError, RuntimeError, zlib.error):
        raise FileReadError(f"{path}: not a readable Inspect log; check that it is whole") from None
    return table_of_records(str(path), records)


def _table_of_arrow(name: str, rows: pa.Table) -> Table:
    """Columns of plain values stay in Arrow; records, lists and times become Python values."""
    if not rows.num_rows or not rows.num_columns:
        raise FileReadError(f"{name}: no records; check how the file was made")
    twice = [column for column in rows.column_names if rows.column_names.count(column) > 1]
    if twice:
        raise FileReadError(f"{name}: two columns are called {twice[0][:60]!r}; give every column its own name")
    columns = {column: _arrow_cells(rows.column(column)) for column in rows.column_names}
    return Table(name, columns, lambda: range(1, rows.num_rows + 1))


def _arrow_cells(cells: pa.ChunkedArray) -> pa.ChunkedArray | np.ndarray:
    kind = cells.type.value_type if pa.types.is_dictionary(cells.type) else cells.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        coded = pa.types.is_dictionary(cells.type) and not cells.null_count  # a tenth of the memory of the texts
        return cells.cast(pa.dictionary(pa.int32(), pa.string()) if coded else pa.string())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return cells.cast(kind)
    values = np.empty(len(cells), dtype=object)
    values[:] = cells.to_pylist()
    return values


def _table_of_frame(frame: pd.DataFrame) -> Table:
    if not len(frame):
        raise FileReadError("frame: it has no rows; check the filter that was applied")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise FileReadError(f"frame: two columns are called {str(twice)[:60]!r}; give every column its own name")
    columns = {str(name): _plain_cells(frame[name]) for name in frame.columns}
    return Table("frame (rows counted from 1)", columns, lambda: range(1, len(frame) + 1))


def _plain_cells(column: pd.Series) -> np.ndarray:
    """Cells as Python values, arrays as lists."""
    out = np.empty(len(column), dtype=object)
    out[:] = [v.tolist() if isinstance(v, np.ndarray) else v for v in column.astype(object)]
    return out


def table_of_records(
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
    found = _records_in(found) if isinstance(found, dict) else found
    if not isinstance(found, list) or not found:
        raise FileReadError(f"{path}: expected a list of records, one object per answer, at least one")
    return table_of_records(str(path), found)


#: Fields under which exporters keep their records.
_LISTS = ("samples", "data", "records", "results", "rows", "battles", "votes", "annotations", "items", "responses")


def _records_in(found: dict[str, object]) -> list[object]:
    """The records of an object that holds a list of them (an Inspect log: ``samples``), else the object itself."""
    lists = [name for name, value in found.items() if isinstance(value, list) and value and isinstance(value[0], dict)]
    name = next((name for name in _LISTS if name in lists), lists[0] if len(lists) == 1 and len(found) == 1 else None)
    if name is None:
        return [found]
    records = found[name]
    assert isinstance(records, list)
    task = found.get("eval")
    if name == "samples" and isinstance(task, dict):  # Inspect: the log says once which model was asked
        return [{**one, "model": task.get("model")} if isinstance(one, dict) else one for one in records]
    return records


def flattened(table: Table) -> Table | None:
    """The table with fields of nested records as columns of their own, or ``None`` where nothing is nested.

    A field is called after itself, or after its path (``scores.judge.value``) where two are called alike.

    Example:
        >>> flattened(read_table([{"doc": {"model_a": "x"}, "acc": 1}])).columns
        ['model_a', 'acc']
    """
    columns = {name: table.values(name, name) for name in table.columns}
    texts = {name: found for name, cells in columns.items() if (found := _parsed(cells)) is not None}
    columns |= texts
    if not any(isinstance(cell, dict) for cells in columns.values() for cell in cells[:50]):
        return None
    records = [dict(_leaves({name: cells[row] for name, cells in columns.items()})) for row in range(len(table))]
    paths = list(dict.fromkeys(path for record in records for path in record))[:500]
    last = [path[-1] for path in paths]
    name_of = {path: path[-1] if last.count(path[-1]) == 1 else ".".join(path) for path in paths}
    name_of |= {
        path: ".".join((path[0].partition(".")[0], *path[1:])) for path in paths if path[0] in texts and path[1:]
    }
    rows = [{name_of[path]: value for path, value in record.items() if path in name_of} for record in records]
    flat = table_of_records(table.name, rows, [table.line(row) for row in range(len(table))])
    flat.notes = table.notes
    return flat


def _parsed(cells: np.ndarray) -> np.ndarray | None:
    """Cells as records where all are JSON texts of one each (Mechanical Turk's taskAnswers); ``None`` for other cells."""
    out = np.empty(len(cells), dtype=object)
    for row, cell in enumerate(cells):
        if not isinstance(cell, str) or cell.lstrip()[:1] not in ("{", "["):
            if cell not in (None, ""):
                return None
            continue
        try:
            found = json.loads(cell)
        except (ValueError, RecursionError):
            return None
        out[row] = found[0] if isinstance(found, list) and len(found) == 1 else found
        if not isinstance(out[row], dict):
            return None
    return out if any(isinstance(cell, dict) for cell in out) else None


def _leaves(record: Mapping[str, object], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    for name, value in record.items():
        if isinstance(value, dict) and value and len(path) < 4:
            yield from _leaves(value, (*path, str(name)))
        else:
            yield (*path, str(name)), value


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
    return table_of_records(str(path), records, lines, "one per line")
