"""Frozen results: every verb returns one, it carries its settings, prints readably, and shows a table in a notebook."""

from __future__ import annotations

import html
import platform
from dataclasses import dataclass, field
from functools import cache
from typing import Any

__all__ = ["Result", "versions"]


def versions() -> dict[str, str]:
    """Versions of python, annosim, torch and numpy, for a result's settings.

    Example:
        >>> sorted(versions())
        ['annosim', 'numpy', 'python', 'torch']
    """
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    """Read once: the packages' metadata lie in files, and a small simulation would spend its time on them."""
    from importlib.metadata import PackageNotFoundError, version

    out = {"python": platform.python_version()}
    for name in ("annosim", "torch", "numpy"):
        try:
            out[name] = version(name)
        except PackageNotFoundError:  # run from a source tree that is not installed
            out[name] = "unknown"
    return out


@dataclass(frozen=True, eq=False)
class Result:
    """Base of every result. Subclasses implement :meth:`_lines`, pairs of a label and a value.

    Attributes:
        settings: how it was computed (solver, tolerance, seed, versions, ...).
    """

    settings: dict[str, Any] = field(default_factory=dict, kw_only=True, repr=False)

    def _title(self) -> str:
        return type(self).__name__

    def _lines(self) -> list[tuple[str, Any]]:
        return []

    def __repr__(self) -> str:
        lines = [(label, _show(value)) for label, value in self._lines()]
        width = max((len(label) for label, _ in lines), default=0)
        indent = "\n" + " " * (width + 4)
        return "\n".join([self._title()] + [f"  {label:<{width}}  {v.replace(chr(10), indent)}" for label, v in lines])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(label)}</th>"
            f"<td style='text-align:left'><pre style='margin:0'>{html.escape(_show(value))}</pre></td></tr>"
            for label, value in self._lines()
        )
        return f"<table><caption>{html.escape(self._title())}</caption>{rows}</table>"


def _show(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)
