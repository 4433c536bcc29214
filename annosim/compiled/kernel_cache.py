"""Where compiled kernels are kept: beside their sources or in the user's home, and else in a temporary folder.

numba refuses to import a kernel where it can write to neither, as in a read-only container.
"""

from __future__ import annotations

import os
import sys
import tempfile
from functools import cache
from pathlib import Path

import numba
from numba import njit

__all__ = ["install"]


@cache
def install() -> None:
    """Make sure that kernels can be kept somewhere; a second call changes nothing.

    Example:
        >>> install()
    """
    if _can_be_kept():
        return
    folder = _temporary_folder()
    if sys.stderr is not None:
        sys.stderr.write(
            f"annosim: neither the installation nor the home can be written; compiled kernels are kept in {folder}\n"
        )
    os.environ["NUMBA_CACHE_DIR"] = numba.config.CACHE_DIR = str(folder)  # the first for worker processes


def _can_be_kept() -> bool:
    """Ask numba, which looks for a place when a function is declared."""
    try:
        njit(cache=True)(_probe)
    except RuntimeError:
        return False
    return True


def _probe() -> int:
    return 0


def _temporary_folder() -> Path:
    """The same in the next run, if it is ours alone: machine code is loaded from it."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"annosim-kernels-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if folder.is_symlink() or (hasattr(os, "getuid") and (found.st_uid != user or found.st_mode & 0o022)):
            raise PermissionError
    except OSError:
        return Path(tempfile.mkdtemp(prefix="annosim-kernels-"))
    return folder
