"""All solvers that apply come to the same optimum, to 1e-8, on small random instances; and so do others' libraries."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import annosim as an
from annosim.coordinates.normalisation import canonical
from annosim.learning.likelihoods.registry import likelihood_of
from annosim.learning.problem import Problem

TOLERANCE = 1e-8
EVERY = [
    an.Newton(hessian="dense", max_iterations=20_000),
    an.Newton(hessian="matrix-free", max_iterations=20_000),
    an.Newton(hessian="expected", max_iterations=20_000),
    an.LBFGS(max_iterations=20_000),
    an.EM(steps=20_000),
    an.learning.SimulatedLikelihood(),
]


def _solutions(model, data, **options):
    found = [an.fit(model, data, **options)]
    for solver in EVERY:
        with contextlib.suppress(an.errors.ArgumentError):  # it does not apply to this model and data
            found.append(an.fit(model, data, solver=solver, **options))
    return {fit.solver: fit for fit in found}


def _agree(fits, items):
    assert len(fits) >= 2
    vectors = {name: canonical(fit.population, items) for name, fit in fits.items()}
    first = next(iter(vectors.values()))
    for name, fit in fits.items():
        assert fit.converged, (name, fit)
        assert float((vectors[name] - first).abs().max()) < TOLERANCE, (name, vectors)
        assert abs(fit.log_likelihood - next(iter(fits.values())).log_likelihood) < 1e-7


KINDS = [("choice", 2, None), ("choice", 3, None), ("ranking", 3, None), ("ranking", 4, None), ("top", 4, 2)]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), kind=st.sampled_from(KINDS), n=st.integers(4, 6), weighted=st.booleans())
def test_one_table(seed, kind, n, weighted):
    feedback, size, depth = kind
    rng = np.random.default_rng(seed)
    truth = an.Annotator(an.Tabular(rng.normal(size=n)), an.Luce())
    design = an.Design(an.Items(n=n), menu_size=size, feedback=feedback, depth=depth, annotators=150)
    data = an.simulate(truth, design, seed=seed)
    if weighted:
        data = data.with_(weight=rng.uniform(0.1, 3.0, data.rows))
    try:
        fits = _solutions(an.Annotator(an.Tabular(n), an.Luce()), data)
    except an.errors.NotIdentifiedError:
        return
    _agree(fits, data.items)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), kind=st.sampled_from(KINDS), dim=st.integers(1, 3))
def test_linear(seed, kind, dim):
    feedback, size, depth = kind
    items = an.Items.normal(7, dim, seed=seed)
    truth = an.Annotator(an.Linear(np.random.default_rng(seed).normal(size=dim)), an.Luce())
    design = an.Design(items, menu_size=size, feedback=feedback, depth=depth, annotators=120)
    data = an.simulate(truth, design, seed=seed)
    try:
        fits = _solutions(an.Annotator(an.Linear(dim), an.Luce()), data)
    except an.errors.NotIdentifiedError:
        return
    _agree(fits, items)


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32), ranking=st.booleans(), tabular=st.booleans())
def test_two_types(seed, ranking, tabular):
    """Well separated types and the same start: EM, EM then Newton, and automatic differentiation meet."""
    rng = np.random.default_rng(seed)
    items = an.Items.normal(5, 2, seed=1)
    w = rng.normal(size=2)
    w *= 2.0 / np.linalg.norm(w)
    truth = an.Mixture([an.Annotator(an.Linear(w), an.Luce()), an.Annotator(an.Linear(-w), an.Luce())], [0.6, 0.4])
    feedback = "ranking" if ranking else "choice"
    data = an.simulate(truth, an.Design(items, menu_size=3, feedback=feedback, annotators=300, questions=5), seed=seed)
    model = truth
    if tabular:
        model = an.Mixture(
            [
                an.Annotator(an.Tabular((items.features @ one).tolist()), an.Luce())
                for one in (torch.as_tensor(w), -torch.as_tensor(w))
            ],
            [0.5, 0.5],
        )
    _agree(_solutions(model, data), items)


def _tables_with_scales(scores):
    """Three ways to a table's index ``s = f u + g``: a temperature, a PBDE with offsets, and a normalised density."""
    n = len(scores)
    bent = an.PBDE(2.0, np.linspace(0.0, 1.0, n))
    return [
        an.Annotator(an.Tabular((0.7 * scores).tolist()), an.Luce(0.7)),
        an.Annotator(an.Tabular((-scores / 2).tolist()), bent),
        an.Annotator(an.LogDensity(an.Tabular(scores.tolist())), an.Luce()),
    ]


@settings(max_examples=4, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    prior=st.sampled_from(
        [an.priors.Dirichlet(0.7), an.priors.Dirichlet(3.0), an.priors.Gaussian(1.5), an.priors.Ridge(2.0)]
    ),
    linear=st.booleans(),
)
def test_two_types_with_a_prior(seed, prior, linear):
    """A prior acts on the same quantities in every solver: optimum, covariance and note agree."""
    items = an.Items.normal(5, 2, seed=1)
    truth = an.Mixture([an.Annotator(an.Linear([s, s / 2]), an.Luce()) for s in (1.5, -1.5)], [0.6, 0.4])
    data = an.simulate(truth, an.Design(items, menu_size=3, annotators=60, questions=5), seed=seed)
    model = truth
    if not linear and not isinstance(prior, an.priors.Ridge):
        scores = (items.features @ torch.tensor([1.5, 0.75], dtype=torch.float64)).numpy()
        model = an.Mixture(_tables_with_scales(scores)[:2], [0.5, 0.5])
    fits = _solutions(model, data, prior=prior)
    _agree(fits, items)
    first, *others = [fit.covariance() for fit in fits.values()]
    assert all(float((first - other).abs().max()) < 1e-7 for other in others)
    assert all(repr(prior) in " ".join(fit.notes) for fit in fits.values())


@pytest.mark.parametrize("prior", [an.priors.Dirichlet(0.7), an.priors.Gaussian(0.5)])
@pytest.mark.parametrize("form", [0, 1, 2])
def test_one_table_with_a_prior(prior, form):
    model = _tables_with_scales(np.linspace(-1.0, 1.0, 5))[form]
    data = an.simulate(model, an.Design(an.Items(n=5), menu_size=3, annotators=40), seed=5)
    fits = _solutions(model, data, prior=prior)
    _agree(fits, data.items)
    first, other = (fit.covariance() for fit in fits.values())
    assert float((first - other).abs().max()) < 1e-9


def test_dirichlet_counts_the_shares_of_known_types():
    """Types that answer apart for certain: the share is (annotators of the type + c) / (annotators + 2 c)."""
    sure = [an.Annotator(an.Tabular(an.fixed([0.0, s])), an.Luce()) for s in (-40.0, 40.0)]
    data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 10, [0] * 7 + [1] * 3)
    for solver in (an.Newton(), an.EM(), an.LBFGS()):
        fit = an.fit(an.Mixture(sure, [0.5, 0.5]), data, prior=an.priors.Dirichlet(2.0), solver=solver)
        assert abs(float(fit.population.weights[0]) - 9 / 14) < 1e-9
        assert "the shares of the types" in fit.notes[-1]


@pytest.mark.parametrize("kind", ["linear", "types", "mixed logit"])
def test_the_units_of_features_change_no_step(kind):
    """In units of powers of four: the scaled gradient, the longest step and the iterations are the same, weights inverse."""
    rng, units = np.random.default_rng(0), np.array([4.0**5, 4.0**-4])
    features, menus = rng.normal(size=(8, 2)), rng.permuted(np.tile(np.arange(8), (360, 1)), axis=1)[:, :3]
    answers = (features[menus] @ [1.0, -0.5] + rng.gumbel(size=menus.shape)).argmax(1)
    seen = []
    for unit in (np.ones(2), units):
        data = an.PreferenceData(an.Items(features=features * unit), menus, answers, annotator=np.repeat(range(60), 6))
        linear = [an.Annotator(an.Linear(np.array(w) / unit), an.Luce()) for w in ([0.1, 0.2], [-0.3, 0.1])]
        model, solver = {
            "linear": (linear[0], an.Newton()),
            "types": (an.Mixture(linear, [0.6, 0.4]), an.Newton()),
            "mixed logit": (
                an.RandomCoefficients(np.array([0.1, 0.2]) / unit, np.array([0.5, 0.3]) / unit, an.Luce()),
                an.learning.SimulatedLikelihood(draws=16),
            ),
        }[kind]
        likelihood = likelihood_of(Problem(model, data, solver=solver), "simulated" if kind == "mixed logit" else None)
        now = likelihood.evaluate(likelihood.start(model))
        fit = an.fit(model, data, solver=solver)
        numbers = [p.detach().numpy() * unit for name, p in fit.population.named_parameters() if name != "weights"]
        step = likelihood.longest[:2] * unit
        seen.append((now.scaled_gradient, step, fit.iterations, fit.log_likelihood, np.concatenate(numbers)))
    for one, other in zip(*seen, strict=True):
        assert other == pytest.approx(one, rel=1e-8)


def test_projection_recovers_the_truth_by_every_solver():
    items = an.Items.normal(5, 2, seed=0)
    truth = an.Annotator(an.Linear([1.0, -0.5]), an.Luce())
    design = an.Design(items, menu_size=3, feedback="ranking")
    for solver in (an.Newton(), an.LBFGS()):
        best = an.project(an.Annotator(an.Linear(2), an.Luce()), truth, design, solver=solver)
        assert best.log_likelihood is None and abs(best.divergence) < 1e-13
        assert torch.allclose(best.population.utility.weights, truth.utility.weights, atol=1e-9)


def test_choix_on_connected_pairs():
    choix = pytest.importorskip("choix")
    rng = np.random.default_rng(3)
    u = rng.normal(size=8)
    data = an.simulate(an.Annotator(an.Tabular(u), an.Luce()), an.Design(an.Items(n=8), annotators=3000), seed=4)
    rows = np.arange(data.rows)
    pairs = np.stack([data.menu[rows, data.answer], data.menu[rows, 1 - data.answer]], 1)
    theirs = choix.opt_pairwise(8, pairs.tolist(), alpha=0.0, tol=1e-12)
    ours = an.fit(an.Annotator(an.Tabular(8), an.Luce()), data).population.utility.values.numpy(force=True)
    assert np.abs(ours - (theirs - theirs.mean())).max() < 1e-6


def test_choix_on_rankings():
    choix = pytest.importorskip("choix")
    truth = an.Annotator(an.Tabular(np.linspace(-1, 1, 6)), an.Luce())
    data = an.simulate(truth, an.Design(an.Items(n=6), menu_size=4, feedback="ranking", annotators=60), seed=1)
    ranked = np.take_along_axis(data.menu, data.answer.astype(int), 1)
    # few rankings: choix's Hessian is a loop in Python
    theirs = choix.opt_rankings(6, ranked.tolist(), alpha=0.0, tol=1e-12)
    ours = an.fit(an.Annotator(an.Tabular(6), an.Luce()), data).population.utility.values.numpy(force=True)
    assert np.abs(ours - (theirs - theirs.mean())).max() < 1e-6


def test_statsmodels_conditional_logit():
    """Coefficients and Hessian standard errors of a conditional logit."""
    discrete = pytest.importorskip("statsmodels.discrete.conditional_models")
    items = an.Items.normal(30, 3, seed=2)
    truth = an.Annotator(an.Linear([1.0, -0.5, 0.2]), an.Luce())
    data = an.simulate(truth, an.Design(items, menu_size=3, annotators=400), seed=2)
    fit = an.fit(an.Annotator(an.Linear(3), an.Luce()), data)
    chosen = (np.arange(3) == data.answer[:, None]).astype(int).ravel()
    groups = np.repeat(np.arange(data.rows), 3)
    theirs = discrete.ConditionalLogit(chosen, items.features.numpy()[data.menu.ravel()], groups=groups)
    theirs = theirs.fit(disp=0, method="newton", gtol=1e-12, maxiter=100)
    assert np.abs(fit.population.utility.weights.numpy(force=True) - theirs.params).max() < 1e-6
    assert np.abs(fit.standard_errors()["utility.weights"].numpy() - theirs.bse).max() < 1e-6
