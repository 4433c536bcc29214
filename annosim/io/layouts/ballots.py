"""A whole ranking in one cell: ``tea > milk > rice``, ``tea, milk, rice`` or a list."""

from __future__ import annotations

import re

import numpy as np

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError
from annosim.io.format import Reading
from annosim.io.layouts.ranks import ranked
from annosim.io.layouts.winners import people_and_counts
from annosim.io.pairs import warn_similar
from annosim.io.seen import Seen, blank, tokens
from annosim.io.sources import Source, read_table
from annosim.io.tables import cell_text
from annosim.items import Items

__all__ = ["read_ballots", "recognise_ballots"]

#: Between the items of a ranking in a cell, by what stands there.
_BETWEEN = {">": r"\s*>+\s*", ";": r"\s*;\s*", ",": r"\s*,\s*", "|": r"\s*\|\s*"}
_NAMES = frozenset("rank ranking ranks ranked order ordering ballot preference preferences vote".split())


def read_ballots(
    source: Source,
    ballot: str = "ballot",
    between: str = ">",
    annotator: str | None = None,
    prompt: str | None = None,
    count: str | None = None,
) -> PreferenceData:
    """Read a row per ranking that stands in one cell, best first.

    Args:
        source: a file or a table in memory.
        ballot: the column.
        between: what stands between the items: ``>``, ``;``, ``,`` or ``|``. With ``>``, ``=`` and ``~`` join items that tie.
        annotator, prompt, count: columns with who ranked, with the question, and with how often.

    Returns:
        Rankings of all items of the file; those that a row does not list lie below (``top`` answers).

    Raises:
        RowsError: rows that list an item twice, or fewer than two where everything is listed elsewhere.

    Example:
        >>> read_ballots([{"ballot": "tea > milk > juice"}, {"ballot": "milk > tea = juice"}]).answer.tolist()
        [[0, 1, 2], [1, 0, 2]]
    """
    if between not in _BETWEEN:
        raise ArgumentError(f"between={between!r}: one of {', '.join(_BETWEEN)}")
    table = read_table(source)
    cells = table.texts(ballot, "ballot").text()
    groups = [_groups(str(cell or ""), between) for cell in cells]
    names = list(dict.fromkeys(name for row in groups for group in row for name in group))
    code = {name: i for i, name in enumerate(names)}
    rank = np.full((len(groups), len(names)), np.nan)
    for row, found in enumerate(groups):
        listed = [name for group in found for name in group]
        if not listed or len(set(listed)) < len(listed):
            table.errors.add(row, f"{ballot} lists {'an item twice' if listed else 'nothing'}")
        for place, group in enumerate(found):
            rank[row, [code[name] for name in group]] = place + 1.0
    table.errors.raise_if_any("list every item at most once, best first")
    warn_similar(table.name, names, has_merge=False)
    menu = np.broadcast_to(np.arange(len(names)), rank.shape)
    used = [annotator, prompt, count]
    return ranked(table, source, "ballots", Items(names=names), menu, rank, used, [ballot], below=True)


def _groups(cell: str, between: str) -> list[list[str]]:
    """The items of a cell, best first, those that tie together."""
    text = cell.strip().strip("[](){}")
    parts = [part for part in re.split(_BETWEEN[between], text) if not blank(part)]
    split = [re.split(r"\s*[=~]\s*", part) if between == ">" else [part] for part in parts]
    return [[name.strip().strip("\"'") for name in group] for group in split]


def recognise_ballots(seen: Seen) -> Reading | None:
    """The only column whose cells list the same items in several orders."""
    found = [(name, mark) for name in seen.columns if (mark := _mark(seen, name)) is not None]
    if len(found) != 1:
        return None
    column, mark = found[0]
    options, more = people_and_counts(seen, {column})
    kept: dict[str, object] = {name: options[name] for name in ("annotator", "prompt", "count") if name in options}
    return Reading(
        f"{column} holds rankings, best first, with {mark!r} between items{more}",
        {"ballot": column, "between": mark, **kept},
    )


def _mark(seen: Seen, column: str) -> str | None:
    """What stands between the items of a column of rankings: of all items in each row, in more than one order."""
    if seen.kind(column) not in ("text", "list") or seen.is_metadata(column):
        return None
    head = dict.fromkeys(cell_text(cell) for cell in seen.table.head(column, 2000))
    cells = [cell for cell in head if cell is not None and not blank(cell)]
    for mark in _BETWEEN:
        rows = [[name for group in _groups(cell, mark) for name in group] for cell in cells]
        longest = max(map(len, rows), default=0)
        items = {name for row in rows for name in row}
        if longest < 3 or any(len(set(row)) < len(row) for row in rows) or len(rows) < 2:
            continue
        named = mark == ">" or bool(_NAMES & set(tokens(column)))
        whole = sum(len(row) == len(items) for row in rows)
        if len(items) <= 60 and (whole == len(rows) or named and whole > len(rows) / 2):
            return mark if named or len({tuple(row) for row in rows}) > 1 else None
    return None
