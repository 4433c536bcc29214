"""What of an annotator's answers is linear in free numbers, question by question: utilities, covariates, shifts.

Under Luce's rule and covariates (and position biases) around it the score of place ``j`` in row ``r`` is
``s_rj = u_item + z_rj' b``, so that one matrix of columns per row holds everything: :class:`RowDesign`. It serves the
likelihood (:mod:`~annosim.learning.likelihoods.row_logit`) and, under any rule, the question what the rows could tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from annosim.data.preferences import PreferenceData
from annosim.learning.structure import free_linear, free_table
from annosim.parameters import behaves_as
from annosim.populations.annotator import Annotator
from annosim.rules.base import Rule
from annosim.rules.covariates import Covariates
from annosim.rules.response_biases import PositionBias, ResponseBias

__all__ = ["RowDesign", "RowLayers", "Stages", "layers_of", "row_design"]

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class RowLayers:
    """The layers of a rule that add to the scores what depends on the row.

    Attributes:
        inner: the rule inside them.
        covariates: each name of a covariate with the name of its coefficient in the annotator, its value, and whether it
            is free.
        shifts: each name of a position bias's shift in the annotator, its values, and whether they are free.
    """

    inner: Rule
    covariates: tuple[tuple[str, str, float, bool], ...]
    shifts: tuple[tuple[str, torch.Tensor, bool], ...]

    @property
    def free_covariates(self) -> list[str]:
        """Names of the covariates whose coefficients are free."""
        return [name for name, _, _, free in self.covariates if free]


def layers_of(rule: Rule, through: bool = False) -> RowLayers:
    """The covariates and position biases from the outside in, down to the first rule of another kind.

    Args:
        rule: where to begin.
        through: response biases of other kinds are passed by.

    Example:
        >>> import annosim as an
        >>> found = layers_of(an.rules.Covariates(an.PositionBias(an.Luce(), an.free(0.0)), ["length"]))
        >>> found.inner, [name for name, *_ in found.covariates], [name for name, *_ in found.shifts]
        (Luce(temperature=1), ['length'], ['rule.rule.shift'])
    """
    path, covariates, shifts = "rule", [], []
    while True:
        if behaves_as(rule, Covariates):
            for name in rule.names:
                value = getattr(rule.coefficients, name)
                covariates.append((name, f"{path}.coefficients.{name}", float(value.detach()), value.requires_grad))
        elif behaves_as(rule, PositionBias):
            shifts.append((f"{path}.shift", rule.shift.detach().double(), rule.shift.requires_grad))
        elif not (through and isinstance(rule, ResponseBias)):
            return RowLayers(rule, tuple(covariates), tuple(shifts))
        rule, path = rule.rule, f"{path}.rule"


@dataclass(frozen=True, eq=False)
class Stages:
    """Answers as choices in stages: of each row the places in the order of the answer, the chosen first.

    Attributes:
        place: ``(rows, k)`` places on the menu: those chosen, best first, then the others, empty ones last.
        depth: ``(rows,)`` how many were chosen one after the other.
        length: ``(rows,)`` places that are filled.
    """

    place: NDArray[np.int64]
    depth: NDArray[np.int64]
    length: NDArray[np.int64]

    @classmethod
    def of(cls, data: PreferenceData) -> Stages:
        """Of choices, rankings and top answers without ties."""
        menu = np.asarray(data.menu)
        answer = np.asarray(data.answer).reshape(data.rows, -1).astype(np.int64)
        rows, k = menu.shape
        rank = np.where(menu >= 0, k, k + 1)
        row, stage = np.nonzero(answer >= 0)
        rank[row, answer[row, stage]] = stage
        return cls(np.argsort(rank, 1, kind="stable"), (answer >= 0).sum(1), (menu >= 0).sum(1))


@dataclass(frozen=True, eq=False)
class RowDesign:
    """Columns of the free numbers that are linear in the scores, by row and place.

    Attributes:
        item: ``(rows, k)`` item ids, -1 pads.
        items: number of items where each has a free utility of its own, else 0.
        columns: ``(rows, k, C)`` of the other numbers: weights of features, coefficients, shifts; zero at pads.
        names: ``C`` words for them.
        covariate: ``(C,)`` which of them are coefficients of covariates.
    """

    item: NDArray[np.int64]
    items: int
    columns: Vector
    names: tuple[str, ...]
    covariate: NDArray[np.bool_]

    @cached_property
    def unit(self) -> Vector:
        """``(C,)`` root mean square of each column's differences within rows; 1 where it does not vary."""
        shown = self.item >= 0
        count = np.maximum(shown.sum(1), 1)[:, None]
        mean = self.columns.sum(1) / count
        gap = np.where(shown[..., None], self.columns - mean[:, None], 0.0)
        size = np.abs(gap).max((0, 1), initial=0.0)
        largest = np.abs(self.columns).max((0, 1), initial=0.0)
        live = size > 1e-12 * largest  # what is left of a constant by rounding is none
        spread = np.sqrt((gap**2).sum((0, 1)) / max(int(shown.sum()), 1))
        return np.where(live & (spread > 0), spread, 1.0)

    @cached_property
    def varies(self) -> NDArray[np.bool_]:
        """``(C,)`` whether a column differs within some row at all."""
        shown = self.item >= 0
        high = np.where(shown[..., None], self.columns, -np.inf).max(1)
        low = np.where(shown[..., None], self.columns, np.inf).min(1)
        return np.asarray((high - low).max(0, initial=0.0) > 1e-12 * np.abs(self.columns).max((0, 1), initial=0.0))


def row_design(one: Annotator, data: PreferenceData) -> RowDesign:
    """The columns of an annotator's free utilities, covariates and shifts on the rows of some data.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=2), [[0, 1]], answer=[0], covariates={"length": [[9.0, 4.0]]})
        >>> found = row_design(an.Annotator(an.Tabular(2), an.rules.Covariates(an.Luce(), ["length"])), data)
        >>> found.items, found.names, found.columns.tolist()
        (2, ('length',), [[[9.0], [4.0]]])
    """
    item = np.asarray(data.menu).astype(np.int64)
    shown, layers = item >= 0, layers_of(one.rule, through=True)
    columns: list[Vector] = []
    names: list[str] = []
    linear = free_linear(one)
    if linear is not None:
        features = data.items.feature_matrix.double().numpy()
        columns += [np.where(shown, features[:, j][item], 0.0) for j in range(features.shape[1])]
        names += [f"utility.weights[{j}]" for j in range(features.shape[1])]
    own = len(columns)
    columns += [np.asarray(data.covariates[name]) for name in layers.free_covariates]
    names += layers.free_covariates
    end = len(columns)
    for name, value, free in layers.shifts:
        if free and value.ndim == 0:
            columns.append(np.where(shown, np.arange(item.shape[1]) == 0, 0.0))
            names.append(name)
    stacked = np.stack(columns, -1) if columns else np.zeros((*item.shape, 0))
    mark = np.zeros(len(columns), dtype=bool)
    mark[own:end] = True
    return RowDesign(item, data.items.n if free_table(one) is not None else 0, stacked, tuple(names), mark)
