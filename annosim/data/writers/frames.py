"""Pandas frames that keep everything: wide (one row per answer) and long (one row per answer and alternative shown)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from annosim.data.frames import COVARIATE, FEEDBACK, METADATA
from annosim.data.writers.pairs import join_columns
from annosim.data.writers.records import write_csv
from annosim.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData

__all__ = ["preference_frame", "write_frame"]


def preference_frame(data: PreferenceData, layout: str = "wide") -> pd.DataFrame:
    """The data as a frame; see :meth:`PreferenceData.to_frame`."""
    if layout not in ("wide", "long"):
        raise ArgumentError(f"to_frame({layout!r}): 'wide' (a row per answer) or 'long' (a row per alternative shown)")
    return _wide(data) if layout == "wide" else _long(data)


def write_frame(data: PreferenceData, path: str | os.PathLike[str], layout: str) -> None:
    """The frame as CSV, with the kind of answer in a column ``feedback``; atomic.

    Raises:
        DataError: a named column is called ``feedback``.
    """
    frame = preference_frame(data, layout)
    if FEEDBACK in frame:
        raise DataError(f"column {FEEDBACK!r} has the name of a column of the file; rename it")
    kind = data.feedback
    number = kind.depth or kind.grades
    frame.insert(0, FEEDBACK, kind.kind if number is None else f"{kind.kind} {number}")
    write_csv(frame, path)


def _wide(data: PreferenceData) -> pd.DataFrame:
    lead = data.menu.shape[:-1]
    out = _row_columns(data)
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
    more: dict[str, object] = {}
    for name, value in data.columns.items():
        tiled = np.concatenate([value] * int(np.prod(lead[:-1], dtype=int))) if len(lead) > 1 else value
        more[name] = list(tiled) if tiled.ndim > 1 else tiled
    for name, shown in data.covariates.items():
        places = shown.reshape(-1, data.menu_size)
        out |= {f"{COVARIATE}{name}:{j}": places[:, j] for j in range(data.menu_size)}
    frame = pd.DataFrame(join_columns(out, more))
    frame.attrs[METADATA] = _metadata(data)
    return frame


def _long(data: PreferenceData) -> pd.DataFrame:
    k = data.menu_size
    menu = data.menu.reshape(-1, k)
    row, position = np.nonzero(menu >= 0)
    value_of, skip = _answers_by_place(data)
    answer = pd.array(value_of[row, position], dtype="Int64")
    answer[skip[row, position]] = pd.NA
    out: dict[str, object] = {"row": row % data.rows}
    out |= {name: _pick(values, row) for name, values in _row_columns(data).items()}
    out["position"] = position
    out["item"] = pd.Categorical.from_codes(menu[row, position], _categories(data.items.names))
    out["answer"] = answer
    for name, shown in data.covariates.items():
        out[f"{COVARIATE}{name}"] = shown.reshape(-1, k)[row, position]
    more, per_place = _long_columns(data, row, position)
    frame = pd.DataFrame(join_columns(out, more))
    frame.attrs[METADATA] = {**_metadata(data), "menu_size": k, "per_place": per_place}
    return frame


def _long_columns(
    data: PreferenceData, row: NDArray[np.intp], position: NDArray[np.intp]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Named columns on the rows of a long frame, and the names of those that differ between places."""
    replicates = data.replicates or 1
    out, per_place = {}, []
    for name, value in data.columns.items():
        if value.ndim == 2 and value.shape[1] == data.menu_size:
            out[name] = np.tile(value, (replicates, 1))[row, position]
            per_place.append(name)
        elif value.ndim == 1:
            out[name] = np.tile(value, replicates)[row]
        else:
            raise DataError(f"column {name!r}: shape {value.shape} fits no row of a long frame; use parquet")
    return out, per_place


def _answers_by_place(data: PreferenceData) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """What was said of each place, ``(rows, k)``, and where nothing was (skips, places without a grade)."""
    k = data.menu_size
    total = int(np.prod(data.menu.shape[:-1], dtype=int))
    answer = data.answer.reshape(total, -1).astype(np.int64)
    if data.feedback.kind == "rating":
        return answer, answer < 0
    skip = np.repeat((answer < 0).all(1, keepdims=True), k, 1)
    value_of = np.zeros((total, k), dtype=np.int64)
    rows = np.arange(total)
    if data.feedback.kind == "best-worst":
        done = ~skip[:, 0]
        value_of[rows[done], answer[done, 0]] = 1
        value_of[rows[done], answer[done, 1]] = -1
        return value_of, skip
    value = np.ones(answer.shape, dtype=np.int64)
    if data.feedback.kind != "choice":
        value = _ranks(answer.shape, None if data.tied is None else data.tied.reshape(total, -1))
    row, place = np.nonzero(answer >= 0)
    value_of[row, answer[row, place]] = value[row, place]
    return value_of, skip


def _ranks(shape: tuple[int, ...], tied: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """The rank of each place of an order: 1 is best, tied alternatives share a rank."""
    step = np.ones(shape, dtype=np.int64)
    if tied is not None:
        step[:, 1:] = ~tied[:, : shape[1] - 1]
    return np.cumsum(step, 1)


def _row_columns(data: PreferenceData) -> dict[str, object]:
    lead = data.menu.shape[:-1]
    out: dict[str, object] = {}
    if data.replicates is not None:
        out["replicate"] = np.repeat(np.arange(lead[0]), lead[1])
    for name, value, names in (
        ("annotator", data.annotator, data.annotator_names),
        ("prompt", data.prompt, data.prompt_names),
        ("order", data.order, None),
        ("weight", data.weight, None),
    ):
        if value is not None:
            flat = np.ascontiguousarray(np.broadcast_to(value, lead)).reshape(-1)
            out[name] = flat if names is None else pd.Categorical.from_codes(flat, _categories(names))
    return out


def _categories(names: Iterable[object]) -> pd.Index:
    return pd.Index([str(name) for name in names], dtype=object)


def _pick(values: object, rows: NDArray[np.intp]) -> object:
    return values.take(rows) if isinstance(values, pd.Categorical) else np.asarray(values)[rows]


def _metadata(data: PreferenceData) -> dict[str, object]:
    empty = ["tied"] if data.tied is not None and data.tied.shape[-1] == 0 else []
    return {"feedback": asdict(data.feedback), "empty": empty}
