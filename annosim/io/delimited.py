"""Delimited text by Arrow's parser; the csv module finds the lines of what is malformed."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from itertools import islice

import pyarrow as pa
import pyarrow.csv

from annosim.errors import FileReadError
from annosim.files import decode, is_plain_file, read_head
from annosim.io.row_errors import RowErrors
from annosim.places import read_bytes

__all__ = ["line_numbers", "read_delimited"]

#: Files above this many bytes are read in blocks.
_LARGE = 1 << 24


def read_delimited(path: str | os.PathLike[str], sep: str | None) -> tuple[pa.Table, str]:
    """The cells as text, and the separator: the one asked for, or what the header uses.

    A large file is read in blocks; it is never held as a whole.

    Raises:
        FileReadError: missing, unreadable or empty, not text, not delimited, without rows, or a header that repeats a
            name.
        RowsError: rows of another length than the header, all of them with their lines.
    """
    plain = is_plain_file(path) and os.path.getsize(path) > _LARGE
    raw = read_head(path, _LARGE) if plain else read_bytes(path)
    header, sep = _header(path, raw, sep)
    try:
        cells = _parse(os.fspath(path) if plain else pa.BufferReader(raw), sep, header, _repeating(raw, sep, header))
    except pa.ArrowException:
        raw = read_bytes(path) if plain else raw
        _raise_malformed(path, decode(path, raw), sep, header)
        if len(list(islice(_records(decode(path, raw), sep), 2))) > 1:
            raise FileReadError(f"{path}: not a delimited text file; check its quotes") from None
        cells = None
    if cells is None or not cells.num_rows:
        raise FileReadError(f"{path}: a header and no rows; check how the file was made")
    return cells, sep


def _header(path: str | os.PathLike[str], raw: bytes, sep: str | None) -> tuple[list[str], str]:
    """Names of the columns, and the separator: the one asked for, or what the first line is split by."""
    start = raw[: 1 << 20]
    text = decode(
        path, start if len(raw) < _LARGE and len(start) == len(raw) else start[: start.rfind(b"\n") + 1] or raw
    )
    try:
        if sep is None:
            first = next(line for line in text.splitlines() if line.strip())
            sep = next((mark for mark in (",", "\t", ";") if mark in first), ",")
        header = next(cells for _, cells in _records(text, sep))
    except (csv.Error, StopIteration) as error:
        raise FileReadError(f"{path}: not a delimited text file ({error})") from None
    twice = {name for name in header if header.count(name) > 1}
    if twice:
        raise FileReadError(f"{path}: the header repeats {sorted(twice)[0][:60]!r}; give every column its own name")
    return header, sep


def _repeating(raw: bytes, sep: str, header: Sequence[str]) -> set[str]:
    """The columns of a large file whose texts come again and again: they are held as codes."""
    if len(raw) < _LARGE:
        return set()
    head = raw[: 1 << 19]
    text = head[: head.rfind(b"\n")].decode("utf-8-sig", "replace")
    try:
        rows = [cells for _, cells in _records(text, sep)][1:]
    except csv.Error:
        return set()
    rows = [cells for cells in rows if len(cells) == len(header)]
    return {name for i, name in enumerate(header) if len({cells[i] for cells in rows}) < 0.2 * len(rows)}


def _parse(source: str | pa.BufferReader, sep: str, header: Sequence[str], coded: set[str]) -> pa.Table:
    """Cells as text; a row of another length than the header is an error."""
    return pa.csv.read_csv(
        source,
        read_options=pa.csv.ReadOptions(
            column_names=list(header),
            skip_rows_after_names=1,
            block_size=1 << 22 if isinstance(source, str) else 1 << 24,
        ),
        parse_options=pa.csv.ParseOptions(delimiter=sep, newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types={
                name: pa.dictionary(pa.int32(), pa.string()) if name in coded else pa.string() for name in header
            },
            strings_can_be_null=False,
            quoted_strings_can_be_null=False,
        ),
    )


def _records(text: str, sep: str) -> Iterator[tuple[int, list[str]]]:
    """``(first line, cells)`` of every record that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=sep)
    start = 1
    for cells in reader:
        if cells:
            yield start, cells
        start = reader.line_num + 1


def line_numbers(text: str, sep: str, rows: int) -> Sequence[int]:
    """The line of every row; counted from the header where the csv module cannot read the file (very long cells)."""
    try:
        lines = [line for line, _ in _records(text, sep)][1:]
    except csv.Error:
        lines = []
    return lines if len(lines) == rows else range(2, rows + 2)


def _raise_malformed(path: str | os.PathLike[str], text: str, sep: str, header: Sequence[str]) -> None:
    """Name every row of another length than the header."""
    errors = RowErrors(path, lambda line: line)
    try:
        for line, cells in _records(text, sep):
            if len(cells) != len(header):
                errors.add(line, f"{len(cells)} cells where the header has {len(header)}")
    except csv.Error as error:
        raise FileReadError(f"{path}: not a delimited text file ({error})") from None
    errors.raise_if_any("give every row the header's cells; quote cells that hold the separator")
