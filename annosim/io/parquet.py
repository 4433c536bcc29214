"""Parquet: every column of the data and of its items in one file, read through a memory map.

The rows are the columns ``annotator, prompt, order, weight`` (where the data have them), ``item_0 ..`` (item ids),
``answer`` or ``answer_0 ..``, ``tied_0 ..`` and the named columns; any parquet reader can use them. Items, names and
settings are in the file's metadata under the key ``annosim``. Hidden truth is never in the file: it lies beside it, in
``NAME.truth.npz``.
"""

from __future__ import annotations

import base64
import io
import json
import os
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from annosim.errors import DataError, FileReadError
from annosim.feedback import Feedback
from annosim.io.files import atomic_path
from annosim.items import Items

if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData

__all__ = ["data_of", "read_file", "table_of", "truth_path", "write_parquet"]

_KEY = b"annosim"
_VERSION = 1
_SHARED = ("annotator", "prompt", "order", "weight")


def write_parquet(data: PreferenceData, path: str | os.PathLike[str]) -> None:
    """Write one file (atomic), and the hidden truth beside it.

    Raises:
        FileReadError: the place cannot be written.
        DataError: a named column or hidden truth that parquet cannot hold (mixed types).
    """
    table = table_of(data)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="none", row_group_size=1 << 20)
    write_truth(data, truth_path(path))


def truth_path(path: str | os.PathLike[str]) -> Path:
    """Where the hidden truth of a file lies."""
    path = Path(path)
    return path.with_name(path.name.removesuffix(".parquet") + ".truth.npz")


def write_truth(data: PreferenceData, path: Path) -> None:
    """Hidden truth as arrays by name; an old file is removed when there is none."""
    if not data.truth:
        path.unlink(missing_ok=True)
        return
    arrays = {name: np.asarray(value) for name, value in data.truth.items()}
    odd = [name for name, value in arrays.items() if value.dtype == object]
    if odd:
        raise DataError(f"truth[{odd[0]!r}]: an array of objects cannot be stored; use numbers or text")
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, **arrays)  # type: ignore[arg-type]


def read_truth(path: Path) -> dict[str, np.ndarray]:
    """The reverse of :func:`write_truth`; empty when there is no file."""
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as held:
            return {name: held[name] for name in held.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise FileReadError(f"{path}: the hidden truth is damaged ({error}); remove it to go on without") from None


# ---- data to a table -----------------------------------------------------------------------------------------------


def table_of(data: PreferenceData, with_items: bool = True) -> pa.Table:
    """The data as an Arrow table whose metadata hold the rest."""
    rows = int(np.prod(data.menu.shape[:-1]))
    lead = data.menu.shape[:-1]
    arrays: dict[str, pa.Array] = {}
    if data.replicates is not None:
        arrays["replicate"] = pa.array(np.repeat(np.arange(lead[0], dtype=np.int32), lead[1]))
    own = []  # columns that have a value of their own in every replicate
    for name in _SHARED:
        value = getattr(data, name)
        if value is not None:
            own += [name] if value.ndim > 1 else []
            arrays[name] = pa.array(np.ascontiguousarray(np.broadcast_to(value, lead)).reshape(-1))
    for stem, value in (("item", data.menu), ("answer", data.answer), ("tied", data.tied)):
        if value is None:
            continue
        if value.ndim == len(lead):
            arrays[stem] = pa.array(value.reshape(-1))
        else:
            flat = value.reshape(rows, -1)
            arrays |= {f"{stem}_{j}": pa.array(np.ascontiguousarray(flat[:, j])) for j in range(flat.shape[1])}
    fields = {}
    for name, value in data.columns.items():
        field = name if name not in arrays else f"column:{name}"
        fields[name] = field
        tiled = np.concatenate([np.asarray(value)] * lead[0]) if len(lead) > 1 else np.asarray(value)
        arrays[field] = _extra(name, tiled)
    meta = {
        "version": _VERSION,
        "feedback": asdict(data.feedback),
        "menu_size": data.menu_size,
        "columns": fields,
        "replicates": data.replicates,
        "own": own,
        "settings": dict(data.settings),
        "shapes": {name: list(np.shape(value)[1:]) for name, value in data.columns.items()},
        "wide": data.answer.ndim == data.menu.ndim,
        "tied": data.tied is not None,
        "annotators": data.num_annotators if data.replicates is None else None,
        "annotator_names": _strings(data.annotator_names),
        "prompt_names": _strings(data.prompt_names),
        "items": _packed(items_table(data.items)) if with_items else None,
    }
    raw = json.dumps(meta, default=str, ensure_ascii=False).encode()
    return pa.table(arrays).replace_schema_metadata({_KEY: raw})


def _extra(name: str, value: np.ndarray) -> pa.Array:
    """A named column: numbers, text, or an array of fixed shape per row."""
    width = int(np.prod(value.shape[1:], dtype=int))
    try:
        flat = pa.array(
            value.reshape(-1).tolist() if value.dtype == object else np.ascontiguousarray(value).reshape(-1)
        )
    except (pa.ArrowException, TypeError) as error:
        raise DataError(f"column {name!r} cannot be stored ({error}); give it one type") from None
    return flat if value.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, width)


def _strings(names: Any) -> list[str] | None:
    return None if names is None else [str(name) for name in names]


def items_table(items: Items) -> pa.Table:
    """Items as a table, nothing lost."""
    arrays: dict[str, Any] = {
        "name": pa.array(list(items.names)),
        "prompt": pa.array(items.prompts.cpu().numpy()),
        "cluster": pa.array(items.clusters.cpu().numpy()),
        "weight": pa.array(items.weights.cpu().numpy()),
    }
    if items.texts is not None:
        arrays["text"] = pa.array(list(items.texts))
    meta: dict[str, Any] = {"shapes": {}, "columns": {}}
    for name in ("features", "tokens"):
        value = getattr(items, name)
        if value is not None:
            array = value.detach().cpu().numpy()
            meta["shapes"][name] = list(array.shape[1:])
            arrays[name] = _extra(name, array.reshape(items.n, -1))
    for name, value in items.columns.items():
        array = np.asarray(value)
        meta["columns"][name] = list(array.shape[1:])
        arrays[f"column:{name}"] = _extra(name, array.reshape(items.n, -1) if array.ndim > 1 else array)
    return pa.table(arrays).replace_schema_metadata({_KEY: json.dumps(meta).encode()})


def items_of(table: pa.Table) -> Items:
    """The reverse of :func:`items_table`."""
    meta = json.loads(table.schema.metadata[_KEY])
    shaped = {
        name: _numpy(table[name]).reshape(table.num_rows, *shape).copy() for name, shape in meta["shapes"].items()
    }
    return Items(
        names=table["name"].to_pylist(),
        texts=table["text"].to_pylist() if "text" in table.column_names else None,
        prompts=_numpy(table["prompt"]).copy(),  # tensors want memory that they may write to
        clusters=_numpy(table["cluster"]).copy(),
        weights=_numpy(table["weight"]).copy(),
        columns={
            name: _numpy(table[f"column:{name}"]).reshape(table.num_rows, *shape)
            for name, shape in meta["columns"].items()
        },
        **shaped,  # type: ignore[arg-type]
    )


def _packed(table: pa.Table) -> str:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return base64.b64encode(sink.getvalue()).decode()


def _unpacked(text: str) -> pa.Table:
    return pa.ipc.open_stream(base64.b64decode(text)).read_all()


def _numpy(column: pa.ChunkedArray) -> np.ndarray:
    array = column.combine_chunks()
    array = array.chunk(0) if isinstance(array, pa.ChunkedArray) and array.num_chunks else array
    if pa.types.is_fixed_size_list(array.type):
        array = array.flatten()
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        return np.asarray(array.to_pylist(), dtype=object)
    return array.to_numpy(zero_copy_only=False)


# ---- a table to data -----------------------------------------------------------------------------------------------


def metadata_of(path: Any, schema: pa.Schema) -> dict[str, Any]:
    """The metadata that :func:`table_of` wrote."""
    raw = (schema.metadata or {}).get(_KEY)
    if raw is None:
        have = ", ".join(schema.names[:12])
        raise FileReadError(
            f"{path}: a parquet file that annosim did not write (columns {have}); "
            "read it with pandas and use an.PreferenceData.from_frame, or name its format"
        )
    return json.loads(raw)


def data_of(
    table: pa.Table, meta: dict[str, Any], items: Items | None = None, truth: dict[str, Any] | None = None
) -> PreferenceData:
    """The reverse of :func:`table_of`."""
    from annosim.data.preferences import PreferenceData

    replicates = meta["replicates"]
    lead = (table.num_rows,) if replicates is None else (replicates, table.num_rows // replicates)

    def stacked(stem: str, width: int) -> np.ndarray:
        out = [_numpy(table[f"{stem}_{j}"]) for j in range(width)]
        return np.stack(out, 1).reshape(*lead, width) if out else np.zeros((*lead, 0), dtype=bool)

    k = meta["menu_size"]
    width = sum(name.startswith("answer_") for name in table.column_names)
    given = {}
    for name in _SHARED:
        if name in table.column_names:
            value = _numpy(table[name]).reshape(lead)
            given[name] = value if replicates is None or name in meta["own"] else value[0]
    columns = {}
    for name, field in meta["columns"].items():
        shape = meta["shapes"][name]
        columns[name] = _numpy(table[field]).reshape(table.num_rows, *shape)[: lead[-1]]
    return PreferenceData(
        items=items_of(_unpacked(meta["items"])) if items is None else items,
        menu=stacked("item", k),
        answer=stacked("answer", width) if meta["wide"] else _numpy(table["answer"]).reshape(lead),
        tied=stacked("tied", k - 1) if meta["tied"] else None,
        feedback=Feedback(**meta["feedback"]),
        annotator_names=meta["annotator_names"],
        prompt_names=meta["prompt_names"],
        columns=columns,
        truth=truth or {},
        settings=meta["settings"],
        **given,
    )


def open_file(path: str | os.PathLike[str]) -> pq.ParquetFile:
    """A parquet file through a memory map; nothing is read but its footer."""
    try:
        return pq.ParquetFile(path, memory_map=True)
    except FileNotFoundError:
        raise FileReadError(f"{path}: there is no such file; check the path") from None
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise FileReadError(f"{path}: not a readable parquet file ({reason})") from None


def read_file(path: str | os.PathLike[str]) -> PreferenceData:
    """One file that :func:`write_parquet` wrote, with the hidden truth that lies beside it."""
    with open_file(path) as file:
        meta = metadata_of(path, file.schema_arrow)
        try:
            table = file.read()
        except (OSError, pa.ArrowException) as error:
            raise FileReadError(f"{path}: damaged ({str(error).splitlines()[0]}); write it again") from None
    return data_of(table, meta, truth=read_truth(truth_path(path)))
