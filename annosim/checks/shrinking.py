"""Small counterexamples: rows are dropped while the failure persists, and what is left prints as code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from annosim.data.preferences import PreferenceData
from annosim.errors import AnnosimError
from annosim.feedback import Feedback
from annosim.items import Items

__all__ = ["as_code", "items_as_code", "shrink", "smallest"]

#: Rows beyond which printed data are cut, with a note.
MOST = 60


def shrink(data: PreferenceData, fails: Callable[[PreferenceData], bool], budget: int = 200) -> str:
    """The rows that :func:`smallest` leaves, as code with their number."""
    small = smallest(data, fails, budget)
    return f"{small.rows} rows show it: {as_code(small)}"


def smallest(data: PreferenceData, fails: Callable[[PreferenceData], bool], budget: int = 200) -> PreferenceData:
    """Drop blocks of rows, halving their size, while ``fails`` stays true (Zeller's ddmin).

    Estimators may refuse or crash on a part of the data; such a part is not a smaller counterexample.
    """
    keep = np.arange(data.rows)
    size, calls = len(keep) // 2, 0
    while size >= 1 and calls < budget:
        start = 0
        while start < len(keep) and len(keep) > 1 and calls < budget:
            trial = np.delete(keep, slice(start, start + size))
            calls += 1
            if len(trial) and _still(_part(data, trial), fails):
                keep = trial
            else:
                start += size
        size //= 2
    return _part(data, keep)


def _part(data: PreferenceData, rows: np.ndarray) -> PreferenceData:
    """Some rows; without annotator ids they are rows again, not rows that remember where they came from."""
    part = data.take(rows)
    return part if data.annotator is not None else part.with_(annotator_names=None)


def _still(data: PreferenceData, fails: Callable[[PreferenceData], bool]) -> bool:
    try:
        return bool(fails(data))
    except (AnnosimError, ArithmeticError, ValueError, LookupError, TypeError, RuntimeError):
        return False


def items_as_code(items: Items) -> str:
    """A constructor call of an item set: features, and names and prompts where they are not the usual ones.

    Example:
        >>> items_as_code(Items(features=[[0.5], [1.0]], names=["tea", "milk"]))
        "Items(features=[[0.5], [1.0]], names=['tea', 'milk'])"
    """
    parts = [] if items.features is None else [f"features={items.features.tolist()}"]
    if tuple(items.names) != tuple(map(str, range(items.n))):
        parts.append(f"names={list(items.names)}")
    if bool((items.prompts != 0).any()):
        parts.append(f"prompts={items.prompts.tolist()}")
    return f"Items({', '.join(parts or [f'n={items.n}'])})"


def as_code(data: PreferenceData, most: int = MOST) -> str:
    """A constructor call that can be pasted into a test; long data are cut and say so.

    Example:
        >>> from annosim import Items, PreferenceData
        >>> as_code(PreferenceData(Items(n=2), [[0, 1]], [1]))
        "PreferenceData(Items(n=2), menu=[[0, 1]], answer=[1], feedback='choice')"
    """
    cut = data if data.rows <= most else data.take(np.arange(most))
    parts = [items_as_code(data.items), f"menu={cut.menu.tolist()}", f"answer={cut.answer.tolist()}"]
    parts.append(f"feedback={_feedback(data.feedback)}")
    for name in ("tied", "annotator", "prompt", "order", "weight"):
        value: Any = getattr(cut, name)
        if value is not None:
            parts.append(f"{name}={np.asarray(value).tolist()}")
    for name in ("annotator_names", "prompt_names"):
        value = getattr(cut, name)
        if value is not None:
            parts.append(f"{name}={np.asarray(value).tolist()}")
    if cut.columns:
        parts.append(f"columns={ {k: np.asarray(v).tolist() for k, v in cut.columns.items()} }")
    more = "" if data.rows <= most else f"  # the first {most} of {data.rows} rows"
    return f"PreferenceData({', '.join(parts)}){more}"


def _feedback(feedback: Feedback) -> str:
    """The kind in quotes where it says everything, else the constructor."""
    if feedback.depth is None and feedback.grades is None:
        return repr(feedback.kind)
    return f"Feedback({feedback.kind!r}, depth={feedback.depth}, grades={feedback.grades})"
