"""``diagnose(data)``: every question in turn, one page, one rate of false alarms."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from annosim.data.preferences import PreferenceData
from annosim.diagnosis.agreement import agree
from annosim.diagnosis.annotators import against_others, copies, one_sided, unreliable
from annosim.diagnosis.answers import length, position, ties
from annosim.diagnosis.case import Case, plural
from annosim.diagnosis.ceiling import ceiling
from annosim.diagnosis.collect import detection, more_votes
from annosim.diagnosis.consistency import consistency, paraphrase
from annosim.diagnosis.finding import Finding, holm
from annosim.diagnosis.misfit import cycles, goodness
from annosim.diagnosis.page import page
from annosim.diagnosis.ranking import ranking
from annosim.diagnosis.reading import existence, overlap, read
from annosim.diagnosis.types import number_of_types, one_type
from annosim.errors import ArgumentError, told
from annosim.files import atomic_text
from annosim.learning.inference.leaderboard import Leaderboard
from annosim.results import Result, versions

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["QUESTIONS", "Diagnosis", "diagnose"]

Question: TypeAlias = Callable[[Case], Finding]

#: what is asked, in the order of the page
QUESTIONS: tuple[Question, ...] = (
    read,
    overlap,
    existence,
    ties,
    position,
    length,
    consistency,
    paraphrase,
    one_sided,
    unreliable,
    against_others,
    copies,
    agree,
    one_type,
    goodness,
    cycles,
    ceiling,
    ranking,
    more_votes,
    detection,
)
#: family-wise level of all tests of a page
LEVEL = 0.05


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosis(Result):
    """What data say of themselves: a finding for each question.

    Attributes:
        findings: in the order of the page.
        source: what was read.
        board: the leaderboard, where all items have a strength on one scale.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 0.5, 1.0]), an.Luce())
        >>> votes = an.simulate(people, an.Design(an.Items(n=3), annotators=40, questions=10), seed=0)
        >>> an.diagnose(votes).exit_code
        0
    """

    findings: tuple[Finding, ...]
    source: str = ""
    board: Leaderboard | None = None

    def __getitem__(self, question: str) -> Finding:
        """The finding of a question, by name."""
        for found in self.findings:
            if found.question == question:
                return found
        raise ArgumentError(
            f"diagnosis[{question!r}]: the questions are {', '.join(f.question for f in self.findings)}"
        )

    @property
    def alarms(self) -> tuple[Finding, ...]:
        """Findings that something is wrong."""
        return tuple(found for found in self.findings if found.status == "alarm")

    @property
    def exit_code(self) -> int:
        """0: nothing wrong; 3: the estimate does not exist; 4: it exists, and some test rejects."""
        names = {found.question for found in self.alarms}
        return 3 if "existence" in names else 4 if names else 0

    @property
    def headline(self) -> str:
        """The finding in a sentence or two."""
        if not self.alarms:
            asked = sum(found.p_value is not None for found in self.findings)
            tests = f"none of {plural(asked, 'test')} rejects" if asked > 1 else "the one test does not reject"
            tests = tests if asked else "nothing could be tested"
            return f"Nothing wrong was found: the estimate exists, and {tests}. {self['collect'].sentence}"
        return " ".join(found.sentence for found in self.alarms)

    def to_frame(self) -> pd.DataFrame:
        """A row for each finding (pandas)."""
        import pandas as pd

        return pd.DataFrame([{k: v for k, v in found.to_dict().items() if k != "evidence"} for found in self.findings])

    def to_json(self) -> str:
        """The diagnosis as JSON: headline, exit code, and every finding with its evidence.

        Example:
            >>> import json
            >>> import annosim as an
            >>> votes = an.PreferenceData(an.Items(n=2), [[0, 1]] * 4, answer=[0, 0, 0, 1])
            >>> json.loads(an.diagnose(votes).to_json())["exit_code"]
            0
        """
        content = {
            "headline": self.headline,
            "exit_code": self.exit_code,
            "source": self.source,
            "level": LEVEL,
            "findings": [found.to_dict() for found in self.findings],
            "settings": {name: str(value) for name, value in self.settings.items()},
        }
        return json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False, default=str)

    def to_html(self) -> str:
        """The diagnosis as one page that opens offline."""
        return page(self, LEVEL)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page (``.html``) or the JSON (``.json``), whole or not at all.

        Raises:
            ArgumentError: another ending.
        """
        made = {".html": self.to_html, ".json": self.to_json}.get(Path(path).suffix.lower())
        if made is None:
            raise ArgumentError(f"Diagnosis.save({str(path)!r}): a name that ends in .html or .json")
        atomic_text(path, made() + "\n")
        return Path(path)

    def _lines(self) -> Sequence[tuple[str, object]]:
        lines: list[tuple[str, object]] = [("finding", self.headline)]
        return lines + [(f"{MARKS[found.status]} {found.question}", found.sentence) for found in self.findings]


#: how a status is shown where there is no colour
MARKS = {"fine": "ok", "notice": "..", "alarm": "!!", "not asked": "--"}


def diagnose(
    data: PreferenceData,
    *,
    precision: float | None = None,
    detect: float | None = None,
    power: float = 0.8,
    seed: int = 0,
) -> Diagnosis:
    """What do these answers say, and what could they say: one finding for each question.

    Every test has its own p-value; Holm's adjustment covers all tests of the page, so that with nothing wrong (annotators
    of one taste who answer by Luce's or Davidson's rule) a page raises an alarm with probability 5 % at most. Measured on 200
    simulated data sets: 3 alarms (1.5 %, 95 % interval 0.3 to 4.3 %); ``tests/diagnosis/test_false_alarms.py`` has them.

    Args:
        data: the answers, without replicates.
        precision: half-width of a 95 % interval of every strength that is wanted; by default half of today's.
        detect: margin over one half that a pair's votes should show, by default .05; ``power``: how surely.
        seed: of shuffles, random signs and parts of large data.

    Raises:
        ArgumentError: not data, data with replicates, or a number out of range.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 0.5, 1.0]), an.Luce())
        >>> votes = an.simulate(people, an.Design(an.Items(n=3), annotators=40, questions=10), seed=0)
        >>> diagnose(votes)["existence"].sentence
        'Every item has a finite maximum-likelihood strength: wins connect all items of one prompt both ways.'
    """
    _check(data, precision=precision, detect=detect, power=power)
    live = np.asarray(data.row_weight) > 0
    case = Case(data if live.all() else data.take(live), seed, precision, detect, power, int((~live).sum()))
    findings = [question(case) for question in QUESTIONS]
    findings = _adjusted(findings)
    at = next(i for i, found in enumerate(findings) if found.question == "one type")
    findings.insert(at + 1, number_of_types(case, findings[at]))
    source = str(data.settings.get("source", "") or "")
    return Diagnosis(tuple(findings), source, case.board, settings={"seed": seed, "level": LEVEL, **versions()})


def _adjusted(findings: list[Finding]) -> list[Finding]:
    """Holm's adjustment over all tests of the page."""
    tested = [i for i, found in enumerate(findings) if found.p_value is not None]
    out = list(findings)
    for i, p in zip(tested, holm([findings[i].p_value or 0.0 for i in tested]), strict=True):
        out[i] = findings[i].with_adjusted(float(p), LEVEL)
    return out


def _check(data: object, precision: float | None, detect: float | None, power: float) -> None:
    if not isinstance(data, PreferenceData):
        raise ArgumentError(f"diagnose({type(data).__name__}): give an.PreferenceData; an.io.read(FILE) reads one")
    if data.replicates is not None:
        raise ArgumentError("diagnose: the data have replicates; pass one of them, data[r]")
    if not (np.asarray(data.row_weight) > 0).any():
        raise ArgumentError(
            "diagnose: every weight is 0, so that nobody answered; give answers a weight above 0, or none"
        )
    for name, number in (("precision", precision), ("detect", detect), ("power", power)):
        if number is not None and not isinstance(number, int | float | np.number):
            raise ArgumentError(f"diagnose({name}={told(number)}): give a number")
    if precision is not None and not 0.0 < precision < float("inf"):
        raise ArgumentError(f"diagnose(precision={told(precision)}): a half-width in logits, above 0")
    if detect is not None and not 0.0 < detect < 0.5:
        raise ArgumentError(f"diagnose(detect={told(detect)}): a margin over one half, above 0 and below .5")
    if not 0.05 < power < 1.0:
        raise ArgumentError(f"diagnose(power={told(power)}): a probability between .05 and 1")
