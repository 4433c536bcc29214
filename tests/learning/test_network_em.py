"""EM over networks: agreement with exact EM, monotone likelihood, symmetry, restarts, empty types, refusals."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import annosim as an
from annosim.errors import ArgumentError
from annosim.learning.likelihoods.reference import log_likelihood
from annosim.learning.objectives import NLL
from annosim.learning.training.network_em import EMRun, train_em

ITEMS = an.Items.normal(8, 2, seed=0)
TRUTH = an.Mixture([an.Annotator(an.Linear(w), an.Luce()) for w in ([1.5, 0.0], [-1.0, 1.0])], [0.6, 0.4])
DESIGN = an.Design(ITEMS, menu_size=3, annotators=100, questions=6)


@pytest.fixture(scope="module")
def data():
    return an.simulate(TRUTH, DESIGN, seed=0)


def layer(weights, rule=None):
    """A one-layer network: the same family as an.Linear."""
    module = torch.nn.Linear(2, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([weights]))
    return an.Annotator(an.Network(module), rule or an.Luce())


def layers(*weights):
    return an.Mixture([layer(w) for w in weights])


START = ([0.5, -0.2], [-0.3, 0.4])


@pytest.fixture(scope="module")
def exact(data):
    return an.fit(an.Mixture([an.Annotator(an.Linear(w), an.Luce()) for w in START]), data, starts=3)


def test_exact_m_steps_end_at_the_maximum_that_exact_em_finds_and_never_fall(data, exact):
    found = an.fit(layers(*START), data, solver=an.EM(m_step="line-search", steps=600, e_step_every=10))
    assert found.converged and found.stopped_by == "gradient"
    assert found.log_likelihood == pytest.approx(exact.log_likelihood, abs=1e-9)
    weights = [one.utility.module.weight.detach().numpy()[0] for one in found.population.types]
    assert weights[0] == pytest.approx(exact.population.types[0].utility.weights.detach().numpy(), abs=1e-6)
    assert found.em.n_decreases == 0 and found.em.largest_decrease == 0.0
    assert (np.diff(found.trace) >= -1e-9).all() and len(found.trace) > 5
    assert "rose or stayed at all" in repr(found)


def policy(seed, n):
    """A table of log densities by another name: one layer on indicators, normalised."""
    module = torch.nn.Linear(n, 1, bias=False, dtype=torch.float64)
    draw = torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with torch.no_grad():
        module.weight.copy_(draw[None])
    return an.LogDensity(an.Network(module)), an.LogDensity(an.Tabular(draw.numpy()))


def test_em_dpo_on_tables_by_another_name_ends_where_exact_em_on_tables_does():
    n = 5
    items = an.Items(features=np.eye(n))
    rule = an.PBDE.dpo(0.5, an.LogDensity(lambda x: 0.3 * x[:, 0]))
    people = an.Mixture([an.Annotator(an.Tabular(s * np.linspace(-1, 1, n)), an.Luce()) for s in (1.0, -1.0)])
    data = an.simulate(people, an.Design(items, menu_size=3, annotators=80, questions=8), seed=4)
    networks, tables = zip(*(policy(seed, n) for seed in (1, 2)), strict=True)
    exact = an.fit(an.Mixture([an.Annotator(one, rule) for one in tables]), data)
    options = {"solver": an.EM(m_step="line-search", steps=300, e_step_every=6)}
    found = an.fit(an.Mixture([an.Annotator(one, rule) for one in networks]), data, **options)
    assert exact.solver == "em-newton" and exact.converged
    assert found.log_likelihood == pytest.approx(exact.log_likelihood, abs=1e-6)
    assert found.em.n_decreases == 0
    assert an.compare(found, people, an.Design(items, menu_size=3)).adjusted_rand > 0.9


def test_a_regulariser_is_part_of_what_never_falls():
    items = an.Items.grid(-2.0, 2.0, 9)
    people = an.Mixture(
        [an.Annotator(an.utilities.truncated_normal(m, 0.8, -2.0, 2.0), an.Luce()) for m in (-1.0, 1.0)]
    )
    data = an.simulate(people, an.Design(items, annotators=50, questions=5), seed=0)
    types = [
        an.Annotator(an.LogDensity(an.Network([4], dim=1, seed=k, dtype=torch.float64)), an.Luce()) for k in (0, 1)
    ]
    parts = {"regulariser": an.objectives.ForwardKL(an.utilities.truncated_normal(0.0, 1.0, -2.0, 2.0), 0.3)}
    found = an.fit(an.Mixture(types), data, solver=an.EM(m_step="line-search", steps=200, e_step_every=10), **parts)
    assert found.em.n_decreases == 0 and (np.diff(found.trace) >= -1e-9).all()
    assert found.log_likelihood is None
    with torch.no_grad():
        kl = sum(float(parts["regulariser"](one.utility(items), items)) for one in found.population.types)
    assert found.objective == pytest.approx(kl - log_likelihood(found.population, data) / 50, abs=1e-9)


def test_exact_m_steps_of_a_float32_perceptron_never_fall(data):
    model = an.Mixture([an.Annotator(an.Network([6], dim=2, seed=k), an.Luce()) for k in range(2)])
    found = an.fit(model, data, solver=an.EM(m_step="line-search", steps=120, e_step_every=4), starts=2)
    assert found.em.n_decreases == 0 and len(found.trace) > 20
    assert (np.diff(found.trace) >= -1e-9).all()
    assert found.trace[-1] > found.trace[0] + 50


def test_minibatches_of_annotators_come_near_and_their_noise_is_reported(data, exact):
    found = an.fit(layers(*START), data, solver=an.EM(steps=400, lr=3e-2, e_step_every=5, batch=32))
    assert found.log_likelihood == pytest.approx(exact.log_likelihood, abs=0.05)
    fallen = -np.diff(found.trace)
    assert found.em.n_decreases == int((fallen > 1e-9).sum()) > 0
    assert found.em.largest_decrease == pytest.approx(fallen.max())
    assert "noise of inexact M-steps" in repr(found)


def test_the_e_step_is_a_pass_over_everybody_at_the_interval_without_gradients(data, monkeypatch):
    drawn, passes = [], []
    losses, e_step = EMRun.type_losses, EMRun.e_step

    def spy(self, rows, step=None):
        passes.append((self.step, torch.is_grad_enabled(), rows.blocks))
        drawn.append(torch.bincount(rows.block).unique().tolist())
        return losses(self, rows, step)

    monkeypatch.setattr(EMRun, "type_losses", spy)
    done = train_em(layers(*START), data, an.EM(steps=25, e_step_every=10, batch=20, final=False))
    assert done.em.step == [0, 10, 20, 25]
    assert [(at, blocks) for at, grad, blocks in passes if not grad][:3] == [(0, 100), (10, 100), (20, 100)]
    assert all(blocks == 20 for _, grad, blocks in passes if grad)
    assert all(counts == [6] for counts in drawn)  # all answers of an annotator together
    assert e_step is EMRun.e_step


def test_fresh_responsibilities_give_the_gradient_of_the_likelihood(data):
    """Fisher's identity: at the parameters of the E-step the expected loss has the likelihood's own gradient."""
    run = EMRun(layers(*START), data, NLL(), None, an.EM(), 1, 0, None)
    run.e_step(1.0)
    run.trace.values.clear()
    with torch.no_grad():  # undo the M-step of the weights
        run.model.raw["weights"].copy_(torch.tensor([[0.5, 0.5]], dtype=torch.float64).log())
    parts = [p for name, p in run.model.raw.items() if name != "weights"]
    expected = torch.autograd.grad(run.step_losses(run.rows, None).sum(), parts)
    plain = torch.autograd.grad(run.losses(run.rows).sum(), parts)
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(expected, plain, strict=True))
    assert -100 * run.losses(run.rows).item() == pytest.approx(log_likelihood(layers(*START), data), abs=1e-9)


def test_one_type_is_training_by_adam(data):
    single = an.fit(layer([0.5, -0.2]), data, solver=an.Adam(steps=60, lr=1e-2))
    found = an.fit(layers([0.5, -0.2]), data, solver=an.EM(steps=60, lr=1e-2))
    assert torch.equal(found.population.types[0].vector(), single.population.vector())
    assert found.log_likelihood == pytest.approx(single.log_likelihood, abs=1e-9)


def test_the_names_of_the_types_do_not_matter(data):
    options = {"solver": an.EM(steps=80, lr=2e-2)}
    one, other = (an.fit(layers(*start), data, **options) for start in (START, START[::-1]))
    assert torch.allclose(one.population.vector(), other.population.vector(), atol=1e-10)
    assert float(one.population.weights[0]) >= 0.5


def test_replicates_and_starts_trained_at_once_equal_runs_one_by_one():
    data = an.simulate(TRUTH, DESIGN, seed=1, replicates=2)
    options = {"solver": an.EM(steps=40, lr=2e-2, batch=25), "starts": 2, "seed": 3}
    together = an.fit(layers(*START), data, **options)
    assert together.solver == "em" and together[0].stopped_by == "schedule"
    for r in range(2):
        alone = an.fit(layers(*START), data[r], **options)
        assert together.log_likelihood[r] == pytest.approx(alone.log_likelihood, abs=1e-8)


class Branches(torch.nn.Module):
    """A module that torch cannot map over copies: it looks at its numbers."""

    def __init__(self, seed):
        super().__init__()
        self.inner = an.Network([4], dim=2, seed=seed, dtype=torch.float64).module

    def forward(self, x):
        out = self.inner(x)
        return out if float(out.detach().sum()) > -1e9 else -out


def test_copies_of_a_module_that_cannot_be_mapped_take_turns():
    data = an.simulate(TRUTH, DESIGN, seed=1, replicates=2)
    found = [
        an.fit(
            an.Mixture([an.Annotator(an.Network(make(k)), an.Luce()) for k in range(2)]),
            data,
            solver=an.EM(steps=20, lr=2e-2),
        )
        for make in (Branches, lambda k: Branches(k).inner)
    ]
    assert found[0].log_likelihood == pytest.approx(found[1].log_likelihood, abs=1e-8)


def test_types_that_begin_alike_are_told_apart_by_random_responsibilities(data):
    found = an.fit(layers(START[0], START[0]), data, solver=an.EM(steps=200, lr=3e-2))
    assert found.solver == "em" and "EM, an E-step every 20" in found.why
    assert "first responsibilities were random" in repr(found)
    assert an.compare(found, TRUTH, DESIGN).adjusted_rand > 0.8
    direct = an.fit(layers(START[0], START[0]), data, solver=an.Adam(steps=200, lr=3e-2))
    assert "two types began alike, a saddle of the likelihood" in repr(direct)
    assert direct.log_likelihood == pytest.approx(found.log_likelihood, abs=1.0)
    single = an.fit(layer(START[0]), data, solver=an.Adam(steps=200, lr=3e-2))
    assert found.log_likelihood > single.log_likelihood + 50


def test_tempered_and_hard_responsibilities(data):
    hot = train_em(layers(*START), data, an.EM(steps=40, lr=2e-2, e_step_every=10, temperature=8.0))
    assert hot.em.temperature == pytest.approx([8.0, 8.0**0.5, 1.0, 1.0, 1.0])
    assert len(hot.em.changes(0)) == 2  # what was hot is not held against it
    run = EMRun(layers(*START), data, NLL(), None, an.EM(hard=True), 1, 0, None)
    run.e_step(1.0)
    assert set(run.responsibilities.unique().tolist()) == {0.0, 1.0}
    hard = an.fit(layers(*START), data, solver=an.EM(hard=True, steps=200, lr=3e-2))
    shares = hard.population.weights.detach() * 100
    assert torch.allclose(shares, shares.round(), atol=1e-9)
    assert an.compare(hard, TRUTH, DESIGN).adjusted_rand > 0.8


def test_warm_starts_from_one_pooled_type_from_a_fit_and_from_a_population(data, exact):
    near = layers([1.5, 0.0], [-1.0, 1.0])
    for warm in (near, an.fit(near, data, solver=an.EM(steps=5))):
        found = an.fit(layers(*START), data, solver=an.EM(steps=1, lr=1e-9, warm_start=warm))
        assert found.log_likelihood > exact.log_likelihood - 5
    pooled = an.fit(
        layers(*START),
        data,
        solver=an.EM(warm_start="pooled", warm_steps=40, perturbation=0.3, steps=150, lr=5e-2, e_step_every=5),
        starts=2,
    )
    assert pooled.log_likelihood == pytest.approx(exact.log_likelihood, abs=0.05)
    one = an.fit(layers(*START), data, solver=an.EM(warm_start=layer([1.0, 1.0]), steps=150, lr=5e-2, e_step_every=5))
    assert one.log_likelihood == pytest.approx(exact.log_likelihood, abs=0.05)


def test_an_empty_type_is_refilled_and_reported():
    data = an.simulate(TRUTH, an.Design(ITEMS, menu_size=3, annotators=40, questions=15), seed=2)
    found = an.fit(layers([0.5, -0.2], [90.0, -90.0]), data, solver=an.EM(steps=200, lr=3e-2, e_step_every=10))
    assert "type 1 of the model as given ran empty and was refilled" in repr(found) and "stays empty" not in repr(found)
    assert an.compare(found, TRUTH, DESIGN).adjusted_rand > 0.9
    assert found.em.trace.emptied[0][:3] == (10, 0, 1)


def test_a_type_that_stays_empty_is_said_to_and_nothing_is_nan(data):
    three = data.take(np.flatnonzero(np.asarray(data.annotator) < 3)).with_(weight=np.repeat([1.0, 0.0, 0.0], 6))
    found = an.fit(layers(*START), three, solver=an.EM(hard=True, steps=100, lr=1e-2, e_step_every=10))
    assert "refilled 3 time(s): it stays empty; fit fewer types" in repr(found)
    assert torch.isfinite(found.population.vector()).all() and np.isfinite(found.log_likelihood)
    assert found.population.weights.detach().tolist() == pytest.approx([1.0, 0.0])


def test_fixed_weights_stay(data):
    model = an.Mixture([layer(w) for w in START], an.fixed([0.5, 0.5]))
    found = an.fit(model, data, solver=an.EM(steps=60, lr=2e-2))
    assert found.population.weights.tolist() == [0.5, 0.5]


def test_free_numbers_of_rules_are_trained_too(data):
    model = an.Mixture([layer(w, an.Lapse(an.Luce(), an.free(0.2))) for w in START])
    found = an.fit(model, data, solver=an.EM(steps=100, lr=3e-2))
    rates = [float(one.rule.rate) for one in found.population.types]
    assert max(rates) < 0.2  # nobody lapses


@pytest.mark.parametrize("m_step", ["adam", "line-search"])
def test_a_killed_run_resumes_and_ends_as_if_nothing_had_happened(data, tmp_path, monkeypatch, m_step):
    batch = 30 if m_step == "adam" else None
    options = an.EM(steps=40, lr=2e-2, e_step_every=10, batch=batch, m_step=m_step, checkpoint_every=5)
    whole = train_em(layers(*START), data, options)
    before = EMRun.before_step

    def killed(self):
        if self.step == 25:
            raise KeyboardInterrupt
        before(self)

    options = replace(options, checkpoint=tmp_path / "run.pt")
    monkeypatch.setattr(EMRun, "before_step", killed)
    with pytest.raises(KeyboardInterrupt):
        train_em(layers(*START), data, options)
    monkeypatch.setattr(EMRun, "before_step", before)
    resumed = train_em(layers(*START), data, options)
    assert torch.equal(resumed.populations[0].vector(), whole.populations[0].vector())
    assert torch.equal(resumed.em.log_likelihood, whole.em.log_likelihood)


@pytest.mark.gpu
@pytest.mark.parametrize("m_step", ["adam", "line-search"])
def test_em_on_a_gpu_agrees_with_the_cpu(data, m_step):
    options = {"solver": an.EM(steps=60, lr=2e-2, m_step=m_step, precision="float32"), "starts": 2}
    here, there = (an.fit(layers(*START), data, device=device, **options) for device in ("cpu", "cuda"))
    assert there.log_likelihood == pytest.approx(here.log_likelihood, abs=1e-6)


def test_held_out_annotators_stop_the_run(data):
    found = an.fit(layers(*START), data, solver=an.EM(steps=2000, lr=5e-2, held_out=0.2, evaluate_every=10, patience=3))
    assert found.stopped_by == "held out" and found.iterations < 2000


def test_the_answer_says_which_solver_was_chosen_and_why(data):
    once = an.simulate(TRUTH, an.Design(ITEMS, menu_size=3, annotators=50), seed=0)
    assert an.learning.solvers_for(layers(*START), once)[:2] == [an.Adam, an.EM]
    assert an.learning.solvers_for(layers(*START), data)[:2] == [an.EM, an.Adam]
    found = an.fit(layers(*START), once, solver=an.Adam(steps=10))
    assert found.solver == "adam" and "nobody answers twice" in found.why
    assert an.fit(layers(*START), data, solver=an.Adam(steps=10)).solver == "adam"


def test_refusals(data):
    once = an.simulate(TRUTH, an.Design(ITEMS, menu_size=3, annotators=50), seed=0)
    with pytest.raises(ArgumentError, match="annotator ids"):
        an.fit(layers(*START), once, solver="em")
    with pytest.raises(ArgumentError, match="does not apply"):
        an.fit(layer([1.0, 0.0]), data, solver="em")
    shared = layer([1.0, 0.0]).utility
    for solver in ("em", "adam"):
        with pytest.raises(ArgumentError, match="share all their free parameters"):
            an.fit(an.Mixture([an.Annotator(shared, an.Luce()) for _ in range(2)]), data, solver=solver)
    an.fit(
        an.Mixture([an.Annotator(shared, an.Luce(t)) for t in (1.0, 9.0)]), data, solver=an.EM(steps=2)
    )  # two noises, one taste
    for bad, words in (
        ({"e_step_every": 0}, "e_step_every"),
        ({"m_step": "exact"}, "m_step"),
        ({"m_step": "line-search", "batch": 8}, "all annotators at once"),
        ({"temperature": 0.5}, "temperature"),
        ({"warm_start": "last"}, "pooled"),
        ({"warm_start": layers([1.0, 0.0], [0.0, 1.0], [1.0, 1.0])}, "3 types for a model of 2"),
        ({"warm_start": an.Annotator(an.Linear([1.0, 0.0]), an.Luce())}, "no free"),
    ):
        with pytest.raises(ArgumentError, match=words):
            an.fit(layers(*START), data, solver=an.EM(**{"steps": 2, **bad}))


def test_the_trace_of_a_replicate_is_that_of_its_own_best_start():
    data = an.simulate(TRUTH, DESIGN, seed=1, replicates=3)
    fits = an.fit(layers(*START), data, solver=an.EM(steps=30, lr=3e-2), starts=3, seed=1)
    for r in range(3):
        assert fits[r].trace[-1] == pytest.approx(fits[r].log_likelihood, abs=1e-2)  # less the weights' last step
    assert np.abs(np.diff(fits.log_likelihood)).min() > 1


def test_mixtures_of_replicates_each_pool_their_own_answers():
    parts = [an.simulate(TRUTH, DESIGN, seed=s) for s in range(2)]
    models = [layers(*START), layers(*START[::-1])]
    how = {"solver": an.EM(steps=20, lr=2e-2, warm_start="pooled", perturbation=0.3, warm_steps=10)}
    fits = an.fit(models, an.data.stack(parts), **how)
    for r in range(2):
        alone = an.fit(models[r], parts[r], **how)
        assert fits[r].log_likelihood == pytest.approx(alone.log_likelihood, abs=1e-8)
