"""What a run of a study leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from annosim.study.attribution import GROUPS, Group
from annosim.study.claims import VERDICTS, Claim, Verdict
from annosim.study.definition import Study
from annosim.study.outcome import Outcome
from annosim.study.store import Record

__all__ = ["StudyRun"]


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
          claims  none
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

    def counts(self, group: Group | None = None) -> dict[Verdict, int]:
        """How many claims have each verdict, of all claims or of one group."""
        verdicts = [c.verdict for c in self.claims if group in (None, c.whose.group)]
        return {v: verdicts.count(v) for v in VERDICTS}

    def counts_by_group(self) -> dict[Group, dict[Verdict, int]]:
        """The same for every group that has claims, in the order of the report."""
        there = {c.whose.group for c in self.claims}
        return {group: self.counts(group) for group in GROUPS if group in there}

    def __repr__(self) -> str:
        verdicts = count_line(self.counts_by_group())
        cells = f"{len(self.outcome.records)} cells, {self.kept} kept, {len(self.failed)} failed"
        head = f"StudyRun {self.study.name}, preset {self.preset}"
        return f"{head}\n  claims  {verdicts}\n  cells   {cells}\n  out     {self.out}"


def count_line(counts: Mapping[Group, Mapping[Verdict, int]]) -> str:
    """Counts by group in one line, without the verdicts that nobody has.

    Example:
        >>> count_line({"paper": {"supported": 2, "contradicted": 0}, "control": {"supported": 1}})
        'The paper says: 2 supported; Controls: 1 supported'
    """
    parts = []
    for group, verdicts in counts.items():
        told = ", ".join(f"{n} {verdict}" for verdict, n in verdicts.items() if n)
        parts.append(f"{GROUPS[group]}: {told or 'none'}")
    return "; ".join(parts) or "none"
