"""Parquet: every column of the data and of its items in one file.

The rows are the columns ``annotator, prompt, order, weight`` (where the data have them), ``item_0 ..`` (item ids),
``answer`` or ``answer_0 ..``, ``tied_0 ..``, ``covariate:NAME`` and the named columns; any parquet reader can use them. Items, names and
settings are in the file's metadata under the key ``annosim``. Hidden truth is never in the file: it lies beside it, in
``NAME.truth.npz``. :mod:`annosim.io.parquet` reads it back.
"""

from __future__ import annotations

import base64
import io
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from annosim.data.validation import ROW_COLUMNS
from annosim.errors import DataError
from annosim.files import atomic_bytes, atomic_path
from annosim.items import Items

if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData

__all__ = [
    "METADATA_KEY",
    "items_table",
    "rows_table",
    "truth_bytes",
    "truth_name",
    "truth_path",
    "write_parquet",
    "write_truth",
]

#: Where the metadata of a file hold what its columns do not.
METADATA_KEY = b"annosim"
_VERSION = 1


def write_parquet(data: PreferenceData, path: str | os.PathLike[str]) -> None:
    """Write one file (atomic), and the hidden truth beside it.

    Raises:
        FileReadError: the place cannot be written.
        DataError: a named column or hidden truth that parquet cannot hold (mixed types).
    """
    table = rows_table(data)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="none", row_group_size=1 << 20)
    write_truth(data, truth_path(path))


def truth_path(path: str | os.PathLike[str]) -> Path:
    """Where the hidden truth of a file lies."""
    path = Path(path)
    return path.with_name(truth_name(path.name))


def truth_name(name: str) -> str:
    """Name of the file with the hidden truth of a file of this name.

    Example:
        >>> truth_name("part-000001.parquet")
        'part-000001.truth.npz'
    """
    return name.removesuffix(".parquet") + ".truth.npz"


def write_truth(data: PreferenceData, path: Path) -> None:
    """Hidden truth as arrays by name; an old file is removed when there is none."""
    raw = truth_bytes(data)
    if raw is None:
        path.unlink(missing_ok=True)
        return
    atomic_bytes(path, raw)


def truth_bytes(data: PreferenceData) -> bytes | None:
    """The file of the hidden truth; ``None`` where there is none.

    Raises:
        DataError: an array of objects.
    """
    if not data.truth:
        return None
    arrays = {name: np.asarray(value) for name, value in data.truth.items()}
    odd = [name for name, value in arrays.items() if value.dtype == object]
    if odd:
        raise DataError(f"truth[{odd[0]!r}]: an array of objects cannot be stored; use numbers or text")
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def rows_table(data: PreferenceData, with_items: bool = True) -> pa.Table:
    """The data as an Arrow table whose metadata hold the rest."""
    lead = data.menu.shape[:-1]
    arrays = _row_arrays(data)
    fields = {}
    for name, value in data.columns.items():
        field = name if name not in arrays else f"column:{name}"
        fields[name] = field
        arrays[field] = _array(name, np.concatenate([value] * lead[0]) if len(lead) > 1 else value)
    for name, value in data.covariates.items():
        arrays[f"covariate:{name}"] = _array(name, value.reshape(-1, data.menu_size))
    raw = json.dumps(_metadata(data, fields, with_items), default=str, ensure_ascii=False).encode()
    return pa.table(arrays).replace_schema_metadata({METADATA_KEY: raw})


def _row_arrays(data: PreferenceData) -> dict[str, pa.Array]:
    lead = data.menu.shape[:-1]
    out: dict[str, pa.Array] = {}
    if data.replicates is not None:
        out["replicate"] = pa.array(np.repeat(np.arange(lead[0], dtype=np.int32), lead[1]))
    for name in ROW_COLUMNS:
        value = getattr(data, name)
        if value is not None:
            out[name] = pa.array(np.ascontiguousarray(np.broadcast_to(value, lead)).reshape(-1))
    for stem, value in (("item", data.menu), ("answer", data.answer), ("tied", data.tied)):
        if value is None:
            continue
        if value.ndim == len(lead):
            out[stem] = pa.array(value.reshape(-1))
        else:
            flat = value.reshape(-1, value.shape[-1])
            out |= {f"{stem}_{j}": pa.array(np.ascontiguousarray(flat[:, j])) for j in range(flat.shape[1])}
    return out


def _metadata(data: PreferenceData, fields: dict[str, str], with_items: bool) -> dict[str, object]:
    return {
        "version": _VERSION,
        "feedback": asdict(data.feedback),
        "menu_size": data.menu_size,
        "columns": fields,
        "covariates": list(data.covariates),
        "replicates": data.replicates,
        # columns that have a value of their own in every replicate
        "own": [name for name in ROW_COLUMNS if np.ndim(getattr(data, name)) > 1],
        "settings": dict(data.settings),
        "shapes": {name: list(value.shape[1:]) for name, value in data.columns.items()},
        "wide": data.answer.ndim == data.menu.ndim,
        "tied": data.tied is not None,
        "annotators": data.num_annotators if data.replicates is None else None,
        "annotator_names": _names(data.annotator_names),
        "prompt_names": _names(data.prompt_names),
        "items": _packed(items_table(data.items)) if with_items else None,
    }


def _array(name: str, value: np.ndarray) -> pa.Array:
    """A named column: numbers, text, or an array of fixed shape per row."""
    try:
        flat = pa.array(
            value.reshape(-1).tolist() if value.dtype == object else np.ascontiguousarray(value).reshape(-1)
        )
    except (pa.ArrowException, TypeError) as error:
        raise DataError(f"column {name!r} cannot be stored ({error}); give it one type") from None
    width = int(np.prod(value.shape[1:], dtype=int))
    return flat if value.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, width)


def _names(names: np.ndarray | None) -> list[str] | list[int] | None:
    if names is None or names.dtype.kind in "iu":
        return None if names is None else names.tolist()
    return [str(name) for name in names]


def items_table(items: Items) -> pa.Table:
    """Items as a table, nothing lost."""
    arrays: dict[str, pa.Array] = {
        "name": pa.array(list(items.names)),
        "prompt": pa.array(items.prompts.cpu().numpy()),
        "cluster": pa.array(items.clusters.cpu().numpy()),
        "weight": pa.array(items.weights.cpu().numpy()),
    }
    if items.texts is not None:
        arrays["text"] = pa.array(list(items.texts))
    shapes, columns = {}, {}
    for name, value in (("features", items.features), ("tokens", items.tokens)):
        if value is not None:
            array = value.detach().cpu().numpy()
            shapes[name] = list(array.shape[1:])
            arrays[name] = _array(name, array.reshape(items.n, -1))
    for name, column in items.columns.items():
        array = np.asarray(column)
        columns[name] = list(array.shape[1:])
        arrays[f"column:{name}"] = _array(name, array.reshape(items.n, -1) if array.ndim > 1 else array)
    raw = json.dumps({"shapes": shapes, "columns": columns}).encode()
    return pa.table(arrays).replace_schema_metadata({METADATA_KEY: raw})


def _packed(table: pa.Table) -> str:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return base64.b64encode(sink.getvalue()).decode()
