"""The classes of likelihoods, in the order in which they are asked whether they hold a problem."""

from __future__ import annotations

from annosim.errors import ArgumentError
from annosim.learning.likelihoods.autodiff import DifferentiatedLikelihood
from annosim.learning.likelihoods.base import Likelihood
from annosim.learning.likelihoods.latent_classes import LatentClasses
from annosim.learning.likelihoods.luce import LuceLinear, LuceTable
from annosim.learning.likelihoods.matrix_free import MatrixFreeClasses
from annosim.learning.likelihoods.pair_mixture import PairMixture
from annosim.learning.likelihoods.quadrature_logit import QuadratureLogit
from annosim.learning.likelihoods.row_logit import RowLogit
from annosim.learning.likelihoods.scaled_pairs import ScaledPairs
from annosim.learning.likelihoods.simulated import MixedLogit
from annosim.learning.problem import Problem

__all__ = ["LIKELIHOODS", "likelihood_of"]

LIKELIHOODS: tuple[type[Likelihood], ...] = (
    LuceTable,
    LuceLinear,
    RowLogit,
    LatentClasses,
    PairMixture,
    MatrixFreeClasses,
    QuadratureLogit,
    MixedLogit,
    ScaledPairs,
    DifferentiatedLikelihood,
)


def likelihood_of(problem: Problem, name: str | None = None) -> Likelihood:
    """The likelihood of a problem, with the curvature that standard errors need.

    Args:
        problem: its model is where derivatives are asked for.
        name: the word of the solver that found the estimate: that class is used if it applies; else the first that does.

    Raises:
        ArgumentError: no likelihood holds the problem.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 3, [0, 0, 1])
        >>> type(likelihood_of(Problem(an.Annotator(an.Tabular(2), an.Luce()), data))).__name__
        'LuceTable'
    """
    if problem.shards is not None:
        from annosim.learning.likelihoods.summed import summed_likelihood  # pyarrow takes a while to import

        return summed_likelihood(problem)
    able = [kind for kind in LIKELIHOODS if not kind.damped and kind.applies(problem)]
    for kind in sorted(able, key=lambda kind: (kind.name != name, not kind.is_automatic(problem))):
        made = kind(problem)
        if made.is_regular(problem.model):
            return made
    return _differentiated(problem)


def _differentiated(problem: Problem) -> Likelihood:
    """By automatic differentiation, also of small networks."""
    if problem.regulariser is not None:
        raise ArgumentError("this estimate is not that of the likelihood alone")
    return DifferentiatedLikelihood(problem)
