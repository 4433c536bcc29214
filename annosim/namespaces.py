"""Public names, loaded when they are first used; a name that is misspelt, elsewhere or the field's is answered with the right one.

Each package lists its public names, with their types, in ``__init__.pyi``. ``lazy_loader`` reads that list (SPEC 1 of
Scientific Python); this module adds the message for a name that the list does not have, and for a misspelt argument of a
public class (as Python 3.13 gives it by itself).
"""

from __future__ import annotations

import ast
import difflib
import functools
import inspect
import re
import sys
from collections.abc import Callable
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

import lazy_loader

__all__ = ["attach_stub"]

#: The field's words for what has another name here, in small letters without spaces; ``docs/glossary.md`` has them, too.
WORDS = {
    "bradleyterry": "an.Annotator(an.Tabular(n), an.Luce())",
    "btl": "an.Annotator(an.Tabular(n), an.Luce())",
    "elo": "an.fit of an.Annotator(an.Tabular(n), an.Luce())",
    "leaderboard": "an.fit of an.Annotator(an.Tabular(n), an.Luce())",
    "linearrewardmodel": "an.Annotator(an.Linear(d), an.Luce())",
    "conditionallogit": "an.Annotator(an.Linear(d), an.Luce())",
    "multinomiallogit": "an.Annotator(an.Linear(d), an.Luce())",
    "mnl": "an.Annotator(an.Linear(d), an.Luce())",
    "plackettluce": 'an.Luce() with feedback="ranking"',
    "maxdiff": 'an.Luce() with feedback="best-worst"',
    "probit": "an.Thurstone",
    "mixedlogit": "an.RandomCoefficients",
    "randomparameterlogit": "an.RandomCoefficients",
    "latentclass": "an.Mixture",
    "latentclasses": "an.Mixture",
    "dawidskene": "an.rules.Reliability or an.rules.Spammer",
    "likert": 'an.rules.OrderedLogit with feedback="rating"',
    "kto": "an.rules.Thumbs",
    "dpo": "the rule an.PBDE.dpo(beta, reference)",
    "directpreferenceoptimization": "the rule an.PBDE.dpo(beta, reference)",
    "rewardmodel": "an.SequenceReward or an.Network with an.Luce()",
    "rlhf": "an.policies.gibbs(reference, utility, gamma)",
    "poweranalysis": "an.plan",
}


def attach_stub(package: str, file: str) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a package from the ``.pyi`` beside its file.

    Example:
        >>> import annosim as an
        >>> an.RaoKupper
        Traceback (most recent call last):
        AttributeError: module 'annosim' has no attribute 'RaoKupper'; it is an.rules.RaoKupper
        >>> an.MixedLogit
        Traceback (most recent call last):
        AttributeError: module 'annosim' has no attribute 'MixedLogit'; here it is an.RandomCoefficients
    """
    load, listing, names = lazy_loader.attach_stub(package, file)

    def __getattr__(name: str) -> object:
        if name in names:
            thing = load(name)
            if inspect.isclass(thing):
                _name_misspelt_arguments(next(base for base in thing.__mro__ if "__init__" in vars(base)))
            return thing
        raise AttributeError(f"module {package!r} has no attribute {name!r}{_hint(package, name, names)}", name=name)

    return __getattr__, listing, names


def _hint(package: str, name: str, names: list[str]) -> str:
    """Where the name stands, what the field's word is called here, or what is close to it."""
    submodule = f"{package}.{name}"
    if name.startswith("_") or PathFinder.find_spec(submodule, sys.modules[package].__path__):
        return ""  # asked for by tools, or by the import of a submodule
    places = _places()
    if name in places:
        return f"; it is {places[name]}"
    word = name.replace("_", "").lower()
    here = WORDS.get(word) or WORDS.get(word.removesuffix("model"))
    if here:
        return f"; here it is {here}"
    close = difflib.get_close_matches(name, names, 3)
    close = close or [places[other] for other in difflib.get_close_matches(name, places, 3)]
    return f"; did you mean {' or '.join(close)}?" if close else ""


@cache
def _name_misspelt_arguments(cls: type) -> None:
    """Add what was meant to the ``TypeError`` of a constructor that was given an unknown keyword.

    Example:
        >>> import annosim as an
        >>> an.Adam(step=3)
        Traceback (most recent call last):
        TypeError: Adam.__init__() got an unexpected keyword argument 'step'. Did you mean 'steps'?
    """
    init = vars(cls)["__init__"]
    if not inspect.isfunction(init) or not cls.__module__.startswith("annosim."):
        return

    @functools.wraps(init)
    def __init__(*args: object, **kwargs: object) -> None:
        try:
            init(*args, **kwargs)
        except TypeError as error:
            inside = error.__traceback__ is not None and error.__traceback__.tb_next is not None
            unknown = None if inside else re.search(r"unexpected keyword argument '(\w+)'$", str(error))
            known = list(inspect.signature(init).parameters)[1:]
            close = difflib.get_close_matches(unknown[1], known, 1) if unknown else []
            if not close:
                raise
            raise TypeError(f"{error}. Did you mean {close[0]!r}?") from None

    setattr(cls, "__init__", __init__)  # noqa: B010  mypy refuses the assignment


@cache
def _places() -> dict[str, str]:
    """Every public name and where it stands, with the package's usual alias ``an``; read without importing anything."""
    root = Path(__file__).parent
    stub = ast.parse((root / "__init__.pyi").read_text(encoding="utf-8"))
    places: dict[str, str] = {}
    for node in stub.body:
        if isinstance(node, ast.ImportFrom):
            folder = root.joinpath(*(node.module or "").split("."))
            for space in (alias.name for alias in node.names):
                for file in (folder / space / "__init__.pyi", folder / f"{space}.py"):
                    places |= {name: f"an.{space}.{name}" for name in _listed(file)}
    return places | {name: f"an.{name}" for name in _listed(root / "__init__.pyi")}


def _listed(file: Path) -> list[str]:
    """What ``__all__`` of a file says."""
    if not file.is_file():
        return []
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            return list(ast.literal_eval(node.value))
    return []
