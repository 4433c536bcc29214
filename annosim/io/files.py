"""Reading and writing files: one-line errors, every malformed row at once, nothing half-written."""

from __future__ import annotations

import csv
import gzip
import io
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from annosim.errors import ArgumentError, FileReadError, RowsError

__all__ = ["Problems", "Table", "atomic_path", "atomic_text", "read_table", "read_text"]


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The file's bytes, unpacked when its name ends in ``.gz``.

    Raises:
        FileReadError: missing, a directory, unreadable, damaged or empty.
    """
    try:
        raw = Path(path).read_bytes()
        if str(path).endswith(".gz"):
            raw = gzip.decompress(raw)
    except FileNotFoundError:
        raise FileReadError(f"{path}: there is no such file; check the path (now in {Path.cwd().name}/)") from None
    except IsADirectoryError:
        raise FileReadError(f"{path}: this is a directory; name a file in it") from None
    except (OSError, EOFError) as error:
        raise FileReadError(f"{path}: cannot be read ({error}); check its permissions and that it is whole") from None
    if not raw.strip():
        raise FileReadError(f"{path}: the file is empty; check how it was made")
    return raw


def read_text(path: str | os.PathLike[str]) -> str:
    """The file as text (UTF-8, a byte-order mark is dropped).

    Raises:
        FileReadError: missing, unreadable, empty, or not UTF-8 (the line is named).
    """
    raw = read_bytes(path)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise FileReadError(f"{path}: line {line} is not UTF-8 text; save the file as UTF-8") from None


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary name beside ``path``, renamed to it at the end; removed when the body fails."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as error:
        raise FileReadError(f"{path}: cannot be written ({error.strerror}); choose another place") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def atomic_text(path: str | os.PathLike[str], text: str) -> None:
    """Write text through a temporary name; packed when the name ends in ``.gz``."""
    raw = text.encode("utf-8")
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(raw, mtime=0) if str(path).endswith(".gz") else raw)


class Problems:
    """Malformed rows of one file, gathered before any of them is reported.

    Args:
        source: the file's name as the user wrote it.
        line_of: row number -> line number in the file.
    """

    def __init__(self, source: Any, line_of: Callable[[int], int] = lambda row: row + 1):
        self.source, self.line_of = str(source), line_of
        self.found: list[tuple[int, str]] = []
        self.count = 0

    def add(self, row: int, what: str) -> None:
        """One malformed row."""
        self.found.append((self.line_of(int(row)), what))

    def where(self, bad: Any, what: Callable[[int], str]) -> None:
        """Every row of a mask; ``what(row)`` words the problem (asked for the first rows only)."""
        rows = np.flatnonzero(np.asarray(bad))
        self.found += [(self.line_of(int(r)), what(int(r)) if i < 20 else "the same") for i, r in enumerate(rows)]

    def report(self, remedy: str) -> None:
        """Raise :class:`RowsError` when anything was found."""
        if self.found:
            by_line: dict[int, list[str]] = {}
            for line, what in sorted(self.found, key=lambda p: p[0]):
                by_line.setdefault(line, []).append(what)
            raise RowsError(self.source, [(line, ", ".join(what)) for line, what in by_line.items()], remedy)


class Table:
    """A delimited file as text columns, with the line number of each row on demand.

    Attributes:
        frame: every column as text, empty cells as ``""``.
        problems: gathers malformed rows.
    """

    def __init__(self, path: Any, text: str, frame: pd.DataFrame, sep: str):
        self.path, self.frame, self._text, self._sep = path, frame, text, sep
        self._lines: list[int] | None = None
        self.problems = Problems(path, self.line)

    @classmethod
    def of(cls, path: Any, frame: pd.DataFrame, lines: list[int]) -> Table:
        """A table of values that were read by other means, with their line numbers."""
        table = cls(path, "", frame, ",")
        table._lines = lines
        return table

    def line(self, row: int) -> int:
        """Line of a row in the file (the header is line 1; quoted cells may run over lines)."""
        if self._lines is None:
            try:
                self._lines = [line for line, _ in _records(self._text, self._sep)][1:]
            except csv.Error:  # a cell beyond the csv module's limit, which the fast reader does not have
                self._lines = list(range(2, len(self.frame) + 2))
        return self._lines[row]

    def column(self, name: str, option: str) -> pd.Series:
        """A column that an option names; an unknown name lists those that exist."""
        if name not in self.frame.columns:
            have = ", ".join(map(str, self.frame.columns))
            raise FileReadError(f"{self.path}: no column {name!r} (option {option}=); the columns are {have}")
        return self.frame[name]

    def filled(self, name: str, option: str) -> np.ndarray:
        """A column in which an empty cell is a malformed row, ``(rows,)`` object strings."""
        values = self.column(name, option).to_numpy(dtype=object)
        odd = np.array([not isinstance(v, str | int | float) for v in values]) if self._text == "" else values == ""
        odd = odd | (values == "")
        self.problems.where(odd, lambda r: f"{name} is {'empty' if values[r] in ('', None) else 'not text'}")
        return values if self._text else np.array([str(v) for v in values], dtype=object)

    def number(self, name: str, option: str, whole: bool = False) -> np.ndarray:
        """A column of finite numbers; anything else is a malformed row."""
        text = self.column(name, option)
        values = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)
        bad = ~np.isfinite(values)
        if whole:
            bad |= ~bad & (values != np.round(values))
        kind = "a whole number" if whole else "a finite number"
        self.problems.where(bad, lambda r: f"{name} {text.iloc[r]!r} is not {kind}")
        return np.where(bad, 0.0, values)

    def others(self, used: Sequence[str | None]) -> dict[str, np.ndarray]:
        """Every further column, so that nothing is lost: whole numbers and floats where the text says exactly that."""
        return {str(c): _typed(self.frame[c].to_numpy(dtype=object)) for c in self.frame.columns if c not in used}


def read_table(path: str | os.PathLike[str], sep: str = ",") -> Table:
    """A delimited file with a header.

    Raises:
        FileReadError: missing, unreadable, empty, without rows, or with a header that repeats a name.
        RowsError: rows with more or fewer cells than the header, all of them with their line numbers.
    """
    if len(sep) != 1:
        raise ArgumentError(f"sep={sep!r}: one character, for example ',' or a tab")
    text = read_text(path)
    try:
        header = next(cells for _, cells in _records(text, sep))
    except csv.Error as error:
        raise FileReadError(f"{path}: not a delimited text file ({error})") from None
    twice = {name for name in header if header.count(name) > 1}
    if twice:
        raise FileReadError(f"{path}: the header repeats {sorted(twice)[0]!r}; give every column its own name")
    try:
        frame = pd.read_csv(
            io.StringIO(text),
            sep=sep,
            dtype=object,
            keep_default_na=False,
            na_filter=False,
            skip_blank_lines=True,
            index_col=False,
            header=None,
            names=[*header, "\0more"],
            skiprows=0,
            engine="c",
            quotechar='"',
        ).iloc[1:]
        ragged = not _even(text, sep, len(header) - 1)
    except (pd.errors.ParserError, ValueError):
        ragged, frame = True, pd.DataFrame()
    if ragged:
        frame = _slow(path, text, sep, header)
    if not len(frame):
        raise FileReadError(f"{path}: a header and no rows; check how the file was made")
    frame = frame[header].fillna("").reset_index(drop=True)
    return Table(path, text, frame, sep)


def _even(text: str, sep: str, separators: int) -> bool:
    """Whether every line has this many separators outside quotes; when in doubt, no (the slow reader then decides)."""
    raw = np.frombuffer((text if text.endswith("\n") else text + "\n").encode(), dtype=np.uint8)
    outside = np.bitwise_xor.accumulate(raw == ord('"')) == 0
    ends = np.flatnonzero((raw == ord("\n")) & outside)
    if not outside[-1] or not len(ends):
        return False
    starts = np.r_[0, ends[:-1] + 1]
    counts = np.add.reduceat(((raw == ord(sep)) & outside).astype(np.int32), starts)
    blank = (ends - starts == 0) | ((ends - starts == 1) & (raw[starts] == ord("\r")))
    return bool(((counts == separators) | blank).all())


def _records(text: str, sep: str) -> Iterator[tuple[int, list[str]]]:
    """``(first line, cells)`` of every record that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=sep)
    start = 1
    for cells in reader:
        if cells:
            yield start, cells
        start = reader.line_num + 1


def _slow(path: Any, text: str, sep: str, header: list[str]) -> pd.DataFrame:
    """Row by row, for files that the fast parser refuses: finds every row of a wrong length."""
    problems, rows = Problems(path, lambda line: line), []
    try:
        for line, cells in _records(text, sep):
            if len(cells) != len(header):
                problems.add(line, f"{len(cells)} cells where the header has {len(header)}")
            rows.append(cells)
    except csv.Error as error:
        raise FileReadError(f"{path}: not a delimited text file ({error})") from None
    problems.report("give every row the header's cells; quote cells that hold the separator")
    return pd.DataFrame(rows[1:], columns=header, dtype=object)


def _typed(values: np.ndarray) -> np.ndarray:
    """Text as int64 or float64 when that loses nothing; values that have a type already keep it."""
    kinds = {type(v) for v in values}
    if kinds != {str}:
        one = kinds.pop() if len(kinds) == 1 else object
        return values.astype(one) if one in (int, float, bool) else values
    for dtype in (np.int64, np.float64):
        try:
            numbers = values.astype(dtype)
        except (ValueError, OverflowError):
            continue
        if [repr(v) for v in numbers.tolist()] == values.tolist():
            return numbers
    return values


def factorize(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes in order of first appearance, and the names: ``(rows,)`` int64, ``(names,)`` object."""
    codes, names = pd.factorize(np.asarray(values, dtype=object))
    return codes, np.asarray(names, dtype=object)
