"""The notebooks run, and every cell whose value is a figure shows one: ``python .ci/notebooks.py SCRATCH``.

``nbmake`` fails where a cell does. A figure that is only said (``<Figure size ...>``) is no failure to it, and a page
of figures without figures is one to its reader, so the outputs of a copy are looked at too.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path


def blind(notebook: Path) -> list[int]:
    """Cells of an executed notebook, from 0, that name a matplotlib figure (``<... size WxH with N Axes>``) and show
    none."""
    found = []
    for number, cell in enumerate(json.loads(notebook.read_text(encoding="utf-8"))["cells"]):
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            text = "".join(data.get("text/plain", ""))
            if "image/png" not in data and re.fullmatch(r"<\w+ size \S+ with \d+ Axes>", text.strip()):
                found.append(number)
    return found


def main(scratch: str) -> int:
    source, copies = Path("notebooks"), Path(scratch) / "notebooks"
    shutil.copytree(source, copies, dirs_exist_ok=True)
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "--nbmake", "--nbmake-timeout=900", "--overwrite"]
    code = subprocess.run(
        [*command, "-n", "2", "--dist", "worksteal", "-q", str(copies)], env={**os.environ, "PYTEST_ADDOPTS": ""}
    ).returncode
    for notebook in sorted(copies.glob("*.ipynb")):
        for number in blind(notebook):
            print(f"{notebook.name}: cell {number} ends in a figure, and no figure is shown")
            code = code or 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
