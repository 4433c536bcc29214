"""Checkpoints of a training run, and an interrupt that waits until the run's state is whole."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from annosim.errors import ArgumentError, FileReadError
from annosim.files import atomic_path, regular_target
from annosim.learning.saving import save_object

__all__ = ["CheckpointManager", "SigintHandler", "check_writable"]


class CheckpointManager:
    """Checkpoints of one run in one file: written whole, and refused when they belong to another run.

    Args:
        path: the file, or ``None`` for no checkpoints.
        fingerprint: what must agree.
    """

    def __init__(self, path: str | os.PathLike[str] | None, fingerprint: dict[str, Any]):
        self.path = None if path is None else Path(path)
        self.fingerprint = fingerprint

    def save(self, state: dict[str, Any]) -> None:
        """Write the state."""
        if self.path is not None:
            save_object({"fingerprint": self.fingerprint, **state}, self.path)

    def load(self) -> dict[str, Any] | None:
        """The state to resume from, on the CPU, or ``None`` when there is no file.

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


class SigintHandler:
    """Ctrl-C waits for the end of a step, where the state of a run is whole; a second one does not wait.

    Args:
        active: whether there is a checkpoint to write; without one Ctrl-C does what it always does.

    Example:
        >>> with SigintHandler(True) as handler:
        ...     handler.interrupted
        False
    """

    def __init__(self, active: bool):
        self.active = active and threading.current_thread() is threading.main_thread()
        self.interrupted = False
        self._before: Any = None

    def __enter__(self) -> SigintHandler:
        if self.active and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True


def check_writable(path: str | os.PathLike[str] | None) -> None:
    """Refuse, before hours of training, a file that could not be written after them; makes its folder.

    Raises:
        ArgumentError: names the file.
    """
    if path is None:
        return
    try:
        target = regular_target(path)
        attempt = target.with_name(f"{target.name}.try")
        with atomic_path(attempt):
            pass
        attempt.unlink()
    except FileReadError as error:
        cause = error.__cause__
        why = cause.strerror if isinstance(cause, OSError) else None
        raise ArgumentError(f"{path} cannot be written ({why or error}); give another file") from error
