"""Every known theorem has its numerical experiment, reports cite those that apply, and conflicts are flagged."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.special import expit
from scipy.stats import binom

import annosim as an
from annosim.errors import ArgumentError, NotIdentifiedError
from annosim.identifiability import identification as verb
from annosim.identifiability import theorems
from annosim.identifiability.families import taste_distance
from annosim.identifiability.theorems import THEOREMS, Conclusion

ITEMS = an.Items.normal(6, 2, seed=0)
DRAW = np.random.Generator(np.random.Philox(7)).normal(size=(3, 8))


def tables(n, k, weights=None):
    return an.Mixture([an.Annotator(an.Tabular(row[:n]), an.Luce()) for row in DRAW[:k]], weights)


def linear(*tastes, weights=None, rule=an.Luce):
    return an.Mixture([an.Annotator(an.Linear(b), rule()) for b in tastes], weights=weights)


def slates(n, sizes):
    most = max(sizes)
    menus = [list(c) + [-1] * (most - s) for s in sizes for c in combinations(range(n), s)]
    return an.Design(an.Items(n=n), menus=menus)


def relation(n, kinds, design):
    """Rank and a linear relation of the laws of 2k types in which one item has odds e and all others are alike."""
    odds = np.geomspace(0.05, 20.0, 2 * kinds)
    types = [an.Annotator(an.Tabular(np.r_[np.log(e), np.zeros(n - 1)]), an.Luce()) for e in odds]
    laws = np.stack([an.law(t, design).probabilities for t in types])
    _, s, vt = np.linalg.svd(laws.T, full_matrices=False)
    return types, int((s > 1e-12 * s[0]).sum()), vt[-1]


def collision(n, kinds, design):
    """Two populations of k types with one law, from a relation with k positive and k negative coefficients."""
    types, rank, c = relation(n, kinds, design)
    assert rank < 2 * kinds and (c > 0).sum() == kinds
    one, two = (
        an.Mixture([types[i] for i in at], np.abs(c[at]) / np.abs(c[at]).sum())
        for at in (np.flatnonzero(c > 0), np.flatnonzero(c < 0))
    )
    assert an.information.law_distance(one, two, design) < 1e-14


# ---- one experiment each -----------------------------------------------------------------------------------------


def ford():
    for seed in range(12):
        draw = np.random.Generator(np.random.Philox(seed))
        pairs = np.stack([draw.permutation(4)[:2] for _ in range(9)])
        wins = np.zeros((4, 4))
        np.add.at(wins, (pairs[:, 0], pairs[:, 1]), 1)
        data = an.PreferenceData(an.Items(n=4), menu=pairs, answer=np.zeros(9, dtype=int))
        try:
            an.fit(an.Annotator(an.Tabular(4), an.Luce()), data)
            exists = True
        except NotIdentifiedError:
            exists = False
        assert exists == theorems.win_graph(wins)


def plackett_luce():
    ranking = lambda n: an.Design(an.Items(n=n), menus=[list(range(n))], feedback="ranking")  # noqa: E731
    assert theorems.plackett_luce_mixtures(2, 3).kind == "collides"
    collision(3, 2, ranking(3))
    assert theorems.plackett_luce_mixtures(2, 4).kind == "identified"
    assert relation(4, 2, ranking(4))[1] == 4  # the same construction finds no relation any more


def partial_orders():
    assert theorems.structured_partial_orders(2, 4, choices=(2, 3)).kind == "collides"
    collision(4, 2, slates(4, (2, 3)))
    assert theorems.structured_partial_orders(2, 4, choices=(2, 3, 4)).kind == "identified"
    assert relation(4, 2, slates(4, (2, 3, 4)))[1] == 4


def uniform_mnl():
    half = an.fixed([0.5, 0.5])
    pairs, both = (an.identify(tables(3, 2, half), slates(3, sizes), starts=3) for sizes in ((2,), (2, 3)))
    assert theorems.uniform_two_mnl({2}).kind == "collides" and pairs.twin is not None
    assert theorems.uniform_two_mnl({2, 3}).kind == "identified" and (both.rank, both.twin) == (4, None)


def bradley_terry():
    for n, kind, rank in ((4, "not identified", 6), (5, "generic", 9)):
        assert theorems.two_bradley_terry("pairs", n).kind == kind
        assert an.identify(tables(n, 2, [0.6, 0.4]), an.Design(an.Items(n=n)), starts=0).rank == rank


def grouped():
    for kinds in (2, 3):
        people = an.Mixture([an.Annotator(an.Tabular([0.0, g]), an.Luce()) for g in (-1.3, 0.4, 2.2)[:kinds]])
        full = [
            an.identify(people, an.Design(an.Items(n=2), questions=q), starts=0) for q in (2 * kinds - 2, 2 * kinds - 1)
        ]
        assert [r.rank == r.num_parameters for r in full] == [False, True]
    assert theorems.grouped_samples(3, 5).kind == "identified" and theorems.grouped_samples(3, 4).kind == "unknown"


def odd_part():
    """Directions of pairs without a nonzero tanh-moment come apart only where the reflection overlaps."""
    here = linear([1.0, 0.3], [0.0, 0.0], weights=[0.7, 0.3])
    tastes, weights = theorems.odd_part_twin(np.array([1.0, 0.3]), 0.7)
    twin = linear(*tastes, weights=weights)
    assert an.information.law_distance(here, twin, an.Design(ITEMS)) < 1e-15
    assert an.information.law_distance(here, twin, an.Design(ITEMS, menu_size=3)) > 1e-3
    assert taste_distance(here, twin, ITEMS) > 0.1


def from_pairs():
    """On a rich design (many pairs), the antipodal have twins and the others none."""
    rich = an.Design(an.Items.normal(12, 2, seed=1))
    for second, kind, twin in (([-1.0, -0.3], "not identified", True), ([-0.4, 0.9], "identified", False)):
        tastes = np.array([[1.0, 0.3], second])
        assert theorems.tastes_from_pairs(tastes, np.array([0.6, 0.4])).kind == kind
        assert (an.identify(linear(*tastes, weights=[0.6, 0.4]), rich, starts=2).twin is not None) == twin


def slate():
    items = an.Items(features=[[1.0], [0.0], [0.0]])
    split = linear([1.0], [-1.0], weights=[0.5, 0.5])
    p = an.law(split, an.Design(items, menus=[[0, 1, 2]])).probabilities
    assert float(p[0]) == pytest.approx(theorems.duplicated_slate(1.0), abs=1e-15)
    assert theorems.duplicated_slate(1.0) != pytest.approx(1 / 3, abs=0.01)  # what the indifferent answer


def same_annotator():
    items = an.Items(features=[[1.0], [0.0], [-0.5]])
    design = an.Design(items, menus=[[0, 1], [0, 2]], questions="all")
    for tastes in ([[2.0], [-2.0]], [[0.0], [0.0]]):
        p = an.law(linear(*tastes, weights=[0.5, 0.5]), design).probabilities
        said = theorems.same_annotator_pairs(np.array(tastes), np.full(2, 0.5), np.array([1.0]), np.array([1.5]))
        assert float(p[0]) == pytest.approx(said, abs=1e-15)


def ties():
    items = an.Items(features=[[1.0], [0.0]])
    for tastes in ([[2.0], [-2.0]], [[0.0], [0.0]]):
        tied = linear(*tastes, weights=[0.5, 0.5], rule=lambda: an.rules.RaoKupper(1.7))
        exact = an.law(tied, an.Design(items, menus=[[0, 1]]))
        share = exact.probabilities[exact.space.tied[:, 0]].sum()
        said = theorems.tie_share(np.array(tastes), np.full(2, 0.5), np.array([1.0]), 1.7)
        assert float(share) == pytest.approx(said, abs=1e-14)


def probit():
    flat = an.Tabular(np.zeros(3))
    for covariance in (np.eye(3), np.array([[1.0, 0.6, 0.0], [0.6, 1.2, 0.1], [0.0, 0.1, 0.8]])):
        people = an.Annotator(flat, an.Thurstone(covariance=covariance))
        first, second = np.array([1, -1, 0]), np.array([1, 0, -1])
        rho = first @ covariance @ second / math.sqrt(first @ covariance @ first * (second @ covariance @ second))
        p = an.law(people, an.Design(an.Items(n=3), menus=[[0, 1, 2]])).probabilities
        assert float(p[0]) == pytest.approx(theorems.probit_best_of_three(rho), abs=1e-8)
        pair = an.law(people, an.Design(an.Items(n=3), menus=[[0, 1]])).probabilities
        assert pair.tolist() == pytest.approx([0.5, 0.5], abs=1e-12)


def borda():
    """Most like item 0 a little better than item 1, a few hate it: Borda's order is not that of the mean utility."""
    people = an.Mixture(
        [an.Annotator(an.Tabular(u), an.Luce()) for u in ([2.0, 1.0, 0.0], [-9.0, 1.0, 0.0])], [0.7, 0.3]
    )
    design = an.Design(an.Items(n=3))
    fitted = an.project(an.Annotator(an.Tabular(3), an.Luce()), people, design).population
    order = np.argsort(-fitted.utility.values.detach().numpy(), kind="stable")
    exact = an.law(people, design)
    share = np.full((3, 3), 0.5)
    for (i, j), p in zip(exact.menu.tolist(), exact.question(0).exp().detach().numpy().transpose(1, 0, 2), strict=True):
        share[i, j] = np.array([0.7, 0.3]) @ p[:, 0]
    mean = np.array([0.7 * 2 - 0.3 * 9, 1.0, 0.0])
    assert order.tolist() == theorems.borda_order(share).tolist() != np.argsort(-mean).tolist()


def distortion():
    """Two items and two groups: the bound is never passed and is approached."""
    draw = np.random.Generator(np.random.Philox(3))
    for b in (1.0, 2.0, 5.0):
        bound = theorems.maximal_lottery_distortion(b)
        assert bound == pytest.approx(b / 2 * (1 + math.exp(-b)) / (1 - math.exp(-b)), abs=1e-12)
        for _ in range(200):
            u, w = draw.random((4, 2)), draw.dirichlet(np.ones(4))
            majority = w @ expit(b * (u[:, 0] - u[:, 1])) > 0.5
            mean = w @ u
            assert mean.max() / mean[0 if majority else 1] <= bound + 1e-12
        gap = 1e-4  # many prefer item 0 by next to nothing, few prefer item 1 by all
        w = math.tanh(b / 2) / (math.tanh(b / 2) + math.tanh(b * gap / 2))
        assert (1 - w) / (w * gap) == pytest.approx(bound, rel=1e-6)


def clones():
    """Copies of an item move the one reward fitted to people who disagree; weighted by Voronoi cells they do not."""
    utilities = np.array([[2.0, 0.0, 1.2], [-1.5, 0.5, 0.3]])
    positions = np.array([[0.0], [1.0], [2.0]])
    sample = np.array([[0.0], [1.0], [2.0]])

    def fitted(copies, weighted):
        at = [0, *([1] * copies), 2]
        weights = theorems.voronoi_weights(positions[at], sample) if weighted else np.full(len(at), 1 / len(at))
        people = an.Mixture([an.Annotator(an.Tabular(u[at]), an.Luce()) for u in utilities], [0.6, 0.4])
        design = an.Design(an.Items(n=len(at)), proposal=weights)
        values = an.project(an.Annotator(an.Tabular(len(at)), an.Luce()), people, design).population.utility.values
        return float((values[0] - values[-1]).detach())

    assert fitted(1, True) == pytest.approx(fitted(1, False), abs=1e-9)
    assert fitted(4, True) == pytest.approx(fitted(1, True), abs=1e-7)
    assert abs(fitted(4, False) - fitted(1, False)) > 0.01


def calibration():
    for k in (1, 4, 25):
        error = [((np.arange(k + 1) / k - p) ** 2) @ binom.pmf(np.arange(k + 1), k, p) for p in np.linspace(0, 1, 41)]
        assert max(error) == pytest.approx(theorems.pairwise_calibration_error(k), abs=1e-12)


def max_min():
    u = np.array([[1.0, 0.0, 0.55], [0.1, 0.9, 0.45]])
    value, policy = theorems.max_min_policy(u)
    side = np.linspace(0, 1, 201)
    grid = np.array([[a, b, 1 - a - b] for a in side for b in side if a + b <= 1 + 1e-12])
    assert value >= (grid @ u.T).min(1).max() - 1e-12 and value == pytest.approx((u @ policy).min(), abs=1e-9)
    for weight in side:  # the best item of any pooled reward serves the worst group no better
        assert u[:, int((np.array([weight, 1 - weight]) @ u).argmax())].min() <= value + 1e-12


def best_of_n():
    for n in (2, 4, 16):
        for size in (3, 50, 400):
            mass = np.full(size, 1 / size)
            cdf = np.r_[0.0, mass.cumsum()]
            best = cdf[1:] ** n - cdf[:-1] ** n  # items in increasing order of utility
            kl = float(best @ np.log(best / mass))
            assert kl <= theorems.best_of_n_kl(n) + 1e-12
        assert kl == pytest.approx(theorems.best_of_n_kl(n), abs=0.05)


def over_optimisation():
    """Best of n draws of a normal proxy: its mean against d = sqrt(KL) follows d (alpha - beta d) to 3 per cent."""
    x = np.linspace(-9, 9, 20_001)
    cdf = 0.5 * (1 + torch.erf(torch.as_tensor(x) / math.sqrt(2))).numpy()
    n = np.array([2, 4, 8, 16, 32, 64, 128, 256])
    score = np.array([np.trapezoid(x * np.gradient(cdf**k, x), x) for k in n])
    d = np.sqrt([theorems.best_of_n_kl(int(k)) for k in n])
    alpha, minus_beta = np.linalg.lstsq(np.stack([d, d**2], 1), score, rcond=None)[0]
    said = theorems.over_optimisation(d, alpha, -minus_beta)
    assert np.abs(said / score - 1).max() < 0.03 and alpha > 1


EXPERIMENTS = {
    "win_graph": ford,
    "plackett_luce_mixtures": plackett_luce,
    "structured_partial_orders": partial_orders,
    "uniform_two_mnl": uniform_mnl,
    "two_bradley_terry": bradley_terry,
    "grouped_samples": grouped,
    "tastes_from_pairs": from_pairs,
    "odd_part_twin": odd_part,
    "duplicated_slate": slate,
    "same_annotator_pairs": same_annotator,
    "tie_share": ties,
    "probit_best_of_three": probit,
    "borda_order": borda,
    "maximal_lottery_distortion": distortion,
    "voronoi_weights": clones,
    "pairwise_calibration_error": calibration,
    "max_min_policy": max_min,
    "best_of_n_kl": best_of_n,
    "over_optimisation": over_optimisation,
}


@pytest.mark.parametrize("name", list(THEOREMS))
def test_a_theorem_has_its_experiment(name):
    theorem = THEOREMS[name]
    assert theorem.statement and theorem.conditions and theorem.source and theorem.name == name
    EXPERIMENTS[name]()


# ---- citations and conflicts -------------------------------------------------------------------------------------

PAIRS, THREE = an.Design(ITEMS), an.Design(ITEMS, menu_size=3)
TWO = ([1.0, 0.3], [-0.5, 0.8])
CITED = {
    "Luce 1959": (lambda: an.Annotator(an.Linear(TWO[0]), an.Luce()), PAIRS),
    "Ford 1957; Hunter": (
        lambda: an.Annotator(an.Tabular(4), an.Luce()),
        an.Design(an.Items(n=4), menus=[[0, 1], [2, 3]]),
    ),
    "Zhao, Piech, Xia": (lambda: tables(4, 2), an.Design(an.Items(n=4), menu_size=4, feedback="ranking")),
    "Zhao, Xia 2019": (lambda: tables(4, 2), slates(4, (2, 3, 4))),
    "Chierichetti": (lambda: tables(3, 2, an.fixed([0.5, 0.5])), slates(3, (2, 3))),
    "Zhang, Zhang, Loh": (lambda: tables(5, 2), an.Design(an.Items(n=5))),
    "counting": (lambda: tables(4, 2), an.Design(an.Items(n=4))),
    "Vandermeulen": (lambda: linear(*TWO), an.Design(ITEMS, questions=3)),
    "T1": (lambda: linear(*TWO), PAIRS),
    "T2": (lambda: linear(*TWO), THREE),
    "T3": (lambda: linear(*TWO), an.Design(ITEMS, questions=2)),
    "T4": (lambda: linear(*TWO, rule=lambda: an.rules.RaoKupper(1.7)), PAIRS),
    "Siththaranjan": (lambda: linear(*TWO), PAIRS),
    "Cherapanamjeri": (
        lambda: an.Annotator(an.Tabular(3), an.Thurstone(covariance=np.eye(3) + 0.3)),
        an.Design(an.Items(n=3)),
    ),
}


@pytest.mark.parametrize("source", CITED)
def test_reports_cite_what_applies(source):
    people, design = CITED[source][0](), CITED[source][1]
    cited = an.identify(people, design, starts=0).theorems
    assert any(source in c.source for c in cited), [str(c) for c in cited]


def test_conditions_keep_a_theorem_from_being_cited():
    """No theorem of identification for equal types, a type of weight zero, or menus that leave some slates out."""
    same = an.Mixture([an.Annotator(an.Tabular(DRAW[0, :4]), an.Luce()) for _ in range(2)], [0.5, 0.5])
    ranking = an.Design(an.Items(n=4), menu_size=4, feedback="ranking")
    for people, design in (
        (same, ranking),
        (tables(4, 2, [1.0, 0.0]), ranking),
        (tables(4, 2, [1.0, 0.0]), slates(4, (2, 3, 4))),
        (tables(4, 2), an.Design(an.Items(n=4), menus=[[0, 1, 2, 3], [0, 1, 2, -1], [0, 1, -1, -1]])),
    ):
        for full in (True, False):
            assert all(c.kind != "identified" for c in theorems.applicable(people, design, full))


@pytest.mark.parametrize(
    "people, design, claim",
    [
        (linear([1.0, 0.3], [0.0, 0.0]), PAIRS, "identified"),  # a twin by reflection
        (linear([1.0, 0.3], [-1.0, -0.3]), PAIRS, "identified"),  # a curve
        (linear(*TWO), THREE, "not identified"),  # full rank
    ],
)
def test_a_conflict_with_theory_is_flagged_and_nothing_is_chosen(people, design, claim, monkeypatch):
    monkeypatch.setattr(verb, "applicable", lambda *a: [Conclusion(claim, "a wrong theorem", "nobody")])
    report = an.identify(people, design, starts=0)
    assert report.verdict == "inconclusive" and report.exit_code == 4
    assert any("conflict" in reason and "nobody" in reason for reason in report.reasons)
    monkeypatch.setattr(verb, "applicable", lambda *a: [Conclusion(claim, "a wrong theorem", "nobody", freely=True)])
    assert an.identify(people, design, starts=0).verdict != "inconclusive"


def test_bad_input_is_one_line():
    for call in (
        lambda: theorems.two_bradley_terry("threes", 4),
        lambda: theorems.maximal_lottery_distortion(0),
        lambda: theorems.tie_share(np.ones((1, 1)), np.ones(1), np.ones(1), 1.0),
        lambda: theorems.voronoi_weights(np.ones(3), np.ones(3)),
        lambda: theorems.max_min_policy([[np.nan]]),
    ):
        with pytest.raises(ArgumentError) as error:
            call()
        assert "\n" not in str(error.value)
