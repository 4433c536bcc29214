"""What EM over networks records at its E-steps: the log-likelihood, how often it fell, and types that ran empty."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

__all__ = ["EMSummary", "EMTrace"]


@dataclass(eq=False)
class EMTrace:
    """The E-steps of all copies of one run.

    Attributes:
        types: K.
        step: optimiser steps taken before each E-step.
        values: mean log-likelihood per annotator at each E-step (less the regulariser), each ``(copies,)``.
        temperature: of the responsibilities at each E-step.
        emptied: ``(step, copy, type, annotators left, 1 when it was refilled)``.
        random_first: copies that began from random responsibilities.
        share: ``(copies, types)`` mean responsibilities at the last E-step.

    Example:
        >>> trace = EMTrace(2)
        >>> for step, value in enumerate([-3.0, -2.0, -2.5, -1.0]):
        ...     trace.add(step, torch.tensor([value], dtype=torch.float64), 1.0)
        >>> trace.n_decreases(0), trace.largest_decrease(0)
        (1, 0.5)
    """

    types: int
    step: list[int] = field(default_factory=list)
    values: list[torch.Tensor] = field(default_factory=list)
    temperature: list[float] = field(default_factory=list)
    emptied: list[tuple[int, int, int, float, int]] = field(default_factory=list)
    random_first: list[int] = field(default_factory=list)
    share: torch.Tensor | None = None

    def add(self, step: int, value: torch.Tensor, temperature: float) -> None:
        """One E-step."""
        self.step.append(step)
        self.values.append(value.detach().cpu())
        self.temperature.append(temperature)

    def empty(self, step: int, copy: int, kind: int, count: float, refilled: bool) -> None:
        """A type had (nearly) nobody."""
        self.emptied.append((step, copy, kind, count, int(refilled)))

    @property
    def log_likelihood(self) -> torch.Tensor:
        """Mean per annotator, ``(E-steps, copies)``."""
        return torch.stack(self.values)

    def changes(self, copy: int) -> torch.Tensor:
        """Changes from one E-step to the next that EM promises not to be negative: at temperature one, no refill between,
        and not across random first responsibilities, which are not those of the parameters."""
        refilled = {at for at, c, _, _, done in self.emptied if c == copy and done}
        first = 1 if copy in self.random_first else 0
        rise = self.log_likelihood[:, copy].diff()
        held = [i for i in range(first, len(rise)) if self.temperature[i] == 1.0 and self.step[i] not in refilled]
        return rise[held]

    def n_decreases(self, copy: int) -> int:
        """How often the log-likelihood decreased between two E-steps (rounding of 1e-12 aside)."""
        return int((self.changes(copy) < -1e-12 * (1 + self.log_likelihood[:, copy].abs().amax())).sum())

    def largest_decrease(self, copy: int) -> float:
        """The largest of these decreases, per annotator; zero when there was none."""
        if not self.n_decreases(copy):
            return 0.0
        return float(-self.changes(copy).min())

    def stalled(self) -> bool:
        """Whether the likelihood of no copy changed between the last two E-steps, both at temperature one."""
        if len(self.values) < 2 or self.temperature[-2:] != [1.0, 1.0]:
            return False
        return bool((self.values[-1] - self.values[-2]).abs().amax() <= 1e-12 * (1 + self.values[-1].abs().amax()))

    def last_change(self) -> torch.Tensor:
        """Change over the last fiftieth of the E-steps (one at least), per annotator, ``(copies,)``."""
        if len(self.values) < 2:
            return torch.full_like(self.values[-1], torch.inf)
        k = max(1, len(self.values) // 50)
        return self.values[-1] - self.values[-1 - k]

    def notes(self, copy: int, total: float) -> list[str]:
        """What the reader must know of one copy, log-likelihoods in units of all ``total`` annotators."""
        count = len(self.changes(copy))
        out = [f"the log-likelihood rose or stayed at all of {count} E-steps"]
        if self.n_decreases(copy):
            worst = self.largest_decrease(copy)
            out = [
                f"the log-likelihood fell at {self.n_decreases(copy)} of {count} E-steps, by {worst * total:.3g} at most "
                f"({worst:.2g} per annotator): noise of inexact M-steps"
            ]
        if copy in self.random_first:
            out.append("the types began alike, or as a restart: first responsibilities were random")
        mine = [one for one in self.emptied if one[1] == copy]
        for kind in sorted({one[2] for one in mine}):
            refills = sum(one[4] for one in mine if one[2] == kind)
            left = [one for one in mine if one[2] == kind and not one[4]]
            text = f"type {kind} of the model as given ran empty and was refilled {refills} time(s)"
            out.append(text + (": it stays empty; fit fewer types" if left else ""))
        return out

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return dict(self.__dict__)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> EMTrace:
        """From a checkpoint."""
        return cls(**state)


@dataclass(frozen=True, eq=False)
class EMSummary:
    """What a fit by EM over networks keeps of its E-steps.

    Attributes:
        trace: of all copies of the run.
        n_decreases: how often the log-likelihood of the best copy decreased between two E-steps.
        largest_decrease: the largest of these decreases.
    """

    trace: EMTrace
    n_decreases: int
    largest_decrease: float
