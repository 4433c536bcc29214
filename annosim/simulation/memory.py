"""Arrays whose pages have been touched before: the memory of large results is kept for the next one.

The first touch of a fresh page costs as much as drawing the pairs that fill it. When the last view of a large array
dies, its memory goes to a small store (at most :data:`KEEP` bytes) from which the next of about that size is made.
"""

from __future__ import annotations

import os
import threading
import weakref

import numpy as np
from numpy.typing import DTypeLike

__all__ = ["KEEP", "empty", "installed", "release"]


def installed() -> int | None:
    """Bytes of the machine's memory; ``None`` where the system does not say.

    Example:
        >>> installed() is None or installed() > 1 << 20
        True
    """
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _keep() -> int:
    """A sixteenth of the machine's memory, at most 1 GB; 256 MB where the system does not say how much it has."""
    total = installed()
    return 1 << 28 if total is None else min(1 << 30, total // 16)


#: Bytes that are kept at most, all stored pieces together.
KEEP = _keep()
#: Smaller arrays come from numpy, which reuses them itself.
_LARGE = 1 << 20

_store: list[np.ndarray] = []
_lock = threading.Lock()


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """An array with whatever it held before, like ``np.empty``.

    Example:
        >>> empty((2, 3), np.int8).shape
        (2, 3)
    """
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if size < _LARGE or size > KEEP:
        return np.empty(shape, dtype)
    piece = _take(size)
    if piece is None:
        piece = np.empty(size, dtype=np.uint8)
    # a second array over the piece's buffer: all views refer to it, and its end is theirs
    lent = np.frombuffer(memoryview(piece), dtype=np.uint8)  # type: ignore[arg-type]  # an array is a buffer
    weakref.finalize(lent, _give, piece).atexit = False
    return lent[:size].view(dtype).reshape(shape)


def release() -> None:
    """Give everything that is stored back to the system.

    Example:
        >>> release()
    """
    with _lock:
        _store.clear()


def _take(size: int) -> np.ndarray | None:
    """The smallest stored piece that is large enough and not more than a quarter too large."""
    with _lock:
        fitting = [i for i, piece in enumerate(_store) if size <= piece.nbytes <= size + size // 4]
        return _store.pop(min(fitting, key=lambda i: _store[i].nbytes)) if fitting else None


def _give(piece: np.ndarray) -> None:
    """Store a piece; the oldest go first when there are too many bytes."""
    # a finalizer may run while this thread holds the lock; then the piece is simply not kept
    if not _lock.acquire(blocking=False):
        return
    try:
        _store.append(piece)
        while sum(p.nbytes for p in _store) > KEEP:
            _store.pop(0)
    finally:
        _lock.release()
