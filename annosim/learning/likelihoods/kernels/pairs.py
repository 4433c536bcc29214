"""Compiled sums over many pairs: a dense table of counts, or a list of comparisons in any order, never sorted.

One pass at strengths ``e = exp(s - max s)`` gives each item's expected wins ``sum_j n_ij e_i / (e_i + e_j)`` and the
diagonal of the information ``sum_j n_ij e_i e_j / (e_i + e_j)^2``: all that the accelerated fixed point of
:mod:`annosim.learning.solvers.accelerated` needs. No ``fastmath``; sums are kept in independent partial sums by hand
instead.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = [
    "count",
    "edge_pass",
    "edge_value",
    "edge_wins",
    "table_expected",
    "table_pass",
    "table_value",
    "weakly_connected",
    "weighted_pass",
]


@njit(cache=True, nogil=True)
def count(menu, answer, n):
    """Rows of pairs as a table of comparisons ``(n, n)`` int32 (smaller id first), wins ``(n,)``, and self-pairs.

    The number of self-pairs is -1 when a row is padded or skipped: then these are not plain pairs.
    """
    table, wins, same = np.zeros((n, n), dtype=np.int32), np.zeros(n), 0
    for r in range(len(answer)):
        i, j = menu[r, 0], menu[r, 1]
        if i < 0 or j < 0 or answer[r] < 0:
            return table, wins, -1
        if i == j:
            same += 1
            continue
        if i < j:
            table[i, j] += 1
        else:
            table[j, i] += 1
        wins[menu[r, answer[r]]] += 1.0
    return table, wins, same


@njit(cache=True, nogil=True)
def weakly_connected(first, second, n, groups):
    """Whether the rows connect all items into ``groups`` components; stops as soon as they do (n log n random rows)."""
    parent, left = np.arange(n), n - groups
    if left == 0:
        return True
    for r in range(len(first)):
        i, j = first[r], second[r]
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        while parent[j] != j:
            parent[j] = parent[parent[j]]
            j = parent[j]
        if i != j:
            parent[j] = i
            left -= 1
            if left == 0:
                return True
    return left == 0


@njit(cache=True, nogil=True)
def table_pass(table, e, expected, diagonal):
    """Adds expected wins and the information's diagonal of the pairs ``i < j`` of a table of comparisons."""
    n = len(e)
    own, spread = np.empty(n), np.empty(n)
    for i in range(n):
        ei, row = e[i], table[i]
        for j in range(i + 1, n):
            inverse = 1.0 / (ei + e[j])
            part = row[j] * inverse
            p = part * ei
            d = p * e[j] * inverse
            own[j] = p
            spread[j] = d
            expected[j] += part * e[j]
            diagonal[j] += d
        a0, a1, a2, a3, b0, b1, b2, b3 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        j = i + 1
        while j + 3 < n:
            a0 += own[j]
            a1 += own[j + 1]
            a2 += own[j + 2]
            a3 += own[j + 3]
            b0 += spread[j]
            b1 += spread[j + 1]
            b2 += spread[j + 2]
            b3 += spread[j + 3]
            j += 4
        while j < n:
            a0 += own[j]
            b0 += spread[j]
            j += 1
        expected[i] += (a0 + a1) + (a2 + a3)
        diagonal[i] += (b0 + b1) + (b2 + b3)


@njit(cache=True, nogil=True)
def table_expected(table, e, expected):
    """Adds expected wins only: the later passes, whose steps keep an earlier diagonal."""
    n = len(e)
    own = np.empty(n)
    for i in range(n):
        ei, row = e[i], table[i]
        for j in range(i + 1, n):
            part = row[j] / (ei + e[j])
            own[j] = part
            expected[j] += part * e[j]
        a0, a1, a2, a3, a4, a5, a6, a7 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        j = i + 1
        while j + 7 < n:
            a0 += own[j]
            a1 += own[j + 1]
            a2 += own[j + 2]
            a3 += own[j + 3]
            a4 += own[j + 4]
            a5 += own[j + 5]
            a6 += own[j + 6]
            a7 += own[j + 7]
            j += 8
        while j < n:
            a0 += own[j]
            j += 1
        expected[i] += ei * (((a0 + a1) + (a2 + a3)) + ((a4 + a5) + (a6 + a7)))


@njit(cache=True, nogil=True)
def table_value(table, e, smallest):
    """``sum n_ij log(e_i + e_j)`` over i < j: products of powers in eight lanes, a logarithm only when one must.

    ``smallest`` is the least ``e``; counts of eight and more are taken out and given a logarithm of their own.
    """
    n, total = len(e), 0.0
    decades = 7.0 * max(-np.log10(2.0 * smallest), np.log10(2.0)) + 0.01
    patience = int(280.0 / decades)
    lane, waited = np.ones(8), 0
    for i in range(n):
        ei, row = e[i], table[i]
        j = i + 1
        while j < n:
            if j + 8 <= n and patience > 0:
                for q in range(8):
                    m = row[j + q] & 7
                    x = ei + e[j + q]
                    square = x * x
                    y = x if m & 1 else 1.0
                    y *= square if m & 2 else 1.0
                    y *= square * square if m & 4 else 1.0
                    lane[q] *= y
                waited += 1
                if waited >= patience:
                    for q in range(8):
                        total += np.log(lane[q])
                        lane[q] = 1.0
                    waited = 0
                j += 8
            else:
                total += (row[j] & 7 if patience > 0 else row[j]) * np.log(ei + e[j])
                j += 1
        if patience > 0:
            for j in range(i + 1, n):
                if row[j] > 7:
                    total += (row[j] - (row[j] & 7)) * np.log(ei + e[j])
    for q in range(8):
        total += np.log(lane[q])
    return total


@njit(cache=True, nogil=True)
def edge_pass(menu, e, first, last, expected, diagonal):
    """The same over rows ``first .. last - 1`` of comparisons ``menu (rows, 2)``, whoever won."""
    for r in range(first, last):
        i, j = menu[r, 0], menu[r, 1]
        if i == j:
            continue
        inverse = 1.0 / (e[i] + e[j])
        p = e[i] * inverse
        q = e[j] * inverse
        d = p * q
        expected[i] += p
        expected[j] += q
        diagonal[i] += d
        diagonal[j] += d


@njit(cache=True, nogil=True)
def edge_expected(menu, e, first, last, expected):
    """Adds expected wins only."""
    for r in range(first, last):
        i, j = menu[r, 0], menu[r, 1]
        if i != j:
            inverse = 1.0 / (e[i] + e[j])
            expected[i] += e[i] * inverse
            expected[j] += e[j] * inverse


@njit(cache=True, nogil=True)
def edge_value(menu, e, first, last):
    """``sum log(e_i + e_j)`` over rows of different items, by products."""
    total, product = 0.0, 1.0
    for r in range(first, last):
        i, j = menu[r, 0], menu[r, 1]
        if i != j:
            product *= e[i] + e[j]
            if product < 1e-200 or product > 1e200:
                total += np.log(product)
                product = 1.0
    return total + np.log(product)


@njit(cache=True, nogil=True)
def edge_wins(menu, answer, first, last, wins, exposure):
    """Adds each item's wins and comparisons; returns how many rows show an item beside itself."""
    same = 0
    for r in range(first, last):
        i, j = menu[r, 0], menu[r, 1]
        if i < 0 or j < 0 or answer[r] < 0:
            return -1
        if i == j:
            same += 1
            continue
        wins[menu[r, answer[r]]] += 1.0
        exposure[i] += 1.0
        exposure[j] += 1.0
    return same


@njit(cache=True, nogil=True)
def weighted_pass(first, second, both, e, expected, diagonal):
    """Expected wins and the information's diagonal of distinct weighted pairs."""
    for r in range(len(first)):
        i, j = first[r], second[r]
        inverse = 1.0 / (e[i] + e[j])
        p = e[i] * inverse
        expected[i] += both[r] * p
        expected[j] += both[r] * (1.0 - p)
        d = both[r] * p * e[j] * inverse
        diagonal[i] += d
        diagonal[j] += d
