"""Continuous populations: every annotator has their own tastes, drawn from a distribution.

The law averages over nodes (:mod:`annosim.quadrature`); the simulation draws each annotator's tastes from the stream
``taste``, once, and answers every question with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

import numpy as np
import torch

from annosim.errors import ArgumentError, told
from annosim.items import Items
from annosim.parameters import describe
from annosim.populations.base import Component, Population, check_rule, gather
from annosim.quadrature import hermite, sobol, trapezoid
from annosim.random import CounterRNG
from annosim.rules.base import Rule

if TYPE_CHECKING:  # a design lies above populations
    from annosim.designs.design import Design

__all__ = ["Quadrature", "RandomTastes", "TasteSettings", "hidden_truth"]


#: How the law averages over tastes; see :mod:`annosim.quadrature`.
Quadrature = Literal["auto", "trapezoid", "hermite", "sobol"]


class TasteSettings(TypedDict, total=False):
    """How the law averages over tastes: the settings of every population with continuous tastes."""

    points: int | None
    quadrature: Quadrature
    quadrature_seed: int


#: points per dimension of the product rules; more dimensions use Sobol points
_PRODUCT = {1: 64, 2: 24, 3: 14}
_SOBOL = 2048


class RandomTastes(Component):
    """Base of populations with continuous tastes: a map from standard normals to tastes, and from tastes to utilities.

    Args:
        rule: how they answer.
        dim: number of standard normal coordinates.
        points: nodes per dimension (product rules) or in all (Sobol); 64, 24, 14 per dimension in 1, 2, 3 dimensions
            and 2048 Sobol points beyond, by default.
        quadrature: ``"trapezoid"`` (default up to 3 dimensions), ``"hermite"`` (Gauss), ``"sobol"`` (default beyond),
            or
            ``"auto"``; see :mod:`annosim.quadrature` and :meth:`accuracy`.
        quadrature_seed: scrambling of the Sobol points.

    Example:
        >>> import annosim as an
        >>> people = an.RandomCoefficients([1.0], [0.5], an.Luce())
        >>> isinstance(people, an.populations.RandomTastes), people.nodes(an.Items.normal(4, 1))[0].shape
        (True, torch.Size([64, 4]))
    """

    def __init__(
        self, rule: Rule, dim: int, points: int | None = None, quadrature: Quadrature = "auto", quadrature_seed: int = 0
    ):
        super().__init__()
        check_rule(type(self).__name__, rule)
        if quadrature not in ("auto", "trapezoid", "hermite", "sobol"):
            raise ArgumentError(
                f"{type(self).__name__}(quadrature={told(quadrature)}): one of auto, trapezoid, hermite, sobol"
            )
        if points is not None and (isinstance(points, bool) or points < 1):
            raise ArgumentError(f"{type(self).__name__}(points={told(points)}): a whole number of at least 1")
        self.rule, self.dim, self.normals = rule, int(dim), int(dim)
        self.quadrature = quadrature if quadrature != "auto" else ("trapezoid" if dim in _PRODUCT else "sobol")
        self.points = int(points or (_SOBOL if self.quadrature == "sobol" else _PRODUCT.get(dim, 5)))
        self.quadrature_seed = int(quadrature_seed)

    def tastes(self, z: torch.Tensor) -> torch.Tensor:
        """Tastes ``(..., p)`` from standard normals ``(..., dim)``."""
        raise TypeError(f"{type(self).__name__} must define tastes(z)")

    def utilities(self, tastes: torch.Tensor, items: Items) -> torch.Tensor:
        """Utilities of all items ``(..., n)`` under each of the tastes ``(..., p)``."""
        raise TypeError(f"{type(self).__name__} must define utilities(tastes, items)")

    def standard_nodes(self, refine: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """Nodes ``(Q, dim)`` and weights ``(Q,)`` in standard normal coordinates; ``refine`` for :meth:`accuracy`."""
        if self.quadrature != "sobol":
            rule = hermite if self.quadrature == "hermite" else trapezoid
            return rule(self.normals, self.points + refine * max(self.points // 2, 1))
        return sobol(self.normals, self.points, self.quadrature_seed + refine)

    def nodes(self, items: Items) -> tuple[torch.Tensor, torch.Tensor]:
        """Indexed utilities ``(Q, n)`` and probabilities ``(Q,)``; differentiable in the distribution's parameters."""
        z, weight = (part.to(items.weights.device) for part in self.standard_nodes())
        return self.rule.index(self.utilities(self.tastes(z), items), items), weight

    def annotator_tastes(self, annotators: CounterRNG) -> torch.Tensor:
        """Hidden tastes of some annotators (stream ``taste``), ``(annotators, p)``: known to the simulation only."""
        first = next(iter([*self.parameters(), *self.buffers()]), None)
        device = "cpu" if first is None else first.device
        z = torch.as_tensor(annotators.normal("taste", self.dim), device=device)
        with torch.no_grad():
            return self.tastes(z)

    def row_scores(self, items: Items, menu: torch.Tensor, annotators: CounterRNG) -> torch.Tensor:
        """Each row's indexed scores under its annotator's own tastes, ``(rows, k)``."""
        who, row = np.unique(np.asarray(annotators.entity), return_inverse=True)
        with torch.no_grad():
            tastes = self.annotator_tastes(CounterRNG(annotators.seed, who, annotators.replicate))
            index = self.rule.index(self.utilities(tastes, items), items)
            scores = index[torch.as_tensor(row, device=menu.device)[:, None], menu.clamp_min(0)]
            return torch.where(menu >= 0, scores, -torch.inf)

    def accuracy(self, design: Design, max_menus: float = 1e5) -> float:
        """Largest change of any answer's probability when the rule of integration is refined.

        Product rules: half as many points again in each dimension. Sobol: twice the standard error over eight
        scramblings. A measured accuracy, not a bound.

        Example:
            >>> import annosim as an
            >>> items = an.Items.normal(4, 1)
            >>> people = an.RandomCoefficients([1.0], [1.0], an.Luce())
            >>> people.accuracy(an.Design(items)) < 1e-7
            True
        """
        menus, _, shown = design.enumerate(max_menus)
        items = design.items

        def probabilities(refine: int) -> torch.Tensor:
            z, weight = self.standard_nodes(refine)
            index = self.rule.index(self.utilities(self.tastes(z), items), items)
            view = self.rule.view(items, menus, design.feedback, covariates=shown)
            table = self.rule.table(gather(index.double(), menus), view).exp()
            return (weight[:, None, None] * table).sum(0)

        with torch.no_grad():
            if self.quadrature != "sobol":
                return float((probabilities(0) - probabilities(1)).abs().max())
            many = torch.stack([probabilities(r) for r in range(8)])
            return float(2 * many.std(0).max())

    def __repr__(self) -> str:
        return f"{describe(self)[:-1]}, {self.quadrature} {self.points})"


def hidden_truth(
    population: Population, types: np.ndarray, seed: int, first: int = 0, replicate: int = 0
) -> dict[str, np.ndarray]:
    """What the simulation knows of some consecutive annotators: ``type``, and ``taste`` where tastes are continuous.

    Args:
        types: ``(annotators,)`` hidden components.
        first: number of the first annotator.

    Returns:
        ``type (annotators,)``; ``taste (annotators, p)``, NaN where an annotator's component has no (or fewer) tastes.

    Example:
        >>> import annosim as an
        >>> people = an.RandomCoefficients([1.0, 0.0], [0.5, 1.0], an.Luce())
        >>> hidden_truth(people, np.zeros(3, dtype=np.int8), seed=0)["taste"].shape
        (3, 2)
    """
    parts = {}
    for number, component in enumerate(population.components()):
        if isinstance(component, RandomTastes):
            mine = np.flatnonzero(types == number)
            parts[number] = mine, component.annotator_tastes(CounterRNG(seed, first + mine, replicate)).cpu().numpy()
    if not parts:
        return {"type": types}
    taste = np.full((len(types), max(t.shape[1] for _, t in parts.values())), np.nan)
    for mine, values in parts.values():
        taste[mine, : values.shape[1]] = values
    return {"type": types, "taste": taste}
