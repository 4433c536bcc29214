"""What cannot be reached, started or written is one line and exit code 2, and nothing is left half-written."""

from __future__ import annotations

import socket
import sys

import pytest

import annosim as an
from annosim.cli import main
from annosim.errors import ClusterError, FileReadError, MissingDependencyError
from annosim.execution.executor import ThisProcess, Threads
from annosim.execution.tasks import run_tasks
from annosim.places import Folder

SCENARIO = """
seed = 0
[items]
kind = "normal"
n = 3
dim = 1
[[population.types]]
weight = 1.0
utility = { kind = "linear", weights = [1.0] }
[design]
menu_size = 2
annotators = 200
"""


@pytest.fixture
def scenario(tmp_path):
    path = tmp_path / "scenario.toml"
    path.write_text(SCENARIO)
    return str(path)


def complaint(capsys, *words):
    assert main(words) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    return said[0]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("gopher://host:1", "'gopher://host:1': unknown; write tcp://HOST:8786, local:4, processes:4 or FILE.toml"),
        ("local", "unknown"),
        ("local:many", "a whole number of workers"),
        ("processes:0", "a whole number of workers"),
        ("nowhere.toml", "cannot be read"),
    ],
)
def test_a_place_that_is_none_is_one_line(where, said, scenario, tmp_path, capsys):
    out = tmp_path / "out"
    assert said in complaint(capsys, "simulate", scenario, "--out", str(out), "--cluster", where)
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "0 of its keys say where"),
        ('scheduler = "tcp://h:1"\nlocal = 2', "2 of its keys say where"),
        ("lokal = 2", "unknown key 'lokal'"),
        ("scheduler = ", "cannot be read"),
        ('scheduler = "tcp://h:1"\ntimeout = -1', "seconds above 0"),
        ('scheduler_file = "none.json"', "no scheduler's address in it"),
        ("processes = 0", "a whole number of workers"),
    ],
)
def test_a_file_that_says_nothing_is_one_line(text, said, scenario, tmp_path, capsys):
    path = tmp_path / "cluster.toml"
    path.write_text(text)
    assert said in complaint(capsys, "simulate", scenario, "--out", str(tmp_path / "out"), "--cluster", str(path))


@pytest.mark.cluster
def test_a_scheduler_that_does_not_answer_is_one_line(scenario, tmp_path, capsys):
    with socket.socket() as taken:  # a port where nobody speaks
        taken.bind(("127.0.0.1", 0))
        where = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        path = tmp_path / "cluster.toml"
        path.write_text(f'scheduler = "{where}"\ntimeout = 0.5\n')
        line = complaint(capsys, "simulate", scenario, "--out", str(tmp_path / "out"), "--cluster", str(path))
    assert f"no Dask scheduler at {where} within 0.5 s" in line and not (tmp_path / "out").exists()


def test_without_dask_the_extra_is_named(monkeypatch, scenario, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    for where in ("local:2", "tcp://127.0.0.1:1"):
        line = complaint(capsys, "simulate", scenario, "--out", str(tmp_path / "out"), "--cluster", where)
        assert 'distributed is not installed; pip install "annosim[dask]"' in line
    with pytest.raises(MissingDependencyError, match="dask"):
        with an.cluster(object()):
            pass


def test_a_store_that_cannot_be_written_is_one_line(scenario, tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("")
    line = complaint(capsys, "simulate", scenario, "--store", f"file://{blocked}/votes")
    assert "cannot be written" in line
    assert "no such scheme 'gopher'" in complaint(capsys, "simulate", scenario, "--store", "gopher://x/y")
    assert "a URL" in complaint(capsys, "simulate", scenario, "--store", str(tmp_path / "plain"))
    assert list(tmp_path.iterdir()) == [blocked, tmp_path / "scenario.toml"] or not (tmp_path / "plain").exists()


def test_a_scheme_whose_library_is_missing_says_so():
    with pytest.raises(MissingDependencyError, match="s3fs"):
        Folder("s3://bucket/run")


def test_a_study_that_names_a_store_is_refused_before_it_runs(tmp_path, capsys):
    study = tmp_path / "mine.py"
    study.write_text(
        "from annosim.study import Cell, Preset, Study\n"
        "def half(n):\n    return {'half': n / 2}\n"
        "STUDY = Study('mine', 't', 'p', {'quick': Preset(0.1)}, lambda: [Cell(half, {'n': 2})], lambda: [])\n"
    )
    run = ("study", "run", str(study), "--out", str(tmp_path / "out"), "--jobs", "1")
    assert "a URL" in complaint(capsys, *run, "--store", str(tmp_path / "store"))
    assert "no such scheme" in complaint(capsys, *run, "--store", "gopher://x")
    assert "only one process sees it" in complaint(capsys, *run[:-1], "2", "--store", "memory://x")
    assert not (tmp_path / "out").exists()
    assert main([*run, "--store", "memory://kept"]) == 0 and not (tmp_path / "out" / "cells").exists()
    capsys.readouterr()
    assert main([*run[:4], str(tmp_path / "again"), *run[5:], "--store", "memory://kept"]) == 0
    assert "(1 kept from before" in capsys.readouterr().out


def test_folders_at_urls_do_what_paths_do(tmp_path):
    for folder in (Folder(tmp_path / "a"), Folder(f"file://{tmp_path}/b"), Folder("memory://folders")):
        assert folder.names() == [] and not folder.exists("x")
        folder.write("in/x", b"1")
        folder.write("in/x", b"2")
        assert (folder.read("in/x"), folder.names("in"), folder.exists("in/x")) == (b"2", ["x"], True)
        with folder.open("in/x") as file:
            assert file.read() == b"2"
        assert folder.fetch("in/x", tmp_path / "cache").read_bytes() == b"2"
        folder.write("in/x", b"33")
        assert folder.fetch("in", tmp_path / "cache").joinpath("x").read_bytes() == b"33"
        folder.remove("in/x")
        folder.remove("in/x")
        for read in (folder.read, folder.open, lambda name, at=folder: at.fetch(name, tmp_path / "cache")):
            with pytest.raises(FileNotFoundError):
                read("in/x")


def test_real_data_may_lie_at_a_url(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    Folder("memory://data").write("preflib/sushi.soc", b"# votes")
    assert an.study.data_path("preflib/sushi.soc", "memory://data").read_bytes() == b"# votes"
    assert str(an.study.data_path("preflib/sushi.soc", "memory://data")).startswith(str(tmp_path))
    with pytest.raises(FileReadError, match="none.csv is missing in memory://data"):
        an.study.data_path("none.csv", "memory://data")


def fails(common, number):
    raise FileReadError("gone")


def test_an_engine_of_this_process_raises_what_tasks_raise():
    for engine in (ThisProcess(), Threads(2)):
        with pytest.raises(FileReadError, match="gone"):
            run_tasks(fails, None, range(3), engine)


def test_a_cluster_is_not_anything():
    for where in (None, True, 2.5):
        with pytest.raises((an.errors.ArgumentError, ClusterError, MissingDependencyError)):
            with an.cluster(where):
                pass
