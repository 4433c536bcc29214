"""Rules with free numbers, ratings and habits: fitted by automatic differentiation, recovered within their errors.

Each estimate must lie within six cluster standard errors of the truth (false alarms below 1e-8 a number, were the
errors exactly normal; seeds are fixed).
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import annosim as an

ITEMS = an.Items(n=4)
U = [0.0, 0.5, 1.0, -0.8]


def recovered(model, truth, design, seed=0, **options):
    data = an.simulate(truth, design, seed=seed)
    fit = an.fit(model, data, **options)
    assert fit.converged, fit
    error = torch.cat([v.reshape(-1) for v in fit.standard_errors("cluster").values()])
    found = fit.population.vector()
    wanted = truth_vector(truth, model)
    names = fit.population.parameter_names()
    at = [i for i, name in enumerate(names) if "values" in name]
    if at:  # normalised as the fit is
        found[at] -= found[at].mean()
        wanted[at] -= wanted[at].mean()
    gap = (found - wanted).abs()
    assert bool((gap < 6 * error + 1e-9).all()), (names, found, wanted, error)
    return fit


def truth_vector(truth, model):
    own = dict(truth.named_parameters()) | dict(truth.named_buffers())
    return torch.cat([own[name].detach().double().reshape(-1) for name in model.free_parameters()])


@pytest.mark.parametrize(
    ("true_rule", "free_rule"),
    [
        (an.Davidson(delta=0.7), an.Davidson(delta=an.free(1.0))),
        (an.rules.RaoKupper(theta=1.6), an.rules.RaoKupper(theta=an.free(2.0))),
        (an.PositionBias(an.Luce(), shift=0.4), an.PositionBias(an.Luce(), shift=an.free(0.0))),
        (an.Lapse(an.Luce(), rate=0.2), an.Lapse(an.Luce(), rate=an.free(0.1))),
    ],
)
def test_ties_position_and_lapses(true_rule, free_rule):
    design = an.Design(ITEMS, annotators=4000)
    recovered(an.Annotator(an.Tabular(4), free_rule), an.Annotator(an.Tabular(U), true_rule), design)


def test_best_worst():
    design = an.Design(ITEMS, menu_size=3, feedback="best-worst", annotators=1500)
    recovered(an.Annotator(an.Tabular(4), an.Luce()), an.Annotator(an.Tabular(U), an.Luce()), design)


def test_ordered_ratings_and_their_cuts():
    """One item's utility is fixed: otherwise cuts and utilities share a constant."""
    items = an.Items.normal(6, 1, seed=0)
    truth = an.Annotator(an.Linear([1.0]), an.rules.OrderedLogit([-1.0, 0.2, 1.5]))
    model = an.Annotator(an.Linear(1), an.rules.OrderedLogit(an.free([-0.5, 0.0, 0.5])))
    design = an.Design(items, menu_size=1, feedback="rating", grades=4, annotators=1500)
    recovered(model, truth, design)


def test_reliability_of_hidden_kinds_of_workers():
    """Serious and random workers: their share, and who is who."""
    serious = an.Annotator(an.Tabular([0.0, 1.0, 2.0, -1.5]), an.Luce())
    careless = an.Annotator(an.Tabular(an.fixed([0.0] * 4)), an.Luce())
    truth = an.Mixture([serious, careless], [0.7, 0.3])
    data = an.simulate(truth, an.Design(ITEMS, annotators=300, questions=12), seed=2)
    model = an.Mixture([an.Annotator(an.Tabular(4), an.Luce()), careless], [0.5, 0.5])
    model = model.with_parameters({"types.0.utility.values": torch.tensor([0.0, 0.1, 0.2, -0.1]).double()})
    fit = an.fit(model, data)
    assert fit.converged and fit.solver == "em-newton"
    assert abs(float(fit.population.weights[0]) - 0.7) < 6 * float(fit.standard_errors()["weights"][0])
    right = (fit.responsibilities.argmax(1).numpy() == np.asarray(data.truth["type"])).mean()
    assert right > 0.85


def test_a_gaussian_prior_on_a_rule_fitted_by_automatic_differentiation():
    data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 3, [0] * 3)
    with pytest.raises(an.errors.NotIdentifiedError):
        an.fit(an.Annotator(an.Tabular(2), an.PositionBias(an.Luce(), shift=an.free(0.0))), data)
    fit = an.fit(
        an.Annotator(an.Tabular(2), an.PositionBias(an.Luce(), shift=an.free(0.0))), data, prior=an.priors.Gaussian(1.0)
    )
    assert fit.converged and any("decided" in note for note in fit.notes)
    lapse = an.Lapse(an.Luce(), rate=an.free(0.1))
    with pytest.raises(an.errors.AnnosimError, match="acts on nothing in this model"):
        an.fit(
            an.Annotator(an.Linear(1), lapse),
            data.with_(items=data.items.with_(features=[[0.0], [1.0]])),
            prior=an.priors.Dirichlet(1.0),
        )
    counted = an.fit(an.Annotator(an.Tabular(2), an.Lapse(an.Luce(), rate=0.0)), data, prior=an.priors.Dirichlet(2.0))
    gap = counted.population.utility.values
    assert abs(float(gap[0] - gap[1]) - np.log(5 / 2)) < 1e-8  # pseudo-choices under any rule: (3 + 2) / (0 + 2)


def test_one_fit_is_simulated_again():
    """What is fitted is what can be simulated: parametric bootstrap with no adapter."""
    design = an.Design(ITEMS, annotators=500)
    fit = an.fit(
        an.Annotator(an.Tabular(4), an.Luce()), an.simulate(an.Annotator(an.Tabular(U), an.Luce()), design, seed=0)
    )
    again = an.fit(an.Annotator(an.Tabular(4), an.Luce()), an.simulate(fit.population, design, seed=1))
    assert float((again.population.vector() - fit.population.vector()).abs().max()) < 0.8


def test_answers_of_one_persons_random_tastes_are_not_independent_rows():
    """Robust errors of random tastes: the units are annotators, whose scores sum to the gradient, which is zero."""
    items = an.Items.normal(4, 1, seed=3)
    people = an.RandomCoefficients([0.8], [1.0], an.Luce(), points=16)
    data = an.simulate(people, an.Design(items, menu_size=3, annotators=40, questions=5), seed=1)
    fit = an.fit(people, data)
    scores, weights = fit.likelihood.scores(fit.population)
    assert len(weights) == len(scores) and np.abs(scores.sum(0)).max() < 1e-7
    assert torch.equal(fit.covariance("sandwich"), fit.covariance("cluster"))


def test_shifts_of_all_positions_are_known_up_to_one_number():
    """Against the model whose last position is the reference: the same likelihood, count, and errors of differences."""
    items = an.Items.normal(5, 2, seed=0)
    truth = an.Annotator(an.Linear([1.0, -0.5]), an.PositionBias(an.Luce(), [0.6, 0.0, -0.2]))
    data = an.simulate(truth, an.Design(items, menu_size=3, annotators=100, questions=3), seed=4)
    fit = an.fit(an.Annotator(an.Linear(2), an.PositionBias(an.Luce(), an.free([0.0, 0.0, 0.0]))), data)
    pairwise = np.c_[items.features.numpy()[data.menu], np.tile(np.eye(3)[:, :2], (data.rows, 1, 1))]
    direct = an.PreferenceData(
        an.Items(features=pairwise.reshape(-1, 4), prompts=np.repeat(np.arange(data.rows), 3)),
        np.arange(3 * data.rows).reshape(-1, 3),
        data.answer,
        annotator=data.annotator,
    )
    other = an.fit(an.Annotator(an.Linear(4), an.Luce()), direct)
    assert fit.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-9)
    assert fit.num_parameters == other.num_parameters == 4
    gaps = np.array([[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, -1], [0, 0, 0, 1, -1]], float)
    for kind in ("hessian", "sandwich", "cluster"):
        assert np.allclose(gaps @ fit.covariance(kind).numpy() @ gaps.T, other.covariance(kind).numpy(), atol=1e-9)
    assert abs(float(fit.population.rule.shift.detach().sum())) < 1e-12


def test_one_annotator_has_no_clustered_errors():
    data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 6, [0, 0, 1, 0, 1, 1], annotator=[3] * 6)
    fit = an.fit(an.Annotator(an.Tabular(2), an.Luce()), data)
    with pytest.raises(an.errors.AnnosimError, match="one annotator"):
        fit.standard_errors("cluster")
    assert torch.isfinite(fit.covariance("sandwich")).all()
