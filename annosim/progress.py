"""Progress of long work: a bar on a terminal after two seconds, elsewhere a line every half minute."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["ProgressBar"]

#: seconds of work before a bar is drawn
DELAY = 2.0
#: seconds between two lines where standard error is no terminal
BETWEEN_LINES = 30.0


class ProgressBar:
    """Counts work that is done; draws a bar on standard error if that is a terminal, and writes lines if it is not.

    Args:
        label: what is running.
        total: how much there is to do.
        done: how much of it was there from before.
        show: force a bar, at once, or nothing; by default a bar after two seconds on a terminal, and elsewhere (a log, a
            pipe) a line for every half minute of work.

    Attributes:
        done: how much is done.

    Example:
        >>> with ProgressBar("steps", total=3, show=False) as bar:
        ...     for _ in range(3):
        ...         bar.advance()
        >>> bar.done
        3
    """

    def __init__(self, label: str, total: int, done: int = 0, show: bool | None = None):
        self.label, self.total, self.done = label, total, done
        self.show = sys.stderr.isatty() if show is None else show
        self._logged = show is None and not self.show
        self._delay = DELAY if show is None else 0.0
        self._begin = self._said = time.monotonic()
        self._drawn: tuple[Progress, TaskID] | None = None

    def __enter__(self) -> Self:
        self.note("")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._drawn is not None:
            self._drawn[0].stop()

    def advance(self, count: int = 1, note: str = "") -> None:
        """So much more is done; ``note`` stands after the bar."""
        self.done += count
        self.note(note)

    def note(self, text: str) -> None:
        """Say what is going on, after the bar."""
        if self._logged:
            self._write_line(text)
        if not self.show or time.monotonic() - self._begin < self._delay:
            return
        bar, task = self._drawn = self._drawn or self._draw()
        bar.update(task, completed=self.done, note=text)

    def _write_line(self, text: str) -> None:
        now = time.monotonic()
        if now - self._said < BETWEEN_LINES:
            return
        self._said = now
        more = f", {text}" if text else ""
        print(
            f"{self.label}: {self.done} of {self.total} after {now - self._begin:.0f} s{more}",
            file=sys.stderr,
            flush=True,
        )

    def _draw(self) -> tuple[Progress, TaskID]:
        from rich import progress
        from rich.console import Console

        bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.SpinnerColumn(),
            progress.BarColumn(bar_width=24),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
            transient=True,
        )
        bar.start()
        return bar, bar.add_task(self.label, total=self.total, completed=self.done, note="")
