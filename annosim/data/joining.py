"""Several data sets as one: one after the other, or as replicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from annosim.data.preferences import PreferenceData
from annosim.data.same import differences, same
from annosim.errors import ArgumentError, DataError

__all__ = ["concat", "stack"]

_MANIFEST = "shards.json"
_ROWS = ("menu", "answer", "annotator", "prompt", "order", "weight")
#: columns that all replicates may have in common
_SHARED = ("annotator", "prompt", "order", "weight")


def concat(parts: Sequence[PreferenceData], annotators: str = "same") -> PreferenceData:
    """Data one below the other.

    Args:
        parts: data on equal items, of equal feedback kind and menu size, without replicates.
        annotators: ``"same"``: annotator numbers mean the same people in every part; ``"new"``: every part has its own.

    Raises:
        DataError: parts that do not fit; the first that differs is named.

    Example:
        >>> import annosim as an
        >>> one = an.PreferenceData(an.Items(n=2), [[0, 1]], answer=[0], annotator=[0])
        >>> concat([one, one]).num_annotators, concat([one, one], annotators="new").num_annotators
        (1, 2)
    """
    if not len(parts):
        raise ArgumentError("concat: no parts; give at least one")
    if annotators not in ("same", "new"):
        raise ArgumentError(f"concat(annotators={annotators!r}): 'same' (numbers mean the same people) or 'new'")
    first = parts[0]
    for i, part in enumerate(parts):
        _check_fit(first, part, i)
    if annotators == "new":
        parts = _renumbered(parts)
    wide = any(p.answer.ndim == p.menu.ndim for p in parts)
    ties = any(p.tied is not None for p in parts)
    grown = [_grown(p, wide, ties) for p in parts]
    stack = lambda name: _stack([getattr(p, name) for p in grown])  # noqa: E731
    sizes = [p.num_annotators for p in parts]
    truth = {name: _stack([p.truth.get(name) for p in parts]) for name in first.truth} if _own(parts, sizes) else {}
    return replace(
        first,
        **{name: stack(name) for name in (*_ROWS, "tied")},
        annotator_names=_names([p.annotator_names for p in parts], annotators == "new"),
        columns={name: _stack([np.asarray(p.columns[name]) for p in parts]) for name in first.columns},
        truth={name: value for name, value in truth.items() if value is not None},
        settings=first.settings,
    )


def stack(parts: Sequence[PreferenceData]) -> PreferenceData:
    """Data side by side, as replicates: part r becomes replicate r, and ``fit`` takes all of them at once.

    Args:
        parts: R sets of equally many rows on equal items, of equal feedback kind and menu size, without replicates and
            with equal columns.

    Returns:
        Data whose menus are ``(R, rows, k)``; ``stack(parts)[r]`` says what ``parts[r]`` says (less hidden truth).

    Raises:
        DataError: parts that do not fit; the first that differs is named.

    Example:
        >>> import annosim as an
        >>> one, two = (an.PreferenceData(an.Items(n=2), [[0, 1]] * 3, answer=a) for a in ([0, 1, 0], [1, 1, 0]))
        >>> both = stack([one, two])
        >>> both.replicates, both[1].answer.tolist()
        (2, [1, 1, 0])
    """
    if not len(parts):
        raise ArgumentError("stack: no parts; give at least one")
    first = parts[0]
    for i, part in enumerate(parts):
        _check_fit(first, part, i, "stack")
        for what in ("rows", "annotator_names", "columns"):
            one, other = getattr(first, what), getattr(part, what)
            if not same(one, other):
                raise DataError(f"stack: part {i} differs from part 0 in {what}; replicates have them in common")
    wide, ties = any(p.answer.ndim == p.menu.ndim for p in parts), any(p.tied is not None for p in parts)
    grown = [_grown(p, wide, ties) for p in parts]

    def column(name: str) -> Any:
        values = [getattr(p, name) for p in grown]
        alike = name in _SHARED and all(same(values[0], v) for v in values)
        return values[0] if alike or values[0] is None else np.stack([np.asarray(v) for v in values])

    return replace(first, **{name: column(name) for name in (*_ROWS, "tied")}, truth={}, settings=first.settings)


def _stack(values: list[Any]) -> Any:
    return None if any(v is None for v in values) else np.concatenate([np.asarray(v) for v in values])


def _own(parts: Sequence[PreferenceData], sizes: list[int]) -> bool:
    """Whether hidden truth, one entry per annotator, can be put one below the other."""
    lengths = [{len(v) for v in p.truth.values()} for p in parts]
    if any(p.annotator is None for p in parts):
        return all(s <= {n} for s, n in zip(lengths, sizes, strict=True))
    total = max(sizes)
    return all(len(s) <= 1 for s in lengths) and sum(next(iter(s), 0) for s in lengths) == total


def _check_fit(first: PreferenceData, part: PreferenceData, i: int, verb: str = "concat") -> None:
    if part.replicates is not None:
        raise DataError(f"{verb}: part {i} has replicates; {verb} its replicates part[r]")
    wrong = [d for d in differences(first, part) if d.startswith("items.") or d in ("feedback", "prompt_names")]
    if part.menu_size != first.menu_size:
        wrong.append(f"menu_size ({part.menu_size} against {first.menu_size})")
    wrong += [
        f"{name} (present in one only)"
        for name in ("annotator", "prompt", "order", "weight")
        if (getattr(first, name) is None) != (getattr(part, name) is None)
    ]
    if set(first.columns) != set(part.columns):
        wrong.append("columns")
    if wrong:
        raise DataError(f"{verb}: part {i} differs from part 0 in {wrong[0]}")


def _renumbered(parts: Sequence[PreferenceData]) -> list[PreferenceData]:
    out, used = [], 0
    for part in parts:
        out.append(part if part.annotator is None else replace(part, annotator=part.annotator + used))
        used += part.num_annotators
    return out


def _names(names: list[Any], new: bool) -> Any:
    if any(n is None for n in names):
        return None
    return np.concatenate([np.asarray(n, dtype=object) for n in names]) if new else max(names, key=len)


def _grown(data: PreferenceData, wide: bool, ties: bool) -> PreferenceData:
    """The wide encoding, with a column of ties, where another part needs it."""
    answer, tied = data.answer, data.tied
    if wide and answer.ndim < data.menu.ndim:
        answer = np.concatenate(
            [answer[:, None], np.full((data.rows, data.menu_size - 1), -1, dtype=answer.dtype)], axis=1
        )
    if ties and tied is None:
        tied = np.zeros((data.rows, data.menu_size - 1), dtype=bool)
    return replace(data, answer=answer, tied=tied)
