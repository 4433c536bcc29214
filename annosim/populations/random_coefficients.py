"""Mixed logit: coefficients of the features, drawn once per annotator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, Unpack

import numpy as np
import torch

from annosim.arrays import Numbers
from annosim.errors import ArgumentError, told
from annosim.items import Items
from annosim.parameters import Fixed, ParameterLike, check_value, marked_like, unmarked
from annosim.populations.random_tastes import Quadrature, RandomTastes, TasteSettings
from annosim.quadrature import from_normal
from annosim.rules.base import Rule

__all__ = ["RandomCoefficients"]

#: How a coefficient differs between annotators.
Shape: TypeAlias = Literal["normal", "lognormal", "same"]


class CoefficientSettings(TasteSettings, total=False):
    """Settings of :class:`RandomCoefficients` beside its numbers."""

    distribution: Shape | Sequence[Shape]
    signs: Numbers | None


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

    lower: Any  # a tensor, or None

    def __init__(
        self,
        mean: ParameterLike | torch.distributions.Distribution,
        scale: ParameterLike | None = None,
        rule: Rule | None = None,
        *,
        distribution: Shape | Sequence[Shape] = "normal",
        lower: ParameterLike | None = None,
        signs: Numbers | None = None,
        points: int | None = None,
        quadrature: Quadrature = "auto",
        quadrature_seed: int = 0,
    ):
        if rule is None:
            raise ArgumentError("RandomCoefficients(rule=): say how they answer, for example an.Luce()")
        if isinstance(mean, torch.distributions.Distribution):
            if scale is not None:
                raise ArgumentError("RandomCoefficients: a torch distribution has its own scale; leave scale out")
            size, own = _event_size(mean), mean
            varying = list(range(size))
        else:
            size, own = check_value("RandomCoefficients(mean=)", unmarked(mean), "real").numel(), None
            varying = _varying(distribution, size)
        super().__init__(rule, len(varying), points, quadrature, quadrature_seed)
        self.dim, self.varying, self.distribution = size, varying, own
        if isinstance(mean, torch.distributions.Distribution):
            return
        if scale is None:
            raise ArgumentError("RandomCoefficients(scale=): give the standard deviations of the coefficients")
        self.declare("mean", mean, free_by_default=True)
        self._declare_spread(scale, lower)
        self._set_shape(distribution, signs)

    def _declare_spread(self, scale: ParameterLike, lower: ParameterLike | None) -> None:
        count = len(self.varying)
        number = check_value("RandomCoefficients(scale=)", unmarked(scale), "nonnegative").numpy()
        if number.shape not in ((), (1,), (count,)):
            raise ArgumentError(
                f"RandomCoefficients(scale=): shape {number.shape}, expected one number or ({count},), one for "
                "each coefficient that varies"
            )
        spread = marked_like(scale, np.broadcast_to(number, (count,)).copy())
        self.declare("scale", spread, "nonnegative" if isinstance(scale, Fixed) else "positive", free_by_default=True)
        if lower is None:
            self.lower = None
            return
        self.declare("lower", lower, free_by_default=True)
        below = count * (count - 1) // 2
        if self.lower.shape != (below,):
            raise ArgumentError(
                f"RandomCoefficients(lower=): shape {tuple(self.lower.shape)}, expected ({below},), the entries "
                "below the diagonal"
            )

    def _set_shape(self, distribution: Shape | Sequence[Shape], signs: Numbers | None) -> None:
        names = _names(distribution, self.dim)
        self.register_buffer("is_log", torch.tensor([name == "lognormal" for name in names]))
        sign = np.ones(self.dim) if signs is None else check_value("RandomCoefficients(signs=)", signs, "real").numpy()
        if sign.shape != (self.dim,) or not (np.abs(sign) == 1).all():
            raise ArgumentError(f"RandomCoefficients(signs=): {self.dim} numbers, each +1 or -1")
        self.register_buffer("signs", torch.as_tensor(sign))

    @classmethod
    def correlated(
        cls, mean: ParameterLike, covariance: ParameterLike, rule: Rule, **settings: Unpack[CoefficientSettings]
    ) -> RandomCoefficients:
        """Correlated coefficients from their covariance matrix ``(dim, dim)``, by its Cholesky factor.

        Example:
            >>> import annosim as an
            >>> people = an.RandomCoefficients.correlated([0.0, 0.0], [[1.0, 0.5], [0.5, 1.0]], an.Luce())
            >>> people.covariance().round(decimals=9).tolist()
            [[1.0, 0.5], [0.5, 1.0]]
        """
        matrix = check_value("RandomCoefficients.correlated(covariance=)", unmarked(covariance), "real")
        factor, info = torch.linalg.cholesky_ex(matrix)
        if matrix.ndim != 2 or int(info) or bool((matrix - matrix.mT).abs().max() > 1e-9):
            raise ArgumentError("RandomCoefficients.correlated(covariance=): a symmetric positive definite matrix")
        rows, columns = torch.tril_indices(len(matrix), len(matrix), -1)
        scale, lower = (
            marked_like(covariance, factor.diagonal().clone()),
            marked_like(covariance, factor[rows, columns]),
        )
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


def _names(distribution: Shape | Sequence[Shape], size: int) -> list[str]:
    names: list[str] = [distribution] * size if isinstance(distribution, str) else list(distribution)
    if len(names) != size or not set(names) <= {"normal", "lognormal", "same"}:
        raise ArgumentError(
            f"RandomCoefficients(distribution={told(distribution)}): 'normal', 'lognormal' or 'same' (for all annotators), "
            f"or one of them for each of {size} coefficients, or pass a torch distribution as mean"
        )
    return names


def _varying(distribution: Shape | Sequence[Shape], size: int) -> list[int]:
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
