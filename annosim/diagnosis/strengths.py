"""Bradley-Terry strengths where they exist, and tests that are read off their residuals.

All tests are score tests: nothing is fitted again, and the variance is the empirical one of whole annotators (or whole
answers), so that neither ties counted as half wins nor an annotator's own habits make them too sure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu
from scipy.stats import t as student

from annosim.data.counts import combine
from annosim.data.preferences import PreferenceData
from annosim.diagnosis.implied import Floats, Implied, Ints, first_of
from annosim.items import Items
from annosim.learning.fitting import fit
from annosim.learning.inference.uncertainty import FEW_ANNOTATORS
from annosim.populations.annotator import Annotator
from annosim.rules.luce import Luce
from annosim.utilities.tabular import Tabular

__all__ = ["Effect", "Strengths", "Units", "strengths", "units"]


@dataclass(frozen=True)
class Effect:
    """The coefficient of one more covariate, by one step from zero.

    Attributes:
        value, low, high: in logits, with a 95 % interval.
        p_value: two-sided.
        units: how many independent units the variance rests on, and what they are.
    """

    value: float
    low: float
    high: float
    p_value: float
    units: str


@dataclass(frozen=True, eq=False)
class Strengths:
    """Strengths of the items that can be compared in both directions, and the comparisons among them.

    Attributes:
        core: the comparisons within strong components of two items or more.
        component: ``(n,)`` component of each item, -1 outside.
        score: ``(n,)`` strengths, centred within their component, NaN outside.
        kept: share of all comparisons that is in the core.

    Example:
        >>> import annosim as an
        >>> from annosim.diagnosis.implied import implied
        >>> votes = an.PreferenceData(an.Items(n=2), [[0, 1]] * 4, answer=[0, 0, 0, 1])
        >>> found = strengths(implied(votes))
        >>> [round(v, 4) for v in found.score.tolist()]
        [0.5493, -0.5493]
    """

    core: Implied
    component: Ints
    score: Floats
    kept: float
    _cache: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def members(self) -> Ints:
        """Items with a strength."""
        return np.flatnonzero(self.component >= 0)

    @cached_property
    def p(self) -> Floats:
        """Probability that the first is preferred, of each comparison of the core."""
        gap = self.score[self.core.second] - self.score[self.core.first]
        return 1.0 / (1.0 + np.exp(np.clip(gap, -700.0, 700.0)))

    @cached_property
    def residual(self) -> Floats:
        """``won - p``."""
        return self.core.won - self.p

    @cached_property
    def variance(self) -> Floats:
        """``p (1 - p)``."""
        return self.p * (1.0 - self.p)

    @cached_property
    def laplacian(self) -> sparse.csc_matrix:
        """Information of the strengths, ``(n, n)``."""
        return laplacian(self.core, self.core.weight * self.variance, len(self.score))

    @cached_property
    def _solver(self) -> tuple[Ints, Any]:
        """Items but the first of each component, and the factorised information on them."""
        members = self.members
        first = np.unique(self.component[members], return_index=True)[1]
        free = np.delete(members, first)
        return free, splu(self.laplacian[free][:, free].tocsc())

    def solve(self, right: Floats) -> Floats:
        """A solution ``(n,)`` of the information times it equals ``right``, whose entries sum to zero by component."""
        free, solver = self._solver
        out = np.zeros(right.shape)
        out[free] = solver.solve(np.ascontiguousarray(right[free]))
        return out

    def score_of(self, z: Floats) -> Floats:
        """``sum (won's) z`` by item: what the covariate ``z`` of each comparison gives to the first and takes from the second."""
        c, n = self.core, len(self.score)
        return np.asarray(
            np.bincount(c.first, c.weight * z, n) - np.bincount(c.second, c.weight * z, n), dtype=np.float64
        )

    def covariance(self, most: int = 1500) -> Floats | None:
        """Covariance of the strengths with whole annotators as units, centred by component; ``None`` above ``most`` items.

        The inverse information, where so few units say nothing of their spread.
        """
        members = self.members
        if len(members) > most:
            return None
        if "covariance" not in self._cache:
            bread = self.inverse(most)
            assert bread is not None
            robust = bread @ self._meat(members) @ bread
            few = units(self.core).many < FEW_ANNOTATORS or float(robust.diagonal().min()) <= 0.0
            self._cache["covariance"] = bread if few else robust
            self._cache["sandwich"] = not few
        return np.asarray(self._cache["covariance"])

    @property
    def sandwich(self) -> bool:
        """Whether :meth:`covariance` is a sandwich, with annotators or answers as units."""
        return self.covariance() is not None and bool(self._cache["sandwich"])

    def _meat(self, members: Ints) -> Floats:
        """Sum over units of the squared scores of the strengths."""
        c = self.core
        unit = units(c)
        if len(unit) == len(c):
            return laplacian(c, c.weight * self.residual**2, len(self.score))[members][:, members].toarray()
        row = np.r_[unit.of, unit.of]
        column = np.searchsorted(members, np.r_[c.first, c.second])
        entries = np.r_[self.residual, -self.residual]
        matrix = sparse.coo_matrix((entries, (row, column)), shape=(len(unit), len(members))).tocsr()
        return np.asarray((matrix.T @ matrix.multiply(unit.weight[:, None])).todense())

    def inverse(self, most: int = 1500) -> Floats | None:
        """Pseudo-inverse of the information on :attr:`members`, ``None`` above ``most`` items."""
        members = self.members
        if len(members) > most:
            return None
        if "inverse" not in self._cache:
            dense = self.laplacian[members][:, members].toarray()
            same = self.component[members][:, None] == self.component[members][None, :]
            ones = same / same.sum(1, keepdims=True)
            self._cache["inverse"] = np.linalg.inv(dense + ones) - ones
        return np.asarray(self._cache["inverse"])

    def effect(self, z: Floats) -> Effect | None:
        """The coefficient of a covariate ``z`` of each comparison beside the strengths; ``None`` where strengths hide it."""
        c = self.core
        v = self.variance
        gamma = self.solve(self.score_of(v * z))
        own = z - (gamma[c.first] - gamma[c.second])
        information = float((c.weight * v * own**2).sum())
        if not information > 1e-9 * max(float((c.weight * v * z**2).sum()), 1e-300):
            return None
        unit = units(c)
        total, weight, many = unit.sums(self.residual * own), unit.weight, unit.many
        spread = float((weight * total**2).sum())
        if spread <= 0.0 or many < 2.0:
            return None
        score = float((weight * total).sum())
        value, error = score / information, np.sqrt(spread) / information
        reach = float(student.ppf(0.975, many - 1.0)) * error
        p = 2.0 * float(student.sf(abs(score) / np.sqrt(spread), many - 1.0))
        return Effect(value, value - reach, value + reach, p, unit.words)


def laplacian(c: Implied, v: Floats, n: int) -> sparse.csc_matrix:
    """``sum v (e_first - e_second)(e_first - e_second)'``, ``(n, n)``."""
    off = sparse.coo_matrix((v, (c.first, c.second)), shape=(n, n)).tocsr()
    off = off + off.T
    return (sparse.diags(np.asarray(off.sum(1)).ravel()) - off).tocsc()


@dataclass(frozen=True, eq=False)
class Units:
    """What is independent of each other: whole annotators, or whole answers. One of weight w stands for w of them.

    Attributes:
        of: ``(C,)`` the unit of each comparison.
        weight: ``(U,)`` of each unit.
        annotators: whether they are annotators.
    """

    of: Ints
    weight: Floats
    annotators: bool

    def __len__(self) -> int:
        return len(self.weight)

    @property
    def many(self) -> float:
        """How many there are, by their weights."""
        return float(self.weight.sum())

    @property
    def words(self) -> str:
        """How many of what."""
        return f"{self.many:,.0f} {'annotators' if self.annotators else 'answers'}"

    def sums(self, values: Floats) -> Floats:
        """``(U,)`` sums of the comparisons' values."""
        return np.asarray(np.bincount(self.of, values, len(self)), dtype=np.float64)


def units(c: Implied) -> Units:
    """Annotators, or answers where those are few or unknown."""
    named = c.named and c.people_by_weight >= FEW_ANNOTATORS
    of = c.people[1] if named else c.answers
    weight = np.zeros(int(of.max()) + 1 if len(of) else 0)
    weight[of] = c.weight
    return Units(of, weight, named)


def strengths(c: Implied) -> Strengths | None:
    """Strengths by maximum likelihood on the strong components of two items or more; ``None`` where there is none."""
    n = c.items.n
    code = combine([c.first, c.second]) if len(c) else np.zeros(0, dtype=np.int64)
    if not len(code):
        return None
    at = first_of(code)
    first, second = c.first[at], c.second[at]
    wins = np.bincount(code, c.weight * c.won, len(at))
    losses = np.bincount(code, c.weight * (1.0 - c.won), len(at))
    edges = sparse.coo_matrix((np.r_[wins, losses], (np.r_[first, second], np.r_[second, first])), shape=(n, n)).tocsr()
    edges.eliminate_zeros()
    strong = connected_components(edges, directed=True, connection="strong")[1]
    size = np.bincount(strong)
    inside = strong[first] == strong[second]
    if not inside.any():
        return None
    members = np.flatnonzero(size[strong] > 1)
    score = np.full(n, np.nan)
    score[members] = _fit(members, strong, first[inside], second[inside], wins[inside], losses[inside])
    keep = strong[c.first] == strong[c.second]
    component = np.where(size[strong] > 1, strong, -1)
    return Strengths(c.take(keep), component, score, float(c.weight[keep].sum() / c.weight.sum()))


def _fit(members: Ints, strong: Ints, first: Ints, second: Ints, wins: Floats, losses: Floats) -> Floats:
    """The library's own fit of counts, one utility per item, one zero per component."""
    place = np.full(len(strong), -1)
    place[members] = np.arange(len(members))
    menu = np.stack([place[np.r_[first, second]], place[np.r_[second, first]]], 1)
    weight = np.r_[wins, losses]
    live = weight > 0
    labels = np.unique(strong[members], return_inverse=True)[1].reshape(-1)
    items = Items(n=len(members), prompts=labels)
    counts = PreferenceData(items, menu[live], np.zeros(int(live.sum()), dtype=np.int8), weight=weight[live])
    found = fit(Annotator(Tabular(items.n), Luce()), counts)
    values: NDArray[np.float64] = found.population.free_parameters()["utility.values"].numpy()
    total, size = np.bincount(labels, values), np.bincount(labels)
    return values - (total / size)[labels]
