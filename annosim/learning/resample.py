"""Refits on reweighted annotators: the bootstrap as multinomial weights on counts, without copying any row."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse

from annosim.errors import NotIdentifiedError
from annosim.learning.gauge import best_order, canonical
from annosim.learning.structure import luce_leaf
from annosim.learning.tables import newton_tables
from annosim.populations import Mixture
from annosim.random import Address

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
        draws = Address(seed, np.arange(total), r).uniform53("bootstrap", 1)[:, 0]
        out[r] = np.bincount(np.searchsorted(cdf, draws, side="right").clip(max=len(weight) - 1), minlength=len(weight))
    return out


def refits(fit: Fit, replicates: int, seed: int) -> torch.Tensor:
    """Parameter vectors of the refits, in the gauge, ``(replicates, P)``; NaN where the estimate does not exist."""
    data = fit.problem.data
    ids, block = np.unique(np.asarray(data.annotator_ids), return_inverse=True)
    weight, share = np.asarray(data.annotator_weight)[ids], np.ones(data.rows)
    if "voter" in data.columns and data.settings.get("ties") == "half":  # half wins split people: join them again
        person = np.unique(np.asarray(data.columns["voter"]), return_inverse=True)[1].reshape(-1)
        owner = np.zeros(len(ids), dtype=np.int64)
        owner[block] = person
        whole = np.bincount(owner, weight)
        block, share, weight = person, (weight / whole[owner])[block], whole
    drawn = multinomial_weights(weight, replicates, seed)
    leaf = luce_leaf(fit.population, data.items)
    pairs = data.feedback.kind == "choice" and data.menu_size == 2 and not (np.asarray(data.menu) < 0).any()
    if leaf is not None and leaf.kind == "tabular" and not leaf.density and pairs and fit.problem.prior is None:
        return _tables(fit, data, block, share, drawn, leaf)
    return torch.stack([_one(fit, data, block, share, weights) for weights in drawn])


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
            solution = choose(problem, fit.solver).solve(problem)
    except NotIdentifiedError:
        return torch.full((fit.population.num_free(),), torch.nan, dtype=torch.float64)
    population = solution.population
    if isinstance(population, Mixture):
        population = population.relabelled(best_order(population, fit.population, data.items))
    with torch.no_grad():
        return canonical(population, data.items).detach()
