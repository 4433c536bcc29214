"""Batches of replicates: each row is what a single fit gives, and a failed replicate is recorded while the others continue."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import annosim as an
from annosim.coordinates.normalisation import by_weight, canonical
from annosim.learning.likelihoods.latent_classes import LatentClasses
from annosim.learning.likelihoods.reference import Blocks, block_log_likelihood
from annosim.learning.problem import Problem
from annosim.learning.solvers.maximise import maximise

ITEMS = an.Items.normal(6, 2, seed=0)


def test_the_iteration_limit_holds_for_a_batch_as_for_one():
    people = an.Annotator(an.Tabular([0.0, 0.5, 1.0]), an.Luce())
    data = an.simulate(people, an.Design(an.Items(n=3), annotators=400), seed=3, replicates=3)
    short = an.Newton(max_iterations=1)
    fits, one = an.fit(people.like(seed=0), data, solver=short), an.fit(people, data[0], solver=short)
    assert not one.converged and not fits.converged.any() and set(fits.status) == {"not converged"}
    assert fits.iterations.tolist() == [1, 1, 1]


def test_tables_equal_single_fits_and_a_failure_is_a_row():
    truth = an.Annotator(an.Tabular([0.0, 0.5, 1.0, -1.0, 0.2, 3.0]), an.Luce())
    data = an.simulate(truth, an.Design(ITEMS, annotators=60), seed=1, replicates=12)
    fits = an.fit(truth.like(seed=0), data)
    failed = [word != "ok" for word in fits.status]
    assert 0 < sum(failed) < 12  # the best item is undefeated in some of them
    for r in range(12):
        if failed[r]:
            with pytest.raises(an.errors.NotIdentifiedError):
                an.fit(truth, data[r])
            with pytest.raises(an.errors.NotIdentifiedError):
                fits[r]
        else:
            one = an.fit(truth, data[r])
            assert np.abs(one.population.vector().numpy() - fits.vectors[r]).max() < 1e-8
            assert abs(one.log_likelihood - fits.log_likelihood[r]) < 1e-8
            assert fits[r].converged and fits[r].standard_errors("cluster")["utility.values"].shape == (6,)


@pytest.mark.parametrize(("size", "feedback"), [(2, "choice"), (4, "ranking")])
def test_mixtures_equal_single_fits(size, feedback):
    truth = an.Mixture(
        [an.Annotator(an.Linear([2.0, 0.0]), an.Luce()), an.Annotator(an.Linear([-1.0, 1.0]), an.Luce())], [0.7, 0.3]
    )
    design = an.Design(ITEMS, menu_size=size, feedback=feedback, annotators=150, questions=5)
    data = an.simulate(truth, design, seed=1, replicates=6)
    fits = an.fit(truth, data).align(truth)
    assert fits.converged.all() and fits.gradient_norm.max() < 1e-9
    for r in range(6):
        one = an.fit(truth, data[r]).align(truth)
        assert np.abs(one.population.vector().numpy() - fits.vectors[r]).max() < 1e-7
    assert torch.equal(fits[2].population.vector(), torch.as_tensor(fits.vectors[2]))
    assert "6 converged" in repr(fits)


@pytest.mark.parametrize("kind", ["table", "linear", "mixture"])
def test_the_gradient_norm_is_that_of_the_likelihood_by_its_weight(kind):
    """Wherever the search was stopped: the largest derivative by a free number, per person of weight one."""
    tables = [an.Annotator(an.Tabular(u), an.Luce()) for u in ([0.0, 0.5, 1.0, -1.0], [0.3, -0.5, 0.0, 0.2])]
    model = {
        "table": tables[0],
        "linear": an.Annotator(an.Linear([0.5, -0.2]), an.Luce()),
        "mixture": an.Mixture([an.Annotator(an.Linear(w), an.Luce()) for w in ([1.0, 0.5], [-0.5, 0.2])], [0.6, 0.4]),
    }[kind]
    items = an.Items.normal(4, 2, seed=3)
    menus = [[0, 1], [1, 2], [2, 3], [3, 0], [0, 2], [1, 3]]  # every item equally often
    design = an.Design(items, menus=menus, questions="all", annotators=40)
    data = an.simulate(model, design, seed=2, replicates=2)
    few = an.Newton(max_iterations=1, tolerance=2e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        batch, single = an.fit(model.like(seed=1), data, solver=few), an.fit(model.like(seed=1), data[0], solver=few)
    total = {"table": 240, "linear": 240, "mixture": 40}[kind]
    for found, norm in ((single.population, single.gradient_norm), (batch[1].population, batch.gradient_norm[1])):
        one = data[0] if found is single.population else data[1]
        v = found.vector().requires_grad_(True)
        value = found.functional_call(v, lambda p, one=one: weighted_log_likelihood(p, one))
        (slope,) = torch.autograd.grad(value, v)
        if kind == "mixture":  # its shares move by their log ratio
            share = found.weights.detach()
            slope = torch.cat([(share[0] * share[1] * (slope[0] - slope[1]))[None], slope[2:]])
        assert norm == pytest.approx(float(slope.abs().max()) / total, rel=1e-6) and norm > 1e-9


def weighted_log_likelihood(population, data):
    blocks = Blocks(data)
    return (blocks.weight * block_log_likelihood(population, blocks)).sum()


def test_other_models_are_fitted_one_by_one():
    truth = an.Annotator(an.Tabular([0.0, 1.0, 0.5]), an.Davidson(delta=0.8))
    data = an.simulate(truth, an.Design(an.Items(n=3), annotators=80), seed=1, replicates=3)
    fits = an.fit(an.Annotator(an.Tabular(3), an.Davidson(delta=an.free(1.0))), data)
    assert fits.converged.all() and fits.vectors.shape == (3, 4) and fits.solver == "autograd"


def _two_tables(scores):
    return an.Mixture([an.Annotator(an.Tabular([s * v for v in scores]), an.Luce()) for s in (1.0, -1.0)], [0.4, 0.6])


def test_types_of_replicates_are_named_as_those_of_one_fit():
    people = _two_tables([2.0, 0.0, -1.0])
    data = an.simulate(people, an.Design(an.Items(n=3), annotators=80, questions=6), seed=2, replicates=4)
    fits = an.fit(people, data)
    assert fits.settings["path"] == "likelihood by likelihood"
    for r in range(4):
        one = an.fit(people, data[r])
        assert np.abs(fits.vectors[r] - one.population.vector().numpy()).max() < 1e-8
        assert fits[r].population.weights[0] >= fits[r].population.weights[1]


def test_replicates_without_an_estimate_are_rows_with_a_status():
    """A type's table needs every item, and several types need several people, in a replicate as in a single fit."""
    people = _two_tables([2.0, 0.0, -1.0])
    data = an.simulate(people, an.Design(an.Items(n=3), annotators=30, questions=4), seed=2, replicates=2)
    alone = data.with_(annotator=np.zeros(data.rows, dtype=int))
    unseen = an.PreferenceData(an.Items(n=4), data.menu, data.answer, annotator=data.annotator)
    for bad, model, said in (
        (alone, people, "only 1 annotator"),
        (unseen, _two_tables([2, 0, -1, 1]), "never compared"),
    ):
        fits = an.fit(model, bad)
        assert not fits.converged.any() and all(said in word for word in fits.status)


def test_numbers_that_no_annotator_bears_count_nowhere():
    people = _two_tables([2.0, 0.0, -1.0])
    data = an.simulate(people, an.Design(an.Items(n=3), annotators=40, questions=5), seed=2)
    gaps = data.with_(annotator=7 * data.annotator)
    one, other = an.fit(people, data), an.fit(people, gaps)
    assert one.bic == other.bic and one.held_out(data) == one.held_out(gaps)


def _network(seed, rule=None, energy=True):
    net = an.Network([8], dim=2, seed=seed, dtype=torch.float64)
    return an.Annotator(
        an.LogDensity(net) if energy else net, rule or an.PBDE.dpo(2.0, an.LogDensity(an.Linear([0.5, 0.0])))
    )


def test_every_replicate_may_begin_at_a_model_of_its_own():
    """Together or one by one: the same numbers, for each objective that a single fit takes."""
    truth = an.Annotator(an.Linear([2.0, -1.0]), an.Luce())
    parts = [an.simulate(truth, an.Design(ITEMS, annotators=80), seed=s) for s in range(3)]
    models = [_network(seed) for seed in range(3)]
    for objective in (None, an.objectives.IPO(0.5)):
        how = {"objective": objective, "solver": an.Adam(steps=25, lr=1e-2, tolerance=0.5)}
        together = an.fit(models, an.data.stack(parts), **how)
        for r, part in enumerate(parts):
            alone = an.fit(models[r], part, **how)
            assert together[r].objective == pytest.approx(alone.objective, abs=1e-12)
            assert together.objective[r] == together[r].objective
            assert together[r].starts == pytest.approx(alone.starts)
            assert together[r].log_likelihood == (None if objective else pytest.approx(alone.log_likelihood))
            gap = together[r].population.utility(ITEMS) - alone.population.utility(ITEMS)
            assert gap.abs().max() < 1e-9
    tables = [
        an.Annotator(an.Tabular(6), an.Thurstone()),
        an.Annotator(an.Tabular([0, 0, 0, 0, 1.0, 2.0]), an.Thurstone()),
    ]
    ends = an.fit(
        tables, an.data.stack(parts[:2])
    )  # no networks: one by one, and the optimum does not depend on the start
    assert ends.solver == "autograd"
    assert np.abs(ends.vectors[1] - an.fit(tables[0], parts[1]).population.vector().numpy()).max() < 1e-6


def test_models_of_replicates_that_do_not_fit_are_refused():
    data = an.simulate(_network(0), an.Design(ITEMS, annotators=30), seed=0, replicates=2)
    for models, said in (
        ([_network(s) for s in range(3)], "3 populations for 2 replicates; give one for each"),
        ([_network(0), an.Annotator(an.Network([4], dim=2), an.Luce())], "0 and 1 differ in their shapes"),
        ([_network(0), _network(1, an.PBDE.dpo(3.0, an.LogDensity(an.Linear([0.5, 0.0]))))], "rules, modules or fixed"),
        ([_network(0), "Luce"], "give a population such as"),
    ):
        with pytest.raises(an.errors.ArgumentError, match=said):
            an.fit(models, data, solver=an.Adam(steps=2))
    with pytest.raises(an.errors.ArgumentError, match="2 populations for data without replicates; give one"):
        an.fit([_network(0), _network(1)], data[0], solver=an.Adam(steps=2))


def test_copies_in_turns_are_copies_at_once(monkeypatch):
    """Which of the two is faster depends on the sizes; what comes out does not."""
    data = an.simulate(_network(0), an.Design(ITEMS, annotators=60), seed=0, replicates=3)
    found = []
    for border in (0.0, np.inf):
        monkeypatch.setattr("annosim.learning.training.stacked.SEQUENTIAL_FROM", border)
        monkeypatch.setattr(torch, "vmap", None if border == 0 else torch.vmap)  # turns do not map
        found.append(
            [an.fit(_network(1), data, solver=an.Adam(steps=20, lr=1e-2, batch=b)).log_likelihood for b in (None, 16)]
        )
        monkeypatch.undo()
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9)


def _choices(people, questions, seed=0, weight=None):
    truth = an.Annotator(an.Linear([2.0, -1.0]), an.Luce())
    data = an.simulate(truth, an.Design(ITEMS, annotators=people, questions=questions), seed=seed)
    return data if weight is None else data.with_(weight=np.repeat(weight, questions))


def _same_as_alone(fits, model, parts, **how):
    for r, part in enumerate(parts):
        alone = an.fit(model, part, **how)
        assert fits[r].objective == pytest.approx(alone.objective, abs=1e-10) and fits.objective[r] == fits[r].objective
        if alone.log_likelihood is not None:  # with annotators held out there is none of all
            assert fits[r].log_likelihood == pytest.approx(alone.log_likelihood, abs=1e-8)
            assert fits.log_likelihood[r] == fits[r].log_likelihood
        gap = fits[r].population.utility(ITEMS) - alone.population.utility(ITEMS)
        assert (gap - gap.mean()).abs().max() < 1e-8


@pytest.mark.parametrize("people", [(12, 10), (10, 12), (12, 9, 15)])
@pytest.mark.parametrize("how", [{}, {"batch": 4}, {"held_out": 0.3, "evaluate_every": 2}], ids=str)
def test_replicates_of_unequal_numbers_of_annotators_are_what_single_fits_are(people, how):
    parts = [_ragged(n, r) for r, n in enumerate(people)]
    how = {"solver": an.Adam(steps=12, lr=1e-2, **how)}
    _same_as_alone(
        an.fit(_network(0, energy=False), an.data.stack(parts), **how), _network(0, energy=False), parts, **how
    )


def _ragged(people, seed):
    """Sixty rows of so many annotators."""
    data = _choices(60, 1, seed=seed)
    return data.with_(annotator=np.sort(np.arange(60) % people))


def test_replicates_of_unequal_weight_have_the_log_likelihoods_of_single_fits():
    parts = [_choices(20, 2, seed=r, weight=np.linspace(0.5, 1 + 3 * r, 20)) for r in range(3)]
    how = {"solver": an.Adam(steps=12, lr=1e-2)}
    fits = an.fit(_network(0, energy=False), an.data.stack(parts), **how)
    assert fits.settings["path"] == "trained at once"
    _same_as_alone(fits, _network(0, energy=False), parts, **how)


def test_a_replicate_whose_answers_the_rule_cannot_give_is_a_row_with_a_status():
    """Ties under a rule without ties, and skips, as in a single fit."""
    truth = an.Annotator(an.Linear([2.0, -1.0]), an.Davidson(delta=1.0))
    tied = an.simulate(truth, an.Design(ITEMS, annotators=60), seed=1, replicates=2)
    fits = an.fit(_network(0, energy=False), tied, solver=an.Adam(steps=3))
    assert all("ties" in word for word in fits.status) and np.isnan(fits.log_likelihood).all()
    plain = _choices(60, 1)
    answer = plain.answer.copy()
    answer[7] = -1
    mixed = an.fit(
        _network(0, energy=False), an.data.stack([plain, plain.with_(answer=answer)]), solver=an.Adam(steps=3)
    )
    assert "schedule" in mixed.status[0] and "skip" in mixed.status[1]


def test_models_of_replicates_must_mean_the_same_by_their_numbers():
    """Plain attributes and closures are no parameters, and a batch has one of them for all."""

    class Signed(torch.nn.Module):
        def __init__(self, sign):
            super().__init__()
            self.layer, self.sign = torch.nn.Linear(2, 1), sign

        def forward(self, x):
            return self.sign * self.layer(x)[:, 0]

    slope = lambda a: torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.LeakyReLU(a), torch.nn.Linear(4, 1))  # noqa: E731
    data = an.simulate(_network(0), an.Design(ITEMS, annotators=30), seed=0, replicates=3)
    for make in (
        lambda s: an.Network([4], dim=2, sign=s),
        lambda s: an.Network(Signed(s)),
        lambda s: an.Network(slope(0.2 * s)),
    ):
        models = [an.Annotator(make(s), an.Luce()) for s in (1.0, 1.0, -1.0)]
        with pytest.raises(an.errors.ArgumentError, match="replicates 0 and 2 give other scores"):
            an.fit(models, data, solver=an.Adam(steps=2))
        an.fit([models[0], models[1], models[0]], data, solver=an.Adam(steps=2))


def test_one_by_one_every_replicate_begins_at_its_own_and_keeps_its_own_files(tmp_path):
    """A replicate without finite losses sends the others one by one: objectives, ends and files are theirs."""
    good = [_choices(30, 1, seed=s) for s in range(2)]
    data = an.data.stack(good)
    models = [_network(s, energy=False) for s in range(2)]
    broken = models[1].with_parameters(models[1].vector() * torch.nan)
    how = {"solver": an.Adam(steps=10, lr=1e-2, checkpoint=tmp_path / "run.pt", log=tmp_path / "log.parquet")}
    fits = an.fit([models[0], broken], data, **how)
    assert fits.status[0] == "stopped by schedule" and "not finite" in fits.status[1]
    alone = an.fit(models[0], good[0], solver=an.Adam(steps=10, lr=1e-2))
    assert fits.objective[0] == fits[0].objective == alone.objective and np.isnan(fits.objective[1])
    assert (tmp_path / "run-0.pt").exists() and (tmp_path / "log-0.parquet").exists()
    swapped = an.fit([broken, models[0]], data, solver=an.Adam(steps=10, lr=1e-2))
    assert swapped[1].objective == an.fit(models[0], good[1], solver=an.Adam(steps=10, lr=1e-2)).objective


def test_types_trained_by_adam_stand_in_order_of_falling_weight_too():
    truth = an.Mixture([an.Annotator(an.Linear([s, 0.0]), an.Luce()) for s in (2.0, -2.0)], [0.2, 0.8])
    data = an.simulate(truth, an.Design(ITEMS, annotators=200, questions=4), seed=0, replicates=2)
    start = [an.Annotator(an.Network([4], dim=2, seed=k, dtype=torch.float64), an.Luce()) for k in range(2)]
    fits = an.fit(an.Mixture(start), data, solver=an.Adam(steps=150, lr=3e-2))
    for r in range(2):
        assert fits[r].population.weights[0] > fits[r].population.weights[1]
        assert torch.equal(fits[r].population.vector(), torch.as_tensor(fits.vectors[r]))


def test_turns_show_every_copy_its_own_items(monkeypatch):
    items, truth = an.Items.normal(200, 2, seed=1), an.Annotator(an.Linear([2.0, -1.0]), an.Luce())
    data = an.simulate(truth, an.Design(items, annotators=60), seed=0, replicates=3)
    how = {"solver": an.Adam(steps=12, lr=1e-2, batch=10)}  # ten pairs show twenty of the items, each replicate its own
    at_once = an.fit(_network(1, energy=False), data, **how).vectors
    monkeypatch.setattr("annosim.learning.training.stacked.SEQUENTIAL_FROM", 0.0)
    np.testing.assert_allclose(an.fit(_network(1, energy=False), data, **how).vectors, at_once, atol=1e-9)


def test_latent_classes_of_replicates_each_begin_at_their_own():
    truth = an.Mixture([an.Annotator(an.Linear([s, 1.0]), an.Luce()) for s in (2.0, -2.0)], [0.7, 0.3])
    data = an.simulate(truth, an.Design(ITEMS, annotators=60, questions=4), seed=1, replicates=2)
    models = [truth.like(seed=1), an.Mixture([an.Annotator(an.Linear(2), an.Luce()) for _ in range(2)])]  # a saddle
    fits = an.fit(models, data, solver=an.Newton(max_iterations=3))
    for r in range(2):
        alone = an.fit(models[r], data[r], solver=an.Newton(max_iterations=3))
        assert fits[r].log_likelihood == alone.log_likelihood
        assert torch.equal(fits[r].population.vector(), alone.population.vector())


def _replicates(truth, count=3, **design):
    return an.simulate(truth, an.Design(ITEMS, **design), seed=4, replicates=count)


_LINEAR = [an.Annotator(an.Linear(w), an.Luce()) for w in ([2.0, 0.0], [-1.0, 1.0])]
_SCORES = ITEMS.features[:, 0].tolist()
_TASTES = an.RandomCoefficients([1.0, -0.5], 0.6, an.Luce())

EVERY_LIKELIHOOD = {
    "newton": (an.Annotator(an.Tabular(_SCORES), an.Luce()), {"annotators": 150, "menu_size": 3}, "auto"),
    "newton-linear": (_LINEAR[0], {"annotators": 150, "menu_size": 3}, "auto"),
    "em-newton": (an.Mixture(_LINEAR, [0.6, 0.4]), {"annotators": 150, "questions": 5}, "auto"),
    "em-newton-cg": (_two_tables(_SCORES), {"annotators": 200, "questions": 6}, an.Newton(hessian="matrix-free")),
    "simulated": (_TASTES, {"annotators": 100, "questions": 6}, an.learning.SimulatedLikelihood(draws=32)),
    "autograd": (an.Annotator(an.Tabular(_SCORES), an.Davidson(an.free(0.8))), {"annotators": 200}, "auto"),
}


@pytest.mark.parametrize("name", EVERY_LIKELIHOOD)
def test_a_batch_is_its_single_fits_for_every_likelihood(name):
    model, design, solver = EVERY_LIKELIHOOD[name]
    data = _replicates(model, **design)
    fits = an.fit(model, data, solver=solver)
    assert fits.solver == name and fits.converged.all()
    for r in range(3):
        one = an.fit(model, data[r], solver=solver)
        assert np.abs(fits.vectors[r] - one.population.vector().numpy()).max() < 1e-8
        assert abs(fits.log_likelihood[r] - one.log_likelihood) < 1e-8
        assert repr(fits[r]) == repr(one)


def test_many_replicates_of_a_mixture_are_judged_by_threads():
    """What is asked at each optimum must not share state: sixty replicates on all cores end as one after another."""
    items = an.Items.normal(6, dim=2, seed=0)
    people = an.Mixture([an.Annotator(an.Linear(w), an.Luce()) for w in ([2.0, 0.0], [-1.0, 1.0])], [0.6, 0.4])
    data = an.simulate(people, an.Design(items, menu_size=3, annotators=150, questions=6), seed=0, replicates=60)
    together = an.fit(people.like(seed=1), data)
    for r in (0, 29, 59):
        assert together.log_likelihood[r] == pytest.approx(
            an.fit(people.like(seed=1), data[r]).log_likelihood, abs=1e-8
        )


@pytest.mark.parametrize("name", EVERY_LIKELIHOOD)
def test_what_a_batch_reads_of_a_likelihood_is_what_its_population_says(name):
    """Vectors without a population, types in order; and how coordinates move with numbers, by a small difference."""
    model, design, solver = EVERY_LIKELIHOOD[name]
    data = _replicates(model, **design)[0]
    fit = an.fit(model, data, solver=solver)
    if isinstance(model, an.Mixture):
        model = model.relabelled([1, 0])  # the first type is the rarer one
    likelihood = type(fit.likelihood)(replace(fit.problem, model=model))
    x = likelihood.start(model)
    expected = canonical(by_weight(model), data.items).detach().numpy()
    assert np.allclose(likelihood.reported(x), expected, rtol=0, atol=1e-12)
    assert np.array_equal(likelihood.reported(x), likelihood.population(x).vector().numpy())
    vector = likelihood.vector(x)
    move = model.like(seed=3).vector().numpy() - vector
    ends = [likelihood.start(model.with_parameters(torch.as_tensor(vector + h * move))) for h in (-1e-5, 1e-5)]
    assert np.allclose((ends[1] - ends[0]) / 2e-5, likelihood.direction(vector, move), rtol=0, atol=1e-6)


def test_a_screened_ray_is_one_that_the_likelihood_falls_along():
    """Gradient and curvature at an optimum whose types were named anew are those of the numbers that they are asked of."""
    model, design, _ = EVERY_LIKELIHOOD["em-newton"]
    data = _replicates(model, **design)[0]
    rare = model.relabelled([1, 0])
    likelihood = type(an.fit(model, data).likelihood)(Problem(rare, data))
    found = likelihood.optimum(rare, 1e-10, 200)
    assert (likelihood.reported(found.point) != likelihood.vector(found.point)).all()
    vector = likelihood.vector(found.point)
    for j in range(2, 6):  # the weights of the features
        move = np.zeros(6)
        move[j] = 1e-3
        other = rare.with_parameters(torch.as_tensor(vector + move))
        way = likelihood.direction(vector, move)
        fall = found.value - likelihood.evaluate(likelihood.start(other)).value
        assert fall == pytest.approx(0.5 * way @ found.evaluation.curvature @ way, rel=0.05)


@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    kind=st.sampled_from([("choice", 2), ("choice", 3), ("ranking", 3)]),
    table=st.booleans(),
    fixed=st.booleans(),
    known=st.booleans(),
    newton=st.booleans(),
)
def test_compiled_as_a_whole_latent_classes_go_the_maximisers_way(seed, kind, table, fixed, known, newton):
    """Step by step: as many of them, Newton's among them, the same values on the way, the same end."""
    rng = np.random.default_rng(seed)
    utility = [an.Tabular(rng.normal(size=6)) if table else an.Linear(rng.normal(size=2)) for _ in range(2)]
    types = [an.Annotator(one, an.Luce()) for one in utility]
    if known:
        types.append(an.Annotator(an.Tabular(an.fixed(rng.normal(size=6))), an.Luce()))
    share = rng.dirichlet(np.full(len(types), 3.0))
    people = an.Mixture(types, an.fixed(share) if fixed else share)
    feedback, size = kind
    design = an.Design(ITEMS, menu_size=size, feedback=feedback, annotators=120, questions=4)
    likelihood = LatentClasses(Problem(people, an.simulate(people, design, seed=seed)))
    start = likelihood.start(people)
    ours = likelihood.ascend(start, 1e-10, 60, newton)
    plain = maximise(likelihood, start, 1e-10, 60, newton=newton)
    assert (ours.stopped_by, ours.iterations, ours.newton_steps) == (
        plain.stopped_by,
        plain.iterations,
        plain.newton_steps,
    )
    assert np.allclose(ours.trace, plain.trace, rtol=1e-9, atol=1e-9)
    gap, curvature = ours.point - plain.point, plain.evaluation.curvature
    assert abs(gap @ curvature @ gap) < 1e-8  # along directions that the answers tell
    assert np.allclose(ours.evaluation.curvature, curvature, rtol=1e-4, atol=1e-4)
