"""Finding and loading studies: ``./studies``, those that came with annosim, the entry-point group ``annosim.studies``,
or any path."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from annosim.errors import StudyError
from annosim.study.definition import Study
from annosim.study.keys import digest_of_sources, source_files

__all__ = ["Found", "find_studies", "load_study"]

GROUP = "annosim.studies"


@dataclass(frozen=True)
class Found:
    """A study's name and where it is, before it is loaded."""

    name: str
    where: Path | EntryPoint

    def load(self) -> Study:
        """Import it.

        Raises:
            StudyError: it cannot be imported, or holds no ``STUDY``.
        """
        return load_study(self.where) if isinstance(self.where, Path) else _load_entry_point(self.where)


def find_studies(folder: Path | None = None) -> list[Found]:
    """All studies by name: files and folders of ``./studies``, then those that came with annosim, then entry points;
    the first of a name counts.

    Names that begin with an underscore are helpers of other studies.

    Example:
        >>> "density_estimation" in [found.name for found in find_studies(Path("no such folder"))]
        True
    """
    found: dict[str, Found] = {}
    for place in (folder or Path("studies"), shipped_studies()):
        for one in _in_folder(place):
            found.setdefault(one.name, one)
    for point in sorted(entry_points(group=GROUP), key=lambda p: p.name):
        found.setdefault(point.name, Found(point.name, point))
    return list(found.values())


def shipped_studies(package: Path | None = None) -> Path:
    """The folder of the studies that came with annosim: inside the package in an installation, beside it in a checkout.

    Args:
        package: the folder of the package; this one by default.

    Example:
        >>> shipped_studies().name
        'studies'
    """
    package = package or Path(__file__).parents[1]
    in_checkout = (package.parent / "pyproject.toml").is_file()  # else the folder beside it is somebody else's
    return (package.parent if in_checkout else package) / "studies"


def load_named(name_or_path: str, folder: Path | None = None) -> Study:
    """The study of this name, or at this path.

    Raises:
        StudyError: there is none; the message lists those there are.

    Example:
        >>> load_named("no-such-study", Path("no such folder"))
        Traceback (most recent call last):
        annosim.errors.StudyError: no study 'no-such-study' in ./studies or among the installed ones; there are: ...
    """
    for one in find_studies(folder):
        if one.name == name_or_path:
            return one.load()
    path = Path(name_or_path)
    if path.suffix == ".py" or path.is_dir() or path.is_file():
        return load_study(path)
    known = ", ".join(one.name for one in find_studies(folder))
    raise StudyError(f"no study {name_or_path!r} in ./studies or among the installed ones; there are: {known}")


def load_study(path: Path) -> Study:
    """Import a study from a file, or from a folder with ``__init__.py``, and return its ``STUDY``.

    Raises:
        StudyError: no such file, an error while importing it, or no ``STUDY`` in it.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "mine.py"
        >>> _ = path.write_text("from annosim.study import Study\\nSTUDY = Study('mine', '', '', {}, list, list)")
        >>> load_study(path).name
        'mine'
    """
    file = path / "__init__.py" if path.is_dir() else path
    if not file.is_file():
        raise StudyError(f"{file} does not exist; a study is a .py file, or a folder with __init__.py, that sets STUDY")
    file = file.resolve()
    is_folder = file.name == "__init__.py"
    name = f"annosim_study_{file.parent.name if is_folder else file.stem}"
    beside = str(file.parent.parent if is_folder else file.parent)
    if beside not in sys.path:  # at the end: helpers beside a study are found, and nothing installed is hidden
        sys.path.append(beside)
    spec = importlib.util.spec_from_file_location(
        name, file, submodule_search_locations=[str(file.parent)] if is_folder else None
    )
    if spec is None or spec.loader is None:
        raise StudyError(f"{file} is not a Python file; a study is a .py file or a folder with __init__.py")
    module = importlib.util.module_from_spec(spec)
    digest = digest_of_sources(file)
    _forget(source_files(file))
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the file is the user's: whatever its import raises is reported in one line
        raise StudyError(f"{path}: importing this study failed: {type(error).__name__}: {error}") from error
    return _study_of(module, str(path), file, digest)


def _forget(files: Sequence[Path]) -> None:
    """Drop these files' modules: a helper that was edited since it was imported must not be served as it was."""
    paths = {str(f) for f in files}
    for name in [n for n, m in sys.modules.items() if getattr(m, "__file__", None) in paths and n != "__main__"]:
        del sys.modules[name]
    for file in files:  # Python tells compiled modules apart by the second of the last change, and by the size
        compiled = Path(importlib.util.cache_from_source(str(file)))
        with suppress(OSError):  # not there, or not ours to write
            if compiled.stat().st_mtime_ns <= file.stat().st_mtime_ns:
                compiled.unlink()


def _load_entry_point(point: EntryPoint) -> Study:
    try:
        loaded = point.load()
    except Exception as error:  # an installed study of somebody else: reported in one line
        raise StudyError(f"entry point {point.name} = {point.value} failed: {type(error).__name__}: {error}") from error
    if isinstance(loaded, Study):
        module_file = getattr(sys.modules.get(point.module), "__file__", None)
        return replace(loaded, path=Path(module_file)) if module_file and loaded.path is None else loaded
    return _study_of(loaded, f"entry point {point.name}", Path(loaded.__file__))


def _study_of(module: object, where: str, file: Path, digest: str = "") -> Study:
    study = getattr(module, "STUDY", None)
    if not isinstance(study, Study):
        raise StudyError(f"{where} sets no STUDY = Study(...); add it")
    return replace(study, path=file, digest=digest)


def _in_folder(folder: Path) -> Iterator[Found]:
    if not folder.is_dir():
        return
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(("_", ".")):
            continue
        if entry.suffix == ".py" or (entry / "__init__.py").is_file():
            yield Found(entry.stem if entry.suffix == ".py" else entry.name, entry)
