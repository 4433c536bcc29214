"""A progress bar on a terminal, and silence elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from annosim.study.jobs import Job
from annosim.study.store import Record

__all__ = ["Progress"]


class Progress:
    """Counts finished cells; shows a bar on standard error if standard output is a terminal.

    Args:
        title: what is running.
        total: number of cells and replicates.
        known: how many of them were kept from an earlier run.
        show: force it on or off.
    """

    def __init__(self, title: str, total: int, known: int = 0, show: bool | None = None):
        self.total, self.known = total, known
        self.title = title
        self.show = sys.stdout.isatty() if show is None else show
        self.failed = 0
        self._bar: Any = None
        self._task: Any = None
        self._start = time.perf_counter()

    def __enter__(self) -> Progress:
        if self.show:
            from rich import progress
            from rich.console import Console

            self._bar = progress.Progress(
                progress.TextColumn("{task.fields[title]}"),
                progress.SpinnerColumn(),
                progress.BarColumn(bar_width=24),
                progress.MofNCompleteColumn(),
                progress.TimeElapsedColumn(),
                progress.TextColumn("left"),
                progress.TimeRemainingColumn(),
                progress.TextColumn("{task.fields[now]}"),
                console=Console(stderr=True),
            )
            self._bar.start()
            now = f"{self.known} kept from before" if self.known else ""
            self._task = self._bar.add_task("", total=self.total, completed=self.known, title=self.title, now=now)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show_running(self, job: Job) -> None:
        """Say which cell is running."""
        if self._bar is not None:
            self._bar.update(self._task, now=job.cell[:40])

    def step(self, record: Record) -> None:
        """Count a finished cell."""
        self.failed += record.status == "failed"
        if self._bar is not None:
            now = f"{self.failed} failed" if self.failed else record.cell[:40]
            self._bar.update(self._task, advance=1, now=now)
