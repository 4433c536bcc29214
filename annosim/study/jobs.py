"""Running one replicate of one cell, or all of a batched cell, in this process or in a worker."""

from __future__ import annotations

import inspect
import sys
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeAlias

from annosim.errors import StudyError
from annosim.study.definition import Cell, Study, call_by_name
from annosim.study.find import load_study
from annosim.study.keys import canonical, cell_seed, stable_hash
from annosim.study.messages import FAILURES, one_line, text_of
from annosim.study.shipping import Shipment, unpack
from annosim.study.store import Record, Rows, Status, load_record, normalise_rows, save_record
from annosim.study.values import Plain, Row

__all__ = ["Job", "make_jobs", "run_in_worker", "run_jobs"]


@dataclass(frozen=True)
class Job:
    """One replicate of one cell: what a worker must know to run it, as plain data.

    Attributes:
        cell: the cell's title.
        replicate, seed, key: its address.
        file: path or URL where the finished record is kept; ``None`` where whoever asked keeps it.
        needs: argument name -> file of the record that is needed.
        given: argument name -> the rows that are needed, where the worker cannot read that file.
    """

    cell: str
    group: str
    replicate: int
    seed: int
    key: str
    file: Path | str | None
    parameters: Mapping[str, Plain]
    needs: Mapping[str, Path | str] = field(default_factory=dict)
    given: Mapping[str, Rows] = field(default_factory=dict)

    def record(
        self,
        status: Status,
        rows: Rows | None = None,
        error: str = "",
        traceback: str = "",
        warnings: tuple[str, ...] = (),
        seconds: float = 0.0,
    ) -> Record:
        """A record of this job with a status and what belongs to it."""
        head = (self.cell, self.group, self.replicate, self.seed, self.key)
        return Record(*head, status, dict(self.parameters), rows or [], error, traceback, warnings, seconds)


def make_jobs(
    study: Study, cells: list[Cell], folder: Path | str, common: Mapping[str, Plain], pool: Mapping[str, object]
) -> list[Job]:
    """All jobs of a run with their keys: the hash of everything that a result depends on.

    Args:
        cells: in an order in which each comes after those that it needs.
        folder: path or URL where finished cells are kept.
        common: what all keys share (versions and sources).
        pool: device, data, jobs; the device enters the key of a cell that takes it.
    """
    jobs: dict[tuple[str, int], Job] = {}
    for cell in cells:
        takes_device = any("device" in inspect.signature(step).parameters for step in cell.steps)
        for r in range(cell.replicates):
            above = {name: jobs[c.title, r if c.replicates > 1 else 0] for name, c in cell.needs.items()}
            seed = cell_seed(study, cell, r)
            address = {
                "common": dict(common),
                "study": study.name,
                "cell": cell.title,
                "steps": [getattr(step, "__qualname__", repr(step)) for step in cell.steps],
                "parameters": canonical(cell.parameters),
                "replicate": r,
                "seed": seed,
                "device": pool.get("device") if takes_device else None,
                "needs": {name: job.key for name, job in above.items()},
            }
            key = stable_hash(address)[:32]
            name = f"{_slug(cell.title)}-r{r}-{key}.npz"
            file = f"{folder}/{name}" if isinstance(folder, str) else folder / name
            needs = {name: job.file for name, job in above.items() if job.file is not None}
            parameters = {name: canonical(value) for name, value in cell.parameters.items()}
            jobs[cell.title, r] = Job(cell.title, cell.group, r, seed, key, file, parameters, needs)
    return list(jobs.values())


def run_jobs(cell: Cell, jobs: Sequence[Job], pool: Mapping[str, object]) -> list[Record]:
    """Run one replicate of a cell, or several at once where its function takes ``seeds``, and keep what finished.

    A failure is a record with a status, never an exception. Replicates that run at once share their time, their
    warnings and their failure.
    """
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        found = _attempt(cell, jobs, pool)
    texts = tuple(dict.fromkeys(f"{w.category.__name__}: {text_of(w.message)}" for w in caught))
    seconds = (time.perf_counter() - start) / len(jobs)
    records = [
        job.record(one.status, one.rows, one.error, one.traceback, texts, seconds)
        for job, one in zip(jobs, found, strict=True)
    ]
    for job, record in zip(jobs, records, strict=True):
        if record.status == "done" and job.file is not None:
            save_record(job.file, record)
    return records


@dataclass(frozen=True)
class _Ending:
    """How a job ended."""

    status: Status
    rows: Rows = field(default_factory=list)
    error: str = ""
    traceback: str = ""


def _attempt(cell: Cell, jobs: Sequence[Job], pool: Mapping[str, object]) -> list[_Ending]:
    """Status of each job, with its rows or its error."""
    where = f"cell {cell.title}"
    try:
        available = dict(pool) | dict(cell.parameters) | _replicate_arguments(cell, jobs)
        skipped, reason = (False, "") if cell.skip is None else call_by_name(cell.skip, available, where)
        if skipped:
            return [_Ending("skipped", error=reason)] * len(jobs)
        result: object = {}
        for step in cell.steps:
            result = call_by_name(step, available, where)
            available |= dict(result) if isinstance(result, Mapping) else {}
        results = _split_batch(result, cell, jobs) if cell.batched else [result]
        return [_Ending("done", normalise_rows(one, cell.title)) for one in results]
    except FAILURES as error:  # the cell is the study's code: whatever it raises is a row of the results
        return [_Ending("failed", error=one_line(error), traceback=traceback.format_exc())] * len(jobs)


def _replicate_arguments(cell: Cell, jobs: Sequence[Job]) -> dict[str, object]:
    """What differs by replicate: seeds, and results that are needed."""
    if not cell.batched:
        (job,) = jobs
        needed = {name: _needed(job, name, cell) for name in job.needs}
        return {"seed": job.seed, "replicate": job.replicate, **needed}
    arguments: dict[str, object] = {"seeds": [job.seed for job in jobs]}
    for name, above in cell.needs.items():
        arguments[name] = (
            _needed(jobs[0], name, cell) if above.replicates == 1 else [_needed(job, name, cell) for job in jobs]
        )
    return arguments


def _split_batch(result: object, cell: Cell, jobs: Sequence[Job]) -> list[object]:
    if not isinstance(result, list | tuple) or len(result) != len(jobs):
        size = f"{len(result)} results" if isinstance(result, list | tuple) else type(result).__name__
        raise StudyError(
            f"cell {cell.title}: its function takes 'seeds' and returned {size} for {len(jobs)} of them; return a list "
            "with the result of each replicate"
        )
    return list(result)


def _needed(job: Job, name: str, cell: Cell) -> Row | Rows:
    rows = job.given.get(name)
    if rows is None:
        record = load_record(job.needs[name])
        rows = None if record is None else record.rows
    if rows is None:
        raise StudyError(f"it needs {cell.needs[name].title}, which did not finish")
    return rows[0] if len(rows) == 1 else rows


#: How a worker gets the study: as it is, or its digest with its file on this machine or with its sources.
Source: TypeAlias = "Study | tuple[str, Path | Shipment]"


def run_in_worker(source: Source, preset: str, pool: Mapping[str, object], jobs: Sequence[Job]) -> list[Record]:
    """The same in a worker process, with numba and torch at one thread; the study is loaded there once.

    Args:
        source: functions of a file outside ``sys.path`` cannot be sent, so the file is loaded there.
    """
    if isinstance(source, Study):
        study, cells = source, {c.title: c for c in source.plan(preset)}
    else:
        study, cells = _loaded(source[1], preset)
        if study.digest != source[0]:
            message = "the study's source was edited during this run; run it again"
            return [job.record(status="failed", error=message) for job in jobs]
    _one_thread()
    return run_jobs(cells[jobs[0].cell], jobs, pool)


@cache
def _loaded(file: Path | Shipment, preset: str) -> tuple[Study, dict[str, Cell]]:
    study = load_study(file if isinstance(file, Path) else unpack(file))
    return study, {c.title: c for c in study.plan(preset)}


def _one_thread() -> None:
    """One thread for torch and numba if they are loaded; joblib's environment sees to it if they are not yet."""
    for name in ("torch", "numba"):
        if name in sys.modules:
            sys.modules[name].set_num_threads(1)


def _slug(text: str) -> str:
    clean = "".join(ch if ch.isalnum() or ch in "-_." else "_" for ch in text)
    return clean[:60].strip("_") or "cell"
