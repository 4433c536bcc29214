"""T1 - T5: twins that pairs cannot tell apart, where they come apart, and what a finite design leaves open."""

from __future__ import annotations

import math

import numpy as np
import torch

import annosim as an

PLANE = an.Items.normal(8, 2, seed=0)
B = [1.0, 0.3]


def types(atoms, weights, rule=None):
    """Types with linear utilities."""
    make = rule or an.Luce
    return an.Mixture([an.Annotator(an.Linear([float(v) for v in b]), make()) for b in atoms], weights=list(weights))


def scaled(b, s):
    """``s`` times ``b``."""
    return [s * v for v in b]


def pair_of_worlds(name, scale=1.0):
    """Two populations with the same law of single pairs."""
    b = scaled(B, scale)
    if name == "indifferent":
        return types([b, scaled(b, -1)], [0.5, 0.5]), types([[0.0, 0.0]] * 2, [0.5, 0.5])
    if name == "majority kept":
        many = scaled([0.2, 1.2], scale)
        one, two = scaled([1.6, -0.3], scale), scaled([0.2, 0.9], scale)
        return tuple(types([many, c, scaled(c, -1)], [0.5, 0.25, 0.25]) for c in (one, two))
    if name == "one type without preferences":
        return types([b, [0.0, 0.0]], [0.6, 0.4]), types([b, scaled(b, -1)], [0.8, 0.2])
    return types([b, scaled(b, -1)], [0.7, 0.3]), types([b, [0.0, 0.0]], [0.4, 0.6])  # "unequal antipodes"


WITNESSES = ("indifferent", "majority kept", "one type without preferences", "unequal antipodes")


def witness(name, scale):
    """Law distances of the two worlds under single pairs, two pairs by one annotator, and best of three."""
    here, there = pair_of_worlds(name, scale)
    pairs = an.Design(PLANE)
    tied = tuple(
        an.Mixture([an.Annotator(t.utility, an.rules.RaoKupper(1.8)) for t in p.types], p.weights.detach())
        for p in (here, there)
    )
    biased = tuple(
        an.Mixture([an.Annotator(t.utility, an.PositionBias(an.Luce(), 0.5)) for t in p.types], p.weights.detach())
        for p in (here, there)
    )
    triple = _largest_gap(here, there)
    return {
        "pairs": an.information.law_distance(here, there, pairs),
        "best_of_three": an.information.law_distance(here, there, an.Design(PLANE, menu_size=3)),
        "two_pairs": an.information.law_distance(here, there, an.Design(PLANE, questions=2)),
        "ties": an.information.law_distance(*tied, pairs),
        "position_bias": an.information.law_distance(*biased, pairs),
        "slate_gap": triple[0],
        "slate": triple[1],
    }


def _largest_gap(here, there):
    """The best-of-three slate on which one answer's probabilities differ most."""
    design = an.Design(PLANE, menu_size=3)
    p, q = (an.law(w, design).given_menus.marginal().detach() for w in (here, there))
    at = (p - q).abs().argmax()
    menu = an.law(here, design).menu[int(at) // 3].tolist()
    return float((p - q).abs().max()), str(menu)


def duplicated(scale):
    """``P(a)`` on the slate {a, b, b'} with phi(b) = phi(b'), phi(a) - phi(b) = 1, tastes ``+-scale``."""
    items = an.Items(features=[[1.0], [0.0], [0.0]])
    people = types([[scale], [-scale]], [0.5, 0.5])
    design = an.Design(items, menus=[[0, 1, 2]])
    return {"probability": float(an.law(people, design).probabilities[0])}


CASES = {
    "T1 antipodal": (lambda: types([B, scaled(B, -1)], [0.5, 0.5]), {}),
    "T1 unequal antipodes": (lambda: types([B, scaled(B, -1)], [0.7, 0.3]), {}),
    "T1 one without preferences": (lambda: types([B, [0.0, 0.0]], [0.7, 0.3]), {}),
    "T1 general": (lambda: types([B, [-0.4, 0.9]], [0.7, 0.3]), {}),
    "T2 antipodal": (lambda: types([B, scaled(B, -1)], [0.5, 0.5]), {"menu_size": 3}),
    "T2 one without preferences": (lambda: types([B, [0.0, 0.0]], [0.7, 0.3]), {"menu_size": 3}),
    "T3 antipodal": (lambda: types([B, scaled(B, -1)], [0.5, 0.5]), {"questions": 2}),
    "T3 one without preferences": (lambda: types([B, [0.0, 0.0]], [0.7, 0.3]), {"questions": 2}),
    "T4 ties, antipodal": (lambda: types([B, scaled(B, -1)], [0.5, 0.5], lambda: an.rules.RaoKupper(1.8)), {}),
    "T4 position bias, antipodal": (
        lambda: types([B, scaled(B, -1)], [0.5, 0.5], lambda: an.PositionBias(an.Luce(), 0.5)),
        {},
    ),
}


def asked(case, starts):
    """What ``identify`` says of a case of T1 - T4."""
    make, design = CASES[case]
    return _summary(an.identify(make(), an.Design(PLANE, **design), starts=starts))


def _summary(report):
    return {
        "verdict": report.verdict,
        "rank": report.rank,
        "of": report.num_parameters,
        "twin": report.twin is not None,
        "law_distance": math.nan if report.law_distance is None else report.law_distance,
        "smallest": report.gap[0],
        "report": repr(report),
    }


def tables(n, answers, starts):
    """T5: two types with free utilities of n items."""
    draw = np.random.Generator(np.random.Philox(17)).normal(size=(2, 6))
    people = an.Mixture([an.Annotator(an.Tabular(u[:n]), an.Luce()) for u in draw], weights=[0.6, 0.4])
    more = {"pairs": {}, "best of three": {"menu_size": 3}, "rankings": {"menu_size": n, "feedback": "ranking"}}[
        answers
    ]
    return _summary(an.identify(people, an.Design(an.Items(n=n), **more), starts=starts))


def normal_tastes(mean=0.45, sd=1.0, points=161):
    """A normal distribution of tastes on a line: share(beta > 0) = .674."""
    grid = np.linspace(-4, 4, points)
    weight = np.exp(-0.5 * ((grid - mean) / sd) ** 2)
    people = an.Mixture(
        [an.Annotator(an.Linear([b]), an.Luce()) for b in grid], weights=an.fixed(weight / weight.sum())
    )
    return grid, people


def shares(n, answers, questions, points):
    """Bounds on share(beta > 0) over all distributions of tastes with the same law, by the number of items."""
    grid, people = normal_tastes(points=points)
    items = an.Items.normal(n, 1, seed=2)
    order = items.features[:, 0].argsort()
    positive = an.identifiability.share_preferring(
        int(order[-1]), int(order[0])
    )  # one prefers the larger feature iff beta > 0
    design = an.Design(items, menu_size={"pairs": 2, "best of three": 3}[answers], questions=questions)
    report = an.identify(people, design, among=an.any_tastes(grid), functional=positive)
    found = next(iter(report.functionals.values()))
    return {"low": found.low, "high": found.high, "share": float(found.value[0]), "width": found.high - found.low}


def curves(scales, slates):
    """For the figure: probability of the lone item on {a, b, b'} against the scale of the tastes."""
    del slates
    t = torch.tensor(scales, dtype=torch.float64)
    two = 0.5 * (torch.sigmoid(t - math.log(2)) + torch.sigmoid(-t - math.log(2)))
    return {"scale": np.array(scales), "probability": two.numpy()}
