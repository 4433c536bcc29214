"""How a network is trained, and what a training run gives back."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from annosim.errors import ArgumentError
from annosim.learning.training.runs import Log
from annosim.parameters import check_number
from annosim.populations.base import Population

__all__ = ["Adam", "Training"]


@dataclass(frozen=True)
class Adam:
    """How a network is trained: Adam (AdamW with ``weight_decay``), linear warm-up, cosine to zero.

    Args:
        steps: optimiser steps.
        lr: peak learning rate.
        batch: annotators per step; ``None``, or as many as there are, = all of them (full batch).
        warmup: steps of linear warm-up.
        weight_decay: decoupled (AdamW).
        accumulate: gradients of this many minibatches are averaged before a step.
        held_out: share of annotators kept aside; training stops when their loss has not fallen for ``patience``
            evaluations, and the best parameters are given back.
        patience: evaluations without improvement.
        evaluate_every: steps between evaluations on the held-out annotators.
        tolerance: the run ends, converged, when the largest gradient entry of the full-batch loss is below this.
        precision: ``"auto"`` (bf16 autocast of the networks on a GPU, float32 on a CPU), ``"float32"`` or
            ``"bfloat16"``; the loss itself is never in half precision.
        compile: pass the networks through ``torch.compile``.
        checkpoint: file that a killed run resumes from.
        checkpoint_every: steps between checkpoints.
        log: parquet file that gets the loss, the learning rate and the held-out loss of every step.
        final: evaluate loss and gradient on all training data at the end (one more pass); without it the last
            step's are reported.
        progress: show a bar (only on a terminal, only for runs over two seconds).

    Raises:
        ArgumentError: a number out of range.

    Example:
        >>> Adam(steps=100, lr=1e-3, warmup=10).rate(9), Adam(steps=100).rate(99) < 1e-7
        (0.001, True)
    """

    steps: int = 8192
    lr: float = 1e-4
    batch: int | None = None
    warmup: int = 0
    weight_decay: float = 0.0
    accumulate: int = 1
    held_out: float = 0.0
    patience: int = 10
    evaluate_every: int = 50
    tolerance: float = 1e-7
    precision: str = "auto"
    compile: bool = False
    checkpoint: str | Path | None = None
    checkpoint_every: int = 1000
    log: str | Path | None = None
    final: bool = True
    progress: bool = True

    def __post_init__(self) -> None:
        whole = {"steps": 1, "warmup": 0, "accumulate": 1, "patience": 1, "evaluate_every": 1, "checkpoint_every": 1}
        for name, least in whole.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise ArgumentError(f"Adam({name}={value!r}): a whole number of at least {least}")
            object.__setattr__(self, name, int(value))  # numpy's would be written differently in a checkpoint
        whole_batch = isinstance(self.batch, int | np.integer) and not isinstance(self.batch, bool) and self.batch >= 1
        if self.batch is not None and not whole_batch:
            raise ArgumentError(f"Adam(batch={self.batch!r}): a whole number of at least 1, or None for all")
        object.__setattr__(self, "batch", None if self.batch is None else int(self.batch))
        check_number("Adam(lr=)", self.lr, "positive")
        check_number("Adam(weight_decay=)", self.weight_decay, "nonnegative")
        check_number("Adam(tolerance=)", self.tolerance, "nonnegative")
        if not 0 <= check_number("Adam(held_out=)", self.held_out, "real") < 1:
            raise ArgumentError(f"Adam(held_out={self.held_out}): a share from 0 to below 1")
        if self.warmup > self.steps:
            raise ArgumentError(f"Adam(warmup={self.warmup}): more than steps={self.steps}; the peak is never reached")
        for name in ("compile", "final", "progress"):
            if not isinstance(getattr(self, name), bool):
                raise ArgumentError(f"Adam({name}={getattr(self, name)!r}): True or False")
        for name in ("checkpoint", "log"):
            path = getattr(self, name)
            if path is not None and (not isinstance(path, str | Path) or Path(path).is_dir()):
                raise ArgumentError(f"Adam({name}={path!r}): the name of a file")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise ArgumentError(f"Adam(precision={self.precision!r}): auto, float32 or bfloat16")

    def rate(self, step: int) -> float:
        """Learning rate of a step (0 first)."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        share = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr * 0.5 * (1 + math.cos(math.pi * share))


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
        settings: the options, the device, and under ``"speed"`` seconds, steps a second and, on a GPU, its utilisation
            and the peak of its memory.
    """

    populations: list[Population]
    loss: torch.Tensor
    held_out_loss: torch.Tensor | None
    gradient_norm: torch.Tensor
    last_change: torch.Tensor
    steps: int
    stopped_by: str
    converged: torch.Tensor
    log: Log
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def unfinished(self) -> bool:
        """Whether the schedule ended while the loss still moved: worth a warning."""
        return self.stopped_by == "schedule" and bool((self.last_change.abs() > 1e-3 * (1 + self.loss.abs())).any())
