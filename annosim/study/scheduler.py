"""Who runs which unit of work when: whatever needs a result starts as soon as that is there.

A *unit* is what one call runs: a job, or all replicates of a cell whose function takes ``seeds``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any

from annosim.study.definition import Cell, Study
from annosim.study.execute import Job, run_in_worker, run_jobs
from annosim.study.progress import Progress
from annosim.study.store import Record, load_record

__all__ = ["finished"]

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
#: Units handed out per worker: enough that none waits for its next one, few enough that a worker's death concerns few.
_AHEAD = 3


def finished(
    study: Study,
    preset: str,
    cells: Sequence[Cell],
    jobs: Sequence[Job],
    kept: Mapping[str, Record],
    pool: Mapping[str, Any],
    workers: int,
    bar: Progress,
) -> Iterator[Record]:
    """Records of the jobs that are not kept, as they finish.

    Args:
        cells: the plan of the preset.
        kept: records of an earlier run by key.
        pool: device, data, jobs, by name.
        workers: 1 runs everything in this process.
    """
    named = {c.title: c for c in cells}
    files = {job.key: job.file for job in jobs}
    left = _units([job for job in jobs if job.key not in kept], named)
    agenda = _Agenda(left, {files[key]: record for key, record in kept.items()})
    crew = _Crew(study, preset, named, pool, workers)
    try:
        while agenda.free or crew.busy:
            units, never = agenda.take()
            crew.take(units)
            for record in never or crew.wait(bar):
                agenda.enter(files[record.key], record)
                yield record
    except BaseException:
        crew.dismiss()
        raise


def _units(jobs: Sequence[Job], cells: Mapping[str, Cell]) -> list[list[Job]]:
    """A job each, or all replicates of a cell that run at once; these first, they are long."""
    together: dict[str, list[Job]] = {}
    alone: list[list[Job]] = []
    at_once = {title: cell.together for title, cell in cells.items()}
    for job in jobs:
        if at_once[job.cell]:
            together.setdefault(job.cell, []).append(job)
        else:
            alone.append([job])
    return sorted(together.values(), key=len, reverse=True) + alone


class _Agenda:
    """The units that wait for results, and for how many; each result is looked at once.

    Attributes:
        free: numbers of the units whose needs are all there.
    """

    def __init__(self, units: list[list[Job]], done: dict[Path, Record]):
        self.units, self.done = units, done
        self.lacks: list[int] = []
        self.waiting: dict[Path, list[int]] = {}
        self.heirs: set[Path] = set()  # failed or skipped for the sake of a cell that they need
        for number, unit in enumerate(units):
            lacking = {file for job in unit for file in job.needs.values()} - done.keys()
            self.lacks.append(len(lacking))
            for file in lacking:
                self.waiting.setdefault(file, []).append(number)
        self.free = [number for number, lacking in enumerate(self.lacks) if not lacking]

    def enter(self, file: Path, record: Record) -> None:
        """A result is there."""
        self.done[file] = record
        for number in self.waiting.pop(file, ()):
            self.lacks[number] -= 1
            if not self.lacks[number]:
                self.free.append(number)

    def take(self) -> tuple[list[list[Job]], list[Record]]:
        """Units to run now, in their first order, and the records of jobs that never will as a need is missing."""
        units: list[list[Job]] = []
        never: list[Record] = []
        for number in sorted(self.free):
            told = [self._without(job) for job in self.units[number]]
            never += [record for record in told if record is not None]
            units.append([job for job, record in zip(self.units[number], told, strict=True) if record is None])
        self.free = []
        return [unit for unit in units if unit], never

    def _without(self, job: Job) -> Record | None:
        """The record of a job whose needs failed or were skipped; ``None`` where all are there."""
        bad = next((file for file in job.needs.values() if self.done[file].status != "done"), None)
        if bad is None:
            return None
        above = self.done[bad]
        told = above.error
        if bad not in self.heirs:  # the first of a chain is named; those below repeat it
            became = "failed" if above.status == "failed" else "was skipped"
            told = f"it needs {above.cell}, which {became}: {above.error}"
        self.heirs.add(job.file)
        return job.record(status=above.status, error=told)


class _Crew:
    """Who runs the units: this process, one after the other, or as many workers as asked for."""

    def __init__(self, study: Study, preset: str, cells: Mapping[str, Cell], pool: Mapping[str, Any], workers: int):
        self.preset, self.cells, self.pool, self.workers = preset, cells, pool, workers
        self.source: Study | tuple[str, Path] = (study.digest, study.path) if study.digest and study.path else study
        self.queue: deque[list[Job]] = deque()
        self.suspects: deque[list[Job]] = deque()  # were out when a worker died
        self.out: dict[Future[list[Record]], list[Job]] = {}
        self.executor: Any = None

    @property
    def busy(self) -> bool:
        """Whether something was taken and not given back."""
        return bool(self.queue or self.suspects or self.out)

    def take(self, units: list[list[Job]]) -> None:
        """Units whose needs are there."""
        self.queue.extend(units)

    def wait(self, bar: Progress) -> list[Record]:
        """Records of what finishes next; possibly none yet, when a worker died."""
        if self.workers == 1:
            unit = self.queue.popleft()
            bar.now(unit[0])
            return run_jobs(self.cells[unit[0].cell], unit, self.pool)
        if self.suspects:
            return self._alone(self.suspects.popleft())
        while self.queue and not self.suspects and len(self.out) < _AHEAD * self.workers:
            unit = self.queue.popleft()
            try:
                self.out[self._send(unit, self.workers)] = unit
            except _worker_death():
                self.suspects.append(unit)
        return self._collected()

    def dismiss(self) -> None:
        """Stop whatever runs, at once."""
        if self.executor is not None:
            self.executor.shutdown(wait=True, kill_workers=True)

    def _collected(self) -> list[Record]:
        """Records of the units that came back.

        One worker's death (out of memory, a crash in compiled code) takes the pool and all that was out with it: these
        units are run again one by one, each in a process of its own, so that only the culprit fails.
        """
        ended, _ = wait(self.out, return_when=FIRST_COMPLETED)
        if any(isinstance(future.exception(), _worker_death()) for future in ended):
            ended, _ = wait(self.out)
        records: list[Record] = []
        for future in [future for future in self.out if future in ended]:
            unit = self.out.pop(future)
            try:
                records += future.result()
            except _worker_death():
                self.suspects.append(unit)
        return records

    def _alone(self, unit: list[Job]) -> list[Record]:
        """What the unit left on disk before the pool died, and the rest of it run in a process of its own."""
        kept = [record for job in unit if (record := load_record(job.file)) is not None]
        have = {record.key for record in kept}
        rest = [job for job in unit if job.key not in have]
        if not rest:
            return kept
        try:
            return kept + self._send(rest, 1).result()
        except _worker_death() as error:
            told = f"its process died (out of memory, or a crash): {type(error).__name__}"
            return kept + [job.record(status="failed", error=told) for job in rest]

    def _send(self, unit: list[Job], workers: int) -> Future[list[Record]]:
        """Processes with one thread each, kept for the next study of this session."""
        from joblib.externals.loky import get_reusable_executor

        # kept at hand: asking for it again, to dismiss it, would first wait for what runs there
        self.executor = get_reusable_executor(max_workers=workers, timeout=300, env=dict.fromkeys(_THREADS, "1"))
        return self.executor.submit(run_in_worker, self.source, self.preset, unit, {**self.pool, "jobs": 1})


def _worker_death() -> type[BaseException]:
    from joblib.externals.loky.process_executor import BrokenProcessPool

    return BrokenProcessPool
