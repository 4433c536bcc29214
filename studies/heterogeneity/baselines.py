"""Annotators of unknown type: how likely their answers are, and clustering instead of EM."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

import annosim as an

from .worlds import NETWORK_EM, World


class Answers:
    """One data set as learners see it: menus in item order, equal rows counted once.

    Luce's rule does not see the order of display, and one policy does not see who answered: its fit needs the counts of
    distinct (menu, answer) rows only, however many annotators there are.
    """

    def __init__(self, data: an.PreferenceData):
        menu = np.asarray(data.menu)
        order = menu.argsort(1)
        place = order.argsort(1)
        self.items, self.menu = data.items, np.take_along_axis(menu, order, 1)
        self.answer = place[np.arange(len(menu)), np.asarray(data.answer).reshape(len(menu))]
        self.who, self.annotators = np.asarray(data.annotator_ids), data.num_annotators
        rows = np.c_[self.menu, self.answer]
        self.distinct, self.code = np.unique(rows, axis=0, return_inverse=True)
        self.code = self.code.reshape(-1)

    def blocks(self) -> an.PreferenceData:
        """All answers with their annotators, equal blocks counted once: what a mixture is fitted to."""
        whole = an.PreferenceData(self.items, menu=self.menu, answer=self.answer, annotator=self.who)
        return whole.counts()

    def of(self, members: np.ndarray | None = None) -> an.PreferenceData | None:
        """The answers of some annotators ``(annotators,)`` bool, pooled; ``None`` when there are none."""
        share = None if members is None else members[self.who].astype(float)
        count = np.bincount(self.code, weights=share, minlength=len(self.distinct))
        seen = count > 0
        if not seen.any():
            return None
        return an.PreferenceData(
            self.items, menu=self.distinct[seen, :-1], answer=self.distinct[seen, -1], weight=count[seen]
        )

    def log_likelihood(self, rewards: list[torch.Tensor]) -> np.ndarray:
        """Log-probability of every annotator's answers under each type, ``(annotators, K)``."""
        menu, answer = torch.as_tensor(self.distinct[:, :-1]), torch.as_tensor(self.distinct[:, -1])
        out = []
        for u in rewards:
            s = u[menu]
            row = (s.gather(1, answer[:, None])[:, 0] - torch.logsumexp(s, -1)).numpy()
            out.append(np.bincount(self.who, weights=row[self.code], minlength=self.annotators))
        return np.stack(out, 1)


def k_means(answers: Answers, seed: int, steps: int = 30, starts: int = 5) -> np.ndarray:
    """Two clusters of annotators by the sums of their residual answers on each item (wins minus expected wins)."""
    n, size = answers.items.n, answers.menu.shape[1]
    won = answers.menu[np.arange(len(answers.menu)), answers.answer]
    shown = answers.who[:, None] * n + answers.menu
    profile = np.bincount(answers.who * n + won, minlength=answers.annotators * n).astype(float)
    profile -= np.bincount(shown.reshape(-1), minlength=answers.annotators * n) / size
    profile = profile.reshape(-1, n)
    draw = np.random.Generator(np.random.Philox(seed))
    best, label = np.inf, np.zeros(len(profile), dtype=int)
    for _ in range(starts):
        centre = profile[draw.choice(len(profile), 2, replace=False)]
        now = None
        for _ in range(steps):
            before, cost = now, (centre**2).sum(1) - 2 * profile @ centre.T  # less |profile|^2, the same for both
            now = cost.argmin(1)
            if before is not None and (now == before).all():
                break
            centre = np.stack(
                [
                    profile[now == k].mean(0) if (now == k).any() else profile[draw.integers(len(profile))]
                    for k in (0, 1)
                ]
            )
        if cost.min(1).sum() < best:
            best, label = cost.min(1).sum(), now
    return label


def per_cluster(world: World, answers: Answers, label: np.ndarray, seed: int) -> list[torch.Tensor]:
    """DPO on every cluster's answers; indifference where a cluster is empty."""
    parts = [answers.of(label == k) for k in (0, 1)]
    nothing = torch.zeros(world.items.n, dtype=torch.float64)
    return [nothing if part is None else world.one(seed + k, part) for k, part in enumerate(parts)]


def hard_em(world: World, answers: Answers, label: np.ndarray, seed: int, rounds: int = 8):
    """Each annotator belongs to the type that explains them best; types are refitted; repeat."""
    if world.kind == "network":
        model = an.Mixture([world.blank(seed), world.blank(seed + 1)])
        found = an.fit(model, answers.blocks(), seed=seed, starts=2, solver=replace(NETWORK_EM, hard=True)).population
        rewards = [world.read(one) for one in found.types]
        return rewards, answers.log_likelihood(rewards).argmax(1)
    rewards = per_cluster(world, answers, label, seed)
    for _ in range(rounds):
        new = answers.log_likelihood(rewards).argmax(1)
        if (new == label).all():
            break
        label = new
        rewards = per_cluster(world, answers, label, seed)
    return rewards, label
