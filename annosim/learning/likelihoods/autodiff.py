"""Any rule, any population, by automatic differentiation: L-BFGS, then Newton, in unconstrained coordinates.

The parameters' constraints give the coordinates (softmax for weights, exp for positive numbers), and the Hessian's flat
directions (gauges) are left alone. Used where no faster solver applies.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from annosim.coordinates import by_weight
from annosim.coordinates.normalisation import canonical
from annosim.learning import memory
from annosim.learning.existence.attention import judge_attention, refuse_named
from annosim.learning.existence.tables import judge_table, vanished
from annosim.learning.likelihoods.reference import Blocks, block_log_likelihood
from annosim.learning.priors import LogPrior
from annosim.learning.problem import Problem, Solution, is_nll, register
from annosim.learning.solvers.maximise import newton
from annosim.learning.solvers.settings import LBFGS
from annosim.learning.structure import has_network
from annosim.parameters import Unconstrained
from annosim.populations.base import Population
from annosim.populations.mixture import Mixture
from annosim.random import child_seed

__all__ = ["maximise", "starting_points"]

#: Newton's dense Hessian is formed up to this many parameters
NEWTON_PARAMETERS = 400


def starting_points(problem: Problem) -> list[Population]:
    """The model's own values, then redraws; identical types are redrawn, since they are a saddle."""
    first = problem.model
    if isinstance(first, Mixture) and _identical_types(first):
        first = first.like(child_seed(problem.seed, "start/0"))
    more = [problem.model.like(child_seed(problem.seed, f"start/{i}")) for i in range(1, problem.starts)]
    return [first, *more]


def _identical_types(model: Mixture) -> bool:
    vectors = [one.vector() for one in model.types]  # type: ignore[operator]
    same_kind = len({type(one) for one in model.types}) == 1 and len({v.shape for v in vectors}) == 1
    return (
        len(vectors) > 1 and same_kind and vectors[0].numel() > 0 and all(torch.equal(v, vectors[0]) for v in vectors)
    )


def maximise(problem: Problem, model: Population, blocks: Blocks) -> dict[str, Any]:
    """Climb from one starting point: L-BFGS to a small gradient, then Newton."""
    coordinates = Unconstrained(model)
    total = max(blocks.total, 1e-300)
    prior = None if problem.prior is None else LogPrior(problem.prior, model, problem.items)

    def penalised(p: Population) -> torch.Tensor:
        value = (blocks.weight * block_log_likelihood(p, blocks)).sum()
        return value if prior is None else value + prior.value(p)

    def objective(z: torch.Tensor) -> torch.Tensor:
        return model.functional_call(coordinates.inside(z), penalised) / total

    z, iterations, trace = _lbfgs(objective, coordinates.outside(model.vector()).numpy(), problem.max_iterations)
    stopped, condition = "iterations", float("nan")
    notes: list[str] = []
    if coordinates.size <= NEWTON_PARAMETERS:
        optimum = newton(
            lambda x: _gradient(objective, x),
            lambda x: _information(objective, x),
            z,
            np.ones(len(z)),
            None,
            problem.tolerance,
            50,
        )
        z, stopped, notes = optimum.point, optimum.stopped_by, []
        iterations += optimum.iterations
        gradient, condition = optimum.gradient, _condition(_information(objective, z))
        trace = [*trace, *optimum.trace]
    else:
        gradient = _gradient(objective, z)[1]
        if np.abs(gradient).max() <= max(problem.tolerance, 1e-8):
            stopped = "gradient"
    point = torch.as_tensor(z)
    population = model.with_parameters(coordinates.inside(point).detach())
    with torch.no_grad():
        log_likelihood = float((blocks.weight * block_log_likelihood(population, blocks)).sum())
    return {
        "population": population,
        "log_likelihood": log_likelihood,
        "iterations": iterations,
        "stopped": stopped,
        "gradient": float(np.abs(gradient).max()),
        "condition": condition,
        "notes": notes,
        "objective": -_value(objective, z),
        "trace": np.array(trace) * total,
    }


def _condition(information: np.ndarray) -> float:
    """Condition number off the flat directions (eigenvalues below 1e-10 of the largest), diagonally scaled."""
    d = 1.0 / np.sqrt(np.maximum(information.diagonal(), 1e-300))
    values = np.linalg.eigvalsh(information * d[:, None] * d)
    live = values[values > 1e-10 * values[-1]]
    return float(values[-1] / live[0]) if len(live) else float("nan")


def _value(objective, x: np.ndarray) -> float:
    with torch.no_grad():
        return float(objective(torch.as_tensor(x)))


def _gradient(objective, x: np.ndarray) -> tuple[float, np.ndarray]:
    z = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    value = objective(z)
    (gradient,) = torch.autograd.grad(value, z)
    return float(value.detach()), gradient.numpy()


def _information(objective, x: np.ndarray) -> np.ndarray:
    return -torch.autograd.functional.hessian(objective, torch.as_tensor(x)).numpy()


def _lbfgs(objective, start: np.ndarray, max_iterations: int) -> tuple[np.ndarray, int, list[float]]:
    from scipy.optimize import minimize

    trace: list[float] = []

    def minus(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = _gradient(objective, x)
        trace.append(value)
        return -value, -gradient

    options = {"maxiter": max_iterations, "maxfun": 2 * max_iterations, "gtol": 1e-6, "ftol": 1e-15, "maxcor": 20}
    found = minimize(minus, start, jac=True, method="L-BFGS-B", options=options)
    return found.x, int(found.nit), trace


def _solve(problem: Problem) -> Solution:
    if problem.is_projection:
        refuse_named(problem.model)
    blocks = Blocks(problem.data, named=not problem.is_projection)
    notes = judge_table(problem.model, problem.data, problem.prior, problem.is_projection)
    found = [maximise(problem, start, blocks) for start in starting_points(problem)]
    best = max(found, key=lambda one: -one["objective"])
    population = by_weight(best["population"])
    population = population.with_parameters(canonical(population, problem.items).detach())  # in the reported gauge
    parts = sum(len(one.weight) for one in population.indexed(problem.items))
    rows, k = np.asarray(problem.data.menu).shape
    extra: dict[str, Any] = {"memory": memory.of_autograd(rows, k, parts, population.num_free())}
    if problem.is_projection:
        from annosim.learning.likelihoods.luce import block_divergence

        extra["divergence"] = block_divergence(problem, best["log_likelihood"])
    notes += best["notes"]
    notes += judge_attention(population, blocks, problem.prior)
    notes += vanished(population, 1.0 if problem.is_projection else blocks.total)
    if problem.prior is not None:
        on = LogPrior(problem.prior, problem.model, problem.items)
        notes.append(f"prior {problem.prior} on {on}: the estimate is a posterior mode")
    return Solution(
        population=population,
        log_likelihood=best["log_likelihood"],
        objective=best["objective"],
        converged=best["stopped"] == "gradient",
        iterations=best["iterations"],
        stopped_by=best["stopped"],
        gradient_norm=best["gradient"],
        condition=best["condition"],
        notes=notes,
        why="no closed structure: automatic differentiation",
        starts=[one["log_likelihood"] for one in found],
        trace=best["trace"],
        extra=extra,
    )


def _applies(problem: Problem) -> bool:
    return is_nll(problem.objective) and problem.regulariser is None and not has_network(problem.model)


register("autograd", LBFGS, _applies, _solve, order=80)
