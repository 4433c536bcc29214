"""Derivatives of functions of a parameter vector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["forward_jacobian"]


def forward_jacobian(function: Callable[[torch.Tensor], Any], v: torch.Tensor) -> Any:
    """Jacobian by forward differentiation, parameters last; functions without forward derivatives go through reverse
    mode.

    Example:
        >>> forward_jacobian(lambda v: v**2, torch.tensor([1.0, 2.0])).tolist()
        [[2.0, 0.0], [0.0, 4.0]]
    """
    try:
        return torch.func.jacfwd(function)(v)
    except (NotImplementedError, RuntimeError) as error:
        if "forward" not in str(error).lower():
            raise
        return torch.func.jacrev(function, chunk_size=64)(v)
