"""Tables of records: JSON lists, JSON lines, CSV and parquet files with the same fields in every record."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from annosim.errors import DataError, FileReadError
from annosim.io.files import Problems, Table, atomic_path, atomic_text, read_table, read_text

__all__ = ["read_records", "write_records"]


def read_records(path: str | os.PathLike[str]) -> Table:
    """A ``.json`` list of objects, ``.jsonl`` (one object a line), ``.csv`` or ``.parquet`` file as a table.

    Values keep their types, except in CSV. A field that a record does not have is ``None``.

    Raises:
        FileReadError: missing, unreadable or empty, or not the format that its extension says.
        RowsError: lines that are not JSON objects, all of them with their numbers.
    """
    suffix = Path(str(path).removesuffix(".gz")).suffix.lower()
    if suffix == ".csv":
        return read_table(path)
    if suffix == ".parquet":
        return _parquet(path)
    if suffix in (".jsonl", ".ndjson"):
        return _lines(path, read_text(path))
    if suffix == ".json":
        text = read_text(path)
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            if text.lstrip()[:1] == "{" and "\n" in text.strip():
                return _lines(path, text)
            raise FileReadError(f"{path}: line {error.lineno}: not JSON ({error.msg})") from None
        found = [found] if isinstance(found, dict) else found
        if not isinstance(found, list) or not found:
            raise FileReadError(f"{path}: expected a list of records, one object per answer, at least one")
        problems = Problems(path, lambda row: row + 1)
        for i, record in enumerate(found):
            if not isinstance(record, dict):
                problems.add(i, "not an object (counting records from 1)")
        problems.report("make every record an object with the same fields")
        return _table(path, found, list(range(1, len(found) + 1)))
    raise FileReadError(f"{path}: extension {suffix!r}; records are read from .jsonl, .json, .csv or .parquet")


def _lines(path: Any, text: str) -> Table:
    records, lines = [], []
    problems = Problems(path, lambda line: line)
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            problems.add(number, f"not JSON ({error.msg})")
            continue
        if not isinstance(record, dict):
            problems.add(number, "not an object")
            continue
        records.append(record)
        lines.append(number)
    problems.report("write one JSON object per line")
    return _table(path, records, lines)


def _parquet(path: Any) -> Table:
    from annosim.io.parquet import open_file

    with open_file(path) as file:
        table = file.read()
    return _table(path, table.to_pylist(), list(range(1, table.num_rows + 1)))


def _table(path: Any, records: Sequence[Mapping[str, Any]], lines: list[int]) -> Table:
    if not records:
        raise FileReadError(f"{path}: no records; check how the file was made")
    names = list(dict.fromkeys(name for record in records for name in record))
    columns = {}
    for name in names:
        values = np.empty(len(records), dtype=object)
        values[:] = [record.get(name) for record in records]
        columns[name] = values
    return Table.of(path, pd.DataFrame(columns, dtype=object), lines)


def write_records(path: str | os.PathLike[str], columns: Mapping[str, Any]) -> None:
    """Write columns as records, by extension; atomic. ``None`` fields are left out of JSON."""
    suffix = Path(str(path).removesuffix(".gz")).suffix.lower()
    if suffix == ".csv":
        atomic_text(path, pd.DataFrame(dict(columns)).to_csv(index=False, lineterminator="\n"))
    elif suffix == ".parquet":
        try:
            table = pa.table({name: plain_list(values) for name, values in columns.items()})
        except pa.ArrowException as error:
            raise DataError(f"{path}: a column cannot be stored ({error}); use .jsonl") from None
        with atomic_path(path) as temporary:
            pq.write_table(table, temporary)
    elif suffix in (".jsonl", ".ndjson", ".json"):
        lists = [plain_list(values) for values in columns.values()]
        records = [
            {name: value for name, value in zip(columns, row, strict=True) if value is not None}
            for row in zip(*lists, strict=True)
        ]
        if suffix == ".json":
            atomic_text(path, json.dumps(records, ensure_ascii=False, indent=1) + "\n")
        else:
            atomic_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    else:
        raise FileReadError(f"{path}: extension {suffix!r}; records are written to .jsonl, .json, .csv or .parquet")


def plain_list(values: Any) -> list[Any]:
    """A column as plain Python values."""
    return np.asarray(values).tolist() if not isinstance(values, list) else values
