"""Pools of policies: the linear one (a mixture) and the log-linear one (a normalised geometric mean)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from annosim.arrays import Numbers
from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.parameters import check_value, fixed
from annosim.policies.tilts import DensityLike, as_density, check_support
from annosim.utilities.base import Utility
from annosim.utilities.densities import DensityMixture, LogDensity

__all__ = ["linear_pool", "log_linear_pool"]


class _GeometricMean(Utility):
    weights: torch.Tensor

    def __init__(self, policies: Sequence[LogDensity], weights: torch.Tensor):
        super().__init__()
        self.policies = nn.ModuleList(policies)
        self.register_buffer("weights", weights)

    def forward(self, items: Items) -> torch.Tensor:
        total = torch.zeros(items.n, dtype=torch.float64)
        for policy, weight in zip(self.policies, self.weights, strict=True):
            if float(weight) > 0:  # a weight of zero leaves a policy out, also where it gives no mass
                total = total + weight * policy(items).detach().double()
        check_support(total, items, "log_linear_pool(policies=)")
        return total


def log_linear_pool(policies: Sequence[DensityLike], weights: Numbers | None = None) -> LogDensity:
    r"""``pi(y|x) proportional to prod_k pi_k(y|x)^{w_k}``, normalised within each prompt.

    It minimises ``sum_k w_k KL(pi || pi_k)``; for Gibbs tilts of one reference it is the tilt of the weighted utility.

    Args:
        policies: densities.
        weights: nonnegative, sum to one; uniform by default.

    Raises:
        ArgumentError: no policies, or weights of another number or off the simplex; in some prompt no response has
            positive mass under every policy that has weight (when evaluated).

    Example:
        >>> pool = log_linear_pool([[0.5, 0.5], [0.8, 0.2]], [0.5, 0.5])
        >>> pool.mass(Items(n=2)).numpy().round(4).tolist()
        [0.6667, 0.3333]
    """
    w = _weights("log_linear_pool", policies, weights)
    return LogDensity(_GeometricMean([as_density(p, "log_linear_pool(policies=)") for p in policies], w))


def linear_pool(policies: Sequence[DensityLike], weights: Numbers | None = None) -> LogDensity:
    """The mixture ``sum_k w_k pi_k``: answer with policy k with probability ``w_k``.

    Args:
        policies: densities.
        weights: nonnegative, sum to one; uniform by default.

    Raises:
        ArgumentError: no policies, or weights of another number or off the simplex.

    Example:
        >>> linear_pool([[0.5, 0.5], [0.9, 0.1]]).mass(Items(n=2)).numpy().round(4).tolist()
        [0.7, 0.3]
    """
    w = _weights("linear_pool", policies, weights)
    return DensityMixture([as_density(p, "linear_pool(policies=)") for p in policies], fixed(w.numpy()))


def _weights(name: str, policies: Sequence[DensityLike], weights: Numbers | None) -> torch.Tensor:
    count = len(policies)
    if count < 1:
        raise ArgumentError(f"{name}(policies=): needs at least one policy")
    value = np.full(count, 1 / count) if weights is None else weights
    w = check_value(f"{name}(weights=)", value, "simplex")
    if w.shape != (count,):
        raise ArgumentError(f"{name}(weights=): {w.numel()} weights for {count} policies")
    return w
