"""Evalica's CSV: ``left, right, winner`` with the words left, right and tie in any case."""

from __future__ import annotations

import os

from annosim.data.preferences import PreferenceData
from annosim.errors import DataError
from annosim.io.pairs import read_csv, write_csv

__all__ = ["read_evalica", "write_evalica"]

_WORDS = {spelt: word for word in ("left", "right", "tie") for spelt in (word, word.upper(), word.capitalize())}


def read_evalica(path: str | os.PathLike[str]) -> PreferenceData:
    """Read a CSV for the ``evalica`` command. Rows whose winner it would drop are errors here.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "food.csv"
        >>> _ = path.write_text("left,right,winner\\npizza,burger,Left\\npasta,pizza,tie\\n")
        >>> read_evalica(path)
        PreferenceData(2 rows, choice from menus of 2, 2 annotators, 3 items, ties)
    """
    data = read_csv(path, words=_WORDS)
    return data.with_(settings={**data.settings, "format": "evalica"})


def write_evalica(data: PreferenceData, path: str | os.PathLike[str]) -> None:
    """Write pairs for the ``evalica`` command; annotators, prompts and weights become columns that it ignores.

    Raises:
        DataError: the data are not pairs, hold skips (evalica would drop them) or weights (it takes none).
    """
    if data.skipped.any():
        raise DataError(f"row {int(data.skipped.argmax())} is a skip, which evalica drops; take(~data.skipped) first")
    if data.weight is not None and (data.weight != 1).any():
        raise DataError("evalica takes no weights; repeat the rows, or use write_csv")
    write_csv(data, path)
