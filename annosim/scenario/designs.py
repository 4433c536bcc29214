"""The tables ``[design]`` and ``[plan]``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from annosim.designs import Design
from annosim.errors import AnnosimError, ScenarioError
from annosim.items import Items
from annosim.rules.registry import ENTRIES
from annosim.scenario.populations import density
from annosim.scenario.tables import Table, build

__all__ = ["MENUS", "CostTable", "DesignTable", "PlanTable"]

#: lists of menus by name: menus = "round_robin", or menus = { kind = "sparse_graph", pairs = 12 }
MENUS = {
    name: ENTRIES["design"][f"menus.{name}"]
    for name in ("round_robin", "star", "chain", "sparse_graph", "random_menus")
}


class DesignTable(Table):
    menu_size: int = Field(2, ge=1, le=127)
    feedback: Literal["choice", "ranking", "top", "best-worst", "rating"] = "choice"
    annotators: int = Field(1000, ge=1)
    questions: int | Literal["all"] = 1
    overlap: int = Field(1, ge=1)
    depth: int | None = None
    grades: int | None = None
    replacement: bool | None = None
    menus: list[list[int]] | str | dict[str, Any] | None = Field(None, union_mode="left_to_right")
    prompt_weights: list[float] | None = None
    proposal: dict[str, Any] | None = None

    def build(self, items: Items, where: str) -> Design:
        settings = self.model_dump(exclude={"proposal"})
        settings["menus"] = self._list_menus(items, where)
        if self.proposal is not None:
            settings["proposal"] = density(self.proposal, f"{where}.proposal")
        try:
            return Design(items, **settings)
        except AnnosimError as error:
            raise ScenarioError(f"{where}: {error}") from None

    def _list_menus(self, items: Items, where: str) -> Any:
        if not isinstance(self.menus, str | dict):
            return self.menus
        spec: dict[str, Any] = {"kind": self.menus} if isinstance(self.menus, str) else dict(self.menus)
        if spec.get("kind") in ("round_robin", "random_menus"):
            spec.setdefault("size", self.menu_size)
        return build(MENUS, spec, f"{where}.menus", items)


class CostTable(Table):
    annotator: float = Field(1.0, ge=0)
    answer: float = Field(0.1, ge=0)


class PlanTable(Table):
    precision: float = Field(0.05, gt=0)
    target: str = "weights"
    compare: list[dict[str, Any]] = Field(default_factory=list)
    cost: CostTable = Field(default_factory=CostTable)
