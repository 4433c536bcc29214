"""Tasks on their way through an executor: results as they come, and what died with a worker run again."""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from annosim.errors import ClusterError
from annosim.execution.executor import Executor

__all__ = ["Died", "Packed", "Submitted", "iter_tasks", "run_in_order", "run_tasks"]

Common = TypeVar("Common")
Task = TypeVar("Task")
Result = TypeVar("Result")

#: seconds between two looks at whether anything will come back at all
_LOOK = 1.0


@dataclass(frozen=True)
class Died:
    """What stands for a task's result when it killed its worker, again and again.

    Attributes:
        message: in one line.
    """

    message: str


class Submitted(Generic[Task, Result]):
    """Tasks on their way through an executor.

    One worker's death (out of memory, a crash in compiled code) may take all tasks that are running with it: these are
    retried in isolation, one after the other, so that only the culprit fails.

    Args:
        executor: where.
        run: what is called with each task.
    """

    def __init__(self, executor: Executor, run: Callable[[Task], Result]):
        self.executor, self.run = executor, run
        self.queue: deque[Task] = deque()
        self.running: dict[Future[Result], Task] = {}
        self.isolated_retries: deque[Task] = deque()

    @property
    def pending(self) -> bool:
        """Whether a task has not come back yet."""
        return bool(self.queue or self.running or self.isolated_retries)

    def next_completed(self) -> list[tuple[Task, Result | Died]]:
        """What finishes next, with its result; possibly nothing yet, when a worker died."""
        if self.isolated_retries:
            task = self.isolated_retries.popleft()
            return [(task, self.retry(task))]
        while self.queue and not self.isolated_retries and len(self.running) < self.executor.capacity:
            task = self.queue.popleft()
            try:
                self.running[self.executor.submit(self.run, self.to_send(task))] = task
            except self.executor.worker_death:
                self.isolated_retries.append(task)
        return self._collect()

    def to_send(self, task: Task) -> Task:
        """What a worker is given of a task; the task itself."""
        return task

    def _collect(self) -> list[tuple[Task, Result | Died]]:
        """Tasks that came back; those that died with a worker are put aside."""
        ended = self._wait()
        if not self.executor.certain and any(self._death(future) for future in ended):
            while len(ended) < len(self.running):
                ended = self._wait(beyond=len(ended))
        found: list[tuple[Task, Result | Died]] = []
        for future in [future for future in self.running if future in ended]:
            task = self.running.pop(future)
            death = self._death(future)
            if death is None:
                found.append((task, self._result(future)))
            elif self.executor.certain:
                found.append((task, _died(death)))
            else:
                self.isolated_retries.append(task)
        return found

    def _wait(self, beyond: int = 0) -> set[Future[Result]]:
        """Futures that have ended, more than ``beyond`` of them; raises when nothing will end any more."""
        while True:
            ended = {future for future in self.running if future.done()}
            if len(ended) > beyond or not self.running:
                return ended
            wait(set(self.running) - ended, timeout=_LOOK, return_when=FIRST_COMPLETED)
            self.executor.check()

    def retry(self, task: Task) -> Result | Died:
        """The task's result, run alone."""
        try:
            future = self.executor.submit_isolated(self.run, self.to_send(task))
            while not future.done():
                wait([future], timeout=_LOOK)
                self.executor.check()
            death = self._death(future)
            return self._result(future) if death is None else _died(death)
        except self.executor.worker_death as error:
            return _died(error)

    def _death(self, future: Future[Result]) -> BaseException | None:
        error = None if future.cancelled() else future.exception()
        return error if isinstance(error, self.executor.worker_death) else None

    def _result(self, future: Future[Result]) -> Result:
        try:
            return future.result()
        except CancelledError:
            self.executor.check()
            raise ClusterError("a task was cancelled by somebody else; run again, what is finished is kept") from None


def _died(error: BaseException) -> Died:
    return Died(f"its process died (out of memory, or a crash): {type(error).__name__}")


@dataclass(frozen=True)
class Packed:
    """What all tasks share, as bytes that a worker unpacks once."""

    raw: bytes
    digest: str

    @classmethod
    def of(cls, common: object) -> Packed:
        """Pack it once, where several runs share it."""
        import cloudpickle  # also functions that were typed into a session

        raw = cloudpickle.dumps(common)
        return cls(raw, hashlib.sha256(raw).hexdigest())

    def unpacked(self) -> object:
        import pickle

        if self.digest in _unpacked:
            _unpacked.move_to_end(self.digest)
            return _unpacked[self.digest]
        value = _unpacked[self.digest] = pickle.loads(self.raw)
        if len(_unpacked) > _KEPT:
            _unpacked.popitem(last=False)
        return value


#: what a worker has unpacked, the latest last
_unpacked: OrderedDict[str, object] = OrderedDict()
_KEPT = 2


def _call(function: Callable[[Common, Task], Result], common: Common | Packed, task: Task) -> Result:
    """In a worker: the function of what all tasks share, and of this task."""
    return function(common.unpacked() if isinstance(common, Packed) else common, task)  # type: ignore[arg-type]


def iter_tasks(
    function: Callable[[Common, Task], Result], common: Common | Packed, tasks: Iterable[Task], executor: Executor
) -> Iterator[tuple[Task, Result | Died]]:
    """Each task with ``function(common, task)``, in the order in which they finish.

    Args:
        function: of a module that workers can import, or one that cloudpickle can send.
        common: what all tasks share; a worker unpacks it once (or :class:`Packed` already).
        tasks: small things that can be sent.
        executor: where; stopped when the iteration is.

    Example:
        >>> from annosim.execution.executor import ThisProcess
        >>> list(iter_tasks(pow, 2, [3, 5], ThisProcess()))
        [(3, 8), (5, 32)]
    """
    sent = common if executor.same_process or isinstance(common, Packed) else Packed.of(common)
    submitted: Submitted[Task, Result] = Submitted(executor, partial(_call, function, sent))
    submitted.queue.extend(tasks)
    try:
        while submitted.pending:
            yield from submitted.next_completed()
    except BaseException:
        executor.shutdown()
        raise


def run_tasks(
    function: Callable[[Common, Task], Result], common: Common | Packed, tasks: Iterable[Task], executor: Executor
) -> list[Result]:
    """``function(common, task)`` of every task, in the order of the tasks.

    Raises:
        ClusterError: a task killed its worker again and again.

    Example:
        >>> from annosim.execution.executor import Threads
        >>> run_tasks(pow, 2, [3, 5, 7], Threads(2))
        [8, 32, 128]
    """
    return list(run_in_order(function, common, tasks, executor))


def run_in_order(
    function: Callable[[Common, Task], Result], common: Common | Packed, tasks: Iterable[Task], executor: Executor
) -> Generator[Result]:
    """``function(common, task)`` of every task, in the order of the tasks, each as soon as it and all before it are there.

    Raises:
        ClusterError: a task killed its worker again and again.

    Example:
        >>> from annosim.execution.executor import Threads
        >>> list(run_in_order(pow, 2, [3, 5, 7], Threads(2)))
        [8, 32, 128]
    """
    waiting: dict[int, Result] = {}
    due = 0
    for (number, _), result in iter_tasks(partial(_numbered, function), common, enumerate(tasks), executor):
        if isinstance(result, Died):
            raise ClusterError(f"task {number}: {result.message}; give the workers more memory, or run it by itself")
        waiting[number] = result
        while due in waiting:
            yield waiting.pop(due)
            due += 1


def _numbered(function: Callable[[Common, Task], Result], common: Common, task: tuple[int, Task]) -> Result:
    return function(common, task[1])
