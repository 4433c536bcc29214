"""The spread of items at the edges: an error with words, or the right answer; never a number that is none."""

from __future__ import annotations

import numpy as np
import pytest

import annosim as an
from annosim.errors import ArgumentError, DataError, NotIdentifiedError
from annosim.learning import estimate_spread

SIX = [[0, 1], [1, 2], [2, 0], [1, 0], [2, 1], [0, 2]]
MIXED = [0, 1, 0, 1, 1, 0] * 5


def data(answer=MIXED, **more):
    return an.PreferenceData(an.Items(n=3), SIX * 5, answer, **more)


def table(rule=None, n=3):
    return an.Annotator(an.Tabular(n), an.Luce() if rule is None else rule)


def position():
    return table(an.PositionBias(an.Luce(), shift=an.free(0.0)))


def covariate(values):
    return table(an.rules.Covariates(an.Luce(), ["length"])), data(covariates={"length": values})


@pytest.mark.parametrize("menus", [SIX * 5, [[0, 1], [1, 2], [0, 2]] * 5])
def test_a_position_that_always_wins_has_no_finite_effect(menus):
    always = an.PreferenceData(an.Items(n=3), menus, [0] * len(menus))
    with pytest.raises(NotIdentifiedError, match=r"rule\.shift.*give the rule's number as a number"):
        estimate_spread(position(), always)


def test_a_covariate_that_separates_has_no_finite_coefficient():
    wins = (np.arange(2)[None] == np.array(MIXED)[:, None]).astype(float)
    with pytest.raises(NotIdentifiedError, match="separated along length"):
        estimate_spread(*covariate(wins))
    with pytest.raises(NotIdentifiedError, match="the same for all alternatives"):
        estimate_spread(*covariate(np.ones((30, 2))))
    found = estimate_spread(*covariate(np.random.default_rng(0).normal(size=(30, 2))))
    assert np.isfinite([found.sd, found.low, *found.utilities, *found.errors]).all()


@pytest.mark.parametrize(
    ("model", "answers", "error", "words"),
    [
        (table(), data(weight=np.zeros(30)), ArgumentError, "nobody answered"),
        (table(n=1), an.PreferenceData(an.Items(n=1), [[0, 0]], [0]), ArgumentError, "no prompt has two items"),
        (table(n=2), an.PreferenceData(an.Items(n=2), [[0, 1]], [-1]), DataError, "skip"),
        (
            table(an.Davidson(delta=an.free(1.0))),
            an.PreferenceData(an.Items(n=3), SIX, [[0, 1]] * 6, tied=[[True]] * 6),
            NotIdentifiedError,
            "every answer is a tie",
        ),
    ],
)
def test_nothing_to_estimate_is_said(model, answers, error, words):
    with pytest.raises(error, match=words):
        estimate_spread(model, answers)


def test_weights_of_0_are_answers_that_are_not_there():
    some = np.arange(30) > 12
    with_zeros = estimate_spread(table(), data(weight=some.astype(float)))
    without = estimate_spread(table(), data().take(some))
    assert with_zeros.sd == pytest.approx(without.sd, rel=1e-5)


def test_separated_items_have_no_upper_end():
    found = estimate_spread(table(), data([0, 0, 1, 1, 1, 0] * 5))
    assert found.high == np.inf and 0 < found.low < found.sd < np.inf
