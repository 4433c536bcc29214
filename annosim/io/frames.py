"""The frames of :meth:`PreferenceData.to_frame` as CSV files, with one more column for the kind of answer."""

from __future__ import annotations

import pandas as pd

from annosim.data.frames import FEEDBACK
from annosim.data.preferences import PreferenceData
from annosim.errors import DataError
from annosim.feedback import Feedback
from annosim.io.format import EXPORTER, Reading
from annosim.io.seen import Seen
from annosim.io.sources import Source, read_table, source_name
from annosim.io.tables import Table

__all__ = ["read_frame", "recognise_frame"]


def read_frame(source: Source, feedback: str | None = None) -> PreferenceData:
    """Read a wide or a long frame from a CSV file that ``data.to_csv(path, layout=)`` wrote, or from memory.

    Args:
        source: the file.
        feedback: kind of answer, with its number: ``"choice"``, ``"ranking"``, ``"top 2"``, ``"best-worst"``,
            ``"rating 5"``; by default what the column ``feedback`` says, and ``"choice"`` without one.

    Raises:
        FileReadError: missing, unreadable or empty file.
        RowsError: rows of several kinds, with line numbers.
        DataError: neither layout, an unknown kind, a tie that is neither True nor False, or values out of range.

    Example:
        >>> import tempfile, pathlib, annosim as an
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "votes.csv"
        >>> an.PreferenceData(an.Items(n=3), [[2, 0, 1]], answer=[[0, 2, 1]], feedback="ranking").to_csv(path, "wide")
        >>> read_frame(path).answer.tolist()
        [[0, 2, 1]]
    """
    table = read_table(source)
    feedback = _feedback_column(table) if feedback is None else feedback
    columns: dict[str, object] = dict(table.others([FEEDBACK]))
    for name in columns:
        if name in ("annotator", "prompt", "item") or name.startswith("item_"):
            columns[name] = table.coded(name, name, blank=True).text()  # names, also where they look like numbers
    table.errors.raise_if_any("write text in the columns of names")
    data = PreferenceData.from_frame(pd.DataFrame(columns), feedback=_feedback(feedback))
    return data.with_(settings={"source": source_name(source), "format": "wide"})


def recognise_frame(seen: Seen) -> Reading | None:
    """``item_0, item_1, ..., answer`` or ``row, position, item, answer``."""
    if "item_0" in seen.table and any(name in seen.table for name in ("answer", "answer_0")):
        return Reading("item_0, item_1, ... and answer: the frame of data.to_csv", strength=EXPORTER)
    if all(name in seen.table for name in ("row", "position", "item", "answer")):
        return Reading("row, position, item and answer: the long frame of data.to_csv", strength=EXPORTER)
    return None


def _feedback_column(table: Table) -> str:
    if FEEDBACK not in table:
        return "choice"
    kinds = table.coded(FEEDBACK, FEEDBACK)
    table.errors.add_where(
        kinds.codes != 0,
        lambda r: f"feedback {kinds.names[kinds.codes[r]][:40]!r} where the first row has {kinds.names[0][:40]!r}",
    )
    table.errors.raise_if_any("write one kind of feedback per file")
    return str(kinds.names[0])


def _feedback(text: str) -> Feedback:
    kind, _, number = text.partition(" ")
    if number and not (number.isascii() and number.isdigit() and len(number) < 6):
        raise DataError(f"feedback {text[:40]!r}: a kind, and for top and rating a number, for example 'top 2'")
    value = int(number) if number else None
    return Feedback(kind, depth=value if kind == "top" else None, grades=value if kind != "top" else None)
