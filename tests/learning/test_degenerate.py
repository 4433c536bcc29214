"""A catalogue of models and data without an estimate: each is refused by name, or said by name to be no estimate."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as hs

import annosim as an

ITEMS = an.Items(names=["a", "b", "c"])
FEATURES = np.array([[0.0, 1.0], [1.0, 0.5], [2.0, -1.0], [0.5, 2.0]])
DESCRIBED = an.Items(names=["p", "q", "r", "s"], features=FEATURES)
WORTH = [0.0, 0.5, 1.0]
TASTE = [0.7, -0.4]
PLAIN = an.simulate(an.Annotator(an.Tabular(WORTH), an.Luce()), an.Design(ITEMS, annotators=200), seed=0)
LINEAR = an.simulate(an.Annotator(an.Linear(TASTE), an.Luce()), an.Design(DESCRIBED, annotators=100), seed=0)
ALL_PAIRS = [list(pair) for pair in itertools.permutations(range(3), 2)]
FOUR = [list(pair) for pair in itertools.combinations(range(4), 2)]
SURE = [0 if FEATURES[a] @ TASTE > FEATURES[b] @ TASTE else 1 for a, b in FOUR]


def left(items, people=1):
    """Every pair in both orders, and every answer is the item on the left."""
    menu = [list(pair) for pair in itertools.permutations(range(items.n), 2)]
    who = np.repeat(np.arange(people), len(menu))
    return an.PreferenceData(items, menu * people, [0] * len(menu) * people, annotator=who)


SEPARATED = an.PreferenceData(DESCRIBED, FOUR * 3, SURE * 3)
OPPOSED = an.PreferenceData(
    DESCRIBED, FOUR * 6, SURE * 3 + [1 - one for one in SURE] * 3, annotator=np.repeat(np.arange(6), len(FOUR))
)
NUMBERS: dict[str, tuple[str, Callable[[], an.rules.Rule]]] = {
    "davidson": ("delta", lambda: an.Davidson(an.free(1.0))),
    "rao-kupper": ("theta", lambda: an.rules.RaoKupper(an.free(2.0))),
    "lapse": ("rate", lambda: an.Lapse(an.Luce(), an.free(0.1))),
    "flip": ("rate", lambda: an.Lapse(an.Luce(), an.free(0.1), how="flip")),
    "skip": ("rate", lambda: an.rules.Skip(an.Luce(), an.free(0.1))),
}
SCALES: dict[str, tuple[str, Callable[[], an.rules.Rule]]] = {
    "temperature": ("temperature", lambda: an.Luce(an.free(1.0))),
    "scaled": ("factor", lambda: an.rules.Scaled(an.Luce(), an.free(1.0))),
    "thurstone": ("sd", lambda: an.rules.Thurstone(an.free(1.0))),
}


def told(model, data, **options):
    """What is said: the refusal, or all notes, and the standard errors where there is a fit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fit = an.fit(model, data, **options)
        except an.errors.NotIdentifiedError as error:
            return str(error), None
        return "; ".join(fit.notes), fit


def known_items(rule):
    return an.Annotator(an.Tabular(an.fixed(WORTH)), rule)


# ---- numbers of rules: the end of the range, infinity, or one scale too many --------------------------------------------


@pytest.mark.parametrize("name", [n for n in NUMBERS if n not in ("lapse", "flip")])
@pytest.mark.parametrize("utility", [an.Tabular(3), an.Tabular(an.fixed(WORTH))])
def test_what_never_occurs_is_at_the_boundary(name, utility):
    number, rule = NUMBERS[name]
    said, fit = told(an.Annotator(utility, rule()), PLAIN)
    assert f"rule.{number} is at the boundary" in said and fit.converged


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("utility", [an.Linear([0.0, 0.0]), an.Linear(an.fixed(TASTE))])
@pytest.mark.parametrize("sure", [False, True])
def test_the_same_under_a_linear_utility(name, utility, sure):
    number, rule = NUMBERS[name]
    said, _ = told(an.Annotator(utility, rule()), SEPARATED if sure else LINEAR)
    assert f"rule.{number} is at the boundary" in said or "separated along" in said or "utility.weights" in said


@pytest.mark.parametrize("name", SCALES)
@pytest.mark.parametrize("utility", [an.Tabular(3), an.Linear([0.0, 0.0])])
def test_a_scale_beside_free_utilities_is_not_told(name, utility):
    number, rule = SCALES[name]
    said, fit = told(an.Annotator(utility, rule()), PLAIN if isinstance(utility, an.Tabular) else LINEAR)
    assert f"rule.{number}" in said and "do not tell" in said
    assert np.isinf(float(fit.standard_errors()[f"rule.{number}"]))


@pytest.mark.parametrize("name", SCALES)
@pytest.mark.parametrize("free", [True, False])
def test_a_scale_among_answers_without_contradiction(name, free):
    number, rule = SCALES[name]
    utility = an.Linear([0.0, 0.0]) if free else an.Linear(an.fixed(TASTE))
    said, _ = told(an.Annotator(utility, rule()), SEPARATED)
    assert f"rule.{number}" in said or "separated along" in said


@pytest.mark.parametrize("prior", [None, an.priors.Dirichlet(0.5)])
@pytest.mark.parametrize("start", [0.0, [0.0, 0.0]])
@pytest.mark.parametrize("utility", [an.Tabular(3), an.Tabular(an.fixed(WORTH)), an.Linear([0.0, 0.0])])
def test_everybody_takes_the_first(prior, start, utility):
    if prior is not None and not isinstance(utility, an.Tabular):
        prior = None
    if prior is not None and not utility.free_parameters():
        prior = None
    data = left(DESCRIBED if isinstance(utility, an.Linear) else ITEMS)
    said, fit = told(an.Annotator(utility, an.PositionBias(an.Luce(), an.free(start))), data, prior=prior)
    assert "no finite estimate of rule.shift" in said and fit is None


def test_everybody_takes_the_first_whatever_their_type():
    two = [an.Annotator(an.Tabular(u), an.PositionBias(an.Luce(), an.free(0.0))) for u in (WORTH, WORTH[::-1])]
    said, fit = told(an.Mixture(two), left(ITEMS, people=4))
    assert "no finite estimate of types.0.rule.shift" in said and fit is None


@pytest.mark.parametrize("rule", ["davidson", "lapse", "temperature"])
def test_numbers_of_rules_inside_mixtures(rule):
    number, make = (NUMBERS | SCALES)[rule]
    two = [an.Annotator(an.Tabular(u), make()) for u in (WORTH, WORTH[::-1])]
    said, _ = told(an.Mixture(two), left(ITEMS, people=4))
    assert f"types.0.rule.{number}" in said


# ---- types whose utilities run to infinity -----------------------------------------------------------------------------

SIX = an.PreferenceData(ITEMS, [[0, 1], [1, 2], [2, 0], [1, 0], [2, 1], [1, 2]], [0, 1, 1, 0, 0, 0])
CYCLE = an.PreferenceData(ITEMS, [[0, 1], [1, 2], [0, 2]] * 6, [0] * 9 + [1] * 9, annotator=np.repeat(np.arange(6), 3))


@pytest.mark.parametrize("data", [SIX, CYCLE], ids=["six answers", "two camps"])
@pytest.mark.parametrize("starts", [1, 5])
def test_types_at_infinity_are_no_maximum(data, starts):
    two = an.Mixture([an.Annotator(an.Tabular(u), an.Luce()) for u in (WORTH, [0.3, 0.1, 0.0])])
    said, fit = told(two, data, starts=starts)
    assert "no finite maximum" in said and "utility.values" in said and "run to infinity" in said
    assert not fit.converged and fit.stopped_by == "infinity"
    errors, gone = fit.standard_errors(), [j for j, x in enumerate(fit.population.parameter_names()) if x in said]
    flat = torch.cat([errors[name].reshape(-1) for name in fit.population.free_parameters()]).numpy()
    assert gone and np.isinf(flat[gone]).all() and np.isfinite(flat[: len(fit.population.weights)]).all()


def test_linear_types_at_infinity():
    two = an.Mixture([an.Annotator(an.Linear(w), an.Luce()) for w in ([0.1, 0.2], [-0.1, 0.3])])
    said, fit = told(two, OPPOSED)
    assert "no finite maximum" in said and "utility.weights" in said and not fit.converged


def test_a_prior_makes_types_finite():
    two = an.Mixture([an.Annotator(an.Tabular(u), an.Luce()) for u in (WORTH, [0.3, 0.1, 0.0])])
    assert told(two, CYCLE, prior=an.priors.Gaussian(1.0))[1].converged


def test_replicates_and_redrawn_annotators_are_judged_alike():
    two = an.Mixture([an.Annotator(an.Tabular(u), an.Luce()) for u in (WORTH, [0.3, 0.1, 0.0])])
    fit = told(two, CYCLE)[1]
    with pytest.warns(UserWarning, match="3 of 3 replicates have no estimate"):
        assert not np.isfinite(np.asarray(fit.bootstrap(3))).any()


# ---- gates -------------------------------------------------------------------------------------------------------------

CERTAIN = [an.Annotator(an.Tabular(an.fixed([0.0, s])), an.Luce()) for s in (6.0, -6.0)]
PAIR = an.Items(n=2)


@pytest.mark.parametrize("unit", [1.0, 1e-3, 1e3])
@pytest.mark.parametrize("constant", [False, True])
def test_separated_covariates_of_a_gate(unit, constant):
    side = np.repeat([1.0, -1.0], 30) * unit
    people = an.Gated(CERTAIN, covariates=np.c_[np.ones(60), side] if constant else side[:, None])
    data = an.PreferenceData(PAIR, [[0, 1]] * 240, np.repeat([1, 0], 120), annotator=np.repeat(np.arange(60), 4))
    assert "no finite estimate of gate" in told(people, data)[0]


def test_collinear_covariates_of_a_gate_are_not_told_apart():
    people = an.Gated(CERTAIN, covariates=np.ones((60, 2)))
    answers = np.tile(np.repeat([1, 0], 4), 30)
    data = an.PreferenceData(PAIR, [[0, 1]] * 240, answers, annotator=np.repeat(np.arange(60), 4))
    said, _ = told(people, data)
    assert "do not tell gate" in said


# ---- grades that never occur, units and weights out of all range -------------------------------------------------------


@pytest.mark.parametrize("grades", [(1, 2), (0, 3), (1,), (0,)])
def test_a_cut_beyond_all_grades_of_pairs_is_refused(grades):
    given = np.resize(grades, 30)
    data = an.PreferenceData(
        ITEMS, [[0, 1], [1, 2], [2, 0]] * 10, np.c_[given, 3 - given], feedback=an.Feedback("rating", grades=4)
    )
    said, fit = told(an.Annotator(an.Tabular(3), an.rules.GradedPairs(an.free([1.0]))), data)
    assert fit is None and said


@pytest.mark.parametrize("never", [(0,), (3,), (1, 2), (0, 3)])
def test_a_grade_that_nobody_gave_leaves_its_cuts_open(never):
    used = [g for g in range(4) if g not in never]
    given = np.resize(used, 31)[:30]
    data = an.PreferenceData(ITEMS, [[0], [1], [2]] * 10, given[:, None], feedback=an.Feedback("rating", grades=4))
    said, fit = told(an.Annotator(an.Tabular(3), an.rules.OrderedLogit(an.free([-1.0, 0.0, 1.0]))), data)
    assert fit is None and ("nobody gave grade" in said or "only ever" in said)


@pytest.mark.parametrize("unit", [1e150, 1e300, 1e-150, 1e-300])
@pytest.mark.parametrize(
    "model",
    [
        an.Annotator(an.Linear([0.0, 0.0]), an.Luce()),
        an.Annotator(an.Linear([0.0, 0.0]), an.PositionBias(an.Luce(), an.free(0.0))),
        an.Mixture([an.Annotator(an.Linear(w), an.Luce()) for w in ([0.1, 0.2], [-0.1, 0.3])]),
        an.RandomCoefficients([0.0, 0.0], [1.0, 1.0], an.Luce()),
    ],
    ids=["luce", "position", "mixture", "tastes"],
)
def test_features_in_impossible_units_are_named(unit, model):
    items = an.Items(n=4, features=FEATURES * unit)
    said, fit = told(model, an.PreferenceData(items, LINEAR.menu, LINEAR.answer))
    assert fit is None and "feature 0 spans" in said


@pytest.mark.parametrize("rule", [an.Luce(), an.Davidson(an.free(1.0)), an.Lapse(an.Luce(), an.free(0.1))])
def test_a_weight_out_of_all_range_is_refused_in_one_line(rule):
    weight = np.r_[1e300, np.ones(len(PLAIN.answer) - 1)]
    with pytest.raises(an.errors.DataError, match=r"weight: 1e\+300"):
        an.fit(an.Annotator(an.Tabular(3), rule), PLAIN.with_(weight=weight))


# ---- drawn cases -------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None, derandomize=True)
@given(times=hs.lists(hs.integers(1, 4), min_size=6, max_size=6), weight=hs.floats(0.1, 10.0), fixed=hs.booleans())
def test_any_numbers_of_answers_on_the_left(times, weight, fixed):
    menu = [pair for pair, count in zip(ALL_PAIRS, times, strict=True) for _ in range(count)]
    data = an.PreferenceData(ITEMS, menu, [0] * len(menu), weight=np.full(len(menu), weight))
    utility = an.Tabular(an.fixed([0.0, 0.0, 0.0])) if fixed else an.Tabular(3)
    said, fit = told(an.Annotator(utility, an.PositionBias(an.Luce(), an.free(0.0))), data)
    assert "no finite estimate of rule.shift" in said and fit is None


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    wins=hs.lists(hs.tuples(hs.integers(1, 30), hs.integers(1, 30)), min_size=3, max_size=3),
    name=hs.sampled_from(sorted(SCALES)),
)
def test_any_table_beside_a_scale(wins, name):
    pairs = [[0, 1], [1, 2], [0, 2]]
    menu = [p for p, (a, b) in zip(pairs, wins, strict=True) for _ in range(a + b)]
    answer = [x for a, b in wins for x in [0] * a + [1] * b]
    number, rule = SCALES[name]
    said, fit = told(an.Annotator(an.Tabular(3), rule()), an.PreferenceData(ITEMS, menu, answer))
    spread = np.ptp(fit.population.utility.values.detach().numpy())
    assert "do not tell" in said or spread < 1e-3  # of equal items the scale alone is not told
    assert f"rule.{number}" in said


@settings(max_examples=25, deadline=None, derandomize=True)
@given(wins=hs.lists(hs.tuples(hs.integers(2, 30), hs.integers(2, 30)), min_size=3, max_size=3))
def test_any_table_without_a_tie(wins):
    pairs = [[0, 1], [1, 2], [0, 2]]
    menu = [p for p, (a, b) in zip(pairs, wins, strict=True) for _ in range(a + b)]
    answer = [x for a, b in wins for x in [0] * a + [1] * b]
    said, _ = told(an.Annotator(an.Tabular(3), an.Davidson(an.free(1.0))), an.PreferenceData(ITEMS, menu, answer))
    assert "rule.delta is at the boundary" in said
