"""The one place that decides which path draws: compiled where there is a kernel, the reference everywhere else."""

from __future__ import annotations

import warnings
from functools import cache
from types import ModuleType
from typing import Any, get_args

from annosim.designs.design import Design
from annosim.errors import ArgumentError
from annosim.populations.base import Population
from annosim.simulation.paths import Path, PathName

__all__ = ["choose"]


def choose(population: Population, design: Design, seed: int, wanted: PathName = "auto") -> Path:
    """The path for this population and design.

    Args:
        population, design: what is drawn.
        seed: 0 .. 2**64 - 1.
        wanted: ``"auto"``, ``"reference"``, or ``"numba"``, which raises where there is no compiled kernel.

    Raises:
        ArgumentError: an unknown path, or ``"numba"`` is wanted and there is no kernel; the message says why.
    """
    if wanted not in get_args(PathName):
        raise ArgumentError(f"path={wanted!r}: one of {', '.join(get_args(PathName))}")
    if wanted == "reference":
        return Path(reasons={"all": "asked for"})
    compiled = _compiled()
    if compiled is None:
        if wanted == "numba":
            raise ArgumentError('path="numba": numba cannot be imported; install it, or leave path="auto"')
        return Path(reasons={"all": "numba cannot be imported"})
    parts: dict[str, Any] = {"row_types": compiled.row_types, "number_rows": compiled.number_rows}
    reasons: dict[str, str] = {}
    builders = {
        "menus": lambda: compiled.menu_sampler(design, seed) if design.questions != "all" else None,
        "types": lambda: compiled.type_sampler(population, seed),
        "answers": lambda: compiled.answer_sampler(population, design, seed),
    }
    for part, build in builders.items():
        try:
            parts[part] = build()
        except compiled.UnsupportedByKernel as reason:
            reasons[part] = str(reason)
    if wanted == "numba" and "answers" in reasons:
        raise ArgumentError(f'path="numba": {reasons["answers"]}; leave path="auto" for the reference path')
    return Path(**parts, reasons=reasons)


@cache
def _compiled() -> ModuleType | None:
    """The compiled samplers, or ``None`` with one warning when numba cannot be imported."""
    try:
        from annosim.simulation.kernels import samplers as compiled
    except ImportError as error:
        warnings.warn(
            f"numba cannot be imported ({error}); simulation takes the reference path, which is some 20 times slower",
            RuntimeWarning,
            stacklevel=4,
        )
        return None
    return compiled
