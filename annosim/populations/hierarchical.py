"""Annotators within groups."""

from __future__ import annotations

from typing import Any

import numpy as np

from annosim.errors import ArgumentError
from annosim.parameters import check_value, fixed
from annosim.populations.annotator import Annotator
from annosim.populations.mixture import Mixture
from annosim.populations.random_coefficients import RandomCoefficients
from annosim.rules.base import Rule
from annosim.utilities.linear import Linear

__all__ = ["Hierarchy"]


def Hierarchy(means: Any, spread: Any, rule: Rule, weights: Any = None, **settings: Any) -> Mixture:
    r"""Annotators within groups: group ``g`` has mean coefficients ``means[g]``, its members differ by ``spread``.

    ``beta_i = means[g_i] + spread * z_i`` with a hidden group ``g_i`` of probability ``weights[g]``: a mixture of
    :class:`~annosim.RandomCoefficients`, or of plain annotators when the spread is zero.

    Args:
        means: ``(groups, dim)``.
        spread: standard deviations within groups: one number, ``(dim,)``, or ``(groups, dim)``.
        rule: how they answer.
        weights: ``(groups,)``; uniform by default.
        settings: further settings of :class:`~annosim.RandomCoefficients`.

    Example:
        >>> import annosim as an
        >>> people = Hierarchy([[1.0, 0.0], [-1.0, 0.5]], 0.3, an.Luce(), weights=[0.6, 0.4])
        >>> [type(leaf).__name__ for leaf in people.leaves()]
        ['RandomCoefficients', 'RandomCoefficients']
    """
    centre = check_value("Hierarchy(means=)", means, "real")
    if centre.ndim != 2:
        raise ArgumentError(f"Hierarchy(means=): shape {tuple(centre.shape)}, expected (groups, dim)")
    width = np.broadcast_to(check_value("Hierarchy(spread=)", spread, "nonnegative").numpy(), centre.shape)
    if not width.any():
        return Mixture([Annotator(Linear(m.tolist()), rule) for m in centre], weights)
    parts = [
        RandomCoefficients(m.tolist(), fixed(w) if (w == 0).any() else w.copy(), rule, **settings)
        for m, w in zip(centre, width, strict=True)
    ]
    return Mixture(parts, weights)
