"""A plan as a result: its table, its figure, and the check by simulation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from annosim.errors import ArgumentError, told
from annosim.identifiability.formatting import fold
from annosim.planning.check import PlanCheck, simulate_at
from annosim.planning.cost import Cost
from annosim.planning.figure import draw_interviews, draw_plan
from annosim.planning.row import PlanRow
from annosim.planning.targets import Target
from annosim.results import Result

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Plan"]


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
    value: NDArray[np.float64]
    precision: float
    cost: Cost
    function: Target

    def to_frame(self) -> pd.DataFrame:
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
        if any(r.judged for r in self.rows):
            out["judges' answers"] = [r.judged for r in self.rows]
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
            raise ArgumentError("Plan.check: only plans for the population's own family are fitted")
        row = self._find(name)
        if not math.isfinite(row.annotators):
            raise ArgumentError(f"Plan.check(name={told(row.name)}): it does not identify the target ({row.reason})")
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
            raise ArgumentError(f"Plan.check(name={told(name)}): the designs are {', '.join(names)}")
        return self.rows[names.index(name)]

    def _title(self) -> str:
        if self.rows[0].interviews is not None:
            return f"Plan: {self.target} of each annotator, wrong with probability {self.precision:g} at most"
        family = self.settings.get("among", "its own family")
        among = "" if family == "its own family" else f", {family if self.rows[-1].judged else f'among {family}'}"
        return f"Plan: {self.target} to within {self.precision:g} (95 %){among}"

    def _lines(self) -> list[tuple[str, object]]:
        label = max([len("cheapest"), *(len(r.name) for r in self.rows)])
        lines: list[tuple[str, object]] = [(r.name, fold(str(r), label)) for r in self.rows]
        lines.append(("cheapest", self.best.name if self.best else fold("none of them identifies the target", label)))
        return lines

    def _repr_html_(self) -> str:
        import html

        head = f"<h3>{html.escape(self._title())}</h3>"
        return head + self.to_frame().to_html(index=False, float_format=lambda x: f"{x:,.6g}")

    def figure(self) -> Figure:
        """Half-width of the worst component against cost: a curve per design that identifies the target, a point at the
        recommended size, and the 90 % range of a fit's draws as a bar.
        """
        if self.rows[0].interviews is not None:
            return draw_interviews(self.rows)
        return draw_plan(self.rows, self.target, self.precision, self.cost)
