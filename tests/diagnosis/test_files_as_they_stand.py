"""Files as they stand: rows that stand for many, rows that stand twice, people who disagree, items that nothing joins."""

from __future__ import annotations

import numpy as np

import annosim as an


def test_counted_rows_are_diagnosed_as_the_rows_they_stand_for():
    """Orders of three that many people gave, once with counts and once row by row: the same numbers, but for the ids."""
    rng = np.random.default_rng(3)
    orders = np.array([[0, 1, 2, 3], [1, 0, 2, 3], [3, 2, 1, 0], [0, 2, 1, 3], [2, 3, 0, 1]])
    count = rng.integers(20, 80, len(orders))
    items, menu = an.Items(n=4), np.tile(np.arange(4), (len(orders), 1))
    one = an.PreferenceData(items, menu, answer=orders, feedback="ranking", weight=count.astype(float))
    each = np.repeat(np.arange(len(orders)), count)
    many = an.PreferenceData(items, menu[each], answer=orders[each], feedback="ranking")
    short, long = ({f.question: f for f in an.diagnose(d).findings} for d in (one, many))
    for name in ("ties", "position", "ceiling", "ranking", "collect", "margin", "fit", "cycles"):
        assert short[name].sentence == long[name].sentence, name
        assert short[name].status == long[name].status, name


def test_a_minority_against_the_others_is_not_said_to_answer_at_random():
    u = np.array([2.0, 1.0, 0.0, -1.0, -2.0, 0.0])
    people = an.Mixture([an.Annotator(an.Tabular(v), an.Luce()) for v in (u, -u)], [0.75, 0.25])
    found = an.diagnose(
        an.simulate(people, an.Design(an.Items(n=6), annotators=40, questions=40), seed=2).for_learner()
    )
    by = {f.question: f for f in found.findings}
    assert by["adversaries"].value >= 5 and not by["spammers"].rows


def test_no_number_of_votes_is_promised_where_the_same_questions_never_connect_the_items():
    votes = an.PreferenceData(an.Items(n=4), [[0, 1], [1, 0], [2, 3], [3, 2]] * 20, answer=[0, 0, 0, 0] * 20)
    by = {f.question: f for f in an.diagnose(votes).findings}
    assert by["existence"].status == "alarm"
    assert "within each connected group" in by["collect"].sentence and "No number of them" in by["collect"].sentence
