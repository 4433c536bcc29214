"""What is taken for an array: anything that numpy reads, and torch tensors wherever they lie."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

__all__ = ["Numbers", "as_numpy"]

#: A number, a (nested) sequence of numbers, an array, a data frame's column, or a tensor.
Numbers: TypeAlias = ArrayLike | torch.Tensor


def as_numpy(value: object) -> NDArray[Any]:
    """A numpy array of ``value``; a tensor is detached and copied from its device.

    Example:
        >>> as_numpy(torch.ones(2, requires_grad=True)).tolist()
        [1.0, 1.0]
    """
    return np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value)
