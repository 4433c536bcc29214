"""Luce's rule with covariates of the questions: conditional logit in which every row has columns of its own."""

from __future__ import annotations

import copy
from functools import cached_property
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from annosim.errors import NotIdentifiedError
from annosim.learning.existence.checks import check_utilities
from annosim.learning.existence.free_numbers import Judgement
from annosim.learning.existence.separation import feature_null_space, separating_direction
from annosim.learning.likelihoods.base import Likelihood
from annosim.learning.likelihoods.luce import is_staged, prompt_indicators
from annosim.learning.penalties import LogPrior, table_penalty
from annosim.learning.priors import Gaussian, Ridge
from annosim.learning.problem import Problem
from annosim.learning.row_design import Stages, layers_of, row_design
from annosim.learning.solvers.functions import LONGEST_STEP, Evaluation
from annosim.learning.solvers.maximise import Optimum, factorise, maximise
from annosim.learning.solvers.settings import Newton
from annosim.learning.structure import AffineIndex, affine_index
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population

__all__ = ["RowLogit"]

Vector = NDArray[np.float64]

#: coordinates up to which the information is formed as a matrix
MOST = 3000
#: condition numbers up to which a zero gradient proves the maximum
SURE = 1e6
#: length of a Newton step, in the units of the coordinates, below which the maximum is near
SHORT = 1e-3
#: cells of the matrix of differences that the linear program for separation may have
MOST_CELLS = 100_000_000


class RowLogit(Likelihood):
    r"""``P(j | row) = exp(s_rj) / sum_i exp(s_ri)`` with ``s_rj = u_item + z_rj' b``, a stage for each place of a ranking.

    Coordinates are the index of a table ``(n,)``, where there is one, then the coefficients (weights of features,
    covariates, position shifts) in units of their columns' spread within rows. The log-likelihood is concave (McFadden
    1974); value, gradient and information come in one pass over the rows.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular(2), an.rules.Covariates(an.Luce(), ["length"]))
        >>> lengths = {"length": [1.0, -1.0, 2.0, 0.5]}
        >>> data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 4, answer=[0, 1, 1, 0], covariates=lengths)
        >>> round(RowLogit(Problem(people, data)).evaluate(np.zeros(3)).value, 6)  # four coins
        -2.772589
    """

    name, order, settings, hessians = "newton-rows", 12, Newton, ("dense",)
    concave = True
    independent_answers = True

    @classmethod
    def applies(cls, problem: Problem) -> bool:
        """One annotator whose rule is covariates (and position biases) around Luce's."""
        if problem.is_projection or not isinstance(problem.model, Annotator):
            return False
        if problem.shards is not None or not is_staged(problem) or problem.data.has_ties:
            return False
        layers = layers_of(problem.model.rule)
        vectors = any(value.ndim for _, value, _ in layers.shifts)
        if not layers.covariates or vectors or not set(problem.model.rule.covariates) <= set(problem.data.covariates):
            return False
        component = affine_index(Annotator(problem.model.utility, layers.inner), problem.items)
        size = problem.items.n if component is not None and component.kind == "tabular" else 0
        return component is not None and not component.density and size + len(layers.covariates) <= MOST

    def __init__(self, problem: Problem):
        self.problem = problem
        model, data = problem.model, problem.data
        assert isinstance(model, Annotator)  # as applies() says
        layers = layers_of(model.rule)
        component = affine_index(Annotator(model.utility, layers.inner), problem.items)
        assert component is not None
        self.component: AffineIndex = component
        self.design, self.stages = row_design(model, data), Stages.of(data)
        self.table = component.kind == "tabular"
        self.n = problem.items.n if self.table else 0
        at = np.arange(data.rows)[:, None], self.stages.place
        item = self.design.item[at]
        self.real = item >= 0
        self.item = np.where(self.real, item, 0)
        own = component.f if component.kind == "linear" else np.ones(problem.items.n)
        weights = self._num_weights
        columns = self.design.columns.copy()
        columns[..., :weights] *= own[np.maximum(self.design.item, 0)][..., None]
        self.unit = self.design.unit.copy()
        # a level of the row moves no choice, and a large one (a time in seconds) would leave no digits
        shown = (self.design.item >= 0)[..., None]
        level = columns.sum(1, keepdims=True) / np.maximum(shown.sum(1, keepdims=True), 1)
        self.columns = np.ascontiguousarray((np.where(shown, columns - level, 0.0) / self.unit)[at])
        self.offset = np.where(self.real, self._fixed_part()[at], -np.inf)
        self.row_weight = np.asarray(data.row_weight, dtype=np.float64)
        prior = problem.prior
        self.penalty = None if prior is None or not self.table else table_penalty(prior, problem.items)
        self.precision = self._precision(weights)
        self.null = None if prior is not None and not self.table else self._conventions(weights)
        self.why = "concave log-likelihood, columns of every row"
        self.longest = np.r_[np.full(self.n, LONGEST_STEP), LONGEST_STEP * np.ones(len(self.unit))]

    def _precision(self, weights: int) -> Vector:
        """Of the prior on each coordinate that is no utility, ``(C,)``."""
        prior, out = self.problem.prior, np.zeros(len(self.unit))
        if isinstance(prior, Gaussian | Ridge):
            out[: len(out) if isinstance(prior, Gaussian) else weights] = prior.precision
        return out / self.unit**2

    def _fixed_part(self) -> Vector:
        """What is known of the scores: the fixed part of the index, fixed coefficients and shifts, ``(rows, k)``.

        The coordinates of a table are its index, fixed part and all.
        """
        data, component = self.problem.data, self.component
        known = component.index_of(self.problem.items) if component.kind == "known" else component.g
        known = np.zeros_like(known) if self.table else known
        out = known[np.maximum(self.design.item, 0)].astype(np.float64)
        layers = layers_of(self.problem.model.rule)
        for name, _, value, free in layers.covariates:
            out = out if free else out + value * data.covariates[name]
        for _, shift, free in layers.shifts:
            out[:, 0] += 0.0 if free else float(shift)
        return out

    def _conventions(self, weights: int) -> Vector | None:
        """Directions that change no answer whatever was asked: levels of a table, features that say nothing."""
        size = self.n + len(self.unit)
        if self.table:
            level = prompt_indicators(self.problem.items.prompts.numpy())
            return np.concatenate([level, np.zeros((len(self.unit), level.shape[1]))])
        matrix = self.component.design_matrix(self.problem.items) if weights else None
        flat = None if matrix is None else feature_null_space(matrix, self.problem.items)
        if flat is None:
            return None
        out = np.zeros((size, flat.shape[1]))
        out[:weights] = np.linalg.qr(flat * self.unit[:weights, None])[0]
        return out

    # ---- coordinates -----------------------------------------------------------------------------------------------

    @property
    def weights(self) -> Vector:  # type: ignore[override]
        """Of the annotators, ``(B,)``."""
        return np.asarray(self.problem.data.annotator_weight, dtype=np.float64)[self._people[0]]

    @cached_property
    def _people(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        ids, block = np.unique(np.asarray(self.problem.data.annotator_ids), return_inverse=True)
        return ids.astype(np.int64), block.reshape(-1).astype(np.int64)

    @property
    def total(self) -> float:  # type: ignore[override]
        """Weight of the answers."""
        return float(self.row_weight[self.stages.depth > 0].sum())

    @cached_property
    def scale(self) -> Vector:  # type: ignore[override]
        """Weight of the answers that show each item, and of all for coefficients."""
        shown = np.bincount(
            self.item[self.real], np.broadcast_to(self.row_weight[:, None], self.real.shape)[self.real], self.n
        )
        return np.maximum(np.r_[shown[: self.n], np.full(len(self.unit), self.total)], 1e-300)

    def _places(self) -> list[tuple[str, slice]]:
        """Names of the free numbers, in the order of the model, and where they stand in the coordinates."""
        where = {name: slice(self.n + j, self.n + j + 1) for j, name in enumerate(self._parameters)}
        where["utility.weights"] = slice(self.n, self.n + self._num_weights)
        where["utility.values"] = slice(0, self.n)
        return [(name, where[name]) for name, p in self.problem.model.named_parameters() if p.requires_grad]

    @property
    def _num_weights(self) -> int:
        """Columns that are features of the items."""
        return sum(name.startswith("utility.weights[") for name in self.design.names)

    @cached_property
    def _parameters(self) -> list[str]:
        """Names of the columns' numbers in the model."""
        layers = layers_of(self.problem.model.rule)
        known = {name: parameter for name, parameter, _, _ in layers.covariates}
        marks = self.design.covariate
        return [known[name] if marks[j] else name for j, name in enumerate(self.design.names)]

    def start(self, model: Population) -> Vector:
        """The index, and the coefficients in their units."""
        own = dict(model.named_parameters())
        out = np.zeros(self.n + len(self.unit))
        for name, place in self._places():
            value = own[name].detach().double().numpy().reshape(-1)
            out[place] = self.component.f * value + self.component.g if name == "utility.values" else value
        out[self.n :] *= self.unit
        return out

    def values(self, x: Vector) -> dict[str, torch.Tensor]:
        """Utilities with mean zero, the shortest weights, and the coefficients."""
        if self.null is not None and not self.table:
            x = x - self.null @ (self.null.T @ x)
        plain = np.r_[x[: self.n], x[self.n :] / self.unit]
        shapes = {name: p.shape for name, p in self.problem.model.named_parameters()}
        out: dict[str, torch.Tensor] = {}
        for name, place in self._places():
            if name == "utility.values":
                out |= self.component.values_of(plain[place], self.problem.items)
            else:
                out[name] = torch.as_tensor(plain[place]).reshape(shapes[name])
        return out

    def jacobian(self, population: Population) -> sparse.csr_matrix:
        """A diagonal: each coordinate is one number in other units."""
        slope = np.r_[self.component.f[: self.n], self.unit]
        order = np.concatenate([np.arange(place.start, place.stop) for _, place in self._places()])
        return sparse.csr_matrix((slope[order], (order, np.arange(len(order)))), shape=(len(slope), len(order)))

    # ---- value and derivatives -------------------------------------------------------------------------------------

    def _scores_at(self, x: Vector) -> tuple[Vector, Vector]:
        """Scores in the order of the answer ``(rows, k)``, and the log-total of those that are left at each stage."""
        own = x[: self.n][self.item] if self.n else 0.0
        value = self.offset + np.where(self.real, own + self.columns @ x[self.n :], 0.0)
        return value, np.logaddexp.accumulate(value[:, ::-1], 1)[:, ::-1]

    def evaluate(self, x: Vector) -> Evaluation:
        """Everything in one pass over the rows."""
        with np.errstate(invalid="ignore"):
            scores, total = self._scores_at(x)
        depth = int(self.stages.depth.max(initial=0))
        size = len(x)
        log_likelihood, residual = 0.0, np.zeros(scores.shape)
        information = np.zeros((size, size))
        for t in range(depth):
            live = self.stages.depth > t
            with np.errstate(invalid="ignore"):  # rows that have ended have nothing left
                p = np.where(live[:, None], np.exp(scores - total[:, t : t + 1]), 0.0)
            p[:, :t] = 0.0
            log_likelihood += float(self.row_weight[live] @ (scores[live, t] - total[live, t]))
            residual[live, t] += 1.0
            residual -= p
            self._add_information(information, p)
        gradient = self._to_coordinates(residual * self.row_weight[:, None])
        prior, slope, bend = self._prior_at(x)
        return Evaluation(x, log_likelihood + prior, gradient + slope, self.scale, information + bend)

    def _prior_at(self, x: Vector) -> tuple[float, Vector, Vector]:
        """Value, gradient and information of the prior; zeros without one."""
        pull = np.r_[np.zeros(self.n), self.precision * x[self.n :]]
        value, slope, bend = -0.5 * float(x @ pull), -pull, np.diag(np.r_[np.zeros(self.n), self.precision])
        if self.penalty is not None:
            more, slope[: self.n], bend[: self.n, : self.n] = self.penalty.all(x[: self.n])
            value += more
        return value, slope, bend

    def log_prior(self, x: Vector) -> float:
        """On the index and the other numbers."""
        return self._prior_at(x)[0]

    def _to_coordinates(self, weighted: Vector) -> Vector:
        by_item = np.bincount(self.item.ravel(), weighted.ravel(), self.n)[: self.n] if self.n else np.zeros(0)
        return np.r_[by_item, np.einsum("rk,rkc->c", weighted, self.columns)]

    def _add_information(self, out: Vector, p: Vector) -> None:
        """The covariance over the places that are left, of the items' indicators and the columns, summed over rows."""
        n, w = self.n, self.row_weight[:, None] * p
        centred = self.columns - np.einsum("rk,rkc->rc", p, self.columns)[:, None]
        weighted = w[..., None] * centred
        out[n:, n:] += np.tensordot(weighted, centred, ((0, 1), (0, 1)))
        if not n:
            return
        flat = self.item.ravel()
        for c in range(centred.shape[-1]):
            cross = np.bincount(flat, weighted[..., c].ravel(), n)
            out[:n, n + c] += cross
            out[n + c, :n] += cross
        out[np.arange(n), np.arange(n)] += np.bincount(flat, w.ravel(), n)
        k = self.item.shape[1]
        for a in range(k):
            for b in range(k):
                code = self.item[:, a] * n + self.item[:, b]
                out[:n, :n] -= np.bincount(code, w[:, a] * p[:, b], n * n).reshape(n, n)

    def scores(self, population: Population, by_answer: bool = False) -> tuple[sparse.csr_matrix, Vector]:
        """Sparse in utilities."""
        data = self.problem.data
        value, total = self._scores_at(self.start(population))
        residual = np.zeros(value.shape)
        for t in range(int(self.stages.depth.max(initial=0))):
            live = self.stages.depth > t
            residual[live, t] += 1.0
            residual[live, t:] -= np.exp(value[live, t:] - total[live, t : t + 1])
        row = np.broadcast_to(np.arange(data.rows)[:, None], residual.shape)
        parts = [sparse.csr_matrix(np.einsum("rk,rkc->rc", residual, self.columns))]
        if self.n:
            shape = (data.rows, self.n)
            parts.insert(0, sparse.csr_matrix((residual.ravel(), (row.ravel(), self.item.ravel())), shape=shape))
        rows = sparse.csr_matrix(sparse.hstack(parts)) @ self.jacobian(population)
        if by_answer:
            return rows, np.asarray(data.row_weight)
        ids, block = self._people
        gather = sparse.csr_matrix((np.ones(len(block)), (block, np.arange(len(block)))))
        return gather @ rows, np.asarray(data.annotator_weight)[ids]

    def reweighted(self, weights: Vector) -> Self:
        """The same rows under other weights of annotators."""
        other = copy.copy(self)
        other.row_weight = np.asarray(weights, dtype=np.float64)[self._people[1]]
        other.__dict__.pop("scale", None)
        return other

    # ---- existence -------------------------------------------------------------------------------------------------

    def optimum(self, model: Population, tolerance: float, max_iterations: int, newton: bool = True) -> Optimum:
        """The only maximum there is, from zero."""
        return maximise(self, np.zeros(self.n + len(self.unit)), tolerance, max_iterations)

    def check(self) -> list[str]:
        """What no answer could tell is refused; separation is looked for where the maximum is not proved."""
        problem = self.problem
        told = check_utilities(problem.model, problem.data, problem.prior)
        if problem.prior is not None and not told:
            on = LogPrior(problem.prior, problem.model, problem.items)
            told = [f"prior {problem.prior} on {on}: the estimate is a posterior mode"]
        return told

    def judge(self, found: Optimum) -> Judgement:
        """A zero gradient on a well conditioned information proves the maximum; else a linear program decides.

        Raises:
            NotIdentifiedError: a direction of utilities and coefficients along which the likelihood rises for ever.
        """
        if self._is_proved(found) or (found.converged and isinstance(self.problem.prior, Gaussian)):
            return Judgement()
        if self.problem.prior is not None:  # which acts on some numbers only
            other = copy.copy(self)
            other.concave = False  # type: ignore[misc]
            return super(RowLogit, other).judge(found)
        words = self._separation()
        if words is not None:
            raise NotIdentifiedError(
                f"fit: no finite estimate: the answers are separated along {words} (the likelihood rises for ever). "
                "Remedies: pass prior=an.priors.Gaussian(sd), drop it, or collect answers that speak against it"
            )
        return Judgement()

    def exists(self, found: Optimum) -> bool:
        """As :meth:`judge` says, of refits."""
        return found.converged and (
            self.problem.prior is not None or self._is_proved(found) or self._separation() is None
        )

    def _is_proved(self, found: Optimum) -> bool:
        """A short Newton step on a well conditioned information proves that the maximum is near (Kantorovich).

        On the way to infinity gradient and information vanish together, and the step stays as long as it was.
        """
        if not found.converged:
            return False
        solve, condition = factorise(np.asarray(found.evaluation.curvature), self.null, SURE)
        return solve is not None and condition < SURE and bool(np.abs(solve(found.gradient)).max(initial=0.0) < SHORT)

    def _separation(self) -> str | None:
        """The direction that separates the answers, in words; ``None`` where they overlap, or are too many to ask."""
        rows, parts = np.arange(len(self.item)), []
        for t in range(int(self.stages.depth.max(initial=0))):
            for other in range(t + 1, self.item.shape[1]):
                use = (self.stages.depth > t) & (self.stages.length > other) & (self.row_weight > 0)
                parts.append(np.stack([rows[use], np.full(use.sum(), t), np.full(use.sum(), other)], 1))
        pairs = np.concatenate(parts) if parts else np.zeros((0, 3), dtype=np.int64)
        size = self.n + len(self.unit)
        if not len(pairs) or len(pairs) * size > MOST_CELLS:
            return None
        row, won, lost = pairs.T
        d = np.zeros((len(pairs), size))
        if self.n:
            np.add.at(d, (np.arange(len(pairs)), self.item[row, won]), 1.0)
            np.add.at(d, (np.arange(len(pairs)), self.item[row, lost]), -1.0)
        d[:, self.n :] = self.columns[row, won] - self.columns[row, lost]
        d = np.unique(d, axis=0)
        found = separating_direction(d)
        if found is None:
            return None
        for j in range(self.n, size):  # one number that does it alone says more
            for sign in (1.0, -1.0):
                if (sign * d[:, j]).min(initial=0.0) >= 0 and d[:, j].any():
                    found = sign * np.eye(size)[j]
        return self._direction(found)

    def _direction(self, w: Vector) -> str:
        if self.null is not None:  # a level of all items says nothing
            flat = np.linalg.qr(self.null)[0]
            w = w - flat @ (flat.T @ w)
        names = [*self.problem.items.names[: self.n], *self.design.names]
        first = np.argsort(-np.abs(w))[:4]
        told = [f"{names[j]} ({w[j] / np.abs(w).max():+.2g})" for j in first if abs(w[j]) > 1e-6 * np.abs(w).max()]
        return ", ".join(told) + (", ..." if (np.abs(w) > 1e-6 * np.abs(w).max()).sum() > 4 else "")
