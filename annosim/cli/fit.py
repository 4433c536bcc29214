"""``annosim fit DATA``: estimate or train, print what was learned, and say what is not identified."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from annosim.cli.training import Settings
    from annosim.data.preferences import PreferenceData
    from annosim.learning.result import Fit
    from annosim.populations.base import Population

__all__ = ["register"]

NOT_IDENTIFIED, NOT_CONVERGED = 3, 4

READ, MODEL, ESTIMATE = "Reading the file", "Model", "Estimation"
TRAIN, EM, OUTPUT = "Training networks (Adam)", "Mixtures of networks (EM)", "Output"


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
    )(run)


def run(
    data: Path = typer.Argument(..., help="A file of preferences, or a scenario (.toml) with a table named data."),
    format: str = typer.Option(
        None, help="Format: pairs, trl, preflib, scottish, arena, long, ..., parquet.", rich_help_panel=READ
    ),
    annotator: str = typer.Option(None, help="Column with who answered.", rich_help_panel=READ),
    left: str = typer.Option(None, help="Column with the left item (pairs).", rich_help_panel=READ),
    right: str = typer.Option(None, help="Column with the right item (pairs).", rich_help_panel=READ),
    winner: str = typer.Option(None, help="Column with the answer: left, right, tie (pairs).", rich_help_panel=READ),
    prompt: str = typer.Option(None, help="Column with the context of the question.", rich_help_panel=READ),
    weight: str = typer.Option(None, help="Column with the annotators' weights.", rich_help_panel=READ),
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
    seed: int = typer.Option(
        None, min=0, help="CounterRNG of everything drawn; 0.", metavar="N", rich_help_panel=ESTIMATE
    ),
    tolerance: float = typer.Option(None, help="On the scaled gradient.", rich_help_panel=ESTIMATE),
    max_iterations: int = typer.Option(None, help="Then the exit code is 4.", rich_help_panel=ESTIMATE),
    steps: int = typer.Option(None, help="Optimiser steps; 8192.", rich_help_panel=TRAIN),
    lr: float = typer.Option(None, help="Peak learning rate; 1e-4.", rich_help_panel=TRAIN),
    batch: int = typer.Option(None, help="Annotators per step (rows without ids); all.", rich_help_panel=TRAIN),
    warmup: int = typer.Option(None, help="Steps of linear warm-up; a cosine follows.", rich_help_panel=TRAIN),
    weight_decay: float = typer.Option(None, help="Decoupled (AdamW).", rich_help_panel=TRAIN),
    accumulate: int = typer.Option(None, help="Minibatches averaged in a step.", rich_help_panel=TRAIN),
    held_out: float = typer.Option(
        None, help="Share of annotators kept aside: training stops when their loss rises.", rich_help_panel=TRAIN
    ),
    patience: int = typer.Option(None, help="Evaluations without improvement; 10.", rich_help_panel=TRAIN),
    evaluate_every: int = typer.Option(None, help="Steps between evaluations; 50.", rich_help_panel=TRAIN),
    precision: str = typer.Option(None, help="auto (bf16 on a GPU), float32 or bfloat16.", rich_help_panel=TRAIN),
    compile: bool = typer.Option(None, "--compile", help="Through torch.compile.", rich_help_panel=TRAIN),
    device: str = typer.Option(None, help="Where networks are trained: cpu, cuda, cuda:1.", rich_help_panel=TRAIN),
    checkpoint: Path = typer.Option(
        None, help="File from which the same command resumes when it was stopped.", rich_help_panel=TRAIN
    ),
    checkpoint_every: int = typer.Option(None, help="Steps between checkpoints; 1000.", rich_help_panel=TRAIN),
    log: Path = typer.Option(
        None, help="Parquet file of every step's loss, rate and held-out loss.", rich_help_panel=TRAIN
    ),
    final: bool = typer.Option(
        None, "--final/--no-final", help="Evaluate on all training data at the end.", rich_help_panel=TRAIN
    ),
    progress: bool = typer.Option(
        None, "--progress/--no-progress", help="A bar, on a terminal only.", rich_help_panel=TRAIN
    ),
    e_step_every: int = typer.Option(None, help="Steps between two E-steps; 20.", rich_help_panel=EM),
    m_step: str = typer.Option(None, help="adam, or line-search: the likelihood never falls.", rich_help_panel=EM),
    temperature: float = typer.Option(None, help="Annealing begins here, at least 1.", rich_help_panel=EM),
    anneal: float = typer.Option(None, help="Share of the steps until it is 1; 0.5.", rich_help_panel=EM),
    hard: bool = typer.Option(None, "--hard", help="Everybody to their likeliest type.", rich_help_panel=EM),
    warm_start: str = typer.Option(None, help="pooled, or a fit that --save wrote.", rich_help_panel=EM),
    warm_steps: int = typer.Option(None, help="Steps of the pooled training.", rich_help_panel=EM),
    perturbation: float = typer.Option(None, help="Noise on the starts' networks.", rich_help_panel=EM),
    se: str = typer.Option(
        None,
        help="Standard errors: hessian, sandwich, cluster (default: cluster with several annotators).",
        rich_help_panel=OUTPUT,
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
) -> None:
    """Read, fit, print."""
    options = dict(locals())  # the options by name: those of training go to an.fit under the same names
    from annosim.cli.fitted import Outputs
    from annosim.cli.inputs import read_inputs
    from annosim.cli.training import Settings

    columns = {name: options[name] for name in ("annotator", "left", "right", "winner", "prompt", "weight", "feedback")}
    given = read_inputs(data, model, format, columns, words, settings or [], tokenizer, ties, types)
    chosen = Settings(options, given.scenario)
    outputs = Outputs(se, out, responsibilities, save, export, given, chosen)
    found = _fitted(given.family, given.answers, chosen)
    outputs.write(found)
    if not found.converged and found.stopped_by not in ("schedule", "held out"):  # a schedule that ends is no failure
        raise typer.Exit(NOT_CONVERGED)


def _fitted(family: Population, answers: PreferenceData, chosen: Settings) -> Fit:
    """The fit; what has no estimate ends the command, and warnings are lines."""
    import warnings

    import annosim as an
    from annosim.errors import ArgumentError
    from annosim.learning.structure import has_network
    from annosim.scenario.training import naming

    network = has_network(family)
    if network and "max_iterations" in chosen.where:
        raise ArgumentError(f"{chosen.where['max_iterations']}: networks are trained for a number of --steps")
    several = len(family.components()) > 1 and not network
    keywords: dict[str, Any] = {"starts": 10 if several else 1} | chosen.keywords(family)
    try:
        with warnings.catch_warnings(), naming(chosen.where):
            warnings.showwarning = lambda message, *_: typer.echo(f"warning: {message}", err=True)
            found = an.fit(family, answers, **keywords)
    except an.errors.NotIdentifiedError as error:
        typer.echo(f"not identified: {error} On the command line: --prior dirichlet=1.", err=True)
        raise typer.Exit(NOT_IDENTIFIED) from None
    if "device" in chosen.where and found.solver not in ("adam", "em"):
        typer.echo(f"note: {chosen.where['device']}: solver {found.solver} computes on the CPU", err=True)
    return found
