"""Votes of people and answers of judges on the same questions: who answered what, and what is refused.

A question is a pair of items about a prompt (or with the number that a column gives it). A judge's answer to a question
is the mean of its votes on it, so that asking in both orders takes out its taste for a side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, DataError, NotIdentifiedError
from annosim.items import Items
from annosim.learning.existence.connectivity import answers_graph, connectivity, preference_levels, require_connected

__all__ = ["JudgedVotes", "judge_names", "judged_votes", "question_keys", "rows_of_pairs", "split_judges"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
#: fewer common questions of people and a judge than this say too little of how far the judge errs
FEWEST_COMMON = 10
#: answers from which on a judge that always takes one side is called one-sided
FEWEST_SIDES = 10


@dataclass(frozen=True, eq=False)
class JudgedVotes:
    """P pairs of items, Q questions about them, R votes of people, and the answers of K judges.

    Pairs that nobody voted on are left out.

    Attributes:
        items: the item set of the people's votes.
        first, second: ``(P,)`` items of each pair.
        pair: ``(Q,)`` the pair of each question.
        prompt: ``(Q,)`` codes of what the question is about: its prompt, or its number in a column.
        question: ``(R,)`` the question of each vote.
        answer: ``(R,)`` 1 where the first of the pair won, 0 where the second did, .5 for a tie.
        weight: ``(R,)`` how many people the vote stands for.
        annotator: ``(R,)`` who voted.
        judges: K names.
        judged: ``(K, Q)`` the judges' answers, on the same scale; nan where a judge did not answer.
        voted: ``(Q,)`` whether people answered the question.
    """

    items: Items
    first: Ints
    second: Ints
    pair: Ints
    prompt: Ints
    question: Ints
    answer: Floats
    weight: Floats
    annotator: Ints
    judges: tuple[str, ...]
    judged: Floats
    voted: NDArray[np.bool_]

    @property
    def vote_pair(self) -> Ints:
        """``(R,)`` the pair of each vote."""
        return self.pair[self.question]

    @property
    def common(self) -> NDArray[np.bool_]:
        """``(K, Q)`` questions that people and the judge answered."""
        return ~np.isnan(self.judged) & self.voted

    @property
    def alone(self) -> NDArray[np.bool_]:
        """``(K, Q)`` questions that the judge answered and nobody else."""
        return ~np.isnan(self.judged) & ~self.voted


def split_judges(
    data: PreferenceData, judges: PreferenceData | str | Sequence[str]
) -> tuple[PreferenceData, PreferenceData]:
    """People's votes and judges' answers; judges that are named are annotators of ``data``.

    Raises:
        ArgumentError: no annotator of that name, or nobody is left.
    """
    if isinstance(judges, PreferenceData):
        return data, judges
    if not isinstance(judges, Sequence):
        raise ArgumentError(f"judges={judges!r}: give an.PreferenceData, or names of annotators")
    names = [judges] if isinstance(judges, str) else list(judges)
    if data.annotator_names is None:
        raise ArgumentError(f"judges={names}: the data have no annotator names; give the judges' answers as data")
    known = np.asarray(data.annotator_names).astype(str)
    lost = next((name for name in names if name not in set(known.tolist())), None)
    if lost is not None or not names:
        raise ArgumentError(f"judges={names}: no annotator {lost!r}; there are {', '.join(known[:6])}, ...")
    row = np.isin(known[np.asarray(data.annotator_ids)], names)
    if row.all():
        raise ArgumentError(f"judges={names}: they gave every answer; nobody is left to correct them")
    return data.take(~row), data.take(row)


def judged_votes(people: PreferenceData, judges: PreferenceData, question: str | None = None) -> JudgedVotes:
    """Line the two up by question; items and prompts are matched by name.

    Raises:
        ArgumentError: answers that are no choices from pairs, items that belong to prompts, or questions that only one
            of the two can name.
        NotIdentifiedError: no estimate from the people alone, or a judge that says nothing beyond them.
    """
    for what, data in (("votes", people), ("judges", judges)):
        _check_pairs(what, data)
    if question is None and people.prompt is None and judges.prompt is None:
        raise ArgumentError(
            "votes and judges are matched by question, and neither has prompts; read the prompt, or name a column that "
            "numbers the questions: question='question_id'"
        )
    graph, seen = answers_graph(people)
    require_connected(connectivity(graph, people.items, seen), people.items, "people's votes alone")
    place = {name: i for i, name in enumerate(people.items.names)}
    own = np.array([place.get(name, -1) for name in judges.items.names])
    votes = rows_of_pairs(people, np.arange(people.items.n), question_keys("votes", people, question, judges))
    answers = rows_of_pairs(judges, own, question_keys("judges", judges, question, people))
    answers["judge"] = judge_names(judges)[answers["row"].to_numpy()]
    names = tuple(sorted(set(answers["judge"])))
    known = answers[(answers["a"] >= 0) & np.isin(_code(answers, people), _code(votes, people))]
    if not names:
        raise ArgumentError("judges: every row is a skip, or has no weight")
    found = _lined_up(people, votes, known, names)
    _check_judges(found, answers)
    return found


def _code(rows: pd.DataFrame, people: PreferenceData) -> Ints:
    """A number for each pair of items."""
    return (rows["a"] * people.items.n + rows["b"]).to_numpy()


def _lined_up(people: PreferenceData, votes: pd.DataFrame, known: pd.DataFrame, names: tuple[str, ...]) -> JudgedVotes:
    """The questions of both, numbered."""
    asked, n = np.unique(_code(votes, people)), people.items.n
    both = pd.concat([votes[["key", "a", "b"]], known[["key", "a", "b"]]])
    code: Ints = both.groupby(["key", "a", "b"], sort=False).ngroup().to_numpy().astype(np.int64)
    q_people, q_judges = code[: len(votes)], code[len(votes) :]
    questions = int(code.max(initial=-1)) + 1
    pair, prompt = np.zeros((2, questions), dtype=np.int64)
    pair[code] = np.searchsorted(asked, _code(both, people))
    prompt[code] = pd.factorize(both["key"])[0]
    at = np.searchsorted(np.array(names, dtype=str), known["judge"].to_numpy().astype(str))
    total, count = np.zeros((2, len(names), questions))
    np.add.at(total, (at, q_judges), known["y"].to_numpy())
    np.add.at(count, (at, q_judges), 1.0)
    voted = np.zeros(questions, dtype=bool)
    voted[q_people] = True
    return JudgedVotes(
        people.items,
        asked // n,
        asked % n,
        pair,
        prompt,
        q_people,
        votes["y"].to_numpy(),
        votes["weight"].to_numpy(),
        votes["annotator"].to_numpy(),
        names,
        np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0),
        voted,
    )


def _check_pairs(what: str, data: PreferenceData) -> None:
    if data.replicates is not None or data.feedback.kind != "choice" or data.menu_size != 2:
        raise ArgumentError(f"{what}: prediction-powered estimates take choices from pairs, without replicates")
    if data.items.num_prompts > 1:
        raise ArgumentError(
            f"{what}: the items belong to {data.items.num_prompts} prompts; compare what gave them (models, say), with "
            "the prompt as a column"
        )


def question_keys(what: str, data: PreferenceData, question: str | None, other: PreferenceData) -> NDArray[np.object_]:
    """What a question is about, as text, ``(rows,)``."""
    if question is not None:
        if question not in data.columns:
            raise ArgumentError(f"question={question!r}: the {what} have no such column; they have {[*data.columns]}")
        return _numbers_of_questions(what, question, np.asarray(data.columns[question]))
    if (data.prompt is None) != (other.prompt is None):
        side = what if data.prompt is None else ("judges" if what == "votes" else "votes")
        raise ArgumentError(f"the {side} have no prompts and the others do, so their questions cannot be matched")
    if data.prompt is None:
        return np.full(data.rows, "", dtype=object)
    number = np.asarray(data.prompt)
    return (number if data.prompt_names is None else np.asarray(data.prompt_names)[number]).astype(str).astype(object)


def _numbers_of_questions(what: str, column: str, value: NDArray[np.generic]) -> NDArray[np.object_]:
    """Cells as text, whole numbers alike whether they were read with a decimal point or not.

    Raises:
        DataError: an empty cell: all of them together would be one question.
    """
    cells = pd.Series(value)
    text = cells.astype(str).str.strip()
    empty = (cells.isna() | (text == "")).to_numpy()
    if empty.any():
        raise DataError(
            f"question={column!r}: row {int(empty.argmax())} of the {what} has none ({int(empty.sum())} in all); fill it in, "
            "or leave the rows out: data.take(...)"
        )
    return text.str.replace(r"^(-?\d+)\.0$", r"\1", regex=True).to_numpy(dtype=object)


def rows_of_pairs(data: PreferenceData, place: Ints, key: NDArray[np.object_], every: bool = False) -> pd.DataFrame:
    """Answers, the pair in the order of the items' numbers.

    Unless ``every`` row is asked for, skips, rows without weight and an item against itself go.
    """
    shown, level = np.asarray(data.menu), preference_levels(data)
    menu = place[shown]
    left = 0.5 * (1.0 + np.sign(level[:, 0] - level[:, 1]))
    turned = menu[:, 0] > menu[:, 1]
    weight = np.asarray(data.row_weight, dtype=np.float64)
    frame = pd.DataFrame(
        {
            "row": np.arange(data.rows),
            "key": key,
            "a": menu.min(1),
            "b": menu.max(1),
            "y": np.where(turned, 1.0 - left, left),
            "left": left,
            "turned": turned,
            "weight": weight,
            "annotator": np.asarray(data.annotator_ids, dtype=np.int64),
        }
    )
    if every:
        return frame
    return frame[~np.asarray(data.skipped) & (weight > 0) & (shown[:, 0] != shown[:, 1])].copy()


def judge_names(judges: PreferenceData) -> NDArray[np.object_]:
    """``(rows,)`` the judge of each row; without annotators there is one."""
    ids = np.asarray(judges.annotator_ids)
    if judges.annotator_names is not None:
        return np.asarray(judges.annotator_names)[ids].astype(str).astype(object)
    if judges.annotator is None:
        return np.full(judges.rows, "judge", dtype=object)
    return np.array([f"judge {i}" for i in ids], dtype=object)


def _check_judges(found: JudgedVotes, answers: pd.DataFrame) -> None:
    """Refuse a judge whose error people's votes do not tell, or who has nothing to add.

    Raises:
        NotIdentifiedError: names the judge and what is missing.
    """
    if len(found.judges) > max(20, len(found.question) // 5):
        raise DataError(
            f"{len(found.judges)} judges for {len(found.question)} votes: is the annotator the judge's name?"
        )
    for k, name in enumerate(found.judges):
        common, alone = int(found.common[k].sum()), int(found.alone[k].sum())
        side = answers["left"].to_numpy()[answers["judge"].to_numpy() == name]
        if common < FEWEST_COMMON:
            raise NotIdentifiedError(
                f"judge {name!r} and people have {common} question(s) in common: how far the judge errs is not known. Ask "
                f"people at least {FEWEST_COMMON} of its questions (same prompt, same pair; names must agree), or leave it out"
            )
        if alone == 0:
            raise NotIdentifiedError(
                f"judge {name!r} answered only questions that people answered, too: it adds nothing to their votes. "
                "Let it answer others, or leave it out"
            )
        if len(side) >= FEWEST_SIDES and (side == side[0]).all():
            says = {1.0: "the left side", 0.0: "the right side", 0.5: "a tie"}[float(side[0])]
            raise NotIdentifiedError(
                f"judge {name!r} is one-sided: {says} in each of {len(side)} answers, whatever was asked. Leave it out"
            )
        usable = found.common[k] | found.alone[k]
        spread = pd.Series(found.judged[k][usable]).groupby(found.pair[usable]).agg(np.ptp)
        if not (spread > 0).any():
            raise NotIdentifiedError(
                f"judge {name!r} is one-sided: it gives each pair of items one answer on all of its questions, which says "
                "nothing of the single question. Leave it out, or give the prompts, by which questions are matched"
            )
