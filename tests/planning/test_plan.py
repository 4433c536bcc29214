"""Plans: the bound, the cost, what is not identified, and simulation at the recommended size."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

import annosim as an
from annosim.errors import ArgumentError, TooLargeError
from annosim.planning.check import PlanCheck
from annosim.planning.optimal import menu_information
from annosim.planning.question_bounds import variance_per_annotator
from annosim.planning.targets import policy_value

ITEMS = an.Items.normal(6, 2, seed=0)


def two(second, weights=(0.7, 0.3)):
    return an.Mixture([an.Annotator(an.Linear(b), an.Luce()) for b in ([1.0, 0.3], second)], weights=list(weights))


def test_one_coin():
    """A pair of equal items: variance of the log-odds is 4 / n, so 1.96^2 * 4 / .1^2 annotators."""
    coin = an.Annotator(an.Tabular([0.0, 0.0]), an.Luce())
    found = an.plan(
        coin, an.Design(an.Items(n=2)), target=an.identifiability.mean_gap(0, 1), precision=0.1, cost=an.Cost(2.0, 0.5)
    )
    expected = math.ceil(1.959963984540054**2 * 4 / 0.01)
    assert found.rows[0].annotators == expected
    assert found.rows[0].cost == pytest.approx(2.5 * expected)


def test_a_design_that_does_not_identify_costs_infinity():
    people = two([-1.0, -0.3], (0.5, 0.5))
    designs = {
        "pairs": an.Design(ITEMS),
        "best of three": an.Design(ITEMS, menu_size=3),
        "two pairs each": an.Design(ITEMS, questions=2),
    }
    found = an.plan(people, designs)
    assert [math.isinf(r.cost) for r in found.rows] == [True, False, False]
    assert "law" in found.rows[0].reason and "inf" in repr(found)
    assert found.best is not None and found.best.name != "pairs"
    assert list(found.to_frame()["design"]) == list(designs)
    assert found.figure() is not None and "<table" in found._repr_html_()


def test_a_target_that_the_law_shows_is_finite_where_the_weights_are_not():
    people = two([-1.0, -0.3], (0.5, 0.5))
    assert math.isinf(an.plan(people, an.Design(ITEMS)).rows[0].annotators)
    assert math.isinf(an.plan(people, an.Design(ITEMS), target="utilities").rows[0].annotators)
    for target in ("pair probabilities", "mean utility"):  # functions of the odd part, which pairs show
        assert math.isfinite(an.plan(people, an.Design(ITEMS), target=target).rows[0].annotators)
    unsearched = an.plan(people, an.Design(ITEMS), target="mean utility", starts=0).rows[0]
    assert math.isinf(unsearched.annotators) and "no search" in unsearched.reason


def test_the_neighbourhood_alone_hides_a_target_that_moves_unseen():
    """Without any search: an item that is never shown has no utility, the others have."""
    one = an.Annotator(an.Tabular([0.0, 1.0, 0.5]), an.Luce())
    design = an.Design(an.Items(n=3), menus=[[0, 1]])
    for target, known in ((an.identifiability.mean_gap(0, 1), True), (an.identifiability.mean_gap(0, 2), False)):
        asked = variance_per_annotator(one, design, target)
        assert bool(torch.isfinite(asked.variance).all()) == known and bool(asked.reason) != known


def test_a_twin_makes_the_weights_unknown_at_full_rank():
    found = an.plan(two([0.0, 0.0]), an.Design(ITEMS))
    assert math.isinf(found.rows[0].annotators) and "twin" in found.rows[0].reason


def test_precision_costs_quadratically_and_questions_help():
    people = two([-0.5, 0.9])

    def need(precision, questions):
        design = an.Design(ITEMS, menu_size=3, questions=questions)
        return an.plan(people, design, precision=precision, starts=0).rows[0].annotators

    assert need(0.05, 2) == pytest.approx(4 * need(0.1, 2), rel=0.01)
    assert need(0.05, 3) < need(0.05, 2)


def test_intervals_at_the_recommended_size_have_the_promised_width():
    """80 simulated studies: the check says yes (false alarm .001 by its own level, fixed seed), and no to a promise of
    two thirds of the width, which 80 studies detect with a probability above .999.
    """
    people = two([-0.5, 0.9], (0.6, 0.4))
    found = an.plan(people, an.Design(ITEMS, menu_size=3, questions=4), precision=0.05, starts=0)
    check = found.check(replicates=80)
    assert check.holds and check.failed == 0 and check.annotators == found.rows[0].annotators
    low, high = check.covered_range()
    assert (low <= check.covered).all() and (check.covered <= high).all() and (check.covered > 0.8).all()
    assert not replace(check, promised=check.promised * 2 / 3).holds
    assert "promised" in repr(check) and max(map(len, repr(check).splitlines())) <= 80


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_a_check_counts_and_measures_as_the_books_do(level):
    """Spread by chi-square, coverage by Clopper and Pearson; an estimate at the very end of an interval is covered."""
    estimates = np.array([[1.0, 5.0], [-1.0, 5.5], [0.5, 4.0], [2.0, 5.1], [np.nan, np.nan], [0.0, 6.5]])
    found = PlanCheck("pairs", 10, np.array([0.0, 5.0]), estimates, np.array([1.0, 1.0]))
    fine, z = estimates[[0, 1, 2, 3, 5]], stats.norm.ppf(0.975)
    assert found.failed == 1 and found.covered == pytest.approx([0.8, 0.8])
    assert found.found == pytest.approx(z * fine.std(0, ddof=1))
    ends = stats.chi2.ppf([0.5 + level / 2, 0.5 - level / 2], 4)
    for end, at in zip(found.found_range(level), ends, strict=True):
        assert end == pytest.approx(z * np.sqrt(4 * fine.var(0, ddof=1) / at))
    low, high = found.covered_range(level)
    exact = stats.binomtest(4, 5).proportion_ci(level, method="exact")
    assert low == pytest.approx([exact.low] * 2) and high == pytest.approx([exact.high] * 2)
    every = PlanCheck("pairs", 10, np.zeros(1), np.array([[0.1], [-0.1], [0.2]]), np.ones(1)).covered_range(level)
    none = PlanCheck("pairs", 10, np.zeros(1), np.array([[3.1], [-3.1], [3.2]]), np.ones(1)).covered_range(level)
    assert (every[1][0], none[0][0]) == (1.0, 0.0)
    assert every[0][0] == pytest.approx(stats.binomtest(3, 3).proportion_ci(level, method="exact").low)
    assert none[1][0] == pytest.approx(stats.binomtest(0, 3).proportion_ci(level, method="exact").high)


def test_costs_and_answers_of_a_row_follow_from_its_annotators():
    people = two([-0.5, 0.9])
    cost = an.planning.Cost(annotator=2.0, answer=0.5)
    row = an.plan(people, an.Design(ITEMS, menu_size=3, questions=3), starts=0, cost=cost).rows[0]
    assert row.answers == 3 * row.annotators and row.cost == pytest.approx(row.annotators * (2.0 + 0.5 * 3))
    worst = row.half_width.max()
    assert worst <= 0.05 < worst * math.sqrt(row.annotators / (row.annotators - 1))


def test_the_value_of_a_policy_counts_the_weights_of_items():
    items = an.Items(n=3, weights=[0.5, 2.0, 1.0])
    policy = an.policies.ItemDensity([0.4, 0.3, 0.2])
    people = an.Annotator(an.Tabular([1.0, -1.0, 0.5]), an.Luce())
    centred = np.array([1.0, -1.0, 0.5]) - 0.5 / 3
    expected = centred @ [0.2, 0.6, 0.2]
    assert float(policy_value(policy)(people, items)) == pytest.approx(expected)
    assert float(policy_value([0.2, 0.6, 0.2])(people, items)) == pytest.approx(expected)


def test_a_check_needs_a_plan_that_can_be_simulated():
    people = two([-1.0, -0.3], (0.5, 0.5))
    found = an.plan(people, {"pairs": an.Design(ITEMS), "threes": an.Design(ITEMS, menu_size=3)}, starts=0)
    for call in (
        lambda: found.check("pairs"),
        lambda: found.check("nothing"),
        lambda: found.check("threes", replicates=1),
        lambda: found.check("threes", replicates=10**6),
        lambda: an.plan(
            people, an.Design(ITEMS, menu_size=3), among=an.types(3), target="mean utility", starts=0
        ).check(),
    ):
        with pytest.raises((ArgumentError, TooLargeError), match="check"):
            call()


def test_a_plan_from_a_pilot_has_a_range():
    people = two([-0.5, 0.9], (0.6, 0.4))
    pilot = an.fit(people, an.simulate(people, an.Design(ITEMS, menu_size=3, questions=2, annotators=800), seed=1))
    found = an.plan(pilot, an.Design(ITEMS, menu_size=3, questions=2), draws=12)
    low, high = found.rows[0].range
    assert low <= found.rows[0].annotators <= high and low < high
    assert 0 <= found.rows[0].share_identified <= 1


def test_the_range_of_a_pilot_is_that_of_its_estimate():
    """One logit: the annotators needed grow with it, so their range is what its 90 % interval asks for (tolerance: five
    standard errors of a quantile of 150 draws)."""
    items = an.Items(features=[[0.0], [1.0]])
    people, design = an.Annotator(an.Linear([1.0]), an.Luce()), an.Design(items, annotators=3000)
    pilot = an.fit(people, an.simulate(people, design, seed=1))
    row = an.plan(pilot, design, target=an.identifiability.mean_gap(0, 1), draws=150, precision=0.05).rows[0]
    at, error = float(pilot.population.utility.weights.detach()), float(pilot.covariance().sqrt())

    def need(w):  # the variance of a logit is 1 / (p (1 - p))
        return 1.959963984540054**2 * (2 + 2 * math.cosh(w)) / 0.05**2

    ends = need(at - 1.645 * error), need(at), need(at + 1.645 * error)
    width = ends[2] - ends[0]
    for found, expected in zip((row.range[0], row.annotators, row.range[1]), ends, strict=True):
        assert abs(found - expected) < 0.26 * width


def test_d_optimal_menus_beat_uniform_ones_and_match_exhaustion():
    one = an.Annotator(an.Linear([0.6, -0.2]), an.Luce())
    design = an.Design(ITEMS)
    best = an.planning.d_optimal(one, design, menus=2)
    _, info = menu_information(one, design)
    every = [float(torch.logdet((info[i] + info[j]) / 2)) for i in range(len(info)) for j in range(i + 1, len(info))]
    assert best.log_determinant == pytest.approx(max(every), abs=1e-9)
    assert best.efficiency > 1
    assert an.identify(one, best.design).verdict == "identified"


def test_bad_input_is_one_line():
    people = two([-0.5, 0.9])
    calls = [
        lambda: an.plan(people, []),
        lambda: an.plan(people, an.Design(ITEMS), precision=0.0),
        lambda: an.plan(people, an.Design(ITEMS), target="nothing"),
        lambda: an.Cost(annotator=-1),
    ]
    for call in calls:
        with pytest.raises(ArgumentError) as error:
            call()
        assert "\n" not in str(error.value)


def test_data_stand_for_the_design_that_they_answer():
    items = an.Items.normal(5, 1, seed=0)
    people = an.Annotator(an.Linear([1.0]), an.Luce())
    design = an.Design(items, menus=[[0, 1], [2, 3], [1, 4]], menu_weights=[0.5, 0.25, 0.25], annotators=4, questions=2)
    blocks = [[0, 1], [0, 1], [2, 3], [1, 4]]
    data = an.PreferenceData(items, blocks * 2, answer=[0] * 8, annotator=np.repeat(np.arange(4), 2))
    again = data.design()
    assert (again.annotators, again.questions, again.loads) == (4, 2, None)
    for entry in (data, [data], {"more of the same": data}, [(people, data)]):
        row = an.plan(people, entry, target="utilities", precision=0.1).rows[0]
        assert row.annotators == an.plan(people, design, target="utilities", precision=0.1).rows[0].annotators


def test_what_is_planned_for_where_nobody_says_it():
    one = an.Annotator(an.Tabular([0.0, 0.5, 1.0]), an.Luce())
    pairs = an.Design(an.Items(n=3))
    assert an.plan(one, pairs, precision=0.5).target == "utilities"
    assert an.plan(an.Mixture([one, one]), pairs, starts=0).target == "weights"
    random = an.RandomCoefficients(an.free([0.5]), an.free([0.5]), an.Luce())
    assert an.plan(random, an.Design(an.Items.normal(3, 1, seed=0)), starts=0).target == "mean utility"
