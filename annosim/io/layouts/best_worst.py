"""A row per question with a column for each item shown: the best and the worst of them, or the chosen one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from annosim.data.preferences import PreferenceData
from annosim.io.format import EXPORTER, Question, Reading
from annosim.io.layouts.winners import people_and_counts
from annosim.io.pairs import warn_similar
from annosim.io.seen import Seen, blank, plain, tokens
from annosim.io.sources import Source, read_table, source_name
from annosim.io.tables import Table, factorize
from annosim.items import Items

__all__ = ["read_best_worst", "read_menus", "recognise_best_worst", "recognise_menus"]

_BEST = "best most most_preferred best_item most_important".split()
_WORST = "worst least least_preferred worst_item least_important".split()


def read_best_worst(
    source: Source,
    items: Sequence[str],
    best: str = "best",
    worst: str = "worst",
    annotator: str | None = None,
    prompt: str | None = None,
    places: bool = False,
) -> PreferenceData:
    """Read a row per question with a column for each item shown, and columns with the best and the worst of them.

    Args:
        source: a file or a table in memory.
        items: the columns with what was shown, in display order; an empty cell is an empty place.
        best, worst: columns with the names of the best and the worst.
        annotator, prompt: columns with who answered, and with the question.
        places: ``best`` and ``worst`` hold where the item stood (1 is the first of ``items``), or the column's name.

    Raises:
        RowsError: a best or worst that was not shown, the same item as both, or an item shown twice.

    Example:
        >>> row = {"a": "tea", "b": "milk", "c": "juice", "best": "milk", "worst": "tea"}
        >>> read_best_worst([row], ["a", "b", "c"]).answer.tolist()
        [[1, 0]]
    """
    table = read_table(source)
    menu, text, cells, names = _menus(table, items)
    said = [table.coded(name, name).text() for name in (best, worst)]
    if places:
        said = [_named(one, cells, items) for one in said]
    answer = np.stack([_places(one, text) for one in said], 1)
    table.errors.add_where((answer < 0).any(1), lambda r: f"{best} or {worst} was not shown")
    table.errors.add_where((answer[:, 0] == answer[:, 1]) & (answer[:, 0] >= 0), lambda r: f"{best} is {worst}, too")
    table.errors.raise_if_any("name two different items of the row as best and worst")
    return _data(table, source, "best-worst", names, menu, answer, annotator, prompt, [*items, best, worst])


def read_menus(
    source: Source,
    items: Sequence[str],
    choice: str = "choice",
    annotator: str | None = None,
    prompt: str | None = None,
    places: bool = False,
) -> PreferenceData:
    """Read a row per question with a column for each item shown, and a column with the one that was chosen.

    Args:
        source: a file or a table in memory.
        items: the columns with what was shown, in display order; an empty cell is an empty place.
        choice: column with the name of what was chosen.
        annotator, prompt: columns with who chose, and with the question.
        places: ``choice`` holds where the item stood (1 is the first of ``items``), or the column's name.

    Raises:
        RowsError: a choice that was not shown, or an item shown twice.

    Example:
        >>> read_menus([{"a": "tea", "b": "milk", "c": "juice", "choice": "milk"}], ["a", "b", "c"]).answer.tolist()
        [1]
    """
    table = read_table(source)
    menu, text, cells, names = _menus(table, items)
    said = table.coded(choice, "choice").text()
    answer = _places(_named(said, cells, items) if places else said, text)
    table.errors.add_where(answer < 0, lambda r: f"{choice} {str(said[r])[:40]!r} was not shown")
    table.errors.raise_if_any("name an item of the row as chosen")
    return _data(table, source, "menus", names, menu, answer, annotator, prompt, [*items, choice])


def _menus(
    table: Table, items: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.object_], NDArray[np.object_], list[str]]:
    """Menus and their names, empty places last; the cells as they stand; and the names of all items."""
    cells = np.stack([table.texts(name, "items").text() for name in items], 1)
    text = np.array([["" if cell is None or blank(cell) else cell for cell in row] for row in cells], dtype=object)
    coded = factorize(text.ravel())
    names = [name for name in coded.names if name != ""]
    code = {name: i for i, name in enumerate(names)}
    menu = np.array([code.get(name, -1) for name in coded.names])[coded.codes].reshape(text.shape)
    order = np.argsort(menu < 0, axis=1, kind="stable")
    menu, text = np.take_along_axis(menu, order, 1), np.take_along_axis(text, order, 1)
    twice = np.array([len({i for i in row if i >= 0}) < (row >= 0).sum() for row in menu])
    table.errors.add_where(twice, lambda r: "an item is shown twice")
    return menu, text, cells, names


def _data(
    table: Table,
    source: Source,
    kind: str,
    names: list[str],
    menu: NDArray[np.int64],
    answer: NDArray[np.int64],
    annotator: str | None,
    prompt: str | None,
    used: list[str],
) -> PreferenceData:
    people = None if annotator is None else table.people(annotator)
    context = None if prompt is None else table.coded(prompt, "prompt")
    table.errors.raise_if_any("fill in these cells")
    warn_similar(table.name, names, has_merge=False)
    return PreferenceData(
        Items(names=names),
        menu,
        answer,
        feedback="choice" if kind == "menus" else kind,
        annotator=None if people is None else people.codes,
        annotator_names=None if people is None else people.names,
        prompt=None if context is None else context.codes,
        prompt_names=None if context is None else context.names,
        columns=table.others([*used, annotator, prompt]),
        settings={"source": source_name(source), "format": kind},
    )


def _places(said: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Where each name stands on its menu, -1 where it does not."""
    same = shown == said[:, None]
    return np.where(same.any(1), same.argmax(1), -1)


def _named(said: np.ndarray, shown: np.ndarray, columns: Sequence[str]) -> np.ndarray:
    """The names of what stood at these places, ``""`` where there is no such place."""
    place = {word: i for i, name in enumerate(columns) for word in _words_of_place(i, name)}
    at = np.array([place.get(plain(str(word)), -1) for word in said])
    found = np.array([shown[row, i] if i >= 0 else "" for row, i in enumerate(at)], dtype=object)
    return np.where(found == None, "", found)  # noqa: E711  (elementwise)


def _words_of_place(place: int, column: str) -> tuple[str, ...]:
    """How a cell may call the item in a column: its number, its letter, the column's name."""
    return str(place + 1), f"{place + 1}_0", plain(column), "_".join(tokens(column)), "abcdefghij"[place : place + 1]


def recognise_best_worst(seen: Seen) -> Reading | Question | None:
    """Three or more columns that differ in a number, and names of them as best and worst."""
    best, worst = seen.column(*_BEST), seen.column(*_WORST)
    if best is None or worst is None:
        return None
    for items in _numbered(seen, [best, worst]):
        by_name, by_place, said = _kinds(seen, items, [best, worst])
        if len(items) < 3 or not (by_name or by_place):
            continue
        options, more = people_and_counts(seen, {*items, best, worst})
        kept = {name: column for name, column in options.items() if name in ("annotator", "prompt")}
        found = {"items": items, "best": best, "worst": worst, **kept}
        if by_name and by_place and _all_shown(seen, [best, worst], items):
            return Question(
                f"{best} and {worst} hold {_shown(said)}: names of items, or the places where they stood? say places=false "
                "(names) or places=true",
                ("places",),
                found,
                EXPORTER,
            )
        by_name = by_name and (not by_place or _all_shown(seen, [best, worst], items))
        what = "name two of them" if by_name else "say where two of them stood"
        why = f"{', '.join(items[:4])} are shown, {best} and {worst} {what}{more}"
        return Reading(why, {**found, "places": not by_name}, EXPORTER)
    return None


_CHOICES = (
    "choice chosen selected best most_preferred answer response winner preferred pick picked favourite favorite".split()
)


def recognise_menus(seen: Seen) -> Reading | Question | None:
    """Three or more columns of names that differ in a number, and one of them as chosen."""
    choice = seen.column(*_CHOICES)
    if choice is None or seen.column(*_WORST) is not None:
        return None
    for items in _numbered(seen, [choice]):
        if len(items) < 3 or any(seen.kind(name) != "text" for name in items):
            continue
        by_name, by_place, said = _kinds(seen, items, [choice])
        all_shown = by_name and _all_shown(seen, [choice], items)
        if not all_shown and not by_place:
            continue
        options, more = people_and_counts(seen, {*items, choice})
        kept = {name: column for name, column in options.items() if name in ("annotator", "prompt")}
        found = {"items": items, "choice": choice, **kept}
        if all_shown and by_place:
            return Question(
                f"{choice} holds {_shown(said)}: a name, or the place where it stood? say places=false (names) or places=true",
                ("places",),
                found,
                EXPORTER,
            )
        what = "names one of them" if all_shown else "says where the chosen one stood"
        return Reading(
            f"{', '.join(items[:4])} are shown, {choice} {what}{more}", {**found, "places": not all_shown}, EXPORTER
        )
    return None


def _numbered(seen: Seen, but: Sequence[str]) -> list[list[str]]:
    """Columns that differ in a number or a letter at their end."""
    found: dict[tuple[str, ...], list[str]] = {}
    for name in seen.columns:
        parts = tokens(name)
        if name not in but and len(parts) > 1 and (parts[-1].isdigit() or parts[-1] in tuple("abcdef")):
            found.setdefault(parts[:-1], []).append(name)
    return list(found.values())


def _kinds(seen: Seen, items: Sequence[str], answers: Sequence[str]) -> tuple[bool, bool, set[str]]:
    """Whether the answers are names that are shown somewhere, whether they are places, and the answers."""
    shown = {word for name in items for word in seen.words(name)}
    said = {word for name in answers for word in seen.words(name)}
    places = {word for i, name in enumerate(items) for word in _words_of_place(i, name)}
    return bool(said) and said <= shown, bool(said) and {plain(word) for word in said} <= places, said


def _all_shown(seen: Seen, answers: Sequence[str], items: Sequence[str]) -> bool:
    """Whether the answers are among the names that are shown, in every row."""
    cells = np.stack([seen.table.texts(name, name).text() for name in items], 1)
    return all(bool((cells == seen.table.texts(name, name).text()[:, None]).any(1).all()) for name in answers)


def _shown(words: set[str]) -> str:
    return ", ".join(sorted(words)[:4])
