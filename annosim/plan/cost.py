"""What data cost."""

from __future__ import annotations

from dataclasses import dataclass

from annosim.designs import Design
from annosim.errors import ArgumentError

__all__ = ["Cost", "questions_per_annotator"]


@dataclass(frozen=True)
class Cost:
    """Price of recruiting one annotator and of one answer.

    Args:
        annotator: per person, nonnegative.
        answer: per answer, nonnegative.

    Raises:
        ArgumentError: a negative price.

    Example:
        >>> Cost(annotator=1.0, answer=0.1).total(100, 5)
        150.0
    """

    annotator: float = 1.0
    answer: float = 0.1

    def __post_init__(self) -> None:
        for name in ("annotator", "answer"):
            if not getattr(self, name) >= 0:
                raise ArgumentError(f"Cost({name}={getattr(self, name)}): a price of at least 0")

    def total(self, annotators: float, questions: float) -> float:
        """Cost of ``annotators`` people with ``questions`` answers each."""
        return float(annotators * (self.annotator + self.answer * questions))


def questions_per_annotator(design: Design) -> float:
    """Mean number of questions of an annotator."""
    return float(design.loads.mean()) if design.loads is not None else float(design.num_questions)
