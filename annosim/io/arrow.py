"""Parquet files opened with one-line errors."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from annosim.errors import FileReadError
from annosim.places import is_url, read_bytes, split_place

__all__ = ["open_parquet", "read_rows"]


def open_parquet(path: str | os.PathLike[str], codes: bool = False) -> pq.ParquetFile:
    """A parquet file through a memory map, or at a URL; nothing is read but its footer.

    Args:
        path: the file.
        codes: columns of text of a local file are read as codes and their distinct texts.

    Raises:
        FileReadError: missing, a directory, or no parquet file.
    """
    remote = isinstance(path, str) and is_url(path)
    if not remote and Path(path).is_dir():
        raise FileReadError(f"{path}: this is a directory; name a file in it")
    try:
        folder, name = split_place(path)
        if str(path).endswith(".gz"):
            file = pq.ParquetFile(pa.BufferReader(read_bytes(path)))
        else:
            file = pq.ParquetFile(path, memory_map=True) if not remote else pq.ParquetFile(folder.open(name))
            texts = [one.name for one in file.schema_arrow if codes and not remote and _is_text(one.type)]
            if texts:
                file.close()
                file = pq.ParquetFile(path, memory_map=True, read_dictionary=texts)
        _ = file.schema_arrow.names  # damaged names are found here
    except FileNotFoundError:
        raise FileReadError(f"{path}: there is no such file; check the path") from None
    except (OSError, pa.ArrowException, UnicodeDecodeError, MemoryError) as error:
        raise FileReadError(f"{path}: not a readable parquet file ({reason(error)})") from None
    return file


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def read_rows(path: str | os.PathLike[str], file: pq.ParquetFile) -> pa.Table:
    """All rows of an open file, checked.

    Raises:
        FileReadError: the file is damaged.
    """
    try:
        table = file.read()
        table.validate(full=True)
    except (OSError, pa.ArrowException, UnicodeDecodeError, MemoryError) as error:
        raise FileReadError(f"{path}: damaged ({reason(error)}); write it again") from None
    return table


def reason(error: BaseException) -> str:
    """The first line of an error of a library, cut where it is long."""
    text = (str(error).splitlines() or [type(error).__name__])[0]
    return text if len(text) <= 120 else text[:117] + "..."
