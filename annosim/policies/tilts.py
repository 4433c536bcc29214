"""Gibbs tilts: the exact optimum of KL-regularised reward maximisation."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from scipy.optimize import brentq
from torch import nn

from annosim.analysis.divergences import kl_divergence, log_density, prompt_sums
from annosim.arrays import Numbers, as_numpy
from annosim.constraints import check_value
from annosim.errors import ArgumentError, told
from annosim.items import Items
from annosim.utilities.base import Density, Utility
from annosim.utilities.densities import LogDensity, as_log_density, segment_logsumexp

#: A policy or reference: a density, or its vector of densities on the items.
DensityLike: TypeAlias = Density | Numbers
#: A reward: a utility, or its vector on the items.
UtilityLike: TypeAlias = Utility | Numbers
F = TypeVar("F", bound=Density | Utility)

__all__ = ["ItemDensity", "gibbs", "gibbs_at_kl", "gibbs_path", "log_partition"]


class _LogValues(Utility):
    """Log densities on a known item set; ``-inf`` is mass zero."""

    values: torch.Tensor

    def __init__(self, values: torch.Tensor):
        super().__init__()
        self.register_buffer("values", values)

    def forward(self, items: Items) -> torch.Tensor:
        if items.n != self.values.shape[-1]:
            raise ArgumentError(f"this density is given on {self.values.shape[-1]} items but there are {items.n}")
        check_support(self.values, items, "ItemDensity")
        return self.values


class ItemDensity(LogDensity):
    """A fixed density given by its numbers on one item set (normalised within each prompt); zeros are allowed.

    Args:
        values: ``(n,)`` nonnegative densities with respect to ``items.weights``, up to a factor per prompt.

    Raises:
        ArgumentError: a value is negative or not finite; a prompt has no positive one (when evaluated).

    Example:
        >>> ItemDensity([1.0, 3.0, 0.0]).mass(Items(n=3)).numpy().round(12).tolist()
        [0.25, 0.75, 0.0]
    """

    def __init__(self, values: Numbers):
        vector = check_value("ItemDensity(values=)", values, "nonnegative", ndim=1)
        super().__init__(_LogValues(vector.log()))


def check_support(log_values: torch.Tensor, items: Items, what: str) -> None:
    """Refuse a prompt without any mass: its policy would be NaN.

    Raises:
        ArgumentError: names the first such prompt.
    """
    empty = prompt_sums((~torch.isneginf(log_values)).double(), items) == 0
    if bool(empty.any()):
        prompt = int(items.prompts.unique()[empty][0])
        raise ArgumentError(f"{what}: no response of prompt {prompt} has positive mass; give at least one of them some")


def frozen(value: F, what: str) -> F:
    """A copy in which nothing is free: a policy does not move when what it was made of is trained further."""
    if not isinstance(value, nn.Module | Density):
        raise ArgumentError(f"{what}: {type(value).__name__}; give a utility, or a density such as an.LogDensity(...)")
    own = copy.deepcopy(value)
    if isinstance(own, nn.Module):
        own.requires_grad_(False)
    return own


class _LogProb(Utility):
    """The log densities of somebody's own density."""

    def __init__(self, density: Density):
        super().__init__()
        self.density = density

    def forward(self, items: Items) -> torch.Tensor:
        return as_log_density(self.density, items)


def as_density(value: DensityLike, what: str) -> LogDensity:
    """A frozen density: of a density itself (a language model is normalised on the items), or of its vector of them."""
    if isinstance(value, LogDensity):
        return frozen(value, what)
    if isinstance(value, Density):
        own = frozen(value, what)
        return LogDensity(own if isinstance(own, Utility) else _LogProb(own))
    if isinstance(value, nn.Module):
        raise ArgumentError(f"{what}: {type(value).__name__} is not a density; wrap it as an.LogDensity(...)")
    return ItemDensity(value)


def values_of(
    utility: UtilityLike | Callable[[Items], torch.Tensor], items: Items, what: str = "utility"
) -> torch.Tensor:
    """Utilities of all items as float64, checked to be finite.

    Raises:
        ArgumentError: a value is NaN or infinite; the item is named.
    """
    found = utility(items) if callable(utility) else torch.as_tensor(as_numpy(utility))
    out: torch.Tensor = found.detach().double()
    if out.shape != (items.n,):
        raise ArgumentError(f"{what}: shape {tuple(out.shape)}, expected ({items.n},)")
    bad = ~torch.isfinite(out)
    if bool(bad.any()):
        at = int(torch.nonzero(bad)[0])
        raise ArgumentError(f"{what}: item {items.names[at]!r} has value {float(out[at])}; utilities must be finite")
    return out


class _Tilt(Utility):
    def __init__(self, reference: LogDensity, utility: Utility, gamma: float):
        super().__init__()
        self.reference, self.utility, self.gamma = reference, utility, gamma

    def forward(self, items: Items) -> torch.Tensor:
        log_reference = log_density(self.reference, items)
        u = values_of(self.utility, items)
        if self.gamma > 0:
            return log_reference + u / self.gamma
        inside = torch.where(torch.isneginf(log_reference), -torch.inf, u)
        code = items.prompt_code
        top = torch.full((items.num_prompts,), -torch.inf, dtype=torch.float64).scatter_reduce(0, code, inside, "amax")
        return torch.where(inside == top[code], log_reference, -torch.inf)


def gibbs(reference: DensityLike, utility: Utility, gamma: float) -> LogDensity:
    r"""The Gibbs tilt ``pi(y|x) = pi_0(y|x) exp(u(x, y) / gamma) / Z(x)``.

    It maximises ``E_pi u - gamma KL(pi || pi_0)`` prompt by prompt (Wang et al. 2402.00742, section 2; the maximum is
    ``gamma log Z``).

    Args:
        reference: a density, or its vector on the items.
        utility: what is maximised; for a transformed reward pass ``an.policies.lsc(...)``.
        gamma: at least 0; 0 is the limit, the reference restricted to each prompt's best items; infinity gives the
            reference back.

    Raises:
        ArgumentError: ``gamma`` is negative or NaN; a utility is not finite (when the policy is evaluated).

    Example:
        >>> import annosim as an
        >>> policy = gibbs([0.5, 0.5], an.Tabular([0.0, 1.0]), gamma=1.0)
        >>> policy.mass(an.Items(n=2)).numpy().round(4).tolist()
        [0.2689, 0.7311]
    """
    if isinstance(gamma, bool) or not isinstance(gamma, (int, float, np.number)) or not gamma >= 0:
        raise ArgumentError(f"gibbs(gamma={told(gamma)}): a number of at least 0")
    return LogDensity(
        _Tilt(as_density(reference, "gibbs(reference=)"), frozen(utility, "gibbs(utility=)"), float(gamma))
    )


def gibbs_path(reference: DensityLike, utility: Utility, gammas: Sequence[float]) -> list[LogDensity]:
    """One tilt per gamma.

    Example:
        >>> import annosim as an
        >>> [round(float(p.mass(an.Items(n=2))[1]), 3) for p in gibbs_path([.5, .5], an.Tabular([0., 1.]), [1., .5])]
        [0.731, 0.881]
    """
    return [gibbs(reference, utility, gamma) for gamma in gammas]


def log_partition(reference: DensityLike, utility: Utility, gamma: float, items: Items) -> torch.Tensor:
    """``log Z(x) = log E_{pi_0} exp(u / gamma)`` for each prompt, ``(prompts,)`` float64.

    Example:
        >>> import annosim as an
        >>> log_partition([0.5, 0.5], an.Tabular([3.0, 3.0]), 1.0, an.Items(n=2)).tolist()
        [3.0]
    """
    if not gamma > 0:
        raise ArgumentError(f"log_partition(gamma={gamma}): a number above 0")
    total = log_density(reference, items) + items.log_weights + values_of(utility, items) / gamma
    log_z = segment_logsumexp(total, items.prompt_code, items.num_prompts)
    count = prompt_sums(torch.ones(items.n, dtype=torch.float64), items)
    return prompt_sums(log_z, items) / count


def gibbs_at_kl(
    reference: DensityLike, utility: Utility, kl: float, items: Items, tolerance: float = 1e-10
) -> LogDensity:
    """The tilt whose mean KL to the reference over prompts is ``kl`` nats (the KL falls strictly in gamma).

    Args:
        reference, utility: as in :func:`gibbs`.
        kl: above 0, below the KL of the limit gamma -> 0.
        items: the prompts over which the KL is averaged.

    Returns:
        The policy; its ``gamma`` is ``policy.energy.gamma``.

    Raises:
        ArgumentError: no gamma reaches this KL; the message says what the limit is.

    Example:
        >>> import annosim as an
        >>> policy = gibbs_at_kl([0.5, 0.5], an.Tabular([0.0, 1.0]), 0.1, an.Items(n=2))
        >>> round(kl_divergence(policy, [0.5, 0.5], an.Items(n=2)), 9)
        0.1
    """
    log_reference = log_density(reference, items)
    u = values_of(utility, items)
    log_mass = log_reference + items.log_weights

    def excess(log_gamma: float) -> float:
        scaled = u * np.exp(-log_gamma)
        log_pi = log_mass + scaled - segment_logsumexp(log_mass + scaled, items.prompt_code, items.num_prompts)
        gap = torch.where(torch.isneginf(log_mass), 0.0, log_pi - log_mass)
        return float(prompt_sums(log_pi.exp() * gap, items).mean()) - kl

    top = kl_divergence(gibbs(reference, utility, 0.0), reference, items)
    scale = float((u.max() - u.min()).clamp_min(1e-300))
    low, high = np.log(scale) - 12, np.log(scale) + 12
    if not kl > 0 or excess(low) < 0 or excess(high) > 0:
        raise ArgumentError(f"gibbs_at_kl(kl={kl}): reachable values lie above 0 and below {top:.6g} nats")
    return gibbs(reference, utility, float(np.exp(brentq(excess, low, high, xtol=tolerance))))
