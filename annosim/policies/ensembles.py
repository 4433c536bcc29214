"""Several rewards in one: weighted sums, and ensembles that distrust disagreement."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from annosim.arrays import Numbers, as_numpy
from annosim.errors import ArgumentError, told
from annosim.items import Items
from annosim.policies.tilts import frozen, values_of
from annosim.utilities.base import Utility

__all__ = ["ensemble", "weighted_sum"]


class _Combined(Utility):
    def __init__(
        self, rewards: Sequence[Utility], kind: str, weights: torch.Tensor | None = None, penalty: float = 0.0
    ):
        super().__init__()
        self.rewards = nn.ModuleList(rewards)
        self.kind, self.weights, self.penalty = kind, weights, penalty

    def forward(self, items: Items) -> torch.Tensor:
        values = torch.stack([values_of(reward(items), items) for reward in self.rewards])
        if self.weights is not None:
            return self.weights @ values
        if self.kind == "minimum":
            return values.min(0).values
        mean = values.mean(0)
        return mean if self.kind == "mean" else mean - self.penalty * values.var(0, unbiased=False)


def weighted_sum(rewards: Sequence[Utility], weights: Numbers | None = None) -> Utility:
    """``sum_k w_k r_k`` (weights 1 by default): what is usually done with several rewards.

    Raises:
        ArgumentError: no rewards, or another number of weights.

    Example:
        >>> import annosim as an
        >>> weighted_sum([an.Tabular([1., 0.]), an.Tabular([0., 2.])], [1., 3.])(an.Items(n=2)).tolist()
        [1.0, 6.0]
    """
    _check(rewards, "weighted_sum")
    w = torch.ones(len(rewards)) if weights is None else torch.as_tensor(as_numpy(weights))
    if w.shape != (len(rewards),) or not bool(torch.isfinite(w).all()):
        raise ArgumentError(f"weighted_sum(weights=): {len(rewards)} finite numbers, one per reward")
    return _Combined([frozen(r, "weighted_sum(rewards=)") for r in rewards], "sum", w.double())


def ensemble(rewards: Sequence[Utility], kind: str = "mean", penalty: float = 1.0) -> Utility:
    """One reward out of several estimates of it (Coste et al. 2310.02743).

    Args:
        rewards: estimates of the same reward (their scale and normalisation should agree).
        kind: ``"mean"``, ``"minimum"`` (worst case), or ``"mean-variance"`` (mean minus ``penalty`` times variance).
        penalty: of the variance, at least 0.

    Raises:
        ArgumentError: no rewards, an unknown kind, or a negative penalty.

    Example:
        >>> import annosim as an
        >>> ensemble([an.Tabular([1., 0.]), an.Tabular([3., 0.])], "mean-variance", penalty=.5)(an.Items(n=2)).tolist()
        [1.5, 0.0]
    """
    _check(rewards, "ensemble")
    if kind not in ("mean", "minimum", "mean-variance"):
        raise ArgumentError(f"ensemble(kind={told(kind)}): one of 'mean', 'minimum', 'mean-variance'")
    if not penalty >= 0:
        raise ArgumentError(f"ensemble(penalty={penalty}): a number of at least 0")
    return _Combined([frozen(r, "ensemble(rewards=)") for r in rewards], kind, penalty=float(penalty))


def _check(rewards: Sequence[Utility], name: str) -> None:
    if not len(rewards):
        raise ArgumentError(f"{name}(rewards=): needs at least one reward")
