"""Population optima of objectives other than the likelihood: least squares (IPO), Newton; SLiC has its own file.

The same solvers serve finite data and the law (infinite data): both are one weighted graph of pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from annosim.errors import ArgumentError, NoProjectionError
from annosim.items import Items
from annosim.learning.existence.logits import check_logits, held
from annosim.learning.existence.separation import feature_null_space
from annosim.learning.likelihoods.pair_graph import PairGraph, graph_of, is_pairs
from annosim.learning.objectives import IPO, NLL, ForwardKL, Margin, Objective, SoftLabels
from annosim.learning.problem import Problem, Solution, is_nll, register
from annosim.learning.solvers.functions import Function
from annosim.learning.solvers.maximise import maximise
from annosim.learning.solvers.settings import Newton
from annosim.learning.structure import AffineIndex, affine_index
from annosim.populations.base import Population
from annosim.utilities.densities import LogDensity, as_log_density, segment_logsumexp

__all__ = [
    "Affine",
    "Minimum",
    "affine_of",
    "check_regulariser",
    "minimise",
    "penalty_of",
    "project_convex",
    "solution_of",
]


@dataclass(frozen=True, eq=False)
class Affine:
    """The index ``s = B theta + g`` and the energies ``u = E theta`` of a tabular or linear annotator."""

    component: AffineIndex
    items: Items
    basis: torch.Tensor | None  # (n, p) of the energies; None = identity
    f: torch.Tensor
    g: torch.Tensor

    @classmethod
    def of(cls, component: AffineIndex, items: Items) -> Affine:
        basis = None if component.kind == "tabular" else items.feature_matrix.double()
        return cls(component, items, basis, torch.tensor(component.f), torch.tensor(component.g))

    @property
    def size(self) -> int:
        return self.items.n if self.basis is None else self.basis.shape[1]

    def energies(self, theta: torch.Tensor) -> torch.Tensor:
        return theta if self.basis is None else self.basis @ theta

    def index(self, theta: torch.Tensor) -> torch.Tensor:
        return self.f * self.energies(theta) + self.g

    def pull_gradient(self, v: torch.Tensor, of_index: bool) -> torch.Tensor:
        v = self.f * v if of_index else v
        return v if self.basis is None else self.basis.T @ v

    def pull_hessian(self, h: torch.Tensor, of_index: bool) -> torch.Tensor:
        h = self.f[:, None] * h * self.f if of_index else h
        return h if self.basis is None else self.basis.T @ h @ self.basis

    def null_directions(self) -> torch.Tensor | None:
        """Tabular: ``1/f`` within each prompt changes no preference logit."""
        if self.basis is not None:
            return None
        return torch.nn.functional.one_hot(self.items.prompt_code).double() / self.f[:, None]

    def population(self, theta: torch.Tensor) -> Population:
        """The annotator at ``theta``, in the stated normalisation (normalised density, or centred)."""
        annotator = self.component.annotator
        if self.component.kind == "linear":
            return annotator.with_parameters(theta)
        return annotator.with_parameters(
            torch.as_tensor(self.component.utility_from_index(self.index(theta).numpy(), self.items))
        )


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where a minimisation ended.

    Attributes:
        x: ``(p,)``.
        value, gradient_norm: there.
        iterations: Newton steps.
        converged: the gradient is below the tolerance, or below 1e-9 where no step lowers the value any more.
        stopped_by: ``"gradient"``, ``"rounding"`` (no step lowers the value any more) or ``"iterations"``.
    """

    x: np.ndarray
    value: float
    gradient_norm: float
    iterations: int
    converged: bool
    stopped_by: str


def minimise(
    function: Callable[[torch.Tensor], tuple[float, torch.Tensor, torch.Tensor]],
    start: torch.Tensor,
    null: torch.Tensor | None,
    tolerance: float,
    limit: int,
) -> Minimum:
    """Minimise a convex function; ``null (p, m)`` holds directions along which it is constant.

    Args:
        function: ``x -> value, gradient (p,), Hessian (p, p)``.
        start: ``(p,)`` float64.
        null: its span is left where it starts.
        tolerance: on the largest gradient entry.
        limit: Newton steps.

    Example:
        >>> square = lambda x: (float(x @ x), 2 * x, 2 * torch.eye(1).double())
        >>> found = minimise(square, torch.ones(1).double(), None, 1e-9, 9)
        >>> found.converged, found.iterations
        (True, 1)
    """

    def derivatives(x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        value, gradient, hessian = function(torch.as_tensor(x))
        return -value, -gradient.numpy(), hessian.numpy()

    flat = None if null is None else null.numpy()
    concave = Function(derivatives, np.ones(len(start)), flat, longest=np.inf)
    found = maximise(concave, start.numpy(), tolerance, limit)
    norm = float(np.abs(found.gradient).max(initial=0.0))
    done = found.converged or (found.stopped_by == "rounding" and norm < 1e-9)
    return Minimum(found.point, -found.value, norm, found.iterations, done, found.stopped_by)


def affine_of(problem: Problem) -> Affine | None:
    """The structure of a problem's model: one annotator, tabular or linear, with a rule of Luce's type; or ``None``."""
    if len(problem.model.components()) > 1:
        return None
    component = affine_index(problem.model, problem.items)
    return (
        Affine.of(component, problem.items)
        if component is not None and component.kind in ("tabular", "linear")
        else None
    )


def _convex_applies(problem: Problem) -> bool:
    known = problem.objective is None or isinstance(problem.objective, IPO | Margin | SoftLabels | NLL)
    plain_nll = is_nll(problem.objective) and problem.regulariser is None
    return known and not plain_nll and problem.prior is None and affine_of(problem) is not None and is_pairs(problem)


def project_convex(problem: Problem) -> Solution:
    """Minimise a convex objective of the preference logits, plus a forward KL, exactly: Newton on the affine index.

    IPO is quadratic, so one step is weighted least squares.
    """
    affine = affine_of(problem)
    if affine is None:
        raise NoProjectionError(
            "this optimum needs one annotator with a tabular or linear utility and a Luce-type rule"
        )
    graph = graph_of(problem)
    if affine.basis is None:  # weights of features do not need every item to be compared
        graph.check_connected(problem.items)
    check_regulariser(problem.regulariser, affine.component, problem.items)
    notes, null = _check(affine, graph, problem)
    theta = torch.zeros(affine.size, dtype=torch.float64)
    function = objective_function(affine, graph, problem.objective or NLL(), problem.regulariser)
    found = minimise(function, theta, null, problem.tolerance, problem.max_iterations)
    why = "weighted least squares" if isinstance(problem.objective, IPO) else "Newton: convex in the preference logits"
    theta = torch.as_tensor(found.x)
    if null is not None and affine.basis is not None:
        theta = theta - null @ (null.T @ theta)  # the shortest of the weights that are as good
    return solution_of(affine, theta, found, found.iterations, why, notes)


def _check(affine: Affine, graph: PairGraph, problem: Problem) -> tuple[list[str], torch.Tensor | None]:
    """Existence of the minimum, which a penalty decides: notes, and the directions that change nothing."""
    objective = problem.objective or NLL()
    matrix = None if affine.basis is None else (affine.f[:, None] * affine.basis).numpy()
    if problem.regulariser is not None and problem.regulariser.weight > 0:
        flat = None if matrix is None else feature_null_space(matrix, problem.items)
        return [], affine.null_directions() if matrix is None else None if flat is None else torch.as_tensor(flat)
    sides = held(objective.loss_of_logit, len(graph.winner), graph.agree)
    pairs = graph.winner.numpy(), graph.loser.numpy()
    notes, flat = check_logits(type(objective).__name__, sides, *pairs, matrix, problem.items)
    return notes, affine.null_directions() if flat is None else torch.as_tensor(flat)


def check_regulariser(regulariser: ForwardKL | None, component: AffineIndex, items: Items) -> None:
    """Raise when the regulariser has no exact value for this model, or no declared optimum."""
    if regulariser is None:
        return
    if regulariser.shown:
        raise NoProjectionError(
            "ForwardKL(shown=True) is an estimate from menus; project with ForwardKL(reference, weight)"
        )
    if not isinstance(component.annotator.utility, LogDensity):
        raise ArgumentError("ForwardKL: the model's utility is not a density; wrap it: an.LogDensity(an.Tabular(n))")
    if np.ptp(component.f) > 0 and (component.kind != "tabular" or items.num_prompts > 1):
        raise NoProjectionError(
            "ForwardKL with a rule whose f varies over items has a declared optimum only for tabular densities of "
            "one prompt; fit by Adam"
        )


def objective_function(affine: Affine, graph: PairGraph, objective: Objective, regulariser: ForwardKL | None) -> Any:
    """Value, gradient and Hessian in theta."""
    alone = graph.itself * float(objective.loss_of_logit(torch.zeros(1), torch.full((1,), 0.5))[0])

    def call(theta: torch.Tensor):
        s = affine.index(theta)
        h = s[graph.winner] - s[graph.loser]
        each, slope, curvature = (graph.weight * v for v in logit_derivatives(objective, h, graph.agree))
        value, gradient, hessian = penalty_of(affine, theta, regulariser)
        gradient = gradient + affine.pull_gradient(graph.divergence(slope), True)
        hessian = hessian + affine.pull_hessian(graph.laplacian(curvature), True)
        return value + float(each.sum()) + alone, gradient, hessian

    return call


def penalty_of(affine: Affine, theta: torch.Tensor, regulariser: ForwardKL | None):
    """The forward KL at the parameters ``(p,)``, its gradient ``(p,)`` and Hessian ``(p, p)``; zeros without one."""
    if regulariser is None:
        return 0.0, torch.zeros_like(theta), torch.zeros(len(theta), len(theta), dtype=theta.dtype)
    varies = bool((affine.f != affine.f[0]).any())
    if varies:
        value, gradient, hessian = _forward_kl_index(affine, affine.index(theta), regulariser)
    else:
        value, gradient, hessian = _forward_kl(affine, theta, regulariser)
    return value, affine.pull_gradient(gradient, varies), affine.pull_hessian(hessian, varies)


def logit_derivatives(objective: Objective, h: torch.Tensor, agree: torch.Tensor | None):
    """The loss of each logit, its slope and its curvature."""
    h = h.detach().requires_grad_(True)
    each = objective.loss_of_logit(h, agree)
    (slope,) = torch.autograd.grad(each.sum(), h, create_graph=True)
    curvature = torch.zeros_like(h)
    if slope.requires_grad:
        (curvature,) = torch.autograd.grad(slope.sum(), h)
    return each.detach(), slope.detach(), curvature


def _forward_kl_index(affine: Affine, s: torch.Tensor, regulariser: ForwardKL):
    """The same in terms of the index, ``u = (s - g + C(s)) / f``: C is concave, so this is convex; one prompt.

    ``dC/ds = -q`` with ``q`` proportional to ``p / f``.
    """
    items, f = affine.items, affine.f
    log_ref = as_log_density(regulariser.reference, items)
    mass = (log_ref + items.log_weights).exp()
    u = torch.as_tensor(affine.component.utility_from_index(s.detach().numpy(), items))
    p = (u + items.log_weights).exp()
    slope, curve = p / f, p / f**2
    q, r = slope / slope.sum(), curve / slope.sum()
    scale = regulariser.weight * (mass / f).sum()
    value = regulariser.weight * float((mass * torch.where(mass > 0, log_ref - u, 0.0)).sum())
    gradient = scale * q - regulariser.weight * mass / f
    hessian = torch.diag(r) - r[:, None] * q - q[:, None] * r + (curve.sum() / slope.sum()) * q[:, None] * q
    return value, gradient, scale * hessian


def _forward_kl(affine: Affine, theta: torch.Tensor, regulariser: ForwardKL):
    """``weight * KL(reference || density)`` in the energies, its gradient and Hessian, averaged over prompts."""
    u, items = affine.energies(theta), affine.items
    log_ref = as_log_density(regulariser.reference, items)
    mass = (log_ref + items.log_weights).exp()
    total = u + items.log_weights
    log_z = segment_logsumexp(total, items.prompt_code, items.num_prompts)
    p = (total - log_z).exp()
    scale = regulariser.weight / items.num_prompts
    value = scale * float((mass * torch.where(mass > 0, log_ref - (u - log_z), 0.0)).sum())
    same = (items.prompts[:, None] == items.prompts[None]).double()
    return value, scale * (p - mass), scale * (torch.diag(p) - same * p[:, None] * p)


def solution_of(
    affine: Affine, theta: torch.Tensor, found: Minimum, steps: int, why: str, notes: list[str]
) -> Solution:
    """A solver's solution at the parameters, in the stated normalisation."""
    return Solution(
        population=affine.population(theta),
        log_likelihood=None,
        objective=found.value,
        converged=found.converged,
        iterations=steps,
        stopped_by=found.stopped_by,
        gradient_norm=found.gradient_norm,
        why=why,
        notes=notes,
    )


for _projection in (True, False):  # the same solvers for the law and for finite data
    register("convex", Newton, _convex_applies, project_convex, projection=_projection, order=2)
