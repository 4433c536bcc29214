"""Ties as half wins: each annotator with ties becomes several that share its weight."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from annosim.annotators import copy_name
from annosim.data.splitting import per_annotator
from annosim.errors import ArgumentError, DataError, TooLargeError

if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData

__all__ = ["break_ties"]

_MAX_COPIES = 720


def break_ties(data: PreferenceData, how: str = "half") -> PreferenceData:
    """Ties as half wins; see :meth:`PreferenceData.ties`."""
    if how != "half":
        raise ArgumentError(f"ties({how!r}): 'half' is the one way to break ties; a rule with ties keeps them")
    if data.replicates is not None:
        raise DataError("ties: break the ties of one replicate at a time: data[r].ties('half')")
    if not data.has_ties:
        return replace(_plain(data, data.answer), tied=None)
    group, size = _tie_groups(data)
    owner = data.annotator_ids
    count = _copies_of_annotators(data, size)
    repeat = count[owner]
    source = np.repeat(np.arange(data.rows), repeat)
    copy = np.arange(len(source)) - np.repeat(np.cumsum(repeat) - repeat, repeat)
    order = np.lexsort((np.arange(len(source)), copy, owner[source]))  # one copy after the other, rows in sequence
    source, copy = source[order], copy[order]
    out = data.take(source)
    answer = _broken(data, source, copy, group, size)
    first = np.cumsum(count) - count
    weight = data.row_weight[source] / repeat[source]
    owners = np.repeat(np.arange(data.num_annotators), count)
    single = data.annotator is None
    return replace(
        _plain(out, answer),
        tied=None,
        annotator=None if single else (first[owner[source]] + copy).astype(np.int32),
        weight=weight,
        annotator_names=_copy_names(data.annotator_names, owners, count),
        columns={**out.columns, "voter": owner[source], "vote": source},
        truth={name: per_annotator(value, owners, data) for name, value in data.truth.items()},
        settings={**data.settings, "ties": "half"},
    )


def _copies_of_annotators(data: PreferenceData, size: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many copies of each annotator share all its ties equally: the least common multiple over its rows."""
    copies, owner = _copies(data, size), data.annotator_ids
    count = np.ones(data.num_annotators, dtype=np.int64)
    for c in np.unique(copies):  # the few distinct values
        has = np.zeros(data.num_annotators, dtype=bool)
        has[owner[copies == c]] = True
        count[has] = np.lcm(count[has], c)
    if int(count.max()) > _MAX_COPIES:
        raise TooLargeError(
            f"ties('half'): annotator {int(count.argmax())} would need {int(count.max())} copies to share its tied "
            f"groups equally (limit {_MAX_COPIES}); use a rule with ties instead"
        )
    return count


def _copy_names(names: np.ndarray | None, owners: NDArray[np.int64], count: NDArray[np.int64]) -> np.ndarray | None:
    """Names of the copies: old ids stay, as a copy is the same person; a name becomes ``name/1``, ``name/2``, ..."""
    if names is None or names.dtype.kind in "iu":
        return owners if names is None and (count > 1).any() else (None if names is None else names[owners])
    place = np.arange(len(owners)) - np.repeat(np.cumsum(count) - count, count)
    shown = [copy_name(names[o], p + 1) if count[o] > 1 else str(names[o]) for o, p in zip(owners, place, strict=True)]
    return np.asarray(shown, dtype=object)


def _tie_groups(data: PreferenceData) -> tuple[np.ndarray, np.ndarray]:
    """Start of the tied group of each place of the order, and its size: both ``(rows, width)``."""
    rows, width = data.answer.shape
    joined = np.zeros((rows, width), dtype=bool)
    if data.tied is not None:
        joined[:, 1:] = data.tied[:, : width - 1]
    start = np.where(joined, 0, np.arange(width))
    start = np.maximum.accumulate(start, axis=1)
    at = (np.arange(rows)[:, None] * width + start).ravel()
    size = np.bincount(at, minlength=rows * width)[at].reshape(rows, width)
    return start, size


def _copies(data: PreferenceData, size: np.ndarray) -> np.ndarray:
    """How many copies share the ties of each row equally."""
    if data.feedback.kind == "choice":
        return size[:, 0]
    if data.feedback.kind == "ranking":
        return np.where((size > 1).any(1), 2, 1)
    # top: a group that runs over the depth is rotated, so that each member is inside equally often
    over = _overflow(data, size)
    return np.where(over > 0, 2 * np.maximum(over, 1), np.where((size > 1).any(1), 2, 1))


def _overflow(data: PreferenceData, size: np.ndarray) -> np.ndarray:
    """Size of the last tied group where a ``top`` answer runs over its depth, 0 elsewhere."""
    depth = int(data.feedback.depth or size.shape[1])
    if depth >= size.shape[1]:
        return np.zeros(len(size), dtype=np.int64)
    return np.where(data.answer[:, depth] >= 0, size[:, depth], 0)


def _broken(
    data: PreferenceData,
    source: NDArray[np.int64],
    copy: NDArray[np.int64],
    start: NDArray[np.int64],
    size: NDArray[np.int64],
) -> np.ndarray:
    """Answers of the copies: odd copies reverse each tied group, copy // 2 rotates where groups must rotate."""
    answer, first, many = data.answer[source], start[source], size[source]
    place = np.arange(answer.shape[1])[None, :] - first
    turn = copy[:, None]
    if data.feedback.kind == "choice":
        place = (place + turn) % many
    else:
        place = np.where(turn % 2 == 1, many - 1 - place, place)
        rotate = (_overflow(data, size)[source] > 0)[:, None]
        place = np.where(rotate, (place + turn // 2) % many, place)
    out = np.take_along_axis(answer, first + place, 1)
    keep = 1 if data.feedback.kind == "choice" else int(data.feedback.depth or out.shape[1])
    out[:, keep:] = -1
    return out


def _plain(data: PreferenceData, answer: np.ndarray) -> PreferenceData:
    """The narrow encoding of a choice without ties."""
    if data.feedback.kind == "choice" and answer.ndim == data.menu.ndim:
        answer = answer[..., 0]
    return replace(data, answer=answer, tied=None)
