"""Pairs in tables: one row per vote, with a column for each side and one for the winner."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from annosim.data.preferences import PreferenceData
from annosim.data.sides import Sides
from annosim.data.writers.pairs import OUTCOMES
from annosim.errors import ArgumentError, DataError, TooLargeError
from annosim.io.names import merge_names, name_key, similar_names
from annosim.io.seen import as_number
from annosim.io.sources import Source, read_table, source_name
from annosim.io.tables import Coded, Table, factorize
from annosim.items import Items

__all__ = ["WORDS", "read_csv"]

#: What a winner cell may say, and what it means.
WORDS: Mapping[str, str] = {"left": "left", "right": "right", "tie": "tie", "skip": "skip"}

_REMEDY = "fix these rows"
_REMEDY_OF_WINNERS = "fix the rows, or say what words mean: words={'won': 'left'} (left, right, tie, skip)"
#: Unknown words that a remedy lists, and their characters.
_MOST_UNKNOWN, _LONGEST_UNKNOWN = 5, 62
_MAX_ROWS = 100_000_000


def read_csv(
    source: Source,
    annotator: str | None = None,
    left: str = "left",
    right: str = "right",
    winner: str = "winner",
    prompt: str | None = None,
    weight: str | None = None,
    order: str | None = None,
    words: Mapping[str, str] | None = None,
    winner_is: Literal["side", "item", "column", "index", "score", "difference"] = "side",
    items: Items | None = None,
    sep: str | None = None,
    count: str | None = None,
    merge: bool = False,
    swapped: str | None = None,
    loser: bool = False,
) -> PreferenceData:
    """Read pairwise votes, one per row.

    Args:
        source: a file with a header (CSV, TSV, JSON lines, JSON or parquet; UTF-8; ``.gz`` is unpacked), a pandas
            frame, an Arrow table, a ``datasets.Dataset`` or a list of records.
        annotator: column with who voted; without it every row is its own annotator.
        left, right: columns with the names of the two items, in display order.
        winner: column with the answer.
        prompt: column with the context of the question (``data.prompt``, ``data.prompt_names``).
        weight: column with the weight of the annotator, equal on all rows of one.
        order: column with the place of the vote in the annotator's own sequence, or with the time when it was given (a
            date, or seconds since some day): then votes are numbered in that order, each annotator's from 0.
        words: what the words in ``winner`` mean: ``{"their word": "left" | "right" | "tie" | "skip"}``;
            by default :data:`WORDS`. A word that is not listed is an error, never a tie. ``""`` is an empty cell.
        winner_is: ``"side"`` (a word of ``words``), ``"item"`` (the winning item's name, or a word for tie or skip),
            ``"column"`` (the name of the winning side's column, or such a word), ``"index"`` (``0`` left, ``1`` right),
            ``"score"`` (``1`` left, ``0`` right), ``"difference"`` (a number above 0 left, below 0 right, 0 a tie). Numbers
            of ``"index"`` and ``"score"`` may lie between: 0.5 is a tie where there are
            no others, and where there are each is a probability: its row becomes two, with the shares as weights
            (``columns["voter"]`` and ``columns["vote"]`` are the annotator and the row that they come from, and the
            annotators' column stays a column: a weight belongs to an annotator, so that such rows have none).
        items: an item set whose names the file uses; by default the names in order of first appearance.
        sep: the separator; by default a tab in ``.tsv`` files, else what the header uses.
        count: column with how often the vote was given (a frequency): its row stands for as many votes. Fractions are
            frequency weights; votes of annotators are given a whole number of times.
        merge: names that differ only by spaces, case or the format of a number are one item; by default a warning
            names them.
        swapped: column that is true where ``right`` was displayed on the left; there ``winner`` says which side won as it was
            displayed. ``"none"`` is no column.
        loser: the column ``winner`` says who lost.

    Returns:
        :class:`PreferenceData` of pairs. All further columns are kept in ``data.columns``.

    Raises:
        FileReadError: missing, unreadable or empty file, or a column that is not there.
        RowsError: malformed rows, up to twenty at once with their line numbers.
        ArgumentError: ``words`` or ``winner_is`` has a value that is not allowed.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "votes.csv"
        >>> _ = path.write_text("who,left,right,winner\\nann,tea,milk,left\\nbob,milk,tea,tie\\n")
        >>> read_csv(path, annotator="who")
        PreferenceData(2 rows, choice from menus of 2, 2 annotators, 2 items, ties)
    """
    table = without_self(read_table(source, sep), left, right, merge)
    menu, items = name_items(table, [table.coded(left, "left"), table.coded(right, "right")], items, merge)
    share, unknown = None, []
    swapped = None if swapped == "none" else swapped
    if swapped is not None:
        menu = np.where(read_flags(table, swapped)[:, None], menu[:, ::-1], menu)
    if winner_is in ("score", "index", "difference"):
        outcome, share = read_scores(table, winner, winner_is, words)
    else:
        answers = table.coded(winner, "winner", blank=True)
        outcome = read_winner(table, answers, menu, items, winner_is, words, (left, right), winner)
        codes = _word_codes(winner_is, words, (left, right))
        unknown = [word for word in answers.names if word not in codes] if winner_is in ("side", "column") else []
    table.errors.raise_if_any(_words_remedy(unknown, left, right) if unknown else _REMEDY_OF_WINNERS)
    if loser:
        outcome = np.where(outcome < 2, 1 - outcome, outcome)
        share = None if share is None else 1.0 - share
    people = None if annotator is None else table.people(annotator)
    context = None if prompt is None else table.coded(prompt, "prompt")
    weights = None if weight is None else table.numbers(weight, "weight")
    place = None if order is None else read_order(table, order, people)
    times = None if count is None else read_counts(table, count, whole=people is not None or weights is not None)
    check_weights(table, people, weights, weight)
    table.errors.raise_if_any(_REMEDY)
    columns = table.others([left, right, winner, annotator, prompt, weight, order, count, swapped])
    settings = {"source": source_name(source), "format": "pairs"}
    data = pair_data(menu, outcome, items, people, context, weights, place, columns, settings)
    data = data if times is None or share is not None else repeated(data, times)
    return data if share is None else shared(data, share, times, annotator)


def _words_remedy(unknown: Sequence[str], left: str, right: str) -> str:
    """What the unknown words may mean, to be completed: ``...`` stands for a meaning that no word tells."""
    from annosim.io.layouts.words import side_of_word  # which is about recognition, and loads its modules

    sides, length = Sides(left, right, "", ("left", "right")), 0
    said: list[str] = []
    for word in unknown[:_MOST_UNKNOWN]:
        one = f"{word!r}: '{side_of_word(word, sides) or '...'}'"
        length += len(one) + 2
        if said and length > _LONGEST_UNKNOWN:
            break
        said.append(one if len(one) <= _LONGEST_UNKNOWN else f"{word[:30] + '...'!r}: '...'")
    more = f" and {len(unknown) - len(said)} more" if len(said) < len(unknown) else ""
    return f"fix the rows, or say words={{{', '.join(said)}}}{more} (left, right, tie, skip)"


def without_self(table: Table, left: str, right: str, merge: bool | None = False) -> Table:
    """The rows that compare two items. Those of an item against itself say nothing; they are left out, which is said.

    Data as such may hold an item twice on a menu (designs draw with replacement): only a file that does is in error.

    Raises:
        DataError: no other row.
    """
    place: dict[str, int] = {}
    sides = []
    for column, option, empty in ((left, "left", -1), (right, "right", -2)):  # that a cell is empty is said by others
        texts = table.texts(column, option)
        keys = [name and (name_key(name) if merge else name) for name in texts.names]
        sides.append(np.array([place.setdefault(k, len(place)) if k else empty for k in keys])[texts.codes])
    return without_rows(table, sides[0] == sides[1], f"{left} and {right}")


def without_rows(table: Table, same: NDArray[np.bool_], sides: str) -> Table:
    """The rows whose two sides are not the same, which is said."""
    if not same.any():
        return table
    if same.all():
        raise DataError(f"{table.name}: {sides} are the same in every row; check which columns hold the two sides")
    one = "compares an item with itself and is left out"
    table.say(same, one, "compare an item with itself and are left out")
    return table.where(~same)


def read_flags(table: Table, column: str) -> NDArray[np.bool_]:
    """Where a cell is true; an empty one is false."""
    texts = table.coded(column, column, blank=True)
    known = dict.fromkeys(["true", "1", "1.0", "yes", "tie", "draw"], 1)
    known |= dict.fromkeys(["false", "0", "0.0", "no", ""], 0)
    found = np.array([known.get(str(name).strip().casefold(), -1) for name in texts.names])[texts.codes]
    table.errors.add_where(found < 0, lambda r: f"{column} {texts.names[texts.codes[r]][:40]!r} is not true or false")
    return found > 0


def read_scores(
    table: Table, column: str, winner_is: str, words: Mapping[str, str] | None
) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
    """Outcomes as numbers: their codes, and the share of the left side where some lie between 0, 0.5 and 1."""
    answers = table.coded(column, "winner", blank=True)
    code = _word_codes(winner_is, words, ("", ""))
    meaning = np.array([code.get(name, -1) if name not in ("0", "1") else -1 for name in answers.names], dtype=np.int64)
    value = np.array([as_number(name) for name in answers.names], dtype=np.float64)
    if winner_is == "difference":
        value = (np.sign(value) + 1.0) / 2.0
    left = 1.0 - value if winner_is == "index" else value
    inside = (meaning < 0) & (value >= 0) & (value <= 1)
    table.errors.add_where(
        ~(inside | (meaning >= 0))[answers.codes],
        lambda r: (
            f"{column} {_cut(answers.names[answers.codes[r]])} is no number{'' if winner_is == 'difference' else ' from 0 to 1'}"
        ),
    )
    simple = np.isin(left, (0.0, 0.5, 1.0)) | ~inside
    outcome = np.select([inside & (left == 0.5), inside & (left > 0.5), inside], [2, 0, 1], np.maximum(meaning, 0))
    if simple.all():
        return outcome[answers.codes], None
    tie = outcome == 2
    share = np.where(inside, left, np.select([tie, outcome == 0, outcome == 1], [0.5, 1.0, 0.0], np.nan))
    return np.where(tie, 0, outcome)[answers.codes], share[answers.codes]


def shared(
    data: PreferenceData,
    share: NDArray[np.float64],
    times: NDArray[np.float64] | None = None,
    annotator: str | None = None,
) -> PreferenceData:
    """Each row as two whose weights are the shares of its sides (``share`` of the left one; NaN: one row as it is).

    A weight belongs to an annotator, so that these rows have none; who answered is the column of that name.
    """
    source = np.repeat(np.arange(data.rows), 2)
    whole = np.isnan(share)
    weight = np.stack([np.where(whole, 1.0, share), np.where(whole, 0.0, 1.0 - share)], 1).ravel()
    weight *= data.row_weight[source] * (1.0 if times is None else times[source])
    answer = np.where(whole[source], data.answer[source], np.tile([0, 1], data.rows))
    kept = np.flatnonzero(weight > 0)
    out, voter = data.take(source[kept]), data.annotator_ids[source[kept]]
    named = {} if annotator is None or data.annotator_names is None else {annotator: data.annotator_names[voter]}
    return out.with_(
        answer=answer[kept],
        weight=weight[kept],
        annotator=None,
        annotator_names=None,
        order=None,
        columns={**out.columns, **named, "voter": voter, "vote": source[kept]},
    )


def read_winner(
    table: Table,
    answers: Coded,
    menu: NDArray[np.int64],
    items: Items,
    winner_is: str,
    words: Mapping[str, str] | None,
    columns: tuple[str, str],
    name: str = "winner",
) -> NDArray[np.int64]:
    """What each winner cell means: 0 left, 1 right, 2 tie, 3 skip, ``(rows,)``; unknown cells are row errors."""
    code = _word_codes(winner_is, words, columns)
    meaning = np.array([code.get(name, -1) for name in answers.names], dtype=np.int64)[answers.codes]
    if winner_is == "item":
        ids = {name: i for i, name in enumerate(items.names)}
        won = np.array([ids.get(name, -1) for name in answers.names], dtype=np.int64)[answers.codes]
        meaning = np.where(won == menu[:, 1], 1, meaning)
        meaning = np.where(won == menu[:, 0], 0, meaning)
        meaning = np.where(meaning < 0, _of_similar(answers, menu, items), meaning)

    first = answers.codes[int((meaning < 0).argmax())]  # what is accepted is said once

    def describe(row: int) -> str:
        word, here = answers.names[answers.codes[row]], [items.names[i] for i in menu[row]]
        if answers.codes[row] != first and winner_is != "item":
            return f"{name} {_cut(word)} is unknown"
        accepted = [*here, *code] if winner_is == "item" else list(code)
        hint = " (an item's name? then winner_is=item)" if winner_is == "side" and word in here else ""
        return f"{name} {_cut(word)} is unknown{hint}; accepted: {', '.join(map(_cut, accepted))}"

    table.errors.add_where(meaning < 0, describe)
    return np.maximum(meaning, 0)


def _of_similar(answers: Coded, menu: NDArray[np.int64], items: Items) -> NDArray[np.int64]:
    """The side whose name differs from the answer only in case, spaces or number format; -1 where that is none or both."""
    known: dict[str, int] = {}
    of_item = np.array([known.setdefault(name_key(name), len(known)) for name in items.names], dtype=np.int64)
    said = np.array([known.get(name_key(name), -1) if name else -1 for name in answers.names], dtype=np.int64)
    same = of_item[menu] == said[answers.codes][:, None]
    return np.select([same.all(1), same[:, 0], same[:, 1]], [-1, 0, 1], -1)


def _cut(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _word_codes(winner_is: str, words: Mapping[str, str] | None, columns: tuple[str, str]) -> dict[str, int]:
    """The code of each word that a winner cell may hold."""
    words = dict(WORDS if words is None else words)
    for word, meaning in words.items():
        if meaning not in OUTCOMES:
            raise ArgumentError(f"words[{word!r}]={meaning!r}: a winner word means one of {', '.join(OUTCOMES)}")
    if winner_is not in ("side", "item", "column", "index", "score", "difference"):
        raise ArgumentError(f"winner_is={winner_is!r}: one of side, item, column, index, score, difference")
    if winner_is != "side":
        draws = {word: meaning for word, meaning in words.items() if meaning in ("tie", "skip")}
        sides = {"column": columns, "index": ("0", "1")}.get(winner_is, ())
        words = {**dict(zip(sides, ("left", "right"), strict=False)), **draws}
    return {word: OUTCOMES.index(meaning) for word, meaning in words.items()}


def name_items(
    table: Table, sides: Sequence[Coded], items: Items | None, merge: bool | None = False
) -> tuple[NDArray[np.int64], Items]:
    """Item ids ``(rows, sides)`` of columns of names; with a given item set an unknown name is a row error."""
    offsets = np.cumsum([0, *(len(side.names) for side in sides)])
    names = np.concatenate([side.names for side in sides])
    cells = np.stack([side.codes.astype(np.int32) + np.int32(at) for side, at in zip(sides, offsets, strict=False)], 1)
    if merge:
        names = merge_names(names)
    if items is not None:
        ids = {name: i for i, name in enumerate(items.names)}
        codes = np.array([ids.get(name, -1) for name in names], dtype=np.int64)[cells]
        table.errors.add_where(
            (codes < 0).any(-1),
            lambda r: f"item {_cut(names[cells[r]][codes[r] < 0][0])} is not in items=; it has {items.n} names",
        )
        return np.maximum(codes, 0), items
    code_of, distinct = factorize(names)
    flat = code_of.astype(np.int32)[cells].ravel()
    first = np.full(len(distinct), len(flat), dtype=np.int64)
    first[flat[::-1]] = np.arange(len(flat) - 1, -1, -1)  # the last one written is the first that appears
    order = np.argsort(first, kind="stable")[: int((first < len(flat)).sum())]
    place = np.empty(len(distinct), dtype=np.int64)
    place[order] = np.arange(len(order))
    found = distinct[order]
    warn_similar(table.name, found, has_merge=merge is not None)
    return place[flat].reshape(cells.shape), Items(names=found)


def warn_similar(source: str, names: Sequence[str] | NDArray[np.object_], has_merge: bool = True) -> None:
    """Say which names differ only by spaces, case or the format of a number, and what makes them one item."""
    pairs = similar_names(names)
    if pairs:
        shown = "; ".join(f"{a!r} and {b!r}" for a, b in pairs[:3])
        more = f" and {len(pairs) - 3} more" if len(pairs) > 3 else ""
        how = (
            "merge=True makes each pair one item" if has_merge else "if they are one item, write them alike in the file"
        )
        warnings.warn(
            f"{source}: names of items that differ only by spaces, case or number format: {shown}{more}; {how}",
            stacklevel=3,
        )


def check_weights(table: Table, people: Coded | None, weight: NDArray[np.float64] | None, name: str | None) -> None:
    """Weights are nonnegative, and equal on all rows of one annotator."""
    if weight is None:
        return
    table.errors.add_where(weight < 0, lambda r: f"{name} {weight[r]:g} is negative")
    if people is not None:
        first = np.empty(len(people.names))
        first[people.codes[::-1]] = weight[::-1]
        differs = first[people.codes] != weight
        table.errors.add_where(
            differs,
            lambda r: (
                f"{name} {weight[r]:g} differs from {first[people.codes[r]]:g} on the first row of "
                f"{_cut(people.names[people.codes[r]])}"
            ),
        )
        if differs.any():
            table.errors.raise_if_any(
                f"a weight belongs to an annotator; if {name} counts votes, say count={name} instead of weight={name}"
            )


#: numbers from which on a column of places holds times
_TIMES = 1e7


def read_order(table: Table, column: str, people: Coded | None) -> NDArray[np.float64]:
    """Places in each annotator's sequence: whole numbers as they are, times numbered from 0 within an annotator."""
    texts = table.texts(column, "order")
    cells = pd.Series([name or "" for name in texts.names], dtype=object)
    value = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isnan(value).all():
        stamps = pd.to_datetime(cells, errors="coerce", utc=True, format="mixed")
        value = np.where(stamps.isna(), np.nan, stamps.astype("int64").to_numpy().astype(np.float64))
    elif not (value >= _TIMES).any():
        return table.numbers(column, "order", whole=True)
    time = value[texts.codes]
    table.errors.add_where(
        ~np.isfinite(time), lambda r: f"{column} {_cut(str(texts.names[texts.codes[r]]))} is no place and no time"
    )
    owner = np.arange(len(time)) if people is None else people.codes
    by = np.lexsort((np.arange(len(time)), time, owner))
    start = np.r_[0, np.flatnonzero(np.diff(owner[by])) + 1]
    place = np.empty(len(time))
    place[by] = np.arange(len(time)) - np.repeat(start, np.diff(np.r_[start, len(time)]))
    return place


def read_counts(table: Table, column: str, whole: bool = False) -> NDArray[np.float64]:
    """How often each row was given, ``(rows,)``: numbers that are not negative.

    Fractions are frequency weights; rows that are repeated (``whole``, as those of an annotator are) are whole numbers.
    """
    times = table.numbers(column, "count")
    table.errors.add_where(times < 0, lambda r: f"{column} {times[r]:g} is negative")
    if whole:
        table.errors.add_where(
            times != np.round(times),
            lambda r: (
                f"{column} {times[r]:g} is not a whole number, and an annotator answers a whole number of times; "
                "leave the annotators out to read it as a weight"
            ),
        )
        if times.sum() > _MAX_ROWS:
            raise TooLargeError(
                f"{table.name}: {column} counts {times.sum():.3g} votes (limit {_MAX_ROWS}); use weights"
            )
    return times


def repeated(data: PreferenceData, times: NDArray[np.float64]) -> PreferenceData:
    """Each row as often as it was given; without annotators its count, whole or not, becomes the weight of its row."""
    if data.annotator is None and data.weight is None:
        return data.with_(weight=times)
    return data.take(np.repeat(np.arange(data.rows), times.astype(np.int64))).with_(order=None)


def pair_data(
    menu: NDArray[np.int64],
    outcome: NDArray[np.int64],
    items: Items,
    annotator: Coded | None = None,
    prompt: Coded | None = None,
    weight: NDArray[np.float64] | None = None,
    order: NDArray[np.float64] | None = None,
    columns: Mapping[str, np.ndarray] | None = None,
    settings: Mapping[str, object] | None = None,
) -> PreferenceData:
    """Pairs from coded answers (0 left, 1 right, 2 tie, 3 skip) and from names of annotators and prompts."""
    outcome = outcome.astype(np.int8)
    tie = outcome == 2
    answer, tied = np.where(outcome == 3, np.int8(-1), outcome), None
    if tie.any():
        second = np.where(tie, np.int8(1), np.int8(-1))
        answer, tied = np.stack([np.where(tie, np.int8(0), answer), second], 1), tie[:, None]
    return PreferenceData(
        items=items,
        menu=menu,
        answer=answer,
        tied=tied,
        annotator=None if annotator is None else annotator.codes,
        prompt=None if prompt is None else prompt.codes,
        order=order,
        weight=weight,
        annotator_names=None if annotator is None else annotator.names,
        prompt_names=None if prompt is None else prompt.names,
        columns=columns,
        settings=settings,
    )
