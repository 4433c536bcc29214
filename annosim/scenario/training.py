"""The table ``[fit]``: objective, solver and training, under the names of ``an.fit``'s own arguments."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, create_model

from annosim.errors import AnnosimError, ArgumentError, ScenarioError
from annosim.learning.objectives import IPO, NLL, ForwardKL, Margin, SLiC, SoftLabels
from annosim.learning.priors import Dirichlet, Gaussian, Ridge
from annosim.learning.solvers.options import Option
from annosim.learning.solvers.settings import SOLVERS, Solver, all_options, solver_named, solvers_with
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


def _fields() -> dict[str, Any]:
    """The solvers' options as fields of the table, each of the type that a file can hold."""
    return {one.name: _field(one) for one in all_options().values()}


def _field(one: Option) -> tuple[Any, Any]:
    kind = one.constraint.kind
    return (str if kind is Path else kind) | None, Field(None, description=one.help)


class VerbTable(Table):
    """``objective``, ``regulariser`` and ``prior`` are tables with a ``kind``; the rest are numbers and words."""

    objective: dict[str, Any] | None = Field(
        None, description='what is minimised, such as { kind = "ipo", tau = 0.1 }; the likelihood by default'
    )
    regulariser: dict[str, Any] | None = Field(
        None, description='what is added, such as { kind = "forward_kl", weight = 0.1 }; nothing by default'
    )
    prior: dict[str, Any] | None = Field(
        None, description='a penalty, such as { kind = "gaussian", sd = 2.0 }; none by default'
    )
    solver: str | None = Field(None, description="newton, em, adam, ...; chosen by the model's structure by default")
    starts: int | None = Field(None, description="starting points, of which the best end is kept")
    seed: int | None = Field(None, description="of starts, minibatches and dropout; 0 by default")
    device: str | None = Field(None, description="where networks are trained: cpu, cuda, cuda:1")

    def given(self, folder: Path) -> dict[str, Any]:
        """The keys that the file has; paths count from its folder."""
        out = self.model_dump(exclude_none=True)
        for name, value in out.items():
            if name in FILES and value != "pooled":
                out[name] = str(folder / value)
        return out

    def check(self) -> None:
        """Build what needs no model.

        Raises:
            ScenarioError: names the key.
        """
        for name in ("objective", "prior"):
            if getattr(self, name) is not None:
                built(name, getattr(self, name), f"fit.{name}")
        given = self.given(Path())
        try:
            with naming({name: f"fit.{name}" for name in given}):
                check_options(given)
        except AnnosimError as error:
            raise ScenarioError(str(error)) from None


#: the table: what the verb itself takes, and every option of every solver
FitTable = create_model(
    "FitTable", __base__=VerbTable, __doc__="How ``annosim fit`` fits: arguments and solver options.", **_fields()
)
#: its keys that name files
FILES = ("warm_start", *(one.name for one in all_options().values() if one.constraint.kind is Path))


def check_options(given: dict[str, Any]) -> None:
    """Refuse, before anything is read, options that no solver takes, or not together, or with these values.

    A warm start is a file here, read when the model is known.

    Raises:
        ArgumentError: names the option.
    """
    solver_settings(given | ({"warm_start": "pooled"} if "warm_start" in given else {}))


def solver_settings(
    given: dict[str, Any], able: Sequence[type[Solver]] = tuple(SOLVERS.values())
) -> Solver | Literal["auto"]:
    """The settings that options by name ask for.

    Args:
        given: the options and, perhaps, ``solver``; other keys are ignored.
        able: the solvers of a model, the one that ``"auto"`` takes first.

    Raises:
        ArgumentError: no such solver, or one that has not all of these options, or a bad value.

    Example:
        >>> solver_settings({"steps": 10, "hard": True, "seed": 0}), solver_settings({})
        (EM(steps=10, hard=True), 'auto')
    """
    options = {name: value for name, value in given.items() if name in all_options()}
    named = solver_named("fit", given.get("solver", "auto"))
    if named is None and not (options and able):
        return "auto"
    having = solvers_with(options)
    if not having:
        one, other = next(pair for pair in itertools.combinations(options, 2) if not solvers_with(pair))
        raise ArgumentError(f"fit({one}=): no solver takes this and {other!r}")
    settings = type(named) if named is not None else next((one for one in able if one in having), able[0])
    own = list(settings.__dataclass_fields__)
    for name in options:
        if name not in own:
            raise ArgumentError(
                f"fit({name}=): solver {settings.name!r} has no such option; those are {', '.join(own)}"
            )
    return settings(**options)


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
        found = re.match(r"\w+\((\w+)=\s*(.*?)\)?: (.*)", str(error), re.DOTALL)
        if found is None or found[1] not in where:
            raise
        value = f" {found[2]}" if found[2] else ""
        raise ArgumentError(f"{where[found[1]]}{value}: {found[3]}") from None
