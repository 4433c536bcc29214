"""Mixed logit by maximum simulated likelihood: normal coefficients, panels, each person's own scrambled draws.

The simulated likelihood of a person is the mean over R draws of the product of their choices' probabilities (Train
2009, chapter 6); a ranking is a run of choices. Draws are held fixed, so it is smooth; value, gradient and exact
Hessian come from one pass, and Newton's method ends at a gradient of rounding size. What is left is the error of
simulation, which falls about as 1/R.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from annosim.errors import NotIdentifiedError
from annosim.kernels import learning_simulated as kernels
from annosim.kernels import threads
from annosim.learning.generic import starting_points
from annosim.learning.newton import Optimum, newton
from annosim.learning.priors import LogPrior
from annosim.learning.problem import Problem, Solution, is_nll, register
from annosim.learning.simulated_draws import PIECE, requested
from annosim.learning.sufficient import Orders, orders_from_data
from annosim.populations import Population
from annosim.rules.luce import Luce
from annosim.tastes import RandomCoefficients

__all__ = ["SimulatedPanel", "memory_needed", "solve_simulated"]

#: draws of the first climb, when there are many more
FEW = 24
#: people of the first climbs, when there are many more
FEW_PEOPLE = 1000
#: differences of utilities of which one says, where no optimum was found, that there may be none
UNBOUNDED = 50.0
#: people whose sums are taken together
RUN = 256
#: rows times quadrature nodes beyond which simulation takes over from quadrature with automatic differentiation
LARGE = 2e6


def memory_needed(people: int, choices: int, others: int, dim: int, random: int, draws: int) -> int:
    """Bytes that a fit takes at its peak, beside the data.

    Draws ``8 people random draws`` and differences of features ``8 choices others dim`` once, and once more the part of
    them on which the first climbs run; orders, scores, and what each core works on.

    Args:
        people, choices: how many annotators, and choices of all of them together.
        others: alternatives of the largest menu, less one.
        dim, random: coefficients, and those that differ between annotators.
        draws: for each annotator.

    Example:
        >>> round(memory_needed(10_000, 100_000, 2, 4, 4, 200) / 1e6)  # of which 64 are draws
        85
    """
    size, corners, every = dim + random, dim * (dim + 1) // 2, _every(people, dim + random)
    normals, differences = people * random * draws, choices * (others * dim + 1)
    first_climbs = (normals if every > 1 else people * random * min(FEW, draws)) / every + differences / every
    held = normals + differences + choices * (others + 3) + 3 * people * (size + 2)
    work = draws * (3 * dim + others + corners + 1 + random * (random + 3) // 2 + 2 * size + 4)
    return int(8 * (held + max(first_climbs, 3 * min(PIECE, normals)) + threads.count(None) * work))


def _every(people: int, size: int) -> int:
    """The first climbs take every so manieth person."""
    return max(people // max(FEW_PEOPLE, 50 * size), 1)


class SimulatedPanel:
    """Choices grouped by person, with their draws; value, gradient and information of the simulated likelihood.

    Args:
        model: normal random coefficients.
        data: choices.
        seed: of the draws.
        options: ``draws=`` and ``sequence=`` as in ``fit``.

    Attributes:
        z: the draws ``(people, random, R)``.
        words: what they are.
    """

    def __init__(self, model: RandomCoefficients, data: Any, seed: int = 0, **options: Any):
        ids = np.asarray(data.annotator_ids)
        if not (np.diff(ids) >= 0).all():
            data = data.take(np.argsort(ids, kind="stable"))
            ids = np.asarray(data.annotator_ids)
        begins = np.flatnonzero(np.r_[True, np.diff(ids) != 0])
        orders: Orders = orders_from_data(data, np.ones(data.rows))
        self.first = np.r_[0, np.cumsum(np.add.reduceat(orders.depth.astype(np.int64), begins))]
        self.size, self.difference = _stages(orders, data.items.features.double().numpy())
        self.weight = np.asarray(data.annotator_weight, dtype=np.float64)[ids[begins]]
        self.dim = data.items.dim
        self.component, self.column, self.full = _coordinates(model)
        self.free = _free(model)
        self.random = _random(self.column, self.full, self.free)
        self.z, self.words = requested(options, len(self.weight), len(self.random), seed)
        self.kept: dict[str, Any] = {}

    @property
    def memory(self) -> int:
        """Bytes; see :func:`memory_needed`."""
        people, random, draws = self.z.shape
        choices, others, dim = self.difference.shape
        return memory_needed(people, choices, others, dim, random, draws)

    def some(self, every: int, draws: int | None = None) -> SimulatedPanel:
        """A panel of every so manieth person, with the first ``draws`` of each one's draws."""
        other = copy.copy(self)
        people = np.arange(0, len(self.weight), every)
        count = np.diff(self.first)[people]
        other.first = np.r_[0, np.cumsum(count)]
        rows = np.repeat(self.first[people] - other.first[:-1], count) + np.arange(other.first[-1])
        other.size, other.difference, other.weight = self.size[rows], self.difference[rows], self.weight[people]
        other.z, other.kept = np.ascontiguousarray(self.z[people, :, :draws]), {}
        return other

    def only(self, free: np.ndarray, full: np.ndarray) -> SimulatedPanel:
        """The same panel in which only these coordinates are free and the others are as in ``full``."""
        other = copy.copy(self)
        other.free, other.full, other.kept = free, full.copy(), {}
        return other

    def coefficients(self, full: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean ``(d,)`` and factor ``(d, d)``."""
        factor = np.zeros((self.dim, self.dim))
        fixed = self.column < 0
        mean = np.zeros(self.dim)
        mean[self.component[fixed]] = full[fixed]
        factor[self.component[~fixed], self.column[~fixed]] = full[~fixed]
        return mean, factor

    def everything(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient at the free coordinates; the information and scores are kept for :meth:`information`.

        Sums are taken over runs of ``RUN`` people, in order: how many threads there are does not change a bit.
        """
        full = self.full.copy()
        full[self.free] = x
        mean, factor = self.coefficients(full)
        factor = np.ascontiguousarray(factor[:, self.random])
        place = np.full(self.dim + 1, -1)
        place[self.random] = np.arange(len(self.random))
        component, column = self.component[self.free], place[self.column[self.free]]
        people, size = len(self.weight), len(self.free)
        runs = -(-people // RUN)
        value, scores = np.zeros(runs), np.empty((people, size))
        gradient, information = np.zeros((runs, size)), np.zeros((runs, size, size))

        def part(i: int) -> None:
            value[i] = kernels.people(
                i * RUN, min((i + 1) * RUN, people), self.first, self.difference, self.size, self.z, mean, factor,
                component, column, self.weight, gradient[i], information[i], scores,
            )  # fmt: skip

        threads.run(part, range(runs), threads.count(None))
        total = information.sum(0)
        self.kept = {"at": x.copy(), "information": total + np.tril(total, -1).T, "scores": scores}
        return float(value.sum()), gradient.sum(0)

    def information(self, x: np.ndarray) -> np.ndarray:
        """Minus the Hessian in the free coordinates."""
        if "at" not in self.kept or not np.array_equal(self.kept["at"], x):
            self.everything(x)
        return self.kept["information"]


def _stages(orders: Orders, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each choice from what is left: how many were not chosen ``(choices,)``, and their features less the chosen one's.

    A ranking is a run of choices, the first place first (Luce 1959); differences are ``(choices, others, d)``.
    """
    depth, k = orders.depth.astype(np.int64), orders.order.shape[1]
    row = np.repeat(np.arange(len(depth)), depth)
    place = np.arange(len(row)) - np.repeat(np.cumsum(depth) - depth, depth)
    size = orders.length[row] - 1 - place
    others = place[:, None] + np.arange(1, k)
    real = others < orders.length[row, None]
    listed = np.where(real, orders.order[row[:, None], np.minimum(others, k - 1)], orders.order[row, place][:, None])
    return size.astype(np.int64), features[listed] - features[orders.order[row, place]][:, None]


def _coordinates(model: RandomCoefficients) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For mean, scale and lower: the coefficient each number moves, the normal it multiplies (-1: none), its value."""
    d, varying = model.dim, np.array(model.varying)
    component, column = [np.arange(d), varying], [np.full(d, -1), varying]
    parts = [model.mean, model.scale]
    if model.lower is not None:
        rows, columns = np.tril_indices(len(varying), -1)
        component, column = [*component, varying[rows]], [*column, varying[columns]]
        parts.append(model.lower)
    full = np.concatenate([part.detach().double().numpy().reshape(-1) for part in parts])
    return np.concatenate(component), np.concatenate(column), full


def _random(column: np.ndarray, full: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The normals that move something: those of the others are never drawn."""
    moves = column >= 0
    moves[np.setdiff1d(np.flatnonzero(full == 0), free)] = False
    return np.unique(column[moves])


def _free(model: RandomCoefficients) -> np.ndarray:
    parts = [model.mean, model.scale] + ([] if model.lower is None else [model.lower])
    return np.flatnonzero(np.concatenate([np.full(part.numel(), part.requires_grad) for part in parts]))


def solve_simulated(problem: Problem) -> Solution:
    """Newton on the simulated likelihood, from the model's own values and from redraws; the best is kept."""
    model: RandomCoefficients = problem.model  # type: ignore[assignment]
    panel = SimulatedPanel(model, problem.data, problem.seed, **problem.options)
    _judge(panel)
    precision, notes = _precision(problem, panel), [panel.words]
    limit = min(problem.max_iterations, 200)
    tries = []
    for one in starting_points(problem):
        start = _approach(panel, _coordinates(one)[2], precision, limit)  # type: ignore[arg-type]
        tries.append(_ascend(panel, start, precision, problem.tolerance, limit))
    found = max(tries, key=lambda one: one.value)
    full = panel.full.copy()
    full[panel.free] = found.point
    information = panel.information(found.point) + np.diag(precision[panel.free])
    scores = panel.kept["scores"]  # at the optimum, as the information is
    values = [float(one.value + 0.5 * precision[panel.free] @ one.point**2) for one in tries]
    full, turned = _mirrored(full, panel)
    if turned.any():
        notes.append("the draws of a coefficient were mirrored, so that its scale is positive")
    if not found.converged and _typical_utility(panel, full) > UNBOUNDED:
        notes.append(
            "utilities grow without bound: tastes explain nearly all answers without error, and the likelihood may "
            "rise for ever; ask more of each annotator, keep some coefficients the same for all, or add a prior"
        )
    if problem.prior is not None:
        prior = LogPrior(problem.prior, model, problem.items)
        notes.append(f"prior {problem.prior} on {prior}: the estimate is a posterior mode")
    sign = np.where(turned, -1.0, 1.0)[panel.free]
    people = float(panel.weight.sum())
    return Solution(
        population=_write(model, full), log_likelihood=values[tries.index(found)], objective=-found.value / people,
        converged=found.converged, iterations=found.iterations, stopped_by=found.stopped_by,
        gradient_norm=float(np.abs(found.gradient).max(initial=0.0)) / people, condition=found.condition,
        why="normal coefficients on panels: simulated likelihood with its exact Hessian",
        notes=[*notes, *found.notes], starts=values, trace=np.array(found.trace),
        extra={
            "information": information * np.outer(sign, sign), "scores": scores * sign, "score_weights": panel.weight,
            "draws": panel.z.shape[2], "memory": panel.memory,
        },
    )  # fmt: skip


def _precision(problem: Problem, panel: SimulatedPanel) -> np.ndarray:
    """What the prior adds to the information of each number, ``(all numbers,)``; zeros without a prior."""
    precision = np.zeros(len(panel.full))
    if problem.prior is None:
        return precision
    reached = LogPrior(problem.prior, problem.model, problem.items).numbers
    names = [name.split("[")[0] for name in problem.model.parameter_names()]
    precision[panel.free] = np.where(np.isin(names, reached), problem.prior.precision, 0.0)
    return precision


def _climb(
    part: SimulatedPanel, start: np.ndarray, precision: np.ndarray, tolerance: float, limit: int, share: float = 1.0
) -> Optimum:
    """Newton from ``start``; ``share`` of the people is in this part, and of the prior."""
    ridge = share * precision[part.free]

    def value_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = part.everything(x)
        return value - 0.5 * float(ridge @ x**2), gradient - ridge * x

    scale = np.full(len(start), max(float(part.weight @ np.diff(part.first)), 1e-300))
    information = lambda x: part.information(x) + np.diag(ridge)  # noqa: E731
    return newton(value_gradient, information, start, scale, None, tolerance, limit, reuse=False)


def _ascend(
    panel: SimulatedPanel, start: np.ndarray, precision: np.ndarray, tolerance: float, limit: int
) -> Optimum:  # fmt: skip
    """To an optimum; where a scale ended below zero, from its mirror image too: the draws are not symmetric."""
    found = _climb(panel, start, precision, tolerance, limit)
    full = panel.full.copy()
    full[panel.free] = found.point
    full, turned = _mirrored(full, panel)
    if not turned.any():
        return found
    other = _climb(panel, full[panel.free], precision, tolerance, limit)
    return other if other.value > found.value else found


def _approach(panel: SimulatedPanel, full: np.ndarray, precision: np.ndarray, limit: int) -> np.ndarray:
    """A starting point near the optimum: means first, then everything, on a few draws of some people, then on all.

    A tenth of the people err by three of all people's standard errors, whereas a few draws of all of them err by more.
    """
    people, _, draws = panel.z.shape
    full, free = full.copy(), panel.free
    every = _every(people, len(free))
    means = free[panel.column[free] < 0]
    stages = [(FEW, means), (FEW, free), *([(draws, free)] if every > 1 and draws > FEW else [])]
    for count, moved in stages:
        if len(moved):
            one = panel.some(every, count).only(moved, full)
            full[moved] = _climb(one, full[moved], precision, 1e-4, limit, len(one.weight) / people).point
        full, _ = _mirrored(full, panel)
    return full[free]


def _typical_utility(panel: SimulatedPanel, full: np.ndarray) -> float:
    """Root mean square of the utilities of those that were not chosen, less the chosen one's."""
    mean, factor = panel.coefficients(full)
    spread = panel.difference.reshape(-1, panel.dim)
    return float(np.sqrt(((spread @ mean) ** 2 + ((spread @ factor) ** 2).sum(1)).mean()))


def _judge(panel: SimulatedPanel) -> None:
    spread = panel.difference.reshape(-1, panel.dim)
    if np.linalg.matrix_rank(spread.T @ spread) < panel.dim:
        raise NotIdentifiedError(
            "fit: some direction of the features never varies within a menu, so its coefficient cannot be known; drop "
            "the feature, or ask menus that vary it"
        )


def _mirrored(full: np.ndarray, panel: SimulatedPanel) -> tuple[np.ndarray, np.ndarray]:
    """Columns of the factor with a negative diagonal change sign (their draws are as good with the other sign).

    Returns:
        All numbers, and which of them changed sign.
    """
    diagonal = panel.component == panel.column
    negative = panel.column[diagonal & (full < 0)]
    turned = np.isin(panel.column, negative) & (panel.column >= 0)
    return np.where(turned, -full, full), turned


def _write(model: RandomCoefficients, full: np.ndarray) -> Population:
    d, cut = model.dim, model.dim + len(model.varying)
    parts = {"mean": full[:d], "scale": np.maximum(full[d:cut], 1e-12), "lower": full[cut:]}
    free = dict(model.named_parameters())
    return model.with_parameters(
        {k: torch.as_tensor(v) for k, v in parts.items() if k in free and free[k].requires_grad}
    )


def _applies(problem: Problem) -> bool:
    model = problem.model
    if type(model) is not RandomCoefficients or model.distribution is not None or bool(model.is_log.any()):
        return False
    if type(model.rule) is not Luce or model.rule.num_free() or float(model.rule.temperature) != 1.0:
        return False
    if problem.is_projection or not is_nll(problem.objective) or problem.regulariser is not None:
        return False
    data = problem.data
    return data.feedback.kind in ("choice", "ranking", "top") and not data.has_ties and data.replicates is None


def _large(problem: Problem) -> bool:
    if not _applies(problem):
        return False
    nodes = problem.model.standard_nodes()[1].numel()  # type: ignore[operator]
    return problem.data.rows * nodes > LARGE or bool({"draws", "sequence"} & set(problem.options))


register("simulated", _large, solve_simulated, order=30)
register("simulated-likelihood", _applies, solve_simulated, order=85)
