"""Heads of a network: distributional rewards and ensembles, held against tables, finite differences and projections."""

import numpy as np
import pytest
import torch

import annosim as an
from annosim.learning.training.batches import rows_of
from annosim.learning.training.losses import population_losses
from annosim.learning.training.stacked import StackedModel

N = 5
ITEMS = an.Items(features=np.eye(N))
DESIGN = an.Design(ITEMS, menus=an.designs.round_robin(ITEMS))
U, LOG_SD = np.array([0.9, 0.3, 0.0, -0.4, -0.8]), np.array([-0.5, 0.6, 0.1, 0.3, -0.5])
P = np.array([[0.1, 0.2, 0.7], [0.5, 0.0, 0.5], [0.2, 0.6, 0.2], [0.3, 0.4, 0.3], [0.6, 0.3, 0.1]]) * 0.97 + 0.01


def asked(annotators, questions=1):
    return an.Design(ITEMS, menus=DESIGN.menus, annotators=annotators, questions=questions)


def first_wins(population):
    with torch.no_grad():
        return an.law(population, DESIGN).question(0)[0, :, 0].exp().numpy()


def normal_rewards(u=U, log_sd=LOG_SD):
    return an.Annotator(an.Tabular(u), an.rules.MeanVariance(an.free(log_sd)))


def levels(p=P):
    return an.Annotator(an.utilities.ZeroUtility(), an.rules.CategoricalReward(an.free(np.log(p))))


def linear_heads(outputs, zero=True):
    """A one-layer network on indicators: a table by another name."""
    module = torch.nn.Linear(N, outputs, bias=False, dtype=torch.float64)
    draw = 0.3 * torch.randn(outputs, N, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        module.weight.copy_(0 * draw if zero else draw)
    return an.utilities.Heads(module, outputs=outputs)


def mean_and_spread(zero=True):
    heads = linear_heads(2, zero)
    return an.Annotator(heads.column(0), an.rules.MeanVariance(heads.column(1)))


def levels_by_network(zero=False):
    return an.Annotator(an.utilities.ZeroUtility(), an.rules.CategoricalReward(linear_heads(3, zero)))


def two_members(zero=False):
    members = [an.Network(linear_heads(1, zero).module) for _ in range(2)]
    return an.Annotator(an.utilities.Ensemble([*members, an.Tabular(np.zeros(N))]), an.Thurstone())


def test_a_network_with_several_outputs_writes_the_law_of_the_tables():
    heads = linear_heads(2, zero=False)
    mean, log_sd = heads(ITEMS).detach().numpy().T
    net = an.Annotator(heads.column(0), an.rules.MeanVariance(heads.column(1)))
    unit = mean * np.exp(-log_sd.mean())  # a table has spreads of geometric mean one, a network is read as it is
    assert first_wins(net) == pytest.approx(first_wins(normal_rewards(unit, log_sd)), abs=1e-12)
    assert net.rule.sd(ITEMS).detach().numpy() == pytest.approx(np.exp(log_sd))
    net = levels_by_network()
    p = net.rule.shares(ITEMS).detach().numpy()
    assert first_wins(net) == pytest.approx(first_wins(levels(p)), abs=1e-12)
    data = an.simulate(net, asked(annotators=3), seed=0)
    assert data.rows == 3


@pytest.mark.parametrize("make", [mean_and_spread, levels_by_network, two_members])
def test_gradients_of_heads_equal_finite_differences(make):
    data = an.simulate(normal_rewards(), asked(annotators=60), seed=1)
    model = make(zero=False)
    batched = StackedModel([model], data.items, torch.device("cpu"))
    rows = rows_of(data, an.objectives.NLL(), data.items)
    loss = lambda: population_losses(batched, rows, an.objectives.NLL())[0]  # noqa: E731
    raw = batched.trainable
    gradients = torch.autograd.grad(loss(), raw)
    assert any(float(g.abs().max()) > 1e-3 for g in gradients)
    for p, g in zip(raw, gradients, strict=True):
        for i in range(p.numel()):
            sides = []
            for h in (1e-6, -1e-6):
                with torch.no_grad():
                    p.view(-1)[i] += h
                    sides.append(float(loss()))
                    p.view(-1)[i] -= h
            assert (sides[0] - sides[1]) / 2e-6 == pytest.approx(float(g.view(-1)[i]), abs=1e-8)


def test_heads_trained_on_the_exact_law_recover_the_projection_onto_tables():
    for truth, table, net in (
        (normal_rewards(), an.Annotator(an.Tabular(N), an.rules.MeanVariance(an.free(np.zeros(N)))), mean_and_spread()),
        (levels(), None, levels_by_network()),
        (an.Annotator(an.Tabular(U), an.Thurstone()), an.Annotator(an.Tabular(N), an.Thurstone()), two_members()),
    ):
        best = truth if table is None else an.project(table, truth, DESIGN).population
        found = an.project(net, truth, DESIGN, solver=an.Adam(steps=600, lr=2e-1))
        assert found.solver == "adam"
        assert first_wins(found.population) == pytest.approx(first_wins(best), abs=1e-3)


def test_replicates_train_each_their_own_heads_and_mixtures_of_heads_are_fitted_by_em():
    design = asked(annotators=200)
    data = an.simulate(normal_rewards(), design, seed=3, replicates=2)
    both = an.fit(mean_and_spread(), data, solver=an.Adam(steps=40, lr=3e-2))
    for r in range(2):
        alone = an.fit(mean_and_spread(), data[r], solver=an.Adam(steps=40, lr=3e-2))
        assert both.vectors[r] == pytest.approx(alone.population.vector().numpy(), abs=1e-10)
    people = an.Mixture([normal_rewards(3 * U), normal_rewards(-3 * U)])
    design = asked(annotators=60, questions=8)
    answers = an.simulate(people, design, seed=0)
    found = an.fit(an.Mixture([mean_and_spread(False), mean_and_spread()]), answers, solver=an.EM(steps=100, lr=5e-2))
    assert found.solver == "em"
    assert an.compare(found, people, design).adjusted_rand > 0.8


def test_a_reward_model_with_two_logits_a_sequence_gives_mean_and_spread():
    from types import SimpleNamespace

    class Tiny(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Parameter(torch.arange(24.0).reshape(12, 2) / 10)

        def forward(self, input_ids, attention_mask):
            return SimpleNamespace(logits=(self.table[input_ids] * attention_mask[..., None]).sum(1))

    items = an.Items(tokens=[[1, 2], [3, -1], [4, 5], [0, 7]])
    heads = an.SequenceReward(Tiny(), outputs=2)
    model = an.Annotator(heads.column(0), an.rules.MeanVariance(heads.column(1)))
    data = an.PreferenceData(items, [[0, 1], [1, 2]], [0, 1])
    found = an.fit(model, data, solver=an.Adam(steps=20, lr=1e-2))
    assert found.log_likelihood > an.fit(model, data, solver=an.Adam(steps=1, lr=1e-9)).log_likelihood
    with pytest.raises(an.errors.AnnosimError, match="num_labels=3"):
        an.SequenceReward(Tiny(), outputs=3)(items)
    with pytest.raises(an.errors.AnnosimError, match="column\\(2\\)"):
        heads.column(2)
    with pytest.raises(an.errors.AnnosimError, match="expected \\(5, 2\\)"):
        an.utilities.Heads(torch.nn.Linear(N, 3, dtype=torch.float64), outputs=2)(ITEMS)
    with pytest.raises(an.errors.AnnosimError, match="one output"):
        an.rules.CategoricalReward(linear_heads(1))
    with pytest.raises(an.errors.AnnosimError, match="of which items"):
        model.rule.sd()
