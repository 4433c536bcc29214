"""Crowd-Kit's pairwise comparisons: ``worker, left, right, label``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from annosim.data.covariates import further_columns
from annosim.data.writers.pairs import join_columns, named, pair_outcomes
from annosim.errors import DataError, TiesError

if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData

__all__ = ["crowdkit_frame"]


def crowdkit_frame(data: PreferenceData) -> pd.DataFrame:
    """See :meth:`PreferenceData.to_crowdkit`."""
    outcome = pair_outcomes(data)
    if (outcome == 2).any():
        raise TiesError(f"row {int((outcome == 2).argmax())} is tied, which Crowd-Kit has no label for")
    if (outcome == 3).any():
        raise DataError(f"row {int((outcome == 3).argmax())} is a skip; take(~data.skipped) first")
    names = np.asarray(data.items.names, dtype=object)
    left, right = names[data.menu[:, 0]], names[data.menu[:, 1]]
    out: dict[str, object] = {
        "worker": named(data.annotator_ids, data.annotator_names),
        "left": left,
        "right": right,
        "label": np.where(outcome == 0, left, right),
    }
    return pd.DataFrame(join_columns(out, further_columns(data)))
