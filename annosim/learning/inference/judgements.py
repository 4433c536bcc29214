"""Judges' answers beside people's votes, as columns: for margins, soft labels, and whatever reads a column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, DataError
from annosim.learning.inference.judged_votes import judge_names, question_keys, rows_of_pairs, split_judges

__all__ = ["with_judgements"]


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
    (nan where it did not answer). A judge counts once for a question, by its mean answer; a tie is one half.

    Args:
        votes: choices from pairs.
        judges: their answers as data; or names of annotators of ``votes``, who are then taken out of them.
        question: column of both that numbers the questions; by default a question is a prompt and a pair of items (names).
        column: name of the column of means.
        missing: what becomes of votes on questions that no judge answered: an error, or they are left out.

    Returns:
        The votes, with the columns.

    Raises:
        ArgumentError: no choices from pairs, or no such judge or column.
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
    answers = rows_of_pairs(judges, own, question_keys("judges", judges, question, votes))
    answers["judge"] = judge_names(judges)[answers["row"].to_numpy()]
    told = answers[answers["a"] >= 0].groupby(["key", "a", "b", "judge"])["y"].mean().unstack("judge")
    if told.empty:
        raise DataError("with_judgements: judges and votes have no item in common; are the names written alike?")
    asked = rows_of_pairs(votes, np.arange(votes.items.n), question_keys("votes", votes, question, judges))
    each = told.reindex(pd.MultiIndex.from_frame(asked[["key", "a", "b"]]))
    share = np.full((votes.rows, each.shape[1]), np.nan)
    share[asked["row"]] = np.where(asked["turned"].to_numpy()[:, None], 1.0 - each.to_numpy(), each.to_numpy())
    lost = np.zeros(votes.rows, dtype=bool)
    lost[asked["row"]] = np.isnan(each.to_numpy()).all(1)
    found = _with_columns(votes, share, [str(name) for name in told.columns], column)
    if not lost.any():
        return found
    if missing == "drop":
        return found.take(~lost)
    raise DataError(
        f"with_judgements: row {int(lost.argmax())} and {int(lost.sum()) - 1} others are on questions that no judge answered; "
        "pass missing='drop', or match questions by a column: question='question_id'"
    )


def _with_columns(votes: PreferenceData, share: NDArray[np.float64], names: list[str], column: str) -> PreferenceData:
    """``share (rows, judges)`` and their mean as columns; nan where nobody answered."""
    count = (~np.isnan(share)).sum(1)
    mean = np.divide(np.nansum(share, 1), count, out=np.full(len(share), np.nan), where=count > 0)
    each = {f"{column}: {name}": share[:, k] for k, name in enumerate(names)}
    return votes.with_(columns={**votes.columns, column: mean, **each})
