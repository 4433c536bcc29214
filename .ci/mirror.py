"""The mirror: what the code looks like in numbers, at two revisions side by side.

    python .ci/mirror.py                     this working tree
    python .ci/mirror.py --base 7ac89f8      that revision beside this working tree
    python .ci/mirror.py --base A --head B   two revisions
    python .ci/mirror.py --circles           list the modules of each import circle, too

It reads the syntax trees of Python's own ``ast`` and asks git for revisions; nothing else is needed.
"""

from __future__ import annotations

import argparse
import ast
import io
import statistics
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "annosim"
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Module:
    """One source file: its dotted name and its tree."""

    name: str
    path: Path
    text: str
    tree: ast.Module
    is_package: bool

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    def functions(self) -> Iterator[Function]:
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))


def read_modules(root: Path) -> dict[str, Module]:
    """The modules below ``root/annosim`` by dotted name."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        text = path.read_text(encoding="utf-8")
        found[name] = Module(name, path, text, ast.parse(text), is_package)
    return found


# --- imports


@dataclass
class Imports:
    """Which module imports which: when it is loaded, and inside functions."""

    on_load: dict[str, set[str]] = field(default_factory=dict)
    in_functions: dict[str, set[str]] = field(default_factory=dict)
    statements_in_functions: int = 0
    own_statements_in_functions: int = 0


def read_imports(modules: dict[str, Module]) -> Imports:
    """All imports that can happen at run time; those under ``if TYPE_CHECKING`` cannot."""
    stubs = {name: _stub(module) for name, module in modules.items() if module.is_package}
    out = Imports()
    for name, module in modules.items():
        out.on_load[name], out.in_functions[name] = set(), set()
        for node, in_function in _import_nodes(module.tree, False):
            targets = set(_targets(node, module, modules, stubs)) - {name}
            (out.in_functions if in_function else out.on_load)[name] |= targets
            out.statements_in_functions += in_function
            out.own_statements_in_functions += in_function and bool(targets)
    return out


def _import_nodes(node: ast.AST, in_function: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, in_function
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from _import_nodes(other, in_function)
        else:
            yield from _import_nodes(child, in_function or isinstance(child, Function | ast.Lambda))


def _targets(
    node: ast.Import | ast.ImportFrom, module: Module, modules: dict[str, Module], stubs: dict[str, dict[str, str]]
) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in modules)
        return
    base = _absolute(node, module)
    for alias in node.names:
        inner = f"{base}.{alias.name}"
        if inner in modules:
            yield inner
        elif alias.name in stubs.get(base, {}):  # a lazy name: what is loaded is the module that defines it
            yield stubs[base][alias.name]
        elif base in modules:
            yield base


def _absolute(node: ast.ImportFrom, module: Module) -> str:
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    parts = parts[: len(parts) - node.level + module.is_package]
    return ".".join([*parts, node.module] if node.module else parts)


def _stub(module: Module) -> dict[str, str]:
    """Public name -> defining module, where a package loads its names lazily from a stub."""
    path = module.path.with_suffix(".pyi")
    if not path.is_file():
        return {}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name: _absolute(node, module) for node in nodes for alias in node.names}


def find_circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, directly or by way of others (strongly connected components)."""
    reach = {name: _reachable(name, edges) for name in edges}
    groups = {tuple(sorted(m for m in reach[name] if name in reach[m])) for name in edges if name in reach[name]}
    return sorted(map(list, groups))


def _reachable(start: str, edges: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    stack = list(edges[start])
    while stack:
        name = stack.pop()
        if name not in seen:
            seen.add(name)
            stack += edges.get(name, ())
    return seen


# --- types


@dataclass
class Parameters:
    """How parameters are annotated."""

    total: int = 0
    untyped: int = 0
    any: int = 0

    def add(self, function: Function, is_method: bool) -> None:
        spec = function.args
        positional = [*spec.posonlyargs, *spec.args]
        if is_method and positional and not _is_static(function):
            positional = positional[1:]
        rest = [arg for arg in (spec.vararg, spec.kwarg) if arg is not None]
        for arg in [*positional, *spec.kwonlyargs, *rest]:
            self.total += 1
            self.untyped += arg.annotation is None
            self.any += arg.annotation is not None and _mentions_any(arg.annotation)


def _is_static(function: Function) -> bool:
    return any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in function.decorator_list)


def _mentions_any(annotation: ast.expr) -> bool:
    names = {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)}
    texts = [n.value for n in ast.walk(annotation) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return "Any" in names or any("Any" in text.replace("AnyT", "") for text in texts)


def count_parameters(modules: Iterable[Module], public: bool) -> Parameters:
    """All parameters, or those of exported functions and of the public methods of exported classes (``__all__``)."""
    out = Parameters()
    for module in modules:
        exported = _exported(module.tree) if public else None
        for function, owners in _owned_functions(module.tree, ()):
            if exported is None or _is_public(function, owners, exported):
                out.add(function, bool(owners) and isinstance(owners[-1], ast.ClassDef))
    return out


def _owned_functions(node: ast.AST, owners: tuple[ast.AST, ...]) -> Iterator[tuple[Function, tuple[ast.AST, ...]]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield child, owners
        inner = (*owners, child) if isinstance(child, Function | ast.ClassDef) else owners
        yield from _owned_functions(child, inner)


def _is_public(function: Function, owners: tuple[ast.AST, ...], exported: set[str]) -> bool:
    if not owners:
        return function.name in exported
    in_class = len(owners) == 1 and isinstance(owners[0], ast.ClassDef) and owners[0].name in exported
    return in_class and (not function.name.startswith("_") or function.name in ("__init__", "__call__"))


def _exported(tree: ast.Module) -> set[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return {e.value for e in ast.walk(node.value) if isinstance(e, ast.Constant) and isinstance(e.value, str)}
    return set()


# --- logic that looks at names instead of types


def count_name_logic(tree: ast.AST) -> int:
    """Comparisons of ``x.__name__`` or ``type(x)``, and calls of ``hasattr``."""
    return sum(_is_name_logic(node) for node in ast.walk(tree))


def _is_name_logic(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "hasattr"
    if not isinstance(node, ast.Compare):
        return False
    return any(_is_type_call(side) or _is_class_name(side) for side in (node.left, *node.comparators))


def _is_type_call(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "type"


def _is_class_name(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in ("__name__", "__qualname__")


# --- the table


def measure(root: Path) -> tuple[dict[str, str], dict[str, list[list[str]]]]:
    """Numbers of a tree by name, and its import circles."""
    modules = read_modules(root)
    lengths = sorted(f.end_lineno - f.lineno + 1 for m in modules.values() for f in m.functions() if f.end_lineno)
    files = {name: module.lines for name, module in modules.items()}
    everything, public = (count_parameters(modules.values(), only) for only in (False, True))
    imports = read_imports(modules)
    both = {name: imports.on_load[name] | imports.in_functions[name] for name in modules}
    circles = {"when loaded": find_circles(imports.on_load), "with those inside functions": find_circles(both)}
    longest = max(files, key=lambda name: files[name])
    rows = {
        "lines": f"{sum(files.values()):,}",
        "files": f"{len(files)}",
        "lines of tests": f"{_lines(root / 'tests'):,}",
        "lines of studies": f"{_lines(root / 'studies'):,}",
        "file, median": f"{statistics.median(files.values()):.0f}",
        "file, longest": f"{files[longest]} ({longest.removeprefix(PACKAGE + '.')})",
        "functions": f"{len(lengths):,}",
        "function, median": f"{statistics.median(lengths):.0f}",
        "function, 90 %": f"{lengths[int(0.9 * (len(lengths) - 1))]}",
        "function, longest": f"{lengths[-1]}",
        "parameters": f"{everything.total:,}",
        "  untyped": _share(everything.untyped, everything.total),
        "  Any": _share(everything.any, everything.total),
        "public parameters": f"{public.total:,}",
        "  untyped, public": _share(public.untyped, public.total),
        "  Any, public": _share(public.any, public.total),
        "imports inside functions": f"{imports.statements_in_functions}",
        "  of annosim's own modules": f"{imports.own_statements_in_functions}",
        **{f"import circles {kind}": _circles(found) for kind, found in circles.items()},
        "fmt: skip": f"{_count(root, '# fmt: ' + 'skip')}",
        "logic on class names": f"{sum(count_name_logic(m.tree) for m in modules.values())}",
    }
    return rows, circles


def _share(part: int, whole: int) -> str:
    return f"{part} ({part / max(whole, 1):.1%})"


def _circles(found: list[list[str]]) -> str:
    return f"{len(found)} ({sum(map(len, found))} modules)" if found else "0"


def _sources(folder: Path) -> Iterator[str]:
    return (path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))


def _lines(folder: Path) -> int:
    return sum(text.count("\n") for text in _sources(folder))


def _count(root: Path, text: str) -> int:
    return sum(source.count(text) for name in (PACKAGE, "tests", "studies") for source in _sources(root / name))


def unpack(revision: str, folder: Path) -> None:
    """The tree of a revision, by ``git archive``."""
    listed = subprocess.run(["git", "ls-tree", "--name-only", revision], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        raise SystemExit(f"mirror: git does not know the revision {revision!r}")
    wanted = [name for name in (PACKAGE, "tests", "studies") if name in listed.stdout.split()]
    packed = subprocess.run(["git", "archive", revision, *wanted], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="What the code looks like in numbers, at two revisions side by side.")
    parser.add_argument("--base", help="revision of the first column, for example a tag or a commit")
    parser.add_argument("--head", help="revision of the second column; the working tree by default")
    parser.add_argument("--circles", action="store_true", help="list the modules of each import circle")
    asked = parser.parse_args()
    columns, circles = {}, {}
    for revision in [asked.base, asked.head or "working tree"] if asked.base else [asked.head or "working tree"]:
        with tempfile.TemporaryDirectory() as folder:
            root = ROOT
            if revision != "working tree":
                root = Path(folder)
                unpack(revision, root)
            columns[revision], circles[revision] = measure(root)
    print_table(columns)
    if asked.circles:
        for revision, kinds in circles.items():
            for kind, found in kinds.items():
                for group in found:
                    print(f"\n{revision}, {kind}: {', '.join(group)}")


def print_table(columns: dict[str, dict[str, str]]) -> None:
    """One row per number, one column per revision."""
    labels = list(next(iter(columns.values())))
    first = max(map(len, labels))
    widths = {name: max(len(name), *(len(rows[label]) for label in labels)) for name, rows in columns.items()}
    print(" " * first, *(f"  {name:>{widths[name]}}" for name in columns))
    for label in labels:
        print(f"{label:<{first}}", *(f"  {rows[label]:>{widths[name]}}" for name, rows in columns.items()))


if __name__ == "__main__":
    main()
