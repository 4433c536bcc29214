"""The verb ``fit``: inverts the law from finite data; and its dispatch to a solver by structure."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError
from annosim.learning.arguments import check_model, check_settings, models_of
from annosim.learning.existence.tables import require_annotators, single_answers
from annosim.learning.likelihoods.reference import check_answers
from annosim.learning.problem import Problem, Solution, choose, is_nll
from annosim.learning.result import Fit
from annosim.populations.base import Population
from annosim.results import versions
from annosim.simulation.draws import to_cpu

__all__ = ["fit"]

#: files that add rows to the table of solvers, in order of preference (missing ones are skipped)
_ROWS = (
    "likelihoods.luce",
    "likelihoods.latent_classes",
    "solvers.large_climb",
    "likelihoods.simulated",
    "likelihoods.autodiff",
    "training.adam_solver",
    "training.network_em",
    "solvers.convex",
    "solvers.slic",
    "likelihoods.pair_mixture",
)


def fit(
    model: Population | Sequence[Population],
    data: PreferenceData,
    objective: Any = None,
    regulariser: Any = None,
    prior: Any = None,
    solver: str = "auto",
    starts: int = 1,
    seed: int = 0,
    device: Any = None,
    *,
    tolerance: float = 1e-10,
    max_iterations: int = 1000,
    **options: Any,
) -> Fit:
    r"""Estimate the free parameters of ``model`` from ``data`` by maximum likelihood (or another objective).

    Maximises ``sum_b weight_b log P(block_b)`` over blocks of answers (one annotator's answers are one block). Before
    it fits a tabular or linear model it decides whether the estimate exists (Ford 1957; Albert and Anderson 1984).

    Args:
        model: a population; its free parameters are estimated, its present values are the first start. For data with R
            replicates also R populations that differ in their free numbers only: replicate r begins at the r-th.
        data: the answers.
        objective: ``None`` or ``an.objectives.NLL()`` for the likelihood; see :mod:`annosim.learning.objectives` for others.
        regulariser: added to the objective (``an.objectives.ForwardKL(...)``).
        prior: ``an.priors.Gaussian(sd)``, ``an.priors.Dirichlet(pseudo_counts)`` or ``an.priors.Ridge(penalty)``; never silent.
        solver: ``"auto"``, or a name (the result says which was chosen and why).
        starts: restarts on the same data; the best is kept, ``.starts`` has all log-likelihoods.
        seed: address of the restarts and of stochastic solvers.
        device: where networks are trained: ``"cpu"``, ``"cuda"``, ...; by default where they lie.
        tolerance: on the scaled gradient (never on the step).
        max_iterations: then the result says ``converged=False`` and warns.
        options: further keywords of one solver.

    Returns:
        A frozen :class:`~annosim.learning.result.Fit`; for data with replicates a
        :class:`~annosim.learning.batched.BatchedFit`, whose ``[r]`` is one.

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
        raise ArgumentError(f"fit(data={data!r}): give an.PreferenceData, or read a file with an.io.read_csv(...)")
    data = to_cpu(data)  # what simulate(device="cuda") drew; minibatches are put together on the CPU
    models = models_of("fit", model, data)
    model = models[0]
    check_settings("fit", objective, regulariser, prior, starts, seed, tolerance, max_iterations, device)
    check_model("fit", model, data.items, prior)
    load_solvers()
    if data.replicates is not None:
        from annosim.learning.batched import fit_replicates

        batch: Any = fit_replicates(
            models,
            data,
            objective=objective,
            regulariser=regulariser,
            prior=prior,
            solver=solver,
            starts=starts,
            seed=seed,
            device=device,
            tolerance=tolerance,
            max_iterations=max_iterations,
            **options,
        )
        return batch
    if is_nll(objective):
        check_answers(model, data)
        require_annotators(model, data, prior)
    problem = Problem(
        model,
        _without_truth(data),
        objective=objective,
        regulariser=regulariser,
        prior=prior,
        starts=int(starts),
        seed=seed,
        device=device,
        tolerance=tolerance,
        max_iterations=max_iterations,
        options=options,
    )
    row = choose(problem, solver)
    solution = row.solve(problem)
    if is_nll(objective) and prior is None:
        solution.notes += single_answers(model, data)
    result = finish(problem, row.name, solution)
    if data.truth:  # kept beside the result for compare; no solver sees it
        result.extra["truth"] = dict(data.truth)
    return result


def finish(problem: Problem, name: str, solution: Solution) -> Fit:
    """A frozen result from a solver's solution, with its settings; warns when it did not converge."""
    result = Fit.from_solution(problem, name, solution, settings=_settings(problem, name))
    if not result.converged and result.stopped_by not in ("schedule", "held out"):  # ends that were planned
        warnings.warn(
            f"fit did not converge: {name} stopped by {result.stopped_by} after {result.iterations} iterations at "
            f"gradient norm {result.gradient_norm:.2g}; raise max_iterations, try another solver=, or add a prior",
            stacklevel=3,
        )
    return result


def load_solvers() -> None:
    """Import the files that add rows to the table (once)."""
    for name in _ROWS:
        full = f"annosim.learning.{name}"
        if full not in sys.modules and importlib.util.find_spec(full) is not None:
            importlib.import_module(full)


def _without_truth(data: PreferenceData) -> PreferenceData:
    """``data.for_learner()`` without checking every row once more."""
    if not data.truth:
        return data
    other = copy.copy(data)
    object.__setattr__(other, "truth", {})
    return other


@lru_cache(maxsize=1)
def _versions() -> tuple[tuple[str, str], ...]:
    return tuple(versions().items())


def _settings(problem: Problem, name: str) -> dict[str, Any]:
    return {
        "solver": name,
        "objective": "NLL" if is_nll(problem.objective) else repr(problem.objective),
        "regulariser": None if problem.regulariser is None else repr(problem.regulariser),
        "prior": None if problem.prior is None else repr(problem.prior),
        "tolerance": problem.tolerance,
        "max_iterations": problem.max_iterations,
        "starts": problem.starts,
        "seed": problem.seed,
        **problem.options,
        "versions": dict(_versions()),
    }
