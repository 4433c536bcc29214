"""Reading a scenario: the file, its tables, and what is wrong with them in one line."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from annosim.designs.design import Design
from annosim.errors import AnnosimError, FileReadError, ScenarioError
from annosim.identifiability.families import AnyTastes, Types
from annosim.items import Items
from annosim.places import is_url
from annosim.populations.base import Population
from annosim.scenario.designs import AmongTable, CostTable, DesignTable, GridTable, PlanTable
from annosim.scenario.items import AnyItems, CsvItems, GridItems, InlineItems, NormalItems
from annosim.scenario.iteration import IterateTable
from annosim.scenario.networks import names_in
from annosim.scenario.populations import GateTable, PopulationTable, SpammersTable, TypeTable
from annosim.scenario.tables import Table, at_key, hint, shorten
from annosim.scenario.training import FitTable

__all__ = ["DataTable", "Scenario", "load_scenario", "read_scenario"]


class DataTable(Table):
    """The answers that ``annosim fit`` reads."""

    path: str = Field(
        description="a file, a folder of shards, or a URL; a relative path counts from the scenario's folder"
    )
    format: str | None = Field(
        None, description="how to read it (`annosim read FILE --show` lists the formats); recognised by default"
    )
    columns: dict[str, str | bool | int | list[str] | dict[str, str]] = Field(
        default_factory=dict, description='options of that format\'s reader, such as { annotator = "worker" }'
    )
    tokenizer: str | None = Field(None, description="of a language model, by path or name; the model's own by default")


class ScenarioTable(Table):
    """A scenario: what is judged, who answers, what is asked, and what is to be fitted or planned."""

    seed: int = Field(0, ge=0, lt=2**64, description="of everything that is drawn")
    items: AnyItems | None = Field(None, description="what is judged; not needed to fit data")
    population: PopulationTable | None = Field(None, description="who answers: simulated, identified, planned for")
    design: DesignTable | None = Field(None, description="what they are asked")
    model: PopulationTable | None = Field(
        None, description="what `annosim fit` fits; the population's family by default"
    )
    data: DataTable | None = Field(None, description="the answers that `annosim fit` reads")
    plan: PlanTable | None = Field(None, description="what `annosim plan` compares and prices")
    fit: FitTable | None = Field(None, description="how `annosim fit` fits")
    iterate: IterateTable | None = Field(None, description="the rounds that `annosim iterate` runs")


@dataclass(frozen=True)
class Scenario:
    """A scenario, built.

    Attributes:
        path: the file.
        seed: of everything drawn.
        items, population, design, model: ``None`` where the file has no such table.
        data: path (resolved against the file's folder), format, columns and tokenizer, or ``None``.
        plan: the ``[plan]`` table (with defaults), or ``None``.
        compare: the designs that ``[plan]`` compares (the scenario's own when it lists none).
        among: the family in which ``[plan]`` judges them (``an.types(K)`` or ``an.any_tastes(grid)``), or ``None``.
        fit: the ``[fit]`` table, keywords of ``an.fit``, or ``None``.
        iterate: the ``[iterate]`` table, or ``None``.
        model_table: the ``[model]`` table itself, which :meth:`model_on` builds on other items.
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
    among: Types | AnyTastes | None = None
    fit: FitTable | None = None
    iterate: IterateTable | None = None
    model_table: PopulationTable | None = None

    @property
    def folder(self) -> Path:
        """Where the file lies: relative paths in it count from there."""
        return self.path.parent

    @property
    def language_models(self) -> list[str]:
        """Names of the models in ``[model]`` that read tokens."""
        return [] if self.model_table is None else names_in(self.model_table.model_dump())

    def model_on(self, items: Items) -> Population | None:
        """The model on the items of some data: of a file without ``[items]``.

        Raises:
            ScenarioError: it cannot read these items.
        """
        if self.model_table is None:
            return None
        try:
            return self.model_table.build(items, "model", self.folder)
        except ScenarioError as error:
            raise ScenarioError(shorten(f"{self.path}: {error}")) from None

    def asked(self) -> tuple[Population, Design]:
        """Who answers, and what they are asked.

        Raises:
            ScenarioError: the file lacks one of them.
        """
        self.need("population", "design")
        assert self.population is not None and self.design is not None
        return self.population, self.design

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


def read_scenario(raw: Mapping[str, object], path: str | Path = "scenario") -> Scenario:
    """Build a scenario from a dictionary; ``path`` names it in messages and anchors relative paths.

    Raises:
        FileReadError: a file that it names cannot be read.
        ScenarioError: an unknown key or a bad value, in one line of at most 300 characters that names the key.
    """
    path = Path(path)
    try:
        return _build(ScenarioTable.model_validate(raw), path)
    except ValidationError as error:
        kind: type[AnnosimError] = ScenarioError
        message = _first(error)
    except FileReadError as error:
        message, kind = str(error), FileReadError
    except AnnosimError as error:
        message, kind = str(error), ScenarioError
    raise kind(shorten(f"{path}: {message}"))


def _build(table: ScenarioTable, path: Path) -> Scenario:
    """Every table on the items; a file without items describes what is fitted to the items of data."""
    items = _items(table, path.parent)
    if table.fit is not None:
        table.fit.check()
    head = Scenario(
        path=path,
        seed=table.seed,
        data=_located(table.data, path.parent),
        plan=table.plan,
        fit=table.fit,
        iterate=table.iterate,
        model_table=table.model,
    )
    if items is None:
        return head
    if table.iterate is not None:
        table.iterate.build_start(items, "iterate")
    plan = table.plan
    return replace(
        head,
        items=items,
        population=None if table.population is None else table.population.build(items, "population", path.parent),
        design=None if table.design is None else table.design.build(items, "design"),
        model=None if table.model is None else table.model.build(items, "model", path.parent),
        compare=_compared(table.design, plan, items),
        among=None if plan is None or plan.among is None else plan.among.build(items, "plan.among"),
    )


def _items(table: ScenarioTable, folder: Path) -> Items | None:
    if table.items is not None:
        with at_key("items"):
            return table.items.build(folder)
    if table.population or table.design:
        raise ScenarioError('items: missing table; say what is judged, for example [items] kind = "inline" n = 6')
    return None


def _located(data: DataTable | None, folder: Path) -> DataTable | None:
    if data is None or is_url(data.path):
        return data
    return data.model_copy(update={"path": str(folder / data.path)})


def _compared(design: DesignTable | None, plan: PlanTable | None, items: Items) -> list[Design]:
    if design is None or plan is None:
        return []
    own = design.model_dump(exclude_unset=True)
    designs = []
    for i, changes in enumerate(plan.compare or [{}]):
        try:
            merged = DesignTable.model_validate(own | changes)
        except ValidationError as error:
            raise ScenarioError(f"plan.compare[{i}].{_first(error, DesignTable)}") from None
        designs.append(merged.build(items, f"plan.compare[{i}]"))
    return designs


#: parts of pydantic's locations that are no keys of the file
_BRANCHES = {"normal", "grid", "csv", "inline", "list[list[int]]", "GridTable", "str", "int", "dict[str,object]"}


def _first(error: ValidationError, root: type[BaseModel] | None = None) -> str:
    """The first complaint of pydantic in one line: the key, what is wrong, and close names for an unknown key."""
    one = error.errors()[0]
    place = [shorten(str(p), 60) if not isinstance(p, int) else f"[{p}]" for p in one["loc"] if p not in _BRANCHES]
    key = ".".join(place).replace(".[", "[")
    if one["type"] == "extra_forbidden":
        allowed = list(root.model_fields) if root else _allowed_keys(one["loc"][:-1])
        remedy = hint(str(one["loc"][-1]), allowed) or f"allowed are {', '.join(allowed)}"
        return f"{key}: unknown key; {shorten(remedy, 150)}"
    if one["type"] == "missing":
        return f"{key}: missing; give it a value"
    shown = "" if isinstance(one.get("input"), dict) else f", got {shorten(repr(one.get('input')), 60)}"
    return f"{key}: {one['msg'][:1].lower()}{shorten(one['msg'][1:], 120)}{shown}"


def _allowed_keys(location: tuple[int | str, ...]) -> list[str]:
    tables: dict[str, type[BaseModel]] = {
        "normal": NormalItems,
        "grid": GridItems,
        "csv": CsvItems,
        "inline": InlineItems,
        "types": TypeTable,
        "population": PopulationTable,
        "model": PopulationTable,
        "design": DesignTable,
        "plan": PlanTable,
        "cost": CostTable,
        "among": AmongTable,
        "any_tastes": GridTable,
        "GridTable": GridTable,
        "data": DataTable,
        "spammers": SpammersTable,
        "gate": GateTable,
        "fit": FitTable,
        "iterate": IterateTable,
    }
    for part in reversed(location):
        if part in tables:
            return list(tables[part].model_fields)
    return list(ScenarioTable.model_fields)
