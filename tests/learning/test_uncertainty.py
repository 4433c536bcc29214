"""Standard errors: two independent ways to each, and coverage by simulation."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy.stats import binom, norm

import annosim as an
from annosim.data.counts import expand
from annosim.learning.inference import uncertainty
from annosim.learning.inference.uncertainty import generalised_inverse

ITEMS = an.Items.normal(5, 2, seed=0)
TRUTH = an.Annotator(an.Tabular([0.0, 0.5, 1.0, -1.0, 0.2]), an.Luce())
KINDS = [("choice", 2), ("choice", 3), ("ranking", 4)]


@pytest.mark.parametrize("kind", uncertainty.KINDS)
@pytest.mark.parametrize(("feedback", "size"), KINDS)
@pytest.mark.parametrize("linear", [False, True])
def test_closed_forms_agree_with_automatic_differentiation(kind, feedback, size, linear):
    design = an.Design(ITEMS, menu_size=size, feedback=feedback, annotators=120, questions=3)
    data = an.simulate(TRUTH, design, seed=1).with_(weight=np.repeat(np.linspace(0.5, 2.0, 120), 3))
    fit = an.fit(an.Annotator(an.Linear(2) if linear else an.Tabular(5), an.Luce()), data)
    closed = fit.covariance(kind)
    by_torch = dataclasses.replace(fit, solver="autograd")  # the likelihood is that of the solver
    assert type(by_torch.likelihood) is not type(fit.likelihood)
    assert torch.allclose(closed, by_torch.covariance(kind), atol=1e-12)


@pytest.mark.parametrize("rule", [an.Luce(), an.PBDE.dpo(2.0, an.utilities.truncated_normal(0.0, 1.0, -9.0, 9.0))])
def test_log_densities_and_pbde_tables_have_errors_in_their_normalisation(rule):
    items = an.Items.grid(-1.0, 1.0, 4)
    truth = an.Annotator(an.LogDensity(an.Tabular([0.0, 1.0, 0.5, 0.2])), rule)
    data = an.simulate(truth, an.Design(items, annotators=400), seed=0)
    fit = an.fit(an.Annotator(an.LogDensity(an.Tabular(4)), rule), data)
    mass = (fit.population.utility(items).exp() * items.weights).detach()
    gradient = mass @ fit.covariance()  # the sum of probabilities is known: its variance is zero
    assert abs(float(mass.sum()) - 1.0) < 1e-12 and float(gradient.abs().max()) < 1e-10


REPLICATES = 300
SPLIT = an.Mixture([TRUTH, an.Annotator(an.Tabular([0.0, -1.5, 1.0, 1.0, -0.2]), an.Luce())], [0.5, 0.5])


def covered(truth, design, error, seed, replicates=REPLICATES):
    """How many of the intervals of one Luce table hold the (pseudo-)true utility, by item, for each way to an error."""
    model = an.Annotator(an.Tabular(5), an.Luce())
    one = an.Design(ITEMS, menu_size=design.menu_size, feedback=design.feedback)  # one question: the same pseudo-truth
    best = an.project(model, truth, one).population.utility.values.numpy(force=True)
    fits = an.fit(model, an.simulate(truth, design, seed=seed, replicates=replicates))
    assert np.asarray(fits.converged).all()
    far = [np.abs(fits[r].population.utility.values.numpy(force=True) - best) for r in range(replicates)]
    return {
        kind: sum(far[r] <= 1.959964 * of(fits[r]) for r in range(replicates)).astype(int) for kind, of in error.items()
    }


def wald(*kinds):
    return {kind: lambda fit, kind=kind: fit.standard_errors(kind)["utility.values"].numpy() for kind in kinds}


def within_binomial_error(count, replicates=REPLICATES):
    """Exact binomial at coverage 0.95 +- 0.015 (the interval's own error at these sizes), each tail below 1e-9."""
    low, high = binom.ppf(1e-9, replicates, 0.935), binom.ppf(1 - 1e-9, replicates, 0.965)
    return (low <= count) & (count <= high)


def too_few(count, replicates=REPLICATES):
    """Below what coverage 0.95 gives with probability 1e-9."""
    return count < binom.ppf(1e-9, replicates, 0.95)


def test_coverage_where_the_model_is_true():
    """Every kind covers. False-alarm rate: 5 items, three kinds, two tails: below 3e-8."""
    count = covered(TRUTH, an.Design(ITEMS, annotators=300), wald(*uncertainty.KINDS), seed=5)
    assert all(within_binomial_error(count[kind]).all() for kind in uncertainty.KINDS)


def test_coverage_of_the_sandwich_where_the_model_is_false():
    """Opposite tastes, a ranking each, one Luce table: the sandwich covers the pseudo-truth, the Hessian does not.

    (The errors of :func:`annosim.project` differ by 1.66 for the first item, which leaves the Hessian's 0.76.)
    """
    up = np.array([3.0, 1.5, 0.0, -1.5, -3.0])
    truth = an.Mixture([an.Annotator(an.Tabular(sign * up), an.Luce()) for sign in (1, -1)], [0.55, 0.45])
    design = an.Design(ITEMS, menu_size=5, feedback="ranking", annotators=300)
    count = covered(truth, design, wald("hessian", "sandwich"), seed=7)
    assert within_binomial_error(count["sandwich"]).all() and too_few(count["hessian"])[[0, 4]].all()


def test_coverage_of_clusters_and_of_the_bootstrap_where_people_repeat_themselves():
    """Two tastes, sixteen answers each: clusters and the bootstrap by annotator cover, the sandwich by rows does not.

    The bootstrap on its own data (150 sets, 99 draws: the interval's own error is then 0.003 of coverage larger).
    """
    design = an.Design(ITEMS, annotators=100, questions=16)
    count = covered(SPLIT, design, wald("hessian", "sandwich", "cluster"), seed=8)
    assert within_binomial_error(count["cluster"]).all()
    assert too_few(count["hessian"]).any() and too_few(count["sandwich"]).any()
    drawn = covered(SPLIT, design, {"bootstrap": lambda fit: fit.bootstrap(99, seed=1).std(0).numpy()}, 9, 150)
    assert within_binomial_error(drawn["bootstrap"], 150).all()


def test_clusters_widen_where_people_repeat_themselves():
    """Hidden types make one person's answers alike: with m copies of each answer, variances are m times larger."""
    data = an.simulate(TRUTH, an.Design(ITEMS, annotators=300), seed=2)
    copies = an.PreferenceData(
        ITEMS, np.repeat(data.menu, 4, 0), np.repeat(data.answer, 4), annotator=np.repeat(np.arange(300), 4)
    )
    fit, once = (
        an.fit(an.Annotator(an.Tabular(5), an.Luce()), copies),
        an.fit(an.Annotator(an.Tabular(5), an.Luce()), data),
    )
    assert torch.allclose(fit.covariance("cluster"), once.covariance("sandwich"), atol=1e-10)
    assert torch.allclose(4 * fit.covariance("sandwich"), once.covariance("sandwich"), atol=1e-10)


def test_bootstrap_agrees_with_the_sandwich():
    """400 replicates: a standard deviation is within 25 % of the sandwich (its own error is 3.5 %; 7 sigma)."""
    data = an.simulate(TRUTH, an.Design(ITEMS, annotators=600), seed=3)
    fit = an.fit(an.Annotator(an.Tabular(5), an.Luce()), data)
    draws = fit.bootstrap(400, seed=1)
    ratio = draws.std(0) / fit.standard_errors("cluster")["utility.values"]
    assert draws.shape == (400, 5) and float((ratio - 1).abs().max()) < 0.25
    assert torch.equal(draws, fit.bootstrap(400, seed=1))


def test_bootstrap_of_a_mixture_and_of_rankings_refits_with_weights():
    truth = an.Mixture(
        [an.Annotator(an.Linear([2.0, 0.0]), an.Luce()), an.Annotator(an.Linear([-2.0, 0.0]), an.Luce())], [0.7, 0.3]
    )
    data = an.simulate(truth, an.Design(ITEMS, menu_size=3, feedback="ranking", annotators=200, questions=2), seed=0)
    fit = an.fit(truth, data)
    draws = fit.bootstrap(20, seed=0)
    assert torch.isfinite(draws).all() and float((draws.mean(0)[0] - fit.population.weights[0]).abs()) < 0.1


def test_of_a_projection_the_unit_is_one_annotator():
    """Sandwich at the pseudo-truth: many simulated fits of the misspecified model have that spread (8 %, 5 sigma)."""
    truth = an.Mixture(
        [an.Annotator(an.Linear([2.0, 0.0]), an.Luce()), an.Annotator(an.Linear([-1.0, 1.0]), an.Luce())], [0.5, 0.5]
    )
    design = an.Design(ITEMS, questions=2, annotators=300)
    model = an.Annotator(an.Linear(2), an.Luce())
    best = an.project(model, truth, design)
    predicted = best.standard_errors("cluster")["utility.weights"].numpy() / np.sqrt(300)
    fits = [an.fit(model, an.simulate(truth, design, seed=6, replicate=r)).population.vector() for r in range(200)]
    spread = torch.stack(fits)
    assert np.abs(spread.std(0).numpy() / predicted - 1).max() < 0.3
    assert ((spread.mean(0) - best.population.vector()).abs().numpy() < 6 * predicted / np.sqrt(200) + 0.02).all()


def test_summary_plot_save_and_load(tmp_path):
    data = an.simulate(TRUTH, an.Design(ITEMS, annotators=200), seed=3)
    fit = an.fit(an.Annotator(an.Tabular(5), an.Luce()), data)
    table = fit.summary("cluster", level=0.9)
    assert list(table["rank"]) == [1, 2, 3, 4, 5] and (table["low"] < table["estimate"]).all()
    assert table["item"].iloc[0] == ITEMS.names[int(fit.population.utility.values.argmax())]
    assert table.attrs["kind"] == "cluster"
    assert table.attrs["log_likelihood"] == fit.log_likelihood and table.attrs["solver"] == "newton"
    assert fit.plot() is not None
    again = an.Fit.load(fit.save(tmp_path / "fit.pt"))
    assert repr(again) == repr(fit) and torch.equal(again.covariance("cluster"), fit.covariance("cluster"))
    with pytest.raises(an.errors.AnnosimError, match="there is no such file"):
        an.Fit.load(tmp_path / "nothing.pt")
    (tmp_path / "other.pt").write_text("no fit")
    with pytest.raises(an.errors.AnnosimError, match="cannot be read"):
        an.Fit.load(tmp_path / "other.pt")
    with pytest.raises(an.errors.AnnosimError, match="the kinds are"):
        fit.standard_errors("exact")


def test_half_wins_keep_people_as_the_units():
    """Ties split people into shares; clusters and the bootstrap join them again (25 %, as above)."""
    truth = an.Annotator(an.Tabular([0.0, 0.5, 1.0, -1.0, 0.2]), an.Davidson(delta=1.0))
    data = an.simulate(truth, an.Design(ITEMS, annotators=150, questions=6), seed=3).ties("half")
    fit = an.fit(an.Annotator(an.Tabular(5), an.Luce()), data)
    ratio = fit.bootstrap(400, seed=1).std(0) / fit.standard_errors("cluster")["utility.values"]
    assert float((ratio - 1).abs().max()) < 0.25


@pytest.mark.parametrize("weakest", [1e-3, 1e-6, 1e-8])
def test_a_direction_of_which_the_data_say_little_is_not_one_of_which_they_say_nothing(weakest):
    """The inverse of an information whose directions differ by eight orders, in any units; and an exact null space."""
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    information = turn @ np.diag([1.0, 2.0, 0.5, weakest]) @ turn.T
    units = np.array([1e-4, 1.0, 1e3, 10.0])
    for unit in (np.ones(4), units):
        found, flat = generalised_inverse(information * unit[:, None] * unit)
        assert found * unit[:, None] * unit == pytest.approx(np.linalg.inv(information), rel=1e-6)
        assert flat.shape == (4, 0)
    singular = turn[:, :3] @ np.diag([1.0, 2.0, 0.5]) @ turn[:, :3].T
    found, flat = generalised_inverse(singular)
    assert singular @ found @ singular == pytest.approx(singular, abs=1e-12)
    assert np.abs(flat[:, 0] @ turn[:, 3]) == pytest.approx(1.0)


@pytest.mark.parametrize("level", [0.3, 0.8, 0.95])
def test_criteria_and_intervals_follow_their_definitions(level):
    """Of weighted people with two answers each: a person is the unit, and a weight counts people."""
    truth = an.Annotator(an.Tabular([0.0, 0.5, -1.0]), an.Luce())
    data = an.simulate(truth, an.Design(an.Items(n=3), annotators=50, questions=2), seed=0).for_learner()
    data = data.with_(weight=np.where(data.annotator_ids % 2 == 0, 3.0, 1.0))
    fit = an.fit(truth, data)
    people, k = 100.0, 2
    assert fit.aic == pytest.approx(2 * k - 2 * fit.log_likelihood)
    assert fit.bic == pytest.approx(k * np.log(people) - 2 * fit.log_likelihood)
    assert fit.held_out(data) == pytest.approx(fit.log_likelihood / people)
    assert an.fit(truth, expand(data)).bic == pytest.approx(fit.bic)
    table, error = fit.summary(level=level), fit.standard_errors("cluster")["utility.values"].numpy()
    z = norm.ppf(0.5 + level / 2)
    by_item = table.sort_values("parameter")
    value = fit.population.utility.values.detach().numpy()
    assert by_item["low"].to_numpy() == pytest.approx(value - z * error)
    assert by_item["high"].to_numpy() == pytest.approx(value + z * error)


@pytest.mark.parametrize("name", ["low rank", "panels"])
def test_numbers_of_items_are_named_whatever_holds_them(name):
    """Only utilities are ranked: a loading has no first place."""
    items = an.Items(n=3, names=["a", "b", "c"])
    data = an.simulate(an.Annotator(an.Tabular([1.0, 0.0, -1.0]), an.Luce()), an.Design(items, annotators=60), seed=0)
    model = {
        "low rank": an.populations.LowRank(3, an.fixed([[1.0], [0.0], [-1.0]]), an.Luce()),
        "panels": an.populations.JudgePanels(3, an.fixed([0.1, 0.2, 0.3]), an.Luce()),
    }[name]
    table = an.fit(model, data, prior=an.priors.Gaussian(1.0)).summary()
    assert table["item"].tolist() == ["a", "b", "c"] and table["rank"].tolist() == [1, 2, 3]
    free = {"low rank": an.populations.LowRank(3, [[1.0], [0.0], [-1.0]], an.Luce())}.get(name)
    if free is not None:
        shown = an.fit(free, data, prior=an.priors.Gaussian(1.0)).summary(sort="parameter")
        assert (
            shown["item"].tolist() == ["a", "b", "c"] * 2 and shown["rank"].isna().tolist() == [False] * 3 + [True] * 3
        )
