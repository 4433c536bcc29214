"""Pairs in many columns: a column per pair and a row per respondent, or a column per judge and a row per pair."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError
from annosim.io.format import EXPORTER, Question, Reading
from annosim.io.layouts.sides import TEXTS, sides_of
from annosim.io.layouts.words import Meaning, meaning_of_words
from annosim.io.pairs import name_items, pair_data, read_winner
from annosim.io.seen import Seen, blank, plain
from annosim.io.sources import Source, read_table, source_name, table_of_records
from annosim.io.tables import Coded

__all__ = ["read_judges", "read_questionnaire", "recognise_judges", "recognise_questionnaire"]

_VERSUS = re.compile(r"^(?:q\d*[ ._:-]+)?(.+?)(?:[ ._-]+(?:vs?|versus|or)\.?[ ._-]+|\s*[:|>/]\s*)(.+?)$", re.IGNORECASE)
_JUDGES = frozenset("rater judge annotator coder expert reviewer annot evaluator vote voter human label winner".split())


#: Columns with the right answer, not with anybody's.
_EXPECTED = frozenset("target gold reference expected ground_truth correct answer value".split())


def read_judges(
    source: Source,
    judges: Sequence[str],
    left: str = "left",
    right: str = "right",
    prompt: str | None = None,
    words: Mapping[str, str] | None = None,
    winner_is: str = "side",
    merge: bool = False,
) -> PreferenceData:
    """Read a row per pair with a column for the answer of each judge.

    Args:
        source: a file or a table in memory.
        judges: the judges' columns; their names are those of the annotators. An empty cell was not judged.
        left, right, prompt, words, merge: as in :func:`annosim.io.read_csv`.
        winner_is: ``"side"`` or ``"item"``, as there.

    Raises:
        FileReadError, RowsError, ArgumentError: as :func:`annosim.io.read_csv`.

    Example:
        >>> read_judges([{"left": "tea", "right": "milk", "ann": "left", "bob": "right"}], ["ann", "bob"]).answer.tolist()
        [0, 1]
    """
    if winner_is not in ("side", "item"):
        raise ArgumentError(f"winner_is={winner_is!r}: 'side' or 'item'")
    table = read_table(source)
    menu, items = name_items(table, [table.coded(left, "left"), table.coded(right, "right")], None, merge)
    context = None if prompt is None else table.coded(prompt, "prompt")
    outcome, row, who = [], [], []
    for number, judge in enumerate(judges):
        answers = table.coded(judge, "judges", blank=True)
        said = np.array([not blank(str(name)) for name in answers.names])[answers.codes]
        known = Coded(answers.codes, np.where([blank(str(n)) for n in answers.names], "", answers.names))
        codes = {**(words or {"left": "left", "right": "right", "tie": "tie"}), "": "skip"}
        outcome.append(read_winner(table, known, menu, items, winner_is, codes, (left, right), judge)[said])
        row.append(np.flatnonzero(said))
        who.append(np.full(int(said.sum()), number))
    table.errors.raise_if_any("say what words mean: words={'won': 'left'} (left, right, tie, skip)")
    at = np.concatenate(row)
    order = np.argsort(at, kind="stable")
    at = at[order]
    if not len(at):
        table.errors.add(0, "no judge answered")
        table.errors.raise_if_any("fill in the judges' columns")
    others = table.others([left, right, prompt, *judges])
    return pair_data(
        menu[at],
        np.concatenate(outcome)[order],
        items,
        Coded(np.concatenate(who)[order], np.array(list(judges), dtype=object)),
        None if context is None else Coded(context.codes[at], context.names),
        columns={name: values[at] for name, values in others.items()},
        settings={"source": source_name(source), "format": "judges"},
    )


def read_questionnaire(
    source: Source,
    pairs: Mapping[str, str] | None = None,
    annotator: str | None = None,
    words: Mapping[str, str] | None = None,
) -> PreferenceData:
    """Read a row per respondent with a column for each pair: ``tea vs milk``.

    Args:
        source: a file or a table in memory.
        pairs: the columns with the two items of each, as ``{"V1": "tea:milk"}``; by default the columns that are called
            ``A vs B``, ``A:B`` or the like. An empty cell was not asked.
        annotator: column with who answered; by default every row is somebody.
        words: what a cell says (``left`` is the item named first); names of the items are understood.

    Raises:
        FileReadError: no column of a pair.
        RowsError: a cell that is no answer.

    Example:
        >>> read_questionnaire([{"tea vs milk": "milk", "tea vs juice": "tea"}]).answer.tolist()
        [1, 0]
    """
    table = read_table(source)
    named = {column: tuple(text.split(":", 1)) for column, text in (pairs or {}).items()} or _pairs(table.columns)
    if not named or any(len(sides) != 2 for sides in named.values()):
        raise ArgumentError(f"{table.name}: no column such as 'A vs B'; say pairs=COLUMN=A:B,...")
    people = None if annotator is None else table.coded(annotator, "annotator").text()
    meaning = dict(words or {})
    cells = {column: table.texts(column, column).text() for column in named}
    records, lines = [], []
    for row in range(len(table)):
        for column, (one, two) in named.items():
            cell = cells[column][row]
            if cell is None or blank(cell):
                continue
            said = meaning.get(cell) or _said(cell, one, two)
            if said is None:
                table.errors.add(row, f"{column} {cell[:40]!r} is unknown; accepted: {one[:20]!r}, {two[:20]!r}, tie")
                continue
            records.append(
                {"left": one, "right": two, "winner": said, "who": str(row) if people is None else people[row]}
            )
            lines.append(table.line(row))
    table.errors.raise_if_any("say what words mean: words={'1': 'left'} (left, right, tie, skip)")
    if not records:
        table.errors.add(0, "no pair is answered")
        table.errors.raise_if_any("fill in the columns of pairs")
    flat = table_of_records(table.name, records, lines)
    menu, items = name_items(flat, [flat.coded("left", "left"), flat.coded("right", "right")], None, None)
    outcome = read_winner(flat, flat.coded("winner", "winner"), menu, items, "side", None, ("left", "right"))
    return pair_data(
        menu,
        outcome,
        items,
        flat.coded("who", "annotator"),
        settings={"source": source_name(source), "format": "questionnaire"},
    )


def _said(cell: str, one: str, two: str) -> str | None:
    """The answer of a cell that names an item, a side or a tie."""
    word = plain(cell)
    for names, meaning in (((plain(one), "left", "a"), "left"), ((plain(two), "right", "b"), "right")):
        if word in names:
            return meaning
    return "tie" if word in ("tie", "draw", "equal", "no_preference", "both", "same", "undecided") else None


def _pairs(columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The columns that are called after two items."""
    inside = {name: re.search(r"\[(.+)\]\s*$", name) for name in columns}  # Google Forms: Question [A vs B]
    texts = {name: match[1] if match else name for name, match in inside.items()}
    found = {
        name: match for name, text in texts.items() if ":::" not in text and (match := _VERSUS.match(text.strip()))
    }
    return {name: (match[1].strip(), match[2].strip()) for name, match in found.items() if match[1] != match[2]}


# ---- recognition ---------------------------------------------------------------------------------------------------


def recognise_questionnaire(seen: Seen) -> Reading | Question | None:
    """Columns that are called after two items, and answers in them."""
    named = _pairs(seen.columns)
    if not named or any(seen.kind(name) not in ("text", "number", "empty") for name in named):
        return None
    cells: list[str] = []
    for name in named:
        cells += [word for word in seen.words(name) if word not in cells]
    annotator = seen.annotator(named) or seen.column("id")
    who = "" if annotator is None else f", annotator={annotator}"
    options: dict[str, object] = {"annotator": annotator}
    why = f"a column for each of {len(named)} pairs, such as {next(iter(named))}{who}"
    words = {cell for cell in cells if all(_said(cell, *named[n]) is None for n in named if cell in seen.words(n))}
    if not words:
        return Reading(why, options, EXPORTER)
    if words <= {"1", "2", "0", "1.0", "2.0", "0.0"} and words & {"2", "2.0"}:
        known = {"1": "left", "2": "right", "0": "tie", "1.0": "left", "2.0": "right", "0.0": "tie"}
        if not words & {"0", "0.0"}:
            return Reading(
                f"{why}, 1 for the first and 2 for the second", options | {"words": {w: known[w] for w in words}}
            )
    if len(words) <= 5 and len(cells) <= 5:
        shown = ", ".join(sorted(words))
        return Question(
            f"{next(iter(named))} holds {shown}: which is the first item? say words={sorted(words)[-1]}=left,...",
            asks=("words",),
            options=options,
            strength=EXPORTER,
        )
    return None


def recognise_judges(seen: Seen) -> Reading | Question | None:
    """Two sides, and several columns whose words say who won."""
    sides = sides_of(seen) or sides_of(seen, TEXTS)
    if sides is None:
        return None
    found: dict[str, Meaning] = {}
    for name in seen.columns:
        if name not in (sides.left, sides.right) and seen.kind(name) == "text" and plain(name) not in _EXPECTED:
            meaning = meaning_of_words(seen, name, sides)
            if isinstance(meaning, Meaning) and meaning.winner_is in ("side", "item"):
                found[name] = meaning
    kinds = {meaning.winner_is for meaning in found.values()}
    if len(found) < 2 or len(kinds) > 1 or seen.column("winner") in found:
        return None
    words: dict[str, str] = {}
    for meaning in found.values():
        words.update({word: said for word, said in meaning.words.items() if not blank(word)})
    prompt = seen.prompt([sides.left, sides.right, *found])
    options = {"judges": list(found), "left": sides.left, "right": sides.right, "prompt": prompt}
    why = f"{sides.left} and {sides.right} are the sides, {', '.join(list(found)[:4])} are judges ({', '.join(words)})"
    return Reading(why, {**options, "words": words, "winner_is": kinds.pop()})
