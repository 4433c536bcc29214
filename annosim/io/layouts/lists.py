"""Rankings and ratings of several responses or models, gathered from nested records, and the data that they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from annosim.data.preferences import PreferenceData
from annosim.feedback import Feedback
from annosim.io.layouts.ranks import ranked
from annosim.io.sources import Source, source_name, table_of_records
from annosim.io.tables import Table
from annosim.items import Items

__all__ = ["Lists"]


@dataclass
class Lists:
    """Numbers (ranks or grades) of the things on one list, a list at a time.

    Args:
        table: where they come from; malformed rows are gathered there.
        name: the format's.
        texts: whether things are texts within their prompt; else they are names, the same in every prompt.
    """

    table: Table
    name: str
    texts: bool
    numbers: list[dict[str, float]] = field(default_factory=list)
    rows: list[dict[str, object]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    def add(self, row: int, numbers: Mapping[str, float], prompt: str, **others: object) -> None:
        """A list of a row of the table: the number of each thing, NaN where it has none."""
        self.numbers.append(dict(numbers))
        self.rows.append({"prompt": prompt or f"row {row}", **others})
        self.lines.append(row)

    def rankings(self, source: Source, below: bool = False) -> PreferenceData:
        """Rankings, the lowest number best, equal ones tied; what has no number was not shown, or lies ``below``."""
        for line, numbers in zip(self.lines, self.numbers, strict=True):
            if sum(number == number for number in numbers.values()) < 2:
                self.table.errors.add(line, "fewer than two different things are ranked")
        flat, items, ids, ranks = self._built()
        who = "annotator" if "annotator" in flat else None
        return ranked(flat, source, self.name, items, ids, ranks, [who, "prompt", None], [], below)

    def choices(self, source: Source) -> PreferenceData:
        """Choices of the thing with the lowest number."""
        flat, items, ids, ranks = self._built()
        return self._data(source, flat, items, ids, np.nanargmin(ranks, axis=1), Feedback("choice"), {})

    def ratings(self, source: Source) -> PreferenceData:
        """Ratings of menus, in grades from the lowest number that was given (0 or 1 where that fits)."""
        flat, items, ids, values = self._built()
        given = values[np.isfinite(values)]
        if (given != np.round(given)).any():
            self.table.errors.add(0, "a rating that is no whole number")
        self.table.errors.raise_if_any("give whole numbers; scores that are none can be compared (format=scores)")
        lowest = min(int(given.min()), 1)
        answer = np.where(np.isfinite(values), np.nan_to_num(values) - lowest, -1).astype(np.int64)
        feedback = Feedback("rating", grades=max(int(given.max()) - lowest + 1, 2))
        return self._data(source, flat, items, ids, answer, feedback, {"lowest": lowest})

    def _data(
        self,
        source: Source,
        flat: Table,
        items: Items,
        ids: NDArray[np.int64],
        answer: NDArray[np.int64],
        feedback: Feedback,
        settings: Mapping[str, object],
    ) -> PreferenceData:
        people = flat.people("annotator") if "annotator" in flat else None
        context = flat.coded("prompt", "prompt")
        return PreferenceData(
            items,
            ids,
            answer,
            feedback=feedback,
            annotator=None if people is None else people.codes,
            annotator_names=None if people is None else people.names,
            prompt=context.codes,
            prompt_names=context.names,
            columns=flat.others(["annotator", "prompt"]),
            settings={"source": source_name(source), "format": self.name, **settings},
        )

    def _built(self) -> tuple[Table, Items, NDArray[np.int64], NDArray[np.float64]]:
        """What goes with each list; the items; ids and numbers ``(lists, longest)``, -1 and NaN at the end."""
        if not self.rows and not self.table.errors.found:
            self.table.errors.add(0, "no ranking in any record")
        self.table.errors.raise_if_any("fix or remove these records")
        flat = table_of_records(self.table.name, self.rows, [self.table.line(row) for row in self.lines])
        prompts: dict[object, int] = {}
        place: dict[tuple[int, str], int] = {}
        width = max(map(len, self.numbers))
        ids = np.full((len(self.rows), width), -1, dtype=np.int64)
        values = np.full((len(self.rows), width), np.nan)
        for row, (numbers, others) in enumerate(zip(self.numbers, self.rows, strict=True)):
            prompt = prompts.setdefault(others["prompt"], len(prompts)) if self.texts else 0
            for at, (thing, number) in enumerate(numbers.items()):
                ids[row, at], values[row, at] = place.setdefault((prompt, thing), len(place)), number
        names = [thing for _, thing in place]
        if not self.texts:
            return flat, Items(names=names), ids, values
        return flat, Items(texts=names, prompts=[prompt for prompt, _ in place]), ids, values
