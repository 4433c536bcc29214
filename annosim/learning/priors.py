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
each prompt. Both leave the gauge alone, so every solver and every way to write the model has the same optimum.
``Dirichlet(c)`` is c pseudo-choices of every item from the menu of all items of its prompt, for each type, and c
pseudo-annotators of every type: the density of a Dirichlet(c + 1) distribution. In a mixture of linear types it acts on
the weights alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch

from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.parameters import behaves_as
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.utilities.densities import LogDensity
from annosim.utilities.tabular import Tabular

__all__ = ["Dirichlet", "Gaussian", "LogPrior", "MixturePenalty", "Prior", "Ridge", "penalty_for", "share_counts"]


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


#: what ``prior=`` takes
Prior: TypeAlias = Gaussian | Dirichlet | Ridge


def _positive(label: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < float(value) < np.inf:
        raise ArgumentError(f"{label} {value!r}: a finite number above 0")


class Quadratic:
    """``-precision |x|^2 / 2`` on the weights of features."""

    keeps_gauge = False

    def __init__(self, prior: Any, size: int):
        self.prior, self.precision, self.size, self.weight = prior, prior.precision, size, prior.precision

    def value(self, x: np.ndarray) -> float:
        """Log density without its constant."""
        return -0.5 * self.precision * float(x @ x)

    def all(self, x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Value, gradient, information."""
        return self.value(x), -self.precision * x, self.precision * np.eye(self.size)

    def __str__(self) -> str:
        return f"prior {self.prior}"


class _OnTable:
    """A penalty on an index ``s (n,)`` that does not change when a number is added to a prompt: it keeps the gauge."""

    keeps_gauge = True

    def __init__(self, prior: Any, items: Items, weight: float):
        self.prior, self.weight, self.n = prior, float(weight), items.n
        self.code = np.unique(items.prompts.numpy(), return_inverse=True)[1].reshape(-1)
        self.size = np.bincount(self.code)

    def _mean(self, v: np.ndarray) -> np.ndarray:
        return (np.bincount(self.code, v) / self.size)[self.code]

    def value(self, s: np.ndarray) -> float:
        """Log density without its constant."""
        return self.value_gradient(s)[0]

    def value_gradient(self, s: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient ``(n,)``."""
        raise TypeError(f"{type(self).__name__} must define value_gradient(s)")

    def curvature(self, s: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Information at ``s`` as a function ``v -> H v``."""
        raise TypeError(f"{type(self).__name__} must define curvature(s)")

    def all(self, s: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Value, gradient, information ``(n, n)``."""
        product = self.curvature(s)
        return *self.value_gradient(s), np.stack([product(row) for row in np.eye(self.n)])

    def __str__(self) -> str:
        return f"prior {self.prior}"


class CentredQuadratic(_OnTable):
    """``-precision |s - mean|^2 / 2``, the mean taken in each prompt."""

    def __init__(self, prior: Any, items: Items):
        super().__init__(prior, items, prior.precision)

    def value_gradient(self, s: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient ``(n,)``."""
        away = s - self._mean(s)
        return -0.5 * self.weight * float(away @ away), -self.weight * away

    def curvature(self, s: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Information as ``v -> precision (v - mean)``."""
        return lambda v: self.weight * (v - self._mean(v))

    def diagonal(self, s: np.ndarray) -> np.ndarray:
        """Diagonal of the information, ``(n,)``."""
        return self.weight * (1.0 - 1.0 / self.size[self.code])


class PseudoCounts(_OnTable):
    """Dirichlet pseudo-choices within each prompt."""

    def __init__(self, prior: Dirichlet, items: Items):
        super().__init__(prior, items, prior.counts)

    def _log_shares(self, s: np.ndarray) -> np.ndarray:
        top = np.full(len(self.size), -np.inf)
        np.maximum.at(top, self.code, s)
        away = s - top[self.code]
        return away - np.log(np.bincount(self.code, np.exp(away)))[self.code]

    def value_gradient(self, s: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient ``(n,)``."""
        log_p = self._log_shares(s)
        return self.weight * float(log_p.sum()), self.weight * (1.0 - self.size[self.code] * np.exp(log_p))

    def curvature(self, s: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Information as ``v -> counts n (p v - p (p'v))``."""
        p, mass = np.exp(self._log_shares(s)), self.weight * self.size[self.code]
        return lambda v: mass * p * (v - np.bincount(self.code, p * v)[self.code])

    def diagonal(self, s: np.ndarray) -> np.ndarray:
        """Diagonal of the information, ``(n,)``."""
        p = np.exp(self._log_shares(s))
        return self.weight * self.size[self.code] * p * (1.0 - p)


def penalty_for(prior: Any, kind: str, size: int, items: Items) -> Any:
    """The penalty object of a prior for a tabular or linear model, or ``None``; an unfit prior raises."""
    if prior is None:
        return None
    if kind == "tabular" and isinstance(prior, Dirichlet):
        return PseudoCounts(prior, items)
    if kind == "tabular" and isinstance(prior, Gaussian):
        return CentredQuadratic(prior, items)
    if kind != "tabular" and isinstance(prior, Gaussian | Ridge):
        return Quadratic(prior, size)
    fits = {
        "tabular": "an.priors.Gaussian(sd), an.priors.Dirichlet(counts)",
        "linear": "an.priors.Gaussian(sd), an.priors.Ridge(penalty)",
    }
    raise ArgumentError(f"prior={prior!r} does not fit a {kind} model; use {fits.get(kind, 'an.priors.Gaussian(sd)')}")


# ---- any population --------------------------------------------------------------------------------------------------


class LogPrior:
    """A prior's log density on any population, differentiable; and in words, what it acts on.

    Args:
        prior: one of the three.
        model: its free parameters decide what the prior acts on.
        items: the items (their prompts are gauges of their own).

    Raises:
        ArgumentError: the prior acts on nothing in this model.

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular(2), an.Luce()) for _ in range(2)])
        >>> print(LogPrior(Dirichlet(1.0), two, an.Items(n=2)))
        the choice shares of 2 tables, the shares of the types
    """

    def __init__(self, prior: Any, model: Population, items: Items):
        self.prior, self.items = prior, items
        free = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.tables: dict[str, bool] = {}
        for name, one in model.named_modules():
            if isinstance(one, Annotator):
                found = table_name(one)
                if found is not None and free.pop(_join(name, found), None) is not None:
                    self.tables[name] = one.rule.absolute
        real = [name for name in free if model.constraint_of(name) in ("real", "centred")]
        self.simplices = [name for name in free if model.constraint_of(name) == "simplex"]
        if isinstance(prior, Dirichlet):
            self.numbers: list[str] = []
        else:
            self.simplices = []
            if isinstance(prior, Ridge):
                self.tables = {}
                real = [name for name in real if name.endswith("utility.weights") or name.endswith("energy.weights")]
            self.numbers = real
        if not (self.tables or self.numbers or self.simplices):
            raise ArgumentError(
                f"prior={prior!r} acts on nothing in this model ({', '.join(_shown(model))}); an.priors.Dirichlet(counts) is "
                "for tables and the weights of a mixture, an.priors.Ridge(penalty) for linear utilities, an.priors.Gaussian(sd) for "
                "any free number"
            )

    def value(self, population: Population) -> torch.Tensor:
        """Log density without its constant, of the same model at other parameter values."""
        modules, numbers = dict(population.named_modules()), dict(population.named_parameters())
        total = torch.zeros((), dtype=torch.float64)
        for name, absolute in self.tables.items():
            index = modules[name].index(self.items).double()
            counts = isinstance(self.prior, Dirichlet)
            total = total + (self._counts(index) if counts else self._square(index, absolute))
        for name in self.numbers:
            value = numbers[name].double()
            if population.constraint_of(name) == "centred":
                value = value - value.mean(-1, keepdim=True)
            total = total - 0.5 * self.prior.precision * (value**2).sum()
        for name in self.simplices:
            share = numbers[name].double()
            total = total + self.prior.counts * (share / share.sum()).log().sum()
        return total

    def _counts(self, index: torch.Tensor) -> torch.Tensor:
        groups = [self.items.prompts == p for p in self.items.prompts.unique()]
        return self.prior.counts * sum(torch.log_softmax(index[g], -1).sum() for g in groups)

    def _square(self, index: torch.Tensor, absolute: bool) -> torch.Tensor:
        from annosim.coordinates import centred

        return -0.5 * self.prior.precision * ((index if absolute else centred(index, self.items)) ** 2).sum()

    def __str__(self) -> str:
        what = []
        if self.tables:
            kind = "choice shares" if isinstance(self.prior, Dirichlet) else "utilities"
            what.append(f"the {kind} of {len(self.tables)} table{'s' * (len(self.tables) > 1)}")
        if self.numbers:
            what.append(", ".join(self.numbers[:4]) + (f" and {len(self.numbers) - 4} more" * (len(self.numbers) > 4)))
        if self.simplices:
            what.append("the shares of the types")
        return ", ".join(what)


def table_name(one: Annotator) -> str | None:
    """Name of an annotator's table of utilities within it, or ``None``."""
    density = behaves_as(one.utility, LogDensity, "forward")
    table = one.utility.energy if density else one.utility
    if not behaves_as(table, Tabular, "forward"):
        return None
    return "utility.energy.values" if density else "utility.values"


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _shown(model: Population) -> list[str]:
    names = list(model.free_parameters())
    return names[:4] + ["..."] * (len(names) > 4)


class MixturePenalty:
    """A prior in the coordinates of a panel: weights of each type ``(K, d)``, then ``K - 1`` log-ratios of shares.

    Args:
        prior: one of the three.
        maps: ``(n, d)`` for each type: its index is ``map @ w + offset``; ``None`` for types without a prior.
        offset: ``(K, n)``.
        kinds: of each type, ``"tabular"``, ``"linear"`` or ``"known"``.
        weights_free: the shares are estimated.
        items: the items.

    Raises:
        ArgumentError: the prior does not fit types of this kind.
    """

    def __init__(
        self, prior: Any, maps: list[np.ndarray], offset: np.ndarray, kinds: list[str], weights_free: bool, items: Items
    ):
        self.maps, self.offset, self.types, self.d = maps, offset, len(kinds), maps[0].shape[1]
        counts = float(prior.counts) if isinstance(prior, Dirichlet) else 0.0
        self.counts = counts if weights_free else 0.0
        self.parts = [
            None if kind == "known" or (kind == "linear" and counts) else penalty_for(prior, kind, self.d, items)
            for kind in kinds
        ]
        self.tabular = [kind == "tabular" for kind in kinds]

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Value, gradient ``(P,)`` and information ``(P, P)``."""
        d, base = self.d, self.types * self.d
        value, gradient, information = 0.0, np.zeros(len(theta)), np.zeros((len(theta), len(theta)))
        for t, part in enumerate(self.parts):
            if part is None:
                continue
            at = slice(t * d, (t + 1) * d)
            if self.tabular[t]:
                v, g, h = part.all(self.maps[t] @ theta[at] + self.offset[t])
                g, h = self.maps[t].T @ g, self.maps[t].T @ h @ self.maps[t]
            else:
                v, g, h = part.all(theta[at])
            value, gradient[at], information[at, at] = value + v, g, h
        if self.counts:
            v, gradient[base:], information[base:, base:] = share_counts(theta[base:], self.counts)
            value += v
        return value, gradient, information


def share_counts(ratio: np.ndarray, counts: float) -> tuple[float, np.ndarray, np.ndarray]:
    """``counts sum_k log share_k``, its gradient and information in the log-ratios to the last type ``(K - 1,)``.

    Example:
        >>> share_counts(np.zeros(1), 1.0)[1].tolist()
        [0.0]
    """
    full = np.r_[ratio, 0.0]
    log_share = full - np.logaddexp.reduce(full)
    share, mass = np.exp(log_share[:-1]), counts * len(full)
    return counts * float(log_share.sum()), counts - mass * share, mass * (np.diag(share) - np.outer(share, share))
