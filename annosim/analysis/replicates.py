"""Comparisons of many fits at once: a leading axis of replicates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from annosim.analysis.comparison import Comparison, compare
from annosim.designs.design import Design
from annosim.populations.base import Population
from annosim.results import Result

__all__ = ["Comparisons", "compare_replicates"]

_NUMBERS = ("total_variation", "kl", "excess_cross_entropy", "parameter_distance")
_BY_TYPE = ("alignment", "index_error", "weight_error", "regret")
_CLUSTERS = ("adjusted_rand", "clustering_accuracy")


@dataclass(frozen=True, eq=False, repr=False)
class Comparisons(Result):
    """The numbers of :class:`Comparison` with a leading axis of R replicates; NaN (-1 in ``alignment``) where a
    replicate was not fitted.

    Attributes:
        total_variation, kl, excess_cross_entropy, parameter_distance: ``(R,)``.
        alignment, index_error, weight_error, regret: ``(R, K)``.
        adjusted_rand, clustering_accuracy: ``(R,)``, or ``None`` without types.
        status: R words of the fit.
    """

    total_variation: np.ndarray
    kl: np.ndarray
    excess_cross_entropy: np.ndarray
    parameter_distance: np.ndarray
    alignment: np.ndarray
    index_error: np.ndarray
    weight_error: np.ndarray
    regret: np.ndarray
    adjusted_rand: np.ndarray | None
    clustering_accuracy: np.ndarray | None
    status: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.status)

    def _lines(self):
        lines = [("replicates", f"{len(self)}, {int(np.isfinite(self.kl).sum())} compared")]
        for name in (*_NUMBERS, *_CLUSTERS):
            values = getattr(self, name)
            if values is not None and np.isfinite(values).any():
                kept = values[np.isfinite(values)]
                lines.append((name.replace("_", " "), f"mean {kept.mean():.4g}, s.d. {kept.std():.2g}"))
        for name in ("weight_error", "regret"):
            with np.errstate(invalid="ignore"):
                lines.append((f"mean {name.replace('_', ' ')}", np.nanmean(getattr(self, name), 0).round(4)))
        return [*lines, ("laws compared", self.settings.get("method"))]


def compare_replicates(fits: Any, truth: Population, design: Design, types: Any = None, **options: Any) -> Comparisons:
    """:func:`compare` for every replicate of a batched fit.

    Args:
        fits: ``an.fit`` of data with replicates.
        truth, design, options: as in :func:`compare`.
        types: ``(R, annotators)`` true types, or ``None``.

    Example:
        >>> import annosim as an
        >>> truth = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
        >>> design = an.Design(an.Items(n=2), annotators=50)
        >>> fits = an.fit(truth.like(seed=1), an.simulate(truth, design, seed=0, replicates=3))
        >>> compare_replicates(fits, truth, design).kl.shape
        (3,)
    """
    found: list[Comparison | None] = []
    for r, row in enumerate(fits.vectors):
        if not np.isfinite(row).all():
            found.append(None)
            continue
        one = fits[r] if types is not None else fits.model.with_parameters(torch.as_tensor(row))
        found.append(compare(one, truth, design, types=None if types is None else np.asarray(types)[r], **options))
    count = len(truth.components())
    stacked: dict[str, Any] = {}
    for name in _NUMBERS:
        stacked[name] = np.array([np.nan if c is None else getattr(c, name) for c in found])
    for name in _BY_TYPE:
        empty = np.full(count, -1 if name == "alignment" else np.nan)
        stacked[name] = np.stack([empty if c is None else getattr(c, name) for c in found])
    for name in _CLUSTERS:
        values = [np.nan if c is None else getattr(c, name) for c in found]
        stacked[name] = None if types is None else np.array(values, dtype=float)
    first = next((c for c in found if c is not None), None)
    return Comparisons(**stacked, status=tuple(fits.status), settings={} if first is None else first.settings)
