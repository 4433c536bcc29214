"""Many items: no matrix is formed, and the optimum is the dense solvers'."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import annosim as an
from annosim.coordinates.normalisation import canonical
from annosim.learning.inference import uncertainty
from annosim.learning.likelihoods import latent_classes as em
from annosim.learning.likelihoods.luce import solve_sparse, solve_tabular
from annosim.learning.likelihoods.matrix_free import LargePanel
from annosim.learning.likelihoods.reference import Blocks, block_log_likelihood
from annosim.learning.likelihoods.statistics import DENSE_ITEMS, from_data
from annosim.learning.priors import LogPrior, penalty_for

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
    panel = LargePanel(three_types(), rankings, prior)
    rng = np.random.default_rng(seed)
    x = panel.start(three_types()) + 0.3 * rng.normal(size=17)
    state, v, e = panel.at(x), rng.normal(size=17), 1e-6
    slope = (panel.at(x + e * v).value - panel.at(x - e * v).value) / (2 * e)
    bent = -(panel.at(x + e * v).gradient - panel.at(x - e * v).gradient) / (2 * e)
    assert abs(slope - state.gradient @ v) < 1e-5 * (1 + abs(slope))
    assert np.abs(bent - state.product(v)).max() < 1e-6 * np.abs(bent).max()


@pytest.mark.parametrize("prior", PRIORS[:2])
def test_standard_errors_against_automatic_differentiation(rankings, prior, monkeypatch):
    fit = an.fit(three_types(), rankings, solver=an.Newton(hessian="matrix-free"), prior=prior)
    ours = {kind: fit.covariance(kind) for kind in ("hessian", "cluster")}
    monkeypatch.setattr(uncertainty, "has_large_form", lambda *_: False)
    for kind, found in ours.items():
        assert float((found - fit.covariance(kind)).abs().max()) < 1e-12


@pytest.mark.parametrize("prior", PRIORS)
def test_a_mixture_of_more_items_than_the_dense_solver_takes(prior, monkeypatch):
    rng = np.random.default_rng(0)
    u = rng.normal(size=70)
    truth = an.Mixture([an.Annotator(an.Tabular(s * u), an.Luce()) for s in (1.0, -1.0)], [0.6, 0.4])
    data = an.simulate(truth, an.Design(an.Items(n=70), menu_size=3, annotators=400, questions=20), seed=1)
    large = an.fit(truth, data, prior=prior)
    assert large.solver == "em-newton-cg" and large.converged
    monkeypatch.setattr(em, "LARGEST_TYPE", 100)
    dense = an.fit(truth, data, solver=an.Newton(hessian="dense"), prior=prior)
    assert float((canonical(large.population, data.items) - canonical(dense.population, data.items)).abs().max()) < 1e-8
    assert abs(large.log_likelihood - dense.log_likelihood) < 1e-7


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), prior=st.sampled_from(PRIORS), ranking=st.booleans())
def test_one_table_without_a_matrix(seed, prior, ranking):
    truth = an.Annotator(an.Tabular(np.linspace(-1, 1, 6)), an.Luce())
    design = an.Design(an.Items(n=6), menu_size=3, feedback="ranking" if ranking else "choice", annotators=300)
    data = an.simulate(truth, design, seed=seed)
    stats, penalty = from_data(data), penalty_for(prior, "tabular", 6, data.items)
    try:
        an.fit(truth, data, prior=prior)
    except an.errors.NotIdentifiedError:
        return
    dense, large = solve_tabular(stats, data.items, penalty), solve_sparse(stats, penalty, 1e-10, 100)
    assert (
        large.converged and np.abs((large.point - large.point.mean()) - (dense.point - dense.point.mean())).max() < 1e-8
    )


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
