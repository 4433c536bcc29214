"""``annosim explore``: a page with sliders, on this machine only."""

from __future__ import annotations

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "explore",
        help="Open a page with sliders for two types of annotators and what they are asked: their law, what one reward "
        "model or DPO would learn from infinite data, whether the types can be known, and the cost. Served to this machine "
        "only. Needs the extra named explore.",
        epilog="Example: annosim explore --port 2718",
    )(_explore)


def _explore(
    port: int = typer.Option(2718, min=0, max=65535, help="Port of 127.0.0.1; 0 takes a free one."),
    show: bool = typer.Option(True, "--show/--no-show", help="Open the page in the default browser."),
) -> None:
    """Serve until interrupted."""
    from annosim.explore.server import serve

    serve(port, show)
