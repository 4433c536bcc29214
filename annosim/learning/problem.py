"""A problem to be solved, the solution a solver hands back, and the table of solvers and projections.

A solver is a row of a table: a name, a predicate ``applies(problem)``, and ``solve(problem) -> Solution``. ``fit``
takes the first row that applies; ``solver="name"`` asks for one. Files of this room add their rows with
:func:`register`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from annosim.data.preferences import PreferenceData
from annosim.designs.design import Design
from annosim.errors import ArgumentError, NoProjectionError
from annosim.laws import Law
from annosim.populations.base import Population

__all__ = ["PROJECTIONS", "SOLVERS", "Problem", "Solution", "Solver", "choose", "is_nll", "projection_for", "register"]


@dataclass(frozen=True, eq=False)
class Problem:
    """Everything a solver may look at.

    Attributes:
        model: the population to be fitted; its present free parameters are the first start.
        data: the answers (of a projection: the law as weighted data; made on demand from :attr:`law`).
        law: the truth's law, when this is a projection.
        truth: the truth, when this is a projection.
        design: the design, when this is a projection.
        objective: ``None`` for the negative log-likelihood.
        regulariser: added to the objective, or ``None``.
        prior: penalty on the parameters, or ``None``.
        starts: number of starting points.
        seed: address of starting points and of any stochastic solver.
        device: where to compute.
        tolerance: on the scaled gradient.
        max_iterations: after which a solver gives up and says so.
        options: further keywords for one solver (networks: batch size, schedule, ...).
    """

    model: Population
    _data: PreferenceData | None = None
    law: Law | None = None
    truth: Population | None = None
    design: Design | None = None
    objective: Any = None
    regulariser: Any = None
    prior: Any = None
    starts: int = 1
    seed: int = 0
    device: Any = None
    tolerance: float = 1e-10
    max_iterations: int = 1000
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def is_projection(self) -> bool:
        """Infinite data: the law itself."""
        return self.law is not None

    @property
    def data(self) -> PreferenceData:
        """The answers; of a projection, the law as weighted data."""
        if self._data is None:
            made = self.law.as_data(marginal=len(self.model.components()) == 1)  # type: ignore[union-attr]
            object.__setattr__(self, "_data", made)
        return self._data  # type: ignore[return-value]

    @property
    def items(self):
        """The item set."""
        return self.design.items if self.design is not None else self.data.items


@dataclass(eq=False)
class Solution:
    """What a solver found; ``fit`` turns it into a :class:`~annosim.learning.result.Fit`.

    Attributes:
        population: the model at the optimum.
        log_likelihood: at the optimum (without penalties), or ``None`` where the objective is another one.
        objective: value of the minimised objective (penalties included, per unit weight), or ``None``.
        converged: the scaled gradient is below the tolerance.
        iterations: of the best start.
        stopped_by: ``"gradient"``, ``"iterations"``, ``"rounding"``, ``"schedule"``, ...
        gradient_norm: largest entry of the gradient of the objective per unit weight.
        condition: condition number of the Hessian off its gauges, or nan.
        why: one line: why this solver.
        notes: anything the reader must know (what a prior decided, a fallback).
        starts: log-likelihoods (or minus objectives) of all starts.
        trace: log-likelihood (or objective) by iteration of the best start.
        extra: anything else (kept in ``Fit.extra``).
    """

    population: Population
    log_likelihood: float | None
    converged: bool
    iterations: int
    stopped_by: str
    gradient_norm: float
    why: str = ""
    objective: float | None = None
    condition: float = float("nan")
    notes: list[str] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    trace: np.ndarray | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Solver:
    """One row of the table."""

    name: str
    applies: Callable[[Problem], bool]
    solve: Callable[[Problem], Solution]
    order: int = 50
    automatic: Callable[[Problem], bool] | None = None


SOLVERS: list[Solver] = []
PROJECTIONS: list[Solver] = []


def register(
    name: str,
    applies: Callable[[Problem], bool],
    solve: Callable[[Problem], Solution],
    *,
    projection: bool = False,
    first: bool = False,
    order: int = 50,
    automatic: Callable[[Problem], bool] | None = None,
) -> None:
    """Add a solver (of objectives other than NLL in the limit of infinite data: ``projection=True``) to the table.

    Args:
        name: the word for ``solver=``; a name that is already there is replaced.
        applies: whether this solver can solve the problem.
        solve: does it.
        projection: a declared population optimum of an objective.
        first: look at this row before all others (``order=0``).
        order: rows are asked in this order, whatever file was imported first.
        automatic: whether ``solver="auto"`` takes this row where it applies; always, by default.
    """
    table = PROJECTIONS if projection else SOLVERS
    kept = [row for row in table if row.name != name]
    row = Solver(name, applies, solve, 0 if first else order, automatic)
    table[:] = sorted([*kept, row], key=lambda row: row.order)


def is_nll(objective: Any) -> bool:
    """Whether the objective is the negative log-likelihood (the default).

    Example:
        >>> is_nll(None)
        True
    """
    return objective is None or (type(objective).__name__ == "NLL" and getattr(objective, "label_smoothing", 0) == 0)


#: solvers that take no keywords of their own: a misspelt argument must not pass in silence
_PLAIN = ("newton", "newton-linear", "em-newton", "em-newton-cg", "autograd", "slic", "convex")


def choose(problem: Problem, solver: str) -> Solver:
    """The first solver that applies, or the one that was asked for."""
    row = _choose(problem, solver)
    if problem.options and row.name in _PLAIN:
        raise ArgumentError(
            f"fit({next(iter(problem.options))}=): solver {row.name!r} has no such argument; those of fit are "
            "objective, regulariser, prior, solver, starts, seed, device, tolerance, max_iterations"
        )
    return row


def _choose(problem: Problem, solver: str) -> Solver:
    names = [row.name for row in SOLVERS]
    if solver != "auto":
        if solver not in names:
            raise ArgumentError(f"solver={solver!r}: the solvers are auto, {', '.join(names)}")
        row = SOLVERS[names.index(solver)]
        if not row.applies(problem):
            able = [r.name for r in SOLVERS if r.applies(problem)]
            raise ArgumentError(f"solver={solver!r} does not apply to this model and data; these do: {', '.join(able)}")
        return row
    for row in SOLVERS:
        if row.applies(problem) and (row.automatic is None or row.automatic(problem)):
            return row
    what = [f"objective={problem.objective!r}"] if not is_nll(problem.objective) else []
    what += [f"{name}={value!r}" for name in ("regulariser", "prior") if (value := getattr(problem, name)) is not None]
    raise ArgumentError(
        f"no solver for this {type(problem.model).__name__} with {', '.join(what) or 'these rules'}; leave it out "
        "(networks take weight_decay= instead of a prior=), or add a solver by annosim.learning.problem.register"
    )


def projection_for(problem: Problem) -> Solver:
    """The declared population optimum of an objective other than NLL, or :class:`NoProjectionError`."""
    for row in PROJECTIONS:
        if row.applies(problem):
            return row
    raise NoProjectionError(
        f"objective {type(problem.objective).__name__} has no declared population optimum for "
        f"{type(problem.model).__name__} on {problem.design.feedback.kind} of {problem.design.menu_size}; "  # type: ignore[union-attr]
        "project with NLL, or fit on simulated data"
    )
