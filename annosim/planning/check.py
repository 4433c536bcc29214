"""Is a plan right? Studies of the recommended size, simulated and fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import beta, chi2

from annosim.designs.design import Design
from annosim.errors import ArgumentError, TooLargeError, told
from annosim.identifiability.formatting import fold
from annosim.identifiability.functionals import evaluate
from annosim.learning.fitting import fit_replicates
from annosim.planning.targets import Target
from annosim.populations.base import Population
from annosim.results import Result, versions
from annosim.simulation.draws import simulate

__all__ = ["PlanCheck", "simulate_at"]

#: answers that one check may simulate
MOST_ANSWERS = 2e7


@dataclass(frozen=True, eq=False, repr=False)
class PlanCheck(Result):
    """Simulated studies of the recommended size against what the plan promised.

    Attributes:
        name: of the design.
        annotators: of every simulated study.
        truth: ``(m,)`` the target.
        estimates: ``(replicates, m)``; a row of NaN where no estimate exists.
        promised: ``(m,)`` half-widths of 95 % intervals.
    """

    name: str
    annotators: int
    truth: NDArray[np.float64]
    estimates: NDArray[np.float64]
    promised: NDArray[np.float64]

    @property
    def failed(self) -> int:
        """Studies without an estimate."""
        return int(np.isnan(self.estimates).any(1).sum())

    @property
    def found(self) -> NDArray[np.float64]:
        """``(m,)`` half-widths that the estimates really have: 1.96 standard deviations."""
        return 1.959963984540054 * self._fine().std(0, ddof=1)

    def found_range(self, level: float = 0.95) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Confidence interval of :attr:`found`, each ``(m,)`` (chi-square: the estimates are taken as normal)."""
        df = len(self._fine()) - 1
        tail = (1 - level) / 2
        return self.found * np.sqrt(df / chi2.isf(tail, df)), self.found * np.sqrt(df / chi2.ppf(tail, df))

    @property
    def covered(self) -> NDArray[np.float64]:
        """``(m,)`` share of studies whose estimate is within the promised half-width of the truth."""
        return (np.abs(self._fine() - self.truth) <= self.promised).mean(0)

    def covered_range(self, level: float = 0.95) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Exact (Clopper-Pearson) confidence interval of :attr:`covered`, each ``(m,)``."""
        n, tail = len(self._fine()), (1 - level) / 2
        hits = np.round(self.covered * n)
        low = np.where(hits > 0, beta.ppf(tail, np.maximum(hits, 1), n - hits + 1), 0.0)
        high = np.where(hits < n, beta.ppf(1 - tail, hits + 1, np.maximum(n - hits, 1)), 1.0)
        return low, high

    @property
    def holds(self) -> bool:
        """The spread is not wider than promised, at level .001 over all components together (Bonferroni)."""
        return bool((self.found_range(1 - 0.002 / len(self.promised))[0] <= self.promised * (1 + 1e-9)).all())

    def _fine(self) -> NDArray[np.float64]:
        fine = self.estimates[~np.isnan(self.estimates).any(1)]
        if len(fine) < 2:
            raise ArgumentError(f"Plan.check: {self.failed} of {len(self.estimates)} studies have no estimate at all")
        return fine

    def _title(self) -> str:
        return f"Check of a plan: {self.name}, {self.annotators:,} annotators"

    def _lines(self) -> list[tuple[str, object]]:
        at = int((self.found / np.maximum(self.promised, 1e-300)).argmax())
        low, high = self.found_range()
        down, up = self.covered_range()
        which = f"component {at}, the worst of {len(self.promised)}" if len(self.promised) > 1 else "the target"
        return [
            ("studies", f"{len(self.estimates)} simulated, {self.failed} without an estimate"),
            ("about", which),
            (
                "half-width",
                fold(
                    f"{self.promised[at]:.4g} promised, {self.found[at]:.4g} found (95 %: {low[at]:.3g} to "
                    f"{high[at]:.3g})",
                    10,
                ),
            ),
            (
                "covered",
                fold(f"{self.covered[at]:.0%} of the estimates within it (95 %: {down[at]:.0%} to {up[at]:.0%})", 10),
            ),
            ("mean", f"{self._fine().mean(0)[at]:.4g}, the truth is {self.truth[at]:.4g}"),
            ("holds", "yes" if self.holds else "no: the estimates spread wider than promised"),
        ]


def simulate_at(
    name: str,
    population: Population,
    design: Design,
    annotators: int,
    function: Target,
    promised: NDArray[np.float64],
    replicates: int,
    seed: int,
) -> PlanCheck:
    """Simulate, fit from the truth, name the types as in the truth, and evaluate the target.

    Raises:
        ArgumentError: fewer than two replicates.
        TooLargeError: more than 2e7 answers.
    """
    if isinstance(replicates, bool) or not isinstance(replicates, int) or replicates < 2:
        raise ArgumentError(f"Plan.check(replicates={told(replicates)}): a whole number of at least 2")
    sized = design.with_(annotators=annotators) if design.loads is None else _loaded(design, annotators)
    if sized.num_rows * replicates > MOST_ANSWERS:
        raise TooLargeError(
            f"Plan.check: {sized.num_rows * replicates:.3g} answers to simulate, more than {MOST_ANSWERS:.0e}; ask for "
            "fewer replicates= or plan for a larger precision="
        )
    data = simulate(population, sized, seed=seed, replicates=replicates)
    fits = fit_replicates(population, data).align(population)
    truth = evaluate(function, population, design.items).numpy()
    estimates = np.full((replicates, len(truth)), np.nan)
    for r, row in enumerate(fits.vectors):
        if np.isfinite(row).all():
            one = population.with_parameters(torch.as_tensor(row))
            estimates[r] = evaluate(function, one, design.items).numpy()
    settings = {"replicates": replicates, "seed": seed, "answers": sized.num_rows * replicates, **versions()}
    return PlanCheck(name, annotators, truth, estimates, promised, settings=settings)


def _loaded(design: Design, annotators: int) -> Design:
    """The same mix of loads for another number of annotators."""
    loads = np.resize(np.asarray(design.loads), annotators)
    return design.with_(annotators=annotators, loads=loads, questions=int(loads.max()))
