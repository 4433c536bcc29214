"""Parameters: which numbers of a model are estimated, under which constraint, and how they are redrawn.

Utilities, rules, response biases and populations are torch modules. A number is *free* (a ``torch.nn.Parameter``) or
*fixed* (a buffer). Utility parameters and mixture weights are free unless written ``fixed(value)``; the parameters of
rules and response biases are fixed unless written ``free(start)``. Each number has a :class:`Constraint`, from which
come the message for a bad value, the unconstrained coordinates that solvers use, and the tests of bad values.
"""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from inspect import getattr_static
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeGuard, TypeVar

import numpy as np
import torch
from scipy.special import ndtri
from torch import nn

from annosim.arrays import Numbers
from annosim.constraints import Constraint, check_number, check_value
from annosim.errors import ArgumentError, NothingFreeError
from annosim.random import child_seed, uniform53

__all__ = [
    "Constraint",
    "Fixed",
    "Free",
    "Model",
    "ParameterLike",
    "Unconstrained",
    "behaves_as",
    "check_number",
    "check_value",
    "describe",
    "fixed",
    "free",
    "marked_like",
    "unmarked",
]


@dataclass(frozen=True)
class Free:
    """A number that is estimated, and where its estimation starts; made by :func:`free`.

    Example:
        >>> free(0.5).start
        0.5
    """

    start: Numbers


@dataclass(frozen=True)
class Fixed:
    """A number that is known and not estimated; made by :func:`fixed`.

    Example:
        >>> fixed([0.5, 0.5]).value
        [0.5, 0.5]
    """

    value: Numbers


Kind = TypeVar("Kind")

#: What a constructor takes for a number of its model: the number itself, or a marked one.
ParameterLike: TypeAlias = Numbers | Free | Fixed


def free(start: Numbers) -> Free:
    """Mark a number of a rule, response bias or utility as estimated, starting at ``start``.

    Example:
        >>> import annosim as an
        >>> an.Luce(temperature=an.free(1.0)).free_parameters()
        {'temperature': tensor(1., dtype=torch.float64)}
    """
    return Free(start)


def fixed(value: Numbers) -> Fixed:
    """Mark a number of a utility, or the weights of a mixture, as known: they are not estimated.

    Example:
        >>> import annosim as an
        >>> an.Tabular(an.fixed([0.0, 1.0])).free_parameters()
        {}
    """
    return Fixed(value)


#: of the types of which torch makes a module's tables: an empty one is as good as its copy
_TABLES = (dict, OrderedDict, set)


class Model(nn.Module):
    """A torch module whose numbers are declared with a constraint, and are either free or fixed.

    Subclasses call :meth:`declare` in ``__init__`` and read the number as an attribute.

    Example:
        >>> class Slope(Model):
        ...     def __init__(self, slope):
        ...         super().__init__()
        ...         self.declare("slope", slope, "positive")
        >>> Slope(free(2.0)).free_parameters(), Slope(2.0).free_parameters()
        ({'slope': tensor(2., dtype=torch.float64)}, {})
    """

    if TYPE_CHECKING:
        # Declared numbers and registered parts are read as attributes; torch's hint, Tensor | Module, fits neither.
        def __getattr__(self, name: str) -> Any: ...

    def declare(
        self,
        name: str,
        value: ParameterLike,
        constraint: str = "real",
        *,
        free_by_default: bool = False,
        ndim: int | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        """Register ``self.<name>``: a Parameter when free, a buffer when fixed, checked against ``constraint``.

        Args:
            name: attribute name; it is also the name in :meth:`free_parameters`.
            value: a number or array, or ``free(start)``, or ``fixed(value)``.
            constraint: the name of a :class:`Constraint`.
            free_by_default: whether a bare value is estimated (utilities, weights) or not (rules, response biases).
            ndim: 0 for one number, 1 for a list, 2 for a matrix; any shape by default.

        Raises:
            ArgumentError: the value breaks the constraint, or has another number of dimensions.
        """
        is_free = isinstance(value, Free) or (free_by_default and not isinstance(value, Fixed))
        tensor = check_value(f"{type(self).__name__}({name}=)", unmarked(value), constraint, ndim).to(dtype)
        self.declared[name] = Constraint(constraint)
        if is_free:
            self.register_parameter(name, nn.Parameter(tensor))
        else:
            self.register_buffer(name, tensor)

    @property
    def declared(self) -> dict[str, Constraint]:
        """The numbers that this module itself declares, with their constraints, in the order of declaration."""
        return self.__dict__.setdefault("_constraints", {})

    def constraint_of(self, name: str) -> Constraint:
        """Constraint of the parameter ``name`` (dotted); ``"real"`` for the weights of networks."""
        path, _, own = name.rpartition(".")
        module = self.get_submodule(path)
        return module.declared.get(own, Constraint.REAL) if isinstance(module, Model) else Constraint.REAL

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

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """What ``copy.deepcopy`` makes of any module, without asking each of torch's dozen empty tables of hooks how to be
        copied: models are copied at every start, replicate and twin."""
        other = type(self).__new__(type(self))
        memo[id(self)] = other
        for name, value in self.__dict__.items():
            empty = type(value) in _TABLES and not value
            other.__dict__[name] = type(value)() if empty else copy.deepcopy(value, memo)
        return other

    def with_parameters(self, values: Mapping[str, torch.Tensor] | torch.Tensor) -> Self:
        """A copy with the free parameters (some of them, by name, or all as one vector) set to ``values``."""
        return copy.deepcopy(self).assign(values)

    def assign(self, values: Mapping[str, torch.Tensor] | torch.Tensor) -> Self:
        """Set the free parameters (some of them, by name, or all as one vector) of this very model, and return it.

        Example:
            >>> import annosim as an
            >>> an.Annotator(an.Tabular(2), an.Luce()).assign(torch.tensor([0.0, 1.0])).vector().tolist()
            [0.0, 1.0]
        """
        if isinstance(values, torch.Tensor):
            values = self.unflatten(values)
        own = dict(self.named_parameters())
        unknown = sorted(set(values) - set(own))
        if unknown:
            raise ArgumentError(f"no free parameter is named {unknown[0]!r}; there are: {', '.join(own) or 'none'}")
        with torch.no_grad():
            for name, value in values.items():
                own[name].copy_(torch.as_tensor(value).reshape(own[name].shape))
        return self

    def frozen(self) -> Self:
        """A copy in which nothing is free (its parameters take no gradient)."""
        return copy.deepcopy(self).requires_grad_(False)

    def like(self, seed: int) -> Self:
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


def describe(module: nn.Module) -> str:
    """The class and its declared numbers, for a readable repr.

    Example:
        >>> import annosim as an
        >>> describe(an.Lapse(an.Luce(), rate=0.1))
        'Lapse(Luce(temperature=1), rate=0.1)'
    """
    numbers = []
    for name in module.declared if isinstance(module, Model) else ():
        value = getattr(module, name).detach()
        flat = [f"{v:.4g}" for v in value.reshape(-1)[:4].tolist()]
        text = flat[0] if value.ndim == 0 else "[" + ", ".join(flat) + (", ..." if value.numel() > 4 else "") + "]"
        numbers.append(f"{name}={text}")
    inner = [describe(child) for child in module.children() if isinstance(child, Model)]
    return f"{type(module).__name__}({', '.join(inner + numbers)})"


def behaves_as(one: object, parent: type[Kind], *methods: str) -> TypeGuard[Kind]:
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
    kind: type = type(one)
    base: type = parent
    return isinstance(one, parent) and _has_methods_of(kind, base, methods)


@lru_cache(maxsize=4096)
def _has_methods_of(kind: type, parent: type, methods: tuple[str, ...]) -> bool:
    names = methods or {n for c in parent.__mro__ if issubclass(c, Model) for n in vars(c) if not n.startswith("__")}
    return all(getattr_static(kind, n, None) is getattr_static(parent, n, None) for n in names)


def unmarked(value: ParameterLike) -> Numbers:
    """The number inside ``free(...)`` or ``fixed(...)``, or the value itself.

    Example:
        >>> unmarked(free(0.5)), unmarked(2.0)
        (0.5, 2.0)
    """
    return value.start if isinstance(value, Free) else value.value if isinstance(value, Fixed) else value


def marked_like(marked: ParameterLike, value: Numbers) -> ParameterLike:
    """``value`` under the same mark as ``marked``.

    Example:
        >>> marked_like(free(0.5), 2.0)
        Free(start=2.0)
    """
    return type(marked)(value) if isinstance(marked, Free | Fixed) else value


class Unconstrained:
    """Unconstrained coordinates of a model's free parameters: logits of weights, logs of positive numbers.

    Args:
        model: its free parameters, in the order of :meth:`Model.vector`, are mapped.
        margin: numbers on the boundary of their set are moved inside by this much.

    Example:
        >>> import annosim as an
        >>> model = an.Mixture([an.Annotator(an.Tabular(2), an.Luce()), an.Annotator(an.Tabular(2), an.Luce())])
        >>> free = Unconstrained(model)
        >>> bool(torch.allclose(free.inside(free.outside(model.vector())), model.vector()))
        True
    """

    def __init__(self, model: Model, margin: float = 1e-12):
        self.margin, self.size = margin, 0
        self.parts: list[tuple[slice, torch.Size, Constraint]] = []
        for name, p in model.named_parameters():
            if p.requires_grad:
                place = slice(self.size, self.size + p.numel())
                self.parts.append((place, p.shape, model.constraint_of(name)))
                self.size += p.numel()

    def inside(self, z: torch.Tensor) -> torch.Tensor:
        """The parameter vector ``(P,)`` of unconstrained ``z (P,)``; differentiable."""
        return torch.cat([c.transform(z[at].reshape(shape)).reshape(-1) for at, shape, c in self.parts])

    def outside(self, vector: torch.Tensor) -> torch.Tensor:
        """The unconstrained coordinates ``(P,)`` of a parameter vector; logits of weights have mean zero."""
        parts = []
        for at, shape, constraint in self.parts:
            z = constraint.unconstrained(vector[at].reshape(shape), self.margin)
            parts.append((z - z.mean(-1, keepdim=True) if constraint is Constraint.SIMPLEX else z).reshape(-1))
        return torch.cat(parts)

    def feasible(self, vector: torch.Tensor, slack: float = 1e-9) -> bool:
        """Whether every number lies in its set, up to ``slack``."""
        return all(constraint.allows(vector[at], slack) for at, _, constraint in self.parts)


def _redraw(model: Model, name: str, p: torch.Tensor, seed: int) -> torch.Tensor:
    z = torch.as_tensor(ndtri(uniform53(seed, "start", np.arange(p.numel()), 0))).reshape(p.shape)
    path, _, own = name.rpartition(".")
    owner = model.get_submodule(path)
    if isinstance(owner, nn.Linear):  # torch's own default, U(-1/sqrt(fan_in), 1/sqrt(fan_in)), at the seed's address
        return (2 * torch.special.ndtr(z) - 1) / math.sqrt(owner.in_features)
    if not isinstance(owner, Model) or own not in owner.declared:  # a network's own tensor: at its present scale
        return p.mean() + p.std(correction=0) * z.to(p)
    constraint = owner.declared[own]
    if constraint is Constraint.SIMPLEX:
        return torch.softmax(0.3 * z, -1)
    return z if constraint is Constraint.REAL else constraint.transform(0.5 * z)
