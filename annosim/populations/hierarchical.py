"""Annotators within groups."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from annosim.arrays import Numbers
from annosim.errors import ArgumentError
from annosim.parameters import Fixed, ParameterLike, check_value
from annosim.populations.annotator import Annotator
from annosim.populations.base import Component
from annosim.populations.mixture import Mixture
from annosim.populations.random_coefficients import RandomCoefficients
from annosim.populations.random_tastes import TasteSettings
from annosim.rules.base import Rule
from annosim.utilities.linear import Linear

__all__ = ["Hierarchy"]


class Hierarchy(Mixture):
    r"""Annotators within groups: group ``g`` has mean coefficients ``means[g]``, its members differ by ``spread``.

    ``beta_i = means[g_i] + spread * z_i`` with a hidden group ``g_i`` of probability ``weights[g]``: a mixture of
    :class:`~annosim.RandomCoefficients`, or of plain annotators when the spread is zero.

    Args:
        means: ``(groups, dim)``.
        spread: standard deviations within groups: one number, ``(dim,)``, or ``(groups, dim)``.
        rule: how they answer.
        weights: ``(groups,)``; uniform by default.
        settings: ``points``, ``quadrature`` and ``quadrature_seed``, as of :class:`~annosim.RandomCoefficients`.

    Raises:
        ArgumentError: sizes that do not fit, or a negative spread.

    Example:
        >>> import annosim as an
        >>> people = Hierarchy([[1.0, 0.0], [-1.0, 0.5]], 0.3, an.Luce(), weights=[0.6, 0.4])
        >>> [component.mean.tolist() for component in people.components()]
        [[1.0, 0.0], [-1.0, 0.5]]
    """

    def __init__(
        self,
        means: Numbers,
        spread: Numbers,
        rule: Rule,
        weights: ParameterLike | None = None,
        **settings: Unpack[TasteSettings],
    ):
        centre = check_value("Hierarchy(means=)", means, "real")
        if centre.ndim != 2:
            raise ArgumentError(f"Hierarchy(means=): shape {tuple(centre.shape)}, expected (groups, dim)")
        width = np.broadcast_to(check_value("Hierarchy(spread=)", spread, "nonnegative").numpy(), centre.shape)
        parts: list[Component]
        if width.any():
            parts = [
                RandomCoefficients(m.tolist(), Fixed(w) if (w == 0).any() else w.copy(), rule, **settings)
                for m, w in zip(centre, width, strict=True)
            ]
        else:
            parts = [Annotator(Linear(m.tolist()), rule) for m in centre]
        super().__init__(parts, weights)
