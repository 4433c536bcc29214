"""Several data sets as one: one after the other, or as replicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from annosim.data.equality import differences, equal_columns
from annosim.data.preferences import PreferenceData
from annosim.data.validation import ROW_COLUMNS
from annosim.errors import ArgumentError, DataError, told

__all__ = ["concat", "stack"]

_PER_ROW = ("menu", "answer", "tied", *ROW_COLUMNS)


def concat(parts: Sequence[PreferenceData], annotators: str = "same") -> PreferenceData:
    """Data one below the other.

    Args:
        parts: data on equal items, of equal feedback kind and menu size, without replicates.
        annotators: ``"same"``: annotators of the same name (of the same number, where there are no names) are the same
            people in every part; ``"new"``: every part has its own.

    Raises:
        DataError: parts that do not fit; the first that differs is named.

    Example:
        >>> import annosim as an
        >>> one = an.PreferenceData(an.Items(n=2), [[0, 1]], answer=[0], annotator=[0])
        >>> concat([one, one]).num_annotators, concat([one, one], annotators="new").num_annotators
        (1, 2)
    """
    if not isinstance(parts, Sequence) or not all(isinstance(part, PreferenceData) for part in parts):
        raise ArgumentError("concat(parts=): give a list of an.PreferenceData")
    if not len(parts):
        raise ArgumentError("concat: no parts; give at least one")
    if annotators not in ("same", "new"):
        raise ArgumentError(f"concat(annotators={told(annotators)}): 'same' (numbers mean the same people) or 'new'")
    first = parts[0]
    for i, part in enumerate(parts):
        _check_fit(first, part, i)
    parts = _renumbered(parts) if annotators == "new" else _matched_by_name(parts)
    wide = _same_width(parts)
    truth = {name: _joined([p.truth.get(name) for p in parts]) for name in first.truth} if _own_truth(parts) else {}
    return replace(
        first,
        **{name: _joined([getattr(p, name) for p in wide]) for name in _PER_ROW},  # type: ignore[arg-type]
        annotator_names=_names(parts, annotators == "new"),
        columns={name: np.concatenate([p.columns[name] for p in parts]) for name in first.columns},
        covariates={name: np.concatenate([p.covariates[name] for p in parts]) for name in first.covariates},
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
    parts = _with_common_ids(parts)
    first = parts[0]
    for i, part in enumerate(parts):
        _check_fit(first, part, i, "stack")
        for what in ("rows", "annotator_names", "columns"):
            one, other = getattr(first, what), getattr(part, what)
            if not equal_columns(one, other):
                raise DataError(f"stack: part {i} differs from part 0 in {what}; replicates have them in common")
    wide = _same_width(parts)

    def column(name: str) -> np.ndarray | None:
        values = [getattr(p, name) for p in wide]
        alike = name in ROW_COLUMNS and all(equal_columns(values[0], v) for v in values)
        return values[0] if alike or values[0] is None else np.stack(values)

    covariates = {name: np.stack([p.covariates[name] for p in parts]) for name in first.covariates}
    return replace(first, **{name: column(name) for name in _PER_ROW}, covariates=covariates, truth={})  # type: ignore[arg-type]


def _with_common_ids(parts: Sequence[PreferenceData]) -> Sequence[PreferenceData]:
    """Replicates have one list of names: ids of the larger data sets from which the parts were selected go where they differ."""
    ids = [p.annotator_names is None or p.annotator_names.dtype.kind in "iu" for p in parts]
    if all(ids) and not all(equal_columns(p.annotator_names, parts[0].annotator_names) for p in parts):
        return [replace(p, annotator_names=None) for p in parts]
    return parts


def _joined(values: Sequence[ArrayLike | None]) -> np.ndarray | None:
    found = [np.asarray(v) for v in values if v is not None]
    return np.concatenate(found) if len(found) == len(values) else None


def _own_truth(parts: Sequence[PreferenceData]) -> bool:
    """Whether hidden truth, one entry per annotator, can be put one below the other."""
    sizes = [p.num_annotators for p in parts]
    lengths = [{len(v) for v in p.truth.values()} for p in parts]
    if any(p.annotator is None for p in parts):
        return all(s <= {n} for s, n in zip(lengths, sizes, strict=True))
    return all(len(s) <= 1 for s in lengths) and sum(next(iter(s), 0) for s in lengths) == max(sizes)


def _check_fit(first: PreferenceData, part: PreferenceData, i: int, verb: str = "concat") -> None:
    if part.replicates is not None:
        raise DataError(f"{verb}: part {i} has replicates; {verb} its replicates part[r]")
    wrong = [d for d in differences(first, part) if d.startswith("items.") or d in ("feedback", "prompt_names")]
    if part.menu_size != first.menu_size:
        wrong.append(f"menu_size ({part.menu_size} against {first.menu_size})")
    wrong += [
        f"{name} (present in one only)"
        for name in ROW_COLUMNS
        if (getattr(first, name) is None) != (getattr(part, name) is None)
    ]
    wrong += [name for name in ("columns", "covariates") if set(getattr(first, name)) != set(getattr(part, name))]
    if wrong:
        raise DataError(f"{verb}: part {i} differs from part 0 in {wrong[0]}")


def _renumbered(parts: Sequence[PreferenceData]) -> list[PreferenceData]:
    out, used = [], 0
    for part in parts:
        out.append(part if part.annotator is None else replace(part, annotator=part.annotator + used))
        used += part.num_annotators
    return out


def _names(parts: Sequence[PreferenceData], new: bool) -> np.ndarray | None:
    """Names of all annotators; of the same people the longest list, which begins with the others."""
    if all(part.annotator_names is None for part in parts):
        return None
    if new or parts[0].annotator is None:
        names = [np.arange(p.num_annotators) if p.annotator_names is None else p.annotator_names for p in parts]
        named = any(n.dtype == object for n in names) and not all(n.dtype == object for n in names)
        return None if named else np.concatenate(names)
    known = [p.annotator_names for p in parts if p.annotator_names is not None]
    return max(known, key=len) if len(known) == len(parts) else None


def _matched_by_name(parts: Sequence[PreferenceData]) -> Sequence[PreferenceData]:
    """Parts in which equal numbers are people of equal names; of those without names equal numbers are the same."""
    names = [p.annotator_names for p in parts if p.annotator is not None and p.annotator_names is not None]
    longest = max(names, key=len, default=None)
    if longest is None or len(names) < len(parts) or all(equal_columns(n, longest[: len(n)]) for n in names):
        return parts
    found, codes = np.unique(np.concatenate([n.astype(str) for n in names]), return_index=True, return_inverse=True)[1:]
    order = np.argsort(np.argsort(found))  # numbered in order of first appearance
    edges = np.cumsum([0, *map(len, names)])
    union = np.concatenate(names)[np.sort(found)]
    new = [order[codes[a:b]].astype(np.int32) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    return [
        replace(part, annotator=code[part.annotator], annotator_names=union, truth={})
        for part, code in zip(parts, new, strict=True)
    ]


def _same_width(parts: Sequence[PreferenceData]) -> list[PreferenceData]:
    """The parts in the wide encoding, with a column of ties, where one of them needs it."""
    wide = any(p.answer.ndim == p.menu.ndim for p in parts)
    ties = any(p.tied is not None for p in parts)
    return [_grown(p, wide, ties) for p in parts]


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
