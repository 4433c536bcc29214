"""Densities over items: utilities whose numbers are log densities, normalised within each prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from annosim.arrays import Numbers
from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.parameters import Fixed, ParameterLike, check_number, check_value, unmarked
from annosim.random import uniform53
from annosim.utilities.base import Density, Utility

__all__ = ["DensityMixture", "LogDensity", "truncated_normal"]


class LogDensity(Utility):
    """A density over items: ``log p(x) = e(x) - log sum_y exp(e(y)) weight(y)``, normalised within each prompt.

    Args:
        energy: a utility (learned with its own parameters), or a callable from features ``(n, dim)`` to log density
            ``(n,)`` (fixed). Either may be un-normalised.

    Attributes:
        energy: as given; ``None`` in a density that needs no normalising (:class:`DensityMixture`).

    Example:
        >>> grid = Items.grid(-1.0, 1.0, 101)
        >>> p = LogDensity(lambda x: -x[:, 0] ** 2)
        >>> round(float((p.log_prob(grid).exp() * grid.weights).sum()), 12)
        1.0
    """

    energy: Utility | Callable[[torch.Tensor], torch.Tensor] | None

    def __init__(self, energy: Utility | Callable[[torch.Tensor], torch.Tensor]):
        super().__init__()
        if not callable(energy):
            raise ArgumentError(f"LogDensity({energy!r}): give a utility or a callable features -> log density")
        self.energy = energy

    def forward(self, items: Items) -> torch.Tensor:
        """Log densities with respect to ``items.weights``, ``(n,)`` float64."""
        if isinstance(self.energy, Utility):
            e = self.energy(items)
        elif self.energy is not None and items.features is not None:
            e = torch.as_tensor(self.energy(items.features))
        else:
            raise ArgumentError("LogDensity: the items have no features for the energy to read")
        if e.shape[-1] != items.n:
            raise ArgumentError(f"LogDensity: the energy gave shape {tuple(e.shape)}, expected ({items.n},)")
        return normalise(e, items)

    def log_prob(self, items: Items) -> torch.Tensor:
        """Same as calling the density: log density of each item, ``(n,)``."""
        return self(items)

    def mass(self, items: Items) -> torch.Tensor:
        """Probability of each item, density x weight; sums to one within each prompt, ``(n,)``."""
        return (self(items) + items.log_weights).exp()

    def sample(self, items: Items, size: int, seed: int = 0, prompt: int | None = None) -> torch.Tensor:
        """``size`` item ids drawn from the density (within one prompt when there are several), ``(size,)``."""
        ids = torch.arange(items.n) if prompt is None else items.members(prompt)
        if prompt is None and items.num_prompts > 1:
            raise ArgumentError("sample: the items have several prompts; say which with prompt=")
        mass = self.mass(items).detach()[ids].double()
        cdf = (mass / mass.sum()).cumsum(0)
        draws = torch.as_tensor(uniform53(seed, "items", np.arange(size), 0)) * cdf[-1]
        return ids[torch.searchsorted(cdf, draws).clamp_max(len(ids) - 1)]


class DensityMixture(LogDensity):
    """``log p = log sum_k w_k p_k``: one density made of several (a *density mixture*).

    Args:
        densities: the components, each a density.
        weights: their shares; uniform by default; estimated unless ``fixed(...)``.

    Example:
        >>> grid = Items.grid(-10.0, 10.0, 2001)
        >>> p = DensityMixture([truncated_normal(-2.5, .25), truncated_normal(2.5, 1.0)], [.4, .6])
        >>> round(float(p(grid).exp().max()), 4)
        0.6383
    """

    def __init__(self, densities: Sequence[LogDensity], weights: ParameterLike | None = None):
        Utility.__init__(self)
        self.energy = None  # its parts are normalised already
        if len(densities) < 1:
            raise ArgumentError("DensityMixture: needs at least one density")
        self.densities = nn.ModuleList(densities)
        value = np.full(len(densities), 1 / len(densities)) if weights is None else weights
        self.declare("weights", value, "simplex", free_by_default=True, ndim=1)
        if len(self.weights) != len(densities):
            raise ArgumentError(f"DensityMixture(weights=): {len(self.weights)} for {len(densities)} densities")

    def forward(self, items: Items) -> torch.Tensor:
        """Log of the mixture density, ``(n,)``."""
        parts = torch.stack([density(items) for density in self.densities])
        w = self.weights / self.weights.sum()
        return torch.logsumexp(parts + w.log()[:, None], 0)


def truncated_normal(mean: float, sd: float, low: float = -10.0, high: float = 10.0) -> LogDensity:
    """The normal density with ``mean`` and ``sd`` restricted to ``[low, high]``, as a fixed :class:`LogDensity`.

    Its normalisation comes from the items' own measure (for a fine grid, the trapezoid rule).

    Raises:
        ArgumentError: ``sd`` is not positive.

    Example:
        >>> truncated_normal(0.0, 5.0)(Items.grid(-10.0, 10.0, 5)).argmax().item()
        2
    """
    check_number("truncated_normal(sd=)", sd, "positive")
    numbers = {"mean": mean, "sd": sd, "low": low, "high": high}
    checked = {name: check_number(f"truncated_normal({name}=)", value, "real") for name, value in numbers.items()}
    if not checked["low"] < checked["high"]:
        raise ArgumentError(f"truncated_normal(low={low}, high={high}): low must be below high")
    return LogDensity(_TruncatedNormal(**checked))


class _TruncatedNormal:  # a class, not a closure, so that densities can be pickled
    def __init__(self, mean: float, sd: float, low: float, high: float):
        self.mean, self.sd, self.low, self.high = mean, sd, low, high

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        inside = (x[:, 0] >= self.low) & (x[:, 0] <= self.high)
        return torch.where(inside, -0.5 * ((x[:, 0] - self.mean) / self.sd) ** 2, -torch.inf)


def normalise(energy: torch.Tensor, items: Items) -> torch.Tensor:
    """``energy - logsumexp(energy + log weights)`` within each prompt, float64, ``(..., n)``."""
    e = energy.double()
    total = e + items.log_weights.to(e.device)
    if items.num_prompts == 1:
        return e - torch.logsumexp(total, -1, keepdim=True)
    log_z = segment_logsumexp(total, items.prompt_code.to(e.device), items.num_prompts)
    return e - log_z


def segment_logsumexp(x: torch.Tensor, segment: torch.Tensor, count: int | None = None) -> torch.Tensor:
    """Logsumexp over entries of equal ``segment``, given back at every entry: ``(..., n) -> (..., n)``.

    With ``count`` the segments are numbered from 0 to ``count - 1``, and nothing is looked at.

    Example:
        >>> segment_logsumexp(torch.zeros(3), torch.tensor([0, 0, 1])).exp().tolist()
        [2.0, 2.0, 1.0]
    """
    if count is None:
        _, segment = segment.unique(return_inverse=True)
        count = int(segment.max()) + 1
    index = segment.expand(x.shape)
    shape = (*x.shape[:-1], count)
    top = torch.full(shape, -torch.inf, dtype=x.dtype, device=x.device)
    top = top.scatter_reduce(-1, index, x.detach(), "amax")
    shifted = (x - top.gather(-1, index)).exp()
    total = torch.zeros(shape, dtype=x.dtype, device=x.device).scatter_add(-1, index, shifted)
    return (total.log() + top).gather(-1, index)


def as_log_density(value: Density | Numbers | Fixed, items: Items) -> torch.Tensor:
    """Log density ``(n,)`` of a density or of its vector of densities with respect to ``items.weights``.

    Raises:
        ArgumentError: the vector has the wrong length, a negative entry, or does not integrate to one in a prompt.
    """
    if isinstance(value, Density):
        return torch.as_tensor(value.log_prob(items)).detach().double()
    vector = check_value("a density or its vector", unmarked(value), "nonnegative").to(items.weights.device)
    if vector.shape != (items.n,):
        raise ArgumentError(f"density vector: shape {tuple(vector.shape)}, expected ({items.n},)")
    mass = torch.zeros(items.num_prompts, dtype=torch.float64, device=vector.device)
    mass = mass.scatter_add(0, items.prompt_code, vector * items.weights)
    if bool(((mass - 1).abs() > 1e-6).any()):
        raise ArgumentError(
            f"density vector: density x items.weights sums to {mass.tolist()} per prompt, expected 1; "
            "divide by that sum, or pass an.LogDensity(...)"
        )
    return vector.log()
