"""The list of planted bugs is current: every text is where it says, once, and the command can plant it."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_spec = importlib.util.spec_from_file_location("planted", Path(__file__).with_name("planted.py"))
planted = importlib.util.module_from_spec(_spec)
sys.modules["planted"] = planted  # its dataclasses look their module up
_spec.loader.exec_module(planted)

in_place = sys.modules["planted_in_place"]

BUGS = list(planted.bugs())


def test_every_text_occurs_once_and_is_python_when_broken():
    for bug in BUGS:
        text = (ROOT / bug.file).read_text(encoding="utf-8")
        assert text.count(bug.old) == 1, f"{bug.file}: {bug.old!r} occurs {text.count(bug.old)} times; mend the list"
        broken = ast.dump(ast.parse(text.replace(bug.old, bug.new)))
        assert broken != ast.dump(ast.parse(text)), (bug.file, bug.old)


def test_there_are_enough_of_them_and_every_one_has_tests():
    assert len(BUGS) >= 200 and len(set(BUGS)) == len(BUGS)
    assert all((ROOT / path).exists() for bug in BUGS for path in bug.tests)
    assert len({bug.room for bug in BUGS}) >= 12


def test_a_bug_is_planted_in_the_copy_and_mended_again(tmp_path, monkeypatch):
    file = tmp_path / "tree" / BUGS[0].file
    file.parent.mkdir(parents=True)
    file.write_text((ROOT / BUGS[0].file).read_text(encoding="utf-8"), encoding="utf-8")
    seen = []
    monkeypatch.setattr(
        planted, "run_tests", lambda tests, tree, limit: (seen.append(file.read_text()), (1, "FAILED x - y"))[1]
    )
    found = planted.try_bug(BUGS[0], tmp_path / "tree", 1.0)
    assert (found.verdict, found.by) == ("caught", "FAILED x")
    assert BUGS[0].new in seen[0]
    assert file.read_bytes() == (ROOT / BUGS[0].file).read_bytes()


def test_the_table_counts_by_room(capsys):
    first = BUGS[0]
    outcomes = [planted.Outcome(first, verdict, 1.0) for verdict in ("caught", "caught", "time", "survived")]
    last = planted.table(outcomes).splitlines()[-1].split()
    assert last == ["all", "4", "2", "1", "1", "75%"]
    assert planted.main(["--list", "--room", first.room]) == 0
    assert first.old in capsys.readouterr().out
    with pytest.raises(SystemExit):
        planted.main(["--room", "nowhere"])


def test_only_tests_that_run_the_broken_function_are_tried_the_quick_ones_first():
    bug = next(bug for bug in BUGS if bug.file == "annosim/quadrature.py" and "edge" in bug.old)
    assert bug.functions == ["annosim/quadrature.py:trapezoid"]
    ran = {
        "annosim/quadrature.py:trapezoid": ["slow", "quick", "gone", "quicker"],
        "annosim/quadrature.py:sobol": ["x"],
    }
    seen = {"functions": ran, "seconds": {"slow": 60.0, "quick": 1.0, "quicker": 0.5, "x": 1.0}}
    assert planted.stages_of(bug, seen) == [["quicker", "quick"], ["slow"]]
    assert planted.stages_of(bug, {"functions": {}, "seconds": {}}) == [bug.tests]
    assert all(bug.functions for bug in BUGS)


def test_a_caught_bug_is_not_tried_again(tmp_path):
    first, second = BUGS[:2]
    for bug, verdict in ((first, "caught"), (second, "survived")):
        planted._keep(planted.Outcome(bug, verdict, 1.0, "x"), tmp_path / "verdicts.jsonl")
    assert planted._verdicts(tmp_path / "verdicts.jsonl") == {first: planted.Outcome(first, "caught", 1.0, "x")}
    assert planted._verdicts(None) == {}


def test_functions_are_broken_in_the_running_process_and_constants_are_not(tmp_path, monkeypatch):
    file = tmp_path / "planted_example.py"
    file.write_text(
        "LIMIT = 3\n\n\ndef total(x):\n    return sum(v + LIMIT for v in x)\n\n\n"
        "class One:\n    size = 2\n\n    @property\n    def twice(self):\n        return self.size * 2\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    import planted_example as example

    assert not in_place.can_be_swapped(file, "LIMIT = 3", "LIMIT = 4")
    assert not in_place.can_be_swapped(file, "size = 2", "size = 4")
    for old, new, value in (("v + LIMIT", "v - LIMIT", -3), ("self.size * 2", "self.size * 3", -3)):
        assert in_place.can_be_swapped(file, old, new)
        assert in_place.swap(file, "planted_example", old, new) == 1
        assert example.total([1, 2]) == value
    assert example.One().twice == 6


def test_a_bug_in_place_is_tried_until_a_test_fails(tmp_path):
    """In a process of its own, which runs pytest in this one's place."""
    bug = next(bug for bug in BUGS if bug.file == "annosim/random.py")
    found = subprocess.run(
        [sys.executable, str(Path(planted.__file__)), "--match", bug.old, "--in-place", "--limit", "60"],
        cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=600,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout + found.stderr
    assert "caught" in found.stdout and "tests/test_random.py::" in found.stdout
