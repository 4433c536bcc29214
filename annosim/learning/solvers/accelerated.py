"""Bradley-Terry on many items: the diagonal Newton step as a fixed point, with Anderson's acceleration.

``s <- s + g / diag(information)`` costs one pass over the counts; on well connected comparisons its error falls by a
factor of about twice the inverse root of the comparisons per item, and Anderson's mixing of the last steps (Walker and
Ni 2011) roughly squares that. It stops at the scaled gradient. Where it does not get there, Newton's method takes over.

That the maximum exists is proved by the result: if some group of items had never lost to the rest, the gradient summed
over the group would be the expected number of the losses that did not happen, at least the smallest losing probability
of any comparison. A gradient below that, on comparisons that hang together, proves strong connection (Ford's
condition).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from annosim.compiled import threads
from annosim.compiled.lazy import LazyModule
from annosim.learning.likelihoods.statistics import PairList
from annosim.learning.solvers.functions import Evaluation
from annosim.learning.solvers.maximise import Optimum

__all__ = ["EdgeList", "TableOfCounts", "WeightedPairs", "accelerate"]

kernels = LazyModule("annosim.learning.likelihoods.kernels.pairs")

MEMORY = 5

WORDS = "comparisons of each pair; accelerated diagonal Newton steps"


class TableOfCounts:
    """Pairs of up to some thousand items: how often each pair was compared, and each item's wins.

    Example:
        >>> t = TableOfCounts(np.array([[0, 1], [1, 0]], dtype=np.int32), np.array([0, 0], dtype=np.int8), 2)
        >>> t.table[0, 1], t.wins.tolist()
        (np.int32(2), [1.0, 1.0])
    """

    words = WORDS
    lightest = 1.0  # weight of the lightest comparison

    def __init__(self, menu: np.ndarray, answer: np.ndarray, n: int, groups: int = 1):
        self.n = n
        self.table, self.wins, same = kernels.count(menu, answer, n)
        self.exposure = 2.0 * self.expected(np.ones(n))
        self.total = float(len(menu) - same)
        self.constant = -np.log(2.0) * same
        self.connected = same >= 0 and bool(kernels.weakly_connected(menu[:, 0], menu[:, 1], n, groups))

    def sums(self, e: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Expected wins and the information's diagonal, ``(n,)`` each."""
        expected, diagonal = np.zeros(self.n), np.zeros(self.n)
        kernels.table_pass(self.table, e, expected, diagonal)
        return expected, diagonal

    def expected(self, e: np.ndarray) -> np.ndarray:
        """Expected wins ``(n,)``."""
        expected = np.zeros(self.n)
        kernels.table_expected(self.table, e, expected)
        return expected

    def log_total(self, e: np.ndarray) -> float:
        """``sum n_ij log(e_i + e_j)``."""
        return float(kernels.table_value(self.table, e, float(e.min())))


class EdgeList:
    """Comparisons as they came, in memory linear in rows; passes run on all cores.

    Example:
        >>> edges = EdgeList(np.array([[0, 1], [1, 0]], dtype=np.int32), np.array([0, 0], dtype=np.int8), 2)
        >>> edges.sums(np.ones(2))[0].tolist()
        [1.0, 1.0]
    """

    words = WORDS
    lightest = 1.0  # weight of the lightest comparison

    def __init__(self, menu: np.ndarray, answer: np.ndarray, n: int, groups: int = 1):
        self.menu, self.answer, self.n = menu, answer, n
        self.parts = threads.PARTS if len(menu) > 1_000_000 else 1
        parts = self._run(lambda a, b, w, k: kernels.edge_wins(menu, answer, a, b, w, k))
        plain = all(part[0] >= 0 for part in parts)
        same = sum(part[0] for part in parts)
        self.wins = np.sum([part[1] for part in parts], axis=0)
        self.exposure = np.sum([part[2] for part in parts], axis=0)
        self.total = float(len(menu) - same)
        self.constant = -np.log(2.0) * same
        self.connected = plain and bool(kernels.weakly_connected(menu[:, 0], menu[:, 1], n, groups))

    def _run(self, task: Callable) -> list[tuple[float, np.ndarray, np.ndarray]]:
        cuts = [len(self.menu) * i // self.parts for i in range(self.parts + 1)]
        out: list = [None] * self.parts

        def part(i: int) -> None:
            first, second = np.zeros(self.n), np.zeros(self.n)
            out[i] = (task(cuts[i], cuts[i + 1], first, second), first, second)

        threads.run(part, range(self.parts), threads.count(None))
        return out

    def sums(self, e: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Expected wins and the information's diagonal, ``(n,)`` each."""
        parts = self._run(lambda a, b, x, d: kernels.edge_pass(self.menu, e, a, b, x, d))
        return np.sum([part[1] for part in parts], axis=0), np.sum([part[2] for part in parts], axis=0)

    def expected(self, e: np.ndarray) -> np.ndarray:
        """Expected wins ``(n,)``."""
        parts = self._run(lambda a, b, x, d: kernels.edge_expected(self.menu, e, a, b, x))
        return np.sum([part[1] for part in parts], axis=0)

    def log_total(self, e: np.ndarray) -> float:
        """``sum log(e_i + e_j)``."""
        return float(sum(part[0] for part in self._run(lambda a, b, x, d: kernels.edge_value(self.menu, e, a, b))))


class WeightedPairs:
    """Distinct pairs with weights: the same for :class:`annosim.learning.likelihoods.statistics.PairList`.

    Example:
        >>> from annosim.learning.likelihoods.statistics import PairList
        >>> one = PairList(np.array([0]), np.array([1]), np.array([2.0]), np.array([1.0]), 2)
        >>> WeightedPairs(one).wins.tolist()
        [2.0, 1.0]
    """

    words = WORDS
    lightest = 1.0  # weight of the lightest comparison

    def __init__(self, pairs: PairList, groups: int = 1):
        self.pairs, self.n, self.both = pairs, pairs.n, pairs.wins + pairs.losses
        self.wins = np.bincount(pairs.first, pairs.wins, self.n) + np.bincount(pairs.second, pairs.losses, self.n)
        self.exposure, self.total, self.constant = pairs.exposure, pairs.total, pairs.constant
        live = self.both > 0
        self.connected = bool(kernels.weakly_connected(pairs.first[live], pairs.second[live], self.n, groups))
        self.lightest = float(self.both[live].min()) if live.any() else 0.0

    def sums(self, e: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Expected wins and the information's diagonal, ``(n,)`` each."""
        expected, diagonal = np.zeros(self.n), np.zeros(self.n)
        kernels.weighted_pass(self.pairs.first, self.pairs.second, self.both, e, expected, diagonal)
        return expected, diagonal

    def expected(self, e: np.ndarray) -> np.ndarray:
        """Expected wins ``(n,)``."""
        return self.sums(e)[0]

    def log_total(self, e: np.ndarray) -> float:
        """``sum n_ij log(e_i + e_j)``."""
        return float(self.both @ np.log(e[self.pairs.first] + e[self.pairs.second]))


def accelerate(
    pairs: TableOfCounts | EdgeList | WeightedPairs, tolerance: float, max_iterations: int = 60
) -> Optimum | None:
    """Maximum-likelihood scores, or ``None`` where the fixed point does not get there or the maximum may not exist.

    Example:
        >>> menu, answer = np.array([[0, 1], [1, 2], [2, 0], [0, 1]], dtype=np.int32), np.array([0, 0, 0, 1], np.int8)
        >>> accelerate(TableOfCounts(menu, answer, 3), 1e-10).scaled_gradient < 1e-10
        True
    """
    if not pairs.connected:
        return None
    s = np.log((pairs.wins + 0.5) / (pairs.exposure - pairs.wins + 0.5))
    points: list[np.ndarray] = []
    steps: list[np.ndarray] = []
    worst, lightest = np.inf, pairs.lightest
    for iteration in range(max_iterations):
        s = s - s.max()
        if not s.min() > -500:
            return None
        e = np.exp(s)
        if iteration < 2:  # the diagonal only preconditions: two are enough
            expected, diagonal = pairs.sums(e)
        else:
            expected = pairs.expected(e)
        gradient = pairs.wins - expected
        now = float(np.max(np.abs(gradient) / pairs.exposure))
        if now <= tolerance and 0.5 * float(np.abs(gradient).sum()) < lightest / (1.0 + np.exp(-s.min())):
            value = float(pairs.wins @ s) - pairs.log_total(e) + pairs.constant
            found = Evaluation(
                s - s.mean(), value, gradient, np.asarray(pairs.exposure, dtype=np.float64), _never_formed
            )
            return Optimum(found, iteration, "gradient")
        if not np.isfinite(now) or now > 1e3 * max(worst, 1e-3):
            return None
        worst = min(worst, now)
        step = gradient / diagonal
        points.append(s)
        steps.append(step - step.mean())
        s = _mix(points, steps, diagonal)
        del points[:-MEMORY], steps[:-MEMORY]
    return None


def _never_formed() -> np.ndarray:
    raise TypeError("the accelerated fixed point forms no curvature; evaluate the likelihood at its point")


def _mix(points: list[np.ndarray], steps: list[np.ndarray], metric: np.ndarray) -> np.ndarray:
    """Anderson: the combination of the last points whose combined step is smallest, plus that step."""
    step = steps[-1]
    if len(points) == 1:
        return points[-1] + np.clip(step, -2.0, 2.0)
    change = np.diff(np.array(steps), axis=0)
    moved = np.diff(np.array(points), axis=0)
    weighted = change * metric
    gram = weighted @ change.T
    gram[np.diag_indices(len(gram))] *= 1.0 + 1e-13
    weights = _least(gram, weighted @ step)
    return points[-1] + np.clip(step - weights @ (moved + change), -3.0, 3.0)


def _least(gram: np.ndarray, right: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.solve(gram, right)
    except np.linalg.LinAlgError:
        return np.linalg.lstsq(gram, right, rcond=None)[0]
