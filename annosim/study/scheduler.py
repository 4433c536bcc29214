"""Which task runs when: each starts once its dependencies have finished, and a dead worker costs its own cell only."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from annosim.execution.executor import Executor
from annosim.execution.tasks import Died, Submitted
from annosim.study.graph import Task, TaskGraph
from annosim.study.store import Record, load_record, save_record

__all__ = ["iter_completed"]

#: Runs a task and returns a record for each of its jobs.
RunTask = Callable[[Task], list[Record]]


def iter_completed(graph: TaskGraph, executor: Executor, run: RunTask, apart: bool = False) -> Iterator[Record]:
    """Records as their jobs finish.

    Args:
        graph: what is to be run.
        executor: where; it is shut down when the iteration is interrupted.
        run: what a worker calls with each task.
        apart: workers do not see where records are kept: what a task needs is sent, and its records are kept here.
    """
    submitted = _Tasks(executor, run, graph, apart)
    try:
        while True:
            tasks, failures = graph.ready()
            submitted.queue.extend(tasks)
            records = failures or (submitted.next_records() if submitted.pending else None)
            if records is None:
                return
            graph.done(records)
            yield from records
    except BaseException:
        executor.shutdown()
        raise


class _Tasks(Submitted[Task, list[Record]]):
    """Tasks of a study: what a dead worker kept is kept, and a task that killed its worker is a row that failed."""

    def __init__(self, executor: Executor, run: RunTask, graph: TaskGraph, apart: bool):
        self.apart, self.graph = apart, graph
        super().__init__(executor, run)

    def next_records(self) -> list[Record]:
        """Records of what finishes next; possibly none yet, when a worker died."""
        return [record for task, found in self.next_completed() for record in self._records(task, found)]

    def to_send(self, task: Task) -> Task:
        """With what it needs, where the worker cannot read it."""
        return self.graph.to_send(task) if self.apart else task

    def _records(self, task: Task, found: list[Record] | Died) -> list[Record]:
        if isinstance(found, Died):
            kept = _kept(task)
            return kept + [job.record(status="failed", error=found.message) for job in _rest(task, kept)]
        if self.apart:
            files = {job.key: job.file for job in task}
            for record in found:
                file = files[record.key]
                if record.status == "done" and file is not None:
                    save_record(file, record)
        return found

    def retry(self, task: Task) -> list[Record] | Died:
        """What the task left on disk before its worker died, and the rest of it run in isolation."""
        kept = _kept(task)
        rest = _rest(task, kept)
        found = super().retry(rest) if rest else []
        return found if isinstance(found, Died) else kept + found


def _kept(task: Task) -> list[Record]:
    return [record for job in task if job.file is not None and (record := load_record(job.file)) is not None]


def _rest(task: Task, kept: list[Record]) -> Task:
    finished = {record.key for record in kept}
    return [job for job in task if job.key not in finished]
