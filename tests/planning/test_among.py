"""Plans among other families: K types, any distribution of tastes; and designs that change how people answer."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import ndtri

import annosim as an
from annosim.errors import ArgumentError
from annosim.identifiability.tastes import MixingDistributionProgram, bounds

ITEMS = an.Items.normal(5, 2, seed=0)
LINE = an.Items.normal(5, 1, seed=3)
PAIRS, THREE = an.Design(ITEMS), an.Design(ITEMS, menu_size=3)
GRID = np.stack(np.meshgrid(np.linspace(-2, 2, 5), np.linspace(-2, 2, 5)), -1).reshape(-1, 2)
Z = 1.959963984540054


def linear(*tastes, weights=None):
    return an.Mixture([an.Annotator(an.Linear(b), an.Luce()) for b in tastes], weights=weights)


PEOPLE = linear([1.0, 0.3], [0.0, 0.5], weights=[0.7, 0.3])


def test_the_own_number_of_types_is_the_own_family():
    first, second = (an.plan(PEOPLE, PAIRS, starts=0, among=family).rows[0] for family in (None, an.types(2)))
    assert (first.annotators, first.verdict, first.at_least) == (second.annotators, second.verdict, False)


def test_more_types_than_there_are_need_at_least_as_many_annotators():
    """Coinciding types have the tangents of the type they stand for: the bound of a mean over annotators is the same,
    and the shares of coinciding types are not known at all.
    """
    own = an.plan(PEOPLE, THREE, target=an.identifiability.mean_gap(0, 1), starts=0).rows[0]
    more = an.plan(PEOPLE, THREE, target=an.identifiability.mean_gap(0, 1), among=an.types(3), starts=0)
    assert more.rows[0].at_least and more.rows[0].annotators == pytest.approx(own.annotators, rel=1e-6)
    assert "at least" in repr(more) and "3 types" in repr(more) and more.to_frame()["lower bound only"].all()
    shares = an.plan(PEOPLE, THREE, target="weights", among=an.types(3), starts=0).rows[0]
    assert math.isinf(shares.annotators) and "coinciding" in shares.reason


def test_a_twin_with_more_types_makes_the_even_part_unknown():
    """T1: one indifferent type has the law of two antipodal ones: the same odd part of tastes, another even one."""
    nobody = an.Annotator(an.Linear([0.0, 0.0]), an.Luce())
    known, unknown = (
        an.plan(nobody, PAIRS, target=target, among=an.types(2)).rows[0]
        for target in ("odd part of tastes", "even part of tastes")
    )
    assert math.isfinite(known.annotators) and known.at_least
    assert math.isinf(unknown.annotators) and "another population of 2 types" in unknown.reason


def test_any_tastes_pair_probabilities_need_a_binomial_number():
    """One of ten pairs each: the share of a pair is estimated from a tenth of the annotators and nothing else."""
    row = an.plan(PEOPLE, PAIRS, target="pair probabilities", precision=0.05, among=an.any_tastes(GRID)).rows[0]
    p = an.law(PEOPLE, PAIRS).marginal().detach()
    menus = an.law(PEOPLE, PAIRS).menu
    here = torch.cat(
        [
            p[(menus == torch.tensor([i, j])).all(-1)] + p[(menus == torch.tensor([j, i])).all(-1)].flip(-1)
            for i in range(5)
            for j in range(i + 1, 5)
        ]
    )
    share = here[:, 0] / here.sum(-1)
    # g = 10 on the answer, 0 elsewhere: E g^2 - p^2 = 10 p - p^2; the best g uses that menus are drawn: 10 p (1 - p)
    expected = Z**2 * float((10 * share * (1 - share)).max()) / 0.05**2
    assert row.annotators == pytest.approx(expected, rel=1e-4)
    assert row.verdict == "identified" and row.identifies and not row.at_least


def test_a_target_that_is_only_bounded_costs_infinity_and_has_its_interval():
    crowd = linear(*[[b] for b in np.linspace(-2, 2, 9)])
    share, design, grid = an.identifiability.share_preferring(0, 1), an.Design(LINE), np.linspace(-2, 2, 41)
    found = an.plan(crowd, design, target=share, among=an.any_tastes(grid))
    row, alone = found.rows[0], bounds(crowd, design, grid, share)
    assert math.isinf(row.annotators) and not row.identifies and row.verdict == "not_identified"
    assert (row.low[0], row.high[0]) == pytest.approx((alone.low, alone.high), abs=1e-9)
    assert row.low < found.value < row.high
    assert f"[{alone.low:.4g}, {alone.high:.4g}]" in " ".join(repr(found).split())
    assert found.best is None and "lies in" in " ".join(found.to_frame().columns)
    two = replace(row, low=np.array([0.2, 0.1, 0.5]), high=np.array([0.3, 0.4, 0.6]))
    assert two.interval() == ": component 1 in [0.1, 0.4]"  # the widest


def test_where_only_positivity_pins_a_target_an_interval_of_what_is_not_rejected_is_used():
    """Two extreme types leave no room: the share is known in the limit, no function of the answers has it as its mean,
    and the interval shrinks with the root of the annotators.
    """
    program = MixingDistributionProgram(PEOPLE, THREE, an.any_tastes(GRID))
    share = an.identifiability.share_preferring(0, 1)
    assert program.bounds(share).pinned and torch.isinf(program.estimator_variance(share)).all()
    widths = [program.half_widths(share, n) for n in (1e4, 1e6, 1e8)]
    assert widths[0] > widths[1] > widths[2]
    row = an.plan(PEOPLE, THREE, target=share, precision=widths[2], among=an.any_tastes(GRID)).rows[0]
    assert row.annotators == pytest.approx(1e8, rel=0.02)


def test_the_interval_of_what_is_not_rejected_covers():
    """Empirical laws of 60 samples: the truth is among the distributions not rejected every time (Bonferroni at 5 %
    each: more than 15 misses of 60 have probability below 1e-7).
    """
    program = MixingDistributionProgram(PEOPLE, THREE, an.any_tastes(GRID))
    p = (program.own @ program._probabilities()).numpy()
    draw = np.random.Generator(np.random.Philox(2))
    n = 2000
    margin = ndtri(1 - 0.025 / len(p)) * np.sqrt(p * (1 - p) / n)
    misses = sum(bool((np.abs(draw.multinomial(n, p / p.sum()) / n - p) > margin).any()) for _ in range(60))
    assert misses <= 15


def test_ties_can_be_compared_with_forced_choices():
    people = linear([1.0, 0.3], [-1.0, -0.3], weights=[0.5, 0.5])
    tied = an.Mixture([an.Annotator(t.utility, an.rules.RaoKupper(1.8)) for t in people.types], [0.5, 0.5])
    found = an.plan(people, {"pairs": PAIRS, "pairs with ties": (tied, PAIRS)}, starts=0)
    assert [r.identifies for r in found.rows] == [False, True]  # T4


def test_bad_input_is_one_line():
    calls = [
        lambda: an.plan(PEOPLE, PAIRS, among=2),
        lambda: an.plan(PEOPLE, PAIRS, among=an.types(1)),
        lambda: an.plan(PEOPLE, PAIRS, target="weights", among=an.any_tastes(GRID)),
        lambda: an.plan(PEOPLE, PAIRS, target=an.identifiability.mean_gap(0, 9)),
        lambda: an.plan(PEOPLE, PAIRS, precision="a"),
        lambda: an.plan(PEOPLE, PAIRS, cost=3),
        lambda: an.plan(PEOPLE, "pairs"),
        lambda: an.plan(PEOPLE, {"pairs": (3, PAIRS)}),
        lambda: an.plan(PEOPLE, PAIRS, draws=-1),
        lambda: an.any_tastes("a"),
        lambda: an.any_tastes([[float("nan")]]),
    ]
    for call in calls:
        with pytest.raises(ArgumentError) as error:
            call()
        assert "\n" not in str(error.value)
