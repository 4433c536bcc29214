"""``annosim bench bayes``: effective draws per second of the posterior, against PyMC's sampler on the same posterior.

The unit is an effective draw, in the bulk and in the tails, of the number that mixes worst. PyMC is measured where it is
installed.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annosim.bench.measure import Benchmark, Implementation, Options, machine
from annosim.data.preferences import PreferenceData
from annosim.designs.design import Design
from annosim.extras import library
from annosim.items import Items
from annosim.learning.priors import Gaussian, Hierarchical
from annosim.parameters import free
from annosim.populations.annotator import Annotator
from annosim.rules.luce import Luce
from annosim.rules.scale import Scaled
from annosim.sampling.blocks import PriorLike
from annosim.sampling.posterior import sample_posterior
from annosim.sampling.result import PosteriorSample
from annosim.simulation.draws import simulate
from annosim.utilities.tabular import Tabular

__all__ = ["benchmarks"]

Vector = NDArray[np.float64]


def benchmarks(options: Options) -> list[Benchmark]:
    """The comparisons of this file."""
    return [_bradley_terry(max(int(20_000 * options.size), 200)), _scales(max(int(100 * options.size), 4))]


def _bradley_terry(votes: int) -> Benchmark:
    """4 chains of 1,000 draws; everybody's rate is of their own effective draws."""
    n = 50
    truth = np.random.default_rng(0).normal(size=n)
    data = simulate(Annotator(Tabular(truth.tolist()), Luce()), Design(Items(n=n), annotators=votes), seed=0)
    model, prior = Annotator(Tabular(n), Luce()), Gaussian(2.0)
    ours = _ours(lambda: sample_posterior(model, data, prior, method="nuts"))
    title = f"Bradley-Terry, {n} items, {votes:,} votes, 4 x 1,000 draws"
    return Benchmark(title, "effective draws", [ours, _pymc(lambda: _pymc_wins(data), ("u",), 1000)])


def _scales(people: int) -> Benchmark:
    """Hierarchical scales of annotators, 50 answers each; half as many draws."""
    items = Items(n=10)
    rng = np.random.default_rng(0)
    rule = Scaled(Luce(), np.exp(0.7 * rng.normal(size=people)))
    truth = Annotator(Tabular(rng.normal(size=10).tolist()), rule)
    data = simulate(truth, Design(items, annotators=people, questions=50), seed=0)
    model = Annotator(Tabular(10), Scaled(Luce(), free(np.ones(people))))
    prior: PriorLike = {"utility.values": Gaussian(1.0), "rule.factor": Hierarchical(1.0, mean=0.0)}
    ours = _ours(lambda: sample_posterior(model, data, prior, method="nuts", draws=500))
    title = f"scales of {people} annotators, 50 answers each, 4 x 500 draws"
    return Benchmark(title, "effective draws", [ours, _pymc(lambda: _pymc_scales(data), ("u", "factor"), 500)])


def _ours(run: Callable[[], PosteriorSample]) -> Implementation:
    first = run()
    return Implementation("annosim", _after(first, run), _least(first.vectors))


def _after(first: object, run: Callable[[], object]) -> Callable[[], object]:
    """``run``, whose uncounted first call was made already, to count effective draws."""
    made = [first]
    return lambda: made.pop() if made else run()


def _least(draws: Vector) -> float:
    """Effective draws, in the bulk and in the tails, of the number that mixes worst; ``(chains, draws, P)``."""
    stats = library("arviz_stats.base", "bayes").array_stats
    at = {"chain_axis": 1, "draw_axis": 2}
    numbers = np.moveaxis(draws, -1, 0)
    bulk = stats.ess(numbers, **at, method="bulk")
    return float(np.minimum(bulk, stats.ess(numbers, **at, method="tail", prob=(0.05, 0.95))).min())


def _pymc(build: Callable[[], Any], names: tuple[str, ...], draws: int) -> Implementation:
    """PyMC's own sampler on the model that ``build()`` makes; its numbers are called ``names``."""
    if importlib.util.find_spec("pymc") is None:
        return Implementation("PyMC", lambda: None, 1.0, "pip install pymc")
    pymc = importlib.import_module("pymc")
    model = build()
    settings = {"draws": draws, "tune": 500, "chains": 4, "cores": min(4, machine()["cores"]), "random_seed": 0}

    def run() -> Any:
        with model:
            return pymc.sample(**settings, progressbar=False, quiet=True)

    first = run()
    drawn = np.concatenate([np.asarray(first.posterior[name]) for name in names], -1)
    return Implementation("PyMC", _after(first, run), _least(drawn))


def _pymc_wins(data: PreferenceData) -> Any:
    """Bradley-Terry on counts of wins: the same posterior."""
    pymc = importlib.import_module("pymc")
    rows, n = np.arange(data.rows), data.items.n
    wins = np.zeros((n, n))
    np.add.at(wins, (data.menu[rows, data.answer], data.menu[rows, 1 - data.answer]), 1.0)
    i, j = np.nonzero(np.triu(wins + wins.T))
    total = (wins + wins.T)[i, j].astype(int)
    with pymc.Model() as model:
        u = pymc.ZeroSumNormal("u", sigma=2.0, shape=n)
        pymc.Binomial("wins", n=total, logit_p=u[i] - u[j], observed=wins[i, j].astype(int))
    return model


def _pymc_scales(data: PreferenceData) -> Any:
    """Scales with a half-normal spread, not centred: the same posterior."""
    pymc = importlib.import_module("pymc")
    menu, who = np.asarray(data.menu), np.asarray(data.annotator)
    with pymc.Model() as model:
        u = pymc.ZeroSumNormal("u", sigma=1.0, shape=data.items.n)
        spread = pymc.HalfNormal("spread", 1.0)
        factor = pymc.Deterministic("factor", pymc.math.exp(spread * pymc.Normal("e", shape=data.num_annotators)))
        gap = factor[who] * (u[menu[:, 1]] - u[menu[:, 0]])
        pymc.Bernoulli("answer", logit_p=gap, observed=np.asarray(data.answer))
    return model
