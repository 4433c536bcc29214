"""Profile likelihood of one number, and what it says of identification.

The number is held at values on either side of its estimate while everything else is fitted again (Newton with one
constraint, by automatic differentiation); twice the fall of the log-likelihood is compared with a chi-square of one
degree (Venzon and Moolgavkar 1988; the classification follows Raue et al. 2009).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.special import ndtri

from annosim.coordinates.normalisation import canonical
from annosim.errors import ArgumentError
from annosim.learning.arguments import check_level
from annosim.learning.likelihoods.autodiff import NEWTON_PARAMETERS
from annosim.learning.likelihoods.reference import Blocks, block_log_likelihood
from annosim.parameters import Unconstrained
from annosim.results import Result

if TYPE_CHECKING:
    from annosim.learning.result import Fit

__all__ = ["Profile", "profile"]

CLASSES = ("identified", "weakly identified", "not identified", "at a bound", "not converged")


@dataclass(frozen=True, eq=False, repr=False)
class Profile(Result):
    """A profile likelihood.

    Attributes:
        name: of the number.
        estimate: its value at the optimum (in the reported normalisation).
        values, fall: where it was held, and by how much the log-likelihood fell there, both ``(steps,)``.
        low, high: ends of the interval; infinite where the likelihood never falls far enough.
        classification: one of ``identified`` (closed on both sides, within three times the Wald interval), ``weakly
            identified`` (open on one side, or much wider), ``not identified`` (open on both sides), ``at a bound``,
            ``not converged``.
    """

    name: str
    estimate: float
    values: np.ndarray
    fall: np.ndarray
    low: float
    high: float
    classification: str

    def _lines(self):
        return [
            ("parameter", self.name),
            ("estimate", self.estimate),
            ("interval", f"[{self.low:.6g}, {self.high:.6g}]"),
            ("classification", self.classification),
        ]


def profile(fit: Fit, name: str, level: float = 0.95, reach: float = 8.0, steps: int = 16) -> Profile:
    """Profile one number of a fit; see :meth:`Fit.profile`.

    Args:
        fit: a fit on data by maximum likelihood.
        name: as in ``fit.population.parameter_names()``.
        level: of the interval.
        reach: how many Wald standard errors to go on either side (at least 8 units where there is none).
        steps: values on each side.

    Raises:
        ArgumentError: an unknown name, a projection, or more parameters than a dense Hessian takes.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=2), menu=[[0, 1]] * 30, answer=[0] * 20 + [1] * 10)
        >>> found = an.fit(an.Annotator(an.Tabular(2), an.Luce()), data).profile("utility.values[0]")
        >>> found.classification
        'identified'
    """
    check_level(level, "profile(level=", "a coverage between 0 and 1")
    for word, value in (("reach", reach), ("steps", steps)):
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < value < np.inf:
            raise ArgumentError(f"profile({word}={value!r}): a number above 0")
    steps = max(int(steps), 1)
    names = fit.population.parameter_names()
    if name not in names:
        raise ArgumentError(f"profile({name!r}): the parameters are {', '.join(names[:8])}{', ...' * (len(names) > 8)}")
    if fit.is_projection or fit.log_likelihood is None or fit.problem.prior is not None:
        raise ArgumentError("profile: needs a maximum-likelihood fit on data")
    if len(names) > NEWTON_PARAMETERS:
        raise ArgumentError(f"profile: {len(names)} parameters, at most {NEWTON_PARAMETERS}; use fit.bootstrap()")
    if not fit.converged:
        nothing = np.zeros(0)
        return Profile(name, float("nan"), nothing, nothing, -np.inf, np.inf, "not converged")
    return _Walk(fit, names.index(name)).profile(name, level, reach, steps)


class _Walk:
    """Constrained fits along one number, each started from its neighbour."""

    def __init__(self, fit: Fit, number: int):
        self.population, self.items = fit.population, fit.problem.items
        self.coordinates = Unconstrained(fit.population)
        self.blocks = Blocks(fit.problem.data)
        self.number, self.best = number, float(fit.log_likelihood or 0.0)
        self.start = self.coordinates.outside(fit.population.vector())
        self.error = float(fit.covariance().diagonal()[number].clamp_min(0).sqrt())

    def objective(self, z: torch.Tensor) -> torch.Tensor:
        """Log-likelihood."""
        values = self.coordinates.inside(z)
        return (
            self.blocks.weight * self.population.functional_call(values, lambda p: block_log_likelihood(p, self.blocks))
        ).sum()

    def number_at(self, z: torch.Tensor) -> torch.Tensor:
        """The profiled number, normalised."""
        return canonical(self.population, self.items, self.coordinates.inside(z))[self.number]

    def profile(self, name: str, level: float, reach: float, steps: int) -> Profile:
        centre = float(self.number_at(self.start).detach())
        limit = float(ndtri(0.5 + level / 2)) ** 2 / 2  # half of chi-square's quantile at one degree of freedom
        width = self.error if 0 < self.error < 1e3 else 1.0
        values, falls, ends = [centre], [0.0], []
        bounded = False
        for side in (-1.0, 1.0):
            z, end, last = self.start.clone(), side * np.inf, 0.0
            for step in range(1, steps + 1):
                target = centre + side * reach * width * step / steps
                moved = self.solve(z, target)
                if moved is None:
                    bounded = bounded or last < limit
                    break
                z, fall = moved[0], max(self.best - moved[1], 0.0)
                values.append(target)
                falls.append(fall)
                if fall >= limit:
                    share = (np.sqrt(limit) - np.sqrt(last)) / max(np.sqrt(fall) - np.sqrt(last), 1e-300)
                    end = target - side * reach * width / steps * (1 - share)
                    break
                last = fall
            ends.append(end)
        order = np.argsort(values)
        low, high = sorted(ends)
        word = self._classify(centre, low, high, bounded, width)
        return Profile(name, centre, np.array(values)[order], np.array(falls)[order], low, high, word)

    def _classify(self, centre: float, low: float, high: float, bounded: bool, width: float) -> str:
        open_sides = int(np.isinf(low)) + int(np.isinf(high))
        if bounded and open_sides:
            return "at a bound"
        if open_sides == 2:
            return "not identified"
        wide = not open_sides and (high - low) > 3 * 2 * 1.96 * width
        return "weakly identified" if open_sides or wide else "identified"

    def solve(self, z: torch.Tensor, target: float, tries: int = 40) -> tuple[torch.Tensor, float] | None:
        """Highest likelihood with the number at ``target``: Newton on the Lagrangian, small eigenvalues raised."""
        for _ in range(tries):
            z = z.detach().requires_grad_(True)
            value, number = self.objective(z), self.number_at(z)
            (slope,) = torch.autograd.grad(value, z)
            (normal,) = torch.autograd.grad(number, z)
            gap, size = target - float(number.detach()), float(normal @ normal)
            if not (size > 1e-20 and np.isfinite(float(value.detach()))):
                return None
            toward = normal * (gap / size)
            inside = slope - normal * float(slope @ normal) / size
            if abs(gap) < 1e-9 * (1 + abs(target)) and float(inside.abs().max()) < 1e-7 * (1 + self.blocks.total):
                return z.detach(), float(value.detach())
            hessian: Any = torch.autograd.functional.hessian(self.objective, z.detach())
            unit = normal / size**0.5
            project = torch.eye(len(z), dtype=z.dtype) - torch.outer(unit, unit)
            values, vectors = torch.linalg.eigh(-project @ hessian @ project)
            floor = 1e-9 * float(hessian.abs().max().clamp_min(1e-300))
            scaled = (vectors.T @ (project @ (slope + hessian @ toward))) / values.abs().clamp_min(floor)
            move = toward + project @ (vectors @ torch.where(values.abs() > floor, scaled, torch.zeros_like(scaled)))
            z = z.detach() + move * min(1.0, 3.0 / max(float(move.abs().max()), 1e-300))
        return None
