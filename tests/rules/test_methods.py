"""Every rule and response bias, on every kind of feedback that it defines: the three methods agree, and the symmetries hold.

False alarms: each sampling test rejects below 1e-9 (exact binomial with Bonferroni inside a test); with fewer than 300
of them the whole file's rate is below 3e-7, and the seeds are fixed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import annosim as an
from annosim.checks.methods import compare_sample_and_table, make_view, table_probabilities
from annosim.feedback import Feedback
from annosim.parameters import Model
from annosim.populations.base import gather
from annosim.random import CounterRNG
from annosim.rules.covariates import standard_covariates

LEVEL = 1e-9
U = torch.tensor([0.3, -0.5, 0.9, 0.1, -0.2], dtype=torch.float64)
ITEMS = an.Items(
    features=np.array([[0.5, 1.0], [-0.3, 1.0], [0.8, -1.0], [0.1, 0.2], [-1.0, 0.4]]),
    clusters=[0, 0, 1, 2, 2],
    columns={
        "length": [1.0, 2.0, 3.0, 0.5, 1.5],
        "steps": [[0.1, 0.2], [-0.5, 0.0], [0.3, 0.6], [0.0, 0.1], [0.2, -0.4]],
    },
)
_ROOT = np.array([[0.9, 0.2, -0.1], [0.3, 0.8, 0.1], [-0.2, 0.1, 1.0], [0.0, 0.4, 0.5], [0.6, -0.3, 0.2]])
COVARIANCE = _ROOT @ _ROOT.T + 0.3 * np.eye(5)

RULES = {
    "luce": lambda: an.Luce(0.8),
    "rao_kupper": lambda: an.rules.RaoKupper(1.7),
    "davidson": lambda: an.Davidson(0.7),
    "davidson_order3": lambda: an.Davidson([0.7, 1.3]),
    "pbde": lambda: an.PBDE(f=1.3, g=[0.1, 0.0, -0.4, 0.2, 0.3]),
    "thurstone": lambda: an.Thurstone(0.9),
    "thurstone_correlated": lambda: an.Thurstone(covariance=COVARIANCE),
    "mallows": lambda: an.rules.Mallows(0.4),
    "mallows_normalised": lambda: an.rules.Mallows(normalised=0.5),
    "reversed_pl": lambda: an.rules.ReversedPlackettLuce(0.8),
    "repeated_probit": lambda: an.rules.RepeatedSelection(an.Thurstone(0.9)),
    "repeated_lapse": lambda: an.rules.RepeatedSelection(an.Lapse(an.Luce(), 0.2)),
    "deterministic": lambda: an.rules.Deterministic(),
    "lexicographic": lambda: an.rules.Lexicographic([1, "length"], tolerance=[0.55, 0.03]),
    "ordered_logit3": lambda: an.rules.OrderedLogit([-0.6, 0.7], 0.8),
    "ordered_logit5": lambda: an.rules.OrderedLogit([-1.0, -0.3, 0.4, 1.1]),
    "graded_pairs": lambda: an.rules.GradedPairs([0.6], same=True),
    "bpref": lambda: an.rules.BPref(2.0, 0.8, 0.1, 0.2, 0.15),
    "bpref_rational": lambda: an.rules.BPref(teacher_eps_mistake=0.1),
    "spammer": lambda: an.rules.Spammer("random"),
    "spammer_first": lambda: an.rules.Spammer("first"),
    "spammer_alternating": lambda: an.rules.Spammer("alternating"),
    "adversary": lambda: an.rules.Adversary(an.Luce()),
    "cyclic": lambda: an.rules.Cyclic(an.Luce(), np.linspace(-1, 1, 10)),
    "sees_clusters": lambda: an.rules.SeesClusters(an.Luce()),
    "sees_observation": lambda: an.rules.SeesObservation(an.Luce(), 1, "length"),
    "regret_preference": lambda: an.rules.RegretPreference(an.Luce(), "length", 0),
    "strategic": lambda: an.rules.Strategic(an.Luce(), 1, 0.6),
    "noisy_clusters": lambda: an.rules.NoisyClusters(an.Luce(), 0.2),
    "noisy_clusters_ties": lambda: an.rules.NoisyClusters(an.Davidson(0.5), 0.2),
    "myopic": lambda: an.rules.MyopicDiscount(an.Luce(), 0.7),
    "fatigue": lambda: an.rules.Fatigue(an.Luce(), 0.3),
    "drift": lambda: an.rules.Drift(an.Luce(), 0.3, "length"),
    "carryover": lambda: an.rules.Carryover(an.Luce(), 0.7),
    "covariates": lambda: an.rules.Covariates(an.Luce(), {"length": 0.7, "home": -0.4}),
    "covariates_ties": lambda: an.rules.Covariates(an.Davidson(0.5), {"length": 0.7}),
    "scaled": lambda: an.rules.Scaled(an.PBDE(f=1.3), 1.7),
    "lapse_rating": lambda: an.Lapse(an.rules.OrderedLogit([-0.6, 0.7]), 0.2),
    "lapse_flip_rating": lambda: an.Lapse(an.rules.OrderedLogit([-0.6, 0.7]), 0.2, how="flip"),
    "skip_rating": lambda: an.rules.Skip(an.rules.OrderedLogit([-0.6, 0.7]), 0.2),
    "jnd": lambda: an.rules.JustNoticeable(an.Luce(), 0.5),
    "jnd_tie": lambda: an.rules.JustNoticeable(an.Luce(), 0.5, respond="tie"),
    "lapse": lambda: an.Lapse(an.Luce(), 0.2),
    "lapse_ties": lambda: an.Lapse(an.Davidson([0.7, 0.3]), 0.3),
    "lapse_flip": lambda: an.Lapse(an.Luce(), 0.2, how="flip"),
    "lapse_flip_ties": lambda: an.Lapse(an.Davidson(0.9), 0.2, how="flip"),
    "lapse_first": lambda: an.Lapse(an.Luce(), 0.2, how="first"),
    "position_bias": lambda: an.PositionBias(an.Luce(), 0.4),
    "length_bias": lambda: an.rules.LengthBias(an.Luce(), 0.4),
    "skip": lambda: an.rules.Skip(an.Luce(), 0.3),
    "skip_ties": lambda: an.rules.Skip(an.Davidson(0.5), 0.3),
    "mean_variance": lambda: an.rules.MeanVariance([0.2, -0.5, 0.9, 0.0, 0.3]),
    "categorical_reward": lambda: an.rules.CategoricalReward(np.linspace(-2, 2, 15).reshape(5, 3) ** 2),
    "reliability": lambda: an.rules.Reliability(an.Luce(), np.linspace(-1, 2, 40)),
    "reliability_ties": lambda: an.rules.Reliability(an.Davidson(0.5), 0.3),
    "reliability_skip": lambda: an.rules.Reliability(an.rules.Skip(an.Luce(), 0.2), 0.3),
    "reliability_side": lambda: an.rules.Reliability(an.Luce(), np.linspace(-1, 2, 40), bias=0.8),
    "reliability_side_ties": lambda: an.rules.Reliability(an.Davidson(0.5), 0.3, bias=-0.8),
    "nested": lambda: an.Lapse(an.rules.Skip(an.Lapse(an.PositionBias(an.Luce(), 0.4), 0.1), 0.2), 0.1),
}
#: what a rule says depends on the side on which an alternative stands
POSITIONAL = {"lapse_first", "position_bias", "nested", "spammer_first", "spammer_alternating", "carryover"}
POSITIONAL |= {"reliability_side", "reliability_side_ties"}
#: biases are tried on fewer kinds of feedback than rules: they hand the kind on
BIAS_KINDS = {
    "choice_padded",
    "ranking_padded",
    "rating_padded",
    "pair",
    "choice3",
    "ranking3",
    "top2of4",
    "best-worst3",
    "rating2",
}
#: every draw integrates over what the others are worth: 4,000 draws, which see a cell that is off by five percentage points
DRAWN_SLOWLY = {"repeated_probit"}
PAIRS_ONLY = {"rao_kupper", "jnd_tie", "mean_variance", "categorical_reward"}
FEEDBACK = {
    "pair": (Feedback("choice"), 2),
    "choice3": (Feedback("choice"), 3),
    "choice4": (Feedback("choice"), 4),
    "ranking2": (Feedback("ranking"), 2),
    "ranking3": (Feedback("ranking"), 3),
    "ranking4": (Feedback("ranking"), 4),
    "top2of4": (Feedback("top", depth=2), 4),
    "best-worst3": (Feedback("best-worst"), 3),
    "best-worst4": (Feedback("best-worst"), 4),
    "choice_padded": (Feedback("choice"), -4),
    "top_padded": (Feedback("top", depth=1), -4),
    "ranking_padded": (Feedback("ranking"), -4),
    "top2_padded": (Feedback("top", depth=3), -4),
    "rating_padded": (Feedback("rating", grades=3), -4),
    "best-worst_padded": (Feedback("best-worst"), -4),
    "rating2": (Feedback("rating", grades=3), 2),
    "rating1": (Feedback("rating", grades=5), 1),
}
MENUS = {
    -4: [[0, 1, 2, -1], [3, 4, -1, -1]],
    1: [[2]],
    2: [[0, 1], [2, 0]],
    3: [[0, 1, 2], [4, 2, 3]],
    4: [[0, 1, 2, 3], [3, 4, 2, 1]],
}


def defined(name: str, kind: str) -> bool:
    rule, (feedback, k) = RULES[name](), FEEDBACK[kind]
    if (isinstance(rule, an.rules.ResponseBias) or name.startswith("repeated")) and kind not in BIAS_KINDS:
        return False
    if name.startswith("noisy_clusters") and kind == "top2of4":  # 256 perceptions of every menu
        return False
    view = make_view(ITEMS, MENUS[k], feedback, ties=rule.ties, covariates=rule.covariates)
    try:
        rule.check_kind(feedback)
        table_probabilities(rule, U, view)
    except (an.errors.AnnosimError, TypeError):
        return False
    return True


CASES = [(name, kind) for name in RULES for kind in FEEDBACK if defined(name, kind)]


def case(name: str, kind: str, menus=None, order: int = 1):
    rule, (feedback, k) = RULES[name](), FEEDBACK[kind]
    menus = MENUS[k] if menus is None else menus
    return rule, make_view(ITEMS, menus, feedback, order=order, ties=rule.ties, covariates=rule.covariates)


def test_every_rule_defines_something_and_pairs_only_rules_refuse_menus():
    assert {name for name, _ in CASES} == set(RULES)
    for name in PAIRS_ONLY:
        assert (name, "choice3") not in CASES


@pytest.mark.parametrize("name,kind", CASES)
def test_probabilities_sum_to_one(name, kind):
    rule, view = case(name, kind)
    probability, _ = table_probabilities(rule, U, view)
    assert (probability.sum(-1) - 1).abs().max() < 1e-12
    assert probability.min() >= 0


@pytest.mark.parametrize("draws", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name,kind", CASES)
def test_sample_follows_the_table(name, kind, draws):
    """At a level of 1e-9, a cell that is off by 6 / sqrt(4 draws) is seen: three percentage points, or one."""
    rule, view = case(name, kind)
    result = compare_sample_and_table(rule, U, view, draws=4_000 if name in DRAWN_SLOWLY else draws, seed=17)
    assert result.p_value > LEVEL, result


@pytest.mark.parametrize("name,kind", CASES)
def test_relabelling_items_permutes_the_law(name, kind):
    rule, view = case(name, kind)
    before, _ = table_probabilities(rule, U, view)
    new_of_old = torch.tensor([3, 0, 4, 1, 2])
    old_of_new = new_of_old.argsort()
    items = ITEMS.with_(
        features=ITEMS.features[old_of_new].numpy(),
        names=[ITEMS.names[i] for i in old_of_new],
        clusters=ITEMS.clusters[old_of_new].numpy(),
        columns={key: np.asarray(value)[old_of_new.numpy()] for key, value in ITEMS.columns.items()},
    )
    moved = relabelled_rule(rule, old_of_new)
    after, _ = table_probabilities(
        moved,
        U[old_of_new],
        make_view(
            items,
            torch.where(view.menu >= 0, new_of_old[view.menu], -1).numpy(),
            view.feedback,
            order=1,
            ties=rule.ties,
            covariates=rule.covariates,
        ),
    )
    assert (before - after).abs().max() < 1e-12


def relabelled_rule(rule, old_of_new):
    """The rule after renaming items: its per-item numbers move along."""
    if isinstance(rule, an.PBDE):
        moved = [v[old_of_new] if v.ndim else v for v in (rule.f, rule.g)]
        return an.PBDE(*moved)
    return rule.relabelled(old_of_new) if hasattr(rule, "relabelled") else rule


@pytest.mark.parametrize("name,kind", [c for c in CASES if c[0] not in POSITIONAL])
def test_permuting_places_permutes_the_law(name, kind):
    """Any reordering of the menu's places permutes the answers alike (for a pair: swapping the two sides)."""
    rule, view = case(name, kind)
    k = view.k
    before, space = table_probabilities(rule, U, view)
    shuffle = np.roll(np.arange(k), 1)  # new place j shows what stood at old place shuffle[j]
    _, moved = case(name, kind, menus=view.menu.numpy()[:, shuffle])
    moved = replace(moved, covariates={name: value[:, shuffle] for name, value in view.covariates.items()})
    after, space_after = table_probabilities(rule, U, moved)
    match = permuted_answers(space, shuffle, view.feedback, space_after)
    assert (before - after[:, match]).abs().max() < 1e-12


def permuted_answers(space, shuffle, feedback, into) -> np.ndarray:
    """Number, within ``into``, of the answer that says the same after the places were shuffled."""
    new_place = np.argsort(shuffle)

    def key(answer, tied):
        if feedback.kind == "rating":
            return tuple(answer)
        groups, group = [], []
        for j, a in enumerate(answer):
            if a >= 0:
                group.append(a)
            if tied is None or j >= len(tied) or not tied[j]:
                groups.append(tuple(sorted(group)))
                group = []
        return tuple(g for g in groups if g)

    def say(answer):
        if feedback.kind == "rating":
            return [answer[shuffle[j]] for j in range(len(answer))]
        return [new_place[a] if a >= 0 else a for a in answer]

    assert len(into) == len(space)
    ties = [None] * len(space) if space.tied is None else list(space.tied)
    marks = [None] * len(into) if into.tied is None else list(into.tied)
    number = {key(a, t): i for i, (a, t) in enumerate(zip(into.answer, marks, strict=True))}
    return np.array([number[key(say(a), t)] for a, t in zip(space.answer, ties, strict=True)])


@pytest.mark.parametrize("name,kind", CASES)
def test_gradients_match_finite_differences(name, kind):
    """A random combination of all table entries, along a random direction of utilities and rule parameters together."""
    rule, view = case(name, kind)
    rule = all_free(rule)
    names = [n for n, _ in rule.named_parameters()]
    rng = np.random.default_rng(5)

    def value(u, *values):
        rule.forward = lambda x: rule.table(gather(rule.index(x, ITEMS), view.menu), view, rule.space(view)).exp()
        table = torch.func.functional_call(rule, dict(zip(names, values, strict=True)), (u,))
        return (table * weight).sum()

    weight = torch.as_tensor(rng.normal(size=(len(view.menu), len(rule.space(view)))))
    start = [U] + [p.detach() for _, p in rule.named_parameters()]
    leaves = [x.clone().requires_grad_(True) for x in start]
    out = value(*leaves)
    slopes = torch.autograd.grad(out, leaves, allow_unused=True) if out.requires_grad else [None] * len(leaves)
    way = [torch.as_tensor(rng.normal(size=x.shape)) for x in start]
    exact = sum(float((g * d).sum()) for g, d in zip(slopes, way, strict=True) if g is not None)
    step = 1e-5
    ends = [value(*(x + sign * step * d for x, d in zip(start, way, strict=True))) for sign in (1, -1)]
    assert abs(exact - float(ends[0] - ends[1]) / (2 * step)) < 1e-6


def all_free(rule):
    """Every declared number of the rule becomes a parameter."""
    for module in rule.modules():
        for key in set(module._buffers) & set(module.declared if isinstance(module, Model) else ()):
            value = module._buffers.pop(key)
            module.register_parameter(key, torch.nn.Parameter(value))
    return rule


@pytest.mark.gpu
@pytest.mark.parametrize("name", RULES)
def test_the_law_and_the_draws_are_the_same_on_a_gpu(name):
    for kind in [k for n, k in CASES if n == name]:
        check_on_gpu(name, kind)


def check_on_gpu(name, kind):
    rule, view = case(name, kind)
    before, _ = table_probabilities(rule, U, view)
    far = replace(
        view,
        items=ITEMS.to("cuda"),
        menu=view.menu.cuda(),
        order=view.order.cuda(),
        previous=view.previous.cuda(),
        annotator=view.annotator.cuda(),
        prompt=view.prompt.cuda(),
        covariates={name: value.cuda() for name, value in view.covariates.items()},
    )
    after, _ = table_probabilities(rule.to("cuda"), U.cuda(), far)
    assert after.is_cuda and (after.cpu() - before).abs().max() < 1e-12
    rng = CounterRNG(3, np.arange(len(view.menu)))
    scores = gather(rule.index(U.cuda(), far.items), far.menu)
    there = rule.sample(scores, far, rng)
    here = rule.to("cpu").sample(scores.cpu(), view, rng)
    assert torch.equal(there.position.cpu(), here.position)


@pytest.mark.parametrize("name,kind", CASES)
def test_batches_over_leading_axes(name, kind):
    rule, view = case(name, kind)
    many = torch.stack([U, U.flip(0)]).reshape(2, 1, -1)
    batch, _ = table_probabilities(rule, many, view)
    single = torch.stack([table_probabilities(rule, u, view)[0] for u in (U, U.flip(0))])
    assert batch.shape == (2, 1, *single.shape[1:])
    assert (batch[:, 0] - single).abs().max() < 1e-12


@pytest.mark.parametrize("name,kind", CASES)
def test_simulate_and_law_carry_the_rule(name, kind):
    """Round trip through the encoding: simulated answers are in the law's space, and log_prob finds them possible."""
    rule, (feedback, k) = RULES[name](), FEEDBACK[kind]
    people = an.Annotator(an.Tabular(U.numpy()), rule)
    shown = standard_covariates(rule.covariates, len(MENUS[k]), len(MENUS[k][0]))
    design = an.Design(ITEMS, menus=MENUS[k], feedback=feedback, annotators=40, questions=2, covariates=shown)
    data = an.simulate(people, design, seed=3)
    if rule.memory:
        return
    view = data.view()
    log_p = rule.log_prob(gather(rule.index(U, ITEMS), view.menu), data.answers(), view)
    assert torch.isfinite(log_p).all()
    probability, space = table_probabilities(rule, U, view)
    from annosim.checks.methods import answer_numbers

    number = answer_numbers(data.answers(), space)
    assert (number >= 0).all()
    found = probability[torch.arange(data.rows), torch.as_tensor(number)]
    assert (found.log() - log_p).abs().max() < 1e-10
