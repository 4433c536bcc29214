"""What the page shows is what the verbs say: closed forms, score equations, and the verbs themselves."""

from __future__ import annotations

import importlib.util
import socket
import sys

import numpy as np
import pytest

import annosim as an
from annosim.cli import main
from annosim.errors import ArgumentError
from annosim.explore.exploration import QUESTIONS, explore

FIRST, SECOND, WEIGHT = (0.5, 3.0), (0.5, -6.0), 0.6


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


@pytest.fixture(scope="module")
def once():
    return explore(FIRST, SECOND, WEIGHT, beta=0.5, starts=2)


def test_the_law_of_pairs_is_the_mixture_of_two_logistic_functions(once):
    utilities = np.array([[0.0, *FIRST], [0.0, *SECOND]])
    expected = {
        (f"{a}, {b}", winner): float(np.dot([WEIGHT, 1 - WEIGHT], sigmoid(side * (utilities[:, i] - utilities[:, j]))))
        for (i, a), (j, b) in (((0, "A"), (1, "B")), ((0, "A"), (2, "C")), ((1, "B"), (2, "C")))
        for winner, side in ((a, 1.0), (b, -1.0))
    }
    shown = dict(zip(once.answers, once.people_law, strict=True))
    assert shown == pytest.approx(expected, abs=1e-12)


def test_infinite_data_match_how_often_each_item_wins(once):
    """Score equations of Bradley-Terry: the wins expected of the learner are those of the people."""
    won = np.array([[answer == name for _, answer in once.answers] for name in "ABC"], dtype=float)
    assert won @ once.learner_law == pytest.approx(won @ once.people_law, abs=1e-6)
    assert once.learned[2] > once.learned[1] > once.mean[2] and once.mean[1] > once.mean[2]
    assert "prefer C; people on average prefer B" in once.finding


def test_the_policy_is_where_dpo_ends(once):
    people, design = once.report.population, once.report.design
    uniform = an.LogDensity(an.Tabular(np.zeros(3)))
    dpo = an.Annotator(an.LogDensity(an.Tabular(3)), an.PBDE.dpo(0.5, uniform))
    ended = an.project(dpo, people, design).population.utility(design.items)
    assert np.exp(ended.detach().numpy()) == pytest.approx(once.policy, abs=1e-4)


def test_a_twin_has_the_same_law_and_one_pair_each_no_price(once):
    assert once.verdict == "not identified" and np.isinf(once.annotators) and "fix 3 of 5 numbers" in once.price
    utilities, share = once.twin
    law = an.law(once.report.population, once.report.design).probabilities
    twin = an.Mixture([an.Annotator(an.Tabular(u), an.Luce()) for u in utilities], weights=[share, 1 - share])
    assert np.abs(utilities - once.types).max() > 0.05
    assert an.law(twin, once.report.design).probabilities == pytest.approx(law, abs=1e-5)


def test_the_price_is_what_plan_says():
    found = explore((1.0, 2.0), (-1.0, -2.0), 0.7, question="rankings of three", answers=2, starts=1)
    row = an.plan(
        found.report.population, found.report.design, precision=0.05, cost=an.Cost(annotator=1.0, answer=0.1), starts=0
    ).rows[0]
    assert found.verdict == "locally identified" and found.twin is None
    assert (found.annotators, found.answers_needed, found.cost) == (row.annotators, row.answers, row.cost)
    assert f"{row.annotators:,.0f} annotators" in found.price and "cost" in repr(found)


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_has_a_law_that_sums_to_one_for_each_menu(question):
    found = explore((1.0, 1.0), (1.0, 1.0), 0.5, question=question, starts=0)
    menus = np.array([menu for menu, _ in found.answers])
    for menu in set(menus):
        assert found.people_law[menus == menu].sum() == pytest.approx(1.0)
    assert found.learner_law == pytest.approx(found.people_law, abs=1e-6)  # one type: nothing is misspecified


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rule": "coin"}, "use one of logit, probit"),
        ({"question": "votes"}, "use one of pairs"),
        ({"rule": "probit", "question": "pairs with ties"}, "ties have logit noise"),
        ({"answers": 4}, "between 1 and 3"),
        ({"weight": 1.0}, "between 0 and 1"),
        ({"beta": 0.0}, "positive"),
        ({"precision": float("nan")}, "positive"),
    ],
)
def test_bad_settings_are_refused_in_words(settings, words):
    with pytest.raises(ArgumentError, match=words):
        explore(FIRST, SECOND, **settings)


def test_a_bad_port_and_a_missing_extra_are_one_line_and_exit_code_two(capsys, monkeypatch):
    assert main(["explore", "--port", "70000"]) == 2
    assert "--port" in capsys.readouterr().err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        if importlib.util.find_spec("marimo"):
            assert main(["explore", "--port", str(taken.getsockname()[1]), "--no-show"]) == 2
            assert "in use" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "marimo", None)
    assert main(["explore", "--no-show"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and 'marimo is not installed; pip install "annosim[explore]"' in said
