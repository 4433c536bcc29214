"""Luce models of one type: Bradley-Terry, Plackett-Luce, conditional logit; Newton on sufficient statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from annosim.items import Items
from annosim.laws import Law
from annosim.learning import memory
from annosim.learning.existence import tables as existence
from annosim.learning.existence.separation import differences, judge_linear
from annosim.learning.likelihoods.kernels import luce as kernels
from annosim.learning.likelihoods.statistics import DENSE_ITEMS, Orders, from_data, from_law, orders_from_data
from annosim.learning.priors import penalty_for
from annosim.learning.problem import Problem, Solution, is_nll, register
from annosim.learning.solvers.accelerated import EdgeList, TableOfCounts, WeightedPairs, accelerate
from annosim.learning.solvers.maximise import LONGEST_STEP, Curvature, Optimum, conjugate_gradients, newton
from annosim.learning.solvers.settings import Newton
from annosim.learning.structure import LuceLeaf, luce_leaf
from annosim.populations.base import Population

__all__ = ["gauge_vectors", "solve_linear", "solve_sparse", "solve_tabular", "write_leaf"]

#: feedback kinds whose answers are stages of Luce choices
STAGED = ("choice", "ranking", "top")
#: below this many items a dense Newton step costs less than anything else
FEW_ITEMS = 64


def _leaf(problem: Problem, kind: str) -> LuceLeaf | None:
    if not is_nll(problem.objective) or problem.regulariser is not None:
        return None
    feedback = problem.design.feedback if problem.design is not None else problem.data.feedback
    if feedback.kind not in STAGED:
        return None
    leaf = luce_leaf(problem.model, problem.items)
    return leaf if leaf is not None and leaf.kind == kind else None


def statistics(problem: Problem) -> Any:
    """Sufficient statistics of the problem's data, or of its law without writing the law's rows."""
    table = from_law(problem.law) if problem.law is not None else None
    return from_data(problem.data) if table is None else table


def gauge_vectors(label: np.ndarray) -> np.ndarray:
    """One indicator column for each label, ``(n, G)``."""
    values, code = np.unique(label, return_inverse=True)
    out = np.zeros((len(label), len(values)))
    out[np.arange(len(label)), code] = 1.0
    return out


# ---- tabular ---------------------------------------------------------------------------------------------------------


def solve_tabular(
    stats: Any, items: Items, penalty: Any = None, start: np.ndarray | None = None, tolerance=1e-10, max_iterations=200
) -> Optimum:
    """Newton on the index itself, ``s (n,)``, each prompt (and each item nobody compared) a gauge of its own."""
    null = gauge_vectors(items.prompts.numpy()) if penalty is None or penalty.keeps_gauge else None
    start = stats.start() if start is None else start
    scale = np.maximum(stats.involved, 1e-300)
    if penalty is None:
        return newton(stats.value_gradient, stats.information, start, scale, null, tolerance, max_iterations)

    def value_gradient(s):
        v, g = stats.value_gradient(s)
        pv, pg, _ = penalty.all(s)
        return v + pv, g + pg

    scale = np.maximum(stats.involved + penalty.weight, 1e-300)
    both = lambda s: stats.information(s) + penalty.all(s)[2]  # noqa: E731
    return newton(value_gradient, both, start, scale, null, tolerance, max_iterations)


def _solve_tabular(problem: Problem) -> Solution:
    leaf = _leaf(problem, "tabular")
    hessian = problem.solver.hessian if isinstance(problem.solver, Newton) else "auto"
    if problem.prior is None and not problem.is_projection and hessian == "auto":
        quick = _accelerated(problem)
        if quick is not None:
            population = write_leaf(problem.model, leaf, quick[1].point, problem.items)  # type: ignore[arg-type]
            needed = memory.of_table(quick[0], problem.data.rows, DENSE_ITEMS)
            return _solution(problem, population, quick[1], quick[0], quick[1].value, [], needed)
    stats = statistics(problem)
    penalty = penalty_for(problem.prior, "tabular", problem.items.n, problem.items)
    notes = _judge(problem, stats, penalty)
    if problem.items.n > DENSE_ITEMS:
        optimum = solve_sparse(stats, penalty, problem.tolerance, problem.max_iterations)
    else:
        optimum = solve_tabular(stats, problem.items, penalty, None, problem.tolerance, problem.max_iterations)
    population = write_leaf(problem.model, leaf, optimum.point, problem.items)  # type: ignore[arg-type]
    needed = memory.of_table(stats, 0 if problem.law is not None else problem.data.rows, DENSE_ITEMS)
    return _solution(problem, population, optimum, stats, stats.value(optimum.point), notes, needed)


def _accelerated(problem: Problem) -> tuple[Any, Optimum] | None:
    """Pairs of many items by the accelerated fixed point, which proves that the maximum exists; else ``None``."""
    data, n = problem.data, problem.items.n
    if n < FEW_ITEMS or data.feedback.kind != "choice" or data.menu_size != 2 or data.answer.ndim != 1:
        return None
    menu, answer, groups = np.asarray(data.menu), np.asarray(data.answer), problem.items.num_prompts
    pairs: Any
    if data.weight is not None:
        if n <= DENSE_ITEMS:
            return None
        pairs = WeightedPairs(from_data(data), groups)  # type: ignore[arg-type]
    elif n <= DENSE_ITEMS and data.rows * 8 > n * n:
        pairs = TableOfCounts(menu, answer, n, groups)
    else:
        pairs = EdgeList(menu, answer, n, groups)
    optimum = accelerate(pairs, problem.tolerance)
    return None if optimum is None else (pairs, optimum)


def solve_sparse(stats: Any, penalty: Any, tolerance: float, max_iterations: int) -> Optimum:
    """Newton with conjugate gradients on products with the information, for more items than a matrix should hold."""
    scale = np.maximum(stats.involved + (0.0 if penalty is None else penalty.weight), 1e-300)

    def value_gradient(s):
        v, g = stats.value_gradient(s)
        if penalty is None:
            return v, g
        pv, pg = penalty.value_gradient(s)
        return v + pv, g + pg

    def information(s):
        product, diagonal = stats.curvature(s)
        if penalty is None:
            return Curvature(product, diagonal)
        more = penalty.curvature(s)
        return Curvature(lambda v: product(v) + more(v), diagonal + penalty.diagonal(s))

    return newton(
        value_gradient, information, stats.start(), scale, None, tolerance, max_iterations, conjugate_gradients
    )


def _judge(problem: Problem, stats: Any, penalty: Any) -> list[str]:
    """Existence, before anything is fitted: raise, or say what the prior or the law's rounding decides."""
    found = existence.connectivity(stats.graph(), problem.items, stats.involved > 0)
    if found.exists:
        return [] if penalty is None else [f"{penalty}: the estimate exists without it; it only shrinks"]
    if penalty is not None:
        at, _ = found.at_fault
        return [f"{penalty} decided what the data do not: {found.message(problem.items).split('. Remedies')[0]}"]
    if problem.is_projection and not (found.unseen or found.separate):
        return [
            "some choice probabilities of the truth are below the smallest float64: the utilities of "
            f"{len(found.at_fault[0])} items are only bounded, the laws still agree in total variation"
        ]
    existence.require_connected(found, problem.items, "fit" if not problem.is_projection else "project")
    return []


def write_leaf(model: Population, leaf: LuceLeaf, s: np.ndarray, items: Items, prefix: str = "") -> Population:
    """The model with the leaf's free table set so that its index is ``s`` up to the gauge."""
    return model.with_parameters(leaf_values(leaf, s, items, prefix))


def leaf_values(leaf: LuceLeaf, s: np.ndarray, items: Items, prefix: str = "") -> dict[str, torch.Tensor]:
    """The named free parameters that give the index ``s`` (tabular leaf)."""
    name = prefix + ("utility.energy.values" if leaf.density else "utility.values")
    return {name: torch.as_tensor(leaf.utility_from_index(s, items))}


def _solution(problem, population, optimum: Optimum, stats, log_likelihood, notes, needed: int) -> Solution:
    total = max(stats.total, 1e-300)
    extra: dict[str, Any] = {"scaled_gradient": optimum.scaled_gradient, "memory": needed}
    if problem.is_projection:
        extra["divergence"] = divergence(problem, log_likelihood)
    words = {"PairTable": "a table of wins", "PairList": "distinct pairs", "Orders": "stages of choices"}
    fast = "comparisons of each pair; accelerated diagonal Newton steps"
    words |= {"TableOfCounts": fast, "EdgeList": fast, "WeightedPairs": fast}
    return Solution(
        population=population,
        log_likelihood=log_likelihood,
        objective=-optimum.value / total,
        converged=optimum.converged,
        iterations=optimum.iterations,
        stopped_by=optimum.stopped_by,
        gradient_norm=float(np.abs(optimum.gradient).max(initial=0.0)) / total,
        condition=optimum.condition,
        why=f"concave log-likelihood, {words[type(stats).__name__]} as sufficient statistics",
        notes=[*notes, *optimum.notes],
        starts=[log_likelihood],
        trace=np.array(optimum.trace),
        extra=extra,
    )


def divergence(problem: Problem, log_likelihood: float) -> float:
    """Kullback-Leibler divergence, per block, of one-type models: cross-entropy of single questions minus entropy."""
    law: Law = problem.law  # type: ignore[assignment]
    if law.questions > 1 and len(law.weight) > 1:
        return block_divergence(problem, log_likelihood)
    counts = law.expected_counts().detach()
    given = counts / counts.sum(-1, keepdim=True)  # menus are drawn alike under both
    return float(torch.special.xlogy(counts, given).sum()) - log_likelihood


def block_divergence(problem: Problem, log_likelihood: float) -> float:
    """The same for truths of several types and several questions: entropy of whole blocks (menus given)."""
    law = problem.law
    p = torch.as_tensor(law.probabilities)  # type: ignore[union-attr]
    blocks = torch.as_tensor(law.outcomes, dtype=torch.long)[p > 0]  # type: ignore[union-attr]
    given = law.given_menus.log_probability(blocks[..., 0], blocks[..., 1])  # type: ignore[union-attr]
    return float((p[p > 0] * given).sum()) - log_likelihood


# ---- linear ----------------------------------------------------------------------------------------------------------


def solve_linear(
    orders: Orders,
    matrix: np.ndarray,
    offset: np.ndarray,
    penalty: Any = None,
    null: np.ndarray | None = None,
    start: np.ndarray | None = None,
    tolerance: float = 1e-10,
    max_iterations: int = 200,
) -> Optimum:
    """Newton on the weights of ``s = matrix @ w + offset``, in one pass over the answers a step."""
    matrix, offset = np.ascontiguousarray(matrix), np.ascontiguousarray(offset)
    dim = matrix.shape[1]

    kept: dict[str, Any] = {}

    def value_gradient(w):
        gradient, information = np.zeros(dim), np.zeros((dim, dim))
        v = kernels.linear_sums(
            w, matrix, offset, orders.order, orders.depth, orders.length, orders.weight, gradient, information
        )
        if penalty is not None:
            pv, pg, ph = penalty.all(w)
            v, gradient, information = v + pv, gradient + pg, information + ph
        kept["at"], kept["information"] = w.copy(), information
        return v, gradient

    def information_at(w):
        if not np.array_equal(kept["at"], w):
            value_gradient(w)
        return kept["information"]

    spread = matrix.std(0)
    scale = np.maximum(orders.total * spread, 1e-300)
    start = np.zeros(dim) if start is None else start
    longest = LONGEST_STEP / np.where(spread > 0, spread, 1.0)  # the cap is on utilities, whatever the features' units
    return newton(
        value_gradient, information_at, start, scale, null, tolerance, max_iterations, reuse=False, longest=longest
    )


def _solve_linear(problem: Problem) -> Solution:
    leaf = _leaf(problem, "linear")
    orders = orders_from_data(problem.data)
    matrix = leaf.design_matrix(problem.items)  # type: ignore[union-attr]
    penalty = penalty_for(problem.prior, "linear", matrix.shape[1], problem.items)
    pairs = differences(orders, matrix)
    notes, null = judge_linear(pairs, matrix, problem.items, penalty)
    optimum = solve_linear(orders, matrix, leaf.g, penalty, null, None, problem.tolerance, problem.max_iterations)  # type: ignore[union-attr]
    if null is not None:
        optimum.point = optimum.point - null @ (null.T @ optimum.point)
    name = "utility.energy.weights" if leaf.density else "utility.weights"  # type: ignore[union-attr]
    population = problem.model.with_parameters({name: torch.as_tensor(optimum.point)})
    log_likelihood = optimum.value - (penalty.value(optimum.point) if penalty is not None else 0.0)
    needed = memory.of_linear(orders, matrix, len(pairs))
    return _solution(problem, population, optimum, orders, log_likelihood, notes, needed)


def _few(problem: Problem) -> bool:
    return problem.items.n <= DENSE_ITEMS and _leaf(problem, "tabular") is not None


def _many(problem: Problem) -> bool:
    return problem.items.n > DENSE_ITEMS and _leaf(problem, "tabular") is not None


def _linear(problem: Problem) -> bool:
    return _leaf(problem, "linear") is not None


register("newton", Newton, _few, _solve_tabular, order=10, hessians=("dense",))
register("newton", Newton, _many, _solve_tabular, order=10, hessians=("matrix-free",))
register("newton-linear", Newton, _linear, _solve_linear, order=10, hessians=("dense",))
