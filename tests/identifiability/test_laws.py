"""What must hold for any population: adding questions, naming, parametrisation; and what a twin is worth."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as hs
from scipy.stats import binom, norm

import annosim as an
from annosim.checks import strategies as st
from annosim.coordinates import identifiable_coordinates
from annosim.identifiability.local import local_rank
from annosim.information import prepare

ITEMS = an.Items.normal(5, 2, seed=0)


def rank(population, design):
    know = identifiable_coordinates(population, design.items)
    return local_rank(population, prepare(population, design), know).rank, know.num_parameters


def generic(k: int, n: int, seed: int, linear: bool) -> an.Mixture:
    """A mixture at an irrational point, so that the rank is that of its family."""
    draw = np.random.Generator(np.random.Philox(seed))
    types = [
        an.Annotator(an.Linear(draw.normal(size=2)) if linear else an.Tabular(draw.normal(size=n)), an.Luce())
        for _ in range(k)
    ]
    return an.Mixture(types, weights=draw.dirichlet(np.full(k, 5.0)))


@settings(max_examples=10)
@given(hs.integers(1, 3), hs.integers(0, 10**6), hs.booleans(), hs.data())
def test_more_menus_and_more_questions_never_lower_the_rank(k, seed, linear, data):
    population = generic(k, 5, seed, linear)
    menus = data.draw(
        hs.lists(hs.lists(hs.integers(0, 4), min_size=3, max_size=3, unique=True), min_size=1, max_size=4)
    )
    extra = data.draw(hs.lists(hs.integers(0, 4), min_size=3, max_size=3, unique=True))
    small = an.Design(ITEMS, menus=menus)
    before = rank(population, small)
    assert rank(population, an.Design(ITEMS, menus=[*menus, extra]))[0] >= before[0]
    assert rank(population, small.with_(questions=2))[0] >= before[0]
    assert rank(population, small)[1] == before[1]


@settings(max_examples=3)
@given(hs.integers(1, 2), hs.integers(0, 10**6), hs.permutations(range(4)))
def test_names_of_types_and_items_do_not_matter(k, seed, order):
    population = generic(k, 4, seed, linear=False)
    design = an.Design(an.Items(n=4), menu_size=2)
    renamed = an.Mixture(
        [
            an.Annotator(an.Tabular(t.utility.values.detach()[list(order)]), an.Luce())
            for t in reversed(population.types)
        ],
        weights=population.weights.detach().flip(0),
    )
    first, second = an.identify(population, design, starts=0), an.identify(renamed, design, starts=0)
    assert (first.rank, first.verdict) == (second.rank, second.verdict)
    assert torch.allclose(first.singular_values, second.singular_values, atol=1e-9)


@settings(max_examples=15)
@given(hs.integers(1, 2), hs.integers(0, 10**6))
def test_a_reparametrised_model_has_the_same_rank(k, seed):
    population = generic(k, 5, seed, linear=True)
    feature = ITEMS.features @ torch.tensor([[2.0, 1.0], [0.5, -1.0]], dtype=torch.float64)
    back = torch.linalg.inv(torch.tensor([[2.0, 1.0], [0.5, -1.0]], dtype=torch.float64))
    other = an.Mixture(
        [
            an.Annotator(an.Linear((back @ t.utility.weights.detach()).numpy()), an.Luce(an.free(1.0)))
            for t in population.types
        ],
        weights=population.weights.detach(),
    )
    designs = an.Design(ITEMS), an.Design(ITEMS.with_(features=feature))
    first, second = (
        local_rank(p, prepare(p, d), identifiable_coordinates(p, d.items))
        for p, d in zip((population, other), designs, strict=True)
    )
    assert (first.rank, first.num_parameters) == (second.rank, second.num_parameters)
    assert torch.allclose(first.singular_values, second.singular_values, atol=1e-8)


@settings(max_examples=12)
@given(hs.data())
def test_any_population_gets_a_report(data):
    items = data.draw(st.items(min_n=2, max_n=4, dim=2))
    population = data.draw(st.populations(items))
    design = an.Design(items, menu_size=2)
    report = an.identify(population, design, starts=0)
    assert 0 <= report.rank <= report.num_parameters <= population.num_free()
    assert len(report.null_directions) == report.num_parameters - report.rank
    assert report.verdict in repr(report) and "<table" in report._repr_html_()


def test_data_of_twins_cannot_be_told_apart_and_those_of_others_can():
    """Exact binomial two-sample tests per outcome, Bonferroni: false alarm below 1e-8. Its power against a third world,
    whose law is .12 away (root mean square per menu), is above 1 - 1e-9 by its most different outcome alone.
    """
    items = an.Items.normal(6, 2, seed=0)
    here = an.Mixture([an.Annotator(an.Linear(b), an.Luce()) for b in ([1.0, 0.3], [0.0, 0.0])], weights=[0.7, 0.3])
    design = an.Design(items, annotators=200_000)
    twin = an.identify(here, design, starts=0).twin
    third = an.Mixture([an.Annotator(an.Linear(b), an.Luce()) for b in ([1.0, 0.3], [-1.0, 0.5])], weights=[0.7, 0.3])

    def smallest_p(a, b):
        code = lambda d: (np.asarray(d.menu) @ [12, 2] + np.asarray(d.answer)).astype(int)  # noqa: E731
        one, two = (np.bincount(code(an.simulate(p, design, seed=s)), minlength=100) for p, s in ((a, 1), (b, 2)))
        live = one + two > 0
        tail = np.minimum(binom.cdf(one, one + two, 0.5), binom.sf(one - 1, one + two, 0.5))[live]
        return float(tail.min() * 2 * live.sum())

    def power(a, b, n=design.annotators, cells=60):
        """Of the test at 1e-8 on the most different outcome, by the normal law of the difference of two counts."""
        p, q = (an.law(x, design).probabilities for x in (a, b))
        apart = np.abs(p - q) * np.sqrt(n / np.maximum(p + q, 1e-300))
        return float(norm.sf(norm.isf(1e-8 / cells / 2) - apart.max() * 0.98))

    assert twin is not None
    assert smallest_p(here, twin) > 1e-8
    assert (
        an.information.law_distance(here, twin, design) < 1e-15 < 0.1 < an.information.law_distance(here, third, design)
    )
    assert power(here, third) > 1 - 1e-9
    best = design.with_(menu_size=3)  # where the two worlds come apart
    assert an.information.law_distance(here, twin, best) > 1e-3
    assert smallest_p(here, third) < 1e-8


def test_a_twin_of_the_majority_witness():
    """T1: 1/2 d_B + 1/4 (d_c + d_-c) has the twin 1/2 d_B + 1/4 (d_e + d_-e) for every c and e."""
    items = an.Items.normal(8, 2, seed=0)

    def world(c):
        types = [an.Annotator(an.Linear(b), an.Luce()) for b in ([1.0, 0.5], c, [-v for v in c])]
        return an.Mixture(types, weights=[0.5, 0.25, 0.25])

    one, two = world([2.0, 0.0]), world([0.3, 1.0])
    assert an.information.law_distance(one, two, an.Design(items)) < 1e-15
    assert an.information.law_distance(one, two, an.Design(items, menu_size=3)) > 1e-2
    assert an.information.law_distance(one, two, an.Design(items, questions=2)) > 1e-2
