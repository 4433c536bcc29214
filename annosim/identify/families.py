"""Other families than the population's own: K types, and any distribution of tastes on a grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import linprog
from scipy.sparse import csr_matrix

from annosim.designs import Design
from annosim.errors import ArgumentError
from annosim.information import (
    Frame,
    double,
    factors,
    listed_law,
    prepare,
    symmetric_law,
    symmetric_size,
    vectors,
)
from annosim.items import Items
from annosim.parameters import Model, fixed
from annosim.populations import Annotator, Component, Mixture, Population
from annosim.utilities import Linear, Tabular

__all__ = ["AnyTastes", "Bounds", "Types", "any_tastes", "bounds", "taste_distance", "types"]


@dataclass(frozen=True)
class Types:
    """Populations of K hidden types (see :func:`types`)."""

    count: int


@dataclass(frozen=True, eq=False)
class AnyTastes:
    """Any distribution of tastes on a grid (see :func:`any_tastes`)."""

    grid: torch.Tensor
    tabular: bool = False


def types(count: int) -> Types:
    """Populations of ``count`` types, each with the utility and rule of the population's first type.

    Example:
        >>> types(3).count
        3
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ArgumentError(f"types({count!r}): a whole number of at least 1")
    return Types(count)


def any_tastes(grid: Any, *, tabular: bool = False) -> AnyTastes:
    """Any distribution over the tastes ``grid``: ``(G,)`` or ``(G, d)`` weights of a linear utility.

    Args:
        grid: the tastes; the population's own are added, so that it is a member itself.
        tabular: the grid holds utilities of the items ``(G, n)`` instead.

    Example:
        >>> any_tastes(torch.linspace(-3, 3, 61)).grid.shape
        torch.Size([61, 1])
    """
    grid = torch.as_tensor(np.asarray(grid), dtype=torch.float64)
    grid = grid[:, None] if grid.ndim == 1 else grid
    if grid.ndim != 2 or not len(grid) or not bool(torch.isfinite(grid).all()):
        raise ArgumentError("any_tastes(grid=): a finite array of shape (G,) or (G, d)")
    return AnyTastes(grid, tabular)


class _OnGrid(Population):
    """All tastes of a grid at once, one component each."""

    def __init__(self, rule: Any, index: torch.Tensor):
        Model.__init__(self)
        self.rule = rule
        self.index = index

    def leaves(self):
        return [self]

    def components(self, items: Items):
        share = torch.full((len(self.index),), 1 / len(self.index), dtype=torch.float64)
        return [Component(self.rule, self.index, share, 0)]


@dataclass(frozen=True, eq=False)
class Bounds:
    """Bounds of a functional over all distributions of tastes with the same law.

    Attributes:
        low, high: the bounds.
        value: at the population.
        lowest, highest: distributions that attain them.
        misfit: largest difference of the law's coordinates that the program allowed.
    """

    low: float
    high: float
    value: float
    lowest: Mixture
    highest: Mixture
    misfit: float


class TasteProgram:
    """The linear program ``{F >= 0 on the grid: law(F) = law(population)}``.

    The law's coordinates are an orthonormal basis of the span of the tastes' laws (directions below 1e-11 of the
    largest
    are left out: they are beyond float64, and leaving them out can only widen the bounds).
    """

    def __init__(self, population: Population, design: Design, family: AnyTastes, seed: int = 0):
        self.items = design.items
        population = double(population)
        self.rule = population.leaves()[0].rule
        own = torch.cat([c.index.double() for c in population.components(self.items)]).detach()
        self.own_weight = torch.cat([c.weight for c in population.components(self.items)]).detach().double()
        self.family = family
        index = torch.stack([self.rule.index(self._utility(g)(self.items), self.items) for g in family.grid]).detach()
        self.index = torch.cat([index.double(), own])
        self.tastes = len(family.grid)
        tabular = family.tabular
        types_ = [self.annotator(g, tabular) for g in family.grid[:1]]
        frame = prepare(Mixture([population, *types_]), design, seed=seed, limit=6e7 / len(self.index) * 4)
        self.frame, self.exact = frame, frame.exact
        self.matrix, self.target = self._rows(frame)

    def _utility(self, taste: torch.Tensor):
        return Tabular(taste.numpy()) if self.family.tabular else Linear(taste.numpy())

    def annotator(self, taste: torch.Tensor, tabular: bool = False) -> Annotator:
        """One grid point as an annotator."""
        return Annotator(self._utility(taste), self.rule)

    def _rows(self, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
        on_grid = _OnGrid(self.rule, self.index)
        with torch.no_grad():
            _, table = factors(on_grid, frame)
            if frame.blocks is not None:
                one = torch.ones(1, dtype=torch.float64)
                columns = torch.stack([listed_law(one, table[:, :, c : c + 1], frame) for c in range(len(self.index))])
            else:
                f = vectors(table, frame)
                if f.shape[0] < f.shape[1]:
                    f = torch.linalg.qr(f.T, mode="r")[1].T
                q = frame.questions
                if q > 1:  # the span of the tastes' laws, in a basis of decreasing size
                    u, s, vt = torch.linalg.svd(f, full_matrices=False)
                    r = int((s > 1e-9 * s[0]).sum())
                    while r > 2 and symmetric_size(r, q) > 4000:
                        r -= 1
                    f = u[:, :r] * s[:r]
                one = torch.ones(len(f), 1, dtype=torch.float64)
                columns = torch.stack([symmetric_law(o, row[None], q) for o, row in zip(one, f, strict=True)])
            u, s, vt = torch.linalg.svd(columns.T, full_matrices=False)
            keep = s > 1e-11 * s[0]
            # rows scaled so that each coordinate has a largest entry of one: the solver's tolerance is absolute
            rows = vt[keep]
            scale = rows.abs().amax(-1, keepdim=True)
            rows = rows / scale
            own = torch.zeros(len(self.index), dtype=torch.float64)
            own[self.tastes :] = self.own_weight
        return rows.numpy(), (rows @ own).numpy()

    def bounds(self, function: Callable[[Population, Items], torch.Tensor]) -> Bounds:
        """Smallest and largest value of a functional that is linear in the distribution of tastes."""
        cost = self._costs(function)
        value = float(cost[self.tastes :] @ self.own_weight.numpy())
        ends = [self._solve(sign * cost) for sign in (1.0, -1.0)]
        low, high = float(cost @ ends[0]), float(cost @ ends[1])
        misfit = max(float(np.abs(self.matrix @ x - self.target).max()) for x in ends)
        lowest, highest = (self.distribution(x) for x in ends)
        return Bounds(min(low, value), max(high, value), value, lowest, highest, misfit)

    def _costs(self, function) -> np.ndarray:
        with torch.no_grad():
            out = []
            for row in self.index:
                one = _OnGrid(self.rule, row[None])
                out.append(float(torch.as_tensor(function(one, self.items)).reshape(-1)[0]))
        return np.array(out)

    def _solve(self, cost: np.ndarray) -> np.ndarray:
        size = float(np.abs(cost).max()) or 1.0
        found = linprog(
            cost / size, A_eq=csr_matrix(self.matrix), b_eq=self.target, bounds=(0, None), method="highs",
            options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
        )  # fmt: skip
        if found.x is None:
            raise ArgumentError(
                f"any_tastes: the linear program failed ({found.message.split('.')[0]}); use another grid"
            )
        return np.maximum(found.x, 0)

    def distribution(self, share: np.ndarray) -> Mixture:
        """A solution as a population, atoms of weight below 1e-9 left out."""
        keep = np.flatnonzero(share > 1e-9)
        members: list[Population] = []
        for i in keep:
            if i < self.tastes:
                members.append(self.annotator(self.family.grid[i]))
            else:  # an atom of the population itself, as a table of its index
                members.append(_from_index(self.rule, self.index[i], self.items))
        weight = share[keep] / share[keep].sum()
        return Mixture(members, weights=fixed(weight)).frozen()


def _from_index(rule, index: torch.Tensor, items: Items) -> Population:
    """An annotator with a given index: exact for rules whose index is an affine function of the utility."""
    zero = rule.index(torch.zeros(items.n, dtype=torch.float64), items)
    one = rule.index(torch.ones(items.n, dtype=torch.float64), items)
    return Annotator(Tabular(((index - zero) / (one - zero)).detach().numpy()), rule)


def bounds(
    population: Population, design: Design, grid: Any, functional: Callable[[Population, Items], torch.Tensor]
) -> Bounds:
    """Sharp bounds (on the grid) of a functional over all distributions of tastes with the population's law.

    Example:
        >>> import annosim as an
        >>> from annosim.identify.functionals import share_preferring
        >>> half = an.Mixture([an.Annotator(an.Linear([s]), an.Luce()) for s in (1., -1.)])
        >>> items = an.Items(features=[[0.], [1.]])
        >>> found = bounds(half, an.Design(items, menu_size=2), torch.linspace(-2, 2, 9), share_preferring(1, 0))
        >>> found.low < .25 and found.high > .75
        True
    """
    family = grid if isinstance(grid, AnyTastes) else any_tastes(grid)
    return TasteProgram(population, design, family).bounds(functional)


def taste_distance(first: Population, second: Population, items: Items) -> float:
    """Optimal-transport distance (root mean square over items) of the distributions of centred indices.

    Zero iff the two are the same distribution of tastes, however the types are named, split or merged.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular([0., 1.]), an.Luce())
        >>> taste_distance(one, an.Mixture([one, one]), an.Items(n=2))
        0.0
    """
    from annosim.identify.functionals import _index

    with torch.no_grad():
        a, wa = _index(double(first), items)
        b, wb = _index(double(second), items)
        cost = (a[:, None] - b[None]).square().mean(-1).numpy()
    n, m = cost.shape
    rows = np.zeros((n + m, n * m))
    for i in range(n):
        rows[i, i * m : (i + 1) * m] = 1
    for j in range(m):
        rows[n + j, j::m] = 1
    target = np.concatenate([wa.numpy(), wb.numpy() / wb.sum().item() * wa.sum().item()])
    found = linprog(cost.ravel(), A_eq=rows, b_eq=target, bounds=(0, None), method="highs")
    return float(np.sqrt(max(found.fun, 0.0)))


def as_types(population: Population, family: Types) -> Mixture:
    """The population written as a member of the K-type family: its heaviest type is split when K is larger.

    Raises:
        ArgumentError: the population has more types than K, or its types are not alike.
    """
    leaves = population.leaves()
    if any(not isinstance(leaf, Annotator) for leaf in leaves):
        raise ArgumentError("among=types(K): the population's types must be annotators; use any_tastes(grid)")
    if len(leaves) > family.count:
        raise ArgumentError(
            f"among=types({family.count}): the population has {len(leaves)} types; ask for at least these"
        )
    weight = population.leaf_weights().detach().double().tolist()
    members = list(leaves)
    while len(members) < family.count:
        heavy = int(np.argmax(weight))
        weight[heavy] /= 2
        members.append(members[heavy])
        weight.append(weight[heavy])
    import copy

    return Mixture([copy.deepcopy(m) for m in members], weights=weight)
