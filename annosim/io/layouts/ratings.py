"""Ratings in tables: a row per annotator and item, or a column per item (Likert) or per judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, DataError
from annosim.feedback import Feedback
from annosim.io.format import VALUES, Question, Reading
from annosim.io.layouts.choices import recognise_long
from annosim.io.layouts.grades import grades_of_words
from annosim.io.layouts.ranks import rank_columns, without_stem
from annosim.io.layouts.sides import pairs_of_columns, sides_of
from annosim.io.names import merge_names
from annosim.io.pairs import warn_similar
from annosim.io.seen import ANNOTATORS, Seen, as_number, blank, tokens
from annosim.io.sources import Source, read_table, source_name
from annosim.io.tables import Coded, Table, factorize
from annosim.items import Items

__all__ = ["grades_of", "read_likert", "read_ratings", "recognise_likert", "recognise_ratings"]

_MOST = 127
_RATINGS = "rating score grade stars likert value ratings response mark label liking points".split()
#: Words for marks that are best when they are low in some countries, and when they are high in others.
_MARKS = frozenset("note schulnote noten zensur nota cijfer".split())
#: Numbers that stand for no answer where no grade is near.
_MISSING = frozenset([-1.0, -9.0, -99.0, -999.0, 9.0, 88.0, 99.0, 999.0])
#: Words of columns that count.
_TOTALS = frozenset("wins losses ties draws games matches votes count won lost played".split())
#: Those that are no grade of a scale of ten or fewer.
_NO_GRADES = frozenset([-99.0, -999.0, 88.0, 99.0, 999.0])
_ITEMS = (
    "item item_id model object stimulus stim product movie movie_id movieid image image_id text response_id candidate system "
    "name alternative option doc document summary output completion brand"
).split()
_JUDGES = frozenset("rater judge annotator coder expert reviewer r j annot evaluator panelist user worker".split())


def read_ratings(
    source: Source,
    item: str = "item",
    rating: str = "rating",
    annotator: str | None = None,
    prompt: str | None = None,
    lowest: int | None = None,
    grades: int | None = None,
    step: float = 1.0,
    merge: bool = False,
    words: Mapping[str, str] | None = None,
    low_is_best: bool = False,
) -> PreferenceData:
    """Read a row per annotator and item with a rating.

    Args:
        source: a file or a table in memory.
        item, rating: the columns. An empty rating is a skip.
        annotator, prompt: columns with who rated, and with the question.
        lowest: the lowest grade of the scale; by default 0 where it occurs, a negative number where one occurs, else 1.
        grades: how many grades the scale has; by default up to the highest that occurs.
        step: between grades, such as 0.5 for half stars.
        merge: as in :func:`annosim.io.read_csv`.
        words: the number that a cell stands for (``{"Agree": "4"}``); ``"skip"`` is no rating (``{"-1": "skip"}``).
        low_is_best: the lowest number is the best grade, as in German schools; grades are turned round.

    Returns:
        Ratings of menus of one; grade 0 is the lowest.

    Raises:
        RowsError: ratings that are not whole numbers on the scale.

    Example:
        >>> rows = [{"user": "u", "item": "tea", "rating": 5}, {"user": "u", "item": "milk", "rating": 1}]
        >>> read_ratings(rows, annotator="user").answer.tolist()
        [[4], [0]]
    """
    table = read_table(source)
    names = table.coded(item, "item")
    if merge:
        names = factorize(merge_names(names.text()))
    answer, scale = grades_of(table, [rating], lowest, grades, step, words, low_is_best)
    people = None if annotator is None else table.people(annotator)
    context = None if prompt is None else table.coded(prompt, "prompt")
    table.errors.raise_if_any("write whole numbers of one scale (lowest= and grades= say which)")
    warn_similar(table.name, names.names)
    return PreferenceData(
        Items(names=names.names),
        names.codes[:, None],
        answer,
        feedback=Feedback("rating", grades=scale[1]),
        annotator=None if people is None else people.codes,
        annotator_names=None if people is None else people.names,
        prompt=None if context is None else context.codes,
        prompt_names=None if context is None else context.names,
        columns=table.others([item, rating, annotator, prompt]),
        settings={"source": source_name(source), "format": "ratings", "lowest": scale[0]},
    )


def read_likert(
    source: Source,
    items: Sequence[str] = (),
    annotator: str | None = None,
    names: str | None = None,
    lowest: int | None = None,
    grades: int | None = None,
    words: Mapping[str, str] | None = None,
    low_is_best: bool = False,
) -> PreferenceData:
    """Read a table of ratings with a column per item and a row per annotator, or the other way round.

    Args:
        source: a file or a table in memory.
        items: the columns of ratings; by default all others. An empty cell was not shown.
        annotator: column with who rated (a row each).
        names: column with the items' names where each row is an item; the columns are then the annotators.
        lowest, grades, words, low_is_best: as in :func:`read_ratings`.

    Returns:
        Ratings of menus of all items that the row (or column) rates.

    Raises:
        RowsError: ratings that are not whole numbers on the scale.

    Example:
        >>> read_likert([{"q_tea": 5, "q_milk": 1}]).answer.tolist()
        [[4, 0]]
    """
    table = read_table(source)
    used = [annotator, names]
    columns = list(items) or [name for name in table.columns if name not in used]
    answer, scale = grades_of(table, columns, lowest, grades, 1.0, words, low_is_best)
    people = None if annotator is None else table.people(annotator)
    rows = None if names is None else table.coded(names, "names")
    table.errors.add_where((answer < 0).all(1), lambda r: "nothing is rated")
    table.errors.raise_if_any("write whole numbers of one scale (lowest= and grades= say which)")
    others = table.others([*used, *columns])
    if rows is not None:
        if len(rows.names) < len(table):
            raise DataError(f"{table.name}: {names} repeats a name; read_ratings reads a row per rating")
        answer, others = answer.T, {}
        people = Coded(np.arange(len(columns)), np.array(columns, dtype=object))
        columns = [str(name) for name in rows.text()]
    shown = answer >= 0
    order = np.argsort(~shown, axis=1, kind="stable")
    width = int(shown.sum(1).max())
    menu = np.where(np.take_along_axis(shown, order, 1), order, -1)[:, :width]
    return PreferenceData(
        Items(names=without_stem(columns)),
        menu,
        np.take_along_axis(answer, order, 1)[:, :width],
        feedback=Feedback("rating", grades=scale[1]),
        annotator=None if people is None else people.codes,
        annotator_names=None if people is None else people.names,
        columns=others,
        settings={"source": source_name(source), "format": "likert", "lowest": scale[0]},
    )


def grades_of(
    table: Table,
    columns: Sequence[str],
    lowest: int | None,
    grades: int | None,
    step: float = 1.0,
    words: Mapping[str, str] | None = None,
    low_is_best: bool = False,
) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """Grades from 0, -1 where a cell is empty, ``(rows, columns)``; and the lowest number and how many grades."""
    if grades is not None and not 2 <= grades <= _MOST:
        raise ArgumentError(f"grades={grades}: between 2 and {_MOST}")
    texts = np.stack([table.texts(name, name).text() for name in columns], 1)
    known: dict[object, float] = {}
    meaning = words or {}
    for text in set(texts.ravel().tolist()):
        cell = meaning.get(text.strip(), text) if isinstance(text, str) else text
        number = as_number(cell) if isinstance(cell, str) else None
        steps = np.inf if number is None else (number - (lowest or 0)) / step
        known[text] = np.inf if abs(steps - round(steps) if np.isfinite(steps) else 1.0) > 1e-9 else float(number or 0)
        if isinstance(cell, str) and (blank(cell) or (cell == "skip" and cell != text)):
            known[text] = np.nan
    values = np.array([[known[cell] for cell in row] for row in texts], dtype=np.float64)
    odd = np.isinf(values)
    finite = values[np.isfinite(values)]
    start = lowest if lowest is not None else _lowest(finite)
    if grades is None:
        grades = max(round((float(finite.max(initial=start)) - start) / step) + 1, 2)
    top = start + (grades - 1) * step
    outside = odd | (values < start) | (values > top)
    table.errors.add_where(
        outside.any(1), lambda r: f"{str(texts[r][outside[r]][0])[:40]!r} is no grade from {start} to {top:g}"
    )
    if grades > _MOST:
        raise DataError(
            f"{table.name}: {grades} grades from {start} to {top:g} (limit {_MOST}); compare scores (format=scores)"
        )
    grade = np.rint((np.where(np.isfinite(values) & ~outside, values, start) - start) / step)
    grade = grades - 1 - grade if low_is_best else grade
    return np.where(np.isfinite(values) & ~outside, grade, -1).astype(np.int64), (start, grades)


def _lowest(values: NDArray[np.float64]) -> int:
    """0 where it occurs, a negative number where one does, else 1."""
    return min(int(values.min()), 1) if len(values) else 0


# ---- recognition ---------------------------------------------------------------------------------------------------


def recognise_ratings(seen: Seen) -> Reading | Question | None:
    """An item, a rating, and who gave it."""
    item, rating = seen.column(*_ITEMS), seen.column(*_RATINGS)
    annotator = seen.annotator([item, rating])
    rating = rating or seen.column(*_MARKS)
    if rating is None and item is not None and annotator is not None:
        rest = [
            n
            for n in seen.columns
            if n not in (item, annotator) and seen.is_graded(n) and n not in (seen.prompt(), seen.count())
        ]
        graded = [name for name in rest if _is_graded(seen, name)]
        rating = rest[0] if len(rest) == 1 and graded else None
        if len(graded) > 1 and len(seen.words(item)) < len(seen.table) and _is_one_scale(seen, graded):
            return Question(
                f"{', '.join(graded[:4])} are grades of each {item}: which one is read? say rating={graded[0]} (or another)",
                ("rating",),
                {"item": item, "annotator": annotator, "prompt": seen.prompt([item, annotator])},
            )
    if item is None or rating is None or rating == item or seen.column("rank"):
        return None
    if any({pair.left, pair.right} & {item, rating} for pair in pairs_of_columns(seen)):
        return None
    words = grades_of_words(seen.words(rating)) if seen.kind(rating) == "text" else {}
    if words is None or (not words and seen.kind(rating) != "number"):
        return None
    prompt = seen.prompt([item, rating, annotator])
    where = {"item": item, "rating": rating, "annotator": annotator, "prompt": prompt}
    if words:
        said = "".join(f", {n}={c}" for n, c in (("annotator", annotator), ("prompt", prompt)) if c)
        return Reading(f"{rating} rates {item}: {_in_order(words)}{said}", {**where, "words": words})
    levels = seen.levels(rating)
    if levels is None:
        return None
    if set(levels.values()) == {0.0, 1.0} and recognise_long(seen) is not None:
        return None  # one of every question is chosen
    missing, levels = _without_missing(seen, levels)
    if isinstance(missing, Question):
        return replace(missing, options=where)
    halves = any(value != round(value) for value in levels.values())
    marks = bool(_MARKS & set(tokens(rating)))
    if halves and any(2 * value != round(2 * value) for value in levels.values()):
        odd = next(word for word, value in levels.items() if 2 * value != round(2 * value))
        best = " and, as marks in some countries are best when low, low_is_best=true or =false" if marks else ""
        return Question(
            f"{rating} holds fractions such as {odd}: what is the step of the scale? say step=0.1{best}",
            ("low_is_best",) if marks else ("step",),
            {"item": item, "rating": rating, "annotator": annotator},
        )
    if marks:
        return Question(
            f"{rating} holds marks from {min(levels.values()):g} to {max(levels.values()):g}: is the lowest the best? say "
            "low_is_best=true, or =false where more is better",
            ("low_is_best",),
            where,
        )
    if len(seen.words(item)) == 1 and len(levels) > 1:
        if sides_of(seen) is not None:
            return None
        shown = seen.words(item)[0]
        return Question(
            f"{item} holds {shown[:40]!r} in every row, and one item cannot be compared: which columns hold the item and its "
            "rating? say item=COLUMN and rating=COLUMN",
            ("item",),
        )
    low, high = int(min(levels.values())), max(levels.values())
    said = "".join(f", {n}={c}" for n, c in (("annotator", annotator), ("prompt", prompt)) if c)
    gone = dict.fromkeys(missing, "skip")
    left_out = "".join(f"; {_times(seen, rating, word)} rows with {word} are no ratings: skips" for word in missing)
    why = f"{rating} rates {item} from {min(low, 1)} to {high:g}{' in halves' if halves else ''}{said}{left_out}"
    return Reading(why, {**where, "step": 0.5 if halves else 1.0, **({"words": gone} if gone else {})})


def _without_missing(seen: Seen, levels: dict[str, float]) -> tuple[list[str] | Question, dict[str, float]]:
    """Numbers that say that nobody rated (-1 in MT-Bench), and the grades; a question where they may be grades."""
    values = sorted(set(levels.values()))
    others = [value for value in values if value not in _MISSING or value == 9.0 and 8.0 in values]
    odd = [word for word, value in levels.items() if value not in others]
    if not odd or len(others) < 3 or 0.0 in others and min(levels[w] for w in odd) == -1.0 or min(others) < 0:
        return [], levels
    inside = [word for word in odd if min(others) <= levels[word] <= max(others) + 1]
    if inside:
        return [], levels
    kept = {word: value for word, value in levels.items() if word not in odd}
    if seen.has("judge", "judgment", "score") and {levels[word] for word in odd} == {-1.0}:
        return odd, kept  # MT-Bench: the judge's answer could not be parsed
    asked = " and ".join(odd[:3])
    return (
        Question(
            f"the ratings are {min(others):g} to {max(others):g} and {asked}: a grade, or no answer? say "
            f"words={odd[0]}=skip (no answer) or lowest={min(levels.values()):g}",
            ("words", "lowest"),
        ),
        levels,
    )


def _times(seen: Seen, column: str, word: str) -> int:
    texts = seen.table.texts(column, column)
    return int((texts.text() == word).sum())


def _in_order(words: Mapping[str, str]) -> str:
    """Words from the lowest grade to the highest."""
    said = sorted(words, key=lambda word: float(words[word]))
    return " < ".join(said if len(said) <= 4 else [*said[:2], "...", said[-1]])


def _approvals(seen: Seen, columns: Sequence[str], skip: set[str | None], annotator: str | None) -> Question | None:
    """Columns of 0 and 1 alone, several of them set in some rows: items that were approved of."""
    levels = {value for name in columns for value in (seen.levels(name) or {}).values()}
    if len(columns) < 3 or levels != {0.0, 1.0} or set(seen.columns) - skip - {annotator, *columns}:
        return None
    total = np.nansum(np.stack([seen.numbers(name) for name in columns], 1), axis=1)
    if (total == 1).all():
        return None
    return Question(
        f"{', '.join(columns[:3])}, ... hold 0 and 1: whom each row approves of? say grades=2 to read them as ratings of two "
        "grades",
        ("grades",),
        {"items": list(columns), "annotator": annotator, "lowest": 0},
        VALUES,
    )


def recognise_likert(seen: Seen) -> Reading | Question | None:
    """Several columns with whole numbers of one small scale, and no other numbers unless their names share a stem."""
    if seen.lacks_header or rank_columns(seen) or pairs_of_columns(seen) and len(seen.columns) < 4:
        return None
    skip = {seen.prompt(), seen.count(), *(seen.plain.get(n) for n in ("id", "row", "index", ""))}
    skip |= {name for name in seen.columns if seen.is_metadata(name)}
    annotator = next((seen.plain[n] for n in ANNOTATORS if n in seen.plain), None)
    if seen.column("choice", "chosen", "alt", "alternative") is not None:
        return None
    worded = _worded(seen, skip | {annotator})
    if worded is not None:
        columns, words = worded
        who = "" if annotator is None else f", annotator={annotator}"
        why = f"{', '.join(without_stem(columns)[:4])}, ... are rated in words: {_in_order(words)}{who}"
        return Reading(why, {"items": columns, "annotator": annotator, "words": words}, VALUES)
    columns = [name for name in seen.columns if name not in skip | {annotator} and _is_graded(seen, name)]
    codes = sorted({word for name in columns for word, v in (seen.levels(name) or {}).items() if v in _NO_GRADES})
    stemmed = [name for name in columns if tokens(name)[:1] in (("q",), ("rating",), ("likert",), ("score",))]
    columns = stemmed if len(stemmed) > 1 else columns
    others = [n for n in seen.columns if n not in skip | {annotator, *columns} and seen.kind(n) in ("number", "flag")]
    approved = _approvals(seen, columns, skip, annotator)
    if approved is not None:
        return approved
    if any(_TOTALS & set(tokens(name)) for name in columns):
        return None  # a leaderboard: totals of each item
    if len(columns) < 2 or (others and not stemmed) or not _is_one_scale(seen, columns):
        return None
    gone: dict[str, object] = {"words": dict.fromkeys(codes, "skip")} if codes else {}
    left_out = f"; {' and '.join(codes)}: no grade, read as not shown" if codes else ""
    judged = all(_JUDGES & set(tokens(name)) for name in columns)
    label = next((n for n in seen.columns if n not in columns and len(set(seen.words(n))) == len(seen.table)), None)
    if judged and label is not None:
        why = f"{', '.join(columns[:3])}, ... rate the {label} of each row{left_out}"
        return Reading(why, {"items": columns, "names": label, **gone}, VALUES)
    who = "" if annotator is None else f", annotator={annotator}"
    return Reading(
        f"{', '.join(without_stem(columns)[:4])}, ... are rated in every row{who}{left_out}",
        {"items": columns, "annotator": annotator, **gone},
        VALUES,
    )


def _worded(seen: Seen, skip: set[str | None]) -> tuple[list[str], dict[str, str]] | None:
    """Two or more columns whose words are grades of one scale, with the grade of each word."""
    columns = [n for n in seen.columns if n not in skip and seen.kind(n) == "text" and len(seen.words(n)) <= 11]
    columns = [name for name in columns if len(seen.words(name)) < 2 or grades_of_words(seen.words(name)) is not None]
    said = list(dict.fromkeys(word.strip() for name in columns for word in seen.words(name)))
    words = grades_of_words(said) if len(columns) > 1 and len(said) > 2 else None
    return None if words is None else (columns, words)


def _is_graded(seen: Seen, name: str) -> bool:
    levels = seen.levels(name) if seen.is_graded(name) else None
    grades = [v for v in (levels or {}).values() if v not in _NO_GRADES]
    return bool(grades) and all(-10 <= v <= 10 and v == round(v) for v in grades)


def _is_one_scale(seen: Seen, columns: Sequence[str]) -> bool:
    """Whether the columns share a scale of at least three grades; few rows cannot show its ends."""
    levels = [[v for v in (seen.levels(name) or {"": 0.0}).values() if v not in _NO_GRADES] for name in columns]
    every = {value for one in levels for value in one}
    tops, lows = [max(one) for one in levels], [min(one) for one in levels]
    alike = max(tops) - min(tops) <= 2 and max(lows) - min(lows) <= 2
    return len(every) > 2 and max(every) - min(every) <= 10 and (alike or len(seen.table) < 10)
