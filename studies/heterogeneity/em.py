"""EM-DPO: a mixture of policies from annotators of hidden types, its baselines, and what is left of regret."""

from __future__ import annotations

import warnings

import numpy as np
import torch

import annosim as an
from annosim.analysis import adjusted_rand, clustering_accuracy
from annosim.policies import matrix_game

BETA = 1.0
TASTES = {
    "antipodal": ([[1.5, 0.6], [-1.5, -0.6]], [0.5, 0.5]),
    "general": ([[1.8, 0.3], [-0.6, 1.5]], [0.6, 0.4]),
}


def world(tastes, n=8, kind="linear"):
    """Items, reference and the true population: type k's reward is linear, its policy pi_k ~ reference exp(reward /
    beta).

    Under DPO's rule ``beta (log pi_k - log reference)`` is the reward up to a constant of the prompt, so that a
    mixture of
    rewards under Luce's rule and a mixture of policies under DPO's rule are the same family, with the same likelihood.
    """
    items = an.Items.normal(n, 2, seed=3)
    weights, shares = TASTES[tastes]
    truth = an.Mixture([an.Annotator(an.Linear(w), an.Luce()) for w in weights], weights=shares)
    return items, truth


def blank(kind, items, seed):
    """One type of the model that is fitted: linear or tabular rewards, or the energy of a small network policy."""
    if kind == "linear":
        return an.Annotator(an.Linear(items.dim), an.Luce())
    if kind == "tabular":
        return an.Annotator(an.Tabular(items.n), an.Luce())
    reference = an.LogDensity(an.Tabular(np.zeros(items.n)))
    network = an.Network([8], dim=items.dim, seed=seed, dtype=torch.float64)
    return an.Annotator(an.LogDensity(network), an.PBDE.dpo(BETA, reference))


def feedback(name):
    """Pairs, or best of three."""
    return {"menu_size": 2} if name == "pairs" else {"menu_size": 3}


def em_dpo(tastes, kind, answers, questions, annotators, seed):
    """Fit two types by EM and the baselines on the same answers; score all of them against the truth."""
    items, truth = world(tastes)
    design = an.Design(items, annotators=annotators, questions=questions, **feedback(answers))
    data = an.simulate(truth, design, seed=seed)
    hidden = np.asarray(data.truth["type"])
    learner = data.for_learner()
    model = an.Mixture([blank(kind, items, seed + k) for k in range(2)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an estimate that runs to the boundary stops at the iteration limit
        em = an.fit(
            model.like(seed=seed), learner, starts=4, seed=seed, prior=an.Gaussian(3.0) if kind != "network" else None
        )
        pooled = an.fit(blank(kind, items, seed), learner)
    guess = em.responsibilities.argmax(-1).numpy()
    clusters = k_means(learner, seed)
    hard, hard_guess = hard_em(kind, items, learner, clusters, seed)
    found = {
        "em": rewards(em.population, items),
        "k-means": per_cluster(kind, items, learner, clusters, seed),
        "hard": hard,
        "pooled": [index(pooled.population, items)],
    }
    labels = {"em": guess, "k-means": clusters, "hard": hard_guess}
    true = rewards(truth, items)
    share = {
        "em": em.population.weights.detach().numpy(),
        "k-means": np.bincount(clusters, minlength=2) / annotators,
        "hard": np.bincount(hard_guess, minlength=2) / annotators,
        "pooled": np.ones(1),
    }
    rows = []
    for name, utilities in found.items():
        row = {"method": name, "accuracy": np.nan, "rand": np.nan}
        if name in labels:
            row |= {"accuracy": clustering_accuracy(hidden, labels[name]), "rand": adjusted_rand(hidden, labels[name])}
        error, weight_error = aligned_error(utilities, share[name], true, TASTES[tastes][1])
        row |= {"error": error, "weight_error": weight_error, "group_accuracy": group_accuracy(utilities, true)}
        rows.append(row | {"log_likelihood": em.log_likelihood if name == "em" else np.nan})
    return rows + regret_rows(found["em"], share["em"], found["pooled"][0], true, items)


def index(population, items):
    """Centred rewards of one type."""
    u = population.index(items).detach().double()
    return u - u.mean()


def rewards(mixture, items):
    """Centred rewards of every type, a list of ``(n,)``."""
    return [index(one, items) for one in mixture.types]


def k_means(data, seed, steps=30):
    """Two clusters of annotators by the sums of their residual answers on each item (wins minus expected wins)."""
    menu, answer, who = (
        np.asarray(data.menu),
        np.asarray(data.answer).reshape(data.rows),
        np.asarray(data.annotator_ids),
    )
    profile = np.zeros((data.num_annotators, data.items.n))
    won = menu[np.arange(data.rows), answer]
    np.add.at(profile, (who, won), 1.0)
    for j in range(menu.shape[1]):
        np.add.at(profile, (who, menu[:, j]), -1.0 / menu.shape[1])
    draw = np.random.Generator(np.random.Philox(seed))
    best, label = np.inf, np.zeros(len(profile), dtype=int)
    for _ in range(5):
        centre = profile[draw.choice(len(profile), 2, replace=False)]
        for _ in range(steps):
            cost = ((profile[:, None] - centre[None]) ** 2).sum(-1)
            now = cost.argmin(1)
            centre = np.stack(
                [
                    profile[now == k].mean(0) if (now == k).any() else profile[draw.integers(len(profile))]
                    for k in range(2)
                ]
            )
        if cost.min(1).sum() < best:
            best, label = cost.min(1).sum(), now
    return label


def one_cluster(kind, items, data, members, seed):
    """DPO on one cluster's answers (with a weak prior: a small cluster may have no maximum)."""
    rows = np.isin(np.asarray(data.annotator_ids), members)
    if not rows.any():
        return torch.zeros(items.n, dtype=torch.float64)
    part = data.take(np.flatnonzero(rows)).with_(annotator=None, order=None)
    prior = an.Gaussian(3.0) if kind != "network" else None
    return index(an.fit(blank(kind, items, seed), part, prior=prior).population, items)


def per_cluster(kind, items, data, label, seed):
    """DPO on every cluster."""
    return [one_cluster(kind, items, data, np.flatnonzero(label == k), seed + k) for k in range(2)]


def block_likelihood(utilities, data):
    """Log-likelihood of every annotator's block under each type, ``(annotators, K)``."""
    menu, answer = torch.as_tensor(data.menu, dtype=torch.long), np.asarray(data.answer).reshape(data.rows)
    out = np.zeros((data.num_annotators, len(utilities)))
    for k, u in enumerate(utilities):
        s = u[menu]
        row = (s[torch.arange(data.rows), torch.as_tensor(answer, dtype=torch.long)] - torch.logsumexp(s, -1)).numpy()
        out[:, k] = np.bincount(np.asarray(data.annotator_ids), weights=row, minlength=data.num_annotators)
    return out


def hard_em(kind, items, data, label, seed, rounds=8):
    """Each annotator belongs to the type that explains them best; types are refitted; repeat."""
    utilities = per_cluster(kind, items, data, label, seed)
    for _ in range(rounds):
        new = block_likelihood(utilities, data).argmax(1)
        if (new == label).all():
            break
        label = new
        utilities = per_cluster(kind, items, data, label, seed)
    return utilities, label


def aligned_error(found, share, true, true_share):
    """Root mean square error of the rewards under the best naming, and of the weights."""
    if len(found) < len(true):
        found, share = list(found) * len(true), np.full(len(true), 1 / len(true))
    orders = [(0, 1), (1, 0)]
    costs = [sum(float((found[o[k]] - true[k]).square().mean()) for k in range(2)) / 2 for o in orders]
    best = orders[int(np.argmin(costs))]
    return float(np.sqrt(min(costs))), float(abs(share[best[0]] - true_share[0]))


def group_accuracy(found, true):
    """Share of pairs ordered as each true type orders them, best fitted type for each, worst group."""
    pairs = torch.combinations(torch.arange(len(true[0])), 2)
    scores = []
    for u in true:
        want = u[pairs[:, 0]] > u[pairs[:, 1]]
        scores.append(max(float(((f[pairs[:, 0]] > f[pairs[:, 1]]) == want).double().mean()) for f in found))
    return min(scores)


def regret_rows(found, share, pooled, true, items):
    """KL-regularised regret ``beta KL(pi || pi_k)`` of every single policy, for each group; the policies are made
    from what
    was learned, the regrets are against the true groups."""
    reference = np.full(items.n, 1 / items.n)
    gibbs = lambda u: an.gibbs(reference, an.Tabular(np.asarray(u)), BETA)  # noqa: E731
    learned = [gibbs(u) for u in found]
    policies = {
        "pooled DPO": gibbs(pooled),
        "uniform mixture": an.linear_pool(learned),
        "largest group's own": learned[int(np.argmax(share))],
        "min-max regret": an.min_max_kl_regret(learned, items, beta=BETA, tolerance=1e-7),
        "MaxMin": max_min(learned, found, items),
    }
    target = [gibbs(u).log_prob(items) for u in true]
    rows = []
    for name, policy in policies.items():
        log_p = policy.log_prob(items)
        regrets = [BETA * float((log_p.exp() * items.weights * (log_p - t)).sum()) for t in target]
        rows.append({"method": name, "worst_regret": max(regrets), "mean_regret": float(np.mean(regrets))})
    return rows


def max_min(learned, rewards_, items):
    """MaxMin: the mixture of the learned policies whose worst group's expected reward is largest (a matrix game)."""
    expected = torch.stack([torch.stack([(p.mass(items) * u).sum() for p in learned]) for u in rewards_])
    return an.linear_pool(learned, matrix_game(-expected.detach().numpy()).weights)


def likelihood_laws(seed):
    """Laws of EM: the log-likelihood never falls; one type is DPO; the naming of types does not matter."""
    items, truth = world("general")
    data = an.simulate(truth, an.Design(items, annotators=500, questions=3), seed=seed).for_learner()
    model = an.Mixture([blank("linear", items, k) for k in range(2)]).like(seed=seed)
    fit = an.fit(model, data)
    trace = np.asarray(fit.trace, dtype=float)
    one = an.fit(an.Mixture([blank("linear", items, 0)]), data)
    dpo = an.fit(blank("linear", items, 0), data)
    other = an.fit(model.relabelled([1, 0]), data)
    return {
        "smallest_step": float(np.diff(trace).min()) if len(trace) > 1 else 0.0,
        "one_type": abs(one.log_likelihood - dpo.log_likelihood),
        "naming": abs(fit.log_likelihood - other.log_likelihood),
    }
