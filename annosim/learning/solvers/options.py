"""Options as data: a field of a settings class says what it takes, and checks, commands and files are derived from it.

Nothing of weight is imported at the top, so that ``annosim --help`` can list the options at once.
"""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from annosim.errors import ArgumentError

__all__ = [
    "OptionType",
    "Option",
    "Settings",
    "described",
    "file_name",
    "flag",
    "number",
    "one_of",
    "option",
    "options_of",
    "share",
    "whole",
]

T = TypeVar("T")
S = TypeVar("S", bound="type[Settings]")


@dataclass(frozen=True)
class OptionType:
    """What an option takes.

    Attributes:
        kind: the type that a command line or a file gives.
        check: ``check(where, value)`` returns the value to keep, or raises :class:`ArgumentError`.
    """

    kind: type
    check: Callable[[str, Any], Any]


@dataclass(frozen=True)
class Option:
    """One option of a settings class, as the command line and the scenario's table ``[fit]`` read it.

    Attributes:
        name, default, help, constraint: as written with :func:`option`.
        owner: the class that has the option first.
        needs: another option without which this one means nothing, and why.
    """

    name: str
    default: Any
    help: str
    constraint: OptionType
    owner: type[Settings]
    needs: tuple[str, str] | None


def _where(where: str, value: object) -> str:
    return where.replace("=)", f"={value!r})")


def whole(least: int) -> OptionType:
    """A whole number, kept as Python's own ``int``."""
    words = f"a whole number of at least {least}"

    def check(where: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
            raise ArgumentError(f"{_where(where, value)}: {words}")
        return int(value)

    return OptionType(int, check)


def number(constraint: str) -> OptionType:
    """A finite number under one of :data:`annosim.parameters.CONSTRAINTS`."""

    def check(where: str, value: Any) -> float:
        from annosim.parameters import check_number

        return check_number(where, value, constraint)

    return OptionType(float, check)


def share(words: str, *, zero: bool) -> OptionType:
    """A number below 1 and above 0, or from 0 on (``zero=True``)."""

    def check(where: str, value: Any) -> float:
        found = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not found or not (0 <= value < 1 if zero else 0 < value < 1):
            raise ArgumentError(f"{_where(where, value)}: {words}")
        return float(value)

    return OptionType(float, check)


def flag() -> OptionType:
    """True or False."""

    def check(where: str, value: Any) -> bool:
        if not isinstance(value, bool):
            raise ArgumentError(f"{_where(where, value)}: True or False")
        return value

    return OptionType(bool, check)


def one_of(*names: str) -> OptionType:
    """One of some words."""
    words = f"{', '.join(names[:-1])} or {names[-1]}"

    def check(where: str, value: Any) -> str:
        if not isinstance(value, str) or value not in names:
            raise ArgumentError(f"{_where(where, value)}: {words}")
        return value

    return OptionType(str, check)


def file_name() -> OptionType:
    """The name of a file, written or to be written."""

    def check(where: str, value: Any) -> Path:
        if not isinstance(value, str | os.PathLike) or Path(value).is_dir():
            raise ArgumentError(f"{_where(where, value)}: the name of a file")
        return Path(value)

    return OptionType(Path, check)


def option(default: T, help: str, constraint: OptionType, needs: tuple[str, str] | None = None) -> T:
    """A field of a settings class; ``None`` as its default means that it may be left out."""
    return field(default=default, metadata={"help": help, "constraint": constraint, "needs": needs})


class Settings:
    """Base of frozen dataclasses whose fields are written with :func:`option`; values are checked when one is made."""

    name: ClassVar[str]

    def __post_init__(self) -> None:
        for one in options_of(type(self)):
            value = getattr(self, one.name)
            if value is not None or one.default is not None:
                kept = one.constraint.check(f"{type(self).__name__}({one.name}=)", value)
                object.__setattr__(self, one.name, kept)

    def __repr__(self) -> str:
        changed = (f for f in fields(self) if not _same(getattr(self, f.name), f.default))  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in changed)})"


def _same(value: object, default: object) -> bool:
    return value is default or (isinstance(value, int | float | str) and value == default)


def options_of(settings: type[Settings]) -> list[Option]:
    """The options of a settings class, in the order of its fields.

    Example:
        >>> from annosim.learning.solvers.settings import LBFGS
        >>> [one.name for one in options_of(LBFGS)]
        ['tolerance', 'max_iterations']
    """
    found = []
    for f in fields(settings):  # type: ignore[arg-type]
        if "constraint" in f.metadata:
            owner = next(c for c in reversed(settings.__mro__) if f.name in c.__dict__.get("__annotations__", {}))
            found.append(Option(f.name, f.default, owner=owner, **f.metadata))
    return found


def described(settings: S) -> S:
    """Class decorator: the options, with their defaults, become the ``Args`` of the docstring."""
    lines = [f"        {o.name}: {o.help} Default: {o.default!r}." for o in options_of(settings)]
    head, _, example = (settings.__doc__ or "").partition("    Example:\n")
    settings.__doc__ = f"{head.rstrip()}\n\n    Args:\n" + "\n".join(lines) + f"\n\n    Example:\n{example}"
    return settings
