"""Running a study: every finished cell is kept, so a killed run resumes and repeats nothing."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annosim.errors import ArgumentError, DeviceError
from annosim.results import versions
from annosim.study.claims import Claim
from annosim.study.datapath import data_path
from annosim.study.definition import Cell, Study
from annosim.study.execute import Job, make_jobs, run_in_worker, run_jobs
from annosim.study.keys import environment
from annosim.study.outcome import Outcome
from annosim.study.progress import Progress
from annosim.study.store import Record, load_record

__all__ = ["StudyRun", "run_study"]

#: one thread in each worker, whatever library counts
_THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip


@dataclass(frozen=True)
class StudyRun:
    """What a run left behind.

    Attributes:
        study, preset, out: what was run, and where its files are.
        claims: with their verdicts.
        outcome: the records of all cells.
        settings: the preset's settings, seed, device, versions and machine.
        seconds: wall time of this run; ``kept`` cells came from an earlier one.

    Example:
        >>> from pathlib import Path
        >>> study = Study("halves", "Halves", "Euclid", {}, lambda: [], lambda: [])
        >>> print(StudyRun(study, "quick", Path("runs"), [], Outcome([]), {}, 1.0, 0))
        StudyRun halves, preset quick
          claims  0 supported, 0 contradicted, 0 inconclusive
          cells   0 cells, 0 kept, 0 failed
          out     runs
    """

    study: Study
    preset: str
    out: Path
    claims: list[Claim]
    outcome: Outcome
    settings: dict[str, Any]
    seconds: float
    kept: int

    @property
    def failed(self) -> list[Record]:
        """The records of cells that failed."""
        return [r for r in self.outcome.records if r.status == "failed"]

    def counts(self) -> dict[str, int]:
        """How many claims have each verdict."""
        verdicts = [c.verdict for c in self.claims]
        return {v: verdicts.count(v) for v in ("supported", "contradicted", "inconclusive")}

    def __repr__(self) -> str:
        verdicts = ", ".join(f"{n} {v}" for v, n in self.counts().items())
        cells = f"{len(self.outcome.records)} cells, {self.kept} kept, {len(self.failed)} failed"
        head = f"StudyRun {self.study.name}, preset {self.preset}"
        return f"{head}\n  claims  {verdicts}\n  cells   {cells}\n  out     {self.out}"


def run_study(
    study: Study,
    preset: str | None = None,
    out: Path | str | None = None,
    data: Path | str | None = None,
    jobs: int = 1,
    device: str = "cpu",
    progress: bool | None = None,
) -> StudyRun:
    """Run a study's preset and write ``claims.json``, ``results.parquet``, ``figures/*.png`` and ``report.html``.

    Args:
        study: loaded by :func:`annosim.study.load_named`, or made in a session.
        preset: its first one by default.
        out: where everything goes; ``runs/NAME/PRESET`` by default. Cells finished there before are not run again.
        data: directory of real data (see :func:`annosim.study.data_path`).
        jobs: worker processes, each with numba and torch at one thread; 1 runs in this process, -1 uses all cores.
        device: handed to the cells that take it.
        progress: a progress bar; by default if standard output is a terminal.

    Returns:
        A :class:`StudyRun`. A cell that fails is a row with its error; it never stops the others.

    Raises:
        StudyError: the study contradicts itself.
        MissingDataError: a file that the study declares is missing.
        ArgumentError: ``jobs`` is 0.
        DeviceError: no such device here.

    Example:
        >>> import tempfile
        >>> from annosim.study import Cell, Preset, Statement, at_most
        >>> def half(n):
        ...     return {"half": n / 2}
        >>> def claims():
        ...     yield Statement("C1", "one", "Euclid", lambda found: at_most(found.get("half", "half"), 1))
        >>> study = Study("halves", "Halves", "Euclid", {"quick": Preset(0.1)}, lambda: [Cell(half, {"n": 2})], claims)
        >>> run_study(study, out=tempfile.mkdtemp()).claims[0].verdict
        'supported'
    """
    from annosim.study.report import write_outputs

    name, chosen = study.preset(preset)
    folder = Path(out) if out is not None else Path("runs") / study.name / name
    root = Path(data) if data is not None else None
    workers = _workers(jobs)
    _check_device(device)
    cells = study.plan(name)
    statements = study.statements(name)
    for file in study.data:
        data_path(file, root)
    pool = {"device": device, "data": root, "jobs": workers}
    todo = make_jobs(study, cells, folder / "cells", environment(study, root), pool)
    start = time.perf_counter()
    records: dict[str, Record] = {}
    for job in todo:
        kept = load_record(job.file)
        if kept is not None and kept.key == job.key:
            records[job.key] = kept
    known = len(records)
    with Progress(f"{study.name} {name}", len(todo), known, progress) as bar:
        for record in _finished(study, name, todo, records, pool, workers, bar):
            records[record.key] = record
            bar.step(record)
    outcome = Outcome([records[job.key] for job in todo], dict(chosen.settings), name)
    claims = [one.decide(outcome) for one in statements]
    settings = {
        "preset": name,
        "settings": dict(chosen.settings),
        "seed": study.seed,
        "device": device,
        "jobs": workers,
        "versions": versions(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    run = StudyRun(study, name, folder, claims, outcome, settings, time.perf_counter() - start, known)
    write_outputs(run)
    return run


def _workers(jobs: int) -> int:
    if jobs == 0:
        raise ArgumentError("jobs=0: no process would run anything; use 1, or -1 for all cores")
    return jobs if jobs > 0 else max(1, (os.cpu_count() or 1) + 1 + jobs)


def _check_device(device: str) -> None:
    if device == "cpu":
        return
    import torch

    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise DeviceError(f"device={device!r} is no device; use cpu, cuda, or cuda:1") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f"device={device!r}: torch finds no CUDA device on this machine; use cpu")


def _finished(
    study: Study, preset: str, jobs: list[Job], kept: Mapping[str, Record], pool: dict[str, Any], workers: int,
    bar: Progress,
) -> Iterator[Record]:  # fmt: skip
    """Records as they finish; whatever needs a result starts as soon as that is there."""
    cells = {c.title: c for c in study.plan(preset)}
    done = {str(job.file): kept[job.key] for job in jobs if job.key in kept}
    files = {job.key: str(job.file) for job in jobs}
    left = _units([job for job in jobs if job.key not in kept], cells)
    crew = _Crew(study, preset, cells, pool, 1 if len(left) == 1 else workers)
    try:
        while left or crew.busy:
            ready: list[list[Job]] = []
            blocked: list[list[Job]] = []
            found: list[Record] = []
            for unit in left:
                there = all(str(file) in done for job in unit for file in job.needs.values())
                (ready if there else blocked).append(unit)
            left = blocked
            for unit in ready:
                told = [_without(job, done) for job in unit]
                found += [one for one in told if one is not None]
                crew.take([job for job, one in zip(unit, told, strict=True) if one is None])
            if not found:
                found = crew.wait(bar)
            for record in found:
                done[files[record.key]] = record
                yield record
    except BaseException:
        crew.dismiss()
        raise


def _without(job: Job, done: Mapping[str, Record]) -> Record | None:
    """The record of a job whose needs failed or were skipped; ``None`` where all are there."""
    above = [done[str(file)] for file in job.needs.values()]
    bad = next((record for record in above if record.status != "done"), None)
    if bad is None:
        return None
    own = bad.error.startswith("it needs ")
    told = bad.error if own else f"it needs {bad.cell}, which was {bad.status}: {bad.error}"
    return job.record(status=bad.status, error=told.replace("was failed", "failed"))


class _Crew:
    """Who runs the units of work: this process, one after the other, or as many workers as asked for."""

    def __init__(self, study: Study, preset: str, cells: Mapping[str, Cell], pool: dict[str, Any], workers: int):
        self.preset, self.cells, self.pool, self.workers = preset, cells, pool, workers
        self.source: Study | tuple[str, Path] = (study.digest, study.path) if study.digest and study.path else study
        self.queue: list[list[Job]] = []
        self.out: dict[Future[list[Record]], list[Job]] = {}

    @property
    def busy(self) -> bool:
        """Whether something was taken and not given back."""
        return bool(self.queue or self.out)

    def take(self, unit: list[Job]) -> None:
        """A unit whose needs are there."""
        if unit and self.workers == 1:
            self.queue.append(unit)
        elif unit:
            self.out[self._send(unit, self.workers)] = unit

    def wait(self, bar: Progress) -> list[Record]:
        """Records of what finishes next."""
        if self.queue:
            unit = self.queue.pop(0)
            bar.now(unit[0])
            return run_jobs(self.cells[unit[0].cell], unit, self.pool)
        ended, _ = wait(self.out, return_when=FIRST_COMPLETED)
        try:
            records = [record for future in ended for record in future.result()]
            for future in ended:
                del self.out[future]
            return records
        except _worker_death():
            # One worker died (out of memory, a crash in compiled code) and took the pool with it: run what is out one
            # by one, each in a process of its own, so that only the culprit fails.
            units = list(self.out.values())
            self.out.clear()
            return [record for unit in units for record in self._kept_or_alone(unit)]

    def dismiss(self) -> None:
        """Stop whatever runs."""
        for future in self.out:
            future.cancel()
        if self.out:
            self._executor(self.workers).shutdown(wait=True, kill_workers=True)

    def _kept_or_alone(self, unit: list[Job]) -> list[Record]:
        kept = [record for job in unit if (record := load_record(job.file)) is not None]
        if len(kept) == len(unit):
            return kept
        try:
            return self._send(unit, 1).result()
        except _worker_death() as error:
            told = f"its process died (out of memory, or a crash): {type(error).__name__}"
            return [job.record(status="failed", error=told) for job in unit]

    def _send(self, unit: list[Job], workers: int) -> Future[list[Record]]:
        inside = {**self.pool, "jobs": 1}
        return self._executor(workers).submit(run_in_worker, self.source, self.preset, unit, inside)

    def _executor(self, workers: int) -> Any:
        """Processes with one thread each, kept for the next study of this session."""
        from joblib.externals.loky import get_reusable_executor

        return get_reusable_executor(max_workers=workers, timeout=300, env=dict.fromkeys(_THREADS, "1"))


def _units(wave: list[Job], cells: Mapping[str, Cell]) -> list[list[Job]]:
    """What one call runs: a job, or all replicates of a cell that are trained together; these first, they are long."""
    together: dict[str, list[Job]] = {}
    for job in wave:
        if cells[job.cell].together:
            together.setdefault(job.cell, []).append(job)
    alone = [[job] for job in wave if not cells[job.cell].together]
    return sorted(together.values(), key=len, reverse=True) + alone


def _worker_death() -> type[BaseException]:
    from joblib.externals.loky.process_executor import BrokenProcessPool

    return BrokenProcessPool
