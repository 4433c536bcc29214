"""Networks whose shares depend on who answers: EM and Adam against the exact solver, and the gate's own M-step."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

import annosim as an
from annosim.errors import AnnosimError, ArgumentError
from annosim.learning.training.gates import fit_gate

N = 4
ITEMS = an.Items(features=np.eye(N))  # a linear layer on these is a table
WHO = np.c_[np.ones(40), np.linspace(-1, 1, 40)]
STEP = np.array([0.0, 0.5, 1.0, 1.5])
STARTS = (0.2 * STEP, -0.2 * STEP)


def network(values):
    layer = torch.nn.Linear(N, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(values)[None])
    return an.Network(layer)


def gated(make, starts=STARTS, **more):
    return an.Gated([an.Annotator(make(s), an.Luce()) for s in starts], covariates=WHO, **more)


@pytest.fixture(scope="module")
def data():
    truth = an.Gated(
        [an.Annotator(an.Tabular(s * STEP), an.Luce()) for s in (2.0, -2.0)], covariates=WHO, gate=[[0.3], [2.0]]
    )
    return an.simulate(truth, an.Design(ITEMS, annotators=40, questions=6), seed=0)


@pytest.fixture(scope="module")
def exact(data):
    return an.fit(gated(an.Tabular), data)


OPTIONS = {
    "em": an.EM(m_step="line-search", steps=300, e_step_every=10, tolerance=1e-9),
    "adam": an.Adam(steps=600, lr=0.05),
}


@pytest.mark.parametrize("solver", OPTIONS)
def test_the_optimum_is_the_exact_solvers(data, exact, solver):
    found = an.fit(gated(network), data, solver=OPTIONS[solver])
    assert exact.converged and found.solver == solver
    assert found.log_likelihood == pytest.approx(exact.log_likelihood, abs=1e-8)
    assert torch.allclose(found.population.gate, exact.population.gate, atol=1e-4)
    assert torch.allclose(found.responsibilities, exact.responsibilities, atol=1e-4)
    if solver == "em":
        assert found.converged and found.em.n_decreases == 0


def test_em_is_chosen_and_a_run_on_minibatches_resumes(data, tmp_path):
    assert an.learning.solvers_for(gated(network), data)[0] is an.EM
    solver = an.EM(steps=30, lr=0.02, batch=8, e_step_every=5, held_out=0.2)
    whole = an.fit(gated(network), data, solver=solver)
    kept = replace(solver, checkpoint=tmp_path / "run.pt")
    an.fit(gated(network), data, solver=replace(kept, checkpoint_every=10))
    again = an.fit(gated(network), data, solver=kept)
    assert whole.solver == "em" and torch.equal(whole.population.vector(), again.population.vector())
    assert float(whole.population.gate.detach().abs().max()) > 0.1


def test_replicates_and_starts_have_gates_of_their_own(data):
    truth = gated(lambda s: an.Tabular(10 * s), gate=[[0.0], [2.0]])
    both = an.simulate(truth, an.Design(ITEMS, annotators=40, questions=4), seed=1, replicates=2)
    for solver in (an.EM(steps=20, lr=0.05, e_step_every=5), an.Adam(steps=20, lr=0.05)):
        many = an.fit(gated(network), both, solver=solver)
        for r in range(2):
            one = an.fit(gated(network), both[r], solver=solver)
            assert torch.allclose(many[r].population.vector(), one.population.vector(), atol=1e-10)
        assert not torch.equal(many[0].population.gate, many[1].population.gate)


def test_a_known_gate_stays_and_hard_types_and_warm_starts_work(data):
    known = an.fit(gated(network, gate=an.fixed([[0.3], [2.0]])), data, solver=an.EM(steps=10, lr=0.05))
    assert known.population.gate.tolist() == [[0.3], [2.0]]
    hard = an.fit(gated(network), data, solver=an.EM(steps=20, lr=0.05, e_step_every=5, hard=True))
    assert np.isfinite(hard.log_likelihood)
    warm = an.fit(gated(network), data, solver=an.EM(steps=2, lr=1e-6, warm_start=hard))
    assert torch.allclose(warm.population.types[0].vector(), hard.population.types[0].vector(), atol=1e-4)
    alike = an.fit(gated(network, starts=(STARTS[0],) * 2), data, solver=an.EM(steps=20, lr=0.05, e_step_every=5))
    assert any("random" in note for note in alike.notes)


def test_three_types_and_the_gradient_of_the_likelihood(data):
    """Adam's gradient at the start against central differences of the exact likelihood."""
    from annosim.learning.likelihoods.reference import log_likelihood
    from annosim.learning.training.run import TrainingRun

    model = gated(network, starts=(*STARTS, STEP[::-1] / 3), gate=[[0.2, -0.1], [0.5, 0.3]])
    run = TrainingRun(model, data, an.objectives.NLL(), None, an.Adam(steps=1), 1, 0, None)
    loss, _ = run.full_gradient()
    assert float(loss[0]) == pytest.approx(-log_likelihood(model, data) / 40, abs=1e-12)
    own = torch.cat([p.grad.reshape(-1) for p in run.model.trainable])
    vector = model.vector().detach()
    names = [name for name, p in model.free_parameters().items() for _ in range(p.numel())]
    ours = torch.cat([torch.full((p.numel(),), i) for i, p in enumerate(run.model.trainable)])
    assert [run.model.names[i] for i in ours.tolist()] == names
    for i in range(len(vector)):
        there = []
        for sign in (1, -1):
            moved = vector.clone()
            moved[i] += sign * 1e-5
            there.append(log_likelihood(model.with_parameters(moved), data))
        assert float(own[i]) == pytest.approx(-(there[0] - there[1]) / 2e-5 / 40, abs=1e-8)


def test_the_m_step_is_a_regression_that_never_goes_downhill():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, 3, generator=generator, dtype=torch.float64)
    x = torch.cat([x, x[:, :1]], 1)  # collinear
    share = torch.softmax(torch.randn(50, 3, generator=generator, dtype=torch.float64), -1)
    weight = torch.full((50,), 1 / 50, dtype=torch.float64)
    gate, begin = fit_gate(torch.zeros(4, 2, dtype=torch.float64), x, share, weight)
    p = torch.softmax(torch.cat([x @ gate, torch.zeros(50, 1, dtype=torch.float64)], -1), -1)
    gradient = x.T @ (weight[:, None] * (share - p))
    assert float(gradient.abs().max()) < 1e-10 < float(begin)
    apart = torch.nn.functional.one_hot((x[:, 0] > 0).long(), 2).double()  # separated: no finite optimum
    far, _ = fit_gate(torch.zeros(4, 1, dtype=torch.float64), x, apart, weight)
    assert bool(torch.isfinite(far).all()) and float(far.abs().max()) > 5


def test_what_cannot_be_trained_is_refused_in_one_line(data):
    nested = an.Gated(
        [an.Mixture(list(copy.deepcopy(gated(network)).types)), an.Annotator(network(STEP), an.Luce())], WHO
    )
    with pytest.raises(ArgumentError, match="networks are trained for an an.Gated of plain annotators"):
        an.fit(nested, data, solver=an.Adam(steps=2))
    nobody = an.simulate(an.Annotator(an.Tabular(STEP), an.Luce()), an.Design(ITEMS, annotators=40), seed=0)
    anonymous = nobody.with_(annotator=None)
    with pytest.raises(ArgumentError, match="no annotator ids"):
        an.fit(gated(network), anonymous, solver=an.Adam(steps=2))
    with pytest.raises(AnnosimError, match="no solver"):
        an.project(gated(network), an.Annotator(an.Tabular(STEP), an.Luce()), an.Design(ITEMS, annotators=2))


@pytest.mark.parametrize("questions", [1, 4], ids=["one answer each", "four"])
@pytest.mark.parametrize("solver", [an.EM, an.Adam])
def test_gaps_in_the_ids_and_weights_of_replicates_are_read_as_the_likelihood_reads_them(solver, questions):
    from annosim.learning.likelihoods.reference import log_likelihood

    truth = gated(lambda s: an.Tabular(10 * s), gate=[[0.0], [2.0]])
    parts = []
    for r in range(2):
        said = an.simulate(truth, an.Design(ITEMS, annotators=40, questions=questions), seed=r)
        who = said.annotator_ids
        came = said.for_learner().with_(annotator=who).take(np.flatnonzero(who % 3 != r))  # the others never did
        parts.append(came.with_(weight=1.0 + r * np.cos(came.annotator) / 2))
    parts = [part.take(np.arange(min(p.rows for p in parts))) for part in parts]
    for model in (gated(network), [gated(network), gated(network, starts=STARTS[::-1])]):
        fits = an.fit(model, an.data.stack(parts), solver=solver(steps=20, lr=0.05))
        for r, part in enumerate(parts):
            own = model[r] if isinstance(model, list) else model
            alone = an.fit(own, part, solver=solver(steps=20, lr=0.05))
            assert torch.allclose(fits[r].population.vector(), alone.population.vector(), atol=1e-9)
            assert fits[r].log_likelihood == pytest.approx(log_likelihood(fits[r].population, part), abs=1e-8)


def test_a_newton_step_that_would_overshoot_is_shortened():
    """Far out, where shares are nearly one, the full step jumps beyond everything."""
    x, share = torch.ones(10, 1, dtype=torch.float64), torch.tensor([[0.3, 0.7]], dtype=torch.float64).expand(10, 2)
    gate, _ = fit_gate(torch.full((1, 1), 6.0, dtype=torch.float64), x, share, torch.full((10,), 0.1).double())
    assert float(gate) == pytest.approx(np.log(0.3 / 0.7), abs=1e-6)


def test_a_gate_that_still_moves_is_not_at_rest(data):
    from annosim.learning.training.network_em import EMRun

    run = EMRun(gated(network), data, an.objectives.NLL(), None, an.EM(), 1, 0, None)
    run.before_step()
    assert float(run.weight_gap[0]) > 1e-3
