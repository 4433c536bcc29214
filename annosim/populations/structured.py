"""Populations with structure: contamination, annotators within groups, types that depend on covariates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from annosim.errors import ArgumentError
from annosim.parameters import check_value, fixed, free
from annosim.populations.base import Annotator, Leaf, Mixture, Population
from annosim.populations.random_coefficients import RandomCoefficients
from annosim.rules.base import Rule
from annosim.rules.spam import Spammer
from annosim.utilities.base import Linear, ZeroUtility

__all__ = ["Contaminated", "Gated", "Hierarchy"]


def Contaminated(population: Population, share: Any, spammer: Rule | None = None) -> Mixture:
    """A population of which a share answers without looking: ``Mixture([population, spammers], [1 - share, share])``.

    Args:
        population: the attentive part.
        share: from 0 to 1; estimated unless ``fixed(share)``.
        spammer: a rule, ``Spammer("random")`` by default (see :class:`annosim.rules.Spammer`).

    Raises:
        ArgumentError: a share that is not a probability.

    Example:
        >>> import annosim as an
        >>> people = Contaminated(an.Annotator(an.Tabular([0.0, 9.0]), an.Luce(1e-3)), 0.2)
        >>> an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.round(decimals=6).tolist()
        [0.1, 0.9]
    """
    spammer = Spammer("random") if spammer is None else spammer
    bare = share.value if isinstance(share, fixed) else share
    s = float(check_value("Contaminated(share=)", bare, "unit"))
    weights: Any = [1 - s, s]
    return Mixture(
        [population, Annotator(ZeroUtility(), spammer)], fixed(weights) if isinstance(share, fixed) else weights
    )


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


class Gated(Population):
    r"""Types whose probabilities depend on who one is: ``P(type k | x) = softmax(x' gate)_k`` (mixture of experts).

    Annotator ``i`` has the covariates ``covariates[i mod N]``. Where the annotator is not named (the law of a block),
    the probabilities are averaged over the ``N`` rows.

    Args:
        types: ``K`` populations.
        covariates: ``(N, c)``; add a column of ones for an intercept.
        gate: ``(c, K - 1)`` coefficients, of the types beside the last (whose score is zero); or ``None`` for zeros.

    Example:
        >>> import annosim as an
        >>> kinds = [an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (2.0, -2.0)]
        >>> people = Gated(kinds, covariates=[[1.0], [-1.0]], gate=[[3.0]])
        >>> people.annotator_weights(torch.tensor([0, 1]))[:, 0].round(decimals=4).tolist()
        [0.9526, 0.0474]
    """

    def __init__(self, types: Sequence[Population], covariates: Any, gate: Any = None):
        super().__init__()
        types = list(types)
        if len(types) < 2 or not all(isinstance(t, Population) for t in types):
            raise ArgumentError("Gated(types=): give at least two populations")
        self.types = nn.ModuleList(types)
        rows = check_value("Gated(covariates=)", covariates, "real")
        if rows.ndim != 2:
            raise ArgumentError(f"Gated(covariates=): shape {tuple(rows.shape)}, expected (N, c)")
        self.register_buffer("covariates", rows)
        start = np.zeros((rows.shape[1], len(types) - 1)) if gate is None else gate
        self.declare("gate", start.start if isinstance(start, free) else start, free_by_default=True)
        if self.gate.shape != (rows.shape[1], len(types) - 1):
            raise ArgumentError(
                f"Gated(gate=): shape {tuple(self.gate.shape)}, expected ({rows.shape[1]}, {len(types) - 1})"
            )

    def __repr__(self) -> str:
        return f"Gated({', '.join(repr(one) for one in self.types)}; {self.covariates.shape[1]} covariates)"

    def _gates(self, covariates: torch.Tensor) -> torch.Tensor:
        scores = covariates @ self.gate
        return torch.softmax(torch.cat([scores, torch.zeros_like(scores[:, :1])], -1), -1)

    def annotator_weights(self, annotators: Any) -> torch.Tensor:
        """Probability of each leaf for the named annotators, ``(annotators, leaves)``; differentiable in the gate."""
        rows = torch.as_tensor(np.asarray(annotators), dtype=torch.long) % len(self.covariates)
        gates = self._gates(self.covariates[rows])
        parts = []
        for k, one in enumerate(self.types):
            inner = one.annotator_weights(annotators)  # type: ignore[operator]
            inner = one.leaf_weights()[None] if inner is None else inner  # type: ignore[operator]
            parts.append(gates[:, k : k + 1] * inner)
        return torch.cat(parts, -1)

    def _walk(self) -> Iterator[tuple[Leaf, torch.Tensor]]:
        share = self._gates(self.covariates).mean(0)
        for k, one in enumerate(self.types):
            for leaf, inner in one._walk():  # type: ignore[operator, union-attr]
                yield leaf, share[k] * inner
