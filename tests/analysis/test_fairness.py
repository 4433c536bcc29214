"""Fairness tables against their definitions, for any number of types."""

from __future__ import annotations

import numpy as np
import pytest

import annosim as an
from annosim.analysis import fairness_table, gini_index, kl_divergence
from annosim.errors import ArgumentError

ITEMS = an.Items(n=4)


def policies(count, seed=0):
    return list(np.random.default_rng(seed).dirichlet(np.ones(4), size=count))


def test_the_gini_index_is_known_for_one_who_has_everything_and_does_not_depend_on_scale():
    for n in (2, 5, 20):
        assert gini_index(np.eye(n)[0]) == pytest.approx(1 - 1 / n)
        x = np.random.default_rng(n).random(n)
        assert gini_index(3 * x) == pytest.approx(gini_index(x))
        ordered = np.sort(x)  # the usual formula for sorted values
        rank = np.arange(1, n + 1)
        assert gini_index(x) == pytest.approx(float(((2 * rank - n - 1) * ordered).sum() / (n * ordered.sum())))


def test_weights_count_types_several_times():
    assert gini_index([1.0, 4.0], [2, 1]) == pytest.approx(gini_index([1.0, 1.0, 4.0]))


@pytest.mark.parametrize("types", [1, 3, 6])
def test_a_table_says_worst_mean_and_envy(types):
    own, utilities = policies(types), np.random.default_rng(1).normal(size=(types, 4))
    weights = np.random.default_rng(2).dirichlet(np.ones(types))
    made = {"even": np.full(4, 0.25), "first's": own[0]}
    table = fairness_table(made, own, utilities, ITEMS, weights=weights, beta=2.0)
    frame = table.to_frame().set_index("policy")
    for name, policy in made.items():
        regret = np.array([2.0 * kl_divergence(policy, best, ITEMS) for best in own])
        assert frame.loc[name, "worst"] == pytest.approx(regret.max())
        assert frame.loc[name, "mean"] == pytest.approx(regret @ weights)
        assert frame.loc[name, "envy"] == pytest.approx(regret.max() - regret.min())
        assert frame.loc[name, "gini"] == pytest.approx(gini_index(regret, weights))
    assert frame.loc["first's", "type 0"] == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(table.utility[0], utilities.mean(1))


def test_what_means_nothing_is_refused():
    with pytest.raises(ArgumentError):
        fairness_table({}, policies(2), np.zeros((2, 4)), ITEMS)
    with pytest.raises(ArgumentError):
        fairness_table({"a": policies(1)[0]}, policies(2), np.zeros((2, 4)), ITEMS, weights=[1.0])
    with pytest.raises(ArgumentError):
        gini_index([-1.0, 1.0])
