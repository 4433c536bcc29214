"""Data that contradict themselves are refused in one line that says where."""

from __future__ import annotations

import numpy as np
import pytest

import annosim as an
from annosim.errors import ArgumentError, DataError


def refused(error, call, *parts):
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    return caught.value


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
    "names that repeat": ({"annotator": [0, 1], "annotator_names": ["ann", "ann"]}, "'ann' appears twice"),
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
    refused(DataError, lambda: an.PreferenceData.from_frame(long.assign(position=0)), "appears twice")
    refused(DataError, lambda: an.PreferenceData.from_frame(long.assign(answer=2)), "a choice is 1")


def test_answers_like_those_of_no_data_are_refused():
    person = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
    refused(
        ArgumentError, lambda: an.simulation.simulate_like(person, 3), "simulate_like(Annotator, int)", "fit.population"
    )
