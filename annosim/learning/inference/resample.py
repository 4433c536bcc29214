"""Refits on reweighted annotators: the bootstrap as multinomial weights on counts, without copying any row."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from annosim.compiled import threads
from annosim.coordinates import best_naming, renamed
from annosim.coordinates.normalisation import canonical, turned_to
from annosim.errors import ArgumentError, NotIdentifiedError
from annosim.execution.current import engine
from annosim.execution.executor import ThisProcess, Threads
from annosim.execution.tasks import run_tasks
from annosim.learning.likelihoods.luce import LuceTable
from annosim.learning.problem import choose, is_nll
from annosim.learning.solvers.stacked import maximise_tables
from annosim.populations.mixture import Mixture
from annosim.random import CounterRNG, child_seed, uniform53

if TYPE_CHECKING:
    from annosim.learning.result import Fit

__all__ = ["multinomial_weights", "refits"]

#: draws of annotators that are made in one array
DRAWS_AT_ONCE = 1 << 15
#: people above which counts are drawn as such, and not person by person; and the most that a replicate can draw
MANY_PEOPLE, MOST_PEOPLE = 1 << 24, 1 << 62


def multinomial_weights(weight: np.ndarray, replicates: int | Sequence[int], seed: int) -> np.ndarray:
    """How often each annotator is drawn, ``(replicates, B)``; each row sums to (the rounded) ``sum weight``.

    With weights that count annotators, as many annotators are drawn as there are, each with probability proportional to
    its weight. Row r depends on the seed and r alone. The cost is that of the people up to :data:`MANY_PEOPLE`, and of
    the annotators above.

    Raises:
        ArgumentError: weights that sum to more than :data:`MOST_PEOPLE`.

    Example:
        >>> multinomial_weights(np.array([3e9, 1e9]), 1, seed=0).sum()
        np.float64(4000000000.0)
    """
    numbers = np.arange(replicates) if isinstance(replicates, int) else np.asarray(replicates, dtype=np.int64)
    people, total = len(weight), int(round(float(weight.sum())))
    if total > MANY_PEOPLE:
        return _drawn_counts(weight, total, numbers, seed)
    cdf = np.cumsum(weight) / weight.sum()
    out = np.empty((len(numbers), people))
    step = max(DRAWS_AT_ONCE // max(total, 1), 1)
    for i in range(0, len(numbers), step):
        some = numbers[i : i + step]
        at = np.searchsorted(cdf, _draws(seed, total, some), side="right").clip(max=people - 1)
        code = np.arange(len(some))[:, None] * people + at
        out[i : i + step] = np.bincount(code.ravel(), minlength=len(some) * people).reshape(len(some), people)
    return out


def _drawn_counts(weight: np.ndarray, total: int, numbers: np.ndarray, seed: int) -> np.ndarray:
    if total > MOST_PEOPLE:
        raise ArgumentError(
            f"a bootstrap of weights that sum to {total:.3g}: at most {MOST_PEOPLE:.3g} people; divide the weights"
        )
    share = weight / weight.sum()
    return np.array(
        [
            np.random.Generator(np.random.Philox(child_seed(seed, f"bootstrap/{number}"))).multinomial(total, share)
            for number in numbers.tolist()
        ],
        dtype=float,
    )


def _draws(seed: int, total: int, replicates: np.ndarray) -> np.ndarray:
    """Uniforms ``(replicates, total)``; of one replicate by runs of words, which many draws need and few do not."""
    if len(replicates) == 1:
        return CounterRNG(seed, np.arange(total), replicates[0]).uniform53("bootstrap", 1).T
    return uniform53(seed, "bootstrap", np.arange(total), 0, replicates[:, None])


def refits(fit: Fit, replicates: int, seed: int) -> torch.Tensor:
    """Parameter vectors of the refits, normalised, ``(replicates, P)``; NaN where the estimate does not exist.

    Replicates differ in the weights of annotators alone: the likelihood is made once (on a cluster, once on each
    worker), and each refit maximises it from the estimate on under other weights, shared among the cores.
    """
    work = _Refits(fit, seed)
    step = work.together
    tasks = [range(i, min(i + step, replicates)) for i in range(0, replicates, step)]
    with engine(lambda: Threads(threads.count(None)) if work.in_threads else ThisProcess()) as executor:
        return torch.as_tensor(np.concatenate(run_tasks(_Refits.run, work, tasks, executor)))


class _Refits:
    """What all refits share.

    Args:
        fit: whose.
        seed: of the draws of annotators.
    """

    def __init__(self, fit: Fit, seed: int):
        self.fit, self.seed = fit, seed

    def __getstate__(self) -> dict[str, Any]:
        return {"fit": self.fit, "seed": self.seed}

    @cached_property
    def _kind(self) -> str:
        problem = self.fit.problem
        if not is_nll(problem.objective) or problem.regulariser is not None:
            return "another objective"
        table = self.fit.likelihood
        plain = isinstance(table, LuceTable) and table.penalty is None and table.has_win_counts
        return "tables" if plain else "likelihood"

    @property
    def in_threads(self) -> bool:
        """Compiled code that several threads may run at a time."""
        return self._kind == "likelihood"

    @property
    def together(self) -> int:
        """How many replicates one task has: tables of wins of a few items are one array program."""
        return max(1, (1 << 23) // self.fit.problem.items.n**2) if self._kind == "tables" else 1

    def run(self, replicates: Sequence[int]) -> np.ndarray:
        """Vectors of some replicates, ``(len, P)``."""
        weights = self._weights(replicates)
        if self._kind == "another objective":
            return np.stack([_by_solver(self.fit, one).numpy() for one in weights])
        if self._kind == "tables":
            return _stacked(self.fit, weights)
        return np.stack([_refit(self.fit, one).numpy() for one in weights])

    @cached_property
    def _people(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Weights of the annotators, ``(B,)``, and the voter each belongs to where half wins split them."""
        data = self.fit.problem.data
        ids, first = np.unique(np.asarray(data.annotator_ids), return_index=True)
        weight = np.asarray(data.annotator_weight)[ids]
        if "voter" not in data.columns or data.settings.get("ties") != "half":
            return weight, None
        return weight, np.unique(np.asarray(data.columns["voter"]), return_inverse=True)[1].reshape(-1)[first]

    def _weights(self, replicates: Sequence[int]) -> np.ndarray:
        """Weights of the annotators, ``(len, B)``; whole voters are drawn where half wins split them."""
        weight, owner = self._people
        if owner is None:
            return multinomial_weights(weight, replicates, self.seed)
        whole = np.bincount(owner, weight)
        return multinomial_weights(whole, replicates, self.seed)[:, owner] * (weight / whole[owner])


def _refit(fit: Fit, weights: np.ndarray) -> torch.Tensor:
    likelihood, problem = fit.likelihood, fit.problem
    part = likelihood.reweighted(weights)
    start = likelihood.start(fit.population)
    best = part.ascend(start, problem.tolerance, problem.max_iterations, em_iterations=0)
    return _normalised(fit, part.values(best.point)) if part.exists(best) else _missing(fit)


def _missing(fit: Fit) -> torch.Tensor:
    return torch.full((fit.population.num_free(),), torch.nan, dtype=torch.float64)


def _normalised(fit: Fit, values: dict[str, torch.Tensor]) -> torch.Tensor:
    population = fit.population.with_parameters(values)
    if isinstance(population, Mixture):
        population = renamed(population, best_naming(population, fit.population, fit.problem.items))
    with torch.no_grad():
        return canonical(turned_to(population, fit.population), fit.problem.items).detach()


def _stacked(fit: Fit, weights: np.ndarray) -> np.ndarray:
    """Tables of wins of a few items, all replicates as one array program."""
    table: Any = fit.likelihood
    out = np.full((len(weights), fit.population.num_free()), np.nan)
    start, prompts = table.start(fit.population), table.items.prompts.numpy()
    s = maximise_tables(table.win_counts(weights), prompts, start, fit.problem.tolerance, fit.problem.max_iterations)[0]
    for r in np.flatnonzero(np.isfinite(s).all(1)):
        out[r] = next(iter(table.values(s[r]).values())).numpy()  # a table is the only free parameter
    return out


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
