"""Serves the page to this machine and to nobody else."""

from __future__ import annotations

import socket
from pathlib import Path
from threading import Thread

from annosim.errors import ArgumentError
from annosim.extras import library

__all__ = ["HOST", "serve"]

#: The loopback interface: no other machine can open the page.
HOST = "127.0.0.1"
APP = Path(__file__).with_name("app.py")


def serve(port: int, show: bool = True) -> None:
    """Serve the page until it is interrupted.

    Args:
        port: of the loopback interface; 0 takes a free one.
        show: open it in the default browser.

    Raises:
        MissingDependencyError: the extra is not installed.
        ArgumentError: the port cannot be used.
    """
    for name in ("marimo", "uvicorn"):
        library(name, "explore")
    with _listening(port) as bound:
        _run(bound, show)


def _listening(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((HOST, port))
        bound.listen()
    except OSError as error:
        bound.close()
        raise ArgumentError(f"--port {port}: {error.strerror or error}; choose another, or 0 for a free one") from None
    return bound


def _prepare() -> None:
    """What the page shows first, computed while the browser opens."""
    import annosim.explore.drawing  # noqa: F401
    from annosim.explore.exploration import OPENING, explore

    explore(*OPENING)


def _run(bound: socket.socket, show: bool) -> None:
    import webbrowser

    import marimo
    import uvicorn

    address = f"http://{HOST}:{bound.getsockname()[1]}/"
    page = marimo.create_asgi_app(quiet=True).with_app(path="", root=str(APP)).build()
    print(f"{address}  (Ctrl+C ends it)", flush=True)
    Thread(target=_prepare, daemon=True).start()
    if show:
        webbrowser.open(address)
    uvicorn.Server(uvicorn.Config(page, log_level="error")).run(sockets=[bound])
