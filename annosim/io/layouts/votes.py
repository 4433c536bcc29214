"""Votes gathered from nested records, one at a time, and the data that they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from annosim.data.preferences import PreferenceData
from annosim.io.layouts.responses import read_responses
from annosim.io.pairs import read_csv
from annosim.io.sources import Source, source_name, table_of_records
from annosim.io.tables import Table

__all__ = ["Votes", "strings"]


@dataclass
class Votes:
    """Votes between two names or two texts.

    Args:
        table: where they come from; malformed rows are gathered there.
        name: the format's.
    """

    table: Table
    name: str
    rows: list[dict[str, object]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    def add(self, row: int, left: object, right: object, winner: str, **others: object) -> None:
        """One vote of a row of the table: ``winner`` is left, right, tie, skip, or the share of the left side."""
        self.rows.append({"left": left, "right": right, "winner": winner, **others})
        self.lines.append(row)

    def data(self, source: Source, texts: bool = False) -> PreferenceData:
        """The pairs; ``annotator`` and ``prompt`` are fields of the votes, all others are named columns."""
        if not self.rows and not self.table.errors.found:
            self.table.errors.add(0, "no vote in any record")
        self.table.errors.raise_if_any("fix or remove these records")
        line = [self.table.line(row) for row in self.lines]
        flat = table_of_records(self.table.name, self.rows, line)
        annotator = "annotator" if "annotator" in flat else None
        prompt = "prompt" if "prompt" in flat else None
        number = all(row["winner"] not in ("left", "right", "tie") for row in self.rows)
        score = number and any(row["winner"] != "skip" for row in self.rows)
        if texts:
            data = read_responses(flat, "left", "right", "winner", prompt, annotator, winner_is="side")
        elif score:
            data = read_csv(flat, annotator, prompt=prompt, winner_is="score", words={"skip": "skip"})
        else:
            data = read_csv(flat, annotator, prompt=prompt)
        return data.with_(settings={**data.settings, "source": source_name(source), "format": self.name})


def strings(cell: object) -> str:
    """A cell as text; lists of texts joined."""
    if isinstance(cell, list | tuple):
        return ", ".join(map(str, cell))
    if isinstance(cell, Mapping):
        return ", ".join(str(value) for value in cell.values())
    return str(cell)
