"""Projections: closed forms of the density-estimation paper, and agreement of the law's two ways into a fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import annosim as an
from annosim.learning.likelihoods.statistics import from_data, from_law

TARGET = an.utilities.DensityMixture(
    [an.utilities.truncated_normal(-2.5, 0.25), an.utilities.truncated_normal(2.5, 1.0)], [0.4, 0.6]
)
REFERENCE = an.utilities.truncated_normal(0.0, 5.0)


def total_variation(p, q, items):
    return 0.5 * float(((p.exp() - q.exp()).abs() * items.weights).sum())


@pytest.mark.parametrize(("beta", "left", "right"), [(1.0, 0.6444, 0.2427), (4.0, 0.2070, 0.1646)])
def test_dpo_on_the_paper_grid(beta, left, right):
    """E2: pi0 p*^(1/beta) / Z, on 2001 points, to 1e-3 in the peaks and 1e-9 in total variation."""
    items = an.Items.grid(-10.0, 10.0, 2001)
    design = an.Design(items, proposal=REFERENCE)
    model = an.Annotator(an.LogDensity(an.Tabular(2001)), an.PBDE.dpo(beta, REFERENCE))
    fit = an.project(model, an.Annotator(TARGET, an.Luce()), design)
    log_q = fit.population.utility(items).detach()
    assert abs(float(log_q[:1000].max().exp()) - left) < 1e-3 and abs(float(log_q[1000:].max().exp()) - right) < 1e-3
    closed = REFERENCE(items) + TARGET(items).detach() / beta
    closed = closed - torch.logsumexp(closed + items.log_weights, 0)
    assert total_variation(log_q, closed, items) < 1e-9 and fit.converged


def test_two_annotators_without_ids_give_one_mode_by_borda():
    """E7: a single mode near 1.5, none at -2.5, and the Borda residual below 1e-10."""
    items = an.Items.grid(-10.0, 10.0, 401)
    design = an.Design(items, proposal=REFERENCE)
    ones = [an.Annotator(an.utilities.truncated_normal(m, s), an.Luce()) for m, s in ((-2.5, 0.25), (2.5, 1.0))]
    truth = an.Mixture(ones, [0.4, 0.6])
    fit = an.project(an.Annotator(an.LogDensity(an.Tabular(401)), an.Luce()), truth, design)
    s = fit.population.utility(items).detach()
    mu = REFERENCE.mass(items)
    p = sum(
        w * torch.sigmoid(u[:, None] - u[None])
        for w, u in ((w, one.utility(items)) for w, one in zip((0.4, 0.6), ones, strict=True))
    )
    residual = ((torch.sigmoid(s[:, None] - s[None]) - p) * mu[None]).sum(1)
    assert float(residual.abs().max()) < 1e-10
    peaks = np.flatnonzero((np.diff(s.numpy()[:-1]) > 0) & (np.diff(s.numpy()[1:]) < 0)) + 1
    x = items.features[:, 0].numpy()[peaks]
    assert len(x) == 1 and 1.2 < x[0] < 1.8


def test_a_truth_with_log_densities_to_minus_1250_agrees_in_total_variation():
    items = an.Items.grid(-10.0, 10.0, 201)
    truth = an.Annotator(an.utilities.truncated_normal(-2.5, 0.25), an.Luce())  # log densities down to -1250
    fit = an.project(
        an.Annotator(an.LogDensity(an.Tabular(201)), an.Luce()), truth, an.Design(items, proposal=REFERENCE)
    )
    assert total_variation(fit.population.utility(items).detach(), truth.utility(items), items) < 1e-6
    assert fit.converged


def test_per_item_f_and_g_are_solved_on_the_index():
    """T3 with a length-normalised rule: pi = exp((f* log p* + g* - g + C) / f), C by normalisation."""
    items = an.Items(n=5, columns={"length": [1, 2, 3, 4, 5]})
    target = an.LogDensity(an.Tabular(an.fixed([0.0, 1.0, -0.5, 0.3, 0.8])))
    model = an.Annotator(an.LogDensity(an.Tabular(5)), an.PBDE.length_normalised(3.0))
    fit = an.project(model, an.Annotator(target, an.Luce()), an.Design(items))
    f = 3.0 / torch.arange(1, 6).double()
    log_q = fit.population.utility(items).detach()
    shift = f * log_q - target(items)
    assert abs(float(log_q.exp().sum()) - 1.0) < 1e-12 and float((shift - shift.mean()).abs().max()) < 1e-9
    assert abs(fit.divergence) < 1e-13


@pytest.mark.parametrize("questions", [1, 3])
def test_the_law_as_a_table_and_as_rows_are_the_same_data(questions):
    items = an.Items.normal(4, 1, seed=0)
    truth = an.Mixture(
        [an.Annotator(an.Linear([1.0]), an.Luce()), an.Annotator(an.Linear([-2.0]), an.Luce())], [0.6, 0.4]
    )
    law = an.law(truth, an.Design(items, questions=questions, proposal=np.full(4, 0.25)))
    table, rows = from_law(law), from_data(law.as_data(marginal=True))
    assert np.abs(table.wins - rows.wins).max() < 1e-15 and abs(table.constant - rows.constant) < 1e-15


def test_a_mixture_is_projected_onto_itself_and_onto_fewer_types():
    items = an.Items.normal(5, 2, seed=0)
    truth = an.Mixture(
        [an.Annotator(an.Linear([2.0, 0.0]), an.Luce()), an.Annotator(an.Linear([-1.0, 1.0]), an.Luce())], [0.7, 0.3]
    )
    design = an.Design(items, menu_size=3, questions=2)
    own = an.project(truth.like(seed=1), truth, design, starts=3).align(truth)
    assert abs(own.divergence) < 1e-12
    assert torch.allclose(own.population.vector(), truth.vector(), atol=1e-7)
    one = an.project(an.Annotator(an.Linear(2), an.Luce()), truth, design)
    assert one.divergence > 0.01 and one.log_likelihood is None
    many = an.fit(an.Annotator(an.Linear(2), an.Luce()), an.simulate(truth, design.with_(annotators=40_000), seed=0))
    assert torch.allclose(many.population.vector(), one.population.vector(), atol=0.05)


TWO = an.Items(features=[[0.0, 0.3], [1.0, -0.2]])
TABLE = an.Tabular([0.0, 1.0])
SHARED = {
    "types": an.Mixture([an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (2.0, -1.0)], [0.6, 0.4]),
    "spammers": an.populations.Contaminated(an.Annotator(TABLE, an.Luce()), 0.3),
    "random coefficients": an.RandomCoefficients([0.5, 0.2], [1.5, 1.0], an.Luce(), points=8),
    "hidden directions": an.populations.LowRank([0.0, 0.5], [[1.0], [-0.5]], an.Luce(), points=16),
    "panels": an.populations.JudgePanels([0.0, 1.0], an.free(1.5), an.Luce(), points=12),
    "a memory": an.Annotator(TABLE, an.rules.Carryover(an.Luce(), an.free(0.8))),
    "fatigue": an.Annotator(TABLE, an.rules.Fatigue(an.Luce(), an.free(0.5))),
    "a drift": an.Annotator(TABLE, an.rules.Drift(an.Luce(), an.free(0.5), [0.0, 1.0])),
}


@pytest.mark.parametrize("loads", [[3], [1, 3, 3, 2]], ids=["equal loads", "unequal loads"])
@pytest.mark.filterwarnings("ignore:fit")  # where another family's projection lies at infinity
@pytest.mark.parametrize("name", SHARED)
def test_what_an_annotators_answers_share_is_projected(name, loads):
    """The law of whole blocks: a population is its own projection, and its distance is that of the two laws."""
    truth = SHARED[name]
    design = an.Design(TWO, menus=[[0, 1]] * 3, questions=3, annotators=len(loads), loads=loads)
    own = an.project(truth.like(seed=1), truth, design)
    assert abs(own.divergence) < 1e-10
    other = SHARED["types"] if name == "spammers" else SHARED["spammers"]
    away = an.project(truth.like(seed=1), other, design)
    expected = 0.0
    for load, share in design.load_shares.items():
        p, q = (an.law(who, design.of_load(load)).probabilities for who in (other, away.population))
        expected += share * float((p * np.log(p / q)).sum())
    assert away.divergence == pytest.approx(expected, abs=1e-10)


def test_a_fading_attention_over_many_questions_is_projected_from_its_factors():
    """Twenty questions have 1e26 outcomes; the divergence is still the one that is enumerated where that is possible."""
    tired = an.Annotator(an.Tabular([0.0, 1.0, 2.0]), an.rules.Fatigue(an.Luce(), an.free(0.4)))
    luce = an.Annotator(an.Tabular(3), an.Luce())
    few, many = (an.Design(an.Items(n=3), questions=q) for q in (3, 20))
    found = an.project(luce, tired, few)
    p, q = an.law(tired, few).probabilities, an.law(found.population, few).probabilities
    assert found.divergence == pytest.approx(float((p * np.log(p / q)).sum()), abs=1e-12)
    assert an.project(luce, tired, many).divergence > found.divergence > 1e-3
    own = an.project(tired.like(seed=1), tired, many)
    assert abs(own.divergence) < 1e-10 and float(own.population.rule.rate.detach()) == pytest.approx(0.4, abs=1e-6)


def test_answers_that_the_model_cannot_give_leave_no_finite_divergence():
    truth = an.Annotator(an.Tabular([0.0, 1.0, 2.0]), an.Davidson(0.7))
    found = an.project(an.Annotator(an.Tabular(3), an.Luce()), truth, an.Design(an.Items(n=3)))
    assert found.divergence == np.inf and "ties (read as half wins)" in found.notes[-1]
    skips = an.Annotator(an.Tabular([0.0, 1.0, 2.0]), an.rules.Skip(an.Luce(), 0.2))
    found = an.project(an.Annotator(an.Tabular(3), an.Luce()), skips, an.Design(an.Items(n=3)))
    assert found.divergence == np.inf and "0.2 of the truth's answers are skips" in found.notes[-1]


@pytest.mark.parametrize("feedback", ["choice", "ranking"])
@pytest.mark.parametrize("types", [1, 2])
def test_skips_are_left_out_and_ties_are_half_wins_whatever_is_shown_first(types, feedback):
    """As a fit to the same answers reads them; the menus are shown in one order only, so that a tie is not even by itself."""
    models = [an.Annotator(an.Tabular(3), an.Luce()) for _ in range(types)]
    model = an.Mixture(models) if types > 1 else models[0]
    design = an.Design(an.Items(n=3), menus=[[0, 1], [1, 2], [2, 0]], questions=2, annotators=1, feedback=feedback)
    ones = [
        an.Annotator(an.Tabular(u), an.rules.Skip(an.Davidson(0.5), 0.2)) for u in ([0.0, 1.0, 2.0], [1.0, 0.0, -1.0])
    ]
    truth = an.Mixture(ones, [0.4, 0.6])
    data = an.law(truth, design).as_data()
    read = an.fit(model, data.take(~data.skipped).ties("half"), starts=3)
    found = an.project(model, truth, design, starts=3)
    for one, other in zip(found.population.components(), read.population.components(), strict=True):
        mine, its = (c.utility(design.items).detach().numpy() for c in (one, other))
        np.testing.assert_allclose(mine - mine.mean(), its - its.mean(), atol=1e-5)


def test_who_only_skips_at_random_is_learned_as_if_everybody_answered():
    plain, design = an.Annotator(an.Tabular([0.0, 1.0, 2.0]), an.Luce()), an.Design(an.Items(n=3), annotators=1)
    skipping = an.Annotator(plain.utility, an.rules.Skip(an.Luce(), 0.2))
    values = an.project(an.Annotator(an.Tabular(3), an.Luce()), skipping, design).population.utility.values.detach()
    np.testing.assert_allclose(values - values.mean(), [-1.0, 0.0, 1.0], atol=1e-8)


@pytest.mark.parametrize("rule", [an.rules.Skip(an.Luce(), 0.3), an.Davidson(0.7)], ids=["skips", "ties"])
def test_one_type_alone_gives_skips_or_ties(rule):
    """The other type never does: what nobody of it can say counts for the first, and the truth is its own projection."""
    first, second = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.0, 0.0, -1.0])
    truth = an.Mixture([an.Annotator(an.Tabular(first), rule), an.Annotator(an.Tabular(second), an.Luce())], [0.4, 0.6])
    model = an.Mixture([an.Annotator(an.Tabular(3), one) for one in (rule, an.Luce())])
    design = an.Design(an.Items(n=3), annotators=1, questions=2)
    found = an.project(model, truth, design, starts=6)
    assert found.divergence == pytest.approx(0, abs=1e-10) and not found.notes
    np.testing.assert_allclose(found.population.component_weights().detach(), [0.4, 0.6], atol=1e-6)
    for component, u in zip(found.population.components(), (first, second), strict=True):
        value = component.utility(design.items).detach()
        np.testing.assert_allclose(value - value[0], u - u[0], atol=1e-5)
    data = an.simulate(truth, design.with_(annotators=2000), seed=1).for_learner()
    share = an.fit(model, data, starts=4).population.component_weights().detach()
    np.testing.assert_allclose(share, [0.4, 0.6], atol=0.1)  # more than five standard errors


def test_loads_shorter_than_the_list_of_menus():
    truth = an.Annotator(an.Tabular([0.0, 1.0, 2.0]), an.Luce())
    design = an.Design(an.Items(n=3), menus=[[0, 1], [1, 2], [0, 2]], questions="all", annotators=2, loads=[1, 2])
    assert abs(an.project(an.Annotator(an.Tabular(3), an.Luce()), truth, design).divergence) < 1e-12


def test_rules_with_ties_are_projected():
    truth = an.Annotator(an.Tabular([0.0, 1.0, 2.0]), an.Davidson(delta=0.7))
    model = an.Annotator(an.Tabular(3), an.Davidson(delta=an.free(1.0)))
    fit = an.project(model, truth, an.Design(an.Items(n=3)))
    assert abs(float(fit.population.rule.delta[0]) - 0.7) < 1e-8 and abs(fit.divergence) < 1e-12
