"""Weighted orders with ties (ballots) as PreferenceData and back: what PrefLib and the Scottish files share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, DataError
from annosim.feedback import Feedback
from annosim.items import Items

__all__ = ["ballot_data", "ballots_of"]

Order = list[list[int]]


def ballot_data(
    items: Items,
    orders: list[Order],
    weight: np.ndarray,
    expand: bool,
    unlisted: str,
    complete: bool,
    settings: Mapping[str, Any],
) -> PreferenceData:
    """Orders (groups of item ids, best first) as rankings, or as ``top`` answers where lists are incomplete."""
    if unlisted not in ("below", "absent"):
        raise ArgumentError(f"unlisted={unlisted!r}: 'below' (seen and not listed) or 'absent' (not on the menu)")
    rows = len(orders)
    sizes = np.array([len(group) for order in orders for group in order])
    groups = np.array([len(order) for order in orders])
    flat = np.array([a for order in orders for group in order for a in group])
    of_group = np.repeat(np.repeat(np.arange(rows), groups), sizes)  # the row of each listed item
    length = np.bincount(of_group, minlength=rows)
    place = np.arange(len(flat)) - np.repeat(np.cumsum(length) - length, length)
    ends = np.cumsum(sizes) - 1
    joined = np.ones(len(flat), dtype=bool)
    joined[ends] = False  # an item is tied with the next one unless it ends its group
    absent = unlisted == "absent" and not complete
    k = int(length.max()) if absent else items.n
    listed = np.full((rows, k), -1, dtype=np.int64)
    listed[of_group, place] = flat
    tied = np.zeros((rows, k), dtype=bool)
    tied[of_group, place] = joined
    if absent:
        menu = np.sort(np.where(listed < 0, items.n, listed), 1)  # pads last, ids ascending
        at = np.argsort(np.argsort(np.where(listed < 0, items.n + np.arange(k), listed), 1), 1)
        answer, menu = np.where(listed < 0, -1, at), np.where(menu == items.n, -1, menu)
    else:
        menu, answer = np.tile(np.arange(items.n), (rows, 1)), listed
    full = absent or bool((length == items.n).all())
    feedback = Feedback("ranking") if full else Feedback("top", depth=int(length.max()))
    data = PreferenceData(
        items=items,
        menu=menu,
        answer=answer,
        feedback=feedback,
        tied=tied[:, :-1] if tied.any() else None,
        weight=weight,
        settings=dict(settings),
    )
    if not expand:
        return data
    repeated = data.take(np.repeat(np.arange(rows), weight.astype(np.int64)))
    return repeated.with_(weight=None)


def ballots_of(data: PreferenceData) -> tuple[list[Order], list[int]]:
    """Orders and whole-number counts, one per row.

    Raises:
        DataError: another kind of answer, replicates, skips, or a weight that is not a whole number.
    """
    if data.feedback.kind not in ("ranking", "top") or data.replicates is not None:
        raise DataError(f"{data!r}: ballots are rankings or 'top' answers, one replicate")
    if data.skipped.any():
        row = int(np.flatnonzero(data.skipped)[0])
        raise DataError(f"row {row} is a skip, which a ballot cannot hold; take(~data.skipped) first")
    weight = data.row_weight
    odd = np.flatnonzero((weight != np.round(weight)) | (weight < 1))
    if len(odd):
        raise DataError(f"row {odd[0]}: weight {weight[odd[0]]:g} is not a whole number of voters")
    listed = np.where(data.answer < 0, -1, np.take_along_axis(data.menu, np.maximum(data.answer, 0).astype(int), 1))
    tied = np.zeros(listed.shape, dtype=bool)
    if data.tied is not None:
        tied[:, : data.tied.shape[1]] = data.tied
    orders: list[Order] = []
    for ids, marks in zip(listed.tolist(), tied.tolist(), strict=True):
        order: Order = [[]]
        for item, mark in zip(ids, marks, strict=True):
            if item < 0:
                break
            order[-1].append(item)
            if not mark:
                order.append([])
        orders.append([sorted(group) for group in order if group])
    return orders, weight.astype(np.int64).tolist()
