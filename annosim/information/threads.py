"""Threads: small programs run on one; waking others costs more than they do, and far more on a busy machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["few_threads"]

#: numbers in the largest array below which one thread is used
SMALL = 5e6


@contextmanager
def few_threads(numbers: float = 0.0) -> Iterator[None]:
    """Within the block torch uses one thread if its largest array has fewer than :data:`SMALL` numbers.

    Example:
        >>> before = torch.get_num_threads()
        >>> with few_threads():
        ...     torch.get_num_threads()
        1
        >>> torch.get_num_threads() == before
        True
    """
    before = torch.get_num_threads()
    if before == 1 or numbers >= SMALL:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
