"""choix's lists: pairs ``(winner, loser)``, rankings ``(best, ..., worst)``, top-1 lists ``(winner, [losers])``."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Literal

import numpy as np

from annosim.data.preferences import PreferenceData
from annosim.errors import DataError, FileReadError, RowsError
from annosim.files import is_plain_file, read_head
from annosim.items import Items
from annosim.places import read_text

__all__ = ["entries_of", "is_list_of_lists", "kind_of_list", "read_choix"]

_KINDS = ("pairs", "rankings", "top1")
#: Items beyond this are refused unless their number is given: a list of two must not ask for a billion.
_MAX_ITEMS = 10_000_000

Entry = Sequence[int] | tuple[int, Sequence[int]]


def read_choix(
    data: Sequence[Entry] | str | os.PathLike[str],
    kind: Literal["pairs", "rankings", "top1"] = "pairs",
    n_items: int | None = None,
) -> PreferenceData:
    """Data from choix's lists. The winner is displayed first: these lists do not say what stood where.

    Args:
        data: the list, or a file of it: JSON, or lines of numbers with commas or spaces between. Items are numbers.
        kind: ``"pairs"``, ``"rankings"`` or ``"top1"``.
        n_items: number of items; by default the largest number found, plus one.

    Raises:
        DataError: an empty list, an entry that is not of the kind, numbers out of range or repeated; up to twenty
            entries are named at once.
        FileReadError: a file that cannot be read, or is no list.

    Example:
        >>> read_choix([(0, 1), (2, 1)]).answer.tolist()
        [0, 0]
        >>> read_choix([(2, 0, 1), (1, 2)], kind="rankings").menu.tolist()
        [[2, 0, 1], [1, 2, -1]]
    """
    if kind not in _KINDS:
        raise DataError(f"read_choix(kind={kind!r}): one of {', '.join(_KINDS)}")
    data = entries_of(data)
    limit = _MAX_ITEMS if n_items is None else n_items
    rows, bad = [], []
    for i, entry in enumerate(data):
        row = _ids(entry, kind)
        if row is None or len(set(row)) < len(row) or min(row) < 0 or max(row) >= limit:
            text = repr(entry)
            bad.append((i, text if len(text) <= 60 else text[:57] + "..."))
        else:
            rows.append(row)
    if bad:
        remedy = f"give {kind} of distinct item numbers 0..{limit - 1}" + (" (n_items= for more)" * (n_items is None))
        raise RowsError("read_choix", bad, remedy, unit="entry")
    if not rows:
        raise DataError("read_choix: the list is empty")
    width = max(map(len, rows))
    menu = np.array([row + [-1] * (width - len(row)) for row in rows])
    items = Items(n=int(menu.max()) + 1 if n_items is None else n_items)
    settings = {"format": "choix", "kind": kind}
    if kind == "rankings":
        answer = np.where(menu >= 0, np.arange(width), -1)
        return PreferenceData(items, menu, answer, feedback="ranking", settings=settings)
    return PreferenceData(items, menu, np.zeros(len(rows), dtype=np.int8), settings=settings)


def entries_of(data: object) -> Sequence[Entry]:
    """The list, from memory or from a file.

    Raises:
        FileReadError: a file that cannot be read, or is no list.
    """
    if not isinstance(data, str | os.PathLike):
        return data  # type: ignore[return-value]
    text = read_text(data)
    try:
        if text.lstrip()[:1] == "[":
            found: list[Entry] = json.loads(text)
            return found
        return [[int(part) for part in line.replace(",", " ").split()] for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        raise FileReadError(
            f"{data}: not choix's list: JSON such as [[0, 1], [2, 0]], or lines of item numbers"
        ) from None


def is_list_of_lists(path: object) -> bool:
    """Whether a JSON file holds a list of lists."""
    if not isinstance(path, str | os.PathLike) or not is_plain_file(path):
        return False
    return b"".join(read_head(path, 256).split()).removeprefix(b"\xef\xbb\xbf").startswith(b"[[")


def kind_of_list(data: object) -> str:
    """Which of choix's lists this is, by its first entries.

    Example:
        >>> kind_of_list([(0, 1)]), kind_of_list([(0, 1, 2), (1, 0)]), kind_of_list([(0, [1, 2])])
        ('pairs', 'rankings', 'top1')
    """
    entries = (
        [one for one in list(data)[:1000] if isinstance(one, list | tuple)] if isinstance(data, list | tuple) else []
    )
    if any(len(one) == 2 and isinstance(one[1], list | tuple | np.ndarray) for one in entries):
        return "top1"
    return "rankings" if any(len(one) > 2 for one in entries) else "pairs"


def _ids(entry: object, kind: str) -> list[int] | None:
    """The item numbers of an entry, the winner first, or ``None`` where it is not of the kind."""
    if not isinstance(entry, Sequence | np.ndarray) or isinstance(entry, str | bytes):
        return None
    row = list(entry)
    if kind == "top1":
        if len(row) != 2 or not isinstance(row[1], Sequence | np.ndarray) or isinstance(row[1], str | bytes):
            return None
        row = [row[0], *row[1]]
    numbers = [_whole(value) for value in row]
    found = [n for n in numbers if n is not None]
    fits = len(found) == len(row) and (len(row) == 2 if kind == "pairs" else len(row) > 1)
    return found if fits else None


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    if isinstance(value, Integral):
        return int(value)
    number = float(value)
    return int(number) if number.is_integer() else None
