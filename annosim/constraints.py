"""Constraints: where a number may lie, what to say of a bad one, and the unconstrained coordinates of a good one."""

from __future__ import annotations

import math
from enum import StrEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch.distributions import constraints, transform_to
from torch.distributions.transforms import Transform

from annosim.arrays import Numbers, as_numpy
from annosim.errors import ArgumentError, TooLargeError

__all__ = ["Constraint", "check_number", "check_size", "check_value", "check_whole_number", "check_whole_numbers"]


class Constraint(StrEnum):
    """Where a number may lie. Equal to its name as a string.

    Example:
        >>> Constraint("positive").description, Constraint.POSITIVE == "positive"
        ('a finite number above 0', True)
    """

    REAL = "real"
    CENTRED = "centred"  # only differences along the last axis matter: the mean is taken off
    POSITIVE = "positive"
    NONNEGATIVE = "nonnegative"
    UNIT = "unit"
    AT_LEAST_ONE = "at_least_one"
    SIMPLEX = "simplex"
    INCREASING = "increasing"

    @property
    def description(self) -> str:
        """What is allowed, in words, for messages."""
        return _DESCRIPTIONS[self]

    @property
    def support(self) -> constraints.Constraint:
        """The set of allowed values, as torch writes it."""
        return _SUPPORTS[self]

    @property
    def transform(self) -> Transform:
        """The map from unconstrained numbers to the set (softmax for weights, exp for positive numbers, ...)."""
        return _Increasing() if self is Constraint.INCREASING else transform_to(self.support)

    def unconstrained(self, value: torch.Tensor, margin: float = 1e-12) -> torch.Tensor:
        """The inverse of :attr:`transform`; values on the boundary are first moved inside by ``margin``.

        Example:
            >>> Constraint.POSITIVE.unconstrained(torch.tensor([1.0, 0.0]), margin=1e-3)
            tensor([ 0.0000, -6.9078])
        """
        if self is Constraint.UNIT:
            value = value.clamp(margin, 1 - margin)
        elif self in (Constraint.SIMPLEX, Constraint.POSITIVE, Constraint.NONNEGATIVE):
            value = value.clamp_min(margin)
        elif self is Constraint.AT_LEAST_ONE:
            value = value.clamp_min(1 + margin)
        return self.transform.inv(value)

    def allows(self, value: torch.Tensor, slack: float = 0.0) -> bool:
        """Whether every entry lies in the set, or outside it by no more than ``slack``; order and sums are not asked."""
        low, high = _BOUNDS[self]
        return not bool(((value < low - slack) | (value > high + slack)).any())


_DESCRIPTIONS = {
    Constraint.REAL: "a finite number",
    Constraint.CENTRED: "finite numbers, whose mean along the last axis is taken off",
    Constraint.POSITIVE: "a finite number above 0",
    Constraint.NONNEGATIVE: "a finite number of at least 0",
    Constraint.UNIT: "a number from 0 to 1",
    Constraint.AT_LEAST_ONE: "a finite number of at least 1",
    Constraint.SIMPLEX: "nonnegative numbers that sum to one",
    Constraint.INCREASING: "finite numbers in increasing order",
}


class _Ascending(constraints.Constraint):
    """Vectors in increasing order."""

    event_dim = 1

    def check(self, value: torch.Tensor) -> torch.Tensor:
        return (value.diff(dim=-1) > 0).all(-1)


_SUPPORTS: dict[Constraint, constraints.Constraint] = {
    Constraint.REAL: constraints.real,
    Constraint.CENTRED: constraints.real,
    Constraint.POSITIVE: constraints.positive,
    Constraint.NONNEGATIVE: constraints.nonnegative,
    Constraint.UNIT: constraints.unit_interval,
    Constraint.AT_LEAST_ONE: constraints.greater_than_eq(1.0),
    Constraint.SIMPLEX: constraints.simplex,
    Constraint.INCREASING: _Ascending(),
}
_BOUNDS = {
    Constraint.REAL: (-math.inf, math.inf),
    Constraint.CENTRED: (-math.inf, math.inf),
    Constraint.POSITIVE: (0.0, math.inf),
    Constraint.NONNEGATIVE: (0.0, math.inf),
    Constraint.UNIT: (0.0, 1.0),
    Constraint.AT_LEAST_ONE: (1.0, math.inf),
    Constraint.SIMPLEX: (0.0, 1.0),
    Constraint.INCREASING: (-math.inf, math.inf),
}


class _Increasing(Transform):
    """x -> (x0, x0 + e^x1, x0 + e^x1 + e^x2, ...)."""

    domain = constraints.real_vector
    codomain = _SUPPORTS[Constraint.INCREASING]
    bijective = True

    def _call(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x[..., :1], x[..., 1:].exp()], -1).cumsum(-1)

    def _inverse(self, y: torch.Tensor) -> torch.Tensor:
        return torch.cat([y[..., :1], y.diff(dim=-1).log()], -1)


_FORMS = ("one number", "a list of numbers", "a matrix: rows of numbers")
#: Numbers that one array may be asked to hold before a :class:`TooLargeError`; a mistyped size asks for more.
MOST_NUMBERS = 10**8


def check_size(label: str, *sizes: int) -> None:
    """Refuse an array of more numbers than anybody means, before it is allocated.

    Raises:
        TooLargeError: more than 1e8 numbers.

    Example:
        >>> check_size("Tabular(n)", 10**12)
        Traceback (most recent call last):
        annosim.errors.TooLargeError: Tabular(n): 1e+12 numbers, more than 1e+08; check the size
    """
    count = math.prod(map(int, sizes))
    if count > MOST_NUMBERS:
        shown = f"{count:.3g}" if count < 10**300 else "too many"
        raise TooLargeError(f"{label}: {shown} numbers, more than {MOST_NUMBERS:.0e}; check the size")


def check_value(label: str, value: Numbers, constraint: str, ndim: int | None = None) -> torch.Tensor:
    """``value`` as a float64 tensor, or an :class:`ArgumentError` that names it and says what is allowed.

    Args:
        label: names it in the message.
        value: what was given.
        constraint: the name of a :class:`Constraint`.
        ndim: 0 for one number, 1 for a list, 2 for a matrix; any shape by default.

    Example:
        >>> check_value("weights", [2, 2], "simplex")
        Traceback (most recent call last):
        annosim.errors.ArgumentError: weights: [2.0, 2.0] sums to 4; give nonnegative numbers that sum to one
    """
    constraint = Constraint(constraint)
    tensor = _finite(label, value, constraint.description)
    if ndim is not None and tensor.ndim != ndim:
        raise ArgumentError(f"{label}: shape {tuple(tensor.shape)}; give {_FORMS[ndim]}")
    if constraint is Constraint.SIMPLEX:
        total = float(tensor.sum())
        if not constraint.allows(tensor, 1e-6) or bool((tensor < 0).any()) or not math.isclose(total, 1, abs_tol=1e-6):
            raise ArgumentError(
                f"{label}: {_shown(tensor.tolist())} sums to {total:.6g}; give {constraint.description}"
            )
        return tensor / total
    fits = constraint.support.check(tensor)
    if not bool(fits.all()):
        first = torch.nonzero(~fits)[0].tolist()
        at = f" at position {first}" if fits.ndim else ""
        raise ArgumentError(f"{label}: {_shown(tensor[tuple(first)].tolist())}{at}; give {constraint.description}")
    return tensor


def _finite(label: str, value: Numbers, allowed: str) -> torch.Tensor:
    try:
        tensor = torch.as_tensor(as_numpy(value)).to(torch.float64).clone()
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{label}: {_shown(value)} is not numeric; give {allowed}") from error
    bad = torch.nonzero(~torch.isfinite(tensor))
    if len(bad):
        at = f" at position {bad[0].tolist()}" if tensor.ndim else ""
        raise ArgumentError(f"{label}: not finite{at}; give {allowed}")
    return tensor


def check_number(label: str, value: Numbers, constraint: str) -> float:
    """One number under a constraint, or an :class:`ArgumentError` that names it.

    Example:
        >>> check_number("beta", 0.1, "positive")
        0.1
    """
    tensor = check_value(label, value, constraint)
    if tensor.ndim:
        raise ArgumentError(f"{label}: {_shown(value)}; give one number, not {tuple(tensor.shape)} of them")
    return float(tensor)


def check_whole_numbers(label: str, value: Numbers, shape: tuple[int, ...] | None = None) -> NDArray[np.int64]:
    """An int64 array, or an :class:`ArgumentError` that names it.

    Args:
        shape: what is expected, or ``None`` for any.

    Example:
        >>> check_whole_numbers("Design(loads=)", [1, 2.5])
        Traceback (most recent call last):
        annosim.errors.ArgumentError: Design(loads=): [1, 2.5]; give whole numbers
    """
    try:
        array = as_numpy(value)
        whole = array.astype(np.int64)
        same = array.dtype.kind in "iuf" and bool((whole == array).all())
    except (TypeError, ValueError, OverflowError):
        same = False
    if not same:
        raise ArgumentError(f"{label}: {_shown(value)}; give whole numbers")
    if shape is not None and whole.shape != shape:
        raise ArgumentError(f"{label}: shape {whole.shape}; give whole numbers of shape {shape}")
    return whole


def check_whole_number(label: str, value: object, low: int = 1) -> int:
    """One whole number of at least ``low``, or an :class:`ArgumentError` that names it.

    Example:
        >>> check_whole_number("Design(overlap=)", 0)
        Traceback (most recent call last):
        annosim.errors.ArgumentError: Design(overlap=): 0; give a whole number of at least 1
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
        raise ArgumentError(f"{label}: {_shown(value)}; give a whole number of at least {low}")
    return int(value)


def _shown(value: object) -> str:
    """A value in one line, cut where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:77] + "..."
