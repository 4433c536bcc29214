"""A pretend accelerator: tensors that lie in the CPU's memory and behave as if they lay on another device.

``with pretend() as device:`` there is a device that torch knows as ``pretend:0``. What a CUDA device
refuses is refused there, so that the mistakes of code that never saw one are found where there is none:

* an operation on tensors of both devices raises, but for numbers without dimensions from the CPU in elementwise
  operations, and for whole-number indices from the CPU into a tensor of the device (never the other way round);
* ``.numpy()`` and what numpy does by itself raise; a generator of the CPU draws nothing there;
* what makes a CPU wait for its device works, and is written down with the line of the package that asked in
  ``device.waits``: numbers read, copies back, ``nonzero``, ``unique``, masks as indices, and copies to the device too,
  unless they are ``non_blocking``. All copies to the device are in ``device.sends``.

The tensors are wrapper subclasses with ``__torch_dispatch__`` under torch's ``privateuseone`` backend, which stays
registered once it is, but for no device outside the block; autograd, ``torch.func`` and ``torch.vmap`` go through.
Not seen: streams and overlap, which dtypes a CUDA kernel lacks, fused and foreach optimisers, the kernels' own
rounding, memory, autocast as CUDA does it, and torch.compile.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

__all__ = ["SUPPORTED", "Pretend", "Seen", "pretend", "where_of"]

#: torch can register a backend from Python; not beside a real one, where the two might get into each other's way
SUPPORTED = hasattr(torch._C, "_acc") and not torch.cuda.is_available()

NAME = "pretend"
PACKAGE = Path(__file__).parents[2] / "annosim"
aten = torch.ops.aten

#: operations whose result's size or value the CPU must know: CUDA's own kernels wait for the device there
WAITS = {
    "_local_scalar_dense",
    "nonzero",
    "_unique",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
    "masked_select",
    "equal",
    "bincount",
    "histc",
    "multinomial",
    "linalg_cholesky_ex",
    "_linalg_check_errors",
}
INDEXING = {"index", "index_put", "index_put_", "_unsafe_index", "_unsafe_index_put", "_index_put_impl_"}
#: operations that take a number of the CPU where a tensor of the device is filled
FILLING = {"copy_", "fill_", "fill", "masked_fill", "masked_fill_", "index_fill", "index_fill_", "lift_fresh"}


@dataclass
class Seen:
    """What crossed between the devices: ``(operation, line of the package)`` each."""

    waits: list[tuple[str, str]] = field(default_factory=list)
    sends: list[tuple[str, str]] = field(default_factory=list)

    def clear(self) -> None:
        self.waits.clear()
        self.sends.clear()


SEEN = Seen()


class Pretend(torch.Tensor):
    """A tensor "on the device"; ``inner`` has its numbers."""

    inner: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Pretend:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=torch.device(NAME, 0),
        )
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, dict(kwargs or {}))

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"can't convert {NAME}:0 device type tensor to numpy. Use Tensor.cpu() to copy it first")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return self.numpy()

    def data_ptr(self) -> int:
        return self.inner.data_ptr()

    def tolist(self) -> Any:
        return self.detach().cpu().tolist()

    def __deepcopy__(self, memo: dict[int, Any]) -> Pretend:
        other = Pretend(self.inner.detach().clone()).requires_grad_(self.requires_grad)
        if isinstance(self, torch.nn.Parameter):
            other._is_param = True
        memo[id(self)] = other
        return other

    def __reduce_ex__(self, protocol: int) -> Any:  # a file holds numbers; map_location="cpu" reads them back
        return self.detach().cpu().__reduce_ex__(protocol)

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"Pretend({self.inner!r})" if hasattr(self, "inner") else "Pretend()"


class _Mode(TorchDispatchMode):
    """Makers of tensors and copies that name the device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if _far(kwargs.get("device")):
            return _run(func, args, kwargs)
        return func(*args, **kwargs)


def _far(device: Any) -> bool:
    return device is not None and torch.device(device).type == NAME


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name = func._schema.name.split("::")[1]
    flat = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, torch.Tensor)]
    there = [t for t in flat if isinstance(t, Pretend)]
    here = [t for t in flat if not isinstance(t, Pretend)]
    _refuse_mixture(func, name, args, here, there)
    to_device = _far(kwargs["device"]) if kwargs.get("device") is not None else bool(there)
    if name == "copy_":
        to_device = isinstance(args[0], Pretend)
    _refuse_generator(args, kwargs, to_device)
    non_blocking = bool(kwargs.get("non_blocking") or (name == "copy_" and len(args) > 2 and args[2]))
    _write_down(name, args, here, there, to_device, non_blocking)
    if kwargs.get("device") is not None:
        kwargs["device"] = torch.device("cpu")
    home = {id(t.inner): t for t in there}
    out = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    if func._schema.is_mutable:
        for t in there:
            if t.shape != t.inner.shape:
                raise RuntimeError(f"pretend: {name} changes a tensor's shape in place, which is not followed here")
    return tree_map(lambda t: _outer(t, home) if isinstance(t, torch.Tensor) and to_device else t, out)


def _inner(x: Any) -> Any:
    return x.inner if isinstance(x, Pretend) else x


def _outer(t: torch.Tensor, home: dict[int, Pretend]) -> Pretend:
    """What was changed in place is itself; the rest is new."""
    known = home.get(id(t))
    return Pretend(t) if known is None else known


def _refuse_mixture(func: Any, name: str, args: Any, here: list[Any], there: list[Any]) -> None:
    if not (here and there) or name in ("copy_", "_to_copy"):
        return
    if name in INDEXING:
        if not isinstance(args[0], Pretend):
            raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor (cpu)")
        here = [t for t in here if not any(t is index for index in args[1])]
        if all(t.ndim == 0 for t in here):
            return
    if name in FILLING or torch.Tag.pointwise in func.tags:
        target = args[0] if func._schema.is_mutable and name[-1] == "_" else None
        if all(t.ndim == 0 for t in here) and (target is None or isinstance(target, Pretend)):
            return
    shapes = [f"{t.device} {tuple(t.shape)}" for t in (*there, *here)]
    raise RuntimeError(
        f"Expected all tensors to be on the same device, but found at least two devices, {NAME}:0 and cpu! (when "
        f"checking arguments in method {name}: {', '.join(shapes)})"
    )


def _refuse_generator(args: Any, kwargs: dict[str, Any], to_device: bool) -> None:
    drawn = [x for x in (*args, *kwargs.values()) if isinstance(x, torch.Generator)]
    if to_device and drawn:
        raise RuntimeError(f"Expected a '{NAME}' device type for generator but found 'cpu'")


def _write_down(name: str, args: Any, here: list[Any], there: list[Any], to_device: bool, non_blocking: bool) -> None:
    if name in ("_to_copy", "copy_"):
        if there and not to_device:
            SEEN.waits.append((name, where_of()))
        elif to_device and here:
            SEEN.sends.append((name, where_of()))
            if not non_blocking:
                SEEN.waits.append((f"{name} to the device", where_of()))
        return
    masks = name in INDEXING and any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1])
    repeats = name == "repeat_interleave" and there
    if there and (name in WAITS or masks or repeats):
        SEEN.waits.append((name, where_of()))
    elif name in INDEXING and any(i is not None and not isinstance(i, Pretend) for i in args[1]):
        SEEN.sends.append((name, where_of()))
        SEEN.waits.append((f"{name} by an index of the CPU", where_of()))


def where_of() -> str:
    """The innermost line of the package that is being run, ``file:line``."""
    frame = sys._getframe()
    while frame is not None and not frame.f_code.co_filename.startswith(str(PACKAGE)):
        frame = frame.f_back
    if frame is None:
        return "-"
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}"


class _Module:
    """What torch asks of a backend's module: there is a device within the block, and none after it, for other tests."""

    active = False

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return self.active

    def device_count(self) -> int:
        return int(self.active)

    def current_device(self) -> int:
        return 0

    def _is_in_bad_fork(self) -> bool:
        return False

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def manual_seed_all(self, seed: int) -> None:
        """Nothing is drawn on the device: the package draws on the CPU."""

    def get_rng_state(self, device: Any = None) -> torch.Tensor:
        return torch.zeros(0, dtype=torch.uint8)

    def set_rng_state(self, state: torch.Tensor, device: Any = None) -> None:
        """See :meth:`manual_seed_all`."""


#: products that autocast makes in half precision, on CUDA as here
HALVES = ("linear", "matmul", "mm", "addmm", "bmm", "baddbmm")


@functools.cache
def _register() -> tuple[_Module, Any]:
    module = _Module()
    torch.utils.backend_registration._setup_privateuseone_for_python_backend(NAME, module)
    others = torch.library.Library("_", "IMPL")
    others.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    library = torch.library.Library("aten", "IMPL")
    for name in HALVES:
        library.impl(name, _halved(getattr(aten, name).default), "AutocastPrivateUse1")
    return module, (library, others)


def _halved(operation: Any) -> Any:
    own = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def kernel(*args: Any, **kwargs: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(own):
            half = lambda t: t.bfloat16() if isinstance(t, torch.Tensor) and t.dtype == torch.float32 else t  # noqa: E731
            return operation(*tree_map(half, args), **tree_map(half, kwargs))

    return kernel


def _applied(module: torch.nn.Module, function: Any, recurse: bool = True) -> torch.nn.Module:
    """What moves a module: its parameters stay the objects that they were, as on CUDA, so that tied ones stay tied.

    (CUDA's tensors take each other's place under one object; ours cannot, and are swapped where nothing holds them.)
    """
    known: dict[int, torch.nn.Parameter] = {}
    for part in list(module.modules()) if recurse else [module]:
        for name, p in part._parameters.items():
            if p is None:
                continue
            with torch.no_grad():
                made = known[id(p)] if id(p) in known else function(p)
            if made is not p and id(p) not in known:
                made = torch.nn.Parameter(made, p.requires_grad)
                try:
                    torch.utils.swap_tensors(p, made)
                except RuntimeError:  # a graph holds it
                    known[id(p)] = made
            part._parameters[name] = known.get(id(p), p)
        for name, buffer in part._buffers.items():
            part._buffers[name] = None if buffer is None else function(buffer)
    return module


@contextlib.contextmanager
def pretend() -> Iterator[Seen]:
    """The device, ``pretend:0``, within the block; what crosses to and from it is written down."""
    module, _ = _register()
    SEEN.clear()
    apply = torch.nn.Module._apply
    lift = torch._C._only_lift_cpu_tensors()
    torch.nn.Module._apply = _applied  # type: ignore[method-assign]
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(device=) makes a tensor of the CPU first, and copies it
    module.active = True
    try:
        # one thread: torch starts the threads of its devices at the first backward pass, and then there was none
        with _Mode(), torch.autograd.set_multithreading_enabled(False):
            yield SEEN
    finally:
        module.active = False
        torch._C._set_only_lift_cpu_tensors(lift)
        torch.nn.Module._apply = apply  # type: ignore[method-assign]
