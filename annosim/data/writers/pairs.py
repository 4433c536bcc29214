"""Choices between two as a table of votes: columns for the two sides and one for the winner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from annosim.data.covariates import further_columns
from annosim.errors import DataError

if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData

__all__ = ["OUTCOMES", "evalica_frame", "join_columns", "named", "pair_outcomes", "pairs_frame"]

#: What a vote may say, by its code.
OUTCOMES = ("left", "right", "tie", "skip")

Columns = Mapping[str, object]
Code = TypeVar("Code", bound=np.generic)


def pair_outcomes(data: PreferenceData) -> NDArray[np.int64]:
    """The answer of each pair: 0 left, 1 right, 2 tie, 3 skip, ``(rows,)``.

    Raises:
        DataError: the data are not choices between two.
    """
    if data.feedback.kind != "choice" or data.menu_size != 2 or data.replicates is not None or (data.menu < 0).any():
        raise DataError(f"{data!r} are not pairs; this format holds choices between two items, one replicate")
    first = data.answer if data.answer.ndim == 1 else data.answer[:, 0]
    outcome = np.where(first < 0, 3, first).astype(np.int64)
    return outcome if data.tied is None else np.where(data.tied[:, 0], 2, outcome)


def named(codes: NDArray[Code], names: NDArray[np.object_] | None) -> NDArray[np.object_] | NDArray[Code]:
    """Codes as names where there are names."""
    return codes if names is None else names[codes]


def join_columns(columns: Columns, more: Columns) -> dict[str, object]:
    """The columns of a format, then the named columns of the data.

    Raises:
        DataError: a name stands in both.
    """
    clash = sorted(set(columns) & set(more))
    if clash:
        raise DataError(f"column {clash[0]!r} has the name of a column of the format; rename either")
    return {**columns, **more}


def pairs_frame(
    data: PreferenceData,
    annotator: str = "annotator",
    left: str = "left",
    right: str = "right",
    winner: str = "winner",
    prompt: str = "prompt",
    weight: str = "weight",
    order: str = "order",
) -> pd.DataFrame:
    """One row per vote; see :meth:`PreferenceData.to_csv`."""
    outcome = pair_outcomes(data)
    names = np.asarray(data.items.names, dtype=object)
    out: dict[str, object] = {}
    if data.annotator is not None:
        out[annotator] = named(data.annotator, data.annotator_names)
    if data.prompt is not None:
        out[prompt] = named(data.prompt, data.prompt_names)
    out |= {left: names[data.menu[:, 0]], right: names[data.menu[:, 1]]}
    out[winner] = np.array(OUTCOMES, dtype=object)[outcome]
    if data.weight is not None:
        out[weight] = data.weight
    if data.order is not None:
        out[order] = data.order
    return pd.DataFrame(join_columns(out, further_columns(data)))


def evalica_frame(data: PreferenceData) -> pd.DataFrame:
    """Pairs as the ``evalica`` command reads them; see :meth:`PreferenceData.to_evalica`."""
    if data.skipped.any():
        raise DataError(f"row {int(data.skipped.argmax())} is a skip, which evalica drops; take(~data.skipped) first")
    if data.weight is not None and (data.weight != 1).any():
        raise DataError("evalica takes no weights; repeat the rows, or use to_csv")
    return pairs_frame(data)
