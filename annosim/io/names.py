"""Names that differ only in how they are written."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

__all__ = ["merge_names", "name_key", "similar_names"]


def name_key(name: str) -> str:
    """A name without what a spreadsheet changes: spaces around and between words, case, the format of a number."""
    plain = " ".join(name.split()).casefold()
    try:
        number = float(plain)
    except ValueError:
        return plain
    return repr(number) if np.isfinite(number) else plain


def similar_names(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of names that differ only by spaces, case or the format of a number.

    Example:
        >>> similar_names(["3", "A", "3.0", "b"])
        [('3', '3.0')]
    """
    first: dict[str, str] = {}
    return [(known, name) for name in names if (known := first.setdefault(name_key(name), name)) != name]


def merge_names(names: Iterable[str]) -> NDArray[np.object_]:
    """Each name as its first spelling.

    Example:
        >>> merge_names(["3", "A", "3.0", "a "]).tolist()
        ['3', 'A', '3', 'A']
    """
    first: dict[str, str] = {}
    return np.array([first.setdefault(name_key(name), name) for name in names], dtype=object)
