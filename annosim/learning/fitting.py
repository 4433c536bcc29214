"""The verb ``fit``: inverts the law from finite data."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeGuard, overload

import torch

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, told
from annosim.learning.arguments import check_model, check_settings, keywords_checked, models_of
from annosim.learning.batched import BatchedFit, solve_replicates
from annosim.learning.dispatch import solve
from annosim.learning.objectives import ForwardKL, Objective
from annosim.learning.priors import Prior
from annosim.learning.problem import METHODS, Problem
from annosim.learning.result import Fit
from annosim.learning.solvers.settings import Solver, SolverName
from annosim.populations.base import Population
from annosim.simulation.draws import to_cpu

if TYPE_CHECKING:  # pyarrow takes a while to import
    from annosim.io.shards import Shards

__all__ = ["fit", "fit_replicates", "solvers_for"]


@overload
def fit(
    model: Population,
    data: PreferenceData | Shards,
    objective: Objective | None = None,
    regulariser: ForwardKL | None = None,
    prior: Prior | None = None,
    solver: Solver | SolverName = "auto",
    starts: int = 1,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> Fit: ...
@overload
def fit(
    model: Sequence[Population],
    data: PreferenceData,
    objective: Objective | None = None,
    regulariser: ForwardKL | None = None,
    prior: Prior | None = None,
    solver: Solver | SolverName = "auto",
    starts: int = 1,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> BatchedFit: ...
@keywords_checked
def fit(
    model: Population | Sequence[Population],
    data: PreferenceData | Shards,
    objective: Objective | None = None,
    regulariser: ForwardKL | None = None,
    prior: Prior | None = None,
    solver: Solver | SolverName = "auto",
    starts: int = 1,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> Fit | BatchedFit:
    r"""Estimate the free parameters of ``model`` from ``data`` by maximum likelihood (or another objective).

    Maximises ``sum_b weight_b log P(block_b)`` over blocks of answers (one annotator's answers are one block). Before
    it fits a tabular or linear model it decides whether the estimate exists (Ford 1957; Albert and Anderson 1984).

    Args:
        model: a population; its free parameters are estimated, its present values are the first start. For data with R
            replicates also R populations that differ in their free numbers only: replicate r begins at the r-th.
        data: the answers; or ``an.io.open_shards(...)``, which need not fit in memory: they are reduced to counts where
            few answers are distinct, and otherwise read once for each evaluation (tables and linear utilities under
            Luce's rule, alone or as latent classes), on the workers of ``with an.cluster(...):`` where there is one.
        objective: ``None`` or ``an.objectives.NLL()`` for the likelihood; see :mod:`annosim.learning.objectives` for others.
        regulariser: added to the objective (``an.objectives.ForwardKL(...)``).
        prior: ``an.priors.Gaussian(sd)``, ``an.priors.Dirichlet(pseudo_counts)`` or ``an.priors.Ridge(penalty)``; never silent.
        solver: ``"auto"`` (the result says which was chosen and why), or settings: ``an.Newton(...)``, ``an.LBFGS(...)``,
            ``an.EM(...)``, ``an.Adam(...)``, ``an.learning.SimulatedLikelihood(...)``, or the word for one with its
            defaults, such as ``"em"``.
        starts: restarts on the same data; the best is kept, ``.starts`` has all log-likelihoods.
        seed: address of the restarts and of stochastic solvers.
        device: where networks are trained: ``"cpu"``, ``"cuda"``, ...; defaults to the model's device.

    Returns:
        A frozen :class:`~annosim.learning.result.Fit`; for data with replicates a
        :class:`~annosim.learning.batched.BatchedFit`, whose ``[r]`` is one. A type checker sees a ``BatchedFit`` where
        ``model`` is a sequence; for one model and replicates call :func:`annosim.learning.fit_replicates`.

    Raises:
        NotIdentifiedError: the estimate does not exist; items, components and remedies are named.
        NothingFreeError: no parameter is free.
        TiesError, AnswerKindError, DataError: the rule cannot give these answers.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(names=["tea", "coffee"]), menu=[[0, 1]] * 4, answer=[0, 0, 0, 1])
        >>> result = fit(an.Annotator(an.Tabular(2), an.Luce()), data)
        >>> [round(v, 4) for v in result.population.utility.values.tolist()]  # log 3 apart, centred
        [0.5493, -0.5493]
    """
    if not isinstance(data, PreferenceData):
        if _is_shards(data) and isinstance(model, Population):
            return _fit_shards(model, data, objective, regulariser, prior, solver, starts, seed, device)
        raise ArgumentError(f"fit(data={told(data)}): give an.PreferenceData; an.io.read reads a file, rows or a frame")
    data = to_cpu(data)  # what simulate(device="cuda") drew; minibatches are put together on the CPU
    models = models_of("fit", model, data)
    if data.annotator_names is not None:  # numbers per annotator are those of the people who answer here
        models = [one.for_annotators(data.annotator_names) for one in models]
    check_settings("fit", objective, regulariser, prior, starts, seed, device)
    check_model("fit", models[0], data.items, prior)
    problem = Problem(
        models[0],
        data,
        objective=objective,
        regulariser=regulariser,
        prior=prior,
        starts=int(starts),
        seed=seed,
        device=device,
    )
    if data.replicates is not None:
        return solve_replicates(problem, models, data, solver)
    return solve(problem, solver)


def _is_shards(data: object) -> TypeGuard[Shards]:
    """Without importing pyarrow: who has shards has done so."""
    module = sys.modules.get("annosim.io.shards")
    return module is not None and isinstance(data, module.Shards)


def _fit_shards(
    model: Population,
    shards: Shards,
    objective: Objective | None,
    regulariser: ForwardKL | None,
    prior: Prior | None,
    solver: Solver | SolverName,
    starts: int,
    seed: int,
    device: str | torch.device | None,
) -> Fit:
    from annosim.learning.sharded import solve_shards

    check_settings("fit", objective, regulariser, prior, starts, seed, device)
    check_model("fit", model, shards.items, prior)
    problem = Problem(
        model, objective=objective, regulariser=regulariser, prior=prior, starts=int(starts), seed=seed, device=device
    )
    return solve_shards(problem, shards, solver)


def fit_replicates(
    model: Population | Sequence[Population],
    data: PreferenceData,
    objective: Objective | None = None,
    regulariser: ForwardKL | None = None,
    prior: Prior | None = None,
    solver: Solver | SolverName = "auto",
    starts: int = 1,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> BatchedFit:
    """What :func:`fit` does with data that have replicates, typed so.

    Raises:
        ArgumentError: the data have no replicates.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
        >>> data = an.simulate(people, an.Design(an.Items(n=2), annotators=50), seed=0, replicates=3)
        >>> fit_replicates(people.like(seed=1), data).vectors.shape
        (3, 2)
    """
    if isinstance(data, PreferenceData) and data.replicates is None:
        raise ArgumentError("fit_replicates(data=): no replicates; an.fit takes one data set")
    found = fit(model, data, objective, regulariser, prior, solver, starts, seed, device)
    assert isinstance(found, BatchedFit)  # what replicates give
    return found


def solvers_for(
    model: Population,
    data: PreferenceData,
    objective: Objective | None = None,
    regulariser: ForwardKL | None = None,
    prior: Prior | None = None,
) -> list[type[Solver]]:
    """The settings that :func:`fit` can take for a model and data; the first is what ``solver="auto"`` takes.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=2), menu=[[0, 1]] * 3, answer=[0, 0, 1])
        >>> [one.__name__ for one in solvers_for(an.Annotator(an.Tabular(2), an.Luce()), data)]
        ['Newton', 'LBFGS']
    """
    problem = Problem(model, data, objective=objective, regulariser=regulariser, prior=prior)
    rows = sorted((row for row in METHODS if row.applies(problem)), key=lambda row: not row.takes(problem))
    return list(dict.fromkeys(row.settings for row in rows))
