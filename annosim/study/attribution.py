"""Whose a claim is: the paper's, the study's own, a control of the instruments, or a baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from annosim.errors import ArgumentError

__all__ = ["BASELINE", "CONTROL", "GROUPS", "STUDY_ADDS", "Attribution", "Group", "paper_says"]

Group = Literal["paper", "study", "control", "baseline"]
#: Groups of claims in the order of the report, as a heading says them.
GROUPS: dict[Group, str] = {
    "paper": "The paper says",
    "study": "This study adds",
    "control": "Controls",
    "baseline": "Baselines",
}


@dataclass(frozen=True)
class Attribution:
    """Whose a claim is, and for the paper's own what part of the paper was really read.

    Attributes:
        group: ``paper`` (the authors state it), ``study`` (this study states it), ``control`` (a known result or an
            identity that shows that the instruments work) or ``baseline`` (of a method that the paper's is compared
            with, about which the paper says nothing).
        read: what was read of the paper (``"abstract"``, ``"public notebook"``); empty for the other groups.

    Raises:
        ArgumentError: a claim of the paper without what was read, or the other way round.

    Example:
        >>> str(Attribution("paper", "abstract")), str(CONTROL)
        ('The paper says (read: abstract)', 'Controls')
    """

    group: Group
    read: str = ""

    def __post_init__(self) -> None:
        if self.group not in GROUPS:
            raise ArgumentError(f"Attribution: group={self.group!r}; use one of {', '.join(GROUPS)}")
        if self.group == "paper" and not self.read:
            raise ArgumentError("Attribution: a claim of the paper says what was read; pass read='abstract' or alike")
        if self.group != "paper" and self.read:
            raise ArgumentError(f"Attribution: read={self.read!r} belongs to claims of the paper; leave it out")

    @property
    def heading(self) -> str:
        """The group in words."""
        return GROUPS[self.group]

    def __str__(self) -> str:
        return f"{self.heading} (read: {self.read})" if self.read else self.heading


#: A claim of the study itself, which no paper makes.
STUDY_ADDS = Attribution("study")
#: A known result or an identity that the instruments must reproduce.
CONTROL = Attribution("control")
#: A claim about a method that the paper's is compared with.
BASELINE = Attribution("baseline")


def paper_says(read: str) -> Attribution:
    """The attribution of a claim that the paper states, in a part of it that was really read.

    Example:
        >>> paper_says("abstract").read
        'abstract'
    """
    return Attribution("paper", read)
