"""What to say when a part of a model did not follow it to its device."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from annosim.errors import DeviceError

__all__ = ["named_strays", "on_one_device"]

#: what torch says of tensors on two devices, and of numpy that meets a device's tensor
_WORDS = ("same device", "on the same device as", "but expected on", "Placeholder storage", "tensor to numpy")


@contextlib.contextmanager
def on_one_device(model: nn.Module, device: torch.device) -> Iterator[None]:
    """A pass of a model on a device; what lies elsewhere is named instead of torch's traceback.

    Raises:
        DeviceError: the pass met tensors of two devices.
    """
    try:
        yield
    except (RuntimeError, TypeError) as error:
        if not any(word in str(error) for word in _WORDS):
            raise
        strays = named_strays(model, device)
        if strays:
            where = f"{', '.join(strays)} did not follow; make it a part of its module, self.register_buffer(name, it)"
        else:
            where = "a forward pass makes a tensor elsewhere, or reads one as numpy; make it with device=x.device"
        first = str(error).splitlines()[0]
        raise DeviceError(f"the model is trained on {device}, and {where} ({first[:160]})") from error


def named_strays(model: nn.Module, device: torch.device) -> list[str]:
    """Plain tensors of a model's parts that lie elsewhere, ``Class.attribute`` each.

    Example:
        >>> part = nn.Linear(1, 1)
        >>> part.shift = [torch.zeros(2)]
        >>> named_strays(part.to("meta"), torch.device("meta"))
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
