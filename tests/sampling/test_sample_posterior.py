"""Posteriors of parameters: densities against differences and integrals, draws against closed forms and quadrature.

Monte Carlo comparisons allow 5 to 6 standard errors (below 1e-6 each); NUTS by its own effective draws.
"""

import importlib
from math import exp, lgamma, log

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import dblquad, quad
from scipy.special import polygamma

import annosim as an
from annosim.errors import ArgumentError, MissingDependencyError
from annosim.learning.priors import Dirichlet, Gaussian, Hierarchical, Ridge
from annosim.learning.problem import Problem
from annosim.sampling import LogPosterior
from annosim.sampling.methods import laplace, mode, worth

pytestmark = pytest.mark.bayes


def choices(*counts):
    """One menu of all items, each chosen so often."""
    n = len(counts)
    answers = np.repeat(np.arange(n), counts)
    return an.PreferenceData(an.Items(n=n), [list(range(n))] * len(answers), answers)


def table(n):
    return an.Annotator(an.Tabular(n), an.Luce())


def mixture(*slopes, weights=None, n=3):
    return an.Mixture([an.Annotator(an.Tabular([s * i for i in range(n)]), an.Luce()) for s in slopes], weights)


ITEMS = an.Items.normal(4, 2, seed=0)
CASES = {
    "table": (table(4), Gaussian(1.5)),
    "choice shares": (table(4), Dirichlet(0.5)),
    "tempered": (an.Annotator(an.Tabular(4), an.Luce(2.0)), Gaussian(1.0)),
    "linear": (an.Annotator(an.Linear(2), an.Luce()), Ridge(0.3)),
    "types": (mixture(1.0, -1.0, weights=[0.6, 0.4], n=4), Gaussian(1.0)),
    "types and shares": (
        mixture(1.0, -1.0, weights=[0.6, 0.4], n=4),
        {"types.*": Gaussian(1.0), "weights": Dirichlet(1.0)},
    ),
    "tastes": (
        an.RandomCoefficients([0.5, 0.0], [1.0, 0.5], an.Luce(), points=8),
        {"mean": Gaussian(1.0), "scale": Gaussian(0.5)},
    ),
    "skills": (
        an.Annotator(an.Tabular(4), an.rules.Reliability(an.Luce(), an.free([0.5] * 6))),
        {"utility.values": Gaussian(1.0), "rule.skill": Hierarchical(0.7)},
    ),
    "scales": (
        an.Annotator(an.Tabular(4), an.rules.Scaled(an.Luce(), an.free([1.0] * 6))),
        {"utility.values": Gaussian(1.0), "rule.factor": Hierarchical(0.5, mean=0.3)},
    ),
    "items": (table(4), Hierarchical(1.0)),
    "lapse": (
        an.Annotator(an.Tabular(4), an.Lapse(an.Luce(), an.free(0.1))),
        {"utility.values": Gaussian(1.0), "rule.rate": Gaussian(1.0)},
    ),
}


def data_of(annotators=6, questions=5):
    people = an.Annotator(an.Tabular([0.5, 0.0, -0.5, 1.0]), an.Luce())
    return an.simulate(people, an.Design(ITEMS, annotators=annotators, questions=questions), seed=1)


@pytest.mark.parametrize("case", CASES)
def test_the_density_is_the_likelihood_and_its_gradient_that_of_differences(case):
    model, prior = CASES[case]
    data = data_of()
    density = LogPosterior(Problem(model, data), prior)
    rng = np.random.default_rng(0)
    for y in 0.7 * rng.standard_normal((3, density.size)):
        value, gradient = density(y)
        own = sum(block.prior(y[at])[0] for block, at in zip(density.blocks, density.at, strict=True))
        there = model.with_parameters(torch.as_tensor(density.vectors(y[None])[0]))
        by_hand = (
            float(an.learning.annotator_posterior(there, data).log_evidence.sum())
            if case in ("types", "table")
            else None
        )
        if by_hand is not None:
            assert value - own == pytest.approx(by_hand, abs=1e-9)
        step = 1e-5
        for j in range(density.size):
            move = np.zeros(density.size)
            move[j] = step
            slope = (density(y + move)[0] - density(y - move)[0]) / (2 * step)
            assert gradient[j] == pytest.approx(slope, abs=2e-5 * max(1.0, abs(slope)))


@pytest.mark.parametrize("case", CASES)
def test_draws_from_the_prior_have_the_density_of_the_prior(case):
    """The mean of a score under its own law is zero, and of y_i score_i minus one; 6 standard errors each."""
    model, prior = CASES[case]
    density = LogPosterior(Problem(model, data_of()), prior)
    y = density.draw_prior(np.random.default_rng(0), 4000)
    score = np.array(
        [np.concatenate([b.prior(row[at])[1] for b, at in zip(density.blocks, density.at, strict=True)]) for row in y]
    )
    for values in (score, y * score + 1.0):
        assert (np.abs(values.mean(0)) < 6 * values.std(0) / 4000**0.5 + 1e-12).all()


def test_priors_integrate_to_one():
    one = LogPosterior(Problem(table(3), choices(1, 1, 1)), Dirichlet(0.5)).blocks[0]
    assert dblquad(lambda a, b: exp(one.prior(np.array([a, b]))[0]), -20, 20, -20, 20, epsabs=1e-7)[0] == pytest.approx(
        1, abs=1e-5
    )
    two = LogPosterior(Problem(table(2), choices(1, 1)), Hierarchical(0.8)).blocks[0]
    assert dblquad(lambda a, b: exp(two.prior(np.array([a, b]))[0]), -25, 5, -9, 9, epsabs=1e-7)[0] == pytest.approx(
        1, abs=1e-5
    )


@pytest.mark.parametrize("method", ["laplace", "nuts"])
def test_dirichlet_and_choices_are_conjugate(method):
    """Shares of the full menu are Dirichlet(c + 1 + counts)."""
    counts = np.array([40, 25, 35])
    found = an.sample_posterior(
        table(3), choices(*counts), Dirichlet(0.5), method=method, draws=600, tune=300, chains=2
    )
    shares = torch.softmax(torch.as_tensor(found.flat), -1).numpy()
    alpha = counts + 1.5
    mean = alpha / alpha.sum()
    sd = np.sqrt(mean * (1 - mean) / (alpha.sum() + 1))
    error = sd / np.sqrt(300)  # fewer than the effective draws
    assert (found.ess > 300).all() and (np.abs(shares.mean(0) - mean) < 6 * error).all()
    assert shares.std(0) == pytest.approx(sd, rel=0.2)
    assert found.trusted or method == "nuts"


@pytest.mark.parametrize("method", ["laplace", "nuts"])
def test_two_items_are_one_integral(method):
    data = choices(14, 6)
    found = an.sample_posterior(table(2), data, Gaussian(1.0), method=method, draws=600, tune=300, chains=2, seed=3)

    def joint(y, k=0):  # u = (y, -y) / sqrt 2
        return y**k * exp(-(y**2) / 2 - 14 * np.log1p(exp(-(2**0.5) * y)) - 6 * np.log1p(exp(2**0.5 * y)) + 14)

    total, first, second = (quad(joint, -5, 5, args=(k,))[0] for k in range(3))
    mean = first / total
    sd = (second / total - mean**2) ** 0.5
    y = (found.flat[:, 0] - found.flat[:, 1]) / 2**0.5
    assert abs(y.mean() - mean) < 6 * sd / 300**0.5
    assert y.std() == pytest.approx(sd, rel=0.2)


@given(st.integers(1, 30), st.integers(1, 30), st.floats(0.2, 3.0))
@settings(max_examples=6, deadline=None)
def test_the_mode_and_its_curvature_are_those_of_fit(wins, losses, sd):
    data = choices(wins, losses)
    fit = an.fit(table(2), data, prior=Gaussian(sd))
    density = LogPosterior(Problem(table(2), data), Gaussian(sd))
    where, information, _ = mode(density, np.ones(1))
    assert density.vectors(where[None])[0] == pytest.approx(fit.population.vector().numpy(), abs=1e-6)
    se = fit.standard_errors()["utility.values"].numpy()  # of u = (y, -y) / sqrt 2
    assert (2 * information[0, 0]) ** -0.5 == pytest.approx(se, rel=1e-5)


@pytest.mark.parametrize(("wins", "sd"), [(5, 3.0), (20, 3.0), (3, 1.0)])
def test_weights_correct_the_normal_approximation(wins, sd):
    """Answers all alike, a skew posterior: its mean by quadrature, half a standard deviation from the mode; 6 errors."""
    found = an.sample_posterior(table(2), choices(wins, 0), Gaussian(sd))

    def joint(y, k=0):
        return y**k * exp(-0.5 * (y / sd) ** 2 - wins * np.log1p(exp(-(2**0.5) * y)))

    total, first, second = (quad(joint, -8 * sd, 8 * sd, args=(k,))[0] for k in range(3))
    mean, spread = first / total, (second / total - (first / total) ** 2) ** 0.5
    y = found.flat[:, 0] * 2**0.5
    assert found.trusted and abs(y.mean() - mean) < 6 * spread / found.ess.min() ** 0.5


def test_weighted_draws_are_worth_what_their_means_vary_by():
    """The logarithm of a Gamma(2) variable, with a long left tail: the mean of 1,000 draws over 100 seeds."""

    def density(y):
        return 2 * y[0] - exp(y[0]), np.array([2 - exp(y[0])])

    found = [laplace(density, np.array([0.5]), 250, 4, seed) for seed in range(100)]
    told = np.mean([worth(one.pool, one.weight, 1000)[0] for one in found])
    seen = polygamma(1, 2) / np.var([one.y.mean() for one in found])
    assert 0.6 < told / seen < 1.7  # 1 / sum w^2 says 790 of 350


def test_large_samples_agree_with_fit():
    people = an.Annotator(an.Tabular([0.0, 0.5, 1.0, -0.5]), an.Luce())
    data = an.simulate(people, an.Design(an.Items(n=4), annotators=20_000), seed=0)
    fit = an.fit(people, data)
    found = an.sample_posterior(people, data, Gaussian(10.0), method="nuts", draws=500, tune=300, chains=2)
    se = fit.standard_errors()["utility.values"].numpy()
    assert (
        np.abs(found.mean - fit.population.utility.values.detach().numpy()) < 6 * se / found.ess**0.5 + 1e-3 * se
    ).all()
    assert found.sd == pytest.approx(se, rel=0.2)


def test_known_types_leave_a_beta_posterior_of_the_shares():
    """Types that never err: the share is Beta(1 + k, 1 + n - k)."""
    sure = an.Mixture([an.Annotator(an.Tabular(an.fixed([0.0, s])), an.Luce()) for s in (60.0, -60.0)], [0.5, 0.5])
    data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 20, [1] * 15 + [0] * 5, annotator=range(20))
    found = an.sample_posterior(sure, data, Gaussian(1.0), method="nuts", draws=600, tune=300, chains=2)
    share, a, b = found.flat[:, 0], 16, 6
    sd = (a * b / (a + b) ** 2 / (a + b + 1)) ** 0.5
    assert abs(share.mean() - a / (a + b)) < 6 * sd / found.ess.min() ** 0.5
    assert share.std() == pytest.approx(sd, rel=0.25)


def test_types_have_one_name_in_all_chains():
    people = mixture(2.0, -2.0, weights=[0.6, 0.4])
    data = an.simulate(people, an.Design(an.Items(n=3), annotators=150, questions=6), seed=0)
    found = an.sample_posterior(people.like(seed=3), data, Gaussian(2.0), method="nuts", draws=200, tune=300)
    assert np.nanmax(found.rhat) < 1.05
    shares = found.vectors[..., [found.names.index("weights[0]"), found.names.index("weights[1]")]]
    assert (shares.mean((0, 1)) > [0.5, 0.3]).all()
    tree = found.to_datatree()
    assert tree["posterior"]["types.0.utility.values"].shape == (4, 200, 3)
    assert set(tree.children) == {"posterior", "prior", "sample_stats"}


def test_many_namings_at_once_are_the_naming_one_by_one():
    rng = np.random.default_rng(0)
    here = mixture(1.0, -1.0, 0.3, weights=[0.5, 0.3, 0.2])
    items = an.Items(n=3)
    index = lambda p: an.coordinates.mean_indices(p, items).numpy()  # noqa: E731
    others = [
        here.with_parameters(here.vector() + torch.as_tensor(0.4 * rng.standard_normal(12)).abs()) for _ in range(20)
    ]
    others = [o.with_parameters({"weights": o.weights.detach() / o.weights.detach().sum()}) for o in others]
    shares = np.stack([o.weights.detach().numpy() for o in others])
    found = an.coordinates.best_namings(
        np.stack([index(o) for o in others]), shares, index(here), here.weights.detach().numpy()
    )
    assert found.tolist() == [an.coordinates.best_naming(o, here, items) for o in others]


def test_what_the_data_do_not_tell_is_called_prior():
    data = an.PreferenceData(an.Items(names=["a", "b", "c", "d"]), [[0, 1]] * 40, [0] * 25 + [1] * 15)
    found = an.sample_posterior(table(4), data, Gaussian(1.0))
    assert len(found.unmoved) == 2  # c against d, and both against a and b
    says = found.to_frame()["says"].tolist()
    assert says[2] == says[3] == "prior: the data say nothing of it"
    assert "the data moved this" in says[0]


def test_null_directions_are_moved_by_nothing():
    """Of the utility of ``a``, centred over four items, one third of the variance is no difference of ``a`` and ``b``."""
    data = an.PreferenceData(an.Items(names=["a", "b", "c", "d"]), [[0, 1]] * 400, [0] * 300 + [1] * 100)
    found = an.sample_posterior(table(4), data, Gaussian(1.0))
    null = found.null_directions
    assert null.shape == (2, 3) and np.allclose(null @ null.T, np.eye(2))
    assert found.null_share == pytest.approx([1 / 3, 1 / 3, 1, 1], rel=0.1)
    assert "its null directions (" in found.to_frame()["says"][0]
    told = an.sample_posterior(table(2), choices(30, 10), Gaussian(1.0))
    assert not len(told.null_directions) and "null" not in told.to_frame()["says"][0]


def test_diagnostics_are_judged_in_words():
    """Draws that are wrong on purpose: chains apart, a chain that creeps, a divergence."""
    from dataclasses import replace

    found = an.sample_posterior(table(3), choices(20, 15, 10), Gaussian(1.0), draws=500)
    good = replace(found, method="nuts")  # independent draws pass for those of the best sampler
    assert good.trusted and np.nanmax(good.rhat) < 1.01 and good.ess.min() > 400
    apart = good.vectors + np.arange(4)[:, None, None] * found.sd
    assert "the chains disagree about utility.values[" in " ".join(replace(good, vectors=apart).problems)
    creeping = np.repeat(good.vectors[:, ::25], 25, axis=1)
    assert "effective draws (at least 400): more draws=" in " ".join(replace(good, vectors=creeping).problems)
    broken = replace(good, stats={"diverging": np.eye(4, 500, dtype=bool)})
    assert broken.problems[0].startswith("4 divergent transitions") and "NOT to be trusted" in repr(broken)


def test_a_scale_that_a_table_swallows_is_a_direction_of_the_prior():
    """The product of temperature and table is told; the temperature given the product is the prior's."""
    model = an.Annotator(an.Tabular(3), an.Luce(temperature=an.free(1.0)))
    people = an.Annotator(an.Tabular([0.0, 1.0, 2.0]), an.Luce())
    data = an.simulate(people, an.Design(an.Items(n=3), annotators=1000), seed=0)
    prior = {"utility.values": Gaussian(2.0), "rule.temperature": Gaussian(0.05)}
    found = an.sample_posterior(model, data, prior, draws=200, chains=2)
    row = found.to_frame().set_index("parameter").loc["rule.temperature"]
    assert row["left"] > 0.5 and found.names[-1] == "rule.temperature"


def test_a_normal_approximation_that_does_not_hold_says_so():
    found = an.sample_posterior(table(2), choices(20, 0), Gaussian(30.0))
    assert not found.trusted and "method='nuts'" in found.problems[0] and "NOT to be trusted" in repr(found)


def test_scales_of_annotators_are_recovered():
    """Sure and unsure annotators around a common table; ordering by posterior mean: exact sign test below 1e-6."""
    items, factors = an.Items(n=5), [3.0] * 12 + [0.2] * 12
    people = an.Annotator(an.Tabular([0.0, 0.5, 1.0, 1.5, 2.0]), an.rules.Scaled(an.Luce(), factors))
    data = an.simulate(people, an.Design(items, annotators=24, questions=40), seed=0)
    model = an.Annotator(an.Tabular(5), an.rules.Scaled(an.Luce(), an.free([1.0] * 24)))
    found = an.sample_posterior(
        model, data, {"utility.values": Gaussian(1.0), "rule.factor": Hierarchical(1.0)}, draws=200, chains=1
    )
    mean = np.log(found.flat[:, 5:]).mean(0)
    assert mean[:12].min() > mean[12:].max()  # probability 1 / C(24, 12) = 4e-7 by chance


# ---- what a new user gives -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: an.sample_posterior(table(2), [1], Gaussian(1.0)), "PreferenceData"),
        (lambda: an.sample_posterior(table(2), choices(1, 1), 3.0), "an.priors.Gaussian"),
        (lambda: an.sample_posterior(table(2), choices(1, 1), {"utility.value": Gaussian(1.0)}), "utility.values"),
        (lambda: an.sample_posterior(table(2), choices(1, 1), Gaussian(1.0), method="hmc"), "'laplace' or 'nuts'"),
        (lambda: an.sample_posterior(table(2), choices(1, 1), Gaussian(1.0), draws=0), "draws=0"),
        (lambda: an.sample_posterior(*tempered(), Gaussian(1.0)), "rule.temperature.*logarithm"),
        (lambda: an.sample_posterior(*tempered(), {"*": Hierarchical(1.0)}), "is one number"),
        (lambda: an.sample_posterior(*tempered(), {"*": Dirichlet(1.0)}), "for shares and tables"),
        (lambda: an.fit(table(2), choices(1, 1), prior=Hierarchical(1.0)), "an.priors.Gaussian"),
        (lambda: Hierarchical(0.0), "above 0"),
        (lambda: Hierarchical(1.0, mean=-1.0), "above 0"),
    ],
)
def test_bad_input_is_one_line_that_says_what_to_do(call, says):
    with pytest.raises(ArgumentError, match=says) as found:
        call()
    assert "\n" not in str(found.value)


def tempered():
    return an.Annotator(an.Tabular(2), an.Luce(temperature=an.free(1.0))), choices(2, 1)


def test_a_missing_extra_is_named(monkeypatch):
    def absent(name, *args, **kwargs):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MissingDependencyError, match=r'pip install "annosim\[bayes\]"'):
        an.sample_posterior(table(2), choices(1, 1), Gaussian(1.0))


def test_log_gamma_constants():
    """The Dirichlet's constant in isometric coordinates, by hand for two items."""
    block = LogPosterior(Problem(table(2), choices(1, 1)), Dirichlet(1.0)).blocks[0]
    by_hand = lgamma(4) - 2 * lgamma(2) + 2 * 2 * log(0.5) + 0.5 * log(2)
    assert block.prior(np.zeros(1))[0] == pytest.approx(by_hand)
    assert abs(block.prior(np.zeros(1))[1][0]) < 1e-12


def test_scaled_pairs_in_closed_form_are_those_of_automatic_differentiation():
    from annosim.learning.likelihoods.autodiff import DifferentiatedLikelihood
    from annosim.learning.likelihoods.scaled_pairs import ScaledPairs

    problem = Problem(CASES["scales"][0], data_of())
    assert ScaledPairs.applies(problem) and not ScaledPairs.applies(Problem(CASES["skills"][0], data_of()))
    fast, slow = ScaledPairs(problem), DifferentiatedLikelihood(problem)
    x = np.random.default_rng(0).normal(size=10)
    for one, other in ((fast, slow), (fast.reweighted(np.arange(6.0)), slow.reweighted(np.arange(6.0)))):
        here, there = one.evaluate(x), other.evaluate(x)
        assert here.value == pytest.approx(there.value, abs=1e-10) and np.allclose(here.gradient, there.gradient)


def test_the_next_vote_is_about_what_is_known_least():
    """Gains are the mutual information over draws; of two annotators the one who does not guess tells more."""
    data = data_of(annotators=6, questions=20)
    skilled = an.Annotator(an.Tabular(4), an.rules.Reliability(an.Luce(), an.free([3.0, -3.0, 3.0, 3.0, 3.0, 3.0])))
    prior = {"utility.values": Gaussian(1.0), "rule.skill": Gaussian(1.0)}
    found = an.sample_posterior(skilled, data, prior, draws=50, chains=1)
    known = found.vectors.copy()
    known[..., 4:] = [3.0, -6.0, 3.0, 3.0, 3.0, 3.0]
    from dataclasses import replace

    ask = an.sampling.next_vote(replace(found, vectors=known), [[0, 1], [2, 3]], draws=40)
    assert ask.gains.shape == (6, 2) and ask.gains[1].max() < 0.2 * ask.gains[0].max() and not ask.stop
    policy = an.sampling.next_vote(replace(found, vectors=known), [[0, 1], [2, 3]], "policy", draws=40)
    assert (policy.gains <= ask.gains + 1e-12).all() and policy.entropy[0] >= policy.gains.max()
    with pytest.raises(ArgumentError, match="'parameters' or 'policy'"):
        an.sampling.next_vote(found, [[0, 1]], "type")
