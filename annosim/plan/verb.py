"""``plan(population, designs)``: what it would cost to know a target to a given precision."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from annosim.designs import Design
from annosim.errors import ArgumentError
from annosim.plan.cost import Cost, questions_per_annotator
from annosim.plan.targets import Asked, Z, target_function, variance_per_annotator
from annosim.populations import Population
from annosim.results import Result, versions

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Plan", "PlanRow", "plan"]


@dataclass(frozen=True, eq=False)
class PlanRow:
    """One design of a plan.

    Attributes:
        name: of the design.
        design: the design.
        identifies: whether it identifies the target.
        verdict: of the population's own family.
        reason: why it does not.
        annotators: needed; ``inf`` when it does not identify the target.
        answers: annotators times questions.
        cost: of these.
        half_width: ``(m,)`` half-widths of 95 % intervals of the target's components at that number of annotators.
        range: 5 % and 95 % quantile of the annotators needed, over draws of a fit; ``None`` without a fit.
        share_identified: share of the draws in which the design identifies the target.
    """

    name: str
    design: Design
    identifies: bool
    verdict: str
    reason: str
    annotators: float
    answers: float
    cost: float
    half_width: torch.Tensor
    range: tuple[float, float] | None = None
    share_identified: float = 1.0


@dataclass(frozen=True, eq=False, repr=False)
class Plan(Result):
    """What each design needs for the target: a table, and :meth:`figure`.

    Attributes:
        rows: one per design.
        target: its name.
        value: ``(m,)`` its components at the population.
        precision: half-width of a 95 % interval that was asked for.
        cost: the prices.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
        >>> table = an.plan(people, [an.Design(an.Items(n=2))], target="utilities", precision=0.1)
        >>> table.rows[0].identifies
        True
    """

    rows: tuple[PlanRow, ...]
    target: str
    value: torch.Tensor
    precision: float
    cost: Cost

    @property
    def table(self) -> pd.DataFrame:
        """One row per design: identified, annotators, answers, cost, reason."""
        import pandas as pd

        columns = ["design", "identifies", "verdict", "annotators", "answers", "cost", "reason"]
        out = pd.DataFrame([[r.name, r.identifies, r.verdict, r.annotators, r.answers, r.cost, r.reason]
                            for r in self.rows], columns=columns)  # fmt: skip
        if any(r.range is not None for r in self.rows):
            out["annotators 5 %"] = [r.range[0] if r.range else r.annotators for r in self.rows]
            out["annotators 95 %"] = [r.range[1] if r.range else r.annotators for r in self.rows]
            out["share identified"] = [r.share_identified for r in self.rows]
        return out

    @property
    def best(self) -> PlanRow | None:
        """The cheapest design that identifies the target."""
        able = [r for r in self.rows if math.isfinite(r.cost)]
        return min(able, key=lambda r: r.cost) if able else None

    def _title(self) -> str:
        return f"Plan: {self.target} to within {self.precision:g} (95 %)"

    def _lines(self):
        lines = []
        for r in self.rows:
            if not math.isfinite(r.annotators):
                lines.append((r.name, f"inf: {r.reason}"))
                continue
            spread = f" (90 %: {r.range[0]:,.0f} to {r.range[1]:,.0f})" if r.range else ""
            lines.append(
                (r.name, f"{r.annotators:,.0f} annotators{spread}, {r.answers:,.0f} answers, cost {r.cost:,.2f}")
            )
        lines.append(("cheapest", self.best.name if self.best else "none of them identifies the target"))
        return lines

    def _repr_html_(self) -> str:
        import html

        head = f"<h3>{html.escape(self._title())}</h3>"
        return head + self.table.to_html(index=False, float_format=lambda x: f"{x:,.6g}")

    def figure(self) -> Figure:
        """Half-width of the worst component against cost, one curve per design that identifies the target."""
        from annosim import plotting

        fig, grid = plotting.figure()
        axes = np.ravel(grid)[0]
        for row in self.rows:
            if not math.isfinite(row.annotators):
                axes.plot([], [], label=f"{row.name}: not identified", color="0.6")
                continue
            people = row.annotators * np.logspace(-1.5, 1, 60)
            width = float(row.half_width.max()) * np.sqrt(row.annotators / people)
            cost = [self.cost.total(n, questions_per_annotator(row.design)) for n in people]
            axes.plot(cost, width, label=row.name)
        axes.axhline(self.precision, color="0.3", linewidth=0.8, linestyle="--")
        axes.set(xscale="log", yscale="log", xlabel="cost", ylabel=f"half-width of a 95 % interval of {self.target}")
        axes.legend(frameon=False)
        return fig


def plan(
    population: Any,
    designs: Sequence[Design] | Mapping[str, Design] | Design,
    *,
    target: Any = "weights",
    precision: float = 0.05,
    cost: Cost | None = None,
    among: Any = None,
    starts: int = 6,
    draws: int = 40,
    seed: int = 0,
) -> Plan:
    """Annotators, answers and money that each design needs to know a target to a given precision.

    The half-width of a 95 % interval of every component of the target is taken from the Cramer-Rao bound of one
    annotator's
    whole block: ``1.96 sqrt(variance / annotators)``.

    Args:
        population: a guess of who answers; or a :class:`Fit` of a pilot, whose sampling distribution is then drawn
            from.
        designs: designs to compare; a mapping names them.
        target: ``"weights"``, ``"utilities"``, another name of ``annosim.identify.functionals.FUNCTIONALS``, or a
            function of the population (:func:`annosim.share_preferring` is not smooth, :func:`annosim.mean_gap` is).
        precision: half-width of the interval, in the target's unit.
        cost: prices.
        among: only the population's own family has finite costs; see :func:`annosim.identify` for others.
        starts: starts of the search for a twin that has another value of the target.
        draws: draws of a fit's sampling distribution (median and 90 % range of the annotators needed).
        seed: of these, and of simulated information.

    Raises:
        ArgumentError: no design, or a precision that is not positive.

    Example:
        >>> import annosim as an
        >>> items = an.Items.normal(5, 1, seed=0)
        >>> two = an.Mixture([an.Annotator(an.Linear([s]), an.Luce()) for s in (2., -1.)], weights=[.6, .4])
        >>> found = plan(two, {"once": an.Design(items), "twice": an.Design(items, questions=3)}, precision=.1)
        >>> found.best.name
        'twice'
    """
    named = _named(designs)
    cost = Cost() if cost is None else cost
    if not precision > 0:
        raise ArgumentError(f"plan(precision={precision}): a half-width above 0")
    if among is not None:
        raise ArgumentError(
            "plan(among=): costs are for the population's own family; ask identify(among=...) for bounds"
        )
    name, function = target_function(target)
    centre, others = _draws(population, draws, seed)
    rows = [_row(label, design, centre, others, function, precision, cost, starts, seed)
            for label, design in named.items()]  # fmt: skip
    first = next(iter(named.values()))
    with torch.no_grad():
        value = torch.as_tensor(function(centre, first.items)).double().reshape(-1)
    settings = {"starts": starts, "seed": seed, "draws": len(others), **versions()}
    return Plan(tuple(rows), name, value, precision, cost, settings=settings)


def _named(designs: Any) -> dict[str, Design]:
    if isinstance(designs, Design):
        designs = [designs]
    named = dict(designs) if isinstance(designs, Mapping) else {}
    if not isinstance(designs, Mapping):
        for design in designs:
            label = describe(design)
            named[label if label not in named else f"{label} ({len(named) + 1})"] = design
    if not named or not all(isinstance(d, Design) for d in named.values()):
        raise ArgumentError("plan(designs=): a list of an.Design(...), or a mapping of names to them")
    return named


def describe(design: Design) -> str:
    """A short name: ``"choice of 3 x 2"``.

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


def _draws(population: Any, count: int, seed: int) -> tuple[Population, list[Population]]:
    """The centre, and draws of a fit's sampling distribution (normal, restricted to the constraints)."""
    if isinstance(population, Population):
        return population, []
    fitted = getattr(population, "population", None)
    if not isinstance(fitted, Population):
        raise ArgumentError(f"plan(population={population!r}): a population, or a Fit of pilot data")
    from scipy.special import ndtri

    from annosim.identify.search import Unconstrained
    from annosim.identify.twins import population_at
    from annosim.information import double
    from annosim.random import child_seed, uniform53

    fitted = double(fitted)
    covariance = torch.as_tensor(population.covariance()).double()
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors * values.clamp_min(0).sqrt()
    v, check, out = fitted.vector(), Unconstrained(fitted), []
    for number in range(20 * count):
        z = torch.as_tensor(ndtri(uniform53(child_seed(seed, f"plan/{number}"), "bootstrap", np.arange(len(v)), 0)))
        drawn = v + root @ z
        if check.feasible(drawn, slack=0.0):
            out.append(population_at(fitted, drawn))
        if len(out) == count:
            break
    return fitted, out


def _row(label, design, centre, others, function, precision, cost, starts, seed) -> PlanRow:
    asked = variance_per_annotator(centre, design, function, starts=starts, seed=seed)
    need = _annotators(asked, precision)
    spread, share = None, 1.0
    if others:
        # the search for twins is made once, at the centre: it is what costs
        needs = np.array(
            [_annotators(variance_per_annotator(p, design, function, seed=seed), precision) for p in others]
        )
        share = float(np.isfinite(needs).mean())
        if math.isfinite(need):
            low, middle, high = (np.quantile(needs, q, method="closest_observation") for q in (0.05, 0.5, 0.95))
            need, spread = float(middle), (float(low), float(high))
    questions = questions_per_annotator(design)
    able = math.isfinite(need)
    width = Z * (asked.variance / need).sqrt() if able else torch.full_like(asked.variance, math.inf)
    return PlanRow(
        label, design, able, asked.verdict, "" if able else asked.reason, need, need * questions if able else math.inf,
        cost.total(need, questions) if able else math.inf, width, spread, share,
    )  # fmt: skip


def _annotators(asked: Asked, precision: float) -> float:
    worst = float(asked.variance.max()) if len(asked.variance) else 0.0
    return float(max(1, math.ceil(Z**2 * worst / precision**2))) if math.isfinite(worst) else math.inf
