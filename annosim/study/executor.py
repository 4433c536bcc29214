"""Where tasks run: one small interface with the meaning of :mod:`concurrent.futures`, and its local form.

Another engine (a cluster) is another class with these members; the scheduler knows nothing else of it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor as _Pool
from concurrent.futures import Future
from typing import ParamSpec, Protocol, TypeVar

from joblib.externals.loky.process_executor import BrokenProcessPool

from annosim.workers import pool

__all__ = ["Executor", "LocalProcesses", "ThisProcess"]

P = ParamSpec("P")
T = TypeVar("T")

#: Tasks submitted per worker: enough that none waits for its next one, few enough that a worker's death concerns few.
TASKS_PER_WORKER = 3


class Executor(Protocol):
    """Runs functions somewhere and returns futures that :func:`concurrent.futures.wait` understands.

    Attributes:
        capacity: how many tasks may be submitted and not yet finished.
        worker_death: what a future raises, or :meth:`submit` itself, when the worker died rather than the task failed.
    """

    capacity: int
    worker_death: type[BaseException]

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run the function on some worker."""
        ...

    def submit_isolated(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run the function on a worker that runs nothing else, so that its death concerns nobody else."""
        ...

    def shutdown(self) -> None:
        """Stop whatever runs, at once."""
        ...


class ThisProcess:
    """Runs each function when it is submitted; a crash takes the whole run with it.

    Example:
        >>> ThisProcess().submit(pow, 2, 10).result()
        1024
    """

    capacity = 1
    worker_death: type[BaseException] = BrokenProcessPool  # never raised: there is no worker

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


class LocalProcesses:
    """Worker processes on this machine, one thread each, kept for the next study of this session.

    Args:
        workers: how many processes.
    """

    worker_death: type[BaseException] = BrokenProcessPool

    def __init__(self, workers: int):
        self.workers = workers
        self.capacity = TASKS_PER_WORKER * workers
        self._pool: _Pool | None = None

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run the function in some worker process."""
        return self._pool_of(self.workers).submit(function, *args, **kwargs)

    def submit_isolated(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run the function in the only worker process; ask when nothing else runs."""
        return self._pool_of(1).submit(function, *args, **kwargs)

    def shutdown(self) -> None:
        """Kill the workers."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, kill_workers=True)  # type: ignore[call-arg]  # loky's own option

    def _pool_of(self, workers: int) -> _Pool:
        # kept at hand: asking loky for it again, to shut it down, would first wait for what runs there
        self._pool = pool(workers)
        return self._pool
