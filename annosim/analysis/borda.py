"""Borda scores: how often an item is preferred to another one drawn at random."""

from __future__ import annotations

import numpy as np
import torch

from annosim.arrays import Numbers, as_numpy
from annosim.data.preferences import PreferenceData
from annosim.designs.design import Design
from annosim.errors import AnswerKindError, ArgumentError
from annosim.items import Items
from annosim.laws import law
from annosim.populations.base import Population

__all__ = ["borda_counts", "borda_scores", "pair_probabilities"]


def pair_probabilities(population: Population, items: Items) -> torch.Tensor:
    """``P(i preferred to j)`` over the population and both display orders, ties half, ``(n, n)`` float64.

    The diagonal, and pairs of different prompts (which are never asked), are NaN.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
        >>> pair_probabilities(one, an.Items(n=2))[1, 0].item().__round__(4)
        0.7311
    """
    exact = law(population, Design(items, menu_size=2))
    with torch.no_grad():
        table = (exact.weight[:, None, None] * exact.question(0).exp()).sum(0)
    space = exact.space
    credit = torch.zeros(len(space), dtype=torch.float64)  # of the item shown first
    for number, answer in enumerate(space.answer):
        tied = space.tied is not None and bool(space.tied[number].any())
        credit[number] = 0.5 if tied or answer[0] < 0 else float(answer[0] == 0)
    first = table @ credit
    out = torch.full((items.n, items.n), torch.nan, dtype=torch.float64)
    out[exact.menu[:, 0], exact.menu[:, 1]] = first
    return (out + 1 - out.T) / 2  # both display orders


def borda_scores(population: Population, items: Items, proposal: Numbers | None = None) -> torch.Tensor:
    r"""``B(i) = E_j P(i preferred to j)``, j another item of the prompt, ``(n,)`` float64 in [0, 1].

    Bradley-Terry fitted to all pairs equally often orders items as their Borda scores, whatever the hidden context of
    the answers (Siththaranjan, Laidlaw, Hadfield-Menell 2312.08358, theorem 3.1).

    Args:
        population: who answers.
        items: the item set.
        proposal: ``(n,)`` nonnegative weights of the opponents; uniform by default.

    Raises:
        ArgumentError: the weights have another length or a negative entry.

    Example:
        >>> import annosim as an
        >>> borda_scores(an.Annotator(an.Tabular([0.0, 1.0]), an.Luce()), an.Items(n=2)).numpy().round(4).tolist()
        [0.2689, 0.7311]
    """
    p = pair_probabilities(population, items)
    w = torch.ones(items.n, dtype=torch.float64) if proposal is None else torch.as_tensor(as_numpy(proposal)).double()
    if w.shape != (items.n,) or bool((w < 0).any()):
        raise ArgumentError(f"borda_scores(proposal=): {items.n} nonnegative numbers, one per item")
    met = torch.isfinite(p)
    weight = met * w
    return (weight * torch.where(met, p, 0.0)).sum(1) / weight.sum(1)


def borda_counts(data: PreferenceData) -> np.ndarray:
    """Share of comparisons won by each item, ties half, ``(n,)``; NaN for items never compared.

    Any answer counts as the pairs that it decides: a choice of k decides k - 1, a ranking all of them.

    Raises:
        AnswerKindError: ratings or best-worst answers.

    Example:
        >>> data = PreferenceData(Items(n=3), menu=[[0, 1], [0, 2]], answer=[0, 1])
        >>> borda_counts(data).tolist()
        [0.5, 0.0, 1.0]
    """
    if data.feedback.kind not in ("choice", "ranking", "top"):
        raise AnswerKindError(f"borda_counts: {data.feedback.kind} answers; give choices or rankings")
    if data.replicates is not None:
        raise ArgumentError("borda_counts: the data have replicates; pass one of them, data[r]")
    answer = data.answer[:, None] if data.answer.ndim == 1 else data.answer
    place = _places(data, answer)
    weight = data.row_weight
    won, met = np.zeros(data.items.n), np.zeros(data.items.n)
    k = data.menu_size
    for a in range(k):
        for b in range(k):
            both = (a != b) & (data.menu[:, a] >= 0) & (data.menu[:, b] >= 0) & ~data.skipped
            gap = place[:, b] - place[:, a]
            decided = both & ~((place[:, a] == k) & (place[:, b] == k))  # neither was ranked: nothing is said
            score = np.where(gap > 0, 1.0, np.where(gap == 0, 0.5, 0.0))
            np.add.at(won, data.menu[decided, a], (weight * score)[decided])
            np.add.at(met, data.menu[decided, a], weight[decided])
    with np.errstate(invalid="ignore"):
        return won / met


def _places(data: PreferenceData, answer: np.ndarray) -> np.ndarray:
    """Place of each position, ``(rows, k)``: 0 best, ties share, k for positions that were not ranked."""
    rows, k = data.menu.shape
    place = np.full((rows, k), k)
    level = np.zeros(rows, dtype=int)
    for j in range(answer.shape[1]):
        if j and data.tied is not None:
            level = np.where(data.tied[:, j - 1], level, level + 1)
        elif j:
            level = level + 1
        given = answer[:, j] >= 0
        place[given, answer[given, j]] = level[given]
    return place
