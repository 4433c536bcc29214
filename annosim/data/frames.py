"""Pandas frames: wide (one row per answer) and long (one row per answer and alternative shown)."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from annosim.errors import ArgumentError, DataError
from annosim.feedback import Feedback
from annosim.items import Items

if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData

__all__ = ["from_frame", "to_frame"]

_SHARED = ("replicate", "annotator", "prompt", "order", "weight")
_KEY = "annosim"


def to_frame(data: PreferenceData, layout: str = "wide") -> pd.DataFrame:
    """The data as a frame; see :meth:`PreferenceData.to_frame`."""
    if layout not in ("wide", "long"):
        raise ArgumentError(f"to_frame({layout!r}): 'wide' (a row per answer) or 'long' (a row per alternative shown)")
    return _wide(data) if layout == "wide" else _long(data)


def from_frame(
    frame: pd.DataFrame, items: Items | None = None, feedback: Any = None, menu_size: int | None = None
) -> PreferenceData:
    """Data from a frame of either layout; see :meth:`PreferenceData.from_frame`."""
    if not isinstance(frame, pd.DataFrame):
        raise ArgumentError(f"from_frame: a pandas DataFrame, not {type(frame).__name__}")
    if not len(frame):
        raise DataError("from_frame: the frame has no rows; check the filter that was applied")
    frame = frame.reset_index(drop=True)
    if "item_0" in frame:
        return _from_wide(frame, items, feedback)
    if {"item", "position", "answer"} <= set(frame.columns):
        return _from_long(frame, items, feedback, menu_size)
    raise DataError(
        f"from_frame: columns {list(map(str, frame.columns))[:12]}: neither wide (item_0, item_1, ..., answer) "
        "nor long (row, position, item, answer)"
    )


# ---- wide ----------------------------------------------------------------------------------------------------------


def _wide(data: PreferenceData) -> pd.DataFrame:
    lead = data.menu.shape[:-1]
    out = _shared(data)
    flat = data.menu.reshape(-1, data.menu_size)
    for j in range(data.menu_size):
        out[f"item_{j}"] = pd.Categorical.from_codes(flat[:, j], _categories(data.items.names))
    if data.answer.ndim == data.menu.ndim - 1:
        out["answer"] = data.answer.reshape(-1)
    else:
        answer = data.answer.reshape(-1, data.answer.shape[-1])
        out |= {f"answer_{j}": answer[:, j] for j in range(answer.shape[1])}
    if data.tied is not None:
        tied = data.tied.reshape(-1, data.tied.shape[-1])
        out |= {f"tied_{j}": tied[:, j] for j in range(tied.shape[1])}
    return _finish(data, out, {}, int(np.prod(lead[:-1], dtype=int)))


def _from_wide(frame: pd.DataFrame, items: Items | None, feedback: Any) -> PreferenceData:
    meta = frame.attrs.get(_KEY, {})
    shown = _numbered(frame, "item")
    items, menu = _item_codes([frame[c] for c in shown], items)
    answers, ties = _numbered(frame, "answer"), _numbered(frame, "tied")
    if "answer" in frame:
        answer = _whole(frame["answer"], "answer")
    elif answers:
        answer = np.stack([_whole(frame[c], c) for c in answers], 1)
    else:
        raise DataError("from_frame: a wide frame needs a column answer, or answer_0, answer_1, ...")
    tied = np.stack([frame[c].to_numpy(dtype=bool) for c in ties], 1) if ties else None
    if "tied" in meta.get("empty", ()) and tied is None:
        tied = np.zeros((len(frame), 0), dtype=bool)
    used = {*_SHARED, *shown, *answers, *ties, "answer"}
    columns = {str(c): _values(frame[c]) for c in frame.columns if c not in used}
    return _build(frame, meta, items, menu.T, answer, tied, feedback, columns)


# ---- long ----------------------------------------------------------------------------------------------------------


def _long(data: PreferenceData) -> pd.DataFrame:
    k = data.menu_size
    menu = data.menu.reshape(-1, k)
    total, replicates = len(menu), max(int(np.prod(data.menu.shape[:-2], dtype=int)), 1)
    row, position = np.nonzero(menu >= 0)
    lost = np.setdiff1d(np.arange(total), row)
    if len(lost):
        raise DataError(f"to_frame('long'): row {lost[0]} has an empty menu, which this layout cannot hold; use 'wide'")
    said, skip = _alternative_answers(data, total)
    shared = _shared(data)
    out: dict[str, Any] = {"row": row % data.rows}
    out |= {name: _take(values, row) for name, values in shared.items()}
    out["position"] = position
    out["item"] = pd.Categorical.from_codes(menu[row, position], _categories(data.items.names))
    out["answer"] = pd.array(said[row, position], dtype="Int64")
    out["answer"][skip[row, position]] = pd.NA
    extra: dict[str, Any] = {}
    per_place = []
    for name, value in data.columns.items():
        value = np.asarray(value)
        if value.ndim == 2 and value.shape[1] == k:
            extra[name] = np.tile(value, (replicates, 1))[row, position]
            per_place.append(name)
        elif value.ndim == 1:
            extra[name] = np.tile(value, replicates)[row]
        else:
            raise DataError(f"column {name!r}: shape {value.shape} fits no row of a long frame; use parquet")
    frame = pd.DataFrame(_no_clash(out, extra))
    frame.attrs[_KEY] = {**_meta(data), "menu_size": k, "per_place": per_place}
    return frame


def _alternative_answers(data: PreferenceData, total: int) -> tuple[np.ndarray, np.ndarray]:
    """What was said of each place, ``(rows, k)``, and where nothing was (skips, places without a grade)."""
    k = data.menu_size
    answer = data.answer.reshape(total, -1).astype(np.int64)
    kind = data.feedback.kind
    if kind == "rating":
        return answer, answer < 0
    skip = np.repeat((answer < 0).all(1)[:, None], k, 1)
    said = np.zeros((total, k), dtype=np.int64)
    rows = np.arange(total)
    if kind == "best-worst":
        done = ~skip[:, 0]
        said[rows[done], answer[done, 0]] = 1
        said[rows[done], answer[done, 1]] = -1
        return said, skip
    value = np.ones(answer.shape, dtype=np.int64)
    if kind != "choice":  # ranks: 1 is best, tied alternatives share a rank
        step = np.ones(answer.shape, dtype=np.int64)
        if data.tied is not None:
            tied = data.tied.reshape(total, -1)
            step[:, 1:] = ~tied[:, : answer.shape[1] - 1]
        value = np.cumsum(step, 1)
    row, place = np.nonzero(answer >= 0)
    said[row, answer[row, place]] = value[row, place]
    return said, skip


def _from_long(frame: pd.DataFrame, items: Items | None, feedback: Any, menu_size: int | None) -> PreferenceData:
    meta = frame.attrs.get(_KEY, {})
    keys = [c for c in ("replicate", "row") if c in frame]
    if "row" not in frame:
        raise DataError("from_frame: a long frame needs a column row that numbers the questions")
    number = frame.groupby(keys, sort=False, observed=True).ngroup().to_numpy()
    position = _whole(frame["position"], "position")
    k = menu_size or max(int(meta.get("menu_size", 0)), int(position.max()) + 1)
    rows = int(number.max()) + 1
    if position.min() < 0 or position.max() >= k:
        raise DataError(f"position: values are 0..{k - 1}; found {int(position.min())}..{int(position.max())}")
    twice = pd.Series(number * k + position).duplicated()
    if twice.any():
        at = int(twice.to_numpy().argmax())
        raise DataError(f"from_frame: position {position[at]} of row {frame['row'].iloc[at]!r} stands twice")
    items, codes = _item_codes([frame["item"]], items)
    menu = np.full((rows, k), -1, dtype=np.int64)
    menu[number, position] = codes[0]
    kind = _feedback(feedback, meta)
    said = pd.to_numeric(frame["answer"], errors="coerce").astype("Float64").to_numpy(dtype=float, na_value=np.nan)
    grid = np.full((rows, k), np.nan)
    grid[number, position] = said
    answer, tied = _answers_of(grid, kind, k)
    head = frame.drop_duplicates(keys).reset_index(drop=True)
    head.attrs = frame.attrs
    columns: dict[str, Any] = {}
    for name in frame.columns:
        if name in (*_SHARED, "row", "position", "item", "answer"):
            continue
        values = _values(frame[name])
        if name in meta.get("per_place", ()) or (not meta and _varies(frame[name], number)):
            wide = np.full((rows, k), np.nan) if values.dtype.kind in "if" else np.full((rows, k), None, dtype=object)
            wide[number, position] = values
            columns[str(name)] = wide if np.isnan(wide.astype(float)).any() else wide.astype(values.dtype)
        else:
            columns[str(name)] = _values(head[name])
    return _build(head, meta, items, menu, answer, tied, kind, columns)


def _varies(values: pd.Series, number: np.ndarray) -> bool:
    return values.dtype.kind in "if" and bool((values.groupby(number).nunique(dropna=False) > 1).any())


def _answers_of(grid: np.ndarray, feedback: Any, k: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Answers from what was said of each place (NaN: nothing), the reverse of :func:`_alternative_answers`."""
    kind = feedback.kind if isinstance(feedback, Feedback) else str(feedback)
    odd = np.argwhere(~np.isnan(grid) & (grid != np.round(grid)))
    if len(odd):
        raise DataError(f"answer: row {odd[0][0]}, place {odd[0][1]}: {grid[tuple(odd[0])]:g} is not a whole number")
    if kind == "rating":
        return np.where(np.isnan(grid), -1, grid).astype(np.int64), None
    said = np.nan_to_num(grid, nan=0.0).astype(np.int64)
    if kind == "best-worst":
        best, worst = (said == 1), (said == -1)
        bad = (best.sum(1) != worst.sum(1)) | (best.sum(1) > 1)
        if bad.any():
            raise DataError(f"answer: row {int(bad.argmax())} needs one best (1) and one worst (-1), or only blanks")
        none = best.sum(1) == 0
        return np.where(none[:, None], -1, np.stack([best.argmax(1), worst.argmax(1)], 1)), None
    if (said < 0).any():
        raise DataError(f"answer: row {int((said < 0).any(1).argmax())}: ranks are 1, 2, ...; 0 for not ranked")
    rank = np.where(said > 0, said, np.iinfo(np.int64).max)
    order = np.argsort(rank, axis=1, kind="stable")
    ranked = np.take_along_axis(rank, order, 1)
    listed = ranked < np.iinfo(np.int64).max
    answer = np.where(listed, order, -1)
    tied = (ranked[:, 1:] == ranked[:, :-1]) & listed[:, 1:]
    if kind == "choice":
        if (said > 1).any():
            raise DataError(f"answer: row {int((said > 1).any(1).argmax())}: a choice is 1 for the chosen, 0 elsewhere")
        return (answer, tied) if tied.any() else (answer[:, 0], None)
    return answer, (tied if tied.any() else None)


# ---- both ----------------------------------------------------------------------------------------------------------


def _shared(data: PreferenceData) -> dict[str, Any]:
    lead = data.menu.shape[:-1]
    out: dict[str, Any] = {}
    if data.replicates is not None:
        out["replicate"] = np.repeat(np.arange(lead[0]), lead[1])
    for name in ("annotator", "prompt", "order", "weight"):
        value = getattr(data, name)
        if value is None:
            continue
        flat = np.ascontiguousarray(np.broadcast_to(value, lead)).reshape(-1)
        names = getattr(data, f"{name}_names", None)
        out[name] = flat if names is None else pd.Categorical.from_codes(flat, _categories(names))
    return out


def _categories(names: Any) -> pd.Index:
    return pd.Index(np.asarray([str(name) for name in names], dtype=object))


def _take(values: Any, rows: np.ndarray) -> Any:
    return values.take(rows) if isinstance(values, pd.Categorical) else values[rows]


def _finish(data: PreferenceData, out: dict[str, Any], meta: dict[str, Any], replicates: int) -> pd.DataFrame:
    extra = {}
    for name, value in data.columns.items():
        value = np.asarray(value)
        tiled = np.concatenate([value] * replicates) if replicates > 1 else value
        extra[name] = list(tiled) if tiled.ndim > 1 else tiled
    frame = pd.DataFrame(_no_clash(out, extra))
    frame.attrs[_KEY] = {**_meta(data), **meta}
    return frame


def _no_clash(out: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    clash = sorted(set(out) & set(extra))
    if clash:
        raise DataError(f"column {clash[0]!r} has the name of a column of the frame; rename it")
    return out | extra


def _meta(data: PreferenceData) -> dict[str, Any]:
    empty = ["tied"] if data.tied is not None and data.tied.shape[-1] == 0 else []
    return {"feedback": asdict(data.feedback), "empty": empty}


def _numbered(frame: pd.DataFrame, stem: str) -> list[str]:
    out: list[str] = []
    while f"{stem}_{len(out)}" in frame:
        out.append(f"{stem}_{len(out)}")
    return out


def _feedback(feedback: Any, meta: dict[str, Any]) -> Any:
    if feedback is not None:
        return feedback
    return Feedback(**meta["feedback"]) if "feedback" in meta else "choice"


def _item_codes(series: list[pd.Series], items: Items | None) -> tuple[Items, np.ndarray]:
    """Item ids of some columns of names (-1 where blank), and the item set that they speak of."""
    first = series[0]
    if items is None and isinstance(first.dtype, pd.CategoricalDtype):
        items = Items(names=first.cat.categories)
    cells = np.stack([s.astype(object).to_numpy() for s in series])
    blank = pd.isna(cells) | (cells == "")
    if items is None:
        filled = np.where(blank, None, cells)  # type: ignore[call-overload]
        _, names = pd.factorize(filled.T.ravel(), use_na_sentinel=True)
        items = Items(names=[str(name) for name in names])
    ids = {name: i for i, name in enumerate(items.names)}
    values, inverse = pd.factorize(cells.ravel(), use_na_sentinel=True)[::-1]
    table = np.array([ids.get(str(value), -1) for value in values] + [-1], dtype=np.int64)
    codes = table[inverse].reshape(cells.shape)
    unknown = np.argwhere((codes < 0) & ~blank)
    if len(unknown):
        column, row = unknown[0]
        raise DataError(f"from_frame: row {row}: item {cells[column, row]!r} is not in items= ({items.n} names)")
    return items, codes


def _whole(series: pd.Series, name: str) -> np.ndarray:
    values = pd.to_numeric(series, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~(values == np.round(values))
    if bad.any():
        raise DataError(f"{name}: row {int(bad.argmax())}: {series.iloc[int(bad.argmax())]!r} is not a whole number")
    return values.astype(np.int64)


def _values(series: pd.Series) -> np.ndarray:
    """A column as numpy: text as objects, equal-length lists as a matrix."""
    if isinstance(series.dtype, pd.CategoricalDtype | pd.StringDtype):
        return series.astype(object).to_numpy()
    values = series.to_numpy()
    if values.dtype == object and len(values) and isinstance(values[0], np.ndarray | list):
        return np.stack([np.asarray(v) for v in values])
    return values


def _build(
    frame: pd.DataFrame,
    meta: dict[str, Any],
    items: Items,
    menu: np.ndarray,
    answer: np.ndarray,
    tied: np.ndarray | None,
    feedback: Any,
    columns: dict[str, Any],
) -> PreferenceData:
    from annosim.data.preferences import PreferenceData

    given: dict[str, Any] = {}
    for name in ("annotator", "prompt"):
        if name in frame:
            given[name], given[f"{name}_names"] = _codes(frame[name])
    if "order" in frame:
        given["order"] = _whole(frame["order"], "order")
    if "weight" in frame:
        given["weight"] = pd.to_numeric(frame["weight"], errors="coerce").to_numpy(dtype=np.float64)
    given |= {"menu": menu, "answer": answer, "tied": tied}
    if "replicate" in frame:
        replicates = int(frame["replicate"].nunique())
        if len(frame) % replicates or (np.diff(frame["replicate"].to_numpy()) < 0).any():
            raise DataError("from_frame: replicates of different length, or not sorted by replicate")
        each = len(frame) // replicates
        for name, value in given.items():
            if isinstance(value, np.ndarray) and not name.endswith("names"):
                value = value.reshape(replicates, each, *value.shape[1:])
                shared = name in _SHARED and bool((value == value[:1]).all())
                given[name] = value[0] if shared else value
        columns = {name: value[:each] for name, value in columns.items()}
    return PreferenceData(items=items, feedback=_feedback(feedback, meta), columns=columns, **given)


def _codes(series: pd.Series) -> tuple[np.ndarray, np.ndarray | None]:
    """Numbers and names of annotators or prompts: numbers stay, categories keep theirs, text by first appearance."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        codes, names = series.cat.codes.to_numpy(), np.asarray(series.cat.categories, dtype=object)
    elif pd.api.types.is_integer_dtype(series.dtype):
        return series.to_numpy(), None
    else:
        codes, found = pd.factorize(series.astype(object).to_numpy())
        names = np.asarray([str(name) for name in found], dtype=object)
    if (codes < 0).any():
        raise DataError(f"{series.name}: row {int((codes < 0).argmax())} is blank; name every row's {series.name}")
    return codes.astype(np.int64), names
