"""Printing that never stands in the way of a command: its files are written whoever reads what it prints."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, cast

__all__ = ["READER_LEFT", "PatientStream", "check_ending", "patient_output"]

#: exit code of a program whose reader went away: what shells report of one that SIGPIPE ended
READER_LEFT = 128 + 13


def check_ending(option: str, path: Path | None, ending: str) -> None:
    """Refuse a file under a name that promises another format than the one that is written; no ending promises none.

    Raises:
        ArgumentError: names the option.

    Example:
        >>> check_ending("--out", Path("board.csv"), ".csv")
    """
    from annosim.errors import ArgumentError

    if path is not None and path.suffix and path.suffix.lower() != ending:
        raise ArgumentError(f"{option} {path}: not written; give a name that ends in {ending}")


class PatientStream:
    """A stream that goes silent where it cannot be written, and remembers why.

    Args:
        stream: what is written to; ``None`` where the process has none.

    Attributes:
        error: the first error, or ``None``.

    Example:
        >>> out = PatientStream(None)
        >>> out.write("nobody hears this")
        17
    """

    def __init__(self, stream: TextIO | None):
        self._stream: TextIO = io.StringIO() if stream is None else stream
        self.error: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write the text, or drop it."""
        try:
            if self.error is None:
                self._stream.write(text)
        except OSError as error:
            self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Flush, as far as that is possible."""
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Send the rest nowhere; what is still in the buffer would otherwise fail again when Python ends."""
        self.error = self.error or error
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    @property
    def reader_left(self) -> bool:
        """Whether whoever read the stream went away (``annosim ... | head``)."""
        return self.error is not None and self.error.errno in (errno.EPIPE, errno.EINVAL)  # the second on Windows


@contextmanager
def patient_output() -> Iterator[PatientStream]:
    """Standard output and standard error that never raise; letters that the console lacks are replaced."""
    before = sys.stdout, sys.stderr
    console = before[0] if isinstance(before[0], io.TextIOWrapper) else None
    errors = "strict" if console is None else console.errors
    out, err = PatientStream(before[0]), PatientStream(before[1])
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    try:
        if console is not None:
            console.reconfigure(errors="replace")
        yield out
        out.flush()
        err.flush()
    finally:
        sys.stdout, sys.stderr = before
        if console is not None:
            console.reconfigure(errors=errors)
