"""Whether two data sets say the same, up to spellings that mean the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch

from annosim.data.validation import ROW_COLUMNS

if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData

__all__ = ["differences", "equal_columns"]

_ITEMS = ("n", "names", "texts", "features", "tokens", "prompts", "clusters", "weights", "columns")
_DATA = ("menu", *ROW_COLUMNS, "annotator_names", "prompt_names", "columns", "covariates")


def differences(a: PreferenceData, b: PreferenceData, truth: bool = False) -> list[str]:
    """Names of what differs, in order; empty when the data are equal.

    ``tied`` without a tie is ``None``, and a choice without ties is the position alone: these spellings mean the same.
    Settings are not compared.
    """
    out = [f"items.{name}" for name in _ITEMS if not equal_columns(getattr(a.items, name), getattr(b.items, name))]
    if a.feedback != b.feedback:
        out.append("feedback")
    lead = tuple(a.menu.shape[:-1])
    for name in _DATA:
        x, y = getattr(a, name), getattr(b, name)
        if name in ROW_COLUMNS and a.replicates is not None and np.ndim(x) and np.ndim(y):
            x, y = np.broadcast_to(x, lead), np.broadcast_to(y, b.menu.shape[:-1])  # shared by all replicates
        if name == "annotator_names":
            x, y = _names(a), _names(b)
        if not equal_columns(x, y):
            out.append(name)
    left, right = _canonical(a), _canonical(b)
    out += [name for name, x, y in zip(("answer", "tied"), left, right, strict=True) if not equal_columns(x, y)]
    if truth and not equal_columns(dict(a.truth), dict(b.truth)):
        out.append("truth")
    return out


def _names(data: PreferenceData) -> np.ndarray | None:
    """Names of the annotators; whole numbers that are the ids themselves say nothing."""
    names = data.annotator_names
    if names is None or names.dtype == object or not np.array_equal(names, np.arange(len(names))):
        return names
    return None


def _canonical(data: PreferenceData) -> tuple[np.ndarray, np.ndarray | None]:
    tied = data.tied if data.has_ties else None
    answer = data.answer
    if data.feedback.kind == "choice" and answer.ndim == data.menu.ndim and tied is None:
        answer = answer[..., 0]
    return answer, tied


def equal_columns(x: object, y: object) -> bool:
    """Whether two columns, or mappings of columns, are equal; NaN is like NaN."""
    if x is None or y is None:
        return x is None and y is None
    if isinstance(x, Mapping) and isinstance(y, Mapping):
        return set(x) == set(y) and all(equal_columns(x[name], y[name]) for name in x)
    left, right = (v.cpu().numpy() if isinstance(v, torch.Tensor) else np.asarray(v) for v in (x, y))
    if left.shape != right.shape:
        return False
    if left.dtype.kind == "f" and right.dtype.kind == "f":
        return bool(np.array_equal(left, right, equal_nan=True))
    return bool((left == right).all())
