"""The command line: examples in every help, one line and exit code 2 for every mistake, no traceback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from annosim import cli
from annosim.errors import FileReadError, StudyError

COIN = Path(__file__).parent / "study" / "coin.py"


def commands():
    """Every command of the application as a list of words, groups included."""

    def walk(command, words):
        yield words
        for name, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, [*words, name])

    return list(walk(typer.main.get_command(cli.build()), []))


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(words, capsys):
    assert cli.main([*words, "--help"]) == 0
    told = capsys.readouterr().out
    assert f"Usage: {' '.join(['annosim', *words])}" in told and "Example: annosim" in told


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with one study, of an annosim that brought none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("annosim.study.find.shipped_studies", lambda: tmp_path / "none came with annosim")
    (tmp_path / "studies").mkdir()
    shutil.copy(COIN, tmp_path / "studies" / "coin.py")
    return tmp_path


MISTAKES = {
    "study run coins": "no study 'coins'",
    "study run nowhere.py": "nowhere.py does not exist",
    "study run coin --preset papre": "has no preset 'papre'; choose one of quick, edge",
    "study run coin --jobs 0": "jobs=0",
    "study run coin --jobs two": "Invalid value for '--jobs'",
    "study run coin --device gpu": "device='gpu' is no device",
    "study run": "Missing argument",
    "study rum": "No such command 'rum'",
    "study run coin --outt x": "No such option",
    "study run studies/broken.py": "importing this study failed",
    "study run coin --out studies/coin.py": "studies/coin.py",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_line_on_standard_error_and_exit_code_2(line, here, capsys):
    (here / "studies" / "broken.py").write_text("1 / 0")
    assert cli.main(line.split()) == 2
    told = capsys.readouterr()
    assert MISTAKES[line] in told.err and told.err.count("\n") == 1 and told.err.startswith("annosim: ")
    assert "Traceback" not in told.err + told.out


def test_a_run_prints_verdicts_and_where_the_report_is(here, capsys):
    assert cli.main(["study", "run", "coin"]) == 0
    told = capsys.readouterr().out
    assert "The paper says: 2 supported; This study adds: 1 supported; 12 cells (0 kept from before, 0 failed)" in told
    assert told.startswith("Claims: The paper says: 2 supported"), "the finding comes first"
    assert "runs/coin/quick/report.html" in told and (here / "runs/coin/quick/report.html").is_file()


def test_a_failed_cell_is_exit_code_1(here, capsys):
    assert cli.main(["study", "run", "coin", "--preset", "edge"]) == 1
    told = capsys.readouterr().out
    assert "failed: coin 0.6, replicate 0 and 1 more: ValueError: the coin stands on its edge" in told
    assert "cannot be judged: share-2: cell coin 2, replicate 0, skipped: a share of 2 is above one" in told


def test_the_list_shows_name_paper_presets_times_and_last_verdicts(here, capsys):
    assert cli.main(["study", "list"]) == 0
    before = capsys.readouterr().out
    assert "coin: Coins show heads" in before and "Bernoulli, Ars" in before and before.count("not run yet") == 2
    cli.main(["study", "run", "coin"])
    capsys.readouterr()
    assert cli.main(["study", "list"]) == 0
    after = capsys.readouterr().out
    assert "The paper says: 2 supported" in after and "3 s" in after and after.count("not run yet") == 1
    (here / "runs/coin/edge").mkdir()
    (here / "runs/coin/edge/claims.json").write_text("[{")
    assert cli.main(["study", "list"]) == 0 and "is not readable" in capsys.readouterr().out


def test_the_list_for_ci_is_names_alone(here, capsys):
    assert cli.main(["study", "list", "--ci"]) == 0
    assert capsys.readouterr().out == "coin\n"


def test_a_broken_study_does_not_hide_the_others_but_stops_ci(here, capsys):
    (here / "studies" / "broken.py").write_text("1 / 0")
    assert cli.main(["study", "list"]) == 0
    told = capsys.readouterr().out
    assert "broken: cannot be loaded: " in told and "coin: Coins show heads" in told
    assert cli.main(["study", "list", "--ci"]) == 2


def test_an_interrupted_run_says_that_it_resumes(here):
    env = {**os.environ, "COIN_SLEEP": "2"}
    command = [sys.executable, "-m", "annosim", "study", "run", "coin", "--jobs", "1"]
    # a shell that runs the tests in the background has told its children to ignore SIGINT
    heeds = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
    running = subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heeds
    )
    cells = here / "runs/coin/quick/cells"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (cells.is_dir() and list(cells.glob("*.npz"))):
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130 and "the same command resumes it" in err and "Traceback" not in err
    again = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert again.returncode == 0 and "(0 kept from before" not in again.stdout


def test_an_empty_folder_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("annosim.study.find.shipped_studies", lambda: tmp_path / "none came with annosim")
    assert cli.main(["study", "list"]) == 0
    assert "no studies" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (StudyError("two\nlines"), 2, "annosim: two lines\n"),
        (FileReadError("x.csv: no column 'left'"), 2, "annosim: x.csv: no column 'left'\n"),
        (PermissionError(13, "Permission denied", "x.csv"), 2, "annosim: x.csv: Permission denied\n"),
        (KeyboardInterrupt(), 130, "annosim: interrupted\n"),
    ],
)
def test_what_a_command_raises_is_one_line(error, code, told, monkeypatch, capsys):
    def failing(args, prog_name, standalone_mode):
        raise error

    monkeypatch.setattr(cli, "build", lambda: failing)
    assert cli.main([]) == code
    assert capsys.readouterr().err == told


def test_a_bug_is_not_hidden(monkeypatch):
    def failing(args, prog_name, standalone_mode):
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "build", lambda: failing)
    with pytest.raises(ZeroDivisionError):
        cli.main([])


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from annosim.cli import main; main(['--help']); "
        "print([m for m in ('torch', 'pandas', 'matplotlib', 'numba', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
