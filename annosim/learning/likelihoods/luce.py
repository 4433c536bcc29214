"""Luce models of one type on sufficient statistics: tables (Bradley-Terry, Plackett-Luce) and linear utilities."""

from __future__ import annotations

import copy
from abc import abstractmethod
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from annosim.compiled.lazy import LazyModule
from annosim.errors import NotIdentifiedError
from annosim.learning.existence import connectivity as existence
from annosim.learning.existence.separation import check_linear, differences, feature_null_space
from annosim.learning.likelihoods.base import Likelihood
from annosim.learning.likelihoods.statistics import (
    DENSE_ITEMS,
    PairList,
    PairTable,
    PartialRankings,
    distinct_orders,
    from_data,
    from_law,
    orders_from_data,
)
from annosim.learning.penalties import table_penalty, weights_penalty
from annosim.learning.problem import Problem, is_nll
from annosim.learning.solvers.accelerated import EdgeList, TableOfCounts, WeightedPairs, accelerate
from annosim.learning.solvers.functions import LONGEST_STEP, Evaluation, InformationOperator
from annosim.learning.solvers.maximise import Optimum, maximise
from annosim.learning.solvers.settings import Newton
from annosim.learning.structure import AffineIndex, affine_index
from annosim.populations.base import Population

__all__ = ["STAGED", "LuceLinear", "LuceTable", "OneType"]

kernels = LazyModule("annosim.learning.likelihoods.kernels.luce")

Vector = NDArray[np.float64]

#: feedback kinds whose answers are stages of Luce choices
STAGED = ("choice", "ranking", "top")
WHY = "concave log-likelihood, {} as sufficient statistics"
#: below this many items a dense Newton step costs less than anything else
FEW_ITEMS = 64
#: refits on other weights use tables of wins up to this many items, and distinct orders beyond
FEW_WINS = 512


def is_staged(problem: Problem) -> bool:
    """Whether the likelihood is asked for, alone, of answers that are stages of choices."""
    feedback = problem.design.feedback if problem.design is not None else problem.data.feedback
    return is_nll(problem.objective) and problem.regulariser is None and feedback.kind in STAGED


class OneType(Likelihood):
    """Base of one annotator's likelihoods: the log-likelihood is a function of the index ``s (n,)``.

    Attributes:
        component: the annotator's structure.
        penalty: the prior in these coordinates, or ``None``.
    """

    concave = True
    independent_answers = True
    kind: str

    def __init__(self, problem: Problem):
        self.problem, self.items = problem, problem.items
        component = affine_index(problem.model, problem.items)
        assert component is not None  # as applies() says
        self.component: AffineIndex = component

    @classmethod
    def applies(cls, problem: Problem) -> bool:
        """One annotator under Luce's rule, on choices, rankings or top-l answers."""
        component = affine_index(problem.model, problem.items) if is_staged(problem) else None
        return component is not None and component.kind == cls.kind

    @cached_property
    def weights(self) -> Vector:  # type: ignore[override]
        """Of the annotators, ``(B,)``."""
        return np.asarray(self.problem.data.annotator_weight, dtype=np.float64)[self._people[0]]

    @cached_property
    def _people(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Numbers of the annotators, and which one each row has."""
        ids, block = np.unique(np.asarray(self.problem.data.annotator_ids), return_inverse=True)
        return ids.astype(np.int64), block.reshape(-1).astype(np.int64)

    # ---- scores ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def _index(self, population: Population) -> Vector:
        """The index at a population, ``(n,)``."""

    def scores(self, population: Population, by_answer: bool = False) -> tuple[sparse.csr_matrix, Vector]:
        """Sparse; of a projection onto one type the units are whole blocks and not single questions."""
        law = self.problem.law
        data = self.problem.written_law() if law is not None and law.questions > 1 else self.problem.data
        component = affine_index(population, self.items)
        jacobian = sparse.csr_matrix(component.index_jacobian(self.items))  # type: ignore[union-attr]
        rows = row_scores(orders_from_data(data), self._index(population)) @ jacobian
        if by_answer:
            return rows, np.asarray(data.row_weight)
        ids, block = np.unique(np.asarray(data.annotator_ids), return_inverse=True)
        gather = sparse.csr_matrix((np.ones(len(block)), (block.reshape(-1), np.arange(len(block)))))
        return gather @ rows, np.asarray(data.annotator_weight)[ids]

    def meat(self, population: Population, by_answer: bool) -> Vector | None:
        """Of a law of single pairs in closed form, without writing its rows; ``None`` for anything else."""
        law = self.problem.law
        table = from_law(law) if law is not None and law.questions == 1 else None
        if table is None:
            return None
        s = self._index(population)
        d = s[:, None] - s[None, :]
        z = np.exp(-np.abs(d))
        lost = np.where(d >= 0, z, 1.0) / (1.0 + z)  # probability that the row item is not preferred
        spread = table.wins * lost**2
        spread = spread + spread.T
        component = affine_index(population, self.items)
        jacobian = component.index_jacobian(self.items)  # type: ignore[union-attr]
        return np.asarray(jacobian.T @ ((np.diag(spread.sum(1)) - spread) @ jacobian))


def row_scores(orders: PartialRankings, s: Vector) -> sparse.csr_matrix:
    """Score of every row in the index, sparse ``(rows, n)``."""
    rows, k = orders.order.shape
    coefficient = np.zeros((rows, k))
    values = np.where(orders.order >= 0, s[np.maximum(orders.order, 0)], -np.inf)
    total = np.logaddexp.accumulate(values[:, ::-1], 1)[:, ::-1]
    for t in range(int(orders.depth.max(initial=0))):
        live = orders.depth > t
        coefficient[live, t] += 1.0
        coefficient[live, t:] -= np.exp(values[live, t:] - total[live, t : t + 1])
    keep = orders.order >= 0
    index = np.repeat(np.arange(rows), k).reshape(rows, k)
    return sparse.csr_matrix((coefficient[keep], (index[keep], orders.order[keep])), shape=(rows, orders.n))


def prompt_indicators(label: NDArray[Any]) -> Vector:
    """One indicator column for each label, ``(n, G)``."""
    values, code = np.unique(label, return_inverse=True)
    out = np.zeros((len(label), len(values)))
    out[np.arange(len(label)), code.reshape(-1)] = 1.0
    return out


# ---- tabular ---------------------------------------------------------------------------------------------------------


class LuceTable(OneType):
    """One table of utilities: coordinates are the index ``s (n,)`` itself, its location in each prompt fixed.

    Many items compared in pairs are first tried by the accelerated fixed point, which proves that the maximum exists.
    """

    name, order, settings, hessians = "newton", 10, Newton, ("dense", "matrix-free")
    kind = "tabular"
    costly_curvature = True

    def __init__(self, problem: Problem, statistics: PairTable | PairList | PartialRankings | None = None):
        super().__init__(problem)
        self._statistics = statistics
        self.penalty = None if problem.prior is None else table_penalty(problem.prior, self.items)

    @cached_property
    def statistics(self) -> PairTable | PairList | PartialRankings:
        """Sufficient statistics of the data, or of the law without writing its rows."""
        if self._statistics is not None:
            return self._statistics
        table = from_law(self.problem.law) if self.problem.law is not None else None
        return from_data(self.problem.data) if table is None else table

    @property
    def why(self) -> str:  # type: ignore[override]
        """The statistics in words."""
        return WHY.format(self.statistics.words if self._quick is None else self._quick[0].words)

    @cached_property
    def null(self) -> Vector | None:  # type: ignore[override]
        """The location of each prompt, where a matrix is formed."""
        return prompt_indicators(self.items.prompts.numpy()) if self._is_dense else None

    @property
    def _hessian(self) -> str:
        """What the settings ask for."""
        solver = self.problem.solver
        return solver.hessian if isinstance(solver, Newton) else "auto"

    @property
    def _is_dense(self) -> bool:
        """Whether the curvature is a matrix: as asked for, or while there are few items."""
        return self.items.n <= DENSE_ITEMS if self._hessian == "auto" else self._hessian == "dense"

    @cached_property
    def scale(self) -> Vector:  # type: ignore[override]
        """Weight of the answers that show each item (and of the prior)."""
        more = 0.0 if self.penalty is None else self.penalty.weight
        return np.maximum(self.statistics.exposure + more, 1e-300)

    @property
    def total(self) -> float:  # type: ignore[override]
        """Weight of the answers."""
        return self.statistics.total if self._quick is None else self._quick[0].total

    def start(self, model: Population) -> Vector:
        """The index."""
        return self._index(model)

    def _index(self, population: Population) -> Vector:
        return affine_index(population, self.items).index_of(self.items)  # type: ignore[union-attr]

    def values(self, x: Vector) -> dict[str, torch.Tensor]:
        """The table that has the index."""
        return self.component.values_of(x, self.items)

    def jacobian(self, population: Population) -> Any:
        """Of the index."""
        return affine_index(population, self.items).index_jacobian(self.items)  # type: ignore[union-attr]

    def evaluate(self, x: Vector) -> Evaluation:
        """One pass over the statistics; the curvature when it is asked for."""
        value, gradient = self.statistics.value_gradient(x)
        if self.penalty is not None:
            more, slope = self.penalty.value_gradient(x)
            value, gradient = value + more, gradient + slope
        return Evaluation(x, value, gradient, self.scale, lambda: self._curvature(x))

    def _curvature(self, x: Vector) -> Vector | InformationOperator:
        if self._is_dense:
            dense = self.statistics.information(x)
            return dense if self.penalty is None else dense + self.penalty.all(x)[2]
        product, diagonal = self.statistics.curvature(x)
        if self.penalty is None:
            return InformationOperator(product, diagonal)
        more = self.penalty.curvature(x)
        return InformationOperator(lambda v: product(v) + more(v), diagonal + self.penalty.diagonal(x))

    def log_prior(self, x: Vector) -> float:
        """On the index."""
        return 0.0 if self.penalty is None else self.penalty.value(x)

    def optimum(self, model: Population, tolerance: float, max_iterations: int, newton: bool = True) -> Optimum:
        """The only maximum there is: from the statistics' own start, whatever the model's values."""
        if self._quick is not None:
            return self._quick[1]
        return maximise(self, self.statistics.start(), tolerance, max_iterations)

    @cached_property
    def _quick(self) -> tuple[EdgeList | TableOfCounts | WeightedPairs, Optimum] | None:
        """Pairs of many items by the accelerated fixed point; ``None`` where Newton's method is to be used."""
        problem = self.problem
        if self.penalty is not None or problem.is_projection or self._statistics is not None or self._hessian != "auto":
            return None
        pairs = _comparisons(problem)
        found = None if pairs is None else accelerate(pairs, problem.tolerance)
        return None if found is None else (pairs, found)  # type: ignore[return-value]

    # ---- existence -------------------------------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Ford's condition: raise, or say what the prior or the law's rounding decides."""
        if self._quick is not None:
            return []
        items, penalty = self.items, self.penalty
        found = self._connectivity()
        if found.exists:
            return [] if penalty is None else [f"{penalty}: the estimate exists without it; it only shrinks"]
        if penalty is not None:
            return [f"{penalty} decided what the data do not: {found.message(items).split('. Remedies')[0]}"]
        if self.problem.is_projection and not (found.unseen or found.separate):
            return [
                "some choice probabilities of the truth are below the smallest float64: the utilities of "
                f"{len(found.at_fault[0])} items are only bounded, the laws still agree in total variation"
            ]
        existence.require_connected(found, items, "project" if self.problem.is_projection else "fit")
        return []

    def _connectivity(self) -> existence.Connectivity:
        return existence.connectivity(self.statistics.graph(), self.items, self.statistics.exposure > 0)

    def exists(self, found: Optimum) -> bool:
        """Whether the refit's answers hang together, and its optimum was reached."""
        return found.converged and (self.penalty is not None or self._connectivity().exists)

    # ---- other weights ---------------------------------------------------------------------------------------------

    def reweighted(self, weights: Vector) -> LuceTable:
        """The statistics of the same answers under other weights of annotators."""
        if self.has_win_counts:
            return LuceTable(self.problem, PairTable(self.win_counts(weights[None])[0]))
        counts, orders = self._order_counts
        return LuceTable(self.problem, orders.reweighted(counts.T @ weights))

    @property
    def has_win_counts(self) -> bool:
        """Pairs of a few items: a dense table of wins holds all that the answers say."""
        return self.items.n <= FEW_WINS and _plain_pairs(self.problem.data)

    def win_counts(self, weights: Vector) -> Vector:
        """Tables of wins under several weights of annotators, ``(R, B) -> (R, n, n)``."""
        counts, codes = self._pair_counts
        wins = np.zeros((len(weights), self.items.n**2))
        wins[:, codes] = (counts.T @ weights.T).T
        return wins.reshape(-1, self.items.n, self.items.n)

    @cached_property
    def _pair_counts(self) -> tuple[sparse.csr_matrix, np.ndarray]:
        """How often each annotator gave each distinct answer ``(B, C)``, and the codes of these pairs."""
        data = self.problem.data
        menu, rows = np.asarray(data.menu).astype(np.int64), np.arange(data.rows)
        won = np.asarray(data.answer).reshape(data.rows, -1)[:, 0]
        codes, column = np.unique(menu[rows, won] * self.items.n + menu[rows, 1 - won], return_inverse=True)
        return self._by_annotator(column), codes

    @cached_property
    def _order_counts(self) -> tuple[sparse.csr_matrix, PartialRankings]:
        """How often each annotator gave each distinct order ``(B, C)``, and the orders."""
        data = self.problem.data
        orders, column = distinct_orders(orders_from_data(data, np.ones(data.rows)))
        return self._by_annotator(column), orders

    def _by_annotator(self, column: np.ndarray) -> sparse.csr_matrix:
        return sparse.csr_matrix((np.ones(len(column.reshape(-1))), (self._people[1], column.reshape(-1))))


def _plain_pairs(data: Any) -> bool:
    return data.feedback.kind == "choice" and data.menu_size == 2 and not (np.asarray(data.menu) < 0).any()


def _comparisons(problem: Problem) -> EdgeList | TableOfCounts | WeightedPairs | None:
    """Comparisons of many items in the form that the fixed point reads, or ``None``."""
    data, n = problem.data, problem.items.n
    if n < FEW_ITEMS or data.feedback.kind != "choice" or data.menu_size != 2 or data.answer.ndim != 1:
        return None
    menu, answer, groups = np.asarray(data.menu), np.asarray(data.answer), problem.items.num_prompts
    if data.weight is not None:
        return WeightedPairs(from_data(data), groups) if n > DENSE_ITEMS else None  # type: ignore[arg-type]
    if n <= DENSE_ITEMS and data.rows * 8 > n * n:
        return TableOfCounts(menu, answer, n, groups)
    return EdgeList(menu, answer, n, groups)


# ---- linear ----------------------------------------------------------------------------------------------------------


class LuceLinear(OneType):
    """A linear utility: coordinates are its weights, and one pass over the answers gives value and derivatives."""

    name, order, settings, hessians = "newton-linear", 10, Newton, ("dense",)
    kind = "linear"
    words = PartialRankings.words

    def __init__(self, problem: Problem):
        super().__init__(problem)
        self.matrix = np.ascontiguousarray(self.component.design_matrix(self.items))
        self.offset = np.ascontiguousarray(self.component.g)
        self.orders = self._read(problem)
        self.penalty = None if problem.prior is None else weights_penalty(problem.prior, self.matrix.shape[1])
        self.why = WHY.format(self.words)
        spread = self.matrix.std(0)
        # the cap is on utilities, whatever the features' units
        self.longest = LONGEST_STEP / np.where(spread > 0, spread, 1.0)
        self._unit = spread
        self.null = feature_null_space(self.matrix, self.items) if self.penalty is None else None

    def reach(self, move: Vector) -> float:
        """In utilities: weights of features that are nearly collinear may go far."""
        return float((self.matrix @ move).std()) / LONGEST_STEP

    def _read(self, problem: Problem) -> PartialRankings:
        """The answers in the form that evaluations read."""
        return orders_from_data(problem.data)

    @property
    def scale(self) -> Vector:  # type: ignore[override]
        """Weight of the answers, in units of the features."""
        return np.where(self._unit > 0, np.maximum(self.orders.total * self._unit, 1e-300), 1.0)

    @property
    def total(self) -> float:  # type: ignore[override]
        """Weight of the answers."""
        return self.orders.total

    def start(self, model: Population) -> Vector:
        """The weights."""
        return affine_index(model, self.items).weights  # type: ignore[union-attr]

    def _index(self, population: Population) -> Vector:
        return self.matrix @ self.start(population) + self.offset

    def values(self, x: Vector) -> dict[str, torch.Tensor]:
        """The shortest weights that give these choices."""
        short = x if self.null is None else x - self.null @ (self.null.T @ x)
        return {self.component.parameter: torch.as_tensor(short)}

    def jacobian(self, population: Population) -> Any:
        """They are the parameters themselves."""
        return sparse.identity(self.matrix.shape[1])

    def evaluate(self, x: Vector) -> Evaluation:
        """Everything in one pass."""
        value, gradient, information = self._sums(x)
        if self.penalty is not None:
            more, slope, bend = self.penalty.all(x)
            value, gradient, information = value + more, gradient + slope, information + bend
        return Evaluation(x, value, gradient, self.scale, information)

    def _sums(self, x: Vector) -> tuple[float, Vector, Vector]:
        """Value, gradient and information of the answers."""
        dim, orders = len(x), self.orders
        gradient, information = np.zeros(dim), np.zeros((dim, dim))
        value = kernels.linear_sums(
            x, self.matrix, self.offset, orders.order, orders.depth, orders.length, orders.weight, gradient, information
        )
        return value, gradient, information

    def log_prior(self, x: Vector) -> float:
        """On the weights."""
        return 0.0 if self.penalty is None else self.penalty.value(x)

    def optimum(self, model: Population, tolerance: float, max_iterations: int, newton: bool = True) -> Optimum:
        """The only maximum there is, from zero."""
        return maximise(self, np.zeros(self.matrix.shape[1]), tolerance, max_iterations)

    def check(self) -> list[str]:
        """Separation; directions of the features that change no choice are left out."""
        pairs = differences(self.orders, self.matrix)
        return check_linear(pairs, self.matrix, self.items, self.penalty)[0]

    def exists(self, found: Optimum) -> bool:
        """A zero gradient on a well conditioned information proves the maximum (Kantorovich); else a linear program."""
        if not found.converged or self.penalty is not None or found.condition < 1e6:
            return found.converged
        try:
            check_linear(differences(self.orders, self.matrix), self.matrix, self.items, None)
        except NotIdentifiedError:
            return False
        return True

    def reweighted(self, weights: Vector) -> Self:
        """The distinct orders under other weights of annotators."""
        orders, counts = self._counts
        other = copy.copy(self)
        other.orders = orders.reweighted(counts.T @ weights)
        return other

    @cached_property
    def _counts(self) -> tuple[PartialRankings, sparse.csr_matrix]:
        """Distinct orders, and how often each annotator gave each, ``(B, C)``."""
        data = self.problem.data
        orders, code = distinct_orders(orders_from_data(data, np.ones(data.rows)))
        return orders, sparse.csr_matrix((np.ones(data.rows), (self._people[1], code)))
