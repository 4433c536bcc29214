"""Running one replicate of one cell, or all that are trained together, in this process or in a worker."""

from __future__ import annotations

import sys
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from annosim.errors import StudyError
from annosim.study.definition import Cell, Study, call_by_name
from annosim.study.failure import FAILURES, one_line, text_of
from annosim.study.keys import canonical, cell_seed, stable_hash
from annosim.study.store import Record, load_record, normalise_rows, save_record

__all__ = ["Job", "make_jobs", "run_jobs"]


@dataclass(frozen=True)
class Job:
    """One replicate of one cell: what a worker must know to run it, as plain data.

    Attributes:
        cell: the cell's title.
        replicate, seed, key: its address.
        file: where the finished record is kept.
        needs: argument name -> file of the record that is needed.
    """

    cell: str
    group: str
    replicate: int
    seed: int
    key: str
    file: Path
    parameters: Mapping[str, Any]
    needs: Mapping[str, Path] = field(default_factory=dict)

    def record(self, **changes: Any) -> Record:
        """A record of this job with a status and what belongs to it."""
        head = (self.cell, self.group, self.replicate, self.seed, self.key)
        return Record(*head, **{"parameters": dict(self.parameters), **changes})


def make_jobs(
    study: Study, cells: list[Cell], folder: Path, common: Mapping[str, Any], pool: Mapping[str, Any]
) -> list[Job]:
    """All jobs of a run with their keys: the hash of everything that a result depends on.

    Args:
        cells: in an order in which each comes after those that it needs.
        folder: where finished cells are kept.
        common: what all keys share (versions and sources).
        pool: device, data, jobs; the device enters the key of a cell that takes it.
    """
    jobs: dict[tuple[str, int], Job] = {}
    for cell in cells:
        takes_device = any(_takes(piece, "device") for piece in cell.pieces)
        for r in range(cell.replicates):
            above = {name: jobs[c.title, r if c.replicates > 1 else 0] for name, c in cell.needs.items()}
            seed = cell_seed(study, cell, r)
            address = {
                "common": dict(common),
                "study": study.name,
                "cell": cell.title,
                "pieces": [getattr(p, "__qualname__", repr(p)) for p in cell.pieces],
                "parameters": canonical(cell.parameters),
                "replicate": r,
                "seed": seed,
                "device": pool.get("device") if takes_device else None,
                "needs": {name: job.key for name, job in above.items()},
            }
            key = stable_hash(address)[:32]
            file = folder / f"{_slug(cell.title)}-r{r}-{key}.npz"
            needs = {name: job.file for name, job in above.items()}
            jobs[cell.title, r] = Job(cell.title, cell.group, r, seed, key, file, canonical(cell.parameters), needs)
    return list(jobs.values())


def run_jobs(cell: Cell, jobs: Sequence[Job], pool: Mapping[str, Any]) -> list[Record]:
    """Run one replicate of a cell, or several at once where its function takes ``seeds``, and keep what finished.

    A failure is a record with a status, never an exception. Replicates that run at once share their time, their
    warnings and their failure.
    """
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        found = _attempt(cell, jobs, pool)
    told = tuple(dict.fromkeys(f"{w.category.__name__}: {text_of(w.message)}" for w in caught))
    seconds = (time.perf_counter() - start) / len(jobs)
    records = [job.record(**one, warnings=told, seconds=seconds) for job, one in zip(jobs, found, strict=True)]
    for job, record in zip(jobs, records, strict=True):
        if record.status == "done":
            save_record(job.file, record)
    return records


def _attempt(cell: Cell, jobs: Sequence[Job], pool: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Status of each job, with its rows or its error."""
    where = f"cell {cell.title}"
    try:
        have = dict(pool) | dict(cell.parameters) | _own(cell, jobs)
        skipped, reason = (False, "") if cell.skip is None else call_by_name(cell.skip, have, where)
        if skipped:
            return [{"status": "skipped", "error": reason}] * len(jobs)
        result: Any = {}
        for piece in cell.pieces:
            result = call_by_name(piece, have, where)
            have |= dict(result) if isinstance(result, Mapping) else {}
        results = _one_each(result, cell, jobs) if cell.together else [result]
        return [{"status": "done", "rows": normalise_rows(one, cell.title)} for one in results]
    except FAILURES as error:  # the cell is the study's code: whatever it raises is a row of the results
        return [{"status": "failed", "error": one_line(error), "traceback": traceback.format_exc()}] * len(jobs)


def _own(cell: Cell, jobs: Sequence[Job]) -> dict[str, Any]:
    """What differs by replicate: seeds, and results that are needed."""
    if not cell.together:
        (job,) = jobs
        needed = {name: _needed(file, name, cell) for name, file in job.needs.items()}
        return {"seed": job.seed, "replicate": job.replicate, **needed}
    have: dict[str, Any] = {"seeds": [job.seed for job in jobs]}
    for name, above in cell.needs.items():
        each = [job.needs[name] for job in jobs]
        have[name] = (
            _needed(each[0], name, cell) if above.replicates == 1 else [_needed(file, name, cell) for file in each]
        )
    return have


def _one_each(result: Any, cell: Cell, jobs: Sequence[Job]) -> list[Any]:
    if not isinstance(result, list | tuple) or len(result) != len(jobs):
        size = f"{len(result)} results" if isinstance(result, list | tuple) else type(result).__name__
        raise StudyError(
            f"cell {cell.title}: its function takes 'seeds' and returned {size} for {len(jobs)} of them; return a list "
            "with the result of each replicate"
        )
    return list(result)


def _needed(file: Path, name: str, cell: Cell) -> Any:
    record = load_record(file)
    if record is None:
        raise StudyError(f"it needs {cell.needs[name].title}, which did not finish")
    return record.rows[0] if len(record.rows) == 1 else record.rows


def run_in_worker(
    source: Study | tuple[str, Path], preset: str, jobs: Sequence[Job], pool: Mapping[str, Any]
) -> list[Record]:
    """The same in a worker process, with numba and torch at one thread; the study is loaded there once.

    Args:
        source: the study itself, or its digest and file (functions of a file outside ``sys.path`` cannot be sent).
    """
    if isinstance(source, Study):
        study, cells = source, {c.title: c for c in source.plan(preset)}
    else:
        study, cells = _loaded(source[1], preset)
        if study.digest != source[0]:
            told = "the study's source was edited during this run; run it again"
            return [job.record(status="failed", error=told) for job in jobs]
    _one_thread()
    return run_jobs(cells[jobs[0].cell], jobs, pool)


@cache
def _loaded(file: Path, preset: str) -> tuple[Study, dict[str, Cell]]:
    from annosim.study.find import load_study

    study = load_study(file)
    return study, {c.title: c for c in study.plan(preset)}


def _one_thread() -> None:
    """One thread for torch and numba if they are loaded; joblib's environment sees to it if they are not yet."""
    for name in ("torch", "numba"):
        if name in sys.modules:
            sys.modules[name].set_num_threads(1)


def _takes(function: Any, name: str) -> bool:
    import inspect

    return name in inspect.signature(function).parameters


def _slug(text: str) -> str:
    clean = "".join(ch if ch.isalnum() or ch in "-_." else "_" for ch in text)
    return clean[:60].strip("_") or "cell"
