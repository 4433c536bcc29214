"""The lists of tuples that choix works on: pairs ``(winner, loser)``, rankings ``(best, ..., worst)``, top-1 lists
``(winner, [losers])``. Items are numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from annosim.errors import DataError, TiesError, told

if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData

__all__ = ["choix_lists"]

Ranking = tuple[int, ...]
Top = tuple[int, list[int]]


def choix_lists(data: PreferenceData, kind: str | None = None) -> list[Ranking] | list[Top]:
    """See :meth:`PreferenceData.to_choix`."""
    kind = _kind(data, kind)
    rows = _repeated_rows(data)
    menu = data.menu[rows]
    if kind == "rankings":
        return _rankings(menu, data.answer[rows])
    won = (data.answer if data.answer.ndim == 1 else data.answer[:, 0])[rows].astype(np.int64)
    best = menu[np.arange(len(rows)), won].tolist()
    if kind == "pairs":
        return list(zip(best, menu[np.arange(len(rows)), 1 - won].tolist(), strict=True))
    return [
        (b, [v for j, v in enumerate(m) if v >= 0 and j != w])
        for b, m, w in zip(best, menu.tolist(), won.tolist(), strict=True)
    ]


def _kind(data: PreferenceData, kind: str | None) -> str:
    kinds = {"choice": ("pairs", "top1"), "ranking": ("rankings",)}.get(data.feedback.kind, ())
    if data.menu_size != 2 or (data.menu < 0).any():
        kinds = tuple(one for one in kinds if one != "pairs")
    if data.replicates is not None or not kinds or (kind is not None and kind not in kinds):
        raise DataError(f"to_choix(kind={told(kind)}): {data!r} fit {', '.join(kinds) or 'no list of choix'}")
    return kind or kinds[0]


def _repeated_rows(data: PreferenceData) -> NDArray[np.int64]:
    """Row numbers, each as often as its weight says."""
    if data.has_ties:
        raise TiesError("to_choix: choix has no ties; data.ties('half') breaks them")
    if data.skipped.any():
        raise DataError(f"to_choix: row {int(data.skipped.argmax())} is a skip; take(~data.skipped) first")
    weight = data.row_weight
    if (weight != np.round(weight)).any():
        raise DataError("to_choix: choix takes no weights; whole-number weights are repeated, these are fractions")
    return np.repeat(np.arange(data.rows), weight.astype(np.int64))


def _rankings(menu: NDArray[np.integer], answer: NDArray[np.integer]) -> list[Ranking]:
    order = np.take_along_axis(menu, np.maximum(answer, 0).astype(np.int64), 1)
    length = (answer >= 0).sum(1).tolist()
    return [tuple(ids[:n]) for ids, n in zip(order.tolist(), length, strict=True)]
