"""Paraphrase twins: raters who cannot tell two responses apart, and raters who can and are of two minds.

Every response has a content (its cluster) and a variant. *Cannot tell*: raters see the content only. *Two minds*: they see
the variant, and half of them want one and half the other. Asked are pairs of two contents in the same variant (all agree up
to noise) and, with a share s, pairs of two variants of one content (paraphrases). One answer each has the same law in both
worlds at every s.
"""

from __future__ import annotations

import numpy as np
import torch

import annosim as an
from annosim.analysis import kl_divergence, law_divergence

CONTENTS, TASTE, WANTED = 6, 1.5, np.array([1.2, -0.8])


def worlds(seed: int):
    """Items, and the two populations."""
    content = np.random.default_rng(seed).normal(size=(CONTENTS, 2))
    features = np.c_[np.repeat(content, 2, axis=0), np.tile([1.0, -1.0], CONTENTS)]
    items = an.Items(features=features, clusters=np.repeat(np.arange(CONTENTS), 2))
    cannot_tell = an.Annotator(an.Linear(np.r_[WANTED, TASTE]), an.rules.SeesClusters(an.Luce()))
    minds = [an.Annotator(an.Linear(np.r_[WANTED, side * TASTE]), an.Luce()) for side in (1, -1)]
    return items, cannot_tell, an.Mixture(minds, weights=[0.5, 0.5])


def asked(items: an.Items, share: float, **more) -> an.Design:
    """Pairs of two contents in one variant, and with this share pairs of two variants of one content."""
    i, j = np.triu_indices(CONTENTS, 1)
    contents = np.concatenate([np.c_[2 * i + v, 2 * j + v] for v in (0, 1)])
    variants = np.c_[2 * np.arange(CONTENTS), 2 * np.arange(CONTENTS) + 1]
    weights = np.r_[np.full(len(contents), (1 - share) / len(contents)), np.full(CONTENTS, share / CONTENTS)]
    kept = weights > 0
    return an.Design(items, menus=np.concatenate([contents, variants])[kept], menu_weights=weights[kept], **more)


def paraphrase_twins(share: float, answers: int, seed: int) -> dict:
    """Exact: distance of the laws of one answer and of two, what one reward learns, what it costs each camp. Finite: the
    error of the reward for content."""
    items, cannot_tell, two_minds = worlds(seed)
    one, two = (law_divergence(two_minds, cannot_tell, asked(items, share, questions=q)) for q in (1, 2))
    model = an.Annotator(an.Linear(3), an.Luce())
    learned = [an.project(model, people, asked(items, share)).population for people in (cannot_tell, two_minds)]
    weights = [found.utility.weights.detach().numpy() for found in learned]
    pi0 = an.policies.ItemDensity(np.ones(items.n))
    policy = an.policies.gibbs(pi0, learned[0].utility, 1.0)
    own = [an.policies.gibbs(pi0, camp.utility, 1.0) for camp in two_minds.types]
    blind = an.policies.gibbs(pi0, an.Tabular(cannot_tell.index(items).detach().numpy()), 1.0)
    data = an.simulate(two_minds, asked(items, share, annotators=answers), seed=seed % 2**31).for_learner()
    fitted = an.fit(model, data).population.utility.weights.detach()
    return {
        "one_answer": one.total_variation,
        "two_answers": two.total_variation,
        "annotators_needed": float(np.log(20) / two.kl),
        "rewards_apart": float(np.abs(weights[0] - weights[1]).max()),
        "variant_weight": float(abs(weights[1][2])),
        "content_error": float(np.abs(weights[1][:2] - WANTED).max()),
        "cost_two_minds": max(kl_divergence(policy, p, items) for p in own),
        "cost_cannot_tell": kl_divergence(policy, blind, items),
        "finite_error": float((fitted[:2] - torch.as_tensor(WANTED)).square().mean().sqrt()),
    }
