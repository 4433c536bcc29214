"""The tables ``[population]`` and ``[model]``: types, tastes, rules, habits, groups."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field

from annosim.errors import AnnosimError, ScenarioError
from annosim.items import Items
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.populations.mixture import Mixture
from annosim.rules.registry import ENTRIES
from annosim.scenario.networks import Checkpoint, heads, log_policy, opened, read_some, sequence_reward
from annosim.scenario.tables import Table, build
from annosim.utilities.base import Utility
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

    weight: float | None = Field(None, ge=0, le=1)
    utility: dict[str, Any]
    rule: dict[str, Any] = Field(default_factory=lambda: {"kind": "luce"})
    habits: list[dict[str, Any]] = Field(default_factory=list)


class SpammersTable(Table):
    """A share of people who answer without looking."""

    share: float = Field(ge=0, le=1)
    how: str = "random"


class GateTable(Table):
    """Types whose probabilities depend on who one is, ``softmax(covariates @ coefficients)``; the last scores 0."""

    covariates: list[list[float]] = Field(min_length=1)
    coefficients: list[list[float]] | None = None


class PopulationTable(Table):
    types: list[TypeTable] = Field(min_length=1)
    spammers: SpammersTable | None = None
    gate: GateTable | None = None

    def build(self, items: Items, where: str, folder: Path = Path()) -> Population:
        attentive = self._attentive(items, where, folder)
        if self.spammers is None:
            return attentive
        from annosim.populations.contaminated import Contaminated

        spammer = build(ENTRIES["rule"], {"kind": "spammer", "how": self.spammers.how}, f"{where}.spammers")
        return Contaminated(attentive, self.spammers.share, spammer)

    def _attentive(self, items: Items, where: str, folder: Path) -> Population:
        checkpoints: dict[str, Checkpoint] = {}
        tables = [TypeTable.model_construct(**opened(t.model_dump(), checkpoints, folder)) for t in self.types]
        types = [_build_type(t, items, f"{where}.types[{i}]") for i, t in enumerate(tables)]
        weights = [t.weight for t in self.types]
        if self.gate is not None:
            return self._gated(types, weights, where)
        if len(types) == 1:
            if weights[0] not in (None, 1.0):
                raise ScenarioError(
                    f"{where}.types[0].weight: {weights[0]} is not 1 and there is one type; leave it out"
                )
            return types[0]
        if any(w is None for w in weights) and any(w is not None for w in weights):
            missing = next(i for i, w in enumerate(weights) if w is None)
            raise ScenarioError(f"{where}.types[{missing}].weight: missing; give all weights, or none for equal ones")
        if weights[0] is not None and abs(sum(weights) - 1) > 1e-6:  # type: ignore[arg-type]
            raise ScenarioError(
                f"{where}.types[*].weight: {weights} sum to {sum(weights):.6g}; make them sum to one"  # type: ignore[arg-type]
            )
        return Mixture(types, None if weights[0] is None else weights)

    def _gated(self, types: list[Population], weights: list[float | None], where: str) -> Population:
        from annosim.populations.gated import Gated

        given = [i for i, w in enumerate(weights) if w is not None]
        if given:
            raise ScenarioError(f"{where}.types[{given[0]}].weight: the gate sets the weights; leave it out")
        try:
            return Gated(types, self.gate.covariates, self.gate.coefficients)  # type: ignore[union-attr]
        except AnnosimError as error:
            raise ScenarioError(f"{where}.gate: {error}") from None


def _build_type(table: TypeTable, items: Items, where: str) -> Population:
    if str(table.utility.get("kind")).replace("-", "_").lower() in TASTES:
        rule = _build_rule(table, None, where)
        people = build(TASTES, table.utility, f"{where}.utility", rule)
        _fits(lambda items: [leaf.nodes(items) for leaf in people.components()], items, f"{where}.utility")
        return people
    utility = build(UTILITIES, table.utility, f"{where}.utility")
    _fits(lambda items: read_some(utility, items), items, f"{where}.utility")
    return Annotator(utility, _build_rule(table, utility, where))


def _build_rule(table: TypeTable, utility: Utility | None, where: str) -> Any:
    """The rule in its habits."""
    rule = build(ENTRIES["rule"], _with_modules(table.rule, utility, f"{where}.rule"), f"{where}.rule")
    for i, habit in enumerate(table.habits):
        here = f"{where}.habits[{i}]"
        rule = build(ENTRIES["habit"], _with_modules(habit, utility, here), here, rule)
    return rule


def _with_modules(spec: dict[str, Any], utility: Utility | None, where: str) -> dict[str, Any]:
    """A rule's table whose tables of densities and networks are built.

    ``reference`` is a density's table or "start", the type's own utility as it begins; ``log_sd`` and ``logits`` may be
    a utility's table, or ``{ column = 1 }`` of the network whose other column is the utility.
    """
    out = dict(spec)
    if spec.get("reference") == "start":
        out["reference"] = at_start(utility, f"{where}.reference")
    elif isinstance(spec.get("reference"), dict):
        out["reference"] = density(spec["reference"], f"{where}.reference")
    for key in ("log_sd", "logits"):
        value = spec.get(key)
        if isinstance(value, dict) and "kind" in value:
            out[key] = build(UTILITIES, value, f"{where}.{key}")
        elif isinstance(value, dict) and set(value) == {"column"}:
            out[key] = _other_column(utility, value["column"], f"{where}.{key}")
    return out


def at_start(utility: Any, where: str) -> Any:
    """A utility as it begins, for a reference (which is copied and frozen where it is used).

    Raises:
        ScenarioError: it is no density.
    """
    if not callable(getattr(utility, "log_prob", None)):
        raise ScenarioError(
            f"{where}: 'start' is the utility as it begins, and {type(utility).__name__} is no density; use one of "
            f"{', '.join(DENSITIES)} as the utility"
        )
    return utility


def _other_column(utility: Utility | None, number: Any, where: str) -> Utility:
    if not isinstance(utility, Column):
        raise ScenarioError(f"{where}: the type's utility is no column of several outputs; give it column = 0")
    try:
        return utility.source.column(number)  # type: ignore[operator]
    except (AnnosimError, TypeError) as error:
        raise ScenarioError(f"{where}.column: {error}") from None


def _fits(utility: Callable[[Items], Any], items: Items, where: str) -> None:
    """A utility that cannot read these items is the scenario's mistake: say under which key."""
    try:
        utility(items)
    except AnnosimError as error:
        raise ScenarioError(f"{where}: {error}") from None


def _random_linear(rule: Any, mean: list[float], scale: Any, distribution: Any = "normal", **more: Any) -> Population:
    from annosim.populations.random_coefficients import RandomCoefficients

    return RandomCoefficients(mean, scale, rule, distribution=distribution, **more)


def _low_rank(rule: Any, loadings: list[list[float]], mean: list[float] | None = None, **more: Any) -> Population:
    from annosim.populations.low_rank import LowRank

    return LowRank(len(loadings) if mean is None else mean, loadings, rule, **more)


def _dirichlet(rule: Any, prototypes: list[dict[str, Any]], concentration: Any = 1.0, **more: Any) -> Population:
    from annosim.populations.dirichlet import DirichletTastes

    parts = [build(UTILITIES, table, f"prototypes[{i}]") for i, table in enumerate(prototypes)]
    return DirichletTastes(parts, concentration, rule, **more)


def _hierarchy(rule: Any, means: list[list[float]], spread: Any, weights: list[float] | None = None) -> Population:
    from annosim.populations.hierarchical import Hierarchy

    return Hierarchy(means, spread, rule, weights)


def _log_density(energy: dict[str, Any]) -> LogDensity:
    return LogDensity(build(UTILITIES, energy, "energy"))


def _density_mixture(densities: list[dict[str, Any]], weights: list[float] | None = None) -> DensityMixture:
    return DensityMixture([build(UTILITIES, d, f"densities[{i}]") for i, d in enumerate(densities)], weights)


def _ensemble(members: list[dict[str, Any]]) -> Ensemble:
    return Ensemble([build(UTILITIES, member, f"members[{i}]") for i, member in enumerate(members)])


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
    "low_rank": _low_rank,
    "dirichlet": _dirichlet,
    "hierarchy": _hierarchy,
}
DENSITIES = ("truncated_normal", "density_mixture", "log_density", "log_policy")


def density(spec: dict[str, Any], where: str) -> Any:
    """The density that a table with one of :data:`DENSITIES` describes.

    Raises:
        ScenarioError: the table describes no density.
    """
    if spec.get("kind") not in DENSITIES:
        raise ScenarioError(f"{where}.kind: {spec.get('kind')!r} is not a density; use one of {', '.join(DENSITIES)}")
    return build(UTILITIES, spec, where)
