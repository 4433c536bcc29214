"""Small counterexamples: rows are dropped while the failure persists, and what is left prints as code."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from annosim.data.preferences import PreferenceData
from annosim.errors import AnnosimError

__all__ = ["as_code", "shrink"]


def shrink(data: PreferenceData, fails: Callable[[PreferenceData], bool], budget: int = 200) -> str:
    """Drop blocks of rows, halving their size, while ``fails`` stays true; the survivor as code (Zeller's ddmin).

    Estimators may refuse or crash on a part of the data; such a part is not a smaller counterexample.
    """
    keep = np.arange(data.rows)
    size, calls = len(keep) // 2, 0
    while size >= 1 and calls < budget:
        start = 0
        while start < len(keep) and len(keep) > 1 and calls < budget:
            trial = np.delete(keep, slice(start, start + size))
            calls += 1
            if len(trial) and _still(data.take(trial), fails):
                keep = trial
            else:
                start += size
        size //= 2
    return f"{len(keep)} rows show it: {as_code(data.take(keep))}"


def _still(data: PreferenceData, fails: Callable[[PreferenceData], bool]) -> bool:
    try:
        return bool(fails(data))
    except (AnnosimError, ArithmeticError, ValueError, LookupError, TypeError, RuntimeError):
        return False


def as_code(data: PreferenceData, most: int = 12) -> str:
    """A constructor call that can be pasted into a test; long data are cut and say so.

    Example:
        >>> from annosim import Items, PreferenceData
        >>> as_code(PreferenceData(Items(n=2), [[0, 1]], [1]))
        "PreferenceData(Items(n=2), menu=[[0, 1]], answer=[1], feedback='choice')"
    """
    cut = data if data.rows <= most else data.take(np.arange(most))
    parts = [f"Items(n={data.items.n})", f"menu={cut.menu.tolist()}", f"answer={cut.answer.tolist()}"]
    parts.append(f"feedback={data.feedback.kind!r}")
    if cut.tied is not None:
        parts.append(f"tied={cut.tied.tolist()}")
    if data.annotator is not None:
        parts.append(f"annotator={cut.annotator.tolist()}")
    more = "" if data.rows <= most else f"  # the first {most} of {data.rows} rows"
    return f"PreferenceData({', '.join(parts)}){more}"
