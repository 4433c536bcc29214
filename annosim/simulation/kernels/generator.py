"""The counter RNG in compiled loops: the same addresses as :mod:`annosim.random`, sixteen blocks to a register.

Everything here is numba; a parity test holds it to :func:`annosim.random.raw_uint32` bit by bit.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint32, uint64

from annosim.random import GROUP, LANE

__all__ = ["BLOCK", "fill_uint32", "uint32_at"]

#: Rows that one pass of a kernel holds in its buffers: a multiple of the generator's group, small enough for L1.
BLOCK = 256

_GROUP, _LANE = GROUP, LANE


@njit(inline="always")
def philox(c0, c1, c2, c3, k0, k1):
    """Ten rounds of Philox4x32 on 32-bit numbers."""
    for _ in range(10):
        p0 = uint64(c0) * uint64(0xD2511F53)
        p1 = uint64(c2) * uint64(0xCD9E8D57)
        c0, c2 = uint32(p1 >> uint64(32)) ^ c1 ^ k0, uint32(p0 >> uint64(32)) ^ c3 ^ k1
        c1, c3 = uint32(p1), uint32(p0)
        k0 = uint32(k0 + uint32(0x9E3779B9))
        k1 = uint32(k1 + uint32(0xBB67AE85))
    return c0, c1, c2, c3


@njit(nogil=True, error_model="numpy", cache=True)
def fill_uint32(out, group, key, stream, k, replicate):
    """Raw uint32 number ``k`` of the entities of whole groups, ``out (n,)`` uint32 with ``n`` a multiple of 64.

    Args:
        out: filled in ascending order of entities, from entity ``64 * group``.
        group: first group.
        key: seed.
        stream: number of the stream.
        k: which raw uint32.
        replicate: which replicate.
    """
    k0, k1 = uint32(key), uint32(uint64(key) >> uint64(32))
    for g in range(out.shape[0] // _GROUP):
        block = (uint64(group) + uint64(g)) * uint64(_LANE)
        low = uint32(block)
        c3 = uint32(uint32(stream) << uint32(24)) | uint32(block >> uint64(32))
        at = g * _GROUP
        o0, o1 = out[at : at + _LANE], out[at + _LANE : at + 2 * _LANE]
        o2, o3 = out[at + 2 * _LANE : at + 3 * _LANE], out[at + 3 * _LANE : at + 4 * _LANE]
        for b in range(_LANE):
            o0[b], o1[b], o2[b], o3[b] = philox(low + uint32(b), uint32(k), uint32(replicate), c3, k0, k1)


@njit(nogil=True, error_model="numpy", cache=True)
def uint32_at(entity, key, stream, k, replicate):
    """One raw uint32, for the rare row that needs another."""
    entity = uint64(entity)
    block = ((entity >> uint64(6)) << uint64(4)) | (entity & uint64(15))
    c3 = uint32(uint32(stream) << uint32(24)) | uint32(block >> uint64(32))
    a, b, c, d = philox(uint32(block), uint32(k), uint32(replicate), c3, uint32(key), uint32(uint64(key) >> uint64(32)))
    lane = (entity >> uint64(4)) & uint64(3)
    return a if lane == 0 else b if lane == 1 else c if lane == 2 else d


@njit(nogil=True, error_model="numpy", cache=True)
def uniform52(high, low):
    """The 52-bit uniform of two raw uint32, as :meth:`annosim.random.CounterRNG.uniform53` makes it."""
    bits = (uint64(high) << uint64(20)) | (uint64(low) >> uint64(12))
    return (np.float64(bits) + 0.5) * 2.0**-52
