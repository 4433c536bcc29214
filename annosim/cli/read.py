"""``annosim read FILE``: what a file of answers is recognised as, why, and what is read from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData

__all__ = ["register"]

#: rows that --show prints
ROWS = 5


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "read",
        help="Read a file of answers and say what was read: the layout, why it was recognised, how many answers, items "
        "and annotators. --show adds the columns, the first rows as they are read, and how to map columns by hand. "
        "Exit codes: 0 read; 2 bad input, an unknown layout, or one that may be read in several ways.",
        epilog="Example: annosim read votes.csv --show",
    )(run)


def run(
    data: str = typer.Argument(..., help="A file of preferences, or a URL."),
    format: str = typer.Option(None, help="Format; by default what the file is recognised as."),
    words: str = typer.Option(None, help="What the words of the winner's column mean: A=left,B=right,draw=tie."),
    settings: list[str] = typer.Option(None, "--set", help="Any option of the format's reader, NAME=VALUE."),
    show: bool = typer.Option(False, "--show", help="Columns, first rows as read, counts, and how to map columns."),
) -> None:
    """Read and say."""
    from annosim.cli.inputs import read_answers
    from annosim.errors import LayoutError

    if show:
        _say_columns(data)
    try:
        answers = read_answers(data, format, {}, words, settings or [])
    except LayoutError:
        if show:
            _say_mapping(format)
        raise
    typer.echo(repr(answers))
    for line in _counts(answers):
        typer.echo(line)
    if show:
        _say_rows(answers)
        _say_mapping(str(answers.settings.get("format", format)))


def _say_columns(path: str) -> None:
    """Each column with its kind and three values, where the file is a table."""
    from annosim.errors import AnnosimError
    from annosim.io.seen import Seen
    from annosim.io.sources import read_table
    from annosim.io.unknown import column_lines

    try:
        lines = column_lines(Seen(read_table(path)))
    except AnnosimError:
        return
    typer.echo("columns:")
    for line in lines:
        typer.echo(f"  {line}")


def _counts(answers: PreferenceData) -> list[str]:
    """What the answers are, in numbers."""
    import numpy as np

    from annosim.io.formats import FORMATS

    skipped = np.asarray(answers.skipped)
    tied = np.zeros(answers.rows, dtype=bool) if answers.tied is None else np.asarray(answers.tied).any(-1)
    shown = np.bincount(np.asarray(answers.menu)[np.asarray(answers.menu) >= 0], minlength=answers.items.n)
    lines = [f"answers: {answers.rows}, ties {int(tied.sum())}, skips {int(skipped.sum())}"]
    if answers.weight is not None:
        lines.append(f"weights: {answers.row_weight.sum():.10g} in total")
    if answers.feedback.kind == "rating" and "lowest" in answers.settings:
        known = FORMATS.get(str(answers.settings.get("format")))
        settable = known is not None and "lowest" in known.options
        how = " (as found; --set lowest=N --set grades=N where the scale is another)" if settable else ""
        lines.append(f"grades: {answers.feedback.grades}, of which {answers.settings['lowest']} is the lowest{how}")
    who = "each answer is its own" if answers.annotator is None else str(answers.num_annotators)
    lines.append(f"annotators: {who}; items: {answers.items.n}, shown {shown.min()} to {shown.max()} times")
    return lines


def _say_rows(answers: PreferenceData) -> None:
    """The first answers, in words."""
    from annosim.data.words import answers_in_words

    typer.echo("first rows as read (> preferred to, = tied, ? skipped):")
    for line in answers_in_words(answers.take(slice(0, ROWS))):
        typer.echo(f"  {' '.join(line.split())[:110]}")


def _say_mapping(name: str | None) -> None:
    """How columns are named by hand."""
    from annosim.io.formats import FORMATS

    known = FORMATS.get(name or "pairs", FORMATS["pairs"])
    typer.echo(f"to map columns by hand: annosim read FILE --format {known.name} --set OPTION=COLUMN ...")
    typer.echo(f"  options of {known.name}: {', '.join(known.options) or 'none'}")
    typer.echo("  formats:")
    for entry in FORMATS.values():
        typer.echo(f"    {entry.name}: {entry.description}")
