"""annosim's own parquet files (their layout is described in :mod:`annosim.data.writers.parquet`), read and checked."""

from __future__ import annotations

import base64
import binascii
import os
import zipfile

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, Field, ValidationError

from annosim.data.preferences import PreferenceData
from annosim.data.validation import ROW_COLUMNS
from annosim.data.writers.parquet import METADATA_KEY, truth_name
from annosim.errors import FileReadError
from annosim.feedback import Feedback
from annosim.io.arrow import open_parquet, read_rows, reason
from annosim.items import Items
from annosim.places import split_place

__all__ = ["FileMetadata", "metadata_of", "read_data", "read_file", "read_items", "read_truth"]

Path_ = str | os.PathLike[str]
_REMEDY = "the file is damaged, or was changed by hand; write it again"


class FileMetadata(BaseModel):
    """What the metadata of a file say beside its columns."""

    feedback: dict[str, str | int | None]
    menu_size: int = Field(ge=1, le=32_767)
    columns: dict[str, str] = {}
    shapes: dict[str, list[int]] = {}
    covariates: list[str] = []
    replicates: int | None = Field(None, ge=1)
    own: list[str] = []
    settings: dict[str, object] = {}
    wide: bool
    tied: bool
    annotator_names: list[str] | list[int] | None = None
    prompt_names: list[str] | list[int] | None = None
    items: str | None = None


class _ItemsMetadata(BaseModel):
    shapes: dict[str, list[int]] = {}
    columns: dict[str, list[int]] = {}


def metadata_of(path: Path_, schema: pa.Schema) -> FileMetadata:
    """The metadata that ``to_parquet`` wrote, held against the columns.

    Raises:
        FileReadError: another parquet file, damaged metadata, or columns that do not fit them.
    """
    raw = (schema.metadata or {}).get(METADATA_KEY)
    if raw is None:
        have = ", ".join(schema.names[:6])[:80]
        raise FileReadError(
            f"{path}: a parquet file that annosim did not write (columns {have}); name its format, such as "
            "--format pairs, or read it with an.io.read_csv"
        )
    try:
        metadata = FileMetadata.model_validate_json(raw)
    except (ValidationError, ValueError) as error:
        raise FileReadError(f"{path}: its metadata are damaged ({_first(error)}); write it again") from None
    _check_schema(path, schema, metadata)
    return metadata


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        one = error.errors()[0]
        return f"{'.'.join(map(str, one['loc']))[:40]}: {one['msg'][:60]}"
    return reason(error)


def _check_schema(path: Path_, schema: pa.Schema, metadata: FileMetadata) -> None:
    """Every column that the metadata speak of is there, once, and holds what it should."""
    if len(set(schema.names)) < len(schema.names):
        raise FileReadError(f"{path}: two columns have the same name; {_REMEDY}")
    k = metadata.menu_size
    whole = [f"item_{j}" for j in range(min(k, len(schema.names) + 1))]
    answers = [name for name in schema.names if name.startswith("answer_")]
    whole += [f"answer_{j}" for j in range(len(answers))] if metadata.wide else ["answer"]
    flags = [f"tied_{j}" for j in range(min(k - 1, len(schema.names) + 1))] if metadata.tied else []
    named = (*metadata.columns.values(), *(f"covariate:{name}" for name in metadata.covariates))
    missing = [name for name in (*whole, *flags, *named) if name not in schema.names]
    if missing or (metadata.wide and not answers):
        raise FileReadError(f"{path}: no column {(missing or ['answer_0'])[0][:60]!r}; {_REMEDY}")
    whole += [name for name in ("replicate", "annotator", "prompt", "order") if name in schema.names]
    floats = [name for name in ("weight",) if name in schema.names]
    for names, fits, kind in (
        (whole, pa.types.is_integer, "whole numbers"),
        (flags, pa.types.is_boolean, "true or false"),
        (floats, lambda t: pa.types.is_floating(t) or pa.types.is_integer(t), "numbers"),
    ):
        for name in names:
            if not fits(schema.field(name).type):
                raise FileReadError(f"{path}: column {name!r} holds {schema.field(name).type}, not {kind}; {_REMEDY}")


def read_file(path: Path_) -> PreferenceData:
    """One file, with the hidden truth that lies beside it."""
    with open_parquet(path) as file:
        metadata = metadata_of(path, file.schema_arrow)
        table = read_rows(path, file)
    return read_data(path, table, metadata, truth=read_truth(path))


def read_data(
    path: Path_,
    table: pa.Table,
    metadata: FileMetadata,
    items: Items | None = None,
    truth: dict[str, np.ndarray] | None = None,
    first: int = 0,
) -> PreferenceData:
    """The data that a table of rows and its metadata hold; ``first`` is the place of its first row in the file."""
    rows, replicates = table.num_rows, metadata.replicates
    if replicates is not None and (replicates > rows or rows % replicates):
        raise FileReadError(f"{path}: {rows} rows are not {replicates} replicates; {_REMEDY}")
    lead = (rows,) if replicates is None else (replicates, rows // replicates)
    k = metadata.menu_size
    shared = _row_columns(path, table, metadata, lead)
    people = metadata.annotator_names
    if people is not None and "annotator" not in shared:  # then every row has its own
        people = people[first : first + rows]
    shapes = metadata.shapes
    columns = {n: _shaped(path, table, field, shapes.get(n, []))[: lead[-1]] for n, field in metadata.columns.items()}
    return PreferenceData(
        items=_items_of(path, metadata) if items is None else items,
        menu=_stacked(path, table, "item", k).reshape(*lead, k),
        answer=_answers(path, table, metadata, lead),
        tied=_stacked(path, table, "tied", k - 1).reshape(*lead, k - 1) if metadata.tied else None,
        feedback=_feedback(path, metadata),
        annotator_names=people,
        prompt_names=metadata.prompt_names,
        columns=columns,
        covariates={n: _shaped(path, table, f"covariate:{n}", [k]).reshape(*lead, k) for n in metadata.covariates},
        truth=truth or {},
        settings=metadata.settings,
        **shared,
    )


def _items_of(path: Path_, metadata: FileMetadata) -> Items:
    if metadata.items is None:
        raise FileReadError(f"{path}: a shard without items; open its directory with an.io.open_shards")
    return read_items(path, _unpacked(path, metadata.items))


def _feedback(path: Path_, metadata: FileMetadata) -> Feedback:
    try:
        return Feedback(**metadata.feedback)  # type: ignore[arg-type]
    except TypeError:
        raise FileReadError(f"{path}: unknown feedback {str(metadata.feedback)[:80]}; {_REMEDY}") from None


def _row_columns(path: Path_, table: pa.Table, metadata: FileMetadata, lead: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Columns with one entry per row; those that all replicates share once."""
    out = {}
    for name in ROW_COLUMNS:
        if name in table.column_names:
            value = _numpy(path, table, name).reshape(lead)
            out[name] = value if metadata.replicates is None or name in metadata.own else value[0]
    return out


def _answers(path: Path_, table: pa.Table, metadata: FileMetadata, lead: tuple[int, ...]) -> np.ndarray:
    if not metadata.wide:
        return _numpy(path, table, "answer").reshape(lead)
    width = sum(name.startswith("answer_") for name in table.column_names)
    return _stacked(path, table, "answer", width).reshape(*lead, width)


def _stacked(path: Path_, table: pa.Table, stem: str, width: int) -> np.ndarray:
    columns = [_numpy(path, table, f"{stem}_{j}") for j in range(width)]
    if not columns:
        return np.zeros((table.num_rows, 0), dtype=bool)
    # ids of two bytes become those of the data in the same pass
    narrow = stem == "item" and all(np.can_cast(column.dtype, np.int32, "safe") for column in columns)
    return np.stack(columns, 1, dtype=np.int32 if narrow else None)


def _shaped(path: Path_, table: pa.Table, name: str, shape: list[int]) -> np.ndarray:
    """A column with one array per row."""
    values = _numpy(path, table, name)
    size = table.num_rows * int(np.prod(shape, dtype=object))
    if min(shape, default=0) < 0 or values.size != size:
        raise FileReadError(f"{path}: column {name[:60]!r} holds {values.size} values, expected {size}; {_REMEDY}")
    return values.reshape(table.num_rows, *shape)


def _numpy(path: Path_, table: pa.Table, name: str) -> np.ndarray:
    if name not in table.column_names:
        raise FileReadError(f"{path}: no column {name[:60]!r}; {_REMEDY}")
    array = table[name].combine_chunks()
    array = array.chunk(0) if isinstance(array, pa.ChunkedArray) and array.num_chunks else array
    if pa.types.is_fixed_size_list(array.type):
        array = array.flatten()
    if pa.types.is_integer(array.type) and array.null_count:
        raise FileReadError(f"{path}: column {name[:60]!r} has empty cells; {_REMEDY}")
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_boolean(array.type)):
        cells = np.empty(len(array), dtype=object)
        for row, cell in enumerate(array.to_pylist()):  # a list is one cell, also where all are equally long
            cells[row] = cell
        return cells
    return array.to_numpy(zero_copy_only=False)


# ---- items and hidden truth ----------------------------------------------------------------------------------------


def read_items(path: Path_, table: pa.Table) -> Items:
    """The items that a table of them holds."""
    raw = (table.schema.metadata or {}).get(METADATA_KEY, b"{}")
    try:
        metadata = _ItemsMetadata.model_validate_json(raw)
    except (ValidationError, ValueError) as error:
        raise FileReadError(f"{path}: its items are damaged ({_first(error)}); write it again") from None
    missing = [name for name in ("name", "prompt", "cluster", "weight") if name not in table.column_names]
    if missing or not table.num_rows:
        raise FileReadError(f"{path}: its items have no {missing[0] if missing else 'rows'}; {_REMEDY}")
    features, tokens = (
        _shaped(path, table, name, metadata.shapes[name]).copy() if name in metadata.shapes else None
        for name in ("features", "tokens")
    )
    return Items(
        names=table["name"].to_pylist(),
        texts=table["text"].to_pylist() if "text" in table.column_names else None,
        features=features,
        tokens=tokens,
        prompts=_numpy(path, table, "prompt").copy(),  # tensors want memory that they may write to
        clusters=_numpy(path, table, "cluster").copy(),
        weights=_numpy(path, table, "weight").copy(),
        columns={name: _shaped(path, table, f"column:{name}", shape) for name, shape in metadata.columns.items()},
    )


def _unpacked(path: Path_, text: str) -> pa.Table:
    try:
        table = pa.ipc.open_stream(base64.b64decode(text, validate=True)).read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, binascii.Error, UnicodeDecodeError, MemoryError, ValueError) as error:
        raise FileReadError(f"{path}: its items are damaged ({reason(error)}); write it again") from None
    return table


def read_truth(path: Path_) -> dict[str, np.ndarray]:
    """Hidden truth by name of the file at a path or URL, which lies beside it; empty when there is none."""
    folder, name = split_place(path)
    name = truth_name(name)
    try:
        with folder.open(name) as file, np.load(file, allow_pickle=False) as held:
            return {name: held[name] for name in held.files}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, MemoryError, NotImplementedError) as error:
        raise FileReadError(
            f"{folder.at(name)}: the hidden truth is damaged ({reason(error)}); remove it to go on without"
        ) from None
