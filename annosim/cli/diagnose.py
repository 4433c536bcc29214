"""``annosim diagnose FILE``: what do these answers say, and what could they say?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from annosim.diagnosis.diagnosis import Diagnosis

__all__ = ["register"]

READ = "Reading the file"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "diagnose",
        help="What do these answers say, and what could they say? One screen: what was read, whether estimates exist, effects "
        "of the position and of length, annotators that look like spammers or copies, types, the ceiling of any model, and "
        "what to collect next. Exit codes: 0 nothing wrong; 2 bad input; 3 the estimate does not exist (pairs to ask are "
        "named); 4 it exists, and a test says that something is wrong (at a family-wise level of 5 %).",
        epilog="Example: annosim diagnose votes.csv --format pairs --annotator worker --html votes.html",
    )(_diagnose)


def _diagnose(
    data: str = typer.Argument(..., help="A file of preferences, or its URL."),
    format: str = typer.Option(None, help="Format: pairs, arena, preflib, trl, ...", rich_help_panel=READ),
    annotator: str = typer.Option(None, help="Column with who answered.", rich_help_panel=READ),
    left: str = typer.Option(None, help="Column with the left item (pairs).", rich_help_panel=READ),
    right: str = typer.Option(None, help="Column with the right item (pairs).", rich_help_panel=READ),
    winner: str = typer.Option(None, help="Column with the answer (pairs).", rich_help_panel=READ),
    prompt: str = typer.Option(None, help="Column with the context of the question.", rich_help_panel=READ),
    weight: str = typer.Option(None, help="Column with the annotators' weights.", rich_help_panel=READ),
    words: str = typer.Option(None, help="What words mean: A=left,B=right,draw=tie (pairs).", rich_help_panel=READ),
    feedback: str = typer.Option(None, help="Kind of answer, where the format does not say it.", rich_help_panel=READ),
    settings: list[str] = typer.Option(
        None, "--set", help="Another option of the reader, NAME=VALUE.", rich_help_panel=READ
    ),
    precision: float = typer.Option(None, help="Half-width of a 95 % interval of a strength that you want, in logits."),
    detect: float = typer.Option(None, help="Margin over one half that a pair should show (0.05)."),
    power: float = typer.Option(0.8, help="How surely it should show it."),
    seed: int = typer.Option(0, min=0, help="Seed of shuffles and random parts."),
    html: Path = typer.Option(None, help="Write the diagnosis as a page, too."),
    json: Path = typer.Option(None, "--json", help="Write it as JSON, too; - prints JSON instead of the screen."),
) -> None:
    """Read, ask every question, print, exit with the verdict."""
    import annosim as an
    from annosim.cli.inputs import read_answers
    from annosim.errors import ArgumentError

    if html is not None and html.suffix.lower() != ".html":
        raise ArgumentError(f"--html {html}: a name that ends in .html")
    if json is not None and str(json) != "-" and json.suffix.lower() != ".json":
        raise ArgumentError(f"--json {json}: a name that ends in .json, or - for the screen")
    named = {"annotator": annotator, "left": left, "right": right, "winner": winner, "prompt": prompt, "weight": weight}
    answers = read_answers(data, format, named | {"feedback": feedback}, words, settings or [], quiet=str(json) == "-")
    try:
        found = an.diagnose(answers, precision=precision, detect=detect, power=power, seed=seed)
    except ArgumentError as error:  # of arguments, which are options here
        raise ArgumentError(re.sub(r"^diagnose\((\w+)=(.*?)\): ", r"--\1 \2: ", str(error))) from None
    try:
        for path in (html, json):
            if path is not None and str(path) != "-":
                found.save(path)
    finally:
        typer.echo(found.to_json() if str(json) == "-" else _screen(found))
    raise typer.Exit(found.exit_code)


def _screen(found: Diagnosis) -> str:
    """The finding first, then a line for each question, in lines of the terminal's width."""
    import shutil
    import textwrap

    from annosim.diagnosis.diagnosis import MARKS
    from annosim.diagnosis.finding import p_words

    width = max(60, min(shutil.get_terminal_size((110, 20)).columns, 130))
    out = [*textwrap.wrap(found.headline, width), ""]
    for one in found.findings:
        p = f" [p {p_words(one.adjusted)}]" if one.adjusted is not None else ""
        head = f"{MARKS[one.status]} {one.question:<12} "
        said = (one.sentence + p).replace(" %", "\u00a0%")  # a number keeps its sign on its line
        lines = textwrap.wrap(said, width, initial_indent=head, subsequent_indent=" " * len(head))
        out += [line.replace("\u00a0", " ") for line in lines]
    out += ["", "!! an alarm, .. worth reading, -- could not be asked; p after Holm's adjustment for all tests"]
    missing = [one for one in found.findings if one.status == "not asked" and one.change and one.question != "types"]
    if missing:
        out += ["", "What would make the rest possible:"]
        out += [
            line
            for text in dict.fromkeys(one.change for one in missing)
            for line in textwrap.wrap(f"- {text}", width, subsequent_indent="  ")
        ]
    return "\n".join(out)
