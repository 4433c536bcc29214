"""``annosim bench bayes``: effective draws per second of the posterior, against PyMC's sampler on the same posterior.

The unit is an effective draw of the parameter that mixes worst. The second benchmark's units are runs.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np

from annosim.bench.measure import Benchmark, Implementation, Options
from annosim.data.preferences import PreferenceData
from annosim.designs.design import Design
from annosim.items import Items
from annosim.learning.priors import Gaussian, Hierarchical
from annosim.parameters import free
from annosim.populations.annotator import Annotator
from annosim.rules.luce import Luce
from annosim.rules.scale import Scaled
from annosim.sampling.blocks import PriorLike
from annosim.sampling.extra import library
from annosim.sampling.posterior import sample_posterior
from annosim.simulation.draws import simulate
from annosim.utilities.tabular import Tabular

__all__ = ["benchmarks"]


def benchmarks(options: Options) -> list[Benchmark]:
    """The comparisons of this file."""
    return [_bradley_terry(max(int(20_000 * options.size), 200)), _scales(max(int(100 * options.size), 4))]


def _bradley_terry(votes: int) -> Benchmark:
    """4 chains of 1,000 draws; a peer's rate is its own effective draws."""
    n = 50
    truth = np.random.default_rng(0).normal(size=n)
    data = simulate(Annotator(Tabular(truth.tolist()), Luce()), Design(Items(n=n), annotators=votes), seed=0)
    model, prior = Annotator(Tabular(n), Luce()), Gaussian(2.0)
    first = sample_posterior(model, data, prior, method="nuts")
    run = lambda: sample_posterior(model, data, prior, method="nuts")  # noqa: E731
    ours = Implementation("annosim", run, float(np.minimum(first.ess, first.ess_tail).min()))
    return Benchmark(
        f"Bradley-Terry, {n} items, {votes:,} votes, 4 x 1,000 draws", "effective draws", [ours, _pymc(data)]
    )


def _scales(people: int) -> Benchmark:
    """Hierarchical scales of annotators, 50 answers each; half as many draws."""
    items = Items(n=10)
    rng = np.random.default_rng(0)
    rule = Scaled(Luce(), np.exp(0.7 * rng.normal(size=people)))
    truth = Annotator(Tabular(rng.normal(size=10).tolist()), rule)
    data = simulate(truth, Design(items, annotators=people, questions=50), seed=0)
    model = Annotator(Tabular(10), Scaled(Luce(), free(np.ones(people))))
    prior: PriorLike = {"utility.values": Gaussian(1.0), "rule.factor": Hierarchical(1.0, mean=0.0)}
    run = lambda: sample_posterior(model, data, prior, method="nuts", draws=500)  # noqa: E731
    first = run()
    ours = Implementation("annosim", run, float(np.minimum(first.ess, first.ess_tail).min()))
    return Benchmark(f"scales of {people} annotators, 50 answers each, 4 x 500 draws", "effective draws", [ours])


def _pymc(data: PreferenceData) -> Implementation:
    if importlib.util.find_spec("pymc") is None:
        return Implementation("PyMC", _nothing, 1.0, "pip install pymc")
    run, units = _pymc_model(data)
    return Implementation("PyMC", run, units)


def _nothing() -> None:
    """Of what is not installed."""


def _pymc_model(data: PreferenceData) -> tuple[Callable[[], object], float]:
    """The same posterior on win counts, by PyMC's own NUTS, and its effective draws in a first run."""
    from importlib import import_module

    pymc = import_module("pymc")
    rows, n = np.arange(data.rows), data.items.n
    wins = np.zeros((n, n))
    np.add.at(wins, (data.menu[rows, data.answer], data.menu[rows, 1 - data.answer]), 1.0)
    i, j = np.nonzero(np.triu(wins + wins.T))
    total = (wins + wins.T)[i, j].astype(int)
    with pymc.Model() as model:
        u = pymc.ZeroSumNormal("u", sigma=2.0, shape=n)
        pymc.Binomial("wins", n=total, logit_p=u[i] - u[j], observed=wins[i, j].astype(int))
    settings = {"draws": 1000, "tune": 500, "chains": 4, "progressbar": False, "random_seed": 0}

    def run() -> object:
        with model:
            return pymc.sample(**settings)

    drawn = np.asarray(run().posterior["u"])  # type: ignore[attr-defined]
    ess = library("arviz_stats.base").array_stats.ess(np.moveaxis(drawn, -1, 0), chain_axis=1, draw_axis=2)
    return run, float(np.min(ess))
