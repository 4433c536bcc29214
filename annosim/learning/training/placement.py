"""Where a model is trained, and what to say when a part of it did not follow it there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from annosim.errors import DeviceError
from annosim.parameters import Model

__all__ = ["off_device_tensors", "on_one_device", "training_device"]

#: what torch says of tensors on two devices, and of numpy that meets a device's tensor
_ERRORS = ("same device", "on the same device as", "but expected on", "Placeholder storage", "tensor to numpy")


def training_device(device: Any, model: nn.Module) -> torch.device:
    """The device that was named, or where the model's free networks lie (a weight or a rate goes along).

    Raises:
        DeviceError: it is not there, or none is named and the networks lie on several.

    Example:
        >>> import annosim as an
        >>> training_device(None, an.Annotator(an.Network([4], dim=1), an.Luce()))
        device(type='cpu')
    """
    if device is None:
        found = _homes(model)
        if len(found) > 1:
            raise DeviceError(f"fit: the model's networks lie on {' and '.join(found)}; say where to train, device=")
        device = found[0]
    try:
        made = torch.device(device)
        torch.zeros(1, device=made).item()
    except (RuntimeError, AssertionError, TypeError) as error:
        raise DeviceError(f"device {device!r} is not available here ({str(error).splitlines()[0]}); use cpu") from error
    return made


def _homes(model: nn.Module) -> list[str]:
    """Where the free parameters of networks lie, or, where there are none, any that were declared one by one."""
    networks, declared = set(), {"cpu"}
    for part in model.modules():
        free = {name: str(p.device) for name, p in part.named_parameters(recurse=False) if p.requires_grad}
        own = part.declared if isinstance(part, Model) else {}
        networks |= {place for name, place in free.items() if name not in own}
        declared |= {place for name, place in free.items() if name in own}
    return sorted(networks or (declared - {"cpu"}) or {"cpu"})


@contextlib.contextmanager
def on_one_device(model: nn.Module, device: torch.device) -> Iterator[None]:
    """A pass of a model on a device; what lies elsewhere is named instead of torch's traceback.

    Raises:
        DeviceError: the pass met tensors of two devices.
    """
    try:
        yield
    except (RuntimeError, TypeError) as error:
        if not any(word in str(error) for word in _ERRORS):
            raise
        strays = off_device_tensors(model, device)
        if strays:
            where = f"{', '.join(strays)} did not follow; make it a part of its module, self.register_buffer(name, it)"
        else:
            where = "a forward pass makes a tensor elsewhere, or reads one as numpy; make it with device=x.device"
        first = str(error).splitlines()[0]
        raise DeviceError(f"the model is trained on {device}, and {where} ({first[:160]})") from error


def off_device_tensors(model: nn.Module, device: torch.device) -> list[str]:
    """Plain tensors of a model's parts that lie elsewhere, ``Class.attribute`` each.

    Example:
        >>> part = nn.Linear(1, 1)
        >>> part.shift = [torch.zeros(2)]
        >>> off_device_tensors(part.to("meta"), torch.device("meta"))
        ['Linear.shift']
    """
    found = []
    for part in model.modules():
        own = {name: value for name, value in vars(part).items() if not name.startswith("_")}
        found += [f"{type(part).__name__}.{name}" for name, value in own.items() if _elsewhere(value, device)]
    return sorted(set(found))


def _elsewhere(value: object, device: torch.device) -> bool:
    if isinstance(value, torch.Tensor):
        return value.device.type != device.type and value.ndim > 0
    if isinstance(value, dict):
        value = list(value.values())
    return isinstance(value, list | tuple) and any(_elsewhere(one, device) for one in value)
