"""Kernels kept on disk are used only while every source that they were made from is unchanged.

numba looks at the file of a kernel alone: after a change of the generator, or of anything else that a kernel takes from
another file, it would go on with machine code of the old one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

__all__ = ["digest", "link"]


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


def link(*modules: ModuleType, of: ModuleType | None = None) -> None:
    """Tie the kernels of these modules, or those of the module ``of``, to the contents of all of them.

    Where numba does not keep a kernel in a file, or the modules are not files, nothing is changed.
    """
    every = modules if of is None else (of, *modules)
    try:
        now = digest(Path(str(module.__file__)) for module in every)
    except OSError:
        return  # imported from an archive, which is replaced as a whole
    for module in modules if of is None else (of,):
        for kernel in vars(module).values():
            if getattr(kernel, "__module__", module.__name__) != module.__name__:
                continue  # imported from elsewhere, where it has its own stamp
            file = getattr(getattr(kernel, "_cache", None), "_cache_file", None)
            if hasattr(file, "_source_stamp"):
                file._source_stamp = now
