"""What a prior adds to the log-likelihood: on a table, on weights of features, on a mixture, on any population."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from annosim.coordinates import centred
from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.learning.priors import Dirichlet, Gaussian, Prior, Ridge
from annosim.parameters import behaves_as
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.utilities.densities import LogDensity
from annosim.utilities.tabular import Tabular

__all__ = [
    "LogPrior",
    "MixturePenalty",
    "TablePenalty",
    "share_counts",
    "table_name",
    "table_penalty",
    "weights_penalty",
]


class Quadratic:
    """``-precision |x|^2 / 2`` on the weights of features."""

    def __init__(self, prior: Gaussian | Ridge, size: int):
        self.prior, self.precision, self.size, self.weight = prior, prior.precision, size, prior.precision

    def value(self, x: np.ndarray) -> float:
        """Log density without its constant."""
        return -0.5 * self.precision * float(x @ x)

    def all(self, x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Value, gradient, information."""
        return self.value(x), -self.precision * x, self.precision * np.eye(self.size)

    def __str__(self) -> str:
        return f"prior {self.prior}"


class TablePenalty:
    """A penalty on an index ``s (n,)`` that does not change when a number is added to a prompt: it keeps the normalisation."""

    def __init__(self, prior: Gaussian | Dirichlet, items: Items, weight: float):
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

    def diagonal(self, s: np.ndarray) -> np.ndarray:
        """Diagonal of the information, ``(n,)``."""
        raise TypeError(f"{type(self).__name__} must define diagonal(s)")

    def all(self, s: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Value, gradient, information ``(n, n)``."""
        product = self.curvature(s)
        return *self.value_gradient(s), np.stack([product(row) for row in np.eye(self.n)])

    def __str__(self) -> str:
        return f"prior {self.prior}"


class CentredQuadratic(TablePenalty):
    """``-precision |s - mean|^2 / 2``, the mean taken in each prompt."""

    def __init__(self, prior: Gaussian, items: Items):
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


class PseudoCounts(TablePenalty):
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


def table_penalty(prior: Prior, items: Items) -> TablePenalty:
    """The penalty of a prior on a table's index.

    Raises:
        ArgumentError: the prior is not one for tables.

    Example:
        >>> table_penalty(Gaussian(1.0), Items(n=2)).value(np.array([1.0, -1.0]))
        -1.0
    """
    if isinstance(prior, Dirichlet):
        return PseudoCounts(prior, items)
    if isinstance(prior, Gaussian):
        return CentredQuadratic(prior, items)
    raise ArgumentError(
        f"prior={prior!r} does not fit a tabular model; use an.priors.Gaussian(sd), an.priors.Dirichlet(counts)"
    )


def weights_penalty(prior: Prior, size: int) -> Quadratic:
    """The penalty of a prior on the weights of features.

    Raises:
        ArgumentError: the prior is not one for weights.

    Example:
        >>> weights_penalty(Ridge(2.0), 2).value(np.array([1.0, 0.0]))
        -1.0
    """
    if isinstance(prior, Gaussian | Ridge):
        return Quadratic(prior, size)
    raise ArgumentError(
        f"prior={prior!r} does not fit a linear model; use an.priors.Gaussian(sd), an.priors.Ridge(penalty)"
    )


# ---- any population --------------------------------------------------------------------------------------------------


class LogPrior:
    """A prior's log density on any population, differentiable; and in words, what it acts on.

    Args:
        prior: one of the three.
        model: its free parameters decide what the prior acts on.
        items: the items (each prompt has a normalisation of its own).

    Raises:
        ArgumentError: the prior acts on nothing in this model.

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular(2), an.Luce()) for _ in range(2)])
        >>> print(LogPrior(Dirichlet(1.0), two, an.Items(n=2)))
        the choice shares of 2 tables, the shares of the types
    """

    def __init__(self, prior: Prior, model: Population, items: Items):
        self.prior, self.items = prior, items
        self.counts = prior.counts if isinstance(prior, Dirichlet) else 0.0
        self.precision = 0.0 if isinstance(prior, Dirichlet) else prior.precision
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
            total = total + (self._choices(index) if self.counts else self._square(index, absolute))
        for name in self.numbers:
            value = numbers[name].double()
            if population.constraint_of(name) == "centred":
                value = value - value.mean(-1, keepdim=True)
            total = total - 0.5 * self.precision * (value**2).sum()
        for name in self.simplices:
            share = numbers[name].double()
            total = total + self.counts * (share / share.sum()).log().sum()
        return total

    def _choices(self, index: torch.Tensor) -> torch.Tensor:
        groups = [self.items.prompts == p for p in self.items.prompts.unique()]
        return self.counts * torch.stack([torch.log_softmax(index[g], -1).sum() for g in groups]).sum()

    def _square(self, index: torch.Tensor, absolute: bool) -> torch.Tensor:
        return -0.5 * self.precision * ((index if absolute else centred(index, self.items)) ** 2).sum()

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
        self,
        prior: Prior,
        maps: Sequence[np.ndarray],
        offset: np.ndarray,
        kinds: Sequence[str],
        weights_free: bool,
        items: Items,
    ):
        self.maps, self.offset, self.types, self.d = maps, offset, len(kinds), maps[0].shape[1]
        counts = float(prior.counts) if isinstance(prior, Dirichlet) else 0.0
        self.counts = counts if weights_free else 0.0
        self.parts: list[Quadratic | TablePenalty | None] = [
            table_penalty(prior, items)
            if kind == "tabular"
            else None
            if kind == "known" or counts
            else weights_penalty(prior, self.d)
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
