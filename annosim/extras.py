"""Libraries of the optional extras: the one place that says which extra brings what is missing."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from annosim.errors import MissingDependencyError

__all__ = ["library", "needed"]


@contextmanager
def needed(extra: str) -> Iterator[None]:
    """Around imports of libraries of an extra.

    Raises:
        MissingDependencyError: one is not installed; names it and the extra.

    Example:
        >>> with needed("hf"):
        ...     import no_such_trainer
        Traceback (most recent call last):
        annosim.errors.MissingDependencyError: no_such_trainer is not installed; pip install "annosim[hf]"
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # what a library announces of its later versions
            yield
    except ModuleNotFoundError as error:
        missing = (error.name or str(error)).split(".")[0]
        raise MissingDependencyError(f'{missing} is not installed; pip install "annosim[{extra}]"') from None


def library(name: str, extra: str) -> ModuleType:
    """A module of an extra, imported when it is first needed.

    Raises:
        MissingDependencyError: it is not installed; names it and the extra.

    Example:
        >>> library("no_such_sampler", "bayes")
        Traceback (most recent call last):
        annosim.errors.MissingDependencyError: no_such_sampler is not installed; pip install "annosim[bayes]"
    """
    with needed(extra):
        return importlib.import_module(name)
