"""EM-DPO: a mixture of policies from annotators of hidden types, its baselines, and the laws of EM."""

from __future__ import annotations

import warnings

import numpy as np
import torch

import annosim as an
from annosim.analysis import adjusted_rand, clustering_accuracy

from .baselines import Answers, hard_em, k_means, per_cluster
from .regret import regret_rows
from .worlds import WARM_EM, World, world

MENU = {"pairs": 2, "best of three": 3}


def twin_worlds(kind, answers, questions, annotators, seed):
    """EM on the answers of two worlds that single pairs cannot tell apart: antipodal types, half each, and people who
    prefer nothing.

    ``share`` is the mean error in the two worlds over the distance d of the worlds. If the answers of both worlds have
    the same law, the expected errors of any method add up to at least d (the triangle inequality; Le Cam's two points),
    so that the share is at least one half however many annotators there are. Below one half, the answers told them
    apart.
    """
    row = {}
    for tastes in ("antipodal", "indifferent"):
        here = world(kind, tastes)
        data = asked(here, answers, questions, annotators, seed)
        em = _quietly(fit_types, here, Answers(data.for_learner()).blocks(), seed)
        row[tastes] = aligned_error([here.read(one) for one in em.types], em.weights.detach().numpy(), here)[0]
    distance = float(world(kind, "antipodal").rewards.square().mean().sqrt())
    return row | {"distance": distance, "share": (row["antipodal"] + row["indifferent"]) / (2 * distance)}


def asked(here: World, answers: str, questions: int, annotators: int, seed: int) -> an.PreferenceData:
    """Simulated answers of a world."""
    design = an.Design(here.items, menu_size=MENU[answers], annotators=annotators, questions=questions)
    return an.simulate(here.truth, design, seed=seed)


def em_dpo(kind, tastes, answers, questions, annotators, seed):
    """Fit two types by EM and the baselines on the same answers; score all of them against the truth."""
    here = world(kind, tastes)
    data = asked(here, answers, questions, annotators, seed)
    hidden, seen = np.asarray(data.truth["type"]), Answers(data.for_learner())
    em = _quietly(fit_types, here, seen.blocks(), seed)
    pooled = here.one(seed, seen.of())
    clusters = k_means(seen, seed)
    hard, hard_guess = _quietly(hard_em, here, seen, clusters, seed)
    by_cluster = _quietly(per_cluster, here, seen, clusters, seed)
    rewards, share = [here.read(one) for one in em.types], em.weights.detach().numpy()
    methods = {
        "em": (rewards, share, None),
        "k-means": (by_cluster, np.bincount(clusters, minlength=2) / annotators, clusters),
        "hard": (hard, np.bincount(hard_guess, minlength=2) / annotators, hard_guess),
        "pooled": ([pooled], np.ones(1), None),
    }
    rows = [{"method": name, **score(here, seen, hidden, *found)} for name, found in methods.items()]
    return rows + regret_rows(here, rewards, share, pooled)


def _quietly(make, *arguments):
    """Without the warning of estimates that run to the boundary and stop at the iteration limit: they are scored."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make(*arguments)


def fit_types(here: World, data: an.PreferenceData, seed: int) -> an.Mixture:
    """Two types by EM: tables from three starts with a weak prior, networks from a pooled policy with noise.

    Where the types are not identified the likelihood is flat and EM slow; two hundred steps are enough elsewhere.
    """
    model = an.Mixture([here.blank(seed), here.blank(seed + 1)]).like(seed=seed)
    if here.kind == "network":
        return an.fit(model, data, starts=2, seed=seed, solver=WARM_EM).population
    return an.fit(
        model, data, starts=3, seed=seed, prior=an.priors.Gaussian(3.0), solver=an.Newton(max_iterations=200)
    ).population


def score(here: World, seen: Answers, hidden, rewards, share, label):
    """Clustering, likelihood, rewards and preferences of one method (labels: those of the posterior, if none given)."""
    with np.errstate(divide="ignore"):
        joint = np.log(share) + seen.log_likelihood(rewards)
    error, weight_error = aligned_error(rewards, share, here)
    row = {"error": error, "weight_error": weight_error}
    row["log_likelihood"] = float(np.logaddexp.reduce(joint, 1).mean())
    row["group_accuracy"] = group_accuracy(rewards, here)
    if len(rewards) > 1:
        guess = joint.argmax(1) if label is None else label
        row |= {"accuracy": clustering_accuracy(hidden, guess), "rand": adjusted_rand(hidden, guess)}
    return row


def aligned_error(found, share, here: World) -> tuple[float, float]:
    """Root mean square error of the rewards under the best naming, and error of the weights."""
    if len(found) == 1:
        found, share = list(found) * 2, np.full(2, 0.5)
    orders = [(0, 1), (1, 0)]
    costs = [sum(float((found[o[k]] - here.rewards[k]).square().mean()) for k in range(2)) / 2 for o in orders]
    best = orders[int(np.argmin(costs))]
    return float(np.sqrt(min(costs))), float(abs(share[best[0]] - here.shares[0]))


def group_accuracy(found, here: World) -> float:
    """Share of pairs within a prompt ordered as each true type orders them, best fitted type for each, worst group."""
    pairs = torch.combinations(torch.arange(here.items.n), 2)
    pairs = pairs[here.items.prompts[pairs[:, 0]] == here.items.prompts[pairs[:, 1]]]
    gap = lambda u: torch.sign(u[pairs[:, 0]] - u[pairs[:, 1]])  # noqa: E731
    return min(max(float((gap(f) == gap(u)).double().mean()) for f in found) for u in here.rewards)


def likelihood_laws(seed):
    """Laws of EM: the log-likelihood never falls; one type is DPO; responsibilities that are the truth give every
    group's own DPO; the naming of types does not matter."""
    here = world("linear", "general")
    data = an.simulate(here.truth, an.Design(here.items, annotators=500, questions=3), seed=seed)
    hidden, learner = np.asarray(data.truth["type"]), data.for_learner()
    model = an.Mixture([here.blank(k) for k in range(2)]).like(seed=seed)
    fit = an.fit(model, learner)
    trace = np.asarray(fit.trace, dtype=float)
    one = an.fit(an.Mixture([here.blank(0)]), learner)
    dpo = an.fit(here.blank(0), learner)
    other = an.fit(model.relabelled([1, 0]), learner)
    return {
        "smallest_step": float(np.diff(trace).min()) if len(trace) > 1 else 0.0,
        "one_type": abs(one.log_likelihood - dpo.log_likelihood),
        "naming": abs(fit.log_likelihood - other.log_likelihood),
        "known_types": known_types(here, learner, hidden),
        "network_fall": network_fall(seed),
    }


def known_types(here: World, data: an.PreferenceData, hidden: np.ndarray) -> float:
    """Largest difference between the M-step under the true responsibilities (weights of annotators, over all of them)
    and DPO on each group's own answers."""
    gaps = []
    for k in range(2):
        own = hidden == k
        m_step = here.read(an.fit(here.blank(0), data.with_(weight=own[data.annotator_ids].astype(float))).population)
        group = here.read(
            an.fit(here.blank(0), data.take(np.flatnonzero(own[data.annotator_ids])).compact()).population
        )
        gaps.append(float((m_step - group).abs().max()))
    return max(gaps)


def network_fall(seed) -> float:
    """The largest fall of the log-likelihood (per annotator) between E-steps, networks fitted by line search."""
    here = world("network", "general")
    design = an.Design(here.items, menu_size=3, annotators=200, questions=2)
    data = an.simulate(here.truth, design, seed=seed).for_learner()
    model = an.Mixture([here.blank(seed), here.blank(seed + 1)])
    fit = lambda: an.fit(model, data, seed=seed, solver=an.EM(m_step="line-search", steps=60, e_step_every=10))  # noqa: E731
    return _quietly(fit).em.largest_decrease  # a short run: only its falls are read
