"""What is said of a table that no layout knows: what it seems to be, or what was seen and how columns are mapped."""

from __future__ import annotations

import re

from annosim.io.seen import Seen

__all__ = ["LONGEST", "column_lines", "cut", "unknown_layout"]

#: Items of a line, with spaces between.
_LISTED = re.compile(r"\s*\d+(\s+\d+)+\s*$")
#: Characters of a message.
LONGEST = 300


def cut(text: str, length: int) -> str:
    """A text of at most so many characters."""
    return text if len(text) <= length else text[: length - 3] + "..."


def unknown_layout(seen: Seen) -> str:
    """What it seems to be, or what was seen, and how to map the columns, in one line."""
    name = cut(seen.table.name, 60)
    guess = _without_header(seen) or _without_comparisons(seen)
    if guess is not None:
        return f"{name}: {guess}"[:LONGEST]
    head = f"{name}: no known layout; columns: "
    tail = ". Say format=pairs with left=, right= and winner=, or see annosim read FILE --show"
    shown_columns: list[str] = []
    room = LONGEST - len(head) - len(tail) - 6
    for text in column_lines(seen):
        if len("; ".join([*shown_columns, text])) > room:
            shown_columns.append("...")
            break
        shown_columns.append(text)
    return head + "; ".join(shown_columns) + tail


def column_lines(seen: Seen) -> list[str]:
    """Each column with its kind and its first three distinct values, or the fields of its records."""
    lines = []
    for name in seen.columns:
        values = [cut(value, 12) for value in seen.words(name)[:3]] if seen.kind(name) != "record" else []
        held = ", ".join(values or [cut(field, 24) for field in _fields(seen, name)[:4]])
        lines.append(" ".join(f"{cut(name, 24)} ({seen.kind(name)}{': ' if held else ''}{held})".split()))
    return lines


def _fields(seen: Seen, name: str) -> list[str]:
    """The fields of the first record that stands in a column, alone or in a list."""
    cells = seen.table.head(name, 20) if seen.kind(name) in ("record", "list") else []
    first = [cell[0] if isinstance(cell, list) and cell else cell for cell in cells]
    return next(([str(field) for field in one] for one in first if isinstance(one, dict)), [])


def _without_header(seen: Seen) -> str | None:
    """Whether the names of the columns are what stands in them: the first line is an answer."""
    columns = seen.columns
    first = cut(",".join(columns), 40)
    if len(columns) == 1 and all(_LISTED.match(text) for text in (columns[0], *seen.words(columns[0]))):
        return (
            f"the first line ({first}) and the others are numbers with spaces between: are they items, the winner first? say "
            "format=choix (set kind=rankings for whole orders)"
        )
    if not (seen.lacks_header or _stands_below(seen)):
        return None
    head = f"the first line ({first}) is an answer like the others, not names of columns"
    if len(columns) != 2:
        return f"{head}; write names above it, such as left,right,winner"
    numbers = all(seen.kind(name) == "number" for name in columns)
    how = " (of item numbers, say format=choix as well)" if numbers else ""
    return f"{head}: does each line name the winner first? then write winner,loser above it{how}"


def _stands_below(seen: Seen) -> bool:
    """Whether what names a column of text stands in some row below: items and sides come again, names of columns do not."""
    texts = [name for name in seen.columns if seen.kind(name) in ("text", "number")]
    if not 2 <= len(seen.columns) <= 4 or len(texts) < len(seen.columns):
        return False
    words = {word for name in texts for word in seen.words(name)}
    return any(name in words for name in texts)


def _without_comparisons(seen: Seen) -> str | None:
    """Logs and labels that hold no comparison."""
    how = "name both in the metadata (model_a, model_b), or write left, right, winner yourself (format=pairs)"
    if seen.has("doc_id", "resps"):
        return f"an lm-evaluation-harness log of one model's answers, in which no two are compared; {how}"
    if seen.has("epoch", "target", "scores") or seen.has("epoch", "target", "input", "output"):
        return f"an Inspect log whose samples name no two sides that are compared; {how}"
    if seen.column("wins", "won", "elo", "win_rate", "winrate") is not None and seen.column(
        "model", "name", "item", "player", "team"
    ):
        return (
            "totals of each item, as a leaderboard has them: who was compared with whom is not in them; a row per vote, or per "
            "pair with the wins of each side (format=tallies), is"
        )
    task, worker, label = seen.column("task", "task_id"), seen.annotator(), seen.column("label")
    if task is not None and label is not None and worker is not None and len(seen.columns) <= 4:
        shown = cut(", ".join(seen.words(label)[:3]), 40)
        return (
            f"labels of single tasks ({label}: {shown}), in which nothing is compared; preferences have two sides and a "
            "winner (format=pairs), or a rating (format=ratings)"
        )
    return None
