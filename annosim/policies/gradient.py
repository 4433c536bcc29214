r"""KL-regularised policy gradient: an unbiased Monte Carlo gradient, held against the exact Gibbs optimum.

The objective is ``J(theta) = E_x [E_{pi_theta} u - gamma KL(pi_theta || pi_0)]``; since the score has mean zero,
``grad J = E[(u - gamma log(pi_theta / pi_0) - b) grad log pi_theta]`` for every baseline b that does not depend on the
response itself (Williams 1992). Its maximum over all policies is the Gibbs tilt.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch

from annosim.analysis.divergences import kl_divergence, log_density, prompt_sums
from annosim.errors import ArgumentError, NothingFreeError, TrainingError, told
from annosim.items import Items
from annosim.policies.tilts import DensityLike, UtilityLike, gibbs, log_partition, values_of
from annosim.random import uniform53
from annosim.results import Result, versions
from annosim.utilities.base import Utility
from annosim.utilities.densities import LogDensity

__all__ = ["PolicyGradient", "TokenEnergy", "all_sequences", "kl_regularised_objective", "policy_gradient"]

_BASELINES = ("none", "leave-one-out", "value")


@dataclass(frozen=True, eq=False, repr=False)
class PolicyGradient(Result):
    """A trained policy beside the optimum.

    Attributes:
        policy: the density that was trained (a copy; nothing of the caller's is changed).
        objective: ``J`` of it, exact, nats.
        optimum: the largest J that any policy has, ``gamma E_x log Z(x)``.
        kl_to_optimum: ``E_x KL(pi || Gibbs tilt)``: equals ``(optimum - objective) / gamma``.
        gradient_norm: of the exact gradient at the end.
        trace: ``(checks,)`` exact objective along the way.
        steps: gradient steps taken.

    Example:
        >>> import annosim as an
        >>> start = an.LogDensity(an.Tabular(2))
        >>> found = an.policies.policy_gradient(start, an.Tabular([0.0, 1.0]), [0.5, 0.5], 1.0, an.Items(n=2), steps=50)
        >>> found.objective <= found.optimum
        True
    """

    policy: LogDensity
    objective: float
    optimum: float
    kl_to_optimum: float
    gradient_norm: float
    trace: np.ndarray
    steps: int

    def _lines(self) -> list[tuple[str, object]]:
        return [
            ("objective", f"{self.objective:.6g} of at most {self.optimum:.6g}"),
            ("KL to the Gibbs optimum", f"{self.kl_to_optimum:.3g} nats per prompt"),
            ("exact gradient norm", f"{self.gradient_norm:.3g}"),
            ("steps", self.steps),
        ]


def kl_regularised_objective(
    policy: DensityLike, utility: UtilityLike, reference: DensityLike, gamma: float, items: Items
) -> torch.Tensor:
    """``J = E_x [E_pi u - gamma KL(pi || pi_0)]``, exact, differentiable in the policy's parameters.

    Example:
        >>> import annosim as an
        >>> best = gibbs([.5, .5], an.Tabular([0., 1.]), 1.0)
        >>> value = kl_regularised_objective(best, an.Tabular([0., 1.]), [.5, .5], 1.0, an.Items(n=2))
        >>> bool((value - log_partition([.5, .5], an.Tabular([0., 1.]), 1.0, an.Items(n=2))).abs() < 1e-12)
        True
    """
    if isinstance(policy, LogDensity):
        log_pi = policy.log_prob(items).double()
    else:  # others carry no gradient here, or are normalised on the items first
        log_pi = log_density(policy, items)
    mass = (log_pi + items.log_weights).exp()
    gap = torch.where(mass > 0, log_pi - log_density(reference, items), 0.0)
    return prompt_sums(mass * (values_of(utility, items) - gamma * gap), items).mean()


def surrogate(
    log_pi: torch.Tensor, ids: torch.Tensor, score: torch.Tensor, baseline: str, value: torch.Tensor
) -> torch.Tensor:
    """A number whose gradient is the Monte Carlo policy gradient.

    Args:
        log_pi: ``(n,)`` log-probabilities that carry the gradient.
        ids: ``(prompts, batch)`` sampled responses.
        score: ``(n,)`` ``u - gamma log(pi / pi_0)``, without gradient.
        baseline: ``"none"``, ``"leave-one-out"`` (mean of the prompt's other samples), ``"value"``.
        value: ``(prompts,)`` baseline for ``"value"``.
    """
    gain = score[ids]
    if baseline == "leave-one-out":
        gain = gain - (gain.sum(-1, keepdim=True) - gain) / (ids.shape[1] - 1)
    elif baseline == "value":
        gain = gain - value[:, None]
    return (gain * log_pi[ids]).mean()


def policy_gradient(
    policy: LogDensity,
    utility: Utility,
    reference: DensityLike,
    gamma: float,
    items: Items,
    *,
    steps: int = 500,
    batch: int = 16,
    learning_rate: float = 0.1,
    baseline: str = "leave-one-out",
    seed: int = 0,
    checks: int = 20,
) -> PolicyGradient:
    """Train a policy by KL-regularised policy gradient (REINFORCE with Adam, learning rate decayed linearly to 0).

    Args:
        policy: a density with free parameters, for example ``an.LogDensity(an.Tabular(n))`` (softmax),
            ``an.LogDensity(TokenEnergy(...))`` (tokens) or ``an.LogPolicy(model)`` (a language model).
        utility: what is maximised.
        reference: the density of the KL penalty.
        gamma: its weight, above 0.
        items: all responses of all prompts; ``batch`` responses are drawn for every prompt at every step.
        steps, batch, learning_rate: of the training.
        baseline: ``"leave-one-out"``, ``"value"`` (running mean per prompt) or ``"none"``; all are unbiased.
        seed: of the draws.
        checks: how often the exact objective is recorded.

    Returns:
        :class:`PolicyGradient`.

    Raises:
        NothingFreeError: the policy has no free parameter.
        ArgumentError: the policy is no module, gamma not positive, steps negative, an unknown baseline, a batch too
            small for it, or a reference without mass where the policy has some.
        TrainingError: the objective is not finite.

    Example:
        >>> import annosim as an
        >>> start = an.LogDensity(an.Tabular(3))
        >>> found = policy_gradient(start, an.Tabular([0., 1., 2.]), [1/3] * 3, 1.0, an.Items(n=3), steps=200)
        >>> found.kl_to_optimum < 0.01
        True
    """
    check_policy("policy_gradient", policy, gamma, baseline, batch)
    if steps < 0:
        raise ArgumentError(f"policy_gradient(steps={steps}): at least 0")
    trained = copy.deepcopy(policy)
    if not isinstance(trained, LogDensity):  # a language model: its law on these responses
        trained = LogDensity(trained)
    u, log_reference = values_of(utility, items), log_density(reference, items)
    with torch.no_grad():
        outside = torch.isneginf(log_reference) & ~torch.isneginf(trained.log_prob(items))
    if bool(outside.any()):
        raise ArgumentError(
            f"policy_gradient(reference=): item {items.names[int(torch.nonzero(outside)[0])]!r} has mass under the "
            "policy and none under the reference, so the KL penalty is infinite; leave such items out"
        )
    members = [items.members(p) for p in items.prompts.unique().tolist()]
    parameters = [p for p in trained.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(parameters, lr=learning_rate)
    value = torch.zeros(len(members), dtype=torch.float64)
    trace = []
    every = max(1, steps // max(1, checks))
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * (1 - step / steps)
        log_pi = trained.log_prob(items).double()
        score = u - gamma * (log_pi.detach() - log_reference)
        ids = draw_responses(log_pi.detach() + items.log_weights, members, batch, seed, step)
        loss = -surrogate(log_pi, ids, score, baseline, value)
        if not bool(torch.isfinite(loss)):
            raise TrainingError(f"policy_gradient: loss is {float(loss)} at step {step}; lower learning_rate")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        value = score[ids].mean(-1) if step == 0 else 0.9 * value + 0.1 * score[ids].mean(-1)
        if step % every == 0:
            with torch.no_grad():
                trace.append(float(kl_regularised_objective(trained, u, reference, gamma, items)))
    settings = {"batch": batch, "learning_rate": learning_rate, "baseline": baseline, "seed": seed}
    return _report(trained, utility, reference, gamma, items, trace, steps, settings)


def draw_responses(
    log_mass: torch.Tensor, members: list[torch.Tensor], batch: int, seed: int, step: int
) -> torch.Tensor:
    """``(prompts, batch)`` item ids drawn from each prompt's policy, at address (seed, step, prompt, draw)."""
    out = []
    draws = uniform53(seed, "training", np.arange(len(members))[:, None], np.arange(batch), step)
    for ids, u in zip(members, torch.as_tensor(draws), strict=True):
        cdf = log_mass[ids].exp().cumsum(0)
        out.append(ids[torch.searchsorted(cdf, u * cdf[-1]).clamp_max(len(ids) - 1)])
    return torch.stack(out)


def _report(
    trained: LogDensity,
    utility: Utility,
    reference: DensityLike,
    gamma: float,
    items: Items,
    trace: list[float],
    steps: int,
    settings: dict[str, object],
) -> PolicyGradient:
    parameters = [p for p in trained.parameters() if p.requires_grad]
    objective = kl_regularised_objective(trained, utility, reference, gamma, items)
    gradient = torch.autograd.grad(objective, parameters)
    norm = float(torch.stack([(g.double() ** 2).sum() for g in gradient]).sum().sqrt())
    best = gibbs(reference, utility, gamma)
    return PolicyGradient(
        trained,
        float(objective.detach()),
        float(gamma * log_partition(reference, utility, gamma, items).mean()),
        kl_divergence(trained, best, items),
        norm,
        np.array([*trace, float(objective.detach())]),
        steps,
        settings={"gamma": gamma, **settings, **versions()},
    )


def check_policy(where: str, policy: object, gamma: float, baseline: str, batch: int) -> None:
    """Refuse what cannot be trained by a policy gradient."""
    if not isinstance(policy, torch.nn.Module):
        raise ArgumentError(
            f"{where}(policy=): {type(policy).__name__}; give a density with free parameters, for example "
            "an.LogDensity(an.Tabular(n))"
        )
    if not any(p.requires_grad for p in policy.parameters()):
        raise NothingFreeError(f"{where}: the policy has no free parameter; use an.LogDensity(an.Tabular(n))")
    if not gamma > 0:
        raise ArgumentError(f"{where}(gamma={gamma}): a number above 0")
    if baseline not in _BASELINES:
        raise ArgumentError(f"{where}(baseline={told(baseline)}): one of {', '.join(_BASELINES)}")
    if batch < (2 if baseline == "leave-one-out" else 1):
        raise ArgumentError(f"{where}(batch={batch}): {baseline!r} needs at least 2 responses per prompt")


class TokenEnergy(Utility):
    """Log-probability of token sequences under position-dependent transitions: a small token policy.

    ``log p(t) = sum_j log softmax(logits[j, t_{j-1}])[t_j]``, with a start symbol before the first token. Over all
    sequences of one length it sums to one. Give it to ``an.LogDensity`` to make a policy over any items with tokens.

    Args:
        vocabulary: number of tokens.
        length: of every sequence.

    Example:
        >>> import annosim as an
        >>> policy = an.LogDensity(TokenEnergy(2, 2))
        >>> policy.mass(all_sequences(2, 2)).tolist()
        [0.25, 0.25, 0.25, 0.25]
    """

    logits: torch.Tensor

    def __init__(self, vocabulary: int, length: int):
        super().__init__()
        self.declare("logits", np.zeros((length, vocabulary + 1, vocabulary)), free_by_default=True)

    def forward(self, items: Items) -> torch.Tensor:
        """Log-probabilities of the items' tokens, ``(n,)``."""
        tokens = items.tokens
        if tokens is None or tokens.shape[-1] != self.logits.shape[0]:
            raise ArgumentError(f"TokenEnergy: the items need tokens of length {self.logits.shape[0]}")
        length, _, vocabulary = self.logits.shape
        before = torch.cat([torch.full((len(tokens), 1), vocabulary), tokens[:, :-1]], 1)
        steps = torch.log_softmax(self.logits, -1)
        return steps[torch.arange(length), before, tokens].sum(-1)


def all_sequences(vocabulary: int, length: int) -> Items:
    """Items: all token sequences of one length, in lexicographic order.

    Raises:
        ArgumentError: more than a million sequences.

    Example:
        >>> all_sequences(2, 3).n
        8
    """
    if vocabulary < 1 or length < 1 or vocabulary**length > 1_000_000:
        raise ArgumentError(f"all_sequences({vocabulary}, {length}): between one and a million sequences")
    return Items(tokens=np.indices((vocabulary,) * length).reshape(length, -1).T)
