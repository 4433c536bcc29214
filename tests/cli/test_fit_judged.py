"""``annosim fit VOTES --judge ...``: the same answers by a file, by files, by names and by a column; mistakes in one line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from annosim import cli


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """People on 60 of 300 questions; two judges on all of them."""
    place, rng = tmp_path_factory.mktemp("judged"), np.random.default_rng(0)
    names = np.array(["a", "b", "c"])
    pair = np.array([rng.permutation(3)[:2] for _ in range(300)])
    better = rng.normal(0.5 * (pair[:, 1] - pair[:, 0]), 1.0) > 0  # whether the left one is
    frame = pd.DataFrame(
        {"prompt": [f"q{i}" for i in range(300)], "left": names[pair[:, 0]], "right": names[pair[:, 1]]}
    )

    def said(right, rows=300):
        left = np.where(rng.random(300) < right, better, ~better)
        return frame.assign(winner=np.where(left, "left", "right"))[:rows]

    people, one, other = said(0.9, 60), said(0.85), said(0.7)
    people.to_csv(place / "votes.csv", index=False)
    one.to_csv(place / "one.csv", index=False)
    other.assign(comment="short").to_csv(place / "other.csv", index=False)  # which the other file has not
    pd.concat([people.assign(who="human"), one.assign(who="one"), other.assign(who="other")]).to_csv(
        place / "all.csv", index=False
    )
    named = [people.assign(annotator="anna"), one.assign(annotator="one"), other.assign(annotator="other")]
    pd.concat(named).to_csv(place / "named.csv", index=False)
    return place


def call(folder, monkeypatch, capsys, words):
    monkeypatch.chdir(folder)
    code = cli.main(["fit", *words.split()])
    return code, capsys.readouterr()


SPELLINGS = ("votes.csv --judge one.csv --judge other.csv", "all.csv --who who", "named.csv --judge one --judge other")


def test_every_spelling_gives_one_table(folder, monkeypatch, capsys):
    tables = []
    for words in SPELLINGS:
        code, said = call(folder, monkeypatch, capsys, words + " --out out.csv")
        assert code == 0, said.err
        assert "judges err like" in said.out and "plan: where a judge" in said.out
        tables.append(pd.read_csv(folder / "out.csv").sort_values("item", ignore_index=True))
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0])
    assert (tables[0]["standard_error"] < tables[0]["people_error"]).all()


MISTAKES = {
    "votes.csv --judge gpt": "no annotator names",
    "named.csv --judge gpt": "no annotator 'gpt'",
    "votes.csv --judge one.csv --types 2": "--types: means nothing with judges",
    "votes.csv --judge one.csv --judge two": "--judge two: no such file",
    "votes.csv --judge one.csv --ties davidson": "ties are half wins",
    "votes.csv --judge one.csv --question number": "no such column",
    "all.csv --who sender": "sender",
    "all.csv --who who --judge one.csv": "--who and --judge",
    "votes.csv --question prompt": "add --judge",
    "votes.csv --judge nowhere.csv": "nowhere.csv",
}


@pytest.mark.parametrize("words", list(MISTAKES))
def test_mistakes_are_one_line(folder, monkeypatch, capsys, words):
    code, said = call(folder, monkeypatch, capsys, words)
    assert code == 2 and MISTAKES[words] in said.err
    assert len(said.err.strip().splitlines()[-1]) < 300 and "Traceback" not in said.err


def test_a_judge_that_is_refused_has_exit_code_3(folder, monkeypatch, capsys):
    one = pd.read_csv(folder / "one.csv")
    one.assign(winner="left").to_csv(folder / "lazy.csv", index=False)
    code, said = call(folder, monkeypatch, capsys, "votes.csv --judge lazy.csv")
    assert code == 3 and "judge 'lazy' is one-sided: the left side in each of 300 answers" in said.err
