"""``compare``: how far apart two laws and two populations are, of one fit or of a batch of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import torch

from annosim.analysis.comparison import Comparison, Fitted, compare_one
from annosim.designs.design import Design
from annosim.learning.batched import BatchedFit
from annosim.populations.base import Population
from annosim.results import Result

__all__ = ["Comparisons", "compare"]

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

    Example:
        >>> import annosim as an
        >>> truth, design = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce()), an.Design(an.Items(n=2), annotators=50)
        >>> fits = an.fit(truth.like(seed=1), an.simulate(truth, design, seed=0, replicates=3))
        >>> len(an.compare(fits, truth, design))
        3
    """

    total_variation: npt.NDArray[np.float64]
    kl: npt.NDArray[np.float64]
    excess_cross_entropy: npt.NDArray[np.float64]
    parameter_distance: npt.NDArray[np.float64]
    alignment: npt.NDArray[np.float64]
    index_error: npt.NDArray[np.float64]
    weight_error: npt.NDArray[np.float64]
    regret: npt.NDArray[np.float64]
    adjusted_rand: npt.NDArray[np.float64] | None
    clustering_accuracy: npt.NDArray[np.float64] | None
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


@overload
def compare(
    fitted: BatchedFit,
    truth: Population,
    design: Design,
    *,
    types: npt.ArrayLike | None = None,
    max_outcomes: float = 1e6,
    draws: int = 20_000,
    seed: int = 0,
) -> Comparisons: ...
@overload
def compare(
    fitted: Fitted | Population,
    truth: Population,
    design: Design,
    *,
    types: npt.ArrayLike | None = None,
    max_outcomes: float = 1e6,
    draws: int = 20_000,
    seed: int = 0,
) -> Comparison: ...
def compare(
    fitted: BatchedFit | Fitted | Population,
    truth: Population,
    design: Design,
    *,
    types: npt.ArrayLike | None = None,
    max_outcomes: float = 1e6,
    draws: int = 20_000,
    seed: int = 0,
) -> Comparison | Comparisons:
    """Measure how far apart two laws and two populations are.

    Args:
        fitted: a ``Fit`` (of data with replicates too) or a population.
        truth: the population from which data come (or would come).
        design: what was asked; laws are compared on it.
        types: ``(annotators,)`` true types, for the clustering scores; by default those of the simulated data
            that were fitted.
        max_outcomes: laws with more outcomes are not enumerated (see :func:`law_divergence`).
        draws, seed: of the sample used then.

    Returns:
        :class:`Comparison`; ``settings["method"]`` says whether the laws' distances are exact. Fits of R replicates
        give :class:`~annosim.analysis.Comparisons`, with a leading axis R on everything.

    Raises:
        ArgumentError: not a fit or population, or types of another length than the responsibilities.

    Example:
        >>> import annosim as an
        >>> design = an.Design(an.Items(n=3))
        >>> truth = an.Annotator(an.Tabular([0., 1., 2.]), an.Luce())
        >>> score = compare(an.Annotator(an.Tabular([5., 6., 7.]), an.Luce()), truth, design)
        >>> score.total_variation, score.parameter_distance
        (0.0, 0.0)
    """
    if isinstance(fitted, BatchedFit):
        one = partial(compare_one, truth=truth, design=design, max_outcomes=max_outcomes, draws=draws, seed=seed)
        return _replicates(fitted, truth, types, one)
    return compare_one(fitted, truth, design, types, max_outcomes=max_outcomes, draws=draws, seed=seed)


def _replicates(
    fits: BatchedFit, truth: Population, types: npt.ArrayLike | None, compare_: Callable[..., Comparison]
) -> Comparisons:
    found: list[Comparison | None] = []
    for r, row in enumerate(fits.vectors):
        if not np.isfinite(row).all():
            found.append(None)
            continue
        one = fits[r] if types is not None else fits.model.with_parameters(torch.as_tensor(row))
        found.append(compare_(one, types=None if types is None else np.asarray(types)[r]))
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
