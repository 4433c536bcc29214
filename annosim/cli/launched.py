"""Commands under ``accelerate launch`` and ``torchrun``: all processes work, the first one speaks and writes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

__all__ = ["one_voice", "rank"]

if "LOCAL_RANK" in os.environ:  # before torch is imported: its advice to programmers, from every process
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def rank() -> int:
    """Number of this process among those that a launcher started; 0 without one.

    Example:
        >>> rank()
        0
    """
    return int(os.environ.get("RANK", "0")) if "LOCAL_RANK" in os.environ else 0


@contextlib.contextmanager
def one_voice() -> Iterator[None]:
    """What processes beside the first print is dropped (their errors are still raised); all leave their group in the end.

    Example:
        >>> with one_voice():
        ...     print("the first")
        the first
    """
    with contextlib.ExitStack() as stack:
        if rank() > 0:
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
            stack.enter_context(contextlib.redirect_stderr(nowhere))
        yield
    if "LOCAL_RANK" in os.environ:
        import torch

        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
