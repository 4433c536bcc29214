"""Is a posterior right? Simulation-based calibration of anybody's sampler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from annosim.checks.posterior_problems import CASES, STRATEGIES, PosteriorProblem, from_strategies
from annosim.checks.uniformity import band, uniformity_p_value
from annosim.coordinates.normalisation import canonical, interchangeable
from annosim.coordinates.observed import centred, index_moments
from annosim.data.preferences import PreferenceData
from annosim.designs.design import Design
from annosim.errors import ArgumentError, CheckError, told
from annosim.items import Items
from annosim.learning.arguments import check_level
from annosim.learning.likelihoods.reference import Blocks, block_log_likelihood
from annosim.populations.base import Population
from annosim.random import child_seed
from annosim.results import Result, versions
from annosim.sampling.blocks import PriorLike
from annosim.sampling.result import PosteriorSample, check_draws
from annosim.simulation.draws import simulate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PosteriorCheck", "Sampler", "check_posterior"]

#: quantities of each of many models
PICKED = 3

Vector = NDArray[np.float64]
#: Draws ``(S, P)`` in the order of ``model.parameter_names()``, a mean ``(P,)`` and covariance ``(P, P)``, or our own result.
Drawn: TypeAlias = Vector | tuple[Vector, Vector] | PosteriorSample
#: model, data, prior -> draws
Sampler: TypeAlias = Callable[[Population, PreferenceData, PriorLike], Drawn]


@dataclass(frozen=True, eq=False, repr=False)
class PosteriorCheck(Result):
    """Ranks of the truth among posterior draws, which are uniform if the posterior is right.

    Attributes:
        names: of the quantities, ``Q``.
        ranks: ``(simulations, Q)``, the share of draws below the truth, made continuous: uniform on (0, 1).
        p_values: ``(Q,)`` exact.
        alpha: probability of a false alarm over all quantities together, at most (Bonferroni).

    Example:
        >>> import annosim as an
        >>> def exact(model, data, prior):
        ...     return an.sample_posterior(model, data, prior, draws=100, chains=1)
        >>> an.checks.check_posterior(exact, simulations=30).holds
        True
    """

    names: tuple[str, ...]
    ranks: Vector
    p_values: Vector
    alpha: float

    @property
    def holds(self) -> bool:
        """Whether all ranks may be uniform."""
        return bool((self.p_values >= self.alpha / len(self.p_values)).all())

    @property
    def failed(self) -> tuple[str, ...]:
        """Quantities whose ranks are not uniform, with what that means."""
        bad = np.flatnonzero(self.p_values < self.alpha / len(self.p_values))
        return tuple(f"{self.names[q]}: {_shape(self.ranks[:, q])} (p {self.p_values[q]:.2g})" for q in bad)

    def plot(self, axes: Axes | None = None) -> Axes:
        """Distribution functions of the ranks less the diagonal, with the band that holds all of them; returns the axes."""
        from importlib import import_module

        plotting = import_module("annosim.plotting")
        if axes is None:
            axes = plotting.figure(width=6.4, height=4.0)[1][0, 0]
        z, low, high = band(len(self.ranks), self.alpha / len(self.names))
        plotting.band(axes, z, low - z, high - z)
        for q, name in enumerate(self.names):
            own = (self.ranks[None, :, q] <= z[:, None]).mean(1) - z
            plotting.line(axes, z, own, name if len(self.names) <= 8 else "", q)
        plotting.label(axes, "rank of the truth", "distribution function less uniform")
        return plotting.legend(axes, outside=True) if len(self.names) <= 8 else axes

    def _title(self) -> str:
        return "Simulation-based calibration"

    def _lines(self) -> list[tuple[str, object]]:
        lines: list[tuple[str, object]] = [("simulations", len(self.ranks)), ("quantities", len(self.names))]
        lines.append(("verdict", "no sign that the posterior is wrong" if self.holds else "the posterior is WRONG"))
        lines += [("wrong", text) for text in self.failed]
        lines.append(("false alarms", f"with probability {self.alpha:g} at most, over all quantities together"))
        return lines


def check_posterior(
    sampler: Sampler,
    model: Population | None = None,
    design: Design | None = None,
    prior: PriorLike | None = None,
    *,
    case: str = "pairs",
    simulations: int = 100,
    alpha: float = 1e-3,
    seed: int = 0,
) -> PosteriorCheck:
    """Simulation-based calibration (Talts et al. 2018, arXiv:1804.06788) of any posterior over preferences.

    Parameters are drawn from the prior, data from the model, and the sampler is asked. If it is right, the truth's rank
    among its draws is uniform, for every parameter and for the log-likelihood of the data, which sees what single
    parameters do not (Modrak et al. 2023, Bayesian Analysis). Uniformity is judged by simultaneous bands of the empirical
    distribution function (Sailynoja et al. 2022), whose level is computed exactly. Of types without names of their own
    only what does not depend on names is looked at.

    Args:
        sampler: ``(model, data, prior)`` to draws ``(S, P)`` in the order of ``model.parameter_names()`` (independent ones, or
            thinned), or to a mean and a covariance, or to what :func:`annosim.sample_posterior` returns. Levels that mean
            nothing are taken off.
        model: whose parameters; with ``design`` and ``prior``. By default one of the standard cases.
        design: what is asked in every simulation.
        prior: as of :func:`annosim.sample_posterior`.
        case: without ``model``: ``"pairs"`` (four items), ``"features"`` (two weights), ``"shares"`` (of two known types),
            ``"types"`` (two tables and their shares), ``"items"``, ``"scales"`` and ``"tastes"`` (hierarchies of items, of
            annotators' scales, of annotators' tastes), or ``"strategies"``: another population in every simulation, of all
            kinds of :func:`annosim.checks.strategies.free_populations` (extra ``checks``); of each, quantities picked at random.
        simulations: how many.
        alpha: probability of a false alarm.
        seed: of the simulations.

    Raises:
        CheckError: the sampler raised, or returned something else.
        ArgumentError: an unknown case, or a model without design and prior.

    Example:
        >>> import annosim as an
        >>> def overconfident(model, data, prior):
        ...     found = an.sample_posterior(model, data, prior, draws=100, chains=1)
        ...     return found.mean, found.covariance / 9
        >>> check_posterior(overconfident, simulations=60).holds
        False
    """
    check_level(alpha, "check_posterior(alpha=", "a probability of false alarms between 0 and 1")
    check_draws("check_posterior", simulations=simulations)
    rng = np.random.default_rng(child_seed(seed, "sbc"))
    if model is None and case == STRATEGIES:
        names, ranks = _over_many(sampler, simulations, seed, rng)
    else:
        names, ranks = _over_one(sampler, _asked(model, design, prior, case), simulations, seed, rng)
    p_values = np.array([uniformity_p_value(column) for column in ranks.T])
    settings = {"simulations": simulations, "seed": seed, "case": case, **versions()}
    return PosteriorCheck(names, ranks, p_values, float(alpha), settings=settings)


def _over_one(
    sampler: Sampler, asked: PosteriorProblem, simulations: int, seed: int, rng: np.random.Generator
) -> tuple[tuple[str, ...], Vector]:
    """Names of the quantities and their ranks ``(simulations, Q)``, of one model."""
    density = asked.density()
    truths = density.vectors(density.draw_prior(rng, simulations))
    rows = [_ranks(sampler, asked, v, child_seed(seed, f"sbc/{i}"), rng) for i, v in enumerate(truths)]
    return _quantity_names(asked.model, asked.design.items), np.stack(rows)


def _over_many(
    sampler: Sampler, simulations: int, seed: int, rng: np.random.Generator
) -> tuple[tuple[str, ...], Vector]:
    """Another model in every simulation, of which some quantities are picked before the data are seen."""
    rows = []
    for number, asked in enumerate(from_strategies(simulations, seed)):
        density = asked.density()
        truth = density.vectors(density.draw_prior(rng, 1))[0]
        own = len(_quantity_names(asked.model, asked.design.items)) - 1
        picked = [*rng.integers(own, size=PICKED), own]
        rows.append(_ranks(sampler, asked, truth, child_seed(seed, f"sbc/{number}"), rng)[picked])
    return (*(f"quantity picked ({i + 1})" for i in range(PICKED)), "log-likelihood"), np.stack(rows)


def _ranks(sampler: Sampler, asked: PosteriorProblem, truth: Vector, seed: int, rng: np.random.Generator) -> Vector:
    """The truth's rank among the sampler's draws, for every quantity ``(Q,)``."""
    data = simulate(asked.model.with_parameters(torch.as_tensor(truth)), asked.design, seed=seed).for_learner()
    draws = _draws(sampler, asked.model, data, asked.prior, rng)
    seen = quantities(asked.model, data, np.r_[truth[None], draws])
    ours, theirs = seen[0], seen[1:]
    below = (theirs < ours - 1e-12).sum(0)
    equal = (np.abs(theirs - ours) <= 1e-12).sum(0)
    return np.asarray((below + rng.random(len(ours)) * (equal + 1)) / (len(theirs) + 1))


def _asked(model: Population | None, design: Design | None, prior: PriorLike | None, case: str) -> PosteriorProblem:
    if model is not None:
        if design is None or prior is None:
            raise ArgumentError("check_posterior(model=): say which design= and which prior=, too")
        return PosteriorProblem(model, design, prior)
    if case not in CASES:
        raise ArgumentError(f"check_posterior(case={told(case)}): one of {', '.join((*CASES, STRATEGIES))}")
    return CASES[case]()


# ---- what is looked at -----------------------------------------------------------------------------------------------


def quantities(model: Population, data: PreferenceData, vectors: Vector) -> Vector:
    """Test quantities of parameter vectors ``(S, P)``: the parameters in the reported normalisation, or what names of types
    do not change; and the log-likelihood, ``(S, Q)``."""
    blocks, hidden = Blocks(data), interchangeable(model)

    def look(row: torch.Tensor) -> torch.Tensor:
        value = model.functional_call(row, lambda p: (blocks.weight * block_log_likelihood(p, blocks)).sum())
        if hidden:
            own = model.functional_call(row, lambda p: _invariants(p, data.items))
        else:
            own = canonical(model, data.items, row)
        return torch.cat([own, value[None]])

    with torch.no_grad():
        return torch.func.vmap(look)(torch.as_tensor(vectors)).numpy()


def _invariants(population: Population, items: Items) -> torch.Tensor:
    """Of types without names: mean and variance over types of every item's index, and the shares in order."""
    share = population.component_weights()
    index = centred(torch.stack([index_moments(one, items)[0] for one in population.components()]), items)
    mean = share @ index
    return torch.cat([mean, share @ (index - mean) ** 2, share.sort()[0]])


def _shape(ranks: Vector) -> str:
    """What ranks that are not uniform mean."""
    lean, spread = float(ranks.mean() - 0.5) * (12 * len(ranks)) ** 0.5, float(ranks.var()) * 12
    if abs(lean) > 3:
        return f"the posterior lies too {'low' if lean > 0 else 'high'}"
    if spread > 1.15:
        return "the posterior is too narrow"
    return "the posterior is too wide" if spread < 0.87 else "the posterior has another shape"


def _quantity_names(model: Population, items: Items) -> tuple[str, ...]:
    if not interchangeable(model):
        return (*model.parameter_names(), "log-likelihood")
    over = [f"{what} of item {name}" for what in ("mean", "variance") for name in items.names]
    return (*over, *(f"share {k + 1}" for k in range(len(model.components()))), "log-likelihood")


# ---- the sampler -----------------------------------------------------------------------------------------------------

#: draws that are looked at
MOST = 99


def _draws(
    sampler: Sampler, model: Population, data: PreferenceData, prior: PriorLike, rng: np.random.Generator
) -> Vector:
    try:
        found = sampler(model, data, prior)
    except Exception as error:
        raise CheckError(f"check_posterior: the sampler raised {type(error).__name__}: {error}") from error
    size = len(model.parameter_names())
    if isinstance(found, PosteriorSample):
        drawn = found.flat
    elif isinstance(found, tuple) and len(found) == 2:
        mean, covariance = (np.asarray(part, dtype=np.float64) for part in found)
        if mean.shape != (size,) or covariance.shape != (size, size):
            raise CheckError(
                f"check_posterior: a mean {mean.shape} and covariance {covariance.shape} of {size} parameters"
            )
        values, vectors = np.linalg.eigh(covariance)
        drawn = mean + (rng.standard_normal((MOST, size)) * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    else:
        drawn = np.asarray(found, dtype=np.float64)
    if drawn.ndim != 2 or drawn.shape[1] != size or not np.isfinite(drawn).all():
        raise CheckError(
            f"check_posterior: the sampler returned shape {drawn.shape}, expected finite draws (S, {size}), or (mean, covariance)"
        )
    return drawn[np.linspace(0, len(drawn) - 1, min(MOST, len(drawn))).astype(int)]
