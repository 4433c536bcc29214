"""Choices grouped by person with their draws, and what one pass over them gives; how much memory that takes."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from annosim.compiled import threads
from annosim.learning.likelihoods.kernels import simulated as kernels
from annosim.learning.likelihoods.simulated_draws import PIECE, requested
from annosim.learning.likelihoods.statistics import Orders, orders_from_data
from annosim.learning.solvers.settings import SimulatedLikelihood
from annosim.populations.random_coefficients import RandomCoefficients

__all__ = ["FEW", "SimulatedPanel", "coordinates", "every_person", "memory_needed", "mirrored"]

#: draws of the first climbs, when there are many more
FEW = 24
#: people of the first climbs, when there are many more
FEW_PEOPLE = 1000
#: people whose sums are taken together
RUN = 256


def memory_needed(people: int, choices: int, others: int, dim: int, random: int, draws: int) -> int:
    """Bytes that a fit takes at its peak, beside the data.

    Draws ``8 people random draws`` and differences of features ``8 choices others dim`` once, and once more the part of
    them on which the first climbs run; orders, scores, and what each core works on.

    Args:
        people, choices: how many annotators, and choices of all of them together.
        others: alternatives of the largest menu, less one.
        dim, random: coefficients, and those that differ between annotators.
        draws: for each annotator.

    Example:
        >>> round(memory_needed(10_000, 100_000, 2, 4, 4, 200) / 1e6)  # of which 64 are draws
        85
    """
    size, corners, every = dim + random, dim * (dim + 1) // 2, every_person(people, dim + random)
    normals, differences = people * random * draws, choices * (others * dim + 1)
    first_climbs = (normals if every > 1 else people * random * min(3 * FEW, draws)) / every + differences / every
    held = normals + differences + choices * (others + 3) + 3 * people * (size + 2)
    work = draws * (3 * dim + others + corners + 1 + random * (random + 3) // 2 + 4)
    return int(8 * (held + max(first_climbs, 3 * min(PIECE, normals)) + threads.count(None) * work))


def every_person(people: int, size: int) -> int:
    """The first climbs take every so manieth person."""
    return max(people // max(FEW_PEOPLE, 50 * size), 1)


class SimulatedPanel:
    """Choices grouped by person, with their draws; value, gradient and information of the simulated likelihood.

    Args:
        model: normal random coefficients.
        data: choices.
        seed: of the draws.
        solver: how many draws, and where they come from.

    Attributes:
        z: the draws ``(people, random, R)``.
        words: what they are.
        unit: ``(all numbers,)``, by how much a unit of each moves a difference of utilities, root mean square.
    """

    def __init__(self, model: RandomCoefficients, data: Any, seed: int = 0, solver: SimulatedLikelihood | None = None):
        ids = np.asarray(data.annotator_ids)
        if not (np.diff(ids) >= 0).all():
            data = data.take(np.argsort(ids, kind="stable"))
            ids = np.asarray(data.annotator_ids)
        begins = np.flatnonzero(np.r_[True, np.diff(ids) != 0])
        orders: Orders = orders_from_data(data, np.ones(data.rows))
        self.first = np.r_[0, np.cumsum(np.add.reduceat(orders.depth.astype(np.int64), begins))]
        self.size, self.difference = _stages(orders, data.items.features.double().numpy())
        self.weight = np.asarray(data.annotator_weight, dtype=np.float64)[ids[begins]]
        self.dim = data.items.dim
        self.component, self.column, self.full = coordinates(model)
        self.free = _free(model)
        self.random = _random(self.column, self.full, self.free)
        rms = np.sqrt(np.einsum("cad,cad->d", self.difference, self.difference) / max(self.difference[..., 0].size, 1))
        self.unit = np.where(rms > 0, rms, 1.0)[self.component]
        self.z, self.words = requested(solver or SimulatedLikelihood(), len(self.weight), len(self.random), seed)
        self.kept: dict[str, Any] = {}

    @property
    def memory(self) -> int:
        """Bytes; see :func:`memory_needed`."""
        people, random, draws = self.z.shape
        choices, others, dim = self.difference.shape
        return memory_needed(people, choices, others, dim, random, draws)

    def some(self, every: int, draws: int | None = None) -> SimulatedPanel:
        """A panel of every so manieth person, with the first ``draws`` of each one's draws."""
        other = copy.copy(self)
        people = np.arange(0, len(self.weight), every)
        count = np.diff(self.first)[people]
        other.first = np.r_[0, np.cumsum(count)]
        rows = np.repeat(self.first[people] - other.first[:-1], count) + np.arange(other.first[-1])
        other.size, other.difference, other.weight = self.size[rows], self.difference[rows], self.weight[people]
        other.z, other.kept = np.ascontiguousarray(self.z[people, :, :draws]), {}
        return other

    def reweighted(self, weight: np.ndarray) -> SimulatedPanel:
        """The same panel under other weights of people."""
        other = copy.copy(self)
        other.weight, other.kept = np.asarray(weight, dtype=np.float64), {}
        return other

    def only(self, free: np.ndarray, full: np.ndarray) -> SimulatedPanel:
        """The same panel in which only these coordinates are free and the others are as in ``full``."""
        other = copy.copy(self)
        other.free, other.full, other.kept = free, full.copy(), {}
        return other

    def coefficients(self, full: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean ``(d,)`` and factor ``(d, d)``."""
        factor = np.zeros((self.dim, self.dim))
        fixed = self.column < 0
        mean = np.zeros(self.dim)
        mean[self.component[fixed]] = full[fixed]
        factor[self.component[~fixed], self.column[~fixed]] = full[~fixed]
        return mean, factor

    def everything(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient at the free coordinates; the information and scores are kept for :meth:`information`.

        Sums are taken over runs of ``RUN`` people, in order: how many threads there are does not change a bit.
        """
        full = self.full.copy()
        full[self.free] = x
        mean, factor = self.coefficients(full)
        factor = np.ascontiguousarray(factor[:, self.random])
        place = np.full(self.dim + 1, -1)
        place[self.random] = np.arange(len(self.random))
        component, column = self.component[self.free], place[self.column[self.free]]
        people, size = len(self.weight), len(self.free)
        runs = -(-people // RUN)
        value, scores = np.zeros(runs), np.empty((people, size))
        gradient, information = np.zeros((runs, size)), np.zeros((runs, size, size))

        def part(i: int) -> None:
            value[i] = kernels.people(
                i * RUN,
                min((i + 1) * RUN, people),
                self.first,
                self.difference,
                self.size,
                self.z,
                mean,
                factor,
                component,
                column,
                self.weight,
                gradient[i],
                information[i],
                scores,
            )

        threads.run(part, range(runs), threads.count(None))
        total = information.sum(0)
        self.kept = {"at": x.copy(), "information": total + np.tril(total, -1).T, "scores": scores}
        return float(value.sum()), gradient.sum(0)

    def information(self, x: np.ndarray) -> np.ndarray:
        """Minus the Hessian in the free coordinates."""
        if "at" not in self.kept or not np.array_equal(self.kept["at"], x):
            self.everything(x)
        return self.kept["information"]


def _stages(orders: Orders, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each choice from what is left: how many were not chosen ``(choices,)``, and their features less the chosen one's.

    A ranking is a run of choices, the first place first (Luce 1959); differences are ``(choices, others, d)``.
    """
    depth, k = orders.depth.astype(np.int64), orders.order.shape[1]
    row = np.repeat(np.arange(len(depth)), depth)
    place = np.arange(len(row)) - np.repeat(np.cumsum(depth) - depth, depth)
    size = orders.length[row] - 1 - place
    others = place[:, None] + np.arange(1, k)
    real = others < orders.length[row, None]
    listed = np.where(real, orders.order[row[:, None], np.minimum(others, k - 1)], orders.order[row, place][:, None])
    return size.astype(np.int64), features[listed] - features[orders.order[row, place]][:, None]


def coordinates(model: RandomCoefficients) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For mean, scale and lower: the coefficient each number moves, the normal it multiplies (-1: none), its value."""
    d, varying = model.dim, np.array(model.varying)
    component, column = [np.arange(d), varying], [np.full(d, -1), varying]
    parts = [model.mean, model.scale]
    if model.lower is not None:
        rows, columns = np.tril_indices(len(varying), -1)
        component, column = [*component, varying[rows]], [*column, varying[columns]]
        parts.append(model.lower)
    full = np.concatenate([part.detach().double().numpy().reshape(-1) for part in parts])
    return np.concatenate(component), np.concatenate(column), full


def _random(column: np.ndarray, full: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The normals that move something: those of the others are never drawn."""
    moves = column >= 0
    moves[np.setdiff1d(np.flatnonzero(full == 0), free)] = False
    return np.unique(column[moves])


def _free(model: RandomCoefficients) -> np.ndarray:
    parts = [model.mean, model.scale] + ([] if model.lower is None else [model.lower])
    return np.flatnonzero(np.concatenate([np.full(part.numel(), part.requires_grad) for part in parts]))


def mirrored(full: np.ndarray, panel: SimulatedPanel) -> tuple[np.ndarray, np.ndarray]:
    """Columns of the factor with a negative diagonal change sign (their draws are as good with the other sign).

    Returns:
        All numbers, and which of them changed sign.
    """
    diagonal = panel.component == panel.column
    negative = panel.column[diagonal & (full < 0)]
    turned = np.isin(panel.column, negative) & (panel.column >= 0)
    return np.where(turned, -full, full), turned
