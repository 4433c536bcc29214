"""The preference rules that a density defines, against the table of 2311.14115, written out in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

import annosim as an
from annosim.errors import ArgumentError

N = 5
LENGTH = np.array([1.0, 3.0, 2.0, 5.0, 4.0])
ITEMS = an.Items(features=np.arange(float(N))[:, None], columns={"length": LENGTH})
logs = st.lists(st.floats(-3, 3), min_size=N, max_size=N).map(np.array)


def normalised(energy):
    return energy - logsumexp(energy)


def density(log_density):
    table = np.asarray(log_density)
    return an.LogDensity(lambda x: table[np.asarray(x[:, 0], dtype=int)])


#: rule -> (the rule, Omega of (log p, log reference), log of the optimum under a Luce annotator of density p*)
RULES = {
    "dpo": (lambda ref: an.PBDE.dpo(4.0, ref), lambda p, r: 4 * (p - r), lambda p, r: r + p / 4),
    "geometric": (
        lambda ref: an.PBDE.geometric(0.25, ref),
        lambda p, r: 4 * p - 3 * r,
        lambda p, r: 0.75 * r + 0.25 * p,
    ),
    "temperature": (lambda ref: an.PBDE(0.5, 0.0), lambda p, r: p / 2, lambda p, r: 2 * p),
    "length": (lambda ref: an.PBDE.length_normalised(10.0), lambda p, r: 10 * p / LENGTH, None),
}


@pytest.mark.parametrize("name", RULES)
@given(p=logs, r=logs)
def test_choices_follow_the_table(name, p, r):
    make, omega, _ = RULES[name]
    p, r = normalised(p), normalised(r)
    expected = omega(p, r)
    rater = an.Annotator(an.Tabular(p), make(density(r)))
    pairs = an.Design(ITEMS, menus=[[0, 3], [4, 1]])
    table = np.exp(an.law(rater, pairs).question(0)[0].detach().numpy())
    for row, (a, b) in zip(table, [[0, 3], [4, 1]], strict=True):
        np.testing.assert_allclose(
            row, [1 / (1 + np.exp(expected[b] - expected[a])), 1 / (1 + np.exp(expected[a] - expected[b]))], atol=1e-12
        )
    triple = an.Design(ITEMS, menus=[[2, 0, 3]])
    best = np.exp(expected[[2, 0, 3]] - logsumexp(expected[[2, 0, 3]]))
    np.testing.assert_allclose(np.exp(an.law(rater, triple).question(0)[0, 0].detach().numpy()), best, atol=1e-12)


@pytest.mark.parametrize("name", ["dpo", "geometric", "temperature"])
def test_the_optimum_under_a_luce_annotator_is_the_closed_form(name):
    """T3 of the paper: the learned density is where ``Omega`` equals the annotator's log density up to a constant."""
    rng = np.random.default_rng(0)
    p, r = normalised(rng.normal(size=N)), normalised(rng.normal(size=N))
    make, _, optimum = RULES[name]
    fit = an.project(
        an.Annotator(an.Tabular(N), make(density(r))), an.Annotator(an.Tabular(p), an.Luce()), an.Design(ITEMS)
    )
    learned = normalised(fit.population.utility(ITEMS).detach().numpy())
    np.testing.assert_allclose(learned, normalised(optimum(p, r)), atol=1e-9)


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        (an.Tabular([0.0, 1.0]), r"write an\.LogDensity\(Tabular\(\.\.\.\)\)"),
        ([0.6, 0.4], r"ItemDensity\(\[0\.6, 0\.4\]\)"),
    ],
)
def test_a_reference_without_probabilities_is_answered_with_what_to_write(reference, told):
    with pytest.raises(ArgumentError, match=told):
        an.PBDE.dpo(0.5, reference)


def test_a_reference_is_a_copy():
    """DPO's reference is frozen when the rule is made: training the network that it was made of does not move it."""
    network = an.Network([3], dim=2, seed=1, dtype=torch.float64)
    items = an.Items(features=[[0.5, 1.0], [-0.3, 0.2], [0.8, -1.0]])
    rule = an.PBDE.dpo(2.0, an.LogDensity(network))
    before = rule.index(torch.zeros(3, dtype=torch.float64), items).clone()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.linspace(0.1, 1.0, parameter.numel()).reshape(parameter.shape))
    assert torch.equal(rule.index(torch.zeros(3, dtype=torch.float64), items), before)
    assert not any(parameter.requires_grad for parameter in rule.parameters())


def test_a_network_of_spreads_gives_logarithms():
    network = an.Network([3], dim=2, seed=1, dtype=torch.float64)
    items = an.Items(features=[[0.5, 1.0], [-0.3, 0.2], [0.8, -1.0]])
    rule = an.rules.MeanVariance(network)
    assert torch.allclose(rule.sd(items), network(items).exp()) and bool((rule.sd(items) > 0).all())
