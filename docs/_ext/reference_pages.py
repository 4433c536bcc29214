"""Pages of the reference that are written from the library itself before Sphinx reads them.

A page for each namespace (its public names, from ``__all__``), the command line (from ``--help``), the tables of a
scenario file (from pydantic's schema), the errors and the theorems (from their docstrings and statements). All of it goes
into ``docs/reference/generated``, which is not kept in the repository.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType

from sphinx.application import Sphinx

import annosim as an

PLACE = Path("reference") / "generated"


def namespaces() -> Iterator[ModuleType]:
    """The rooms with a public face, in alphabetical order."""
    for name in sorted(an.__all__):
        thing = getattr(an, name)
        if isinstance(thing, ModuleType):
            yield thing


def first_paragraph(thing: object) -> str:
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())


def heading(text: str, mark: str = "=") -> str:
    return f"{text}\n{mark * len(text)}\n"


def names_of(module: ModuleType) -> list[str]:
    """Public names that are not namespaces themselves."""
    return sorted((n for n in module.__all__ if not isinstance(getattr(module, n), ModuleType)), key=str.lower)


def described(thing: object) -> bool:
    """Whether it has a signature and a docstring of its own."""
    return inspect.isclass(thing) or inspect.isroutine(thing)


@cache
def homes() -> dict[int, str]:
    """Where each class and function is described: under the shortest of its public names."""
    found: dict[int, str] = {}
    for module in [an, *namespaces()]:
        for name in names_of(module):
            if described(thing := getattr(module, name)):
                found.setdefault(id(thing), f"{module.__name__}.{name}")
    return found


def listing(title: str, entries: Iterable[str]) -> str:
    lines = "".join(f"   {entry}\n" for entry in entries)
    return f"{heading(title, '-')}\n.. autosummary::\n   :toctree: api\n   :nosignatures:\n\n{lines}\n" if lines else ""


def comment_on(module: ModuleType, name: str) -> str:
    """The ``#:`` lines above a value where it is defined: in the module itself or in a file of its room."""
    file = Path(module.__file__ or "")
    for source in [file] if file.name != "__init__.py" else sorted(file.parent.rglob("*.py")):
        found = re.search(rf"((?:^#: .*\n)+)^{name}\b[^\n(]*=", source.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return " ".join(line.removeprefix("#:").strip() for line in found[1].splitlines())
    return ""


def values(module: ModuleType, names: Sequence[str]) -> str:
    """Constants and type aliases, with what the source says of them."""
    text = heading("Values", "-") + "\n" if names else ""
    for name in names:
        text += f".. py:data:: {module.__name__}.{name}\n\n   {comment_on(module, name)}\n\n"
    return text


def namespace_page(module: ModuleType) -> str:
    where = module.__name__
    things = {n: getattr(module, n) for n in names_of(module)}
    here = {n: t for n, t in things.items() if homes().get(id(t)) == f"{where}.{n}"}
    elsewhere = [homes()[id(t)] for n, t in things.items() if described(t) and n not in here]
    also = ", ".join(f":py:obj:`{home.replace('annosim', 'an', 1)} <{home}>`" for home in elsewhere)
    return "\n".join(
        [
            heading(where.replace("annosim.", "an.") if where != "annosim" else "annosim: the names at the top"),
            inspect.getdoc(module) or "",
            "",
            listing("Functions", (f"{where}.{n}" for n, t in here.items() if inspect.isroutine(t))),
            listing("Classes", (f"{where}.{n}" for n, t in here.items() if inspect.isclass(t))),
            values(module, [n for n, t in things.items() if not described(t)]),
            f"{heading('Described elsewhere', '-')}\n{also}\n" if also else "",
        ]
    )


def write_all(folder: Path) -> None:
    """Write every page; one that has not changed is left alone, so that Sphinx does not read it again."""
    pages = {module.__name__.replace(".", "-"): namespace_page(module) for module in [an, *namespaces()]}
    folder.mkdir(parents=True, exist_ok=True)
    for stray in folder.glob("*.rst"):
        if stray.stem not in pages:
            stray.unlink()
    for name, text in pages.items():
        file = folder / f"{name}.rst"
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    write_all(Path(app.srcdir) / PLACE)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
