"""Bad input: one line that names the row and says what to do, up to twenty rows at once, never a guess."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import zipfile

import pytest

import annosim as an
from annosim.cli import main
from annosim.errors import ArgumentError, DataError, FileReadError, LayoutError, RowsError, TiesError
from annosim.files import atomic_path

PAIR = {"items": an.Items(n=2), "menu": [[0, 1]], "answer": [0]}
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
    if isinstance(caught.value, RowsError):  # a short message; what is wrong with every row stands in .problems
        assert len(message) <= 300
        message += "; ".join(f"line {line}: {what}" for line, what in caught.value.problems)
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
    error = refused(RowsError, lambda: an.io.read_csv(path), "30 malformed", "lines 5-24: winner", "and 10 more")
    assert "line 25" not in str(error) and len(error.problems) == 30 and len(str(error)) <= 300


def test_rows_of_one_fault_are_named_together(tmp_path):
    path = write(tmp_path, HEAD + "w,a,b,A\nw,a,b,B\n" * 3 + "w,a,b,left\nw,a,b,A\n")
    told = str(
        refused(RowsError, lambda: an.io.read_csv(path), "lines 2, 4, 6, 9: winner 'A'", "lines 3, 5, 7: winner 'B'")
    )
    assert told.partition("Remedy")[0].count("'A'") == 1


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
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
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
    refused(FileReadError, lambda: data.to_csv(path / "below" / "x.csv"), "cannot be written")


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
    refused(DataError, lambda: tie.to_preflib(tmp_path / "z.soc"), "use .toc")
    half = tie.ties("half")
    refused(DataError, lambda: half.to_preflib(tmp_path / "z.soc"), "weight 0.5 is not a whole number")


def test_ward_lines(tmp_path):
    end = '"Candidate 1","A","x",\n"Candidate 2","B","y",\n"W",\n'
    error = refused(
        RowsError, lambda: an.io.read_scottish(write(tmp_path, "2,1,\n5,1,1,\n5,3,\nx,1,\n" + end)), "listed twice"
    )
    assert [line for line, _ in error.problems] == [2, 3, 4]
    refused(RowsError, lambda: an.io.read_scottish(write(tmp_path, "3,1,\n5,1,\n" + end)), "3 candidates are announced")
    refused(FileReadError, lambda: an.io.read_scottish(write(tmp_path, "a,b,c\n")), "not 'candidates, seats'")
    refused(DataError, lambda: an.PreferenceData(an.Items(n=2), [[0, 1]], [0]).to_scottish(tmp_path / "w"))


def test_arena_records(tmp_path):
    text = '{"model_a": "x", "model_b": "y", "winner": "left"}\n{"model_a": "x", "winner": "tie"}\n'
    error = refused(RowsError, lambda: an.io.read_arena(write(tmp_path, text, "a.jsonl")), "'tie (bothbad)'")
    assert [line for line, _ in error.problems] == [1, 2]
    refused(FileReadError, lambda: an.io.read_arena(write(tmp_path, "x", "a.txt")), "a header and no rows")
    refused(FileReadError, lambda: an.PreferenceData(**PAIR).to_arena(tmp_path / "a.txt"), ".jsonl, .json, .csv or .p")
    refused(RowsError, lambda: an.io.read_arena(write(tmp_path, "[1]", "a.json")), "line 1: not an object")


def test_crowdkit_labels(tmp_path):
    path = write(tmp_path, "worker,left,right,label\nw,a,b,a\nw,a,b,tie\n")
    refused(RowsError, lambda: an.io.read_crowdkit(path), "line 3: label 'tie' is unknown; accepted: 'a', 'b'. ")


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
    refused(DataError, lambda: an.io.read_choix([(0, 1), (1, 1), (2,), (0, -1), ("a", 1)]), "entry 1", "entry 2", "4")
    refused(DataError, lambda: an.io.read_choix([]), "empty")
    refused(DataError, lambda: an.io.read_choix([(0, 5)], n_items=3), "0..2")


def test_writers_refuse_what_they_cannot_hold(tmp_path):
    tie = an.PreferenceData(an.Items(n=2), [[0, 1]], [[0, 1]], tied=[[True]])
    skip = an.PreferenceData(an.Items(n=2), [[0, 1]], [-1])
    rank = an.PreferenceData(an.Items(n=2), [[0, 1]], [[0, 1]], feedback="ranking")
    heavy = an.PreferenceData(an.Items(n=2), [[0, 1]], [0], weight=[0.5])
    for call in (an.PreferenceData.to_crowdkit, an.PreferenceData.to_choix, an.PreferenceData.to_trl):
        refused(TiesError, lambda call=call: call(tie))
        refused(DataError, lambda call=call: call(skip), "row 0 is a skip")
    refused(DataError, lambda: skip.to_arena(tmp_path / "a.jsonl"), "skip")
    refused(DataError, lambda: skip.to_evalica(tmp_path / "a.csv"), "skip")
    refused(DataError, lambda: heavy.to_evalica(tmp_path / "a.csv"), "weights")
    refused(DataError, lambda: heavy.to_choix(), "fractions")
    for call in (an.PreferenceData.to_csv, an.PreferenceData.to_arena, an.PreferenceData.to_crowdkit):
        refused(DataError, lambda call=call: call(rank, tmp_path / "a.csv"), "not pairs")
    assert not list(tmp_path.iterdir())


def test_formats(tmp_path):
    refused(ArgumentError, lambda: an.io.read("f.csv", "xls"), "the formats are pairs, arena")
    refused(FileReadError, lambda: an.io.read("f.csv"), "there is no such file")
    refused(ArgumentError, lambda: an.io.read("f.csv", "evalica", {"left": "x"}), "no option 'left'")
    path = write(tmp_path, HEAD + "w,a,b,left\n")
    assert an.io.read(path, "pairs", {"annotator": "worker", "prompt": None}).num_annotators == 1
    for entry in an.io.FORMATS.values():
        assert callable(entry.reader) and entry.description and isinstance(entry.options, tuple)


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="the system does not list a process's threads")
def test_a_small_file_is_read_without_threads_that_a_refusal_would_abort(tmp_path):
    """A command that refuses a file ends while Arrow's threads still start, and is aborted (exit code 134 for 2)."""
    path = write(tmp_path, HEAD + "w,a,b,left\n")
    code = f"""
import os, sys
from annosim.io.delimited import read_delimited
before = len(os.listdir("/proc/self/task"))
read_delimited({str(path)!r}, None)
print(len(os.listdir("/proc/self/task")) - before)
sys.exit(2)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
    assert (out.returncode, out.stderr) == (2, b"")
    assert int(out.stdout) <= 1  # Arrow's reader of bytes; its pool has one thread for each core


# ---- annotators who are not named ----------------------------------------------------------------------------------

UNNAMED = {
    "pairs": "left,right,winner,annotator\na,b,left,ann\nb,c,left,\na,c,right, \na,b,right,ann\n",
    "arena": "model_a,model_b,winner,judge\na,b,model_a,ann\nb,c,model_a,\na,c,model_b, \na,b,model_b,ann\n",
    "beats": "winner,loser,worker\na,b,ann\nb,c,\nc,a, \nb,a,ann\n",
    "scores": "item_a,item_b,score_a,score_b,rater\na,b,2,1,ann\nb,c,2,1,\na,c,1,2, \na,b,1,2,ann\n",
    "ratings": "user,item,rating\nann,a,1\n,b,5\n ,c,2\nann,b,3\n",
    "ballots": "voter,ranking\nann,a > b > c\n,b > c > a\n ,c > a > b\nann,b > a > c\n",
}


@pytest.mark.parametrize("layout", UNNAMED)
def test_a_row_that_names_no_annotator_is_one_of_its_own(tmp_path, layout):
    path = write(tmp_path, UNNAMED[layout])
    with pytest.warns(UserWarning, match=r"f\.csv: 2 rows have no \w+: each is .* \(the first is line 3\)"):
        data = an.io.read(path)
    assert data.settings["format"] == layout
    assert data.annotator_ids.tolist() == [0, 1, 2, 0]
    assert list(data.annotator_names) == ["ann", "unnamed, line 3", "unnamed, line 4"]


def test_the_rows_of_one_situation_have_one_annotator_though_nobody_is_named(tmp_path):
    rows = "s1,bus,1,ann\ns1,car,0,ann\ns2,bus,0,\ns2,car,1,\ns3,bus,0,\ns3,car,1,\n"
    path = write(tmp_path, "situation,alternative,choice,annotator\n" + rows)
    with pytest.warns(UserWarning, match="4 rows have no annotator"):
        data = an.io.read_long(path, "situation", "alternative", "choice", "annotator")
    assert data.annotator_ids.tolist() == [0, 1, 2]


def test_a_column_that_names_everybody_comes_before_one_with_gaps(tmp_path):
    path = write(tmp_path, "left,right,winner,annotator,worker\na,b,left,,w\nb,c,left,x,v\n")
    assert list(an.io.read(path).annotator_names) == ["w", "v"]


# ---- items against themselves --------------------------------------------------------------------------------------

SELF = {
    "pairs": "left,right,winner,note\na,b,left,1\na,a,left,2\nb,c,right,3\nc,c,tie,4\n",
    "arena": "model_a,model_b,winner,note\na,b,model_a,1\na,a,model_a,2\nb,c,model_b,3\nc,c,tie,4\n",
    "beats": "winner,loser,note\na,b,1\na,a,2\nc,b,3\nc,c,4\n",
    "scores": "item_a,item_b,score_a,score_b,note\na,b,2,1,1\na,a,2,1,2\nb,c,1,2,3\nc,c,1,1,4\n",
    "tallies": "item_a,item_b,wins_a,wins_b,note\na,b,1,0,1\na,a,2,1,2\nb,c,0,1,3\nc,c,1,1,4\n",
    "trl": "prompt,chosen,rejected,note\np,yes,no,1\np,yes,yes,2\nq,no,yes,3\nq,no,no,4\n",
    "responses": "prompt,response_a,response_b,winner,note\np,y,n,left,1\np,y,y,left,2\nq,n,y,left,3\nq,n,n,tie,4\n",
}


@pytest.mark.parametrize("layout", SELF)
def test_an_item_against_itself_is_left_out_and_said(tmp_path, layout):
    path = write(tmp_path, SELF[layout])
    with pytest.warns(UserWarning, match=r"f\.csv: 2 rows compare an item with itself .* \(the first is line 3\)"):
        data = an.io.read(path)
    assert data.settings["format"] == layout
    assert data.columns["note"].tolist() == [1, 3]
    assert data.rows == 2 and (data.menu[:, 0] != data.menu[:, 1]).all()


def test_a_file_of_nothing_but_items_against_themselves_is_refused(tmp_path):
    path = write(tmp_path, "left,right,winner\na,a,left\nb,b,left\n")
    refused(DataError, lambda: an.io.read_csv(path), "left and right are the same in every row")


def test_lines_are_those_of_the_file_where_rows_are_left_out(tmp_path):
    path = write(tmp_path, "left,right,winner\na,a,left\na,b,left\nb,a,neither\n")
    with pytest.warns(UserWarning, match="1 row compares an item with itself and is left out .line 2."):
        refused(RowsError, lambda: an.io.read_csv(path), "line 4")


def test_spellings_that_are_merged_are_one_item(tmp_path):
    path = write(tmp_path, "left,right,winner\na,A,left\na,b,left\n")
    with pytest.warns(UserWarning, match="compares an item with itself"):
        assert an.io.read_csv(path, merge=True).rows == 1


@pytest.mark.parametrize("column", ["annotator", "rater", "Rater", "judge", "user", "worker_id"])
def test_preferences_for_trl_name_their_annotators_as_other_layouts_do(tmp_path, column):
    rows = [("p", "yes", "no", "ann"), ("q", "no", "yes", "bob"), ("r", "no", "yes", "ann")]
    text = "".join(
        json.dumps(dict(zip(("prompt", "chosen", "rejected", column), row, strict=True))) + "\n" for row in rows
    )
    data = an.io.read(write(tmp_path, text, "pairs.jsonl"))
    assert data.settings["recognised"] == f"prompt, chosen and rejected, annotator={column}"
    assert data.annotator_names[data.annotator_ids].tolist() == ["ann", "bob", "ann"]
    assert column not in data.columns


# ---- remedies ------------------------------------------------------------------------------------------------------


def test_the_remedy_for_unknown_words_lists_each_of_them_with_what_it_means(tmp_path):
    path = write(tmp_path, HEAD + "w,a,b,links\nw,a,b,rechts\nw,a,b,unentschieden\nw,a,b,links\n")
    said = "words={'links': 'left', 'rechts': 'right', 'unentschieden': 'tie'}"
    refused(RowsError, lambda: an.io.read_csv(path, annotator="worker"), said)


def test_many_unknown_words_are_counted(tmp_path):
    path = write(tmp_path, HEAD + "".join(f"w,a,b,quux{i}\n" for i in range(9)))
    refused(RowsError, lambda: an.io.read_csv(path), "'quux2': '...'} and 6 more (left, right, tie, skip)")


def test_the_command_says_the_words_as_its_option_ready_to_complete(tmp_path, capsys):
    path = write(tmp_path, HEAD + "w,a,b,links\nw,a,b,quux\n")
    assert main(["read", str(path), "--format", "evalica"]) == 2
    assert "--words links=left,quux=... (left, right, tie, skip)" in capsys.readouterr().err


def test_several_words_beside_the_sides_are_all_asked_for(tmp_path):
    path = write(tmp_path, "left,right,winner\na,b,left\nb,c,right\na,b,quux\na,b,quuux\n")
    refused(LayoutError, lambda: an.io.read(path), "words=quux=...,quuux=... (each tie or skip)")


@pytest.mark.parametrize("name", ["votes.xlsx", "votes.csv", "votes.jsonl"])
@pytest.mark.parametrize(
    "inside, said", [("xl/workbook.xml", "an Excel workbook, not text; save it as CSV"), ("votes.csv", "a zip archive")]
)
def test_a_workbook_and_an_archive_are_called_what_they_are(tmp_path, name, inside, said):
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr(inside, "a")
    refused(FileReadError, lambda: an.io.read(tmp_path / name), said)
