"""Other families, functionals, weak identification, batches, tests on data."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats

import annosim as an
from annosim.coordinates import identifiable_coordinates, population_distance
from annosim.errors import ArgumentError
from annosim.identifiability import identification as verb
from annosim.identifiability import twins
from annosim.identifiability.batch import local_ranks
from annosim.identifiability.empirical import empirical
from annosim.identifiability.families import taste_distance
from annosim.identifiability.functionals import FUNCTIONALS
from annosim.identifiability.heterogeneity import within_annotator_score
from annosim.identifiability.local import local_rank
from annosim.identifiability.search import Equations, gauss_newton, refine
from annosim.identifiability.tastes import bounds
from annosim.information import prepare
from annosim.parameters import Unconstrained

ITEMS = an.Items.normal(6, 2, seed=0)
LINE = an.Items.normal(6, 1, seed=2)


def linear(*tastes, weights=None):
    return an.Mixture([an.Annotator(an.Linear(b), an.Luce()) for b in tastes], weights=weights)


# ---- functionals and families ------------------------------------------------------------------------------------


def test_the_odd_part_is_known_from_pairs_and_the_even_part_is_not():
    report = an.identify(linear([1.0, 0.3], [-1.0, -0.3], weights=[0.5, 0.5]), an.Design(ITEMS), starts=0)
    shown = {name: bool(f.identified.all()) for name, f in report.functionals.items()}
    assert shown["odd part of tastes"] and shown["pair probabilities"] and shown["mean utility"]
    assert not shown["even part of tastes"] and not shown["utilities"]


def test_what_is_known_is_the_same_on_every_piece_of_the_set():
    """All antipodal pairs at one half have one law, and so have two indifferent types with any weights: near the first
    piece the weights look known, and they are not.
    """
    report = an.identify(linear([1.0, 0.3], [-1.0, -0.3], weights=[0.5, 0.5]), an.Design(ITEMS), starts=24)
    shown = {name: bool(f.identified.all()) for name, f in report.functionals.items()}
    assert not shown["weights"] and shown["mean utility"] and shown["pair probabilities"]


def test_a_functional_of_the_user_is_compared_at_the_twin():
    people = linear([1.0, 0.3], [0.0, 0.0], weights=[0.7, 0.3])
    report = an.identify(people, an.Design(ITEMS), functional={"first weight": lambda p: p.component_weights()[0]})
    found = report.functionals["first weight"]
    assert not bool(found.identified.any())
    assert float(found.value) == pytest.approx(0.7) and float(found.twin) == pytest.approx(0.85)
    with pytest.raises(ArgumentError, match="functional"):
        an.identify(people, an.Design(ITEMS), functional="nothing")


def test_one_indifferent_type_has_a_two_type_twin():
    nobody = an.Annotator(an.Linear([0.0, 0.0]), an.Luce())
    report = an.identify(nobody, an.Design(ITEMS), among=[None, an.types(2)])
    assert report.verdict == "identified"
    assert report.rows[1]["verdict"] == "not_identified"
    with pytest.raises(ArgumentError, match="types"):
        an.identify(linear([1.0, 0.0], [0.0, 1.0]), an.Design(ITEMS), among=an.types(1))


def test_bounds_contain_the_truth_and_shrink_with_best_of_three():
    grid = np.linspace(-4, 4, 161)
    weight = np.exp(-0.5 * (grid - 0.45) ** 2)
    people = linear(*[[b] for b in grid], weights=an.fixed(weight / weight.sum()))
    order = LINE.features[:, 0].argsort()
    positive = an.identifiability.share_preferring(int(order[-1]), int(order[0]))
    wide = bounds(people, an.Design(LINE), grid, positive)
    narrow = bounds(people, an.Design(LINE, menu_size=3), grid, positive)
    assert wide.low <= narrow.low <= narrow.value <= narrow.high <= wide.high
    assert narrow.value == pytest.approx(0.674, abs=2e-3)
    assert (narrow.low, narrow.high) == pytest.approx((0.60, 0.74), abs=0.02)
    for end in (narrow.lowest, narrow.highest):
        assert an.information.law_distance(people, end, an.Design(LINE, menu_size=3)) < 1e-9
        assert taste_distance(people, end, LINE) > 0.01


def test_distances_ignore_names_and_levels():
    one = an.Mixture([an.Annotator(an.Tabular(v), an.Luce()) for v in ([0.0, 1.0], [2.0, 0.5])], [0.4, 0.6])
    other = an.Mixture([an.Annotator(an.Tabular(v), an.Luce()) for v in ([5.0, 3.5], [1.0, 2.0])], [0.6, 0.4])
    design = an.Design(an.Items(n=2))
    assert population_distance(one, other, design.items) < 1e-15
    assert taste_distance(one, other, design.items) < 1e-7


# ---- batches -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more", [{}, {"menu_size": 3, "questions": 2}, {"menus": [[0, 1], [1, 2]], "questions": "all"}]
)
def test_batched_ranks_are_those_of_one_at_a_time(more):
    people = an.Mixture([an.Annotator(an.Tabular(np.arange(4.0)), an.Luce()) for _ in range(2)])
    design = an.Design(an.Items(n=4), **more)
    z = torch.as_tensor(np.random.Generator(np.random.Philox(1)).normal(size=(12, 10)))
    z[:, :2] = torch.softmax(z[:, :2], -1)
    z[0, 6:] = z[0, 2:6]  # merged types
    found = local_ranks(people, design, z, chunk=5)
    for b in range(len(z)):
        one = people.with_parameters(z[b])
        alone = local_rank(one, prepare(one, design), identifiable_coordinates(one, design.items))
        assert int(found.rank[b]) == alone.rank and int(found.num_parameters[b]) == alone.num_parameters


# ---- weak identification -----------------------------------------------------------------------------------------


def test_weak_identification_of_a_coin():
    weak = an.identifiability.weak_identification(
        an.Annotator(an.Tabular([0.0, 0.0]), an.Luce()), an.Design(an.Items(n=2))
    )
    # the two values are +-d/2 around their mean, and d has variance 4: one standard error each
    assert weak.standard_errors["utility.values[0]"] == pytest.approx(1.0)
    assert weak.hidden == 0 and weak.exact and "annotators" in repr(weak)


def test_directions_that_the_law_hides_have_no_standard_error():
    weak = an.identifiability.weak_identification(
        linear([1.0, 0.3], [-1.0, -0.3], weights=[0.5, 0.5]), an.Design(ITEMS)
    )
    assert weak.hidden == 2 and np.isinf(weak.standard_errors["types.0.utility.weights[0]"])
    assert np.isinf(weak.annotators(0.1))


def test_profiles_tell_flat_from_identified():
    design, name = an.Design(an.Items.normal(5, 1, seed=0)), "types.0.utility.weights[0]"
    flat = an.identifiability.expected_profile(linear([1.0], [-1.0], weights=[0.5, 0.5]), design, name, points=2)
    known = an.identifiability.expected_profile(
        linear([1.0], [-0.5], weights=[0.5, 0.5]), design.with_(menu_size=3), name, points=2
    )
    assert (flat.classification, known.classification) == ("flat", "identified")
    with pytest.raises(ArgumentError, match="name"):
        an.identifiability.expected_profile(linear([1.0], [-0.5]), design, "nothing")


def test_a_report_tells_of_weak_directions_and_profiles():
    report = an.identify(linear([1.0, 0.3], [0.0, 0.5]), an.Design(ITEMS), starts=0)
    weak = report.weak()
    assert f"{weak.annotators(0.1):,.0f} annotators" in report.weakest and "condition" in report.weakest
    assert weak.annotators(0.1) == pytest.approx(4 * weak.annotators(0.2), rel=1e-3)
    assert report.profile("weights[0]", points=1).classification == "identified"
    assert an.identify(linear([1.0, 0.3], [0.0, 0.0]), an.Design(ITEMS), starts=0).weakest == ""


def test_the_worst_report_fits_a_terminal():
    four = an.Mixture([an.Annotator(an.Tabular(6), an.Luce()) for _ in range(4)]).like(seed=0)
    crowded = an.identify(four, an.Design(ITEMS), starts=0, among=[None, an.any_tastes(np.zeros((1, 6)), tabular=True)])
    for shown in (
        crowded,
        an.identify(linear([1.0, 0.3], [0.0, 0.0]), an.Design(ITEMS)),
        an.identifiability.weak_identification(linear([1.0, 0.3], [0.0, 0.5]), an.Design(ITEMS)),
    ):
        lines = repr(shown).splitlines()
        assert max(map(len, lines)) <= 80 and len(lines) <= 40


@pytest.mark.parametrize(
    "call",
    [
        lambda p, d: an.identify(p),
        lambda p, d: an.identify(p, d, starts=-1),
        lambda p, d: an.identify(p, d, starts=2.5),
        lambda p, d: an.identify(p, d, jobs="many"),
        lambda p, d: an.identify(p, d, among=3),
        lambda p, d: an.identify(p, d, among=[]),
        lambda p, d: an.identify(p, d, functional=lambda q: q.nothing),
        lambda p, d: an.identify(p, d, functional=lambda q: "word"),
        lambda p, d: an.identify(p, d, functional=an.identifiability.mean_gap(0, 9)),
        lambda p, d: an.identify(p, d, among=an.any_tastes([[1.0, 2.0, 3.0]])),
        lambda p, d: an.identify(p, d, among=an.any_tastes([[1.0, 2.0]]), functional="weights"),
        lambda p, d: bounds(p, d, [[1.0, 2.0]], FUNCTIONALS["mean utility"]),
        lambda p, d: an.identifiability.weak_identification(p, 3),
        lambda p, d: an.identifiability.weak_identification(p, d).annotators("a"),
        lambda p, d: an.identifiability.expected_profile(p, d, "weights[0]", points=0),
        lambda p, d: an.identifiability.heterogeneity_test(p, 3),
        lambda p, d: an.identifiability.heterogeneity_test(
            p, an.simulate(p, d.with_(annotators=9), seed=0), replicates=0
        ),
        lambda p, d: an.identifiability.goodness_of_fit(p, 3),
        lambda p, d: an.identifiability.consistency_test(3),
        lambda p, d: an.planning.d_optimal(p, d, menus=2.5),
    ],
)
def test_bad_input_is_one_line(call):
    with pytest.raises(ArgumentError) as error:
        call(linear([1.0, 0.3], [0.0, 0.5]), an.Design(ITEMS))
    assert "\n" not in str(error.value)


# ---- the search ----------------------------------------------------------------------------------------------------


def test_any_number_of_processes_finds_the_same(monkeypatch):
    """Batches depend on the equations alone: bit by bit the same end points, and the default is one process for a short
    search, and inside a worker.
    """
    monkeypatch.setattr(twins, "TOGETHER", 2000.0)
    people, design = linear([1.0, 0.3], [0.0, 0.5]), an.Design(ITEMS)
    equations = Equations(people, prepare(people, design))
    free = Unconstrained(people, margin=1e-6)
    starts = twins.random_starts(people, free, 7, 0)
    one, two = (twins.solve_all(equations, free, starts, steps=30, jobs=jobs) for jobs in (1, 2))
    assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])
    assert twins._processes(1e4) == 1
    monkeypatch.setattr(twins.threads, "count", lambda: 5)
    assert twins._processes(1e9) == 5
    monkeypatch.setattr(twins.multiprocessing, "parent_process", lambda: object())
    assert twins._processes(1e9) == 1


def test_what_only_a_sample_of_menus_leaves_open_is_inconclusive(monkeypatch):
    """55 of 1,770 pairs do not connect 60 items: a curve on the sample is no curve, and the rank a lower bound."""
    one = an.Annotator(an.Tabular(np.random.Generator(np.random.Philox(0)).normal(size=60)), an.Luce())
    design = an.Design(an.Items(n=60))
    monkeypatch.setattr(verb, "prepare", partial(prepare, limit=60 * 2 * 55))
    report = an.identify(one, design, starts=0)
    assert report.verdict == "inconclusive" and report.twin is None and report.exit_code == 4
    assert "at least" in repr(report) and "further samples" in " ".join(report.reasons)
    monkeypatch.undo()
    assert an.identify(one, design, starts=0).verdict == "identified"


def test_a_twin_on_a_sample_of_menus_is_checked_on_further_ones(monkeypatch):
    """Two equal types have a curve of twins whatever the menus are."""
    same = linear([1.0, 0.3], [1.0, 0.3], weights=[0.5, 0.5])
    monkeypatch.setattr(verb, "prepare", partial(prepare, limit=6000))
    report = an.identify(same, an.Design(an.Items.normal(30, 2, seed=0)), starts=0)
    assert report.verdict == "not_identified" and not report.settings["exact"]
    assert "further samples" in " ".join(report.reasons)


# ---- from data ---------------------------------------------------------------------------------------------------


def test_the_empirical_design_and_a_fit_can_be_asked():
    people = linear([1.5, 0.3], [-1.0, -0.8], weights=[0.6, 0.4])
    data = an.simulate(people, an.Design(ITEMS, annotators=200, questions=3), seed=1)
    direct, fitted = an.identify(people, data, starts=4), an.identify(an.fit(people, data), starts=4)
    assert (direct.rank, direct.num_parameters) == (fitted.rank, fitted.num_parameters) == (5, 5)
    single = an.identify(an.Annotator(an.Tabular(6), an.Luce()), data, starts=0)
    assert single.verdict == "identified"
    few = data.take(np.flatnonzero((np.asarray(data.menu) < 3).all(1)))
    assert an.identify(an.Annotator(an.Tabular(6), an.Luce()), few, starts=0).verdict == "not_identified"


def ordinary(test) -> bool:
    """Within 9 standard deviations of the simulations under the null."""
    return abs(test.statistic - test.simulated.mean()) < 9 * test.simulated.std()


def test_heterogeneity_is_found_where_it_is_and_not_where_it_is_not():
    """One type: the statistic is within 9 standard deviations of its simulated mean (false alarm below 1e-9)."""
    design = an.Design(ITEMS, annotators=150, questions=4)
    model = an.Annotator(an.Linear(2), an.Luce())
    two = an.simulate(linear([2.0, 0.0], [-2.0, 1.0]), design, seed=0)
    one = an.simulate(an.Annotator(an.Linear([1.0, 0.5]), an.Luce()), design, seed=0)
    assert an.identifiability.heterogeneity_test(model, two, replicates=39).p_value == 1 / 40
    assert ordinary(an.identifiability.heterogeneity_test(model, one, replicates=39))
    likelihood = an.identifiability.heterogeneity_test(model, two, method="likelihood_ratio", replicates=19, starts=2)
    assert likelihood.p_value == 1 / 20 and likelihood.statistic > likelihood.simulated.max()
    with pytest.raises(ArgumentError, match="one answer"):
        an.identifiability.heterogeneity_test(
            model, an.simulate(linear([1.0, 0.0]), an.Design(ITEMS, annotators=9), seed=0)
        )


def test_a_ballot_with_a_weight_is_so_many_voters():
    """A block of weight w is w people: under the null they answer apart, so a test of counts is a test of voters."""
    people = an.Annotator(an.Tabular([0.5, 0.0, -0.5]), an.Luce())
    data = an.simulate(
        people, an.Design(an.Items(n=3), menus=[[0, 1], [1, 2], [0, 2]], annotators=60, questions=2), seed=2
    )
    counted = data.counts()
    assert counted.num_annotators < 40
    assert within_annotator_score(people, counted) == pytest.approx(within_annotator_score(people, data), abs=1e-10)
    model = an.Annotator(an.Tabular(3), an.Luce())
    for test in (an.identifiability.heterogeneity_test, an.identifiability.goodness_of_fit):
        plain, weighted = (test(model, d, replicates=19) for d in (data, counted))
        assert weighted.statistic == pytest.approx(plain.statistic, abs=1e-6)
        assert ordinary(weighted) and 1 / 3 < weighted.simulated.std() / plain.simulated.std() < 3
    two = an.Mixture([model, model], [0.5, 0.5])
    both = [empirical(two, d)[1] for d in (data, counted)]
    assert torch.equal(both[0].blocks, both[1].blocks) and torch.allclose(both[0].block_share, both[1].block_share)
    with pytest.raises(ArgumentError, match=r"weight\[0\] = 0.5: not a whole number"):
        an.identifiability.heterogeneity_test(model, data.with_(weight=np.full(data.rows, 0.5)))
    tied = an.PreferenceData(
        data.items, [[0, 1]] * 2, answer=[[0, 1], [0, -1]], tied=[[True], [False]], annotator=[0, 0]
    )
    with pytest.raises(ArgumentError, match=r"half wins are answers that nobody gave.*an\.Davidson"):
        an.identifiability.heterogeneity_test(model, tied.ties("half"))


def test_the_score_statistic_is_the_cross_product_within_annotators():
    people = an.Annotator(an.Tabular([0.3, 0.0, -0.4]), an.Luce())
    data = an.simulate(people, an.Design(an.Items(n=3), annotators=20, questions=3), seed=0)
    u = people.utility.values.detach().numpy()
    total = 0.0
    for a in range(20):
        rows = np.flatnonzero(np.asarray(data.annotator_ids) == a)
        scores = []
        for r in rows:
            i, j = np.asarray(data.menu)[r]
            residual = float(np.asarray(data.answer)[r] == 0) - 1 / (1 + np.exp(u[j] - u[i]))
            s = np.zeros(3)
            s[i], s[j] = residual, -residual
            scores.append(s)
        total += sum(float(scores[x] @ scores[y]) for x in range(3) for y in range(3) if x != y)
    assert within_annotator_score(people, data) == pytest.approx(total, abs=1e-12)


def test_counts_do_not_fit_a_model_with_the_wrong_shape():
    items = an.Items.normal(5, 1, seed=0)
    data = an.simulate(
        an.Annotator(an.Tabular([0.0, 2.0, -2.0, 2.0, -1.0]), an.Luce()), an.Design(items, annotators=1500), seed=0
    )
    assert (
        an.identifiability.goodness_of_fit(an.Annotator(an.Linear(1), an.Luce()), data, replicates=19).p_value == 1 / 20
    )
    assert ordinary(an.identifiability.goodness_of_fit(an.Annotator(an.Tabular(5), an.Luce()), data, replicates=19))


def test_paraphrases_are_not_plurality():
    items = an.Items(n=4, clusters=[0, 0, 1, 1])
    design = an.Design(items, annotators=80, questions=5)
    split = an.Mixture([an.Annotator(an.Tabular([s, s, 0.0, 0.0]), an.Luce()) for s in (2.5, -2.5)])
    noise = an.Annotator(an.Tabular([0.1, 0.0, 0.0, 0.1]), an.Luce())
    plural, paraphrase = (
        an.identifiability.consistency_test(an.simulate(p, design, seed=3), replicates=99) for p in (split, noise)
    )
    assert plural.p_value == 0.01 and plural.evidence["within"] > plural.evidence["between"] + 0.2
    assert ordinary(paraphrase)


def test_a_curve_is_followed_where_the_law_is_weak_in_some_directions():
    """Five equations of six unknowns, scaled from 1 to 3e-7, on a sphere: damped normal equations stop at 1e-5, though
    there is a root (what made eight types over four items "singular": their law has 27 dimensions, they have 31).
    """
    turn = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
    scale = torch.tensor([1.0, 1e-2, 1e-4, 1e-6, 3e-7], dtype=torch.float64)

    def residual(y):
        z = turn @ y
        law = scale * (z[:5] + 3 * z[5] ** 2 + z[:5].roll(1) * z[5])
        return torch.cat([law, ((y @ y) - 0.04)[None] / 0.4])

    start = 0.2 * turn[5][None]
    stuck = gauss_newton(residual, start, 40, 1e-14)
    assert float(stuck.norm[0]) > 1e-10
    found = refine(residual, start, stuck)
    assert float(found.norm[0]) < 1e-15 and float(residual(found.at[0]).norm()) < 1e-15


def test_consistency_is_judged_within_questions():
    """All agree on one question, which everybody was asked twice; the other is a coin, asked once. Nobody is any more
    consistent than others are with them, and shuffling within questions changes nothing: the p-value is 1."""
    items = an.Items(n=3, clusters=[0, 1, 2])
    coin = np.random.default_rng(0).integers(0, 2, 40)
    menu = np.tile([[0, 1], [0, 1], [1, 2]], (40, 1))
    answer = np.stack([np.zeros(40, int), np.zeros(40, int), coin], 1).reshape(-1)
    data = an.PreferenceData(items, menu, answer, annotator=np.repeat(np.arange(40), 3))
    found = an.identifiability.consistency_test(data, replicates=99)
    assert found.p_value == 1.0 and found.statistic > 0


def test_the_consistency_test_rejects_true_nulls_as_often_as_it_says():
    """Few answers, many ties: with 19 shuffles every multiple of 1/20 has its share of 120 data sets (two-sided exact
    binomial tests of eight numbers at level 1e-8 each: false-alarm rate 8e-8)."""
    items = an.Items(n=4, clusters=[0, 0, 1, 1])
    one, design = (
        an.Annotator(an.Tabular([0.3, 0.3, 0.0, 0.0]), an.Luce()),
        an.Design(items, annotators=15, questions=3),
    )
    found = [
        an.identifiability.consistency_test(an.simulate(one, design, seed=s), replicates=19, seed=s) for s in range(120)
    ]
    p = np.array([one.p_value for one in found])
    assert np.mean([one.evidence["equal"] for one in found]) > 0.05  # ties do occur
    for level in (0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9):
        assert stats.binomtest(int((p <= level + 1e-9).sum()), len(p), level).pvalue > 1e-8


@pytest.mark.parametrize(
    ("name", "people", "each", "times"), [("goodness_of_fit", 60, 1, 80), ("heterogeneity_test", 15, 4, 40)]
)
def test_tests_with_refits_reject_true_nulls_as_often_as_they_say(name, people, each, times):
    """One simulation is above the data in half of the data sets of a true null (two-sided exact binomial tests at level 1e-8:
    false-alarm rate 2e-8). Three pairs have three counts and two free numbers: simulated counts without refits would be
    above in five of six. The docstrings give the sizes at more levels.
    """
    model, truth = an.Annotator(an.Tabular(3), an.Luce()), an.Annotator(an.Tabular([0.5, 0.0, -0.5]), an.Luce())
    design = an.Design(an.Items(n=3), menus=[[0, 1], [1, 2], [0, 2]], annotators=people, questions=each)
    test = getattr(an.identifiability, name)
    found = [test(model, an.simulate(truth, design, seed=s), replicates=1, seed=s) for s in range(times)]
    rejected = sum(one.p_value <= 0.5 for one in found)
    assert stats.binomtest(rejected, times, 0.5).pvalue > 1e-8
