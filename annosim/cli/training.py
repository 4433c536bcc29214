"""What ``annosim fit`` hands to ``an.fit``: the scenario's table ``[fit]``, and over it the options of the command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from annosim.errors import ArgumentError, FileReadError, ScenarioError
from annosim.learning.solvers.settings import all_options

if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData
    from annosim.io.shards import Shards
    from annosim.learning.result import Fit
    from annosim.populations.base import Population
    from annosim.scenario import Scenario

__all__ = ["OPTIONS", "FitOptions"]

#: options of the command that are keywords of ``an.fit``
KEYWORDS = ("objective", "regulariser", "prior", "starts", "seed", "device")
#: options of the command that may stand in a table [fit]
OPTIONS = (*KEYWORDS, "solver", *all_options())
#: what a line search does not read
NO_LINE_SEARCH = ("lr", "warmup", "batch", "accumulate", "weight_decay")


class FitOptions:
    """Options of ``annosim fit`` by name, and where each was written.

    Args:
        options: of the command, ``None`` where not given.
        scenario: its table ``[fit]`` stands under them, or ``None``.

    Raises:
        AnnosimError: a bad value, or an option that means nothing without another.

    Example:
        >>> FitOptions({"steps": 10, "objective": "ipo=0.5"}, None).values
        {'objective': {'kind': 'ipo', 'tau': 0.5}, 'steps': 10}
    """

    def __init__(self, options: dict[str, Any], scenario: Scenario | None):
        from annosim.scenario.training import TABLES

        table = None if scenario is None else scenario.fit
        self.folder = Path() if scenario is None else scenario.folder
        self.values: dict[str, Any] = {} if table is None else table.given(self.folder)
        self.where = {name: f"{scenario.path}: fit.{name}" for name in self.values} if scenario is not None else {}
        given = {name: options[name] for name in OPTIONS if options.get(name) is not None}
        for name, value in given.items():
            self.where[name] = f"--{name.replace('_', '-')}"
            self.values[name] = _parsed(self.where[name], name, value) if name in TABLES else value
        self._check(given)

    def _check(self, given: dict[str, Any]) -> None:
        from annosim.scenario.training import check_options, naming

        for name, one in all_options().items():
            if name in given and one.needs is not None and not self.values.get(one.needs[0]):
                other, why = one.needs
                raise ArgumentError(f"{self.where[name]}: {why}; add --{other.replace('_', '-')}")
        if self.values.get("m_step") == "line-search":
            for name in NO_LINE_SEARCH:
                if name in self.values:
                    raise ArgumentError(f"{self.where[name]}: a line search takes no such thing; leave it out")
        with naming(self.where):  # before anything is read
            check_options(self.values)

    @property
    def likelihood(self) -> bool:
        """Whether the likelihood alone is maximised: then it has standard errors."""
        spec = self.values.get("objective") or {"kind": "nll"}
        plain = str(spec["kind"]).lower() == "nll" and not spec.get("label_smoothing")
        return plain and self.values.get("regulariser") is None

    @property
    def written_files(self) -> dict[str, Path]:
        """What training writes, by the option or key that names it."""
        return self._files("checkpoint", "log")

    @property
    def read_files(self) -> dict[str, Path]:
        """The fit at which training begins, likewise; empty without one."""
        return {} if self.values.get("warm_start") == "pooled" else self._files("warm_start")

    def _files(self, *names: str) -> dict[str, Path]:
        return {self.where[name]: Path(self.values[name]) for name in names if self.values.get(name)}

    def fit(self, model: Population, data: PreferenceData | Shards) -> Fit:
        """The model fitted to the data as the options say; complaints name the options."""
        import annosim as an
        from annosim.scenario.training import TABLES, built, naming, solver_settings

        values = dict(self.values)
        for name in TABLES:
            if name in values:
                values[name] = built(name, values[name], self.where[name], model, self.folder)
        keywords = {name: values[name] for name in KEYWORDS if name in values}
        if values.get("warm_start", "pooled") != "pooled":
            values["warm_start"] = _saved(self.where["warm_start"], values["warm_start"])
        with naming(self.where):
            objective, regulariser, prior = (values.get(name) for name in TABLES)
            some = data if isinstance(data, an.PreferenceData) else data.head()
            able = an.learning.solvers_for(model, some, objective, regulariser, prior)
            return an.fit(model, data, solver=solver_settings(values, able), **keywords)


def _parsed(where: str, name: str, text: str) -> dict[str, Any]:
    from annosim.scenario.training import table_of_text

    try:
        return table_of_text(name, text)
    except ScenarioError as error:
        raise ScenarioError(f"{where} {error}") from None


def _saved(where: str, path: str) -> Fit:
    from annosim.learning.result import Fit

    try:
        return Fit.load(path)
    except FileReadError as error:
        raise FileReadError(f"{where}: 'pooled' or a file written by --save; {error}") from None
