"""Running a study: every finished cell is kept, so a killed run resumes and repeats nothing."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annosim.errors import ArgumentError, DeviceError
from annosim.results import versions
from annosim.study.claims import Claim
from annosim.study.datapath import data_path
from annosim.study.definition import Study
from annosim.study.execute import make_jobs
from annosim.study.keys import environment
from annosim.study.outcome import Outcome
from annosim.study.progress import Progress
from annosim.study.scheduler import finished
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
        jobs: worker processes, each with numba and torch at one thread; 1 runs in this process, where a cell that
            crashes takes the run with it, and -1 uses all cores.
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
        for record in finished(study, name, cells, todo, records, pool, workers, bar):
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
