"""A release says one version everywhere, and its files are what the tools that read them expect."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import annosim as an
from annosim.results import versions

ROOT = Path(__file__).parents[1]


def test_the_version_stands_in_one_place_and_the_citation_follows():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" in project["project"]["dynamic"] and "version" not in project["project"]
    assert project["tool"]["hatch"]["version"]["path"] == "annosim/__init__.py"
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [an.__version__]
    assert versions()["annosim"] == an.__version__


def test_the_changelog_has_what_is_not_released_and_then_this_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heads = re.findall(r"^## \[(.+?)\]", text, re.MULTILINE)
    assert heads[0] == "Unreleased" and heads[1:2] in ([], [an.__version__])


def test_the_classifiers_name_the_versions_that_are_supported_and_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {c.rpartition(" ")[2] for c in project["classifiers"] if re.search(r"Python :: 3\.\d", c)}
    low, high = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project["requires-python"]).groups()
    assert named == {f"3.{minor}" for minor in range(int(low), int(high))}
    script = (ROOT / ".ci" / "versions").read_text(encoding="utf-8")
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    oldest = next(d for d in project["dependencies"] if d.startswith("torch>=")).partition(">=")[2]
    for version in named:
        assert version in script and f'"{version}"' in workflow
    assert f"torch=={oldest}" in script.replace(".*", "") and f"torch=={oldest}" in workflow.replace(".*", "")
