"""Mixed logit by maximum simulated likelihood: normal coefficients, panels, each person's own scrambled Sobol draws.

The simulated likelihood of a person is the mean over R draws of the product of their choices' probabilities (Train
2009, chapter 6). Draws are held fixed, so it is smooth; value, gradient and exact Hessian come from one pass, and
Newton's method ends at a gradient of rounding size. What is left is the error of simulation, which falls about as 1/R.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import torch

from annosim.errors import ArgumentError, NotIdentifiedError
from annosim.kernels import learning_simulated as kernels
from annosim.kernels import threads
from annosim.learning.newton import Optimum, newton
from annosim.learning.problem import Problem, Solution, is_nll, register
from annosim.learning.sufficient import Orders, orders_from_data
from annosim.populations import Population
from annosim.random import child_seed
from annosim.rules.luce import Luce
from annosim.tastes import RandomCoefficients

__all__ = ["SimulatedPanel", "draws_for", "solve_simulated"]

DRAWS = 200
#: draws of the first climb, when there are many more
FEW = 24
#: rows times quadrature nodes beyond which simulation takes over from quadrature with automatic differentiation
LARGE = 2e6


def draws_for(people: int, draws: int, dim: int, seed: int) -> np.ndarray:
    """Standard normals ``(people, dim, draws)``: consecutive runs of one scrambled Sobol sequence.

    Example:
        >>> draws_for(3, 8, 2, 0).shape
        (3, 2, 8)
    """
    from scipy.special import ndtri
    from scipy.stats import qmc

    generator = np.random.default_rng(child_seed(seed, "simulated likelihood"))
    with warnings.catch_warnings():  # the run is not cut at a power of two; people get consecutive pieces of it anyway
        warnings.simplefilter("ignore", UserWarning)
        points = qmc.Sobol(dim, scramble=True, rng=generator).random(people * draws)
    z = ndtri(np.clip(points, 2.0**-54, 1 - 2.0**-53))
    return np.ascontiguousarray(z.reshape(people, draws, dim).transpose(0, 2, 1))


class SimulatedPanel:
    """Choices grouped by person, with their draws; value, gradient and information of the simulated likelihood.

    Args:
        model: normal random coefficients.
        data: choices.
        draws: R.
        seed: of the draws.
    """

    def __init__(self, model: RandomCoefficients, data: Any, draws: int, seed: int):
        ids = np.asarray(data.annotator_ids)
        if not (np.diff(ids) >= 0).all():
            data = data.take(np.argsort(ids, kind="stable"))
            ids = np.asarray(data.annotator_ids)
        first = np.flatnonzero(np.r_[True, np.diff(ids) != 0])
        orders: Orders = orders_from_data(data, np.ones(data.rows))
        features, order = data.items.features.double().numpy(), np.maximum(orders.order, 0)
        self.others = order.shape[1] - 1
        self.real = (np.arange(1, order.shape[1]) < orders.length[:, None]).reshape(-1)
        spread = (features[order[:, 1:]] - features[order[:, :1]]).reshape(-1, data.items.dim)
        self.difference = np.where(self.real[:, None], spread, 0.0)
        self.start = np.r_[first, len(ids)] * self.others
        self.weight = np.asarray(data.annotator_weight, dtype=np.float64)[ids[first]]
        self.orders, self.dim = orders, data.items.dim
        self.z = draws_for(len(first), draws, self.dim, seed)
        self.component, self.column, self.full = _coordinates(model)
        self.names = [name for name, p in model.named_parameters() if p.requires_grad]
        self.free = _free(model)
        self.kept: dict[str, Any] = {}

    def with_draws(self, draws: int) -> SimulatedPanel:
        """The same panel with the first ``draws`` of each person's draws."""
        other = copy.copy(self)
        other.z, other.kept = np.ascontiguousarray(self.z[:, :, :draws]), {}
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
        """Value and gradient at the free coordinates; the information and scores are kept for :meth:`information`."""
        full = self.full.copy()
        full[self.free] = x
        mean, factor = self.coefficients(full)
        people, size = len(self.weight), len(full)
        workers = threads.count(None) if people > 100 else 1
        parts: list[Any] = [None] * workers
        scores = np.empty((people, size))

        def part(i: int) -> None:
            value, gradient, information = 0.0, np.zeros(size), np.zeros((size, size))
            for b in range(people * i // workers, people * (i + 1) // workers):
                rows = slice(self.start[b], self.start[b + 1])
                odds = self.difference[rows] @ (factor @ self.z[b] + mean[:, None])
                np.minimum(odds, 150.0, out=odds)  # four choices' products stay finite; e^150 is certainty
                np.exp(odds, out=odds)
                odds *= self.real[rows, None]
                value += kernels.person(
                    odds, self.difference[rows], self.others, self.z[b], self.component, self.column, self.weight[b],
                    gradient, information, scores[b],
                )  # fmt: skip
            parts[i] = value, gradient, information

        threads.run(part, range(workers), workers)
        value, gradient, information = (sum(one[j] for one in parts) for j in range(3))
        information = information + np.tril(information, -1).T
        self.kept = {"at": x.copy(), "information": information[np.ix_(self.free, self.free)], "scores": scores}
        return float(value), gradient[self.free]

    def information(self, x: np.ndarray) -> np.ndarray:
        """Minus the Hessian in the free coordinates."""
        if "at" not in self.kept or not np.array_equal(self.kept["at"], x):
            self.everything(x)
        return self.kept["information"]


def _coordinates(model: RandomCoefficients) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For mean, scale and lower: the coefficient each number moves, the normal it multiplies (-1: none), its value."""
    d = model.dim
    component, column = [*range(d), *range(d)], [-1] * d + [*range(d)]
    parts = [model.mean, model.scale]
    if model.lower is not None:
        rows, columns = np.tril_indices(d, -1)
        component, column = [*component, *rows], [*column, *columns]
        parts.append(model.lower)
    full = np.concatenate([part.detach().double().numpy().reshape(-1) for part in parts])
    return np.array(component), np.array(column), full


def _free(model: RandomCoefficients) -> np.ndarray:
    parts = [model.mean, model.scale] + ([] if model.lower is None else [model.lower])
    return np.flatnonzero(np.concatenate([np.full(part.numel(), part.requires_grad) for part in parts]))


def solve_simulated(problem: Problem) -> Solution:
    """Newton on the simulated likelihood, from the model's own values (and from equal tastes when it fails there)."""
    model: RandomCoefficients = problem.model  # type: ignore[assignment]
    draws = problem.options.get("draws", DRAWS)
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 2:
        raise ArgumentError(f"fit(draws={draws!r}): a whole number of at least 2, draws for each annotator")
    panel = SimulatedPanel(model, problem.data, draws, problem.seed)
    total = float(panel.weight @ np.diff(panel.start)) / panel.others
    _judge(panel)
    scale = np.full(len(panel.free), max(total, 1e-300))
    precision = 0.0 if problem.prior is None else problem.prior.precision

    def climb(part: SimulatedPanel, start: np.ndarray, tolerance: float) -> Optimum:
        def value_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = part.everything(x)
            return value - 0.5 * precision * float(x @ x), gradient - precision * x

        ridge = precision * np.eye(len(start))
        limit = min(problem.max_iterations, 200)
        information = lambda x: part.information(x) + ridge  # noqa: E731
        return newton(value_gradient, information, start, scale, None, tolerance, limit, reuse=False)

    start = panel.full[panel.free]
    if draws > 4 * FEW:  # most of the way on a few of the draws
        start = climb(panel.with_draws(FEW), start, 1e-4).point
    found = climb(panel, start, problem.tolerance)
    panel.information(found.point)  # scores and information are those of the optimum
    value = found.value + 0.5 * precision * float(found.point @ found.point)
    full = panel.full.copy()
    full[panel.free] = found.point
    notes = [f"{draws} scrambled Sobol draws for each annotator", *found.notes]
    full, flipped = _mirrored(full, model)
    if flipped.any():
        notes.append("the draws of a coefficient were mirrored, so that its scale is positive")
    if problem.prior is not None:
        notes.append(f"prior {problem.prior} on all numbers: the estimate is a posterior mode")
    sign = np.where(flipped[panel.column] & (panel.column >= 0), -1.0, 1.0)[panel.free]
    people = float(panel.weight.sum())
    return Solution(
        population=_write(model, full), log_likelihood=value, objective=-found.value / people,
        converged=found.converged, iterations=found.iterations, stopped_by=found.stopped_by,
        gradient_norm=float(np.abs(found.gradient).max(initial=0.0)) / people, condition=found.condition,
        why="normal coefficients on panels: simulated likelihood with its exact Hessian", notes=notes, starts=[value],
        trace=np.array(found.trace),
        extra={
            "information": panel.kept["information"] * np.outer(sign, sign),
            "scores": panel.kept["scores"][:, panel.free] * sign, "score_weights": panel.weight, "draws": draws,
        },
    )  # fmt: skip


def _judge(panel: SimulatedPanel) -> None:
    if np.linalg.matrix_rank(panel.difference.T @ panel.difference) < panel.dim:
        raise NotIdentifiedError(
            "fit: some direction of the features never varies within a menu, so its coefficient cannot be known; drop "
            "the feature, or ask menus that vary it"
        )


def _mirrored(full: np.ndarray, model: RandomCoefficients) -> tuple[np.ndarray, np.ndarray]:
    """Columns of the factor with a negative diagonal change sign (their draws are as good with the other sign)."""
    d, full = model.dim, full.copy()
    flipped = full[d : 2 * d] < 0
    full[d : 2 * d] = np.abs(full[d : 2 * d])
    if model.lower is not None:
        _, columns = np.tril_indices(d, -1)
        full[2 * d :] *= np.where(flipped[columns], -1.0, 1.0)
    return full, flipped


def _write(model: RandomCoefficients, full: np.ndarray) -> Population:
    d = model.dim
    parts = {"mean": full[:d], "scale": np.maximum(full[d : 2 * d], 1e-12), "lower": full[2 * d :]}
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
    return data.feedback.kind == "choice" and not data.has_ties and data.answer.ndim == 1


def _large(problem: Problem) -> bool:
    if not _applies(problem):
        return False
    nodes = problem.model.standard_nodes()[1].numel()  # type: ignore[operator]
    return problem.data.rows * nodes > LARGE or "draws" in problem.options


register("simulated", _large, solve_simulated, order=30)
register("simulated-likelihood", _applies, solve_simulated, order=85)
