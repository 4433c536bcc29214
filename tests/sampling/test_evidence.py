"""Which items may still be the best: the evidence and the highest likelihoods in closed form, and the error that is promised."""

import numpy as np
import pytest
from scipy.special import betaln, gammaln, xlogy
from scipy.stats import binomtest

import annosim as an
from annosim.errors import ArgumentError
from annosim.learning.priors import Dirichlet, Gaussian
from annosim.sampling.evidence import Evidence, _highest, log_evidence, possible_best
from annosim.sampling.methods import smoothed

pytestmark = pytest.mark.bayes


def choices(*counts):
    """One menu of all items, each chosen so often."""
    answers = np.repeat(np.arange(len(counts)), counts)
    return an.PreferenceData(an.Items(n=len(counts)), [list(range(len(counts)))] * len(answers), answers)


def known(*counts):
    """The posterior of the shares, uniform before."""
    model = an.Annotator(an.Tabular(len(counts)), an.Luce())
    return an.sample_posterior(model, choices(*counts), Dirichlet(1e-12), draws=200)


def flat(found):
    return found.draws.y.reshape(-1, found.density.size)


@pytest.mark.parametrize("counts", [(7, 3), (40, 25, 35), (0, 4, 9, 2)])
def test_the_evidence_of_choices_is_a_ratio_of_gamma_functions(counts):
    """Of shares that are uniform on the simplex; 6 standard errors."""
    found = known(*counts)
    got = log_evidence(found.density, flat(found))
    k = np.array(counts)
    exact = gammaln(len(k)) + gammaln(k + 1).sum() - gammaln(k.sum() + len(k))
    assert got.trusted and abs(got.value - exact) < 6 * got.error and got.error < 0.05


@pytest.mark.parametrize(("item", "pooled"), [(0, (22.5, 22.5, 5)), (1, (20, 25, 5)), (2, (50 / 3, 50 / 3, 50 / 3))])
def test_the_highest_likelihood_is_that_of_pooled_shares(item, pooled):
    """The maximum under an order pools adjacent violators (Barlow et al. 1972)."""
    k = np.array([20, 25, 5])
    found = known(*k)
    others = np.array([j for j in range(3) if j != item])
    start = found.density.unconstrained_numbers(flat(found)[0])
    exact = float(xlogy(k, np.array(pooled) / 50).sum())
    assert _highest(found.density, item, others, start) == pytest.approx(exact, abs=1e-5)


def excluded(wins, answers, alpha):
    """Closed form for two items and a uniform share: whether the first, and the second, is excluded."""
    share = np.clip(wins / np.maximum(answers, 1), 1e-300, 1)
    bar = betaln(wins + 1, answers - wins + 1) + np.log(alpha)
    at = [np.maximum(share, 0.5), np.minimum(share, 0.5)]
    return [xlogy(wins, p) + xlogy(answers - wins, 1 - p) <= bar for p in at]


@pytest.mark.parametrize(("wins", "losses"), [(1, 0), (9, 3), (14, 3), (3, 20), (30, 16), (30, 14)])
def test_two_items_are_decided_as_in_closed_form(wins, losses):
    found = known(wins, losses)
    first, second = excluded(wins, wins + losses, 0.05)
    evidence = log_evidence(found.density, flat(found))
    left = possible_best(found.density, flat(found), evidence, 0.05)
    assert left == tuple(i for i, out in enumerate((first, second)) if not out)


def test_the_rule_is_valid_under_looking():
    """Items that are equally good, looked at after each of 400 answers: one is ever excluded with probability alpha at most."""
    alpha, runs = 0.2, 4000
    wins = (np.random.default_rng(0).random((runs, 400)) < 0.5).cumsum(1)
    out = np.logical_or(*excluded(wins, np.arange(1, 401), alpha)).any(1)
    assert binomtest(int(out.sum()), runs, alpha, alternative="greater").pvalue > 1e-8
    assert out.mean() > 0.01  # and it decides something


def test_types_and_prompts_are_decided_too():
    """The mean over types; and of each prompt its own best item."""
    people = an.Mixture([an.Annotator(an.Tabular([0.0, s, 0.3]), an.Luce()) for s in (3.0, 2.0)], [0.5, 0.5])
    data = an.simulate(people, an.Design(an.Items(n=3), annotators=60, questions=4), seed=0)
    prior = {"types.*": Gaussian(1.5), "weights": Dirichlet(1.0)}
    found = an.sample_posterior(people, data, prior, draws=100, chains=2)
    ask = an.sampling.next_vote(found, [[0, 1], [0, 2]], "policy", draws=40)
    assert 1 in ask.candidates_left[0] and ask.shared
    items = an.Items(names=["a", "b", "c", "d"], prompts=[0, 0, 1, 1])
    votes = an.PreferenceData(items, [[0, 1]] * 40 + [[2, 3]] * 40, [0] * 39 + [1] + [1] * 38 + [0] * 2)
    both = an.sample_posterior(an.Annotator(an.Tabular(4), an.Luce()), votes, Gaussian(2.0), draws=200)
    ask = an.sampling.next_vote(both, [[0, 1], [2, 3]], "policy")
    assert ask.stop and ask.candidates_left[0] == (0, 3) and ask.annotator is None and "decided: a, d" in repr(ask)


def test_what_cannot_be_decided_says_why():
    found = known(9, 3)
    ask = an.sampling.next_vote(found, [[0, 1]])
    assert not ask.stop and "target='policy'" in ask.note and "not decided" in repr(ask)
    assert possible_best(found.density, flat(found), Evidence(0.0, 1.0, 0.9, 0.7), 0.05) == (0, 1)
    open_still = an.sampling.next_vote(found, [[0, 1]], "policy")
    assert "may be best" in repr(open_still) and open_still.menu.tolist() == [0, 1]
    with pytest.raises(ArgumentError, match="alpha"):
        an.sampling.next_vote(found, [[0, 1]], "policy", alpha=1.5)


def test_the_unit_of_a_feature_changes_nothing():
    """A weight of a feature in hundredths is a hundred times as large: nothing likely lies beyond the search."""
    features, people, left = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.2]]), an.Linear(2), []
    truth = an.Annotator(an.Linear([2.0, 3.0]), an.Luce())
    data = an.simulate(truth, an.Design(an.Items(features=features), annotators=160), seed=1)
    for unit in (1.0, 0.01):
        rows = an.PreferenceData(an.Items(features=unit * features), data.menu, data.answer)
        found = an.sample_posterior(an.Annotator(people, an.Luce()), rows, Gaussian(5.0 / unit), draws=250)
        left.append(possible_best(found.density, flat(found), log_evidence(found.density, flat(found)), 0.05))
    assert left == [(1, 2), (1, 2)]


def test_about_level_weights_have_no_tail():
    """A plateau and a step of a tenth above it: k of the step alone would be above 2, of weights that leave all draws."""
    u = np.random.default_rng(0).random(1000)
    log_ratio = np.where(u < 0.95, -0.08 - 0.001 * u, -0.08 * (1 - u) / 0.05)
    log_weight, k = smoothed(log_ratio)
    assert k <= 0 and log_weight == pytest.approx(log_ratio - np.logaddexp.reduce(log_ratio))
    assert smoothed(-np.log(u))[1] > 0.7  # weights 1 / u have k = 1
