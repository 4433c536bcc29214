"""A class with another name and nothing else of its own behaves as its parent, wherever it goes.

Whatever the library knows of a class (a compiled kernel, a closed form, a solver, a normalisation) it must know by what the
class does: a user's ``class MyLuce(Luce)`` is drawn, fitted, refused, reported and saved exactly as ``Luce`` is.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import annosim as an
from annosim.errors import AnnosimError

BASES = {an.Rule, an.rules.ResponseBias, an.Utility, an.Population, an.populations.RandomTastes}


def _public(room: Any, base: type) -> dict[str, type]:
    found = {name: getattr(room, name) for name in room.__all__}
    return {n: c for n, c in found.items() if inspect.isclass(c) and issubclass(c, base) and c not in BASES}


PUBLIC = _public(an.rules, an.Rule) | _public(an.utilities, an.Utility) | _public(an.populations, an.Population)


class MyRule(an.Rule):
    """As the base says, a rule of one's own defines ``kinds`` and ``log_prob``; here they are Luce's."""

    kinds = an.Luce.kinds

    def log_prob(self, scores, answer, view):
        return an.Luce().log_prob(scores, answer, view)


for _name, _class in PUBLIC.items():  # at the module's level, so that they can be saved and loaded by name
    setattr(sys.modules[__name__], f"My{_name}", type(f"My{_name}", (_class,), {"__module__": __name__}))


def same(name: str) -> type:
    """The public class itself."""
    return PUBLIC[name]


def mine(name: str) -> type:
    """A subclass of it with another name and nothing else."""
    return getattr(sys.modules[__name__], f"My{name}")


ITEMS = an.Items(
    features=[[0.5, 1.0], [-0.3, 0.2], [0.8, -1.0]],
    tokens=[[1, 2], [2, 0], [3, 1]],
    clusters=[0, 1, 1],
    columns={"length": [1.0, 2.0, 3.0], "steps": [[0.1, 0.2], [-0.5, 0.0], [0.3, 0.6]]},
)
PAIRS = an.Design(ITEMS, annotators=60, questions=3)
SINGLE = an.Design(ITEMS, annotators=120)
GRADES = an.Design(ITEMS, feedback="rating", grades=3, annotators=60)
THUMBS = an.Design(ITEMS, feedback="rating", grades=2, annotators=60)
SHOWN = an.Design(
    ITEMS, menus=[[0, 1], [1, 2], [2, 0]], annotators=120, covariates={"length": [[1.0, 0.0], [0.5, 2.0], [0.0, 1.0]]}
)
RANKINGS = an.Design(ITEMS, menu_size=3, feedback="ranking", annotators=80)

Make = Callable[[Callable[[str], Any]], Any]


def _with(rule: Make) -> Make:
    return lambda c: an.Annotator(an.Tabular([0.4, -0.3, -0.1]), rule(c))


def _of(utility: Make) -> Make:
    return lambda c: an.Annotator(utility(c), an.Luce())


def _perceptron() -> torch.nn.Module:
    return an.Network([3], dim=2, seed=1, dtype=torch.float64).module


def _language_model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Embedding(5, 5))


class Classifier(torch.nn.Module):
    """Reads tokens and gives one logit a sequence, as models of ``transformers`` do."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Embedding(5, 1)

    def forward(self, input_ids, attention_mask):
        from types import SimpleNamespace

        return SimpleNamespace(logits=(self.table(input_ids)[..., 0] * attention_mask).sum(-1, keepdim=True))


#: name -> (public class under test, how its model is made, design)
CASES: dict[str, tuple[str, Make, an.Design]] = {
    "luce": ("Luce", _with(lambda c: c("Luce")(0.8)), SINGLE),
    "luce rankings": ("Luce", _with(lambda c: c("Luce")()), RANKINGS),
    "pbde": ("PBDE", _with(lambda c: c("PBDE")(1.3, [0.1, 0.0, -0.4])), SINGLE),
    "thurstone": ("Thurstone", _with(lambda c: c("Thurstone")(0.9)), SINGLE),
    "rao_kupper": ("RaoKupper", _with(lambda c: c("RaoKupper")(an.free(1.7))), SINGLE),
    "davidson": ("Davidson", _with(lambda c: c("Davidson")(an.free(0.7))), SINGLE),
    "mallows": (
        "Mallows",
        lambda c: an.Annotator(an.Tabular(an.fixed([0.4, -0.3, -0.1])), c("Mallows")(an.free(0.4))),
        RANKINGS,
    ),
    "reversed": ("ReversedPlackettLuce", _with(lambda c: c("ReversedPlackettLuce")()), RANKINGS),
    "deterministic": ("Deterministic", _with(lambda c: c("Deterministic")()), SINGLE),
    "lexicographic": ("Lexicographic", _with(lambda c: c("Lexicographic")([1, "length"], 0.1)), SINGLE),
    "repeated": ("RepeatedSelection", _with(lambda c: c("RepeatedSelection")(an.Luce())), RANKINGS),
    "ordered_logit": ("OrderedLogit", _with(lambda c: c("OrderedLogit")(an.free([-0.6, 0.7]))), GRADES),
    "thumbs": ("Thumbs", _with(lambda c: c("Thumbs")(an.free(0.2))), THUMBS),
    "graded_pairs": ("GradedPairs", _with(lambda c: c("GradedPairs")([0.6], same=True)), GRADES),
    "bpref": ("BPref", _with(lambda c: c("BPref")(2.0, 0.8, 0.1)), SINGLE),
    "mean_variance": ("MeanVariance", _with(lambda c: c("MeanVariance")([0.2, -0.5, 0.3])), SINGLE),
    "categorical": (
        "CategoricalReward",
        lambda c: an.Annotator(an.utilities.ZeroUtility(), c("CategoricalReward")(an.free(np.eye(3)))),
        SINGLE,
    ),
    "spammer": ("Spammer", _with(lambda c: c("Spammer")("random")), SINGLE),
    "adversary": ("Adversary", _with(lambda c: c("Adversary")(an.Luce())), SINGLE),
    "lapse": ("Lapse", _with(lambda c: c("Lapse")(an.Luce(), 0.2)), SINGLE),
    "free lapse": ("Lapse", _with(lambda c: c("Lapse")(an.Luce(), an.free(0.2))), RANKINGS),
    "position_bias": ("PositionBias", _with(lambda c: c("PositionBias")(an.Luce(), an.free(0.4))), SINGLE),
    "attribute_bias": ("AttributeBias", _with(lambda c: c("AttributeBias")(an.Luce(), 0.4)), SINGLE),
    "length_bias": ("LengthBias", _with(lambda c: c("LengthBias")(an.Luce(), 0.4)), SINGLE),
    "skip": ("Skip", _with(lambda c: c("Skip")(an.Luce(), 0.3)), SINGLE),
    "scaled": ("Scaled", _with(lambda c: c("Scaled")(an.Luce(), 1.7)), SINGLE),
    "covariates": ("Covariates", _with(lambda c: c("Covariates")(an.Luce(), {"length": an.free(0.7)})), SHOWN),
    "just_noticeable": ("JustNoticeable", _with(lambda c: c("JustNoticeable")(an.Luce(), 0.5)), SINGLE),
    "cyclic": ("Cyclic", _with(lambda c: c("Cyclic")(an.Luce(), [0.3, -0.2, 0.1])), SINGLE),
    "sees_clusters": ("SeesClusters", _with(lambda c: c("SeesClusters")(an.Luce())), SINGLE),
    "sees_observation": (
        "SeesObservation",
        _with(lambda c: c("SeesObservation")(an.Luce(), [0.0, 1.0, 2.0], [0.2, 0.3, 0.5])),
        SINGLE,
    ),
    "regret_preference": (
        "RegretPreference",
        _with(lambda c: c("RegretPreference")(an.Luce(), [0.4, 0.0, -0.7], [0.0, 0.3, 0.9])),
        SINGLE,
    ),
    "strategic": ("Strategic", _with(lambda c: c("Strategic")(an.Luce(), [0.5, -0.3, 0.8], 0.6)), SINGLE),
    "noisy_clusters": ("NoisyClusters", _with(lambda c: c("NoisyClusters")(an.Luce(), 0.2)), SINGLE),
    "myopic": ("MyopicDiscount", _with(lambda c: c("MyopicDiscount")(an.Luce(), 0.7)), SINGLE),
    "fatigue": ("Fatigue", _with(lambda c: c("Fatigue")(an.Luce(), 0.3)), PAIRS),
    "drift": ("Drift", _with(lambda c: c("Drift")(an.Luce(), 0.3, "length")), PAIRS),
    "carryover": ("Carryover", _with(lambda c: c("Carryover")(an.Luce(), 0.7)), PAIRS),
    "reliability": ("Reliability", _with(lambda c: c("Reliability")(an.Luce(), 0.5)), PAIRS),
    "tabular": ("Tabular", _of(lambda c: c("Tabular")([0.4, -0.3, -0.1])), SINGLE),
    "linear": ("Linear", _of(lambda c: c("Linear")([0.5, -0.2])), SINGLE),
    "zero": (
        "ZeroUtility",
        lambda c: an.Annotator(c("ZeroUtility")(), an.PositionBias(an.Luce(), an.free(0.1))),
        SINGLE,
    ),
    "ideal_point": ("IdealPoint", _of(lambda c: c("IdealPoint")([0.5, -0.2])), SINGLE),
    "network": ("Network", _of(lambda c: c("Network")([3], dim=2, seed=1)), SINGLE),
    "log_density": ("LogDensity", _of(lambda c: c("LogDensity")(an.Tabular([0.4, -0.3, -0.1]))), SINGLE),
    "density_mixture": (
        "DensityMixture",
        _of(lambda c: c("DensityMixture")([an.utilities.truncated_normal(m, 1.0) for m in (-0.5, 0.5)])),
        SINGLE,
    ),
    "heads": ("Heads", _of(lambda c: c("Heads")(_perceptron(), outputs=1).column(0)), SINGLE),
    "sum": ("Sum", _of(lambda c: c("Sum")([an.Linear([0.5, -0.2]), an.Linear(an.fixed([0.1, 0.2]))])), SINGLE),
    "on_features": ("OnFeatures", _of(lambda c: c("OnFeatures")(an.Linear([0.5]), [1])), SINGLE),
    "ensemble": ("Ensemble", _of(lambda c: c("Ensemble")([an.Linear([0.5, -0.2]), an.Linear([0.1, 0.2])])), SINGLE),
    "log_policy": ("LogPolicy", _of(lambda c: c("LogPolicy")(_language_model(), begin=0)), SINGLE),
    "sequence_reward": ("SequenceReward", _of(lambda c: c("SequenceReward")(Classifier())), SINGLE),
    "luce on a network": (
        "Luce",
        lambda c: an.Annotator(an.Network([3], dim=2, seed=1), c("Luce")(an.free(1.0))),
        SINGLE,
    ),
    "mixture of networks": (
        "Mixture",
        lambda c: c("Mixture")(
            [c("Annotator")(c("Network")([3], dim=2, seed=k), c("Luce")()) for k in (1, 2)], weights=[0.6, 0.4]
        ),
        PAIRS,
    ),
    "gated networks": (
        "Gated",
        lambda c: c("Gated")(
            [c("Annotator")(c("Network")([3], dim=2, seed=k), c("Luce")()) for k in (1, 2)],
            covariates=np.linspace(-1, 1, 60)[:, None],
            gate=[[0.5]],
        ),
        PAIRS,
    ),
    "annotator": ("Annotator", lambda c: c("Annotator")(an.Tabular([0.4, -0.3, -0.1]), an.Luce()), SINGLE),
    "mixture": (
        "Mixture",
        lambda c: c("Mixture")([an.Annotator(an.Tabular([s, 0.0, -s]), an.Luce()) for s in (1.5, -1.0)], [0.6, 0.4]),
        PAIRS,
    ),
    "mixture of annotators": (
        "Annotator",
        lambda c: an.Mixture([c("Annotator")(an.Linear([s, 0.3]), an.Luce()) for s in (1.5, -1.0)], [0.6, 0.4]),
        PAIRS,
    ),
    "contaminated": (
        "Contaminated",
        lambda c: c("Contaminated")(an.Annotator(an.Tabular([0.4, -0.3, -0.1]), an.Luce()), 0.2),
        PAIRS,
    ),
    "hierarchy": ("Hierarchy", lambda c: c("Hierarchy")([[1.0, 0.0], [-1.0, 0.5]], 0.0, an.Luce()), PAIRS),
    "gated": (
        "Gated",
        lambda c: c("Gated")(
            [an.Annotator(an.Tabular([s, 0.0, -s]), an.Luce()) for s in (1.5, -1.0)],
            covariates=np.linspace(-1, 1, 60)[:, None],
            gate=[[0.5]],
        ),
        PAIRS,
    ),
    "random_coefficients": (
        "RandomCoefficients",
        lambda c: c("RandomCoefficients")([0.5, -0.2], [0.5, 0.3], an.Luce(), points=5),
        PAIRS,
    ),
    "low_rank": (
        "LowRank",
        lambda c: c("LowRank")([0.4, -0.3, -0.1], [[1.0], [0.0], [-1.0]], an.Luce(), points=8),
        PAIRS,
    ),
    "judge_panels": ("JudgePanels", lambda c: c("JudgePanels")([0.4, -0.3, -0.1], 1.0, an.Luce(), points=6), PAIRS),
    "dirichlet": (
        "DirichletTastes",
        lambda c: c("DirichletTastes")(
            [an.Tabular([0.0, 1.0, 0.5]), an.Tabular([1.0, 0.0, 0.5])], 0.5, an.Luce(), points=16
        ),
        PAIRS,
    ),
}

NETWORKS = {"network", "heads", "log_policy", "sequence_reward", "luce on a network"}
SEVERAL_NETWORKS = {"mixture of networks", "gated networks"}
#: these rules see the order of the utilities at most, or nothing: there is nothing to fit
REFUSED = {"deterministic", "lexicographic", "spammer"}


def outcome(function: Callable[[], Any]) -> Any:
    """What a call gives, or the error that it raises, without the prefix of the subclasses' names."""
    torch.manual_seed(0)
    try:
        return function()
    except (AnnosimError, RuntimeError) as error:  # whoever raises it, both must meet the same
        return type(error).__name__, plain(error)


def plain(what: object) -> str:
    return re.sub(r"\bMy([A-Z])", r"\1", str(what))


def assert_same(one: Any, other: Any) -> None:
    """Equal bit for bit, NaN included."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            assert_same(one[name], other[name])
    elif isinstance(one, tuple | list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    elif isinstance(one, torch.Tensor | np.ndarray):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    elif isinstance(one, str):
        assert plain(one) == plain(other)
    else:
        assert one == other or (one != one and other != other)


def both(name: str, verb: Callable[[Any, an.Design], Any]) -> None:
    _, make, design = CASES[name]
    assert_same(outcome(lambda: verb(make(same), design)), outcome(lambda: verb(make(mine), design)))


def data_of(name: str) -> an.PreferenceData:
    _, make, design = CASES[name]
    return an.simulate(make(same), design, seed=3)


def fitted(model: an.Population, name: str) -> an.Fit:
    if name in NETWORKS:
        return an.fit(model, data_of(name), solver=an.Adam(steps=3), seed=1)
    if name in SEVERAL_NETWORKS:
        return an.fit(model, data_of(name), solver=an.EM(steps=3), seed=1)
    return an.fit(model, data_of(name), starts=1, seed=1)


def test_every_public_class_is_tried():
    assert {name for name, _, _ in CASES.values()} == set(PUBLIC)


@pytest.mark.parametrize("name", CASES)
def test_draws_and_paths(name):
    def verb(people, design):
        data = an.simulate(people, design, seed=5)
        told = {key: data.settings[key] for key in ("path", "path_reasons") if key in data.settings}
        return data.menu, data.answer, data.tied, dict(data.truth), told

    both(name, verb)


@pytest.mark.parametrize("name", CASES)
def test_law(name):
    both(name, lambda people, design: an.law(people, design.with_(annotators=1)).table.detach())


@pytest.mark.parametrize("name", CASES)
def test_fit_errors_and_bootstrap(name):
    """One fit, with everything that is read from it."""

    def verb(model, design):
        fit = fitted(model, name)
        said = {
            "parameters": fit.population.free_parameters(),
            "log_likelihood": fit.log_likelihood,
            "converged": fit.converged,
            "iterations": fit.iterations,
            "solver": fit.solver,
            "notes": list(fit.notes),
        }
        for kind in ("hessian", "sandwich"):
            said[kind] = outcome(lambda kind=kind: fit.standard_errors(kind))
        said["num_parameters"] = outcome(lambda: fit.num_parameters)
        if name not in NETWORKS | SEVERAL_NETWORKS:
            said["bootstrap"] = outcome(lambda: fit.bootstrap(2, seed=0))
        return said

    both(name, verb)


@pytest.mark.parametrize("name", CASES)
def test_identify(name):
    def verb(people, design):
        report = an.identify(people, design.with_(annotators=1), starts=0)
        return report.verdict, report.rank, report.num_parameters, [str(theorem) for theorem in report.theorems]

    both(name, verb)


@pytest.mark.parametrize("name", CASES)
def test_compare(name):
    truth = CASES[name][1](same)

    def verb(people, design):
        score = an.compare(people, truth, design.with_(annotators=1))
        return repr(score)

    both(name, verb)


@pytest.mark.parametrize("name", CASES)
def test_save_and_load(name, tmp_path):
    """A fit of the subclass is read back as one of the subclass, with the same numbers."""
    model = CASES[name][1](mine)
    fit = outcome(lambda: fitted(model, name))
    if name in REFUSED:  # as the parent is: see above
        assert fit[0] == "ArgumentError"
        return
    again = an.Fit.load(fit.save(tmp_path / "fit"))
    kinds = [type(module) for module in model.modules()]
    assert [type(module) for module in again.population.modules()] == kinds
    assert_same(again.population.free_parameters(), fit.population.free_parameters())


class Doubled(an.Luce):
    """Not a trivial subclass: another law, which must not take Luce's shortcuts."""

    def log_prob(self, scores, answer, view):
        return super().log_prob(2 * scores, answer, view)

    def sample(self, scores, view, rng):
        return super().sample(2 * scores, view, rng)


class Sampled(an.Luce):
    """Overrides only how answers are drawn."""

    def sample(self, scores, view, rng):
        return super().sample(2 * scores, view, rng)


class Turned(an.Luce):
    """Overrides only the index."""

    def index(self, u, items):
        return -super().index(u, items)


@pytest.mark.parametrize("rule", [Doubled(), Sampled()])
def test_a_subclass_with_another_law_is_not_drawn_as_its_parent(rule):
    utility = an.Tabular([0.4, -0.3, -0.1])
    data = an.simulate(an.Annotator(utility, rule), SINGLE, seed=5)
    assert data.settings["path"] == "reference"
    other = an.simulate(an.Annotator(utility, an.Luce(temperature=0.5)), SINGLE, seed=5)
    assert np.array_equal(data.answer, other.answer)


def test_a_subclass_with_another_law_is_not_fitted_as_its_parent():
    """Scores count twice, so that half the utilities are the estimate; and an index turned round turns them round."""
    data = an.simulate(an.Annotator(an.Tabular([0.4, -0.3, -0.1]), an.Luce()), SINGLE, seed=5)
    u = {
        rule: an.fit(an.Annotator(an.Tabular(3), rule), data).population.utility.values.detach()
        for rule in (an.Luce(), Doubled(), Turned())
    }
    plain, doubled, turned = (values - values.mean() for values in u.values())
    assert torch.allclose(2 * doubled, plain, atol=1e-5)
    assert torch.allclose(-turned, plain, atol=1e-5)


def test_a_rule_of_ones_own_follows_no_parent():
    people = an.Annotator(an.Tabular([0.4, -0.3, -0.1]), MyRule())
    assert an.simulate(people, SINGLE, seed=5).settings["path"] == "reference"
    assert not people.rule.follows_luce
