"""Finished cells on disk: one file each, written under a temporary name and then renamed.

A cell's result is a dict, or a list of dicts, of numbers, texts, lists and arrays. It is kept in one ``.npz`` file: the
arrays as they are, the rest as JSON. No pickles: a file that was cut short or made by hand is refused, never executed.
"""

from __future__ import annotations

import io
import json
import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from annosim.errors import StudyError
from annosim.places import split_place
from annosim.study.values import Plain, Row, Value

__all__ = ["Record", "load_record", "normalise_rows", "save_record"]

Status = Literal["done", "failed", "skipped"]
Rows = list[Row]

#: How the readers of zip files, arrays and JSON complain of content that nobody wrote so.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    KeyError,
    ValueError,
    TypeError,
    SyntaxError,
    tokenize.TokenError,
)


@dataclass(frozen=True)
class Record:
    """What became of one replicate of one cell.

    Attributes:
        cell, group, replicate, seed, key: which one it is.
        status: ``done | failed | skipped``.
        rows: its results, one dict or several; empty unless done.
        error: why it failed or was skipped, in one line.
        traceback: where it failed.
        warnings: what it warned of, each text once.
        seconds: what it took.
        parameters: the cell's parameters as plain data.
    """

    cell: str
    group: str
    replicate: int
    seed: int
    key: str
    status: Status
    parameters: Mapping[str, Plain] = field(default_factory=dict)
    rows: Rows = field(default_factory=list)
    error: str = ""
    traceback: str = ""
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0


def save_record(path: Path | str, record: Record) -> None:
    """Keep a finished record at a path or URL; arrays are stored as they are (float64 stays float64)."""
    arrays: dict[str, np.ndarray] = {}
    tree = _take_arrays(record.__dict__, arrays, record.cell)
    text = json.dumps(tree)
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, json=np.frombuffer(text.encode(), dtype=np.uint8), **arrays)
    folder, name = split_place(path)
    folder.write(name, stream.getvalue())


def load_record(path: Path | str) -> Record | None:
    """A kept record, or None when there is none, or one that is damaged or made by hand (it is then computed anew)."""
    folder, name = split_place(path)
    try:
        content = folder.read(name)
    except FileNotFoundError:
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as stored:
            # whole parts, so that their checksums are compared before anything in them is believed
            arrays = {name.removesuffix(".npy"): _array(stored.read(name)) for name in stored.namelist()}
        fields = _put_arrays(json.loads(arrays.pop("json").tobytes().decode()), arrays)
        return Record(**{**fields, "warnings": tuple(fields["warnings"])})
    except _DAMAGE:
        return None


def _array(content: bytes) -> np.ndarray:
    return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)


def normalise_rows(result: object, cell: str) -> Rows:
    """A cell's return value as a list of dicts of plain data and arrays.

    Raises:
        StudyError: it is not a dict or list of dicts, or holds an object that cannot be kept.

    Example:
        >>> normalise_rows({"y": np.float32(1.5)}, "c")
        [{'y': 1.5}]
    """
    rows = [result] if isinstance(result, Mapping) else result
    if not isinstance(rows, list) or not all(isinstance(r, Mapping) for r in rows):
        raise StudyError(f"cell {cell} returned {type(result).__name__}; return a dict, or a list of dicts (rows)")
    return [{str(k): _plain(v, f"{cell}: {k}") for k, v in row.items()} for row in rows]


def _plain(value: object, where: str) -> Value:
    if hasattr(value, "detach"):  # a torch tensor, without importing torch
        value = value.detach().cpu().numpy()
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufcU":
        return value
    if isinstance(value, Mapping):
        return {str(k): _plain(v, where) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v, where) for v in value]
    raise StudyError(
        f"{where} is a {type(value).__name__}, which cannot be kept; return numbers, texts, lists or arrays"
    )


def _take_arrays(value: object, arrays: dict[str, np.ndarray], where: str) -> object:
    """Replace arrays by references, and numbers that JSON does not know by their names."""
    if isinstance(value, np.ndarray):
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {"__array__": name}
    if isinstance(value, float) and not math.isfinite(value):
        return {"__float__": repr(value)}
    if isinstance(value, Mapping):
        return {k: _take_arrays(v, arrays, where) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_take_arrays(v, arrays, where) for v in value]
    return value


def _put_arrays(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_put_arrays(v, arrays) for v in value]
    if not isinstance(value, dict):
        return value
    make: Callable[[Any], Any]
    for mark, make in (("__array__", arrays.__getitem__), ("__float__", float)):
        if set(value) == {mark}:
            return make(value[mark])
    return {k: _put_arrays(v, arrays) for k, v in value.items()}
