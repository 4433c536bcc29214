"""Weak identification: what a finite number of annotators can know, even where the rank is full."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from annosim.coordinates import Coordinates, identifiable_coordinates
from annosim.coordinates.identifiable import in_float64
from annosim.coordinates.wording import describe_direction, sum_preserving
from annosim.designs.design import Design
from annosim.errors import ArgumentError, TooLargeError, told
from annosim.identifiability.formatting import fold
from annosim.identifiability.local import LocalRank, local_rank
from annosim.identifiability.search import gauss_newton
from annosim.information.fisher import Information, enumerable, fisher_information
from annosim.information.jacobian import factors, listed_law, symmetric_index, symmetric_size
from annosim.information.support import DesignSupport, prepare
from annosim.information.threads import few_threads
from annosim.parameters import Unconstrained
from annosim.populations.base import Population
from annosim.results import Result, versions

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ExpectedProfile", "WeakIdentification", "expected_profile", "weak_identification"]

Z = 1.959963984540054
#: distance of roots of laws below which a profile is flat
FLAT = 1e-5
#: numbers of an information matrix' Jacobian that a report enumerates unasked
QUICK = 2e5


@dataclass(frozen=True, eq=False, repr=False)
class WeakIdentification(Result):
    """Cramer-Rao bounds of one annotator's answers.

    Attributes:
        condition: of the information on the identifiable coordinates that the law shows.
        standard_errors: name -> standard error of a free parameter (normalised by centring) times root annotators;
            ``inf`` where the law does not show it.
        weakest: the least known direction, in words.
        weakest_error: standard error along it, in identifiable coordinates, times root annotators.
        hidden: number of directions that the law does not show at all.
        direction: ``(P,)`` the least known one in the free parameters.
        exact: the information was enumerated; otherwise it is an unbiased estimate.
    """

    condition: float
    standard_errors: dict[str, float]
    weakest: str
    weakest_error: float
    hidden: int
    direction: torch.Tensor
    exact: bool

    def annotators(self, precision: float) -> float:
        """Annotators at which the weakest direction has a 95 % interval of this half-width.

        Raises:
            ArgumentError: the precision is not positive.
        """
        if not isinstance(precision, int | float | np.number) or not precision > 0:
            raise ArgumentError(f"annotators(precision={told(precision)}): a half-width, a number above 0")
        return math.inf if self.hidden else math.ceil((Z * self.weakest_error / precision) ** 2)

    def to_frame(self) -> pd.DataFrame:
        """A row for each free parameter (pandas): its standard error times root annotators."""
        import pandas as pd

        return pd.DataFrame(
            {"parameter": list(self.standard_errors), "standard_error": list(self.standard_errors.values())}
        )

    def _lines(self):
        worst = sorted(self.standard_errors.items(), key=lambda kv: -kv[1])[:5]
        lines = [
            ("condition", f"{self.condition:.3g}"),
            ("weakest", fold(self.weakest, 20)),
            ("its standard error", f"{self.weakest_error:.3g} / sqrt(annotators)"),
            ("annotators for +-0.1", f"{self.annotators(0.1):,.0f}" if not self.hidden else "inf"),
            ("largest errors", "\n".join(f"{n}: {s:.3g} / sqrt(annotators)" for n, s in worst)),
            ("information", "exact" if self.exact else "simulated, unbiased"),
        ]
        return lines + ([("not shown at all", f"{self.hidden} directions")] if self.hidden else [])


def weak_identification(population: Population, design: Design, *, seed: int = 0) -> WeakIdentification:
    """Condition number, Cramer-Rao bounds and the weakest direction of a population under a design.

    Raises:
        ArgumentError: not a population and a design.
        NothingFreeError: nothing is free.

    Example:
        >>> import annosim as an
        >>> coin = an.Annotator(an.Tabular([0., 0.]), an.Luce())
        >>> round(weak_identification(coin, an.Design(an.Items(n=2))).standard_errors["utility.values[0]"], 6)
        1.0
    """
    _population_and_design("weak_identification", population, design)
    population = in_float64(population)
    know = identifiable_coordinates(population, design.items)
    frame = prepare(population, design, seed=seed)
    local = local_rank(population, frame, know)
    return weak_on(population, frame, know, local, fisher_information(population, frame, seed=seed), seed)


def weak_on(
    population: Population, frame: DesignSupport, know: Coordinates, local: LocalRank, info: Information, seed: int
) -> WeakIdentification:
    """:func:`weak_identification` where coordinates, rank and information are known already."""
    matrix = know.basis.T @ info.matrix @ know.basis
    seen = local.right[:, : local.rank]
    values, vectors = torch.linalg.eigh(seen.T @ matrix @ seen)
    directions = sum_preserving(population, (know.basis @ seen @ vectors).T)
    known = (directions.T * values.clamp_min(1e-300).rsqrt()).square().sum(-1).sqrt()
    if local.null.shape[1]:
        lost = sum_preserving(population, (know.basis @ local.null).T).abs().amax(0) > 1e-8
        known = torch.where(lost, torch.inf, known)
    names = population.parameter_names()
    least = float(values[0]) if len(values) else math.nan
    return WeakIdentification(
        condition=float(values[-1]) / least if least > 0 else math.inf,
        standard_errors=dict(zip(names, known.tolist(), strict=True)),
        weakest=describe_direction(population, directions[0]) if len(directions) else "nothing is shown at all",
        weakest_error=least**-0.5 if least > 0 else math.inf,
        hidden=local.num_parameters - local.rank,
        direction=directions[0] if len(directions) else torch.zeros(population.num_free(), dtype=torch.float64),
        exact=info.exact,
        settings={"seed": seed, **versions()},
    )


def weakest_in_words(population: Population, frame: DesignSupport, know: Coordinates, local: LocalRank) -> str:
    """One sentence for a report, or ``""``: only for full ranks whose information takes no time to enumerate."""
    population = in_float64(population)
    if not local.full or not know.num_parameters or not enumerable(population, frame, QUICK):
        return ""
    weak = weak_on(population, frame, know, local, fisher_information(population, frame), 0)
    direction = describe_direction(population, weak.direction, 3)
    return f"{direction}: known to +-0.1 from {weak.annotators(0.1):,.0f} annotators; condition {weak.condition:.2g}"


def _population_and_design(where: str, population: Any, design: Any) -> None:
    if not isinstance(population, Population):
        raise ArgumentError(f"{where}(population={told(population)}): give a population such as an.Annotator(...)")
    if not isinstance(design, Design):
        raise ArgumentError(f"{where}(design={told(design)}): give an.Design(...)")


@dataclass(frozen=True, eq=False, repr=False)
class ExpectedProfile(Result):
    """Profile of the expected log-likelihood in one parameter (no data: the law itself is the sample).

    Attributes:
        name: the parameter.
        values: ``(G,)`` where it was held.
        distance: ``(G,)`` smallest Hellinger-type distance ``2 |sqrt p - sqrt q|`` over all other parameters.
        classification: ``"identified"`` (both sides rise), ``"one-sided"`` (one stays flat) or ``"flat"``.
    """

    name: str
    values: np.ndarray
    distance: np.ndarray
    classification: str

    def annotators(self) -> np.ndarray:
        """``(G,)`` annotators at which each value would be rejected at 95 % (``3.84 / distance^2``), ``inf`` where the
        law is the same up to 1e-5.
        """
        with np.errstate(divide="ignore"):
            return np.where(self.distance < FLAT, np.inf, 3.841458820694124 / self.distance**2)

    def to_frame(self) -> pd.DataFrame:
        """A row for each value that was held (pandas): the law's distance, and annotators at which it is rejected."""
        import pandas as pd

        return pd.DataFrame({"value": self.values, "distance": self.distance, "annotators": self.annotators()})

    def _lines(self):
        rows = [f"{v:.4g}: {n:,.0f}" for v, n in zip(self.values, self.annotators(), strict=True)]
        return [
            ("parameter", self.name),
            ("classification", self.classification),
            ("rejected at 95 % by", "\n".join(rows)),
        ]


def expected_profile(
    population: Population, design: Design, name: str, *, span: float = 4.0, points: int = 8, seed: int = 0
) -> ExpectedProfile:
    """Hold one parameter at values on both sides of the truth and fit all others to the law (Raue et al. 2009).

    A side is flat when the law at its far end is closer than ``1e-5`` to the truth's.

    Args:
        population: the truth.
        design: a design with few enough outcomes to enumerate (20,000).
        name: one of ``population.parameter_names()``.
        span: how far, in unconstrained coordinates (logs of positive numbers, log-ratios of weights).
        points: values on each side.

    Raises:
        ArgumentError: no free parameter has this name.
        TooLargeError: too many outcomes.

    Example:
        >>> import annosim as an
        >>> apart = an.Annotator(an.Tabular([0., 1., 0.]), an.Luce())
        >>> shown = expected_profile(apart, an.Design(an.Items(n=3), menus=[[0, 1]]), "utility.values[1]", points=2)
        >>> shown.classification  # its level is a convention: the others follow
        'flat'
    """
    _population_and_design("expected_profile", population, design)
    population = in_float64(population)
    names = population.parameter_names()
    if isinstance(points, bool) or not isinstance(points, int) or points < 1 or not span > 0:
        raise ArgumentError(f"expected_profile(span={span!r}, points={points!r}): a number above 0, a whole number")
    if name not in names:
        raise ArgumentError(f"expected_profile(name={told(name)}): the free parameters are {', '.join(names[:12])}")
    at = names.index(name)
    frame = prepare(population, design, seed=seed)
    free = Unconstrained(population, margin=1e-6)
    here = free.outside(population.vector())
    root = _root_law(population, frame)
    target = root(population.vector()).detach()
    steps = span * torch.arange(1, points + 1, dtype=torch.float64) / points
    offsets = torch.cat([-steps.flip(0), steps])
    others = torch.tensor([i for i in range(len(here)) if i != at])

    start = here.repeat(len(offsets), 1)
    start[:, at] = here[at] + offsets
    held = start[:, at].clone()
    # the value held is the last coordinate of each start, with its own (zero) residual weight
    packed = torch.cat([start[:, others], held[:, None]], 1)

    def residual(y):
        z = (
            torch.zeros_like(here).index_copy(0, others, y[:-1])
            + torch.nn.functional.one_hot(torch.tensor(at), len(here)) * y[-1].detach()
        )
        return 2 * (root(free.inside(z)) - target)

    with few_threads():
        solved = gauss_newton(residual, packed, steps=80)
    z = start.clone()
    z[:, others] = solved.at[:, :-1]
    values = torch.stack([free.inside(row)[at] for row in z])
    order = values.argsort()
    distance = solved.norm[order].numpy()
    low, high = distance[0] < FLAT, distance[-1] < FLAT
    kind = "flat" if low and high else "one-sided" if low or high else "identified"
    return ExpectedProfile(name, values[order].numpy(), distance, kind, settings={"seed": seed, **versions()})


def _root_law(population: Population, frame: DesignSupport) -> Any:
    """Roots of the probabilities of all outcomes, as a function of the parameters."""
    with torch.no_grad():
        rows = len(factors(population, frame)[0])  # of covariates
    if frame.blocks is not None:
        share: Any = frame.block_share

        def listed(v):
            p = population.functional_call(v, lambda p: listed_law(*factors(p, frame), frame))
            each = share.sqrt().repeat_interleave(len(p) // len(share) // rows).repeat(rows)
            return (p * each / rows**0.5).clamp_min(0).add(1e-300).sqrt()

        return listed
    with torch.no_grad():
        size = len(frame.menu) * factors(population, frame)[1].shape[-1]
    if symmetric_size(size, frame.questions) > 20_000:
        raise TooLargeError(
            f"expected_profile: {symmetric_size(size, frame.questions):.3g} outcomes, more than 20,000; ask fewer "
            "questions or fix a shorter list with menus="
        )
    index, times = symmetric_index(size, frame.questions)

    def function(v):
        weight, table = population.functional_call(v, lambda p: factors(p, frame))
        p = (table[0, -1] * frame.share[:, None]).flatten(-2)[:, index].prod(-1)
        return ((weight @ p / rows**0.5).add(1e-300).sqrt() * times).flatten()

    return function
