"""What a training run gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from annosim.learning.training.em_trace import EMTrace
from annosim.learning.training.records import TrainingLog
from annosim.populations.base import Population

__all__ = ["Training"]


@dataclass(frozen=True, eq=False)
class Training:
    """What a training run gives back; every array has a leading axis of replicates x starts.

    Attributes:
        populations: the trained populations.
        loss: ``(R,)`` mean objective at the end, regulariser included, on all training annotators.
        held_out_loss: ``(R,)`` or ``None``.
        gradient_norm: ``(R,)`` largest absolute entry of the full-batch gradient at the end.
        last_change: ``(R,)`` mean loss of the last fiftieth of the steps minus that of the fiftieth before.
        steps: steps taken.
        stopped_by: ``"schedule"``, ``"gradient"`` or ``"held out"``.
        converged: ``(R,)`` whether the gradient is below the tolerance.
        log: per-step records.
        settings: the solver, the device, and under ``"speed"`` seconds, steps a second and, on a GPU, its utilisation
            and the peak of its memory.
        em: of a run by EM, its E-steps.
    """

    populations: list[Population]
    loss: torch.Tensor
    held_out_loss: torch.Tensor | None
    gradient_norm: torch.Tensor
    last_change: torch.Tensor
    steps: int
    stopped_by: str
    converged: torch.Tensor
    log: TrainingLog
    settings: dict[str, Any] = field(default_factory=dict)
    em: EMTrace | None = None

    @property
    def unfinished(self) -> bool:
        """Whether the schedule ended while the loss still moved: worth a warning."""
        return self.stopped_by == "schedule" and bool((self.last_change.abs() > 1e-3 * (1 + self.loss.abs())).any())
