"""``annosim fit VOTES --judge ...``: people's votes with judges' answers, printed and written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from annosim.cli.output import check_ending

if TYPE_CHECKING:
    import pandas as pd

    from annosim.data.preferences import PreferenceData
    from annosim.learning.inference.prediction_powered import PredictionPowered

__all__ = ["fit_judged"]

#: options of ``annosim fit`` that mean something here
USED = ("data", "format", "annotator", "left", "right", "winner", "prompt", "weight", "words", "settings", "feedback")
OWN = ("judge", "who", "question", "out", "ties")
#: what a column says of people's rows; anything else is a judge's name, or, where there are two values, a judge
PEOPLE = ("human", "humans", "person", "people", "true", "1", "1.0", "yes")
NOT_PEOPLE = ("false", "0", "0.0", "no", "judge", "llm", "model")


def fit_judged(options: dict[str, Any]) -> None:
    """Read people and judges, estimate, print; files are written first.

    Raises:
        AnnosimError: one line that names the option or the file.
        typer.Exit: 3 where the estimate does not exist or a judge is refused.
    """
    from annosim.errors import NotIdentifiedError
    from annosim.files import atomic_text
    from annosim.learning.inference.prediction_powered import prediction_powered
    from annosim.learning.training.checkpoints import check_writable

    _check_options(options)
    check_ending("--out", options["out"], ".csv")
    check_writable(options["out"])
    people, judges = _read(options)
    try:
        found = prediction_powered(people, judges, question=options["question"])
    except NotIdentifiedError as error:
        typer.echo(f"not identified: {error}", err=True)
        raise typer.Exit(3) from None
    try:
        if options["out"] is not None:
            atomic_text(options["out"], found.to_frame().to_csv(index=False))
    finally:
        _print(found)
    if options["out"] is not None:
        typer.echo(f"table written to {options['out']}")


def _check_options(options: dict[str, Any]) -> None:
    from annosim.errors import ArgumentError

    for name, value in options.items():
        if name not in (*USED, *OWN, "solver_options") and value not in (None, False, []):
            raise ArgumentError(f"--{name.replace('_', '-')}: means nothing with judges; leave it out")
    if options["ties"] not in (None, "half"):
        raise ArgumentError(f"--ties {options['ties']}: with judges ties are half wins; leave it out")


def _read(options: dict[str, Any]) -> tuple[PreferenceData, PreferenceData | list[str]]:
    """People's votes, and the judges' answers or their names among the annotators."""
    from annosim.cli.inputs import read_answers
    from annosim.data.joining import concat
    from annosim.errors import ArgumentError

    columns = {name: options[name] for name in USED[2:8]} | {"feedback": options["feedback"]}

    def read(place: str, **others: str) -> PreferenceData:
        asked = columns | others
        return read_answers(place, options["format"], asked, options["words"], options["settings"] or [])

    votes, given = read(options["data"]), list(options["judge"] or [])
    typer.echo(repr(votes))
    if options["who"] is not None:
        if given:
            raise ArgumentError("--who and --judge: the column says who the judges are; leave one out")
        column = options["who"]
        if column in votes.columns:
            return _by_value(votes, column, np.asarray(votes.columns[column]))
        votes = read(options["data"], annotator=column)  # the reader took it for the annotator, or says what there is
        return _by_value(votes, column, np.asarray(votes.annotator_names)[votes.annotator_ids], anonymous=True)
    files = [place for place in given if Path(place).exists() or "://" in place]
    if not files:
        return votes, given
    if len(files) < len(given):
        lost = next(place for place in given if place not in files)
        raise ArgumentError(f"--judge {lost}: no such file, and the other judges are files; give files, or names only")
    parts = [_named(read(place), Path(place).stem) for place in files]
    return votes, parts[0] if len(parts) == 1 else concat(_on_same_items(parts))


def _named(judge: PreferenceData, name: str) -> PreferenceData:
    """A file without annotators is one judge of the file's name."""
    if judge.annotator is not None or judge.annotator_names is not None:
        return judge
    return judge.with_(annotator=np.zeros(judge.rows, dtype=np.int64), annotator_names=np.array([name]), weight=None)


def _on_same_items(parts: list[PreferenceData]) -> list[PreferenceData]:
    """The judges' answers about one list of items and of prompts, with the columns that all files have."""
    from annosim.items import Items

    names = list(dict.fromkeys(name for part in parts for name in part.items.names))
    prompts = list(dict.fromkeys(str(p) for part in parts for p in _prompts(part)))
    common = [name for name in parts[0].columns if all(name in part.columns for part in parts)]
    place, number = ({name: i for i, name in enumerate(found)} for found in (names, prompts))
    out = []
    for part in parts:
        ids = np.array([place[name] for name in part.items.names])
        told = None if part.prompt is None else np.array([number[str(p)] for p in _prompts(part)])[part.prompt]
        kept = part.with_(items=Items(names=names), menu=ids[np.asarray(part.menu)], prompt=told, truth={}, order=None)
        columns = {name: part.columns[name] for name in common}
        out.append(kept.with_(prompt_names=np.array(prompts) if prompts else None, columns=columns, covariates={}))
    return out


def _prompts(part: PreferenceData) -> list[object]:
    if part.prompt is None:
        return []
    return list(range(int(part.prompt.max()) + 1)) if part.prompt_names is None else list(part.prompt_names)


def _by_value(
    votes: PreferenceData, column: str, value: np.ndarray, anonymous: bool = False
) -> tuple[PreferenceData, PreferenceData]:
    """Rows of people, who are told apart unless they are anonymous, and those of judges."""
    import pandas as pd

    from annosim.errors import ArgumentError

    said = pd.Series(value).astype(str).str.strip()
    human = said.str.lower().isin(PEOPLE).to_numpy()
    if human.all() or not human.any():
        raise ArgumentError(
            f"--who {column}: it must say 'human' (or true, 1, yes) in people's rows and a judge's name in the others; it "
            f"says {', '.join(said.unique()[:5])}"
        )
    judges = votes.take(~human)
    if not said[~human].str.lower().isin(NOT_PEOPLE).all():
        code, names = pd.factorize(said[~human])
        judges = judges.with_(annotator=code, annotator_names=np.asarray(names, dtype=str), weight=None, order=None)
    people = votes.take(human)
    return (people.with_(annotator=None, annotator_names=None, order=None) if anonymous else people), judges


def _print(found: PredictionPowered) -> None:
    from annosim.planning.cost import Cost
    from annosim.planning.judged import Judged
    from annosim.planning.planner import plan

    def table(frame: pd.DataFrame) -> str:
        return frame.to_string(index=False, float_format=lambda v: f"{v:.3f}")

    typer.echo("\nstrengths in logits with the judges, and from people alone; standard errors by " + found.units)
    typer.echo(table(found.to_frame()))
    typer.echo("\nwin rates over the pairs that people were asked about, ties as half")
    typer.echo(table(found.win_rates()))
    typer.echo("\njudges")
    typer.echo(table(found.panel()))
    for line in found.notes:
        typer.echo(f"note: {line}")
    cheap = plan(found, Judged(answer=0.01, shares=()), precision=1e-3, cost=Cost(annotator=0.0, answer=1.0))
    alone, share = cheap.rows
    where = "plan: where a judge's answer costs a hundredth of a person's,"
    if share.cost >= alone.cost:
        typer.echo(f"{where} people alone are the cheapest (an.plan with an.planning.Judged has your prices)")
        return
    asked = share.answers / (share.judged / len(found.judges))
    typer.echo(
        f"{where} put {asked:.0%} of the questions to people, at {share.cost / alone.cost:.0%} of the cost of people alone "
        "(an.plan with an.planning.Judged has your prices)"
    )
