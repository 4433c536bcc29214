"""The pass over answers under a linear utility, against the chain rule from the index that tables are fitted in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annosim.learning.likelihoods.kernels import luce as kernels
from annosim.learning.likelihoods.kernels import mixture
from annosim.learning.likelihoods.single_choices import SingleChoices
from annosim.learning.likelihoods.statistics import SAFE_RANGE, PartialRankings


def _answers(rng, rows, n, k, pairs):
    """Orders of different lengths, of which different numbers of places were chosen, some with weight 0."""
    order = np.argsort(rng.random((rows, n)), 1)[:, :k].astype(np.int32)
    length = np.full(rows, k, np.int32) if pairs else rng.integers(2, k + 1, rows).astype(np.int32)
    depth = np.ones(rows, np.int32) if pairs else rng.integers(1, length + 1).astype(np.int32)
    order[np.arange(k) >= length[:, None]] = -1
    return order, depth, length, rng.choice([0.0, 0.5, 3.0], rows)


def _by_the_index(features, offset, w, order, depth, length, weight):
    """Value, gradient and information in the index, then ``X' g`` and ``X' H X``."""
    s = features @ w + offset
    e, safe = np.exp(s - s.max()), bool(np.ptp(s) > SAFE_RANGE)
    g, table = np.zeros(len(s)), np.zeros((len(s) + 1, len(s)))
    value = kernels.order_gradient(s, e, order, depth, length, weight, safe, g)
    kernels.order_hessian(s, e, order, depth, length, weight, safe, table)
    information = np.diag(table[-1]) - table[:-1] - table[:-1].T
    return value, features.T @ g, features.T @ information @ features


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    rows=st.sampled_from([1, 7, 700]),
    k=st.integers(2, 6),
    dim=st.sampled_from([1, 3, 40]),
    scale=st.sampled_from([1.0, 30.0, 1000.0]),
    pairs=st.booleans(),
)
def test_value_gradient_and_information(seed, rows, k, dim, scale, pairs):
    rng = np.random.default_rng(seed)
    features, offset = rng.normal(size=(9, dim)), rng.normal(size=9)
    w = scale * rng.normal(size=dim) / np.sqrt(dim)
    answers = _answers(rng, rows, 9, 2 if pairs else k, pairs)
    gradient, information = np.zeros(dim), np.zeros((dim, dim))
    value = kernels.linear_sums(w, features, offset, *answers, gradient, information)
    expected = _by_the_index(features, offset, w, *answers)
    size = answers[3].sum() * np.abs(features).max() ** 2 + 1e-300
    assert value == pytest.approx(expected[0], rel=1e-12, abs=1e-15 * answers[3].sum())
    np.testing.assert_allclose(gradient, expected[1], rtol=0, atol=1e-12 * size)
    np.testing.assert_allclose(information, expected[2], rtol=0, atol=1e-12 * size)


def test_the_information_of_a_pair_that_is_nearly_sure_keeps_its_digits():
    """``p q x x'`` at ``p q`` = 1e-13: a difference of sums near 1 would keep three digits of it."""
    features, w = np.array([[1.0], [0.0]]), np.array([30.0])
    answers = np.array([[0, 1]], np.int32), np.ones(1, np.int32), np.full(1, 2, np.int32), np.ones(1)
    gradient, information = np.zeros(1), np.zeros((1, 1))
    kernels.linear_sums(w, features, np.zeros(2), *answers, gradient, information)
    q = np.exp(-30.0) / (1 + np.exp(-30.0))
    assert information[0, 0] == pytest.approx(q * (1 - q), rel=1e-12)


@pytest.mark.parametrize("low", [-290.0, -310.0, -400.0, -500.0, -590.0, -610.0, -1500.0])
def test_rankings_among_items_far_below_the_best_are_finite(low):
    """Utilities 0, ``low``, ``low - 1``, ``low - 2``: what is said of the last three is as if the first were not there."""
    s = np.array([0.0, low, low - 1, low - 2])
    order, places = np.array([[3, 2, 1], [1, 2, 3]], np.int32), np.full(2, 3, np.int32)
    first = np.array([[0, 1, 2]], np.int32), np.ones(1, np.int32), np.full(1, 3, np.int32), np.ones(1)
    both = PartialRankings(
        np.r_[order, first[0]], np.r_[places - 1, first[1]], np.r_[places, first[2]], np.r_[np.ones(2), first[3]], 4
    )
    alone = PartialRankings(order - 1, places - 1, places, np.ones(2), 3)
    value, gradient = both.value_gradient(s)
    expected, slope = alone.value_gradient(s[1:] - low)
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradient[1:], slope, atol=1e-12)
    np.testing.assert_allclose(both.information(s)[1:, 1:], alone.information(s[1:] - low), atol=1e-12)


@pytest.mark.parametrize(("k", "dim", "types", "pads"), [(2, 3, 2, False), (4, 5, 3, False), (4, 2, 3, True)])
def test_panels_of_single_choices_have_the_sums_of_the_general_kernel(k, dim, types, pads):
    rng = np.random.default_rng(k)
    rows, n = 600, 40
    order = np.argsort(rng.random((rows, n)), 1)[:, :k].astype(np.int32)
    length = rng.integers(2, k + 1, rows).astype(np.int32) if pads else np.full(rows, k, np.int32)
    order[np.arange(k) >= length[:, None]] = -1
    depth, start = np.ones(rows, np.int32), np.arange(0, rows + 1, 3).astype(np.int64)
    features, offset = rng.normal(size=(n, dim)), rng.normal(size=(types, n))
    theta, shares = rng.normal(size=types * dim + types - 1), np.log(rng.dirichlet(np.ones(types)))
    weight = rng.random(rows // 3)
    panel = SingleChoices(features, offset, PartialRankings(order, depth, length, np.ones(rows), n), start)
    data = features[None], np.zeros(types, np.int64), offset, order, depth, length, np.arange(rows), start, weight
    expected = mixture.evaluate(theta, types, dim, *data, shares, True)
    for ours, general in zip(panel(theta, shares, weight), expected, strict=True):
        np.testing.assert_allclose(ours, general, rtol=1e-9, atol=1e-9)
