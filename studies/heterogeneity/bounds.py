"""Known theorems on what is done with answers, each against random worlds: lotteries, clones, best-of-n."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit

import annosim as an
from annosim.analysis import kl_divergence
from annosim.identifiability import theorems
from annosim.policies import matrix_game


def lotteries(b, worlds, seed):
    """Distortion of the maximal lottery over random and lopsided worlds, against the bound.

    Annotator i has utilities in [0, 1] and answers pairs by Bradley and Terry at scale b; the lottery is the maximin
    strategy of the game of shares less one half. Distortion: the best response's mean utility over the lottery's.
    """
    draw = np.random.Generator(np.random.Philox(seed))
    worst = 0.0
    for number in range(worlds):
        people, n = int(draw.integers(2, 12)), int(draw.integers(2, 6))
        utility, weight = draw.random((people, n)) ** draw.choice([0.2, 1.0, 5.0]), np.full(people, 1 / people)
        if number % 2:  # a few who care a lot lose to many who hardly care: where the bound is nearly met
            little = 0.2 * draw.random()
            lost, won = expit(b) - 0.5, expit(b * little) - 0.5
            few = won / (won + lost) * (0.8 + 0.2 * draw.random())
            utility, weight = np.array([[1.0, 0.0], [0.0, little]]), np.array([few, 1 - few])
        share = np.tensordot(weight, expit(b * (utility[:, :, None] - utility[:, None])), 1)
        lottery = matrix_game(share - 0.5).weights  # the column's loss: how often the row beats it
        mean = weight @ utility
        worst = max(worst, float(mean.max() / (mean @ lottery)))
    return {"worst": worst, "bound": theorems.maximal_lottery_distortion(b)}


def clones(worlds, copies, seed):
    """Share of random worlds of two types in which near copies of one response change the order of two others, by the
    regularised maximum-likelihood reward on all pairs, and with Voronoi weights on responses."""
    draw = np.random.Generator(np.random.Philox(seed))
    grid = np.stack(np.meshgrid(*[np.linspace(-3, 3, 61)] * 2), -1).reshape(-1, 2)
    flips, clear = {"plain": 0, "voronoi": 0}, 0
    for _ in range(worlds):
        at, tastes = draw.normal(size=(4, 2)), 2 * draw.normal(size=(2, 2))
        more = np.r_[at, np.repeat(at[:1], copies, 0) + 1e-6 * draw.normal(size=(copies, 2))]
        orders = {}
        for kind in flips:
            before, after = (_reward(x, tastes, _weights(kind, x, grid))[1:4] for x in (at, more))
            orders[kind] = before, after
        gap = np.abs(np.subtract.outer(orders["voronoi"][0], orders["voronoi"][0]))[np.triu_indices(3, 1)].min()
        if gap < 1e-3:  # closer than the copies' own disturbance: no order to keep
            continue
        clear += 1
        for kind, (before, after) in orders.items():
            flips[kind] += bool((np.argsort(before) != np.argsort(after)).any())
    return {**{kind: count / clear for kind, count in flips.items()}, "worlds": clear}


def _weights(kind, x, grid):
    return np.full(len(x), 1 / len(x)) if kind == "plain" else theorems.voronoi_weights(x, grid)


def _reward(x, tastes, weight, ridge=0.02):
    """Rewards that maximise the weighted, regularised likelihood of exact shares of two equal types."""
    u = x @ tastes.T
    share = expit(u[:, None] - u[None]).mean(-1)
    pair = weight[:, None] * weight[None]

    def loss(s):
        gap = s[:, None] - s[None]
        value = -(pair * share * log_expit(gap)).sum() + ridge * (weight * s**2).sum() / 2
        slope = pair * (expit(gap) - share)
        return value, slope.sum(1) + ridge * weight * s

    def curve(s):
        p = expit(s[:, None] - s[None])
        each = pair * p * (1 - p)
        return np.diag(each.sum(1) + ridge * weight) - each

    start = np.zeros(len(x))
    return minimize(loss, start, jac=True, hess=curve, method="trust-exact", options={"gtol": 1e-12}).x


def best_of(n, worlds, seed):
    """Largest KL divergence of best-of-n from its base over random bases, against ``log n - (n - 1) / n``."""
    draw = np.random.Generator(np.random.Philox(seed))
    worst = 0.0
    for _ in range(worlds):
        size = int(draw.integers(2, 200))
        base = draw.dirichlet(np.full(size, draw.choice([0.3, 3.0])))
        utility = draw.normal(size=size)
        worst = max(worst, kl_divergence(an.policies.best_of_n(base, an.Tabular(utility), n), base, an.Items(n=size)))
    return {"worst": worst, "bound": theorems.best_of_n_kl(n)}
