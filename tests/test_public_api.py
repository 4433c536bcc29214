"""What is public exists, is typed without ``Any``, is documented with an example that runs, and loads only what it needs."""

from __future__ import annotations

import ast
import importlib
import inspect
import operator
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from pathlib import Path
from types import ModuleType

import pytest

import annosim as an
from annosim import namespaces

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "annosim"

#: Every room with a public face: packages with a stub, and the modules that the package itself names as namespaces.
ROOMS: dict[str, ModuleType] = {
    ".".join(stub.parent.relative_to(ROOT).parts): importlib.import_module(
        ".".join(stub.parent.relative_to(ROOT).parts)
    )
    for stub in sorted(PACKAGE.rglob("__init__.pyi"))
}
ROOMS |= {m.__name__: m for name in an.__all__ if isinstance(m := getattr(an, name), ModuleType)}
PUBLIC = {
    f"{room}.{name}": thing
    for room, module in ROOMS.items()
    for name in module.__all__
    if not isinstance(thing := getattr(module, name), ModuleType)
}


def described(thing: object) -> bool:
    """Whether it is a class or a function, which has a signature and a docstring."""
    return inspect.isclass(thing) or inspect.isroutine(thing)


#: One entry for each object, under its shortest name.
OBJECTS = {id(PUBLIC[name]): name for name in sorted(PUBLIC, key=len, reverse=True) if described(PUBLIC[name])}
CALLABLES = {name: PUBLIC[name] for name in sorted(OBJECTS.values())}


def members(thing: object) -> Iterator[tuple[str, Callable[..., object]]]:
    """A function, or the public functions that a class and its bases in this library define."""
    if inspect.isfunction(thing):
        yield thing.__qualname__, thing
    if not inspect.isclass(thing):
        return
    for base in thing.__mro__:
        if not base.__module__.startswith("annosim"):
            continue
        for name, member in vars(base).items():
            member = getattr(member, "__func__", member)  # class and static methods
            member = getattr(member, "fget", None) or getattr(member, "func", None) or member  # properties
            if name.startswith("_") and (name != "__init__" or is_dataclass(base)):
                continue
            if inspect.isfunction(member) and member.__module__.startswith("annosim"):
                yield member.__qualname__, member


def says_any(hint: object) -> bool:
    """Whether ``Any`` stands in an annotation, or a container without its content."""
    tree = ast.parse(hint if isinstance(hint, str) else repr(hint), mode="eval")
    inside = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Subscript)}
    for node in ast.walk(tree):
        name = getattr(node, "id", getattr(node, "attr", None))
        if name == "Any" or (name in ("dict", "list", "tuple", "Callable") and id(node) not in inside):
            return True
    return False


def untyped(function: Callable[..., object]) -> list[str]:
    """Parameters (and ``return``) without a hint, or with one that says ``Any``."""
    hints = function.__annotations__
    wanted = [n for n in inspect.signature(function).parameters if n not in ("self", "cls")]
    wanted += [] if function.__name__ == "__init__" else ["return"]
    return [name for name in wanted if name not in hints or says_any(hints[name])]


def untyped_fields(thing: object) -> list[str]:
    """Public fields of a dataclass that say ``Any``."""
    if not inspect.isclass(thing) or not is_dataclass(thing):
        return []
    return [n for n, hint in inspect.get_annotations(thing).items() if not n.startswith("_") and says_any(hint)]


def room_of(thing: object) -> str:
    return (getattr(thing, "__module__", "") + ".").split(".")[1]


def test_every_public_signature_is_complete_and_says_no_any():
    lacking: dict[str, dict[str, list[str]]] = {}
    for thing in CALLABLES.values():
        for name, function in members(thing):
            if names := untyped(function):
                lacking.setdefault(room_of(function), {})[f"{name}()"] = names
        if names := untyped_fields(thing):
            lacking.setdefault(room_of(thing), {})[thing.__qualname__] = names
    assert not lacking, "\n".join(f"{room}: {n}: {names}" for room in lacking for n, names in lacking[room].items())


def test_every_public_name_has_a_docstring_with_an_example():
    lacking: dict[str, list[str]] = {}
    for name, thing in CALLABLES.items():
        told = (thing.__doc__ or "") + "".join(f.__doc__ or "" for _, f in members(thing))
        if not thing.__doc__ or ">>>" not in told:
            lacking.setdefault(room_of(thing), []).append(name)
    assert not lacking, f"no docstring, or no example that runs: {lacking}"


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_exists_and_is_listed(room):
    module = ROOMS[room]
    assert all(getattr(module, name) is not None for name in module.__all__)
    assert set(module.__all__) <= set(dir(module))


@pytest.mark.parametrize("stub", sorted(PACKAGE.rglob("__init__.pyi")), ids=lambda path: path.parent.name)
def test_a_stub_lists_what_it_imports(stub):
    tree = ast.parse(stub.read_text(encoding="utf-8"))
    imported = {alias.asname for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    (listed,) = [node.value for node in tree.body if isinstance(node, ast.Assign)]
    names = ast.literal_eval(listed)
    assert set(names) == imported and names == sorted(set(names))


def test_the_flat_names_are_few():
    assert len([name for name in an.__all__ if not isinstance(getattr(an, name), ModuleType)]) <= 51


@pytest.mark.parametrize("room", [name for name, module in ROOMS.items() if hasattr(module, "__path__")])
def test_no_module_shares_its_name_with_a_public_function(room):
    module = ROOMS[room]
    files = {found.name for found in pkgutil.iter_modules(module.__path__)}
    assert not {name for name in module.__all__ if not isinstance(getattr(module, name), ModuleType)} & files


@pytest.mark.parametrize(
    ("module", "name", "told"),
    [
        (an, "RaoKupper", r"'annosim' has no attribute 'RaoKupper'; it is an\.rules\.RaoKupper$"),
        (an, "fitt", r"did you mean fit\?$"),
        (an, "RaoKuper", r"did you mean an\.rules\.RaoKupper\?$"),
        (an.rules, "Annotator", r"it is an\.Annotator$"),
        (an.rules, "Skipp", r"did you mean Skip\?$"),
        (an, "BradleyTerry", r"; here it is an\.Annotator\(an\.Tabular\(n\), an\.Luce\(\)\)$"),
        (an, "DPO", r"; here it is the rule an\.PBDE\.dpo\(beta, reference\)$"),
        (an.rules, "Plackett_Luce", r'; here it is an\.Luce\(\) with feedback="ranking"$'),
        (an, "MixedLogitModel", r"; here it is an\.RandomCoefficients$"),
        (an, "IPO", r"; it is an\.objectives\.IPO$"),
        (an, "xyzzy", r"has no attribute 'xyzzy'$"),
        (an, "__wrapped__", r"has no attribute '__wrapped__'$"),
    ],
)
def test_a_name_that_is_elsewhere_or_misspelt_is_answered_with_the_right_one(module, name, told):
    with pytest.raises(AttributeError, match=told):
        getattr(module, name)
    assert not hasattr(module, name)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: an.Design(an.Items(n=2), menusize=2), "'menusize'. Did you mean 'menu_size'?"),
        (lambda: an.EM(step=3), "'step'. Did you mean 'steps'?"),
        (lambda: an.Luce(temprature=1.0), "'temprature'. Did you mean 'temperature'?"),
        (lambda: an.Luce(xyzzy=1.0), "unexpected keyword argument 'xyzzy'"),
    ],
)
def test_a_misspelt_argument_of_a_constructor_is_answered_with_the_right_one(make, told):
    with pytest.raises(TypeError) as caught:
        make()
    assert str(caught.value).endswith(told)


#: What the extras bring; the base package runs without any of them.
EXTRAS = (
    "hypothesis",
    "pytest",
    "sympy",
    "choix",
    "evalica",
    "sklearn",
    "transformers",
    "datasets",
    "trl",
    "crowdkit",
    "marimo",
)


def test_the_base_package_never_imports_an_extra():
    modules = [m.name for m in pkgutil.walk_packages(an.__path__, "annosim.") if "__main__" not in m.name]
    modules.remove("annosim.checks.strategies")  # the one place that may import hypothesis
    modules.remove("annosim.explore.app")  # and marimo's
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


def test_words_of_the_field_and_what_they_are_here_stand_in_the_glossary():
    text = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    section = text.partition("## Your word, and ours")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    words = {re.sub(r"[^a-z]", "", word.lower()): row[1] for row in rows for word in re.split(r"[,/(]", row[0])}
    for word, here in namespaces.WORDS.items():
        assert word in words, word
        for name in re.findall(r"an\.([A-Za-z_][\w.]*)", here):
            assert f"an.{name}" in words[word], (word, name)
            assert operator.attrgetter(name)(an) is not None
