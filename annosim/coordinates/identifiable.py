"""The identifiable coordinates of a population on an item set, and their rank."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from annosim.autodiff import forward_jacobian
from annosim.coordinates.observed import Observed, observed, share_coordinates
from annosim.coordinates.questions import depends_on_level
from annosim.items import Items
from annosim.parameters import behaves_as
from annosim.populations.annotator import Annotator
from annosim.populations.base import Component, Population
from annosim.populations.random_tastes import RandomTastes
from annosim.utilities.densities import LogDensity
from annosim.utilities.tabular import Tabular

__all__ = ["RANK_TOLERANCE", "Coordinates", "Decomposition", "decompose", "identifiable_coordinates", "in_float64"]
__all__ += ["free_table", "is_signal", "num_identifiable", "refined"]

#: singular values below this fraction of the largest, after columns are brought to length one, count as zero
RANK_TOLERANCE = 1e-10
#: a direction counts when a finer rule of integration changes what it moves by no more than this share
CHANGE = 0.5
#: a column whose centred part is below this fraction of the whole is rounding
ROUNDING = 1e-12


def in_float64(population: Population) -> Population:
    """A float64 copy: float32 weights would blur ranks at 1e-8."""
    return copy.deepcopy(population).double()


@dataclass(frozen=True, eq=False)
class Decomposition:
    """Rank of the coordinates' Jacobian; every field may have a leading axis of populations.

    Attributes:
        rank: how many numbers answers could tell.
        basis: ``(P, P)`` columns are directions of the parameters that move the coordinates by orthonormal amounts,
            best known first, zeros beyond the rank.
        null: ``(P, P)`` rows are directions that move none, zeros where there are fewer.
    """

    rank: torch.Tensor
    basis: torch.Tensor
    null: torch.Tensor


def decompose(jacobian: torch.Tensor, finer: torch.Tensor | None = None) -> Decomposition:
    """The one rank rule, of ``(..., 2 N, P)``: ``N`` rows of the coordinates, and the same ones before centring.

    Columns are brought to length one first, so that the units of parameters and features do not matter; a column of
    which centring leaves nothing but rounding is zero.

    Args:
        jacobian: of the coordinates.
        finer: the same by a finer rule of integration; a direction counts where the two agree (:func:`is_signal`).

    Example:
        >>> level_and_gap = torch.tensor([[0.0, 1e9], [0.0, -1e9], [1.0, 1e9], [1.0, -1e9]], dtype=torch.float64)
        >>> int(decompose(level_and_gap).rank)
        1
    """
    half, size = jacobian.shape[-2] // 2, jacobian.shape[-1]
    kept, whole = jacobian[..., :half, :], jacobian[..., half:, :]
    length = kept.norm(dim=-2)
    live = length > ROUNDING * whole.norm(dim=-2)
    unit = torch.where(live, 1 / torch.where(live, length, 1.0), 1.0)
    scaled = torch.where(live.unsqueeze(-2), kept, 0.0) * unit.unsqueeze(-2)
    if half > size:
        scaled = torch.linalg.qr(scaled, mode="r")[1]
    elif half < size:
        scaled = torch.cat([scaled, scaled.new_zeros(*scaled.shape[:-2], size - half, size)], -2)
    _, s, vt = torch.linalg.svd(scaled, full_matrices=False)
    counts = is_signal(s, None if finer is None else (finer[..., :half, :] * unit.unsqueeze(-2) @ vt.mT).norm(dim=-2))
    inverse = torch.where(counts, 1 / torch.where(counts, s, 1.0), 0.0)
    basis = unit.unsqueeze(-1) * vt.mT * inverse.unsqueeze(-2)
    null = torch.where(counts.unsqueeze(-1), 0.0, vt * unit.unsqueeze(-2))
    return Decomposition(counts.sum(-1), basis, null)


def is_signal(values: torch.Tensor, finer: torch.Tensor | None = None) -> torch.Tensor:
    """Which singular values ``(..., n)``, descending, are not zero: above :data:`RANK_TOLERANCE` of the largest.

    Where a matrix is computed by integration, ``finer`` holds its length along the same right singular vectors by a
    finer rule: what changes by more than :data:`CHANGE` is the error of the rule.
    """
    counts = (values > RANK_TOLERANCE * values[..., :1]) & (values > 0)
    if finer is not None:
        counts = counts & ((finer - values).abs() <= CHANGE * values)
    return counts.long().cumprod(-1).bool()  # nothing counts behind the first that does not


def refined(population: Population) -> Population | None:
    """The same population with finer averages over tastes, where these are computed by product rules; else ``None``.

    Sobol points are taken as they are: their error is far larger than what one wants to see.
    """
    if not any(isinstance(part, RandomTastes) and part.quadrature != "sobol" for part in population.modules()):
        return None
    other = copy.deepcopy(population)
    for part in other.modules():
        if isinstance(part, RandomTastes) and part.quadrature != "sobol":
            part.points += max(part.points // 2, 1)
    return other


@dataclass(frozen=True, eq=False)
class Coordinates:
    """The identifiable coordinates of a population's structure on an item set, and their rank at one population.

    Attributes:
        items: the item set.
        jacobian: ``(N, P)`` of the coordinates at the population.
        basis: ``(P, r)``: parameter directions that move the coordinates by orthonormal amounts.
        null: ``(P - r, P)``: directions that no answers can tell.

    Example:
        >>> import annosim as an
        >>> found = identifiable_coordinates(an.Annotator(an.Tabular(3), an.Luce()), an.Items(n=3))
        >>> found.basis.shape, (found.null / found.null[0, 0]).round(decimals=9).tolist()
        (torch.Size([3, 2]), [[1.0, 1.0, 1.0]])
    """

    items: Items
    jacobian: torch.Tensor
    basis: torch.Tensor
    null: torch.Tensor
    components: tuple[Observed, ...] = field(repr=False)

    @property
    def num_parameters(self) -> int:
        """How many numbers answers could tell."""
        return int(self.basis.shape[1])

    def values(self, population: Population, vector: torch.Tensor | None = None) -> torch.Tensor:
        """The coordinates ``(N,)`` of a population of this structure, differentiable in ``vector``."""
        both = self.with_scale(population, population.vector() if vector is None else vector)
        return both[: len(both) // 2]

    def with_scale(self, population: Population, vector: torch.Tensor) -> torch.Tensor:
        """The coordinates and behind them the same numbers before centring, ``(2 N,)``: see :func:`decompose`."""
        return population.functional_call(vector, lambda p: _stacked(p, self.items, self.components))


def _stacked(population: Population, items: Items, components: Sequence[Observed]) -> torch.Tensor:
    pairs = [part.of(component, items) for part, component in zip(components, population.components(), strict=True)]
    share = share_coordinates(population)
    return torch.cat([*(kept for kept, _ in pairs), share, *(whole for _, whole in pairs), share])


def identifiable_coordinates(population: Population, items: Items) -> Coordinates:
    """The coordinates of ``population`` and their rank.

    Example:
        >>> import annosim as an
        >>> identifiable_coordinates(an.Annotator(an.Tabular(4), an.Luce()), an.Items(n=4)).num_parameters
        3
        >>> lapsing = an.Annotator(an.Tabular(4), an.Lapse(an.Luce(temperature=an.free(1.0)), rate=an.free(0.1)))
        >>> identifiable_coordinates(lapsing, an.Items(n=4)).num_parameters  # the scale of a table is no number of its own
        4
    """
    population = in_float64(population)
    components = tuple(observed(component, items) for component in population.components())
    jacobian = _jacobian(population, items, components)
    by_nodes = any(part.probes is not None and not part.normal for part in components)
    finer = refined(population) if by_nodes else None  # moments of normal tastes are exact
    found = decompose(jacobian, None if finer is None else _jacobian(finer, items, components))
    rank, half = int(found.rank), len(jacobian) // 2
    return Coordinates(items, jacobian[:half], found.basis[:, :rank], found.null[rank:], components)


def _jacobian(population: Population, items: Items, components: Sequence[Observed]) -> torch.Tensor:
    v = population.vector()

    def function(x: torch.Tensor) -> torch.Tensor:
        return population.functional_call(x, lambda p: _stacked(p, items, components))

    if len(v) > 200:  # many weights of a network, few items
        with torch.no_grad():
            rows = len(_stacked(population, items, components))
        if rows < len(v):
            return torch.func.jacrev(function, chunk_size=256)(v).detach()
    return forward_jacobian(function, v).detach()


def num_identifiable(population: Population, items: Items) -> int:
    """How many numbers answers could tell of a population: the rank of :func:`identifiable_coordinates`.

    Components that share no free number are counted one by one, and a table by its length, so that many items take no
    time.

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular(5000), an.Luce()) for _ in range(2)])
        >>> num_identifiable(two, an.Items(n=5000))
        9999
    """
    components = population.components()
    own = [{id(p) for p in component.parameters() if p.requires_grad} for component in components]
    inside = set().union(*own)
    if sum(map(len, own)) != len(inside):
        return identifiable_coordinates(population, items).num_parameters
    counts = [_count_component(component, items) for component in components]
    outside = [p for p in population.parameters() if p.requires_grad and id(p) not in inside]
    return sum(counts) + (_count_shares(population, inside) if outside else 0)


def _count_component(component: Component, items: Items) -> int:
    if not component.num_free():
        return 0
    table = _count_table(component, items)
    return identifiable_coordinates(component, items).num_parameters if table is None else table


def _count_table(component: Component, items: Items) -> int | None:
    """One free table, read item by item, with nothing else free: its items, less one for each free level."""
    if not isinstance(component, Annotator) or component.rule.num_free():
        return None
    if free_table(component) is None or component.num_free() != items.n or not _reads_item_by_item(component, items):
        return None
    if isinstance(component.utility, LogDensity):
        return items.n - items.num_prompts
    return items.n - (0 if depends_on_level(component.rule, items) else items.num_prompts)


def free_table(one: Annotator) -> Tabular | None:
    """The table of free numbers that is an annotator's utility, or the energy of its density; ``None`` without one."""
    table = one.utility.energy if isinstance(one.utility, LogDensity) else one.utility
    return table if isinstance(table, Tabular) and behaves_as(table, Tabular) and table.values.requires_grad else None


def _reads_item_by_item(one: Annotator, items: Items) -> bool:
    """Whether each item's index moves with its own utility and with no other's.

    Items are told apart by the digits of their numbers: raising all those with one digit must move exactly these.
    """
    base = torch.linspace(-1.0, 1.0, items.n, dtype=torch.float64)
    number = torch.arange(items.n)
    with torch.no_grad():
        before = one.rule.index(base, items)
        for bit in range(max(1, math.ceil(math.log2(max(items.n, 2))))):
            for value in (0, 1):
                raised = (number >> bit) % 2 == value
                moved = one.rule.index(base + raised, items) != before
                if not torch.equal(moved, raised):
                    return False
    return True


def _count_shares(population: Population, inside: set[int]) -> int:
    """Rank of the shares in the numbers that belong to no component."""
    population_ = in_float64(population)
    names = [name for name, p in population.named_parameters() if p.requires_grad and id(p) not in inside]
    values = dict(population_.named_parameters())
    v = torch.cat([values[name].detach().reshape(-1) for name in names])
    fixed = population_.vector()
    place = {name: at for name, at in _places(population_)}
    at = torch.cat([torch.arange(place[name].start, place[name].stop) for name in names])
    function = lambda x: population_.functional_call(fixed.index_copy(0, at, x), share_coordinates)  # noqa: E731
    jacobian = forward_jacobian(function, v).detach()
    return int(decompose(torch.cat([jacobian, jacobian])).rank)


def _places(population: Population) -> list[tuple[str, slice]]:
    out, start = [], 0
    for name, p in population.named_parameters():
        if p.requires_grad:
            out.append((name, slice(start, start + p.numel())))
            start += p.numel()
    return out
