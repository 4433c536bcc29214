"""The one maximiser, on functions whose maximum is known by a formula."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import annosim as an
from annosim.learning.solvers.functions import Evaluation, Function, InformationOperator, Maximand
from annosim.learning.solvers.maximise import maximise

numbers = st.lists(st.floats(-5, 5), min_size=1, max_size=5)


def logistic(wins, losses, unit=1.0):
    """``sum wins log s(x) + losses log s(-x)``, whose maximum is ``x = log(wins / losses)``, in units of ``unit``."""
    wins, losses = np.asarray(wins, dtype=float), np.asarray(losses, dtype=float)

    def derivatives(x):
        u = x * unit
        p = 1 / (1 + np.exp(-u))
        value = float(-(wins * np.logaddexp(0, -u) + losses * np.logaddexp(0, u)).sum())
        gradient = (wins - (wins + losses) * p) * unit
        return value, gradient, np.diag((wins + losses) * p * (1 - p) * unit**2)

    return Function(derivatives, (wins + losses) * unit, longest=6.0 / unit)


class Matrixfree(Maximand):
    """The same function with its curvature as an operator."""

    def __init__(self, dense):
        self.dense, self.longest = dense, dense.longest

    def evaluate(self, x):
        value, gradient, matrix = self.dense.derivatives(x)
        return Evaluation(
            x, value, gradient, self.dense.scale, InformationOperator(lambda v: matrix @ v, matrix.diagonal())
        )


@settings(max_examples=60)
@given(numbers, st.floats(-30, 30), st.sampled_from([1e-6, 1.0, 1e6]))
def test_the_closed_form_is_found_from_anywhere_in_any_units(log_odds, start, unit):
    truth = np.array(log_odds)
    found = maximise(logistic(10 * np.exp(truth / 2), 10 * np.exp(-truth / 2), unit), np.full(len(truth), start / unit))
    assert found.converged and found.point * unit == pytest.approx(truth, abs=1e-8)


@settings(max_examples=30)
@given(numbers)
def test_a_matrix_and_an_operator_end_at_the_same_point(log_odds):
    truth = np.array(log_odds)
    dense = logistic(10 * np.exp(truth / 2), 10 * np.exp(-truth / 2))
    ends = [maximise(one, np.zeros(len(truth))) for one in (dense, Matrixfree(dense))]
    assert all(one.converged for one in ends)
    assert ends[0].point == pytest.approx(ends[1].point, abs=1e-8)


def test_directions_that_change_nothing_are_left_alone():
    """``-(x - y - 1)^2 / 2`` is flat along (1, 1): the sum stays where it began."""
    flat = np.ones((2, 1))

    def derivatives(x):
        gap = x[0] - x[1] - 1
        return -0.5 * gap**2, np.array([-gap, gap]), np.array([[1.0, -1.0], [-1.0, 1.0]])

    found = maximise(Function(derivatives, np.ones(2), null=flat), np.array([3.0, 4.0]))
    assert found.converged and found.point == pytest.approx([4.0, 3.0], abs=1e-12)


def test_where_the_function_is_convex_it_still_rises():
    """``-(x^2 - 1)^2`` is convex near 0: the curvature is negative there, and the maximum lies at 1."""

    def derivatives(x):
        return float(-((x**2 - 1) ** 2).sum()), -4 * x * (x**2 - 1), np.diag(12 * x**2 - 4)

    found = maximise(Function(derivatives, np.ones(1)), np.array([0.1]))
    assert found.converged and found.point == pytest.approx([1.0], abs=1e-10)
    assert found.notes and "positive definite" in found.notes[0]


class Coin(Maximand):
    """A function that has EM steps, and a curvature that no step can use."""

    has_em_step = True

    def evaluate(self, x):
        return Evaluation(x, float(-0.5 * (x @ x)), -x, np.ones(len(x)), np.full((len(x), len(x)), np.nan))

    def em_step(self, now):
        return -0.5 * now.point


def test_em_goes_on_where_newton_cannot():
    found = maximise(Coin(), np.array([4.0, -2.0]), tolerance=1e-6)
    assert found.converged and found.newton_steps == 0 and np.abs(found.point).max() <= 1e-6
    assert (np.diff(found.trace) > 0).all()


def test_a_curvature_that_overflowed_ends_the_climb_without_a_traceback():
    """As under tastes that explain every answer: no step can be made, and nothing is called an optimum."""
    broken = Function(lambda x: (float(-(x @ x)), -2 * x, np.full((1, 1), np.nan)), np.ones(1))
    found = maximise(broken, np.array([1.0]))
    assert not found.converged and found.stopped_by == "rounding" and found.point.tolist() == [1.0]


def test_no_step_is_longer_than_allowed_and_the_limit_is_said():
    far = logistic([1e6], [1.0])  # at -5 Newton's step is 150 long
    found = maximise(far, np.array([-5.0]), max_iterations=1)
    assert found.point == pytest.approx([1.0]) and found.stopped_by == "iterations"


def test_a_search_that_arrives_at_a_saddle_goes_on_upwards():
    """The value -(x^2 - 1)^2 - y^2 from x = 0: the gradient vanishes there, and both maxima have x = 1 or -1."""

    def values(p):
        x, y = p
        gradient = np.array([-4 * x * (x**2 - 1), -2 * y])
        return -((x**2 - 1) ** 2) - y**2, gradient, np.diag([12 * x**2 - 4, 2.0])

    found = maximise(Function(values, np.ones(2)), np.array([0.0, 0.7]))
    assert found.converged and found.value == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(np.abs(found.point), [1, 0], atol=1e-8)


def test_hidden_directions_that_begin_without_a_direction_find_one():
    """Equal loadings are no direction at all: by symmetry the gradient in them is 0, which is not a maximum."""
    truth = an.populations.LowRank([0.0, 0.5, 1.0, -1.0], [[0.5], [-0.5], [1.0], [-1.0]], an.Luce())
    data = an.simulate(truth, an.Design(an.Items(n=4), annotators=200, questions=6), seed=0).for_learner()
    level, drawn = (
        an.fit(an.populations.LowRank(4, an.free(loadings), an.Luce()), data)
        for loadings in (np.ones((4, 1)), np.random.default_rng(0).normal(size=(4, 1)))
    )
    assert level.log_likelihood == pytest.approx(drawn.log_likelihood, abs=1e-6)
    assert np.isfinite(level.summary()["standard_error"]).all()


@pytest.mark.parametrize("prior", [None, an.priors.Gaussian(3.0)])  # compiled as a whole, and step by step
@pytest.mark.parametrize("seed", [0, 3, 4])
def test_types_that_are_hardly_told_apart_are_climbed_by_newton_once_em_creeps(seed, prior):
    """Answers of one type, two types fitted: the information is not positive definite for long, and EM takes thousands of
    steps, or ends lower."""
    truth = an.Annotator(an.Tabular(np.random.default_rng(seed).normal(size=6) * 0.7), an.Luce())
    data = an.simulate(truth, an.Design(an.Items(n=6), menu_size=6, feedback="ranking", annotators=800), seed=seed)
    model = an.Mixture([an.Annotator(an.Tabular(6), an.Luce()) for _ in range(2)])
    climbed = an.fit(model, data, starts=1, seed=0, prior=prior)
    crept = an.fit(model, data, starts=1, seed=0, prior=prior, solver="em")
    assert climbed.converged and climbed.iterations < 100 < crept.iterations
    assert climbed.log_likelihood > crept.log_likelihood - 1e-6
