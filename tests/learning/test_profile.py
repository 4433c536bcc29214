"""Profile likelihoods: intervals against closed forms, and each word of the classification."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import binom

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


def test_coverage_by_enumeration():
    """Thirty votes at 70 to 30: every outcome with an estimate is profiled, so that the coverage has no sampling error.

    It is that of the likelihood-ratio interval of a binomial, which at this size is within 0.03 of 0.95.
    """
    n, u = 30, 0.4
    p, heads = 1 / (1 + np.exp(-2 * u)), np.arange(1, 30)
    chance = binom.pmf(heads, n, p)
    held = np.zeros(len(heads), bool)
    for k in range(len(heads)):
        found = an.fit(an.Annotator(an.Tabular(2), an.Luce()), coin(heads[k], n - heads[k])).profile(
            "utility.values[0]"
        )
        held[k] = found.low <= u <= found.high
    q = heads / n
    fall = heads * np.log(q / p) + (n - heads) * np.log((1 - q) / (1 - p))
    assert (held == (fall <= 1.920729)).all()
    assert abs(chance @ held / chance.sum() - 0.95) < 0.03


def test_identical_types_leave_their_shares_unknown():
    """Two types with the same fixed tastes: any share fits as well, as far as a share can go."""
    one = [an.Annotator(an.Tabular(an.fixed([0.0, 1.0])), an.Luce()) for _ in range(2)]
    fit = an.fit(an.Mixture(one, [0.5, 0.5]), coin(20, 10), solver=an.LBFGS())
    found = fit.profile("weights[0]")
    assert found.classification == "at a bound" and np.abs(found.fall).max() < 1e-9


@pytest.mark.parametrize("seed", range(4))
def test_a_share_at_its_bound(seed):
    """300 votes on three items without lapses do not rule out a lapse rate of zero: no seed of these four does."""
    truth = an.Annotator(an.Tabular([0.0, 0.5, 1.0]), an.Luce())
    data = an.simulate(truth, an.Design(an.Items(n=3), annotators=300), seed=seed)
    fit = an.fit(an.Annotator(an.Tabular(3), an.Lapse(an.Luce(), rate=an.free(0.05))), data)
    found = fit.profile("rule.rate")
    assert fit.converged and found.classification == "at a bound" and found.low == -np.inf


def test_a_known_lapse_rate_leaves_one_side_open():
    """28 of 30 where a lapse allows 28.5 at most: never worse is bounded away, ever better is not."""
    fit = an.fit(an.Annotator(an.Tabular(2), an.Lapse(an.Luce(), rate=0.1)), coin(28, 2))
    found = fit.profile("utility.values[0]")
    limit = 28 * np.log(28 / 28.5) + 2 * np.log(2 / 1.5)  # the fall at infinity
    assert found.classification == "weakly identified" and found.high == np.inf and 0 < found.low < found.estimate
    assert abs(found.fall[-1] - limit) < 1e-6


def test_a_side_and_an_item_that_always_go_together():
    """One item always on the left: its utility or its place, only the sum is known."""
    fit = an.fit(an.Annotator(an.Tabular(2), an.PositionBias(an.Luce(), shift=an.free(0.0))), coin(20, 10))
    found = fit.profile("rule.shift")
    assert found.classification == "not identified" and np.abs(found.fall).max() < 1e-9
    assert (found.low, found.high) == (-np.inf, np.inf)


def test_a_fit_that_did_not_converge():
    model = an.Mixture([an.Annotator(an.Tabular(5), an.Luce()) for _ in range(2)])
    data = an.simulate(model.like(seed=1), an.Design(an.Items(n=5), annotators=100, questions=5), seed=0)
    with pytest.warns(match="converge"):
        fit = an.fit(model, data, solver=an.Newton(max_iterations=2))
    assert not fit.converged and fit.profile("weights[0]").classification == "not converged"


def test_bad_requests():
    fit = an.fit(an.Annotator(an.Tabular(2), an.Luce()), coin(2, 1))
    with pytest.raises(an.errors.AnnosimError, match="the parameters are"):
        fit.profile("utility")
    best = an.project(an.Annotator(an.Tabular(2), an.Luce()), fit.population, an.Design(an.Items(n=2)))
    with pytest.raises(an.errors.AnnosimError, match="needs a maximum-likelihood fit"):
        best.profile("utility.values[0]")
