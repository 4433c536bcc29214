"""Outcomes of two sides without a winner's column: winner and loser, wins of each side, one flag for each outcome, and
scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annosim.data.preferences import PreferenceData
from annosim.data.sides import OUTCOMES, pairs_of_names
from annosim.io.format import Question, Reading
from annosim.io.layouts.sides import NAMES, SCORES, WINS, Sides, measured, sides_of
from annosim.io.layouts.winners import people_and_counts, winner_of
from annosim.io.pairs import name_items, pair_data, read_counts, read_flags, repeated, without_self
from annosim.io.seen import Seen, tokens
from annosim.io.sources import Source, read_table, source_name
from annosim.io.tables import Coded, Table

__all__ = ["read_beats", "read_scores", "read_tallies", "recognise_beats", "recognise_scores", "recognise_tallies"]

_WINNERS = "winner won preferred better best chosen winner_name winner_id winning_item selected".split()
_LOSERS = "loser lost rejected worse worst other loser_name loser_id losing_item not_selected unpreferred".split()
#: Marks of the column of the winner and of the loser: ``chosen_model, rejected_model``.
_OUTCOMES = (*OUTCOMES, ("winning", "losing"), ("preferred", "rejected"), ("better", "worse"), ("preferred", "other"))
_TIES = "tie ties tied draw draws drawn winner_tie n_ties n_draws num_ties equal".split()


def read_beats(
    source: Source,
    winner: str = "winner",
    loser: str = "loser",
    annotator: str | None = None,
    prompt: str | None = None,
    count: str | None = None,
    tie: str | None = None,
    merge: bool = False,
) -> PreferenceData:
    """Read a row per vote with a column for the winner and one for the loser.

    Args:
        source: a file or a table in memory.
        winner, loser: the columns. The winner is displayed first: such files do not say what stood where.
        annotator, prompt: columns with who voted and with the question.
        count: column with how often the row was seen; fractions are frequency weights where nobody is named.
        tie: column that is true where the row is a tie.
        merge: as in :func:`annosim.io.read_csv`.

    Raises:
        FileReadError, RowsError: as :func:`annosim.io.read_csv`.

    Example:
        >>> read_beats([{"winner": "tea", "loser": "milk"}]).answer.tolist()
        [0]
    """
    table = without_self(read_table(source), winner, loser, merge)
    tied = np.zeros(len(table), dtype=np.int64) if tie is None else 2 * read_flags(table, tie).astype(np.int64)
    return _built(table, source, (winner, loser), tied, annotator, prompt, count, [tie], "beats", merge)


def read_tallies(
    source: Source,
    left: str = "left",
    right: str = "right",
    left_wins: str = "wins_left",
    right_wins: str | None = "wins_right",
    ties: str | None = None,
    annotator: str | None = None,
    prompt: str | None = None,
    merge: bool = False,
    games: str | None = None,
) -> PreferenceData:
    """Read a row per pair (and annotator) with how often each side won, and how often neither did.

    Args:
        source: a file or a table in memory.
        left, right: columns with the names of the items.
        left_wins, right_wins, ties: columns with how often (fractions are weights where nobody is named). A flag for each
            outcome is the case of one vote a row.
        annotator, prompt: columns with who voted and with the question.
        merge: as in :func:`annosim.io.read_csv`.
        games: column with how many votes there were, where no ``right_wins`` says how many the right side won.

    Returns:
        A row for each outcome that occurred, in the order left, right, tie; its count is its weight, or, where
        annotators are named, the row is repeated as often.

    Raises:
        FileReadError, RowsError: as :func:`annosim.io.read_csv`.

    Example:
        >>> data = read_tallies([{"left": "tea", "right": "milk", "wins_left": 3, "wins_right": 1}])
        >>> data.answer.tolist(), data.weight.tolist()
        ([0, 1], [3.0, 1.0])
    """
    table = without_self(read_table(source), left, right, merge)
    right_wins = None if games is not None else right_wins
    columns = [name for name in (left_wins, right_wins or games, ties) if name is not None]
    times = np.stack([_counts(table, name, whole=annotator is not None) for name in columns], 1)
    if games is not None:
        times[:, 1] -= times[:, 0] + (times[:, 2] if ties is not None else 0)
        table.errors.add_where(times[:, 1] < 0, lambda r: f"{left_wins} is more than {games}")
        table.errors.raise_if_any("give every pair as many votes as it had, or more")
    menu, items = name_items(table, [table.coded(left, "left"), table.coded(right, "right")], None, merge)
    people, context = _people(table, annotator, prompt)
    table.errors.add_where(times.sum(1) == 0, lambda r: f"no votes in {', '.join(columns)}")
    table.errors.raise_if_any("give every pair numbers of votes; remove pairs without votes")
    row, outcome = np.nonzero(times)
    others = table.others([left, right, *columns, annotator, prompt])
    data = pair_data(
        menu[row],
        outcome,
        items,
        None if people is None else Coded(people.codes[row], people.names),
        None if context is None else Coded(context.codes[row], context.names),
        columns={name: values[row] for name, values in others.items()},
        settings={"source": source_name(source), "format": "tallies"},
    )
    single = bool((times.sum(1) == 1).all())
    return data if single else repeated(data, times[row, outcome])


def read_scores(
    source: Source,
    left: str = "left",
    right: str = "right",
    left_score: str = "score_left",
    right_score: str = "score_right",
    annotator: str | None = None,
    prompt: str | None = None,
    count: str | None = None,
    merge: bool = False,
    low_wins: bool = False,
) -> PreferenceData:
    """Read a row per comparison with a score of each side: the higher one wins, equal ones tie.

    Args:
        source: a file or a table in memory.
        left, right: columns with the names of the items.
        left_score, right_score: columns with the scores, which are kept in ``data.columns``.
        annotator, prompt, count: columns with who judged, with the question, and with how often.
        merge: as in :func:`annosim.io.read_csv`.
        low_wins: the lower score wins, as of times and strokes.

    Raises:
        FileReadError, RowsError: as :func:`annosim.io.read_csv`.

    Example:
        >>> read_scores([{"left": "tea", "right": "milk", "score_left": 2, "score_right": 5}]).answer.tolist()
        [1]
    """
    table = without_self(read_table(source), left, right, merge)
    one, two = (table.numbers(name, name) for name in (left_score, right_score))
    one, two = (-one, -two) if low_wins else (one, two)
    outcome = np.select([one > two, one < two], [0, 1], 2)
    return _built(table, source, (left, right), outcome, annotator, prompt, count, [], "scores", merge)


def _built(
    table: Table,
    source: Source,
    sides: tuple[str, str],
    outcome: NDArray[np.int64],
    annotator: str | None,
    prompt: str | None,
    count: str | None,
    used: list[str | None],
    name: str,
    merge: bool,
) -> PreferenceData:
    menu, items = name_items(table, [table.coded(side, side) for side in sides], None, merge)
    people, context = _people(table, annotator, prompt)
    times = None if count is None else read_counts(table, count, whole=people is not None)
    table.errors.raise_if_any("fix these rows")
    columns = table.others([*sides, annotator, prompt, count, *used])
    settings = {"source": source_name(source), "format": name}
    data = pair_data(menu, outcome, items, people, context, columns=columns, settings=settings)
    return data if times is None else repeated(data, times)


def _people(table: Table, annotator: str | None, prompt: str | None) -> tuple[Coded | None, Coded | None]:
    people = None if annotator is None else table.people(annotator)
    return people, None if prompt is None else table.coded(prompt, "prompt")


def _counts(table: Table, column: str, whole: bool) -> NDArray[np.float64]:
    """Numbers of votes, or flags; an empty cell is none."""
    texts = table.texts(column, column)
    words = {str(name).strip().casefold() for name in texts.names}
    if words <= {"true", "false", ""}:
        return read_flags(table, column).astype(np.int64).astype(np.float64)
    return read_counts(table, column, whole)


# ---- recognition ---------------------------------------------------------------------------------------------------


def recognise_beats(seen: Seen) -> Reading | None:
    """A column for the winner and one for the loser, both with names."""
    winner, loser = seen.column(*_WINNERS), seen.column(*_LOSERS)
    if winner is None or loser is None:
        named = [pair for pair in pairs_of_names(seen.columns, _OUTCOMES) if pair.stem in NAMES]
        winner, loser = (named[0].left, named[0].right) if len(named) == 1 else (None, None)
    if winner is None or loser is None:
        return _times_won(seen)
    if winner is None or loser is None or seen.has("chosen", "rejected") and _are_texts(seen, winner, loser):
        return None
    if any(seen.kind(name) not in ("text", "number") or seen.blanks(name) for name in (winner, loser)):
        return None
    tie = seen.column(*_TIES)
    options, more = people_and_counts(seen, {winner, loser, *([tie] if tie else [])})
    weight = options.pop("weight", None)
    if weight is not None and "count" not in options and _are_counts(seen, str(weight)):
        options["count"], more = weight, more.replace("weight=", "count=")
    return Reading(
        f"{winner} beats {loser} in every row{more}", options | {"winner": winner, "loser": loser, "tie": tie}
    )


def _times_won(seen: Seen) -> Reading | None:
    """How often the first beat the second, with a row for either order: ``row, column, wins``."""
    wins = seen.column("wins", "n_wins", "num_wins", "win_count", "times_won", "won")
    if wins is None or not _are_counts(seen, wins) or _is_flag(seen, wins):
        return None
    named = [name for name in seen.columns if name != wins and seen.kind(name) == "text" and not seen.is_metadata(name)]
    if len(named) != 2 or len(seen.columns) > 4:
        return None
    one, two = (seen.table.texts(name, name).text() for name in named)
    pairs = set(zip(one.tolist(), two.tolist(), strict=True))
    if len(pairs) < len(one) or len(one) < 2 or not all((b, a) in pairs for a, b in pairs):
        return None
    why = f"{named[0]} beat {named[1]} as often as {wins} says, with a row for either order"
    return Reading(why, {"winner": named[0], "loser": named[1], "count": wins})


def _are_texts(seen: Seen, winner: str, loser: str) -> bool:
    return any(len(word) > 60 or "\n" in word for name in (winner, loser) for word in seen.words(name))


def _are_counts(seen: Seen, column: str) -> bool:
    levels = seen.levels(column)
    return levels is not None and all(value >= 0 for value in levels.values())


def recognise_tallies(seen: Seen) -> Reading | Question | None:
    """Two names, and how often each won."""
    sides = sides_of(seen) or _opponents(seen)
    found = None if sides is None else measured(seen, sides, WINS)
    if sides is not None and found is None:
        return _of_games(seen, sides)
    if sides is None or found is None or not all(_are_counts(seen, name) or _is_flag(seen, name) for name in found):
        return None
    tie = next((name for name in seen.columns if set(tokens(name)) & set(_TIES) and _are_counts(seen, name)), None)
    tie = tie or seen.column(*_TIES)
    options, more = people_and_counts(seen, {sides.left, sides.right, *found, *([tie] if tie else [])})
    kept: dict[str, object] = {name: options[name] for name in options if name in ("annotator", "prompt")}
    where = {"left": sides.left, "right": sides.right, "left_wins": found[0], "right_wins": found[1], "ties": tie}
    ties = "" if tie is None else f", {tie} how often neither did"
    said = "".join(f", {name}={column}" for name, column in kept.items())
    shares = any(seen.has_fractions(name) for name in (*found, *([tie] if tie else [])))
    said += " (fractions: frequency weights)" if shares else ""
    why = f"{sides.left} and {sides.right} are the sides, {found[0]} and {found[1]} how often each won{ties}{said}"
    return Reading(why, {**where, **kept})


def _opponents(seen: Seen) -> Sides | None:
    """A player and an opponent."""
    one, two = (
        seen.column("player", "model", "team", "item", "name", "row", "candidate"),
        seen.column("opponent", "rival", "column", "baseline"),
    )
    return None if one is None or two is None or seen.kind(one) != seen.kind(two) else Sides(one, two, "", ("", ""))


def _of_games(seen: Seen, sides: Sides) -> Reading | None:
    """How often the first side won, and how often it lost or how many games there were."""
    left_wins = seen.column(
        "wins", "wins1", "wins_1", "wins_a", "wins_left", "n_wins", "won", "left_wins", "a_wins", "win"
    )
    losses = seen.column("losses", "n_losses", "lost", "loss")
    games = seen.column("games", "n_games", "total", "matches", "n_matches", "trials", "comparisons", "n_comparisons")
    if left_wins is None or (losses is None and games is None):
        return None
    tie = seen.column(*_TIES)
    used = [name for name in (left_wins, losses or games, tie) if name is not None]
    if not all(_are_counts(seen, name) for name in used):
        return None
    options, _ = people_and_counts(seen, {sides.left, sides.right, *used, *([games] if games else [])})
    kept: dict[str, object] = {name: options[name] for name in options if name in ("annotator", "prompt")}
    where = {"left": sides.left, "right": sides.right, "left_wins": left_wins, "ties": tie}
    where |= {"right_wins": losses} if losses is not None else {"games": games}
    lost = f"{losses} how often it lost" if losses is not None else f"{games} how many there were"
    ties = "" if tie is None else f", {tie} how often neither won"
    said = "".join(f", {name}={column}" for name, column in kept.items())
    why = f"{sides.left} and {sides.right} are the sides, {left_wins} how often {sides.left} won, {lost}{ties}{said}"
    return Reading(why, {**where, **kept})


def recognise_scores(seen: Seen) -> Reading | Question | None:
    """Two names, and a score of each; a question where the two are measured in what may be better low."""
    sides = sides_of(seen)
    found = None if sides is None else measured(seen, sides, SCORES)
    if sides is None or seen.column("winner", "label", "preference") is not None:
        return None
    if found is None:
        return _measures(seen, sides)
    if any(seen.kind(name) != "number" for name in found):
        return None
    options, more = people_and_counts(seen, {sides.left, sides.right, *found})
    options.pop("weight", None)
    where = {"left": sides.left, "right": sides.right, "left_score": found[0], "right_score": found[1]}
    return Reading(
        f"{sides.left} and {sides.right} are the sides, the higher of {found[0]} and {found[1]} wins{more}",
        options | where,
    )


#: Measures that are better low in some contests and high in others.
_CONTESTS = "time times seconds strokes rank place position finish distance cost price against losses lost dislikes downvotes faults error errors loss value".split()


def _measures(seen: Seen, sides: Sides) -> Question | None:
    """The only measure of both sides, where nothing else says who won."""
    if winner_of(seen, sides) is not None or measured(seen, sides, WINS) is not None:
        return None
    found = measured(seen, sides, _CONTESTS)
    if found is None or any(seen.kind(name) != "number" for name in found):
        return None
    options, _ = people_and_counts(seen, {sides.left, sides.right, *found})
    kept = {name: column for name, column in options.items() if name != "weight"}
    where = {"left": sides.left, "right": sides.right, "left_score": found[0], "right_score": found[1]}
    return Question(
        f"does the lower of {found[0]} and {found[1]} win? say low_wins=true, or low_wins=false where the higher wins",
        ("low_wins",),
        {**kept, **where},
    )


def _is_flag(seen: Seen, column: str) -> bool:
    return {word.strip().casefold() for word in seen.words(column)} <= {"true", "false", "0", "1"}
