"""Crowd-Kit's pairwise comparisons: ``worker, left, right, label`` where the label is the winning item's name."""

from __future__ import annotations

from annosim.data.preferences import PreferenceData
from annosim.io.pairs import read_csv
from annosim.io.sources import Source

__all__ = ["read_crowdkit"]


def read_crowdkit(source: Source) -> PreferenceData:
    """Read a table with the columns ``worker, left, right, label``.

    Raises:
        RowsError: a label that is neither the left nor the right item of its row (the row's two are listed).

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "crowd.csv"
        >>> _ = path.write_text("worker,left,right,label\\nw1,cat,dog,dog\\n")
        >>> read_crowdkit(path).answer.tolist()
        [1]
    """
    data = read_csv(source, annotator="worker", winner="label", winner_is="item", words={})
    return data.with_(settings={**data.settings, "format": "crowdkit"})
