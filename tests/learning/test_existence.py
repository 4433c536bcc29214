"""Nothing unidentified is returned as if it were known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as hs

import annosim as an
from annosim.checks import strategies as st
from annosim.learning.existence.connectivity import answers_graph, connectivity
from annosim.learning.existence.separation import _null, _overlap, separating_direction
from annosim.learning.likelihoods.statistics import from_data

LUCE = an.Luce()


def table(n, rule=LUCE):
    return an.Annotator(an.Tabular(n), rule)


def pairs(n, won, names=None, prompts=None):
    """Data in which each pair (a, b) says that a won."""
    items = an.Items(n=n, names=names, prompts=prompts)
    return an.PreferenceData(items, menu=[list(p) for p in won], answer=[0] * len(won))


@settings(max_examples=60)
@given(data=st.preference_data(shape="any"))
def test_fit_raises_exactly_when_the_win_graph_is_not_strongly_connected(data):
    """Against a search over all subsets (Ford's condition word for word)."""
    n, stats = data.items.n, from_data(data)
    wins = stats.graph().toarray() > 0
    subsets = [s for s in range(1, 2**n - 1)]
    split = any(
        not wins[np.ix_([i for i in range(n) if s >> i & 1], [i for i in range(n) if not s >> i & 1])].any()
        for s in subsets
    )
    exists = not split if data.items.num_prompts == 1 else None
    if exists is None:
        return
    if exists:
        assert an.fit(table(n), data).converged
    else:
        with pytest.raises(an.errors.NotIdentifiedError):
            an.fit(table(n), data)


def test_an_undefeated_item_is_named_with_remedies():
    data = pairs(3, [(0, 1), (1, 2), (2, 1)], names=["tea", "milk", "mud"])
    with pytest.raises(an.errors.NotIdentifiedError, match="never lost to the others: 'tea'") as caught:
        an.fit(table(3), data)
    assert "tea" in caught.value.items and ["tea"] in caught.value.components
    for word in ("prior=", "drop", "against"):
        assert word in str(caught.value)


def test_separate_components_and_unseen_items_are_named():
    data = pairs(5, [(0, 1), (1, 0), (2, 3), (3, 2)])
    with pytest.raises(
        an.errors.NotIdentifiedError, match="never compared: '4'.*never compared with the rest"
    ) as caught:
        an.fit(table(5), data)
    assert set(caught.value.items) >= {"4", "2", "3"} or set(caught.value.items) >= {"4", "0", "1"}


def test_components_in_different_prompts_are_normalised_separately():
    data = pairs(4, [(0, 1), (1, 0), (2, 3), (3, 2), (3, 2)], prompts=[0, 0, 1, 1])
    fit = an.fit(table(4), data)
    values = fit.population.utility.values
    assert abs(float(values[:2].sum())) < 1e-12 and abs(float(values[2:].sum())) < 1e-12
    assert abs(float(values[3] - values[2]) - np.log(2)) < 1e-10
    assert fit.num_parameters == 2 and "each of 2 prompts" in fit.normalisation[0]


def test_annotators_without_answers_change_nothing_and_have_no_responsibility():
    data = an.PreferenceData(an.Items(n=2), menu=[[0, 1]] * 3, answer=[0, 0, 1], annotator=[0, 3, 9])
    fit = an.fit(table(2), data)
    assert fit.responsibilities.shape == (3, 1)
    assert abs(float(fit.population.utility.values[0]) - 0.5 * np.log(2)) < 1e-10


@pytest.mark.parametrize("prior", [an.priors.Dirichlet(1.0), an.priors.Gaussian(2.0)])
def test_a_prior_decides_and_says_so(prior):
    fit = an.fit(table(3), pairs(3, [(0, 1), (1, 2)]), prior=prior)
    assert fit.converged and "decided" in fit.notes[0] and repr(prior) in fit.notes[0]
    assert float(fit.population.utility.values[0]) > float(fit.population.utility.values[2])


def test_a_prior_that_only_shrinks_says_so():
    fit = an.fit(table(2), pairs(2, [(0, 1), (1, 0), (0, 1)]), prior=an.priors.Dirichlet(0.5))
    assert "exists without it" in fit.notes[0]


def test_dirichlet_prior_is_pseudo_counts():
    """Two items: c pseudo-wins each, so the odds are (wins + c) / (losses + c)."""
    fit = an.fit(table(2), pairs(2, [(0, 1)] * 3), prior=an.priors.Dirichlet(2.0))
    gap = float(fit.population.utility.values[0] - fit.population.utility.values[1])
    assert abs(gap - np.log(5 / 2)) < 1e-9


@given(d=hs.lists(hs.lists(hs.integers(-3, 3), min_size=2, max_size=2), min_size=1, max_size=8))
@settings(max_examples=100)
def test_separation_against_a_fan_of_directions(d):
    """In the plane: a separating direction can be looked for at the normals of the differences and between them."""
    d = np.array(d, dtype=float)
    angles = [np.arctan2(y, x) + t for x, y in d if x or y for t in (np.pi / 2, -np.pi / 2, 0.0)]
    middle = [(a + b) / 2 for a in angles for b in angles]
    fan = np.array([[np.cos(a), np.sin(a)] for a in [*angles, *middle, *(np.array(middle) + np.pi)]])
    gains = d @ fan.T if len(fan) else np.zeros((1, 1))
    expected = bool(((gains >= -1e-9).all(0) & (gains > 1e-9).any(0)).any())
    assert (separating_direction(d) is not None) == expected


def test_weights_that_prove_an_overlap_say_what_the_linear_program_says(monkeypatch):
    """Of answers of logistic people with 1 to 6 features, some collinear or on a grid; two thirds need no linear program."""
    rng, proved, unproved = np.random.default_rng(0), 0, 0
    for k in range(200):
        dim = int(rng.integers(1, 7))
        d = rng.normal(size=(int(rng.integers(3, 200)), dim))
        d = np.round(d) if k % 7 == 0 else d
        if k % 5 == 0:
            d[:, -1] = d[:, 0]
        steep = rng.normal(size=dim) * rng.choice([0.0, 1.0, 3.0, 10.0])
        d = np.where((rng.random(len(d)) < 1 / (1 + np.exp(-d @ steep)))[:, None], d, -d)
        with monkeypatch.context() as patched:
            patched.setattr("annosim.learning.existence.separation._overlap", lambda x: False)
            separates = separating_direction(d) is not None
        size = np.abs(d).max(1)
        quick = _overlap(d[size > 0] / size[size > 0, None])
        assert not (quick and separates)
        proved, unproved = proved + quick, unproved + (not quick and not separates)
    assert proved > 2 * unproved


@given(
    d=hs.lists(hs.lists(hs.integers(-3, 3), min_size=2, max_size=2), min_size=1, max_size=8),
    power=hs.lists(hs.integers(-40, 40), min_size=8, max_size=8),
)
@settings(max_examples=60)
def test_separation_does_not_know_how_far_apart_a_pair_is(d, power):
    """Differences may be multiplied by any positive numbers, one by one: powers of two from 1e-12 to 1e12."""
    d = np.array(d, dtype=float)
    scaled = d * 2.0 ** np.array(power[: len(d)])[:, None]
    found = separating_direction(scaled)
    assert (found is None) == (separating_direction(d) is None)
    assert found is None or ((d @ found >= -1e-6).all() and (d @ found > 0).any())


@pytest.mark.parametrize("scale", [1e-200, 1e-12, 1.0, 1e12, 1e200])
def test_a_null_space_does_not_know_the_scale(scale):
    a = np.array([[1.0, 2.0, 3.0], [0.5, 1.0, 1.5], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    null = _null(scale * a)
    assert null.shape == (3, 1) and np.abs(a @ null).max() < 1e-12
    assert _null(0 * a).shape == (3, 3) and _null(a[:0]).shape == (3, 3)


def test_a_separated_linear_model_raises():
    items = an.Items(features=[[0.0], [1.0]])
    data = an.PreferenceData(items, menu=[[0, 1]] * 4, answer=[1] * 4)
    with pytest.raises(an.errors.NotIdentifiedError, match="separated"):
        an.fit(an.Annotator(an.Linear(1), LUCE), data)
    assert an.fit(an.Annotator(an.Linear(1), LUCE), data, prior=an.priors.Ridge(1.0)).converged


def test_a_direction_that_no_menu_varied_raises_and_a_constant_feature_is_a_convention():
    items = an.Items(features=[[0.0, 0.0], [1.0, 0.0], [0.0, 5.0]])
    data = an.PreferenceData(items, menu=[[0, 1]] * 4, answer=[1, 0, 0, 0])
    with pytest.raises(an.errors.NotIdentifiedError, match="no menu varied"):
        an.fit(an.Annotator(an.Linear(2), LUCE), data)
    constant = an.Items(features=[[0.0, 1.0], [1.0, 1.0]])
    fit = an.fit(an.Annotator(an.Linear(2), LUCE), data.with_(items=constant))
    assert fit.converged and fit.num_parameters == 1
    assert fit.population.utility.weights[1] == 0.0


@pytest.mark.parametrize("units", [(1e6, 1e-6), (1e-9, 1.0), (1e9, 1e9)])
def test_the_units_of_features_decide_nothing(units):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 2))
    data = an.simulate(
        an.Annotator(an.Linear([1.0, -0.5]), LUCE), an.Design(an.Items(features=x), annotators=80), seed=0
    )
    plain, other = (
        an.fit(an.Annotator(an.Linear(2), LUCE), data.with_(items=an.Items(features=x * np.array(u))))
        for u in ((1.0, 1.0), units)
    )
    ratio = (
        other.population.utility.weights.detach().numpy() * units / plain.population.utility.weights.detach().numpy()
    )
    assert other.converged and other.num_parameters == 2 and np.abs(ratio - 1).max() < 1e-8
    errors = [fit.standard_errors()["utility.weights"].numpy() for fit in (other, plain)]
    assert np.abs(errors[0] * units / errors[1] - 1).max() < 1e-8
    separated = data.with_(answer=(np.diff(x[data.menu] @ [1.0, 0.3], axis=1)[:, 0] > 0).astype(int))
    with pytest.raises(an.errors.NotIdentifiedError, match="separated"):
        an.fit(an.Annotator(an.Linear(2), LUCE), separated.with_(items=an.Items(features=x * np.array(units))))


def test_ties_connect_both_ways():
    data = an.PreferenceData(
        an.Items(n=2), menu=[[0, 1]] * 3, answer=[[0, -1], [0, 1], [0, -1]], tied=[[False], [True], [False]]
    )
    graph, seen = answers_graph(data)
    assert connectivity(graph, data.items, seen).exists
    fit = an.fit(table(2, an.Davidson(delta=an.free(1.0))), data)
    assert fit.converged


@pytest.mark.parametrize(
    "rule",
    [
        an.rules.RaoKupper(an.free(2.0)),
        an.Lapse(LUCE, 0.1),
        an.Lapse(an.PositionBias(LUCE, an.free(0.0)), an.free(0.1)),
    ],
)
def test_undefeated_under_ties_lapses_and_positions_raises(rule):
    data = an.PreferenceData(an.Items(n=2), menu=[[0, 1], [1, 0]] * 5, answer=[0, 1] * 5)
    with pytest.raises(an.errors.NotIdentifiedError, match="never lost"):
        an.fit(table(2, rule), data)
    with pytest.raises(an.errors.NotIdentifiedError, match="separated along"):
        an.fit(an.Annotator(an.Linear(1), rule), data.with_(items=an.Items(features=[[1.0], [0.0]])))


def test_undefeated_under_mistakes_that_reverse_the_answer_is_refused_too():
    """Nine of nine is more than the ninety per cent that no utility reaches: the likelihood 0.9^9 is a limit."""
    data = pairs(2, [(0, 1)] * 9)
    with pytest.raises(an.errors.NotIdentifiedError, match=r"no finite estimate of utility.values\[0\]"):
        an.fit(table(2, an.Lapse(LUCE, 0.1, how="flip")), data)


@pytest.mark.parametrize("rule", [an.rules.RaoKupper(an.free(2.0)), an.Davidson(an.free(1.0))])
def test_nothing_but_ties_says_nothing_of_their_parameter(rule):
    data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 3, answer=[[0, 1]] * 3, tied=[[True]] * 3)
    for model in (table(2, rule), an.Mixture([table(2, rule), table(2, an.Luce())])):
        with pytest.raises(an.errors.AnnosimError, match="every answer is a tie|no ties"):
            an.fit(model, data, prior=an.priors.Gaussian(1.0))


def test_items_unseen_by_several_types_under_any_rule_are_named():
    data = pairs(3, [(0, 1), (1, 0)] * 4).with_(annotator=np.arange(8) % 4)
    types = [table(3, an.PositionBias(LUCE, an.free(s))) for s in (0.5, -0.5)]
    with pytest.raises(an.errors.NotIdentifiedError, match="never compared: '2'"):
        an.fit(an.Mixture(types), data)


@pytest.mark.parametrize("rule", [an.rules.RaoKupper(an.free(2.0)), an.Davidson(an.free(1.0)), an.Thurstone()])
def test_the_population_found_is_normalised_as_reported(rule):
    data = pairs(3, [(0, 1), (1, 0), (1, 2), (0, 2), (2, 0)] * 4)
    if rule.ties:
        data = data.with_(answer=[[0, 1]] * 20, feedback="ranking", tied=[[r % 7 == 0] for r in range(20)])
    fit = an.fit(table(3, rule), data)
    assert fit.converged and abs(float(fit.population.utility.values.sum())) < 1e-12


def test_where_peers_are_silent():
    """The cases of the issue: choix's numbers for an infinite maximum, and zeros for disconnected items."""
    choix = pytest.importorskip("choix")
    undefeated = choix.opt_pairwise(3, [(0, 1), (0, 2), (1, 2), (2, 1)], alpha=0.0)
    assert np.isfinite(undefeated).all()  # a finite answer, although the maximum is at infinity
    with pytest.raises(an.errors.NotIdentifiedError):
        an.fit(table(3), pairs(3, [(0, 1), (0, 2), (1, 2), (2, 1)]))


def test_where_evalica_is_silent():
    evalica = pytest.importorskip("evalica")
    x, y = ["a", "a", "b", "c"], ["b", "c", "c", "b"]
    result = evalica.bradley_terry(x, y, [evalica.Winner.X] * 4)
    assert np.ptp(result.scores.to_numpy()) == 0.0  # every score has collapsed to the tolerance, without a word
    with pytest.raises(an.errors.NotIdentifiedError):
        an.fit(table(3), pairs(3, [(0, 1), (0, 2), (1, 2), (2, 1)]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"solver": "magic"}, "solver='magic'"),
        ({"starts": 0}, "starts=0"),
        ({"tolerance": 2.0}, "tolerance"),
        ({"prior": an.priors.Ridge(1.0)}, "acts on nothing in this model .utility.values."),
        ({"solver": an.learning.SimulatedLikelihood()}, "does not apply"),
        ({"solver": an.Newton}, "with brackets"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(an.errors.AnnosimError, match=message):
        an.fit(table(2), pairs(2, [(0, 1), (1, 0)]), **arguments)


@pytest.mark.parametrize("value", [0.0, -1.0, np.inf, np.nan, True, "x"])
@pytest.mark.parametrize("prior", [an.priors.Gaussian, an.priors.Dirichlet, an.priors.Ridge])
def test_bad_priors(prior, value):
    with pytest.raises(an.errors.AnnosimError, match="finite number above 0"):
        prior(value)


def test_ties_and_skips_under_luce_raise():
    tied = an.PreferenceData(an.Items(n=2), menu=[[0, 1]], answer=[[0, 1]], tied=[[True]])
    with pytest.raises(an.errors.AnnosimError, match="half"):
        an.fit(table(2), tied)
    skipped = an.PreferenceData(an.Items(n=2), menu=[[0, 1]] * 2, answer=[0, -1])
    with pytest.raises(an.errors.AnnosimError, match="skip"):
        an.fit(table(2), skipped)


def test_collinear_features_have_the_shortest_weights_and_errors_to_match():
    x = np.random.default_rng(0).normal(size=(5, 1))
    data = an.simulate(an.Annotator(an.Linear([1.0]), LUCE), an.Design(an.Items(features=x), annotators=80), seed=0)
    one = an.fit(an.Annotator(an.Linear(1), LUCE), data)
    two = an.fit(an.Annotator(an.Linear(2), LUCE), data.with_(items=an.Items(features=np.c_[x, 2 * x])))
    share = np.array([1.0, 2.0]) / 5.0
    assert np.allclose(two.population.vector(), share * float(one.population.vector()), atol=1e-10)
    for kind in ("hessian", "sandwich"):
        assert np.allclose(two.covariance(kind), np.outer(share, share) * float(one.covariance(kind)), atol=1e-10)


def test_what_the_data_say_nothing_of_has_an_infinite_error():
    """Types of one answer each, on pairs: seven numbers, and three probabilities to know them by."""
    items = an.Items(features=np.eye(3)[:, :2])
    types = [an.Annotator(an.Linear([s, 0.0]), LUCE) for s in (1.0, -1.0)]
    data = pairs(3, [(0, 1), (1, 0), (1, 2), (2, 1), (0, 2), (2, 0)] * 9).with_(items=items)
    fit = an.fit(an.Mixture(types), data)
    assert any(bool(torch.isinf(error).any()) for error in fit.standard_errors().values())


def test_types_of_people_who_answer_once_are_noted():
    two = an.Mixture([an.Annotator(an.Linear([s, 0.5]), an.Luce()) for s in (2.0, -2.0)], [0.7, 0.3])
    items = an.Items.normal(6, 2, seed=0)
    for questions, noted in ((1, True), (2, False)):
        data = an.simulate(two, an.Design(items, annotators=300, questions=questions), seed=0)
        notes = an.fit(two.like(seed=1), data, starts=2).notes
        assert any("nobody answers twice" in note for note in notes) is noted
    single = an.fit(two.types[0].like(seed=1), an.simulate(two, an.Design(items, annotators=300), seed=0))
    assert not any("nobody answers twice" in note for note in single.notes)


def test_a_mixture_of_one_type_is_that_type():
    alone = an.Annotator(an.Tabular(3), an.Luce())
    votes = an.simulate(
        an.Annotator(an.Tabular([0.0, 1.0, 2.0]), an.Luce()),
        an.Design(an.Items(n=3), annotators=40, questions=4),
        seed=0,
    )
    one, mixed = an.fit(alone, votes), an.fit(an.Mixture([alone]), votes)
    assert mixed.converged and mixed.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-9)
    assert mixed.population.component_weights().tolist() == [1.0]
    assert mixed.population.types[0].utility.values.tolist() == pytest.approx(one.population.utility.values.tolist())


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (an.Davidson(), ["delta of Davidson is held at 1 and"]),
        (an.PositionBias(an.rules.RaoKupper(3.0), an.free(0.0)), ["theta of RaoKupper is held at 3 and"]),
        (an.Davidson(delta=an.free(1.0)), []),
    ],
)
def test_a_number_of_ties_that_is_held_is_noted(rule, told):
    people = an.Annotator(an.Tabular([0.0, 0.5, 1.0]), an.Davidson(delta=0.5))
    data = an.simulate(people, an.Design(an.Items(n=3), annotators=300), seed=0)
    fit = an.fit(an.Annotator(an.Tabular(3), rule), data)
    held = [note for note in fit.notes if " is held at " in note]
    assert len(held) == len(told) and all(note.startswith(start) for note, start in zip(held, told, strict=True))
    without = data.take(~np.asarray(data.tied).any(axis=-1))
    assert not any(
        " is held at " in note for note in an.fit(an.Annotator(an.Tabular(3), an.Davidson(0.5)), without).notes
    )
