"""What a command writes is written whoever reads what it prints, and whatever the console can show."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

import annosim as an
from annosim.cli import main

VOTES = "who,left,right,winner\nann,茶,milk,left\nbob,milk,茶,left\nann,milk,茶,left\nbob,茶,milk,left\n"
COLUMNS = ["--format", "pairs", "--annotator", "who", "--left", "left", "--right", "right", "--winner", "winner"]
SCENARIO = """
seed = 1
items = {kind = "inline", n = 3}
design = {annotators = 20}
[population]
types = [{utility = {kind = "tabular", values = [0.0, 0.5, 1.0]}}]
[plan]
precision = 0.5
cost = {annotator = 1.0, answer = 0.1}
compare = [{annotators = 20}]
"""
#: an estimator for the checks
ESTIMATOR = "def wins(n, data):\n    return [sum(w == i for w, _ in data) for i in range(n)]\n"


class Deaf(io.TextIOBase):
    """A pipe whose reader has gone, or a full disk."""

    def __init__(self, error):
        self.error = error

    def write(self, text):
        raise self.error


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "votes.csv").write_text(VOTES, encoding="utf-8")
    (tmp_path / "scenario.toml").write_text(SCENARIO)
    (tmp_path / "counted_wins.py").write_text(ESTIMATOR)
    return tmp_path


def fit_in_another_process(**how):
    line = [sys.executable, "-m", "annosim", "fit", "votes.csv", *COLUMNS, "--out", "table.csv", "--save", "fit.pt"]
    return subprocess.run(line, stderr=subprocess.PIPE, timeout=120, check=False, **how)


def assert_written():
    with open("table.csv", encoding="utf-8") as table:
        assert "茶" in table.read()
    assert an.Fit.load("fit.pt").converged


def test_letters_that_the_console_lacks_are_replaced(here):
    done = fit_in_another_process(stdout=subprocess.PIPE, env={**os.environ, "PYTHONIOENCODING": "cp1252"})
    assert done.returncode == 0 and done.stderr == b""
    assert b"?" in done.stdout and b"fit written to fit.pt" in done.stdout
    assert_written()


def test_a_reader_that_has_gone_ends_the_command_quietly_after_its_files_are_written(here):
    read, write = os.pipe()
    os.close(read)
    done = fit_in_another_process(stdout=write)
    os.close(write)
    assert done.returncode == 141 and done.stderr == b""  # 128 + SIGPIPE, what shells report
    assert_written()


def test_output_on_a_full_disk_is_one_line_after_the_files_are_written(here):
    with open("/dev/full", "w") as full:
        done = fit_in_another_process(stdout=full)
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1
    assert b"standard output cannot be written (No space left on device)" in done.stderr
    assert_written()


def test_a_process_without_standard_output_or_error_writes_its_files(here):
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", sys.executable, "-m", "annosim", "fit", "votes.csv", *COLUMNS]
        + ["--out", "table.csv", "--save", "fit.pt"],
        timeout=120,
        check=False,
    )
    assert done.returncode == 0
    assert_written()


COMMANDS = {
    "simulate scenario.toml --out file.parquet": "file.parquet",
    "simulate scenario.toml --out shards": "shards/shards.json",
    "identify scenario.toml --html page.html": "page.html",
    "plan scenario.toml --html page.html": "page.html",
    "check counted_wins:wins --adapter tuples --tag score --fast --only check_deterministic --html page.html": "page.html",
}


@pytest.mark.parametrize("line", COMMANDS)
@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), OSError(28, "No space left on device")])
def test_every_command_writes_its_files_whoever_reads(line, error, here, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Deaf(error))
        code = main(line.split())
    assert code == (141 if isinstance(error, BrokenPipeError) else 2)
    assert (here / COMMANDS[line]).stat().st_size > 0


def test_what_was_found_is_printed_also_where_a_file_cannot_be_written(here, capsys, longest_file):
    with longest_file(1000):
        assert main(["fit", "votes.csv", *COLUMNS, "--save", "fit.pt"]) == 2
    told = capsys.readouterr()
    assert "standard errors" in told.out and "fit written" not in told.out
    assert told.err.count("\n") == 1 and "make room" in told.err
    assert not (here / "fit.pt").exists()


def test_the_streams_are_given_back(here, capsys):
    before = sys.stdout, sys.stdout.errors, sys.stderr
    main(["--version"])
    assert before == (sys.stdout, sys.stdout.errors, sys.stderr)
