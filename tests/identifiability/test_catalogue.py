"""Every verdict on populations and designs whose identifiability is known: from a theorem, by counting, or exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pytest

import annosim as an
from annosim.coordinates import population_distance
from annosim.identifiability.report import VERDICTS

ITEMS = an.Items.normal(6, 2, seed=0)
LINE = an.Items.normal(6, 1, seed=1)
B, C = [1.0, 0.3], [-0.4, 0.9]
U = np.random.Generator(np.random.Philox(5)).normal(size=(4, 8))


def linear(*weights: float) -> an.Annotator:
    return an.Annotator(an.Linear([float(w) for w in weights]), an.Luce())


def tabular(values) -> an.Annotator:
    return an.Annotator(an.Tabular(np.asarray(values, dtype=float)), an.Luce())


def mix(*types, weights=None) -> an.Mixture:
    return an.Mixture(list(types), weights=weights)


def tables(n: int, k: int = 2, weights=None) -> an.Mixture:
    share = weights if weights is not None else ([0.6, 0.4] if k == 2 else None)
    return mix(*[tabular(row[:n]) for row in U[:k]], weights=share)


def minus(b) -> list[float]:
    return [-v for v in b]


def pairs(n: int, **more) -> an.Design:
    return an.Design(an.Items(n=n), menu_size=2, **more)


def best(n: int, k: int = 3, **more) -> an.Design:
    return an.Design(an.Items(n=n), menu_size=k, **more)


def rankings(n: int) -> an.Design:
    return an.Design(an.Items(n=n), menu_size=n, feedback="ranking")


def slates(n: int, sizes) -> an.Design:
    most = max(sizes)
    menus = [list(c) + [-1] * (most - s) for s in sizes for c in combinations(range(n), s)]
    return an.Design(an.Items(n=n), menus=menus)


@dataclass(frozen=True)
class Case:
    name: str
    population: Callable[[], an.Population]
    design: Callable[[], an.Design]
    verdict: str
    rank: int
    of: int
    twin: bool | None = None  # None: not asked
    source: str = "theory"


def _linear_pairs(**more) -> an.Design:
    return an.Design(ITEMS, menu_size=2, **more)


def _linear_best(**more) -> an.Design:
    return an.Design(ITEMS, menu_size=3, **more)


def _with_rule(rule: Callable[[], an.Rule], *tastes, weights=None) -> an.Mixture:
    return mix(*[an.Annotator(an.Linear([float(v) for v in b]), rule()) for b in tastes], weights=weights)


N, S, L, I_, X = "not_identified", "singular", "locally_identified", "identified", "inconclusive"

CASES = [
    # one type
    Case("one linear type, pairs", lambda: linear(*B), _linear_pairs, I_, 2, 2, False),
    Case("one table, pairs", lambda: tabular(U[0, :4]), lambda: pairs(4), I_, 3, 3, False),
    Case(
        "one table, star of pairs",
        lambda: tabular(U[0, :4]),
        lambda: an.Design(an.Items(n=4), menus=[[0, 1], [0, 2], [0, 3]]),
        I_,
        3,
        3,
        False,
    ),
    Case(
        "one table, two components",
        lambda: tabular(U[0, :4]),
        lambda: an.Design(an.Items(n=4), menus=[[0, 1], [2, 3]]),
        N,
        2,
        3,
        True,
        "Ford 1957",
    ),
    Case(
        "one table, an item never shown",
        lambda: tabular(U[0, :3]),
        lambda: an.Design(an.Items(n=3), menus=[[0, 1]]),
        N,
        1,
        2,
        True,
        "Ford 1957",
    ),
    Case("one table, best of three", lambda: tabular(U[0, :4]), lambda: best(4), I_, 3, 3, False),
    Case("one table, rankings", lambda: tabular(U[0, :3]), lambda: rankings(3), I_, 2, 2, False, "Hunter 2004"),
    Case(
        "one table, top two of four",
        lambda: tabular(U[0, :4]),
        lambda: an.Design(an.Items(n=4), menu_size=4, feedback="top", depth=2),
        I_,
        3,
        3,
        False,
    ),
    Case(
        "one table, best and worst",
        lambda: tabular(U[0, :3]),
        lambda: an.Design(an.Items(n=3), menu_size=3, feedback="best-worst"),
        I_,
        2,
        2,
        False,
    ),
    Case(
        "two prompts have two levels",
        lambda: tabular(U[0, :4]),
        lambda: an.Design(an.Items(n=4, prompts=[0, 0, 1, 1])),
        I_,
        2,
        2,
        False,
    ),
    Case(
        "a free temperature is a convention",
        lambda: an.Annotator(an.Tabular(U[0, :4]), an.Luce(an.free(1.5))),
        lambda: pairs(4),
        L,
        3,
        3,
        False,
    ),
    Case(
        "a free temperature with linear utility",
        lambda: an.Annotator(an.Linear(B), an.Luce(an.free(1.0))),
        _linear_pairs,
        L,
        2,
        2,
        False,
    ),
    Case(
        "density under DPO's rule",
        lambda: an.Annotator(
            an.LogDensity(an.Tabular(U[0, :4])), an.PBDE.dpo(0.5, an.LogDensity(an.Tabular(U[1, :4])))
        ),
        lambda: pairs(4),
        L,
        3,
        3,
        False,
        "CONTRACT normalisations",
    ),
    Case(
        "ideal point, pairs", lambda: an.Annotator(an.utilities.IdealPoint(B), an.Luce()), _linear_pairs, L, 2, 2, False
    ),
    # T1: one pair per annotator
    Case(
        "T1 generic types", lambda: mix(linear(*B), linear(*C), weights=[0.7, 0.3]), _linear_pairs, L, 5, 5, False, "T1"
    ),
    Case(
        "T1 a type without preferences",
        lambda: mix(linear(*B), linear(0, 0), weights=[0.7, 0.3]),
        _linear_pairs,
        N,
        5,
        5,
        True,
        "T1",
    ),
    Case(
        "T1 antipodal, unequal weights",
        lambda: mix(linear(*B), linear(*minus(B)), weights=[0.7, 0.3]),
        _linear_pairs,
        S,
        3,
        5,
        True,
        "T1",
    ),
    Case(
        "T1 antipodal, equal weights",
        lambda: mix(linear(*B), linear(*minus(B)), weights=[0.5, 0.5]),
        _linear_pairs,
        N,
        3,
        5,
        True,
        "T1",
    ),
    Case(
        "T1 nobody prefers anything",
        lambda: mix(linear(0, 0), linear(0, 0), weights=[0.5, 0.5]),
        _linear_pairs,
        N,
        2,
        5,
        True,
        "T1",
    ),
    Case(
        "T1 majority kept",
        lambda: mix(linear(*B), linear(*C), linear(*minus(C)), weights=[0.5, 0.25, 0.25]),
        lambda: an.Design(an.Items.normal(8, 2, seed=0)),
        N,
        6,
        8,
        True,
        "T1 witness",
    ),
    # merged types and zero weights
    Case("merged types, pairs", lambda: mix(linear(*B), linear(*B), weights=[0.5, 0.5]), _linear_pairs, N, 2, 5, True),
    Case(
        "merged types, best of three",
        lambda: mix(linear(*B), linear(*B), weights=[0.4, 0.6]),
        _linear_best,
        N,
        2,
        5,
        True,
    ),
    Case(
        "merged types, known weights",
        lambda: mix(linear(*B), linear(*B), weights=an.fixed([0.4, 0.6])),
        _linear_best,
        S,
        2,
        4,
        None,
        "second order",
    ),
    Case("weight zero, pairs", lambda: mix(linear(*B), linear(*C), weights=[1.0, 0.0]), _linear_pairs, N, 3, 5, True),
    Case(
        "weight zero, best of three",
        lambda: mix(linear(*B), linear(*C), weights=[1.0, 0.0]),
        _linear_best,
        N,
        3,
        5,
        True,
    ),
    # types a little apart: the third moment of the tastes (of the order of their distance cubed) tells the weights, and
    # float64 cannot say that it does
    Case(
        "nearly merged types, pairs",
        lambda: mix(linear(*B), linear(B[0] + 0.0025, B[1]), weights=[0.4, 0.6]),
        _linear_pairs,
        X,
        5,
        5,
        False,
        "third moments",
    ),
    Case(
        "nearly merged types, best of three",
        lambda: mix(linear(*B), linear(B[0] + 0.0025, B[1]), weights=[0.4, 0.6]),
        _linear_best,
        X,
        5,
        5,
        False,
        "third moments",
    ),
    Case(
        "types ten times as far apart, best of three",
        lambda: mix(linear(*B), linear(B[0] + 0.025, B[1]), weights=[0.4, 0.6]),
        _linear_best,
        L,
        5,
        5,
        False,
        "T2",
    ),
    # T2 - T4
    Case(
        "T2 antipodal, best of three",
        lambda: mix(linear(*B), linear(*minus(B)), weights=[0.5, 0.5]),
        _linear_best,
        L,
        5,
        5,
        False,
        "T2",
    ),
    Case(
        "T2 a type without preferences",
        lambda: mix(linear(*B), linear(0, 0), weights=[0.7, 0.3]),
        _linear_best,
        L,
        5,
        5,
        False,
        "T2",
    ),
    Case(
        "T3 antipodal, two pairs each",
        lambda: mix(linear(*B), linear(*minus(B)), weights=[0.5, 0.5]),
        lambda: _linear_pairs(questions=2),
        L,
        5,
        5,
        False,
        "T3",
    ),
    Case(
        "T3 a type without preferences",
        lambda: mix(linear(*B), linear(0, 0), weights=[0.7, 0.3]),
        lambda: _linear_pairs(questions=2),
        L,
        5,
        5,
        False,
        "T3",
    ),
    Case(
        "three pairs each",
        lambda: mix(linear(*B), linear(*minus(B)), weights=[0.5, 0.5]),
        lambda: _linear_pairs(questions=3),
        I_,
        5,
        5,
        False,
        "Vandermeulen, Scott 2019",
    ),
    Case(
        "T4 ties",
        lambda: _with_rule(lambda: an.rules.RaoKupper(1.7), B, minus(B), weights=[0.5, 0.5]),
        _linear_pairs,
        L,
        5,
        5,
        False,
        "T4",
    ),
    Case(
        "T4 a known position bias",
        lambda: _with_rule(lambda: an.PositionBias(an.Luce(), 0.4), B, minus(B), weights=[0.5, 0.5]),
        _linear_pairs,
        L,
        5,
        5,
        False,
        "T4",
    ),
    # T5: tables
    Case("T5 pairs of four", lambda: tables(4), lambda: pairs(4), N, 6, 7, True, "T5"),
    Case("T5 pairs of five", lambda: tables(5), lambda: pairs(5), L, 9, 9, False, "T5; Zhang et al. 2022"),
    Case("T5 pairs of six", lambda: tables(6), lambda: pairs(6), L, 11, 11, False, "T5; Zhang et al. 2022"),
    Case("T5 rankings of three", lambda: tables(3), lambda: rankings(3), L, 5, 5, None, "T5"),
    Case("T5 rankings of four", lambda: tables(4), lambda: rankings(4), I_, 7, 7, False, "Zhao, Piech, Xia 2016"),
    Case("T5 best of three of four", lambda: tables(4), lambda: best(4), L, 7, 7, False, "T5; Zhang et al. 2022"),
    Case("T5 best of three of five", lambda: tables(5), lambda: best(5), L, 9, 9, False, "T5; Zhang et al. 2022"),
    Case(
        "ranked top three of four",
        lambda: tables(4),
        lambda: an.Design(an.Items(n=4), menu_size=4, feedback="top", depth=3),
        I_,
        7,
        7,
        False,
        "Zhao, Xia 2019",
    ),
    Case("choices over up to four", lambda: tables(4), lambda: slates(4, (2, 3, 4)), I_, 7, 7, False, "Zhao, Xia 2019"),
    Case("two types, pairs of three", lambda: tables(3), lambda: pairs(3), N, 3, 5, True, "counting"),
    Case("three types, pairs of four", lambda: tables(4, 3), lambda: pairs(4), N, 6, 11, True, "counting"),
    Case("three types, pairs of six", lambda: tables(6, 3), lambda: pairs(6), N, 15, 17, True, "counting"),
    Case("three types, best of three of four", lambda: tables(4, 3), lambda: best(4), N, 8, 11, True, "counting"),
    # known weights: uniform mixtures of two logits
    Case(
        "uniform two logits, pairs of three",
        lambda: tables(3, weights=an.fixed([0.5, 0.5])),
        lambda: pairs(3),
        N,
        3,
        4,
        True,
        "Chierichetti et al. 2018",
    ),
    Case(
        "uniform two logits, slates of two and three",
        lambda: tables(3, weights=an.fixed([0.5, 0.5])),
        lambda: slates(3, (2, 3)),
        I_,
        4,
        4,
        False,
        "Chierichetti et al. 2018",
    ),
    Case(
        "uniform two logits, slates of two and three of five",
        lambda: tables(5, weights=an.fixed([0.5, 0.5])),
        lambda: slates(5, (2, 3)),
        I_,
        8,
        8,
        False,
        "Chierichetti et al. 2018",
    ),
    # several questions
    Case(
        "two types, two pairs each of three", lambda: tables(3), lambda: pairs(3, questions=2), L, 5, 5, None, "exact"
    ),
    Case(
        "two types, three pairs each",
        lambda: tables(4),
        lambda: pairs(4, questions=3),
        I_,
        7,
        7,
        False,
        "Vandermeulen, Scott 2019",
    ),
    Case(
        "everyone answers all three pairs",
        lambda: tables(3),
        lambda: an.Design(an.Items(n=3), menus=[[0, 1], [0, 2], [1, 2]], questions="all"),
        L,
        5,
        5,
        None,
        "exact",
    ),
    Case(
        "everyone answers one pair",
        lambda: tables(2),
        lambda: an.Design(an.Items(n=2), menus=[[0, 1]], questions="all"),
        N,
        1,
        3,
        True,
        "counting",
    ),
    Case(
        "one pair again and again",
        lambda: tables(2),
        lambda: pairs(2, questions=3),
        I_,
        3,
        3,
        None,
        "Vandermeulen, Scott 2019",
    ),
    Case("one pair twice", lambda: tables(2), lambda: pairs(2, questions=2), N, 2, 3, True, "counting"),
    # habits
    Case(
        "free lapse rate, one pair",
        lambda: an.Annotator(an.Tabular([0.0, 1.0]), an.Lapse(an.Luce(), an.free(0.1))),
        lambda: pairs(2),
        N,
        1,
        2,
        True,
        "counting",
    ),
    Case(
        "free lapse rate, three items",
        lambda: an.Annotator(an.Tabular([0.0, 1.0, 2.5]), an.Lapse(an.Luce(), an.free(0.1))),
        lambda: pairs(3),
        L,
        3,
        3,
        None,
        "exact",
    ),
    Case(
        "free position bias",
        lambda: an.Annotator(an.Tabular(U[0, :3]), an.PositionBias(an.Luce(), an.free(0.4))),
        lambda: pairs(3),
        L,
        3,
        3,
        None,
        "log-odds are linear",
    ),
    # continuous tastes: inside the normal family a mean that is not zero rescues the scale
    Case(
        "normal tastes, mean zero, pairs",
        lambda: an.RandomCoefficients([0.0], [1.0], an.Luce()),
        lambda: an.Design(LINE),
        N,
        1,
        2,
        True,
        "T1",
    ),
    Case(
        "normal tastes, pairs",
        lambda: an.RandomCoefficients([0.7], [1.0], an.Luce()),
        lambda: an.Design(LINE),
        L,
        2,
        2,
        False,
        "T1",
    ),
    Case(
        "normal tastes, mean zero, best of three",
        lambda: an.RandomCoefficients([0.0], [1.0], an.Luce()),
        lambda: an.Design(LINE, menu_size=3),
        L,
        2,
        2,
        False,
        "T2",
    ),
    # a network of 33 weights on 11 items has as many knowable numbers as the items have differences
    Case(
        "a network",
        lambda: an.Annotator(an.Network([8], dim=2, seed=0), an.Luce()),
        lambda: an.Design(an.Items.normal(11, 2, seed=4)),
        L,
        10,
        10,
        False,
        "CONTRACT normalisations",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_verdict(case):
    population, design = case.population(), case.design()
    report = an.identify(population, design, starts=1 if case.twin else 6)
    assert (report.rank, report.num_parameters) == (case.rank, case.of), report
    assert report.verdict == case.verdict, report
    if case.twin is not None:
        assert (report.twin is not None) == case.twin, report
    if report.twin is not None:
        assert report.law_distance < 1e-10
        assert an.information.law_distance(population, report.twin, design) < 1e-10
        if report.verdict != "singular":
            assert population_distance(population, report.twin, design.items) > 1e-3
    assert len(report.null_directions) == case.of - case.rank


def test_the_catalogue_is_large_and_every_verdict_appears():
    assert len({case.name for case in CASES}) == len(CASES) >= 40
    assert {case.verdict for case in CASES} == set(VERDICTS)
