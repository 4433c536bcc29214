"""Scenarios: a population, a design, a model and data, written in one TOML file. Plain data, no code.

Every key is checked; an unknown one, or a value that is not allowed, is a :class:`~annosim.errors.ScenarioError` of one
line that names the key and says what to do.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from annosim.designs import Design
from annosim.errors import AnnosimError, FileReadError, ScenarioError
from annosim.items import Items
from annosim.populations import Annotator, Mixture, Population
from annosim.rules.registry import ENTRIES, Entry
from annosim.utilities import (
    DensityMixture,
    IdealPoint,
    Linear,
    LogDensity,
    Network,
    Tabular,
    truncated_normal,
)

__all__ = ["Scenario", "load_scenario", "read_scenario"]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False)


# ---- items -------------------------------------------------------------------------------------------------------


class NormalItems(_Table):
    kind: Literal["normal"]
    n: int = Field(ge=1)
    dim: int = Field(ge=1)
    seed: int = Field(0, ge=0)
    prompts: int = Field(1, ge=1)

    def build(self, folder: Path) -> Items:
        return Items.normal(self.n, self.dim, self.seed, self.prompts)


class GridItems(_Table):
    kind: Literal["grid"]
    low: float
    high: float
    n: int = Field(ge=2)

    def build(self, folder: Path) -> Items:
        return Items.grid(self.low, self.high, self.n)


class CsvItems(_Table):
    kind: Literal["csv"]
    path: str
    name: str | None = None
    text: str | None = None
    features: list[str] | None = None
    prompt: str | None = None
    cluster: str | None = None

    def build(self, folder: Path) -> Items:
        import pandas as pd

        try:
            frame = pd.read_csv(folder / self.path)
        except (OSError, ValueError) as error:
            raise FileReadError(
                f"items.path: cannot read {self.path!r} ({error}); give a CSV file with a header"
            ) from None
        wanted = [self.name, self.text, self.prompt, self.cluster, *(self.features or [])]
        for column in filter(None, wanted):
            if column not in frame:
                raise ScenarioError(f"items: {self.path} has no column {column!r}; it has: {', '.join(frame)}")
        code = lambda c: None if c is None else pd.factorize(frame[c])[0]  # noqa: E731
        return Items(
            features=frame[self.features].to_numpy(float) if self.features else None,
            names=None if self.name is None else frame[self.name].astype(str).tolist(),
            texts=None if self.text is None else frame[self.text].astype(str).tolist(),
            prompts=code(self.prompt),
            clusters=code(self.cluster),
            n=len(frame),
        )


class InlineItems(_Table):
    kind: Literal["inline"]
    features: list[list[float]] | None = None
    names: list[str] | None = None
    prompts: list[int] | None = None
    clusters: list[int] | None = None
    weights: list[float] | None = None
    n: int = Field(0, ge=0)

    def build(self, folder: Path) -> Items:
        return Items(**self.model_dump(exclude={"kind"}))


AnyItems = Annotated[NormalItems | GridItems | CsvItems | InlineItems, Field(discriminator="kind")]


# ---- population and model ----------------------------------------------------------------------------------------


class TypeTable(_Table):
    """One hidden type: ``utility`` and ``rule`` are tables with a ``kind``; ``habits`` wrap the rule in order."""

    weight: float | None = Field(None, ge=0, le=1)
    utility: dict[str, Any]
    rule: dict[str, Any] = Field(default_factory=lambda: {"kind": "luce"})
    habits: list[dict[str, Any]] = Field(default_factory=list)


class SpammersTable(_Table):
    """A share of people who answer without looking."""

    share: float = Field(ge=0, le=1)
    how: str = "random"


class PopulationTable(_Table):
    types: list[TypeTable] = Field(min_length=1)
    spammers: SpammersTable | None = None

    def build(self, items: Items, where: str) -> Population:
        attentive = self._attentive(items, where)
        if self.spammers is None:
            return attentive
        from annosim.groups import Contaminated

        spec = {"kind": "spammer", "how": self.spammers.how}
        spammer = _call(ENTRIES["rule"], spec, items, f"{where}.spammers")
        return Contaminated(attentive, self.spammers.share, spammer)

    def _attentive(self, items: Items, where: str) -> Population:
        types = [_build_type(t, items, f"{where}.types[{i}]") for i, t in enumerate(self.types)]
        weights = [t.weight for t in self.types]
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


def _build_type(table: TypeTable, items: Items, where: str) -> Population:
    rule = _call(ENTRIES["rule"], dict(table.rule), items, f"{where}.rule")
    for i, habit in enumerate(table.habits):
        spec = dict(habit)
        rule = _call(ENTRIES["habit"], spec, items, f"{where}.habits[{i}]", rule)
    if str(table.utility.get("kind")).replace("-", "_").lower() in TASTES:
        people = _call(TASTES, dict(table.utility), items, f"{where}.utility", rule)
        _fits(people.nodes, items, f"{where}.utility")
        return people
    utility = _call(UTILITIES, dict(table.utility), items, f"{where}.utility")
    _fits(utility, items, f"{where}.utility")
    return Annotator(utility, rule)


def _fits(utility: Callable[[Items], Any], items: Items, where: str) -> None:
    """A utility that cannot read these items is the scenario's mistake: say under which key."""
    try:
        utility(items)
    except AnnosimError as error:
        raise ScenarioError(f"{where}: {error}") from None


def _random_linear(rule: Any, mean: list[float], scale: Any, distribution: Any = "normal", **more: Any) -> Population:
    from annosim.tastes import RandomCoefficients

    return RandomCoefficients(mean, scale, rule, distribution=distribution, **more)


def _low_rank(rule: Any, loadings: list[list[float]], mean: list[float] | None = None, **more: Any) -> Population:
    from annosim.tastes import LowRank

    return LowRank(len(loadings) if mean is None else mean, loadings, rule, **more)


def _dirichlet(rule: Any, prototypes: list[dict[str, Any]], concentration: Any = 1.0, **more: Any) -> Population:
    from annosim.tastes import DirichletTastes

    parts = [_call(UTILITIES, dict(table), None, f"prototypes[{i}]") for i, table in enumerate(prototypes)]
    return DirichletTastes(parts, concentration, rule, **more)


def _log_density(energy: dict[str, Any]) -> LogDensity:
    return LogDensity(_call(UTILITIES, dict(energy), None, "energy"))


def _density_mixture(densities: list[dict[str, Any]], weights: list[float] | None = None) -> DensityMixture:
    return DensityMixture([_call(UTILITIES, dict(d), None, "densities") for d in densities], weights)


def _network(widths: list[int], dim: int, seed: int = 0, sign: float = 1.0) -> Network:
    return Network(widths, dim=dim, seed=seed, sign=sign)


#: kind -> constructor; keyword arguments are the table's other keys
UTILITIES: dict[str, Callable[..., Any]] = {
    "tabular": lambda values: Tabular(values),
    "linear": lambda weights: Linear(weights),
    "ideal_point": lambda point, scale=1.0: IdealPoint(point, scale),
    "network": _network,
    "log_density": _log_density,
    "truncated_normal": truncated_normal,
    "density_mixture": _density_mixture,
}
TASTES: dict[str, Callable[..., Any]] = {
    "random_linear": _random_linear,
    "low_rank": _low_rank,
    "dirichlet": _dirichlet,
}
#: lists of menus by name: menus = "round_robin", or menus = { kind = "sparse_graph", pairs = 12 }
MENUS = {
    name: ENTRIES["design"][f"menus.{name}"]
    for name in ("round_robin", "star", "chain", "sparse_graph", "random_menus")
}
DENSITIES = ("truncated_normal", "density_mixture", "log_density")


def _density(spec: dict[str, Any], where: str) -> LogDensity:
    if spec.get("kind") not in DENSITIES:
        raise ScenarioError(f"{where}.kind: {spec.get('kind')!r} is not a density; use one of {', '.join(DENSITIES)}")
    return _call(UTILITIES, dict(spec), None, where)


def _call(table: Any, spec: dict[str, Any], items: Items | None, where: str, *first: Any) -> Any:
    """Build ``spec`` (a table with a ``kind``) by its constructor, naming the key when something is wrong."""
    kind = str(spec.pop("kind", None)).replace("-", "_").lower()
    if kind not in table:
        close = difflib.get_close_matches(str(kind), list(table), 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ScenarioError(f"{where}.kind: {kind!r} is unknown; {hint}the kinds are {', '.join(sorted(table))}")
    entry = table[kind]
    make = entry.constructor() if isinstance(entry, Entry) else entry
    for key in ("reference", "energy"):
        if key == "reference" and isinstance(spec.get(key), dict):
            spec[key] = _density(spec[key], f"{where}.reference")
    for key, value in spec.items():
        if isinstance(value, dict) and set(value) == {"free"}:
            from annosim.parameters import free

            spec[key] = free(value["free"])
    _check_keywords(make, spec, where, len(first))
    try:
        return make(*first, **spec)
    except AnnosimError as error:
        raise ScenarioError(f"{where}: {error}") from None
    except TypeError as error:
        raise ScenarioError(f"{where}: {error}; see the docstring of kind {kind!r}") from None


def _check_keywords(make: Callable[..., Any], spec: dict[str, Any], where: str, skip: int) -> None:
    import inspect

    names = list(inspect.signature(make).parameters.values())[skip:]
    if any(p.kind is p.VAR_KEYWORD for p in names):
        return
    allowed = [p.name for p in names]
    for key in spec:
        if key not in allowed:
            close = difflib.get_close_matches(key, allowed, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ScenarioError(f"{where}.{key}: unknown key; allowed are {', '.join(allowed) or 'none'}{hint}")
    for p in names:
        if p.default is p.empty and p.name not in spec:
            raise ScenarioError(f"{where}.{p.name}: missing; give it a value")


# ---- design, plan, data ------------------------------------------------------------------------------------------


class DesignTable(_Table):
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
            settings["proposal"] = _density(self.proposal, f"{where}.proposal")
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
        return _call(MENUS, spec, items, f"{where}.menus", items)


class CostTable(_Table):
    annotator: float = Field(1.0, ge=0)
    answer: float = Field(0.1, ge=0)


class PlanTable(_Table):
    precision: float = Field(0.05, gt=0)
    target: str = "weights"
    compare: list[dict[str, Any]] = Field(default_factory=list)
    cost: CostTable = Field(default_factory=CostTable)


class DataTable(_Table):
    path: str
    format: str = "pairs"
    columns: dict[str, str] = Field(default_factory=dict)


class ScenarioTable(_Table):
    seed: int = Field(0, ge=0, lt=2**64)
    items: AnyItems | None = None
    population: PopulationTable | None = None
    design: DesignTable | None = None
    model: PopulationTable | None = None
    data: DataTable | None = None
    plan: PlanTable | None = None


@dataclass(frozen=True)
class Scenario:
    """A scenario, built.

    Attributes:
        path: the file.
        seed: of everything drawn.
        items, population, design, model: ``None`` where the file has no such table.
        data: path (resolved against the file's folder), format and columns, or ``None``.
        plan: the ``[plan]`` table (with defaults), or ``None``.
        compare: the designs that ``[plan]`` compares (the scenario's own when it lists none).
    """

    path: Path
    seed: int
    items: Items | None = None
    population: Population | None = None
    design: Design | None = None
    model: Population | None = None
    data: DataTable | None = None
    plan: PlanTable | None = None
    compare: list[Design] = field(default_factory=list)

    def need(self, *names: str) -> None:
        """Raise a :class:`ScenarioError` when a table is missing that a command cannot do without."""
        for name in names:
            if getattr(self, name) is None:
                raise ScenarioError(f"{self.path}: no [{name}] table; add one (see the README's scenario)")


def load_scenario(path: str | Path) -> Scenario:
    """Read and build a TOML scenario.

    Raises:
        FileReadError: the file is missing, unreadable, or not TOML (with the line).
        ScenarioError: an unknown key or a bad value; the message names the key and the remedy.

    Example:
        >>> import tempfile, pathlib
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "two.toml"
        >>> _ = file.write_text('''
        ... items = { kind = "inline", n = 2 }
        ... population = { types = [ { utility = { kind = "tabular", values = [0.0, 1.0] } } ] }
        ... design = { annotators = 10 }
        ... ''')
        >>> load_scenario(file).population
        Annotator(Tabular(values=[0, 1]), Luce(temperature=1))
    """
    path = Path(path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileReadError(f"{path}: cannot read the scenario ({error.strerror}); give a TOML file") from None
    except UnicodeDecodeError:
        raise FileReadError(f"{path}: not a text file; a scenario is TOML in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise FileReadError(f"{path}: not valid TOML: {error}; mend that line") from None
    return read_scenario(raw, path)


def read_scenario(raw: dict[str, Any], path: str | Path = "scenario") -> Scenario:
    """Build a scenario from a dictionary; ``path`` names it in messages and anchors relative paths."""
    path = Path(path)
    try:
        table = ScenarioTable.model_validate(raw)
    except ValidationError as error:
        raise ScenarioError(f"{path}: {_first(error)}") from None
    try:
        return _build(table, path)
    except ScenarioError as error:
        raise ScenarioError(f"{path}: {error}") from None


def _build(table: ScenarioTable, path: Path) -> Scenario:
    folder = path.parent
    if table.items is None:
        if table.population or table.design:
            raise ScenarioError('items: missing table; say what is judged, for example [items] kind = "inline" n = 6')
        items = None
    else:
        try:
            items = table.items.build(folder)
        except ScenarioError:
            raise
        except FileReadError:
            raise
        except AnnosimError as error:
            raise ScenarioError(f"items: {error}") from None
    design = None if table.design is None or items is None else table.design.build(items, "design")
    data = table.data
    if data is not None:
        data = data.model_copy(update={"path": str(folder / data.path)})
    return Scenario(
        path=path,
        seed=table.seed,
        items=items,
        population=None if table.population is None or items is None else table.population.build(items, "population"),
        design=design,
        model=None if table.model is None or items is None else table.model.build(items, "model"),
        data=data,
        plan=table.plan,
        compare=_compared(table, items),
    )


def _compared(table: ScenarioTable, items: Items | None) -> list[Design]:
    if items is None or table.design is None or table.plan is None:
        return []
    own = table.design.model_dump(exclude_unset=True)
    designs = []
    for i, changes in enumerate(table.plan.compare or [{}]):
        try:
            merged = DesignTable.model_validate(own | changes)
        except ValidationError as error:
            raise ScenarioError(f"plan.compare[{i}].{_first(error, DesignTable)}") from None
        designs.append(merged.build(items, f"plan.compare[{i}]"))
    return designs


def _first(error: ValidationError, root: type[BaseModel] | None = None) -> str:
    """The first complaint of pydantic in one line: the key, what is wrong, and close names for an unknown key."""
    one = error.errors()[0]
    discriminators = {"normal", "grid", "csv", "inline", "list[list[int]]"}
    place = [str(p) if not isinstance(p, int) else f"[{p}]" for p in one["loc"] if p not in discriminators]
    key = ".".join(place).replace(".[", "[")
    if one["type"] == "extra_forbidden":
        allowed = list(root.model_fields) if root else _allowed_keys(one["loc"][:-1])
        close = difflib.get_close_matches(str(one["loc"][-1]), allowed, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"{key}: unknown key; allowed are {', '.join(allowed)}{hint}"
    if one["type"] == "missing":
        return f"{key}: missing; give it a value"
    shown = "" if isinstance(one.get("input"), dict) else f", got {one.get('input')!r}"
    return f"{key}: {one['msg'][:1].lower()}{one['msg'][1:]}{shown}"


def _allowed_keys(location: tuple[Any, ...]) -> list[str]:
    tables: dict[str, type[BaseModel]] = {
        "normal": NormalItems, "grid": GridItems, "csv": CsvItems, "inline": InlineItems, "types": TypeTable,
        "population": PopulationTable, "model": PopulationTable, "design": DesignTable, "plan": PlanTable,
        "cost": CostTable, "data": DataTable, "spammers": SpammersTable,
    }  # fmt: skip
    for part in reversed(location):
        if part in tables:
            return list(tables[part].model_fields)
    return list(ScenarioTable.model_fields)
