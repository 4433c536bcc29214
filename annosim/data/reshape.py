"""Ties as half wins, splits, and renumbering: data from data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from annosim.errors import ArgumentError, DataError, TooLargeError
from annosim.random import child_seed, uniform53

if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData

__all__ = ["break_ties", "compact", "split"]

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
    copies = _copies(data, size)
    owner = data.annotator_ids
    count = np.ones(data.num_annotators, dtype=np.int64)
    np.maximum.at(count, owner, 1)
    for c in np.unique(copies):  # the least common multiple within an annotator, over the few distinct values
        has = np.zeros(data.num_annotators, dtype=bool)
        has[owner[copies == c]] = True
        count[has] = np.lcm(count[has], c)
    if int(count.max()) > _MAX_COPIES:
        raise TooLargeError(
            f"ties('half'): annotator {int(count.argmax())} would need {int(count.max())} copies to share its tied "
            f"groups equally (limit {_MAX_COPIES}); use a rule with ties instead"
        )
    repeat = count[owner]
    source = np.repeat(np.arange(data.rows), repeat)
    copy = np.arange(len(source)) - np.repeat(np.cumsum(repeat) - repeat, repeat)
    order = np.lexsort((np.arange(len(source)), copy, owner[source]))  # one copy after the other, rows in sequence
    source, copy = source[order], copy[order]
    out = data.take(source)
    answer = _broken(data, source, copy, group, size)
    first = np.cumsum(count) - count
    weight = data.row_weight[source] / repeat[source]
    names = data.annotator_names
    owners = np.repeat(np.arange(data.num_annotators), count)
    truth = {name: _per_annotator(value, owners, data) for name, value in data.truth.items()}
    single = data.annotator is None
    return replace(
        _plain(out, answer),
        tied=None,
        annotator=None if single else (first[owner[source]] + copy).astype(np.int32),
        weight=weight,
        annotator_names=None if names is None else _copy_names(names, owners, count),
        columns={**out.columns, "voter": owner[source], "vote": source},
        truth=truth,
        settings={**data.settings, "ties": "half"},
    )


def _copy_names(names: Any, owners: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Names of the shares of each annotator: the name itself when there is one, else ``name/1``, ``name/2``, ..."""
    place = np.arange(len(owners)) - np.repeat(np.cumsum(count) - count, count)
    shown = [f"{names[o]}/{p + 1}" if count[o] > 1 else str(names[o]) for o, p in zip(owners, place, strict=True)]
    return np.asarray(shown, dtype=object)


def _tie_groups(data: PreferenceData) -> tuple[np.ndarray, np.ndarray]:
    """Start of the tied group of each place of the order, and its size: both ``(rows, width)``."""
    rows, width = data.answer.shape
    joined = np.zeros((rows, width), dtype=bool)
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


def _broken(data: PreferenceData, source: np.ndarray, copy: np.ndarray, start: np.ndarray, size: np.ndarray):
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


def _plain(data: PreferenceData, answer: Any) -> PreferenceData:
    """The narrow encoding of a choice without ties."""
    if data.feedback.kind == "choice" and answer.ndim == data.menu.ndim:
        answer = answer[..., 0]
    return replace(data, answer=answer, tied=None)


def compact(data: PreferenceData) -> PreferenceData:
    """Annotators renumbered 0, 1, ... without gaps; see :meth:`PreferenceData.compact`."""
    if data.annotator is None or data.annotator.ndim != 1:
        return data
    present, codes = np.unique(data.annotator, return_inverse=True)
    tight = all(np.ndim(value) and len(value) == len(present) for value in data.truth.values())
    if len(present) == data.num_annotators and tight:
        return data
    names = present.astype(str) if data.annotator_names is None else data.annotator_names
    return replace(
        data,
        annotator=codes.astype(np.int32),
        annotator_names=np.asarray(names, dtype=object)[present] if data.annotator_names is not None else names,
        truth={name: np.asarray(value)[present] for name, value in data.truth.items() if _covers(value, present)},
    )


def _covers(value: Any, present: np.ndarray) -> bool:
    """Hidden truth has one entry per annotator; what is too short for that cannot be renumbered and is dropped."""
    return np.ndim(value) > 0 and len(value) > int(present[-1])


def _per_annotator(value: Any, keep: np.ndarray, data: PreferenceData) -> Any:
    """Hidden truth of some annotators; what is not one entry per annotator stays as it is."""
    try:
        size = len(value)
    except TypeError:
        return value
    return np.asarray(value)[keep] if size == data.num_annotators else value


def split(
    data: PreferenceData, by: str = "annotator", fraction: float | Sequence[float] = 0.8, seed: int = 0
) -> tuple[PreferenceData, ...]:
    """Parts of the data; see :meth:`PreferenceData.split`."""
    shares = np.atleast_1d(np.asarray(fraction, dtype=np.float64)).tolist()
    shares = [*shares, 1.0 - shares[0]] if np.ndim(fraction) == 0 else shares
    if min(shares) <= 0 or not math.isclose(sum(shares), 1.0, abs_tol=1e-9):
        raise ArgumentError(f"split(fraction={fraction!r}): a number in (0, 1), or positive shares that sum to one")
    if data.replicates is not None:
        raise DataError("split: one replicate at a time: data[r].split(...)")
    units = _units(data, by)
    present, codes = np.unique(units, return_inverse=True)
    if len(present) < len(shares):
        raise DataError(f"split(by={by!r}): {len(present)} {by}(s) cannot fill {len(shares)} parts")
    rank = np.argsort(np.argsort(uniform53(child_seed(seed, f"split/{by}"), "analysis", present, 0), kind="stable"))
    edges = np.round(np.cumsum([0.0, *shares]) * len(present)).astype(int)
    edges = _nonempty(edges, len(present))
    part = np.searchsorted(edges, rank, side="right") - 1
    return tuple(compact(_rows(data, part[codes] == p)) for p in range(len(shares)))


def _nonempty(edges: np.ndarray, total: int) -> np.ndarray:
    """Edges moved so that every part holds at least one unit."""
    parts = len(edges) - 1
    edges = np.maximum(edges, np.arange(parts + 1))
    return np.minimum(edges, total - np.arange(parts, -1, -1))


def _rows(data: PreferenceData, mask: np.ndarray) -> PreferenceData:
    """Some rows; hidden truth of single-row annotators follows its row."""
    out = data.take(mask)
    if data.annotator is None:
        keep = np.flatnonzero(mask)
        out = replace(out, truth={name: _per_annotator(v, keep, data) for name, v in data.truth.items()})
    return out


def _units(data: PreferenceData, by: str) -> np.ndarray:
    if by == "row":
        return np.arange(data.rows)
    if by == "annotator":
        return np.asarray(data.annotator_ids, dtype=np.int64)
    if by == "prompt":
        if data.prompt is not None:
            return np.asarray(data.prompt, dtype=np.int64)
        return data.items.prompts.numpy()[data.menu.max(-1)]
    raise ArgumentError(f"split(by={by!r}): one of annotator, prompt, row")
