"""Mallows rankings in compiled loops: stage by stage, one uniform each, as in :mod:`annosim.rules.stages`.

At a stage, an alternative with ``b`` better ones left comes next with weight ``phi**b``. A block of rows keeps these
weights, and multiplies those of everyone worse than the one chosen by ``1 / phi``.
"""

from __future__ import annotations

import numpy as np
from numba import float64, njit, uint64

from annosim.random import STREAMS
from annosim.simulation.kernels.generator import BLOCK, fill_uint32, uint32_at, uniform52

__all__ = ["mallows"]

_ANSWER = STREAMS["answer"]
_WHOLE = 4294967296.0


@njit(nogil=True, error_model="numpy", cache=True)
def mallows(menu, kind, rank, phi, out, start, depth, key, replicate):
    """Rankings, or their first ``depth`` places, ``out (rows, width)`` int8; a choice has width 1.

    Args:
        menu: ``(rows, k)`` int32 of distinct items, without pads.
        kind: ``(rows,)`` types, or empty.
        rank: ``(types, n)`` int32 place of each item in a type's order of all items, best first, without ties.
        phi: ``(types,)`` dispersion, above 0.
        out: filled.
        start: number of the first row, a multiple of 64.
        depth: places.
        key, replicate: the address.
    """
    k = menu.shape[1]
    w, pick = np.empty(BLOCK, np.uint32), np.empty(BLOCK, np.int32)
    place, chosen = np.zeros((k, BLOCK), np.int32), np.empty(BLOCK, np.int32)
    weight, up = np.empty((k, BLOCK)), np.empty(BLOCK)
    total, upto = np.empty(BLOCK), np.empty(BLOCK)
    up[:] = 1.0
    for at in range(0, len(out), BLOCK):
        rows, got = menu[at : at + BLOCK], out[at : at + BLOCK]
        if depth < out.shape[1]:
            got[:] = -1
        for r in range(len(got)):
            t = kind[at + r] if len(kind) else 0
            up[r] = 1.0 / phi[t]
            for j in range(k):
                place[j, r] = rank[t, rows[r, j]]
        _first_weights(place, up, weight)
        for j in range(depth):
            fill_uint32(w, (start + at) // 64, key, _ANSWER, 2 * j, replicate)
            if _pick(weight, w, total, upto, pick):
                for r in range(len(got)):
                    again = uint32_at(start + at + r, key, _ANSWER, 2 * j + 1, replicate)
                    pick[r] = _exact(weight, r, uniform52(w[r], again) * total[r])
            for r in range(len(got)):
                got[r, j] = pick[r]
                chosen[r] = place[uint64(pick[r]), r]
                weight[uint64(pick[r]), r] = 0.0
            for p in range(k):
                _promote(weight[p], place[p], chosen, up)


@njit(nogil=True, error_model="numpy", cache=True)
def _first_weights(place, up, weight):
    """``phi`` to the number of better ones on the menu."""
    weight[:] = 1.0
    for i in range(len(place)):
        for j in range(len(place)):
            if i != j:
                _demote(weight[i], place[i], place[j], up)


@njit(nogil=True, error_model="numpy", cache=True)
def _demote(weight, place, other, up):
    for r in range(BLOCK):
        weight[r] *= 1.0 / up[r] if other[r] < place[r] else 1.0


@njit(nogil=True, error_model="numpy", cache=True)
def _promote(weight, place, chosen, up):
    for r in range(BLOCK):
        weight[r] *= up[r] if chosen[r] < place[r] else 1.0


@njit(nogil=True, error_model="numpy", cache=True)
def _pick(weight, w, total, upto, pick):
    """First positions whose cumulative weight reaches the uniform; how many rows need the second word."""
    k, open_cells = len(weight), 0
    total[:], upto[:], pick[:] = 0.0, 0.0, 0
    for p in range(k):
        for r in range(BLOCK):
            total[r] += weight[p, r]
    for p in range(k):
        for r in range(BLOCK):
            upto[r] += weight[p, r]
            low, mark = float64(w[r]) * total[r], upto[r] * _WHOLE
            beyond = low >= mark
            pick[r] += np.int32(beyond)
            open_cells += (low < mark) & (low + total[r] > mark)
    for r in range(BLOCK):  # rounding may leave the last cumulative weight below the total
        pick[r] = min(pick[r], np.int32(k - 1))
    return open_cells


@njit(nogil=True, error_model="numpy", cache=True)
def _exact(weight, r, draw):
    upto, last = 0.0, 0
    for p in range(len(weight)):
        if weight[p, r] > 0.0:
            last = p
            upto += weight[p, r]
            if upto >= draw:
                return p
    return last
