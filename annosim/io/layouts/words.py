"""What the words of a winner's column mean: the left side, the right side, a tie or a skip."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from annosim.io.format import Question
from annosim.io.layouts.sides import Sides
from annosim.io.names import name_key
from annosim.io.seen import Seen, as_number, blank, plain, tokens
from annosim.io.tables import Coded

__all__ = ["Meaning", "meaning_of_words", "side_of_word"]

_TIES = frozenset(
    "tie tied ties draw drawn equal equally same both both_good both_bad bothbad tie_bothbad no_preference "
    "no_difference equally_good equally_bad about_the_same neutral similar indifferent a_b_tie t even".split()
)
_SKIPS = frozenset(["skip", "skipped"])
_NOUNS = frozenset(
    "model option response assistant answer item output system candidate player team side image text summary completion "
    "the is are was wins win won winner better best preferred prefer chosen selected slightly clearly much significantly "
    "strongly far choice vote".split()
)
_SIDES = (("left", "right"), ("a", "b"), ("1", "2"), ("first", "second"), ("1st", "2nd"), ("one", "two"), ("l", "r"))
#: Results of a game, as chess writes them.
_GAMES = {"1-0": "left", "0-1": "right", "1/2-1/2": "tie", "\u00bd-\u00bd": "tie", "0.5-0.5": "tie"}
_ARROW = re.compile(r"\s*([ab])\s*(>>|>|=|<|<<)\s*([ab])\s*", re.IGNORECASE)
#: The points of both sides: ``2-1``.
_POINTS = re.compile(r"\s*(\d{1,3})\s*[-:\u2013]\s*(\d{1,3})\s*")
#: Names of columns whose 1 is a win of the side named first.
_RESULTS = frozenset("score result outcome y win won wins win_flag".split())
_PROBABILITIES = frozenset("p prob probability win_prob win_probability win_rate winrate p_win".split())
_SIGNED = _RESULTS | frozenset(["winner", "label", "margin", "diff"])


#: Unknown words of a column called winner about which it is asked.
MOST_WORDS = 20


@dataclass(frozen=True)
class Meaning:
    """How a winner's column is read.

    Attributes:
        winner_is: as ``read_csv`` takes it.
        words: as ``read_csv`` takes it, or ``None`` where no cell is a word.
        why: what was seen.
        loses: whether the column says who lost.
    """

    winner_is: str
    why: str
    words: dict[str, str] = field(default_factory=dict)
    loses: bool = False


def meaning_of_words(seen: Seen, column: str, sides: Sides) -> Meaning | Question | None:
    """How a column is read as the winner of two sides; a question where it may mean either; ``None`` if it is none."""
    names = [str(name) for name in seen.table.texts(column, column).names]
    skips = {name: "skip" for name in names if blank(name)}
    words = [name for name in names if not blank(name)]
    if not words or len(words) > 200_000:
        return None
    found = (
        _by_item(seen, column, sides, words)
        or _by_word(column, sides, words)
        or _by_item(seen, column, sides, words, similar=True)
        or _by_number(seen, column, sides)
    )
    if isinstance(found, Meaning) and skips:
        return Meaning(found.winner_is, f"{found.why}; {seen.blanks(column)} empty: skips", {**found.words, **skips})
    return found


def _by_word(column: str, sides: Sides, words: Sequence[str]) -> Meaning | Question | None:
    """Words for sides; one that is unknown among them is a question."""
    if set(tokens(column)) & {"score", "result", "outcome"} and all(_POINTS.fullmatch(word) for word in words):
        said = {word: _of_points(word) for word in words}
        return Meaning("side", f"{column} holds the points of both sides, such as {words[0]}", said)
    if len(words) > 60 or all(as_number(word) is not None for word in words):
        return None
    meaning = {word: side_of_word(word, sides) for word in words}
    known = {word: side for word, side in meaning.items() if side is not None}
    decided = [side for side in known.values() if side in ("left", "right")]
    if not decided:  # a winner's column of ties only
        all_tied = len(known) == len(words) and plain(column) == "winner"
        if not all_tied and plain(column) == "winner" and len(words) <= MOST_WORDS:
            means = ["left", "right", *["..."] * 3]
            side = ",".join(f"{word}={one}" for word, one in zip(words, means, strict=False))
            return Question(
                f"{column} holds {_shown(words)}: which side is that? say words={side} (or tie, skip)", ("words",)
            )
        return Meaning("side", f"{column} holds {_shown(words)}", known) if all_tied else None
    odd = [word for word in words if word not in known]
    if odd:
        if len(odd) > len(known):
            return None
        return Question(
            f"{column} also holds {_shown(odd)}: a tie or a skip? say {_ties_or_skips(odd)}", options={"words": known}
        )
    return Meaning("side", f"{column} holds {_shown(words)}", known)


def _ties_or_skips(odd: Sequence[str]) -> str:
    """How to say what words mean that are no sides; where there are several, each is to be completed."""
    if len(odd) == 1:
        return f"words={odd[0]}=tie or words={odd[0]}=skip"
    return f"words={','.join(f'{word}=...' for word in odd[:5])} (each tie or skip)"


def _of_points(word: str) -> str:
    """The side with more points."""
    match = _POINTS.fullmatch(word)
    assert match is not None
    one, two = int(match[1]), int(match[2])
    return "left" if one > two else "right" if two > one else "tie"


def side_of_word(word: str, sides: Sides) -> str | None:
    """The meaning of one word."""
    if match := _ARROW.fullmatch(word):
        one, mark, two = match[1].lower(), match[2], match[3].lower()
        if one == two:
            return None
        better = one if ">" in mark else two
        return "tie" if mark == "=" else ("left" if better == "a" else "right")
    if (score := word.strip().replace(" ", "")) in _GAMES:
        return _GAMES[score]
    said = plain(word)
    said = (
        said[:-4].rstrip("_") if said.endswith("vote") and len(said) > 4 else said
    )  # FastChat's leftvote, bothbad_vote
    if said in (plain(sides.left), plain(sides.right)):
        return "left" if said == plain(sides.left) else "right"
    own = _of_marks(said, sides.marks)
    if own is not None:
        return own
    if said in _TIES or word.strip() == "=" or (said == "d" and sides.marks in (("home", "away"), ("white", "black"))):
        return "tie"
    if said in _SKIPS:
        return "skip"
    core = [part for part in tokens(said) if part not in _NOUNS]
    if len(core) > 1 and core[-1] in sides.marks:
        return None
    rest = "_".join(core)
    for one, two in (sides.marks, *_SIDES):
        if rest in (one, two):
            return "left" if rest == one else "right"
    return "tie" if rest in _TIES else None


def _of_marks(said: str, marks: tuple[str, str]) -> str | None:
    """``home`` and ``h`` for columns called home and away."""
    for mark, side in zip(marks, ("left", "right"), strict=True):
        if said == mark or (len(mark) > 2 and said == mark[0]):
            return side
    return None


def _by_item(
    seen: Seen, column: str, sides: Sides, words: Sequence[str], similar: bool = False
) -> Meaning | Question | None:
    """Names of the items, and words for ties: every row names one of its own two, or is a tie.

    ``similar``: names that differ only in case, spaces or number format are the same.
    """
    answer = seen.table.texts(column, column)
    left, right = (seen.table.texts(name, name) for name in (sides.left, sides.right))
    key = name_key if similar else str
    if similar:
        answer, left, right = (Coded(one.codes, _keys(one.names)) for one in (answer, left, right))
    items = {name for name in (*left.names, *right.names) if name}
    if not any(key(word) in items for word in words):
        return None
    others = {word: side_of_word(word, sides) for word in words if key(word) not in items}
    said, one, two = answer.text(), left.text(), right.text()
    known = {word: meaning for word, meaning in others.items() if meaning in ("tie", "skip")}
    apart = {key(word) for word in known}
    fits = [a in (b, c) or a in apart or a is None or blank(a) for a, b, c in zip(said, one, two, strict=True)]
    if sum(fits) < 0.9 * len(fits):
        return None
    odd = [word for word in others if word not in known]
    if odd:
        return Question(
            f"{column} also holds {_shown(odd)}: a tie or a skip? say {_ties_or_skips(odd)}",
            options={"words": known, "winner_is": "item"},
        )
    more = f", or {_shown(list(known))}" if known else ""
    return Meaning("item", f"{column} holds the winner's name{more}", known)


def _keys(names: NDArray[np.object_]) -> NDArray[np.object_]:
    return np.array([None if name is None else name_key(name) for name in names], dtype=object)


def _by_number(seen: Seen, column: str, sides: Sides) -> Meaning | Question | None:
    """Numbers and booleans: an index, a score of the left side, a sign, or a probability."""
    parts = tokens(column)
    marked = [side for mark, side in zip(sides.marks, ("left", "right"), strict=True) if mark in parts]
    marked += [
        side for mark, side in (("left", "left"), ("right", "right"), ("first", "left"), ("a", "left")) if mark in parts
    ]
    token = marked[0] if marked and len(set(marked)) == 1 else None
    words = [str(name) for name in seen.words(column)]
    truth = {"true": "left", "false": "right", "yes": "left", "no": "right", "t": "left", "f": "right"}
    if all(word.strip().casefold() in truth for word in words):
        return _of_flags(column, token, words, truth)
    levels = seen.levels(column)
    if levels is None:
        return None
    values = set(levels.values())
    if values <= {1.0, 2.0} and sides.marks != ("0", "1"):
        return Meaning(
            "side", f"{column} holds 1 or 2, the number of the side", _words(levels, {1.0: "left", 2.0: "right"})
        )
    if values <= {0.0, 1.0} and sides.marks == ("0", "1") and token is None:
        return Meaning(
            "side", f"{column} holds 0 or 1, the number of the side", _words(levels, {0.0: "left", 1.0: "right"})
        )
    if -1.0 in values and values <= {-1.0, 0.0, 1.0}:
        return _of_signs(column, token, levels)
    if min(values) >= 0 and max(values) <= 1:
        return _of_scores(column, token, levels)
    whole = all(value == round(value) for value in levels.values())
    if min(values) < 0 < max(values) and len(levels) <= 9 and whole:
        return Question(
            f"{column} holds {_shown(_ordered(levels))}: who wins below 0? {_sides_of_levels(levels, 0.0)}", ("words",)
        )
    if min(values) < 0 < max(values) and set(parts) & (_GRADED | _SIGNED | {"difference", "delta"}):
        return Question(
            f"{column} holds numbers from {min(values):g} to {max(values):g}: who wins above 0? say winner_is=difference (the left "
            "side), and loser=true as well if it is the right",
            ("winner_is",),
        )
    if values in ({0.0, 1.0, 2.0}, {1.0, 2.0, 3.0}) and not {"rating", "strength"} & set(parts):
        low, mid, high = _ordered(levels)
        return Question(
            f"{column} holds {low}, {mid} and {high}: which is a tie? say words={low}=left,{mid}=right,{high}=tie or "
            f"words={low}=left,{mid}=tie,{high}=right",
            ("words",),
        )
    if len(levels) > 2 and min(values) >= 0 and 3 <= max(values) <= 11 and whole and _GRADED & set(parts):
        middle = (max(values) + (0.0 if 0.0 in values else 1.0)) / 2
        return Question(
            f"{column} holds {_shown(_ordered(levels))}: who wins at {min(values):g}? {_sides_of_levels(levels, middle)}",
            ("words",),
        )
    return None


#: Words for a preference in grades: 1 is strongly one side, the last number strongly the other.
_GRADED = frozenset("rating strength preference pref likert scale label answer response choice score slider".split())


def _ordered(levels: dict[str, float]) -> list[str]:
    return sorted(levels, key=levels.__getitem__)


def _sides_of_levels(levels: dict[str, float], middle: float) -> str:
    """How to say that low numbers are the left side."""
    side = {-1: "left", 0: "tie", 1: "right"}
    said = [f"{word}={side[(levels[word] > middle) - (levels[word] < middle)]}" for word in _ordered(levels)]
    shown = ",".join(said if len(said) <= 9 else [*said[:2], "...", said[-1]])
    return f"say words={shown} (or the other way round)"


def _of_flags(column: str, token: str | None, words: Sequence[str], truth: dict[str, str]) -> Meaning | Question:
    side = token or ("left" if set(tokens(column)) & (_RESULTS | {"beats", "wins"}) else None)
    if side is None:
        return Question(
            f"{column} holds {_shown(words)}: who wins where it is {words[0]}? "
            f"say words={words[0]}=left,... or words={words[0]}=right,..."
        )
    flip = {"left": "right", "right": "left"}
    meaning = {word: truth[word.strip().casefold()] for word in words}
    return Meaning(
        "side",
        f"{column} is true where {side} wins",
        meaning if side == "left" else {word: flip[one] for word, one in meaning.items()},
    )


def _of_signs(column: str, token: str | None, levels: dict[str, float]) -> Meaning | Question:
    side = token or ("left" if plain(column) in _SIGNED else None)
    if side is None:
        return Question(
            f"{column} holds -1, 0 and 1: who wins at 1? say words=1=left,-1=right,0=tie (or 1=right,-1=left)"
        )
    one = {1.0: side, -1.0: "right" if side == "left" else "left", 0.0: "tie"}
    return Meaning("side", f"{column} holds 1 where {side} wins, -1 where it loses, 0 for ties", _words(levels, one))


def _of_scores(column: str, token: str | None, levels: dict[str, float]) -> Meaning | Question:
    values, name = set(levels.values()), plain(column)
    simple = values <= {0.0, 0.5, 1.0}
    side = token
    if side is None and name in (_RESULTS | _PROBABILITIES):
        side = "left"
    if side is None and simple and 0.5 in values:
        side = "left"
    if side is None and (name.endswith(("_id", "_index", "_idx")) or name in ("index", "idx")) and simple:
        side = "right"
    if side is None:
        what = "0 and 1" if simple else "numbers between 0 and 1"
        return Question(
            f"{column} holds {what}: who wins at 1? say winner_is=score (the left side) or winner_is=index (the right)"
        )
    kind = "score" if side == "left" else "index"
    what = f"1 where {side} wins, 0 where it loses" if simple else f"the probability that {side} wins"
    return Meaning(kind, f"{column} is {what}")


def _words(levels: dict[str, float], meaning: dict[float, str]) -> dict[str, str]:
    return {word: meaning[value] for word, value in levels.items()}


def _shown(words: Sequence[str]) -> str:
    cut = [word if len(word) <= 24 else word[:21] + "..." for word in words[:5]]
    return ", ".join(cut) + (f" and {len(words) - 5} more" if len(words) > 5 else "")
