"""Population optima of anybody's loss of the preference logit, convex or not, for tabular and linear annotators.

An objective of one's own that says ``loss_of_logit(h, q)`` is projected like the library's own. Nothing is known of its
shape, so it is minimised from several starts by a trust region that follows negative curvature (trust-exact), and polished
by the room's Newton steps; the result's notes say whether the loss was convex wherever it was looked at, and how many
starts ended at the best value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from annosim.errors import NoProjectionError, NotIdentifiedError
from annosim.learning.likelihoods.pair_graph import PairGraph, graph_of, is_pairs
from annosim.learning.objectives import Objective
from annosim.learning.problem import Problem, Solution, register
from annosim.learning.solvers.convex import (
    Affine,
    Minimum,
    affine_of,
    check_regulariser,
    logit_derivatives,
    minimise,
    objective_function,
    solution_of,
)
from annosim.learning.solvers.settings import Newton
from annosim.random import child_seed

__all__ = ["project_logit_loss"]

#: starts of a search when the caller asks for one: a loss of unknown shape may have local minima
STARTS = 8
#: factors by which utilities are multiplied to see whether the loss rises again
GROWN = (2, 4, 16)
#: two minima are one when their values differ by less
SAME = 1e-8

Derivatives = Callable[[torch.Tensor], tuple[float, torch.Tensor, torch.Tensor]]


def _applies(problem: Problem) -> bool:
    objective = problem.objective
    own = objective is not None and type(objective).loss_of_logit is not Objective.loss_of_logit
    return own and problem.prior is None and affine_of(problem) is not None and is_pairs(problem)


def project_logit_loss(problem: Problem) -> Solution:
    """The best minimum of several starts.

    Raises:
        NoProjectionError: the objective reads columns, which a law does not have.
        NotIdentifiedError: the loss goes on falling as the utilities grow.
    """
    affine, objective = affine_of(problem), problem.objective
    assert affine is not None and objective is not None  # what the method is registered for
    if objective.columns():
        raise NoProjectionError(
            f"{type(objective).__name__} reads {', '.join(objective.columns())}, and a law has no columns; fit it to data"
        )
    graph = graph_of(problem)
    if affine.basis is None:
        graph.check_connected(problem.items)
    check_regulariser(problem.regulariser, affine.component, problem.items)
    function = objective_function(affine, graph, objective, problem.regulariser)
    count = problem.starts if problem.starts > 1 else STARTS
    found = [_minimum(function, affine, start, problem) for start in _starts(affine, count, problem.seed)]
    best = min(found, key=lambda one: one.value)
    theta = torch.as_tensor(best.x)
    _check_finite(function, affine, theta, best.value, type(objective).__name__)
    notes = [_shape(objective, affine, graph, [one.x for one in found]), _agreement(found, best)]
    why = "a loss of its own: trust region from several starts, polished by Newton steps"
    solution = solution_of(affine, theta, best, best.iterations, why, notes)
    return replace(solution, starts=[-one.value for one in found])


def _check_finite(function: Derivatives, affine: Affine, theta: torch.Tensor, value: float, name: str) -> None:
    """Refuse what the search took for a minimum where larger utilities of the same shape lose no more: a bounded loss may
    have its lowest value at infinity, where every gradient vanishes."""
    null = affine.null_directions()
    if null is not None:
        basis = torch.linalg.qr(null).Q
        theta = theta - basis @ (basis.T @ theta)
    if float(theta.abs().max()) > 1e-3 and max(function(k * theta)[0] for k in GROWN) < value + SAME * 1e-2:
        raise NotIdentifiedError(
            f"project: the minimum of {name} does not exist: the loss is {value:.10g} where the search ended and no higher at utilities "
            f"{GROWN[0]} to {GROWN[-1]} times as large. Remedies: a loss that rises again for sure logits, or regulariser="
        )


def _starts(affine: Affine, count: int, seed: int) -> list[NDArray[np.float64]]:
    """Zero, and normal draws."""
    draw = np.random.Generator(np.random.Philox(child_seed(seed, "logit-loss/starts")))
    return [np.zeros(affine.size), *(draw.normal(size=affine.size) for _ in range(count - 1))]


def _minimum(function: Derivatives, affine: Affine, start: NDArray[np.float64], problem: Problem) -> Minimum:
    """A local minimum near a start. Along the null directions the function is constant: a square term there changes no minimum."""
    null = affine.null_directions()
    basis = None if null is None else torch.linalg.qr(null).Q

    def fixed(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        theta = torch.as_tensor(x)
        value, gradient, hessian = function(theta)
        if basis is not None:
            along = basis @ (basis.T @ theta)
            value, gradient, hessian = value + float(along @ along) / 2, gradient + along, hessian + basis @ basis.T
        return value, gradient.numpy(), hessian.numpy()

    rough = minimize(
        lambda x: fixed(x)[0],
        start,
        jac=lambda x: fixed(x)[1],
        hess=lambda x: fixed(x)[2],
        method="trust-exact",
        options={"gtol": 1e-8, "maxiter": problem.max_iterations},
    )
    curvature = np.linalg.eigvalsh(fixed(rough.x)[2])[0]
    if curvature > 0:
        return minimise(function, torch.as_tensor(rough.x), null, problem.tolerance, problem.max_iterations)
    value, gradient, _ = function(torch.as_tensor(rough.x))
    norm = float(gradient.abs().max())
    done = norm <= problem.tolerance
    return Minimum(rough.x, value, norm, int(rough.nit), done, "gradient" if done else "iterations")


def _shape(objective: Objective, affine: Affine, graph: PairGraph, points: list[NDArray[np.float64]]) -> str:
    """Whether the loss was convex in the logit at the logits of all minima, and between."""
    index = [affine.index(torch.as_tensor(x)) for x in points]
    reach = max(float((s[graph.winner] - s[graph.loser]).abs().max()) for s in index)
    _, _, curvature = logit_derivatives(objective, torch.linspace(-reach, reach, 201, dtype=torch.float64), None)
    if bool((curvature >= -1e-12).all()):
        return (
            f"the loss is convex in the logit (up to {reach:.3g}): the minimum is the only one, up to its normalisation"
        )
    return f"the loss is not convex in the logit (up to {reach:.3g}): there may be a better minimum than those found"


def _agreement(found: list[Minimum], best: Minimum) -> str:
    same = sum(one.value < best.value + SAME for one in found)
    worst = max(one.value for one in found)
    return f"{same} of {len(found)} starts ended at the best value {best.value:.8g}; the worst at {worst:.8g}"


register("logit-loss", Newton, _applies, project_logit_loss, projection=True, order=9)
