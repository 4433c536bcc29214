"""Does the estimate of a table of utilities from ratings exist?

A grade ``g`` says ``cut_g < s + noise <= cut_(g+1)`` with log-concave noise, so the likelihood never falls along a
direction exactly when no cut that a grade stands above, or below, comes nearer; a linear program looks for one
(Albert and Anderson 1984 for binary answers). Items that only ever had the highest grade, or the lowest, are the
commonest case; so are grades that nobody gave when the cuts are free.
"""

from __future__ import annotations

import numpy as np

from annosim.coordinates.normalisation import cut_name, cuts_of
from annosim.data.preferences import PreferenceData
from annosim.data.words import called
from annosim.errors import AnswerKindError, NotIdentifiedError
from annosim.items import Items
from annosim.learning.existence.separation import separating_direction
from annosim.learning.priors import Prior
from annosim.populations.annotator import Annotator

__all__ = ["check_ratings", "rating_constraints"]


def rating_constraints(data: PreferenceData, cuts: int, free: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rows ``d`` with ``d @ w >= 0`` along every direction that lowers no rating's probability, and grades by item.

    Args:
        data: ratings.
        cuts: how many there are.
        free: they move too: coordinates are the items, then the cuts.

    Returns:
        ``(D, n + cuts or n)``, and how often each item had each grade, ``(n, cuts + 1)``.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=1), [[0]] * 2, [[1], [1]], feedback=an.Feedback("rating", grades=2))
        >>> rating_constraints(data, 1, False)[0].tolist()
        [[1.0]]
    """
    menu, grade, n = np.asarray(data.menu), np.asarray(data.answer).reshape(data.rows, -1), data.items.n
    live = (menu >= 0) & (grade >= 0) & (np.asarray(data.row_weight) > 0)[:, None]
    given = np.bincount(menu[live].astype(np.int64) * (cuts + 1) + grade[live], minlength=n * (cuts + 1))
    given = given.reshape(n, cuts + 1)
    rows = []
    for item, g in zip(*np.nonzero(given), strict=True):
        for cut, sign in ((g - 1, 1.0), (g, -1.0)):  # above the cut before, below the cut after
            if 0 <= cut < cuts:
                d = np.zeros(n + cuts * free)
                d[item] = sign
                if free:
                    d[n + cut] = -sign
                rows.append(d)
    return np.unique(np.array(rows).reshape(-1, n + cuts * free), axis=0), given


def check_ratings(model: Annotator, data: PreferenceData, prior: Prior | None) -> list[str]:
    """Existence for one free table under ratings: raise, or say what the prior decided or is not decided.

    Raises:
        AnswerKindError: other grades than the cuts make.
        NotIdentifiedError: names the items and grades at fault.
    """
    items, cuts = data.items, cuts_of(model.rule)
    if len(cuts) + 1 != data.feedback.grades:  # type: ignore[arg-type]
        raise AnswerKindError(
            f"fit: the rule has {len(cuts)} cuts for {len(cuts) + 1} grades but the data have {data.feedback.grades}; give "  # type: ignore[arg-type]
            f"it {(data.feedback.grades or 1) - 1} cuts"
        )
    free = cut_name(model) is not None
    d, given = rating_constraints(data, len(cuts), free)  # type: ignore[arg-type]
    faults, at = _faults(given, items, free)
    if not faults and separating_direction(d) is not None:
        faults = ["the grades are separated: some utilities and cuts drift apart without end"]
    if not faults:
        return []
    text = f"the maximum-likelihood estimate does not exist: {'; '.join(faults)}"
    if prior is not None:
        return [f"prior {prior} decided what the data do not: {text}"]
    if model.rule.level < 0:  # the rule itself, without a response bias around it
        raise NotIdentifiedError(
            f"fit: {text}. Remedies: pass prior=an.priors.Gaussian(sd), drop these items, or ask for more ratings of them"
            + (", or fix the cuts" if free else "")
            + ".",
            items=[items.names[i] for i in at],
            components=[[items.names[i]] for i in at],
        )
    return [f"existence is not decided for {type(model.rule).__name__}; without it, {text}"]


def _faults(given: np.ndarray, items: Items, free: bool) -> tuple[list[str], list[int]]:
    faults, at = [], []
    total = given.sum(1)
    for text, found in (
        ("never rated", total == 0),
        ("only ever the highest grade", (total > 0) & (given[:, -1] == total)),
        ("only ever the lowest grade", (total > 0) & (given[:, 0] == total)),
    ):
        ids = np.flatnonzero(found).tolist()
        if ids:
            shown = ", ".join(repr(called(items, i)) for i in ids[:5])
            faults.append(f"{text}: {shown}" + (f" and {len(ids) - 5} more" if len(ids) > 5 else ""))
            at += ids
    unused = np.flatnonzero(given.sum(0) == 0).tolist()
    if unused and free:
        faults.append(f"nobody gave grade {', '.join(map(str, unused))}, so that the cuts around it are not told apart")
    return faults, sorted(at)
