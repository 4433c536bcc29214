"""Two verdicts a row, the second with the sides swapped: ``verdict_ab, verdict_ba``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError
from annosim.io.format import EXPORTER, Question, Reading
from annosim.io.layouts.sides import TEXTS, sides_of
from annosim.io.layouts.votes import Votes
from annosim.io.layouts.winners import people_and_counts
from annosim.io.layouts.words import Meaning, meaning_of_words
from annosim.io.pairs import without_self
from annosim.io.seen import Seen, blank, tokens
from annosim.io.sources import Source, read_table

__all__ = ["read_orders", "recognise_orders"]

#: The last words of two columns that hold one verdict for each order.
_ORDERS = (
    ("ab", "ba"),
    ("12", "21"),
    ("lr", "rl"),
    ("original", "swapped"),
    ("original", "reversed"),
    ("original", "flipped"),
    ("normal", "swapped"),
    ("normal", "reversed"),
    ("forward", "reverse"),
    ("forward", "backward"),
    ("unswapped", "swapped"),
)


def read_orders(
    source: Source,
    verdicts: Sequence[str],
    left: str = "model_a",
    right: str = "model_b",
    words: Mapping[str, str] | None = None,
    verdict_is: str = "side",
    annotator: str | None = None,
    prompt: str | None = None,
) -> PreferenceData:
    """Read a row per pair with the verdicts of one judge in both orders.

    Args:
        source: a file or a table in memory.
        verdicts: the two columns: with ``left`` displayed on the left, and with ``right`` displayed there.
        left, right, annotator, prompt: as in :func:`annosim.io.read_csv`.
        words: what the words mean: left, right, tie, skip; an item's name is understood.
        verdict_is: ``"side"`` (left is what was displayed there) or ``"item"`` (left is the item in the column ``left``,
            wherever it was displayed, and so are names).

    Returns:
        Two votes a row, the second with its sides swapped; ``columns["game"]`` is 1 or 2.

    Raises:
        RowsError: a verdict that is not among ``words``.
        ArgumentError: not two verdicts, or another ``verdict_is``.

    Example:
        >>> row = {"model_a": "x", "model_b": "y", "ab": "left", "ba": "left"}
        >>> data = read_orders([row], ["ab", "ba"])
        >>> data.menu.tolist(), data.answer.tolist()
        ([[0, 1], [1, 0]], [0, 0])
    """
    if len(verdicts) != 2 or verdict_is not in ("side", "item"):
        raise ArgumentError(
            f"verdicts={list(verdicts)!r:.60}, verdict_is={verdict_is!r}: two columns, and side or item"
        )
    table = without_self(read_table(source), left, right)
    known = dict(words or {"left": "left", "right": "right", "tie": "tie"})
    one, two = table.coded(left, "left").text(), table.coded(right, "right").text()
    who = None if annotator is None else table.people(annotator).text()
    context = None if prompt is None else table.coded(prompt, "prompt").text()
    said = [table.coded(name, "verdicts", blank=True).text() for name in verdicts]
    flip = {"left": "right", "right": "left"}
    votes = Votes(table, "orders")
    for row in range(len(table)):
        for game in range(2):
            word = str(said[game][row])
            winner = "skip" if blank(word) else known.get(word) or {one[row]: "left", two[row]: "right"}.get(word)
            if winner is None:
                table.errors.add(row, f"{verdicts[game]} {word[:40]!r} is unknown; accepted: {', '.join(known)[:80]}")
                continue
            if game and verdict_is == "item":
                winner = flip.get(winner, winner)
            shown = (one[row], two[row]) if game == 0 else (two[row], one[row])
            others: dict[str, object] = {} if who is None else {"annotator": who[row]}
            others |= {} if context is None else {"prompt": context[row]}
            votes.add(row, *shown, winner, game=game + 1, **others)
    return votes.data(source)


def recognise_orders(seen: Seen) -> Reading | Question | None:
    """Two sides, and two verdicts whose names differ in the order."""
    sides = sides_of(seen) or sides_of(seen, TEXTS)
    verdicts = None if sides is None else _verdicts(seen)
    if sides is None or verdicts is None:
        return None
    meaning = [meaning_of_words(seen, name, sides) for name in verdicts]
    first, second = meaning
    if not isinstance(first, Meaning) or not isinstance(second, Meaning) or first.winner_is != second.winner_is:
        return None
    if first.winner_is not in ("side", "item"):
        return None
    options, more = people_and_counts(seen, {sides.left, sides.right, *verdicts})
    kept: dict[str, object] = {name: options[name] for name in ("annotator", "prompt") if name in options}
    kept |= {
        "verdicts": list(verdicts),
        "left": sides.left,
        "right": sides.right,
        "words": {**first.words, **second.words},
    }
    what = f"{verdicts[0]} and {verdicts[1]} are verdicts in both orders"
    if first.winner_is == "item":
        return Reading(
            f"{sides.left} and {sides.right} are the sides, {what}{more}", {**kept, "verdict_is": "item"}, EXPORTER
        )
    same, swapped = _agreement(seen, verdicts, first.words, second.words)
    if swapped < same:
        return Question(
            f"{what}: in {verdicts[1]}, is {next(iter(second.words))} the side where it was displayed, or the item of "
            f"{sides.left} and {sides.right}? say verdict_is=side or verdict_is=item",
            ("verdict_is",),
            kept,
            EXPORTER,
        )
    why = (
        f"{sides.left} and {sides.right} are the sides, {what}: in {verdicts[1]} {sides.right} is displayed first{more}"
    )
    return Reading(why, {**kept, "verdict_is": "side"}, EXPORTER)


def _verdicts(seen: Seen) -> tuple[str, str] | None:
    words = {tokens(name): name for name in reversed(seen.columns)}
    for parts, name in words.items():
        for one, two in _ORDERS:
            other = words.get((*parts[:-1], two)) if parts[-1:] == (one,) else None
            if other is not None:
                return name, other
    return None


def _agreement(
    seen: Seen, verdicts: tuple[str, str], first: Mapping[str, str], second: Mapping[str, str]
) -> tuple[float, float]:
    """How often the two verdicts say the same side, and how often different sides."""
    one = np.array([first.get(str(word), "") for word in seen.table.texts(verdicts[0], verdicts[0]).text()])
    two = np.array([second.get(str(word), "") for word in seen.table.texts(verdicts[1], verdicts[1]).text()])
    decided = np.isin(one, ("left", "right")) & np.isin(two, ("left", "right"))
    return float((decided & (one == two)).mean()), float((decided & (one != two)).mean())
