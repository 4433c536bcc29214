"""Tasks and what they wait for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from graphlib import TopologicalSorter

from annosim.study.definition import Cell
from annosim.study.jobs import Job
from annosim.study.store import Record

__all__ = ["Task", "TaskGraph"]

#: What one call runs: a job, or all replicates of a cell whose function takes ``seeds``.
Task = list[Job]


class TaskGraph:
    """The tasks that are left to run; each becomes ready once its dependencies have finished.

    Args:
        jobs: all jobs of the run.
        cells: the cells by title.
        kept: records of an earlier run by key.
    """

    def __init__(self, jobs: Sequence[Job], cells: Mapping[str, Cell], kept: Mapping[str, Record]):
        self._tasks = _tasks([job for job in jobs if job.key not in kept], cells)
        self._files = {job.key: job.file for job in jobs}
        self._records = {self._files[key]: record for key, record in kept.items()}
        self._skipped_dependents: set[str] = set()  # keys of jobs that did not run because of another one
        self._task_of = {job.key: number for number, task in enumerate(self._tasks) for job in task}
        self._unfinished = [len(task) for task in self._tasks]
        producer = {self._files[key]: number for key, number in self._task_of.items()}
        self._sorter: TopologicalSorter[int] = TopologicalSorter()
        for number, task in enumerate(self._tasks):
            needed = {file for job in task for file in job.needs.values()}
            self._sorter.add(number, *{producer[file] for file in needed if file in producer})
        self._sorter.prepare()

    def done(self, records: Iterable[Record]) -> None:
        """Enter the records of finished jobs."""
        for record in records:
            number = self._task_of[record.key]
            self._records[self._files[record.key]] = record
            self._unfinished[number] -= 1
            if not self._unfinished[number]:
                self._sorter.done(number)

    def to_send(self, task: Task) -> Task:
        """The same task for a worker that sees no file of this machine: what it needs goes along, and comes back."""
        return [
            replace(job, file=None, given={name: self._records[file].rows for name, file in job.needs.items()})
            for job in task
        ]

    def ready(self) -> tuple[list[Task], list[Record]]:
        """Tasks to run now, in their first order, and the records of jobs that cannot run: an upstream failure."""
        tasks: list[Task] = []
        failures: list[Record] = []
        for number in sorted(self._sorter.get_ready()):
            found = [(job, self._upstream_failure(job)) for job in self._tasks[number]]
            failures += [record for _, record in found if record is not None]
            tasks.append([job for job, record in found if record is None])
        return [task for task in tasks if task], failures

    def _upstream_failure(self, job: Job) -> Record | None:
        """The record of a job that needs one which failed or was skipped; ``None`` if it can run."""
        needed = (self._records[file] for file in job.needs.values())
        above = next((record for record in needed if record.status != "done"), None)
        if above is None:
            return None
        message = above.error
        if above.key not in self._skipped_dependents:  # the first of a chain is named; those below repeat it
            became = "failed" if above.status == "failed" else "was skipped"
            message = f"it needs {above.cell}, which {became}: {above.error}"
        self._skipped_dependents.add(job.key)
        return job.record(status=above.status, error=message)


def _tasks(jobs: Sequence[Job], cells: Mapping[str, Cell]) -> list[Task]:
    """Batched cells first, the largest in front: they take longest."""
    is_batched = {title: cell.batched for title, cell in cells.items()}
    batches: dict[str, Task] = {}
    single: list[Task] = []
    for job in jobs:
        if is_batched[job.cell]:
            batches.setdefault(job.cell, []).append(job)
        else:
            single.append([job])
    return sorted(batches.values(), key=len, reverse=True) + single
