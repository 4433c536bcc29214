"""The coordinates in which a posterior is sampled, block by block, with a proper prior on each.

A block is one free parameter of the model. Its coordinates ``y`` are unconstrained and have no null direction: a table
is written in an orthonormal basis of what answers could tell (its index less the mean of each prompt), shares in
isometric log-ratios (Egozcue et al. 2003), positive numbers by their logarithms. Each block maps ``y`` to the numbers of
:class:`annosim.parameters.Unconstrained`, has a log prior density in ``y`` (Jacobian included) and draws from its prior.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import block_diag, null_space

from annosim.constraints import Constraint
from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.learning.penalties import table_name
from annosim.learning.priors import Dirichlet, Gaussian, Hierarchical, Ridge
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population

__all__ = ["Block", "PriorLike", "blocks_of"]

Vector = NDArray[np.float64]
AnyPrior: TypeAlias = Gaussian | Dirichlet | Ridge | Hierarchical
#: One prior for all, or priors by the names of parameters, ``*`` for any text (``{"types.*.utility.values": ...}``).
PriorLike: TypeAlias = AnyPrior | Mapping[str, AnyPrior]

LOG_TWO_PI = math.log(2 * math.pi)


class Block(ABC):
    """One free parameter: ``size`` coordinates ``y``, and the unconstrained numbers ``z = offset + basis @ x(y)``.

    Attributes:
        name: of the parameter.
        basis: ``(numbers, m)`` from the inner coordinates ``x`` to the unconstrained numbers.
        offset: ``(numbers,)``.
        size: number of coordinates ``y``.
        words: the prior in words.
    """

    def __init__(self, name: str, basis: Vector, offset: Vector, prior: AnyPrior):
        self.name, self.basis, self.offset, self.words = name, basis, offset, repr(prior)
        self.size = basis.shape[1]

    @abstractmethod
    def prior(self, y: Vector) -> tuple[float, Vector]:
        """Log prior density at ``y`` and its gradient ``(size,)``."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, count: int) -> Vector:
        """Draws from the prior, ``(count, size)``."""

    def forward(self, y: Vector) -> Vector:
        """Unconstrained numbers ``(..., numbers)`` at ``y (..., size)``."""
        return self.offset + y @ self.basis.T

    def pull(self, y: Vector, gradient: Vector) -> Vector:
        """Gradient in ``y`` from the gradient in the unconstrained numbers."""
        return self.basis.T @ gradient


class NormalBlock(Block):
    """Independent normal coordinates with mean ``mean`` and standard deviation ``sd``."""

    def __init__(self, name: str, basis: Vector, offset: Vector, prior: Gaussian | Ridge, mean: Vector):
        super().__init__(name, basis, offset, prior)
        self.sd, self.mean = prior.precision**-0.5, mean

    def prior(self, y: Vector) -> tuple[float, Vector]:
        """Normal."""
        z = (y - self.mean) / self.sd
        return float(-0.5 * z @ z - self.size * (math.log(self.sd) + 0.5 * LOG_TWO_PI)), -z / self.sd

    def draw(self, rng: np.random.Generator, count: int) -> Vector:
        """Normal."""
        return self.mean + self.sd * rng.standard_normal((count, self.size))


class DirichletBlock(Block):
    """``Dirichlet(counts + 1)`` on the shares ``softmax(z)`` of each group of numbers."""

    def __init__(self, name: str, basis: Vector, offset: Vector, prior: Dirichlet, groups: list[NDArray[np.int64]]):
        super().__init__(name, basis, offset, prior)
        self.counts, self.groups = prior.counts + 1.0, groups
        # d share / d ilr has determinant sqrt(K) prod share
        self.constant = sum(
            math.lgamma(len(g) * self.counts) - len(g) * math.lgamma(self.counts) + 0.5 * math.log(len(g))
            for g in groups
        )

    def prior(self, y: Vector) -> tuple[float, Vector]:
        """In coordinates whose Jacobian is the product of the shares."""
        z = self.forward(y)
        value, slope = self.constant, np.zeros(len(z))
        for g in self.groups:
            log_share = z[g] - np.logaddexp.reduce(z[g])
            value += self.counts * float(log_share.sum())
            slope[g] = self.counts * (1.0 - len(g) * np.exp(log_share))
        return value, self.pull(y, slope)

    def draw(self, rng: np.random.Generator, count: int) -> Vector:
        """Shares, as coordinates."""
        z = np.empty((count, len(self.offset)))
        for g in self.groups:
            gamma = np.log(np.maximum(rng.standard_gamma(self.counts, (count, len(g))), 1e-300))
            z[:, g] = gamma - gamma.mean(1, keepdims=True)
        return (z - self.offset) @ np.linalg.pinv(self.basis).T


class HierarchicalBlock(Block):
    """``x = m + t e``: coordinates ``e``, ``log t`` and, where the mean is free, ``m / scale`` (Papaspiliopoulos et al. 2007)."""

    def __init__(self, name: str, basis: Vector, offset: Vector, prior: Hierarchical, has_mean: bool):
        super().__init__(name, basis, offset, prior)
        self.inner, self.has_mean = basis.shape[1], has_mean
        self.spread, self.mean_sd = prior.spread, prior.mean
        self.size = self.inner + 1 + has_mean

    def prior(self, y: Vector) -> tuple[float, Vector]:
        """Standard normal, and half-normal by its logarithm."""
        t = math.exp(y[self.inner])
        slope = -y
        slope[self.inner] = 1.0 - (t / self.spread) ** 2
        normal = np.delete(y, self.inner)
        half = 0.5 * math.log(2 / math.pi) - math.log(self.spread) - 0.5 * (t / self.spread) ** 2 + y[self.inner]
        return float(-0.5 * normal @ normal - 0.5 * len(normal) * LOG_TWO_PI + half), slope

    def draw(self, rng: np.random.Generator, count: int) -> Vector:
        """From the two levels."""
        y = rng.standard_normal((count, self.size))
        y[:, self.inner] = np.log(self.spread * np.abs(y[:, self.inner]))
        return y

    def _inner(self, y: Vector) -> Vector:
        x = np.exp(y[..., self.inner, None]) * y[..., : self.inner]
        return x + self.mean_sd * y[..., -1:] if self.has_mean else x

    def forward(self, y: Vector) -> Vector:
        """Through the two levels."""
        return self.offset + self._inner(y) @ self.basis.T

    def pull(self, y: Vector, gradient: Vector) -> Vector:
        """Chain rule."""
        inner, t = self.basis.T @ gradient, math.exp(y[self.inner])
        out = np.empty(self.size)
        out[: self.inner] = t * inner
        out[self.inner] = t * float(inner @ y[: self.inner])
        if self.has_mean:
            out[-1] = self.mean_sd * float(inner.sum())
        return out


# ---- which block a parameter has -------------------------------------------------------------------------------------


def blocks_of(model: Population, items: Items, prior: PriorLike) -> list[Block]:
    """One block for each free parameter, in order.

    Raises:
        ArgumentError: a parameter without a proper prior, a name that is none, a prior that does not fit.
    """
    tables = _tables(model)
    free = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if isinstance(prior, Mapping):
        _check_names(prior, list(free))
    out = []
    for name, p in free.items():
        own = _prior_of(name, prior, model.constraint_of(name), name in tables)
        shape = tuple(p.shape)
        if name in tables:
            out.append(_table_block(name, tables[name], items, own))
        else:
            out.append(_block(name, shape, Constraint(model.constraint_of(name)), own))
    return out


def _tables(model: Population) -> dict[str, Annotator]:
    """The annotators with a table of utilities, by the name of the table."""
    out = {}
    for path, one in model.named_modules():
        found = table_name(one) if isinstance(one, Annotator) else None
        if found is not None and isinstance(one, Annotator):
            out[f"{path}.{found}" if path else found] = one
    return out


def _check_names(prior: Mapping[str, AnyPrior], names: list[str]) -> None:
    for pattern, value in prior.items():
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ArgumentError(
                f"sample_posterior(prior=): no free parameter is named {pattern!r}; there are: {', '.join(names)}"
            )
        _check_kind(pattern, value)


def _check_kind(where: str, value: object) -> None:
    if not isinstance(value, Gaussian | Dirichlet | Ridge | Hierarchical):
        raise ArgumentError(
            f"sample_posterior(prior=): {where}: {value!r}; an.priors.Gaussian(sd), Dirichlet(counts), Ridge(penalty) or "
            "Hierarchical(spread)"
        )


def _prior_of(name: str, prior: PriorLike, constraint: str, is_table: bool) -> AnyPrior:
    real = is_table or constraint in ("real", "centred")
    if isinstance(prior, Mapping):
        for pattern, value in prior.items():
            if fnmatchcase(name, pattern):
                return value
    else:
        _check_kind("prior", prior)
        fits = isinstance(prior, Dirichlet) and (is_table or constraint == "simplex")
        if fits or (real and isinstance(prior, Gaussian | Ridge | Hierarchical)):
            return prior
    if constraint == "simplex":
        return Dirichlet(1e-12)  # uniform on the simplex, which is proper
    scale = {"positive": " on its logarithm", "unit": " on its log odds"}.get(constraint, "")
    raise ArgumentError(
        f"sample_posterior(prior=): {name} has no proper prior; add prior={{..., {name!r}: an.priors.Gaussian(1.0)}}{scale}"
    )


def _table_block(name: str, one: Annotator, items: Items, prior: AnyPrior) -> Block:
    """A table through its index ``s = f u + g``, less its mean in each prompt (ratings: as it is)."""
    found = one.rule.affine(items)
    if found is None:
        raise ArgumentError(f"sample_posterior: {type(one.rule).__name__} does not read a table by slope and offset")
    if any(part.requires_grad for part in found):  # a free temperature: the prior is on the utilities themselves
        found = (torch.ones(items.n, dtype=torch.float64), torch.zeros(items.n, dtype=torch.float64))
    f, g = (part.numpy() for part in found)
    groups = [items.members(p).numpy() for p in items.prompts.unique().tolist()]
    if one.rule.absolute:
        basis, centre = np.eye(items.n), g
    else:
        basis = _in_groups([_contrasts(len(group)) for group in groups], groups, items.n)
        centre = g.copy()
        for group in groups:
            centre[group] -= g[group].mean()
    slope = 1.0 / f
    # u = (s - g) / f; the part of g that is a level in a prompt means nothing
    to_u, offset = slope[:, None] * basis, -slope * centre
    if isinstance(prior, Dirichlet):
        if one.rule.absolute:
            raise ArgumentError(f"sample_posterior(prior=): {name}: a Dirichlet prior fits choices, not ratings")
        if np.ptp(f) or np.ptp(g) or f[0] != 1.0:
            raise ArgumentError(
                f"sample_posterior(prior=): {name}: a Dirichlet prior needs an index that is the utility"
            )
        return DirichletBlock(name, to_u, offset, prior, groups)
    if isinstance(prior, Hierarchical):
        return HierarchicalBlock(name, to_u, offset, prior, has_mean=bool(one.rule.absolute) and prior.mean > 0)
    return NormalBlock(name, to_u, offset, prior, np.zeros(basis.shape[1]))


def _block(name: str, shape: tuple[int, ...], constraint: Constraint, prior: AnyPrior) -> Block:
    size, last = int(np.prod(shape, dtype=int)), shape[-1] if shape else 1
    if constraint in (Constraint.SIMPLEX, Constraint.CENTRED):
        groups = list(np.arange(size).reshape(-1, last))
        basis = block_diag(*[_contrasts(last) for _ in groups])
    else:
        basis, groups = np.eye(size), []
    zero = np.zeros(size)
    if isinstance(prior, Dirichlet):
        if constraint is not Constraint.SIMPLEX:
            raise ArgumentError(f"sample_posterior(prior=): {name}: a Dirichlet prior is for shares and tables")
        return DirichletBlock(name, basis, zero, prior, groups)
    if isinstance(prior, Hierarchical):
        if size < 2:
            raise ArgumentError(f"sample_posterior(prior=): {name} is one number; a hierarchy needs several")
        return HierarchicalBlock(name, basis, zero, prior, has_mean=not groups and prior.mean > 0)
    return NormalBlock(name, basis, zero, prior, np.zeros(basis.shape[1]))


def _contrasts(n: int) -> Vector:
    """Orthonormal columns that sum to zero, ``(n, n - 1)``."""
    return null_space(np.ones((1, n))) if n > 1 else np.zeros((1, 0))


def _in_groups(parts: list[Vector], groups: list[NDArray[np.int64]], n: int) -> Vector:
    out = np.zeros((n, sum(part.shape[1] for part in parts)))
    at = 0
    for part, group in zip(parts, groups, strict=True):
        out[group, at : at + part.shape[1]] = part
        at += part.shape[1]
    return out
