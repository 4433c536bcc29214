"""Every rule on a pretend device: the law and the draws of the CPU, on every kind of answer that it defines."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from annosim.checks.methods import table_probabilities
from annosim.populations.base import gather
from annosim.random import CounterRNG


def _faces():
    path = Path(__file__).parents[1] / "rules" / "test_methods.py"
    spec = importlib.util.spec_from_file_location("annosim_tests_faces", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FACES = _faces()


#: the kinds of answer on which every rule is tried; the others are slow
QUICK = {"pair", "ranking3", "best-worst3", "choice_padded", "rating1", "rating2"}
HEAVY = {"mallows_normalised"}


@pytest.mark.parametrize("name", [name for name in FACES.RULES if name not in HEAVY])
def test_the_law_and_the_draws_are_those_of_the_cpu(name, far):
    check(name, [kind for other, kind in FACES.CASES if other == name and kind in QUICK], far)


@pytest.mark.slow
@pytest.mark.parametrize("name", FACES.RULES)
def test_on_every_kind_of_answer(name, far):
    check(name, [kind for other, kind in FACES.CASES if other == name], far)


def check(name, kinds, far):
    assert kinds
    for kind in kinds:
        rule, view = FACES.case(name, kind)
        before, _ = table_probabilities(rule, FACES.U, view)
        rng = CounterRNG(3, np.arange(len(view.menu)))
        here = rule.sample(gather(rule.index(FACES.U, view.items), view.menu), view, rng)
        with far():
            there = view.to("pretend")
            object.__setattr__(there, "items", FACES.ITEMS.to("pretend"))
            u = FACES.U.to("pretend")
            moved = rule.to("pretend")
            after, _ = table_probabilities(moved, u, there)
            assert after.device.type == "pretend" and (after.cpu() - before).abs().max() < 1e-12
            drawn = moved.sample(gather(moved.index(u, there.items), there.menu), there, rng)
            assert drawn.position.cpu().equal(here.position)
