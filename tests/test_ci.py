"""What the README promises is what CI runs, and what CI ran is what constraints.txt pins."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMANDS = [
    "pip install -c constraints.txt -e . && annosim study run density_estimation --preset quick",
    'pip install -c constraints.txt -e ".[test]" && python -m pytest -n 2',
]


def test_the_readme_has_exactly_these_two_commands_each_alone_in_a_block():
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert [b.strip() for b in blocks if "constraints.txt" in b] == COMMANDS


@pytest.mark.parametrize("number", [1, 2])
def test_ci_takes_its_commands_from_the_readme(number):
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    function = re.search(r"^readme_command\(\).*?^}", script, re.DOTALL | re.MULTILINE).group()
    done = subprocess.run(
        ["bash", "-c", f"{function}\nreadme_command {number}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == COMMANDS[number - 1]
    assert f'bash -c "$(readme_command {number})"' in script


def test_scripts_are_valid_and_can_be_run():
    for name in ("run", "full"):
        script = ROOT / ".ci" / name
        assert script.stat().st_mode & 0o111
        subprocess.run([shutil.which("bash"), "-n", str(script)], check=True)


def test_a_study_is_run_by_the_process_that_begins_it_first(tmp_path):
    begin = runpy.run_path(str(ROOT / ".ci" / "studies.py"))["begin"]
    asked = [("a", True), ("b", True), ("a", False), ("c", True), ("b", False)]
    assert [begin(name, tmp_path / "begun") for name, _ in asked] == [first for _, first in asked]


@pytest.mark.parametrize(("shown", "cells"), [({}, [1]), ({"image/png": "iVBORw0KGgo="}, [])])
def test_a_notebook_that_names_a_figure_and_shows_none_is_found(shown, cells):
    from annosim import plotting

    nbformat = pytest.importorskip("nbformat")
    code = runpy.run_path(str(ROOT / ".ci" / "notebooks.py"))
    said = {"data": {"text/plain": repr(plotting.figure(1, 2)[0]), **shown}}
    number = {"data": {"text/plain": "array([1.0])"}}
    page = nbformat.from_dict({"cells": [{"outputs": [number]}, {"outputs": [{"text": "x"}, said]}, {}]})
    assert code["blind"](page) == cells


def test_a_notebook_whose_cell_fails_is_a_failure_that_names_it(tmp_path):
    v4 = pytest.importorskip("nbformat.v4")
    pytest.importorskip("ipykernel")
    page = v4.new_notebook(cells=[v4.new_code_cell("x = 0"), v4.new_code_cell("1 / x")])
    (tmp_path / "a.ipynb").write_text(v4.writes(page))
    (tmp_path / "b.ipynb").write_text(v4.writes(v4.new_notebook(cells=page.cells[:1])))
    ran = subprocess.run(
        [sys.executable, ROOT / ".ci" / "notebooks.py", tmp_path / "a.ipynb", tmp_path / "b.ipynb"],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1 and "a.ipynb: " in ran.stdout and "ZeroDivisionError" in ran.stdout
    assert "b.ipynb: " not in ran.stdout


def test_every_dependency_of_ci_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"
    )
    wanted = list(project["dependencies"]) + [d for extra in project["optional-dependencies"].values() for d in extra]
    names = {re.split(r"[\[<>=!~ ]", w)[0] for w in wanted} - {"annosim"}
    canonical = {re.sub(r"[-_.]+", "-", name).lower() for name in pinned}
    assert {re.sub(r"[-_.]+", "-", name).lower() for name in names} <= canonical
    assert pinned["torch"] == "2.13.0"
