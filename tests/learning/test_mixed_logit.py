"""Simulated likelihood: its derivatives, its agreement with quadrature, and what it recovers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import annosim as an
from annosim.learning.likelihood import log_likelihood
from annosim.learning.mixed_logit import SimulatedPanel, draws_for

ITEMS = an.Items.normal(12, 2, seed=0)
TRUTH = an.RandomCoefficients.correlated([1.0, -0.5], [[1.0, 0.4], [0.4, 0.5]], an.Luce())


def panel_data(people=200, size=3, seed=0):
    return an.simulate(TRUTH, an.Design(ITEMS, menu_size=size, annotators=people, questions=6), seed=seed)


def test_gradient_and_information_against_differences():
    panel = SimulatedPanel(TRUTH, panel_data(40), 32, 0)
    x, h = panel.full[panel.free] + 0.05, 1e-5
    value, gradient = panel.everything(x)
    information = panel.information(x).copy()
    for j in range(len(x)):
        up, down = x.copy(), x.copy()
        up[j] += h
        down[j] -= h
        (v1, g1), (v0, g0) = panel.everything(up), panel.everything(down)
        assert abs((v1 - v0) / (2 * h) - gradient[j]) < 1e-5 * max(1.0, abs(value) * 1e-3)
        assert np.abs((g1 - g0) / (2 * h) + information[:, j]).max() < 1e-3


def test_padded_menus_count_as_smaller_ones():
    data = panel_data(30, size=2)
    padded = an.PreferenceData(
        ITEMS, np.concatenate([data.menu, np.full((data.rows, 1), -1)], 1), data.answer, annotator=data.annotator
    )
    one, two = (SimulatedPanel(TRUTH, d, 16, 0) for d in (data, padded))
    x = one.full[one.free]
    assert abs(one.everything(x)[0] - two.everything(x)[0]) < 1e-9
    assert np.abs(one.information(x) - two.information(x)).max() < 1e-8


def test_many_draws_come_near_the_quadrature():
    """One coefficient: 64 trapezoid nodes are exact to 1e-7; 4096 draws are within 0.05 in log-likelihood."""
    items = an.Items.normal(8, 1, seed=1)
    truth = an.RandomCoefficients([1.0], [1.0], an.Luce())
    data = an.simulate(truth, an.Design(items, annotators=60, questions=5), seed=0)
    exact = an.fit(truth, data, solver="autograd")
    simulated = an.fit(truth, data, solver="simulated-likelihood", draws=4096)
    assert exact.converged and simulated.converged
    assert abs(exact.log_likelihood - simulated.log_likelihood) < 0.05
    assert abs(log_likelihood(simulated.population, data) - exact.log_likelihood) < 0.05
    assert torch.allclose(exact.population.vector(), simulated.population.vector(), atol=0.05)
    ratio = simulated.standard_errors()["mean"] / exact.standard_errors()["mean"]
    assert abs(float(ratio) - 1) < 0.05


def test_correlated_coefficients_are_recovered_within_their_errors():
    """2000 people: each of five numbers within five cluster standard errors plus 0.05 for the simulation's error."""
    fit = an.fit(TRUTH.like(seed=3), panel_data(2000), draws=128)
    assert fit.converged and fit.gradient_norm < 1e-8 and fit.solver == "simulated"
    error = torch.cat([v.reshape(-1) for v in fit.standard_errors("cluster").values()])
    gap = (torch.as_tensor(fit.population.factor() @ fit.population.factor().T) - TRUTH.covariance()).abs().max()
    assert float(gap.detach()) < 0.5
    means = (fit.population.mean - TRUTH.mean).abs().detach()
    assert bool((means < 5 * error[:2] + 0.05).all())


def test_draws_belong_to_a_person_and_a_seed():
    assert np.array_equal(draws_for(4, 8, 2, 1), draws_for(4, 8, 2, 1))
    assert not np.array_equal(draws_for(4, 8, 2, 1), draws_for(4, 8, 2, 2))


def test_bad_requests():
    with pytest.raises(an.AnnosimError, match="draws=1"):
        an.fit(TRUTH, panel_data(10), draws=1)
    flat = an.Items(features=np.c_[np.arange(12.0), np.ones(12)])
    with pytest.raises(an.NotIdentifiedError, match="never varies"):
        an.fit(TRUTH, panel_data(10).with_(items=flat), draws=8)
