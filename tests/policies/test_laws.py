"""Laws of every policy and score: an item of weight m is m copies of it, and prompts are averaged, not added."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import annosim as an
from annosim.analysis import expected_utility, kl_divergence, score_policy, total_variation, win_rate
from annosim.policies import (
    best_of_n,
    gibbs,
    kl_regularised_objective,
    linear_pool,
    log_linear_pool,
    log_partition,
    loss_matrix,
    min_max_kl_regret,
    min_max_regret,
)
from annosim.policies.tilts import gibbs_at_kl

TIMES = np.array([1, 3, 2, 1, 2, 1, 1, 3])
PROMPTS = np.array([0, 0, 0, 0, 1, 1, 2, 2])
DRAW = np.random.default_rng(0)
REWARDS = np.round(DRAW.normal(size=(3, 8)), 1)
MASS = DRAW.uniform(0.1, 1.0, (3, 8))


def world(times, weights):
    """Items that stand ``times`` each, of these weights; rewards, and densities that sum to one in every prompt."""
    at = np.repeat(np.arange(len(times)), times)
    items = an.Items(n=len(at), prompts=PROMPTS[at], weights=weights[at].astype(float))
    total = np.zeros((3, 3))
    np.add.at(total.T, PROMPTS, (MASS * TIMES).T)
    return items, list(REWARDS[:, at]), list((MASS / total[:, PROMPTS])[:, at]), at


def density(policy, items):
    return policy.log_prob(items).exp().detach().numpy()


POLICIES = {
    "gibbs": lambda items, r, p: gibbs(p[0], an.Tabular(r[0]), 0.7),
    "greedy": lambda items, r, p: gibbs(p[0], an.Tabular(r[0]), 0.0),
    "gibbs at a divergence": lambda items, r, p: gibbs_at_kl(p[0], an.Tabular(r[0]), 0.2, items),
    "best of 3": lambda items, r, p: best_of_n(p[0], an.Tabular(r[0]), 3),
    "best of 3, continuous": lambda items, r, p: best_of_n(p[0], an.Tabular(r[0]), 3, continuous=True),
    "pool": lambda items, r, p: linear_pool(p, [0.5, 0.3, 0.2]),
    "logarithmic pool": lambda items, r, p: log_linear_pool(p, [0.5, 0.3, 0.2]),
    "regret": lambda items, r, p: min_max_regret(p, [an.Tabular(u) for u in r], items, against="best"),
    "kl regret": lambda items, r, p: min_max_kl_regret(p, items, beta=0.5),
    "kl regret by prompt": lambda items, r, p: min_max_kl_regret(p, items, beta=0.5, per_prompt=True),
}


@pytest.mark.parametrize("name", POLICIES)
def test_an_item_of_weight_three_is_three_items(name):
    (one, r1, p1, _), (many, r2, p2, at) = world(np.ones(8, int), TIMES), world(TIMES, np.ones(8))
    first, second = POLICIES[name](one, r1, p1), POLICIES[name](many, r2, p2)
    assert density(second, many) == pytest.approx(density(first, one)[at], abs=1e-7)
    if "regret" in name:
        assert second.solution.value == pytest.approx(first.solution.value, abs=1e-8)
        assert second.solution.regrets == pytest.approx(first.solution.regrets, abs=1e-7)


def scores(items, r, p):
    people = an.Mixture([an.Annotator(an.Tabular(u), an.Luce()) for u in r], [0.5, 0.3, 0.2])
    found = score_policy(p[0], people, p[1], items)
    return {
        "kl": kl_divergence(p[0], p[1], items),
        "tv": total_variation(p[0], p[1], items),
        "win rate": win_rate(p[0], an.Tabular(r[0]), items, p[1]),
        "utility": expected_utility(p[0], an.Tabular(r[0]), items),
        "partition": log_partition(p[0], an.Tabular(r[0]), 0.7, items).numpy(),
        "objective": float(kl_regularised_objective(an.policies.ItemDensity(p[0]), r[0], p[1], 0.7, items)),
        "losses": loss_matrix(p, [an.Tabular(u) for u in r], items, "own").ravel(),
        "report": np.r_[found.kl, found.win_rate, found.win_rate_quantile, found.utility, found.regret],
    }


def test_scores_of_weighted_items_are_those_of_copies_and_means_of_their_prompts():
    (one, r1, p1, _), (many, r2, p2, _) = world(np.ones(8, int), TIMES), world(TIMES, np.ones(8))
    first, second = scores(one, r1, p1), scores(many, r2, p2)
    for name in first:
        assert second[name] == pytest.approx(first[name], abs=1e-10), name
    alone = []
    for prompt in range(3):
        at = PROMPTS == prompt
        items = an.Items(n=int(at.sum()), weights=TIMES[at].astype(float))
        alone.append(scores(items, [u[at] for u in r1], [q[at] for q in p1]))
    for name in first:
        parts = np.array([one[name] for one in alone])
        assert first[name] == pytest.approx(parts[:, 0] if name == "partition" else parts.mean(0), abs=1e-10), name


def test_the_objective_of_a_policy_without_mass_somewhere():
    """``0 log 0 = 0``, also where neither the policy nor the reference has any."""
    items, reward = an.Items(n=4), np.array([1.0, -0.5, 2.0, 7.0])
    p, q = np.array([0.25, 0.75, 0.0, 0.0]), np.array([0.2, 0.5, 0.3, 0.0])
    expected = (p * reward).sum() - 0.7 * (p[:2] * np.log(p[:2] / q[:2])).sum()
    for policy in (an.policies.ItemDensity(p), p):
        found = kl_regularised_objective(policy, torch.as_tensor(reward), q, 0.7, items)
        assert float(found) == pytest.approx(expected, abs=1e-12)


def test_rounds_between_two_proposals_and_the_divergence_from_the_start():
    """Half of the questions are the policy's, or a tenth; ``KL(policy || start)`` written out; seeds of rounds differ."""
    items = an.Items(n=3)
    start = an.LogDensity(an.Tabular(np.log([0.5, 0.3, 0.2])))
    people = an.Mixture([an.Annotator(an.Tabular([s, 0.0, -s]), an.Luce()) for s in (2.0, -1.0)], [0.7, 0.3])
    found = an.iterate(people, start, items, 2, mixing=0.9)
    pooled = linear_pool([found.policies[1], start], [0.1, 0.9])
    one = an.Annotator(an.Tabular(3), an.Luce())
    expected = an.project(one, people, an.Design(items, proposal=pooled)).population.utility.values.detach().numpy()
    assert found.rewards[1] == pytest.approx(expected - expected.mean(), abs=1e-8)
    mass = found.mass
    assert found.kl == pytest.approx((mass * np.log(mass / mass[0])).sum(1), abs=1e-12)
    drawn = an.iterate(people, start, items, 2, answers=500, improve=lambda before, reward: before)
    assert not np.array_equal(drawn.rewards[0], drawn.rewards[1])
