"""Weighted orders with ties (ballots) as PreferenceData: what PrefLib and the Scottish files share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from annosim.data.preferences import PreferenceData
from annosim.data.writers.ballots import Order
from annosim.errors import ArgumentError, TooLargeError
from annosim.feedback import Feedback
from annosim.io.pairs import warn_similar
from annosim.items import Items

__all__ = ["Unlisted", "check_order", "parse_whole", "rankings"]

Unlisted = Literal["below", "absent"]

_MAX_CELLS = 500_000_000
_MAX_ROWS = 100_000_000


def parse_whole(text: str) -> int | None:
    """A whole number of at most fifteen digits, or ``None``."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None


def check_order(flat: Sequence[int], n: int, what: str) -> str | None:
    """What is wrong with the numbers of an order from 1 to n, if anything."""
    if max(flat) > n or min(flat) < 1:
        return f"{what} {max(flat) if max(flat) > n else min(flat)} where there are 1..{n}"
    if len(set(flat)) < len(flat):
        return f"{what} {next(a for a in flat if flat.count(a) > 1)} is listed twice"
    return None


def rankings(
    items: Items,
    orders: list[Order],
    counts: Sequence[int],
    expand: bool,
    unlisted: Unlisted,
    complete: bool,
    settings: Mapping[str, object],
) -> PreferenceData:
    """Orders (groups of item ids, best first) as rankings, or as ``top`` answers where lists are incomplete."""
    if unlisted not in ("below", "absent"):
        raise ArgumentError(f"unlisted={unlisted!r}: 'below' (seen and not listed) or 'absent' (not on the menu)")
    absent = unlisted == "absent" and not complete
    length = np.array([sum(map(len, order)) for order in orders])
    k = int(length.max()) if absent else items.n
    if len(orders) * k > _MAX_CELLS:
        raise TooLargeError(f"{settings.get('source')}: {len(orders)} orders of {k} alternatives are too many to hold")
    if expand and sum(counts) > _MAX_ROWS:
        raise TooLargeError(f"expand=True: {sum(counts)} voters (limit {_MAX_ROWS}); leave it out, counts are weights")
    listed, tied = _padded(orders, length, k)
    if absent:
        menu, answer = _own_menus(listed, items.n)
    else:
        menu, answer = np.tile(np.arange(items.n), (len(orders), 1)), listed
    full = absent or bool((length == items.n).all())
    data = PreferenceData(
        items=items,
        menu=menu,
        answer=answer,
        feedback=Feedback("ranking") if full else Feedback("top", depth=int(length.max())),
        tied=tied[:, :-1] if tied.any() else None,
        weight=np.asarray(counts, dtype=np.float64),
        settings=settings,
    )
    warn_similar(str(settings.get("source")), items.names, has_merge=False)
    if not expand:
        return data
    return data.take(np.repeat(np.arange(len(orders)), counts)).with_(weight=None, annotator_names=None)


def _padded(orders: list[Order], length: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids of each order, -1 pads, and whether each is tied with the next: both ``(rows, k)``."""
    rows = len(orders)
    sizes = np.array([len(group) for order in orders for group in order])
    flat = np.array([a for order in orders for group in order for a in group])
    row = np.repeat(np.arange(rows), length)
    place = np.arange(len(flat)) - np.repeat(np.cumsum(length) - length, length)
    joined = np.ones(len(flat), dtype=bool)
    joined[np.cumsum(sizes) - 1] = False  # an item is tied with the next one unless it ends its group
    listed = np.full((rows, k), -1, dtype=np.int64)
    listed[row, place] = flat
    tied = np.zeros((rows, k), dtype=bool)
    tied[row, place] = joined
    return listed, tied


def _own_menus(listed: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Menus of what is listed, ids ascending and pads last, and the places of the listed on them."""
    menu = np.sort(np.where(listed < 0, n, listed), 1)
    place = np.argsort(np.argsort(np.where(listed < 0, n + np.arange(listed.shape[1]), listed), 1), 1)
    return np.where(menu == n, -1, menu), np.where(listed < 0, -1, place)
