"""Every rule with every kind of feedback, asked of every verb: what works, and why the rest is refused.

    python tests/grid_page.py > docs/grid.md

``tests/test_grid.py`` holds the page against what the library does.
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

import annosim as an
from annosim.feedback import KINDS
from annosim.reporting.pages import write_page
from annosim.rules.covariates import standard_covariates

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "grid.md"

ITEMS = an.Items(
    features=[[0.5, 1.0], [-0.3, 0.2], [0.8, -1.0]],
    clusters=[0, 1, 1],
    columns={"length": [1.0, 2.0, 3.0], "steps": [[0.1, 0.2], [-0.5, 0.0], [0.3, 0.6]]},
)

#: every public rule by name, and the menus that it is asked; response biases stand on Luce where nothing is said
RULES: dict[str, tuple[Callable[[], an.Rule], int]] = {
    "Luce": (an.Luce, 3),
    "PBDE": (lambda: an.PBDE(1.3, [0.1, 0.0, -0.4]), 3),
    "Thurstone": (an.Thurstone, 3),
    "Thurstone of pairs": (an.Thurstone, 2),
    "Thurstone, correlated": (lambda: an.Thurstone(covariance=np.eye(3) + 0.3), 3),
    "RaoKupper": (an.rules.RaoKupper, 2),
    "Davidson": (an.Davidson, 3),
    "Mallows": (lambda: an.rules.Mallows(0.4), 3),
    "ReversedPlackettLuce": (an.rules.ReversedPlackettLuce, 3),
    "RepeatedSelection": (lambda: an.rules.RepeatedSelection(an.Thurstone()), 3),
    "Deterministic": (an.rules.Deterministic, 3),
    "Lexicographic": (lambda: an.rules.Lexicographic(["length", 0]), 3),
    "OrderedLogit": (lambda: an.rules.OrderedLogit([-0.6, 0.7]), 2),
    "Thumbs": (an.rules.Thumbs, 2),
    "GradedPairs": (lambda: an.rules.GradedPairs([0.6], same=True), 2),
    "BPref": (lambda: an.rules.BPref(2.0, 0.8, 0.1), 2),
    "MeanVariance": (lambda: an.rules.MeanVariance([0.2, -0.5, 0.3]), 2),
    "CategoricalReward": (lambda: an.rules.CategoricalReward(an.free(np.eye(3))), 2),
    "Spammer": (an.rules.Spammer, 3),
    "Spammer, alternating": (lambda: an.rules.Spammer("alternating"), 3),
    "Adversary": (lambda: an.rules.Adversary(an.Luce()), 3),
    "AttributeBias": (lambda: an.rules.AttributeBias(an.Luce(), 0.4), 3),
    "Carryover": (lambda: an.rules.Carryover(an.Luce(), an.free(0.7)), 3),
    "Covariates": (lambda: an.rules.Covariates(an.Luce(), {"length": an.free(0.7), "home": 0.4}), 3),
    "Cyclic": (lambda: an.rules.Cyclic(an.Luce(), [0.3, -0.2, 0.1]), 3),
    "Drift": (lambda: an.rules.Drift(an.Luce(), an.free(0.3), "length"), 3),
    "Fatigue": (lambda: an.rules.Fatigue(an.Luce(), an.free(0.3)), 3),
    "JustNoticeable": (lambda: an.rules.JustNoticeable(an.Luce(), 0.5), 3),
    "JustNoticeable, with ties": (lambda: an.rules.JustNoticeable(an.Luce(), 0.5, "tie"), 2),
    "Lapse": (lambda: an.Lapse(an.Luce(), an.free(0.2)), 3),
    "Lapse, ratings": (lambda: an.Lapse(an.rules.OrderedLogit([-0.6, 0.7]), an.free(0.2)), 2),
    "Lapse, flipped": (lambda: an.Lapse(an.Luce(), an.free(0.2), how="flip"), 2),
    "LengthBias": (lambda: an.rules.LengthBias(an.Luce(), 0.4), 3),
    "MyopicDiscount": (lambda: an.rules.MyopicDiscount(an.Luce(), 0.7), 3),
    "NoisyClusters": (lambda: an.rules.NoisyClusters(an.Luce(), 0.2), 3),
    "PositionBias": (lambda: an.PositionBias(an.Luce(), an.free(0.4)), 3),
    "RegretPreference": (lambda: an.rules.RegretPreference(an.Luce(), [0.4, 0.0, -0.7], [0.0, 0.3, 0.9]), 3),
    "Reliability": (lambda: an.rules.Reliability(an.Luce(), 0.5), 3),
    "Scaled": (lambda: an.rules.Scaled(an.Luce(), 1.7), 3),
    "SeesClusters": (lambda: an.rules.SeesClusters(an.Luce()), 3),
    "SeesObservation": (lambda: an.rules.SeesObservation(an.Luce(), [0.0, 1.0, 1.0], [0.2, 0.3, 0.5]), 3),
    "Skip": (lambda: an.rules.Skip(an.Luce(), 0.3), 3),
    "Strategic": (lambda: an.rules.Strategic(an.Luce(), [0.5, -0.3, 0.8], 0.6), 3),
}


class Case:
    """One rule with one kind of feedback; what several verbs need is made once."""

    def __init__(self, rule: str, kind: str) -> None:
        self.rule, self.kind = rule, kind

    def annotator(self, scale: float = 1.0) -> an.Annotator:
        make, _ = RULES[self.rule]
        own = self.rule == "CategoricalReward"
        utility = an.utilities.ZeroUtility() if own else an.Tabular(np.array([0.4, -0.3, -0.1]) * scale)
        return an.Annotator(utility, make())

    @cached_property
    def design(self) -> an.Design:
        make, k = RULES[self.rule]
        grades = 2 if self.rule == "Thumbs" else 3
        special = {"depth": 2} if self.kind == "top" else {"grades": grades} if self.kind == "rating" else {}
        design = an.Design(ITEMS, menu_size=k, feedback=self.kind, annotators=60, questions=2, **special)
        names = make().covariates
        if not names:
            return design
        menus = design.enumerate().menu
        return design.with_(menus=menus, covariates=standard_covariates(names, len(menus), k))

    @cached_property
    def data(self) -> an.PreferenceData:
        return an.simulate(self.annotator(), self.design, seed=0)

    @cached_property
    def fitted(self) -> an.Fit:
        return an.fit(self.annotator(), self.data)


def _errors(case: Case) -> None:
    for kind in ("hessian", "sandwich", "cluster"):
        table = case.fitted.summary(kind)
        assert len(table) and np.isfinite(table["estimate"]).all()


def _identify(case: Case) -> None:
    assert an.identify(case.annotator(), case.design, starts=1).verdict


def _plan(case: Case) -> None:
    assert len(an.plan(case.annotator(), case.design, target="utilities", starts=1).rows) == 1


def _check_rule(case: Case) -> None:
    """What has a law is checked for it; what has none is left out, and its law says why."""
    make, _ = RULES[case.rule]
    report = an.checks.check_rule(make(), items=ITEMS, kinds=[case.kind], draws=500, raise_on_failure=False)
    own = [r for r in report.results if r.name.endswith(f"[{case.kind}]")]
    if not own:
        an.law(case.annotator(), case.design)
    assert own and not [f"{r.name}: {r.evidence}" for r in own if r.status == "failed"], own


def _save(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        back = an.Fit.load(case.fitted.save(Path(folder) / "fit.pt"))
    assert back.population.vector().equal(case.fitted.population.vector())


def _report(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_page(Path(folder) / "page.html", case.rule, [case.fitted])
        assert (Path(folder) / "page.html").read_text(encoding="utf-8").startswith("<!")


VERBS: dict[str, Callable[[Case], object]] = {
    "simulate": lambda case: case.data.answer,
    "law": lambda case: an.law(case.annotator(), case.design).probabilities,
    "fit": lambda case: case.fitted,
    "errors": _errors,
    "project": lambda case: an.project(case.annotator(), case.annotator(0.5), case.design),
    "compare": lambda case: an.compare(case.annotator(), case.annotator(0.5), case.design),
    "identify": _identify,
    "plan": _plan,
    "check_rule": _check_rule,
    "save": _save,
    "report": _report,
}


@dataclass(frozen=True)
class Cell:
    """What one verb answered.

    Attributes:
        refusal: the line in which it was refused; empty where it works.
    """

    rule: str
    kind: str
    verb: str
    refusal: str


def ask(case: Case, verb: str) -> Cell:
    """Ask one verb. Whatever is not an answer or a refusal in one line is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            VERBS[verb](case)
        except an.errors.AnnosimError as error:
            line = str(error)
            if "\n" in line or len(line) > 300 or not line:
                raise AssertionError(f"{case.rule}, {case.kind}, {verb}: no line of 1 to 300: {line!r}") from error
            return Cell(case.rule, case.kind, verb, line)
    return Cell(case.rule, case.kind, verb, "")


def ask_all(rules: Iterable[str] = RULES, kinds: Iterable[str] = KINDS) -> list[Cell]:
    """The grid, or the part of some rules and kinds."""
    cases = [Case(rule, kind) for rule in rules for kind in kinds]
    return [ask(case, verb) for case in cases for verb in VERBS]


def page(cells: list[Cell]) -> str:
    """The grid as a page: one row for each rule and kind, one column for each verb, and the refusals below."""
    notes: dict[str, int] = {}
    rows: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        mark = "yes"
        if cell.refusal:
            mark = f"[{notes.setdefault(in_general(cell.refusal), len(notes) + 1)}]"
        rows.setdefault((cell.rule, cell.kind), []).append(mark)
    works = sum(not cell.refusal for cell in cells)
    out = io.StringIO()
    print("# Which rule answers which question, and which verb takes it\n", file=out)
    print(
        f"{works} of the {len(cells)} combinations of a rule, a kind of feedback and a verb work. The others are refused "
        "in one line, whose number\nstands in the cell. Response biases stand on `Luce` unless their name says "
        "otherwise; menus have three alternatives, or two where\nthe rule is one of pairs or of ratings. *errors* are "
        "the standard errors of the fit: Hessian, sandwich and clustered.\n\n"
        "`python tests/grid_page.py > docs/grid.md` writes this page; `tests/test_grid.py` holds it to what happens.\n",
        file=out,
    )
    print(f"| rule | feedback | {' | '.join(VERBS)} |", file=out)
    print("|---|---|" + "---|" * len(VERBS), file=out)
    for (rule, kind), marks in rows.items():
        print(f"| {rule} | {kind} | {' | '.join(marks)} |", file=out)
    print("\n## Refusals\n", file=out)
    for line, number in notes.items():
        print(f"{number}. {line}", file=out)
    return out.getvalue()


def in_general(line: str) -> str:
    """The line without numbers of the case, which may differ in their last digits between machines."""
    without = re.sub(r"\(at [^)]*\)", "(at …)", line)  # where a search on its way to infinity ended
    return re.sub(r"(?<![\w.])-?\d+\.\d+(e[+-]?\d+)?", "…", without)


def read_page(text: str) -> dict[tuple[str, str, str], str]:
    """``(rule, kind, verb)`` to the refusal (empty where it works), from the page."""
    notes = {number: line for number, line in re.findall(r"^(\d+)\. (.*)$", text, re.M)}
    found = {}
    for line in text.splitlines():
        entries = [entry.strip() for entry in line.strip("|").split("|")]
        if line.startswith("|") and len(entries) == len(VERBS) + 2 and entries[1] in KINDS:
            rule, kind, *marks = entries
            for verb, mark in zip(VERBS, marks, strict=True):
                found[rule, kind, verb] = "" if mark == "yes" else notes[mark.strip("[]")]
    return found


if __name__ == "__main__":
    sys.stdout.write(page(ask_all()))
