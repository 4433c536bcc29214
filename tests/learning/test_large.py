"""Many items: no matrix is formed, and the optimum is the dense solvers'."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import annosim as an
from annosim.coordinates.normalisation import canonical
from annosim.learning.likelihoods.autodiff import DifferentiatedLikelihood
from annosim.learning.likelihoods.latent_classes import LatentClasses
from annosim.learning.likelihoods.luce import LuceTable
from annosim.learning.likelihoods.matrix_free import MatrixFreeClasses
from annosim.learning.likelihoods.reference import Blocks, block_log_likelihood
from annosim.learning.likelihoods.statistics import DENSE_ITEMS, orders_from_data
from annosim.learning.penalties import LogPrior
from annosim.learning.problem import Problem
from annosim.learning.solvers.functions import Evaluation, InformationOperator, Maximand
from annosim.learning.solvers.maximise import maximise


class Operators(Maximand):
    """A table whose curvature is only ever multiplied with vectors."""

    def __init__(self, table):
        self.table = table

    def evaluate(self, x):
        at = self.table.evaluate(x)
        matrix = at.curvature
        return Evaluation(
            x, at.value, at.gradient, self.table.scale, InformationOperator(matrix.__matmul__, matrix.diagonal())
        )


PRIORS = [None, an.priors.Dirichlet(0.7), an.priors.Gaussian(1.0)]


def three_types():
    return an.Mixture(
        [
            an.Annotator(an.Tabular([2.0, 1.0, 0.0, -1.0, -2.0]), an.Luce(0.7)),
            an.Annotator(an.Tabular([-2.0, -1.0, 0.0, 1.0, 2.0]), an.PBDE(2.0, [0.0, 1.0, 2.0, 0.0, 0.0])),
            an.Annotator(an.LogDensity(an.Tabular([0.0, 1.5, 0.0, 1.5, 0.0])), an.Luce()),
        ],
        [0.5, 0.3, 0.2],
    )


@pytest.fixture(scope="module")
def rankings():
    design = an.Design(an.Items(n=5), menu_size=3, feedback="ranking", annotators=100, questions=4)
    return an.simulate(three_types(), design, seed=3)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), prior=st.sampled_from(PRIORS))
def test_gradient_and_products_against_differences(rankings, seed, prior):
    classes = MatrixFreeClasses(Problem(three_types(), rankings, prior=prior))
    rng = np.random.default_rng(seed)
    x = classes.start(three_types()) + 0.3 * rng.normal(size=17)
    at, v, e = classes.evaluate(x), rng.normal(size=17), 1e-6
    up, down = classes.evaluate(x + e * v), classes.evaluate(x - e * v)
    slope, bent = (up.value - down.value) / (2 * e), -(up.gradient - down.gradient) / (2 * e)
    assert abs(slope - at.gradient @ v) < 1e-5 * (1 + abs(slope))
    assert np.abs(bent - at.curvature @ v).max() < 1e-6 * np.abs(bent).max()


@pytest.mark.parametrize("prior", PRIORS[:2])
def test_information_and_scores_against_automatic_differentiation(rankings, prior):
    fit = an.fit(three_types(), rankings, solver=an.Newton(hessian="matrix-free"), prior=prior)
    problem = Problem(fit.population, rankings, prior=prior)
    exact = DifferentiatedLikelihood(problem)
    for kind in (MatrixFreeClasses, LatentClasses):
        ours = kind(problem)
        pairs = [(one.information(fit.population), one.scores(fit.population)[0]) for one in (ours, exact)]
        for found, expected in zip(*pairs, strict=True):
            assert np.abs(np.asarray(found) - expected).max() < 1e-9 * np.abs(expected).max()
        assert np.array_equal(ours.weights, exact.weights)


@pytest.mark.parametrize("prior", PRIORS)
def test_a_mixture_of_more_items_than_the_dense_solver_takes(prior):
    rng = np.random.default_rng(0)
    u = rng.normal(size=70)
    truth = an.Mixture([an.Annotator(an.Tabular(s * u), an.Luce()) for s in (1.0, -1.0)], [0.6, 0.4])
    data = an.simulate(truth, an.Design(an.Items(n=70), menu_size=3, annotators=400, questions=20), seed=1)
    large = an.fit(truth, data, prior=prior)
    assert large.solver == "em-newton-cg" and large.converged
    dense = LatentClasses(Problem(truth, data, prior=prior))
    found = dense.optimum(truth, 1e-10, 1000)
    gap = canonical(large.population, data.items) - canonical(dense.population(found.point), data.items)
    assert found.converged and float(gap.abs().max()) < 1e-8
    assert abs(large.log_likelihood - (found.value - dense.log_prior(found.point))) < 1e-7


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), prior=st.sampled_from(PRIORS), ranking=st.booleans())
def test_one_table_without_a_matrix(seed, prior, ranking):
    truth = an.Annotator(an.Tabular(np.linspace(-1, 1, 6)), an.Luce())
    design = an.Design(an.Items(n=6), menu_size=3, feedback="ranking" if ranking else "choice", annotators=300)
    data = an.simulate(truth, design, seed=seed)
    try:
        an.fit(truth, data, prior=prior)
    except an.errors.NotIdentifiedError:
        return
    table = LuceTable(Problem(truth, data, prior=prior), orders_from_data(data))
    dense, large = (maximise(form, table.statistics.start(), 1e-10, 100) for form in (table, Operators(table)))
    assert large.converged and np.ptp(large.point - dense.point) < 1e-8


def test_choices_among_more_items_than_a_matrix_holds():
    """Beyond the dense limit, menus of three and a prior: the gradient is zero by automatic differentiation too."""
    n = DENSE_ITEMS + 4
    truth = an.Annotator(an.Tabular(np.sin(np.arange(n))), an.Luce())
    data = an.simulate(truth, an.Design(an.Items(n=n), menu_size=3, annotators=9_000), seed=0)
    fit = an.fit(an.Annotator(an.Tabular(n), an.Luce()), data, prior=an.priors.Gaussian(1.0))
    assert fit.converged and fit.gradient_norm < 1e-10
    blocks, prior, model = Blocks(data), LogPrior(an.priors.Gaussian(1.0), fit.population, data.items), fit.population
    value = lambda p: block_log_likelihood(p, blocks).sum() + prior.value(p)  # noqa: E731
    slope = torch.func.grad(lambda v: model.functional_call(v, value))(model.vector())
    assert float(slope.abs().max()) < 1e-7
