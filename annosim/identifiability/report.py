"""The report of :func:`annosim.identify`."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from annosim.coordinates.wording import describe_direction
from annosim.designs.design import Design
from annosim.identifiability.formatting import fold, shorten
from annosim.identifiability.functionals import FunctionalResult
from annosim.identifiability.local import NullDirection
from annosim.identifiability.theorems.statement import Conclusion
from annosim.identifiability.weak import ExpectedProfile, WeakIdentification, expected_profile, weak_identification
from annosim.populations.base import Population
from annosim.results import Result

if TYPE_CHECKING:
    import pandas as pd

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
        rank: rank of the law's Jacobian on the identifiable coordinates.
        num_parameters: how many numbers could be known from any answers (normalisations taken out).
        null_directions: directions in which the law does not move at first order, in parameter names.
        twin: another population with the same law, or ``None``.
        law_distance: distance between the two laws (:func:`annosim.information.law_distance`); ``None`` without a twin.
        singular_values: relative to the largest, descending, ``(num_parameters,)``.
        gap: the smallest that counts and the largest that does not.
        reasons: why this verdict, one sentence each.
        theorems: theorems that apply.
        normalisations: what no answers can reveal, and the convention that fixes it.
        functionals: name -> whether it is identified, with bounds or values where there are any.
        rows: the same question for other families (``among=``), one dict each.
        weakest: what finitely many annotators know of the least known direction, in words; empty where the rank is
            deficient or the information was too large to enumerate beside (see :meth:`weak`).
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
    singular_values: torch.Tensor
    gap: tuple[float, float]
    reasons: tuple[str, ...]
    theorems: tuple[Conclusion, ...] = ()
    normalisations: tuple[str, ...] = ()
    functionals: dict[str, FunctionalResult] = field(default_factory=dict)
    rows: tuple[dict[str, str | None], ...] = ()
    weakest: str = ""
    population: Population = field(kw_only=True)
    design: Design = field(kw_only=True)

    @property
    def exit_code(self) -> int:
        """Exit code of the command: 0, 3 or 4."""
        if self.verdict == "locally_identified" and self.twin is not None:
            return 3
        return EXIT_CODES[self.verdict]

    def weak(self, *, seed: int = 0) -> WeakIdentification:
        """Condition number, Cramer-Rao bounds and the weakest direction (:func:`annosim.identifiability.weak_identification`)."""
        return weak_identification(self.population, self.design, seed=seed)

    def profile(self, name: str, *, span: float = 4.0, points: int = 8, seed: int = 0) -> ExpectedProfile:
        """Profile of the expected log-likelihood in one parameter (:func:`annosim.identifiability.expected_profile`)."""
        return expected_profile(self.population, self.design, name, span=span, points=points, seed=seed)

    def to_frame(self) -> pd.DataFrame:
        """What is known of each function asked about, a row each (pandas); after ``among=[...]`` a row for each family.

        Example:
            >>> import annosim as an
            >>> people = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
            >>> an.identify(people, an.Design(an.Items(n=2))).to_frame()["identified"].tolist()
            [True, True]
        """
        import pandas as pd

        if self.rows:
            return pd.DataFrame(list(self.rows))
        columns = ["functional", "identified", "low", "high"]
        found = [[name, bool(f.identified.all()), f.low, f.high] for name, f in self.functionals.items()]
        return pd.DataFrame(found, columns=columns)

    def _title(self) -> str:
        return "\n".join(textwrap.wrap(f"{self.verdict}: {VERDICTS[self.verdict]}", 80, subsequent_indent="  "))

    def _lines(self) -> list[tuple[str, object]]:
        kept, lost = self.gap
        lines: list[tuple[str, object]] = []
        least = "" if self.settings.get("rank_exact", True) else "at least "
        if self.num_parameters:
            lines.append(("rank of the law", f"{least}{self.rank} of {self.num_parameters} identifiable parameters"))
            lines.append(("singular values", f"least that counts {kept:.2g}, largest that does not {lost:.2g}"))
        lines += [("because", fold("\n".join(self.reasons)))] if self.reasons else []
        if self.null_directions:
            shown = [
                fold(f"{i}. {describe_direction(self.population, d.vector, 3)}")
                for i, d in enumerate(self.null_directions, 1)
            ]
            lines.append(("unseen changes", "\n".join(shorten(shown, 2))))
        if self.twin is not None:
            lines += [("twin", side_by_side(self.population, self.twin)), ("law distance", f"{self.law_distance:.2g}")]
        if self.weakest:
            lines.append(("weakest direction", fold(self.weakest)))
        if self.theorems:
            lines.append(("theorems", "\n".join(shorten([fold(str(t)) for t in self.theorems], 2))))
        lines += _functional_lines(self.functionals)
        lines += [("among", fold(", ".join(f"{k}={v}" for k, v in row.items()))) for row in self.rows]
        if self.normalisations:
            lines.append(("fixed by convention", "\n".join(shorten([fold(text) for text in self.normalisations], 2))))
        if self.settings.get("note"):
            lines.append(("note", fold(self.settings["note"])))
        return lines


def _functional_lines(functionals: dict[str, FunctionalResult]) -> list[tuple[str, str]]:
    """Names of those that are wholly identified, or not at all, on one line; the others one by one."""
    groups: dict[str, list[str]] = {"identified": [], "not identified": []}
    single = []
    for name, found in functionals.items():
        said = str(found)
        if said in groups:
            groups[said].append(name)
        else:
            single.append(("functional", fold(f"{name}: {said}")))
    together = [(label, fold(", ".join(names))) for label, names in groups.items() if names]
    return together + (shorten_pairs(single, 8) if len(single) > 9 else single)


def shorten_pairs(lines: list[tuple[str, str]], most: int) -> list[tuple[str, str]]:
    """The first ``most`` lines of a report, and how many are left out."""
    return [*lines[:most], ("functional", f"and {len(lines) - most} more")]


def side_by_side(first: Population, second: Population, most: int = 6) -> str:
    """Parameters of two populations of one structure, a line each; of many, those that differ most."""
    names, a, b = first.parameter_names(), first.vector().tolist(), second.vector().tolist()
    if len(a) != len(b):
        return fold("\n".join(shorten(repr(second).splitlines(), most)))
    width = max(len(n) for n in names)
    apart = sorted(range(len(names)), key=lambda i: -abs(a[i] - b[i]))
    shown = sorted(apart[:most]) if len(names) > most + 1 else range(len(names))
    rows = [f"{names[i]:<{width}}  {a[i]:>9.4f}  {b[i]:>9.4f}" for i in shown]
    left = len(names) - len(rows)
    return "\n".join(
        [f"{'':<{width}}  {'here':>9}  {'twin':>9}", *rows] + ([f"and {left} that differ less"] if left else [])
    )
