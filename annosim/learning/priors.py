"""Priors: penalties on utilities, each a log density that is added to the log-likelihood; never silent.

======================  ====================================================  ===================================
prior                   adds to the log-likelihood                            fits
======================  ====================================================  ===================================
``Gaussian(sd)``        ``-sum u^2 / (2 sd^2)``                               any model with free real numbers
``Ridge(penalty)``      ``-penalty sum w^2 / 2``                              linear models (features' weights)
``Dirichlet(counts)``   ``counts sum_i log softmax(u)_i`` within each prompt  tabular models
======================  ====================================================  ===================================

``Dirichlet(c)`` is c pseudo-choices of every item from the menu of all items of its prompt: the density of a
Dirichlet(c + 1) distribution of the choice shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from annosim.errors import ArgumentError
from annosim.items import Items

__all__ = ["Dirichlet", "Gaussian", "Ridge", "penalty_for"]


@dataclass(frozen=True)
class Gaussian:
    """Independent normal priors with mean 0 and standard deviation ``sd`` on free utilities (a table's index).

    Raises:
        ArgumentError: ``sd`` is not positive and finite.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=2), menu=[[0, 1]], answer=[0])
        >>> fit = an.fit(an.Annotator(an.Tabular(2), an.Luce()), data, prior=an.Gaussian(1.0))
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
    """``counts`` pseudo-choices of every item from the menu of all items of its prompt.

    Example:
        >>> Dirichlet(0.5).counts
        0.5
    """

    counts: float = 1.0

    def __post_init__(self) -> None:
        _positive("Dirichlet(counts=)", self.counts)


def _positive(label: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < float(value) < np.inf:
        raise ArgumentError(f"{label} {value!r}: a finite number above 0")


class Quadratic:
    """``-precision |x|^2 / 2``."""

    keeps_gauge = False

    def __init__(self, prior: Any, size: int):
        self.prior, self.precision, self.size, self.weight = prior, prior.precision, size, prior.precision

    def value(self, x: np.ndarray) -> float:
        """Log density without its constant."""
        return -0.5 * self.precision * float(x @ x)

    def all(self, x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Value, gradient, information."""
        return self.value(x), -self.precision * x, self.precision * np.eye(self.size)

    def torch_value(self, x: torch.Tensor) -> torch.Tensor:
        """The value, differentiable."""
        return -0.5 * self.precision * (x**2).sum()

    def __str__(self) -> str:
        return f"prior {self.prior}"


class PseudoCounts:
    """Dirichlet pseudo-choices within each prompt."""

    keeps_gauge = True

    def __init__(self, prior: Dirichlet, items: Items):
        self.prior, self.counts = prior, float(prior.counts)
        prompts = items.prompts.numpy()
        self.groups = [np.flatnonzero(prompts == p) for p in np.unique(prompts)]
        self.weight = self.counts

    def value(self, s: np.ndarray) -> float:
        """Log density without its constant."""
        from scipy.special import log_softmax

        return float(sum(self.counts * log_softmax(s[g]).sum() for g in self.groups))

    def all(self, s: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Value, gradient, information."""
        from scipy.special import log_softmax

        value, gradient, information = 0.0, np.zeros(len(s)), np.zeros((len(s), len(s)))
        for g in self.groups:
            log_p = log_softmax(s[g])
            p, mass = np.exp(log_p), self.counts * len(g)
            value += self.counts * float(log_p.sum())
            gradient[g] += self.counts - mass * p
            information[np.ix_(g, g)] += mass * (np.diag(p) - np.outer(p, p))
        return value, gradient, information

    def __str__(self) -> str:
        return f"prior {self.prior}"


def penalty_for(prior: Any, kind: str, size: int, items: Items) -> Any:
    """The penalty object of a prior for a tabular or linear model, or ``None``; an unfit prior raises."""
    if prior is None:
        return None
    if isinstance(prior, Dirichlet) and kind == "tabular":
        return PseudoCounts(prior, items)
    if isinstance(prior, Gaussian) or (isinstance(prior, Ridge) and kind != "tabular"):
        return Quadratic(prior, size)
    fits = {"tabular": "an.Gaussian(sd), an.Dirichlet(counts)", "linear": "an.Gaussian(sd), an.Ridge(penalty)"}
    raise ArgumentError(f"prior={prior!r} does not fit a {kind} model; use {fits.get(kind, 'an.Gaussian(sd)')}")
