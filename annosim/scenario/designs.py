"""The tables ``[design]`` and ``[plan]``."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from annosim.designs.design import Design
from annosim.errors import ScenarioError
from annosim.identifiability.families import AnyTastes, Types, any_tastes, types
from annosim.items import Items
from annosim.rules.registry import ENTRIES
from annosim.scenario.populations import density
from annosim.scenario.tables import Table, at_key, build

__all__ = ["MENUS", "AmongTable", "CostTable", "DesignTable", "GridTable", "PlanTable"]

#: tastes of a regular grid
MOST_TASTES = 10_000
#: annotators of a design
MOST_ANNOTATORS = 10**12

#: lists of menus by name: menus = "round_robin", or menus = { kind = "sparse_graph", pairs = 12 }
MENUS = {
    name: ENTRIES["design"][f"menus.{name}"]
    for name in ("round_robin", "star", "chain", "sparse_graph", "random_menus")
}


class DesignTable(Table):
    menu_size: int = Field(2, ge=1, le=127)
    feedback: Literal["choice", "ranking", "top", "best-worst", "rating"] = "choice"
    annotators: int = Field(1000, ge=1, le=MOST_ANNOTATORS)
    questions: int | Literal["all"] = 1
    overlap: int = Field(1, ge=1, le=MOST_ANNOTATORS)
    depth: int | None = None
    grades: int | None = None
    replacement: bool | None = None
    menus: list[list[int]] | str | dict[str, object] | None = Field(None, union_mode="left_to_right")
    prompt_weights: list[float] | None = None
    proposal: dict[str, object] | None = None

    def build(self, items: Items, where: str) -> Design:
        settings = self.model_dump(exclude={"proposal"})
        settings["menus"] = self._list_menus(items, where)
        if self.proposal is not None:
            settings["proposal"] = density(self.proposal, f"{where}.proposal")
        with at_key(where):
            return Design(items, **settings)

    def _list_menus(self, items: Items, where: str) -> np.ndarray | list[list[int]] | None:
        if not isinstance(self.menus, str | dict):
            return self.menus
        spec: dict[str, object] = {"kind": self.menus} if isinstance(self.menus, str) else dict(self.menus)
        if spec.get("kind") in ("round_robin", "random_menus"):
            spec.setdefault("size", self.menu_size)
        return build(MENUS, spec, f"{where}.menus", items)


class CostTable(Table):
    annotator: float = Field(1.0, ge=0)
    answer: float = Field(0.1, ge=0)


class GridTable(Table):
    """The same equally spaced values for every feature's weight."""

    low: float
    high: float
    points: int = Field(ge=2)

    def tastes(self, dim: int, where: str) -> np.ndarray:
        """``(points^dim, dim)``."""
        if self.points**dim > MOST_TASTES:
            raise ScenarioError(
                f"{where}.any_tastes.points: {self.points}^{dim} tastes, more than {MOST_TASTES:,}; take fewer "
                "points or list the tastes"
            )
        axes = np.meshgrid(*[np.linspace(self.low, self.high, self.points)] * dim, indexing="ij")
        return np.stack(axes, -1).reshape(-1, dim)


class AmongTable(Table):
    """What else is possible: ``{ types = 2 }``, ``{ any_tastes = [[1.0, 0.0], [-1.0, 0.5]] }``, or
    ``{ any_tastes = { low = -2.0, high = 2.0, points = 9 } }``.
    """

    types: int | None = None
    any_tastes: GridTable | list[float | list[float]] | None = Field(None, union_mode="left_to_right")
    tabular: bool = False

    def build(self, items: Items, where: str) -> Types | AnyTastes:
        if (self.types is None) == (self.any_tastes is None):
            raise ScenarioError(f"{where}: give one of types = 2 and any_tastes = [...]")
        with at_key(where):
            if self.types is not None:
                return types(self.types)
            return any_tastes(self._grid(items, where), tabular=self.tabular)

    def _grid(self, items: Items, where: str) -> np.ndarray | list[float | list[float]]:
        dim = items.n if self.tabular else 0 if items.features is None else items.features.shape[-1]
        if not dim:
            raise ScenarioError(f"{where}.any_tastes: the items have no features; list utilities, with tabular = true")
        if isinstance(self.any_tastes, GridTable):
            return self.any_tastes.tastes(dim, where)
        for number, taste in enumerate(self.any_tastes or []):
            if (len(taste) if isinstance(taste, list) else 1) != dim:
                raise ScenarioError(
                    f"{where}.any_tastes[{number}]: {taste}; give {dim} numbers, one per "
                    f"{'item' if self.tabular else 'feature'}"
                )
        return self.any_tastes or []


class PlanTable(Table):
    precision: float = Field(0.05, gt=0)
    target: str = "weights"
    among: AmongTable | None = None
    compare: list[dict[str, object]] = Field(default_factory=list)
    cost: CostTable = Field(default_factory=CostTable)
