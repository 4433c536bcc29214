"""Types that share coefficients, coefficients that are known, and item random effects."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

import annosim as an
from annosim.errors import ArgumentError

ITEMS = an.Items.normal(8, 3, seed=0)


def on(weights, features):
    return an.utilities.OnFeatures(an.Linear(weights), features)


def test_types_that_agree_on_the_price_share_its_coefficient():
    price, tastes = on([-1.0], [0]), [on(w, [1, 2]) for w in ([2.0, 0.5], [-1.5, 1.0])]
    two = an.Mixture([an.Annotator(an.utilities.Sum([price, own]), an.Luce()) for own in tastes], [0.6, 0.4])
    assert two.num_free() == 7  # two shares, one price, two tastes each
    data = an.simulate(two, an.Design(ITEMS, annotators=200, questions=8), seed=0)
    fit = an.fit(two, data)
    table = fit.summary("cluster").set_index("parameter")
    truth = {
        "types.0.utility.parts.0.utility.weights[0]": -1.0,
        "types.0.utility.parts.1.utility.weights[0]": 2.0,
        "types.1.utility.parts.1.utility.weights[0]": -1.5,
    }
    assert fit.converged
    for name, value in truth.items():
        assert abs(table.loc[name, "estimate"] - value) < 5.5 * table.loc[name, "standard_error"]  # 4e-8 each
    own = an.fit(
        an.Mixture([an.Annotator(an.Linear(w), an.Luce()) for w in ([-1, 2.0, 0.5], [-1, -1.5, 1.0])], [0.6, 0.4]), data
    )
    assert 0 <= own.log_likelihood - fit.log_likelihood < 15  # one restriction: chi-square of 30 has 4e-8


def test_one_table_under_two_temperatures():
    """Types of one module are no two classes: the tables of latent classes leave them alone."""
    same = an.Tabular([0.0, 1.0, -1.0])
    careful = an.Mixture([an.Annotator(same, an.Luce(1.0)), an.Annotator(same, an.Luce(0.2))])
    fit = an.fit(careful, an.simulate(careful, an.Design(an.Items(n=3), annotators=200, questions=6), seed=0))
    first, second = fit.population.components()
    assert fit.converged and first.utility is second.utility


def test_a_known_coefficient_is_left_as_it_is():
    utility = an.utilities.Sum([on(an.fixed([-1.0]), [0]), on(2, [1, 2])])
    data = an.simulate(an.Annotator(an.Linear([-1.0, 2.0, 0.5]), an.Luce()), an.Design(ITEMS, annotators=300), seed=0)
    fit = an.fit(an.Annotator(utility, an.Luce()), data)
    offset = an.fit(an.Annotator(an.Linear(3), an.Luce()), data)
    assert fit.population.utility.parts[0].utility.weights.tolist() == [-1.0]
    assert fit.num_parameters == 2 and fit.log_likelihood <= offset.log_likelihood
    with pytest.raises(ArgumentError, match="the items have features 0 to 2"):
        an.fit(an.Annotator(an.utilities.Sum([on(1, [3])]), an.Luce()), data)


def test_the_spread_of_two_items_is_that_of_the_integral():
    """Laplace's marginal likelihood against quadrature over the difference, which is normal with variance 2 sd^2."""
    won, lost = 30, 10
    data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 40, [0] * won + [1] * lost)
    found = an.learning.estimate_spread(an.Annotator(an.Tabular(2), an.Luce()), data)

    def log_marginal(z):
        sd = np.sqrt(2) * np.exp(z)
        inside = lambda d: np.exp(  # noqa: E731
            won * -np.logaddexp(0, -d) + lost * -np.logaddexp(0, d) + 25 - d**2 / (2 * sd**2)
        )
        return np.log(quad(inside, -12 * sd, 12 * sd, points=[0.0, 1.1], limit=200)[0] / sd)

    best = minimize_scalar(lambda z: -log_marginal(z), bounds=(-3, 2), method="bounded")
    assert found.sd == pytest.approx(np.exp(best.x), rel=0.02)
    zero = 40 * np.log(0.5) + 25 + 0.5 * np.log(2 * np.pi)
    assert found.likelihood_ratio == pytest.approx(2 * (-best.fun - zero), abs=0.05)
    p = minimize_scalar(lambda d: -(won * -np.logaddexp(0, -d) + lost * -np.logaddexp(0, d) - d**2 / (4 * found.sd**2)))
    assert found.utilities[0] - found.utilities[1] == pytest.approx(p.x, abs=1e-5)


def test_items_that_are_alike_have_no_spread_and_others_shrink():
    coins = an.PreferenceData(an.Items(n=4), [[i, j] for i in range(4) for j in range(i)] * 2, [0] * 6 + [1] * 6)
    alike = an.learning.estimate_spread(an.Annotator(an.Tabular(4), an.Luce()), coins)
    assert (alike.sd, alike.low, alike.p_value) == (0.0, 0.0, 1.0) and alike.high > 0.3
    with pytest.raises(ArgumentError, match="differ by no more|do not differ by more than chance"):
        alike.prior  # noqa: B018
    people = an.Annotator(an.Tabular(np.linspace(-1, 1, 8)), an.Luce())
    data = an.simulate(people, an.Design(an.Items(n=8), annotators=160), seed=1)
    found = an.learning.estimate_spread(an.Annotator(an.Tabular(8), an.Luce()), data)
    shrunken = an.fit(an.Annotator(an.Tabular(8), an.Luce()), data, prior=found.prior)
    np.testing.assert_allclose(found.utilities, shrunken.population.utility.values.detach().numpy(), atol=1e-6)
    plain = an.fit(an.Annotator(an.Tabular(8), an.Luce()), data).population.utility.values.detach().numpy()
    assert np.abs(found.utilities).sum() < np.abs(plain).sum()
    davidson = an.Annotator(an.Tabular(8), an.Davidson(an.free(0.5)))
    with pytest.raises(ArgumentError, match="no answer is tied"):
        an.learning.estimate_spread(davidson, data)
    tied = an.Annotator(an.Tabular(np.linspace(-1, 1, 8)), an.Davidson(0.5))
    ties = an.learning.estimate_spread(davidson, an.simulate(tied, an.Design(an.Items(n=8), annotators=160), seed=1))
    assert ties.low < ties.sd < ties.high < 2.0


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (an.Annotator(an.Linear(3), an.Luce()), "a free table"),
        (an.Mixture([an.Annotator(an.Tabular(8), an.Luce())] * 2), "one annotator|share all"),
    ],
)
def test_spreads_are_of_tables(model, said):
    data = an.simulate(an.Annotator(an.Linear([1.0, 0, 0]), an.Luce()), an.Design(ITEMS, annotators=20), seed=0)
    with pytest.raises(ArgumentError, match=said):
        an.learning.estimate_spread(model, data)
