"""What is public is documented with an example that runs, has complete type hints, and loads only what it needs."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import annosim as an

ROOT = Path(__file__).parents[1]
#: Rooms whose ``__all__`` is public beside annosim's own.
ROOMS = ("annosim.study", "annosim.plotting", "annosim.checks")
PUBLIC = [("annosim", name) for name in an.__all__] + [
    (room, name) for room in ROOMS for name in getattr(importlib.import_module(room), "__all__", ())
]
OBJECTS = {f"{room}.{name}": getattr(importlib.import_module(room), name) for room, name in PUBLIC}
CALLABLES = {name: thing for name, thing in OBJECTS.items() if callable(thing) and not inspect.ismodule(thing)}


def public_functions(thing):
    """A function, or the public functions that a class itself defines (its constructor among them)."""
    if not inspect.isclass(thing):
        return [thing] if inspect.isfunction(thing) else []
    found = []
    for name, member in vars(thing).items():
        member = getattr(member, "__func__", member)  # class and static methods
        member = getattr(member, "fget", member)  # properties
        if inspect.isfunction(member) and (name == "__init__" or not name.startswith("_")):
            found.append(member)
    return [f for f in found if f.__module__.startswith("annosim")]


def unhinted(function):
    hints = function.__annotations__
    names = [n for n in inspect.signature(function).parameters if n not in ("self", "cls")]
    wanted = names + ([] if function.__name__ == "__init__" else ["return"])
    return [n for n in wanted if n not in hints]


@pytest.mark.parametrize("name", CALLABLES)
def test_a_public_name_has_complete_type_hints(name):
    lacking = {f.__qualname__: unhinted(f) for f in public_functions(CALLABLES[name]) if unhinted(f)}
    assert not lacking


@pytest.mark.parametrize("name", CALLABLES)
def test_a_public_name_has_a_docstring_with_an_example(name):
    thing = CALLABLES[name]
    told = thing.__doc__ or ""
    if inspect.isclass(thing):
        told += "".join(f.__doc__ or "" for f in public_functions(thing))
    assert thing.__doc__ and ">>>" in told, f"{name} has no example that runs"


def test_every_name_in_the_table_exists():
    for name in an.__all__:
        assert getattr(an, name) is not None
    assert set(an.__all__) <= set(dir(an))


#: What the extras bring; the base package runs without any of them.
EXTRAS = ("hypothesis", "pytest", "sympy", "choix", "evalica", "sklearn", "transformers", "datasets", "trl", "crowdkit")


def test_the_base_package_never_imports_an_extra():
    modules = [m.name for m in pkgutil.walk_packages(an.__path__, "annosim.") if "__main__" not in m.name]
    modules.remove("annosim.checks.strategies")  # the one place that may import hypothesis
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({EXTRAS!r}))\n"
        f"import importlib\nfor name in {modules!r}: importlib.import_module(name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-600:]


def test_studies_import_only_the_public_api():
    wrong = []
    for path in sorted((ROOT / "studies").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module, *(f"{node.module}.{a.name}" for a in node.names if a.name.startswith("_"))]
            deep = [n for n in names if n.startswith("annosim") and (n.count(".") > 1 or "._" in n)]
            wrong += [f"{path.relative_to(ROOT)}:{node.lineno} {n}" for n in deep]
    assert not wrong, f"import from annosim or annosim.ROOM: {wrong}"
