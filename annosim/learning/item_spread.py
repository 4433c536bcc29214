"""Item random effects: the spread of the items' utilities by their marginal likelihood, and the utilities shrunk by it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import chi2

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, NotIdentifiedError
from annosim.learning.arguments import check_model, models_of
from annosim.learning.fitting import fit
from annosim.learning.likelihoods.base import Likelihood
from annosim.learning.likelihoods.luce import LuceTable, prompt_indicators
from annosim.learning.likelihoods.reference import check_answers
from annosim.learning.likelihoods.registry import likelihood_of
from annosim.learning.likelihoods.row_logit import RowLogit
from annosim.learning.priors import Gaussian
from annosim.learning.problem import Problem
from annosim.learning.solvers.functions import Function
from annosim.learning.solvers.maximise import maximise
from annosim.learning.structure import free_table
from annosim.parameters import fixed
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.results import Result, versions
from annosim.utilities.tabular import Tabular

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ItemSpread", "estimate_spread"]

Vector = NDArray[np.float64]

#: items of which the matrix of curvature is formed
MOST_ITEMS = 2000
#: logarithms of the spreads that are tried (utilities in logits)
SMALLEST, LARGEST = -5.0, 3.5
#: fall of the log marginal likelihood at the ends of a 95 % interval
FALL = float(chi2.ppf(0.95, 1)) / 2


@dataclass(frozen=True, eq=False, repr=False)
class ItemSpread(Result):
    """What :func:`estimate_spread` found.

    Attributes:
        sd: standard deviation of the items' utilities in logits; 0 where they differ by no more than chance.
        low, high: 95 % interval by the marginal likelihood; 0 and infinity where the answers set no bound.
        likelihood_ratio: twice the gain in log marginal likelihood over items that are all alike.
        p_value: of that gain where they are all alike: half the tail of chi-square with one degree of freedom, as 0 is at
            the boundary (Self and Liang 1987).
        names: of the items.
        utilities: ``(n,)`` posterior modes at ``sd``, centred in each prompt.
        errors: ``(n,)`` their posterior standard deviations at ``sd``.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 1.0, -1.0]), an.Luce())
        >>> data = an.simulate(people, an.Design(an.Items(n=3), annotators=200), seed=0)
        >>> estimate_spread(an.Annotator(an.Tabular(3), an.Luce()), data).to_frame().columns.tolist()
        ['item', 'utility', 'standard_error']
    """

    sd: float
    low: float
    high: float
    likelihood_ratio: float
    p_value: float
    names: tuple[str, ...]
    utilities: Vector
    errors: Vector

    @property
    def prior(self) -> Gaussian:
        """The prior with this spread: ``an.fit(model, data, prior=found.prior)``.

        Raises:
            ArgumentError: the spread is 0.
        """
        if not self.sd > 0:
            raise ArgumentError("ItemSpread.prior: the spread is 0: the items do not differ by more than chance")
        return Gaussian(self.sd)

    def to_frame(self) -> pd.DataFrame:
        """A row for each item: name, posterior mode and standard deviation of its utility."""
        import pandas as pd

        return pd.DataFrame({"item": self.names, "utility": self.utilities, "standard_error": self.errors})

    def _lines(self) -> list[tuple[str, object]]:
        return [
            ("spread of the items", f"{self.sd:.3g} logits (95 %: {self.low:.3g} to {self.high:.3g})"),
            ("against items all alike", f"likelihood ratio {self.likelihood_ratio:.3g}, p = {self.p_value:.2g}"),
            ("items", len(self.names)),
        ]


def estimate_spread(model: Population, data: PreferenceData) -> ItemSpread:
    r"""The spread of items' utilities as random effects, ``u_i = m + sd e_i`` with ``e_i`` standard normal.

    The marginal likelihood ``m(sd) = int P(data | u, b) N(u; m, sd^2) du db dm`` is approximated by Laplace's method at its
    mode; other free numbers ``b`` (coefficients, ties) are integrated under flat priors, as in restricted maximum
    likelihood. Good where items are compared often; where most items have a handful of answers the approximation
    understates the spread (as it does for every generalised linear mixed model), and :func:`annosim.sample_posterior`
    with ``an.priors.Hierarchical`` is exact.

    Args:
        model: one annotator with a free table of utilities; the rule may have free numbers of its own.
        data: the answers, without replicates.

    Raises:
        ArgumentError: another model, more than 2,000 items or less than two of a prompt, replicates, ratings, weights that
            are all 0, or a free tie parameter without a tie.
        NotIdentifiedError: the rule's own numbers have no finite estimate beside the spread: every answer is for one side, or
            a covariate separates the answers.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 1.0, -1.0, 0.5]), an.Luce())
        >>> data = an.simulate(people, an.Design(an.Items(n=4), annotators=400), seed=0)
        >>> found = estimate_spread(an.Annotator(an.Tabular(4), an.Luce()), data)
        >>> 0.3 < found.low < found.sd < found.high, found.p_value < 1e-6
        (True, True)
    """
    one = _checked(model, data)
    _check_own_numbers(one, data)
    try:
        return _estimated(one, data)
    except ValueError as error:  # of the search for the ends: the likelihood is level or infinite there
        raise NotIdentifiedError(
            "estimate_spread: the marginal likelihood has no maximum in the spread and the rule's own numbers together "
            f"({error}); fix the rule's numbers, or collect answers that speak against their limits"
        ) from None


def _estimated(one: Annotator, data: PreferenceData) -> ItemSpread:
    marginal = _Marginal(likelihood_of(Problem(one, data)), one, data)
    grid = np.linspace(SMALLEST, LARGEST, 18)
    values = [marginal(z) for z in grid]
    at = int(np.argmax(values))
    zero = marginal(-np.inf)
    ends = grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)]
    best = minimize_scalar(lambda z: -marginal(z), bounds=ends, method="bounded", options={"xatol": 1e-7}).x
    top = marginal(best)
    if not top > zero + 1e-9 * max(abs(zero), 1.0):  # a gain that is rounding
        best, top = -np.inf, zero
    mode, errors = marginal.mode(best)
    gain = max(2.0 * (top - zero), 0.0)
    return ItemSpread(
        sd=float(np.exp(best)),
        low=_end(marginal, top, best, SMALLEST, zero),
        high=_end(marginal, top, best, LARGEST, None),
        likelihood_ratio=gain,
        p_value=float(0.5 * chi2.sf(gain, 1)) if gain > 0 else 1.0,
        names=tuple(data.items.names),
        utilities=mode,
        errors=errors,
        settings={"likelihood": marginal.likelihood.name, **versions()},
    )


def _check_own_numbers(one: Annotator, data: PreferenceData) -> None:
    """Raise where the rule's own numbers run to infinity beside utilities that do not: as among items all alike."""
    if not one.rule.num_free():
        return
    try:
        fit(Annotator(Tabular(fixed(np.zeros(data.items.n))), one.rule), data)
    except NotIdentifiedError as error:
        said = str(error).removeprefix("fit: ").split(". Remedies")[0].split("; collect answers")[0]
        raise NotIdentifiedError(
            f"estimate_spread: {said}. Remedies: give the rule's number as a number, or collect answers that speak against it."
        ) from None


def _checked(model: Population, data: PreferenceData) -> Annotator:
    if not isinstance(data, PreferenceData) or data.replicates is not None:
        raise ArgumentError("estimate_spread(data=): an.PreferenceData of one replicate, data[r]")
    (one,) = models_of("estimate_spread", model, data)
    if not isinstance(one, Annotator) or free_table(one) is None or one.rule.absolute:
        raise ArgumentError(
            "estimate_spread(model=): one annotator with a free table under a rule of choices or rankings, "
            "an.Annotator(an.Tabular(n), an.Luce())"
        )
    if data.items.n > MOST_ITEMS:
        raise ArgumentError(
            f"estimate_spread: {data.items.n} items, at most {MOST_ITEMS}; sample the posterior instead"
        )
    if int(np.bincount(data.items.prompts.numpy()).max()) < 2:
        raise ArgumentError(
            "estimate_spread: no prompt has two items, so that none differ; give items that are compared"
        )
    if not (np.asarray(data.row_weight) > 0).any():
        raise ArgumentError(
            "estimate_spread: every weight is 0, so that nobody answered; give answers a weight above 0"
        )
    if data.annotator_names is not None:
        one = one.for_annotators(data.annotator_names)
    check_model("estimate_spread", one, data.items, None)
    check_answers(one, data)
    *_, innermost = one.rule.layers()
    if innermost.ties and innermost.num_free() and not data.has_ties:
        raise ArgumentError(
            "estimate_spread: no answer is tied, so that the rule's tie parameter has no finite estimate; use a rule "
            "without ties, an.Luce()"
        )
    slope = one.rule.affine(data.items)
    if slope is None or not bool((slope[0] == slope[0][0]).all()):
        raise ArgumentError("estimate_spread: the rule does not scale all utilities alike; give one that does")
    return one


def _end(marginal: _Marginal, top: float, best: float, limit: float, zero: float | None) -> float:
    """End of the interval towards a limit: where the log marginal likelihood has fallen enough."""
    if zero is not None and (zero > top - FALL or best <= limit):
        return 0.0
    fall = lambda z: marginal(z) - (top - FALL)  # noqa: E731
    start = max(best, SMALLEST)
    if fall(limit) > 0:
        return 0.0 if zero is not None else float("inf")
    return float(np.exp(brentq(fall, *sorted((start, limit)), xtol=1e-6)))


class _Marginal:
    """The log marginal likelihood of ``log sd``, by Laplace's method, up to a constant."""

    def __init__(self, likelihood: Likelihood, one: Annotator, data: PreferenceData):
        self.likelihood, self.items = likelihood, data.items
        self.n = data.items.n
        slope = one.rule.affine(data.items)
        own = isinstance(likelihood, LuceTable | RowLogit)  # their coordinates are the index itself
        self.factor = 1.0 if own or slope is None else float(slope[0][0])
        self.last = np.zeros(len(likelihood.start(one)))
        self.last[self.n :] = likelihood.start(one)[self.n :]

    @cached_property
    def level(self) -> Vector:
        """Indicators of the prompts in the coordinates, of length one, ``(P, G)``."""
        marks = prompt_indicators(self.items.prompts.numpy())
        out = np.zeros((len(self.last), marks.shape[1]))
        out[: self.n] = marks / np.linalg.norm(marks, axis=0)
        return out

    def _penalty(self, precision: float) -> Vector:
        """Curvature of the prior, ``(P, P)``; the level of each prompt is free."""
        out = np.zeros((len(self.last), len(self.last)))
        top = self.level[: self.n]
        out[: self.n, : self.n] = precision * self.factor**2 * (np.eye(self.n) - top @ top.T)
        return out

    def _mode(self, z: float) -> tuple[Vector, float, Vector]:
        """Mode, log posterior there without constants, and minus the Hessian (with the levels deflated)."""
        if z == -np.inf:
            return self._all_alike()
        penalty = self._penalty(float(np.exp(-2.0 * z)))

        def derivatives(x: Vector) -> tuple[float, Vector, Vector]:
            now = self.likelihood.evaluate(x)
            pull = penalty @ x
            return now.value - 0.5 * float(x @ pull), now.gradient - pull, np.asarray(now.curvature) + penalty

        function = Function(derivatives, np.maximum(self.likelihood.scale, 1.0), self.level, self.likelihood.longest)
        found = maximise(function, self.last, 1e-10, 100)
        self.last = found.point
        return found.point, found.value, np.asarray(found.evaluation.curvature) + self.level @ self.level.T

    def _all_alike(self) -> tuple[Vector, float, Vector]:
        """Items without any difference: the other numbers alone."""
        rest = slice(self.n, len(self.last))

        def derivatives(b: Vector) -> tuple[float, Vector, Vector]:
            now = self.likelihood.evaluate(np.r_[np.zeros(self.n), b])
            return now.value, now.gradient[rest], np.asarray(now.curvature)[rest, rest]

        longest = self.likelihood.longest
        longest = longest[rest] if isinstance(longest, np.ndarray) else longest
        scale = np.maximum(np.asarray(self.likelihood.scale)[rest], 1.0)
        found = maximise(Function(derivatives, scale, None, longest), self.last[rest], 1e-10, 100)
        full = np.eye(len(self.last))
        full[rest, rest] = np.asarray(found.evaluation.curvature)
        return np.r_[np.zeros(self.n), found.point], found.value, full

    def __call__(self, z: float) -> float:
        """At ``log sd``; minus infinity for items that are all alike."""
        _, value, curvature = self._mode(z)
        volume = 0.5 * float(np.linalg.slogdet(curvature)[1])
        if z == -np.inf:
            return value - volume
        return value - volume - (self.n - self.level.shape[1]) * (z - np.log(self.factor))

    def mode(self, z: float) -> tuple[Vector, Vector]:
        """Utilities in logits and their posterior standard deviations, ``(n,)`` each."""
        point, _, curvature = self._mode(z)
        if z == -np.inf:
            return np.zeros(self.n), np.zeros(self.n)
        top = self.level[: self.n]
        centred = np.eye(self.n) - top @ top.T
        spread = np.linalg.inv(curvature)[: self.n, : self.n]
        errors = np.sqrt(np.maximum(np.diag(centred @ spread @ centred), 0.0))
        return self.factor * (centred @ point[: self.n]), self.factor * errors
