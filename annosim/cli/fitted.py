"""What ``annosim fit`` gives back: a table with errors, or of networks each item's score, and files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from annosim.cli.output import check_ending

if TYPE_CHECKING:
    from annosim.cli.inputs import Inputs
    from annosim.cli.training import FitOptions
    from annosim.data.preferences import PreferenceData
    from annosim.learning.result import Fit
    from annosim.populations.base import Component, Population

__all__ = ["Outputs", "item_scores"]

#: items of a type that are printed; the CSV has them all
SHOWN = 10


class Outputs:
    """Where the results go; refused before the fit where they could not be written, or have no meaning.

    Args:
        se: kind of standard errors, ``None`` for the default.
        out, responsibilities, save: files, or ``None``.
        export: a folder, or ``None``.
        given: answers and model, and the files that they came from, which no output may replace.
        chosen: what training reads and writes, and whether nothing but the likelihood is maximised.

    Raises:
        ArgumentError: names the option.
    """

    def __init__(
        self,
        se: str | None,
        out: Path | None,
        responsibilities: Path | None,
        save: Path | None,
        export: Path | None,
        given: Inputs,
        chosen: FitOptions,
    ):
        from annosim.errors import ArgumentError
        from annosim.learning.structure import has_network
        from annosim.learning.training.checkpoints import check_writable

        family = given.family
        self.given = given
        self.se, self.out, self.responsibilities, self.save, self.export = se, out, responsibilities, save, export
        self.network, self.likelihood = has_network(family), chosen.likelihood
        check_ending("--out", out, ".csv")
        check_ending("--responsibilities", responsibilities, ".csv")
        self._check_meaning()
        named = {"--out": out, "--responsibilities": responsibilities, "--save": save, "--export": export}
        written = {name: path for name, path in named.items() if path is not None} | chosen.written_files
        _check_distinct(written, given.files | chosen.read_files)
        for path in (out, responsibilities, save):
            if path is not None and path.is_dir():
                raise ArgumentError(f"{path} is a directory; name a file")
        for path in (out, responsibilities, save, export):
            check_writable(path)

    def _check_meaning(self) -> None:
        """Refuse outputs that this model and objective do not have."""
        from annosim.errors import ArgumentError

        se, responsibilities, export = self.se, self.responsibilities, self.export
        if se not in (None, "hessian", "sandwich", "cluster"):
            raise ArgumentError(f"--se {se!r}: hessian, sandwich or cluster")
        if se is not None and self.network:
            raise ArgumentError(f"--se {se}: a network's weights have no standard errors; leave it out")
        if se is not None and not self.likelihood:
            raise ArgumentError(f"--se {se}: there are none under another objective than the likelihood; leave it out")
        if responsibilities is not None and len(self.given.family.components()) < 2:
            raise ArgumentError("--responsibilities: there is one type; give --types 2, or a model with several")
        if self.given.rows is None and (responsibilities is not None or se in ("sandwich", "cluster")):
            raise ArgumentError(
                "--responsibilities, --se sandwich and cluster read rows, and these shards are not in memory"
            )
        if export is not None and not all(_models(component) for component in self.given.family.components()):
            raise ArgumentError("--export: the model has no language model or sequence classifier; --save keeps it")
        if export is not None and (export.exists() or export.is_symlink()):
            raise ArgumentError(f"--export {export}: it exists already; name a new folder")

    def write(self, found: Fit) -> None:
        """Write the files, and print the report after, also where a file could not be written."""
        estimates = self.likelihood and not self.network
        table = self._estimates(found) if estimates else self._scores(found)
        written: list[str] = []
        try:
            self._files(found, table, written)
        finally:
            typer.echo(repr(found))
            _training(found)
            if estimates:
                _print_estimates(found, table)
            elif table is not None:
                _print_scores(table)
            for line in written:
                typer.echo(line)

    def _estimates(self, found: Fit) -> Any:
        return found.summary(self.se)

    def _scores(self, found: Fit) -> Any:
        if self.out is None and any(_models(component) for component in found.population.components()):
            return None  # one more pass over all items, which takes its time
        return item_scores(found)

    def _files(self, found: Fit, table: Any, written: list[str]) -> None:
        """Write what was asked for; ``written`` says what is where."""
        from annosim.files import atomic_text

        if self.out is not None:
            atomic_text(self.out, table.to_csv(index=False))
            written.append(f"table written to {self.out}")
        if self.responsibilities is not None and self.given.rows is not None:
            atomic_text(self.responsibilities, _shares(found, self.given.rows).to_csv(index=False))
            written.append(f"responsibilities written to {self.responsibilities}")
        if self.save is not None:
            written.append(f"fit written to {found.save(self.save)}")
        if self.export is not None:
            _export(found.population, self.export, self.given.tokenizer)
            written.append(f"models written to {self.export}")


def _print_estimates(found: Fit, table: Any) -> None:
    kind = table.attrs["kind"]
    shown = table.drop(columns=["parameter"]) if table["item"].ne("").all() and "rank" in table else table
    typer.echo(f"\nestimates with standard errors ({kind}) and 95 % intervals")
    typer.echo(shown.to_string(index=False, float_format=lambda v: f"{v:.3f}"))
    for line in dict.fromkeys(found.normalisation):
        typer.echo(f"fixed by convention: {line}")
    for line in found.notes:
        typer.echo(f"note: {line}")


def _print_scores(table: Any) -> None:
    typer.echo("\nwhat the answers depend on: each item's score, centred within its prompt")
    for kind, part in table.groupby("type", sort=True):
        if table["type"].nunique() > 1:
            typer.echo(f"type {kind}, weight {part['weight'].iloc[0]:.3f}")
        shown = part.sort_values("score", ascending=False).head(SHOWN).drop(columns=["type", "weight"])
        shown = shown if table["prompt"].nunique() > 1 else shown.drop(columns="prompt")
        for name in shown.columns.intersection(["item", "text"]):
            shown[name] = [word if len(word) <= 60 else word[:57] + "..." for word in shown[name].astype(str)]
        typer.echo(shown.to_string(index=False, float_format=lambda v: f"{v:.3f}"))
        if len(part) > SHOWN:
            typer.echo(f"... and {len(part) - SHOWN} more (--out FILE.csv has them all)")


def _check_distinct(written: dict[str, Path], read: dict[str, Path]) -> None:
    """Refuse two outputs of one name or one inside the other, and an output that replaces what is read.

    Raises:
        ArgumentError: names both.
    """
    from itertools import combinations

    from annosim.errors import ArgumentError

    real = {name: path.resolve() for name, path in (written | read).items()}
    for name in written:
        for source, path in read.items():
            if real[name] == real[source]:
                raise ArgumentError(f"{name} {written[name]}: {source} {path} is read; give another file to write")
    for one, other in combinations(written, 2):
        if real[one] == real[other]:
            raise ArgumentError(f"{one} and {other} both name {written[one]}; give each a file of its own")
        for inner, outer in ((one, other), (other, one)):
            if real[outer] in real[inner].parents:
                raise ArgumentError(
                    f"{inner} {written[inner]} lies inside {outer} {written[outer]}, which is written too; give "
                    "another place"
                )


def item_scores(found: Fit) -> Any:
    """Each type's index of each item, centred within prompts: a frame of type, weight, item, prompt, score (and sd).

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(features=[[0.0], [1.0]]), [[0, 1]] * 4, answer=[0, 0, 0, 1])
        >>> fit = an.fit(an.Annotator(an.Network([4], dim=1), an.Luce()), data, solver=an.Adam(steps=5, lr=1e-2))
        >>> list(item_scores(fit)), len(item_scores(fit))
        (['type', 'weight', 'item', 'prompt', 'score'], 2)
    """
    import numpy as np
    import pandas as pd
    import torch

    import annosim as an

    items = found.problem.items
    prompts = items.prompt_code.numpy()
    frames = []
    for kind, (component, weight) in enumerate(
        zip(found.population.components(), found.population.component_weights().tolist(), strict=True)
    ):
        *_, rule = component.rule.layers()  # the one under its response biases
        with torch.no_grad():
            if isinstance(rule, an.rules.CategoricalReward):  # the mean level
                shares = rule.shares(items).double()
                score = (shares @ torch.arange(shares.shape[-1], dtype=torch.float64)).numpy()
            else:
                index: Any = component.index
                score = index(items).double().numpy()
            spread = rule.sd(items).double().numpy() if isinstance(rule, an.rules.MeanVariance) else None
        centre = np.bincount(prompts, score) / np.bincount(prompts)
        frame = {"type": kind, "weight": weight, "item": list(items.names), "prompt": prompts}
        frame["score"] = score - centre[prompts]
        frame |= {} if spread is None else {"sd": spread}
        frames.append(pd.DataFrame(frame if items.texts is None else frame | {"text": list(items.texts)}))
    return pd.concat(frames, ignore_index=True)


def _training(found: Fit) -> None:
    """One line on a training run: steps, device, time, held-out loss."""
    done = found.training
    if done is None:
        return
    speed, options = done.settings["speed"], done.settings["solver"]
    parts = [f"trained for {done.steps} of {options.steps} steps on {done.settings['device']}"]
    parts.append(f"{speed['seconds']:.1f} s, {speed['steps_per_second']:.1f} steps a second")
    if "gpu" in speed:
        parts.append(f"{speed['gpu']} at {speed['utilisation']} %, peak {speed['peak_memory'] / 2**30:.2f} GiB")
    typer.echo("; ".join(parts))
    for what, path in (("log", options.log), ("checkpoint", options.checkpoint)):
        if path is not None:
            typer.echo(f"{what} written to {path}")


def _shares(found: Fit, answers: PreferenceData) -> Any:
    """Each annotator's posterior probabilities of the types."""
    import pandas as pd

    shares = found.responsibilities.numpy()
    ids = sorted(set(answers.annotator.tolist())) if answers.annotator is not None else range(len(shares))
    names = answers.annotator_names
    table = pd.DataFrame(shares, columns=[f"type_{k}" for k in range(shares.shape[1])])
    table.insert(0, "annotator", [i if names is None else names[i] for i in ids])
    return table


def _models(component: Component) -> list[Any]:
    """The language and reward models of a type's utility: what knows how to save itself."""
    from annosim.populations.annotator import Annotator
    from annosim.utilities.language_models import LogPolicy, SequenceReward

    parts = component.utility.modules() if isinstance(component, Annotator) else []
    return [part.model for part in parts if isinstance(part, LogPolicy | SequenceReward)]


def _export(population: Population, folder: Path, tokenizer: Any) -> None:
    """Every type's model as ``from_pretrained`` reads it: in the folder itself, or in one of its own for each."""
    import os
    import shutil
    import tempfile

    from annosim.files import one_line

    with one_line(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        with one_line(folder):
            _save_models(population, part, tokenizer)
            mask = os.umask(0)
            os.umask(mask)
            part.chmod(0o777 & ~mask)
            os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _save_models(population: Population, folder: Path, tokenizer: Any) -> None:
    from safetensors import SafetensorError

    from annosim.utilities.adapters import merged

    made = [
        (k, i, model)
        for k, component in enumerate(population.components())
        for i, model in enumerate(_models(component))
    ]
    for k, i, model in made:
        place = folder if len(made) == 1 else folder / (f"type_{k}" if i == 0 else f"type_{k}_{i}")
        try:
            merged(model).save_pretrained(place)
        except SafetensorError as error:  # says so of a full disk, too
            raise OSError(str(error)) from None
        if tokenizer is not None:
            tokenizer.save_pretrained(place)
