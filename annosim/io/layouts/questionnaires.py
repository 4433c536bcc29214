"""Pairs in many columns: a column per pair and a row per respondent, or a column per judge and a row per pair."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError
from annosim.io.format import EXPORTER, Question, Reading
from annosim.io.layouts.grades import grades_of_words
from annosim.io.layouts.one_hot import is_flag, is_set
from annosim.io.layouts.sides import TEXTS, Sides, sides_of
from annosim.io.layouts.winners import DISPLAYED
from annosim.io.layouts.words import Meaning, meaning_of_words, side_of_word
from annosim.io.pairs import name_items, pair_data, read_winner
from annosim.io.seen import Seen, as_number, blank, plain, tokens
from annosim.io.sources import Source, read_table, source_name, table_of_records
from annosim.io.tables import Coded, Table

__all__ = ["read_judges", "read_questionnaire", "recognise_judges", "recognise_questionnaire"]

#: Between the two items in the name of a column: words first, then marks.
_BETWEEN = (re.compile(r"[ ._-]+(?:vs?|versus|or|oder|ou)\.?[ ._-]+", re.IGNORECASE), re.compile(r"\s*[:|>/]\s*"))
_NUMBER = re.compile(r"^(?:q\d*[ ._:-]+)", re.IGNORECASE)
#: What stands before the first item where the column is called as the question was put.
_ASKED = re.compile(
    r"^(?:which|what|who|do|would|should|please|is|are|welche[rs]?|was|quel(?:le)?)\b"
    r"(?:.*[,:;?]|.*\b(?:prefer|better|like|choose|best|more|rather|favou?r|pick|select|besser|lieber|meilleure?)\b)\s*",
    re.IGNORECASE,
)
#: Answers that are no items, whatever the question.
_NO_ITEMS = frozenset(
    "yes no true false agree disagree left right a b 1 2 first second good bad male female none other".split()
)
_JUDGES = frozenset("rater judge annotator coder expert reviewer annot evaluator vote voter human label winner".split())


#: Columns with the right answer, not with anybody's.
_EXPECTED = frozenset("target correct answer value".split())
_RIGHT = frozenset("gold reference expected truth".split())


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
    pairs: Mapping[str, str | Sequence[str]] | None = None,
    annotator: str | None = None,
    words: Mapping[str, str] | None = None,
) -> PreferenceData:
    """Read a row per respondent with a column for each pair: ``tea vs milk``.

    Args:
        source: a file or a table in memory.
        pairs: the columns with the two items of each, as ``{"V1": "tea:milk"}`` or ``{"V1": ["tea", "milk"]}``; by default
            the columns that are called ``A vs B``, ``A:B``, ``Which is better, A or B?`` or the like. An empty cell was
            not asked.
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
    given = {name: text.split(":", 1) if isinstance(text, str) else text for name, text in (pairs or {}).items()}
    named = {name: tuple(two) for name, two in given.items()} or _pairs(table)
    if not named or any(len(sides) != 2 for sides in named.values()):
        raise ArgumentError(f"{table.name}: no column such as 'A vs B'; say pairs=COLUMN=A:B,...")
    people = None if annotator is None else table.people(annotator).text()
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


def _pairs(table: Table) -> dict[str, tuple[str, ...]]:
    """The columns that are called after two items, with these."""
    inside = {name: re.search(r"\[(.+)\]\s*$", name) for name in table.columns}  # Google Forms: Question [A vs B]
    texts = {name: match[1] if match else name for name, match in inside.items()}
    halves = {name: found for name, text in texts.items() if ":::" not in text and (found := _halves(text.strip()))}
    said = {str(cell) for name in halves for cell in table.texts(name, name).names if cell is not None}
    out: dict[str, tuple[str, ...]] = {}
    for name, found in halves.items():
        one, two = next((two for two in (_named(*half, said) for half in found) if all(two)), ("", ""))
        if one and two and one != two and not {plain(one), plain(two)} <= _NO_ITEMS:
            out[name] = (one, two)
    return out


def _halves(text: str) -> list[tuple[str, str]]:
    """Every way to cut a name in two, the most likely first."""
    text = _NUMBER.sub("", text)
    for between in _BETWEEN:
        cuts = list(between.finditer(text))
        if cuts and cuts[0].start() > 0 and cuts[-1].end() < len(text):
            return [(text[: cut.start()], text[cut.end() :]) for cut in reversed(cuts)]
    return []


def _named(before: str, after: str, said: set[str]) -> tuple[str, str]:
    """The two items in the halves of a question: names that somebody answered, else what is left without the question."""
    left = [word for word in said if before == word or re.search(rf"\W{re.escape(word)}$", before)]
    right = [word for word in said if re.match(rf"{re.escape(word)}(?:\W*$|\W+\()", after)]
    one = max(left, key=len, default="") or _ASKED.sub("", before)
    two = max(right, key=len, default="") or re.sub(r"\s*[?.!]+$", "", after)
    return one.strip(" \"'"), two.strip(" \"'")


# ---- recognition ---------------------------------------------------------------------------------------------------


def recognise_questionnaire(seen: Seen) -> Reading | Question | None:
    """Columns that are called after two items, and answers in them."""
    named = _pairs(seen.table)
    if not named:
        return _by_numbers(seen) or _by_answers(seen)
    if any(seen.kind(name) not in ("text", "number", "empty") for name in named):
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
    if any(word in name for word in words for name in named if len(word) > 2):  # a third item
        return None
    if words <= {"1", "2", "0", "1.0", "2.0", "0.0"} and words & {"2", "2.0"}:
        known = {"1": "left", "2": "right", "0": "tie", "1.0": "left", "2.0": "right", "0.0": "tie"}
        if not words & {"0", "0.0"}:
            return Reading(
                f"{why}, 1 for the first and 2 for the second", options | {"words": {w: known[w] for w in words}}
            )
    levels = sorted(words, key=float) if all(as_number(word) is not None for word in words) else []
    if len(levels) in (2, 3):
        said = f"{levels[0]}=right,{levels[-1]}=left" + (f",{levels[1]}=tie" if len(levels) == 3 else "")
        column, (one, two) = next(iter(named.items()))
        return Question(
            f"does {levels[-1]} in {column} mean that {one} wins, or {two}? say words={said} (or the other way round)",
            ("words",),
            options,
            EXPORTER,
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


def _by_numbers(seen: Seen) -> Question | None:
    """All pairs of items 1, 2, ..., each in a column that is called after its numbers: ``V12, V13, V23`` (prefmod)."""
    found = {
        name: match for name in seen.columns if (match := re.fullmatch(r"\D*(\d)[._-]?(\d)|\D*(\d+)[._-](\d+)", name))
    }
    two = {name: tuple(int(part) for part in match.groups() if part) for name, match in found.items()}
    top = max((max(pair) for pair in two.values()), default=0)
    every = {(i, j) for i in range(1, top + 1) for j in range(i + 1, top + 1)}
    levels = {word for name in two for word in seen.words(name)}
    if len(two) < 3 or {tuple(sorted(pair)) for pair in two.values()} != every or len(two) != len(every):
        return None
    if len(levels) not in (2, 3) or any(as_number(word) is None for word in levels):
        return None
    low, *middle, high = sorted(levels, key=float)
    said = f"{low}=left,{high}=right" + (f",{middle[0]}=tie" if middle else "")
    first, second = two[next(iter(two))]
    return Question(
        f"{', '.join(list(two)[:3])}, ... are all pairs of {top} items: does {low} in {next(iter(two))} mean that {first} wins, "
        f"or {second}? say words={said} (or the other way round)",
        ("words",),
        {"annotator": seen.annotator(two), "pairs": {name: [str(i) for i in pair] for name, pair in two.items()}},
    )


def _by_answers(seen: Seen) -> Reading | Question | None:
    """Columns ``Q1, Q2, ...`` that hold the names of two items each, other ones in other columns."""
    columns = [n for n in seen.columns if not seen.is_metadata(n) and len(tokens(n)) > 1 and tokens(n)[-1].isdigit()]
    stems = {tokens(name)[:-1] for name in columns}
    if sides_of(seen) is not None or sides_of(seen, TEXTS) is not None:
        return None
    if len(columns) < 2 or len(stems) != 1 or any(seen.kind(name) != "text" for name in columns):
        return None
    ties = {word for name in columns for word in seen.words(name) if side_of_word(word, _NO_SIDES) in ("tie", "skip")}
    words = {name: sorted(set(seen.words(name)) - ties) for name in columns}
    pairs = {name: two for name, two in words.items() if len(two) == 2}
    items = {item for two in words.values() for item in two}
    if len(items) < 3 or len({tuple(two) for two in pairs.values()}) < 2 or any(len(two) > 2 for two in words.values()):
        return None
    if grades_of_words(items) is not None or {plain(item) for item in items} & _NO_ITEMS:
        return None
    annotator = seen.annotator(columns)
    alone = next((name for name, two in words.items() if len(two) < 2), None)
    if alone is not None:
        held = words[alone][0] if words[alone] else "nothing"
        return Question(
            f"{alone} holds only {held}: what was it compared with? say pairs={alone}=ITEM:ITEM,... for every question",
            ("pairs",),
            {"annotator": annotator},
        )
    who = "" if annotator is None else f", annotator={annotator}"
    why = f"each of {', '.join(columns[:3])}, ... holds the names of two items (who was shown first is not known)"
    return Reading(f"{why}{who}", {"pairs": pairs, "annotator": annotator})


_NO_SIDES = Sides("", "", "", ("", ""))


def _flagged_judges(seen: Seen, sides: Sides) -> Reading | None:
    """A flag of each judge that is set where the same side wins: ``gpt_a_wins, claude_a_wins``."""
    wins = {"wins", "win", "won", "better", "preferred", "prefers"}
    flags = [name for name in seen.columns if wins & set(tokens(name)) and is_flag(seen, name)]
    side = {
        one for name in flags for one, mark in zip(("left", "right"), sides.marks, strict=True) if mark in tokens(name)
    }
    if len(flags) < 2 or len(side) != 1 or any(not set(sides.marks) & set(tokens(name)) for name in flags):
        return None
    set_ = side.pop()
    words = {
        word: set_ if is_set(word) else {"left": "right", "right": "left"}[set_]
        for name in flags
        for word in seen.words(name)
    }
    options = {
        "judges": flags,
        "left": sides.left,
        "right": sides.right,
        "prompt": seen.prompt([sides.left, sides.right]),
    }
    why = f"{sides.left} and {sides.right} are the sides, {', '.join(flags[:4])} are judges (set where {set_} wins)"
    return Reading(why, {**options, "words": words}, EXPORTER)


def _numbered_judges(seen: Seen, sides: Sides) -> Reading | Question | None:
    """Columns of judges (``annotator1, annotator2``) that hold the number of the side."""
    judges = [
        n for n in seen.columns if _JUDGES & set(tokens(n)) and tokens(n)[-1].isdigit() and seen.kind(n) == "number"
    ]
    levels = {value: word for name in judges for word, value in (seen.levels(name) or {}).items()}
    if len(judges) < 2 or not set(levels) <= {0.0, 1.0, 2.0} or len(levels) < 2:
        return None
    options = {
        "judges": judges,
        "left": sides.left,
        "right": sides.right,
        "prompt": seen.prompt([sides.left, sides.right]),
    }
    if set(levels) == {1.0, 2.0}:
        words = {levels[1.0]: "left", levels[2.0]: "right"}
        why = f"{sides.left} and {sides.right} are the sides, {', '.join(judges[:4])} are judges (1 or 2, the number of the side)"
        return Reading(why, {**options, "words": words})
    shown = sorted(levels.values(), key=float)
    said = "0=tie,1=left,2=right" if len(levels) == 3 else "0=left,1=right"
    return Question(
        f"{', '.join(judges[:3])} hold {', '.join(shown)}: which side is that? say words={said} (or another order)",
        ("words",),
        options,
    )


def recognise_judges(seen: Seen) -> Reading | Question | None:
    """Two sides, and several columns whose words say who won."""
    sides = sides_of(seen) or sides_of(seen, TEXTS)
    if sides is None:
        return None
    flagged = _flagged_judges(seen, sides)
    if flagged is not None:
        return flagged
    found: dict[str, Meaning] = {}
    for name in seen.columns:
        if name not in (sides.left, sides.right) and seen.kind(name) == "text" and plain(name) not in _EXPECTED:
            if (_RIGHT | DISPLAYED) & set(tokens(name)):
                continue
            if is_flag(seen, name):  # true where one side is better: an outcome, and nobody's name
                continue
            meaning = meaning_of_words(seen, name, sides)
            if isinstance(meaning, Meaning) and meaning.winner_is in ("side", "item"):
                found[name] = meaning
    if not found and seen.column("winner") is None:
        return _numbered_judges(seen, sides)
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
