"""The same network by faster kernels: what a training run does to its own copy of a model.

Two things that cost a third to a half of a step of a small transformer on a CPU, and change nothing but rounding:

* ``transformers`` writes GPT-2's activation as eight elementwise operations; torch has it as one kernel.
* On AMD processors with AVX-512 torch's float32 matrix products go through MKL, which takes its AVX2 path there
  (about 100 GFLOP/s a core of a Zen 5); oneDNN, which torch ships too, reaches 200 to 240. Intel processors have no
  such gap and keep MKL. The choice depends on the machine only, never on a measurement, so that runs repeat exactly.

Parameters keep their names, shapes and ties; the model that the user gave is not touched.
"""

from __future__ import annotations

import platform
from functools import cache
from typing import Any, TypeVar

import torch
from torch import nn

__all__ = ["faster", "onednn_pays", "product"]

Module = TypeVar("Module", bound=nn.Module)

#: activations of ``transformers`` that are GELU with the tanh formula
_TANH_GELUS = ("NewGELUActivation", "FastGELUActivation")


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
            if type(child).__name__ in _TANH_GELUS and _is_tanh_gelu(child):
                setattr(parent, name, nn.GELU(approximate="tanh"))
            elif dense and type(child) is nn.Linear:
                child.__class__ = _Linear
            elif dense and _is_conv1d(child):
                child.__class__ = _with_forward(type(child))  # type: ignore[arg-type]
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
    if torch.compiler.is_compiling():
        return _opaque_product(a, b, bias)
    return torch.ops.mkldnn._linear_pointwise(a, b.t(), bias, "none", [], "")


@torch.library.custom_op("annosim::product", mutates_args=())
def _opaque_product(a: torch.Tensor, b: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """The same as something that the compiler calls and does not look into (it takes the operator for inference's)."""
    return torch.ops.mkldnn._linear_pointwise(a, b.t(), bias, "none", [], "")


@_opaque_product.register_fake
def _shape(a: torch.Tensor, b: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return a.new_empty(a.shape[0], b.shape[1])


class _Product(torch.autograd.Function):
    """``x (m, k) @ w (k, n) + bias``, all three products by oneDNN."""

    @staticmethod
    def forward(x: torch.Tensor, w: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:  # type: ignore[override]
        return product(x, w, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        ctx.save_for_backward(inputs[0], inputs[1])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
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
    if not plain or torch.is_autocast_enabled("cpu"):
        return False
    return torch.compiler.is_compiling() or torch._C._functorch.peek_interpreter_stack() is None


def _dense(x: torch.Tensor, w: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return _Product.apply(x.reshape(-1, x.shape[-1]), w, bias).view(*x.shape[:-1], w.shape[1])


class _Linear(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _dense(x, self.weight.t(), self.bias) if _takes(x, self.weight) else super().forward(x)


@cache
def _with_forward(kind: type[nn.Module]) -> type[nn.Module]:
    """``transformers``' Conv1D, a dense layer that stores its weight as ``(inputs, outputs)``."""

    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        return _dense(x, self.weight, self.bias) if _takes(x, self.weight) else kind.forward(self, x)

    return type(kind.__name__, (kind,), {"forward": forward})


def _is_conv1d(module: nn.Module) -> bool:
    kind = type(module)
    return (kind.__module__, kind.__name__) == ("transformers.pytorch_utils", "Conv1D")


def _is_tanh_gelu(module: nn.Module) -> bool:
    """Named so and computing so."""
    x = torch.linspace(-6, 6, 101)
    return torch.allclose(module(x), nn.functional.gelu(x, approximate="tanh"), atol=1e-6)


def _is_amd() -> bool:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            return any(line.startswith("vendor_id") and "AuthenticAMD" in line for line in info)
    except OSError:
        return "AuthenticAMD" in platform.processor()
