"""One design of a plan."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annosim.designs.design import Design
from annosim.planning.sequential import Interviews
from annosim.populations.base import Population

__all__ = ["PlanRow"]


@dataclass(frozen=True, eq=False)
class PlanRow:
    """One design of a plan.

    Attributes:
        name: of the design.
        design: the design.
        population: who answers it.
        identifies: whether it identifies the target (all its components).
        verdict: of the family that was asked about.
        reason: why it does not.
        annotators: needed; ``inf`` when it does not identify the target.
        answers: annotators times questions.
        cost: of these.
        half_width: ``(m,)`` half-widths of 95 % intervals of the target's components at that number of annotators.
        range: 5 % and 95 % quantile of the annotators needed, over draws of a fit; ``None`` without a fit.
        share_identified: share of the draws in which the design identifies the target.
        low, high: ``(m,)`` bounds of the target over the family, where ``among=`` computed them.
        at_least: the annotators are a lower bound: the family is singular at the population.
        interviews: of a sequential design, the simulated interviews.
        judged: answers of judges beside those of people.
    """

    name: str
    design: Design
    population: Population
    identifies: bool
    verdict: str
    reason: str
    annotators: float
    answers: float
    cost: float
    half_width: NDArray[np.float64]
    range: tuple[float, float] | None = None
    share_identified: float = 1.0
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None
    at_least: bool = False
    interviews: Interviews | None = None
    judged: int = 0

    def __str__(self) -> str:
        if not math.isfinite(self.annotators):
            return f"inf: {self.reason}{self.interval()}"
        if self.interviews is not None:
            low, high = np.quantile(self.interviews.questions, [0.05, 0.95])
            each, wrong = self.answers / self.annotators, self.interviews.error_rate
            asked = f"{each:.3g} questions each (90 %: {low:.0f} to {high:.0f}), {wrong:.1%} decided wrongly"
            return f"{asked}, {self.answers:,.0f} answers, cost {self.cost:,.2f}"
        spread = f" (90 %: {self.range[0]:,.0f} to {self.range[1]:,.0f})" if self.range else ""
        least = "at least " if self.at_least else ""
        beside = f" and {self.judged:,.0f} of judges" if self.judged else ""
        people = f"{least}{self.annotators:,.0f} annotators{spread}"
        return f"{people}, {self.answers:,.0f} answers{beside}, cost {self.cost:,.2f}"

    def interval(self) -> str:
        """Bounds of the widest component in words, or ``""``."""
        if self.low is None or self.high is None:
            return ""
        at = int((self.high - self.low).argmax())
        which = f" component {at}" if len(self.low) > 1 else ""
        return f":{which} in [{float(self.low[at]):.4g}, {float(self.high[at]):.4g}]"
