"""The pretend device, for the tests of this folder."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


def _pretend():
    """The module beside this file, loaded once."""
    name = "annosim_tests_pretend"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("pretend.py"))
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture
def far():
    """``with far() as seen:`` there is a device ``"pretend"``, and ``seen`` has what crossed to and from it."""
    module = _pretend()
    if not module.SUPPORTED:
        pytest.skip("torch cannot register a device from Python here (2.13 can), or a real one is here: see marker gpu")
    return module.pretend
