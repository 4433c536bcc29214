"""``annosim study list`` and ``annosim study run``."""

from __future__ import annotations

import functools
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

import typer

from annosim.cli.engines import CLUSTER, on_cluster

if TYPE_CHECKING:
    from rich.table import Table

    from annosim.study import Claim, Study, StudyRun

__all__ = ["register"]

#: A run in which a cell failed; its claims and report are written all the same.
CELL_FAILED = 1


def register(app: typer.Typer) -> None:
    """Add the ``study`` group."""
    group = typer.Typer(
        help="Run a paper's claims as code and read the verdicts.",
        epilog="Example: annosim study run density_estimation --preset quick",
        no_args_is_help=True,
    )
    group.command("list", epilog="Example: annosim study list")(list_studies)
    group.command(
        "run",
        epilog="Example: annosim study run density_estimation --preset quick --jobs 2. Exit codes: 0 all cells ran, "
        "1 a cell failed (its claims are inconclusive), 2 bad input.",
    )(run)
    app.add_typer(group, name="study")


def list_studies(
    ci: bool = typer.Option(False, "--ci", help="Print only the names of the studies whose quick preset CI runs."),
) -> None:
    """List studies: name, paper, presets with their time, and the verdicts of the last runs under ./runs."""
    from annosim.errors import StudyError
    from annosim.study import find_studies

    everywhere = find_studies()
    if ci:  # a study that cannot be loaded stops CI
        studies = [found.load() for found in everywhere]
        typer.echo("\n".join(s.name for s in studies if s.in_ci and "quick" in s.presets))
        return
    if not everywhere:
        typer.echo(
            "no studies: none in ./studies, none that came with annosim, none installed (entry-point group annosim.studies)"
        )
    for found in everywhere:
        try:
            _print_study(found.load())
        except StudyError as error:  # the others are listed all the same
            typer.echo(f"{found.name}: cannot be loaded: {' '.join(str(error).split())}")


def run(
    study: str = typer.Argument(
        help="Name of a study in ./studies, of one that came with annosim or was installed, or a path.",
        show_default=False,
    ),
    preset: str = typer.Option(None, help="Size of the run, for example quick or paper; the study's first by default."),
    out: Path = typer.Option(
        None, help="Where everything is written; runs/NAME/PRESET by default.", show_default=False
    ),
    data: str = typer.Option(
        None, help="Directory of real data, or its URL; $ANNOSIM_DATA or ../shared/data by default.", metavar="DIR|URL"
    ),
    jobs: int = typer.Option(
        min(4, os.cpu_count() or 1),
        help="Worker processes, one thread each; -1 for all cores.",
        show_default="one per core, at most 4",
    ),
    device: str = typer.Option("cpu", help="Device of the cells that take one: cpu, cuda, cuda:1."),
    cluster: str = CLUSTER,
    store: str = typer.Option(
        None,
        help="URL (s3://, gs://, file://) where workers keep finished cells themselves; OUT/cells by default.",
        metavar="URL",
        show_default=False,
    ),
) -> None:
    """Run a study and write claims.json, results.parquet, figures and report.html.

    Every finished cell is kept: the same command resumes a run that was stopped, and repeats nothing.
    """
    from annosim.study import load_named, run_study

    try:
        with on_cluster(cluster):
            done = run_study(load_named(study), preset, out, data, jobs, device, store=store)
    except KeyboardInterrupt:
        typer.echo("stopped: what was finished is kept, and the same command resumes it", err=True)
        raise
    _print_claims(done)
    raise typer.Exit(CELL_FAILED if done.failed else 0)


def _print_study(study: Study) -> None:
    typer.echo(f"{study.name}: {study.title}")
    typer.echo(f"  {study.paper}")
    for name, preset in study.presets.items():
        typer.echo(f"  --preset {name:<8} {preset.time:<12} {_last_verdicts(Path('runs') / study.name / name)}")


def _print_claims(done: StudyRun) -> None:
    """What was found, what was contradicted, then every claim on one line; texts in full stand in the report."""
    from rich.console import Console

    from annosim.study.report import finding_of
    from annosim.study.result import count_line

    console = Console()
    if not console.is_terminal:
        console = Console(width=160)  # a file or a pipe has no width of its own
    told = functools.partial(console.print, markup=False, highlight=False)
    told(finding_of(done) + "\n")
    for c in done.claims:
        if c.verdict == "contradicted":
            told(f"contradicted ({c.whose.group}), {c.id}: {c.statement}; expected {c.expected}, found {c.found}")
    console.print(_table_of(done.claims))
    for c in done.claims:
        if c.verdict == "inconclusive" and math.isnan(c.value) and c.reason:  # nothing was found to judge
            told(f"cannot be judged: {c.id}: {c.reason}", soft_wrap=True)
    by_error: dict[str, list[str]] = {}
    for record in done.failed:
        by_error.setdefault(record.error, []).append(f"{record.cell}, replicate {record.replicate}")
    for error, where in by_error.items():
        more = f" and {len(where) - 1} more" if len(where) > 1 else ""
        told(f"failed: {where[0]}{more}: {error}", soft_wrap=True)
    cells = f"{len(done.outcome.records)} cells ({done.kept} kept from before, {len(done.failed)} failed)"
    typer.echo(f"{count_line(done.counts_by_group())}; {cells}; {done.seconds:.1f} s")
    typer.echo(f"report: {done.out / 'report.html'}")


def _table_of(claims: Sequence[Claim]) -> Table:
    """A line a claim, by whose they are; what does not fit is cut."""
    from rich.table import Table

    from annosim.study.attribution import GROUPS

    colours = {"supported": "green", "contradicted": "red", "inconclusive": "yellow", "not judged": "dim"}
    table = Table(box=None, pad_edge=False, expand=True)
    for head in ("whose", "verdict", "claim", "found"):
        table.add_column(head, no_wrap=True)
    table.add_column("statement", no_wrap=True, overflow="ellipsis", ratio=1)
    for c in sorted(claims, key=lambda c: list(GROUPS).index(c.whose.group)):
        verdict = f"[{colours[c.verdict]}]{c.verdict}[/]"
        table.add_row(c.whose.group, verdict, c.id, shorten(c.found, 26, placeholder="…"), c.statement)
    return table


def _last_verdicts(folder: Path) -> str:
    """Counts of the verdicts of the last run kept in this folder."""
    try:
        claims = json.loads((folder / "claims.json").read_text())
    except FileNotFoundError:
        return "not run yet"
    except ValueError:
        return f"{folder / 'claims.json'} is not readable"
    from annosim.study.attribution import GROUPS
    from annosim.study.claims import VERDICTS
    from annosim.study.result import count_line

    if not claims:
        return "no claims"
    told = [(claim.get("whose", "study"), claim["verdict"]) for claim in claims]
    there = {group for group, _ in told}
    return count_line({g: {v: told.count((g, v)) for v in VERDICTS} for g in GROUPS if g in there})
