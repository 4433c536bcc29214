"""Neural networks on item features: one output, or several heads."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import nn

from annosim.constraints import check_size
from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.random import torch_generator
from annosim.utilities.base import Utility

__all__ = ["Network"]


class Network(Utility):
    """A neural network from item features to a number.

    Args:
        module: any ``torch.nn.Module`` that maps ``(n, dim)`` to ``(n, 1)`` or ``(n,)``; or the hidden widths of a tanh
            multilayer perceptron (then ``dim`` is needed). It is put into evaluation mode: a utility is one number per
            item, without dropout's draws from the global generator.
        dim: number of input features (only with widths).
        seed: initialisation (only with widths); torch's own default scheme, drawn at an address.
        sign: ``-1.`` for an energy network (log density = - energy).
        dtype: of the weights that are made here; float32, as networks are trained.

    Example:
        >>> Network([64, 64], dim=2, seed=0)(Items.normal(5, 2)).shape
        torch.Size([5])
    """

    def __init__(
        self,
        module: nn.Module | Sequence[int],
        dim: int | None = None,
        seed: int = 0,
        sign: float = 1.0,
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__()
        #: a perceptron reads each item by itself, so a minibatch needs only the items it shows
        self.local = not isinstance(module, nn.Module)
        if not isinstance(module, nn.Module):
            module = perceptron([check_dim("Network", dim), *check_widths("Network", module), 1], seed, dtype)
        self.module = module.eval()
        self.sign = float(sign)

    def forward(self, items: Items) -> torch.Tensor:
        """Network outputs for all items in one pass, ``(n,)``, in the weights' dtype."""
        if items.features is None:
            raise ArgumentError("Network: the items have no features; give Items(features=...)")
        first = next(self.module.parameters(), None)
        x = items.features if first is None else items.features.to(device=first.device, dtype=first.dtype)
        check_inputs("Network", self.module, x)
        out = self.module(x)
        out = out.squeeze(-1) if out.ndim == 2 else out
        if out.shape != (items.n,):
            raise ArgumentError(f"Network: output of shape {tuple(out.shape)}, expected ({items.n},) or ({items.n}, 1)")
        return self.sign * out


def perceptron(widths: Sequence[int], seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """A tanh multilayer perceptron, initialised as torch does but from an address.

    Example:
        >>> perceptron([2, 8, 3])(torch.zeros(5, 2)).shape
        torch.Size([5, 3])
    """
    if any(isinstance(width, bool) or not isinstance(width, int | np.integer) or width < 1 for width in widths):
        raise ArgumentError(f"the widths of a perceptron are whole numbers of at least 1, not {list(widths)}")
    check_size(f"a perceptron of widths {list(widths)}", sum(a * b for a, b in itertools.pairwise(widths)))
    generator = torch_generator(seed, "network")
    layers: list[nn.Module] = []
    for i, (fan_in, fan_out) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
        # skip_init: torch's own initialisation would read the global generator
        layer = torch.nn.utils.skip_init(nn.Linear, fan_in, fan_out, dtype=dtype)
        with torch.no_grad():
            for p in layer.parameters():
                p.copy_((2 * torch.rand(p.shape, generator=generator, dtype=dtype) - 1) / fan_in**0.5)
        layers += [layer] + ([nn.Tanh()] if i < len(widths) - 2 else [])
    return nn.Sequential(*layers)


def check_widths(who: str, widths: object) -> Sequence[int]:
    """The hidden widths of a perceptron, a list.

    Raises:
        ArgumentError: it is something else, such as one number.
    """
    if isinstance(widths, int | np.integer) and not isinstance(widths, bool):
        raise ArgumentError(f"{who}({widths}, ...): the hidden widths are a list; for one layer give [{widths}]")
    if isinstance(widths, str) or not isinstance(widths, Iterable):
        raise ArgumentError(f"{who}({type(widths).__name__}): give a module, or hidden widths such as [64, 64]")
    return list(widths)


def check_dim(who: str, dim: object) -> int:
    """The number of input features of a perceptron.

    Raises:
        ArgumentError: it is missing or no whole number.
    """
    if isinstance(dim, bool) or not isinstance(dim, int | np.integer) or dim < 1:
        raise ArgumentError(f"{who}(widths, dim={dim!r}): give the number of input features")
    return int(dim)


def check_inputs(who: str, module: nn.Module, x: torch.Tensor) -> None:
    """Refuse features of another number than a network's first layer reads.

    Raises:
        ArgumentError: names both numbers.
    """
    first = module[0] if isinstance(module, nn.Sequential) and len(module) else module
    if isinstance(first, nn.Linear) and x.shape[-1] != first.in_features:
        raise ArgumentError(
            f"{who}: the items have {x.shape[-1]} features and the network reads {first.in_features}; build it with "
            f"dim={x.shape[-1]}"
        )
