"""Whatever somebody mistypes in a scenario, it is read, or refused in one line of at most 300 characters.

The mistakes know the structure of the file (``tests/scenarios.py``): values of the wrong type, shape, sign or size,
misspelt keys, tables of another kind or from elsewhere, rules under feedback that they do not define. What is read and
asks for little is simulated, too, and of a small one the other verbs are asked: ``law``, ``fit``, ``identify``, ``plan``.
Whatever else is raised, a traceback in a terminal, fails the test. ``ANNOSIM_FUZZ=50000`` asks so many verbs
(``.ci/full`` does).
"""

from __future__ import annotations

import importlib.util
import os
import random
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

_spec = importlib.util.spec_from_file_location("scenarios", Path(__file__).with_name("scenarios.py"))
scenarios = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(scenarios)
BASES, VERBS, ask, mutate, use = (scenarios.BASES, scenarios.VERBS, scenarios.ask, scenarios.mutate, scenarios.use)


def check(base, draw):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # overflow in a simulation of utilities of 1e300 warns, and is allowed to
        message = use(mutate(BASES[base], draw))
    assert len(message) <= 300 and "\n" not in message, message


@pytest.mark.parametrize("base", range(len(BASES)))
def test_a_scenario_without_mistakes_is_read(base):
    message = use(BASES[base])
    assert message == "ok" or "absent" in message  # one names a model that is not there


@settings(max_examples=2_000, suppress_health_check=list(HealthCheck), database=None)
@given(st.integers(0, len(BASES) - 1), st.randoms(use_true_random=False))
def test_every_mistake_is_one_line(base, draw):
    check(base, draw)


@pytest.mark.slow
def test_every_one_of_fifty_thousand_mistakes_is_one_line():
    """The same by seeds, which are named when one fails."""
    for seed in range(50_000):
        draw = random.Random(seed)
        try:
            check(draw.randrange(len(BASES)), draw)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error


def test_every_verb_is_answered_in_one_line():
    """By seeds, which are named when one fails; each asks one verb."""
    for seed in range(int(os.environ.get("ANNOSIM_FUZZ", "40"))):
        draw = random.Random(seed)
        raw, verb = mutate(BASES[draw.randrange(len(BASES))], draw), VERBS[seed % len(VERBS)]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # fits of a few answers rarely converge
                message = ask(raw, verb)
            assert len(message) <= 300 and "\n" not in message, message
        except Exception as error:
            raise AssertionError(f"seed {seed}, {verb}: {type(error).__name__}: {error}") from error
