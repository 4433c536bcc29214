"""Whether two data sets say the same, up to spellings that mean the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData

__all__ = ["differences", "same"]

_ITEMS = ("n", "names", "texts", "features", "tokens", "prompts", "clusters", "weights", "columns")
_DATA = ("menu", "annotator", "prompt", "order", "weight", "annotator_names", "prompt_names", "columns")

_SHARED = ("annotator", "prompt", "order", "weight")


def _shape(value: Any) -> Any:
    return None if value is None else value.shape


def differences(a: PreferenceData, b: PreferenceData, truth: bool = False) -> list[str]:
    """Names of what differs, in order; empty when the data are equal.

    ``tied`` without a tie is ``None``, and a choice without ties is the position alone: these spellings mean the same.
    Settings are not compared.
    """
    out = [f"items.{name}" for name in _ITEMS if not same(getattr(a.items, name), getattr(b.items, name))]
    if a.feedback != b.feedback:
        out.append("feedback")
    lead = tuple(a.menu.shape[:-1])
    for name in _DATA:
        x, y = getattr(a, name), getattr(b, name)
        if name in _SHARED and a.replicates is not None and None not in (_shape(x), _shape(y)):
            x, y = np.broadcast_to(x, lead), np.broadcast_to(y, tuple(b.menu.shape[:-1]))  # shared by all replicates
        if not same(x, y):
            out.append(name)
    left, right = _canonical(a), _canonical(b)
    out += [name for name, x, y in zip(("answer", "tied"), left, right, strict=True) if not same(x, y)]
    if truth and not same(dict(a.truth), dict(b.truth)):
        out.append("truth")
    return out


def _canonical(data: PreferenceData) -> tuple[Any, Any]:
    tied = data.tied if data.has_ties else None
    answer = data.answer
    if data.feedback.kind == "choice" and answer.ndim == data.menu.ndim and tied is None:
        answer = answer[..., 0]
    return answer, tied


def same(x: Any, y: Any) -> bool:
    """Whether two columns, or dicts of columns, are equal; NaN is like NaN."""
    if x is None or y is None:
        return x is None and y is None
    if isinstance(x, dict) or hasattr(x, "keys"):
        return set(x) == set(y) and all(same(x[name], y[name]) for name in x)
    x, y = (v.cpu().numpy() if isinstance(v, torch.Tensor) else np.asarray(v) for v in (x, y))
    if x.shape != y.shape:
        return False
    if x.dtype.kind == "f" and y.dtype.kind == "f":
        return bool(np.array_equal(x, y, equal_nan=True))
    return bool((x == y).all())
