"""What could ever be known of a population: each type's index, centred per prompt, and the weights.

Everything else is a gauge. The coordinates are the same whatever parameters a model has, so ranks and distances in them
do not depend on how it is parametrised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from annosim.designs.design import Design
from annosim.information import double, forward_jacobian
from annosim.items import Items
from annosim.laws import on_menus
from annosim.parameters import Model
from annosim.populations.base import Population
from annosim.random import CounterRNG

__all__ = ["Gauge", "Knowable", "knowable", "knowable_distance"]

#: relative size below which a singular value of the coordinates' own Jacobian is a gauge
GAUGE_RULE = 1e-9


@dataclass(frozen=True, eq=False)
class Gauge:
    """Directions of the parameters that no answers can reveal.

    Attributes:
        directions: ``(G, P)`` orthonormal, as sparse as elimination makes them.
        words: one line each.
    """

    directions: torch.Tensor
    words: list[str]


@dataclass(frozen=True, eq=False)
class Knowable:
    """The coordinates of a population on an item set.

    Attributes:
        items: the item set.
        centred: one bool per leaf: its answers do not depend on the level of its index.
        extra: positions in the parameter vector of free rule numbers that the index does not contain (a lapse rate).
        jacobian: ``(coordinates, P)`` at the population.
        basis: ``(P, r)``: parameter directions that move the coordinates by orthonormal amounts.
        gauge: what is left.
    """

    items: Items
    centred: tuple[bool, ...]
    extra: tuple[int, ...]
    jacobian: torch.Tensor
    basis: torch.Tensor
    gauge: Gauge

    @property
    def num_parameters(self) -> int:
        """Rank of the coordinates' Jacobian: how many numbers could be known."""
        return self.basis.shape[1]

    def values(self, population: Population, vector: torch.Tensor | None = None) -> torch.Tensor:
        """The coordinates ``(N,)``, differentiable in ``vector``."""
        vector = population.vector() if vector is None else vector
        return (
            population.functional_call(vector, self.of)
            if not self.extra
            else torch.cat(
                [population.functional_call(vector, self.of), population.centred_vector(vector)[list(self.extra)]]
            )
        )

    def of(self, population: Population) -> torch.Tensor:
        """Index (centred per prompt) of every node of every leaf, then the leaf weights."""
        parts = []
        for component, centre in zip(population.indexed(self.items), self.centred, strict=True):
            index = component.index.double()
            parts.append((centre_per_prompt(index, self.items) if centre else index).flatten())
        return torch.cat([*parts, population.component_weights().double()])


def centre_per_prompt(index: torch.Tensor, items: Items) -> torch.Tensor:
    """``index (..., n)`` minus its mean within each prompt.

    Example:
        >>> centre_per_prompt(torch.tensor([0.0, 2.0, 5.0]), Items(n=3, prompts=[0, 0, 1])).tolist()
        [-1.0, 1.0, 0.0]
    """
    _, code = items.prompts.unique(return_inverse=True)
    member = torch.nn.functional.one_hot(code).to(index.dtype)
    mean = (index @ member) / member.sum(0)
    return index - mean @ member.T


def knowable(population: Population, design: Design) -> Knowable:
    """The coordinates of ``population`` and their rank; ``num_parameters`` of every report.

    Example:
        >>> import annosim as an
        >>> knowable(an.Annotator(an.Tabular(4), an.Luce()), an.Design(an.Items(n=4))).num_parameters
        3
    """
    population = double(population)
    centred = tuple(not level_matters(population, design, leaf) for leaf in range(len(population.components())))
    plain = Knowable(design.items, centred, (), torch.empty(0), torch.empty(0, 0), Gauge(torch.empty(0, 0), []))
    v = population.vector()
    jacobian = forward_jacobian(lambda x: population.functional_call(x, plain.of), v)
    extra = _outside_index(population, jacobian)
    if extra:
        jacobian = torch.cat([jacobian, forward_jacobian(population.centred_vector, v)[list(extra)]])
    _, s, vt = torch.linalg.svd(jacobian, full_matrices=True)
    top = float(s[0]) if len(s) else 0.0
    rank = int((s > GAUGE_RULE * top).sum()) if top > 0 else 0
    basis = vt[:rank].T / s[:rank]
    gauge = _describe_gauge(population, vt[rank:])
    return Knowable(design.items, centred, extra, jacobian, basis, gauge)


def _outside_index(population: Population, jacobian: torch.Tensor) -> tuple[int, ...]:
    """Free rule and habit numbers that neither an index nor a weight contains are coordinates themselves."""
    of_rules = {id(p) for leaf in population.components() for p in leaf.rule.parameters()}
    out, start = [], 0
    for p in population.parameters():
        if p.requires_grad:
            here = range(start, start + p.numel())
            if id(p) in of_rules:
                out += [i for i in here if not bool((jacobian[:, i] != 0).any())]
            start += p.numel()
    return tuple(out)


def level_matters(population: Population, design: Design, leaf: int) -> bool:
    """Whether raising all scores of a leaf alike changes its answers (ratings, an outside option)."""
    menu = design.menus[:8] if design.menus is not None else design.sample(CounterRNG(0, np.arange(8)))
    share = torch.full((len(menu),), 1 / len(menu), dtype=torch.float64)
    with torch.no_grad():
        here = on_menus(_Raised(population, leaf, 0.0), design, menu, share)
        there = on_menus(_Raised(population, leaf, 0.37), design, menu, share)
    mine = here.leaf == leaf
    return not torch.allclose(here.table.exp()[:, :, mine], there.table.exp()[:, :, mine], rtol=0, atol=1e-11)


class _Raised(Population):
    """A view of a population in which one leaf's index stands higher."""

    def __init__(self, population: Population, leaf: int, by: float):
        Model.__init__(self)
        object.__setattr__(self, "inner", population)
        self.leaf, self.by = leaf, by

    def components(self):
        return self.inner.components()

    def indexed(self, items):
        return [c._replace(index=c.index + self.by) if c.number == self.leaf else c for c in self.inner.indexed(items)]


# ---- words -------------------------------------------------------------------------------------------------------


def sparse_basis(directions: torch.Tensor) -> torch.Tensor:
    """Row-reduced basis of the rows' span ``(G, P)``, each row scaled to a largest entry of one: easy to read."""
    rows = directions.detach().clone().double()
    g, p = rows.shape
    done: list[int] = []
    for r in range(g):
        left = rows[r:].abs().clone()
        left[:, done] = -1.0
        flat = int(left.argmax())
        i, j = r + flat // p, flat % p
        rows[[r, i]] = rows[[i, r]]
        rows[r] = rows[r] / rows[r, j]
        for k in range(g):
            if k != r:
                rows[k] = rows[k] - rows[k, j] * rows[r]
        done.append(j)
    top = rows.abs().amax(-1, keepdim=True)
    rows = rows / torch.where(top > 0, top, torch.ones_like(top))
    return torch.where(rows.abs() < 1e-9, torch.zeros_like(rows), rows)


def in_words(population: Population, direction: torch.Tensor, most: int = 8) -> str:
    """A direction ``(P,)`` in the user's parameter names: ``"raise a[0] by 1; lower a[1] by 0.5"``."""
    names = population.parameter_names()
    direction = direction.detach()
    direction = direction / direction.abs().max()
    blocks = _constant_blocks(population, direction)
    if blocks:
        return "; ".join(
            f"{'raise' if value > 0 else 'lower'} all of {name} by {abs(value):.3g}" for name, value in blocks
        )
    largest = direction.abs().argsort(descending=True, stable=True)
    order = [int(i) for i in largest if abs(float(direction[i])) > 1e-6]
    parts = [
        f"{'raise' if direction[i] > 0 else 'lower'} {names[i]} by {abs(float(direction[i])):.3g}" for i in order[:most]
    ]
    return "; ".join(parts) + (f"; and {len(order) - most} more" if len(order) > most else "")


def _constant_blocks(population: Population, direction: torch.Tensor) -> list[tuple[str, float]]:
    out, start = [], 0
    for name, p in population.named_parameters():
        if not p.requires_grad:
            continue
        part = direction[start : start + p.numel()]
        start += p.numel()
        if float(part.abs().max()) < 1e-6:
            continue
        if p.numel() < 2 or float((part - part.mean()).abs().max()) > 1e-6:
            return []
        out.append((name, float(part.mean())))
    return out


def _only_simplex(population: Population, direction: torch.Tensor) -> str:
    """The name of the one group of weights that moves, if nothing else does."""
    start, moved = 0, []
    for name, p in population.named_parameters():
        if p.requires_grad:
            if float(direction[start : start + p.numel()].abs().max()) > 1e-9:
                moved.append(name)
            start += p.numel()
    return moved[0] if len(moved) == 1 and population.constraint_of(moved[0]) == "simplex" else ""


def sum_preserving(population: Population, directions: torch.Tensor) -> torch.Tensor:
    """Directions ``(G, P)`` with every group of weights moved along its simplex (its sum unchanged)."""
    out, start = directions.clone(), 0
    for name, p in population.named_parameters():
        if p.requires_grad:
            part = slice(start, start + p.numel())
            if population.constraint_of(name) == "simplex":
                share = (p / p.sum()).detach().double().flatten()
                out[:, part] = (out[:, part] - out[:, part].sum(-1, keepdim=True) * share) / p.detach().double().sum()
            start += p.numel()
    return out


def _describe_gauge(population: Population, directions: torch.Tensor) -> Gauge:
    if not len(directions):
        return Gauge(directions, [])
    if len(directions) > 40:
        return Gauge(directions, [f"{len(directions)} directions of the parameters move no index and no weight"])
    rows = sparse_basis(directions)
    words = []
    for row in rows:
        blocks = _constant_blocks(population, row)
        name = blocks[0][0] if len(blocks) == 1 else ""
        simplex = _only_simplex(population, row)
        if simplex:
            words.append(f"{simplex}: their sum (fixed to one)")
        elif blocks and name:
            words.append(f"{name}: its level (fixed by centring per prompt)")
        else:
            words.append(in_words(population, row))
    return Gauge(rows, words)


# ---- distance ----------------------------------------------------------------------------------------------------


def knowable_distance(first: Population, second: Population, design: Design) -> float:
    """Largest-norm distance of the coordinates of two populations, minimised over the naming of types.

    Root mean square over items of the index differences and absolute differences of the weights, joined in one norm.
    Types
    of different structure are compared by their index only. Populations with different numbers of leaves are padded
    with
    types of weight zero.

    Example:
        >>> import annosim as an
        >>> a = an.Mixture([an.Annotator(an.Tabular([0., s]), an.Luce()) for s in (1., 2.)], [.5, .5])
        >>> knowable_distance(a, a.relabelled([1, 0]), an.Design(an.Items(n=2)))
        0.0
    """
    with torch.no_grad():
        cost, _ = _costs(first, second, design.items)
        row, column = linear_sum_assignment(cost.numpy())
        return math.sqrt(float(cost[row, column].sum()))


def match(first: Population, second: Population, items: Items) -> list[int]:
    """``order[j]``: the leaf of ``second`` that stands for leaf ``j`` of ``first``."""
    with torch.no_grad():
        cost, _ = _costs(first, second, items)
        return [int(c) for c in linear_sum_assignment(cost.numpy())[1]]


def _costs(first: Population, second: Population, items: Items) -> tuple[torch.Tensor, int]:
    a, wa = leaf_coordinates(double(first), items)
    b, wb = leaf_coordinates(double(second), items)
    size = max(len(a), len(b))
    cost = torch.zeros(size, size, dtype=torch.float64)
    for i in range(size):
        for j in range(size):
            if i < len(a) and j < len(b):
                apart = (a[i] - b[j]).square().mean() if a[i].shape == b[j].shape else torch.tensor(1.0)
                cost[i, j] = apart + (wa[i] - wb[j]) ** 2
            else:
                cost[i, j] = (wa[i] if i < len(a) else wb[j]) ** 2
    return cost, size


def leaf_coordinates(population: Population, items: Items) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Centred index of each leaf's nodes, with the free rule numbers that the index lacks, and the leaf weights."""
    out = []
    with torch.enable_grad():
        for component, leaf in zip(population.indexed(items), population.components(), strict=True):
            index = component.index.double()
            outside = [
                (p - p.mean(-1, keepdim=True) if leaf.rule.constraint_of(name) == "centred" else p).double().flatten()
                for name, p in leaf.rule.named_parameters()
                if _outside(index, p)
            ]
            centred = centre_per_prompt(index, items).flatten()
            out.append(torch.cat([centred, *[p * math.sqrt(len(centred)) for p in outside]]).detach())
    return out, population.component_weights().detach().double()


def _outside(index: torch.Tensor, p: torch.Tensor) -> bool:
    """Whether the index does not contain the free number ``p``."""
    if not p.requires_grad:
        return False
    if not index.requires_grad:
        return True
    weight = torch.linspace(1.0, 2.0, index.numel(), dtype=index.dtype).reshape(index.shape)
    slope = torch.autograd.grad((index * weight).sum(), p, retain_graph=True, allow_unused=True)[0]
    return slope is None or not bool((slope != 0).any())
