"""Intervals cover as often as they say, and say so when they know nothing.

False alarms: every coverage test compares a count with an exact binomial quantile at 1e-9.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from annosim.errors import ArgumentError
from annosim.study import binomial_interval, bootstrap_interval, difference, exact, t_interval
from annosim.study.estimates import Estimate

FALSE_ALARM = 1e-9


def test_t_interval_covers_as_often_as_it_says():
    draws = np.random.Generator(np.random.Philox(1)).normal(3.0, 2.0, size=(2000, 7))
    hits = sum(e.low <= 3.0 <= e.high for e in map(t_interval, draws))
    low, high = binom.ppf(FALSE_ALARM / 2, 2000, 0.95), binom.isf(FALSE_ALARM / 2, 2000, 0.95)
    assert low <= hits <= high


@pytest.mark.parametrize("trials", [1, 5, 20])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_binomial_interval_never_covers_less_than_it_says(trials, level):
    found = [binomial_interval(k, trials, level) for k in range(trials + 1)]
    for share in np.linspace(0.0, 1.0, 101):
        covered = sum(binom.pmf(k, trials, share) for k, e in enumerate(found) if e.low <= share <= e.high)
        assert covered >= level - 1e-9


def test_bootstrap_interval_covers_a_skewed_median_nearly_as_often_as_it_says():
    draws = np.random.Generator(np.random.Philox(2)).exponential(1.0, size=(150, 40))
    found = [bootstrap_interval(x, np.median, draws=400, seed=i) for i, x in enumerate(draws)]
    hits = sum(e.low <= math.log(2.0) <= e.high for e in found)
    # An approximate interval: the null is a true coverage of at least .85.
    assert hits >= binom.ppf(FALSE_ALARM, 150, 0.85)
    assert found[0] == bootstrap_interval(draws[0], np.median, draws=400, seed=0)


def test_paired_difference_removes_common_noise():
    rng = np.random.Generator(np.random.Philox(3))
    noise, step = rng.normal(0, 10, 30), rng.normal(1.0, 0.1, 30)
    paired, apart = difference(noise + step, noise), difference(noise + step, noise, paired=False)
    assert paired.value == pytest.approx(apart.value)
    assert paired.high - paired.low < (apart.high - apart.low) / 20


@pytest.mark.parametrize("n", [2, 5, 30])
def test_t_interval_agrees_with_scipy(n):
    from scipy.stats import ttest_1samp

    x = np.random.Generator(np.random.Philox(n)).normal(1.0, 2.0, n)
    ours, theirs = t_interval(x, 0.9), ttest_1samp(x, 0.0).confidence_interval(0.9)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-12)


def test_welch_agrees_with_scipy():
    from scipy.stats import ttest_ind

    rng = np.random.Generator(np.random.Philox(4))
    a, b = rng.normal(0, 1, 12), rng.normal(0.5, 3, 20)
    ours, theirs = difference(a, b, paired=False), ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


@pytest.mark.parametrize("make", [t_interval, bootstrap_interval])
def test_one_replicate_says_nothing_of_its_error(make):
    found = make([0.5])
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_a_constant_sample_has_a_point_interval():
    assert bootstrap_interval([2.0, 2.0, 2.0]).high == 2.0 == t_interval([2.0, 2.0]).low


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_the_estimate_lies_in_its_interval(values):
    found = t_interval(values)
    assert found.low <= found.value <= found.high


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_an_exact_value_is_its_own_interval(value):
    found = exact(value)
    assert found.low == found.value == found.high and (-found).value == -value


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: t_interval([]), "empty"),
        (lambda: t_interval([1.0, 2.0], level=1.0), "level=1.0"),
        (lambda: binomial_interval(3, 2), "3 successes in 2 trials"),
        (lambda: binomial_interval(0, 0), "0 trials"),
        (lambda: difference([1.0, 2.0], [1.0]), "2 and 1"),
        (lambda: Estimate(0.0, 1.0, -1.0), "swap"),
    ],
)
def test_bad_input_is_told_in_one_line(call, message):
    with pytest.raises(ArgumentError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_missing_value_is_not_known():
    assert not t_interval([1.0, math.nan]).known


SAMPLE = np.random.Generator(np.random.Philox(9)).normal(1.0, 2.0, 12)


@pytest.mark.parametrize(
    "make",
    [
        lambda level: t_interval(SAMPLE, level),
        lambda level: binomial_interval(3, 12, level),
        lambda level: bootstrap_interval(SAMPLE, level=level, draws=400),
        lambda level: difference(SAMPLE, SAMPLE[::-1] * 2, level=level),
        lambda level: difference(SAMPLE, SAMPLE[:5], paired=False, level=level),
    ],
)
def test_an_estimate_is_made_anew_at_another_level_by_its_own_method(make):
    assert make(0.95).at(0.99) == make(0.99) and make(0.99).at(0.95) == make(0.99)  # wider, never narrower
    assert (-make(0.95)).at(0.99) == -make(0.99)
    with pytest.raises(ArgumentError):
        make(0.95).at(1.0)


def test_an_interval_given_by_hand_is_stretched_as_a_normal_one():
    wide = Estimate(1.0, 1.0 - 1.959964, math.inf).at(0.99)
    assert wide.low == pytest.approx(1.0 - 2.575829, abs=1e-6) and wide.high == math.inf
    assert exact(2.0).at(0.999) == exact(2.0)
