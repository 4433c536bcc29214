r"""Mixtures of tables on single pairs, one answer an annotator: Levenberg and Marquardt's method on the whole law.

With infinite data the law of one pair per annotator is a function on pairs of items, and the optimum of a mixture that
contains the truth fits it exactly. There the expected information ``sum m (dP/dtheta)(dP/dtheta)' / P`` is the Hessian,
so that damped steps with it converge quadratically, where EM creeps: utilities may differ by a thousand nats, and the
tails are nearly flat. Every pass is a few operations on the pairs; the information is one matrix.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from annosim.coordinates import by_weight
from annosim.learning.likelihoods.autodiff import starting_points
from annosim.learning.likelihoods.luce import block_divergence
from annosim.learning.likelihoods.pair_graph import PairGraph, graph_of
from annosim.learning.likelihoods.reference import total_weight
from annosim.learning.objectives import NLL
from annosim.learning.problem import Problem, Solution, is_nll, register
from annosim.learning.solvers.convex import is_pairs
from annosim.learning.solvers.settings import Newton
from annosim.learning.structure import LuceLeaf, luce_mixture
from annosim.populations.mixture import Mixture

__all__ = ["PairMixture", "solve_pair_mixture"]

#: the information is formed for this many parameters at most
LARGEST = 3000


@dataclass(frozen=True, eq=False)
class PairMixture:
    """``log P(winner beats loser)`` of every ordered pair as a function of ``x = (s_1, .., s_K, log-ratios)``.

    Attributes:
        graph: the pairs with their probabilities.
        types: K.
        log_share: ``(K,)`` fixed log shares, or ``None`` where they are free.

    Example:
        >>> one = torch.tensor([0]), torch.tensor([1]), torch.ones(1).double()
        >>> mixture = PairMixture(PairGraph(*one, None, 2), 2, None)
        >>> round(float(mixture.at(torch.zeros(5).double())[0]), 6)  # log 2
        0.693147
    """

    graph: PairGraph
    types: int
    log_share: torch.Tensor | None

    def shares(self, x: torch.Tensor) -> torch.Tensor:
        """Log shares ``(K,)``; the last type is the base of the ratios."""
        if self.log_share is not None:
            return self.log_share
        ratio = torch.cat([x[self.types * self.graph.n :], torch.zeros(1, dtype=torch.float64)])
        return ratio.log_softmax(0)

    def at(self, x: torch.Tensor) -> tuple[float, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Cross-entropy, log P ``(E,)``, responsibilities and each type's chance of the other answer ``(K, E)``."""
        s = x[: self.types * self.graph.n].view(self.types, -1)
        h = s[:, self.graph.winner] - s[:, self.graph.loser]
        joint = self.shares(x)[:, None] + torch.nn.functional.logsigmoid(h)
        log_p = torch.logsumexp(joint, 0)
        return -float(self.graph.weight @ log_p), log_p, (joint - log_p).exp(), torch.sigmoid(-h)

    def slopes(self, x: torch.Tensor, log_p: torch.Tensor, r: torch.Tensor, miss: torch.Tensor):
        """Gradient of the cross-entropy ``(p,)`` and the expected information ``(p, p)``."""
        graph, n, k = self.graph, self.graph.n, self.types
        per_logit = r * miss  # d log P / d h of each type, (K, E)
        per_ratio = (r - self.shares(x).exp()[:, None])[: k - 1] if self.log_share is None else r[:0]
        gradient = [graph.divergence(-graph.weight * one) for one in per_logit]
        gradient.append(-(per_ratio @ graph.weight))
        # expectation over the model's own answers: each pair's total weight times P
        expected = self._both() * log_p.exp()
        size = k * n + len(per_ratio)
        information = torch.zeros(size, size, dtype=torch.float64)
        for a in range(k):
            rows = slice(a * n, (a + 1) * n)
            for b in range(a, k):
                block = graph.laplacian(expected * per_logit[a] * per_logit[b])
                information[rows, b * n : (b + 1) * n] = block
                information[b * n : (b + 1) * n, rows] = block.T
            for c in range(len(per_ratio)):
                cross = graph.divergence(expected * per_logit[a] * per_ratio[c])
                information[rows, k * n + c] = information[k * n + c, rows] = cross
        information[k * n :, k * n :] = (per_ratio * expected) @ per_ratio.T
        return torch.cat(gradient), information

    def _both(self) -> torch.Tensor:
        """Weight of a pair in both its orders, for each ordered pair ``(E,)``."""
        n, graph = self.graph.n, self.graph
        table = torch.zeros(n * n, dtype=torch.float64).index_add_(0, graph.winner * n + graph.loser, graph.weight)
        return (table.view(n, n) + table.view(n, n).T)[graph.winner, graph.loser]


@dataclass(eq=False)
class _Climb:
    x: torch.Tensor
    value: float
    scaled: float
    steps: int
    stopped_by: str


def _climb(mixture: PairMixture, x: torch.Tensor, tolerance: float, limit: int) -> _Climb:
    """Damped steps until the gradient, each entry per share of the pairs that show the item, is below the tolerance."""
    n, k = mixture.graph.n, mixture.types
    shown = torch.zeros(n, dtype=torch.float64).index_add_(0, mixture.graph.winner, mixture.graph.weight)
    shown = shown.index_add_(0, mixture.graph.loser, mixture.graph.weight)
    scale = torch.cat([shown.repeat(k), torch.ones(len(x) - k * n, dtype=torch.float64)]).clamp_min(1e-300)
    damping, steps = 1e-2, 0
    value, *parts = mixture.at(x)
    gradient, information = mixture.slopes(x, *parts)
    while True:
        scaled = float((gradient.abs() / scale).max())
        if scaled < tolerance:
            return _Climb(x, value, scaled, steps, "gradient")
        if steps >= limit:
            return _Climb(x, value, scaled, steps, "iterations")
        found = _damped_step(mixture, x, value, gradient, information, damping, scale)
        if found is None:
            return _Climb(x, value, scaled, steps, "rounding")
        x, value, gradient, information, damping = found
        steps += 1


def _damped_step(mixture, x, value, gradient, information, damping, scale):
    """The first accepted step as the damping grows, with what is known there; ``None`` when rounding ends it."""
    n, k = mixture.graph.n, mixture.types
    diagonal = information.diagonal().clone()
    held = information.clone()
    for a in range(k):  # the gauge of each type: its utilities keep their sum
        held[a * n : (a + 1) * n, a * n : (a + 1) * n] += diagonal[: k * n].mean() / n
    norm = float((gradient.abs() / scale).max())
    while damping < 1e12:
        factor, bad = torch.linalg.cholesky_ex(held + torch.diag(damping * diagonal.clamp_min(1e-12)))
        if int(bad) == 0:
            step = -torch.cholesky_solve(gradient[:, None], factor)[:, 0]
            hoped = -float(gradient @ step + 0.5 * step @ (information @ step))
            new, *parts = mixture.at(x + step)
            after = mixture.slopes(x + step, *parts) if new <= value + 1e-13 * (1 + abs(value)) else None
            # below the rounding of the value the gradient decides
            if after is not None and (new < value - 1e-15 or float((after[0].abs() / scale).max()) < norm):
                good = value - new > 0.5 * hoped or hoped < 1e-12
                return x + step, new, *after, max(damping / 5, 1e-14) if good else damping
        damping *= 4
    return None


def solve_pair_mixture(problem: Problem) -> Solution:
    """The best of several starts; ``Fit.starts`` has what each reached."""
    model: Mixture = problem.model  # type: ignore[assignment]
    items, leaves = problem.items, luce_mixture(model, problem.items) or []
    graph = graph_of(replace(problem, objective=NLL()))
    graph.check_connected(items)
    free = bool(model.weights.requires_grad)
    fixed = None if free else (model.weights / model.weights.sum()).detach().double().log()
    mixture = PairMixture(graph, len(leaves), fixed)
    found = [
        _climb(mixture, _start(one, items, free), problem.tolerance, problem.max_iterations)
        for one in starting_points(problem)
    ]
    best = min(found, key=lambda one: one.value)
    population = model.with_parameters(_values(leaves, mixture, best.x, items))
    same = graph.itself * float(np.log(2.0))
    total = 1.0 if problem.is_projection else total_weight(problem.data)
    extra = {"divergence": block_divergence(problem, -best.value - same)} if problem.is_projection else {}
    converged = best.stopped_by == "gradient" or best.scaled < max(problem.tolerance, 1e-7)
    return Solution(
        population=by_weight(population),
        log_likelihood=-(best.value + same) * total,
        objective=best.value + same,
        converged=converged,
        iterations=best.steps,
        stopped_by=best.stopped_by,
        gradient_norm=best.scaled,
        why=f"mixture of {len(leaves)} tables on single pairs: damped steps with the expected information",
        starts=[-(one.value + same) * total for one in found],
        extra=extra,
    )


def _start(model: Any, items: Any, free: bool) -> torch.Tensor:
    index = torch.cat([torch.as_tensor(leaf.index_of(items)) for leaf in luce_mixture(model, items) or []])
    share = (model.weights / model.weights.sum()).detach().double().clamp_min(1e-6).log()
    return torch.cat([index, (share - share[-1])[:-1]]) if free else index


def _values(leaves: list[LuceLeaf], mixture: PairMixture, x: torch.Tensor, items: Any) -> dict[str, torch.Tensor]:
    n, out = items.n, {}
    for t, leaf in enumerate(leaves):
        u = leaf.utility_from_index(x[t * n : (t + 1) * n].numpy().copy(), items)
        out[f"types.{t}.utility." + ("energy." if leaf.density else "") + "values"] = torch.as_tensor(u)
    if mixture.log_share is None:
        out["weights"] = mixture.shares(x).exp()
    return out


def _applies(problem: Problem) -> bool:
    if not (is_nll(problem.objective) and isinstance(problem.model, Mixture)):
        return False
    if problem.regulariser is not None or problem.prior is not None or not is_pairs(problem):
        return False
    leaves = luce_mixture(problem.model, problem.items) or []
    size = len(leaves) * problem.items.n
    return bool(leaves) and {leaf.kind for leaf in leaves} == {"tabular"} and size <= LARGEST and _single(problem)


def _single(problem: Problem) -> bool:
    """Every annotator answers once."""
    if problem.law is not None:
        return problem.law.questions == 1
    return len(np.unique(problem.data.annotator_ids)) == problem.data.rows


# of data it is asked for by name: their maximum may not exist, which the solvers before it tell
register(
    "pair-mixture",
    Newton,
    _applies,
    solve_pair_mixture,
    order=22,
    automatic=lambda problem: problem.is_projection,
    hessians=("expected",),
)
