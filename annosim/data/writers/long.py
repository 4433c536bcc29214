"""Long choice data, as xlogit and choice-learn use them: one row per choice situation and alternative."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from annosim.data.writers.pairs import join_columns, named
from annosim.errors import DataError

if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData

__all__ = ["long_frame"]


def long_frame(data: PreferenceData) -> pd.DataFrame:
    """See :meth:`PreferenceData.to_long`."""
    _check_choices(data)
    source = data.settings if data.settings.get("format") == "long" else {}
    row, place = np.nonzero(data.menu >= 0)
    ids = data.menu[row, place]
    answer = data.answer if data.answer.ndim == 1 else data.answer[:, 0]
    alternatives = np.asarray(data.items.columns.get("alternative", data.items.names), dtype=object)
    columns = {**data.columns, **data.covariates}
    situation = str(source.get("situation", "custom_id"))
    choice = str(source.get("choice", "choice"))
    out: dict[str, object] = {
        situation: np.asarray(columns.pop(situation, np.arange(data.rows)))[row],
        str(source.get("alternative", "alt")): alternatives[ids],
    }
    if source.get("choice_is") == "name":
        out[choice] = alternatives[data.menu[np.arange(data.rows), answer]][row]
    else:
        out[choice] = (place == answer[row]).astype(np.int64)
    if data.annotator is not None:
        out[str(source.get("annotator") or "annotator")] = named(data.annotator, data.annotator_names)[row]
    if data.weight is not None:
        out[str(source.get("weight") or "weight")] = data.weight[row]
    out |= _features(data, source, ids)
    more = {name: value[row, place] if value.ndim == 2 else value[row] for name, value in columns.items()}
    return pd.DataFrame(join_columns(out, more))


def _check_choices(data: PreferenceData) -> None:
    if data.feedback.kind != "choice" or data.replicates is not None:
        raise DataError(f"{data!r}: the long choice format holds choices, one replicate")
    bad = data.skipped if data.tied is None else data.skipped | data.tied.any(1)
    if bad.any():
        raise DataError(f"row {int(bad.argmax())} is a tie or a skip; break ties with data.ties('half'), take the rest")


def _features(data: PreferenceData, source: Mapping[str, object], ids: NDArray[np.integer]) -> dict[str, object]:
    if data.items.features is None:
        return {}
    values = data.items.features.numpy()
    known = source.get("features")
    names = known if isinstance(known, list) and known else [f"x{j}" for j in range(values.shape[1])]
    return {str(name): values[ids, j] for j, name in enumerate(names)}
