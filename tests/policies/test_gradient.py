"""Policy gradient: unbiased for every baseline, and it reaches the exact Gibbs optimum."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import annosim as an
from annosim.errors import ArgumentError, NothingFreeError
from annosim.policies import TokenEnergy, all_sequences, kl_regularised_objective
from annosim.policies.gradient import draw_responses, surrogate


def world(prompts=2, responses=4, seed=0):
    rng = np.random.default_rng(seed)
    n = prompts * responses
    items = an.Items(n=n, prompts=np.repeat(np.arange(prompts), responses))
    reference = an.policies.ItemDensity(rng.dirichlet(np.ones(responses), prompts).ravel())
    return items, reference, an.Tabular(rng.normal(size=n)), an.LogDensity(an.Tabular(rng.normal(size=n)))


@pytest.mark.parametrize("baseline", ["none", "leave-one-out", "value"])
def test_gradient_is_unbiased(baseline):
    """Mean of 4,000 Monte Carlo gradients of 6 draws; each coordinate within six standard errors (1.6e-8 in all)."""
    items, reference, u, policy = world()
    gamma = 0.6
    parameters = list(policy.parameters())
    exact = torch.autograd.grad(kl_regularised_objective(policy, u, reference, gamma, items), parameters)[0]
    log_pi = policy.log_prob(items)
    score = (u(items) - gamma * (log_pi - reference.log_prob(items))).detach()
    members = [items.members(p) for p in (0, 1)]
    value = torch.tensor([0.4, -0.3], dtype=torch.float64)
    rounds = 4000
    ids = draw_responses(log_pi.detach() + items.log_weights, members, 6 * rounds, 0, 0).reshape(2, rounds, 6)
    found = torch.stack(
        [
            torch.autograd.grad(surrogate(log_pi, ids[:, r], score, baseline, value), parameters, retain_graph=True)[0]
            for r in range(rounds)
        ]
    )
    error = found.std(0) / rounds**0.5
    assert bool(((found.mean(0) - exact).abs() < 6 * error + 1e-12).all())
    assert float(error.max()) < 0.05 * float(exact.abs().max())


def test_a_constant_added_to_all_scores_is_no_gain_over_the_others():
    """Leave-one-out: the gain of a response is over the mean of the other draws, written out, and knows no common level."""
    log_pi = torch.log_softmax(torch.tensor([0.3, -0.2, 0.9, 0.0], dtype=torch.float64), 0).requires_grad_(True)
    ids, score = torch.tensor([[0, 2, 2, 1], [3, 1, 0, 3]]), torch.tensor([1.0, -2.0, 0.5, 4.0], dtype=torch.float64)
    found = [
        surrogate(log_pi, ids, score + level, "leave-one-out", torch.zeros(2, dtype=torch.float64))
        for level in (0.0, 100.0)
    ]
    gain = score[ids].numpy()
    others = np.array([[np.delete(row, j).mean() for j in range(4)] for row in gain])
    expected = ((gain - others) * log_pi.detach().numpy()[ids]).mean()
    assert [float(one) for one in found] == pytest.approx([expected] * 2, abs=1e-12)


def test_leave_one_out_lowers_the_variance():
    items, reference, u, policy = world()
    log_pi = policy.log_prob(items)
    score = (u(items) + 10 - 0.5 * (log_pi - reference.log_prob(items))).detach()
    members = [items.members(p) for p in (0, 1)]
    ids = draw_responses(log_pi.detach(), members, 6 * 500, 1, 0).reshape(2, 500, 6)
    spread = {}
    for baseline in ("none", "leave-one-out"):
        draws = [
            torch.autograd.grad(
                surrogate(log_pi, ids[:, r], score, baseline, torch.zeros(2)), policy.energy.values, retain_graph=True
            )[0]
            for r in range(500)
        ]
        spread[baseline] = float(torch.stack(draws).var(0).sum())
    assert spread["leave-one-out"] < 0.1 * spread["none"]


def test_softmax_policy_reaches_the_gibbs_optimum():
    items, reference, u, policy = world()
    start = policy.energy.values.detach().clone()
    found = an.policies.policy_gradient(policy, u, reference, 0.5, items, steps=600, batch=16, seed=0)
    assert found.kl_to_optimum < 2e-3
    assert found.kl_to_optimum == pytest.approx((found.optimum - found.objective) / 0.5, abs=1e-9)
    assert torch.equal(policy.energy.values, start)  # the caller's policy is not trained
    again = an.policies.policy_gradient(policy, u, reference, 0.5, items, steps=600, batch=16, seed=0)
    assert again.objective == found.objective


def test_the_learning_rate_falls_from_its_value_to_zero():
    """Adam's first step is the learning rate in every coordinate, whatever the gradient; k steps make ``lr (1 + 1 / k) / 2`` each."""
    items, reference, u, policy = world()
    start = policy.energy.values.detach().clone()
    one = an.policies.policy_gradient(policy, u, reference, 0.5, items, steps=1, batch=16, learning_rate=0.02)
    assert (one.policy.energy.values - start).abs().detach().numpy() == pytest.approx(0.02, rel=1e-4)
    two = an.policies.policy_gradient(policy, u, reference, 0.5, items, steps=2, batch=4096, learning_rate=1e-4)
    # gradients of two steps that are nearly alike: both steps have nearly full length, 1e-4 and half of it
    assert (two.policy.energy.values - start).abs().max().item() == pytest.approx(1.5e-4, rel=0.02)


def test_token_policy_reaches_the_gibbs_optimum():
    items = all_sequences(3, 3)
    reward = an.Tabular((items.tokens == 2).sum(1).double().numpy() + 0.5 * (items.tokens[:, 1] == 0).double().numpy())
    reference = an.LogDensity(TokenEnergy(3, 3)).requires_grad_(False)
    found = an.policies.policy_gradient(
        an.LogDensity(TokenEnergy(3, 3)), reward, reference, 1.0, items, steps=400, batch=32
    )
    assert found.kl_to_optimum < 5e-3
    assert float(found.policy.mass(items).detach().sum()) == pytest.approx(1)


def test_token_energy_sums_to_one_over_all_sequences():
    energy = TokenEnergy(3, 3)
    with torch.no_grad():
        energy.logits.normal_(generator=torch.Generator().manual_seed(0))
    assert float(torch.logsumexp(energy(all_sequences(3, 3)).detach(), 0)) == pytest.approx(0, abs=1e-12)


def test_bad_input():
    items, reference, u, policy = world()
    with pytest.raises(NothingFreeError):
        an.policies.policy_gradient(reference, u, reference, 1.0, items)
    with pytest.raises(ArgumentError, match="baseline"):
        an.policies.policy_gradient(policy, u, reference, 1.0, items, baseline="critic")
    with pytest.raises(ArgumentError, match="batch"):
        an.policies.policy_gradient(policy, u, reference, 1.0, items, batch=1)
    with pytest.raises(ArgumentError, match="gamma"):
        an.policies.policy_gradient(policy, u, reference, 0.0, items)


def language_model(vocabulary: int, seed: int) -> torch.nn.Module:
    """Bigrams: an embedding whose rows are the next token's logits."""
    table = torch.randn(vocabulary, vocabulary, generator=torch.Generator().manual_seed(seed))
    return torch.nn.Embedding.from_pretrained(table, freeze=False)


def test_a_language_model_is_a_policy_on_its_responses():
    from annosim.utilities.language_models import LogPolicy

    items = an.Items(tokens=[[0, 1, 2], [0, 2, 1], [0, 1, 1], [0, 2, 2]], columns={"prompt_length": [1] * 4})
    model = LogPolicy(language_model(3, 0))
    u = an.Tabular([1.0, 0.0, 0.0, 0.5])
    raw = model(items).detach().double()
    on_items = torch.softmax(raw, 0)  # these four of all sequences
    tilted = an.policies.gibbs(model, u, 0.5)
    expected = torch.softmax(raw + 2 * u(items).detach(), 0)
    assert torch.allclose(tilted.mass(items), expected, atol=1e-6)
    kl = float((expected * (expected / on_items).log()).sum())
    assert an.analysis.kl_divergence(tilted, model, items) == pytest.approx(kl, abs=1e-6)
    assert float(an.policies.best_of_n(model, u, 4).mass(items)[0]) == pytest.approx(
        1 - (1 - float(on_items[0])) ** 4, abs=1e-6
    )
    found = an.policies.policy_gradient(model, u, model, 0.5, items, steps=300, batch=16, learning_rate=0.05)
    assert found.kl_to_optimum < an.analysis.kl_divergence(model, tilted, items) / 3


def test_what_cannot_be_trained_is_said():
    items, utility, start = an.Items(n=2), an.Tabular([0.0, 1.0]), an.LogDensity(an.Tabular(2))
    with pytest.raises(ArgumentError, match="list; give a density"):
        an.policies.policy_gradient([0.5, 0.5], utility, [0.5, 0.5], 1.0, items)
    with pytest.raises(ArgumentError, match="steps=-3"):
        an.policies.policy_gradient(start, utility, [0.5, 0.5], 1.0, items, steps=-3)
    with pytest.raises(ArgumentError, match="item '1' has mass under the policy and none"):
        an.policies.policy_gradient(start, utility, [1.0, 0.0], 1.0, items)
