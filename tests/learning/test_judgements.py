"""Judges' answers as columns: orientation, matching, one voice a judge, and what is refused."""

import numpy as np
import pytest

import annosim as an
from annosim.errors import AnnosimError
from annosim.learning import with_judgements

NAMES = ["x", "y", "z"]
ITEMS = an.Items(n=3, names=NAMES)
VOTES = an.PreferenceData(ITEMS, [[0, 1], [1, 0], [2, 1], [0, 1]], [0, 0, 1, 1], prompt=[0, 0, 0, 1])


def judges(rows, **more):
    """``(prompt, left, right, answer, judge)`` as data over the same names in another order."""
    other = an.Items(n=3, names=["z", "x", "y"])
    place = {name: i for i, name in enumerate(other.names)}
    prompt, left, right, answer, who = zip(*rows, strict=True)
    menu = [[place[a], place[b]] for a, b in zip(left, right, strict=True)]
    return an.PreferenceData(other, menu, answer, prompt=prompt, annotator=who, annotator_names=["J", "K"], **more)


PANEL = judges(
    [(0, "y", "x", 0, 0), (0, "x", "y", 1, 0), (0, "x", "y", 0, 1), (0, "z", "y", 0, 0), (1, "x", "y", 0, 1)]
)


def test_a_judge_has_one_voice_in_the_direction_of_what_is_shown():
    """J says y twice (asked in both orders), K says x: half for x against y in prompt 0; of prompt 1 K alone speaks."""
    found = with_judgements(VOTES, PANEL)
    assert found.columns["judged"].tolist() == [0.5, 0.5, 1.0, 1.0]
    assert found.columns["judged: J"][:3].tolist() == [0.0, 1.0, 1.0] and np.isnan(found.columns["judged: J"][3])
    assert found.columns["judged: K"][[0, 1, 3]].tolist() == [1.0, 0.0, 1.0]
    assert found.answer.tolist() == VOTES.answer.tolist()


def test_counted_judges_weigh_as_many_as_they_are():
    items = an.Items(n=2)
    votes = an.PreferenceData(
        items, [[0, 1], [1, 0]], [0, -1]
    )  # the second vote is a skip, on a question that was judged
    panel = an.PreferenceData(items, [[0, 1]] * 4, [0, 0, 0, 1], annotator=[0, 1, 2, 3])
    for judged in (panel, panel.counts()):
        assert with_judgements(votes, judged).columns["judged"].tolist() == [0.75, 0.25]
    alone = an.PreferenceData(items, [[0, 1], [0, 1]], [0, 1], weight=[9.0, 1.0])
    assert with_judgements(votes, alone).columns["judged"] == pytest.approx([0.9, 0.1])


def test_votes_that_nobody_judged():
    few = PANEL.take([0, 2])
    with pytest.raises(an.errors.DataError, match="row 2 and 1 others are on questions that no judge answered"):
        with_judgements(VOTES, few)
    kept = with_judgements(VOTES, few, missing="drop")
    assert kept.rows == 2 and not np.isnan(kept.columns["judged"]).any()


def test_margins_from_judges_are_those_of_their_shares():
    """Fits with the column are fits with the share that the truth gives, written by hand."""
    items = an.Items(n=4)
    people = an.Annotator(an.Tabular([0.0, 0.5, 1.0, -0.5]), an.Luce())
    votes = an.simulate(people, an.Design(items, annotators=400), seed=0).with_(annotator=None)
    every = an.Design(items, menus=[[i, j] for i in range(4) for j in range(i)], questions="all", annotators=7)
    panel = an.simulate(people, every, seed=1)
    share = np.zeros((4, 4))
    for (a, b), answer in zip(panel.menu, panel.answer, strict=True):
        share[a, b] += (answer == 0) / 7
        share[b, a] += (answer == 1) / 7
    found = with_judgements(votes, panel)
    expected = share[votes.menu[:, 0], votes.menu[:, 1]]
    assert found.columns["judged"] == pytest.approx(expected, abs=1e-12)
    for objective in (an.objectives.Margin("signed"), an.objectives.SoftLabels()):
        model = an.Annotator(an.Tabular(4), an.Luce())
        one = an.fit(model, found, objective=objective)
        by_hand = an.fit(model, votes.with_(columns={"judged": expected}), objective=objective)
        assert one.population.vector().numpy(force=True) == pytest.approx(by_hand.population.vector().numpy(force=True))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: with_judgements(VOTES, PANEL, missing="half"), "'raise' or 'drop'"),
        (lambda: with_judgements(VOTES, PANEL, question="id"), "no such column"),
        (lambda: with_judgements(VOTES, "J"), "no annotator names"),
        (lambda: with_judgements(with_judgements(VOTES, PANEL), PANEL), "have a column of that name"),
        (lambda: with_judgements(VOTES, PANEL.with_(prompt=None)), "judges have no prompts"),
        (
            lambda: with_judgements(VOTES, an.PreferenceData(an.Items(n=3), [[0, 1]], [0], prompt=[0])),
            "no item in common",
        ),
        (
            lambda: with_judgements(an.PreferenceData(an.Items(n=3), [[0, 1, 2]], [0]), PANEL),
            "votes=\\): choices from pairs",
        ),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(AnnosimError, match=says):
        call()


def test_a_loss_that_is_no_likelihood_is_refused_for_hidden_tastes():
    people = an.populations.LowRank(3, [[1.0], [0.0], [-1.0]], an.Luce(), points=4)
    data = an.simulate(people, an.Design(an.Items(n=3), annotators=20), seed=0)
    with pytest.raises(an.errors.ArgumentError, match="has no meaning on LowRank"):
        an.fit(people, data, objective=an.objectives.IPO())


def test_questions_about_items_with_other_features_are_refused():
    items, other = an.Items(features=[[0.0], [1.0], [2.0]]), an.Items(features=[[0.0], [100.0], [2.0]])
    data = an.PreferenceData(items, [[0, 1], [1, 2], [2, 0]] * 4, [0, 0, 1] * 3 + [1, 1, 0])
    fit = an.fit(an.Annotator(an.Linear(1), an.Luce()), data)
    assert fit.predict(an.Design(items, menus=[[0, 1]])).probabilities.shape[-1] == 2
    with pytest.raises(an.errors.ArgumentError, match="other features or prompts"):
        fit.predict(an.Design(other, menus=[[0, 1]]))
