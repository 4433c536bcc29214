"""Sequential designs: the error that is promised, the questions that are saved, and what a plan says of them."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

import annosim as an
from annosim.errors import ArgumentError
from annosim.planning import Sequential


def people(gap=2.0):
    """Two types that differ on one of three pairs."""
    return an.Mixture([an.Annotator(an.Tabular([0.0, s, 0.05 * s]), an.Luce()) for s in (gap, -gap)])


def design(annotators=400):
    return an.Design(an.Items(n=3), annotators=annotators, menus=[[0, 1], [0, 2], [1, 2]])


def test_few_are_decided_wrongly_and_the_best_questions_are_fewer():
    """Wrong decisions: an exact binomial test at 1e-8. Fewer questions: 5 standard errors (2.9e-7)."""
    best, random = (Sequential(design(), alpha=0.1, choose=c).simulate(people(), seed=1) for c in ("best", "random"))
    for found in (best, random):
        wrong = int((found.decided & ~found.right).sum())
        assert binomtest(wrong, 400, 0.1, alternative="greater").pvalue > 1e-8
    gap, spread = (
        random.questions.mean() - best.questions.mean(),
        np.hypot(random.questions.std(), best.questions.std()),
    )
    assert gap > 5 * spread / 400**0.5


def test_two_types_and_one_question_are_walds_test():
    """Types alike but for the sign: the posterior is a random walk between two walls, of known hitting times."""
    found = Sequential(an.Design(an.Items(n=2), menus=[[0, 1]], annotators=2000), alpha=0.05).simulate(
        an.Mixture([an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (0.5, -0.5)]), seed=0
    )
    p, wall = 1 / (1 + np.exp(-0.5)), np.log(2 / 0.05 - 1)  # excluded when its share of 2 falls to alpha
    steps = int(np.ceil(wall / 0.5))  # each answer moves the log odds by 1/2
    ratio = ((1 - p) / p) ** steps
    wrong, mean = ratio / (1 + ratio), steps / (2 * p - 1) * (1 - ratio) / (1 + ratio)  # Feller I, XIV.2-3
    assert found.questions.mean() == pytest.approx(mean, abs=6 * found.questions.std() / 2000**0.5)
    assert binomtest(int((~found.right).sum()), 2000, wrong).pvalue > 1e-8


def test_a_plan_compares_interviews():
    table = an.plan(people(), {c: Sequential(design(100), choose=c) for c in ("random", "best")})
    assert table.best.name == "best" and "questions each" in repr(table) and "of each annotator" in repr(table)
    row = table.rows[0]
    assert row.answers == 100 * row.interviews.questions.mean() and len(table.to_frame()) == 2
    assert len(table.figure().axes) == 1
    with pytest.raises(ArgumentError, match="own family are fitted"):
        table.check()


def test_what_is_never_decided_costs_infinitely_much():
    same = an.Mixture([an.Annotator(an.Tabular([0.0, s, 0.0]), an.Luce()) for s in (1e-6, -1e-6)])
    table = an.plan(same, Sequential(design(), most=5))
    assert table.best is None and "undecided after 5 questions" in table.rows[0].reason


def test_tastes_decide_the_best_item():
    tastes = an.RandomCoefficients([0.0, 0.0], [1.5, 1.5], an.Luce())
    found = Sequential(
        an.Design(an.Items(features=torch.eye(2).tolist()), menus=[[0, 1]], annotators=60), target="policy", most=60
    ).simulate(tastes)
    assert found.error_rate <= 0.2 and found.decided.mean() > 0.3


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Sequential(3), "an.Design"),
        (lambda: Sequential(design(), alpha=0), "alpha"),
        (lambda: Sequential(design(), choose="worst"), "'best' or 'random'"),
        (lambda: Sequential(design(), target="utility"), "never decided"),
        (lambda: Sequential(design(), most=0), "most"),
        (lambda: an.plan(people(), [Sequential(design()), design()]), "plan them apart"),
        (lambda: an.plan(people(), [Sequential(design()), Sequential(design(), alpha=0.01)]), "one alpha"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(ArgumentError, match=says):
        call()
