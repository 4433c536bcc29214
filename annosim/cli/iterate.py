"""``annosim iterate SCENARIO.toml``: rounds of sampling, asking and learning, as online DPO makes them."""

from __future__ import annotations

from pathlib import Path

import typer

from annosim.cli.output import check_ending


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "iterate",
        help="Rounds of sampling from a policy, asking the scenario's population, learning a reward and moving the policy: "
        "online DPO, iterated best-of-n. Exact, or with finitely many answers; the scenario's table 'iterate' says how.",
        epilog="Example: annosim iterate scenario.toml --out rounds.csv --html rounds.html",
    )(_iterate)


def _iterate(
    scenario: Path = typer.Argument(..., help="A scenario file (TOML)."),
    rounds: int | None = typer.Option(None, min=1, max=10_000, help="Rounds; the scenario's by default."),
    seed: int | None = typer.Option(None, help="Seed of the answers; the scenario's by default."),
    out: Path | None = typer.Option(None, help="Write the mass and reward of each item after each round, as CSV."),
    html: Path | None = typer.Option(None, help="Write a page with the figure, too."),
) -> None:
    """Print the policies' masses, the first and the last."""
    from annosim.files import atomic_text
    from annosim.random import check_seed
    from annosim.scenario import load_scenario
    from annosim.scenario.iteration import IterateTable

    check_ending("--out", out, ".csv")
    check_ending("--html", html, ".html")
    found = load_scenario(scenario)
    found.need("items", "population")
    assert found.items is not None and found.population is not None
    table = found.iterate or IterateTable()
    if rounds is not None:
        table = IterateTable.model_validate(table.model_dump() | {"rounds": rounds})
    result = table.run(found.population, found.items, check_seed(found.seed if seed is None else seed))
    if out is not None:
        atomic_text(out, result.to_frame().to_csv(index=False))
    if html is not None:
        from annosim import plotting
        from annosim.reporting import FigureEntry, write_page

        figure, axes = plotting.figure()
        result.plot(axes[0, 0])
        drawn = FigureEntry.draw(figure, caption="Mass of the items under the policy of each round")
        first, last = result.kl[1], result.kl[-1]
        said = (
            f"After {table.rounds} rounds the policy is {last:.3g} nats from where it began (after one, {first:.3g})."
        )
        write_page(html, f"annosim iterate {scenario.name}", [drawn, result], said)
    typer.echo(repr(result))
    typer.echo(result.to_frame().query("round in [0, @table.rounds]").to_string(index=False))
