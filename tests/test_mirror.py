"""The mirror counts what it says: on a tree so small that every number can be read off."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "mirror.py"

FILES = {
    "annosim/__init__.py": "",
    "annosim/room/__init__.py": "import lazy_loader\n__getattr__ = lazy_loader.attach_stub(__name__, __file__)[0]\n",
    "annosim/room/__init__.pyi": "from .one import f as f\n",
    "annosim/room/one.py": (
        "from __future__ import annotations\n"
        "from typing import TYPE_CHECKING, Any\n"
        "from annosim.room import two\n"
        "if TYPE_CHECKING:\n"
        "    from annosim.room.three import C\n"
        '__all__ = ["f"]\n'
        "def f(a, b: int, *c: Any, d: list[Any] = ()):\n"
        "    if type(a) is int or type(a).__name__ == 'x' or hasattr(a, 'y'):\n"
        "        return two\n"
        "def _g(x):\n"
        "    return x  # fmt: " + "skip\n"
    ),
    "annosim/room/two.py": "def h():\n    import json\n    from annosim.room import f\n    return json, f\n",
    "annosim/room/three.py": (
        '__all__ = ["C"]\n'
        "class C:\n"
        "    def __init__(self, a: int): ...\n"
        "    def m(self, x): ...\n"
        "    def _hidden(self, x): ...\n"
        "    @staticmethod\n"
        "    def s(y: str): ...\n"
    ),
    "tests/test_x.py": "x = 1\ny = 2\n",
    "studies/s.py": "z = 3\n",
}


@pytest.fixture
def tree(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_every_number_of_a_tiny_tree(tree):
    rows, circles = runpy.run_path(str(SCRIPT))["measure"](tree)
    assert rows == {
        "lines": "24",
        "files": "5",
        "lines of tests": "2",
        "lines of studies": "1",
        "file, median": "4",
        "file, longest": "11 (room.one)",
        "functions": "7",
        "function, median": "1",
        "function, 90 %": "3",
        "function, longest": "4",
        "parameters": "9",  # a, b, c, d; x; a; x; x; y: without self
        "  untyped": "4 (44.4%)",
        "  Any": "2 (22.2%)",
        "public parameters": "7",
        "  untyped, public": "2 (28.6%)",
        "  Any, public": "2 (28.6%)",
        "imports inside functions": "2",
        "  of annosim's own modules": "1",
        "import circles when loaded": "0",
        "import circles with those inside functions": "1 (2 modules)",
        "fmt: skip": "1",
        "logic on class names": "3",
    }
    # the stub says where f is defined; what is imported for type checkers only makes no circle
    assert circles["with those inside functions"] == [["annosim.room.one", "annosim.room.two"]]


@pytest.fixture
def checkout(tree):
    """The tiny tree with the script in it, as a git repository of one commit; the working tree has a line more."""
    (tree / ".ci").mkdir()
    shutil.copy(SCRIPT, tree / ".ci")
    who = ["-c", "user.name=n", "-c", "user.email=e@x"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", *command], cwd=tree, check=True)
    (tree / "tests" / "test_x.py").write_text("x = 1\ny = 2\nz = 3\n")
    return tree


def run(checkout, *arguments):
    script = checkout / ".ci" / "mirror.py"
    return subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=100)


def test_two_revisions_stand_side_by_side(checkout):
    done = run(checkout, "--base", "HEAD", "--circles")
    lines = {" ".join(line.split()) for line in done.stdout.splitlines()}
    assert done.returncode == 0 and {"HEAD working tree", "lines of tests 2 3", "functions 7 7"} <= lines
    assert "HEAD, with those inside functions: annosim.room.one, annosim.room.two" in lines


def test_an_unknown_revision_is_one_line(checkout):
    done = run(checkout, "--base", "no-such-revision")
    assert done.returncode == 1 and done.stderr.strip() == "mirror: git does not know the revision 'no-such-revision'"
