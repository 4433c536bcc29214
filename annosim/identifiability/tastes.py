"""Any distribution of tastes on a grid: what the law leaves open, by linear programming, and what it determines."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import linprog
from scipy.sparse import csr_matrix
from scipy.special import ndtri

from annosim.coordinates.identifiable import in_float64
from annosim.designs.design import Design
from annosim.errors import ArgumentError
from annosim.identifiability.families import AnyTastes, any_tastes
from annosim.identifiability.functionals import evaluate
from annosim.information.jacobian import factors, listed_law, symmetric_index, symmetric_law, symmetric_size, vectors
from annosim.information.support import DesignSupport, prepare
from annosim.items import Items
from annosim.parameters import Model, fixed
from annosim.populations.annotator import Annotator
from annosim.populations.base import IndexedComponent, Population
from annosim.populations.mixture import Mixture
from annosim.utilities.linear import Linear
from annosim.utilities.tabular import Tabular

__all__ = ["PINNED", "Bounds", "MixingDistributionProgram", "bounds"]

#: bounds closer than this (per unit of the functional, at least one) are one value
PINNED = 1e-6
#: numbers in the table of outcomes of all tastes
OUTCOMES = 2e7
#: numbers in a linear program with one row per outcome
LINEAR_PROGRAM = 4e5


class _OnGrid(Population):
    """All tastes of a grid at once, one component each."""

    def __init__(self, rule: Any, index: torch.Tensor):
        Model.__init__(self)
        self.rule = rule
        self.index = index

    def components(self):
        return [self]

    def component_weights(self):
        return torch.full((len(self.index),), 1 / len(self.index), dtype=torch.float64)

    def indexed(self, items: Items):
        return [IndexedComponent(self.rule, self.index, self.component_weights(), 0)]


@dataclass(frozen=True, eq=False)
class Bounds:
    """Bounds of a functional over all distributions of tastes with the same law.

    Attributes:
        low, high: the bounds.
        value: at the population.
        lowest, highest: distributions that attain them.
        misfit: largest difference of the law's coordinates that the program allowed.
    """

    low: float
    high: float
    value: float
    lowest: Mixture
    highest: Mixture
    misfit: float

    @property
    def pinned(self) -> bool:
        """The two bounds are one value, up to rounding."""
        return self.high - self.low < PINNED * max(1.0, abs(self.value))


class MixingDistributionProgram:
    """The linear program ``{F >= 0 on the grid: law(F) = law(population)}``.

    The law's coordinates are an orthonormal basis of the span of the tastes' laws (directions below 1e-11 of the
    largest are left out: they are beyond float64, and leaving them out can only widen the bounds).
    """

    def __init__(self, population: Population, design: Design, family: AnyTastes, seed: int = 0):
        self.items = design.items
        self.population = population = in_float64(population)
        self.rule = population.components()[0].rule
        own = torch.cat([c.index.double() for c in population.indexed(self.items)]).detach()
        self.own_weight = torch.cat([c.weight for c in population.indexed(self.items)]).detach().double()
        self.family = family
        index = torch.stack([self.rule.index(self._utility(g)(self.items), self.items) for g in family.grid]).detach()
        self.index = torch.cat([index.double(), own])
        self.tastes = len(family.grid)
        first = self.annotator(family.grid[0])
        frame = prepare(Mixture([population, first]), design, seed=seed, limit=6e7 / len(self.index) * 4)
        self.frame, self.exact = frame, frame.exact
        self.own = torch.zeros(len(self.index), dtype=torch.float64)
        self.own[self.tastes :] = self.own_weight
        self.matrix, self.target = self._rows(frame)

    def _utility(self, taste: torch.Tensor):
        return Tabular(taste.numpy()) if self.family.tabular else Linear(taste.numpy())

    def annotator(self, taste: torch.Tensor) -> Annotator:
        """One grid point as an annotator."""
        return Annotator(self._utility(taste), self.rule)

    def _tables(self, frame: DesignSupport) -> torch.Tensor:
        with torch.no_grad():
            return factors(_OnGrid(self.rule, self.index), frame)[1]

    def _listed(self, frame: DesignSupport) -> torch.Tensor:
        """Laws of all tastes on listed blocks, ``(G, N)``."""
        table, one = self._tables(frame), torch.ones(1, dtype=torch.float64)
        return torch.stack([listed_law(one, table[:, :, c : c + 1], frame) for c in range(len(self.index))])

    def _rows(self, frame: DesignSupport) -> tuple[np.ndarray, np.ndarray]:
        columns = self._listed(frame) if frame.blocks is not None else self._compressed(frame)
        _, s, vt = torch.linalg.svd(columns.T, full_matrices=False)
        # rows scaled so that each coordinate has a largest entry of one: the solver's tolerance is absolute
        rows = vt[s > 1e-11 * s[0]]
        rows = rows / rows.abs().amax(-1, keepdim=True)
        return rows.numpy(), (rows @ self.own).numpy()

    def _compressed(self, frame: DesignSupport) -> torch.Tensor:
        """Laws of all tastes in the coordinates of symmetric tensors over their span, ``(G, N)``."""
        f, q = vectors(self._tables(frame), frame), frame.questions
        if f.shape[0] < f.shape[1]:
            f = torch.linalg.qr(f.T, mode="r")[1].T
        if q > 1:  # the span of the tastes' laws, in a basis of decreasing size
            u, s, _ = torch.linalg.svd(f, full_matrices=False)
            r = int((s > 1e-9 * s[0]).sum())
            while r > 2 and symmetric_size(r, q) > 4000:
                r -= 1
            f = u[:, :r] * s[:r]
        one = torch.ones(1, dtype=torch.float64)
        return torch.stack([symmetric_law(one, row[None], q) for row in f])

    # ---- functionals ---------------------------------------------------------------------------------------------

    def costs(self, function: Callable[[Population, Items], torch.Tensor]) -> torch.Tensor:
        """A functional at every taste alone, ``(G, m)``.

        Raises:
            ArgumentError: it is not linear in the distribution of tastes (the type weights, say, are not a function of
                it at all).
        """
        each = torch.stack([evaluate(function, _OnGrid(self.rule, row[None]), self.items) for row in self.index])
        even = torch.full((len(each),), 1 / len(each), dtype=torch.float64)
        for whole, share in ((self.population, self.own), (_OnGrid(self.rule, self.index), even)):
            value, mean = evaluate(function, whole, self.items), share @ each
            if value.shape != mean.shape or not torch.allclose(value, mean, rtol=1e-7, atol=1e-9):
                raise ArgumentError(
                    f"any_tastes: {getattr(function, '__name__', 'the functional')!r} is not a mean over annotators of "
                    "something each of them has; bounds need one, such as an.identifiability.share_preferring(0, 1), an.identifiability.mean_gap(0, "
                    '1), "mean utility" or "pair probabilities"'
                )
        return each

    def bounds_each(self, function: Callable[[Population, Items], torch.Tensor]) -> list[Bounds]:
        """Smallest and largest value of every component of a functional that is linear in the tastes' distribution."""
        return [self._bounds(column.numpy()) for column in self.costs(function).T]

    def bounds(self, function: Callable[[Population, Items], torch.Tensor]) -> Bounds:
        """:meth:`bounds_each` of a functional with one component.

        Raises:
            ArgumentError: it has several.
        """
        found = self.bounds_each(function)
        if len(found) != 1:
            raise ArgumentError(f"bounds(functional=): {len(found)} components; give a functional with one")
        return found[0]

    def _bounds(self, cost: np.ndarray) -> Bounds:
        value = float(cost @ self.own.numpy())
        ends = [self._solve(sign * cost) for sign in (1.0, -1.0)]
        low, high = float(cost @ ends[0]), float(cost @ ends[1])
        misfit = max(float(np.abs(self.matrix @ x - self.target).max()) for x in ends)
        lowest, highest = (self.distribution(x) for x in ends)
        return Bounds(min(low, value), max(high, value), value, lowest, highest, misfit)

    def _solve(self, cost: np.ndarray) -> np.ndarray:
        size = float(np.abs(cost).max()) or 1.0
        found = linprog(
            cost / size,
            A_eq=csr_matrix(self.matrix),
            b_eq=self.target,
            bounds=(0, None),
            method="highs",
            options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
        )
        if found.x is None:
            raise ArgumentError(
                f"any_tastes: the linear program failed ({found.message.split('.')[0]}); use another grid"
            )
        return np.maximum(found.x, 0)

    def distribution(self, share: np.ndarray) -> Mixture:
        """A solution as a population, atoms of weight below 1e-9 left out."""
        keep = np.flatnonzero(share > 1e-9)
        members: list[Population] = []
        for i in keep:
            if i < self.tastes:
                members.append(self.annotator(self.family.grid[i]))
            else:  # an atom of the population itself, as a table of its index
                members.append(_from_index(self.rule, self.index[i], self.items))
        weight = share[keep] / share[keep].sum()
        return Mixture(members, weights=fixed(weight)).frozen()

    # ---- what a finite number of annotators can say --------------------------------------------------------------

    def estimator_variance(self, function: Callable[[Population, Items], torch.Tensor]) -> torch.Tensor:
        r"""Variance of the best function of one annotator's answers that has the functional as its mean, ``(m,)``.

        Over all ``g(outcome)`` with ``E[g | taste] = psi(taste)`` for every taste of the grid, the smallest
        ``E g^2 - (E g)^2`` under the population; ``inf`` where there is none. Nobody's weights or types are assumed, so
        this many annotators times the square of ``1.96 / precision`` are enough whatever the tastes on the grid are
        (blocks with very many outcomes are read a few questions at a time, which only raises it).
        """
        psi = self.costs(function)
        p = self._probabilities()
        mixed = self.own @ p
        live = mixed > 0
        scaled = p[:, live] / mixed[live].sqrt()
        u, s, _ = torch.linalg.svd(scaled, full_matrices=False)
        keep = s > 1e-9 * s[0]
        inside = u[:, keep].T @ psi
        missed = (psi - u[:, keep] @ inside).abs().amax(0)
        span = (psi.amax(0) - psi.amin(0)).clamp_min(1.0)
        variance = (inside / s[keep, None]).square().sum(0) - (self.own @ psi).square()
        return torch.where(missed > PINNED * span, torch.inf, variance.clamp_min(0))

    def half_widths(
        self, function: Callable[[Population, Items], torch.Tensor], annotators: float, component: int = 0
    ) -> float:
        """Half the width of the interval of all values that this many annotators' answers would not reject at 5 %.

        Values of distributions on the grid under which every outcome's probability is within its margin of the
        population's (normal margins, Bonferroni over the outcomes): a valid interval, wider than the best one.
        """
        return self._widths(self.costs(function)[:, component].numpy(), annotators, self._probabilities())

    def _widths(self, cost: np.ndarray, annotators: float, p: torch.Tensor) -> float:
        most = max(50, int(LINEAR_PROGRAM / len(p)))
        at = np.linspace(0, p.shape[1] - 1, min(p.shape[1], most)).astype(int)  # fewer only widen the interval
        rows, target = p[:, at].T.numpy(), (self.own @ p)[at].numpy()
        margin = ndtri(1 - 0.025 / len(at)) * np.sqrt(np.maximum(target * (1 - target), 0) / annotators)
        size = 1 / np.maximum(rows.max(1), 1e-300)
        limits = np.concatenate([(target + margin) * size, (margin - target) * size])
        box = csr_matrix(np.concatenate([rows * size[:, None], -rows * size[:, None]]))
        scale = float(np.abs(cost).max()) or 1.0
        ends = []
        for sign in (1.0, -1.0):
            found = linprog(
                sign * cost / scale,
                A_ub=box,
                b_ub=limits,
                A_eq=np.ones((1, len(cost))),
                b_eq=[1.0],
                bounds=(0, None),
                method="highs",
            )
            if found.x is None:
                raise ArgumentError(f"any_tastes: the linear program failed ({found.message.split('.')[0]})")
            ends.append(float(cost @ found.x))
        return (ends[1] - ends[0]) / 2

    def enough(self, function: Callable[[Population, Items], torch.Tensor], precision: float) -> list[float]:
        """Annotators at which :meth:`half_widths` reaches ``precision``, per component; ``inf`` above 1e10."""
        p, costs = self._probabilities(), self.costs(function)
        out = []
        for cost in costs.T.numpy():
            low, high = 0.0, 10.0  # powers of ten
            if self._widths(cost, 10**high, p) > precision:
                out.append(math.inf)
                continue
            while high - low > 0.005:
                middle = (low + high) / 2
                low, high = (low, middle) if self._widths(cost, 10**middle, p) <= precision else (middle, high)
            out.append(float(math.ceil(10**high)))
        return out

    def _probabilities(self) -> torch.Tensor:
        """Probabilities of the outcomes given each taste, ``(G, N)``; rows sum to one."""
        frame = self.frame
        if frame.blocks is not None:
            listed: Any = self._listed(frame)
            share: Any = frame.block_share
            return listed * share.sqrt().repeat_interleave(listed.shape[1] // len(share))
        p = vectors(self._tables(frame), frame)
        p = p * frame.share.sqrt().repeat_interleave(p.shape[1] // len(frame.share))
        q = frame.questions
        while q > 1 and symmetric_size(p.shape[1], q) * len(p) > OUTCOMES:
            q -= 1
        index, root = symmetric_index(p.shape[1], q)
        return math.prod(p[:, index[:, j]] for j in range(q)) * root.square()


def _from_index(rule, index: torch.Tensor, items: Items) -> Population:
    """An annotator with a given index: exact for rules whose index is an affine function of the utility."""
    zero = rule.index(torch.zeros(items.n, dtype=torch.float64), items)
    one = rule.index(torch.ones(items.n, dtype=torch.float64), items)
    return Annotator(Tabular(((index - zero) / (one - zero)).detach().numpy()), rule)


def bounds(
    population: Population, design: Design, grid: Any, functional: Callable[[Population, Items], torch.Tensor]
) -> Bounds:
    """Sharp bounds (on the grid) of a functional over all distributions of tastes with the population's law.

    Raises:
        ArgumentError: the functional is not linear in the distribution of tastes, or has several components.

    Example:
        >>> import annosim as an
        >>> from annosim.identifiability.functionals import share_preferring
        >>> half = an.Mixture([an.Annotator(an.Linear([s]), an.Luce()) for s in (1., -1.)])
        >>> items = an.Items(features=[[0.], [1.]])
        >>> found = bounds(half, an.Design(items, menu_size=2), torch.linspace(-2, 2, 9), share_preferring(1, 0))
        >>> found.low < .25 and found.high > .75
        True
    """
    family = grid if isinstance(grid, AnyTastes) else any_tastes(grid)
    return MixingDistributionProgram(population, design, family).bounds(functional)
