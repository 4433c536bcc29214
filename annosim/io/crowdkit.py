"""Crowd-Kit's pairwise comparisons: ``worker, left, right, label`` where the label is the winning item's name."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd

from annosim.data.preferences import PreferenceData
from annosim.errors import DataError, TiesError
from annosim.io.files import atomic_text
from annosim.io.pairs import named, pair_meaning, read_csv

__all__ = ["read_crowdkit", "to_crowdkit", "write_crowdkit"]


def read_crowdkit(path: str | os.PathLike[str]) -> PreferenceData:
    """Read a CSV with the columns ``worker, left, right, label``.

    Raises:
        RowsError: a label that is neither the left nor the right item of its row (the row's two are listed).

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "crowd.csv"
        >>> _ = path.write_text("worker,left,right,label\\nw1,cat,dog,dog\\n")
        >>> read_crowdkit(path).answer.tolist()
        [1]
    """
    data = read_csv(path, annotator="worker", winner="label", winner_is="item", words={})
    return data.with_(settings={**data.settings, "format": "crowdkit"})


def to_crowdkit(data: PreferenceData) -> pd.DataFrame:
    """A frame for ``crowdkit.aggregation.BradleyTerry().fit``: worker, left, right, label and the named columns.

    Raises:
        TiesError: tied answers (Crowd-Kit has none).
        DataError: the data are not pairs, or hold skips.
    """
    meaning = pair_meaning(data)
    if (meaning == 2).any():
        raise TiesError(f"row {int((meaning == 2).argmax())} is tied, which Crowd-Kit has no label for")
    if (meaning == 3).any():
        raise DataError(f"row {int((meaning == 3).argmax())} is a skip; take(~data.skipped) first")
    names = np.asarray(data.items.names, dtype=object)
    left, right = names[data.menu[:, 0]], names[data.menu[:, 1]]
    out = {
        "worker": named(data.annotator_ids, data.annotator_names if data.annotator is not None else None),
        "left": left,
        "right": right,
        "label": np.where(meaning == 0, left, right),
    }
    return pd.DataFrame(out | dict(data.columns))


def write_crowdkit(data: PreferenceData, path: str | os.PathLike[str]) -> None:
    """Write :func:`to_crowdkit` as CSV; atomic."""
    atomic_text(path, to_crowdkit(data).to_csv(index=False, lineterminator="\n"))
