"""Whole files: one-line errors when they cannot be read or written, and nothing half-written.

Every file that annosim writes is written here, by :func:`atomic_path` or what is made of it.
"""

from __future__ import annotations

import codecs
import errno
import gzip
import os
import stat
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from annosim.errors import AnnosimError, FileReadError

__all__ = [
    "atomic_bytes",
    "atomic_path",
    "atomic_text",
    "is_plain_file",
    "one_line",
    "read_bytes",
    "read_head",
    "read_text",
    "regular_target",
    "unpacked",
]


#: Byte-order marks of UTF-16, as Excel's "Unicode text" and PowerShell write them.
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
#: How zip archives begin; workbooks of Excel are such.
_ZIP = b"PK\x03\x04"


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The file's bytes, unpacked when its name ends in ``.gz``.

    Raises:
        FileReadError: missing, a directory, unreadable, damaged or empty.
    """
    with _readable(path):
        raw = Path(path).read_bytes()
    return unpacked(path, raw)


def unpacked(path: str | os.PathLike[str], raw: bytes) -> bytes:
    """The bytes of a file, unpacked when its name ends in ``.gz``.

    Raises:
        FileReadError: damaged or empty.
    """
    if str(path).endswith(".gz"):
        with _readable(path):
            raw = gzip.decompress(raw)
    if not raw[:4096].strip() and not raw.strip():
        raise FileReadError(f"{shown(path)}: the file is empty; check how it was made")
    return raw


@contextmanager
def _readable(path: str | os.PathLike[str]) -> Iterator[None]:
    """What goes wrong while ``path`` is read, as one line that names it."""
    name = shown(path)
    try:
        yield
    except FileNotFoundError:
        raise FileReadError(f"{name}: there is no such file; check the path (now in {Path.cwd().name}/)") from None
    except IsADirectoryError:
        raise FileReadError(f"{name}: this is a directory; name a file in it") from None
    except (OSError, EOFError, zlib.error, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise FileReadError(f"{name}: cannot be read ({why}); check its permissions and that it is whole") from None


def is_plain_file(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a file of this machine that is not packed."""
    return "://" not in str(path) and not str(path).endswith(".gz") and os.path.isfile(path)


def read_head(path: str | os.PathLike[str], size: int) -> bytes:
    """The first bytes of a plain file.

    Raises:
        FileReadError: it cannot be read.
    """
    with _readable(path), open(path, "rb") as file:
        return file.read(size)


def shown(path: str | os.PathLike[str]) -> str:
    """A path as messages show it: as the user wrote it, cut where it is very long."""
    text = str(path)
    return text if len(text) <= 150 else "..." + text[-147:]


def read_text(path: str | os.PathLike[str]) -> str:
    """The file as text, as :func:`decode` reads it; a byte-order mark is dropped.

    Raises:
        FileReadError: missing, unreadable, empty, or not text (the line is named).
    """
    return decode(path, read_bytes(path))


def decode(path: str | os.PathLike[str], raw: bytes) -> str:
    """Bytes of a file as text: UTF-8, or UTF-16 where a byte-order mark says so.

    Raises:
        FileReadError: neither (the line is named).
    """
    if raw[:4] == _ZIP:
        what, do = ("an Excel workbook", "save it as CSV") if b"xl/" in raw else ("a zip archive", "unpack it")
        raise FileReadError(f"{shown(path)}: this is {what}, not text; {do} and name that file")
    encoding = "utf-16" if raw[:2] in _UTF16 else "utf-8-sig"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        kind = "UTF-16" if encoding == "utf-16" else "UTF-8"
        raise FileReadError(f"{path}: line {line} is not {kind} text; save the file as UTF-8") from None


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary name beside ``path``, renamed to it once it is on the disk; removed when the body fails.

    A symbolic link is written through, an existing file keeps its permissions, and what is no regular file (a device,
    a pipe, a directory) is refused.

    Raises:
        FileReadError: the place or the disk does not allow it, whatever library does the writing.
    """
    target = regular_target(path)
    with one_line(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        with one_line(path):
            yield temporary
            temporary.chmod(_permissions(target))
            _to_disk(temporary)
            os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def regular_target(path: str | os.PathLike[str]) -> Path:
    """The file behind ``path``, which may be a symbolic link or not exist yet.

    Raises:
        FileReadError: a device, a pipe, a directory, or a link that leads nowhere.
    """
    target = Path(os.path.realpath(path))
    with one_line(path):
        try:
            kind = os.stat(path).st_mode
        except FileNotFoundError:
            return target
    if stat.S_ISDIR(kind):
        raise FileReadError(f"{shown(path)}: this is a directory; name a file in it")
    if not stat.S_ISREG(kind):
        raise FileReadError(f"{shown(path)}: is no regular file; choose another place")
    return target


@contextmanager
def one_line(path: str | os.PathLike[str]) -> Iterator[None]:
    """What goes wrong while ``path`` is written, as one line that names it.

    Libraries that write through a Python file may hide the disk's error behind one of their own.
    """
    try:
        yield
    except AnnosimError:
        raise
    except Exception as error:
        cause = _disk_error(error)
        if cause is None:
            raise
        why = cause.strerror or " ".join(str(cause).split())
        remedy = "make room" if cause.errno in _FULL else "choose another place"
        raise FileReadError(f"{shown(path)}: cannot be written ({why}); {remedy}") from cause


#: the disk, the quota or the longest file allowed
_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


def _disk_error(error: BaseException | None) -> OSError | None:
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def _permissions(target: Path) -> int:
    if target.exists():
        return stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _to_disk(file: Path) -> None:
    """Without this a crash of the machine may leave the new name with nothing behind it."""
    with file.open("rb+") as handle:
        os.fsync(handle.fileno())


def atomic_text(path: str | os.PathLike[str], text: str) -> None:
    """Write text as :func:`atomic_path` does; packed when the name ends in ``.gz``."""
    raw = text.encode("utf-8")
    atomic_bytes(path, gzip.compress(raw, mtime=0) if str(path).endswith(".gz") else raw)


def atomic_bytes(path: str | os.PathLike[str], raw: bytes) -> None:
    """Write bytes as :func:`atomic_path` does."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(raw)
