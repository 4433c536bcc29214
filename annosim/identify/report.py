"""The report of :func:`annosim.identify`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from annosim.identify.local import NullDirection
from annosim.populations import Population
from annosim.results import Result

__all__ = ["EXIT_CODES", "VERDICTS", "IdentifiabilityReport"]

#: verdict -> meaning
VERDICTS: dict[str, str] = {
    "not_identified": "other parameter values give the same law",
    "singular": "rank-deficient, yet the law moves at higher order: slower than root n, Wald errors are invalid",
    "locally_identified": "full rank: no other values nearby give the same law",
    "identified": "no other values give the same law (a theorem is cited)",
    "inconclusive": "neither was shown",
}

#: exit codes of ``annosim identify`` (2 is bad input)
EXIT_CODES = {"identified": 0, "locally_identified": 0, "not_identified": 3, "singular": 4, "inconclusive": 4}


@dataclass(frozen=True, eq=False, repr=False)
class IdentifiabilityReport(Result):
    """What can be known of a population from a design.

    Attributes:
        verdict: a key of :data:`VERDICTS`.
        rank: rank of the law's Jacobian on the knowable coordinates.
        num_parameters: how many numbers could be known from any answers (gauges taken out).
        null_directions: directions in which the law does not move at first order, in parameter names.
        twin: another population with the same law, or ``None``.
        law_distance: distance between the two laws (:func:`annosim.information.law_distance`); ``None`` without a twin.
        singular_values: relative to the largest, descending, ``(num_parameters,)``.
        gap: the smallest that counts and the largest that does not.
        reasons: why this verdict, one sentence each.
        theorems: theorems that apply.
        gauges: what no answers can reveal, and the convention that fixes it.
        functionals: name -> whether it is identified, with bounds or values where there are any.
        rows: the same question for other families (``among=``), one dict each.
        population, design: what was asked about.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 1.0, 0.5]), an.Luce())
        >>> report = an.identify(people, an.Design(an.Items(n=3), menus=[[0, 1]]))  # item 2 is never shown
        >>> report.verdict, report.rank, report.num_parameters
        ('not_identified', 1, 2)
    """

    verdict: str
    rank: int
    num_parameters: int
    null_directions: tuple[NullDirection, ...]
    twin: Population | None
    law_distance: float | None
    singular_values: Any
    gap: tuple[float, float]
    reasons: tuple[str, ...]
    theorems: tuple[Any, ...] = ()
    gauges: tuple[str, ...] = ()
    functionals: dict[str, Any] = field(default_factory=dict)
    rows: tuple[dict[str, Any], ...] = ()
    population: Any = None
    design: Any = None

    @property
    def exit_code(self) -> int:
        """Exit code of the command: 0, 3 or 4."""
        if self.verdict == "locally_identified" and self.twin is not None:
            return 3
        return EXIT_CODES[self.verdict]

    def _title(self) -> str:
        return f"{self.verdict}: {VERDICTS[self.verdict]}"

    def _lines(self):
        kept, lost = self.gap
        lines = [
            ("rank of the law", f"{self.rank} of {self.num_parameters} knowable parameters"),
            ("singular values", f"smallest that counts {kept:.2g} of the largest; largest that does not {lost:.2g}"),
        ]
        lines += [("because", "\n".join(self.reasons))] if self.reasons else []
        if self.null_directions:
            shown = [f"{i}. {d.words}" for i, d in enumerate(self.null_directions[:6], 1)]
            more = len(self.null_directions) - 6
            lines.append(("unseen changes", "\n".join(shown + ([f"and {more} more"] if more > 0 else []))))
        if self.twin is not None:
            lines += [("twin", side_by_side(self.population, self.twin)), ("law distance", f"{self.law_distance:.2g}")]
        if self.theorems:
            lines.append(("theorems", "\n".join(str(t) for t in self.theorems)))
        lines += [("functional", f"{name}: {value}") for name, value in self.functionals.items()]
        lines += [("among", ", ".join(f"{k}={v}" for k, v in row.items())) for row in self.rows]
        if self.gauges:
            lines.append(("fixed by convention", "\n".join(self.gauges[:6])))
        if self.settings.get("note"):
            lines.append(("note", self.settings["note"]))
        return lines


def side_by_side(first: Population, second: Population, most: int = 24) -> str:
    """Parameters of two populations of one structure, a line each."""
    names, a, b = first.parameter_names(), first.vector().tolist(), second.vector().tolist()
    if len(a) != len(b):
        return repr(second)
    width = max(len(n) for n in names)
    head = f"{'':<{width}}  {'here':>9}  {'twin':>9}"
    rows = [f"{n:<{width}}  {x:>9.4f}  {y:>9.4f}" for n, x, y in zip(names, a, b, strict=True)]
    return "\n".join([head, *rows[:most]] + ([f"and {len(rows) - most} more"] if len(rows) > most else []))
