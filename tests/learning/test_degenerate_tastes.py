"""The catalogue of ``test_degenerate.py``, of people who differ: tastes, groups, prototypes, contamination, types alike."""

from __future__ import annotations

import dataclasses
import itertools
import warnings

import numpy as np
import pytest
import torch

import annosim as an
from annosim.coordinates.normalisation import canonical
from annosim.learning.inference.resample import _normalised

ITEMS = an.Items(names=["a", "b", "c"])
FEATURES = np.array([[0.0, 1.0], [1.0, 0.5], [2.0, -1.0], [0.5, 2.0]])
DESCRIBED = an.Items(features=FEATURES)
LUCE = an.Luce()
WORTH, TASTE = [0.0, 0.5, 1.0], [0.7, -0.4]
FOUR = [list(pair) for pair in itertools.combinations(range(4), 2)]
SURE = [0 if FEATURES[a] @ TASTE > FEATURES[b] @ TASTE else 1 for a, b in FOUR]
SEPARATED = an.PreferenceData(DESCRIBED, FOUR * 6, SURE * 6, annotator=np.repeat(np.arange(6), 6))
ALONE = an.PreferenceData(DESCRIBED, FOUR * 6, SURE * 6)
LINEAR = an.simulate(an.Annotator(an.Linear(TASTE), LUCE), an.Design(DESCRIBED, annotators=60, questions=3), seed=0)
PLAIN = an.simulate(an.Annotator(an.Tabular(WORTH), LUCE), an.Design(ITEMS, annotators=60, questions=3), seed=0)
UNDEFEATED = an.PreferenceData(
    ITEMS, [[0, 1], [0, 2], [1, 2], [2, 1]] * 6, [0] * 24, annotator=np.repeat(np.arange(6), 4)
)


def told(model, data, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fit = an.fit(model, data, **options)
        except an.errors.NotIdentifiedError as error:
            return str(error), None
        return "; ".join(fit.notes), fit


def normal(mean=(0.0, 0.0), scale=(0.5, 0.5), rule=LUCE, **settings):
    return an.RandomCoefficients(mean, scale, rule, **settings)


SHAPES = {
    "normal": {},
    "correlated": {"lower": [0.1]},
    "Gauss": {"quadrature": "hermite", "points": 9},
    "log-normal": {"distribution": "lognormal", "signs": [1, -1]},
    "one log-normal": {"distribution": ["lognormal", "normal"]},
    "log-normal of a known spread": {"distribution": "lognormal", "signs": [1, -1], "scale": an.fixed([0.5, 0.5])},
    "normal of a known spread": {"scale": an.fixed([0.5, 0.5])},
    "of a known mean": {"mean": an.fixed(TASTE)},
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("data", [SEPARATED, ALONE], ids=["panels", "single answers"])
def test_tastes_of_people_who_agree_on_everything(data, name):
    said, fit = told(normal(**SHAPES[name]), data)
    if data is ALONE and "mean" in SHAPES[name]:  # nobody answers twice: one taste says as much as many
        assert "scale[0] is at the boundary" in said and "scale[1] is at the boundary" in said
    else:
        assert fit is None and "no finite estimate of" in said and ("mean[" in said or "scale[" in said)


def test_under_another_rule_too():
    said, fit = told(normal(rule=an.PositionBias(LUCE, 0.0), points=6), SEPARATED)
    assert fit is None and "no finite estimate of mean" in said


def test_a_log_normal_coefficient_of_the_wrong_sign_is_zero_at_infinity():
    said, fit = told(normal(distribution="lognormal", signs=[-1, 1]), LINEAR)
    assert fit is None and "no finite estimate of mean[0] (at -2" in said


def test_groups_of_people_who_agree():
    said, fit = told(
        an.populations.Hierarchy([TASTE, [-0.5, 0.5]], 0.3, LUCE, points=3),
        SEPARATED,
        solver=an.LBFGS(max_iterations=100),
    )
    assert not fit.converged or "do not tell" in said or "run to infinity" in said
    assert bool(torch.isinf(torch.cat([x.reshape(-1) for x in fit.standard_errors().values()])).any())


def test_means_of_low_rank_tastes():
    said, fit = told(an.populations.LowRank([0.0, 0.0, 0.0], [[0.5], [0.0], [-0.5]], LUCE, points=12), UNDEFEATED)
    assert fit is None and "no finite estimate of mean[0]" in said


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("prompts", [[0, 0, 0, 0], [0, 0, 1, 1]], ids=["one prompt", "two prompts"])
def test_the_level_of_hidden_directions_is_a_convention_and_their_rotation_is_not_told(rank, prompts):
    """A turned and lifted twin has the same law, and the same estimates and errors of what can be told."""
    items = an.Items(n=4, prompts=prompts)
    start = np.array([[0.5, 0.1, 0.2], [0.0, 0.4, -0.3], [-0.5, 0.3, 0.1], [0.9, -0.6, 0.3]])[:, :rank]
    data = an.simulate(
        an.populations.LowRank([0.1, 0.0, 0.4, 0.2], start, LUCE, points=6),
        an.Design(items, annotators=60, questions=4),
        seed=0,
    )
    fit = an.fit(an.populations.LowRank([0.0] * 4, start, LUCE, points=6), data, solver=an.LBFGS(max_iterations=30))
    turn = np.linalg.qr(np.random.default_rng(rank).normal(size=(rank, rank)))[0] if rank > 1 else np.array([[-1.0]])
    found = fit.population
    twin = an.populations.LowRank(
        (found.mean.detach() + 2).tolist(), (found.loadings.detach().numpy() @ turn + 1.0).tolist(), LUCE, points=6
    )
    one, other = fit.standard_errors(), dataclasses.replace(fit, population=twin).standard_errors()
    assert np.isfinite(one["mean"].numpy()).all()
    assert other["mean"].numpy() == pytest.approx(one["mean"].numpy(), rel=0.1)
    for errors in (one, other):  # a column of zeros is turned into the other, and the other stays
        assert bool(torch.isinf(errors["loadings"]).any()) is (rank > 1)
    assert canonical(twin, items).numpy()[:4] == pytest.approx(canonical(found, items).numpy()[:4], abs=1e-9)
    assert fit.normalisation[0].startswith("utilities sum to zero") and len(fit.normalisation) == 1


@pytest.mark.parametrize("start", [1.0, [1.0, 1.0]], ids=["one number", "one each"])
def test_a_concentration_at_infinity(start):
    """All are alike, and so no finite concentration says how alike they are."""
    prototypes = [an.Tabular(an.fixed(WORTH)), an.Tabular(an.fixed(WORTH[::-1]))]
    people = an.populations.DirichletTastes(prototypes, an.free(start), LUCE, points=128)
    said, fit = told(people, PLAIN)
    assert fit is None and "no finite estimate of concentration[0]" in said


def test_a_concentration_of_prototypes_that_are_one():
    people = an.populations.DirichletTastes([an.Tabular(an.fixed(WORTH))] * 2, an.free(1.0), LUCE, points=128)
    assert "do not tell concentration[0], concentration[1]" in told(people, PLAIN)[0]


SPAM = {
    "an undefeated item": (lambda: an.Annotator(an.Tabular(3), LUCE), UNDEFEATED, "utility.values[0] run to infinity"),
    "separated answers": (lambda: an.Annotator(an.Linear(2), LUCE), SEPARATED, "utility.weights[0]"),
    "people without preferences": (
        lambda: an.Annotator(an.Tabular(an.fixed([0.0] * 3)), LUCE),
        PLAIN,
        "do not tell weights",
    ),
}


@pytest.mark.parametrize("name", SPAM)
def test_contaminated(name):
    make, data, expected = SPAM[name]
    said, _ = told(an.populations.Contaminated(make(), 0.2), data)
    assert expected in said


ALIKE = {
    "tables": lambda: [an.Annotator(an.Tabular(an.fixed(WORTH)), LUCE) for _ in range(2)],
    "tables at another level": lambda: [an.Annotator(an.Tabular(an.fixed(np.add(WORTH, c))), LUCE) for c in (0.0, 1.0)],
    "with ties": lambda: [an.Annotator(an.Tabular(an.fixed(WORTH)), an.Davidson(0.5)) for _ in range(2)],
}


@pytest.mark.parametrize("name", ALIKE)
@pytest.mark.parametrize("gated", [False, True], ids=["shares", "gate"])
def test_types_that_are_alike(gated, name):
    types = ALIKE[name]()
    people = an.Gated(types, covariates=np.linspace(-1, 1, 60)[:, None]) if gated else an.Mixture(types)
    said, fit = told(people, PLAIN)
    assert "do not tell " + ("gate" if gated else "weights[0], weights[1]") in said
    assert all(bool(torch.isinf(one).all()) for one in fit.standard_errors().values())


# ---- nearly collinear features -----------------------------------------------------------------------------------------


def nearly(size):
    return LINEAR.with_(items=an.Items(features=np.c_[FEATURES[:, 0], FEATURES[:, 0] + size * FEATURES[:, 1]]))


@pytest.mark.parametrize("size", [1e-3, 1e-5, 1e-6])
def test_weights_along_a_direction_that_is_hardly_seen_are_found_in_their_unit(size):
    """The same choices in other coordinates: as good a likelihood, and the weights turned back."""
    plain, here = (an.fit(an.Annotator(an.Linear(2), LUCE), data) for data in (LINEAR, nearly(size)))
    assert here.converged and here.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-7)
    first, second = here.population.utility.weights.detach().numpy()
    back = [first + second, size * second]
    assert back == pytest.approx(plain.population.utility.weights.detach().numpy(), rel=1e-3)
    assert any("nearly collinear: along [1, -1]" in note for note in here.notes) is (size < 1e-4)


@pytest.mark.parametrize("size", [1e-5, 1e-6])
def test_and_of_tastes(size):
    model = normal(scale=an.fixed([0.3, 0.0]), points=8)
    fit = an.fit(model, nearly(size))
    assert fit.converged and any("nearly collinear" in note for note in fit.notes)
    assert abs(float(fit.population.mean.sum().detach())) < 5.0 < float(fit.population.mean.detach().abs().max())


@pytest.mark.parametrize("size", [1e-7, 1e-9])
@pytest.mark.parametrize(
    "model",
    [
        lambda: an.Annotator(an.Linear(2), LUCE),
        lambda: an.Annotator(an.Linear(2), an.PositionBias(LUCE, an.free(0.0))),
        lambda: an.Mixture([an.Annotator(an.Linear(w), LUCE) for w in ([0.1, 0.2], [-0.3, 0.1])]),
    ],
    ids=["luce", "position", "types"],
)
def test_where_rounding_hides_a_direction_it_is_named(model, size):
    assert "nearly collinear: along [1, -1]" in told(model(), nearly(size))[0]


def test_replicates_of_hidden_directions_point_where_the_estimate_does():
    """The first item hardly differs between people: the sign of a replicate's loadings may not hang on it."""
    people = an.populations.LowRank([0.0] * 3, [[0.05], [1.5], [-1.5]], LUCE, points=8)
    data = an.simulate(people, an.Design(an.Items(n=3), annotators=100, questions=6), seed=0)
    fit = an.fit(people, data)
    found = {name: value.detach() for name, value in fit.population.free_parameters().items()}
    mirrored = _normalised(fit, found | {"loadings": -found["loadings"]})  # the same law
    assert mirrored.numpy() == pytest.approx(_normalised(fit, found).numpy(), abs=1e-12)
