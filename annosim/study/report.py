"""The files of a run: claims, results, figures, and one self-contained page for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from annosim import plotting
from annosim.errors import AbsentCellError
from annosim.files import atomic_path, atomic_text
from annosim.reporting import FigureEntry, HtmlTable, TableEntry, render
from annosim.study.attribution import GROUPS
from annosim.study.claims import VERDICTS, Claim, Verdict
from annosim.study.messages import FAILURES, one_line
from annosim.study.result import StudyRun, count_line

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from annosim.study.outcome import Outcome

__all__ = ["write_outputs"]

T = TypeVar("T")
#: Rows of results printed in the page; all of them are in results.parquet.
SHOWN_ROWS = 200
#: Columns of results.parquet that the page leaves out.
_HIDDEN = ("key", "seed", "group")


@dataclass(frozen=True)
class ClaimPart:
    """Claims of one group that one figure shows, or none.

    Attributes:
        figure: that figure.
        claims: the claims.
        first: whether the figure is drawn here; it is drawn once, the key figure above all claims.
    """

    figure: FigureEntry | None
    claims: Sequence[Claim]
    first: bool


@dataclass(frozen=True)
class ClaimGroup:
    """Claims of the paper, of the study, controls or baselines.

    Attributes:
        heading: whose they are.
        counts: how many have which verdict.
        parts: the claims, figure by figure.
    """

    heading: str
    counts: Mapping[Verdict, int]
    parts: Sequence[ClaimPart]

    @property
    def said(self) -> str:
        """The counts in words."""
        return ", ".join(f"{n} {verdict}" for verdict, n in self.counts.items() if n)


@dataclass(frozen=True)
class ReportContext:
    """What the page of a run shows.

    Attributes:
        run: the run.
        finding: its result in a sentence or two.
        figures: the key figure first.
        tables: those of the study.
        results: one row per result.
    """

    run: StudyRun
    finding: str
    figures: Sequence[FigureEntry]
    tables: Sequence[TableEntry]
    results: pd.DataFrame

    def render(self) -> str:
        """The page as text."""
        run = self.run
        problems = [r for r in run.outcome.records if r.status != "done" or r.warnings]
        slow = sorted(run.outcome.records, key=lambda r: -r.seconds)[:10]
        groups = self._groups()
        beside = [part.figure for group in groups for part in group.parts if part.first]
        return render(
            "study.html",
            title=run.study.title,
            paper=run.study.paper,
            finding=self.finding,
            figures=self.figures,
            tables=self.tables,
            groups=groups,
            verdicts=VERDICTS,
            more_figures=[entry for entry in self.figures[1:] if entry not in beside],
            problems=problems,
            num_results=self._count(),
            results=HtmlTable.from_frame(_shown(self.results)),
            settings=HtmlTable.from_rows(["setting", "value"], _settings(run)),
            timings=HtmlTable.from_rows(
                ["cell", "replicate", "seconds"], [[r.cell, r.replicate, round(r.seconds, 2)] for r in slow]
            ),
        )

    def _groups(self) -> list[ClaimGroup]:
        """The claims by whose they are; within a group by the figure that shows them, those of no figure last."""
        shown, drawn = {entry.name: entry for entry in self.figures}, {entry.name for entry in self.figures[:1]}
        found = []
        for group, counts in self.run.counts_by_group().items():
            claims = [claim for claim in self.run.claims if claim.whose.group == group]
            parts = []
            for name in [*shown, ""]:
                own = [claim for claim in claims if (claim.figure if claim.figure in shown else "") == name]
                if own:
                    parts.append(ClaimPart(shown.get(name), own, first=bool(name) and name not in drawn))
                    drawn.add(name)
            found.append(ClaimGroup(GROUPS[group], counts, parts))
        return found

    def _count(self) -> str:
        rows = len(self.results)
        return f"The first {SHOWN_ROWS} of {rows} rows" if rows > SHOWN_ROWS else f"{rows} rows"


def write_outputs(run: StudyRun) -> None:
    """Write ``claims.json``, ``results.parquet``, ``figures/*.png``, ``run.json`` and ``report.html`` of a run."""
    results = run.outcome.table()
    claims = json.dumps([c.as_json() for c in run.claims], indent=1, allow_nan=False)
    atomic_text(run.out / "claims.json", claims + "\n")
    with atomic_path(run.out / "results.parquet") as part:
        results.to_parquet(part, index=False)
    figures = _figures(run)
    tables = [entry for make in run.study.tables if (entry := _table(make, run)) is not None]
    about = {"study": run.study.name, "paper": run.study.paper, **run.settings, "seconds": run.seconds}
    about |= {
        "cells": len(run.outcome.records),
        "kept": run.kept,
        "failed": len(run.failed),
        "claims": run.counts_by_group(),
    }
    atomic_text(run.out / "run.json", json.dumps(about, indent=1, default=str) + "\n")
    atomic_text(run.out / "report.html", ReportContext(run, finding_of(run), figures, tables, results).render())


def default_finding(run: StudyRun) -> str:
    """Two sentences from the verdicts, for a study that says none of its own."""
    first = f"Claims: {count_line(run.counts_by_group())} (preset {run.preset})."
    against = [c.id for c in run.claims if c.verdict == "contradicted"]
    if against:
        return f"{first} Contradicted: {', '.join(against)}."
    done = sum(r.status == "done" for r in run.outcome.records)
    return f"{first} {done} of {len(run.outcome.records)} cells finished."


def finding_of(run: StudyRun) -> str:
    """The study's own sentence on what was found, or counts of its verdicts."""
    summarise = run.study.finding
    if summarise is None:
        return default_finding(run)
    text, problem = _guard(lambda: str(summarise(run.outcome, run.claims)))
    return text or f"{default_finding(run)} (The study's own summary could not be written: {problem})"


def _figures(run: StudyRun) -> list[FigureEntry]:
    """Draw and save all figures; one that cannot be drawn is replaced by the reason. Figures of an earlier run go."""
    folder = run.out / "figures"
    drawn = [_figure(make, run, folder / f"{_name(make)}.png") for make in run.study.figures]
    entries = [entry for entry in drawn if entry is not None]
    for stale in set(folder.glob("*.png")) - {folder / f"{entry.name}.png" for entry in entries}:
        stale.unlink()
    return entries


def _figure(make: Callable[[Outcome], Figure], run: StudyRun, path: Path) -> FigureEntry | None:
    """The figure, or the reason why it could not be drawn; none where a small preset leaves its cells out."""

    def draw() -> tuple[bytes, HtmlTable | None]:
        with plotting.style():
            figure = make(run.outcome)
            return plotting.save(figure, path).read_bytes(), HtmlTable.from_figure(figure)

    try:
        drawn, problem = _guard(draw, _left_out(run))
    except AbsentCellError:
        path.unlink(missing_ok=True)
        return None
    if drawn is None:
        path.unlink(missing_ok=True)
    png, numbers = drawn or (b"", None)
    return FigureEntry(_name(make), _caption(make), png, problem, numbers)


def _table(make: Callable[[Outcome], pd.DataFrame], run: StudyRun) -> TableEntry | None:
    try:
        table, problem = _guard(lambda: HtmlTable.from_frame(make(run.outcome)), _left_out(run))
    except AbsentCellError:
        return None
    return TableEntry(_name(make), _caption(make), table, problem)


def _left_out(run: StudyRun) -> tuple[type[Exception], ...]:
    """What is no problem at a preset that need not decide everything: a figure without its cells."""
    chosen = run.study.presets.get(run.preset)
    return () if chosen is None or chosen.decisive else (AbsentCellError,)


def _guard(make: Callable[[], T], passing: tuple[type[Exception], ...] = ()) -> tuple[T | None, str]:
    """The value, or the reason why there is none: a figure must not cost the report. Errors in ``passing`` are raised."""
    try:
        return make(), ""
    except passing:
        raise
    except FAILURES as error:  # the study's own drawing code: its failure is printed in the figure's place
        return None, one_line(error)


def _name(make: Callable[..., object]) -> str:
    return str(getattr(make, "__name__", "figure"))


def _caption(make: Callable[..., object]) -> str:
    return " ".join((make.__doc__ or _name(make)).split())


def _shown(results: pd.DataFrame) -> pd.DataFrame:
    """The first rows, without empty columns."""
    shown = results.drop(columns=[c for c in _HIDDEN if c in results]).head(SHOWN_ROWS)
    return shown.loc[:, [c for c in shown if c == "cell" or not (shown[c].isna() | (shown[c] == "")).all()]]


def _settings(run: StudyRun) -> list[tuple[str, str]]:
    work = sum(r.seconds for r in run.outcome.records)
    cells = f"{len(run.outcome.records)}, of which {run.kept} kept from an earlier run and {len(run.failed)} failed"
    time = f"{run.seconds:.1f} s for this run; {work:.1f} s of work in all cells"
    lines = {**run.settings, "cells": cells, "time": time}
    return [(k, v if isinstance(v, str) else json.dumps(v, default=str, ensure_ascii=False)) for k, v in lines.items()]
