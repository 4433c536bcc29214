"""``--cluster``: where a command's work runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

__all__ = ["CLUSTER", "on_cluster"]

#: The option, for every command that has it.
CLUSTER = typer.Option(
    None,
    "--cluster",
    help="Where the work runs: tcp://HOST:8786 (a Dask scheduler), local:4 (a Dask cluster of 4 processes here), "
    "processes:4 (without Dask), or FILE.toml.",
    metavar="WHERE",
    show_default="this machine",
)


@contextmanager
def on_cluster(where: str | None) -> Iterator[None]:
    """Run the block there, and say how many tasks were repeated because a worker died."""
    if where is None:
        yield
        return
    import logging

    from annosim.execution.current import cluster

    for name in ("distributed", "asyncio", "tornado"):  # what matters is said in one line
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with cluster(where) as engine:
        try:
            yield
        finally:
            if engine.repeated:
                tasks = "1 task was" if engine.repeated == 1 else f"{engine.repeated} tasks were"
                typer.echo(f"cluster: {tasks} run again because a worker died", err=True)
