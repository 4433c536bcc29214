"""What non-identification costs a fair policy, what it costs to end it, and which loss finds the mean taste."""

from __future__ import annotations

import numpy as np
import torch

import annosim as an
from annosim.analysis import kl_divergence, law_divergence, pair_probabilities
from annosim.policies import min_max_kl_regret

from .regret import gibbs
from .twins import PLANE, pair_of_worlds
from .worlds import BETA

#: ways of asking that end the ambiguity of single pairs, and how a design says it
WAYS = {
    "best of three": {"menu_size": 3},
    "two pairs": {"questions": 2},
    "ranking of three": {"menu_size": 3, "feedback": "ranking"},
    "three pairs": {"questions": 3},
}
#: so many blocks of answers are enumerated: three pairs of eight responses, in either order, have 56^3 2^3 = 1.4 million
ENUMERATED = 2e6
#: the evidence (odds) that the answers of so many annotators are expected to give
ODDS = 20.0


def _items(number: int, seed: int) -> an.Items:
    """Eight responses on a plane: the ones of the figures (number 0), or others."""
    return PLANE if number == 0 else an.Items.normal(8, 2, seed=(seed + number) % 2**31)


def _own(people: an.Mixture, items: an.Items) -> list:
    """Every type's own best policy."""
    return [gibbs(one.utility(items).detach().double(), items) for one in people.types]


def fairness_of_twins(name: str, scale: float, sets: int, seed: int) -> list[dict]:
    """Two worlds with the same law of single pairs: a learner may end in either. Worst type's regret of the min-max
    policy of the right world and of the twin's, both in the right world, with each of the two as the right one."""
    rows = []
    for number in range(sets):
        items = _items(number, seed)
        owns = [_own(people, items) for people in pair_of_worlds(name, scale)]
        fair = [min_max_kl_regret(own, items, beta=BETA) for own in owns]
        for here in (0, 1):
            right, twin = (max(BETA * kl_divergence(fair[w], p, items) for p in owns[here]) for w in (here, 1 - here))
            rows.append(
                {
                    "set": number,
                    "truth": here,
                    "right_world": right,
                    "twin_world": twin,
                    "ratio": twin / max(right, 1e-12),
                }
            )
    return rows


def answers_needed(name: str, scale: float, sets: int, seed: int) -> list[dict]:
    """Annotators until the answers are expected to favour the right world by 20 to 1: ``log 20`` over the divergence of
    one annotator's answers, for each way of asking, and the answers that all of them give together. The first of the two
    worlds (the equal antipodes) is right: ``KL(antipodes || nobody)``. The other way round it takes nearly as many."""
    rows = []
    for number in range(sets):
        items = _items(number, seed)
        here, there = pair_of_worlds(name, scale)
        for way, design in WAYS.items():
            nats = law_divergence(here, there, an.Design(items, **design), max_outcomes=ENUMERATED).kl
            annotators = np.log(ODDS) / nats
            rows.append(
                {"set": number, "way": way, "annotators": annotators, "in_all": annotators * design.get("questions", 1)}
            )
    return rows


# ---- the direction of the mean taste ------------------------------------------------------------------------------

MEAN, APART = np.array([1.0, 0.6]), np.array([-1.2, 2.0])
ANGLES = np.linspace(-np.pi, np.pi, 7200, endpoint=False)


def mean_direction(items: int, answers: list[int], seed: int) -> list[dict]:
    """Half of the annotators have tastes m + d, half m - d: symmetric around m. Angle (degrees) between m and what is
    learned by likelihood (Bradley-Terry) and by the sign loss (fewest answers ordered wrongly: Manski's maximum
    score), and the share of pairs whose majority each gets wrong; with infinite data (``answers`` 0) and finite."""
    x = np.random.default_rng(seed).exponential(size=(items, 2))
    where = an.Items(features=x)
    tastes = [an.Annotator(an.Linear(MEAN + side * APART), an.Luce()) for side in (1, -1)]
    people, design = an.Mixture(tastes, weights=[0.5, 0.5]), an.Design(where)
    p = pair_probabilities(people, where).numpy()
    i, j = np.triu_indices(items, 1)
    rows = []
    for count in [0, *answers]:
        if count == 0:
            found = an.project(an.Annotator(an.Linear(2), an.Luce()), people, design).population
            wins, losses = p[i, j], 1 - p[i, j]
        else:
            data = an.simulate(people, design.with_(annotators=count), seed=seed % 2**31).for_learner()
            found = an.fit(an.Annotator(an.Linear(2), an.Luce()), data).population
            wins, losses = _counts(data, items, i, j)
        learned = {
            "likelihood": found.utility.weights.detach().numpy(),
            "sign loss": _fewest_mistakes(x[i] - x[j], wins, losses),
        }
        for loss, w in learned.items():
            wrong = np.sign((x[i] - x[j]) @ w) != np.sign(p[i, j] - 0.5)
            rows.append({"answers": count, "loss": loss, "angle": _angle(w), "wrong": float(wrong.mean())})
    return rows


def _counts(data: an.PreferenceData, n: int, i: np.ndarray, j: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How often the first and the second of every pair won."""
    menu, answer = np.asarray(data.menu), np.asarray(data.answer).reshape(-1)
    table = np.zeros((n, n))
    np.add.at(table, (menu[np.arange(len(menu)), answer], menu[np.arange(len(menu)), 1 - answer]), 1.0)
    return table[i, j], table[j, i]


def _fewest_mistakes(x: np.ndarray, wins: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """The direction that orders fewest answers wrongly: the middle of the best arc of a fine grid of angles."""
    directions = np.stack([np.cos(ANGLES), np.sin(ANGLES)])
    cost = np.where(x @ directions > 0, losses[:, None], wins[:, None]).sum(0)
    best = directions[:, cost < cost.min() + 1e-9].mean(1)
    return best / np.linalg.norm(best)


def _angle(w: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(w @ MEAN / np.linalg.norm(w) / np.linalg.norm(MEAN), -1, 1))))


# ---- the more types are alike, the worse a uniform mixture is -------------------------------------------------------


def similar_types(types: int, prompts: int, seed: int) -> dict:
    """All types but one are alike. Worst type's regret of the uniform mixture of their policies less that of the
    min-max policy, both exact.

    Regret in nats a prompt, ``beta KL(pi || pi_k)`` at beta 1. Two tastes are drawn apart with a standard deviation of
    1.2, the types that are alike within .2 of one of them, on prompts of eight responses. The gain depends on this: with
    1.6 instead of 1.2 it is about twice as large, and with opposite tastes (b and -b on the plane of the figures) it
    is small for two types, whose uniform mixture is nearly fair by symmetry, and steep in their number: .05, .33, .51 at
    1.5 b and .09, .52, .80 at 2 b.
    """
    draw = np.random.default_rng(seed)
    items = an.Items(n=8 * prompts, prompts=np.repeat(np.arange(prompts), 8))
    most, other = 1.2 * draw.normal(size=(2, items.n))
    rewards = [most + 0.2 * draw.normal(size=items.n) for _ in range(types - 1)] + [other]
    policies = [gibbs(torch.as_tensor(r), items) for r in rewards]
    ways = {"uniform": an.policies.linear_pool(policies), "min-max": min_max_kl_regret(policies, items, beta=BETA)}
    worst = {name: max(BETA * kl_divergence(p, own, items) for own in policies) for name, p in ways.items()}
    return {"gain": worst["uniform"] - worst["min-max"], **worst}
