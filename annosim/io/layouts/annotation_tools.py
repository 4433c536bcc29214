"""Exports of annotation tools: Label Studio, Argilla, Potato."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from annosim.data.preferences import PreferenceData
from annosim.io.format import EXPORTER, Reading
from annosim.io.layouts.sides import TEXTS, Sides, sides_of
from annosim.io.layouts.votes import Votes, strings
from annosim.io.layouts.words import side_of_word
from annosim.io.seen import PROMPTS, Seen
from annosim.io.sources import Source, read_table, table_of_records
from annosim.io.tables import Table

__all__ = [
    "read_argilla",
    "read_label_studio",
    "read_potato",
    "recognise_argilla",
    "recognise_label_studio",
    "recognise_potato",
]


def read_label_studio(source: Source) -> PreferenceData:
    """Read Label Studio's JSON export of comparisons: tasks with ``data`` and ``annotations``.

    Results of the kinds ``pairwise`` (left or right), ``choices`` (words for sides and ties) and ``ranker`` are votes; the
    sides are the fields of ``data`` that differ in their mark (``text1, text2``). Cancelled annotations are left out.

    Returns:
        Pairs of names where the task names models, else of texts within the prompt of the task.

    Raises:
        RowsError: tasks without two sides, or results that are no vote.

    Example:
        >>> task = {"data": {"text1": "tea", "text2": "milk"}, "annotations": [
        ...     {"completed_by": 7, "result": [{"type": "pairwise", "value": {"selected": "right"}}]}]}
        >>> data = read_label_studio([task])
        >>> data.answer.tolist(), data.annotator_names.tolist()
        ([1], ['7'])
    """
    table = read_table(source)
    tasks, annotations = table.values("data", "data"), table.values("annotations", "annotations")
    sides = _sides_of_records(table, tasks)
    votes = Votes(table, "label-studio")
    texts = sides is not None and not _are_names(sides)
    for row, (task, given) in enumerate(zip(tasks, annotations, strict=True)):
        if not isinstance(task, Mapping) or not isinstance(given, list):
            table.errors.add(row, "no data and annotations")
            continue
        for who, value in _results(given):
            if sides is None or sides.left not in task or sides.right not in task:
                table.errors.add(row, "data has no two fields that are sides, such as text1 and text2")
                break
            said = _selected(value, sides)
            if said is None:
                table.errors.add(row, f"a result that is no comparison: {str(dict(value))[:60]}")
                continue
            prompt = _prompt_of(task)
            votes.add(row, strings(task[sides.left]), strings(task[sides.right]), said, annotator=who, prompt=prompt)
    return votes.data(source, texts=texts)


def _results(annotations: Sequence[object]) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Who annotated, and each result that may be a vote."""
    for one in annotations:
        if not isinstance(one, Mapping) or one.get("was_cancelled"):
            continue
        who = one.get("completed_by", one.get("annotator", one.get("id", 0)))
        who = who.get("email", who.get("id")) if isinstance(who, Mapping) else who
        for result in one.get("result") or []:
            value = result.get("value") if isinstance(result, Mapping) else None
            if isinstance(value, Mapping) and {"selected", "choices"} & set(value):
                yield str(who), value


def _selected(value: Mapping[str, object], sides: Sides) -> str | None:
    said = value.get("selected", value.get("choices"))
    said = said[0] if isinstance(said, list) and said else said
    return side_of_word(said, sides) if isinstance(said, str) else ("skip" if not said else None)


def _sides_of_records(table: Table, records: Iterable[object]) -> Sides | None:
    """The fields of nested records that are the two sides: names first, texts else."""
    plain = [record for record in records if isinstance(record, Mapping) and record]
    if not plain:
        return None
    seen = Seen(table_of_records(table.name, plain))
    return sides_of(seen) or sides_of(seen, TEXTS)


def _are_names(sides: Sides) -> bool:
    return sides.stem in ("model", "system", "generator", "item", "candidate", "name", "option")


def _prompt_of(task: Mapping[str, object]) -> str:
    return next((strings(task[name]) for name in (*PROMPTS, "input", "title") if name in task), "")


def recognise_label_studio(seen: Seen) -> Reading | None:
    """Tasks with ``data`` and ``annotations``."""
    if "data" not in seen.table or "annotations" not in seen.table or seen.kind("data") != "record":
        return None
    return Reading("Label Studio tasks: data and annotations with results", {}, EXPORTER)


# ---- Argilla -------------------------------------------------------------------------------------------------------


def read_argilla(source: Source, question: str | None = None) -> PreferenceData:
    """Read Argilla's export of a ranking or a label question over two or more responses.

    Both releases are read: a field ``NAME.responses`` with ``NAME.responses.users``, and a field ``NAME`` that lists
    ``{"user_id", "value", "status"}``. Only submitted answers count. A value names response fields (the best first, or with
    ranks), or says a side.

    Args:
        source: the file or data set.
        question: the question's name; by default the only one that has such answers.

    Returns:
        Pairs: a ranking of more than two responses is a vote for every pair of them.

    Raises:
        RowsError: answers that name no responses.

    Example:
        >>> row = {"prompt": "2+2?", "response-1": "4", "response-2": "5", "preference": [
        ...     {"user_id": "u", "value": "response-1", "status": "submitted"}]}
        >>> read_argilla([row]).items.texts
        ('4', '5')
    """
    table = read_table(source)
    name = question or next(iter(_questions(Seen(table))), "preference")
    flat = f"{name}.responses" in table
    answers = table.values(f"{name}.responses" if flat else name, "question")
    users = table.values(f"{name}.responses.users", "question") if f"{name}.responses.users" in table else None
    status = table.values(f"{name}.responses.status", "question") if f"{name}.responses.status" in table else None
    fields = [
        column
        for column in table.columns
        if re.fullmatch(r"(?i).*(response|completion|answer|output|generation).*\d|.*[_-][ab]", column)
    ]
    texts = {column: table.values(column, column) for column in fields}
    prompts = next((table.values(n, n) for n in (*PROMPTS, "input") if n in table), None)
    votes = Votes(table, "argilla")
    for row in range(len(table)):
        given = _flat_answers(answers[row], users, status, row) if flat else _listed_answers(answers[row])
        for who, value in given:
            pairs = list(_pairs_of(value, fields))
            if not pairs:
                table.errors.add(row, f"{name} {str(value)[:60]!r} names no two of {', '.join(fields)[:60]}")
            for left, right, winner in pairs:
                prompt = "" if prompts is None else strings(prompts[row])
                votes.add(
                    row, strings(texts[left][row]), strings(texts[right][row]), winner, annotator=who, prompt=prompt
                )
    return votes.data(source, texts=True)


def _questions(seen: Seen) -> list[str]:
    flat = [name.removesuffix(".responses") for name in seen.columns if name.endswith(".responses")]
    listed = []
    for name in seen.columns:
        head = next((cell for cell in seen.table.head(name, 50) if isinstance(cell, list) and cell), None)
        if head and isinstance(head[0], Mapping) and {"value", "user_id"} <= set(head[0]):
            listed.append(name)
    return flat or listed


def _flat_answers(values: object, users: object, status: object, row: int) -> Iterator[tuple[str, object]]:
    if not isinstance(values, list):
        return
    people, states = _beside(users, row, values), _beside(status, row, ["submitted"] * len(values))
    for place, value in enumerate(values):
        if value is not None and place < len(states) and states[place] == "submitted":
            yield str(people[place]) if users is not None and place < len(people) else str(place), value


def _beside(column: object, row: int, default: Sequence[object]) -> Sequence[object]:
    """The list of a row of a column that stands beside the answers."""
    cell = None if column is None else column[row]  # type: ignore[index]
    return cell if isinstance(cell, list) else default


def _listed_answers(values: object) -> Iterator[tuple[str, object]]:
    for one in values if isinstance(values, list) else []:
        if isinstance(one, Mapping) and one.get("value") is not None and one.get("status", "submitted") == "submitted":
            yield str(one.get("user_id")), one["value"]


def _pairs_of(value: object, fields: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """The votes that an answer gives: each pair of response fields once, in the order of the fields."""
    rank = _ranks(value, fields)
    for i, one in enumerate(fields):
        for two in fields[i + 1 :]:
            if one in rank and two in rank:
                yield one, two, "tie" if rank[one] == rank[two] else ("left" if rank[one] < rank[two] else "right")


def _ranks(value: object, fields: Sequence[str]) -> dict[str, float]:
    if isinstance(value, str):
        known = {field.casefold(): field for field in fields}
        if value.casefold() in known:
            best = known[value.casefold()]
            return {field: 1.0 if field == best else 2.0 for field in fields} if len(fields) == 2 else {}
        if len(fields) == 2:
            side = side_of_word(value, Sides(fields[0], fields[1], "", ("1", "2")))
            return {
                "left": {fields[0]: 1.0, fields[1]: 2.0},
                "right": {fields[0]: 2.0, fields[1]: 1.0},
                "tie": dict.fromkeys(fields, 1.0),
            }.get(str(side), {})
        return {}
    if isinstance(value, Mapping) and isinstance(value.get("value"), list) and isinstance(value.get("rank"), list):
        value = [{"value": v, "rank": r} for v, r in zip(value["value"], value["rank"], strict=False)]
    out: dict[str, float] = {}
    for place, one in enumerate(value if isinstance(value, list) else []):
        name = one.get("value") if isinstance(one, Mapping) else one
        rank = one.get("rank") if isinstance(one, Mapping) else place + 1
        if isinstance(name, str) and name in fields and isinstance(rank, int | float):
            out[name] = float(rank)
    return out


def recognise_argilla(seen: Seen) -> Reading | None:
    """Answers with users and values beside fields of responses."""
    questions = _questions(seen)
    if not questions:
        return None
    return Reading(f"Argilla: the answers to {questions[0]}, by user", {"question": questions[0]}, EXPORTER)


# ---- Potato --------------------------------------------------------------------------------------------------------


def read_potato(source: Source, schema: str | None = None) -> PreferenceData:
    """Read Potato's annotations of pairs: ``label_annotations`` (JSON lines), or columns ``SCHEMA:::LABEL`` (CSV, TSV).

    The sides are the two texts of ``displayed_text`` where it is a list of two, else ``A`` and ``B`` of the instance.

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
    """
    table = read_table(source)
    who = next((name for name in ("user", "user_id", "annotator", "username") if name in table), None)
    users = None if who is None else table.coded(who, who).text()
    key = next((name for name in ("instance_id", "id") if name in table), table.columns[0])
    ids = table.coded(key, key).text()
    shown = table.values("displayed_text", "displayed_text") if "displayed_text" in table else None
    votes = Votes(table, "potato")
    two = Sides("A", "B", "", ("a", "b"))
    for row, labels in enumerate(_labels(table, schema)):
        said = [side_of_word(label, two) for label in labels]
        if len(said) != 1 or said[0] is None:
            if labels:
                table.errors.add(row, f"labels {', '.join(labels)[:60]!r} mean no side")
            continue
        text = shown[row] if shown is not None else None
        left, right = text if isinstance(text, list) and len(text) == 2 else (f"{ids[row]} A", f"{ids[row]} B")
        others: dict[str, object] = {} if users is None else {"annotator": users[row]}
        votes.add(row, strings(left), strings(right), str(said[0]), prompt=str(ids[row]), **others)
    return votes.data(source, texts=True)


def _labels(table: Table, schema: str | None) -> Iterator[list[str]]:
    """The labels that each row has."""
    if "label_annotations" in table:
        for cell in table.values("label_annotations", "label_annotations"):
            schemes = cell if isinstance(cell, Mapping) else {}
            found = (
                schemes.get(schema) if schema else next((s for s in schemes.values() if isinstance(s, Mapping)), None)
            )
            yield [str(label) for label, value in found.items() if _is_on(value)] if isinstance(found, Mapping) else []
        return
    columns = [name for name in table.columns if ":::" in name]
    first = schema or columns[0].split(":::")[0]
    columns = [name for name in columns if name.split(":::")[0] == first]
    cells = {name: table.texts(name, name).text() for name in columns}
    for row in range(len(table)):
        yield [name.split(":::", 1)[1] for name in columns if _is_on(cells[name][row])]


def _is_on(value: object) -> bool:
    return str(value).strip().casefold() not in ("", "0", "0.0", "false", "none", "nan")


def recognise_potato(seen: Seen) -> Reading | None:
    """``label_annotations``, or columns ``SCHEMA:::LABEL``."""
    if "label_annotations" in seen.table:
        return Reading("Potato: label_annotations of each instance", {}, EXPORTER)
    named = [name for name in seen.columns if ":::" in name]
    return Reading(f"Potato: labels in columns such as {named[0]}", {}, EXPORTER) if len(named) > 1 else None
