"""Answers drawn on a pretend device are those of the CPU, stay there, and can be learned from."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import annosim as an
from annosim.simulation.draws import to_cpu

ITEMS = an.Items.normal(12, 3, seed=0)
PROMPTS = an.Items.normal(15, 3, seed=1, prompts=5)
PEOPLE = an.Mixture([an.Annotator(an.Linear(w), an.Luce()) for w in ([1.0, 2.0, 0.0], [0.0, -2.0, 1.0])], [0.3, 0.7])
LISTED = [[0, 1, 2], [3, 4, -1]]
DESIGNS = {
    "pairs": an.Design(ITEMS, annotators=60, questions=2),
    "pairs with replacement": an.Design(ITEMS, annotators=60, replacement=True),
    "best of 5": an.Design(ITEMS, annotators=60, menu_size=5),
    "rankings": an.Design(ITEMS, annotators=60, menu_size=5, feedback="ranking"),
    "top": an.Design(ITEMS, annotators=60, menu_size=5, feedback="top", depth=2),
    "prompts": an.Design(PROMPTS, annotators=60, menu_size=3, questions=2),
    "proposal": an.Design(ITEMS, annotators=60, proposal=np.full(12, 1 / 12)),
    "listed": an.Design(ITEMS, menus=LISTED, annotators=60),
    "all listed": an.Design(ITEMS, menus=LISTED, annotators=60, questions="all", feedback="ranking"),
}


@pytest.mark.parametrize("name", DESIGNS)
def test_draws(name, far):
    here = an.simulate(PEOPLE, DESIGNS[name], seed=2**63 + 1, replicate=1)
    with far():
        there = an.simulate(PEOPLE, DESIGNS[name], seed=2**63 + 1, replicate=1, device="pretend")
        assert there.menu.device.type == there.answer.device.type == "pretend"
        there = to_cpu(there)
    assert np.array_equal(here.menu, there.menu) and np.array_equal(here.answer, there.answer)
    assert np.array_equal(here.truth["type"], there.truth["type"])
    assert to_cpu(here) is here


@pytest.mark.parametrize("replicates", [None, 2])
def test_what_was_drawn_there_is_learned_from(replicates, far):
    model = an.Annotator(an.Network([4], dim=3, dtype=torch.float64), an.Luce())
    design = DESIGNS["pairs"]
    with far(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        here = an.fit(model, an.simulate(PEOPLE, design, seed=1, replicates=replicates), solver=an.Adam(steps=3))
        data = an.simulate(PEOPLE, design, seed=1, replicates=replicates, device="pretend")
        there = an.fit(model, data, solver=an.Adam(steps=3), device="pretend")
    for one, other in zip(
        [here] if replicates is None else here, [there] if replicates is None else there, strict=True
    ):
        assert other.objective == pytest.approx(one.objective, abs=1e-6)
