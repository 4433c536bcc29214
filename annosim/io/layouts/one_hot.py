"""A row per vote with one flag for each outcome, one of which is set: ``Answer.choice.left, .right, .tie``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from annosim.data.preferences import PreferenceData
from annosim.data.writers.pairs import OUTCOMES
from annosim.errors import ArgumentError
from annosim.io.format import EXPORTER, Reading
from annosim.io.layouts.responses import read_responses
from annosim.io.layouts.sides import TEXTS, WINS, Sides, measured, sides_of
from annosim.io.layouts.winners import people_and_counts, winner_of
from annosim.io.layouts.words import Meaning, side_of_word
from annosim.io.pairs import read_csv
from annosim.io.seen import Seen, blank, tokens
from annosim.io.sources import Source, read_table
from annosim.io.tables import Table, cell_text

__all__ = ["is_flag", "is_set", "read_one_hot", "recognise_one_hot"]

_SET = frozenset("true 1 1.0 yes y x on checked selected t".split())
_UNSET = frozenset("false 0 0.0 no n off unchecked f".split())


def read_one_hot(
    source: Source,
    flags: Mapping[str, str],
    left: str = "left",
    right: str = "right",
    annotator: str | None = None,
    prompt: str | None = None,
    texts: bool = False,
    merge: bool = False,
) -> PreferenceData:
    """Read a row per vote with a flag for each outcome.

    Args:
        source: a file or a table in memory.
        flags: the columns and what each means where it is set: left, right, tie or skip. A row without a flag is a skip.
        left, right, annotator, prompt, merge: as in :func:`annosim.io.read_csv`.
        texts: whether the sides hold texts to be read as responses (:func:`annosim.io.read_responses`).

    Raises:
        RowsError: a row with several flags, or a cell that is neither true nor false.
        ArgumentError: an outcome of another name.

    Example:
        >>> row = {"left": "tea", "right": "milk", "choice.left": False, "choice.right": True}
        >>> read_one_hot([row], {"choice.left": "left", "choice.right": "right"}).answer.tolist()
        [1]
    """
    odd = next((meaning for meaning in flags.values() if meaning not in OUTCOMES), None)
    if odd is not None or not flags:
        raise ArgumentError(f"flags={dict(flags)!r:.60}: columns and what they mean: {', '.join(OUTCOMES)}")
    table = read_table(source)
    chosen = np.stack([_flags(table, column) for column in flags], 1)
    count = chosen.sum(1)
    table.errors.add_where(count > 1, lambda r: f"{count[r]} of {', '.join(flags)[:80]} are set")
    table.errors.raise_if_any("set one flag of every row, or none where nobody answered")
    said = np.array([*flags.values()], dtype=object)[chosen.argmax(1)]
    voted = table.with_column("outcome of the flags", np.where(count == 0, "skip", said))
    if texts:
        data = read_responses(voted, left, right, "outcome of the flags", prompt, annotator, _ALL)
    else:
        data = read_csv(voted, annotator, left, right, "outcome of the flags", prompt=prompt, words=_ALL, merge=merge)
    columns = {name: values for name, values in data.columns.items() if name not in flags}
    return data.with_(columns=columns, settings={**data.settings, "format": "one-hot"})


_ALL = {outcome: outcome for outcome in OUTCOMES}


def _flags(table: Table, column: str) -> NDArray[np.bool_]:
    texts = table.texts(column, "flags")
    known = [_flag("" if name is None else str(name)) for name in texts.names]
    odd = np.array([one is None for one in known])[texts.codes]
    table.errors.add_where(odd, lambda r: f"{column} {str(texts.names[texts.codes[r]])[:40]!r} is not true or false")
    return np.array([bool(one) for one in known])[texts.codes]


def _flag(text: str) -> bool | None:
    word = text.strip().casefold()
    return word in _SET if word in _SET or word in _UNSET or blank(word) else None


def is_set(word: str) -> bool:
    """Whether a word of a flag says that it is set."""
    return bool(_flag(word))


def is_flag(seen: Seen, column: str) -> bool:
    """Whether a column holds nothing but true and false, in any of the usual words."""
    head = (cell_text(cell) for cell in seen.table.head(column, 200))
    if any(text is None or _flag(text) is None for text in head):
        return False  # long texts are not looked at as a whole
    return seen.kind(column) in ("text", "number", "flag", "empty") and all(
        _flag(word) is not None for word in seen.words(column)
    )


def recognise_one_hot(seen: Seen) -> Reading | None:
    """Columns that differ in the word for a side, one of which is set in every row."""
    sides, texts = sides_of(seen), False
    if sides is None:
        sides, texts = sides_of(seen, TEXTS), True
    if sides is None:
        return None
    flags = _outcomes(seen, sides)
    if flags is None or (measured(seen, sides, WINS) is not None and len(flags) < 4):
        return None
    said_otherwise = winner_of(seen, sides)
    if said_otherwise is not None and said_otherwise[0] not in flags and isinstance(said_otherwise[1], Meaning):
        return None  # flags of something else, such as which side is longer
    options, more = people_and_counts(seen, {sides.left, sides.right, *flags})
    kept: dict[str, object] = {name: options[name] for name in ("annotator", "prompt") if name in options}
    said = ", ".join(f"{column} ({meaning})" for column, meaning in flags.items())
    why = f"{sides.left} and {sides.right} are the sides, one of {said} is set{more}"
    where = {"left": sides.left, "right": sides.right, "flags": flags, "texts": texts}
    return Reading(why, {**where, **kept}, EXPORTER)


def _outcomes(seen: Seen, sides: Sides) -> dict[str, str] | None:
    """The flags and what they mean: all that begin alike and end with a word for an outcome."""
    groups: dict[tuple[str, ...], dict[str, str]] = {}
    for name in seen.columns:
        if name in (sides.left, sides.right) or not is_flag(seen, name):
            continue
        parts = tokens(name)
        for cut in range(len(parts)):
            meaning = side_of_word("_".join(parts[cut:]), sides)
            if meaning is not None:
                groups.setdefault(parts[:cut], {})[name] = meaning
    for flags in sorted(groups.values(), key=len, reverse=True):
        said = list(flags.values())
        if said.count("left") == said.count("right") == 1 and _is_exclusive(seen, list(flags)):
            return flags
    return None


def _is_exclusive(seen: Seen, columns: list[str]) -> bool:
    """Whether one flag is set in (almost) every row, never two, and both sides win somewhere."""
    chosen = np.stack([_flags(seen.table, column) for column in columns], 1)
    count = chosen.sum(1)
    return bool((count <= 1).all() and (count == 1).mean() > 0.8 and chosen.any(0).sum() > 1)
