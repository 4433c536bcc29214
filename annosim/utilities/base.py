"""Utilities: what one wants. A utility is a torch module that maps the whole item set to ``n`` numbers.

``u(items) -> (n,)``; it is then indexed by menu, so a network makes one pass over the items, never one per pair. A
**density** is a utility whose numbers are log densities: it has ``log_prob(items)`` and ``sample`` too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.parameters import Model, check_value, fixed
from annosim.random import torch_generator, uniform53

__all__ = ["DensityMixture", "IdealPoint", "Linear", "LogDensity", "Network", "Tabular", "Utility", "truncated_normal"]


class Utility(Model):
    """Base of every utility: ``forward(items) -> (n,)``.

    Example:
        A utility of one's own declares its numbers and maps the whole item set:

        >>> class Threshold(Utility):
        ...     def __init__(self, at):
        ...         super().__init__()
        ...         self.declare("at", at, free_by_default=True)
        ...     def forward(self, items):
        ...         return (items.features[:, 0] > self.at).double()
        >>> Threshold(0.5)(Items(features=[[0.0], [1.0]])).tolist()
        [0.0, 1.0]
    """

    #: True when the utility also needs the context of the question (``data.prompt``).
    takes_context: bool = False

    def forward(self, items: Items) -> torch.Tensor:  # pragma: no cover - interface
        """Utilities of all items, ``(n,)``."""
        raise TypeError(f"{type(self).__name__} must define forward(items) -> (n,)")


class Tabular(Utility):
    """One free number per item.

    Args:
        values: their number ``n`` (values start at 0), or the ``n`` values; ``fixed(values)`` when known.

    Raises:
        ArgumentError: a value is NaN or infinite, or the item set has another size.

    Example:
        >>> Tabular([0.0, 1.0])(Items(n=2)).tolist()
        [0.0, 1.0]
    """

    def __init__(self, values: Any):
        super().__init__()
        if isinstance(values, int | np.integer) and not isinstance(values, bool):
            if values < 1:
                raise ArgumentError(f"Tabular({values}): needs at least one item")
            values = np.zeros(int(values))
        self.declare("values", values, free_by_default=True)
        if self.values.ndim != 1:
            raise ArgumentError(f"Tabular(values=): shape {tuple(self.values.shape)}, expected (n,)")

    def forward(self, items: Items) -> torch.Tensor:
        """The values, ``(n,)``."""
        if items.n != self.values.shape[-1]:
            raise ArgumentError(f"Tabular has {self.values.shape[-1]} values but there are {items.n} items")
        return self.values


class Linear(Utility):
    """``u(x) = x' w``.

    Args:
        weights: ``(dim,)`` values, or their number (then zeros).

    Example:
        >>> Linear([1.0, 2.0])(Items(features=[[1.0, 1.0], [0.0, 3.0]])).tolist()
        [3.0, 6.0]
    """

    def __init__(self, weights: Any):
        super().__init__()
        if isinstance(weights, int | np.integer) and not isinstance(weights, bool):
            weights = np.zeros(int(weights))
        self.declare("weights", weights, free_by_default=True)

    def forward(self, items: Items) -> torch.Tensor:
        """Inner products with the features, ``(n,)``."""
        return _features(self, items, self.weights.shape[-1]) @ self.weights


class ZeroUtility(Utility):
    """Wants nothing: zero for every item, no parameters. The utility of spammers.

    Example:
        >>> ZeroUtility()(Items(n=2)).tolist()
        [0.0, 0.0]
    """

    def forward(self, items: Items) -> torch.Tensor:
        """Zeros, ``(n,)``."""
        return torch.zeros(items.n, dtype=torch.float64, device=items.weights.device)


class IdealPoint(Utility):
    """``u(x) = -scale * ||x - point||^2``: one likes best what is nearest to one's ideal (Coombs unfolding).

    Args:
        point: ``(dim,)``.
        scale: positive number, fixed unless written ``free(start)``.

    Example:
        >>> IdealPoint([0.0])(Items(features=[[0.0], [2.0]])).tolist()
        [0.0, -4.0]
    """

    def __init__(self, point: Any, scale: Any = 1.0):
        super().__init__()
        self.declare("point", point, free_by_default=True)
        self.declare("scale", scale, "positive")

    def forward(self, items: Items) -> torch.Tensor:
        """Negative scaled squared distances, ``(n,)``."""
        x = _features(self, items, self.point.shape[-1])
        return 0.0 - self.scale * ((x - self.point) ** 2).sum(-1)


class Network(Utility):
    """A neural network from item features to a number.

    Args:
        module: any ``torch.nn.Module`` that maps ``(n, dim)`` to ``(n, 1)`` or ``(n,)``; or the hidden widths of a tanh
            multilayer perceptron (then ``dim`` is needed). It is put into evaluation mode: a utility is one number per
            item, without dropout's draws from the global generator.
        dim: number of input features (only with widths).
        seed: initialisation (only with widths); torch's own default scheme, drawn at an address.
        sign: ``-1.`` for an energy network (log density = - energy).
        dtype: of the weights that are made here; float32, as networks are trained.

    Example:
        >>> Network([64, 64], dim=2, seed=0)(Items.normal(5, 2)).shape
        torch.Size([5])
    """

    def __init__(
        self,
        module: nn.Module | Sequence[int],
        dim: int | None = None,
        seed: int = 0,
        sign: float = 1.0,
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__()
        #: a perceptron reads each item by itself, so a minibatch needs only the items it shows
        self.local = not isinstance(module, nn.Module)
        if not isinstance(module, nn.Module):
            module = perceptron([check_dim("Network", dim), *check_widths("Network", module), 1], seed, dtype)
        self.module = module.eval()
        self.sign = float(sign)

    def forward(self, items: Items) -> torch.Tensor:
        """Network outputs for all items in one pass, ``(n,)``, in the weights' dtype."""
        if items.features is None:
            raise ArgumentError("Network: the items have no features; give Items(features=...)")
        first = next(self.module.parameters(), None)
        x = items.features if first is None else items.features.to(device=first.device, dtype=first.dtype)
        check_inputs("Network", self.module, x)
        out = self.module(x)
        out = out.squeeze(-1) if out.ndim == 2 else out
        if out.shape != (items.n,):
            raise ArgumentError(f"Network: output of shape {tuple(out.shape)}, expected ({items.n},) or ({items.n}, 1)")
        return self.sign * out


class LogDensity(Utility):
    """A density over items: ``log p(x) = e(x) - log sum_y exp(e(y)) weight(y)``, normalised within each prompt.

    Args:
        energy: a utility (learned with its own parameters), or a callable from features ``(n, dim)`` to log density
            ``(n,)`` (fixed). Either may be un-normalised.

    Example:
        >>> grid = Items.grid(-1.0, 1.0, 101)
        >>> p = LogDensity(lambda x: -x[:, 0] ** 2)
        >>> round(float((p.log_prob(grid).exp() * grid.weights).sum()), 12)
        1.0
    """

    def __init__(self, energy: Utility | Callable[[torch.Tensor], torch.Tensor]):
        super().__init__()
        if not callable(energy):
            raise ArgumentError(f"LogDensity({energy!r}): give a utility or a callable features -> log density")
        self.energy = energy

    def forward(self, items: Items) -> torch.Tensor:
        """Log densities with respect to ``items.weights``, ``(n,)`` float64."""
        if isinstance(self.energy, Utility):
            e = self.energy(items)
        else:
            if items.features is None:
                raise ArgumentError("LogDensity: the items have no features for the energy to read")
            e = torch.as_tensor(self.energy(items.features))
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

    def __init__(self, densities: Sequence[LogDensity], weights: Any = None):
        Utility.__init__(self)
        if len(densities) < 1:
            raise ArgumentError("DensityMixture: needs at least one density")
        self.densities = nn.ModuleList(densities)
        value = np.full(len(densities), 1 / len(densities)) if weights is None else weights
        self.declare("weights", value, "simplex", free_by_default=True)

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
    if not sd > 0:
        raise ArgumentError(f"truncated_normal(sd={sd}): must be above 0")

    return LogDensity(_TruncatedNormal(float(mean), float(sd), float(low), float(high)))


class _TruncatedNormal:  # a class, not a closure, so that densities can be pickled
    def __init__(self, mean: float, sd: float, low: float, high: float):
        self.mean, self.sd, self.low, self.high = mean, sd, low, high

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        inside = (x[:, 0] >= self.low) & (x[:, 0] <= self.high)
        return torch.where(inside, -0.5 * ((x[:, 0] - self.mean) / self.sd) ** 2, -torch.inf)


def numbers_of(utility: nn.Module, u: torch.Tensor, n: int) -> torch.Tensor:
    """The values of a utility, ``(n,)``; a column ``(n, 1)`` counts as that.

    Raises:
        ArgumentError: it gave anything else (several outputs, too many numbers): read row by row that would be garbage.

    Example:
        >>> numbers_of(nn.Linear(1, 1), torch.zeros(3, 1), 3).shape
        torch.Size([3])
    """
    if not isinstance(u, torch.Tensor):
        raise ArgumentError(
            f"{type(utility).__name__} gave {type(u).__name__}; a utility is a tensor, a number an item"
        )
    if u.shape == (n,):
        return u
    if u.shape == (n, 1):
        return u[:, 0]
    several = "; pick one of its outputs, utility.column(0)" if u.ndim == 2 and u.shape[0] == n else ""
    raise ArgumentError(
        f"{type(utility).__name__} gave numbers of shape {tuple(u.shape)} for {n} items; a utility is one number an "
        f"item, ({n},){several}"
    )


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


def _features(utility: Utility, items: Items, dim: int) -> torch.Tensor:
    name = type(utility).__name__
    if items.features is None:
        raise ArgumentError(f"{name}: the items have no features; give Items(features=...) or use Tabular")
    if items.dim != dim:
        raise ArgumentError(f"{name} has {dim} weights but the items have {items.dim} features; make them equally many")
    return items.features


def perceptron(widths: Sequence[int], seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """A tanh multilayer perceptron, initialised as torch does but from an address.

    Example:
        >>> perceptron([2, 8, 3])(torch.zeros(5, 2)).shape
        torch.Size([5, 3])
    """
    if any(isinstance(width, bool) or not isinstance(width, int | np.integer) or width < 1 for width in widths):
        raise ArgumentError(f"the widths of a perceptron are whole numbers of at least 1, not {list(widths)}")
    generator = torch_generator(seed, "network")
    layers: list[nn.Module] = []
    for i, (fan_in, fan_out) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
        # skip_init: torch's own initialisation would read the global generator
        layer = torch.nn.utils.skip_init(nn.Linear, fan_in, fan_out, dtype=dtype)
        with torch.no_grad():
            for p in layer.parameters():
                p.copy_((2 * torch.rand(p.shape, generator=generator, dtype=dtype) - 1) / fan_in**0.5)
        layers += [layer] + ([nn.Tanh()] if i < len(widths) - 2 else [])
    return nn.Sequential(*layers)


def check_widths(who: str, widths: Any) -> Sequence[int]:
    """The hidden widths of a perceptron, a list.

    Raises:
        ArgumentError: it is something else, such as one number.
    """
    if isinstance(widths, int | np.integer) and not isinstance(widths, bool):
        raise ArgumentError(f"{who}({widths}, ...): the hidden widths are a list; for one layer give [{widths}]")
    if isinstance(widths, str) or not isinstance(widths, Iterable):
        raise ArgumentError(f"{who}({type(widths).__name__}): give a module, or hidden widths such as [64, 64]")
    return list(widths)


def check_dim(who: str, dim: Any) -> int:
    """The number of input features of a perceptron.

    Raises:
        ArgumentError: it is missing or no whole number.
    """
    if isinstance(dim, bool) or not isinstance(dim, int | np.integer) or dim < 1:
        raise ArgumentError(f"{who}(widths, dim={dim!r}): give the number of input features")
    return int(dim)


def check_inputs(who: str, module: nn.Module, x: torch.Tensor) -> None:
    """Refuse features of another number than a network's first layer reads.

    Raises:
        ArgumentError: names both numbers.
    """
    first = module[0] if isinstance(module, nn.Sequential) and len(module) else module
    if isinstance(first, nn.Linear) and x.shape[-1] != first.in_features:
        raise ArgumentError(
            f"{who}: the items have {x.shape[-1]} features and the network reads {first.in_features}; build it with "
            f"dim={x.shape[-1]}"
        )


def as_log_density(value: Any, items: Items) -> torch.Tensor:
    """Log density ``(n,)`` of a density or of its vector of densities with respect to ``items.weights``.

    Raises:
        ArgumentError: the vector has the wrong length, a negative entry, or does not integrate to one in a prompt.
    """
    if isinstance(value, LogDensity):
        return value(items).detach().double()
    if callable(getattr(value, "log_prob", None)):
        return torch.as_tensor(value.log_prob(items)).detach().double()
    value = value.value if isinstance(value, fixed) else value
    vector = check_value("a density or its vector", value, "nonnegative").to(items.weights.device)
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
