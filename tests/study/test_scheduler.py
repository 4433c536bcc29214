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
from joblib.externals.loky.process_executor import TerminatedWorkerError

from annosim.study import Cell, Preset, Study, execute, run_study
from annosim.study import scheduler as crew
from annosim.study.execute import make_jobs
from annosim.study.progress import Progress
from annosim.study.scheduler import _AHEAD, _Crew, finished


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
    cells = [Cell(crash, {"i": i, "bad": bad, "parent": os.getpid()}, name=f"{i}") for i in range(4 * _AHEAD)]
    for kept in (0, len(cells) - 1):
        run = run_study(small(cells), out=tmp_path, jobs=2)
        assert run.kept == kept and [r.cell for r in run.failed] == [str(bad)]
        assert "its process died" in run.failed[0].error
        assert [r.rows[0]["i2"] for r in run.outcome.records if not r.error] == [
            i * i for i in range(len(cells)) if i != bad
        ]


def unit_of(tmp_path, name, replicates=1):
    cell = Cell(where, name=name, replicates=replicates)
    return make_jobs(small([cell]), [cell], tmp_path, {}, {})


def test_what_came_back_beside_a_death_is_not_lost(tmp_path):
    workers = _Crew(small([]), "quick", {}, {}, 2)
    units = [unit_of(tmp_path, name) for name in ("dead", "whole", "out")]
    dead, whole, out = (Future() for _ in units)
    workers.out = dict(zip((dead, whole, out), units, strict=True))
    record = units[1][0].record(status="done", rows=[{"process": 1}])
    dead.set_exception(TerminatedWorkerError("killed"))
    whole.set_result([record])
    threading.Timer(0.05, out.set_exception, [TerminatedWorkerError("killed")]).start()
    assert workers._collected() == [record]
    assert list(workers.suspects) == [units[0], units[2]] and not workers.out


def dies_when_one_is_kept(seeds, log, again):
    note(log, len(seeds))
    if len(seeds) == 3:
        keep = execute.save_record

        def once(path, record):
            keep(path, record)
            os.kill(os.getpid(), signal.SIGKILL)

        execute.save_record = once
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
            told = [line.split()[0] for line in notes(log)]
            last = told[max((i + 1 for i, word in enumerate(told) if word == "dies"), default=0) :]
            if told.count("dies") == deaths and len(last) == running:
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
    jobs = [replace(job, needs=Looked(job.needs)) for job in make_jobs(small(cells), cells, tmp_path, {}, {})]
    monkeypatch.setattr(crew, "run_jobs", lambda cell, unit, pool: [j.record(status="done") for j in unit])
    monkeypatch.setattr(Looked, "times", 0)
    records = list(finished(small(cells), "quick", cells, jobs, {}, {}, 1, Progress("t", 1, show=False)))
    assert len(records) == 2 * many == len({r.key for r in records})
    assert Looked.times == 2 * len(jobs)  # when the run begins, and when all are there


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
    told = {(r.cell, r.replicate): r.error for r in run.failed}
    first = "it needs each, which failed: ValueError: this was failed by me"
    assert told == {("each", 1): "ValueError: this was failed by me", ("many", 1): first, ("last", 1): first}


def test_a_reason_that_reads_like_ours_is_told_as_the_cells_own(tmp_path):
    first = Cell(where, name="first", skip=lambda: (True, "it needs a second coin"))
    second = Cell(passes, name="second", needs={"above": first})
    third = Cell(passes, name="third", needs={"above": second})
    run = run_study(small([third]), out=tmp_path)
    told = "it needs first, which was skipped: it needs a second coin"
    assert [(r.status, r.error) for r in run.outcome.records[1:]] == [("skipped", told)] * 2
