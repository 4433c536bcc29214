"""Hidden types with weights."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import nn

from annosim.arrays import Numbers
from annosim.errors import ArgumentError
from annosim.parameters import ParameterLike
from annosim.populations.base import Component, Population, populations_of

__all__ = ["Mixture"]


class Mixture(Population):
    """Hidden types with weights: each annotator has one type, drawn once, and answers every question with it.

    Args:
        types: populations (usually annotators).
        weights: their probabilities; uniform by default; estimated unless ``fixed(...)``.

    Raises:
        ArgumentError: no type, or weights that are negative or do not sum to one.

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular([0., s]), an.Luce()) for s in (1., -1.)], weights=[.7, .3])
        >>> two.component_weights().tolist()
        [0.7, 0.3]
    """

    def __init__(self, types: Sequence[Population], weights: ParameterLike | None = None):
        super().__init__()
        types = list(types) if isinstance(types, Iterable) else []
        if not types or not all(isinstance(t, Population) for t in types):
            raise ArgumentError("Mixture(types=): give a list of populations, for example an.Annotator(...)")
        self.types = nn.ModuleList(types)
        value = np.full(len(types), 1 / len(types)) if weights is None else weights
        self.declare("weights", value, "simplex", free_by_default=True)
        if self.weights.shape != (len(types),):
            raise ArgumentError(f"Mixture(weights=): {self.weights.numel()} weights for {len(types)} types")

    def weighted_components(self) -> Iterator[tuple[Component, torch.Tensor]]:
        """The types' components, in order."""
        share = self.weights / self.weights.sum()
        for weight, one in zip(share, populations_of(self.types), strict=True):
            for component, inner in one.weighted_components():
                yield component, weight if component is one else weight * inner  # alone it has probability one

    def annotator_weights(self, annotators: Numbers) -> torch.Tensor | None:
        """Per-annotator probabilities when some type has them, else ``None``."""
        own = [one.annotator_weights(annotators) for one in populations_of(self.types)]
        if all(w is None for w in own):
            return None
        share = self.weights / self.weights.sum()
        count = len(np.asarray(annotators))
        inner = [
            one.component_weights().expand(count, -1) if w is None else w
            for one, w in zip(populations_of(self.types), own, strict=True)
        ]
        return torch.cat([share[k] * w for k, w in enumerate(inner)], -1)

    def relabelled(self, order: Sequence[int]) -> Mixture:
        """The same mixture with its types renamed: new type ``j`` is old type ``order[j]``."""
        other = copy.deepcopy(self)
        other.types = nn.ModuleList([other.types[i] for i in order])
        with torch.no_grad():
            other.weights.copy_(self.weights[list(order)])
        return other

    def __repr__(self) -> str:
        inside = ", ".join(f"{float(w):.4g}: {t!r}" for w, t in zip(self.weights.detach(), self.types, strict=True))
        return f"{type(self).__name__}({inside})"
