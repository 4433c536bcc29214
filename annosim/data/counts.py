"""Sufficient statistics: equal blocks of answers become one annotator with their total weight, and back again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from annosim.errors import ArgumentError, DataError, TooLargeError, told

if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData

__all__ = ["block_classes", "collapse", "combine", "distinct_rows", "expand"]

_LIMIT = 1 << 62
_MAX_ROWS = 100_000_000


def collapse(
    data: PreferenceData, by: str = "annotator", ordered: bool = False, columns: Sequence[str] = ()
) -> PreferenceData:
    """Collapse equal blocks; see :meth:`PreferenceData.counts`."""
    if by not in ("annotator", "row"):
        raise ArgumentError(f"counts(by={told(by)}): 'annotator' (whole blocks) or 'row' (blocks do not matter)")
    if data.replicates is not None:
        raise DataError("counts: one replicate at a time: data[r].counts()")
    missing = [name for name in columns if name not in data.columns]
    if missing:
        raise ArgumentError(f"counts(columns=): no column {missing[0]!r}; there are {sorted(data.columns) or 'none'}")
    if by == "row" or data.annotator is None:
        first, number = distinct_rows(data, columns)
        weight = np.bincount(number, weights=data.row_weight, minlength=len(first))
        return _collapsed(data.take(first), None, None, weight, columns)
    return _blocks(data, _row_codes(data, columns), ordered, columns)


def distinct_rows(data: PreferenceData, columns: Sequence[str] = ()) -> tuple[np.ndarray, np.ndarray]:
    """First row of each distinct one ``(D,)``, in order of appearance, and which of them each row is ``(rows,)``.

    Example:
        >>> import annosim as an
        >>> first, which = distinct_rows(an.PreferenceData(an.Items(n=2), [[0, 1]] * 3, answer=[1, 0, 1]))
        >>> first.tolist(), which.tolist()
        ([0, 1], [0, 1, 0])
    """
    code = _row_codes(data, columns)
    first = np.empty(int(code.max()) + 1, dtype=np.int64)
    first[code[::-1]] = np.arange(data.rows)[::-1]
    order = np.argsort(first, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return first[order], place[code]


def expand(data: PreferenceData) -> PreferenceData:
    """The inverse of :func:`collapse`: an annotator of weight w becomes w annotators with the same answers.

    Annotators of weight zero are left out; names and hidden truth do not survive.

    Raises:
        DataError: a weight is not a whole number, or all are zero.
        ArgumentError: the data have replicates.

    Example:
        >>> import annosim as an
        >>> ballots = an.PreferenceData(an.Items(n=2), [[0, 1]] * 2, answer=[0, 1], weight=[3., 1.])
        >>> expand(ballots).answer.tolist()
        [0, 0, 0, 1]
    """
    if data.replicates is not None:
        raise ArgumentError("expand: the data have replicates; take one of them, data[r]")
    times = data.row_weight
    broken = np.flatnonzero(times != np.round(times))
    if len(broken):
        row = int(broken[0])
        raise DataError(
            f"weight[{row}] = {times[row]:g}: not a whole number, so it counts no annotators; give whole ones"
        )
    if not times.any():
        raise DataError("weight: all are zero, so nobody answered")
    if times.sum() > _MAX_ROWS:
        raise TooLargeError(f"weight: {times.sum():.3g} annotators to write out (limit {_MAX_ROWS}); keep the weights")
    whole = times.astype(np.int64)
    copy = np.arange(int(whole.sum())) - np.repeat(np.cumsum(whole) - whole, whole)
    out = data.take(np.repeat(np.arange(data.rows), whole))
    if data.annotator is None:
        return replace(out, weight=None, annotator_names=None, truth={})
    _, annotator = np.unique(np.stack([out.annotator_ids, copy]), axis=1, return_inverse=True)
    return replace(out, annotator=annotator.reshape(-1).astype(np.int32), weight=None, annotator_names=None, truth={})


def _blocks(data: PreferenceData, code: np.ndarray, ordered: bool, columns: Sequence[str]) -> PreferenceData:
    owner = np.asarray(data.annotator)
    place = np.asarray(data.sequence)
    by = np.lexsort((place, owner) if ordered else (code, owner))
    sorted_owner, sorted_code = owner[by], code[by]
    start = np.r_[0, np.flatnonzero(np.diff(sorted_owner)) + 1]
    length = np.diff(np.r_[start, len(owner)])
    class_of = block_classes(sorted_code, start, length)
    _, first, group = np.unique(class_of, return_index=True, return_inverse=True)
    weight_of = data.annotator_weight[sorted_owner[start]]
    order = np.argsort(first)  # classes in order of their first annotator
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.arange(len(order))
    weight = np.bincount(number[group], weights=weight_of, minlength=len(order))
    keep = first[order]
    size = length[keep]
    offset = np.arange(int(size.sum())) - np.repeat(np.cumsum(size) - size, size)
    rows = by[np.repeat(start[keep], size) + offset]
    annotator = np.repeat(np.arange(len(keep)), size).astype(np.int32)
    return _collapsed(data.take(rows), annotator, offset if ordered else None, weight[annotator], columns)


def _collapsed(
    out: PreferenceData,
    annotator: np.ndarray | None,
    order: np.ndarray | None,
    weight: np.ndarray,
    columns: Sequence[str],
) -> PreferenceData:
    return replace(
        out,
        annotator=annotator,
        order=None if order is None else order.astype(np.int32),
        weight=weight,
        annotator_names=None,
        columns={name: out.columns[name] for name in columns},
        truth={},
        settings={**out.settings, "counts": True},
    )


def block_classes(code: np.ndarray, start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """A class number for each block: equal exactly where length and contents are equal."""
    class_of = np.empty(len(start), dtype=np.int64)
    used = 0
    by_length = np.argsort(length, kind="stable")
    edges = np.r_[0, np.flatnonzero(np.diff(length[by_length])) + 1, len(start)]
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        blocks = by_length[low:high]
        size = int(length[blocks[0]])
        body = code[start[blocks][:, None] + np.arange(size)]
        if len(blocks) == 1:
            inverse = np.zeros(1, dtype=np.int64)
        elif size <= 16:
            inverse = combine(body.T)
        else:
            raw = np.ascontiguousarray(body).view(np.dtype((np.void, body.dtype.itemsize * size))).ravel()
            inverse = np.unique(raw, return_inverse=True)[1]
        class_of[blocks] = used + inverse
        used += int(inverse.max()) + 1
    return class_of


def _row_codes(data: PreferenceData, columns: Sequence[str]) -> np.ndarray:
    """A number per distinct row (menu, answer, ties, prompt, named columns, covariates), in the order of these values."""
    fields: list[np.ndarray] = [*data.menu.T]
    answer = data.answer[:, None] if data.answer.ndim == 1 else data.answer
    fields += [*answer.T]
    if data.tied is not None:
        fields += [*data.tied.T]
    if data.prompt is not None:
        fields.append(data.prompt)
    for value in (*(np.asarray(data.columns[name]) for name in columns), *data.covariates.values()):
        fields += [np.unique(part, return_inverse=True)[1] for part in value.reshape(len(value), -1).T]
    return combine(fields)


def combine(fields: Iterable[np.ndarray]) -> np.ndarray:
    """One int64 per row that is equal exactly where all fields are equal: ranks of the rows, from 0 without gaps.

    Mixed radix; whenever the product of the ranges would overflow the numbers are compressed, so that nothing rests
    on a hash.
    """
    code: np.ndarray | None = None
    size = 1
    for field in fields:
        field = np.asarray(field)
        low = int(field.min())
        span = int(field.max()) - low + 1
        if span == 1 and code is not None:
            continue
        if code is None:
            code, size = _digits(field, low, span), span
            continue
        if size * span >= _LIMIT:
            code, size = _dense(code, size)
        code = code.astype(np.int32 if size * span < 1 << 31 else np.int64, copy=False)
        code *= span
        code += _digits(field, low, span)
        size *= span
    if code is None:
        raise DataError("counts: rows without fields")
    return _dense(code, size)[0]


def _digits(field: np.ndarray, low: int, span: int) -> np.ndarray:
    """``field - low`` in a new array, of four bytes a number where that is exact."""
    narrow = span < 1 << 31 and np.can_cast(field.dtype, np.int32, "safe")
    digits = field.astype(np.int32 if narrow else np.int64)
    np.subtract(digits, low, out=digits)
    return digits.astype(np.int32 if span < 1 << 31 else np.int64, copy=False)


def _dense(code: np.ndarray, size: int) -> tuple[np.ndarray, int]:
    if size <= min(max(1 << 20, 8 * len(code)), 1 << 30):  # a table is faster than a sort
        seen = np.zeros(size, dtype=bool)
        seen[code] = True
        number = np.cumsum(seen, dtype=np.int32)
        return number[code].astype(np.int64) - 1, int(number[-1])
    distinct, inverse = np.unique(code, return_inverse=True)
    return inverse, len(distinct)
