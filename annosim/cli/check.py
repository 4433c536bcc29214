"""``annosim check``: property-test an estimator from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from annosim.cli.engines import CLUSTER, on_cluster
from annosim.cli.output import check_ending

if TYPE_CHECKING:
    from annosim.checks import CheckReport

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
    estimator: str = typer.Argument(None, help="module:callable, for example choix:ilsr_pairwise."),
    adapter: str = typer.Option(
        "plain",
        help="How to call it: plain (PreferenceData in), tuples, arrays, frame, choix, evalica, crowdkit, sklearn, "
        "annosim (a function of the data that returns a model to fit).",
    ),
    kind: str = typer.Option(
        None, help="pairwise | choice | ranking | ties | mixture | reward (default: the adapter's)."
    ),
    tag: list[str] = typer.Option(
        [], help="What it declares (repeatable): weights, regularised, score, sequential ...; see --list."
    ),
    returns: str = typer.Option(None, help="utilities (default) | population | probabilities."),
    only: list[str] = typer.Option([], help="Run this check alone (repeatable)."),
    set_: list[str] = typer.Option([], "--set", help="A setting for it, name=value (repeatable)."),
    expect: list[str] = typer.Option([], help="An expected failure, check_name=reason (repeatable)."),
    fast: bool = typer.Option(False, "--fast", help="Leave out the statistical checks."),
    tolerance: float = typer.Option(
        None, min=0.0, help="Largest difference of utilities that a law calls equal (default 1e-4)."
    ),
    seed: int = typer.Option(0, min=0, help="Seed of all data that are drawn."),
    html: Path = typer.Option(None, help="Also write the report to this file."),
    cluster: str = CLUSTER,
    list_: bool = typer.Option(False, "--list", help="Print all checks with their laws, and all tags."),
) -> None:
    """Ask whether an estimator of preferences obeys the laws of its data, and show the evidence."""
    import os
    import sys

    from annosim.checks import adapt, check_estimator
    from annosim.errors import ArgumentError
    from annosim.reporting import write_page

    if list_:
        _print_list()
        return
    if estimator is None:
        raise ArgumentError("annosim check: name an estimator, module:callable, or ask for --list")
    check_ending("--html", html, ".html")
    if html is not None and not html.parent.is_dir():
        raise ArgumentError(f"--html {str(html)!r}: there is no folder {str(html.parent)!r}")
    sys.path.insert(0, os.getcwd())  # a user's own module lies where the command runs
    if adapter not in adapt.ADAPTERS:
        raise ArgumentError(f"--adapter {adapter!r}: the adapters are {', '.join(adapt.ADAPTERS)}")
    target, settings = adapt.load(estimator), dict(map(_setting, set_))
    _require_settings(estimator, target, settings)
    kinds = {} if kind is None else {"kind": kind}
    wrapped = adapt.ADAPTERS[adapter](target, tags=tag, **kinds, **settings)
    with on_cluster(cluster):
        report = check_estimator(
            wrapped,
            returns=returns,
            tolerance=tolerance,
            only=only or None,
            expected_failed_checks=dict(_pair(e, "--expect") for e in expect),
            statistical=not fast,
            seed=seed,
            raise_on_failure=False,
        )
    try:
        if html is not None:
            write_page(html, f"annosim check {report.estimator}", [report], report._title())
    finally:
        _print(report)
    raise typer.Exit(CHECK_FAILED if report.failed else 0)


def _require_settings(name: str, target: object, settings: dict[str, object]) -> None:
    """A misspelt setting is bad input, not twenty failed checks."""
    import inspect

    from annosim.errors import ArgumentError

    if not settings or not callable(target):
        return
    try:
        parameters = inspect.signature(target).parameters
    except ValueError:  # compiled functions may not say what they take
        return
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for unknown in [s for s in settings if s not in parameters]:
        raise ArgumentError(f"--set {unknown}=...: {name} has no such parameter; it takes {', '.join(parameters)}")


def _print_list() -> None:
    from annosim.checks import CHECKS, TAGS

    for title, rows in (("checks", {c.name: c.law for c in CHECKS.values()}), ("tags", TAGS)):
        typer.echo(title)
        for name, text in rows.items():
            typer.echo(f"  {name:<38}{text}")


def _pair(text: str, option: str) -> tuple[str, str]:
    from annosim.errors import ArgumentError

    name, sep, value = text.partition("=")
    if not sep or not name:
        raise ArgumentError(f"{option} {text!r}: write name=value")
    return name, value


def _setting(text: str) -> tuple[str, object]:
    """``alpha=0`` -> ("alpha", 0): numbers, true, false and inf are read as such, the rest as text."""
    name, value = _pair(text, "--set")
    if value in ("inf", "-inf"):
        return name, float(value)
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _print(report: CheckReport) -> None:
    """A table of what was asked; below it, unboxed so that it can be pasted, the evidence of every failure."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    colour = {"passed": "green", "failed": "bold red", "expected_failure": "yellow"}
    console = Console()
    table = Table(title=escape(report._title()), show_lines=False)
    for column in ("check", "status", "p", "evidence"):
        table.add_column(column, overflow="fold", no_wrap=column == "check")
    asked = [r for r in report if r.status != "not_applicable"]
    for r in asked:
        p = "" if r.p_value is None else f"{r.p_value:.2g}"
        short = r.evidence.split("; PreferenceData(")[0]
        table.add_row(r.name.removeprefix("check_"), f"[{colour[r.status]}]{r.status}[/]", p, escape(short))
    console.print(table)
    reasons: dict[str, list[str]] = {}
    for r in report:
        if r.status == "not_applicable":
            reasons.setdefault(r.evidence, []).append(r.name.removeprefix("check_"))
    for reason, names in reasons.items():
        console.print(f"[dim]not applicable ({escape(reason)}): {', '.join(names)}[/]", highlight=False)
    for r in report.failed:
        typer.echo(f"\n{r.name}: {r.law}\n  {r.evidence}")
