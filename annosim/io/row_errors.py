"""Malformed rows, gathered before any of them is reported."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from annosim.errors import RowsError

__all__ = ["RowErrors"]


class RowErrors:
    """Malformed rows of one file, gathered before any of them is reported.

    Args:
        source: the file's name as the user wrote it.
        line_of: row number -> line number in the file.
    """

    def __init__(self, source: object, line_of: Callable[[int], int] = lambda row: row + 1):
        self.source, self.line_of = str(source), line_of
        self.found: list[tuple[int, str]] = []

    def add(self, row: int, what: str) -> None:
        """One malformed row."""
        self.found.append((self.line_of(int(row)), _one_line(what)))

    def add_where(self, bad: ArrayLike, describe: Callable[[int], str]) -> None:
        """Every row of a mask; ``describe(row)`` words the problem (asked for the first rows only)."""
        rows = np.flatnonzero(np.asarray(bad))
        self.found += [
            (self.line_of(int(r)), _one_line(describe(int(r))) if i < 20 else "the same") for i, r in enumerate(rows)
        ]

    def raise_if_any(self, remedy: str) -> None:
        """Raise :class:`RowsError` when anything was found."""
        if self.found:
            by_line: dict[int, list[str]] = {}
            for line, what in sorted(self.found, key=lambda p: p[0]):
                by_line.setdefault(line, []).append(what)
            raise RowsError(self.source, [(line, ", ".join(what)) for line, what in by_line.items()], remedy)


def _one_line(text: str) -> str:
    """Text in which line breaks and other marks that cannot be printed are spaces."""
    return text if text.isprintable() else "".join(mark if mark.isprintable() else " " for mark in text)
