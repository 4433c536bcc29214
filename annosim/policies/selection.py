"""Best of n: draw n responses from the reference and keep the one with the highest reward."""

from __future__ import annotations

import math

import numpy as np
import torch

from annosim.analysis.divergences import log_density
from annosim.errors import ArgumentError, told
from annosim.items import Items
from annosim.policies.tilts import DensityLike, as_density, frozen, values_of
from annosim.random import uniform53
from annosim.utilities.base import Utility
from annosim.utilities.densities import LogDensity

__all__ = ["best_of_n", "best_of_n_kl_bound", "best_of_n_win_rate_bound", "sample_best_of_n"]


class _BestOf(Utility):
    def __init__(self, reference: LogDensity, utility: Utility, n: float, continuous: bool):
        super().__init__()
        self.reference, self.utility, self.n, self.continuous = reference, utility, n, continuous

    def forward(self, items: Items) -> torch.Tensor:
        log_reference = log_density(self.reference, items).numpy()
        u = values_of(self.utility, items).numpy()
        mass = np.exp(log_reference + items.log_weights.numpy())
        out = np.empty(items.n)
        law = _continuous_gain if self.continuous else _finite_gain
        for prompt in items.prompts.unique().tolist():
            ids = items.members(prompt).numpy()
            out[ids] = log_reference[ids] + law(u[ids], mass[ids], self.n)
        return torch.as_tensor(out)


def _levels(u: np.ndarray, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Level of each item, and each level's mass and the mass up to and including it."""
    _, level = np.unique(u, return_inverse=True)
    at = np.bincount(level, weights=mass)
    return level, at, np.cumsum(at)


def _finite_gain(u: np.ndarray, mass: np.ndarray, n: float) -> np.ndarray:
    """``log (F^n - F_^n) - log m`` of each item's level: F the mass up to it, F_ below it, m its own."""
    level, at, upto = _levels(u, mass)
    upto = upto / upto[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = n * np.log(upto) + np.log(-np.expm1(n * np.log1p(-np.minimum(at / upto, 1.0)))) - np.log(at)
    gain[at == 0] = -np.inf
    gain[(at > 0) & (at == upto)] = (n - 1) * np.log(at[(at > 0) & (at == upto)])  # nothing below: F^n / F
    return gain[level]


def _continuous_gain(u: np.ndarray, mass: np.ndarray, n: float) -> np.ndarray:
    """``log n F^(n-1)`` with F at the middle of each level: the quadrature of a continuous reward."""
    level, at, upto = _levels(u, mass)
    with np.errstate(divide="ignore"):
        return (math.log(n) + (n - 1) * np.log((upto - at / 2) / upto[-1]))[level]


def best_of_n(reference: DensityLike, utility: Utility, n: int, continuous: bool = False) -> LogDensity:
    r"""The exact law of the best of n draws; equally good draws are kept with equal chances.

    For finite rewards with distribution function F under the reference, an item whose level has mass m gets
    ``pi(y) = pi_0(y) (F(u)^n - F(u-)^n) / m``. ``KL(pi || pi_0) <= log n - (n-1)/n`` (Beirami et al. 2401.01879), with
    equality for continuous rewards, and the win rate against a reference draw is at most n/(n+1).

    Args:
        reference: a density, or its vector on the items.
        utility: what is maximised.
        n: at least 1.
        continuous: read the items as quadrature points of a continuous reward: ``pi = pi_0 n F^(n-1)``.

    Raises:
        ArgumentError: ``n`` is below 1 or not whole.

    Example:
        >>> import annosim as an
        >>> best_of_n([0.5, 0.5], an.Tabular([0.0, 1.0]), 2).mass(an.Items(n=2)).numpy().round(12).tolist()
        [0.25, 0.75]
    """
    _check(n)
    inner = _BestOf(
        as_density(reference, "best_of_n(reference=)"), frozen(utility, "best_of_n(utility=)"), n, continuous
    )
    return LogDensity(inner)


def sample_best_of_n(
    reference: DensityLike, utility: Utility, n: int, items: Items, size: int, seed: int = 0, prompt: int | None = None
) -> torch.Tensor:
    """Draw by doing it: ``size`` times n draws from the reference, of which the best is kept; item ids ``(size,)``.

    Example:
        >>> import annosim as an
        >>> sample_best_of_n([0.5, 0.5], an.Tabular([0.0, 1.0]), 50, an.Items(n=2), 3).tolist()
        [1, 1, 1]
    """
    _check(n)
    density = as_density(reference, "sample_best_of_n(reference=)")
    draws = density.sample(items, size * n, seed, prompt).reshape(size, n)
    # exact ties: a fresh uniform decides, so that equally good draws have equal chances
    u = values_of(utility, items)[draws]
    coin = torch.as_tensor(uniform53(seed, "analysis", np.arange(size)[:, None], np.arange(n)))
    best = u == u.max(-1, keepdim=True).values
    return draws.gather(-1, torch.where(best, coin, -1.0).argmax(-1, keepdim=True))[:, 0]


def best_of_n_kl_bound(n: float) -> float:
    """``log n - (n - 1)/n`` nats: the KL of best of n for continuous rewards, and its maximum for all others.

    Example:
        >>> round(best_of_n_kl_bound(2), 4)
        0.1931
    """
    return math.log(n) - (n - 1) / n


def best_of_n_win_rate_bound(n: float) -> float:
    """``n / (n + 1)``: the win rate of best of n against one reference draw, ties half, at most.

    Example:
        >>> best_of_n_win_rate_bound(3)
        0.75
    """
    return n / (n + 1)


def _check(n: object) -> None:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ArgumentError(f"best_of_n(n={told(n)}): a whole number of at least 1")
