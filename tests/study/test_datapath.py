"""Real data are found where they are said to be, and a missing file says whose it is."""

from __future__ import annotations

import pytest

from annosim.study import MissingDataError, data_path
from annosim.study.datapath import data_root, missing_reason


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Three places, each with its own copy: --data, ANNOSIM_DATA, ../shared/data."""
    for name in ("option", "variable", "shared/data", "repository"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "f.csv").write_text(name)
    monkeypatch.chdir(tmp_path / "repository")
    monkeypatch.setenv("ANNOSIM_DATA", str(tmp_path / "variable"))
    return tmp_path


def test_the_option_comes_before_the_variable_before_the_shared_folder(places, monkeypatch):
    assert data_path("f.csv", places / "option").read_text() == "option"
    assert data_path("f.csv").read_text() == "variable"
    monkeypatch.delenv("ANNOSIM_DATA")
    assert data_path("f.csv").read_text() == "shared/data"
    monkeypatch.setenv("ANNOSIM_DATA", "")
    assert data_root() == places / "shared" / "data"


@pytest.mark.parametrize(
    ("relative", "whose"), [("llmfao.csv", "Ustalov"), ("preflib/sushi.soc", "PrefLib"), ("else.csv", "its authors")]
)
def test_a_missing_file_is_one_line_with_its_source_and_the_remedy(places, relative, whose):
    with pytest.raises(MissingDataError) as caught:
        data_path(relative, places / "option")
    message = str(caught.value)
    assert message.startswith(f"{relative} is missing in {places / 'option'}") and whose in message
    assert "--data DIR or ANNOSIM_DATA" in message and "\n" not in message


def test_a_test_can_ask_why_it_must_be_skipped(places):
    assert missing_reason(["f.csv"]) is None and "g.csv is missing" in missing_reason(["f.csv", "g.csv"])
