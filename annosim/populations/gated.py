"""Types whose probabilities depend on covariates (a mixture of experts)."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import nn

from annosim.annotators import Labels, PerAnnotator, rows_of
from annosim.arrays import Numbers
from annosim.errors import ArgumentError
from annosim.parameters import ParameterLike, check_value
from annosim.populations.base import Component, Population, populations_of

__all__ = ["Gated"]


class Gated(PerAnnotator, Population):
    r"""Types whose probabilities depend on who one is: ``P(type k | x) = softmax(x' gate)_k`` (mixture of experts).

    Annotator ``i`` has the covariates ``covariates[i mod N]``, or those of their name. Where the annotator is not named
    (the law of a block), the probabilities are averaged over the ``N`` rows.

    Args:
        types: ``K`` populations.
        covariates: ``(N, c)``; add a column of ones for an intercept.
        gate: ``(c, K - 1)`` coefficients, of the types beside the last (whose score is zero); or ``None`` for zeros.
        annotators: whose covariates they are, by name (``data.annotator_names``); ``fit`` then finds those of its data.
            Without names row ``i`` belongs to annotator ``i`` of the data set from which the data were selected.

    Example:
        >>> import annosim as an
        >>> kinds = [an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (2.0, -2.0)]
        >>> people = Gated(kinds, covariates=[[1.0], [-1.0]], gate=[[3.0]])
        >>> people.annotator_weights(torch.tensor([0, 1]))[:, 0].round(decimals=4).tolist()
        [0.9526, 0.0474]
    """

    def __init__(
        self,
        types: Sequence[Population],
        covariates: Numbers,
        gate: ParameterLike | None = None,
        annotators: Labels | None = None,
    ):
        super().__init__()
        types = list(types) if isinstance(types, Iterable) else []
        if len(types) < 2 or not all(isinstance(t, Population) for t in types):
            raise ArgumentError("Gated(types=): give at least two populations")
        self.types = nn.ModuleList(types)
        rows = check_value("Gated(covariates=)", covariates, "real")
        if rows.ndim != 2:
            raise ArgumentError(f"Gated(covariates=): shape {tuple(rows.shape)}, expected (N, c)")
        self.register_buffer("covariates", rows)
        if annotators is not None and len(annotators) != len(rows):
            raise ArgumentError(f"Gated(annotators=): {len(annotators)} names for {len(rows)} rows of covariates")
        self.annotators = annotators
        start = np.zeros((rows.shape[1], len(types) - 1)) if gate is None else gate
        self.declare("gate", start, free_by_default=True)
        if self.gate.shape != (rows.shape[1], len(types) - 1):
            raise ArgumentError(
                f"Gated(gate=): shape {tuple(self.gate.shape)}, expected ({rows.shape[1]}, {len(types) - 1})"
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(repr(one) for one in self.types)}; {self.covariates.shape[1]} covariates)"

    def relabelled(self, order: Sequence[int]) -> Gated:
        """The same population with its types renamed: new type ``j`` is old type ``order[j]``.

        Example:
            >>> import annosim as an
            >>> kinds = [an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (2.0, -2.0)]
            >>> an.Gated(kinds, covariates=[[1.0]], gate=[[3.0]]).relabelled([1, 0]).gate.tolist()
            [[-3.0]]
        """
        other = copy.deepcopy(self)
        other.types = nn.ModuleList([other.types[i] for i in order])
        with torch.no_grad():
            scores = torch.cat([self.gate, torch.zeros_like(self.gate[:, :1])], -1)[:, list(order)]
            other.gate.copy_(scores[:, :-1] - scores[:, -1:])
        return other

    def select_annotators(self, labels: Labels) -> None:
        """Keep the covariates of these annotators, in their order."""
        rows = rows_of("Gated(covariates=)", labels, self.annotators, len(self.covariates), cyclic=True)
        self.register_buffer("covariates", self.covariates[torch.as_tensor(rows)])
        self.annotators = labels

    def _gates(self, covariates: torch.Tensor) -> torch.Tensor:
        scores = covariates @ self.gate
        return torch.softmax(torch.cat([scores, torch.zeros_like(scores[:, :1])], -1), -1)

    def annotator_weights(self, annotators: Numbers) -> torch.Tensor:
        """Probability of each component for the named annotators, ``(annotators, C)``; differentiable in the gate."""
        rows = torch.as_tensor(np.asarray(annotators), dtype=torch.long) % len(self.covariates)
        gates = self._gates(self.covariates[rows])
        parts = []
        for k, one in enumerate(populations_of(self.types)):
            inner = one.annotator_weights(annotators)
            inner = one.component_weights()[None] if inner is None else inner
            parts.append(gates[:, k : k + 1] * inner)
        return torch.cat(parts, -1)

    def weighted_components(self) -> Iterator[tuple[Component, torch.Tensor]]:
        """The types' components, in order."""
        share = self._gates(self.covariates).mean(0)
        for k, one in enumerate(populations_of(self.types)):
            for component, inner in one.weighted_components():
                yield component, share[k] if component is one else share[k] * inner  # alone it has probability one
