"""What a run of a study leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from annosim.study.claims import Claim, Verdict
from annosim.study.definition import Study
from annosim.study.outcome import Outcome
from annosim.study.store import Record

__all__ = ["StudyRun"]

VERDICTS: tuple[Verdict, ...] = ("supported", "contradicted", "inconclusive")


@dataclass(frozen=True)
class StudyRun:
    """What a run left behind.

    Attributes:
        study, preset, out: what was run, and where its files are.
        claims: with their verdicts.
        outcome: the records of all cells.
        settings: the preset's settings, seed, device, versions and machine.
        seconds: wall time of this run; ``kept`` cells came from an earlier one.

    Example:
        >>> from pathlib import Path
        >>> study = Study("halves", "Halves", "Euclid", {}, lambda: [], lambda: [])
        >>> print(StudyRun(study, "quick", Path("runs"), [], Outcome([]), {}, 1.0, 0))
        StudyRun halves, preset quick
          claims  0 supported, 0 contradicted, 0 inconclusive
          cells   0 cells, 0 kept, 0 failed
          out     runs
    """

    study: Study
    preset: str
    out: Path
    claims: list[Claim]
    outcome: Outcome
    settings: Mapping[str, object]
    seconds: float
    kept: int

    @property
    def failed(self) -> list[Record]:
        """The records of cells that failed."""
        return [r for r in self.outcome.records if r.status == "failed"]

    def counts(self) -> dict[Verdict, int]:
        """How many claims have each verdict."""
        verdicts = [c.verdict for c in self.claims]
        return {v: verdicts.count(v) for v in VERDICTS}

    def __repr__(self) -> str:
        verdicts = ", ".join(f"{n} {v}" for v, n in self.counts().items())
        cells = f"{len(self.outcome.records)} cells, {self.kept} kept, {len(self.failed)} failed"
        head = f"StudyRun {self.study.name}, preset {self.preset}"
        return f"{head}\n  claims  {verdicts}\n  cells   {cells}\n  out     {self.out}"
