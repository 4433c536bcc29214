"""The lists of tuples that choix works on: pairs ``(winner, loser)``, rankings ``(best, ..., worst)``, top-1 lists
``(winner, [losers])``. Items are numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from annosim.data.preferences import PreferenceData
from annosim.errors import DataError, TiesError
from annosim.items import Items

__all__ = ["read_choix", "to_choix"]

_KINDS = ("pairs", "rankings", "top1")


def read_choix(data: Sequence[Any], kind: str = "pairs", n_items: int | None = None) -> PreferenceData:
    """Data from choix's lists. The winner is displayed first: these lists do not say what stood where.

    Args:
        data: the list.
        kind: ``"pairs"``, ``"rankings"`` or ``"top1"``.
        n_items: number of items; by default the largest number found, plus one.

    Raises:
        DataError: an empty list, an entry that is not of the kind, numbers out of range or repeated; up to twenty
            entries are named at once.

    Example:
        >>> read_choix([(0, 1), (2, 1)]).answer.tolist()
        [0, 0]
        >>> read_choix([(2, 0, 1), (1, 2)], kind="rankings").menu.tolist()
        [[2, 0, 1], [1, 2, -1]]
    """
    if kind not in _KINDS:
        raise DataError(f"read_choix(kind={kind!r}): one of {', '.join(_KINDS)}")
    bad: list[str] = []
    rows: list[list[int]] = []
    for i, entry in enumerate(data):
        row = _ids(entry, kind)
        if row is None or len(set(row)) < len(row) or min(row) < 0 or (n_items is not None and max(row) >= n_items):
            bad.append(f"entry {i}: {entry!r}")
        else:
            rows.append(row)
    if bad:
        more = f"; and {len(bad) - 20} more" if len(bad) > 20 else ""
        limit = "item numbers from 0" if n_items is None else f"item numbers 0..{n_items - 1}"
        raise DataError(f"read_choix: not {kind} of distinct {limit}: {'; '.join(bad[:20])}{more}")
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


def _ids(entry: Any, kind: str) -> list[int] | None:
    try:
        row = [entry[0], *entry[1]] if kind == "top1" else list(entry)
        numbers = [int(v) for v in row]
    except (TypeError, ValueError, IndexError):
        return None
    whole = all(n == v and not isinstance(v, bool | str) for n, v in zip(numbers, row, strict=True))
    return numbers if whole and (len(numbers) == 2 if kind == "pairs" else len(numbers) > 1) else None


def to_choix(data: PreferenceData, kind: str | None = None) -> list[Any]:
    """choix's lists from data: ``choix.ilsr_pairwise(data.items.n, to_choix(data))``.

    Whole-number weights repeat their entries. ``kind`` is ``"pairs"`` for choices between two, ``"top1"`` for choices,
    ``"rankings"`` for full rankings, and by default whatever fits.

    Raises:
        TiesError: tied answers; break them with ``data.ties("half")`` and double the weights.
        DataError: skips, fractional weights, or another kind of answer.

    Example:
        >>> to_choix(read_choix([(0, 1), (2, 1)]))
        [(0, 1), (2, 1)]
    """
    fits = {"choice": ("pairs", "top1") if data.menu_size == 2 else ("top1",), "ranking": ("rankings",)}
    kinds = fits.get(data.feedback.kind, ())
    if data.replicates is not None or not kinds or (kind is not None and kind not in kinds):
        raise DataError(f"to_choix(kind={kind!r}): {data!r} fit {', '.join(kinds) or 'no list of choix'}")
    if data.has_ties:
        raise TiesError("to_choix: choix has no ties; data.ties('half') breaks them")
    if data.skipped.any():
        raise DataError(f"to_choix: row {int(data.skipped.argmax())} is a skip; take(~data.skipped) first")
    weight = data.row_weight
    if (weight != np.round(weight)).any():
        raise DataError("to_choix: choix takes no weights; whole-number weights are repeated, these are fractions")
    kind = kind or kinds[0]
    rows = np.repeat(np.arange(data.rows), weight.astype(np.int64))
    menu = data.menu[rows]
    if kind == "rankings":
        answer = data.answer[rows]
        order = np.take_along_axis(menu, np.maximum(answer, 0).astype(np.int64), 1)
        length = (answer >= 0).sum(1).tolist()
        return [tuple(ids[:n]) for ids, n in zip(order.tolist(), length, strict=True)]
    won = (data.answer if data.answer.ndim == 1 else data.answer[:, 0])[rows].astype(np.int64)
    best = menu[np.arange(len(rows)), won]
    if kind == "pairs" and (menu >= 0).all():
        return list(zip(best.tolist(), menu[np.arange(len(rows)), 1 - won].tolist(), strict=True))
    return [
        (b, [v for j, v in enumerate(m) if v >= 0 and j != w])
        for b, m, w in zip(best.tolist(), menu.tolist(), won.tolist(), strict=True)
    ]
