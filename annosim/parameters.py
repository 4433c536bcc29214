"""Parameters: which numbers of a model are estimated, under which constraint, and how they are redrawn.

Utilities, rules, habits and populations are torch modules. A number is *free* (a ``torch.nn.Parameter``) or *fixed* (a
buffer). Utility parameters and mixture weights are free unless written ``fixed(value)``; rule and habit parameters are
fixed unless written ``free(start)``. Each has a constraint, written beside the constructor as data, from which come the
message for a bad value, the unconstrained coordinates that solvers use, and the tests of bad values.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from inspect import getattr_static
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.special import ndtri
from torch import nn
from torch.distributions import constraints, transform_to
from torch.distributions.transforms import Transform

from annosim.errors import ArgumentError, NothingFreeError
from annosim.random import child_seed, uniform53

__all__ = ["CONSTRAINTS", "Model", "fixed", "free"]

#: name -> (torch constraint, words for the message)
CONSTRAINTS: dict[str, tuple[Any, str]] = {
    "real": (constraints.real, "a finite number"),
    "centred": (constraints.real, "finite numbers, whose mean along the last axis is taken off"),
    "positive": (constraints.positive, "a finite number above 0"),
    "nonnegative": (constraints.nonnegative, "a finite number of at least 0"),
    "unit": (constraints.unit_interval, "a number from 0 to 1"),
    "at_least_one": (constraints.greater_than_eq(1.0), "a finite number of at least 1"),
    "simplex": (constraints.simplex, "nonnegative numbers that sum to one"),
    "increasing": (None, "finite numbers in increasing order"),
}


@dataclass(frozen=True)
class free:
    """Marks a rule, habit or utility number as estimated, starting at ``start``.

    Example:
        >>> free(0.5).start
        0.5
    """

    start: Any


@dataclass(frozen=True)
class fixed:
    """Marks a utility number or the mixture weights as known: they are not estimated.

    Example:
        >>> fixed([0.5, 0.5]).value
        [0.5, 0.5]
    """

    value: Any


class Model(nn.Module):
    """A torch module whose numbers are declared with a constraint, and are either free or fixed.

    Subclasses call :meth:`declare` in ``__init__`` and read the number as an attribute.
    """

    if TYPE_CHECKING:
        # Declared numbers and registered parts are read as attributes; torch's hint, Tensor | Module, fits neither.
        def __getattr__(self, name: str) -> Any: ...

    def declare(
        self, name: str, value: Any, constraint: str = "real", *, free_by_default: bool = False, dtype=torch.float64
    ) -> None:
        """Register ``self.<name>``: a Parameter when free, a buffer when fixed, checked against ``constraint``.

        Args:
            name: attribute name; it is also the name in :meth:`free_parameters`.
            value: a number or array, or ``free(start)``, or ``fixed(value)``.
            constraint: a key of :data:`CONSTRAINTS`.
            free_by_default: whether a bare value is estimated (utilities and weights) or not (rules and habits).

        Raises:
            ArgumentError: the value breaks the constraint.
        """
        is_free = free_by_default
        if isinstance(value, free):
            value, is_free = value.start, True
        elif isinstance(value, fixed):
            value, is_free = value.value, False
        tensor = check_value(f"{type(self).__name__}({name}=)", value, constraint).to(dtype)
        self.__dict__.setdefault("_constraints", {})[name] = constraint
        if is_free:
            self.register_parameter(name, nn.Parameter(tensor))
        else:
            self.register_buffer(name, tensor)

    def constraint_of(self, name: str) -> str:
        """Constraint of the free parameter ``name`` (dotted); ``"real"`` for network weights."""
        *path, leaf = name.split(".")
        module: nn.Module = self
        for part in path:
            module = getattr(module, part)
        return module.__dict__.get("_constraints", {}).get(leaf, "real")

    def free_parameters(self) -> dict[str, torch.Tensor]:
        """Names and values (detached copies) of the free parameters: the one coordinate system of the library.

        Example:
            >>> import annosim as an
            >>> {k: tuple(v.shape) for k, v in an.Annotator(an.Linear([1., 0.]), an.Luce()).free_parameters().items()}
            {'utility.weights': (2,)}
        """
        return {name: p.detach().clone() for name, p in self.named_parameters() if p.requires_grad}

    def num_free(self) -> int:
        """How many numbers are free."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def vector(self) -> torch.Tensor:
        """The free parameters as one float64 vector on the CPU, in the order of :meth:`free_parameters`."""
        parts = [p.detach().reshape(-1).double().cpu() for p in self.parameters() if p.requires_grad]
        return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)

    def unflatten(self, vector: torch.Tensor) -> dict[str, torch.Tensor]:
        """A vector ``(..., P)`` as named tensors ``(..., *shape)``, differentiably."""
        out, start = {}, 0
        for name, p in self.named_parameters():
            if p.requires_grad:
                part = vector[..., start : start + p.numel()]
                out[name] = part.reshape((*vector.shape[:-1], *p.shape)).to(p.dtype)
                start += p.numel()
        return out

    def centred_vector(self, vector: torch.Tensor) -> torch.Tensor:
        """A vector ``(P,)`` of free parameters, less the means that nothing can tell (those declared ``"centred"``)."""
        parts = []
        for name, value in self.unflatten(vector).items():
            if self.constraint_of(name) == "centred":
                value = value - value.mean(-1, keepdim=True)
            parts.append(value.reshape(-1))
        return torch.cat(parts)

    def parameter_names(self) -> list[str]:
        """One readable name per entry of :meth:`vector`: ``"types.0.utility.values[3]"``."""
        names = []
        for name, p in self.named_parameters():
            if p.requires_grad:
                names += [name if p.ndim == 0 else f"{name}[{','.join(map(str, i))}]" for i in np.ndindex(*p.shape)]
        return names

    def with_parameters(self, values: dict[str, torch.Tensor] | torch.Tensor) -> Any:
        """A copy with the free parameters (some of them, by name, or all as one vector) set to ``values``."""
        other = copy.deepcopy(self)
        if isinstance(values, torch.Tensor):
            values = self.unflatten(values)
        own = dict(other.named_parameters())
        unknown = sorted(set(values) - set(own))
        if unknown:
            raise ArgumentError(f"no free parameter is named {unknown[0]!r}; there are: {', '.join(own) or 'none'}")
        with torch.no_grad():
            for name, value in values.items():
                own[name].copy_(torch.as_tensor(value).reshape(own[name].shape))
        return other

    def frozen(self) -> Any:
        """A copy in which nothing is free (its parameters take no gradient)."""
        return copy.deepcopy(self).requires_grad_(False)

    def like(self, seed: int) -> Any:
        """The same structure and fixed numbers, with every free number redrawn at ``seed``.

        Raises:
            NothingFreeError: nothing is free, so the copy would start a fit at the truth.

        Example:
            >>> import annosim as an
            >>> truth = an.Annotator(an.Tabular([0., 1.]), an.Luce())
            >>> bool((truth.like(seed=1).utility.values == truth.utility.values).any())
            False
        """
        if not self.num_free():
            raise NothingFreeError(
                f"{type(self).__name__}.like(seed={seed}): nothing is free in this model, so a fit would start at the "
                "truth; write the model to be fitted yourself, for example an.Annotator(an.Tabular(n), an.Luce())"
            )
        other = copy.deepcopy(self)
        with torch.no_grad():
            for name, p in other.named_parameters():
                if p.requires_grad:
                    p.copy_(_redraw(other, name, p, child_seed(seed, f"like/{name}")))
        return other


def check_value(label: str, value: Any, constraint: str) -> torch.Tensor:
    """``value`` as a float64 tensor, or an :class:`ArgumentError` that names it and says what is allowed."""
    words = CONSTRAINTS[constraint][1]
    try:
        tensor = torch.as_tensor(np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value))
        tensor = tensor.to(torch.float64).clone()
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{label}: {_shown(value)} is not numeric; give {words}") from error
    finite = torch.isfinite(tensor)
    if not bool(finite.all()):
        at = "" if tensor.ndim == 0 else f" at position {torch.nonzero(~finite)[0].tolist()}"
        raise ArgumentError(f"{label}: not finite{at}; give {words}")
    if constraint == "simplex":
        ok = bool((tensor >= 0).all()) and math.isclose(float(tensor.sum()), 1.0, abs_tol=1e-6)
        if not ok:
            raise ArgumentError(f"{label}: {_shown(tensor.tolist())} sums to {float(tensor.sum()):.6g}; give {words}")
        return tensor / tensor.sum()
    if constraint == "increasing":
        if not bool((tensor.diff() > 0).all()):
            raise ArgumentError(f"{label}: {_shown(tensor.tolist())}; give {words}")
        return tensor
    fits = CONSTRAINTS[constraint][0].check(tensor)
    if not bool(fits.all()):
        first = torch.nonzero(~fits)[0].tolist()
        at = f" at position {first}" if tensor.ndim else ""
        raise ArgumentError(f"{label}: {tensor[tuple(first)].item()}{at}; give {words}")
    return tensor


def check_number(label: str, value: Any, constraint: str) -> float:
    """One number under a constraint, or an :class:`ArgumentError` that names it.

    Example:
        >>> check_number("beta", 0.1, "positive")
        0.1
    """
    tensor = check_value(label, value, constraint)
    if tensor.ndim:
        raise ArgumentError(f"{label}: {_shown(value)}; give one number, not {tuple(tensor.shape)} of them")
    return float(tensor)


def describe(module: nn.Module) -> str:
    """``Linear([1, 0])``: the class and its declared numbers, for a readable repr."""
    numbers = []
    for name in module.__dict__.get("_constraints", {}):
        value = getattr(module, name).detach()
        flat = [f"{v:.4g}" for v in value.reshape(-1)[:4].tolist()]
        text = flat[0] if value.ndim == 0 else "[" + ", ".join(flat) + (", ..." if value.numel() > 4 else "") + "]"
        numbers.append(f"{name}={text}")
    inner = [describe(child) for child in module.children() if isinstance(child, Model)]
    return f"{type(module).__name__}({', '.join(inner + numbers)})"


def behaves_as(one: object, parent: type, *methods: str) -> bool:
    """Whether an object of ``parent`` or of a subclass does what ``parent`` does: it overrides none of its methods.

    Code that knows a class well enough to take a shortcut (a compiled kernel, a closed form) asks this, so that a
    subclass with another name takes the shortcut too, and one with another law does not.

    Args:
        one: the object.
        parent: the class that the shortcut is for.
        methods: names that must be the parent's own; by default everything that it defines or inherits from the library.

    Example:
        >>> import annosim as an
        >>> class Renamed(an.Luce): ...
        >>> class Other(an.Luce):
        ...     def log_prob(self, scores, answer, view):
        ...         return super().log_prob(2 * scores, answer, view)
        >>> behaves_as(Renamed(), an.Luce), behaves_as(Other(), an.Luce), behaves_as(an.rules.Mallows(0.5), an.Luce)
        (True, False, False)
    """
    if not isinstance(one, parent):
        return False
    names = methods or {n for c in parent.__mro__ if issubclass(c, Model) for n in vars(c) if not n.startswith("__")}
    return all(getattr_static(type(one), n, None) is getattr_static(parent, n, None) for n in names)


def unmarked(value: Any) -> Any:
    """The number inside ``free(...)`` or ``fixed(...)``, or the value itself.

    Example:
        >>> unmarked(free(0.5)), unmarked(2.0)
        (0.5, 2.0)
    """
    return value.start if isinstance(value, free) else value.value if isinstance(value, fixed) else value


def marked_like(marked: Any, value: Any) -> Any:
    """``value`` under the same marker as ``marked``.

    Example:
        >>> marked_like(free(0.5), 2.0)
        free(start=2.0)
    """
    return type(marked)(value) if isinstance(marked, free | fixed) else value


def _shown(value: Any) -> str:
    """A value in one line, cut where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:77] + "..."


class _Increasing(Transform):
    """x -> (x0, x0 + e^x1, x0 + e^x1 + e^x2, ...)."""

    domain = constraints.real_vector
    codomain = constraints.real_vector
    bijective = True

    def _call(self, x):
        return torch.cat([x[..., :1], x[..., 1:].exp()], -1).cumsum(-1)

    def _inverse(self, y):
        return torch.cat([y[..., :1], y.diff(dim=-1).log()], -1)


def transform_of(constraint: str) -> Transform:
    """The map from unconstrained numbers to the constraint's set (softmax for weights, exp for positive, ...)."""
    return _Increasing() if constraint == "increasing" else transform_to(CONSTRAINTS[constraint][0])


def _redraw(model: Model, name: str, p: torch.Tensor, seed: int) -> torch.Tensor:
    z = torch.as_tensor(ndtri(uniform53(seed, "start", np.arange(p.numel()), 0))).reshape(p.shape)
    constraint = model.constraint_of(name)
    *path, leaf = name.split(".")
    owner: nn.Module = model
    for part in path:
        owner = getattr(owner, part)
    if isinstance(owner, nn.Linear):  # torch's own default, U(-1/sqrt(fan_in), 1/sqrt(fan_in)), from our addresses
        bound = 1.0 / math.sqrt(owner.in_features)
        return (2 * torch.special.ndtr(z) - 1) * bound
    if leaf not in owner.__dict__.get("_constraints", {}):  # a network's own tensor: at the scale it was made with
        return p.mean() + p.std(correction=0) * z.to(p)
    if constraint == "simplex":
        return torch.softmax(0.3 * z, -1)
    if constraint == "real":
        return z
    return transform_of(constraint)(0.5 * z)
