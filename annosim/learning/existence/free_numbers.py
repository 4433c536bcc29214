"""After a fit: has every free number a finite estimate, inside its range, and do the data tell it from the others?

Where the likelihood rises for ever along some ray, an optimiser stops far out, where the gradient is below its
tolerance. At a finite maximum the likelihood falls when a number is doubled about as far as when it is set to zero;
where it falls towards zero only, there is no maximum. This needs no derivatives and no units, and is asked of numbers
beside utilities one by one and together, of the gaps between utilities, of weights of features, and of the joint
direction in which the curvature has vanished. What the end of a number's range says decides what it means: the
boundary (no tie occurs, nobody errs) is an estimate whose standard error means nothing; infinity is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from annosim.autodiff import reverse_jacobian
from annosim.constraints import Constraint
from annosim.coordinates.item_tables import utility_tables
from annosim.coordinates.normalisation import canonical, order_by_weight
from annosim.errors import NotIdentifiedError
from annosim.items import Items
from annosim.learning.priors import Prior
from annosim.parameters import Unconstrained
from annosim.populations.base import Population
from annosim.populations.low_rank import LowRank
from annosim.populations.random_coefficients import RandomCoefficients
from annosim.utilities.linear import Linear

__all__ = ["Judgement", "Maximum", "judge", "numbers_beside_utilities", "undetermined", "untold"]

Vector = NDArray[np.float64]

#: parts of names of free numbers that are no utilities
BESIDE = frozenset({"rule", "gate", "scale", "lower", "concentration"})
#: differences of utilities beyond which one may be on its way out (odds of 150)
FAR = 5.0
#: change of a number per unit of its unconstrained coordinate below which it stands at the end of its range
AT_THE_END = 1e-2
#: by how much the log-likelihood must fall towards zero, and may fall further out, relative to its size
FALLS, ROUNDING = 1e-3, 1e-10
#: fall of the log-likelihood, by its curvature, beyond which nothing runs away, and how many times what the gradient
#: promises it must be: at a maximum the gradient vanishes alone, on the way to infinity both vanish together (their ratio
#: stays below the logarithm of what is left, some tens)
CLEARLY, STEEPLY = 10.0, 1e3
#: eigenvalues of the scaled curvature, relative to the largest, below which a direction is flat (errors are infinite)
FLAT = 1e-9
#: length of the steps by which the tangent of a ray is found
STEP = 1e-6
#: entries of its diagonal, relative to the largest, that are nothing in any units
SILENT = 1e-20
#: rays that are tried at most
MOST_RAYS = 200


@dataclass(frozen=True)
class Judgement:
    """What was found at a solution.

    Attributes:
        notes: for the reader.
        is_finite: False where utilities of some type have no finite maximum.
        infinite: which numbers these are, as reported.
    """

    notes: list[str] = field(default_factory=list)
    is_finite: bool = True
    infinite: tuple[int, ...] = ()


def numbers_beside_utilities(model: Population) -> list[str]:
    """Names of free parameters that no check before the fit decides, each once for all its entries.

    Example:
        >>> import annosim as an
        >>> numbers_beside_utilities(an.Annotator(an.Tabular(2), an.PositionBias(an.Luce(), an.free(0.0))))
        ['rule.shift']
    """
    free = (name for name, value in model.named_parameters() if value.requires_grad)
    return [name for name in free if BESIDE & set(name.split(".")) and not name.endswith("skill")]


@dataclass(frozen=True, eq=False)
class Maximum:
    """A solution as it is judged.

    Attributes:
        model: any population of this kind: its names, constraints and conventions are read, not its numbers.
        vector: the free parameters at the solution, ``(P,)``.
        value: log-likelihood with the prior there.
        value_at: the same at other free parameters.
        parabola: of a move of the free parameters ``(P,)``, by how much the log-likelihood changes by its gradient, and
            falls by its curvature.
    """

    model: Population
    vector: Vector
    value: float
    value_at: Callable[[Vector], float]
    parabola: Callable[[Vector], tuple[float, float]]


def judge(maximum: Maximum, items: Items, prior: Prior | None) -> Judgement:
    """Notes on what stands at the end of its range or runs away; an error that names numbers without an estimate.

    Args:
        maximum: the solution.
        items: of the answers.
        prior: named in the message, as it did not act on these numbers.

    Raises:
        NotIdentifiedError: the likelihood rises for ever along some number, or some utility of the only type.
    """
    return _Rays(maximum, items, prior).judgement()


def undetermined(population: Population, curvature: Vector, null: Vector, change: Vector) -> list[str]:
    """Names of free parameters that move at no cost in likelihood, conventions apart.

    Args:
        population: at the optimum.
        curvature: minus the Hessian in some coordinates ``(P, P)``.
        null: directions that are conventions, orthonormal ``(P, G)``.
        change: Jacobian of the normalised parameters in the coordinates ``(parameters, P)``.
    """
    diagonal = curvature.diagonal()
    silent = diagonal <= SILENT * max(diagonal.max(initial=0.0), 1e-300)
    d = np.where(silent, 1.0, 1.0 / np.sqrt(np.where(silent, 1.0, diagonal)))
    scaled = curvature * d[:, None] * d
    conventions = null / d[:, None]
    scaled = scaled + conventions @ conventions.T / max(float((conventions**2).sum(0).max(initial=0.0)), 1e-300)
    values, vectors = np.linalg.eigh(scaled)
    flat = d[:, None] * vectors[:, values < FLAT * max(values.max(initial=0.0), 1e-300)]
    moved = np.abs(change @ (flat / np.maximum(np.linalg.norm(flat, axis=0), 1e-300))).max(1, initial=0.0)
    return _names(population, [int(j) for j in np.flatnonzero(moved > 1e-6)])


def untold(
    population: Population,
    items: Items,
    inside: Callable[[torch.Tensor], torch.Tensor],
    point: Vector,
    curvature: Vector,
) -> list[str]:
    """A note that names what the data do not tell, at a maximum.

    Args:
        population: any of this kind.
        items: of the answers.
        inside: from coordinates to free parameters.
        point: the maximum in those coordinates.
        curvature: minus the Hessian there.
    """
    change = change_of(population, items, inside, point)
    rank = int((np.linalg.svd(change)[1] > 1e-9).sum())
    null = np.linalg.svd(change)[2][rank:].T
    names = undetermined(population, curvature, null, change)
    if not names:
        return []
    shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    return [f"the data do not tell {shown}: they move together at no cost, and their standard errors are infinite"]


class _Rays:
    """Rays in unconstrained coordinates: the point with some coordinates doubled, and with the same at zero."""

    def __init__(self, maximum: Maximum, items: Items, prior: Prior | None):
        self.maximum, self.population, self.items, self.prior = maximum, maximum.model, items, prior
        self.coordinates = Unconstrained(self.population)
        self.vector = torch.as_tensor(maximum.vector, dtype=torch.float64)
        self.z, self.here = self.coordinates.outside(self.vector), maximum.value
        sizes = {name: value.numel() for name, value in self.population.named_parameters() if value.requires_grad}
        ends = np.cumsum([0, *sizes.values()])
        self.places = {name: np.arange(ends[i], ends[i + 1]) for i, name in enumerate(sizes)}

    @cached_property
    def _reported(self) -> NDArray[np.int64]:
        """Where each number is reported: the types are named in order of falling weight, ``(P,)``."""
        return np.argsort(order_by_weight(self.population, self.maximum.vector))

    def _at(self, z: torch.Tensor) -> float:
        return self.maximum.value_at(self.coordinates.inside(z).detach().numpy())

    def _clearly_falls(self, part: torch.Tensor) -> bool:
        """Whether gradient and curvature show that the solution is a maximum along this part of the point."""
        rise, fall = self.maximum.parabola(self._tangent(part))
        return fall > max(CLEARLY, STEEPLY * abs(rise))

    def _tangent(self, part: torch.Tensor) -> Vector:
        """How the numbers themselves begin to move along a ray, ``(P,)``."""
        if self._are_real[part != 0].all():
            return part.numpy()
        inside = self.coordinates.inside
        return (inside(self.z + STEP * part) - inside(self.z - STEP * part)).detach().numpy() / (2.0 * STEP)

    @cached_property
    def _are_real(self) -> torch.Tensor:
        """Which numbers are their own coordinates, ``(P,)``."""
        out = torch.zeros(len(self.z), dtype=torch.bool)
        for place, _, constraint in self.coordinates.parts:
            out[place] = constraint is Constraint.REAL
        return out

    def runs_away(self, part: torch.Tensor) -> bool:
        """Whether the likelihood does not fall where this part of the point is doubled, and falls without it."""
        if self._clearly_falls(part):
            return False
        further = self._at(self.z + part)
        if not further >= self.here - ROUNDING * (1.0 + abs(self.here)):
            return False
        return not self._at(self.z - part) >= self.here - FALLS

    def judgement(self) -> Judgement:
        """Numbers beside utilities first, then utilities."""
        beside = self._beside()
        lost = [j for j in beside if self._slope[j] >= AT_THE_END]
        if lost:
            raise NotIdentifiedError(
                f"fit: no finite estimate of {self._shown(lost)}: the likelihood rises for ever along it{self._unaided}. "
                f"Remedies: give it as a number, {self._a_prior('an.priors.Gaussian(sd)')}or collect answers that speak against it"
            )
        notes = []
        for j in beside:
            notes.append(
                f"{self._named([j])[0]} is at the boundary of its range ({float(self.vector[j]):.2g}): its "
                "standard error means nothing there"
            )
        far = self._utilities()
        if not far:
            return Judgement(notes)
        if len(self.population.components()) == 1:
            raise NotIdentifiedError(
                f"fit: no finite estimate of {self._shown(far)}: the likelihood rises for ever{self._unaided}. Remedies: "
                f"{self._a_prior('an.priors.Ridge(1) or an.priors.Gaussian(sd)')}drop it, or collect answers that speak against it"
            )
        names, places = self.population.parameter_names(), sorted(self._reported[far].tolist())
        told = ", ".join(names[j] for j in places[:6]) + (", ..." if len(far) > 6 else "")
        notes.append(
            f"at least one type's utilities have no finite maximum: {told} run to infinity; treat them as bounds, fit "
            "fewer types, or pass prior=an.priors.Dirichlet(1)"
        )
        return Judgement(notes, is_finite=False, infinite=tuple(places))

    @property
    def _unaided(self) -> str:
        return "" if self.prior is None else f"; prior={self.prior} does not act on it"

    def _a_prior(self, which: str) -> str:
        """A remedy, unless it was tried."""
        return f"pass prior={which}, " if self.prior is None else ""

    def _shown(self, numbers: list[int]) -> str:
        numbers = sorted(numbers, key=lambda j: int(self._reported[j]))
        names = self._named(numbers)
        return ", ".join(
            f"{name} (at {float(self.vector[j]):.3g})" for name, j in zip(names[:5], numbers, strict=False)
        )

    def _named(self, numbers: list[int]) -> list[str]:
        """As they are reported."""
        return _names(self.population, self._reported[numbers].tolist())

    @cached_property
    def _slope(self) -> torch.Tensor:
        """Change of each number per unit of its own coordinate, in reverse mode: replicates are judged by threads."""
        jacobian: torch.Tensor = torch.autograd.functional.jacobian(self.coordinates.inside, self.z)
        return jacobian.diagonal().abs()

    def _part(self, where: NDArray[np.int64]) -> torch.Tensor:
        part = torch.zeros_like(self.z)
        part[where] = self.z[where]
        return part

    def _beside(self) -> list[int]:
        """Numbers beside utilities that run away, alone or with the other entries of their parameter."""
        out: set[int] = set()
        for name in numbers_beside_utilities(self.population):
            where = self.places[name]
            alone = [int(j) for j in where[:MOST_RAYS] if self.runs_away(self._part(np.array([j])))]
            if not alone and len(where) > 1 and self.runs_away(self._part(where)):
                alone = [int(j) for j in where]
            out |= set(alone)
        return sorted(out)

    def _utilities(self) -> list[int]:
        """Entries of utilities that run away."""
        out: set[int] = set()
        for part in self._utility_rays():
            moved = np.flatnonzero(part.numpy())
            if not set(moved.tolist()) <= out and self.runs_away(part):
                out |= set(moved.tolist())
        return sorted(out)

    def _utility_rays(self) -> Iterator[torch.Tensor]:
        beside, tables = set(numbers_beside_utilities(self.population)), set(utility_tables(self.population))
        for name, where in self.places.items():
            if name in beside or self.population.constraint_of(name) != Constraint.REAL:
                continue
            part = self.population.get_submodule(name.rpartition(".")[0])
            if name in tables:
                yield from self._gaps(where)
            elif isinstance(part, LowRank):
                yield self._part(where)
            elif isinstance(part, Linear | RandomCoefficients) and self.items.features is not None:
                log = (
                    part.is_log.numpy() if isinstance(part, RandomCoefficients) and part.distribution is None else False
                )
                yield from self._slopes(where, np.asarray(log))

    def _slopes(self, where: NDArray[np.int64], log: NDArray[np.bool_]) -> Iterator[torch.Tensor]:
        """Weights of features that move a utility far, together and one by one; logarithms of weights, any of them."""
        spread = self.items.feature_spread.numpy()
        reach = np.abs(self.z[where].numpy()) * (spread if len(spread) == len(where) else np.inf)
        reach = np.where(log, np.inf, reach)
        if reach.sum() > FAR:
            yield self._part(where)
            yield from (self._part(where[[i]]) for i in np.flatnonzero(reach > FAR)[:MOST_RAYS])

    def _gaps(self, where: NDArray[np.int64]) -> Iterator[torch.Tensor]:
        """Wide gaps between utilities of one prompt: those above it moved up by as much again."""
        table, prompts = self.z[where].numpy(), self.items.prompts.numpy()
        if len(prompts) != len(table):
            return
        for prompt in np.unique(prompts):
            own = np.flatnonzero(prompts == prompt)
            own = own[np.argsort(table[own])]
            gaps = np.diff(table[own])
            for i in np.argsort(-gaps)[:MOST_RAYS]:
                if gaps[i] > FAR:
                    part = torch.zeros_like(self.z)
                    few = own[i + 1 :] if 2 * (i + 1) >= len(own) else own[: i + 1]
                    part[where[few]] = float(gaps[i]) if 2 * (i + 1) >= len(own) else -float(gaps[i])
                    yield part


def _names(population: Population, numbers: list[int]) -> list[str]:
    """``rule.shift`` for the only entry of a parameter, ``gate[0,1]`` otherwise."""
    scalars = {name for name, value in population.free_parameters().items() if value.numel() == 1}
    names = (population.parameter_names()[j] for j in numbers)
    return [whole if (whole := name.split("[")[0]) in scalars else name for name in names]


def change_of(
    population: Population, items: Items, inside: Callable[[torch.Tensor], torch.Tensor], z: Vector
) -> Vector:
    """Jacobian of the normalised parameters in coordinates ``z``, ``(parameters, P)``."""
    return reverse_jacobian(lambda at: canonical(population, items, inside(at)), torch.as_tensor(z)).numpy()
