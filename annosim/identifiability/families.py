"""Other families than the population's own: K types, or any distribution of tastes on a grid."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from scipy.optimize import linprog

from annosim.arrays import Numbers
from annosim.coordinates.identifiable import in_float64
from annosim.errors import ArgumentError
from annosim.identifiability.functionals import index_and_weight
from annosim.items import Items
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.populations.mixture import Mixture

__all__ = ["AnyTastes", "Types", "any_tastes", "as_types", "taste_distance", "types"]


@dataclass(frozen=True)
class Types:
    """Populations of K hidden types (see :func:`types`)."""

    count: int

    def __str__(self) -> str:
        return f"{self.count} types"


@dataclass(frozen=True, eq=False)
class AnyTastes:
    """Any distribution of tastes on a grid (see :func:`any_tastes`)."""

    grid: torch.Tensor
    tabular: bool = False

    def __str__(self) -> str:
        return f"any tastes on {len(self.grid)} points"


#: what ``among=`` takes: ``None`` is the population's own family
Family: TypeAlias = Types | AnyTastes | None


def types(count: int) -> Types:
    """Populations of ``count`` types, each with the utility and rule of the population's first type.

    Raises:
        ArgumentError: not a whole number of at least 1.

    Example:
        >>> types(3).count
        3
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ArgumentError(f"types({count!r}): a whole number of at least 1")
    return Types(count)


def any_tastes(grid: Numbers, *, tabular: bool = False) -> AnyTastes:
    """Any distribution over the tastes ``grid``: ``(G,)`` or ``(G, d)`` weights of a linear utility.

    Args:
        grid: the tastes; the population's own are added, so that it is a member itself.
        tabular: the grid holds utilities of the items ``(G, n)`` instead.

    Raises:
        ArgumentError: not a finite array of one or two axes.

    Example:
        >>> any_tastes(torch.linspace(-3, 3, 61)).grid.shape
        torch.Size([61, 1])
    """
    wrong = "any_tastes(grid=): a finite array of numbers, of shape (G,) or (G, d)"
    try:
        points = torch.as_tensor(np.asarray(grid, dtype=np.float64))
    except (TypeError, ValueError):
        raise ArgumentError(wrong) from None
    points = points[:, None] if points.ndim == 1 else points
    if points.ndim != 2 or not len(points) or not bool(torch.isfinite(points).all()):
        raise ArgumentError(wrong)
    return AnyTastes(points, tabular)


def taste_distance(first: Population, second: Population, items: Items) -> float:
    """Optimal-transport distance (root mean square over items) of the distributions of centred indices.

    Zero iff the two are the same distribution of tastes, however the types are named, split or merged.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular([0., 1.]), an.Luce())
        >>> taste_distance(one, an.Mixture([one, one]), an.Items(n=2))
        0.0
    """
    with torch.no_grad():
        a, wa = index_and_weight(in_float64(first), items)
        b, wb = index_and_weight(in_float64(second), items)
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
    components = population.components()
    if any(not isinstance(component, Annotator) for component in components):
        raise ArgumentError("among=types(K): the population's types must be annotators; use any_tastes(grid)")
    if len(components) > family.count:
        raise ArgumentError(
            f"among=types({family.count}): the population has {len(components)} types; ask for at least these"
        )
    weight = population.component_weights().detach().double().tolist()
    members = list(components)
    while len(members) < family.count:
        heavy = int(np.argmax(weight))
        weight[heavy] /= 2
        members.append(members[heavy])
        weight.append(weight[heavy])
    return Mixture([copy.deepcopy(m) for m in members], weights=weight)
