"""Best-worst scaling: a row per question with its items, the best and the worst."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from annosim.data.preferences import PreferenceData
from annosim.io.format import EXPORTER, Reading
from annosim.io.layouts.winners import people_and_counts
from annosim.io.pairs import warn_similar
from annosim.io.seen import Seen, blank, tokens
from annosim.io.sources import Source, read_table, source_name
from annosim.io.tables import factorize
from annosim.items import Items

__all__ = ["read_best_worst", "recognise_best_worst"]

_BEST = "best most most_preferred best_item most_important".split()
_WORST = "worst least least_preferred worst_item least_important".split()


def read_best_worst(
    source: Source,
    items: Sequence[str],
    best: str = "best",
    worst: str = "worst",
    annotator: str | None = None,
    prompt: str | None = None,
) -> PreferenceData:
    """Read a row per question with a column for each item shown, and columns with the best and the worst of them.

    Args:
        source: a file or a table in memory.
        items: the columns with what was shown, in display order; an empty cell is an empty place.
        best, worst: columns with the names of the best and the worst.
        annotator, prompt: columns with who answered, and with the question.

    Raises:
        RowsError: a best or worst that was not shown, the same item as both, or an item shown twice.

    Example:
        >>> row = {"a": "tea", "b": "milk", "c": "juice", "best": "milk", "worst": "tea"}
        >>> read_best_worst([row], ["a", "b", "c"]).answer.tolist()
        [[1, 0]]
    """
    table = read_table(source)
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
    answer = np.stack([_places(table.coded(name, name).text(), text) for name in (best, worst)], 1)
    table.errors.add_where((answer < 0).any(1), lambda r: f"{best} or {worst} was not shown")
    table.errors.add_where((answer[:, 0] == answer[:, 1]) & (answer[:, 0] >= 0), lambda r: f"{best} is {worst}, too")
    people = None if annotator is None else table.coded(annotator, "annotator")
    context = None if prompt is None else table.coded(prompt, "prompt")
    table.errors.raise_if_any("name two different items of the row as best and worst")
    warn_similar(table.name, names, has_merge=False)
    return PreferenceData(
        Items(names=names),
        menu,
        answer,
        feedback="best-worst",
        annotator=None if people is None else people.codes,
        annotator_names=None if people is None else people.names,
        prompt=None if context is None else context.codes,
        prompt_names=None if context is None else context.names,
        columns=table.others([*items, best, worst, annotator, prompt]),
        settings={"source": source_name(source), "format": "best-worst"},
    )


def _places(said: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Where each name stands on its menu, -1 where it does not."""
    same = shown == said[:, None]
    return np.where(same.any(1), same.argmax(1), -1)


def recognise_best_worst(seen: Seen) -> Reading | None:
    """Three or more columns that differ in a number, and names of them as best and worst."""
    best, worst = seen.column(*_BEST), seen.column(*_WORST)
    if best is None or worst is None:
        return None
    numbered: dict[tuple[str, ...], list[str]] = {}
    for name in seen.columns:
        parts = tokens(name)
        if name not in (best, worst) and len(parts) > 1 and (parts[-1].isdigit() or parts[-1] in tuple("abcdef")):
            numbered.setdefault(parts[:-1], []).append(name)
    for items in numbered.values():
        shown = {word for name in items for word in seen.words(name)}
        if len(items) > 2 and {*seen.words(best), *seen.words(worst)} <= shown:
            options, more = people_and_counts(seen, {*items, best, worst})
            kept = {name: column for name, column in options.items() if name in ("annotator", "prompt")}
            why = f"{', '.join(items[:4])} are shown, {best} and {worst} name two of them{more}"
            return Reading(why, {"items": items, "best": best, "worst": worst, **kept}, EXPORTER)
    return None
