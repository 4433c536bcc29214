"""Covariates of a question: numbers of each alternative as it was shown, by name, found in the columns of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from annosim.data.sides import MARKS, OUTCOMES, pairs_of_names, tokens
from annosim.errors import ArgumentError, DataError
from annosim.items import Items

if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData

__all__ = [
    "CHOSEN_POSITION",
    "CovariateNames",
    "as_covariates",
    "columns_to_covariates",
    "covariate_names",
    "feature_names",
    "further_columns",
    "outcome_columns",
    "spread_names",
]

#: Names of covariates, or names with the column (or the two columns) that hold them.
CovariateNames: TypeAlias = Sequence[str] | Mapping[str, str | Sequence[str] | None]

#: Column of a file of ``to_trl`` with the place where the chosen was shown.
CHOSEN_POSITION = "chosen_position"

_WORDS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
#: words of two columns that become indicators at most
_MOST_WORDS = 30


def as_covariates(covariates: Mapping[str, ArrayLike], menu: NDArray[np.integer]) -> dict[str, NDArray[np.float64]]:
    """Covariates in the shape of the menus, float64, zero at pads.

    Args:
        covariates: each ``(rows, k)``, with replicates also ``(R, rows, k)``; of pairs also ``(rows,)``: first less second.
        menu: ``(rows, k)``, or ``(R, rows, k)``.

    Raises:
        DataError: another shape, or a number that is missing or infinite; the first row is named.

    Example:
        >>> as_covariates({"length": [50.0]}, np.array([[0, 1]]))["length"].tolist()
        [[50.0, 0.0]]
    """
    if not isinstance(covariates, Mapping):
        raise DataError("covariates: a mapping of names to (rows, k) numbers, {'length': ...}")
    bad = [name for name in covariates if not isinstance(name, str) or not name or "." in name]
    if bad:
        raise DataError(f"covariates: {bad[0]!r} cannot be a name; give a text without a dot")
    return {str(name): _checked(str(name), value, menu) for name, value in covariates.items()}


def _checked(name: str, value: ArrayLike, menu: NDArray[np.integer]) -> NDArray[np.float64]:
    rows, k = menu.shape[-2:]
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"covariate {name!r}: not a table of numbers") from None
    if numbers.shape == (rows,) and k == 2:
        numbers = np.stack([numbers, np.zeros(rows)], -1)
    if numbers.shape not in ((rows, k), menu.shape):
        one = f", or ({rows},): the first side's less the second's" if k == 2 else ""
        raise DataError(f"covariate {name!r}: shape {numbers.shape}, expected ({rows}, {k}), one for each place{one}")
    numbers = np.broadcast_to(numbers, menu.shape)  # replicates may share them
    bad = (menu >= 0) & ~np.isfinite(numbers)
    if bad.any():
        row = int(np.argwhere(bad)[0][-2])
        raise DataError(
            f"covariate {name!r}: row {row} has {numbers[bad][0]}; fill it in, or leave the rows out: data.take(...)"
        )
    return np.where(menu >= 0, numbers, 0.0)


def outcome_columns(data: PreferenceData, outcome: NDArray[np.integer]) -> dict[str, np.ndarray]:
    """The named columns, and the covariates of what was chosen and rejected: ``length_chosen, length_rejected``.

    Args:
        data: pairs.
        outcome: ``(rows,)`` the place of the chosen, 0 or 1.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=2), [[0, 1]], answer=[1], covariates={"length": [[9.0, 4.0]]})
        >>> {name: value.tolist() for name, value in outcome_columns(data, data.answer).items()}
        {'length_chosen': [4.0], 'length_rejected': [9.0]}
    """
    out, rows = dict(data.columns), np.arange(data.rows)
    for name, value in data.covariates.items():
        known = [out.get(column) for column in spread_names(name, 2)]
        if all(column is not None and np.array_equal(column, value[:, j]) for j, column in enumerate(known)):
            continue  # the columns from which it was read say it
        out.setdefault(f"{name}_chosen", value[rows, outcome])
        out.setdefault(f"{name}_rejected", value[rows, 1 - outcome])
    return out


def spread_names(name: str, k: int) -> list[str]:
    """The columns in which a table holds a covariate: ``length_left, length_right`` of pairs, else ``length_0 ...``.

    Example:
        >>> spread_names("length", 2), spread_names("price", 3)
        (['length_left', 'length_right'], ['price_0', 'price_1', 'price_2'])
    """
    return [f"{name}_left", f"{name}_right"] if k == 2 else [f"{name}_{j}" for j in range(k)]


def further_columns(data: PreferenceData) -> dict[str, np.ndarray]:
    """The named columns, and the covariates as :func:`spread_names` call them: what a table of rows holds beside its own.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=2), [[0, 1]], answer=[0], covariates={"length": [[9.0, 4.0]]})
        >>> {name: value.tolist() for name, value in further_columns(data).items()}
        {'length_left': [9.0], 'length_right': [4.0]}
    """
    out = dict(data.columns)
    for name, value in data.covariates.items():
        for column, numbers in zip(spread_names(name, data.menu_size), np.moveaxis(value, -1, 0), strict=True):
            out.setdefault(column, numbers)  # the columns from which it was read hold the same
    return out


@dataclass(frozen=True)
class _Found:
    """Columns that hold a covariate: one of the row or of each place, or one for each side."""

    name: str
    columns: tuple[str, ...]


def columns_to_covariates(
    data: PreferenceData, covariates: CovariateNames, relative: bool, standardise: bool
) -> PreferenceData:
    """Columns and features of alternatives as covariates; see :meth:`PreferenceData.with_covariates`."""
    if data.replicates is not None:
        raise ArgumentError("with_covariates: the data have replicates; take one of them, data[r]")
    if isinstance(covariates, str) or not isinstance(covariates, Sequence | Mapping):
        raise ArgumentError(f"with_covariates({covariates!r}): a list of names, or {{name: column or (left, right)}}")
    columns, features = _flat_columns(data), feature_names(data)
    out: dict[str, NDArray[np.float64]] = {}
    moved = []
    for name in covariates:
        given = covariates[name] if isinstance(covariates, Mapping) else None
        plain = str(name).replace(".", "_")  # the name of a number of the model
        if given is None and name in features and name not in columns:
            moved.append(name)
            values = data.items.feature_matrix[:, features.index(name)].numpy()
            out[plain] = np.where(data.menu >= 0, values[data.menu], 0.0)
        else:
            found = _found(str(name), given, columns, features)
            made = _values(data, found, plain, columns)
            out |= {key: _as_shown(data, found.columns, value) for key, value in made.items()}
    new = {name: _scaled(value, data, relative, standardise) for name, value in as_covariates(out, data.menu).items()}
    kept = data.covariates if isinstance(data.covariates, dict) else dict(data.covariates)
    return replace(_without_features(data, moved), covariates={**kept, **new})


def _as_shown(data: PreferenceData, columns: Sequence[str], value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers of pairs put where their alternatives stand in the menu.

    Columns of the chosen and the rejected follow the answer. Other columns of a file of ``to_trl`` speak of the places where
    the two were shown, of which ``chosen_position`` tells, whereas :func:`annosim.io.read_trl` puts the chosen first.
    """
    if data.menu_size != 2:
        return value
    outcomes = pairs_of_names(columns, OUTCOMES) if len(columns) == 2 else []
    if outcomes:
        turned = np.asarray(data.answer).reshape(data.rows, -1)[:, 0] == 1
        turned ^= outcomes[0].left != columns[0]
    elif data.settings.get("format") == "trl" and CHOSEN_POSITION in data.columns:
        turned = pd.to_numeric(pd.Series(data.columns[CHOSEN_POSITION]), errors="coerce").to_numpy() == 1
    else:
        return value
    sides = np.stack([value, np.zeros(data.rows)], -1) if value.ndim == 1 else value
    return np.where(turned[:, None], sides[:, ::-1], sides)


def _scaled(value: NDArray[np.float64], data: PreferenceData, relative: bool, standardise: bool) -> NDArray[np.float64]:
    """Shares of the row's total, and in units of the standard deviation of the differences within rows."""
    if relative:
        total = np.abs(value).sum(-1, keepdims=True)
        value = np.divide(value, total, out=np.zeros_like(value), where=total > 0)
    if standardise:
        shown = data.menu >= 0
        first = value[:, :1]
        gaps = (value - first)[:, 1:][shown[:, 1:]]
        spread = float(np.std(gaps)) if gaps.size else 0.0
        value = value / spread if spread > 0 else value
    return value


def covariate_names(given: object) -> CovariateNames:
    """Names of covariates as commands and files write them: ``length,home`` or ``length=len_a:len_b``.

    Raises:
        ArgumentError: a text, or a list of them, without a name.

    Example:
        >>> covariate_names("length=len_a:len_b, home")
        {'length': ('len_a', 'len_b'), 'home': None}
    """
    if isinstance(given, Mapping):
        return {str(name): tuple(v.split(":")) if isinstance(v, str) else v for name, v in given.items()}
    parts = [one.strip() for one in given.split(",")] if isinstance(given, str) else given
    if not isinstance(parts, Sequence) or not all(isinstance(one, str) and one for one in parts):
        raise ArgumentError(f"covariates={given!r}: names, such as length,home, or length=len_a:len_b")
    found: dict[str, tuple[str, ...] | None] = {}
    for one in parts:
        name, equals, columns = one.partition("=")
        found[name.strip()] = tuple(part.strip() for part in columns.split(":")) if equals else None
    return found


# ---- found among the features of alternatives -------------------------------------------------------------------------


def feature_names(data: PreferenceData) -> list[str]:
    """Names of the items' features, where a reader of choices gave them; none otherwise."""
    known = data.settings.get("features")
    named = isinstance(known, list) and data.items.features is not None and len(known) == data.items.dim
    return [str(name) for name in known] if named and isinstance(known, list) else []


def _without_features(data: PreferenceData, moved: Sequence[str]) -> PreferenceData:
    """The same choices, whose items are told apart by the alternative and the features that stay."""
    if not moved:
        return data
    names, items = feature_names(data), data.items
    kept = [j for j, name in enumerate(names) if name not in moved]
    alternative = np.asarray(items.columns.get("alternative", np.asarray(items.names, dtype=object)), dtype=object)
    left = items.feature_matrix[:, kept].numpy()
    frame = pd.DataFrame({"alternative": alternative, **{str(j): left[:, i] for i, j in enumerate(kept)}})
    code = frame.groupby(list(frame.columns), sort=False).ngroup().to_numpy()
    first = np.unique(code, return_index=True)[1]
    base = pd.Series(alternative[first].astype(str))
    nth = base.groupby(base).cumcount()
    many = base.duplicated(keep=False)
    labels = [f"{b} #{i + 1}" if m else b for b, i, m in zip(base, nth, many, strict=True)]
    merged = Items(names=labels, features=left[first] if kept else None, columns={"alternative": alternative[first]})
    menu = np.where(data.menu >= 0, code[data.menu], -1)
    settings = {**data.settings, "features": [names[j] for j in kept]}
    return replace(data, items=merged, menu=menu, settings=settings)


# ---- found in the named columns --------------------------------------------------------------------------------------


def _flat_columns(data: PreferenceData) -> dict[str, np.ndarray]:
    """The named columns; those of records are spread: ``conv_metadata.bold_count_a``."""
    out: dict[str, np.ndarray] = {}
    for name, value in data.columns.items():
        out[name] = value
        if value.dtype == object and value.ndim == 1 and len(value) and isinstance(value[0], Mapping):
            keys = {str(key): None for cell in value if isinstance(cell, Mapping) for key in cell}
            for key in keys:
                cells = [cell.get(key) if isinstance(cell, Mapping) else None for cell in value]
                spread = np.empty(len(cells), dtype=object)
                spread[:] = cells
                out.setdefault(f"{name}.{key}", spread)
    return out


def _found(
    name: str, given: str | Sequence[str] | None, columns: Mapping[str, np.ndarray], features: Sequence[str]
) -> _Found:
    if given is not None:
        wanted = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Sequence) else (given,)
        if not all(isinstance(column, str) for column in wanted):
            raise ArgumentError(f"covariate {name!r}: {given!r}; give a column's name, or two, one for each side")
        if not 1 <= len(wanted) <= 2:
            raise ArgumentError(f"covariate {name!r}: {len(wanted)} columns; give one, or one for each side")
        missing = [column for column in wanted if column not in columns]
        if missing:
            raise DataError(
                f"covariate {name!r}: no column {missing[0][:40]!r}; there are {_shown([*columns, *features])}"
            )
        return _Found(name, wanted)
    if name in columns:
        return _Found(name, (name,))
    word = tokens(name)
    known = pairs_of_names(columns, (*MARKS, *OUTCOMES))
    pairs = [pair for pair in known if tuple(pair.stem.split("_")) == word]
    if not pairs:  # "header_count" is the stem of conv_metadata.header_count_a
        pairs = [pair for pair in known if set(word) <= set(pair.stem.split("_"))]
    if len(pairs) > 1:
        ways = "; or ".join(f"({pair.left}, {pair.right})" for pair in pairs[:3])
        raise DataError(
            f"covariate {name!r}: it may be {ways}; say which: {{{name!r}: ({pairs[0].left!r}, {pairs[0].right!r})}}"
        )
    if not pairs:
        raise DataError(
            f"covariate {name!r}: no column of this name, and no two for the sides ({name}_a and {name}_b); there are "
            f"{_shown([*columns, *features])}"
        )
    return _Found(name, (pairs[0].left, pairs[0].right))


def _shown(columns: Sequence[str]) -> str:
    names = ", ".join(columns) or "none (the reader keeps no further columns)"
    return names if len(names) <= 160 else names[:157] + "..."


def _values(
    data: PreferenceData, found: _Found, plain: str, columns: Mapping[str, np.ndarray]
) -> dict[str, NDArray[np.float64]]:
    """One covariate, or the indicators of words."""
    k = data.menu_size
    if k != 2 and not (len(found.columns) == 1 and columns[found.columns[0]].shape == data.menu.shape):
        raise DataError(
            f"covariate {found.name!r}: a number for each of the {k} places of a menu is needed, shape (rows, {k}); one "
            "column, or two, speak of pairs alone"
        )
    if len(found.columns) == 1:
        value = columns[found.columns[0]]
        return {plain: _numbers(found.columns[0], value, found.name, one_sided=value.ndim == 1)}
    sides = [columns[name] for name in found.columns]
    words = _words(sides)
    if words is None:
        both = [_numbers(column, value, found.name) for column, value in zip(found.columns, sides, strict=True)]
        return {plain: np.stack(both, -1)}
    if len(words) == 1:
        raise DataError(f"covariate {found.name!r}: every cell is {words[0][:40]!r}, which says nothing; leave it out")
    texts = [np.array([str(cell) for cell in side], dtype=object) for side in sides]
    for column, text in zip(found.columns, texts, strict=True):
        empty = [not cell.strip() for cell in text]
        if any(empty):
            raise DataError(
                f"covariate {found.name!r}: column {column!r} is empty in row {empty.index(True)}; fill it in, or leave the "
                "rows out"
            )
    names = [f"{plain}={word}".replace(".", "_") for word in words[1:]]
    if len(set(names)) < len(names):
        twice = max(names, key=names.count)
        raise DataError(f"covariate {found.name!r}: two words are written {twice!r} without their dots; rename one")
    return {
        name: np.stack([(text == word).astype(np.float64) for text in texts], -1)
        for name, word in zip(names, words[1:], strict=True)
    }


def _words(sides: list[np.ndarray]) -> list[str] | None:
    """The distinct words of two columns of text, ascending; ``None`` where they hold numbers, flags or records.

    Numbers of which some are missing, or are no numbers, are numbers.
    """
    cells = np.concatenate(sides)
    if cells.dtype != object or not all(isinstance(cell, str) for cell in cells):
        return None
    found = sorted(set(cells.tolist()))
    told = [_number(word) is not None for word in found if word.strip()]
    if 2 * sum(told) > len(told) or len(found) > _MOST_WORDS:
        return None
    return found


def _number(cell: object) -> float | None:
    """A cell as a number: flags are 1 and 0, a record of numbers (how often each mark occurs) is their sum."""
    if isinstance(cell, Mapping):
        parts = [_number(part) for part in cell.values() if part is not None]
        return None if any(part is None for part in parts) else float(sum(part for part in parts if part is not None))
    if isinstance(cell, str):
        text = cell.strip().casefold()
        if text in _WORDS:
            return _WORDS[text]
        found = pd.to_numeric(text, errors="coerce")
        return None if not np.isfinite(found) else float(found)
    if isinstance(cell, bool | np.bool_ | int | float | np.number):
        return float(cell) if np.isfinite(cell) else None
    return None


def _numbers(column: str, value: np.ndarray, name: str, one_sided: bool = False) -> NDArray[np.float64]:
    """A column as numbers; the first cell that is none is named."""
    if value.dtype.kind in "biuf" and bool(np.isfinite(value).all()):
        return value.astype(np.float64)
    flat = [_number(cell) for cell in value.reshape(-1)]
    bad = [place for place, cell in enumerate(flat) if cell is None]
    if bad and value.ndim == 1:  # an empty place of a menu has none: the data decide
        row, cell = bad[0], str(value[bad[0]])[:40]
        remedy = (
            "; one word a row is the same for both sides, and says nothing of who wins: fit the rows of each apart, or "
            "give a column for each side"
            if one_sided and isinstance(value[row], str) and cell.strip()
            else "; fill it in, or leave the rows out"
        )
        raise DataError(f"covariate {name!r}: column {column!r} has {cell!r} in row {row}, which is no number{remedy}")
    return np.array([np.nan if cell is None else cell for cell in flat]).reshape(value.shape)
