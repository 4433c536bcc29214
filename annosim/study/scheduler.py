"""Which task runs when: each starts once its dependencies have finished, and a dead worker costs its own cell only."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait

from annosim.study.executor import Executor
from annosim.study.graph import Task, TaskGraph
from annosim.study.store import Record, load_record

__all__ = ["iter_completed"]

#: Runs a task and returns a record for each of its jobs.
RunTask = Callable[[Task], list[Record]]


def iter_completed(graph: TaskGraph, executor: Executor, run: RunTask) -> Iterator[Record]:
    """Records as their jobs finish.

    Args:
        graph: what is to be run.
        executor: where; it is shut down when the iteration is interrupted.
        run: what a worker calls with each task.
    """
    submitted = _Submitted(executor, run)
    try:
        while True:
            tasks, failures = graph.ready()
            submitted.queue.extend(tasks)
            records = failures or (submitted.next_completed() if submitted.pending else None)
            if records is None:
                return
            graph.done(records)
            yield from records
    except BaseException:
        executor.shutdown()
        raise


class _Submitted:
    """Tasks on their way through an executor.

    One worker's death (out of memory, a crash in compiled code) takes all tasks that are running with it: these are
    retried in isolation, one after the other, so that only the culprit fails.
    """

    def __init__(self, executor: Executor, run: RunTask):
        self.executor, self.run = executor, run
        self.queue: deque[Task] = deque()
        self.running: dict[Future[list[Record]], Task] = {}
        self.isolated_retries: deque[Task] = deque()

    @property
    def pending(self) -> bool:
        """Whether a task has not come back yet."""
        return bool(self.queue or self.running or self.isolated_retries)

    def next_completed(self) -> list[Record]:
        """Records of what finishes next; possibly none yet, when a worker died."""
        if self.isolated_retries:
            return self._retry(self.isolated_retries.popleft())
        while self.queue and not self.isolated_retries and len(self.running) < self.executor.capacity:
            task = self.queue.popleft()
            try:
                self.running[self.executor.submit(self.run, task)] = task
            except self.executor.worker_death:
                self.isolated_retries.append(task)
        return self._collect()

    def _collect(self) -> list[Record]:
        """Records of the tasks that came back; those that died with a worker are put aside."""
        ended, _ = wait(self.running, return_when=FIRST_COMPLETED)
        if any(isinstance(future.exception(), self.executor.worker_death) for future in ended):
            ended, _ = wait(self.running)
        records: list[Record] = []
        for future in [future for future in self.running if future in ended]:
            task = self.running.pop(future)
            try:
                records += future.result()
            except self.executor.worker_death:
                self.isolated_retries.append(task)
        return records

    def _retry(self, task: Task) -> list[Record]:
        """What the task left on disk before its worker died, and the rest of it run in isolation."""
        kept = [record for job in task if (record := load_record(job.file)) is not None]
        finished = {record.key for record in kept}
        rest = [job for job in task if job.key not in finished]
        if not rest:
            return kept
        try:
            return kept + self.executor.submit_isolated(self.run, rest).result()
        except self.executor.worker_death as error:
            message = f"its process died (out of memory, or a crash): {type(error).__name__}"
            return kept + [job.record(status="failed", error=message) for job in rest]
