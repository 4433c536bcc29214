"""The files of a run: claims, results, figures, and one self-contained page for people."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annosim import plotting
from annosim.io.files import atomic_path, atomic_text
from annosim.study.failure import FAILURES, one_line
from annosim.study.page import Picture, Sheet, render

if TYPE_CHECKING:
    import pandas as pd

    from annosim.study.runner import StudyRun

__all__ = ["write_outputs"]


def write_outputs(run: StudyRun) -> None:
    """Write ``claims.json``, ``results.parquet``, ``figures/*.png``, ``run.json`` and ``report.html`` of a run."""
    table = run.outcome.table()
    atomic_text(
        run.out / "claims.json", json.dumps([c.as_json() for c in run.claims], indent=1, allow_nan=False) + "\n"
    )
    with atomic_path(run.out / "results.parquet") as part:
        table.to_parquet(part, index=False)
    pictures = _pictures(run)
    sheets = [_sheet(make, run) for make in run.study.tables]
    about = {"study": run.study.name, "paper": run.study.paper, **run.settings, "seconds": run.seconds}
    about |= {"cells": len(run.outcome.records), "kept": run.kept, "failed": len(run.failed), "claims": run.counts()}
    atomic_text(run.out / "run.json", json.dumps(about, indent=1, default=str) + "\n")
    atomic_text(run.out / "report.html", render(run, _finding(run), pictures, sheets, table))


def default_finding(run: StudyRun) -> str:
    """Two sentences from the verdicts, for a study that says none of its own."""
    counts, total = run.counts(), len(run.claims)
    rest = f"{counts['contradicted']} contradicted, {counts['inconclusive']} inconclusive"
    first = f"{counts['supported']} of {total} claims supported, {rest} (preset {run.preset})."
    against = [c.id for c in run.claims if c.verdict == "contradicted"]
    if against:
        return f"{first} Contradicted: {', '.join(against)}."
    done = sum(r.status == "done" for r in run.outcome.records)
    return f"{first} {done} of {len(run.outcome.records)} cells finished."


def _finding(run: StudyRun) -> str:
    if run.study.finding is None:
        return default_finding(run)
    text, problem = _guard(lambda: str(run.study.finding(run.outcome, run.claims)))  # type: ignore[misc]
    return (
        text if problem is None else f"{default_finding(run)} (The study's own summary could not be written: {problem})"
    )


def _pictures(run: StudyRun) -> list[Picture]:
    """Draw and save all figures; one that cannot be drawn is replaced by the reason. Pictures of an earlier run go."""
    folder = run.out / "figures"
    pictures = []
    for make in run.study.figures:
        name = getattr(make, "__name__", "figure")
        path = folder / f"{name}.png"

        def draw(make: Callable[..., Any] = make, path: Path = path) -> bytes:
            with plotting.style():
                return plotting.save(make(run.outcome), path).read_bytes()

        content, problem = _guard(draw)
        if problem is not None:
            path.unlink(missing_ok=True)
        pictures.append(Picture(name, _caption(make), content or b"", problem or ""))
    for stale in set(folder.glob("*.png")) - {folder / f"{p.name}.png" for p in pictures}:
        stale.unlink()
    return pictures


def _sheet(make: Callable[..., pd.DataFrame], run: StudyRun) -> Sheet:
    frame, problem = _guard(lambda: make(run.outcome))
    return Sheet(getattr(make, "__name__", "table"), _caption(make), frame, problem or "")


def _guard(make: Callable[[], Any]) -> tuple[Any, str | None]:
    """The value, or the reason why there is none: a figure must not cost the report."""
    try:
        return make(), None
    except FAILURES as error:  # the study's own drawing code: its failure is printed in the figure's place
        return None, one_line(error)


def _caption(make: Callable[..., Any]) -> str:
    return " ".join((make.__doc__ or str(getattr(make, "__name__", ""))).split())
