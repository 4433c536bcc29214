"""A row per vote with a column for the winner: which columns are the sides, and what the winner's words mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from annosim.io.format import Question, Reading
from annosim.io.layouts.sides import MEASURES, Sides, pairs_of_columns, sides_of
from annosim.io.layouts.words import Meaning, meaning_of_words
from annosim.io.seen import Seen, tokens

__all__ = ["DISPLAYED", "WINNERS", "people_and_counts", "recognise_pairs", "winner_of"]

#: Names of columns that say who won, plainly written.
WINNERS = (
    "winner label preference preferred choice chosen answer outcome result results vote judgment judgement verdict better "
    "selected selection pref y win won winner_id better_response_id decision score p prob probability labels wins "
    "winner_name preferred_response overall_preference ftr response selected value filtered_resps resp human_label answer_choice pw pairwise rating strength preference_strength slider"
).split()


#: Names of columns that say whether the sides were displayed the other way round.
_SWAPPED = "swapped is_swapped swap flipped is_flipped flip reversed is_reversed order_swapped position_swapped".split()


def recognise_pairs(seen: Seen) -> Reading | Question | None:
    """Two columns of names and one with the winner."""
    sides = sides_of(seen)
    found = None if sides is None else winner_of(seen, sides)
    if sides is None or found is None:
        return None
    column, meaning = found
    swapped = seen.column(*_SWAPPED)
    options, more = people_and_counts(seen, {sides.left, sides.right, column, swapped or column})
    options |= {"left": sides.left, "right": sides.right, "winner": column}
    if swapped is not None and isinstance(meaning, Meaning) and meaning.winner_is == "side":
        first = next(iter(meaning.words))
        return Question(
            f"where {swapped} is true, is {first} in {column} the side where it was displayed, or the item of {sides.left} and "
            f"{sides.right}? say swapped={swapped} (as displayed) or swapped=none (the item)",
            ("swapped",),
            {**options, "winner_is": meaning.winner_is, "words": meaning.words},
        )
    if isinstance(meaning, Question):
        return replace(meaning, options={**options, **meaning.options})
    options |= {"winner_is": meaning.winner_is, "words": meaning.words}
    options |= {"loser": True} if meaning.loses else {}
    return Reading(f"{sides.left} and {sides.right} are the sides, {meaning.why}{more}", options)


def winner_of(seen: Seen, sides: Sides) -> tuple[str, Meaning | Question] | None:
    """The column that says which side won: by its name, else the only one whose words mean sides."""
    open_: tuple[str, Question] | None = None
    for column in _candidates(seen, sides):
        meaning = _meaning(seen, column, sides)
        if isinstance(meaning, Meaning):
            return column, meaning
        if meaning is not None and open_ is None:
            open_ = column, meaning
    return open_ or _only_one(seen, sides)


def _only_one(seen: Seen, sides: Sides) -> tuple[str, Meaning | Question] | None:
    """The only column of text, whatever its name, whose words are sides of these or their names."""
    found = []
    for column in seen.columns:
        if column in (sides.left, sides.right) or DISPLAYED & set(tokens(column)):
            continue
        if seen.kind(column) == "text" and len(seen.words(column)) <= 1000:
            meaning = _meaning(seen, column, sides)
            if isinstance(meaning, Meaning):
                found.append((column, meaning))
    return found[0] if len(found) == 1 else None


#: Words of columns that say who lost.
_LOST = frozenset(
    "worse worst loser lost losing loses least rejected disliked eliminated discarded dropped inferior".split()
)
#: Words of columns that say what was displayed where, which is nobody's answer.
DISPLAYED = frozenset("shown displayed presented position side_shown".split())


def _meaning(seen: Seen, column: str, sides: Sides) -> Meaning | Question | None:
    """What a column's words mean; turned round where it says who lost."""
    found = meaning_of_words(seen, column, sides)
    if not _LOST & set(tokens(column)) or not isinstance(found, Meaning):
        return found
    empty = found.why.partition(";")[1:]
    more = "".join(empty)
    if found.winner_is in ("score", "index"):
        kind = "index" if found.winner_is == "score" else "score"
        return Meaning(
            kind,
            f"{column} says who lost, 1 being the {'left' if kind == 'index' else 'right'} side{more}",
            found.words,
        )
    flip = {"left": "right", "right": "left"}
    words = {word: flip.get(meaning, meaning) for word, meaning in found.words.items()}
    by_name = found.winner_is == "item"
    return Meaning(
        found.winner_is,
        f"{column} holds the {'name of the loser' if by_name else 'side that lost'}{more}",
        words,
        by_name,
    )


_MARKED = frozenset(
    "win wins won winner beats better preferred prefer prefers chose chosen picked p prob diff difference margin".split()
)


def _candidates(seen: Seen, sides: Sides) -> list[str]:
    both = [pair for pair in pairs_of_columns(seen) if set(pair.stem.split("_")) & {*MEASURES, "winner"}]
    used = {sides.left, sides.right, *(name for pair in both for name in (pair.left, pair.right))}
    named = [seen.plain[name] for name in WINNERS if name in seen.plain]
    marked = [
        name
        for name in seen.columns
        if set(tokens(name)) & {*_MARKED, *_LOST} and not set(tokens(name)) & {"tie", "draw"}
    ]
    flat = ("text", "number", "flag", "list")
    # In the logs of lm-eval and Inspect the judge's verdict, not answer and target, which are what was expected or parsed.
    logged = seen.has("filtered_resps") or seen.has("epoch", "value")
    said = seen.column("filtered_resps", "value") if logged else None
    named = named if said is None else [said, *named]
    return [name for name in dict.fromkeys([*named, *marked]) if name not in used and seen.kind(name) in flat]


def people_and_counts(seen: Seen, used: set[str]) -> tuple[dict[str, object], str]:
    """Options for who answered, how often and with what weight, and the words that say so."""
    options: dict[str, object] = {}
    said = []
    for name in ("annotator", "prompt", "count", "weight"):
        column = getattr(seen, name)(used)
        if column is None:
            continue
        who = options.get("annotator")
        if name == "weight" and isinstance(who, str) and "count" not in options and _differs_within(seen, column, who):
            name = "count"  # a weight belongs to an annotator; whole numbers that differ within one say how often
        options[name] = column
        share = name == "count" and seen.has_fractions(column)
        said.append(f"{name}={column}" + (" (fractions: frequency weights)" if share else ""))
        used = {*used, column}
    return options, "".join(f", {text}" for text in said)


def _differs_within(seen: Seen, column: str, who: str) -> bool:
    """Whether whole numbers differ between rows of one annotator."""
    values, people = seen.numbers(column), seen.table.texts(who, who)
    first = np.empty(len(people.names))
    first[people.codes[::-1]] = values[::-1]
    named = np.array([bool(name and name.strip()) for name in people.names], dtype=bool)[people.codes]
    return bool((first[people.codes] != values)[named].any() and (values == np.round(values)).all())
