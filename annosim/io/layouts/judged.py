"""Outputs of automatic judges: MT-Bench (both orders in a row), AlpacaEval, Arena-Hard."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from annosim.data.preferences import PreferenceData
from annosim.io.format import EXPORTER, Question, Reading
from annosim.io.layouts.votes import Votes, strings
from annosim.io.seen import Seen, as_number
from annosim.io.sources import Source, read_table

__all__ = [
    "read_alpaca_eval",
    "read_arena_hard",
    "read_lm_eval",
    "read_mt_bench",
    "recognise_alpaca_eval",
    "recognise_arena_hard",
    "recognise_lm_eval",
    "recognise_mt_bench",
]

_GAME = {
    "A>>B": "left",
    "A>B": "left",
    "A=B": "tie",
    "B=A": "tie",
    "B>A": "right",
    "B>>A": "right",
    "A<B": "right",
    "A<<B": "right",
}


def read_mt_bench(source: Source) -> PreferenceData:
    """Read MT-Bench's pairwise judgments: ``model_1, model_2, g1_winner, g2_winner``.

    Every row is two games of the same judge: in the first ``model_1`` is displayed left, in the second ``model_2``. A game
    without a verdict (``error``) is a skip.

    Returns:
        Two votes a row; ``columns["game"]`` is 1 or 2, ``question_id`` is the prompt, the judge the annotator.

    Raises:
        RowsError: another verdict than model_1, model_2, tie, error.

    Example:
        >>> row = {"question_id": 1, "model_1": "x", "model_2": "y", "judge": "j", "g1_winner": "model_1", "g2_winner": "tie"}
        >>> read_mt_bench([row]).menu.tolist()
        [[0, 1], [1, 0]]
    """
    table = read_table(source)
    one, two = table.coded("model_1", "model_1").text(), table.coded("model_2", "model_2").text()
    judge = table.values("judge", "judge") if "judge" in table else [None] * len(table)
    question = table.values("question_id", "question_id") if "question_id" in table else [0] * len(table)
    turn = table.values("turn", "turn") if "turn" in table else None
    games = [table.coded(name, name, blank=True).text() for name in ("g1_winner", "g2_winner")]
    votes = Votes(table, "mt-bench")
    for row in range(len(table)):
        for game, (left, right) in enumerate((("model_1", "model_2"), ("model_2", "model_1"))):
            said = str(games[game][row])
            winner = {left: "left", right: "right", "tie": "tie", "error": "skip", "": "skip"}.get(said)
            if winner is None:
                table.errors.add(
                    row, f"g{game + 1}_winner {said[:40]!r} is unknown; accepted: model_1, model_2, tie, error"
                )
                continue
            sides = (one[row], two[row]) if game == 0 else (two[row], one[row])
            others: dict[str, object] = {} if judge[row] is None else {"annotator": strings(judge[row])}
            others |= {} if turn is None else {"turn": turn[row]}
            votes.add(row, *sides, winner, prompt=strings(question[row]), game=game + 1, **others)
    return votes.data(source)


def recognise_mt_bench(seen: Seen) -> Reading | None:
    """``model_1, model_2, g1_winner, g2_winner``."""
    if not all(name in seen.table for name in ("model_1", "model_2", "g1_winner", "g2_winner")):
        return None
    return Reading("MT-Bench judgments: g1_winner and g2_winner, the second with the sides swapped", {}, EXPORTER)


def read_alpaca_eval(source: Source) -> PreferenceData:
    """Read AlpacaEval's annotations: ``generator_1, generator_2, preference`` from 1 (the first) to 2 (the second).

    Numbers between are probabilities (1.5 alone is a tie, as is 0 in older files); no number is a skip.

    Raises:
        RowsError: a preference outside of that.

    Example:
        >>> row = {"instruction": "q", "generator_1": "x", "generator_2": "y", "preference": 2.0}
        >>> read_alpaca_eval([row]).answer.tolist()
        [1]
    """
    table = read_table(source)
    one, two = (table.coded(name, name).text() for name in ("generator_1", "generator_2"))
    said = table.coded("preference", "preference", blank=True).text()
    who = table.people("annotator").text() if "annotator" in table else None
    prompt = table.values("instruction", "instruction") if "instruction" in table else None
    votes = Votes(table, "alpaca-eval")
    for row in range(len(table)):
        number = as_number(str(said[row]))
        if number is None and str(said[row]).strip().casefold() not in ("", "nan", "none", "null"):
            table.errors.add(row, f"preference {str(said[row])[:40]!r} is no number")
            continue
        number = 1.5 if number == 0 else number
        if number is not None and not 1 <= number <= 2:
            table.errors.add(row, f"preference {number:g} is outside 1 to 2")
            continue
        others: dict[str, object] = {} if who is None else {"annotator": who[row]}
        others |= {} if prompt is None else {"prompt": strings(prompt[row])}
        votes.add(row, one[row], two[row], "skip" if number is None else repr(2.0 - number), **others)
    return votes.data(source)


def recognise_alpaca_eval(seen: Seen) -> Reading | None:
    """``generator_1, generator_2, preference``."""
    if not all(name in seen.table for name in ("generator_1", "generator_2", "preference")):
        return None
    levels = seen.levels("preference") or {}
    between = any(value != round(value) for value in levels.values())
    soft = ", between them a share of either as weights (the judge stays a column)" if between else ""
    return Reading(f"AlpacaEval: preference is 1 for generator_1, 2 for generator_2{soft}", {}, EXPORTER)


def read_arena_hard(source: Source, baseline: str = "baseline") -> PreferenceData:
    """Read Arena-Hard's judgments: a model against a baseline in two ``games`` with scores such as ``A>>B``.

    In the first game the baseline is A, in the second the model is.

    Args:
        source: the file.
        baseline: the baseline's name, where the records do not say it.

    Returns:
        A vote a game; ``columns["strong"]`` is true for ``>>``.

    Raises:
        RowsError: games without a known score (none at all is a skip).

    Example:
        >>> row = {"question_id": "q", "model": "m", "judge": "j", "games": [{"score": "A>B"}, {"score": "A>>B"}]}
        >>> read_arena_hard([row]).answer.tolist()
        [0, 0]
    """
    table = read_table(source)
    model = table.coded("model", "model").text()
    games = table.values("games", "games")
    key = next((name for name in ("question_id", "uid") if name in table), None)
    question = None if key is None else table.values(key, key)
    judge = table.values("judge", "judge") if "judge" in table else None
    named = table.coded("baseline", "baseline").text() if "baseline" in table else None
    votes = Votes(table, "arena-hard")
    for row in range(len(table)):
        if not isinstance(games[row], list) or not all(isinstance(game, Mapping) for game in games[row]):
            table.errors.add(row, "games is no list of games")
            continue
        rival = baseline if named is None else named[row]
        for number, game in enumerate(games[row][:2]):
            score = game.get("score")
            winner = "skip" if score in (None, "") else _GAME.get(str(score).strip())
            if winner is None:
                table.errors.add(row, f"score {str(score)[:40]!r} is unknown; accepted: {', '.join(list(_GAME)[:6])}")
                continue
            left, right = (rival, model[row]) if number == 0 else (model[row], rival)
            others: dict[str, object] = {} if judge is None else {"annotator": strings(judge[row])}
            others |= {} if question is None else {"prompt": strings(question[row])}
            votes.add(
                row, left, right, winner, game=number + 1, strong=">>" in str(score) or "<<" in str(score), **others
            )
    return votes.data(source)


def recognise_arena_hard(seen: Seen) -> Reading | None:
    """``model, judge, games``."""
    if not all(name in seen.table for name in ("model", "games")) or seen.kind("games") != "list":
        return None
    head = seen.table.head("games", 1)[0]
    scored = isinstance(head, list) and head and isinstance(head[0], Mapping) and "score" in head[0]
    return Reading("Arena-Hard: games with scores such as A>>B, the baseline first", {}, EXPORTER) if scored else None


_ACCURACIES = ("acc", "accuracy", "exact_match", "correct", "results")
_PROMPTS = ("prompt", "question", "instruction", "query")


def read_lm_eval(source: Source, judge: str | None = None, labels: bool = False) -> PreferenceData:
    """Read samples of lm-evaluation-harness whose ``doc`` holds ``chosen`` and ``rejected``, or RewardBench's results.

    The model that was evaluated is the judge: it voted for ``chosen`` where ``acc`` (``results``) is 1, for ``rejected``
    where it is 0, and 0.5 is a tie. ``target`` 1 says that ``rejected`` was shown first.

    Args:
        source: the file.
        judge: the model's name, which the samples do not say.
        labels: read the data set's own labels instead: ``chosen`` wins.

    Returns:
        Pairs of (prompt, response).

    Raises:
        RowsError: samples without texts or with another accuracy.

    Example:
        >>> row = {"doc_id": 0, "doc": {"prompt": "q", "chosen": "a", "rejected": "b"}, "target": "0", "acc": 0.0}
        >>> read_lm_eval([row]).answer.tolist()
        [1]
    """
    table = read_table(source)
    fields = ("chosen", "rejected", *_PROMPTS)
    if "doc" in table:
        docs = table.values("doc", "doc")
    else:
        cells = {name: table.values(name, name) for name in fields if name in table}
        docs = np.array([{name: cells[name][row] for name in cells} for row in range(len(table))], dtype=object)
    key = next((name for name in _ACCURACIES if name in table), "acc")
    accuracy = np.ones(len(table)) if labels else table.numbers(key, key)
    target = table.texts("target", "target").text() if "target" in table else np.full(len(table), "0")
    votes = Votes(table, "lm-eval")
    for row, doc in enumerate(docs):
        texts = [doc.get(name) for name in ("chosen", "rejected")] if isinstance(doc, Mapping) else [None, None]
        if not all(texts) or accuracy[row] not in (0.0, 0.5, 1.0):
            table.errors.add(row, f"no chosen and rejected in doc, or {key} {accuracy[row]:g} is not 0, 0.5 or 1")
            continue
        winner = {1.0: "left", 0.0: "right", 0.5: "tie"}[float(accuracy[row])]
        if str(target[row]) == "1":
            texts, winner = texts[::-1], {"left": "right", "right": "left"}.get(winner, winner)
        prompt = next((doc[name] for name in _PROMPTS if doc.get(name)), "")
        others: dict[str, object] = {} if judge is None else {"annotator": judge}
        left, right = map(_text, texts)
        votes.add(row, left, right, winner, prompt=_text(prompt), **others)
    return votes.data(source, texts=True)


def _text(cell: object) -> str:
    return cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False, default=str)


def recognise_lm_eval(seen: Seen) -> Reading | Question | None:
    """``doc_id`` and a ``doc`` with ``chosen`` and ``rejected``: the accuracy says for which of them the model voted."""
    if all(name in seen.table for name in ("chosen", "rejected", "results")):
        return _of_results(seen)
    if not seen.has("doc_id") or "doc" not in seen.table or seen.kind("doc") != "record":
        return None
    head = seen.table.head("doc", 1)[0]
    if not isinstance(head, Mapping) or not {"chosen", "rejected"} <= head.keys():
        return None
    key = next((name for name in _ACCURACIES if name in seen.table), None)
    levels = {} if key is None else seen.levels(key) or {}
    if key is None or not set(levels.values()) <= {0.0, 0.5, 1.0}:
        return Question(
            "the samples of lm-eval hold chosen and rejected of the data set and no acc of 0 or 1 that says for which the "
            "model voted; say labels=true to read the data set's own labels",
            ("labels",),
            strength=EXPORTER,
        )
    why = f"lm-eval samples: the model voted for doc.chosen where {key} is 1, for doc.rejected where it is 0"
    return Reading(why, strength=EXPORTER)


def _of_results(seen: Seen) -> Question | None:
    """RewardBench: whether the model that was tested scored ``chosen`` higher, beside the data set's texts."""
    levels = seen.levels("results") or {}
    if not levels or not set(levels.values()) <= {0.0, 0.5, 1.0}:
        return None
    return Question(
        "results holds 0 and 1: read the votes of the model that was tested (1 for chosen), or the data set's own labels? say "
        "labels=false (the model's votes) or labels=true",
        ("labels",),
        strength=EXPORTER,
    )
