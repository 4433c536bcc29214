"""The libraries of the extra ``hf``, imported when they are first needed."""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType
from typing import TypeVar

from annosim.errors import MissingDependencyError

__all__ = ["library", "with_parent"]

T = TypeVar("T")


def library(name: str) -> ModuleType:
    """A module of the extra.

    Raises:
        MissingDependencyError: names the extra.

    Example:
        >>> library("no_such_trainer")
        Traceback (most recent call last):
        annosim.errors.MissingDependencyError: no_such_trainer is not installed; pip install "annosim[hf]"
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or name).split(".")[0]
        raise MissingDependencyError(f'{missing} is not installed; pip install "annosim[hf]"') from None


@cache
def with_parent(kind: type[T], name: str) -> type[T]:
    """A class together with a class of ``trl``, which stands behind it: methods that the first lacks are the second's.

    A class that named its parent would import TRL with annosim.

    Raises:
        MissingDependencyError: names the extra.
    """
    parent = getattr(library("trl"), name)
    return kind if issubclass(kind, parent) else type(kind.__name__, (kind, parent), {"__module__": kind.__module__})
