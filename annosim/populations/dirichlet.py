"""Annotators who blend prototype rewards, with Dirichlet shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import nn

from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.parameters import ParameterLike, check_value, marked_like, unmarked
from annosim.populations.random_tastes import RandomTastes, TasteSettings
from annosim.quadrature import gamma_quantile
from annosim.rules.base import Rule
from annosim.utilities.base import Utility

__all__ = ["DirichletTastes"]


class DirichletTastes(RandomTastes):
    r"""Everyone blends ``K`` prototype rewards: ``u = sum_k pi_k u_k``, ``pi ~ Dirichlet(concentration)``.

    Large concentrations make all annotators alike, small ones make ``K`` types. ``pi`` is a vector of normalised
    gammas, each from one normal coordinate.

    Args:
        prototypes: ``K`` utilities.
        concentration: ``(K,)`` positive numbers, or one for all; ``free(start)`` to estimate.
        rule: how they answer.

    Example:
        >>> import annosim as an
        >>> people = DirichletTastes([an.Tabular([0.0, 1.0]), an.Tabular([1.0, 0.0])], 0.5, an.Luce())
        >>> p = an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities
        >>> bool(abs(p - 0.5).max() < 1e-3)
        True
    """

    def __init__(
        self, prototypes: Sequence[Utility], concentration: ParameterLike, rule: Rule, **settings: Unpack[TasteSettings]
    ):
        prototypes = list(prototypes)
        if len(prototypes) < 2 or not all(isinstance(u, Utility) for u in prototypes):
            raise ArgumentError("DirichletTastes(prototypes=): at least two utilities, for example an.Tabular([0, 1])")
        settings.setdefault("quadrature", "sobol")  # a gamma is far from a polynomial in its normal coordinate
        super().__init__(rule, len(prototypes), **settings)
        self.prototypes = nn.ModuleList(prototypes)
        value = check_value("DirichletTastes(concentration=)", unmarked(concentration), "positive")
        if value.ndim > 1 or value.numel() not in (1, len(prototypes)):
            raise ArgumentError(f"DirichletTastes(concentration=): one number, or {len(prototypes)}, one per prototype")
        value = value.expand(len(prototypes))
        self.declare("concentration", marked_like(concentration, value), "positive")

    def tastes(self, z: torch.Tensor) -> torch.Tensor:
        """Shares ``(..., K)`` of the prototypes."""
        log_gamma = gamma_quantile(self.concentration.expand(z.shape), torch.special.log_ndtr(z).exp())
        return torch.softmax(log_gamma, -1)

    def utilities(self, tastes: torch.Tensor, items: Items) -> torch.Tensor:
        """Blended utilities, ``(..., n)``."""
        return tastes @ torch.stack([u(items).double() for u in self.prototypes])
