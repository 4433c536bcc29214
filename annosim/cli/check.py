"""``annosim check``: property-test an estimator from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

__all__ = ["register"]

#: A check failed that was not expected to.
CHECK_FAILED = 1


def register(app: typer.Typer) -> None:
    """Add the ``check`` command."""
    app.command(
        "check",
        epilog="Example: annosim check choix:ilsr_pairwise --adapter choix --set alpha=0. Exit codes: 0 every law that "
        "applies holds, 1 a check failed, 2 bad input.",
    )(check)


def check(
    estimator: str = typer.Argument(..., help="module:callable, for example choix:ilsr_pairwise."),
    adapter: str = typer.Option(
        "plain", help="How to call it: plain (PreferenceData in), choix, evalica, crowdkit, sklearn."
    ),
    kind: str = typer.Option(
        None, help="pairwise | choice | ranking | ties | mixture | reward (default: the adapter's)."
    ),
    tag: list[str] = typer.Option(
        [], help="What it declares (repeatable): weights, regularised, score, sequential ..."
    ),
    set_: list[str] = typer.Option([], "--set", help="A setting for it, name=value (repeatable)."),
    expect: list[str] = typer.Option([], help="An expected failure, check_name=reason (repeatable)."),
    fast: bool = typer.Option(False, "--fast", help="Leave out the statistical checks."),
    tolerance: float = typer.Option(1e-4, min=0.0, help="Largest difference of utilities that a law calls equal."),
    seed: int = typer.Option(0, min=0, help="Seed of all data that are drawn."),
    html: Path = typer.Option(None, help="Also write the report to this file."),
) -> None:
    """Ask whether an estimator of preferences obeys the laws of its data, and show the evidence."""
    import os
    import sys

    from annosim.checks import adapt, check_estimator
    from annosim.errors import ArgumentError

    sys.path.insert(0, os.getcwd())  # a user's own module lies where the command runs
    if adapter not in adapt.ADAPTERS:
        raise ArgumentError(f"--adapter {adapter!r}: the adapters are {', '.join(adapt.ADAPTERS)}")
    settings = {} if kind is None else {"kind": kind}
    wrapped = adapt.ADAPTERS[adapter](adapt.load(estimator), tags=tag, **settings, **dict(map(_setting, set_)))
    report = check_estimator(
        wrapped,
        kind=wrapped.kind,
        tags=tag,
        tolerance=tolerance,
        expected_failed_checks=dict(_pair(e, "--expect") for e in expect),
        statistical=not fast,
        seed=seed,
        name=wrapped.name,
    )
    _print(report)
    if html is not None:
        _write_html(report, html)
    raise typer.Exit(CHECK_FAILED if report.failed else 0)


def _pair(text: str, option: str) -> tuple[str, str]:
    from annosim.errors import ArgumentError

    name, sep, value = text.partition("=")
    if not sep or not name:
        raise ArgumentError(f"{option} {text!r}: write name=value")
    return name, value


def _setting(text: str) -> tuple[str, Any]:
    """``alpha=0`` -> ("alpha", 0): numbers, true, false and inf are read as such, the rest as text."""
    name, value = _pair(text, "--set")
    if value in ("inf", "-inf"):
        return name, float(value)
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _print(report: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    colour = {"passed": "green", "failed": "bold red", "not_applicable": "dim", "expected_failure": "yellow"}
    table = Table(title=report._title(), show_lines=False)
    for column in ("check", "status", "p", "evidence"):
        table.add_column(column, overflow="fold")
    for r in report:
        p = "" if r.p_value is None else f"{r.p_value:.2g}"
        table.add_row(r.name, f"[{colour[r.status]}]{r.status}[/]", p, r.evidence.replace("[", r"\["))
    Console().print(table)


def _write_html(report: Any, path: Path) -> None:
    text = f"<!doctype html><meta charset='utf-8'><title>{report.estimator}</title>{report._repr_html_()}"
    scratch = path.with_name(path.name + ".part")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)
