"""TRL's preference data sets as JSON lines: ``prompt, chosen, rejected`` (paired) and ``prompt, completion, label``
(unpaired, for KTO). Text or conversations (lists of messages), with an explicit or an implicit prompt.

Items are the distinct (prompt, response) pairs, so that menus stay inside a prompt; ``items.texts`` holds the response
and ``data.prompt_names`` the prompt. Conversations are held as JSON text, which the writer turns back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, DataError, TiesError
from annosim.feedback import Feedback
from annosim.io.files import Table, factorize
from annosim.io.pairs import named, pair_meaning
from annosim.io.records import read_records, write_records
from annosim.items import Items

__all__ = ["read_kto", "read_trl", "to_trl", "write_trl"]

_RESERVED = ("prompt", "chosen", "rejected", "completion", "label")


def read_trl(path: str | os.PathLike[str], annotator: str | None = None, order: str = "chosen-first") -> PreferenceData:
    """Read paired preferences (``.jsonl``, ``.json``, ``.csv`` or ``.parquet``).

    Without a field ``prompt`` the prompt is implicit: what ``chosen`` and ``rejected`` begin with in common (messages
    of a conversation, characters of a text, a last space excepted), as in TRL's ``extract_prompt``.

    Args:
        path: the file.
        annotator: field with who answered (``to_trl`` writes ``annotator``, which is found by itself).
        order: ``"chosen-first"``: the chosen response is displayed first, since the format does not say what stood
            where; ``"recorded"``: as the field ``chosen_position`` (which ``to_trl`` writes) says.

    Returns:
        Pairs; ``margin`` and all other fields are named columns.

    Raises:
        FileReadError: missing, unreadable or empty file, or no field chosen or rejected.
        RowsError: rows with a missing response or prompt, with line numbers.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "pairs.jsonl"
        >>> _ = path.write_text('{"prompt": "2+2?", "chosen": "4", "rejected": "5", "margin": 1.5}\\n')
        >>> data = read_trl(path)
        >>> data.items.texts, data.columns["margin"].tolist()
        (('4', '5'), [1.5])
    """
    if order not in ("chosen-first", "recorded"):
        raise ArgumentError(f"order={order!r}: 'chosen-first' or 'recorded'")
    table = read_records(path)
    (chosen, talk), (rejected, also) = _texts(table, "chosen"), _texts(table, "rejected")
    if talk != also:
        table.problems.add(0, "one of chosen and rejected is text, the other a list of messages")
    implicit = "prompt" not in table.frame
    if implicit:
        table.problems.report("give every row the fields chosen and rejected")
        split = [_common(a, b, talk) for a, b in zip(chosen, rejected, strict=True)]
        prompt, chosen, rejected = (np.array(part, dtype=object) for part in zip(*split, strict=True))
        asked = talk
    else:
        prompt, asked = _texts(table, "prompt")
    annotator = "annotator" if annotator is None and "annotator" in table.frame else annotator
    who = None if annotator is None else table.filled(annotator, "annotator")
    first = np.zeros(len(chosen), dtype=np.int64)
    if order == "recorded":
        first = table.number("chosen_position", "order", whole=True).astype(np.int64)
        table.problems.where((first < 0) | (first > 1), lambda r: f"chosen_position {first[r]} is neither 0 nor 1")
    if "margin" in table.frame:
        margin = table.frame["margin"]
        text = (pd.to_numeric(margin, errors="coerce").isna() & margin.notna()).to_numpy()
        table.problems.where(text, lambda r: f"margin {margin.iloc[r]!r} is not a number")
    table.problems.report("give every row a prompt, a chosen and a rejected response")
    used = ["prompt", "chosen", "rejected", annotator, "chosen_position" if order == "recorded" else None]
    items, ids, context, prompts = _responses(prompt, [chosen, rejected])
    menu = np.where(first[:, None] == 0, ids, ids[:, ::-1])
    data = _data(items, menu, first, Feedback("choice"), context, prompts, who, table, used, path, "trl", implicit)
    return _remember(data, asked, talk)


def read_kto(path: str | os.PathLike[str], annotator: str | None = None) -> PreferenceData:
    """Read unpaired preferences: ``prompt, completion, label`` with a boolean label.

    Returns:
        Ratings with two grades (0 thumbs down, 1 thumbs up) of menus of one response.

    Raises:
        RowsError: a label that is not true or false, or a missing field, with line numbers.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "thumbs.jsonl"
        >>> _ = path.write_text('{"prompt": "2+2?", "completion": "4", "label": true}\\n')
        >>> read_kto(path).answer.tolist()
        [[1]]
    """
    table = read_records(path)
    (prompt, asked), (completion, talk) = _texts(table, "prompt"), _texts(table, "completion")
    label = table.column("label", "label").to_numpy(dtype=object)
    truth = {True: 1, False: 0, "true": 1, "false": 0, "True": 1, "False": 0}
    ok = np.array([isinstance(v, bool | str) and v in truth for v in label])
    table.problems.where(~ok, lambda r: f"label {label[r]!r} is neither true nor false")
    annotator = "annotator" if annotator is None and "annotator" in table.frame else annotator
    who = None if annotator is None else table.filled(annotator, "annotator")
    table.problems.report("give every row a prompt, a completion and a label true or false")
    grade = np.array([truth[v] for v in label])[:, None]
    items, ids, context, prompts = _responses(prompt, [completion])
    used = ["prompt", "completion", "label", annotator]
    thumbs = Feedback("rating", grades=2)
    data = _data(items, ids, grade, thumbs, context, prompts, who, table, used, path, "kto", False)
    return _remember(data, asked, talk)


def _remember(data: PreferenceData, asked: bool, talk: bool) -> PreferenceData:
    """Which texts are conversations, for the way back."""
    messages = [name for name, is_one in (("prompt", asked), ("response", talk)) if is_one]
    return data.with_(settings={**data.settings, "messages": messages})


def _data(
    items: Items,
    menu: np.ndarray,
    answer: np.ndarray,
    feedback: Feedback,
    context: np.ndarray,
    prompts: np.ndarray,
    who: np.ndarray | None,
    table: Table,
    used: Sequence[str | None],
    path: Any,
    name: str,
    implicit: bool,
) -> PreferenceData:
    annotator, names = (None, None) if who is None else factorize(who)
    return PreferenceData(
        items=items,
        menu=menu,
        answer=answer,
        feedback=feedback,
        annotator=annotator,
        annotator_names=names,
        prompt=context,
        prompt_names=prompts,
        columns=table.others(used),
        settings={"source": str(path), "format": name, "implicit_prompt": implicit},
    )


def _texts(table: Table, name: str) -> tuple[np.ndarray, bool]:
    """A field of texts, or of conversations as JSON text (then True); any other row is malformed."""
    values = table.column(name, name).to_numpy(dtype=object)
    messages = bool(_conversation(values[0]))
    odd = np.array([not (_conversation(v) if messages else isinstance(v, str)) for v in values])
    kind = "a list of messages with role and content" if messages else "text"
    table.problems.where(odd, lambda r: f"{name} is not {kind}, as in the first row")
    return np.array([_dump(v) if messages else str(v) for v in values], dtype=object), messages


def _conversation(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(m, dict) and "role" in m and "content" in m for m in value)


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _loaded(texts: Sequence[str], messages: bool) -> np.ndarray:
    """Texts as they stood in the file."""
    out = np.empty(len(texts), dtype=object)
    out[:] = [json.loads(str(text)) if messages else str(text) for text in texts]
    return out


def _common(a: str, b: str, messages: bool) -> tuple[str, str, str]:
    """What two whole texts or conversations begin with, and the rest of each."""
    if not a or not b:
        return (_dump([]) if messages else ""), a, b
    if messages:
        left, right = json.loads(a), json.loads(b)
        same = _differ(left, right)
        return _dump(left[:same]), _dump(left[same:]), _dump(right[same:])
    cut = _differ(a, b)
    if 0 < cut and a[cut] != b[cut] and a[cut - 1] == " ":
        cut -= 1  # the space belongs to the response
    return a[:cut], a[cut:], b[cut:]


def _differ(a: Sequence[Any], b: Sequence[Any]) -> int:
    """Where two begin to differ; where one begins the other, its last unit, so that no response is empty."""
    unlike = (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
    return next(unlike, max(min(len(a), len(b)) - 1, 0))


def _responses(prompt: np.ndarray, responses: list[np.ndarray]) -> tuple[Items, np.ndarray, np.ndarray, np.ndarray]:
    """Items (distinct prompt and response), their ids ``(rows, len(responses))``, prompt codes, and prompts."""
    context, prompts = factorize(prompt)
    width = len(responses)
    said, texts = factorize(np.stack(responses, 1).ravel())
    key = np.repeat(context, width) * len(texts) + said
    ids, distinct = factorize(key)
    distinct = distinct.astype(np.int64)
    items = Items(texts=texts[distinct % len(texts)], prompts=distinct // len(texts))
    return items, ids.reshape(-1, width), context, prompts


def to_trl(data: PreferenceData, as_list: bool = False) -> Any:
    """What TRL's trainers take as ``train_dataset``: paired for choices between two, unpaired (KTO) for thumbs (ratings
    with two grades, menus of one). Annotator ids, weights, prompts and named columns (``margin``) are extra fields.

    The text of an item is ``items.texts``, or its name where there are none; the prompt is the row's, or the items'
    own. ``chosen_position`` records what stood where, when the chosen was not always first.

    Args:
        data: answers.
        as_list: give the records as a list of dicts.

    Returns:
        a ``datasets.Dataset``; a list of dicts with ``as_list``, or where ``datasets`` is not installed (it comes with
        TRL, and with ``pip install annosim[hf]``).

    Raises:
        TiesError: tied answers, which TRL cannot hold; ``data.ties("half")`` breaks them.
        DataError: skips, or another kind of answer; a column of mixed kinds, which a ``Dataset`` cannot hold.

    Example:
        >>> import annosim as an
        >>> items = an.Items(texts=["4", "5"])
        >>> data = an.PreferenceData(items, [[0, 1]], answer=[0], prompt=[0], prompt_names=["2+2?"])
        >>> data.to_trl(as_list=True)
        [{'prompt': '2+2?', 'chosen': '4', 'rejected': '5'}]
    """
    columns = _columns(data)
    lists = {name: np.asarray(values, dtype=object).tolist() for name, values in columns.items()}
    made = None if as_list else _dataset(lists)
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)] if made is None else made


def _dataset(lists: dict[str, list[Any]]) -> Any:
    """A ``datasets.Dataset`` of these columns, or ``None`` where there is no such library."""
    try:
        from datasets import Dataset
    except ImportError:
        return None
    try:
        return Dataset.from_dict(lists)
    except (ValueError, TypeError) as error:  # what pyarrow raises is one of them
        reason = str(error).splitlines()[0]
        raise DataError(
            f"a column mixes kinds of values, which a datasets.Dataset cannot hold: {reason}; give it one kind, or "
            "take to_trl(as_list=True)"
        ) from error


def write_trl(data: PreferenceData, path: str | os.PathLike[str]) -> None:
    """Write the records of :func:`to_trl` as ``.jsonl`` (or ``.json``, ``.csv``, ``.parquet``); atomic."""
    write_records(path, _columns(data))


def _columns(data: PreferenceData) -> dict[str, Any]:
    skipped = np.flatnonzero(data.skipped) if data.replicates is None else np.zeros(0, dtype=int)
    if len(skipped):
        raise DataError(f"row {skipped[0]} is a skip, which TRL cannot hold; take(~data.skipped) first")
    texts = _loaded(data.items.texts or data.items.names, "response" in data.settings.get("messages", ()))
    if data.feedback.kind == "rating" and data.menu_size == 1 and data.feedback.grades == 2 and data.replicates is None:
        body = {"completion": texts[data.menu[:, 0]], "label": data.answer[:, 0].astype(bool)}
        prompt = _prompts(data)
    else:
        meaning = pair_meaning(data)
        if (meaning == 2).any():
            raise TiesError(f"row {int((meaning == 2).argmax())} is tied; TRL has no ties: data.ties('half')")
        rows = np.arange(data.rows)
        chosen, rejected = texts[data.menu[rows, meaning]], texts[data.menu[rows, 1 - meaning]]
        prompt = _prompts(data)
        body = {"chosen": chosen, "rejected": rejected}
        if (meaning != 0).any():
            body["chosen_position"] = meaning
        if data.settings.get("implicit_prompt"):
            body["chosen"], body["rejected"] = (_joined(prompt, part) for part in (chosen, rejected))
    out = body if data.settings.get("implicit_prompt") else {"prompt": prompt} | body
    if data.annotator is not None:
        out["annotator"] = named(data.annotator, data.annotator_names)
    if data.weight is not None:
        out["weight"] = data.weight
    clash = sorted(set(out) & set(data.columns))
    if clash:
        raise DataError(f"column {clash[0]!r} has the name of a field of the format; rename it")
    return out | dict(data.columns)


def _prompts(data: PreferenceData) -> np.ndarray:
    """The prompt of each row: its own, or the items'; a number where it has no text."""
    code = data.items.prompts.numpy()[data.menu[:, 0]] if data.prompt is None else np.asarray(data.prompt)
    if data.prompt_names is None:
        known = data.prompt is not None or data.items.num_prompts > 1
        return np.array([str(c) if known else "" for c in code], dtype=object)
    return _loaded(data.prompt_names, "prompt" in data.settings.get("messages", ()))[code]


def _joined(prompt: np.ndarray, rest: np.ndarray) -> np.ndarray:
    out = np.empty(len(prompt), dtype=object)
    out[:] = [a + b for a, b in zip(prompt, rest, strict=True)]
    return out
