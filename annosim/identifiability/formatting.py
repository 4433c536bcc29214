"""Long sentences folded so that a report fits a terminal of 80 columns."""

from __future__ import annotations

import textwrap

__all__ = ["fold", "shorten"]

#: columns of a terminal
COLUMNS = 80


def fold(text: str, label: int = 19) -> str:
    """``text`` in lines that fit beside labels of ``label`` characters (see :class:`annosim.results.Result`).

    Example:
        >>> max(len(line) for line in fold("word " * 40).splitlines()) <= 80 - 19 - 4
        True
    """
    width = COLUMNS - label - 4
    lines = [
        textwrap.wrap(line, width, subsequent_indent="  ", break_on_hyphens=False) or [""] for line in text.splitlines()
    ]
    return "\n".join(part for line in lines for part in line)


def shorten(lines: list[str], most: int, what: str = "more") -> list[str]:
    """The first ``most`` lines, and how many are left out.

    Example:
        >>> shorten(["a", "b", "c", "d"], 2)
        ['a', 'b', 'and 2 more']
    """
    return lines if len(lines) <= most + 1 else [*lines[:most], f"and {len(lines) - most} {what}"]
