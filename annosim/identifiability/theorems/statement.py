"""What a theorem says: of a population and a design, and in general."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Conclusion", "Theorem"]


@dataclass(frozen=True)
class Conclusion:
    """What a theorem says of a population and a design.

    Attributes:
        kind: ``identified`` (no other population of the family has the same law), ``generic`` (all but a set of measure
            zero are), ``collides`` (some parameters of the family share a law; generic ones may not), ``not
            identified`` (this population shares its law with others), ``remark`` (it applies, and decides nothing here)
            or ``unknown`` (outside the proved region).
        text: the statement as it applies here.
        source: where it is from.
        freely: it is about all distributions of tastes, not about the population's own family.
    """

    kind: str
    text: str
    source: str
    freely: bool = False

    def __str__(self) -> str:
        return f"{self.kind}: {self.text} [{self.source}]"


@dataclass(frozen=True)
class Theorem:
    """A known theorem, and the function that states it.

    Attributes:
        name: of the function.
        statement: in one sentence.
        conditions: under which it holds.
        source: where it is from.
        function: the formula, or a function that gives a :class:`Conclusion`.
    """

    name: str
    statement: str
    conditions: str
    source: str
    function: Callable[..., Any]

    def __str__(self) -> str:
        return f"{self.statement} If: {self.conditions}. [{self.source}]"
