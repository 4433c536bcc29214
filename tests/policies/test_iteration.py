"""Rounds of learning: closed forms with one annotator, the fate of a minority with two, and the ways to hold it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import annosim as an
from annosim.errors import ArgumentError, NotIdentifiedError

ITEMS = an.Items(n=5)
UTILITY = np.array([0.0, 1.0, -1.0, 0.5, 2.0])
ONE = an.Annotator(an.Tabular(UTILITY), an.Luce())
START = an.LogDensity(an.Tabular(np.log([0.1, 0.3, 0.2, 0.2, 0.2])))


def masses(found):
    assert np.allclose(found.mass.sum(1), 1)
    return found.mass


def test_one_luce_annotator_is_added_in_each_round_or_once():
    start = masses(an.iterate(ONE, START, ITEMS, 1, beta=2.0))[0]
    for reference, times in (("moving", 3), ("fixed", 1)):
        expected = start * np.exp(times * UTILITY / 2.0)
        found = an.iterate(ONE, START, ITEMS, 3, beta=2.0, reference=reference)
        np.testing.assert_allclose(masses(found)[3], expected / expected.sum(), atol=1e-9)
        np.testing.assert_allclose(found.rewards[-1], UTILITY - UTILITY.mean(), atol=1e-8)
    assert found.kl[0] == pytest.approx(0, abs=1e-12) and found.kl[1] > 0


def test_another_way_to_improve_is_a_function():
    found = an.iterate(ONE, START, ITEMS, 2, improve=lambda pi, reward: an.policies.best_of_n(pi, reward, 3))
    policy = START
    for t in (1, 2):
        policy = an.policies.best_of_n(policy, an.Tabular(UTILITY), 3)
        np.testing.assert_allclose(masses(found)[t], policy.mass(ITEMS).numpy(), atol=1e-9)


TWO = an.Mixture(
    [an.Annotator(an.Tabular([3.0, 0.0, -3.0]), an.Luce()), an.Annotator(an.Tabular([-3.0, 0.0, 3.0]), an.Luce())],
    weights=[0.4, 0.6],
)
EVEN = an.LogDensity(an.Tabular(np.zeros(3)))


def minority(**how):
    return masses(an.iterate(TWO, EVEN, an.Items(n=3), 12, **how))[:, 0]


def test_a_minority_dies_out_under_a_moving_reference_and_not_under_a_fixed_one():
    moving, fixed = minority(), minority(reference="fixed")
    assert (np.diff(moving) < 0).all() and moving[-1] < 0.06
    assert fixed[-1] > 0.2 and abs(fixed[-1] - fixed[-2]) < 1e-6


def test_mixing_keeps_every_item_asked():
    mixed = an.iterate(TWO, EVEN, an.Items(n=3), 3, mixing=1.0)
    once = an.iterate(TWO, EVEN, an.Items(n=3), 1)
    np.testing.assert_allclose(mixed.rewards, np.repeat(once.rewards, 3, axis=0), atol=1e-8)


def test_every_round_asks_anew():
    """From a fixed reference under a step that learns nothing each round draws the same menus; only the answers differ."""
    found = an.iterate(ONE, START, ITEMS, 2, answers=300, improve=lambda pi, reward: pi, prior=an.priors.Gaussian(3.0))
    assert np.abs(found.rewards[0] - found.rewards[1]).max() > 0.01


def test_kept_answers_are_learned_from_again():
    one, kept = (an.iterate(ONE, START, ITEMS, 3, keep=keep) for keep in (False, True))
    np.testing.assert_allclose(
        one.rewards, kept.rewards, atol=1e-6
    )  # one annotator: where pairs come from is no matter
    assert not np.allclose(minority(), minority(keep=True), atol=1e-3)


def test_finite_answers_come_near_the_exact_rounds_and_a_seed_repeats_them():
    exact = an.iterate(ONE, START, ITEMS, 2)
    drawn = [an.iterate(ONE, START, ITEMS, 2, answers=20_000, seed=seed) for seed in (0, 0, 1)]
    # 20,000 pairs: the error of a mass is of the order .01; five times that
    assert np.abs(drawn[0].mass - exact.mass).max() < 0.05
    np.testing.assert_array_equal(drawn[0].mass, drawn[1].mass)
    assert not np.array_equal(drawn[0].mass, drawn[2].mass)


def test_few_answers_need_a_prior():
    with pytest.raises(NotIdentifiedError):
        an.iterate(ONE, START, ITEMS, 2, answers=3)
    assert np.isfinite(an.iterate(ONE, START, ITEMS, 2, answers=3, prior=an.priors.Gaussian(1.0)).rewards).all()


def test_prompts_are_kept_apart():
    items = an.Items(n=4, prompts=[0, 0, 1, 1])
    people = an.Annotator(an.Tabular([1.0, 0.0, 0.0, 2.0]), an.Luce())
    found = an.iterate(people, an.LogDensity(an.Tabular(np.zeros(4))), items, 2)
    expected = torch.sigmoid(torch.tensor([2.0, -2.0, -4.0, 4.0])).numpy()
    np.testing.assert_allclose(found.mass[2], expected, atol=1e-8)


def test_the_result_is_a_table_and_a_figure():
    found = an.iterate(ONE, START, ITEMS, 2)
    frame = found.to_frame()
    assert list(frame) == ["round", "item", "mass", "reward"] and len(frame) == 15
    assert frame.reward.isna().sum() == 5 and "rounds" in repr(found)
    assert len(found.plot().lines) == 5


@pytest.mark.parametrize("how", [{"rounds": 0}, {"beta": 0.0}, {"mixing": 1.5}, {"reference": "still"}])
def test_what_means_nothing_is_refused(how):
    with pytest.raises(ArgumentError, match="iterate"):
        an.iterate(ONE, START, ITEMS, **how)


def test_ties_and_skips_are_read_alike_from_the_law_and_from_answers_and_said():
    skipping = an.Annotator(an.Tabular([0.0, 0.0, 1.0]), an.rules.Skip(an.Davidson(0.5), 0.2))
    exact, kept = (an.iterate(skipping, EVEN, an.Items(n=3), 1, keep=keep) for keep in (False, True))
    np.testing.assert_allclose(exact.mass, kept.mass, atol=1e-12)
    halves = an.project(
        an.Annotator(an.Tabular(3), an.Luce()), skipping, an.Design(an.Items(n=3), proposal=EVEN, annotators=1)
    )
    expected = halves.population.utility.values.detach().numpy()
    np.testing.assert_allclose(exact.rewards[0], expected - expected.mean(), atol=1e-8)
    drawn = an.iterate(skipping, EVEN, an.Items(n=3), 1, answers=20_000, seed=3)
    # five standard errors of a reward are .06 or less at this size
    np.testing.assert_allclose(drawn.rewards, exact.rewards, atol=0.12)
    for found in (exact, kept, drawn):
        ties, skips = found.notes
        assert "ties, read as half wins" in ties and "skips, left out" in skips
        assert float(skips.split()[2]) == pytest.approx(0.2, abs=0.02)
    assert not an.iterate(ONE, START, ITEMS, 1).notes
