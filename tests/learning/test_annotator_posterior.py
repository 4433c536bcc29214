"""The posterior of annotators whom a fit has not seen: against enumeration by hand, quadrature of scipy and simulation."""

import itertools
from math import exp, log

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import dblquad, quad
from scipy.stats import binomtest

import annosim as an
from annosim.errors import AnswerKindError, ArgumentError, NothingFreeError
from annosim.learning import annotator_posterior
from annosim.learning.posterior.information import expected_information

#: of each random test (docs: all of them together below 1e-6)
ALPHA = 1e-8


def two_types(first=1.0, second=-1.0, weights=(0.7, 0.3), n=2):
    kinds = [an.Annotator(an.Tabular([s * i for i in range(n)]), an.Luce()) for s in (first, second)]
    return an.Mixture(kinds, list(weights))


@given(
    st.lists(st.sampled_from([(0, 1), (1, 0), (1, 2), (0, 2)]), max_size=6),
    st.integers(0, 63),
    st.floats(0.05, 0.95),
    st.floats(-2, 2),
)
@settings(max_examples=30, deadline=None)
def test_probabilities_of_types_are_bayes_rule(menus, code, share, slope):
    people = two_types(slope, -1.0, (share, 1 - share), n=3)
    answers = [(code >> j) & 1 for j in range(len(menus))]
    by_hand = []
    for weight, s in ((share, slope), (1 - share, -1.0)):
        p = weight
        for menu, a in zip(menus, answers, strict=True):
            p *= 1 / (1 + exp(s * (menu[1 - a] - menu[a])))
        by_hand.append(p)
    items = an.Items(n=3)
    data = an.PreferenceData(items, menus, answers, annotator=[0] * len(menus)) if menus else None
    found = annotator_posterior(people, data, items=items)
    assert np.allclose(found.types[0], np.array(by_hand) / sum(by_hand), rtol=1e-12)
    assert found.log_evidence[0] == pytest.approx(log(sum(by_hand)), abs=1e-12)
    assert found.method == "enumeration" and np.isinf(found.effective).all()


def test_tastes_and_predictions_are_those_of_quadrature():
    items = an.Items(features=[[0.0], [1.0], [-0.5]])
    people = an.RandomCoefficients([0.4], [1.3], an.Luce())
    data = an.PreferenceData(items, [[0, 1], [1, 2], [0, 1]], [1, 1, 0], annotator=[0] * 3)

    def joint(z, power=0, extra=lambda b: 1.0):
        b = 0.4 + 1.3 * z
        up = lambda x: 1 / (1 + exp(-x))  # noqa: E731
        return b**power * extra(b) * up(b) * up(-1.5 * b) * up(-b) * exp(-z * z / 2)

    total, first, second = (quad(joint, -12, 12, args=(k,), epsabs=1e-14)[0] for k in range(3))
    wins = quad(lambda z: joint(z, extra=lambda b: 1 / (1 + exp(-0.5 * b))), -12, 12, epsabs=1e-14)[0] / total
    found = annotator_posterior(people, data)
    mean = first / total
    assert found.taste_mean[0, 0] == pytest.approx(mean, abs=1e-9)
    assert found.taste_sd[0, 0] == pytest.approx((second / total - mean**2) ** 0.5, abs=1e-9)
    assert found.predict([[0, 2]]).probabilities[0, 0] == pytest.approx([wins, 1 - wins], abs=1e-9)
    centred = np.array([0.0, 1.0, -0.5]) - 0.5 / 3
    assert found.utility_mean[0] == pytest.approx(mean * centred, abs=1e-9)
    assert found.utility_sd[0] == pytest.approx(found.taste_sd[0, 0] * abs(centred), abs=1e-9)
    assert found.method == "quadrature"


def test_two_dimensions_and_correlation():
    items = an.Items(features=[[0.0, 0.0], [1.0, 0.5], [-0.5, 1.0]])
    people = an.RandomCoefficients([0.2, 0.0], [1.0, 0.5], an.Luce(), lower=[0.6])
    data = an.PreferenceData(items, [[0, 1], [1, 2], [0, 2]], [1, 1, 0], annotator=[0] * 3)
    x = items.features.numpy()

    def joint(z2, z1, power=0):
        b = np.array([0.2 + z1, 0.6 * z1 + 0.5 * z2])
        u = x @ b
        p = 1 / (1 + exp(u[0] - u[1])) / (1 + exp(u[1] - u[2])) / (1 + exp(u[2] - u[0]))
        return b[1] ** power * p * exp(-(z1 * z1 + z2 * z2) / 2)

    total, first = (dblquad(joint, -7, 7, -7, 7, args=(k,), epsabs=1e-8)[0] for k in (0, 1))
    found = annotator_posterior(people, data)
    assert found.taste_mean[0, 1] == pytest.approx(first / total, abs=1e-6)


def test_many_answers_narrow_the_nodes_with_the_posterior():
    """10,000 answers: the prior's own nodes are a hundred posterior standard deviations apart."""
    people, rows = an.RandomCoefficients([0.0], [1.0], an.Luce()), 10_000
    data = an.PreferenceData(
        an.Items(features=[[0.0], [1.0]]), [[0, 1]] * rows, [1] * 7_300 + [0] * 2_700, annotator=[0] * rows
    )
    found = annotator_posterior(people, data)
    mode = np.log(0.73 / 0.27)
    for _ in range(20):
        p = 1 / (1 + np.exp(-mode))
        mode -= (rows * (p - 0.73) + mode) / (rows * p * (1 - p) + 1)
    p = 1 / (1 + np.exp(-mode))
    assert found.taste_sd[0, 0] == pytest.approx((rows * p * (1 - p) + 1) ** -0.5, rel=1e-3)
    assert found.taste_mean[0, 0] == pytest.approx(mode, abs=1e-3)


def test_importance_sampling_agrees_with_quadrature():
    """Four dimensions of which one does not matter are three, by another method."""
    items = an.Items(features=np.c_[an.Items.normal(5, 3, seed=1).features.numpy(), np.zeros(5)])
    four = an.RandomCoefficients([0.5, 0.0, -0.5, 0.0], [1.0] * 4, an.Luce())
    three = an.RandomCoefficients([0.5, 0.0, -0.5], [1.0] * 3, an.Luce())
    data = an.simulate(four, an.Design(items, menu_size=3, annotators=3, questions=8), seed=3)
    sampled = annotator_posterior(four, data)
    less = data.with_(items=an.Items(features=items.features.numpy()[:, :3]))
    exact = annotator_posterior(three, less)
    assert sampled.method == "importance sampling" and exact.method == "quadrature"
    assert (sampled.effective > 1000).all()
    assert np.abs(sampled.taste_mean[:, :3] - exact.taste_mean).max() < 0.03  # Sobol: far below 1 / sqrt(1000)
    assert np.abs(sampled.log_evidence - exact.log_evidence).max() < 0.02
    assert np.abs(sampled.taste_sd[:, 3] - 1.0).max() < 0.05  # no answer tells it: the prior


@pytest.mark.parametrize(
    "people",
    [two_types(n=4), an.RandomCoefficients([0.5, 0.0], [1.0, 0.7], an.Luce()), two_types(3.0, -2.0, n=4)],
    ids=["types", "tastes", "far types"],
)
def test_no_answers_are_the_prior(people):
    items = an.Items.normal(4, 2, seed=0)
    nobody = annotator_posterior(people, items=items)
    assert np.allclose(nobody.types[0], people.component_weights().detach().numpy())
    law = an.law(people, an.Design(items, menus=[[0, 1], [2, 3]], questions=1)).given_menus
    assert np.allclose(nobody.predict([[0, 1], [2, 3]]).probabilities.ravel(), law.probabilities, atol=1e-7)


def test_the_posterior_is_calibrated():
    """Of those who are said to be of the first type with probability p, a share p is: p-values of exact binomial tests."""
    people = two_types(1.0, -0.5, (0.6, 0.4), n=4)
    data = an.simulate(people, an.Design(an.Items(n=4), annotators=10_000, questions=3), seed=0)
    first = annotator_posterior(people, data).types[:, 0]
    truth = data.truth["type"] == 0
    for low, high in itertools.pairwise([0.0, 0.4, 0.6, 0.8, 1.0]):
        at = (first >= low) & (first < high)
        expected = first[at].mean()
        # a sum of unequal Bernoulli variables is less spread than a binomial with their mean (Hoeffding 1956)
        assert binomtest(int(truth[at].sum()), int(at.sum()), expected).pvalue > ALPHA / 4


def test_newcomers_of_a_fit_change_nothing_in_it():
    people = two_types(2.0, -2.0, n=3)
    design = an.Design(an.Items(n=3), annotators=400, questions=5)
    fit = an.fit(people.like(seed=1), an.simulate(people, design, seed=0))
    before = fit.population.vector().clone()
    new = an.simulate(people, design.with_(annotators=30), seed=9)
    found = fit.posterior(new)
    assert torch.equal(fit.population.vector(), before)
    assert np.allclose(found.types, annotator_posterior(fit.population, new).types)
    own = fit.posterior(fit.problem.data)
    assert np.allclose(own.types, fit.responsibilities.numpy())


def test_the_path_that_silently_refits_the_types_is_refused():
    people = two_types(2.0, -2.0, n=3)
    data = an.simulate(people, an.Design(an.Items(n=3), annotators=200, questions=5), seed=0)
    fit = an.fit(people, data)
    weights = an.fixed(fit.population.weights.detach().numpy())
    with pytest.raises(ArgumentError, match=r"fit\.posterior\(data\)"):
        an.fit(an.Mixture(list(fit.population.types), weights), data)
    with pytest.raises(NothingFreeError, match=r"fit\.posterior\(data\)"):
        an.fit(fit.population.frozen(), data)
    again = an.Mixture([one.like(seed=2) for one in fit.population.types], weights)  # types anew, shares known
    assert an.fit(again, data).converged


def test_gated_shares_need_the_covariates_of_the_newcomers():
    kinds = [an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (2.0, -2.0)]
    people = an.Gated(kinds, covariates=[[1.0], [-1.0]], gate=[[3.0]], annotators=["ann", "bob"])
    data = an.PreferenceData(an.Items(n=2), [[0, 1]], [1], annotator=[0], annotator_names=["cy"])
    with pytest.raises(ArgumentError, match="'cy'"):
        annotator_posterior(people, data)
    found = annotator_posterior(people, data, covariates=[[0.5]])
    prior, up = 1 / (1 + exp(-1.5)), 1 / (1 + exp(-2.0))
    assert found.types[0, 0] == pytest.approx(prior * up / (prior * up + (1 - prior) * (1 - up)))
    with pytest.raises(ArgumentError, match="2 rows for 1"):
        annotator_posterior(people, data, covariates=[[0.5], [1.0]])


# ---- what a new user gives -------------------------------------------------------------------------------------------


def small_fit(names=("tea", "milk", "juice")):
    items = an.Items(names=list(names))
    people = an.Mixture([an.Annotator(an.Tabular([0.0, s, -s]), an.Luce()) for s in (2.0, -2.0)])
    data = an.simulate(people, an.Design(items, annotators=60, questions=4), seed=0)
    return an.fit(people, data.with_(annotator_names=[f"p{i}" for i in range(60)]))


def test_other_items_are_refused():
    fit = small_fit()
    with pytest.raises(ArgumentError, match="item 0 is 'milk'"):
        fit.posterior(an.PreferenceData(an.Items(names=["milk", "tea", "juice"]), [[0, 1]], [0]))
    with pytest.raises(ArgumentError, match="2 items, and the fit has 3"):
        fit.posterior(an.PreferenceData(an.Items(n=2), [[0, 1]], [0]))
    with pytest.raises(ArgumentError, match="other items"):
        fit.predict(an.Design(an.Items(n=3)))


def test_other_feedback_is_what_the_rule_defines_or_refused():
    fit = small_fit()
    items = fit.problem.items
    ranked = an.PreferenceData(items, [[0, 1, 2]], [[1, 0, 2]], feedback="ranking")
    assert fit.posterior(ranked).types.shape == (1, 2)
    rated = an.PreferenceData(items, [[0, 1]], [[1, 2]], feedback=an.Feedback("rating", grades=3))
    with pytest.raises(AnswerKindError):
        fit.posterior(rated)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda fit: fit.posterior([1, 2]), "PreferenceData"),
        (lambda fit: fit.predict("tea"), "menus of item ids"),
        (lambda fit: fit.predict([[0, 7]]), "menus"),
        (lambda fit: fit.next_question(None, [[0, 1]], target="taste"), "'type', 'utility', 'policy'"),
        (lambda fit: fit.next_question(None, [[0, 1]], alpha=2.0), "alpha"),
        (lambda fit: fit.next_question(None, [[0, 1]], target=lambda u: u), "whole numbers"),
        (lambda fit: fit.posterior(covariates=[[1.0]]), "covariates"),
        (lambda fit: fit.posterior().taste_mean, "utility_mean"),
    ],
)
def test_bad_input_is_one_line_that_says_what_to_do(call, says):
    with pytest.raises(ArgumentError, match=says) as found:
        call(small_fit())
    assert "\n" not in str(found.value)


def test_people_whom_the_fit_has_seen_are_named():
    fit = small_fit()
    again = an.PreferenceData(fit.problem.items, [[0, 1]], [0], annotator=[0], annotator_names=["p7"])
    with pytest.warns(UserWarning, match="'p7' first"):
        fit.posterior(again)


# ---- what to ask next ------------------------------------------------------------------------------------------------


@given(st.integers(2, 5), st.integers(2, 4), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_expected_information_is_the_mutual_information_of_the_joint_table(states, answers, seed):
    rng = np.random.default_rng(seed)
    table, weight = rng.dirichlet(np.ones(answers), (states, 1)), rng.dirichlet(np.ones(states))
    labels = rng.integers(0, 2, states)
    labels[0] = 1
    for groups in (None, labels):
        joint = weight[:, None] * table[:, 0]
        if groups is not None:
            joint = np.stack([joint[groups == g].sum(0) for g in (0, 1)])
        product = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
        by_hand = float(
            np.where(
                joint > 0, joint * np.log(np.where(joint > 0, joint / np.maximum(product, 1e-300), 1.0)), 0.0
            ).sum()
        )
        found = expected_information(
            torch.as_tensor(table), torch.as_tensor(weight), None if groups is None else torch.as_tensor(groups)
        )
        assert float(found[0]) == pytest.approx(by_hand, abs=1e-12)


def test_the_gain_is_the_mean_fall_of_entropy():
    """What `next_question` promises is what the posterior after the answer delivers, averaged over the answers."""
    fit = small_fit()
    so_far = an.PreferenceData(fit.problem.items, [[0, 1], [0, 2]], [1, 0], annotator=[0, 0])
    ask = fit.next_question(so_far, [[0, 1], [1, 2]], target="type", alpha=1e-6)
    p = fit.predict([ask.menu.tolist()], given=so_far).probabilities[0, 0]
    after = 0.0
    for answer in (0, 1):
        more = an.PreferenceData(
            fit.problem.items, [[0, 1], [0, 2], ask.menu.tolist()], [1, 0, answer], annotator=[0] * 3
        )
        after += p[answer] * float(torch.special.entr(torch.as_tensor(fit.posterior(more).types[0])).sum())
    assert ask.gain == pytest.approx(float(ask.entropy[0]) - after, abs=1e-10)
    assert ask.words == "milk, juice"  # furthest apart for both types


def test_whom_to_ask_is_who_is_least_known():
    fit = small_fit()
    data = an.PreferenceData(fit.problem.items, [[1, 2]] * 4, [0, 0, 0, 1], annotator=[0, 0, 1, 1])
    ask = fit.next_question(data, [[1, 2]])
    assert ask.annotator == "1"  # who contradicted himself
    assert list(ask.to_frame()["annotator"]) == ["1", "0"]


def test_targets_ask_different_questions():
    """The type is told by the pair on which types differ; the best item by the pair that leads."""
    kinds = [an.Annotator(an.Tabular([5.0, 4.8, s]), an.Luce()) for s in (-1.0, 1.0)]
    known = annotator_posterior(an.Mixture(kinds), items=an.Items(n=3))
    assert known.best_item[0].tolist() == [1.0, 0.0, 0.0]
    about_type = an.learning.next_question(known, [[0, 1], [1, 2]], "type")
    assert about_type.menu.tolist() == [1, 2]
    about_policy = an.learning.next_question(known, [[0, 1], [1, 2]], "policy")
    assert about_policy.stop and about_policy.annotator is None and about_policy.gains.max() < 1e-12


def test_the_stopping_rule_is_valid_under_looking():
    """Asked the best question and looked at after every answer, it excludes the true type with probability alpha at most."""
    alpha, people = 0.2, two_types(1.2, -0.8, (0.5, 0.5), n=3)
    items, menus = an.Items(n=3), torch.tensor([[0, 1], [1, 2], [0, 2]])
    law = torch.as_tensor(an.law(people, an.Design(items, menus=menus.tolist())).table[0, 0].exp())  # (types, menus, 2)
    rng, runs = np.random.default_rng(0), 1_000
    for truth in (0, 1):  # of each type, not on average
        log_p, out = torch.zeros(runs, 2, dtype=torch.float64), torch.zeros(runs, dtype=torch.bool)
        for _ in range(40):
            m = expected_information(law, torch.softmax(log_p, -1), None).argmax(-1)
            answer = torch.as_tensor(rng.random(runs) < law[truth, m, 1].numpy()).long()
            log_p += law[:, m, answer].log().T
            out |= log_p[:, truth] <= torch.logsumexp(log_p, -1) - log(2) + log(alpha)
        assert binomtest(int(out.sum()), runs, alpha, alternative="greater").pvalue > ALPHA
    fit_like = annotator_posterior(people, items=items)
    assert an.learning.next_question(fit_like, menus.tolist(), alpha=alpha).candidates_left == ((0, 1),)


def test_questions_show_their_covariates_when_they_are_predicted_and_planned():
    """``s = u + b x``: the probability by the closed form, and a question without the covariate is refused."""
    people = an.Annotator(an.Tabular([0.0, 0.5]), an.rules.Covariates(an.Luce(), {"length": 0.4}))
    items = an.Items(n=2)
    known = annotator_posterior(people, items=items)
    shown = an.Design(items, menus=[[0, 1], [0, 1]], covariates={"length": [[2.0, 0.0], [0.0, 1.0]]})
    expected = [1 / (1 + np.exp(-gap)) for gap in (0.8 - 0.5, -0.4 - 0.5)]
    np.testing.assert_allclose(known.predict(shown).probabilities[0, :, 0], expected, rtol=1e-12)
    for verb in (known.predict, lambda menus: an.learning.next_question(known, menus, "policy")):
        with pytest.raises(an.errors.ArgumentError, match="reads 'length' of each question"):
            verb([[0, 1]])


def test_the_next_question_is_the_one_whose_covariate_does_not_hide_the_answer():
    kinds = [an.Annotator(an.Tabular([0.0, s]), an.rules.Covariates(an.Luce(), {"length": 1.0})) for s in (1.0, -1.0)]
    items = an.Items(n=2)
    shown = an.Design(items, menus=[[0, 1], [0, 1]], covariates={"length": [[9.0, 0.0], [0.0, 0.0]]})
    ask = an.learning.next_question(annotator_posterior(an.Mixture(kinds), items=items), shown)
    assert ask.gains[0, 1] > 100 * ask.gains[0, 0] and ask.gain == ask.gains[0, 1]
