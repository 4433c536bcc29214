"""Mixtures of tables on the law of single pairs: derivatives, and the truth found to the last digits."""

import numpy as np
import pytest
import torch

import annosim as an
from annosim.learning.likelihoods.pair_graph import PairGraph
from annosim.learning.likelihoods.pair_mixture import PairMixture
from annosim.learning.problem import Problem


def small(k=2, n=5, free=True, seed=0, weight=None):
    rng = np.random.default_rng(seed)
    winner, loser = (torch.as_tensor(v) for v in np.nonzero(~np.eye(n, dtype=bool)))
    drawn = torch.as_tensor(rng.dirichlet(np.ones(len(winner))))
    weight = drawn if weight is None else weight
    share = np.arange(1.0, k + 1) / (k * (k + 1) / 2)
    types = [an.Annotator(an.Tabular(rng.normal(size=n)), an.Luce()) for _ in range(k)]
    model = an.Mixture(types, share if free else an.fixed(share))
    data = an.PreferenceData(an.Items(n=n), [[0, 1]], [0])
    mixture = PairMixture(Problem(model, data), PairGraph(winner, loser, weight, None, n))
    return mixture, mixture.start(model)


@pytest.mark.parametrize(("k", "free"), [(2, True), (2, False), (3, True)])
def test_the_gradient_is_that_of_the_value(k, free):
    mixture, x = small(k, free=free)
    gradient, step = mixture.evaluate(x).gradient, 1e-6
    slope = [
        (mixture.evaluate(x + step * e).value - mixture.evaluate(x - step * e).value) / (2 * step)
        for e in np.eye(len(x))
    ]
    assert np.allclose(gradient, slope, atol=1e-9)


def test_the_information_is_the_hessian_where_the_model_fits_the_law():
    mixture, x = small(n=4)
    s, share = x[:8].reshape(2, 4), np.array([1.0, 2.0]) / 3.0
    p = sum(share[t] / (1 + np.exp(s[t][mixture.graph.loser] - s[t][mixture.graph.winner])) for t in range(2))
    fitted, x = small(n=4, weight=torch.as_tensor(p / p.sum()))  # each pair asked equally often
    at, step = fitted.evaluate(x), 1e-5
    up, down = ([fitted.evaluate(x + sign * step * e).gradient for e in np.eye(len(x))] for sign in (1, -1))
    bend = -(np.array(up) - np.array(down)) / (2 * step)
    assert np.abs(at.gradient).max() < 1e-12
    assert np.allclose(at.curvature, bend, atol=1e-8)


def test_two_large_tables_are_found_without_annotator_ids():
    """The law of the truth is reached exactly from a start that is its own redraw, and every start is told."""
    items = an.Items.grid(-4.0, 4.0, 71)
    parts = [an.utilities.truncated_normal(-1.5, 0.7), an.utilities.truncated_normal(1.5, 1.0)]
    truth = an.Mixture([an.Annotator(p, an.Luce()) for p in parts], [0.4, 0.6])
    design = an.Design(items, proposal=an.utilities.truncated_normal(0.0, 3.0))
    model = an.Mixture([an.Annotator(an.LogDensity(an.Tabular(71)), an.Luce()) for _ in range(2)])
    found = an.project(model.like(seed=1), truth, design, starts=6, solver=an.Newton(max_iterations=200))
    assert found.solver == "pair-mixture"
    assert len(found.starts) == 6
    assert found.converged
    assert found.divergence < 1e-12
    weights = found.population.component_weights().detach()
    assert torch.allclose(weights, torch.tensor([0.6, 0.4]).double(), atol=1e-6)
    for leaf, part in zip(found.population.components(), parts[::-1], strict=True):
        gap = (leaf.utility(items).detach().exp() - part(items).exp()).abs() * items.weights
        assert float(gap.sum()) / 2 < 1e-6


def test_data_are_fitted_by_name_and_no_better_by_em():
    items = an.Items(n=6)
    parts = [np.array([2.0, 1.0, 0.0, 0.0, -1.0, -2.0]), np.array([-2.0, -1.0, 0.5, 0.0, 1.0, 2.0])]
    truth = an.Mixture([an.Annotator(an.Tabular(p), an.Luce()) for p in parts], [0.3, 0.7])
    data = an.simulate(truth, an.Design(items, annotators=4000), seed=0)
    model = an.Mixture([an.Annotator(an.Tabular(6), an.Luce()) for _ in range(2)]).like(seed=2)
    found = an.fit(model, data, solver=an.Newton(hessian="expected", max_iterations=100), starts=3)
    climbed = an.fit(model, data, solver="em", starts=3)
    assert found.log_likelihood >= climbed.log_likelihood - 0.05
    saturated = sum(n * np.log(n / t) for n, t in _tallies(data))
    assert found.log_likelihood <= saturated + 1e-6


def _tallies(data):
    """``(answers, answers to that pair)`` of every ordered pair."""
    menu, answer = np.asarray(data.menu), np.asarray(data.answer).reshape(-1)
    won, lost = menu[np.arange(data.rows), answer], menu[np.arange(data.rows), 1 - answer]
    table = np.zeros((6, 6))
    np.add.at(table, (won, lost), 1)
    return [(table[i, j], table[i, j] + table[j, i]) for i in range(6) for j in range(6) if table[i, j]]
