"""What a training run records: every step's loss, how fast it goes, and a batch that went wrong."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from annosim.errors import TrainingError
from annosim.files import atomic_path
from annosim.learning.saving import save_object
from annosim.learning.training.batches import Rows

__all__ = ["Throughput", "TrainingLog", "save_bad_batch"]


class TrainingLog:
    """Loss, learning rate and held-out loss of every step, each copy its own column.

    Example:
        >>> log = TrainingLog()
        >>> for step, loss in enumerate([3., 2., 1.]):
        ...     log.add(step, torch.tensor([loss]), 0.1)
        >>> log.losses().shape
        torch.Size([3, 1])
    """

    def __init__(self) -> None:
        self.loss: list[torch.Tensor] = []
        self.rate: list[float] = []
        self.held_out: dict[int, torch.Tensor] = {}

    def add(self, step: int, loss: torch.Tensor, rate: float) -> None:
        """One step's record."""
        self.loss.append(loss.detach().cpu())
        self.rate.append(rate)

    def losses(self) -> torch.Tensor:
        """``(steps, copies)``."""
        return torch.stack(self.loss)

    def last_change(self) -> torch.Tensor:
        """Mean loss of the last fiftieth of the steps minus that of the fiftieth before, ``(copies,)``."""
        losses = self.losses()
        k = max(1, len(losses) // 50)
        if len(losses) < 2 * k:
            return torch.full((losses.shape[1],), torch.inf, dtype=torch.float64)
        return losses[-k:].mean(0) - losses[-2 * k : -k].mean(0)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write a parquet file, whole or not at all."""
        import pandas as pd

        losses = self.losses().numpy()
        table: dict[str, Any] = {"step": range(len(losses)), "learning_rate": self.rate}
        for r in range(losses.shape[1]):
            suffix = "" if losses.shape[1] == 1 else f"_{r}"
            table[f"loss{suffix}"] = losses[:, r]
            if self.held_out:
                held = {step: float(value[r]) for step, value in self.held_out.items()}
                table[f"held_out{suffix}"] = [held.get(s, float("nan")) for s in range(len(losses))]
        with atomic_path(path) as part:
            pd.DataFrame(table).to_parquet(part)

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return dict(vars(self))

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> TrainingLog:
        """From a checkpoint."""
        log = cls()
        vars(log).update(state)
        return log


class Throughput:
    """How fast a run goes, and how busy its GPU is.

    Args:
        device: where the run is.
        step: the step it begins at.

    Example:
        >>> throughput = Throughput(torch.device("cpu"), 0)
        >>> sorted(throughput.record(10))
        ['seconds', 'steps_per_second']
    """

    def __init__(self, device: torch.device, step: int):
        self.device, self.first_step, self.start = device, step, time.perf_counter()
        self.utilisation: list[int] = []
        self.unknown = ""
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def sample(self, step: int) -> None:
        """Ask the driver, every hundredth step, for the share of the last moments in which a kernel ran."""
        if self.device.type != "cuda" or self.unknown or step % 100:
            return
        try:
            self.utilisation.append(torch.cuda.utilization(self.device))
        except (ModuleNotFoundError, RuntimeError) as error:
            self.unknown = f"not known ({str(error).splitlines()[0]})"

    def record(self, step: int) -> dict[str, Any]:
        """Seconds, steps a second and, on a GPU, its name, mean utilisation in percent and peak memory in bytes."""
        seconds = time.perf_counter() - self.start
        found: dict[str, Any] = {"seconds": seconds, "steps_per_second": (step - self.first_step) / max(seconds, 1e-9)}
        if self.device.type == "cuda":
            found["gpu"] = torch.cuda.get_device_name(self.device)
            found["utilisation"] = (
                sum(self.utilisation) / len(self.utilisation) if self.utilisation else self.unknown or "too few steps"
            )
            found["peak_memory"] = torch.cuda.max_memory_allocated(self.device)
        return found


def save_bad_batch(
    checkpoint: str | os.PathLike[str] | None, step: int, loss: torch.Tensor, rows: Rows, raw: dict[str, torch.Tensor]
) -> None:
    """Save the batch whose loss is not finite, and raise.

    Raises:
        TrainingError: always; the message names the file.
    """
    folder = Path(checkpoint).parent if checkpoint is not None else Path(tempfile.mkdtemp(prefix="annosim-"))
    path = folder / f"bad-batch-step-{step}.pt"
    content = {
        "step": step,
        "loss": loss.detach().cpu(),
        "menu": rows.view.menu.cpu(),
        "answer": rows.answer.position.cpu(),
        "parameters": {name: value.detach().cpu() for name, value in raw.items()},
    }
    save_object(content, path)
    bad = torch.nonzero(~torch.isfinite(loss)).flatten().tolist()
    raise TrainingError(
        f"the loss is not finite at step {step} (copy {bad[0]}); the batch and the parameters are in {path}; lower "
        "Adam(lr=), or look for infinite scores in that file"
    )
