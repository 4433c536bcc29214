"""Population optima of objectives other than the likelihood: least squares (IPO), a linear program (SLiC), Newton.

The same solvers serve finite data and the law (infinite data): both are one weighted graph of pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.optimize import linprog
from scipy.sparse import csr_matrix

from annosim.errors import ArgumentError, NoProjectionError
from annosim.items import Items
from annosim.learning.objectives import IPO, NLL, ForwardKL, Margin, Objective, SLiC, SoftLabels
from annosim.learning.pairs import Minimum, PairGraph, graph_of, minimise
from annosim.learning.problem import Problem, Solution, is_nll, register
from annosim.learning.structure import LuceLeaf, luce_leaf
from annosim.populations import Population
from annosim.utilities import LogDensity, as_log_density, segment_logsumexp

__all__ = ["project_convex", "project_slic"]


@dataclass(frozen=True, eq=False)
class _Affine:
    """The index ``s = B theta + g`` and the energies ``u = E theta`` of a tabular or linear annotator."""

    leaf: LuceLeaf
    items: Items
    basis: torch.Tensor | None  # (n, p) of the energies; None = identity
    f: torch.Tensor
    g: torch.Tensor

    @classmethod
    def of(cls, leaf: LuceLeaf, items: Items) -> _Affine:
        basis = None if leaf.kind == "tabular" else items.features.double()
        return cls(leaf, items, basis, torch.as_tensor(leaf.f), torch.as_tensor(leaf.g))

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

    def gauge(self) -> torch.Tensor | None:
        """Tabular: ``1/f`` within each prompt changes no preference logit."""
        if self.basis is not None:
            return None
        _, code = self.items.prompts.unique(return_inverse=True)
        return torch.nn.functional.one_hot(code).double() / self.f[:, None]

    def population(self, theta: torch.Tensor) -> Population:
        """The annotator at ``theta``, in the stated gauge (normalised density, or centred)."""
        annotator = self.leaf.annotator
        if self.leaf.kind == "linear":
            return annotator.with_parameters(theta)
        return annotator.with_parameters(
            torch.as_tensor(self.leaf.utility_from_index(self.index(theta).numpy(), self.items))
        )


def _leaf(problem: Problem) -> LuceLeaf:
    found = _structure(problem)
    if found is None:
        raise NoProjectionError(
            "this optimum needs one annotator with a tabular or linear utility and a Luce-type rule"
        )
    return found


def _structure(problem: Problem) -> LuceLeaf | None:
    if len(problem.model.leaves()) > 1:
        return None
    leaf = luce_leaf(problem.model, problem.items)
    return leaf if leaf is not None and leaf.kind in ("tabular", "linear") else None


def _convex_applies(problem: Problem) -> bool:
    known = problem.objective is None or isinstance(problem.objective, IPO | Margin | SoftLabels | SLiC | NLL)
    plain_nll = is_nll(problem.objective) and problem.regulariser is None
    return known and not plain_nll and problem.prior is None and _structure(problem) is not None and _pairs(problem)


def _pairs(problem: Problem) -> bool:
    if problem.law is not None:
        law = problem.law
        return law.design.feedback.kind == "choice" and law.menu.shape[1] == 2 and len(law.space) == 2
    data = problem.data
    return data.feedback.kind == "choice" and data.menu_size == 2 and not data.has_ties and not bool(data.skipped.any())


def _slic_applies(problem: Problem) -> bool:
    leaf = _structure(problem)
    plain = problem.regulariser is None or problem.regulariser.weight == 0
    return (
        isinstance(problem.objective, SLiC)
        and plain
        and leaf is not None
        and leaf.kind == "tabular"
        and _pairs(problem)
    )


def project_convex(problem: Problem) -> Solution:
    """Minimise a convex objective of the preference logits, plus a forward KL, exactly: Newton on the affine index.

    IPO is quadratic, so one step is weighted least squares. SLiC's hinges are followed along the central path of their
    logarithmic barrier until the duality gap is below 1e-9.
    """
    leaf = _leaf(problem)
    affine = _Affine.of(leaf, problem.items)
    graph = graph_of(problem)
    if affine.basis is None:  # weights of features do not need every item to be compared
        graph.check_connected(problem.items)
    _check_regulariser(problem.regulariser, leaf, problem.items)
    theta = torch.zeros(affine.size, dtype=torch.float64)
    objective = problem.objective or NLL()
    hinge, edges = isinstance(objective, SLiC), len(graph.winner)
    steps = 0
    for gap in np.geomspace(1.0, 1e-9, 19) if hinge else [None]:
        barrier = None if gap is None else gap / (2 * edges)
        function = _function(affine, graph, objective, problem.regulariser, barrier)
        tolerance = problem.tolerance if gap is None else max(1e-9, min(1e-4, 1e-2 * gap))
        found = minimise(function, theta, affine.gauge(), tolerance, problem.max_iterations)
        theta, steps = torch.as_tensor(found.x), steps + found.iterations
    why = "weighted least squares" if isinstance(problem.objective, IPO) else "Newton: convex in the preference logits"
    if not hinge:
        return _solution(affine, theta, found, steps, why, [])
    exact = _function(affine, graph, objective, problem.regulariser, None)(theta)[0]
    return _solution(
        affine, theta, replace(found, value=exact), steps, "interior point", [f"duality gap below {gap:.0e}"]
    )


def _check_regulariser(regulariser: ForwardKL | None, leaf: LuceLeaf, items: Items) -> None:
    if regulariser is None:
        return
    if regulariser.shown:
        raise NoProjectionError(
            "ForwardKL(shown=True) is an estimate from menus; project with ForwardKL(reference, weight)"
        )
    if not isinstance(leaf.annotator.utility, LogDensity):
        raise ArgumentError("ForwardKL: the model's utility is not a density; wrap it: an.LogDensity(an.Tabular(n))")
    if np.ptp(leaf.f) > 0 and (leaf.kind != "tabular" or items.num_prompts > 1):
        raise NoProjectionError(
            "ForwardKL with a rule whose f varies over items has a declared optimum only for tabular densities of "
            "one prompt; fit by Adam"
        )


def _function(affine: _Affine, graph: PairGraph, objective: Objective, regulariser, barrier: float | None) -> Any:
    """Value, gradient and Hessian in theta."""
    alone = graph.itself * float(objective.loss_of_logit(torch.zeros(1), torch.full((1,), 0.5))[0])

    def call(theta: torch.Tensor):
        s = affine.index(theta)
        h = s[graph.winner] - s[graph.loser]
        if barrier is None:
            each, slope, curvature = _derivatives(objective, h, graph.agree)
            each, slope, curvature = graph.weight * each, graph.weight * slope, graph.weight * curvature
        else:
            short = objective.delta - h  # type: ignore[attr-defined]
            each, slope, curvature = _barrier_hinge(short, graph.weight, barrier)
        value = float(each.sum()) + alone
        gradient = affine.pull_gradient(graph.divergence(slope), True)
        hessian = affine.pull_hessian(graph.laplacian(curvature), True)
        if regulariser is not None:
            varies = bool((affine.f != affine.f[0]).any())
            v, g, k = _forward_kl_index(affine, s, regulariser) if varies else _forward_kl(affine, theta, regulariser)
            value, gradient = value + v, gradient + affine.pull_gradient(g, varies)
            hessian = hessian + affine.pull_hessian(k, varies)
        return value, gradient, hessian

    return call


def _derivatives(objective: Objective, h: torch.Tensor, agree: torch.Tensor | None):
    """The loss of each logit, its slope and its curvature."""
    h = h.detach().requires_grad_(True)
    each = objective.loss_of_logit(h, agree)
    (slope,) = torch.autograd.grad(each.sum(), h, create_graph=True)
    curvature = torch.zeros_like(h)
    if slope.requires_grad:
        (curvature,) = torch.autograd.grad(slope.sum(), h)
    return each.detach(), slope.detach(), curvature


def _barrier_hinge(z: torch.Tensor, weight: torch.Tensor, mu: float):
    """``min over x of weight x - mu log x - mu log(x - z)``, and its slope and curvature in -z.

    x stands for ``max(0, z)``. The slack is eliminated in closed form, which keeps the barrier self-concordant: Newton
    needs a few steps for each tenfold fall of mu, where a softplus of one temperature needs hundreds.
    """
    a = weight * z
    root = torch.sqrt(a * a + 4 * mu * mu)
    # two slacks with product mu |...|: write the small one without cancellation
    up = torch.where(a > 0, a + root, 4 * mu * mu / (root - a))
    down = torch.where(a > 0, 4 * mu * mu / (root + a), root - a)
    x, rest = (up + 2 * mu) / (2 * weight), (down + 2 * mu) / (2 * weight)  # x and x - z
    flow = mu / rest
    curvature = mu / (rest**2 + x**2)
    return weight * x - mu * x.log() - mu * rest.log(), -flow, curvature


def _forward_kl_index(affine: _Affine, s: torch.Tensor, regulariser: ForwardKL):
    """The same in terms of the index, ``u = (s - g + C(s)) / f``: C is concave, so this is convex; one prompt.

    ``dC/ds = -q`` with ``q`` proportional to ``p / f``.
    """
    items, f = affine.items, affine.f
    log_ref = as_log_density(regulariser.reference, items)
    mass = (log_ref + items.log_weights).exp()
    u = torch.as_tensor(affine.leaf.utility_from_index(s.detach().numpy(), items))
    p = (u + items.log_weights).exp()
    slope, curve = p / f, p / f**2
    q, r = slope / slope.sum(), curve / slope.sum()
    scale = regulariser.weight * (mass / f).sum()
    value = regulariser.weight * float((mass * torch.where(mass > 0, log_ref - u, 0.0)).sum())
    gradient = scale * q - regulariser.weight * mass / f
    hessian = torch.diag(r) - r[:, None] * q - q[:, None] * r + (curve.sum() / slope.sum()) * q[:, None] * q
    return value, gradient, scale * hessian


def _forward_kl(affine: _Affine, theta: torch.Tensor, regulariser: ForwardKL):
    """``weight * KL(reference || density)`` in the energies, its gradient and Hessian, averaged over prompts."""
    u, items = affine.energies(theta), affine.items
    log_ref = as_log_density(regulariser.reference, items)
    mass = (log_ref + items.log_weights).exp()
    total = u + items.log_weights
    log_z = segment_logsumexp(total, items.prompts)
    p = (total - log_z).exp()
    scale = regulariser.weight / items.num_prompts
    value = scale * float((mass * torch.where(mass > 0, log_ref - (u - log_z), 0.0)).sum())
    same = (items.prompts[:, None] == items.prompts[None]).double()
    return value, scale * (p - mass), scale * (torch.diag(p) - same * p[:, None] * p)


def _solution(affine: _Affine, theta: torch.Tensor, found: Minimum, steps: int, why: str, notes: list[str]) -> Solution:
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


def project_slic(problem: Problem) -> Solution:
    r"""SLiC without a regulariser: a linear program, solved through its dual, a maximum circulation.

    ``max delta sum_e y_e`` over circulations ``0 <= y_e <= weight_e``; the index is the nodes' dual prices.
    The matrix is totally unimodular, so at a vertex differences of the index are multiples of delta. The optimum need
    not be unique: the result says between which values each item's index can move with the objective unchanged.
    """
    leaf = _leaf(problem)
    affine = _Affine.of(leaf, problem.items)
    graph = graph_of(problem)
    graph.check_connected(problem.items)
    n, e = graph.n, len(graph.winner)
    rows = np.r_[graph.winner.numpy(), graph.loser.numpy()]
    cols = np.r_[np.arange(e), np.arange(e)]
    conserve = csr_matrix((np.r_[np.ones(e), -np.ones(e)], (rows, cols)), shape=(n, e))
    delta = problem.objective.delta
    scale = 1.0 / float(graph.weight.max())  # HiGHS has absolute tolerances near 1e-7
    bounds = np.stack([np.zeros(e), graph.weight.numpy() * scale], -1)
    found = linprog(-np.ones(e), A_eq=conserve, b_eq=np.zeros(n), bounds=bounds, method="highs-ds")
    if found.status != 0:
        raise NoProjectionError(f"SLiC's linear program ended with: {found.message}; use fewer items")
    s = -delta * torch.as_tensor(np.asarray(found.eqlin.marginals))
    s = delta * ((s - s[0]) / delta).round() if delta > 0 else torch.zeros(n, dtype=torch.float64)
    value = float(graph.weight @ torch.relu(delta - (s[graph.winner] - s[graph.loser])))
    gap = value + float(found.fun) * delta / scale
    value += graph.itself * delta
    free = _loose_items(graph, s, delta)
    notes = [f"duality gap {gap:.2g}"]
    if free:
        notes.append(f"the optimum is not unique: {free} of {n} items can move alone with the objective unchanged")
    theta = (s - affine.g) / affine.f
    minimum = Minimum(theta.numpy(), value, abs(gap), int(found.nit), abs(gap) < 1e-9, "optimal")
    solution = _solution(affine, theta, minimum, int(found.nit), "linear program (dual: maximum circulation)", notes)
    solution.extra.update({"index": s.numpy(), "duality_gap": gap, "loose_items": free})
    return solution


def _loose_items(graph: PairGraph, s: torch.Tensor, delta: float) -> int:
    """How many items can be moved alone, up or down, without changing the objective."""
    h = s[graph.winner] - s[graph.loser]
    at_kink = (h - delta).abs() < 1e-9 * max(1.0, delta)
    # moving one item by +t changes the hinge's slope: winner up lowers it, loser up raises it
    below = torch.where((h < delta) & ~at_kink, graph.weight, 0.0)
    kink = torch.where(at_kink, graph.weight, 0.0)
    flat = graph.divergence(-below)
    up = flat + torch.zeros(graph.n, dtype=torch.float64).index_add_(0, graph.loser, kink)
    down = -flat + torch.zeros(graph.n, dtype=torch.float64).index_add_(0, graph.winner, kink)
    return int(((up.abs() < 1e-14) | (down.abs() < 1e-14)).sum())


for _projection in (True, False):  # the same solvers for the law and for finite data; the linear program comes first
    register("slic", _slic_applies, project_slic, projection=_projection, order=1)
    register("convex", _convex_applies, project_convex, projection=_projection, order=2)
