"""A killed run resumes and repeats nothing, an edited study serves nothing stale, a failed cell is a row."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from annosim.errors import ArgumentError, StudyError
from annosim.study import CONTROL, Cell, Preset, Statement, Study, at_least, load_study, run_study, true
from annosim.study.jobs import make_jobs, run_in_worker

COIN = Path(__file__).with_name("coin.py")


@pytest.fixture
def coin(tmp_path, monkeypatch):
    """A copy of the study that logs which cells really ran."""
    copy = shutil.copy(COIN, tmp_path / "coin.py")
    monkeypatch.setenv("COIN_LOG", str(tmp_path / "log"))
    return Path(copy)


def ran(coin):
    log = coin.parent / "log"
    return Counter(log.read_text().split()) if log.exists() else Counter()


def test_a_run_leaves_the_promised_files(coin, tmp_path):
    run = run_study(load_study(coin), out=tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "cells",
        "claims.json",
        "figures",
        "report.html",
        "results.parquet",
        "run.json",
    }
    claims = json.loads((tmp_path / "out" / "claims.json").read_text())
    assert [c["id"] for c in claims] == ["share-0.3", "share-0.6", "all"] and run.counts()["supported"] == 3
    table = pd.read_parquet(tmp_path / "out" / "results.parquet")
    assert len(table) == 12 and set(table.status) == {"done"} and table.heads.notna().sum() == 6
    assert "12 cells, 0 kept, 0 failed" in repr(run)


def test_a_second_run_repeats_nothing_and_finds_the_same(coin, tmp_path):
    first = run_study(load_study(coin), out=tmp_path / "out")
    again = run_study(load_study(coin), out=tmp_path / "out")
    assert again.kept == 12 and set(ran(coin).values()) == {1}
    assert again.claims == first.claims
    pd.testing.assert_frame_equal(first.outcome.table(), again.outcome.table())


def test_a_killed_run_resumes_and_repeats_nothing(coin, tmp_path):
    command = [
        sys.executable,
        "-m",
        "annosim",
        "study",
        "run",
        str(coin),
        "--out",
        str(tmp_path / "out"),
        "--jobs",
        "1",
    ]
    slow = {**os.environ, "COIN_SLEEP": "0.3"}
    killed = subprocess.Popen(command, env=slow, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    kept = tmp_path / "out" / "cells"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(kept.glob("*.npz")) if kept.is_dir() else []) < 2:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait(timeout=60) == -signal.SIGKILL
    before = {p.name: p.read_bytes() for p in kept.glob("coin*.npz")}
    assert 2 <= len(before) < 6 and not (tmp_path / "out" / "claims.json").exists()
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert f"({len(before)} kept from before, 0 failed)" in done.stdout
    assert all((kept / name).read_bytes() == content for name, content in before.items())
    # What was kept ran once; the cell under way when the run was killed may have started twice; nothing else did.
    counts = ran(coin)
    assert len(counts) == 6 and sum(n > 1 for n in counts.values()) <= 1 and sum(counts.values()) <= 7
    fresh = run_study(load_study(coin), out=tmp_path / "fresh")
    resumed = pd.read_parquet(tmp_path / "out" / "results.parquet").drop(columns="seconds")
    pd.testing.assert_frame_equal(
        resumed, pd.read_parquet(tmp_path / "fresh" / "results.parquet").drop(columns="seconds")
    )
    assert fresh.counts() == {"supported": 3, "contradicted": 0, "inconclusive": 0, "not judged": 0}
    assert {group: c["supported"] for group, c in fresh.counts_by_group().items()} == {"paper": 2, "study": 1}


def test_an_edited_study_serves_nothing_stale(coin, tmp_path):
    run_study(load_study(coin), out=tmp_path / "out")
    coin.write_text(coin.read_text().replace('"heads": int(tosses.sum())', '"heads": int(tosses.sum()) + 1'))
    edited = run_study(load_study(coin), out=tmp_path / "out")
    assert edited.kept == 0 and set(ran(coin).values()) == {2}


def test_an_edited_helper_is_neither_kept_nor_remembered(tmp_path):
    (tmp_path / "coin_helper.py").write_text("VALUE = 1\n")
    (tmp_path / "helped.py").write_text(
        "from coin_helper import VALUE\n"
        "from annosim.study import Cell, Preset, Study\n"
        "def cell():\n    return {'value': VALUE}\n"
        "STUDY = Study('helped', 't', 'p', {'quick': Preset(0.1)}, lambda: [Cell(cell)], lambda: [])\n"
    )
    for value in (1, 2):
        (tmp_path / "coin_helper.py").write_text(f"VALUE = {value}\n")
        run = run_study(load_study(tmp_path / "helped.py"), out=tmp_path / "out")
        assert run.outcome.get("cell", "value") == value and run.kept == 0


def test_another_preset_shares_the_cells_that_are_the_same(coin, tmp_path):
    run_study(load_study(coin), out=tmp_path / "out")
    edge = run_study(load_study(coin), "edge", out=tmp_path / "out")
    assert edge.kept == 4  # coin 0.3 and what needs it; coin 0.6 fails on its edge, and a share of two is skipped


def test_a_failed_cell_is_a_row_and_its_claims_are_inconclusive(coin, tmp_path):
    run = run_study(load_study(coin), "edge", out=tmp_path / "out")
    verdicts = {c.id: (c.verdict, c.reason) for c in run.claims}
    assert verdicts["share-0.3"][0] == "supported"
    assert verdicts["share-0.6"] == (
        "inconclusive",
        "cell coin 0.6, replicate 0, failed: ValueError: the coin stands on its edge",
    )
    assert verdicts["share-2"] == ("inconclusive", "cell coin 2, replicate 0, skipped: a share of 2 is above one")
    table = pd.read_parquet(tmp_path / "out" / "results.parquet").set_index(["cell", "replicate"])
    assert table.status.value_counts().to_dict() == {"done": 4, "failed": 4, "skipped": 4}
    assert table.error["spread of coin 0.6", 1] == (
        "it needs coin 0.6, which failed: ValueError: the coin stands on its edge"
    )
    assert "stands" in run.failed[0].traceback and 'raise ValueError("the coin' in run.failed[0].traceback


def test_a_failed_cell_is_tried_again(coin, tmp_path):
    run_study(load_study(coin), "edge", out=tmp_path / "out")
    again = run_study(load_study(coin), "edge", out=tmp_path / "out")
    assert ran(coin)["0.6/0"] == 2 and ran(coin)["0.3/0"] == 1 and len(again.failed) == 4


def test_workers_find_what_one_process_finds(coin, tmp_path):
    one = run_study(load_study(coin), "edge", out=tmp_path / "one")
    two = run_study(load_study(coin), "edge", out=tmp_path / "two", jobs=2)
    drop = ["seconds", "error"]
    pd.testing.assert_frame_equal(one.outcome.table().drop(columns=drop), two.outcome.table().drop(columns=drop))
    assert repr(one.claims) == repr(two.claims)  # a claim without a value has nan, which equals nothing


def small(cells, claims=lambda: [], **more):
    return Study("small", "t", "p", {"quick": Preset(0.1)}, lambda: cells, claims, **more)


def threads(i):
    import numba
    import torch

    return {"torch": torch.get_num_threads(), "numba": numba.get_num_threads(), "process": os.getpid()}


def test_workers_run_torch_and_numba_on_one_thread(tmp_path):
    run = run_study(small([Cell(threads, {"i": i}) for i in range(3)]), out=tmp_path, jobs=2)
    found = run.outcome.frame("threads")
    assert set(found.torch) == set(found.numba) == {1} and os.getpid() not in set(found.process)


def warns(n):
    import warnings

    for _ in range(n):
        warnings.warn("not converged: raise the limit", stacklevel=1)
    return {"n": n}


def test_a_warning_is_kept_with_its_cell_and_printed_in_the_report(tmp_path):
    for _ in range(2):
        run = run_study(small([Cell(warns, {"n": 3})]), out=tmp_path)
        assert run.outcome.records[0].warnings == ("UserWarning: not converged: raise the limit",)
    assert "not converged: raise the limit" in (tmp_path / "report.html").read_text()


def rows_of(seed, replicate):
    return [{"x": i, "draw": float(np.random.default_rng(seed).normal()), "r": replicate} for i in range(2)]


def test_replicates_have_their_own_seeds_and_a_shared_name_shares_them(tmp_path):
    one, two = (
        Cell(rows_of, name="one", replicates=3, seed_name="s"),
        Cell(rows_of, name="two", replicates=3, seed_name="s"),
    )
    run = run_study(small([one, two]), out=tmp_path)
    frame = run.outcome.frame("rows_of")
    assert frame.groupby("cell").draw.nunique().to_dict() == {"one": 3, "two": 3}
    assert (frame[frame.cell == "one"].draw.values == frame[frame.cell == "two"].draw.values).all()
    assert (frame.r == frame.replicate).all() and len(frame) == 12


def test_claims_are_known_before_and_survive_everything(tmp_path):
    def claims():
        yield Statement("a", "t", "s", lambda found: at_least(found.get("absent", "x"), 1), whose=CONTROL)
        yield Statement("b", "t", "s", lambda found: true(True, "yes"), whose=CONTROL)

    run = run_study(small([Cell(warns, {"n": 0})], claims), out=tmp_path)
    assert [c.verdict for c in run.claims] == ["inconclusive", "supported"]
    assert run.claims[0].reason == "no cell matches absent() in preset quick"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s, out: run_study(s, "papre", out), StudyError, "choose one of quick"),
        (lambda s, out: run_study(s, out=out, jobs=0), ArgumentError, "jobs=0"),
    ],
)
def test_bad_input_stops_before_anything_runs(tmp_path, call, error, message):
    with pytest.raises(error, match=message):
        call(small([Cell(warns, {"n": 0})]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_declared_data_must_exist_and_enter_the_key(tmp_path):
    study = small([Cell(warns, {"n": 0})], data=("a.csv",))
    with pytest.raises(OSError, match=r"a\.csv is missing"):
        run_study(study, out=tmp_path / "out", data=tmp_path)
    for text, kept in (("1", 0), ("1", 1), ("2", 0)):
        (tmp_path / "a.csv").write_text(text)
        assert run_study(study, out=tmp_path / "out", data=tmp_path).kept == kept


def test_a_worker_that_would_load_an_edited_source_refuses(coin, tmp_path):
    study = load_study(coin)
    job = make_jobs(study, study.plan(), tmp_path, {}, {})[0]
    coin.write_text(coin.read_text() + "# edited\n")
    (found,) = run_in_worker((study.digest, coin), "quick", {}, [job])
    assert found.status == "failed" and "edited during this run" in found.error and not ran(coin)


def start(seed):
    return {"first": seed % 10}


def at_once(seeds, begin, starts, fail=False):
    """All replicates in one call: each sees the one result that all share, and its own of the other."""
    if fail:
        raise ValueError("no luck")
    return [
        {"seed": str(s), "begin": begin["first"], "own": own["first"], "calls": len(seeds)}
        for s, own in zip(seeds, starts, strict=True)
    ]


def together(**parameters):
    needs = {"begin": Cell(start, name="one"), "starts": Cell(start, name="each", replicates=3)}
    return Cell(at_once, parameters, name="many", replicates=3, needs=needs, seed_name="s")


def two_of_three(seeds):
    return [{"y": 1.0}, {"y": 2.0}]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_function_that_takes_seeds_runs_all_replicates_at_once(tmp_path, jobs):
    study = small([together(), Cell(rows_of, name="alone", replicates=3, seed_name="s")])
    run = run_study(study, out=tmp_path, jobs=jobs)
    rows = run.outcome.frame("at_once").sort_values("replicate")
    alone = [r.seed for r in run.outcome.records if r.cell == "alone"]
    assert not run.failed and (rows.calls == 3).all() and rows.begin.nunique() == 1
    assert rows.seed.astype(int).tolist() == alone  # the seeds of replicates, as of any cell
    own = run.outcome.frame("start")
    assert rows.own.tolist() == own[own.cell == "each"].sort_values("replicate")["first"].tolist()
    again = run_study(study, out=tmp_path, jobs=jobs)
    assert again.kept == len(run.outcome.records)


def test_replicates_that_a_killed_run_lacks_are_run_at_once_and_no_other(tmp_path):
    run = run_study(small([together()]), out=tmp_path)
    before = run.outcome.frame("at_once").set_index("replicate").seed.to_dict()
    for file in tmp_path.glob("cells/many-r[12]-*"):
        file.unlink()
    run = run_study(small([together()]), out=tmp_path)
    rows = run.outcome.frame("at_once").set_index("replicate")
    assert rows.calls.to_dict() == {0: 3, 1: 2, 2: 2} and rows.seed.to_dict() == before


def test_replicates_run_at_once_fail_together_and_say_why(tmp_path):
    run = run_study(small([together(fail=True), Cell(two_of_three, name="short", replicates=3)]), out=tmp_path)
    message = {(r.cell, r.replicate): r.error for r in run.failed}
    assert len(message) == 6 and message["many", 2] == "ValueError: no luck"
    assert "returned 2 results for 3 of them; return a list" in message["short", 0]


def test_a_function_that_takes_seeds_stands_alone():
    def both(seeds, seed):
        return []

    for function in (both, (start, two_of_three)):
        with pytest.raises(StudyError, match="takes 'seeds' runs all replicates at once; it stands alone"):
            small([Cell(function, name="x", replicates=2)]).plan()


def one_of_each(seeds, begin):
    return [{"first": begin["first"]} for _ in seeds]


def test_a_cell_with_one_replicate_gives_its_result_as_it_is(tmp_path):
    cell = Cell(one_of_each, needs={"begin": Cell(start)})
    assert not run_study(small([cell]), out=tmp_path).failed


def slow_batch(seeds):
    time.sleep(0.3)
    return [{"y": 1.0} for _ in seeds]


def test_replicates_run_at_once_share_the_time_of_their_call(tmp_path):
    run = run_study(small([Cell(slow_batch, replicates=3)]), out=tmp_path)
    seconds = [r.seconds for r in run.outcome.records]
    assert len(set(seconds)) == 1 and 0.3 <= sum(seconds) <= run.seconds


class Mute(Exception):
    """Its text cannot be had."""

    def __str__(self):
        raise ZeroDivisionError


def raises(kind):
    raise {"exit": SystemExit(7), "mute": Mute(), "stop": KeyboardInterrupt()}[kind]


@pytest.mark.parametrize("jobs", [1, 2])
def test_whatever_a_cell_raises_is_a_row(tmp_path, jobs):
    cells = [Cell(raises, {"kind": kind}) for kind in ("exit", "mute")]
    run = run_study(small([*cells, Cell(start)]), out=tmp_path, jobs=jobs)
    assert [r.error for r in run.outcome.records] == ["SystemExit: 7", "Mute: its message cannot be shown", ""]


def test_but_for_the_users_own_ctrl_c(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run_study(small([Cell(raises, {"kind": "stop"})]), out=tmp_path)


def test_whatever_a_judge_or_a_figure_raises_is_a_line_of_the_report(tmp_path):
    def figure(found):
        raises("exit")

    claims = [
        Statement(kind, "t", "s", lambda found, kind=kind: raises(kind), whose=CONTROL) for kind in ("exit", "mute")
    ]
    run = run_study(small([Cell(start)], lambda: claims, figures=[figure]), out=tmp_path)
    assert [c.reason for c in run.claims] == ["SystemExit: 7", "Mute: its message cannot be shown"]
    assert "SystemExit: 7" in (tmp_path / "report.html").read_text()
