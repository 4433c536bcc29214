"""Distributional rewards: equations, normalisation, recovery of exact pair probabilities, what pairs cannot tell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import norm

import annosim as an
from annosim.coordinates import num_identifiable

N = 5
ITEMS = an.Items(n=N)
DESIGN = an.Design(ITEMS, menus=an.designs.round_robin(ITEMS))
U, LOG_SD = np.array([0.9, 0.3, 0.0, -0.4, -0.8]), np.array([-0.5, 0.6, 0.1, 0.3, -0.5])
P = np.array([[0.1, 0.2, 0.7], [0.5, 0.0, 0.5], [0.2, 0.6, 0.2], [0.3, 0.4, 0.3], [0.6, 0.3, 0.1]]) * 0.97 + 0.01
PAIRS = DESIGN.menus.numpy()


def first_wins(population):
    with torch.no_grad():
        return an.law(population, DESIGN).question(0)[0, :, 0].exp().numpy()


def normal_rewards(u=U, log_sd=LOG_SD):
    return an.Annotator(an.Tabular(u), an.rules.MeanVariance(an.free(log_sd)))


def levels(p=P):
    return an.Annotator(an.utilities.ZeroUtility(), an.rules.CategoricalReward(an.free(np.log(p))))


def test_the_laws_are_the_equations():
    a, b = PAIRS.T
    s = np.exp(LOG_SD)
    assert first_wins(normal_rewards()) == pytest.approx(norm.cdf((U[a] - U[b]) / np.sqrt(s[a] ** 2 + s[b] ** 2)))
    wins = np.tril(np.ones((3, 3)), -1) + 0.5 * np.eye(3)
    p = P / P.sum(1, keepdims=True)
    assert first_wins(levels()) == pytest.approx(np.einsum("ri,ij,rj->r", p[a], wins, p[b]), abs=1e-12)


def test_equal_variances_are_thurstones_rule():
    equal = an.Annotator(an.Tabular(U), an.rules.MeanVariance(np.full(N, 0.7)))  # a common number is taken off
    assert first_wins(equal) == pytest.approx(first_wins(an.Annotator(an.Tabular(U), an.Thurstone())), abs=1e-12)


def test_the_normalisation_of_mean_and_variance_is_a_shift_and_a_scale():
    people = normal_rewards()
    assert first_wins(normal_rewards(U + 2.0, LOG_SD + 3.0)) == pytest.approx(first_wins(people), abs=1e-12)
    assert num_identifiable(people, ITEMS) == 2 * N - 2
    assert law_rank(people) == 2 * N - 2
    assert law_rank(normal_rewards(U[:4], LOG_SD[:4]), n=4) == 2 * 4 - 2
    assert law_rank(normal_rewards(U[:3], LOG_SD[:3]), n=3) < 2 * 3 - 2  # three pairs cannot tell four numbers


def test_pairs_do_not_tell_the_distributions_of_levels():
    people = levels()
    # p_a' S p_b is a skew form of rank two on three levels: linear maps of the plane with determinant one, of which
    # there is a family of three dimensions, keep every value of it
    assert num_identifiable(people, ITEMS) == law_rank(people) == N * (3 - 1) - 3


def test_identify_knows_the_normalisations():
    means = an.identify(normal_rewards(), DESIGN)
    assert means.verdict in ("locally_identified", "identified") and means.num_parameters == means.rank == 2 * N - 2
    shares = an.identify(levels(), DESIGN)
    assert shares.num_parameters == shares.rank == 2 * N - 3 and len(shares.normalisations) == 3 * N - shares.rank


def law_rank(people, n=N):
    design = an.Design(an.Items(n=n), menus=an.designs.round_robin(an.Items(n=n)))
    pairs = lambda p: an.law(p, design).question(0)[0, :, 0]  # noqa: E731
    jacobian = torch.func.jacfwd(lambda v: people.functional_call(v, pairs))(people.vector())
    return int(torch.linalg.matrix_rank(jacobian.detach(), rtol=1e-10))


def test_projection_onto_the_own_law_finds_means_and_variances():
    start = an.Annotator(an.Tabular(N), an.rules.MeanVariance(an.free(np.zeros(N))))
    found = an.project(start, normal_rewards(), DESIGN)
    assert found.converged and "log_sd sum to zero" in " ".join(found.normalisation)
    for value, true in ((found.population.utility.values, U), (found.population.rule.log_sd, LOG_SD)):
        value = value.detach().numpy()  # the maximiser leaves the flat directions where rounding puts them
        assert value - value.mean() == pytest.approx(true - true.mean(), abs=1e-6)


def test_fits_of_simulated_pairs_come_near_the_law():
    for truth, start in (
        (normal_rewards(), an.Annotator(an.Tabular(N), an.rules.MeanVariance(an.free(np.zeros(N))))),
        (levels(), an.Annotator(an.utilities.ZeroUtility(), an.rules.CategoricalReward(an.free(np.zeros((N, 3)))))),
    ):
        asked = an.Design(ITEMS, menus=DESIGN.menus, annotators=4000)
        data = an.simulate(truth, asked, seed=6)
        found = an.fit(start, data, prior=an.priors.Gaussian(3.0))
        assert found.converged
        # root mean square: 8 numbers or fewer from 4000 answers, sd of each cell 0.025 at most
        assert np.sqrt(np.mean((first_wins(found.population) - first_wins(truth)) ** 2)) < 0.05


def test_refusals():
    data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 2, answer=[0, 1])
    with pytest.raises(an.errors.AnnosimError, match="order of the utilities"):
        an.fit(an.Annotator(an.Tabular(2), an.rules.CategoricalReward(an.free(np.zeros((2, 3))))), data)
    with pytest.raises(an.errors.AnnosimError, match="3 items but there are 2"):
        an.fit(an.Annotator(an.Tabular(2), an.rules.MeanVariance(an.free(np.zeros(3)))), data)
    with pytest.raises(an.errors.AnnosimError, match="expected"):
        an.rules.CategoricalReward(np.zeros(3))
