"""The recipes of CONTRIBUTING.md work as they are written."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import annosim as an
from annosim.checks import check_estimator, check_rule

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def recipe(title):
    """The names that the Python of a section defines."""
    section = TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    module = ModuleType("recipe")
    exec(compile(code, title, "exec"), module.__dict__)
    return module


def test_the_rule_obeys_the_laws_of_rules():
    report = check_rule(recipe("Add a rule").Cauchit(temperature=an.free(2.0)), draws=2_000, raise_on_failure=False)
    assert report.passed and "sample_follows_table[choice]" in repr(report)


def test_the_estimator_obeys_the_laws_of_estimators(monkeypatch):
    module = recipe("Add an estimator")
    monkeypatch.setitem(sys.modules, "recipe", module)  # where pickle looks for the function
    report = check_estimator(module.bradley_terry, statistical=False, raise_on_failure=False)
    assert not report.failed, report


def test_without_its_refusal_the_estimator_is_caught():
    module = recipe("Add an estimator")
    module.connected_components = lambda wins, connection: (1, None)
    report = check_estimator(module.bradley_terry, statistical=False, raise_on_failure=False)
    assert {"check_refuses_undefeated", "check_refuses_disconnected"} <= {r.name for r in report.failed}


@pytest.mark.parametrize(
    "room",
    sorted(p.stem for p in (ROOT / "annosim").iterdir() if not p.name.startswith("__") and p.suffix in ("", ".py")),
)
def test_every_room_has_its_place_in_the_order(room):
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    placed = {name.strip("() ") for line in layers["contracts"][0]["layers"] for name in line.split(":")}
    assert room in placed | set(layers["contracts"][0]["exhaustive_ignores"])


def test_files_and_folders_that_the_page_names_exist():
    for name in re.findall(r"`((?:annosim|tests|studies|\.ci)/[\w./]*)`", TEXT):
        assert (ROOT / name).exists() or name == "annosim/cli/NAME.py", name
