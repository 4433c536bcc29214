"""What all tables of a scenario share: strict keys, checked values, constructors by ``kind``, messages that name the key.

Every table goes one way: pydantic checks the keys and the plain types, :func:`check_plain` the lists inside a table that
a constructor will read, the constructor its own arguments; :func:`at_key` says where in the file it was.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict

from annosim.errors import AnnosimError, FileReadError, ScenarioError
from annosim.parameters import free
from annosim.rules.registry import Entry

__all__ = ["Constructors", "Spec", "Table", "at_key", "build", "check_plain", "hint", "kind_of", "shorten"]

#: A table as the file has it.
Spec: TypeAlias = Mapping[str, object]
#: kind -> what makes it; keyword arguments are the table's other keys.
Constructors: TypeAlias = Mapping[str, Callable[..., Any]] | Mapping[str, Entry]

#: Longest message about a scenario.
LONGEST_MESSAGE = 300
#: Longest text inside a table: a name, or the path of a model.
LONGEST_TEXT = 200


class Table(BaseModel):
    """A table that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", strict=False)


def hint(word: str, allowed: Sequence[str]) -> str:
    """``did you mean 'linear'?``, or nothing when no allowed word is close.

    Example:
        >>> hint("liner", ["linear", "tabular"])
        "did you mean 'linear'?"
    """
    close = difflib.get_close_matches(word[:80], allowed, 1)
    return f"did you mean {close[0]!r}?" if close else ""


def shorten(text: str, limit: int = LONGEST_MESSAGE) -> str:
    """Text in one line, with its middle left out where it is too long: the end says what to do.

    Example:
        >>> shorten("a  b"), shorten("0123456789" * 5, 20)
        ('a b', '01234567 ... 3456789')
    """
    line = " ".join(text.split())
    if len(line) <= limit:
        return line
    tail = (limit - 5) // 2
    return f"{line[: limit - 5 - tail]} ... {line[-tail:]}"


@contextmanager
def at_key(where: str) -> Iterator[None]:
    """Complaints of a constructor name the key of the file; those of tables and files have named it already."""
    try:
        yield
    except (ScenarioError, FileReadError):
        raise
    except AnnosimError as error:
        raise ScenarioError(f"{where}: {error}") from None


def kind_of(spec: Spec) -> str:
    """The word after ``kind =``, as the tables of constructors spell it."""
    return str(spec.get("kind")).replace("-", "_").lower()


def build(constructors: Constructors, spec: Spec, where: str, *first: object) -> Any:
    """Build ``spec`` (a table with a ``kind``) by its constructor, naming the key when something is wrong.

    Args:
        constructors: kind -> constructor, or an entry of the registry.
        spec: the kind and the constructor's keyword arguments; ``{ free = start }`` marks an estimated number.
        where: key of the table in the file.
        first: positional arguments of the constructor.

    Raises:
        ScenarioError: an unknown kind or key, a missing key, or a value that the constructor refuses.
    """
    if not isinstance(spec, Mapping):
        raise ScenarioError(f"{where}: {_shown(spec)}; give a table with a kind, such as {{ kind = ... }}")
    make = _constructor(constructors, kind_of(spec), where, str(spec.get("kind")))
    values = {key: value for key, value in spec.items() if key != "kind"}
    _check_keywords(make, values, where, len(first))
    for key, value in values.items():
        check_plain(value, f"{where}.{key}")
        values[key] = _marked(value)
    try:
        return make(*first, **values)
    except ScenarioError as error:  # a table inside this one, which has named its key already
        raise ScenarioError(f"{where}.{error}") from None
    except AnnosimError as error:
        raise ScenarioError(f"{where}: {error}") from None
    except TypeError as error:
        raise ScenarioError(f"{where}: {error}; see the docstring of kind {kind_of(spec)!r}") from None


def _marked(value: object) -> object:
    """A value with ``{ free = start }`` as a marked number, also inside a table of numbers by name."""
    if not isinstance(value, dict) or "kind" in value:
        return value  # a table with a kind is built by its own constructor
    return free(value["free"]) if set(value) == {"free"} else {key: _marked(inner) for key, inner in value.items()}


def check_plain(value: object, where: str) -> None:
    """Refuse values that no constructor means: mixed or ragged lists, and whole numbers beyond 64 bits.

    Raises:
        ScenarioError: names the key.

    Example:
        >>> check_plain([[0.0], [1.0, 2.0]], "rule.terms")
        Traceback (most recent call last):
        annosim.errors.ScenarioError: rule.terms: rows of 1 and 2 entries; give all rows the same length
    """
    if isinstance(value, int) and not -(2**63) <= value < 2**64:  # seeds have no sign
        raise ScenarioError(f"{where}: a whole number beyond 64 bits; give a smaller one")
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        raise ScenarioError(f"{where}: a text of {len(value)} characters; a name has at most {LONGEST_TEXT}")
    if isinstance(value, dict):
        for key, inner in value.items():
            check_plain(inner, f"{where}.{key}")
    if not isinstance(value, list):
        return
    for number, inner in enumerate(value):
        check_plain(inner, f"{where}[{number}]")
    forms = {_form(inner) for inner in value}
    if len(forms) > 1 and forms != {"number", "text"}:  # attributes are numbers and names
        raise ScenarioError(f"{where}: a list that mixes {' and '.join(sorted(forms))}; give one kind of value")
    lengths = sorted({len(inner) for inner in value if isinstance(inner, list)})
    if len(lengths) > 1:
        raise ScenarioError(f"{where}: rows of {lengths[0]} and {lengths[-1]} entries; give all rows the same length")


def _form(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    forms = {int: "number", float: "number", str: "text", list: "list", dict: "table"}
    return next((form for kind, form in forms.items() if isinstance(value, kind)), "other")


def _shown(value: object) -> str:
    return shorten(repr(value), 60)


def _constructor(constructors: Constructors, kind: str, where: str, typed: str) -> Callable[..., object]:
    if kind not in constructors:
        near = hint(kind, list(constructors)) or f"the kinds are {', '.join(sorted(constructors))}"
        key = where if where.startswith("--") else f"{where}.kind"  # an option is its kind
        raise ScenarioError(f"{key}: {_shown(typed)} is unknown; {near}")
    entry = constructors[kind]
    return entry.constructor() if isinstance(entry, Entry) else entry


def _check_keywords(make: Callable[..., object], values: Spec, where: str, skip: int) -> None:
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
