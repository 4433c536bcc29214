"""Executes notebooks in place: ``python docs/notebooks.py [NOTEBOOK...]`` (all of ``notebooks/`` by default).

What a notebook shows in the repository and in the gallery is what this wrote, with the date, the versions and a digest of the
code that ran, by which ``tests/test_notebooks.py`` sees that the code has not changed since.
"""

from __future__ import annotations

import hashlib
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from annosim.files import atomic_text
from annosim.results import versions

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


def digest(notebook: nbformat.NotebookNode) -> str:
    """Of the code of all cells, in order."""
    code = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()[:16]


def execute(path: Path) -> float:
    """Run every cell in a new kernel, and keep what it shows; returns the seconds that took."""
    notebook = nbformat.read(path, as_version=4)
    start = time.monotonic()
    NotebookClient(
        notebook, timeout=600, record_timing=False, resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    seconds = time.monotonic() - start
    known = versions()
    notebook["metadata"]["annosim"] = {
        "executed": datetime.now(UTC).date().isoformat(),
        "versions": {name: known[name] for name in ("annosim", "python", "torch")},
        "code": digest(notebook),
    }
    atomic_text(path, nbformat.writes(notebook) + "\n")
    return seconds


if __name__ == "__main__":
    for file in [Path(name) for name in sys.argv[1:]] or sorted(NOTEBOOKS.glob("*.ipynb")):
        print(f"{file.name}: {execute(file):.0f} s", flush=True)
