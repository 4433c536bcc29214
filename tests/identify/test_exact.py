"""Ranks against exact rational arithmetic: the same Jacobians by sympy, no floating point anywhere."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
import sympy as sp

import annosim as an

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
        for index in ([(i,) for i in range(entries)] if questions == 1 else
                      [(i, j) for i in range(entries) for j in range(i, entries)])
    ]  # fmt: skip
    at = {x[k][i]: sp.Rational(ODDS[0 if merged else k][i]) for k in range(kinds) for i in range(n)}
    at |= {w[k]: sp.Rational(k + 2, 7) for k in range(kinds)}
    free = [v for row in x for v in row] + w
    return sp.Matrix([[sp.diff(p, v).subs(at) for v in free] for p in law]).rank()


CASES = [
    (3, 1, "pairs", 1, False), (4, 1, "pairs", 1, False), (3, 2, "pairs", 1, False), (4, 2, "pairs", 1, False),
    (5, 2, "pairs", 1, False), (4, 3, "pairs", 1, False), (3, 2, "ranking", 1, False), (4, 2, "best of three", 1,
    False),
    (3, 2, "pairs", 2, False), (3, 2, "best of three", 2, False), (3, 2, "pairs", 1, True), (3, 2, "pairs", 2, True),
    (3, 3, "ranking", 1, False),
]  # fmt: skip


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
