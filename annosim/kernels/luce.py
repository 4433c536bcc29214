"""Luce's rule in compiled loops: choices by one uniform, rankings by a race of exponentials.

Utilities come as a table of odds ``exp(score)``, one run of items per type; ``base`` says where a row's type begins.
Answers equal those of :meth:`annosim.rules.luce.Luce.sample` but where a uniform lies within rounding of a threshold.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import float64, int64, njit, types, uint64
from numba.extending import intrinsic

from annosim.kernels.generator import BLOCK, fill_words, uniform52, word_at
from annosim.random import STREAMS

__all__ = ["luce_choice", "luce_pairs", "luce_ranking"]

_ANSWER = STREAMS["answer"]
_WHOLE = 4294967296.0  # 2**32


@njit(nogil=True, error_model="numpy", cache=True)
def luce_pairs(menu, base, odds, out, start, key, replicate):
    """Choices from pairs, ``out (rows,)`` int8.

    The first is chosen when the uniform ``(word, next word)`` is at most ``a / (a + b)``. The first word decides unless
    the threshold falls inside its cell, which is one pair in 2**32: such a block is walked again with both words, so
    that probabilities far below 2**-32 are right.
    """
    w = np.empty(BLOCK, np.uint32)
    for at in range(0, len(out), BLOCK):
        rows, got = menu[at : at + BLOCK], out[at : at + BLOCK]
        fill_words(w, (start + at) // 64, key, _ANSWER, 0, replicate)
        open_cells = 0
        if len(base) == 0:
            for r in range(len(got)):
                a, b = odds[uint64(rows[r, 0])], odds[uint64(rows[r, 1])]
                low, mark = float64(w[r]) * (a + b), a * _WHOLE
                got[r] = low >= mark
                open_cells += (low < mark) & (low + (a + b) > mark)
        else:
            from_type = base[at : at + BLOCK]
            for r in range(len(got)):
                a, b = odds[uint64(from_type[r] + rows[r, 0])], odds[uint64(from_type[r] + rows[r, 1])]
                low, mark = float64(w[r]) * (a + b), a * _WHOLE
                got[r] = low >= mark
                open_cells += (low < mark) & (low + (a + b) > mark)
        if open_cells:
            for r in range(len(got)):
                of = base[at + r] if len(base) else 0
                a, b = odds[of + rows[r, 0]], odds[of + rows[r, 1]]
                low, mark = float64(w[r]) * (a + b), a * _WHOLE
                if low < mark and low + (a + b) > mark:
                    second = word_at(start + at + r, key, _ANSWER, 1, replicate)
                    got[r] = a < uniform52(w[r], second) * (a + b)


@njit(nogil=True, error_model="numpy", cache=True)
def luce_choice(menu, base, odds, out, start, key, replicate):
    """Choices from menus of any size, ``out (rows,)`` int8; pads (-1) are never chosen."""
    k = menu.shape[1]
    w = np.empty(BLOCK, np.uint32)
    value = np.empty((k, BLOCK), np.float64)
    total, sum_to = np.empty(BLOCK), np.empty(BLOCK)
    for at in range(0, len(out), BLOCK):
        rows, got = menu[at : at + BLOCK], out[at : at + BLOCK]
        fill_words(w, (start + at) // 64, key, _ANSWER, 0, replicate)
        gather(rows, base[at : at + BLOCK], odds, value, 0.0)
        total[:], sum_to[:], got[:] = 0.0, 0.0, 0
        for j in range(k):
            for r in range(BLOCK):
                total[r] += value[j, r]
        open_cells = 0
        for j in range(k - 1):
            for r in range(len(got)):
                sum_to[r] += value[j, r]
                low, mark = float64(w[r]) * total[r], sum_to[r] * _WHOLE
                got[r] += low >= mark
                open_cells += (low < mark) & (low + total[r] > mark)
        if open_cells:
            for r in range(len(got)):
                second = word_at(start + at + r, key, _ANSWER, 1, replicate)
                draw, mark, pick = uniform52(w[r], second) * total[r], 0.0, 0
                for j in range(k - 1):
                    mark += value[j, r]
                    pick += mark < draw
                got[r] = pick


@njit(nogil=True, error_model="numpy", cache=True)
def luce_ranking(menu, base, inverse_odds, out, start, depth, key, replicate):
    """Rankings (the first ``depth`` places), ``out (rows, k)`` int8, -1 beyond the depth and at pads.

    Item ``j`` arrives at ``-log(u_j) / exp(score_j)``; its place is the number of items that arrive before it.
    """
    k = menu.shape[1]
    w = np.empty(BLOCK, np.uint32)
    scale = np.empty((k, BLOCK), np.float64)
    arrival, place = np.empty((k, BLOCK), np.float32), np.empty((k, BLOCK), np.int32)
    for at in range(0, len(out), BLOCK):
        rows, got = menu[at : at + BLOCK], out[at : at + BLOCK]
        gather(rows, base[at : at + BLOCK], inverse_odds, scale, np.inf)
        for j in range(k):
            fill_words(w, (start + at) // 64, key, _ANSWER, j, replicate)
            times, scales = arrival[j], scale[j]
            for r in range(BLOCK):
                times[r] = exponential(w[r]) * scales[r]
        write_order(arrival, place, rows, got, depth)


@njit(nogil=True, error_model="numpy", cache=True)
def write_order(arrival, place, rows, got, depth):
    """Positions in ascending order of arrival: each item's place is counted, so nothing is sorted."""
    k = len(arrival)
    place[:] = 0
    for i in range(k):
        ahead, first = place[i], arrival[i]
        for j in range(i + 1, k):
            behind, second = place[j], arrival[j]
            for r in range(BLOCK):
                late = np.int32(second[r] < first[r])
                ahead[r] += late
                behind[r] += np.int32(1) - late
    if depth < k:
        got[:] = -1
    for r in range(len(got)):
        for j in range(k):
            if place[j, r] < depth:
                got[r, place[j, r]] = j if rows[r, j] >= 0 else -1


@njit(nogil=True, error_model="numpy", cache=True)
def gather(rows, base, table, value, pad):
    """``table`` read at a block of menus, ``value (k, BLOCK)``."""
    for j in range(rows.shape[1]):
        here = value[j]
        if len(base) == 0:
            for r in range(len(rows)):
                here[r] = table[uint64(rows[r, j])] if rows[r, j] >= 0 else pad
        else:
            for r in range(len(rows)):
                here[r] = table[uint64(base[r] + rows[r, j])] if rows[r, j] >= 0 else pad
        here[len(rows) :] = 1.0


@intrinsic
def _bits(typing, x):
    def build(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), build


@intrinsic
def _number(typing, x):
    def build(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), build


# log(1 + f) / f on [sqrt(1/2) - 1, sqrt(2) - 1]: polynomial of degree 12 through the Chebyshev points
_HALF_ROOT = 0x3FE6A09E667F3BCD
_LOG2 = float(np.log(2.0))


def _log_polynomial(degree: int = 12) -> tuple[float, ...]:
    low, high = 0.5**0.5 - 1, 2.0**0.5 - 1
    nodes = (low + high) / 2 + (high - low) / 2 * np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
    return tuple(np.linalg.solve(np.vander(nodes, increasing=True), np.log1p(nodes) / nodes).tolist())


_C = _log_polynomial()


@njit(inline="always")
def exponential(word):
    """``-log((word + 1/2) / 2**32)`` to a relative error below 1e-9, in operations that vectorise.

    The number is split as ``2**e (1 + f)`` with 1 + f around one, so that nothing cancels for uniforms near one.
    """
    bits = _bits(float64(word) + 0.5)
    e = (bits - int64(_HALF_ROOT)) >> int64(52)
    f = _number(bits - (e << int64(52))) - 1.0
    p = _C[12]
    p = p * f + _C[11]
    p = p * f + _C[10]
    p = p * f + _C[9]
    p = p * f + _C[8]
    p = p * f + _C[7]
    p = p * f + _C[6]
    p = p * f + _C[5]
    p = p * f + _C[4]
    p = p * f + _C[3]
    p = p * f + _C[2]
    p = p * f + _C[1]
    p = p * f + _C[0]
    return float64(int64(32) - e) * _LOG2 - f * p
