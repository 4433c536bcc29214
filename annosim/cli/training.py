"""What ``annosim fit`` hands to ``an.fit``: the scenario's table ``[fit]``, and over it the options of the command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from annosim.populations.base import Population
    from annosim.scenario import Scenario

__all__ = ["OPTIONS", "Settings"]

#: options of the command that are keywords of ``an.fit``; every one may stand in a table [fit]
OPTIONS = (
    "objective",
    "regulariser",
    "prior",
    "solver",
    "starts",
    "seed",
    "device",
    "tolerance",
    "max_iterations",
    "steps",
    "lr",
    "batch",
    "warmup",
    "weight_decay",
    "accumulate",
    "held_out",
    "patience",
    "evaluate_every",
    "precision",
    "compile",
    "checkpoint",
    "checkpoint_every",
    "log",
    "final",
    "progress",
    "e_step_every",
    "m_step",
    "temperature",
    "anneal",
    "hard",
    "warm_start",
    "warm_steps",
    "perturbation",
)

#: an option that means nothing without another, and why
_NEEDS = {
    "patience": ("held_out", "nothing is held out, so nothing stops early; add --held-out 0.1"),
    "evaluate_every": ("held_out", "nothing is held out to evaluate on; add --held-out 0.1"),
    "checkpoint_every": ("checkpoint", "no checkpoint is written; add --checkpoint FILE"),
    "anneal": ("temperature", "there is no temperature to fall; add --temperature 4"),
    "warm_steps": ("warm_start", "nothing is trained before; add --warm-start pooled"),
}


class Settings:
    """Keywords of ``an.fit`` by name, and where each was written.

    Args:
        options: of the command, ``None`` where not given.
        scenario: its table ``[fit]`` stands under them, or ``None``.

    Raises:
        AnnosimError: a bad value, or an option that means nothing without another.

    Example:
        >>> Settings({"steps": 10, "objective": "ipo=0.5"}, None).keywords(None)
        {'objective': IPO(tau=0.5), 'steps': 10}
    """

    def __init__(self, options: dict[str, Any], scenario: Scenario | None):
        from annosim.scenario.training import TABLES, table_of_text

        table = None if scenario is None else scenario.fit
        self.folder = Path() if scenario is None else scenario.folder
        self.values: dict[str, Any] = {} if table is None else table.given(self.folder)
        self.where = {name: f"{scenario.path}: fit.{name}" for name in self.values} if scenario is not None else {}
        for name in OPTIONS:
            value = options.get(name)
            if value is None:
                continue
            where = self.where[name] = f"--{name.replace('_', '-')}"
            self.values[name] = _parsed(where, table_of_text, name, value) if name in TABLES else _plain(value)
        self._check(options)

    def _check(self, options: dict[str, Any]) -> None:
        from annosim.errors import ArgumentError
        from annosim.learning.training.em_options import EM
        from annosim.scenario.training import naming

        for name, (other, why) in _NEEDS.items():
            if options.get(name) is not None and not self.values.get(other):
                raise ArgumentError(f"{self.where[name]}: {why}")
        if self.values.get("m_step") == "line-search":
            for name in ("lr", "warmup", "batch", "accumulate", "weight_decay"):
                if name in self.values:
                    raise ArgumentError(f"{self.where[name]}: a line search takes no such thing; leave it out")
        with naming(self.where):  # before anything is read
            EM(**{name: value for name, value in self.values.items() if name in EM.__dataclass_fields__})

    @property
    def likelihood(self) -> bool:
        """Whether the likelihood alone is maximised: then it has standard errors."""
        spec = self.values.get("objective") or {"kind": "nll"}
        plain = str(spec["kind"]).lower() == "nll" and not spec.get("label_smoothing")
        return plain and self.values.get("regulariser") is None

    @property
    def files(self) -> dict[str, Path]:
        """What training writes, by the option or key that names it."""
        return self._named("checkpoint", "log")

    @property
    def begins_at(self) -> dict[str, Path]:
        """The fit at which training begins, likewise; empty without one."""
        return {} if self.values.get("warm_start") == "pooled" else self._named("warm_start")

    def _named(self, *names: str) -> dict[str, Path]:
        return {self.where[name]: Path(self.values[name]) for name in names if self.values.get(name)}

    def keywords(self, model: Population | None) -> dict[str, Any]:
        """The keywords of ``an.fit`` for a model."""
        from annosim.scenario.training import TABLES, built

        out = {}
        for name, value in self.values.items():
            if name in TABLES:
                out[name] = built(name, value, self.where[name], model, self.folder)
            elif name == "warm_start" and value != "pooled":
                out[name] = _saved(self.where[name], value)
            else:
                out[name] = value
        return out


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _parsed(where: str, parse: Any, name: str, text: str) -> dict[str, Any]:
    from annosim.errors import ScenarioError

    try:
        return parse(name, text)
    except ScenarioError as error:
        raise ScenarioError(f"{where} {error}") from None


def _saved(where: str, path: str) -> Any:
    from annosim.errors import FileReadError
    from annosim.learning.result import Fit

    try:
        return Fit.load(path)
    except FileReadError as error:
        raise FileReadError(f"{where}: 'pooled' or a file written by --save; {error}") from None
