"""``annosim diagnose``: exit codes, JSON, pages, and one line for what cannot be read."""

from __future__ import annotations

import json

import pytest

import annosim as an
from annosim.cli import main

COLUMNS = ["--format", "pairs", "--annotator", "annotator"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("votes")
    people = an.Annotator(an.Tabular([0.8, 0.0, -0.8]), an.Luce())
    votes = an.simulate(people, an.Design(an.Items(names=["a", "b", "c"]), annotators=30, questions=12), seed=2)
    votes.to_csv(path / "clean.csv")
    answer = votes.answer.copy()
    answer[:] = 0
    answer[votes.menu[:, 0] == 2] = 1  # the one on the left, except c
    votes.with_(answer=answer).to_csv(path / "left.csv")
    (path / "once.csv").write_text("left,right,winner\ntea,milk,left\ntea,milk,left\n")
    return path


@pytest.mark.parametrize(("name", "code"), [("clean", 0), ("once", 3), ("left", 3)])
def test_exit_codes(folder, capsys, name, code):
    columns = COLUMNS if name != "once" else COLUMNS[:2]
    assert main(["diagnose", str(folder / f"{name}.csv"), *columns]) == code
    out = capsys.readouterr().out
    assert "existence" in out and ("!!" in out.split("\n\n")[1]) == (code != 0)


def test_json_on_the_screen_is_json(folder, capsys):
    assert main(["diagnose", str(folder / "clean.csv"), *COLUMNS, "--json", "-", "--precision", "0.1"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["exit_code"] == 0 and {"read", "existence", "collect"} <= {
        f["question"] for f in content["findings"]
    }
    assert "within 0.1" in next(f["sentence"] for f in content["findings"] if f["question"] == "collect")


def test_the_page_opens_offline_and_holds_every_finding(folder, capsys, tmp_path):
    assert main(["diagnose", str(folder / "clean.csv"), *COLUMNS, "--html", str(tmp_path / "p.html")]) == 0
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "http" not in page and page.count("<h3") >= 18 and "data:image/png" in page


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--precision", "-1"], "half-width"),
        (["--detect", "0.7"], "below .5"),
        (["--power", "1.5"], "probability"),
        (["--html", "page.txt"], "ends in .html"),
        (["--json", "page.txt"], "ends in .json"),
    ],
)
def test_bad_options_are_one_line(folder, capsys, more, said):
    assert main(["diagnose", str(folder / "clean.csv"), *COLUMNS, *more]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert said in error[-1]


def test_a_number_out_of_range_is_that_of_the_option(tmp_path, capsys):
    path = tmp_path / "votes.csv"
    path.write_text("left,right,winner\na,b,a\nb,a,b\nb,c,b\nc,a,c\n")
    assert main(["diagnose", str(path), "--precision", "-1"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("annosim: --precision -1.0: a half-width")
    assert main(["fit", str(path), "--prior", "-1"]) == 2
    assert "--prior: '-1' is unknown; the kinds are" in capsys.readouterr().err
