"""Min-max regret: the matrix game by two methods, the KL form against a generic convex solver, and the claims."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

import annosim as an
from annosim.errors import ArgumentError
from annosim.policies import loss_matrix, matrix_game


def world(groups=3, prompts=2, responses=4, seed=0):
    rng = np.random.default_rng(seed)
    n = prompts * responses
    items = an.Items(n=n, prompts=np.repeat(np.arange(prompts), responses))
    rewards = [an.Tabular(rng.normal(size=n)) for _ in range(groups)]
    reference = an.policies.ItemDensity(rng.dirichlet(np.ones(responses), prompts).ravel())
    return items, rewards, [an.policies.gibbs(reference, r, 0.5) for r in rewards], reference


@pytest.mark.parametrize("seed", range(5))
def test_linear_program_and_multiplicative_weights_agree(seed):
    table = np.random.default_rng(seed).normal(size=(4, 3))
    exact, learned = matrix_game(table), matrix_game(table, "mwu", iterations=5000)
    bound = np.ptp(table) * (np.sqrt(np.log(3) / 1e4) + np.sqrt(np.log(4) / 1e4))
    assert abs(exact.gap) < 1e-9
    assert 0 <= learned.gap <= bound
    assert exact.value <= learned.value + 1e-12 <= exact.value + bound + 1e-12
    assert exact.weights.sum() == pytest.approx(1) and exact.adversary.sum() == pytest.approx(1)


def test_rock_paper_scissors():
    game = matrix_game([[0, 1, -1], [-1, 0, 1], [1, -1, 0]])
    assert game.weights == pytest.approx([1 / 3] * 3) and game.value == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("against", ["own", "best"])
def test_mixture_beats_uniform_and_every_single_policy(against):
    items, rewards, policies, _ = world()
    policy = an.policies.min_max_regret(policies, rewards, items, against=against)
    losses = loss_matrix(policies, rewards, items, against)
    solution = policy.solution
    assert solution.value <= losses.mean(1).max() + 1e-12
    assert solution.value <= losses.max(0).min() + 1e-12
    assert solution.regrets == pytest.approx(losses @ solution.weights)
    if against == "best":
        assert (losses >= -1e-12).all()


def test_own_convention_can_be_negative():
    # group 1's own policy serves group 0 better than group 0's own one does
    losses = loss_matrix([[0.5, 0.5], [1.0, 0.0]], [[1.0, 0.0], [1.0, 0.5]], an.Items(n=2))
    assert losses[0, 1] == pytest.approx(-0.5)


@pytest.mark.parametrize("seed", range(3))
def test_kl_regret_agrees_with_a_generic_convex_solver(seed):
    items, _, policies, _ = world(seed=seed)
    logs = np.stack([p.log_prob(items).detach().numpy() for p in policies])

    def regrets(z):
        z = z.reshape(2, 4)
        log_p = (z - np.logaddexp.reduce(z, axis=1)[:, None]).ravel()
        return (np.exp(log_p) * (log_p - logs)).sum(1) / 2

    constraint = {"type": "ineq", "fun": lambda x: x[-1] - regrets(x[:-1])}
    start = np.r_[logs.mean(0), 1.0]
    found = minimize(lambda x: x[-1], start, constraints=[constraint], method="SLSQP", options={"ftol": 1e-13})
    policy = an.policies.min_max_kl_regret(policies, items, beta=0.5)
    assert policy.solution.value == pytest.approx(0.5 * found.x[-1], abs=1e-6)
    assert abs(policy.solution.gap) < 1e-9
    z = found.x[:-1].reshape(2, 4)
    best = np.exp(z - np.logaddexp.reduce(z, axis=1)[:, None]).ravel()
    assert policy.mass(items).numpy() == pytest.approx(best, abs=2e-4)


def test_kl_regret_equalises_the_groups_that_matter():
    items, _, policies, _ = world(groups=5, seed=3)
    solution = an.policies.min_max_kl_regret(policies, items).solution
    active = solution.weights > 1e-6
    assert solution.regrets[active] == pytest.approx(solution.value, abs=1e-8)
    assert (solution.regrets[~active] <= solution.value + 1e-9).all()


def test_regret_is_the_kl_times_beta():
    items, rewards, policies, reference = world()
    beta = 0.5  # policies are the tilts at gamma = beta
    policy = an.policies.min_max_kl_regret(policies, items, beta=beta)

    def value(pi, r):
        return float((pi.mass(items) * r(items).detach()).sum()) / 2 - beta * an.analysis.kl_divergence(
            pi, reference, items
        )

    for k, (own, r) in enumerate(zip(policies, rewards, strict=True)):
        assert value(own, r) - value(policy, r) == pytest.approx(policy.solution.regrets[k], abs=1e-10)


def test_per_prompt_weights_bound_each_prompt():
    items, _, policies, _ = world()
    shared = an.policies.min_max_kl_regret(policies, items)
    each = an.policies.min_max_kl_regret(policies, items, per_prompt=True)
    worst = lambda p: np.mean(  # noqa: E731
        np.max([an.analysis.kl_divergence(p, q, items, per_prompt=True).numpy() for q in policies], axis=0)
    )
    assert worst(each) <= worst(shared) + 1e-12
    assert each.solution.value == pytest.approx(worst(each), abs=1e-9)
    assert each.solution.weights.shape == (2, 3)


@pytest.mark.parametrize("seed", range(8))
def test_the_gap_closes_in_hard_cases(seed):
    rng = np.random.default_rng(seed)
    groups, n = int(rng.integers(2, 9)), int(rng.integers(2, 40))
    logs = rng.normal(size=(groups, n)) * 10 ** rng.uniform(-3, 1.3)
    policies = np.exp(logs - np.logaddexp.reduce(logs, axis=1)[:, None])
    solution = an.policies.min_max_kl_regret(list(policies)).solution
    assert solution.gap <= max(1e-10, 1e-11 * solution.value)
    assert solution.weights.sum() == pytest.approx(1) and (solution.weights >= 0).all()


def test_identical_policies_and_one_policy():
    for policies in ([[0.3, 0.7]], [[0.3, 0.7], [0.3, 0.7]]):
        policy = an.policies.min_max_kl_regret(policies)
        assert policy.solution.value == pytest.approx(0, abs=1e-12)
        assert policy.mass(an.Items(n=2)).tolist() == pytest.approx([0.3, 0.7])


def test_bad_input():
    with pytest.raises(ArgumentError, match="own"):
        an.policies.min_max_regret([[0.5, 0.5]], [[1.0, 0.0], [0.0, 1.0]])
    with pytest.raises(ArgumentError, match="against"):
        an.policies.min_max_regret([[0.5, 0.5]], [[1.0, 0.0]], against="nobody")
    with pytest.raises(ArgumentError, match="no item"):
        an.policies.min_max_kl_regret([[1.0, 0.0], [0.0, 1.0]])
    with pytest.raises(ArgumentError, match="lp"):
        matrix_game([[1.0]], "simplex")
