"""Worker processes: the one place that starts them, and sees to it that none outlives who started it."""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import threading
from concurrent.futures import Executor
from functools import cache
from multiprocessing.connection import Connection

__all__ = ["dask_workers", "pool", "process_death"]

#: one thread in each worker, whatever library counts
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
#: seconds between two looks at whose child a worker is
_LOOK = 0.5


def pool(workers: int) -> Executor:
    """Worker processes of one thread each, kept for whoever asks next; they end at once when this process does.

    Args:
        workers: how many.

    Example:
        >>> pool(2)._max_workers  # doctest: +SKIP
        2
    """
    from joblib.externals.loky import get_reusable_executor

    made: Executor = get_reusable_executor(
        max_workers=workers,
        timeout=300,
        env=dict.fromkeys(_THREADS, "1"),
        initializer=_begin,
        initargs=_lifeline(os.getpid()),
    )
    return made


def process_death() -> type[BaseException]:
    """What the futures of a :func:`pool` raise when a worker process died.

    Example:
        >>> process_death().__name__
        'BrokenProcessPool'
    """
    from joblib.externals.loky.process_executor import BrokenProcessPool

    death: type[BaseException] = BrokenProcessPool
    return death


def dask_workers(workers: int, failures: int) -> object:
    """A Dask cluster on this machine, ``distributed.LocalCluster``: a scheduler here, worker processes of one thread.

    Args:
        workers: how many.
        failures: so many deaths of its worker a task survives.
    """
    import dask
    from distributed import LocalCluster

    # a worker that is started again late, on a busy machine, must not be taken for lost while it starts
    dask.config.set({"distributed.deploy.lost-worker-timeout": "1 day"})
    with dask.config.set({"distributed.scheduler.allowed-failures": failures}):
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",  # any free port, without a word about it
            silence_logs=logging.CRITICAL,
        )


@cache
def _lifeline(process: int) -> tuple[Connection, int]:
    """The reading end of a pipe that nobody writes to: it ends when this process, which alone holds the other, does."""
    reading, writing = multiprocessing.Pipe(duplex=False)
    _held.append(writing)
    return reading, process


_held: list[Connection] = []


def _begin(lifeline: Connection, parent: int) -> None:
    """In a worker: wait beside the work for the end of the parent, however it comes about."""
    from joblib.externals.loky import process_executor

    # libraries and prepared shards that a worker keeps are no leak, for which loky would end it and begin another
    process_executor._MAX_MEMORY_LEAK_SIZE = math.inf
    threading.Thread(target=_wait_for_the_end, args=(lifeline, parent), daemon=True).start()


def _wait_for_the_end(lifeline: Connection, parent: int) -> None:
    ours = os.getppid() == parent  # not so where a system starts processes by way of others
    try:
        while not lifeline.poll(_LOOK) and (not ours or os.getppid() == parent):
            pass
    except OSError:
        pass
    os._exit(1)
