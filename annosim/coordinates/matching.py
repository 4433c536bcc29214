"""How far two populations are apart, and which type of one is which of the other: one cost, one assignment."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment
from torch import nn

from annosim.coordinates.observed import centred, index_moments, shares
from annosim.coordinates.questions import behaviour_gap, depends_on_level, same_rule, same_structure
from annosim.items import Items
from annosim.populations.base import Population
from annosim.populations.gated import Gated
from annosim.populations.mixture import Mixture
from annosim.rules.base import Rule

__all__ = ["Alignment", "align_types", "best_naming", "best_namings", "mean_indices", "population_distance", "renamed"]


@dataclass(frozen=True, eq=False)
class _Type:
    """One component as far as answers could tell: see :mod:`annosim.coordinates`."""

    rule: Rule
    by_prompt: bool
    index: torch.Tensor  # (n,) centred mean
    spread: torch.Tensor | None  # (n, d) factor of the covariance
    level: float
    share: torch.Tensor  # (X,) by row of covariates


def _types(population: Population, items: Items, known: Sequence[_Type] = ()) -> list[_Type]:
    """The components of a population; those in ``known`` spare the questions to a rule of a structure among theirs."""
    out: list[_Type] = []
    with torch.no_grad():
        share = shares(population)
        for number, component in enumerate(population.components()):
            mean, spread = index_moments(component, items)
            alike = next((one for one in [*known, *out] if same_structure(one.rule, component.rule)), None)
            by_prompt = not depends_on_level(component.rule, items) if alike is None else alike.by_prompt
            out.append(
                _Type(
                    component.rule,
                    by_prompt,
                    centred(mean, items, by_prompt),
                    spread if spread is None or not by_prompt else centred(spread.mT, items).mT,
                    0.0 if by_prompt else float(mean.mean()),
                    share[:, number],
                )
            )
    return out


def _apart(first: _Type, second: _Type, items: Items) -> float:
    """Squared distance of two components: mean square over items of the index and of the root of its covariance, mean
    square over questions of the behaviour, and of the share."""
    total = float((first.index - second.index).square().mean())
    total += _spread_apart(first.spread, second.spread, items.n)
    if not same_rule(first.rule, second.rule) or first.level != second.level:
        total += behaviour_gap(first.rule, second.rule, items, (first.level, second.level))
    return total + float((first.share - second.share).square().mean())


def _spread_apart(first: torch.Tensor | None, second: torch.Tensor | None, n: int) -> float:
    """``|S^(1/2) - T^(1/2)|^2 / n`` of covariances given by factors ``(n, d)``: it knows no rotation of them."""
    if first is None and second is None:
        return 0.0
    zero = torch.zeros(n, 1, dtype=torch.float64)
    a, b = zero if first is None else first, zero if second is None else second
    span = torch.linalg.qr(torch.cat([a, b], 1))[0]
    return float((_root(span.mT @ a) - _root(span.mT @ b)).square().sum()) / n


def _root(factor: torch.Tensor) -> torch.Tensor:
    """The positive semidefinite root of ``F F'``."""
    u, s, _ = torch.linalg.svd(factor, full_matrices=False)
    return (u * s) @ u.mT


def _costs(first: Sequence[_Type], second: Sequence[_Type], items: Items) -> npt.NDArray[np.float64]:
    """Squared distances ``(S, S)`` of all pairs; the shorter list is padded with types of share zero."""
    size = max(len(first), len(second))
    cost = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            if i < len(first) and j < len(second):
                cost[i, j] = _apart(first[i], second[j], items)
            else:
                left = first[i] if i < len(first) else second[j]
                cost[i, j] = float(left.share.square().mean())
    return cost


@dataclass(frozen=True, eq=False)
class Alignment:
    """Which fitted type is which true type.

    Attributes:
        match: ``(K,)`` fitted type of each true type, -1 for those left over.
        nearest: ``(K,)`` the same, with the nearest fitted type for those left over.
        index_error: ``(K,)`` root mean squared error of the centred mean index of the nearest type, over items.
        weight_error: ``(K,)`` fitted minus true weight of matched types, NaN for those left over.
        distance: of the two populations (:func:`population_distance`).
        order: fitted types in the order of the true ones, those left over behind.

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular([0., s]), an.Luce()) for s in (1., -1.)], weights=[.7, .3])
        >>> align_types(two.types[1], two, an.Items(n=2)).match.tolist()
        [-1, 0]
    """

    match: npt.NDArray[np.int64]
    nearest: npt.NDArray[np.int64]
    index_error: npt.NDArray[np.float64]
    weight_error: npt.NDArray[np.float64]
    distance: float
    order: tuple[int, ...]


def align_types(fitted: Population, truth: Population, items: Items) -> Alignment:
    """Match fitted to true types by assignment on the squared distance of all that answers could tell of them.

    Nested mixtures count as the mixture of their components.

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular([0., s]), an.Luce()) for s in (1., -1.)], weights=[.7, .3])
        >>> align_types(two.relabelled([1, 0]), two, an.Items(n=2)).match.tolist()
        [1, 0]
    """
    ours = _types(truth, items)
    return _aligned(_types(fitted, items, ours), ours, items)


def _aligned(theirs: list[_Type], ours: list[_Type], items: Items) -> Alignment:
    cost = _costs(ours, theirs, items)
    rows, columns = linear_sum_assignment(cost)
    match = np.where(columns < len(theirs), columns, -1)[: len(ours)]
    nearest = np.where(match >= 0, match, cost[: len(ours), : len(theirs)].argmin(1))
    gap = [float((one.index - theirs[at].index).square().mean()) for one, at in zip(ours, nearest, strict=True)]
    moved = [
        float((theirs[at].share - one.share).mean()) if at >= 0 else math.nan
        for one, at in zip(ours, match, strict=True)
    ]
    order = [int(at) for at in match if at >= 0]
    order += [k for k in range(len(theirs)) if k not in order]
    total = math.sqrt(float(cost[rows, columns].sum()))
    return Alignment(match, nearest, np.sqrt(gap), np.array(moved), total, tuple(order))


def population_distance(first: Population, second: Population, items: Items) -> float:
    """Distance of two populations in their identifiable coordinates, minimised over the naming of types.

    A root of sums of squares: of the index (mean over items), of the root of its covariance where tastes vary, of the
    law of answers to standard questions (mean over these), and of the shares. Populations with different numbers of
    types are padded with types of share zero.

    Example:
        >>> import annosim as an
        >>> a, b = an.Annotator(an.Tabular([0., 1.]), an.Luce()), an.Annotator(an.Tabular([5., 6.]), an.Luce())
        >>> population_distance(a, b, an.Items(n=2))
        0.0
        >>> population_distance(a, an.Annotator(a.utility, an.Lapse(an.Luce(), 0.1)), an.Items(n=2)) > 0
        True
    """
    return align_types(first, second, items).distance


def best_naming(population: Population, truth: Population, items: Items) -> list[int]:
    """The types of ``population`` in the order in which they come nearest to those of ``truth``, the rest behind.

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular([0., s]), an.Luce()) for s in (1., -1.)], weights=[.7, .3])
        >>> best_naming(two.relabelled([1, 0]), two, an.Items(n=2))
        [1, 0]
    """
    return list(align_types(population, truth, items).order)


def best_namings(
    index: npt.NDArray[np.float64],
    share: npt.NDArray[np.float64],
    reference: npt.NDArray[np.float64],
    reference_share: npt.NDArray[np.float64],
) -> npt.NDArray[np.int64]:
    """:func:`best_naming` of many populations whose types have one rule, ``(S, K)``: new type ``j`` is old ``[:, j]``.

    Args:
        index: ``(S, K, n)`` centred indices.
        share: ``(S, K)``.
        reference: ``(K, n)`` whose names are taken.
        reference_share: ``(K,)``.

    Example:
        >>> here = np.array([[[0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]])
        >>> best_namings(here, np.full((2, 2), 0.5), here[0], np.full(2, 0.5)).tolist()
        [[0, 1], [1, 0]]
    """
    apart = ((index[:, None] - reference[None, :, None]) ** 2).mean(-1)  # (S, ours, theirs)
    cost = apart + (share[:, None, :] - reference_share[None, :, None]) ** 2
    return np.stack([linear_sum_assignment(one)[1] for one in cost])


def mean_indices(population: Population, items: Items) -> torch.Tensor:
    """Centred mean index of each component, ``(L, n)``.

    Example:
        >>> import annosim as an
        >>> mean_indices(an.Annotator(an.Tabular([0.0, 2.0]), an.Luce()), an.Items(n=2)).tolist()
        [[-1.0, 1.0]]
    """
    with torch.no_grad():
        return centred(
            torch.stack([index_moments(component, items)[0] for component in population.components()]), items
        )


# ---- renaming ----------------------------------------------------------------------------------------------------


def renamed(population: Population, order: Sequence[int]) -> Population:
    """The same population with its components in another order: new component ``j`` is old component ``order[j]``.

    A nested mixture stays one where its parts stay together, and becomes the mixture of its components otherwise.

    Example:
        >>> import annosim as an
        >>> one, two, three = (an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (1.0, 2.0, 3.0))
        >>> nested = an.Mixture([an.Mixture([one, two], [0.5, 0.5]), three], [0.4, 0.6])
        >>> renamed(nested, [2, 1, 0]).component_weights().tolist(), len(renamed(nested, [2, 1, 0]).types)
        ([0.6, 0.2, 0.2], 2)
        >>> len(renamed(nested, [0, 2, 1]).types)
        3
    """
    order = list(order)
    if order == list(range(len(order))):
        return population
    inside = _rearranged(population, order)
    if inside is not None:
        return inside
    flat = Mixture(
        [copy.deepcopy(component) for component in population.components()],
        population.component_weights().detach().numpy(),
    )
    return flat.relabelled(order)


def _rearranged(population: Population, order: list[int]) -> Population | None:
    """The population in its own structure with its components in this order, or ``None`` where parts come apart."""
    if order == list(range(len(order))):
        return population
    if not isinstance(population, Mixture | Gated):
        return None
    kinds: list[Population] = list(population.types)  # type: ignore[arg-type]
    owner = np.repeat(np.arange(len(kinds)), [len(part.components()) for part in kinds])
    start = np.concatenate([[0], np.cumsum(np.bincount(owner))]).tolist()
    parts: list[int] = []
    inner: list[list[int]] = []
    while len(parts) < len(kinds):
        place = sum(map(len, inner))
        number = int(owner[order[place]])
        here = order[place : place + start[number + 1] - start[number]]
        if sorted(here) != list(range(start[number], start[number + 1])):
            return None
        parts.append(number)
        inner.append([at - start[number] for at in here])
    types = [_rearranged(kinds[number], at) for number, at in zip(parts, inner, strict=True)]
    if any(part is None for part in types):
        return None
    other = population.relabelled(parts)
    other.types = nn.ModuleList([copy.deepcopy(part) for part in types if part is not None])
    return other
