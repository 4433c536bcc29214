"""Nodes and weights for averages over tastes: product rules for few dimensions, scrambled Sobol points for many.

For logistic choice the trapezoid rule in normal coordinates beats Gauss-Hermite at equal cost: its error falls like
``exp(-2 pi^2 / (s h))``, with ``s`` the spread of utility differences and ``h`` the step, while the poles of the
sigmoid spoil Gauss-Hermite (64 points, best of three of four normal items in one dimension, coefficient with standard
deviation 1,
2, 4: errors 2e-16, 2e-9, 4e-5 against 2e-11, 2e-6, 6e-4). All are given in standard normal coordinates ``z``: a
distribution of tastes is a map from ``z`` to tastes.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from scipy.special import betaincinv
from torch import distributions as td

from annosim.errors import ArgumentError

__all__ = ["from_normal", "gamma_quantile", "hermite", "sobol", "trapezoid"]


@lru_cache(maxsize=64)
def hermite(dim: int, points: int) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Tensor product Gauss-Hermite rule for the standard normal in ``dim`` dimensions.

    Exact for polynomials of degree ``2 points - 1`` in each coordinate. Nodes whose weight is below 1e-17 are left out.

    Returns:
        nodes ``(Q, dim)``, weights ``(Q,)``, float64; the weights sum to one.

    Example:
        >>> z, w = hermite(1, 5)
        >>> round(float((w * z[:, 0] ** 4).sum()), 12)
        3.0
    """
    return _product(*np.polynomial.hermite_e.hermegauss(points), dim)


@lru_cache(maxsize=64)
def trapezoid(dim: int, points: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Tensor product trapezoid rule for the standard normal: equal steps over ``|z| <= min(8.5, 1.3 sqrt(points))``.

    Returns:
        nodes ``(Q, dim)``, weights ``(Q,)``, float64; the weights sum to one.

    Example:
        >>> z, w = trapezoid(1, 32)
        >>> round(float((w * z[:, 0] ** 4).sum()), 9)
        3.0
    """
    edge = min(8.5, 1.3 * points**0.5)
    x = np.linspace(-edge, edge, points) if points > 1 else np.zeros(1)
    return _product(x, np.exp(-(x**2) / 2), dim)


def _product(x: np.ndarray, w: np.ndarray, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    w = w / w.sum()
    grids = np.meshgrid(*[x] * dim, indexing="ij")
    weight = np.ones(1)
    for _ in range(dim):
        weight = np.multiply.outer(weight, w)
    weight = weight.reshape(-1)
    nodes = np.stack([g.reshape(-1) for g in grids], -1)
    keep = weight > 1e-17
    return torch.as_tensor(nodes[keep]), torch.as_tensor(weight[keep] / weight[keep].sum())


@lru_cache(maxsize=64)
def sobol(dim: int, points: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scrambled Sobol points in standard normal coordinates, equal weights (Owen 1997).

    Args:
        points: a power of two keeps the balance of the sequence.

    Example:
        >>> z, w = sobol(3, 1024, 0)
        >>> bool(z.mean(0).abs().max() < 1e-2)
        True
    """
    with torch._C._DisableFuncTorch():  # the first call may come from under a derivative or a map: these are constants
        engine = torch.quasirandom.SobolEngine(dim, scramble=True, seed=seed)
        u = engine.draw(points, dtype=torch.float64) * (1 - 2.0**-30) + 2.0**-31  # open at both ends
        return torch.special.ndtri(u), torch.full((points,), 1 / points, dtype=torch.float64)


def from_normal(distribution: td.Distribution, z: torch.Tensor) -> torch.Tensor:
    """Draws of a torch distribution from standard normals ``z (..., dim)``, coordinate by coordinate: ``(..., dim)``.

    Distributions with an inverse distribution function, multivariate normals, transformed and independent ones, and
    Gamma and Beta (by root finding) are supported.

    Raises:
        ArgumentError: the distribution has none of these forms, or another dimension.

    Example:
        >>> from_normal(td.Uniform(0.0, 2.0), torch.zeros(1)).tolist()
        [1.0]
    """
    if isinstance(distribution, td.MultivariateNormal):
        return distribution.loc + z @ distribution.scale_tril.mT.to(z.dtype)
    if isinstance(distribution, td.Independent):
        return from_normal(distribution.base_dist, z)
    if isinstance(distribution, td.TransformedDistribution):
        value = from_normal(distribution.base_dist, z)
        for transform in distribution.transforms:
            value = transform(value)
        return value
    if isinstance(distribution, td.Normal):
        return distribution.loc + distribution.scale * z
    u = torch.special.log_ndtr(z).exp()  # torch's ndtr is zero below -8.3
    if isinstance(distribution, td.Gamma):
        return gamma_quantile(distribution.concentration.double().expand_as(u), u).exp() / distribution.rate
    if isinstance(distribution, td.Beta):
        a, b = distribution.concentration1.double(), distribution.concentration0.double()
        return torch.as_tensor(betaincinv(a.numpy(), b.numpy(), u.detach().numpy()))
    try:
        return distribution.icdf(u)
    except NotImplementedError as error:
        raise ArgumentError(
            f"{type(distribution).__name__}: no inverse distribution function; give Normal, LogNormal, Uniform, "
            "Laplace, Gamma, Beta, MultivariateNormal, a transformed one, or a finite an.Mixture"
        ) from error


def gamma_quantile(concentration: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Log of the ``u``-quantile of Gamma(concentration, 1); differentiable in the concentration (implicitly).

    Bisection on the log of the quantile; for small quantiles ``x ~ (u Gamma(a + 1))^(1/a)``, exact to their order.

    Example:
        >>> round(float(gamma_quantile(torch.tensor(1.0), torch.tensor(0.5)).exp()), 6)
        0.693147
    """
    a, u = (t.double() for t in torch.broadcast_tensors(concentration, u))
    a0 = a.detach()
    small = (u.log() + torch.lgamma(a0 + 1)) / a0
    low, high = torch.minimum(small, torch.zeros_like(a0)) - 1, (a0 + 40 * (a0.sqrt() + 1)).log()
    for _ in range(60):
        middle = (low + high) / 2
        below = torch.special.gammainc(a0, middle.exp()) < u
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    log_x = torch.where(small < -30, small, (low + high) / 2)
    # d log x / d a = - (dP/da) / (x pdf(x)), with dP/da by a central difference
    step = 1e-5 * (1 + a0)
    x = log_x.exp()
    up, down = torch.special.gammainc(a0 + step, x), torch.special.gammainc((a0 - step).clamp_min(1e-12), x)
    slope_p = (up - down) / (a0 + step - (a0 - step).clamp_min(1e-12))
    density = (a0 * log_x - x - torch.lgamma(a0)).exp()
    tiny = -small / a0 + torch.digamma(a0 + 1) / a0
    slope = torch.where(small < -30, tiny, -slope_p / density.clamp_min(1e-300))
    return log_x + slope * (a - a0)
