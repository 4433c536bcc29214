"""Rankings in tables: a column of ranks for each item, a column of items for each place, or a row for each rank."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from annosim.data.preferences import PreferenceData
from annosim.data.sides import MARKS, OUTCOMES
from annosim.errors import TooLargeError
from annosim.feedback import Feedback
from annosim.io.format import Question, Reading
from annosim.io.layouts.winners import people_and_counts
from annosim.io.names import merge_names
from annosim.io.pairs import read_counts, repeated, warn_similar
from annosim.io.seen import Seen, as_number, blank, plain, tokens
from annosim.io.sources import Source, read_table, source_name
from annosim.io.tables import Table, factorize
from annosim.items import Items

__all__ = [
    "ranked",
    "read_places",
    "read_rank_rows",
    "read_ranks",
    "recognise_places",
    "recognise_rank_rows",
    "recognise_ranks",
]

_MAX_CELLS = 200_000_000
_PLACES = "first second third fourth fifth sixth seventh eighth ninth tenth".split()
_RANKS = "rank ranking position place order rk pos".split()
_ITEMS = (
    "item alternative candidate option product name brand choice object stimulus model team player driver driver_id rider runner "
    "athlete horse contestant country image image_path response completion"
).split()
_CONTESTS = "match match_id game game_id heat heat_id round_id battle_id".split()
_BALLOTS = "ballot ballot_id ranking_id list_id question question_id task task_id set race race_id id session group contest prompt prompt_id".split()


def read_ranks(
    source: Source,
    items: Sequence[str] = (),
    annotator: str | None = None,
    prompt: str | None = None,
    count: str | None = None,
    high: bool = False,
    missing: Sequence[str] = (),
) -> PreferenceData:
    """Read a row per ranking with a column of ranks for each item: 1 is best, equal ranks tie, empty is not shown.

    Args:
        source: a file or a table in memory.
        items: the columns of ranks; by default all others. A stem that they share (``rank_``) is no part of the names.
        annotator, prompt, count: columns with who ranked, with the question, and with how often.
        high: the highest number is best, as points and votes are.
        missing: cells that say that the item was not ranked, as empty ones do.

    Raises:
        RowsError: ranks that are not numbers, or rows that rank fewer than two items.

    Example:
        >>> read_ranks([{"tea": 2, "milk": 1, "juice": 3}]).answer.tolist()
        [[1, 0, 2]]
    """
    table = read_table(source)
    used = [annotator, prompt, count]
    columns = list(items) or [name for name in table.columns if name not in used]
    texts = np.stack([table.texts(name, "items").text() for name in columns], 1)
    texts = np.where(np.isin(texts.astype(str), [str(code) for code in missing]), "", texts)
    shown = np.array([[cell is not None and not blank(cell) for cell in row] for row in texts])
    ranks = np.array([[_number(cell) for cell in row] for row in texts], dtype=np.float64)
    table.errors.add_where((shown & np.isnan(ranks)).any(1), lambda r: f"a rank is no number: {_odd(texts[r])}")
    table.errors.add_where(shown.sum(1) < 2, lambda r: "fewer than two items are ranked")
    table.errors.raise_if_any("write ranks 1, 2, ...; leave cells of items that were not shown empty")
    ids = np.broadcast_to(np.arange(len(columns)), ranks.shape)
    ranks = np.where(shown, -ranks if high else ranks, np.nan)
    return ranked(table, source, "ranks", Items(names=without_stem(columns)), ids, ranks, used, columns)


def read_places(
    source: Source,
    places: Sequence[str] = (),
    annotator: str | None = None,
    prompt: str | None = None,
    count: str | None = None,
    merge: bool = False,
) -> PreferenceData:
    """Read a row per ranking with a column for each place, best first, that holds the item there.

    Items that a row does not list lie below those that it lists (``top`` answers); the menu is all items of the file.

    Args:
        source: a file or a table in memory.
        places: the columns, best first; by default all others.
        annotator, prompt, count: columns with who ranked, with the question, and with how often.
        merge: as in :func:`annosim.io.read_csv`.

    Raises:
        RowsError: rows that list an item twice, nothing, or go on after an empty place.

    Example:
        >>> data = read_places([{"first": "milk", "second": "tea"}, {"first": "tea", "second": "milk"}])
        >>> data.items.names, data.answer.tolist()
        (('milk', 'tea'), [[0, 1], [1, 0]])
    """
    table = read_table(source)
    used = [annotator, prompt, count]
    columns = list(places) or [name for name in table.columns if name not in used]
    cells = np.stack([table.texts(name, "places").text() for name in columns], 1)
    shown = np.array([[cell is not None and not blank(cell) for cell in row] for row in cells])
    text = np.where(shown, cells, "")
    coded = factorize(merge_names(text.ravel()) if merge else text.ravel())
    names = [name for name in coded.names if name != ""]
    code = {name: i for i, name in enumerate(names)}
    ids = np.array([code.get(name, -1) for name in coded.names])[coded.codes].reshape(text.shape)
    gap = shown[:, 1:] & ~shown[:, :-1]
    table.errors.add_where(gap.any(1), lambda r: "a place is filled after an empty one")
    table.errors.add_where(~shown[:, 0], lambda r: f"{columns[0]} is empty")
    twice = np.array([len({i for i in row if i >= 0}) < (row >= 0).sum() for row in ids])
    table.errors.add_where(twice, lambda r: "an item is listed twice")
    table.errors.raise_if_any("list every item at most once, best first")
    warn_similar(table.name, names)
    rank = np.full((len(ids), len(names)), np.nan)
    row, place = np.nonzero(ids >= 0)
    rank[row, ids[row, place]] = place + 1.0
    menu = np.broadcast_to(np.arange(len(names)), rank.shape)
    return ranked(table, source, "places", Items(names=names), menu, rank, used, columns, below=True)


def read_rank_rows(
    source: Source,
    item: str = "item",
    rank: str = "rank",
    ballot: Sequence[str] = (),
    annotator: str | None = None,
    merge: bool = False,
    high: bool = False,
) -> PreferenceData:
    """Read a row per ranked item: the ballot it belongs to, its name and its rank (1 is best, equal ranks tie).

    Args:
        source: a file or a table in memory.
        item, rank: the columns.
        ballot: columns that say together which rows are one ranking; by default the annotator's.
        annotator: column with who ranked.
        merge: as in :func:`annosim.io.read_csv`.
        high: the highest number is best, as points are.

    Raises:
        RowsError: ranks that are not numbers, items that are listed twice, or ballots of one item.

    Example:
        >>> rows = [{"who": "ann", "item": "tea", "rank": 2}, {"who": "ann", "item": "milk", "rank": 1}]
        >>> read_rank_rows(rows, annotator="who").answer.tolist()
        [[1, 0]]
    """
    table = read_table(source)
    keys = list(ballot) or ([annotator] if annotator is not None else [])
    names = table.coded(item, "item")
    if merge:
        names = factorize(merge_names(names.text()))
    value = -table.numbers(rank, "rank") if high else table.numbers(rank, "rank")
    of = np.zeros(len(table), dtype=np.int64)
    for key in keys:
        part = table.coded(key, "ballot")
        of = factorize(of * len(part.names) + part.codes).codes
    twice = factorize(of * len(names.names) + names.codes)
    table.errors.add_where(
        _again(twice.codes), lambda r: f"{names.names[names.codes[r]]!r:.40} is ranked twice on its ballot"
    )
    size = np.bincount(of)
    table.errors.add_where(size[of] < 2, lambda r: "its ballot ranks nothing else")
    table.errors.raise_if_any("give every ballot at least two items, each once, with ranks 1, 2, ...")
    width = int(size.max())
    if len(size) * width > _MAX_CELLS:
        raise TooLargeError(f"{table.name}: {len(size)} rankings of up to {width} items are too many to hold")
    order = np.argsort(of, kind="stable")
    place = np.empty(len(of), dtype=np.int64)
    place[order] = np.arange(len(of)) - np.repeat(np.cumsum(size) - size, size)
    menu, ranks = np.full((len(size), width), -1, dtype=np.int64), np.full((len(size), width), np.nan)
    menu[of, place], ranks[of, place] = names.codes, value
    first = order[np.cumsum(size) - size]
    people = None if annotator is None else factorize(table.people(annotator, of).text()[first])
    warn_similar(table.name, names.names)
    answer, tied = _orders(menu, ranks)
    return PreferenceData(
        Items(names=names.names),
        menu,
        answer,
        feedback="ranking",
        tied=tied,
        annotator=None if people is None else people.codes,
        annotator_names=None if people is None else people.names,
        settings={"source": source_name(source), "format": "rank-rows"},
    )


def _again(codes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which entries were there before."""
    first = np.unique(codes, return_index=True)[1]
    out = np.ones(len(codes), dtype=bool)
    out[first] = False
    return out


def ranked(
    table: Table,
    source: Source,
    name: str,
    items: Items,
    ids: NDArray[np.int64],
    ranks: NDArray[np.float64],
    used: Sequence[str | None],
    columns: Sequence[str],
    below: bool = False,
) -> PreferenceData:
    """Rankings from ranks ``(rows, items)``, NaN where there is none: not shown, or ``below`` those that are ranked."""
    annotator, prompt, count = used
    people = None if annotator is None else table.people(annotator)
    context = None if prompt is None else table.coded(prompt, "prompt")
    times = None if count is None else read_counts(table, count, whole=annotator is not None)
    table.errors.raise_if_any("fix these rows")
    if ranks.size > _MAX_CELLS:
        raise TooLargeError(f"{table.name}: {ranks.shape[0]} rankings of {ranks.shape[1]} items are too many to hold")
    missing = np.isnan(ranks)
    menu = np.array(ids)
    if not below and missing.any():
        menu, ranks = _packed(menu, ranks)
    answer, tied = _orders(menu, ranks)
    depth = int((~missing).sum(1).max())
    partial = below and bool(missing.any())
    data = PreferenceData(
        items,
        menu,
        answer,
        feedback=Feedback("top", depth=depth) if partial else Feedback("ranking"),
        tied=tied,
        annotator=None if people is None else people.codes,
        annotator_names=None if people is None else people.names,
        prompt=None if context is None else context.codes,
        prompt_names=None if context is None else context.names,
        columns=table.others([*used, *columns]),
        settings={"source": source_name(source), "format": name},
    )
    return data if times is None else repeated(data, times)


def _packed(menu: NDArray[np.int64], ranks: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Menus of what was shown, padded at the end."""
    order = np.argsort(np.isnan(ranks), axis=1, kind="stable")
    ranks = np.take_along_axis(ranks, order, 1)
    menu = np.where(np.isnan(ranks), -1, np.take_along_axis(menu, order, 1))
    width = int((menu >= 0).sum(1).max())
    return menu[:, :width], ranks[:, :width]


def _orders(menu: NDArray[np.int64], ranks: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
    """Positions, best first, -1 where there is no rank; and which neighbours are tied."""
    order = np.argsort(np.where(np.isnan(ranks), np.inf, ranks), axis=1, kind="stable")
    sorted_ = np.take_along_axis(ranks, order, 1)
    answer = np.where(np.isnan(sorted_), -1, order)
    tied = sorted_[:, 1:] == sorted_[:, :-1]
    return answer, tied if tied.any() else None


def _number(cell: object) -> float:
    number = as_number(cell) if isinstance(cell, str) else None
    return float("nan") if number is None else number


def _odd(cells: NDArray[np.object_]) -> str:
    found = next(cell for cell in cells if cell is None or (not blank(cell) and as_number(cell) is None))
    return repr(found)[:40]


def without_stem(columns: Sequence[str]) -> list[str]:
    """Names without what all of them begin or end with, such as ``rank_``; as they are where nothing would remain.

    Example:
        >>> without_stem(["rank_tea", "rank_milk"]), without_stem(["tea_rank", "milk_rank"]), without_stem(["a1", "a2"])
        (['tea', 'milk'], ['tea', 'milk'], ['a1', 'a2'])
    """
    for pattern in (
        r"^(?:rank(?:ing)?|rating|score|points|votes|r|likert|q)[ ._:-]+(.+)$",
        r"^(.+?)[ ._:-]+(?:rank(?:ing)?|rating|score|points|votes)$",
        *_of_question(columns),
    ):
        found = [re.match(pattern, name.strip(), re.IGNORECASE) for name in columns]
        if all(found):
            return [match[1] for match in found if match is not None]
    return [name.strip() for name in columns]


def _of_question(columns: Sequence[str]) -> list[str]:
    """The pattern of names that are one question with an item each: ``Please rank - tea``, ``Rate these [tea]``."""
    first = columns[0].strip()
    ends = [match.end() for match in re.finditer(r" - |: |\[", first)]
    found = [first[:end] for end in ends if all(name.strip().startswith(first[:end]) for name in columns)]
    return [rf"^{re.escape(found[-1])}\s*(.+?)\s*\]?$"] if found and len(columns) > 1 else []


# ---- recognition ---------------------------------------------------------------------------------------------------


def rank_columns(seen: Seen) -> list[str]:
    """The columns that hold ranks: named so, else all numbers that are ranks in (almost) every row."""
    named = [name for name in seen.columns if set(tokens(name)) & {"rank", "ranking"} and len(tokens(name)) > 1]
    of = {frozenset(tokens(name)) - {"rank", "ranking"} for name in named}
    sides = any({frozenset([one]), frozenset([two])} == of for one, two in (*MARKS, *OUTCOMES))
    if len(named) > 1 and not sides and all(seen.kind(name) == "number" for name in named):
        return named
    skip = {seen.annotator(), seen.prompt(), seen.count(), *(seen.plain.get(n) for n in ("id", "row", "index", ""))}
    answers = [name for name in seen.columns if not seen.is_metadata(name)]
    columns = [name for name in answers if name not in skip and seen.is_graded(name)]
    if not 3 <= len(columns) <= 200 or len(columns) < len(answers) - 6 or len(seen.table) < 2:
        return []
    values = np.stack([seen.numbers(name) for name in columns], 1)
    values = np.where(np.isin(values, [_code(word) for word in _no_ranks(seen, columns)]), np.nan, values)
    return columns if np.mean(_are_ranks(values)) > 0.9 else []


def _no_ranks(seen: Seen, columns: Sequence[str]) -> list[str]:
    """Numbers that cannot be ranks of so many items: the codes 99, 999, -1, -9 and -99 of no answer."""
    found = {word for name in columns for word in (seen.levels(name) or {})}
    return sorted(
        word for word in found if _code(word) in (-1, -9, -99, -999) or _code(word) in (99, 999) and len(columns) < 99
    )


def _code(word: str) -> float:
    return _number(word)


def _are_ranks(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each row holds the ranks 1, 2, ..., of those that it has (ties in any of the usual ways)."""
    out = np.zeros(len(values), dtype=bool)
    for r, row in enumerate(values[:2000]):
        have = np.sort(row[~np.isnan(row)])
        k = len(have)
        if k < 2:
            out[r] = k == 0
            continue
        distinct = len(np.unique(have))
        sums = abs(have.sum() - k * (k + 1) / 2) < 1e-9  # averages
        out[r] = have[0] >= 1 and sums and have[-1] <= k and distinct > k / 2
    return out[: min(len(values), 2000)]


def recognise_ranks(seen: Seen) -> Reading | Question | None:
    """A column of ranks for each item."""
    columns = rank_columns(seen)
    if not columns:
        return _points(seen)
    options, more = people_and_counts(seen, set(columns))
    kept: dict[str, object] = {name: options[name] for name in ("annotator", "prompt", "count") if name in options}
    if all(as_number(name) is not None or tokens(name)[-1].isdigit() and tokens(name)[0] == "rank" for name in columns):
        return Question(
            f"do the columns {columns[0]}, {columns[1]}, ... stand for items whose ranks they hold, or for places that "
            "hold an item's number? say format=ranks or format=places",
            asks=(),
        )
    names = without_stem(columns)
    gone = _no_ranks(seen, columns)
    if gone:
        kept["missing"] = gone
        more += f"; {', '.join(gone)} is no rank: not shown"
    if all(_POINTS & set(tokens(name)) and not {"rank", "ranking"} & set(tokens(name)) for name in columns):
        why = f"the points of {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}, the most is best{more}"
        return Reading(why, kept | {"items": columns, "high": True})
    return Reading(
        f"the ranks of {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}, 1 is best{more}",
        kept | {"items": columns},
    )


#: Words for numbers of which more is better.
_POINTS = frozenset("points point pts score scores borda votes".split())


def _points(seen: Seen) -> Reading | Question | None:
    """Points that every row shares out among the items (a constant sum): a question, as they say more than an order."""
    skip = {seen.annotator(), seen.prompt(), seen.count(), *(seen.plain.get(n) for n in ("id", "row", "index", ""))}
    answers = [name for name in seen.columns if name not in skip and not seen.is_metadata(name)]
    columns = [name for name in answers if seen.kind(name) == "number"]
    if not 3 <= len(columns) <= 200 or len(columns) < len(answers) or len(seen.table) < 2:
        return None
    values = np.nan_to_num(np.stack([seen.numbers(name) for name in columns], 1))
    total = values.sum(1)
    if (values < 0).any() or not 10 <= total[0] <= 1000 or not np.allclose(total, total[0]):
        return None
    options, _ = people_and_counts(seen, set(columns))
    kept = {name: options[name] for name in ("annotator", "prompt") if name in options}
    return Question(
        f"{', '.join(columns[:3])}{', ...' if len(columns) > 3 else ''} sum to {total[0]:g} in every row, as points that "
        "are shared out do: read them as a ranking, the most points first? say high=true",
        ("high",),
        kept | {"items": columns},
    )


def place_columns(seen: Seen) -> list[str]:
    """Columns named after places, best first: ``1st, 2nd``, ``first, second``, ``rank1, rank2``, ``choice_1, choice_2``."""
    found: dict[int, str] = {}
    for name in seen.columns:
        word = plain(name)
        parts = tokens(name)
        ordinal = re.fullmatch(r"(\d+)(st|nd|rd|th)(_.*)?", word)
        numbered = (
            len(parts) == 2 and parts[0] in (*_RANKS, "choice", "pref", "preference", "top") and parts[1].isdigit()
        )
        if ordinal:
            found[int(ordinal[1])] = name
        elif parts and parts[0] in _PLACES and len(parts) <= 2:
            found[_PLACES.index(parts[0]) + 1] = name
        elif numbered:
            found[int(parts[1])] = name
    start = 0 if 0 in found else 1
    return [found[i] for i in range(start, start + len(found)) if i in found]


def recognise_places(seen: Seen) -> Reading | None:
    """A column of items for each place."""
    columns = place_columns(seen) or _permuted(seen)
    if len(columns) < 2 or any(seen.kind(name) != "text" for name in columns):
        return None
    words = [set(seen.words(name)) for name in columns]
    if not words[0] & set().union(*words[1:]):
        return None
    options, more = people_and_counts(seen, set(columns))
    kept = {name: options[name] for name in ("annotator", "prompt", "count") if name in options}
    return Reading(f"{', '.join(columns[:4])} hold the items of these places{more}", kept | {"places": columns})


def _permuted(seen: Seen) -> list[str]:
    """Columns that are numbered alike (``Q1[1], Q1[2], Q1[3]``), alone in the table, and hold every item once in each row."""
    skip = {seen.annotator(), seen.prompt(), *(seen.plain.get(name) for name in ("id", "row", "index", ""))}
    columns = [name for name in seen.columns if name not in skip and not seen.is_metadata(name)]
    parts = [tokens(name) for name in columns]
    if (
        len(columns) < 3
        or len({part[:-1] for part in parts}) != 1
        or any(seen.kind(name) != "text" for name in columns)
    ):
        return []
    if [part[-1] for part in parts] != [str(i + 1) for i in range(len(columns))]:
        return []
    cells = np.stack([seen.table.texts(name, name).text() for name in columns], 1)
    every = {frozenset(row) for row in cells.astype(str).tolist()}
    return columns if len(every) == 1 and len(next(iter(every))) == len(columns) and len(cells) > 1 else []


def recognise_rank_rows(seen: Seen) -> Reading | Question | None:
    """An item, its rank, and the ballot."""
    rank, item = seen.column(*_RANKS), seen.column(*_ITEMS)
    contest, points = seen.column(*_CONTESTS), seen.column(*_POINTS, "goals")
    high = rank is None and contest is not None and points is not None
    rank = points if high else rank
    timed = seen.column("time", "seconds", "finish_time", "lap_time") if rank is None else None
    rank = timed or rank
    if rank is None or item is None or seen.kind(rank) != "number" or seen.blanks(rank):
        return None
    annotator = seen.annotator([rank, item])
    ballots = [
        seen.plain[name]
        for name in (*_BALLOTS, *_CONTESTS)
        if name in seen.plain and seen.plain[name] not in (rank, item)
    ]
    items = seen.table.texts(item, item).codes
    choices: list[list[str]] = [[name] for name in ([annotator] if annotator else []) + ballots]
    choices += [[annotator, name] for name in ballots] if annotator else []
    for keys in choices:
        if _is_ballot(seen, keys, items):
            who = "" if annotator is None else f", annotator={annotator}"
            if timed is not None:
                return Question(
                    f"does the lower {timed} of each {item} win within {' and '.join(keys)}? say high=false, or high=true where "
                    "the higher wins",
                    ("high",),
                    {"item": item, "rank": rank, "ballot": keys, "annotator": annotator},
                )
            best = "the most is best" if high else "1 is best"
            why = f"{rank} ranks {item} within {' and '.join(keys)}, {best}{who}"
            return Reading(why, {"item": item, "rank": rank, "ballot": keys, "annotator": annotator, "high": high})
    return None


def _is_ballot(seen: Seen, keys: list[str], items: NDArray[np.int64]) -> bool:
    of = np.zeros(len(items), dtype=np.int64)
    for key in keys:
        part = seen.table.texts(key, key)
        of = factorize(of * len(part.names) + part.codes).codes
    pair = factorize(of * (items.max() + 1) + items)
    return len(pair.names) == len(items) and int(np.bincount(of).min()) > 1
