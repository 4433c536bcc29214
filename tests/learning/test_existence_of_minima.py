"""Objectives beside the likelihood: where their minimum runs to infinity it is refused by name, where it is not unique that is said."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import annosim as an

ITEMS = an.Items(names=["tea", "milk", "mud"])
UNDEFEATED = an.PreferenceData(ITEMS, [[0, 1], [0, 2], [1, 2], [2, 1]] * 2, [0] * 8)
FEATURES = np.array([[0.0, 1.0], [1.0, 0.5], [2.0, -1.0], [0.5, 2.0]])
DESCRIBED = an.Items(features=FEATURES)
FOUR = [list(pair) for pair in itertools.combinations(range(4), 2)]
SURE = an.PreferenceData(DESCRIBED, FOUR * 3, [int(FEATURES[b, 0] > FEATURES[a, 0]) for a, b in FOUR] * 3)
objectives = an.objectives
LEVEL_OFF = {
    "constant": objectives.Margin("constant", alpha=1.0),
    "signed": objectives.Margin("signed"),
    "inside": objectives.Margin("inside"),
    "given": objectives.Margin("given"),
    "soft labels": objectives.SoftLabels(),
}
HOLD = {"ipo": objectives.IPO(0.5), "smoothed": objectives.NLL(label_smoothing=0.1)}


def judged(data, share):
    return data.with_(columns={"judged": np.full(data.rows, float(share))})


def table(kind):
    if kind == "luce":
        return an.Annotator(an.Tabular(3), an.Luce())
    return an.Annotator(
        an.LogDensity(an.Tabular(3)), an.PBDE.dpo(2.0, an.LogDensity(an.Tabular(an.fixed([0.0, 1.0, 0.5]))))
    )


@pytest.mark.parametrize("name", LEVEL_OFF)
@pytest.mark.parametrize("kind", ["luce", "dpo"])
def test_an_undefeated_item_has_no_finite_utility(kind, name):
    with pytest.raises(an.errors.NotIdentifiedError, match="never lost to the others: 'tea'") as caught:
        an.fit(table(kind), judged(UNDEFEATED, 1.0), objective=LEVEL_OFF[name])
    assert "tea" in caught.value.items and "label_smoothing" in str(caught.value) and "prior" not in str(caught.value)


@pytest.mark.parametrize("name", HOLD)
@pytest.mark.parametrize("kind", ["luce", "dpo"])
def test_what_holds_too_sure_answers_has_a_minimum(kind, name):
    fit = an.fit(table(kind), UNDEFEATED, objective=HOLD[name])
    assert fit.converged and bool(torch.isfinite(fit.population.vector()).all())


def test_soft_labels_below_one_are_shares():
    """One pair, half of the judges' shares at .5 and half at .9: the logit of .7; at exactly one there is none."""
    two = an.PreferenceData(an.Items(n=2), [[0, 1]] * 2, [0, 0], columns={"judged": np.array([0.5, 0.9])})
    u = an.fit(an.Annotator(an.Tabular(2), an.Luce()), two, objective=objectives.SoftLabels()).population.utility.values
    assert float((u[0] - u[1]).detach()) == pytest.approx(np.log(0.7 / 0.3), abs=1e-8)
    one = two.with_(columns={"judged": np.ones(2)})
    with pytest.raises(an.errors.NotIdentifiedError, match="never lost"):
        an.fit(an.Annotator(an.Tabular(2), an.Luce()), one, objective=objectives.SoftLabels())
    mixed = two.with_(columns={"judged": np.array([1.0, 0.0])})  # each is preferred once
    level = an.fit(an.Annotator(an.Tabular(2), an.Luce()), mixed, objective=objectives.SoftLabels())
    assert float(level.population.utility.values.detach().abs().max()) < 1e-9


@pytest.mark.parametrize("name", LEVEL_OFF)
def test_separated_answers_have_no_finite_weights(name):
    with pytest.raises(an.errors.NotIdentifiedError, match="separated along"):
        an.fit(an.Annotator(an.Linear(2), an.Luce()), judged(SURE, 1.0), objective=LEVEL_OFF[name])


@pytest.mark.parametrize("name", HOLD)
def test_collinear_features_have_the_shortest_weights(name):
    data = an.simulate(an.Annotator(an.Linear([1.0, -0.5]), an.Luce()), an.Design(DESCRIBED, annotators=60), seed=0)
    x = FEATURES[:, :1]
    one = an.fit(an.Annotator(an.Linear(1), an.Luce()), data.with_(items=an.Items(features=x)), objective=HOLD[name])
    both = data.with_(items=an.Items(features=np.c_[x, 2 * x]))
    two = an.fit(an.Annotator(an.Linear(2), an.Luce()), both, objective=HOLD[name])
    share = np.array([1.0, 2.0]) / 5.0
    assert two.converged and any("minimum-norm" in note for note in two.notes)
    assert two.population.vector().numpy() == pytest.approx(share * float(one.population.vector()), abs=1e-7)


def test_the_whole_law_always_has_a_minimum():
    truth = an.Annotator(an.Tabular([3.0, 0.0, -3.0]), an.Luce())
    for objective in (LEVEL_OFF["constant"], LEVEL_OFF["signed"], LEVEL_OFF["soft labels"], *HOLD.values()):
        assert an.project(table("luce"), truth, an.Design(ITEMS), objective=objective).converged


# ---- SLiC: a minimum always exists, and need not be the only one -------------------------------------------------------


def slic(model, data, delta=1.0):
    return an.fit(model, data, objective=objectives.SLiC(delta))


def test_an_undefeated_group_can_move_although_none_of_its_items_can_alone():
    """a and b beat c and d by far, and each other equally often: the two of them may rise together."""
    items = an.Items(names=["a", "b", "c", "d"])
    menu = [[0, 1], [1, 0], [2, 3], [3, 2]] * 2 + [[0, 2], [0, 3], [1, 2], [1, 3]]
    fit = slic(an.Annotator(an.Tabular(4), an.Luce()), an.PreferenceData(items, menu, [0] * len(menu)))
    assert fit.converged and any("not unique" in note for note in fit.notes)


def test_weights_of_separated_answers_may_grow_at_no_cost():
    fit = slic(an.Annotator(an.Linear(2), an.Luce()), SURE)
    assert fit.objective == pytest.approx(0.0, abs=1e-12)
    assert any("not unique: weights utility.weights[0]" in note for note in fit.notes)


@pytest.mark.parametrize("seed", range(6))
def test_a_flat_direction_is_flat_and_where_there_is_none_every_step_costs(seed):
    """Weights of two features from a few answers: the objective along the direction, or along two hundred others."""
    rng = np.random.default_rng(seed)
    items = an.Items(features=rng.normal(size=(5, 2)).round(1))
    menu = np.stack([rng.permutation(5)[:2] for _ in range((4, 7, 12)[seed % 3])])
    data = an.PreferenceData(items, menu, rng.integers(0, 2, len(menu)))
    fit = slic(an.Annotator(an.Linear(2), an.Luce()), data)
    gap = (
        items.features.numpy()[menu[np.arange(len(menu)), data.answer]]
        - items.features.numpy()[menu[np.arange(len(menu)), 1 - data.answer]]
    )
    value = lambda w: np.maximum(0.0, 1.0 - gap @ w).mean()  # noqa: E731
    best = fit.population.vector().numpy()
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    rise = np.array([value(best + 1e-4 * np.array([np.cos(t), np.sin(t)])) for t in angles]) - value(best)
    alone = not any("not unique" in note for note in fit.notes)
    assert rise.min() > -1e-12 and (not alone or rise.min() > 1e-10)
    if not alone:  # between two of two hundred angles the rise is at most a step of 0.03 in the angle times a slope
        assert rise.min() < 1e-4 * 0.04 * np.abs(gap).sum(1).max()
