"""Where tasks run: one small interface with the meaning of :mod:`concurrent.futures`, and its forms on this machine.

A cluster (:mod:`annosim.execution.dask_engine`) is another class with these members; whoever submits knows nothing else
of it. What a task computes depends on its arguments alone, so every engine gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor as _Pool
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, Protocol, TypeVar

from annosim.places import Folder
from annosim.workers import pool, process_death

__all__ = ["Executor", "LocalProcesses", "Threads", "ThisProcess"]

P = ParamSpec("P")
T = TypeVar("T")

#: Tasks submitted per worker: enough that none waits for its next one, few enough that a worker's death concerns few.
TASKS_PER_WORKER = 3


class NoDeath(BaseException):
    """What an executor without workers of its own never raises."""


class Executor(Protocol):
    """Runs functions somewhere and returns futures that :func:`concurrent.futures.wait` understands.

    Attributes:
        worker_death: what a future raises, or :meth:`submit` itself, when the worker died rather than the task failed.
        same_process: tasks see the objects of this process.
        same_files: tasks see the files of this machine.
        repeated: how many tasks were run again because the worker that had them died.

    Example:
        >>> import annosim as an
        >>> with an.cluster("processes:2") as executor:
        ...     executor.same_files, executor.repeated
        (True, 0)
    """

    worker_death: type[BaseException]
    same_process: bool
    same_files: bool
    repeated: int

    @property
    def capacity(self) -> int:
        """How many tasks may be submitted and not yet finished."""
        ...

    @property
    def certain(self) -> bool:
        """A death reported for a task is its own doing; where it is not, what died together is tried again alone."""
        ...

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run the function on some worker."""
        ...

    def submit_isolated(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run the function on a worker that runs nothing else, so that its death concerns nobody else."""
        ...

    def reaches(self, folder: Folder) -> bool:
        """Whether tasks can write to the folder themselves: it is in reach of all workers."""
        ...

    def check(self) -> None:
        """Raise :class:`~annosim.errors.ClusterError` when nothing will come back any more."""
        ...

    def shutdown(self) -> None:
        """Stop whatever runs, at once."""
        ...


class _OnThisMachine:
    """What engines of this machine share."""

    same_files = True
    same_process = True

    def reaches(self, folder: Folder) -> bool:
        """Everything but the memory of another process."""
        return self.same_process or folder.protocol != "memory"

    def check(self) -> None:
        """Nothing can be lost."""


class ThisProcess(_OnThisMachine):
    """Runs each function when it is submitted; a crash takes the whole run with it.

    Example:
        >>> ThisProcess().submit(pow, 2, 10).result()
        1024
    """

    capacity = 1
    worker_death: type[BaseException] = NoDeath
    certain = True
    repeated = 0

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run the function now; what it raises is raised here."""
        future: Future[T] = Future()
        future.set_result(function(*args, **kwargs))
        return future

    def submit_isolated(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """The same."""
        return self.submit(function, *args, **kwargs)

    def shutdown(self) -> None:
        """Nothing is left running."""


class Threads(_OnThisMachine):
    """Threads of this process, for compiled code that lets others run beside it; they end with :meth:`shutdown`.

    Args:
        workers: how many.

    Example:
        >>> threads = Threads(2)
        >>> threads.submit(pow, 2, 10).result(), threads.shutdown()
        (1024, None)
    """

    worker_death: type[BaseException] = NoDeath
    certain = True
    repeated = 0

    def __init__(self, workers: int):
        self.capacity = workers
        self._pool = ThreadPoolExecutor(workers)

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run the function in some thread."""
        return self._pool.submit(function, *args, **kwargs)

    def submit_isolated(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """The same."""
        return self.submit(function, *args, **kwargs)

    def shutdown(self) -> None:
        """Start nothing more; what runs is waited for."""
        self._pool.shutdown(cancel_futures=True)


class LocalProcesses(_OnThisMachine):
    """Worker processes on this machine, one thread each, kept for whoever asks next in this session.

    Args:
        workers: how many processes.

    Example:
        >>> LocalProcesses(2).capacity
        6
    """

    certain = same_process = False

    def __init__(self, workers: int):
        self.workers = workers
        self.capacity = TASKS_PER_WORKER * workers
        self.worker_death: type[BaseException] = process_death()
        self.repeated = 0
        self._pool: _Pool | None = None

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run the function in some worker process."""
        return self._pool_of(self.workers).submit(function, *args, **kwargs)

    def submit_isolated(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run the function in the only worker process; ask when nothing else runs."""
        self.repeated += 1
        return self._pool_of(1).submit(function, *args, **kwargs)

    def shutdown(self) -> None:
        """Kill the workers."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, kill_workers=True)  # type: ignore[call-arg]  # loky's own option

    def _pool_of(self, workers: int) -> _Pool:
        # kept at hand: asking loky for it again, to shut it down, would first wait for what runs there
        self._pool = pool(workers)
        return self._pool
