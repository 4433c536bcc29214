"""Agreement beyond chance: published numbers, chance itself, names that do not matter, intervals that cover."""

from __future__ import annotations

import itertools

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as hs
from hypothesis.extra.numpy import arrays
from scipy import stats

import annosim as an
from annosim.analysis import agreement
from annosim.errors import ArgumentError, DataError


def answers_to(items, values, menus, feedback="choice"):
    """Data of ``values (annotators, questions)``, -1 for none, at one prompt for each question."""
    who, question = np.nonzero(values >= 0)
    menu = np.asarray(menus)[question]
    given = values[who, question]
    given = given[:, None] if feedback != "choice" else given
    return an.PreferenceData(items, menu, given, annotator=who, prompt=question, feedback=feedback)


def coins(seed, questions, people, k=2, kind="choice"):
    """People who toss coins over questions that have no item in common, each shown in an order of its own."""
    rng = np.random.default_rng(seed)
    items = an.Items(n=questions * k)
    menu = rng.permuted(np.tile(np.arange(items.n).reshape(questions, k), (people, 1)), axis=1)
    answer = rng.integers(k, size=len(menu))
    if kind == "ranking":
        answer = rng.permuted(np.tile(np.arange(k), (len(menu), 1)), axis=1)
    who = np.repeat(np.arange(people), questions)
    return an.PreferenceData(items, menu, answer, annotator=who, feedback=kind)


def test_agreement_within_and_between():
    menus = [[0, 1], [1, 0], [0, 1], [1, 0]]
    # annotator 0 always takes item 0, annotator 1 always item 1, whatever the side
    data = an.PreferenceData(an.Items(n=2), menu=menus, answer=[0, 1, 1, 0], annotator=[0, 0, 1, 1])
    found = agreement(data, replicates=0)
    assert (found.within, found.between, found.pairs_within, found.pairs_between) == (1.0, 0.0, 2, 4)
    ties = an.PreferenceData(
        an.Items(n=2), menu=[[0, 1]] * 3, answer=[[0, 1], [0, -1], [1, -1]], tied=[[True], [False], [False]]
    )
    assert agreement(ties, replicates=0).between == 0.0
    assert np.isnan(agreement(ties, replicates=0).within)


def test_alpha_by_hand():
    # two questions, two annotators each: agree, disagree; 3 a's and 1 b in all, expected disagreement 6/12
    data = an.PreferenceData(
        an.Items(n=2), menu=[[0, 1]] * 4, answer=[0, 0, 0, 1], annotator=[0, 1, 2, 3], prompt=[0, 0, 1, 1]
    )
    assert agreement(data, replicates=0).alpha == pytest.approx(1 - 0.5 / 0.5)
    same = an.PreferenceData(an.Items(n=2), menu=[[0, 1]] * 2, answer=[0, 0], annotator=[0, 1])
    assert np.isnan(agreement(same, replicates=0).alpha)
    # two pairs without a common item, all of one mind: chance is one half, whatever the items are called
    menu, answer = [[0, 1], [2, 3]] * 3, [0, 0] * 3
    apart = an.PreferenceData(an.Items(n=4), menu, answer, annotator=np.repeat(np.arange(3), 2))
    found = agreement(apart, replicates=0)
    assert found.alpha == found.gwet_ac1 == 1.0


TABLES = arrays(np.int64, hs.tuples(hs.integers(2, 5), hs.integers(2, 6)), elements=hs.integers(-1, 2))


@settings(max_examples=40, deadline=None)
@given(TABLES, hs.booleans())
def test_alpha_is_that_of_the_package_and_of_every_path(values, grades):
    """At the annotators as they are (the package) and with each counted once by weights that are not ones (ours)."""
    if not ((values >= 0).sum(0) >= 2).any():
        return
    items = an.Items(n=3)
    if grades:
        data = answers_to(items, values, [[0]] * values.shape[1], an.Feedback("rating", grades=3))
    else:
        data = answers_to(items, values, [[0, 1, 2]] * values.shape[1])
    paired = np.where((values >= 0).sum(0) >= 2, values, -1)
    level = "ordinal" if grades else "nominal"
    nothing = len(np.unique(paired[paired >= 0])) < 2
    right = np.nan if nothing else krippendorff.alpha(np.where(values < 0, np.nan, values), level_of_measurement=level)
    assert agreement(data, replicates=0).alpha == pytest.approx(right, nan_ok=True)
    if not (values >= 0).any(1).all():
        return
    statistics, tables = an.analysis.agreement_statistics, an.analysis.agreement_tables
    table = tables.graded_items(data) if grades else tables.labelled(data)
    ours = statistics.krippendorff_alpha(table, statistics.People.all_of(np.ones(len(values))))[0]
    assert ours == pytest.approx(right, nan_ok=True)


def test_names_at_random_are_the_mean_over_all_names():
    """The expected disagreement over different questions is the package's, averaged over all ways to call them."""
    rng = np.random.default_rng(3)
    values = rng.integers(2, size=(4, 3))
    menu = np.tile([[0, 1], [2, 3], [4, 5]], (4, 1))
    who = np.repeat(np.arange(4), 3)
    data = an.PreferenceData(an.Items(n=6), menu, values.reshape(-1), annotator=who)
    expected, observed = [], 0.0
    for flip in itertools.product([0, 1], repeat=3):
        named = values ^ np.array(flip)
        share = np.bincount(named.reshape(-1), minlength=2) / 12
        expected.append(2 * share[0] * share[1] * 12 / 11)
        observed = np.mean([2 * c * (4 - c) / 12 for c in named.sum(0)])
    assert agreement(data, replicates=0).alpha == pytest.approx(1 - observed / np.mean(expected))


@pytest.mark.parametrize("k, kind", [(2, "choice"), (3, "choice"), (4, "ranking")])
def test_people_who_toss_coins_agree_by_chance_only(k, kind):
    found = [agreement(coins(seed, 40, 4, k, kind), replicates=0) for seed in range(50)]
    for name in ("alpha",) + (("gwet_ac1",) if kind == "choice" else ("spearman",)):
        numbers = np.array([getattr(one, name) for one in found])
        # alpha's own bias is of order 1 / answers squared; six standard errors: false-alarm rate 2e-9
        assert abs(numbers.mean()) < 6 * numbers.std(ddof=1) / np.sqrt(50), name
        assert numbers.std() < 0.15


def test_ac1_and_w_by_hand():
    values = np.array([[0, 0, 0, 1], [0, 0, 1, 1], [0, 0, 0, 0]])
    data = answers_to(an.Items(n=2), values, [[0, 1]] * 4)
    seen = (1 + 1 + 1 / 3 + 1 / 3) / 4
    second = (0 + 0 + 1 / 3 + 2 / 3) / 4
    chance = 2 * second * (1 - second)
    assert agreement(data, replicates=0).gwet_ac1 == pytest.approx((seen - chance) / (1 - chance))
    orders = np.array([[0, 1, 2, 3], [1, 0, 2, 3], [0, 2, 1, 3]])
    ranked = an.PreferenceData(an.Items(n=4), [[0, 1, 2, 3]] * 3, orders, annotator=[0, 1, 2], feedback="ranking")
    places = orders.argsort(1)
    found = agreement(ranked, replicates=0)
    right = 12 * ((places.sum(0) - places.sum(0).mean()) ** 2).sum() / (9 * (64 - 4))
    assert found.kendall_w == pytest.approx(right)
    pairs = [stats.spearmanr(places[a], places[b]).statistic for a, b in itertools.combinations(range(3), 2)]
    assert found.spearman == pytest.approx(np.mean(pairs))


def test_a_tied_order_has_spearmans_correlation_with_ties():
    menu, order = [[0, 1, 2, 3]] * 2, [[0, 1, 2, 3], [3, 2, 1, 0]]
    tied = [[True, False, False], [False, False, False]]
    data = an.PreferenceData(an.Items(n=4), menu, order, annotator=[0, 1], tied=tied, feedback="ranking")
    right = stats.spearmanr([1.5, 1.5, 3, 4], [4, 3, 2, 1]).statistic
    # W's form divides by the mean of the two spreads, Spearman's by their geometric mean
    spread = np.array([4.5, 5.0])
    assert agreement(data, replicates=0).spearman == pytest.approx(right * np.sqrt(spread.prod()) / spread.mean())


@settings(max_examples=12, deadline=None)
@given(hs.integers(0, 10**6), hs.sampled_from([("choice", 2), ("choice", 3), ("ranking", 3)]))
def test_names_of_items_and_sides_do_not_matter_and_weights_are_people(seed, form):
    kind, k = form
    rng = np.random.default_rng(seed)
    data = coins(seed, 5, 6, k, kind)
    name = rng.permutation(data.items.n)
    renamed = data.with_(menu=name[data.menu])
    once = agreement(data, replicates=0).to_frame()
    assert once.equals(agreement(renamed, replicates=0).to_frame())
    three = agreement(data.with_(weight=np.full(data.rows, 3.0)), replicates=0)
    rows = np.tile(np.arange(data.rows), 3)
    copies = data.take(rows).with_(annotator=data.annotator[rows] + 6 * np.repeat(np.arange(3), data.rows))
    assert three.to_frame().equals(agreement(copies, replicates=0).to_frame())


def test_intervals_cover_and_copies_of_one_person_are_not_agreement():
    """Coins: 0 is inside of 95 % intervals. Of 30 at least 20 (binomial: false-alarm rate 9e-7 at a coverage of .95)."""
    hits = 0
    for seed in range(30):
        low, high = agreement(coins(seed, 30, 12), replicates=60).intervals["alpha"]
        hits += low <= 0 <= high
    assert hits >= 20


def test_what_has_no_agreement_says_so():
    data = coins(0, 3, 3)
    with pytest.raises(ArgumentError, match="whole numbers"):
        agreement(data.with_(weight=np.full(data.rows, 0.5)))
    with pytest.raises(ArgumentError, match="replicates=-1"):
        agreement(data, replicates=-1)
    with pytest.raises(DataError, match="nothing is left"):
        agreement(an.PreferenceData(an.Items(n=2), [[0, 1]], [-1]))
    alone = agreement(an.PreferenceData(an.Items(n=2), [[0, 1]], [0]))
    assert np.isnan(alone.alpha) and np.isnan(alone.between) and not alone.intervals
