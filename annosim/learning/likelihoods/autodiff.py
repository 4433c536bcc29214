"""Any rule, any population, by automatic differentiation: L-BFGS, then Newton, in unconstrained coordinates.

The parameters' constraints give the coordinates (softmax for weights, exp for positive numbers), and the Hessian's flat
directions are left alone. Used where no faster likelihood applies.
"""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from annosim.constraints import Constraint
from annosim.coordinates.normalisation import canonical
from annosim.errors import ArgumentError, NotIdentifiedError
from annosim.learning.existence.attention import check_attention, refuse_named
from annosim.learning.existence.checks import check_utilities
from annosim.learning.existence.free_numbers import untold
from annosim.learning.likelihoods.base import Likelihood
from annosim.learning.likelihoods.reference import Blocks, block_log_likelihood, row_log_prob
from annosim.learning.penalties import LogPrior
from annosim.learning.problem import Problem, is_nll
from annosim.learning.solvers.functions import Evaluation
from annosim.learning.solvers.maximise import Optimum, maximise
from annosim.learning.solvers.settings import LBFGS
from annosim.learning.structure import has_network
from annosim.parameters import Unconstrained
from annosim.populations.annotator import answers_are_independent
from annosim.populations.base import Population

__all__ = ["DifferentiatedLikelihood"]

Vector = NDArray[np.float64]

#: a dense Hessian is formed up to this many parameters
NEWTON_PARAMETERS = 400
#: curvature for each answer's weight, along logs and shares, that is nothing but rounding
CANCELLED = 1e-13
#: Newton steps after L-BFGS
NEWTON_STEPS = 50


class DifferentiatedLikelihood(Likelihood):
    """The likelihood of anything whose log-probabilities torch can differentiate."""

    name, order, settings = "autograd", 80, LBFGS
    costly_curvature = True
    flat_directions = True

    @classmethod
    def applies(cls, problem: Problem) -> bool:
        """The likelihood alone, of a model without networks."""
        return is_nll(problem.objective) and problem.regulariser is None and not has_network(problem.model)

    def __init__(self, problem: Problem):
        self.problem = problem
        if problem.is_projection:
            refuse_named(problem.model)
        self.blocks = Blocks(problem.data, named=not problem.is_projection)
        self.counted = self.blocks.counted(problem.model)
        self.coordinates = Unconstrained(problem.model)
        self.prior = None if problem.prior is None else LogPrior(problem.prior, problem.model, problem.items)
        self.independent_answers = answers_are_independent(problem.model)  # type: ignore[misc]

    @property
    def why(self) -> str:  # type: ignore[override]
        """What it is."""
        return "no closed structure: automatic differentiation"

    @property
    def weights(self) -> Vector:  # type: ignore[override]
        """Of the annotators."""
        return self.blocks.weight.numpy()

    @property
    def total(self) -> float:  # type: ignore[override]
        """Weight of the annotators."""
        return max(self.blocks.total, 1e-300)

    @property
    def scale(self) -> Vector:  # type: ignore[override]
        """Weight of the annotators, for every coordinate."""
        return np.full(self.coordinates.size, self.total)

    # ---- coordinates -----------------------------------------------------------------------------------------------

    def start(self, model: Population) -> Vector:
        """Unconstrained coordinates."""
        return self.coordinates.outside(model.vector()).numpy()

    def values(self, x: Vector) -> dict[str, torch.Tensor]:
        """Through the constraints."""
        return self.problem.model.unflatten(self.coordinates.inside(torch.as_tensor(x)).detach())

    def vector(self, x: Vector) -> Vector:
        """In the reported normalisation."""
        there = self.problem.model.with_parameters(self.values(x))
        return canonical(there, self.problem.items).detach().numpy()

    def jacobian(self, population: Population) -> Vector:
        """Inverse of the constraints' own."""
        z = self.coordinates.outside(population.vector())
        return np.linalg.pinv(torch.func.jacrev(self.coordinates.inside)(z).numpy())

    # ---- value and derivatives -------------------------------------------------------------------------------------

    def _penalised(self, population: Population) -> torch.Tensor:
        value = (self.counted.weight * block_log_likelihood(population, self.counted)).sum()
        return value if self.prior is None else value + self.prior.value(population)

    def differentiable(self, z: torch.Tensor) -> torch.Tensor:
        """Value at coordinates, differentiably."""
        return self.problem.model.functional_call(self.coordinates.inside(z), self._penalised)

    def evaluate(self, x: Vector) -> Evaluation:
        """Value and gradient; the Hessian when it is asked for."""
        z = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        value = self.differentiable(z)
        if not value.requires_grad:
            raise NotIdentifiedError(
                f"fit: no answer's probability moves with any free number of {type(self.problem.model).__name__}: its rule "
                "answers by order alone, without a slope; fit a rule with noise, such as an.Luce()"
            )
        (gradient,) = torch.autograd.grad(value, z)
        return Evaluation(x, float(value.detach()), gradient.numpy(), self.scale, lambda: self._hessian(x))

    def _hessian(self, x: Vector) -> Vector:
        hessian = -torch.autograd.functional.hessian(self.differentiable, torch.as_tensor(x)).numpy()
        return self._told(hessian, np.ones(len(x)))

    def _told(self, curvature: Vector, unit: Vector) -> Vector:
        """The curvature ``(P, P)`` with zeros where it is rounding, of numbers that have no units of the user's.

        Of what no answer tells (shares of types that are alike) the terms of the answers cancel, up to rounding; where
        that is all there is, no comparison with other entries shows it.
        """
        bare = np.zeros(len(unit), dtype=bool)
        for place, _, constraint in self.coordinates.parts:
            bare[place] = constraint not in (Constraint.REAL, Constraint.CENTRED, Constraint.INCREASING)
        size = np.abs(curvature) * unit[:, None] * unit
        return np.where(bare[:, None] & bare & (size <= CANCELLED * self.total), 0.0, curvature)

    def log_prior(self, x: Vector) -> float:
        """On what the prior acts on."""
        if self.prior is None:
            return 0.0
        with torch.no_grad():
            return float(self.prior.value(self.problem.model.with_parameters(self.values(x))))

    def information(self, population: Population) -> Vector:
        """The Hessian in the free parameters themselves: right on the boundary too."""
        size = population.num_free()
        if size > NEWTON_PARAMETERS:
            raise ArgumentError(
                f"standard errors of {size} parameters need a dense Hessian (at most {NEWTON_PARAMETERS}); use "
                "fit.bootstrap(), or a tabular or linear model"
            )
        minus = lambda v: -population.functional_call(v, self._penalised)  # noqa: E731
        vector = population.vector()
        return self._told(
            torch.autograd.functional.hessian(minus, vector).numpy(), np.abs(vector.detach().numpy()).clip(1e-3)
        )

    def scores(self, population: Population, by_answer: bool = False) -> tuple[Vector, Vector]:
        """Forward mode, one parameter at a time: memory stays that of one pass."""
        blocks, vector = self.blocks, population.vector()

        def units(v: torch.Tensor) -> torch.Tensor:
            if by_answer:
                return population.functional_call(v, lambda p: _row_log_likelihood(p, blocks))
            return population.functional_call(v, lambda p: block_log_likelihood(p, blocks))

        columns = []
        for j in range(len(vector)):
            direction = torch.zeros_like(vector)
            direction[j] = 1.0
            columns.append(torch.func.jvp(units, (vector,), (direction,))[1].detach().numpy())
        weight = np.asarray(self.problem.data.row_weight) if by_answer else self.weights
        return np.stack(columns, 1), weight

    def reweighted(self, weights: Vector) -> Self:
        """The same answers under other weights of annotators."""
        other = copy.copy(self)
        other.blocks = self.blocks.with_weights(torch.as_tensor(weights, dtype=torch.float64))
        other.counted = other.blocks.counted(self.problem.model)
        return other

    # ---- to maximise it --------------------------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Under any rule, of free tables, linear utilities and tie parameters."""
        problem = self.problem
        return [] if problem.is_projection else check_utilities(problem.model, problem.data, problem.prior)

    def optimum(self, model: Population, tolerance: float, max_iterations: int, newton: bool = True) -> Optimum:
        """L-BFGS to a small gradient, then Newton where its Hessian is not too large."""
        found = self._lbfgs(self.start(model), max_iterations)
        if self.coordinates.size > NEWTON_PARAMETERS:
            if found.scaled_gradient <= max(tolerance, 1e-8):
                found.stopped_by = "gradient"
            return found
        refined = maximise(self, found.point, tolerance, NEWTON_STEPS)
        refined.iterations += found.iterations
        refined.trace = [*found.trace, *refined.trace]
        return refined

    def _untold(self, found: Optimum) -> list[str]:
        if found.stopped_by == "iterations":
            return []
        curvature = np.asarray(found.evaluation.curvature)
        return untold(self.problem.model, self.problem.items, self.coordinates.inside, found.point, curvature)

    def _lbfgs(self, start: Vector, max_iterations: int) -> Optimum:
        trace: list[float] = []

        def minus(x: Vector) -> tuple[float, Vector]:
            now = self.evaluate(x)
            trace.append(now.value)
            return -now.value / self.total, -now.gradient / self.total

        options = {"maxiter": max_iterations, "maxfun": 2 * max_iterations, "gtol": 1e-6, "ftol": 1e-15, "maxcor": 20}
        found: Any = minimize(minus, start, jac=True, method="L-BFGS-B", options=options)
        return Optimum(self.evaluate(found.x), int(found.nit), "iterations", trace=trace)

    def notes(self, found: Optimum, population: Population) -> list[str]:
        """Whose attention the prior decided, and what the prior acts on."""
        prior = self.problem.prior
        out = [*found.notes, *check_attention(population, self.blocks, prior)]
        if self.coordinates.size <= NEWTON_PARAMETERS:
            out += self._untold(found)
        if self.prior is not None:
            out.append(f"prior {prior} on {self.prior}: the estimate is a posterior mode")
        return out


def _row_log_likelihood(population: Population, blocks: Blocks) -> torch.Tensor:
    """Of every row, ``(rows,)``."""
    rows, log_weight = row_log_prob(population, blocks)
    return torch.logsumexp(rows + log_weight[:, None], 0)
