"""Who runs what when: a dead worker costs its own cell only, Ctrl-C leaves nothing running, no result is lost."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from annosim.execution.executor import TASKS_PER_WORKER, ThisProcess
from annosim.study import Cell, Preset, Study, jobs, run_study
from annosim.study.graph import TaskGraph
from annosim.study.jobs import make_jobs
from annosim.study.scheduler import iter_completed


def small(cells):
    return Study("small", "t", "p", {"quick": Preset(0.1)}, lambda: cells, lambda: [])


def note(file, text):
    with Path(file).open("a") as log:
        log.write(f"{text}\n")


def notes(file):
    return Path(file).read_text().splitlines() if Path(file).exists() else []


def where():
    return {"process": os.getpid()}


def test_a_single_cell_runs_in_a_worker_unless_the_user_asked_for_this_process(tmp_path):
    found = {jobs: run_study(small([Cell(where)]), out=tmp_path / str(jobs), jobs=jobs).outcome for jobs in (1, 2)}
    assert found[1].get("where", "process") == os.getpid() != found[2].get("where", "process")


def crash(i, bad, parent):
    if i == bad and os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"i2": i * i}


def test_a_worker_that_dies_fails_its_own_cell_only(tmp_path):
    """However many others are out or wait; and again where it is the only cell that a resumed run lacks."""
    bad = 1
    cells = [Cell(crash, {"i": i, "bad": bad, "parent": os.getpid()}, name=f"{i}") for i in range(4 * TASKS_PER_WORKER)]
    for kept in (0, len(cells) - 1):
        run = run_study(small(cells), out=tmp_path, jobs=2)
        assert run.kept == kept and [r.cell for r in run.failed] == [str(bad)]
        assert "its process died" in run.failed[0].error
        assert [r.rows[0]["i2"] for r in run.outcome.records if not r.error] == [
            i * i for i in range(len(cells)) if i != bad
        ]


class WorkerDied(Exception):
    """What the futures of :class:`Shared` raise."""


class Shared:
    """An executor whose workers die together: the first task kills its worker, the second had just come back."""

    capacity = 3
    worker_death = WorkerDied
    certain = same_process = False
    same_files = True
    repeated = 0

    def __init__(self):
        self.submitted, self.isolated = [], []

    def submit(self, function, task):
        future = Future()
        self.submitted.append(task[0].cell)
        if task[0].cell == "dead":
            future.set_exception(WorkerDied("killed"))
        elif task[0].cell == "whole":
            future.set_result(function(task))
        else:
            threading.Timer(0.05, future.set_exception, [WorkerDied("killed")]).start()
        return future

    def submit_isolated(self, function, task):
        future = Future()
        self.isolated.append(task[0].cell)
        if task[0].cell == "dead":
            future.set_exception(WorkerDied("killed again"))
        else:
            future.set_result(function(task))
        return future

    def check(self):
        pass

    def reaches(self, folder):
        return True

    def shutdown(self):
        raise AssertionError("nothing was interrupted")


def graph_of(cells, folder):
    return TaskGraph(make_jobs(small(cells), cells, folder, {}, {}), {c.title: c for c in cells}, {})


def test_what_came_back_beside_a_death_is_not_lost(tmp_path):
    """Any executor with this interface will do: what died with the worker is run again in isolation, and no other."""
    cells = [Cell(where, name=name) for name in ("dead", "whole", "out")]
    executor = Shared()

    def run(task):
        return [job.record("done", [{"process": 1}]) for job in task]

    found = {r.cell: (r.status, r.error) for r in iter_completed(graph_of(cells, tmp_path), executor, run)}
    assert executor.submitted == ["dead", "whole", "out"] and executor.isolated == ["dead", "out"]
    assert found.pop("dead") == ("failed", "its process died (out of memory, or a crash): WorkerDied")
    assert found == {"whole": ("done", ""), "out": ("done", "")}


def dies_when_one_is_kept(seeds, log, again):
    note(log, len(seeds))
    if len(seeds) == 3:
        keep = jobs.save_record

        def once(path, record):
            keep(path, record)
            os.kill(os.getpid(), signal.SIGKILL)

        jobs.save_record = once
    elif again:
        os.kill(os.getpid(), signal.SIGKILL)
    return [{"calls": len(seeds)}] * len(seeds)


@pytest.mark.parametrize(("again", "calls"), [(False, [3, 2, 2]), (True, [3])])
def test_what_a_dead_worker_kept_is_kept_and_the_rest_is_run_at_once(tmp_path, again, calls):
    log = tmp_path / "log"
    cell = Cell(dies_when_one_is_kept, {"log": str(log), "again": again}, name="x", replicates=3)
    run = run_study(small([cell]), out=tmp_path / "out", jobs=2)
    assert [row["calls"] for row in run.outcome.finished("x")] == calls and notes(log) == ["3", "2"]
    assert [r.status for r in run.outcome.records] == ["done"] + ["failed" if again else "done"] * 2


def dies(log):
    note(log, f"dies {os.getpid()}")
    os.kill(os.getpid(), signal.SIGKILL)


def stays(log, i):
    note(log, f"stays {os.getpid()}")
    time.sleep(20)
    note(log, f"ends {os.getpid()}")
    return {"i": i}


def interrupt_when(log, deaths, running):
    """Ctrl-C once the cells that stay run (after the one that dies has died again, in a process of its own)."""

    def watch():
        for _ in range(3000):
            message = [line.split()[0] for line in notes(log)]
            last = message[max((i + 1 for i, word in enumerate(message) if word == "dies"), default=0) :]
            if message.count("dies") == deaths and len(last) == running:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                return
            time.sleep(0.01)

    threading.Thread(target=watch, daemon=True).start()


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal to a thread")
@pytest.mark.parametrize(("deaths", "running"), [(0, 2), (2, 1)])
def test_ctrl_c_waits_for_no_cell_and_leaves_no_worker(tmp_path, deaths, running):
    log = str(tmp_path / "log")
    cells = [Cell(stays, {"log": log, "i": i}) for i in range(2)]
    cells = [Cell(dies, {"log": log}), *cells] if deaths else cells
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        interrupt_when(log, deaths, running)
        with pytest.raises(KeyboardInterrupt):
            run_study(small(cells), out=tmp_path / "out", jobs=2)
    finally:
        signal.signal(signal.SIGINT, before)
    words = [line.split() for line in notes(log)]
    assert not [pid for _, pid in words if alive(int(pid))] and "ends" not in [word for word, _ in words]


def leave(file, first):
    Path(file).write_text("here")
    return first


def find(file):
    """Waits for what a cell with needs leaves behind: in vain if that had to wait for this one."""
    for _ in range(600):
        if Path(file).exists():
            return {"y": 1}
        time.sleep(0.05)
    raise TimeoutError("nobody came")


def test_a_cell_starts_as_soon_as_its_needs_are_there(tmp_path):
    file = {"file": str(tmp_path / "left")}
    cells = [Cell(find, file), Cell(leave, file, needs={"first": Cell(where)})]
    assert not run_study(small(cells), out=tmp_path / "out", jobs=2).failed


class Looked(dict):
    """The needs of a job, which count how often they are looked at."""

    times = 0

    def values(self):
        Looked.times += 1
        return super().values()


def test_each_need_is_looked_at_a_fixed_number_of_times(tmp_path, monkeypatch):
    def above_it(above):
        return above

    many = 200
    base = Cell(where, replicates=many)
    cells = [base, Cell(above_it, name="above", replicates=many, needs={"above": base})]
    listed = [replace(job, needs=Looked(job.needs)) for job in make_jobs(small(cells), cells, tmp_path, {}, {})]
    monkeypatch.setattr(Looked, "times", 0)
    graph = TaskGraph(listed, {c.title: c for c in cells}, {})
    records = list(iter_completed(graph, ThisProcess(), lambda task: [job.record("done") for job in task]))
    assert len(records) == 2 * many == len({r.key for r in records})
    assert Looked.times == 2 * len(listed)  # when the run begins, and when all are there


def fails_once(replicate):
    if replicate == 1:
        raise ValueError("this was failed by me")
    return {"r": replicate}


def at_once(seeds, each):
    return [{"calls": len(seeds), "r": own["r"]} for own in each]


def passes(above):
    return above


def test_replicates_whose_need_failed_are_left_out_of_the_call(tmp_path):
    each = Cell(fails_once, name="each", replicates=3)
    many = Cell(at_once, name="many", replicates=3, needs={"each": each})
    last = Cell(passes, name="last", replicates=3, needs={"above": many})
    run = run_study(small([many, last]), out=tmp_path)
    assert run.outcome.finished("at_once") == [
        {"cell": "many", "replicate": 0, "calls": 2, "r": 0},
        {"cell": "many", "replicate": 2, "calls": 2, "r": 2},
    ]
    message = {(r.cell, r.replicate): r.error for r in run.failed}
    first = "it needs each, which failed: ValueError: this was failed by me"
    assert message == {("each", 1): "ValueError: this was failed by me", ("many", 1): first, ("last", 1): first}


def test_a_reason_that_reads_like_ours_is_told_as_the_cells_own(tmp_path):
    first = Cell(where, name="first", skip=lambda: (True, "it needs a second coin"))
    second = Cell(passes, name="second", needs={"above": first})
    third = Cell(passes, name="third", needs={"above": second})
    run = run_study(small([third]), out=tmp_path)
    message = "it needs first, which was skipped: it needs a second coin"
    assert [(r.status, r.error) for r in run.outcome.records[1:]] == [("skipped", message)] * 2
