"""The pretend device refuses what CUDA refuses, allows what it allows, and writes down what makes a CPU wait."""

from __future__ import annotations

import copy
import io

import numpy as np
import pytest
import torch
from torch import nn


def put(*values):
    return torch.tensor(values, dtype=torch.float64).to("pretend")


REFUSED = {
    "addition": lambda x, near: x + near,
    "in place on the CPU's": lambda x, near: near.add_(x),
    "a number of the device into a tensor of the CPU": lambda x, near: near.add_(x[0]),
    "product": lambda x, near: x @ near,
    "concatenation": lambda x, near: torch.cat([x, near]),
    "stacking": lambda x, near: torch.stack([x[0], near[0]]),
    "where": lambda x, near: torch.where(x > 0, x, near),
    "gather": lambda x, near: x.gather(0, torch.tensor([0])),
    "index_select": lambda x, near: x.index_select(0, torch.tensor([0])),
    "scatter": lambda x, near: x.scatter(0, torch.tensor([0]), x[:1]),
    "the CPU's at an index of the device": lambda x, near: near[torch.tensor([0]).to("pretend")],
    "assignment of the CPU's": lambda x, near: x.__setitem__(torch.tensor([0, 1]), near),
    "numpy": lambda x, near: x.numpy(),
    "numpy by itself": lambda x, near: np.asarray(x),
    "a generator of the CPU": lambda x, near: torch.rand(2, device="pretend", generator=torch.Generator()),
    "in vmap": lambda x, near: torch.vmap(lambda v: v * near[0:1])(x),
    "in a module": lambda x, near: nn.Linear(2, 1).double()(x),
    "in embeddings": lambda x, near: nn.Embedding(3, 2).to("pretend")(torch.tensor([1])),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what, far):
    with far(), pytest.raises((RuntimeError, TypeError), match="same device|numpy|generator"):
        REFUSED[what](put(1.0, 2.0), torch.tensor([3.0, 4.0], dtype=torch.float64))


ALLOWED = {
    "a number of the CPU": (lambda x, near: x + near[0], 0),
    "a number in place": (lambda x, near: x.clone().mul_(near[0]), 0),
    "where with numbers": (lambda x, near: torch.where(x > 1, x, near[0]), 0),
    "filling": (lambda x, near: torch.zeros_like(x).masked_fill(x > 1, near[0]), 0),
    "an index of the CPU": (lambda x, near: x[torch.tensor([1, 0])], 1),
    "a mask": (lambda x, near: x[x > 1], 1),
    "nonzero": (lambda x, near: torch.nonzero(x), 1),
    "unique": (lambda x, near: x.unique(), 1),
    "rows repeated": (lambda x, near: x.repeat_interleave((x > 0).long()), 1),
    "a copy there": (lambda x, near: near.to("pretend"), 1),
    "a copy there that nobody waits for": (lambda x, near: near.to("pretend", non_blocking=True), 0),
    "a copy into it": (lambda x, near: x.clone().copy_(near), 1),
    "a tensor made there": (lambda x, near: torch.tensor([1.0, 2.0], device="pretend"), 1),
    "an array sent there": (lambda x, near: torch.as_tensor(np.ones(2), device="pretend"), 1),
    "numbers made there": (lambda x, near: torch.arange(3, device="pretend") + torch.zeros(3, device="pretend"), 0),
    "indices that repeat": (lambda x, near: x.index_add(0, torch.zeros(2, device="pretend").long(), x), 0),
}


@pytest.mark.parametrize("what", ALLOWED)
def test_allowed_and_written_down(what, far):
    action, waits = ALLOWED[what]
    near = torch.tensor([3.0, 4.0], dtype=torch.float64)
    with far() as seen:
        x = put(1.0, 2.0)
        seen.clear()
        out = action(x, near)
        assert len(seen.waits) == waits
        assert out.device == torch.device("pretend", 0)


READ = [float, bool, lambda x: x.item(), lambda x: x.cpu(), lambda x: x.tolist(), lambda x: int(x) + 1]


@pytest.mark.parametrize("number", range(len(READ)))
def test_reading_waits(number, far):
    with far() as seen:
        x = put(1.0).sum()
        seen.clear()
        READ[number](x)
        assert len(seen.waits) == 1


def test_gradients_transforms_and_optimisers_agree_with_the_cpu(far):
    x = torch.linspace(-1.0, 1.0, 10, dtype=torch.float64).reshape(5, 2)
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)).double()

    def trained(place):
        one = copy.deepcopy(net).to(place)
        p = {n: torch.stack([v.detach(), 2 * v.detach()]).requires_grad_(True) for n, v in one.named_parameters()}
        adam = torch.optim.AdamW(list(p.values()), lr=0.1)
        far_x = x.to(place)
        for _ in range(3):
            adam.zero_grad(set_to_none=True)
            out = torch.vmap(lambda q: torch.func.functional_call(one, q, (far_x,)))(p)
            out.square().sum().backward()
            adam.step()
        return [v.detach().cpu() for v in p.values()]

    here = trained("cpu")
    with far():
        there = trained("pretend")
    assert all((a - b).abs().max() < 1e-12 for a, b in zip(here, there, strict=True))


def test_ties_copies_and_files(far):
    one, two = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    two.weight = one.weight
    with far():
        both = nn.ModuleList([one, two]).to("pretend")
        assert both[0].weight is both[1].weight and both[0].weight.device.type == "pretend"
        again = copy.deepcopy(both)
        assert again[0].weight is again[1].weight is not both[0].weight and again[0].weight.requires_grad
        file = io.BytesIO()
        torch.save({"x": put(1.0, 2.0)}, file)
    file.seek(0)
    assert torch.load(file, weights_only=True)["x"].tolist() == [1.0, 2.0]


def test_outside_the_block_there_is_no_device(far):
    with far():
        pass
    assert not torch.accelerator.is_available()
    with torch.random.fork_rng():
        torch.ones(2).sum()
