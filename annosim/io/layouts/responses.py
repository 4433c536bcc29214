"""Two responses to a prompt and a winner: items are the responses, so that only those to one prompt are compared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError
from annosim.io.format import EXPORTER, Question, Reading
from annosim.io.layouts.sides import SCORES, TEXTS, Sides, measured, sides_of
from annosim.io.layouts.winners import winner_of
from annosim.io.pairs import pair_data, read_scores, read_winner, shared, without_rows
from annosim.io.responses import response_items
from annosim.io.seen import PROMPTS, Seen
from annosim.io.sources import Source, read_table, source_name
from annosim.io.tables import Table

__all__ = ["read_responses", "recognise_responses"]


def read_responses(
    source: Source,
    left: str = "response_a",
    right: str = "response_b",
    winner: str = "winner",
    prompt: str | None = "prompt",
    annotator: str | None = None,
    words: Mapping[str, str] | None = None,
    winner_is: Literal["side", "item", "index", "score", "difference"] = "side",
    scores: Sequence[str] = (),
    loser: bool = False,
) -> PreferenceData:
    """Read a row per vote between two responses.

    Args:
        source: a file or a table in memory.
        left, right: columns with the responses, texts or lists of messages.
        winner, words, winner_is, loser: as in :func:`annosim.io.read_csv`.
        prompt: column with the prompt, a text or a list of messages; ``None`` or ``""`` where there is one for all.
        annotator: column with who voted.
        scores: two columns with the scores of the sides, the higher of which wins, instead of ``winner``.

    Returns:
        Pairs of (prompt, response); ``items.texts`` holds the responses, ``prompt_names`` the prompts.

    Raises:
        FileReadError, RowsError: as :func:`annosim.io.read_csv`.

    Example:
        >>> rows = [{"prompt": "2+2?", "response_a": "4", "response_b": "5", "winner": "left"}]
        >>> read_responses(rows).items.texts
        ('4', '5')
    """
    table = read_table(source)
    shown = zip(table.values(left, "left"), table.values(right, "right"), strict=True)
    same = np.array([a == b and a not in (None, "") for a, b in shown], dtype=bool)
    table = without_rows(table, same, f"{left} and {right}")
    sides = [as_texts(table, name) for name in (left, right)]
    context = np.full(len(table), "", dtype=object) if not prompt else as_texts(table, prompt, blank=True)
    people = None if annotator is None else table.people(annotator)
    ids, items, prompts = response_items(context, sides)
    share = None
    if scores:
        if len(scores) != 2:
            raise ArgumentError(f"scores={list(scores)!r}: the columns of the two sides' scores")
        one, two = (table.numbers(name, "scores") for name in scores)
        outcome = np.select([one > two, one < two], [0, 1], 2)
    elif winner_is in ("score", "index", "difference"):
        outcome, share = read_scores(table, winner, winner_is, words)
    else:
        answers = table.coded(winner, "winner", blank=True)
        outcome = read_winner(table, answers, ids, items, winner_is, words, (left, right), winner)
    if loser:
        outcome = np.where(outcome < 2, 1 - outcome, outcome)
        share = None if share is None else 1.0 - share
    table.errors.raise_if_any("fix or remove these rows; words= says what the winner's words mean")
    columns = table.others([left, right, None if scores else winner, prompt or None, annotator])
    settings = {"source": source_name(source), "format": "responses"}
    data = pair_data(ids, outcome, items, people, prompts, columns=columns, settings=settings)
    return data if share is None else shared(data, share, annotator=annotator)


def as_texts(table: Table, column: str, blank: bool = False) -> NDArray[np.object_]:
    """A column as text; lists of messages as JSON. An empty cell is malformed, unless it may be ``blank``."""
    cells = table.values(column, column)
    out = np.array(
        [cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False, default=str) for cell in cells],
        dtype=object,
    )
    if not blank:
        table.errors.add_where([cell is None or cell == "" for cell in cells], lambda r: f"{column} is empty")
    return out


def recognise_responses(seen: Seen) -> Reading | Question | None:
    """Two responses, a winner, and no names of who wrote them."""
    if sides_of(seen) is not None:
        return None
    sides = _texts(seen)
    if sides is None:
        return None
    known = _of_exporter(seen, sides)
    if known is not None:
        return known
    found = winner_of(seen, sides)
    if found is None:
        return _scored(seen, sides)
    column, meaning = found
    options = _around(seen, sides, column)
    if isinstance(meaning, Question):
        return replace(meaning, options={**options, **meaning.options})
    options |= {"winner_is": meaning.winner_is, "words": meaning.words, "loser": meaning.loses}
    who = f", annotator={options['annotator']}" if options["annotator"] else ""
    return Reading(f"{sides.left} and {sides.right} are responses{_to(options)}, {meaning.why}{who}", options)


def _scored(seen: Seen, sides: Sides) -> Reading | None:
    """A score of each side instead of a winner."""
    scores = measured(seen, sides, SCORES)
    if scores is None or any(seen.kind(name) != "number" for name in scores):
        return None
    options = {**_around(seen, sides, ""), "scores": list(scores)}
    options.pop("winner")
    why = f"{sides.left} and {sides.right} are responses{_to(options)}, the higher of {scores[0]} and {scores[1]} wins"
    return Reading(why, options)


def _to(options: Mapping[str, object]) -> str:
    return f" to {options['prompt']}" if options["prompt"] else ""


def _texts(seen: Seen) -> Sides | None:
    return sides_of(seen, TEXTS)


def _around(seen: Seen, sides: Sides, column: str) -> dict[str, object]:
    used = {sides.left, sides.right, column}
    prompt = seen.column(*PROMPTS, "history", "input", "user_prompt", "post", "article")
    return {
        "left": sides.left,
        "right": sides.right,
        "winner": column,
        "prompt": prompt if prompt is not None and prompt not in used else "",
        "annotator": seen.annotator(used),
    }


def _of_exporter(seen: Seen, sides: Sides) -> Reading | None:
    """Releases whose numbers have a meaning of their own: SHP's labels, HelpSteer's strengths."""
    if seen.has("human_ref_a", "human_ref_b", "labels"):
        options = _around(seen, sides, "labels") | {"words": {"1": "left", "0": "right"}}
        return Reading("SHP: human_ref_A and human_ref_B, labels is 1 where A is preferred", options, EXPORTER)
    strength = seen.column("preference_strength", "overall_preference")
    levels = None if strength is None else seen.levels(strength)
    if strength is not None and levels and min(levels.values()) >= -3 and max(levels.values()) <= 3:
        meaning = {word: "tie" if v == 0 else ("left" if v < 0 else "right") for word, v in levels.items()}
        options = _around(seen, sides, strength) | {"words": meaning}
        options["prompt"] = seen.column("prompt", "context") or ""
        return Reading(f"HelpSteer: {strength} is below 0 where {sides.left} is preferred", options, EXPORTER)
    return None
