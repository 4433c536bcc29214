"""Plants bugs into functions of a running process: the tests are imported once, and each bug is tried in a fork.

Used by ``python tests/planted.py --in-place``. What stands outside functions, and what is compiled, is left to copies of
the tree.
"""

from __future__ import annotations

import gc
import importlib
import inspect
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest
from _pytest.runner import runtestprotocol


def changed_functions(old: CodeType, new: CodeType) -> list[tuple[CodeType, CodeType]] | None:
    """Outermost functions that differ, before and after; none where something outside functions does."""
    if old == new:
        return []
    parts = [[part for part in code.co_consts if isinstance(part, CodeType)] for code in (old, new)]
    plain = [[part for part in code.co_consts if not isinstance(part, CodeType)] for code in (old, new)]
    if len(parts[0]) != len(parts[1]) or plain[0] != plain[1] or old.co_code != new.co_code:
        return None
    found: list[tuple[CodeType, CodeType]] = []
    for before, after in zip(*parts, strict=True):
        if before == after:
            continue
        if before.co_flags & inspect.CO_OPTIMIZED:
            found.append((before, after))
        else:  # the body of a class
            inner = changed_functions(before, after)
            if inner is None:
                return None
            found += inner
    return found


def can_be_swapped(path: Path, old: str, new: str) -> bool:
    """Whether a bug is in plain functions."""
    text = path.read_text(encoding="utf-8")
    if "njit" in text:
        return False
    codes = (compile(source, str(path), "exec") for source in (text, text.replace(old, new)))
    return bool(changed_functions(*codes))


def swap(path: Path, module: str, old: str, new: str) -> int:
    """Give the functions of a module their broken code; how many there were."""
    importlib.import_module(module)
    text = path.read_text(encoding="utf-8")
    codes = (compile(source, str(path), "exec") for source in (text, text.replace(old, new)))
    broken = {(code.co_qualname, code.co_firstlineno): after for code, after in changed_functions(*codes) or []}
    count = 0
    gc.unfreeze()  # what was there before the tests, which tests/conftest.py hides
    for one in gc.get_objects():  # its type, as a dead weak reference raises when it is asked for its class
        if type(one) is FunctionType and one.__code__.co_filename == str(path):
            after = broken.get((one.__code__.co_qualname, one.__code__.co_firstlineno))
            if after is not None:
                one.__code__ = after
                count += 1
    return count


class InPlace:
    """A pytest plugin that tries bugs in place of running the tests.

    Args:
        bugs: with ``file``, ``old`` and ``new``.
        order: of the tests of a bug, by their names.
        seconds: processor time of the tests, as far as it is known; what is seen is added.
        limit: processor seconds for one bug; when they are over between two tests, the bug is ``"undecided"``.
        report: called with the bug, the verdict, the seconds and the test that failed.
    """

    def __init__(
        self,
        root: Path,
        bugs: list[Any],
        order: Callable[[Any, list[str]], list[str]],
        seconds: dict[str, float],
        limit: float,
        report: Callable[[Any, str, float, str], None],
    ) -> None:
        self.root, self.bugs, self.order, self.limit, self.report = root, bugs, order, limit, report
        self.seconds = seconds
        self.sound: dict[str, bool] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        for bug in self.bugs:
            start = time.monotonic()
            verdict, by = "caught", ""
            while verdict == "caught" and self.sound.get(by) is not True:  # a test that always fails catches nothing
                chosen = [name for name in self.order(bug, list(items)) if self.sound.get(name) is not False]
                verdict, by = self._in_a_fork(bug, [items[name] for name in chosen])
                if by not in items:
                    break
                if by not in self.sound:
                    self.sound[by] = self._in_a_fork(None, [items[by]])[0] == "survived"
            self.report(bug, verdict, time.monotonic() - start, by)
        return True

    def _in_a_fork(self, bug: Any, chosen: list[pytest.Item]) -> tuple[str, str]:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.setsid()
            null = os.open(os.devnull, os.O_RDWR)
            for number in range(3):
                os.dup2(null, number)
            said: dict[str, Any] = {"verdict": "caught", "by": "planting failed", "seconds": {}}
            try:
                self._run(bug, chosen, said)
            finally:
                with os.fdopen(write, "w", encoding="utf-8") as pipe:
                    json.dump(said, pipe)
                os._exit(0)
        os.close(write)
        # what is said is read while the child still runs, so that a long list does not fill the pipe
        with os.fdopen(read, encoding="utf-8", errors="replace") as pipe:
            hung = not select.select([pipe], [], [], 20 * self.limit)[0]
            if hung:
                os.killpg(child, signal.SIGKILL)
            text = pipe.read()
        os.waitpid(child, 0)
        if hung or not text:
            return ("time", "") if hung else ("caught", "the process died")
        said = json.loads(text)
        self.seconds.update(said["seconds"])
        return said["verdict"], said["by"]

    def _run(self, bug: Any, chosen: list[pytest.Item], said: dict[str, Any]) -> None:
        module = bug.file.removesuffix(".py").replace("/", ".").removesuffix(".__init__") if bug else ""
        if bug and not swap(self.root / bug.file, module, bug.old, bug.new):
            said.update(verdict="undecided", by="no such function")
            return
        start = before = time.process_time()
        for item, after in _with_next(chosen):
            if before - start > self.limit:
                said.update(verdict="undecided", by=f"{item.nodeid} comes next")
                return
            failed = any(report.failed for report in runtestprotocol(item, log=False, nextitem=after))
            said["seconds"][item.nodeid] = round(time.process_time() - before, 3)
            before = time.process_time()
            if failed:
                said.update(verdict="caught", by=item.nodeid)
                return
        said.update(verdict="survived", by="")


def _with_next(items: list[pytest.Item]) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    yield from zip(items, [*items[1:], None], strict=True)


def run_in_place(tests: list[str], tree: Path, plugin: InPlace) -> int:
    """Collect the tests of ``tree`` and try the plugin's bugs; pytest's exit code."""
    os.chdir(tree)
    os.environ.update(PYTHONPATH=str(tree), OMP_NUM_THREADS="1", MPLBACKEND="agg")
    sys.path.insert(0, str(tree))
    return int(pytest.main(["-q", "-p", "no:cacheprovider", *tests], plugins=[plugin]))
