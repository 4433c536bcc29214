"""LSC and its combinations against mpmath-free closed forms, references, ensembles and dependence."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import annosim as an
from annosim.errors import ArgumentError
from annosim.policies import dependence_error


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x)))


ITEMS = an.Items(n=6, prompts=[0, 0, 0, 1, 1, 1])
R = np.array([0.0, 1.0, 5.0, -2.0, 0.5, 0.7])


def test_lsc_values_and_slope():
    u = an.policies.lsc(an.Tabular(R), [1.0, 0.0])(ITEMS).numpy()
    assert u == pytest.approx(np.log(sigmoid(R - np.repeat([1.0, 0.0], 3))), abs=1e-14)
    x = np.linspace(-30, 30, 2001)
    grid = an.Items(n=2001)
    values = an.policies.lsc(an.Tabular(x), 0.3)(grid).numpy()
    slope = np.gradient(values, x)
    assert slope[1:-1] == pytest.approx(sigmoid(0.3 - x)[1:-1], abs=2e-4)


def test_reference_far_above_gives_the_raw_reward_back():
    reference = an.policies.ItemDensity(np.ones(6))
    raw = an.policies.gibbs(reference, an.Tabular(R), 0.7).mass(ITEMS)
    far = an.policies.gibbs(reference, an.policies.lsc(an.Tabular(R), 60.0), 0.7).mass(ITEMS)
    assert torch.allclose(raw, far, atol=1e-12)


def test_lsc_is_invariant_to_a_shift_per_prompt_when_the_reference_is_read_off_the_reward():
    pi0 = an.policies.ItemDensity(np.ones(6))
    shifted = R + np.repeat([10.0, -4.0], 3)
    for reference in (
        an.policies.reference_quantile(pi0),
        an.policies.reference_mean(pi0),
        an.policies.reference_median(pi0),
        an.policies.fixed_response_reference([1, 5]),
    ):
        a, b = (an.policies.lsc(an.Tabular(v), reference)(ITEMS) for v in (R, shifted))
        assert torch.allclose(a, b, atol=1e-12)
        c = an.policies.lsc(an.Tabular(3 * R), reference)(ITEMS)
        assert not torch.allclose(a, c, atol=1e-3)


def test_far_tails_stay_distinct():
    u = an.policies.lsc(an.Tabular([-800.0, -799.0, 40.0, 41.0, 500.0, 600.0]), 0.0)(an.Items(n=6))
    assert bool((u.diff() > 0).all()) and bool(torch.isfinite(u).all())


def test_combinations_are_those_of_independent_events():
    a, b = sigmoid(R - 0.2), sigmoid(2 * R[::-1] - 1)
    first, second = an.policies.lsc(an.Tabular(R), 0.2), an.policies.lsc(an.Tabular(2 * R[::-1].copy()), 1.0)
    assert an.policies.all_of(first, second)(ITEMS).exp().numpy() == pytest.approx(a * b, abs=1e-14)
    assert an.policies.any_of(first, second)(ITEMS).exp().numpy() == pytest.approx(1 - (1 - a) * (1 - b), abs=1e-14)
    assert an.policies.none_of(first, second)(ITEMS).exp().numpy() == pytest.approx((1 - a) * (1 - b), abs=1e-14)
    nested = an.policies.all_of(first, an.policies.none_of(second))(ITEMS).exp().numpy()
    assert nested == pytest.approx(a * (1 - b), abs=1e-14)


def test_combinations_in_the_tails():
    items = an.Items(n=2)
    low = an.policies.lsc(an.Tabular([-40.0, 40.0]), 0.0)
    assert an.policies.any_of(low, low)(items).numpy() == pytest.approx([np.log(2) - 40, -np.exp(-80)], rel=1e-12)
    assert an.policies.none_of(low)(items).numpy() == pytest.approx([-np.exp(-40), -40.0], rel=1e-12)


def test_log_probabilities_are_demanded():
    with pytest.raises(ArgumentError, match=r"an\.policies\.lsc"):
        an.policies.all_of(an.Tabular(R))(ITEMS)
    with pytest.raises(ArgumentError, match="at least one"):
        an.policies.any_of()
    with pytest.raises(ArgumentError, match="2 prompts"):
        an.policies.lsc(an.Tabular(R), [1.0, 2.0, 3.0])(ITEMS)
    with pytest.raises(ArgumentError, match="does not belong"):
        an.policies.lsc(an.Tabular(R), an.policies.fixed_response_reference([4, 5]))(ITEMS)


def test_reference_values():
    items = an.Items(n=5)
    pi0 = [0.1, 0.2, 0.3, 0.25, 0.15]
    r = torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0])
    # ascending: 1 (.15), 2 (.40), 3 (.70), 4 (.90), 5 (1.)
    for level, value in ((0.15, 1.0), (0.16, 2.0), (0.7, 3.0), (0.85, 4.0), (0.95, 5.0)):
        assert an.policies.reference_quantile(pi0, level)(r, items).tolist() == [value]
    assert an.policies.reference_mean(pi0)(r, items).tolist() == pytest.approx([2.85])


def test_dependence_error():
    together = np.array([[0.9, 0.9], [0.1, 0.1]])
    assert float(dependence_error(together)) == pytest.approx(np.log(0.41) - 2 * np.log(0.5))
    assert float(dependence_error([[0.3, 0.6]])) == pytest.approx(0.0, abs=1e-14)  # one context: independent
    assert float(dependence_error([[1.0, 0.0], [0.0, 1.0]])) == -np.inf
    weighted = dependence_error(together, [0.25, 0.75])
    assert float(weighted) == pytest.approx(np.log(0.25 * 0.81 + 0.75 * 0.01) - 2 * np.log(0.3))
    assert float(dependence_error(together, [1.0, 3.0])) == pytest.approx(float(weighted))  # shares, whatever their sum


def test_ensembles_and_sums():
    a, b = an.Tabular([1.0, 0.0]), an.Tabular([3.0, -1.0])
    items = an.Items(n=2)
    assert an.policies.ensemble([a, b])(items).tolist() == [2.0, -0.5]
    assert an.policies.ensemble([a, b], "minimum")(items).tolist() == [1.0, -1.0]
    assert an.policies.ensemble([a, b], "mean-variance", penalty=2.0)(items).tolist() == [0.0, -1.0]
    assert an.policies.weighted_sum([a, b], [1.0, -1.0])(items).tolist() == [-2.0, 1.0]
    with pytest.raises(ArgumentError, match="kind"):
        an.policies.ensemble([a], "median")


def test_dependence_error_at_the_edges():
    assert dependence_error([[0.0, 1.0], [0.0, 0.5]]).item() == 0.0  # log 0 on both sides
    assert dependence_error([[1.0, 0.0], [0.0, 1.0]]).item() == -np.inf
    for weights in ([-1.0, 2.0], [0.0, 0.0], [np.nan, 1.0]):
        with pytest.raises(ArgumentError, match="nonnegative"):
            dependence_error([[1.0, 1.0], [0.5, 0.0]], weights)


@pytest.mark.parametrize("n", [10, 20, 30])
def test_an_exact_level_is_its_own_quantile_in_spite_of_rounding(n):
    """Uniform mass on n rewards 1 .. n: the quantile at level j / n is j, though n sums of 1 / n are not exact."""
    items, rewards = an.Items(n=n), torch.arange(1.0, n + 1, dtype=torch.float64)
    for j in range(1, n):
        found = an.policies.reference_quantile(an.policies.ItemDensity(np.full(n, 1 / n)), j / n)(rewards, items)
        assert found.tolist() == [j]
