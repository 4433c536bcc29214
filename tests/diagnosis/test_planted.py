"""What a diagnosis says must be true: planted annotators, types, effects and cycles are found, and named.

Each planted effect is so strong that the finding misses it with a probability far below 1e-7; the seeds are fixed.
"""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import annosim as an
from annosim.diagnosis.annotators import _log_tail
from annosim.diagnosis.case import Case
from annosim.diagnosis.ceiling import ceiling_bounds
from annosim.diagnosis.finding import holm
from annosim.diagnosis.implied import implied
from annosim.diagnosis.misfit import goodness
from annosim.diagnosis.strengths import strengths
from annosim.diagnosis.types import told_apart
from annosim.planning.precision import votes_to_detect

ITEMS = an.Items(names=list("abcdef"))
HONEST = an.Annotator(an.Tabular([1.5, 0.9, 0.3, -0.3, -0.9, -1.5]), an.Luce())


def votes(people=HONEST, annotators=30, questions=60, seed=0, items=ITEMS, **more):
    return an.simulate(people, an.Design(items, annotators=annotators, questions=questions, **more), seed=seed)


def with_answers(data, annotator, answer):
    """The same data, with one annotator's answers replaced."""
    changed = np.array(data.answer)
    rows = np.asarray(data.annotator) == annotator
    changed[rows] = answer if np.isscalar(answer) else answer[rows]
    return data.with_(answer=changed)


@pytest.fixture(scope="module")
def planted():
    """Annotator 0 takes the left side, 1 tosses a coin, 2 answers against the others; 3 and 4 are one person."""
    data = votes(
        menus=[[i, j] for i in range(6) for j in range(6) if i != j] * 3, questions="all", annotators=30, seed=4
    )
    coin = np.random.default_rng(1).integers(0, 2, data.rows)
    data = with_answers(data, 0, 0)
    data = with_answers(data, 1, coin)
    data = with_answers(data, 2, 1 - np.asarray(better(data)))
    answer, who = np.array(data.answer), np.asarray(data.annotator)
    answer[who == 4] = answer[who == 3]
    return an.diagnose(data.with_(answer=answer))


def better(data):
    """The more useful item of each pair."""
    u = HONEST.utility.values.detach().numpy()[np.asarray(data.menu)]
    return u.argmax(1)


def names(found):
    return [row[0] for row in found.rows]


def test_planted_annotators_are_named_and_nobody_else(planted):
    assert names(planted["one side"]) == ["0"]
    assert set(names(planted["spammers"])) == {"0", "1"}
    assert all(low < 0 < high and slope < 0.5 for _, _, slope, low, high, _ in planted["spammers"].rows)  # a coin: 0
    assert names(planted["adversaries"]) == ["2"]
    assert planted["adversaries"].rows[0][2] < -1.0  # sharper than the others: it never errs
    assert {frozenset(row[:2]) for row in planted["copies"].rows} == {frozenset(("3", "4"))}
    assert planted.exit_code == 4


def test_a_clean_population_raises_no_alarm():
    found = an.diagnose(votes())
    assert found.exit_code == 0, found.headline
    assert "p" not in [one.question for one in found.alarms]
    assert json.loads(found.to_json())["exit_code"] == 0


def test_two_types_are_found_and_counted():
    other = an.Annotator(an.Tabular([-1.5, 0.9, 0.3, -0.3, -0.9, 1.5]), an.Luce())
    found = an.diagnose(votes(an.Mixture([HONEST, other], [0.6, 0.4]), annotators=80, questions=30))
    assert found["one type"].status == "alarm" and found["one type"].low > 0.3
    assert found["types"].value == 2


def test_two_types_of_many_items_are_told_apart_where_the_questions_can():
    """Twelve items: eleven pairs of neighbours, one answer each, are eleven shares for 23 numbers; all pairs suffice."""
    rng = np.random.default_rng(0)
    two = an.Mixture([an.Annotator(an.Tabular(rng.normal(size=12).tolist()), an.Luce()) for _ in range(2)], [0.6, 0.4])
    neighbours = an.Design(an.Items(n=12), menus=[[i, i + 1] for i in range(11)], annotators=150)
    everything = an.Design(an.Items(n=12), annotators=150, questions=8)
    poor, rich = (told_apart(two, an.simulate(two, design, seed=1), 0) for design in (neighbours, everything))
    assert "cannot tell" in poor and "twin" in poor and "rank 11 of 23" in poor
    assert "can tell" in rich and "rank 23 of 23" in rich


def test_one_type_is_estimated_as_the_spread_of_tastes():
    """Normal tastes of standard deviation 0.8 per item: the interval, stretched to three standard errors, holds it."""
    rng = np.random.default_rng(0)
    centre = np.zeros(6)
    menu, answer, who = [], [], []
    for a in range(300):
        u = centre + rng.normal(0, 0.8, 6)
        for _ in range(20):
            i, j = rng.choice(6, 2, replace=False)
            menu.append((i, j))
            answer.append(int(rng.random() > 1 / (1 + math.exp(u[j] - u[i]))))
            who.append(a)
    found = an.diagnose(an.PreferenceData(ITEMS, menu, answer, annotator=who))["one type"]
    assert abs(found.value - 0.8) < 3 * (found.high - found.low) / 4 < 0.3


def test_ties_are_no_misfit():
    """40,000 answers, half of them ties whatever the items: as half wins they do not fit, given a winner they do (1e-6)."""
    people = an.Annotator(an.Tabular([4.0, 2.0, 0.5, -0.5, -2.0, -4.0]), an.Luce())
    data = votes(people, annotators=40_000, questions=1, seed=5)
    tied = np.random.default_rng(0).random((data.rows, 1)) < 0.5
    answer = np.where(tied, [[0, 1]], np.stack([data.answer, np.full(data.rows, -1)], 1))
    data = data.with_(answer=answer.astype(np.int8), tied=tied, annotator=None)
    assert goodness(Case(data)).p_value > 1e-6
    assert goodness(Case(data.ties("half"))).p_value == pytest.approx(1e-6)


def test_a_cycle_is_found():
    """Rock, scissors, paper at 80 %: no strengths describe it."""
    p = 0.8
    menu = [[0, 1], [1, 2], [2, 0]] * 200
    rng = np.random.default_rng(2)
    answer = (rng.random(600) > p).astype(int)
    found = an.diagnose(an.PreferenceData(an.Items(names=["rock", "scissors", "paper"]), menu, answer))
    assert found["cycles"].status == "alarm" and found["fit"].status == "alarm"
    assert "'rock' over 'scissors'" in found["cycles"].sentence or "'scissors' over 'paper'" in found["cycles"].sentence


def test_a_position_effect_has_its_size():
    rule = an.PositionBias(an.Luce(), shift=0.7)
    found = an.diagnose(votes(an.Annotator(HONEST.utility, rule), annotators=60))["position"]
    assert found.status == "alarm" and found.low < found.value < found.high
    assert abs(math.log(found.value / (1 - found.value)) - 0.7) < 0.25


def test_missing_comparisons_are_named():
    data = an.PreferenceData(an.Items(names=["tea", "milk", "mate"]), [[0, 1]] * 4, answer=[0, 1, 0, 1])
    found = an.diagnose(data)
    assert found.exit_code == 3 and ("mate", "tea") in found["existence"].rows


@pytest.mark.parametrize(
    ("data", "silent"),
    [
        (
            an.PreferenceData(an.Items(n=2), [[0, 1]], [0]),
            {"position", "consistency", "one side", "one type", "fit", "cycles"},
        ),
        (
            an.PreferenceData(an.Items(n=3), [[0], [1], [2]] * 3, [[1], [0], [2]] * 3, "rating", annotator=[0] * 9),
            {"position", "one side"},
        ),
        (
            an.PreferenceData(an.Items(n=3), [[0, 1, 2]] * 4, [[0, 1, 2], [2, 1, 0], [1, 0, 2], [0, 2, 1]], "ranking"),
            {"one side", "types"},
        ),
        (an.PreferenceData(an.Items(n=2), [[0, 1]] * 3, [-1, -1, -1]), {"position", "ceiling", "collect", "margin"}),
        (
            an.PreferenceData(an.Items(n=2), [[0, 1]] * 3, [0, 1, 0], weight=[0.5, 2.0, 1.0]),
            {"one type", "consistency"},
        ),
        (an.PreferenceData(an.Items(n=4), [[0, 1, 2]] * 3, [[0, 2], [1, 0], [2, 1]], "best-worst"), {"one side"}),
    ],
)
def test_what_cannot_be_asked_is_said(data, silent):
    found = an.diagnose(data)
    asked = {one.question for one in found.findings if one.status != "not asked"}
    assert not silent & asked
    assert all(one.sentence.endswith(".") for one in found.findings)
    assert found.to_html().count("<h3") == len(found.findings)


def test_bounds_hold_against_the_binomial_law():
    """Chernoff's bound of a lower tail is never below the exact one."""
    from scipy.stats import binom

    for n, x in ((10, 2), (30, 9), (80, 40)):
        won = np.r_[np.ones(x), np.zeros(n - x)]
        nobody, observed = np.zeros(n, int), np.array([float((won - 0.7).sum())])
        bound = np.exp(_log_tail(nobody, nobody, np.ones(1), np.full(1, 0.7), observed)[0])
        assert binom.cdf(x, n, 0.7) <= bound <= 30 * binom.cdf(x, n, 0.7)


def test_the_ceiling_is_that_of_the_population_and_a_weight_counts_people():
    """Two questions whose best accuracies are .9 and .6: bounds by the closed form, within four standard errors."""
    people = an.Annotator(an.Tabular([np.log(9.0), 0.0, -np.log(1.5)]), an.Luce())
    data = votes(people, annotators=400, items=an.Items(n=3), menus=[[0, 1], [1, 2]], questions="all", seed=3)
    found = an.diagnose(data)["ceiling"]
    agree = (0.9**2 + 0.1**2 + 0.6**2 + 0.4**2) / 2
    rows = {row[0]: row[1:] for row in found.rows}
    error = (rows["best accuracy"][3] - rows["best accuracy"][2]) / (2 * 1.96)
    assert abs(rows["best accuracy"][0] - agree) < 4 * error
    assert found.low <= 0.75 <= found.high  # the best model's accuracy
    collapsed = an.diagnose(data.counts())["ceiling"]
    assert collapsed.value == pytest.approx(found.value) and collapsed.low == pytest.approx(found.low)


@pytest.mark.parametrize("p", [0.5, 0.6, 0.9, 1.0])
def test_the_ceiling_holds_the_best_accuracy(p):
    low, high = ceiling_bounds(p**2 + (1 - p) ** 2, 2)
    assert low <= max(p, 1 - p) + 1e-12 and math.isclose(high, p)


def test_strengths_are_those_of_fit_and_their_errors_those_of_its_clusters():
    data = votes(annotators=20, questions=15)
    fit = an.fit(an.Annotator(an.Tabular(6), an.Luce()), data)
    found = strengths(implied(data))
    np.testing.assert_allclose(found.score, fit.population.utility.values.detach(), atol=1e-8)
    np.testing.assert_allclose(found.covariance(), fit.covariance("cluster"), atol=1e-9)


def test_votes_to_detect_have_that_power():
    """Exact binomial power at the planned size, of the test that rejects beyond the normal quantile."""
    from scipy.stats import binom

    n = votes_to_detect(0.05, 0.8)
    reach = 1.96 * math.sqrt(n) / 2
    power = binom.sf(n / 2 + reach, n, 0.55)
    assert abs(power - 0.8) < 0.02


def test_holm_is_the_step_down_of_bonferroni():
    assert holm([0.01, 0.02, 0.9]).tolist() == [0.03, 0.04, 0.9]


def test_votes_for_a_precision_are_those_of_plan():
    """The inverse information of the answers, scaled to a precision, is what ``an.plan`` asks of the same menus."""
    data = votes(annotators=50, questions=6, seed=7)
    fit = an.fit(an.Annotator(an.Tabular(6), an.Luce()), data)
    menus, count = np.unique(np.sort(data.menu, axis=1), axis=0, return_counts=True)
    design = an.Design(ITEMS, menus=menus, menu_weights=count / count.sum())
    asked = an.plan(fit.population, design, target="utilities", precision=0.05).rows[0].annotators
    variance = strengths(implied(data)).inverse().diagonal().max()
    assert asked == math.ceil(data.rows * 1.959963984540054**2 * variance / 0.05**2)


def test_alternatives_with_features_have_coefficients_where_they_have_no_strengths():
    """Every alternative is shown once: a conditional logit exists, its precision is that of ``fit``, nothing is wrong."""
    rng = np.random.default_rng(0)
    items = an.Items(features=rng.normal(size=(300, 2)))
    data = an.simulate(
        an.Annotator(an.Linear([1.0, -0.5]), an.Luce()),
        an.Design(items, menus=np.arange(300).reshape(-1, 2).tolist(), questions="all", annotators=1),
        seed=0,
    )
    found = an.diagnose(data, precision=0.1)
    fit = an.fit(an.Annotator(an.Linear(2), an.Luce()), data)
    half = 1.96 * np.sqrt(np.diagonal(fit.covariance()).max())
    assert found.exit_code == 0 and "conditional logit" in found["existence"].sentence
    assert math.isclose(found["collect"].value, half, rel_tol=1e-6)
    assert f"{math.ceil(150 * (half / 0.1) ** 2) - 150:,} more answers" in found["collect"].sentence


@pytest.mark.parametrize(("shift", "alarm"), [(2.5, True), (0.0, False)])
def test_paraphrase_is_told_from_chance(shift, alarm):
    """Two wordings of one of two things, each asked four times of everybody; noise is the same in both cases (seeded)."""
    items = an.Items(n=3, clusters=[0, 0, 1])
    people = an.Annotator(an.Tabular([shift, -shift, 0.0]), an.Luce())
    design = an.Design(items, menus=[[0, 2], [1, 2]] * 4, questions="all", annotators=40)
    found = an.diagnose(an.simulate(people, design, seed=0))["paraphrase"]
    assert (found.status == "alarm") == alarm and ("words change answers" in found.sentence) == alarm
    assert found.value == pytest.approx(0.7 if alarm else 0.0, abs=0.15)


def test_ratings_of_one_item_compare_nothing_and_stop_nothing():
    data = an.PreferenceData(
        an.Items(n=1), [[0]] * 6, [[0], [1]] * 3, feedback=an.Feedback("rating", grades=2), annotator=[0, 0, 1, 1, 2, 2]
    )
    assert an.diagnose(data)["copies"].status == "not asked"


def test_ratings_of_one_item_say_nothing_of_a_scale():
    data = an.PreferenceData(an.Items(names=["tea"]), [[0]] * 4, [[0], [1], [0], [1]], feedback=an.Feedback("rating"))
    found = an.diagnose(data)
    assert found.exit_code != 0 and "one item only, 'tea'" in repr(found)


def test_coefficients_of_collinear_features_are_not_called_known():
    blind = an.PreferenceData(an.Items(features=[[1.0, 1.0]] * 4), [[0, 1], [2, 3]] * 5, [0, 0] * 5)
    found = an.diagnose(blind)
    assert found.exit_code == 3 and "never change a choice" in repr(found) and "are known to within" not in repr(found)


def test_errors_of_coefficients_are_of_whole_annotators():
    """Alternatives that never come again, of people whose tastes differ: inverse information alone would be far too short."""
    rng = np.random.default_rng(0)
    x, who = rng.normal(size=(240, 3)), np.repeat(np.arange(12), 20)
    taste = rng.normal(1.0, 1.5, 12)
    answer = (taste[who][:, None] * x + rng.gumbel(size=x.shape)).argmax(1)
    data = an.PreferenceData(an.Items(features=x.reshape(-1, 1)), np.arange(720).reshape(-1, 3), answer, annotator=who)
    said = repr(an.diagnose(data))
    fitted = an.fit(an.Annotator(an.Linear(1), an.Luce()), data)
    half = 1.96 * float(fitted.standard_errors("cluster")["utility.weights"][0])
    assert f"Coefficients are known to within {half:.2g} at worst" in said
    assert half > 2 * 1.96 * float(fitted.standard_errors("hessian")["utility.weights"][0])


def test_a_taste_for_a_side_is_no_paraphrase():
    items = an.Items(n=4, clusters=[0, 0, 1, 1])
    left = an.PreferenceData(
        items, [[0, 2], [0, 2], [3, 1], [3, 1]] * 20, [0] * 80, annotator=np.repeat(np.arange(20), 4)
    )
    assert "words change answers" not in repr(an.diagnose(left))


def test_one_annotator_with_an_id_is_not_called_nobody():
    data = an.PreferenceData(an.Items(n=3), [[0, 1], [1, 2], [2, 0]] * 10, [0, 0, 1] * 10, annotator=[0] * 30)
    said = repr(an.diagnose(data))
    assert "One annotator gave all answers" in said and "Nobody knows" not in said
    assert "Nobody knows who answered" in repr(an.diagnose(data.with_(annotator=None)))


def test_a_few_annotators_do_not_tell_how_alike_their_answers_are():
    data = an.PreferenceData(
        an.Items(n=3), [[0, 1], [1, 2], [2, 0]] * 20, [0, 0, 1, 1, 0, 0] * 10, annotator=[0, 1, 2] * 20
    )
    said = " ".join(repr(an.diagnose(data)).split())
    assert "is not known from 3 annotators" in said and "independent ones" not in said
