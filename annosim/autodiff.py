"""Derivatives of functions of a parameter vector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["forward_jacobian", "plain_values", "reverse_jacobian"]


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


def reverse_jacobian(function: Callable[[torch.Tensor], torch.Tensor], v: torch.Tensor) -> torch.Tensor:
    """Jacobian ``(N, n)`` by reverse differentiation, one output after the other.

    ``torch.func`` imports torch's compiler on first use, and batched gradients sympy: seconds of a command that takes two.

    Example:
        >>> reverse_jacobian(lambda v: v**2, torch.tensor([1.0, 2.0])).tolist()
        [[2.0, 0.0], [0.0, 4.0]]
    """
    at = v.detach().requires_grad_()
    out = function(at)
    return torch.stack([torch.autograd.grad(one, at, retain_graph=True)[0] for one in out])


def plain_values(x: torch.Tensor) -> torch.Tensor:
    """The numbers of ``x`` without their derivatives; those of all batches where ``x`` is inside ``torch.func.vmap``.

    A bound on them (for a grid, say) holds for every batch.

    Example:
        >>> seen = []
        >>> def square(x):
        ...     seen.append(float(plain_values(x).max()))
        ...     return x**2
        >>> _ = torch.func.vmap(torch.func.jacfwd(square))(torch.tensor([1.0, 3.0]))
        >>> seen
        [3.0]
    """
    wrapped, unwrap = torch._C._functorch.is_functorch_wrapped_tensor, torch._C._functorch.get_unwrapped
    while wrapped(x):
        x = unwrap(x)
    return x.detach()
