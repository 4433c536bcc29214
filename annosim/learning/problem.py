"""A problem to be solved, the solution a solver hands back, and the table of solvers and projections.

A method is a row of a table: a name, a predicate ``applies(problem)``, ``solve(problem) -> Solution``, and the class of
settings that it reads. ``fit`` takes the first row that applies; ``solver=an.EM(...)`` asks for the rows of one class.
Files of this room add their rows with :func:`register`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch

from annosim.data.preferences import PreferenceData
from annosim.designs.design import Design
from annosim.errors import ArgumentError, NoProjectionError, told
from annosim.items import Items
from annosim.laws import Law
from annosim.learning.objectives import NLL, ForwardKL, Objective
from annosim.learning.priors import Prior
from annosim.learning.solvers.settings import Newton, Solver, solver_named
from annosim.parameters import behaves_as
from annosim.populations.annotator import answers_are_independent, single_answers_say_all
from annosim.populations.base import Population

if TYPE_CHECKING:  # pyarrow takes a while to import
    from annosim.io.shards import Shards
    from annosim.learning.training.em_trace import EMSummary
    from annosim.learning.training.result import Training

__all__ = [
    "METHODS",
    "PROJECTIONS",
    "Method",
    "Problem",
    "Solution",
    "applicable",
    "choose",
    "is_nll",
    "projection_for",
    "register",
]


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
        solver: the settings that the chosen method reads.
        centre: the coefficients (all numbers of them) at which a simulated likelihood puts each person's draws where their
            tastes probably are; none for draws that are everybody's.
        finer: how often the quadrature over tastes was refined; see :meth:`annosim.populations.RandomTastes.standard_nodes`.
        shards: the answers, where they do not fit in memory.
        infinite: which numbers were found to have no finite estimate; their standard errors are infinite.
        reflected: random coefficients whose simulated draws are taken with the other sign, so that scales are positive.
    """

    model: Population
    _data: PreferenceData | None = None
    law: Law | None = None
    truth: Population | None = None
    design: Design | None = None
    objective: Objective | None = None
    regulariser: ForwardKL | None = None
    prior: Prior | None = None
    starts: int = 1
    seed: int = 0
    device: str | torch.device | None = None
    solver: Solver = Newton()
    reflected: tuple[int, ...] = ()
    centre: tuple[float, ...] = ()
    finer: int = 0
    infinite: tuple[int, ...] = ()
    shards: Shards | None = None

    @property
    def tolerance(self) -> float:
        """Convergence tolerance on the scaled gradient."""
        return self.solver.tolerance

    @property
    def max_iterations(self) -> int:
        """After which a method ends without convergence and says so."""
        return self.solver.iteration_limit

    @property
    def is_projection(self) -> bool:
        """Infinite data: the law itself."""
        return self.law is not None

    @property
    def data(self) -> PreferenceData:
        """The answers; of a projection, the law as weighted data.

        Raises:
            ArgumentError: they are shards that do not fit in memory.
        """
        if self._data is None:
            if self.law is None:
                raise ArgumentError(
                    "this fit was made from shards that are not in memory; fit shards.load() for what reads rows"
                )
            alone = answers_are_independent(self.model) and self.law.table.shape[1] == 1  # the truth has no memory
            alike = single_answers_say_all(self.model)
            made = self.written_law(marginal=alike, by_place=alone and not alike)
            object.__setattr__(self, "_data", made)
        return self._data  # type: ignore[return-value]

    def written_law(self, marginal: bool = False, by_place: bool = False) -> PreferenceData:
        """The law as weighted answers that the model can give: without ties of its own it reads them as half wins, and
        without skips it leaves them out.

        Raises:
            ArgumentError: no law.
        """
        if self.law is None:
            raise ArgumentError("written_law: a fit to data has no law")
        data, rules = self.law.as_data(marginal, by_place), [one.rule for one in self.model.components()]
        if not any(rule.skips for rule in rules):
            data = data.take(~data.skipped)
        return data if any(rule.ties for rule in rules) or not data.has_ties else data.ties("half")

    def with_data(self, data: PreferenceData) -> Problem:
        """The same problem on other answers."""
        return replace(self, _data=data)

    @property
    def items(self) -> Items:
        """The item set."""
        if self.shards is not None:
            return self.shards.items
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
        stopped_by: ``"gradient"``, ``"iterations"``, ``"rounding"``, ``"infinity"``, ``"schedule"``, ...
        gradient_norm: largest entry of the gradient of the objective per unit weight.
        condition: condition number of the Hessian off its null directions, or nan.
        why: one line: why this solver.
        notes: anything the reader must know (what a prior decided, a fallback).
        starts: log-likelihoods (or minus objectives) of all starts.
        trace: log-likelihood (or objective) by iteration of the best start.
        divergence: of a projection, from the truth's law.
        problem: the problem as it was solved, where the solver has changed it.
        training: the run that trained networks.
        em: what EM over networks wrote down at its E-steps.
        last_change: of a training run: change of the mean loss over its last fiftieth.
        duality_gap: of SLiC: how far from the optimum the solution can be at most.
        loose_items: of SLiC's linear program: how many items can move alone with the objective unchanged.
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
    divergence: float | None = None
    problem: Problem | None = None
    training: Training | None = None
    em: EMSummary | None = None
    last_change: float | None = None
    duality_gap: float | None = None
    loose_items: int | None = None


#: what solves all replicates of some data together, from one model or one for each
AtOnce: TypeAlias = "Callable[[Problem, Sequence[Population], PreferenceData], list[Solution] | None]"


@dataclass(frozen=True)
class Method:
    """One row of the table.

    Attributes:
        name: what the result is said to have been computed by.
        settings: the class of settings that it reads.
        applies: whether it can solve a problem.
        solve: does it.
        order: rows are asked in this order, whatever file was imported first.
        automatic: whether ``solver="auto"`` takes this row where it applies; always, by default.
        solve_at_once: solves all replicates together, from one model or one for each; ``None`` where it must not.
        hessians: kinds of curvature (``an.Newton(hessian=)``) that this row can use; any, by default.
    """

    name: str
    settings: type[Solver]
    applies: Callable[[Problem], bool]
    solve: Callable[[Problem], Solution]
    order: int = 50
    automatic: Callable[[Problem], bool] | None = None
    hessians: tuple[str, ...] = ()
    solve_at_once: AtOnce | None = None

    def takes(self, problem: Problem) -> bool:
        """Whether ``solver="auto"`` takes this row."""
        return self.applies(problem) and (self.automatic is None or self.automatic(problem))

    def admits(self, solver: Solver) -> bool:
        """Whether the row can use these settings."""
        return not (self.hessians and isinstance(solver, Newton)) or solver.hessian in ("auto", *self.hessians)


METHODS: list[Method] = []
PROJECTIONS: list[Method] = []


def register(
    name: str,
    settings: type[Solver],
    applies: Callable[[Problem], bool],
    solve: Callable[[Problem], Solution],
    *,
    projection: bool = False,
    order: int = 50,
    automatic: Callable[[Problem], bool] | None = None,
    hessians: tuple[str, ...] = (),
    solve_at_once: AtOnce | None = None,
) -> None:
    """Add a :class:`Method` (for objectives other than NLL on infinite data: ``projection=True``) to its table."""
    table = PROJECTIONS if projection else METHODS
    table.append(Method(name, settings, applies, solve, order, automatic, hessians, solve_at_once))
    table.sort(key=lambda row: row.order)


def is_nll(objective: Objective | None) -> bool:
    """Whether the objective is the negative log-likelihood (the default).

    Example:
        >>> is_nll(None)
        True
    """
    if objective is None:
        return True
    plain = isinstance(objective, NLL) and objective.label_smoothing == 0
    return plain and behaves_as(objective, NLL, "row_losses", "loss_of_logit")


def choose(problem: Problem, solver: Solver | str = "auto", verb: str = "fit") -> tuple[Method, Problem]:
    """The first method that applies, or that reads the given settings; and the problem with its settings.

    Raises:
        ArgumentError: nothing applies; the message says what does.
    """
    settings = solver_named(verb, solver)
    if settings is None:
        row = next(iter(applicable(problem)), None)
        if row is None:
            raise ArgumentError(_nothing_applies(problem))
        return row, replace(problem, solver=row.settings())
    problem = replace(problem, solver=settings)
    rows = [row for row in _reading(settings) if row.applies(problem) and row.admits(settings)]
    if not rows:
        able = sorted({row.settings.__name__ for row in METHODS if row.applies(problem)})
        raise ArgumentError(
            f"{verb}(solver={told(settings)}): does not apply to this model and data; these do: {', '.join(able) or 'none'}"
        )
    return next((row for row in rows if row.takes(problem)), rows[0]), problem


def _reading(settings: Solver) -> list[Method]:
    """The methods for these settings, or for the nearest parent of their class that has some."""
    for cls in type(settings).__mro__:
        rows = [row for row in METHODS if row.settings is cls]
        if rows:
            return rows
    return []


def applicable(problem: Problem) -> list[Method]:
    """The methods that ``solver="auto"`` would take for a problem, in order of preference."""
    return [row for row in METHODS if row.takes(problem)]


def _nothing_applies(problem: Problem) -> str:
    what = [f"objective={problem.objective!r}"] if not is_nll(problem.objective) else []
    what += [f"{name}={value!r}" for name in ("regulariser", "prior") if (value := getattr(problem, name)) is not None]
    return (
        f"no solver for this {type(problem.model).__name__} with {', '.join(what) or 'these rules'}; leave it out "
        "(networks take an.Adam(weight_decay=) instead of a prior=), or add one by annosim.learning.problem.register"
    )


def projection_for(problem: Problem, solver: Solver | str = "auto") -> tuple[Method, Problem]:
    """The declared population optimum of an objective other than NLL, and the problem with its settings.

    Raises:
        NoProjectionError: there is none.
        ArgumentError: settings of another solver.
    """
    settings = solver_named("project", solver)
    for row in PROJECTIONS:
        if row.applies(problem):
            if settings is not None and not isinstance(settings, row.settings):
                raise ArgumentError(
                    f"project(solver={told(settings)}): this objective takes an.{row.settings.__name__}"
                )
            return row, replace(problem, solver=settings or row.settings())
    raise NoProjectionError(
        f"objective {type(problem.objective).__name__} has no declared population optimum for "
        f"{type(problem.model).__name__} on {problem.design.feedback.kind} of {problem.design.menu_size}; "  # type: ignore[union-attr]
        "project with NLL, or fit on simulated data"
    )
