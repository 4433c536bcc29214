"""What a posterior is asked: models with designs and proper priors, single ones and those of the strategies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from annosim.constraints import Constraint
from annosim.designs.design import Design
from annosim.feedback import Feedback
from annosim.items import Items
from annosim.learning.priors import Dirichlet, Gaussian, Hierarchical
from annosim.learning.problem import Problem
from annosim.parameters import fixed, free
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.populations.gated import Gated
from annosim.populations.mixture import Mixture
from annosim.populations.random_coefficients import RandomCoefficients
from annosim.rules.luce import Luce
from annosim.rules.scale import Scaled
from annosim.sampling.blocks import PriorLike
from annosim.sampling.density import LogPosterior
from annosim.simulation.draws import simulate
from annosim.utilities.linear import Linear
from annosim.utilities.tabular import Tabular

__all__ = ["CASES", "STRATEGIES", "PosteriorProblem", "from_strategies"]

#: the case that has another population in every simulation
STRATEGIES = "strategies"


@dataclass(frozen=True)
class PosteriorProblem:
    """A model, what it is asked, and what is believed before."""

    model: Population
    design: Design
    prior: PriorLike

    def density(self) -> LogPosterior:
        """The posterior of some data: for its coordinates and its prior."""
        return LogPosterior(Problem(self.model, simulate(self.model, self.design, seed=0).for_learner()), self.prior)


def _pairs() -> PosteriorProblem:
    return PosteriorProblem(Annotator(Tabular(4), Luce()), Design(Items(n=4), annotators=24), Gaussian(1.0))


def _features() -> PosteriorProblem:
    design = Design(Items.normal(5, 2, seed=0), menu_size=3, annotators=20)
    return PosteriorProblem(Annotator(Linear(2), Luce()), design, Gaussian(1.0))


def _shares() -> PosteriorProblem:
    kinds = [Annotator(Tabular(fixed([0.0, s, 2 * s])), Luce()) for s in (1.5, -0.5)]
    return PosteriorProblem(Mixture(kinds), Design(Items(n=3), annotators=20, questions=3), Dirichlet(1.0))


def _types() -> PosteriorProblem:
    kinds = [Annotator(Tabular([0.0, s, 2 * s]), Luce()) for s in (1.0, -1.0)]
    prior: PriorLike = {"types.*": Gaussian(1.0), "weights": Dirichlet(1.0)}
    return PosteriorProblem(Mixture(kinds), Design(Items(n=3), annotators=25, questions=3), prior)


def _items() -> PosteriorProblem:
    return PosteriorProblem(Annotator(Tabular(5), Luce()), Design(Items(n=5), annotators=30), Hierarchical(1.0))


def _scales() -> PosteriorProblem:
    model = Annotator(Tabular(3), Scaled(Luce(), free([1.0] * 4)))
    prior: PriorLike = {"utility.values": Gaussian(1.0), "rule.factor": Hierarchical(0.7)}
    return PosteriorProblem(model, Design(Items(n=3), annotators=4, questions=10), prior)


def _tastes() -> PosteriorProblem:
    model = RandomCoefficients([0.0, 0.0], [1.0, 1.0], Luce(), points=10)
    prior: PriorLike = {"mean": Gaussian(1.0), "scale": Gaussian(0.5)}
    return PosteriorProblem(model, Design(Items.normal(4, 2, seed=0), annotators=10, questions=4), prior)


CASES: dict[str, Callable[[], PosteriorProblem]] = {
    "pairs": _pairs,
    "features": _features,
    "shares": _shares,
    "types": _types,
    "items": _items,
    "scales": _scales,
    "tastes": _tastes,
}


def from_strategies(count: int, seed: int) -> list[PosteriorProblem]:
    """Populations of :func:`annosim.checks.strategies.free_populations`, with pairs to judge and normal priors.

    Shares have a uniform prior, all other numbers ``Gaussian(1)``: positive ones on their logarithm, probabilities on
    their log odds.

    Args:
        count: how many.
        seed: of the populations.

    Raises:
        MissingDependencyError: hypothesis is not installed.

    Example:
        >>> len(from_strategies(3, seed=0))
        3
    """
    from annosim.checks import strategies as st  # the extra checks

    items = Items.normal(4, 2, seed=0)
    return [
        _problem(model, feedback, items) for model, feedback in st.examples(st.free_populations(items), count, seed)
    ]


def _problem(model: Population, feedback: Feedback, items: Items) -> PosteriorProblem:
    people = len(model.covariates) if isinstance(model, Gated) else 6
    prior: dict[str, Gaussian | Dirichlet | Hierarchical] = {
        name: Gaussian(1.0)
        for name, p in model.named_parameters()
        if p.requires_grad and model.constraint_of(name) != Constraint.SIMPLEX
    }
    design = Design(items, menu_size=2, annotators=people, questions=5, feedback=feedback)
    return PosteriorProblem(model, design, prior)
