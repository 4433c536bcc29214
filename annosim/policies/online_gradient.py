"""Policy gradient of a language model on its own responses: nothing is enumerated, everything is drawn."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from annosim.errors import ArgumentError, TrainingError
from annosim.items import Items
from annosim.policies.gradient import check_policy, surrogate
from annosim.policies.sampled_responses import draw_sequences
from annosim.policies.tilts import values_of
from annosim.random import child_seed
from annosim.results import Result, versions
from annosim.utilities.base import Utility
from annosim.utilities.language_models import LogPolicy

__all__ = ["SampledPolicyGradient", "sampled_policy_gradient"]


@dataclass(frozen=True, eq=False, repr=False)
class SampledPolicyGradient(Result):
    """A language model trained on its own responses.

    Attributes:
        policy: what was trained (a copy; nothing of the caller's is changed).
        objective: ``J = E_x [E_pi u - gamma KL(pi || pi_0)]`` of it, the mean over fresh responses, nats.
        standard_error: of that mean.
        trace: ``(steps,)`` mean of ``u - gamma log(pi / pi_0)`` over each step's responses: a noisy objective.
        steps: gradient steps taken.

    Example:
        >>> lm = torch.nn.Sequential(torch.nn.Embedding(3, 4), torch.nn.Linear(4, 3))
        >>> u = lambda items: items.tokens[:, 1].double()
        >>> found = sampled_policy_gradient(LogPolicy(lm), u, LogPolicy(lm), 1.0, [[0]], max_tokens=1, steps=2)
        >>> found.trace.shape
        (2,)
    """

    policy: LogPolicy
    objective: float
    standard_error: float
    trace: np.ndarray
    steps: int

    def _lines(self) -> list[tuple[str, object]]:
        return [
            ("objective", f"{self.objective:.6g} (standard error {self.standard_error:.2g})"),
            ("steps", self.steps),
        ]


def sampled_policy_gradient(
    policy: LogPolicy,
    utility: Utility | Callable[[Items], torch.Tensor],
    reference: LogPolicy,
    gamma: float,
    prompts: Sequence[Sequence[int]],
    *,
    max_tokens: int,
    end: int | None = None,
    steps: int = 500,
    batch: int = 16,
    learning_rate: float = 1e-3,
    baseline: str = "leave-one-out",
    seed: int = 0,
) -> SampledPolicyGradient:
    """Train a language model by KL-regularised policy gradient on responses that it draws itself.

    The estimator is that of :func:`~annosim.policies.policy_gradient`, unbiased, with responses from
    :func:`~annosim.policies.rollouts`'s sampler in place of listed ones.

    Args:
        policy: what is trained.
        utility: what is maximised: reads items with tokens (``an.SequenceReward(model)``, or a function of items).
        reference: the language model of the KL penalty.
        gamma: its weight, above 0.
        prompts, max_tokens, end: as in :func:`~annosim.policies.rollouts`.
        steps, batch, learning_rate: ``batch`` responses to every prompt in each of the steps of Adam, whose learning
            rate falls linearly to 0.
        baseline: ``"leave-one-out"``, ``"value"`` (running mean per prompt) or ``"none"``.
        seed: of the draws.

    Returns:
        :class:`SampledPolicyGradient`.

    Raises:
        NothingFreeError: the policy has no free parameter.
        ArgumentError: not language models, gamma not positive, steps negative, an unknown baseline.
        TrainingError: the objective is not finite.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> lm = torch.nn.Sequential(torch.nn.Embedding(3, 4), torch.nn.Linear(4, 3))
        >>> u = lambda items: (items.tokens[:, 1] == 2).double()  # people like 2
        >>> found = sampled_policy_gradient(
        ...     LogPolicy(lm), u, LogPolicy(lm), 0.1, [[0]], max_tokens=1, steps=60, learning_rate=0.1)
        >>> found.objective > float(found.trace[0])
        True
    """
    check_policy("sampled_policy_gradient", policy, gamma, baseline, batch)
    if steps < 0:
        raise ArgumentError(f"sampled_policy_gradient(steps={steps}): at least 0")
    for name, one in (("policy", policy), ("reference", reference)):
        if not isinstance(one, LogPolicy) or one.per_token:
            raise ArgumentError(f"sampled_policy_gradient({name}=): give an.LogPolicy(model), without per_token")
    trained = copy.deepcopy(policy)
    free = [p for p in trained.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(free, lr=learning_rate)
    value, trace = torch.zeros(len(prompts), dtype=torch.float64), []
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * (1 - step / steps)
        items = responses(trained, prompts, batch, max_tokens, end, child_seed(seed, f"step {step}"))
        log_pi = trained(items).double().cpu()
        score = _scores(log_pi.detach(), utility, reference, gamma, items)
        each = score.view(len(prompts), batch)
        loss = -surrogate(log_pi, torch.arange(items.n).view(each.shape), score, baseline, value)
        if not bool(torch.isfinite(loss)):
            raise TrainingError(f"sampled_policy_gradient: loss is {float(loss)} at step {step}; lower learning_rate")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        value = each.mean(-1) if step == 0 else 0.9 * value + 0.1 * each.mean(-1)
        trace.append(float(score.mean()))
    with torch.no_grad():
        items = responses(trained, prompts, max(batch, 64), max_tokens, end, child_seed(seed, "report"))
        each = _scores(trained(items).double().cpu(), utility, reference, gamma, items).view(len(prompts), -1)
    error = float((each.var(1) / each.shape[1]).mean().sqrt() / len(prompts) ** 0.5)
    settings = {"gamma": gamma, "batch": batch, "learning_rate": learning_rate, "baseline": baseline, "seed": seed}
    return SampledPolicyGradient(
        trained, float(each.mean()), error, np.array(trace), steps, settings={**settings, **versions()}
    )


def responses(
    policy: LogPolicy, prompts: Sequence[Sequence[int]], samples: int, max_tokens: int, end: int | None, seed: int
) -> Items:
    """Drawn responses as items, ``samples`` for each prompt one after another, equal ones apart."""
    drawn = [
        (number, [*prompt, *row], len(prompt))
        for number, prompt in enumerate(prompts)
        for row in draw_sequences(policy, prompt, samples, max_tokens, end, child_seed(seed, f"prompt {number}"))
    ]
    code, tokens, lengths = zip(*drawn, strict=True)
    return Items(tokens=list(tokens), prompts=np.array(code), columns={"prompt_length": np.array(lengths)})


def _scores(
    log_pi: torch.Tensor,
    utility: Utility | Callable[[Items], torch.Tensor],
    reference: LogPolicy,
    gamma: float,
    items: Items,
) -> torch.Tensor:
    """``u - gamma log(pi / pi_0)`` of drawn responses, ``(n,)``."""
    with torch.no_grad():
        return values_of(utility, items).cpu() - gamma * (log_pi - reference(items).double().cpu())
