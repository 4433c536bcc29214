"""Annotators' reliability: the gradient, planted spammers, the exact law of one person, existence.

Draws have fixed seeds; no assertion is about a chance event but the recovery, whose margins are stated there.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import annosim as an
from annosim.learning.likelihoods.reference import Blocks, block_log_likelihood

N, PEOPLE = 6, 24
U = np.linspace(1.5, -1.5, N)
SPAMMERS = (3, 8, 17, 20)
SKILL = np.where(np.isin(np.arange(PEOPLE), SPAMMERS), -4.0, 3.0)


def simulated(bias=None, questions=60, seed=4):
    people = an.Annotator(an.Tabular(U), an.rules.Reliability(an.Luce(), SKILL, bias=bias))
    return an.simulate(people, an.Design(an.Items(n=N), annotators=PEOPLE, questions=questions), seed=seed)


def noisy(bias=False):
    spread = an.free(np.linspace(-1, 1, PEOPLE)) if bias else None
    return an.Annotator(an.Tabular(U / 2), an.rules.Reliability(an.Luce(), an.free(np.linspace(-1, 2, PEOPLE)), spread))


@pytest.mark.parametrize("bias", [False, True])
def test_the_gradient_equals_finite_differences_in_every_coordinate(bias):
    blocks, model = Blocks(simulated(questions=10)), noisy(bias)

    def value(v):
        return model.functional_call(v, lambda p: block_log_likelihood(p, blocks)).sum()

    at = model.vector().requires_grad_(True)
    (exact,) = torch.autograd.grad(value(at), at)
    step = 1e-5 * torch.eye(len(at), dtype=torch.float64)
    with torch.no_grad():
        numeric = torch.stack([(value(at + e) - value(at - e)) / 2e-5 for e in step])
    assert len(at) == N + PEOPLE * (2 if bias else 1)
    assert (exact - numeric).abs().max() < 1e-7


def test_the_likelihood_is_noisy_bradley_terry_written_out():
    data, model = simulated(questions=5), noisy(bias=True)
    q, b = (1 / (1 + np.exp(-getattr(model.rule, n).detach().numpy()[data.annotator])) for n in ("skill", "bias"))
    gap = (U / 2)[data.menu[:, 0]] - (U / 2)[data.menu[:, 1]]
    left = q / (1 + np.exp(-gap)) + (1 - q) * b
    by_hand = np.log(np.where(data.answer == 0, left, 1 - left)).sum()
    assert float(block_log_likelihood(model, Blocks(data)).sum().detach()) == pytest.approx(by_hand, abs=1e-9)


def test_planted_spammers_come_out_last():
    """120 answers each: attention differs by 0.93, its error is about 0.1 for each person."""
    data = simulated(questions=120)
    start = an.Annotator(an.Tabular(N), an.rules.Reliability(an.Luce(), an.free(np.zeros(PEOPLE))))
    fit = an.fit(start, data, prior=an.priors.Gaussian(2.0))
    assert fit.converged and fit.solver == "autograd"
    skill = fit.population.rule.skill.detach().numpy()
    assert set(np.argsort(skill)[: len(SPAMMERS)]) == set(SPAMMERS)
    found = fit.population.utility.values.detach().numpy()
    plain = an.fit(an.Annotator(an.Tabular(N), an.Luce()), data).population.utility.values.detach().numpy()
    error = [np.abs(x - x.mean() - U).max() for x in (found, plain)]
    assert error[0] < error[1]  # guesses flatten the plain fit's utilities
    assert any("decided how finite" in note for note in fit.notes)


def test_without_a_prior_a_skill_without_a_finite_estimate_is_refused_by_name():
    menu, annotator = [[0, 1], [1, 0], [0, 1], [0, 1]], [0, 0, 1, 1]
    data = an.PreferenceData(an.Items(n=2), menu, answer=[0, 1, 0, 1], annotator=annotator)
    model = an.Annotator(an.Tabular(an.fixed([1.0, 0.0])), an.rules.Reliability(an.Luce(), an.free([0.0, 0.0])))
    with pytest.raises(
        an.errors.NotIdentifiedError, match="full attention of 0; nothing speaks for any attention of 1"
    ):
        an.fit(model, data)
    assert an.fit(model, data, prior=an.priors.Gaussian(1.0)).converged


def test_a_finite_skill_needs_no_prior():
    """Two of three agree with a rule that is sure of four of five: q = (2/3 - 1/2) / (4/5 - 1/2) = 5/9."""
    data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 3, answer=[0, 0, 1], annotator=[0, 0, 0])
    model = an.Annotator(an.Tabular(an.fixed([np.log(4.0), 0.0])), an.rules.Reliability(an.Luce(), an.free([0.0])))
    fit = an.fit(model, data)
    assert fit.converged and torch.sigmoid(fit.population.rule.skill.detach()).item() == pytest.approx(5 / 9, abs=1e-8)


def test_the_law_is_of_one_person_or_refused():
    rule = an.rules.Reliability(an.Luce(), [0.0, 2.0])
    design = an.Design(an.Items(n=2), menus=[[0, 1]])
    with pytest.raises(an.errors.AnnosimError, match="no annotator ids here"):
        an.law(an.Annotator(an.Tabular([1.0, 0.0]), rule), design)
    with pytest.raises(an.errors.AnnosimError, match="no named annotators"):
        truth = an.Annotator(an.Tabular([1.0, 0.0]), an.Lapse(an.Luce(), 0.1))
        an.project(an.Annotator(an.Tabular(2), an.rules.Reliability(an.Luce(), an.free([0.0, 0.0]))), truth, design)
    q, p = 1 / (1 + np.exp(-2.0)), 1 / (1 + np.exp(-1.0))
    first = an.law(an.Annotator(an.Tabular([1.0, 0.0]), rule.of(1)), design).probabilities[0].item()
    assert first == pytest.approx(q * p + (1 - q) / 2, abs=1e-12)


def test_refusals_name_what_is_wrong():
    with pytest.raises(an.errors.AnnosimError, match="expected a number"):
        an.rules.Reliability(an.Luce(), np.zeros((2, 2)))
    data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 2, answer=[0, 1], annotator=[0, 5])
    model = an.Annotator(an.Tabular(2), an.rules.Reliability(an.Luce(), an.free([0.0, 0.0])))
    with pytest.raises(an.errors.AnnosimError, match="annotator 5"):
        an.fit(model, data, prior=an.priors.Gaussian(1.0))


def test_in_a_mixture_skills_without_a_finite_estimate_are_named_with_their_type():
    """An annotator who is surely of the other type says nothing of their skill as this one; the prior decides it."""
    kinds = [
        an.Annotator(an.Tabular([2.0 * s, 0.0, -2.0 * s]), an.rules.Reliability(an.Luce(), an.free([2.0] * 8)))
        for s in (1.0, -1.0)
    ]
    model = an.Mixture(kinds, [0.5, 0.5])
    data = an.simulate(model, an.Design(an.Items(n=3), annotators=8, questions=15), seed=0)
    with pytest.raises(an.errors.NotIdentifiedError, match="as type [01]"):
        an.fit(model, data)
    fit = an.fit(model, data, prior=an.priors.Gaussian(1.0))
    assert any("decided how finite the skill is" in note and "as type" in note for note in fit.notes)


@pytest.mark.parametrize("solver", [an.Newton(), an.LBFGS()])
def test_a_type_that_vanishes_is_said_to(solver):
    """Everybody answers as the first type would, and hardly as the second."""
    sure, other = (an.Annotator(an.Tabular(an.fixed([s, -s])), an.Luce()) for s in (1.0, -1.0))
    data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 40, [0] * 40, annotator=np.repeat(np.arange(4), 10))
    fit = an.fit(an.Mixture([sure, other], [0.5, 0.5]), data, solver=solver)
    assert float(fit.population.weights[1]) < 1e-4 and "type 1 has vanished" in fit.notes[-1]
    kept = an.fit(an.Mixture([sure, other], [0.5, 0.5]), data, solver=solver, prior=an.priors.Dirichlet(1.0))
    assert not any("vanished" in note for note in kept.notes)
