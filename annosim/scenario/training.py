"""The table ``[fit]``: objective, solver and training, under the names of ``an.fit``'s own arguments."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from annosim.errors import AnnosimError, ArgumentError, ScenarioError
from annosim.learning.objectives import IPO, NLL, ForwardKL, Margin, SLiC, SoftLabels
from annosim.learning.priors import Dirichlet, Gaussian, Ridge
from annosim.learning.training.em_options import EM
from annosim.populations.base import Population
from annosim.scenario.networks import opened
from annosim.scenario.populations import at_start, density
from annosim.scenario.tables import Table, build

__all__ = ["OBJECTIVES", "PRIORS", "REGULARISERS", "FitTable", "built", "naming", "table_of_text"]


def _margin(margin: str = "signed", column: str = "judged", alpha: float = 1.0) -> Margin:
    return Margin(margin, column, alpha)


def _forward_kl(weight: float = 1.0, reference: Any = "start", shown: bool = False, draws: int | None = None) -> Any:
    return ForwardKL(reference, weight, shown, draws)


#: kind -> constructor; keyword arguments are the table's other keys
OBJECTIVES: dict[str, Callable[..., Any]] = {
    "nll": NLL,
    "ipo": IPO,
    "slic": SLiC,
    "margin": _margin,
    "soft_labels": lambda column="judged": SoftLabels(column),
}
REGULARISERS: dict[str, Callable[..., Any]] = {"forward_kl": _forward_kl}
PRIORS: dict[str, Callable[..., Any]] = {"dirichlet": Dirichlet, "gaussian": Gaussian, "ridge": Ridge}
TABLES = {"objective": OBJECTIVES, "regulariser": REGULARISERS, "prior": PRIORS}


class FitTable(Table):
    """``objective``, ``regulariser`` and ``prior`` are tables with a ``kind``; the rest are numbers and words."""

    objective: dict[str, Any] | None = None
    regulariser: dict[str, Any] | None = None
    prior: dict[str, Any] | None = None
    solver: str | None = None
    starts: int | None = None
    seed: int | None = None
    device: str | None = None
    tolerance: float | None = None
    max_iterations: int | None = None
    steps: int | None = None
    lr: float | None = None
    batch: int | None = None
    warmup: int | None = None
    weight_decay: float | None = None
    accumulate: int | None = None
    held_out: float | None = None
    patience: int | None = None
    evaluate_every: int | None = None
    precision: str | None = None
    compile: bool | None = None
    checkpoint: str | None = None
    checkpoint_every: int | None = None
    log: str | None = None
    final: bool | None = None
    progress: bool | None = None
    e_step_every: int | None = None
    m_step: str | None = None
    temperature: float | None = None
    anneal: float | None = None
    hard: bool | None = None
    warm_start: str | None = None
    warm_steps: int | None = None
    perturbation: float | None = None

    def given(self, folder: Path) -> dict[str, Any]:
        """The keys that the file has; paths count from its folder."""
        out = self.model_dump(exclude_none=True)
        for name in ("checkpoint", "log", "warm_start"):
            if name in out and not (name == "warm_start" and out[name] == "pooled"):
                out[name] = str(folder / out[name])
        return out

    def check(self) -> None:
        """Build what needs no model.

        Raises:
            ScenarioError: names the key.
        """
        for name in ("objective", "prior"):
            if getattr(self, name) is not None:
                built(name, getattr(self, name), f"fit.{name}")
        names = set(EM.__dataclass_fields__)
        given = self.given(Path())
        try:
            with naming({name: f"fit.{name}" for name in given}):
                EM(**{name: value for name, value in given.items() if name in names})
        except AnnosimError as error:
            raise ScenarioError(str(error)) from None


def built(name: str, spec: Any, where: str, model: Population | None = None, folder: Path = Path()) -> Any:
    """An objective, regulariser (of a model) or prior from its table; ``where`` names it in messages.

    Raises:
        ScenarioError: an unknown kind or key, or a bad value.
    """
    spec = dict(opened(spec, {}, folder))
    if name == "objective" and spec.get("kind") == "dpo":
        raise ScenarioError(
            f"{where}: DPO is a type's rule under the objective nll; write rule = {{ kind = 'dpo', beta = 0.1, "
            "reference = 'start' } in the scenario's [[model.types]]"
        )
    if name == "regulariser" and spec.get("kind") == "forward_kl":
        reference = spec.get("reference", "start")
        if reference == "start":
            utility = None if model is None else getattr(model.components()[0], "utility", None)
            spec["reference"] = at_start(utility, f"{where}.reference")
        elif isinstance(reference, dict):
            spec["reference"] = density(reference, f"{where}.reference")
        else:
            raise ScenarioError(f"{where}.reference: {reference!r}; give a density's table, or 'start'")
    return build(TABLES[name], spec, where)


def table_of_text(name: str, text: str) -> dict[str, Any]:
    """What one line says: ``ipo=0.1`` or ``margin=signed,column=judged,alpha=0.5``; the first value is the kind's own.

    Example:
        >>> table_of_text("objective", "nll,label_smoothing=0.1")
        {'kind': 'nll', 'label_smoothing': 0.1}
        >>> table_of_text("objective", "ipo=0.5")
        {'kind': 'ipo', 'tau': 0.5}
    """
    kind, *rest = (part.strip() for part in text.split(","))
    kind, equals, own = (part.strip() for part in kind.partition("="))
    out: dict[str, Any] = {"kind": kind}
    make = TABLES[name].get(kind.replace("-", "_").lower())
    if equals and make is not None:
        out[next(iter(inspect.signature(make).parameters))] = _value(own)
    for part in rest:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not (key and equals):
            raise ScenarioError(f"{text!r}: write KIND=VALUE,NAME=VALUE, such as margin=signed,alpha=0.5")
        out[key] = _value(value)
    return out


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


@contextmanager
def naming(where: dict[str, str]) -> Iterator[None]:
    """Complaints about a keyword of ``an.fit`` name the option or the key that was written, by ``where``.

    Example:
        >>> with naming({"steps": "--steps"}):
        ...     from annosim import Adam
        ...     Adam(steps=0)
        Traceback (most recent call last):
        annosim.errors.ArgumentError: --steps 0: a whole number of at least 1
    """
    try:
        yield
    except ArgumentError as error:
        found = re.match(r"(?:fit|train|Adam|EM)\((\w+)=\s*(.*?)\)?: (.*)", str(error), re.DOTALL)
        if found is None or found[1] not in where:
            raise
        value = f" {found[2]}" if found[2] else ""
        raise ArgumentError(f"{where[found[1]]}{value}: {found[3]}") from None
