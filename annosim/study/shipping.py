"""A study's source on its way to workers that do not have it: its files, packed with their places, and a digest."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from annosim.errors import StudyError
from annosim.files import atomic_bytes
from annosim.study.keys import source_files

__all__ = ["Shipment", "pack", "unpack"]


@dataclass(frozen=True)
class Shipment:
    """Sources of one study.

    Attributes:
        digest: of the sources (:func:`annosim.study.keys.digest_of_sources`).
        entry: the study's own file, relative to what the others are relative to.
        archive: all files, a zip.
    """

    digest: str
    entry: str
    archive: bytes


def pack(digest: str, path: Path) -> Shipment:
    """The files that a study's source consists of.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "mine.py").write_text("x = 1")
        >>> unpack(pack("made up", folder / "mine.py")).read_text()
        'x = 1'
    """
    path = path.resolve()
    files = source_files(path)
    top = Path(os.path.commonpath([f.parent for f in (path, *files)]))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.writestr(zipfile.ZipInfo(file.relative_to(top).as_posix()), file.read_bytes())
    return Shipment(digest, path.relative_to(top).as_posix(), out.getvalue())


def unpack(shipment: Shipment) -> Path:
    """The study's own file, written with the others to a folder of this process's own.

    Raises:
        StudyError: the worker cannot write to its temporary folder.
    """
    try:
        top = Path(tempfile.mkdtemp(prefix=f"annosim-study-{shipment.digest[:12].replace(' ', '_')}-"))
        with zipfile.ZipFile(io.BytesIO(shipment.archive)) as archive:
            for name in archive.namelist():
                atomic_bytes(top / name, archive.read(name))
    except OSError as error:
        raise StudyError(f"the study's source cannot be unpacked in {tempfile.gettempdir()} ({error})") from error
    return top / shipment.entry
