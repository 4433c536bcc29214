"""A row per prompt with a list of responses: each with a rank or a score, or options of which one is accepted (Prodigy)."""

from __future__ import annotations

from collections.abc import Mapping

from annosim.data.preferences import PreferenceData
from annosim.io.format import EXPORTER, Reading
from annosim.io.layouts.lists import Lists
from annosim.io.layouts.votes import strings
from annosim.io.seen import PROMPTS, Seen
from annosim.io.sources import Source, read_table

__all__ = ["read_listed", "read_prodigy", "recognise_listed", "recognise_prodigy"]

_TEXTS = ("text", "response", "answer", "completion", "content", "output", "reply", "summary")
_RANKS = ("rank", "ranking", "position")
_SCORES = ("score", "reward", "rating", "points", "votes")
_LISTS = (
    "responses",
    "replies",
    "answers",
    "completions",
    "candidates",
    "outputs",
    "generations",
    "options",
    "summaries",
)


def read_listed(
    source: Source,
    responses: str = "responses",
    text: str = "text",
    number: str = "rank",
    high: bool = False,
    prompt: str | None = "prompt",
    annotator: str | None = None,
) -> PreferenceData:
    """Read a row per prompt (and annotator) with a list of responses and the rank or the score of each.

    Args:
        source: a file or a table in memory.
        responses: the column of lists.
        text, number: the fields of a response: what it says, and its rank or score.
        high: the highest number is best, as of scores.
        prompt, annotator: columns with the question and with who ranked.

    Returns:
        Rankings of responses; equal numbers tie, and a response without a number was not ranked.

    Raises:
        RowsError: fewer than two responses with numbers, or one twice.

    Example:
        >>> both = [{"text": "yes", "rank": 1}, {"text": "no", "rank": 0}]
        >>> read_listed([{"prompt": "q", "responses": both}]).answer.tolist()
        [[1, 0]]
    """
    table = read_table(source)
    prompts = table.values(prompt, "prompt") if prompt is not None and prompt in table else [""] * len(table)
    people = None if annotator is None else table.values(annotator, "annotator")
    lists = Lists(table, "listed", texts=True)
    for row, cell in enumerate(table.values(responses, "responses")):
        found = [one for one in (cell if isinstance(cell, list) else []) if isinstance(one, Mapping)]
        numbered = [one for one in found if isinstance(one.get(number), int | float) and one[number] == one[number]]
        numbers = {strings(one.get(text)): float(one[number]) * (-1.0 if high else 1.0) for one in numbered}
        if len(numbers) < 2 or len(numbers) < len(numbered):
            table.errors.add(row, f"fewer than two responses with a {number}, or one twice")
            continue
        others: dict[str, object] = (
            {} if people is None else {"annotator": "" if people[row] is None else strings(people[row])}
        )
        lists.add(row, numbers, strings(prompts[row]), **others)
    return lists.rankings(source)


def recognise_listed(seen: Seen) -> Reading | None:
    """A column of lists whose records have a text and a rank, or a score."""
    for column in (seen.plain[name] for name in _LISTS if name in seen.plain):
        head = seen.table.head(column, 1)[0] if seen.kind(column) == "list" else None
        if not isinstance(head, list) or not head or not all(isinstance(one, Mapping) for one in head):
            continue
        shared = set.intersection(*(set(one) for one in head))
        text = next((name for name in _TEXTS if name in shared), None)
        number = next((name for name in (*_RANKS, *_SCORES) if name in shared), None)
        if text is None or number is None or "model" in shared or any(isinstance(one[number], bool) for one in head):
            continue
        if not all(isinstance(one[number], int | float) for one in head):
            continue
        high = number in _SCORES
        prompt, annotator = seen.column(*PROMPTS, "text"), seen.annotator([column])
        who = "" if annotator is None else f", annotator={annotator}"
        options = {"responses": column, "text": text, "number": number, "high": high, "prompt": prompt}
        why = f"{column} lists responses, the {'highest' if high else 'lowest'} {number} of which is best{who}"
        return Reading(why, {**options, "annotator": annotator}, EXPORTER)
    return None


def read_prodigy(source: Source, annotator: str | None = "_annotator_id", prompt: str = "text") -> PreferenceData:
    """Read Prodigy's choices: ``options`` with ``id`` and ``text``, and the ids in ``accept``.

    Answers that were rejected or ignored, or that accept no option or several, are left out; ``settings["left_out"]`` says
    how many.

    Args:
        source: the file.
        annotator: field with who answered, where the records have it.
        prompt: field with what was asked.

    Returns:
        Choices among the options of each record.

    Raises:
        RowsError: options without a text, two that are the same, or no choice at all.

    Example:
        >>> row = {"text": "q", "options": [{"id": 1, "text": "x"}, {"id": 2, "text": "y"}], "accept": [2], "answer": "accept"}
        >>> read_prodigy([row]).answer.tolist()
        [1]
    """
    table = read_table(source)
    prompts = table.values(prompt, "prompt") if prompt in table else [""] * len(table)
    people = table.values(annotator, "annotator") if annotator is not None and annotator in table else None
    answers = table.values("answer", "answer") if "answer" in table else ["accept"] * len(table)
    accepted = table.values("accept", "accept")
    lists, left_out = Lists(table, "prodigy", texts=True), 0
    for row, cell in enumerate(table.values("options", "options")):
        options = [one for one in (cell if isinstance(cell, list) else []) if isinstance(one, Mapping)]
        chosen = [str(one) for one in accepted[row]] if isinstance(accepted[row], list) else []
        if answers[row] != "accept" or len(chosen) != 1:
            left_out += 1
            continue
        ranks = {strings(_shown(one)): float(str(one.get("id")) != chosen[0]) for one in options}
        if len(ranks) < max(len(options), 2) or 0.0 not in ranks.values():
            table.errors.add(row, "options that are the same, or an accepted one that is not shown")
            continue
        others: dict[str, object] = (
            {} if people is None else {"annotator": "" if people[row] is None else strings(people[row])}
        )
        lists.add(row, ranks, strings(prompts[row]), **others)
    data = lists.choices(source)
    return data.with_(settings={**data.settings, "left_out": left_out}) if left_out else data


def _shown(option: Mapping[str, object]) -> object:
    return next((option[name] for name in ("text", "html", "image", "label") if option.get(name)), option.get("id"))


def recognise_prodigy(seen: Seen) -> Reading | None:
    """``options`` and ``accept``."""
    if not all(name in seen.table for name in ("options", "accept", "answer")):
        return None
    accepted, answers = seen.table.values("accept", "accept"), seen.table.values("answer", "answer")
    taken = [
        answer == "accept" and isinstance(one, list) and len(one) == 1
        for one, answer in zip(accepted, answers, strict=True)
    ]
    if not any(taken):
        return None
    gone = f"; {taken.count(False)} that accept no option, or several, are left out" if not all(taken) else ""
    prompt = next((name for name in ("text", "html", "image", "prompt") if name in seen.table), "text")
    return Reading(f"Prodigy: the accepted one of the options to each {prompt}{gone}", {"prompt": prompt}, EXPORTER)
