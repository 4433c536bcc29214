"""Menus in compiled loops: the draws of :meth:`annosim.designs.design.Design.sample`, row for row and bit for bit.

Every kernel fills a run of rows whose entities start at a multiple of 64.
"""

from __future__ import annotations

import numpy as np
from numba import float64, int64, njit, uint32, uint64

from annosim.random import STREAMS
from annosim.simulation.kernels.generator import BLOCK, fill_uint32

__all__ = [
    "guide_table",
    "inverse_index",
    "listed_menus",
    "number_rows",
    "proposal_menus",
    "repeat_bytes",
    "spread_types",
    "uniform_menus",
    "uniform_pairs",
]

_MENU = STREAMS["menu"]
#: Below so many cells they are all counted.
_FEW = 8


@njit(nogil=True, error_model="numpy", cache=True)
def uniform_pairs(out, start, n, replacement, key, replicate):
    """Pairs of ``n`` items of one prompt, ``out (rows,)`` int64: two int32 side by side, the first in the low half.

    One store of 64 bits for a pair takes half the time of two that alternate. On a little-endian machine ``out`` is
    ``menu.view(int64)``.
    """
    w0, w1 = np.empty(BLOCK, np.uint32), np.empty(BLOCK, np.uint32)
    size = uint64(n)
    left = size if replacement else size - uint64(1)
    step = uint32(0) if replacement else uint32(1)
    for at in range(0, len(out), BLOCK):
        fill_uint32(w0, (start + at) // 64, key, _MENU, 1, replicate)
        fill_uint32(w1, (start + at) // 64, key, _MENU, 2, replicate)
        rows = out[at : at + BLOCK]
        for r in range(len(rows)):
            first = uint32((uint64(w0[r]) * size) >> uint64(32))
            second = uint32((uint64(w1[r]) * left) >> uint64(32)) + step
            # without replacement the place that the first draw took holds item 0 (see designs._uniform_menus)
            second -= second * step * uint32(second == first)
            rows[r] = int64(uint64(first) | (uint64(second) << uint64(32)))


@njit(nogil=True, error_model="numpy", cache=True)
def uniform_menus(out, start, size, offset, members, prompt_cdf, replacement, key, replicate):
    """Uniform menus of any size within prompts, ``out (rows, k)`` int32.

    Args:
        out: filled.
        start: entity of the first row.
        size: ``(P,)`` items of each prompt.
        offset: ``(P,)`` where its members begin.
        members: item ids, prompt after prompt.
        prompt_cdf: ``(P,)`` cumulative probabilities of the prompts.
        replacement: whether items may repeat.
        key, replicate: the address.
    """
    k = out.shape[1]
    w, item = np.empty(BLOCK, np.uint32), np.empty(BLOCK, np.uint32)
    place = np.empty((k, BLOCK), np.uint32)
    count, first = np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.int64)
    count[:], first[:] = size[0], offset[0]
    for at in range(0, len(out), BLOCK):
        rows = out[at : at + BLOCK]
        group = (start + at) // 64
        if len(size) > 1:
            fill_uint32(w, group, key, _MENU, 0, replicate)
            for r in range(len(rows)):
                prompt = _cell(prompt_cdf, w[r])
                count[r], first[r] = size[prompt], offset[prompt]
        for j in range(k):
            fill_uint32(w, group, key, _MENU, j + 1, replicate)
            here = place[j]
            taken = uint64(0) if replacement else uint64(j)
            for r in range(BLOCK):
                here[r] = uint32(taken) + uint32((uint64(w[r]) * (count[r] - taken)) >> uint64(32))
                item[r] = here[r]
            if not replacement:
                for i in range(j - 1, -1, -1):
                    _follow(item, place[i], uint32(i))
            for r in range(len(rows)):
                rows[r, j] = members[first[r] + item[r]]


@njit(nogil=True, error_model="numpy", cache=True)
def _follow(item, earlier, i):
    """One step back in the shuffle: who stands where step ``i`` drew has what stood at ``i``."""
    for r in range(BLOCK):  # arithmetic, in a loop of its own: a masked store is several times slower
        here = item[r]
        item[r] = here - (here - i) * uint32(here == earlier[r])


@njit(inline="always")
def _cell(cdf, word):
    """Cell of the inverse distribution function in which a word's uniform falls: binary search."""
    draw = (np.float64(word) + 0.5) * 2.0**-32 * cdf[len(cdf) - 1]
    low, high = 0, len(cdf) - 1
    while low < high:
        middle = (low + high) >> 1
        if cdf[middle] <= draw:
            low = middle + 1
        else:
            high = middle
    return low


@njit(nogil=True, error_model="numpy", cache=True)
def inverse_index(out, group, cdf, guide, stream, k, key, replicate):
    """Inverse distribution function at word ``k`` of a block of entities, ``out (n,)`` int64, n a multiple of 64.

    ``guide[c]`` is a cell at or before the one in which the smallest uniform with upper bits ``c`` falls (Chen and Asau
    1974): one or two steps instead of a binary search.
    """
    w = np.empty(len(out), np.uint32)
    fill_uint32(w, group, key, stream, k, replicate)
    last = len(cdf) - 1
    total = cdf[last]
    if last < _FEW:  # counting all of a few cells vectorises; a search does not
        out[:] = 0
        for cell in range(last):
            for r in range(len(out)):
                out[r] += (np.float64(w[r]) + 0.5) * 2.0**-32 * total >= cdf[cell]
        return
    shift = uint32(32) - uint32(np.log2(len(guide)))
    for r in range(len(out)):
        draw = (np.float64(w[r]) + 0.5) * 2.0**-32 * total
        cell = guide[uint64(w[r]) >> uint64(shift)]
        while cell < last and cdf[cell] <= draw:
            cell += 1
        out[r] = cell


@njit(nogil=True, error_model="numpy", cache=True)
def proposal_menus(out, start, cdf, guide, members, key, replicate):
    """Items drawn independently from a distribution, ``out (rows, k)`` int32."""
    cell = np.empty(BLOCK, np.int64)
    for at in range(0, len(out), BLOCK):
        rows = out[at : at + BLOCK]
        for j in range(out.shape[1]):
            inverse_index(cell, (start + at) // 64, cdf, guide, _MENU, j + 1, key, replicate)
            for r in range(len(rows)):
                rows[r, j] = members[cell[r]]


@njit(nogil=True, error_model="numpy", cache=True)
def listed_menus(out, start, cdf, guide, menus, key, replicate):
    """Menus drawn from a list, ``out (rows, k)`` int32; ``menus (M, k)`` int32."""
    cell = np.empty(BLOCK, np.int64)
    for at in range(0, len(out), BLOCK):
        rows = out[at : at + BLOCK]
        inverse_index(cell, (start + at) // 64, cdf, guide, _MENU, 0, key, replicate)
        for r in range(len(rows)):
            for j in range(out.shape[1]):
                rows[r, j] = menus[cell[r], j]


@njit(nogil=True, error_model="numpy", cache=True)
def spread_types(types, first, low, questions, out):
    """Type of each row's annotator when everyone answers ``questions``: rows ``low ...``, annotators ``first ...``."""
    for place in range(questions):  # strided runs without branches
        start = -((place - low) // questions)  # first annotator whose row of this place is at or after ``low``
        stop = (low + len(out) - 1 - place) // questions + 1
        for who in range(start, stop):
            out[who * questions + place - low] = types[who - first]


@njit(nogil=True, error_model="numpy", cache=True)
def repeat_bytes(types, ones, out):
    """``out[i]`` holds type ``i`` in each of its bytes: as many equal rows as an unsigned number has bytes."""
    for i in range(len(out)):
        out[i] = ones * types[i]


@njit(nogil=True, error_model="numpy", cache=True)
def number_rows(annotator, order, low, questions):
    """Columns ``annotator`` and ``order`` of the rows ``low ...``, both ``(rows,)`` int32."""
    # (row + 1/2) / questions is further from a whole number than float64 rounds, for rows below 2**51
    each = 1.0 / questions
    for r in range(len(annotator)):
        row = int64(low) + r
        who = int64((float64(row) + 0.5) * each)
        annotator[r] = who
        order[r] = row - who * questions


def guide_table(cdf: np.ndarray) -> np.ndarray:
    """First cells for :func:`inverse_index`: a power of two of them, between ``n`` and ``4 n``, at most 2**20.

    Example:
        >>> guide_table(np.array([0.5, 1.0])).tolist()
        [0, 0, 1, 1]
    """
    bits = min(20, max(1, int(np.ceil(np.log2(len(cdf)))) + 1))
    # the smallest uniform of each cell of the guide; the same float64 product as in the draw
    low = (np.arange(1 << bits, dtype=np.float64) * 2.0 ** (32 - bits) + 0.5) * 2.0**-32 * cdf[-1]
    return np.minimum(np.searchsorted(cdf, low, side="right"), len(cdf) - 1).astype(np.int64)
