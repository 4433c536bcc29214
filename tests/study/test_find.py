"""Studies are found by name, then by path; what is not one is message in a line."""

from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path

import pytest

from annosim.errors import StudyError
from annosim.study import find_studies, load_named, load_study
from annosim.study.find import shipped_studies

COIN = Path(__file__).with_name("coin.py")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with studies, of an annosim that brought none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("annosim.study.find.shipped_studies", lambda: tmp_path / "none came with annosim")
    studies = tmp_path / "studies"
    (studies / "folder").mkdir(parents=True)
    shutil.copy(COIN, studies / "coin.py")
    shutil.copy(COIN, studies / "folder" / "__init__.py")
    (studies / "_helper.py").write_text("")
    (studies / "notes.txt").write_text("")
    return studies


def test_files_and_folders_are_studies_and_helpers_are_not(here):
    assert [f.name for f in find_studies()] == ["coin", "folder"]
    assert load_named("coin").path == here / "coin.py" and load_named("folder").path == here / "folder" / "__init__.py"
    assert load_named("studies/coin.py").name == load_named("studies/folder").name == "coin"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 / 0", "importing this study failed: ZeroDivisionError: division by zero"),
        ("import a_module_that_does_not_exist", "No module named"),
        ("def f(:", "SyntaxError"),
        ("x = 1", "sets no STUDY"),
        ("STUDY = 3", "sets no STUDY"),
    ],
)
def test_a_broken_study_is_one_line(here, text, message):
    (here / "broken.py").write_text(text)
    with pytest.raises(StudyError, match=message):
        load_named("broken")


def test_an_unknown_name_lists_the_known_ones(here):
    with pytest.raises(StudyError, match="there are: coin, folder"):
        load_named("coins")
    with pytest.raises(StudyError, match="does not exist"):
        load_study(here / "absent.py")


def test_the_studies_of_annosim_are_found_from_everywhere_and_give_way_to_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [f.name for f in find_studies()]
    assert {"density_estimation", "heterogeneity", "peers"} <= set(names)
    assert load_named("teachers").path == shipped_studies() / "teachers.py"
    (tmp_path / "studies").mkdir()
    shutil.copy(COIN, tmp_path / "studies" / "teachers.py")
    assert load_named("teachers").path == tmp_path / "studies" / "teachers.py"
    assert [f.name for f in find_studies()] == ["teachers", *(n for n in names if n != "teachers")]


def test_in_an_installation_studies_are_inside_the_package(tmp_path):
    package = tmp_path / "site-packages" / "annosim"
    package.mkdir(parents=True)
    (package.parent / "studies").mkdir()  # of another library
    assert shipped_studies(package) == package / "studies"
    (package.parent / "pyproject.toml").write_text("")
    assert shipped_studies(package) == package.parent / "studies"


def test_installed_studies_come_after_those_of_the_folder(here, monkeypatch):
    point = importlib.metadata.EntryPoint("installed", "installed_study:STUDY", "annosim.studies")
    hidden = importlib.metadata.EntryPoint("coin", "installed_study:STUDY", "annosim.studies")
    monkeypatch.setattr("annosim.study.find.entry_points", lambda group: [point, hidden])
    monkeypatch.syspath_prepend(str(here))
    shutil.copy(COIN, here / "installed_study.py")
    (here / "coin.py").unlink()
    assert [f.name for f in find_studies()] == ["folder", "installed_study", "coin", "installed"]
    assert load_named("installed").path == here / "installed_study.py"


def test_an_installed_study_that_fails_is_one_line(here, monkeypatch):
    point = importlib.metadata.EntryPoint("gone", "no_such_module_at_all:STUDY", "annosim.studies")
    monkeypatch.setattr("annosim.study.find.entry_points", lambda group: [point])
    with pytest.raises(StudyError, match=r"entry point gone = no_such_module_at_all:STUDY failed: ModuleNotFoundError"):
        load_named("gone")
