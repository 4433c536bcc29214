"""Gibbs tilts against closed forms and a convex solver; best of n against counting; pools against tilts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import binom

import annosim as an
from annosim.analysis import win_rate
from annosim.errors import ArgumentError
from annosim.policies import best_of_n_kl_bound, best_of_n_win_rate_bound, log_partition, sample_best_of_n

RNG = np.random.default_rng(0)


def prompts_world(prompts=3, responses=5, seed=0):
    rng = np.random.default_rng(seed)
    n = prompts * responses
    items = an.Items(n=n, prompts=np.repeat(np.arange(prompts), responses))
    reference = rng.dirichlet(np.ones(responses), prompts).ravel()
    return items, an.policies.ItemDensity(reference), an.Tabular(rng.normal(size=n))


def test_gibbs_maximises_the_regularised_reward():
    items, reference, u = prompts_world(prompts=1)
    gamma, ref, value = 0.7, reference.mass(items).numpy(), u.values.detach().numpy()

    def loss(z):
        p = np.exp(z - np.logaddexp.reduce(z))
        return -(p @ value - gamma * p @ np.log(p / ref))

    found = minimize(loss, np.zeros(5), tol=1e-14)
    policy = an.policies.gibbs(reference, u, gamma)
    assert policy.mass(items).numpy() == pytest.approx(np.exp(found.x - np.logaddexp.reduce(found.x)), abs=1e-6)
    assert -found.fun == pytest.approx(gamma * float(log_partition(reference, u, gamma, items)[0]), abs=1e-9)


def test_gibbs_is_invariant_to_a_constant_per_prompt_and_not_to_scale():
    items, reference, u = prompts_world()
    shift = an.Tabular(u.values.detach().numpy() + np.repeat([5.0, -3.0, 100.0], 5))
    a, b = (an.policies.gibbs(reference, v, 0.5).mass(items) for v in (u, shift))
    assert torch.allclose(a, b, atol=1e-12)
    c = an.policies.gibbs(reference, an.Tabular(2 * u.values.detach().numpy()), 1.0).mass(items)
    assert torch.allclose(a, c, atol=1e-12)


def test_limits_of_gamma():
    items, reference, u = prompts_world()
    assert torch.allclose(an.policies.gibbs(reference, u, np.inf).mass(items), reference.mass(items), atol=1e-14)
    cold = an.policies.gibbs(reference, u, 0.0).mass(items).reshape(3, 5)
    assert (cold.max(1).values == 1).all()
    assert torch.allclose(an.policies.gibbs(reference, u, 1e-4).mass(items).reshape(3, 5), cold, atol=1e-12)
    tied = an.policies.gibbs([0.2, 0.3, 0.5], an.Tabular([1.0, 1.0, 0.0]), 0.0).mass(an.Items(n=3))
    assert tied.tolist() == pytest.approx([0.4, 0.6, 0.0])


def test_kl_falls_along_the_path_and_is_met_by_root_finding():
    items, reference, u = prompts_world()
    kls = [
        an.analysis.kl_divergence(p, reference, items)
        for p in an.policies.gibbs_path(reference, u, [0.1, 0.3, 1.0, 3.0, 10.0])
    ]
    assert all(a > b for a, b in zip(kls, kls[1:], strict=False))
    for target in (0.01, 0.2, 0.5):
        assert an.analysis.kl_divergence(
            an.policies.gibbs_at_kl(reference, u, target, items), reference, items
        ) == pytest.approx(target)
    with pytest.raises(ArgumentError, match="reachable"):
        an.policies.gibbs_at_kl(reference, u, 50.0, items)


def test_normal_tilt_on_a_grid():
    grid = an.Items.grid(-12, 12, 4001)
    pi0 = an.utilities.truncated_normal(0.0, 1.0, -12, 12)
    policy = an.policies.gibbs(pi0, an.Linear([1.0]), 2.0)  # N(1/gamma, 1), KL = 1 / (2 gamma^2)
    mean = float((policy.mass(grid) * grid.features[:, 0]).sum())
    assert mean == pytest.approx(0.5, abs=1e-10)
    assert an.analysis.kl_divergence(policy, pi0, grid) == pytest.approx(0.125, abs=1e-10)


def test_bad_values_are_named():
    items = an.Items(n=2, names=["tea", "coffee"])

    class Infinite(an.Utility):
        def forward(self, items):
            return torch.tensor([0.0, torch.inf])

    with pytest.raises(ArgumentError, match="coffee"):
        an.policies.gibbs([0.5, 0.5], Infinite(), 1.0).mass(items)
    with pytest.raises(ArgumentError, match="gamma"):
        an.policies.gibbs([0.5, 0.5], an.Tabular(2), -1.0)
    with pytest.raises(ArgumentError, match="not a density"):
        an.policies.gibbs(an.Tabular(2), an.Tabular(2), 1.0)
    with pytest.raises(ArgumentError, match="whole number"):
        an.policies.best_of_n([0.5, 0.5], an.Tabular(2), 1.5)


def test_a_policy_does_not_move_with_what_it_was_made_of():
    u = an.Tabular([0.0, 1.0])
    policy = an.policies.gibbs([0.5, 0.5], u, 1.0)
    before = policy.mass(an.Items(n=2))
    with torch.no_grad():
        u.values.add_(torch.tensor([5.0, 0.0]))
    assert torch.equal(policy.mass(an.Items(n=2)), before)
    assert not policy.free_parameters()


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_best_of_n_is_what_counting_says(n):
    reference = np.array([0.1, 0.2, 0.3, 0.25, 0.15])
    u = np.array([1.0, 0.0, 2.0, 2.0, 1.0])  # two ties
    exact = np.zeros(5)
    for draws in np.ndindex(*(5,) * min(n, 3)) if n <= 3 else ():
        chance = reference[list(draws)].prod()
        best = [d for d in draws if u[d] == u[list(draws)].max()]
        for d in best:
            exact[d] += chance / len(best)
    if n > 3:  # by levels
        for level in (0.0, 1.0, 2.0):
            at, below = reference[u == level].sum(), reference[u < level].sum()
            exact[u == level] = reference[u == level] / at * ((at + below) ** n - below**n)
    found = an.policies.best_of_n(reference, an.Tabular(u), n).mass(an.Items(n=5)).numpy()
    assert found == pytest.approx(exact, abs=1e-13)


def test_best_of_n_bounds():
    items, reference, u = prompts_world(prompts=4, responses=30, seed=2)
    for n in (1, 2, 4, 16, 64):
        policy = an.policies.best_of_n(reference, u, n)
        assert an.analysis.kl_divergence(policy, reference, items) <= best_of_n_kl_bound(n) + 1e-12
        assert win_rate(policy, u, items, reference) <= best_of_n_win_rate_bound(n) + 1e-12
    grid = an.Items.grid(-10, 10, 20001)
    pi0 = an.utilities.truncated_normal(0.0, 1.0)
    for n in (2, 8):
        policy = an.policies.best_of_n(pi0, an.Linear([1.0]), n, continuous=True)
        assert an.analysis.kl_divergence(policy, pi0, grid) == pytest.approx(best_of_n_kl_bound(n), abs=1e-6)
        assert win_rate(policy, an.Linear([1.0]), grid, pi0) == pytest.approx(best_of_n_win_rate_bound(n), abs=1e-6)


def test_best_of_n_reaches_rare_items():
    items = an.Items(n=2)
    policy = an.policies.best_of_n([1 - 1e-12, 1e-12], an.Tabular([0.0, 1.0]), 1000)
    assert float(policy.mass(items)[1]) == pytest.approx(-np.expm1(1000 * np.log1p(-1e-12)), rel=1e-9)
    rare_bottom = an.policies.best_of_n([1e-3, 1 - 1e-3], an.Tabular([0.0, 1.0]), 50)
    assert float(rare_bottom.log_prob(items)[0]) == pytest.approx(50 * np.log(1e-3), rel=1e-9)
    empty = an.policies.best_of_n([0.0, 0.5, 0.5], an.Tabular([2.0, 1.0, 0.0]), 3).mass(an.Items(n=3))
    assert empty.tolist() == pytest.approx([0.0, 0.875, 0.125])


def test_sampled_best_of_n_follows_the_exact_law():
    reference, u, size = [0.1, 0.4, 0.3, 0.2], an.Tabular([3.0, 1.0, 1.0, 0.0]), 20_000
    items = an.Items(n=4)
    draws = sample_best_of_n(reference, u, 3, items, size, seed=1)
    count = np.bincount(draws.numpy(), minlength=4)
    exact = an.policies.best_of_n(reference, u, 3).mass(items).numpy()
    # two-sided exact binomial tests, false-alarm rate 1e-7 each
    for seen, p in zip(count, exact, strict=True):
        assert min(binom.cdf(seen, size, p), binom.sf(seen - 1, size, p)) > 5e-8


def test_log_linear_pool_of_tilts_is_the_tilt_of_the_mean():
    items, reference, u = prompts_world()
    v = an.Tabular(RNG.normal(size=15))
    pool = an.policies.log_linear_pool(
        [an.policies.gibbs(reference, u, 1.0), an.policies.gibbs(reference, v, 1.0)], [0.3, 0.7]
    )
    mean = an.Tabular((0.3 * u.values + 0.7 * v.values).detach().numpy())
    assert torch.allclose(pool.mass(items), an.policies.gibbs(reference, mean, 1.0).mass(items), atol=1e-12)
    zero = an.policies.log_linear_pool([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]], [0.0, 1.0]).mass(an.Items(n=3))
    assert zero.tolist() == pytest.approx([0.2, 0.3, 0.5])


def test_linear_pool_is_a_mixture():
    items, reference, u = prompts_world()
    other = an.policies.gibbs(reference, u, 0.3)
    pool = an.policies.linear_pool([reference, other], [0.25, 0.75]).mass(items)
    assert torch.allclose(pool, 0.25 * reference.mass(items) + 0.75 * other.mass(items), atol=1e-13)
    with pytest.raises(ArgumentError, match="weights"):
        an.policies.linear_pool([reference, other], [0.5, 0.25, 0.25])
    with pytest.raises(ArgumentError, match="sum"):
        an.policies.log_linear_pool([reference, other], [0.5, 0.6])


def test_a_prompt_without_mass_is_refused_by_name():
    """Policies that exclude each other have no geometric mean, and zeros are no density: an error, never NaN."""
    items = an.Items(n=4, prompts=[3, 3, 7, 7])
    with pytest.raises(ArgumentError, match="prompt 7"):
        an.policies.log_linear_pool([[0.5, 0.5, 1.0, 0.0], [0.5, 0.5, 0.0, 1.0]]).mass(items)
    with pytest.raises(ArgumentError, match="prompt 3"):
        an.policies.ItemDensity([0.0, 0.0, 1.0, 1.0]).mass(items)
    lone = an.policies.log_linear_pool([[0.5, 0.5, 1.0, 0.0], [0.5, 0.5, 0.0, 1.0]], [1.0, 0.0]).mass(items)
    assert lone.tolist() == [0.5, 0.5, 1.0, 0.0]
