"""``annosim fit DATA``: estimate or train, print what was learned, and say what is not identified."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from annosim.cli.engines import CLUSTER, on_cluster
from annosim.cli.launched import one_voice, rank
from annosim.cli.output import check_ending
from annosim.learning.solvers.options import Option, Settings
from annosim.learning.solvers.settings import (
    EM,
    IterativeSolver,
    Newton,
    SimulatedLikelihood,
    Solver,
    TrainingSolver,
    all_options,
)

if TYPE_CHECKING:
    from annosim.cli.training import FitOptions
    from annosim.data.preferences import PreferenceData
    from annosim.io.shards import Shards
    from annosim.learning.result import Fit
    from annosim.populations.base import Population

__all__ = ["register"]

NOT_IDENTIFIED, NOT_CONVERGED = 3, 4

READER_OPTIONS = ("annotator", "left", "right", "winner", "prompt", "weight", "feedback", "covariates")

READ, MODEL, ESTIMATE = "Reading the file", "Model", "Estimation"
JUDGES = "People and judges"
TRAIN, OUTPUT = "Training networks (Adam)", "Output"
#: where the help lists the options that each class of settings adds
PANELS: dict[type[Settings], str] = {
    Solver: ESTIMATE,
    IterativeSolver: ESTIMATE,
    Newton: ESTIMATE,
    SimulatedLikelihood: "Random coefficients by simulation",
    TrainingSolver: TRAIN,
    EM: "Hidden types (EM)",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "fit",
        help="Fit a model to a file of preferences. Without --model: one utility per item under Luce's rule "
        "(Bradley-Terry, Plackett-Luce). A scenario's model may hold networks, language models and DPO's rule; the "
        "options of training may also stand in its table named fit. Exit codes: 0 fitted; 2 bad input; 3 the estimate "
        "does not exist (items and remedies are named); 4 not converged.",
        epilog="Example: annosim fit llmfao.csv --format pairs --annotator worker --left left --right right "
        "--winner winner",
    )(_with_solver_options(run))


def run(
    data: str = typer.Argument(
        ...,
        help="A file of preferences or a directory of shards, or its URL; or a scenario (.toml) with a table named data.",
    ),
    format: str = typer.Option(
        None, help="Format: pairs, trl, preflib, scottish, arena, long, ..., parquet.", rich_help_panel=READ
    ),
    annotator: str = typer.Option(None, help="Column with who answered.", rich_help_panel=READ),
    left: str = typer.Option(None, help="Column with the left item (pairs).", rich_help_panel=READ),
    right: str = typer.Option(None, help="Column with the right item (pairs).", rich_help_panel=READ),
    winner: str = typer.Option(None, help="Column with the answer: left, right, tie (pairs).", rich_help_panel=READ),
    prompt: str = typer.Option(None, help="Column with the context of the question.", rich_help_panel=READ),
    weight: str = typer.Option(None, help="Column with the annotators' weights.", rich_help_panel=READ),
    covariates: str = typer.Option(
        None,
        help="Columns with what the sides show in each question, beside who they are: length,home or length=len_a:len_b. "
        "Without --model each gets a coefficient (style control, home advantage, conditional logit).",
        metavar="NAMES",
        rich_help_panel=READ,
    ),
    words: str = typer.Option(
        None,
        help="What the words of the winner's column mean: A=left,B=right,draw=tie,none=skip (pairs).",
        rich_help_panel=READ,
    ),
    feedback: str = typer.Option(
        None,
        help="Kind of answer: choice, ranking, 'top 2', best-worst, 'rating 5' (wide; others say it themselves).",
        rich_help_panel=READ,
    ),
    settings: list[str] = typer.Option(
        None,
        "--set",
        help="Any other option of the format's reader, NAME=VALUE (features=price,time; expand=true).",
        rich_help_panel=READ,
    ),
    tokenizer: str = typer.Option(
        None, help="Tokenizer by path or name, where a model reads tokens; the model's own.", rich_help_panel=READ
    ),
    model: Path = typer.Option(
        None, help="A scenario (.toml) whose table model (else population) is fitted.", rich_help_panel=MODEL
    ),
    ties: str = typer.Option(
        None, help="Ties: half (where the model has none), drop, davidson, rao-kupper.", rich_help_panel=MODEL
    ),
    types: int = typer.Option(
        None, min=1, help="Number of latent classes of annotators, without --model.", metavar="N", rich_help_panel=MODEL
    ),
    judge: list[str] = typer.Option(
        None,
        help="Judges (language models, cheap raters) beside people's votes: a file of their answers, read with the same "
        "options, or the name of an annotator of DATA. May be repeated.",
        metavar="FILE|NAME",
        rich_help_panel=JUDGES,
    ),
    who: str = typer.Option(
        None,
        help="Column that says 'human' in people's rows and the judge's name in the others.",
        metavar="COLUMN",
        rich_help_panel=JUDGES,
    ),
    question: str = typer.Option(
        None,
        help="Column that numbers the questions; else the prompt and the pair do.",
        metavar="COLUMN",
        rich_help_panel=JUDGES,
    ),
    objective: str = typer.Option(
        None,
        help="nll (default; nll,label_smoothing=0.1), ipo=TAU, slic=DELTA, margin=signed,alpha=1 (or unsigned, inside, "
        "constant; column=NAME of judgements), soft_labels=COLUMN. DPO is the model's rule.",
        metavar="KIND=VALUE",
        rich_help_panel=ESTIMATE,
    ),
    regulariser: str = typer.Option(
        None,
        help="forward_kl=WEIGHT: stay near the density as it begins.",
        metavar="KIND=VALUE",
        rich_help_panel=ESTIMATE,
    ),
    prior: str = typer.Option(
        None, help="dirichlet=COUNTS, gaussian=SD or ridge=PENALTY.", metavar="KIND=VALUE", rich_help_panel=ESTIMATE
    ),
    solver: str = typer.Option(
        None, help="By structure, unless named: newton, em, adam, ...", rich_help_panel=ESTIMATE
    ),
    starts: int = typer.Option(
        None,
        min=1,
        help="Starting points; 1, or 10 with several types of tables.",
        metavar="N",
        rich_help_panel=ESTIMATE,
    ),
    seed: int = typer.Option(None, min=0, help="Seed of everything drawn; 0.", metavar="N", rich_help_panel=ESTIMATE),
    cluster: str = CLUSTER,
    device: str = typer.Option(None, help="Where networks are trained: cpu, cuda, cuda:1.", rich_help_panel=TRAIN),
    se: str = typer.Option(
        None,
        help="Standard errors: hessian, sandwich, cluster (default: cluster where eight annotators or more answered repeatedly).",
        rich_help_panel=OUTPUT,
    ),
    posterior: bool = typer.Option(
        False,
        "--posterior",
        help="Draw from the posterior instead of estimating (extra bayes): the normal approximation at its mode, and "
        "whether that holds. Exit code 4: the draws are not to be trusted.",
        rich_help_panel=ESTIMATE,
    ),
    nuts: bool = typer.Option(
        False, "--nuts", help="With --posterior: by the No-U-Turn sampler.", rich_help_panel=ESTIMATE
    ),
    out: Path = typer.Option(
        None, help="Write the table as CSV: estimates, or each item's score under networks.", rich_help_panel=OUTPUT
    ),
    responsibilities: Path = typer.Option(
        None, help="Write each annotator's probabilities of the types as CSV.", rich_help_panel=OUTPUT
    ),
    save: Path = typer.Option(
        None, help="Write the fit to a file (annosim.Fit.load reads it).", rich_help_panel=OUTPUT
    ),
    export: Path = typer.Option(
        None, help="Write the trained language or reward models to a folder (from_pretrained).", rich_help_panel=OUTPUT
    ),
    **solver_options: Any,
) -> None:
    """Read, fit, print."""
    options = dict(locals()) | solver_options  # by name: those of training go to an.fit under the same names
    if question is not None and not judge and who is None:
        raise typer.BadParameter("it matches people's votes with judges' answers; add --judge", param_hint="--question")
    with on_cluster(cluster), one_voice():
        if judge or who is not None:
            from annosim.cli.judged import fit_judged

            fit_judged(options)
            return
        _fit(options)


def _fit(options: dict[str, Any]) -> None:
    from annosim.cli.fitted import Outputs
    from annosim.cli.inputs import read_inputs
    from annosim.cli.training import FitOptions

    columns = {name: options[name] for name in READER_OPTIONS}
    read = [options[name] for name in ("words", "tokenizer", "ties", "types")]
    given = read_inputs(
        options["data"], options["model"], options["format"], columns, read[0], options["settings"] or [], *read[1:]
    )
    chosen = FitOptions(options, given.scenario)
    if options["posterior"] or options["nuts"]:
        _posterior(given.family, given.answers, chosen, options)
        return
    written = {name: options[name] for name in ("se", "out", "responsibilities", "save", "export")}
    outputs = Outputs(**written, given=given, chosen=chosen) if rank() == 0 else None
    found = _fitted(given.family, given.answers, chosen)
    if outputs is not None:
        outputs.write(found)
    if not found.converged and found.stopped_by not in ("schedule", "held out"):  # a schedule that ends is no failure
        raise typer.Exit(NOT_CONVERGED)


def _posterior(
    family: Population, answers: PreferenceData | Shards, chosen: FitOptions, options: dict[str, Any]
) -> None:
    """Draws instead of an estimate."""
    from annosim.cli.posterior import print_posterior
    from annosim.errors import ArgumentError
    from annosim.learning.training.checkpoints import check_writable

    unused = next((name for name in ("se", "responsibilities", "save", "export") if options[name] is not None), None)
    if unused is not None:
        raise ArgumentError(f"--{unused}: means nothing with --posterior; its table is written by --out")
    check_ending("--out", options["out"], ".csv")
    check_writable(options["out"])
    if not print_posterior(family, answers, chosen, options["nuts"], options["out"]):
        raise typer.Exit(NOT_CONVERGED)


def _fitted(family: Population, answers: PreferenceData | Shards, chosen: FitOptions) -> Fit:
    """The fit; what has no estimate ends the command, and warnings are lines."""
    import warnings

    from annosim.errors import NotIdentifiedError
    from annosim.learning.structure import has_network

    if len(family.components()) > 1 and not has_network(family):
        chosen.values.setdefault("starts", 10)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: typer.echo(f"warning: {message}", err=True)
            found = chosen.fit(family, answers)
    except NotIdentifiedError as error:
        helps = "prior" not in chosen.values and "prior=" in str(error)
        how = "gaussian=2" if answers.feedback.kind == "rating" else "dirichlet=1"
        said = str(error)
        remedy = f"{' On' if said.endswith('.') else '; on'} the command line: --prior {how}." if helps else ""
        if helps and _asked_once(answers):
            remedy += (
                " Most texts here were shown once, which tells no strength of each: --model takes a scenario whose "
                "utility reads texts (kind = 'sequence_reward' or 'log_policy')."
            )
        typer.echo(f"not identified: {said}{remedy}", err=True)
        raise typer.Exit(NOT_IDENTIFIED) from None
    if "device" in chosen.where and found.solver not in ("adam", "em"):
        typer.echo(f"note: {chosen.where['device']}: solver {found.solver} computes on the CPU", err=True)
    return found


def _asked_once(answers: PreferenceData | Shards) -> bool:
    """Whether the items are texts, and most were shown once, as in files for reward models."""
    import numpy as np

    from annosim.data.preferences import PreferenceData

    if not isinstance(answers, PreferenceData) or answers.items.texts is None:
        return False
    menu = np.asarray(answers.menu)
    return bool(np.median(np.bincount(menu[menu >= 0], minlength=answers.items.n)) <= 1)


def _solver_option(one: Option) -> inspect.Parameter:
    """One option of the solvers' settings as an option of the command."""
    flag = f"--{one.name.replace('_', '-')}"
    if one.constraint.kind is bool:
        flag += "" if one.default is False else f"/--no-{one.name.replace('_', '-')}"
    told = one.help if one.default is None or one.constraint.kind is bool else f"{one.help} Default: {one.default}."
    default = typer.Option(None, flag, help=told, rich_help_panel=PANELS[one.owner])
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(one.name, kind, default=default, annotation=one.constraint.kind)


def _with_solver_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with every option of the solvers in place of its ``**solver_options``."""
    own = inspect.signature(command, eval_str=True)
    first = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
    derived = [_solver_option(one) for one in all_options().values()]

    @functools.wraps(command)
    def called(**options: Any) -> None:
        command(**options)

    called.__signature__ = own.replace(parameters=[*first, *derived])  # type: ignore[attr-defined]
    called.__annotations__ = {p.name: p.annotation for p in [*first, *derived]}
    return called
