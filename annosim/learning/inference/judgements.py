"""Judges' answers beside people's votes, as columns: for margins, soft labels, and whatever reads a column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, DataError
from annosim.learning.inference.judged_votes import judge_names, question_keys, rows_of_pairs, split_judges

__all__ = ["with_judgements"]

Floats: TypeAlias = NDArray[np.float64]


def with_judgements(
    votes: PreferenceData,
    judges: PreferenceData | str | Sequence[str],
    question: str | None = None,
    column: str = "judged",
    missing: Literal["raise", "drop"] = "raise",
) -> PreferenceData:
    """Votes with what judges said of the same questions: a column of their mean, and one for each judge.

    ``column`` holds the share of the judges who are for the first displayed alternative, as
    :class:`annosim.objectives.Margin` and :class:`annosim.objectives.SoftLabels` read it; ``column: NAME`` that of one judge
    (nan where it did not answer). A judge counts once for a question, by its mean answer; a tie is one half. Weights (of counted
    rows) are as many answers, and as many judges of that answer.

    Args:
        votes: choices from pairs.
        judges: their answers as data; or names of annotators of ``votes``, who are then taken out of them.
        question: column of both that numbers the questions; by default a question is a prompt and a pair of items (names).
        column: name of the column of means.
        missing: what becomes of votes on questions that no judge answered: an error, or they are left out.

    Returns:
        The votes, with the columns.

    Raises:
        ArgumentError: no choices from pairs, no such judge or column, or votes that have a column of that name.
        DataError: votes on questions that no judge answered.

    Example:
        >>> import annosim as an
        >>> items = an.Items(n=2, names=["x", "y"])
        >>> votes = an.PreferenceData(items, [[0, 1], [1, 0]], [0, 0])
        >>> judges = an.PreferenceData(items, [[0, 1]] * 4, [0, 0, 0, 1], annotator=[0, 1, 2, 3])
        >>> with_judgements(votes, judges).columns["judged"].tolist()
        [0.75, 0.25]
    """
    if missing not in ("raise", "drop"):
        raise ArgumentError(f"with_judgements(missing={missing!r}): 'raise' or 'drop'")
    votes, judges = split_judges(votes, judges)
    for what, data in (("votes", votes), ("judges", judges)):
        if data.replicates is not None or data.feedback.kind != "choice" or data.menu_size != 2:
            raise ArgumentError(f"with_judgements({what}=): choices from pairs, without replicates")
    place = {name: i for i, name in enumerate(votes.items.names)}
    own = np.array([place.get(name, -1) for name in judges.items.names])
    if column in votes.columns:
        raise ArgumentError(f"with_judgements(column={column!r}): the votes have a column of that name; give another")
    answers = rows_of_pairs(judges, own, question_keys("judges", judges, question, votes))
    answers["judge"] = judge_names(judges)[answers["row"].to_numpy()]
    answers = answers[answers["a"] >= 0]
    if answers.empty:
        raise DataError(
            "with_judgements: judges and votes have no item in common (are the names written alike?), or every answer of the "
            "judges is a skip or weighs nothing"
        )
    each, weight = _means(answers)
    asked = rows_of_pairs(votes, np.arange(votes.items.n), question_keys("votes", votes, question, judges), every=True)
    places = pd.MultiIndex.from_frame(asked[["key", "a", "b"]])
    told, many = each.reindex(places).to_numpy(), weight.reindex(places).to_numpy()
    share = np.where(asked["turned"].to_numpy()[:, None], 1.0 - told, told)
    voice = np.where(np.isnan(many), 0.0, many)
    found = _with_columns(votes, share, voice, [str(name) for name in each.columns], column)
    lost = np.isnan(share).all(1)
    if not lost.any():
        return found
    if missing == "drop":
        return found.take(~lost)
    raise DataError(
        f"with_judgements: row {int(lost.argmax())} and {int(lost.sum()) - 1} others are on questions that no judge answered; "
        "pass missing='drop', or match questions by a column: question='question_id'"
    )


def _means(answers: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Each judge's mean answer to each question, and the voices that it stands for: one, or the mean weight of its rows.

    A row of judges that were counted together (``data.counts()``) weighs as many as they are.
    """
    by = ["key", "a", "b", "judge"]
    rows = answers.assign(total=answers["y"] * answers["weight"]).groupby(by)[["total", "weight"]]
    summed = rows.sum()
    voices = answers.groupby(by)["weight"].mean()
    return (summed["total"] / summed["weight"]).unstack("judge"), voices.unstack("judge")


def _with_columns(votes: PreferenceData, share: Floats, voice: Floats, names: list[str], column: str) -> PreferenceData:
    """``share (rows, judges)`` and its mean by their voices as columns; nan where nobody answered."""
    total = voice.sum(1)
    mean = np.divide(np.nansum(share * voice, 1), total, out=np.full(len(share), np.nan), where=total > 0)
    each = {f"{column}: {name}": share[:, k] for k, name in enumerate(names)}
    return votes.with_(columns={**votes.columns, column: mean, **each})
