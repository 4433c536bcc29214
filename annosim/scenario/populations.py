"""The tables ``[population]`` and ``[model]``: types, tastes, rules, response biases, groups."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from annosim.errors import ScenarioError
from annosim.items import Items
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.populations.contaminated import Contaminated
from annosim.populations.dirichlet import DirichletTastes
from annosim.populations.gated import Gated
from annosim.populations.hierarchical import Hierarchy
from annosim.populations.judge_panels import JudgePanels
from annosim.populations.low_rank import LowRank
from annosim.populations.mixture import Mixture
from annosim.populations.random_coefficients import RandomCoefficients
from annosim.rules.base import Rule
from annosim.rules.registry import ENTRIES
from annosim.scenario.networks import Checkpoint, heads, log_policy, opened, read_some, sequence_reward
from annosim.scenario.tables import Spec, Table, at_key, build, kind_of
from annosim.utilities.base import Density, Utility
from annosim.utilities.densities import DensityMixture, LogDensity, truncated_normal
from annosim.utilities.ensembles import Ensemble
from annosim.utilities.heads import Column
from annosim.utilities.linear import IdealPoint, Linear
from annosim.utilities.networks import Network
from annosim.utilities.tabular import Tabular, ZeroUtility

__all__ = [
    "DENSITIES",
    "TASTES",
    "UTILITIES",
    "GateTable",
    "PopulationTable",
    "SpammersTable",
    "TypeTable",
    "at_start",
    "density",
]


class TypeTable(Table):
    """One hidden type: ``utility`` and ``rule`` are tables with a ``kind``; ``habits`` wrap the rule in order."""

    weight: float | None = Field(None, ge=0, le=1, description="share of this type; of one type 1")
    utility: dict[str, object] = Field(description='what they want, such as { kind = "linear", weights = [1.0, 0.0] }')
    rule: dict[str, object] = Field(
        {"kind": "luce"}, description='how they answer, such as { kind = "luce", temperature = 0.5 }'
    )
    habits: list[dict[str, object]] = Field(
        default_factory=list, description='response biases, such as [ { kind = "lapse", rate = 0.05 } ]'
    )


class SpammersTable(Table):
    """A share of people who answer without looking."""

    share: float = Field(ge=0, le=1, description="share of all annotators")
    how: str = Field("random", description="random, first, last or alternating: where they look")


class GateTable(Table):
    """Types whose probabilities depend on who one is, ``softmax(covariates @ coefficients)``; the last scores 0."""

    covariates: list[list[float]] = Field(
        min_length=1, description="a list of numbers for each annotator, repeated where there are more annotators"
    )
    coefficients: list[list[float]] | None = Field(
        None, description="a row for each covariate with a number for each type but the last; 0 by default"
    )


class PopulationTable(Table):
    """Who answers; as ``model``, what is fitted."""

    types: list[TypeTable] = Field(min_length=1, description="the hidden types of annotators, one table each")
    spammers: SpammersTable | None = Field(None, description="people who answer without looking; none by default")
    gate: GateTable | None = Field(None, description="types that depend on who one is")

    def build(self, items: Items, where: str, folder: Path = Path()) -> Population:
        attentive = self._attentive(items, where, folder)
        if self.spammers is None:
            return attentive
        spammer = build(ENTRIES["rule"], {"kind": "spammer", "how": self.spammers.how}, f"{where}.spammers")
        return Contaminated(attentive, self.spammers.share, spammer)

    def _attentive(self, items: Items, where: str, folder: Path) -> Population:
        checkpoints: dict[str, Checkpoint] = {}
        tables = [TypeTable.model_construct(**opened(t.model_dump(), checkpoints, folder)) for t in self.types]
        types = [_build_type(t, items, f"{where}.types[{i}]") for i, t in enumerate(tables)]
        weights = self._weights(where)
        if self.gate is not None:
            with at_key(f"{where}.gate"):
                return Gated(types, self.gate.covariates, self.gate.coefficients)
        with at_key(where):
            return types[0] if len(types) == 1 else Mixture(types, weights)

    def _weights(self, where: str) -> list[float] | None:
        """The weights of all types, or ``None`` where none is given."""
        given = {i: table.weight for i, table in enumerate(self.types) if table.weight is not None}
        if not given:
            return None
        if self.gate is not None:
            raise ScenarioError(f"{where}.types[{min(given)}].weight: the gate sets the weights; leave it out")
        if len(self.types) == 1 and given[0] != 1.0:
            raise ScenarioError(f"{where}.types[0].weight: {given[0]} is not 1 and there is one type; leave it out")
        missing = [i for i in range(len(self.types)) if i not in given]
        if missing:
            raise ScenarioError(
                f"{where}.types[{missing[0]}].weight: missing; give all weights, or none for equal ones"
            )
        weights = list(given.values())
        if abs(sum(weights) - 1) > 1e-6:
            raise ScenarioError(f"{where}.types[*].weight: {weights} sum to {sum(weights):.6g}; make them sum to one")
        return weights


def _build_type(table: TypeTable, items: Items, where: str) -> Population:
    """The type, after a look whether it can read these items."""
    if kind_of(table.utility) in TASTES:
        rule = _build_rule(table, None, where)
        people: Population = build(TASTES, table.utility, f"{where}.utility", rule)
        with at_key(f"{where}.utility"):
            for component in people.components():
                component.nodes(items)
        return people
    utility: Utility = build(UTILITIES, table.utility, f"{where}.utility")
    with at_key(f"{where}.utility"):
        read_some(utility, items)
    return Annotator(utility, _build_rule(table, utility, where))


def _build_rule(table: TypeTable, utility: Utility | None, where: str) -> Rule:
    """The rule in its response biases."""
    rule: Rule = build(ENTRIES["rule"], _with_modules(table.rule, utility, f"{where}.rule"), f"{where}.rule")
    for i, habit in enumerate(table.habits):
        here = f"{where}.habits[{i}]"
        rule = build(ENTRIES["habit"], _with_modules(habit, utility, here), here, rule)
    return rule


def _with_modules(spec: Spec, utility: Utility | None, where: str) -> dict[str, object]:
    """A rule's table whose tables of densities and networks are built.

    ``reference`` is a density's table or "start", the type's own utility as it begins; ``log_sd`` and ``logits`` may be
    a utility's table, or ``{ column = 1 }`` of the network whose other column is the utility.
    """
    out = dict(spec)
    reference = spec.get("reference")
    if reference == "start":
        out["reference"] = at_start(utility, f"{where}.reference")
    elif isinstance(reference, dict):
        out["reference"] = density(reference, f"{where}.reference")
    for key in ("log_sd", "logits"):
        value = spec.get(key)
        if isinstance(value, dict) and "kind" in value:
            out[key] = build(UTILITIES, value, f"{where}.{key}")
        elif isinstance(value, dict) and set(value) == {"column"}:
            out[key] = _other_column(utility, value["column"], f"{where}.{key}")
    return out


def at_start(utility: Utility | None, where: str) -> Density:
    """A utility as it begins, for a reference (which is copied and frozen where it is used).

    Raises:
        ScenarioError: it is no density.
    """
    if not isinstance(utility, Density):
        raise ScenarioError(
            f"{where}: 'start' is the utility as it begins, and {type(utility).__name__} is no density; use one of "
            f"{', '.join(DENSITIES)} as the utility"
        )
    return utility


def _other_column(utility: Utility | None, number: object, where: str) -> Utility:
    if not isinstance(utility, Column):
        raise ScenarioError(f"{where}: the type's utility is no column of several outputs; give it column = 0")
    if isinstance(number, bool) or not isinstance(number, int):
        raise ScenarioError(f"{where}.column: give a whole number, such as column = 1")
    with at_key(f"{where}.column"):
        return utility.source.column(number)


def _build_all(tables: list[Spec], name: str) -> list[Any]:
    """The utilities of a list of tables."""
    if not isinstance(tables, list):
        raise ScenarioError(f"{name}: give a list of tables, such as [{{ kind = 'tabular', values = [0, 1] }}]")
    return [build(UTILITIES, table, f"{name}[{i}]") for i, table in enumerate(tables)]


def _random_linear(
    rule: Rule, mean: list[float], scale: Any, distribution: Any = "normal", **more: Any
) -> RandomCoefficients:
    return RandomCoefficients(mean, scale, rule, distribution=distribution, **more)


def _low_rank(rule: Rule, loadings: list[list[float]], mean: list[float] | None = None, **more: Any) -> LowRank:
    return LowRank(np.zeros(len(np.atleast_1d(loadings))) if mean is None else mean, loadings, rule, **more)


def _judge_panels(rule: Rule, mean: Any, spread: Any, **more: Any) -> JudgePanels:
    return JudgePanels(mean, spread, rule, **more)


def _dirichlet(rule: Rule, prototypes: list[Spec], concentration: Any = 1.0, **more: Any) -> DirichletTastes:
    return DirichletTastes(_build_all(prototypes, "prototypes"), concentration, rule, **more)


def _hierarchy(rule: Rule, means: list[list[float]], spread: Any, weights: list[float] | None = None) -> Hierarchy:
    return Hierarchy(means, spread, rule, weights)


def _log_density(energy: Spec) -> LogDensity:
    return LogDensity(build(UTILITIES, energy, "energy"))


def _density_mixture(densities: list[Spec], weights: list[float] | None = None) -> DensityMixture:
    return DensityMixture(_build_all(densities, "densities"), weights)


def _ensemble(members: list[Spec]) -> Ensemble:
    return Ensemble(_build_all(members, "members"))


def _network(widths: list[int], dim: int, seed: int = 0, sign: float = 1.0) -> Network:
    return Network(widths, dim=dim, seed=seed, sign=sign)


#: kind -> constructor; keyword arguments are the table's other keys
UTILITIES: dict[str, Callable[..., Any]] = {
    "tabular": lambda values: Tabular(values),
    "linear": lambda weights: Linear(weights),
    "ideal_point": lambda point, scale=1.0: IdealPoint(point, scale),
    "network": _network,
    "heads": heads,
    "ensemble": _ensemble,
    "log_policy": log_policy,
    "sequence_reward": sequence_reward,
    "log_density": _log_density,
    "truncated_normal": truncated_normal,
    "indifferent": lambda: ZeroUtility(),
    "density_mixture": _density_mixture,
}
TASTES: dict[str, Callable[..., Any]] = {
    "random_linear": _random_linear,
    "judge_panels": _judge_panels,
    "low_rank": _low_rank,
    "dirichlet": _dirichlet,
    "hierarchy": _hierarchy,
}
DENSITIES = ("truncated_normal", "density_mixture", "log_density", "log_policy")


def density(spec: Spec, where: str) -> Any:
    """The density that a table with one of :data:`DENSITIES` describes.

    Raises:
        ScenarioError: the table describes no density.
    """
    if kind_of(spec) not in DENSITIES:
        raise ScenarioError(f"{where}.kind: {kind_of(spec)!r} is not a density; use one of {', '.join(DENSITIES)}")
    return build(UTILITIES, spec, where)
