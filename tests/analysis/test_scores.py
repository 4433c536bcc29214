"""Clustering, calibration, agreement, Borda and policy scores: closed forms and invariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import annosim as an
from annosim.analysis import (
    adjusted_rand,
    borda_counts,
    borda_scores,
    brier_score,
    calibration_curve,
    calibration_error,
    calibration_slope,
    clustering_accuracy,
    expected_utility,
    log_loss,
    score_policy,
    win_rate,
    win_rate_quantile,
)
from annosim.errors import ArgumentError, NotIdentifiedError


def test_adjusted_rand_by_hand_and_by_symmetry():
    # the example of Hubert and Arabie's formula: contingency [[1, 1, 0], [1, 2, 1], [0, 0, 4]]
    a = [0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    b = [0, 1, 0, 1, 1, 2, 2, 2, 2, 2]
    assert adjusted_rand(a, b) == pytest.approx(0.31257344300822565)
    assert adjusted_rand(b, a) == pytest.approx(adjusted_rand(a, b))
    renamed = [{0: 9, 1: 4, 2: 7}[x] for x in b]
    assert adjusted_rand(a, renamed) == pytest.approx(adjusted_rand(a, b))
    assert adjusted_rand([0] * 5, [1] * 5) == 1.0 and adjusted_rand(range(5), range(5)) == 1.0


def test_adjusted_rand_is_zero_on_average_for_random_labels():
    rng = np.random.default_rng(0)
    scores = [adjusted_rand(rng.integers(3, size=60), rng.integers(4, size=60)) for _ in range(2000)]
    # mean of 2,000 within six standard errors (false-alarm rate 2e-9)
    assert abs(np.mean(scores)) < 6 * np.std(scores) / np.sqrt(2000)


def test_clustering_accuracy_with_unequal_numbers_of_types():
    assert clustering_accuracy([0, 0, 1, 1], [0, 1, 2, 2]) == 0.75
    assert clustering_accuracy([0, 1, 2, 3], [0, 0, 0, 0]) == 0.25
    with pytest.raises(ArgumentError, match="one of each"):
        adjusted_rand([0, 1], [0])


def test_proper_scores_are_minimised_by_the_truth():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.95, 200)
    for score in (brier_score, log_loss):
        assert score(p, p) <= min(score(np.clip(p + d, 0, 1), p) for d in (-0.05, 0.01, 0.05))
    assert log_loss([1.0], [0]) == np.inf and log_loss([1.0, 0.0], [1, 0]) == 0.0


def test_calibration_curve_and_error():
    curve = calibration_curve([0.05, 0.05, 0.95, 1.0], [0, 1, 1, 1], bins=10, weight=[1, 1, 2, 2])
    assert curve.tolist() == pytest.approx(np.array([[0.05, 0.5, 2.0], [0.975, 1.0, 4.0]]))
    assert calibration_error([0.05, 0.05], [0, 1]) == pytest.approx(0.45)


def test_calibration_slope_recovers_a_scale():
    rng = np.random.default_rng(0)
    logit = rng.normal(size=400)
    share = 1 / (1 + np.exp(-0.4 * logit))  # infinite data: shares
    assert calibration_slope(logit, share).slope == pytest.approx(0.4, abs=1e-8)
    assert calibration_slope(10 * logit, share).slope == pytest.approx(0.04, abs=1e-9)
    with pytest.raises(NotIdentifiedError, match="separate"):
        calibration_slope([1.0, -1.0], [1, 0])


def test_borda_orders_as_bradley_terry_for_one_type_and_is_linear_in_types():
    items = an.Items(n=5)
    rng = np.random.default_rng(0)
    one, two = (an.Annotator(an.Tabular(rng.normal(size=5)), an.Luce()) for _ in range(2))
    assert borda_scores(one, items).argsort().tolist() == one.utility.values.argsort().tolist()
    mixed = borda_scores(an.Mixture([one, two], weights=[0.3, 0.7]), items)
    assert mixed.tolist() == pytest.approx((0.3 * borda_scores(one, items) + 0.7 * borda_scores(two, items)).tolist())
    assert float(mixed.mean()) == pytest.approx(0.5)


def test_borda_counts_estimate_borda_scores():
    items = an.Items(n=4)
    people = an.Annotator(an.Tabular([0.0, 0.5, 1.0, -1.0]), an.Luce())
    data = an.simulate(people, an.Design(items, annotators=20_000), seed=0)
    # each score is a mean of about 10,000 answers: six standard errors of at most .005 (false-alarm rate 1e-8)
    assert borda_counts(data) == pytest.approx(borda_scores(people, items).numpy(), abs=6 * 0.5 / np.sqrt(9_000))


def test_borda_counts_of_rankings_and_choices():
    ranking = an.PreferenceData(an.Items(n=3), menu=[[2, 1, 0]], answer=[[1, 0, 2]], feedback="ranking")
    assert borda_counts(ranking).tolist() == [0.0, 1.0, 0.5]
    choice = an.PreferenceData(an.Items(n=3), menu=[[2, 1, 0]], answer=[1])
    assert borda_counts(choice).tolist() == [0.0, 1.0, 0.0]


def test_a_tie_is_half_a_win_for_both():
    """Items 0 and 1 are tied and both beat item 2; then 0 beats 1 in a pair: 0 has 2.5 of 3, 1 has 1.5 of 3."""
    data = an.PreferenceData(
        an.Items(n=3),
        menu=[[0, 1, 2], [1, 0, -1]],
        answer=[[0, 1, 2], [1, 0, -1]],
        tied=[[True, False], [False, False]],
        feedback="ranking",
    )
    assert borda_counts(data) == pytest.approx([2.5 / 3, 1.5 / 3, 0.0])


def test_bins_of_calibration_have_equal_widths():
    """Every forecast lies within its own bin, and the last one takes 1."""
    p = np.linspace(0, 1, 201)
    curve = calibration_curve(p, np.zeros(201), bins=4)
    assert curve[:, 2].tolist() == [50, 50, 50, 51]
    assert (curve[:, 0] * 4).astype(int).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_calibration_slope_does_not_know_the_unit_of_the_logits(scale):
    """The error is that of one logistic coefficient: the curvature at the maximum, in the logits' unit."""
    x = np.array([0.5, 1.0, 2.0, -1.0, 1.5])
    y = np.array([1.0, 0.0, 1.0, 0.0, 1.0])
    found, unit = calibration_slope(scale * x, y), calibration_slope(x, y)
    assert found.slope * scale == pytest.approx(unit.slope, rel=1e-8)
    p = 1 / (1 + np.exp(-unit.slope * x))
    assert unit.standard_error == pytest.approx((p * (1 - p) * x * x).sum() ** -0.5, rel=1e-8)
    assert found.standard_error * scale == pytest.approx(unit.standard_error, rel=1e-8)


def test_win_rates():
    items = an.Items(n=3)
    pi0 = [1 / 3] * 3
    u = an.Tabular([0.0, 1.0, 1.0])
    assert win_rate(pi0, u, items, pi0) == pytest.approx(0.5)
    assert win_rate([0.0, 1.0, 0.0], u, items, pi0) == pytest.approx(1 / 3 + 1 / 3)
    assert win_rate([0.0, 1.0, 0.0], u, items, pi0) + win_rate(pi0, u, items, [0.0, 1.0, 0.0]) == pytest.approx(1)
    assert win_rate_quantile([0.0, 1.0, 0.0], u, items, pi0, 0.3) == 1.0
    assert win_rate_quantile([0.0, 1.0, 0.0], u, items, pi0, 0.5) == 0.5
    for level in (0.0, 1.0, 85, np.nan):
        with pytest.raises(ArgumentError, match="level="):
            win_rate_quantile(pi0, u, items, pi0, level)
        with pytest.raises(ArgumentError, match="level="):
            score_policy(pi0, u, pi0, items, level)


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=6), seed=st.integers(0, 10_000))
def test_win_rates_are_sums_over_pairs_of_responses(sizes, seed):
    """With equal utilities, responses of no mass, and prompts of several sizes in mixed order."""
    rng = np.random.default_rng(seed)
    prompts = rng.permutation(np.repeat(10 + 3 * np.arange(len(sizes)), sizes))
    items, u = an.Items(n=len(prompts), prompts=prompts), rng.integers(0, 3, len(prompts)).astype(float)
    ours, theirs = rng.integers(0, 3, (2, len(prompts))).astype(float)
    for one in np.unique(prompts):
        for masses in (ours, theirs):
            masses[prompts == one] += float(not masses[prompts == one].any())
            masses[prompts == one] /= masses[prompts == one].sum()
    level = float(rng.choice([0.25, 0.5, 0.85]))
    rates, beats = [], []
    for one in np.unique(prompts):
        at = np.flatnonzero(prompts == one)
        rates.append(sum(ours[i] * theirs[j] * (0.5 + np.sign(u[i] - u[j]) / 2) for i in at for j in at))
        bar = min(v for v in u[at] if theirs[at][u[at] <= v].sum() >= level - 1e-12)
        beats.append(sum(ours[i] * (0.5 + np.sign(u[i] - bar) / 2) for i in at))
    found = win_rate(ours, u, items, theirs, per_prompt=True), win_rate_quantile(ours, u, items, theirs, level, True)
    np.testing.assert_allclose(found, [rates, beats], atol=1e-12)
    assert win_rate(ours, u, items, theirs) == pytest.approx(np.mean(rates), abs=1e-12)


def test_policy_scores_of_a_mixture():
    items = an.Items(n=4, prompts=[0, 0, 1, 1])
    people = an.Mixture(
        [an.Annotator(an.Tabular(v), an.Luce()) for v in ([0.0, 1.0, 0.0, 3.0], [2.0, 0.0, 0.0, 0.0])],
        weights=[0.5, 0.5],
    )
    score = score_policy([0.0, 1.0, 0.0, 1.0], people, [0.5] * 4, items)
    assert score.utility.tolist() == [2.0, 0.0]
    assert score.regret.tolist() == [0.0, 1.0] and score.worst == 1
    assert score.kl == pytest.approx(np.log(2))
    assert expected_utility([0.5] * 4, people, items).tolist() == [1.0, 0.5]
    assert 0 < score.borda < 1
