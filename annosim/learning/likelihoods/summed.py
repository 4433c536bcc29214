"""Likelihoods of answers that do not fit in memory: each shard's sums are made where it is read, and added up here.

A log-likelihood, its gradient and its curvature are sums over annotators, so an evaluation is one pass over the shards
on the workers of the active engine. A worker keeps the shards that it has prepared while they take little memory. Sums
are added in the order of the shards, so nothing depends on who computed what.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from annosim.compiled import threads
from annosim.compiled.lazy import LazyModule
from annosim.errors import ArgumentError
from annosim.execution.current import engine
from annosim.execution.executor import Threads
from annosim.execution.tasks import Packed, run_tasks
from annosim.io.shards import Shards
from annosim.learning.existence.separation import check_linear
from annosim.learning.likelihoods.base import Likelihood
from annosim.learning.likelihoods.latent_classes import LatentClasses
from annosim.learning.likelihoods.luce import LuceLinear, LuceTable, is_staged
from annosim.learning.likelihoods.reference import check_answers, total_weight
from annosim.learning.likelihoods.single_choices import SingleChoices
from annosim.learning.likelihoods.statistics import DENSE_ITEMS, PartialRankings, orders_from_data
from annosim.learning.problem import Problem
from annosim.learning.solvers.maximise import EM_ITERATIONS, Optimum
from annosim.learning.structure import affine_components
from annosim.populations.base import Population

__all__ = ["SUMMED", "PassOverShards", "summed_likelihood"]

kernels = LazyModule("annosim.learning.likelihoods.kernels.luce")

Vector = NDArray[np.float64]

#: bytes of prepared shards that one worker keeps
KEPT_BYTES = 1 << 29
ROWS_NEEDED = "this fit was made from shards that are not in memory, which {} needs; fit shards.load() instead"


class PassOverShards:
    """Sums over shards: ``task(prepared shard, *arguments)`` of each, on the active engine.

    Args:
        shards: the answers.
        prepare: what is made of one shard's data, once where memory allows.
    """

    def __init__(self, shards: Shards, prepare: Callable[[Any], Any]):
        self.shards, self.prepare = shards, prepare
        self._kept: OrderedDict[int, tuple[int, Any]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {"shards": self.shards, "prepare": self.prepare, "_kept": OrderedDict()}

    @cached_property
    def _packed(self) -> Packed:
        return Packed.of(self)

    def map(self, task: Callable[..., Any], *arguments: Any) -> list[Any]:
        """``task`` of every shard, in their order."""
        with engine(lambda: Threads(min(threads.count(), len(self.shards)))) as executor:
            common = self if executor.same_process else self._packed
            numbers = [(number, task, arguments) for number in range(len(self.shards))]
            return run_tasks(_on_shard, common, numbers, executor)

    def prepared(self, number: int) -> Any:
        """One shard as it was prepared, from memory or read again."""
        found = self._kept.get(number)
        if found is not None:
            return found[1]
        made = self.prepare(self.shards.for_learner(number))
        size = self.shards.bytes_in_memory(number)
        if size + sum(bytes_ for bytes_, _ in self._kept.copy().values()) <= KEPT_BYTES:
            self._kept[number] = (size, made)
        return made


def _on_shard(passes: PassOverShards, task: tuple[int, Callable[..., Any], tuple[Any, ...]]) -> Any:
    number, function, arguments = task
    return function(passes.prepared(number), *arguments)


# ---- existence and totals ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """What the shards say in sum of who was preferred to whom; stands for orders where only this is read.

    Attributes:
        people: weight of the annotators.
        total: weight of the answers.
        exposure: ``(n,)`` weight of the answers that show each item.
        wins: ``(n, n)`` sparse, positive where i was preferred to j.
        pairs: codes ``chosen * n + other`` of all stages.
        rates: ``(2, n)``: Hunter's expected and observed numbers of choices at equal utilities.
    """

    people: float
    total: float
    exposure: Vector
    wins: sparse.csr_matrix
    pairs: NDArray[np.int64]
    rates: Vector

    def graph(self) -> sparse.csr_matrix:
        """Who was chosen over whom."""
        return self.wins

    def differences(self, matrix: Vector) -> Vector:
        """``a_chosen - a_other`` of every distinct pair, ``(D, d)``."""
        n = len(self.exposure)
        return matrix[self.pairs // n] - matrix[self.pairs % n]


def _seen(people: float, orders: PartialRankings) -> Seen:
    rates, chosen = np.zeros(orders.n), np.zeros(orders.n)
    kernels.order_rates(np.ones(orders.n), orders.order, orders.depth, orders.length, orders.weight, rates, chosen)
    parts = [np.zeros(0, np.int64)]
    for t in range(int(orders.depth.max(initial=0))):
        for a in range(t + 1, orders.order.shape[1]):
            use = (orders.weight > 0) & (orders.depth > t) & (orders.length > a)
            parts.append(np.unique(orders.order[use, t].astype(np.int64) * orders.n + orders.order[use, a]))
    pairs = np.unique(np.concatenate(parts))
    return Seen(people, orders.total, orders.exposure, orders.graph(), pairs, np.stack([rates, chosen]))


def _total(parts: list[Seen]) -> Seen:
    wins = parts[0].wins
    for one in parts[1:]:
        wins = wins + one.wins
    return Seen(
        sum(one.people for one in parts),
        sum(one.total for one in parts),
        np.sum([one.exposure for one in parts], axis=0),
        wins.tocsr(),
        np.unique(np.concatenate([one.pairs for one in parts])),
        np.sum([one.rates for one in parts], axis=0),
    )


# ---- one type ----------------------------------------------------------------------------------------------------------


def _orders(model: Population, data: Any) -> tuple[float, PartialRankings]:
    check_answers(model, data)
    return total_weight(data), orders_from_data(data)


def _seen_of(prepared: tuple[float, PartialRankings]) -> Seen:
    return _seen(*prepared)


def _value_gradient(prepared: tuple[float, PartialRankings], s: Vector) -> tuple[float, Vector]:
    return prepared[1].value_gradient(s)


def _information(prepared: tuple[float, PartialRankings], s: Vector) -> Vector:
    return prepared[1].information(s)


def _linear_sums(
    prepared: tuple[float, PartialRankings], x: Vector, matrix: Vector, offset: Vector
) -> tuple[float, Vector, Vector]:
    orders, dim = prepared[1], len(x)
    gradient, information = np.zeros(dim), np.zeros((dim, dim))
    value = kernels.linear_sums(
        x, matrix, offset, orders.order, orders.depth, orders.length, orders.weight, gradient, information
    )
    return value, gradient, information


class _SummedOrders:
    """Statistics of a table's answers, summed over shards: what :class:`LuceTable` reads."""

    def __init__(self, passes: PassOverShards):
        self.passes = passes
        self.words = f"stages of choices in {len(passes.shards)} shards"

    @cached_property
    def seen(self) -> Seen:
        return _total(self.passes.map(_seen_of))

    @property
    def exposure(self) -> Vector:
        return self.seen.exposure

    @property
    def total(self) -> float:
        return self.seen.total

    def graph(self) -> sparse.csr_matrix:
        return self.seen.wins

    def start(self) -> Vector:
        rates, chosen = self.seen.rates
        return np.log((chosen + 0.5) / (rates + 0.5))

    def value_gradient(self, s: Vector) -> tuple[float, Vector]:
        parts = self.passes.map(_value_gradient, s)
        return float(sum(part[0] for part in parts)), np.sum([part[1] for part in parts], axis=0)

    def information(self, s: Vector) -> Vector:
        out = np.zeros((len(s), len(s)))
        for part in self.passes.map(_information, s):
            out += part
        return out


class _OnShards(Likelihood):
    """What all of them share: they are asked for by name, and have no rows to give."""

    @classmethod
    def applies(cls, problem: Problem) -> bool:
        """Never by itself: :func:`summed_likelihood` makes it."""
        return False

    def scores(self, population: Population, by_answer: bool = False) -> Any:
        """Need the rows."""
        raise ArgumentError(ROWS_NEEDED.format("a sandwich"))

    def meat(self, population: Population, by_answer: bool) -> Vector | None:
        """Needs the rows."""
        raise ArgumentError(ROWS_NEEDED.format("a sandwich"))

    def reweighted(self, weights: Vector) -> Self:
        """Needs the rows."""
        raise ArgumentError(ROWS_NEEDED.format("a refit"))


class SummedTable(_OnShards, LuceTable):
    """Bradley-Terry and Plackett-Luce over shards."""

    name = "newton over shards"

    def __init__(self, problem: Problem):
        if problem.items.n > DENSE_ITEMS:
            raise ArgumentError(
                f"fit: more distinct answers than fit in memory, about {problem.items.n} items; over shards at most "
                f"{DENSE_ITEMS} items have a table: give them features, or sample the rows"
            )
        passes = PassOverShards(_shards(problem), partial(_orders, problem.model))
        super().__init__(problem, statistics=_SummedOrders(passes))  # type: ignore[arg-type]

    @property
    def people(self) -> float:
        """Weight of the annotators."""
        return self.statistics.seen.people  # type: ignore[union-attr]


class SummedLinear(_OnShards, LuceLinear):
    """Linear utilities over shards."""

    name = "newton-linear over shards"

    def _read(self, problem: Problem) -> Any:
        self.passes = PassOverShards(_shards(problem), partial(_orders, problem.model))
        self.words = f"stages of choices in {len(self.passes.shards)} shards"
        return _total(self.passes.map(_seen_of))

    @property
    def people(self) -> float:
        """Weight of the annotators."""
        return self.orders.people  # type: ignore[attr-defined]

    def _sums(self, x: Vector) -> tuple[float, Vector, Vector]:
        parts = self.passes.map(_linear_sums, x, self.matrix, self.offset)
        return tuple(sum(part[i] for part in parts) for i in range(3))

    def check(self) -> list[str]:
        """Separation, decided by all pairs of all shards."""
        pairs = self.orders.differences(self.matrix)  # type: ignore[attr-defined]
        return check_linear(pairs, self.matrix, self.items, self.penalty)[0]


# ---- several types -----------------------------------------------------------------------------------------------------


def _classes(problem: Problem, data: Any) -> LatentClasses:
    check_answers(problem.model, data)
    return LatentClasses(replace(problem, _data=data))


def _classes_seen(part: LatentClasses) -> Seen:
    return replace(_seen(part.total, part.orders), total=float(part.weights @ np.diff(part.first)))


def _classes_sums(part: LatentClasses, theta: Vector, log_share: Vector) -> tuple[Any, ...]:
    return part.sums(theta, log_share)


class SummedClasses(_OnShards, LatentClasses):
    """Latent classes over shards: annotators stay whole, since none stands in two shards."""

    name = "em-newton over shards"

    def _read(self) -> None:
        alone = replace(self.problem, shards=None, prior=None)
        shards = _shards(self.problem)
        shards.require_whole_annotators()
        self.passes = PassOverShards(shards, partial(_classes, alone))
        self.orders: Any = _total(self.passes.map(_classes_seen))

    @property
    def people(self) -> float:
        """Weight of the annotators."""
        return self.orders.people

    @property
    def total(self) -> float:  # type: ignore[override]
        """Weight of the annotators."""
        return self.orders.people

    @property
    def _rows(self) -> float:
        return self.orders.total

    def _single_choices(self) -> SingleChoices | None:
        return None

    @property
    def why(self) -> str:  # type: ignore[override]
        """What it is."""
        return f"{super().why}, summed over {len(self.passes.shards)} shards"

    def ascend(
        self,
        start: Vector,
        tolerance: float,
        max_iterations: int,
        newton: bool = True,
        em_iterations: int = EM_ITERATIONS,
    ) -> Optimum:
        """Evaluation by evaluation: what is compiled as a whole reads rows."""
        return Likelihood.ascend(self, start, tolerance, max_iterations, newton, em_iterations)

    def sums(self, theta: Vector, log_share: Vector) -> tuple[Any, ...]:
        """Value, gradient, blocks, information and masses, of all annotators."""
        parts = self.passes.map(_classes_sums, theta, log_share)
        return tuple(sum(part[i] for part in parts) for i in range(5))


SUMMED: tuple[type[Likelihood], ...] = (SummedTable, SummedLinear, SummedClasses)


def summed_likelihood(problem: Problem) -> Likelihood:
    """The likelihood over shards of a problem.

    Raises:
        ArgumentError: there is none for this model.
    """
    probe = replace(problem, shards=None, _data=_shards(problem).head())
    for kind, summed in ((LuceTable, SummedTable), (LuceLinear, SummedLinear), (LatentClasses, SummedClasses)):
        if is_staged(probe) and kind.applies(probe):
            return summed(problem)
    known = affine_components(problem.model, problem.items) is not None
    why = "its tables have too many numbers" if known else "its structure is another"
    raise ArgumentError(
        "fit: more distinct answers than fit in memory; over shards, tables and linear utilities under Luce's rule are "
        f"fitted, alone or as latent classes, and not this {type(problem.model).__name__} ({why}): fit a sample of the "
        "rows, shards.take(rows)"
    )


def _shards(problem: Problem) -> Shards:
    assert problem.shards is not None
    return problem.shards
