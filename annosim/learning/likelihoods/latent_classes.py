"""Latent-class mixtures of Luce types: one compiled pass gives the value and all derivatives.

Coordinates are the weights of each type ``(K, d)`` (of a table, its utilities less that of a reference item in each
prompt) and the log-ratios of the shares to the last type, of which only the free ones count.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from annosim.compiled.lazy import LazyModule
from annosim.errors import NotIdentifiedError
from annosim.items import Items
from annosim.learning.existence.connectivity import connectivity
from annosim.learning.existence.free_numbers import untold
from annosim.learning.likelihoods.base import Likelihood
from annosim.learning.likelihoods.luce import is_staged
from annosim.learning.likelihoods.single_choices import SingleChoices
from annosim.learning.likelihoods.statistics import equal_blocks, unique_orders
from annosim.learning.penalties import LogPrior, MixturePenalty
from annosim.learning.problem import Problem
from annosim.learning.solvers.functions import LONGEST_STEP, Evaluation
from annosim.learning.solvers.maximise import EM_ITERATIONS, Optimum, factorise
from annosim.learning.solvers.settings import Newton
from annosim.learning.structure import AffineIndex, affine_components
from annosim.populations.base import Population
from annosim.populations.mixture import Mixture

__all__ = ["ClassesLikelihood", "LatentClasses"]

kernels = LazyModule("annosim.learning.likelihoods.kernels.mixture")
mixture_maximiser = LazyModule("annosim.learning.likelihoods.kernels.mixture_maximiser")
order_kernels = LazyModule("annosim.learning.likelihoods.kernels.sparse")

Vector = NDArray[np.float64]

#: largest number of free coordinates of one type for which the compiled Hessian is formed
LARGEST_TYPE = 60
#: condition number up to which the data tell everything, and numbers up to which it is asked
TOLD, MOST_TOLD = 1e8, 400
#: shares below this are moved to it where a fit starts
SMALLEST_SHARE = 1e-6


def kinds_of(problem: Problem) -> set[str]:
    """What the types of a mixture of Luce types are on staged answers; empty for any other problem."""
    if not is_staged(problem):
        return set()
    return {one.kind for one in affine_components(problem.model, problem.items) or []}


class ClassesLikelihood(Likelihood):
    """Base of mixtures of Luce types: answers grouped by annotator, each row one of the unique orders.

    Attributes:
        components: the types' structures.
        orders: the unique orders, each with the weight of all rows that have it.
        code: ``(rows,)`` which one each row has, rows sorted by annotator.
        first: ``(B + 1,)`` first row of each annotator.
    """

    has_em_step = True

    def __init__(self, problem: Problem):
        model: Mixture = problem.model  # type: ignore[assignment]
        self.problem, self.items = problem, problem.items
        self.components: list[AffineIndex] = affine_components(model, self.items)  # type: ignore[assignment]
        self._read()
        self.types = len(self.components)
        self.weights_free = bool(model.weights.requires_grad) and self.types > 1
        if problem.prior is not None:
            LogPrior(problem.prior, model, self.items)  # refuses a prior that acts on nothing

    def _read(self) -> None:
        """The answers in the form that evaluations read."""
        self.orders, self.code, self.first, self.weights = unique_orders(self.problem.data)

    @property
    def total(self) -> float:  # type: ignore[override]
        """Weight of the annotators."""
        return float(self.weights.sum())

    @property
    def _rows(self) -> float:
        """Weight of the answers."""
        return float(self.weights @ np.diff(self.first))

    @property
    def has_tables(self) -> bool:
        """Some type's utility is a free table."""
        return any(one.kind == "tabular" for one in self.components)

    def is_regular(self, population: Population) -> bool:
        """Shares inside the simplex."""
        return float(population.weights.detach().min()) > SMALLEST_SHARE

    def notes(self, found: Optimum, population: Population) -> list[str]:
        """What the data do not tell, where the curvature has a flat direction."""
        told = found.condition < TOLD or not found.converged or not self.is_regular(population)
        if told or population.num_free() > MOST_TOLD:
            return list(found.notes)
        here, itself = population.vector().numpy(), lambda z: z
        return [*found.notes, *untold(population, self.problem.items, itself, here, self.information(population))]

    # ---- shares ----------------------------------------------------------------------------------------------------

    def _start_ratios(self, model: Mixture) -> Vector:
        share = model.weights.detach().double().numpy()
        share = np.maximum(share / share.sum(), SMALLEST_SHARE)
        return np.log(share[:-1] / share[-1]) if self.weights_free else np.zeros(0)

    @cached_property
    def _fixed_log_share(self) -> Vector:
        share = self.problem.model.weights.detach().double().numpy()
        with np.errstate(divide="ignore"):  # a share of zero
            return np.log(share / share.sum())

    def log_share(self, ratios: Vector) -> Vector:
        """Logs of the shares ``(K,)`` from the free log-ratios."""
        if not self.weights_free:
            return self._fixed_log_share
        full = np.r_[ratios, 0.0]
        return full - np.logaddexp.reduce(full)

    def _share_jacobian(self, population: Mixture) -> Vector:
        """Of the log-ratios in the weights, ``(K - 1, K)``."""
        share = population.weights.detach().double().numpy()
        return np.c_[np.diag(1.0 / share[:-1]), np.full(self.types - 1, -1.0 / share[-1])]

    def jacobian(self, population: Population) -> Vector:
        """Block by block: of each type's coordinates in its own parameters, of the log-ratios in the weights."""
        parts = [(f"types.{t}.", part) for t, part in self._type_jacobians(population)]
        if self.weights_free:
            parts.append(("weights", self._share_jacobian(population)))  # type: ignore[arg-type]
        values = population.free_parameters()
        start = dict(zip(values, np.r_[0, np.cumsum([v.numel() for v in values.values()])], strict=False))
        out, row = np.zeros((sum(len(part) for _, part in parts), population.num_free())), 0
        for prefix, part in parts:
            at = int(start[next(name for name in values if name.startswith(prefix))])
            out[row : row + len(part), at : at + part.shape[1]] = part
            row += len(part)
        return out

    @abstractmethod
    def _type_jacobians(self, population: Population) -> list[tuple[int, Vector]]:
        """Of each free type, its number and the Jacobian of its coordinates in its own parameters."""

    # ---- scores ----------------------------------------------------------------------------------------------------

    def posterior(self, index: Vector, log_share: Vector) -> tuple[Vector, Vector]:
        """Responsibilities ``(B, K)`` and, of every unique order, its score in each of its places, ``(K, C, k)``.

        Args:
            index: of every type, ``(K, n)``.
            log_share: ``(K,)``.
        """
        orders, codes = self.orders, len(self.orders.order)
        log_f, coefficient = np.empty((self.types, codes)), np.empty((self.types, *orders.order.shape))
        for t in range(self.types):
            order_kernels.order_scores(index[t], orders.order, orders.depth, orders.length, log_f[t], coefficient[t])
        share = np.empty((len(self.weights), self.types))
        kernels.respond(np.ascontiguousarray(log_f.T), log_share, self.code, self.first, share)
        return share, coefficient

    def reweighted(self, weights: Vector) -> Self:
        """The same answers under other weights of annotators."""
        other = copy.copy(self)
        other.weights = np.ascontiguousarray(weights, dtype=np.float64)
        for name in ("scale", "_arrays"):
            other.__dict__.pop(name, None)
        return other

    # ---- existence -------------------------------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Items that no answer shows or connects cannot be told for any type: raise, or say what the prior decided."""
        prior = self._prior_notes()
        if not self.has_tables:
            return prior
        items, problem = self.items, self.problem
        found = connectivity(self.orders.graph(), items, self.orders.exposure > 0)
        if found.exists:
            return prior
        if problem.prior is not None:
            why = found.message(items).split(". Remedies")[0]
            return [f"prior {problem.prior} decided what the data do not, of any type: {why}", *prior]
        if (found.unseen or found.separate) and not problem.is_projection:
            groups = [*([i] for i in found.unseen), *found.separate]
            raise NotIdentifiedError(
                found.message(items, "fit"),
                items=[items.names[i] for g in groups for i in g],
                components=[[items.names[i] for i in g] for g in groups],
            )
        return [
            "some items never lost or never won: at least one type's utilities have no finite maximum; "
            "treat its extreme utilities as bounds, or pass prior="
        ]

    def _prior_notes(self) -> list[str]:
        if self.problem.prior is None:
            return []
        on = LogPrior(self.problem.prior, self.problem.model, self.items)
        return [
            f"prior {self.problem.prior} on {on}: the estimate is a posterior mode; for several types it is not decided "
            "whether the estimate exists without it"
        ]


class ClassesEvaluation(Evaluation):
    """A dense evaluation with what EM's step reads: each type's own information and the mass of each type."""

    def __init__(
        self,
        point: Vector,
        value: float,
        gradient: Vector,
        scale: Vector,
        curvature: Vector,
        blocks: Vector,
        mass: Vector,
    ):
        super().__init__(point, value, gradient, scale, curvature)
        self.blocks, self.mass = blocks, mass


class LatentClasses(ClassesLikelihood):
    """Types with few coordinates: linear ones, or small tables, beside known ones; the whole Hessian is formed.

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (1.0, -1.0)])
        >>> data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 2, [0, 0])
        >>> classes = LatentClasses(Problem(two, data))
        >>> round(classes.evaluate(classes.start(two)).value, 6)  # two answers of probability 1/2
        -1.386294
    """

    name, order, settings, hessians = "em-newton", 20, Newton, ("dense",)

    @classmethod
    def applies(cls, problem: Problem) -> bool:
        """Luce types, linear or small tables, beside known ones, on staged answers."""
        kinds = kinds_of(problem)
        if not kinds or kinds <= {"linear", "known"}:
            return bool(kinds)
        return kinds <= {"tabular", "known"} and problem.items.n - problem.items.num_prompts <= LARGEST_TYPE

    def __init__(self, problem: Problem):
        super().__init__(problem)
        self.contrast, base = self._base()
        slopes = [one.f for one in self.components]
        known = [one.index_of(self.items) if one.kind == "known" else one.g for one in self.components]
        self.offset = np.stack(known)
        distinct, which = _distinct(slopes)
        self.which = which.reshape(-1).astype(np.int64)
        self.features = np.stack([base if (f[0] == 1.0 and not f.strides[0]) else f[:, None] * base for f in distinct])
        self.d = self.features.shape[2]
        own = np.concatenate([np.full(self.d, one.kind != "known") for one in self.components])
        self.free = np.flatnonzero(np.r_[own, np.full(self.types - 1, self.weights_free)])
        self._unit = np.ones(self.d) if self.has_tables else np.sqrt(np.einsum("ij,ij->j", base, base) / len(base))
        self.single = self._single_choices()
        self.penalty = self._penalty()

    def _base(self) -> tuple[NDArray[np.int64] | None, Vector]:
        """Reference items where there are tables, and the features ``(n, d)`` that the coordinates weigh."""
        if self.has_tables:
            return _contrast(self.items)
        linear = any(one.kind == "linear" for one in self.components)
        return None, self.items.features.double().numpy() if linear else np.zeros((self.items.n, 0))  # type: ignore[union-attr]

    def _single_choices(self) -> SingleChoices | None:
        orders = self.orders
        single = int(orders.depth.max(initial=0)) == 1 and int(orders.depth.min(initial=1)) == 1
        if single and len(orders.order) == len(self.code) > 1000 and len(self.features) == 1 and not self.has_tables:
            return SingleChoices(self.features[0], self.offset, orders, self.first)
        return None

    def _penalty(self) -> MixturePenalty | None:
        if self.problem.prior is None:
            return None
        maps, kinds = [self.features[i] for i in self.which], [one.kind for one in self.components]
        return MixturePenalty(self.problem.prior, maps, self.offset, kinds, self.weights_free, self.items)

    @property
    def why(self) -> str:  # type: ignore[override]
        """What it is."""
        return f"mixture of {self.types} Luce types: EM, then Newton on the whole likelihood"

    @cached_property
    def scale(self) -> Vector:  # type: ignore[override]
        """Weight of the answers in units of the features, and of the annotators."""
        own = np.tile(np.maximum(self._rows * self._unit, 1e-300), self.types)
        return np.r_[own, np.full(self.types - 1, self.total)][self.free]

    @cached_property
    def longest(self) -> Vector:  # type: ignore[override]
        """The cap is on utilities, whatever the features' units."""
        own = np.tile(LONGEST_STEP / np.where(self._unit > 0, self._unit, 1.0), self.types)
        return np.r_[own, np.full(self.types - 1, LONGEST_STEP)][self.free]

    # ---- coordinates -----------------------------------------------------------------------------------------------

    def start(self, model: Population) -> Vector:
        """Weights of the types, and log-ratios."""
        own = self._of_types(model.vector().numpy())
        return np.r_[own, self._start_ratios(model)]  # type: ignore[arg-type]

    def direction(self, vector: Vector, move: Vector) -> Vector:
        """Weights of the types move with the numbers themselves, log-ratios with the logs of the shares."""
        ratios = np.zeros(0)
        if self.weights_free:
            shift = move[self._slices["weights"]] / vector[self._slices["weights"]]
            ratios = shift[:-1] - shift[-1]
        return np.r_[self._of_types(move), ratios]

    @cached_property
    def _slices(self) -> dict[str, slice]:
        """Where each parameter stands among the free ones."""
        sizes = {name: p.numel() for name, p in self.problem.model.named_parameters() if p.requires_grad}
        ends = np.cumsum([0, *sizes.values()]).tolist()
        return {name: slice(ends[i], ends[i + 1]) for i, name in enumerate(sizes)}

    def _of_types(self, vector: Vector) -> Vector:
        """The types' coordinates from the free parameters, a linear map: weights, or utilities less the reference's."""
        w = np.zeros((self.types, self.d))
        for t, one in enumerate(self.components):
            if one.kind == "known":
                continue
            own = vector[self._slices[f"types.{t}.{one.parameter}"]]
            w[t] = own if one.kind == "linear" else (own - own[self.contrast])[self._kept]
        return w.ravel()[self.free[self.free < w.size]]

    @cached_property
    def _kept(self) -> NDArray[np.int64]:
        """Items other than the reference of their prompt."""
        return np.flatnonzero(self.contrast != np.arange(self.items.n))

    def _theta(self, x: Vector) -> Vector:
        """All coordinates ``(K d + K - 1,)``, those of known types and fixed shares at zero."""
        theta = np.zeros(self.types * self.d + self.types - 1)
        theta[self.free] = x
        return theta

    def _split(self, x: Vector) -> tuple[Vector, Vector]:
        """Weights ``(K, d)`` and log shares ``(K,)``."""
        theta = self._theta(x)
        return theta[: self.types * self.d].reshape(self.types, self.d), self.log_share(theta[self.types * self.d :])

    def values(self, x: Vector) -> dict[str, torch.Tensor]:
        """Tables, weights of features, and shares."""
        (w, log_share), out = self._split(x), {}
        for t, one in enumerate(self.components):
            if one.kind == "linear":
                out[f"types.{t}.{one.parameter}"] = torch.as_tensor(w[t].copy())
            elif one.kind == "tabular":
                u = np.zeros(self.items.n)
                u[self._kept] = w[t]
                out |= one.values_of(one.f * u + one.g, self.items, f"types.{t}.")
        if self.problem.model.weights.requires_grad:  # of one type, too: a share of one, which is no coordinate
            out["weights"] = torch.as_tensor(np.exp(log_share))
        return out

    def _type_jacobians(self, population: Population) -> list[tuple[int, Vector]]:
        out = []
        for t, one in enumerate(self.components):
            if one.kind == "linear":
                out.append((t, np.eye(self.d)))
            elif one.kind == "tabular":
                eye = np.eye(self.items.n)
                out.append((t, (eye - eye[self.contrast])[self._kept]))
        return out

    # ---- value and derivatives -------------------------------------------------------------------------------------

    def evaluate(self, x: Vector) -> ClassesEvaluation:
        """Everything in one pass."""
        theta, base = self._theta(x), self.types * self.d
        log_share = self.log_share(theta[base:])
        value, gradient, blocks, information, mass = self.sums(theta, log_share)
        if self.penalty is not None:
            more, slope, bend = self.penalty(theta)
            value, gradient, information = value + more, gradient + slope, information + bend
            for t in range(self.types):
                at = slice(t * self.d, (t + 1) * self.d)
                blocks[t] += bend[at, at]
            mass = mass + self.penalty.counts  # pseudo-annotators: the M-step of the shares counts them
        return self._evaluation(x, value, gradient, blocks, information, mass)

    def _evaluation(
        self, x: Vector, value: float, gradient: Vector, blocks: Vector, information: Vector, mass: Vector
    ) -> ClassesEvaluation:
        """From sums over all coordinates to what is free."""
        if len(self.free) < len(gradient):
            gradient, information = gradient[self.free], information[np.ix_(self.free, self.free)]
        return ClassesEvaluation(x, float(value), gradient, self.scale, information, blocks, mass)

    def sums(self, theta: Vector, log_share: Vector) -> tuple[Any, ...]:
        """Value, gradient, each type's information, the whole information and the types' masses, without the prior."""
        found = None if self.single is None else self.single(theta, log_share, self.weights)
        return self._general_sums(theta, log_share) if found is None else found

    @cached_property
    def _alike(self) -> tuple[Any, ...] | None:
        """Codes and starts of annotators with different answers, and which of them everybody is, where they are few."""
        return equal_blocks(self.code, self.first)

    @cached_property
    def _arrays(self) -> tuple[Any, ...]:
        """What the compiled sums read of types and answers: annotators with equal answers are one with their weight."""
        orders, blocks = self.orders, (self.code, self.first)
        if self._alike is not None:
            *blocks, number = self._alike  # type: ignore[assignment]
        weights = self.weights if self._alike is None else np.bincount(number, self.weights, len(blocks[1]) - 1)
        return self.features, self.which, self.offset, orders.order, orders.depth, orders.length, *blocks, weights

    def _general_sums(self, theta: Vector, log_share: Vector) -> tuple[Any, ...]:
        return kernels.evaluate(theta, self.types, self.d, *self._arrays, log_share, True)

    def ascend(
        self,
        start: Vector,
        tolerance: float,
        max_iterations: int,
        newton: bool = True,
        em_iterations: int = EM_ITERATIONS,
    ) -> Optimum:
        """Compiled as a whole where the compiled sums do without numpy's and no prior is added."""
        if self.penalty is not None or self.single is not None:
            return super().ascend(start, tolerance, max_iterations, newton, em_iterations)
        fixed = np.zeros(self.types) if self.weights_free else self._fixed_log_share
        known = np.array([one.kind == "known" for one in self.components])
        trace = np.empty(max_iterations + 1)
        theta, sums, status, iterations, newton_steps, condition = mixture_maximiser.ascend(
            self._theta(start),
            self._arrays,
            fixed,
            self.weights_free,
            known,
            self.free,
            self.scale,
            self.longest,
            tolerance,
            max_iterations,
            newton,
            em_iterations,
            trace,
        )
        found = self._evaluation(theta[self.free], *sums)
        stopped_by = mixture_maximiser.STOPPED_BY[status]
        return Optimum(found, iterations, stopped_by, newton_steps, condition, trace[: iterations + 1].tolist())

    def log_prior(self, x: Vector) -> float:
        """On tables, weights and shares."""
        return 0.0 if self.penalty is None else self.penalty(self._theta(x))[0]

    def em_step(self, now: Evaluation) -> Vector:
        """One Newton step on each type's weighted likelihood, and the shares to the mean responsibilities."""
        assert isinstance(now, ClassesEvaluation)
        d, theta = self.d, self._theta(now.point)
        step, gradient = np.zeros(len(theta)), self._theta(now.gradient)
        for t, one in enumerate(self.components):
            if one.kind != "known":
                at = slice(t * d, (t + 1) * d)
                step[at] = _lifted_solve(now.blocks[t], gradient[at])
        if self.weights_free:
            log_mass = np.log(np.maximum(now.mass, 1e-300))
            step[self.types * d :] = log_mass[:-1] - log_mass[-1] - theta[self.types * d :]
        return step[self.free]

    def scores(self, population: Population, by_answer: bool = False) -> tuple[Vector | sparse.csr_matrix, Vector]:
        """Of whole annotators: their answers share a type."""
        w, log_share = self._split(self.start(population))
        index = np.einsum("tnd,td->tn", self.features[self.which], w) + self.offset
        share, coefficient = self.posterior(index, log_share)
        place, parts = np.maximum(self.orders.order, 0), []
        for t in range(self.types):
            own = np.einsum("ck,ckd->cd", coefficient[t], self.features[self.which[t]][place])
            parts.append(share[:, t, None] * np.add.reduceat(own[self.code], self.first[:-1]))
        parts.append((share - np.exp(log_share))[:, :-1])
        return np.concatenate(parts, 1)[:, self.free] @ self.jacobian(population), self.weights


def _lifted_solve(information: Vector, gradient: Vector) -> Vector:
    """The solution where the information is safely positive definite; else of one with a growing ridge."""
    solve, _ = factorise(information, None, 1e12)
    lift = 1e-8 * max(np.trace(information) / len(gradient), 1e-12)
    while solve is None:
        solve, _ = factorise(information + lift * np.eye(len(gradient)), None, 1e12)
        lift *= 100.0
    return solve(gradient)


def _distinct(slopes: list[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
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
