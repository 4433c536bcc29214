"""Reference values of a reward, prompt by prompt: a quantile, mean or median under a policy, or a fixed response."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from annosim.analysis.divergences import log_density, prompt_quantiles, prompt_sums
from annosim.arrays import Numbers
from annosim.constraints import check_whole_numbers
from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.policies.tilts import DensityLike, as_density
from annosim.utilities.densities import LogDensity

__all__ = ["fixed_response_reference", "reference_mean", "reference_median", "reference_quantile"]

ReferenceValue = Callable[[torch.Tensor, Items], torch.Tensor]


def reference_quantile(reference: DensityLike, level: float = 0.85) -> ReferenceValue:
    """The ``level`` quantile of the reward under the reference policy, for each prompt: the smallest reward r of the
    prompt's responses with ``P(reward <= r) >= level``.

    Args:
        reference: a density, or its vector on the items.
        level: between 0 and 1; 0.85 as in 2402.00742.

    Returns:
        ``f(rewards (n,), items) -> (prompts,)``, to be given to ``an.policies.lsc``.

    Raises:
        ArgumentError: the level is outside (0, 1).

    Example:
        >>> reference_quantile([.25] * 4, .5)(torch.tensor([3., 1., 2., 4.]), Items(n=4)).tolist()
        [2.0]
    """
    if not 0 < level < 1:
        raise ArgumentError(f"reference_quantile(level={level}): a number between 0 and 1")
    return _Quantile(as_density(reference, "reference_quantile(reference=)"), float(level))


def reference_median(reference: DensityLike) -> ReferenceValue:
    """The (lower) median of the reward under the reference policy, for each prompt.

    Example:
        >>> reference_median([.25] * 4)(torch.tensor([3., 1., 2., 4.]), Items(n=4)).tolist()
        [2.0]
    """
    return reference_quantile(reference, 0.5)


def reference_mean(reference: DensityLike) -> ReferenceValue:
    """The mean reward under the reference policy, for each prompt.

    Example:
        >>> reference_mean([.5, .5])(torch.tensor([3., 1.]), Items(n=2)).tolist()
        [2.0]
    """
    return _Mean(as_density(reference, "reference_mean(reference=)"))


def fixed_response_reference(ids: Numbers) -> ReferenceValue:
    """The reward of one fixed response per prompt ("I cannot help with that").

    Args:
        ids: item ids, one for each prompt in ascending order of prompt id.

    Example:
        >>> fixed_response_reference([1])(torch.tensor([3., 1.]), Items(n=2)).tolist()
        [1.0]
    """
    return _FixedResponse(np.atleast_1d(check_whole_numbers("fixed_response_reference(ids=)", ids)))


class _Quantile:  # classes, not closures, so that utilities can be copied and pickled
    def __init__(self, reference: LogDensity, level: float):
        self.reference, self.level = reference, level

    def __call__(self, reward: torch.Tensor, items: Items) -> torch.Tensor:
        mass = (log_density(self.reference, items) + items.log_weights).exp()
        return prompt_quantiles(reward, mass, self.level, items)


class _Mean:
    def __init__(self, reference: LogDensity):
        self.reference = reference

    def __call__(self, reward: torch.Tensor, items: Items) -> torch.Tensor:
        mass = (log_density(self.reference, items) + items.log_weights).exp()
        return prompt_sums(mass * reward.double(), items)


class _FixedResponse:
    def __init__(self, ids: np.ndarray):
        self.ids = ids

    def __call__(self, reward: torch.Tensor, items: Items) -> torch.Tensor:
        prompts = items.prompts.unique()
        if self.ids.shape != (len(prompts),) or (self.ids < 0).any() or (self.ids >= items.n).any():
            raise ArgumentError(
                f"fixed_response_reference(ids=): {self.ids.size} item ids for {len(prompts)} prompts of {items.n} items"
            )
        ids = torch.as_tensor(self.ids)
        if bool((items.prompts[ids] != prompts).any()):
            at = int(torch.nonzero(items.prompts[ids] != prompts)[0])
            raise ArgumentError(
                f"fixed_response_reference(ids=): item {int(ids[at])} does not belong to prompt {int(prompts[at])}"
            )
        return reward[ids].double()
