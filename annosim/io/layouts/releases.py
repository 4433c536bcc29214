"""Published data sets with a layout of their own: MultiPref, HelpSteer, UltraFeedback, Nectar, PRISM, summaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from annosim.data.preferences import PreferenceData
from annosim.feedback import Feedback
from annosim.io.format import EXPORTER, Reading
from annosim.io.layouts.lists import Lists
from annosim.io.layouts.ranks import ranked
from annosim.io.layouts.ratings import grades_of
from annosim.io.layouts.responses import as_texts
from annosim.io.layouts.sides import Sides
from annosim.io.layouts.votes import Votes, strings
from annosim.io.layouts.words import side_of_word
from annosim.io.responses import response_items
from annosim.io.seen import Seen
from annosim.io.sources import Source, read_table, source_name, table_of_records
from annosim.io.tables import Table, factorize
from annosim.items import Items

__all__ = [
    "read_helpsteer",
    "read_multipref",
    "read_nectar",
    "read_prism",
    "read_summaries",
    "read_ultrafeedback",
    "recognise_helpsteer",
    "recognise_multipref",
    "recognise_nectar",
    "recognise_prism",
    "recognise_summaries",
    "recognise_ultrafeedback",
]

_HISTORY = "conversation_history"
_WORKERS = ("normal_worker_annotations", "expert_worker_annotations")


def read_multipref(source: Source, aspect: str = "overall") -> PreferenceData:
    """Read MultiPref: ``model_a, model_b`` and lists of annotations by workers and experts.

    Args:
        source: the file or data set.
        aspect: ``overall``, ``helpful``, ``truthful`` or ``harmless``: the field ``ASPECT_pref``
            (``A-is-clearly-better`` to ``B-is-clearly-better``, ``Tie``).

    Returns:
        Pairs of models; ``columns["clearly"]`` and ``columns["expert"]``; the evaluator is the annotator.

    Raises:
        RowsError: annotations without that field, or with another word.

    Example:
        >>> row = {"text": "q", "model_a": "x", "model_b": "y", "normal_worker_annotations": [
        ...     {"evaluator": "w1", "overall_pref": "B-is-slightly-better"}]}
        >>> read_multipref([row]).answer.tolist()
        [1]
    """
    table = read_table(source)
    one, two = (table.coded(name, name).text() for name in ("model_a", "model_b"))
    prompts = next((table.values(name, name) for name in ("prompt_id", "text", "prompt") if name in table), None)
    sides = Sides("A", "B", "", ("a", "b"))
    votes = Votes(table, "multipref")
    for name in _WORKERS:
        cells = table.values(name, name) if name in table else [None] * len(table)
        for row, cell in enumerate(cells):
            for given in cell if isinstance(cell, list) else []:
                said = given.get(f"{aspect}_pref") if isinstance(given, Mapping) else None
                winner = side_of_word(str(said).replace("-", " "), sides) if said else None
                if winner is None:
                    table.errors.add(row, f"{name}: {aspect}_pref {str(said)[:40]!r} is unknown")
                    continue
                others: dict[str, object] = {"clearly": "clearly" in str(said), "expert": name.startswith("expert")}
                others |= {} if prompts is None else {"prompt": strings(prompts[row])}
                votes.add(
                    row, one[row], two[row], winner, annotator=strings(given.get("evaluator", f"row {row}")), **others
                )
    return votes.data(source)


def recognise_multipref(seen: Seen) -> Reading | None:
    """``model_a, model_b`` and annotations by workers."""
    if not any(name in seen.table for name in _WORKERS) or "model_a" not in seen.table:
        return None
    return Reading("MultiPref: overall_pref of every worker and expert", {}, EXPORTER)


def read_helpsteer(source: Source, attribute: str = "helpfulness") -> PreferenceData:
    """Read HelpSteer's ratings: ``prompt, response`` and attributes from 0 to 4.

    Args:
        source: the file or data set.
        attribute: the attribute that is the answer; the others are named columns.

    Returns:
        Ratings of menus of one response to its prompt.

    Raises:
        RowsError: ratings that are not whole numbers.

    Example:
        >>> read_helpsteer([{"prompt": "q", "response": "a", "helpfulness": 3, "verbosity": 1}]).answer.tolist()
        [[3]]
    """
    table = read_table(source)
    prompts, responses = as_texts(table, "prompt"), as_texts(table, "response")
    answer, (_, grades) = grades_of(table, [attribute], 0, 5)
    table.errors.raise_if_any("give every row a prompt, a response and a rating from 0 to 4")
    ids, items, context = response_items(prompts, [responses])
    return PreferenceData(
        items,
        ids,
        answer,
        feedback=Feedback("rating", grades=grades),
        prompt=context.codes,
        prompt_names=context.names,
        columns=table.others(["prompt", "response", attribute]),
        settings={"source": source_name(source), "format": "helpsteer"},
    )


def recognise_helpsteer(seen: Seen) -> Reading | None:
    """``prompt, response, helpfulness, correctness, ...``."""
    if not all(name in seen.table for name in ("prompt", "response", "helpfulness")):
        return None
    return Reading("HelpSteer: helpfulness of each response, 0 to 4 (attribute= names another)", {}, EXPORTER)


def read_ultrafeedback(source: Source, score: str = "overall_score") -> PreferenceData:
    """Read UltraFeedback's completions: each instruction with several models' completions and scores.

    Args:
        source: the file or data set.
        score: the completions' field that ranks them: ``overall_score`` or ``fine-grained_score``.

    Returns:
        Rankings of models, the highest score first; equal scores are ties, completions without one are not on the menu.

    Raises:
        RowsError: instructions with fewer than two scored completions.

    Example:
        >>> both = [{"model": "x", "overall_score": 3.0}, {"model": "y", "overall_score": 8.5}]
        >>> read_ultrafeedback([{"instruction": "q", "completions": both}]).answer.tolist()
        [[1, 0]]
    """
    table = read_table(source)
    cells = table.values("completions", "completions")
    found: list[dict[str, float]] = []
    for row, cell in enumerate(cells):
        scores = {}
        for one in cell if isinstance(cell, list) else []:
            value = one.get(score) if isinstance(one, Mapping) else None
            if isinstance(value, int | float) and np.isfinite(value):
                scores[str(one.get("model"))] = float(value)
        if len(scores) < 2:
            table.errors.add(row, f"fewer than two completions with {score}")
        found.append(scores)
    table.errors.raise_if_any("remove these instructions")
    names = list(dict.fromkeys(name for scores in found for name in scores))
    place = {name: i for i, name in enumerate(names)}
    ranks = np.full((len(found), len(names)), np.nan)
    for row, scores in enumerate(found):
        for name, value in scores.items():
            ranks[row, place[name]] = -value
    ids = np.broadcast_to(np.arange(len(names)), ranks.shape)
    used = [None, None, None]
    flat = [name for name in table.columns if isinstance(table.head(name, 1)[0], list | dict)]
    return ranked(table, source, "ultrafeedback", Items(names=names), ids, ranks, used, flat)


def recognise_ultrafeedback(seen: Seen) -> Reading | None:
    """``instruction, completions`` with models and scores."""
    if "completions" not in seen.table or seen.kind("completions") != "list":
        return None
    head = seen.table.head("completions", 1)[0]
    if not (
        isinstance(head, list) and head and isinstance(head[0], Mapping) and {"model", "overall_score"} <= set(head[0])
    ):
        return None
    return Reading("UltraFeedback: the models' completions, ranked by overall_score", {}, EXPORTER)


def read_nectar(source: Source, answers: str = "answers") -> PreferenceData:
    """Read Nectar: each prompt with the answers of several models and their ranks, 1 the best.

    Args:
        source: the file or data set.
        answers: the field that lists ``{"answer", "model", "rank"}``.

    Returns:
        Rankings of models by prompt; answers without a rank are not on the menu.

    Raises:
        RowsError: fewer than two ranked answers, or a model twice for one prompt.

    Example:
        >>> both = [{"model": "x", "rank": 2.0}, {"model": "y", "rank": 1.0}]
        >>> read_nectar([{"prompt": "q", "answers": both}]).answer.tolist()
        [[1, 0]]
    """
    table = read_table(source)
    prompts = table.values("prompt", "prompt") if "prompt" in table else [""] * len(table)
    lists = Lists(table, "nectar", texts=False)
    for row, cell in enumerate(table.values(answers, "answers")):
        found = [one for one in (cell if isinstance(cell, list) else []) if isinstance(one, Mapping)]
        ranks = {str(one["model"]): float(one["rank"]) for one in found if _is_ranked(one)}
        if len(ranks) < 2 or len(ranks) < sum(map(_is_ranked, found)):
            table.errors.add(row, "fewer than two ranked answers, or a model twice")
            continue
        lists.add(row, ranks, strings(prompts[row]))
    return lists.rankings(source)


def _is_ranked(answer: object) -> bool:
    rank = answer.get("rank") if isinstance(answer, Mapping) and "model" in answer else None
    return isinstance(rank, int | float) and bool(np.isfinite(rank))


def recognise_nectar(seen: Seen) -> Reading | None:
    """``answers`` that list models and ranks."""
    for name in ("answers", "responses", "completions"):
        head = seen.table.head(name, 1)[0] if name in seen.table else None
        if isinstance(head, list) and head and all(map(_is_ranked, head)):
            return Reading(f"Nectar: the models in {name}, by their ranks", {"answers": name}, EXPORTER)
    return None


def read_prism(source: Source, answer: Literal["chosen", "score"] = "chosen") -> PreferenceData:
    """Read PRISM's utterances or conversations: up to four models' responses to the opening message of a conversation.

    Only first turns count: later ones show one model twice.

    Args:
        source: ``utterances.jsonl``, or ``conversations.jsonl``, which holds the same in ``conversation_history``.
        answer: ``"chosen"`` (the field ``if_chosen``) or ``"score"`` (rankings by the slider).

    Returns:
        Choices (or rankings) among models, by user.

    Raises:
        RowsError: interactions without exactly one chosen response, or with a model twice.

    Example:
        >>> base = {"interaction_id": "i", "user_id": "u", "turn": 0}
        >>> rows = [base | {"model_name": m, "if_chosen": c, "score": s} for m, c, s in (("x", True, 90), ("y", False, 10))]
        >>> read_prism(rows).answer.tolist()
        [0]
    """
    table = read_table(source)
    table = _utterances(table) if _HISTORY in table else table
    first = np.array([as_turn(cell) == 0 for cell in table.values("turn", "turn")])
    of = table.coded("interaction_id", "interaction_id")
    models = table.coded("model_name", "model_name")
    people = table.coded("user_id", "user_id")
    chosen = np.array(
        [str(cell).strip().casefold() in ("true", "1", "1.0") for cell in table.values("if_chosen", "if_chosen")]
    )
    score = table.numbers("score", "score") if answer == "score" else np.zeros(len(table))
    rows = np.flatnonzero(first)
    where = factorize(of.codes[rows])
    size = np.bincount(where.codes) if len(rows) else np.zeros(0, dtype=np.int64)
    if not len(rows):
        table.errors.add(0, "no first turn (turn 0)")
    ranks = np.full((len(size), len(models.names)), np.nan)
    for at, row in zip(where.codes, rows, strict=True):
        if not np.isnan(ranks[at, models.codes[row]]):
            table.errors.add(int(row), f"model {models.names[models.codes[row]][:40]!r} twice in its interaction")
        ranks[at, models.codes[row]] = -score[row] if answer == "score" else 1.0 - chosen[row]
    if answer == "chosen":
        total = np.bincount(where.codes[chosen[rows]], minlength=len(size))
        for at in np.flatnonzero(total != 1):
            table.errors.add(int(rows[where.codes == at][0]), f"{total[at]} responses of its interaction are chosen")
    table.errors.raise_if_any("fix or remove these interactions")
    start = rows[np.unique(where.codes, return_index=True)[1]]
    return _prism_data(source, models.names, ranks, people.codes[start], people.names, answer)


def _utterances(table: Table) -> Table:
    """A row for every response of a model in the conversations."""
    records, lines = [], []
    whose = [table.coded(name, name).text() for name in ("conversation_id", "user_id")]
    for row, cell in enumerate(table.values(_HISTORY, _HISTORY)):
        for one in cell if isinstance(cell, list) else []:
            if isinstance(one, Mapping) and one.get("role") == "model":
                turn = f"{whose[0][row]} {one.get('turn')}"
                records.append({**one, "interaction_id": turn, "user_id": whose[1][row]})
                lines.append(table.line(row))
    return table_of_records(table.name, records, lines)


def as_turn(cell: object) -> int:
    """The number of a turn, -1 where there is none."""
    try:
        return int(str(cell))
    except ValueError:
        return -1


def _prism_data(
    source: Source, names: np.ndarray, ranks: np.ndarray, owner: np.ndarray, people: np.ndarray, answer: str
) -> PreferenceData:
    shown = ~np.isnan(ranks)
    width = int(shown.sum(1).max())
    order = np.argsort(~shown, axis=1, kind="stable")[:, :width]
    there = np.take_along_axis(shown, order, 1)
    menu, ranks = np.where(there, order, -1), np.take_along_axis(ranks, order, 1)
    best = np.argsort(np.where(there, ranks, np.inf), axis=1, kind="stable")
    sorted_ = np.take_along_axis(ranks, best, 1)
    tied = sorted_[:, 1:] == sorted_[:, :-1]
    ranking = answer == "score"
    return PreferenceData(
        Items(names=names),
        menu,
        np.where(np.isnan(sorted_), -1, best) if ranking else best[:, 0],
        feedback="ranking" if ranking else "choice",
        tied=tied if ranking and tied.any() else None,
        annotator=owner,
        annotator_names=people,
        settings={"source": source_name(source), "format": "prism"},
    )


def recognise_prism(seen: Seen) -> Reading | None:
    """``interaction_id, model_name, if_chosen, turn, user_id``, or conversations that hold them."""
    if seen.has(_HISTORY, "conversation_id", "user_id") and seen.kind(_HISTORY) == "list":
        return Reading("PRISM conversations: if_chosen among the models of each first turn, by user_id", {}, EXPORTER)
    if not all(name in seen.table for name in ("interaction_id", "model_name", "if_chosen", "turn", "user_id")):
        return None
    return Reading("PRISM utterances: if_chosen among the models of each first turn, by user_id", {}, EXPORTER)


def read_summaries(source: Source) -> PreferenceData:
    """Read comparisons of summaries with human feedback: ``summaries`` (two texts), ``choice`` (0 or 1), ``worker``.

    Returns:
        Pairs of summaries of one post.

    Raises:
        RowsError: rows without two summaries, or another choice.

    Example:
        >>> row = {"info": {"id": "p"}, "summaries": [{"text": "a"}, {"text": "b"}], "choice": 1, "worker": "w"}
        >>> read_summaries([row]).answer.tolist()
        [1]
    """
    table = read_table(source)
    cells, choice = table.values("summaries", "summaries"), table.coded("choice", "choice").text()
    worker = table.coded("worker", "worker").text() if "worker" in table else None
    info = table.values("info", "info") if "info" in table else None
    votes = Votes(table, "summaries")
    for row, cell in enumerate(cells):
        texts = [one.get("text") for one in cell if isinstance(one, Mapping)] if isinstance(cell, list) else []
        if len(texts) != 2 or str(choice[row]) not in ("0", "1"):
            table.errors.add(row, "not two summaries and a choice of 0 or 1")
            continue
        context = info[row] if info is not None else None
        prompt = context.get("id", "") if isinstance(context, Mapping) else ""
        others: dict[str, object] = {} if worker is None else {"annotator": worker[row]}
        votes.add(
            row,
            strings(texts[0]),
            strings(texts[1]),
            ("left", "right")[int(choice[row])],
            prompt=strings(prompt),
            **others,
        )
    return votes.data(source, texts=True)


def recognise_summaries(seen: Seen) -> Reading | None:
    """``summaries, choice``."""
    if not all(name in seen.table for name in ("summaries", "choice")) or seen.kind("summaries") != "list":
        return None
    return Reading("summaries and choice, the number of the better one", {}, EXPORTER)
