"""The files that nobody here made: read whole, and written back byte for byte where a writer exists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import annosim as an
from annosim.study.datapath import data_path, missing_reason

ELECTIONS = {
    "cities.soi": (392, 36),
    "education_qualities.toi": (15, 20),
    "netflix.soc": (588, 4),
    "skaters.toc": (9, 30),
    "sushi.soc": (5000, 10),
}
WARDS = {
    "argyll_bute_2022_ward8.csv": 2331,
    "edinburgh_2017_ward15.csv": 11699,
    "edinburgh_2022_ward2.csv": 11087,
    "fife_2022_ward4.csv": 7793,
    "glasgow_2022_ward20.csv": 7255,
    "orkney_2017_ward1.csv": 1627,
}


def need(relative):
    reason = missing_reason(relative)
    if reason:
        pytest.skip(reason)
    return Path(data_path(relative))


@pytest.mark.parametrize("name", ELECTIONS)
def test_an_election_comes_back_byte_for_byte(name, tmp_path):
    path = need(f"preflib/{name}")
    voters, alternatives = ELECTIONS[name]
    data = an.io.read_preflib(path)
    assert data.row_weight.sum() == voters and data.items.n == alternatives
    assert an.io.read_preflib(path, expand=True).rows == voters
    data.to_preflib(tmp_path / name)
    assert (tmp_path / name).read_bytes() == path.read_bytes()
    an.io.read_preflib(path, unlisted="absent").to_preflib(tmp_path / name)
    assert (tmp_path / name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", WARDS)
def test_a_ward_comes_back_byte_for_byte(name, tmp_path):
    path = need(f"scottish_elections/{name}")
    data = an.io.read_scottish(path)
    assert data.row_weight.sum() == WARDS[name]
    data.to_scottish(tmp_path / name)
    assert (tmp_path / name).read_bytes() == path.read_bytes()


def test_votes_on_language_models(tmp_path):
    path = need("llmfao.csv")
    data = an.io.read_csv(path, annotator="worker", prompt="prompt")
    assert (data.rows, data.num_annotators, data.items.n, len(data.prompt_names)) == (8931, 124, 59, 13)
    assert int(data.tied.sum()) == 3471 and int((data.answer[:, 0] == 1).sum()) == 2549
    data.to_csv(tmp_path / "back.csv", annotator="worker")
    with open(path, newline="", encoding="utf-8") as before, open(tmp_path / "back.csv", newline="") as after:
        import csv

        assert list(csv.DictReader(before)) == list(csv.DictReader(after))
    half = data.ties("half")
    assert half.annotator_weight.sum() == pytest.approx(124) and not half.has_ties
    wins = np.zeros((2, 59))
    for d, row in ((data, 0), (half, 1)):
        loser_wins = d.row_weight * (0.5 if row == 0 and d.has_ties else 1.0)
        first = d.answer if d.answer.ndim == 1 else d.answer[:, 0]
        share = np.where(d.tied[:, 0], loser_wins, d.row_weight) if row == 0 else d.row_weight
        np.add.at(wins[row], d.menu[np.arange(d.rows), first], share)
        if row == 0:
            np.add.at(wins[row], d.menu[d.tied[:, 0], 1], 0.5)
    np.testing.assert_allclose(wins[0], wins[1])


def test_arguments_in_debates():
    need("ukp_convincing_arguments/votes.csv.gz")
    data = an.io.read_ukp(need("ukp_convincing_arguments"))
    assert (data.rows, data.num_annotators, data.items.n, data.items.num_prompts) == (84445, 3815, 1052, 32)
    assert all(data.items.texts) and int(data.tied.sum()) == 19105
    np.testing.assert_array_equal(data.items.prompts.numpy()[data.menu[:, 0]], data.prompt)
