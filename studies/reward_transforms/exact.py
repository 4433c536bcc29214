"""Exact worlds: closed forms, grids and enumeration, one for each statement S1 to S8."""

from __future__ import annotations

import numpy as np
import torch

import annosim as an
from annosim.analysis import win_rate, win_rate_quantile
from annosim.policies import best_of_n_kl_bound, best_of_n_win_rate_bound, dependence_error, log_partition

LEVEL = 0.85
#: standard normal quantile of the reference level
Z85 = 1.0364333894937898


def normal_with_shortcut(rate: float, reward: float):
    """Reference N(0, 1) rewards on a fine grid, and an atom of mass ``rate`` that the reward model overrates."""
    grid = an.Items.grid(-10.0, 10.0, 20_001)
    x = grid.features[:, 0].numpy()
    items = an.Items(features=np.r_[x, reward], weights=np.r_[grid.weights.numpy(), 1.0])
    density = (1 - rate) * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    return items, an.policies.ItemDensity(np.r_[density, rate])


def shortcut(gamma, reward=10.0, rate=0.001):
    """S2: how much mass a rare overrated response gets, under the raw tilt and under LSC, and the bound pi_0(A) / Z."""
    items, pi0 = normal_with_shortcut(rate, reward)
    raw = an.Linear([1.0])
    lsc = an.policies.lsc(raw, an.policies.reference_quantile(pi0, LEVEL))
    masses = {name: float(an.policies.gibbs(pi0, u, gamma).mass(items)[-1]) for name, u in (("raw", raw), ("lsc", lsc))}
    bound = rate / float(log_partition(pi0, lsc, gamma, items).exp())
    return {**masses, "bound": bound}


def bounds_on_random_worlds(seed, worlds):
    """S2: the largest pi(A) Z / pi_0(A) over random worlds, rewards of every size, and all sets A (so: all items)."""
    rng = np.random.default_rng(seed)
    lsc_worst, z_worst, raw_worst = 0.0, 0.0, 0.0
    for _ in range(worlds):
        n = int(rng.integers(2, 30))
        items, pi0 = an.Items(n=n), an.policies.ItemDensity(rng.dirichlet(np.ones(n)))
        reward = an.Tabular(rng.normal(size=n) * 10 ** rng.uniform(-1, 1.5))
        gamma = 10 ** rng.uniform(-1, 1)
        u = an.policies.lsc(reward, an.policies.reference_quantile(pi0, LEVEL))
        log_z = float(log_partition(pi0, u, gamma, items))
        gain = an.policies.gibbs(pi0, u, gamma).log_prob(items) - pi0.log_prob(items)
        lsc_worst = max(lsc_worst, float((gain + log_z).max().exp()))
        z_worst = max(z_worst, float(np.exp(log_z)))
        raw_z = float(log_partition(pi0, reward, gamma, items))
        raw_gain = an.policies.gibbs(pi0, reward, gamma).log_prob(items) - pi0.log_prob(items)
        raw_worst = max(raw_worst, float((raw_gain + raw_z).max().exp()))
    return {"lsc": lsc_worst, "z": z_worst, "raw": raw_worst}


def exponential_tail(gamma, tops):
    """S1: log Z of rewards with an Exponential(1) law cut off at ever higher tops; raw and LSC (reference: the
    median)."""
    rows = []
    for top in tops:
        grid = an.Items.grid(0.0, float(top), 40_001)
        pi0 = an.LogDensity(lambda x: -x[:, 0])
        raw = an.Linear([1.0])
        logs = {
            name: float(log_partition(pi0, u, gamma, grid))
            for name, u in (("raw", raw), ("lsc", an.policies.lsc(raw, float(np.log(2)))))
        }
        rows.append({"top": float(top), **logs})
    return rows


def spread_of_prompts(kl, spreads, points=4001):
    """S3: prompts whose rewards are N(0, s^2): where the KL is spent, and how often the 85 % quantile is beaten."""
    z = np.linspace(-10, 10, points)
    features = np.concatenate([s * z for s in spreads])[:, None]
    step = np.full(points, z[1] - z[0])
    prompts = np.repeat(np.arange(len(spreads)), points)
    items = an.Items(features=features, prompts=prompts, weights=np.tile(step, len(spreads)))
    pi0 = an.policies.ItemDensity(np.tile(np.exp(-(z**2) / 2), len(spreads)))
    raw = an.Linear([1.0])
    rows = []
    for name, u in (("raw", raw), ("lsc", an.policies.lsc(raw, an.policies.reference_quantile(pi0, LEVEL)))):
        policy = an.policies.gibbs_at_kl(pi0, u, kl, items)
        gamma = policy.energy.gamma
        spent = an.analysis.kl_divergence(policy, pi0, items, per_prompt=True).numpy()
        beaten = win_rate_quantile(policy, raw, items, pi0, LEVEL, per_prompt=True).numpy()
        closed = np.square(spreads) / (2 * gamma**2) if name == "raw" else np.full(len(spreads), np.nan)
        rows.append(
            {
                "reward": name,
                "gamma": gamma,
                "beaten": beaten.mean(),
                "spent": spent,
                "beaten_by_prompt": beaten,
                "closed_form_error": np.abs(spent - closed).max() if name == "raw" else np.nan,
            }
        )
    return rows


def best_of_k_invariance(seed, worlds):
    """S5: the law of best-of-k under a reward and under its LSC, on random worlds with ties: largest difference."""
    rng = np.random.default_rng(seed)
    worst = 0.0
    for _ in range(worlds):
        n, k = int(rng.integers(2, 20)), int(rng.integers(1, 65))
        items, pi0 = an.Items(n=n), an.policies.ItemDensity(rng.dirichlet(np.ones(n)))
        raw = an.Tabular(np.round(rng.normal(size=n) * 3, 1))  # rounded: ties happen
        lsc = an.policies.lsc(raw, an.policies.reference_quantile(pi0, LEVEL))
        masses = [an.policies.best_of_n(pi0, u, k).mass(items) for u in (raw, lsc)]
        worst = max(worst, float((masses[0] - masses[1]).abs().max()))
    return {"difference": worst}


def two_rewards(seed, k, rho, draws):
    """S6: best of k with two N(0, 1) rewards of correlation rho: how often both beat their 85 % quantile."""
    rng = np.random.default_rng(seed)
    wins = {"raw sum": 0, "lsc sum": 0, "minimum": 0}
    done = 0
    while done < draws:
        count = min(20_000, draws - done)
        first = rng.standard_normal((count, k))
        second = rho * first + np.sqrt(1 - rho**2) * rng.standard_normal((count, k))
        log_good = -np.logaddexp(0, Z85 - first) - np.logaddexp(0, Z85 - second)
        scores = {"raw sum": first + second, "lsc sum": log_good, "minimum": np.minimum(first, second)}
        good = (first > Z85) & (second > Z85)
        for name, score in scores.items():
            wins[name] += int(good[np.arange(count), score.argmax(1)].sum())
        done += count
    return [{"score": name, "wins": won, "draws": draws, "share": won / draws} for name, won in wins.items()]


def cold_limit(seed, gammas):
    """S8: mass outside the argmax as gamma falls, for monotone transforms of one reward."""
    rng = np.random.default_rng(seed)
    n = 20
    items, pi0 = an.Items(n=n), an.policies.ItemDensity(rng.dirichlet(np.ones(n)))
    r = rng.normal(size=n)
    transforms = {
        "raw": an.Tabular(r),
        "LSC, 85 % quantile": an.policies.lsc(an.Tabular(r), an.policies.reference_quantile(pi0, LEVEL)),
        "LSC, mean": an.policies.lsc(an.Tabular(r), an.policies.reference_mean(pi0)),
        "cube": an.Tabular(r**3),
        "exponential": an.Tabular(np.exp(r)),
    }
    return [
        {"transform": name, "gamma": g, "outside": 1 - float(an.policies.gibbs(pi0, u, g).mass(items)[r.argmax()])}
        for name, u in transforms.items()
        for g in gammas
    ]


def best_of_n_bounds(seed, worlds):
    """Best of n: slack of the bounds on finite worlds with ties (must not be negative), error of equality when
    continuous."""
    rng = np.random.default_rng(seed)
    kl_slack, win_slack = np.inf, np.inf
    for _ in range(worlds):
        n, k = int(rng.integers(2, 40)), int(rng.integers(1, 100))
        items, pi0 = an.Items(n=n), an.policies.ItemDensity(rng.dirichlet(np.ones(n)))
        raw = an.Tabular(np.round(rng.normal(size=n), 1))
        policy = an.policies.best_of_n(pi0, raw, k)
        kl_slack = min(kl_slack, best_of_n_kl_bound(k) - an.analysis.kl_divergence(policy, pi0, items))
        win_slack = min(win_slack, best_of_n_win_rate_bound(k) - win_rate(policy, raw, items, pi0))
    grid, pi0, raw = an.Items.grid(-10, 10, 20_001), an.utilities.truncated_normal(0.0, 1.0), an.Linear([1.0])
    errors = []
    for k in (2, 4, 16):
        policy = an.policies.best_of_n(pi0, raw, k, continuous=True)
        errors.append(abs(an.analysis.kl_divergence(policy, pi0, grid) - best_of_n_kl_bound(k)))
        errors.append(abs(win_rate(policy, raw, grid, pi0) - best_of_n_win_rate_bound(k)))
    return {"kl_slack": kl_slack, "win_slack": win_slack, "continuous_error": max(errors)}


def normalisation_of_lsc(seed):
    """LSC's limits and invariances: raw reward back, shift of a prompt, and the scale to which it is not invariant."""
    rng = np.random.default_rng(seed)
    items = an.Items(n=40, prompts=np.repeat([0, 1], 20))
    pi0 = an.policies.ItemDensity(np.ones(40))
    r = rng.normal(size=40)
    quantile = an.policies.reference_quantile(pi0, LEVEL)
    tilt = lambda u: an.policies.gibbs(pi0, u, 0.5).mass(items)  # noqa: E731
    tv = lambda a, b: float((a - b).abs().sum()) / 4  # noqa: E731  (two prompts)
    centred = tilt(an.policies.lsc(an.Tabular(r), quantile))
    return {
        "far_reference": tv(tilt(an.Tabular(r)), tilt(an.policies.lsc(an.Tabular(r), 50.0))),
        "shift": tv(centred, tilt(an.policies.lsc(an.Tabular(r + np.repeat([7.0, -9.0], 20)), quantile))),
        "scale": tv(centred, tilt(an.policies.lsc(an.Tabular(3 * r), quantile))),
    }


def dependence(strength):
    """Two properties judged by annotators with a common leniency of standard deviation ``strength`` (logits): what the
    sum of log-probabilities is wrong by, at responses with reward 0, 1 and 2."""
    z, weight = np.polynomial.hermite_e.hermegauss(101)
    rewards = np.array([0.0, 1.0, 2.0])
    one = torch.sigmoid(torch.as_tensor(rewards + strength * z[:, None] - Z85))
    error = dependence_error(torch.stack([one, one], 1), weight / weight.sum())
    return [{"reward": r, "error": float(e)} for r, e in zip(rewards, error, strict=True)]
