"""Designs: the menu law's two methods, and lists of menus.

False alarms: each sampling test rejects below 1e-9.
"""

from __future__ import annotations

import numpy as np
import pytest

import annosim as an
from annosim.checks.statistics import compare_counts
from annosim.designs import menus
from annosim.errors import ArgumentError
from annosim.random import CounterRNG

PROMPTS = an.Items(n=7, prompts=[0, 0, 0, 1, 1, 1, 1], weights=[1.0, 2.0, 0.5, 1.0, 1.0, 3.0, 0.2])
DENSITY = np.array([0.3, 0.3, 0.2, 0.3, 0.1, 0.15, 0.75])

DESIGNS = {
    "pairs": lambda: an.Design(an.Items(n=4)),
    "triples": lambda: an.Design(an.Items(n=5), menu_size=3),
    "replacement": lambda: an.Design(an.Items(n=3), menu_size=2, replacement=True),
    "prompts": lambda: an.Design(PROMPTS, menu_size=3, prompt_weights=[0.3, 0.7]),
    "proposal": lambda: an.Design(PROMPTS, menu_size=2, proposal=DENSITY),
    "proposal distinct": lambda: an.Design(PROMPTS, menu_size=3, proposal=DENSITY, replacement=False),
    "listed": lambda: an.Design(an.Items(n=4), menus=[[0, 1, -1], [1, 2, 3]], menu_weights=[0.2, 0.8]),
    "single": lambda: an.Design(an.Items(n=4), menu_size=1, feedback="rating"),
}


@pytest.mark.parametrize("name", list(DESIGNS))
def test_sample_follows_enumerate(name):
    design = DESIGNS[name]()
    menu, probability, _ = design.enumerate()
    assert float(probability.sum()) == pytest.approx(1, abs=1e-12)
    drawn = design.sample(CounterRNG(11, np.arange(40_000))).numpy()
    code = {tuple(m): i for i, m in enumerate(menu.tolist())}
    assert len(code) == len(menu)
    counts = np.zeros(len(menu))
    for row, count in zip(*np.unique(drawn, axis=0, return_counts=True), strict=True):
        counts[code[tuple(row.tolist())]] = count
    result = compare_counts(counts.astype(int), probability.numpy())
    assert result.p_value > 1e-9, result


def connected(pairs: np.ndarray, ids: list[int]) -> bool:
    seen, todo = {ids[0]}, [ids[0]]
    while todo:
        at = todo.pop()
        for a, b in pairs.tolist():
            for x, y in ((a, b), (b, a)):
                if x == at and y not in seen:
                    seen.add(y)
                    todo.append(y)
    return seen == set(ids)


@pytest.mark.parametrize(
    "make", [menus.round_robin, menus.star, menus.chain, lambda items: menus.sparse_graph(items, 3)]
)
def test_lists_connect_every_prompt_and_stay_inside_it(make):
    items = an.Items(n=7, prompts=[0, 1, 0, 1, 1, 0, 1])
    pairs = make(items)
    an.Design(items, menus=pairs)
    for prompt in (0, 1):
        ids = items.members(prompt).tolist()
        inside = pairs[np.isin(pairs[:, 0], ids)]
        assert np.isin(inside, ids).all() and connected(inside, ids)


@pytest.mark.parametrize("count", [19, 30, 190])
def test_sparse_graph_has_distinct_pairs_and_is_connected(count):
    items = an.Items(n=20)
    for seed in range(5):
        pairs = menus.sparse_graph(items, count, seed)
        assert len(np.unique(np.sort(pairs, 1), axis=0)) == count and connected(pairs, list(range(20)))
    assert (menus.sparse_graph(items, 30, 1) != menus.sparse_graph(items, 30, 2)).any()


def test_round_robin_and_random_menus():
    items = an.Items(n=6)
    assert len(menus.round_robin(items, 3)) == 20
    drawn = menus.random_menus(items, 30_000, 2, seed=1)
    counts = np.bincount(drawn[:, 0] * 6 + drawn[:, 1], minlength=36).reshape(6, 6)
    off = ~np.eye(6, dtype=bool)
    assert counts[~off].sum() == 0
    assert compare_counts(counts[off], np.full(30, 1 / 30)).p_value > 1e-9


def test_every_item_joins_the_graph_at_any_of_those_that_are_there():
    """Of four items a third of such trees are stars: the third joins either of two, the fourth any of three."""
    stars = 0
    for seed in range(600):
        degree = np.bincount(menus.sparse_graph(an.Items(n=4), 3, seed).ravel(), minlength=4)
        stars += int(degree.max() == 3)
    assert compare_counts(np.array([stars, 600 - stars]), np.array([1 / 3, 2 / 3])).p_value > 1e-9


def test_either_item_of_a_drawn_pair_may_stand_first():
    """1,900 pairs of ten graphs: two-sided binomial at 1e-9."""
    pairs = np.concatenate([menus.sparse_graph(an.Items(n=20), 190, seed) for seed in range(10)])
    first = int((pairs[:, 0] < pairs[:, 1]).sum())
    assert compare_counts(np.array([first, len(pairs) - first]), np.array([0.5, 0.5])).p_value > 1e-9


def test_prompts_have_draws_of_their_own():
    """Three prompts of six items, 60 menus: of their lists no two agree, however they are shifted (1 in 120 rows would)."""
    drawn = menus.random_menus(an.Items(n=18, prompts=np.repeat([0, 1, 2], 6)), 60, 3, seed=4)
    own = np.split(drawn % 6, 3)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        for shift in range(6):
            assert (own[a] == (own[b] - shift) % 6).all(1).mean() < 0.15


def test_empty_places_may_stand_anywhere_and_belong_to_no_prompt():
    items = an.Items(n=4, prompts=[0, 0, 1, 1])
    for menu in ([-1, 0, 1], [0, -1, 1], [0, 1, -1], [-1, -1, 0], [-1, 3, 2]):
        assert an.Design(items, menus=[menu]).enumerate().menu.tolist() == [menu]
    for menu in ([-1, 0, 2], [0, -1, 3], [1, 2, -1]):
        with pytest.raises(ArgumentError, match="mixes items of different prompts"):
            an.Design(items, menus=[menu])


def test_a_closed_chain_is_a_ring_of_three_or_more():
    assert menus.chain(an.Items(n=2), closed=True).tolist() == [[0, 1]]
    assert menus.chain(an.Items(n=3), closed=True).tolist() == [[0, 1], [1, 2], [2, 0]]
    assert menus.chain(an.Items(n=3)).tolist() == [[0, 1], [1, 2]]


def test_a_menu_of_weight_zero_is_asked_where_all_are():
    settings = {"menus": [[0, 1], [1, 2]], "menu_weights": [1.0, 0.0]}
    every = an.Design(an.Items(n=3), questions="all", annotators=5, **settings)
    assert every.enumerate().menu.tolist() == [[0, 1], [1, 2]]
    drawn = an.Design(an.Items(n=3), annotators=50, **settings)
    assert drawn.enumerate().menu.tolist() == [[0, 1]]
    one = an.Annotator(an.Tabular(3), an.Luce())
    assert np.unique(an.simulate(one, every).menu, axis=0).tolist() == [[0, 1], [1, 2]]
    assert np.unique(an.simulate(one, drawn).menu, axis=0).tolist() == [[0, 1]]


def test_empirical_loads_resample_real_ones():
    items = an.Items(n=3)
    data = an.simulate(
        an.Annotator(an.Tabular(3), an.Luce()), an.Design(items, annotators=4, loads=[1, 2, 2, 9]), seed=0
    )
    loads = menus.empirical_loads(data, 30_000, seed=4)
    values, counts = np.unique(loads, return_counts=True)
    assert values.tolist() == [1, 2, 9]
    assert compare_counts(counts, np.array([0.25, 0.5, 0.25])).p_value > 1e-9
    people = an.simulate(
        an.Annotator(an.Tabular(3), an.Luce()), an.Design(items, annotators=10, loads=loads[:10]), seed=0
    )
    assert np.bincount(people.annotator_ids).tolist() == loads[:10].tolist()


def test_overlap_asks_several_people_the_same():
    design = an.Design(an.Items(n=9), annotators=12, questions=3, overlap=4)
    data = an.simulate(an.Annotator(an.Tabular(9), an.Luce()), design, seed=0)
    blocks = data.menu.reshape(3, 4, 3, 2)
    assert (blocks == blocks[:, :1]).all() and (blocks[0] != blocks[1]).any()


@pytest.mark.parametrize(
    "make,word",
    [
        (lambda: menus.star(an.Items(n=3), 5), "ids"),
        (lambda: menus.star(an.Items(n=4, prompts=[0, 0, 1, 1]), 1), "prompts"),
        (lambda: menus.sparse_graph(an.Items(n=5), 3), "connected"),
        (lambda: menus.round_robin(an.Items(n=2), 3), "only 2 items"),
        (lambda: menus.both_orders([[0, 1, 2]]), "pairs"),
        (lambda: menus.empirical_loads([0, 0], 3), "annotator"),
    ],
)
def test_bad_values_are_named(make, word):
    with pytest.raises(an.errors.AnnosimError, match=word):
        make()


@pytest.mark.parametrize("menu", [[2, 2, -1], [2, 0, 2]])
def test_menus_that_list_an_item_twice_are_refused(menu):
    with pytest.raises(ArgumentError, match="menu 1 lists an item twice"):
        an.Design(an.Items(n=3), menus=[[0, 1, -1], menu])


@pytest.mark.parametrize("kind, menu, least", [("choice", [-1, -1], 1), ("best-worst", [2, -1], 2)])
def test_menus_without_an_answer_are_refused(kind, menu, least):
    with pytest.raises(ArgumentError, match=f"menu 1 has fewer than {least} item"):
        an.Design(an.Items(n=3), menus=[[0, 1], menu], feedback=kind)
