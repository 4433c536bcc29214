"""Parameter coordinates modulo gauge: each type's index, centred per prompt, and the weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from annosim.analysis.clustering import assign
from annosim.analysis.divergences import prompt_sums
from annosim.items import Items
from annosim.populations.base import Population

__all__ = ["Alignment", "align_types", "centred_index", "parameter_distance"]


def centred_index(population: Population, items: Items) -> tuple[torch.Tensor, torch.Tensor]:
    """What answers could ever tell: each leaf's index centred within each prompt ``(L, n)``, and weights ``(L,)``.

    A leaf with a distribution of tastes is represented by its mean index.

    Example:
        >>> import annosim as an
        >>> centred_index(an.Annotator(an.Tabular([0.0, 2.0]), an.Luce()), an.Items(n=2))[0].tolist()
        [[-1.0, 1.0]]
    """
    rows, weights = [], []
    with torch.no_grad():
        for component in population.indexed(items):
            share = component.weight.double()
            rows.append((share[:, None] * component.index.double()).sum(0) / share.sum())
            weights.append(share.sum())
    return centre(torch.stack(rows), items), torch.stack(weights)


def centre(index: torch.Tensor, items: Items) -> torch.Tensor:
    """``(..., n)`` minus its mean within each prompt."""
    _, code = items.prompts.unique(return_inverse=True)
    count = prompt_sums(torch.ones(items.n, dtype=torch.float64), items)
    return index - (prompt_sums(index, items) / count)[..., code]


@dataclass(frozen=True, eq=False)
class Alignment:
    """Which fitted type is which true type.

    Attributes:
        match: ``(K,)`` fitted type of each true type, -1 for those left over.
        nearest: ``(K,)`` the same, with the nearest fitted type for those left over.
        index_error: ``(K,)`` root mean squared error of the centred index of the nearest type, over items.
        weight_error: ``(K,)`` fitted minus true weight of matched types, NaN for those left over.
        distance: Euclidean distance of all coordinates; NaN when the numbers of types differ.
    """

    match: np.ndarray
    nearest: np.ndarray
    index_error: np.ndarray
    weight_error: np.ndarray
    distance: float


def align_types(fitted: Population, truth: Population, items: Items) -> Alignment:
    """Match fitted to true types by assignment on the distance of their coordinates modulo gauge.

    The cost of a pair of types is the squared distance of their centred indices plus that of their weights, so that the
    distance of two populations is the smallest one over all namings of types.

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular([0., s]), an.Luce()) for s in (1., -1.)], weights=[.7, .3])
        >>> align_types(two.relabelled([1, 0]), two, an.Items(n=2)).match.tolist()
        [1, 0]
    """
    theirs, their_weight = centred_index(fitted, items)
    ours, our_weight = centred_index(truth, items)
    gaps = ((ours[:, None] - theirs[None]) ** 2).sum(-1)
    cost = gaps + (our_weight[:, None] - their_weight[None]) ** 2
    match = assign(cost)
    nearest = np.where(match >= 0, match, cost.argmin(1).numpy())
    kept = match >= 0
    rows = np.arange(len(match))
    error = np.full(len(match), np.nan)
    error[kept] = (their_weight[match[kept]] - our_weight[kept]).numpy()
    total = float(cost[rows, match].sum().sqrt()) if len(ours) == len(theirs) else float("nan")
    return Alignment(match, nearest, (gaps[rows, nearest] / items.n).sqrt().numpy(), error, total)


def parameter_distance(fitted: Population, truth: Population, items: Items) -> float:
    """Distance of two populations in gauge-free coordinates, minimised over the naming of types; NaN when they differ
    in their number of types.

    Example:
        >>> import annosim as an
        >>> a, b = an.Annotator(an.Tabular([0., 1.]), an.Luce()), an.Annotator(an.Tabular([5., 6.]), an.Luce())
        >>> parameter_distance(a, b, an.Items(n=2))
        0.0
    """
    return align_types(fitted, truth, items).distance
