"""What surrounds a training run: its log, checkpoints, progress bar, and the record of a batch that went wrong."""

from __future__ import annotations

import contextlib
import pickle
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from annosim.errors import ArgumentError, FileReadError, TrainingError
from annosim.files import atomic_path
from annosim.learning.training.batches import Rows

__all__ = ["Interrupt", "Keeper", "Log", "Meter", "check_writable", "progress_bar", "save_bad_batch"]


class Log:
    """Loss, learning rate and held-out loss of every step, each copy its own column.

    Example:
        >>> log = Log()
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

    def write(self, path: str | Path) -> None:
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
        return {"loss": self.loss, "rate": self.rate, "held_out": self.held_out}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Log:
        """From a checkpoint."""
        log = cls()
        log.loss, log.rate, log.held_out = list(state["loss"]), list(state["rate"]), dict(state["held_out"])
        return log


class Keeper:
    """Checkpoints of one run in one file: written whole, and refused when they belong to another run.

    Args:
        path: the file, or ``None`` for no checkpoints.
        fingerprint: what must agree.
    """

    def __init__(self, path: str | Path | None, fingerprint: dict[str, Any]):
        self.path = None if path is None else Path(path)
        self.fingerprint = fingerprint

    def save(self, state: dict[str, Any]) -> None:
        """Write the state."""
        if self.path is not None:
            with atomic_path(self.path) as part:
                torch.save({"fingerprint": self.fingerprint, **state}, part)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The state to resume from, or ``None`` when there is no file.

        Raises:
            ArgumentError: the file belongs to another model, item set, data set, objective or schedule.
        """
        if self.path is None or not self.path.exists():
            return None
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
            first = str(error).splitlines()[0]
            raise FileReadError(f"checkpoint {self.path.name} cannot be read ({first}); remove it") from error
        known = state.get("fingerprint", {}) if isinstance(state, dict) else {}
        for name, value in self.fingerprint.items():
            if known.get(name) != value:
                raise ArgumentError(
                    f"checkpoint {self.path.name} belongs to another run (not the same {name}); remove it, or give "
                    "another name"
                )
        return state


class Interrupt:
    """Ctrl-C waits for the end of a step, where the state of a run is whole; a second one does not wait.

    Args:
        wanted: whether there is a checkpoint to write; without one Ctrl-C does what it always does.

    Example:
        >>> with Interrupt(True) as interrupt:
        ...     interrupt.came
        False
    """

    def __init__(self, wanted: bool):
        self.wanted = wanted and threading.current_thread() is threading.main_thread()
        self.came = False
        self._before: Any = None

    def __enter__(self) -> Interrupt:
        if self.wanted and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: Any) -> None:
        if self.came:
            raise KeyboardInterrupt
        self.came = True


class Meter:
    """How fast a run goes, and how busy its GPU is.

    Args:
        device: where the run is.
        step: the step it begins at.

    Example:
        >>> meter = Meter(torch.device("cpu"), 0)
        >>> sorted(meter.record(10))
        ['seconds', 'steps_per_second']
    """

    def __init__(self, device: torch.device, step: int):
        self.device, self.begin, self.start = device, step, time.perf_counter()
        self.busy: list[int] = []
        self.why = ""
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def look(self, step: int) -> None:
        """Ask the driver, every hundredth step, for the share of the last moments in which a kernel ran."""
        if self.device.type != "cuda" or self.why or step % 100:
            return
        try:
            self.busy.append(torch.cuda.utilization(self.device))
        except (ModuleNotFoundError, RuntimeError) as error:
            self.why = f"not known ({str(error).splitlines()[0]})"

    def record(self, step: int) -> dict[str, Any]:
        """Seconds, steps a second and, on a GPU, its name, mean utilisation in percent and peak memory in bytes."""
        seconds = time.perf_counter() - self.start
        found: dict[str, Any] = {"seconds": seconds, "steps_per_second": (step - self.begin) / max(seconds, 1e-9)}
        if self.device.type == "cuda":
            found["gpu"] = torch.cuda.get_device_name(self.device)
            found["utilisation"] = sum(self.busy) / len(self.busy) if self.busy else self.why or "too few steps"
            found["peak_memory"] = torch.cuda.max_memory_allocated(self.device)
        return found


def save_bad_batch(
    checkpoint: str | Path | None, step: int, loss: torch.Tensor, rows: Rows, raw: dict[str, torch.Tensor]
) -> None:
    """Save the batch whose loss is not finite, and raise.

    Raises:
        TrainingError: always; the message names the file.
    """
    folder = Path(checkpoint).parent if checkpoint is not None else Path(tempfile.mkdtemp(prefix="annosim-"))
    path = folder / f"bad-batch-step-{step}.pt"
    with atomic_path(path) as part:
        torch.save(
            {
                "step": step,
                "loss": loss.detach().cpu(),
                "menu": rows.view.menu.cpu(),
                "answer": rows.answer.position.cpu(),
                "parameters": {name: value.detach().cpu() for name, value in raw.items()},
            },
            part,
        )
    bad = torch.nonzero(~torch.isfinite(loss)).flatten().tolist()
    raise TrainingError(
        f"the loss is not finite at step {step} (copy {bad[0]}); the batch and the parameters are in {path}; lower "
        "Adam(lr=), or look for infinite scores in that file"
    )


def check_writable(path: str | Path | None) -> None:
    """Refuse, before hours of training, a file that could not be written after them; makes its folder.

    Raises:
        ArgumentError: names the file.
    """
    if path is None:
        return
    try:
        attempt = Path(path).with_name(f"{Path(path).name}.try")
        with atomic_path(attempt):
            pass
        attempt.unlink()
    except FileReadError as error:
        why = getattr(error.__context__, "strerror", None) or error
        raise ArgumentError(f"{path} cannot be written ({why}); give another file") from error


@contextlib.contextmanager
def progress_bar(label: str, total: int, wanted: bool) -> Iterator[Callable[..., None]]:
    """A bar on a terminal for work of over two seconds; nothing otherwise."""
    if not wanted or not sys.stderr.isatty():
        yield lambda done, loss=None: None
        return
    from rich.console import Console
    from rich.progress import Progress

    begin, seen = time.monotonic(), 0
    bar = Progress(console=Console(stderr=True), transient=True)
    task = bar.add_task(label, total=total)

    def advance(done: int, loss: float | None = None) -> None:
        nonlocal seen
        seen += done
        if time.monotonic() - begin > 2:
            bar.start()
            text = label if loss is None else f"{label}, loss {loss:.5g}"
            bar.update(task, completed=seen, description=text)

    try:
        yield advance
    finally:
        bar.stop()
