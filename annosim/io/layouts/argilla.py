"""Argilla's exports: answers to a ranking, a label or rating questions over the responses to a prompt."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from annosim.data.preferences import PreferenceData
from annosim.io.format import EXPORTER, Reading
from annosim.io.layouts.lists import Lists
from annosim.io.layouts.sides import Sides
from annosim.io.layouts.votes import Votes, strings
from annosim.io.layouts.words import side_of_word
from annosim.io.seen import PROMPTS, Seen
from annosim.io.sources import Source, read_table, table_of_records
from annosim.io.tables import Table

__all__ = ["read_argilla", "recognise_argilla"]

_RESPONSE = re.compile(r"(?i).*(response|completion|answer|output|generation).*")
_MARK = re.compile(r"(?i)[_-]?(\d+|(?<=[_-])[a-z])$")


def read_argilla(source: Source, question: str | None = None) -> PreferenceData:
    """Read Argilla's export of a ranking, a label or ratings of responses.

    All releases are read: records of 1.x as its API gives them (``fields``, and ``responses`` that list
    ``{"user_id", "values": {NAME: {"value"}}, "status"}``), its flat export (a field ``NAME`` that lists
    ``{"user_id", "value", "status"}``), and that of 2.x (``NAME.responses`` with ``NAME.responses.users``). Only submitted answers count. A value names response fields (the best first, or with
    ranks), says a side, or is a number (a rating question for each response: ``rating-1, rating-2``).

    Args:
        source: the file or data set.
        question: the question's name; by default the first that has such answers.

    Returns:
        Pairs of two responses, rankings of (or choices among) more than two, or ratings of the responses on one menu.

    Raises:
        RowsError: answers that name no responses.

    Example:
        >>> row = {"prompt": "2+2?", "response-1": "4", "response-2": "5", "preference": [
        ...     {"user_id": "u", "value": "response-1", "status": "submitted"}]}
        >>> read_argilla([row]).items.texts
        ('4', '5')
    """
    table = read_table(source)
    table = _flat_records(table) if _is_release_1(Seen(table)) else table
    questions = _questions(Seen(table))
    fields = _fields(table)
    name = question or _asked(table, questions, fields)
    prompts = next((table.values(n, n) for n in (*PROMPTS, "input") if n in table), None)

    def prompt_of(row: int) -> str:
        return "" if prompts is None else strings(prompts[row])

    given = _answers(table, name)
    if any(_is_number(value) for answers in given[:50] for _, value in answers):
        rated = [name] if question else [one for one in questions if _is_rating(table, one)]
        return _ratings(source, table, rated, fields, prompt_of)
    texts = {column: table.values(column, column) for column in fields}
    if len(fields) > 2:
        return _rankings(source, table, name, given, texts, prompt_of)
    votes = Votes(table, "argilla")
    for row, answers in enumerate(given):
        for who, value in answers:
            rank = _ranks(value, fields)
            if len(rank) < 2:
                table.errors.add(row, _unnamed(name, value, fields))
                continue
            left, right = fields
            winner = "tie" if rank[left] == rank[right] else ("left" if rank[left] < rank[right] else "right")
            sides = strings(texts[left][row]), strings(texts[right][row])
            votes.add(row, *sides, winner, annotator=who, prompt=prompt_of(row))
    return votes.data(source, texts=True)


def _rankings(
    source: Source,
    table: Table,
    name: str,
    given: Sequence[Sequence[tuple[str, object]]],
    texts: Mapping[str, NDArray[np.object_]],
    prompt_of: Callable[[int], str],
) -> PreferenceData:
    """Rankings of three responses or more, or choices among them."""
    lists = Lists(table, "argilla", texts=True)
    chosen = all(isinstance(value, str) for answers in given for _, value in answers)
    for row, answers in enumerate(given):
        for who, value in answers:
            rank = _ranks(value, list(texts))
            if len(rank) < 2:
                table.errors.add(row, _unnamed(name, value, list(texts)))
                continue
            ranks = {strings(texts[field][row]): at for field, at in rank.items()}
            lists.add(row, ranks, prompt_of(row), annotator=who)
    return lists.choices(source) if chosen else lists.rankings(source)


def _ratings(
    source: Source, table: Table, questions: Sequence[str], fields: Sequence[str], prompt_of: Callable[[int], str]
) -> PreferenceData:
    """Ratings: the question that ends as a response's field does is about that response."""
    rated = _rated_fields(table, questions, fields)
    texts = {column: table.values(column, column) for column in rated.values()}
    given = {name: _answers(table, name) for name in rated}
    lists = Lists(table, "argilla", texts=True)
    for row in range(len(table)):
        people: dict[str, dict[str, float]] = {}
        for name, column in rated.items():
            for who, value in given[name][row]:
                if not _is_number(value):
                    table.errors.add(row, f"{name} {str(value)[:40]!r} is no number")
                    continue
                people.setdefault(who, {})[strings(texts[column][row])] = float(str(value))
        for who, numbers in people.items():
            lists.add(row, numbers, prompt_of(row), annotator=who)
    return lists.ratings(source)


def _rated_fields(table: Table, questions: Sequence[str], fields: Sequence[str]) -> dict[str, str]:
    """The response that each rating question is about."""
    marks = {match[1].casefold(): column for column in fields if (match := _MARK.search(column))}
    rated = {
        name: marks[m[1].casefold()] for name in questions if (m := _MARK.search(name)) and m[1].casefold() in marks
    }
    if not rated and len(questions) == 1:
        one = [c for c in table.columns if _RESPONSE.match(c) and not c.startswith(questions[0])]
        rated = {questions[0]: one[0]} if len(one) == 1 else {}
    if not rated:
        shown = ", ".join(questions)[:60]
        table.errors.add(0, f"{shown}: which response is rated? no field of a response ends as the question does")
        table.errors.raise_if_any("call them rating-1 and response-1")
    return rated


def _unnamed(name: str, value: object, fields: Sequence[str]) -> str:
    return f"{name} {str(value)[:60]!r} names no two of {', '.join(fields)[:60]}"


def _questions(seen: Seen) -> list[str]:
    flat = [name.removesuffix(".responses") for name in seen.columns if name.endswith(".responses")]
    listed = []
    for name in seen.columns:
        head = next((cell for cell in seen.table.head(name, 50) if isinstance(cell, list) and cell), None)
        if head and isinstance(head[0], Mapping) and {"value", "user_id"} <= set(head[0]):
            listed.append(name)
    return flat or listed


def _fields(table: Table) -> list[str]:
    """The columns that hold the responses."""
    return [column for column in table.columns if _RESPONSE.match(column) and _MARK.search(column)]


def _asked(table: Table, questions: Sequence[str], fields: Sequence[str]) -> str:
    """The first question whose answers are about the responses; comments are not."""
    for name in questions:
        said = [value for answers in _answers(table, name)[:50] for _, value in answers]
        if any(_is_number(value) or len(_ranks(value, fields)) > 1 for value in said):
            return name
    return next(iter(questions), "preference")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_rating(table: Table, question: str) -> bool:
    said = [value for answers in _answers(table, question)[:50] for _, value in answers]
    return bool(said) and all(map(_is_number, said))


def _answers(table: Table, name: str) -> list[list[tuple[str, object]]]:
    """The submitted answers to a question in every row: who, and what."""
    if f"{name}.responses" not in table:
        return [list(_listed_answers(cell)) for cell in table.values(name, "question")]
    answers = table.values(f"{name}.responses", "question")
    users, status = (
        table.values(column, "question") if column in table else None
        for column in (f"{name}.responses.users", f"{name}.responses.status")
    )
    return [list(_flat_answers(answers[row], users, status, row)) for row in range(len(table))]


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


def _ranks(value: object, fields: Sequence[str]) -> dict[str, float]:
    """The rank of each response that an answer names."""
    if isinstance(value, str):
        known = {field.casefold(): field for field in fields}
        if value.casefold() in known:
            best = known[value.casefold()]
            return {field: 1.0 if field == best else 2.0 for field in fields}
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


def _is_release_1(seen: Seen) -> bool:
    """Whether these are records of Argilla 1.x: ``fields`` beside ``responses`` with ``values``."""
    if not seen.has("fields", "responses"):
        return False
    fields = next((cell for cell in seen.table.head("fields", 50) if cell), None)
    given = next((cell for cell in seen.table.head("responses", 50) if isinstance(cell, list) and cell), None)
    first = given[0] if given else None
    return isinstance(fields, Mapping) and isinstance(first, Mapping) and "values" in first


def _flat_records(table: Table) -> Table:
    """Records of Argilla 1.x in its flat layout: a column for each field, and one for the answers to each question."""
    records = []
    cells = zip(table.values("fields", "fields"), table.values("responses", "responses"), strict=True)
    names: dict[str, None] = {}
    for row, (fields, responses) in enumerate(cells):
        if not isinstance(fields, Mapping):
            table.errors.add(row, "fields is no record of the texts that were shown")
            fields = {}
        record: dict[str, object] = {str(name): value for name, value in fields.items()}
        for one in responses if isinstance(responses, list) else []:
            values = one.get("values") if isinstance(one, Mapping) else None
            for name, answer in (values if isinstance(values, Mapping) else {}).items():
                value = answer.get("value") if isinstance(answer, Mapping) else answer
                said = {
                    "user_id": one.get("user_id"),
                    "value": value,
                    "status": str(one.get("status", "submitted")).rsplit(".", 1)[-1],
                }
                names[str(name)] = None
                listed = record.setdefault(str(name), [])
                if isinstance(listed, list):
                    listed.append(said)
        records.append(record)
    table.errors.raise_if_any("give every record its fields")
    for record in records:
        for name in names:
            record.setdefault(name, [])
    return table_of_records(table.name, records, [table.line(row) for row in range(len(table))])


def recognise_argilla(seen: Seen) -> Reading | None:
    """Answers with users and values beside fields of responses."""
    if _is_release_1(seen):
        seen = Seen(_flat_records(seen.table))
    questions = _questions(seen)
    if not questions:
        return None
    rated = [name for name in questions if _is_rating(seen.table, name)]
    asked = _asked(seen.table, questions, _fields(seen.table))
    if asked in rated:
        return Reading(f"Argilla: the ratings {', '.join(rated)[:60]}, by user", {}, EXPORTER)
    return Reading(f"Argilla: the answers to {asked}, by user", {"question": asked}, EXPORTER)
