"""Long choice data, as xlogit and choice-learn use them: one row per choice situation and alternative."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import pandas as pd

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, DataError
from annosim.io.files import Table, atomic_text, factorize, read_table
from annosim.io.pairs import check_weights, named
from annosim.items import Items

__all__ = ["read_long", "to_long", "write_long"]


def read_long(
    path: str | os.PathLike[str] | pd.DataFrame,
    situation: str = "custom_id",
    alternative: str = "alt",
    choice: str = "choice",
    annotator: str | None = None,
    features: Sequence[str] = (),
    weight: str | None = None,
    choice_is: str = "flag",
    sep: str = ",",
) -> PreferenceData:
    """Read choices in long format.

    Args:
        path: a CSV file, or a frame.
        situation: column that numbers the choice situations (xlogit's ``ids``).
        alternative: column with the alternative's name (xlogit's ``alts``).
        choice: column with the choice.
        annotator: column with who chose (xlogit's ``panels``).
        features: columns with the alternatives' attributes. Each distinct (alternative, attributes) is an item, so
            that an attribute that changes between situations makes items of its own; ``items.columns["alternative"]``
            keeps the alternative's name.
        weight: column with the annotator's weight.
        choice_is: ``"flag"`` (1 on the chosen row, 0 elsewhere) or ``"name"`` (every row holds the name of the chosen
            alternative; choice-learn's ``items_id``).
        sep: the separator.

    Returns:
        Choices from menus in the order of the file; shorter menus are padded. Further columns are named columns, of
        shape ``(rows, k)`` where they differ between alternatives.

    Raises:
        FileReadError: missing, unreadable or empty file, or a missing column.
        RowsError: situations without exactly one choice, repeated alternatives, or attributes that are not numbers,
            with line numbers.

    Example:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"custom_id": [1, 1, 2, 2], "alt": ["bus", "car"] * 2, "choice": [0, 1, 1, 0]})
        >>> read_long(frame).answer.tolist()
        [1, 0]
    """
    if choice_is not in ("flag", "name"):
        raise ArgumentError(f"choice_is={choice_is!r}: 'flag' (1 and 0) or 'name' (the chosen alternative)")
    table = _table(path, sep)
    row, _ = factorize(table.filled(situation, "situation"))
    alt = table.filled(alternative, "alternative")
    twice = pd.DataFrame({"row": row, "alt": alt}).duplicated().to_numpy()
    table.problems.where(twice, lambda r: f"alternative {alt[r]!r} stands twice in its situation")
    chosen = _chosen(table, choice, choice_is, alt)
    rows = int(row.max()) + 1
    total = np.bincount(row, weights=chosen, minlength=rows)
    first = np.full(rows, len(row))
    np.minimum.at(first, row, np.arange(len(row)))
    for r in np.flatnonzero(total != 1):
        table.problems.add(first[r], f"{total[r]:g} of this situation's alternatives are chosen, expected 1")
    values = np.stack([table.number(f, "features") for f in features], 1) if len(features) else np.zeros((len(row), 0))
    who = None if annotator is None else table.filled(annotator, "annotator")
    heavy = None if weight is None else table.number(weight, "weight")
    check_weights(table, who, heavy, weight)
    for name, column in ((annotator, who), (weight, heavy)):
        if column is not None:
            differs = column != column[first[row]]
            table.problems.where(differs, lambda r, n=name: f"{n} differs within a situation")  # type: ignore[misc]
    table.problems.report("give every situation one chosen alternative, distinct names, and one annotator")
    order = np.argsort(row, kind="stable")
    size = np.bincount(row, minlength=rows)
    place = np.empty(len(row), dtype=np.int64)
    place[order] = np.arange(len(row)) - np.repeat(np.cumsum(size) - size, size)
    items, codes = _items(alt, values, features)
    menu = np.full((rows, int(size.max())), -1, dtype=np.int64)
    menu[row, place] = codes
    answer = place[chosen == 1]
    back = np.empty(rows, dtype=np.int64)
    back[row[chosen == 1]] = answer
    codes_who, names = (None, None) if who is None else factorize(who[first])
    used = [situation, alternative, choice, annotator, weight, *features]
    columns = {situation: table.others([c for c in table.frame.columns if c != situation])[situation][first]}
    for name, column in table.others(used).items():
        columns[name] = _column(column, row, place, first, menu.shape)
    settings = {
        "source": "frame" if isinstance(path, pd.DataFrame) else str(path),
        "format": "long",
        "situation": situation,
        "alternative": alternative,
        "choice": choice,
        "annotator": annotator,
        "weight": weight,
        "features": list(features),
        "choice_is": choice_is,
    }
    return PreferenceData(
        items=items,
        menu=menu,
        answer=back,
        annotator=codes_who,
        annotator_names=names,
        weight=None if heavy is None else heavy[first],
        columns=columns,
        settings=settings,
    )


def _table(path: str | os.PathLike[str] | pd.DataFrame, sep: str) -> Table:
    if not isinstance(path, pd.DataFrame):
        return read_table(path, sep)
    if not len(path):
        raise DataError("read_long: the frame has no rows")
    rows = list(range(1, len(path) + 1))
    return Table.of("frame (rows counted from 1)", path.reset_index(drop=True).astype(object), rows)


def _chosen(table: Table, choice: str, choice_is: str, alt: np.ndarray) -> np.ndarray:
    if choice_is == "name":
        return (table.filled(choice, "choice") == alt).astype(np.float64)
    values = table.number(choice, "choice")
    odd = (values != 0) & (values != 1)
    table.problems.where(odd, lambda r: f"{choice} {values[r]:g} is neither 0 nor 1 (choice_is='name' for names)")
    return np.where(odd, 0.0, values)


def _items(alt: np.ndarray, values: np.ndarray, features: Sequence[str]) -> tuple[Items, np.ndarray]:
    if not len(features):
        codes, names = factorize(alt)
        return Items(names=names, columns={"alternative": names}), codes
    frame = pd.DataFrame(values, columns=list(features))
    frame.insert(0, "\0alt", alt)
    codes = frame.groupby(list(frame.columns), sort=False).ngroup().to_numpy()
    first = np.full(int(codes.max()) + 1, len(codes))
    np.minimum.at(first, codes, np.arange(len(codes)))
    base = alt[first]
    nth = pd.Series(base).groupby(base).cumcount().to_numpy()
    many = pd.Series(base).duplicated(keep=False).to_numpy()
    numbered = [f"{b} #{i + 1}" if m else b for b, i, m in zip(base, nth, many, strict=True)]
    return Items(names=numbered, features=values[first], columns={"alternative": base}), codes


def _column(
    column: np.ndarray, row: np.ndarray, place: np.ndarray, first: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """A column per situation, or per situation and place where it differs between alternatives."""
    if bool((column == column[first][row]).all()):
        return column[first]
    kind = column.dtype if column.dtype.kind != "i" or len(row) == shape[0] * shape[1] else np.dtype(float)
    wide = np.full(shape, {"O": None, "f": np.nan}.get(kind.kind, 0), dtype=kind)
    wide[row, place] = column
    return wide


def to_long(data: PreferenceData) -> pd.DataFrame:
    """The frame that :func:`read_long` reads, under the column names that it came from (xlogit's by default).

    Raises:
        DataError: not choices, or ties or skips, which the format cannot hold.
    """
    if data.feedback.kind != "choice" or data.replicates is not None:
        raise DataError(f"{data!r}: the long choice format holds choices, one replicate")
    if data.has_ties or data.skipped.any():
        bad = data.skipped if not data.has_ties else data.skipped | data.tied.any(1)
        raise DataError(f"row {int(bad.argmax())} is a tie or a skip; break ties with data.ties('half'), take the rest")
    said = data.settings if data.settings.get("format") == "long" else {}
    row, place = np.nonzero(data.menu >= 0)
    answer = data.answer if data.answer.ndim == 1 else data.answer[:, 0]
    ids = data.menu[row, place]
    alternatives = np.asarray(data.items.columns.get("alternative", data.items.names), dtype=object)
    columns = dict(data.columns)
    situation = said.get("situation", "custom_id")
    out = {
        situation: np.asarray(columns.pop(situation, np.arange(data.rows)))[row],
        said.get("alternative", "alt"): alternatives[ids],
    }
    if said.get("choice_is") == "name":
        out[said["choice"]] = alternatives[data.menu[np.arange(data.rows), answer]][row]
    else:
        out[said.get("choice", "choice")] = (place == answer[row]).astype(np.int64)
    if data.annotator is not None:
        out[said.get("annotator") or "annotator"] = named(data.annotator, data.annotator_names)[row]
    if data.weight is not None:
        out[said.get("weight") or "weight"] = data.weight[row]
    if data.items.features is not None:
        names = said.get("features") or [f"x{j}" for j in range(data.items.dim)]
        out |= {name: data.items.features.numpy()[ids, j] for j, name in enumerate(names)}
    for name, value in columns.items():
        value = np.asarray(value)
        out[name] = value[row, place] if value.ndim == 2 else value[row]
    return pd.DataFrame(out)


def write_long(data: PreferenceData, path: str | os.PathLike[str]) -> None:
    """Write :func:`to_long` as CSV; atomic."""
    atomic_text(path, to_long(data).to_csv(index=False, lineterminator="\n"))
