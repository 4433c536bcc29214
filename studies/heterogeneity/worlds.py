"""Synthetic annotators of two hidden types, and the family of policies that is fitted to them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

import annosim as an

BETA = 1.0
TASTES = ("antipodal", "indifferent", "general")
SHARES = {"antipodal": (0.5, 0.5), "indifferent": (0.5, 0.5), "general": (0.6, 0.4)}
LINEAR = {"antipodal": ((1.5, 0.6), (-1.5, -0.6)), "general": ((1.8, 0.3), (-0.6, 1.5))}
PROMPTS, RESPONSES = 6, 4
#: how a network is trained: by EM from a pooled policy with noise, or by itself
NETWORK_EM = an.EM(steps=100, lr=0.1, e_step_every=2, progress=False)
NETWORK = an.Adam(steps=100, lr=0.1, progress=False)
WARM_EM = replace(NETWORK_EM, warm_start="pooled", perturbation=0.5)


@dataclass(frozen=True)
class World:
    """Items, the true types' rewards ``(2, n)`` (centred in each prompt) and their shares, and the kind of policy.

    Under DPO's rule ``beta (log pi_k - log reference)`` is the reward up to a constant of the prompt, so that a mixture
    of rewards under Luce's rule and a mixture of policies under DPO's rule are the same family, with one likelihood.
    """

    kind: str
    items: an.Items
    rewards: torch.Tensor
    shares: tuple[float, float]

    @property
    def truth(self) -> an.Mixture:
        """The population that answers."""
        return an.Mixture([an.Annotator(an.Tabular(u), an.Luce()) for u in self.rewards], weights=list(self.shares))

    def blank(self, seed: int) -> an.Annotator:
        """One type of the model that is fitted: linear or tabular rewards, or a small network policy."""
        if self.kind == "linear":
            return an.Annotator(an.Linear(self.items.dim), an.Luce())
        if self.kind == "tabular":
            return an.Annotator(an.Tabular(self.items.n), an.Luce())
        network = an.Network([8], dim=self.items.dim, seed=seed, dtype=torch.float64)
        return an.Annotator(an.LogDensity(network), an.PBDE.dpo(BETA, reference(self.items)))

    def one(self, seed: int, data: an.PreferenceData, prior: bool = True) -> torch.Tensor:
        """Rewards ``(n,)`` of one policy fitted to answers by DPO (tables with a weak prior: a few may have none)."""
        if self.kind == "network":
            return self.read(an.fit(self.blank(seed), data, seed=seed, solver=NETWORK).population)
        return self.read(an.fit(self.blank(seed), data, prior=an.priors.Gaussian(3.0) if prior else None).population)

    def read(self, population: an.Annotator) -> torch.Tensor:
        """Rewards of a fitted type, centred in each prompt: what answers can tell."""
        return centred(population.index(self.items).detach().double(), self.items)


def reference(items: an.Items) -> an.LogDensity:
    """The policy before training: uniform within each prompt."""
    return an.LogDensity(an.Tabular(np.zeros(items.n)))


def centred(u: torch.Tensor, items: an.Items) -> torch.Tensor:
    """``u`` less its mean in each prompt, along the last axis."""
    code = items.prompts.unique(return_inverse=True)[1]
    one_hot = torch.nn.functional.one_hot(code).double()
    return u - (u @ one_hot / one_hot.sum(0))[..., code]


def world(kind: str, tastes: str) -> World:
    """Linear and tabular rewards on eight responses to one prompt; networks on four responses to each of six."""
    shares = SHARES[tastes]
    if kind == "network":
        draw = np.random.Generator(np.random.Philox(5))
        prompt = np.repeat(draw.normal(size=(PROMPTS, 2)), RESPONSES, axis=0)
        features = np.c_[prompt, draw.normal(size=(PROMPTS * RESPONSES, 2))]
        items = an.Items(features=features, prompts=np.repeat(np.arange(PROMPTS), RESPONSES))
        two = torch.stack([_teacher(items, seed) for seed in (1, 2)])
    else:
        items = an.Items.normal(8, 2, seed=3)
        two = torch.as_tensor(np.random.Generator(np.random.Philox(11)).normal(size=(2, 8)) * 1.4)
    if kind == "linear" and tastes in LINEAR:
        two = torch.tensor(LINEAR[tastes], dtype=torch.float64) @ items.features.double().T
    if tastes == "antipodal":
        two = torch.stack([two[0], -two[0]])
    if tastes == "indifferent":
        two = torch.zeros_like(two)
    return World(kind, items, centred(two.double(), items), shares)


def _teacher(items: an.Items, seed: int) -> torch.Tensor:
    """Rewards of a random network, nonlinear in prompt and response together, with standard deviation 1.5."""
    with torch.no_grad():
        u = centred(an.Network([16], dim=items.dim, seed=seed, dtype=torch.float64)(items), items)
    return 1.5 * u / u.std()
