"""Mixed logit by maximum simulated likelihood: normal coefficients, panels, each person's own scrambled draws.

The simulated likelihood of a person is the mean over R draws of the product of their choices' probabilities (Train
2009, chapter 6); a ranking is a run of choices. Draws are held fixed, so it is smooth; value, gradient and exact
Hessian come from one pass, and Newton's method ends at a gradient of rounding size. What is left is the error of
simulation, which falls about as 1/R.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from annosim.errors import NotIdentifiedError
from annosim.learning.likelihoods.autodiff import starting_points
from annosim.learning.likelihoods.simulated_panel import FEW, SimulatedPanel, coordinates, every_person, mirrored
from annosim.learning.priors import LogPrior
from annosim.learning.problem import Problem, Solution, is_nll, register
from annosim.learning.solvers.maximise import Optimum, newton
from annosim.learning.solvers.settings import SimulatedLikelihood
from annosim.populations.random_coefficients import RandomCoefficients
from annosim.rules.luce import Luce

__all__ = ["refit", "solve_simulated"]

#: no number moves a utility further in one step: the likelihood is far from a parabola
LONGEST = 0.5
#: differences of utilities of which one says, where no optimum was found, that there may be none
UNBOUNDED = 50.0
#: rows times quadrature nodes beyond which simulation takes over from quadrature with automatic differentiation
LARGE = 2e6


def solve_simulated(problem: Problem) -> Solution:
    """Newton on the simulated likelihood, from the model's own values and from redraws; the best is kept."""
    model: RandomCoefficients = problem.model  # type: ignore[assignment]
    panel = SimulatedPanel(model, problem.data, problem.seed, _settings(problem))
    _judge(panel)
    precision, notes = _precision(problem, panel), [panel.words]
    tries = []
    for one in starting_points(problem):
        start = _approach(panel, coordinates(one)[2], precision, problem.max_iterations)  # type: ignore[arg-type]
        tries.append(_ascend(panel, start, precision, problem.tolerance, problem.max_iterations))
    found = max(tries, key=lambda one: one.value)
    full = panel.full.copy()
    full[panel.free] = found.point
    information = panel.information(found.point) + np.diag(precision[panel.free])
    scores = panel.kept["scores"]  # at the optimum, as the information is
    values = [float(one.value + 0.5 * precision[panel.free] @ one.point**2) for one in tries]
    full, turned = mirrored(full, panel)
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
        population=model.with_parameters(_values(model, full)),
        log_likelihood=values[tries.index(found)],
        objective=-found.value / people,
        converged=found.converged,
        iterations=found.iterations,
        stopped_by=found.stopped_by,
        gradient_norm=float(np.abs(found.gradient).max(initial=0.0)) / people,
        condition=found.condition,
        why="normal coefficients on panels: simulated likelihood with its exact Hessian",
        notes=[*notes, *found.notes],
        starts=values,
        trace=np.array(found.trace),
        extra={
            "information": information * np.outer(sign, sign),
            "scores": scores * sign,
            "score_weights": panel.weight,
            "draws": panel.z.shape[2],
            "memory": panel.memory,
            "mirrored": sign < 0,
        },
    )


def refit(fit: Any, weights: np.ndarray) -> Callable[[int], dict[str, torch.Tensor] | None]:
    """Refits on the same draws, from the estimate on, under other weights of annotators ``(replicates, B)``.

    Returns:
        Replicate -> the free parameters by name, or ``None`` where no optimum was reached.
    """
    problem, model = fit.problem, fit.population
    panel = SimulatedPanel(model, problem.data, problem.seed, _settings(problem))
    precision = _precision(problem, panel)
    start = np.where(fit.extra["mirrored"], -1.0, 1.0) * panel.full[panel.free]

    def again(r: int) -> dict[str, torch.Tensor] | None:
        part = panel.reweighted(weights[r])
        found = _climb(part, start, precision, problem.tolerance, problem.max_iterations)
        full = panel.full.copy()
        full[panel.free] = found.point
        return _values(model, mirrored(full, panel)[0]) if found.converged else None

    return again


def _settings(problem: Problem) -> SimulatedLikelihood:
    assert isinstance(problem.solver, SimulatedLikelihood)  # what this method is registered for
    return problem.solver


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
    """Newton from ``start``, in units of utility; ``share`` of the people is in this part, and of the prior."""
    ridge, unit = share * precision[part.free], part.unit[part.free]

    def value_gradient(u: np.ndarray) -> tuple[float, np.ndarray]:
        x = u / unit
        value, gradient = part.everything(x)
        return value - 0.5 * float(ridge @ x**2), (gradient - ridge * x) / unit

    def information(u: np.ndarray) -> np.ndarray:
        return (part.information(u / unit) + np.diag(ridge)) / np.outer(unit, unit)

    scale = np.full(len(start), max(float(part.weight @ np.diff(part.first)), 1e-300))
    found = newton(
        value_gradient, information, start * unit, scale, None, tolerance, limit, reuse=False, longest=LONGEST
    )
    found.point, found.gradient = found.point / unit, found.gradient * unit
    return found


def _ascend(panel: SimulatedPanel, start: np.ndarray, precision: np.ndarray, tolerance: float, limit: int) -> Optimum:
    """To an optimum; where a scale ended below zero, from its mirror image too: the draws are not symmetric."""
    found = _climb(panel, start, precision, tolerance, limit)
    full = panel.full.copy()
    full[panel.free] = found.point
    full, turned = mirrored(full, panel)
    if not turned.any():
        return found
    other = _climb(panel, full[panel.free], precision, tolerance, limit)
    return other if other.value > found.value else found


def _approach(panel: SimulatedPanel, full: np.ndarray, precision: np.ndarray, limit: int) -> np.ndarray:
    """A starting point near the optimum: means, scales, then everything on a few draws of some people, then on more.

    A tenth of the people err by three of all people's standard errors, whereas a few draws of all of them err by more.
    """
    people, _, draws = panel.z.shape
    full, free = full.copy(), panel.free
    every = every_person(people, len(free))
    means = free[panel.column[free] < 0]
    alone = free[(panel.column[free] < 0) | (panel.column[free] == panel.component[free])]
    stages = [(FEW, means), (FEW, alone), *([(FEW, free)] if len(alone) < len(free) else [])]
    stages += [(count, free) for count in (3 * FEW, draws) if (every > 1 or 2 * count <= draws) and count <= draws]
    for count, moved in stages:
        if len(moved):
            share = -(-people // every) / people
            full[moved] = _climb(
                panel.some(every, count).only(moved, full), full[moved], precision, 1e-4, limit, share
            ).point
        full, _ = mirrored(full, panel)
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


def _values(model: RandomCoefficients, full: np.ndarray) -> dict[str, torch.Tensor]:
    """All numbers as the free parameters by name."""
    d, cut = model.dim, model.dim + len(model.varying)
    parts = {"mean": full[:d], "scale": np.maximum(full[d:cut], 1e-12), "lower": full[cut:]}
    free = dict(model.named_parameters())
    return {k: torch.as_tensor(v) for k, v in parts.items() if k in free and free[k].requires_grad}


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
    nodes = problem.model.standard_nodes()[1].numel()  # type: ignore[operator]
    return problem.data.rows * nodes > LARGE


register("simulated", SimulatedLikelihood, _applies, solve_simulated, order=30, automatic=_large)
