"""How many threads compiled kernels use, and the loop that hands them runs of rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

__all__ = ["PARTS", "count", "run"]

#: Into how many parts a long sum is split, on any number of threads: its rounding then depends on none of them.
PARTS = 16


def count(threads: int | None = None) -> int:
    """Threads to use: ``threads``, or the cores of this process, but not more than the environment allows.

    ``NUMBA_NUM_THREADS`` and ``OMP_NUM_THREADS`` are limits; joblib sets them to one inside its workers.

    Example:
        >>> count(3)
        3
    """
    if threads is not None:
        return max(1, int(threads))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = [os.environ.get(name, "") for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS")]
    return max(1, min([cores, *(int(v) for v in limits if v.isdigit() and int(v) > 0)]))


def run(task: Callable[[int], None], numbers: Iterable[int], threads: int) -> None:
    """``task(i)`` for every number, on some threads; an exception in one is raised here."""
    numbers = list(numbers)
    if threads <= 1 or len(numbers) <= 1:
        for i in numbers:
            task(i)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(task, numbers))
