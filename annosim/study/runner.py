"""Running a study: every finished cell is kept, so a killed run resumes and repeats nothing."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from annosim.errors import ArgumentError, DeviceError, StudyError
from annosim.execution.current import active
from annosim.execution.executor import Executor, LocalProcesses, ThisProcess
from annosim.places import Folder
from annosim.progress import ProgressBar
from annosim.results import versions
from annosim.study.datapath import data_path, data_root
from annosim.study.definition import Cell, Study
from annosim.study.graph import Task, TaskGraph
from annosim.study.jobs import Source, make_jobs, run_in_worker, run_jobs
from annosim.study.keys import environment
from annosim.study.outcome import Outcome
from annosim.study.report import write_outputs
from annosim.study.result import StudyRun
from annosim.study.scheduler import RunTask, iter_completed
from annosim.study.shipping import pack
from annosim.study.store import Record, load_record

__all__ = ["run_study"]


def run_study(
    study: Study,
    preset: str | None = None,
    out: Path | str | None = None,
    data: Path | str | None = None,
    jobs: int = 1,
    device: str = "cpu",
    progress: bool | None = None,
    store: str | None = None,
) -> StudyRun:
    """Run a study's preset and write ``claims.json``, ``results.parquet``, ``figures/*.png`` and ``report.html``.

    Inside ``with an.cluster(...):`` its cells run there: the study's source goes to the workers, and results come back.

    Args:
        study: loaded by :func:`annosim.study.load_named`, or made in a session.
        preset: its first one by default.
        out: where everything goes; ``runs/NAME/PRESET`` by default. Cells finished there before are not run again.
        data: directory or URL of real data (see :func:`annosim.study.data_path`).
        jobs: worker processes, each with numba and torch at one thread; 1 runs in this process, where a cell that
            crashes takes the run with it, and -1 uses all cores.
        device: handed to the cells that take it.
        progress: a progress bar, or nothing; by default a bar where standard error is a terminal, else a line every half minute.
        store: a URL (``file://``, ``s3://``, ``gs://``, ``memory://``) that all workers see: they write finished cells
            there themselves, and a run that is resumed reads them; ``OUT/cells`` by default.

    Returns:
        A :class:`StudyRun`. A cell that fails is a row with its error; it never stops the others.

    Raises:
        StudyError: the study contradicts itself.
        MissingDataError: a file that the study declares is missing.
        ArgumentError: ``jobs`` is 0.
        FileReadError: the store cannot be written.
        ClusterError: the cluster was lost; what is finished is kept.
        DeviceError: no such device here.

    Example:
        >>> import tempfile
        >>> from annosim.study import CONTROL, Cell, Preset, Statement, at_most
        >>> def half(n):
        ...     return {"half": n / 2}
        >>> def claims():
        ...     yield Statement("C1", "1", "Euclid", lambda f: at_most(f.get("half", "half"), 1), whose=CONTROL)
        >>> study = Study("halves", "Halves", "Euclid", {"quick": Preset(0.1)}, lambda: [Cell(half, {"n": 2})], claims)
        >>> run_study(study, out=tempfile.mkdtemp()).claims[0].verdict
        'supported'
    """
    name, chosen = study.preset(preset)
    folder = Path(out) if out is not None else Path("runs") / study.name / name
    cluster = active()
    root = _absolute(data_root(data)) if data is not None or cluster is not None else None
    workers = _workers(jobs)
    if cluster is None or cluster.same_process:
        _check_device(device)
    kept_in = folder / "cells" if store is None else _store(store, cluster, workers)
    cells = study.plan(name)
    statements = study.statements(name)
    for file in study.data:
        data_path(file, root)
    pool = {"device": device, "data": root, "jobs": workers}
    todo = make_jobs(study, cells, kept_in, environment(study, root), pool)
    start = time.perf_counter()
    records: dict[str, Record] = {}
    for job in todo:
        kept = load_record(job.file) if job.file is not None else None
        if kept is not None and kept.key == job.key:
            records[job.key] = kept
    known = len(records)
    by_title = {cell.title: cell for cell in cells}
    graph = TaskGraph(todo, by_title, records)
    failed = 0
    with ProgressBar(f"{study.name} {name}", len(todo), known, progress) as bar:
        executor, run_task = _engine(study, name, by_title, pool, workers, bar, cluster)
        repeated, apart = executor.repeated, not executor.same_files and store is None
        for record in iter_completed(graph, executor, run_task, apart):
            records[record.key] = record
            failed += record.status == "failed"
            bar.advance(note=f"{failed} failed" if failed else record.cell[:40])
    outcome = Outcome([records[job.key] for job in todo], dict(chosen.settings), name)
    claims = [one.decide(outcome, chosen.decisive) for one in statements]
    settings = {
        "preset": name,
        "settings": dict(chosen.settings),
        "seed": study.seed,
        "device": device,
        "jobs": workers if cluster is None else cluster.capacity,
        "repeated": executor.repeated - repeated,
        "versions": versions(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    run = StudyRun(study, name, folder, claims, outcome, settings, time.perf_counter() - start, known)
    write_outputs(run)
    return run


def _engine(
    study: Study,
    preset: str,
    cells: Mapping[str, Cell],
    pool: Mapping[str, object],
    workers: int,
    bar: ProgressBar,
    cluster: Executor | None,
) -> tuple[Executor, RunTask]:
    """Where tasks run, and what runs one there."""
    executor = cluster or (LocalProcesses(workers) if workers > 1 else ThisProcess())
    if not executor.same_process:
        return executor, partial(run_in_worker, _source(study, executor), preset, {**pool, "jobs": 1})

    def run_here(task: Task) -> list[Record]:
        bar.note(task[0].cell[:40])
        return run_jobs(cells[task[0].cell], task, pool)

    return executor, run_here


def _source(study: Study, executor: Executor) -> Source:
    """The study as workers get it; one of an installed package is imported there."""
    if study.path is None or not study.digest:
        return study
    return study.digest, (study.path if executor.same_files else pack(study.digest, study.path))


def _absolute(root: Path | str) -> Path | str:
    """A worker stands in another folder."""
    return root.absolute() if isinstance(root, Path) else root


def _store(store: str, cluster: Executor | None, workers: int) -> str:
    """The folder of finished cells at a URL, which can be written."""
    folder = Folder(store)
    if not folder.shared:
        raise StudyError(f"store {store}: a URL, such as s3://bucket/run or file:///shared/run; a path is given as out")
    if not (ThisProcess() if cluster is None and workers == 1 else cluster or LocalProcesses(workers)).reaches(folder):
        raise StudyError(f"store {store}: only one process sees it; give a store that all workers see")
    folder.require_writable()
    return f"{folder.place}/cells"


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
