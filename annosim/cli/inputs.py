"""What ``annosim fit`` reads: a file of preferences, and the model of a scenario or the default one."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import numpy as np

    from annosim.data.preferences import PreferenceData
    from annosim.io.shards import Shards
    from annosim.items import Items
    from annosim.populations.base import Population
    from annosim.scenario import Scenario

__all__ = ["Inputs", "read_answers", "read_inputs"]

TIES = ("half", "drop", "davidson", "rao-kupper")


@dataclass(frozen=True)
class Inputs:
    """What is fitted.

    Attributes:
        answers: without skips, ties dealt with, tokens made where the model reads them; or shards, as they are.
        family: the model.
        scenario: the file that it came from, or ``None``.
        tokenizer: what made the tokens, or ``None``.
        files: what was read, by what the command line or the scenario calls it.
    """

    answers: PreferenceData | Shards
    family: Population
    scenario: Scenario | None
    tokenizer: Any = None
    files: dict[str, Path] = field(default_factory=dict)

    @property
    def rows(self) -> PreferenceData | None:
        """The answers where they are in memory."""
        from annosim.data.preferences import PreferenceData

        return self.answers if isinstance(self.answers, PreferenceData) else None


def read_inputs(
    place: str | Path,
    model: Path | None,
    format: str | None,
    columns: Mapping[str, str | None],
    words: str | None,
    given: list[str],
    tokenizer: str | None,
    ties: str | None,
    types: int | None,
) -> Inputs:
    """Read the file, and the model of a scenario; a large directory of shards, or one at a URL, is reduced to counts.

    Raises:
        AnnosimError: one line that names the file, the option or the key.
    """
    from annosim.errors import ArgumentError

    path = at_place(place)
    if ties not in (None, *TIES):
        raise ArgumentError(f"--ties {ties!r}: {', '.join(TIES[:-1])} or {TIES[-1]}")
    shards = _large_shards(path, format)
    if shards is not None:
        return _shard_inputs(path, shards, model, tokenizer, ties, types)
    answers, scenario, files = _read(path, model, format, {**columns, **_settings(words, given)})
    family = made = None
    if scenario is not None:
        made = _tokenizer(answers, scenario, tokenizer)
        answers, family = _model(answers, scenario, path, model, made)
    if made is None and tokenizer is not None:
        raise ArgumentError("--tokenizer: no model here reads tokens; name one with --model, kind = 'log_policy'")
    if family is not None and types is not None:
        raise ArgumentError("--types: the scenario's model says its types; leave it out, or list them there")
    typer.echo(repr(answers))
    answers, rule = _ties(answers, ties, family)
    answers = _skips(answers)
    answers = answers if family is not None else _used_grades(answers)
    return Inputs(answers, family or _default_model(answers, rule, types or 1), scenario, made, files)


#: Rows of a directory of shards from which on it is reduced shard by shard, instead of read as a whole.
MANY_ROWS = 5_000_000


def _large_shards(path: Path | str, format: str | None) -> Shards | None:
    """A directory of shards that is not read as a whole, at a path or URL; ``None`` for anything else."""
    from annosim.places import Folder

    remote = isinstance(path, str)
    if format not in (None, "parquet") or Path(path).suffix or not Folder(path).exists("shards.json"):
        return None
    from annosim.io.shards import open_shards

    shards = open_shards(path)
    return shards if remote or shards.rows >= MANY_ROWS else None


def _shard_inputs(
    path: Path | str, shards: Shards, model: Path | None, tokenizer: str | None, ties: str | None, types: int | None
) -> Inputs:
    """Distinct answers with their weights; the shards themselves where these are too many."""
    from annosim.errors import ArgumentError, TooLargeError
    from annosim.learning.sharded import reduced
    from annosim.scenario import load_scenario

    typer.echo(repr(shards))
    head, scenario, family = shards.head(), None, None
    if model is not None:
        scenario = load_scenario(model)
        made = _tokenizer(head, scenario, tokenizer)
        known, family = _model(head, scenario, path, model, made)
        if known.items.names != shards.items.names or made is not None:
            raise ArgumentError(f"--model {model}: its [items] are others than the shards'; leave them out there")
    if family is not None and types is not None:
        raise ArgumentError("--types: the scenario's model says its types; leave it out, or list them there")
    files = {"--model": model} if model is not None else {}
    asked = family or _default_model(head, _rule(ties, max(head.largest_tie, 2)), types or 1)
    try:
        answers = reduced(asked, shards)
    except TooLargeError as error:
        typer.echo(f"{error}; each evaluation reads the shards")
        return Inputs(shards, asked, scenario, files=files)
    typer.echo(f"reduced to {answers.rows} distinct answers")
    answers, rule = _ties(answers, ties, family)
    answers = _skips(answers)
    return Inputs(answers, family or _default_model(answers, rule, types or 1), scenario, files=files)


def _rule(ties: str | None, largest: int = 2) -> Any:
    """The rule that fits ties of up to ``largest`` alternatives, with a number for each size."""
    import annosim as an

    return {
        "davidson": an.Davidson(delta=an.free([1.0] * (largest - 1))),
        "rao-kupper": an.rules.RaoKupper(theta=an.free(2.0)),
    }.get(ties or "", an.Luce())


def _read(
    path: Path | str, model: Path | None, format: str | None, columns: Mapping[str, str | None], quiet: bool = False
) -> tuple[PreferenceData, Scenario | None, dict[str, Path]]:
    from annosim.errors import ArgumentError
    from annosim.scenario import load_scenario

    asked = None if model is None else load_scenario(model)  # its mistakes first: the data may take longer
    files = {} if isinstance(path, str) else {"DATA": path}
    files |= {} if model is None else {"--model": model}
    if isinstance(path, str) or path.suffix != ".toml":
        return _read_answers(path, format, columns, quiet), asked, files
    scenario = load_scenario(path)
    if scenario.data is None:
        raise ArgumentError(f"{path}: a scenario to fit needs a [data] table with path and format")
    table = scenario.data
    given = {name: value for name, value in columns.items() if value is not None}
    place = at_place(table.path)
    files |= {} if isinstance(place, str) else {f"{path}: data.path": place}
    answers = _read_answers(place, format or table.format, {**table.columns, **given}, quiet)
    return answers, asked or scenario, files


def at_place(place: str | Path) -> str | Path:
    """A URL as it is, anything else as a path."""
    from annosim.places import is_url

    return place if is_url(place) else Path(place)


def read_answers(
    path: str | Path,
    format: str | None,
    columns: Mapping[str, str | None],
    words: str | None,
    given: list[str],
    quiet: bool = False,
) -> PreferenceData:
    """The answers of a file as the command line describes it, or of the table named data of a scenario.

    Args:
        quiet: notes go to standard error.

    Raises:
        AnnosimError: one line that names the file, the option or the key.
    """
    answers, _, _ = _read(at_place(path), None, format, {**columns, **_settings(words, given)}, quiet)
    return answers


def _read_answers(
    path: Path | str, format: str | None, options: Mapping[str, object], quiet: bool = False
) -> PreferenceData:
    """The answers; what the reader warns of is said in one line."""
    import warnings

    from annosim.errors import LayoutError, RowsError
    from annosim.io.formats import read

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            answers = read(path, format, options)
    except LayoutError as error:
        raise LayoutError(f"{_as_options(str(error))} (as options: --format NAME, --set NAME=VALUE)") from None
    except RowsError as error:
        raise error.reworded(_as_options) from None
    if "recognised" in answers.settings:
        typer.echo(f"read as {answers.settings['format']}: {answers.settings['recognised']}", err=True)
    for warning in caught:
        said = str(warning.message).replace("merge=True", "--set merge=true")  # as this command takes it
        typer.echo(f"note: {said}", err=quiet)
    return answers


def _as_options(text: str) -> str:
    """Arguments of a reader, in a message, as options of the command.

    Example:
        >>> _as_options("say what words mean: words={'won': 'left'}; or winner_is=item")
        'say what words mean: --words won=left; or --set winner_is=item'
        >>> _as_options("words={'links': 'left', 'nichts von beidem': '...'} (left, right, tie, skip)")
        "--words 'links=left,nichts von beidem=...' (left, right, tie, skip)"
    """
    text = re.sub(r"words=(\{.*?['\"]: '[\w.]+'\})", lambda found: _words_option(found[1]), text)
    text = re.sub(r"(?<![\w-])words=(?=\S+=)", "--words ", text)
    return re.sub(r"(?<![\w-])(winner_is|count|merge)=(?=\w)", r"--set \1=", text)


def _words_option(mapping: str) -> str:
    """``{'won': 'left'}`` as the option that says it, in quotes where a shell would take it apart."""
    said = ",".join(f"{word}={meaning}" for word, meaning in ast.literal_eval(mapping).items())
    return f"--words {shlex.quote(said) if any(mark.isspace() for mark in said) else said}"


def _settings(words: str | None, given: list[str]) -> dict[str, str]:
    """Options of a reader from the command line, as text: ``NAME=VALUE``, and what words mean."""
    from annosim.errors import ArgumentError

    out = {} if words is None else {"words": words}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name.strip() and equals):
            raise ArgumentError(f"--set {text!r}: write NAME=VALUE, such as expand=true or features=price,time")
        out[name.strip().replace("-", "_")] = value
    return out


def _tokenizer(answers: PreferenceData, scenario: Scenario, asked: str | None) -> Any:
    """What makes tokens of the texts: nothing where no model reads them, or the file has them."""
    from annosim.scenario.networks import load_tokenizer

    if scenario.items is not None or not scenario.language_models:
        return None
    if asked is not None:
        return load_tokenizer(asked, Path())
    if answers.items.tokens is not None:
        return None
    named = None if scenario.data is None else scenario.data.tokenizer
    return load_tokenizer(named or scenario.language_models[0], scenario.folder)


def _model(
    answers: PreferenceData, scenario: Scenario, path: Path | str, model: Path | None, tokenizer: Any
) -> tuple[PreferenceData, Population | None]:
    """The scenario's model, and the answers about the items that it knows."""
    import annosim as an
    from annosim.errors import ArgumentError

    if scenario.items is None:
        if tokenizer is not None:
            if answers.items.texts is None:
                typer.echo("texts: the items' names are what is read")
                answers = answers.with_(items=answers.items.with_(texts=answers.items.names))
            answers = an.io.tokenize(answers, tokenizer)
        family = scenario.model_on(answers.items)
    else:
        family = scenario.model
        if family is None and scenario.population is not None:
            family = scenario.population.like(scenario.seed)
        answers = _on_items_of(answers, scenario.items, path)
    if model is not None and family is None:  # never another model than the one that was asked for
        raise ArgumentError(f"--model {model}: no [model] and no [population] table; add one")
    return answers, family


def _on_items_of(answers: PreferenceData, items: Items, path: Path | str) -> PreferenceData:
    """The answers about all of the scenario's items, matched by name.

    Those that nobody was shown stay: densities are normalised over them, and the model gives them scores too.
    """
    import numpy as np

    from annosim.errors import ArgumentError

    own = answers.items
    place = {name: i for i, name in enumerate(items.names)}
    lost = sorted(set(own.names) - set(place))
    if lost:
        raise ArgumentError(f"{path}: item {lost[0]!r} is not among the scenario's [items]; add it there")
    if own.num_prompts > 1 and items.num_prompts == 1:
        raise ArgumentError(
            f"{path}: its items belong to {own.num_prompts} prompts, the scenario's [items] to one; give prompts there"
        )
    ids = np.array([place[name] for name in own.names])
    if items.texts is None and own.texts is not None:
        texts = dict(zip(own.names, own.texts, strict=True))
        items = items.with_(texts=[texts.get(name, name) for name in items.names])  # the file has none for the unseen
    menu = np.asarray(answers.menu)
    moved = np.where(menu >= 0, ids[np.maximum(menu, 0)], menu)
    _within_prompts(moved, items, path)
    return answers.with_(items=items, menu=moved.astype(menu.dtype))


def _within_prompts(menu: np.ndarray, items: Items, path: Path | str) -> None:
    """Refuse a question about items of several of the scenario's prompts: it names the first."""
    import numpy as np

    from annosim.errors import ArgumentError

    prompts = items.prompts.numpy()
    wrong = (menu >= 0) & (prompts[menu] != prompts[menu[:, :1]])
    if wrong.any():
        row, slot = np.argwhere(wrong)[0]
        one, other = menu[row, [0, slot]]
        raise ArgumentError(
            f"{path}: answer {row} is about {items.names[one]!r} of prompt {prompts[one]} and {items.names[other]!r} "
            f"of prompt {prompts[other]}; a question stays inside one prompt: fix the scenario's [items]"
        )


def _ties(answers: PreferenceData, how: str | None, family: Population | None) -> tuple[PreferenceData, Any]:
    """Announce how ties are dealt with: never silently."""
    import numpy as np

    import annosim as an
    from annosim.errors import ArgumentError

    if family is not None and how in ("davidson", "rao-kupper"):
        raise ArgumentError(
            f"--ties {how}: the scenario's model says its rule; write rule = {{ kind = '{how}' }} there"
        )
    if not answers.has_ties:
        return answers, an.Luce()
    if family is not None and all(component.rule.ties for component in family.components()) and how is None:
        return answers, an.Luce()
    tied = np.asarray(answers.tied).any(-1)
    some, total = answers.share_of(np.asarray(tied))
    share = f"{some:g} of {total:.10g} answers are tied ({some / total:.1%})"
    if how in (None, "half"):
        remedy = "--ties davidson fits them" if family is None else "a rule such as davidson fits them"
        typer.echo(f"ties: {share}; each counts as half a win for either side ({remedy})")
        return answers.ties("half"), an.Luce()
    if how == "drop":
        typer.echo(f"ties: {share}; dropped")
        return answers.take(np.flatnonzero(~tied)).with_(tied=None), an.Luce()
    typer.echo(f"ties: {share}; fitted by {how}")
    return answers, _rule(how, answers.largest_tie)


def _skips(answers: PreferenceData) -> PreferenceData:
    import numpy as np

    skipped = np.asarray(answers.skipped)
    if not skipped.any():
        return answers
    typer.echo(f"skips: {answers.share_of(skipped)[0]:.10g} answers are skips; left out")
    return answers.take(np.flatnonzero(~skipped))


def _used_grades(answers: PreferenceData) -> PreferenceData:
    """Ratings on the grades that were given: the interval of any other would shrink to nothing, and its cuts drift."""
    import numpy as np

    from annosim.feedback import Feedback

    if answers.feedback.kind != "rating":
        return answers
    given = np.asarray(answers.answer)
    used = np.unique(given[given >= 0])
    grades = answers.feedback.grades or 2
    if not 1 < len(used) < grades:
        return answers
    typer.echo(f"ratings: {len(used)} of the {grades} grades were given; the others are left out of the scale")
    moved = np.where(given >= 0, np.searchsorted(used, np.maximum(given, 0)), -1)
    return answers.with_(answer=moved.astype(given.dtype), feedback=Feedback("rating", grades=len(used)))


def _default_model(answers: PreferenceData, rule: Any, types: int) -> Population:
    import copy

    import annosim as an

    if answers.feedback.kind == "rating":
        grades = answers.feedback.grades or 2
        rule = an.rules.OrderedLogit(an.free([float(g) for g in range(grades - 1)]))
        typer.echo(f"ratings: ordered logit with {grades - 1} free cuts")
    if answers.covariates:
        rule = an.rules.Covariates(rule, list(answers.covariates))
        typer.echo(f"covariates: a coefficient for each of {', '.join(answers.covariates)}")
    features = answers.settings.get("features")
    if isinstance(features, list) and features:
        typer.echo(f"features: conditional logit with a coefficient for each of {', '.join(map(str, features))}")
        one = an.Annotator(an.Linear([0.0] * len(features)), rule)
    else:
        one = an.Annotator(an.Tabular(answers.items.n), rule)
    return one if types == 1 else an.Mixture([copy.deepcopy(one) for _ in range(types)])
