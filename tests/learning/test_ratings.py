"""Ratings: cuts fix the location, and the estimate's existence is decided item by item and by linear program."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import annosim as an
from annosim.coordinates.normalisation import canonical
from annosim.errors import AnswerKindError
from annosim.learning.likelihoods.reference import Blocks, block_log_likelihood, log_likelihood

ITEMS = an.Items(n=4, names=["a", "b", "c", "d"], prompts=[0, 0, 1, 1])
RULES = [
    an.rules.OrderedLogit([-1.0, 1.0]),
    an.rules.OrderedLogit(an.free([-1.0, 1.0]), temperature=2.0),
    an.Lapse(an.rules.OrderedLogit([-1.0, 1.0]), 0.1),
    an.rules.Thumbs(an.free(0.3)),
    an.rules.Thumbs(0.3),
]


def rated(grades, n=2, levels=3):
    menu, answer = [[i] for i, _ in grades], [[g] for _, g in grades]
    return an.PreferenceData(an.Items(n=n), menu, answer, feedback=an.Feedback("rating", grades=levels))


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_normalisation_changes_no_answer_and_counts_what_can_be_known(rule):
    """Rank of the likelihood's Jacobian, and the law before and after it is normalised."""
    truth = an.Annotator(an.Tabular([1.0, 2.0, 0.5, 0.0]), rule)
    grades = 2 if isinstance(rule, an.rules.Thumbs) else 3
    design = an.Design(ITEMS, menu_size=1, feedback="rating", grades=grades, annotators=150)
    data = an.simulate(truth, design, seed=0)
    fit = an.fit(truth, data)
    told = fit.population.with_parameters(canonical(fit.population, ITEMS))
    laws = [an.law(one, design).probabilities for one in (fit.population, told)]
    assert np.abs(laws[0] - laws[1]).max() < 1e-14
    blocks, model = Blocks(data), fit.population
    rows = torch.func.jacrev(lambda v: model.functional_call(v, lambda p: block_log_likelihood(p, blocks)))(
        model.vector()
    )
    assert fit.num_parameters == int(torch.linalg.matrix_rank(rows, rtol=1e-9))
    error = fit.standard_errors()["utility.values"]
    assert bool(((told.utility.values - model.utility.values).abs().max() < 10 * error.max()).all())


def test_fixed_cuts_are_recovered_with_their_location():
    truth = an.Annotator(an.Tabular([1.0, 2.0, 0.5, 0.0]), an.rules.OrderedLogit([-1.0, 1.0]))
    data = an.simulate(truth, an.Design(ITEMS, menu_size=1, feedback="rating", grades=3, annotators=1000), seed=1)
    fit = an.fit(truth.like(seed=2), data)
    table = fit.summary()
    away = (table["estimate"] - truth.utility.values.numpy(force=True)[[ITEMS.id_of(n) for n in table["item"]]]).abs()
    assert (away < 5 * table["standard_error"]).all() and fit.normalisation == ()


@pytest.mark.parametrize("cuts", [[-1.0, 1.0], an.free([-1.0, 1.0])], ids=["fixed", "free"])
@pytest.mark.parametrize(
    ("grades", "match"),
    [
        ([(0, 2), (0, 2), (1, 0), (1, 1), (1, 2)], "highest grade: '0'"),
        ([(0, 0), (0, 0), (1, 0), (1, 1), (1, 2)], "lowest grade: '0'"),
        ([(1, 0), (1, 1), (1, 2)], "never rated: '0'"),
    ],
)
def test_items_at_fault_are_named(cuts, grades, match):
    model = an.Annotator(an.Tabular(2), an.rules.OrderedLogit(cuts))
    with pytest.raises(an.errors.NotIdentifiedError, match=match) as caught:
        an.fit(model, rated(grades))
    assert caught.value.items == ["0"]
    fit = an.fit(model, rated(grades), prior=an.priors.Gaussian(2.0))
    assert any("decided" in note for note in fit.notes)


def test_unused_grades_and_separation_under_free_cuts():
    model = an.Annotator(an.Tabular(2), an.rules.OrderedLogit(an.free([-1.0, 1.0])))
    with pytest.raises(an.errors.NotIdentifiedError, match="nobody gave grade 1"):
        an.fit(model, rated([(0, 0), (0, 2), (1, 0), (1, 2)]))
    with pytest.raises(an.errors.NotIdentifiedError, match="separated"):  # one item below the other, whatever the cuts
        an.fit(model, rated([(0, 0), (0, 1), (1, 1), (1, 2)]))
    fixed = an.fit(
        an.Annotator(an.Tabular(2), an.rules.OrderedLogit([-1.0, 1.0])), rated([(0, 0), (0, 1), (1, 1), (1, 2)])
    )
    assert fixed.converged  # fixed cuts hold them


@pytest.mark.parametrize("cuts", [1, 3])
def test_cuts_that_do_not_fit_the_grades_are_refused(cuts):
    model = an.Annotator(an.Tabular(2), an.rules.OrderedLogit(an.free([float(c) for c in range(cuts)])))
    with pytest.raises(AnswerKindError, match="the data have 3; give it 2 cuts"):
        an.fit(model, rated([(0, 0), (0, 1), (1, 2), (1, 1)]))


def test_shares_that_depend_on_covariates_use_each_annotators_own():
    """Types gated by a covariate: the likelihood by hand, and the gate recovered."""
    rng = np.random.default_rng(0)
    x = np.c_[np.ones(150), rng.normal(size=150)]
    kinds = [an.Annotator(an.Tabular([s, 0.0, -s]), an.Luce()) for s in (1.5, -1.5)]
    truth = an.Gated(kinds, covariates=x, gate=[[0.3], [1.5]])
    data = an.simulate(truth, an.Design(an.Items(n=3), annotators=150, questions=8), seed=0)
    share = 1 / (1 + np.exp(-(x @ [0.3, 1.5])))
    rows = [block_log_likelihood(one, Blocks(data)).detach().numpy() for one in truth.types]
    by_hand = np.log(share * np.exp(rows[0]) + (1 - share) * np.exp(rows[1])).sum()
    assert abs(log_likelihood(truth, data) - by_hand) < 1e-9
    fit = an.fit(truth, data)
    error = fit.standard_errors("cluster")["gate"]
    assert bool(((fit.population.gate - truth.gate).abs() < 5 * error).all()) and float(error.max()) < 1.0
    assert fit.responsibilities.shape == (150, 2) and any("sum to zero" in text for text in fit.normalisation)
    with pytest.raises(an.errors.AnnosimError, match="people held out"):
        an.choose_types(lambda k: truth, data, folds=0)
