"""Refits on reweighted annotators: the bootstrap as multinomial weights on counts, without copying any row."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from annosim.compiled import threads
from annosim.coordinates import best_naming, renamed
from annosim.coordinates.normalisation import canonical
from annosim.data.preferences import PreferenceData
from annosim.errors import NotIdentifiedError
from annosim.learning.likelihoods.luce import LuceTable
from annosim.learning.problem import choose, is_nll
from annosim.learning.solvers.maximise import maximise
from annosim.learning.solvers.stacked import maximise_tables
from annosim.populations.mixture import Mixture
from annosim.random import CounterRNG

if TYPE_CHECKING:
    from annosim.learning.result import Fit

__all__ = ["multinomial_weights", "refits"]


def multinomial_weights(weight: np.ndarray, replicates: int, seed: int) -> np.ndarray:
    """How often each annotator is drawn, ``(replicates, B)``; each row sums to (the rounded) ``sum weight``.

    With weights that count annotators, as many annotators are drawn as there are, each with probability proportional to
    its weight.
    """
    total = int(round(float(weight.sum())))
    cdf = np.cumsum(weight) / weight.sum()
    out = np.empty((replicates, len(weight)))
    for r in range(replicates):
        draws = CounterRNG(seed, np.arange(total), r).uniform53("bootstrap", 1)[:, 0]
        out[r] = np.bincount(np.searchsorted(cdf, draws, side="right").clip(max=len(weight) - 1), minlength=len(weight))
    return out


def refits(fit: Fit, replicates: int, seed: int) -> torch.Tensor:
    """Parameter vectors of the refits, normalised, ``(replicates, P)``; NaN where the estimate does not exist.

    Replicates differ in the weights of annotators alone: the likelihood is made once, and each refit maximises it from
    the estimate on under other weights, replicates shared among the cores.
    """
    weights = _annotator_weights(fit.problem.data, replicates, seed)
    if not is_nll(fit.problem.objective) or fit.problem.regulariser is not None:
        return torch.stack([_by_solver(fit, one) for one in weights])
    likelihood, found = fit.likelihood, _stacked(fit, weights)
    if found is not None:
        return found
    problem, start = fit.problem, likelihood.start(fit.population)
    out: list[Any] = [None] * replicates

    def task(r: int) -> None:
        part = likelihood.reweighted(weights[r])
        best = maximise(part, start, problem.tolerance, problem.max_iterations, em_iterations=0)
        out[r] = part.values(best.point) if part.exists(best) else None

    threads.run(task, range(replicates), threads.count(None))
    return torch.stack([_missing(fit) if one is None else _normalised(fit, one) for one in out])


def _annotator_weights(data: PreferenceData, replicates: int, seed: int) -> np.ndarray:
    """Weights of the annotators in every replicate, ``(replicates, B)``; whole voters are drawn where half wins split
    them."""
    ids, first, block = np.unique(np.asarray(data.annotator_ids), return_index=True, return_inverse=True)
    weight = np.asarray(data.annotator_weight)[ids]
    if "voter" not in data.columns or data.settings.get("ties") != "half":
        return multinomial_weights(weight, replicates, seed)
    owner = np.unique(np.asarray(data.columns["voter"]), return_inverse=True)[1].reshape(-1)[first]
    whole = np.bincount(owner, weight)
    return multinomial_weights(whole, replicates, seed)[:, owner] * (weight / whole[owner])


def _missing(fit: Fit) -> torch.Tensor:
    return torch.full((fit.population.num_free(),), torch.nan, dtype=torch.float64)


def _normalised(fit: Fit, values: dict[str, torch.Tensor]) -> torch.Tensor:
    population = fit.population.with_parameters(values)
    if isinstance(population, Mixture):
        population = renamed(population, best_naming(population, fit.population, fit.problem.items))
    with torch.no_grad():
        return canonical(population, fit.problem.items).detach()


def _stacked(fit: Fit, weights: np.ndarray) -> torch.Tensor | None:
    """Tables of wins of a few items, all replicates as one array program; ``None`` for anything else."""
    table = fit.likelihood
    if not isinstance(table, LuceTable) or table.penalty is not None or not table.has_win_counts:
        return None
    n, out = table.items.n, np.full((len(weights), fit.population.num_free()), np.nan)
    step, start = max(1, (1 << 23) // (n * n)), table.start(fit.population)
    for i in range(0, len(weights), step):
        wins = table.win_counts(weights[i : i + step])
        s = maximise_tables(wins, table.items.prompts.numpy(), start, fit.problem.tolerance)[0]
        for r in np.flatnonzero(np.isfinite(s).all(1)):
            out[i + r] = next(iter(table.values(s[r]).values())).numpy()  # a table is the only free parameter
    return torch.as_tensor(out)


def _by_solver(fit: Fit, weights: np.ndarray) -> torch.Tensor:
    """Another objective: fitted again by the same solver, without the annotators that were not drawn."""
    data = fit.problem.data
    rows = weights[np.unique(np.asarray(data.annotator_ids), return_inverse=True)[1].reshape(-1)]
    part = data.take(np.flatnonzero(rows > 0)).with_(weight=rows[rows > 0])
    problem = replace(fit.problem, model=fit.population, _data=part, starts=1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            method, problem = choose(problem, problem.solver)
            solution = method.solve(problem)
    except NotIdentifiedError:
        return _missing(fit)
    return _normalised(fit, solution.population.free_parameters()) if solution.converged else _missing(fit)
