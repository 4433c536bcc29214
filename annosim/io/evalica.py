"""Evalica's CSV: ``left, right, winner`` with the words left, right and tie in any case."""

from __future__ import annotations

from annosim.data.preferences import PreferenceData
from annosim.io.pairs import read_csv
from annosim.io.sources import Source

__all__ = ["read_evalica"]

_WORDS = {spelt: word for word in ("left", "right", "tie") for spelt in (word, word.upper(), word.capitalize())}


def read_evalica(source: Source) -> PreferenceData:
    """Read a table for the ``evalica`` command. Rows whose winner it would drop are errors here.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "food.csv"
        >>> _ = path.write_text("left,right,winner\\npizza,burger,Left\\npasta,pizza,tie\\n")
        >>> read_evalica(path)
        PreferenceData(2 rows, choice from menus of 2, 2 annotators, 3 items, ties)
    """
    data = read_csv(source, words=_WORDS)
    return data.with_(settings={**data.settings, "format": "evalica"})
