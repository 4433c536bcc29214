"""What is written for other libraries is read by these libraries as it was meant."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as hs

import annosim as an
from annosim.errors import DataError
from annosim.io.trl import split_prompt


def votes():
    people = an.Annotator(an.Tabular([0.0, 0.5, 1.0, 1.5]), an.Luce())
    return an.simulate(people, an.Design(an.Items(n=4), annotators=300), seed=1)


def test_evalica_reads_our_csv(tmp_path):
    main = pytest.importorskip("evalica.__main__")
    data = votes()
    data.to_evalica(tmp_path / "e.csv")
    with open(tmp_path / "e.csv") as handle:
        left, right, winner = main.read_csv(handle)
    names = np.array(data.items.names)
    assert left == names[data.menu[:, 0]].tolist() and right == names[data.menu[:, 1]].tolist()
    assert [main.Winner(w).name for w in winner] == np.where(data.answer == 0, "X", "Y").tolist()


def test_choix_fits_our_tuples():
    choix = pytest.importorskip("choix")
    found = choix.ilsr_pairwise(4, votes().to_choix())
    wins = np.zeros((4, 4))
    for a, b in votes().to_choix():
        wins[a, b] += 1
    p = np.exp(found[:, None]) / (np.exp(found[:, None]) + np.exp(found[None, :]))
    # Bradley-Terry's likelihood equations: expected wins equal the wins
    np.testing.assert_allclose(((wins + wins.T) * p).sum(1) - np.diag((wins + wins.T) * p), wins.sum(1), rtol=1e-6)


@pytest.mark.slow  # importing trl takes seconds
@settings(max_examples=200)
@given(hs.text("ab ", min_size=1, max_size=6), hs.text("ab ", min_size=1, max_size=6))
def test_the_implicit_prompt_is_trls(chosen, rejected):
    extract = pytest.importorskip("trl.data_utils").extract_prompt
    if chosen[0] != rejected[0] and chosen[-1] == " ":
        return  # trl looks at the last character when the first one differs
    told = extract({"chosen": chosen, "rejected": rejected})
    assert split_prompt(chosen, rejected) == (told["prompt"], told["chosen"], told["rejected"])


def test_what_a_trainer_gets_is_a_dataset_of_the_same_records(monkeypatch):
    datasets = pytest.importorskip("datasets", reason="pip install annosim[hf]")
    data = an.PreferenceData(
        an.Items(texts=["4", "5"]), [[0, 1], [0, 1]], [0, 1], annotator=[0, 1], columns={"margin": np.array([1.5, 2.0])}
    )
    made, records = data.to_trl(), data.to_trl(as_list=True)
    assert isinstance(made, datasets.Dataset)
    assert list(made) == records
    assert list(datasets.Dataset.from_list(made)) == records  # as one had to write before
    with pytest.raises(DataError, match="a column mixes kinds.*as_list") as caught:
        data.with_(columns={"odd": np.array([1, "a"], dtype=object)}).to_trl()
    assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "datasets", None)  # not installed
    assert data.to_trl() == records


def test_records_for_a_trainer_are_plain_json():
    data = an.PreferenceData(
        an.Items(texts=["4", "5"]), [[0, 1], [0, 1]], [0, 1], annotator=[0, 1], columns={"margin": np.array([1.5, 2.0])}
    )
    records = data.to_trl(as_list=True)
    assert json.loads(json.dumps(records)) == records
    assert records[1] == {
        "prompt": "",
        "chosen": "5",
        "rejected": "4",
        "chosen_position": 1,
        "annotator": 1,
        "margin": 2.0,
    }
