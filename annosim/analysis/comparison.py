"""How far apart two laws and two populations are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch

from annosim.analysis.clustering import adjusted_rand, clustering_accuracy
from annosim.analysis.divergences import kl_divergence, law_divergence, total_variation
from annosim.coordinates import Alignment, align_types, mean_indices
from annosim.designs.design import Design
from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.learning.result import Fit
from annosim.populations.base import Population
from annosim.results import Result
from annosim.utilities.base import Density

__all__ = ["Classifier", "Comparison", "Fitted", "compare_one"]


#: Types whose matches are printed.
MOST_TYPES = 8


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Result):
    """A fitted population beside the truth.

    Attributes:
        total_variation: between the laws of one annotator's block of answers.
        kl: KL(truth || fitted) of the block, nats.
        excess_cross_entropy: KL per answer, nats.
        alignment: ``(K,)`` fitted type of each true type, -1 for true types left over: the naming of types under which
            the sum of squared distances (of indices, of behaviour where rules differ, of shares) is least.
        nearest: ``(K,)`` the same, with the nearest fitted type for those left over.
        true_types, fitted_types: the rule and the share of each type, in words.
        parameter_distance: of the populations in their identifiable coordinates, over the naming of types
            (:func:`annosim.coordinates.population_distance`).
        index_error: ``(K,)`` root mean squared error of each true type's centred index.
        weight_error: ``(K,)`` fitted minus true weight.
        regret: ``(K,)`` utility (in units of the true index) that a true type loses when it is given its matched fitted
            type's favourite item, averaged over prompts.
        density_total_variation, density_kl, density_kl_reverse: ``(K,)`` when both sides' utilities are densities: the
            distance, KL(true || fitted) and KL(fitted || true) of each true type's density, mean over prompts; else
            ``None``.
        adjusted_rand, clustering_accuracy: of the types to which annotators are assigned, when responsibilities and the
            true types are known; else ``None``.
        total_variation_error, kl_error: standard errors, 0 when exact.

    Example:
        >>> import annosim as an
        >>> truth = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
        >>> score = an.compare(an.Annotator(an.Tabular([0.0, 1.5]), an.Luce()), truth, an.Design(an.Items(n=2)))
        >>> round(score.total_variation, 4)
        0.0865
    """

    total_variation: float
    kl: float
    excess_cross_entropy: float
    alignment: np.ndarray
    nearest: np.ndarray
    true_types: tuple[str, ...]
    fitted_types: tuple[str, ...]
    parameter_distance: float
    index_error: np.ndarray
    weight_error: np.ndarray
    regret: np.ndarray
    density_total_variation: np.ndarray | None
    density_kl: np.ndarray | None
    density_kl_reverse: np.ndarray | None
    adjusted_rand: float | None
    clustering_accuracy: float | None
    total_variation_error: float
    kl_error: float

    def _lines(self):
        error = lambda e: f" +- {e:.2g}" if e else ""  # noqa: E731
        lines: list[tuple[str, Any]] = [
            ("total variation", f"{self.total_variation:.6g}{error(self.total_variation_error)}"),
            ("KL(truth || fitted)", f"{self.kl:.6g}{error(self.kl_error)} nats per annotator"),
            ("excess cross-entropy", f"{self.excess_cross_entropy:.6g} nats per answer"),
            ("parameter distance", self.parameter_distance),
            ("types matched", self._matched()),
            ("index error", _show(self.index_error)),
            ("weight error", _show(self.weight_error)),
            ("regret per type", _show(self.regret)),
        ]
        if self.density_total_variation is not None:
            lines += [("density TV", _show(self.density_total_variation)), ("density KL", _show(self.density_kl))]
        if self.adjusted_rand is not None:
            lines += [("adjusted Rand", self.adjusted_rand), ("clustering accuracy", self.clustering_accuracy)]
        return lines + [("laws compared", self.settings.get("method"))]

    def _matched(self) -> str:
        """Which true type was taken for which fitted one, a line each."""
        lines = []
        for true, (fitted, nearest) in enumerate(zip(self.alignment, self.nearest, strict=True)):
            theirs = f"fitted {nearest} ({self.fitted_types[nearest]})"
            how = f"is {theirs}" if fitted >= 0 else f"is left over; the nearest is {theirs}"
            lines.append(f"true {true} ({self.true_types[true]}) {how}")
        more = [f"and {len(lines) - MOST_TYPES} more"] if len(lines) > MOST_TYPES else []
        return "\n".join([*lines[:MOST_TYPES], *more])


@runtime_checkable
class Fitted(Protocol):
    """What was fitted: anything that holds a population."""

    @property
    def population(self) -> Population:
        """The fitted population."""
        ...


@runtime_checkable
class Classifier(Fitted, Protocol):
    """What also says who is of which type."""

    @property
    def responsibilities(self) -> torch.Tensor | npt.NDArray[np.float64]:
        """Posterior probabilities ``(annotators, types)``."""
        ...


def compare_one(
    fitted: Fitted | Population,
    truth: Population,
    design: Design,
    types: npt.ArrayLike | None = None,
    *,
    max_outcomes: float = 1e6,
    draws: int = 20_000,
    seed: int = 0,
) -> Comparison:
    """:func:`annosim.compare` of one fitted population.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
        >>> compare_one(one, one, an.Design(an.Items(n=2))).kl
        0.0
    """
    population = fitted.population if isinstance(fitted, Fitted) else fitted
    if not isinstance(population, Population) or not isinstance(truth, Population):
        raise ArgumentError(f"compare({type(fitted).__name__}, {type(truth).__name__}): give fits or populations")
    laws = law_divergence(truth, population, design, max_outcomes=max_outcomes, draws=draws, seed=seed)
    alignment = align_types(population, truth, design.items)
    densities = _densities(population, truth, alignment, design.items)
    scores = _clustering(fitted, types)
    return Comparison(
        total_variation=laws.total_variation,
        kl=laws.kl,
        excess_cross_entropy=laws.excess_cross_entropy,
        alignment=alignment.match,
        nearest=alignment.nearest,
        true_types=_in_words(truth),
        fitted_types=_in_words(population),
        parameter_distance=alignment.distance,
        index_error=alignment.index_error,
        weight_error=alignment.weight_error,
        regret=favourite_regret(population, truth, alignment, design.items),
        density_total_variation=None if densities is None else densities[0],
        density_kl=None if densities is None else densities[1],
        density_kl_reverse=None if densities is None else densities[2],
        adjusted_rand=scores[0],
        clustering_accuracy=scores[1],
        total_variation_error=laws.total_variation_error,
        kl_error=laws.kl_error,
        settings={**laws.settings, "method": laws.method, "max_outcomes": max_outcomes},
    )


def _in_words(population: Population) -> tuple[str, ...]:
    """The rule and the share of each type."""
    shares = population.component_weights().detach().tolist()
    rules = [type(component.rule).__name__ for component in population.components()]
    return tuple(f"{rule}, {share:.3g}" for rule, share in zip(rules, shares, strict=True))


def favourite_regret(fitted: Population, truth: Population, alignment: Alignment, items: Items) -> np.ndarray:
    """What each true type loses when given its matched type's favourite of every prompt, in units of its index.

    When a fitted type has several favourites in a prompt, the loss is their mean.
    """
    theirs, ours = mean_indices(fitted, items), mean_indices(truth, items)
    loss = torch.zeros(len(ours), dtype=torch.float64)
    prompts = items.prompts.unique().tolist()
    for prompt in prompts:
        ids = items.members(prompt)
        best = ours[:, ids].max(-1).values
        guess = theirs[alignment.nearest][:, ids]
        top = (guess == guess.max(-1, keepdim=True).values).double()
        loss += best - (top * ours[:, ids]).sum(-1) / top.sum(-1)
    return (loss / len(prompts)).numpy()


def _densities(fitted: Population, truth: Population, alignment: Alignment, items: Items) -> np.ndarray | None:
    """Distances between the types' densities, or None unless every utility on both sides is a density."""
    theirs = [u for c in fitted.components() if isinstance(u := getattr(c, "utility", None), Density)]
    ours = [u for c in truth.components() if isinstance(u := getattr(c, "utility", None), Density)]
    if len(theirs) < len(fitted.components()) or len(ours) < len(truth.components()):
        return None
    with torch.no_grad():
        pairs = [(p, theirs[at]) for p, at in zip(ours, alignment.nearest, strict=True)]
        parts = [
            [total_variation(p, q, items), kl_divergence(p, q, items), kl_divergence(q, p, items)] for p, q in pairs
        ]
    return np.array(parts).T


def _clustering(fitted: Fitted | Population, types: npt.ArrayLike | None) -> tuple[float | None, float | None]:
    known = _true_types(fitted, types)
    if known is None or isinstance(fitted, Population) or not isinstance(fitted, Classifier):
        return None, None
    found = torch.as_tensor(fitted.responsibilities).detach().numpy().argmax(-1)
    if found.shape != known.shape:
        raise ArgumentError(f"compare(types=): shape {known.shape}, expected {found.shape}")
    return adjusted_rand(known, found), clustering_accuracy(known, found)


def _true_types(fitted: Fitted | Population, types: npt.ArrayLike | None) -> npt.NDArray[np.int64] | None:
    """True types of the annotators who answered, in the order of the responsibilities."""
    data = fitted.problem.data if isinstance(fitted, Fit) and fitted.problem is not None else None
    if types is None and isinstance(fitted, Fit):
        types = fitted.truth.get("type")
    if types is None:
        return None
    known = np.asarray(types)
    return known if data is None or known.ndim != 1 else known[np.unique(data.annotator_ids)]


def _show(values: Any) -> str:
    flat = np.asarray(values).ravel()
    text = ", ".join(f"{v:.4g}" for v in flat[:8])
    return f"[{text}{', ...' if len(flat) > 8 else ''}]"
