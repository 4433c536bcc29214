"""Latent-class mixtures of large tables: likelihood, gradient, and products with the information, never formed.

Coordinates are the types' indices ``s (K, n)`` themselves, each prompt a gauge, and the log-ratios of the shares. A
product with the observed information (Louis 1982: that of the complete data less the spread of the scores under the
types) costs one pass over the distinct orders and the rows, so memory and time stay linear in the answers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy import sparse

from annosim.coordinates import centred
from annosim.items import Items
from annosim.learning.likelihoods.kernels import sparse as kernels
from annosim.learning.likelihoods.kernels.mixture import respond
from annosim.learning.likelihoods.latent_classes import coded
from annosim.learning.likelihoods.luce import STAGED, leaf_values
from annosim.learning.priors import penalty_for, share_counts
from annosim.learning.structure import luce_mixture
from annosim.populations.mixture import Mixture

__all__ = ["LargePanel", "State", "has_large_form", "information_of", "scores_of"]


class LargePanel:
    """A mixture of tables and its data, as a function of the coordinates ``x = (s of the free tables, log-ratios)``.

    Args:
        model: a mixture of Luce types, each a table or known.
        data: choices, rankings or top-l answers.
        prior: on tables and shares, or ``None``.

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (1.0, -1.0)])
        >>> data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 2, [0, 0])
        >>> panel = LargePanel(two, data)
        >>> round(panel.at(panel.start(two)).value, 6)  # two answers of probability 1/2
        -1.386294
    """

    def __init__(self, model: Mixture, data: Any, prior: Any = None):
        self.items: Items = data.items
        self.leaves = luce_mixture(model, self.items) or []
        self.orders, self.code, self.first, self.weight = coded(data)
        self.types, self.n = len(self.leaves), self.items.n
        self.free = [t for t, leaf in enumerate(self.leaves) if leaf.kind == "tabular"]
        self.base = len(self.free) * self.n
        self.weights_free = bool(model.weights.requires_grad) and self.types > 1
        self.total = float(self.weight.sum())
        share = model.weights.detach().double().numpy()
        self.fixed_share = share / share.sum()
        self.known = {t: leaf.index_of(self.items) for t, leaf in enumerate(self.leaves) if leaf.kind == "known"}
        self.penalty = penalty_for(prior, "tabular", self.n, self.items) if self.free else None
        self.counts = float(getattr(prior, "counts", 0.0)) if self.weights_free else 0.0
        self.scale = self._scale()

    def _scale(self) -> np.ndarray:
        involved = np.tile(np.maximum(self.orders.involved, 1e-300), len(self.free))
        return np.r_[involved, np.full(self.types - 1, self.total)] if self.weights_free else involved

    def reweighted(self, weight: np.ndarray) -> LargePanel:
        """The same panel under other weights of its blocks ``(B,)``."""
        other = copy.copy(self)
        other.weight, other.total = np.ascontiguousarray(weight, dtype=np.float64), float(weight.sum())
        heavy = np.bincount(self.code, np.repeat(other.weight, np.diff(self.first)), len(self.orders.order))
        other.orders = self.orders.reweighted(heavy)
        other.scale = other._scale()
        return other

    def start(self, model: Mixture) -> np.ndarray:
        """The model's present parameters in these coordinates."""
        leaves = luce_mixture(model, self.items) or []
        index = [centred(torch.as_tensor(leaves[t].index_of(self.items)), self.items).numpy() for t in self.free]
        share = np.maximum(model.weights.detach().double().numpy(), 1e-6)
        ratio = np.log(share[:-1] / share[-1]) if self.weights_free else np.zeros(0)
        return np.concatenate([*index, ratio])

    def index(self, x: np.ndarray) -> np.ndarray:
        """Index of every type, ``(K, n)``."""
        own = iter(x[: self.base].reshape(-1, self.n))
        return np.stack([self.known[t] if t in self.known else next(own) for t in range(self.types)])

    def log_share(self, x: np.ndarray) -> np.ndarray:
        """Logs of the shares, ``(K,)``."""
        if not self.weights_free:
            return np.log(self.fixed_share)
        ratio = np.r_[x[self.base :], 0.0]
        return ratio - np.logaddexp.reduce(ratio)

    def at(self, x: np.ndarray) -> State:
        """The likelihood at a point."""
        return State(self, x)

    def values(self, x: np.ndarray) -> dict[str, torch.Tensor]:
        """Named free parameters of the model."""
        out: dict[str, torch.Tensor] = {}
        for s, t in zip(x[: self.base].reshape(-1, self.n), self.free, strict=True):
            out |= leaf_values(self.leaves[t], s, self.items, f"types.{t}.")
        if self.weights_free:
            out["weights"] = torch.as_tensor(np.exp(self.log_share(x)))
        return out


class State:
    """Value, gradient and curvature of a large mixture's log-likelihood (and prior) at one point.

    Attributes:
        x: ``(P,)``.
        value: of log-likelihood and prior; ``log_prior`` is the prior's part.
        gradient: ``(P,)``.
        worst: largest scaled entry of the gradient.
    """

    def __init__(self, panel: LargePanel, x: np.ndarray):
        self.panel, self.x, orders = panel, x, panel.orders
        self.s = panel.index(x)
        codes, k = orders.order.shape
        self.log_share = panel.log_share(x)
        log_f = np.empty((panel.types, codes))
        self.coefficient = np.empty((panel.types, codes, k))
        for t in range(panel.types):
            kernels.order_scores(self.s[t], orders.order, orders.depth, orders.length, log_f[t], self.coefficient[t])
        self.r = np.empty((len(panel.weight), panel.types))
        blocks = respond(np.ascontiguousarray(log_f.T), self.log_share, panel.code, panel.first, self.r)
        held = panel.weight[:, None] * self.r
        rows = np.repeat(np.arange(len(panel.weight)), np.diff(panel.first))
        self.load = np.stack([np.bincount(panel.code, held[rows, t], codes) for t in range(panel.types)])
        self.mass = held.sum(0)
        parts = []
        self.log_prior = 0.0
        for t in panel.free:
            slope = np.zeros(panel.n)
            kernels.gather(self.coefficient[t], orders.order, orders.length, self.load[t], slope)
            if panel.penalty is not None:
                v, g = panel.penalty.value_gradient(self.s[t])
                self.log_prior, slope = self.log_prior + v, slope + g
            parts.append(slope)
        if panel.weights_free:
            slope = (self.mass - panel.total * np.exp(self.log_share))[:-1]
            if panel.counts:
                v, g, _ = share_counts(x[panel.base :], panel.counts)
                self.log_prior, slope = self.log_prior + v, slope + g
            parts.append(slope)
        self.value = float(panel.weight @ blocks) + self.log_prior
        self.gradient = np.concatenate(parts)
        self.worst = float(np.max(np.abs(self.gradient) / panel.scale, initial=0.0))

    @cached_property
    def diagonal(self) -> np.ndarray:
        """Diagonal of the complete data's information on the tables, ``(K_free, n)``: the preconditioner."""
        panel, orders, out = self.panel, self.panel.orders, []
        for t in panel.free:
            d = np.zeros(panel.n)
            kernels.stage_curvature(self.s[t], orders.order, orders.depth, orders.length, self.load[t], d)
            out.append(d if panel.penalty is None else d + panel.penalty.diagonal(self.s[t]))
        d = np.array(out).reshape(-1, panel.n)
        return np.maximum(d, 1e-12 * d.max(initial=1e-300))

    @cached_property
    def _priors(self) -> list[Callable[[np.ndarray], np.ndarray]]:
        penalty = self.panel.penalty
        return [(lambda v: 0.0 * v) if penalty is None else penalty.curvature(self.s[t]) for t in self.panel.free]

    def complete(self, number: int, v: np.ndarray) -> np.ndarray:
        """The complete data's information on the ``number``-th free table, times ``v (n,)``."""
        t, orders = self.panel.free[number], self.panel.orders
        out = self._priors[number](v)
        kernels.stage_product(self.s[t], orders.order, orders.depth, orders.length, self.load[t], v, out)
        return out

    def product(self, v: np.ndarray) -> np.ndarray:
        """The observed information times ``v (P,)``."""
        panel, orders = self.panel, self.panel.orders
        tables, out = v[: panel.base].reshape(-1, panel.n), []
        share = np.exp(self.log_share)
        shift = np.zeros(panel.types)
        if panel.weights_free:
            shift[:-1] = v[panel.base :]
        shift -= share @ shift
        y = np.zeros((panel.types, len(orders.order)))
        for number, t in enumerate(panel.free):
            kernels.dot(self.coefficient[t], orders.order, orders.length, tables[number], y[t])
        load, mass = np.zeros((len(orders.order), panel.types)), np.zeros(panel.types)
        kernels.responsibility_change(
            np.ascontiguousarray(y.T), shift, panel.code, panel.first, panel.weight, self.r, load, mass
        )
        for number, t in enumerate(panel.free):
            spread = np.zeros(panel.n)
            change = np.ascontiguousarray(load[:, t])
            kernels.gather(self.coefficient[t], orders.order, orders.length, change, spread)
            out.append(self.complete(number, tables[number]) - spread)
        if panel.weights_free:
            own = (panel.total * share * shift - mass)[:-1]
            if panel.counts:
                own = own + share_counts(self.x[panel.base :], panel.counts)[2] @ v[panel.base :]
            out.append(own)
        return np.concatenate(out)

    def information(self) -> np.ndarray:
        """The observed information ``(P, P)``, column by column."""
        return np.stack([self.product(e) for e in np.eye(len(self.x))], 1)

    def scores(self) -> sparse.csr_matrix:
        """Score of every block in these coordinates, ``(B, P)``, without the prior."""
        panel, orders = self.panel, self.panel.orders
        rows = np.repeat(np.arange(len(panel.weight)), np.diff(panel.first))
        place = orders.order[panel.code]
        keep = place >= 0
        at = np.repeat(rows, place.shape[1]).reshape(place.shape)[keep]
        parts = []
        for t in panel.free:
            value = (self.r[rows, t, None] * self.coefficient[t][panel.code])[keep]
            parts.append(sparse.csr_matrix((value, (at, place[keep])), shape=(len(panel.weight), panel.n)))
        if panel.weights_free:
            parts.append(sparse.csr_matrix((self.r - np.exp(self.log_share))[:, :-1]))
        return sparse.hstack(parts).tocsr()


def coordinates_jacobian(panel: LargePanel, population: Mixture) -> np.ndarray:
    """Jacobian of the coordinates in the free parameters at the population's own values, ``(P_x, P)``."""
    parts = [_index_jacobian(population.types[t], panel.items) for t in panel.free]
    if panel.weights_free:
        share = population.weights.detach().double().numpy()
        parts.append(np.c_[np.diag(1.0 / share[:-1]), np.full(panel.types - 1, -1.0 / share[-1])])
    names = list(population.free_parameters())
    own = [f"types.{t}." for t in panel.free] + ["weights"] * panel.weights_free
    place = {prefix: next(i for i, name in enumerate(names) if name.startswith(prefix)) for prefix in own}
    size = [value.numel() for value in population.free_parameters().values()]
    start = np.r_[0, np.cumsum(size)]
    out, row = np.zeros((sum(len(p) for p in parts), int(start[-1]))), 0
    for prefix, part in zip(own, parts, strict=True):
        at = int(start[place[prefix]])
        out[row : row + len(part), at : at + part.shape[1]] = part
        row += len(part)
    return out


def _index_jacobian(one: Any, items: Items) -> np.ndarray:
    return torch.func.jacfwd(lambda v: one.functional_call(v, lambda p: p.index(items)))(one.vector()).detach().numpy()


def information_of(population: Mixture, data: Any, prior: Any) -> np.ndarray:
    """Observed information (with the prior) in the free parameters at an optimum, ``(P, P)``."""
    panel = LargePanel(population, data, prior)
    jacobian = coordinates_jacobian(panel, population)
    return jacobian.T @ panel.at(panel.start(population)).information() @ jacobian


def scores_of(population: Mixture, data: Any) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the annotators in the free parameters ``(B, P)``, in the order of their numbers, and their weights."""
    panel = LargePanel(population, data)
    state = panel.at(panel.start(population))
    return np.asarray(state.scores() @ coordinates_jacobian(panel, population)), panel.weight


def has_large_form(population: Any, data: Any) -> bool:
    """Whether a population is a mixture of tables inside the simplex, on choices, rankings or top-l answers."""
    if not isinstance(population, Mixture) or data.feedback.kind not in STAGED:
        return False
    kinds = {leaf.kind for leaf in luce_mixture(population, data.items) or []}
    return "tabular" in kinds and kinds <= {"tabular", "known"} and float(population.weights.detach().min()) > 1e-6
