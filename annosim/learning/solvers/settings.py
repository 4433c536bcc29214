"""The solvers' settings: one frozen dataclass each, and the only list of its options.

``fit(model, data, solver=an.EM(steps=200, e_step_every=10))``. The scenario's table ``[fit]``, the options of
``annosim fit`` and their help are derived from the fields here.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, runtime_checkable

from annosim.errors import ArgumentError, told
from annosim.learning.solvers.options import (
    Option,
    OptionType,
    Settings,
    described,
    file_name,
    flag,
    number,
    one_of,
    option,
    options_of,
    share,
    whole,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from annosim.populations.base import Population

__all__ = [
    "EM",
    "LBFGS",
    "SOLVERS",
    "Adam",
    "FittedModel",
    "Newton",
    "SimulatedLikelihood",
    "Solver",
    "SolverName",
    "all_options",
    "TrainingSolver",
    "solver_named",
    "solvers_with",
]

#: the words that ``solver=`` takes beside a value: ``"auto"`` chooses, the others are a class with its defaults
SolverName = Literal["auto", "newton", "lbfgs", "simulated", "adam", "em"]


#: what the options of early stopping need
HELD_OUT = ("held_out", "nothing is held out")


@runtime_checkable
class FittedModel(Protocol):
    """What holds a fitted population, such as a :class:`~annosim.Fit`."""

    @property
    def population(self) -> Population:
        """The model at its estimate."""
        ...


@dataclass(frozen=True, repr=False, kw_only=True)
class Solver(Settings):
    """How an estimate is computed: the settings of a solver. A subclass of settings is used as its parent is.

    Example:
        >>> isinstance(EM(steps=100), Solver), EM(steps=100).iteration_limit
        (True, 100)
    """

    tolerance: float = option(
        1e-10,
        "Convergence tolerance on the scaled gradient.",
        share("a number between 0 and 1, on the scaled gradient", zero=False),
    )

    @property
    def iteration_limit(self) -> int:
        """After this many iterations the result says ``converged=False``."""
        raise NotImplementedError(f"{type(self).__name__}.iteration_limit")


@dataclass(frozen=True, repr=False, kw_only=True)
class IterativeSolver(Solver):
    """A solver that works on all the data at once."""

    max_iterations: int = option(1000, "Iteration limit; the result is not converged when it is reached.", whole(1))

    @property
    def iteration_limit(self) -> int:
        """``max_iterations``."""
        return self.max_iterations


@described
@dataclass(frozen=True, repr=False, kw_only=True)
class Newton(IterativeSolver):
    """Newton's method on the exact likelihood, and on the objectives with a convex solver of their own.

    For latent classes it begins with EM steps.

    Example:
        >>> Newton(tolerance=1e-12)
        Newton(tolerance=1e-12)
    """

    name: ClassVar[str] = "newton"
    hessian: Literal["auto", "dense", "matrix-free", "expected"] = option(
        "auto",
        "Curvature: dense, matrix-free (conjugate gradients), expected (Fisher scoring), or by size.",
        one_of("auto", "dense", "matrix-free", "expected"),
    )


@described
@dataclass(frozen=True, repr=False, kw_only=True)
class LBFGS(IterativeSolver):
    """L-BFGS by automatic differentiation, then Newton where the Hessian is small: any rule, any population.

    Example:
        >>> LBFGS(max_iterations=50).max_iterations
        50
    """

    name: ClassVar[str] = "lbfgs"


def _draws(where: str, value: Any) -> int | np.ndarray | None:
    import numpy as np

    if value is None or isinstance(value, np.ndarray):
        return value  # its shape is checked against the data
    try:
        return whole(2).check(where, value)
    except ArgumentError as error:
        raise ArgumentError(f"{error}, draws for each annotator, or the draws themselves") from None


@described
@dataclass(frozen=True, repr=False, kw_only=True)
class SimulatedLikelihood(IterativeSolver):
    """Newton's method on the simulated likelihood of normal random coefficients (mixed logit).

    Without ``draws`` there are as many as make the error of simulation of every estimate less than a tenth of its
    standard error; the result's notes say how many these are, and how large the error is.

    Example:
        >>> SimulatedLikelihood(draws=500, sequence="halton")
        SimulatedLikelihood(draws=500, sequence='halton')
    """

    name: ClassVar[str] = "simulated"
    max_iterations: int = option(200, "Iteration limit; the result is not converged when it is reached.", whole(1))
    draws: int | NDArray[np.float64] | None = option(
        None,
        "Draws for each annotator (in Python also an array of standard normals); as many as it takes if left out.",
        OptionType(int, _draws),
    )
    sequence: Literal["sobol", "halton"] = option(
        "sobol", "Low-discrepancy sequence of the draws: sobol or halton.", one_of("sobol", "halton")
    )


@dataclass(frozen=True, repr=False, kw_only=True)
class TrainingSolver(Solver):
    """What Adam and EM over networks have in common: a schedule of optimiser steps, and what surrounds it."""

    tolerance: float = option(1e-10, "Convergence tolerance on the scaled gradient.", number("nonnegative"))
    steps: int = option(8192, "Optimiser steps.", whole(1))
    lr: float = option(1e-4, "Peak learning rate.", number("positive"))
    batch: int | None = option(None, "Annotators per step (rows without ids); all of them if left out.", whole(1))
    warmup: int = option(0, "Steps of linear warm-up; a cosine follows.", whole(0))
    weight_decay: float = option(0.0, "Decoupled weight decay (AdamW).", number("nonnegative"))
    accumulate: int = option(1, "Minibatches whose gradients are averaged in a step.", whole(1))
    held_out: float = option(
        0.0,
        "Share of annotators kept aside; training stops when their loss no longer falls.",
        share("a share from 0 to below 1", zero=True),
    )
    patience: int = option(10, "Evaluations on the held-out annotators without improvement.", whole(1), HELD_OUT)
    evaluate_every: int = option(50, "Steps between evaluations on the held-out annotators.", whole(1), HELD_OUT)
    precision: Literal["auto", "float32", "bfloat16"] = option(
        "auto",
        "Precision of the networks: auto (bfloat16 on a GPU), float32 or bfloat16.",
        one_of("auto", "float32", "bfloat16"),
    )
    compile: bool = option(False, "Pass the networks through torch.compile.", flag())
    checkpoint: str | os.PathLike[str] | None = option(None, "File from which a stopped run resumes.", file_name())
    checkpoint_every: int = option(
        1000, "Steps between checkpoints.", whole(1), ("checkpoint", "no checkpoint is written")
    )
    log: str | os.PathLike[str] | None = option(
        None, "Parquet file of every step's loss, learning rate and held-out loss.", file_name()
    )
    final: bool = option(True, "Evaluate loss and gradient on all training data at the end.", flag())
    progress: bool = option(True, "Show progress: a bar on a terminal, elsewhere a line every half minute.", flag())

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.warmup > self.steps:
            where = f"{type(self).__name__}(warmup={self.warmup})"
            raise ArgumentError(f"{where}: more than steps={self.steps}; the peak is never reached")

    @property
    def iteration_limit(self) -> int:
        """``steps``."""
        return self.steps

    def rate(self, step: int) -> float:
        """Learning rate of a step (0 first)."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr * 0.5 * (1 + math.cos(math.pi * progress))

    def with_own_files(self, replicate: int) -> Self:
        """The same settings with a log and a checkpoint of one replicate beside those of the batch."""
        paths = {name: Path(path) for name in ("log", "checkpoint") if (path := getattr(self, name)) is not None}
        own = {name: path.with_name(f"{path.stem}-{replicate}{path.suffix}") for name, path in paths.items()}
        return replace(self, **own)  # type: ignore[arg-type]


@described
@dataclass(frozen=True, repr=False, kw_only=True)
class Adam(TrainingSolver):
    """How networks are trained: Adam (AdamW with ``weight_decay``), linear warm-up, cosine to zero.

    Example:
        >>> Adam(steps=100, lr=1e-3, warmup=10).rate(9), Adam(steps=100).rate(99) < 1e-7
        (0.001, True)
    """

    name: ClassVar[str] = "adam"


def _warm_start(where: str, value: Any) -> Any:
    from annosim.populations.base import Population

    if value == "pooled" or isinstance(value, Population | FittedModel):
        return value
    raise ArgumentError(f"{where.replace('=)', f'={value!r})')}: 'pooled', a population, or a Fit")


@described
@dataclass(frozen=True, repr=False, kw_only=True)
class EM(TrainingSolver):
    """EM for hidden types: over networks, by Adam or a line search between E-steps; over Luce types in closed form.

    Of Luce types only ``tolerance`` and ``steps`` (its limit of iterations) are read. With
    ``m_step="line-search"`` the log-likelihood never falls. Annealing tempers the responsibilities,
    ``gamma ~ (weight P)^(1 / temperature)``, from ``temperature`` down to 1, geometrically (Ueda and Nakano 1998).

    Example:
        >>> EM(steps=200, e_step_every=10, temperature=4.0, anneal=0.5).temperature_at(50)  # half way from 4 to 1
        2.0
    """

    name: ClassVar[str] = "em"
    e_step_every: int = option(20, "Optimiser steps between two E-steps, each a pass over all annotators.", whole(1))
    m_step: Literal["adam", "line-search"] = option(
        "adam",
        "How the networks descend between E-steps: adam, or line-search (L-BFGS on all annotators).",
        one_of("adam", "line-search"),
    )
    temperature: float = option(1.0, "Temperature at which annealing begins.", number("at_least_one"))
    anneal: float = option(
        0.5,
        "Share of the steps over which the temperature falls to 1.",
        number("unit"),
        ("temperature", "there is no annealing"),
    )
    hard: bool = option(False, "Assign every annotator to the likeliest type (classification EM).", flag())
    warm_start: Literal["pooled"] | Population | FittedModel | None = option(
        None, "Where types begin: pooled (one type is trained first), or a fitted model.", OptionType(str, _warm_start)
    )
    warm_steps: int | None = option(
        None,
        "Steps of the pooled training; a quarter of all if left out.",
        whole(1),
        ("warm_start", "no type is trained first"),
    )
    perturbation: float = option(
        0.0, "Noise on the starts' networks, in units of each tensor's root mean square.", number("nonnegative")
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.m_step == "line-search" and (self.batch is not None or self.accumulate > 1 or self.weight_decay):
            raise ArgumentError("EM(m_step='line-search'): it takes all annotators at once; leave batch= and the like")

    def temperature_at(self, step: int) -> float:
        """Temperature of the responsibilities at a step."""
        falling = self.anneal * self.steps
        return self.temperature ** (1 - step / falling) if step < falling else 1.0


#: the solvers by the word that names them
SOLVERS: dict[str, type[Solver]] = {one.name: one for one in (Newton, LBFGS, SimulatedLikelihood, Adam, EM)}


def solver_named(verb: str, solver: Solver | str) -> Solver | None:
    """A solver by its word, or as given; ``None`` for ``"auto"``.

    Raises:
        ArgumentError: another word, or something else.

    Example:
        >>> solver_named("fit", "newton"), solver_named("fit", "auto")
        (Newton(), None)
    """
    if isinstance(solver, Solver):
        return solver
    if isinstance(solver, str) and solver in SOLVERS:
        return SOLVERS[solver]()
    if isinstance(solver, str) and solver == "auto":
        return None
    if isinstance(solver, type) and issubclass(solver, Solver):
        raise ArgumentError(f"{verb}(solver={solver.__name__}): write {solver.__name__}(), with brackets")
    raise ArgumentError(f"{verb}(solver={told(solver)}): 'auto', an.Newton(...), an.EM(...), {_words()}")


def _words() -> str:
    return "or one of " + ", ".join(sorted(SOLVERS))


def all_options() -> dict[str, Option]:
    """Every option of every solver by its name: what a command or a file may hold.

    Example:
        >>> "e_step_every" in all_options(), all_options()["steps"].default
        (True, 8192)
    """
    found: dict[str, Option] = {}
    for settings in SOLVERS.values():
        for one in options_of(settings):
            found.setdefault(one.name, one)
    return found


def solvers_with(names: Iterable[str]) -> list[type[Solver]]:
    """The solvers that have all these options.

    Example:
        >>> [one.__name__ for one in solvers_with(["steps", "hard"])]
        ['EM']
    """
    return [one for one in SOLVERS.values() if set(names) <= set(one.__dataclass_fields__)]
