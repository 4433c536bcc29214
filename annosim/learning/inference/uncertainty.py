"""How surely: observed information, sandwich, clusters by annotator, bootstrap by annotator.

All covariances are in the reported gauge: ``G V G'`` with ``V`` any generalised inverse and ``G`` the Jacobian of the
map that fixes the gauge, which makes the choice of inverse irrelevant. Weights count annotators (frequency weights).
There is no small-sample factor. Of a projection, the unit is one annotator: divide standard errors by the square root
of how many.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse

from annosim.coordinates.normalisation import canonical
from annosim.errors import ArgumentError
from annosim.learning.arguments import check_level
from annosim.learning.existence.separation import feature_gauge
from annosim.learning.likelihoods.autodiff import NEWTON_PARAMETERS
from annosim.learning.likelihoods.matrix_free import has_large_form, information_of, scores_of
from annosim.learning.likelihoods.reference import Blocks, block_log_likelihood, row_log_prob
from annosim.learning.likelihoods.statistics import from_data, from_law, orders_from_data
from annosim.learning.priors import LogPrior, penalty_for
from annosim.learning.problem import is_nll
from annosim.learning.structure import luce_leaf
from annosim.populations.annotator import Annotator

if TYPE_CHECKING:
    from annosim.learning.result import Fit

__all__ = ["bootstrap", "covariance", "information", "scores", "summary"]

KINDS = ("hessian", "sandwich", "cluster")


def covariance(fit: Fit, kind: str = "hessian") -> torch.Tensor:
    """Covariance of the estimates in the gauge, ``(P, P)``; see :meth:`Fit.covariance`."""
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
    bread, flat = generalised_inverse(information(fit))
    if kind != "hessian":
        bread = bread @ meat(fit, kind) @ bread
    g = gauge_jacobian(fit)
    out = torch.as_tensor(g @ bread @ g.T)
    out = 0.5 * (out + out.T)
    unknown = np.abs(g @ flat).max(1, initial=0.0) > 1e-6  # moved by what the data say nothing of, gauges apart
    out.diagonal()[torch.as_tensor(unknown)] = torch.inf
    return out


def gauge_jacobian(fit: Fit) -> np.ndarray:
    """Jacobian of the gauge-fixing map at the estimate ``(P, P)``; of collinear features, onto the shortest weights."""
    population, items = fit.population, fit.problem.items
    jacobian = torch.func.jacfwd(lambda v: canonical(population, items, v))
    g = jacobian(population.vector()).detach().numpy()
    leaf = luce_leaf(population, items)
    null = feature_gauge(leaf.design_matrix(items), items) if leaf is not None and leaf.kind == "linear" else None
    return g if null is None else g - null @ (null.T @ g)


def generalised_inverse(information: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverse off the flat directions, by eigenvalues in coordinates scaled by the diagonal; and these, ``(P, F)``."""
    d = 1.0 / np.sqrt(np.maximum(information.diagonal(), 1e-300))
    d = np.where(information.diagonal() > 0, d, 0.0)
    values, vectors = np.linalg.eigh(information * d[:, None] * d)
    live = values > 1e-9 * max(values.max(initial=0.0), 1e-300)
    half = d[:, None] * vectors[:, live] / np.sqrt(values[live])
    flat = np.where(d > 0, d, 1.0)[:, None] * vectors[:, ~live]
    return half @ half.T, flat / np.maximum(np.linalg.norm(flat, axis=0), 1e-300)


# ---- information -----------------------------------------------------------------------------------------------------


def information(fit: Fit) -> np.ndarray:
    """Minus the Hessian of the log-likelihood (with the prior) in the free parameters, ``(P, P)``."""
    if "information" in fit.extra:  # the solver's own (a simulated likelihood)
        return fit.extra["information"]
    structure = _luce(fit)
    if structure is not None:
        leaf, jacobian = structure
        problem = fit.problem
        table = from_law(problem.law) if problem.law is not None else None
        stats = table if table is not None else from_data(problem.data)
        h = jacobian.T @ stats.information(leaf.index_of(problem.items)) @ jacobian
        return h + _prior_information(fit, leaf, jacobian)
    if _large(fit):
        return information_of(fit.population, fit.problem.data, fit.problem.prior)  # type: ignore[arg-type]
    return _autograd_information(fit)


def _large(fit: Fit) -> bool:
    """A mixture of tables fitted by the likelihood: its curvature and scores have a closed form."""
    return is_nll(fit.problem.objective) and has_large_form(fit.population, fit.problem.data)


def _luce(fit: Fit) -> tuple[Any, np.ndarray] | None:
    """Structure and Jacobian of the index in the parameters, for one Luce annotator whose index is small enough."""
    problem, population = fit.problem, fit.population
    if problem.items.n > 4096 or problem.objective is not None and type(problem.objective).__name__ != "NLL":
        return None
    kind = problem.design.feedback.kind if problem.design is not None else problem.data.feedback.kind
    leaf = luce_leaf(population, problem.items)
    if leaf is None or kind not in ("choice", "ranking", "top"):
        return None
    if leaf.kind == "tabular" and not leaf.density:
        return leaf, np.diag(leaf.f)
    if leaf.kind == "linear" and not leaf.density:
        return leaf, leaf.design_matrix(problem.items)
    index = torch.func.jacfwd(lambda v: population.functional_call(v, lambda p: p.index(problem.items)))
    return leaf, index(population.vector()).detach().numpy()


def _prior_information(fit: Fit, leaf: Any, jacobian: np.ndarray) -> np.ndarray:
    """Of a table in its index, of a linear utility in its weights; then in the free parameters, ``(P, P)``."""
    problem, size = fit.problem, fit.population.num_free()
    penalty = penalty_for(problem.prior, leaf.kind, size, problem.items)
    if penalty is None:
        return np.zeros((size, size))
    if leaf.kind == "tabular":
        return jacobian.T @ penalty.all(leaf.index_of(problem.items))[2] @ jacobian
    return penalty.all(fit.population.vector().numpy())[2]


def _autograd_information(fit: Fit) -> np.ndarray:
    population = fit.population
    size = population.num_free()
    if size > NEWTON_PARAMETERS:
        raise ArgumentError(
            f"standard errors of {size} parameters need a dense Hessian (at most {NEWTON_PARAMETERS}); use "
            "fit.bootstrap(), or a tabular or linear model"
        )
    blocks = Blocks(fit.problem.data, named=not fit.is_projection)

    prior = None if fit.problem.prior is None else LogPrior(fit.problem.prior, population, fit.problem.items)

    def minus(p: Any) -> torch.Tensor:
        value = -(blocks.weight * block_log_likelihood(p, blocks)).sum()
        return value if prior is None else value - prior.value(p)

    return torch.autograd.functional.hessian(
        lambda v: population.functional_call(v, minus), population.vector()
    ).numpy()


# ---- scores ----------------------------------------------------------------------------------------------------------


def meat(fit: Fit, kind: str) -> np.ndarray:
    """``sum_units weight * score score'``, ``(P, P)``."""
    structure, law = _luce(fit), fit.problem.law
    table = from_law(law) if law is not None and law.questions == 1 else None
    if structure is not None and table is not None:
        leaf, jacobian = structure
        return jacobian.T @ _table_meat(table, leaf.index_of(fit.problem.items)) @ jacobian
    matrix, weight = scores(fit, kind)
    if fit.problem.law is None and int((weight > 0).sum()) < 2:
        unit = "annotator" if kind == "cluster" or matrix.shape[0] < fit.problem.data.rows else "independent answer"
        raise ArgumentError(
            f"standard errors of kind {kind!r}: the data have one {unit}, and nothing says how much another would "
            "differ; use kind='hessian', or collect answers from more people"
        )
    if sparse.issparse(matrix):
        return np.asarray((matrix.T @ matrix.multiply(weight[:, None])).todense())
    return matrix.T @ (weight[:, None] * matrix)


def _table_meat(table: Any, s: np.ndarray) -> np.ndarray:
    d = s[:, None] - s[None, :]
    z = np.exp(-np.abs(d))
    lost = np.where(d >= 0, z, 1.0) / (1.0 + z)  # probability that the row item is not preferred
    spread = table.wins * lost**2
    spread = spread + spread.T
    return np.diag(spread.sum(1)) - spread


def scores(fit: Fit, kind: str) -> tuple[Any, np.ndarray]:
    """Scores of the independent units ``(units, P)`` (dense or sparse) and their weights ``(units,)``.

    The units of ``"cluster"`` are annotators; those of ``"sandwich"`` are rows for one type, annotators where answers
    share something hidden (a mixture, random tastes, a memory).
    """
    if "scores" in fit.extra:
        return fit.extra["scores"], fit.extra["score_weights"]
    data = _unit_data(fit)
    structure = _luce(fit)
    ids, block = np.unique(np.asarray(data.annotator_ids), return_inverse=True)
    block_weight = np.asarray(data.annotator_weight)[ids]
    if structure is not None:
        leaf, jacobian = structure
        rows = _row_scores(data, leaf.index_of(data.items))
        diagonal = leaf.kind == "tabular" and not leaf.density
        rows = rows @ (sparse.diags(leaf.f) if diagonal else jacobian)
        if kind == "sandwich":
            return _whole_votes(data, rows, np.asarray(data.row_weight))
        gather = sparse.csr_matrix((np.ones(len(block)), (block, np.arange(len(block)))))
        return _whole_votes(data, gather @ rows, block_weight)
    if _large(fit):
        return _whole_votes(data, *scores_of(fit.population, data))  # type: ignore[arg-type]
    return _whole_votes(data, *_autograd_scores(fit, data, kind))


def _whole_votes(data: Any, matrix: Any, weight: np.ndarray) -> tuple[Any, np.ndarray]:
    """The copies that ``data.ties("half")`` made of one vote or voter are one unit: their weighted mean score."""
    if data.settings.get("ties") != "half" or not {"vote", "voter"} <= set(data.columns):
        return matrix, weight
    if matrix.shape[0] == data.rows and data.rows != data.num_annotators:
        unit = np.asarray(data.columns["vote"])
    else:
        first = np.unique(np.asarray(data.annotator_ids), return_index=True)[1]
        unit = np.asarray(data.columns["voter"])[first]
    at = np.unique(unit, return_inverse=True)[1]
    total = np.bincount(at, weights=weight)
    share = np.divide(weight, total[at], out=np.zeros(len(at)), where=total[at] > 0)
    return sparse.csr_matrix((share, (at, np.arange(len(at))))) @ matrix, total


def _unit_data(fit: Fit) -> Any:
    """The rows whose units are independent: of a projection onto one type, whole blocks and not single questions."""
    law = fit.problem.law
    return law.as_data() if law is not None and law.questions > 1 else fit.problem.data


def _row_scores(data: Any, s: np.ndarray) -> sparse.csr_matrix:
    """Score of every row in the index, sparse ``(rows, n)``."""
    orders = orders_from_data(data)
    rows, k = orders.order.shape
    coefficient = np.zeros((rows, k))
    values = np.where(orders.order >= 0, s[np.maximum(orders.order, 0)], -np.inf)
    total = np.logaddexp.accumulate(values[:, ::-1], 1)[:, ::-1]
    for t in range(int(orders.depth.max(initial=0))):
        live = orders.depth > t
        coefficient[live, t] += 1.0
        coefficient[live, t:] -= np.exp(values[live, t:] - total[live, t : t + 1])
    keep = orders.order >= 0
    index = np.repeat(np.arange(rows), k).reshape(rows, k)
    return sparse.csr_matrix((coefficient[keep], (index[keep], orders.order[keep])), shape=(rows, data.items.n))


def _autograd_scores(fit: Fit, data: Any, kind: str) -> tuple[np.ndarray, np.ndarray]:
    population, blocks = fit.population, Blocks(data, named=not fit.is_projection)
    # answers are independent only where nothing hidden is shared by a block: neither a type, nor tastes, nor a memory
    one = population.components()[0] if len(population.components()) == 1 else None
    by_row = kind == "sandwich" and isinstance(one, Annotator) and not one.rule.memory

    def units(v: torch.Tensor) -> torch.Tensor:
        if by_row:
            return population.functional_call(v, lambda p: torch.logsumexp(sum_of(row_log_prob(p, blocks)), 0))
        return population.functional_call(v, lambda p: block_log_likelihood(p, blocks))

    vector = population.vector()
    columns = []
    for j in range(len(vector)):  # forward mode, one parameter at a time: memory stays that of one pass
        direction = torch.zeros_like(vector)
        direction[j] = 1.0
        columns.append(torch.func.jvp(units, (vector,), (direction,))[1].detach().numpy())
    weight = np.asarray(data.row_weight) if by_row else blocks.weight.numpy()
    return np.stack(columns, 1), weight


def sum_of(parts: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Row log-probabilities plus log-weights."""
    rows, log_weight = parts
    return rows + log_weight[:, None]


# ---- bootstrap -------------------------------------------------------------------------------------------------------


def bootstrap(fit: Fit, replicates: int = 200, seed: int = 0) -> torch.Tensor:
    """Annotators redrawn with replacement, as multinomial weights; parameter vectors in the gauge, ``(replicates, P)``.

    A replicate whose estimate does not exist, or was not reached, is a row of NaN, and a warning counts them. Mixture
    types are matched to the fit's by assignment.
    """
    from annosim.learning.inference.resample import refits

    if fit.problem is None or fit.is_projection:
        raise ArgumentError("bootstrap: needs a fit on data (a projection has no sampling error)")
    if isinstance(replicates, bool) or not isinstance(replicates, int | np.integer) or replicates < 2:
        raise ArgumentError(f"bootstrap(replicates={replicates!r}): a whole number of at least 2")
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


def summary(fit: Fit, kind: str = "hessian", level: float = 0.95) -> Any:
    """A pandas table: parameter, item, estimate, standard error, low, high; items ranked within a single table."""
    import pandas as pd
    from scipy.special import ndtri

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
            "item": [_item_of(name, items) for name in names],
            "estimate": estimate,
            "standard_error": error,
            "low": estimate - z * error,
            "high": estimate + z * error,
        }
    )
    if luce_leaf(population, items) is not None and table["item"].ne("").all():
        table = table.sort_values("estimate", ascending=False, kind="stable").reset_index(drop=True)
        table.insert(0, "rank", np.arange(1, len(table) + 1))
    table.attrs = {"kind": kind, "level": level}
    return table


def _item_of(name: str, items: Any) -> str:
    if "values[" not in name:
        return ""
    number = int(name.rsplit("[", 1)[1].rstrip("]"))
    return items.names[number] if number < items.n else ""
