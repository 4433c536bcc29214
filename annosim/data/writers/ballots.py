"""Rankings as weighted orders with ties (ballots): what PrefLib and Scottish files hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from annosim.errors import DataError

if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData

__all__ = ["Order", "ballots"]

#: Groups of tied item ids, best first.
Order = list[list[int]]


def ballots(data: PreferenceData) -> tuple[list[Order], list[int]]:
    """Orders and whole-number counts, one per row.

    Raises:
        DataError: another kind of answer, replicates, skips, or a weight that is not a whole number.
    """
    counts = _counts(data)
    listed = np.where(data.answer < 0, -1, np.take_along_axis(data.menu, np.maximum(data.answer, 0).astype(int), 1))
    tied = np.zeros(listed.shape, dtype=bool)
    if data.tied is not None:
        tied[:, : data.tied.shape[1]] = data.tied
    return [_order(ids, marks) for ids, marks in zip(listed.tolist(), tied.tolist(), strict=True)], counts.tolist()


def _counts(data: PreferenceData) -> NDArray[np.int64]:
    if data.feedback.kind not in ("ranking", "top") or data.replicates is not None:
        raise DataError(f"{data!r}: ballots are rankings or 'top' answers, one replicate")
    if data.skipped.any():
        raise DataError(f"row {int(data.skipped.argmax())} is a skip, which a ballot cannot hold; take(~data.skipped)")
    weight = data.row_weight
    odd = np.flatnonzero((weight != np.round(weight)) | (weight < 1))
    if len(odd):
        raise DataError(f"row {odd[0]}: weight {weight[odd[0]]:g} is not a whole number of voters")
    return weight.astype(np.int64)


def _order(ids: list[int], marks: list[bool]) -> Order:
    """Groups of the listed ids; a mark ties an id with the next one."""
    order: Order = [[]]
    for item, mark in zip(ids, marks, strict=True):
        if item < 0:
            break
        order[-1].append(item)
        if not mark:
            order.append([])
    return [sorted(group) for group in order if group]
