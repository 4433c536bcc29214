"""The identifiable coordinates of a population on an item set, and their rank."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.special import ndtri

from annosim.autodiff import forward_jacobian
from annosim.coordinates.questions import Question, behaviour, depends_on_level, questions_for
from annosim.items import Items
from annosim.parameters import behaves_as
from annosim.populations.annotator import Annotator
from annosim.populations.base import Component, Population
from annosim.populations.gated import Gated
from annosim.populations.random_tastes import RandomTastes
from annosim.random import uniform53
from annosim.utilities.densities import LogDensity
from annosim.utilities.tabular import Tabular

__all__ = [
    "RANK_TOLERANCE",
    "Coordinates",
    "Decomposition",
    "centred",
    "decompose",
    "identifiable_coordinates",
    "in_float64",
]
__all__ += ["covariate_rows", "free_table", "index_moments", "is_signal", "num_identifiable", "refined", "shares"]

#: singular values below this fraction of the largest, after columns are brought to length one, count as zero
RANK_TOLERANCE = 1e-10
#: a direction counts when a finer rule of integration changes what it moves by no more than this share
CHANGE = 0.5
#: a column whose centred part is below this fraction of the whole is rounding
ROUNDING = 1e-12


def centred(index: torch.Tensor, items: Items, by_prompt: bool = True) -> torch.Tensor:
    """``index (..., n)`` minus its mean within each prompt (over all items with ``by_prompt=False``).

    Example:
        >>> centred(torch.tensor([0.0, 2.0, 5.0]), Items(n=3, prompts=[0, 0, 1])).tolist()
        [-1.0, 1.0, 0.0]
    """
    if items.num_prompts == 1 or not by_prompt:
        return index - index.mean(-1, keepdim=True)
    code = items.prompt_code.to(index.device)
    count = torch.bincount(code, minlength=items.num_prompts).to(index.dtype)
    total = torch.zeros((*index.shape[:-1], items.num_prompts), dtype=index.dtype, device=index.device)
    return index - (total.index_add(-1, code, index) / count)[..., code]


def in_float64(population: Population) -> Population:
    """A float64 copy: float32 weights would blur ranks at 1e-8."""
    return copy.deepcopy(population).double()


# ---- shares of the types -----------------------------------------------------------------------------------------


def covariate_rows(population: Population) -> int:
    """Rows of covariates on which the shares of the types depend; 0 where they are the same for everybody."""
    return max((len(part.covariates) for part in population.modules() if isinstance(part, Gated)), default=0)


def shares(population: Population) -> torch.Tensor:
    """Probabilities of the components by row of covariates ``(X, L)``; one row where everybody has the same."""
    rows = covariate_rows(population)
    by_person = population.annotator_weights(np.arange(rows)) if rows else None
    return population.component_weights()[None].double() if by_person is None else by_person.double()


def _share_coordinates(population: Population) -> torch.Tensor:
    """Shares, or log ratios of shares where they depend on covariates (which saturated gates do not blur)."""
    share = shares(population)
    if not covariate_rows(population):
        return share.reshape(-1)
    log = torch.where(share > 0, share, 1.0).log()
    return (log[:, :-1] - log[:, -1:]).reshape(-1)


# ---- the distribution of the index -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Observed:
    """What is looked at of one component.

    Attributes:
        by_prompt: its answers depend on differences within prompts alone.
        questions: asked of its rule; empty where neither the level nor a free number could show.
        normal: tastes vary, and the index is linear in the normal coordinates.
        probes: ``(n, M)`` directions in which the covariance, or the distribution, is looked at; ``None`` where tastes do
            not vary.
    """

    by_prompt: bool
    questions: tuple[Question, ...]
    normal: bool = False
    probes: torch.Tensor | None = None

    def of(self, leaf: Component, items: Items) -> tuple[torch.Tensor, torch.Tensor]:
        """The coordinates, and the same numbers before anything is centred (the scale of their rounding)."""
        if self.normal:
            mean, spread = index_moments(leaf, items)
            rows, weight = mean[None] if spread is None else torch.cat([mean[None], spread.mT]), None
            level = mean.mean()
        else:
            rows, weight = _nodes(leaf, items)
            level = (weight[:, None] * rows).sum(0).mean()
        if self.by_prompt:
            kept, level = centred(rows, items), torch.zeros((), dtype=torch.float64)
        else:
            kept = torch.cat([rows[:1] - level, rows[1:]]) if self.normal else rows - level
        answers = behaviour(leaf.rule, self.questions, level)
        return (
            torch.cat([self._distribution(kept, weight), answers]),
            torch.cat([self._distribution(rows, weight), answers]),
        )

    def _distribution(self, rows: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        """The index; or mean and covariance; or means of smooth bounded functions that tell any two distributions apart."""
        if self.probes is None:
            return rows[0]
        if weight is None:
            return torch.cat([rows[0], (rows[1:].mT @ (rows[1:] @ self.probes)).reshape(-1)])
        shift = torch.linspace(-2.0, 2.0, self.probes.shape[1], dtype=torch.float64)
        return torch.cat([weight @ torch.tanh(rows @ self.probes), weight @ torch.tanh(rows @ self.probes + shift)])


def _observed(leaf: Component, items: Items) -> _Observed:
    questions = () if leaf.rule.follows_luce else questions_for(leaf.rule, items)
    by_level = depends_on_level(leaf.rule, items, questions)
    kept = questions if by_level or leaf.rule.num_free() else ()
    with torch.no_grad():
        mean, spread = index_moments(leaf, items)
    if spread is None:
        return _Observed(not by_level, kept)
    normal = isinstance(leaf, RandomTastes) and _is_normal(leaf, items)
    return _Observed(not by_level, kept, normal, _probes(leaf, items, centred(spread.mT, items), normal))


def _probes(leaf: Component, items: Items, spread: torch.Tensor, normal: bool) -> torch.Tensor:
    """Seeded directions: as many as the covariance has dimensions, or twice the free numbers at the scale of tastes."""
    count = min(items.n, len(spread) + 1) if normal else 2 * leaf.num_free() + 20
    rows = np.arange(items.n)[:, None]
    drawn = torch.as_tensor(ndtri(uniform53(0, "start", rows, np.arange(count))))
    if normal:
        return drawn
    sd = (spread @ drawn).norm(dim=0).clamp_min(1e-300)  # of the index along each direction
    return drawn / sd * torch.linspace(0.3, 3.0, count, dtype=torch.float64)


def _nodes(leaf: Component, items: Items) -> tuple[torch.Tensor, torch.Tensor]:
    index, weight = leaf.nodes(items)
    return index.double(), weight.double()


def index_moments(leaf: Component, items: Items) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Mean index ``(n,)`` and a factor ``(n, d)`` of its covariance, exact where the index is linear in normal
    coordinates and by the leaf's nodes otherwise; ``None`` where tastes do not vary."""
    if isinstance(leaf, RandomTastes) and _is_normal(leaf, items):
        z = torch.cat([torch.zeros(1, leaf.dim), torch.eye(leaf.dim)]).double()
        index = leaf.rule.index(leaf.utilities(leaf.tastes(z), items), items).double()
        return index[0], (index[1:] - index[0]).mT
    index, weight = _nodes(leaf, items)
    if len(weight) == 1:
        return index[0], None
    mean = weight @ index
    return mean, ((index - mean) * weight.sqrt()[:, None]).mT


def _is_normal(leaf: RandomTastes, items: Items) -> bool:
    """Whether the index is linear in the normal coordinates, tried at a few points."""
    points = torch.as_tensor(ndtri(uniform53(0, "analysis", np.arange(leaf.dim + 3)[:, None], np.arange(leaf.dim))))
    with torch.no_grad():
        z = torch.cat([torch.zeros(1, leaf.dim), torch.eye(leaf.dim), points]).double()
        index = leaf.rule.index(leaf.utilities(leaf.tastes(z), items), items).double()
    start, slopes, tried = index[0], index[1 : leaf.dim + 1] - index[0], index[leaf.dim + 1 :] - index[0]
    scale = slopes.abs().max() + start.abs().max()
    return bool(((tried - points @ slopes).abs() <= 1e-9 * scale).all())


# ---- rank --------------------------------------------------------------------------------------------------------


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
    components: tuple[_Observed, ...] = field(repr=False)

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


def _stacked(population: Population, items: Items, components: Sequence[_Observed]) -> torch.Tensor:
    pairs = [part.of(leaf, items) for part, leaf in zip(components, population.components(), strict=True)]
    share = _share_coordinates(population)
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
    components = tuple(_observed(leaf, items) for leaf in population.components())
    jacobian = _jacobian(population, items, components)
    by_nodes = any(part.probes is not None and not part.normal for part in components)
    finer = refined(population) if by_nodes else None  # moments of normal tastes are exact
    found = decompose(jacobian, None if finer is None else _jacobian(finer, items, components))
    rank, half = int(found.rank), len(jacobian) // 2
    return Coordinates(items, jacobian[:half], found.basis[:, :rank], found.null[rank:], components)


def _jacobian(population: Population, items: Items, components: Sequence[_Observed]) -> torch.Tensor:
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
    leaves = population.components()
    own = [{id(p) for p in leaf.parameters() if p.requires_grad} for leaf in leaves]
    inside = set().union(*own)
    if sum(map(len, own)) != len(inside):
        return identifiable_coordinates(population, items).num_parameters
    counts = [_count_leaf(leaf, items) for leaf in leaves]
    outside = [p for p in population.parameters() if p.requires_grad and id(p) not in inside]
    return sum(counts) + (_count_shares(population, inside) if outside else 0)


def _count_leaf(leaf: Component, items: Items) -> int:
    if not leaf.num_free():
        return 0
    table = _count_table(leaf, items)
    return identifiable_coordinates(leaf, items).num_parameters if table is None else table


def _count_table(leaf: Component, items: Items) -> int | None:
    """One free table, read item by item, with nothing else free: its items, less one for each free level."""
    if not isinstance(leaf, Annotator) or leaf.rule.num_free():
        return None
    if free_table(leaf) is None or leaf.num_free() != items.n or not _reads_item_by_item(leaf, items):
        return None
    if isinstance(leaf.utility, LogDensity):
        return items.n - items.num_prompts
    return items.n - (0 if depends_on_level(leaf.rule, items) else items.num_prompts)


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
    function = lambda x: population_.functional_call(fixed.index_copy(0, at, x), _share_coordinates)  # noqa: E731
    jacobian = forward_jacobian(function, v).detach()
    return int(decompose(torch.cat([jacobian, jacobian])).rank)


def _places(population: Population) -> list[tuple[str, slice]]:
    out, start = [], 0
    for name, p in population.named_parameters():
        if p.requires_grad:
            out.append((name, slice(start, start + p.numel())))
            start += p.numel()
    return out
