"""Simulation-based calibration: an exact posterior passes, planted bugs do not, and the false-alarm rate is the stated one."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

import annosim as an
from annosim.checks import check_posterior
from annosim.checks.posterior import quantities
from annosim.checks.posterior_problems import from_strategies
from annosim.checks.uniformity import band, uniformity_p_value
from annosim.errors import ArgumentError, CheckError
from annosim.learning.problem import Problem
from annosim.sampling import LogPosterior

pytestmark = pytest.mark.bayes

#: answers to the menu of all three items, by four people; shares of the choices are then Dirichlet
ITEMS = an.Items(n=3)
DESIGN = an.Design(ITEMS, menus=[[0, 1, 2]], annotators=4, questions=2)
MODEL, PRIOR = an.Annotator(an.Tabular(3), an.Luce()), an.priors.Dirichlet(1.0)
#: of what must pass: a false alarm has this probability
NEVER = 1e-6


class Conjugate:
    """The exact posterior: Dirichlet(c + 1 + counts); with a bug if one is named."""

    def __init__(self, bug="none", draws=39):
        self.bug, self.draws, self.rng = bug, draws, np.random.default_rng(1)

    def __call__(self, model, data, prior):
        keep = np.asarray(data.annotator) > 0 if self.bug == "one annotator dropped" else slice(None)
        counts = np.bincount(np.asarray(data.answer)[keep], minlength=3)
        start = prior.counts + 1
        alpha = (2 * start if self.bug == "a factor 2 in the prior" else start) + counts
        if self.bug == "overconfident":
            alpha = 4 * alpha
        if self.bug == "an item swapped":
            alpha = alpha[[1, 0, 2]]
        u = np.log(self.rng.dirichlet(alpha, self.draws))
        return u - u.mean(1, keepdims=True)


def test_the_exact_posterior_passes():
    found = check_posterior(Conjugate(), MODEL, DESIGN, PRIOR, simulations=60, alpha=NEVER)
    assert found.holds and found.names[-1] == "log-likelihood" and "no sign" in repr(found)
    assert found.plot().get_ylabel() == "distribution function less uniform"


@pytest.mark.parametrize(
    "bug", ["a factor 2 in the prior", "one annotator dropped", "an item swapped", "overconfident"]
)
def test_planted_bugs_are_caught(bug):
    found = check_posterior(Conjugate(bug), MODEL, DESIGN, PRIOR, simulations=200, alpha=1e-3)
    assert not found.holds and "WRONG" in repr(found)
    if (
        bug == "one annotator dropped"
    ):  # the parameters' ranks are uniform: a part of the data has a right posterior, too
        assert [text.split(":")[0] for text in found.failed] == ["log-likelihood"]
    if bug == "overconfident":
        assert any("too narrow" in text for text in found.failed)


def test_a_swapped_type_is_caught():
    kinds = [an.Annotator(an.Tabular(an.fixed([0.0, s])), an.Luce()) for s in (60.0, -60.0)]
    model, design = an.Mixture(kinds), an.Design(an.Items(n=2), menus=[[0, 1]], annotators=12)

    def beta(swapped):
        rng = np.random.default_rng(2)

        def sampler(model, data, prior):
            ones = int((np.asarray(data.answer) == 1).sum())
            share = rng.beta(2 + ones, 2 + 12 - ones, 39)
            return np.c_[1 - share, share] if swapped else np.c_[share, 1 - share]

        return sampler

    asked = (model, design, an.priors.Dirichlet(1.0))
    assert check_posterior(beta(False), *asked, simulations=60, alpha=NEVER).holds
    assert not check_posterior(beta(True), *asked, simulations=60).holds


@pytest.mark.parametrize("case", ["pairs", "features"])
def test_laplace_passes_the_standard_cases(case):
    sampler = lambda m, d, p: an.sample_posterior(m, d, p, draws=39, chains=1)  # noqa: E731
    assert check_posterior(sampler, case=case, simulations=15, alpha=NEVER).holds


@pytest.mark.slow
@pytest.mark.parametrize("case", ["pairs", "shares", "types", "items", "scales", "tastes"])
def test_nuts_passes_the_standard_cases(case):
    sampler = lambda m, d, p: an.sample_posterior(m, d, p, method="nuts", draws=200, tune=300, chains=2)  # noqa: E731
    assert check_posterior(sampler, case=case, simulations=60, alpha=NEVER).holds


class Weighted:
    """Prior draws, weighted by the likelihood: nearly the exact posterior of any model where data are few."""

    def __init__(self, bug="none", draws=150):
        self.bug, self.draws, self.rng = bug, draws, np.random.default_rng(0)

    def __call__(self, model, data, prior):
        density = LogPosterior(Problem(model, data), prior)
        y = density.draw_prior(self.rng, self.draws)
        value = quantities(model, data, density.vectors(y))[:, -1]
        weight = np.exp(value - value.max()) if self.bug != "the data forgotten" else np.ones(len(y))
        return density.vectors(y[self.rng.choice(len(y), 20, p=weight / weight.sum())])


def test_populations_of_the_strategies():
    """Another model in each simulation; a sampler that forgets the data is right in every parameter, and caught."""
    assert check_posterior(Weighted(), case="strategies", simulations=20, alpha=NEVER).holds
    found = check_posterior(Weighted("the data forgotten", 20), case="strategies", simulations=20)
    assert [text.split(":")[0] for text in found.failed] == ["log-likelihood"]


def test_the_strategies_are_of_all_kinds_and_the_same_for_a_seed():
    problems = from_strategies(30, seed=1)
    assert len({type(one.model).__name__ for one in problems}) >= 5
    assert [repr(one.model) for one in from_strategies(30, seed=1)] == [repr(one.model) for one in problems]


def test_expectation_propagation_of_choix_passes():
    choix = pytest.importorskip("choix")

    def sampler(model, data, prior):
        return choix.ep_pairwise(data.items.n, data.to_choix("pairs"), 1 / prior.sd**2)

    assert check_posterior(sampler, case="pairs", simulations=15, alpha=NEVER).holds


def test_the_p_value_is_exact():
    """Of uniform values it is below a in a share of a at most; exact binomial tests at 1e-8."""
    rng = np.random.default_rng(0)
    p = np.array([uniformity_p_value(rng.random(60)) for _ in range(300)])
    for a in (0.01, 0.1, 0.5):
        assert binomtest(int((p <= a).sum()), 300, a, alternative="greater").pvalue > 1e-8
    assert p.mean() < 0.75  # and not much more seldom
    z, low, high = band(60, 0.1)
    outside = [
        ((x[None] <= z[:, None]).mean(1) < low).any() or ((x[None] <= z[:, None]).mean(1) > high).any()
        for x in rng.random((300, 60))
    ]
    assert binomtest(int(np.sum(outside)), 300, 0.1, alternative="greater").pvalue > 1e-8


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: check_posterior(Conjugate(), case="triples"), ArgumentError, "pairs, features"),
        (lambda: check_posterior(Conjugate(), MODEL), ArgumentError, "which design="),
        (lambda: check_posterior(Conjugate(), MODEL, DESIGN, PRIOR, alpha=0), ArgumentError, "alpha"),
        (lambda: check_posterior(Conjugate(), MODEL, DESIGN, PRIOR, simulations=0), ArgumentError, "simulations=0"),
        (lambda: check_posterior(lambda m, d, p: 1 / 0, MODEL, DESIGN, PRIOR), CheckError, "ZeroDivisionError"),
        (lambda: check_posterior(lambda m, d, p: np.zeros((5, 2)), MODEL, DESIGN, PRIOR), CheckError, r"\(S, 3\)"),
        (
            lambda: check_posterior(lambda m, d, p: (np.zeros(2), np.eye(2)), MODEL, DESIGN, PRIOR),
            CheckError,
            "of 3 parameters",
        ),
    ],
)
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_names_of_types_do_not_matter():
    """A sampler that names types anew in every draw is as right as one that does not."""
    kinds = [an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (1.0, -1.0)]
    model = an.Mixture(kinds, [0.6, 0.4])
    data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 4, [0, 1, 1, 0], annotator=[0, 0, 1, 1])
    rows = np.stack([model.vector().numpy(), model.relabelled([1, 0]).vector().numpy()])
    first, second = quantities(model, data, rows)
    assert np.allclose(first, second) and torch.isfinite(torch.as_tensor(first)).all()
