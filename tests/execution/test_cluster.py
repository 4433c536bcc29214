"""One process, local processes and a Dask cluster give the same bytes; workers that die cost repeated tasks, no results.

One cluster of three processes serves the whole file: a worker that is killed is started again by its nanny.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cloudpickle
import numpy as np
import pytest

import annosim as an
from annosim.errors import ClusterError
from annosim.execution.current import FAILURES
from annosim.execution.executor import ThisProcess
from annosim.execution.tasks import run_tasks
from annosim.learning import sharded
from annosim.study import load_study, run_study
from annosim.workers import dask_workers

pytestmark = pytest.mark.cluster
cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers need not find this file

STUDY = '''
"""A study outside the package, with a helper beside it."""
import os, signal
from helper import scaled
from annosim.study import Cell, Preset, Study

def draw(seed, n):
    import numpy as np
    return {"x": np.random.default_rng(seed).normal(size=n)}

def total(above):
    return {"sum": scaled(float(above["x"].sum())), "worker": os.getpid()}

def dies():
    os.kill(os.getpid(), signal.SIGKILL)

def cells(bad=False):
    base = Cell(draw, {"n": 5}, replicates=6)
    return [Cell(total, {}, "total", 6, needs={"above": base})] + ([Cell(dies)] if bad else [])

STUDY = Study("outside", "t", "p", {"quick": Preset(0.1), "bad": Preset(0.1, {"bad": True})}, cells, lambda: [])
'''


#: what a worker imports sooner or later, most of it torch: seconds for each of the dozen that these tests kill
IMPORTED = [
    "distributed",
    "annosim.study",
    "annosim.learning.fitting",
    "annosim.simulation.streaming",
    "annosim.checks",
]


@pytest.fixture(scope="module")
def client():
    """A client of three worker processes, which know nothing of this test's folders.

    Workers, also those that stand in for killed ones, are forked from a process that has imported the library.
    """
    distributed, dask = pytest.importorskip("distributed"), pytest.importorskip("dask")
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        distributed.utils.get_mp_context().set_forkserver_preload(IMPORTED)  # in the place of its own list
        with dask_workers(3, FAILURES) as cluster, distributed.Client(cluster, set_as_default=False) as client:
            yield client


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "somewhere"
    folder.mkdir()
    (folder / "helper.py").write_text("def scaled(x):\n    return 3 * x\n")
    (folder / "outside.py").write_text(STUDY)
    return load_study(folder / "outside.py")


def rows(run):
    return [(r.cell, r.replicate, r.status, r.error, [row.get("sum") for row in r.rows]) for r in run.outcome.records]


def files(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def simulated(out, rows=4_000):
    people = an.Mixture([an.Annotator(an.Tabular([0.0, s, 2 * s]), an.Luce()) for s in (1.0, -1.0)])
    return an.simulate(
        people, an.Design(an.Items(n=3), annotators=rows), seed=3, out=out, shard_rows=256, path="reference"
    )


@pytest.fixture(scope="module")
def fitted():
    data = an.simulate(
        an.Annotator(an.Linear([1.0, -0.5]), an.Luce()),
        an.Design(an.Items.normal(5, 2, seed=0), menu_size=3, annotators=300, questions=2),
        seed=1,
    )
    return an.fit(an.Annotator(an.Linear([0.0, 0.0]), an.Luce()), data)


ENGINES = ("processes", "client")


def engine(name, client):
    return an.cluster(4) if name == "processes" else an.cluster(client)


@pytest.mark.parametrize("name", ENGINES)
def test_a_study_finds_the_same_anywhere(name, client, study, tmp_path):
    here = run_study(study, out=tmp_path / "here")
    with engine(name, client):
        there = run_study(study, out=tmp_path / "there")
        again = run_study(study, out=tmp_path / "there")
    assert rows(here) == rows(there) == rows(again) and not there.failed
    assert (there.kept, again.kept) == (0, 12)
    assert {r.rows[0]["worker"] for r in there.outcome.records if r.cell == "total"} - {os.getpid()}


@pytest.mark.parametrize("name", ENGINES)
def test_a_streamed_simulation_has_the_same_bytes_anywhere(name, client, tmp_path):
    simulated(tmp_path / "here")
    with engine(name, client):
        simulated(tmp_path / "back")
        simulated(f"file://{tmp_path}/direct")
    assert files(tmp_path / "here") == files(tmp_path / "back") == files(tmp_path / "direct")


@pytest.mark.parametrize("name", ENGINES)
def test_a_bootstrap_has_the_same_bits_anywhere(name, client, fitted):
    here = fitted.bootstrap(6, seed=2).numpy()
    with engine(name, client):
        there = fitted.bootstrap(6, seed=2).numpy()
    assert here.tobytes() == there.tobytes()


def test_a_fit_by_passes_over_shards_has_the_same_bits_on_a_cluster(client, tmp_path, monkeypatch):
    monkeypatch.setattr(sharded, "MOST_ANSWERS", 1)
    two = an.Mixture([an.Annotator(an.Linear([s, 0.5]), an.Luce()) for s in (1.5, -1.0)], weights=[0.6, 0.4])
    design = an.Design(an.Items.normal(5, 2, seed=0), annotators=600, questions=4)
    shards = an.simulate(two, design, seed=1, out=tmp_path / "votes", shard_rows=512)
    here = an.fit(two.like(seed=2), shards)
    with an.cluster(client):
        there = an.fit(two.like(seed=2), shards)
    assert there.solver == "em-newton over shards"
    assert here.population.vector().numpy().tobytes() == there.population.vector().numpy().tobytes()


def test_replicates_starts_and_checks_are_the_same_on_a_cluster(client):
    two = an.Mixture([an.Annotator(an.Tabular([0.0, s, 2 * s]), an.Luce()) for s in (1.0, -1.0)])
    design = an.Design(an.Items(n=3), annotators=100, questions=6)
    data, many = an.simulate(two, design, seed=1), an.simulate(two, design, seed=1, replicates=3)

    def answers():
        found, fits = an.fit(two.like(seed=1), data, starts=2), an.fit(two.like(seed=1), many)
        report = an.checks.check_estimator(
            left_wins, tags={"score"}, only=["check_swapping_sides", "check_dtypes"], raise_on_failure=False
        )
        return found.starts, found.population.vector().tolist(), fits.vectors.tolist(), [r.status for r in report]

    here = answers()
    with an.cluster(client):
        assert answers() == here


def left_wins(data):
    return np.bincount(data.menu[:, 0], minlength=data.items.n).astype(float)


def test_a_store_holds_what_the_workers_wrote(client, study, tmp_path):
    """They write finished cells themselves; a run elsewhere that names the store computes nothing again."""
    store = f"file://{tmp_path}/store"
    with an.cluster(client):
        there = run_study(study, out=tmp_path / "a", store=store)
    resumed = run_study(study, out=tmp_path / "b", store=store)
    assert (there.kept, resumed.kept) == (0, 12) and rows(there) == rows(resumed)
    assert not (tmp_path / "a" / "cells").exists() and len(files(tmp_path / "store" / "cells")) == 12


# ---- faults ----------------------------------------------------------------------------------------------------------


def plant(module, name, deaths):
    """In a worker: the function kills its process, once for each number that nobody else has taken."""
    place = importlib.import_module(module)
    plain = getattr(place, name)

    def planted(*arguments, **keywords):
        for number in range(deaths[1]):
            try:
                os.mkdir(f"{deaths[0]}/{number}")
            except FileExistsError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(*arguments, **keywords)

    setattr(place, name, planted)


def studied(where, study, fitted):
    run = run_study(study, out=where)
    assert not run.failed
    return rows(run)


def streamed(where, study, fitted):
    simulated(where)
    return files(where)


def resampled(where, study, fitted):
    return fitted.bootstrap(6, seed=2).numpy().tobytes()


@pytest.mark.parametrize(
    ("work", "function", "deaths"),
    [
        (studied, "annosim.study.jobs:run_jobs", 1),
        (studied, "annosim.study.jobs:run_jobs", 2),
        (streamed, "annosim.simulation.streaming:_files", 2),
        (resampled, "annosim.learning.inference.resample:_refit", 2),
    ],
)
def test_workers_that_die_cost_repeated_tasks_and_no_result(work, function, deaths, client, study, fitted, tmp_path):
    here = work(tmp_path / "here", study, fitted)
    (tmp_path / "deaths").mkdir()
    client.wait_for_workers(3, timeout=60)
    client.run(plant, *function.split(":"), (str(tmp_path / "deaths"), deaths))
    with an.cluster(client) as cluster:
        assert work(tmp_path / "there", study, fitted) == here
        assert len(list((tmp_path / "deaths").iterdir())) == deaths <= cluster.repeated


def test_a_task_that_kills_its_worker_three_times_fails_and_stops_nobody_else(client, study, tmp_path):
    client.wait_for_workers(3, timeout=60)
    with an.cluster(client) as cluster:
        run = run_study(study, "bad", out=tmp_path / "run")
        assert cluster.repeated == run.settings["repeated"] >= FAILURES
    assert [(r.cell, r.error) for r in run.failed] == [
        ("dies()", "its process died (out of memory, or a crash): KilledWorker")
    ]
    assert sum(r.status == "done" for r in run.outcome.records) == 12


def pretend(version):
    """In a worker: another version of a library than the one that is there."""
    from annosim import results

    results._versions.cache_clear()
    if version is None:
        return
    known = dict(results._versions())
    results._versions.cache_clear()
    results.versions = lambda: {**known, "torch": version}


def test_a_worker_with_another_version_is_refused_by_name(client):
    client.wait_for_workers(3, timeout=20)
    (address, info), *_ = client.scheduler_info(n_workers=-1)["workers"].items()
    client.run(pretend, "1.0.0", workers=[address])
    try:
        with pytest.raises(ClusterError, match=f"worker {info['name']} .{address}. has torch 1.0.0 and this process"):
            with an.cluster(client):
                pass
    finally:
        client.restart_workers([address], timeout=30)


def squared(wait, number):
    time.sleep(wait)
    return number * number


def test_threads_and_this_process_are_engines_too():
    assert run_tasks(squared, 0.0, range(5), ThisProcess()) == [0, 1, 4, 9, 16]
    with an.cluster(4) as processes:  # those that are there already
        assert run_tasks(squared, 0.0, range(5), processes) == [0, 1, 4, 9, 16]


# ---- a scheduler that can be killed ----------------------------------------------------------------------------------


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler and one worker in processes of their own; the file that says where."""
    pytest.importorskip("distributed")
    place = tmp_path / "scheduler.json"
    command = [sys.executable, "-m"]
    options = ["--scheduler-file", str(place), "--no-dashboard"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = [subprocess.Popen([*command, "distributed.cli.dask_scheduler", "--port", "0", *options], **quiet)]
    try:
        wait_until(place.exists)
        worker = ["distributed.cli.dask_worker", "--nthreads", "1", *options]
        started.append(subprocess.Popen([*command, *worker], **quiet))
        yield place, started[0]
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


def wait_until(there, seconds=60):
    end = time.monotonic() + seconds
    while not there() and time.monotonic() < end:
        time.sleep(0.05)
    assert there()


def test_a_killed_scheduler_stops_the_run_in_one_line_and_the_run_resumes(scheduler, tmp_path, monkeypatch):
    from annosim.execution import dask_engine

    monkeypatch.setattr(dask_engine, "PATIENCE", 60.0)  # a busy machine starts a worker slowly
    place, process = scheduler
    (tmp_path / "where.toml").write_text(f'scheduler_file = "{place.name}"\ntimeout = 30\n')
    kept = []

    def after_the_first(done, before, total):
        kept.append((done, before))
        if done and process.poll() is None:
            process.kill()

    people, design = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce()), an.Design(an.Items(n=2), annotators=6_000)

    def simulate(name, **options):
        return an.simulate(people, design, seed=3, out=tmp_path / name, shard_rows=64, path="reference", **options)

    with pytest.raises(ClusterError, match=r"the scheduler tcp://\S+ is gone; what is finished is kept: start it"):
        with an.cluster(tmp_path / "where.toml"):
            simulate("broken", progress=after_the_first)
    assert 0 < kept[-1][0] < 6_000 and not list((tmp_path / "broken").glob("*.tmp"))
    kept.clear()
    simulate("broken", progress=lambda done, before, total: kept.append((done, before)))
    simulate("whole")
    assert kept[0][1] > 0 and files(tmp_path / "broken") == files(tmp_path / "whole")
