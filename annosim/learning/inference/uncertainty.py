"""Uncertainty: observed information, sandwich, clusters by annotator, bootstrap by annotator.

All covariances are in the reported normalisation: ``G V G'`` with ``V`` any generalised inverse and ``G`` the Jacobian of the
map that normalises, which makes the choice of inverse irrelevant. Weights count annotators (frequency weights).
There is no small-sample factor. Of a projection, the unit is one annotator: divide standard errors by the square root
of how many.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse
from scipy.linalg import orth
from scipy.special import ndtri

from annosim.autodiff import reverse_jacobian
from annosim.coordinates.item_tables import item_tables, utility_tables
from annosim.coordinates.normalisation import canonical, rotations
from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, told
from annosim.learning.arguments import check_level
from annosim.learning.existence.separation import feature_null_space
from annosim.learning.inference.resample import refits
from annosim.learning.problem import is_nll
from annosim.learning.structure import affine_index

if TYPE_CHECKING:
    import pandas as pd

    from annosim.items import Items
    from annosim.learning.result import Fit
    from annosim.populations.base import Population

__all__ = ["FEW_ANNOTATORS", "bootstrap", "covariance", "default_kind", "summary"]

KINDS = ("hessian", "sandwich", "cluster")
#: fewer annotators say too little of how annotators differ: errors with annotators as units are not the default then
FEW_ANNOTATORS = 8
#: a normalised number that moves by more along a direction of which the data say nothing is not told
TOLD = 1e-6


def default_kind(fit: Fit) -> str:
    """``"cluster"`` where at least eight annotators answered and some of them repeatedly, else ``"hessian"``."""
    absent = fit.problem is None or fit.is_projection or fit.problem.shards is not None  # rows that are not in memory
    data = None if absent else fit.problem.data
    if data is None or data.annotator is None:
        return "hessian"
    count = np.bincount(np.asarray(data.annotator_ids)[~np.asarray(data.skipped)])
    several = int((count > 0).sum()) >= FEW_ANNOTATORS and int(count.max(initial=0)) > 1
    return "cluster" if several else "hessian"


def covariance(fit: Fit, kind: str = "hessian") -> torch.Tensor:
    """Covariance of the normalised estimates, ``(P, P)``; see :meth:`Fit.covariance`."""
    if kind not in KINDS:
        raise ArgumentError(f"standard errors of kind {kind!r}: the kinds are {', '.join(KINDS)}")
    if fit.problem is None:
        raise ArgumentError("this result carries no data, so it has no standard errors; fit again")
    if not is_nll(fit.problem.objective) or fit.problem.regulariser is not None:
        what = repr(fit.problem.objective) if not is_nll(fit.problem.objective) else "a regulariser"
        raise ArgumentError(
            f"standard errors: the estimate under {what} is not the likelihood's, whose curvature says nothing of it; "
            "use fit.bootstrap(), whose rows are refits"
        )
    information = fit.likelihood.information(fit.population)
    g = normalisation_jacobian(fit)
    turns = rotations(fit.population)
    bread, flat = generalised_inverse(information)
    if turns.shape[1] or np.abs(g @ flat).max(initial=0.0) > TOLD:
        # what no answer tells is flat only to the accuracy of a quadrature: it may not stain what is told
        bread, flat = generalised_inverse(_seen(information, g, turns))
    if kind != "hessian":
        bread = bread @ meat(fit, kind) @ bread
    out = torch.as_tensor(g @ bread @ g.T)
    out = 0.5 * (out + out.T)
    unknown = (
        np.abs(g @ flat).max(1, initial=0.0) > TOLD
    )  # moved by what the data say nothing of, and not by convention
    out.diagonal()[torch.as_tensor(unknown)] = torch.inf
    away = np.abs(g[:, list(fit.problem.infinite)]).max(1, initial=0.0) > TOLD  # with those that run to infinity
    out.diagonal()[torch.as_tensor(away)] = torch.inf
    return out


def normalisation_jacobian(fit: Fit) -> np.ndarray:
    """Jacobian of the normalising map at the estimate ``(P, P)``; of collinear features, onto the shortest weights."""
    population, items = fit.population, fit.problem.items
    g = reverse_jacobian(lambda v: canonical(population, items, v), population.vector()).numpy()
    one = affine_index(population, items)
    null = feature_null_space(one.design_matrix(items), items) if one is not None and one.kind == "linear" else None
    return g if null is None else g - null @ (null.T @ g)


def _seen(information: np.ndarray, g: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """The information without the directions that the normalising map ``g`` takes to nothing, and without rotations."""
    _, size, rows = np.linalg.svd(g)
    unseen = np.concatenate([rows[int((size > TOLD * size.max(initial=0.0)).sum()) :].T, turns], 1)
    basis = orth(unseen, rcond=TOLD)
    projection = np.eye(len(information)) - basis @ basis.T
    return projection @ information @ projection


def generalised_inverse(information: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverse off the flat directions, by eigenvalues in coordinates scaled by the diagonal; and these, ``(P, F)``."""
    d = 1.0 / np.sqrt(np.maximum(information.diagonal(), 1e-300))
    d = np.where(information.diagonal() > 0, d, 0.0)
    values, vectors = np.linalg.eigh(information * d[:, None] * d)
    live = values > 1e-9 * max(values.max(initial=0.0), 1e-300)
    half = d[:, None] * vectors[:, live] / np.sqrt(values[live])
    flat = np.where(d > 0, d, 1.0)[:, None] * vectors[:, ~live]
    return half @ half.T, flat / np.maximum(np.linalg.norm(flat, axis=0), 1e-300)


# ---- scores ----------------------------------------------------------------------------------------------------------


def meat(fit: Fit, kind: str) -> np.ndarray:
    """``sum_units weight * score score'``, ``(P, P)``."""
    likelihood, data = fit.likelihood, fit.problem.data
    by_answer = kind == "sandwich" and likelihood.independent_answers
    closed = likelihood.meat(fit.population, by_answer)
    if closed is not None:
        return closed
    matrix, weight = _whole_votes(data, *likelihood.scores(fit.population, by_answer), by_answer)
    if fit.problem.law is None and int((weight > 0).sum()) < 2:
        unit = "annotator" if kind == "cluster" or matrix.shape[0] < data.rows else "independent answer"
        raise ArgumentError(
            f"standard errors of kind {kind!r}: the data have one {unit}, and nothing says how much another would "
            "differ; use kind='hessian', or collect answers from more people"
        )
    if sparse.issparse(matrix):
        return np.asarray((matrix.T @ matrix.multiply(weight[:, None])).todense())
    return matrix.T @ (weight[:, None] * matrix)


def _whole_votes(data: PreferenceData, matrix: Any, weight: np.ndarray, by_answer: bool) -> tuple[Any, np.ndarray]:
    """The copies that ``data.ties("half")`` made of one vote or voter are one unit: their weighted mean score."""
    if data.settings.get("ties") != "half" or not {"vote", "voter"} <= set(data.columns):
        return matrix, weight
    if by_answer:
        unit = np.asarray(data.columns["vote"])
    else:
        first = np.unique(np.asarray(data.annotator_ids), return_index=True)[1]
        unit = np.asarray(data.columns["voter"])[first]
    at = np.unique(unit, return_inverse=True)[1]
    total = np.bincount(at, weights=weight)
    share = np.divide(weight, total[at], out=np.zeros(len(at)), where=total[at] > 0)
    return sparse.csr_matrix((share, (at, np.arange(len(at))))) @ matrix, total


# ---- bootstrap -------------------------------------------------------------------------------------------------------


def bootstrap(fit: Fit, replicates: int = 200, seed: int = 0) -> torch.Tensor:
    """Annotators redrawn with replacement, as multinomial weights; parameter vectors, normalised, ``(replicates, P)``.

    A replicate whose estimate does not exist, or was not reached, is a row of NaN, and a warning counts them. Mixture
    types are matched to the fit's by assignment.
    """
    if fit.problem is None or fit.is_projection:
        raise ArgumentError("bootstrap: needs a fit on data (a projection has no sampling error)")
    if isinstance(replicates, bool) or not isinstance(replicates, int | np.integer) or replicates < 2:
        raise ArgumentError(f"bootstrap(replicates={told(replicates)}): a whole number of at least 2")
    out = refits(fit, int(replicates), seed)
    missing = int((~torch.isfinite(out).all(1)).sum())
    if missing:
        warnings.warn(
            f"bootstrap: {missing} of {replicates} replicates have no estimate and are rows of NaN; what is left "
            "understates the spread. Give the fit a prior, or use profile likelihood",
            stacklevel=3,
        )
    return out


# ---- table -----------------------------------------------------------------------------------------------------------


def summary(fit: Fit, kind: str | None = None, level: float = 0.95, sort: str = "estimate") -> pd.DataFrame:
    """A pandas table: rank, parameter, item, estimate, standard error, low, high; see :meth:`Fit.summary`."""
    import pandas as pd

    if sort not in ("estimate", "parameter"):
        raise ArgumentError(f"summary(sort={told(sort)}): estimate or parameter")
    kind = default_kind(fit) if kind is None else kind

    check_level(level, "summary(level=", "a coverage between 0 and 1")
    population, items = fit.population, fit.problem.items
    with torch.no_grad():
        estimate = canonical(population, items).numpy()
    error = np.sqrt(np.maximum(covariance(fit, kind).diagonal().numpy(), 0.0))
    names = population.parameter_names()
    z = float(ndtri(0.5 + level / 2))
    table = pd.DataFrame(
        {
            "parameter": names,
            "item": _items_of(names, population, items),
            "estimate": estimate,
            "standard_error": error,
            "low": estimate - z * error,
            "high": estimate + z * error,
        }
    )
    if table["item"].ne("").any():
        table = _ranked(table, sort, utility_tables(population))
    table.attrs = {"kind": kind, "level": level}
    return table


def _ranked(table: pd.DataFrame, sort: str, utilities: Sequence[str]) -> pd.DataFrame:
    """Ranks of the items within their table of utilities (a type's, or means), and the largest first where asked."""
    import pandas as pd

    name = table["parameter"].str.rsplit("[", n=1).str[0]
    of_item = name.isin(utilities) & table["item"].ne("")
    group = pd.factorize(np.where(of_item, name, table["parameter"]))[0]
    rank = table["estimate"].groupby(group).rank(ascending=False, method="first")
    table.insert(0, "rank", rank.where(of_item).astype("Int64"))
    if sort == "parameter":
        return table
    order = np.lexsort((np.where(of_item, rank, 0.0), group))
    return table.iloc[order].reset_index(drop=True)


def _items_of(names: Sequence[str], population: Population, items: Items) -> list[str]:
    """Whose number each is, by name; nothing where it is not of an item."""
    tables = set(item_tables(population, items))
    split = [name.rpartition("[") for name in names]
    return [items.names[int(index.rstrip("]").split(",")[0])] if table in tables else "" for table, _, index in split]
