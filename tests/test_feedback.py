import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as hs

from annosim.errors import ArgumentError
from annosim.feedback import KINDS, Feedback

FUBINI = {1: 1, 2: 3, 3: 13, 4: 75, 5: 541}


@given(hs.sampled_from(KINDS), hs.integers(2, 5), hs.booleans(), hs.booleans())
def test_answers_are_distinct_and_counted(kind, k, ties, skips):
    feedback = Feedback(kind, depth=2 if kind == "top" else None, grades=3 if kind == "rating" else None)
    space = feedback.answers(k, ties, skips)
    marks = np.zeros((len(space), 0)) if space.tied is None else space.tied
    rows = {(*a, *t) for a, t in zip(space.answer.tolist(), marks.tolist(), strict=True)}
    assert len(rows) == len(space) == feedback.count(k, ties) + skips
    assert space.answer.shape[1] == feedback.width(k, ties)


@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_numbers_of_rankings(k):
    assert len(Feedback("ranking").answers(k)) == math.factorial(k)
    assert len(Feedback("ranking").answers(k, ties=True)) == FUBINI[k]
    assert len(Feedback("choice").answers(k, ties=True)) == 2**k - 1


def test_a_tied_pair_is_written_as_the_contract_words_it():
    space = Feedback("ranking").answers(2, ties=True)
    tied = space.answer[space.tied[:, 0]]
    assert tied.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    "bad",
    [
        {"kind": "chioce"},
        {"kind": "top"},
        {"kind": "choice", "depth": 2},
        {"kind": "choice", "grades": 3},
        {"kind": "rating", "grades": 1},
        {"kind": "top", "depth": 0},
    ],
)
def test_bad_feedback_is_refused(bad):
    with pytest.raises(ArgumentError):
        Feedback(**bad)
