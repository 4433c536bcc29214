"""The verb ``sample_posterior``: draws from the posterior of a model's parameters."""

from __future__ import annotations

import os
from typing import Literal

import numpy as np

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, told
from annosim.learning.arguments import check_model, models_of
from annosim.learning.likelihoods.reference import check_answers
from annosim.learning.problem import Problem
from annosim.learning.structure import has_network
from annosim.populations.base import Population
from annosim.random import check_seed
from annosim.results import versions
from annosim.sampling.blocks import PriorLike
from annosim.sampling.density import LogPosterior
from annosim.sampling.methods import Draws, laplace, nuts
from annosim.sampling.naming import one_name_each
from annosim.sampling.result import PosteriorSample, check_draws
from annosim.simulation.draws import to_cpu

__all__ = ["sample_posterior"]

Method = Literal["laplace", "nuts"]
#: draws from the prior, to be held against the posterior
PRIOR_DRAWS = 2000
#: draws from the prior, of which the likeliest is where the search for the mode begins
STARTS = 20


def sample_posterior(
    model: Population,
    data: PreferenceData,
    prior: PriorLike,
    *,
    method: Method = "laplace",
    draws: int = 1000,
    tune: int = 500,
    chains: int = 4,
    seed: int = 0,
) -> PosteriorSample:
    """Draws from the posterior of the free parameters of ``model``, given ``data``.

    Needs the extra ``bayes``: ``pip install "annosim[bayes]"``.

    Args:
        model: a population; its free parameters are sampled, hidden types and random tastes are summed or integrated out.
        data: the answers.
        prior: one prior for all tables and real numbers, or priors by the names of parameters (``*`` for any text):
            ``{"utility.values": an.priors.Gaussian(2.0), "rule.skill": an.priors.Hierarchical(spread=1.0)}``. Every
            number needs a proper one; shares are uniform on the simplex unless said otherwise. ``Gaussian`` and
            ``Hierarchical`` are on the logarithm of positive numbers and on log odds of probabilities.
        method: ``"laplace"``: the normal approximation at the mode, cheap, drawn again by importance weights, whose Pareto k
            says whether that holds; ``"nuts"``: the No-U-Turn sampler.
        draws: of each chain.
        tune: steps of each chain before, thrown away.
        chains: how many.
        seed: of the draws.

    Raises:
        MissingDependencyError: the extra is not installed.
        ArgumentError: a number without a proper prior, networks, replicates.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(names=["tea", "milk", "juice"]), [[0, 1]] * 30, [0] * 20 + [1] * 10)
        >>> found = sample_posterior(an.Annotator(an.Tabular(3), an.Luce()), data, an.priors.Gaussian(1.0))
        >>> found.to_frame()["says"].iloc[2]  # nobody was asked about juice
        'prior: the data say nothing of it'
    """
    problem = _problem(model, data)
    if method not in ("laplace", "nuts"):
        raise ArgumentError(f"sample_posterior(method={told(method)}): 'laplace' or 'nuts'")
    check_draws("sample_posterior", draws=draws, tune=tune, chains=chains)
    check_seed(seed)
    density = LogPosterior(problem, prior)
    rng = np.random.default_rng(seed)
    start = max(density.draw_prior(rng, STARTS), key=lambda y: density(y)[0])  # not where all types are alike
    if method == "laplace":
        found = laplace(density, start, draws, chains, seed)
    else:
        found = nuts(density, start, draws, tune, chains, seed, min(chains, os.cpu_count() or 1))
    return _result(density, found, method, draws, rng, {"seed": seed, "tune": tune})


def _problem(model: Population, data: PreferenceData) -> Problem:
    if not isinstance(data, PreferenceData):
        raise ArgumentError(
            f"sample_posterior(data={told(data)}): give an.PreferenceData, or read a file with an.io.read(...)"
        )
    if data.replicates is not None:
        raise ArgumentError("sample_posterior(data=): one replicate at a time: data[r]")
    (one,) = models_of("sample_posterior", model, data)
    data = to_cpu(data).for_learner()
    if data.annotator_names is not None:
        one = one.for_annotators(data.annotator_names)
    check_model("sample_posterior", one, data.items, None)
    if has_network(one):
        raise ArgumentError(
            "sample_posterior(model=): networks are not sampled; an.utilities.Ensemble shows what they do not know"
        )
    check_answers(one, data)
    return Problem(one, data)


def _result(
    density: LogPosterior, found: Draws, method: str, draws: int, rng: np.random.Generator, settings: dict[str, object]
) -> PosteriorSample:
    size = density.size
    drawn, lp = (found.y, found.stats["lp"]) if found.pool is None else (found.pool, found.pool_lp)
    vectors = density.vectors(drawn.reshape(-1, size))
    vectors = one_name_each(density.model, density.items, vectors, np.asarray(lp, dtype=np.float64).ravel())
    pool = None if found.pool is None else vectors
    vectors = vectors if found.chosen is None else vectors[found.chosen]
    return PosteriorSample(
        model=density.model,
        items=density.items,
        method=method,
        names=tuple(density.model.parameter_names()),
        vectors=vectors.reshape(*found.y.shape[:2], -1),
        prior_vectors=density.vectors(density.draw_prior(rng, PRIOR_DRAWS)),
        stats=found.stats,
        pareto_k=found.pareto_k,
        density=density,
        draws=found,
        pool_vectors=pool,
        settings={**settings, **versions()},
    )
