"""A report as one page that opens offline."""

from __future__ import annotations

import html as escape
from pathlib import Path

from annosim.io.files import atomic_text


def write_page(path: Path, title: str, body: str) -> None:
    """Write a self-contained page: complete, or not at all."""
    page = (
        f"<!doctype html><meta charset='utf-8'><title>{escape.escape(title)}</title>"
        "<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem;max-width:72rem}"
        "th,td{vertical-align:top;padding:.2rem .8rem .2rem 0}caption{text-align:left;font-weight:bold;padding:.5rem 0}"
        "</style>"
        f"<h1>{escape.escape(title)}</h1>{body}\n"
    )
    atomic_text(path, page)


def figure_tag(figure) -> str:
    """A matplotlib figure as an image inside the page."""
    import base64
    import io

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, bbox_inches="tight")
    picture = base64.b64encode(buffer.getvalue()).decode()
    return f"<img alt='figure' style='max-width:100%' src='data:image/png;base64,{picture}'>"
