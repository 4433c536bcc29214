"""Mixtures of tables on the law of single pairs: derivatives, and the truth found to the last digits."""

import numpy as np
import pytest
import torch

import annosim as an
from annosim.learning.likelihoods.pair_graph import PairGraph
from annosim.learning.likelihoods.pair_mixture import PairMixture


def small(k=2, n=5, free=True, seed=0):
    rng = np.random.default_rng(seed)
    winner, loser = (torch.as_tensor(v) for v in np.nonzero(~np.eye(n, dtype=bool)))
    weight = torch.as_tensor(rng.dirichlet(np.ones(len(winner))))
    share = None if free else torch.tensor([0.3, 0.7]).double().log()
    x = torch.as_tensor(rng.normal(size=k * n + (k - 1 if free else 0)))
    return PairMixture(PairGraph(winner, loser, weight, None, n), k, share), x


@pytest.mark.parametrize(("k", "free"), [(2, True), (2, False), (3, True)])
def test_the_gradient_is_that_of_the_cross_entropy(k, free):
    mixture, x = small(k, free=free)
    gradient, _ = mixture.slopes(x, *mixture.at(x)[1:])
    step, eye = 1e-6, torch.eye(len(x), dtype=torch.float64)
    slope = [(mixture.at(x + step * e)[0] - mixture.at(x - step * e)[0]) / (2 * step) for e in eye]
    assert torch.allclose(gradient, torch.tensor(slope).double(), atol=1e-9)


def test_the_information_is_the_hessian_where_the_model_fits_the_law():
    mixture, x = small(n=4)
    p = mixture.at(x)[1].exp()
    table = torch.zeros(4, 4, dtype=torch.float64)
    table[mixture.graph.winner, mixture.graph.loser] = p  # P(a, b) + P(b, a) = 1: each pair asked equally often
    assert torch.allclose(table + table.T + torch.eye(4), torch.ones(4, 4).double())
    fitted = PairMixture(PairGraph(mixture.graph.winner, mixture.graph.loser, p / p.sum(), None, 4), 2, None)
    gradient, information = fitted.slopes(x, *fitted.at(x)[1:])
    step, eye = 1e-5, torch.eye(len(x), dtype=torch.float64)
    up, down = (
        [fitted.slopes(y, *fitted.at(y)[1:])[0] for y in (x + sign * step * e for e in eye)] for sign in (1, -1)
    )
    bend = torch.stack([(a - b) / (2 * step) for a, b in zip(up, down, strict=True)])
    assert float(gradient.abs().max()) < 1e-12
    assert torch.allclose(information, bend, atol=1e-8)


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
