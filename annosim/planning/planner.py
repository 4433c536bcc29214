"""``plan(population, designs)``: what it would cost to know a target to a given precision."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri

from annosim.coordinates.identifiable import in_float64
from annosim.data.asked import design_of
from annosim.data.preferences import PreferenceData
from annosim.designs.design import Design
from annosim.errors import ArgumentError, told
from annosim.identifiability.families import AnyTastes, Types
from annosim.identifiability.functionals import evaluate
from annosim.identifiability.identification import check_counts
from annosim.identifiability.twins import population_at
from annosim.learning.inference.prediction_powered import PredictionPowered
from annosim.learning.result import Fit
from annosim.parameters import Unconstrained
from annosim.planning.cost import Cost, questions_per_annotator
from annosim.planning.families import among_tastes, among_types
from annosim.planning.judged import Judged, plan_votes
from annosim.planning.precision import needed
from annosim.planning.question_bounds import Bound, Z, variance_per_annotator
from annosim.planning.result import Plan
from annosim.planning.row import PlanRow
from annosim.planning.sequential import Sequential
from annosim.planning.sequential_plan import plan_interviews
from annosim.planning.targets import Target, target_function
from annosim.populations.annotator import Annotator, check_utilities
from annosim.populations.base import Population
from annosim.random import child_seed, uniform53
from annosim.results import versions

__all__ = ["describe", "plan"]

#: A design, data that answer one, who answers it and the design, or a sequential design.
DesignEntry: TypeAlias = Design | PreferenceData | tuple[Population, Design | PreferenceData] | Sequential
#: What is compared; a mapping names the designs.
Designs: TypeAlias = Design | PreferenceData | Sequential | Judged | Sequence[DesignEntry] | Mapping[str, DesignEntry]


class _Request(NamedTuple):
    """What every row answers."""

    function: Target
    precision: float
    cost: Cost
    among: Types | AnyTastes | None
    starts: int
    seed: int
    jobs: int | None


def plan(
    population: Population | Fit | PredictionPowered,
    designs: Designs,
    *,
    target: str | Target | None = None,
    precision: float = 0.05,
    cost: Cost | None = None,
    among: Types | AnyTastes | None = None,
    starts: int = 6,
    draws: int = 40,
    seed: int = 0,
    jobs: int | None = None,
) -> Plan:
    """Annotators, answers and money that each design needs to know a target to a given precision.

    The half-width of a 95 % interval of every component of the target is ``1.96 sqrt(variance / annotators)``, with the
    Cramer-Rao bound of one annotator's whole block as its variance. :meth:`Plan.check` simulates and fits at the
    recommended size.

    Args:
        population: a guess of who answers; or a :class:`Fit` of a pilot, whose sampling distribution is then drawn
            from. Or a :class:`annosim.learning.PredictionPowered` pilot of people and judges, whose design is an
            :class:`annosim.planning.Judged`: rows say what each share of questions for people costs (``target`` is then
            the strengths).
        designs: designs to compare; a mapping names them; data stand for the design that they
            answer. An entry may be a pair ``(population, design)`` where the
            design changes how people answer (ties allowed, say). Entries that are :class:`annosim.planning.Sequential` are
            interviews: their rows say how many questions each annotator is asked until their own target is decided
            (``target`` and ``precision`` are then those of the entries).
        target: a name of ``annosim.identifiability.functionals.FUNCTIONALS``, or a function of the population
            (:func:`annosim.identifiability.mean_gap`, :func:`annosim.planning.policy_value`, your own). By default
            ``"weights"`` where there are several types, ``"utilities"`` of one annotator, else ``"mean utility"``.
        precision: half-width of the interval, in the target's unit.
        cost: prices.
        among: what else is possible. ``None``: the population's own family. ``an.types(K)``: populations of K types; a
            twin among them with another value of the target makes it unknown, and with more types than the population
            has the annotators are *at least* so many (the family is singular there). ``an.any_tastes(grid)``: any
            distribution of tastes; a target that the law only bounds needs ``inf`` annotators and has its interval in
            ``low`` and ``high``; for others as many annotators *suffice*, whatever the tastes are.
        starts: starts of the search for a twin that has another value of the target.
        draws: draws of a fit's sampling distribution (median and 90 % range of the annotators needed).
        seed: of these, and of simulated information.
        jobs: processes of the search for twins, as in :func:`annosim.identify`.

    Raises:
        ArgumentError: no design, a precision that is not positive, a target that cannot be planned for.

    Example:
        >>> import annosim as an
        >>> items = an.Items.normal(5, 1, seed=0)
        >>> two = an.Mixture([an.Annotator(an.Linear([s]), an.Luce()) for s in (2., -1.)], weights=[.6, .4])
        >>> found = plan(two, {"once": an.Design(items), "twice": an.Design(items, questions=3)}, precision=.1)
        >>> found.best.name
        'twice'
    """
    cost = Cost() if cost is None else cost
    if isinstance(population, PredictionPowered):
        _check(precision, cost, among)
        return plan_votes(population, designs, float(precision), cost)
    if isinstance(designs, Judged):
        raise ArgumentError(
            "plan: Judged(...) needs a pilot of people and judges, from an.learning.prediction_powered(votes, judges)"
        )
    if interviews := _sequential(designs):
        _check(precision, cost, among)
        return plan_interviews(population, interviews, cost, seed)
    named = _named(designs)
    _check(precision, cost, among, starts=starts, draws=draws, jobs=jobs)
    centre, others = _draws(population, draws, seed)
    name, function = target_function(default_target(centre) if target is None else target)
    request = _Request(function, float(precision), cost, among, starts, seed, jobs)
    rows = []
    for label, (own, design) in named.items():
        check_utilities(own or centre, design.items)
        rows.append(_row(label, own or centre, design, [] if own else others, request))
    settings = {"starts": starts, "seed": seed, "draws": len(others), "among": str(among or "its own family")}
    value = evaluate(function, rows[0].population, rows[0].design.items).numpy()
    return Plan(tuple(rows), name, value, request.precision, cost, function, settings={**settings, **versions()})


def default_target(population: Population) -> str:
    """What a plan is for where nobody says it: the weights of types; the utilities of one type, their mean where tastes vary.

    Example:
        >>> import annosim as an
        >>> default_target(an.Annotator(an.Tabular(3), an.Luce()))
        'utilities'
    """
    if population.component_weights().numel() > 1 and _weights_are_free(population):
        return "weights"
    return "utilities" if isinstance(population, Annotator) else "mean utility"


def _weights_are_free(population: Population) -> bool:
    """Whether the shares of the types move with some free number."""
    if not population.num_free():
        return False
    slope = torch.func.jacrev(lambda v: population.functional_call(v, lambda p: p.component_weights()))(
        population.vector()
    )
    return bool((slope.abs() > 1e-12).any())


def _check(precision: object, cost: object, among: object, **counts: int | None) -> None:
    is_number = isinstance(precision, int | float | np.number) and not isinstance(precision, bool)
    if not is_number or not 0 < float(precision) < math.inf:  # type: ignore[arg-type]
        raise ArgumentError(f"plan(precision={told(precision)}): a half-width, a number above 0")
    if not isinstance(cost, Cost):
        raise ArgumentError(f"plan(cost={told(cost)}): give an.Cost(annotator=1.0, answer=0.1)")
    if among is not None and not isinstance(among, Types | AnyTastes):
        raise ArgumentError(f"plan(among={told(among)}): None (its own family), an.types(K) or an.any_tastes(grid)")
    check_counts("plan", **counts)


def _sequential(designs: Designs) -> dict[str, Sequential]:
    """The sequential designs by name; empty where there are none."""
    entries = {"": designs} if isinstance(designs, Design | PreferenceData | Sequential) else designs
    if not isinstance(entries, Mapping):
        listed = entries if isinstance(entries, Sequence) else ()
        entries = {str(number) if len(listed) > 1 else "": entry for number, entry in enumerate(listed)}
    found = {name: entry for name, entry in entries.items() if isinstance(entry, Sequential)}
    if found and len(found) < len(entries):
        raise ArgumentError(
            "plan(designs=): sequential designs decide something of each annotator, the others tell something of the population; "
            "plan them apart"
        )
    return {
        name
        if isinstance(name, str) and name
        else f"{entry.choose} {describe(entry.design)}{f' ({name})' if name else ''}": entry
        for name, entry in found.items()
    }


def _named(designs: Designs) -> dict[str, tuple[Population | None, Design]]:
    wrong = "plan(designs=): a list of an.Design(...), or a mapping of names to them, or to (population, design) pairs"
    if isinstance(designs, Design | PreferenceData):
        designs = [designs]
    if not isinstance(designs, Mapping | Sequence) or isinstance(designs, str) or not designs:
        raise ArgumentError(wrong)
    entries = list(designs.items()) if isinstance(designs, Mapping) else [(None, d) for d in designs]
    named: dict[str, tuple[Population | None, Design]] = {}
    for name, entry in entries:
        own, design = entry if isinstance(entry, tuple) and len(entry) == 2 else (None, entry)
        if isinstance(design, PreferenceData):
            design = design_of(design)
        if not isinstance(design, Design) or not (own is None or isinstance(own, Population)):
            raise ArgumentError(wrong)
        label = describe(design) if name is None else str(name)
        named[label if label not in named else f"{label} ({len(named) + 1})"] = own, design
    return named


def describe(design: Design) -> str:
    """A short name: ``"best of 3, 2 questions"``.

    Example:
        >>> import annosim as an
        >>> describe(an.Design(an.Items(n=4), menu_size=3, questions=2)), describe(an.Design(an.Items(n=4)))
        ('best of 3, 2 questions', 'pairs')
    """
    kind, k = design.feedback.kind, design.menu_size
    what = "pairs" if kind == "choice" and k == 2 else f"best of {k}" if kind == "choice" else f"{kind} of {k}"
    what = f"top {design.feedback.depth} of {k}" if kind == "top" else what
    what += f" among {len(design.menus)} menus" if design.menus is not None else ""
    q = questions_per_annotator(design)
    return what if q == 1 else f"{what}, {q:g} questions"


def _draws(population: Population | Fit, count: int, seed: int) -> tuple[Population, list[Population]]:
    """The centre, and draws of a fit's sampling distribution (normal, restricted to the constraints)."""
    if isinstance(population, Population):
        return population, []
    if not isinstance(population, Fit):
        raise ArgumentError(f"plan(population={told(population)}): a population, or a Fit of pilot data")
    fitted = in_float64(population.population)
    covariance = torch.as_tensor(population.covariance()).double()
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors * values.clamp_min(0).sqrt()
    v, check = fitted.vector(), Unconstrained(fitted, margin=1e-6)
    out: list[Population] = []
    for number in range(20 * count):
        z = torch.as_tensor(ndtri(uniform53(child_seed(seed, f"plan/{number}"), "bootstrap", np.arange(len(v)), 0)))
        drawn = v + root @ z
        if check.feasible(drawn, slack=0.0):
            out.append(population_at(fitted, drawn))
        if len(out) == count:
            break
    return fitted, out


def _bound(population: Population, design: Design, request: _Request, starts: int | None) -> Bound:
    """The one dispatch on the family."""
    family, function = request.among, request.function
    if isinstance(family, AnyTastes):
        return among_tastes(population, design, function, family, precision=request.precision, seed=request.seed)
    if isinstance(family, Types):
        components = population.components()
        if len(components) != family.count or not all(isinstance(component, Annotator) for component in components):
            return among_types(
                population,
                design,
                function,
                family,
                starts=starts or 0,
                seed=request.seed,
                draws=20_000,
                jobs=request.jobs,
            )
    return variance_per_annotator(population, design, function, starts=starts, seed=request.seed, jobs=request.jobs)


def _row(label: str, population: Population, design: Design, others: list[Population], request: _Request) -> PlanRow:
    found = _bound(population, design, request, request.starts)
    need = _annotators(found, request.precision)
    spread, share = None, 1.0
    if others:
        # the search for twins is made once, at the centre: it is what costs
        needs = np.array([_annotators(_bound(p, design, request, None), request.precision) for p in others])
        share = float(np.isfinite(needs).mean())
        if math.isfinite(need):
            low, middle, high = (np.quantile(needs, q, method="closest_observation") for q in (0.05, 0.5, 0.95))
            need, spread = float(middle), (float(low), float(high))
    questions, able = questions_per_annotator(design), math.isfinite(need)
    return PlanRow(
        name=label,
        design=design,
        population=population,
        identifies=able,
        verdict=found.verdict,
        reason="" if able else found.reason,
        annotators=need,
        answers=need * questions if able else math.inf,
        cost=request.cost.total(need, questions) if able else math.inf,
        half_width=(Z * (found.variance / need).sqrt() if able else torch.full_like(found.variance, math.inf)).numpy(),
        range=spread,
        share_identified=share,
        low=_array(found.low),
        high=_array(found.high),
        at_least=found.at_least,
    )


def _array(values: torch.Tensor | None) -> NDArray[np.float64] | None:
    return None if values is None else values.numpy()


def _annotators(bound: Bound, precision: float) -> float:
    worst = float(bound.variance.max()) if len(bound.variance) else 0.0
    return needed(Z * math.sqrt(worst), 1.0, precision)
