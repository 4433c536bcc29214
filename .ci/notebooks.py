"""The notebooks run, and every cell whose value is a figure shows one: ``python .ci/notebooks.py NOTEBOOK...``.

Two run at a time, each in a process of its own. Nothing is written. Their kernels are reached through sockets that are
files (``ipc``): TCP ports are picked before they are bound, and two kernels that start together may pick one port.
A figure that is only said (``<Figure size ...>``) is no error to Jupyter, and a page of figures without figures is one
to its reader, so the outputs are looked at too.
"""

import asyncio
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from traitlets.config import Config


def blind(notebook: nbformat.NotebookNode) -> list[int]:
    """Cells of an executed notebook, from 0, that name a matplotlib figure (``<... size WxH with N Axes>``) and show
    none."""
    found = []
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            text = "".join(data.get("text/plain", ""))
            if "image/png" not in data and re.fullmatch(r"<\w+ size \S+ with \d+ Axes>", text.strip()):
                found.append(number)
    return found


async def faults(path: Path, sockets: Path, turn: asyncio.Semaphore) -> list[str]:
    """What is wrong with one notebook, in words; its kernel's sockets are files of the folder ``sockets``."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=900,
        startup_timeout=120,
        resources={"metadata": {"path": str(path.parent)}},
        config=Config({"KernelManager": {"transport": "ipc", "ip": str(sockets / path.stem)}}),
    )
    async with turn:
        start = time.monotonic()
        try:
            await client.async_execute()
        except (CellExecutionError, CellTimeoutError, RuntimeError) as error:  # the last: its kernel died
            return [str(error)]
        finally:
            print(f"{time.monotonic() - start:6.1f} s  {path.name}", flush=True)
    return [f"cell {number} ends in a figure, and no figure is shown" for number in blind(notebook)]


async def main(paths: list[Path]) -> int:
    turn = asyncio.Semaphore(2)
    with tempfile.TemporaryDirectory() as sockets:
        found = await asyncio.gather(*(faults(path, Path(sockets), turn) for path in paths))
    for path, wrong in zip(paths, found, strict=True):
        for fault in wrong:
            print(f"{path.name}: {fault}")
    return int(any(found))


if __name__ == "__main__":
    sys.exit(asyncio.run(main([Path(name) for name in sys.argv[1:]])))
