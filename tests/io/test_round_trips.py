"""Whatever the encoding can hold comes back from every form that can hold it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings

import annosim as an
from annosim.checks import strategies as st
from annosim.data.equality import differences
from annosim.feedback import KINDS


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def by_name(data, *more):
    """What data say, with names in place of numbers (readers number by first appearance)."""
    n = np.array([*data.items.names, None], dtype=object)
    who = data.annotator if data.annotator_names is None else [data.annotator_names[a] for a in data.annotator]
    what = data.prompt if data.prompt_names is None else [data.prompt_names[p] for p in data.prompt]
    first = data.answer if data.answer.ndim == 1 else data.answer[:, 0]
    out = {
        "menu": n[data.menu].tolist(),
        "first": first.tolist(),
        "tied": None if not data.has_ties else data.tied.tolist(),
        "annotator": None if who is None else [str(a) for a in who],
        "prompt": None if what is None else [str(p) for p in what],
        "weight": None if data.weight is None else data.weight.tolist(),
        "order": None if data.order is None else data.order.tolist(),
    }
    return {name: out[name] for name in more} if more else out


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", ["wide", "long"])
@settings(max_examples=60)
@given(draw=st.hs.data())
def test_frames(kind, layout, draw):
    data = draw.draw(st.encoded_data(kind=kind))
    frame = data.to_frame(layout)
    assert differences(data, an.PreferenceData.from_frame(frame)) == []  # the frame remembers the kind
    frame.attrs = {}
    back = an.PreferenceData.from_frame(frame, items=data.items, feedback=data.feedback, menu_size=data.menu_size)
    assert differences(data, back) == []


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(draw=st.hs.data())
def test_parquet(kind, folder, draw):
    data = draw.draw(st.encoded_data(kind=kind))
    data = data.with_(truth={"type": np.arange(data.num_annotators)})
    data.to_parquet(folder / "a.parquet")
    assert differences(data, an.io.read_parquet(folder / "a.parquet"), truth=True) == []


@settings(max_examples=25)
@given(data=st.encoded_data())
def test_shards(folder, data):
    cut = data.rows // 2
    parts = [data.take(slice(None))] if cut == 0 else [data.take(slice(0, cut)), data.take(slice(cut, None))]
    with an.io.ShardWriter(folder / "shards", overwrite=True) as out:
        for part in parts:
            out.write(part)
    shards = an.io.open_shards(folder / "shards")
    whole = data.take(slice(None))  # with its order written out
    assert differences(shards.load(), whole) == []
    assert differences(shards.take(np.arange(data.rows)[::-1]), whole.take(np.arange(data.rows)[::-1])) == []
    assert shards.counts(by="row").weight.sum() == pytest.approx(data.row_weight.sum())
    assert sum(batch.rows for batch in shards.batches(2)) == data.rows


@settings(max_examples=60)
@given(data=st.encoded_data(kind="choice", max_n=2, pads=False))
def test_csv_of_pairs(folder, data):
    data = data.with_(columns={})
    data.to_csv(folder / "p.csv")
    has = {name: name for name in ("annotator", "prompt", "weight", "order") if getattr(data, name) is not None}
    assert by_name(an.io.read_csv(folder / "p.csv", **has)) == by_name(data)


@settings(max_examples=40)
@given(data=st.encoded_data(kind="choice", max_n=2, pads=False, skips=False))
def test_arena_and_evalica(folder, data):
    data = data.with_(columns={}, weight=None)
    for suffix in (".jsonl", ".json", ".csv", ".parquet"):
        data.to_arena(folder / f"a{suffix}")
        back = an.io.read_arena(folder / f"a{suffix}", prompt=None if data.prompt is None else "prompt")
        what = ("menu", "first", "tied", "annotator", "prompt")
        assert by_name(back, *what) == by_name(data, *what)
    data.to_evalica(folder / "e.csv")
    assert by_name(an.io.read_evalica(folder / "e.csv"), "menu", "first", "tied") == by_name(
        data, "menu", "first", "tied"
    )


@settings(max_examples=40)
@given(data=st.encoded_data(kind="choice", max_n=2, pads=False, skips=False, ties=False))
def test_crowdkit_and_choix_pairs(folder, data):
    data = data.with_(columns={}, weight=None)
    data.to_crowdkit(folder / "c.csv")
    assert by_name(an.io.read_crowdkit(folder / "c.csv"), "menu", "first") == by_name(data, "menu", "first")
    listed = data.to_choix("pairs")
    assert an.io.read_choix(listed, n_items=data.items.n).to_choix() == listed


@settings(max_examples=40)
@given(data=st.encoded_data(kind="ranking", skips=False, ties=False, pads=False))
def test_choix_rankings(data):
    listed = data.with_(weight=None).to_choix()
    assert an.io.read_choix(listed, "rankings", n_items=data.items.n).to_choix() == listed


@settings(max_examples=40)
@given(data=st.encoded_data(kind="choice", skips=False, ties=False))
def test_choix_top1(data):
    listed = data.with_(weight=None).to_choix("top1")
    assume(all(row[1] for row in listed))
    assert an.io.read_choix(listed, "top1", n_items=data.items.n).to_choix("top1") == listed


@pytest.mark.parametrize("suffix", [".soi", ".toi"])
@settings(max_examples=40)
@given(draw=st.hs.data())
def test_preflib(suffix, folder, draw):
    data = draw.draw(st.encoded_data(kind="top", skips=False, ties=suffix == ".toi"))
    menu = np.tile(np.arange(data.items.n), (data.rows, 1))
    weight = np.arange(1.0, data.rows + 1)
    data = an.PreferenceData(data.items, menu, feedback=data.feedback, weight=weight, **_wider(data))
    data.to_preflib(folder / f"x{suffix}")
    back = an.io.read_preflib(folder / f"x{suffix}")
    names = lambda d: [[d.items.names[d.menu[r, p]] for p in row if p >= 0] for r, row in enumerate(d.answer)]  # noqa: E731
    assert names(back) == names(data) and back.weight.tolist() == data.weight.tolist()
    before, after = (np.zeros((data.rows, data.items.n - 1), bool) if d.tied is None else d.tied for d in (data, back))
    np.testing.assert_array_equal(before, after)


def _wider(data):
    """Answers and ties of ``data`` on menus of all items (places are then item ids)."""
    n, k = data.items.n, data.menu_size
    ids = np.take_along_axis(data.menu, np.maximum(data.answer, 0).astype(int), 1)
    answer = np.full((data.rows, n), -1)
    answer[:, :k] = np.where(data.answer < 0, -1, ids)
    tied = np.zeros((data.rows, n - 1), dtype=bool)
    if data.tied is not None:
        tied[:, : k - 1] = data.tied
    for row, marks in zip(answer, tied, strict=True):  # inside a tied group ids ascend
        start = 0
        while start < n:
            stop = start
            while stop < n - 1 and marks[stop]:
                stop += 1
            row[start : stop + 1] = np.sort(row[start : stop + 1])
            start = stop + 1
    return {"answer": answer, "tied": tied if tied.any() else None}


@settings(max_examples=40)
@given(data=st.encoded_data(kind="choice", max_n=2, pads=False, skips=False, ties=False))
def test_trl(folder, data):
    data = data.with_(columns={"margin": np.arange(data.rows) / 4.0}, weight=None)
    data.to_trl(folder / "t.jsonl")
    again = an.io.read_trl(folder / "t.jsonl", order="recorded" if (data.answer != 0).any() else "chosen-first")
    text = lambda d, r: [(d.items.texts or d.items.names)[i] for i in d.menu[r]]  # noqa: E731
    assert [text(again, r) for r in range(data.rows)] == [text(data, r) for r in range(data.rows)]
    assert again.answer.tolist() == data.answer.tolist()
    assert by_name(again, "annotator") == by_name(data, "annotator")
    assert again.columns["margin"].tolist() == data.columns["margin"].tolist()


@settings(max_examples=40)
@given(data=st.encoded_data(kind="choice", skips=False, ties=False))
def test_long_choices(folder, data):
    data = data.with_(columns={}, weight=None, order=None, prompt=None, prompt_names=None)
    data.to_long(folder / "l.csv")
    back = an.io.read_long(folder / "l.csv", annotator=None if data.annotator is None else "annotator")
    assert [[n for n in row if n is not None] for row in by_name(back)["menu"]] == [
        [n for n in row if n is not None] for row in by_name(data)["menu"]
    ]
    assert by_name(back, "first", "annotator") == by_name(data, "first", "annotator")


def test_replicates_come_back(tmp_path):
    people = an.Mixture(
        [an.Annotator(an.Linear([1.0, 0.0]), an.Luce()), an.Annotator(an.Linear([0.0, 1.0]), an.Luce())]
    )
    design = an.Design(an.Items.normal(6, 2), menu_size=3, feedback="ranking", annotators=5, questions=2)
    data = an.simulate(people, design, seed=0, replicates=3)
    data.to_parquet(tmp_path / "r.parquet")
    assert differences(data, an.io.read_parquet(tmp_path / "r.parquet"), truth=True) == []
    for layout in ("wide", "long"):
        assert differences(data, an.PreferenceData.from_frame(data.to_frame(layout), items=data.items)) == []


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(draw=st.hs.data())
def test_csv_of_frames(kind, folder, draw):
    """A CSV keeps names and no codes: the same answers under the names in order of first appearance."""
    data = draw.draw(st.encoded_data(kind=kind)).with_(columns={})
    for layout in ("wide", "long"):
        data.to_csv(folder / "f.csv", layout)
        back = an.io.read_frame(folder / "f.csv")
        assert back.feedback == data.feedback
        shown = lambda d: [[n for n in row if n is not None] for row in by_name(d)["menu"]]  # noqa: E731
        assert shown(back) == shown(data)
        shared = ("annotator", "prompt", "weight", "order")
        assert by_name(back, *shared) == by_name(data, *shared)
        assert _answers(back) == _answers(data)


def _answers(data):
    answer = data.answer if data.answer.ndim == 2 else data.answer[:, None]
    tied = np.zeros((data.rows, data.menu_size - 1), bool) if data.tied is None else data.tied
    filled = (data.menu >= 0).sum(1)
    if data.feedback.kind == "rating":
        keep = [row[:n].tolist() for row, n in zip(answer, filled, strict=True)]
    else:
        keep = [row[row >= 0].tolist() for row in answer]
    return keep, [np.flatnonzero(row).tolist() for row in tied]
