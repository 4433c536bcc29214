"""The frames of :mod:`annosim.data.frames` as CSV files, which need one more column to remember the kind of answer."""

from __future__ import annotations

import os
from collections.abc import Callable

import pandas as pd

from annosim.data.frames import from_frame, to_frame
from annosim.data.preferences import PreferenceData
from annosim.errors import DataError
from annosim.feedback import Feedback
from annosim.io.files import Table, atomic_text, read_table

__all__ = ["read_frame", "write_frame"]

_COLUMN = "feedback"


def write_frame(data: PreferenceData, path: str | os.PathLike[str], layout: str = "wide") -> None:
    """Write :meth:`PreferenceData.to_frame` as CSV, with the kind of answer in a column ``feedback``; atomic.

    Raises:
        DataError: a named column is called ``feedback``.
    """
    frame = to_frame(data, layout)
    if _COLUMN in frame:
        raise DataError(f"column {_COLUMN!r} has the name of a column of the file; rename it")
    kind = data.feedback
    number = kind.depth or kind.grades
    frame.insert(0, _COLUMN, kind.kind if number is None else f"{kind.kind} {number}")
    atomic_text(path, frame.to_csv(index=False, lineterminator="\n"))


def read_frame(path: str | os.PathLike[str], feedback: str | None = None) -> PreferenceData:
    """Read a CSV of a wide or a long frame.

    Args:
        path: the file.
        feedback: kind of answer, with its number: ``"choice"``, ``"ranking"``, ``"top 2"``, ``"best-worst"``,
            ``"rating 5"``; by default what the column ``feedback`` says, and ``"choice"`` without one.

    Raises:
        FileReadError: missing, unreadable or empty file.
        RowsError: a tie that is neither True nor False, or rows of several kinds, with line numbers.
        DataError: neither layout, an unknown kind, or values out of range.
    """
    table = read_table(path)
    feedback = _said(table) if feedback is None else feedback
    frame = pd.DataFrame(table.others([_COLUMN]))
    for name in frame.columns:
        if name in ("annotator", "prompt", "item") or name.startswith("item_"):
            frame[name] = table.frame[name].to_numpy(dtype=object)  # names, also where they look like numbers
    for name in frame.columns:
        if name.startswith("tied_"):
            true, false = frame[name].isin(["True", "1", 1]), frame[name].isin(["False", "0", 0])
            odd = ~(true | false).to_numpy()
            table.problems.where(odd, _neither(name, frame[name].tolist()))
            frame[name] = true
    table.problems.report("write True or False, and one kind of answer per file")
    return from_frame(frame, feedback=_kind(feedback))


def _neither(name: str, values: list[object]) -> Callable[[int], str]:
    return lambda row: f"{name} {values[row]!r} is neither True nor False"


def _said(table: Table) -> str:
    if _COLUMN not in table.frame:
        return "choice"
    values = table.frame[_COLUMN].to_numpy(dtype=object)
    table.problems.where(values != values[0], lambda r: f"feedback {values[r]!r} where the first row has {values[0]!r}")
    return str(values[0])


def _kind(text: str) -> Feedback:
    kind, _, number = text.partition(" ")
    if number and not number.isdigit():
        raise DataError(f"feedback {text!r}: a kind, and for top and rating a number, for example 'top 2'")
    value = int(number) if number else None
    return Feedback(kind, depth=value if kind == "top" else None, grades=value if kind != "top" else None)
