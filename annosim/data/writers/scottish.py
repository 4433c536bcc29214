"""Ballots of Scottish council wards (the layout is described in :mod:`annosim.io.scottish`)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from annosim.data.writers.ballots import ballots
from annosim.errors import DataError
from annosim.files import atomic_text

if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData

__all__ = ["write_scottish"]


def write_scottish(data: PreferenceData, path: str | os.PathLike[str]) -> None:
    """See :meth:`PreferenceData.to_scottish`."""
    orders, counts = ballots(data)
    if any(len(group) > 1 for order in orders for group in order):
        raise DataError("a ballot has a tie, which this format cannot hold; use to_preflib with .toi")
    kept = data.settings
    end = "," if kept.get("comma", True) else ""
    lines = [f"{data.items.n},{kept.get('seats', 1)}{end}"]
    for count, order in zip(counts, orders, strict=True):
        lines.append(",".join(map(str, [count, *(group[0] + 1 for group in order)])) + end)
    party = data.items.columns.get("party", [""] * data.items.n)
    for i, (name, of) in enumerate(zip(data.items.names, party, strict=True), 1):
        lines.append(_quoted([f"Candidate {i}", name, of]) + end)
    if kept.get("ward") is not None:
        lines.append(_quoted([kept["ward"]]) + end)
    newline = str(kept.get("newline", "\n"))
    atomic_text(path, newline.join(lines) + (newline if kept.get("last", True) else ""))


def _quoted(cells: Iterable[object]) -> str:
    return ",".join('"' + str(cell).replace('"', '""') + '"' for cell in cells)
