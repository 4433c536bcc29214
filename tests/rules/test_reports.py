"""Hidden parts, regrets and exaggeration: limits in which they are plain Luce, and what a learner makes of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import annosim as an
from annosim.errors import ArgumentError

N = 6
ITEMS = an.Items(n=N)
UTILITY = np.array([0.0, 1.0, -1.0, 0.5, 2.0, -0.5])


def learned(rule, utility=UTILITY, items=ITEMS):
    """Plain Bradley-Terry with infinite data, centred."""
    people = an.Annotator(an.Tabular(utility), rule)
    found = an.project(
        an.Annotator(an.Tabular(N), an.Luce()), people, an.Design(items)
    ).population.utility.values.detach()
    return (found - found.mean()).numpy()


def centred(x):
    return np.asarray(x) - np.mean(x)


def test_where_every_item_looks_different_nothing_is_hidden():
    rule = an.rules.SeesObservation(an.Luce(), np.arange(N))
    np.testing.assert_allclose(learned(rule), centred(UTILITY), atol=1e-8)


def test_a_reward_of_what_is_seen_is_the_mean_that_raters_believe_in():
    looks, belief = np.array([0, 0, 1, 1, 1, 2]), np.array([1.0, 3.0, 1.0, 1.0, 2.0, 5.0])
    expected = np.array([np.average(UTILITY[looks == k], weights=belief[looks == k]) for k in looks])
    np.testing.assert_allclose(
        learned(an.rules.SeesObservation(an.Luce(), looks, belief)), centred(expected), atol=1e-8
    )
    columns = an.Items(n=N, columns={"observation": looks, "often": belief})
    rule = an.rules.SeesObservation(an.Luce(), belief="often")
    np.testing.assert_allclose(learned(rule, items=columns), centred(expected), atol=1e-8)


def test_hiding_is_not_identified_among_items_that_look_alike():
    people = an.Annotator(an.Tabular(UTILITY), an.rules.SeesObservation(an.Luce(), [0, 0, 1, 2, 3, 4]))
    report = an.identify(people, an.Design(ITEMS))
    assert report.rank == N - 2 and report.num_parameters == N - 2


def test_a_learner_of_partial_returns_learns_the_advantage_from_preferences_by_regret():
    start, end = np.array([3.0, 1, 0, 2, 1, 0]), np.array([1.0, 1, 2, 0, 3, 1])
    rule = an.rules.RegretPreference(an.Luce(), start, end)
    np.testing.assert_allclose(learned(rule), centred(UTILITY + end - start), atol=1e-8)
    np.testing.assert_allclose(learned(an.rules.RegretPreference(an.Luce(), start, start)), centred(UTILITY), atol=1e-8)


def test_a_learner_that_knows_the_values_finds_the_return():
    start, end = np.arange(N) / 3.0, np.array([1.0, 1, 2, 0, 3, 1])
    rule = an.rules.RegretPreference(an.Luce(), start, end)
    people = an.Annotator(an.Tabular(UTILITY), rule)
    found = an.project(an.Annotator(an.Tabular(N), rule), people, an.Design(ITEMS)).population.utility.values.detach()
    np.testing.assert_allclose(centred(found.numpy()), centred(UTILITY), atol=1e-7)


def test_exaggeration_moves_the_learned_reward_away_from_the_others_and_honesty_does_not():
    others = np.linspace(-1, 1, N)
    np.testing.assert_allclose(learned(an.rules.Strategic(an.Luce(), others, 0.0)), centred(UTILITY), atol=1e-8)
    expected = centred(UTILITY + 2.0 * (UTILITY - others))
    np.testing.assert_allclose(learned(an.rules.Strategic(an.Luce(), others, 2.0)), expected, atol=1e-8)


def test_a_free_strength_is_estimated():
    others = np.array([1.0, -1.0, 0.0, 2.0, 0.0, 0.0])
    people = an.Annotator(an.Linear([1.0]), an.rules.Strategic(an.Luce(), others, 0.7))
    items = an.Items(features=UTILITY[:, None])
    model = an.Annotator(an.Linear([1.0]).frozen(), an.rules.Strategic(an.Luce(), others, an.free(0.1)))
    found = an.project(model, people, an.Design(items)).population.free_parameters()
    assert float(found["rule.strength"]) == pytest.approx(0.7, abs=1e-6)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (an.rules.SeesObservation(an.Luce()), "no column 'observation'"),
        (an.rules.RegretPreference(an.Luce()), "no column 'end_value'"),
        (an.rules.Strategic(an.Luce()), "no column 'others'"),
        (an.rules.SeesObservation(an.Luce(), np.zeros(N), np.zeros(N)), "positive for an item"),
        (an.rules.SeesObservation(an.Luce(), np.zeros(N), -np.ones(N)), "nonnegative"),
    ],
)
def test_what_is_missing_is_named(rule, message):
    with pytest.raises(ArgumentError, match=message):
        rule.index(torch.zeros(N), ITEMS)
