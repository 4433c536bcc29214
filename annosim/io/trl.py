"""TRL's preference data sets: ``prompt, chosen, rejected`` (paired) and ``prompt, completion, label`` (unpaired, for
KTO). Text or conversations (lists of messages), with an explicit or an implicit prompt.

Items are the distinct (prompt, response) pairs, so that menus stay inside a prompt; ``items.texts`` holds the response
and ``data.prompt_names`` the prompt. Conversations are held as JSON text, which the writer turns back.
"""

from __future__ import annotations

import json
from typing import Literal, NamedTuple, TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError
from annosim.feedback import Feedback
from annosim.io.format import EXPORTER, Question, Reading
from annosim.io.pairs import without_rows
from annosim.io.responses import Texts, response_items
from annosim.io.seen import Seen
from annosim.io.sources import Source, read_table, source_name
from annosim.io.tables import Coded, Table
from annosim.items import Items

__all__ = ["read_kto", "read_trl", "recognise_kto", "recognise_trl"]

Sequenced = TypeVar("Sequenced", str, list[object])

_LABELS = {True: 1, False: 0, "true": 1, "false": 0, "True": 1, "False": 0, "1": 1, "0": 0}


class _Field(NamedTuple):
    """A field of every row: texts, or conversations as JSON text."""

    texts: Texts
    messages: bool


def read_trl(
    source: Source, annotator: str | None = None, order: Literal["chosen-first", "recorded"] = "chosen-first"
) -> PreferenceData:
    """Read paired preferences (``.jsonl``, ``.json``, ``.csv`` or ``.parquet``, a ``datasets.Dataset``, or records).

    Without a field ``prompt``, or where it is text and the responses are whole conversations, the prompt is implicit:
    what ``chosen`` and ``rejected`` begin with in common (messages of a conversation, characters of a text, a last
    space excepted), as TRL's ``maybe_extract_prompt`` has it.

    Args:
        source: the file.
        annotator: field with who answered (``to_trl`` writes ``annotator``, which is found by itself;
            :func:`annosim.io.read` finds ``rater``, ``judge`` and their like, too).
        order: ``"chosen-first"``: the chosen response is displayed first, since the format does not say what stood
            where; ``"recorded"``: as the field ``chosen_position`` (which ``to_trl`` writes) says.

    Returns:
        Pairs; ``margin`` and all other fields are named columns.

    Raises:
        FileReadError: missing, unreadable or empty file, or no field chosen or rejected.
        RowsError: rows with a missing response or prompt, with line numbers.

    Example:
        >>> data = read_trl([{"prompt": "2+2?", "chosen": "4", "rejected": "5", "margin": 1.5}])
        >>> data.items.texts, data.columns["margin"].tolist()
        (('4', '5'), [1.5])
    """
    if order not in ("chosen-first", "recorded"):
        raise ArgumentError(f"order={order!r}: 'chosen-first' or 'recorded'")
    table = read_table(source)
    one, two = (table.values(name, name) for name in ("chosen", "rejected"))
    same = np.array([a == b and a not in (None, "") for a, b in zip(one, two, strict=True)], dtype=bool)
    table = without_rows(table, same, "chosen and rejected")
    chosen, rejected = _field(table, "chosen"), _field(table, "rejected")
    if chosen.messages != rejected.messages:
        table.errors.add(0, "one of chosen and rejected is text, the other a list of messages")
    table.errors.raise_if_any("give every row the fields chosen and rejected")
    given = _field(table, "prompt") if "prompt" in table else None
    implicit = given is None or given.messages != chosen.messages
    if given is None or implicit:
        prompt, chosen, rejected = _split(chosen, rejected)
    else:
        prompt = given
    people = _annotators(table, annotator)
    first = _first_places(table) if order == "recorded" else np.zeros(len(table), dtype=np.int64)
    _check_margin(table)
    table.errors.raise_if_any("give every row a prompt, a chosen and a rejected response")
    used = ["chosen", "rejected", people and people[0], "chosen_position" if order == "recorded" else None]
    used += [] if implicit else ["prompt"]
    ids, items, context = response_items(prompt.texts, [chosen.texts, rejected.texts])
    menu = np.where(first[:, None] == 0, ids, ids[:, ::-1])
    settings = {
        "source": source_name(source),
        "format": "trl",
        "implicit_prompt": implicit,
        "messages": _messages(prompt, chosen),
    }
    return _data(items, menu, first, Feedback("choice"), context, people, table.others(used), settings)


def read_kto(source: Source, annotator: str | None = None) -> PreferenceData:
    """Read unpaired preferences: ``prompt, completion, label`` with a label true or false (or 1 or 0).

    Returns:
        Ratings with two grades (0 thumbs down, 1 thumbs up) of menus of one response.

    Raises:
        RowsError: a label that is not true or false, or a missing field, with line numbers.

    Example:
        >>> read_kto([{"prompt": "2+2?", "completion": "4", "label": True}]).answer.tolist()
        [[1]]
    """
    table = read_table(source)
    prompt, completion = _field(table, "prompt"), _field(table, "completion")
    label = table.coded("label", "label", blank=True)
    grade = np.array([_LABELS.get(name, -1) for name in label.names], dtype=np.int64)[label.codes]
    table.errors.add_where(grade < 0, lambda r: f"label {label.names[label.codes[r]][:40]} is neither true nor false")
    people = _annotators(table, annotator)
    table.errors.raise_if_any("give every row a prompt, a completion and a label true or false")
    ids, items, context = response_items(prompt.texts, [completion.texts])
    columns = table.others(["prompt", "completion", "label", people and people[0]])
    settings = {
        "source": source_name(source),
        "format": "kto",
        "implicit_prompt": False,
        "messages": _messages(prompt, completion),
    }
    return _data(items, ids, grade[:, None], Feedback("rating", grades=2), context, people, columns, settings)


def recognise_trl(seen: Seen) -> Reading | Question | None:
    """``chosen`` and ``rejected``: texts or conversations."""
    if not all(name in seen.table for name in ("chosen", "rejected")):
        return None
    kinds = {seen.kind(name) for name in ("chosen", "rejected")}
    if not kinds <= {"text", "list", "number"}:
        return None
    results = seen.levels("results") if "results" in seen.table else None
    if results and set(results.values()) <= {0.0, 0.5, 1.0}:
        return None  # RewardBench: whose votes are read is asked
    given = "prompt" in seen.table
    if not given and "list" not in kinds and _recur(seen):
        return Question(
            "chosen and rejected hold short names: items, or texts that begin with their prompt? "
            "say format=beats (items) or format=trl (texts)",
            asks=(),
            strength=EXPORTER,
        )
    why = "prompt, chosen and rejected" if given else "chosen and rejected, which begin with their prompt"
    return _with_people(seen, f"{why}{' as messages' if 'list' in kinds else ''}", ["prompt", "chosen", "rejected"])


def _with_people(seen: Seen, why: str, used: list[str]) -> Reading:
    """How a file is read whose fields are known, with the column that says who answered."""
    annotator = "annotator" if "annotator" in seen.table else seen.annotator(used)  # which the reader takes unasked
    if annotator is None:
        return Reading(why, strength=EXPORTER)
    return Reading(f"{why}, annotator={annotator}", {"annotator": annotator}, EXPORTER)


def _recur(seen: Seen) -> bool:
    """Whether texts are short and come again, as names do."""
    words = {*seen.words("chosen"), *seen.words("rejected")}
    short = all(len(word) <= 60 and "\n" not in word for word in words)
    return short and len(words) < len(seen.table) + 1


def recognise_kto(seen: Seen) -> Reading | None:
    """``prompt, completion, label``."""
    if not all(name in seen.table for name in ("prompt", "completion", "label")):
        return None
    if not set(seen.words("label")) <= set(map(str, _LABELS)):
        return None
    return _with_people(seen, "prompt, completion and label, true or false", ["prompt", "completion", "label"])


def _annotators(table: Table, annotator: str | None) -> tuple[str, Coded] | None:
    name = "annotator" if annotator is None and "annotator" in table else annotator
    return None if name is None else (name, table.people(name))


def _first_places(table: Table) -> NDArray[np.int64]:
    first = table.numbers("chosen_position", "order", whole=True).astype(np.int64)
    table.errors.add_where((first < 0) | (first > 1), lambda r: f"chosen_position {first[r]} is neither 0 nor 1")
    return first


def _check_margin(table: Table) -> None:
    if "margin" in table:
        margin = table.coded("margin", "margin", blank=True)
        bad = np.array([name != "" and not _is_number(name) for name in margin.names])
        table.errors.add_where(
            bad[margin.codes], lambda r: f"margin {margin.names[margin.codes[r]][:40]!r} is not a number"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _messages(prompt: _Field, response: _Field) -> list[str]:
    """Which texts are conversations, for the way back."""
    return [name for name, field in (("prompt", prompt), ("response", response)) if field.messages]


def _data(
    items: Items,
    menu: NDArray[np.int64],
    answer: NDArray[np.int64],
    feedback: Feedback,
    context: Coded,
    people: tuple[str, Coded] | None,
    columns: dict[str, np.ndarray],
    settings: dict[str, object],
) -> PreferenceData:
    return PreferenceData(
        items=items,
        menu=menu,
        answer=answer,
        feedback=feedback,
        annotator=None if people is None else people[1].codes,
        annotator_names=None if people is None else people[1].names,
        prompt=context.codes,
        prompt_names=context.names,
        columns=columns,
        settings=settings,
    )


def _field(table: Table, name: str) -> _Field:
    """A field of texts, or of conversations as JSON text; any other row is malformed."""
    values = table.values(name, name)
    messages = _is_conversation(values[0])
    odd = np.array([not (_is_conversation(v) if messages else isinstance(v, str)) for v in values])
    kind = "a list of messages with role and content" if messages else "text"
    table.errors.add_where(odd, lambda r: f"{name} is not {kind}, as in the first row")
    return _Field(np.array([_dump(v) if messages else str(v) for v in values], dtype=object), messages)


def _is_conversation(value: object) -> TypeGuard[list[dict[str, object]]]:
    """A list of messages: each has a role, and content or calls of tools."""
    return isinstance(value, list) and all(
        isinstance(m, dict) and "role" in m and ("content" in m or "tool_calls" in m) for m in value
    )


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _split(chosen: _Field, rejected: _Field) -> tuple[_Field, _Field, _Field]:
    """The implicit prompt of each row, and what remains of its responses."""
    messages = chosen.messages
    split = [_common(a, b, messages) for a, b in zip(chosen.texts, rejected.texts, strict=True)]
    prompt, left, right = (np.array(part, dtype=object) for part in zip(*split, strict=True))
    return _Field(prompt, messages), _Field(left, messages), _Field(right, messages)


def _common(a: str, b: str, messages: bool) -> tuple[str, str, str]:
    """What two whole texts or conversations begin with, and the rest of each."""
    if messages:
        prompt, left, right = split_prompt(json.loads(a), json.loads(b))
        return _dump(prompt), _dump(left), _dump(right)
    return split_prompt(a, b)


def split_prompt(a: Sequenced, b: Sequenced) -> tuple[Sequenced, Sequenced, Sequenced]:
    """The longest common beginning of two texts (less a last space) or conversations, and the rest of each.

    Where one begins the other, its last unit stays with the response, so that no response is empty.

    Example:
        >>> split_prompt("The sky is blue.", "The sky is green.")
        ('The sky is', ' blue.', ' green.')
    """
    if not a or not b:
        return a[:0], a, b
    unlike = (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
    cut = next(unlike, max(min(len(a), len(b)) - 1, 0))
    if 0 < cut and a[cut] != b[cut] and a[cut - 1] == " ":
        cut -= 1  # the space belongs to the response
    return a[:cut], a[cut:], b[cut:]
