"""The tables ``[design]`` and ``[plan]``."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from annosim.designs.design import Design
from annosim.errors import ScenarioError
from annosim.identifiability.families import AnyTastes, Types, any_tastes, types
from annosim.identifiability.functionals import FUNCTIONALS
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
    """What is asked of whom: ``annosim.Design``."""

    menu_size: int = Field(2, ge=1, le=127, description="items in a question")
    feedback: Literal["choice", "ranking", "top", "best-worst", "rating"] = Field(
        "choice",
        description="what an answer says of its items: the best, all in order, the best few, the best and the worst, a grade",
    )
    annotators: int = Field(1000, ge=1, le=MOST_ANNOTATORS, description="how many people are asked")
    questions: int | Literal["all"] = Field(1, description='asked of each annotator; "all" asks every listed menu')
    overlap: int = Field(1, ge=1, le=MOST_ANNOTATORS, description="annotators who are asked the same questions")
    depth: int | None = Field(None, description="places that an answer fills, with feedback top")
    grades: int | None = Field(None, description="grades of the scale, with feedback rating")
    replacement: bool | None = Field(
        None, description="whether an item may stand twice in a menu; only with a proposal, by default"
    )
    menus: list[list[int]] | str | dict[str, object] | None = Field(
        None,
        union_mode="left_to_right",
        description="the questions themselves, as lists of items by place from 0, or a list by name such as "
        '"round_robin" or { kind = "sparse_graph", pairs = 12 }; drawn at random by default',
    )
    covariates: dict[str, list[list[float]]] | None = Field(
        None,
        description="numbers of each alternative as a listed menu shows it, by name, such as { length = [[90, 40]] }; the "
        "habit covariates reads them",
    )
    prompt_weights: list[float] | None = Field(
        None, description="probabilities of the prompts, in the order of their numbers; uniform by default"
    )
    proposal: dict[str, object] | None = Field(
        None, description="a density from which menus are drawn, a table with a kind; uniform by default"
    )

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
    """Prices, in any currency."""

    annotator: float = Field(1.0, ge=0, description="price of one more annotator")
    answer: float = Field(0.1, ge=0, description="price of one more answer")


class GridTable(Table):
    """The same equally spaced values for every feature's weight."""

    low: float = Field(description="least weight")
    high: float = Field(description="greatest weight")
    points: int = Field(ge=2, description="values of each weight, with both ends")

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

    types: int | None = Field(None, description="populations of so many types")
    any_tastes: GridTable | list[float | list[float]] | None = Field(
        None, union_mode="left_to_right", description="populations with any shares of these tastes, listed or on a grid"
    )
    tabular: bool = Field(False, description="tastes are utilities, one per item, and no weights of features")

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
    """What ``annosim plan`` prices."""

    precision: float = Field(0.05, gt=0, description="half-width of a 95 % interval that is wanted")
    target: str | None = Field(
        None,
        description="what is to be known: "
        + ", ".join(FUNCTIONALS)
        + "; by default the weights of types, the utilities of one annotator",
    )
    among: AmongTable | None = Field(None, description="what else is possible; the population's own family by default")
    compare: list[dict[str, object]] = Field(
        default_factory=list, description="designs, each as changes of the table design; that design itself by default"
    )
    cost: CostTable = Field(default_factory=CostTable, description="prices")
