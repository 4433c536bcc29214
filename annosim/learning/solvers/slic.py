r"""SLiC's optimum: a linear program without a regulariser, an interior point with a forward KL, both with a proof.

The proof is the duality gap. For hinges ``sum_e w_e max(0, delta - h_e)`` of the preference logits ``h = A s`` and a
penalty ``K``, every flow ``0 <= y_e <= w_e`` gives a lower bound of the optimum,

    ``delta sum_e y_e + min_s [K(s) - <A' y, s>]``,

so value minus bound says how far from optimal a solution can be at most. It does not depend on how the solution was
found, nor on rounding in a gradient whose curvature grows without bound at the kinks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.optimize import linprog
from scipy.sparse import csr_matrix, hstack, identity, vstack

from annosim.errors import NoProjectionError
from annosim.learning.likelihoods.pair_graph import PairGraph, graph_of, is_pairs
from annosim.learning.objectives import ForwardKL, SLiC
from annosim.learning.problem import Problem, Solution, register
from annosim.learning.solvers.convex import (
    Affine,
    Minimum,
    affine_of,
    check_regulariser,
    minimise,
    penalty_of,
    solution_of,
)
from annosim.learning.solvers.settings import Newton
from annosim.utilities.densities import as_log_density, segment_logsumexp

__all__ = ["interior_point", "linear_program", "solve_slic"]

#: a solution is converged when it is proved to be this near to the optimum (times the margin, if that is above 1)
PROVED = 1e-8


def solve_slic(problem: Problem) -> Solution:
    """SLiC of one tabular or linear annotator on pairs: the linear program, or with a penalty the interior point."""
    plain = problem.regulariser is None or problem.regulariser.weight == 0
    return linear_program(problem) if plain else interior_point(problem)


def _applies(problem: Problem) -> bool:
    known = isinstance(problem.objective, SLiC) and problem.prior is None
    return known and affine_of(problem) is not None and is_pairs(problem)


def _graph(problem: Problem, affine: Affine) -> PairGraph:
    graph = graph_of(problem)
    if affine.basis is None:  # weights of features do not need every item to be compared
        graph.check_connected(problem.items)
    return graph


def _hinges(affine: Affine, graph: PairGraph, theta: torch.Tensor, delta: float) -> float:
    """``sum_e w_e max(0, delta - h_e)``, pairs of an item with itself included."""
    s = affine.index(theta)
    return float(graph.weight @ torch.relu(delta - (s[graph.winner] - s[graph.loser]))) + graph.itself * delta


# ---- without a regulariser ----------------------------------------------------------------------------------------


def linear_program(problem: Problem) -> Solution:
    r"""``min_theta sum_e w_e max(0, delta - h_e)``, solved through its dual; the parameters are the dual's prices.

    The dual maximises ``<delta - A g, y>`` over flows ``0 <= y_e <= w_e`` with ``(A F)' y = 0``, F the matrix of the
    index in the parameters. For a table of utilities that is a maximum circulation: the matrix is totally unimodular,
    so at a vertex differences of the index are multiples of delta. The optimum need not be unique: the result counts
    the items that can move alone with the objective unchanged.

    Raises:
        NoProjectionError: the program could not be solved (its message says why).
        NotIdentifiedError: some items are never compared.
    """
    affine = _affine(problem)
    graph = _graph(problem, affine)
    delta, n, e = _margin(problem), graph.n, len(graph.winner)
    rows, cols = np.r_[np.arange(e), np.arange(e)], np.r_[graph.winner.numpy(), graph.loser.numpy()]
    logits = csr_matrix((np.r_[np.ones(e), -np.ones(e)], (rows, cols)), shape=(e, n))
    table = affine.basis is None
    matrix = logits if affine.basis is None else csr_matrix(logits @ (affine.f[:, None] * affine.basis).numpy())
    gain = np.full(e, 1.0) if table else delta - logits @ affine.g.numpy()  # a table absorbs g, and delta is its unit
    scale = 1.0 / float(graph.weight.max())  # HiGHS has absolute tolerances near 1e-7
    bounds = np.stack([np.zeros(e), graph.weight.numpy() * scale], -1)
    found = linprog(-gain, A_eq=matrix.T, b_eq=np.zeros(matrix.shape[1]), bounds=bounds, method="highs-ds")
    if found.status != 0:
        raise NoProjectionError(f"SLiC's linear program ended with: {found.message}; use fewer items")
    theta = -torch.as_tensor(np.asarray(found.eqlin.marginals))
    free: int | None = None
    notes: list[str] = []
    bound = (delta if table else 1.0) * -float(found.fun) / scale + graph.itself * delta
    if table:
        s = delta * (theta - theta[0]).round()
        theta = (s - affine.g) / affine.f
        free = loose_items(graph, s, delta)
        if free:
            notes.append(f"the optimum is not unique: {free} of {n} items can move alone with the objective unchanged")
    if not free and (way := flat_direction(graph, matrix, affine.index(theta), delta)) is not None:
        notes.append(f"the optimum is not unique: {_moving(affine, way)} can move with the objective unchanged")
    value = _hinges(affine, graph, theta, delta)
    why = "linear program (dual: maximum circulation)" if table else "linear program"
    return _proved(affine, theta, value, value - bound, int(found.nit), delta, why, notes, free)


def flat_direction(graph: PairGraph, matrix: csr_matrix, s: torch.Tensor, delta: float) -> np.ndarray | None:
    """A change of the parameters ``(p,)`` that changes logits and leaves the objective as it is, or ``None``.

    Where the hinges' slopes along ``d`` add up to no more than zero, ``d`` is flat (the objective is at its minimum).
    These directions are a cone; its part in a box is asked for the largest movement of the logits in one drawn
    combination, both ways, which is zero only if the cone moves no logit.

    Args:
        matrix: ``(pairs, p)``, the logits in the parameters.
        s: ``(n,)`` index at the optimum.
    """
    h, weight = s[graph.winner] - s[graph.loser], graph.weight.numpy()
    kink = ((h - delta).abs() < 1e-9 * max(1.0, delta)).numpy()
    low = (h < delta).numpy() & ~kink
    p, bent = matrix.shape[1], int(kink.sum())
    slopes = csr_matrix(np.r_[-(matrix[low].T @ weight[low]), weight[kink]] / weight.max())
    rises = hstack([-matrix[kink], -identity(bent)])  # -a d <= t at the kinks
    limits = vstack([slopes, rises]) if bent else slopes
    draw = np.random.Generator(np.random.Philox(0)).normal(size=matrix.shape[0])
    aim = np.r_[matrix.T @ draw, np.zeros(bent)]
    size = max(float(np.abs(aim).sum()), 1e-300)
    box = [(-1.0, 1.0)] * p + [(0.0, None)] * bent
    for side in (1.0, -1.0):
        found = linprog(-side * aim / size, A_ub=limits, b_ub=np.zeros(limits.shape[0]), bounds=box, method="highs")
        if found.status == 0 and -found.fun > 1e-6:
            return np.asarray(found.x[:p])
    return None


def _moving(affine: Affine, way: np.ndarray) -> str:
    """What a direction moves, in words."""
    if affine.basis is None:
        return f"items {_listed([affine.items.names[i] for i in _moved(way, affine.items.prompts.numpy())])}"
    return f"weights {_listed([f'utility.weights[{j}]' for j in np.flatnonzero(np.abs(way) > 1e-6)])}"


def _moved(way: np.ndarray, prompts: np.ndarray) -> list[int]:
    """Items that move against most of their prompt: a table has one level a prompt."""
    out: list[int] = []
    for prompt in np.unique(prompts):
        here = np.flatnonzero(prompts == prompt)
        values, count = np.unique(way[here].round(6), return_counts=True)
        out += here[way[here].round(6) != values[count.argmax()]].tolist()
    return out


def _listed(names: list[str]) -> str:
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")


def loose_items(graph: PairGraph, s: torch.Tensor, delta: float) -> int:
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


# ---- with a forward KL --------------------------------------------------------------------------------------------


def interior_point(problem: Problem) -> Solution:
    """SLiC plus a forward KL: Newton along the central path of the hinges' logarithmic barrier, then the proof."""
    affine = _affine(problem)
    graph = _graph(problem, affine)
    check_regulariser(problem.regulariser, affine.component, problem.items)
    delta, theta, steps = _margin(problem), torch.zeros(affine.size, dtype=torch.float64), 0
    limit = min(problem.max_iterations, 50)  # of a stage: what is left after that is rounding
    for gap in np.geomspace(1.0, 1e-9, 19):
        barrier = gap / (2 * len(graph.winner))
        function = _barrier_function(affine, graph, delta, problem.regulariser, barrier)
        # close enough to the path for the next step; the proof below is what counts
        found = minimise(function, theta, affine.null_directions(), max(1e-9, min(1e-4, 1e-2 * gap)), limit)
        theta, steps = torch.as_tensor(found.x), steps + found.iterations
    s = affine.index(theta)
    flow = -_barrier_hinge(delta - (s[graph.winner] - s[graph.loser]), graph.weight, barrier)[1]
    bound = _lower_bound(affine, graph, theta, flow, delta, problem.regulariser)
    value = _hinges(affine, graph, theta, delta) + penalty_of(affine, theta, problem.regulariser)[0]
    return _proved(affine, theta, value, value - bound, steps, delta, "interior point", [], None)


def _lower_bound(affine: Affine, graph: PairGraph, theta: torch.Tensor, flow: torch.Tensor, delta: float, penalty):
    """The best dual value among a flow inside its bounds and a few near it, or minus infinity.

    Where the density is tiny, rounding in the flow can ask it to be negative. A share of the zero flow, at which the
    density is the reference, mends that and costs the bound no more than that share.
    """
    if affine.basis is not None:
        return _bound_of_features(affine, graph, theta, flow, delta, penalty)
    flow = _matched(affine, graph, theta, flow, penalty)
    shares = [0.0, *np.geomspace(1e-13, 1e-8, 11)]
    return max(_bound_of_table(affine, graph, (1 - share) * flow, delta, penalty) for share in shares)


def _matched(affine: Affine, graph: PairGraph, theta: torch.Tensor, flow: torch.Tensor, penalty: ForwardKL):
    """The flow moved a little, inside its bounds, so that it balances the penalty's gradient to the last digit."""
    target = penalty_of(affine, theta, penalty)[1] / affine.f
    best = flow
    for _ in range(3):
        room = torch.minimum(flow, graph.weight - flow)
        missing = target - graph.divergence(flow)
        laplacian = graph.laplacian(room / room.max()).numpy()
        price = torch.as_tensor(np.linalg.lstsq(laplacian, missing.numpy(), rcond=1e-15)[0])
        flow = flow + room / room.max() * (price[graph.winner] - price[graph.loser])
        if not bool(((flow >= 0) & (flow <= graph.weight)).all()):
            break
        best = flow
    return best


def _bound_of_table(affine: Affine, graph: PairGraph, flow: torch.Tensor, delta: float, penalty: ForwardKL) -> float:
    """In closed form: ``K(s) - <A' y, s>`` is least where ``p / f`` is ``mass / f + A' y / weight``, normalised."""
    items, pull = affine.items, graph.divergence(flow)
    mass = (as_log_density(penalty.reference, items) + items.log_weights).exp()
    slopes = mass / affine.f + pull * items.num_prompts / penalty.weight
    if not bool((slopes > 0).all()):
        return -np.inf
    u = (slopes * affine.f).log()
    u = u - segment_logsumexp(u, items.prompt_code, items.num_prompts) - items.log_weights
    return (
        delta * float(flow.sum()) + graph.itself * delta + penalty_of(affine, u, penalty)[0] - _product(affine, pull, u)
    )


def _bound_of_features(
    affine: Affine, graph: PairGraph, theta: torch.Tensor, flow: torch.Tensor, delta: float, penalty
):
    """By Newton's method in the few weights of the features."""
    pull = graph.divergence(flow)

    def inner(x: torch.Tensor):
        value, gradient, hessian = penalty_of(affine, x, penalty)
        return value - _product(affine, pull, x), gradient - affine.pull_gradient(pull, True), hessian

    found = minimise(inner, theta, affine.null_directions(), 1e-13, 100)
    attained = found.gradient_norm < 1e-11
    return delta * float(flow.sum()) + graph.itself * delta + found.value if attained else -np.inf


def _product(affine: Affine, pull: torch.Tensor, theta: torch.Tensor) -> float:
    return float(pull @ affine.index(theta))


def _barrier_function(affine: Affine, graph: PairGraph, delta: float, regulariser, barrier: float) -> Any:
    def call(theta: torch.Tensor):
        s = affine.index(theta)
        short = delta - (s[graph.winner] - s[graph.loser])
        each, slope, curvature = _barrier_hinge(short, graph.weight, barrier)
        value, gradient, hessian = penalty_of(affine, theta, regulariser)
        gradient = gradient + affine.pull_gradient(graph.divergence(slope), True)
        hessian = hessian + affine.pull_hessian(graph.laplacian(curvature), True)
        return value + float(each.sum()), gradient, hessian

    return call


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


def _margin(problem: Problem) -> float:
    assert isinstance(problem.objective, SLiC)  # as _applies() says
    return problem.objective.delta


def _affine(problem: Problem) -> Affine:
    affine = affine_of(problem)
    if affine is None:
        raise NoProjectionError(
            "SLiC's optimum needs one annotator with a tabular or linear utility and a Luce-type rule"
        )
    return affine


def _proved(
    affine: Affine,
    theta: torch.Tensor,
    value: float,
    gap: float,
    steps: int,
    delta: float,
    why: str,
    notes: list[str],
    loose: int | None,
) -> Solution:
    done = bool(gap < PROVED * max(1.0, delta))
    minimum = Minimum(theta.numpy(), value, abs(gap), steps, done, "optimal" if done else "rounding")
    told = f"within {gap:.1e} of the optimum (duality gap)" if np.isfinite(gap) else "the optimum could not be bounded"
    solution = solution_of(affine, theta, minimum, steps, why, [told, *notes])
    solution.duality_gap, solution.loose_items = gap, loose
    return solution


for _projection in (True, False):  # the same solver for the law and for finite data
    register("slic", Newton, _applies, solve_slic, projection=_projection, order=1)
