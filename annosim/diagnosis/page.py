"""The page of a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from annosim.diagnosis.finding import Finding, p_words
from annosim.reporting import FigureEntry, HtmlTable, render
from annosim.reporting.numbers import format_interval

if TYPE_CHECKING:
    from annosim.diagnosis.diagnosis import Diagnosis

__all__ = ["page"]


@dataclass(frozen=True)
class Entry:
    """A finding as the template shows it."""

    found: Finding

    def __getattr__(self, name: str) -> object:
        return getattr(self.found, name)

    @property
    def anchor(self) -> str:
        """Its place on the page."""
        return self.found.question.replace(" ", "-")

    @property
    def number(self) -> str:
        """The number with its interval."""
        one = self.found
        if one.value is None:
            return "–"
        return format_interval(
            one.value, one.value if one.low is None else one.low, one.value if one.high is None else one.high
        )

    @property
    def p(self) -> str:
        """The adjusted p-value."""
        return "–" if self.found.adjusted is None else p_words(self.found.adjusted)

    @property
    def table(self) -> HtmlTable | None:
        """The evidence."""
        return HtmlTable.from_rows(self.found.head, self.found.rows) if self.found.rows else None


def page(diagnosis: Diagnosis, level: float) -> str:
    """One self-contained HTML page: the finding, a short table, and each finding with its test."""
    return render(
        "diagnosis.html",
        title="Diagnosis" + (f" of {diagnosis.source.rsplit('/', 1)[-1]}" if diagnosis.source else ""),
        source=diagnosis["read"].sentence,
        headline=diagnosis.headline,
        findings=[Entry(found) for found in diagnosis.findings],
        level=level,
        figures=_figures(diagnosis),
        settings=HtmlTable.from_rows(["setting", "value"], [(k, str(v)) for k, v in diagnosis.settings.items()]),
    )


def _figures(diagnosis: Diagnosis) -> list[FigureEntry]:
    """The leaderboard, where there is one of a size that can be read."""
    board = diagnosis.board
    if board is None or not 2 < len(board.names) <= 80:
        return []
    caption = "Strengths with intervals that compare any two items; bars at the right join items that are not separated"
    return [FigureEntry.draw(board.plot().figure, "board", caption)]  # type: ignore[arg-type]
