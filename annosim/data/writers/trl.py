"""Pairs and thumbs as the records that TRL's trainers take."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from annosim.data.covariates import CHOSEN_POSITION, further_columns, outcome_columns
from annosim.data.writers.pairs import join_columns, named, pair_outcomes
from annosim.data.writers.records import write_records
from annosim.errors import DataError, TiesError

if TYPE_CHECKING:
    from datasets import Dataset

    from annosim.data.preferences import PreferenceData

__all__ = ["trl_dataset", "trl_records", "write_trl"]


def write_trl(data: PreferenceData, path: str | os.PathLike[str]) -> None:
    """The records as a file; see :meth:`PreferenceData.to_trl`."""
    write_records(path, _columns(data))


def trl_records(data: PreferenceData) -> list[dict[str, object]]:
    """The records as dicts; see :meth:`PreferenceData.to_trl`."""
    lists = _lists(data)
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def trl_dataset(data: PreferenceData, as_list: bool) -> Dataset | list[dict[str, object]]:
    """A ``datasets.Dataset`` of the records, or a list of dicts where there is no such library."""
    if as_list:
        return trl_records(data)
    try:
        from datasets import Dataset
    except ImportError:
        return trl_records(data)
    lists = _lists(data)
    try:
        return Dataset.from_dict(lists)
    except (ValueError, TypeError) as error:  # what pyarrow raises is one of them
        reason = str(error).splitlines()[0]
        raise DataError(
            f"a column mixes kinds of values, which a datasets.Dataset cannot hold: {reason}; give it one kind, or "
            "take to_trl(as_list=True)"
        ) from error


def _lists(data: PreferenceData) -> dict[str, list[object]]:
    return {name: np.asarray(values, dtype=object).tolist() for name, values in _columns(data).items()}


def _columns(data: PreferenceData) -> dict[str, object]:
    skipped = np.flatnonzero(data.skipped) if data.replicates is None else np.zeros(0, dtype=int)
    if len(skipped):
        raise DataError(f"row {skipped[0]} is a skip, which TRL cannot hold; take(~data.skipped) first")
    implicit = bool(data.settings.get("implicit_prompt"))
    prompt = _prompts(data)
    body = _thumbs(data) if _is_thumbs(data) else _pairs(data, prompt if implicit else None)
    out: dict[str, object] = body if implicit else {"prompt": prompt, **body}
    if data.annotator is not None:
        out["annotator"] = named(data.annotator, data.annotator_names)
    if data.weight is not None:
        out["weight"] = data.weight
    more = further_columns(data) if _is_thumbs(data) else outcome_columns(data, pair_outcomes(data))
    return join_columns(out, more)


def _is_thumbs(data: PreferenceData) -> bool:
    return (data.feedback.kind, data.feedback.grades, data.menu_size, data.replicates) == ("rating", 2, 1, None)


def _thumbs(data: PreferenceData) -> dict[str, object]:
    return {"completion": _responses(data)[data.menu[:, 0]], "label": data.answer[:, 0].astype(bool)}


def _pairs(data: PreferenceData, implicit: NDArray[np.object_] | None) -> dict[str, object]:
    outcome = pair_outcomes(data)
    if (outcome == 2).any():
        raise TiesError(f"row {int((outcome == 2).argmax())} is tied; TRL has no ties: data.ties('half')")
    rows = np.arange(data.rows)
    responses = _responses(data)
    chosen, rejected = responses[data.menu[rows, outcome]], responses[data.menu[rows, 1 - outcome]]
    if implicit is not None:
        chosen, rejected = _joined(implicit, chosen), _joined(implicit, rejected)
    body: dict[str, object] = {"chosen": chosen, "rejected": rejected}
    if (outcome != 0).any():
        body[CHOSEN_POSITION] = outcome
    return body


def _conversations(data: PreferenceData) -> Sequence[str]:
    """Which texts are conversations as JSON: ``prompt``, ``response``."""
    kept = data.settings.get("messages", ())
    return kept if isinstance(kept, list | tuple) else ()


def _responses(data: PreferenceData) -> NDArray[np.object_]:
    return _loaded(data.items.texts or data.items.names, "response" in _conversations(data))


def _prompts(data: PreferenceData) -> NDArray[np.object_]:
    """The prompt of each row: its own, or the items'; a number where it has no text."""
    code = data.items.prompts.numpy()[data.menu[:, 0]] if data.prompt is None else np.asarray(data.prompt)
    if data.prompt_names is None:
        known = data.prompt is not None or data.items.num_prompts > 1
        return np.array([str(c) if known else "" for c in code], dtype=object)
    return _loaded(data.prompt_names, "prompt" in _conversations(data))[code]


def _loaded(texts: Sequence[str] | NDArray[np.object_], messages: bool) -> NDArray[np.object_]:
    """Texts as they stood in the file."""
    out = np.empty(len(texts), dtype=object)
    out[:] = [json.loads(str(text)) if messages else str(text) for text in texts]
    return out


def _joined(prompt: NDArray[np.object_], rest: NDArray[np.object_]) -> NDArray[np.object_]:
    out = np.empty(len(prompt), dtype=object)
    out[:] = [a + b for a, b in zip(prompt, rest, strict=True)]
    return out
