"""Which engine the verbs submit to: this machine's own, or the cluster of ``with an.cluster(...):``."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from annosim.errors import ArgumentError, ClusterError
from annosim.execution.dask_engine import PATIENCE, DaskEngine
from annosim.execution.executor import Executor, LocalProcesses
from annosim.extras import library
from annosim.workers import dask_workers

__all__ = ["active", "cluster", "engine", "local_cluster"]

_active: ContextVar[Executor | None] = ContextVar("annosim_cluster", default=None)

#: Deaths of its worker that a task survives in a cluster that is started for a run: at the third it is given up.
FAILURES = 2
_WRITE = "write tcp://HOST:8786, local:4, processes:4 or FILE.toml"


def active() -> Executor | None:
    """The engine of the innermost ``with an.cluster(...):`` around the caller, if there is one.

    Example:
        >>> active() is None
        True
    """
    return _active.get()


@contextmanager
def engine(otherwise: Callable[[], Executor]) -> Iterator[Executor]:
    """The active engine; without one, another that ends with the block.

    Example:
        >>> from annosim.execution.executor import ThisProcess
        >>> with engine(ThisProcess) as executor:
        ...     executor.submit(pow, 2, 3).result()
        8
    """
    there = active()
    if there is not None:
        yield there
        return
    made = otherwise()
    try:
        yield made
    finally:
        if made.same_process:
            made.shutdown()


@contextmanager
def cluster(where: object) -> Iterator[Executor]:
    """Inside the block studies, simulations to shards, replicates, starts, refits, plans and checks run there.

    Results are those of this process bit for bit: a draw depends on its address, not on who computes it. What was
    running on a worker that died is run again on another one (``repeated`` counts these tasks), and only a task that
    kills its workers again and again fails.

    Args:
        where: a ``distributed.Client``, or a cluster that has one (``LocalCluster``, dask-jobqueue's ``SLURMCluster``);
            ``"tcp://HOST:8786"`` (or ``tls://``, ``ws://``), a scheduler; ``"local:4"``, a Dask cluster of 4 processes
            on this machine; ``"processes:4"`` or ``4``, worker processes without Dask; a ``FILE.toml`` with
            ``scheduler``, ``scheduler_file``, ``local`` or ``processes`` and, for TLS, ``[security]``. What is started
            for the block ends with it; what was there stays.

    Yields:
        The engine, an :class:`~annosim.execution.Executor`.

    Raises:
        ClusterError: an unknown scheme, a scheduler that does not answer within ten seconds, no worker, or a worker
            with other versions of annosim, torch or numpy.
        MissingDependencyError: Dask is not installed.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
        >>> data = an.simulate(people, an.Design(an.Items(n=2), annotators=50), seed=0, replicates=3)
        >>> with an.cluster("processes:1"):
        ...     there = an.fit(people.like(seed=1), data)
        >>> bool((there.vectors == an.fit(people.like(seed=1), data).vectors).all())
        True
    """
    made = _opened(where)
    token = _active.set(made)
    try:
        yield made
    finally:
        _active.reset(token)
        if isinstance(made, DaskEngine):
            made.close()


def _opened(where: object) -> Executor:
    if isinstance(where, bool) or where is None:
        raise ArgumentError(f"cluster({where!r}): {_WRITE}, or give a distributed.Client")
    if isinstance(where, int):
        return LocalProcesses(_number("processes", str(where)))
    if isinstance(where, str | os.PathLike):
        return _named(os.fspath(where))
    distributed = library("distributed", "dask")
    if isinstance(where, distributed.Client):
        return DaskEngine(where)
    if hasattr(where, "scheduler_address"):
        return _connected(where)
    raise ArgumentError(f"cluster({type(where).__name__}): give a distributed.Client, a cluster, or text: {_WRITE}")


def _named(text: str) -> Executor:
    if text.endswith(".toml"):
        return _from_file(Path(text))
    scheme, colon, rest = text.partition(":")
    if scheme == "processes" and colon:
        return LocalProcesses(_number(scheme, rest))
    if scheme == "local" and colon:
        workers = _number(scheme, rest)
        return local_cluster(workers)
    if scheme in ("tcp", "tls", "ws", "wss", "ucx") and rest.startswith("//"):
        return _connected(text)
    raise ClusterError(f"cluster {text!r}: unknown; {_WRITE}")


def _number(scheme: str, text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 4096:
        raise ClusterError(f"cluster {scheme}:{text}: a whole number of workers, such as {scheme}:4")
    return int(text)


def _from_file(path: Path) -> Executor:
    """A file that says where: one of scheduler, scheduler_file, local, processes, and TLS."""
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ClusterError(f"cluster {path}: cannot be read ({why}); {_WRITE}") from None
    kinds = [name for name in ("scheduler", "scheduler_file", "local", "processes") if name in table]
    unknown = sorted(set(table) - {*kinds, "security", "timeout"})
    if unknown or len(kinds) != 1:
        wrong = f"unknown key {unknown[0]!r}" if unknown else f"{len(kinds)} of its keys say where"
        raise ClusterError(
            f"cluster {path}: {wrong}; give one of scheduler, scheduler_file, local or processes, and if need be timeout "
            "and [security]"
        )
    (kind,) = kinds
    value, timeout, security = table[kind], table.get("timeout", PATIENCE), table.get("security")
    if kind in ("local", "processes"):
        return _named(f"{kind}:{value}")
    if not isinstance(timeout, int | float) or isinstance(timeout, bool) or timeout <= 0:
        raise ClusterError(f"cluster {path}: timeout = {timeout!r}; seconds above 0")
    if not isinstance(value, str) or not isinstance(security, dict | None):
        raise ClusterError(f"cluster {path}: {kind} is a text and [security] a table")
    if kind == "scheduler_file":
        value = _address_in(path.parent / value)
    return _connected(value, timeout, security)


def _address_in(path: Path) -> str:
    import json

    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ClusterError(
            f"{path}: no scheduler's address in it; start one with dask scheduler --scheduler-file {path}"
        ) from None


def _connected(where: object, timeout: float = PATIENCE, security: dict[str, Any] | None = None) -> DaskEngine:
    """A client of our own, closed with the block."""
    distributed = library("distributed", "dask")
    try:
        keys = None if security is None else distributed.security.Security(require_encryption=True, **security)
        client = distributed.Client(where, timeout=timeout, set_as_default=False, security=keys)
    except (OSError, ValueError, TypeError, ImportError) as error:
        why = "it did not answer" if isinstance(error, OSError) else " ".join(str(error).split())[:120]
        raise ClusterError(
            f"no Dask scheduler at {where} within {timeout:g} s ({why}); start one with: dask scheduler"
        ) from None
    return _engine_of(client, lambda: client.close(timeout=2))


def local_cluster(workers: int) -> DaskEngine:
    """A Dask cluster of processes on this machine; close it."""
    distributed = library("distributed", "dask")
    made: Any = dask_workers(workers, FAILURES)
    client = distributed.Client(made, set_as_default=False)

    def close() -> None:
        client.close(timeout=2)
        made.close(timeout=5)

    return _engine_of(client, close)


def _engine_of(client: Any, close: Callable[[], None]) -> DaskEngine:
    try:
        return DaskEngine(client, close)
    except BaseException:
        close()
        raise
