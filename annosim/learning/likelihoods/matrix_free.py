"""Latent-class mixtures of large tables: likelihood, gradient, and products with the information, never formed.

Coordinates are the types' indices ``s (K, n)`` themselves, the location of each prompt left open, and the log-ratios of
the shares. A product with the observed information (Louis 1982: that of the complete data less the spread of the scores
under the types) costs one pass over the distinct orders and the rows, so memory and time stay linear in the answers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from annosim.compiled.lazy import LazyModule
from annosim.coordinates import centred
from annosim.learning.likelihoods.latent_classes import ClassesLikelihood, kinds_of
from annosim.learning.penalties import share_counts, table_penalty
from annosim.learning.priors import Dirichlet
from annosim.learning.problem import Problem
from annosim.learning.solvers.functions import Evaluation, InformationOperator
from annosim.learning.solvers.maximise import conjugate_gradients
from annosim.learning.solvers.settings import Newton
from annosim.learning.structure import affine_components
from annosim.populations.base import Population

__all__ = ["MatrixFreeClasses"]

kernels = LazyModule("annosim.learning.likelihoods.kernels.sparse")
mixture_kernels = LazyModule("annosim.learning.likelihoods.kernels.mixture")

Vector = NDArray[np.float64]


class MatrixFreeClasses(ClassesLikelihood):
    """A mixture of tables as a function of the coordinates ``x = (s of the free tables, log-ratios)``.

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (1.0, -1.0)])
        >>> data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 2, [0, 0])
        >>> classes = MatrixFreeClasses(Problem(two, data))
        >>> round(classes.evaluate(classes.start(two)).value, 6)  # two answers of probability 1/2
        -1.386294
    """

    name, order, settings, hessians = "em-newton-cg", 25, Newton, ("matrix-free",)

    @classmethod
    def applies(cls, problem: Problem) -> bool:
        """Tables under Luce's rule, beside known types, on staged answers."""
        return "tabular" in (kinds := kinds_of(problem)) and kinds <= {"tabular", "known"}

    def __init__(self, problem: Problem):
        super().__init__(problem)
        self.n, prior = self.items.n, problem.prior
        self.free = [t for t, one in enumerate(self.components) if one.kind == "tabular"]
        self.base = len(self.free) * self.n
        self.known = {t: one.index_of(self.items) for t, one in enumerate(self.components) if one.kind == "known"}
        self.penalty = table_penalty(prior, self.items) if self.free and prior is not None else None
        self.counts = float(prior.counts) if isinstance(prior, Dirichlet) and self.weights_free else 0.0

    @property
    def why(self) -> str:  # type: ignore[override]
        """What it is."""
        return f"mixture of {self.types} tables of {self.n} items: EM, then Newton by conjugate gradients"

    @cached_property
    def scale(self) -> Vector:  # type: ignore[override]
        """Weight of the answers that show each item, and of the annotators."""
        exposure = np.tile(np.maximum(self.orders.exposure, 1e-300), len(self.free))
        return np.r_[exposure, np.full(self.types - 1, self.total)] if self.weights_free else exposure

    def reweighted(self, weights: Vector) -> Self:
        """The same answers under other weights of annotators."""
        other = super().reweighted(weights)
        heavy = np.bincount(self.code, np.repeat(other.weights, np.diff(self.first)), len(self.orders.order))
        other.orders = self.orders.reweighted(heavy)
        return other

    # ---- coordinates -----------------------------------------------------------------------------------------------

    def start(self, model: Population) -> Vector:
        """Centred indices, and log-ratios."""
        components = affine_components(model, self.items) or []
        index = [components[t].index_of(self.items) for t in self.free]
        own = [centred(torch.as_tensor(s), self.items).numpy() for s in index]
        return np.concatenate([*own, self._start_ratios(model)])  # type: ignore[arg-type]

    def index(self, x: Vector) -> Vector:
        """Index of every type, ``(K, n)``."""
        own = iter(x[: self.base].reshape(-1, self.n))
        return np.stack([self.known[t] if t in self.known else next(own) for t in range(self.types)])

    def values(self, x: Vector) -> dict[str, torch.Tensor]:
        """Tables and shares."""
        out: dict[str, torch.Tensor] = {}
        for s, t in zip(x[: self.base].reshape(-1, self.n), self.free, strict=True):
            out |= self.components[t].values_of(s, self.items, f"types.{t}.")
        if self.weights_free:
            out["weights"] = torch.as_tensor(np.exp(self.log_share(x[self.base :])))
        return out

    def _type_jacobians(self, population: Population) -> list[tuple[int, Vector]]:
        components = affine_components(population, self.items) or []
        made = [(t, components[t].index_jacobian(self.items)) for t in self.free]
        return [(t, one if isinstance(one, np.ndarray) else one.toarray()) for t, one in made]

    # ---- value and derivatives -------------------------------------------------------------------------------------

    def evaluate(self, x: Vector) -> MatrixFreeEvaluation:
        """Value and gradient, and the parts from which products are made."""
        return MatrixFreeEvaluation(self, x)

    def log_prior(self, x: Vector) -> float:
        """On tables and shares."""
        out = 0.0 if self.penalty is None else sum(self.penalty.value(self.index(x)[t]) for t in self.free)
        return out + (share_counts(x[self.base :], self.counts)[0] if self.counts else 0.0)

    def em_step(self, now: Evaluation) -> Vector:
        """Each table to the maximum of its weighted likelihood's parabola, the shares to the mean responsibilities."""
        assert isinstance(now, MatrixFreeEvaluation)
        parts = []
        for number in range(len(self.free)):
            gradient = now.gradient[number * self.n : (number + 1) * self.n]
            own = InformationOperator(partial(now.complete, number), now.diagonal[number])
            move = conjugate_gradients(own, gradient, 1e-3, 100)
            parts.append(gradient / now.diagonal[number] if move is None else move)
        if self.weights_free:
            log_mass = np.log(np.maximum(now.mass + self.counts, 1e-300))
            parts.append(log_mass[:-1] - log_mass[-1] - now.point[self.base :])
        return np.concatenate(parts)

    def scores(self, population: Population, by_answer: bool = False) -> tuple[Vector, Vector]:
        """Of whole annotators: their answers share a type."""
        now, orders = self.evaluate(self.start(population)), self.orders
        rows = np.repeat(np.arange(len(self.weights)), np.diff(self.first))
        place = orders.order[self.code]
        keep = place >= 0
        at, parts = np.repeat(rows, place.shape[1]).reshape(place.shape)[keep], []
        for t in self.free:
            value = (now.share[rows, t, None] * now.coefficient[t][self.code])[keep]
            parts.append(sparse.csr_matrix((value, (at, place[keep])), shape=(len(self.weights), self.n)))
        if self.weights_free:
            parts.append(sparse.csr_matrix((now.share - np.exp(now.log_share))[:, :-1]))
        return np.asarray(sparse.hstack(parts).tocsr() @ self.jacobian(population)), self.weights


class MatrixFreeEvaluation(Evaluation):
    """Value, gradient and curvature of a large mixture's log-likelihood (and prior) at one point.

    Attributes:
        share: responsibilities, ``(B, K)``.
        coefficient: of every unique order, its score in each of its places, ``(K, C, k)``.
        load: weight with which each type answers for each unique order, ``(K, C)``.
        mass: weight of each type, ``(K,)``.
    """

    def __init__(self, classes: MatrixFreeClasses, x: Vector):
        self.classes, orders = classes, classes.orders
        self.s, self.log_share = classes.index(x), classes.log_share(x[classes.base :])
        codes, k = orders.order.shape
        log_f = np.empty((classes.types, codes))
        self.coefficient = np.empty((classes.types, codes, k))
        for t in range(classes.types):
            kernels.order_scores(self.s[t], orders.order, orders.depth, orders.length, log_f[t], self.coefficient[t])
        self.share = np.empty((len(classes.weights), classes.types))
        blocks = mixture_kernels.respond(
            np.ascontiguousarray(log_f.T), self.log_share, classes.code, classes.first, self.share
        )
        held = classes.weights[:, None] * self.share
        rows = np.repeat(np.arange(len(classes.weights)), np.diff(classes.first))
        self.load = np.stack([np.bincount(classes.code, held[rows, t], codes) for t in range(classes.types)])
        self.mass = held.sum(0)
        log_prior, gradient = self._gradient(x)
        super().__init__(x, float(classes.weights @ blocks) + log_prior, gradient, classes.scale, self._operator)

    def _gradient(self, x: Vector) -> tuple[float, Vector]:
        """The prior's value, and the gradient of both."""
        classes, orders, parts, log_prior = self.classes, self.classes.orders, [], 0.0
        for t in classes.free:
            slope = np.zeros(classes.n)
            kernels.gather(self.coefficient[t], orders.order, orders.length, self.load[t], slope)
            if classes.penalty is not None:
                more, bent = classes.penalty.value_gradient(self.s[t])
                log_prior, slope = log_prior + more, slope + bent
            parts.append(slope)
        if classes.weights_free:
            slope = (self.mass - classes.total * np.exp(self.log_share))[:-1]
            if classes.counts:
                more, bent, _ = share_counts(x[classes.base :], classes.counts)
                log_prior, slope = log_prior + more, slope + bent
            parts.append(slope)
        return log_prior, np.concatenate(parts)

    @cached_property
    def diagonal(self) -> Vector:
        """Diagonal of the complete data's information on the tables, ``(K_free, n)``: the preconditioner."""
        classes, orders, out = self.classes, self.classes.orders, []
        for t in classes.free:
            d = np.zeros(classes.n)
            kernels.stage_curvature(self.s[t], orders.order, orders.depth, orders.length, self.load[t], d)
            out.append(d if classes.penalty is None else d + classes.penalty.diagonal(self.s[t]))
        rows = np.array(out).reshape(-1, classes.n)
        return np.maximum(rows, 1e-12 * rows.max(initial=1e-300))

    def _operator(self) -> InformationOperator:
        classes = self.classes
        share = np.exp(self.log_share)[:-1] if classes.weights_free else np.zeros(0)
        return InformationOperator(
            self._product, np.r_[self.diagonal.ravel(), classes.total * share * (1 - share) + 1e-300]
        )

    @cached_property
    def _priors(self) -> list[Callable[[Vector], Vector]]:
        penalty = self.classes.penalty
        return [(lambda v: 0.0 * v) if penalty is None else penalty.curvature(self.s[t]) for t in self.classes.free]

    def complete(self, number: int, v: Vector) -> Vector:
        """The complete data's information on the ``number``-th free table, times ``v (n,)``."""
        t, orders = self.classes.free[number], self.classes.orders
        out = self._priors[number](v)
        kernels.stage_product(self.s[t], orders.order, orders.depth, orders.length, self.load[t], v, out)
        return out

    def _product(self, v: Vector) -> Vector:
        """The observed information times ``v (P,)``."""
        classes, orders = self.classes, self.classes.orders
        tables, out = v[: classes.base].reshape(-1, classes.n), []
        share = np.exp(self.log_share)
        shift = np.zeros(classes.types)
        if classes.weights_free:
            shift[:-1] = v[classes.base :]
        shift -= share @ shift
        y = np.zeros((classes.types, len(orders.order)))
        for number, t in enumerate(classes.free):
            kernels.dot(self.coefficient[t], orders.order, orders.length, tables[number], y[t])
        load, mass = np.zeros((len(orders.order), classes.types)), np.zeros(classes.types)
        kernels.responsibility_change(
            np.ascontiguousarray(y.T), shift, classes.code, classes.first, classes.weights, self.share, load, mass
        )
        for number, t in enumerate(classes.free):
            spread = np.zeros(classes.n)
            change = np.ascontiguousarray(load[:, t])
            kernels.gather(self.coefficient[t], orders.order, orders.length, change, spread)
            out.append(self.complete(number, tables[number]) - spread)
        if classes.weights_free:
            own = (classes.total * share * shift - mass)[:-1]
            if classes.counts:
                own = own + share_counts(self.point[classes.base :], classes.counts)[2] @ v[classes.base :]
            out.append(own)
        return np.concatenate(out)
