"""Networks with several outputs, and each output as a utility."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.utilities.base import Utility
from annosim.utilities.networks import check_dim, check_inputs, check_widths, perceptron

__all__ = ["Column", "Heads"]


class Column(Utility):
    """One output of a network with several, ``(n,)``: made by :meth:`Heads.column`.

    Example:
        >>> import annosim as an
        >>> an.utilities.Heads([4], dim=2, outputs=3).column(2)(Items.normal(5, 2)).shape
        torch.Size([5])
    """

    def __init__(self, source: Utility, number: int):
        super().__init__()
        self.source, self.number = source, int(number)
        self.local = source.local

    def forward(self, items: Items) -> torch.Tensor:
        """That output for all items, ``(n,)``."""
        return self.source(items)[:, self.number]


class MultipleOutputs(Utility):
    """A module items -> ``(n, outputs)``."""

    outputs: int

    def column(self, number: int) -> Column:
        """One of the outputs as a utility; columns of one network share its weights."""
        if not 0 <= number < self.outputs:
            raise ArgumentError(f"{type(self).__name__}.column({number}): there are {self.outputs} outputs, from 0")
        return Column(self, number)


class Heads(MultipleOutputs):
    """A network from item features to several numbers: the heads of a distributional reward.

    ``heads.column(0)`` and ``heads.column(1)`` are utilities with shared weights, for the mean and the spread of
    :class:`annosim.rules.MeanVariance`; all columns are the logits of :class:`annosim.rules.CategoricalReward`.

    Args:
        module: any ``torch.nn.Module`` that maps ``(n, dim)`` to ``(n, outputs)``, put into evaluation mode; or the
            hidden widths of a tanh multilayer perceptron (then ``dim`` is needed).
        dim: number of input features (only with widths).
        outputs: B.
        seed: initialisation (only with widths).
        dtype: of the weights made here.

    Raises:
        ArgumentError: the items have no features, or the module has another number of outputs.

    Example:
        >>> import annosim as an
        >>> both = Heads([8], dim=2, outputs=2)
        >>> people = an.Annotator(both.column(0), an.rules.MeanVariance(both.column(1)))
        >>> an.simulate(people, an.Design(Items.normal(5, 2), annotators=10), seed=0).rows
        10
    """

    def __init__(
        self,
        module: nn.Module | Sequence[int],
        dim: int | None = None,
        outputs: int = 2,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__()
        if not isinstance(module, nn.Module):
            module = perceptron([check_dim("Heads", dim), *check_widths("Heads", module), outputs], seed, dtype)
        self.module, self.outputs = module.eval(), int(outputs)

    def forward(self, items: Items) -> torch.Tensor:
        """All outputs for all items, ``(n, outputs)``."""
        if items.features is None:
            raise ArgumentError("Heads: the items have no features; give Items(features=...)")
        first = next(self.module.parameters(), None)
        x = items.features if first is None else items.features.to(device=first.device, dtype=first.dtype)
        check_inputs("Heads", self.module, x)
        out = self.module(x)
        if out.shape != (items.n, self.outputs):
            raise ArgumentError(f"Heads: output of shape {tuple(out.shape)}, expected ({items.n}, {self.outputs})")
        return out
