"""People beside judges: which share of the questions to put to people, and what that costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from annosim.designs.design import Design
from annosim.errors import ArgumentError, told
from annosim.learning.inference.prediction_powered import PredictionPowered
from annosim.planning.cost import Cost
from annosim.planning.question_bounds import Z
from annosim.planning.result import Plan
from annosim.planning.row import PlanRow
from annosim.planning.targets import target_function
from annosim.populations.annotator import Annotator
from annosim.results import versions
from annosim.rules.luce import Luce
from annosim.utilities.tabular import Tabular

__all__ = ["Judged", "plan_votes"]

Floats = NDArray[np.float64]
#: the smallest share of questions for people that is looked at
LEAST_SHARE = 1e-4


@dataclass(frozen=True)
class Judged:
    """Judges answer every question, people a random share of them.

    Args:
        answer: price of one judge's answer to one question, nonnegative.
        shares: shares of the questions that are put to people, above 0, below 1; beside them the cheapest share is found.

    Raises:
        ArgumentError: a negative price, or a share out of range.

    Example:
        >>> Judged(answer=0.002, shares=[0.1, 0.5]).shares
        (0.1, 0.5)
    """

    answer: float = 0.001
    shares: Sequence[float] = (0.05, 0.2, 0.5)

    def __post_init__(self) -> None:
        if not _number(self.answer) or not 0 <= self.answer < math.inf:
            raise ArgumentError(f"Judged(answer={told(self.answer)}): a price, a number of at least 0")
        several = isinstance(self.shares, Sequence | np.ndarray) and not isinstance(self.shares, str)
        shares = list(self.shares) if several else []
        if not several or not all(_number(s) and LEAST_SHARE <= s < 1 for s in shares):
            raise ArgumentError(
                f"Judged(shares={told(self.shares)}): shares of the questions, from {LEAST_SHARE} to below 1"
            )
        object.__setattr__(self, "shares", tuple(float(s) for s in shares))


def _number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


@dataclass(frozen=True, eq=False)
class _Pilot:
    """What a pilot tells of one vote: variance ``(n,)``, its covariance with the judges ``(K, n)``, theirs ``(K, K, n)``."""

    people: Floats
    cross: Floats
    judges: Floats

    @classmethod
    def of(cls, found: PredictionPowered) -> _Pilot:
        votes = found.votes
        cross, own = found.moments.judge_terms(found.parts)
        common = float(votes.common.any(0).sum())
        return cls(found.people * found.people_covariance.diagonal(), found.people * cross, common * own[0])

    def variance(self, share: float) -> Floats:
        """``(n,)`` of the strengths at one question, with the best weights; they fall with the number of questions."""
        weights = np.linalg.lstsq(self.judges.sum(-1), self.cross.sum(-1), rcond=1e-10)[0] * (1.0 - share)
        taken = 2.0 * np.einsum("k,km->m", weights, self.cross)
        added = np.einsum("k,klm,l->m", weights, self.judges, weights) / (1.0 - share)
        # errors by annotator or prompt are larger than those by vote, to which the judges' terms belong
        return np.maximum(self.people - taken + added, 1e-3 * self.people) / share


def plan_votes(found: PredictionPowered, designs: object, precision: float, cost: Cost) -> Plan:
    r"""One row for people alone, one for each share, one for the cheapest.

    With a share ``pi`` of ``M`` questions put to people, the variance of a strength is
    ``(V - (1 - pi) (2 lambda c - lambda^2 F)) / (pi M)`` at ``lambda`` times ``1 - pi``; for one judge of correlation ``r``
    that is ``V (1 - r^2 (1 - pi)) / (pi M)``, whose product with the price is least at
    ``pi^2 = (1 - r^2) / r^2 * price of a judge / price of a person`` (Neyman's double sampling; Cochran 1977, ch. 12).

    Raises:
        ArgumentError: something else than one :class:`Judged`.
    """
    if not isinstance(designs, Judged):
        raise ArgumentError(
            f"plan(designs={told(designs)}): for people and judges together give an.planning.Judged(answer=price of a judge's answer)"
        )
    pilot, votes = _Pilot.of(found), found.votes
    each = found.people / len(np.unique(votes.annotator))  # answers of a person
    per_vote = cost.answer + cost.annotator / each
    judged = designs.answer * len(found.judges)

    def price(share: float) -> float:
        return float(pilot.variance(share).max() * (judged + share * per_vote))

    best = minimize_scalar(
        lambda x: price(math.exp(x)), bounds=(math.log(LEAST_SHARE), math.log(1 - 1e-6)), method="bounded"
    )
    cheapest = math.exp(float(best.x))
    rows = [_row("people alone", found, 1.0, pilot.people, precision, per_vote, 0.0, each)]
    for label, share in [
        *((f"{s:.3g} of the questions", s) for s in designs.shares),
        (f"{cheapest:.2g}, the cheapest share", cheapest),
    ]:
        rows.append(_row(label, found, share, pilot.variance(share), precision, per_vote, judged, each))
    _, function = target_function("utilities")
    settings = {"among": "people beside judges", "judges": list(found.judges), **versions()}
    return Plan(tuple(rows), "utilities", found.estimate, precision, cost, function, settings=settings)


def _row(
    name: str,
    found: PredictionPowered,
    share: float,
    variance: Floats,
    precision: float,
    per_vote: float,
    judged: float,
    each: float,
) -> PlanRow:
    votes = found.votes
    questions = math.ceil(Z**2 * float(variance.max()) / precision**2)
    answers = max(1, math.ceil(share * questions))
    menus = np.stack([votes.first, votes.second], 1)
    asked = max(1, round(each))
    return PlanRow(
        name=name,
        design=Design(
            votes.items, menus=menus, menu_weights=found.parts.weight / found.parts.weight.sum(), questions=asked
        ),
        population=Annotator(Tabular(found.estimate.tolist()), Luce()),
        identifies=True,
        verdict="identified",
        reason="",
        annotators=float(math.ceil(answers / each)),
        answers=float(answers),
        cost=answers * per_vote + questions * judged,
        half_width=Z * np.sqrt(variance / questions),
        judged=questions * len(found.judges) if judged or share < 1 else 0,
    )
