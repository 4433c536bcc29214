"""Batches of replicates: each row is what a single fit gives, and a failed replicate stops nobody."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import annosim as an

ITEMS = an.Items.normal(6, 2, seed=0)


def test_tables_equal_single_fits_and_a_failure_is_a_row():
    truth = an.Annotator(an.Tabular([0.0, 0.5, 1.0, -1.0, 0.2, 3.0]), an.Luce())
    data = an.simulate(truth, an.Design(ITEMS, annotators=60), seed=1, replicates=12)
    fits = an.fit(truth.like(seed=0), data)
    failed = [word != "ok" for word in fits.status]
    assert 0 < sum(failed) < 12  # the best item is undefeated in some of them
    for r in range(12):
        if failed[r]:
            with pytest.raises(an.NotIdentifiedError):
                an.fit(truth, data[r])
            with pytest.raises(an.NotIdentifiedError):
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
    assert fits.settings["path"] == "compiled climbs"
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
    for objective in (None, an.IPO(0.5)):
        how = {"objective": objective, "steps": 25, "lr": 1e-2, "tolerance": 0.5}
        together = an.fit(models, an.stack(parts), **how)
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
    ends = an.fit(tables, an.stack(parts[:2]))  # no networks: one by one, and the optimum does not depend on the start
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
            an.fit(models, data, steps=2)
    with pytest.raises(an.errors.ArgumentError, match="2 populations for data without replicates; give one"):
        an.fit([_network(0), _network(1)], data[0], steps=2)


def test_copies_in_turns_are_copies_at_once(monkeypatch):
    """Which of the two is faster depends on the sizes; what comes out does not."""
    data = an.simulate(_network(0), an.Design(ITEMS, annotators=60), seed=0, replicates=3)
    found = []
    for border in (0.0, np.inf):
        monkeypatch.setattr("annosim.learning.training.stacked._TURNS_FROM", border)
        monkeypatch.setattr(torch, "vmap", None if border == 0 else torch.vmap)  # turns do not map
        found.append([an.fit(_network(1), data, steps=20, lr=1e-2, batch=b).log_likelihood for b in (None, 16)])
        monkeypatch.undo()
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9)
