"""Training by Adam: agreement with exact solvers, batches with single runs, minibatches, refusals."""

import copy
import math
import shutil

import numpy as np
import pytest
import torch

import annosim as an
from annosim.errors import ArgumentError, DeviceError
from annosim.learning.solvers.settings import Adam
from annosim.learning.training.batches import rows_of, shuffled_batches
from annosim.learning.training.run import TrainingRun, train
from annosim.learning.training.stacked import StackedModel, with_cached_references
from annosim.random import child_seed


def network(seed=0, dtype=torch.float32):
    return an.Annotator(an.Network([8, 8], dim=1, seed=seed, dtype=dtype), an.Luce())


def test_adam_on_a_linear_model_finds_the_maximum_likelihood_estimate(world):
    items, truth, design = world
    data = an.simulate(truth, design, seed=1)
    model = an.Annotator(an.Linear([0.0]), an.Luce())
    exact = an.fit(model, data)
    done = train(model, data, solver=Adam(steps=600, lr=4e-2, tolerance=1e-9))
    assert torch.allclose(done.populations[0].vector(), exact.population.vector(), atol=1e-5)
    assert -float(done.loss[0]) * data.rows == pytest.approx(exact.log_likelihood, rel=1e-9)


def test_fit_sends_networks_to_adam_and_reports_the_schedule(world):
    items, truth, design = world
    found = an.fit(network(), an.simulate(truth, design, seed=1), solver=an.Adam(steps=50, lr=1e-2))
    assert (found.solver, found.stopped_by, found.iterations) == ("adam", "schedule", 50)
    assert not found.converged
    assert found.log_likelihood == pytest.approx(-found.objective * 600)
    with pytest.raises(ArgumentError, match="no argument 'stepz'"):
        an.fit(network(), an.simulate(truth, design, seed=1), stepz=50)


def test_the_gradient_stops_a_converged_run(world):
    items, truth, design = world
    model = an.Annotator(an.Linear([0.0]), an.Luce())
    done = train(model, an.simulate(truth, design, seed=1), solver=Adam(steps=5000, lr=5e-2, tolerance=1e-5))
    assert done.stopped_by == "gradient"
    assert done.steps < 5000
    assert float(done.gradient_norm) < 2e-5


@pytest.mark.parametrize("batch", [None, 64])
def test_replicates_and_starts_trained_at_once_equal_runs_one_by_one(world, batch):
    items, truth, design = world
    data = an.simulate(truth, design, seed=2, replicates=3)
    options = Adam(steps=30, lr=1e-2, batch=batch)
    model = network(dtype=torch.float64)
    together = train(model, data, solver=options, starts=2, seed=5)
    assert len(together.populations) == 6
    for r in range(3):
        for s in range(2):
            begin = model if s == 0 else model.like(child_seed(5, f"start {s}"))
            alone = train(begin, data[r], solver=options, seed=5)
            assert torch.allclose(together.populations[2 * r + s].vector(), alone.populations[0].vector(), atol=1e-10)
            assert float(together.loss[2 * r + s]) == pytest.approx(float(alone.loss[0]), abs=1e-12)


def test_each_copy_reads_only_the_items_of_its_own_minibatch():
    items = an.Items.normal(300, dim=2, seed=0)
    truth = an.Annotator(an.Linear([1.0, -1.0]), an.Luce())
    data = an.simulate(truth, an.Design(items, annotators=80, questions=3), seed=2, replicates=3)
    options = Adam(steps=12, lr=1e-2, batch=12)
    model = an.Annotator(an.Network([8], dim=2, dtype=torch.float64), an.Luce())
    rows = rows_of(data, an.objectives.NLL(), items)
    shown = StackedModel([model] * 3, items, torch.device("cpu")).shown_by(rows.take_blocks(torch.arange(12)))
    assert shown.shape[0] == 3 and shown.shape[1] in (64, 128)  # at most 12 people x 3 questions x 2 items
    assert len({tuple(row.tolist()) for row in shown}) == 3
    together = train(model, data, solver=options)
    for r in range(3):
        alone = train(model, data[r], solver=options)
        assert torch.allclose(together.populations[r].vector(), alone.populations[0].vector(), atol=1e-10)


@pytest.mark.parametrize("questions", [1, 3])
def test_a_minibatch_holds_all_answers_of_its_annotators(world, questions):
    items, truth, _ = world
    data = an.simulate(truth, an.Design(items, annotators=20, questions=questions), seed=2, replicates=2)
    rows = rows_of(data, an.objectives.NLL(), items)
    blocks = torch.tensor([3, 4, 17])
    part = rows.take_blocks(blocks)
    for r in range(2):
        ids = np.asarray(data[r].annotator_ids)
        at = np.flatnonzero(np.isin(ids, blocks.numpy()))
        mine = part.replicate == r
        assert part.view.menu[mine].tolist() == np.asarray(data[r].menu)[at].tolist()
        assert (part.block[mine] - 3 * r).tolist() == np.searchsorted(blocks.numpy(), ids[at]).tolist()
    assert torch.allclose(part.weight, torch.full((6,), 1 / 3, dtype=torch.float64))


@pytest.mark.slow
@pytest.mark.parametrize("copies,batch", [(1, 16), (3, 16), (3, None)])
def test_compiled_steps_have_the_losses_of_eager_ones(copies, batch):
    if not any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        pytest.skip("no C++ compiler here: install g++ or clang++")
    items = an.Items.normal(200, dim=2, seed=0)
    truth = an.Annotator(an.Linear([1.0, -1.0]), an.Luce())
    data = an.simulate(truth, an.Design(items, annotators=64), seed=2, replicates=copies)
    model = an.Annotator(an.Network([8, 8], dim=2), an.Luce())
    eager, fast = (train(model, data, solver=Adam(steps=8, lr=1e-2, batch=batch, compile=c)) for c in (False, True))
    assert torch.allclose(eager.log.losses(), fast.log.losses(), atol=1e-6)


def test_fit_trains_the_replicates_of_a_network_at_once(world):
    items, truth, design = world
    data = an.simulate(truth, design, seed=2, replicates=3)
    model = network(dtype=torch.float64)
    fits = an.fit(model, data, solver=an.Adam(steps=30, lr=1e-2), starts=2)
    assert fits.solver == "adam"
    for r in range(3):
        alone = an.fit(model, data[r], solver=an.Adam(steps=30, lr=1e-2), starts=2)
        assert np.allclose(fits.vectors[r], alone.population.vector().numpy(), atol=1e-10)
        assert fits.log_likelihood[r] == pytest.approx(alone.log_likelihood, abs=1e-8)
    assert fits[1].stopped_by == "schedule"


def test_pairs_merged_or_row_by_row_give_one_loss_and_gradient(world):

    items, truth, design = world
    data = an.simulate(truth, design, seed=3)
    for model in (network(dtype=torch.float64), an.Mixture([network(1, torch.float64), network(2, torch.float64)])):
        run = TrainingRun(model, data, an.objectives.NLL(), None, Adam(steps=1), 1, 0, None)
        merged = run.full_gradient()
        rows = rows_of(data, an.objectives.NLL(), run.rows.view.items)
        object.__setattr__(rows, "single", False)  # as if annotators had several rows: the general path
        run.rows = rows
        assert rows.pairs is None
        general = run.full_gradient()
        assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(merged, general, strict=True))


def test_a_mixture_sums_an_annotators_answers_before_it_averages_over_types(world):
    items, truth, design = world
    two = an.Mixture([an.Annotator(an.Linear([w]), an.Luce()) for w in (1.0, -1.0)], [0.3, 0.7])
    data = an.simulate(two, an.Design(items, annotators=50, questions=4), seed=0)
    from annosim.learning.likelihoods.reference import log_likelihood

    done = train(two, data, solver=Adam(steps=1, lr=1e-12))
    assert -float(done.loss[0]) * 50 == pytest.approx(log_likelihood(two, data), rel=1e-9)


def test_rankings_and_menus_of_three_with_pads():
    items = an.Items.normal(6, dim=2, seed=0)
    menus = [[0, 1, 2], [3, 4, -1], [5, 0, 3]]
    truth = an.Annotator(an.Linear([1.0, -1.0]), an.Luce())
    for feedback in ("choice", "ranking"):
        data = an.simulate(truth, an.Design(items, menus=menus, feedback=feedback, annotators=40), seed=0)
        model = an.Annotator(an.Linear([0.0, 0.0]), an.Luce())
        done = train(model, data, solver=Adam(steps=400, lr=6e-2))
        assert float(-done.loss[0] * data.rows) == pytest.approx(an.fit(model, data).log_likelihood, abs=1e-4)


def test_constraints_hold_while_training(world):
    items, truth, design = world
    model = an.Mixture([network(0), network(1)], weights=[0.9, 0.1])
    done = train(model, an.simulate(truth, design, seed=0), solver=Adam(steps=20, lr=0.5))
    weights = done.populations[0].weights
    assert float(weights.detach().sum()) == pytest.approx(1.0)
    assert bool((weights > 0).all())


def test_slic_with_a_forward_kl_comes_near_its_projection():
    items = an.Items.grid(-10.0, 10.0, 41)
    pi0 = an.utilities.truncated_normal(0.0, 5.0)
    truth = an.Annotator(an.utilities.truncated_normal(1.0, 2.0), an.Luce())
    design = an.Design(items, annotators=4000, proposal=pi0)
    model = an.Annotator(an.LogDensity(an.Tabular(items.n)), an.Luce())
    parts = {"objective": an.objectives.SLiC(1.0), "regulariser": an.objectives.ForwardKL(pi0, 1.0)}
    data = an.simulate(truth, design, seed=0)
    exact = an.fit(model, data, **parts)
    done = train(model, data, **parts, solver=Adam(steps=1000, lr=2e-2))
    assert float(done.loss[0]) == pytest.approx(exact.objective, abs=1e-4)
    assert float(done.loss[0]) >= exact.objective - 1e-9


def test_accumulated_gradients_equal_one_large_batch(world):
    items, truth, design = world
    data = an.simulate(truth, design, seed=6)
    model = network(dtype=torch.float64)
    small = train(model, data, solver=Adam(steps=1, lr=1e-2, batch=100, accumulate=6))
    large = train(model, data, solver=Adam(steps=1, lr=1e-2, batch=600))
    assert torch.allclose(small.populations[0].vector(), large.populations[0].vector(), atol=1e-9)


def test_minibatches_are_unbiased_for_annotators_of_unequal_weight(world):
    items, truth, design = world
    data = an.simulate(truth, an.Design(items, annotators=60, questions=2), seed=4)
    weight = np.where(np.arange(60) % 7, 1.0, 40.0) * (np.arange(60) % 5 > 0)
    data = data.with_(weight=np.repeat(weight, 2))
    run = TrainingRun(network(), data, an.objectives.NLL(), None, Adam(steps=1, batch=7), 1, 0, None)
    whole, norm = run.full_gradient()
    gradient = [p.grad.clone() for p in run.model.trainable]
    run.optimiser.zero_grad()
    total = 0.0
    for blocks in torch.arange(60).split(6):  # every annotator once: the mean over minibatches is the whole
        loss = run.step_losses(run.rows.take_blocks(blocks), blocks) / 10
        loss.sum().backward()
        total += float(loss.detach())
    assert total == pytest.approx(float(whole), rel=1e-6)
    pairs = zip(gradient, run.model.trainable, strict=True)
    assert all(torch.allclose(a, p.grad, atol=1e-6) for a, p in pairs)


def test_half_precision_networks_keep_a_float_loss(world):
    items, truth, design = world
    data = an.simulate(truth, design, seed=6)
    full = train(network(), data, solver=Adam(steps=30, lr=1e-2))
    half = train(network(), data, solver=Adam(steps=30, lr=1e-2, precision="bfloat16"))
    assert half.loss.dtype == torch.float64
    assert float(half.loss) == pytest.approx(float(full.loss), abs=0.02)


def test_a_network_in_a_rules_place_is_trained_too(world):
    items, truth, design = world
    model = an.Annotator(an.Network([4], dim=1), an.PBDE(g=an.Network([4], dim=1, seed=7)))
    done = train(model, an.simulate(truth, design, seed=4), solver=Adam(steps=3, lr=1e-2))
    parts = zip(model.rule.g.parameters(), done.populations[0].rule.g.parameters(), strict=True)
    assert all(bool((a != b).any()) for a, b in list(parts)[:3])  # the last bias is the index's level, without gradient


def test_references_are_evaluated_once():
    items = an.Items.grid(-1.0, 1.0, 11)
    calls = []

    def log_density(x):
        calls.append(1)
        return -(x[:, 0] ** 2)

    rule = an.Lapse(an.PBDE.dpo(2.0, an.LogDensity(log_density)), 0.1)
    model = an.Annotator(an.LogDensity(an.Network([4], dim=1)), rule)
    cached = with_cached_references(copy.deepcopy(model), items)
    count = len(calls)
    assert torch.allclose(cached.index(items), model.index(items))
    cached.index(items)
    assert len(calls) == count + 1  # the original's own call


def test_every_annotator_is_in_one_batch_of_an_epoch():
    parts = shuffled_batches(103, 10, seed=3, epoch=2)
    assert sorted(torch.cat(parts).tolist()) == list(range(103))
    assert torch.equal(torch.cat(parts), torch.cat(shuffled_batches(103, 10, seed=3, epoch=2)))


@pytest.mark.parametrize(
    "bad",
    [
        {"steps": 0},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"batch": 0},
        {"held_out": 1.0},
        {"precision": "half"},
        {"lr": math.inf},
        {"batch": 2.5},
        {"warmup": 8193},
        {"accumulate": 0},
        {"tolerance": -1.0},
        {"patience": 0},
        {"batch": True},
        {"lr": [1e-3]},
        {"held_out": "a"},
        {"compile": "yes"},
        {"log": 3},
        {"checkpoint": "."},
    ],
)
def test_bad_options_are_named(bad):
    with pytest.raises(ArgumentError, match=next(iter(bad))):
        Adam(**bad)


def test_adam_has_no_limit_of_iterations_beside_its_steps():
    with pytest.raises(TypeError, match="max_iterations"):
        Adam(steps=7, max_iterations=5)


def test_whole_numbers_of_numpy_are_the_same_options():
    assert repr(Adam(steps=np.int64(5), batch=np.int32(3))) == repr(Adam(steps=5, batch=3))


def test_a_prior_on_a_network_is_refused_with_what_to_do(world):
    items, truth, design = world
    with pytest.raises(ArgumentError, match=r"prior=.*weight_decay="):
        an.fit(network(), an.simulate(truth, design, seed=4), prior=an.priors.Gaussian(1.0))


def test_a_forward_kl_asks_for_a_density(world):
    items, truth, design = world
    with pytest.raises(ArgumentError, match="Network, which is no density"):
        train(
            network(),
            an.simulate(truth, design, seed=4),
            regulariser=an.objectives.ForwardKL(an.utilities.truncated_normal(0, 1), 1.0),
        )


def test_logit_objectives_on_a_mixture_and_missing_devices_are_refused(world):
    items, truth, design = world
    data = an.simulate(truth, design, seed=0)
    with pytest.raises(ArgumentError, match="mixture of 2 types"):
        train(an.Mixture([network(0), network(1)]), data, objective=an.objectives.IPO(1.0))
    for device in ("gpu", "cuda:99", 3.5):
        with pytest.raises(DeviceError, match="not available"):
            train(network(), data, device=device)
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="cuda"):
            train(network(), data, device="cuda")


def test_a_model_without_free_numbers_is_refused(world):
    items, truth, design = world
    model = network()
    for p in model.parameters():
        p.requires_grad_(False)
    with pytest.raises(ArgumentError, match="nothing is free"):
        train(model, an.simulate(truth, design, seed=0))
