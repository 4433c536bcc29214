"""``annosim identify SCENARIO.toml``: exit code 0, 3 or 4 says whether the population can be known."""

from __future__ import annotations

from pathlib import Path

import typer

from annosim.cli.output import check_ending


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "identify",
        help="Can the scenario's population be known from its design? Exit code 0: identified, or locally identified "
        "without a twin; 3: not identified; 4: singular or inconclusive; 2: bad input.",
        epilog="Example: annosim identify scenario.toml --html report.html",
    )(_identify)


def _identify(
    scenario: Path = typer.Argument(..., help="A scenario file (TOML)."),
    starts: int = typer.Option(20, min=0, help="Starts of the search for a twin; 0 leaves it out."),
    seed: int | None = typer.Option(None, help="Seed of the starts; the scenario's by default."),
    html: Path | None = typer.Option(None, help="Write the report as a page, too."),
) -> None:
    """Print the report, and exit with its code."""
    import annosim as an
    from annosim.identifiability.report import VERDICTS
    from annosim.reporting import write_page
    from annosim.scenario import load_scenario

    check_ending("--html", html, ".html")
    found = load_scenario(scenario)
    people, design = found.asked()
    report = an.identify(people, design, starts=starts, seed=found.seed if seed is None else seed)
    try:
        if html is not None:
            said = f"{report.verdict.replace('_', ' ').capitalize()}: {VERDICTS[report.verdict]}."
            write_page(html, f"annosim identify {scenario.name}", [report], said)
    finally:
        typer.echo(repr(report))
    raise typer.Exit(report.exit_code)
