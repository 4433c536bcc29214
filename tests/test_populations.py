"""Populations: what continuous, gated, grouped and contaminated ones average to, draw, and keep hidden.

False alarms: each sampling test rejects below 1e-9.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad
from scipy.stats import binom, norm
from torch import distributions as td

import annosim as an
from annosim import quadrature
from annosim.checks.statistics import compare_counts
from annosim.parameters import fixed
from annosim.quadrature import from_normal, gamma_quantile, hermite, sobol, trapezoid
from annosim.random import CounterRNG

LEVEL = 1e-9
ITEMS = an.Items(features=[[0.5, 1.0], [-0.3, 1.0], [0.8, -1.0]], n=3)
PAIRS = an.Design(ITEMS, menus=[[0, 1], [0, 2], [2, 1]], questions="all", annotators=20_000)


def cells(data, law):
    """Counts of whole blocks against the law's probabilities."""
    code = data.answer.reshape(-1, law.questions) @ (len(law.space) ** np.arange(law.questions)[::-1])
    return compare_counts(np.bincount(code, minlength=law.num_outcomes), law.probabilities)


def continuous():
    rule = an.Luce()
    features = [an.Linear([1.0, -0.5]), an.Linear([-1.0, 0.2])]
    gamma = td.Gamma(torch.tensor([2.0, 0.7]), torch.tensor([1.0, 2.0]))
    return {
        "normal": an.RandomCoefficients([1.0, -0.5], [0.8, 1.5], rule),
        "correlated": an.RandomCoefficients.correlated([1.0, -0.5], [[1.0, 0.7], [0.7, 1.2]], rule),
        "lognormal": an.RandomCoefficients([0.0, -0.5], [0.5, 0.4], rule, distribution="lognormal", signs=[1, -1]),
        "mixed": an.RandomCoefficients([0.0, -0.5], [0.5, 0.4], rule, distribution=["lognormal", "normal"]),
        "gamma": an.RandomCoefficients(gamma, rule=rule),
        "uniform": an.RandomCoefficients(td.Uniform(-torch.ones(2), torch.ones(2)), rule=rule, quadrature="sobol"),
        "low_rank": an.populations.LowRank([0.0, 0.5, -0.2], [[1.0], [-0.5], [0.3]], rule),
        "judge panels": an.populations.JudgePanels([0.0, 0.5, -0.2], [1.0, 0.3, 0.0], rule, points=8),
        "dirichlet": an.populations.DirichletTastes(features, [0.6, 1.5], rule),
        "probit": an.RandomCoefficients([1.0, -0.5], [0.8, 1.5], an.Thurstone()),
        "habit": an.RandomCoefficients([1.0, -0.5], [0.8, 1.5], an.Lapse(rule, 0.1)),
        "mixture": an.Mixture(
            [an.RandomCoefficients([1.0, -0.5], [0.8, 1.5], rule), an.Annotator(an.Linear([0.0, 1.0]), rule)],
            [0.4, 0.6],
        ),
        "gated": an.Gated(
            [an.Annotator(an.Linear([2.0, 0.0]), rule), an.RandomCoefficients([-1.0, 0.0], [0.5, 0.5], rule)],
            covariates=[[1.0, 0.3], [1.0, -2.0], [1.0, 0.8]],
            gate=[[0.2], [1.0]],
        ),
        "hierarchy": an.populations.Hierarchy([[1.0, 0.0], [-1.0, 0.5]], 0.6, rule, weights=[0.3, 0.7]),
        "contaminated": an.populations.Contaminated(an.Annotator(an.Linear([2.0, 0.0]), rule), 0.3),
    }


@pytest.mark.parametrize("name", list(continuous()))
def test_simulated_blocks_follow_the_law(name):
    """All three answers of each of 20,000 annotators: tastes are drawn once and kept."""
    people = continuous()[name]
    result = cells(an.simulate(people, PAIRS, seed=7), an.law(people, PAIRS))
    # where the law itself is a Sobol average, its error (4e-4) is far below the binomial noise of 2e4 draws (3e-3)
    assert result.p_value > LEVEL, result


@pytest.mark.parametrize("name", [n for n in continuous() if n not in ("gamma", "uniform")])
def test_the_law_is_differentiable_in_all_parameters(name):
    quadrature.sobol.cache_clear()  # its points may be asked for under a derivative first
    people = continuous()[name]
    f = lambda v: people.functional_call(v, lambda p: an.law(p, PAIRS, differentiable=True).probability_tensor)  # noqa: E731
    start = people.vector()
    jacobian = torch.func.jacrev(f)(start)
    way = torch.as_tensor(np.random.default_rng(0).normal(size=len(start)))
    numeric = (f(start + 1e-5 * way) - f(start - 1e-5 * way)) / 2e-5
    assert (jacobian @ way - numeric).abs().max() < 1e-7


def test_normal_tastes_against_scipy():
    """E sigmoid(m + s z) by adaptive quadrature, on a pair."""
    people = an.RandomCoefficients([1.3], [2.0], an.Luce())
    design = an.Design(an.Items(features=[[1.0], [0.0]]), menus=[[0, 1]])
    integral = quad(lambda z: norm.pdf(z) / (1 + math.exp(-1.3 - 2 * z)), -12, 12, epsabs=1e-13)[0]
    assert an.law(people, design).probabilities[0].item() == pytest.approx(integral, abs=1e-10)
    assert people.accuracy(design) < 1e-10


def test_probit_with_normal_tastes_in_closed_form():
    """Phi(d / sqrt(2 sd^2 + s^2 x^2)): normal tastes under normal noise stay normal."""
    people = an.RandomCoefficients([0.7], [1.5], an.Thurstone(0.6))
    design = an.Design(an.Items(features=[[1.0], [0.0]]), menus=[[0, 1]])
    assert float(an.law(people, design).probabilities[0]) == pytest.approx(
        norm.cdf(0.7 / math.sqrt(2 * 0.36 + 2.25)), abs=1e-12
    )


@pytest.mark.parametrize("kind,bound", [("trapezoid", 5e-5), ("hermite", 5e-4), ("sobol", 5e-3)])
def test_stated_accuracy_covers_the_error(kind, bound):
    truth = an.RandomCoefficients([1.0, -0.5], [0.8, 1.5], an.Luce(), points=60)
    people = an.RandomCoefficients([1.0, -0.5], [0.8, 1.5], an.Luce(), quadrature=kind)
    design = an.Design(ITEMS, menu_size=3, feedback="ranking")
    error = np.abs(an.law(people, design).probabilities - an.law(truth, design).probabilities).max()
    stated = people.accuracy(design)
    # Sobol states two standard errors, and the worst of many cells can lie beyond them
    assert error <= stated * (2 if kind == "sobol" else 1) + 1e-15
    assert stated < bound


@pytest.mark.parametrize("rule", [lambda: hermite(2, 9), lambda: trapezoid(2, 40), lambda: sobol(2, 1 << 13, 0)])
def test_quadrature_has_the_moments_of_the_normal(rule):
    z, w = rule()
    tolerance = 0.02 if len(z) == 1 << 13 else 1e-9
    assert float(w.sum()) == pytest.approx(1, abs=1e-12)
    for powers, value in (((2, 0), 1), ((0, 4), 3), ((2, 2), 1), ((1, 1), 0), ((3, 2), 0)):
        assert float((w * z[:, 0] ** powers[0] * z[:, 1] ** powers[1]).sum()) == pytest.approx(value, abs=tolerance)


def test_quantiles_of_torch_distributions():
    z = torch.linspace(-3, 3, 13, dtype=torch.float64)
    u = norm.cdf(z.numpy())
    assert torch.allclose(from_normal(td.Gamma(2.5, 3.0), z), torch.as_tensor(stats.gamma.ppf(u, 2.5, scale=1 / 3)))
    assert torch.allclose(from_normal(td.LogNormal(0.2, 0.5), z), (0.2 + 0.5 * z).exp())
    assert torch.allclose(
        from_normal(td.Beta(torch.tensor(2.0), torch.tensor(3.0)), z), torch.as_tensor(stats.beta.ppf(u, 2, 3))
    )
    small = gamma_quantile(torch.tensor(0.01, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64))
    assert float(small) == pytest.approx((math.log(0.3) + math.lgamma(1.01)) / 0.01, rel=1e-9)
    with pytest.raises(an.errors.AnnosimError, match="inverse distribution function"):
        from_normal(td.Poisson(1.0), z)


SHAPES = [
    ("normal", None, None),
    ("lognormal", [1, -1, -1], None),
    (["lognormal", "normal", "lognormal"], [-1, 1, 1], None),
    (["normal", "same", "lognormal"], [1, 1, -1], [0.4]),
    (["same", "normal", "normal"], None, [-0.7]),
    ("normal", None, [0.4, -0.7, 0.2]),
]


@pytest.mark.parametrize("shape,signs,lower", SHAPES)
def test_coefficients_are_their_formula(shape, signs, lower):
    """``mean + L z`` written out, with exponentials, signs and coefficients that do not vary; and ``L L'``."""
    names = [shape] * 3 if isinstance(shape, str) else shape
    moving = [i for i, name in enumerate(names) if name != "same"]
    mean, scale = np.array([0.3, -0.5, 0.2]), np.array([0.8, 1.5, 0.6])[: len(moving)]
    factor = np.zeros((3, 3))
    factor[moving, moving] = scale
    below = [(moving[i], moving[j]) for i in range(len(moving)) for j in range(i)]
    for value, place in zip(lower or [], below, strict=False):
        factor[place] = value
    people = an.RandomCoefficients(mean, scale, an.Luce(), distribution=shape, signs=signs, lower=lower)
    assert people.covariance().numpy() == pytest.approx(factor @ factor.T, abs=1e-15)
    z = np.random.default_rng(0).normal(size=(7, 3))
    expected = mean + z @ factor.T
    for i, name in enumerate(names):
        if name == "lognormal":
            expected[:, i] = (signs or [1, 1, 1])[i] * np.exp(expected[:, i])
    assert people.tastes(torch.as_tensor(z)).detach().numpy() == pytest.approx(expected, abs=1e-14)
    nodes, weight = people.standard_nodes()
    assert nodes.shape == (len(weight), 3) and float(weight.sum()) == pytest.approx(1, abs=1e-12)
    moments = (weight[:, None, None] * nodes[:, :, None] * nodes[:, None, :]).sum(0).numpy()
    assert moments == pytest.approx(np.diag([float(i in moving) for i in range(3)]), abs=1e-5)


def test_utilities_of_tastes_are_their_formula():
    z = np.random.default_rng(1).normal(size=(6, 2))
    mean, loadings = np.array([0.0, 0.5, -0.2]), np.array([[1.0, 0.1], [-0.5, 0.4], [0.3, -1.0]])
    low_rank = an.populations.LowRank(mean, loadings, an.Luce())
    tastes = low_rank.tastes(torch.as_tensor(z))
    assert low_rank.utilities(tastes, ITEMS).detach().numpy() == pytest.approx(mean + z @ loadings.T)
    blend = an.populations.DirichletTastes([an.Tabular(mean), an.Linear([1.0, -0.5])], [0.6, 1.5], an.Luce())
    share = blend.tastes(torch.as_tensor(z)).detach().numpy()
    gamma = np.stack([stats.gamma.ppf(norm.cdf(z[:, j]), a) for j, a in enumerate((0.6, 1.5))], 1)
    assert share == pytest.approx(gamma / gamma.sum(1, keepdims=True), abs=1e-9)
    table = np.stack([mean, ITEMS.features.numpy() @ [1.0, -0.5]])
    assert blend.utilities(torch.as_tensor(share), ITEMS).detach().numpy() == pytest.approx(share @ table)


def test_a_mixture_of_mixtures_is_the_flat_one():
    parts = [an.Annotator(an.Linear([s, -s / 2]), an.Luce()) for s in (1.0, -1.0, 3.0)]
    nested = an.Mixture([an.Mixture(parts[:2], [0.3, 0.7]), parts[2]], [0.6, 0.4])
    flat = an.Mixture(parts, [0.18, 0.42, 0.4])
    assert nested.component_weights().tolist() == pytest.approx([0.18, 0.42, 0.4])
    assert an.law(nested, PAIRS).probabilities == pytest.approx(an.law(flat, PAIRS).probabilities, abs=1e-14)
    gated = an.Gated([nested, parts[0]], covariates=[[0.0], [2.0]], gate=[[1.0]])
    own = np.array([0.5, 1 / (1 + math.exp(-2.0))])[:, None]
    expected = np.hstack([own * [0.18, 0.42, 0.4], 1 - own])
    assert gated.annotator_weights([0, 1]).detach().numpy() == pytest.approx(expected)
    assert gated.component_weights().detach().numpy() == pytest.approx(expected.mean(0))


def test_the_quadrature_seed_chooses_the_points():
    one, other, again = (
        an.RandomCoefficients([1.0, -0.5], 1.0, an.Luce(), quadrature="sobol", points=256, quadrature_seed=seed)
        for seed in (3, 4, 3)
    )
    assert torch.equal(one.standard_nodes()[0], sobol(2, 256, 3)[0])
    assert torch.equal(one.standard_nodes()[0], again.standard_nodes()[0])
    assert not torch.equal(one.standard_nodes()[0], other.standard_nodes()[0])
    assert torch.equal(one.standard_nodes(refine=1)[0], other.standard_nodes()[0])


def test_a_type_s_weights_and_numbers_move_with_its_name():
    parts = [an.Annotator(an.Tabular([s, 0.0, -s]), an.Luce()) for s in (1.0, -1.0, 3.0)]
    people = an.Mixture(parts, [0.5, 0.3, 0.2]).relabelled([2, 0, 1])
    assert people.weights.tolist() == pytest.approx([0.2, 0.5, 0.3])
    assert [one.utility.values[0].item() for one in people.types] == [3.0, 1.0, -1.0]
    gated = an.Gated(parts, covariates=[[1.0, 0.4], [-1.0, 2.0]], gate=[[0.2, 1.0], [-0.5, 0.3]])
    moved = gated.relabelled([2, 0, 1])
    assert torch.allclose(moved.annotator_weights([0, 1]), gated.annotator_weights([0, 1])[:, [2, 0, 1]])
    assert [one.utility.values[0].item() for one in moved.types] == [3.0, 1.0, -1.0]


def test_an_annotator_keeps_their_tastes_wherever_they_stand():
    people = an.RandomCoefficients([1.0, -0.5], [0.8, 1.5], an.Luce())
    all_of_them = people.annotator_tastes(CounterRNG(3, np.arange(50)))
    some = people.annotator_tastes(CounterRNG(3, np.array([7, 31, 7])))
    assert torch.equal(some, all_of_them[[7, 31, 7]])
    # adding questions or changing the rule moves nobody's tastes: the stream is 'taste', the entity the annotator
    longer = an.RandomCoefficients([1.0, -0.5], [0.8, 1.5], an.Lapse(an.Luce(), 0.3))
    assert torch.equal(longer.annotator_tastes(CounterRNG(3, np.arange(50))), all_of_them)


def test_dirichlet_shares_have_the_dirichlet_moments():
    alpha = torch.tensor([0.3, 1.0, 2.0], dtype=torch.float64)
    people = an.populations.DirichletTastes([an.Tabular(3)] * 3, alpha.numpy(), an.Luce(), points=1 << 12)
    z, w = people.standard_nodes()
    shares = people.tastes(z)
    mean = alpha / alpha.sum()
    assert torch.allclose((w[:, None] * shares).sum(0), mean, atol=2e-3)
    variance = mean * (1 - mean) / (alpha.sum() + 1)
    assert torch.allclose((w[:, None] * (shares - mean) ** 2).sum(0), variance, atol=2e-3)


def test_zero_spread_is_one_annotator():
    plain = an.Annotator(an.Linear([1.0, -0.5]), an.Luce())
    still = an.RandomCoefficients([1.0, -0.5], fixed([0.0, 0.0]), an.Luce())
    assert np.allclose(an.law(still, PAIRS).probabilities, an.law(plain, PAIRS).probabilities, rtol=0, atol=1e-13)
    grouped = an.populations.Hierarchy([[1.0, -0.5]], 0.0, an.Luce())
    assert np.allclose(an.law(grouped, PAIRS).probabilities, an.law(plain, PAIRS).probabilities, rtol=0, atol=1e-13)


def test_gated_types_follow_their_covariates():
    kinds = [an.Annotator(an.Linear([s, 0.0]), an.Luce()) for s in (1.0, -1.0)]
    people = an.Gated(kinds, covariates=[[1.0], [-1.0]], gate=[[1.5]])
    data = an.simulate(people, PAIRS, seed=2)
    first = data.truth["type"][::2] == 0
    p = 1 / (1 + math.exp(-1.5))
    low = binom.cdf(first.sum(), len(first), p)
    assert min(low, 1 - low) * 2 > LEVEL
    assert people.component_weights().tolist() == pytest.approx([0.5, 0.5])
    nested = an.Mixture([people, kinds[0]], [0.5, 0.5])
    assert nested.annotator_weights(np.array([0]))[0].tolist() == pytest.approx([p / 2, (1 - p) / 2, 0.5])


def test_contamination_lowers_agreement_in_the_law():
    base = an.Annotator(an.Linear([2.0, 0.0]), an.Luce())
    clean, dirty = (
        an.law(p, an.Design(ITEMS, menus=[[0, 1]])).probabilities
        for p in (base, an.populations.Contaminated(base, 0.3))
    )
    assert np.allclose(dirty, 0.7 * clean + 0.15, rtol=0, atol=1e-14)


def test_the_hidden_truth_never_reaches_a_learner():
    for people in continuous().values():
        data = an.simulate(people, PAIRS.with_(annotators=20), seed=0)
        assert "type" in data.truth and not data.for_learner().truth
        assert not set(data.for_learner().columns) & {"type", "taste"}


def test_hidden_tastes_are_those_that_answered():
    people = continuous()["mixture"]
    data = an.simulate(people, PAIRS.with_(annotators=200), seed=9, replicates=2)
    assert data.truth["taste"].shape == (2, 200, 2)
    continuous_ones = data.truth["type"] == 0
    assert np.isfinite(data.truth["taste"][continuous_ones]).all()
    assert np.isnan(data.truth["taste"][~continuous_ones]).all()
    # noiseless raters: every answer follows from the hidden taste
    sure = an.RandomCoefficients([1.0, -0.5], [0.8, 1.5], an.rules.Deterministic())
    data = an.simulate(sure, PAIRS.with_(annotators=300), seed=9)
    u = data.truth["taste"] @ ITEMS.features.numpy().T
    shown = np.take_along_axis(u[data.annotator_ids], data.menu.astype(int), 1)
    assert (data.answer == shown.argmax(1)).all()


def test_votes_of_a_panel_are_worth_what_the_law_of_its_repeats_says():
    """The variance of the share of five judges, by the law of all their answers: that of as many votes as they are worth."""
    panels, items = an.populations.JudgePanels([0.0, 0.7], 1.5, an.Luce()), an.Items(n=2)
    law = an.law(panels, an.Design(items, menus=[[0, 1]] * 5, questions="all"))
    share = np.array([bin(block).count("1") for block in range(32)]) / 5
    p = law.probabilities
    centre = p @ share
    assert p @ (share - centre) ** 2 == pytest.approx(
        centre * (1 - centre) / panels.effective_votes(items, [0, 1], 5), rel=1e-9
    )
    assert panels.correlation(items, [0, 1]) == pytest.approx(panels.correlation(items, [1, 0]), rel=1e-12)
    certain = an.populations.JudgePanels([0.0, 0.3], 3.0, an.Luce(1e-3))
    assert certain.effective_votes(items, [0, 1], 100) == pytest.approx(1.0, rel=1e-3)


def test_only_repeated_questions_tell_a_panels_spread():
    items = an.Items(n=3)
    panels = an.populations.JudgePanels([0.0, 0.5, -0.4], an.free(1.0), an.Luce(), points=8)
    once = an.identify(panels, an.Design(items, menus=[[0, 1], [1, 2]]), starts=2)
    twice = an.identify(panels, an.Design(items, menus=[[0, 1], [0, 1], [1, 2], [1, 2]], questions="all"), starts=2)
    assert (once.rank, once.num_parameters, once.verdict) == (2, 3, "not_identified")
    assert (twice.rank, twice.verdict) == (3, "locally_identified")


def test_a_panels_numbers_are_found_again():
    """From the law itself, to which a fit converges."""
    truth = an.populations.JudgePanels([-0.5, 0.5], an.free(1.5), an.Luce(), points=24)
    found = an.project(truth.like(seed=1), truth, an.Design(an.Items(n=2), menus=[[0, 1]] * 4, questions="all"))
    assert float(found.population.spread.detach()) == pytest.approx(1.5, abs=1e-3)
    gap = found.population.mean.detach()
    assert float(gap[1] - gap[0]) == pytest.approx(1.0, abs=1e-3)


def test_redraw_keeps_structure():
    people = continuous()["mixture"]
    other = people.like(seed=4)
    assert other.parameter_names() == people.parameter_names()
    assert float(other.types[0].scale.min()) > 0


BAD = [
    (lambda: an.RandomCoefficients([1.0], [-1.0], an.Luce()), "scale"),
    (lambda: an.RandomCoefficients([1.0], [1.0]), "rule"),
    (lambda: an.RandomCoefficients([1.0], [1.0], an.Luce(), distribution="cauchy"), "distribution"),
    (lambda: an.RandomCoefficients([1.0], [1.0], an.Luce(), quadrature="monte carlo"), "quadrature"),
    (lambda: an.RandomCoefficients.correlated([0, 0], [[1, 2], [2, 1]], an.Luce()), "positive definite"),
    (lambda: an.RandomCoefficients(td.Normal(0.0, 1.0), rule=an.Luce()), "vector"),
    (lambda: an.law(an.RandomCoefficients([1.0], [1.0], an.Luce()), PAIRS), "features"),
    (lambda: an.populations.LowRank([0.0, 0.0], [[1.0]], an.Luce()), "loadings"),
    (lambda: an.populations.JudgePanels([0.0, 0.0], [1.0, 1.0, 1.0], an.Luce()), "spread"),
    (lambda: an.populations.JudgePanels([0.0, 0.0], -1.0, an.Luce()), "spread"),
    (lambda: an.populations.JudgePanels(0, 1.0, an.Luce()), "mean"),
    (lambda: an.populations.JudgePanels(2, 1.0, an.Luce()).correlation(an.Items(n=2), [0]), "two or more items"),
    (lambda: an.populations.JudgePanels(2, 1.0, an.Luce()).correlation(an.Items(n=3), [0, 1]), "2 items"),
    (lambda: an.populations.JudgePanels(2, 1.0, an.Luce()).effective_votes(an.Items(n=2), [0, 1], 0), "count"),
    (lambda: an.populations.DirichletTastes([an.Tabular(2)], 1.0, an.Luce()), "two"),
    (lambda: an.populations.DirichletTastes([an.Tabular(2)] * 2, -1.0, an.Luce()), "concentration"),
    (lambda: an.populations.Contaminated(an.Annotator(an.Tabular(2), an.Luce()), 1.5), "share"),
    (lambda: an.populations.Hierarchy([1.0, 2.0], 0.5, an.Luce()), "groups"),
    (lambda: an.Gated([an.Annotator(an.Tabular(2), an.Luce())] * 2, [1.0, 2.0]), "covariates"),
]


@pytest.mark.parametrize("make,word", BAD)
def test_bad_values_are_named(make, word):
    with pytest.raises(an.errors.AnnosimError, match=word):
        make()


class Hole(an.Utility):
    """A user's own utility with one bad value, at item 1."""

    def __init__(self, value):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones((), dtype=torch.float64))
        self.value = value

    def forward(self, items):
        bad = torch.zeros(items.n, dtype=torch.float64)
        bad[1] = self.value
        return bad + self.scale * torch.arange(items.n)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("verb", ["simulate", "law", "project", "identify"])
def test_a_utility_that_is_not_finite_is_refused_by_name(verb, value):
    people = an.Annotator(Hole(value), an.Luce())
    design = an.Design(an.Items(names=["tea", "milk", "water"]), annotators=5)
    run = {
        "simulate": lambda: an.simulate(people, design, seed=0),
        "law": lambda: an.law(people, design),
        "project": lambda: an.project(an.Annotator(an.Tabular(3), an.Luce()), people, design),
        "identify": lambda: an.identify(people, design),
    }[verb]
    with pytest.raises(an.errors.ArgumentError, match=r"types\[0\].utility: Hole is .* at item 1 \('milk'\)"):
        run()


def test_a_density_may_be_zero_somewhere():
    items = an.Items.grid(-12.0, 12.0, 25)
    people = an.Annotator(an.utilities.truncated_normal(0.0, 2.0), an.Luce())
    assert (people.utility(items) == -torch.inf).any()
    assert an.simulate(people, an.Design(items, menus=[[12, 13]], annotators=5), seed=0).rows == 5


def test_sobol_points_reach_into_the_tails():
    """Of 2^20 points one lies below 2^-20, uniformly: in the lower half of that for one of six nets at least."""
    least = [float(torch.special.ndtr(sobol(1, 1 << 20, seed)[0]).min()) for seed in range(6)]
    assert max(least) < 2.0**-20 and min(least) < 2.0**-21


def test_the_share_of_a_type_is_the_mean_over_people_and_not_that_of_the_mean_person():
    rule = an.Luce()
    types = [an.Annotator(an.Tabular([s, 0.0, -s]), rule) for s in (1.0, -1.0)]
    people = an.Gated(types, covariates=[[-1.0], [0.0], [4.0]], gate=[[2.0]])
    expected = np.mean([1 / (1 + math.exp(-2.0 * x)) for x in (-1.0, 0.0, 4.0)])
    assert people.component_weights().tolist() == pytest.approx([expected, 1 - expected], abs=1e-12)
