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
    assert float(law.probabilities.sum()) == pytest.approx(1.0, abs=1e-12)
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


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("settings", [{}, {"menu_size": 3}, {"menus": [[0, 1], [2, 1]], "menu_weights": [0.2, 0.8]}])
def test_the_law_of_the_first_question_is_the_sum_over_the_others(settings, given):
    items = an.Items.normal(3, 2, seed=0)
    people = an.Mixture([an.Annotator(an.Linear(w), an.Luce()) for w in ([1.0, 0.5], [-2.0, 1.0])], [0.7, 0.3])
    law = an.law(people, an.Design(items, questions=2, **settings))
    m, a = len(law.menu), len(law.space)
    code = law.outcomes[:, 0, 0] * a + law.outcomes[:, 0, 1]
    expected = np.bincount(code, weights=law.probabilities, minlength=m * a).reshape(m, a)
    if given:
        expected, law = expected / expected.sum(1, keepdims=True), law.given_menus
    assert law.marginal().numpy() == pytest.approx(expected, abs=1e-14)


def test_a_rule_with_memory_has_a_table_for_every_previous_answer():
    people = an.Annotator(an.Tabular([0.0, 1.0]), an.rules.Carryover(an.Luce(), 0.7))
    law = an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]], questions=2))
    side = {None: 0.0, 0: 0.7, 1: -0.7}  # of the first place
    for previous, shift in side.items():
        p = 1 / (1 + np.exp(1.0 - shift))
        assert law.question(1, previous)[0, 0].exp().tolist() == pytest.approx([p, 1 - p])


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
    # the rows say who was asked what and answered what, with the weights of these blocks in the law
    seen, shown = _answers(rows), [[_key(law, *question) for question in block] for block in law.outcomes.tolist()]
    first = (
        np.r_[0, np.flatnonzero(np.diff(rows.annotator_ids)) + 1] if rows.annotator is not None else range(rows.rows)
    )
    q = law.questions
    blocks = {tuple(seen[start : start + q]): float(rows.row_weight[start]) for start in first}
    expected: dict[tuple, float] = {}
    for block, p in zip(shown, law.probabilities, strict=True):
        if p > 0:
            expected[tuple(block)] = expected.get(tuple(block), 0.0) + float(p)
    if q > 1 or law.fixed_sequence:
        assert blocks == pytest.approx(expected, abs=1e-12)
    counts: dict[tuple, float] = {}
    for block, p in expected.items():
        for question in block:
            counts[question] = counts.get(question, 0.0) + p
    assert dict(zip(_answers(once), once.row_weight.tolist(), strict=True)) == pytest.approx(counts, abs=1e-11)


def _key(law, menu, answer):
    """A menu, an answer and its ties, as they stand in data."""
    tied = () if law.space.tied is None else law.space.tied[answer].tolist()
    return (*law.menu[menu].tolist(), *law.space.answer[answer].tolist(), *tied)


def _answers(data):
    answer = data.answer.reshape(data.rows, -1)
    columns = [data.menu, answer] + ([] if data.tied is None else [data.tied])
    return [tuple(row) for row in np.concatenate([np.asarray(c, dtype=int) for c in columns], 1).tolist()]


def test_the_law_is_differentiable_in_every_free_number():
    people = an.Mixture([an.Annotator(an.Tabular([0.0, 1.0, 0.5]), an.Luce()) for _ in range(2)], [0.4, 0.6])
    people.types[1].utility.values.data += torch.tensor([0.5, -1.0, 0.0])
    design = an.Design(an.Items(n=3), menu_size=2, questions=2)
    start = people.vector()
    law = lambda v: people.functional_call(v, lambda p: an.law(p, design, differentiable=True).probability_tensor)  # noqa: E731
    jac = torch.autograd.functional.jacobian(law, start)
    for i, step in itertools.product(range(len(start)), [1e-6]):
        up, down = start.clone(), start.clone()
        up[i] += step
        down[i] -= step
        slope = (law(up) - law(down)) / (2 * step)
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


LOADS = [1, 1, 1, 3]  # three quarters of the annotators answer once, one quarter three times
MIXED = an.Mixture(
    [an.Annotator(an.Tabular([0.0, 2.0, 1.0]), an.Luce()), an.Annotator(an.Tabular([0.0, -1.0, 0.5]), an.Luce())],
    [0.3, 0.7],
)


def unequal(**settings):
    return an.Design(an.Items(n=3), annotators=4, loads=LOADS, **settings)


@pytest.mark.parametrize("settings", [{"menu_size": 2}, {"menus": [[0, 1], [1, 2], [0, 2]], "questions": "all"}])
def test_unequal_loads_are_a_mixture_of_the_laws_of_each_load(settings):
    design = unequal(**settings)
    exact = an.law(MIXED, design)
    parts = [an.law(MIXED, design.of_load(q)) for q in (1, 3)]
    assert exact.num_outcomes == sum(part.num_outcomes for part in parts) == len(exact.probabilities)
    assert np.allclose(exact.probabilities, np.r_[0.75 * parts[0].probabilities, 0.25 * parts[1].probabilities], atol=0)
    short = exact.outcomes[: parts[0].num_outcomes]
    assert (short[:, 0] == parts[0].outcomes[:, 0]).all() and (short[:, 1:] == -1).all()
    assert exact.mean_questions == 1.5 == pytest.approx(float(exact.expected_counts().sum()), abs=1e-12)
    rows = exact.as_data()
    assert rows.annotator_weight.sum() == pytest.approx(1.0) and rows.row_weight.sum() == pytest.approx(1.5)
    assert exact.as_data(marginal=True).annotator_weight.sum() == pytest.approx(1.5)


@pytest.mark.parametrize("settings", [{"menu_size": 2}, {"menus": [[0, 1], [1, 2], [0, 2]], "questions": "all"}])
@pytest.mark.parametrize("kind", ["plain", "fatigue", "carryover"])
def test_a_part_of_the_law_is_the_law_of_that_part(settings, kind):
    """Also where rules change along the sequence or remember: the first questions are those of the shorter load."""
    rule = {"plain": an.Luce(), "fatigue": an.rules.Fatigue(an.Luce(), 0.5)}.get(kind)
    rule = an.rules.Carryover(an.Luce(), 0.7) if rule is None else rule
    people = an.Mixture([an.Annotator(an.Tabular(u), rule) for u in ([0.0, 2.0, 1.0], [0.0, -1.0, 0.5])], [0.3, 0.7])
    design = unequal(**settings)
    whole = an.law(people, design)
    for load in (1, 3):
        part, alone = whole.of_load(load), an.law(people, design.of_load(load))
        assert np.array_equal(part.outcomes, alone.outcomes)
        assert part.probabilities == pytest.approx(alone.probabilities, abs=1e-15)
        assert part.probabilities.sum() == pytest.approx(1.0)


def test_nats_per_annotator_are_the_mean_load_times_nats_per_answer():
    """One type: a block is a product, so its divergence is E[load] = 1.5 times that of one answer, in closed form."""
    truth, other = (an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (1.0, 0.0))
    design = an.Design(an.Items(n=2), menus=[[0, 1]], annotators=4, loads=LOADS)
    p = 1 / (1 + np.exp(-1.0))
    nats = p * np.log(2 * p) + (1 - p) * np.log(2 * (1 - p))
    score = an.analysis.law_divergence(truth, other, design)
    assert score.kl == pytest.approx(1.5 * nats, abs=1e-14)
    assert score.excess_cross_entropy == pytest.approx(nats, abs=1e-14)
    each = [an.analysis.law_divergence(truth, other, design.of_load(q)).total_variation for q in (1, 3)]
    assert score.total_variation == pytest.approx(0.75 * each[0] + 0.25 * each[1], abs=1e-14)
    factors = an.analysis.law_divergence(truth, other, design, max_outcomes=1, draws=400)
    assert factors.method == "factors" and factors.kl == pytest.approx(1.5 * nats, abs=1e-14)
    # a mean over 400 draws of a bounded number; the seed is fixed
    assert abs(factors.total_variation - score.total_variation) < 5 * factors.total_variation_error


@pytest.mark.parametrize("settings", [{"menu_size": 2}, {"menus": [[0, 1], [1, 2], [0, 2]], "questions": "all"}])
def test_a_projection_is_where_a_learner_of_unequal_loads_ends(settings):
    """The optimum for the mixture over loads is the fit to both laws as data, in their shares."""
    design = unequal(**settings)
    best = an.project(an.Annotator(an.Tabular(3), an.Luce()), MIXED, design)
    parts = [an.law(MIXED, design.of_load(q)).as_data() for q in (1, 3)]
    menu = np.concatenate([part.menu for part in parts])
    answer = np.concatenate([part.answer for part in parts])
    weight = np.concatenate([s * part.row_weight for s, part in zip((0.75, 0.25), parts, strict=True)])
    fit = an.fit(an.Annotator(an.Tabular(3), an.Luce()), an.PreferenceData(design.items, menu, answer, weight=weight))
    gap = [one.population.utility.values.detach().diff() for one in (best, fit)]
    assert torch.allclose(gap[0], gap[1], atol=1e-7)
    score = an.compare(best, MIXED, design)
    assert best.divergence == pytest.approx(score.kl, abs=1e-9)


def test_a_law_is_a_frame_of_words():
    design = an.Design(an.Items(names=["a", "b"]), menus=[[1, 0]], annotators=4, loads=[1, 1, 1, 2])
    frame = an.law(an.Annotator(an.Tabular([0.0, 0.0]), an.Luce()), design).to_frame()
    assert list(frame.columns) == ["menu_1", "answer_1", "menu_2", "answer_2", "probability"]
    assert frame["probability"].tolist() == pytest.approx([0.375, 0.375, 0.0625, 0.0625, 0.0625, 0.0625])
    assert frame["answer_1"].tolist() == ["b", "a", "b", "b", "a", "a"] and frame["answer_2"].isna().sum() == 2


def test_numpy_reads_everything_public():
    exact = an.law(MIXED, unequal(menu_size=2))
    for name in ("outcomes", "probabilities", "menu", "menu_probability", "weight", "component", "table"):
        assert np.asarray(getattr(exact, name)).size
    assert np.asarray(exact.probabilities).dtype == np.float64


@pytest.mark.parametrize("settings", [{"menu_size": 2}, {"menus": [[0, 1], [1, 2], [0, 2]], "questions": "all"}])
def test_the_information_of_unequal_loads_is_that_of_the_law(settings):
    """Fisher's matrix is ``sum_x dp(x) dp(x)' / p(x)``, here from the written-out law of all loads."""
    design, start = unequal(**settings), MIXED.vector()
    law = lambda v: MIXED.functional_call(v, lambda p: an.law(p, design, differentiable=True).probability_tensor)  # noqa: E731
    p, slope = law(start).detach(), torch.autograd.functional.jacobian(law, start)
    matrix = an.information.fisher_information(MIXED, design).matrix
    assert torch.allclose(matrix, (slope / p[:, None]).T @ slope, atol=1e-12)
