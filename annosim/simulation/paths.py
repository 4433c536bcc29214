"""The parts of a simulation and who draws them: compiled samplers, or the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np

__all__ = ["AnswerSampler", "Path", "PathName", "RunSampler"]

#: how a population is drawn; see :func:`annosim.simulate`
PathName: TypeAlias = Literal["auto", "numba", "torch", "reference"]
#: fills ``out`` for consecutive entities: (out, first entity, replicate)
RunSampler: TypeAlias = Callable[[np.ndarray, int, int], None]


class AnswerSampler(Protocol):
    """Fills the answers to given menus, of consecutive rows."""

    def __call__(
        self,
        menu: np.ndarray,
        types: np.ndarray | None,
        answer: np.ndarray,
        tied: np.ndarray | None,
        start: int,
        replicate: int,
        /,
    ) -> None: ...


@dataclass(frozen=True)
class Path:
    """Who draws what. ``None`` stands for the reference.

    Attributes:
        menus, types, answers: samplers of :mod:`annosim.simulation.kernels.samplers`.
        row_types, number_rows: what rows have from their annotators.
        reasons: part -> why it takes the reference path.
    """

    menus: RunSampler | None = None
    types: RunSampler | None = None
    answers: AnswerSampler | None = None
    row_types: Callable[[np.ndarray, int, int, int, int], np.ndarray] | None = None
    number_rows: Callable[[np.ndarray, np.ndarray, int, int], None] | None = None
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """What a data set's settings say of it: ``path`` and, where part of it is the reference, ``path_reasons``."""
        name = "reference" if self.answers is None else "numba"
        return {"path": name, **({"path_reasons": dict(self.reasons)} if self.reasons else {})}
