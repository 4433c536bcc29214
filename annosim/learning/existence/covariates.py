"""What the rows could tell of covariates' coefficients: a covariate without variation, or one that is collinear.

The score of place ``j`` in row ``r`` is linear in utilities and coefficients. A direction of them that is constant on every
menu changes no answer, under any rule that reads differences; they are the null space of the sum over rows of the
covariance, over the places of a menu, of utilities' indicators and covariates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annosim.data.preferences import PreferenceData
from annosim.errors import NotIdentifiedError
from annosim.learning.priors import Prior
from annosim.learning.row_design import RowDesign, layers_of, row_design
from annosim.populations.annotator import Annotator
from annosim.populations.base import Component
from annosim.rules.covariates import covariate_of

__all__ = ["check_covariates", "spread_within_rows"]

Vector = NDArray[np.float64]

#: eigenvalues, relative to the largest, of what no row tells
FLAT = 1e-10


def check_covariates(one: Component, data: PreferenceData, prior: Prior | None) -> list[str]:
    """Refuse coefficients that no row tells apart, and name them; with a prior, a note.

    Raises:
        ArgumentError: the data have no covariate of a name.
        NotIdentifiedError: a covariate is the same for all alternatives of each question, or collinear with others.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 2, answer=[0, 1], covariates={"hour": [[3.0, 3.0]] * 2})
        >>> check_covariates(an.Annotator(an.Tabular(2), an.rules.Covariates(an.Luce(), ["hour"])), data, None)
        Traceback (most recent call last):
        annosim.errors.NotIdentifiedError: fit: covariate 'hour' is the same for all alternatives of every question, ...
    """
    for name in one.rule.covariates:
        covariate_of(data.view(), name)
    if not isinstance(one, Annotator) or one.rule.absolute or data.menu_size < 2:
        return []
    if not layers_of(one.rule, through=True).free_covariates:
        return []
    problem = _problem(row_design(one, _answered(data)))
    if problem is None:
        return []
    if prior is not None:
        return [f"prior {prior} decided what the data do not: {problem}"]
    raise NotIdentifiedError(f"fit: {problem}. Remedies: leave it out, or pass prior=an.priors.Gaussian(sd)")


def _answered(data: PreferenceData) -> PreferenceData:
    """The rows that say something."""
    live = (np.asarray(data.row_weight) > 0) & ~np.asarray(data.skipped)
    return data if live.all() or not live.any() else data.take(live)


def _problem(design: RowDesign) -> str | None:
    still = np.flatnonzero(design.covariate & ~design.varies)
    if len(still):
        name = design.names[still[0]]
        return f"covariate {name!r} is the same for all alternatives of every question, so that it says nothing of who wins"
    null = _null_space(design)
    moved = np.abs(null[design.items :]).max(1, initial=0.0) > 1e-6
    moved &= design.covariate
    if not moved.any():
        return None
    return _in_words(design, null, np.flatnonzero(moved))


def _null_space(design: RowDesign) -> Vector:
    """Directions ``(items + C, G)`` that change no difference within a row, in units of the columns."""
    matrix = spread_within_rows(design)
    d = 1.0 / np.sqrt(np.maximum(matrix.diagonal(), 1e-300))
    values, vectors = np.linalg.eigh(matrix * d[:, None] * d)
    flat = vectors[:, values <= FLAT * max(float(values[-1]), 1e-300)]
    return d[:, None] * flat / np.maximum(np.linalg.norm(d[:, None] * flat, axis=0), 1e-300)


def spread_within_rows(design: RowDesign) -> Vector:
    """Sum over rows of the covariance over the places of a menu, of the items' indicators and the columns in their units.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=2), [[0, 1]], answer=[0], covariates={"length": [[1.0, 0.0]]})
        >>> one = an.Annotator(an.Tabular(2), an.rules.Covariates(an.Luce(), ["length"]))
        >>> spread_within_rows(row_design(one, data)).tolist()  # the length is collinear with the item
        [[0.25, -0.25, 0.5], [-0.25, 0.25, -0.5], [0.5, -0.5, 1.0]]
    """
    item, n = design.item, design.items
    shown = item >= 0
    share = shown / np.maximum(shown.sum(1, keepdims=True), 1)
    columns = design.columns / design.unit
    centred = (columns - np.einsum("rk,rkc->rc", share, columns)[:, None]) * shown[..., None]
    weighted = share[..., None] * centred
    size = n + columns.shape[-1]
    out = np.zeros((size, size))
    out[n:, n:] = np.einsum("rkc,rkd->cd", weighted, centred)
    if not n:
        return out
    safe = np.where(shown, item, 0)
    for c in range(columns.shape[-1]):
        out[:n, n + c] = out[n + c, :n] = np.bincount(safe.ravel(), weighted[..., c].ravel(), n)
    flat = np.bincount(safe.ravel(), share.ravel(), n)
    for a in range(item.shape[1]):
        for b in range(item.shape[1]):
            code = safe[:, a] * n + safe[:, b]
            out[:n, :n] -= np.bincount(code, share[:, a] * share[:, b], n * n).reshape(n, n)
    out[np.arange(n), np.arange(n)] += flat
    return out


def _in_words(design: RowDesign, null: Vector, moved: NDArray[np.int64]) -> str:
    names = [design.names[j] for j in moved]
    shown = ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")
    alone = null[:, np.abs(null[design.items :][moved]).max(0) > 1e-6]
    others = [
        design.names[j] for j in np.flatnonzero(~design.covariate) if np.abs(alone[design.items + j]).max() > 1e-6
    ]
    table = alone[: design.items]
    with_items = design.items and float((table.max(0) - table.min(0)).max(initial=0.0)) > 1e-6
    if len(names) == 1 and with_items and not others:
        return (
            f"covariate {shown} is collinear with the items: within questions it differs as if each item had one value "
            "of its own, so that utilities already say it all"
        )
    along = [*(["the items' utilities"] if with_items else []), *others]
    rest = f" and {', '.join(along)}" if along else ""
    plural = "s" if len(names) > 1 else ""
    return f"covariate{plural} {shown}{rest} are collinear: no answer tells their coefficients apart"
