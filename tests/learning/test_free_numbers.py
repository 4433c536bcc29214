"""Numbers of rules and gates without a finite estimate are refused by name; those at the end of their range are said to be."""

from __future__ import annotations

import numpy as np
import pytest

import annosim as an

ITEMS = an.Items(names=["a", "b", "c"])
PLAIN = an.simulate(an.Annotator(an.Tabular([0.0, 0.5, 1.0]), an.Luce()), an.Design(ITEMS, annotators=200), seed=0)


def all_left():
    """Every pair in both orders, and every answer is the item on the left."""
    return an.PreferenceData(ITEMS, [[0, 1], [1, 0], [1, 2], [2, 1], [0, 2], [2, 0]], [0] * 6)


@pytest.mark.parametrize("prior", [None, an.priors.Dirichlet(0.5)])
def test_a_position_bias_without_a_counterexample_has_no_finite_estimate(prior):
    model = an.Annotator(an.Tabular(3), an.PositionBias(an.Luce(), shift=an.free(0.0)))
    with pytest.raises(an.errors.NotIdentifiedError, match="no finite estimate of rule.shift"):
        an.fit(model, all_left(), prior=prior)


def test_a_prior_that_acts_on_it_makes_it_finite():
    """Six answers for the left under a standard normal prior: the root of 6 / (1 + e^x) = x."""
    model = an.Annotator(an.Tabular(3), an.PositionBias(an.Luce(), shift=an.free(0.0)))
    x = float(an.fit(model, all_left(), prior=an.priors.Gaussian(1.0)).population.rule.shift.detach())
    assert abs(6 / (1 + np.exp(x)) - x) < 1e-8


@pytest.mark.parametrize(
    ("rule", "name"), [(an.Davidson(an.free(1.0)), "delta"), (an.rules.RaoKupper(an.free(2.0)), "theta")]
)
def test_tie_parameters_without_a_tie_stand_at_the_end_of_their_range(rule, name):
    fit = an.fit(an.Annotator(an.Tabular(3), rule), PLAIN)
    assert any(f"rule.{name} is at the boundary" in note for note in fit.notes)
    exact = an.fit(an.Annotator(an.Tabular(3), an.Luce()), PLAIN)  # without ties both are Bradley-Terry
    gap = fit.population.utility.values - exact.population.utility.values
    assert float(gap.abs().max().detach()) < 1e-6


def test_a_separated_covariate_of_a_gate_has_no_finite_coefficient():
    kinds = [an.Annotator(an.Tabular(an.fixed([0.0, s])), an.Luce()) for s in (6.0, -6.0)]
    people = an.Gated(kinds, covariates=np.repeat([[1.0], [-1.0]], 30, 0))
    answer = np.repeat([1, 0], 120)
    data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 240, answer, annotator=np.repeat(np.arange(60), 4))
    with pytest.raises(an.errors.NotIdentifiedError, match=r"no finite estimate of gate"):
        an.fit(people, data)


@pytest.mark.parametrize(
    "rule",
    [
        an.PositionBias(an.Luce(), an.free(0.0)),
        an.Lapse(an.Luce(), an.free(0.1)),
        an.Davidson(an.free(1.0)),
        an.Luce(an.fixed(2.0)),
    ],
    ids=str,
)
def test_numbers_inside_their_range_are_not_spoken_of(rule):
    truth = an.Annotator(
        an.Tabular([0.0, 1.0, 2.0]), an.Lapse(an.Davidson(0.7), 0.2) if rule.ties else an.Lapse(an.Luce(), 0.2)
    )
    data = an.simulate(truth, an.Design(ITEMS, annotators=2000), seed=1)
    fit = an.fit(an.Annotator(an.Tabular(3), rule), data)
    assert not any("boundary" in note for note in fit.notes)


class MyLuce(an.Luce):
    """The same law under another name."""


class MyTabular(an.Tabular):
    """The same utility under another name."""


@pytest.mark.parametrize("model", [an.Annotator(an.Tabular(3), MyLuce()), an.Annotator(MyTabular(3), an.Luce())])
def test_a_subclass_with_the_same_law_is_fitted_and_refused_as_its_parent(model):
    plain = an.Annotator(an.Tabular(3), an.Luce())
    undefeated = an.PreferenceData(ITEMS, [[0, 1], [0, 2], [1, 2], [2, 1]], [0, 0, 0, 0])
    said = []
    for one in (plain, model):
        with pytest.raises(an.errors.NotIdentifiedError) as caught:
            an.fit(one, undefeated)
        said.append(str(caught.value))
    assert said[0] == said[1]
    ours, theirs = an.fit(model, PLAIN), an.fit(plain, PLAIN)
    assert ours.solver == theirs.solver and ours.why == theirs.why
    assert np.array_equal(ours.population.vector(), theirs.population.vector())
    for kind in ("hessian", "sandwich", "cluster"):
        assert np.array_equal(ours.covariance(kind), theirs.covariance(kind))
    assert np.array_equal(ours.bootstrap(5), theirs.bootstrap(5))


class Sharper(an.Luce):
    """Another law: it overrides what the closed forms of its parent describe."""

    def log_prob(self, scores, answer, view):
        return super().log_prob(2 * scores, answer, view)


def test_a_subclass_with_another_law_is_not_taken_for_its_parent():
    fit = an.fit(an.Annotator(an.Tabular(3), Sharper()), PLAIN)
    plain = an.fit(an.Annotator(an.Tabular(3), an.Luce()), PLAIN)
    assert fit.solver == "autograd"
    gap = 2 * fit.population.utility.values - plain.population.utility.values
    assert float(gap.abs().max().detach()) < 1e-6
