"""Long choice data, as xlogit and choice-learn use them: one row per choice situation and alternative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, TooLargeError
from annosim.io.pairs import check_weights
from annosim.io.sources import Source, read_table, source_name
from annosim.io.tables import Coded, Table, factorize
from annosim.items import Items

__all__ = ["read_long"]

_MAX_CELLS = 500_000_000
_TRUE, _FALSE = ("1", "True", "true", "TRUE"), ("0", "False", "false", "FALSE")


def read_long(
    source: Source,
    situation: str | Sequence[str] = "custom_id",
    alternative: str = "alt",
    choice: str = "choice",
    annotator: str | None = None,
    features: str | Sequence[str] = (),
    weight: str | None = None,
    choice_is: Literal["flag", "name"] = "flag",
    sep: str | None = None,
    ties: bool = False,
) -> PreferenceData:
    """Read choices in long format.

    Args:
        source: a CSV file (or JSON lines, parquet), a pandas frame, an Arrow table or a list of records.
        situation: column that numbers the choice situations (xlogit's ``ids``), or the columns that do so together.
        alternative: column with the alternative's name (xlogit's ``alts``).
        choice: column with the choice.
        annotator: column with who chose (xlogit's ``panels``).
        features: columns with the alternatives' attributes. Each distinct (alternative, attributes) is an item, so
            that an attribute that changes between situations makes items of its own; ``items.columns["alternative"]``
            keeps the alternative's name.
        weight: column with the annotator's weight.
        choice_is: ``"flag"`` (1 or True on the chosen row, 0 or False elsewhere) or ``"name"`` (every row holds the
            name of the chosen alternative; choice-learn's ``items_id``).
        sep: the separator; by default what the header uses.
        ties: several chosen alternatives of a situation are a tie between them; by default they are a mistake of the file.

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
    features = [features] if isinstance(features, str) else list(features)
    table = read_table(source, sep)
    situations = [situation] if isinstance(situation, str) else list(situation)
    alt = table.coded(alternative, "alternative")
    rows = _situations(table, situations, alt)
    chosen = _chosen(table, choice, choice_is, alt, rows, ties)
    values = [table.numbers(name, "features") for name in features]
    people = None if annotator is None else table.people(annotator, rows.of)
    weights = None if weight is None else table.numbers(weight, "weight")
    check_weights(table, people, weights, weight)
    _check_constant(table, annotator, None if people is None else people.codes, rows)
    _check_constant(table, weight, weights, rows)
    table.errors.raise_if_any("give every situation one chosen alternative, distinct names, and one annotator")
    items, codes = _items(alt, values, features)
    people = None if people is None else factorize(people.text()[rows.first])
    numbers = [name for name in situations if name != annotator]
    columns = {
        n: column[rows.first] for n, column in table.others([c for c in table.columns if c not in numbers]).items()
    }
    others = table.others([*situations, alternative, choice, annotator, weight, *features])
    return PreferenceData(
        items=items,
        menu=rows.spread(codes),
        **_answers(chosen, rows),  # type: ignore[arg-type]
        annotator=None if people is None else people.codes,
        annotator_names=None if people is None else people.names,
        weight=None if weights is None else weights[rows.first],
        columns=columns | {name: _per_situation(column, rows) for name, column in others.items()},
        settings={
            "source": source_name(source),
            "format": "long",
            "situation": situation if isinstance(situation, str) else situations,
            "alternative": alternative,
            "choice": choice,
            "annotator": annotator,
            "weight": weight,
            "features": features,
            "choice_is": choice_is,
        },
    )


@dataclass(frozen=True)
class _Situations:
    """Where the rows of the table stand in the menus.

    Attributes:
        of: ``(table rows,)`` the situation of each row.
        place: ``(table rows,)`` its place on the menu.
        first: ``(situations,)`` the first row of each situation.
        shape: of the menus.
    """

    of: NDArray[np.int64]
    place: NDArray[np.int64]
    first: NDArray[np.int64]
    shape: tuple[int, int]

    def spread(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """A value of each row of the table on the menus; -1 where there is none."""
        out = np.full(self.shape, -1, dtype=np.int64)
        out[self.of, self.place] = values
        return out


def _situations(table: Table, situations: Sequence[str], alt: Coded) -> _Situations:
    of = table.coded(situations[0], "situation").codes
    for name in situations[1:]:
        part = table.coded(name, "situation")
        of = factorize(of * len(part.names) + part.codes).codes
    twice = pd.Series(of * len(alt.names) + alt.codes).duplicated().to_numpy()
    table.errors.add_where(
        twice, lambda r: f"alternative {alt.names[alt.codes[r]][:40]!r} appears twice in its situation"
    )
    order = np.argsort(of, kind="stable")
    size = np.bincount(of)
    shape = (len(size), int(size.max()))
    if shape[0] * shape[1] > _MAX_CELLS:
        raise TooLargeError(f"{table.name}: {shape[0]} menus of up to {shape[1]} alternatives; check {situations[0]}")
    place = np.empty(len(of), dtype=np.int64)
    place[order] = np.arange(len(of)) - np.repeat(np.cumsum(size) - size, size)
    return _Situations(of, place, order[np.cumsum(size) - size], shape)


def _check_constant(table: Table, name: str | None, column: np.ndarray | None, rows: _Situations) -> None:
    if column is not None:
        table.errors.add_where(column != column[rows.first[rows.of]], lambda r: f"{name} differs within a situation")


def _answers(chosen: NDArray[np.bool_], rows: _Situations) -> dict[str, np.ndarray]:
    """The place that was chosen in each situation, or the tied places, ascending."""
    many = np.bincount(rows.of[chosen], minlength=rows.shape[0])
    by = np.lexsort((rows.place[chosen], rows.of[chosen]))
    situation, place = rows.of[chosen][by], rows.place[chosen][by]
    if (many == 1).all():
        return {"answer": place}
    answer = np.full(rows.shape, -1, dtype=np.int64)
    answer[situation, np.arange(len(by)) - np.repeat(np.cumsum(many) - many, many)] = place
    return {"answer": answer, "tied": answer[:, 1:] >= 0}


def _chosen(table: Table, choice: str, choice_is: str, alt: Coded, rows: _Situations, ties: bool) -> NDArray[np.bool_]:
    """Which rows are chosen: exactly one of each situation, or with ties at least one."""
    answers = table.coded(choice, "choice")
    if choice_is == "name":
        chosen = answers.text() == alt.text()
    else:
        known = np.array([name in _TRUE or name in _FALSE or name in ("1.0", "0.0") for name in answers.names])
        table.errors.add_where(
            ~known[answers.codes],
            lambda r: (
                f"{choice} {answers.names[answers.codes[r]][:40]} is neither 0 nor 1 (choice_is='name' for names)"
            ),
        )
        chosen = np.isin(answers.names, (*_TRUE, "1.0"))[answers.codes]
    total = np.bincount(rows.of[chosen], minlength=rows.shape[0])
    wrong = np.zeros(len(chosen), dtype=bool)
    wrong[rows.first] = total < 1 if ties else total != 1
    several = "" if ties or not (total > 1).any() else " (ties=true where they are tied)"
    table.errors.add_where(
        wrong, lambda r: f"{total[rows.of[r]]} of this situation's alternatives are chosen, expected 1{several}"
    )
    return chosen


def _items(alt: Coded, values: list[NDArray[np.float64]], features: Sequence[str]) -> tuple[Items, NDArray[np.int64]]:
    """The distinct (alternative, attributes), in order of first appearance."""
    if not values:
        return Items(names=alt.names, columns={"alternative": alt.names}), alt.codes
    frame = pd.DataFrame(dict(enumerate([alt.codes, *values])))
    codes = np.asarray(frame.groupby(list(frame.columns), sort=False).ngroup(), dtype=np.int64)
    first = np.unique(codes, return_index=True)[1]
    base = pd.Series(alt.text()[first])
    nth = base.groupby(base).cumcount().to_numpy()
    many = base.duplicated(keep=False).to_numpy()
    names = [f"{b} #{i + 1}" if m else b for b, i, m in zip(base, nth, many, strict=True)]
    features_of = np.stack(values, 1)[first]
    return Items(names=names, features=features_of, columns={"alternative": base.to_numpy(dtype=object)}), codes


def _per_situation(column: np.ndarray, rows: _Situations) -> np.ndarray:
    """A column per situation, or per situation and place where it differs between alternatives."""
    if bool((column == column[rows.first][rows.of]).all()):
        return column[rows.first]
    full = len(column) == rows.shape[0] * rows.shape[1]
    kind = np.dtype(float) if column.dtype.kind == "i" and not full else column.dtype
    wide = np.full(rows.shape, {"O": None, "f": np.nan}.get(kind.kind, 0), dtype=kind)
    wide[rows.of, rows.place] = column
    return wide
