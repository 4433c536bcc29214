"""Delimited text by Arrow's parser; the csv module finds the lines of what is malformed."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from annosim.errors import FileReadError
from annosim.files import decode, is_plain_file, read_head
from annosim.io.row_errors import RowErrors
from annosim.io.seen import METADATA, tokens
from annosim.places import read_bytes

__all__ = ["Delimited", "line_numbers", "read_delimited"]

#: Files above this many bytes are read in blocks.
_LARGE = 1 << 24


#: The first line by which Excel is told the separator.
_DIRECTIVE = re.compile(r'\s*"?sep=(.)"?\s*', re.IGNORECASE)
#: What Western text has beside letters and ASCII.
_WESTERN = frozenset(
    "\u2018\u2019\u201c\u201d\u201e\u201a\u2013\u2014\u2026\u20ac\u2122\u00a3\u00a7\u00b0\u00ab\u00bb\u00bf\u00a1\u00b7\u00b2\u00b3\u00bd\u00ae\u00a9\u00a0"
)


@dataclass(frozen=True)
class Delimited:
    """A delimited file as it was found.

    Attributes:
        cells: the cells as text.
        lines: the line of every row, found when it is asked for.
        notes: what was unusual, in words.
    """

    cells: pa.Table
    lines: Callable[[], Sequence[int]]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Layout:
    """How the cells of a file are told apart, and where its rows begin."""

    header: list[str]
    sep: str
    encoding: str
    before: int = 0
    header_lines: int = 1

    def text(self, path: str | os.PathLike[str], raw: bytes) -> str:
        return raw.decode("cp1252") if self.encoding == "cp1252" else decode(path, raw)


def read_delimited(path: str | os.PathLike[str], sep: str | None) -> Delimited:
    """The cells as text; the separator is the one asked for, or what the header uses.

    A large file is read in blocks; it is never held as a whole. Text is UTF-8, UTF-16 with a byte-order mark, or Latin-1
    as Windows writes it (cp1252). Excel's first line ``sep=;`` and the decimal commas of a file with semicolons are
    understood; so are the rows under the header in which Qualtrics and SurveyMonkey repeat the questions.

    Raises:
        FileReadError: missing, unreadable or empty, not text, not delimited, without rows, or a header that repeats a
            name.
        RowsError: rows of another length than the header, all of them with their lines.
    """
    plain = is_plain_file(path) and os.path.getsize(path) > _LARGE
    raw = read_head(path, _LARGE) if plain else read_bytes(path)
    layout = _layout(path, raw, sep)
    try:
        cells = _parse(os.fspath(path) if plain else pa.BufferReader(raw), layout, _repeating(raw, layout))
    except (pa.ArrowException, UnicodeError):
        raw = read_bytes(path) if plain else raw
        _raise_malformed(path, layout.text(path, raw), layout.sep, layout.header)
        if len(list(islice(_records(layout.text(path, raw), layout.sep), 2))) > 1:
            raise FileReadError(f"{path}: not a delimited text file; check its quotes") from None
        cells = None
    if cells is None or not cells.num_rows:
        raise FileReadError(f"{path}: a header and no rows; check how the file was made")
    notes = [] if layout.encoding == "utf-8-sig" else [f"the text is {_ENCODINGS[layout.encoding]}"]
    cells, dropped = _without_questions(cells)
    notes += ["the rows of questions under the header are left out"] if dropped or layout.header_lines > 1 else []
    cells, shares = _without_percent(cells)
    notes += [f"percentages in {', '.join(shares[:3])}"] if shares else []
    cells, commas = _with_points(cells, layout.sep)
    notes += [f"decimal commas in {', '.join(commas[:3])}"] if commas else []
    first = layout.header_lines + dropped

    def lines() -> Sequence[int]:
        return line_numbers(layout.text(path, read_bytes(path)), layout.sep, cells.num_rows, first)

    return Delimited(cells, lines, tuple(notes))


_ENCODINGS = {"utf-16": "UTF-16", "cp1252": "Latin-1 (Windows-1252)"}


def _layout(path: str | os.PathLike[str], raw: bytes, sep: str | None) -> _Layout:
    """The encoding, the names of the columns, and the separator: the one asked for, or what the first line is split by."""
    start = raw[: 1 << 20]
    whole = len(raw) < _LARGE and len(start) == len(raw)
    encoding = _encoding(path, raw if len(raw) < _LARGE else raw[: raw.rfind(b"\n") + 1] or raw)
    if encoding == "utf-16":
        text = raw.decode("utf-16", "ignore")[: 1 << 19]
    else:
        text = (start if whole else start[: start.rfind(b"\n") + 1] or raw).decode(encoding)
    try:
        before, sep = _above(text, sep)
        found = _records(text, sep)
        header = next(cells for _, cells in found)
        second = next((cells for _, cells in found), [])
    except (csv.Error, StopIteration) as error:
        raise FileReadError(f"{path}: not a delimited text file ({error})") from None
    joined = _joined(header, second)
    if joined is not None:
        return _Layout(joined, sep, encoding, before, 2)
    twice = {name for name in header if header.count(name) > 1}
    if twice:
        raise FileReadError(f"{path}: the header repeats {sorted(twice)[0][:60]!r}; give every column its own name")
    return _Layout(header, sep, encoding, before)


#: Separators, the likeliest first.
_MARKS = (",", "\t", ";", "|")


def _above(text: str, sep: str | None) -> tuple[int, str]:
    """How many lines stand above the header, and the separator: Excel's ``sep=;``, and comments that begin with ``#``.

    A first line that begins with ``#`` is the header where the next one has no more cells.
    """
    before, lines = 0, [line for line in text[: 1 << 16].splitlines()]
    first = next(line for line in lines if line.strip())
    directive = _DIRECTIVE.fullmatch(first)
    if directive:
        return lines.index(first) + 1, sep or directive[1]
    count = next((i for i, line in enumerate(lines) if not line.startswith("#")), 0)
    if 0 < count < len(lines):
        marks = [sep] if sep else _MARKS
        cells = max(lines[count].count(mark) for mark in marks)
        if cells and all(max(line.count(mark) for mark in marks) < cells for line in lines[:count]):
            before, first = count, lines[count]
    if sep is None:
        sep = next((mark for mark in _MARKS if mark in first), None) or (
            " " if _is_spaced(lines[before:][:50]) else ","
        )
    return before, sep


def _is_spaced(lines: list[str]) -> bool:
    """Whether single spaces separate three or more names, and as many cells in every line (R's ``write.table``)."""
    rows = list(csv.reader((line for line in lines if line.strip()), delimiter=" "))
    width = len(rows[0])
    named = all(cell and not cell.replace(".", "").isdigit() for cell in rows[0])
    return len(rows) > 1 and width > 2 and named and all(len(row) == width and all(row) for row in rows)


def _encoding(path: str | os.PathLike[str], raw: bytes) -> str:
    """UTF-8, UTF-16 by its mark, or Western text in one byte a letter.

    Raises:
        FileReadError: none of them (the line is named).
    """
    if raw[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    try:
        decode(path, raw)
    except FileReadError:
        if not _is_western(raw):
            raise
        return "cp1252"
    return "utf-8-sig"


def _is_western(raw: bytes) -> bool:
    """Whether bytes that are no UTF-8 are letters of Western languages; a damaged UTF-8 file is none."""
    try:
        text = raw.decode("cp1252")
    except UnicodeDecodeError:
        return False
    foreign = {mark for mark in text if not mark.isascii()}
    controls = any(not mark.isprintable() and mark not in "\t\r\n\x0b\x0c" for mark in set(text) if mark.isascii())
    multibyte = re.search(rb"[\xc2-\xf4][\x80-\xbf]", raw)
    letters = all((mark.isalpha() and mark != "\u00ff") or mark in _WESTERN for mark in foreign)  # 255 is in no word
    return not controls and multibyte is None and letters


def _joined(header: Sequence[str], second: Sequence[str]) -> list[str] | None:
    """Names from two rows, as SurveyMonkey writes them: a question over its options, each with a column."""
    empty = [i for i, name in enumerate(header) if not name.strip()]
    if not empty or empty[0] == 0 or len(second) != len(header) or not all(second[i].strip() for i in empty):
        return None
    if second[0].strip() or len(empty) < 2:
        return None
    names, question = [], ""
    for name, option in zip(header, second, strict=True):
        question = name.strip() or question
        kept = option.strip() and option.strip() not in ("Response", "Open-Ended Response")
        names.append(f"{question} - {option.strip()}" if kept else question)
    return names if len(set(names)) == len(names) else None


def _without_questions(cells: pa.Table) -> tuple[pa.Table, int]:
    """The table without Qualtrics' two rows of questions and import ids, and how many rows were left out.

    A column is called after its question where that is its own; metadata keep the name that Qualtrics gives them.
    """
    if cells.num_rows < 3 or not str(cells.column(0)[1]).startswith('{"ImportId"'):
        return cells, 0
    texts = [" ".join(str(cells.column(i)[0]).split()) for i in range(cells.num_columns)]
    names = []
    for code, text in zip(cells.column_names, texts, strict=True):
        word = tokens(code)
        is_own = text and texts.count(text) == 1 and text not in cells.column_names
        names.append(text if is_own and "_".join(word) not in METADATA and tokens(text) != word else code)
    return cells.slice(2).rename_columns(names if len(set(names)) == len(names) else cells.column_names), 2


def _without_percent(cells: pa.Table) -> tuple[pa.Table, list[str]]:
    """The table with percentages as shares, and the columns that held them: ``70%`` is 0.7."""
    found = []
    for place, name in enumerate(cells.column_names):
        column = cells.column(place)
        if not pa.types.is_string(column.type) or not pc.any(pc.ends_with(column.slice(0, 100), "%")).as_py():
            continue
        if pc.all(pc.match_substring_regex(column, r"^\s*\d+([.,]\d+)?\s*%$|^\s*$")).as_py():
            texts = [text.strip().rstrip("%").strip().replace(",", ".") for text in column.to_pylist()]
            shares = [f"{float(text) / 100:.12g}" if text else "" for text in texts]
            cells = cells.set_column(place, name, pa.chunked_array([pa.array(shares, pa.string())]))
            found.append(name)
    return cells, found


def _with_points(cells: pa.Table, sep: str) -> tuple[pa.Table, list[str]]:
    """The table with decimal points, and the columns that had commas: numbers in a file that is not separated by them."""
    if sep == ",":
        return cells, []
    found = []
    for place, name in enumerate(cells.column_names):
        column = cells.column(place)
        if not pa.types.is_string(column.type) or not pc.any(pc.match_substring(column.slice(0, 100), ",")).as_py():
            continue
        written = pc.match_substring_regex(column, r"^\s*[-+]?\d+(,\d+)?\s*$|^\s*$")
        thousands = sep != ";" and pc.all(pc.match_substring_regex(column, r"^[^,]*$|,\d{3}\s*$")).as_py()
        if pc.all(written).as_py() and not thousands:
            cells = cells.set_column(place, name, pc.replace_substring(column, ",", "."))
            found.append(name)
    return cells, found


def _repeating(raw: bytes, layout: _Layout) -> set[str]:
    """The columns of a large file whose texts come again and again: they are held as codes."""
    if len(raw) < _LARGE:
        return set()
    header = layout.header
    head = raw[: 1 << 19]
    text = head[: head.rfind(b"\n")].decode(layout.encoding, "replace")
    try:
        rows = [cells for _, cells in _records(text, layout.sep)][layout.header_lines :]
    except csv.Error:
        return set()
    rows = [cells for cells in rows if len(cells) == len(header)]
    return {name for i, name in enumerate(header) if len({cells[i] for cells in rows}) < 0.2 * len(rows)}


def _parse(source: str | pa.BufferReader, layout: _Layout, coded: set[str]) -> pa.Table:
    """Cells as text; a row of another length than the header is an error."""
    header = layout.header
    return pa.csv.read_csv(
        source,
        read_options=pa.csv.ReadOptions(
            column_names=list(header),
            skip_rows=layout.before,
            skip_rows_after_names=layout.header_lines,
            encoding="utf8" if layout.encoding == "utf-8-sig" else layout.encoding,
            block_size=1 << 22 if isinstance(source, str) else 1 << 24,
            # What is not read in blocks is one block: there is nothing to share. Arrow's threads would also still be
            # starting when a command that refuses the file ends, and end it with an abort.
            use_threads=isinstance(source, str),
        ),
        parse_options=pa.csv.ParseOptions(delimiter=layout.sep, newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types={
                name: pa.dictionary(pa.int32(), pa.string()) if name in coded else pa.string() for name in header
            },
            strings_can_be_null=False,
            quoted_strings_can_be_null=False,
        ),
    )


def _records(text: str, sep: str) -> Iterator[tuple[int, list[str]]]:
    """``(first line, cells)`` of every record that is not blank, after the lines above the header."""
    shift = _above(text, sep)[0]
    for _ in range(shift):
        text = text.partition("\n")[2]
    start = shift + 1
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=sep)
    for cells in reader:
        if cells:
            yield start, cells
        start = reader.line_num + 1 + shift


def line_numbers(text: str, sep: str, rows: int, first: int = 1) -> Sequence[int]:
    """The line of every row after the ``first`` records; counted where the csv module cannot read very long cells."""
    try:
        lines = [line for line, _ in _records(text, sep)][first:]
    except csv.Error:
        lines = []
    return lines if len(lines) == rows else range(first + 1, rows + first + 1)


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
