"""Says on standard error that kernels are being compiled, when that takes more than two seconds.

numba tells when it really compiles: loading a kernel from the cache on disk is silent, and so is a long simulation.
"""

from __future__ import annotations

import sys
import threading
import time
from functools import cache
from typing import Any

from numba.core import event

__all__ = ["PATIENCE", "install"]

#: Seconds of compilation that pass in silence.
PATIENCE = 2.0
#: Seconds without any compilation after which the next one is news.
_PAUSE = 30.0


class _Compiling(event.Listener):
    """Counts the seconds that annosim's kernels take to compile. numba holds its one lock while it tells us."""

    def __init__(self) -> None:
        self._depth, self._spent, self._since, self._ended = 0, 0.0, 0.0, 0.0
        self._said = False
        self._timer: threading.Timer | None = None

    def on_start(self, event_data: Any) -> None:
        if not _ours(event_data):
            return
        self._depth += 1
        if self._depth > 1:
            return  # kernels that call each other are compiled one inside the other
        self._since = time.monotonic()
        if self._since - self._ended > _PAUSE:
            self._spent, self._said = 0.0, False
        if not self._said:
            self._timer = threading.Timer(max(PATIENCE - self._spent, 0.0), self._say)
            self._timer.daemon = True
            self._timer.start()

    def on_end(self, event_data: Any) -> None:
        if not _ours(event_data) or self._depth == 0:
            return
        self._depth -= 1
        if self._depth == 0:
            if self._timer is not None:
                self._timer.cancel()
            self._ended = time.monotonic()
            self._spent += self._ended - self._since

    def _say(self) -> None:
        self._said = True
        sys.stderr.write("annosim: compiling kernels (once; they are cached on disk)\n")


def _ours(event_data: Any) -> bool:
    kernel = getattr((event_data.data or {}).get("dispatcher"), "py_func", None)
    return str(getattr(kernel, "__module__", "")).startswith("annosim.")


_listener = _Compiling()


@cache
def install() -> None:
    """Listen from now on; a second call changes nothing.

    Example:
        >>> install()
    """
    event.register("numba:compile", _listener)
