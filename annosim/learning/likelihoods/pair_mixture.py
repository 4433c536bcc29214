r"""Mixtures of tables on single pairs, one answer an annotator: Levenberg and Marquardt's method on the whole law.

With infinite data the law of one pair per annotator is a function on pairs of items, and the optimum of a mixture that
contains the truth fits it exactly. There the expected information ``sum m (dP/dtheta)(dP/dtheta)' / P`` is the Hessian,
so that damped steps with it converge quadratically, where EM creeps: utilities may differ by a thousand nats, and the
tails are nearly flat. Every pass is a few operations on the pairs; the information is one matrix.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from annosim.learning.likelihoods.base import Likelihood
from annosim.learning.likelihoods.latent_classes import SMALLEST_SHARE, kinds_of
from annosim.learning.likelihoods.luce import prompt_indicators
from annosim.learning.likelihoods.pair_graph import PairGraph, graph_of, is_pairs
from annosim.learning.likelihoods.reference import total_weight
from annosim.learning.objectives import NLL
from annosim.learning.problem import Problem
from annosim.learning.solvers.functions import Evaluation
from annosim.learning.solvers.settings import Newton
from annosim.learning.structure import AffineIndex, affine_components
from annosim.populations.base import Population
from annosim.populations.mixture import Mixture

__all__ = ["PairMixture"]

Vector = NDArray[np.float64]

#: the information is formed for this many parameters at most
LARGEST = 3000


class PairMixture(Likelihood):
    """``log P(winner beats loser)`` of every ordered pair as a function of ``x = (s_1, .., s_K, log-ratios)``.

    Its curvature is the expected information, so that steps are damped. Of data it is asked for by name: their maximum
    may not exist, which the likelihoods before it tell.

    Attributes:
        graph: the pairs with their probabilities.
        types: K.
        log_share: ``(K,)`` fixed log shares, or ``None`` where they are free.
    """

    name, order, settings, hessians = "pair-mixture", 22, Newton, ("expected",)
    damped = True
    longest = np.inf
    rounding = 1e-15

    @classmethod
    def applies(cls, problem: Problem) -> bool:
        """Tables on single pairs, one answer an annotator, without a prior."""
        if problem.prior is not None or kinds_of(problem) != {"tabular"} or not is_pairs(problem):
            return False
        return len(problem.model.components()) * problem.items.n <= LARGEST and _answers_are_single(problem)

    @classmethod
    def is_automatic(cls, problem: Problem) -> bool:
        """Of a law only."""
        return problem.is_projection

    def __init__(self, problem: Problem, graph: PairGraph | None = None):
        model: Mixture = problem.model  # type: ignore[assignment]
        self.problem, self.items, self.n = problem, problem.items, problem.items.n
        self.components: list[AffineIndex] = affine_components(model, self.items)  # type: ignore[assignment]
        self.graph = graph_of(replace(problem, objective=NLL())) if graph is None else graph
        self.types = len(self.components)
        share = model.weights.detach().double()
        self.log_share = None if model.weights.requires_grad else (share / share.sum()).log()
        self.size = self.types * self.n + (self.types - 1 if self.log_share is None else 0)
        self.total = 1.0 if problem.is_projection else total_weight(problem.data)

    @property
    def why(self) -> str:  # type: ignore[override]
        """What it is."""
        return f"mixture of {self.types} tables on single pairs: damped steps with the expected information"

    @cached_property
    def weights(self) -> Vector:  # type: ignore[override]
        """Of the annotators, one answer each."""
        return np.asarray(self.problem.data.row_weight, dtype=np.float64)

    @cached_property
    def scale(self) -> Vector:  # type: ignore[override]
        """Share of the pairs that show the item."""
        graph, shown = self.graph, torch.zeros(self.n, dtype=torch.float64)
        shown = shown.index_add_(0, graph.winner, graph.weight).index_add_(0, graph.loser, graph.weight)
        ratios = np.ones(self.size - self.types * self.n)
        return self.total * np.maximum(np.r_[np.tile(shown.numpy(), self.types), ratios], 1e-300)

    @cached_property
    def null(self) -> Vector:  # type: ignore[override]
        """The location of each type in each prompt."""
        one = prompt_indicators(self.items.prompts.numpy())
        out = np.kron(np.eye(self.types), one)
        return np.concatenate([out, np.zeros((self.size - len(out), out.shape[1]))])

    def check(self) -> list[str]:
        """Every prompt's items were compared, directly or through others."""
        self.graph.check_connected(self.items)
        return []

    # ---- coordinates -----------------------------------------------------------------------------------------------

    def start(self, model: Population) -> Vector:
        """Indices of all types, and log-ratios."""
        index = [one.index_of(self.items) for one in affine_components(model, self.items) or []]
        if self.log_share is not None:
            return np.concatenate(index)
        share = model.weights.detach().double().numpy()
        share = np.log(np.maximum(share / share.sum(), SMALLEST_SHARE))
        return np.concatenate([*index, (share - share[-1])[:-1]])

    def values(self, x: Vector) -> dict[str, torch.Tensor]:
        """Tables and shares."""
        out: dict[str, torch.Tensor] = {}
        for t, one in enumerate(self.components):
            out |= one.values_of(x[t * self.n : (t + 1) * self.n].copy(), self.items, f"types.{t}.")
        if self.log_share is None:
            out["weights"] = self._shares(torch.as_tensor(x)).exp()
        return out

    def jacobian(self, population: Population) -> Vector:
        """Not asked for: the curvature is not that of the likelihood."""
        raise TypeError("standard errors need the observed information: use another likelihood of this model")

    scores = reweighted = jacobian  # type: ignore[assignment]

    # ---- value and derivatives -------------------------------------------------------------------------------------

    def _shares(self, x: torch.Tensor) -> torch.Tensor:
        """Log shares ``(K,)``; the last type is the base of the ratios."""
        if self.log_share is not None:
            return self.log_share
        return torch.cat([x[self.types * self.n :], torch.zeros(1, dtype=torch.float64)]).log_softmax(0)

    def evaluate(self, x: Vector) -> Evaluation:
        """Expected log-likelihood times the weight of the answers; pairs of an item with itself say nothing."""
        z = torch.as_tensor(x)
        s = z[: self.types * self.n].view(self.types, -1)
        h = s[:, self.graph.winner] - s[:, self.graph.loser]
        joint = self._shares(z)[:, None] + torch.nn.functional.logsigmoid(h)
        log_p = torch.logsumexp(joint, 0)
        value = float(self.graph.weight @ log_p) - self.graph.itself * float(np.log(2.0))
        share = (joint - log_p).exp()
        per_logit = share * torch.sigmoid(-h)  # d log P / d h of each type, (K, E)
        per_ratio = (share - self._shares(z).exp()[:, None])[: self.size - self.types * self.n]
        gradient = [self.graph.divergence(self.graph.weight * one) for one in per_logit]
        slope = torch.cat([*gradient, per_ratio @ self.graph.weight]).numpy()
        bend = lambda: self.total * self._expected(log_p, per_logit, per_ratio).numpy()  # noqa: E731
        return Evaluation(x, self.total * value, self.total * slope, self.scale, bend)

    def _expected(self, log_p: torch.Tensor, per_logit: torch.Tensor, per_ratio: torch.Tensor) -> torch.Tensor:
        """The information over the model's own answers, ``(P, P)``: each pair's total weight times P."""
        graph, n, k = self.graph, self.n, self.types
        expected = self._both * log_p.exp()
        information = torch.zeros(self.size, self.size, dtype=torch.float64)
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
        return information

    @cached_property
    def _both(self) -> torch.Tensor:
        """Weight of a pair in both its orders, for each ordered pair ``(E,)``."""
        n, graph = self.n, self.graph
        table = torch.zeros(n * n, dtype=torch.float64).index_add_(0, graph.winner * n + graph.loser, graph.weight)
        return (table.view(n, n) + table.view(n, n).T)[graph.winner, graph.loser]


def _answers_are_single(problem: Problem) -> bool:
    """Every annotator answers once."""
    if problem.law is not None:
        return problem.law.questions == 1
    return len(np.unique(problem.data.annotator_ids)) == problem.data.rows
