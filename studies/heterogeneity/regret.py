"""One policy for both groups: regrets of every way to make one, and laws of the two solvers of min-max regret."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize

import annosim as an
from annosim.analysis import kl_divergence
from annosim.policies import loss_matrix, matrix_game, min_max_kl_regret, min_max_regret

from .worlds import BETA, World, reference

#: ways to make one policy of what was learned, in the order of the tables and figures
SINGLE = ("pooled DPO", "uniform mixture", "largest group's own", "MaxMin", "min-max mixture", "min-max regret")


def regret_rows(world: World, rewards: list[torch.Tensor], shares, pooled: torch.Tensor) -> list[dict]:
    """Regret of every single policy for each true group; the policies are made from what was learned.

    ``worst_regret``: KL-regularised, ``beta KL(pi || pi_k)`` (exact, nonnegative). ``worst_loss``: expected reward,
    ``E_{pi_k} r_k - E_pi r_k``, negative where a policy serves a group better than its own does.
    """
    items = world.items
    learned = [gibbs(u, items) for u in rewards]
    expected = an.policies.expected_rewards(learned, rewards, items)
    policies = {
        "pooled DPO": gibbs(pooled, items),
        "uniform mixture": an.policies.linear_pool(learned),
        "largest group's own": learned[int(np.argmax(shares))],
        "MaxMin": an.policies.linear_pool(learned, matrix_game(-expected).weights),
        "min-max mixture": min_max_regret(learned, rewards, items),
        "min-max regret": min_max_kl_regret(learned, items, beta=BETA),
    }
    own = [gibbs(u, items) for u in world.rewards]
    losses = loss_matrix([*own, *policies.values()], list(world.rewards), items)[:, len(own) :]
    rows = []
    for number, (name, policy) in enumerate(policies.items()):
        regrets = [BETA * kl_divergence(policy, one, items) for one in own]
        rows.append(
            {
                "method": name,
                "regret_1": regrets[0],
                "regret_2": regrets[1],
                "worst_regret": max(regrets),
                "mean_regret": float(np.mean(regrets)),
                "worst_loss": float(losses[:, number].max()),
            }
        )
    return rows


def gibbs(u: torch.Tensor, items: an.Items):
    """The policy of a reward: ``reference exp(u / beta)``."""
    return an.policies.gibbs(reference(items), an.Tabular(np.asarray(u)), BETA)


def regret_laws(types, prompts, seed):
    """Random policies: the game by linear program and by multiplicative weights, the dual against a convex solver."""
    draw = np.random.Generator(np.random.Philox(seed))
    items = an.Items(n=4 * prompts, prompts=np.repeat(np.arange(prompts), 4))
    rewards = list(torch.as_tensor(draw.normal(size=(types, items.n)) * 1.5))
    policies = [gibbs(u, items) for u in rewards]
    table = loss_matrix(policies, rewards, items)
    exact, steps = matrix_game(table), 5000
    slow = matrix_game(table, "mwu", steps)
    found = min_max_kl_regret(policies, items, beta=BETA).solution
    return {
        "game_apart": slow.value - exact.value,
        "game_bound": float(np.ptp(table)) * 2 * np.sqrt(np.log(types) / (2 * steps)),
        "kl": found.value,
        "kl_gap": found.gap,
        "convex": _by_convex_solver(policies, items, draw),
    }


def _by_convex_solver(policies, items: an.Items, draw) -> float:
    """``min_pi max_k mean_x KL(pi || pi_k)`` over logits and a bound t, by sequential quadratic programming."""
    logs = np.stack([p.log_prob(items).detach().numpy() for p in policies])
    count = items.num_prompts

    def divergences(x):
        e = x[:-1].reshape(count, -1)
        e = e - np.logaddexp.reduce(e, axis=1, keepdims=True)
        log_p = e.reshape(-1)
        gap = log_p - logs
        p = np.exp(log_p)
        value = (p * gap).sum(1) / count
        inside = (p * gap).reshape(len(logs), count, -1)
        each = p.reshape(count, -1) * inside.sum(-1, keepdims=True)
        slope = (inside - each).reshape(len(logs), -1) / count
        return value, slope

    constraint = {
        "type": "ineq",
        "fun": lambda x: x[-1] - divergences(x)[0],
        "jac": lambda x: np.c_[-divergences(x)[1], np.ones(len(logs))],
    }
    start = np.r_[0.01 * draw.normal(size=items.n), divergences(np.zeros(items.n + 1))[0].max()]
    last = np.r_[np.zeros(items.n), 1.0]
    options = {"maxiter": 500, "ftol": 1e-13}
    found = minimize(
        lambda x: x[-1], start, jac=lambda x: last, constraints=[constraint], method="SLSQP", options=options
    )
    return float(divergences(found.x)[0].max())
