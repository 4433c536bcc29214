"""Worker processes end with the process that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from annosim.workers import pool

#: what a worker is at when its parent is killed
WORK = {"asleep": "time.sleep(60)", "busy": "end = time.time() + 60\nwhile time.time() < end: pass"}
PARENT = """
from annosim.workers import pool

workers = pool(2)
for work in [workers.submit(exec, {work!r}, {{}}) for _ in range(2)]:
    work.result()
"""


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks for processes in /proc")
@pytest.mark.parametrize("work", WORK)
def test_workers_are_gone_two_seconds_after_their_parent_was_killed(work, tmp_path):
    begin = f"import os, time; open(f'{tmp_path}/{{os.getpid()}}', 'w').close()\n"
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(work=begin + WORK[work])])
    deadline = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    workers = [int(p.name) for p in tmp_path.iterdir()]
    assert len(workers) == 2 and all(map(alive, workers))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 2
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    left = [pid for pid in workers if alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def test_workers_stay_while_their_parent_does_whatever_they_keep():
    """Also with 360 MB of prepared data, which loky takes for a leak; it looks a second after a worker's first task."""
    workers = pool(1)
    first = workers.submit(os.getpid).result()
    workers.submit(exec, "import sys, numpy; sys.kept = numpy.ones(45_000_000)", {}).result()
    time.sleep(1.5)
    assert workers.submit(os.getpid).result() == first != os.getpid()
    workers.submit(exec, "import sys; del sys.kept", {}).result()
    assert pool(1).submit(os.getpid).result() == first
    assert workers.submit(os.environ.get, "OMP_NUM_THREADS").result() == "1"
