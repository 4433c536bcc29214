"""Low-rank adapters: a frozen network with a few free numbers in each dense layer, one set per type.

Hu et al. (2106.09685): a dense layer ``x W`` becomes ``x W + scale (x A') B'`` with ``A (rank, in)`` and
``B (out, rank)`` free and ``W`` frozen. ``B`` starts at zero, so that every copy begins as the network itself.
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, overload

import torch
from torch import nn

from annosim.errors import ArgumentError, told
from annosim.parameters import check_number
from annosim.random import torch_generator

__all__ = ["LowRank", "adapter_state", "copied", "frozen_copy", "moved", "of_class", "with_adapters"]


Module = TypeVar("Module", bound=nn.Module)


class _Frozen(nn.Parameter):
    """A parameter without gradient whose copies share its numbers: K types and every fit hold one trunk."""

    def __deepcopy__(self, memo: dict[int, object]) -> _Frozen:
        other = _Frozen(self.detach(), requires_grad=False)
        memo[id(self)] = other
        return other


class LowRank(nn.Module):
    """A frozen dense layer and its adapter, ``base(x) + scale * (x down') up'``.

    Args:
        base: ``torch.nn.Linear``, or the ``Conv1D`` of ``transformers`` (a dense layer that stores ``(in, out)``).
        rank: width of the adapter.
        scale: of the adapter's output.
        generator: draws ``down``; ``up`` is zero.

    Example:
        >>> layer = LowRank(nn.Linear(3, 2), 1, 1.0, torch.Generator().manual_seed(0))
        >>> layer(torch.ones(4, 3)).shape, tuple(layer.down.shape), tuple(layer.up.shape)
        (torch.Size([4, 2]), (1, 3), (2, 1))
    """

    def __init__(self, base: nn.Module, rank: int, scale: float, generator: torch.Generator):
        super().__init__()
        weight: torch.Tensor = base.weight  # type: ignore[assignment]
        out, width = weight.shape if isinstance(base, nn.Linear) else reversed(weight.shape)
        self.base, self.scale = base, float(scale)
        draw = (2 * torch.rand(rank, width, generator=generator) - 1) / math.sqrt(width)
        self.down = nn.Parameter(draw.to(weight))
        self.up = nn.Parameter(torch.zeros(out, rank).to(weight))

    @property
    def weight(self) -> torch.Tensor:
        """The frozen layer's weight (some models look at its type)."""
        return self.base.weight  # type: ignore[return-value]

    @property
    def bias(self) -> torch.Tensor | None:
        """The frozen layer's bias."""
        return self.base.bias  # type: ignore[return-value]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(..., in) -> (..., out)``."""
        out, inner = self.base(x), x @ self.down.T
        flat = inner.reshape(-1, inner.shape[-1])  # one product that adds: no passes over the output of their own
        return torch.addmm(out.reshape(-1, out.shape[-1]), flat, self.up.T, alpha=self.scale).reshape(out.shape)


@overload
def with_adapters(
    module: Module,
    rank: int = ...,
    *,
    copies: None = None,
    layers: str | Sequence[str] | None = ...,
    scale: float = ...,
    seed: int = ...,
) -> Module: ...


@overload
def with_adapters(
    module: Module,
    rank: int = ...,
    *,
    copies: int,
    layers: str | Sequence[str] | None = ...,
    scale: float = ...,
    seed: int = ...,
) -> list[Module]: ...


def with_adapters(
    module: Module,
    rank: int = 8,
    *,
    copies: int | None = None,
    layers: str | Sequence[str] | None = None,
    scale: float = 1.0,
    seed: int = 0,
) -> Module | list[Module]:
    """A copy of a network in which only low-rank adapters are free; with ``copies=K`` a list of K that share the trunk.

    Args:
        module: any module with dense layers: a causal language model, a reward model, a perceptron. It is not changed.
        rank: width of the adapters, at most the smaller side of the layer.
        copies: how many; they share the frozen numbers, in memory and in ``Fit.save``.
        layers: ends of the names of the layers to adapt (``["c_attn", "lm_head"]``, or one name); every dense layer but
            the output embedding by default.
        scale: of the adapters' outputs.
        seed: of the adapters' first numbers; copies differ.

    Returns:
        the module, or a list of ``copies`` modules.

    Raises:
        ArgumentError: no layer has such a name, or the rank is not a whole number of at least 1.

    Example:
        Two types of one language model; the trunk is held once:

        >>> import annosim as an
        >>> lm = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 9))
        >>> types = [an.LogPolicy(one, begin=0) for one in with_adapters(lm, rank=2, copies=2)]
        >>> [one.num_free() for one in types], {k: tuple(v.shape) for k, v in adapter_state(types[0].model).items()}
        ([42, 42], {'1.down': (2, 4), '1.up': (4, 2), '3.down': (2, 4), '3.up': (9, 2)})
    """
    if not isinstance(module, nn.Module):
        raise ArgumentError(f"with_adapters({module!r}): give a torch.nn.Module")
    check_number("with_adapters(scale=)", scale, "real")
    for name, value in (("rank", rank), ("copies", 1 if copies is None else copies)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ArgumentError(f"with_adapters({name}={value!r}): a whole number of at least 1")
    trunk = frozen_copy(module)
    names = _targets(trunk, layers)
    made = []
    for k in range(1 if copies is None else copies):
        one = copied(trunk)
        for name in names:
            *path, leaf = name.split(".")
            parent = one.get_submodule(".".join(path))
            generator = torch_generator(seed, f"adapter {k} {name}")
            base = one.get_submodule(name)
            limit = min(torch.as_tensor(base.weight).shape)
            setattr(parent, leaf, LowRank(base, min(rank, limit), scale, generator))
        made.append(one)
    return made[0] if copies is None else made


def adapter_state(module: nn.Module) -> dict[str, torch.Tensor]:
    """The free numbers of a network with adapters, and nothing of its trunk: ``load_state_dict(..., strict=False)``.

    Example:
        >>> sorted(adapter_state(with_adapters(nn.Sequential(nn.Linear(3, 2)), rank=1)))
        ['0.down', '0.up']
    """
    return {name: p.detach().clone() for name, p in module.named_parameters() if p.requires_grad}


def merged(module: Module) -> Module:
    """A plain copy of a network in which every adapter is added to the layer that it adapts.

    Example:
        >>> one = with_adapters(nn.Sequential(nn.Linear(3, 2)), rank=1)
        >>> _ = nn.init.ones_(one[0].up)
        >>> plain, x = merged(one), torch.ones(1, 3)
        >>> type(plain[0]).__name__, bool(torch.allclose(plain(x), one(x), atol=1e-6))
        ('Linear', True)
    """
    out = copied(module)
    for name, part in list(out.named_modules()):
        if not isinstance(part, LowRank):
            continue
        change = part.scale * (part.up @ part.down).detach()  # (out, in)
        weight = part.weight + (change if isinstance(part.base, nn.Linear) else change.T)
        part.base.weight = nn.Parameter(weight)
        *path, leaf = name.split(".")
        setattr(out.get_submodule(".".join(path)), leaf, part.base)
    return out


def frozen_copy(module: Module) -> Module:
    """A copy whose parameters take no gradient, and whose own copies share its numbers.

    Example:
        >>> trunk = frozen_copy(nn.Linear(2, 1))
        >>> copy.deepcopy(trunk).weight.data_ptr() == trunk.weight.data_ptr(), trunk.weight.requires_grad
        (True, False)
    """
    memo: dict[int, object] = {}
    for p in module.parameters():
        kept = p.detach() if isinstance(p, _Frozen) else p.detach().clone()  # what was frozen before is shared
        memo[id(p)] = _Frozen(kept, requires_grad=False)
    return copied(module, memo)


def copied(module: Module, memo: dict[int, object] | None = None) -> Module:
    """A deep copy that computes with its own numbers: ``forward`` is that of each module's class.

    A trainer may put a ``forward`` of its own on a model (TRL 1.16 does, for its losses), a closure over the model that
    it was given; ``copy.deepcopy`` keeps it, and the copy would compute with the original's weights.

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> layer.forward = layer.forward
        >>> "forward" in copied(layer).__dict__, "forward" in layer.__dict__
        (False, True)
    """
    out = copy.deepcopy(module, memo)
    for part in out.modules():
        if _has_own_forward(part):
            del part.__dict__["forward"]
    return out


def of_class(module: Module) -> Module:
    """The module itself; or, where it or a part of it has a ``forward`` of its own, a view with those of the classes.

    The view shares every parameter, buffer, hook and other part, and the module keeps what it has. It is how a model
    that a trainer touched, or a copy of one, is evaluated with its own numbers (see :func:`copied`).

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> of_class(layer) is layer
        True
        >>> layer.forward = lambda x: 0 * x
        >>> of_class(layer).weight is layer.weight, of_class(layer)(torch.ones(1, 2)).shape
        (True, torch.Size([1, 1]))
    """
    if torch.compiler.is_compiling():  # what is compiled is a fit's own copy
        return module
    return _view(module, {}) if any(map(_has_own_forward, module.modules())) else module


def _view(module: Module, made: dict[int, Any]) -> Module:
    if id(module) not in made:
        parts = {name: None if part is None else _view(part, made) for name, part in module._modules.items()}
        same = all(parts[name] is part for name, part in module._modules.items())
        if same and not _has_own_forward(module):
            made[id(module)] = module
        else:
            other = made[id(module)] = copy.copy(module)
            other.__dict__["_modules"] = parts
            if _has_own_forward(other):
                del other.__dict__["forward"]
    return made[id(module)]


def _has_own_forward(part: nn.Module) -> bool:
    """On the object, where its class has one too."""
    return "forward" in part.__dict__ and type(part).forward is not nn.Module.forward


def moved(module: Module, device: str | torch.device) -> Module:
    """The module on a device, in place; frozen numbers that several copies share are moved once and stay shared.

    ``module.to(device)`` would move every copy's own parameter object, and K types would hold K trunks there.

    Example:
        >>> both = nn.ModuleList(with_adapters(nn.Sequential(nn.Linear(3, 3)), rank=1, copies=2))
        >>> there = moved(both, "meta")
        >>> there[0][0].base.weight is there[1][0].base.weight, there[0][0].up.device.type
        (True, 'meta')
    """
    place = torch.device(device)
    if all(part.device == place for part in (*module.parameters(), *module.buffers())):
        return module
    known: dict[Any, nn.Parameter] = {}
    for part in list(module.modules()):
        for name, p in list(part.named_parameters(recurse=False)):
            if isinstance(p, _Frozen) and p.device != place:
                key = (p.data_ptr(), p.shape, p.stride(), p.dtype)
                if key not in known:
                    known[key] = _Frozen(p.detach().to(place), requires_grad=False)
                setattr(part, name, known[key])
    return module.to(place)


def _targets(module: nn.Module, layers: str | Sequence[str] | None) -> list[str]:
    layers = [layers] if isinstance(layers, str) else layers
    if layers is not None and not (isinstance(layers, Iterable) and all(isinstance(end, str) for end in layers)):
        raise ArgumentError(f"with_adapters(layers={told(layers)}): a list of names such as ['c_attn'], or None")
    output = getattr(module, "get_output_embeddings", lambda: None)()
    dense = {name: part for name, part in module.named_modules() if _is_dense(part)}
    if layers is None:
        found = [name for name, part in dense.items() if part is not output]
    else:
        ends = tuple("." + end for end in layers)
        found = [name for name in dense if ("." + name).endswith(ends)]
    found = [name for name in found if name]  # a bare layer has no parent to hold the adapter
    if not found:
        shown = sorted({name.split(".")[-1] for name in dense if name})
        raise ArgumentError(
            f"with_adapters(layers={told(layers)}): no dense layer has such a name; there are: {', '.join(shown) or 'none'}"
            " (put a bare layer into torch.nn.Sequential)"
        )
    return found


def _is_dense(part: nn.Module) -> bool:
    """``torch.nn.Linear``, or the ``Conv1D`` of ``transformers`` (a module of that class has imported the library)."""
    library = sys.modules.get("transformers.pytorch_utils")
    return isinstance(part, nn.Linear) or (library is not None and isinstance(part, library.Conv1D))
