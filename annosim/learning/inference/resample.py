"""Refits on reweighted annotators: the bootstrap as multinomial weights on counts, without copying any row."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse

from annosim.compiled import threads
from annosim.coordinates import best_naming, renamed
from annosim.coordinates.normalisation import canonical
from annosim.errors import NotIdentifiedError
from annosim.learning.existence.separation import differences, judge_linear
from annosim.learning.existence.tables import connectivity
from annosim.learning.likelihoods import simulated
from annosim.learning.likelihoods.latent_classes import distinct_orders, mixture_applies, prepared_panel
from annosim.learning.likelihoods.luce import STAGED, leaf_values, solve_linear, solve_tabular
from annosim.learning.likelihoods.matrix_free import LargePanel, has_large_form
from annosim.learning.likelihoods.single_choices import climb_from
from annosim.learning.likelihoods.statistics import DENSE_ITEMS, orders_from_data
from annosim.learning.priors import penalty_for
from annosim.learning.problem import is_nll
from annosim.learning.solvers.large_climb import climb
from annosim.learning.solvers.stacked import newton_tables
from annosim.learning.structure import luce_leaf
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
    """Parameter vectors of the refits, in the gauge, ``(replicates, P)``; NaN where the estimate does not exist.

    Replicates differ in the weights of annotators alone: one sparse product gives every replicate's counts of distinct
    answers, and compiled Newton steps from the estimate do the rest, replicates shared among the cores. Models without
    such counts are fitted again one by one.
    """
    data = fit.problem.data
    ids, first, block = np.unique(np.asarray(data.annotator_ids), return_index=True, return_inverse=True)
    weight, share = np.asarray(data.annotator_weight)[ids], np.ones(data.rows)
    if "voter" in data.columns and data.settings.get("ties") == "half":  # half wins split people: join them again
        person = np.unique(np.asarray(data.columns["voter"]), return_inverse=True)[1].reshape(-1)
        owner = np.zeros(len(ids), dtype=np.int64)
        owner[block] = person
        whole = np.bincount(owner, weight)
        block, share, weight = person, (weight / whole[owner])[block], whole
    drawn = multinomial_weights(weight, replicates, seed)
    again = _prepared(fit, data, block, share, drawn, first)
    if again is None:
        return torch.stack([_one(fit, data, block, share, weights) for weights in drawn])
    if isinstance(again, torch.Tensor):
        return again
    out: list[Any] = [None] * replicates

    def task(r: int) -> None:
        out[r] = again(r)

    threads.run(task, range(replicates), threads.count(None))
    empty = torch.full((fit.population.num_free(),), torch.nan, dtype=torch.float64)
    return torch.stack([empty if one is None else _in_gauge(fit, one) for one in out])


def _prepared(fit: Fit, data: Any, block: np.ndarray, share: np.ndarray, drawn: np.ndarray, first: np.ndarray) -> Any:
    """A function of the replicate that gives named parameters (``None``: no estimate), all of them, or ``None``."""
    if not is_nll(fit.problem.objective) or fit.problem.regulariser is not None or data.feedback.kind not in STAGED:
        return None
    leaf, prior = luce_leaf(fit.population, data.items), fit.problem.prior
    if leaf is None:
        weights = drawn[:, block[first]] * share[first]
        return simulated.refit(fit, weights) if "mirrored" in fit.extra else _mixture(fit, weights)
    pairs = data.feedback.kind == "choice" and data.menu_size == 2 and not (np.asarray(data.menu) < 0).any()
    if leaf.kind == "tabular" and not leaf.density and pairs and prior is None and data.items.n <= 512:
        return _tables(fit, data, block, share, drawn, leaf)
    if leaf.kind == "known" or data.items.n > DENSE_ITEMS:
        return None
    return _orders(fit, data, block, share, drawn, leaf)


def _in_gauge(fit: Fit, values: dict[str, torch.Tensor]) -> torch.Tensor:
    population = fit.population.with_parameters(values)
    if isinstance(population, Mixture):
        population = renamed(population, best_naming(population, fit.population, fit.problem.items))
    with torch.no_grad():
        return canonical(population, fit.problem.items).detach()


def _orders(fit: Fit, data: Any, block: np.ndarray, share: np.ndarray, drawn: np.ndarray, leaf: Any) -> Any:
    """One table or linear utility on any menus: every replicate's weights of the distinct orders at once."""
    orders, code = distinct_orders(orders_from_data(data, np.ones(data.rows)))
    counts = sparse.csr_matrix((share, (block, code)), shape=(drawn.shape[1], len(orders.order)))
    weights = (counts.T @ drawn.T).T  # (replicates, C)
    items, tolerance, limit = data.items, fit.problem.tolerance, fit.problem.max_iterations
    if leaf.kind == "tabular":
        penalty, start = penalty_for(fit.problem.prior, "tabular", items.n, items), leaf.index_of(items)

        def table(r: int) -> dict[str, torch.Tensor] | None:
            stats = orders.reweighted(weights[r])
            if penalty is None and not connectivity(stats.graph(), items, stats.involved > 0).exists:
                return None
            found = solve_tabular(stats, items, penalty, start, tolerance, limit)
            return leaf_values(leaf, found.point, items) if found.converged else None

        return table
    matrix = leaf.design_matrix(items)
    penalty = penalty_for(fit.problem.prior, "linear", matrix.shape[1], items)
    name = "utility.energy.weights" if leaf.density else "utility.weights"
    start = fit.population.vector().numpy()
    null = judge_linear(differences(orders, matrix), matrix, items, penalty)[1]

    def linear(r: int) -> dict[str, torch.Tensor] | None:
        part = orders.reweighted(weights[r])
        found = solve_linear(part, matrix, leaf.g, penalty, null, start, tolerance, limit)
        # a zero gradient on a well conditioned information proves the maximum (Kantorovich): else ask the program
        if not found.converged or (penalty is None and not found.condition < 1e6):
            try:
                judge_linear(differences(part, matrix), matrix, items, penalty)
            except NotIdentifiedError:
                return None
        return {name: torch.as_tensor(found.point)} if found.converged else None

    return linear


def _mixture(fit: Fit, weights: np.ndarray) -> Any:
    """Latent classes: the same panel under other weights of annotators, from the estimate on."""
    problem, population = replace(fit.problem, model=fit.population, starts=1), fit.population
    if mixture_applies(problem):
        panel = prepared_panel(problem)
        theta = panel.theta(population, problem.items)  # type: ignore[arg-type]

        def small(r: int) -> dict[str, torch.Tensor] | None:
            part = panel.reweighted(weights[r])
            found = climb_from(part, theta, problem.tolerance, problem.max_iterations, warm=0)
            return part.values(found[0], problem.items) if found[4] == 1 else None

        return small
    if has_large_form(fit.population, problem.data):
        large = LargePanel(fit.population, problem.data, problem.prior)  # type: ignore[arg-type]
        x = large.start(fit.population)  # type: ignore[arg-type]

        def big(r: int) -> dict[str, torch.Tensor] | None:
            part = large.reweighted(weights[r])
            found = climb(part, x, problem.tolerance, problem.max_iterations, warm=0)
            return part.values(found.state.x) if found.status == "gradient" else None

        return big
    return None


def _tables(fit: Fit, data: Any, block: np.ndarray, share: np.ndarray, drawn: np.ndarray, leaf: Any) -> torch.Tensor:
    n = data.items.n
    menu = np.asarray(data.menu).astype(np.int64)
    won = np.asarray(data.answer).reshape(data.rows, -1)[:, 0]
    rows = np.arange(data.rows)
    code, column = np.unique(menu[rows, won] * n + menu[rows, 1 - won], return_inverse=True)
    counts = sparse.csr_matrix((share, (block, column.reshape(-1))))
    out = np.empty((len(drawn), n))
    step = max(1, (1 << 23) // (n * n))
    start = leaf.index_of(data.items)
    for i in range(0, len(drawn), step):
        part = drawn[i : i + step]
        wins = np.zeros((len(part), n * n))
        wins[:, code] = (counts.T @ part.T).T
        s, _, _, _ = newton_tables(wins.reshape(-1, n, n), data.items.prompts.numpy(), start)
        for r, one in enumerate(s):
            out[i + r] = leaf.utility_from_index(one, data.items) if np.isfinite(one).all() else np.nan
    return torch.as_tensor(out)


def _one(fit: Fit, data: Any, block: np.ndarray, share: np.ndarray, weights: np.ndarray) -> torch.Tensor:
    from annosim.learning.problem import choose

    keep = weights[block] > 0
    part = data.take(np.flatnonzero(keep)).with_(weight=(weights[block] * share)[keep])
    problem = replace(fit.problem, model=fit.population, _data=part, starts=1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            method, problem = choose(problem, problem.solver)
            solution = method.solve(problem)
    except NotIdentifiedError:
        return torch.full((fit.population.num_free(),), torch.nan, dtype=torch.float64)
    if not solution.converged:
        return torch.full((fit.population.num_free(),), torch.nan, dtype=torch.float64)
    return _in_gauge(fit, solution.population.free_parameters())
