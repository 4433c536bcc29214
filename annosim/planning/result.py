"""A plan as a result: its table, its figure, and the check by simulation."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from annosim.designs.design import Design
from annosim.errors import ArgumentError
from annosim.identifiability.formatting import fold
from annosim.planning.check import PlanCheck, simulate_at
from annosim.planning.cost import Cost
from annosim.planning.figure import draw_plan
from annosim.populations.base import Population
from annosim.results import Result

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Plan", "PlanRow"]


@dataclass(frozen=True, eq=False)
class PlanRow:
    """One design of a plan.

    Attributes:
        name: of the design.
        design: the design.
        population: who answers it.
        identifies: whether it identifies the target (all its components).
        verdict: of the family that was asked about.
        reason: why it does not.
        annotators: needed; ``inf`` when it does not identify the target.
        answers: annotators times questions.
        cost: of these.
        half_width: ``(m,)`` half-widths of 95 % intervals of the target's components at that number of annotators.
        range: 5 % and 95 % quantile of the annotators needed, over draws of a fit; ``None`` without a fit.
        share_identified: share of the draws in which the design identifies the target.
        low, high: ``(m,)`` bounds of the target over the family, where ``among=`` computed them.
        at_least: the annotators are a lower bound: the family is singular at the population.
    """

    name: str
    design: Design
    population: Population
    identifies: bool
    verdict: str
    reason: str
    annotators: float
    answers: float
    cost: float
    half_width: torch.Tensor
    range: tuple[float, float] | None = None
    share_identified: float = 1.0
    low: torch.Tensor | None = None
    high: torch.Tensor | None = None
    at_least: bool = False

    def __str__(self) -> str:
        if not math.isfinite(self.annotators):
            return f"inf: {self.reason}{self.interval()}"
        spread = f" (90 %: {self.range[0]:,.0f} to {self.range[1]:,.0f})" if self.range else ""
        least = "at least " if self.at_least else ""
        return f"{least}{self.annotators:,.0f} annotators{spread}, {self.answers:,.0f} answers, cost {self.cost:,.2f}"

    def interval(self) -> str:
        """Bounds of the widest component in words, or ``""``."""
        if self.low is None or self.high is None:
            return ""
        at = int((self.high - self.low).argmax())
        which = f" component {at}" if len(self.low) > 1 else ""
        return f":{which} in [{float(self.low[at]):.4g}, {float(self.high[at]):.4g}]"


@dataclass(frozen=True, eq=False, repr=False)
class Plan(Result):
    """What each design needs for the target: a table, a :meth:`figure`, and a :meth:`check` by simulation.

    Attributes:
        rows: one per design.
        target: its name.
        value: ``(m,)`` its components at the population.
        precision: half-width of a 95 % interval that was asked for.
        cost: the prices.
        function: the target as ``(population, items) -> (m,)``.

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
    function: Any = field(default=None)

    @property
    def table(self) -> pd.DataFrame:
        """One row per design: identified, annotators, answers, cost, reason; bounds and ranges where there are any."""
        import pandas as pd

        columns = ["design", "identifies", "verdict", "annotators", "answers", "cost", "reason"]
        out = pd.DataFrame(
            [[r.name, r.identifies, r.verdict, r.annotators, r.answers, r.cost, r.reason] for r in self.rows],
            columns=columns,
        )
        if any(r.range is not None for r in self.rows):
            out["annotators 5 %"] = [r.range[0] if r.range else r.annotators for r in self.rows]
            out["annotators 95 %"] = [r.range[1] if r.range else r.annotators for r in self.rows]
            out["share identified"] = [r.share_identified for r in self.rows]
        if any(r.at_least for r in self.rows):
            out["lower bound only"] = [r.at_least for r in self.rows]
        if any(r.low is not None for r in self.rows):
            out["target lies in"] = [r.interval().removeprefix(":").removeprefix(" in ").strip() for r in self.rows]
        return out

    @property
    def best(self) -> PlanRow | None:
        """The cheapest design that identifies the target."""
        able = [r for r in self.rows if math.isfinite(r.cost)]
        return min(able, key=lambda r: r.cost) if able else None

    def check(self, name: str | None = None, *, replicates: int = 40, seed: int = 0) -> PlanCheck:
        """Simulate studies of the recommended size, fit each, and compare the spread with what was promised.

        Args:
            name: of a design that identifies the target; the cheapest by default.
            replicates: studies that are simulated.
            seed: of the answers.

        Raises:
            ArgumentError: no such design, one that does not identify the target, or a plan with ``among=`` (there is no
                fit of a whole family to check).
            TooLargeError: too many answers to simulate.

        Example:
            >>> import annosim as an
            >>> people = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
            >>> table = an.plan(people, an.Design(an.Items(n=2)), target=an.identifiability.mean_gap(1, 0), precision=0.2)
            >>> table.check(replicates=30).holds
            True
        """
        if self.settings.get("among") != "its own family":
            raise ArgumentError("Plan.check: only plans for the population's own family are fitted; leave out among=")
        row = self._find(name)
        if not math.isfinite(row.annotators):
            raise ArgumentError(f"Plan.check(name={row.name!r}): it does not identify the target ({row.reason})")
        return simulate_at(
            row.name, row.population, row.design, int(row.annotators), self.function, row.half_width, replicates, seed
        )

    def _find(self, name: str | None) -> PlanRow:
        names = [r.name for r in self.rows]
        if name is None:
            if self.best is None:
                raise ArgumentError("Plan.check: none of the designs identifies the target")
            return self.best
        if name not in names:
            raise ArgumentError(f"Plan.check(name={name!r}): the designs are {', '.join(names)}")
        return self.rows[names.index(name)]

    def _title(self) -> str:
        family = self.settings.get("among", "its own family")
        among = "" if family == "its own family" else f", among {family}"
        return f"Plan: {self.target} to within {self.precision:g} (95 %){among}"

    def _lines(self):
        label = max([len("cheapest"), *(len(r.name) for r in self.rows)])
        lines = [(r.name, fold(str(r), label)) for r in self.rows]
        lines.append(("cheapest", self.best.name if self.best else fold("none of them identifies the target", label)))
        return lines

    def _repr_html_(self) -> str:
        import html

        head = f"<h3>{html.escape(self._title())}</h3>"
        return head + self.table.to_html(index=False, float_format=lambda x: f"{x:,.6g}")

    def figure(self) -> Figure:
        """Half-width of the worst component against cost: a curve per design that identifies the target, a point at the
        recommended size, and the 90 % range of a fit's draws as a bar.
        """
        return draw_plan(self.rows, self.target, self.precision, self.cost)
