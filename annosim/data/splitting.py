"""Parts of the data, and annotators without gaps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from annosim.errors import ArgumentError, DataError, told
from annosim.random import child_seed, uniform53

if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData

__all__ = ["compact", "leave_one_out", "per_annotator", "split"]


def compact(data: PreferenceData) -> PreferenceData:
    """Annotators renumbered 0, 1, ... without gaps; see :meth:`PreferenceData.compact`."""
    if data.annotator is None or data.annotator.ndim != 1:
        return data
    present, codes = np.unique(data.annotator, return_inverse=True)
    tight = all(np.ndim(value) and len(value) == len(present) for value in data.truth.values())
    if len(present) == data.num_annotators and tight:
        return data
    names = data.annotator_names
    return replace(
        data,
        annotator=codes.astype(np.int32),
        annotator_names=present.astype(np.int64) if names is None else names[present],
        truth={name: np.asarray(value)[present] for name, value in data.truth.items() if _covers(value, present)},
    )


def _covers(value: np.ndarray, present: NDArray[np.integer]) -> bool:
    """Hidden truth has one entry per annotator; what is too short for that cannot be renumbered and is dropped."""
    return np.ndim(value) > 0 and len(value) > int(present[-1])


def per_annotator(value: np.ndarray, keep: NDArray[np.integer], data: PreferenceData) -> np.ndarray:
    """Hidden truth of some annotators; what is not one entry per annotator stays as it is."""
    return np.asarray(value)[keep] if np.ndim(value) and len(value) == data.num_annotators else value


def split(
    data: PreferenceData, by: str = "annotator", fraction: float | Sequence[float] = 0.8, seed: int = 0
) -> tuple[PreferenceData, ...]:
    """Parts of the data; see :meth:`PreferenceData.split`."""
    shares = np.atleast_1d(np.asarray(fraction, dtype=np.float64)).tolist()
    shares = [*shares, 1.0 - shares[0]] if np.ndim(fraction) == 0 else shares
    if min(shares) <= 0 or not math.isclose(sum(shares), 1.0, abs_tol=1e-9):
        raise ArgumentError(f"split(fraction={told(fraction)}): a number in (0, 1), or positive shares that sum to one")
    if data.replicates is not None:
        raise DataError("split: one replicate at a time: data[r].split(...)")
    units = _units(data, by)
    present, codes = np.unique(units, return_inverse=True)
    if len(present) < len(shares):
        raise DataError(f"split(by={told(by)}): {len(present)} {by}(s) cannot fill {len(shares)} parts")
    rank = np.argsort(np.argsort(uniform53(child_seed(seed, f"split/{by}"), "analysis", present, 0), kind="stable"))
    edges = np.round(np.cumsum([0.0, *shares]) * len(present)).astype(int)
    edges = _nonempty(edges, len(present))
    part = np.searchsorted(edges, rank, side="right") - 1
    return tuple(compact(_rows(data, part[codes] == p)) for p in range(len(shares)))


def leave_one_out(data: PreferenceData, by: str = "prompt") -> Iterator[tuple[int, PreferenceData, PreferenceData]]:
    """Every unit left out in turn; see :meth:`PreferenceData.leave_one_out`."""
    if data.replicates is not None:
        raise DataError("leave_one_out: one replicate at a time: data[r].leave_one_out(...)")
    units = _units(data, by)
    present = np.unique(units)
    if len(present) < 2:
        raise DataError(f"leave_one_out(by={told(by)}): {len(present)} {by}(s); nothing would be left to learn from")
    return _left_out(data, units, present)


def _left_out(
    data: PreferenceData, units: NDArray[np.int64], present: NDArray[np.int64]
) -> Iterator[tuple[int, PreferenceData, PreferenceData]]:
    for unit in present.tolist():
        yield unit, compact(_rows(data, units != unit)), compact(_rows(data, units == unit))


def _nonempty(edges: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """Edges moved so that every part holds at least one unit."""
    parts = len(edges) - 1
    edges = np.maximum(edges, np.arange(parts + 1))
    return np.minimum(edges, total - np.arange(parts, -1, -1))


def _rows(data: PreferenceData, mask: NDArray[np.bool_]) -> PreferenceData:
    """Some rows; hidden truth of single-row annotators follows its row."""
    out = data.take(mask)
    if data.annotator is None:
        keep = np.flatnonzero(mask)
        out = replace(out, truth={name: per_annotator(value, keep, data) for name, value in data.truth.items()})
    return out


def _units(data: PreferenceData, by: str) -> NDArray[np.int64]:
    if by == "row":
        return np.arange(data.rows)
    if by == "annotator":
        return np.asarray(data.annotator_ids, dtype=np.int64)
    if by == "prompt":
        if data.prompt is not None:
            return np.asarray(data.prompt, dtype=np.int64)
        return data.items.prompts.numpy()[data.menu.max(-1)]
    raise ArgumentError(f"split(by={told(by)}): one of annotator, prompt, row")
