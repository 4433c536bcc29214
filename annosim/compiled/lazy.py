"""Modules of compiled kernels, imported when the first of their kernels is called.

numba takes half a second to import, and a second to load its first kernel; small data need neither.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["LazyModule"]


class LazyModule:
    """A module by name, imported when something of it is first asked for.

    Args:
        name: full name of the module.

    Example:
        >>> LazyModule("math").sqrt(4.0)
        2.0
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # asked for by copies and by tools
            raise AttributeError(attribute)
        value = getattr(import_module(self._name), attribute)
        setattr(self, attribute, value)
        return value
