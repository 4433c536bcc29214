"""Profile likelihood of one number, and what it says of identification.

The number is held at values on either side of its estimate while everything else is fitted again (the one maximiser on
the likelihood of what is left, by automatic differentiation); twice the fall of the log-likelihood is compared with a chi-square of one
degree (Venzon and Moolgavkar 1988; the classification follows Raue et al. 2009).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri

from annosim.coordinates.normalisation import canonical
from annosim.errors import ArgumentError
from annosim.learning.arguments import check_level
from annosim.learning.likelihoods.autodiff import NEWTON_PARAMETERS
from annosim.learning.likelihoods.reference import Blocks, block_log_likelihood
from annosim.learning.solvers.functions import Evaluation, Maximand
from annosim.learning.solvers.maximise import maximise
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
        blocks = Blocks(fit.problem.data)
        self.total, self.blocks = blocks.total, blocks.counted(fit.population)
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
        """Highest likelihood with the number at ``target``, or ``None`` where it cannot get there."""
        held = _Held(self, z, target)
        if held.onto(z) is None:
            return None
        found = maximise(held, z.detach().numpy(), 1e-9, tries)
        end = held.onto(torch.as_tensor(found.point))
        reached = found.converged or found.scaled_gradient < 1e-7  # beyond that the value's rounding may end it
        return (end, found.value) if end is not None and reached and np.isfinite(found.value) else None


class _Held(Maximand):
    """The log-likelihood with one number held: each point is first moved along a fixed normal until the number fits.

    With ``f(x) = L(x + t n)`` and ``g(x + t n) = target``: ``df = dL - m dg``, ``m = (dL n) / (dg n)``, and the Hessian is
    that of ``L - m g`` between the projections ``I - n dg' / (dg n)``. The direction ``n`` changes nothing.
    """

    flat_directions = True
    longest = 3.0

    def __init__(self, walk: _Walk, start: torch.Tensor, target: float):
        self.walk, self.target = walk, target
        normal = self._slope(walk.number_at, start)[1]
        self.normal = normal / normal.norm().clamp_min(1e-300)
        self.null = self.normal.numpy()[:, None]
        self.scale = np.full(len(start), 1.0 + walk.total)

    def onto(self, z: torch.Tensor) -> torch.Tensor | None:
        """The point moved along the normal to where the number is at its target (Newton's root in one dimension)."""
        z = z.detach().clone()
        for _ in range(60):
            number, slope = self._slope(self.walk.number_at, z)
            gap, along = self.target - number, float(slope @ self.normal)
            if abs(gap) < 1e-12 * (1 + abs(self.target)):
                return z
            if not (abs(along) > 1e-10 and np.isfinite(gap)):
                return None
            z = z + self.normal * float(np.clip(gap / along, -3.0, 3.0))
        return z if abs(gap) < 1e-9 * (1 + abs(self.target)) else None

    def evaluate(self, x: NDArray[np.float64]) -> Evaluation:
        """Value, gradient and curvature of ``f``; the value is -inf where the number cannot get to its target."""
        z = self.onto(torch.as_tensor(x))
        if z is None:
            return Evaluation(x, -np.inf, np.zeros_like(x), self.scale, np.eye(len(x)))
        value, slope = self._slope(self.walk.objective, z)
        toward = self._slope(self.walk.number_at, z)[1]
        share = float(slope @ self.normal) / float(toward @ self.normal)
        project = torch.eye(len(z), dtype=z.dtype) - torch.outer(self.normal, toward) / (toward @ self.normal)

        def curvature() -> NDArray[np.float64]:
            lagrangian = lambda at: self.walk.objective(at) - share * self.walk.number_at(at)  # noqa: E731
            hessian: torch.Tensor = torch.autograd.functional.hessian(lagrangian, z)
            return (-project.T @ hessian @ project).numpy()

        return Evaluation(x, value, (slope - share * toward).numpy(), self.scale, curvature)

    @staticmethod
    def _slope(function: Callable[[torch.Tensor], torch.Tensor], at: torch.Tensor) -> tuple[float, torch.Tensor]:
        at = at.detach().requires_grad_(True)
        value = function(at)
        (slope,) = torch.autograd.grad(value, at)
        return float(value.detach()), slope
