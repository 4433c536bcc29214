import itertools
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


def weak_orders(k):
    """All ordered partitions of ``range(k)``, by giving every element a level."""
    for levels in itertools.product(range(k), repeat=k):
        if set(levels) == set(range(max(levels) + 1)):
            yield tuple(tuple(i for i in range(k) if levels[i] == level) for level in range(max(levels) + 1))


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_top_answers_with_ties_are_weak_orders_cut_where_the_depth_is_reached(k, depth):
    expected = set()
    for order in weak_orders(k):
        kept = [group for i, group in enumerate(order) if sum(map(len, order[:i])) < depth]
        places = [place for group in kept for place in group]
        marks = [j < len(group) - 1 for group in kept for j in range(len(group))]
        expected.add((*places, *[-1] * (k - len(places)), *(marks + [False] * k)[: k - 1]))
    space = Feedback("top", depth=depth).answers(k, ties=True)
    assert {(*a, *t) for a, t in zip(space.answer.tolist(), space.tied.tolist(), strict=True)} == expected


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("kind", ["ranking", "top", "rating"])
@pytest.mark.parametrize("places", [(0, 2), (1, 2), (1,), (0, 1, 3), (0, 2, 3)])
def test_answers_to_a_menu_with_empty_places_are_those_of_the_shorter_menu(kind, places, ties):
    k = max(places) + 1 + (len(places) == 1)
    feedback = Feedback(kind, depth=2 if kind == "top" else None, grades=3 if kind == "rating" else None)
    space, short, full = (
        feedback.answers(k, ties, filled=(places,)),
        feedback.answers(len(places), ties),
        feedback.answers(k, ties),
    )

    def rows(of):
        marks = np.zeros((len(of), 0), dtype=bool) if of.tied is None else of.tied
        return [(a, t) for a, t in zip(of.answer.tolist(), marks.tolist(), strict=True)]

    expected = {(*a, *t) for a, t in rows(full)}
    for answer, mark in rows(short):
        if kind == "rating":
            wide = [-1] * k
            for place, grade in zip(places, answer, strict=True):
                wide[place] = grade
        else:
            wide = [places[p] if p >= 0 else -1 for p in answer] + [-1] * (k - len(places))
        expected.add((*wide, *mark, *([False] * (k - len(places)) if space.tied is not None else [])))
    assert {(*a, *t) for a, t in rows(space)} == expected and len(space) == len(expected)


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
