"""Columns as files of records: JSON lists, JSON lines, CSV and parquet; atomic."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from annosim.errors import DataError, FileReadError
from annosim.files import atomic_path, atomic_text

__all__ = ["write_csv", "write_records"]


def write_csv(frame: pd.DataFrame, path: str | os.PathLike[str], sep: str = ",") -> None:
    """A frame as delimited text without its index."""
    atomic_text(path, frame.to_csv(index=False, sep=sep, lineterminator="\n"))


def write_records(path: str | os.PathLike[str], columns: Mapping[str, object]) -> None:
    """Write columns as records, by extension. ``None`` fields are left out of JSON.

    Raises:
        FileReadError: another extension, or a place that cannot be written.
        DataError: a column that parquet cannot hold.
    """
    suffix = Path(str(path).removesuffix(".gz")).suffix.lower()
    if suffix == ".csv":
        write_csv(pd.DataFrame(dict(columns)), path)
    elif suffix == ".parquet":
        _write_parquet(path, columns)
    elif suffix in (".jsonl", ".ndjson", ".json"):
        _write_json(path, columns, lines=suffix != ".json")
    else:
        raise FileReadError(f"{path}: extension {suffix!r}; records are written to .jsonl, .json, .csv or .parquet")


def _write_parquet(path: str | os.PathLike[str], columns: Mapping[str, object]) -> None:
    try:
        table = pa.table({name: plain_list(values) for name, values in columns.items()})
    except pa.ArrowException as error:
        raise DataError(f"{path}: a column cannot be stored ({error}); use .jsonl") from None
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def _write_json(path: str | os.PathLike[str], columns: Mapping[str, object], lines: bool) -> None:
    lists = [plain_list(values) for values in columns.values()]
    records = [
        {name: value for name, value in zip(columns, row, strict=True) if value is not None}
        for row in zip(*lists, strict=True)
    ]
    if lines:
        atomic_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    else:
        atomic_text(path, json.dumps(records, ensure_ascii=False, indent=1) + "\n")


def plain_list(values: object) -> list[object]:
    """A column as plain Python values."""
    return values if isinstance(values, list) else np.asarray(values).tolist()
