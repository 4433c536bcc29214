"""Pages from templates: one self-contained HTML file each, written completely or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from annosim.files import atomic_text
from annosim.reporting.entries import FigureEntry, TableEntry
from annosim.reporting.numbers import format_interval, format_number

__all__ = ["render", "write_page"]


class HtmlDisplay(Protocol):
    """Anything that a notebook shows as HTML, for example every result of annosim."""

    def _repr_html_(self) -> str: ...


def render(template: str, **values: object) -> str:
    """The text of a page.

    Args:
        template: a file of ``annosim/reporting/templates``.
        values: its variables; a missing one is an error, and all text is escaped.

    Example:
        >>> "<h1>1 &lt; 2</h1>" in render("page.html", title="1 < 2", finding="", parts=[])
        True
    """
    return _environment().get_template(template).render(values)


def write_page(
    path: Path, title: str, parts: Sequence[HtmlDisplay | FigureEntry | TableEntry], finding: str = ""
) -> None:
    """Write a page that shows a finding, and below it results, tables and figures.

    Args:
        path: the file; it is replaced in one step.
        title: its heading.
        parts: results, tables and figures in their order.
        finding: the answer in one sentence, shown first.

    Example:
        >>> import tempfile
        >>> import annosim as an
        >>> law = an.law(an.Annotator(an.Tabular(2), an.Luce()), an.Design(an.Items(n=2)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_page(Path(folder) / "law.html", "The law", [law])
        ...     "The law" in (Path(folder) / "law.html").read_text(encoding="utf-8")
        True
    """
    shown = [part if isinstance(part, FigureEntry | TableEntry) else Markup(part._repr_html_()) for part in parts]
    atomic_text(path, render("page.html", title=title, finding=finding, parts=shown))


@cache
def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("annosim.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"number": format_number, "interval": format_interval}
    found.filters["anchor"] = lambda text: "-".join(str(text).split())
    found.tests["figure"] = lambda part: isinstance(part, FigureEntry)
    found.tests["entry"] = lambda part: isinstance(part, TableEntry)
    return found
