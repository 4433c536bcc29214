"""Objectives: values against formulas, gradients against float64 finite differences, optima against closed forms."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import annosim as an
from annosim.errors import ArgumentError
from annosim.feedback import Feedback
from annosim.learning.objectives import chosen_logit, columns_of, pair_logit
from annosim.learning.solvers.settings import Adam
from annosim.learning.training.run import train
from annosim.rules.base import Answer, View

OBJECTIVES = [
    an.objectives.NLL(),
    an.objectives.NLL(label_smoothing=0.1),
    an.objectives.IPO(0.3),
    an.objectives.SLiC(0.7),
    an.objectives.Margin("unsigned", "q", 0.8),
    an.objectives.Margin("signed", "q", 0.8),
    an.objectives.Margin("inside", "q", 0.8),
    an.objectives.Margin("constant", "q", 0.8),
    an.objectives.SoftLabels("q"),
]


def sample_rows(seed=0, rows=30, n=6):
    rng = np.random.default_rng(seed)
    menu = torch.as_tensor(rng.integers(0, n, (rows, 2)))
    answer = Answer(torch.as_tensor(rng.integers(0, 2, (rows, 1))))
    view = View(an.Items(n=n), menu, Feedback("choice"))
    return view, answer, {"q": torch.as_tensor(rng.uniform(0.05, 0.95, rows))}


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
@pytest.mark.parametrize("rule", [an.Luce(), an.Luce(2.0), an.PBDE(1.5, 0.2), an.Lapse(an.Luce(), 0.1)], ids=repr)
def test_gradients_agree_with_central_differences_in_float64(objective, rule):
    view, answer, columns = sample_rows()
    u = torch.as_tensor(np.random.default_rng(1).normal(size=6), dtype=torch.float64)

    def loss(u):
        index = rule.index(u, view.items)
        return objective.row_losses(rule, index[view.menu], answer, view, columns).sum()

    gradient = torch.func.grad(loss)(u)
    step = 1e-6
    eye = torch.eye(6, dtype=torch.float64)
    differences = torch.stack([(loss(u + step * e) - loss(u - step * e)) / (2 * step) for e in eye])
    assert torch.allclose(gradient, differences, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_row_losses_are_functions_of_the_preference_logit_of_the_answer(objective):
    view, answer, columns = sample_rows(2)
    s = torch.as_tensor(np.random.default_rng(3).normal(size=6), dtype=torch.float64)[view.menu]
    h = chosen_logit(an.Luce(), s, answer, view, "test")
    q = columns["q"]
    agree = torch.where(answer.position[:, 0] == 0, q, 1 - q)
    rows = objective.row_losses(an.Luce(), s, answer, view, columns)
    assert torch.allclose(rows, objective.loss_of_logit(h, agree), atol=1e-12)


def test_the_logit_of_any_rule_is_its_log_odds():
    view, _, _ = sample_rows(4)
    s = torch.as_tensor(np.random.default_rng(5).normal(size=6), dtype=torch.float64)[view.menu]
    rule = an.Lapse(an.Luce(), 0.2)
    table = rule.table(s, view)
    assert torch.allclose(pair_logit(rule, s, view), table[:, 0] - table[:, 1], atol=1e-12)
    assert torch.equal(pair_logit(an.Luce(), s, view), s[:, 0] - s[:, 1])


@given(p=st.floats(0.02, 0.98), alpha=st.floats(0.0, 2.0))
def test_margins_move_the_optimum_as_the_study_says(p, alpha):
    """M1 and M3 have e^d in closed form, M2 adds alpha (2 q - 1) exactly; here q = p (judges are the population)."""
    d = torch.linspace(-9, 9, 180_001, dtype=torch.float64)
    for kind in ("unsigned", "signed", "inside"):
        objective = an.objectives.Margin(kind, "q", alpha)
        q = torch.tensor(p, dtype=torch.float64)
        found = float(d[(p * objective.loss_of_logit(d, q) + (1 - p) * objective.loss_of_logit(-d, 1 - q)).argmin()])
        if kind == "signed":
            expected = math.log(p / (1 - p)) + alpha * (2 * p - 1)
        else:
            k = math.exp(-float(objective.margin(q)))
            expected = math.log(
                ((2 * p - 1) + math.sqrt((2 * p - 1) ** 2 + 4 * p * (1 - p) * k * k)) / (2 * (1 - p) * k)
            )
        assert abs(found - expected) < 2e-4


@pytest.mark.parametrize(("p", "m", "d"), [(0.55, 0.5, 0.2653), (0.7, 1.0, 1.4309)])
def test_unsigned_margins_inflate_to_the_numbers_of_the_study_page(p, m, d):
    k = math.exp(-m)
    root = math.sqrt((2 * p - 1) ** 2 + 4 * p * (1 - p) * k * k)
    assert round(math.log(((2 * p - 1) + root) / (2 * (1 - p) * k)), 4) == d
    x = torch.linspace(0, 3, 300_001, dtype=torch.float64)
    loss = -p * torch.nn.functional.logsigmoid(x - m) - (1 - p) * torch.nn.functional.logsigmoid(-x - m)
    assert abs(float(x[loss.argmin()]) - d) < 1e-4


def test_forward_kl_is_zero_at_the_reference_and_equals_its_definition():
    items = an.Items.grid(-10, 10, 101)
    ref, other = an.utilities.truncated_normal(0, 5), an.utilities.truncated_normal(1, 2)
    assert float(an.objectives.ForwardKL(ref, 2.0)(ref(items), items)) == 0.0
    p, q = ref(items).exp() * items.weights, other(items)
    assert float(an.objectives.ForwardKL(ref, 2.0)(q, items)) == pytest.approx(
        float(2 * (p * (ref(items) - q)).sum()), rel=1e-12
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: an.objectives.NLL(label_smoothing=0.5), "label_smoothing"),
        (lambda: an.objectives.IPO(0.0), "IPO"),
        (lambda: an.objectives.SLiC(-1.0), "SLiC"),
        (lambda: an.objectives.Margin("odd"), "kind"),
        (lambda: an.objectives.Margin(column="q"), "say what it holds: kind='given'"),
        (lambda: an.objectives.Margin("signed", "q", -1.0), "alpha"),
        (lambda: an.objectives.ForwardKL(an.utilities.truncated_normal(0, 1), -1.0), "weight"),
        (lambda: columns_of(an.objectives.SoftLabels("q"), {"other": [0.5]}), "'other'"),
        (
            lambda: columns_of(an.objectives.SoftLabels("q"), {"q": [0.5] * 999 + [1.5]}),
            r"^column 'q': 1.5 in row 999; .{,80}$",
        ),
        (lambda: columns_of(an.objectives.SoftLabels("q"), {"q": [0.5, np.nan]}), "column 'q': nan in row 1"),
        (lambda: columns_of(an.objectives.SoftLabels("q"), {"q": ["much"]}), "column 'q'.*not numeric"),
    ],
)
def test_bad_values_are_named(make, words):
    with pytest.raises(ArgumentError, match=words):
        make()


def test_logit_objectives_refuse_rankings_of_three():
    view = View(an.Items(n=3), torch.tensor([[0, 1, 2]]), Feedback("ranking"))
    with pytest.raises(ArgumentError, match="pairs"):
        an.objectives.IPO(1.0).row_losses(an.Luce(), torch.zeros(1, 3), Answer(torch.tensor([[0, 1, 2]])), view, {})


def test_a_forward_kl_of_fresh_draws_is_unbiased_and_belongs_to_its_step():
    items, pi0 = an.Items.grid(-3.0, 3.0, 13), an.utilities.truncated_normal(0.0, 1.0)
    exact, drawn = an.objectives.ForwardKL(pi0, 0.5), an.objectives.ForwardKL(pi0, 0.5, draws=64)
    q = an.utilities.truncated_normal(1.0, 2.0)(items).detach()
    values = [float(drawn.at_step(items, 7, step)(q, items)) for step in range(400)]
    mean, error = np.mean(values), np.std(values) / 20
    assert abs(mean - float(exact(q, items))) < 6 * error  # fixed seed; a normal mean is outside with 2e-9
    assert values[3] == float(drawn.at_step(items, 7, 3)(q, items)) != values[4]
    assert float(drawn(q, items)) == float(exact(q, items))  # what is reported is the expectation
    with pytest.raises(an.errors.AnnosimError, match="draws"):
        an.objectives.ForwardKL(pi0, 0.5, draws=0)


def test_training_with_fresh_draws_reaches_the_projection():
    items, pi0 = an.Items.grid(-3.0, 3.0, 13), an.utilities.truncated_normal(0.0, 1.0)
    truth, design = an.Annotator(an.utilities.truncated_normal(1.0, 0.7), an.Luce()), an.Design(items, proposal=pi0)
    model, objective = an.Annotator(an.LogDensity(an.Tabular(13)), an.Luce()), an.objectives.SLiC(1.0)
    best = an.project(model, truth, design, objective=objective, regulariser=an.objectives.ForwardKL(pi0, 1.0))
    data = an.law(truth, design).as_data(marginal=True)
    options = {"objective": objective, "solver": an.Adam(steps=250, lr=0.05), "seed": 1}
    found = an.fit(model, data, regulariser=an.objectives.ForwardKL(pi0, 1.0, draws=2048), **options)
    p, q = (one.population.utility(items).detach().exp() * items.weights for one in (best, found))
    assert float((p - q).abs().sum()) / 2 < 0.02


# ---- rankings and menus of several: Plackett-Luce DPO, best of k, length-normalised ----------------------------------


GRID = an.Items.grid(-2.0, 2.0, 5)
REFERENCE = an.utilities.truncated_normal(0.0, 1.5)
LENGTHS = [1.0, 2.0, 4.0, 3.0, 2.0]
RULES = {"dpo": an.PBDE.dpo(0.5, REFERENCE), "per token": an.PBDE.length_normalised(2.0, LENGTHS)}
KINDS = {
    "rankings": Feedback("ranking"),
    "best of four": Feedback("choice"),
    "top two": Feedback("top", depth=2),
    "best and worst": Feedback("best-worst"),
}
MENUS = [[0, 1, 2, 3], [4, 3, 2, 1], [0, 2, 4, 1]]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_likelihood_of_whole_answers_has_the_gradient_of_central_differences(rule, kind):
    truth = an.Annotator(an.utilities.truncated_normal(0.5, 1.0), an.PBDE.dpo(0.5, REFERENCE))
    data = an.simulate(truth, an.Design(GRID, menus=MENUS, feedback=KINDS[kind], annotators=12), seed=0)
    view, answer, menu = data.view(), data.answers(), torch.as_tensor(np.array(data.menu)).long()
    u = torch.as_tensor(np.random.default_rng(1).normal(size=5), dtype=torch.float64)

    def loss(u):
        density = u - torch.logsumexp(u + GRID.log_weights, -1)
        scores = RULES[rule].index(density, GRID)[menu]
        return an.objectives.NLL().row_losses(RULES[rule], scores, answer, view, {}).sum()

    eye = torch.eye(5, dtype=torch.float64)
    differences = torch.stack([(loss(u + 1e-6 * e) - loss(u - 1e-6 * e)) / 2e-6 for e in eye])
    assert torch.allclose(torch.func.grad(loss)(u), differences, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", ["rankings", "best of four"])
def test_training_on_the_law_of_rankings_and_best_of_k_ends_at_the_projection(rule, kind):
    """The assumed rule is not the one that answers, so that the optimum is not the truth's density."""
    truth = an.Annotator(an.utilities.truncated_normal(0.5, 1.0), an.Luce())
    design = an.Design(GRID, menus=MENUS, feedback=KINDS[kind])
    model = an.Annotator(an.LogDensity(an.Tabular(5)), RULES[rule])
    exact = an.project(model, truth, design)
    done = train(model, an.law(truth, design).as_data(marginal=True), solver=Adam(steps=500, lr=8e-2))
    p, q = (an.LogDensity.log_prob(one.utility, GRID).exp() for one in (done.populations[0], exact.population))
    assert float(0.5 * ((p - q).abs() * GRID.weights).sum().detach()) < 1e-4
    assert float(done.loss[0]) == pytest.approx(exact.objective, abs=1e-6)


@pytest.mark.parametrize("objective", [o for o in OBJECTIVES if not isinstance(o, an.objectives.SLiC)], ids=repr)
def test_training_on_the_law_of_pairs_ends_at_the_projection(objective):
    """SLiC, whose optimum is a corner, is held to its projection with the forward KL in test_sgd."""
    u = torch.tensor([0.9, 0.1, -0.4, -0.6], dtype=torch.float64)
    truth, items = an.Annotator(an.Tabular(u), an.Luce()), an.Items(n=4)
    design, model = an.Design(items), an.Annotator(an.Tabular(4), an.Luce())
    data = an.law(truth, design).as_data(marginal=True)
    menu = np.array(data.menu)
    data = data.with_(columns={"q": torch.sigmoid(u[menu[:, 0]] - u[menu[:, 1]]).numpy()})
    exact = an.project(model, truth, design, objective=objective)
    done = train(model, data, objective, solver=Adam(steps=500, lr=0.1))
    ours, best = (one.index(items).detach() for one in (done.populations[0], exact.population))
    assert torch.allclose(ours - ours.mean(), best - best.mean(), atol=2e-4)
    assert float(done.loss[0]) == pytest.approx(exact.objective, abs=1e-7)


def test_draws_of_the_reference_estimate_its_expectation_in_every_prompt():
    """Mean of 400 estimates within six standard errors (false alarms below 1e-8)."""
    items = an.Items(n=6, prompts=[0, 0, 0, 1, 1, 1])
    held = an.objectives.ForwardKL(an.LogDensity(an.Tabular([0.0, 1.0, 2.0, 0.5, 0.0, -1.0])), 0.7)
    density = an.LogDensity(an.Tabular([1.0, 0.0, 0.5, -1.0, 0.3, 0.0]))(items).detach()
    drawn = replace(held, draws=16)
    found = np.array([float(drawn.at_step(items, 0, step)(density, items)) for step in range(400)])
    error = found.std() / np.sqrt(400)
    assert error > 0 and abs(found.mean() - float(held(density, items))) < 6 * error


def test_a_penalty_that_knows_some_items_answers_for_others_as_well():
    here, there = an.Items.grid(0.0, 1.0, 5), an.Items.grid(0.0, 3.0, 5)
    pull = an.objectives.ForwardKL(an.LogDensity(lambda x: -(x[:, 0] ** 2)), 1.0)
    density = an.LogDensity(lambda x: x[:, 0])(there)
    assert float(pull.on(here)(density, there)) == float(pull(density, there)) != float(pull(density, here))


def test_given_margins_belong_to_the_recorded_choice_and_may_be_any_number():
    """One pair, wins with margins of their own: the optimum solves sum over rows of sigmoid(m - h) = 0 by its slope."""
    from scipy.optimize import brentq

    margins = np.array([2.0, -0.5, 1.0, 0.3])
    answer = np.array([0, 0, 0, 1])
    data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 4, answer=answer, columns={"margin": margins})
    fit = an.fit(
        an.Annotator(an.Tabular(2), an.Luce()),
        data,
        objective=an.objectives.Margin("given", column="margin", alpha=2.0),
    )
    found = float(fit.population.utility.values.detach().diff())
    sign = np.where(answer == 0, 1.0, -1.0)
    slope = lambda h: float((sign / (1 + np.exp(sign * h - 2.0 * margins))).sum())  # noqa: E731
    assert -found == pytest.approx(brentq(slope, -30, 30), abs=1e-7)


def test_given_margins_do_not_depend_on_who_is_displayed_first():
    rng = np.random.default_rng(0)
    menu = np.stack([rng.permutation(4)[:2] for _ in range(60)])
    answer, margin = rng.integers(0, 2, 60), rng.normal(size=60)
    fits = [
        an.fit(
            an.Annotator(an.Tabular(4), an.Luce()),
            an.PreferenceData(an.Items(n=4), m, answer=a, columns={"margin": margin}),
            objective=an.objectives.Margin("given", column="margin"),
        )
        for m, a in ((menu, answer), (menu[:, ::-1], 1 - answer))
    ]
    values = [f.population.utility.values.detach() for f in fits]
    np.testing.assert_allclose(values[0] - values[0].mean(), values[1] - values[1].mean(), atol=1e-8)


def test_given_margins_have_no_law_and_must_be_numbers():
    objective = an.objectives.Margin(column="margin")  # a column of this name is given, and read as TRL reads it
    assert objective == an.objectives.Margin("given", column="margin")
    one = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
    with pytest.raises(an.errors.NoProjectionError, match="recorded choices"):
        an.project(an.Annotator(an.Tabular(2), an.Luce()), one, an.Design(an.Items(n=2)), objective=objective)
    data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 2, answer=[0, 1], columns={"margin": [1.0, np.nan]})
    with pytest.raises(ArgumentError, match="margin"):
        an.fit(an.Annotator(an.Tabular(2), an.Luce()), data, objective=objective)


@pytest.mark.parametrize("prior", [an.priors.Gaussian(0.7), an.priors.Dirichlet(1.5)])
def test_a_prior_knows_each_prompt_by_itself(prior):
    """Prompts share nothing: fitted together they are what they are one by one, though their answers differ in number."""
    menus, answers = [[0, 1], [1, 2], [0, 2]] * 6 + [[3, 4], [3, 4], [4, 3]], [0, 0, 1] * 4 + [0, 1, 0] * 2 + [0, 0, 0]
    both = an.PreferenceData(an.Items(n=5, prompts=[0, 0, 0, 1, 1]), menus, answers)
    found = an.fit(an.Annotator(an.Tabular(5), an.Luce()), both, prior=prior).population.utility.values.detach()
    for low, high in ((0, 3), (3, 5)):
        rows = [r for r, menu in enumerate(menus) if low <= menu[0] < high]
        one = an.PreferenceData(
            an.Items(n=high - low), [[i - low for i in menus[r]] for r in rows], [answers[r] for r in rows]
        )
        alone = an.fit(
            an.Annotator(an.Tabular(high - low), an.Luce()), one, prior=prior
        ).population.utility.values.detach()
        part = found[low:high]
        assert (part - part.mean()).tolist() == pytest.approx((alone - alone.mean()).tolist(), abs=1e-6)
