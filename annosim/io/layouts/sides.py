"""The two sides of a question in the columns of a table: ``left, right``, ``model_a, model_b``, ``player1, player2``."""

from __future__ import annotations

from annosim.data.sides import Sides, pairs_of_names
from annosim.io.seen import HOLDERS, Seen

__all__ = [
    "AGAINST",
    "MEASURES",
    "NAMES",
    "SCORES",
    "TEXTS",
    "WINS",
    "Sides",
    "measured",
    "pairs_of_columns",
    "sides_of",
]

#: Stems of columns that name the items, the best first.
NAMES = (
    "item model player team option alternative candidate system name label object stimulus stim generator policy "
    "image img audio video sample choice product brand method variant arm id word"
).split()
#: Stems of columns that hold the items' texts.
TEXTS = "response answer completion output text summary human_ref generation reply conversation story".split()
#: Stems of columns that measure the sides.
MEASURES = (
    "score scores wins win votes vote count counts n goals points rating ratings rank elo runs sets time length len tokens "
    "prob probability p price cost logprob"
).split()
#: Stems of columns with how often a side won, and with its score.
WINS = "wins win winner won votes vote count counts n num_wins n_wins times_chosen".split()
#: Words of columns that count what speaks against a side.
AGAINST = frozenset("against losses lost loss dislikes downvotes faults error errors".split())
SCORES = "score scores goals points rating ratings runs sets result pts grade".split()


def pairs_of_columns(seen: Seen) -> list[Sides]:
    """Every two columns that differ in the mark of a side, in the order of the table."""
    return pairs_of_names(seen.columns)


def sides_of(seen: Seen, stems: list[str] | None = None) -> Sides | None:
    """The columns that name the two items: those without a stem, else by the best stem."""
    wanted = ["", *(NAMES if stems is None else stems)]
    found = [pair for pair in pairs_of_columns(seen) if _is_named(seen, pair)]
    best = [
        (rank, pair)
        for pair in found
        for rank, stem in enumerate(wanted)
        if _is_stem(pair.stem, stem) or _is_stem(_held(pair.stem), stem)
    ]
    return min(best, key=lambda one: one[0], default=(0, None))[1]


def _is_stem(said: str, stem: str) -> bool:
    return said == stem or bool(stem and said in (f"{stem}_name", f"{stem}_id", f"{stem}s", f"id_{stem}"))


def _held(stem: str) -> str:
    """A stem without what holds the columns: ``player.option_a`` of oTree is an option."""
    holder, mark, rest = stem.partition("_")
    return rest if mark and holder in HOLDERS else stem


def _is_named(seen: Seen, pair: Sides) -> bool:
    return all(seen.kind(name) in ("text", "number") for name in (pair.left, pair.right))


def measured(seen: Seen, sides: Sides, stems: list[str]) -> tuple[str, str] | None:
    """The two columns that measure these sides: ``wins_a, wins_b``, ``winner_model_a, winner_model_b``, ``a_wins``."""
    for pair in pairs_of_columns(seen):
        parts = pair.stem.split("_")
        if AGAINST & set(parts) and not AGAINST & set(stems):
            continue
        if (pair.left, pair.right) != (sides.left, sides.right) and any(part in stems for part in parts):
            if not any(part in TEXTS for part in parts):
                return pair.left, pair.right
    return None
