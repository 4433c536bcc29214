"""Continuous populations: every annotator has their own tastes, drawn from a distribution.

A leaf with a distribution of utilities. The law averages over nodes (:mod:`annosim.quadrature`); the simulation draws
each annotator's tastes from the stream ``taste``, once, and answers every question with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.parameters import check_value, fixed, free
from annosim.populations.base import Leaf, Population, describe, gather
from annosim.quadrature import from_normal, gamma_quantile, hermite, sobol, trapezoid
from annosim.random import CounterRNG
from annosim.utilities.base import Utility

if TYPE_CHECKING:
    from annosim.rules.base import Rule

__all__ = ["DirichletTastes", "LowRank", "RandomCoefficients", "RandomTastes"]

#: points per dimension of the product rules; more dimensions use Sobol points
_PRODUCT = {1: 64, 2: 24, 3: 14}
_SOBOL = 2048


class RandomTastes(Leaf):
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
        self, rule: Rule, dim: int, points: int | None = None, quadrature: str = "auto", quadrature_seed: int = 0
    ):
        super().__init__()
        if not hasattr(rule, "log_prob") or not hasattr(rule, "index"):
            raise ArgumentError(f"{type(self).__name__}(rule={rule!r}): give a rule such as an.Luce()")
        if quadrature not in ("auto", "trapezoid", "hermite", "sobol"):
            raise ArgumentError(
                f"{type(self).__name__}(quadrature={quadrature!r}): one of auto, trapezoid, hermite, sobol"
            )
        if points is not None and (isinstance(points, bool) or points < 1):
            raise ArgumentError(f"{type(self).__name__}(points={points!r}): a whole number of at least 1")
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

    def accuracy(self, design: Any, max_menus: float = 1e5) -> float:
        """Largest change of any answer's probability when the rule of integration is refined.

        Product rules: half as many points again in each dimension. Sobol: twice the standard error over eight
        scramblings. A measured accuracy, not a bound.

        Example:
            >>> import annosim as an
            >>> items = an.Items.normal(4, 1)
            >>> people = RandomCoefficients([1.0], [1.0], an.Luce())
            >>> people.accuracy(an.Design(items)) < 1e-7
            True
        """
        menus = design.enumerate(max_menus).menu
        items = design.items

        def probabilities(refine: int) -> torch.Tensor:
            z, weight = self.standard_nodes(refine)
            index = self.rule.index(self.utilities(self.tastes(z), items), items)
            view = self.rule.view(items, menus, design.feedback)
            table = self.rule.table(gather(index.double(), menus), view).exp()
            return (weight[:, None, None] * table).sum(0)

        with torch.no_grad():
            if self.quadrature != "sobol":
                return float((probabilities(0) - probabilities(1)).abs().max())
            many = torch.stack([probabilities(r) for r in range(8)])
            return float(2 * many.std(0).max())

    def __repr__(self) -> str:
        return f"{describe(self)[:-1]}, {self.quadrature} {self.points})"


class RandomCoefficients(RandomTastes):
    r"""Mixed logit: ``u = x' beta`` with ``beta`` drawn once per annotator (McFadden and Train 2000).

    ``beta = mean + L z`` with ``L = diag(scale)`` plus the strictly lower triangle ``lower``; the covariance is
    ``L L'``. Log-normal coefficients are ``sign * exp`` of that. Mean, scale and lower are estimated unless
    ``fixed(...)``.

    Args:
        mean: ``(dim,)``; of the logarithm for log-normal coefficients; or a torch distribution of the coefficients, and
            then ``scale`` stays out.
        scale: positive standard deviations ``(dim,)`` or one number (zero when ``fixed``: that coefficient is the
            same for all).
        rule: how they answer.
        distribution: ``"normal"`` or ``"lognormal"``, or one of them per coefficient, or ``"same"`` for a coefficient
            that is the same for all: ``scale`` and ``lower`` then speak of those that vary, in their order.
        lower: ``(dim (dim - 1) / 2,)`` entries below the diagonal, row by row; none by default (independent).
        signs: ``(dim,)`` of +1 or -1 for log-normal coefficients.
        points, quadrature, quadrature_seed: see :class:`RandomTastes`.

    Raises:
        ArgumentError: sizes that do not fit, a scale that is not positive, an unknown distribution.

    Example:
        >>> import annosim as an
        >>> people = an.RandomCoefficients([1.0, 0.0], [0.5, 1.0], an.Luce())
        >>> design = an.Design(an.Items.normal(4, 2), menu_size=2)
        >>> round(an.law(people, design).probabilities.sum().item(), 12)
        1.0
    """

    lower: Any

    def __init__(
        self,
        mean: Any,
        scale: Any = None,
        rule: Rule | None = None,
        *,
        distribution: Any = "normal",
        lower: Any = None,
        signs: Any = None,
        points: int | None = None,
        quadrature: str = "auto",
        quadrature_seed: int = 0,
    ):
        if rule is None:
            raise ArgumentError("RandomCoefficients(rule=): say how they answer, for example an.Luce()")
        own = isinstance(mean, torch.distributions.Distribution)
        if own and scale is not None:
            raise ArgumentError("RandomCoefficients: a torch distribution has its own scale; leave scale out")
        size = _event_size(mean) if own else check_value("RandomCoefficients(mean=)", _bare(mean), "real").numel()
        varying = list(range(size)) if own else _varying(distribution, size)
        super().__init__(rule, len(varying), points, quadrature, quadrature_seed)
        self.dim = size
        self.varying: list[int] = varying
        self.distribution: Any = mean if own else None
        if own:
            return
        if scale is None:
            raise ArgumentError("RandomCoefficients(scale=): give the standard deviations of the coefficients")
        self.declare("mean", mean, free_by_default=True)
        number = np.asarray(_bare(scale), dtype=float)
        if number.size != 1 and number.shape != (len(varying),):
            raise ArgumentError(
                f"RandomCoefficients(scale=): shape {number.shape}, expected one number or ({len(varying)},), one for "
                "each coefficient that varies"
            )
        spread = _like(scale, np.broadcast_to(number, (len(varying),)).copy())
        self.declare("scale", spread, "nonnegative" if isinstance(scale, fixed) else "positive", free_by_default=True)
        self._set_shape(distribution, signs)
        if lower is None:
            self.lower = None
        else:
            self.declare("lower", lower, free_by_default=True)
            below = len(varying) * (len(varying) - 1) // 2
            if self.lower.shape != (below,):
                raise ArgumentError(
                    f"RandomCoefficients(lower=): shape {tuple(self.lower.shape)}, expected ({below},), the entries "
                    "below the diagonal"
                )

    def _set_shape(self, distribution: Any, signs: Any) -> None:
        names = _names(distribution, self.dim)
        self.register_buffer("is_log", torch.tensor([name == "lognormal" for name in names]))
        sign = np.ones(self.dim) if signs is None else np.asarray(signs, dtype=float)
        if sign.shape != (self.dim,) or not (np.abs(sign) == 1).all():
            raise ArgumentError(f"RandomCoefficients(signs=): {self.dim} numbers, each +1 or -1")
        self.register_buffer("signs", torch.as_tensor(sign))

    @classmethod
    def correlated(cls, mean: Any, covariance: Any, rule: Rule, **settings: Any) -> RandomCoefficients:
        """Correlated coefficients from their covariance matrix ``(dim, dim)``, by its Cholesky factor.

        Example:
            >>> import annosim as an
            >>> people = an.RandomCoefficients.correlated([0.0, 0.0], [[1.0, 0.5], [0.5, 1.0]], an.Luce())
            >>> people.covariance().round(decimals=9).tolist()
            [[1.0, 0.5], [0.5, 1.0]]
        """
        matrix = check_value("RandomCoefficients.correlated(covariance=)", _bare(covariance), "real")
        factor, info = torch.linalg.cholesky_ex(matrix)
        if matrix.ndim != 2 or int(info) or bool((matrix - matrix.mT).abs().max() > 1e-9):
            raise ArgumentError("RandomCoefficients.correlated(covariance=): a symmetric positive definite matrix")
        rows, columns = torch.tril_indices(len(matrix), len(matrix), -1)
        scale, lower = _like(covariance, factor.diagonal().clone()), _like(covariance, factor[rows, columns])
        return cls(mean, scale, rule, lower=lower, **settings)

    def standard_nodes(self, refine: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """Nodes ``(Q, dim)``, zero where nothing varies, and weights ``(Q,)``."""
        z, weight = super().standard_nodes(refine)
        if z.shape[1] == self.dim:
            return z, weight
        wide = z.new_zeros(len(z), self.dim)
        wide[:, self.varying] = z
        return wide, weight

    def factor(self) -> torch.Tensor:
        """``L (dim, dim)``, differentiable; rows and columns of zeros where a coefficient is the same for all."""
        out = torch.diag_embed(self.scale)
        if self.lower is not None:
            rows, columns = torch.tril_indices(len(self.varying), len(self.varying), -1)
            out = out.index_put((rows, columns), self.lower)
        if len(self.varying) == self.dim:
            return out
        at = torch.tensor(self.varying, device=out.device)
        return out.new_zeros(self.dim, self.dim).index_put((at[:, None], at[None, :]), out)

    def covariance(self) -> torch.Tensor:
        """``L L'``: of the coefficients, or of their logarithms."""
        with torch.no_grad():
            factor = self.factor()
            return factor @ factor.mT

    def tastes(self, z: torch.Tensor) -> torch.Tensor:
        """Coefficients ``(..., dim)``."""
        if self.distribution is not None:
            return from_normal(self.distribution, z).double()
        linear = self.mean + z @ self.factor().mT
        return torch.where(self.is_log, self.signs * torch.where(self.is_log, linear, 0.0).exp(), linear)

    def utilities(self, tastes: torch.Tensor, items: Items) -> torch.Tensor:
        """``x' beta``, ``(..., n)``."""
        if items.features is None or items.dim != self.dim:
            raise ArgumentError(
                f"RandomCoefficients has {self.dim} coefficients but the items have {items.dim} features"
            )
        return tastes @ items.features.mT


class LowRank(RandomTastes):
    r"""Tastes along a few directions: ``u = mean + loadings z``, ``z`` standard normal in ``rank`` dimensions.

    Args:
        mean: ``(n,)`` mean utilities, or their number (zeros).
        loadings: ``(n, rank)``.
        rule: how they answer.

    Example:
        >>> import annosim as an
        >>> people = LowRank([0.0, 0.0], [[1.0], [-1.0]], an.Luce())
        >>> an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.round(decimals=6).tolist()
        [0.5, 0.5]
    """

    def __init__(self, mean: Any, loadings: Any, rule: Rule, **settings: Any):
        shape = check_value("LowRank(loadings=)", _bare(loadings), "real").shape
        if len(shape) != 2:
            raise ArgumentError(f"LowRank(loadings=): shape {tuple(shape)}, expected (n, rank)")
        super().__init__(rule, shape[1], **settings)
        if isinstance(mean, int):
            mean = np.zeros(mean)
        self.declare("mean", mean, free_by_default=True)
        self.declare("loadings", loadings, free_by_default=True)
        if self.mean.shape != shape[:1]:
            raise ArgumentError(f"LowRank(mean=): {self.mean.numel()} means for loadings of {shape[0]} items")

    def tastes(self, z: torch.Tensor) -> torch.Tensor:
        """The coordinates themselves, ``(..., rank)``."""
        return z

    def utilities(self, tastes: torch.Tensor, items: Items) -> torch.Tensor:
        """``mean + loadings z``, ``(..., n)``."""
        if items.n != self.mean.shape[-1]:
            raise ArgumentError(f"LowRank has {self.mean.shape[-1]} items but there are {items.n}")
        return self.mean + tastes @ self.loadings.mT


class DirichletTastes(RandomTastes):
    r"""Everyone blends ``K`` prototype rewards: ``u = sum_k pi_k u_k``, ``pi ~ Dirichlet(concentration)``.

    Large concentrations make all annotators alike, small ones make ``K`` types. ``pi`` is a vector of normalised
    gammas, each from one normal coordinate.

    Args:
        prototypes: ``K`` utilities.
        concentration: ``(K,)`` positive numbers, or one for all; ``free(start)`` to estimate.
        rule: how they answer.

    Example:
        >>> import annosim as an
        >>> people = DirichletTastes([an.Tabular([0.0, 1.0]), an.Tabular([1.0, 0.0])], 0.5, an.Luce())
        >>> p = an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities
        >>> bool((p - 0.5).abs().max() < 1e-3)
        True
    """

    def __init__(self, prototypes: Sequence[Utility], concentration: Any, rule: Rule, **settings: Any):
        prototypes = list(prototypes)
        if len(prototypes) < 2 or not all(isinstance(u, Utility) for u in prototypes):
            raise ArgumentError("DirichletTastes(prototypes=): at least two utilities, for example an.Tabular([0, 1])")
        settings.setdefault("quadrature", "sobol")  # a gamma is far from a polynomial in its normal coordinate
        super().__init__(rule, len(prototypes), **settings)
        self.prototypes = nn.ModuleList(prototypes)
        value = np.broadcast_to(np.asarray(_bare(concentration), dtype=float), (len(prototypes),)).copy()
        self.declare("concentration", _like(concentration, value), "positive")

    def tastes(self, z: torch.Tensor) -> torch.Tensor:
        """Shares ``(..., K)`` of the prototypes."""
        log_gamma = gamma_quantile(self.concentration.expand(z.shape), torch.special.log_ndtr(z).exp())
        return torch.softmax(log_gamma, -1)

    def utilities(self, tastes: torch.Tensor, items: Items) -> torch.Tensor:
        """Blended utilities, ``(..., n)``."""
        return tastes @ torch.stack([u(items).double() for u in self.prototypes])


def hidden_truth(population: Population, types: np.ndarray, seed: int, first: int = 0, replicate: int = 0) -> dict:
    """What the simulation knows of some consecutive annotators: ``type``, and ``taste`` where tastes are continuous.

    Args:
        types: ``(annotators,)`` hidden leaves.
        first: number of the first annotator.

    Returns:
        ``type (annotators,)``; ``taste (annotators, p)``, NaN where an annotator's leaf has no (or fewer) tastes.

    Example:
        >>> import annosim as an
        >>> people = RandomCoefficients([1.0, 0.0], [0.5, 1.0], an.Luce())
        >>> hidden_truth(people, np.zeros(3, dtype=np.int8), seed=0)["taste"].shape
        (3, 2)
    """
    parts = {}
    for number, leaf in enumerate(population.leaves()):
        if isinstance(leaf, RandomTastes):
            mine = np.flatnonzero(types == number)
            parts[number] = mine, leaf.annotator_tastes(CounterRNG(seed, first + mine, replicate)).cpu().numpy()
    if not parts:
        return {"type": types}
    taste = np.full((len(types), max(t.shape[1] for _, t in parts.values())), np.nan)
    for mine, values in parts.values():
        taste[mine, : values.shape[1]] = values
    return {"type": types, "taste": taste}


def _bare(value: Any) -> Any:
    """The number inside ``free(...)`` or ``fixed(...)``."""
    return value.start if isinstance(value, free) else value.value if isinstance(value, fixed) else value


def _like(marked: Any, value: Any) -> Any:
    """``value`` under the same marker as ``marked``."""
    return type(marked)(value) if isinstance(marked, free | fixed) else value


def _names(distribution: Any, size: int) -> list[str]:
    names = [distribution] * size if isinstance(distribution, str) else list(distribution)
    if len(names) != size or not set(names) <= {"normal", "lognormal", "same"}:
        raise ArgumentError(
            f"RandomCoefficients(distribution={distribution!r}): 'normal', 'lognormal' or 'same' (for all annotators), "
            f"or one of them for each of {size} coefficients, or pass a torch distribution as mean"
        )
    return names


def _varying(distribution: Any, size: int) -> list[int]:
    varying = [i for i, name in enumerate(_names(distribution, size)) if name != "same"]
    if not varying:
        raise ArgumentError(
            "RandomCoefficients(distribution='same'): no coefficient varies; fit an.Annotator(an.Linear(dim), rule)"
        )
    return varying


def _event_size(distribution: torch.distributions.Distribution) -> int:
    shape = distribution.batch_shape + distribution.event_shape
    if len(shape) != 1:
        raise ArgumentError(
            f"RandomCoefficients: a torch distribution of shape {tuple(shape)}; it must be one vector of coefficients, "
            "for example Normal(zeros(d), ones(d))"
        )
    return int(shape[0])
