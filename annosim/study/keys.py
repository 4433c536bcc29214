"""What a finished cell depends on, as a hash: parameters, seed, the study's source, versions of annosim and torch.

The study's source is every file of its folder (or the file itself), and every module beside it that these import. The
version of annosim includes a digest of its own source: an edited working copy serves nothing stale either.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from annosim.errors import StudyError
from annosim.results import fingerprint
from annosim.study.datapath import data_path
from annosim.study.definition import Cell, Study, source_file
from annosim.study.values import Plain

__all__ = ["cell_seed", "canonical", "stable_hash", "study_digest"]

#: Changes when the layout of a cell's file changes.
FORMAT = 1


def canonical(value: object) -> Plain:
    """A value as JSON knows it, in one spelling: numpy numbers become Python's, tuples lists, keys sorted later.

    Raises:
        StudyError: a value that is not plain data (a function, a tensor, an object).

    Example:
        >>> canonical({"b": (1, np.float64(2.0)), "a": None})
        {'b': [1, 2.0], 'a': None}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        if not all(isinstance(k, str) for k in value):
            raise StudyError("a cell's parameters: the keys of a dict must be texts")
        return {k: canonical(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return canonical(value.tolist())
    if isinstance(value, list | tuple):
        return [canonical(v) for v in value]
    raise StudyError(
        f"a cell's parameter is a {type(value).__name__}; parameters are plain data (numbers, texts, lists, dicts): "
        "build objects inside the function"
    )


def stable_hash(value: object) -> str:
    """SHA-256 of plain data, the same on every machine and in every process.

    Example:
        >>> stable_hash({"a": 1, "b": 2}) == stable_hash({"b": 2, "a": 1})
        True
    """
    text = json.dumps(canonical(value), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def cell_seed(study: Study, cell: Cell, replicate: int) -> int:
    """The seed of one replicate of a cell: a stable hash of names, so that adding a cell moves no other cell's seed.

    63 bits, so that it fits a signed 64-bit integer everywhere.

    Example:
        >>> def f(seed):
        ...     return {}
        >>> s = Study("s", "", "", {}, lambda: [], lambda: [])
        >>> cell_seed(s, Cell(f, name="a"), 0) != cell_seed(s, Cell(f, name="a"), 1)
        True
    """
    address = [study.name, study.seed, cell.seed_name or cell.title, replicate]
    return int(stable_hash(address)[:16], 16) >> 1


def study_digest(study: Study) -> str:
    """Hash of all sources of a study: its file, or all files of its folder, and what they import from beside it.

    Raises:
        StudyError: the source cannot be seen (functions typed into a session that keeps no source).
    """
    if study.digest:
        return study.digest
    path = source_file(study)
    if path is None:
        try:
            return stable_hash([inspect.getsource(f) for f in (study.cells, study.claims)])
        except (OSError, TypeError) as error:
            raise StudyError(f"study {study.name}: its source cannot be read; put it into a file") from error
    return digest_of_sources(path)


def digest_of_sources(path: Path) -> str:
    """Hash of the files of :func:`source_files`, with their places relative to the study's own."""
    names = {f: os.path.relpath(f, path.resolve().parent) for f in source_files(path)}
    return stable_hash({name: hashlib.sha256(f.read_bytes()).hexdigest() for f, name in names.items()})


def source_files(path: Path) -> list[Path]:
    """The files a study's source consists of, sorted: see :func:`study_digest`.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "helper.py").write_text("x = 1"), (folder / "other.py").write_text("x = 2")
        >>> _ = (folder / "mine.py").write_text("import numpy, helper")
        >>> [f.name for f in source_files(folder / "mine.py")]
        ['helper.py', 'mine.py']
    """
    path = path.resolve()
    in_folder = path.name == "__init__.py" or (path.parent / "__init__.py").is_file()
    found: set[Path] = set()
    queue = _files_of(path.parent) if in_folder else [path]
    while queue:
        one = queue.pop()
        if one in found:
            continue
        found.add(one)
        if one.suffix == ".py":
            queue += [f for f in _imported(one) if f not in found]
    return sorted(found)


def _files_of(folder: Path) -> list[Path]:
    def shown(f: Path) -> bool:
        return not any(part == "__pycache__" or part.startswith(".") for part in f.relative_to(folder).parts)

    return [f for f in folder.rglob("*") if f.is_file() and shown(f)]


def _imported(path: Path) -> Iterable[Path]:
    """Files beside a source (or beside its folder) that it imports by name."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError:  # reported with its line when the study is loaded
        return []
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            stem = node.module or ""
            names |= {stem} | {f"{stem}.{alias.name}".strip(".") for alias in node.names}
    found: list[Path] = []
    for parts in ([p for p in name.split(".") if p] for name in names):
        if not parts or parts[0] == "annosim":  # annosim's own source is in its version
            continue
        for base in (path.parent, path.parent.parent):
            module, package = base.joinpath(*parts).with_suffix(".py"), base.joinpath(*parts, "__init__.py")
            found += [module] if module.is_file() else []
            found += _files_of(package.parent) if package.is_file() else []
    return found


def environment(study: Study, data: Path | str | None = None) -> dict[str, str]:
    """The part of every key that all cells of a run share: sources, versions, and the content of the data files."""
    known = fingerprint()
    files = {name: _digest_of(data_path(name, data)) for name in study.data}
    return {
        "format": str(FORMAT),
        "study": study_digest(study),
        "annosim": known["annosim"],
        "torch": known["torch"],
        "data": stable_hash(files),
    }


def _digest_of(path: Path) -> str:
    if path.is_dir():
        return stable_hash({str(f.relative_to(path)): _digest_of(f) for f in _files_of(path)})
    return hashlib.sha256(path.read_bytes()).hexdigest()
