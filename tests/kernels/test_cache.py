"""Kernels run where neither the installation nor the home can be written."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

FIT = """
import annosim as an

model = an.Annotator(an.Tabular([0.0, 1.0, 2.0]), an.rules.Luce())
data = an.simulate(model, an.Design(an.Items(n=3), annotators=50), seed=1)
print(data.settings["path"], an.fit(an.Annotator(an.Tabular(3), an.rules.Luce()), data).converged)
"""


def run(tmp_path):
    """In a process whose only place for kernels cannot be written."""
    env = {
        **os.environ,
        "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator",
        "NUMBA_CACHE_DIR": "/dev/null/nowhere",
        "TMPDIR": str(tmp_path),
    }
    return subprocess.run(
        [sys.executable, "-c", FIT], env=env, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.slow  # compiles
def test_a_temporary_folder_stands_in_and_is_used_again(tmp_path):
    first = run(tmp_path)
    assert first.returncode == 0 and first.stdout.split() == ["numba", "True"]
    told = [line for line in first.stderr.splitlines() if "kernels are kept in" in line]
    (folder,) = tmp_path.iterdir()
    assert len(told) == 1 and str(folder) in told[0]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("*.nbc")}
    assert kept
    again = run(tmp_path)
    assert again.returncode == 0 and kept == {path: path.stat().st_mtime_ns for path in folder.rglob("*.nbc")}


def test_a_folder_that_others_may_write_is_not_trusted(tmp_path):
    (tmp_path / f"annosim-kernels-{os.getuid()}").mkdir()
    (tmp_path / f"annosim-kernels-{os.getuid()}").chmod(0o777)
    code = (
        "from annosim.compiled import kernel_cache; kernel_cache.install(); import numba; print(numba.config.CACHE_DIR)"
    )
    env = {
        **os.environ,
        "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator",
        "NUMBA_CACHE_DIR": "/dev/null/nowhere",
        "TMPDIR": str(tmp_path),
    }
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=True)
    used = done.stdout.strip()
    assert os.path.dirname(used) == str(tmp_path) and stat.S_IMODE(os.stat(used).st_mode) == 0o700
    assert done.stderr.count("\n") == 1 and used in done.stderr
