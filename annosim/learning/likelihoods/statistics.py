"""Sufficient statistics of Luce data: value, gradient and information of the log-likelihood in the index ``s``.

=============== ====================================  ==========================
class           what it holds                         when
=============== ====================================  ==========================
PairTable       dense matrix of wins ``(n, n)``       pairs, at most 4,096 items
PairList        distinct pairs with wins both ways    pairs, more items
PartialRankings orders of items, chosen from the top  menus, top-l, rankings
=============== ====================================  ==========================
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from annosim.compiled import threads
from annosim.compiled.lazy import LazyModule
from annosim.data.counts import block_classes
from annosim.data.preferences import PreferenceData
from annosim.laws import Law
from annosim.learning.solvers.maximise import factorise

__all__ = [
    "PairList",
    "PairTable",
    "PartialRankings",
    "distinct_orders",
    "equal_blocks",
    "from_data",
    "from_law",
    "orders_from_data",
    "unique_orders",
]

kernels = LazyModule("annosim.learning.likelihoods.kernels.luce")
learning_sparse = LazyModule("annosim.learning.likelihoods.kernels.sparse")

DENSE_ITEMS = 4096
#: answers of an annotator up to which it is asked whether others gave the same
LONGEST_COUNTED = 8
#: differences of scores beyond which exponentials of one common scale would underflow
SAFE_RANGE = 300.0


class PairTable:
    """Wins ``(n, n)``: ``wins[i, j]`` is the weight of answers in which i was preferred to j.

    Example:
        >>> import numpy as np
        >>> table = PairTable(np.array([[0.0, 3.0], [1.0, 0.0]]))
        >>> round(float(table.value(np.zeros(2))), 4), table.gradient(np.zeros(2)).tolist()
        (-2.7726, [1.0, -1.0])
    """

    #: in words, what it is
    words = "a table of wins"

    def __init__(self, wins: np.ndarray):
        self.wins = np.array(wins, dtype=np.float64)
        self.constant = -np.log(2.0) * float(np.trace(self.wins))  # an item beside itself
        np.fill_diagonal(self.wins, 0.0)
        self.total = float(self.wins.sum())
        self.n = len(self.wins)
        self.both = self.wins + self.wins.T
        self.exposure = self.both.sum(1)

    def value(self, s: np.ndarray) -> float:
        """Log-likelihood at ``s (n,)``."""
        return self._value(_differences(s)) + self.constant

    def _value(self, d: np.ndarray) -> float:
        soft = np.log1p(np.exp(-np.abs(d)))
        return -float((self.wins * (soft + np.maximum(-d, 0.0))).sum())

    def gradient(self, s: np.ndarray) -> np.ndarray:
        """Gradient ``(n,)``: wins minus expected wins, summed as differences that keep small probabilities."""
        p = _logistic(_differences(s))
        return (self.wins * p.T - self.wins.T * p).sum(1)

    def information(self, s: np.ndarray) -> np.ndarray:
        """Minus the Hessian, ``(n, n)``."""
        p = _logistic(_differences(s))
        h = -self.both * p * p.T
        h[np.diag_indices(self.n)] = -h.sum(1)
        return h

    def curvature(self, s: np.ndarray) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
        """The information as a product ``v -> H v``, and its diagonal ``(n,)``."""
        dense = self.information(s)
        return (lambda v: dense @ v), dense.diagonal()

    def value_gradient(self, s: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient in one pass over the table."""
        d = _differences(s)
        z = np.exp(-np.abs(d))
        p = np.where(d >= 0, 1.0, z)
        z += 1.0
        p /= z
        value = -float((self.wins * (np.log(z) + np.maximum(-d, 0.0))).sum()) + self.constant
        return value, (self.wins * p.T - self.wins.T * p).sum(1)

    def start(self) -> np.ndarray:
        """Least squares on the observed log-odds (the usual start of a logistic regression), ``(n,)``.

        Exact when every pair's odds come from one index, as in a projection onto the truth's own family; pairs that
        were only ever won by one side are left out.
        """
        won = (self.wins > 0) & (self.wins.T > 0)
        if not won.any():
            return np.zeros(self.n)
        with np.errstate(divide="ignore", invalid="ignore"):
            odds = np.where(won, np.log(self.wins) - np.log(self.wins.T), 0.0)
            w = np.where(won, self.wins * self.wins.T / self.both, 0.0)
        return _laplacian_solve(w, (w * odds).sum(1), self.n)

    def graph(self) -> sparse.csr_matrix:
        """Who beat whom: entry (i, j) is positive when i was preferred to j."""
        return sparse.csr_matrix(self.wins)


class PairList:
    """Distinct pairs ``first < second`` with wins of the first and of the second: memory linear in distinct pairs.

    Example:
        >>> import numpy as np
        >>> pairs = PairList(np.array([0]), np.array([1]), np.array([3.0]), np.array([1.0]), 2)
        >>> pairs.gradient(np.zeros(2)).tolist()
        [1.0, -1.0]
    """

    #: in words, what it is
    words = "distinct pairs"

    def __init__(
        self, first: np.ndarray, second: np.ndarray, wins: np.ndarray, losses: np.ndarray, n: int, constant: float = 0.0
    ):
        self.first, self.second = first.astype(np.int32), second.astype(np.int32)
        self.wins, self.losses, self.n, self.constant = wins, losses, n, constant
        self.total = float(wins.sum() + losses.sum())
        both = wins + losses
        self.exposure = np.bincount(first, both, n) + np.bincount(second, both, n)

    def value(self, s: np.ndarray) -> float:
        """Log-likelihood at ``s``."""
        return self.parts(s)[0]

    def gradient(self, s: np.ndarray) -> np.ndarray:
        """Gradient ``(n,)``."""
        return self.parts(s)[1]

    def parts(self, s: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Value, gradient and the curvature of each pair, in one pass."""
        gradient, curvature = np.zeros(self.n), np.empty(len(self.first))
        value = kernels.pair_gradient(s, self.first, self.second, self.wins, self.losses, gradient, curvature)
        return value + self.constant, gradient, curvature

    def information(self, s: np.ndarray) -> np.ndarray:
        """Minus the Hessian, dense ``(n, n)``."""
        return self.sparse_information(s).toarray()

    def sparse_information(self, s: np.ndarray) -> sparse.csr_matrix:
        """Minus the Hessian: a weighted graph Laplacian, sparse."""
        c = self.parts(s)[2]
        off = sparse.coo_matrix((np.r_[c, c], (np.r_[self.first, self.second], np.r_[self.second, self.first])))
        off.resize((self.n, self.n))
        return (sparse.diags(np.asarray(off.sum(1)).ravel()) - off).tocsr()

    def curvature(self, s: np.ndarray) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
        """The information as a product ``v -> H v``, and its diagonal ``(n,)``."""
        laplacian = self.sparse_information(s)
        return (lambda v: laplacian @ v), laplacian.diagonal()

    def value_gradient(self, s: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient."""
        return self.parts(s)[:2]

    def start(self) -> np.ndarray:
        """Zeros."""
        return np.zeros(self.n)

    def graph(self) -> sparse.csr_matrix:
        """Who beat whom."""
        up, down = self.wins > 0, self.losses > 0
        row = np.r_[self.first[up], self.second[down]]
        column = np.r_[self.second[up], self.first[down]]
        return sparse.csr_matrix((np.ones(len(row)), (row, column)), shape=(self.n, self.n))


class PartialRankings:
    """Orders of items, of which the first ``depth`` were chosen one after the other from what was left.

    Args:
        order: ``(N, k)`` item ids, chosen first, the rest in any order, -1 pads.
        depth: ``(N,)`` number of stages.
        length: ``(N,)`` number of items.
        weight: ``(N,)``.
        n: number of items in all.

    Example:
        >>> import numpy as np
        >>> one = np.ones(1, np.int32)
        >>> orders = PartialRankings(np.array([[2, 0, 1]], np.int32), 2 * one, 3 * one, np.ones(1), 3)
        >>> bool(np.isclose(orders.value(np.zeros(3)), -np.log(6)))
        True
    """

    #: in words, what it is
    words = "stages of choices"

    def __init__(self, order: np.ndarray, depth: np.ndarray, length: np.ndarray, weight: np.ndarray, n: int):
        self.order = np.ascontiguousarray(order, dtype=np.int32)
        # the last of those left is not a choice
        self.depth = np.minimum(depth, np.maximum(length - 1, 0)).astype(np.int32)
        self.length, self.weight, self.n = length.astype(np.int32), np.asarray(weight, dtype=np.float64), n
        self.total = float(self.weight.sum())
        self.constant = 0.0

    @cached_property
    def exposure(self) -> np.ndarray:
        """Weight of the stages in which each item stood, ``(n,)``."""
        out = np.zeros(self.n)
        kernels.order_exposure(self.order, self.depth, self.length, self.weight, out)
        return out

    def _scale(self, s: np.ndarray) -> tuple[np.ndarray, bool]:
        seen = s[self.exposure > 0]
        safe = bool(len(seen) and np.ptp(seen) > SAFE_RANGE)
        return (s if safe else np.exp(s - (seen.max() if len(seen) else 0.0))), safe

    def value(self, s: np.ndarray) -> float:
        """Log-likelihood at ``s``."""
        return self.value_gradient(s)[0]

    def value_gradient(self, s: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient; long lists are shared among the cores."""
        e, safe = self._scale(s)
        parts = self._share(
            lambda rows, out: kernels.order_gradient(
                s, e, self.order[rows], self.depth[rows], self.length[rows], self.weight[rows], safe, out
            ),
            (self.n,),
        )
        return float(sum(part[0] for part in parts)), np.sum([part[1] for part in parts], axis=0)

    def gradient(self, s: np.ndarray) -> np.ndarray:
        """Gradient ``(n,)``."""
        return self.value_gradient(s)[1]

    def information(self, s: np.ndarray) -> np.ndarray:
        """Minus the Hessian, ``(n, n)``."""
        e, safe = self._scale(s)
        parts = self._share(
            lambda rows, out: kernels.order_hessian(
                s, e, self.order[rows], self.depth[rows], self.length[rows], self.weight[rows], safe, out
            ),
            (self.n + 1, self.n),
        )
        total = np.sum([part[1] for part in parts], axis=0)
        return np.diag(total[-1]) - total[:-1] - total[:-1].T

    def curvature(self, s: np.ndarray) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
        """The information as a product ``v -> H v``, never formed, and its diagonal ``(n,)``."""
        parts = (self.order, self.depth, self.length, self.weight)

        def product(v: np.ndarray) -> np.ndarray:
            out = np.zeros(self.n)
            learning_sparse.stage_product(s, *parts, np.ascontiguousarray(v), out)
            return out

        diagonal = np.zeros(self.n)
        learning_sparse.stage_curvature(s, *parts, diagonal)
        return product, diagonal

    def _share(self, task: Any, shape: tuple[int, ...]) -> list[tuple[Any, np.ndarray]]:
        # as many parts on every machine; few of large sums, which all are in memory at once
        parts = 1 if self.order.size <= 200_000 else threads.PARTS if np.prod(shape) <= 1 << 20 else 2
        cuts = [len(self.order) * i // parts for i in range(parts + 1)]
        out: list[Any] = [None] * parts

        def part(i: int) -> None:
            sums = np.zeros(shape)
            out[i] = (task(slice(cuts[i], cuts[i + 1]), sums), sums)

        threads.run(part, range(parts), threads.count(None))
        return out

    def start(self) -> np.ndarray:
        """One step of Hunter's MM (2004) from equal utilities."""
        rates, chosen = np.zeros(self.n), np.zeros(self.n)
        kernels.order_rates(np.ones(self.n), self.order, self.depth, self.length, self.weight, rates, chosen)
        return np.log((chosen + 0.5) / (rates + 0.5))

    def graph(self) -> sparse.csr_matrix:
        """Who was chosen over whom; neighbours in an order stand for all (the rest follows by going on)."""
        if self.n <= DENSE_ITEMS:
            table = np.zeros((self.n, self.n), dtype=np.bool_)
            kernels.order_edges(self.order, self.depth, self.length, self.weight, table)
            return sparse.csr_matrix(table.astype(np.float64))
        rows, columns = [], []
        live = self.weight > 0
        for t in range(int(self.depth.max(initial=0))):
            for a in range(t + 1, self.order.shape[1]):
                use = live & (self.depth > t) & (self.length > a) & ((a == t + 1) | (self.depth == t + 1))
                rows.append(self.order[use, t])
                columns.append(self.order[use, a])
        row, column = (np.concatenate(part) if part else np.zeros(0, np.int32) for part in (rows, columns))
        code = np.unique(row.astype(np.int64) * self.n + column)
        return sparse.csr_matrix((np.ones(len(code)), (code // self.n, code % self.n)), shape=(self.n, self.n))

    def reweighted(self, weight: np.ndarray) -> PartialRankings:
        """The same orders with other weights ``(N,)``."""
        return PartialRankings(self.order, self.depth, self.length, weight, self.n)


def from_data(data: PreferenceData, weight: np.ndarray | None = None) -> PairTable | PairList | PartialRankings:
    """Sufficient statistics of untied answers (choice, ranking, top).

    Args:
        data: answers without ties and skips.
        weight: ``(rows,)``; the data's row weights by default.
    """
    weight = np.asarray(data.row_weight if weight is None else weight, dtype=np.float64)
    menu, n = np.asarray(data.menu), data.items.n
    if data.feedback.kind == "choice" and data.menu_size == 2 and not (menu < 0).any():
        answer = np.asarray(data.answer).reshape(data.rows, -1)[:, 0].astype(np.int64)
        chosen = np.where(answer == 0, menu[:, 0], menu[:, 1])
        other = np.where(answer == 0, menu[:, 1], menu[:, 0])
        return from_pairs(chosen, other, None if data.weight is None else weight, n)
    return orders_from_data(data, weight)


def from_pairs(chosen: np.ndarray, other: np.ndarray, weight: np.ndarray | None, n: int) -> PairTable | PairList:
    """Wins from rows of (chosen, other): a dense table, or a list of distinct pairs when there are many items."""
    if n <= DENSE_ITEMS:
        code = chosen.astype(np.int32 if n * n < 2**31 else np.int64) * n + other
        return PairTable(np.bincount(code, weight, n * n).reshape(n, n))
    same = chosen == other
    low, high = np.minimum(chosen, other), np.maximum(chosen, other)
    weight = np.ones(len(chosen)) if weight is None else weight
    constant = -np.log(2.0) * float(weight[same].sum())
    code = low[~same].astype(np.int64) * n + high[~same]
    up = (chosen < other)[~same]
    order = np.argsort(code, kind="stable")
    code, up, w = code[order], up[order], weight[~same][order]
    start = np.flatnonzero(np.r_[True, code[1:] != code[:-1]])
    wins, losses = np.add.reduceat(w * up, start), np.add.reduceat(w * ~up, start)
    return PairList(code[start] // n, code[start] % n, wins, losses, n, constant)


def orders_from_data(data: PreferenceData, weight: np.ndarray | None = None) -> PartialRankings:
    """Every answer as an order with a depth (choice: depth 1)."""
    weight = np.asarray(data.row_weight if weight is None else weight, dtype=np.float64)
    menu = np.asarray(data.menu)
    answer = np.asarray(data.answer).reshape(data.rows, -1)
    if menu.shape[1] == 2 and answer.shape[1] == 1 and menu.min(initial=0) >= 0 and answer.min(initial=0) >= 0:
        order = np.where(answer == 0, menu, menu[:, ::-1]).astype(np.int32)  # pairs need no kernel
        depth = np.ones(data.rows, dtype=np.int32)
        return PartialRankings(order, depth, 2 * depth, weight, data.items.n)
    order, depth, length = kernels.as_orders(np.ascontiguousarray(menu), np.ascontiguousarray(answer))
    return PartialRankings(order, depth, length, weight, data.items.n)


def unique_orders(data: PreferenceData) -> tuple[PartialRankings, np.ndarray, np.ndarray, np.ndarray]:
    """Distinct orders, the code of each row (rows sorted by annotator), starts of blocks, weights of blocks.

    An order's weight is that of all rows with it.
    """
    ids = np.asarray(data.annotator_ids)
    if len(ids) > 1 and not (np.diff(ids) >= 0).all():
        data = data.take(np.argsort(ids, kind="stable"))
        ids = np.asarray(data.annotator_ids)
    orders = orders_from_data(data, np.ones(data.rows))
    first = np.flatnonzero(np.r_[True, np.diff(ids) != 0])
    start = np.r_[first, len(ids)].astype(np.int64)
    weight = np.asarray(data.annotator_weight, dtype=np.float64)[ids[first]]
    orders, code = distinct_orders(orders)
    heavy = np.bincount(code, np.repeat(weight, np.diff(start)), len(orders.order))
    return orders.reweighted(heavy), code, start, weight


def equal_blocks(code: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Blocks of rows without their repetitions: codes, starts, and which of them each block was ``(B,)``.

    ``None`` where less than half of the blocks repeat another, or some are so long that few can.

    Args:
        code: ``(rows,)`` of each row; its order inside a block does not matter.
        first: ``(B + 1,)`` first row of each block.

    Example:
        >>> equal_blocks(np.array([5, 7, 7, 5, 5, 7]), np.array([0, 2, 4, 6]))
        (array([5, 7]), array([0, 2]), array([0, 0, 0]))
    """
    length = np.diff(first)
    if len(length) < 2 or length.max() > LONGEST_COUNTED:
        return None
    code = code[np.lexsort((code, np.repeat(np.arange(len(length)), length)))]
    number = block_classes(code, first[:-1], length)
    _, kept, number = np.unique(number, return_index=True, return_inverse=True)
    if 2 * len(kept) > len(length):
        return None
    starts = np.r_[0, np.cumsum(length[kept])].astype(np.int64)
    rows = np.repeat(first[:-1][kept] - starts[:-1], length[kept]) + np.arange(starts[-1])
    return code[rows], starts, number


def distinct_orders(orders: PartialRankings) -> tuple[PartialRankings, np.ndarray]:
    """The distinct orders (weights of one), and which one each row has, ``(rows,)``."""
    code, keep = _distinct(orders)
    if keep is not None:
        orders = PartialRankings(
            orders.order[keep], orders.depth[keep], orders.length[keep], np.ones(len(keep)), orders.n
        )
    return orders, code


def _distinct(orders: PartialRankings) -> tuple[np.ndarray, np.ndarray | None]:
    """Codes of equal orders when they can be many: when all orders fit in a small table, or are few after hashing."""
    rows, k = orders.order.shape
    base = orders.n + 1
    if float(base) ** k * (k + 1) > 2.0**62 or rows < 64:
        return np.arange(rows), None
    number = orders.depth.astype(np.int64)
    order = orders.order
    if int(orders.depth.max()) == 1 and k > 2:  # the others of a choice stand in any order
        order = np.concatenate([order[:, :1], np.sort(order[:, 1:], 1)[:, ::-1]], 1)
    for j in range(k):
        number = number * base + (order[:, j] + 1)
    if float(base) ** k * (k + 1) < 4 * rows:  # a table of all orders costs less than sorting the rows
        first = np.full(int(base**k * (k + 1)), -1, dtype=np.int64)
        first[number[::-1]] = np.arange(rows - 1, -1, -1)
        keep = first[first >= 0]
        first[first >= 0] = np.arange(len(keep))
        return first[number], keep
    if len(np.unique(number[:: max(rows // 512, 1)])) > 300 and rows > 512:
        return np.arange(rows), None
    _, keep, code = np.unique(number, return_index=True, return_inverse=True)
    return code.reshape(-1).astype(np.int64), keep


def from_law(law: Law) -> PairTable | None:
    """A law's win matrix without writing its rows: ordered pairs, no ties; ``None`` for other feedback."""
    if law.design.feedback.kind != "choice" or law.menu.shape[1] != 2 or law.space.tied is not None:
        return None
    if len(law.space) != 2 or law.design.items.n > DENSE_ITEMS or len(law.table) > 1 or law.table.shape[1] > 1:
        return None
    p = law.expected_counts().detach().numpy()
    menu, n = law.menu.numpy(), law.design.items.n
    wins = np.bincount(menu[:, 0] * n + menu[:, 1], p[:, 0], n * n)
    wins += np.bincount(menu[:, 1] * n + menu[:, 0], p[:, 1], n * n)
    return PairTable(wins.reshape(n, n))


def _differences(s: np.ndarray) -> np.ndarray:
    return s[:, None] - s[None, :]


def _logistic(d: np.ndarray) -> np.ndarray:
    z = np.exp(-np.abs(d))
    return np.where(d >= 0, 1.0, z) / (1.0 + z)


def _laplacian_solve(w: np.ndarray, right: np.ndarray, n: int) -> np.ndarray:
    laplacian = np.diag(w.sum(1)) - w
    solve, _ = factorise(laplacian, np.ones((n, 1)), 1e15)
    s = np.linalg.lstsq(laplacian, right, rcond=None)[0] if solve is None else solve(right)
    return s - s.mean()
