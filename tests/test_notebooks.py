"""Notebooks install what they need on Colab, and show what their code printed when it last ran."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.parametrize("installed", [True, False])
def test_the_first_cell_installs_annosim_where_it_is_missing_and_does_nothing_elsewhere(path, installed, monkeypatch):
    code = "".join(cells(path)[0]["source"])
    (asked,) = re.findall(r"^    %pip (install --quiet .*)$", code, re.MULTILINE)
    assert re.fullmatch(r'install --quiet ("annosim\[[a-z,]+\]"|annosim)', asked)
    runs: list[str] = []
    plain = re.sub(r"^    %pip (.*)$", r"    magic('\1')", code, flags=re.MULTILINE)
    if not installed:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    exec(compile(plain, path.name, "exec"), {"magic": runs.append})
    assert runs == ([] if installed else [asked])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_a_notebook_shows_is_of_the_code_that_it_holds(path):
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("nbclient")
    spec = importlib.util.spec_from_file_location("notebooks", ROOT / "docs" / "notebooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    notebook = nbformat.read(path, as_version=4)
    told = notebook["metadata"].get("annosim")
    if told is None:
        pytest.skip(f"not executed for this version: python docs/notebooks.py notebooks/{path.name}")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", told["executed"])
    assert told["code"] == module.digest(notebook), f"python docs/notebooks.py notebooks/{path.name} runs it anew"
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert not [out for cell in code for out in cell["outputs"] if out["output_type"] == "error"]
