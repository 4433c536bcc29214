"""Running one replicate of one cell, in this process or in a worker."""

from __future__ import annotations

import sys
import time
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from annosim.errors import StudyError
from annosim.study.definition import Cell, Study, call_by_name
from annosim.study.keys import canonical, cell_seed, stable_hash
from annosim.study.store import Record, load_record, normalise_rows, save_record

__all__ = ["Job", "make_jobs", "run_job"]


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


def run_job(study: Study, cell: Cell, job: Job, pool: Mapping[str, Any]) -> Record:
    """Run one job and keep its record if it finished. A failure is a record with a status, never an exception."""
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        found = _attempt(cell, job, pool)
    told = tuple(dict.fromkeys(f"{w.category.__name__}: {' '.join(str(w.message).split())}" for w in caught))
    record = job.record(**found, warnings=told, seconds=time.perf_counter() - start)
    if record.status == "done":
        save_record(job.file, record)
    return record


def _attempt(cell: Cell, job: Job, pool: Mapping[str, Any]) -> dict[str, Any]:
    """Status of a job, with its rows or its error."""
    where = f"cell {cell.title}"
    try:
        have = dict(pool) | dict(cell.parameters) | {"seed": job.seed, "replicate": job.replicate}
        have |= {name: _needed(file, name, cell) for name, file in job.needs.items()}
        skipped, reason = (False, "") if cell.skip is None else call_by_name(cell.skip, have, where)
        if skipped:
            return {"status": "skipped", "error": reason}
        result: Any = {}
        for piece in cell.pieces:
            result = call_by_name(piece, have, where)
            have |= dict(result) if isinstance(result, Mapping) else {}
        return {"status": "done", "rows": normalise_rows(result, cell.title)}
    except (
        Exception
    ) as error:  # the cell is the study's code: whatever it raises is a row of the results, told to the user
        text = " ".join(str(error).split()) or "no message"
        line = text if isinstance(error, StudyError) else f"{type(error).__name__}: {text}"
        return {"status": "failed", "error": line, "traceback": traceback.format_exc()}


def _needed(file: Path, name: str, cell: Cell) -> Any:
    record = load_record(file)
    if record is None:
        raise StudyError(f"it needs {cell.needs[name].title}, which did not finish")
    return record.rows[0] if len(record.rows) == 1 else record.rows


def run_in_worker(source: Study | tuple[str, Path], preset: str, job: Job, pool: Mapping[str, Any]) -> Record:
    """The same in a worker process, with numba and torch at one thread; the study is loaded there once.

    Args:
        source: the study itself, or its digest and file (functions of a file outside ``sys.path`` cannot be sent).
    """
    if isinstance(source, Study):
        study, cells = source, {c.title: c for c in source.plan(preset)}
    else:
        study, cells = _loaded(source[1], preset)
        if study.digest != source[0]:
            return job.record(status="failed", error="the study's source was edited during this run; run it again")
    _one_thread()
    return run_job(study, cells[job.cell], job, pool)


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
