"""The same network by faster kernels: what a training run does to its own copy of a model.

Two things that cost a third to a half of a step of a small transformer on a CPU, and change nothing but rounding:

* ``transformers`` writes GPT-2's activation as eight elementwise operations; torch has it as one kernel.
* On AMD processors with AVX-512 torch's float32 matrix products go through MKL, which takes its AVX2 path there
  (about 100 GFLOP/s a core of a Zen 5); oneDNN, which torch ships too, reaches 200 to 240 (on others of these processors a tenth more than MKL). Intel processors have no such gap and keep
  MKL. The choice depends on the machine only, never on a measurement, so that runs repeat exactly.

Parameters keep their names, shapes and ties; the model that the user gave is not touched.
"""

from __future__ import annotations

import platform
import sys
from functools import cache
from types import ModuleType
from typing import Any, TypeVar

import torch
from torch import nn

__all__ = ["faster", "onednn_pays", "product"]

Module = TypeVar("Module", bound=nn.Module)


def faster(model: Module, device: torch.device | str = "cpu", products: bool = True) -> Module:
    """Replace slow layers by faster kernels, in place (pass a copy); ``fit`` does so with its own copy of a model.

    Args:
        model: any module.
        device: where it will run.
        products: dense layers too; they then support plain autograd only, not ``torch.func`` transforms from outside.

    Example:
        >>> net = nn.Sequential(nn.Linear(3, 4), nn.GELU(approximate="tanh"))
        >>> x = torch.ones(2, 3)
        >>> before = net(x)
        >>> torch.allclose(faster(net)(x), before, atol=1e-6)
        True
    """
    dense = products and torch.device(device).type == "cpu" and onednn_pays()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if _is_tanh_gelu(child):
                setattr(parent, name, nn.GELU(approximate="tanh"))
            elif dense and type(child).forward in _dense_forwards():
                child.__class__ = _with_products(type(child))  # type: ignore[arg-type]
    return model


@cache
def onednn_pays() -> bool:
    """Whether this machine's float32 matrix products are faster through oneDNN than through torch's default.

    Example:
        >>> onednn_pays() in (True, False)
        True
    """
    if not (torch.backends.mkldnn.is_available() and torch.backends.mkl.is_available()):
        return False
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not _is_amd():
        return False
    x, w = torch.eye(3), torch.arange(6.0).reshape(3, 2)
    try:
        return torch.equal(product(x, w), w)
    except (AttributeError, RuntimeError, TypeError):  # a torch that has the operator no longer, or under another form
        return False


def product(a: torch.Tensor, b: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """``a (m, k) @ b (k, n) + bias (n,)`` in float32 by oneDNN, any strides, without gradient.

    Example:
        >>> a, b = torch.ones(2, 3), torch.ones(3, 4)
        >>> bool((product(a, b) == 3).all()) if onednn_pays() else True
        True
    """
    return torch.ops.mkldnn._linear_pointwise(a, b.t(), bias, "none", [], "")


class _Product(torch.autograd.Function):
    """``x (m, k) @ w (k, n) + bias``, all three products by oneDNN."""

    @staticmethod
    def forward(x: torch.Tensor, w: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return product(x, w, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        ctx.save_for_backward(inputs[0], inputs[1])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, w = ctx.saved_tensors
        wants_x, wants_w, wants_bias = ctx.needs_input_grad
        dx = product(g, w.t()) if wants_x else None
        dw = None
        if wants_w:  # oneDNN is faster with the shorter side as rows
            dw = product(x.t(), g) if w.shape[0] <= w.shape[1] else product(g.t(), x).t()
        return dx, dw, g.sum(0) if wants_bias else None


def _takes(x: torch.Tensor, w: torch.Tensor) -> bool:
    """Plain float32 of a fitting shape on the CPU, outside autocast and function transforms."""
    plain = x.dtype == w.dtype == torch.float32 and x.device.type == "cpu" and x.numel() > 0
    plain = plain and x.shape[-1] == w.shape[0]  # what does not fit gets torch's own words
    if not plain or torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling():  # the compiler has its own
        return False
    return torch._C._functorch.peek_interpreter_stack() is None


def _dense(x: torch.Tensor, w: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return _Product.apply(x.reshape(-1, x.shape[-1]), w, bias).view(*x.shape[:-1], w.shape[1])


@cache
def _with_products(kind: type[nn.Module]) -> type[nn.Module]:
    """A dense layer's class whose forward takes oneDNN's product where it can."""
    transposed = issubclass(kind, nn.Linear)  # transformers' Conv1D stores its weight as (inputs, outputs)

    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        weight = self.weight.t() if transposed else self.weight
        return _dense(x, weight, self.bias) if _takes(x, weight) else kind.forward(self, x)

    return type(kind.__name__, (kind,), {"forward": forward})


def _loaded(name: str) -> ModuleType | None:
    """A module of ``transformers``, if it was imported: otherwise no model has its layers."""
    return sys.modules.get(f"transformers.{name}")


def _dense_forwards() -> list[Any]:
    """How dense layers compute; a subclass with a forward of its own is left alone."""
    module = _loaded("pytorch_utils")
    return [nn.Linear.forward] if module is None else [nn.Linear.forward, module.Conv1D.forward]


def _is_tanh_gelu(layer: nn.Module) -> bool:
    """An activation of ``transformers`` that is GELU with the tanh formula, and computes so."""
    module = _loaded("activations")
    if module is None or not isinstance(layer, module.NewGELUActivation | module.FastGELUActivation):
        return False
    x = torch.linspace(-6, 6, 101)
    return torch.allclose(layer(x), nn.functional.gelu(x, approximate="tanh"), atol=1e-6)


def _is_amd() -> bool:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            return any(line.startswith("vendor_id") and "AuthenticAMD" in line for line in info)
    except OSError:
        return "AuthenticAMD" in platform.processor()
