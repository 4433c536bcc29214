"""Covariates of the question as a part of the data: shapes, selections, files, and the columns they are found in."""

import json

import numpy as np
import pytest

import annosim as an
from annosim.cli import main
from annosim.errors import ArgumentError, DataError


def three():
    shown = {"length": [[9.0, 4.0], [1.0, 2.0], [5.0, 5.0]], "home": [1.0, 0.0, -1.0]}
    people = {"annotator": [0, 0, 1], "annotator_names": ["ann", "bob"]}
    return an.PreferenceData(
        an.Items(names=["a", "b", "c"]), [[0, 1], [1, 2], [2, 0]], [0, 1, 0], covariates=shown, **people
    )


def test_one_number_a_row_is_the_first_side_less_the_second():
    data = three()
    assert data.covariates["home"].tolist() == [[1, 0], [0, 0], [-1, 0]]
    assert "covariates length, home" in repr(data)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([[1.0, np.nan], [0.0, 0.0], [0.0, 0.0]], "row 0 has nan; fill it in"),
        ([[1.0], [0.0], [0.0]], r"shape \(3, 1\), expected \(3, 2\), one for each place, or \(3,\)"),
        ([["x", "y"]] * 3, "not a table of numbers"),
    ],
)
def test_bad_covariates_are_refused_by_row(value, said):
    with pytest.raises(DataError, match=said):
        three().with_(covariates={"length": value})


def test_pads_have_none():
    data = an.PreferenceData(
        an.Items(n=3), [[0, 1, -1], [0, 1, 2]], [0, 2], covariates={"price": [[1, 2, np.nan], [3, 4, 5]]}
    )
    assert data.covariates["price"].tolist() == [[1, 2, 0], [3, 4, 5]]


def test_selections_keep_them():
    data = three()
    assert data.take([2, 0]).covariates["length"].tolist() == [[5, 5], [9, 4]]
    parts = data.split(by="row", fraction=0.5, seed=0)
    assert sum(part.covariates["length"].sum() for part in parts) == data.covariates["length"].sum()
    assert an.data.concat([data, data]).covariates["home"].shape == (6, 2)
    with pytest.raises(DataError, match="differs from part 0 in covariates"):
        an.data.concat([data, data.with_(covariates={})])
    stacked = an.data.stack([data, data])
    assert stacked.covariates["length"].shape == (2, 3, 2) and stacked[1].equals(data)
    assert not data.equals(data.with_(covariates={}))
    tied = an.PreferenceData(data.items, [[0, 1]], [[0, 1]], tied=[[True]], covariates={"length": [3.0]})
    assert tied.ties("half").covariates["length"].tolist() == [[3, 0], [3, 0]]


def test_a_question_is_its_menu_and_its_covariates():
    data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 3, [0, 0, 0], covariates={"length": [1.0, 2.0, 1.0]})
    assert data.counts().weight.tolist() == [2.0, 1.0]
    design = data.design()
    assert design.menus.tolist() == [[0, 1], [0, 1]] and design.covariates["length"].tolist() == [[1, 0], [2, 0]]
    np.testing.assert_allclose(design.menu_weights, [2 / 3, 1 / 3])
    with pytest.raises(ArgumentError, match="they belong to listed questions; give menus="):
        an.Design(an.Items(n=2), covariates={"length": [[1.0, 0.0]]})


@pytest.mark.parametrize("layout", ["wide", "long"])
def test_frames_and_files_keep_them(layout, tmp_path):
    data = three()
    assert an.PreferenceData.from_frame(data.to_frame(layout)).equals(data)
    both = an.data.stack([data, data.with_(covariates={**data.covariates, "home": [2.0, 2.0, 2.0]})])
    assert an.PreferenceData.from_frame(both.to_frame(layout)).equals(both)
    data.to_csv(tmp_path / "votes.csv", layout=layout)
    assert an.io.read(tmp_path / "votes.csv").covariates["length"].tolist() == data.covariates["length"].tolist()
    for one in (data, both):
        one.to_parquet(tmp_path / "votes.parquet")
        assert an.io.read(tmp_path / "votes.parquet").equals(one)


def test_tables_of_votes_hold_a_column_for_each_side(tmp_path):
    data = three()
    data.to_csv(tmp_path / "votes.csv")
    again = an.io.read(tmp_path / "votes.csv", covariates=["length", "home"])
    assert {n: v.tolist() for n, v in again.covariates.items()} == {n: v.tolist() for n, v in data.covariates.items()}
    data.to_arena(tmp_path / "battles.json")
    assert an.io.read(tmp_path / "battles.json", covariates=["length"]).covariates["length"][0].tolist() == [9, 4]


def battle(**more):
    return {"model_a": "x", "model_b": "y", "winner": "model_a", **more}


def test_columns_of_the_arena_are_found_by_their_stem():
    style = {
        "sum_assistant_a_tokens": 90,
        "sum_assistant_b_tokens": 30,
        "bold_count_a": {"**": 2, "__": 1},
        "bold_count_b": {"**": 0, "__": 0},
    }
    data = an.io.read([battle(conv_metadata=style)], covariates=["sum_assistant_tokens", "bold_count"])
    assert data.covariates["sum_assistant_tokens"].tolist() == [[90, 30]]
    assert data.covariates["bold_count"].tolist() == [[3, 0]]


def test_relative_and_standard():
    rows = [battle(len_a=90, len_b=10), battle(len_a=50, len_b=50), battle(len_a=0, len_b=0)]
    data = an.io.read(rows).with_covariates(["len"], relative=True)
    assert (-np.diff(data.covariates["len"]))[:, 0].tolist() == pytest.approx([0.8, 0.0, 0.0])  # (a - b) / (a + b)
    unit = an.io.read(rows).with_covariates(["len"], relative=True, standardise=True)
    assert np.diff(unit.covariates["len"]).std() == pytest.approx(1.0)


def test_words_are_indicators():
    rows = [battle(lang_a="de", lang_b="en"), battle(lang_a="fr", lang_b="de")]
    data = an.io.read(rows, covariates=["lang"])
    assert {name: value.tolist() for name, value in data.covariates.items()} == {
        "lang=en": [[0, 1], [0, 0]],
        "lang=fr": [[0, 0], [1, 0]],
    }


@pytest.mark.parametrize(
    ("rows", "names", "said"),
    [
        (
            [battle(len_a=1, len_b=2)],
            ["length"],
            r"no column of this name, and no two for the sides \(length_a and length_b\); there are len_a, len_b",
        ),
        ([battle(len_a=1, len_b=None)], ["len"], "column 'len_b' has 'None' in row 0, which is no number; fill it in"),
        ([battle(lang="de")], ["lang"], "one word a row is the same for both sides"),
        ([battle(x_len_a=1, x_len_b=2, y_len_a=1, y_len_b=2)], ["len"], "it may be .*say which"),
        ([battle(len_a=1, len_b=2)], {"len": ("len_a", "len_c")}, "no column 'len_c'"),
        ([battle(lang_a="de", lang_b="de")], ["lang"], "every cell is 'de'"),
    ],
)
def test_what_is_no_covariate_is_said(rows, names, said):
    with pytest.raises(DataError, match=said):
        an.io.read(rows, covariates=names)


def test_features_of_alternatives_become_covariates_of_the_choice():
    rows = [
        {
            "trip": t,
            "alt": alt,
            "choice": int(alt == ("bus", "car")[t % 2]),
            "price": t + 1.5 * (alt == "car"),
            "time": 10 * (alt == "bus"),
        }
        for t in range(4)
        for alt in ("bus", "car")
    ]
    options = {"situation": "trip", "features": ["price", "time"]}
    data = an.io.read(rows, "long", options)
    assert data.items.n == 8
    some = data.with_covariates(["price"])
    assert some.items.names == ("bus", "car") and some.covariates["price"].tolist() == [[t, t + 1.5] for t in range(4)]
    assert some.items.features.tolist() == [[10.0], [0.0]] and some.settings["features"] == ["time"]
    both = data.with_covariates(["price", "time"])
    assert both.items.features is None and both.covariates["time"].tolist() == [[10, 0]] * 4


def test_the_command_line_fits_style_control_and_home_advantage(tmp_path, capsys):
    rng = np.random.default_rng(0)
    rows = [
        battle(
            model_a=f"m{a}",
            model_b=f"m{b}",
            winner=rng.choice(["model_a", "model_b", "tie"]),
            len_a=int(rng.integers(99)),
            len_b=int(rng.integers(99)),
            home=bool(rng.integers(2)),
        )
        for a, b in (rng.choice(4, 2, replace=False) for _ in range(120))
    ]
    path = tmp_path / "battles.json"
    path.write_text(json.dumps(rows))
    assert main(["fit", str(path), "--covariates", "len,home", "--out", str(tmp_path / "t.csv")]) == 0
    out = capsys.readouterr().out
    assert "covariates: a coefficient for each of len, home" in out and "rule.coefficients.len" in out
    assert "rule.coefficients.home" in (tmp_path / "t.csv").read_text()
    assert main(["fit", str(path), "--covariates", "length=len_a:len_b"]) == 0
    assert "rule.coefficients.length" in capsys.readouterr().out
    assert main(["fit", str(path), "--covariates", "size"]) == 2
    assert "no column of this name" in capsys.readouterr().err


@pytest.mark.parametrize("order", ["chosen-first", "recorded"])
@pytest.mark.parametrize("raw", [False, True])
def test_a_file_for_trl_keeps_the_numbers_beside_their_texts(raw, order):
    """The format puts the chosen first, wherever it was shown."""
    shown = np.array([[9.0, 4.0], [1.0, 2.0], [7.0, 5.0]])
    own = {"columns": {"length_left": shown[:, 0], "length_right": shown[:, 1]}} if raw else {}
    data = three().with_(covariates={"length": shown}, **own)
    back = an.io.read_trl(data.to_trl(as_list=True), order=order).with_covariates(["length"])
    number = dict(zip(zip(data.menu[:, 0], data.menu[:, 1], strict=True), shown.tolist(), strict=True))
    place = [data.items.names.index(str(text)) for text in back.items.texts]
    for menu, found in zip(back.menu, back.covariates["length"], strict=True):
        a, b = (place[i] for i in menu)
        assert found.tolist() == (number[a, b] if (a, b) in number else number[b, a][::-1])


def test_columns_of_the_winner_follow_the_answer():
    columns = {"winner_rank": [1.0, 2.0, 3.0], "loser_rank": [10.0, 20.0, 30.0]}
    data = three().with_(covariates={}, columns=columns)
    expected = [[1, 10], [20, 2], [3, 30]]  # the second row's answer is the second place
    assert data.with_covariates(["rank"]).covariates["rank"].tolist() == expected
    turned = data.with_covariates({"rank": ("loser_rank", "winner_rank")}).covariates["rank"]
    assert turned.tolist() == expected


@pytest.mark.parametrize(
    ("left", "right", "said"),
    [
        (["5", "3", ""], ["7", "4", "8"], "column 'x_left' has '' in row 2, which is no number; fill it in"),
        (["5", "3", "4"], ["7", "n/a", "8"], "column 'x_right' has 'n/a' in row 1, which is no number"),
        (["de", "en", "de"], ["en", "", "en"], "column 'x_right' is empty in row 1; fill it in"),
        (["v1.0", "a", "a"], ["v1_0", "a", "v1_0"], "two words are written 'x=v1_0' without their dots"),
    ],
)
def test_what_is_missing_in_a_column_is_no_word(left, right, said):
    columns = {"x_left": np.array(left, dtype=object), "x_right": np.array(right, dtype=object)}
    with pytest.raises(DataError, match=said):
        three().with_(columns=columns).with_covariates(["x"])


@pytest.mark.parametrize("wrong", [3, [1, 2]])
def test_columns_are_named_by_texts(wrong):
    with pytest.raises(ArgumentError, match="give a column's name, or two"):
        three().with_covariates({"x": wrong})


@pytest.mark.parametrize(
    ("wrong", "said"), [([1], "numbers .M, k. by name"), ({"a.b": [[1.0, 2.0]]}, "'a.b' cannot be a name")]
)
def test_bad_covariates_of_a_design(wrong, said):
    with pytest.raises(ArgumentError, match=said):
        an.Design(an.Items(n=2), menus=[[0, 1]], covariates=wrong)


def test_names_of_coefficients_are_texts():
    with pytest.raises(ArgumentError, match="cannot name a number"):
        an.rules.Covariates(an.Luce(), [["length"]])
