"""Whole files: one-line errors when they cannot be read, and nothing half-written."""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from annosim.errors import FileReadError

__all__ = ["atomic_path", "atomic_text", "read_bytes", "read_text"]


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The file's bytes, unpacked when its name ends in ``.gz``.

    Raises:
        FileReadError: missing, a directory, unreadable, damaged or empty.
    """
    name = shown(path)
    try:
        raw = Path(path).read_bytes()
        if str(path).endswith(".gz"):
            raw = gzip.decompress(raw)
    except FileNotFoundError:
        raise FileReadError(f"{name}: there is no such file; check the path (now in {Path.cwd().name}/)") from None
    except IsADirectoryError:
        raise FileReadError(f"{name}: this is a directory; name a file in it") from None
    except (OSError, EOFError, zlib.error, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise FileReadError(f"{name}: cannot be read ({why}); check its permissions and that it is whole") from None
    if not raw.strip():
        raise FileReadError(f"{name}: the file is empty; check how it was made")
    return raw


def shown(path: str | os.PathLike[str]) -> str:
    """A path as messages show it: as the user wrote it, cut where it is very long."""
    text = str(path)
    return text if len(text) <= 150 else "..." + text[-147:]


def read_text(path: str | os.PathLike[str]) -> str:
    """The file as text (UTF-8; a byte-order mark is dropped).

    Raises:
        FileReadError: missing, unreadable, empty, or not UTF-8 (the line is named).
    """
    return decode(path, read_bytes(path))


def decode(path: str | os.PathLike[str], raw: bytes) -> str:
    """Bytes of a file as text.

    Raises:
        FileReadError: not UTF-8 (the line is named).
    """
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise FileReadError(f"{path}: line {line} is not UTF-8 text; save the file as UTF-8") from None


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary name beside ``path``, renamed to it at the end; removed when the body fails.

    A symbolic link is written through, and what is no regular file (a device, a pipe) is refused.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file() and not path.is_dir():
        raise FileReadError(f"{path}: is no regular file; choose another place")
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
