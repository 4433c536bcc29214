"""Working memory of each solver, in bytes, by formula: what a fit needs beside the data themselves.

==========================  =======================================================================================
solver, structure           bytes, beside terms in the items alone
==========================  =======================================================================================
newton, table of counts     ``4 n^2``
newton, rows of pairs       ``282 n``: the answers are read where they are
newton, distinct pairs      ``90 E + 60 rows``, E distinct pairs
newton, win matrix          ``72 n^2 + 20 rows``: the matrix, its curvature, one factor
newton, menus               ``(4 k + 16) rows + 48 n^2``, k places
newton, many items          ``(84 k - 64) rows + 160 n``: menus of more than 4,096 items
newton-linear               ``(4 k + 16) rows + (32 d + 40) D``, D distinct (chosen, other) pairs, d features
em-newton                   orders and features, ``8 C K (d + 2)`` for C distinct orders and K types (own menus:
                            ``28 d (k - 1) rows``), a few matrices of ``(K d + K)^2``
em-newton-cg                orders, ``16 C K (k + 5)``, ``16 B K`` for B annotators
autograd                    about ``512 k rows`` a type, and ``24 P^2``
==========================  =======================================================================================

Linear in the answers, or in the distinct menus where answers repeat; never their product with the items. A slow test
holds the formulas against the measured peak.
"""

from __future__ import annotations

from typing import Any

from annosim.compiled import threads

__all__ = ["megabytes", "of_autograd", "of_large_panel", "of_linear", "of_panel", "of_table"]


def megabytes(size: float) -> str:
    """``"12.3 MB"``.

    Example:
        >>> megabytes(1_500_000)
        '1.5 MB'
    """
    return f"{size / 1e6:.3g} MB" if size >= 1e5 else f"{size / 1e3:.3g} kB"


def of_orders(orders: Any) -> int:
    """Orders as they are held."""
    return int(orders.order.nbytes + orders.depth.nbytes + orders.length.nbytes + orders.weight.nbytes)


def of_table(stats: Any, rows: int, dense_items: int) -> int:
    """One table of utilities, by its sufficient statistics (their class has the name of a row above)."""
    n, kind = stats.n, type(stats).__name__
    if kind == "TableOfCounts":
        return 4 * n * n + 160 * n
    if kind == "EdgeList":
        return 250 * n + 32 * n * stats.workers
    if kind in ("WeightedPairs", "PairList"):
        pairs = stats.pairs if kind == "WeightedPairs" else stats
        return 60 * rows + 90 * len(pairs.first) + 160 * n
    if kind == "PairTable":
        return 72 * n * n + 20 * rows
    if n <= dense_items:
        return of_orders(stats) + (40 + 8 * threads.count(None)) * n * n
    return of_orders(stats) + 80 * (stats.order.shape[1] - 1) * rows + 160 * n


def of_linear(orders: Any, matrix: Any, pairs: int) -> int:
    """A linear utility: the orders, and the differences in which separation is looked for."""
    d = matrix.shape[1]
    return of_orders(orders) + int(matrix.nbytes) + (32 * d + 40) * pairs + 40 * d * d


def of_panel(panel: Any) -> int:
    """A mixture whose types have few coordinates."""
    held = sum(int(part.nbytes) for part in panel.arguments) + of_orders(panel.orders)
    codes, k = panel.orders.order.shape
    size = panel.types * (panel.d + 1)
    if panel.choices is not None:
        return held + 28 * panel.d * (k - 1) * codes + 64 * size * size * threads.count(None)
    return held + 8 * codes * panel.types * (panel.d + 2) + 64 * size * size


def of_large_panel(panel: Any) -> int:
    """A mixture of large tables: two points of the climb at a time."""
    codes, k = panel.orders.order.shape
    rows = 24 * len(panel.code)
    return of_orders(panel.orders) + rows + 16 * codes * panel.types * (k + 5) + 16 * panel.types * len(panel.weight)


def of_autograd(rows: int, k: int, components: int, parameters: int) -> int:
    """Any rule by automatic differentiation: the graph of a Hessian's row. The least exact of the formulas."""
    return 512 * k * rows * components + 24 * parameters * parameters
