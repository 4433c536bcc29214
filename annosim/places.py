"""Folders at a path or at a URL: the same few things are done with both, and files are written whole or not at all.

A URL (``s3://bucket/run``, ``gs://``, ``file:///shared/run``, ``memory://run``) goes through fsspec, which finds keys
and endpoints where its users put them. Object stores show a file once it is written whole; elsewhere it is written
under another name and then moved.
"""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from annosim import files
from annosim.errors import AnnosimError, FileReadError, MissingDependencyError
from annosim.files import atomic_bytes, decode, one_line, shown, unpacked

__all__ = ["Folder", "is_url", "read_bytes", "read_text", "split_place"]

#: Protocols under which a file appears when it is whole.
_ATOMIC = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oci", "memory"}


def is_url(place: str | os.PathLike[str]) -> bool:
    """Whether this is a URL and not a path.

    Example:
        >>> is_url("s3://bucket/votes"), is_url("votes/"), is_url("C:/votes")
        (True, False, False)
    """
    return isinstance(place, str) and "://" in place


def split_place(place: str | os.PathLike[str]) -> tuple[Folder, str]:
    """The folder of a path or URL, and the name in it.

    Example:
        >>> split_place("memory://run/votes.csv")
        (Folder('memory://run'), 'votes.csv')
    """
    if isinstance(place, str) and is_url(place):
        scheme, _, rest = place.rstrip("/").partition("://")
        folder, _, name = rest.rpartition("/")
        return Folder(f"{scheme}://{folder}"), name
    return Folder(Path(place).parent), Path(place).name


def read_bytes(place: str | os.PathLike[str]) -> bytes:
    """A file at a path or URL, unpacked when its name ends in ``.gz``.

    Raises:
        FileReadError: missing, unreadable, damaged or empty.
        MissingDependencyError: the scheme needs a library that is not installed.
    """
    if not is_url(place):
        return files.read_bytes(place)
    try:
        if str(place).startswith(("http://", "https://")):
            raw = _download(str(place))
        else:
            folder, name = split_place(place)
            raw = folder.read(name)
    except FileNotFoundError:
        raise FileReadError(f"{shown(place)}: there is no such file; check the URL") from None
    return unpacked(str(place).partition("?")[0], raw)


def _download(url: str) -> bytes:
    """A page of the web; the standard library reads it where fsspec would need more packages."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=60) as page:
            return bytes(page.read())
    except HTTPError as error:
        if error.code == 404:
            raise FileNotFoundError(url) from None
        raise FileReadError(f"{shown(url)}: cannot be fetched ({error.code} {error.reason}); check the URL") from None
    except (OSError, HTTPException, ValueError) as error:
        why = _why(getattr(error, "reason", None) or error)
        raise FileReadError(f"{shown(url)}: cannot be fetched ({why}); check the URL and the network") from None


def read_text(place: str | os.PathLike[str]) -> str:
    """A file at a path or URL as text (UTF-8; a byte-order mark is dropped).

    Raises:
        FileReadError: as :func:`read_bytes`, or not UTF-8 (the line is named).
    """
    return decode(place, read_bytes(place))


class Folder:
    """A folder and the files in it.

    Args:
        place: a path, or a URL.

    Attributes:
        shared: it is a URL, so that other machines can see it.

    Raises:
        FileReadError: no such scheme.
        MissingDependencyError: the scheme needs a library that is not installed.

    Example:
        >>> folder = Folder("memory://example")
        >>> folder.write("a/b.txt", b"hello")
        >>> folder.read("a/b.txt"), folder.names("a"), folder.exists("c")
        (b'hello', ['b.txt'], False)
    """

    def __init__(self, place: str | os.PathLike[str]):
        scheme, mark, rest = str(place).partition("://")
        self.place = f"{scheme}{mark}{rest.rstrip('/')}" if is_url(place) else os.fspath(place)
        self.shared = is_url(self.place)
        if self.shared and self.protocol not in ("file", "local"):
            _ = self._fs  # refused here, not in the middle of a run

    def __repr__(self) -> str:
        return f"Folder({self.place!r})"

    def __str__(self) -> str:
        return self.place

    def __reduce__(self) -> tuple[type[Folder], tuple[str]]:
        return Folder, (self.place,)

    @property
    def protocol(self) -> str:
        """Scheme of the URL; ``file`` for a path."""
        return self.place.partition("://")[0] if self.shared else "file"

    @property
    def local(self) -> Path | None:
        """The folder in this machine's file system, if it is there."""
        if not self.shared:
            return Path(self.place)
        return Path(self.place.partition("://")[2]) if self.protocol in ("file", "local") else None

    def at(self, name: str) -> str:
        """Path or URL of a file, for messages."""
        if not self.shared:
            return str(Path(self.place) / name)
        return f"{self.place}{name}" if self.place.endswith("://") else f"{self.place}/{name}"

    @cached_property
    def _fs(self) -> Any:
        import fsspec

        try:
            return fsspec.filesystem(self.protocol)
        except ImportError as error:
            raise MissingDependencyError(f"{self.place}: {' '.join(str(error).split())}") from None
        except ValueError:
            raise FileReadError(
                f"{self.place}: no such scheme {self.protocol!r}; write file://, s3://, gs:// or another that fsspec knows"
            ) from None

    def _remote(self, name: str) -> str:
        return str(self._fs._strip_protocol(self.at(name)))

    # ---- to read ---------------------------------------------------------------------------------------------------

    def read(self, name: str) -> bytes:
        """A file's bytes.

        Raises:
            FileNotFoundError: there is none.
            FileReadError: the place cannot be reached.
        """
        if self.local is not None:
            return (self.local / name).read_bytes()
        with self._reached(name):
            return bytes(self._fs.cat_file(self._remote(name)))

    def open(self, name: str) -> IO[bytes]:
        """A file opened for reading anywhere in it.

        Raises:
            FileNotFoundError: there is none.
        """
        if self.local is not None:
            return (self.local / name).open("rb")
        with self._reached(name):
            return self._fs.open(self._remote(name), "rb")

    def exists(self, name: str) -> bool:
        """Whether there is a file or folder of this name."""
        if self.local is not None:
            return (self.local / name).exists()
        with self._reached(name):
            return bool(self._fs.exists(self._remote(name)))

    def names(self, name: str = "") -> list[str]:
        """Names in the folder (or in one inside it), sorted; none where there is no folder."""
        if self.local is not None:
            folder = self.local / name
            return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
        with self._reached(name):
            try:
                found = self._fs.ls(self._remote(name), detail=False, refresh=True)
            except (FileNotFoundError, NotADirectoryError):
                return []
            return sorted(str(path).rstrip("/").rpartition("/")[2] for path in found)

    def fetch(self, name: str, cache: Path) -> Path:
        """A copy of a file, or of a folder with all in it, on this machine; made again only when it has changed.

        Args:
            name: what.
            cache: where copies are kept.

        Raises:
            FileNotFoundError: there is none.
        """
        if self.local is not None:
            if not self.exists(name):
                raise FileNotFoundError(self.at(name))
            return self.local / name
        with self._reached(name):
            path = self._remote(name)
            if self._fs.isdir(path):
                inside = [str(one).removeprefix(path).lstrip("/") for one in self._fs.find(path)]
                for one in inside:
                    self.fetch(f"{name}/{one}", cache)
                return cache / name
            state = str(self._fs.ukey(path))
        target, mark = cache / name, cache / f"{name}.ukey"
        if not (target.exists() and mark.exists() and mark.read_text(encoding="utf-8") == state):
            atomic_bytes(target, self.read(name))
            atomic_bytes(mark, state.encode())
        return target

    # ---- to write --------------------------------------------------------------------------------------------------

    def write(self, name: str, raw: bytes) -> None:
        """A file, whole or not at all; one that was there is replaced.

        Raises:
            FileReadError: the place cannot be written.
        """
        if self.local is not None:
            atomic_bytes(self.local / name, raw)
            return
        path = self._remote(name)
        with one_line(self.at(name)), self._reached(name):
            if self.protocol in _ATOMIC:
                self._fs.pipe_file(path, raw)
                return
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            part = f"{path}.{uuid.uuid4().hex}.tmp"
            self._fs.pipe_file(part, raw)
            self._fs.mv(part, path)

    def remove(self, name: str) -> None:
        """A file, if it is there."""
        if self.local is not None:
            (self.local / name).unlink(missing_ok=True)
            return
        with self._reached(name):
            try:
                self._fs.rm_file(self._remote(name))
            except FileNotFoundError:
                pass

    def require_writable(self) -> None:
        """Write a probe and remove it.

        Raises:
            FileReadError: the place cannot be written.
        """
        probe = f".probe-{uuid.uuid4().hex}"
        self.write(probe, b"annosim")
        self.remove(probe)

    @contextmanager
    def _reached(self, name: str) -> Iterator[None]:
        """Whatever a store's library raises, as one line; a file that is not there stays that."""
        try:
            yield
        except (AnnosimError, FileNotFoundError):
            raise
        except OSError as error:
            if error.errno == errno.ENOENT:
                raise FileNotFoundError(self.at(name)) from None
            raise FileReadError(f"{self.at(name)}: {_why(error)}; check the URL and your keys") from None
        except Exception as error:  # botocore, gcsfs and aiohttp have exceptions of their own
            raise FileReadError(f"{self.at(name)}: {_why(error)}; check the URL and your keys") from None


def _why(error: BaseException | str) -> str:
    text = (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]
    return text if len(text) <= 150 else text[:147] + "..."
