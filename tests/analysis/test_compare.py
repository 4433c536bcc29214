"""Comparison of laws and populations: closed forms, invariances, and the sampled path against the exact one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import annosim as an
from annosim.analysis import law_divergence
from annosim.coordinates import align_types, population_distance
from annosim.errors import ArgumentError


def two_types(seed: int = 0, n: int = 4, weights=(0.7, 0.3)) -> an.Mixture:
    rng = np.random.default_rng(seed)
    return an.Mixture([an.Annotator(an.Tabular(rng.normal(size=n)), an.Luce()) for _ in weights], weights=list(weights))


def test_pair_law_divergence_is_the_bernoulli_one():
    design = an.Design(an.Items(n=2), menus=[[0, 1]])
    a, b = (an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (1.0, -0.5))
    p, q = 1 / (1 + np.exp(1.0)), 1 / (1 + np.exp(-0.5))
    found = law_divergence(a, b, design)
    assert found.method == "exact"
    assert found.total_variation == pytest.approx(abs(p - q), abs=1e-14)
    kl = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    assert found.kl == pytest.approx(kl, abs=1e-14)
    assert found.excess_cross_entropy == pytest.approx(kl, abs=1e-14)


@pytest.mark.parametrize("feedback", ["choice", "ranking"])
@pytest.mark.parametrize("questions", [1, 2])
def test_a_population_is_at_distance_zero_from_its_renaming(feedback, questions):
    truth = two_types()
    design = an.Design(an.Items(n=4), menu_size=3, feedback=feedback, questions=questions)
    score = an.compare(truth.relabelled([1, 0]), truth, design)
    assert score.total_variation == pytest.approx(0, abs=1e-12)
    assert score.kl == pytest.approx(0, abs=1e-12)
    assert score.alignment.tolist() == [1, 0]
    assert score.parameter_distance == pytest.approx(0, abs=1e-12)
    assert score.regret == pytest.approx([0, 0], abs=1e-12)


def test_a_comparison_says_which_type_was_taken_for_which():
    spam = an.Annotator(an.Tabular([0.0, 0.0]), an.rules.Spammer())
    truth = an.Mixture([an.Annotator(an.Tabular([0.0, 2.0]), an.Luce()), spam], weights=[0.75, 0.25])
    shown = repr(an.compare(an.Annotator(an.Tabular([0.0, 1.5]), an.Luce()), truth, an.Design(an.Items(n=2))))
    assert "true 0 (Luce, 0.75) is fitted 0 (Luce, 1)\n" in shown
    assert "true 1 (Spammer, 0.25) is left over; the nearest is fitted 0 (Luce, 1)\n" in shown
    many = an.Mixture([an.Annotator(an.Tabular([0.0, float(k)]), an.Luce()) for k in range(11)])
    assert "and 3 more\n" in repr(an.compare(many, many, an.Design(an.Items(n=2))))


def test_normalisation_does_not_enter_parameter_distance():
    items = an.Items(n=5, prompts=[0, 0, 0, 1, 1])
    u = np.array([1.0, 2.0, 0.5, -1.0, 3.0])
    shifted = u + np.array([4.0, 4.0, 4.0, -7.0, -7.0])
    a, b = (an.Annotator(an.Tabular(v), an.Luce()) for v in (u, shifted))
    assert population_distance(a, b, items) == pytest.approx(0, abs=1e-12)


def test_pinsker_and_data_processing():
    for seed in range(10):
        a, b = two_types(seed), two_types(seed + 100)
        one, two = (an.Design(an.Items(n=4), questions=q) for q in (1, 2))
        first, second = law_divergence(a, b, one), law_divergence(a, b, two)
        assert first.total_variation <= np.sqrt(first.kl / 2) + 1e-12
        assert second.total_variation >= first.total_variation - 1e-12
        assert second.kl >= first.kl - 1e-12


def test_block_kl_of_single_types_is_a_sum_over_questions():
    a, b = (an.Annotator(an.Tabular(v), an.Luce()) for v in ([0.0, 1.0, 2.0], [0.0, -1.0, 0.3]))
    design = an.Design(an.Items(n=3), questions=3)
    exact = law_divergence(a, b, design)
    factors = law_divergence(a, b, design, max_outcomes=10)
    assert (exact.method, factors.method) == ("exact", "factors")
    assert factors.kl == pytest.approx(exact.kl, rel=1e-10)
    assert exact.kl == pytest.approx(3 * exact.excess_cross_entropy, rel=1e-10)


@pytest.mark.parametrize("limits", [{"max_outcomes": 10}, {"max_menus": 2}])
def test_sampled_distances_agree_with_exact_ones(limits):
    a, b = two_types(0), two_types(7)
    design = an.Design(an.Items(n=4), questions=2)
    exact = law_divergence(a, b, design)
    found = law_divergence(a, b, design, **limits, draws=20_000, seed=3)
    assert found.method == "sample" and found.kl_error > 0
    # six standard errors: false-alarm rate about 2e-9 each (fixed seed)
    assert abs(found.total_variation - exact.total_variation) < 6 * found.total_variation_error
    assert abs(found.kl - exact.kl) < 6 * found.kl_error


def test_fixed_sequence_of_questions():
    a, b = two_types(0), two_types(7)
    menus = [[0, 1], [1, 2], [2, 3]]
    exact = law_divergence(a, b, an.Design(an.Items(n=4), menus=menus, questions="all"))
    sampled = law_divergence(a, b, an.Design(an.Items(n=4), menus=menus, questions="all"), max_outcomes=2)
    assert abs(sampled.kl - exact.kl) < 6 * sampled.kl_error
    assert abs(sampled.total_variation - exact.total_variation) < 6 * sampled.total_variation_error


def test_regret_is_what_the_favourite_costs():
    items = an.Items(n=3)
    truth = an.Annotator(an.Tabular([0.0, 1.0, 3.0]), an.Luce())
    fitted = an.Annotator(an.Tabular([0.0, 2.0, 1.0]), an.Luce())
    assert an.compare(fitted, truth, an.Design(items)).regret.tolist() == [2.0]


def test_densities_are_compared_when_both_sides_have_them():
    grid = an.Items.grid(-10, 10, 401)
    p, q = an.utilities.truncated_normal(0.0, 1.0), an.utilities.truncated_normal(1.0, 1.0)
    a, b = (an.Annotator(d, an.Luce()) for d in (p, q))
    score = an.compare(b, a, an.Design(grid, annotators=1))
    from scipy.stats import norm

    assert score.density_kl[0] == pytest.approx(0.5, abs=1e-6)  # (m1 - m2)^2 / (2 s^2)
    assert score.density_total_variation[0] == pytest.approx(2 * norm.cdf(0.5) - 1, abs=1e-3)


def test_more_true_types_than_fitted_ones():
    truth = two_types()
    pooled = an.Annotator(an.Tabular(truth.types[0].utility.values.detach().numpy()), an.Luce())
    found = align_types(pooled, truth, an.Items(n=4))
    assert found.match.tolist() == [0, -1] and found.nearest.tolist() == [0, 0]
    weights = truth.weights.detach().numpy()  # the type that is missing stands for one of share zero
    assert found.distance == pytest.approx(np.hypot(1 - weights[0], weights[1])) and np.isnan(found.weight_error[1])


def test_clustering_scores_need_types():
    class Fitted:
        population = two_types()
        responsibilities = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])

    design = an.Design(an.Items(n=4))
    assert an.compare(Fitted(), two_types(), design).adjusted_rand is None
    assert an.compare(Fitted(), two_types(), design, types=[1, 0, 1]).adjusted_rand == 1.0
    with pytest.raises(ArgumentError, match="types="):
        an.compare(Fitted(), two_types(), design, types=[1, 0])
    with pytest.raises(ArgumentError, match="fits or populations"):
        an.compare(3, two_types(), design)


def test_replicates_are_compared_one_by_one():
    truth = two_types(n=3)
    design = an.Design(an.Items(n=3), menu_size=3, annotators=400, questions=2)
    data = an.simulate(truth, design, seed=0, replicates=2)
    fits = an.fit(truth.like(seed=1), data)
    both = an.compare(fits, truth, design, types=data.truth["type"])
    for r in (0, 1):
        one = an.compare(fits[r], truth, design, types=data.truth["type"][r])
        assert both.kl[r] == one.kl and both.adjusted_rand[r] == one.adjusted_rand
        assert both.regret[r].tolist() == one.regret.tolist()
    assert "2 compared" in repr(both)


def test_a_fit_brings_the_types_of_its_simulated_data():
    truth = an.Mixture([an.Annotator(an.Tabular([0.0, 1.0, s]), an.Luce()) for s in (3.0, -2.0)], weights=[0.6, 0.4])
    design = an.Design(an.Items(n=3), menu_size=3, annotators=300, questions=4)
    data = an.simulate(truth, design, seed=0)
    score = an.compare(an.fit(truth.like(seed=1), data, starts=2), truth, design)
    assert score.adjusted_rand > 0.5 and score.clustering_accuracy > 0.8


def test_three_types_are_found_again():
    """Types so far apart that twelve answers tell them: nearly all annotators are sorted as they were drawn."""
    people = an.Mixture([an.Annotator(an.Tabular(u), an.Luce()) for u in (np.eye(3) * 6.0).tolist()], [0.5, 0.3, 0.2])
    design = an.Design(an.Items(n=3), annotators=200, questions=12)
    score = an.compare(an.fit(people, an.simulate(people, design, seed=0)), people, design)
    assert score.adjusted_rand > 0.95 and score.clustering_accuracy > 0.97


def test_regret_is_a_mean_over_prompts():
    """The fitted favourites lose nothing in the first prompt and 3 in the second: 1.5 on average."""
    items = an.Items(n=4, prompts=[0, 0, 1, 1])
    truth, fitted = (an.Annotator(an.Tabular(u), an.Luce()) for u in ([1.0, 0.0, 3.0, 0.0], [1.0, 0.0, 0.0, 1.0]))
    assert an.compare(fitted, truth, an.Design(items)).regret == pytest.approx([1.5])


def test_a_sampled_divergence_is_the_exact_one_with_less_noise_than_plain_averages():
    """The control variate: the standard error is below that of a plain mean of log ratios (by exact moments)."""
    types = [an.Annotator(an.Tabular(u), an.Luce()) for u in ([0.4, 0.0, -0.4], [-0.2, 0.0, 0.2])]
    truth, other = an.Mixture(types, [0.8, 0.2]), an.Mixture(types, [0.3, 0.7])
    design = an.Design(an.Items(n=3), menu_size=3, questions=2)
    exact, sampled = (law_divergence(truth, other, design, max_outcomes=most, draws=20_000) for most in (1e6, 10))
    assert (exact.method, sampled.method == "exact") == ("exact", False)
    p, q = (an.law(one, design).probabilities for one in (truth, other))
    ratio = np.log(p / q)
    plain = float(np.sqrt((p * (ratio - exact.kl) ** 2).sum() / 20_000))
    assert 0 < sampled.kl_error < 0.5 * plain
    assert abs(sampled.kl - exact.kl) < 6 * sampled.kl_error
