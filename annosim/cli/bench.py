"""``annosim bench NAME``: paired runs with ratios and spread."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from annosim.cli.output import check_ending

__all__ = ["register"]

#: Modules of annosim.bench that are not benchmarks.
_TOOLS = {"measure", "trl_trainers"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "bench",
        help="Measure throughput against other ways to do the same: medians, ratios per round, and their range.",
        epilog="Example: annosim bench simulate --rounds 5",
    )(_bench)


def _bench(
    name: str = typer.Argument(None, help="Which benchmark; without it, their names.", show_default=False),
    rounds: int = typer.Option(7, help="Rounds; the implementations take turns within each."),
    size: float = typer.Option(1.0, help="Scales the work."),
    threads: int = typer.Option(None, help="Threads of compiled code; all cores by default."),
    device: str = typer.Option("cpu", help="Device: cpu or cuda."),
    out: Path = typer.Option(None, help="Write the numbers as JSON, too.", show_default=False),
) -> None:
    """Run a benchmark and print its table."""
    from importlib import import_module

    from annosim.bench.measure import Options, machine, measure
    from annosim.errors import ArgumentError
    from annosim.files import atomic_text

    check_ending("--out", out, ".json")
    names = _names()
    if name is None:
        typer.echo("\n".join(names))
        return
    if name not in names:
        raise ArgumentError(f"bench {name!r}: there are {', '.join(names)}")
    if not 1e-3 <= size <= 1e3:
        raise ArgumentError(f"--size={size}: from 0.001 to 1000; 1 is the size that the README reports")
    if rounds < 1 or (threads is not None and threads < 1):
        raise ArgumentError(f"--rounds={rounds}, --threads={threads}: whole numbers of at least 1")
    options = Options(rounds, size, threads, device)
    here = machine()
    typer.echo(f"{here['processor']}, {here['cores']} cores; median of {rounds} rounds [range]")
    records = []
    for benchmark in import_module(f"annosim.bench.{name}").benchmarks(options):
        measured = measure(benchmark, rounds)
        typer.echo(repr(measured))
        records.append(measured.record())
    if out is not None:
        atomic_text(out, json.dumps(records, indent=1))


def _names() -> list[str]:
    import pkgutil

    import annosim.bench

    return sorted(m.name for m in pkgutil.iter_modules(annosim.bench.__path__) if m.name not in _TOOLS)
