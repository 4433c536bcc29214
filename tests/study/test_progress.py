"""A bar on a terminal; elsewhere nothing for half a minute, then a line."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from annosim import progress

COIN = Path(__file__).with_name("coin.py")


def command(out):
    return [sys.executable, "-m", "annosim", "study", "run", str(COIN), "--out", str(out)]


def test_no_bar_when_output_is_not_a_terminal(tmp_path):
    done = subprocess.run(command(tmp_path / "out"), capture_output=True, text=True, timeout=100)
    assert done.returncode == 0 and done.stderr == "" and "━" not in done.stdout


def test_long_work_is_logged_where_there_is_no_terminal(monkeypatch, capsys):
    clock = iter([0.0, 0.0, 29.0, 31.0, 45.0, 62.0])  # made, entered, and four steps
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.ProgressBar("steps", 10) as bar:
        for step in range(4):
            bar.advance(note=f"loss {step}")
    assert capsys.readouterr().err == "steps: 2 of 10 after 31 s, loss 1\nsteps: 4 of 10 after 62 s, loss 3\n"


def test_a_bar_on_a_terminal(tmp_path):
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COIN_SLEEP": "0.8"}
    running = subprocess.Popen(command(tmp_path / "out"), stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    seen = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # the other end was closed: the run is over
            break
        if not chunk:
            break
        seen += chunk
    os.close(ours)
    assert running.wait(timeout=100) == 0
    shown = seen.decode(errors="replace")
    assert "coin quick" in shown and "12/12" in shown and re.search(r"coin 0\.\d", shown)
