"""The whole pipeline in a world where the truth is known: annotators with a taste for a shortcut label pairs, reward
models are fitted to them, policies are made of the reward models, and the truth judges the policies."""

from __future__ import annotations

import numpy as np
import torch

import annosim as an
from annosim.analysis import calibration_slope, win_rate, win_rate_quantile
from annosim.policies import TokenEnergy, all_sequences

LEVEL = 0.85
#: bias: log-odds that the shortcut adds to an annotator's answer; harm: what it takes from the truth; unequal: whether
#: prompts differ in how much their responses differ; rate: share of responses with the shortcut
WORLDS = {
    "shortcut": {"bias": 4.0, "harm": 0.0, "unequal": True, "rate": 0.01},
    "clean": {"bias": 0.0, "harm": 0.0, "unequal": False, "rate": 0.01},
    "harmful": {"bias": 5.0, "harm": 4.0, "unequal": True, "rate": 0.02},
}
HELPFUL, HARMLESS = np.array([1.2, 0.8, 0, 0, 0.2, 0]), np.array([0, 0.2, 1.0, 0.9, 0, 0])


def make_items(rng, prompts, responses, unequal, shortcut_rate):
    """Responses with six features and a rare shortcut; prompts differ in how much their responses differ."""
    scale = np.exp(0.7 * rng.standard_normal(prompts)) if unequal else np.ones(prompts)
    x = rng.standard_normal((prompts, responses, 6)) * scale[:, None, None]
    b = (rng.random((prompts, responses)) < shortcut_rate).astype(float)
    features = np.concatenate([x, b[..., None]], -1).reshape(-1, 7)
    return an.Items(features=features, prompts=np.repeat(np.arange(prompts), responses)), b.ravel()


def reward_model(items, weights, pairs, bias, seed):
    """Bradley-Terry on pairs labelled by annotators who want ``weights`` and cannot resist the shortcut (feature 6)."""
    rule = an.rules.AttributeBias(an.Luce(), bias, 6) if bias else an.Luce()
    annotators = an.Annotator(an.Linear(np.r_[weights, 0.0]), rule)
    data = an.simulate(annotators, an.Design(items, annotators=pairs), seed=seed)
    model = an.Annotator(an.Linear(7), an.Luce())
    # a weak ridge (one pseudo-observation's worth): in few pairs the rare shortcut may separate the answers
    return an.fit(model, data, prior=an.priors.Gaussian(10.0), seed=seed).population.utility, data


def make_world(seed, world, prompts, responses, pairs, ensemble=1):
    """Alignment prompts, the reference, the true utilities and the reward models (trained on other prompts)."""
    rng, w = np.random.default_rng(seed), WORLDS[world]
    seeds = [int(s) for s in rng.integers(2**31, size=2 * ensemble)]
    train, _ = make_items(rng, prompts, responses, w["unequal"], w["rate"])
    items, shortcut = make_items(rng, prompts, responses, w["unequal"], w["rate"])
    pi0 = an.policies.ItemDensity(np.ones(items.n))
    helpful = [reward_model(train, HELPFUL, pairs, w["bias"], s)[0] for s in seeds[:ensemble]]
    harmless = [reward_model(train, HARMLESS, pairs, w["bias"], s)[0] for s in seeds[ensemble:]]
    truth = {
        name: an.Linear(np.r_[v, -w["harm"]]).frozen() for name, v in (("helpful", HELPFUL), ("harmless", HARMLESS))
    }
    return items, shortcut, pi0, truth, {"helpful": helpful[0], "harmless": harmless[0]}, helpful


def schemes(proxies, pi0):
    """Utilities to be maximised: one reward raw or transformed, and combinations of two."""
    quantile = an.policies.reference_quantile(pi0, LEVEL)
    lsc = {name: an.policies.lsc(r, quantile) for name, r in proxies.items()}
    both = [proxies["helpful"], proxies["harmless"]]
    return {
        "helpful, raw": proxies["helpful"],
        "helpful, LSC": lsc["helpful"],
        "harmless, raw": proxies["harmless"],
        "harmless, LSC": lsc["harmless"],
        "raw sum": an.policies.weighted_sum(both),
        "weighted sum 3:1": an.policies.weighted_sum(both, [1.5, 0.5]),
        "weighted sum 1:3": an.policies.weighted_sum(both, [0.5, 1.5]),
        "minimum": an.policies.ensemble(both, "minimum"),
        "LSC sum": an.policies.all_of(*lsc.values()),
    }


def measure(policy, items, shortcut, pi0, truth):
    """What the truth says of a policy."""
    mass = policy.mass(items)
    shape = (items.num_prompts, -1)
    good, log_good = {}, 0.0
    out = {"kl": an.analysis.kl_divergence(policy, pi0, items)}
    for name, u in truth.items():
        values = u(items).detach().reshape(shape)
        bar = values.sort(1).values[:, int(np.ceil(LEVEL * values.shape[1])) - 1]
        good[name] = (values > bar[:, None]).double()
        log_good = log_good + torch.nn.functional.logsigmoid(values - bar[:, None])
        by_prompt = win_rate(policy, u, items, pi0, per_prompt=True)
        out[f"win_{name}"] = float(by_prompt.mean())
        out[f"beat_{name}"] = win_rate_quantile(policy, u, items, pi0, LEVEL)
        out[f"spread_{name}"] = float(by_prompt.std())
        out[f"utility_{name}"] = float((mass * u(items).detach()).sum()) / items.num_prompts
    out["both_good"] = float((mass.reshape(shape) * good["helpful"] * good["harmless"]).sum(1).mean())
    out["log_good"] = float((mass.reshape(shape) * log_good).sum(1).mean())
    out["shortcut"] = float((mass.numpy() * shortcut).sum()) / items.num_prompts
    return out


def frontier(seed, world, prompts, responses, pairs, kls):
    """Every scheme at every KL: exact Gibbs policies, judged by the truth."""
    items, shortcut, pi0, truth, proxies, _ = make_world(seed, world, prompts, responses, pairs)
    rows = []
    for name, utility in schemes(proxies, pi0).items():
        for kl in kls:
            policy = an.policies.gibbs_at_kl(pi0, utility, kl, items)
            rows.append({"scheme": name, "at": kl, **measure(policy, items, shortcut, pi0, truth)})
    return rows


def best_of(seed, world, prompts, responses, pairs, ks):
    """Best of k with combined proxies, by its exact law."""
    items, shortcut, pi0, truth, proxies, _ = make_world(seed, world, prompts, responses, pairs)
    wanted = ("raw sum", "LSC sum", "minimum", "helpful, raw", "helpful, LSC")
    chosen = {name: u for name, u in schemes(proxies, pi0).items() if name in wanted}
    return [
        {"scheme": name, "k": k, **measure(an.policies.best_of_n(pi0, u, k), items, shortcut, pi0, truth)}
        for name, u in chosen.items()
        for k in ks
    ]


def reference_values(seed, world, prompts, responses, pairs, kl):
    """The same with other reference values, and with reward models whose scale is wrong, at one KL."""
    items, shortcut, pi0, truth, proxies, _ = make_world(seed, world, prompts, responses, pairs)
    r = proxies["helpful"]
    canned = np.arange(items.num_prompts) * responses  # the first response of every prompt
    references = {
        "quantile .50": an.policies.reference_median(pi0),
        "quantile .85": an.policies.reference_quantile(pi0, 0.85),
        "quantile .98": an.policies.reference_quantile(pi0, 0.98),
        "mean": an.policies.reference_mean(pi0),
        "canned": an.policies.fixed_response_reference(canned),
    }
    rows = []
    for name, reference in references.items():
        policy = an.policies.gibbs_at_kl(pi0, an.policies.lsc(r, reference), kl, items)
        rows.append({"variant": name, **measure(policy, items, shortcut, pi0, truth)})
    for factor in (0.3, 3.0):
        scaled = an.policies.weighted_sum([r], [factor])
        policy = an.policies.gibbs_at_kl(pi0, an.policies.lsc(scaled, references["quantile .85"]), kl, items)
        rows.append({"variant": f"scale x {factor:g}", **measure(policy, items, shortcut, pi0, truth)})
    return rows


def overoptimisation(seed, world, prompts, responses, pairs, kls, ks, members):
    """Gold against proxy as KL grows: one reward model, an ensemble's minimum, mean, and mean minus variance."""
    items, _, pi0, truth, _, ensemble = make_world(seed, world, prompts, responses, pairs, ensemble=members)
    combined = {
        "one model": ensemble[0],
        "ensemble mean": an.policies.ensemble(ensemble, "mean"),
        "ensemble minimum": an.policies.ensemble(ensemble, "minimum"),
        "mean - variance": an.policies.ensemble(ensemble, "mean-variance", penalty=1.0),
    }
    gold = truth["helpful"](items).detach()
    rows = []
    for name, u in combined.items():
        policies = [("Gibbs", kl, an.policies.gibbs_at_kl(pi0, u, kl, items)) for kl in kls]
        policies += [("best of n", k, an.policies.best_of_n(pi0, u, k)) for k in ks]
        values = u(items).detach()
        for method, at, policy in policies:
            mass = policy.mass(items)
            kl = an.analysis.kl_divergence(policy, pi0, items)
            rows.append(
                {
                    "score": name,
                    "method": method,
                    "at": float(at),
                    "d": kl**0.5,
                    "gold": float((mass * gold).sum() - (pi0.mass(items) * gold).sum()) / items.num_prompts,
                    "proxy": float((mass * values).sum() - (pi0.mass(items) * values).sum()) / items.num_prompts,
                }
            )
    return rows


def calibration(seed, world, prompts, responses, pairs):
    """The scale of a fitted reward: slope of held-out answers of unbiased annotators on its differences."""
    rng, w = np.random.default_rng(seed), WORLDS[world]
    train, _ = make_items(rng, prompts, responses, w["unequal"], w["rate"])
    reward, _ = reward_model(train, HELPFUL, pairs, w["bias"], int(rng.integers(2**31)))
    people = an.Annotator(an.Linear(np.r_[HELPFUL, 0.0]), an.Luce())
    held_out = an.simulate(people, an.Design(train, annotators=4000), seed=int(rng.integers(2**31)))
    r = reward(train).detach().numpy()
    logit = r[held_out.menu[:, 0]] - r[held_out.menu[:, 1]]
    return {"slope": calibration_slope(logit, held_out.answer == 0).slope}


def softmax_gradient(seed, gamma, steps):
    """Policy gradient on a softmax policy over 12 prompts of 16 responses: how far from the exact Gibbs optimum."""
    rng = np.random.default_rng(seed)
    items, _ = make_items(rng, 12, 16, True, 0.02)
    pi0 = an.policies.ItemDensity(np.ones(items.n))
    raw = an.Linear(np.r_[HELPFUL, 4.0])
    rows = []
    for name, u in (("raw", raw), ("LSC", an.policies.lsc(raw, an.policies.reference_quantile(pi0, LEVEL)))):
        start = an.LogDensity(an.Tabular(items.n))
        found = an.policies.policy_gradient(start, u, pi0, gamma, items, steps=steps, batch=16, seed=seed % 2**31)
        rows.append({"reward": name, "gap": found.kl_to_optimum, "trace": found.trace, "optimum": found.optimum})
    return rows


def token_gradient(seed, gamma, steps):
    """The same for a token policy over 256 sequences of four tokens; one token is what the reward likes."""
    rng = np.random.default_rng(seed)
    items = all_sequences(4, 4)
    reward = rng.normal(size=(4, 4))
    u = an.Tabular(reward[np.arange(4), items.tokens.numpy()].sum(1))
    reference = an.LogDensity(TokenEnergy(4, 4)).requires_grad_(False)
    found = an.policies.policy_gradient(
        an.LogDensity(TokenEnergy(4, 4)), u, reference, gamma, items, steps=steps, batch=32, seed=seed % 2**31
    )
    return {"gap": found.kl_to_optimum, "trace": found.trace, "optimum": found.optimum}
