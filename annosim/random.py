"""Counter-based random numbers: a seed is an address, not a state.

:class:`CounterRNG` is what a rule's ``sample`` is handed; the functions draw for single addresses.

A draw's address is ``(seed, replicate, stream, entity, k)``. It is laid out, without collisions, as the key and the
counter of Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", which passes
BigCrush; the known-answer tests are those of its Random123 distribution):

========  ==========================================================================
key       the 64 bits of ``seed`` (low word, high word)
block     entities go in groups of 64, which share 16 blocks: entity ``e`` belongs to
          block ``(e // 64) * 16 + e % 16`` and owns output word ``(e // 16) % 4``
counter   word 0: the low 32 bits of the block; word 1: ``k``; word 2: ``replicate``;
          word 3: ``stream`` in the upper 8 bits, the high 24 bits of the block below
========  ==========================================================================

Philox is a bijection of the counter for every key, so two addresses of one seed never share a word, and different
seeds are different keys. Nearly every use draws the same ``k`` for a run of entities: four of them share each block, so
no word is thrown away, and sixteen neighbours stand in sixteen neighbouring blocks, which is one 512-bit register of
a processor (or half a warp), so that the words come out in the order in which they are used. Nothing else enters: not
chunks, threads, workers, shards or the device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from annosim.errors import ArgumentError, told

if TYPE_CHECKING:
    import torch

__all__ = ["STREAMS", "CounterRNG", "check_seed", "philox4x32", "uniform", "raw_uint32"]

#: 32-bit words in uint64 arrays.
Words: TypeAlias = NDArray[np.uint64]

#: Names of the streams; a new kind of draw gets a new name at the end, so that old draws never move.
STREAMS: Final[dict[str, int]] = {
    "menu": 0,
    "type": 1,
    "taste": 2,
    "habit": 3,
    "answer": 4,
    "counts": 5,
    "items": 6,
    "start": 7,
    "bootstrap": 8,
    "load": 9,
    "training": 10,
    "analysis": 11,
}

#: Entities in a group, and blocks that a group shares.
GROUP: Final = 64
LANE: Final = 16

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_MASK = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


def philox4x32(c0: Words, c1: Words, c2: Words, c3: Words, key: int) -> tuple[Words, Words, Words, Words]:
    """Ten rounds of Philox4x32 on arrays of counters (broadcast together).

    Args:
        c0, c1, c2, c3: counter words, any integer arrays with values below 2**32, shape ``(...)``.
        key: 64-bit key.

    Returns:
        Four uint64 arrays of shape ``(...)`` with values below 2**32.

    Example:
        The known-answer test of the Random123 distribution (counter and key zero):

        >>> import numpy as np
        >>> [hex(int(w)) for w in philox4x32(*[np.zeros((), np.uint64)] * 4, 0)]
        ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    x0, x1, x2, x3 = (a.astype(np.uint64) for a in np.broadcast_arrays(c0, c1, c2, c3))
    k0, k1 = key & 0xFFFFFFFF, (key >> 32) & 0xFFFFFFFF
    for _ in range(10):
        p0, p1 = x0 * _M0, x2 * _M1
        x0, x1, x2, x3 = (
            (p1 >> _SHIFT) ^ x1 ^ np.uint64(k0),
            p1 & _MASK,
            (p0 >> _SHIFT) ^ x3 ^ np.uint64(k1),
            p0 & _MASK,
        )
        k0, k1 = (k0 + _W0) & 0xFFFFFFFF, (k1 + _W1) & 0xFFFFFFFF
    return x0, x1, x2, x3


def check_seed(seed: object) -> int:
    """The seed as an int, or an :class:`ArgumentError`.

    Example:
        >>> check_seed(7)
        7
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= int(seed) < 2**64:
        raise ArgumentError(f"seed={told(seed)}: a seed is a whole number from 0 to 2**64 - 1; pass for example seed=0")
    return int(seed)


def raw_uint32(seed: int, stream: str, entity: ArrayLike, k: ArrayLike, replicate: ArrayLike = 0) -> Words:
    """The 32-bit words at ``(seed, replicate, stream, entity, k)``, broadcast over entity, k and replicate.

    Args:
        seed: 0 .. 2**64 - 1.
        stream: a name in :data:`STREAMS`.
        entity: annotator number for type and taste, row number otherwise; below 2**58.
        k: which draw of that entity; below 2**32.
        replicate: below 2**32.

    Returns:
        uint64 array with values below 2**32, of the broadcast shape.

    Example:
        A longer run begins with the shorter one:

        >>> import numpy as np
        >>> bool((raw_uint32(0, "answer", np.arange(9), 0)[:4] == raw_uint32(0, "answer", np.arange(4), 0)).all())
        True
    """
    who = np.asarray(entity, dtype=np.uint64)
    block = (who >> np.uint64(6) << np.uint64(4)) | (who & np.uint64(15))
    out = _blocks(seed, stream, block, np.asarray(k, dtype=np.uint64), np.asarray(replicate, dtype=np.uint64))
    lane = np.broadcast_to((who >> np.uint64(4) & np.uint64(3)).astype(np.intp), out[0].shape)
    return np.choose(lane, out)


def _blocks(seed: int, stream: str, block: Words, k: Words, replicate: Words) -> tuple[Words, Words, Words, Words]:
    """The four output words of some blocks (arrays that broadcast together)."""
    if stream not in STREAMS:
        raise ArgumentError(f"stream={stream!r}: the streams are {', '.join(STREAMS)}")
    c3 = np.uint64(STREAMS[stream] << 24) | (block >> _SHIFT)
    return philox4x32(block & _MASK, k, replicate, c3, check_seed(seed))


def _run_of_words(seed: int, stream: str, start: int, count: int, k: Words, replicate: int) -> Words:
    """Words of the entities ``start .. start + count - 1``, ``(count, len(k))``: every block is computed once."""
    first, last = start // GROUP, -(-(start + count) // GROUP)
    block = np.arange(first * LANE, last * LANE, dtype=np.uint64)[:, None]
    out = _blocks(seed, stream, block, k[None, :], np.asarray(replicate, dtype=np.uint64))
    # (groups, word, block in the group, k): entities in ascending order
    grouped = np.stack([word.reshape(-1, LANE, len(k)) for word in out], 1).reshape(-1, len(k))
    return grouped[start - first * GROUP :][:count]


def uniform(seed: int, stream: str, entity: ArrayLike, k: ArrayLike, replicate: ArrayLike = 0) -> NDArray[np.float64]:
    """Float64 uniforms on the open interval (0, 1), one 32-bit word each: ``(word + 1/2) / 2**32``.

    The smallest is 2**-33 and the largest 1 - 2**-33: never 0, never 1.

    Example:
        >>> float(uniform(0, "type", 0, 0)) != float(uniform(1, "type", 0, 0))
        True
    """
    return (raw_uint32(seed, stream, entity, k, replicate).astype(np.float64) + 0.5) * 2.0**-32


def uniform53(seed: int, stream: str, entity: ArrayLike, k: ArrayLike, replicate: ArrayLike = 0) -> NDArray[np.float64]:
    """Float64 uniforms on the open interval (0, 1) with 64 bits behind them: words ``2k`` and ``2k + 1``.

    Used where an event rarer than 2**-32 must be able to happen.

    Example:
        >>> 0.0 < float(uniform53(0, "answer", 7, 0)) < 1.0
        True
    """
    who = np.asarray(entity)
    if who.ndim == 1 and len(who) >= GROUP and not np.ndim(k) and not np.ndim(replicate) and _consecutive(who):
        return CounterRNG(seed, who, replicate).uniform53(stream, 1, int(np.asarray(k)))[:, 0]  # each block once
    first = np.asarray(k, dtype=np.uint64) * np.uint64(2)
    high = raw_uint32(seed, stream, entity, first, replicate)
    low = raw_uint32(seed, stream, entity, first + np.uint64(1), replicate)
    # 52 bits and a half: the largest value, 1 - 2**-53, is still a float64 below one.
    bits = (high << np.uint64(20)) | (low >> np.uint64(12))
    return (bits.astype(np.float64) + 0.5) * 2.0**-52


class CounterRNG:
    """``(seed, replicate, entities)`` with the words of any stream: what a rule's ``sample`` is handed.

    Args:
        seed: 0 .. 2**64 - 1.
        entity: row numbers, shape ``(rows,)``.
        replicate: replicate number, scalar or ``(rows,)``.

    Example:
        >>> import numpy as np
        >>> CounterRNG(0, np.arange(3)).uniform("answer", 4).shape
        (3, 4)
    """

    def __init__(self, seed: int, entity: ArrayLike, replicate: ArrayLike = 0) -> None:
        self.seed = check_seed(seed)
        self.entity = np.asarray(entity)
        self.replicate = np.asarray(replicate)

    def __len__(self) -> int:
        return int(self.entity.shape[0])

    def raw_uint32(self, stream: str, count: int, start: int = 0) -> Words:
        """Raw words ``start .. start + count - 1`` of every entity, shape ``(rows, count)``."""
        k = np.arange(start, start + count, dtype=np.uint64)
        rep = self.replicate
        if rep.ndim == 0 and len(self) and _consecutive(self.entity):
            return _run_of_words(self.seed, stream, int(self.entity[0]), len(self), k, int(rep))
        rep = rep[:, None] if rep.ndim else rep
        return raw_uint32(self.seed, stream, self.entity[:, None], k[None, :], rep)

    def uniform(self, stream: str, count: int, start: int = 0) -> NDArray[np.float64]:
        """Open uniforms from single words, shape ``(rows, count)``."""
        return (self.raw_uint32(stream, count, start).astype(np.float64) + 0.5) * 2.0**-32

    def uniform53(self, stream: str, count: int, start: int = 0) -> NDArray[np.float64]:
        """Open uniforms from two words each, shape ``(rows, count)``; uses words ``2 * start`` and on."""
        w = self.raw_uint32(stream, 2 * count, 2 * start).reshape(len(self), count, 2)
        bits = (w[..., 0] << np.uint64(20)) | (w[..., 1] >> np.uint64(12))
        return (bits.astype(np.float64) + 0.5) * 2.0**-52

    def normal(self, stream: str, count: int, start: int = 0) -> NDArray[np.float64]:
        """Standard normals by the inverse distribution function, shape ``(rows, count)``."""
        return ndtri(self.uniform53(stream, count, start))


def _consecutive(entity: NDArray[np.integer]) -> bool:
    return int(entity[-1]) - int(entity[0]) + 1 == len(entity) and bool((np.diff(entity) == 1).all())


def child_seed(seed: int, name: str) -> int:
    """A 64-bit seed for a named sub-task of ``seed`` (restarts, bootstraps, study cells).

    BLAKE2b of the pair: unrelated for different names and for different seeds.

    Example:
        >>> child_seed(0, "start") != child_seed(1, "start")
        True
    """
    import hashlib

    return int.from_bytes(hashlib.blake2b(f"{check_seed(seed)}/{name}".encode(), digest_size=8).digest(), "little")


def torch_generator(seed: int, name: str, device: str = "cpu") -> torch.Generator:
    """A private ``torch.Generator`` at ``(seed, name)``: for network initialisation and minibatch order.

    Example:
        >>> import torch
        >>> g = torch_generator(0, "init")
        >>> torch.rand(1, generator=g).shape
        torch.Size([1])
    """
    import torch

    generator = torch.Generator(device=device)
    generator.manual_seed(child_seed(seed, name) & 0x7FFFFFFFFFFFFFFF)
    return generator
