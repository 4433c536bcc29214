"""What answers can tell, defined once: fit, align, compare and identify count, name and measure by it alike."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as hs

import annosim as an
from annosim.checks import strategies as st
from annosim.coordinates import (
    align_types,
    best_naming,
    identifiable_coordinates,
    num_identifiable,
    population_distance,
    renamed,
)

ITEMS = an.Items.normal(4, 2, seed=0)
U = [0.0, 1.0, -0.5, 2.0]
LOW_RANK = an.populations.LowRank([0.0, 1.0, 2.0, 3.0], [[1.0, 0.0], [0.3, 1.0], [1.0, 1.0], [0.2, 0.7]], an.Luce())


def table(rule, values=U):
    return an.Annotator(an.Tabular(values), rule)


def two(first, second, weights=(0.6, 0.4), rule=None):
    return an.Mixture([table(rule or an.Luce(), u) for u in (first, second)], list(weights))


def count(population, items=ITEMS):
    """Both ways to count: component by component, and on all coordinates at once."""
    assert num_identifiable(population, items) == identifiable_coordinates(population, items).num_parameters
    return num_identifiable(population, items)


# ---- counts ------------------------------------------------------------------------------------------------------

free = an.free
CUTS = an.rules.OrderedLogit(free([-1.0, 1.0]))
COUNTS = {  # name -> (population, numbers that answers can tell), each by hand: four items
    "a table": (table(an.Luce()), 3),
    "its scale is no number of its own": (table(an.Luce(free(2.0))), 3),
    "nor is a factor": (table(an.rules.Scaled(an.Luce(), free(2.0))), 3),
    "nor the noise of a probit": (table(an.Thurstone(free(2.0))), 3),
    "nor the f of a PBDE": (table(an.PBDE(free(2.0))), 3),
    "nor a bias on an attribute beside a table": (
        table(an.rules.AttributeBias(an.Luce(), free(0.2), [1.0, 2.0, 3.0, 9.0])),
        3,
    ),
    "but beside a linear utility it is": (
        an.Annotator(an.Linear([1.0, 2.0]), an.rules.AttributeBias(an.Luce(), free(0.2), [1.0, 2.0, 3.0, 9.0])),
        3,
    ),
    "a lapse rate": (table(an.Lapse(an.Luce(), free(0.1))), 4),
    "two lapses, of which only the product shows": (table(an.Lapse(an.Lapse(an.Luce(), free(0.1)), free(0.2))), 4),
    "a position bias": (table(an.PositionBias(an.Luce(), free(0.3))), 4),
    "one number a position, up to a common one": (table(an.PositionBias(an.Luce(), free([0.3, 0.1, 0.0]))), 5),
    "ties of two orders": (table(an.Davidson(free([0.5, 0.2]))), 5),
    "grades fix the level": (table(an.rules.OrderedLogit([-1.0, 1.0])), 4),
    "free cuts move with the level": (table(CUTS), 5),
    "and with the scale": (table(an.rules.OrderedLogit(free([-1.0, 1.0]), temperature=free(2.0))), 5),
    "cycles beside a table: all six pairs": (table(an.rules.Cyclic(an.Luce(), free([0.1] * 6))), 6),
    "fatigue": (table(an.rules.Fatigue(an.Luce(), free(0.1))), 4),
    "carry-over": (table(an.rules.Carryover(an.Luce(), free(0.1))), 4),
    "a skill for each of seven people": (table(an.rules.Reliability(an.Luce(), free([0.1] * 7))), 10),
    "two types and a share": (two(U, [1.0, 0.0, 0.0, 0.0]), 7),
    "known shares": (an.Mixture(list(two(U, [1.0, 0.0, 0.0, 0.0]).types), an.fixed([0.5, 0.5])), 6),
    "three types, nested": (an.Mixture([two(U, [1.0, 0.0, 0.0, 0.0]), table(an.Luce(), [0.0, 5.0, 1.0, 1.0])]), 11),
    "normal coefficients": (an.RandomCoefficients([1.0, 0.0], [0.5, 1.0], an.Luce(), lower=[0.3]), 5),
    "log-normal ones": (an.RandomCoefficients([0.1, 0.0], [0.5, 1.0], an.Luce(), distribution="lognormal"), 4),
    "two hidden directions, up to a rotation": (LOW_RANK, 3 + 2 * 3 - 1),
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_those_by_hand(name):
    population, expected = COUNTS[name]
    assert count(population) == expected


def test_two_items_tell_the_mean_and_the_variance_of_normal_tastes():
    people = an.RandomCoefficients([1.0, 0.5], [0.5, 1.0], an.Luce())
    assert count(people, an.Items.normal(2, 2)) == 2
    report = an.identify(people, an.Design(an.Items.normal(2, 2)), starts=2)
    assert report.verdict == "not_identified" and report.law_distance < 1e-10  # one probability, two numbers


def test_a_rotation_of_tastes_is_a_normalisation():
    design = an.Design(an.Items(n=4), menu_size=4, feedback="ranking")
    report = an.identify(LOW_RANK, design, starts=0)
    assert report.rank == report.num_parameters == 8 and any("rotation" in words for words in report.normalisations)
    few = an.populations.LowRank(LOW_RANK.mean.tolist(), LOW_RANK.loadings.tolist(), an.Luce(), points=6)
    fit = an.fit(
        few, an.simulate(few, an.Design(an.Items(n=4), annotators=60), seed=0), solver=an.LBFGS(max_iterations=20)
    )
    assert fit.bic == pytest.approx(8 * np.log(60) - 2 * fit.log_likelihood)


def test_free_cuts_and_the_level_of_utilities_are_one_normalisation():
    report = an.identify(table(CUTS), an.Design(ITEMS, menu_size=1, feedback="rating", grades=3), starts=2)
    assert report.verdict == "locally_identified" and report.rank == report.num_parameters == 5
    assert any("common level" in words for words in report.normalisations)


def test_clusters_share_what_can_be_told():
    items = an.Items(n=4, clusters=[0, 0, 1, 1])
    rule = an.rules.SeesClusters(an.Luce())
    assert count(table(rule), items) == 1
    data = an.simulate(table(rule), an.Design(items, annotators=200, questions=5), seed=3)
    found = an.choose_types(lambda k: an.Mixture([table(rule) for _ in range(k)]), data, ks=(1, 2), folds=0)
    assert found.num_parameters.tolist() == [1, 3] and found.best == 1


@pytest.mark.parametrize("covariates", [1, 2, 3])
def test_gates_count_with_the_rank_of_their_covariates(covariates):
    """One in three columns repeats another: only two directions of a gate of three covariates can be told."""
    z = np.linspace(-1.0, 1.0, 9)
    columns = np.stack([np.ones(9), z, 2.0 * z - 1.0], 1)[:, :covariates]
    gated = an.Gated(list(two(U, [1.0, 0.0, 0.0, 0.0]).types), covariates=columns)
    assert count(gated) == 6 + min(covariates, 2)
    report = an.identify(gated, an.Design(ITEMS, menu_size=4, feedback="ranking"), starts=0)
    assert report.rank == report.num_parameters == count(gated)


def test_information_on_a_gate_is_that_of_a_logistic_regression_where_types_are_plain():
    """Types that always answer alike: the type is seen, and the information on the gate is E p (1 - p) x^2."""
    sure = [an.Annotator(an.Tabular(an.fixed([0.0, s])), an.Luce(1e-2)) for s in (1.0, -1.0)]
    gated = an.Gated(sure, covariates=[[1.0], [-2.0], [0.5]], gate=[[0.7]])
    x = np.array([1.0, -2.0, 0.5])
    p = 1 / (1 + np.exp(-0.7 * x))
    for method in ("exact", "simulate"):
        found = an.information.fisher_information(gated, an.Design(an.Items(n=2)), method=method).matrix
        assert float(found[0, 0]) == pytest.approx((p * (1 - p) * x**2).mean(), rel=1e-9 if method == "exact" else 0.03)


@settings(max_examples=12)
@given(st.free_populations(ITEMS))
def test_fit_and_identify_count_alike(drawn):
    population, feedback = drawn
    design = an.Design(ITEMS, menu_size=2, feedback=feedback)
    assert an.identify(population, design, starts=0).num_parameters == count(population)


@pytest.mark.parametrize("unit", [1e9, 1e-9])
@pytest.mark.parametrize(
    "make",
    [
        lambda w: an.Annotator(an.Linear(w), an.Lapse(an.Luce(), free(0.1))),
        lambda w: an.Annotator(an.Linear(w), an.rules.OrderedLogit(free([-1.0, 1.0]))),
        lambda w: an.Mixture([an.Annotator(an.Linear(v), an.Luce()) for v in (w, w[::-1] * w / w[::-1] * 2)]),
        lambda w: an.RandomCoefficients(w, np.abs(w) / 2, an.Luce()),
    ],
    ids=["lapses", "ratings", "mixture", "random coefficients"],
)
def test_units_of_features_do_not_matter(make, unit):
    x, w = ITEMS.features.numpy(), np.array([0.3, -1.0])
    other = an.Items(features=x * [unit, 1.0])
    assert count(make(w / [unit, 1.0]), other) == count(make(w)) > 2


@settings(max_examples=20)
@given(st.numbers(-3, 3), st.numbers(-3, 3))
def test_other_linear_combinations_of_features_count_alike(a, b):
    turn = np.array([[1.0, a], [0.0, 1.0]]) @ np.array([[1.0, 0.0], [b, 1.0]])
    people = an.Annotator(an.Linear([0.3, 1.0]), an.Lapse(an.Luce(), free(0.1)))
    assert count(people, an.Items(features=ITEMS.features.numpy() @ turn)) == count(people) == 3


def test_a_feature_in_large_units_keeps_its_rank():
    items = an.Items(features=ITEMS.features.numpy() * [1e9, 1.0])
    people = an.Annotator(an.Linear([1e-9, 1.0]), an.Luce())
    report = an.identify(people, an.Design(items))
    assert report.verdict == "identified" and report.rank == report.num_parameters == 2


def test_a_constant_feature_is_rounding_and_no_number():
    x = np.column_stack([np.full(7, 0.1), np.arange(7.0)])
    assert count(an.Annotator(an.Linear(2), an.Luce()), an.Items(features=x)) == 1


# ---- distance ----------------------------------------------------------------------------------------------------


def test_distance_is_that_of_the_formula():
    """Plain Luce types: mean square over items of the centred index, and the squared gap of the shares."""
    a, b = two(U, [1.0, 0.0, 0.0, 0.0], (0.7, 0.3)), two([0.0, 1.0, 0.0, 2.0], [2.0, 0.0, 0.0, 0.0], (0.5, 0.5))
    centre = lambda u: np.array(u) - np.mean(u)  # noqa: E731
    gaps = [centre(U) - centre([0.0, 1.0, 0.0, 2.0]), centre([1.0, 0, 0, 0]) - centre([2.0, 0, 0, 0])]
    expected = sum((gap**2).mean() for gap in gaps) + 2 * 0.2**2
    assert population_distance(a, b, ITEMS) == pytest.approx(expected**0.5, abs=1e-12)


def test_distance_of_spreads_is_that_of_standard_deviations():
    a, b = (an.RandomCoefficients([1.0], [s], an.Luce()) for s in (0.5, 1.5))
    items = an.Items(features=[[0.0], [1.0]])
    # the index of two items is normal along (-1/2, 1/2), with standard deviation s / sqrt 2
    assert population_distance(a, b, items) == pytest.approx(1.0 / 2**0.5 / 2**0.5)


TURN = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
SAME = {  # what no answers could tell apart
    "level": (table(an.Luce()), table(an.Luce(), [v + 3 for v in U])),
    "scale": (table(an.rules.Scaled(an.Luce(), 2.0)), table(an.Luce(), [2 * v for v in U])),
    "temperature": (table(an.Luce(0.5)), table(an.Luce(), [2 * v for v in U])),
    "level and cuts": (
        table(an.rules.OrderedLogit([-1.0, 1.0])),
        table(an.rules.OrderedLogit([2.0, 4.0]), [v + 3 for v in U]),
    ),
    "rotation": (
        LOW_RANK,
        an.populations.LowRank(LOW_RANK.mean.tolist(), (LOW_RANK.loadings.detach() @ TURN).tolist(), an.Luce()),
    ),
    "names": (two(U, [1.0, 0.0, 0.0, 0.0]), two([1.0, 0.0, 0.0, 0.0], U, (0.4, 0.6))),
    "nesting": (
        an.Mixture([two(U, [1.0, 0.0, 0.0, 0.0], (0.5, 0.5)), table(an.Luce(), [0.0, 0.0, 4.0, 0.0])], [0.6, 0.4]),
        an.Mixture([table(an.Luce(), u) for u in ([0.0, 0.0, 4.0, 0.0], U, [1.0, 0.0, 0.0, 0.0])], [0.4, 0.3, 0.3]),
    ),
    "gates": (
        an.Gated(list(two(U, [1.0, 0.0, 0.0, 0.0]).types), [[1.0], [-2.0]], [[0.7]]),
        an.Gated(list(two([1.0, 0.0, 0.0, 0.0], U).types), [[1.0], [-2.0]], [[-0.7]]),
    ),
    "lapses": (table(an.Lapse(an.Lapse(an.Luce(), 0.1), 0.2)), table(an.Lapse(an.Luce(), 1 - 0.9 * 0.8))),
    "a rule by another name": (table(an.Luce()), table(an.PBDE(1.0))),
    "the gradient of a cycle": (
        table(an.rules.Cyclic(an.Luce(), [1.0, 0.5, 2.0, -0.5, 1.0, 1.5])),  # terms u_i - u_j of u = (1, 0, .5, -1)
        table(an.Luce(), [v + w for v, w in zip(U, [1.0, 0.0, 0.5, -1.0], strict=True)]),
    ),
}
OTHER = {  # what answers could tell apart
    "lapse rate": (table(an.Lapse(an.Luce(), 0.1)), table(an.Lapse(an.Luce(), 0.2))),
    "a lapse": (table(an.Luce()), table(an.Lapse(an.Luce(), 0.1))),
    "level of ratings": (
        table(an.rules.OrderedLogit([-1.0, 1.0])),
        table(an.rules.OrderedLogit([-1.0, 1.0]), [v + 0.5 for v in U]),
    ),
    "cuts": (table(an.rules.OrderedLogit([-1.0, 1.0])), table(an.rules.OrderedLogit([-1.0, 2.0]))),
    "spread": (
        an.RandomCoefficients([1.0, 0.0], [0.5, 1.0], an.Luce()),
        an.RandomCoefficients([1.0, 0.0], [0.5, 1.2], an.Luce()),
    ),
    "correlation": (
        an.RandomCoefficients([1.0, 0.0], [0.5, 1.0], an.Luce()),
        an.RandomCoefficients([1.0, 0.0], [0.5, 1.0], an.Luce(), lower=[0.3]),
    ),
    "no spread": (
        an.RandomCoefficients([1.0, 0.0], [0.5, 1.0], an.Luce()),
        an.Annotator(an.Linear([1.0, 0.0]), an.Luce()),
    ),
    "gate": (
        an.Gated(list(two(U, [1.0, 0.0, 0.0, 0.0]).types), [[1.0], [-1.0]], [[0.7]]),
        an.Gated(list(two(U, [1.0, 0.0, 0.0, 0.0]).types), [[1.0], [-1.0]], [[-0.7]]),
    ),
    "position bias": (table(an.PositionBias(an.Luce(), 0.1)), table(an.PositionBias(an.Luce(), 0.4))),
    "ties": (table(an.Davidson(0.5)), table(an.Davidson(1.0))),
    "skills": (table(an.rules.Reliability(an.Luce(), [0.0, 1.0])), table(an.rules.Reliability(an.Luce(), [1.0, 0.0]))),
    "carry-over": (table(an.rules.Carryover(an.Luce(), 0.1)), table(an.rules.Carryover(an.Luce(), 0.9))),
}


@pytest.mark.parametrize("name", SAME)
def test_what_no_answers_tell_apart_is_at_distance_zero(name):
    first, second = SAME[name]
    assert population_distance(first, second, ITEMS) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("name", OTHER)
def test_what_answers_tell_apart_is_not_at_distance_zero(name):
    first, second = OTHER[name]
    apart = population_distance(first, second, ITEMS)
    assert apart > 1e-2 and apart == pytest.approx(population_distance(second, first, ITEMS), abs=1e-12)


def test_compare_reports_that_distance():
    first, second = OTHER["lapse rate"]
    score = an.compare(first, second, an.Design(ITEMS))
    assert score.parameter_distance == population_distance(first, second, ITEMS) > 0


@settings(max_examples=15)
@given(st.free_populations(ITEMS), hs.integers(0, 2**31))
def test_distance_is_a_distance(drawn, seed):
    """Of populations of one structure, whatever their numbers: zero to itself and its namesakes, symmetric, triangle."""
    a, _ = drawn
    b, c = a.like(seed=seed), a.like(seed=seed + 1)
    ab, bc, ac = (population_distance(*pair, ITEMS) for pair in ((a, b), (b, c), (a, c)))
    order = list(range(len(a.components())))[::-1]
    assert population_distance(a, a, ITEMS) == 0
    assert population_distance(renamed(a, order), a, ITEMS) == pytest.approx(0, abs=1e-7)
    assert ab == pytest.approx(population_distance(b, a, ITEMS), rel=1e-9)
    assert ac <= ab + bc + 1e-9


# ---- naming ------------------------------------------------------------------------------------------------------


def random_pairs(number):
    z = np.random.default_rng(number).normal(size=(2, 2, 4))
    w = np.random.default_rng(number + 10_000).uniform(0.05, 0.95, size=2)
    return [two(*(u.tolist() for u in z[k]), (w[k], 1 - w[k])) for k in range(2)]


def test_align_compare_and_the_formula_name_types_alike():
    """400 random pairs of two-type populations, by the closed form of the cost."""
    design = an.Design(ITEMS, menus=[[0, 1]])
    for number in range(400):
        fitted, truth = random_pairs(number)
        x, y = ([u - u.mean() for u in (t.utility.values.detach().numpy() for t in p.types)] for p in (fitted, truth))
        w, v = fitted.weights.detach().numpy(), truth.weights.detach().numpy()
        cost = {
            order: sum(((x[order[k]] - y[k]) ** 2).mean() + (w[order[k]] - v[k]) ** 2 for k in range(2))
            for order in permutations(range(2))
        }
        expected = list(min(cost, key=cost.get))
        found = align_types(fitted, truth, ITEMS)
        assert best_naming(fitted, truth, ITEMS) == found.match.tolist() == expected
        assert found.distance == pytest.approx(min(cost.values()) ** 0.5, abs=1e-12)
        if number % 40 == 0:
            score = an.compare(fitted, truth, design)
            assert score.alignment.tolist() == expected and score.parameter_distance == found.distance
            assert an.compare(renamed(fitted, expected), truth, design).alignment.tolist() == [0, 1]


@pytest.mark.parametrize("types", [3, 4])
def test_more_types_are_named_by_the_least_cost(types):
    """60 random pairs of populations: the naming and its cost against all orders."""
    for number in range(60):
        draw = np.random.default_rng(number)
        z, w = draw.normal(size=(2, types, 4)), draw.dirichlet(np.full(types, 2.0), size=2)
        ours, theirs = (
            an.Mixture([table(an.Luce(), u.tolist()) for u in z[k]], weights=w[k].tolist()) for k in range(2)
        )
        x, y = z - z.mean(-1, keepdims=True)
        cost = {
            order: sum(((x[order[k]] - y[k]) ** 2).mean() + (w[0][order[k]] - w[1][k]) ** 2 for k in range(types))
            for order in permutations(range(types))
        }
        found = align_types(ours, theirs, ITEMS)
        best = list(min(cost, key=cost.get))
        assert found.match.tolist() == best
        assert found.distance == pytest.approx(min(cost.values()) ** 0.5, abs=1e-9)
        assert found.weight_error == pytest.approx(w[0][best] - w[1])
        assert found.index_error == pytest.approx(np.sqrt(((x[best] - y) ** 2).mean(-1)))
        alone = align_types(ours.types[0], theirs, ITEMS)  # one type for all: the others of the truth are left over
        assert sorted(alone.match.tolist()) == [-1] * (types - 1) + [0] and not alone.nearest.any()
        assert alone.index_error == pytest.approx(np.sqrt(((x[0] - y) ** 2).mean(-1)))


def test_a_fit_is_aligned_by_the_same_naming():
    truth = two([2.0, 0.0, -2.0, 0.0], [-2.0, 0.0, 2.0, 0.0], (0.4, 0.6))
    data = an.simulate(truth, an.Design(ITEMS, annotators=300, questions=12), seed=0)
    fit = an.fit(truth.like(seed=1), data)
    for reference in (truth, truth.relabelled([1, 0])):
        aligned = fit.align(reference)
        assert an.compare(aligned, reference, an.Design(ITEMS)).alignment.tolist() == [0, 1]
        assert aligned.log_likelihood == fit.log_likelihood


def test_nested_mixtures_are_aligned():
    tastes = ([3.0, 0.0, 0.0, 0.0], [0.0, 3.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0])
    one, other, last = (table(an.Luce(), u) for u in tastes)
    truth = an.Mixture([an.Mixture([one, other], [0.5, 0.5]), last], [0.6, 0.4])
    data = an.simulate(truth, an.Design(ITEMS, annotators=200, questions=10), seed=1)
    fit = an.fit(an.Mixture([last, an.Mixture([other, one], [0.5, 0.5])], [0.4, 0.6]), data)
    aligned = fit.align(truth)
    assert [c.utility.values.argmax().item() for c in aligned.population.components()] == [0, 1, 2]
    assert [len(part.components()) for part in aligned.population.types] == [2, 1]  # the same parts, in another order
    apart = fit.align(an.Mixture([one, last, other], [0.3, 0.4, 0.3]))  # the parts stand apart: a mixture of components
    assert [c.utility.values.argmax().item() for c in apart.population.components()] == [0, 2, 1]
    shares = np.sort(fit.population.component_weights().detach().numpy())
    assert np.sort(apart.population.weights.detach().numpy()) == pytest.approx(shares)


def test_gated_types_are_aligned_with_their_gates():
    gated = an.Gated([table(an.Luce(), u) for u in (U, [5.0, 0, 0, 0], [0, 0, 5.0, 0])], [[1.0], [-1.0]], [[0.7, -0.2]])
    order = [2, 0, 1]
    moved = renamed(gated, order)
    who = np.arange(2)
    assert torch.allclose(moved.annotator_weights(who), gated.annotator_weights(who)[:, order])
    assert best_naming(moved, gated, ITEMS) == [1, 2, 0]


# ---- theorems ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_a_count_for_free_weights_says_nothing_of_known_ones(seed):
    """Four items: six pair probabilities, seven numbers with a free share, six with a known one."""
    z = np.random.default_rng(seed).normal(size=(2, 4)).tolist()
    known = an.Mixture([table(an.Luce(), u) for u in z], an.fixed([0.5, 0.5]))
    report = an.identify(known, an.Design(an.Items(n=4)), starts=0)
    assert report.num_parameters == 6 and not any("conflict" in said for said in report.reasons)
    assert report.verdict in ("locally_identified", "not_identified")
    freed = an.identify(two(*z), an.Design(an.Items(n=4)), starts=0)
    assert (freed.rank, freed.num_parameters, freed.verdict) == (6, 7, "not_identified")
