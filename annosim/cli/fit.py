"""``annosim fit DATA``: estimate, print a ranked table with standard errors, and say what is not identified."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData
    from annosim.learning.result import Fit
    from annosim.populations import Population

__all__ = ["register"]

NOT_IDENTIFIED, NOT_CONVERGED = 3, 4


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "fit",
        help="Fit a model to a file of preferences. Without --model: one utility per item under Luce's rule "
        "(Bradley-Terry, Plackett-Luce). Exit codes: 0 fitted; 2 bad input; 3 the estimate does not exist (items and "
        "remedies are named); 4 not converged.",
        epilog="Example: annosim fit llmfao.csv --format pairs --annotator worker --left left --right right "
        "--winner winner",
    )(run)


def run(
    data: Path = typer.Argument(..., help="A file of preferences, or a scenario (.toml) with a table named data."),
    format: str = typer.Option(None, help="Format: pairs, preflib, scottish, arena, long, ..., parquet."),
    annotator: str = typer.Option(None, help="Column with who answered."),
    left: str = typer.Option(None, help="Column with the left item (pairs)."),
    right: str = typer.Option(None, help="Column with the right item (pairs)."),
    winner: str = typer.Option(None, help="Column with the answer: left, right, tie (pairs)."),
    prompt: str = typer.Option(None, help="Column with the context of the question."),
    weight: str = typer.Option(None, help="Column with the annotators' weights."),
    words: str = typer.Option(
        None, help="What the words of the winner's column mean: A=left,B=right,draw=tie,none=skip (pairs)."
    ),
    feedback: str = typer.Option(
        None, help="Kind of answer: choice, ranking, 'top 2', best-worst, 'rating 5' (wide; others say it themselves)."
    ),
    settings: list[str] = typer.Option(  # noqa: B008
        None, "--set", help="Any other option of the format's reader, NAME=VALUE (features=price,time; expand=true)."
    ),
    model: Path = typer.Option(None, help="A scenario (.toml) whose table model (else population) is fitted."),
    ties: str = typer.Option("half", help="Ties under the default model: half, davidson, rao-kupper, drop."),
    types: int = typer.Option(1, min=1, help="Number of latent classes of annotators."),
    prior: str = typer.Option(None, help="dirichlet=COUNTS, gaussian=SD or ridge=PENALTY."),
    starts: int = typer.Option(None, min=1, help="Starting points; 1, or 10 with several types."),
    seed: int = typer.Option(0, min=0, help="Address of the starting points."),
    se: str = typer.Option(
        None, help="Standard errors: hessian, sandwich, cluster (default: cluster with several annotators)."
    ),
    out: Path = typer.Option(None, help="Write the table as CSV."),
    save: Path = typer.Option(None, help="Write the fit to a file (annosim.Fit.load reads it)."),
) -> None:
    """Read, fit, print."""
    import annosim as an

    columns: dict[str, Any] = {
        "annotator": annotator,
        "left": left,
        "right": right,
        "winner": winner,
        "prompt": prompt,
        "weight": weight,
        "feedback": feedback,
    }
    columns |= _settings(words, settings or [])
    answers, family = _inputs(data, model, format, columns)
    typer.echo(repr(answers))
    answers, rule = _ties(answers, ties, family)
    answers = _skips(answers)
    family = family or _default_model(answers, rule, types)
    starts = starts or (10 if len(family.leaves()) > 1 else 1)
    try:
        found = an.fit(family, answers, prior=_prior(prior), starts=starts, seed=seed)
    except an.NotIdentifiedError as error:
        typer.echo(f"not identified: {error} On the command line: --prior dirichlet=1.", err=True)
        raise typer.Exit(NOT_IDENTIFIED) from None
    several = answers.annotator is not None and len(set(answers.annotator.tolist())) > 1
    kind = se or ("cluster" if several else "hessian")
    _report(found, kind, out)
    if save is not None:
        typer.echo(f"fit written to {found.save(save)}")
    if not found.converged:
        raise typer.Exit(NOT_CONVERGED)


def _settings(words: str | None, given: list[str]) -> dict[str, Any]:
    """Options of a reader from the command line: a mapping of words, and ``NAME=VALUE`` (lists with commas)."""
    from annosim.errors import ArgumentError

    out: dict[str, Any] = {}
    if words is not None:
        parts = [part.partition("=") for part in words.split(",")]
        if not all(word.strip() and meaning.strip() for word, _, meaning in parts):
            raise ArgumentError(f"--words {words!r}: write WORD=MEANING with commas between, such as A=left,B=right")
        out["words"] = {word.strip(): meaning.strip() for word, _, meaning in parts}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name.strip() and equals):
            raise ArgumentError(f"--set {text!r}: write NAME=VALUE, such as expand=true or features=price,time")
        plain = {"true": True, "false": False}.get(value.lower(), value)
        listed = "," in value[:-1] or name.strip() == "features"
        out[name.strip().replace("-", "_")] = [part.strip() for part in value.split(",")] if listed else plain
    return out


def _inputs(path: Path, model: Path | None, format: str | None, columns: dict[str, Any]):
    """The answers, and the model when a scenario gives one."""
    from annosim.data.formats import read
    from annosim.errors import ArgumentError
    from annosim.scenario import load_scenario

    scenario = None
    if path.suffix == ".toml":
        scenario = load_scenario(path)
        if scenario.data is None:
            raise ArgumentError(f"{path}: a scenario to fit needs a [data] table with path and format")
        table = scenario.data
        given = {name: value for name, value in columns.items() if value}
        answers = read(table.path, table.format, **(dict(table.columns) | given))
    else:
        answers = read(path, format, **columns)
    if model is not None:
        scenario = load_scenario(model)
    if scenario is None:
        return answers, None
    family = scenario.model or (None if scenario.population is None else scenario.population.like(scenario.seed))
    if model is not None and family is None:  # never another model than the one that was asked for
        raise ArgumentError(f"--model {model}: no [model] and no [population] table; add one, with its [items]")
    if scenario.items is not None and scenario.items.features is not None:
        answers = _with_features(answers, scenario.items, path)
    return answers, family


def _with_features(answers: PreferenceData, items: Any, path: Path) -> PreferenceData:
    """The scenario's item columns under the file's item ids, matched by name."""
    from annosim.errors import ArgumentError

    if set(answers.items.names) - set(items.names):
        lost = sorted(set(answers.items.names) - set(items.names))[0]
        raise ArgumentError(f"{path}: item {lost!r} is not among the scenario's [items]; add it there")
    order = [items.id_of(name) for name in answers.items.names]
    return answers.with_(items=answers.items.with_(features=items.features[order]))


def _ties(answers: PreferenceData, how: str, family: Population | None) -> tuple[PreferenceData, Any]:
    """Announce how ties are dealt with: never silently."""
    import numpy as np

    import annosim as an
    from annosim.errors import ArgumentError

    if how not in ("half", "davidson", "rao-kupper", "drop"):
        raise ArgumentError(f"--ties {how!r}: half, davidson, rao-kupper or drop")
    if not answers.has_ties or (family is not None and all(leaf.rule.ties for leaf in family.leaves())):
        return answers, an.Luce()
    tied = np.asarray(answers.tied).any(-1)
    share = f"{int(tied.sum())} of {answers.rows} answers are tied ({tied.mean():.1%})"
    if how == "half" or family is not None:
        typer.echo(f"ties: {share}; each counts as half a win for either side (--ties davidson fits them)")
        return answers.ties("half"), an.Luce()
    if how == "drop":
        typer.echo(f"ties: {share}; dropped")
        return answers.take(np.flatnonzero(~tied)).with_(tied=None), an.Luce()
    typer.echo(f"ties: {share}; fitted by {how}")
    return answers, an.Davidson(delta=an.free(1.0)) if how == "davidson" else an.RaoKupper(theta=an.free(2.0))


def _skips(answers: PreferenceData) -> PreferenceData:
    import numpy as np

    skipped = np.asarray(answers.skipped)
    if not skipped.any():
        return answers
    typer.echo(f"skips: {int(skipped.sum())} answers are skips; left out")
    return answers.take(np.flatnonzero(~skipped))


def _default_model(answers: PreferenceData, rule: Any, types: int) -> Population:
    import copy

    import annosim as an

    if answers.feedback.kind == "rating":
        grades = answers.feedback.grades or 2
        rule = an.OrderedLogit(an.free([float(g) for g in range(grades - 1)]))
        typer.echo(f"ratings: ordered logit with {grades - 1} free cuts")
    one = an.Annotator(an.Tabular(answers.items.n), rule)
    return one if types == 1 else an.Mixture([copy.deepcopy(one) for _ in range(types)])


def _prior(text: str | None) -> Any:
    import annosim as an
    from annosim.errors import ArgumentError

    if text is None:
        return None
    name, _, value = text.partition("=")
    kinds = {"dirichlet": an.Dirichlet, "gaussian": an.Gaussian, "ridge": an.Ridge}
    try:
        return kinds[name.strip().lower()](float(value or 1.0))
    except (KeyError, ValueError) as error:
        if isinstance(error, ArgumentError):
            raise
        raise ArgumentError(f"--prior {text!r}: write dirichlet=1, gaussian=2 or ridge=1") from None


def _report(found: Fit, kind: str, out: Path | None) -> None:
    from annosim.data.files import atomic_text

    typer.echo(repr(found))
    table = found.summary(kind)
    shown = table.drop(columns=["parameter"]) if table["item"].ne("").all() and "rank" in table else table
    typer.echo(f"\nestimates with standard errors ({kind}) and 95 % intervals")
    typer.echo(shown.to_string(index=False, float_format=lambda v: f"{v:.3f}"))
    for line in found.gauge:
        typer.echo(f"not identified, and fixed by convention: {line}")
    for line in found.notes:
        typer.echo(f"note: {line}")
    if out is not None:
        atomic_text(out, table.to_csv(index=False))
        typer.echo(f"table written to {out}")
