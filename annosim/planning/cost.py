"""What data cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from annosim.designs.design import Design
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
            price = getattr(self, name)
            number = isinstance(price, int | float | np.number) and not isinstance(price, bool)
            if not number or not 0 <= price < math.inf:
                raise ArgumentError(f"Cost({name}={price!r}): a price, a number of at least 0")

    def total(self, annotators: float, questions: float) -> float:
        """Cost of ``annotators`` people with ``questions`` answers each."""
        return float(annotators * (self.annotator + self.answer * questions))


def questions_per_annotator(design: Design) -> float:
    """Mean number of questions of an annotator."""
    return float(design.loads.mean()) if design.loads is not None else float(design.num_questions)
