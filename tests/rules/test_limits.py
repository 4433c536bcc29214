"""Rules reach simpler rules in their limits, and agree with closed forms and with other people's numbers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm

import annosim as an
from annosim.checks.methods import make_view, table_probabilities
from annosim.checks.statistics import compare_counts
from annosim.feedback import Feedback
from annosim.rules.probit import log_orthant
from annosim.rules.rankings import dispersion_of, expected_inversions
from annosim.rules.response_biases import ResponseBias

U = torch.tensor([0.3, -0.5, 0.9, 0.1], dtype=torch.float64)
ITEMS = an.Items(n=4, clusters=[0, 0, 1, 2], columns={"length": [1.0, 2.0, 3.0, 0.5], "steps": np.eye(4)})
PAIR, CHOICE, RANKING = Feedback("choice"), Feedback("choice"), Feedback("ranking")
MENU = {2: [[0, 1], [2, 0]], 3: [[0, 1, 2]], 4: [[0, 1, 2, 3]]}


def table(rule, feedback, k, u=U, items=ITEMS, order=0):
    shown = rule.covariates
    view = make_view(items, MENU[k], feedback, order=order, ties=rule.ties, covariates=shown)
    return table_probabilities(rule, u, view)


def untied(rule, feedback, k):
    probability, space = table(rule, feedback, k)
    keep = ~np.asarray(space.tied).any(-1) if space.tied is not None else np.ones(len(space), bool)
    keep &= ~(np.asarray(space.answer) < 0).all(-1)
    return probability[:, keep]


LIMITS = [
    ("rao_kupper theta=1", lambda: an.rules.RaoKupper(1.0), lambda: an.Luce(), PAIR, 2),
    ("davidson delta=0", lambda: an.Davidson(0.0), lambda: an.Luce(), RANKING, 3),
    ("davidson delta=[0,0]", lambda: an.Davidson([0.0, 0.0]), lambda: an.Luce(), CHOICE, 4),
    ("jnd=0", lambda: an.rules.JustNoticeable(an.Luce(), 0.0), lambda: an.Luce(), CHOICE, 3),
    ("lapse rate=0", lambda: an.Lapse(an.Luce(), 0.0), lambda: an.Luce(), RANKING, 3),
    ("lapse rate=1", lambda: an.Lapse(an.Luce(), 1.0), lambda: an.rules.Spammer("random"), RANKING, 3),
    (
        "lapse first rate=1",
        lambda: an.Lapse(an.Luce(), 1.0, how="first"),
        lambda: an.rules.Spammer("first"),
        RANKING,
        3,
    ),
    ("flip rate=1 pair", lambda: an.Lapse(an.Luce(), 1.0, how="flip"), lambda: an.rules.Adversary(an.Luce()), PAIR, 2),
    ("skip rate=0", lambda: an.rules.Skip(an.Luce(), 0.0), lambda: an.Luce(), CHOICE, 3),
    ("position_bias 0", lambda: an.PositionBias(an.Luce(), 0.0), lambda: an.Luce(), RANKING, 3),
    ("covariates 0", lambda: an.rules.Covariates(an.Davidson(0.0), {"x": 0.0}), lambda: an.Luce(), RANKING, 3),
    ("length_bias 0", lambda: an.rules.LengthBias(an.Luce(), 0.0), lambda: an.Luce(), CHOICE, 3),
    ("cyclic 0", lambda: an.rules.Cyclic(an.Luce(), np.zeros((4, 4))), lambda: an.Luce(), CHOICE, 3),
    (
        "noisy clusters 0",
        lambda: an.rules.NoisyClusters(an.Luce(), 0.0),
        lambda: an.rules.SeesClusters(an.Luce()),
        CHOICE,
        3,
    ),
    ("myopic 1", lambda: an.rules.MyopicDiscount(an.Luce(), 1.0), lambda: an.Luce(), CHOICE, 3),
    ("fatigue 0", lambda: an.rules.Fatigue(an.Luce(), 0.0), lambda: an.Luce(), CHOICE, 3),
    ("drift 0", lambda: an.rules.Drift(an.Luce(), 0.0, "length"), lambda: an.Luce(), CHOICE, 3),
    ("carryover 0", lambda: an.rules.Carryover(an.Luce(), 0.0), lambda: an.Luce(), CHOICE, 3),
    ("mallows 0", lambda: an.rules.Mallows(0.0), lambda: an.rules.Deterministic(), RANKING, 4),
    ("mallows 1", lambda: an.rules.Mallows(1.0), lambda: an.rules.Spammer("random"), RANKING, 4),
    ("mallows normalised 1", lambda: an.rules.Mallows(normalised=1.0), lambda: an.rules.Spammer("random"), RANKING, 4),
    ("luce cold", lambda: an.Luce(1e-3), lambda: an.rules.Deterministic(), RANKING, 4),
    ("luce hot", lambda: an.Luce(1e9), lambda: an.rules.Spammer("random"), RANKING, 4),
    ("probit cold", lambda: an.Thurstone(1e-2), lambda: an.rules.Deterministic(), CHOICE, 4),
    ("probit hot", lambda: an.Thurstone(1e9), lambda: an.rules.Spammer("random"), RANKING, 4),
    ("correlated identity", lambda: an.Thurstone(covariance=np.eye(4)), lambda: an.Thurstone(1.0), RANKING, 4),
    ("correlated identity", lambda: an.Thurstone(covariance=np.eye(4)), lambda: an.Thurstone(1.0), CHOICE, 3),
    ("repeated luce", lambda: an.rules.RepeatedSelection(an.Luce()), lambda: an.Luce(), RANKING, 4),
    ("reversed pair", lambda: an.rules.ReversedPlackettLuce(), lambda: an.Luce(), RANKING, 2),
    ("bpref beta", lambda: an.rules.BPref(2.0), lambda: an.Luce(0.5), PAIR, 2),
    ("bpref rational", lambda: an.rules.BPref(), lambda: an.rules.Deterministic(), PAIR, 2),
    ("bpref mistake", lambda: an.rules.BPref(1.0, 1.0, 0.2), lambda: an.Lapse(an.Luce(), 0.2, how="flip"), PAIR, 2),
    ("bpref myopic", lambda: an.rules.BPref(1.0, 0.5), lambda: an.rules.MyopicDiscount(an.Luce(), 0.5), PAIR, 2),
    ("bpref eps -> 0", lambda: an.rules.BPref(1.0, 1.0, 0.0, 0.0, 1e-12), lambda: an.Luce(), PAIR, 2),
    ("thumbs", lambda: an.rules.Thumbs(0.3), lambda: an.rules.OrderedLogit([0.3]), Feedback("rating", grades=2), 2),
]


@pytest.mark.parametrize("name,rule,simpler,feedback,k", LIMITS, ids=[f"{x[0]}-{x[4]}" for x in LIMITS])
def test_limits_reach_the_simpler_rule(name, rule, simpler, feedback, k):
    one, other = untied(rule(), feedback, k), untied(simpler(), feedback, k)
    assert (one - other).abs().max() < 1e-7


def test_graded_pairs_add_up_to_bradley_terry():
    rule = an.rules.GradedPairs([0.7, 1.5])
    probability, space = table(rule, Feedback("rating", grades=6), 2)
    better = np.asarray(space.answer)[:, 0] >= 3
    assert torch.allclose(probability[:, better].sum(-1), table(an.Luce(), PAIR, 2)[0][:, 0])


def test_davidson_by_hand():
    """Firth, Kosmidis and Turner 2019, equation 3: weights of all winning sets of three."""
    p = U[:3].exp()
    delta = [1.0, 0.7, 0.3]
    weights = {
        group: delta[len(group) - 1] * float(p[list(group)].prod()) ** (1 / len(group))
        for t in (1, 2, 3)
        for group in itertools.combinations(range(3), t)
    }
    probability, space = table(an.Davidson(delta[1:]), CHOICE, 3)
    for number, answer in enumerate(np.asarray(space.answer).tolist()):
        group = tuple(a for a in answer if a >= 0)
        assert float(probability[0, number]) == pytest.approx(weights[group] / sum(weights.values()), abs=1e-14)


def test_rao_kupper_is_a_logistic_threshold():
    probability, _ = table(an.rules.RaoKupper(math.exp(0.4)), PAIR, 2)
    gap = U[torch.tensor([0, 2])] - U[torch.tensor([1, 0])]
    assert torch.allclose(probability[:, 2], torch.sigmoid(0.4 - gap) - torch.sigmoid(-0.4 - gap), atol=1e-14)


def test_probit_against_scipy():
    pair, _ = table(an.Thurstone(0.7), PAIR, 2)
    assert pair[0, 0] == pytest.approx(norm.cdf(0.8 / (0.7 * math.sqrt(2))), abs=1e-14)
    rng = np.random.default_rng(0)
    for d in (2, 3):
        root = rng.normal(size=(d, d))
        covariance = root @ root.T + 0.2 * np.eye(d)
        mean = rng.normal(size=d)
        own = float(log_orthant(torch.as_tensor(mean), torch.as_tensor(covariance)).exp())
        theirs = multivariate_normal(-mean, covariance, abseps=1e-10, maxpts=2_000_000).cdf(np.zeros(d))
        assert own == pytest.approx(theirs, abs=1e-8)


def test_correlated_probit_best_of_three_closed_form():
    """Zero means: P(1 is best) = 1/4 + arcsin(rho) / (2 pi), rho = corr(x1 - x2, x1 - x3) (2510.15839)."""
    covariance = np.array([[1.0, 0.3, -0.2], [0.3, 2.0, 0.5], [-0.2, 0.5, 1.5]])
    a, b = np.array([1, -1, 0]), np.array([1, 0, -1])
    rho = a @ covariance @ b / math.sqrt((a @ covariance @ a) * (b @ covariance @ b))
    rule = an.Thurstone(covariance=covariance)
    probability, _ = table(rule, CHOICE, 3, u=torch.zeros(3, dtype=torch.float64), items=an.Items(n=3))
    assert float(probability[0, 0]) == pytest.approx(0.25 + math.asin(rho) / (2 * math.pi), abs=1e-9)


def test_probit_keeps_relative_accuracy_in_the_tails():
    far = torch.tensor([0.0, 14.0, -14.0], dtype=torch.float64)
    items = an.Items(n=3)
    view = make_view(items, [[0, 1]], PAIR)
    exact = norm.logcdf(-14 / math.sqrt(2))
    assert float(an.Thurstone().table(far[None, [0, 1]], view)[0, 0]) == pytest.approx(exact, rel=1e-12)
    # the pair inside a ranking of three, with the third far below: the same number from the panel rule
    view = make_view(items, [[0, 1, 2]], RANKING)
    log_p = an.Thurstone().table(far[None], view)[0]
    number = np.flatnonzero((np.asarray(view.feedback.answers(3).answer) == [0, 1, 2]).all(-1))[0]
    assert float(log_p[number]) == pytest.approx(exact, rel=1e-9)


def test_mallows_is_kendall_with_its_normaliser():
    """Every ranking of four against phi^d over the brute-force sum; equal scores count in neither direction."""
    for scores in ([3.0, 1.0, 2.0, 0.0], [1.0, 1.0, 0.0, 1.0]):
        u, phi = torch.tensor(scores, dtype=torch.float64), 0.35
        probability, space = table(an.rules.Mallows(phi), RANKING, 4, u=u)
        wrong = np.array(
            [sum(scores[r[i]] < scores[r[j]] for i in range(4) for j in range(i + 1, 4)) for r in space.answer.tolist()]
        )
        expected = phi**wrong / (phi**wrong).sum()
        assert np.abs(probability[0].numpy() - expected).max() < 1e-14


@pytest.mark.parametrize("m", [2, 3, 5, 10, 40])
def test_normalised_dispersion_means_the_same_at_any_size(m):
    for share in (0.0, 0.1, 0.5, 0.9, 1.0):
        phi = dispersion_of(torch.tensor(share, dtype=torch.float64), m)
        assert float(expected_inversions(phi, m)) == pytest.approx(share * m * (m - 1) / 4, abs=1e-9)


def test_clusters_and_jnd_make_paraphrases_even():
    for rule in (an.rules.SeesClusters(an.Luce()), an.rules.JustNoticeable(an.Luce(), 0.9)):
        probability, _ = table(rule, PAIR, 2)
        assert probability[0].tolist() == [0.5, 0.5]


def test_one_alternative_is_not_taken_for_another():
    """A menu of one shows nothing that could be mixed up: the law is that of the wrapped rule, and it sums to one."""
    design = an.Design(an.Items(n=2), menu_size=1, feedback="rating", grades=2, annotators=20)
    one, plain = (an.Annotator(an.Tabular([0.0, 1.0]), rule) for rule in (NOISY_THUMBS, an.rules.Thumbs()))
    np.testing.assert_allclose(an.law(one, design).probabilities, an.law(plain, design).probabilities, atol=1e-15)
    assert (an.simulate(one, design, seed=0).answer == an.simulate(plain, design, seed=0).answer).all()


NOISY_THUMBS = an.rules.NoisyClusters(an.rules.Thumbs(), 0.2)


def test_correlated_noise_needs_a_matrix_of_the_items_size():
    people = an.Annotator(an.Tabular([0.0, 1.0, 2.0]), an.rules.Thurstone(covariance=[[1.0, 0.2], [0.2, 1.0]]))
    with pytest.raises(an.errors.ArgumentError, match="a matrix of 2 items, there are 3"):
        an.simulate(people, an.Design(an.Items(n=3), annotators=20), seed=0)


def test_noisy_clusters_by_hand():
    probability, _ = table(an.rules.NoisyClusters(an.Luce(), 0.2), PAIR, 2)
    p = torch.sigmoid(U[2] - (U[0] + U[1]) / 2)
    assert float(probability[1, 0]) == pytest.approx(float(0.64 * p + 0.04 * (1 - p) + 0.16), abs=1e-14)


def test_cyclic_preferences_cycle():
    rule = an.rules.Cyclic(an.Luce(), [[0, 1, -1, 0], [-1, 0, 1, 0], [1, -1, 0, 0], [0, 0, 0, 0]])
    view = make_view(ITEMS, [[0, 1], [1, 2], [2, 0]], PAIR)
    probability, _ = table_probabilities(rule, torch.zeros(4, dtype=torch.float64), view)
    assert torch.allclose(probability[:, 0], torch.sigmoid(torch.ones(3, dtype=torch.float64)))


def test_lexicographic_semiorder_can_cycle():
    items = an.Items(features=[[0.0, 3.0], [0.4, 2.0], [0.8, 1.0]])
    rule = an.rules.Lexicographic([0, 1], tolerance=[0.5, 0.0])
    view = make_view(items, [[0, 1], [1, 2], [2, 0]], PAIR)
    probability, _ = table_probabilities(rule, torch.zeros(3, dtype=torch.float64), view)
    assert probability[:, 0].tolist() == [1.0, 1.0, 1.0]


def test_sequence_habits_read_the_place():
    late, _ = table(an.rules.Fatigue(an.Luce(), 0.5), PAIR, 2, order=3)
    cold, _ = table(an.Luce(math.exp(1.5)), PAIR, 2)
    assert torch.allclose(late, cold)
    drifted, _ = table(an.rules.Drift(an.Luce(), 0.5, "length"), PAIR, 2, order=2)
    biased, _ = table(an.rules.LengthBias(an.Luce(), 1.0), PAIR, 2)
    assert torch.allclose(drifted, biased)
    first, _ = table(an.rules.Spammer("alternating"), PAIR, 2, order=4)
    second, _ = table(an.rules.Spammer("alternating"), PAIR, 2, order=5)
    assert first.tolist() == [[1, 0]] * 2 and second.tolist() == [[0, 1]] * 2


def test_bpref_thresholds():
    rule = an.rules.BPref(teacher_beta=1.0, teacher_eps_skip=0.5, teacher_eps_equal=0.9, margin=0.9)
    view = make_view(ITEMS, [[0, 1], [2, 0], [2, 1]], PAIR, ties=True)
    probability, space = table_probabilities(rule, U, view)
    assert space.answer.tolist()[2:] == [[0, 1], [-1, -1]]
    assert probability[0].tolist() == [0, 0, 0, 1]  # neither return exceeds 0.45: skipped
    assert probability[1].tolist() == [0, 0, 1, 0]  # returns 0.9 and 0.3 differ by less than 0.81: equal
    assert float(probability[2, 0]) == pytest.approx(1 / (1 + math.exp(-1.4)))


def test_adding_a_habit_leaves_menus_types_and_attended_answers_unchanged():
    types = [an.Annotator(an.Tabular([s, 0.0, -s, 0.2]), an.Luce()) for s in (1.0, -1.0)]
    people = an.Mixture(types, [0.6, 0.4])
    lapsing = an.Mixture([an.Annotator(t.utility, an.Lapse(t.rule, 0.2)) for t in types], [0.6, 0.4])
    skipping = an.Mixture(
        [an.Annotator(t.utility, an.rules.Skip(an.Lapse(t.rule, 0.2), 0.1)) for t in types], [0.6, 0.4]
    )
    design = an.Design(ITEMS, menu_size=3, annotators=4000, questions=2)
    plain, lapsed, skipped = (an.simulate(p, design, seed=5) for p in (people, lapsing, skipping))
    for other in (lapsed, skipped):
        assert (plain.menu == other.menu).all() and (plain.truth["type"] == other.truth["type"]).all()
    # a lapse changes the answer with probability 0.2 * 2/3; within six standard deviations of it
    changed = (plain.answer != lapsed.answer).mean()
    assert abs(changed - 0.2 * 2 / 3) < 6 * math.sqrt(0.1333 * 0.8667 / plain.rows)
    kept = ~skipped.skipped
    assert (lapsed.answer[kept] == skipped.answer[kept]).all() and 0 < skipped.skipped.mean() < 0.15


def test_memory_is_enumerated_with_the_block():
    people = an.Annotator(an.Tabular([0.0, 0.7]), an.rules.Carryover(an.Luce(), 1.0))
    design = an.Design(an.Items(n=2), menus=[[0, 1], [0, 1]], questions="all", annotators=20_000)
    exact = an.law(people, design).probabilities.reshape(2, 2)
    p = 1 / (1 + math.exp(0.7))
    assert float(exact[0, 0]) == pytest.approx(p / (1 + math.exp(0.7 - 1.0)))
    data = an.simulate(people, design, seed=1)
    code = data.answer.reshape(-1, 2) @ np.array([2, 1])
    assert compare_counts(np.bincount(code, minlength=4), exact.reshape(-1)).p_value > 1e-9


BAD = [
    (lambda: an.Lapse(an.Luce(), 1.5), "rate"),
    (lambda: an.Lapse(an.Luce(), how="sometimes"), "how"),
    (lambda: an.Lapse("luce"), "rule"),
    (lambda: an.rules.RaoKupper(0.5), "theta"),
    (lambda: an.Davidson(-1.0), "delta"),
    (lambda: an.rules.Mallows(), "phi"),
    (lambda: an.rules.Mallows(1.2), "phi"),
    (lambda: an.Thurstone(0.0), "sd"),
    (lambda: an.Thurstone(covariance=[[1.0, 2.0], [2.0, 1.0]]), "positive definite"),
    (lambda: an.rules.OrderedLogit([1.0, 0.0]), "increasing"),
    (lambda: an.rules.GradedPairs([-1.0]), "positive"),
    (lambda: an.rules.Cyclic(an.Luce(), np.ones((3, 3))), "skew"),
    (lambda: an.rules.Spammer("often"), "how"),
    (lambda: an.PositionBias(an.Luce(), float("nan")), "finite"),
    (lambda: an.rules.JustNoticeable(an.Luce(), -1.0), "jnd"),
    (lambda: an.rules.RepeatedSelection(an.rules.OrderedLogit()), "choices"),
    (lambda: an.rules.Lexicographic([]), "list"),
    (lambda: an.rules.BPref(teacher_eps_mistake=2.0), "teacher_eps_mistake"),
]


@pytest.mark.parametrize("make,word", BAD)
def test_bad_values_are_named(make, word):
    with pytest.raises(an.errors.AnnosimError, match=word):
        make()


@pytest.mark.parametrize(
    "rule,feedback,k",
    [
        (an.Luce(), Feedback("rating"), 2),
        (an.rules.RaoKupper(), CHOICE, 3),
        (an.rules.Mallows(0.5), Feedback("best-worst"), 3),
        (an.Lapse(an.Luce(), how="flip"), CHOICE, 3),
        (an.rules.OrderedLogit(), Feedback("rating", grades=3), 2),
        (an.Thurstone(covariance=np.eye(5)), CHOICE, 5),
        (an.rules.JustNoticeable(an.Luce(), 1.0), RANKING, 3),
    ],
)
def test_undefined_kinds_are_refused_with_one_line(rule, feedback, k):
    view = make_view(an.Items(n=5), [list(range(k))], feedback, ties=rule.ties)
    with pytest.raises(an.rules.base.AnswerKindError) as error:
        table_probabilities(rule, torch.zeros(5, dtype=torch.float64), view)
    assert "\n" not in str(error.value)


def test_every_habit_hands_on_its_rules_free_parameters():
    rule = an.Lapse(an.PositionBias(an.Luce(an.free(2.0)), an.free(0.1)), an.free(0.05))
    assert isinstance(rule, ResponseBias)
    assert list(rule.free_parameters()) == ["rate", "rule.shift", "rule.rule.temperature"]


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.4])
def test_scale_by_error_rate(rate):
    design = an.Design(ITEMS, menu_size=2)
    for rule in (an.Luce(), an.Thurstone(), an.Davidson(0.1), an.PositionBias(an.Luce(), 0.2), an.PBDE(f=2.0)):
        one = an.analysis.with_error_rate(an.Annotator(an.Tabular(U.numpy()), rule), design, rate)
        assert an.analysis.error_rate(one, design) == pytest.approx(rate, abs=1e-9)
    ranked = an.Design(ITEMS, menu_size=3, feedback="ranking")
    one = an.analysis.with_entropy(an.Annotator(an.Tabular(U.numpy()), an.rules.ReversedPlackettLuce()), ranked, 1.0)
    assert an.analysis.mean_entropy(one, ranked) == pytest.approx(1.0, abs=1e-9)


def test_scale_out_of_reach_says_what_is_possible():
    one = an.Annotator(an.Tabular(U.numpy()), an.Lapse(an.Luce(), 0.2))
    with pytest.raises(an.errors.AnnosimError, match="cannot be reached"):
        an.analysis.with_error_rate(one, an.Design(ITEMS), 0.05)


def test_paraphrase_twins():
    items = an.Items.normal(4, 2).with_(columns={"length": np.arange(4.0)})
    twins = an.rules.paraphrase_twins(items, eps=0.1, copies=2, seed=3)
    assert twins.n == 12 and twins.clusters.tolist() == [0, 1, 2, 3] * 3
    assert twins.columns["length"].tolist() == [0.0, 1.0, 2.0, 3.0] * 3
    moved = (twins.features[4:8] - items.features).abs()
    assert 0 < moved.max() < 0.6
    even = an.Annotator(an.Linear([1.0, 0.0]), an.rules.SeesClusters(an.Luce()))
    design = an.Design(twins, menus=[[0, 4], [1, 9]])
    assert torch.allclose(an.law(even, design).marginal(), torch.full((2, 2), 0.25, dtype=torch.float64))


@pytest.mark.parametrize("best,skips", [(-0.5, 1.0), (0.5, 1.0), (0.5 + 1e-9, 0.0), (2.0, 0.0)])
def test_a_teacher_of_bpref_skips_up_to_the_threshold(best, skips):
    """Lee et al. (2021): skipped where the better segment's return is not above the threshold, here 1 * 0.5."""
    rule = an.rules.BPref(teacher_eps_skip=0.5, margin=1.0)
    law = an.law(an.Annotator(an.Tabular([best, -1.0]), rule), an.Design(an.Items(n=2), menus=[[0, 1]]))
    assert law.probabilities.tolist() == [1.0 - skips, 0.0, skips]
