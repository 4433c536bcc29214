"""Settings of the whole suite: derandomized hypothesis, slow tests on request, GPU tests where there is a GPU, pages where there is a browser."""

from __future__ import annotations

import gc
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import settings

#: scripts that type checkers read and .ci/wheel runs: to look for examples there would run them in every process
collect_ignore = ["typing"]
#: libraries that tests of a mark need, and the extra that brings them; to be collected they need none, for to import some
#: of them takes every process seconds
EXTRAS = {
    "hf": ("hf", ("transformers",)),
    "cluster": ("dask", ("dask", "distributed")),
    "bayes": ("bayes", ("nutpie", "arviz_stats", "xarray")),
}

#: examples in docstrings that need an extra, by the path of the module or its room
EXAMPLES = {"annosim/sampling/": "bayes", "annosim/checks/posterior.py": "bayes"}

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=50)
settings.register_profile("full", settings.get_profile("ci"), max_examples=100)  # with --runslow, in .ci/full
settings.load_profile("ci")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--runslow"):
        settings.load_profile("full")


#: Python's own are 700, 10 and 10. A million objects of imports and collected tests stay to the end, and to look for garbage
#: among them took two fifths of the processor time: none is looked for until all are there, and then not among them.
COLLECT = (10_000, 20, 20)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECT)
        gc.enable()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--runslow", action="store_true", help="run the tests marked slow as well")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--runslow"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        if slow:
            config.hook.pytest_deselected(items=slow)
            items[:] = [item for item in items if not item.get_closest_marker("slow")]
    gpu = [item for item in items if item.get_closest_marker("gpu")]
    if gpu and not _has_cuda():
        for item in gpu:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device, and torch finds none on this machine"))
    browser = [item for item in items if item.get_closest_marker("browser")]
    reason = _no_browser() if browser else None
    for item in browser if reason else []:
        item.add_marker(pytest.mark.skip(reason=reason))
    for item in items:
        for path, mark in EXAMPLES.items():
            if item.nodeid.startswith(path):
                item.add_marker(mark)
    for mark, (extra, names) in EXTRAS.items():
        missing = [name for name in names if find_spec(name) is None]
        for item in items if missing else []:
            if item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=f"needs {missing[0]}; pip install 'annosim[{extra}]'"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Each process takes a run of neighbours, and at the end from whoever has more left: what tests of one room share
    (imports, compiled kernels, fixtures of modules) is then made once, not in every process."""
    if config.getoption("dist") != "load":  # another order was asked for
        return None
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


def _no_browser() -> str | None:
    """Why no page can be opened, or ``None``."""
    if find_spec("playwright") is None:
        return "needs playwright; pip install 'annosim[browser]'"
    return None if shutil.which("chromium") else "needs chromium; apt-get install chromium"


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Layers that a test takes from torch are drawn by its global generator: the same numbers in every run."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture
def longest_file() -> Callable[[int], AbstractContextManager[None]]:
    """``with longest_file(16):`` no file may grow beyond 16 bytes; stands for a full disk."""
    import resource
    import signal

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)

    return limited
