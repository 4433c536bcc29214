"""The log posterior density and its gradient, in coordinates without constraints: the library's own likelihood and the prior."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from annosim.annotators import PerAnnotator
from annosim.data.preferences import PreferenceData
from annosim.items import Items
from annosim.learning.likelihoods.autodiff import DifferentiatedLikelihood
from annosim.learning.likelihoods.base import Likelihood
from annosim.learning.likelihoods.registry import LIKELIHOODS
from annosim.learning.problem import Problem
from annosim.parameters import Unconstrained
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.sampling.blocks import PriorLike, blocks_of

__all__ = ["LogPosterior"]

Vector = NDArray[np.float64]


class LogPosterior:
    """``log P(data | y) + log p(y)`` and its gradient.

    Args:
        problem: model and data; its own prior is left out.
        prior: see :func:`annosim.sample_posterior`.

    Attributes:
        size: number of coordinates.
        blocks: one per free parameter.
        likelihood: the likelihood that is evaluated.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 3, [0, 0, 1])
        >>> density = LogPosterior(Problem(an.Annotator(an.Tabular(2), an.Luce()), data), an.priors.Gaussian(1.0))
        >>> density.size, round(density(np.zeros(1))[0], 6)  # 3 log 1/2, and a standard normal at 0
        (1, -2.99838)
    """

    def __init__(self, problem: Problem, prior: PriorLike):
        self.problem = replace(problem, prior=None)
        self.model: Population = problem.model
        self.items: Items = problem.items
        self.blocks = blocks_of(self.model, self.items, prior)
        ends = np.cumsum([0, *(block.size for block in self.blocks)])
        self.at = [slice(int(a), int(b)) for a, b in zip(ends[:-1], ends[1:], strict=True)]
        self.size = int(ends[-1])
        self.unconstrained = Unconstrained(self.model)
        self.ends = np.cumsum([0, *(len(block.offset) for block in self.blocks)])
        self._positive = np.concatenate(
            [np.full(p.numel(), self.model.constraint_of(n) == "positive") for n, p in self._free()]
            or [np.zeros(0, bool)]
        )
        self.likelihood, self.matrix, self.offset, self.by_value = self._affine()

    def _free(self) -> list[tuple[str, torch.Tensor]]:
        return [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]

    # ---- the likelihood's coordinates ------------------------------------------------------------------------------

    def _affine(self) -> tuple[Likelihood, Vector | None, Vector | None, bool]:
        """The first likelihood whose coordinates are affine in ours, with that map; else automatic differentiation."""
        for kind in LIKELIHOODS:
            if kind is DifferentiatedLikelihood or kind.damped or not kind.applies(self.problem):
                continue
            if not kind.is_automatic(self.problem):
                continue
            made = kind(self.problem)
            for by_value in (False, True) if self._positive.any() else (False,):
                found = _affine_map(self._start_of(made, by_value), self.unconstrained.size)
                if found is not None:
                    return made, *found, by_value
        return DifferentiatedLikelihood(replace(self.problem, _data=self._collapsed())), None, None, False

    def _collapsed(self) -> PreferenceData:
        """Equal answers once, with their number as weight, where nothing depends on who gives them or when."""
        rules = [rule for component in self.model.components() for rule in component.rule.layers()]
        parts = list(self.model.modules())
        personal = any(isinstance(part, PerAnnotator) and part.is_personal for part in parts)
        if personal or any(rule.memory or rule.sequential for rule in rules):
            return self.problem.data
        alone = len(self.model.components()) == 1 and isinstance(self.model, Annotator)
        return self.problem.data.counts(by="row" if alone else "annotator")

    def _start_of(self, likelihood: Likelihood, by_value: bool) -> Callable[[Vector], Vector]:
        return lambda w: likelihood.start(self._model_at(w, by_value))

    def _model_at(self, w: Vector, by_value: bool) -> Population:
        """The model at unconstrained numbers, of which positive ones may be given by their values (moved above zero)."""
        z = np.where(self._positive & by_value, np.log(np.where(self._positive, w, 1.0)), w)
        return self.model.with_parameters(self.unconstrained.inside(torch.as_tensor(z)))

    # ---- value and gradient ----------------------------------------------------------------------------------------

    def unconstrained_numbers(self, y: Vector) -> Vector:
        """Unconstrained numbers ``(..., P)`` of all parameters at ``y (..., size)``."""
        return np.concatenate([block.forward(y[..., at]) for block, at in zip(self.blocks, self.at, strict=True)], -1)

    def __call__(self, y: Vector) -> tuple[float, Vector]:
        """Log density at ``y (size,)`` and its gradient."""
        value, out = self.answers(y)
        for block, at in zip(self.blocks, self.at, strict=True):
            more, own = block.prior(y[at])
            value += more
            out[at] += own
        return value, out

    def answers(self, y: Vector) -> tuple[float, Vector]:
        """Log-likelihood at ``y (size,)`` and its gradient: the density without the prior."""
        value, slope = self.log_likelihood(self.unconstrained_numbers(y))
        out = np.empty(self.size)
        for block, at, a, b in zip(self.blocks, self.at, self.ends[:-1], self.ends[1:], strict=True):
            out[at] = block.pull(y[at], slope[a:b])
        return float(value), out

    def log_likelihood(self, z: Vector) -> tuple[float, Vector]:
        """Log-likelihood at unconstrained numbers ``(P,)`` and its gradient."""
        if self.matrix is None or self.offset is None:
            found = self.likelihood.evaluate(z)
            return float(found.value), found.gradient
        w = np.where(self._positive, np.exp(z), z) if self.by_value else z
        found = self.likelihood.evaluate(self.matrix @ w + self.offset)
        slope = self.matrix.T @ found.gradient
        return float(found.value), np.where(self._positive, slope * w, slope) if self.by_value else slope

    def vectors(self, y: Vector) -> Vector:
        """Parameter vectors ``(S, P)`` at coordinates ``(S, size)``."""
        z = torch.as_tensor(self.unconstrained_numbers(y))
        parts = [
            constraint.transform(z[:, at].reshape(-1, *shape)).reshape(len(z), -1)
            for at, shape, constraint in self.unconstrained.parts
        ]
        return torch.cat(parts, -1).numpy() if parts else np.zeros((len(z), 0))

    def draw_prior(self, rng: np.random.Generator, count: int) -> Vector:
        """Draws from the prior, ``(count, size)``."""
        return np.concatenate([block.draw(rng, count) for block in self.blocks], -1)


def _affine_map(function: Callable[[Vector], Vector], size: int) -> tuple[Vector, Vector] | None:
    """``(A, b)`` of a function that is ``A w + b``, found by evaluating it; ``None`` of any other."""
    rng = np.random.default_rng(0)
    base = rng.uniform(0.5, 1.5, size)
    at_base = np.asarray(function(base))
    matrix = np.empty((len(at_base), size))
    for j in range(size):
        moved = base.copy()
        moved[j] += 0.5
        matrix[:, j] = (np.asarray(function(moved)) - at_base) / 0.5
    offset = at_base - matrix @ base
    probe = rng.uniform(0.3, 2.5, size)
    return (matrix, offset) if np.allclose(function(probe), matrix @ probe + offset, rtol=1e-8, atol=1e-9) else None
