"""Pandas frames read as preference data: wide (one row per answer) or long (one row per answer and alternative shown)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from annosim.errors import ArgumentError, DataError, TooLargeError
from annosim.feedback import Feedback
from annosim.items import Items

__all__ = ["COVARIATE", "FEEDBACK", "METADATA", "FrameColumns", "parse_frame"]

#: Key of ``frame.attrs`` under which a frame remembers what its columns do not say.
METADATA = "annosim"
#: Column of a CSV file with the kind of answer.
FEEDBACK = "feedback"
#: Before the name of a covariate in the name of its column; in a wide frame ``:0``, ``:1``, ... follow, the place.
COVARIATE = "covariate:"
_ROW_COLUMNS = ("replicate", "annotator", "prompt", "order", "weight")
_FLAGS = {True: True, False: False, "True": True, "False": False, "1": True, "0": False}
_MAX_PLACES = 32_767
_MAX_CELLS = 500_000_000


class FrameColumns(TypedDict, total=False):
    """What a frame says, as arguments of :class:`~annosim.PreferenceData`."""

    items: Items
    menu: np.ndarray
    answer: np.ndarray
    feedback: Feedback | str
    tied: np.ndarray | None
    annotator: np.ndarray | None
    annotator_names: np.ndarray | None
    prompt: np.ndarray | None
    prompt_names: np.ndarray | None
    order: np.ndarray | None
    weight: np.ndarray | None
    columns: Mapping[str, np.ndarray]
    covariates: Mapping[str, np.ndarray]


@dataclass
class _Answers:
    items: Items
    menu: np.ndarray
    answer: np.ndarray
    tied: np.ndarray | None
    columns: dict[str, np.ndarray]


def parse_frame(
    frame: pd.DataFrame, items: Items | None, feedback: str | Feedback | None, menu_size: int | None
) -> FrameColumns:
    """Columns of the data from a frame of either layout; see :meth:`PreferenceData.from_frame`."""
    if not isinstance(frame, pd.DataFrame):
        raise ArgumentError(f"from_frame: a pandas DataFrame, not {type(frame).__name__}")
    if not len(frame):
        raise DataError("from_frame: the frame has no rows; check the filter that was applied")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"from_frame: two columns are called {twice!r}; give every column its own name")
    frame = frame.reset_index(drop=True)
    metadata = frame.attrs.get(METADATA, {})
    kind = feedback or (Feedback(**metadata["feedback"]) if "feedback" in metadata else "choice")
    if "item_0" in frame:
        return _with_row_columns(frame, _read_wide(frame, metadata, items), kind)
    if {"item", "position", "answer"} <= set(frame.columns):
        number = _question_numbers(frame)
        found = _read_long(frame, number, metadata, items, kind, menu_size)
        return _with_row_columns(frame.iloc[_first_rows(number)].reset_index(drop=True), found, kind)
    raise DataError(
        f"from_frame: columns {', '.join(map(str, frame.columns[:12]))[:120]}: neither wide (item_0, item_1, ..., "
        "answer) nor long (row, position, item, answer); an.io.read_csv(frame) reads votes on pairs"
    )


# ---- wide ----------------------------------------------------------------------------------------------------------


def _read_wide(frame: pd.DataFrame, metadata: Mapping[str, object], items: Items | None) -> _Answers:
    shown = _numbered(frame, "item")
    items, menu = _item_codes([frame[c] for c in shown], items)
    answers, ties = _numbered(frame, "answer"), _numbered(frame, "tied")
    if "answer" in frame:
        answer = _whole(frame["answer"])
    elif answers:
        answer = np.stack([_whole(frame[c]) for c in answers], 1)
    else:
        raise DataError("from_frame: a wide frame needs a column answer, or answer_0, answer_1, ...")
    tied = np.stack([_flags(frame[c]) for c in ties], 1) if ties else None
    if tied is None and "tied" in metadata.get("empty", ()):  # type: ignore[operator]
        tied = np.zeros((len(frame), 0), dtype=bool)
    used = {*_ROW_COLUMNS, *shown, *answers, *ties, "answer"}
    columns = {str(c): _values(frame[c]) for c in frame.columns if c not in used}
    return _Answers(items, menu.T, answer, tied, columns)


def _numbered(frame: pd.DataFrame, stem: str) -> list[str]:
    out: list[str] = []
    while f"{stem}_{len(out)}" in frame:
        out.append(f"{stem}_{len(out)}")
    return out


# ---- long ----------------------------------------------------------------------------------------------------------


def _question_numbers(frame: pd.DataFrame) -> NDArray[np.int64]:
    """To which question each row belongs, in order of first appearance."""
    if "row" not in frame:
        raise DataError("from_frame: a long frame needs a column row that numbers the questions")
    keys = [c for c in ("replicate", "row") if c in frame]
    return np.asarray(frame.groupby(keys, sort=False, observed=True, dropna=False).ngroup(), dtype=np.int64)


def _first_rows(number: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.unique(number, return_index=True)[1]


def _read_long(
    frame: pd.DataFrame,
    number: NDArray[np.int64],
    metadata: Mapping[str, object],
    items: Items | None,
    kind: Feedback | str,
    menu_size: int | None,
) -> _Answers:
    position = _whole(frame["position"])
    known = metadata.get("menu_size", 0)
    k = menu_size or max(known if isinstance(known, int) else 0, int(position.max()) + 1)
    rows = int(number.max()) + 1
    _check_positions(frame, number, position, rows, k)
    items, codes = _item_codes([frame["item"]], items)
    menu = np.full((rows, k), -1, dtype=np.int64)
    menu[number, position] = codes[0]
    said = np.full((rows, k), np.nan)
    said[number, position] = pd.to_numeric(frame["answer"], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    answer, tied = _answers(said, kind.kind if isinstance(kind, Feedback) else kind)
    per_place = metadata.get("per_place", ())
    first = _first_rows(number)
    columns: dict[str, np.ndarray] = {}
    for name in frame.columns:
        if name in (*_ROW_COLUMNS, "row", "position", "item", "answer"):
            continue
        values = _values(frame[name])
        if name in per_place or str(name).startswith(COVARIATE) or (not metadata and _varies(frame[name], number)):  # type: ignore[operator]
            columns[str(name)] = _by_place(values, number, position, (rows, k))
        else:
            columns[str(name)] = values[first]
    return _Answers(items, menu, answer, tied, columns)


def _check_positions(
    frame: pd.DataFrame, number: NDArray[np.int64], position: NDArray[np.int64], rows: int, k: int
) -> None:
    if k > _MAX_PLACES or rows * k > _MAX_CELLS:
        raise TooLargeError(f"position: {rows} menus of {k} places; positions count the places of a menu from 0")
    if position.min() < 0 or position.max() >= k:
        raise DataError(f"position: values are 0..{k - 1}; found {int(position.min())}..{int(position.max())}")
    twice = pd.Series(number * k + position).duplicated()
    if twice.any():
        at = int(twice.to_numpy().argmax())
        raise DataError(f"from_frame: position {position[at]} of row {str(frame['row'].iloc[at])[:40]} appears twice")


def _varies(values: pd.Series, number: NDArray[np.int64]) -> bool:
    return values.dtype.kind in "if" and bool((values.groupby(number).nunique(dropna=False) > 1).any())


def _by_place(
    values: np.ndarray, number: NDArray[np.int64], position: NDArray[np.int64], shape: tuple[int, int]
) -> np.ndarray:
    """A column with one value per place: whole numbers stay whole where no place is empty."""
    full = len(values) == shape[0] * shape[1]
    numeric = values.dtype.kind in "if"
    dtype = values.dtype if full else np.dtype(float if numeric else object)
    out = np.full(shape, np.nan if dtype.kind == "f" else (0 if numeric else None), dtype=dtype)
    out[number, position] = values
    return out


def _answers(said: NDArray[np.float64], kind: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Answers from what was said of each place, ``(rows, k)``; NaN: nothing."""
    odd = np.argwhere(~np.isnan(said) & ~((said == np.round(said)) & (np.abs(said) <= _MAX_PLACES)))
    if len(odd):
        raise DataError(f"answer: row {odd[0][0]}, place {odd[0][1]}: {said[tuple(odd[0])]:g} is not a whole number")
    if kind == "rating":
        return np.where(np.isnan(said), -1, said).astype(np.int64), None
    whole = np.nan_to_num(said, nan=0.0).astype(np.int64)
    return (_best_worst(whole), None) if kind == "best-worst" else _orders(whole, kind)


def _best_worst(said: NDArray[np.int64]) -> NDArray[np.int64]:
    best, worst = (said == 1), (said == -1)
    bad = (best.sum(1) != worst.sum(1)) | (best.sum(1) > 1)
    if bad.any():
        raise DataError(f"answer: row {int(bad.argmax())} needs one best (1) and one worst (-1), or only blanks")
    none = best.sum(1) == 0
    return np.where(none[:, None], -1, np.stack([best.argmax(1), worst.argmax(1)], 1))


def _orders(said: NDArray[np.int64], kind: str) -> tuple[np.ndarray, np.ndarray | None]:
    if (said < 0).any():
        raise DataError(f"answer: row {int((said < 0).any(1).argmax())}: ranks are 1, 2, ...; 0 for not ranked")
    if kind == "choice" and (said > 1).any():
        raise DataError(f"answer: row {int((said > 1).any(1).argmax())}: a choice is 1 for the chosen, 0 elsewhere")
    last = np.iinfo(np.int64).max
    rank = np.where(said > 0, said, last)
    order = np.argsort(rank, axis=1, kind="stable")
    ranked = np.take_along_axis(rank, order, 1)
    listed = ranked < last
    answer = np.where(listed, order, -1)
    tied = (ranked[:, 1:] == ranked[:, :-1]) & listed[:, 1:]
    if tied.any():
        return answer, tied
    return (answer[:, 0] if kind == "choice" else answer), None


# ---- both ----------------------------------------------------------------------------------------------------------


def _with_row_columns(frame: pd.DataFrame, found: _Answers, feedback: str | Feedback) -> FrameColumns:
    """The answers with annotators, prompts, orders and weights; replicates become the leading axis."""
    out: FrameColumns = {"menu": found.menu, "answer": found.answer, "tied": found.tied}
    if "annotator" in frame:
        out["annotator"], out["annotator_names"] = _codes(frame["annotator"])
    if "prompt" in frame:
        out["prompt"], out["prompt_names"] = _codes(frame["prompt"])
    if "order" in frame:
        out["order"] = _whole(frame["order"])
    if "weight" in frame:
        out["weight"] = pd.to_numeric(frame["weight"], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    columns, covariates = _without_covariates(found.columns)
    if "replicate" in frame:
        out, each = _stacked(out, _whole(frame["replicate"]))
        columns = {name: value[:each] for name, value in columns.items()}
        covariates = {name: value.reshape(-1, each, value.shape[-1]) for name, value in covariates.items()}
    return {**out, "items": found.items, "feedback": feedback, "columns": columns, "covariates": covariates}


def _without_covariates(columns: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The other columns, and the covariates ``(rows, k)``, told by their names."""
    others = {name: value for name, value in columns.items() if not name.startswith(COVARIATE)}
    marked = {name.removeprefix(COVARIATE): value for name, value in columns.items() if name.startswith(COVARIATE)}
    whole = {name: value for name, value in marked.items() if value.ndim == 2}  # of a long frame
    stems = dict.fromkeys(name.rpartition(":")[0] for name in marked if name not in whole)
    for stem in stems:
        places = [marked[f"{stem}:{j}"] for j in range(len(marked)) if f"{stem}:{j}" in marked]
        whole[stem] = np.stack(places, -1)
    return others, whole


def _stacked(rows: FrameColumns, replicate: NDArray[np.int64]) -> tuple[FrameColumns, int]:
    replicates = len(np.unique(replicate))
    if len(replicate) % replicates or (np.diff(replicate) < 0).any():
        raise DataError("from_frame: replicates of different length, or not sorted by replicate")
    each = len(replicate) // replicates
    out: dict[str, object] = {}
    for name, value in rows.items():
        if isinstance(value, np.ndarray) and not name.endswith("names"):
            value = value.reshape(replicates, each, *value.shape[1:])
            shared = name in _ROW_COLUMNS and bool((value == value[:1]).all())
            out[name] = value[0] if shared else value
        else:
            out[name] = value
    return out, each  # type: ignore[return-value]


def _item_codes(series: list[pd.Series], items: Items | None) -> tuple[Items, NDArray[np.int64]]:
    """Item ids of some columns of names (-1 where blank), and the item set that they speak of."""
    first = series[0]
    if items is None and isinstance(first.dtype, pd.CategoricalDtype):
        items = Items(names=first.cat.categories)
    cells = np.stack([s.astype(object).to_numpy() for s in series])
    blank = pd.isna(cells) | (cells == "")
    text = np.array([None if none else str(cell) for cell, none in zip(cells.ravel(), blank.ravel(), strict=True)])
    if items is None:
        _, names = pd.factorize(text.reshape(cells.shape).T.ravel(), use_na_sentinel=True)
        if not len(names):
            raise DataError("from_frame: every item is blank; name what was shown")
        items = Items(names=list(names))
    ids = {name: i for i, name in enumerate(items.names)}
    codes = np.array([-1 if cell is None else ids.get(cell, -1) for cell in text], dtype=np.int64).reshape(cells.shape)
    unknown = np.argwhere((codes < 0) & ~blank)
    if len(unknown):
        column, row = unknown[0]
        shown = str(cells[column, row])[:60]
        raise DataError(f"from_frame: row {row}: item {shown!r} is not in items= ({items.n} names)")
    return items, codes


def _whole(series: pd.Series) -> NDArray[np.int64]:
    values = pd.to_numeric(series, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~((values == np.round(values)) & (np.abs(values) < 2.0**53))
    if bad.any():
        at = int(bad.argmax())
        raise DataError(f"{series.name}: row {at}: {str(series.iloc[at])[:60]!r} is not a whole number")
    return values.astype(np.int64)


def _flags(series: pd.Series) -> NDArray[np.bool_]:
    values = series.astype(object).tolist()
    bad = [not (isinstance(v, bool | np.bool_ | int | str) and v in _FLAGS) for v in values]
    if any(bad):
        at = bad.index(True)
        raise DataError(f"{series.name}: row {at}: {str(values[at])[:60]!r} is neither True nor False")
    return np.array([_FLAGS[v] for v in values])


def _values(series: pd.Series) -> np.ndarray:
    """A column as numpy: text as objects, equal-length lists as a matrix."""
    if isinstance(series.dtype, pd.CategoricalDtype | pd.StringDtype):
        return series.astype(object).to_numpy()
    values = series.to_numpy()
    if values.dtype != object or not all(isinstance(v, np.ndarray | list) for v in values):
        return values
    if any(isinstance(v, list) and any(isinstance(x, str) for x in v) for v in values):
        return values  # several words of a row, such as its reasons, are one cell
    rows = [np.asarray(v, dtype=object if any(isinstance(x, list) for x in v) else None) for v in values]
    return np.stack(rows) if len({(row.shape, row.dtype) for row in rows}) == 1 else values


def _codes(series: pd.Series) -> tuple[NDArray[np.int64], NDArray[np.object_] | None]:
    """Numbers and names of annotators or prompts: numbers stay, categories keep theirs, text by first appearance."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        codes, names = series.cat.codes.to_numpy(), np.asarray([str(c) for c in series.cat.categories], dtype=object)
    elif pd.api.types.is_integer_dtype(series.dtype):
        return _whole(series), None
    else:
        cells = series.astype(object).to_numpy()
        blank = pd.isna(cells)
        codes, found = pd.factorize(np.array([None if b else str(v) for v, b in zip(cells, blank, strict=True)]))
        names = np.asarray(found, dtype=object)
    if (codes < 0).any():
        raise DataError(f"{series.name}: row {int((codes < 0).argmax())} is blank; name every row's {series.name}")
    return codes.astype(np.int64), names
