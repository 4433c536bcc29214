"""``annosim simulate SCENARIO.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import typer

from annosim.cli.engines import CLUSTER, on_cluster

if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData
    from annosim.designs.design import Design
    from annosim.populations.base import Population

__all__ = ["register"]


#: Endings of a file that is written as a whole, and those of files that are not written.
ONE_FILE = (".parquet", ".csv", ".csv.gz")
NO_OUTPUT = (".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".xlsx", ".gz", ".zip", ".feather", ".arrow")


class Address(TypedDict):
    """Which draws these are."""

    seed: int
    replicate: int


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "simulate",
        help="Draw what the scenario's population says to its design.",
        epilog="Example: annosim simulate scenario.toml --out votes/ --rows 1e8",
    )(_simulate)


def _simulate(
    scenario: Path = typer.Argument(None, help="A scenario file (TOML).", show_default=False),
    out: str = typer.Option(
        None,
        help="Where to write: NAME.parquet or NAME.csv is one file, anything else a directory of shards or its URL, in "
        "constant memory and resumed when interrupted. Without it, only a summary is printed.",
        metavar="PATH|URL",
        show_default=False,
    ),
    store: str = typer.Option(
        None, help="A URL as --out, which workers write to themselves.", metavar="URL", show_default=False
    ),
    rows: str = typer.Option(None, help="Rows, for example 1e8; the scenario's annotators by default.", metavar="N"),
    seed: int = typer.Option(None, help="Seed; the scenario's by default."),
    replicate: int = typer.Option(0, help="Which replicate."),
    counts: bool = typer.Option(False, "--counts", help="Draw how often each answer is given, not the answers."),
    shard_rows: str = typer.Option(
        None, help="Rows of a shard, about; some 40 MB in memory by default.", metavar="N", show_default=False
    ),
    threads: int = typer.Option(None, min=1, help="Threads; all cores by default."),
    cluster: str = CLUSTER,
    listing: bool = typer.Option(False, "--list", help="List the rules, response biases, populations and utilities."),
) -> None:
    """Draw, and say at which rate."""
    from annosim.errors import ArgumentError

    if listing:
        from annosim.rules.registry import listing as everything

        typer.echo(everything())
        return
    if scenario is None:
        raise ArgumentError("simulate: no scenario; give a TOML file, or --list to see what one may hold")
    from annosim.places import is_url
    from annosim.scenario import load_scenario

    if store is not None and (out is not None or not is_url(store)):
        raise ArgumentError(f"--store {store}: a URL such as s3://bucket/votes, instead of --out")
    out = store or out
    found = load_scenario(scenario)
    people, design = found.asked()
    address: Address = {"seed": found.seed if seed is None else seed, "replicate": replicate}
    design = _of_length(design, rows)
    if counts or out is None or _is_one_file(out):
        if cluster is not None or (out is not None and is_url(out)):
            raise ArgumentError("--cluster and URLs are for directories of shards; give --out DIR or --store URL")
        _in_memory(people, design, None if out is None else Path(out), counts, threads, address)
    else:
        size = None if shard_rows is None else _number("--shard-rows", shard_rows)
        with on_cluster(cluster):
            _streamed(people, design, out, size, threads, address)


def _is_one_file(out: str) -> bool:
    """Whether this is the name of one file, and not of a directory of shards.

    Raises:
        ArgumentError: a file that is not written.
    """
    from annosim.errors import ArgumentError

    if out.lower().endswith(ONE_FILE):
        return True
    if out.lower().endswith(NO_OUTPUT):
        raise ArgumentError(
            f"--out {out}: not written; give NAME.parquet or NAME.csv for one file, a name without an ending for a "
            "directory of shards"
        )
    return False


def _of_length(design: Design, rows: str | None) -> Design:
    """The design with as many annotators as the rows need."""
    from annosim.errors import ArgumentError

    if rows is None:
        return design
    if design.loads is not None:
        raise ArgumentError("--rows: the design fixes each annotator's load; change loads instead")
    wanted = _number("--rows", rows)
    return design.with_(annotators=-(-wanted // design.num_questions))


def _number(name: str, text: str) -> int:
    from annosim.errors import ArgumentError

    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 2**53 or value != int(value):
        raise ArgumentError(f"{name}={text}: a whole number of at least 1, for example 1e8")
    return int(value)


def _in_memory(
    people: Population, design: Design, out: Path | None, counts: bool, threads: int | None, address: Address
) -> None:
    import time

    from annosim.simulation.draws import simulate

    start = time.perf_counter()
    data = simulate(people, design, counts=counts, threads=threads, **address)
    seconds = time.perf_counter() - start
    try:
        if out is not None:
            _write(data, out)
    finally:
        _print_summary(data, counts, seconds)
    if out is not None:
        typer.echo(f"written: {out}")


def _write(data: PreferenceData, out: Path) -> None:
    """One file, by its ending; pairs as CSV in the layout that ``annosim fit`` recognises by itself."""
    if out.suffix.lower() == ".parquet":
        data.to_parquet(out)
    else:
        pairs = data.feedback.kind == "choice" and data.menu_size == 2
        data.to_csv(out, layout="pairs" if pairs else "wide")


def _print_summary(data: PreferenceData, counts: bool, seconds: float) -> None:
    typer.echo(repr(data))
    weight = data.weight if counts and data.annotator is None else None
    total = data.rows if weight is None else int(weight.sum())
    typer.echo(f"{total} rows in {seconds:.2f} s, path {data.settings['path']}{_why(data.settings)}")


def _why(settings: Mapping[str, Any]) -> str:
    reasons = settings.get("path_reasons", {})
    return f" ({'; '.join(f'{part}: {why}' for part, why in reasons.items())})" if reasons else ""


def _streamed(
    people: Population, design: Design, out: str, shard_rows: int | None, threads: int | None, address: Address
) -> None:
    import time

    from annosim.progress import ProgressBar
    from annosim.simulation.draws import simulate

    start = time.perf_counter()
    kept = 0
    with ProgressBar("rows", design.num_rows) as bar:

        def progress(done: int, before: int, total: int) -> None:
            nonlocal kept
            kept = before
            bar.done = done + before
            bar.note(f"{done / max(time.perf_counter() - start, 1e-9):.3g} rows/s")

        shards = simulate(people, design, out=out, shard_rows=shard_rows, threads=threads, progress=progress, **address)
    seconds = time.perf_counter() - start
    typer.echo(repr(shards))
    new = design.num_rows - kept
    before = f" ({kept} rows were there from before)" if kept else ""
    typer.echo(f"{new} rows drawn and written in {seconds:.2f} s: {new / seconds:.3g} rows/s{before}")
    typer.echo(f"written: {out}")
