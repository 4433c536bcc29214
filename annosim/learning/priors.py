"""Priors: penalties on utilities, each a log density that is added to the log-likelihood; never silent.

======================  ====================================================  ===================================
prior                   adds to the log-likelihood                            fits
======================  ====================================================  ===================================
``Gaussian(sd)``        ``-sum x^2 / (2 sd^2)``                               any model with free real numbers
``Ridge(penalty)``      ``-penalty sum w^2 / 2``                              linear models (features' weights)
``Dirichlet(counts)``   ``counts sum_i log softmax(s)_i`` within each prompt  tables of utilities
                        ``counts sum_k log share_k``                          the weights of a mixture
======================  ====================================================  ===================================

On a table both act on the index ``s = rule.index(u)``, what answers can tell: ``Gaussian`` on ``s`` less its mean in
each prompt. Both leave the normalisation alone, so every solver and every way to write the model has the same optimum.
``Dirichlet(c)`` is c pseudo-choices of every item from the menu of all items of its prompt, for each type, and c
pseudo-annotators of every type: the density of a Dirichlet(c + 1) distribution. In a mixture of linear types it acts on
the weights alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from annosim.errors import ArgumentError

__all__ = ["Dirichlet", "Gaussian", "Hierarchical", "Prior", "Ridge"]


@dataclass(frozen=True)
class Gaussian:
    """Independent normal priors with mean 0 and standard deviation ``sd`` on free numbers (of a table: its index).

    Raises:
        ArgumentError: ``sd`` is not positive and finite.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=2), menu=[[0, 1]], answer=[0])
        >>> fit = an.fit(an.Annotator(an.Tabular(2), an.Luce()), data, prior=an.priors.Gaussian(1.0))
        >>> fit.converged, "decided" in fit.notes[0]
        (True, True)
    """

    sd: float = 1.0

    def __post_init__(self) -> None:
        _positive("Gaussian(sd=)", self.sd)

    @property
    def precision(self) -> float:
        """``1 / sd^2``."""
        return 1.0 / self.sd**2


@dataclass(frozen=True)
class Ridge:
    """``penalty * |w|^2 / 2`` taken off the log-likelihood of a linear model (not scaled by the number of answers).

    Example:
        >>> Ridge(2.0).precision
        2.0
    """

    penalty: float = 1.0

    def __post_init__(self) -> None:
        _positive("Ridge(penalty=)", self.penalty)

    @property
    def precision(self) -> float:
        """The penalty itself."""
        return float(self.penalty)


@dataclass(frozen=True)
class Dirichlet:
    """``counts`` pseudo-choices of every item of a table, and pseudo-annotators of every type of a mixture.

    Example:
        >>> Dirichlet(0.5).counts
        0.5
    """

    counts: float = 1.0

    def __post_init__(self) -> None:
        _positive("Dirichlet(counts=)", self.counts)


@dataclass(frozen=True)
class Hierarchical:
    r"""Numbers of many alike (skills of annotators, utilities of items) around a mean, with a spread that is estimated.

    ``x_i = m + t e_i`` with ``e_i`` standard normal, ``t`` half-normal with scale ``spread``, and ``m`` normal with standard
    deviation ``mean`` (0: ``m`` is zero, for scales beside a free table, whose own scale it is); on the logarithm of positive numbers, on log odds of probabilities. A table has ``m = 0``: the mean
    of utilities means nothing. For :func:`annosim.sample_posterior` alone.

    Raises:
        ArgumentError: a scale that is not positive and finite.

    Example:
        >>> Hierarchical(spread=0.5).mean
        1.0
    """

    spread: float = 1.0
    mean: float = 1.0

    def __post_init__(self) -> None:
        _positive("Hierarchical(spread=)", self.spread)
        if self.mean != 0:
            _positive("Hierarchical(mean=)", self.mean)


#: what ``prior=`` takes
Prior: TypeAlias = Gaussian | Dirichlet | Ridge


def _positive(label: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < float(value) < np.inf:
        raise ArgumentError(f"{label} {value!r}: a finite number above 0")
