"""Pairs in delimited files: one row per vote, with a column for each side and one for the winner."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, DataError
from annosim.io.files import Table, atomic_text, factorize, read_table
from annosim.items import Items

__all__ = ["WORDS", "read_csv", "write_csv"]

#: What a winner cell may say, and what it means.
WORDS: Mapping[str, str] = {"left": "left", "right": "right", "tie": "tie", "skip": "skip"}

_MEANINGS = ("left", "right", "tie", "skip")
_REMEDY = "mend the rows, or say what the words mean with words={'their word': 'left|right|tie|skip'}"


def read_csv(
    path: str | os.PathLike[str],
    annotator: str | None = None,
    left: str = "left",
    right: str = "right",
    winner: str = "winner",
    prompt: str | None = None,
    weight: str | None = None,
    order: str | None = None,
    words: Mapping[str, str] | None = None,
    winner_is: str = "side",
    items: Items | None = None,
    sep: str = ",",
) -> PreferenceData:
    """Read pairwise votes, one per row.

    Args:
        path: a CSV file with a header (UTF-8; ``.gz`` is unpacked).
        annotator: column with who voted; without it every row is its own annotator.
        left, right: columns with the names of the two items, in display order.
        winner: column with the answer.
        prompt: column with the context of the question (``data.prompt``, ``data.prompt_names``).
        weight: column with the weight of the annotator, equal on all rows of one.
        order: column with the place of the vote in the annotator's own sequence.
        words: what the words in ``winner`` mean: ``{"their word": "left" | "right" | "tie" | "skip"}``;
            by default :data:`WORDS`. A word that is not listed is an error, never a tie.
        winner_is: ``"side"`` (a word of ``words``), ``"item"`` (the winning item's name, or a word for tie or skip),
            ``"column"`` (the name of the winning side's column, or such a word), ``"index"`` (``0`` left, ``1`` right).
        items: an item set whose names the file uses; by default the names in order of first appearance.
        sep: the separator.

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
    table = read_table(path, sep)
    sides = np.stack([table.filled(left, "left"), table.filled(right, "right")], 1)
    said = table.column(winner, "winner").to_numpy(dtype=object)
    meaning = read_winner(table, said, sides, winner_is, words, (left, right), winner)
    who = None if annotator is None else table.filled(annotator, "annotator")
    context = None if prompt is None else table.filled(prompt, "prompt")
    heavy = None if weight is None else table.number(weight, "weight")
    place = None if order is None else table.number(order, "order", whole=True)
    menu, items = name_items(table, sides, items)
    check_weights(table, who, heavy, weight)
    table.problems.report(_REMEDY)
    columns = table.others([left, right, winner, annotator, prompt, weight, order])
    settings = {"source": str(path), "format": "pairs"}
    return pair_data(menu, meaning, items, who, context, heavy, place, columns, settings)


def read_winner(
    table: Table,
    said: np.ndarray,
    sides: np.ndarray,
    winner_is: str,
    words: Mapping[str, str] | None,
    columns: tuple[str, str],
    name: str,
) -> np.ndarray:
    """What each winner cell means: 0 left, 1 right, 2 tie, 3 skip, ``(rows,)``; unknown cells are problems."""
    words = dict(WORDS if words is None else words)
    bad = {w: m for w, m in words.items() if m not in _MEANINGS}
    if bad:
        word, wrong = next(iter(bad.items()))
        raise ArgumentError(f"words[{word!r}]={wrong!r}: a winner word means one of {', '.join(_MEANINGS)}")
    if winner_is not in ("side", "item", "column", "index"):
        raise ArgumentError(f"winner_is={winner_is!r}: one of side, item, column, index")
    if winner_is == "column":
        words = {columns[0]: "left", columns[1]: "right", **_draws(words)}
    elif winner_is == "index":
        words = {"0": "left", "1": "right", **_draws(words)}
    elif winner_is == "item":
        words = _draws(words)
    code = {word: _MEANINGS.index(told) for word, told in words.items()}
    meaning = pd.Series(said).map(code).to_numpy(dtype=np.float64, na_value=np.nan)
    if winner_is == "item":
        meaning = np.where(said == sides[:, 1], 1.0, meaning)
        meaning = np.where(said == sides[:, 0], 0.0, meaning)
    accepted = [repr(word) for word in words]

    def what(row: int) -> str:
        here = [repr(sides[row, 0]), repr(sides[row, 1])] if winner_is == "item" else []
        named = " (an item's name? then winner_is=item)" if winner_is == "side" and said[row] in sides[row] else ""
        return f"{name} {said[row]!r} is unknown{named}; accepted: {', '.join([*here, *accepted])}"

    table.problems.where(np.isnan(meaning), what)
    return np.nan_to_num(meaning, nan=0.0).astype(np.int64)


def _draws(words: Mapping[str, str]) -> dict[str, str]:
    return {word: meaning for word, meaning in words.items() if meaning in ("tie", "skip")}


def name_items(table: Table, names: np.ndarray, items: Items | None) -> tuple[np.ndarray, Items]:
    """Item ids of a text array of names; with a given item set an unknown name is a problem."""
    if items is None:
        codes, found = factorize(names.ravel())
        return codes.reshape(names.shape), Items(names=found)
    ids = {name: i for i, name in enumerate(items.names)}
    codes = pd.Series(names.ravel()).map(ids).to_numpy(dtype=np.float64, na_value=np.nan).reshape(names.shape)
    unknown = np.isnan(codes)
    table.problems.where(
        unknown.any(-1), lambda r: f"item {names[r][unknown[r]][0]!r} is not in items=; it has {items.n} names"
    )
    return np.nan_to_num(codes, nan=0.0).astype(np.int64), items


def check_weights(table: Table, who: np.ndarray | None, weight: np.ndarray | None, name: str | None) -> None:
    """Weights are nonnegative, and equal on all rows of one annotator."""
    if weight is None:
        return
    table.problems.where(weight < 0, lambda r: f"{name} {weight[r]:g} is negative")
    if who is not None:
        codes, names = factorize(who)
        first = np.empty(len(names))
        first[codes[::-1]] = weight[::-1]
        table.problems.where(
            first[codes] != weight,
            lambda r: f"{name} {weight[r]:g} differs from {first[codes[r]]:g} on the first row of {who[r]!r}",
        )


def pair_data(
    menu: np.ndarray,
    meaning: np.ndarray,
    items: Items,
    annotator: np.ndarray | None = None,
    prompt: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    order: np.ndarray | None = None,
    columns: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> PreferenceData:
    """Pairs from coded answers (0 left, 1 right, 2 tie, 3 skip) and from names of annotators and prompts."""
    who, who_names = (None, None) if annotator is None else factorize(annotator)
    context, prompt_names = (None, None) if prompt is None else factorize(prompt)
    tie = meaning == 2
    answer, tied = np.where(meaning == 3, -1, meaning), None
    if tie.any():
        second = np.where(tie, 1, -1)
        answer, tied = np.stack([np.where(tie, 0, answer), second], 1), tie[:, None]
    return PreferenceData(
        items=items,
        menu=menu,
        answer=answer,
        tied=tied,
        annotator=who,
        prompt=context,
        order=order,
        weight=weight,
        annotator_names=who_names,
        prompt_names=prompt_names,
        columns=columns or {},
        settings=settings or {},
    )


def pair_meaning(data: PreferenceData) -> np.ndarray:
    """The reverse of :func:`pair_data`: 0 left, 1 right, 2 tie, 3 skip, ``(rows,)``.

    Raises:
        DataError: the data are not choices between two.
    """
    if data.feedback.kind != "choice" or data.menu_size != 2 or data.replicates is not None or (data.menu < 0).any():
        raise DataError(f"{data!r} are not pairs; this format holds choices between two items, one replicate")
    first = data.answer if data.answer.ndim == 1 else data.answer[:, 0]
    meaning = np.where(first < 0, 3, first)
    return meaning if data.tied is None else np.where(data.tied[:, 0], 2, meaning)


def write_csv(
    data: PreferenceData,
    path: str | os.PathLike[str],
    annotator: str = "annotator",
    left: str = "left",
    right: str = "right",
    winner: str = "winner",
    prompt: str = "prompt",
    weight: str = "weight",
    order: str = "order",
    sep: str = ",",
) -> None:
    """Write pairs so that :func:`read_csv` with the same names reads them back; atomic.

    Columns appear for what the data have (annotator, prompt, weight, order, and every named column).

    Raises:
        DataError: the data are not pairs, or a named column has the name of another.
    """
    names = np.asarray(data.items.names, dtype=object)
    out: dict[str, Any] = {}
    if data.annotator is not None:
        out[annotator] = named(data.annotator, data.annotator_names)
    if data.prompt is not None:
        out[prompt] = named(data.prompt, data.prompt_names)
    out |= {left: names[data.menu[:, 0]], right: names[data.menu[:, 1]]}
    out[winner] = np.array(_MEANINGS, dtype=object)[pair_meaning(data)]
    if data.weight is not None:
        out[weight] = data.weight
    if data.order is not None:
        out[order] = data.order
    clash = set(out) & set(data.columns)
    if clash:
        raise DataError(f"column {sorted(clash)[0]!r} has the name of a column of the format; rename either")
    frame = pd.DataFrame(out | dict(data.columns))
    atomic_text(path, frame.to_csv(index=False, sep=sep, lineterminator="\n"))


def named(codes: np.ndarray, names: Any) -> np.ndarray:
    """Codes as names where there are names."""
    return codes if names is None else np.asarray(names, dtype=object)[codes]
