"""Every foreign format against a file that is kept: it is read as it says, and written back byte for byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import annosim as an

GOLDEN = Path(__file__).parent / "golden"


def names_on(data):
    """Menus as names, so that a test can be read."""
    return [[data.items.names[i] for i in row if i >= 0] for row in data.menu.tolist()]


#: golden file -> (reader, writer); the writer must give the file back
CASES = {
    "pairs.csv": (
        lambda p: an.io.read_csv(p, annotator="annotator", prompt="prompt", weight="weight", order="order"),
        an.PreferenceData.to_csv,
    ),
    "arena.jsonl": (an.io.read_arena, an.PreferenceData.to_arena),
    "arena.csv": (an.io.read_arena, an.PreferenceData.to_arena),
    "crowdkit.csv": (an.io.read_crowdkit, an.PreferenceData.to_crowdkit),
    "evalica.csv": (an.io.read_evalica, an.PreferenceData.to_evalica),
    "trl.jsonl": (an.io.read_trl, an.PreferenceData.to_trl),
    "trl_conversation.jsonl": (an.io.read_trl, an.PreferenceData.to_trl),
    "trl_implicit.jsonl": (an.io.read_trl, an.PreferenceData.to_trl),
    "trl_implicit_conversation.jsonl": (an.io.read_trl, an.PreferenceData.to_trl),
    "kto.jsonl": (an.io.read_kto, an.PreferenceData.to_trl),
    "long.csv": (
        lambda p: an.io.read_long(p, annotator="person", features=["price", "comfort"]),
        an.PreferenceData.to_long,
    ),
    "tiny.soc": (an.io.read_preflib, an.PreferenceData.to_preflib),
    "tiny.soi": (an.io.read_preflib, an.PreferenceData.to_preflib),
    "tiny.toc": (an.io.read_preflib, an.PreferenceData.to_preflib),
    "tiny.toi": (an.io.read_preflib, an.PreferenceData.to_preflib),
    "ward.csv": (an.io.read_scottish, an.PreferenceData.to_scottish),
    "frame_wide.csv": (an.io.read_frame, lambda d, p: d.to_csv(p, "wide")),
    "frame_long.csv": (an.io.read_frame, lambda d, p: d.to_csv(p, "long")),
}


def _cells(path):
    """Lines of a CSV file as sets of (column, value), so that the order of columns does not matter."""
    import csv

    with open(path, newline="", encoding="utf-8") as handle:
        return [frozenset((k, _number(v)) for k, v in row.items()) for row in csv.DictReader(handle)]


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text


@pytest.mark.parametrize("name", CASES)
def test_a_golden_file_comes_back(name, tmp_path):
    read, write = CASES[name]
    data = read(GOLDEN / name)
    write(data, tmp_path / name)
    if name in ("long.csv", "trl.jsonl"):  # the order of fields is not part of these formats
        import json

        cells = _cells if name.endswith("csv") else lambda p: [json.loads(x) for x in p.read_text("utf-8").splitlines()]
        assert cells(tmp_path / name) == cells(GOLDEN / name)
    else:
        assert (tmp_path / name).read_bytes() == (GOLDEN / name).read_bytes()
    assert read(tmp_path / name).equals(data)
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]  # no temporary file is left


def test_pairs_say_what_the_file_says():
    data = CASES["pairs.csv"][0](GOLDEN / "pairs.csv")
    assert names_on(data) == [
        ["Pho, beef", "Ramen"],
        ["Caesar", "Pho, beef"],
        ["Ramen", "Caesar"],
        ["Pho, beef", "Caesar"],
    ]
    assert data.answer.tolist() == [[0, -1], [0, 1], [1, -1], [-1, -1]]
    assert data.tied.tolist() == [[False], [True], [False], [False]]
    assert [data.annotator_names[i] for i in data.annotator] == ["ann", "ann", "bob", "bob"]
    assert [data.prompt_names[i] for i in data.prompt] == ["soup", "salad", "soup", "soup"]
    assert data.weight.tolist() == [1.5, 1.5, 2.0, 2.0] and data.order.tolist() == [0, 1, 0, 3]
    assert data.columns["margin"].tolist() == [0.25, -1.0, 0.5, 0.0]
    assert data.columns["note"].tolist() == ["quick", "", 'said "never"', "pass"]


def test_arena_tells_its_two_ties_apart():
    data = an.io.read_arena(GOLDEN / "arena.jsonl")
    assert data.answer.tolist() == [[0, -1], [0, 1], [0, 1], [1, -1]]
    assert data.columns["bothbad"].tolist() == [False, False, True, False]
    assert data.columns["turn"].dtype == np.int64 and data.columns["language"][1] == "Español"


def test_crowdkit_labels_are_items():
    data = an.io.read_crowdkit(GOLDEN / "crowdkit.csv")
    assert [names_on(data)[r][a] for r, a in enumerate(data.answer)] == ["dog", "dog", "fox"]


def test_trl_items_are_prompt_and_response():
    data = an.io.read_trl(GOLDEN / "trl.jsonl")
    assert data.items.n == 5  # "4" under another prompt is another item
    assert data.items.prompts.tolist() == [0, 0, 0, 1, 1]
    assert data.columns["margin"].tolist() == [1.5, 0.25, 3.0] and data.answer.tolist() == [0, 0, 0]
    assert an.io.read_trl(GOLDEN / "trl_implicit.jsonl").prompt_names.tolist() == ["The sky is"]


def test_kto_is_thumbs():
    data = an.io.read_kto(GOLDEN / "kto.jsonl")
    assert data.feedback == an.Feedback("rating", grades=2) and data.answer.tolist() == [[1], [0]]


def test_preflib_orders():
    assert an.io.read_preflib(GOLDEN / "tiny.soc").answer.tolist() == [[1, 0, 2], [2, 1, 0]]
    soi = an.io.read_preflib(GOLDEN / "tiny.soi")
    assert soi.answer.tolist() == [[1, -1, -1], [2, 0, 1]] and soi.feedback.kind == "top"
    assert soi.weight.tolist() == [3.0, 3.0] and soi.items.names[1] == "milk: warm, sweet"
    toc = an.io.read_preflib(GOLDEN / "tiny.toc")
    assert toc.answer.tolist() == [[0, 2, 1], [1, 0, 2]] and toc.tied.tolist() == [[True, False], [False, True]]
    absent = an.io.read_preflib(GOLDEN / "tiny.soi", unlisted="absent")
    assert absent.menu.tolist() == [[1, -1, -1], [0, 1, 2]] and absent.feedback.kind == "ranking"
    assert an.io.read_preflib(GOLDEN / "tiny.soc", expand=True).rows == 6


def test_a_ward():
    data = an.io.read_scottish(GOLDEN / "ward.csv")
    assert data.items.names == ("Ann Lee", 'Bob O"Hara', "Cy") and data.items.columns["party"][1] == "Blue (B)"
    assert data.weight.tolist() == [5.0, 1.0, 2.0] and data.answer.tolist() == [[1, 0, -1], [2, -1, -1], [0, 2, 1]]
    assert data.settings["seats"] == 2 and data.settings["ward"] == "Ward 9 - Hill, North"


def test_long_choices():
    data = CASES["long.csv"][0](GOLDEN / "long.csv")
    assert names_on(data) == [["bus", "car #1", "train #1"], ["car #2", "bus"], ["train #2", "car #1"]]
    assert data.answer.tolist() == [1, 1, 0] and data.columns["income"].tolist() == [30, 30, 55]
    assert data.items.columns["alternative"].tolist() == ["bus", "car", "train", "car", "train"]
    assert data.items.features.tolist() == [[1.0, 2.0], [5.0, 4.0], [2.5, 3.0], [4.0, 4.0], [2.5, 1.0]]


def test_parquet_of_an_earlier_day_is_still_read():
    data = an.io.read_parquet(GOLDEN / "votes.parquet")
    wide = an.io.read_frame(GOLDEN / "frame_wide.csv")
    assert data.equals(wide) and data.truth["type"].tolist() == [1, 0]
