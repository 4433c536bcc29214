"""Objects of torch in one file, whole or not at all."""

from __future__ import annotations

import os

import torch

from annosim.files import atomic_path

__all__ = ["save_object"]


def save_object(content: object, path: str | os.PathLike[str]) -> None:
    """Write what :func:`torch.load` reads.

    Raises:
        FileReadError: the place or the disk does not allow it.
    """
    # through a Python file: given a name, torch forgets why it could not write
    with atomic_path(path) as part, part.open("wb") as handle:
        torch.save(content, handle)
