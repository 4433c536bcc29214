"""Bad input: one line that names the row and says what to do, up to twenty rows at once, never a guess."""

from __future__ import annotations

import gzip
import os

import numpy as np
import pytest

import annosim as an
from annosim.errors import ArgumentError, DataError, FileReadError, RowsError, TiesError
from annosim.io import arena, crowdkit, evalica, files, formats, pairs, preflib, scottish, trl

HEAD = "worker,left,right,winner\n"


def write(tmp_path, text, name="f.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def refused(error, call, *parts):
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    return caught.value


# ---- pairs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["draw", "Left", "", " left", "0", "a"])
def test_an_unknown_winner_is_never_a_tie(tmp_path, word):
    path = write(tmp_path, f"{HEAD}w,a,b,left\nw,a,b,{word}\n")
    error = refused(
        RowsError, lambda: an.io.read_csv(path, annotator="worker"), "line 3", "'left', 'right', 'tie', 'skip'"
    )
    assert [line for line, _ in error.problems] == [3]


def test_what_a_winner_is_can_be_said(tmp_path):
    assert an.io.read_csv(write(tmp_path, HEAD + "w,a,b,b\n"), winner_is="item").answer.tolist() == [1]
    assert an.io.read_csv(write(tmp_path, HEAD + "w,a,b,right\n"), winner_is="column").answer.tolist() == [1]
    assert an.io.read_csv(write(tmp_path, HEAD + "w,a,b,1\n"), winner_is="index").answer.tolist() == [1]
    spanish = {"izquierda": "left", "derecha": "right", "empate": "tie"}
    assert an.io.read_csv(write(tmp_path, HEAD + "w,a,b,empate\n"), words=spanish).has_ties
    refused(ArgumentError, lambda: an.io.read_csv(tmp_path / "f.csv", words={"x": "win"}), "left, right, tie, skip")
    refused(ArgumentError, lambda: an.io.read_csv(tmp_path / "f.csv", winner_is="name"), "side, item, column, index")
    path = write(tmp_path, HEAD + "w,a,b,c\n")
    refused(RowsError, lambda: an.io.read_csv(path, winner_is="item"), "accepted: 'a', 'b', 'tie', 'skip'")


def test_twenty_rows_at_once(tmp_path):
    path = write(tmp_path, HEAD + "w,a,b,left\n" * 3 + "w,a,b,?\n" * 30)
    error = refused(RowsError, lambda: an.io.read_csv(path), "30 malformed", "line 5:", "line 24:", "and 10 more")
    assert "line 25:" not in str(error) and len(error.problems) == 30


def test_lines_are_counted_in_the_file(tmp_path):
    path = write(tmp_path, HEAD + 'w,"a\nb",c,left\n\nw,a,b,?\nw,"x,y",,left\n')
    error = refused(RowsError, lambda: an.io.read_csv(path, annotator="worker"), "right is empty")
    assert [line for line, _ in error.problems] == [5, 6]


def test_several_problems_of_a_line_are_one_row(tmp_path):
    error = refused(RowsError, lambda: an.io.read_csv(write(tmp_path, HEAD + ",,b,?\n"), annotator="worker"))
    assert len(error.problems) == 1


def test_ragged_rows(tmp_path):
    path = write(tmp_path, HEAD + "w,a,b,left\nw,a,b\nw,a,b,left,9\nw,a,b,right\n")
    refused(RowsError, lambda: an.io.read_csv(path), "line 3: 3 cells where the header has 4", "line 4: 5 cells")
    path = write(tmp_path, HEAD + '"w,,,",a,b\n')  # the separators are there, inside a quoted cell
    refused(RowsError, lambda: an.io.read_csv(path), "line 2: 3 cells")
    path = write(tmp_path, HEAD + "w,a,b,left,1\nw,a,b,left,2\n")  # every row too long: no silent index column
    refused(RowsError, lambda: an.io.read_csv(path), "line 2: 5 cells", "line 3: 5 cells")
    path = write(tmp_path, HEAD + '"w,a,b,left\nw,a,b,left\n')
    refused(RowsError, lambda: an.io.read_csv(path), "line 2")


def test_names_that_look_like_missing_values_are_names(tmp_path):
    data = an.io.read_csv(write(tmp_path, HEAD + "NA,nan,None,left\nnull,None,NULL,right\n"), annotator="worker")
    assert data.items.names == ("nan", "None", "NULL") and list(data.annotator_names) == ["NA", "null"]


def test_weights_and_orders(tmp_path):
    text = "worker,left,right,winner,w,t\nx,a,b,left,1,0\nx,a,b,left,2,1\ny,a,b,left,-1,1.5\nz,a,b,left,inf,\n"
    read = lambda: an.io.read_csv(tmp_path / "f.csv", annotator="worker", weight="w", order="t")  # noqa: E731
    write(tmp_path, text)
    refused(RowsError, read, "line 3: w 2 differs from 1", "line 4", "negative", "not a whole number", "'inf'")


def test_items_that_are_given(tmp_path):
    path = write(tmp_path, HEAD + "w,b,a,left\nw,c,a,left\n")
    refused(
        RowsError, lambda: an.io.read_csv(path, items=an.Items(names=["a", "b"])), "line 3: item 'c' is not in items="
    )
    assert an.io.read_csv(path, items=an.Items(names=["a", "b", "c"])).menu.tolist() == [[1, 0], [2, 0]]


# ---- files ---------------------------------------------------------------------------------------------------------

READERS = {
    "f.csv": an.io.read_csv,
    "e.csv": an.io.read_evalica,
    "c.csv": an.io.read_crowdkit,
    "s.csv": an.io.read_scottish,
    "l.csv": an.io.read_long,
    "a.jsonl": an.io.read_arena,
    "a.json": an.io.read_arena,
    "t.jsonl": an.io.read_trl,
    "k.jsonl": an.io.read_kto,
    "p.soc": an.io.read_preflib,
    "x.parquet": an.io.read_parquet,
}


@pytest.mark.parametrize("name", READERS)
def test_files_that_cannot_be_read(tmp_path, name):
    read, path = READERS[name], tmp_path / name
    refused(FileReadError, lambda: read(path), str(path))
    for content in (b"", b"  \n\n"):
        path.write_bytes(content)
        refused(FileReadError, lambda: read(path), str(path))
    path.write_bytes(b"left,right,winner\na,\xff\xfe,left\n")
    with pytest.raises((FileReadError, RowsError)):
        read(path)
    path.unlink()
    path.mkdir()
    refused(FileReadError, lambda: read(path), str(path))


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="the superuser may read everything")
def test_a_file_without_permission(tmp_path):
    path = write(tmp_path, HEAD + "w,a,b,left\n")
    path.chmod(0)
    refused(FileReadError, lambda: an.io.read_csv(path), "permission")


def test_damaged_files(tmp_path):
    packed = tmp_path / "v.csv.gz"
    packed.write_bytes(gzip.compress(HEAD.encode() * 50)[:40])
    refused(FileReadError, lambda: an.io.read_csv(packed), "v.csv.gz")
    data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 4, [0, 1, 0, 1])
    data.to_parquet(tmp_path / "d.parquet")
    raw = (tmp_path / "d.parquet").read_bytes()
    (tmp_path / "d.parquet").write_bytes(raw[: len(raw) // 2])
    refused(FileReadError, lambda: an.io.read_parquet(tmp_path / "d.parquet"), "not a readable parquet file")
    data.to_frame().to_parquet(tmp_path / "other.parquet")
    refused(FileReadError, lambda: an.io.read_parquet(tmp_path / "other.parquet"), "annosim did not write")


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path):
    path = tmp_path / "bom.csv"
    path.write_bytes(b"\xef\xbb\xbf" + b"left,right,winner\r\na,b,left\r\n")
    assert an.io.read_csv(path).answer.tolist() == [0]


def test_headers(tmp_path):
    refused(
        FileReadError, lambda: an.io.read_csv(write(tmp_path, "left,right\na,b\n")), "no column 'winner'", "left, right"
    )
    refused(FileReadError, lambda: an.io.read_csv(write(tmp_path, "left,left,winner\na,b,c\n")), "repeats 'left'")
    refused(FileReadError, lambda: an.io.read_csv(write(tmp_path, HEAD)), "no rows")


def test_nothing_is_left_half_written(tmp_path, monkeypatch):
    path = write(tmp_path, "old")
    with pytest.raises(ZeroDivisionError), files.atomic_path(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["f.csv"]
    data = an.PreferenceData(an.Items(n=2), [[0, 1]], [0])
    with pytest.raises(ZeroDivisionError), an.io.ShardWriter(tmp_path / "shards") as out:
        out.write(data)
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == ["f.csv"]
    refused(FileReadError, lambda: an.io.open_shards(tmp_path), "did not end")
    refused(ArgumentError, lambda: an.io.ShardWriter(tmp_path), "exists already")
    refused(FileReadError, lambda: pairs.write_csv(data, path / "below" / "x.csv"), "cannot be written")


# ---- other formats -------------------------------------------------------------------------------------------------


def test_preflib_lines(tmp_path):
    head = "# NUMBER VOTERS: 3\n# ALTERNATIVE NAME 1: a\n# ALTERNATIVE NAME 2: b\n# ALTERNATIVE NAME 3: c\n"
    bad = "2: 1,2\n1: 3,1,4\n0: 1,2,3\n1: 1,1,2\n1: {1,2},3\n1: 1;2;3\n"
    error = refused(RowsError, lambda: an.io.read_preflib(write(tmp_path, head + bad, "x.soc")), "6 malformed")
    assert [line for line, _ in error.problems] == [5, 6, 7, 8, 9, 10]
    path = write(tmp_path, head + "2: 1,2,3\n", "x.soc")
    refused(RowsError, lambda: an.io.read_preflib(path), "line 1: NUMBER VOTERS says 3, the file holds 2")
    assert an.io.read_preflib(path, totals=False).rows == 1
    refused(FileReadError, lambda: an.io.read_preflib(write(tmp_path, "x", "x.wmd")), ".soc, .soi, .toc, .toi")
    refused(FileReadError, lambda: an.io.read_preflib(write(tmp_path, "1: 1,2\n", "y.soc")), "ALTERNATIVE NAME")
    tie = an.PreferenceData(an.Items(n=2), [[0, 1]], [[0, 1]], feedback="ranking", tied=[[True]])
    refused(DataError, lambda: preflib.write_preflib(tie, tmp_path / "z.soc"), "use .toc")
    half = tie.ties("half")
    refused(DataError, lambda: preflib.write_preflib(half, tmp_path / "z.soc"), "weight 0.5 is not a whole number")


def test_ward_lines(tmp_path):
    end = '"Candidate 1","A","x",\n"Candidate 2","B","y",\n"W",\n'
    error = refused(
        RowsError, lambda: an.io.read_scottish(write(tmp_path, "2,1,\n5,1,1,\n5,3,\nx,1,\n" + end)), "listed twice"
    )
    assert [line for line, _ in error.problems] == [2, 3, 4]
    refused(RowsError, lambda: an.io.read_scottish(write(tmp_path, "3,1,\n5,1,\n" + end)), "3 candidates are announced")
    refused(FileReadError, lambda: an.io.read_scottish(write(tmp_path, "a,b,c\n")), "not 'candidates, seats'")
    refused(DataError, lambda: scottish.write_scottish(an.PreferenceData(an.Items(n=2), [[0, 1]], [0]), tmp_path / "w"))


def test_arena_records(tmp_path):
    text = '{"model_a": "x", "model_b": "y", "winner": "left"}\n{"model_a": "x", "winner": "tie"}\n'
    error = refused(RowsError, lambda: an.io.read_arena(write(tmp_path, text, "a.jsonl")), "'tie (bothbad)'")
    assert [line for line, _ in error.problems] == [1, 2]
    refused(FileReadError, lambda: an.io.read_arena(write(tmp_path, "x", "a.txt")), ".jsonl, .json, .csv or .parquet")
    refused(RowsError, lambda: an.io.read_arena(write(tmp_path, "[1]", "a.json")), "line 1: not an object")


def test_crowdkit_labels(tmp_path):
    path = write(tmp_path, "worker,left,right,label\nw,a,b,a\nw,a,b,tie\n")
    refused(RowsError, lambda: an.io.read_crowdkit(path), "line 3: label 'tie' is unknown; accepted: 'a', 'b'. Remedy")


def test_long_situations(tmp_path):
    text = "custom_id,alt,choice,x\n1,a,1,0\n1,b,1,0\n2,a,0,0\n2,a,0,z\n3,a,2,0\n"
    error = refused(RowsError, lambda: an.io.read_long(write(tmp_path, text), features=["x"]), "2 of this situation's")
    assert [line for line, _ in error.problems] == [2, 4, 5, 6]


def test_kto_and_trl_rows(tmp_path):
    text = '{"prompt": "p", "completion": "c", "label": 2}\n{"prompt": "p", "completion": "c", "label": true}\n'
    refused(
        RowsError, lambda: an.io.read_kto(write(tmp_path, text, "k.jsonl")), "line 1: label 2 is neither true nor false"
    )
    text = '{"prompt": "p", "chosen": "c", "rejected": null}\n{"prompt": "p", "chosen": ["c"], "rejected": "d"}\n'
    error = refused(RowsError, lambda: an.io.read_trl(write(tmp_path, text, "t.jsonl")))
    assert [line for line, _ in error.problems] == [1, 2]
    pair = '{"prompt": "p", "chosen": "c", "rejected": "d", "margin": %s}\n'
    text = pair % "1.5" + pair % "null" + pair % '"large"'
    refused(
        RowsError, lambda: an.io.read_trl(write(tmp_path, text, "m.jsonl")), "line 3: margin 'large' is not a number"
    )


def test_choix_entries():
    refused(
        DataError, lambda: an.io.read_choix([(0, 1), (1, 1), (2,), (0, -1), ("a", 1)]), "entry 1", "entry 2", "entry 4"
    )
    refused(DataError, lambda: an.io.read_choix([]), "empty")
    refused(DataError, lambda: an.io.read_choix([(0, 5)], n_items=3), "0..2")


def test_writers_refuse_what_they_cannot_hold(tmp_path):
    tie = an.PreferenceData(an.Items(n=2), [[0, 1]], [[0, 1]], tied=[[True]])
    skip = an.PreferenceData(an.Items(n=2), [[0, 1]], [-1])
    rank = an.PreferenceData(an.Items(n=2), [[0, 1]], [[0, 1]], feedback="ranking")
    heavy = an.PreferenceData(an.Items(n=2), [[0, 1]], [0], weight=[0.5])
    for call in (crowdkit.to_crowdkit, an.io.to_choix, trl.to_trl):
        refused(TiesError, lambda call=call: call(tie))
        refused(DataError, lambda call=call: call(skip), "row 0 is a skip")
    refused(DataError, lambda: arena.write_arena(skip, tmp_path / "a.jsonl"), "skip")
    refused(DataError, lambda: evalica.write_evalica(skip, tmp_path / "a.csv"), "skip")
    refused(DataError, lambda: evalica.write_evalica(heavy, tmp_path / "a.csv"), "weights")
    refused(DataError, lambda: an.io.to_choix(heavy), "fractions")
    for call in (pairs.write_csv, arena.write_arena, crowdkit.write_crowdkit):
        refused(DataError, lambda call=call: call(rank, tmp_path / "a.csv"), "not pairs")
    assert not list(tmp_path.iterdir())


def test_formats(tmp_path):
    refused(ArgumentError, lambda: formats.read("f.csv", "xls"), "the formats are pairs, arena")
    refused(ArgumentError, lambda: formats.read("f.csv"), "says no format")
    refused(ArgumentError, lambda: formats.read("f.csv", "evalica", left="x"), "no option 'left'")
    path = write(tmp_path, HEAD + "w,a,b,left\n")
    assert formats.read(path, "pairs", annotator="worker", prompt=None).num_annotators == 1
    for entry in formats.FORMATS.values():
        assert callable(formats._function(entry.reader)) and entry.description and isinstance(entry.options, tuple)


# ---- the data themselves -------------------------------------------------------------------------------------------

BASE = {"items": an.Items(n=3), "menu": [[0, 1], [1, 2]], "answer": [0, 1]}
TRIPLE = {"items": an.Items(n=3), "menu": [[0, 1, 2]], "answer": [[0, 1, 2]], "feedback": "ranking"}

BAD = {
    "no rows": ({"menu": np.zeros((0, 2)), "answer": []}, "no rows"),
    "no places": ({"menu": np.zeros((2, 0))}, "without places"),
    "flat menu": ({"menu": [0, 1]}, "shape"),
    "ragged menu": ({"menu": [[0, 1], [0]]}, "menu"),
    "names in a menu": ({"menu": [["a", "b"], ["b", "c"]]}, "encode names as ids"),
    "none in a menu": ({"menu": [[0, None], [1, 2]]}, "menu"),
    "item out of range": ({"menu": [[0, 1], [1, 3]]}, "menu: bad value at [1, 1]"),
    "empty menu": ({"menu": [[0, 1], [-1, -1]], "answer": [0, -1]}, "menu: bad value at [1]"),
    "fraction": ({"answer": [0, 0.5]}, "whole numbers"),
    "nan": ({"answer": [0, float("nan")]}, "whole numbers"),
    "infinite": ({"answer": [0, float("inf")]}, "whole numbers"),
    "too large for its type": ({"answer": [0, 300]}, "do not fit"),
    "position out of range": ({"answer": [0, 2]}, "answer: bad value at [1]"),
    "position of a pad": ({"menu": [[0, 1], [1, -1]], "answer": [0, 1]}, "empty place"),
    "too few answers": ({"answer": [0]}, "answer: shape"),
    "wrong number of weights": ({"weight": [1.0]}, "weight: shape"),
    "negative weight": ({"weight": [1.0, -1.0]}, "weight: bad value at [1]"),
    "nan weight": ({"weight": [1.0, np.nan]}, "weight: bad value at [1]"),
    "infinite weight": ({"weight": [np.inf, 1.0]}, "weight: bad value at [0]"),
    "weight within an annotator": ({"annotator": [4, 4], "weight": [1.0, 2.0]}, "belongs to an annotator"),
    "negative annotator": ({"annotator": [0, -1]}, "annotator: bad value at [1]"),
    "named annotators": ({"annotator": ["ann", "bob"]}, "encode names as ids"),
    "too few names": ({"annotator": [0, 1], "annotator_names": ["ann"]}, "1 names"),
    "names that repeat": ({"annotator": [0, 1], "annotator_names": ["ann", "ann"]}, "'ann' stands twice"),
    "names of nobody": ({"annotator_names": ["ann"]}, "names without numbers"),
    "negative prompt": ({"prompt": [0, -2]}, "prompt: bad value at [1]"),
    "negative order": ({"annotator": [0, 0], "order": [0, -2]}, "order: bad value at [1]"),
    "short column": ({"columns": {"m": [1.0]}}, "column 'm': 1 for 2 rows"),
    "scalar column": ({"columns": {"m": 1.0}}, "column 'm'"),
    "unknown kind": ({"feedback": "likert"}, "the kinds are"),
    "prompts that differ": ({"items": an.Items(n=3, prompts=np.array([0, 0, 1]))}, "belong to one prompt"),
    "loose winners": ({"answer": [[0, 1], [0, -1]]}, "several needs tied="),
    "narrow tie": ({"tied": [[True], [False]]}, "(rows, k), the winners first"),
    "tie of one": ({"answer": [[0, -1], [0, -1]], "tied": [[True], [False]]}, "all tied"),
    "descending tie": ({"answer": [[1, 0], [0, -1]], "tied": [[True], [False]]}, "ascend"),
    "shape of ties": ({"tied": [True, False]}, "tied: shape"),
}
BAD_RANKINGS = {
    "repeats": ({"answer": [[0, 1, 1]]}, "repeats a position"),
    "hole": ({"answer": [[0, -1, 2]]}, "-1 stands before"),
    "partial": ({"answer": [[0, 1, -1]]}, "feedback='top'"),
    "half best-worst": ({"feedback": "best-worst", "answer": [[0, -1]]}, "both places"),
    "tied best-worst": ({"feedback": "best-worst", "answer": [[0, 1]], "tied": [[True, False]]}, "has no ties"),
    "grade": ({"feedback": an.Feedback("rating", grades=3), "answer": [[0, 1, 3]]}, "values are 0..2"),
    "grade of a pad": ({"feedback": "rating", "menu": [[0, 1, -1]]}, "grades an empty place"),
    "tie at the end of top": (
        {"feedback": an.Feedback("top", 1), "answer": [[0, -1, -1]], "tied": [[True, False]]},
        "place of the order",
    ),
}


@pytest.mark.parametrize("name", [*BAD, *BAD_RANKINGS])
@pytest.mark.filterwarnings("error")
def test_data_that_contradict_themselves(name):
    change, message = BAD[name] if name in BAD else BAD_RANKINGS[name]
    given = (BASE if name in BAD else TRIPLE) | change
    with pytest.raises((DataError, ArgumentError)) as caught:
        an.PreferenceData(**given)
    assert message in str(caught.value)


def test_rows_and_replicates_that_do_not_exist():
    data = an.PreferenceData(**BASE)
    refused(ArgumentError, lambda: data.take([5]), "row numbers are 0..1")
    refused(ArgumentError, lambda: data.take(np.array([True])), "0..1")
    refused(DataError, lambda: data.take([]), "no rows")
    refused(ArgumentError, lambda: data[0], "no replicates")
    many = an.PreferenceData(an.Items(n=3), [[[0, 1], [1, 2]]] * 2, [[0, 1]] * 2)
    refused(ArgumentError, lambda: many[2], "0..1")
    refused(ArgumentError, lambda: many.take([0]), "data[r].take")
    for call in (many.ties, many.counts, many.split):
        refused(DataError, call, "data[r]") if call != many.ties else refused(DataError, call, "one replicate")


def test_few_of_very_many_annotators_cost_nothing():
    data = an.PreferenceData(**BASE, annotator=[0, 2_000_000_000], weight=[1.0, 2.0])
    assert data.compact().num_annotators == 2


def test_menus_of_more_than_a_hundred():
    n = 300
    data = an.PreferenceData(an.Items(n=n), [list(range(n))], [list(range(n))[::-1]], feedback="ranking")
    assert data.answer.dtype == np.int16 and data.answer[0, 0] == 299


def test_frames_that_make_no_sense():
    frame = an.PreferenceData(**BASE).to_frame()
    refused(DataError, lambda: an.PreferenceData.from_frame(frame.iloc[:0]), "no rows")
    refused(ArgumentError, lambda: an.PreferenceData.from_frame([1]), "DataFrame")
    refused(DataError, lambda: an.PreferenceData.from_frame(frame.drop(columns="item_0")), "neither wide")
    other = an.Items(names=["x", "y"])
    refused(DataError, lambda: an.PreferenceData.from_frame(frame, items=other), "not in items=")
    refused(DataError, lambda: an.PreferenceData.from_frame(frame.assign(answer=[0.5, 1])), "row 0", "whole number")
    refused(DataError, lambda: an.PreferenceData.from_frame(frame.assign(annotator=["a", None])), "row 1 is blank")
    long = an.PreferenceData(**BASE).to_frame("long")
    refused(DataError, lambda: an.PreferenceData.from_frame(long.assign(position=0)), "stands twice")
    refused(DataError, lambda: an.PreferenceData.from_frame(long.assign(answer=2)), "a choice is 1")
