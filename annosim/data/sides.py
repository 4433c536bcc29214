"""The names of columns in words, and the marks by which two of them speak of the two sides of a question."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["MARKS", "OUTCOMES", "Sides", "pairs_of_names", "tokens", "unaccented"]

#: What stands for the two sides in the names of columns.
MARKS = (
    ("left", "right"),
    ("a", "b"),
    ("1", "2"),
    ("0", "1"),
    ("home", "away"),
    ("x", "y"),
    ("i", "j"),
    ("first", "second"),
    ("one", "two"),
    ("l", "r"),
    ("red", "blue"),
    ("white", "black"),
    ("top", "bottom"),
    ("links", "rechts"),
    ("gauche", "droite"),
    ("izquierda", "derecha"),
    ("sinistra", "destra"),
    ("esquerda", "direita"),
)

#: What stands for the alternative that was chosen, and for the other, wherever they were shown.
OUTCOMES = (("chosen", "rejected"), ("winner", "loser"))

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])")
_BREAK = re.compile(r"[^0-9a-z]+")


@dataclass(frozen=True)
class Sides:
    """Two columns whose names differ in the mark of a side.

    Attributes:
        left, right: the columns.
        stem: what their names share, plainly written.
        marks: what stands for the two sides.
    """

    left: str
    right: str
    stem: str
    marks: tuple[str, str]


def unaccented(name: str) -> str:
    """A name without case, accents and spaces around it: ``"Évaluateur "`` is ``"evaluateur"``."""
    text = name.strip().casefold()
    if text.isascii():
        return text
    return "".join(mark for mark in unicodedata.normalize("NFKD", text) if not unicodedata.combining(mark))


def tokens(name: str) -> tuple[str, ...]:
    """The words of a column's name: ``"scoreA"``, ``"score_a"`` and ``"Score.A"`` are ``("score", "a")``.

    Example:
        >>> tokens("scoreA"), tokens("player 1"), tokens("item1")
        (('score', 'a'), ('player', '1'), ('item', '1'))
    """
    return tuple(part for part in _BREAK.split(unaccented(_CAMEL.sub("_", name))) if part)


def pairs_of_names(names: Iterable[str], marks: Sequence[tuple[str, str]] = MARKS) -> list[Sides]:
    """Every two names that differ in the mark of a side, in their order.

    Example:
        >>> [(pair.left, pair.right, pair.stem) for pair in pairs_of_names(["len_a", "len_b", "judge"])]
        [('len_a', 'len_b', 'len')]
    """
    words = {name: tokens(name) for name in names}
    where = {word: name for name, word in reversed(words.items())}
    out = []
    for name, word in words.items():
        for place, mark in enumerate(word):
            for one, two in marks:
                other = where.get((*word[:place], two, *word[place + 1 :])) if mark == one else None
                if other is not None:
                    rest = (*word[:place], *word[place + 1 :])
                    stem = "_".join(rest[1:] if rest[:1] == ("input",) else rest)  # Mechanical Turk's Input.left
                    out.append(Sides(name, other, stem, (one, two)))
    return out
