"""Covariates of the question: law, simulation, likelihood, errors, what is identified, and projection."""

import numpy as np
import pytest
import torch

import annosim as an
from annosim.errors import ArgumentError, NotIdentifiedError
from annosim.learning.likelihoods.autodiff import DifferentiatedLikelihood
from annosim.learning.likelihoods.reference import log_likelihood
from annosim.learning.likelihoods.registry import likelihood_of
from annosim.learning.likelihoods.row_logit import RowLogit
from annosim.learning.problem import Problem

MENUS = [[0, 1], [1, 0], [0, 2], [2, 1], [1, 2]]
SHOWN = {
    "length": [[1.0, 0.0], [0.5, 2.0], [0.0, 1.0], [3.0, 1.0], [0.2, 0.1]],
    "home": [[1, 0], [0, 0], [0, 1], [1, 0], [0, 0]],
}


def covariates(seed, rows, k, names=("length", "bold")):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(rows, k)) * (1 + 9 * j) for j, name in enumerate(names)}


def answers(kind, rows=60, k=3, n=5, seed=0):
    """Random answers of one kind, with menus of which some are shorter, covariates, and repeated annotators."""
    rng = np.random.default_rng(seed)
    menu = np.stack([rng.permutation(n)[:k] for _ in range(rows)])
    if k > 2:
        menu[::4, -1] = -1
    size = (menu >= 0).sum(1)
    order = np.full((rows, k), -1)
    for row in range(rows):
        order[row, : size[row]] = rng.permutation(size[row])
    depth = {"top": 2}.get(kind)
    answer = order[:, 0] if kind == "choice" else order if depth is None else np.where(np.arange(k) < depth, order, -1)
    feedback = an.feedback.Feedback(kind, depth=depth) if depth else kind
    return an.PreferenceData(
        an.Items(features=rng.normal(size=(n, 2))),
        menu,
        answer,
        feedback,
        annotator=np.sort(rng.integers(0, 12, rows)),
        weight=None,
        covariates=covariates(seed, rows, k),
    )


def models(utility):
    plain = an.rules.Covariates(an.Luce(temperature=2.0), ["length", "bold"])
    yield an.Annotator(utility, plain)
    yield an.Annotator(utility, an.PositionBias(plain, an.free(0.3)))
    some = an.rules.Covariates(an.PositionBias(an.Luce(), 0.4), {"bold": an.free(0.1), "length": -0.7})
    yield an.Annotator(utility, some)


def test_the_law_adds_what_the_question_shows():
    utility, rule = an.Tabular([0.0, 1.0, -0.5]), an.rules.Covariates(an.Luce(), {"length": 0.5, "home": -1.0})
    law = an.law(an.Annotator(utility, rule), an.Design(an.Items(n=3), menus=MENUS, covariates=SHOWN))
    u, gap = np.array([0.0, 1.0, -0.5]), []
    for row, (a, b) in enumerate(MENUS):
        x = 0.5 * np.diff(SHOWN["length"][row])[0] - np.diff(SHOWN["home"][row])[0]
        gap.append(u[a] - u[b] - x)
    expected = 1 / (1 + np.exp(-np.array(gap)))
    np.testing.assert_allclose(law.marginal()[:, 0] * len(MENUS), expected, atol=1e-12)


def test_draws_carry_their_covariates_and_follow_the_law():
    """Exact binomial bounds of five questions at 1e-7 each."""
    from scipy.stats import binom

    people = an.Annotator(an.Tabular([0.0, 1.0, -0.5]), an.rules.Covariates(an.Luce(), {"length": 0.5, "home": -1.0}))
    design = an.Design(an.Items(n=3), menus=MENUS, covariates=SHOWN, annotators=1500)
    data, exact = an.simulate(people, design, seed=3), an.law(people, design).marginal()[:, 0].numpy() * len(MENUS)
    for number, menu in enumerate(MENUS):
        mine = (data.menu == menu).all(1) & (data.covariates["length"] == SHOWN["length"][number]).all(1)
        assert (data.covariates["home"][mine] == SHOWN["home"][number]).all()
        low, high = binom.ppf([5e-8, 1 - 5e-8], mine.sum(), exact[number])
        assert low <= (data.answer[mine] == 0).sum() <= high
    both = an.simulate(people, design, seed=3, replicates=2)
    assert both[0].equals(data) and not both[1].equals(data)
    counted = an.simulate(people, design, seed=3, counts=True)
    assert counted.weight.sum() == 1500 and set(counted.covariates) == {"length", "home"}


@pytest.mark.parametrize("kind", ["choice", "ranking", "top"])
@pytest.mark.parametrize("utility", [an.Tabular(5), an.Linear(2), an.Tabular(an.fixed([0.0, 1.0, 2.0, 0.5, -1.0]))])
def test_closed_form_derivatives_are_those_of_the_reference(kind, utility):
    data = answers(kind)
    for model in models(utility):
        model = model.like(seed=1)
        problem = Problem(model, data)
        ours, reference = RowLogit(problem), DifferentiatedLikelihood(problem)
        here, there = ours.evaluate(ours.start(model)), reference.evaluate(reference.start(model))
        assert here.value == pytest.approx(there.value, abs=1e-9)
        jacobian = np.asarray(ours.jacobian(model).todense())
        np.testing.assert_allclose(jacobian.T @ here.gradient, there.gradient, atol=1e-9)
        np.testing.assert_allclose(ours.information(model), reference.information(model), atol=1e-8)
        for by_answer in (False, True):
            scores, weight = ours.scores(model, by_answer)
            expected, also = reference.scores(model, by_answer)
            np.testing.assert_allclose(np.asarray(scores.todense()), expected, atol=1e-9)
            np.testing.assert_allclose(weight, also)


@pytest.mark.parametrize("prior", [None, an.priors.Gaussian(0.5)])
def test_a_reference_inside_is_counted_once(prior):
    """The index of a table has the reference in it; its utilities are what is left."""
    rule = an.rules.Covariates(an.PBDE.dpo(0.5, an.LogDensity(an.Tabular([0.0, 0.3, 1.0]))), ["length"])
    data = answers("choice", rows=80, k=2, n=3, seed=2)
    model = an.Annotator(an.Tabular(3), rule)
    found, other = an.fit(model, data, prior=prior), an.fit(model, data, prior=prior, solver=an.LBFGS())
    assert (found.solver, other.solver) == ("newton-rows", "autograd")
    np.testing.assert_allclose(found.population.vector(), other.population.vector(), atol=1e-6)
    assert log_likelihood(found.population, data) == pytest.approx(found.log_likelihood, abs=1e-9)


@pytest.mark.parametrize("utility", [an.Tabular(3), an.Linear(2)], ids=str)
def test_a_level_of_the_row_changes_nothing(utility):
    """As of times in seconds."""
    data = answers("choice", rows=80, k=3, n=3, seed=3)
    late = data.with_(covariates={name: value + 1.7e9 for name, value in data.covariates.items()})
    model = an.Annotator(utility, an.rules.Covariates(an.Luce(), ["length", "bold"]))
    found, other = an.fit(model, data), an.fit(model, late)
    np.testing.assert_allclose(other.population.vector(), found.population.vector(), atol=1e-5)
    assert other.log_likelihood == pytest.approx(found.log_likelihood, abs=1e-6)


def test_the_gradient_is_that_of_finite_differences():
    problem = Problem(next(models(an.Tabular(5))), answers("ranking"))
    ours, step = RowLogit(problem), 1e-6
    x = np.linspace(-1, 1, 7)
    at = ours.evaluate(x)
    for j, e in enumerate(np.eye(7)):
        high, low = ours.evaluate(x + step * e), ours.evaluate(x - step * e)
        assert (high.value - low.value) / (2 * step) == pytest.approx(at.gradient[j], abs=1e-6)
        np.testing.assert_allclose((low.gradient - high.gradient) / (2 * step), at.curvature[j], atol=1e-5)


def battles(seed=1, rows=900, n=6):
    rng = np.random.default_rng(seed)
    menu = np.stack([rng.choice(n, 2, replace=False) for _ in range(rows)])
    shown = covariates(seed, rows, 2)
    gap = (rng.normal(size=n))[menu] + 0.8 * shown["length"] - 0.05 * shown["bold"]
    answer = (rng.random(rows) > 1 / (1 + np.exp(gap[:, 1] - gap[:, 0]))).astype(int)
    return an.PreferenceData(an.Items(n=n), menu, answer, annotator=rng.integers(0, 40, rows), covariates=shown)


def test_style_control_is_the_logistic_regression_of_statsmodels():
    sm = pytest.importorskip("statsmodels.api")

    data = battles()
    fit = an.fit(an.Annotator(an.Tabular(6), an.rules.Covariates(an.Luce(), ["length", "bold"])), data)
    assert fit.solver == "newton-rows" and fit.converged
    rows = np.arange(data.rows)
    x = np.zeros((data.rows, 7))
    for side, sign in ((0, 1.0), (1, -1.0)):
        mine = data.menu[:, side] > 0
        x[rows[mine], data.menu[mine, side] - 1] += sign
    x[:, 5] = -np.diff(data.covariates["length"])[:, 0]
    x[:, 6] = -np.diff(data.covariates["bold"])[:, 0]
    other = sm.Logit(1 - data.answer, x).fit(disp=0)
    u = fit.population.utility.values.detach().numpy()
    coefficients = fit.population.rule.coefficients
    np.testing.assert_allclose(u[1:] - u[0], other.params[:5], atol=1e-8)
    np.testing.assert_allclose(
        [float(coefficients.length.detach()), float(coefficients.bold.detach())], other.params[5:], atol=1e-8
    )
    assert fit.log_likelihood == pytest.approx(other.llf, abs=1e-8)
    table = fit.summary("hessian").set_index("parameter")
    np.testing.assert_allclose(
        table.loc[["rule.coefficients.length", "rule.coefficients.bold"], "standard_error"], other.bse[5:], rtol=1e-6
    )
    groups = np.asarray(data.annotator)
    robust = sm.Logit(1 - data.answer, x).fit(
        disp=0, cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}
    )
    clustered = fit.summary("cluster").set_index("parameter")
    own = clustered.loc[["rule.coefficients.length", "rule.coefficients.bold"], "standard_error"].to_numpy()
    # annosim multiplies by G / (G - 1) or not at all: either way both agree in one factor
    np.testing.assert_allclose(own / robust.bse[5:], (own / robust.bse[5:])[0], rtol=1e-6)
    assert 0.95 < own[0] / robust.bse[5] < 1.05


def test_a_covariate_that_says_nothing_is_named():
    data = battles(rows=300)
    people = lambda *names: an.Annotator(an.Tabular(6), an.rules.Covariates(an.Luce(), list(names)))  # noqa: E731
    hour = np.repeat(np.arange(300.0)[:, None], 2, 1)
    skill = np.linspace(-1, 1, 6)[data.menu]
    more = data.with_(
        covariates={**data.covariates, "hour": hour, "skill": skill, "chars": 4 * data.covariates["length"] + hour}
    )
    with pytest.raises(NotIdentifiedError, match="'hour' is the same for all alternatives of every question"):
        an.fit(people("hour", "length"), more)
    with pytest.raises(NotIdentifiedError, match="'skill' is collinear with the items"):
        an.fit(people("skill", "length"), more)
    with pytest.raises(NotIdentifiedError, match="covariates 'length', 'chars' are collinear"):
        an.fit(people("length", "bold", "chars"), more)
    with pytest.raises(NotIdentifiedError, match="'skill' is collinear with the items"):  # under any rule
        an.fit(an.Annotator(an.Tabular(6), an.Lapse(people("skill").rule, an.free(0.1))), more)
    with pytest.raises(ArgumentError, match=r"no covariate 'price', they have 'length', 'bold'"):
        an.fit(people("price"), data)
    assert an.fit(people("hour", "length"), more, prior=an.priors.Gaussian(1.0)).converged


def test_a_covariate_that_tells_every_winner_has_no_estimate():
    data = battles(rows=200)
    sure = np.where(np.arange(2) == data.answer[:, None], 1.0, 0.0) + 0.3 * data.covariates["length"] * 0
    with pytest.raises(NotIdentifiedError, match="separated along sure"):
        an.fit(
            an.Annotator(an.Tabular(6), an.rules.Covariates(an.Luce(), ["sure"])), data.with_(covariates={"sure": sure})
        )


def test_ties_and_covariates_together():
    """Davidson's three probabilities at the scores with covariates, and a fit at whose end the score vanishes."""
    utility, rule = an.Tabular([0.0, 1.0, -0.5]), an.rules.Covariates(an.Davidson(0.7), {"length": 0.5, "home": 0.0})
    law = an.law(an.Annotator(utility, rule), an.Design(an.Items(n=3), menus=MENUS, covariates=SHOWN))
    s = np.array([0.0, 1.0, -0.5])[MENUS] + 0.5 * np.array(SHOWN["length"])
    worth = np.exp(s)
    tie = 0.7 * np.sqrt(worth.prod(1))
    both = np.c_[worth, tie] / (worth.sum(1) + tie)[:, None]
    space = [tuple(row) for row in np.asarray(law.space.answer)]
    found = law.question(0).exp()[0].numpy()
    np.testing.assert_allclose(found[:, space.index((0, -1))], both[:, 0], atol=1e-12)
    np.testing.assert_allclose(found[:, space.index((0, 1))], both[:, 2], atol=1e-12)

    design = an.Design(an.Items(n=3), menus=MENUS, covariates=SHOWN, annotators=1500)
    data = an.simulate(an.Annotator(utility, rule), design, seed=0)
    fit = an.fit(an.Annotator(an.Tabular(3), an.rules.Covariates(an.Davidson(an.free(1.0)), ["length", "home"])), data)
    likelihood = likelihood_of(Problem(fit.population, data))
    assert fit.converged and np.abs(likelihood.evaluate(likelihood.start(fit.population)).gradient).max() < 1e-5
    table = fit.summary("hessian").set_index("parameter")
    for name, truth in (
        ("rule.coefficients.length", 0.5),
        ("rule.rule.delta[0]", 0.7),
        ("rule.coefficients.home", 0.0),
    ):
        assert abs(table.loc[name, "estimate"] - truth) < 5.5 * table.loc[name, "standard_error"]  # 4e-8 each


def test_infinite_data_give_the_truth_back_and_identify_agrees():
    people = an.Annotator(an.Tabular([0.0, 1.0, -0.5]), an.rules.Covariates(an.Luce(), {"length": an.free(0.5)}))
    design = an.Design(an.Items(n=3), menus=MENUS, covariates=SHOWN)
    best = an.project(people.like(seed=4), people, design)
    assert float(best.population.rule.coefficients.length.detach()) == pytest.approx(0.5, abs=1e-6)
    assert best.divergence == pytest.approx(0.0, abs=1e-10)
    assert an.identify(people, design).verdict == "locally_identified"
    flat = design.with_(covariates={"length": np.ones((5, 2))})
    assert an.identify(people, flat).verdict == "not_identified"
    blind = an.project(an.Annotator(an.Tabular(3), an.Luce()), people, design)  # who does not look at the length
    assert blind.divergence > 1e-3


def test_types_share_the_coefficients_of_one_rule():
    rule = an.rules.Covariates(an.Luce(), {"length": an.free(1.0)})
    two = an.Mixture([an.Annotator(an.Tabular([0.0, s, -s]), rule) for s in (2.0, -2.0)], [0.6, 0.4])
    assert [name for name in two.free_parameters() if "length" in name] == ["types.0.rule.coefficients.length"]
    design = an.Design(an.Items(n=3), menus=MENUS, covariates=SHOWN, annotators=300, questions=8)
    fit = an.fit(two, an.simulate(two, design, seed=0))
    assert fit.converged
    first, second = (float(one.rule.coefficients.length.detach()) for one in fit.population.components())
    error = fit.summary("cluster").set_index("parameter").loc["types.0.rule.coefficients.length", "standard_error"]
    assert first == second and abs(first - 1.0) < 5.5 * error  # 4e-8


def test_home_advantage_in_some_rows_only():
    """One number a row: 1 where the left side plays at home, 0 on neutral ground; the same as a shift in these rows."""
    rng = np.random.default_rng(0)
    votes = [
        {"left": str(a), "right": str(b), "winner": "left" if rng.random() < 0.6 else "right", "at_home": bool(i % 3)}
        for i in range(300)
        for a, b in [rng.choice(4, 2, replace=False)]
    ]
    data = an.io.read(votes, covariates=["at_home"])
    assert data.covariates["at_home"][:4].tolist() == [[0, 0], [1, 0], [1, 0], [0, 0]]
    fit = an.fit(an.Annotator(an.Tabular(4), an.rules.Covariates(an.Luce(), ["at_home"])), data)
    at_home = data.take(data.covariates["at_home"][:, 0] == 1)
    shifted = an.Annotator(an.Tabular(4), an.PositionBias(an.Luce(), an.free(0.0)))
    again = an.fit(shifted, at_home)
    alone = an.fit(an.Annotator(an.Tabular(4), an.rules.Covariates(an.Luce(), ["at_home"])), at_home)
    assert float(alone.population.rule.coefficients.at_home) == pytest.approx(
        float(again.population.rule.shift), abs=1e-7
    )
    assert float(fit.population.rule.coefficients.at_home) > 0


def test_bootstrap_and_networks_read_covariates():
    data = battles(rows=200)
    fit = an.fit(an.Annotator(an.Tabular(6), an.rules.Covariates(an.Luce(), ["length", "bold"])), data)
    assert torch.isfinite(fit.bootstrap(20, seed=0)).all()
    items = data.items.with_(features=np.eye(6))
    network = an.Annotator(an.Network([3], dim=6), an.rules.Covariates(an.Luce(), ["length", "bold"]))
    trained = an.fit(network, data.with_(items=items), solver=an.Adam(steps=30))
    assert torch.isfinite(trained.population.rule.coefficients.length)


def test_the_profile_of_a_coefficient_is_a_curve():
    """A coordinate that is held has no curvature; the first coefficient's profile ended at once for that reason."""
    fit = an.fit(an.Annotator(an.Tabular(6), an.rules.Covariates(an.Luce(), ["length", "bold"])), battles(rows=300))
    table = fit.summary("hessian").set_index("parameter")
    for name in ("rule.coefficients.length", "rule.coefficients.bold"):
        found, wald = fit.profile(name), table.loc[name]
        assert found.classification == "identified"
        np.testing.assert_allclose(
            [found.low, found.high], [wald["low"], wald["high"]], atol=0.3 * wald["standard_error"]
        )
