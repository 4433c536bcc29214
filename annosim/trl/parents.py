"""Classes of TRL behind classes of annosim, found when the first object is made."""

from __future__ import annotations

from functools import cache
from typing import TypeVar

from annosim.extras import library

__all__ = ["with_parent"]

T = TypeVar("T")


@cache
def with_parent(kind: type[T], name: str) -> type[T]:
    """A class together with a class of ``trl``, which stands behind it: methods that the first lacks are the second's.

    A class that named its parent would import TRL with annosim.

    Raises:
        MissingDependencyError: names the extra.
    """
    parent = getattr(library("trl", "hf"), name)
    return kind if issubclass(kind, parent) else type(kind.__name__, (kind, parent), {"__module__": kind.__module__})
