"""Runs the Python of pages and keeps what it prints under it: ``python docs/outputs.py PAGE.md ...``.

The blocks of a page run in order, in one namespace, in an empty folder that holds ``docs/examples``. As in a notebook, the
value of a block's last line is shown. A ``text`` block that follows a ``python`` block is its output; running this script
writes it anew, and ``tests/test_docs.py`` compares. A block after a line ``<!-- not run: WHY -->`` is left alone.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(
    r"(?P<skip><!-- not run: [^\n]*-->\n)?```python\n(?P<code>.*?)```\n(?:\n```text\n(?P<shown>.*?)```\n)?", re.DOTALL
)


def run_block(code: str, names: dict[str, object], where: str) -> str:
    """What the block prints, and the value of its last line."""
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(tree, where, "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), where, "eval"), names)
            if value is not None:
                print(value)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip("\n").split("\n")) + "\n"


@contextlib.contextmanager
def workplace() -> Iterator[None]:
    """An empty folder with the site's example files."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "docs" / "examples", folder, dirs_exist_ok=True)
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def outputs(page: Path) -> list[tuple[str, str, str]]:
    """``(code, the output on the page, the output now)`` of the blocks that show one; all blocks run."""
    names: dict[str, object] = {"__name__": "page"}
    found = []
    with workplace():
        for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
            if block["skip"] is None:
                printed = run_block(block["code"], names, page.name)
                if block["shown"] is not None:
                    found.append((block["code"], block["shown"], printed))
    return found


def write(page: Path) -> None:
    """The page with its outputs as they are now."""
    told = iter(outputs(page))

    def filled(block: re.Match[str]) -> str:
        if block["skip"] is not None or block["shown"] is None:
            return block[0]
        _, old, new = next(told)
        return block[0].removesuffix(f"```text\n{old}```\n") + f"```text\n{new}```\n"

    page.write_text(BLOCK.sub(filled, page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        write(Path(name).resolve())
