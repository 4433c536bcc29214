"""The law against brute force: every verb is about this one object."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as hs

import annosim as an
from annosim.checks import strategies as st
from annosim.errors import ArgumentError


@given(hs.data())
def test_probabilities_sum_to_one(data):
    design = data.draw(st.designs())
    people = data.draw(st.populations(design.items))
    law = an.law(people, design)
    assert float(law.probabilities.sum().detach()) == pytest.approx(1.0, abs=1e-12)
    assert len(law.probabilities) == law.num_outcomes


def test_a_block_multiplies_inside_the_type_not_outside():
    a, b = an.Annotator(an.Tabular([0.0, 2.0]), an.Luce()), an.Annotator(an.Tabular([0.0, -1.0]), an.Luce())
    people = an.Mixture([a, b], weights=[0.25, 0.75])
    law = an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]], questions=2))
    p = [1 / (1 + np.exp(2.0)), 1 / (1 + np.exp(-1.0))]  # P(item 0) of each type
    for outcome, probability in zip(law.outcomes[..., 1], law.probabilities.tolist(), strict=True):
        expected = sum(
            w * np.prod([q if answer == 0 else 1 - q for answer in outcome])
            for w, q in zip([0.25, 0.75], p, strict=True)
        )
        assert probability == pytest.approx(expected, abs=1e-15)


def test_plackett_luce_by_hand():
    u = torch.tensor([0.3, -1.0, 0.7], dtype=torch.float64)
    law = an.law(
        an.Annotator(an.Tabular(u), an.Luce()), an.Design(an.Items(n=3), menus=[[2, 0, 1]], feedback="ranking")
    )
    w = u.exp()[[2, 0, 1]]
    for order, probability in zip(law.space.answer.tolist(), law.probabilities.tolist(), strict=True):
        expected, left = 1.0, float(w.sum())
        for place in order:
            expected, left = expected * float(w[place]) / left, left - float(w[place])
        assert probability == pytest.approx(expected, rel=1e-12)


def test_given_menus_conditions():
    items = an.Items.normal(4, 2)
    people = an.Annotator(an.Linear([1.0, -1.0]), an.Luce())
    law = an.law(people, an.Design(items, menu_size=2, questions=2)).given_menus
    total = {}
    for (m1, m2), p in zip(map(tuple, law.outcomes[..., 0]), law.probabilities.tolist(), strict=True):
        total[m1, m2] = total.get((m1, m2), 0.0) + p
    assert np.allclose(list(total.values()), 1.0, atol=1e-12) and len(total) == 144


def test_too_large_says_how_many_and_what_to_do():
    people = an.Annotator(an.Linear(4), an.Luce())
    law = an.law(people, an.Design(an.Items.normal(50, 4), menu_size=3, questions=2))
    with pytest.raises(an.errors.TooLargeError, match=r"1\.24e\+11|1\.\d+e\+11.*menus="):
        _ = law.probabilities
    with pytest.raises(an.errors.TooLargeError, match="ordered menus"):
        an.law(people, an.Design(an.Items.normal(50, 4), menu_size=6))


@given(hs.data())
def test_law_as_data_carries_the_law(data):
    design = data.draw(st.designs())
    people = data.draw(st.populations(design.items))
    law = an.law(people, design)
    rows = law.as_data()
    assert rows.annotator_weight.sum() == pytest.approx(1.0, abs=1e-12)
    once = law.as_data(marginal=True)
    assert once.annotator_weight.sum() == pytest.approx(design.num_questions, abs=1e-11)


def test_the_law_is_differentiable_in_every_free_number():
    people = an.Mixture([an.Annotator(an.Tabular([0.0, 1.0, 0.5]), an.Luce()) for _ in range(2)], [0.4, 0.6])
    people.types[1].utility.values.data += torch.tensor([0.5, -1.0, 0.0])
    design = an.Design(an.Items(n=3), menu_size=2, questions=2)
    start = people.vector()
    jac = torch.func.jacrev(lambda v: people.functional_call(v, lambda p: an.law(p, design).probabilities))(start)
    for i, step in itertools.product(range(len(start)), [1e-6]):
        up, down = start.clone(), start.clone()
        up[i] += step
        down[i] -= step
        slope = (
            people.functional_call(up, lambda p: an.law(p, design).probabilities)
            - people.functional_call(down, lambda p: an.law(p, design).probabilities)
        ) / (2 * step)
        assert torch.allclose(jac[:, i], slope.detach(), atol=1e-9)


@pytest.mark.parametrize("kind", [{"feedback": "ranking"}, {"feedback": "top", "depth": 3}, {"feedback": "rating"}])
def test_empty_places_leave_no_probability_behind(kind):
    rule = an.rules.OrderedLogit() if kind["feedback"] == "rating" else an.Luce()
    people = an.Annotator(an.Tabular([0.0, 1.0, 2.0, 0.5]), rule)
    design = an.Design(an.Items(n=4), menus=[[0, 1, 2, 3], [0, 1, 2, -1], [2, 3, -1, -1], [2, -1, 1, -1]], **kind)
    exact = an.law(people, design)
    assert float(exact.probabilities.sum()) == pytest.approx(1, abs=1e-12)
    drawn = an.simulate(people, design, seed=0)
    assert (np.asarray(drawn.answer) >= 0).sum() == (np.minimum((drawn.menu >= 0).sum(-1), kind.get("depth", 4))).sum()
    assert exact.as_data().rows > 0  # the data check every answer against its menu


@pytest.mark.parametrize("call", [an.law, an.simulate])
def test_arguments_in_the_wrong_place_are_named(call):
    items, people = an.Items(n=3), an.Annotator(an.Tabular(3), an.Luce())
    with pytest.raises(ArgumentError, match=r"population=Tabular\(.*give a population such as"):
        call(people.utility, an.Design(items))
    with pytest.raises(ArgumentError, match=r"design=Items\(.*give a design such as"):
        call(people, items)
