"""Pairs answered with a scale for each annotator: value and gradient in closed form."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from annosim.learning.likelihoods.autodiff import DifferentiatedLikelihood
from annosim.learning.problem import Problem
from annosim.learning.solvers.functions import Evaluation
from annosim.parameters import behaves_as
from annosim.populations.annotator import Annotator
from annosim.rules.luce import Luce
from annosim.rules.scale import Scaled
from annosim.utilities.tabular import Tabular

__all__ = ["ScaledPairs"]

Vector = NDArray[np.float64]


class ScaledPairs(DifferentiatedLikelihood):
    """``P(i beats j) = sigmoid(factor_a (u_i - u_j))`` with a free table and a free factor for each annotator.

    Example:
        >>> import annosim as an
        >>> model = an.Annotator(an.Tabular([1.0, 0.0]), an.rules.Scaled(an.Luce(), an.free([1.0, 2.0])))
        >>> data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 2, [0, 1], annotator=[0, 1])
        >>> here = ScaledPairs(Problem(model, data))
        >>> round(here.evaluate(here.start(model)).value, 6)  # log sigmoid(1) + log sigmoid(-2)
        -2.44019
    """

    name, order = "scaled-pairs", 79

    @classmethod
    def applies(cls, problem: Problem) -> bool:
        """One table, Luce's rule and factors, all of them free, on choices from pairs."""
        model = problem.model
        if not super().applies(problem) or problem.is_projection or not isinstance(model, Annotator):
            return False
        rule = model.rule
        if not behaves_as(rule, Scaled) or not rule.is_personal or not behaves_as(rule.rule, Luce):
            return False
        data = problem.data
        pairs = data.feedback.kind == "choice" and data.menu.shape[-1] == 2 and not data.has_ties
        names = ["utility.values", "rule.factor"]
        known = behaves_as(model.utility, Tabular) and float(rule.rule.temperature) == 1.0
        plain = pairs and bool((np.asarray(data.menu) >= 0).all()) and not bool(np.asarray(data.skipped).any())
        return known and plain and list(model.free_parameters()) == names

    def __init__(self, problem: Problem):
        super().__init__(problem)
        data, rows = problem.data, np.arange(problem.data.rows)
        answer = np.asarray(data.answer).reshape(data.rows, -1)[:, 0].astype(np.int64)
        menu, n = np.asarray(data.menu).astype(np.int64), problem.items.n
        code = (np.asarray(data.annotator_ids) * n + menu[rows, answer]) * n + menu[rows, 1 - answer]
        unique, self.which = np.unique(code, return_inverse=True)
        self.loser, rest = unique % n, unique // n
        self.winner, self.who = rest % n, rest // n
        self.n = n
        self._set_weights()

    def _set_weights(self) -> None:
        own = self.blocks.weight.numpy()[self.blocks.block.numpy()]
        self.counts = np.bincount(self.which, own, len(self.winner))

    def reweighted(self, weights: Vector) -> Self:
        """The same answers under other weights of annotators."""
        other = super().reweighted(weights)
        other._set_weights()
        return other

    def evaluate(self, x: Vector) -> Evaluation:
        """Value and gradient in one pass over the distinct answers; the Hessian by automatic differentiation."""
        if self.prior is not None:
            return super().evaluate(x)
        weight = self.counts
        with np.errstate(over="ignore", invalid="ignore"):  # a sampler may try what no number holds
            u, factor = x[: self.n], np.exp(x[self.n :])
            gap, scale = u[self.winner] - u[self.loser], factor[self.who]
            odds = scale * gap
            value = -float(weight @ np.logaddexp(0.0, -odds))
            push = weight * expit(-odds)
            slope = np.bincount(self.winner, push * scale, self.n) - np.bincount(self.loser, push * scale, self.n)
            by_factor = np.bincount(self.who, push * odds, len(factor))
        return Evaluation(x, value, np.r_[slope, by_factor], self.scale, lambda: self._hessian(x))
