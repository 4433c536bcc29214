"""Dask as an engine: a client's workers behind the interface of :mod:`annosim.execution.executor`."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from annosim.errors import ClusterError
from annosim.extras import library
from annosim.places import Folder
from annosim.results import fingerprint

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["DaskEngine"]

P = ParamSpec("P")
T = TypeVar("T")

#: seconds that a scheduler has to answer, and the first worker to join it
PATIENCE = 10.0
#: seconds between two looks at who is there
_LOOK = 1.0
#: seconds after which a run without any worker gives up
WITHOUT_WORKERS = 60.0


class DaskEngine:
    """The workers of a Dask client.

    Each thread of a worker has one task at a time, so a worker's death is known to be the doing of its task where
    workers have one thread. Dask runs the tasks of a dead worker again on another one, and gives a task up that
    killed as many as the scheduler's ``allowed-failures`` says.

    Args:
        client: ``distributed.Client``.
        close: called at the end; for what was started for this run.

    Raises:
        MissingDependencyError: Dask is not installed.
        ClusterError: no worker, or one that would compute something else (another version of annosim, torch or numpy).
    """

    same_process = same_files = False

    def __init__(self, client: Client, close: Callable[[], None] = lambda: None):
        distributed = library("distributed", "dask")
        self.client, self._close = client, close
        self.worker_death: type[BaseException] = distributed.KilledWorker
        self.repeated = 0
        self._token, self._submitted = uuid.uuid4().hex[:8], 0
        self._ours: set[str] = set()
        self._lock = threading.Lock()
        self._without_since: float | None = None
        self._fingerprint = fingerprint()
        self._address = str(getattr(client.scheduler, "address", "of this client"))
        self._threads: dict[str, int] = {}
        self._looked = 0.0
        self._pool = client.get_executor(pure=False)
        self._wait_for_workers()
        self._refuse_strangers()
        client.subscribe_topic("all", self._saw)

    # ---- what it is ------------------------------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """Of the scheduler."""
        return self._address

    @property
    def capacity(self) -> int:
        """Threads of all workers that were there a second ago."""
        return max(1, sum(self._threads.values()))

    @property
    def certain(self) -> bool:
        """Workers have one thread each."""
        return max(self._threads.values(), default=1) == 1

    # ---- to run ----------------------------------------------------------------------------------------------------

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run the function on some worker."""
        with self._lock:
            self._submitted += 1
            key = f"annosim-{self._token}-{self._submitted}"
            self._ours.add(key)
        try:
            future: Future[T] = self._pool.submit(_run_checked, self._fingerprint, function, args, kwargs, key=key)
        except Exception:
            self.check()  # a client that has lost its scheduler complains in many ways
            raise
        future.add_done_callback(lambda _: self._ours.discard(key))
        return future

    def submit_isolated(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """The same; ask when nothing else runs."""
        self.repeated += 1
        return self.submit(function, *args, **kwargs)

    def reaches(self, folder: Folder) -> bool:
        """A URL that other machines see."""
        return folder.shared and folder.protocol != "memory"

    def check(self) -> None:
        """Whether the scheduler is there, and a worker.

        Raises:
            ClusterError: it was lost; what is finished is kept.
        """
        if self.client.status != "running":
            raise self._lost()
        if time.monotonic() - self._looked < _LOOK:
            return
        try:
            self._threads, self._looked = self.client.nthreads(), time.monotonic()
        except Exception:  # whatever a connection that breaks right now raises
            raise self._lost() from None
        if self._threads:
            self._without_since = None
            return
        self._without_since = self._without_since or time.monotonic()
        if time.monotonic() - self._without_since > WITHOUT_WORKERS:
            raise ClusterError(
                f"{self.address} has had no worker for {WITHOUT_WORKERS:g} s; what is finished is kept: start workers "
                "and run again to resume"
            )

    def _lost(self) -> ClusterError:
        return ClusterError(
            f"the scheduler {self.address} is gone; what is finished is kept: start it and run again to resume"
        )

    def shutdown(self) -> None:
        """Cancel what waits; a worker ends what it is at."""
        self._pool.shutdown(wait=False)
        self._pool = self.client.get_executor(pure=False)

    def close(self) -> None:
        """Leave the client as it was found, or end what was started for this run."""
        if self.client.status == "running":
            self.client.unsubscribe_topic("all")
        self._close()

    # ---- who is there ----------------------------------------------------------------------------------------------

    def _wait_for_workers(self) -> None:
        try:
            self.client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise ClusterError(f"{self.address}: no worker joined within {PATIENCE:g} s; start one") from None
        self.check()

    def _refuse_strangers(self) -> None:
        """A worker with other versions is named, before anything runs there."""
        found = self.client.run(fingerprint, on_error="return")
        workers = self.client.scheduler_info(n_workers=-1)["workers"]
        names = {address: worker.get("name", address) for address, worker in workers.items()}
        for address, theirs in found.items():
            if isinstance(theirs, ImportError):
                raise ClusterError(
                    f"worker {names.get(address, address)} ({address}) has no annosim ({theirs}); install annosim there"
                )
            if isinstance(theirs, BaseException):
                raise ClusterError(f"worker {names.get(address, address)} ({address}): {theirs}")
            _require_same(self._fingerprint, theirs, f"worker {names.get(address, address)} ({address})")

    def _saw(self, event: tuple[float, Any]) -> None:
        """A worker is gone: its tasks of ours are run again."""
        message = event[1]
        if isinstance(message, dict) and message.get("action") == "remove-worker":
            again = {*message.get("processing-tasks", ()), *message.get("lost-computed-tasks", ())}
            self.repeated += len(again & self._ours)


def _require_same(ours: dict[str, str], theirs: dict[str, str], who: str) -> None:
    for name, version in ours.items():
        if theirs.get(name) != version:
            raise ClusterError(
                f"{who} has {name} {theirs.get(name, 'of no known version')} and this process has {version}; results "
                "would differ: install the same there"
            )


def _run_checked(ours: dict[str, str], function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
    """On a worker, which may have joined since the run began."""
    if fingerprint() != ours:
        from distributed import get_worker

        worker = get_worker()
        _require_same(ours, fingerprint(), f"worker {worker.name} ({worker.address})")
    return function(*args, **kwargs)
