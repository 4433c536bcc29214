"""The libraries of the extra ``bayes``, imported when they are first needed."""

from __future__ import annotations

import importlib
import warnings
from types import ModuleType

from annosim.errors import MissingDependencyError

__all__ = ["library"]


def library(name: str) -> ModuleType:
    """A module of the extra.

    Raises:
        MissingDependencyError: names the extra.

    Example:
        >>> library("no_such_sampler")
        Traceback (most recent call last):
        annosim.errors.MissingDependencyError: no_such_sampler is not installed; pip install "annosim[bayes]"
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", FutureWarning
            )  # arviz 0.23 announces arviz 1.0, of which nothing is used here
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or name).split(".")[0]
        raise MissingDependencyError(f'{missing} is not installed; pip install "annosim[bayes]"') from None
