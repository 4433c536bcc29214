"""Luce's rule in compiled loops: choices by one uniform, rankings by a race of exponentials.

Utilities come as a table of odds ``exp(score)``, one row per type, and shifts by position as ``bias = exp(shift)``.
Answers equal those of :meth:`annosim.rules.luce.Luce.sample` but where a uniform lies within rounding of a threshold.
"""

from __future__ import annotations

import numpy as np
from numba import float32, float64, int32, int64, njit, uint64

from annosim.compiled.arithmetic import LOG2, bits, number
from annosim.random import STREAMS
from annosim.simulation.kernels.generator import BLOCK, fill_uint32, uint32_at, uniform52

__all__ = ["exponential", "float32_odds", "luce_choice", "luce_pairs", "luce_ranking", "tied_pairs"]

_ANSWER = STREAMS["answer"]
_WHOLE = 4294967296.0  # 2**32
# Float32 rounds a, b, their sum, the word, the product, the mark and the difference: together less than
# 7 * 2**-24 * 2**32 = 1792 units of (a + b); the cell of the word is one more. Nearer than this is looked at again.
_CLOSE = np.float32(2048.0)


@njit(nogil=True, error_model="numpy", cache=True)
def luce_pairs(menu, kind, odds, bias, first, second, out, start, key, replicate):
    """Choices from pairs, ``out (rows,)`` int8.

    The first is chosen when the uniform ``(word, next word)`` is at most ``a / (a + b)``. Float32 settles nearly every
    pair; a block with a pair too close for it, one in 4,000, is walked again in float64. There the first word decides
    unless the threshold falls inside its cell (one pair in 2**32): then both words do, so that probabilities far below
    2**-32 are right.

    Args:
        menu: ``(rows, 2)`` int32 without pads.
        kind: ``(rows,)`` type of each row's annotator; empty when there is one type.
        odds: ``(types, n)`` ``exp(score)``.
        bias: ``(types, k)`` ``exp(shift)`` of each display position.
        first, second: :func:`float32_odds` of both positions.
        out: filled.
        start: number of the first row, a multiple of 64.
        key, replicate: the address.
    """
    w = np.empty(BLOCK, np.uint32)
    value = np.empty((2, BLOCK), np.float64)
    total, gap = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    for at in range(0, len(out), BLOCK):
        got, rows, whose = out[at : at + BLOCK], menu[at : at + BLOCK], kind[at : at + BLOCK]
        fill_uint32(w, (start + at) // 64, key, _ANSWER, 0, replicate)
        # written out, not called: a call hides from the compiler that the buffers do not overlap, and costs a third
        if len(kind) == 0:
            for r in range(len(rows)):
                a, b = first[uint64(rows[r, 0])], second[uint64(rows[r, 1])]
                total[r] = a + b
                gap[r] = float32(w[r]) * total[r] - a * float32(_WHOLE)
        else:
            for r in range(len(rows)):
                table = uint64(whose[r]) * uint64(odds.shape[1])
                a, b = first[table + uint64(rows[r, 0])], second[table + uint64(rows[r, 1])]
                total[r] = a + b
                gap[r] = float32(w[r]) * total[r] - a * float32(_WHOLE)
        close = int32(0)
        for r in range(len(got)):
            got[r] = gap[r] >= float32(0.0)
            close += int32(not (abs(gap[r]) > total[r] * _CLOSE))  # also where an entry is NaN
        if close:
            gather(rows, whose, odds, bias, value, 1.0)
            choose_pair(value, w, got, start + at, key, replicate)


def float32_odds(odds: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tables for the quick look of :func:`luce_pairs`: odds times the bias of either position, flat, in float32.

    NaN, "look in float64", stands where a sum or a product of 2**32 could leave the normal numbers of float32.

    Example:
        >>> float32_odds(np.array([[1.0, 1e-40]]), np.ones((1, 2)))[0]
        array([ 1., nan], dtype=float32)
    """
    tables = [(odds * bias[:, j : j + 1]).ravel() for j in (0, 1)]
    safe = [np.where((t > 1e-25) & (t < 1e25), t, np.nan).astype(np.float32) for t in tables]
    return safe[0], safe[1]


@njit(nogil=True, error_model="numpy", cache=True)
def choose_pair(value, w, got, row, key, replicate):
    """A block of pairs with odds ``value (2, BLOCK)``; ``row`` is the block's first row."""
    first, second = value[0], value[1]
    open_cells = 0
    for r in range(len(got)):
        total, mark = first[r] + second[r], first[r] * _WHOLE
        low = float64(w[r]) * total
        got[r] = low >= mark
        open_cells += (low < mark) & (low + total > mark)
    if open_cells:
        for r in range(len(got)):
            again = uint32_at(row + r, key, _ANSWER, 1, replicate)
            got[r] = first[r] < uniform52(w[r], again) * (first[r] + second[r])


@njit(nogil=True, error_model="numpy", cache=True)
def luce_choice(menu, kind, odds, bias, out, start, key, replicate):
    """Choices from menus of any size, ``out (rows,)`` int8; pads (-1) are never chosen. Arguments as for pairs."""
    w = np.empty(BLOCK, np.uint32)
    value = np.empty((menu.shape[1], BLOCK), np.float64)
    for at in range(0, len(out), BLOCK):
        fill_uint32(w, (start + at) // 64, key, _ANSWER, 0, replicate)
        gather(menu[at : at + BLOCK], kind[at : at + BLOCK], odds, bias, value, 0.0)
        choose(value, w, out[at : at + BLOCK], start + at, key, replicate)


@njit(nogil=True, error_model="numpy", cache=True)
def choose(value, w, got, row, key, replicate):
    """A block's choices, with probabilities proportional to ``value (k, BLOCK)``; ``row`` is the block's first row."""
    k, open_cells = len(value), 0
    total, upto = np.zeros(BLOCK), np.zeros(BLOCK)
    got[:] = 0
    for j in range(k):
        for r in range(BLOCK):
            total[r] += value[j, r]
    for j in range(k - 1):
        for r in range(len(got)):
            upto[r] += value[j, r]
            low, mark = float64(w[r]) * total[r], upto[r] * _WHOLE
            got[r] += low >= mark
            open_cells += (low < mark) & (low + total[r] > mark)
    if open_cells:
        for r in range(len(got)):
            again = uint32_at(row + r, key, _ANSWER, 1, replicate)
            draw, mark, pick = uniform52(w[r], again) * total[r], 0.0, 0
            for j in range(k - 1):
                mark += value[j, r]
                pick += mark < draw
            got[r] = pick


@njit(nogil=True, error_model="numpy", cache=True)
def luce_ranking(menu, kind, scale, bias, out, start, depth, key, replicate):
    """Rankings (the first ``depth`` places), ``out (rows, k)`` int8, -1 beyond the depth and at pads.

    Item ``j`` arrives at ``-log(u_j) exp(-score_j)``; its place is the number of items that arrive before it. ``scale``
    and ``bias`` hold ``exp(-score)`` and ``exp(-shift)``.
    """
    k = menu.shape[1]
    w = np.empty(BLOCK, np.uint32)
    value = np.empty((k, BLOCK), np.float64)
    arrival, place = np.empty((k, BLOCK), np.float32), np.empty((k, BLOCK), np.int32)
    for at in range(0, len(out), BLOCK):
        rows, got = menu[at : at + BLOCK], out[at : at + BLOCK]
        gather(rows, kind[at : at + BLOCK], scale, bias, value, np.inf)
        for j in range(k):
            fill_uint32(w, (start + at) // 64, key, _ANSWER, j, replicate)
            times, scales = arrival[j], value[j]
            for r in range(BLOCK):
                times[r] = exponential(w[r]) * scales[r]
        write_order(arrival, place, got, depth)


@njit(nogil=True, error_model="numpy", cache=True)
def write_order(arrival, place, got, depth):
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
    absent = 0
    for j in range(k):
        for r in range(len(got)):
            absent += arrival[j, r] == np.inf
    if depth == k and absent == 0:
        for r in range(len(got)):
            for j in range(k):
                got[r, uint64(place[j, r])] = j
        return
    got[:] = -1
    for r in range(len(got)):
        for j in range(k):
            if place[j, r] < depth:
                got[r, place[j, r]] = j if arrival[j, r] < np.inf else -1


@njit(nogil=True, error_model="numpy", cache=True)
def gather(rows, kind, table, bias, value, pad):
    """``table`` read at a block of menus and multiplied by the positions' ``bias``, ``value (k, BLOCK)``."""
    one = table[0]
    for j in range(rows.shape[1]):
        here = value[j]
        if len(kind) == 0:
            factor = bias[0, j]
            for r in range(len(rows)):
                here[r] = one[uint64(rows[r, j])] * factor if rows[r, j] >= 0 else pad
        else:
            for r in range(len(rows)):
                t = uint64(kind[r])
                here[r] = table[t, uint64(rows[r, j])] * bias[t, j] if rows[r, j] >= 0 else pad
        here[len(rows) :] = 1.0


@njit(nogil=True, error_model="numpy", cache=True)
def tied_pairs(menu, kind, odds, bias, strength, davidson, ranking, out, tied, start, key, replicate):
    """Pairs with ties, ``out (rows, 2)`` int8 and ``tied (rows, 1)`` bool, after Davidson or Rao and Kupper.

    Cells of the uniform: the first wins, the second wins, a tie. ``strength (types,)`` is Davidson's ``nu``
    or Rao and Kupper's ``theta``.
    """
    w = np.empty(BLOCK, np.uint32)
    for at in range(0, len(out), BLOCK):
        fill_uint32(w, (start + at) // 64, key, _ANSWER, 0, replicate)
        for r in range(min(BLOCK, len(out) - at)):
            t = kind[at + r] if len(kind) else 0
            a, b = odds[t, menu[at + r, 0]] * bias[t, 0], odds[t, menu[at + r, 1]] * bias[t, 1]
            if davidson:
                total = a + b + strength[t] * np.sqrt(a * b)
                to_first, to_second = a / total, (a + b) / total
            else:
                to_first = a / (a + strength[t] * b)
                to_second = to_first + b / (b + strength[t] * a)
            low = float64(w[r]) * 2.0**-32
            high = low + 2.0**-32
            if low < to_first < high or low < to_second < high:
                low = uniform52(w[r], uint32_at(start + at + r, key, _ANSWER, 1, replicate))
            cell = int64(low >= to_first) + int64(low >= to_second)
            tied[at + r, 0] = cell == 2
            out[at + r, 0] = 1 if cell == 1 else 0
            out[at + r, 1] = 1 if cell == 2 else (1 - out[at + r, 0] if ranking else -1)


# log(1 + f) / f on [sqrt(1/2) - 1, sqrt(2) - 1]: polynomial of degree 12 through the Chebyshev points
_HALF_ROOT = 0x3FE6A09E667F3BCD


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
    whole = bits(float64(word) + 0.5)
    e = (whole - int64(_HALF_ROOT)) >> int64(52)
    f = number(whole - (e << int64(52))) - 1.0
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
    return float64(int64(32) - e) * LOG2 - f * p
