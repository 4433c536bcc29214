"""``annosim plan SCENARIO.toml``: what each design would cost."""

from __future__ import annotations

from pathlib import Path

import typer

from annosim.cli.engines import CLUSTER, on_cluster
from annosim.cli.output import check_ending


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "plan",
        help="What would it cost to know the target of the scenario's plan table, under each of its designs? Exit "
        "code 0: some design identifies the target; 3: none does; 2: bad input.",
        epilog="Example: annosim plan scenario.toml --html plan.html",
    )(_plan)


def _plan(
    scenario: Path = typer.Argument(..., help="A scenario file (TOML) with a table named plan."),
    starts: int = typer.Option(6, min=0, help="Starts of the search for a twin; 0 leaves it out."),
    check: int | None = typer.Option(
        None, min=2, help="Simulate and fit so many studies of the cheapest design; none by default."
    ),
    html: Path | None = typer.Option(None, help="Write the table and the figure as a page, too."),
    cluster: str = CLUSTER,
) -> None:
    """Print the plan."""
    import annosim as an
    from annosim.errors import ArgumentError, ScenarioError
    from annosim.planning.cost import Cost
    from annosim.planning.targets import target_function
    from annosim.reporting import FigureEntry, HtmlTable, TableEntry, write_page
    from annosim.scenario import load_scenario

    check_ending("--html", html, ".html")
    found = load_scenario(scenario)
    people, _ = found.asked()
    table = found.plan
    if table is None:
        raise ScenarioError(f"{scenario}: no [plan] table; add one with precision, target, compare and cost")
    try:
        if table.target is not None:
            target_function(table.target)
    except ArgumentError as error:
        raise ScenarioError(f"{scenario}: plan.target: {error}") from None
    cost = Cost(table.cost.annotator, table.cost.answer)
    result = an.plan(
        people,
        found.compare,
        target=table.target,
        precision=table.precision,
        cost=cost,
        among=found.among,
        starts=starts,
        seed=found.seed,
    )
    checked = None
    if check is not None and result.best is not None:
        with on_cluster(cluster):
            checked = result.check(replicates=check, seed=found.seed)
    parts = [result] if checked is None else [result, checked]
    try:
        if html is not None:
            figure = FigureEntry.draw(result.figure(), caption="Half-width of the worst component against cost")
            designs = TableEntry("designs", result._title(), HtmlTable.from_frame(result.to_frame()))
            best = result.best
            said = f"Cheapest: {best.name}; {best}." if best else "None of the designs identifies the target."
            write_page(html, f"annosim plan {scenario.name}", [figure, designs, *parts[1:]], said)
    finally:
        for part in parts:
            typer.echo(repr(part))
    raise typer.Exit(0 if result.best is not None else 3)
