r"""How much tastes differ: an interval by inverting a test, simulated for the questions that were asked.

Annotator a's utility of item i is ``u_i + tau e_ai`` with independent standard normal ``e_ai``, and answers follow Luce's
rule. The statistic is Rao's score against random tastes, ``Q = sum_a (|sum_r s_r|^2 - sum_r |s_r|^2)``, with ``s_r`` the
residual score of answer r beside strengths that are fitted again. Its law is simulated at every tau, and the interval holds
each tau under which the observed Q is none of the 2.5 % largest or smallest; the estimate is the tau at which it is the
median. So nothing is expanded in powers of tau. Under tastes that differ, strengths that fit everybody's answers are flatter
than ``u``, by the root of ``1 + 2 (16 sqrt(3) / (15 pi))^2 tau^2`` (Zeger, Liang and Albert 1988).

The upper end is power-constrained (Cowan, Cranmer, Gross and Vitells 2011): a Q below the 16 % quantile of what it is without
any spread counts as that quantile, so that answers that depend on each other less than chance would have it bound tau no
closer, and no interval is a point.

How often the 95 % interval holds the truth, 8 items of spread .65, 60 annotators, 200 worlds each (standard error 1.5 %;
``python tests/diagnosis/test_tastes.py``; 2026-12-01)::

    answers each    sd 0   .25    .5     1     (median length)
    20              95.5  96.0  96.0  97.5  (0.39, 0.44, 0.43, 0.53)
    60              99.0  96.0  96.5  97.5  (0.20, 0.21, 0.18, 0.28)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm, pearson3

from annosim.data.counts import combine
from annosim.data.preferences import PreferenceData
from annosim.diagnosis.case import Case, people_of
from annosim.diagnosis.implied import Floats, Ints, first_of, implied
from annosim.diagnosis.strengths import Strengths, strengths
from annosim.learning.existence.connectivity import preference_levels
from annosim.random import child_seed, uniform53

__all__ = ["LARGEST", "TasteSpread", "taste_spread"]

#: answers of pairs that are simulated at once; of more, the answers of some annotators, drawn at random
MOST = 15_000
#: simulations at each spread, and of more than so many answers
DRAWS, LARGE, FEWER = 200, 6_000, 100
#: spreads that are simulated, logits
GRID = (0.0, *np.geomspace(0.06, 6.0, 19).tolist())
LARGEST = GRID[-1]
#: Zeger, Liang and Albert (1988): a logistic law is about a normal one of this standard deviation
FLATTER = 16 * np.sqrt(3) / (15 * np.pi)
SIDE = 0.025
#: quantile without spread that bounds tau most
CONSTRAINED = 0.16
#: normal quantile beyond which a probability is 0 or 1
FAR = 8.0


@dataclass(frozen=True)
class TasteSpread:
    """Standard deviation of each item's utility between annotators, in logits.

    Attributes:
        value: at which the observed dependence is the median; infinite above :data:`LARGEST`.
        low, high: 95 % interval, ``low`` at most :data:`LARGEST`; ``high`` is infinite where the answers set no bound below :data:`LARGEST`.
        seen: the spread that a test at 5 % would see with probability .8; infinite where none below :data:`LARGEST`.
        annotators: how many people it rests on.
        whole: whether these are all.
        draws: simulations at each spread.

    Example:
        >>> import annosim as an
        >>> from annosim.diagnosis.case import Case, people_of
        >>> people = an.Annotator(an.Tabular([0.0, 0.5, 1.0]), an.Luce())
        >>> votes = an.simulate(people, an.Design(an.Items(n=3), annotators=40, questions=10), seed=0)
        >>> found = taste_spread(Case(votes))
        >>> found.low <= 0.0 < found.high < 1.0
        True
    """

    value: float
    low: float
    high: float
    seen: float
    annotators: int
    whole: bool
    draws: int


def taste_spread(case: Case) -> TasteSpread | None:
    """The spread of tastes, or ``None`` where no answers of one annotator can depend on each other."""
    data, whole = _people(case)
    comparisons = implied(data, case.seed)
    found = strengths(comparisons.take(comparisons.won != 0.5))
    if found is None:
        return None
    asked = _Asked(_slots(data, case.seed), found)
    if not asked.repeated:
        return None
    law = _Law(asked, child_seed(case.seed, "diagnosis/tastes"))
    return TasteSpread(
        value=_where(law.z, 0.0),
        low=min(_where(law.z, -norm.isf(SIDE)), LARGEST),
        high=_where(law.bound, norm.isf(SIDE)),
        seen=_where(law.power, norm.ppf(0.8)),
        annotators=asked.annotators,
        whole=whole,
        draws=law.many,
    )


def _where(z: Callable[[int], float], level: float) -> float:
    """The spread at which a function of the grid that increases reaches a level, between grid points linearly."""
    low, high = 0, len(GRID) - 1
    if z(low) >= level:
        return 0.0
    if z(high) < level:
        return float("inf")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if z(middle) < level else (low, middle)
    share = (level - z(low)) / (z(high) - z(low))
    return float(GRID[low] + share * (GRID[high] - GRID[low]))


def _people(case: Case) -> tuple[PreferenceData, bool]:
    """The answers of all annotators, or of some that are drawn."""
    data, k = case.data, case.data.menu_size
    most = max(MOST // max(1, k * (k - 1) // 2), 200)
    several = (np.bincount(data.annotator_ids) > 1)[np.asarray(data.annotator_ids)]
    if data.row_weight.sum() > most and several.any():  # single answers do not depend on another one
        data = data.take(several)
    data = people_of(data, most, case.seed)
    if data.rows > most:
        data = Case(data, case.seed).part(most)
    if data.rows > 2 * most:  # few people who answered a great deal: some of the answers of each
        u = uniform53(child_seed(case.seed, "diagnosis/tastes/rows"), "bootstrap", np.arange(data.rows), 0)
        data = data.take(np.sort(np.argsort(u)[: 2 * most]))
    counts = np.asarray(case.data.row_weight)
    total = counts.sum() if (counts == np.round(counts)).all() else case.data.rows
    return data, data.rows == total


@dataclass(frozen=True, eq=False)
class _Slots:
    """Answers as orders of the items shown.

    Attributes:
        menu: ``(k, R)`` items, -1 for none.
        level: ``(k, R)`` the higher is preferred, equal ones are not compared.
        who: ``(R,)`` annotator.
        weight: ``(R,)``.
    """

    menu: Ints
    level: Floats
    who: Ints
    weight: Floats


def _slots(data: PreferenceData, seed: int) -> _Slots:
    if data.feedback.kind == "rating":
        c = implied(data, seed)
        return _Slots(np.stack([c.first, c.second]), np.stack([c.won, 1.0 - c.won]), c.who, c.weight)
    live = (np.asarray(data.row_weight) > 0) & ~np.asarray(data.skipped)
    menu = np.ascontiguousarray(np.asarray(data.menu)[live].T)
    level = np.where(menu >= 0, preference_levels(data)[live].T.astype(float), -np.inf)
    return _Slots(menu, level, np.asarray(data.annotator_ids)[live], np.asarray(data.row_weight)[live])


@dataclass(frozen=True, eq=False)
class _Asked:
    """The comparisons within strong components, and the statistic of any answers to them."""

    slots: _Slots
    found: Strengths

    @cached_property
    def sides(self) -> list[tuple[int, int, NDArray[np.bool_]]]:
        """Two places of the menu, and the answers in which their items are of one component."""
        menu = self.slots.menu
        of = np.where(menu >= 0, self.found.component[menu], -1)
        out = []
        for a in range(len(menu)):
            for b in range(a + 1, len(menu)):
                use = (of[a] >= 0) & (of[a] == of[b]) & (menu[a] != menu[b])
                if use.any():
                    out.append((a, b, use))
        return out

    @cached_property
    def item(self) -> Ints:
        """``(k, R)`` items, 0 for none."""
        return np.maximum(self.slots.menu, 0)

    @cached_property
    def place(self) -> Ints:
        """``(k, R)`` number of the annotator and the item."""
        who = np.broadcast_to(self.slots.who, self.item.shape)
        return combine([who.ravel(), self.item.ravel()]).reshape(self.item.shape)

    @cached_property
    def places(self) -> int:
        """How many annotators and items together."""
        return int(self.place.max(initial=-1)) + 1

    @cached_property
    def _of_place(self) -> Floats:
        """Weight of the annotator of each place."""
        weight = np.broadcast_to(self.slots.weight, self.item.shape).ravel()
        return np.asarray(weight[first_of(self.place.ravel())])

    @cached_property
    def _cell(self) -> tuple[Ints, Floats] | None:
        """Number of the answer and the item, and the weight of each, where some answer shows an item twice."""
        menu = np.sort(self.slots.menu, axis=0)
        if not ((menu[1:] == menu[:-1]) & (menu[1:] >= 0)).any():
            return None
        row = np.broadcast_to(np.arange(menu.shape[1]), menu.shape).ravel()
        cell = combine([row, self.item.ravel()])
        return cell, self.slots.weight[row[first_of(cell)]]

    @cached_property
    def repeated(self) -> bool:
        """Whether some annotator was asked about one item in two answers."""
        used = np.zeros(self.item.shape, dtype=bool)
        for a, b, use in self.sides:
            used[a] |= use
            used[b] |= use
        if not used.any():
            return False
        row = np.broadcast_to(np.arange(len(self.slots.who)), used.shape)[used]
        place = self.place[used]
        answers = place[first_of(combine([place, row]))]
        return bool(np.bincount(answers).max() > 1)

    @cached_property
    def annotators(self) -> int:
        """How many people answered."""
        return len(np.unique(self.slots.who))

    @cached_property
    def score(self) -> Floats:
        """Strengths, 0 for items without."""
        return np.nan_to_num(self.found.score)

    def _scores(self, level: Floats, strength: Floats) -> Floats:
        """Residual scores of answers, ``(k, R)``."""
        shown = strength[self.item]
        out = np.zeros(level.shape)
        for a, b, use in self.sides:
            live = use & (level[a] != level[b])
            rest = np.where(live, (level[a] > level[b]) - expit(shown[a] - shown[b]), 0.0)
            out[a] += rest
            out[b] -= rest
        return out

    def statistic(self, level: Floats, refit: bool) -> float:
        """Q, beside the strengths of the data, or beside those of these answers by one step."""
        scores, weight = self._scores(level, self.score), self.slots.weight
        if refit:
            right: Floats = np.bincount(self.item.ravel(), (weight * scores).ravel(), len(self.score)).astype(
                np.float64
            )
            scores = self._scores(level, self.score + self.found.solve(right))
        total = np.bincount(self.place.ravel(), scores.ravel(), self.places)
        if self._cell is None:
            own = float((weight * scores**2).sum())
        else:
            cell, of_cell = self._cell
            own = float((of_cell * np.bincount(cell, scores.ravel()) ** 2).sum())
        return float((self._of_place * total**2).sum()) - own


class _Law:
    """Simulated laws of the statistic at the spreads of :data:`GRID`, from the same random numbers at each."""

    def __init__(self, asked: _Asked, seed: int):
        self.asked, self.seed = asked, seed
        self.many = DRAWS if len(asked.slots.who) <= LARGE else FEWER
        self.observed = asked.statistic(asked.slots.level, refit=False)
        self._pattern = -np.sort(-asked.slots.level, axis=0)
        self._drawn: dict[int, Floats] = {}

    def draws(self, k: int) -> Floats:
        """``(many,)`` statistics at the k-th spread."""
        if k not in self._drawn:
            tau, asked = GRID[k], self.asked
            strength = asked.score * np.sqrt(1.0 + 2.0 * (FLATTER * tau) ** 2)
            generator = np.random.Generator(np.random.Philox(self.seed))
            slow, none = np.exp(-strength)[asked.item], asked.slots.menu < 0
            out = np.empty(self.many)
            for d in range(self.many):
                # the order of Luce's rule is that of exponential waiting times with rates exp(utility)
                own = np.exp(-tau * generator.standard_normal(asked.places))
                wait = generator.standard_exponential(slow.shape) * slow * own[asked.place]
                wait[none] = np.inf
                out[d] = asked.statistic(self._level(wait), refit=True)
            self._drawn[k] = out
        return self._drawn[k]

    def _level(self, wait: Floats) -> Floats:
        """Levels as those that were given (what was ranked, and what was tied), the shortest wait first."""
        if len(wait) == 2:
            return np.where(wait[0] < wait[1], self._pattern, self._pattern[::-1])
        level = np.empty(wait.shape)
        np.put_along_axis(level, np.argsort(wait, axis=0), self._pattern, 0)
        return level

    def _below(self, k: int, at: float) -> float:
        """P(Q <= at) as a normal quantile, by a Pearson III law of the draws' mean, variance and skewness."""
        draws = self.draws(k)
        sd = float(draws.std(ddof=1))
        if sd <= 1e-12 * max(abs(at), 1.0):
            return float(np.sign(at - draws[0])) * FAR
        skew = float((((draws - draws.mean()) / sd) ** 3).mean())
        law = pearson3(skew if abs(skew) > 0.05 else 0.0)
        x = (at - float(draws.mean())) / sd
        below, above = float(law.cdf(x)), float(law.sf(x))
        return float(np.clip(norm.ppf(below) if below < 0.5 else norm.isf(above), -FAR, FAR))

    def z(self, k: int) -> float:
        """P(Q > observed) as a normal quantile."""
        return -self._below(k, self.observed)

    def bound(self, k: int) -> float:
        """P(Q > observed) as a normal quantile, where the observed one is at least the low one of no spread."""
        return -self._below(k, max(self.observed, float(np.quantile(self.draws(0), CONSTRAINED))))

    def power(self, k: int) -> float:
        """Probability of exceeding the 95 % quantile without spread, as a normal quantile."""
        return -self._below(k, float(np.quantile(self.draws(0), 0.95)))
