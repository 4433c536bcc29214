"""Profile likelihoods: intervals against closed forms, and each word of the classification."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

import annosim as an


def coin(heads, tails):
    return an.PreferenceData(an.Items(n=2), [[0, 1]] * (heads + tails), [0] * heads + [1] * tails)


def test_two_items_are_a_binomial():
    fit = an.fit(an.Annotator(an.Tabular(2), an.Luce()), coin(20, 10))
    found = fit.profile("utility.values[0]", steps=64)

    def fall(u):
        p = 1 / (1 + np.exp(-2 * u))
        return 20 * np.log(2 / 3) + 10 * np.log(1 / 3) - 20 * np.log(p) - 10 * np.log(1 - p) - 1.920729

    low, high = brentq(fall, -2, found.estimate), brentq(fall, found.estimate, 3)
    assert found.classification == "identified"
    assert abs(found.low - low) < 1e-3 and abs(found.high - high) < 1e-3


def test_identical_types_leave_their_shares_unknown():
    """Two types with the same fixed tastes: any share fits as well."""
    one = [an.Annotator(an.Tabular(an.fixed([0.0, 1.0])), an.Luce()) for _ in range(2)]
    fit = an.fit(an.Mixture(one, [0.5, 0.5]), coin(20, 10), solver="autograd")
    assert fit.profile("weights[0]").classification in ("not identified", "at a bound")


def test_a_share_near_its_bound():
    """A lapse rate that the data drive to zero."""
    rng = np.random.default_rng(0)
    truth = an.Annotator(an.Tabular([0.0, 0.5, 1.0]), an.Luce())
    data = an.simulate(truth, an.Design(an.Items(n=3), annotators=300), seed=int(rng.integers(10)))
    fit = an.fit(an.Annotator(an.Tabular(3), an.Lapse(an.Luce(), rate=an.free(0.05))), data)
    if fit.converged:
        assert fit.profile("rule.rate").classification != "identified"


def test_bad_requests():
    fit = an.fit(an.Annotator(an.Tabular(2), an.Luce()), coin(2, 1))
    with pytest.raises(an.AnnosimError, match="the parameters are"):
        fit.profile("utility")
    best = an.project(an.Annotator(an.Tabular(2), an.Luce()), fit.population, an.Design(an.Items(n=2)))
    with pytest.raises(an.AnnosimError, match="needs a maximum-likelihood fit"):
        best.profile("utility.values[0]")
