"""Tastes along a few directions of utility."""

from __future__ import annotations

from typing import Unpack

import numpy as np
import torch

from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.parameters import ParameterLike, check_value, unmarked
from annosim.populations.random_tastes import RandomTastes, TasteSettings
from annosim.rules.base import Rule

__all__ = ["LowRank"]


class LowRank(RandomTastes):
    r"""Tastes along a few directions: ``u = mean + loadings z``, ``z`` standard normal in ``rank`` dimensions.

    Args:
        mean: ``(n,)`` mean utilities, or their number (zeros).
        loadings: ``(n, rank)``.
        rule: how they answer.

    Example:
        >>> import annosim as an
        >>> people = LowRank([0.0, 0.0], [[1.0], [-1.0]], an.Luce())
        >>> an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.round(decimals=6).tolist()
        [0.5, 0.5]
    """

    def __init__(self, mean: ParameterLike, loadings: ParameterLike, rule: Rule, **settings: Unpack[TasteSettings]):
        shape = check_value("LowRank(loadings=)", unmarked(loadings), "real").shape
        if len(shape) != 2:
            raise ArgumentError(f"LowRank(loadings=): shape {tuple(shape)}, expected (n, rank)")
        super().__init__(rule, shape[1], **settings)
        if isinstance(mean, int):
            if mean != shape[0]:
                raise ArgumentError(f"LowRank(mean={mean}): {mean} means for loadings of {shape[0]} items")
            mean = np.zeros(mean)
        self.declare("mean", mean, free_by_default=True)
        self.declare("loadings", loadings, free_by_default=True)
        if self.mean.shape != shape[:1]:
            raise ArgumentError(f"LowRank(mean=): {self.mean.numel()} means for loadings of {shape[0]} items")

    def tastes(self, z: torch.Tensor) -> torch.Tensor:
        """The coordinates themselves, ``(..., rank)``."""
        return z

    def utilities(self, tastes: torch.Tensor, items: Items) -> torch.Tensor:
        """``mean + loadings z``, ``(..., n)``."""
        if items.n != self.mean.shape[-1]:
            raise ArgumentError(f"LowRank has {self.mean.shape[-1]} items but there are {items.n}")
        return self.mean + tastes @ self.loadings.mT
