"""Jacobian, distances and Fisher information against the law written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import annosim as an
from annosim.coordinates import identifiable_coordinates
from annosim.errors import ArgumentError, TooLargeError
from annosim.identifiability.local import local_rank, saturation
from annosim.information import fisher_information, law_jacobian, prepare
from annosim.laws import on_menus

ITEMS = an.Items.normal(4, 2, seed=3)


def two(rule=None, weights=(0.7, 0.3)):
    rule = rule or an.Luce
    return an.Mixture([an.Annotator(an.Linear(b), rule()) for b in ([1.0, 0.2], [-0.5, 0.8])], weights=list(weights))


def written_out(population, design):
    """Probabilities of all outcomes as a function of the free numbers, the outcomes, and the menus."""
    menus = design.enumerate()
    codes = torch.as_tensor(an.law(population, design).outcomes, dtype=torch.long)

    def function(v):
        return population.functional_call(
            v,
            lambda p: on_menus(p, design, menus.menu, menus.probability).log_probability(codes[..., 0], codes[..., 1]),
        ).exp()

    return function, codes, menus


def dense(population, design):
    """Probabilities of all outcomes and their Jacobian by reverse differentiation of the law itself."""
    function, codes, menus = written_out(population, design)
    v = population.vector()
    return function(v).detach(), torch.func.jacrev(function)(v).detach(), codes, menus


DESIGNS = [
    an.Design(ITEMS),
    an.Design(ITEMS, menu_size=3, questions=2),
    an.Design(ITEMS, menus=[[0, 1], [1, 2], [2, 3]], questions="all"),
    an.Design(ITEMS, menu_size=3, feedback="ranking"),
    an.Design(ITEMS, proposal=np.array([0.1, 0.2, 0.3, 0.4])),
]


@pytest.mark.parametrize("design", DESIGNS, ids=range(len(DESIGNS)))
@pytest.mark.parametrize("biased", [False, True])
def test_singular_values_are_those_of_the_law_written_out(design, biased):
    if biased and design.feedback.kind == "ranking":
        pytest.skip("a position bias of a ranking is another rule's subject")
    population = two((lambda: an.PositionBias(an.Luce(), 0.3)) if biased else None)
    p, jacobian, codes, menus = dense(population, design)
    # one outcome's coordinate: probability given the menus, times the root of the menus' share
    share = menus.probability[codes[..., 0]].prod(-1) if design.questions != "all" else torch.ones(len(p)).double()
    expected = torch.linalg.svdvals(jacobian / share.sqrt()[:, None])
    found = torch.linalg.svdvals(law_jacobian(population, prepare(population, design)))
    assert torch.allclose(found[: len(expected)], expected[: len(found)], atol=1e-12)
    assert float(expected[len(found) :].sum()) < 1e-12


@pytest.mark.parametrize("design", DESIGNS, ids=range(len(DESIGNS)))
def test_exact_information_is_the_expected_outer_score(design):
    population = two()
    p, jacobian, _, _ = dense(population, design)
    expected = jacobian.T @ (jacobian / p[:, None])
    found = fisher_information(population, design)
    assert found.exact and torch.allclose(found.matrix, expected, atol=1e-12)


@pytest.mark.parametrize("design", DESIGNS[:3], ids=range(3))
def test_simulated_information_is_unbiased(design):
    """36 entries, two-sided normal at 7 standard errors: false alarm below 1e-10."""
    population = two()
    exact = fisher_information(population, design, method="exact")
    drawn = fisher_information(population, design, method="simulate", draws=40_000, seed=1)
    assert not drawn.exact
    assert bool(((drawn.matrix - exact.matrix).abs() <= 7 * drawn.standard_error + 1e-12).all())


SEQUENCES = [
    an.Design(ITEMS, questions=2),
    an.Design(ITEMS, menus=[[0, 1], [1, 2], [2, 3]], questions="all"),
    an.Design(ITEMS, annotators=4, questions=2, loads=[1, 2, 2, 2]),
]


@pytest.mark.parametrize("design", SEQUENCES, ids=range(len(SEQUENCES)))
@pytest.mark.parametrize(
    "habit", [lambda: an.rules.Carryover(an.Luce(), an.free(0.5)), lambda: an.rules.Fatigue(an.Luce(), 0.3)]
)
def test_rules_with_memory_are_simulated_without_bias(habit, design):
    """64 entries, two-sided normal at 7 standard errors: false alarm below 1e-9."""
    population = two(habit)
    exact = fisher_information(population, design, method="exact")
    drawn = fisher_information(population, design, method="simulate", draws=10_000, seed=1)
    assert exact.exact and not drawn.exact
    assert bool(((drawn.matrix - exact.matrix).abs() <= 7 * drawn.standard_error + 1e-12).all())


def test_a_rule_with_memory_needs_no_list_of_its_blocks():
    """435 menus and four questions are 3.6e10 blocks: the information is simulated from the design, and says so."""
    design = an.Design(an.Items.normal(30, 2, seed=0), questions=4)
    people = two(lambda: an.rules.Carryover(an.Luce(), 0.5))
    found = fisher_information(people, design, draws=500)
    assert not found.exact and "unbiased" in repr(found)
    with pytest.raises(TooLargeError, match="simulate"):
        fisher_information(people, design, method="exact")


@pytest.mark.parametrize(
    "call",
    [
        lambda p: fisher_information(p, 3),
        lambda p: fisher_information(p, DESIGNS[0], method="guess"),
        lambda p: fisher_information(p, DESIGNS[0], draws=0),
        lambda p: an.information.law_distance(p, 3, DESIGNS[0]),
    ],
)
def test_bad_input_is_one_line(call):
    with pytest.raises(ArgumentError) as error:
        call(two())
    assert "\n" not in str(error.value)


def test_information_of_unequal_loads_is_the_mean():
    population = two()
    base = an.Design(ITEMS, annotators=4)
    loads = fisher_information(population, base.with_(loads=[1, 1, 2, 2], questions=2)).matrix
    parts = [fisher_information(population, base.with_(questions=q)).matrix for q in (1, 2)]
    assert torch.allclose(loads, (parts[0] + parts[1]) / 2, atol=1e-14)


def test_distance_is_that_of_the_law_written_out():
    a, b = two(), two(weights=(0.6, 0.4))
    for design in DESIGNS:
        function, codes, menus = written_out(a, design)
        p, q = (function(one.vector()).detach() for one in (a, b))
        share = menus.probability[codes[..., 0]].prod(-1) if design.questions != "all" else torch.ones(len(p)).double()
        expected = float(((p - q).square() / share).sum().sqrt())
        assert abs(an.information.law_distance(a, b, design) - expected) < 1e-13


def test_rank_does_not_grow_beyond_the_stated_number_of_questions():
    """2C - 1 questions are enough, also for merged types and zero weights."""
    same = an.Annotator(an.Linear([1.0, 0.2]), an.Luce())
    for population in (two(), two(weights=(1.0, 0.0)), an.Mixture([same, same], weights=[0.5, 0.5])):
        ranks = []
        for q in (3, 4, 5):
            design = an.Design(ITEMS, questions=q)
            jacobian = law_jacobian(population, prepare(population, design))
            basis = identifiable_coordinates(population, design.items).basis
            s = torch.linalg.svdvals(jacobian @ basis)
            ranks.append(int((s > 1e-10 * s[0]).sum()))
        assert len(set(ranks)) == 1
        design = an.Design(ITEMS, questions=30)
        frame = prepare(population, design)
        assert local_rank(population, frame, identifiable_coordinates(population, design.items)).rank == ranks[0]
    assert saturation(3, 100) == 5


def test_a_sampled_frame_gives_a_lower_bound_and_says_so():
    items = an.Items.normal(16, 2, seed=0)
    population = an.Mixture([an.Annotator(an.Linear(b), an.Luce()) for b in ([1.0, 0.2], [-0.5, 0.8])])
    design = an.Design(items, menu_size=3)
    full, part = prepare(population, design), prepare(population, design, limit=2e4)
    assert full.exact and not part.exact and "sample" in part.note
    know = identifiable_coordinates(population, design.items)
    assert local_rank(population, part, know).rank <= local_rank(population, full, know).rank == 5


def test_rules_with_memory_are_enumerated():
    population = an.Mixture([an.Annotator(an.Linear(b), an.Luce()) for b in ([1.0, 0.2], [-0.5, 0.8])], [0.6, 0.4])
    design = an.Design(ITEMS, menus=[[0, 1], [1, 2], [0, 3]], questions="all")
    frame = prepare(population, design)
    assert frame.blocks is not None and frame.exact and frame.questions == 3
