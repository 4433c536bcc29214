"""Kernels kept on disk are used only while every source that they were made from is unchanged.

numba looks at the file of a kernel alone: after a change of the generator, or of anything else that a kernel takes from
another file, it would go on with machine code of the old one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

__all__ = ["digest", "stamp"]


def digest(files: Iterable[Path]) -> str:
    """Hash of the contents of some files.

    Example:
        >>> from pathlib import Path
        >>> len(digest([Path(__file__)]))
        64
    """
    whole = hashlib.sha256()
    for file in files:
        whole.update(hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()


def stamp(*modules: ModuleType) -> None:
    """Tie the kernels of these modules to the contents of all of them.

    Where numba does not keep a kernel in a file, or the modules are not files, nothing is changed.
    """
    try:
        now = digest(Path(str(module.__file__)) for module in modules)
    except OSError:
        return  # imported from an archive, which is replaced as a whole
    for module in modules:
        for kernel in vars(module).values():
            file = getattr(getattr(kernel, "_cache", None), "_cache_file", None)
            if hasattr(file, "_source_stamp"):
                file._source_stamp = now
