"""Simulated likelihood: its derivatives, its agreement with quadrature, and what it recovers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numba import njit
from scipy import optimize
from scipy.special import logsumexp, ndtr

import annosim as an
from annosim.compiled import threads
from annosim.compiled.arithmetic import exponential
from annosim.learning.likelihoods.reference import log_likelihood
from annosim.learning.likelihoods.simulated import RUN, MixedLogit
from annosim.learning.likelihoods.simulated_draws import draws_for
from annosim.learning.problem import Problem
from annosim.learning.solvers.maximise import maximise

ITEMS = an.Items.normal(12, 2, seed=0)
TRUTH = an.RandomCoefficients.correlated([1.0, -0.5], [[1.0, 0.4], [0.4, 0.5]], an.Luce())


def simulated(model, data, solver):
    return MixedLogit(Problem(model, data, solver=solver))


def value_and_gradient(likelihood, x):
    at = likelihood.evaluate(x)
    return at.value, at.gradient


def panel_data(people=200, size=3, seed=0):
    return an.simulate(TRUTH, an.Design(ITEMS, menu_size=size, annotators=people, questions=6), seed=seed)


@pytest.mark.parametrize("prior", [None, an.priors.Gaussian(0.5)])
def test_gradient_and_information_against_differences(prior):
    panel = MixedLogit(Problem(TRUTH, panel_data(40), prior=prior, solver=an.learning.SimulatedLikelihood(draws=32)))
    x, h = panel.full[panel.free] + 0.05, 1e-5
    value, gradient = value_and_gradient(panel, x)
    information = panel.evaluate(x).curvature
    for j in range(len(x)):
        up, down = x.copy(), x.copy()
        up[j] += h
        down[j] -= h
        (v1, g1), (v0, g0) = value_and_gradient(panel, up), value_and_gradient(panel, down)
        assert abs((v1 - v0) / (2 * h) - gradient[j]) < 1e-5 * max(1.0, abs(value) * 1e-3)
        assert np.abs((g1 - g0) / (2 * h) + information[:, j]).max() < 1e-3


@pytest.mark.parametrize("prior", [None, an.priors.Gaussian(0.7)])
def test_a_person_of_weight_three_is_three_people_and_a_third_of_them_says_a_third(prior):
    """On the same draws, whatever the ids; more people than are summed in one run."""
    people, count = 150, np.tile([1, 2, 3], 50)
    data, z = panel_data(people), np.random.default_rng(0).normal(size=(people, 2, 8))
    ids = 5 * np.random.default_rng(1).permutation(people) + 2  # gaps, and another order
    who = np.asarray(data.annotator_ids)
    weighted = data.with_(annotator=ids[who], weight=count[who].astype(float), truth={})

    def likelihood(given, draws):
        solver = an.learning.SimulatedLikelihood(draws=np.ascontiguousarray(draws))
        return MixedLogit(Problem(TRUTH, given, prior=prior, solver=solver))

    def copies(times):
        rows = np.concatenate([np.flatnonzero(who == a) for a in range(people) for _ in range(times[a])])
        fresh = np.repeat(np.arange(times.sum()), np.repeat(np.bincount(who), times))
        return likelihood(data.take(rows).with_(annotator=fresh, order=None, truth={}), np.repeat(z, times, 0))

    one, several, thrice = likelihood(weighted, z[np.argsort(ids)]), copies(count), copies(np.full(people, 3))
    x = one.full[one.free] + 0.05
    a, b, whole = (part.evaluate(x) for part in (one, several, thrice))
    assert len(several.weights) > RUN
    third = thrice.subsample(3).evaluate(x)
    for first, second in ((a, b), (whole, third)):
        factor = 1 if first is a else 3
        assert first.value == pytest.approx(factor * second.value, abs=1e-8)
        assert first.gradient == pytest.approx(factor * second.gradient, abs=1e-8)
        assert np.asarray(first.curvature) == pytest.approx(factor * np.asarray(second.curvature), abs=1e-8)


def test_padded_menus_count_as_smaller_ones():
    data = panel_data(30, size=2)
    padded = an.PreferenceData(
        ITEMS, np.concatenate([data.menu, np.full((data.rows, 1), -1)], 1), data.answer, annotator=data.annotator
    )
    one, two = (simulated(TRUTH, d, solver=an.learning.SimulatedLikelihood(draws=16)) for d in (data, padded))
    x = one.full[one.free]
    assert abs(value_and_gradient(one, x)[0] - value_and_gradient(two, x)[0]) < 1e-9
    assert np.abs(one.evaluate(x).curvature - two.evaluate(x).curvature).max() < 1e-8


def test_many_draws_come_near_the_quadrature():
    """One coefficient: 64 trapezoid nodes are exact to 1e-7; 4096 draws are within 0.05 in log-likelihood."""
    items = an.Items.normal(8, 1, seed=1)
    truth = an.RandomCoefficients([1.0], [1.0], an.Luce())
    data = an.simulate(truth, an.Design(items, annotators=60, questions=5), seed=0)
    exact = an.fit(truth, data, solver=an.LBFGS())
    simulated = an.fit(truth, data, solver=an.learning.SimulatedLikelihood(draws=4096))
    assert exact.converged and simulated.converged
    assert abs(exact.log_likelihood - simulated.log_likelihood) < 0.05
    assert abs(log_likelihood(simulated.population, data) - exact.log_likelihood) < 0.05
    assert torch.allclose(exact.population.vector(), simulated.population.vector(), atol=0.05)
    ratio = simulated.standard_errors()["mean"] / exact.standard_errors()["mean"]
    assert abs(float(ratio) - 1) < 0.05


def test_a_prior_means_the_same_as_to_the_quadrature():
    items = an.Items.normal(8, 1, seed=1)
    truth = an.RandomCoefficients([1.0], [1.0], an.Luce())
    data = an.simulate(truth, an.Design(items, annotators=60, questions=5), seed=0)
    exact = an.fit(truth, data, solver=an.LBFGS(), prior=an.priors.Gaussian(0.2))
    simulated = an.fit(
        truth, data, solver=an.learning.SimulatedLikelihood(draws=2048), prior=an.priors.Gaussian(0.2), starts=2
    )
    assert len(simulated.starts) == 2 and "posterior mode" in simulated.notes[1]
    assert torch.allclose(exact.population.vector(), simulated.population.vector(), atol=0.02)
    assert torch.allclose(exact.covariance(), simulated.covariance(), rtol=0.02)
    with pytest.raises(an.errors.AnnosimError, match="acts on nothing"):
        an.fit(truth, data, solver=an.learning.SimulatedLikelihood(draws=64), prior=an.priors.Dirichlet(1.0))


@pytest.mark.parametrize("feedback,depth", [("ranking", None), ("top", 2)])
def test_rankings_are_runs_of_choices(feedback, depth):
    """Near the quadrature in one dimension; and at the same draws equal to the choices written out."""
    items = an.Items.normal(8, 1, seed=1)
    truth = an.RandomCoefficients([1.0], [1.0], an.Luce())
    design = an.Design(items, menu_size=4, feedback=feedback, depth=depth, annotators=40, questions=4)
    data = an.simulate(truth, design, seed=0)
    fit = an.fit(truth, data, solver=an.learning.SimulatedLikelihood(draws=2048))
    assert fit.solver == "simulated" and abs(log_likelihood(fit.population, data) - fit.log_likelihood) < 0.05
    menu, answer = [], []
    for items_of, order in zip(data.menu, data.answer, strict=True):
        for t in range(depth or 3):
            left = [item for i, item in enumerate(items_of) if i not in order[:t]]
            menu.append(left + [-1] * t)
            answer.append(left.index(items_of[order[t]]))
    who = np.repeat(data.annotator_ids, depth or 3)
    written = simulated(
        truth, an.PreferenceData(items, menu, answer, annotator=who), solver=an.learning.SimulatedLikelihood(draws=16)
    )
    ranked, x = simulated(truth, data, solver=an.learning.SimulatedLikelihood(draws=16)), np.array([0.7, 0.9])
    assert abs(value_and_gradient(written, x)[0] - value_and_gradient(ranked, x)[0]) < 1e-10
    assert np.abs(written.evaluate(x).curvature - ranked.evaluate(x).curvature).max() < 1e-9


def test_correlated_coefficients_are_recovered_within_their_errors():
    """2000 people: each of five numbers within five cluster standard errors plus 0.05 for the simulation's error."""
    fit = an.fit(TRUTH.like(seed=3), panel_data(2000), solver=an.learning.SimulatedLikelihood(draws=128))
    assert fit.converged and fit.gradient_norm < 1e-8 and fit.solver == "simulated"
    error = torch.cat([v.reshape(-1) for v in fit.standard_errors("cluster").values()])
    gap = (torch.as_tensor(fit.population.factor() @ fit.population.factor().T) - TRUTH.covariance()).abs().max()
    assert float(gap.detach()) < 0.5
    means = (fit.population.mean - TRUTH.mean).abs().detach()
    assert bool((means < 5 * error[:2] + 0.05).all())


@pytest.mark.parametrize("sequence", ["sobol", "halton"])
def test_draws_belong_to_a_person_and_a_seed(sequence):
    one = draws_for(4, 8, 2, 1, sequence)
    assert np.array_equal(one, draws_for(4, 8, 2, 1, sequence))
    assert not np.array_equal(one, draws_for(4, 8, 2, 2, sequence))
    assert np.array_equal(draws_for(6, 8, 2, 1, sequence)[:4], one)  # more people: the first keep theirs


@pytest.mark.parametrize("sequence", ["sobol", "halton"])
def test_draws_are_even_normals(sequence):
    """4096 points fill the quantiles of each coordinate to a few points: independent draws are off by some 64."""
    z = draws_for(16, 256, 3, 0, sequence).transpose(1, 0, 2).reshape(3, -1)
    rank = ndtr(np.sort(z, 1)) * z.shape[1] - np.arange(z.shape[1])
    assert np.abs(rank).max() < 6
    assert np.abs(z @ z.T / z.shape[1] - np.eye(3)).max() < 0.02


def test_exponential_is_exact_to_the_last_place():
    x = np.r_[np.linspace(-708, 708.9, 100_003), np.linspace(-1e-3, 1e-3, 1001), -800.0, -np.inf]
    out = np.array([_exponential(v) for v in x])
    assert np.abs(out[:-2] / np.exp(x[:-2]) - 1).max() < 3e-16
    assert (out[-2:] < 1e-307).all() and np.isnan(_exponential(np.nan))


@njit
def _exponential(x):
    return exponential(x)


def _reference(panel, x):
    """The simulated log-likelihood written with logsumexp, of any size of odds."""
    full = panel.full.copy()
    full[panel.free] = x
    mean, factor = panel.coefficients(full)
    total = 0.0
    for b in range(len(panel.weights)):
        beta = factor[:, panel.random] @ panel.z[b] + mean[:, None]
        log_p = np.zeros(beta.shape[1])
        for t in range(panel.first[b], panel.first[b + 1]):
            odds = panel.difference[t, : panel.size[t]] @ beta
            log_p -= logsumexp(np.vstack([np.zeros(beta.shape[1]), odds]), 0)
        total += panel.weights[b] * (logsumexp(log_p) - np.log(len(log_p)))
    return total


@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("strength", [1.0, 30.0, 2000.0])
def test_value_where_odds_overflow(strength, size):
    """No odds are capped: coefficients of thousands have the value that logsumexp gives them."""
    panel = simulated(TRUTH, panel_data(20, size), solver=an.learning.SimulatedLikelihood(draws=19))
    x = panel.full[panel.free] * strength
    assert abs(value_and_gradient(panel, x)[0] / _reference(panel, x) - 1) < 1e-12
    assert np.isnan(value_and_gradient(panel, np.full(5, 1e13))[0]) and np.isnan(
        value_and_gradient(panel, np.full(5, np.nan))[0]
    )


def test_long_panels_do_not_underflow():
    """400 choices of one person, each improbable: likelihoods of e^-1000 are ordinary numbers here."""
    items = an.Items.normal(6, 2, seed=0)
    data = an.simulate(TRUTH, an.Design(items, menu_size=3, annotators=3, questions=400), seed=1)
    panel = simulated(TRUTH, data, solver=an.learning.SimulatedLikelihood(draws=32))
    for strength in (1.0, -4.0, -50.0):
        x = panel.full[panel.free] * strength
        assert abs(value_and_gradient(panel, x)[0] / _reference(panel, x) - 1) < 1e-12


def test_threads_change_no_bit(monkeypatch):
    panel = simulated(TRUTH, panel_data(600), solver=an.learning.SimulatedLikelihood(draws=16))
    x = panel.full[panel.free]
    monkeypatch.setattr(threads, "count", lambda wanted=None: 1)
    value, gradient = value_and_gradient(panel, x)
    monkeypatch.setattr(threads, "count", lambda wanted=None: 3)
    again, slope = value_and_gradient(panel, x)
    assert value == again and np.array_equal(gradient, slope)


def test_no_start_changes_the_optimum():
    """Same draws, same optimum to 1e-8, from the model's values, from elsewhere, and without the first stages."""
    data = panel_data(300)
    starts = [TRUTH, TRUTH.like(seed=3), an.RandomCoefficients([0.0, 0.0], 0.5, an.Luce(), lower=[0.0])]
    fits = [an.fit(start, data, solver=an.learning.SimulatedLikelihood(draws=100)) for start in starts]
    panel = simulated(TRUTH, data, solver=an.learning.SimulatedLikelihood(draws=100))
    for fit in fits:
        assert fit.converged and torch.allclose(fit.population.vector(), fits[0].population.vector(), atol=1e-8)
        assert np.abs(value_and_gradient(panel, fit.population.vector().numpy())[1]).max() < 1e-8
    best = optimize.minimize(
        lambda x: tuple(-part for part in value_and_gradient(panel, x)),
        panel.full[panel.free],
        jac=True,
        method="BFGS",
        options={"gtol": 1e-6},
    )
    assert np.abs(best.x - fits[0].population.vector().numpy()).max() < 1e-6


def test_a_coefficient_that_is_the_same_for_all():
    """Its scale is no parameter; one normal is drawn for the other, and quadrature in one dimension agrees."""
    truth = an.RandomCoefficients([1.0, -0.5], [0.8], an.Luce(), distribution=["normal", "same"])
    data = an.simulate(truth, an.Design(ITEMS, menu_size=3, annotators=150, questions=5), seed=0)
    fit = an.fit(truth, data, solver=an.learning.SimulatedLikelihood(draws=2048))
    exact = an.fit(truth, data, solver=an.LBFGS())
    assert fit.population.parameter_names() == ["mean[0]", "mean[1]", "scale[0]"]
    assert simulated(truth, data, solver=an.learning.SimulatedLikelihood(draws=8)).z.shape == (150, 1, 8)
    assert fit.converged and abs(fit.log_likelihood - exact.log_likelihood) < 0.05
    assert torch.allclose(fit.population.vector(), exact.population.vector(), atol=0.05)
    assert float(truth.covariance().detach()[1].abs().max()) == 0.0
    assert torch.allclose(fit.covariance(), exact.covariance(), rtol=0.05, atol=1e-4)


def test_correlated_among_those_that_vary():
    model = an.RandomCoefficients(
        np.zeros(3), [0.5, 0.5], an.Luce(), lower=[0.1], distribution=["normal", "same", "normal"]
    )
    items = an.Items.normal(12, 3, seed=0)
    data = an.simulate(model, an.Design(items, menu_size=3, annotators=200, questions=6), seed=0)
    panel = simulated(model, data, solver=an.learning.SimulatedLikelihood(draws=32))
    x, h = panel.full[panel.free] + 0.1, 1e-5
    _, gradient = value_and_gradient(panel, x)
    for j, e in enumerate(np.eye(len(x)) * h):
        slope = (value_and_gradient(panel, x + e)[0] - value_and_gradient(panel, x - e)[0]) / (2 * h)
        assert abs(slope - gradient[j]) < 1e-4
    fit = an.fit(model, data, solver=an.learning.SimulatedLikelihood(draws=64, sequence="halton"))
    assert fit.converged and fit.population.covariance()[1].abs().max() == 0.0 and "Halton" in fit.notes[0]


def test_no_covariance_is_a_conditional_logit():
    """Scale fixed at zero: the coefficients, log-likelihood and errors of statsmodels' ConditionalLogit."""
    model = pytest.importorskip("statsmodels.discrete.conditional_models")
    data = panel_data(100)
    ours = an.fit(
        an.RandomCoefficients([0.0, 0.0], an.fixed(0.0), an.Luce()),
        data,
        solver=an.learning.SimulatedLikelihood(draws=8),
    )
    x = data.items.features.numpy()[data.menu].reshape(-1, 2)
    y = (np.arange(3) == data.answer[:, None]).astype(int).ravel()
    theirs = model.ConditionalLogit(y, x, groups=np.repeat(np.arange(data.rows), 3)).fit(disp=0, method="newton")
    assert abs(ours.log_likelihood / theirs.llf - 1) < 1e-10
    assert np.abs(ours.population.mean.detach().numpy() - theirs.params).max() < 1e-6
    assert np.abs(ours.standard_errors()["mean"].numpy() / theirs.bse - 1).max() < 1e-4


def test_xlogit_on_its_own_draws():
    """xlogit's Halton draws handed to us: at its estimate the log-likelihoods agree to 1e-9; ours ends no lower."""
    xlogit = pytest.importorskip("xlogit")
    data = panel_data(120)
    names, rows = ["a", "b"], data.rows
    x = data.items.features.numpy()[data.menu].reshape(-1, 2)
    theirs = xlogit.MixedLogit()
    told = dict(
        X=x,
        y=(np.arange(3) == data.answer[:, None]).astype(int).ravel(),
        varnames=names,
        alts=np.tile(np.arange(3), rows),
        ids=np.repeat(np.arange(rows), 3),
        panels=np.repeat(data.annotator_ids, 3),
        randvars=dict.fromkeys(names, "n"),
        n_draws=64,
        verbose=0,
    )
    theirs.fit(**told)
    z = theirs._generate_draws(120, 64)
    model = an.RandomCoefficients([0.0, 0.0], [0.5, 0.5], an.Luce())
    panel = simulated(model, data, solver=an.learning.SimulatedLikelihood(draws=z))
    value, gradient = value_and_gradient(panel, theirs.coeff_)
    assert abs(value / theirs.loglikelihood - 1) < 1e-9
    assert np.abs(gradient - theirs.grad_n.sum(0)).max() < 1e-6
    ours = an.fit(model, data, solver=an.learning.SimulatedLikelihood(draws=z))
    assert ours.log_likelihood > theirs.loglikelihood - 1e-9
    assert ours.gradient_norm <= np.abs(theirs.grad_n.sum(0)).max() / 120
    if (theirs.coeff_[2:] > 0).all():  # else it came to the mirror image of another optimum
        theirs.fit(**told, num_hess=True)  # its default errors take the choices of one person for independent
        assert np.abs(np.concatenate(list(ours.standard_errors().values())) / theirs.stderr - 1).max() < 1e-3
        assert np.abs(ours.population.vector().numpy() - theirs.coeff_).max() < 1e-3


def test_a_likelihood_that_rises_for_ever_is_called_so():
    """Thirty people, two answers each, four coefficients: every one's answers are explained by tastes of their own."""
    items = an.Items.normal(20, 4, seed=3)
    truth = an.RandomCoefficients(np.zeros(4), 10.0, an.Luce())
    data = an.simulate(truth, an.Design(items, annotators=30, questions=2), seed=3)
    with pytest.warns(UserWarning, match="did not converge"):
        fit = an.fit(truth, data, solver=an.learning.SimulatedLikelihood(draws=100))
    assert not fit.converged and any("without bound" in note for note in fit.notes)
    assert an.fit(
        truth, data, solver=an.learning.SimulatedLikelihood(draws=100), prior=an.priors.Gaussian(1.0)
    ).converged


def test_bad_requests():
    with pytest.raises(an.errors.AnnosimError, match="draws=1"):
        an.fit(TRUTH, panel_data(10), solver=an.learning.SimulatedLikelihood(draws=1))
    with pytest.raises(an.errors.AnnosimError, match="sequence='faure'"):
        an.fit(TRUTH, panel_data(10), solver=an.learning.SimulatedLikelihood(sequence="faure"))
    with pytest.raises(an.errors.AnnosimError, match=r"shape \(3, 2, 8\)"):
        an.fit(TRUTH, panel_data(10), solver=an.learning.SimulatedLikelihood(draws=np.zeros((3, 2, 8))))
    with pytest.raises(an.errors.AnnosimError, match="no coefficient varies"):
        an.RandomCoefficients([1.0], 1.0, an.Luce(), distribution="same")
    with pytest.raises(an.errors.AnnosimError, match="each coefficient that varies"):
        an.RandomCoefficients([1.0, 1.0], [1.0, 1.0], an.Luce(), distribution=["normal", "same"])
    flat = an.Items(features=np.c_[np.arange(12.0), np.ones(12)])
    with pytest.raises(an.errors.NotIdentifiedError, match="never varies"):
        an.fit(TRUTH, panel_data(10).with_(items=flat), solver=an.learning.SimulatedLikelihood(draws=8))


def test_bootstrap_on_the_same_draws():
    """Refits under other weights are fits of the annotators drawn; their spread is near the cluster errors.

    60 replicates: the logarithm of a standard deviation has one of 0.092, and the bootstrap's own limit is the sandwich
    within a tenth here: log 1.9 is 5.9 standard deviations off, for five numbers a false alarm of 2e-8.
    """
    data = panel_data(300)
    fit = an.fit(TRUTH, data, solver=an.learning.SimulatedLikelihood(draws=48))
    spread = fit.bootstrap(60).std(0)
    error = fit.covariance("cluster").diagonal().sqrt()
    assert ((spread / error).log().abs() < np.log(1.9)).all()
    weights = np.zeros((1, 300))
    weights[0, :150] = 2.0
    half_weighted = fit.likelihood.reweighted(weights[0])
    values = half_weighted.values(maximise(half_weighted, fit.population.vector().numpy()).point)
    z = simulated(TRUTH, data, solver=an.learning.SimulatedLikelihood(draws=48)).z[:150]
    half = an.fit(
        TRUTH, data.take(np.flatnonzero(data.annotator_ids < 150)), solver=an.learning.SimulatedLikelihood(draws=z)
    )
    for name, value in half.population.free_parameters().items():
        assert torch.allclose(values[name], value, atol=1e-7)


def test_the_error_of_simulation_is_said_and_is_that_between_two_seeds():
    """Over eight pairs of seeds the root mean square of the difference is the stated error's, within a factor of three."""
    data, solver = panel_data(300), an.learning.SimulatedLikelihood(draws=32)
    fits = [an.fit(TRUTH, data, solver=solver, seed=seed) for seed in range(8)]
    notes = [next(note for note in fit.notes if "other draws" in note) for fit in fits]
    stated = np.array([float(note.split("about ")[1].split(" of")[0]) for note in notes])
    assert all(("draws=" in note) == (one > 0.1) for note, one in zip(notes, stated, strict=True))
    each = np.array([[float(x) for v in fit.standard_errors().values() for x in np.ravel(v)] for fit in fits])
    values = np.array([fit.population.vector().detach().numpy() for fit in fits]) / each.mean(0)
    spread = np.sqrt(values.var(0, ddof=1).max())
    assert spread / 3 < np.sqrt((stated**2).mean()) < 3 * spread


# ---- as many draws as it takes -----------------------------------------------------------------------------------------


def test_default_draws_are_enough_and_two_seeds_agree():
    """Six wide tastes of 60 people, twelve answers each: 128 plain draws are standard errors off, the default is not."""
    items = an.Items.normal(30, 4, seed=1)
    truth = an.RandomCoefficients([-1.0, -0.3, 0.3, 1.0], np.full(4, 1.5), an.Luce())
    data = an.simulate(truth, an.Design(items, menu_size=4, annotators=60, questions=12), seed=0)
    fits = [an.fit(truth, data, solver="simulated", seed=seed) for seed in (0, 1)]
    error = np.concatenate([e.numpy().ravel() for e in fits[0].standard_errors().values()])
    one, two = (fit.population.vector().numpy() for fit in fits)
    assert all(fit.converged and "other draws would move an estimate by about 0.0" in str(fit.notes) for fit in fits)
    assert np.abs((one - two) / error).max() < 0.3  # each is within a tenth, as its notes say
    plain = an.fit(truth, data, solver=an.learning.SimulatedLikelihood(draws=128)).population.vector().numpy()
    assert np.abs((plain - one) / error).max() > 0.5
    assert fits[0].likelihood.z.shape == fits[0].likelihood.redrawn(fits[0].likelihood.z.shape[2], one).z.shape
    assert fits[0].likelihood.evaluate(one).value == pytest.approx(fits[0].log_likelihood, abs=1e-9)


def test_draws_about_the_modes_are_the_same_integral():
    """One coefficient: 1,024 centred draws against 150 Gauss-Hermite nodes, at other numbers too."""
    items = an.Items.normal(8, 1, seed=1)
    truth = an.RandomCoefficients([1.0], [1.0], an.Luce())
    data = an.simulate(truth, an.Design(items, menu_size=3, annotators=20, questions=15), seed=0)
    node, weight = np.polynomial.hermite_e.hermegauss(150)
    exact = simulated(truth, data, an.learning.SimulatedLikelihood(draws=np.tile(node, (20, 1, 1))))
    exact.inverse = np.tile(weight.max() / weight, (20, 1)).clip(max=np.exp(60))
    shift = 20 * (np.log(weight.max() / weight.sum()) + np.log(len(node)))
    plain = simulated(truth, data, an.learning.SimulatedLikelihood(draws=1024))
    here = plain.redrawn(1024, np.array([0.9, 1.1]))
    for x, near in (([0.9, 1.1], 2e-3), ([0.8, 1.0], 2e-2), ([1.1, 1.4], 2e-2)):
        right = exact.evaluate(np.array(x))
        assert here.evaluate(np.array(x)).value == pytest.approx(right.value + shift, abs=near)
        assert here.evaluate(np.array(x)).gradient == pytest.approx(right.gradient, abs=10 * near)


@pytest.mark.parametrize("s", [1, 3])
def test_modes_are_stationary_and_weights_the_ratio_of_densities(s):
    from scipy.stats import multivariate_normal, norm

    from annosim.learning.likelihoods.simulated_centring import CURVATURE, _at, centred, modes

    rng = np.random.default_rng(s)
    first, size = np.array([0, 3, 7]), np.array([2, 1, 2, 2, 1, 2, 2])
    difference = 3 * rng.normal(size=(7, 2, 4))
    mean, factor = rng.normal(size=4), rng.normal(size=(4, s))
    mode, curvature = modes(first, difference, size, mean, factor)
    base = np.where(np.arange(2) < size[:, None], difference @ mean, -np.inf)
    _, slope, again = _at(mode, np.array([0, 0, 0, 1, 1, 1, 1]), first, difference @ factor, base)
    assert np.abs(slope).max() < 1e-5 and np.allclose(again, curvature)
    z, inverse, unit = centred(rng.normal(size=(2, s, 5)), mode, curvature)
    for b in range(2):
        spread = np.linalg.inv(np.eye(s) + CURVATURE * (curvature[b] - np.eye(s)))
        theirs = np.atleast_1d(multivariate_normal(mode[b], spread).logpdf(z[b].T))
        assert np.allclose(unit[b] - np.log(inverse[b]), norm.logpdf(z[b]).sum(0) - theirs)
