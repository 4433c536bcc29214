"""Lapses and skips in compiled loops: they replace finished answers where the bias's own uniform says so.

A row that does not lapse keeps the answer that it has without the bias, as in :mod:`annosim.rules.response_biases`.
"""

from __future__ import annotations

import numpy as np
from numba import float64, njit

from annosim.random import STREAMS
from annosim.simulation.kernels.generator import BLOCK, fill_uint32, uint32_at, uniform52
from annosim.simulation.kernels.luce import exponential

__all__ = ["FIRST", "FLIP", "SKIP", "UNIFORM", "replace_answers"]

_HABIT = STREAMS["habit"]
UNIFORM, FIRST, FLIP, SKIP = 0, 1, 2, 3


@njit(nogil=True, error_model="numpy", cache=True)
def _exact(high, row, word, key, replicate):
    """The bias's uniform with both raw uint32, in units of 2**-32."""
    return uniform52(high, uint32_at(row, key, _HABIT, word + 1, replicate)) * 4294967296.0


@njit(nogil=True, error_model="numpy", cache=True)
def replace_answers(menu, kind, rate, how, ranked, depth, out, start, word, key, replicate):
    """Lapses of one level of response biases, ``out (rows, width)`` int8 changed in place.

    Args:
        menu: ``(rows, k)`` int32.
        kind: ``(rows,)`` types, or empty.
        rate: ``(types,)`` probability of a lapse.
        how: ``UNIFORM``, ``FIRST`` (display order), ``FLIP`` (pairs and full rankings) or ``SKIP``.
        ranked: rankings rather than choices.
        depth: places that a ranking fills.
        out: answers.
        start: number of the first row, a multiple of 64.
        word: the level's first raw uint32 of stream ``habit``.
        key, replicate: the address.
    """
    w = np.empty(BLOCK, np.uint32)
    arrival = np.empty(menu.shape[1])
    for at in range(0, len(out), BLOCK):
        fill_uint32(w, (start + at) // 64, key, _HABIT, word, replicate)
        for r in range(at, min(at + BLOCK, len(out))):
            mark = rate[kind[r] if len(kind) else 0] * 4294967296.0
            low = float64(w[r - at])
            if low >= mark:
                continue
            if low + 1 > mark and _exact(w[r - at], start + r, word, key, replicate) >= mark:
                continue
            if out[r, 0] < 0:
                continue  # a skip of an inner bias stays one
            if how == SKIP:
                out[r, :] = -1
            elif how == FLIP:
                _flip(out[r], ranked)
            elif not ranked:
                out[r, 0] = _pick(menu[r], how, start + r, word + 2, key, replicate)
            else:
                for j in range(menu.shape[1]):
                    time = (
                        exponential(uint32_at(start + r, key, _HABIT, word + 2 + j, replicate)) if how == UNIFORM else j
                    )
                    arrival[j] = np.float32(time) if menu[r, j] >= 0 else np.inf
                _order(arrival, depth, out[r])


@njit(nogil=True, error_model="numpy", cache=True)
def _flip(answer, ranked):
    if not ranked:
        answer[0] = 1 - answer[0]
        return
    length = 0
    while length < len(answer) and answer[length] >= 0:
        length += 1
    for j in range(length // 2):
        answer[j], answer[length - 1 - j] = answer[length - 1 - j], answer[j]


@njit(nogil=True, error_model="numpy", cache=True)
def _pick(menu, how, row, word, key, replicate):
    """A position among the filled ones: the first, or uniformly."""
    filled = 0
    for j in range(len(menu)):
        filled += menu[j] >= 0
    draw = 0.0
    if how == UNIFORM:
        high, low = uint32_at(row, key, _HABIT, word, replicate), uint32_at(row, key, _HABIT, word + 1, replicate)
        draw = uniform52(high, low) * filled
    seen = 0
    for j in range(len(menu)):
        seen += menu[j] >= 0
        if menu[j] >= 0 and seen >= draw:
            return j
    return -1


@njit(nogil=True, error_model="numpy", cache=True)
def _order(arrival, depth, answer):
    """Positions in ascending order of arrival, ties by position, -1 at pads and beyond the depth."""
    answer[:] = -1
    for j in range(len(arrival)):
        place = 0
        for i in range(len(arrival)):
            place += arrival[i] < arrival[j] or (i < j and arrival[i] == arrival[j])
        if place < depth and arrival[j] < np.inf:
            answer[place] = j
