"""Ranks against exact arithmetic: the same Jacobians by sympy over the rationals, and the catalogue's own cases over a
finite field; no floating point, no automatic differentiation and no law of the library.
"""

from __future__ import annotations

import importlib.util
import sys
from fractions import Fraction
from itertools import combinations, combinations_with_replacement, permutations, product
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
import torch

import annosim as an

_spec = importlib.util.spec_from_file_location("identify_catalogue", Path(__file__).with_name("test_catalogue.py"))
catalogue = importlib.util.module_from_spec(_spec)
sys.modules["identify_catalogue"] = catalogue
_spec.loader.exec_module(catalogue)

ODDS = [[3, 1, 2, 7, 5], [2, 5, 1, 3, 11], [1, 4, 9, 2, 3]]


def luce(weights, order):
    """P(order) by successive choices among what is left."""
    left, p = list(range(len(weights))), sp.Integer(1)
    for i in order:
        p *= weights[i] / sum(weights[j] for j in left)
        left.remove(i)
    return p


def outcomes(n, kind, odds):
    """Probabilities of all answers to all menus, one list per menu."""
    if kind == "ranking":
        return [[luce(odds, order) for order in permutations(range(n))]]
    size = {"pairs": 2, "best of three": 3}[kind]
    return [[odds[i] / sum(odds[j] for j in menu) for i in menu] for menu in combinations(range(n), size)]


def exact_rank(n, kinds, kind, questions, merged=False):
    """Rank of the Jacobian of a mixture's law in log-odds and weights, over the rationals."""
    x = [[sp.Symbol(f"x{k}_{i}") for i in range(n)] for k in range(kinds)]
    w = [sp.Symbol(f"w{k}") for k in range(kinds)]
    share = [v / sum(w) for v in w]
    tables = [[p for menu in outcomes(n, kind, row) for p in menu] for row in x]
    entries = len(tables[0])
    law = [
        sum(s * sp.prod([t[i] for i in index]) for s, t in zip(share, tables, strict=True))
        for index in (
            [(i,) for i in range(entries)]
            if questions == 1
            else [(i, j) for i in range(entries) for j in range(i, entries)]
        )
    ]
    at = {x[k][i]: sp.Rational(ODDS[0 if merged else k][i]) for k in range(kinds) for i in range(n)}
    at |= {w[k]: sp.Rational(k + 2, 7) for k in range(kinds)}
    free = [v for row in x for v in row] + w
    return sp.Matrix([[sp.diff(p, v).subs(at) for v in free] for p in law]).rank()


CASES = [
    (3, 1, "pairs", 1, False),
    (3, 2, "pairs", 1, False),
    (4, 2, "pairs", 1, False),
    (3, 2, "ranking", 1, False),
    (4, 2, "best of three", 1, False),
    (3, 2, "pairs", 2, False),
    (3, 2, "pairs", 1, True),
    (3, 2, "pairs", 2, True),
]


@pytest.mark.parametrize("n, kinds, kind, questions, merged", CASES)
def test_rank_is_the_exact_one(n, kinds, kind, questions, merged):
    utilities = [np.log(np.array(ODDS[0 if merged else k][:n], dtype=float)) for k in range(kinds)]
    weights = np.array([k + 2 for k in range(kinds)], dtype=float)
    types = [an.Annotator(an.Tabular(u), an.Luce()) for u in utilities]
    population = an.Mixture(types, weights=weights / weights.sum())
    more = {"feedback": "ranking", "menu_size": n} if kind == "ranking" else {"menu_size": 2 if kind == "pairs" else 3}
    design = an.Design(an.Items(n=n), questions=questions, **more)
    report = an.identify(population, design, starts=0)
    assert report.rank == exact_rank(n, kinds, kind, questions, merged)
    assert report.num_parameters == kinds * (n - 1) + kinds - 1


# ---- the catalogue over a finite field -----------------------------------------------------------------------------

PRIME = 2**31 - 1


class Jet:
    """A number and its derivatives, modulo a prime."""

    def __init__(self, value: int, slope: np.ndarray):
        self.value, self.slope = int(value) % PRIME, np.asarray(slope, dtype=np.int64) % PRIME

    def __add__(self, other: Jet) -> Jet:
        return Jet(self.value + other.value, self.slope + other.slope)

    def __mul__(self, other: Jet) -> Jet:
        return Jet(self.value * other.value, self.slope * other.value % PRIME + other.slope * self.value % PRIME)

    def inverse(self) -> Jet:
        one = pow(self.value, -1, PRIME)
        return Jet(one, -self.slope * (one * one % PRIME) % PRIME)


def added(jets):
    out = jets[0]
    for jet in jets[1:]:
        out = out + jet
    return out


def rank_modulo(rows: list[np.ndarray]) -> int:
    """Rank over the field, by elimination."""
    matrix, rank = np.array(rows, dtype=np.int64), 0
    for column in range(matrix.shape[1]):
        live = np.flatnonzero(matrix[rank:, column])
        if not len(live):
            continue
        matrix[[rank, rank + live[0]]] = matrix[[rank + live[0], rank]]
        matrix[rank] = matrix[rank] * pow(int(matrix[rank, column]), -1, PRIME) % PRIME
        others = np.flatnonzero(matrix[:, column])
        others = others[others != rank]
        matrix[others] = (matrix[others] - matrix[others, column][:, None] * matrix[rank] % PRIME) % PRIME
        rank += 1
        if rank == len(matrix):
            break
    return rank


def answers(design, menu):
    """Orders of choices (first, second, ...) that each answer to a menu stands for."""
    kind = design.feedback.kind
    if kind == "choice":
        return [[(i,)] for i in menu]
    if kind == "ranking":
        return [[order] for order in permutations(menu)]
    if kind == "top":
        return [[order] for order in permutations(menu, design.depth)]
    raise ValueError(kind)


def field_law(people, design):
    """Probabilities of all unordered blocks as jets in log-odds and weights; equal utilities stay equal."""
    draw = np.random.Generator(np.random.Philox(9))
    utilities = [t.utility.values.tolist() for t in people.components()]
    odds_of = {u: int(draw.integers(2, PRIME - 1)) for row in utilities for u in row}
    kinds, n = len(utilities), len(utilities[0])
    free = [p for name, p in people.named_parameters() if name == "weights"]
    shares = people.component_weights().tolist() if kinds > 1 else [1.0]
    size = kinds * n + (kinds if free else 0)
    unit = np.eye(size, dtype=np.int64)
    number = lambda w: Fraction(w).limit_denominator(1000)  # noqa: E731
    weights = []
    for k, w in enumerate(shares):
        q = number(w)
        value = q.numerator * pow(q.denominator, -1, PRIME)
        weights.append(Jet(value, unit[kinds * n + k] if free else np.zeros(size, dtype=np.int64)))
    total = added(weights).inverse()
    weights = [w * total for w in weights]
    menus = (
        [[i for i in row if i >= 0] for row in design.menus.tolist()]
        if design.menus is not None
        else [list(c) for c in combinations(range(n), design.menu_size)]
    )
    tables = []
    for k, row in enumerate(utilities):
        odds = [Jet(odds_of[u], odds_of[u] * unit[k * n + i] % PRIME) for i, u in enumerate(row)]  # in log-odds
        tables.append([[luce_jet(odds, menu, order) for (order,) in answers(design, menu)] for menu in menus])
    flat = range(sum(len(t) for t in tables[0]))
    if design.questions == "all":
        blocks = [[(j, a) for j, a in enumerate(c)] for c in product(*[range(len(t)) for t in tables[0]])]
        pick = lambda table, block: [table[j][a] for j, a in block]  # noqa: E731
    else:
        blocks = combinations_with_replacement(flat, design.num_questions)
        tables = [[p for t in table for p in t] for table in tables]
        pick = lambda table, block: [table[i] for i in block]  # noqa: E731
    law = []
    for block in blocks:
        parts = []
        for w, table in zip(weights, tables, strict=True):
            for p in pick(table, block):
                w = w * p
            parts.append(w)
        law.append(added(parts).slope)
    return law


def luce_jet(odds, menu, order):
    left, p = list(menu), None
    for i in order:
        step = odds[i] * added([odds[j] for j in left]).inverse()
        p = step if p is None else p * step
        left.remove(i)
    return p


def in_field(case) -> bool:
    people, design = case.population(), case.design()
    return (
        isinstance(people, an.Annotator | an.Mixture)
        and all(type(leaf.rule) is an.Luce and not leaf.rule.num_free() for leaf in people.components())
        and all(type(leaf.utility) is an.Tabular for leaf in people.components())
        and design.items.num_prompts == 1
        and design.log_proposal is None
        and design.feedback.kind in ("choice", "ranking", "top")
    )


FIELD = [case for case in catalogue.CASES if in_field(case)]


@pytest.mark.parametrize("case", FIELD, ids=lambda c: c.name)
def test_the_rank_in_the_catalogue_is_the_exact_one(case):
    """A random point of the field has a smaller rank than a random real one with probability below 1e-6 (Schwartz and
    Zippel: a minor of degree below 1e3 over 2e9 values).
    """
    people = case.population()
    kinds, n = len(people.components()), people.components()[0].utility.values.numel()
    assert rank_modulo(field_law(people, case.design())) == case.rank
    free = any(name == "weights" for name, _ in people.named_parameters())
    assert case.of == kinds * (n - 1) + (kinds - 1 if free and kinds > 1 else 0)


def test_many_cases_are_checked_exactly():
    assert len(FIELD) >= 25


def test_a_rule_that_two_types_share_is_one_parameter():
    """A tie threshold common to both types: 2 + 2 utilities, a weight and one threshold; and it is left as it was."""
    rule = an.rules.RaoKupper(an.free(1.5))
    people = an.Mixture([an.Annotator(an.Linear(b), rule) for b in ([1.0, 0.3], [-1.0, -0.3])])
    before = people.parameter_names()
    report = an.identify(people, an.Design(an.Items.normal(6, 2, seed=0)), starts=2)
    assert (report.verdict, report.rank, report.num_parameters) == ("locally_identified", 6, 6)
    assert people.parameter_names() == before and len(before) == 7
    slope = torch.func.jacfwd(lambda v: people.functional_call(v, lambda p: p.types[1].rule.theta))(
        people.vector().float()
    )
    assert slope.tolist() == [float(name == "types.0.rule.theta") for name in before]
