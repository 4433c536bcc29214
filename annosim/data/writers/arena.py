"""Battles of the Chatbot Arena: ``model_a, model_b, winner``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from annosim.data.covariates import further_columns
from annosim.data.writers.pairs import join_columns, named, pair_outcomes
from annosim.data.writers.records import write_records
from annosim.errors import DataError

if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData

__all__ = ["BOTH_BAD", "write_arena"]

#: The winner of a battle in which both answers are bad.
BOTH_BAD = "tie (bothbad)"


def write_arena(data: PreferenceData, path: str | os.PathLike[str]) -> None:
    """Write pairs as battles; see :meth:`PreferenceData.to_arena`."""
    outcome = pair_outcomes(data)
    if (outcome == 3).any():
        raise DataError(f"row {int((outcome == 3).argmax())} is a skip, which battles cannot hold; take(~data.skipped)")
    names = np.asarray(data.items.names, dtype=object)
    word = np.array(["model_a", "model_b", "tie"], dtype=object)[outcome]
    columns = further_columns(data)
    if "bothbad" in columns:
        word = np.where(columns.pop("bothbad").astype(bool) & (outcome == 2), BOTH_BAD, word)
    out: dict[str, object] = {"model_a": names[data.menu[:, 0]], "model_b": names[data.menu[:, 1]], "winner": word}
    if data.annotator is not None:
        out[str(data.settings.get("annotator") or "judge")] = named(data.annotator, data.annotator_names)
    if data.prompt is not None:
        out[str(data.settings.get("prompt") or "prompt")] = named(data.prompt, data.prompt_names)
    write_records(path, join_columns(out, columns))
