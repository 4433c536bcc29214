"""What every likelihood gives: value, gradient and curvature at a point, scores and weights of its units.

A likelihood is made once from a model, data (or a law) and a prior. Its coordinates are a vector ``x`` of its own
choice, in which the maximiser moves; :meth:`Likelihood.population` leads back to the model. Fitting, replicates, the
bootstrap and standard errors all go through these methods, so that they cannot differ.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from functools import cache, partial
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from annosim.coordinates import order_by_weight
from annosim.errors import NotIdentifiedError
from annosim.learning.existence.free_numbers import Judgement, Maximum, judge
from annosim.learning.likelihoods.reference import total_weight
from annosim.learning.problem import Problem
from annosim.learning.solvers.functions import Evaluation, InformationOperator, Maximand
from annosim.learning.solvers.maximise import EM_ITERATIONS, Optimum, maximise
from annosim.learning.solvers.settings import Solver
from annosim.populations.base import Population

__all__ = ["Likelihood"]

Vector = NDArray[np.float64]

#: length of the steps by which coordinates are differentiated
STEP = 1e-6


class Likelihood(Maximand, ABC):
    """The log-likelihood of one problem: a model's structure, its data or law, and the prior.

    A subclass is a row of the registry: ``name`` is what a fit says it was computed by, ``settings`` the class of
    settings it reads, ``hessians`` the kinds of curvature it has, ``order`` its place; :meth:`applies` and
    :meth:`is_automatic` say which problems it takes.

    Attributes:
        problem: what it was made from.
        weights: ``(B,)`` weights of the annotators, in the order of their numbers.
        scale: ``(P,)`` by which the gradient is divided: the weight of the answers in which a coordinate has a part.
        total: sum of the weights of the units in which ``objective`` and ``gradient_norm`` are stated.
        concave: there is one maximum at most, so that one start is enough, and :meth:`check` decides whether it exists.
        independent_answers: given the parameters, the answers of one annotator are independent.
        why: one line: why this likelihood.
    """

    name: ClassVar[str]
    settings: ClassVar[type[Solver]]
    hessians: ClassVar[tuple[str, ...]] = ()
    order: ClassVar[int] = 50
    independent_answers: ClassVar[bool] = False
    concave: ClassVar[bool] = False

    problem: Problem
    weights: Vector
    scale: Vector
    total: float
    why: str

    @property
    def people(self) -> float:
        """Weight of the annotators who answered."""
        return total_weight(self.problem.data)

    @classmethod
    @abstractmethod
    def applies(cls, problem: Problem) -> bool:
        """Whether this class can hold the problem."""

    @classmethod
    def is_automatic(cls, problem: Problem) -> bool:
        """Whether ``solver="auto"`` takes this class where it applies."""
        return True

    @abstractmethod
    def __init__(self, problem: Problem): ...

    # ---- coordinates -----------------------------------------------------------------------------------------------

    @abstractmethod
    def start(self, model: Population) -> Vector:
        """A population's free parameters in these coordinates, ``(P,)``."""

    @abstractmethod
    def values(self, x: Vector) -> dict[str, torch.Tensor]:
        """Named free parameters of the model at ``x``."""

    @abstractmethod
    def jacobian(self, population: Population) -> Vector | sparse.csr_matrix:
        """Jacobian of the coordinates in the free parameters at a population, ``(P, free)``."""

    def population(self, x: Vector) -> Population:
        """The model at ``x``, its types in order of falling weight."""
        return self.problem.model.with_parameters(torch.as_tensor(self.reported(x)))

    def vector(self, x: Vector) -> Vector:
        """The free parameters at ``x``, types in the order of the model, ``(free,)``."""
        values = self.values(x)
        free = (name for name, p in self.problem.model.named_parameters() if p.requires_grad)
        return np.concatenate([np.asarray(values[name], dtype=np.float64).reshape(-1) for name in free])

    def reported(self, x: Vector) -> Vector:
        """The free parameters as they are reported, types in order of falling weight, ``(free,)``."""
        vector = self.vector(x)
        return vector[order_by_weight(self.problem.model, vector)]

    def direction(self, vector: Vector, move: Vector) -> Vector:
        """How these coordinates move with the free parameters, ``(P,)``, by a small difference.

        Args:
            vector: the free parameters there.
            move: their change, both ``(free,)``.
        """
        model = copy.deepcopy(self.problem.model)
        ends = (self.start(model.assign(torch.as_tensor(vector + h * move))).copy() for h in (-STEP, STEP))
        return -np.subtract(*ends) / (2.0 * STEP)

    # ---- value and derivatives -------------------------------------------------------------------------------------

    @abstractmethod
    def evaluate(self, x: Vector) -> Evaluation:
        """Log-likelihood and prior at ``x``, with gradient and curvature."""

    def log_prior(self, x: Vector) -> float:
        """The prior's part of the value, without its constant."""
        return 0.0

    def information(self, population: Population) -> Vector:
        """Minus the Hessian (with the prior) in the free parameters at an optimum, ``(free, free)``."""
        jacobian, curvature = self.jacobian(population), self.evaluate(self.start(population)).curvature
        if isinstance(curvature, InformationOperator):
            curvature = np.stack([curvature.product(e) for e in np.eye(len(curvature.diagonal))], 1)
        return np.asarray(jacobian.T @ (curvature @ jacobian))

    @abstractmethod
    def scores(self, population: Population, by_answer: bool = False) -> tuple[Vector | sparse.csr_matrix, Vector]:
        """Scores of the units in the free parameters ``(units, free)``, without the prior, and the units' weights.

        Args:
            population: where.
            by_answer: the units are single answers, where these are independent; annotators otherwise.
        """

    def meat(self, population: Population, by_answer: bool) -> Vector | None:
        """``sum weight score score'`` in the free parameters where it has a closed form, else ``None``."""
        return None

    @abstractmethod
    def reweighted(self, weights: Vector) -> Self:
        """The same likelihood under other weights of the annotators ``(B,)``."""

    # ---- to maximise it --------------------------------------------------------------------------------------------

    def is_regular(self, population: Population) -> bool:
        """Whether the coordinates are smooth at a population (shares are not, on the boundary)."""
        return True

    def check(self) -> list[str]:
        """Whether the estimate exists, before anything is fitted: notes, or :class:`NotIdentifiedError`."""
        return []

    def optimum(self, model: Population, tolerance: float, max_iterations: int, newton: bool = True) -> Optimum:
        """The maximum reached from a model's own values."""
        return self.ascend(self.start(model), tolerance, max_iterations, newton)

    def ascend(
        self,
        start: Vector,
        tolerance: float,
        max_iterations: int,
        newton: bool = True,
        em_iterations: int = EM_ITERATIONS,
    ) -> Optimum:
        """The maximum reached from one point; see :func:`~annosim.learning.solvers.maximise.maximise`."""
        return maximise(self, start, tolerance, max_iterations, newton=newton, em_iterations=em_iterations)

    def notes(self, found: Optimum, population: Population) -> list[str]:
        """What the reader must know of the optimum."""
        return list(found.notes)

    def refined(self, found: Optimum) -> tuple[Likelihood, Optimum]:
        """The optimum of a likelihood that is exact enough, and that likelihood."""
        return self, found

    def sign_normalised(self, found: Optimum) -> tuple[Likelihood, Optimum]:
        """The same optimum with scales that are positive, and the likelihood it belongs to."""
        return self, found

    def exists(self, found: Optimum) -> bool:
        """Whether what was found is an estimate, asked of refits without :meth:`check`."""
        if not found.converged:
            return False
        try:
            return self.judge(found).is_finite
        except NotIdentifiedError:
            return False

    def judge(self, found: Optimum) -> Judgement:
        """Whether every number has a finite estimate, asked at the optimum.

        Raises:
            NotIdentifiedError: it has none.
        """
        if self.concave:
            return Judgement()
        model, vector = self.problem.model, self.vector(found.point)
        moved = cache(partial(copy.deepcopy, model))  # one copy serves for all that is asked

        def value_at(other: Vector) -> float:
            return self.evaluate(self.start(moved().assign(torch.as_tensor(other)))).value

        def parabola(move: Vector) -> tuple[float, float]:
            way = self.direction(vector, move)
            return float(found.gradient @ way), 0.5 * float(way @ (found.evaluation.curvature @ way))

        maximum = Maximum(model, vector, found.value, value_at, parabola)
        return judge(maximum, self.problem.items, self.problem.prior)
