"""The torch path (any device) and the triton kernel against the reference."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import annosim as an
from annosim.errors import DeviceError
from annosim.random import raw_uint32 as reference_words
from annosim.rules.rankings import Mallows
from annosim.simulation.draws import simulate, to_cpu
from annosim.simulation.torch_path import raw_uint32

ITEMS = an.Items.normal(30, 3, seed=0)
PROMPTS = an.Items.normal(60, 3, seed=1, prompts=5)
PEOPLE = an.Mixture([an.Annotator(an.Linear(w), an.Luce()) for w in ([1.0, 2.0, 0.0], [0.0, -2.0, 1.0])], [0.3, 0.7])
LISTED = [[0, 1, 2], [3, 4, -1]]
DESIGNS = {
    "pairs": an.Design(ITEMS, annotators=3000, questions=2),
    "pairs with replacement": an.Design(ITEMS, annotators=3000, replacement=True),
    "best of 5": an.Design(ITEMS, annotators=3000, menu_size=5),
    "rankings": an.Design(ITEMS, annotators=3000, menu_size=5, feedback="ranking"),
    "top": an.Design(ITEMS, annotators=1000, menu_size=5, feedback="top", depth=2),
    "prompts": an.Design(PROMPTS, annotators=3000, menu_size=3, questions=2),
    "proposal": an.Design(ITEMS, annotators=3000, proposal=np.full(30, 1 / 30)),
    "listed": an.Design(ITEMS, menus=LISTED, annotators=1000),
    "all listed": an.Design(ITEMS, menus=LISTED, annotators=1000, questions="all", feedback="ranking"),
}


def _equal(data, name, **settings):
    slow = simulate(PEOPLE, DESIGNS[name], path="reference", **settings)
    assert np.array_equal(data.menu, slow.menu)
    assert np.array_equal(data.truth["type"], slow.truth["type"])
    wrong = (data.answer != slow.answer).reshape(slow.rows, -1).any(-1).sum()
    assert wrong <= max(1, 1e-6 * slow.rows)


@pytest.mark.parametrize("name", DESIGNS)
def test_on_the_processor(name):
    data = simulate(PEOPLE, DESIGNS[name], path="torch", seed=2**64 - 1, replicate=3)
    assert data.settings["path"] == "torch"
    _equal(data, name, seed=2**64 - 1, replicate=3)


@pytest.mark.gpu
@pytest.mark.parametrize("name", DESIGNS)
def test_on_a_gpu(name):
    data = simulate(PEOPLE, DESIGNS[name], device="cuda", seed=2**63 + 1, replicate=1)
    assert data.menu.is_cuda
    _equal(to_cpu(data), name, seed=2**63 + 1, replicate=1)


def test_words_of_far_entities():
    far = 2**40 + 5
    assert (
        raw_uint32(9, "habit", far, 200, 4, 2, "cpu").tolist()
        == reference_words(9, "habit", far + np.arange(200), 4, 2).tolist()
    )


def test_replicates():
    design = DESIGNS["pairs"].with_(annotators=50)
    many = simulate(PEOPLE, design, path="torch", replicates=2)
    assert np.array_equal(many[1].answer, simulate(PEOPLE, design, path="reference", replicate=1).answer)


def test_what_has_no_path_there_is_refused():
    mallows = an.Annotator(an.Tabular(30), Mallows(0.5))
    with pytest.raises(DeviceError, match="Luce"):
        simulate(mallows, an.Design(ITEMS), path="torch")
    with pytest.raises(DeviceError, match="overlap"):
        simulate(PEOPLE, an.Design(ITEMS, overlap=2), path="torch")
    with pytest.raises(DeviceError, match="no such device"):
        simulate(PEOPLE, an.Design(ITEMS), device="abacus")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="no CUDA device"):
            simulate(PEOPLE, an.Design(ITEMS), device="cuda")


SCRIPT = """
import numpy as np, torch, annosim as an
from annosim.simulation.kernels.triton_pairs import simulate_pairs
from annosim.simulation.draws import simulate
items = an.Items.normal(30, 3, seed=0)
for weights in ([[1.0, 2.0, 0.0]], [[1.0, 2.0, 0.0], [0.0, -2.0, 1.0]]):
    people = an.Mixture([an.Annotator(an.Linear(w), an.Luce()) for w in weights])
    data = simulate(people, an.Design(items, annotators=500, questions=2), seed=2**63 + 7, replicate=1)
    odds = torch.stack([leaf.index(items) for leaf in people.components()]).detach().exp()
    menu, answer = torch.empty(1000, 2, dtype=torch.int32), torch.empty(1000, dtype=torch.int8)
    simulate_pairs(menu, answer, odds, torch.as_tensor(data.truth["type"]), 2, 2**63 + 7, 1, size=64)
    assert np.array_equal(menu.numpy(), data.menu) and np.array_equal(answer.numpy(), data.answer)
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed (it comes with CUDA)")
def test_the_triton_kernel_in_its_interpreter():
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, env={**os.environ, "TRITON_INTERPRET": "1"})
