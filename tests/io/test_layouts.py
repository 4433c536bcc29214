"""Layouts of public files, as they are: what each means, and one line where it cannot be told."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import annosim as an
from annosim.cli import main
from annosim.errors import ArgumentError, RowsError

PAIRS = pd.DataFrame({"who": ["u", "v"], "left": ["a", "b"], "right": ["b", "a"], "winner": ["left", "tie"]})


def put(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


# ---- sources -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["frame", "arrow", "records", "tuple", "csv", "tsv", "semicolon", "jsonl", "parquet"])
def test_pairs_come_from_every_kind_of_source(kind, tmp_path):
    records = PAIRS.to_dict("records")
    path = tmp_path / f"v.{kind}"
    if kind in ("csv", "tsv", "semicolon"):
        PAIRS.to_csv(path, index=False, sep={"csv": ",", "tsv": "\t", "semicolon": ";"}[kind])
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(r) + "\n" for r in records))
    elif kind == "parquet":
        PAIRS.to_parquet(path)
    memory = {"frame": PAIRS, "arrow": pa.Table.from_pylist(records), "records": records, "tuple": tuple(records)}
    data = an.io.read_csv(memory.get(kind, path), annotator="who")
    assert data.items.names == ("a", "b") and data.answer.tolist() == [[0, -1], [0, 1]]
    assert data.annotator_names.tolist() == ["u", "v"]


def test_categories_of_a_parquet_file_are_named_as_they_appear(tmp_path):
    kind = pd.CategoricalDtype(["a", "b", "c", "z"])
    frame = pd.DataFrame({"left": ["b", "a"], "right": ["c", "b"]}, dtype=kind)
    frame = frame.assign(winner=["left", "right"], note=["x", None])
    frame.to_parquet(tmp_path / "v.parquet")
    data = an.io.read(tmp_path / "v.parquet")
    assert (
        data.items.names == ("b", "c", "a")
        and data.menu.tolist() == [[0, 1], [2, 0]]
        and data.answer.tolist() == [0, 1]
    )
    assert data.columns["note"].tolist() == ["x", None]


def test_a_data_set_of_datasets_is_read():
    datasets = pytest.importorskip("datasets", reason="pip install annosim[hf]")
    rows = [{"prompt": "2+2?", "chosen": "4", "rejected": "5"}]
    assert an.io.read_trl(datasets.Dataset.from_list(rows)).equals(an.io.read_trl(rows))
    message = [{"role": "user", "content": "hi"}]
    rows = [{"prompt": message, "chosen": message, "rejected": [{"role": "user", "content": "ho"}]}]
    assert an.io.read_trl(datasets.Dataset.from_list(rows)).equals(an.io.read_trl(rows))


def test_what_is_no_source_is_refused():
    with pytest.raises(ArgumentError, match="a path, a pandas frame, an Arrow table or a list of records, not int"):
        an.io.read_csv(3)
    assert an.io.read(PAIRS.rename(columns={"left": "item 1", "right": "item 2"})).answer.tolist() == [[0, -1], [0, 1]]
    with pytest.raises(ArgumentError, match="option features=5"):
        an.io.read(PAIRS, "long", {"features": 5})


# ---- pairs ---------------------------------------------------------------------------------------------------------


def test_an_empty_answer_can_be_a_skip(tmp_path):
    path = put(tmp_path, "e.csv", "left,right,winner\nA,B,left\nB,A,\n")
    assert an.io.read(path, "pairs", {"words": "left=left,right=right,=skip"}).skipped.tolist() == [False, True]
    assert an.io.read_csv(path, words={"left": "left", "": "skip"}).skipped.tolist() == [False, True]


def test_a_tab_is_understood(tmp_path):
    text = "left\tright\twinner\nA\tB\tleft\n"
    assert an.io.read(put(tmp_path, "t.tsv", text), "pairs", {"sep": "\\t"}).rows == 1
    assert an.io.read_csv(put(tmp_path, "t.tsv", text)).rows == 1


SPELLINGS = "left,right,winner\n3,7,left\n3.0,7.0,left\nA,B,left\nA ,b,right\n"


def test_names_that_differ_only_in_spelling_are_said_and_merged_when_asked(tmp_path):
    path = put(tmp_path, "ids.csv", SPELLINGS)
    with pytest.warns(UserWarning, match="'3' and '3.0'.*merge=True"):
        assert an.io.read_csv(path).items.n == 8
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = an.io.read_csv(path, merge=True)
    assert data.items.names == ("3", "7", "A", "B") and data.menu.tolist() == [[0, 1]] * 2 + [[2, 3]] * 2
    frame = pd.DataFrame({"left": [3.0, 4.0], "right": [4, 3], "winner": ["left", "left"]})
    assert an.io.read_csv(frame).items.names == ("3", "4")  # a column of numbers that passed through pandas


def test_a_command_says_which_names_look_alike(tmp_path, capsys):
    path = put(tmp_path, "ids.csv", SPELLINGS)
    main(["fit", str(path), "--format", "pairs", "--prior", "dirichlet=1"])
    assert "; --set merge=true makes each pair one item" in capsys.readouterr().out
    assert main(["fit", str(path), "--format", "pairs", "--prior", "dirichlet=1", "--set", "merge=true"]) == 0
    assert "note: ids" not in capsys.readouterr().out
    battles = [{"model_a": "A", "model_b": "a ", "winner": "model_a"}]  # a reader without the option does not name it
    with pytest.warns(UserWarning, match="write them alike in the file"):
        an.io.read(battles)


def test_texts_that_were_compared_once_are_said_to_train_a_reward_model(tmp_path, capsys):
    rows = [{"prompt": f"q{i}", "chosen": f"yes {i}", "rejected": f"no {i}"} for i in range(6)]
    path = put(tmp_path, "p.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert main(["fit", str(path)]) == 3
    said = capsys.readouterr().err
    assert "Most texts here were shown once" in said and "never lost to the others: 'yes 0'; 'yes 1'" in said
    found = an.diagnose(an.io.read(path))["existence"]
    assert (
        "trains a reward model" in found.sentence and "never won against the others: 'no 0'; 'no 1'" in found.sentence
    )
    thumbs = an.io.read([{"prompt": "q", "completion": "yes", "label": True}])
    assert an.diagnose(thumbs)["length"].sentence == "No two texts are compared in any answer."


def test_grades_that_nobody_gave_are_left_out_of_a_fit_on_the_command_line(tmp_path, capsys):
    rows = [f"r{i},{item},{grade}" for i, grade in enumerate((2, 7, 9, 7)) for item in ("tea", "milk")]
    path = put(
        tmp_path, "ten.csv", "\n".join(["rater,item,rating", *rows, "r9,tea,10", "r9,milk,2", "r8,tea,7"]) + "\n"
    )
    assert main(["fit", str(path)]) == 0
    said = capsys.readouterr().out
    assert "ratings: 4 of the 10 grades were given" in said and "ordered logit with 3 free cuts" in said


COUNTS = "judge,left,right,winner,n\nj1,a,b,left,3\nj1,b,a,left,2\nj2,a,b,right,1\n"


def test_counts_are_not_weights_of_annotators(tmp_path):
    path = put(tmp_path, "counts.csv", COUNTS)
    with pytest.raises(RowsError, match="a weight belongs to an annotator; if n counts votes, say count=n"):
        an.io.read_csv(path, annotator="judge", weight="n")
    data = an.io.read_csv(path, annotator="judge", count="n")
    assert data.rows == 6 and data.num_annotators == 2 and np.bincount(data.annotator).tolist() == [5, 1]
    assert an.io.read_csv(path, count="n").weight.tolist() == [3.0, 2.0, 1.0]


def test_the_share_of_ties_knows_weights(tmp_path, capsys):
    path = put(tmp_path, "w.csv", "left,right,winner,n\na,b,left,100\na,b,right,100\na,b,tie,2\n")
    assert main(["fit", str(path), "--format", "pairs", "--weight", "n"]) == 0
    assert "ties: 2 of 202 answers are tied (1.0%)" in capsys.readouterr().out
    data = an.io.read_csv(path, weight="n")
    with pytest.raises(an.errors.TiesError, match="^1.0% of the answers are tied"):
        an.fit(an.Annotator(an.Tabular(2), an.Luce()), data)


# ---- arena ---------------------------------------------------------------------------------------------------------


def test_battles_of_every_release():
    base = {"model_a": "x", "model_b": "y"}
    words = ["model_a", "model_b", "tie", "both_bad", "tie (bothbad)"]
    data = an.io.read_arena([{**base, "winner": word} for word in words])
    assert data.answer.tolist() == [[0, -1], [1, -1], [0, 1], [0, 1], [0, 1]]
    assert data.columns["bothbad"].tolist() == [False, False, False, True, True]
    flags = [dict.fromkeys(("winner_model_a", "winner_model_b", "winner_tie"), 0) for _ in range(3)]
    for row, name in zip(flags, list(flags[0]), strict=True):
        row[name] = 1
    assert an.io.read_arena([base | row for row in flags]).answer.tolist() == [[0, -1], [1, -1], [0, 1]]
    with pytest.raises(RowsError, match="one of winner_model_a"):
        an.io.read_arena([base | flags[0] | {"winner_tie": 1}])
    judged = an.io.read_arena([{**base, "winner": "tie", "judge": ["gpt-4", "pair-v2"]}])
    assert judged.annotator_names.tolist() == ["gpt-4, pair-v2"]


# ---- long ----------------------------------------------------------------------------------------------------------


def test_choices_may_be_written_as_true_and_false(tmp_path):
    path = put(tmp_path, "bool.csv", "sit,alt,choice\n1,a,True\n1,b,False\n2,a,False\n2,b,True\n")
    assert an.io.read_long(path, situation="sit").answer.tolist() == [0, 1]
    assert an.io.read_long(pd.read_csv(path), situation="sit").answer.tolist() == [0, 1]


LONG = """id,alt,choice,price,time
1,bus,1,1.0,2.0
1,car,0,5.0,1.0
2,bus,0,2.0,3.0
2,car,1,4.0,1.5
3,bus,1,1.5,2.0
3,car,0,4.5,2.5
4,bus,0,3.0,1.0
4,car,1,2.0,2.0
"""


def test_long_choices_with_features_are_a_conditional_logit(tmp_path, capsys):
    path = put(tmp_path, "long.csv", LONG)
    options = ["--set", "situation=id", "--set", "features=price,time"]
    assert main(["fit", str(path), "--format", "long", *options]) == 0
    assert "conditional logit with a coefficient for each of price, time" in capsys.readouterr().out


def test_a_scenario_says_what_the_command_says(tmp_path, capsys):
    put(tmp_path, "long.csv", LONG)
    put(tmp_path, "num.csv", "left,right,winner\na,b,1\na,b,0\nb,a,0.5\n")
    linear = "\n[[model.types]]\nutility = { kind = 'linear', weights = [0.0, 0.0] }\n"
    tabular = linear.replace("linear", "tabular").replace("weights", "values")
    said = []
    for features in ('"price,time"', '["price", "time"]'):
        head = f'[data]\npath = "long.csv"\nformat = "long"\ncolumns = {{ situation = "id", features = {features} }}\n'
        assert main(["fit", str(put(tmp_path, "f.toml", head + linear))]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    for words in ('"1=left,0=right,0.5=tie"', '{ "1" = "left", "0" = "right", "0.5" = "tie" }'):
        head = f'[data]\npath = "num.csv"\nformat = "pairs"\ncolumns = {{ words = {words} }}\n'
        assert main(["fit", str(put(tmp_path, "w.toml", head + tabular))]) == 0
        assert "ties: 1 of 3 answers are tied" in capsys.readouterr().out


# ---- PrefLib -------------------------------------------------------------------------------------------------------


def test_elections_of_the_layout_before_2022(tmp_path):
    old = put(tmp_path, "old.soc", "3\n1,Tea\n2,Coffee\n3,Water\n6,6,3\n3,1,2,3\n2,2,3,1\n1,3,1,2\n")
    data = an.io.read_preflib(old)
    assert data.items.names == ("Tea", "Coffee", "Water") and data.weight.tolist() == [3.0, 2.0, 1.0]
    assert data.answer.tolist() == [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
    data.to_preflib(tmp_path / "new.soc")
    assert an.io.read_preflib(tmp_path / "new.soc").equals(data)
    short = put(tmp_path, "short.toc", "3\n1,Tea\n2,Coffee\n3,Water\n5,5,2\n3,{1,2},3\n1,3,1,2\n")
    with pytest.raises(RowsError, match="NUMBER VOTERS says 5, the file holds 4"):
        an.io.read_preflib(short)
    assert an.io.read_preflib(short, totals=False).tied.tolist() == [[True, False], [False, False]]


def test_names_in_any_order_and_numbers_with_a_gap(tmp_path):
    head = "# ALTERNATIVE NAME 2: B\n# ALTERNATIVE NAME 1: A\n# ALTERNATIVE NAME 4: D\n"
    path = put(tmp_path, "order.soi", head + "3: 1,2\n2: 2,4,1\n1: 4,1\n")
    data = an.io.read_preflib(path)
    assert data.items.names == ("A", "B", "D")
    assert data.answer.tolist() == [[0, 1, -1], [1, 2, 0], [2, 0, -1]]
    data.to_preflib(tmp_path / "back.soi")
    assert (tmp_path / "back.soi").read_bytes() == path.read_bytes()
    with pytest.raises(RowsError, match="alternative 3 that the header does not name"):
        an.io.read_preflib(put(tmp_path, "gap.soi", head + "3: 1,3\n"))


# ---- TRL -----------------------------------------------------------------------------------------------------------

USER = {"role": "user", "content": "two plus two"}
WHOLE = {
    "prompt": "two plus two",
    "chosen": [USER, {"role": "assistant", "content": "four"}],
    "rejected": [USER, {"role": "assistant", "content": "five"}],
}


class Words:
    """A tokenizer of words whose chat template writes role and content."""

    eos_token = "<eos>"

    def __call__(self, text):
        return {"input_ids": [sum(map(ord, word)) for word in text.split()]}

    def apply_chat_template(self, messages, add_generation_prompt=False, **_):
        text = " ".join(f"{m['role']} {m['content']}" for m in messages)
        return self(text + " assistant" if add_generation_prompt else text)


def test_a_prompt_beside_whole_conversations_is_not_said_twice():
    data = an.io.read_trl([WHOLE])
    items = an.io.tokenize(data, Words()).items
    right = [sum(map(ord, word)) for word in "user two plus two assistant four".split()]
    assert items.tokens[0].tolist() == right and items.columns["prompt_length"].tolist() == [5, 5]
    assert data.to_trl(as_list=True) == [WHOLE]


def test_the_implicit_prompt_is_that_of_trl():
    extract = pytest.importorskip("trl.data_utils", reason="pip install annosim[hf]").maybe_extract_prompt
    told = extract(dict(WHOLE))
    data = an.io.read_trl([WHOLE])
    assert json.loads(data.prompt_names[0]) == told["prompt"]
    assert [json.loads(text) for text in data.items.texts] == [told["chosen"], told["rejected"]]


SYSTEM = {"role": "system", "content": "Be short."}
CALL = {"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "w", "arguments": {"c": "x"}}}]}
TOOL = {"role": "tool", "name": "w", "content": "7"}


@pytest.mark.parametrize(
    ("chosen", "rejected"),
    [
        ([SYSTEM, USER, {"role": "assistant", "content": "4"}], [SYSTEM, USER, {"role": "assistant", "content": "5"}]),
        (
            [USER, CALL, TOOL, {"role": "assistant", "content": "4"}],
            [USER, CALL, TOOL, {"role": "assistant", "content": "5"}],
        ),
        ([USER, CALL], [USER, {"role": "assistant", "content": "no"}]),
        ([USER, {"role": "assistant", "content": "a"}, USER], [USER, {"role": "assistant", "content": "a"}, CALL]),
        ("\n\nHuman: hi\n\nAssistant: yes", "\n\nHuman: hi\n\nAssistant: yet"),
        ("The sky is blue.", "The sky is green."),
        ("ab", "abc"),
        ("one", "two"),
    ],
)
@pytest.mark.parametrize("prompt", [None, "hi"])
def test_conversations_as_trl_extracts_them(chosen, rejected, prompt):
    extract = pytest.importorskip("trl.data_utils", reason="pip install annosim[hf]").maybe_extract_prompt
    row = {"chosen": chosen, "rejected": rejected} | ({} if prompt is None else {"prompt": prompt})
    told = extract(dict(row))
    data = an.io.read([row], "trl")
    plain = json.loads if not isinstance(told["chosen"], str) else str
    assert [plain(text) for text in data.items.texts] == [told["chosen"], told["rejected"]]
    assert plain(data.prompt_names[0]) == told["prompt"]


def test_labels_and_calls_of_tools():
    thumbs = [{"prompt": "q", "completion": c, "label": label} for c, label in (("a", 1), ("b", 0), ("c", True))]
    assert an.io.read_kto(thumbs).answer.ravel().tolist() == [1, 0, 1]
    call = {"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "w", "arguments": {}}}]}
    row = {"prompt": [USER], "chosen": [call], "rejected": [{"role": "assistant", "content": "no idea"}]}
    data = an.io.read_trl([row])
    assert json.loads(data.items.texts[0]) == [call] and data.to_trl(as_list=True) == [row]
