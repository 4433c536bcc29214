"""Running a study: every finished cell is kept, so a killed run resumes and repeats nothing."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
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
        for wave in _waves([job for job in todo if job.key not in records]):
            ready, hopeless = _ready(wave, {str(job.file): records.get(job.key) for job in todo})
            for record in chain(hopeless, _run_wave(study, name, ready, pool, workers, bar)):
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


def _waves(todo: list[Job]) -> Iterator[list[Job]]:
    """Groups of jobs that can run side by side: each comes after the jobs whose results it needs."""
    waiting = {str(job.file) for job in todo}
    while todo:
        ready = [job for job in todo if not any(str(file) in waiting for file in job.needs.values())]
        yield ready
        waiting -= {str(job.file) for job in ready}
        todo = [job for job in todo if str(job.file) in waiting]


def _ready(wave: list[Job], by_file: Mapping[str, Record | None]) -> tuple[list[Job], list[Record]]:
    """Jobs whose needs are there, and the records of those whose needs failed or were skipped."""
    ready, hopeless = [], []
    for job in wave:
        above = [by_file[str(file)] for file in job.needs.values()]
        bad = next((record for record in above if record is not None and record.status != "done"), None)
        if bad is None:
            ready.append(job)
        else:
            told = (
                bad.error
                if bad.error.startswith("it needs ")
                else f"it needs {bad.cell}, which was {bad.status}: {bad.error}"
            )
            hopeless.append(job.record(status=bad.status, error=told.replace("was failed", "failed")))
    return ready, hopeless


def _run_wave(
    study: Study, preset: str, wave: list[Job], pool: dict[str, Any], workers: int, bar: Progress
) -> Iterable[Record]:
    cells = {c.title: c for c in study.plan(preset)}
    units = _units(wave, cells)
    if workers == 1 or len(units) == 1:
        for unit in units:
            bar.now(unit[0])
            yield from run_jobs(cells[unit[0].cell], unit, pool)
        return
    left = {unit[0].key: unit for unit in units}
    try:
        for records in _parallel(study, preset, units, pool, workers):
            del left[records[0].key]
            yield from records
    except _worker_death():
        # One worker died (out of memory, a crash in compiled code) and took the pool with it: run what is left one by
        # one, each in a process of its own, so that only the culprit fails.
        for unit in left.values():
            kept = [load_record(job.file) for job in unit]
            done = [record for record in kept if record is not None]
            yield from done if len(done) == len(unit) else _alone(study, preset, unit, pool)


def _units(wave: list[Job], cells: Mapping[str, Cell]) -> list[list[Job]]:
    """What one call runs: a job, or all replicates of a cell that are trained together; these first, they are long."""
    together: dict[str, list[Job]] = {}
    for job in wave:
        if cells[job.cell].together:
            together.setdefault(job.cell, []).append(job)
    alone = [[job] for job in wave if not cells[job.cell].together]
    return sorted(together.values(), key=len, reverse=True) + alone


def _parallel(
    study: Study, preset: str, units: list[list[Job]], pool: dict[str, Any], workers: int
) -> Iterator[list[Record]]:
    from joblib import Parallel, delayed, parallel_config

    source: Study | tuple[str, Path] = (study.digest, study.path) if study.digest and study.path else study
    inside = {**pool, "jobs": 1}
    with parallel_config(backend="loky", inner_max_num_threads=1):
        run = Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1)
        yield from run(delayed(run_in_worker)(source, preset, unit, inside) for unit in units)


def _alone(study: Study, preset: str, unit: list[Job], pool: dict[str, Any]) -> list[Record]:
    try:
        return next(iter(_parallel(study, preset, [unit], pool, 2)))
    except _worker_death() as error:
        told = f"its process died (out of memory, or a crash): {type(error).__name__}"
        return [job.record(status="failed", error=told) for job in unit]


def _worker_death() -> type[BaseException]:
    from joblib.externals.loky.process_executor import BrokenProcessPool

    return BrokenProcessPool
