"""Choices in tables: a row per situation and alternative (long), or a row per situation (wide)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from annosim.data.preferences import PreferenceData
from annosim.io.format import Question, Reading
from annosim.io.long import read_long
from annosim.io.seen import ANNOTATORS, Seen, as_number, blank, tokens
from annosim.io.sources import Source, read_table, source_name, table_of_records
from annosim.io.tables import Table, factorize

__all__ = ["read_choices", "recognise_choices", "recognise_long"]

SITUATIONS = (
    "custom_id chid choice_situation situation situation_id sit case case_id obs obs_id obsid observation choice_id chid_id "
    "task task_id choice_set set question question_id menu scenario cs individual id group battle battle_id match match_id "
    "contest_no contest contest_id game game_id pair pair_id trial trial_id"
).split()
ALTERNATIVES = (
    "alt alts alternative alternative_id concept profile mode option brand item items_id alt_name product j model player team candidate "
    "system response_id"
).split()
CHOICES = "choice chosen choose selected y picked decision is_chosen choice_flag choosen".split()
#: Columns that are true in the row of what won, where a situation has a row for each alternative.
FLAGS = "response won win is_winner winner preferred".split()


def recognise_long(seen: Seen) -> Reading | Question | None:
    """A situation, an alternative and a flag that is true once in every situation."""
    alternative, choice = seen.column(*ALTERNATIVES), seen.column(*CHOICES, *FLAGS)
    if choice is None:  # Chosen_Immigrant of the R package cjoint
        choice = next((name for name in seen.columns if tokens(name)[:1] in (("chosen",), ("selected",))), None)
    if alternative is None or choice is None or not _is_flag(seen, choice):
        return None
    chosen = _chosen(seen, choice)
    taken = (alternative, choice)
    places = [seen.plain[name] for name in SITUATIONS if name in seen.plain and seen.plain[name] not in taken]
    people = [seen.plain[name] for name in ANNOTATORS if name in seen.plain and seen.plain[name] not in taken]
    for keys in [*([place] for place in places), *([who, place] for who in people for place in places if who != place)]:
        of = _together(seen, keys)
        if _is_situation(of, seen.table.texts(alternative, alternative).codes, chosen):
            return _reading(seen, keys, alternative, choice, of)
    return None


def _together(seen: Seen, keys: Sequence[str]) -> NDArray[np.int64]:
    """Codes of what several columns say together."""
    of = np.zeros(len(seen.table), dtype=np.int64)
    for key in keys:
        part = seen.table.texts(key, key)
        of = factorize(of * len(part.names) + part.codes).codes
    return of


def _is_flag(seen: Seen, column: str) -> bool:
    return {word.strip().casefold() for word in seen.words(column)} <= {"0", "1", "0.0", "1.0", "true", "false"}


def _chosen(seen: Seen, choice: str) -> np.ndarray:
    texts = seen.table.texts(choice, choice)
    return np.array([str(name).strip().casefold() in ("1", "1.0", "true") for name in texts.names])[texts.codes]


def _is_situation(of: np.ndarray, alternative: np.ndarray, chosen: np.ndarray) -> bool:
    """Whether every situation has distinct alternatives, more than one of them somewhere, and one that is chosen."""
    rows = len(of)
    if len(np.unique(of * (alternative.max() + 1) + alternative)) < rows or of.max() + 1 == rows:
        return False
    share = np.mean(np.bincount(of[chosen], minlength=int(of.max()) + 1) == 1)
    return bool(share > 0.9)


def _reading(seen: Seen, keys: Sequence[str], alternative: str, choice: str, of: np.ndarray) -> Reading:
    used = {keys[-1], alternative, choice}
    situation = keys[0] if len(keys) == 1 else list(keys)
    annotator = keys[0] if len(keys) > 1 else seen.named([*ANNOTATORS, "id"], used)
    if annotator is not None and not _constant(seen.table.texts(annotator, annotator).codes, of):
        annotator = None
    varying = []
    for name in seen.columns:
        if name in used | {annotator} or seen.kind(name) != "number" or seen.blanks(name) or not name.strip():
            continue
        if not _constant(seen.numbers(name), of) and not _is_row_number(seen, name):
            varying.append(name)
    options = {"situation": situation, "alternative": alternative, "choice": choice, "annotator": annotator}
    why = f"{' and '.join(keys)} {'numbers' if len(keys) == 1 else 'number'} the situations, {alternative} their alternatives, {choice} marks one of each"
    who = "" if annotator is None else f", annotator={annotator}"
    what = f", features={','.join(varying)}" if varying else ""
    return Reading(why + who + what, options | {"features": varying})


def _constant(values: np.ndarray, of: np.ndarray) -> bool:
    first = np.empty(int(of.max()) + 1, dtype=values.dtype)
    first[of[::-1]] = values[::-1]
    return bool((first[of] == values).all())


def _is_row_number(seen: Seen, name: str) -> bool:
    """Whether a column counts the rows, as data frames that were written with their index do."""
    values = seen.numbers(name)
    return bool((np.diff(values) == 1).all()) and name.strip().casefold() in (
        "",
        "index",
        "unnamed: 0",
        "rownames",
        "row",
    )


# ---- wide ----------------------------------------------------------------------------------------------------------


def read_choices(
    source: Source,
    alternatives: Sequence[str] | Mapping[str, str],
    choice: str = "choice",
    annotator: str | None = None,
    features: Sequence[str] = (),
) -> PreferenceData:
    """Read a row per choice situation with a column for each attribute of each alternative (Biogeme, mlogit's wide data).

    Args:
        source: a file or a table in memory.
        alternatives: their names as they stand in the columns (``TRAIN_TT`` or ``price.beach``); or a mapping from what
            the choice says to these names (``{"1": "TRAIN"}``).
        choice: column with what was chosen.
        annotator: column with who chose.
        features: attributes; by default those of which every alternative has a column. A column ``ALTERNATIVE_AV`` (or
            ``av``, ``avail``, ``available``) that is 0 takes the alternative off the menu.

    Returns:
        Choices whose items are the distinct (alternative, attributes), as :func:`annosim.io.read_long` makes them.

    Raises:
        RowsError: a choice that is no alternative, or one that is not available; attributes that are not numbers.

    Example:
        >>> row = {"price.bus": 2, "price.car": 5, "choice": "bus"}
        >>> read_choices([row], ["bus", "car"]).items.columns["alternative"].tolist()
        ['bus', 'car']
    """
    table = read_table(source)
    names = dict(alternatives) if isinstance(alternatives, Mapping) else {name: name for name in alternatives}
    columns = attributes(table.columns, list(names.values()))
    wanted = list(features) or sorted(set.intersection(*(set(one) for one in columns.values())) - _AVAILABLE)
    said = table.coded(choice, "choice")
    chosen = np.array([names.get(str(name), "") for name in said.names], dtype=object)[said.codes]
    table.errors.add_where(chosen == "", lambda r: f"{choice} {said.names[said.codes[r]][:40]!r} is no alternative")
    there = {name: _available(table, columns[name]) for name in columns}
    off = np.array([not there.get(name, there[next(iter(there))])[row] for row, name in enumerate(chosen)])
    table.errors.add_where(off & (chosen != ""), lambda r: f"{chosen[r][:40]!r} was chosen and is not available")
    values = {name: [_attribute(table, columns[name], feature) for feature in wanted] for name in columns}
    people = None if annotator is None else table.people(annotator).text()
    table.errors.raise_if_any("say what the choice's words mean: alternatives=1=TRAIN,2=CAR")
    records, lines = [], []
    for row in range(len(table)):
        for name in columns:
            if there[name][row]:
                record: dict[str, object] = {"situation": row, "alternative": name, "choice": int(chosen[row] == name)}
                record |= {feature: float(values[name][i][row]) for i, feature in enumerate(wanted)}
                records.append(record if people is None else record | {"annotator": people[row]})
                lines.append(table.line(row))
    long = table_of_records(table.name, records, lines)
    data = read_long(long, "situation", "alternative", "choice", None if people is None else "annotator", wanted)
    used = {choice, annotator, *(column for one in columns.values() for column in one.values())}
    kept = data.columns if len(set(lines)) != len(table) else table.others(list(used))
    settings = {**data.settings, "source": source_name(source), "format": "choices"}
    return data.with_(columns=kept, settings=settings)


_AVAILABLE = frozenset(["av", "avail", "available", "availability"])


def attributes(columns: Sequence[str], alternatives: Sequence[str]) -> dict[str, dict[str, str]]:
    """For each alternative the columns of its attributes, by their names: ``{"car": {"price": "price.car"}}``.

    Example:
        >>> attributes(["TRAIN_TT", "CAR_TT", "age"], ["TRAIN", "CAR"])
        {'TRAIN': {'tt': 'TRAIN_TT'}, 'CAR': {'tt': 'CAR_TT'}}
    """
    out: dict[str, dict[str, str]] = {name: {} for name in alternatives}
    words = {name: tokens(name) for name in alternatives}
    for column in columns:
        parts = tokens(column)
        for name, word in words.items():
            n = len(word)
            if 0 < n < len(parts) and parts[:n] == word:
                out[name].setdefault("_".join(parts[n:]), column)
            elif 0 < n < len(parts) and parts[-n:] == word:
                out[name].setdefault("_".join(parts[:-n]), column)
    return out


def _available(table: Table, columns: Mapping[str, str]) -> NDArray[np.bool_]:
    """Where an alternative is on the menu: its availability, and attributes that are not empty."""
    key = next((name for name in columns if name in _AVAILABLE), None)
    if key is not None:
        return table.numbers(columns[key], columns[key]) != 0
    empty = np.ones(len(table), dtype=bool)
    for column in columns.values():
        texts = table.texts(column, column)
        empty &= np.array([name is None or blank(name) for name in texts.names])[texts.codes]
    return ~empty if columns else np.ones(len(table), dtype=bool)


def _attribute(table: Table, columns: Mapping[str, str], feature: str) -> NDArray[np.float64]:
    """An attribute of an alternative; 0 where it has none, or is not available and empty."""
    if feature not in columns:
        return np.zeros(len(table))
    texts = table.texts(columns[feature], "features")
    said = np.array([name is not None and not blank(name) for name in texts.names])[texts.codes]
    number = np.array([as_number(name) if isinstance(name, str) else None for name in texts.names], dtype=np.float64)
    values = number[texts.codes]
    table.errors.add_where(said & np.isnan(values), lambda r: f"{columns[feature]} is no number")
    return np.where(said, np.nan_to_num(values), 0.0)


def recognise_choices(seen: Seen) -> Reading | Question | None:
    """A choice that names alternatives, each with columns of its own."""
    choice = seen.column(*CHOICES, "mode", "alt", "choice_made")
    if choice is None or seen.kind(choice) not in ("text", "number"):
        return None
    words = seen.words(choice)
    if not 2 <= len(words) <= 50:
        return None
    numbers = [name for name in seen.columns if name != choice and seen.kind(name) in ("number", "empty")]
    found = attributes(numbers, words)
    shared = set.intersection(*(set(one) for one in found.values()))
    annotator = seen.annotator([choice]) or seen.column("id")
    who = "" if annotator is None else f", annotator={annotator}"
    if shared and seen.kind(choice) == "text" and all(as_number(word) is None for word in words):
        names = _all_alternatives(seen, words, shared)
        options = {"alternatives": names, "choice": choice, "annotator": annotator}
        what = ", ".join(sorted(shared - _AVAILABLE)) or "nothing else"
        return Reading(f"{choice} names one of {', '.join(names)}, which have columns of {what}{who}", options)
    groups = _groups(seen, choice)
    if seen.kind(choice) == "number" and len(groups) >= max(len(words) - 1, 2):  # 0 may stand for no answer
        shown = ", ".join(groups[:5])
        asked = ",".join(f"{word}=NAME" for word in sorted(words)[:6])
        return Question(
            f"{choice} holds {', '.join(sorted(words)[:6])}, and {shown} have columns: which is which? the code book says; "
            f"say alternatives={asked}",
            ("alternatives",),
            {"choice": choice, "annotator": annotator},
        )
    return None


def _all_alternatives(seen: Seen, words: Sequence[str], shared: set[str]) -> list[str]:
    """The alternatives that are chosen, and those that have the same columns and are never chosen."""
    feature = next(iter(sorted(shared)))
    known = {tokens(word): word for word in words}
    out = list(words)
    mark = tokens(feature)
    for column in seen.columns:
        parts = tokens(column)
        for rest in (
            parts[len(mark) :] if parts[: len(mark)] == mark else (),
            parts[: -len(mark)] if parts[-len(mark) :] == mark else (),
        ):
            if rest and rest not in known:
                known[rest] = column.split(".")[-1] if "." in column else "_".join(rest)
                out.append(known[rest])
    return out


#: What is said of alternatives, in the names of columns.
_ATTRIBUTES = frozenset(
    "time tt co cost price fare he headway wait waiting access egress walk transfers comfort distance dist catch speed size "
    "quality brand income seats invt invc ttme gc wifi food service duration toll fuel co2 emissions".split()
)


def _groups(seen: Seen, choice: str) -> list[str]:
    """The alternatives in names such as ``TRAIN_TT`` or ``time_car``: those of availability, else those that share parts.

    Which part is the alternative is told by columns of availability, else by the words for attributes, else the first is.
    """
    names = [name for name in seen.columns if name != choice and seen.kind(name) == "number"]
    halves = {name: half for name in names if (half := _half(name)) is not None}
    for place in (0, 1):
        there = [half[place] for half in halves.values() if half[1 - place].casefold() in _AVAILABLE]
        if len(there) > 1:
            return there
    first, last = (_shared(halves.values(), place) for place in (0, 1))
    attributes_first = sum(word.casefold() in _ATTRIBUTES for word in first)
    attributes_last = sum(word.casefold() in _ATTRIBUTES for word in last)
    return last if attributes_first > attributes_last else first


def _half(name: str) -> tuple[str, str] | None:
    """A name in two parts, at its first mark: ``TRAIN_TT`` is ``("TRAIN", "TT")``."""
    found = re.match(r"^([^_.]+)[_.](.+)$", name)
    return None if found is None else (found[1], found[2])


def _shared(halves: Iterable[tuple[str, str]], place: int) -> list[str]:
    """The parts in one place that go with a part that goes with others, too."""
    partners: dict[str, set[str]] = {}
    for half in halves:
        partners.setdefault(half[place], set()).add(half[1 - place])
    every = [partner for one in partners.values() for partner in one]
    return [part for part, one in partners.items() if any(every.count(partner) > 1 for partner in one)]
