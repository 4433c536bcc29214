"""Latent-class mixtures of Luce types: EM, then safeguarded Newton, from several starts."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from annosim.coordinates import by_weight
from annosim.errors import NotIdentifiedError
from annosim.items import Items
from annosim.learning import memory
from annosim.learning.existence.tables import connectivity, vanished
from annosim.learning.likelihoods.autodiff import starting_points
from annosim.learning.likelihoods.luce import STAGED, block_divergence
from annosim.learning.likelihoods.single_choices import Choices, climb_from
from annosim.learning.likelihoods.statistics import Orders, orders_from_data
from annosim.learning.priors import LogPrior, MixturePenalty
from annosim.learning.problem import Problem, Solution, is_nll, register
from annosim.learning.solvers.settings import EM, Newton
from annosim.learning.structure import LuceLeaf, luce_mixture
from annosim.populations.mixture import Mixture

__all__ = ["Panel", "coded", "judge_tables", "mixture_applies", "panel_of", "solve_mixture"]

#: largest number of free coordinates of one type for which the compiled Hessian is formed
LARGEST_TYPE = 60


@dataclass(eq=False)
class Panel:
    """A mixture's data and coordinates, ready for the compiled loops.

    Attributes:
        arguments: features ``(T, n, d)``, which ``(K,)``, offset ``(K, n)``, order, depth, length ``(C, ..)``, code
            ``(rows,)``, start ``(B + 1,)``, weight ``(B,)``.
        types, d: number of types, coordinates a type.
        leaves: their structures.
        free: indices of the free entries.
        weights_free: the shares are estimated.
        scale: ``(P,)`` for the tolerance.
        penalty: the prior in these coordinates, or ``None``.
    """

    arguments: tuple[np.ndarray, ...]
    types: int
    d: int
    leaves: list[LuceLeaf]
    free: np.ndarray
    weights_free: bool
    scale: np.ndarray
    contrast: np.ndarray | None
    orders: Orders
    choices: Choices | None = None
    penalty: MixturePenalty | None = None

    def theta(self, model: Mixture, items: Items) -> np.ndarray:
        """The model's present parameters in these coordinates."""
        w = np.zeros((self.types, self.d))
        for t, leaf in enumerate(luce_mixture(model, items) or []):
            if leaf.kind == "known":
                continue  # all of its index is offset
            if self.contrast is None:
                source = leaf.annotator.utility.energy if leaf.density else leaf.annotator.utility
                w[t] = source.weights.detach().double().numpy()
            else:
                u = (leaf.index_of(items) - leaf.g) / leaf.f
                base = u[self.contrast]  # the reference item of each item's prompt
                w[t] = (u - base)[self._kept()]
        share = model.weights.detach().double().numpy()
        share = np.maximum(share / share.sum(), 1e-6)
        return np.r_[w.ravel(), np.log(share[:-1] / share[-1])]

    def reweighted(self, weight: np.ndarray) -> Panel:
        """The same panel under other weights of its blocks ``(B,)``."""
        other = copy.copy(self)
        start, before = self.arguments[7], self.arguments[8]
        other.arguments = (*self.arguments[:8], np.ascontiguousarray(weight, dtype=np.float64))
        base, rows = self.types * self.d, np.diff(start)
        other.scale = self.scale.copy()
        other.scale[:base] *= float(weight @ rows) / float(before @ rows)
        other.scale[base:] = weight.sum()
        if self.choices is not None:
            other.choices = copy.copy(self.choices)
            other.choices.weight = other.arguments[8]
        return other

    def _kept(self) -> np.ndarray:
        return np.flatnonzero(self.contrast != np.arange(len(self.contrast)))  # type: ignore[arg-type]

    def values(self, theta: np.ndarray, items: Items) -> dict[str, torch.Tensor]:
        """Named free parameters of the model at ``theta``."""
        w, out = theta[: self.types * self.d].reshape(self.types, self.d), {}
        for t, leaf in enumerate(self.leaves):
            if leaf.kind == "known":
                continue
            prefix = f"types.{t}.utility." + ("energy." if leaf.density else "")
            if self.contrast is None:
                out[prefix + "weights"] = torch.as_tensor(w[t].copy())
            else:
                u = np.zeros(items.n)
                u[self._kept()] = w[t]
                out[prefix + "values"] = torch.as_tensor(leaf.utility_from_index(leaf.f * u + leaf.g, items))
        if self.weights_free:
            ratio = np.r_[theta[self.types * self.d :], 0.0]
            share = np.exp(ratio - ratio.max())
            out["weights"] = torch.as_tensor(share / share.sum())
        return out


def panel_of(model: Mixture, data: Any) -> Panel:
    """Prepare a mixture of Luce types on some data (see :class:`Panel`)."""
    items = data.items
    leaves: list[LuceLeaf] = luce_mixture(model, items)  # type: ignore[assignment]
    tabular = any(leaf.kind == "tabular" for leaf in leaves)
    linear = any(leaf.kind == "linear" for leaf in leaves)
    contrast, base = (
        _contrast(items) if tabular else (None, items.features.double().numpy() if linear else np.zeros((items.n, 0)))
    )
    slopes = [leaf.f for leaf in leaves]
    offset = np.stack([leaf.index_of(items) if leaf.kind == "known" else leaf.g for leaf in leaves])
    distinct, which = _same(slopes)
    features = np.stack([base if (f[0] == 1.0 and not f.strides[0]) else f[:, None] * base for f in distinct])
    orders, code, start, weight = coded(data)
    types, d = len(leaves), features.shape[2]
    own = np.concatenate([np.full(d, leaf.kind != "known") for leaf in leaves])
    weights_free = bool(model.weights.requires_grad) and types > 1
    free = np.flatnonzero(np.r_[own, np.full(types - 1, weights_free)])
    total = float(weight @ np.diff(start))
    spread = np.sqrt(np.einsum("ij,ij->j", base, base) / len(base)) if contrast is None else np.ones(d)
    scale = np.r_[np.tile(np.maximum(total * spread, 1e-300), types), np.full(types - 1, weight.sum())]
    arguments = (
        features,
        which.reshape(-1).astype(np.int64),
        offset,
        orders.order,
        orders.depth,
        orders.length,
        code,
        start,
        weight,
    )
    panel = Panel(arguments, types, d, leaves, free, weights_free, scale, contrast, orders)
    single = int(orders.depth.max(initial=0)) == 1 and int(orders.depth.min(initial=1)) == 1
    if single and len(orders.order) == len(code) > 1000 and len(features) == 1 and not tabular:
        panel.choices = Choices(panel)
    return panel


def _same(slopes: list[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """Distinct rows in order of appearance, and which one each row is."""
    kept: list[int] = []
    which = []
    for t, one in enumerate(slopes):
        match = next((i for i, k in enumerate(kept) if _equal(slopes[k], one)), len(kept))
        if match == len(kept):
            kept.append(t)
        which.append(match)
    return [slopes[k] for k in kept], np.array(which)


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    """Equality that looks at one number where an array is one number read n times."""
    return bool(a[0] == b[0]) if not a.strides[0] and not b.strides[0] else np.array_equal(a, b)


def _contrast(items: Items) -> tuple[np.ndarray, np.ndarray]:
    """Reference item of each item's prompt ``(n,)`` and the one-hot coordinates of the other items ``(n, d)``."""
    prompts = items.prompts.numpy()
    first = {int(p): int(np.flatnonzero(prompts == p)[0]) for p in np.unique(prompts)}
    reference = np.array([first[int(p)] for p in prompts])
    kept = np.flatnonzero(reference != np.arange(items.n))
    base = np.zeros((items.n, len(kept)))
    base[kept, np.arange(len(kept))] = 1.0
    return reference, base


def coded(data: Any) -> tuple[Orders, np.ndarray, np.ndarray, np.ndarray]:
    """Distinct orders, the code of each row (rows sorted by annotator), starts of blocks, weights of blocks.

    An order's weight is that of all rows with it.
    """
    ids = np.asarray(data.annotator_ids)
    if len(ids) > 1 and not (np.diff(ids) >= 0).all():
        data = data.take(np.argsort(ids, kind="stable"))
        ids = np.asarray(data.annotator_ids)
    orders = orders_from_data(data, np.ones(data.rows))
    first = np.flatnonzero(np.r_[True, np.diff(ids) != 0])
    start = np.r_[first, len(ids)].astype(np.int64)
    weight = np.asarray(data.annotator_weight, dtype=np.float64)[ids[first]]
    orders, code = distinct_orders(orders)
    heavy = np.bincount(code, np.repeat(weight, np.diff(start)), len(orders.order))
    return orders.reweighted(heavy), code, start, weight


def distinct_orders(orders: Orders) -> tuple[Orders, np.ndarray]:
    """The distinct orders (weights of one), and which one each row has, ``(rows,)``."""
    code, keep = _distinct(orders)
    if keep is not None:
        orders = Orders(orders.order[keep], orders.depth[keep], orders.length[keep], np.ones(len(keep)), orders.n)
    return orders, code


def _distinct(orders: Orders) -> tuple[np.ndarray, np.ndarray | None]:
    """Codes of equal orders when they can be many: when all orders fit in a small table, or are few after hashing."""
    rows, k = orders.order.shape
    base = orders.n + 1
    if float(base) ** k * (k + 1) > 2.0**62 or rows < 64:
        return np.arange(rows), None
    number = orders.depth.astype(np.int64)
    order = orders.order
    if int(orders.depth.max()) == 1 and k > 2:  # the others of a choice stand in any order
        order = np.concatenate([order[:, :1], np.sort(order[:, 1:], 1)[:, ::-1]], 1)
    for j in range(k):
        number = number * base + (order[:, j] + 1)
    if float(base) ** k * (k + 1) < 4 * rows:  # a table of all orders costs less than sorting the rows
        first = np.full(int(base**k * (k + 1)), -1, dtype=np.int64)
        first[number[::-1]] = np.arange(rows - 1, -1, -1)
        keep = first[first >= 0]
        first[first >= 0] = np.arange(len(keep))
        return first[number], keep
    if len(np.unique(number[:: max(rows // 512, 1)])) > 300 and rows > 512:
        return np.arange(rows), None
    _, keep, code = np.unique(number, return_index=True, return_inverse=True)
    return code.reshape(-1).astype(np.int64), keep


def solve_mixture(problem: Problem, newton: bool = True) -> Solution:
    """EM then Newton from every start; the best is kept."""
    items = problem.items
    panel = prepared_panel(problem)
    notes = judge_tables(problem, panel.orders) if panel.contrast is not None else prior_notes(problem)
    found = []
    for model in starting_points(problem):
        theta = panel.theta(model, items)  # type: ignore[arg-type]
        found.append(climb_from(panel, theta, problem.tolerance, problem.max_iterations, newton))
    values = [float(one[1]) for one in found]
    best = found[int(np.argmax(values))]
    return _solution(problem, panel, best, values, notes, items)


def prepared_panel(problem: Problem) -> Panel:
    """The panel of a problem, with its prior."""
    panel = panel_of(problem.model, problem.data)  # type: ignore[arg-type]
    panel.penalty = _penalty(problem, panel, problem.items)
    return panel


def _penalty(problem: Problem, panel: Panel, items: Items) -> MixturePenalty | None:
    if problem.prior is None:
        return None
    LogPrior(problem.prior, problem.model, items)  # refuses a prior that acts on nothing
    features, which, offset = panel.arguments[:3]
    kinds = [leaf.kind for leaf in panel.leaves]
    return MixturePenalty(problem.prior, [features[i] for i in which], offset, kinds, panel.weights_free, items)


def _solution(problem, panel: Panel, best, values, notes, items) -> Solution:
    theta, value, gradient, information, status, iterations, steps, trace = best
    population = by_weight(problem.model.with_parameters(panel.values(theta, items)))
    log_likelihood = value - (0.0 if panel.penalty is None else panel.penalty(theta)[0])
    extra: dict[str, Any] = {"newton_steps": int(steps), "memory": memory.of_panel(panel)}
    if problem.is_projection:
        extra["divergence"] = block_divergence(problem, log_likelihood)
    total = float(panel.arguments[8].sum())
    notes = [*notes, *vanished(population, total)]
    sub = information[np.ix_(panel.free, panel.free)]
    return Solution(
        population=population,
        log_likelihood=log_likelihood,
        objective=-value / total,
        converged=status == 1,
        iterations=int(iterations),
        stopped_by={1: "gradient", 0: "iterations", 2: "rounding"}[int(status)],
        gradient_norm=float(np.abs(gradient[panel.free]).max(initial=0.0)) / total,
        condition=_condition(sub),
        why=f"mixture of {panel.types} Luce types: EM, then Newton on the whole likelihood ({steps} Newton steps)",
        notes=notes,
        starts=values,
        trace=trace,
        extra=extra,
    )


def _condition(information: np.ndarray) -> float:
    diagonal = information.diagonal()
    if not len(diagonal) or not (diagonal > 0).all():
        return float("inf")
    d = 1.0 / np.sqrt(diagonal)
    values = np.linalg.eigvalsh(information * d[:, None] * d)
    return float(values[-1] / values[0]) if values[0] > 0 else float("inf")


def judge_tables(problem: Problem, orders: Orders) -> list[str]:
    """Items that no answer shows or connects cannot be told for any type: raise, or say what the prior decided."""
    items = problem.items
    found = connectivity(orders.graph(), items, orders.involved > 0)
    if problem.prior is not None:
        notes = prior_notes(problem)
        return (
            notes
            if found.exists
            else [
                f"prior {problem.prior} decided what the data do not, of any type: "
                f"{found.message(items).split('. Remedies')[0]}",
                *notes,
            ]
        )
    if (found.unseen or found.separate) and not problem.is_projection:
        groups = [*([i] for i in found.unseen), *found.separate]
        raise NotIdentifiedError(
            found.message(items, "fit"),
            items=[items.names[i] for g in groups for i in g],
            components=[[items.names[i] for i in g] for g in groups],
        )
    if not found.exists:
        return [
            "some items never lost or never won: at least one type's utilities have no finite maximum; "
            "treat its extreme utilities as bounds, or pass prior="
        ]
    return []


def prior_notes(problem: Problem) -> list[str]:
    """What the prior acts on, in words."""
    if problem.prior is None:
        return []
    on = LogPrior(problem.prior, problem.model, problem.items)
    return [
        f"prior {problem.prior} on {on}: the estimate is a posterior mode; for several types it is not decided whether "
        "the estimate exists without it"
    ]


def mixture_applies(problem: Problem) -> bool:
    """Whether the model is a mixture of Luce types (linear, or small tables, beside known ones) on staged answers."""
    if not is_nll(problem.objective) or problem.regulariser is not None or not isinstance(problem.model, Mixture):
        return False
    feedback = problem.design.feedback if problem.design is not None else problem.data.feedback
    if feedback.kind not in STAGED:
        return False
    leaves = luce_mixture(problem.model, problem.items)
    if not leaves:
        return False
    kinds = {leaf.kind for leaf in leaves}
    if kinds <= {"linear", "known"}:
        return True
    return kinds <= {"tabular", "known"} and problem.items.n - problem.items.num_prompts <= LARGEST_TYPE


def _solve_plain(problem: Problem) -> Solution:
    return solve_mixture(problem, newton=False)


register("em-newton", Newton, mixture_applies, solve_mixture, order=20, hessians=("dense",))
register("em", EM, mixture_applies, _solve_plain, order=90, automatic=lambda problem: False)
