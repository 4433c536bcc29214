"""Potato's annotations of pairs, of either release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from annosim.data.preferences import PreferenceData
from annosim.io.format import EXPORTER, Reading
from annosim.io.layouts.sides import Sides
from annosim.io.layouts.votes import Votes, strings
from annosim.io.layouts.words import side_of_word
from annosim.io.seen import Seen, as_number
from annosim.io.sources import Source, read_table, table_of_records
from annosim.io.tables import Table

__all__ = ["read_potato", "recognise_potato"]

#: Labels whose value says the answer: the tile that was chosen, or the place of a slider (below 0 on the left).
_SAID = ("selection", "scale_value")
_STATE = "instance_id_to_label_to_value"
_TWO = Sides("A", "B", "", ("a", "b"))


def read_potato(source: Source, schema: str | None = None) -> PreferenceData:
    """Read Potato's annotations of pairs.

    They stand in ``label_annotations`` or ``labels`` (JSON lines), in columns ``SCHEMA:::LABEL`` or ``SCHEMA.LABEL`` (CSV, TSV),
    or in ``instance_id_to_label_to_value`` (``user_state.json``). A label is on or off, or it is ``selection`` with the tile
    that was chosen, or ``scale_value`` with the place of a slider: below 0 the left side is preferred.

    The sides are the two texts of ``displayed_text`` (or of a list of two beside the answer) where there is one, else ``A``
    and ``B`` of the instance.

    Args:
        source: the file.
        schema: the annotation scheme; by default the first whose labels are sides.

    Returns:
        Pairs within the instance (``data.prompt``).

    Raises:
        RowsError: labels that mean no side.

    Example:
        >>> row = {"user": "u", "instance_id": "1", "preference:::A": "1", "preference:::B": ""}
        >>> read_potato([row]).answer.tolist()
        [0]
        >>> read_potato([{"user_id": "u", "instance_id": "1", "labels": {"better": {"selection": "B"}}}]).answer.tolist()
        [1]
    """
    table = read_table(source)
    table = _of_states(table) if _STATE in table else table
    who = next((name for name in ("user", "user_id", "annotator", "username") if name in table), None)
    users = None if who is None else table.coded(who, who).text()
    key = next((name for name in ("instance_id", "id") if name in table), table.columns[0])
    ids = table.coded(key, key).text()
    texts = _texts(table)
    votes = Votes(table, "potato")
    for row, labels in enumerate(_labels(table, schema)):
        said = _side(labels)
        if said is None:
            if labels:
                shown = ", ".join(f"{name} {value}" for name, value in labels.items())
                table.errors.add(row, f"labels {shown[:60]!r} mean no side")
            continue
        left, right = texts[row] or (f"{ids[row]} A", f"{ids[row]} B")
        others: dict[str, object] = {} if users is None else {"annotator": users[row]}
        votes.add(row, strings(left), strings(right), said, prompt=str(ids[row]), **others)
    return votes.data(source, texts=True)


def _of_states(table: Table) -> Table:
    """A row per instance from the states of users."""
    cells, users = table.values(_STATE, _STATE), table.values("user_id", "user_id")
    records, lines = [], []
    for row, cell in enumerate(cells):
        for instance, labels in (cell if isinstance(cell, Mapping) else {}).items():
            records.append({"user_id": users[row], "instance_id": instance, "labels": labels})
            lines.append(table.line(row))
    return table_of_records(table.name, records, lines)


def _texts(table: Table) -> list[tuple[object, object] | None]:
    """The two texts that a row shows, in ``displayed_text`` or in a list of two texts."""
    for name in ("displayed_text", *table.columns):
        if name in table:
            cells = table.values(name, name)
            two = [(cell[0], cell[1]) if isinstance(cell, list) and len(cell) == 2 else None for cell in cells]
            if name == "displayed_text" or all(one is not None and isinstance(one[0], str) for one in two):
                return two
    return [None] * len(table)


def _side(labels: Mapping[str, object]) -> str | None:
    """The side that the labels of a row mean, ``None`` if they mean none."""
    on = {name: value for name, value in labels.items() if _is_on(value) or name in _SAID}
    if len(on) != 1:
        return None
    name, value = next(iter(on.items()))
    if name == "scale_value":
        number = as_number(str(value))
        return None if number is None else ("tie" if number == 0 else ("left" if number < 0 else "right"))
    return side_of_word(str(value) if name == "selection" else name, _TWO)


def _labels(table: Table, schema: str | None) -> Iterator[Mapping[str, object]]:
    """The labels of the scheme in each row, with their values."""
    nested = next((name for name in ("label_annotations", "labels") if name in table), None)
    if nested is not None:
        for cell in table.values(nested, nested):
            schemes = cell if isinstance(cell, Mapping) else {}
            given = [schemes.get(schema)] if schema else list(schemes.values())
            held = [one.get("labels", one) for one in given if isinstance(one, Mapping)]
            labels = [
                {str(label): value for label, value in one.items() if _is_on(value) or label in _SAID}
                for one in held
                if isinstance(one, Mapping)
            ]
            yield next((one for one in labels if _side(one) is not None), labels[0] if labels else {})
        return
    columns = _label_columns(table.columns)
    first = schema or next(iter(columns.values()), ("", ""))[0]
    cells = {label: table.texts(name, name).text() for name, (scheme, label) in columns.items() if scheme == first}
    for row in range(len(table)):
        said = {label: values[row] for label, values in cells.items()}
        yield {
            label: value
            for label, value in said.items()
            if _is_on(value) or (label == "scale_value" and str(value).strip() not in ("", "None"))
        }


def _label_columns(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Columns of labels with their scheme and label."""
    out = {name: (name.split(":::")[0], name.split(":::", 1)[1]) for name in names if ":::" in name}
    said = {name: name.rsplit(".", 1) for name in names if name.rsplit(".", 1)[-1] in _SAID and "." in name}
    return out or {name: (scheme, label) for name, (scheme, label) in said.items()}


def _is_on(value: object) -> bool:
    return str(value).strip().casefold() not in ("", "0", "0.0", "false", "none", "nan")


def recognise_potato(seen: Seen) -> Reading | None:
    """``label_annotations``, ``labels`` of an instance, a user's state, or columns ``SCHEMA:::LABEL``."""
    if "label_annotations" in seen.table:
        return Reading("Potato: label_annotations of each instance", {}, EXPORTER)
    if _STATE in seen.table and "user_id" in seen.table:
        return Reading("Potato: the state of a user, labels of each instance", {}, EXPORTER)
    if "instance_id" in seen.table and "labels" in seen.table and seen.kind("labels") == "record":
        return Reading("Potato: labels of each instance", {}, EXPORTER)
    named = _label_columns(seen.columns)
    told = any(label in _SAID for _, label in named.values())
    if not (told or len(named) > 1):
        return None
    first, *others = dict.fromkeys(scheme for scheme, _ in named.values())
    more = f", not those of {', '.join(others)[:60]} (schema= names another)" if others else ""
    return Reading(f"Potato: the labels of {first}{more}", {}, EXPORTER)
