"""What a model, items and a regulariser are: numbers that a checkpoint carries, so that no other run resumes from it."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from annosim.items import Items
from annosim.learning.objectives import ForwardKL
from annosim.populations.base import Population
from annosim.rules.luce import PBDE
from annosim.utilities.densities import as_log_density

__all__ = ["checksum", "of_items", "of_model", "of_regulariser"]


def of_items(items: Items) -> list[int]:
    """Of what utilities read of the items.

    Example:
        >>> of_items(Items.grid(0, 1, 3)) == of_items(Items.grid(0, 2, 3))
        False
    """
    own = [part for part in (items.features, items.tokens, items.weights, items.prompts) if part is not None]
    return [checksum(part) for part in own] + [zlib.crc32(repr(list(v)).encode()) for v in items.columns.values()]


def of_model(model: Population, items: Items) -> list[Any]:
    """Of a model's structure and of every number in it that training leaves alone: rules, references, frozen trunks.

    Free numbers are left out: a run may begin at other ones (a new head is drawn anew in every process), and the
    checkpoint brings its own.

    Example:
        >>> import annosim as an
        >>> items, density = an.Items.grid(0, 1, 3), an.LogDensity(lambda x: x[:, 0])
        >>> one, other = (an.Annotator(an.Tabular(3), an.PBDE.dpo(beta, density)) for beta in (0.1, 0.2))
        >>> of_model(one, items) == of_model(other, items)
        False
    """
    rules = [part for part in model.modules() if isinstance(part, PBDE)]
    own = [_of_function(value, items) for rule in rules for value in (rule.f, rule.g) if callable(value)]
    return [zlib.crc32(" ".join(type(part).__name__ for part in model.modules()).encode()), *_fixed(model), *own]


def of_regulariser(regulariser: ForwardKL | None, items: Items) -> list[Any]:
    """Of its weight, of how it is estimated and of its reference."""
    if regulariser is None:
        return []
    own: list[Any] = [float(regulariser.weight), regulariser.shown, regulariser.draws]
    reference = regulariser.reference
    if regulariser.shown or (isinstance(reference, nn.Module) and reference.state_dict()):
        return own + (_fixed(reference, every=True) if isinstance(reference, nn.Module) else [])
    return [*own, checksum(as_log_density(reference, items))]


def _of_function(value: Any, items: Items) -> Any:
    """Of a coefficient that is evaluated on the items: of its network, or, where there is none, of its values."""
    if not isinstance(value, nn.Module):
        return checksum(torch.as_tensor(value(items)))
    scale = getattr(value, "scale", None)
    return [scale, *_fixed(value)] if value.state_dict() else [scale, checksum(torch.as_tensor(value(items)))]


def _fixed(model: nn.Module, every: bool = False) -> list[int]:
    """Of parameters without gradient (or of every one) and of buffers."""
    parameters: Iterable[torch.Tensor] = (p for p in model.parameters() if every or not p.requires_grad)
    return [checksum(part) for part in (*parameters, *model.buffers())]


def checksum(part: torch.Tensor) -> int:
    """Of a tensor's bytes.

    Example:
        >>> checksum(torch.ones(3)) == checksum(torch.ones(3)) != checksum(torch.zeros(3))
        True
    """
    plain = part.detach().cpu().contiguous().reshape(-1)
    return zlib.crc32(plain.view(torch.uint8).numpy().data) if plain.numel() else 0
