"""Mixed logit on the nodes of a quadrature: the likelihood of the law, its derivatives, and when it takes over."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import annosim as an
from annosim.learning.likelihoods.quadrature_logit import QuadratureLogit
from annosim.learning.likelihoods.reference import log_likelihood
from annosim.learning.likelihoods.simulated import MixedLogit
from annosim.learning.problem import Problem

ITEMS = an.Items.normal(12, 2, seed=0)
LUCE = an.Luce()
FEW = {"points": 14}  # automatic differentiation of 576 nodes takes its time
MODELS = {
    "normal": lambda: an.RandomCoefficients([1.0, -0.5], [1.0, 0.7], LUCE, **FEW),
    "correlated": lambda: an.RandomCoefficients([1.0, -0.5], [1.0, 0.7], LUCE, lower=[0.3], **FEW),
    "one the same": lambda: an.RandomCoefficients([1.0, -0.5], [0.8], LUCE, distribution=["normal", "same"]),
    "a log-normal": lambda: an.RandomCoefficients(
        [-0.2, -0.5], [0.5, 0.7], LUCE, distribution=["lognormal", "normal"], signs=[-1, 1], **FEW
    ),
    "log-normals, correlated": lambda: an.RandomCoefficients(
        [-0.2, 0.1], [0.9, 0.9], LUCE, distribution="lognormal", lower=[0.2], signs=[-1, 1], **FEW
    ),
    "Gauss": lambda: an.RandomCoefficients([1.0, -0.5], [1.0, 0.7], LUCE, quadrature="hermite", points=9),
    "a scale that is known": lambda: an.RandomCoefficients([1.0, -0.5], an.fixed([0.8, 0.0]), LUCE, **FEW),
}


def panel(model, people=60, seed=0, **design):
    return an.simulate(model, an.Design(ITEMS, menu_size=3, annotators=people, questions=4, **design), seed=seed)


@pytest.mark.parametrize("name", MODELS)
def test_it_is_the_likelihood_of_the_law_with_its_derivatives(name):
    model = MODELS[name]()
    data = panel(model, 20)
    weight = np.linspace(0.5, 2.0, 20)[np.asarray(data.annotator_ids)]
    here = QuadratureLogit(Problem(model, data.with_(weight=weight), solver=an.Newton()))
    x, h = here.full[here.free] + 0.05, 1e-5
    at = here.evaluate(x)
    there = model.with_parameters(here.values(x))
    assert at.value == pytest.approx(log_likelihood(there, here.problem.data), abs=1e-9)
    for j, e in enumerate(h * np.eye(len(x))):
        up, down = here.evaluate(x + e), here.evaluate(x - e)
        assert (up.value - down.value) / (2 * h) == pytest.approx(at.gradient[j], abs=1e-6)
        assert (down.gradient - up.gradient) / (2 * h) == pytest.approx(np.asarray(at.curvature)[:, j], abs=1e-5)
    assert here.weights @ at.scores == pytest.approx(at.gradient, abs=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_it_is_taken_unasked_and_ends_where_automatic_differentiation_does(name):
    model = MODELS[name]()
    data = panel(model)
    ours, theirs = an.fit(model, data), an.fit(model, data, solver=an.LBFGS())
    assert (ours.solver, theirs.solver) == ("quadrature", "autograd") and ours.converged and theirs.converged
    assert ours.log_likelihood == pytest.approx(theirs.log_likelihood, abs=1e-8)
    assert ours.population.vector().numpy() == pytest.approx(theirs.population.vector().numpy(), abs=1e-4)
    for kind in ("hessian", "cluster") if not ours.notes else ():  # a spread of zero has no error
        assert torch.allclose(ours.covariance(kind), theirs.covariance(kind), rtol=1e-4, atol=1e-6)
    assert "nodes" in ours.why and [x.split("(")[0] for x in ours.notes] == [x.split("(")[0] for x in theirs.notes]
    assert ours.log_likelihood == pytest.approx(log_likelihood(ours.population, data), abs=1e-9)


def test_rankings_and_padded_menus_too():
    model = MODELS["normal"]()
    design = an.Design(ITEMS, menus=[[0, 1, 2, 3], [4, 5, 6, -1], [7, 8, -1, -1]], annotators=20, feedback="ranking")
    data = an.simulate(model, design, seed=0)
    here = QuadratureLogit(Problem(model, data, solver=an.Newton()))
    assert here.evaluate(here.start(model)).value == pytest.approx(log_likelihood(model, data), abs=1e-9)


def test_log_normal_tastes_may_be_simulated():
    """Derivatives at the same draws; and as many of them as it takes come near the quadrature."""
    model = MODELS["a log-normal"]()
    data = panel(model, 40)
    here = MixedLogit(Problem(model, data, solver=an.learning.SimulatedLikelihood(draws=16)))
    x, h = here.full[here.free] - 0.1, 1e-5
    at = here.evaluate(x)
    for j, e in enumerate(h * np.eye(len(x))):
        up, down = here.evaluate(x + e), here.evaluate(x - e)
        assert (up.value - down.value) / (2 * h) == pytest.approx(at.gradient[j], abs=1e-6)
        assert (down.gradient - up.gradient) / (2 * h) == pytest.approx(np.asarray(at.curvature)[:, j], abs=1e-5)
    drawn, exact = an.fit(model, data, solver="simulated"), an.fit(model, data)
    error = torch.cat([one.reshape(-1) for one in exact.standard_errors().values()]).numpy()
    gap = (drawn.population.vector() - exact.population.vector()).numpy()
    assert drawn.solver == "simulated" and np.abs(gap / error).max() < 0.3
    assert "about the mode" not in drawn.notes[0]


def test_utilities_beyond_all_range_have_no_value_and_are_not_stepped_to():
    model = MODELS["a log-normal"]()
    here = QuadratureLogit(Problem(model, panel(model, 10), solver=an.Newton()))
    assert np.isnan(here.evaluate(np.array([900.0, 0.0, 0.5, 0.5])).value)
    assert np.isnan(here.evaluate(np.full(4, np.nan)).value)


def test_too_few_nodes_are_refined_or_said_to_be_too_few():
    """Five nodes for panels of twenty answers are far too few."""
    truth = an.RandomCoefficients([1.0], [1.5], LUCE)
    items = an.Items.normal(8, 1, seed=1)
    data = an.simulate(truth, an.Design(items, menu_size=3, annotators=40, questions=20), seed=0)
    few = an.fit(an.RandomCoefficients([1.0], [1.5], LUCE, points=5), data)
    many = an.fit(an.RandomCoefficients([1.0], [1.5], LUCE, points=400), data)
    error = torch.cat([one.reshape(-1) for one in many.standard_errors().values()])
    assert few.problem.finer > 0 and many.problem.finer == 0
    assert bool(((few.population.vector() - many.population.vector()).abs() < 0.2 * error).all())
    ratio = few.covariance().diagonal() / many.covariance().diagonal()
    assert few.bootstrap(2).shape == (2, 2) and bool((ratio.log().abs() < 0.4).all())


def test_a_spread_of_zero_is_at_the_boundary():
    """Everybody takes the second item three times of four: they differ less than people of one taste would."""
    line = an.Items(features=[[0.0], [1.0]])
    data = an.PreferenceData(line, [[0, 1]] * 80, [0, 1, 1, 1] * 20, annotator=np.repeat(np.arange(20), 4))
    for model in (an.RandomCoefficients([0.5], [1.0], LUCE), an.RandomCoefficients([0.5], [1.0], LUCE, points=9)):
        fit = an.fit(model, data)
        assert fit.converged and any("scale is at the boundary" in note for note in fit.notes)
        assert float(fit.population.mean.detach()) == pytest.approx(np.log(3.0), abs=1e-6)


def test_scales_are_positive_wherever_it_begins():
    model = MODELS["correlated"]()
    data = panel(model)
    fits = [
        an.fit(one, data)
        for one in (model, model.like(seed=1), an.RandomCoefficients([0.0, 0.0], 0.3, LUCE, lower=[0.0], **FEW))
    ]
    for fit in fits:
        assert bool((fit.population.scale > 0).all())
        assert fit.population.vector().numpy() == pytest.approx(fits[0].population.vector().numpy(), abs=1e-6)


def test_what_single_answers_do_not_tell_is_named():
    """One pair each: where nobody prefers anything on average, the spread changes no probability."""
    line = an.Items(features=[[0.0], [1.0]])
    data = an.PreferenceData(line, [[0, 1]] * 40, [0] * 20 + [1] * 20)
    fit = an.fit(an.RandomCoefficients([0.3], [1.0], LUCE), data)
    assert any("do not tell" in note and "scale" in note for note in fit.notes)
    assert bool(torch.isinf(fit.standard_errors()["scale"]).all())


def test_many_answers_on_many_nodes_are_simulated():
    model = MODELS["normal"]()
    problem = Problem(model, panel(model, 20))
    assert QuadratureLogit.applies(problem) and QuadratureLogit.is_automatic(problem)
    large = an.RandomCoefficients([1.0, -0.5], [1.0, 0.7], LUCE, points=200)
    assert not QuadratureLogit.is_automatic(Problem(large, problem.data))
    sobol = an.RandomCoefficients([1.0, -0.5], [1.0, 0.7], LUCE, quadrature="sobol", points=64)
    assert not QuadratureLogit.applies(Problem(sobol, problem.data))
    assert an.fit(sobol, problem.data).solver == "simulated"
