"""What all tables of a scenario share: strict keys, constructors by ``kind``, and messages that name the key."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from annosim.errors import AnnosimError, ScenarioError
from annosim.parameters import free
from annosim.rules.registry import Entry

__all__ = ["Table", "build", "hint"]


class Table(BaseModel):
    """A table that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", strict=False)


def hint(word: str, allowed: list[str]) -> str:
    """``did you mean 'linear'?``, or nothing when no allowed word is close.

    Example:
        >>> hint("liner", ["linear", "tabular"])
        "did you mean 'linear'?"
    """
    close = difflib.get_close_matches(word, allowed, 1)
    return f"did you mean {close[0]!r}?" if close else ""


def build(table: Mapping[str, Any], spec: Mapping[str, Any], where: str, *first: Any) -> Any:
    """Build ``spec`` (a table with a ``kind``) by its constructor, naming the key when something is wrong.

    Args:
        table: kind -> constructor, or an entry of the registry.
        spec: the kind and the constructor's keyword arguments; ``{ free = start }`` marks an estimated number.
        where: key of the table in the file.
        first: positional arguments of the constructor.

    Raises:
        ScenarioError: an unknown kind or key, a missing key, or a value that the constructor refuses.
    """
    values = dict(spec)
    kind = str(values.pop("kind", None)).replace("-", "_").lower()
    if kind not in table:
        near = hint(kind, list(table))
        raise ScenarioError(
            f"{where}.kind: {kind!r} is unknown; {near}{' ' if near else ''}the kinds are {', '.join(sorted(table))}"
        )
    entry = table[kind]
    make = entry.constructor() if isinstance(entry, Entry) else entry
    for key, value in values.items():
        if isinstance(value, dict) and set(value) == {"free"}:
            values[key] = free(value["free"])
    _check_keywords(make, values, where, len(first))
    try:
        return make(*first, **values)
    except ScenarioError as error:  # a table inside this one, which has named its key already
        raise ScenarioError(f"{where}.{error}") from None
    except AnnosimError as error:
        raise ScenarioError(f"{where}: {error}") from None
    except TypeError as error:
        raise ScenarioError(f"{where}: {error}; see the docstring of kind {kind!r}") from None


def _check_keywords(make: Callable[..., Any], values: dict[str, Any], where: str, skip: int) -> None:
    names = list(inspect.signature(make).parameters.values())[skip:]
    if any(p.kind is p.VAR_KEYWORD for p in names):
        return
    allowed = [p.name for p in names]
    for key in values:
        if key not in allowed:
            near = hint(key, allowed)
            raise ScenarioError(
                f"{where}.{key}: unknown key; allowed are {', '.join(allowed) or 'none'}{'; ' if near else ''}{near}"
            )
    for p in names:
        if p.default is p.empty and p.name not in values:
            raise ScenarioError(f"{where}.{p.name}: missing; give it a value")
