"""Mixed logit by maximum simulated likelihood: normal or log-normal coefficients, panels, each person's own draws.

The simulated likelihood of a person is the mean over R draws of the product of their choices' probabilities (Train
2009, chapter 6); a ranking is a run of choices. Draws are held fixed, so it is smooth; value, gradient and exact
Hessian come from one pass, and Newton's method ends at a gradient of rounding size. What is left is the error of
simulation, which falls about as 1/R. :mod:`.quadrature_logit` puts the nodes of a quadrature where the draws are.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from annosim.compiled import threads
from annosim.compiled.lazy import LazyModule
from annosim.errors import NotIdentifiedError
from annosim.learning.existence.free_numbers import untold
from annosim.learning.likelihoods.base import Likelihood
from annosim.learning.likelihoods.luce import is_staged
from annosim.learning.likelihoods.simulated_centring import centred, modes
from annosim.learning.likelihoods.simulated_coordinates import coordinates, free_coordinates, moving_normals, stages_of
from annosim.learning.likelihoods.simulated_draws import enough, most, requested
from annosim.learning.likelihoods.statistics import orders_from_data
from annosim.learning.penalties import LogPrior
from annosim.learning.problem import Problem
from annosim.learning.solvers.functions import Evaluation
from annosim.learning.solvers.maximise import Optimum, factorise, maximise
from annosim.learning.solvers.settings import SimulatedLikelihood
from annosim.parameters import behaves_as
from annosim.populations.base import Population
from annosim.populations.random_coefficients import RandomCoefficients
from annosim.rules.luce import Luce

__all__ = ["MixedLogit"]

kernels = LazyModule("annosim.learning.likelihoods.kernels.simulated")

Vector = NDArray[np.float64]

#: no number moves a utility further in one step: the likelihood is far from a parabola
LONGEST = 0.5
#: differences of utilities of which one says, where no optimum was found, that there may be none
UNBOUNDED = 50.0
#: draws of the first stages, when there are many more
FEW = 24
#: people of the first stages, when there are many more
FEW_PEOPLE = 1000
#: error of simulation, in standard errors, up to which draws are enough
TOLERABLE = 0.1
#: parts of everybody's draws whose differences tell the error of simulation
PARTS = 4
#: people whose sums are taken together
RUN = 256


class SimulatedEvaluation(Evaluation):
    """A dense evaluation with the score of every annotator, ``(B, P)``."""

    def __init__(self, point: Vector, value: float, gradient: Vector, scale: Vector, curvature: Vector, scores: Vector):
        super().__init__(point, value, gradient, scale, curvature)
        self.scores = scores


class MixedLogit(Likelihood):
    """Choices grouped by person, with their draws; coordinates are the free numbers themselves.

    Attributes:
        z: the draws ``(people, random, R)``.
        inverse: one over their weights ``(people, R)``; ``(people, 0)`` where all are 1.
        unit_of_weights: ``(people,)``, the logarithm of each person's largest weight.
        words: what they are.
        unit: ``(all numbers,)``, by how much a unit of each moves a difference of utilities, root mean square.
        sign: ``(d,)`` 0 for a normal coefficient, else that of a log-normal one.
        precision: ``(all numbers,)``, what the prior adds to the information of each.
    """

    name, order, settings = "simulated", 30, SimulatedLikelihood

    @classmethod
    def applies(cls, problem: Problem) -> bool:
        """Normal or log-normal coefficients under Luce's rule on choices, rankings or top-l answers."""
        model = problem.model
        if not behaves_as(model, RandomCoefficients, "tastes", "utilities", "nodes") or problem.is_projection:
            return False
        if model.distribution is not None:
            return False
        rule = model.rule
        if not behaves_as(rule, Luce, "log_prob", "index") or rule.num_free() or float(rule.temperature) != 1.0:
            return False
        return is_staged(problem) and not problem.data.has_ties and problem.data.replicates is None

    def _asked(self) -> SimulatedLikelihood:
        """How many draws, and where they come from."""
        solver = self.problem.solver
        return solver if isinstance(solver, SimulatedLikelihood) else SimulatedLikelihood()

    def __init__(self, problem: Problem):
        model: RandomCoefficients = problem.model  # type: ignore[assignment]
        self.problem, data = problem, problem.data
        ids = np.asarray(data.annotator_ids)
        if not (np.diff(ids) >= 0).all():
            data = data.take(np.argsort(ids, kind="stable"))
            ids = np.asarray(data.annotator_ids)
        begins = np.flatnonzero(np.r_[True, np.diff(ids) != 0])
        orders = orders_from_data(data, np.ones(data.rows))
        self.first = np.r_[0, np.cumsum(np.add.reduceat(orders.depth.astype(np.int64), begins))]
        self.size, self.difference = stages_of(orders, data.items.feature_matrix.double().numpy())
        self.weights = np.asarray(data.annotator_weight, dtype=np.float64)[ids[begins]]
        self.dim = data.items.dim
        self.component, self.column, self.full = coordinates(model)
        self.sign = np.where(model.is_log.numpy(), model.signs.double().numpy(), 0.0)
        self.free = free_coordinates(model)
        self.random = moving_normals(self.column, self.full, self.free)
        apart = self.difference.reshape(-1, self.dim)
        self._moments = apart.T @ apart / max(len(apart), 1)
        rms = np.sqrt(self._moments.diagonal())
        self.unit = np.where((rms > 0) & (self.sign == 0), rms, 1.0)[self.component]  # logarithms have no unit
        self._draw()
        self.precision = self._precision()

    def _draw(self) -> None:
        """The draws that the problem asks for, with their weights."""
        problem, people = self.problem, len(self.weights)
        self.z, self.words = requested(self._asked(), people, len(self.random), problem.seed)
        self.inverse, self.unit_of_weights = np.empty((people, 0)), np.zeros(people)
        if problem.centre and len(self.random):
            mean, factor = self.coefficients(np.array(problem.centre))
            at = modes(self.first, self.difference, self.size, mean, np.ascontiguousarray(factor[:, self.random]))
            self.z, self.inverse, self.unit_of_weights = centred(self.z, *at)
            self.words += ", about the mode of their own tastes at a first estimate"
        if problem.reflected:
            self.z = self.z * self._signs(problem.reflected)

    def _signs(self, reflected: tuple[int, ...]) -> Vector:
        return np.where(np.isin(self.random, reflected), -1.0, 1.0)[:, None]

    def _precision(self) -> Vector:
        problem, precision = self.problem, np.zeros(len(self.full))
        if problem.prior is not None:
            prior = LogPrior(problem.prior, problem.model, problem.items)
            names = [name.split("[")[0] for name in problem.model.parameter_names()]
            precision[self.free] = np.where(np.isin(names, prior.numbers), prior.precision, 0.0)
        return precision

    @property
    def why(self) -> str:  # type: ignore[override]
        """What it is."""
        return f"{self.kind} coefficients on panels: simulated likelihood with its exact Hessian"

    @property
    def kind(self) -> str:
        """Of the coefficients, in a word."""
        return "random" if self.sign.any() else "normal"

    @property
    def total(self) -> float:  # type: ignore[override]
        """Weight of the annotators."""
        return float(self.weights.sum())

    @property
    def scale(self) -> Vector:  # type: ignore[override]
        """Weight of the choices, in units of utility."""
        return max(float(self.weights @ np.diff(self.first)), 1e-300) * self.unit[self.free]

    @property
    def longest(self) -> Vector:  # type: ignore[override]
        """The cap of a step, in units of utility."""
        return LONGEST / self.unit[self.free]

    def reach(self, move: Vector) -> float:
        """In differences of utilities, root mean square: weights of features that are nearly collinear may go far."""
        full = np.zeros(len(self.full))
        full[self.free] = move
        mean, factor = self.coefficients(full)
        log = self.sign != 0
        moved = np.column_stack([mean, factor])
        plain = np.where(log[:, None], 0.0, moved)
        return (
            max(
                float(np.sqrt(np.einsum("is,ij,js->s", plain, self._moments, plain).max())),
                np.abs(moved[log]).max(initial=0.0),
            )
            / LONGEST
        )

    # ---- parts of it -----------------------------------------------------------------------------------------------

    def subsample(self, every: int, draws: int | None = None) -> Self:
        """Every k-th person, with the first ``draws`` of each one's draws, and as large a share of the prior."""
        other = copy.copy(self)
        people = np.arange(0, len(self.weights), every)
        count = np.diff(self.first)[people]
        other.first = np.r_[0, np.cumsum(count)]
        rows = np.repeat(self.first[people] - other.first[:-1], count) + np.arange(other.first[-1])
        other.size, other.difference, other.weights = self.size[rows], self.difference[rows], self.weights[people]
        other.z = np.ascontiguousarray(self.z[people, :, :draws])
        other.inverse = np.ascontiguousarray(self.inverse[people, :draws])
        other.unit_of_weights = self.unit_of_weights[people]
        other.precision = self.precision * len(people) / len(self.weights)
        return other

    def restrict(self, free: NDArray[np.int64], full: Vector) -> Self:
        """Only these coordinates are free, and the others are as in ``full``."""
        other = copy.copy(self)
        other.free, other.full = free, full.copy()
        return other

    def reweighted(self, weights: Vector) -> Self:
        """The same choices and draws under other weights of people."""
        other = copy.copy(self)
        other.weights = np.asarray(weights, dtype=np.float64)
        return other

    # ---- coordinates -----------------------------------------------------------------------------------------------

    def start(self, model: Population) -> Vector:
        """The free numbers."""
        assert isinstance(model, RandomCoefficients)  # as applies() says
        return coordinates(model)[2][self.free]

    def all_numbers(self, x: Vector) -> Vector:
        """Free and fixed numbers."""
        full = self.full.copy()
        full[self.free] = x
        return full

    def values(self, x: Vector) -> dict[str, torch.Tensor]:
        """Means, positive scales, and the factor below its diagonal."""
        full, model = self.all_numbers(x), self.problem.model
        d, cut = self.dim, self.dim + len(model.varying)
        parts = {"mean": full[:d], "scale": np.maximum(full[d:cut], 1e-12), "lower": full[cut:]}
        free = dict(model.named_parameters())
        return {k: torch.as_tensor(v) for k, v in parts.items() if k in free and free[k].requires_grad}

    def jacobian(self, population: Population) -> Any:
        """They are the parameters themselves."""
        return sparse.identity(len(self.free))

    def coefficients(self, full: Vector) -> tuple[Vector, Vector]:
        """Mean ``(d,)`` and factor ``(d, d)``."""
        factor = np.zeros((self.dim, self.dim))
        fixed = self.column < 0
        mean = np.zeros(self.dim)
        mean[self.component[fixed]] = full[fixed]
        factor[self.component[~fixed], self.column[~fixed]] = full[~fixed]
        return mean, factor

    # ---- value and derivatives -------------------------------------------------------------------------------------

    def evaluate(self, x: Vector) -> SimulatedEvaluation:
        """Everything in one pass.

        Sums are taken over runs of ``RUN`` people, in order: how many threads there are does not change a bit.
        """
        mean, factor = self.coefficients(self.all_numbers(x))
        factor = np.ascontiguousarray(factor[:, self.random])
        place = np.full(self.dim + 1, -1)
        place[self.random] = np.arange(len(self.random))
        component, column = self.component[self.free], place[self.column[self.free]]
        people, size = len(self.weights), len(self.free)
        runs = -(-people // RUN)
        value, scores = np.zeros(runs), np.empty((people, size))
        gradient, lower = np.zeros((runs, size)), np.zeros((runs, size, size))

        def part(i: int) -> None:
            value[i] = kernels.people(
                i * RUN,
                min((i + 1) * RUN, people),
                self.first,
                self.difference,
                self.size,
                self.z,
                self.inverse,
                mean,
                factor,
                self.sign,
                component,
                column,
                self.weights,
                gradient[i],
                lower[i],
                scores,
            )

        threads.run(part, range(runs), threads.count(None))
        total, ridge = lower.sum(0), self.precision[self.free]
        information = total + np.tril(total, -1).T + np.diag(ridge)
        return SimulatedEvaluation(
            x,
            float(value.sum() + self.weights @ self.unit_of_weights) + self.log_prior(x),
            gradient.sum(0) - ridge * x,
            self.scale,
            information,
            scores,
        )

    def log_prior(self, x: Vector) -> float:
        """Normal, on the numbers that the prior acts on."""
        return -0.5 * float(self.precision[self.free] @ x**2)

    def scores(self, population: Population, by_answer: bool = False) -> tuple[Vector, Vector]:
        """Of whole annotators: their answers share tastes."""
        return self.evaluate(self.start(population)).scores, self.weights

    # ---- to maximise it --------------------------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Every direction of the features varies within some menu."""
        spread = self.difference.reshape(-1, self.dim)
        if np.linalg.matrix_rank(spread.T @ spread) < self.dim:
            raise NotIdentifiedError(
                "fit: some direction of the features never varies within a menu, so its coefficient cannot be known; "
                "drop the feature, or ask menus that vary it"
            )
        return []

    def optimum(self, model: Population, tolerance: float, max_iterations: int, newton: bool = True) -> Optimum:
        """In stages; where a scale ended below zero, from its mirror image too: the draws are not symmetric."""
        limit = max_iterations
        found = maximise(self, self._approach(coordinates(model)[2], limit), tolerance, limit)  # type: ignore[arg-type]
        full, turned = self._positive(self.all_numbers(found.point))
        if not turned.any():
            return found
        other = maximise(self, full[self.free], tolerance, limit)
        return other if other.value > found.value else found

    def _approach(self, full: Vector, limit: int) -> Vector:
        """A starting point near the optimum: means, scales, then everything on a few draws of some people, then on more.

        A tenth of the people err by three of all people's standard errors, whereas a few draws of all of them err by
        more.
        """
        people, _, draws = self.z.shape
        full, free = full.copy(), self.free
        every = max(people // max(FEW_PEOPLE, 50 * len(free)), 1)
        for count, moved in self._stages(every, draws):
            if len(moved):
                part = self.subsample(every, count).restrict(moved, full)
                full[moved] = maximise(part, full[moved], 1e-4, limit).point
            full, _ = self._positive(full)
        return full[free]

    def _stages(self, every: int, draws: int) -> list[tuple[int, NDArray[np.int64]]]:
        """How many of the draws, and which numbers move, of a part of the people: one in ``every``."""
        free = self.free
        means = free[self.column[free] < 0]
        alone = free[(self.column[free] < 0) | (self.column[free] == self.component[free])]
        stages = [(FEW, means), (FEW, alone), *([(FEW, free)] if len(alone) < len(free) else [])]
        return stages + [(n, free) for n in (3 * FEW, draws) if (every > 1 or 2 * n <= draws) and n <= draws]

    def _positive(self, full: Vector) -> tuple[Vector, NDArray[np.bool_]]:
        """Columns of the factor with a negative diagonal change sign; all numbers, and which of them did."""
        diagonal = self.component == self.column
        negative = self.column[diagonal & (full < 0)]
        turned = np.isin(self.column, negative) & (self.column >= 0)
        return np.where(turned, -full, full), turned

    def sign_normalised(self, found: Optimum) -> tuple[Self, Optimum]:
        """Scales positive, and the draws of the coefficients that changed sign reflected: the same optimum."""
        full, turned = self._positive(self.all_numbers(found.point))
        if not turned.any():
            return self, found
        other = copy.copy(self)
        columns = set(self.column[turned].tolist())
        other.problem = replace(self.problem, reflected=tuple(sorted(columns ^ set(self.problem.reflected))))
        other.z = self.z * self._signs(tuple(columns))
        now = other.evaluate(full[self.free])
        return other, replace(found, evaluation=now)

    def notes(self, found: Optimum, population: Population) -> list[str]:
        """The draws, reflections, and utilities that grow without bound."""
        problem, out = self.problem, self._words()
        if problem.reflected:
            out.append("the draws of a coefficient were reflected, so that its scale is positive")
        if not found.converged and self._typical_utility(self.all_numbers(found.point)) > UNBOUNDED:
            out.append(
                "utilities grow without bound: tastes explain nearly all answers without error, and the likelihood may "
                "rise for ever; ask more of each annotator, keep some coefficients the same for all, or add a prior"
            )
        if problem.prior is not None:
            prior = LogPrior(problem.prior, problem.model, problem.items)
            out.append(f"prior {problem.prior} on {prior}: the estimate is a posterior mode")
        return [*out, *self._simulation_notes(found), *self._untold(found), *found.notes]

    def _untold(self, found: Optimum) -> list[str]:
        """The coordinates are the free numbers themselves."""
        if not found.converged:
            return []
        curvature = np.asarray(found.evaluation.curvature)
        return untold(self.problem.model, self.problem.items, lambda z: z, found.point, curvature)

    def _words(self) -> list[str]:
        """What the draws are."""
        return [self.words]

    def refined(self, found: Optimum) -> tuple[Self, Optimum]:
        """The optimum at as many draws as make the error of simulation tolerable, where nobody said how many."""
        here, asked = self, self._asked()
        limit = most(len(self.weights), len(self.random))
        plain = bool(self.sign.any())  # a person's log-normal tastes may have several modes
        while asked.draws is None and (error := here.simulation_error(found)) is not None:
            draws, worst = here.z.shape[2], float(error.max(initial=0.0))
            if worst <= TOLERABLE or draws >= limit:
                break
            more = min(enough(draws, worst, TOLERABLE), 4 * draws, limit) if plain or here.problem.centre else draws
            here = here.redrawn(more, None if plain else here.all_numbers(found.point))
            found = maximise(here, found.point, self.problem.tolerance, self.problem.max_iterations)
        return here, found

    def redrawn(self, draws: int, centre: Vector | None) -> Self:
        """The same choices with another number of draws, about each person's mode at some coefficients, if given."""
        other = copy.copy(self)
        asked = replace(self._asked(), draws=draws)
        other.problem = replace(self.problem, solver=asked, centre=() if centre is None else tuple(centre.tolist()))
        other._draw()
        return other

    def simulation_error(self, found: Optimum) -> Vector | None:
        """By how many of its standard errors other draws would move each estimate, ``(P,)``; ``None`` if not known.

        One Newton step from the optimum on each quarter of everybody's draws: a quarter of their spread, by which the
        mean of four differs from the truth, and a third of their mean, as the bias of a simulated log-likelihood falls
        as one over the draws (Train 2009, section 10.3). Low-discrepancy draws do better than that.
        """
        if not len(self.random) or not found.converged or self.z.shape[2] < 2 * PARTS:
            return None
        solve, _ = factorise(np.asarray(found.evaluation.curvature), None, 1e12)
        if solve is None:
            return None
        count = self.z.shape[2] // PARTS
        steps = []
        for at in range(0, PARTS * count, count):
            part = copy.copy(self)
            part.z = np.ascontiguousarray(self.z[..., at : at + count])
            part.inverse = np.ascontiguousarray(self.inverse[:, at : at + count])
            steps.append(solve(part.evaluate(found.point).gradient))
        moved = np.array(steps)
        error = np.sqrt([solve(e)[j] for j, e in enumerate(np.eye(moved.shape[1]))])
        return np.hypot(moved.std(0, ddof=1) / np.sqrt(PARTS), moved.mean(0) / (PARTS - 1)) / error

    def _simulation_notes(self, found: Optimum) -> list[str]:
        error = self.simulation_error(found)
        if error is None:
            return []
        worst, draws = float(error.max(initial=0.0)), self.z.shape[2]
        said = f"other draws would move an estimate by about {worst:.2g} of its standard error"
        if worst <= TOLERABLE:
            return [said]
        return [f"{said}; give more of them, an.learning.SimulatedLikelihood(draws={enough(draws, worst, TOLERABLE)})"]

    def _typical_utility(self, full: Vector) -> float:
        """Root mean square of the utilities of those that were not chosen, less the chosen one's."""
        mean, factor = self.coefficients(full)
        spread = self.difference.reshape(-1, self.dim)
        log = self.sign != 0
        with np.errstate(over="ignore"):
            middle = np.where(log, self.sign * np.exp(mean), mean)
            factor = np.where(log[:, None], middle[:, None] * factor, factor)  # by how much one normal moves a median
            return float(np.sqrt(((spread @ middle) ** 2 + ((spread @ factor) ** 2).sum(1)).mean()))
